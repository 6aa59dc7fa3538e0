# The same lines from a file, another file, zstd and stdin: one set of calls.
call() { # ID
    printf '{"request":{"messages":[{"role":"user","content":"%s"}]},' "$1"
    printf '"response":{"id":"%s","choices":[]}}\n' "$1"
}
{ call a; call b; call a; } >one.jsonl
counts() { jq -c '[.files, .lines, .added, .known, .rejected]'; }
export SLMCTL_STORE=store
slmctl collect --json --import one.jsonl | counts
cp one.jsonl two.jsonl
slmctl collect --json --import two.jsonl | counts
zstd -q two.jsonl -o three.zst
slmctl collect --json --import three.zst --import - <one.jsonl | counts
slmctl collect --quiet --import one.jsonl
mkdir logs
cp one.jsonl logs/a.jsonl
call c | zstd -q >logs/b.jsonl.zst
slmctl collect --json --import logs | counts
slmctl collect --import logs
slmctl status --json | jq -c '[.calls, .encrypted, .bytes > .raw_bytes]'
ls store
