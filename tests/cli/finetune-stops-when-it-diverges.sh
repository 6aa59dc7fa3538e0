# A loss far above where it began ends the run with exit status 1 and the last
# good checkpoint; a lower rate begins anew.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 120
tiny_model 270 1 128
train() {
    slmctl finetune --task 1 --model tiny --method full --batch-tokens 128 "$@" \
        >out 2>err
    echo "exit $?"
    grep -o 'diverged after step\|there was no checkpoint yet.*' err
}
train --lr 10
ls s/models 2>/dev/null | wc -l
# Good steps first: a long warm-up to the same rate.
train --lr 10 --warmup 0.9 --epochs 30 --run run --checkpoint-every 1
kept=$(grep -o 'checkpoint of step [0-9]* is kept in run' err | grep -o '[0-9]*')
last=$(grep -o 'after step [0-9]*' err | grep -o '[0-9]*')
[ "$kept" -gt 1 ] && [ "$kept" -lt "$last" ] && echo 'the last good one is kept'
grep -aoF "step\\\":$kept," run/checkpoint.safetensors | head -n 1 | wc -l
train --lr 0.01
