#!/bin/sh
# overfit.sh SLMCTL - 64 tool calls are learnt by heart by a small model from
# random weights: every answer comes back to the byte through the template, the
# tokenizer, the mask, the cache and the written files.
set -u
slmctl=$(readlink -f "$1")
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1

# FILE: a line {"messages": [...], "tools": [...]} each; FILE.want: the calls.
examples() { # FILE
    awk -v want="$1.want" 'BEGIN {
        split("Oslo Lima Rome Kyiv Bern Baku Doha Riga", city, " ")
        split("red blue grey pink gold lime teal mint", hue, " ")
        tool = "{\"type\":\"function\",\"function\":{\"name\":\"%s\"}}"
        for (i = 0; i < 64; i++) {
            name = i < 32 ? "forecast" : "book"
            c = city[i % 8 + 1]; n = 11 + 10 * int(i / 8) + i * 5 % 8
            printf "{\"messages\":[{\"role\":\"system\",\"content\":" \
                   "\"Call a tool.\"},{\"role\":\"user\",\"content\":" \
                   "\"%s %s\"},{\"role\":\"assistant\",\"content\":" \
                   "null,\"tool_calls\":[{\"id\":\"c%d\",\"type\":" \
                   "\"function\",\"function\":{\"name\":\"%s\"," \
                   "\"arguments\":\"{\\\"city\\\":\\\"%s\\\"," \
                   "\\\"days\\\":%d}\"}}]}],\"tools\":[", hue[int(i / 8) + 1], c, i, name, c, n
            printf tool "," tool "]}\n", "forecast", "book"
            printf "{\"name\":\"%s\",\"arguments\":{\"city\":\"%s\"," \
                   "\"days\":%d}}\n", name, c, n >want
        } }' >"$1"
}

# Prompts through the template, answers through generate.
reproduce() { # EXAMPLES MODEL [OPTION...]
    file=$1
    model=$2
    shift 2
    sed 's/,{"role":"assistant".*}\],"tools"/],"tools"/;
         s/^\(.*\)}$/{"context":\1,"add_generation_prompt":true}}/' "$file" |
        "$slmctl" model template "$model" >prompts.jsonl || exit 1
    : >got
    while read -r line; do
        printf '%s' "$line" | sed 's/^{"output":"//; s/"}$//; s/\\"/"/g' |
            awk '{ gsub(/\\n/, "\n"); printf "%s", $0 }' |
            "$slmctl" generate --model "$model" --raw --threads 1 \
                --max-tokens 80 "$@" 2>>log |
            tr -d '\n' | sed 's/<tool_call>//; s/<\/tool_call>.*//' >>got
        echo >>got
    done <prompts.jsonl
    right=$(paste -d '#' "$file.want" got | tr -d ' ' |
        awk -F '#' '{ n += $1 == $2 } END { print n + 0 }')
    if [ "$right" != 64 ]; then
        echo "$model $*: $right of 64 answers came back; $(cat log)"
        paste -d '\n' "$file.want" got | head -n 8
        exit 1
    fi
}

examples calls.jsonl
mkdir tokenizer
"$slmctl" model template --builtin >tokenizer/chat_template.jinja
"$slmctl" model train-tokenizer -q -n 320 --special '<|im_start|>' \
    --special '<|im_end|>' -o tokenizer/tokenizer.json calls.jsonl 2>log
cat >config.json <<'JSON'
{"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":320,
"hidden_size":64,"intermediate_size":192,"num_hidden_layers":2,
"num_attention_heads":4,"num_key_value_heads":2,"head_dim":16,
"max_position_embeddings":512,"rms_norm_eps":1e-5,"rope_theta":10000,
"tie_word_embeddings":true,"initializer_range":0.08,"eos_token_id":1}
JSON
begin=$(date +%s)
"$slmctl" finetune --init config.json --tokenizer tokenizer \
    -d calls.jsonl --validation calls.jsonl --loss answer --epochs 120 \
    --batch-tokens 1024 --lr 0.003 --dtype f32 -o base >log 2>&1 || {
    cat log
    exit 1
}
trained=$(date +%s)
reproduce calls.jsonl base
echo "note: 64 of 64 tool calls reproduced: $((trained - begin)) s to learn, $(($(date +%s) - trained)) to answer"
