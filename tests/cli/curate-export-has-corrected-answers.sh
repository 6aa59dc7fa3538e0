# What an outcome says is better is exported in place of the logged answer,
# scrubbed, as a text or as the message that it is.
. "$TREE/tests/cli/lib/curate.subr"
curate_store
say() { # RESPONSE OUTCOME
    sqlite3 store/store.db "SELECT id FROM call WHERE response_id = '$1'" |
        sed "s/.*/{\"call\": &, $2}/"
}
{
    say r8 '"answer": "ask bob@mail.example.net"'
    say r9 '"answer": {"role": "assistant", "content": "four", "extra": 1}'
    say r10 '"label": "six"'
    say r11 '"reward": 0'
} >better
slmctl curate --quiet
slmctl collect --outcomes better --quiet
slmctl curate --quiet --export all.jsonl --split all
grep -c 'bob@' all.jsonl
jq -c 'select(.messages[0].content | test("^What is [1-4] ")) | .messages |
    [.[0].content, .[-1]]' all.jsonl | sed 's/ask [^"]*@[^"]*/ask ADDRESS/' | sort
# A label is the answer where answers are labels.
sqlite3 store/store.db "INSERT INTO task(name, label, kind, created)
    VALUES('sums', 'x', 'label', 0); UPDATE example SET task = 1"
slmctl curate --quiet --export - --split all | grep -c '"six"'
