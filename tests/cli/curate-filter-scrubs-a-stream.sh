# Lines stay in order and JSON; what is no JSON is left out; spans are told in
# bytes of the decoded string; a conversation has surrogates of its own.
printf '%064d\n' 7 >key
chmod 600 key
export SLMCTL_KEY_FILE="$PWD/key"
cat >in.jsonl <<'L'
{"session_id":"a","x":"ada@love.org","y":["\u0061da@love.org"]}
no json
{"session_id":"b","x":"ada@love.org"}

{"n":1.50,"x":"nothing \/ here"}
L
slmctl curate --filter <in.jsonl >out.jsonl
echo "exit $?"
jq -r '.x, .y[0]?' out.jsonl | sort | uniq -c | sed 's/[a-z]*@[a-z.]*/E/' | sort
tail -1 out.jsonl
slmctl curate --filter --threads 1 <in.jsonl 2>/dev/null | cmp - out.jsonl
printf 'call \303\244 (415) 736-2671\n\n' |
    slmctl curate --filter --text --spans | sed 's/"surrogate.*//'
head -1 in.jsonl | slmctl curate --filter --spans |
    jq -c '.spans[] | [.pointer, .start, .end]'
cat >lines.jsonl <<'L'
{"address":"8346 Old Mill Road\nPortland, OR 97209"}
L
slmctl curate --filter --spans <lines.jsonl | jq -j '.spans[0].surrogate' >span
slmctl curate --filter <lines.jsonl | jq -j .address | cmp - span
env -u SLMCTL_KEY_FILE slmctl curate --filter --text <in.jsonl >one
env -u SLMCTL_KEY_FILE slmctl curate --filter --text <in.jsonl >two
cmp -s one two || echo 'random keys differ'
slmctl curate --filter --text <in.jsonl >/dev/full
echo "exit $?"
slmctl curate --filter --json
echo "exit $?"
slmctl curate --text
echo "exit $?"
