. "$TREE/tests/cli/lib/common.subr"
make_logs 20 >logs
slmctl collect -q --import logs
slmctl curate -q
try() {
    slmctl "$@" >/dev/full 2>err
    echo "$1: $?"
    grep -q 'No space left on device' err || cat err
}
try status
try status --json
try collect --json --import logs
try curate --json
try curate --export -
try curate --decisions -
slmctl --list-commands | grep -qx cluster || exit 0
slmctl cluster -q >out
try cluster --json
try select --json
