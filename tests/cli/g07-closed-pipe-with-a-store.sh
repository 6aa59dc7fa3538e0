. "$TREE/tests/cli/lib/common.subr"
make_logs 20 >logs
slmctl collect -q --import logs
slmctl curate -q
try() {
    { sleep 0.1; slmctl "$@" 2>err; echo "$1: $?" >code; } | :
    cat code err
}
try status
try status --json
try collect --json --import logs
try curate --export -
slmctl --list-commands | grep -qx cluster || exit 0
slmctl cluster -q >out
try cluster --json
try select --json
