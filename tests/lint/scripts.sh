#!/bin/sh
# Every script through shellcheck, every source through clang-format, where these
# are installed.
set -u
bad=0
if command -v shellcheck >/dev/null; then
    # SC2046, SC2086: splitting into words is wanted, no name has a blank.
    # SC2016: programs in single quotes. SC1091: tests/cli/lib is found at run
    # time.
    shellcheck -s sh -e SC1091,SC2046,SC2086,SC2016 $(git ls-files "*.sh" "*.subr") ||
        bad=1
    shellcheck .ci/run || bad=1
fi
if command -v clang-format >/dev/null; then
    for f in $(git ls-files '*.c' '*.h'); do
        clang-format "$f" | cmp -s - "$f" ||
            { echo "note: $f is not as clang-format writes it"; }
    done
fi
exit $bad
