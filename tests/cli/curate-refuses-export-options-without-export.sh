# --task and a named --split do nothing without --export: refused when typed,
# idle when the configuration sets them for all runs.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 20
slmctl curate --task 1; echo "exit $?"
slmctl curate --split test; echo "exit $?"
slmctl curate -q --split 80,10,10 2>/dev/null; echo "exit $?"
SLMCTL_TASK=1 slmctl curate -q; echo "exit $?"
slmctl curate -q --task 1 --split train --export chats.jsonl; echo "exit $?"
