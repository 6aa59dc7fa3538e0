# --help, -h anywhere and --version: standard output, nothing else, status 0.
. "$TREE/tests/cli/lib/common.subr"
each_command | while read -r c; do
    for h in -h --help '--no-such-option -h' 'operand --help'; do
        # shellcheck disable=SC2086
        slmctl $c $h >out 2>err || echo "slmctl $c $h: status $?"
        [ -s out ] || echo "slmctl $c $h: no help"
        [ ! -s err ] || echo "slmctl $c $h: $(cat err)"
    done
    # shellcheck disable=SC2086
    slmctl help $c >out 2>err || echo "slmctl help $c: status $?"
done
slmctl --help >out && grep -c '^usage: slmctl COMMAND' out
slmctl --version
