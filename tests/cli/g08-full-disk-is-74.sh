# Output that cannot be written is a failure of every command that prints.
. "$TREE/tests/cli/lib/common.subr"
each_command | while read -r c; do
    # shellcheck disable=SC2086
    slmctl $c -h >/dev/full 2>err
    [ $? = 74 ] || echo "slmctl $c -h: not 74"
    grep -q 'write standard output: No space left on device' err || cat err
done
slmctl --version >/dev/full
echo $?
slmctl completion zsh >/dev/full
echo $?
slmctl completion zsh >&-
