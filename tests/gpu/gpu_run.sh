#!/bin/sh
# run.sh [STAGE...] - tests and times the plugin on this machine's GPU
#
# Stages, in this order by default: wgmma parity fixtures train sanitizer bench
# peers. Each has its own time limit and writes $OUT/STAGE.txt (default
# ./results); what is printed is short. Ends with 0 if nothing failed.
# PARITY: configurations, as precision/kernels; FIXTURES: precisions.
set -u
cd "$(dirname "$0")" || exit 1
OUT=${OUT:-./results}
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
export OUT
HOST_LIBRARY_PATH=${LD_LIBRARY_PATH:-}
LD_LIBRARY_PATH=$PWD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
XDG_DATA_HOME=$scratch XDG_CONFIG_HOME=$scratch HOME=$scratch
export XDG_DATA_HOME XDG_CONFIG_HOME

# Why there is no GPU here; empty: there is one.
no_gpu() {
    SLMCTL_DEVICE='' ./slmctl generate -m base --device cuda -n 1 hi \
        2>&1 >/dev/null | grep '^slmctl generate: ' | head -n 1
}

# The Hopper product alone: every crossing, tiling and epilogue; then times.
stage_wgmma() {
    timeout -k 5 "${WGMMA_SECONDS:-90}" ./gpu_wgmma >"$OUT/wgmma.txt" 2>&1 ||
        echo "FAIL wgmma: exit $?"
    grep '^FAIL' "$OUT/wgmma.txt" | head -n 12
    grep -v '^FAIL' "$OUT/wgmma.txt" | tail -n 2
    timeout -k 5 "${WGMMA_SECONDS:-90}" ./gpu_wgmma time \
        >"$scratch/wgmma-time" 2>&1 || echo "FAIL wgmma time: exit $?"
    tee -a "$OUT/wgmma.txt" <"$scratch/wgmma-time"
}

stage_parity() {
    for what in ${PARITY:-bf16/wgmma bf16/mma tf32/mma f32/simt bf16/simt}; do
        precision=${what%/*} kernels=${what#*/}
        echo "== parity $precision $kernels"
        PARITY_SECONDS=${PARITY_SECONDS:-150} PARITY_SHOW=${PARITY_SHOW:-12} \
            sh ./gpu_parity.sh ./gpu_parity "$scratch/parity" --device cuda \
            --precision "$precision" --kernels "$kernels" --timeout 20 \
            >"$scratch/shown" 2>&1
        cat "$scratch/shown"
        {
            echo "== parity $precision $kernels"
            cat "$scratch/parity"
            tail -n 1 "$scratch/shown"
        } >>"$OUT/parity.txt"
    done
}

# Errors are relative to the largest value; see slmctl-model(1), check.
tolerance_of() {
    case $1 in f32) echo 1e-4 ;; tf32) echo 1e-2 ;; *) echo 5e-2 ;; esac
}

check_one() { # PRECISION DIR [ADAPTER]
    name=${3:-$2}
    timeout 60 ./slmctl model check "$2" ${3:+--adapter "$3"} \
        --device cuda --precision "$1" --tolerance "$(tolerance_of "$1")" \
        >"$scratch/check" 2>&1
    status=$?
    {
        echo "== $1 $name: exit $status"
        cat "$scratch/check"
    } >>"$OUT/fixtures.txt"
    # In fewer bits another token may be the likeliest: greedy decides nothing.
    awk -v name="$1 $name" -v status=$status -v exact="$1" \
        -v limit="$(tolerance_of "$1")" '
        NR > 1 && $1 != "greedy" && $2 + 0 > worst { worst = $2 + 0; at = $1 }
        / (over|not computed)$/ && $1 == "greedy" && exact != "f32" {
            note = note ", another greedy text"; next }
        / (over|not computed)$/ { if (++over < 4) list = list " " $1 }
        / (ok|over|not computed)$/ { rows++ }
        /^slmctl / { note = note ": " $0 }
        END { fail = over || !rows || (status > 1)
              printf "%s %s worst %.1e %s, limit %s%s%s%s\n",
                     fail ? "FAIL" : "ok", name, worst, at, limit,
                     over ? ", " over " over:" list : "",
                     (status > 1) ? ", exit " status : "", note }' \
        "$scratch/check"
}

# Without labels there is only text to compare, the CPU's with the GPU's.
same_text() { # PRECISION DIR
    for device in cpu cuda; do
        timeout 60 ./slmctl generate -m "$2" --raw -n 100 --device $device \
            --precision "$([ $device = cpu ] && echo f32 || echo "$1")" \
            "Once upon a time" >"$scratch/text.$device" 2>&1
    done
    if ! grep -q '^slmctl' "$scratch/text.cuda" &&
        cmp -s "$scratch/text.cpu" "$scratch/text.cuda"; then
        echo "ok $1 $2 the same text"
    else
        [ "$1" = f32 ] && verdict=FAIL || verdict=note:
        echo "$verdict $1 $2 other text: $(tr '\n' ' ' <"$scratch/text.cuda")"
    fi | tee -a "$OUT/fixtures.txt"
}

stage_fixtures() {
    for precision in ${FIXTURES:-f32 tf32 bf16}; do
        echo "== fixtures $precision"
        for m in models/*/; do
            m=${m%/}
            [ -f "$m/expected.safetensors" ] || continue
            head -c 65536 "$m/expected.safetensors" | grep -aq '"labels"' ||
                { same_text "$precision" "$m"; continue; }
            check_one "$precision" "$m"
            for a in "$m"/adapter*/; do
                [ -f "${a}expected.safetensors" ] || continue
                grep -q '"use_dora": true' "${a}adapter_config.json" && continue
                check_one "$precision" "$m" "${a%/}"
            done
        done
    done
}

# The same run twice must write the same bytes; and no worse than the CPU's.
stage_train() {
    for run in cuda-1 cuda-2 cuda-f32 cpu; do
        precision=auto
        [ $run = cuda-f32 ] && precision=f32
        begin=$(date +%s)
        timeout 120 ./slmctl finetune --init base --tokenizer base \
            --data text.txt --tokens 60000 --batch-tokens 2048 --quiet --json \
            --device ${run%-*} --precision $precision \
            --output "$scratch/$run" >"$scratch/$run.json" \
            2>"$scratch/$run.err" || {
            echo "FAIL train $run: $(head -c 300 "$scratch/$run.err")"
            continue
        }
        echo "train $run: $(sed 's/.*"train_loss":\([^,]*\).*/loss \1/' \
            "$scratch/$run.json"), $(sed 's/.*"tokens_per_s":\([^,]*\).*/\1/' \
            "$scratch/$run.json") tok/s, $(($(date +%s) - begin)) s"
    done | tee "$OUT/train.txt"
    if cmp "$scratch/cuda-1/model.safetensors" \
        "$scratch/cuda-2/model.safetensors" >>"$OUT/train.txt" 2>&1; then
        echo "ok train: two runs are bit-identical"
    else
        echo "FAIL train: two runs differ"
    fi | tee -a "$OUT/train.txt"
    for device in cpu cuda; do
        ./slmctl generate -m base --device $device -n 24 \
            "List three fruits." >"$scratch/said.$device" 2>&1
        echo "generate $device: $(head -c 100 "$scratch/said.$device")"
    done | tee -a "$OUT/train.txt"
}

stage_sanitizer() {
    tool=$(command -v compute-sanitizer ||
        command -v /usr/local/cuda/bin/compute-sanitizer) ||
        { echo "skip: compute-sanitizer is not here"; return; }
    for check in memcheck racecheck; do
        for what in ${SANITIZE:-bf16/wgmma bf16/mma f32/simt}; do
            echo "== $check $what"
            timeout -k 5 "${SANITIZE_SECONDS:-90}" "$tool" --tool $check \
                --print-limit 20 ./gpu_parity --device cuda --quick \
                --timeout 80 --precision "${what%/*}" \
                --kernels "${what#*/}" >"$scratch/san" 2>&1
            status=$?
            {
                echo "== $check $what (exit $status)"
                cat "$scratch/san"
            } >>"$OUT/sanitizer.txt"
            echo "exit $status, $(grep -c '^ok' "$scratch/san") cases ok"
            grep -E 'ERROR SUMMARY|RACECHECK SUMMARY|^FAIL' "$scratch/san" |
                head -n 4
            grep -E '=+ (Invalid|Error|Warning|Race|Program hit|    at )' \
                "$scratch/san" | sort | uniq -c | sort -rn | head -n 4
        done
    done
}

stage_bench() {
    timeout -k 5 "${BENCH_SECONDS:-300}" ./gpu_bench >"$OUT/bench.txt" 2>&1 ||
        echo "FAIL bench: exit $?"
    # Cubes with all kernels; layers with the best, as training runs them.
    awk '/^(#|skip|FAIL)/ || / cube / && $2 == "linear" ||
         $2 ~ /^(attention|decode)/ || / lora step / ||
         /^wgmma/ && $2 ~ /^linear/ && / r=16 /' "$OUT/bench.txt" |
        head -n 60
}

stage_peers() {
    python3 -c 'import torch' 2>/dev/null ||
        { echo "skip: torch is not here"; return; }
    (
        LD_LIBRARY_PATH=$HOST_LIBRARY_PATH
        timeout -k 5 "${PEERS_SECONDS:-300}" python3 peer_gpu.py
    ) >"$OUT/peers.txt" 2>&1 || echo "FAIL peers: exit $?"
    grep -vE ' (cube|lora (into|grad|out)) .*linear_d|lora (into|grad) ' \
        "$OUT/peers.txt" | tail -n 55
}

[ $# -gt 0 ] || set -- wgmma parity fixtures train sanitizer bench \
    peers
why=$(no_gpu)
[ -z "$why" ] || { echo "skip: ${why#slmctl generate: }"; exit 0; }
nvidia-smi -L 2>/dev/null
for stage in "$@"; do
    begin=$(date +%s)
    rm -f "$OUT/$stage.txt"
    "stage_$stage"
    echo "-- $stage: $(($(date +%s) - begin)) s"
done 2>&1 | tee "$OUT/summary.txt"
! grep -q '^FAIL\|[1-9][0-9]* failed' "$OUT/summary.txt"
