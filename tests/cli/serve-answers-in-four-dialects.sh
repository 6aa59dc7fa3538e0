# The shipped base answers chats, completions, responses and messages, refuses
# in their words, and stops when it is told to; the log has what it answered.
. "$TREE/tests/cli/lib/wait.subr"
command -v curl >/dev/null || { echo 'skip: curl is not installed'; exit 0; }
slmctl serve --store logs --no-such 2>/dev/null
echo "exit $?"
slmctl serve --store logs --listen 127.0.0.1:0 2>/dev/null
echo "exit $?"
slmctl serve --store logs --listen 127.0.0.1:0 --model none=/no/where 2>refused
echo "exit $?, $(wc -l <refused) line"
slmctl serve --store logs --listen 127.0.0.1:0 --model "tiny=$TREE/data/base" \
    2>said &
server=$!
await said 'listening on'
url=http://127.0.0.1:$(address said)
ask() { # PATH BODY [curl's options]
    path=$1 body=$2
    shift 2
    curl -sS -m 20 "$@" "$url$path" -d "$body"
}
hi='"messages":[{"role":"user","content":"hi"}]'
tool='"name":"w","description":"d"'
schema='{"type":"object","properties":{"c":{"enum":["Rome"]}},"required":["c"],"additionalProperties":false}'
curl -sS -m 20 "$url/health"
echo
curl -sS -m 20 "$url/v1/models" | jq -c '[.object, .data[].id]'
curl -sS -m 20 "$url/v1/models/none" | jq -r .error.code
ask /v1/chat/completions '{"model":"tiny","max_tokens":3,'"$hi}" |
    jq -c '[.object, .model, .choices[0].message.role, .usage.prompt_tokens > 3]'
ask /v1/chat/completions '{"model":"tiny","max_tokens":90,"tools":[{"type":"function","function":{'"$tool"',"parameters":'"$schema"'}}],"tool_choice":"required",'"$hi}" |
    jq -c '.choices[0] | [.finish_reason, (.message.tool_calls[0].function | .name, (.arguments | fromjson))]'
ask /v1/chat/completions '{"model":"tiny","max_tokens":9,"stream":true,"stream_options":{"include_usage":true},"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"enum":["yes"]}}},'"$hi}" >stream
tail -n 2 stream
sed -n 's/^data: {/{/p' stream |
    jq -cs '[(map(.choices[0].delta.content // "") | add), last.usage.completion_tokens > 0]'
ask /v1/completions '{"model":"tiny","prompt":"hi","max_tokens":2,"logprobs":2}' |
    jq -c '[.object, (.choices[0].logprobs | .tokens, .token_logprobs, .top_logprobs | length <= 2)]'
ask /v1/messages '{"model":"tiny","max_tokens":90,"tools":[{'"$tool"',"input_schema":'"$schema"'}],"tool_choice":{"type":"tool","name":"w"},'"$hi}" |
    jq -c '[.stop_reason, .content[-1].type, .content[-1].input]'
ask /v1/responses '{"model":"tiny","max_output_tokens":9,"input":"hi","text":{"format":{"type":"json_schema","name":"a","schema":{"enum":["yes"]}}}}' |
    jq -c '[.status, .output[0].content[0].text]'
for body in '{' '{"model":"none",'"$hi}" '{"model":"tiny","n":2,'"$hi}" \
    '{"model":"tiny","logit_bias":{"1":2},'"$hi}" \
    '{"model":"tiny","frequency_penalty":0.5,'"$hi}" '{"model":"tiny"}'; do
    ask /v1/chat/completions "$body" -w '\n%{http_code}\n' >got
    head -n 1 got | jq -c '[.error.code, .error.param]'
    tail -n 1 got
done
ask /v1/messages '{"model":"tiny","tool_choice":{"type":"x"},'"$hi}" |
    jq -c '[.type, .error.type]'
curl -sS -m 20 -o got -w '%{http_code}\n' -H 'Host: elsewhere.example' "$url/health"
curl -sS -m 20 -o got -w '%{http_code}\n' -X DELETE "$url/v1/messages"
kill "$server"
wait "$server"
echo "exit $?"
slmctl status --store logs --json | jq .calls
