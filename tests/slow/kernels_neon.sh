#!/bin/sh
# The kernels for 64-bit ARM, each beside generic, under qemu: test_kernels.c
# with what it needs of the library, linked statically; then products with
# frozen weights, through the device.
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
compile() { # SOURCE: to an object, unless it is there
    [ -f "$object" ] || $arm -std=c11 -D_GNU_SOURCE '-DSLMCTL_VERSION="0"' \
        -Ilib -Itests/slow/lib/plain -fno-math-errno -ffp-contract=off -O2 \
        -fno-tree-slp-vectorize -pthread -c -o "$object" "$1"
}
program() { # NAME SOURCE...
    name=$1 objects=
    shift
    for source; do
        object=$scratch/$(basename "$source" .c).o
        compile "$source" || exit 1
        objects="$objects $object"
    done
    # shellcheck disable=SC2086 # names without spaces
    $arm -static -pthread -o "$scratch/$name" $objects -lm 2>"$scratch/err" || {
        cat "$scratch/err" # dlopen warns: no plugin is opened here
        exit 1
    }
    qemu-aarch64 "$scratch/$name" >"$scratch/out" || {
        cat "$scratch/out"
        exit 1
    }
}
cpu=lib/compute/cpu
program kernels tests/unit/test_kernels.c tests/unit/kernels_wide.c \
    $cpu/kernels_generic.c $cpu/kernels_neon.c $cpu/cpu_check.c \
    $cpu/cpu_isa.c $cpu/cpu_house.c $cpu/cpu_probe.c lib/base/buf.c \
    lib/base/clock.c lib/base/err.c lib/base/io.c lib/base/io_output.c \
    lib/base/mem.c
! grep -q 'all that neon needs' "$scratch/out" || exit 1
grep -q 'kernels_give_what_generic_gives' "$scratch/out" || exit 1
program frozen tests/slow/lib/plain/frozen.c lib/compute/*.c $cpu/*.c \
    lib/base/*.c
