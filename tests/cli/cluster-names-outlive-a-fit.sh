# Tasks are found, named by people, kept by a new fit; a second run is silent.
. "$TREE/tests/cli/lib/common.subr"
make_logs 80 >logs.jsonl
slmctl collect --quiet --import logs.jsonl
slmctl curate --quiet
slmctl cluster --seed 3 >/dev/null 2>&1
slmctl cluster
echo "second run: exit $?"
slmctl cluster --quiet --rename classify-tone-good=tone --pin extract-table-name
slmctl cluster --quiet --refit
slmctl cluster --json |
    jq -r '.tasks[] | [.name, .kind, .calls, .pinned, .renamed] | @tsv'
slmctl cluster --merge tone,extract-table-name --quiet
slmctl cluster --refit --json | jq -c '[.fitted, .unassigned, (.tasks | length)]'
slmctl cluster --assignments - | cut -f 2- | sed -n '1,2p;$p'
slmctl cluster --rename tone
echo "exit $?"
slmctl cluster --rename tone=7
echo "exit $?"
slmctl cluster --pin nothing
echo "exit $?"
slmctl cluster --assignments - --json
echo "exit $?"
slmctl cluster --assignments /dev/full
echo "exit $?"
