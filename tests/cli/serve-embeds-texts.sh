# Vectors of an encoder, as numbers and as base64, beside other models; what is
# asked for wrongly is refused by the field's name, and the call is in the log.
for tool in curl jq python3 sqlite3; do
    command -v $tool >/dev/null || { echo "skip: $tool is not installed"; exit 0; }
done
. "$TREE/tests/cli/lib/encoder.subr"
. "$TREE/tests/cli/lib/wait.subr"
make_encoder one 3
slmctl serve --store logs --listen 127.0.0.1:0 --embedder one --embedder x=one \
    --embedder x=one 2>&1
echo "exit $?"
slmctl serve --store logs --listen 127.0.0.1:0 --embedder none=/no/where \
    2>refused
echo "exit $?, $(wc -l <refused) line"
slmctl serve --store logs --listen 127.0.0.1:0 --embedder one \
    --embedder "again=$PWD/one" --model "tiny=$TREE/data/base" 2>said &
server=$!
await said 'listening on'
url=http://127.0.0.1:$(address said)
ask() { # MEMBERS
    curl -sS -m 20 "$url/v1/embeddings" -w '\n%{http_code}\n' -d "{$1}" >got
    tail -n 1 got
}
curl -sS -m 20 "$url/v1/models" | jq -c '[.data[].id]'
curl -sS -m 20 "$url/v1/models/one" | jq -r .id
ask '"model":"one","input":["hello there","a b c","hello there"]'
head -n 1 got | jq -c '[.object, .model, (.data | length), .data[2].index,
    (.data[0].embedding | length), .data[0].embedding == .data[2].embedding,
    .data[0].embedding == .data[1].embedding,
    (.data[0].embedding | map(. * .) | add | . > 0.999 and . < 1.001),
    .usage.prompt_tokens > 3, .usage.prompt_tokens == .usage.total_tokens]'
head -n 1 got | jq -c '.data[0].embedding' >plain
ask '"model":"again","input":"hello there","encoding_format":"base64","dimensions":8'
head -n 1 got | jq -r '.data[0].embedding' >coded
python3 -c 'import base64, json, struct
coded = base64.b64decode(open("coded").read())
plain = json.load(open("plain"))
print(len(coded) // 4, struct.unpack("<%df" % len(plain), coded) == tuple(
    struct.unpack("<%df" % len(plain), struct.pack("<%df" % len(plain), *plain))))'
for more in '"model":"tiny","input":"a"' '"model":"one"' \
    '"model":"one","input":[]' '"model":"one","input":["a",""]' \
    '"model":"one","input":[1,2]' '"model":"one","input":"a","dimensions":4' \
    '"model":"one","input":"a","encoding_format":"hex"' '"input":"a"'; do
    ask "$more"
    head -n 1 got | jq -c '[.error.code, .error.param]'
done
python3 -c 'import json
print(json.dumps({"model": "one", "input": ["a"] * 2049}))' >many
curl -sS -m 20 "$url/v1/embeddings" -d @many | jq -c '[.error.code, .error.param]'
curl -sS -m 20 "$url/v1/chat/completions" \
    -d '{"model":"one","messages":[{"role":"user","content":"hi"}]}' |
    jq -c .error.code
kill "$server"
wait "$server"
echo "exit $?"
sqlite3 logs/store.db "SELECT upstream, count(*) FROM call
    WHERE upstream LIKE 'slm:%' GROUP BY 1"
