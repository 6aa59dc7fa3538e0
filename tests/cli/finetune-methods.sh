# Every method trains, tells its pairs and its memory, and can be tried first
# without training; wrong mixtures are refused.
. "$TREE/tests/cli/lib/common.subr"
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 60
# The same question again: "odd" three times, "unsure" once.
for i in 1 2 3; do
    [ $i = 3 ] && a=unsure || a=odd
    printf '{"conversation_id":"d%d","request":{"model":"gpt-4o","messages":[{"role":"system","content":"Say odd or even."},{"role":"user","content":"number 7"}]},"response":{"id":"again%d","choices":[{"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}]}}\n' $i $i $a
done >again.jsonl
slmctl collect --import again.jsonl -q >/dev/null
slmctl curate -q >/dev/null
slmctl cluster -q >/dev/null
tiny_model 280 2 256 2>/dev/null
train() {
    slmctl finetune --task 1 --model tiny --epochs 1 "$@" 2>err
}
train --dry-run | grep -c '^  \(documents\|tokens\|lengths\|left out\|memory\|steps\|time\) '
train --dry-run --json | grep -o '"schema":"slmctl.finetune-plan/1"'
ls s/models 2>/dev/null | wc -l
for o in '--method dora' '--method rslora' '--quantize nf4' \
    '--quantize int8 --merge' '--teacher tiny --mix 0.9 --temperature 2' \
    '--preference' '--method full' '--over-long cut --max-length 100 --rank 3'; do
    # shellcheck disable=SC2086 # words
    train -q --json $o | grep -o '"skipped": *[a-z]*'
done
train --preference --force --as pairs >out
grep -o '[0-9]* pairs from outcomes, [0-9]* from contradictory' err
grep -c 'MiB were in use' err
grep -o '"use_dora": true' s/models/*/adapter_config.json | wc -l
grep -l '"quantise\|"kernels"' s/runs/*/run.json | wc -l
# An adapter goes on, and its method with it.
dora=$(grep -l '"use_dora": true' s/models/*/adapter_config.json)
train -q --adapter "${dora%/*}" --as on >out && grep -o '"use_dora": true' s/models/on/adapter_config.json
# The same values with blocks computed again.
train -q --force --as kept >out
train -q --force --as anew --checkpoint-activations on --run anew >out
cmp s/models/kept/adapter_model.safetensors s/models/anew/adapter_model.safetensors && echo same bits
train --method full --preference || grep -o 'go with methods.*' err
train --logprobs --teacher tiny || grep -o 'three losses; say one' err
train --logprobs || grep -o 'no logged answer carries.*' err
train --max-memory 1M --force || grep -o 'needs about' err
