# A run that is too much for --max-memory is told the length of examples that
# fits, and that length fits; it is told of no option that it refuses or has.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 60
tiny_model 270 2 4096
# A conversation with a long question, of about as many tokens as letters.
printf '{"messages":[{"role":"user","content":"%s"},{"role":"assistant","content":"even"}]}\n' \
    "$(seq 1 700 | tr '\n' ' ')" >>chats.jsonl
new() {
    slmctl finetune --init config.json --tokenizer base -d chats.jsonl \
        --tokens 60 --max-length 4096 -o new --dry-run "$@" 2>err
}
total() {
    sed -n 's/.*"memory":{"total":\([0-9]*\).*/\1/p' plan
}
new --checkpoint-activations on --json -q >plan
whole=$(total)
new --max-length 64 --pass-tokens 64 --checkpoint-activations on --json -q >plan
limit=$(((whole + $(total)) / 2))
new --max-memory $limit || echo "exit $?"
grep -c 'quantize' err
length=$(sed -n 's/.*; --max-length \([0-9]*\) would fit$/\1/p' err)
[ "${length:-0}" -ge 128 ] && new --max-memory $limit --max-length "$length" >plan &&
    echo 'that length fits'
new --max-memory 1M || grep -o '; a smaller model may$' err
new --max-memory $limit --checkpoint-activations off ||
    grep -o 'would fit without --checkpoint-activations off$' err
task() {
    slmctl finetune --task 1 --model tiny --max-memory 1M "$@" 2>err ||
        sed -n 's/.*; a smaller/a smaller/p' err
}
task
task --quantize nf4
task --method full
