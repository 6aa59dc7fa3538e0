# A vault that was asked for only after curating stayed empty, with exit 0.
. "$TREE/tests/cli/lib/curate.subr"
curate_store
slmctl curate -q --export out.jsonl --split all 2>/dev/null
revealed() {
    slmctl curate --reveal --vault "$1" <out.jsonl |
        grep -c 'ada@analytical.org'
}
new() {
    slmctl curate --json "$@" | jq .new
}
slmctl curate --vault v 2>&1 | grep "done again"
revealed v
echo "again: $(new --vault v)"
# Another one, and one that is gone.
echo "another: $(new --vault w)"
revealed w
rm w
echo "gone: $(new --vault w)"
revealed w
# What a run without it has replaced is missing, too.
curate_log e1 completed "Mail eve@analytical.org?" no stop >more.jsonl
slmctl collect -q --import more.jsonl
echo "without: $(new)"
echo "with: $(new --vault w), $(new --vault w)"
