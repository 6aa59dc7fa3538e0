# What cannot be written whole is not put in the place of what was there, and
# the GPU's plugin goes where the program that is installed looks for it.
unset MAKEFLAGS MFLAGS MAKELEVEL
program=$(readlink -f "$(command -v slmctl)")
variant=$(basename "$(dirname "$program")")
run_make() {
    make -s --no-print-directory -C "$TREE" VARIANT="$variant" \
        CUDA_SO="$PWD/slmctl-cuda.so" DESTDIR="$PWD/root" PREFIX=/usr "$@" >made
}
limited() { # BLOCKS: a limit on a file's size, in place of a full disk
    (
        trap '' XFSZ
        ulimit -f "$1"
        run_make install >log 2>&1 || echo "exit $?"
    )
    grep -o 'File too large' log
    find root -name '*.new'
}
echo old >slmctl-cuda.so
run_make install
limited 2000
cmp "$program" root/usr/bin/slmctl
truncate -s 1G slmctl-cuda.so
limited 1000000
cat root/usr/lib/slmctl/slmctl-cuda.so
run_make uninstall
echo new >slmctl-cuda.so
run_make install BINDIR=/opt/x/bin
cat root/opt/x/lib/slmctl/slmctl-cuda.so
run_make uninstall BINDIR=/opt/x/bin
run_make install PLUGINDIR=/plugins
cat root/plugins/slmctl-cuda.so
run_make uninstall PLUGINDIR=/plugins
find root ! -type d
