# Every task gets an adapter; run again there is nothing to do; the lineage
# names the examples; other options are another model; sealed ones are unread.
. "$TREE/tests/cli/lib/common.subr"
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
make_logs 240 >log.jsonl
slmctl collect --import log.jsonl -q >/dev/null
slmctl curate -q >/dev/null
slmctl cluster -q >/dev/null
slmctl finetune --all >/dev/null 2>err
echo "exit $?"
grep -o 'no base model; name one with --model' err | sort -u
tiny_model 280 2 256
slmctl finetune --all --model tiny --tokens 3000 -q --json >first.json
echo "exit $?"
grep -o '"skipped": *[a-z]*' first.json | sort | uniq -c
slmctl finetune --all --model tiny --tokens 3000 -q --json >second.json
echo "exit $?"
grep -o '"skipped": *[a-z]*' second.json | sort | uniq -c
grep -o '"hash": *"[0-9a-f]*"' first.json | wc -l
slmctl finetune --task 1 --method full --tokens 3000 -q --json >full.json
echo "exit $?"
grep -o '"skipped": *[a-z]*' full.json
for d in s/models/*; do
    find "$d" -type f | sed 's/.*\///' | sort | tr '\n' ' '
    echo
done | sort # which task is number 1 depends on the key that was drawn
# Lineage: as many examples as were read, none of them sealed.
sql() {
    sqlite3 s/store.db "$1" 2>/dev/null || echo 0
}
if command -v sqlite3 >/dev/null; then
    sql "SELECT count(*) FROM dataset_example d JOIN example e
         ON e.id = d.example WHERE e.split = 'test'"
else
    echo 0
fi
# Trained already, under a name of its own.
slmctl finetune --task 1 --method full --tokens 3000 --force 2>&1 >/dev/null |
    grep -o 'tokens, taken from the finished run: training loss'
