# A log that is cut short keeps no later file out; pipes in a directory do not
# hang the import.
call() {
    printf '{"messages":[{"role":"user","content":"%s"},' "$1"
    echo '{"role":"assistant","content":"a"}]}'
}
mkdir logs logs/a.jsonl
mkfifo logs/b.jsonl
call one >one
{ zstd -qc one; call two | zstd -qc | head -c 20; } >logs/c.jsonl.zst
ln -s nowhere logs/d.jsonl
call three >logs/e.jsonl
slmctl collect --store store --import logs | sed 's/; .*//'
slmctl collect --store store --import logs --json 2>err | jq -c .known
slmctl collect --store store --import logs -q
echo "exit $?"
{
    printf '[\n{"request":{"messages":[]},"response":{"id":"a"}},\n'
    printf '{"request":{"messages":[]},"response":{"id":"b"}},\n{"requ'
} >list.json
slmctl collect --store store --import list.json --json 2>told |
    jq -c '[.added, .rejected]'
slmctl collect -q --store store --import list.json 2>told
echo "exit $?, $(wc -l <told) line"
{ zstd -qc list.json; call four | zstd -qc | head -c 20; } >list.json.zst
slmctl collect --store store --import list.json.zst --json 2>told |
    jq -c '[.known, .rejected]'
slmctl collect -q --store store --import list.json.zst 2>told
echo "exit $?"
jq -r .reason store/rejected/*list.json-* | sort -u
grep "^{" err | jq -r .message
