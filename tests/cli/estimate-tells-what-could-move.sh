# Without a store, the same on standard input and whatever the threads; lines
# that cannot be read are passed over and told, and Markdown has the same tasks.
for i in $(seq 1 40); do
    printf '{"timestamp": %d, "request": {"model": "gpt-4o", "messages": [{"role": "system", "content": "Name the team."}, {"role": "user", "content": "ticket %d"}]}, "response": {"choices": [{"message": {"role": "assistant", "content": "billing"}}], "usage": {"prompt_tokens": 50, "completion_tokens": 2}}}\n' \
        $((1700000000 + i * 10000)) $((i / 2))
done >log.jsonl
slmctl estimate log.jsonl
slmctl estimate --json --threads 1 log.jsonl >one.json
slmctl estimate --json --threads 3 - <log.jsonl >three.json
cmp one.json three.json && echo same
echo 'no call' >>log.jsonl
slmctl estimate --json --markdown a.md log.jsonl >out.json || echo "exit $?"
grep -c '^| .*label' a.md
ls "$HOME" | wc -l
: >empty
slmctl estimate empty || echo "exit $?"
slmctl estimate nowhere || echo "exit $?"
slmctl estimate --prices empty log.jsonl || echo "exit $?"
echo '{"gpt-4o": {"input_cost_per_token": -1, "output_cost_per_token": 1}, "other": {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}}' >prices.json
slmctl estimate --json --prices prices.json log.jsonl >out.json || echo "exit $?"
