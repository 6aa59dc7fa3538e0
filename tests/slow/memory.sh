#!/bin/sh
# memory.sh SLMCTL - a model of SmolLM2-135M's shape with random weights, in a
# directory of the real layout: it trains 20 steps by LoRA and is exported, and
# a few steps by every other method. The peak of memory is within 15 % of the
# estimate that was told before.
set -u
slmctl=$(readlink -f "$1")
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
export SLMCTL_STORE=store SLMCTL_KEY_FILE="$scratch/key"
printf '%064d\n' 7 >key
chmod 600 key

die() {
    echo "$1"
    [ $# -lt 2 ] || cat "$2"
    exit 1
}

# Every tenth question comes again, with another answer once.
awk 'function say(id, n, a) {
    printf "{\"conversation_id\":\"%s\",\"request\":{\"model\":\"m\"," \
           "\"messages\":[{\"role\":\"system\",\"content\":\"Say whether " \
           "the number is odd or even.\"},{\"role\":\"user\",\"content\":" \
           "\"number %d\"}]},\"response\":{\"id\":\"%s\",\"choices\":[{" \
           "\"message\":{\"role\":\"assistant\",\"content\":\"%s\"}," \
           "\"finish_reason\":\"stop\"}]}}\n", id, n, id, a }
    BEGIN { for (i = 0; i < 400; i++) {
        a = i % 2 ? "odd" : "even"
        say("c" i, i, a)
        if (i % 10 == 0) { say("d" i, i, a); say("e" i, i, "unsure") } } }' \
    >log.jsonl
{
    "$slmctl" collect -q --import log.jsonl && "$slmctl" curate -q &&
        "$slmctl" curate -q --export chats.jsonl && "$slmctl" cluster -q
} >out 2>err || die "the store:" err
mkdir base
"$slmctl" model template --builtin >base/chat_template.jinja
"$slmctl" model train-tokenizer -q -n 320 --special '<|im_start|>' \
    --special '<|im_end|>' -o base/tokenizer.json chats.jsonl 2>err
cat >config.json <<'END'
{"architectures": ["LlamaForCausalLM"], "model_type": "llama",
 "attention_bias": false, "bos_token_id": 1, "eos_token_id": 2,
 "hidden_act": "silu", "hidden_size": 576, "initializer_range": 0.02,
 "intermediate_size": 1536, "max_position_embeddings": 8192,
 "num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3,
 "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 100000,
 "tie_word_embeddings": true, "torch_dtype": "bfloat16", "vocab_size": 49152}
END

# near NAME LOG: the line that tells the peak, which must be near.
near() {
    told=$(sed -n 's/^.*: at most \(.*\)$/\1/p' "$2")
    [ -n "$told" ] || die "$1 tells no peak" "$2"
    speed=$(sed -n 's/^[0-9]* steps.*(\(.*\)):.*/\1/p' "$2")
    echo "note: $(printf '%-24s' "$1") at most $told${speed:+, $speed}"
    echo "$told" | awk -F '[(%]' '{ exit !($2 >= -15 && $2 <= 15) }' ||
        die "$1: the estimate is more than 15 % off"
}

"$slmctl" finetune --init config.json --tokenizer base -d chats.jsonl \
    --tokens 60 --batch-tokens 64 --pass-tokens 64 -o smol >out 2>err ||
    die "from random weights:" err
near 'random weights, full' err
"$slmctl" model verify smol >out || die "model verify:" out

# train NAME [OPTION...]
train() {
    name=$1
    shift
    "$slmctl" finetune --task 1 --model smol --force --as "$name" --run run \
        --output "out-$name" --pass-tokens 256 "$@" >out 2>err ||
        die "$name:" err
    near "$name" err
    rm -rf run
}
few='--batch-tokens 256 --tokens 250'

"$slmctl" finetune --task 1 --model smol --dry-run --json -q --tokens 1600 \
    --batch-tokens 64 --pass-tokens 256 >plan.json || die "no plan"
begin=$(date +%s)
train lora --tokens 1600 --batch-tokens 64
echo "note: a dry run said $(jq .steps plan.json) steps," \
    "$(jq '.seconds | round' plan.json) s; $(grep -o '^[0-9]* steps, .*' err);" \
    "$(($(date +%s) - begin)) s with loading and checking"
"$slmctl" model merge smol --adapter out-lora -o merged >out 2>err ||
    die "merge:" err
"$slmctl" model convert merged --to gguf --type Q8_0 -o merged.gguf >out 2>err ||
    die "convert:" err
# shellcheck disable=SC2086 # options
{
    train merged $few --merge
    "$slmctl" finetune --task 1 --model smol --dry-run --json -q $few \
        --pass-tokens 256 >plan.json
    most=$(jq '.memory.total - .memory.activations / 2 | floor' plan.json)
    train limited $few --max-memory "$most"
    grep -q 'blocks computed again' err || die "no block is computed again" err
    train nf4 $few --quantize nf4
    train int8 $few --quantize int8
    train dora $few --method dora
    train taught $few --teacher smol
    train pairs $few --preference
    train full $few --method full --dtype f32
}
