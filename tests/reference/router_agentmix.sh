#!/bin/sh
# router_agentmix.sh [SLMCTL [TOKENS [TASK...]]] - the router from a log to its
# decisions on calls that were kept back
#
# Of agentmix (SLMCTL_REFERENCE says where it is) every fourth call is kept back,
# the others become tasks; for each TASK (tag-question-title) the shipped base is
# trained on TOKENS (300,000: about a minute on two free cores), judged, calibrated
# on validation and promoted, whatever the gate says. A test of the plumbing: the
# models are tiny, and what is asked is whether what was learnt on validation holds
# on calls that nobody has seen.
set -eu
slmctl=$(realpath "${1:-build/release/slmctl}")
tokens=${2:-300000}
if [ $# -gt 2 ]; then
    shift 2
else
    set -- tag-question-title
fi
tree=$(cd "$(dirname "$0")/../.." && pwd)
if [ -z "${SLMCTL_REFERENCE:-}" ]; then
    echo "skip: SLMCTL_REFERENCE is not set"
    exit 0
fi
for tool in python3 zstd; do
    command -v $tool >/dev/null || { echo "skip: $tool is not installed"; exit 0; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export SLMCTL_STORE="$dir/store" SLMCTL_NO_ENCRYPTION=true
zstd -dcq --long=27 "$SLMCTL_REFERENCE/data/agent-logs/agentmix.jsonl.zst" |
    awk 'NR % 4 { print >"log.jsonl"; next } { print >"held.jsonl" }'
"$slmctl" collect --import log.jsonl -q || [ $? = 3 ]
"$slmctl" curate -q --split 55,35,10
"$slmctl" cluster -q
"$slmctl" model add "$tree/data/base" --as shipped >/dev/null
for task in "$@"; do
    nice "$slmctl" finetune --task "$task" --model shipped --method full --lr 2e-3 \
        --batch-tokens 1024 --tokens "$tokens" --patience -1 -q --as "small-$task"
    code=0
    "$slmctl" eval --task "$task" --model "small-$task" --no-base --calibrate \
        >judged || code=$?
    case $code in 0 | 10 | 11) ;; *) exit $code ;; esac
    sed -n '2p; /calibration (of/,/^$/p; s/^.*: calibrated/calibrated/p' judged
    "$slmctl" model promote "small-$task" --force 'a test of the plumbing' -q \
        2>/dev/null
done
python3 "$tree/tests/reference/router_agentmix.py" "$slmctl" store held.jsonl
