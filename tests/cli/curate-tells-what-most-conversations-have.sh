# Names in the instruction of a user's message went from every example, each
# time for others, and no line said that a template was changed.
. "$TREE/tests/cli/lib/curate.subr"
export SLMCTL_STORE=s SLMCTL_KEY_FILE="$PWD/key"
for i in $(seq 24); do
    curate_log c$i completed "Say whether it is for Paula Weber. Mail $i." \
        "Paula Weber $i" stop
done | sed 's/"client_id"/"conversation_id": "x","client_id"/' >log.jsonl
slmctl collect -q --import log.jsonl
slmctl curate | grep 'four of five'
slmctl curate --json --names off | jq -c '[.common_values, .quarantined]'
slmctl curate --json --names tagger |
    jq -c '[.common_values, .common_values_call]'
