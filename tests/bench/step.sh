#!/bin/sh
# The training step beside torch + PEFT (PEERS=PYTHON that has them) and
# llama.cpp's finetune (LLAMA=DIR of its programs, GGUF=FILE of SmolLM2-135M's
# shape in f32), by turns.
# usage: step.sh [BUILD [PART...]]; parts: lora batch packed nf4
# large growth busy finetune
# The large one takes minutes and 6 GB of memory, of torch more.
set -eu
build=${1:-${BUILD:-build/release}}
[ $# -gt 0 ] && shift
parts=${*:-lora batch busy packed nf4 growth finetune}
here=$(dirname "$0")
work=${WORK:-$(mktemp -d)}
mkdir -p "$work"
[ -n "${WORK:-}" ] || trap 'rm -rf "$work"' EXIT
rounds=${ROUNDS:-2} their_steps=${STEPS:-2}
PEERS=${PEERS:-}

# KEY=VALUE...: "tok/s MiB weights-MiB GFLOP/s"; what it prints goes to stderr
ours() {
    "$build/bench_step" "dir=$work" profile=0 "$@" | tee /dev/stderr |
        sed -n 's/^\([0-9.]*\) tok\/s.* GFLOP, \([0-9.]*\) GFLOP.*weights \([0-9]*\) MiB, peak \([0-9]*\) MiB/\1 \4 \3 \2/p'
}

# SHAPE DTYPE BATCH TOKENS MASK STEPS [LENGTHS]: "tok/s MiB"
torch() {
    if [ -z "$PEERS" ]; then
        echo "- -"
        return
    fi
    "$PEERS" -W ignore "$here/torch_step.py" "$@" 2>/dev/null || echo "- -"
}

# Steps of 512 tokens, all of them trained, tok/s: its clock shows whole seconds,
# so the first steps until SECONDS have passed. Without -fa off it refuses.
finetune() {
    LD_LIBRARY_PATH=$LLAMA timeout "$1" "$LLAMA/llama-finetune-lora" \
        -m "$GGUF" -f "$work/text" -c 512 -b 512 -ub 512 -t 2 -fa off \
        --lora-rank 16 --lora-alpha 32 --num-epochs 1 \
        --lora-modules "$modules" --output-adapter "$work/adapter.gguf" \
        </dev/null 2>&1 | tr '\r' '\n' |
        sed -n 's/.*data=0*\([0-9]*\)\/.*t=\([0-9]*\):\([0-9]*\):\([0-9]*\).*/\1 \2 \3 \4/p' |
        awk '{ t = $2 * 3600 + $3 * 60 + $4; n = $1
               if (NR == 1) { t0 = t; n0 = n } }
             END { if (t > t0) printf "%.1f\n", (n - n0) * 512 / (t - t0)
                   else print "-" }'
}
modules=attn_q,attn_k,attn_v,attn_o,ffn_gate,ffn_up,ffn_down

# PATH SHAPE UNIT OURS PEER-NAME PEER GOAL
row() {
    printf 'row\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t-\n' "$@"
}

# The better of two figures.
best() {
    printf '%s\n%s\n' "$1" "$2" | sort -g | tail -n 1
}

first() { echo "${1%% *}"; }
second() { first "${1#* }"; }

# NAME SHAPE BATCH TOKENS MASK GOAL LENGTHS BATCH-OF-TORCH DTYPE
beside_torch() {
    our=0 their=0 i=0
    while [ "$i" -lt "$rounds" ]; do
        a=$(ours "shape=$2" "batch=$3" "tokens=$4" "mask=$5" "dtype=$9" \
            ${7:+"lengths=$7"} steps=3)
        case $9 in bf16) type=bfloat16 ;; *) type=float32 ;; esac
        b=$(torch "$2" "$type" "$8" "$4" "$5" "$their_steps" ${7:+"$7"})
        our=$(best "$our" "$(first "$a")")
        their=$(best "$their" "$(first "$b")")
        i=$((i + 1))
    done
    row "$1" "$2 $3x$4 ${7:-}" tok/s "$our" "torch + PEFT" "$their" "$6"
    # memory: rows are rates, so its inverse
    m=$(second "$a") n=$(second "$b")
    inverse='BEGIN { if (x > 0) printf "%.4f", 1024 / x; else printf "-" }'
    row "$1, memory" "$2 $3x$4 ${7:-}" 1/GiB "$(awk "-vx=$m" "$inverse")" \
        "torch + PEFT" "$(awk "-vx=$n" "$inverse")" 2
}

[ -n "$PEERS" ] || echo "skip: torch + PEFT: PEERS names no python that has them"
for part in $parts; do
    case $part in
    lora)
        beside_torch "training step" smollm2-135m 1 512 .5 2 "" 1 f32
        "$build/bench_step" "dir=$work" "row=smollm2-135m 1x512 f32"
        ;;
    batch)
        beside_torch "training step" smollm2-135m 4 512 .5 2 "" 4 f32
        ;;
    busy)
        "$build/bench_step" "dir=$work" profile=0 neighbour=1
        ;;
    packed)
        beside_torch "training step, packed" smollm2-135m 2 512 .5 3 64-200 8 f32
        ;;
    nf4)
        a=$(ours steps=3) b=$(ours dtype=nf4 steps=3)
        row "training step, NF4" "smollm2-135m 1x512" tok/s "$(first "$b")" \
            "f32" "$(first "$a")" 0.8
        ;;
    finetune)
        if [ -z "${LLAMA:-}" ] || [ ! -f "${GGUF:-}" ]; then
            echo "skip: llama.cpp's finetune: LLAMA or GGUF is not there"
            continue
        fi
        seq 1 4000 | sed 's/.*/row & of a text that says nothing/' \
            >"$work/text"
        a=$(ours mask=0 steps=5)
        b=$(finetune 60)
        row "training step, all labels" "smollm2-135m 1x512" tok/s \
            "$(first "$a")" "llama.cpp finetune" "$b" 4
        ;;
    large)
        "$build/bench_step" "dir=$work" shape=llama-3.2-1b dtype=bf16 steps=2
        beside_torch "training step" llama-3.2-1b 1 512 .5 1.5 "" 1 bf16
        ;;
    growth)
        for n in 128 256 512 1024 2048 4096 8192; do
            a=$(ours shape=tiny tokens=$n steps=3)
            [ $n -ne 512 ] || b=$a
        done
        row "training step, 8192 tokens at once" tiny GFLOP/s "${a##* }" \
            "512 tokens" "${b##* }" 0.9
        for n in 2 4 8 16; do
            a=$(ours shape=tiny "layers=$n" tokens=1024 steps=3)
            [ $n -ne 2 ] || b=$a
        done
        row "training step, 16 layers" tiny GFLOP/s "${a##* }" "2 layers" \
            "${b##* }" 0.9
        ;;
    esac
done
