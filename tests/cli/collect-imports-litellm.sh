# LiteLLM's payloads: one a line, in an array, and an array over many lines;
# each is the same call. What LiteLLM has cut is marked.
cat >one.jsonl <<'.'
{"id":"p1","trace_id":"t1","call_type":"acompletion","status":"success","startTime":1750000000.5,"endTime":1750000001.75,"completionStartTime":1750000001.0,"model":"gpt-x","api_base":"https://api.example.com/v1/","end_user":"u1","response_cost":0.01,"request_tags":["a"],"prompt_tokens":5,"completion_tokens":2,"messages":[{"role":"user","content":"q"}],"model_parameters":{"temperature":0,"tools":[{"type":"function","function":{"name":"f"}}],"extra_headers":{"Authorization":"Bearer secret"}},"response":{"id":"r1","object":"chat.completion","model":"gpt-x-1","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"a"}}],"usage":{"prompt_tokens":5,"completion_tokens":2}}}
{"id":"p2","call_type":"completion","status":"failure","startTime":"2025-06-15T15:06:41.250Z","endTime":"2025-06-15T15:06:41.500Z","model":"gpt-x","messages":"alone","response":null,"error_str":"Rate limit","error_information":{"error_code":"429","error_class":"RateLimitError"}}
{"id":"p3","call_type":"completion","status":"success","startTime":1750000002,"endTime":1750000003,"model":"gpt-x","messages":[{"role":"user","content":"redacted-by-litellm"}],"response":{"id":"r3","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"redacted-by-litellm"}}]}}
.
jq -sc . one.jsonl >array.json
jq -s . one.jsonl >pretty.json
for f in one.jsonl array.json pretty.json; do
    slmctl collect --json --import "$f" --store "$f.store" |
        jq -c '[.added, .rejected, .skipped]'
    slmctl store export --store "$f.store" >"$f.out"
done
cmp one.jsonl.out array.json.out
jq -c '[.timestamp, .conversation_id, .client_id, .upstream, .status, .http_status, .latency_ms, .ttft_ms, .error]' one.jsonl.out
jq -c .request,.response one.jsonl.out
jq -c . pretty.json.out >compact
jq -c . one.jsonl.out | cmp - compact
# Damage stays in its line, also with the format forced.
printf '[\n{"startTime":1\n' >bad.json
printf '{"request": {\n' >torn.jsonl
for f in bad.json torn.jsonl; do
    slmctl collect -q --format litellm --import "$f" --store bad 2>err
    echo "exit $?"
done
jq -r .reason bad/rejected/*
# What was cut is never learnt from.
slmctl curate -q --store one.jsonl.store
slmctl curate --store one.jsonl.store --decisions - | cut -f1,4,5
