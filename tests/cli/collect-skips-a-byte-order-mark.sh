# Before the first line of a file, a packed file or a pipe it is no part of the
# line: the call is the same, and lines count as they stand. Elsewhere it is.
call='{"request":{"messages":[{"role":"user","content":"q"}]},"response":{"id":"r","choices":[{"message":{"role":"assistant","content":"a"}}]}}'
printf '\357\273\277%s\nnot a call\n\357\273\277%s\n' "$call" "$call" >marked.jsonl
printf '%s\n' "$call" >plain.jsonl
zstd -q marked.jsonl
slmctl collect --store s --import marked.jsonl --json 2>/dev/null |
    jq -c '[.added, .known, .rejected]'
slmctl collect --store s --import plain.jsonl --import marked.jsonl.zst --json 2>/dev/null |
    jq -c '[.added, .known, .rejected]'
{
    printf '\357'
    sleep 0.1
    printf '\273\277%s\n' "$call"
} | slmctl collect --store s --import - --json | jq -c '[.added, .known, .rejected]'
printf '\357\273\277' | slmctl collect --store s --import - --json |
    jq -c '[.lines, .rejected]'
cut -d, -f1,2 s/rejected/marked.jsonl-*.jsonl | grep -o '"line":[0-9]*'
