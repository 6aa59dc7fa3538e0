# With --format records of another kind are rejected: none becomes a call with
# half of its texts, and none is passed over in silence.
printf '{"custom_id":"c","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[{"role":"user","content":"q"}]},"response":{"status_code":200,"body":{"id":"r","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"a"}}]}},"error":null}\n' >batch.jsonl
for format in exchange chat litellm otlp har langfuse pairs; do
    printf '%s ' $format
    slmctl collect --json --store $format --format $format \
        --import batch.jsonl 2>/dev/null | jq -c '[.added, .rejected]'
done
