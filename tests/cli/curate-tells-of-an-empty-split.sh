# A split without an example is told, with the group that has all of them or
# the share that is 0; once all went to training, or to the test, in silence.
. "$TREE/tests/cli/lib/curate.subr"
export SLMCTL_STORE=s
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    curate_log c$i completed "question $i" "answer $i" stop
done > log.jsonl
slmctl collect -q --import log.jsonl
slmctl curate --json --group-by client | jq -c .splits
slmctl curate -q --group-by client --split 80,10,10
slmctl curate --group-by conversation --split 0,50,50 | grep -E 'train|sealed'
# More than half in the sealed test is a slip that nothing mends.
slmctl curate --split 0,0,100 || echo "exit $?"
slmctl curate --split 33.3,33.3,33.4 || echo "exit $?"
slmctl curate -q --require outcome.reward==1
slmctl curate -q --require none
