# A run whose validation is never better than the base's is no tuned model: one
# line, exit status 1, no row and no files; of --all the others go on.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 120
tiny_model 270 1 128
# Trained until more of the same only hurts.
slmctl finetune --task 1 --model tiny --method full --epochs 60 --patience -1 \
    --as good -q >/dev/null
echo "exit $?"
try() {
    slmctl finetune --model good --method full --epochs 1 --lr 0.05 -q "$@" \
        2>err
    echo "$*: exit $?"
    grep -c . err
    grep -o 'training gained nothing: .* before it and never lower\|no task can be trained' err
}
try --task 1 --as worse
try --task 1 --as worse # the finished run is found, and says the same
try --all
sqlite3 s/store.db "SELECT name FROM model WHERE kind <> 'base'"
ls s/models
slmctl finetune --init config.json --tokenizer base -d chats.jsonl --validation \
    chats.jsonl --lr 1e-12 -o new -q 2>err
echo "init: exit $?"
grep -o 'training gained nothing' err
ls new 2>/dev/null
