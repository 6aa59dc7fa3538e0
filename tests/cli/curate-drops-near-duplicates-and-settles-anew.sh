# What a run has decided about examples together is decided anew by options
# alone, without another pass; the store remembers them.
. "$TREE/tests/cli/lib/curate.subr"
ask="The parcel that I ordered three weeks ago has not come, what am I to do?"
{
    curate_log c1 completed "$ask" wait stop
    curate_log c2 completed "$ask Thanks" wait stop
    curate_log c3 completed "$ask Thanks" complain stop
    curate_log c4 completed "Is it going to rain?" "As an AI language model, no" stop
    curate_log c5 completed "Is it going to rain?" yes stop
    curate_log c6 completed "Is it going to rain?" no stop
} > log.jsonl
slmctl collect -q --import log.jsonl
short() {
    jq -c '[.new, .kept, (.dropped | with_entries(select(.value > 0))),
        .straddling.clusters, .contradictory_inputs]'
}
slmctl curate --json | short
slmctl curate --decisions - --contradictory latest | cut -f1,4,5
slmctl curate --json | short
slmctl curate --json --drop -near_duplicate,-refusal --contradictory keep | short
slmctl curate --json --require 'outcome.reward>0' --require outcome.label | short
slmctl curate --json --require none | short
slmctl curate --drop failed || echo $?
slmctl curate --require 'reward>0' || echo $?
slmctl curate --similarity 0.1 || echo $?
