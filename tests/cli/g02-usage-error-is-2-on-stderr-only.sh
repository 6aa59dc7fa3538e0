# A usage error: status 2, one line on standard error that says where help is.
. "$TREE/tests/cli/lib/common.subr"
each_command | while read -r c; do
    # shellcheck disable=SC2086
    slmctl $c --no-such-option >out 2>err
    [ $? = 2 ] || echo "slmctl $c: not 2"
    [ ! -s out ] || echo "slmctl $c: writes on standard output"
    [ "$(wc -l <err)" = 1 ] || echo "slmctl $c: not one line"
    grep -q "^slmctl $c: .*see 'slmctl $c -h'\$" err || cat err
done
slmctl 2>err
echo $?
sed 1q err >&2
slmctl completion
echo $?
slmctl completion bash more
echo $?
slmctl completion --help=1
echo $?
slmctl completion tcsh
