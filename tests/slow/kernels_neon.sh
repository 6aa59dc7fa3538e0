#!/bin/sh
# The kernels for 64-bit ARM, each beside generic, under qemu: test_kernels.c
# with what it needs of the library, linked statically.
set -u
arm=aarch64-linux-gnu-gcc
for tool in $arm qemu-aarch64; do
    command -v "$tool" >/dev/null || {
        echo "skip: $tool is not installed"
        exit 0
    }
done
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
set -- -std=c11 -D_GNU_SOURCE '-DSLMCTL_VERSION="0"' -Ilib \
    -Itests/slow/lib/plain -fno-math-errno -ffp-contract=off -O2 \
    -fno-tree-slp-vectorize
objects=
for source in tests/unit/test_kernels tests/unit/kernels_wide \
    lib/compute/cpu/kernels_generic lib/compute/cpu/kernels_neon \
    lib/compute/cpu/cpu_check lib/compute/cpu/cpu_isa \
    lib/compute/cpu/cpu_house lib/compute/cpu/cpu_probe \
    lib/base/buf lib/base/clock lib/base/err lib/base/io lib/base/io_output lib/base/mem; do
    object=$scratch/$(basename $source).o
    $arm "$@" -c -o "$object" $source.c || exit 1
    objects="$objects $object"
done
# shellcheck disable=SC2086 # names without spaces
$arm -static -o "$scratch/test" $objects -lm || exit 1
qemu-aarch64 "$scratch/test" >"$scratch/out" || { cat "$scratch/out"; exit 1; }
! grep -q 'all that neon needs' "$scratch/out" || exit 1
grep -q 'kernels_give_what_generic_gives' "$scratch/out"
