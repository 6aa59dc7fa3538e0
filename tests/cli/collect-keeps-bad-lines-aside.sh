# Bad lines end nothing: they are kept with number and reason, exit 3.
cat >log.jsonl <<'.'
{"request":{"messages":[]},"response":{"error":{"code":"busy"}}}
not json

{"request":{"messages":[]}}
{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}
.
slmctl collect --store store --import log.jsonl 2>err | sed 's/; .*//'
slmctl collect --store store --import log.jsonl --quiet 2>>err
echo "exit $?"
sed 's/-[0-9a-f]*\.jsonl/-HASH.jsonl/' err
jq -c '[.source, .line, .reason, .text]' store/rejected/*.jsonl
slmctl status --store store --json | jq -c .statuses
sed -n 1p log.jsonl >clean && cp clean log.jsonl
slmctl collect --store store --import log.jsonl
echo "exit $?"
ls store/rejected
