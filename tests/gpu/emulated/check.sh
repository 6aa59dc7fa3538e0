#!/bin/sh
# check.sh FOLDER - tests the plugin that make emulated leaves in FOLDER
#
# Every operation against the CPU's, in each family of kernels; the Hopper
# product; what is done without driver or memory; decoding with recorded steps
# against decoding without, and with a driver that refuses to record; and, where
# SLMCTL_REFERENCE has models with reference values, their logits, losses and
# gradients. ALL=1: all cases of parity, not the quick ones.
# The last line is "N passed, N failed, N skipped".
set -u
folder=$1
here=$(dirname "$0")
out=$folder/check

# One line for each test into $out/NAME; parallel jobs end with their lines.
parity() {
    quick=--quick
    [ -z "${ALL:-}" ] || quick=
    PARITY_SECONDS=3600 sh "$here/../gpu_parity.sh" "$folder/gpu_parity" \
        "$out/parity-$1-$2.cases" --device cuda --precision "$1" \
        --kernels "$2" --timeout 600 ${quick:+"$quick"} >"$out/parity-$1-$2" 2>&1
}

product() {
    if "$folder/gpu_wgmma" quick >"$out/product" 2>&1; then
        echo '1 passed, 0 failed, 0 skipped' >>"$out/product"
    else
        echo '0 passed, 1 failed, 0 skipped' >>"$out/product"
    fi
}

lacking() {
    sh "$here/lacking.sh" "$folder" >"$out/lacking" 2>&1
}

# What is told before a run or an answer, against what is then held.
memory() { # PRECISION MODEL
    "$folder/gpu_memory" --precision "$1" "$2" \
        >"$out/memory-$1-$(basename "$2")" 2>&1
}

# REFUSED: what the driver refuses, or "".
steps() { # PRECISION SCRIPTS REFUSED [MODEL]
    file=$out/steps-$1${3:+-$3}-$(basename "${4:-random}")
    adapters=
    for a in ${4:+"$4"/adapter*/}; do
        [ ! -f "$a/adapter_config.json" ] || adapters="$adapters ${a%/}"
    done
    # shellcheck disable=SC2086 # words
    if EMULATED_GRAPHS=$3 "$folder/gpu_steps" --device cuda --precision "$1" \
        --only "$2" ${3:+--refused} ${4:+"$4"} $adapters >"$file" 2>&1 &&
        grep -q '^ok' "$file"; then
        echo "$(grep -c '^ok' "$file") passed, 0 failed, 0 skipped" >>"$file"
    else
        grep -q '^FAIL' "$file" || echo "FAIL $(tail -n 1 "$file")" >>"$file"
        echo "$(grep -c '^ok' "$file") passed, $(grep -c '^FAIL' "$file")" \
            "failed, 0 skipped" >>"$file"
    fi
}

# Errors are relative to the largest value; limits as on a GPU.
limit_of() { # PRECISION NAME
    awk -v p="$1" -v name="$2" '
        $1 == p && ($2 == "*" || $2 == name) { limit = $3 }
        END { print limit }' "$here/../tolerances.txt"
}

model() { # PRECISION MODEL [ADAPTER]
    name=$(basename "$2")
    limit=$(limit_of "$1" "$name")
    file=$out/model-$1-$name${3:+-$3}
    if [ ! -f "$2/${3:+$3/}expected.safetensors" ]; then
        echo "skip: $2: no reference values"
        echo '0 passed, 0 failed, 1 skipped'
    elif [ "$limit" = - ]; then
        echo "skip: $name in $1 is left out by tolerances.txt"
        echo '0 passed, 0 failed, 1 skipped'
    elif "$folder/slmctl" model check "$2" ${3:+--adapter "$2/$3"} \
        --device cuda --precision "$1" ${limit:+--tolerance "$limit"} \
        >"$file.text" 2>&1 || [ "$(over "$file.text" "$1")" = none ]; then
        echo '1 passed, 0 failed, 0 skipped'
    else
        echo "FAIL model $1 $name: $(over "$file.text" "$1")"
        echo '0 passed, 1 failed, 0 skipped'
    fi >"$file"
}

# What is over its limit; in few bits another token may be the likeliest, so
# greedy decides nothing there.
over() { # TEXT PRECISION
    awk -v precision="$2" '
        $1 == "greedy" && precision != "f32" { next }
        / (over|not computed)$/ && ++n < 4 { said = said " " $1 " " $2 }
        / ok$/ { fine++ }
        /^slmctl / { said = said " " $0 }
        END { print said ? said : fine ? "none" : "nothing was compared" }' "$1"
}

if [ $# -gt 1 ]; then # one job, from below
    shift
    "$@"
    exit
fi
rm -rf "$out"
mkdir -p "$out"
models=${SLMCTL_REFERENCE:+$SLMCTL_REFERENCE/fixtures/models}
{
    for k in 'bf16 mma' 'tf32 mma' 'f32 simt' 'bf16 cluster'; do
        echo "parity $k"
    done
    [ -z "${ALL:-}" ] || echo 'parity bf16 wgmma' # cluster has single blocks, too
    echo product
    echo lacking
    for refused in end instantiate; do # a rehearsal cannot do without capture
        echo "steps f32 memory $refused"
    done
    if [ -n "$models" ]; then # Llama's, with windows, with two recurrences
        for m in llama gemma3 falcon-h1 qwen3.5; do
            echo "steps f32 several '' $models/$m"
        done
        echo "steps bf16 several '' $models/mistral-window"
        echo "steps f32 adapters '' $models/qwen2"
    fi
    echo "steps bf16 * ''"
    for m in ${models:+"$models"/*/}; do
        echo "model f32 ${m%/}"
        echo "model bf16 ${m%/}"
    done
    for m in ${models:+bf16 qwen3 f32 gemma2 bf16 falcon-h1 f32 qwen3.5}; do
        case $m in *16 | f32) precision=$m ;; *) echo "memory $precision $models/$m" ;; esac
    done
    for m in ${models:+llama gemma2 smollm3 falcon-h1}; do
        echo "model f32 $models/$m adapter"
    done
} | xargs -P "$(nproc)" -L 1 sh "$0" "$folder"
[ -n "$models" ] || echo 'skip: SLMCTL_REFERENCE is not set: no models'
for f in "$out"/*; do
    case $f in *.text | *.cases) continue ;; esac
    grep -E '^(FAIL|skip)' "$f"
    echo "== $(basename "$f") $(tail -n 1 "$f")"
done
awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ {
         p += $1; f += $3; s += $5 }
     END { printf "%d passed, %d failed, %d skipped\n", p, f, s
           exit f > 0 || p == 0 }' "$out"/*
