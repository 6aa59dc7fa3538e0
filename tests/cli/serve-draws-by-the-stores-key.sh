# Which conversations a canary takes is drawn by the store's key: the same again
# from the same store, and another from a store with another key.
for tool in jq sqlite3; do
    command -v $tool >/dev/null || { echo "skip: $tool is not installed"; exit 0; }
done
. "$TREE/tests/cli/lib/train.subr"
champion() {
    slmctl model add "$TREE/data/base" --as shipped >/dev/null
    sqlite3 "$SLMCTL_STORE/store.db" 'INSERT INTO champion(task, model, since, event)
        SELECT t.id, m.id, 1, 0 FROM task t, model m'
}
draw() {
    slmctl serve --explain known.json --mode canary --json | jq .percent_at
}
echo '{"model":"x","messages":[{"role":"system","content":"Say odd or even."},{"role":"user","content":"number 9"}]}' >known.json
export SLMCTL_STORE="$PWD/store"
odd_even_store 60
champion
one=$(draw)
again=$(draw)
printf '%064d\n' 8 >key2
chmod 600 key2
export SLMCTL_STORE="$PWD/store2" SLMCTL_KEY_FILE="$PWD/key2"
slmctl collect --import log.jsonl -q >/dev/null
slmctl curate -q >/dev/null
slmctl cluster -q >/dev/null
champion
two=$(draw)
jq -cn "[$one == $again, $one == $two, ($one >= 0 and $two < 100)]"
