#!/bin/sh
# bundle.sh BUILD PLUGIN FOLDER - all that a machine with a GPU needs to test
# and time the plugin: programs with their libraries, the shipped model,
# fixtures (SLMCTL_REFERENCE), and run.sh. At most 60 MB.
set -eu
build=$1 plugin=$2 out=$3
here=$(dirname "$0")
rm -rf "$out"
mkdir -p "$out/lib" "$out/models"
for p in slmctl gpu_parity gpu_bench gpu_wgmma; do
    cp "$build/$p" "$out/$p"
    strip --strip-debug "$out/$p"
    # All but what is the system's own and must fit the driver's.
    ldd "$build/$p" | awk '$2 == "=>" { print $3 }' |
        grep -vE '/(libstdc[+][+]|libgcc_s|libc|libm|libdl|libpthread|librt|ld-linux[^/]*)\.so' |
        while read -r l; do cp -L "$l" "$out/lib/"; done
done
cp "$plugin" "$out/slmctl-cuda.so"
cp "$here/gpu_run.sh" "$out/run.sh"
cp "$here/gpu_parity.sh" "$here/peer_gpu.py" "$out/"
cp -R data/base "$out/base"
cat man/*.[157] README.md | sed '/^\.\\"/d' >"$out/text.txt"
if [ -n "${SLMCTL_REFERENCE:-}" ]; then
    for m in llama llama-untied-biased llama3-rope; do
        cp -R "$SLMCTL_REFERENCE/fixtures/models/$m" "$out/models/"
    done
    cp -R "$SLMCTL_REFERENCE/fixtures/stories260k" "$out/models/"
else
    echo "bundle: SLMCTL_REFERENCE is not set: no fixtures"
fi
size=$(du -sm "$out" | cut -f 1)
echo "bundle: $out, $size MB"
[ "$size" -le 60 ] || { echo "bundle: over 60 MB"; exit 1; }
