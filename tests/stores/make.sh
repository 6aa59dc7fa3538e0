#!/bin/sh
# make.sh SLMCTL - keep a store of the present schema version for the
# migration test. Run once for each new migration, from the root of the tree;
# stores of released versions are never made again.
set -eu
version=$(find data/schema -name '[0-9]*.sql' | sort | tail -n 1)
version=$(basename "$version" | cut -c1-4)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
status=0
"$1" collect --quiet --store "$scratch" --no-encryption --import tests/stores/calls.jsonl ||
    status=$?
[ $status -eq 0 ]
zstd -q -f -19 "$scratch/store.db" -o "tests/stores/$version.db.zst"
ls -l "tests/stores/$version.db.zst"
