# What one adapter read of a prompt is no other's, though the cache is on: the
# answers of a, b, a again are those of a server that has just begun. Another
# adapter that takes a's name has none of it either (llama.cpp #26207).
. "$TREE/tests/cli/lib/wait.subr"
for tool in curl jq python3; do
    command -v $tool >/dev/null || { echo "skip: $tool is not installed"; exit 0; }
done
export SLMCTL_STORE="$PWD/store"
begin() {
    rm -f said
    slmctl serve --listen 127.0.0.1:0 --model a --model b --model base 2>said &
    server=$!
    await said 'listening on'
    url=http://127.0.0.1:$(address said)
}
end() {
    kill "$server"
    wait "$server"
}
# The tokens of an answer with their chances in the file, and whether the most
# of the prompt was known.
ask() { # MODEL FILE
    curl -sS -m 20 "$url/v1/completions" -d '{"model":"'"$1"'","max_tokens":12,
        "logprobs":1,"prompt":"Show the name and the age of all rivers, and of all cities that are near one."}' >got
    jq -c .choices[0].logprobs got >"$2"
    jq -r '.usage | if .prompt_tokens_details.cached_tokens > 9 then "known" else "new" end' got
}
slmctl model add "$TREE/data/base" --as base -q >/dev/null
adapters() {
    python3 "$TREE/tests/cli/lib/serve_adapters.py" "$TREE/data/base" store "$@"
}
adapters a=3 b=2
begin
ask a cold.other
end
adapters a=1
for model in base a b; do
    begin
    ask $model cold.$model
    end
done
begin
for model in a b a base b a; do
    ask $model warm
    cmp warm cold.$model
done
adapters a=3
kill -HUP "$server"
await said 'reloaded'
ask a warm
cmp warm cold.other
cmp -s cold.other cold.a || echo 'another adapter has another answer'
adapters a=1
kill -HUP "$server"
n=0
until [ "$(grep -c reloaded said)" = 2 ] || [ $n -ge 100 ]; do
    n=$((n + 1))
    sleep 0.1
done
ask b warm
cmp warm cold.b
ask a warm
cmp warm cold.a
end
