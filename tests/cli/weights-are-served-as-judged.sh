# How matrices are kept is part of what is judged: promotion takes it over,
# serve, generate and the next eval keep to it, another way has no verdict.
for tool in curl jq sqlite3; do
    command -v $tool >/dev/null || { echo "skip: $tool is not installed"; exit 0; }
done
. "$TREE/tests/cli/lib/train.subr"
. "$TREE/tests/cli/lib/wait.subr"
export SLMCTL_STORE="$PWD/s" SLMCTL_NO_ENCRYPTION=true
odd_even_store 120
tiny_model 270 1 128
slmctl finetune --task 1 --model "$PWD/tiny" --tokens 500 --as one --force -q >/dev/null
judge() {
    slmctl eval --model one --no-base "$@" --json | jq -r '.tasks[0] | [.weights, .reused]|@tsv'
}
judge
judge --weights q8_0
judge --weights q8_0
judge --weights q4_0 --split validation
sqlite3 s/store.db "SELECT split, coalesce(weights, '-') FROM evaluation;
    UPDATE evaluation SET verdict = CASE weights WHEN 'q8_0' THEN 'pass' ELSE 'fail' END"
slmctl model promote one --weights q4_0
slmctl model promote one --weights stored
slmctl model promote one
slmctl model promote one
slmctl model list --task 1 --json | jq -c '.models[] | [.champion, .weights, .verdict]'
slmctl model list --task 1 | grep -c 'champion, q8_0'
judge # the champion's way where nothing is said
ask() {
    slmctl serve --listen 127.0.0.1:0 --task 1 "$@" 2>said &
    server=$!
    await said 'listening on'
    curl -sS -m 20 "http://127.0.0.1:$(address said)/v1/chat/completions" \
        -d '{"model":"1","max_tokens":4,"messages":[{"role":"user","content":"9"}]}' |
        jq -r .object
    kill "$server"
    wait "$server"
    grep -o 'model 1.*' said
}
ask
ask --weights f32
slmctl generate --task 1 -n 1 --raw 9 >a
slmctl generate --task 1 -n 1 --raw --weights q8_0 9 | cmp - a && echo same
# The same model in another way is a change, and one that goes back; its
# calibration does not follow.
sqlite3 s/store.db "INSERT INTO calibration(model, time, version, data, detail)
    SELECT id, 1, 1, x'', '{\"weights\":\"q8_0\"}' FROM model WHERE name = 'one'"
slmctl model promote one --weights stored --force 'to compare'
slmctl model list --task 1 --json | jq -c '.models[] | [.champion, .weights]'
slmctl model rollback 1
slmctl model list --task 1 --json | jq -c '.models[] | [.champion, .weights]'
