# A bundle that cannot be made leaves the last good one, and nothing beside it.
command -v xz >/dev/null || { echo "skip: xz is not installed"; exit 0; }
unset SLMCTL_REFERENCE
out=$PWD/bundle
make_bundle() { # PLUGIN
    (cd "$TREE" && sh tests/gpu/bundle.sh "$out.none" "$1" "$out" 2>&1) |
        sed "/ without /d; s|$out|FOLDER|g; s/[0-9]* MB/N MB/; s/^cp: .*/cp fails/"
    echo bundle*
    cat bundle/*.xz | cksum >now
}
make_bundle /bin/true
cp now first
make_bundle "$out.nothing"
cmp now first
