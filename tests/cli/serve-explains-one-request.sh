# --explain says what a server with the same options would do with one request,
# with --generate also what it would think of the champion's answer. Nothing is
# written.
for tool in jq sqlite3; do
    command -v $tool >/dev/null || { echo "skip: $tool is not installed"; exit 0; }
done
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE="$PWD/store"
odd_even_store 60
slmctl model add "$TREE/data/base" --as shipped >/dev/null
sqlite3 store/store.db 'INSERT INTO champion(task, model, since, event)
    SELECT t.id, m.id, 1, 0 FROM task t, model m'
chat='"messages":[{"role":"system","content":"Say odd or even."},{"role":"user","content":"number 9"}]'
echo '{"model":"gpt-4o",'"$chat}" >known.json
slmctl serve --explain known.json | sed '/^decide_ns/d'
slmctl serve --explain - --mode on --json <known.json |
    jq -c '[.schema, .to, .reason, .task_name, .model, .dialect, .decide_ns > 0]'
slmctl serve --explain known.json --mode on --generate --json |
    jq -c '.answer | [.good, .reason, .completion_tokens > 0, (.message.content | IN("odd", "even"))]'
echo '{"request":{"system":"Say odd or even.","model":"m","max_tokens":1,"messages":[{"role":"user","content":"number 9"}]}}' |
    slmctl serve --explain - --mode on --generate --json |
    jq -c '[.dialect, .reason, .answer.good, .answer.reason]'
echo '{"model":"x","messages":[{"role":"user","content":"a poem of the sea"}]}' |
    slmctl serve --explain - --mode on --generate --json |
    jq -c '[.to, .reason, .novelty > 0.5, has("answer")]'
for body in '{' '{"model":"x","n":3,'"$chat}" '{"model":"x","prompt":"a"}'; do
    echo "$body" | slmctl serve --explain -
    echo "exit $?"
done
slmctl serve --generate
echo "exit $?"
slmctl serve --json --listen 127.0.0.1:0
echo "exit $?"
sqlite3 store/store.db 'SELECT count(*) FROM decision'
