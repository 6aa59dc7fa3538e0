# Training data by default; the sealed test only on request, and written down.
. "$TREE/tests/cli/lib/curate.subr"
curate_store
slmctl curate --quiet --export all.jsonl
echo "exit $?"
jq -e '.messages | length == 2 and .[1].role == "assistant"' all.jsonl |
    sort -u
slmctl curate --export test.jsonl --split test
slmctl curate --export test.jsonl --split test --split train --quiet
sqlite3 store/store.db 'SELECT count(*), min(command) FROM seal'
slmctl curate --export - --split everything
echo "exit $?"
slmctl curate --export - --decisions -
echo "exit $?"
slmctl curate --export /dev/full
echo "exit $?"
slmctl curate --export x.jsonl --task none
echo "exit $?"
ls
