# Below DESTDIR everything is there after install, nothing after uninstall.
unset MAKEFLAGS MFLAGS MAKELEVEL
program=$(readlink -f "$(command -v slmctl)")
variant=$(basename "$(dirname "$program")")
run_make() {
    make -s --no-print-directory -C "$TREE" VARIANT="$variant" \
        DESTDIR="$PWD/root" PREFIX=/usr "$@" >log 2>&1 || cat log
}
run_make install
root/usr/bin/slmctl --version
for f in share/man/man1/slmctl.1 share/man/man5/slmctl-config.5 \
    share/bash-completion/completions/slmctl \
    share/zsh/vendor-completions/_slmctl \
    share/fish/vendor_completions.d/slmctl.fish share/doc/slmctl/copyright; do
    [ -f "root/usr/$f" ] || echo "not installed: $f"
done
for unit in "$TREE"/data/systemd/*; do
    cmp "$unit" "root/usr/lib/systemd/system/$(basename "$unit")"
done
run_make install PREFIX=/opt/x
cat root/opt/x/lib/systemd/system/*.service | grep -o '^ExecStart=[^ ]*' | sort -u
run_make uninstall PREFIX=/opt/x
find root -type f ! -perm 644 ! -perm 755
run_make uninstall
find root ! -type d
find root -name '*slmctl*'
