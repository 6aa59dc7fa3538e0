#!/bin/sh
# The Debian package: the same bytes twice, a program that runs, every manual
# page packed, and nothing of the place where it was built.
set -eu
command -v dpkg-deb >/dev/null || { echo "skip: no dpkg-deb"; exit 0; }
unset MAKEFLAGS MFLAGS MAKELEVEL
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for n in 1 2; do
    make -s deb >/dev/null
    cp build/slmctl_*.deb "$tmp/$n.deb"
done
cmp "$tmp/1.deb" "$tmp/2.deb"
dpkg-deb -x "$tmp/1.deb" "$tmp/root"
"$tmp/root/usr/bin/slmctl" --version >/dev/null
for page in man/*.[1-9]; do
    gzip -t "$tmp/root/usr/share/man/man${page##*.}/${page#man/}.gz"
done
if grep -rlF "$PWD" "$tmp/root"; then
    echo "the package knows where it was built"
    exit 1
fi
dpkg-deb -f "$tmp/1.deb" Depends | grep -q libsqlite3-0
