#!/bin/sh
# base-model.sh - train the shipped base model again, from nothing
#
# Run by `make base-model`; at most an hour on two cores. Stopped, it goes on
# where it was when run again. data/README.md tells about the recipe.
set -eu

slmctl=${SLMCTL:-build/release/slmctl}
agentgen=${AGENTGEN:-build/release/agentgen}
work=${BASE_DIR:-build/base}
in=$work/in

mkdir -p "$in"
for f in config.json generation_config.json tokenizer_config.json; do
    cmp -s "data/base/$f" "$in/$f" || cp "data/base/$f" "$in/$f"
done
[ -f "$in/chat_template.jinja" ] ||
    "$slmctl" model template --builtin > "$in/chat_template.jinja"

# stage N FROM TOKENS RATE: text of its own seed, then on from FROM's weights
stage() {
    n=$1 from=$2 tokens=$3 rate=$4
    shift 4
    [ -f "$work/text$n.jsonl" ] ||
        "$agentgen" base --seed "$n" --out "$work/text$n.jsonl"
    [ -f "$in/tokenizer.json" ] ||
        "$slmctl" model train-tokenizer --vocab 2000 \
            --special '<|endoftext|>' --special '<|im_start|>' \
            --special '<|im_end|>' --special '<tool_call>' \
            --special '</tool_call>' --output "$in/tokenizer.json" \
            "$work/text$n.jsonl"
    "$slmctl" finetune --init "$from" --tokenizer "$in" \
        --data "$work/text$n.jsonl" --loss answer --max-length 512 \
        --tokens "$tokens" --batch-tokens 2048 --pass-tokens 2048 \
        --lr "$rate" --decay 0.05 --validate-every 400 --seed 1 \
        --run "$work/run$n" --output "$work/out$n" "$@"
}

stage 1 "$in/config.json" 12000000 2e-3 "$@"
stage 2 "$work/out1" 8000000 1.5e-3 "$@"
cp "$work/out2/"* data/base/
