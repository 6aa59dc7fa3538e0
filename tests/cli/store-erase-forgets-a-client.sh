# From a log to a model, and then a client wants to be forgotten: no byte of it
# stays in the store, and the model that learnt from it is told.
command -v sqlite3 >/dev/null || { echo "skip: no sqlite3"; exit; }
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s SLMCTL_NO_ENCRYPTION=true
odd_even_store 240
sed -e 's/"conversation_id":"c[0-9]*7"/"client_id":"ada",&/' \
    -e 's/"content":"number \([0-9]*7\)"/"content":"number \1 flibbertig"/' \
    log.jsonl >clients.jsonl
rm -r s
slmctl collect --import clients.jsonl -q
slmctl curate -q >/dev/null
slmctl cluster -q >/dev/null
tiny_model 270 1 128
slmctl finetune --task 1 --model "$PWD/tiny" --tokens 500 --as small -q >/dev/null
slmctl store erase --client bob
slmctl store erase --client ada --dry-run --retire | sed 's/task .*/task T/'
grep -l flibbertig s/store.db
slmctl store erase --client ada --retire --json |
    jq -c '[.calls, .examples, (.datasets | length), [.models[].name], .retire, .log_cut]'
grep -c flibbertig s/store.db
slmctl store export | grep -c flibbertig
slmctl store verify | sed '$d' | sed 's/of [0-9]* pieces/of N pieces/;s/of [0-9]* commits/of N commits/'
slmctl collect --import clients.jsonl --json | jq -c '[.added, .known]'
slmctl curate -q >/dev/null
slmctl cluster -q >/dev/null
sqlite3 s/store.db "SELECT name, label <> '', (SELECT count(*) FROM clustering)
    FROM task WHERE id = 1"
slmctl store erase --client ada
slmctl store erase
echo "exit $?"
slmctl store erase --client a --conversation b
echo "exit $?"
sqlite3 s/store.db "SELECT e.kind, command, retired NOTNULL FROM registry_event e
    JOIN model ON model.id = e.model"
