#!/bin/sh
# check.sh FOLDER - tests the plugin that make emulated leaves in FOLDER
#
# Every operation against the CPU's, in each family of kernels; the Hopper
# product; and, where SLMCTL_REFERENCE has models with reference values, their
# logits, losses and gradients. ALL=1: all cases of parity, not the quick ones.
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

# Errors are relative to the largest value of a tensor.
model() { # PRECISION MODEL
    case $1 in f32) limit=1e-4 ;; tf32) limit=1e-2 ;; *) limit=5e-2 ;; esac
    file=$out/model-$1-$(basename "$2")
    if [ ! -f "$2/expected.safetensors" ]; then
        echo "skip: $2: no reference values"
        echo '0 passed, 0 failed, 1 skipped'
    elif "$folder/slmctl" model check "$2" --device cuda --precision "$1" \
        --tolerance "$limit" >"$file.text" 2>&1; then
        echo '1 passed, 0 failed, 0 skipped'
    else
        echo "FAIL model $1 $(basename "$2"): $(grep -E 'over|slmctl' \
            "$file.text" | head -n 3 | tr '\n' ';')"
        echo '0 passed, 1 failed, 0 skipped'
    fi >"$file"
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
    for k in 'bf16 wgmma' 'bf16 mma' 'tf32 mma' 'f32 simt' 'bf16 cluster'; do
        echo "parity $k"
    done
    echo product
    for m in ${models:+"$models"/*/}; do
        echo "model f32 ${m%/}"
    done
    for m in ${models:+"$models"/llama "$models"/gemma3 "$models"/falcon-h1}; do
        echo "model bf16 $m"
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
