#!/bin/sh
# kill_train.sh SLMCTL - kill -9 training twenty times at random points and
# resume: the model and the metrics must equal those of an uninterrupted run,
# byte for byte; and the same on one, two and three threads. From random
# weights, and by each method on a task.
set -u
slmctl=$1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
kills=20

cat >"$scratch/config.json" <<'END'
{"model_type": "llama", "hidden_size": 48, "intermediate_size": 96,
 "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
 "vocab_size": 320, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
 "rope_theta": 10000.0, "tie_word_embeddings": true, "eos_token_id": 0}
END
awk 'BEGIN { for (i = 0; i < 4000; i++)
    printf "item %d costs %d and %d more\n\n", i % 97, i * 7 % 89, i % 11 }' \
    >"$scratch/text.txt"
"$slmctl" model train-tokenizer --quiet --vocab 264 \
    --output "$scratch/tokenizer" "$scratch/text.txt" || exit 1

# Becomes the program, so that its process is the one that is killed.
train() { # OUTPUT [OPTION...]
    out=$1
    shift
    exec "$slmctl" finetune --quiet --init "$scratch/config.json" \
        --tokenizer "$scratch/tokenizer" --data "$scratch/text.txt" \
        --output "$out" --epochs 2 --batch-tokens 1024 --checkpoint-every 1 \
        "$@"
}

same() { # A B
    cmp "$1/model.safetensors" "$2/model.safetensors" || exit 1
    for f in "$1" "$2"; do
        sed 's/,"seconds".*//' "$f.run/metrics.jsonl" >"$f.metrics"
    done
    cmp "$1.metrics" "$2.metrics" || exit 1
}

below() {
    od -An -N4 -tu4 /dev/urandom | awk -v n="$1" '{ print $1 % n }'
}

begin=$(date +%s%N)
(train "$scratch/whole") || exit 1
ms=$((($(date +%s%N) - begin) / 1000000 / 4 + 50))
[ $ms -gt 900 ] && ms=900
hits=0
while [ $hits -lt $kills ]; do
    train "$scratch/killed" &
    pid=$!
    sleep "$(printf '0.%03d' "$(below $ms)")"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    if [ $? -eq 137 ]; then
        hits=$((hits + 1))
        continue
    fi
    # It got to its end between two kills: compare, and begin another.
    same "$scratch/whole" "$scratch/killed"
    rm -rf "$scratch/killed" "$scratch/killed.run"
done
(train "$scratch/killed") || exit 1
same "$scratch/whole" "$scratch/killed"
for n in 1 2 3; do
    (train "$scratch/threads$n" --threads $n) || exit 1
    same "$scratch/whole" "$scratch/threads$n"
done
(train "$scratch/again" --checkpoint-activations on) || exit 1
same "$scratch/whole" "$scratch/again"
if (train "$scratch/killed" --lr 0.5) 2>"$scratch/refusal"; then
    echo "a checkpoint of other options was continued"
    exit 1
fi
grep -q 'other options' "$scratch/refusal" || exit 1

# Every method on a task: killed, and on one, two and three threads.
export SLMCTL_STORE="$scratch/store" SLMCTL_KEY_FILE="$scratch/key"
printf '%064d\n' 7 >"$scratch/key"
chmod 600 "$scratch/key"
awk 'function say(id, n, a) {
    printf "{\"conversation_id\":\"%s\",\"request\":{\"model\":\"m\"," \
           "\"messages\":[{\"role\":\"user\",\"content\":\"number %d\"}]}," \
           "\"response\":{\"id\":\"%s\",\"choices\":[{\"message\":{" \
           "\"role\":\"assistant\",\"content\":\"%s\"},\"finish_reason\":" \
           "\"stop\"}]}}\n", id, n, id, a }
    BEGIN { for (i = 0; i < 400; i++) {
        say("c" i, i, i % 2 ? "odd" : "even")
        if (i % 5 == 0) { say("d" i, i, i % 2 ? "odd" : "even")
                          say("e" i, i, "unsure") } } }' >"$scratch/log.jsonl"
cp -r "$scratch/whole" "$scratch/base"
"$slmctl" model template --builtin >"$scratch/base/chat_template.jinja"
"$slmctl" model train-tokenizer --quiet --vocab 300 --special '<|im_start|>' \
    --special '<|im_end|>' --output "$scratch/base/tokenizer.json" \
    "$scratch/text.txt" || exit 1
"$slmctl" collect -q --import "$scratch/log.jsonl" >"$scratch/out" || exit 1
"$slmctl" curate -q >"$scratch/out" && "$slmctl" cluster -q >"$scratch/out"

tune() { # NAME [OPTION...]
    name=$1
    shift
    exec "$slmctl" finetune --quiet --task 1 --model "$scratch/base" --force \
        --batch-tokens 512 --tokens 12000 --checkpoint-every 1 --as "$name" \
        --run "$scratch/$name.run" --output "$scratch/$name" "$@"
}

# What was trained is that of the uninterrupted run.
equal() { # METHOD NAME
    for f in adapter_model.safetensors model.safetensors; do
        [ ! -f "$scratch/$1/$f" ] ||
            cmp "$scratch/$1/$f" "$scratch/$2/$f" || exit 1
    done
    for n in "$1" "$2"; do
        sed 's/,"seconds".*//' "$scratch/$n.run/metrics.jsonl" \
            >"$scratch/$n.metrics"
    done
    cmp "$scratch/$1.metrics" "$scratch/$2.metrics" || exit 1
    rm -rf "${scratch:?}/$2" "$scratch/$2.run"
}

# slay METHOD [OPTION...]: METHOD names the uninterrupted run.
slay() {
    method=$1
    shift
    begin=$(date +%s%N)
    (tune "$method" "$@") >"$scratch/out" || exit 1
    ms=$((($(date +%s%N) - begin) / 1000000 + 20))
    hits=0 ends=0
    while [ $hits -lt $kills ]; do
        tune "$method-slain" "$@" >"$scratch/out" 2>&1 &
        pid=$!
        wait_ms=$(below $ms)
        sleep "$((wait_ms / 1000)).$(printf %03d $((wait_ms % 1000)))"
        kill -9 $pid 2>/dev/null
        wait $pid 2>/dev/null
        case $? in
        137) hits=$((hits + 1)) ;;
        0)
            ends=$((ends + 1))
            equal "$method" "$method-slain"
            ;;
        *)
            cat "$scratch/out"
            exit 1
            ;;
        esac
    done
    (tune "$method-slain" "$@") >"$scratch/out" || exit 1
    equal "$method" "$method-slain"
    for n in 1 2 3; do
        (tune "$method-$n" "$@" --threads $n) >"$scratch/out" || exit 1
        equal "$method" "$method-$n"
    done
    echo "note: $method: the same bytes after $hits kills, $((ends + 1)) runs" \
        "ended between them, and on 1, 2 and 3 threads"
}

echo "note: from random weights: the same bytes after $kills kills and on 1," \
    "2 and 3 threads"
slay lora
slay dora --method dora --checkpoint-activations on
slay nf4 --quantize nf4
slay full --method full
slay taught --teacher "$scratch/base" --mix 0.7 --temperature 2
slay pairs --preference
