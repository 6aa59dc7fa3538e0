#!/bin/sh
# Every script through shellcheck, every source through clang-format, where
# these are installed.
set -u
bad=0
if command -v shellcheck >/dev/null; then
    # SC2046: splitting into words is wanted, no name has a blank.
    shellcheck -S warning -s sh -e SC2046 $(git ls-files "*.sh" "*.subr") ||
        bad=1
    shellcheck .ci/run || bad=1
fi
if command -v clang-format >/dev/null; then
    for f in $(git ls-files '*.c' '*.h' '*.cu' '*.cuh'); do
        clang-format "$f" | cmp -s - "$f" ||
            { echo "note: $f is not as clang-format writes it"; }
    done
fi
exit $bad
