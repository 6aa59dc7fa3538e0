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
grep "^{" err | jq -r .message
