# A small model's answers, as the router logs them, are no examples, also after
# an export and an import; one with a corrected answer is.
export SLMCTL_STORE=s SLMCTL_NO_ENCRYPTION=true SLMCTL_KEY_FILE="$PWD/key"
printf '%064d\n' 7 >key
chmod 600 key
call() { # N UPSTREAM MORE
    printf '{"upstream":"%s","request":{"model":"m","messages":[{"role":"user","content":"question %d"}]},"response":{"id":"r%d","choices":[{"message":{"role":"assistant","content":"answer %d"},"finish_reason":"stop"}]}%s}\n' \
        "$2" "$1" "$1" "$1" "$3"
}
{
    call 1 https://api.example.com ''
    call 2 slm:sort-1 ''
    call 3 slm:sort-1 ',"outcome":{"answer":"better"}'
} >log.jsonl
slmctl collect --import log.jsonl -q
slmctl curate --json -q | jq -c '[.calls, .kept, .dropped.own]'
# Corrected later: it becomes an example, in a group of its own.
echo '{"response_id":"r2","outcome":{"answer":"corrected","reward":0.5,"by":{"n":1}}}' >later.jsonl
slmctl collect --outcomes later.jsonl -q
slmctl status --json | jq -c '.stages[] | select(.name == "curate").due'
slmctl curate --json -q | jq -c '[.calls, .kept, .dropped.own]'
slmctl status --json | jq -c '.stages[] | select(.name == "curate").due'
slmctl curate --export examples.jsonl -q >/dev/null
grep -c '"content":"corrected"' examples.jsonl
slmctl store export >again.jsonl
jq -c '.outcome' again.jsonl
slmctl collect --store t --import again.jsonl -q
slmctl curate --store t --json -q | jq -c '[.calls, .kept, .dropped.own]'
