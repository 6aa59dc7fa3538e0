#!/bin/sh
# real_logs.sh SLMCTL - three real logs through all six steps: a mix of many
# tasks on the shipped base; long prompts and long conversations with tools on
# the same base with a longer context. Few steps of training: what is tested is
# that every step goes through and says something, within minutes.
set -u
tree=$(cd "$(dirname "$0")/../.." && pwd)
slmctl=$(cd "$(dirname "$1")" && pwd)/slmctl
logs=${SLMCTL_REFERENCE:-}/data/agent-logs

if [ -z "${SLMCTL_REFERENCE:-}" ] || [ ! -d "$logs" ]; then
    echo "skip: SLMCTL_REFERENCE names no directory with data/agent-logs"
    exit 0
fi
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
cp -r "$tree/data/base" short
cp -r short long
sed -i 's/\("max_position_embeddings":\) [0-9]*/\1 16384/' long/config.json
export XDG_CONFIG_HOME="$scratch/config"
mkdir -p config/slmctl
(umask 077 && printf '%064d\n' 1 >config/slmctl/key)

# step NAME FILTER ARGUMENT...: run, and hold the document against a jq filter.
step() {
    name=$1 filter=$2
    shift 2
    begin=$(date +%s)
    "$slmctl" "$@" --json >"$name.json" 2>"$name.err"
    status=$?
    case $name/$status in
    */0 | eval/10 | eval/11) ;;
    *)
        echo "$log: $name: exit status $status"
        cat "$name.err"
        exit 1
        ;;
    esac
    jq -e "$filter" "$name.json" >/dev/null || {
        echo "$log: $name: its document does not satisfy: $filter"
        head -c 2000 "$name.json"
        exit 1
    }
    seconds="$seconds $name $(($(date +%s) - begin))"
}

# through LOG CALLS TASKS BASE KIND: the largest task of this kind is trained.
through() {
    log=$1 seconds=
    export SLMCTL_STORE="$scratch/$log"
    step collect ".added == $2 and .rejected == 0" \
        collect --import "$logs/$log.jsonl.zst"
    step curate '.kept > 400' curate --split 80,5,15
    step cluster "(.tasks | length) >= $3" cluster
    task=$(jq -r "[.tasks[] | select(.kind == \"$5\")][0].name" cluster.json)
    "$slmctl" model add "$4" || exit 1
    step select '[.tasks[] | [.candidates[] | .rank] | index(1)] | all' select
    step finetune '.models[0] | .validation_examples > 0 and .steps > 0' \
        finetune --task "$task" --model "$4" --tokens 16000 --max-length 16384
    step eval '.tasks[0].gate.items > 0 and .tasks[0].tuned.loss > 0' \
        eval --task "$task" --limit 3
    jq -e '.tasks[0] | .tuned.loss < .base.loss' eval.json >/dev/null || {
        echo "$log: training $task has not lowered the loss"
        exit 1
    }
    echo "note: $log, $task:$seconds s"
}

through agentmix 10528 20 short label
through metagpt 425 5 long text
through tau-bench-airline 2454 1 long text
