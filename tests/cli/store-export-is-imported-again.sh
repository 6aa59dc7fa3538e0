# What export writes, collect reads: the same calls, in the same order.
for i in 1 2 3; do
    printf '{"timestamp":17500000%s0,"client_id":"c%s","latency_ms":12.5,"request":{"model":"m","messages":[{"role":"user","content":"q %s"}]},"response":{"id":"r%s","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"a\\u0000b"}}]}}\n' "$i" "$i" "$i" "$i"
done >calls.jsonl
printf '{"request":{"messages":[]},\r"response":{"error":{"code":"slow"}}}\n' >>calls.jsonl
slmctl collect -q --import calls.jsonl
slmctl store export one.jsonl
slmctl collect -q --store other --import one.jsonl
slmctl store export --store other | cmp - one.jsonl && wc -l <one.jsonl
jq -c '[.timestamp, .client_id, .status, .latency_ms, .response.error.code]' one.jsonl
slmctl store export --format none
echo "exit $?"
SLMCTL_STORE=nowhere slmctl store export
echo "exit $?"
