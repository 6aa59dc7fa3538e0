# Of a store alone, each task's champion is served under the task's name; with
# none there is nothing to serve.
for tool in curl jq sqlite3; do
    command -v $tool >/dev/null || { echo "skip: $tool is not installed"; exit 0; }
done
. "$TREE/tests/cli/lib/train.subr"
. "$TREE/tests/cli/lib/wait.subr"
export SLMCTL_STORE="$PWD/store"
odd_even_store 60
slmctl model add "$TREE/data/base" --as shipped >/dev/null
slmctl serve --listen 127.0.0.1:0 2>&1 | grep -o 'no task has a champion'
sqlite3 store/store.db 'INSERT INTO champion(task, model, since, event)
    SELECT t.id, m.id, 1, 0 FROM task t, model m'
slmctl serve --listen 127.0.0.1:0 2>said &
server=$!
await said 'listening on'
url=http://127.0.0.1:$(address said)
curl -sS -m 20 "$url/v1/models" | jq '[.data[].id] | length'
name=$(curl -sS -m 20 "$url/v1/models" | jq -r '.data[0].id')
curl -sS -m 20 "$url/v1/chat/completions" -d '{"model":"'"$name"'","max_tokens":2,"messages":[{"role":"user","content":"9"}]}' |
    jq -r .object
kill "$server"
wait "$server"
echo "exit $?"
