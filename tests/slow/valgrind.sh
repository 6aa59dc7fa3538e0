#!/bin/sh
# valgrind.sh SLMCTL - the program's own start and end, and unit tests of the
# modules that parse outside bytes, without an invalid access or a lost byte.
set -u
build=$(dirname "$1")
command -v valgrind >/dev/null || { echo "skip: no valgrind"; exit 0; }
check() {
    valgrind -q --error-exitcode=99 --leak-check=full \
        --errors-for-leak-kinds=definite "$@" >/dev/null
}
bad=0
for words in --version -h 'completion bash' 'completion zsh'; do
    # shellcheck disable=SC2086
    check "$1" $words || { echo "slmctl $words"; bad=1; }
done
for t in base cli json codec crypto sql store wire regex template; do
    [ -x "$build/test_$t" ] || continue
    CK_FORK=no check "$build/test_$t" || { echo "test_$t"; bad=1; }
done
exit $bad
