#!/bin/sh
# package.sh VERSION MAKE - a Debian package from `make install`, with
# dpkg-deb alone. Times come from SOURCE_DATE_EPOCH, else from the last commit,
# so that the same commit gives the same bytes.
set -eu
version=$1 make=$2
arch=$(dpkg --print-architecture)
root=build/deb
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null ||
    echo 0)}
export SOURCE_DATE_EPOCH

rm -rf "$root"
"$make" -s --no-print-directory install DESTDIR="$root" PREFIX=/usr
strip --strip-unneeded "$root/usr/bin/slmctl"
find "$root/usr/share/man" -type f -exec gzip -9n {} +
cat >"$root/usr/share/doc/slmctl/copyright" <<END
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: slmctl

Files: *
Copyright: The slmctl authors
License: Apache-2.0
 On Debian systems, the full text of the Apache License, Version 2.0 is in
 /usr/share/common-licenses/Apache-2.0.
END
mkdir "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<END
Package: slmctl
Version: $version
Architecture: $arch
Maintainer: The slmctl authors <slmctl@localhost>
Installed-Size: $(du -sk --apparent-size "$root/usr" | cut -f 1)
Depends: libc6 (>= 2.34), libcjson1 (>= 1.7.15), libcurl4 (>= 7.85),
 libpcre2-8-0 (>= 10.32), libsodium23 (>= 1.0.14), libsqlite3-0 (>= 3.37),
 libzstd1 (>= 1.5.2), zlib1g (>= 1:1.2.11)
Recommends: libopenblas0-pthread | libopenblas0
Section: utils
Priority: optional
Description: turn the logs of an LLM agent into small models
 slmctl finds the recurring tasks in an agent's logs, trains small language
 models to take them over, and proves on held-out calls that a small model is
 good enough before anything switches. It needs no GPU and no network.
END
(cd "$root" && find usr -type f | LC_ALL=C sort | xargs md5sum) \
    >"$root/DEBIAN/md5sums"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$root" \
    "build/slmctl_${version}_$arch.deb"
