#!/bin/sh
# Two builds of the same tree in two directories give the same bytes.
set -eu
unset MAKEFLAGS MFLAGS MAKELEVEL
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for d in one another/deeper; do
    mkdir -p "$tmp/$d"
    git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$tmp/$d"
    make -s -C "$tmp/$d" -j"$(nproc)" all >/dev/null
done
cmp "$tmp/one/build/release/slmctl" "$tmp/another/deeper/build/release/slmctl"
