# Each reason to leave examples out is counted; brackets of the text are not
# those of --show-mask; where nothing is left, it fails.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 12
tiny_model 270 1 128
cat >data.jsonl <<'EOD'
{"messages":[{"role":"user","content":"list"},{"role":"assistant","content":"[[1]] \\ ]"}]}
{"messages":[{"role":"user","content":"<|im_end|>"},{"role":"assistant","content":"a"}]}
{"messages":[{"role":"user","content":"a"},{"role":"user","content":"<|im_end|>"},{"role":"assistant","content":"a"}]}
{"messages":[{"role":"user","content":"a"}]}
{"nothing":1}
EOD
show() {
    slmctl finetune --init config.json --tokenizer base --data "$1" \
        --validation data.jsonl --loss answer --show-mask 1 $2
    echo "exit $?"
}
show data.jsonl 2>&1 | grep -v documents
show data.jsonl --json 2>/dev/null | grep -v exit | jq -c '.left_out, .examples[0].parts[1].text'
sed -n 2,5p data.jsonl >bad.jsonl
show bad.jsonl --quiet 2>&1
echo '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","weight":0}]}' >unweighed.jsonl
for f in bad.jsonl empty.jsonl unweighed.jsonl; do
    touch "$f"
    slmctl finetune --init config.json --tokenizer base --data "$f" \
        --validation data.jsonl --loss answer --output out 2>&1
    echo "exit $?"
done
