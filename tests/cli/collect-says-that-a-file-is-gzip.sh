# A file of gzip is no thousand bad lines: one line says what it is, and what
# comes after it is read.
printf '{"request":{"messages":[]},"response":{"id":"%s"}}\n' a >a.jsonl
gzip -c a.jsonl >z.jsonl
slmctl collect --import z.jsonl --import a.jsonl --json | jq -c '[.added,.rejected]'
slmctl collect -q --import - <z.jsonl
echo "exit $?"
