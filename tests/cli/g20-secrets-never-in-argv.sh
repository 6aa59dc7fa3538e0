# No option takes a secret itself: only files that hold one.
. "$TREE/tests/cli/lib/common.subr"
each_command | while read -r c; do
    # shellcheck disable=SC2086
    slmctl $c --list-options
done | grep -E -- '--[a-z-]*(key|secret|password|token|credential)[a-z-]* [A-Z]' |
    grep -vE -- '-(file|id|kind) |-?tokens |tokenizer|-token-|key FILE$'
:
