# Of a browser's recording the calls are taken, with a stream put together;
# keys stay behind. Pairs of bodies are told from it line by line.
cat >trace.har <<'.'
{
  "log": {
    "version": "1.2",
    "entries": [
      {"startedDateTime": "2025-06-15T15:06:40.000Z", "time": 50,
       "request": {"method": "GET", "url": "https://h.example/logo.png"},
       "response": {"status": 200, "content": {"size": 9}}},
      {"startedDateTime": "2025-06-15T15:06:41.000Z", "time": 70.5,
       "request": {"method": "POST",
                   "url": "https://h.example/v1/chat/completions?key=hidden",
                   "headers": [{"name": "Authorization", "value": "Bearer hidden"}],
                   "postData": {"text": "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}"}},
       "response": {"status": 200, "content": {"mimeType": "text/event-stream",
         "text": "data: {\"id\":\"r1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"a\"}}]}\n\ndata: {\"id\":\"r1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"}}},
      {"startedDateTime": "2025-06-15T15:06:42.000Z", "time": 10,
       "request": {"method": "POST", "url": "https://h.example/v1/messages",
                   "postData": {"text": "{\"messages\":[]}"}},
       "response": {"status": 200, "content": {"size": 400}}}
    ]
  }
}
.
slmctl collect --json --import trace.har | jq -c '[.added, .skipped, .rejected]'
slmctl store export >out
jq -c '[.timestamp, .upstream, .status, .latency_ms, .cut, .response.choices[0].message.content]' out
grep -rl hidden out "$SLMCTL_STORE" 2>/dev/null
cat >pairs.jsonl <<'.'
{"custom_id":"c1","params":{"max_tokens":9,"system":"be short","messages":[{"role":"user","content":"who?"}]},"result":{"type":"succeeded","message":{"id":"m1","type":"message","role":"assistant","content":[{"type":"text","text":"nobody"}],"stop_reason":"end_turn"}}}
{"request":"{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}","response":"{\"id\":\"r2\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\",\"content\":\"b\"}}]}"}
{"request":"nonsense","response":"{}"}
.
slmctl collect --json --store pairs --import pairs.jsonl 2>/dev/null |
    jq -c '[.added, .skipped, .rejected]'
slmctl store export --store pairs | jq -c '.request.messages, .response.choices[0].message'
jq -r .reason pairs/rejected/*
slmctl curate -q && slmctl curate --decisions - | cut -f1,4,5
slmctl curate -q --store pairs
slmctl curate --store pairs --decisions - | cut -f1,4,5
