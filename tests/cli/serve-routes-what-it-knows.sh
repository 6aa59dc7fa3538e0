# In mode on a champion answers its task's calls and the upstream all others;
# its answers are those of the task, as they were judged, and who names the model
# gets any. Answers cut short are escalated unseen, and when all are the task
# steps back.
for tool in curl jq sqlite3; do
    command -v $tool >/dev/null || { echo "skip: $tool is not installed"; exit 0; }
done
. "$TREE/tests/cli/lib/train.subr"
. "$TREE/tests/cli/lib/wait.subr"
slmctl serve --store up --listen 127.0.0.1:0 --model "gpt-4o=$TREE/data/base" \
    2>up.said &
up=$!
await up.said 'listening on'
export SLMCTL_STORE="$PWD/store"
odd_even_store 60
slmctl model add "$TREE/data/base" --as shipped >/dev/null
sqlite3 store/store.db 'INSERT INTO champion(task, model, since, event)
    SELECT t.id, m.id, 1, 0 FROM task t, model m'
slmctl serve --listen 127.0.0.1:0 --mode on --model "a=$TREE/data/base" 2>/dev/null
echo "without an upstream: exit $?"
mkdir -p home/slmctl
XDG_CONFIG_HOME=$PWD/home slmctl serve --listen 127.0.0.1:0 --look-up 0 \
    --upstream "http://127.0.0.1:$(address up.said)" \
    --mode on --audit 0 2>said &
server=$!
await said 'listening on'
url=http://127.0.0.1:$(address said)/v1/chat/completions
task='"messages":[{"role":"system","content":"Say odd or even."},{"role":"user","content":"number 9"}]'
ask() { # MEMBERS
    curl -sS -m 20 "$url" -D head -d '{"model":"gpt-4o",'"$1}" >got
    sed -n 's/\r$//; s/^X-SLM-Route: //p' head
}
ask "$task"
jq -r '.model, (.choices[0].message.content | IN("odd", "even"))' got
ask "$(echo "$task" | sed 's/^/"model":"shipped",/')"
jq -r '.choices[0].message.content | IN("odd", "even")' got
ask '"stream":true,'"$task"
tail -n 2 got | head -n 1
ask '"max_tokens":3,"messages":[{"role":"user","content":"a poem"}]'
jq -r .model got
many() { # MEMBERS
    i=0
    while [ $i -lt 60 ]; do
        i=$((i + 1))
        ask "$1" >route
    done
    cat route
    jq -r .model got
}
# Whoever wants one token alone gets no more, and that is nobody's fault.
many '"max_tokens":1,'"$task"
echo 'serve.max-tokens = 1' >home/slmctl/config
kill -HUP "$server"
await said '^reloaded'
many "$task"
kill "$server"
wait "$server"
echo "exit $?"
grep -o 'goes to the LLM again' said
sqlite3 store/store.db "SELECT went, reason, error, min(count(*), 40) FROM
    decision GROUP BY went, reason, error ORDER BY 1, 2, 3"
sqlite3 store/store.db "SELECT count(*) FROM route"
kill "$up"
wait "$up"
slmctl serve --resume nobody 2>&1
task=$(sqlite3 store/store.db 'SELECT name FROM task')
slmctl serve --resume "$task" 2>&1 | sed "s/$task/TASK/"
slmctl serve --resume "$task" 2>&1 | sed "s/$task/TASK/"
sqlite3 store/store.db "SELECT kind FROM registry_event; SELECT count(*) FROM
    route"
