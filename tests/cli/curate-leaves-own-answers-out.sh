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
slmctl store export >again.jsonl
slmctl collect --store t --import again.jsonl -q
slmctl curate --store t --json -q | jq -c '[.calls, .kept, .dropped.own]'
