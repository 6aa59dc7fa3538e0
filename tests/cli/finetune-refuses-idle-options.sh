# An option that was typed and would change nothing is refused with one line;
# what the environment says for all runs may be idle.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 30
tiny_model 270 1 128
: >empty.jsonl
init() {
    slmctl finetune --init config.json --tokenizer base --data chats.jsonl \
        --tokens 500 --output new -q "$@"
    echo "init $*: $?"
}
tune() {
    slmctl finetune --task 1 --model tiny -q "$@" >/dev/null
    echo "$*: $?"
}
init --method lora
init --method dora
init --rank 4
init --alpha 4
init --targets q_proj
init --merge
init --as x
init --model tiny
init --force
init --minutes 1
init --validation empty.jsonl
tune --mix 0.5
tune --temperature 2
tune --temperature 2 --logprobs
tune --beta 0.2
tune --beta 0.2 --teacher tiny
tune --loss answer
tune --validation chats.jsonl
tune --tokenizer base
tune --tokens 100 --minutes 1
tune --epochs 1 --tokens 100
tune --method full --rank 4
tune --method full --merge
tune --method full --targets q_proj
tune --dtype bf16
tune --alpha 0
tune --minutes 0
tune --warmup 0
tune --clip 0
tune --patience 0
tune --all
SLMCTL_RANK=4 SLMCTL_MIX=0.5 SLMCTL_BETA=0.2 SLMCTL_DTYPE=bf16 init
tune --method dora --tokens 400 --output dora
tune --method lora --adapter dora
tune --method rslora+dora --adapter dora
tune --rank 4 --adapter dora
tune --method dora --adapter dora --tokens 400 --as on
ls
