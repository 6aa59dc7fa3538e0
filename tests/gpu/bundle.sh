#!/bin/sh
# bundle.sh PROGRAMS PLUGIN FOLDER - all that a machine with a GPU needs to
# test and time the plugin: run.sh and two archives that it unpacks
#
# programs.tar.xz: programs with their libraries, which they find by $ORIGIN,
# plugin, scripts, the shipped model, a text to train on. models.tar.xz: the
# reference models of SLMCTL_REFERENCE/fixtures, every family whole. At most
# 60 MB, most of it random floats, for which xz has the options below. MODELS:
# a pattern of families, to make a smaller one.
set -eu
build=$1 plugin=$2 last=$3
here=$(dirname "$0")
# What the system must have, since it has to fit the driver's; the plugin itself
# needs libc alone (kernels.sh).
system='linux-vdso|ld-linux[^/]*|libstdc[+][+]|libgcc_s|libc|libm|libdl|libpthread|librt'
# The last good bundle stays until this one is whole.
out=$last.new
rm -rf "$out"
trap 'rm -rf "$out"' EXIT
trap 'exit 1' HUP INT TERM
p=$out/programs
mkdir -p "$p/lib" "$out/models"

needs() { # FILE
    readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        grep -vE "^($system)\.so"
}

# Libraries that are found through their own libraries would need an $ORIGIN
# there too.
carry() { # PROGRAM
    ldd "$1" | awk '$2 == "=>" { print $1, $3 }' |
        grep -vE "^($system)\.so" | while read -r name file; do
        [ -f "$file" ] || { echo "bundle: $1 needs $name, which is not here"; exit 1; }
        needs "$1" | grep -qxF "$name" ||
            { echo "bundle: $1 does not name $name itself"; exit 1; }
        [ -f "$p/lib/$name" ] || cp -L "$file" "$p/lib/$name"
    done
    [ -z "$(needs "$1")" ] || readelf -d "$1" | grep -q 'RUNPATH.*\[\$ORIGIN/lib\]' ||
        { echo "bundle: $1 does not look in \$ORIGIN/lib"; exit 1; }
}

for name in slmctl gpu_parity gpu_steps gpu_bench gpu_memory gpu_code gpu_wgmma; do
    [ -f "$build/$name" ] || { echo "bundle: without $name"; continue; }
    strip --strip-debug -o "$p/$name" "$build/$name"
    carry "$p/$name"
done
cp "$plugin" "$p/slmctl-cuda.so"
carry "$p/slmctl-cuda.so"
cp "$here/gpu_parity.sh" "$here/peer_gpu.py" "$here/tolerances.txt" "$p/"
cp -R data/base "$p/base"
cat man/*.[157] README.md | sed '/^\.\\"/d' >"$p/text.txt"
git -C "$here" describe --always --dirty >"$p/commit" 2>/dev/null || :
cp "$here/gpu_run.sh" "$out/run.sh"

if [ -n "${SLMCTL_REFERENCE:-}" ]; then
    f=$SLMCTL_REFERENCE/fixtures
    for m in "$f"/models/${MODELS:-*} "$f/stories260k" "$f/formats/llama-nf4" \
        "$f/formats/llama-nf4-double" "$f/formats/llama-bf16-sharded" \
        "$f/formats/qwen2-f16"; do
        cp -R "$m" "$out/models/"
    done
    chmod -R u+w "$out/models"
fi
families=$(find "$out/models" -mindepth 1 -maxdepth 1 | wc -l)
[ "$families" -gt 0 ] || families=no

# Values of 4 bytes that have no pattern but in their exponents.
tar -C "$out" --sort=name --owner=0 --group=0 -cf - models |
    xz -T0 --lzma2=preset=1,lc=1,lp=2,pb=2,mode=normal,nice=8 \
        >"$out/models.tar.xz"
tar -C "$p" --sort=name --owner=0 --group=0 -cf - . |
    xz -T0 -6 >"$out/programs.tar.xz"
rm -rf "$p" "$out/models"
size=$(du -sk "$out" | cut -f 1)
[ "$size" -le $((60 * 1024)) ] || { echo "bundle: over 60 MB"; exit 1; }
rm -rf "$last"
mv "$out" "$last"
echo "bundle: $last, $((size / 1024)) MB, $families reference models$(
    [ -n "${SLMCTL_REFERENCE:-}" ] || echo ": SLMCTL_REFERENCE is not set")"
