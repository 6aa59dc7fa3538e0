#!/bin/sh
# base-model.sh - train the shipped base model again, from nothing
#
# Run by `make base-model`; at most an hour on two cores. Stopped, it goes on
# where it was when run again. data/README.md tells about the recipe.
set -eu

slmctl=${SLMCTL:-build/release/slmctl}
agentgen=${AGENTGEN:-build/release/agentgen}
work=${BASE_DIR:-build/base}
tokens=${BASE_TOKENS:-12000000}
in=$work/in

mkdir -p "$in"
[ -f "$work/base.jsonl" ] || "$agentgen" base --out "$work/base.jsonl"
for f in config.json generation_config.json tokenizer_config.json; do
    cmp -s "data/base/$f" "$in/$f" || cp "data/base/$f" "$in/$f"
done
[ -f "$in/chat_template.jinja" ] ||
    "$slmctl" model template > "$in/chat_template.jinja"
[ -f "$in/tokenizer.json" ] ||
    "$slmctl" model train-tokenizer --vocab 2000 \
        --special '<|endoftext|>' --special '<|im_start|>' \
        --special '<|im_end|>' --special '<tool_call>' \
        --special '</tool_call>' --output "$in/tokenizer.json" \
        "$work/base.jsonl"
"$slmctl" finetune --init "$in/config.json" --tokenizer "$in" \
    --data "$work/base.jsonl" --loss answer --max-length 512 \
    --tokens "$tokens" --batch-tokens 2048 --pass-tokens 2048 \
    --lr 2e-3 --decay 0.05 --validate-every 400 --seed 1 \
    --run "$work/run" --output "$work/out" "$@"
cp "$work/out/"* data/base/
