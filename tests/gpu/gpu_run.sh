#!/bin/sh
# run.sh [STAGE...] - tests and times the plugin on this machine's GPU
#
# Stages, in this order by default: fixtures parity train memory wgmma bench
# peers sanitizer. What matters most comes first; each stage has its own limit in
# seconds and ends with the whole's (WHOLE, 580), each writes $OUT/STAGE.txt
# (default ./results), and none needs another. What is printed is short, and
# in $OUT/summary.txt. Ends with 0 if nothing failed.
# Further settings, for a second call or a small run: LIMITS="STAGE=S ...",
# PARITY and SANITIZE (precision/kernels ...), FIXTURES (precisions), MODELS
# (a pattern), QUICK=1 (the smallest sizes), AT_ONCE (processes beside each
# other), ITEM (seconds of one reference model).
set -u
self=$(readlink -f "$0")
here=$(dirname "$self")

limit_of() { # STAGE
    case $1 in
    fixtures) s=120 ;; parity) s=150 ;; train) s=60 ;; memory) s=30 ;; wgmma) s=40 ;;
    bench) s=110 ;; peers) s=170 ;; *) s=120 ;;
    esac
    for l in ${LIMITS:-}; do
        [ "${l%=*}" = "$1" ] && s=${l#*=}
    done
    left=$((BEGIN + ${WHOLE:-580} - $(date +%s)))
    [ "$s" -le "$left" ] || s=$left
    [ "$s" -gt 0 ] || s=1
    echo "$s"
}

unpack() { # ARCHIVE
    tar -xJf "$here/$1" -C "$scratch" 2>/dev/null || python3 -c '
import sys, tarfile
tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$here/$1" "$scratch"
}

# Why nothing can run here: "skip: ..." without a GPU or a driver, and
# "FAIL ..." where there are, or where the bundle is not one build; empty: all
# is there.
no_gpu() {
    ./gpu_parity --device cuda none >"$scratch/opened" 2>&1
    grep -m 1 -E '^(skip|FAIL)' "$scratch/opened" && return
    grep -q '^# .* kernels, ' "$scratch/opened" ||
        echo "FAIL device: $(head -c 300 "$scratch/opened")"
}

# ---- reference models: forward, gradients, adapters, eight steps, NF4 ----

# Stated before anything ran, in tolerances.txt.
tolerance_of() { # PRECISION NAME
    awk -v p="$1" -v name="$2" '
        $1 == p && ($2 == "*" || index(name "/", $2 "/") == 1) { limit = $3 }
        END { print limit }' tolerances.txt
}

fixture_one() { # PRECISION DIR [ADAPTER]
    name=${3:-$2}
    name=${name#models/}
    out=$scratch/fixture-$1-$(echo "$name" | tr / -)
    limit=$(tolerance_of "$1" "$name")
    [ "$limit" != - ] || { echo "skip: $1 $name is left out by tolerances.txt"; return; }
    timeout "${ITEM:-60}" ./slmctl model check "$2" ${3:+--adapter "$3"} \
        --device cuda --precision "$1" ${limit:+--tolerance "$limit"} \
        >"$out.said" 2>&1
    status=$?
    # In fewer bits another token may be the likeliest: greedy decides nothing.
    awk -v name="$1 $name" -v status=$status -v exact="$1" -v limit="$limit" '
        NR > 1 && $1 != "greedy" && $2 + 0 > worst { worst = $2 + 0; at = $1 }
        / (over|not computed)$/ && $1 == "greedy" && exact != "f32" {
            note = note ", another greedy text"; next }
        / (over|not computed)$/ { if (++over < 4) list = list " " $1 }
        / (ok|over|not computed)$/ { rows++ }
        /^slmctl / { note = note ": " $0 }
        END { fail = over || !rows || (status > 1)
              printf "%s %s worst %.1e %s, limit %s, %d rows%s%s%s\n",
                     fail ? "FAIL" : "ok", name, worst, at,
                     limit == "" ? "the family'\''s" : limit, rows,
                     over ? ", " over " over:" list : "",
                     (status > 1) ? ", exit " status : "", note }' "$out.said"
    {
        echo "== $1 $name: exit $status"
        cat "$out.said"
    } >"$out.whole"
}

# Without labels there is only text to compare, the CPU's with the GPU's.
text_one() { # PRECISION DIR
    out=$scratch/fixture-$1-text
    for device in cpu cuda; do
        timeout 60 ./slmctl generate -m "$2" --raw -n 100 --device $device \
            --precision "$([ $device = cpu ] && echo f32 || echo "$1")" \
            "Once upon a time" >"$out.$device" 2>&1
    done
    if ! grep -q '^slmctl' "$out.cuda" && cmp -s "$out.cpu" "$out.cuda"; then
        echo "ok $1 ${2#models/} the same text"
    else
        [ "$1" = f32 ] && verdict=FAIL || verdict=note:
        echo "$verdict $1 ${2#models/} other text: $(tr '\n' ' ' <"$out.cuda")"
    fi
}

fixture_list() {
    for precision in ${FIXTURES:-f32 bf16 tf32}; do
        for m in models/${MODELS:-*}; do
            [ -d "$m" ] || continue
            if [ -f "$m/tokenizer.json" ]; then
                echo "text_one $precision $m"
                continue
            fi
            echo "fixture_one $precision $m"
            for a in "$m"/adapter*/; do
                [ -f "${a}adapter_config.json" ] &&
                    echo "fixture_one $precision $m ${a%/}"
            done
        done
    done
}

stage_fixtures() {
    unpack models.tar.xz || { echo "FAIL fixtures: models.tar.xz"; return; }
    fixture_list >"$scratch/list"
    timeout -k 5 "$(limit_of fixtures)" xargs -P "${AT_ONCE:-6}" -L 1 \
        sh "$self" -one <"$scratch/list" >"$scratch/fixtures"
    sort "$scratch/fixtures" | tee "$OUT/fixtures.txt" |
        grep -vE '^ok' | head -n 40
    for precision in ${FIXTURES:-f32 bf16 tf32}; do
        echo "fixtures $precision: $(grep -c "^ok $precision" \
            "$scratch/fixtures") ok, $(grep -c "^FAIL $precision" \
            "$scratch/fixtures") failed, $(grep -c " $precision " \
            "$scratch/list") asked; largest error $(awk -v p="$precision" \
            '$2 == p && $5 + 0 > w { w = $5 + 0; n = $3 } END {
            print w, n }' "$scratch/fixtures")"
    done
    [ "$(wc -l <"$scratch/fixtures")" -ge "$(wc -l <"$scratch/list")" ] ||
        echo "FAIL fixtures: only $(wc -l <"$scratch/fixtures") of $(wc -l \
            <"$scratch/list") ran"
    cat "$scratch"/fixture-*.whole >>"$OUT/fixtures.txt" 2>/dev/null
}

# ---- every operation against the CPU ----

parity_one() { # PRECISION/KERNELS SECONDS
    out=$scratch/parity-${1%/*}-${1#*/}
    PARITY_SECONDS=$2 PARITY_SHOW=${PARITY_SHOW:-8} \
        sh ./gpu_parity.sh ./gpu_parity "$out" --device cuda ${QUICK:+--quick} \
        --precision "${1%/*}" --kernels "${1#*/}" --timeout 20 \
        >"$out.shown" 2>&1
    echo "== parity $1: $(tail -n 1 "$out.shown")"
    sed '$d' "$out.shown"
}

stage_parity() {
    seconds=$(limit_of parity)
    for what in ${PARITY:-bf16/wgmma bf16/mma tf32/mma f32/simt bf16/cluster}
    do
        echo "parity_one $what $seconds"
    done | timeout -k 5 $((seconds + 10)) xargs -P "${AT_ONCE:-5}" -L 1 \
        sh "$self" -one
    for f in "$scratch"/parity-*; do
        case $f in *.shown) continue ;; esac
        echo "== ${f##*/}"
        cat "$f"
    done >"$OUT/parity.txt"
}

# ---- training: the same run twice, and the CPU's ----

train_one() { # NAME DEVICE PRECISION
    begin=$(date +%s)
    timeout 100 ./slmctl finetune --init base --tokenizer base \
        --data text.txt --tokens "${TRAIN_TOKENS:-60000}" --batch-tokens "${TRAIN_BATCH:-2048}" \
        --quiet --json --device "$2" --precision "$3" \
        --output "$scratch/train-$1" >"$scratch/$1.json" \
        2>"$scratch/$1.err" || {
        echo "FAIL train $1: $(head -c 300 "$scratch/$1.err")"
        return
    }
    echo "train $1: $(sed 's/.*"train_loss":\([^,]*\).*/loss \1/' \
        "$scratch/$1.json"), $(sed 's/.*"tokens_per_s":\([^,]*\).*/\1/' \
        "$scratch/$1.json") tok/s, $(($(date +%s) - begin)) s"
}

stage_train() {
    {
        printf 'train_one %s\n' 'cuda-1 cuda auto' 'cuda-2 cuda auto' \
            'cuda-f32 cuda f32' 'cpu cpu auto' |
            timeout -k 5 "$(limit_of train)" xargs -P "${AT_ONCE:-1}" -L 1 \
                sh "$self" -one
        if cmp "$scratch/train-cuda-1/model.safetensors" \
            "$scratch/train-cuda-2/model.safetensors" 2>&1; then
            echo "ok train: two runs are bit-identical"
        else
            echo "FAIL train: two runs differ"
        fi
        for device in cpu cuda; do
            echo "generate $device: $(timeout 60 ./slmctl generate -m base \
                --device $device -n 24 "List three fruits." 2>&1 | head -c 100)"
        done
    } | tee "$OUT/train.txt"
}

# ---- what is said to be needed, and what is then held ----

stage_memory() {
    [ -x gpu_memory ] || { echo "skip: gpu_memory is not in this bundle"; return; }
    [ -d models ] || unpack models.tar.xz || { echo "FAIL memory: models.tar.xz"; return; }
    for m in models/qwen3 models/gemma2 models/falcon-h1 models/qwen3.5; do
        [ ! -d "$m" ] || timeout -k 5 "$(limit_of memory)" ./gpu_memory "$m" ||
            echo "FAIL memory ${m#*/}: exit $?"
    done >"$OUT/memory.txt" 2>&1
    grep '^FAIL' "$OUT/memory.txt"
    echo "== memory: $(grep -c '^ok' "$OUT/memory.txt") cases ok"
}

# ---- the Hopper product alone, then times ----

stage_wgmma() {
    [ -x gpu_wgmma ] || { echo "skip: gpu_wgmma is not in this bundle"; return; }
    seconds=$(limit_of wgmma)
    timeout -k 5 "$seconds" ./gpu_wgmma ${QUICK:+quick} >"$OUT/wgmma.txt" 2>&1 ||
        echo "FAIL wgmma: exit $?"
    grep '^FAIL' "$OUT/wgmma.txt" | head -n 8
    grep -v '^FAIL' "$OUT/wgmma.txt" | tail -n 2
    [ -n "${QUICK:-}" ] || timeout -k 5 "$seconds" ./gpu_wgmma time >>"$OUT/wgmma.txt" 2>&1 ||
        echo "FAIL wgmma time: exit $?"
}

# Steps and decoding first: a part that is cut off loses the least.
bench_part() { # KERNELS ONLY
    timeout -k 5 "$(limit_of bench)" ./gpu_bench ${QUICK:+--quick} \
        --kernels "$1" --only "$2" >"$scratch/bench" 2>&1 ||
        echo "FAIL bench $2: exit $?"
    tee -a "$OUT/bench.txt" <"$scratch/bench" | grep -vE \
        ' (lora (into|grad|out)|linear.* (1B|8B) (q,o|k,v)) ' | head -n 45
}

stage_bench() {
    bench_part wgmma,cluster '*lora step'
    bench_part wgmma 'decode*'
    bench_part mma,wgmma,cluster 'linear*'
    bench_part mma,wgmma 'attention*'
    bench_part wgmma 'lora [!s]*'
}

stage_peers() {
    python3 -c 'import torch' 2>/dev/null ||
        { echo "skip: torch is not here"; return; }
    (
        LD_LIBRARY_PATH=$HOST_LIBRARY_PATH
        timeout -k 5 "$(limit_of peers)" python3 peer_gpu.py ${PEERS:-}
    ) >"$OUT/peers.txt" 2>&1 || echo "FAIL peers: exit $?"
    grep -vE ' (cube|lora (into|grad|out)) .*linear_d|lora (into|grad) ' \
        "$OUT/peers.txt" | tail -n 60
}

# ---- compute-sanitizer ----

sanitizer_one() { # CHECK PRECISION/KERNELS SECONDS
    out=$scratch/sanitizer-$1-${2%/*}-${2#*/}
    timeout -k 5 "$3" "$(sanitizer)" --tool "$1" --print-limit 20 \
        ./gpu_parity --device cuda --quick --timeout 100 \
        --precision "${2%/*}" --kernels "${2#*/}" >"$out" 2>&1
    status=$?
    bad=$(grep -E '(ERROR|RACECHECK) SUMMARY' "$out" | grep -vE \
        'SUMMARY: 0 |SUMMARY: 0$' | head -n 1)
    verdict=ok
    [ -z "$bad" ] || verdict=FAIL
    [ $status -ne 124 ] || bad="$bad not finished in $3 s"
    echo "$verdict $1 $2: $(grep -c '^ok' "$out") cases${bad:+, $bad}"
    grep -E '=+ (Invalid|Error|Warning|Race|Program hit|    at )' "$out" |
        sort | uniq -c | sort -rn | head -n 4
}

sanitizer() {
    command -v compute-sanitizer ||
        command -v /usr/local/cuda/bin/compute-sanitizer
}

stage_sanitizer() {
    sanitizer >/dev/null ||
        { echo "skip: compute-sanitizer is not here"; return; }
    seconds=$(limit_of sanitizer)
    for check in memcheck racecheck; do
        for what in ${SANITIZE:-bf16/wgmma bf16/mma f32/simt}; do
            echo "sanitizer_one $check $what $seconds"
        done
    done | timeout -k 5 $((seconds + 10)) xargs -P "${AT_ONCE:-6}" -L 1 \
        sh "$self" -one
    cat "$scratch"/sanitizer-* >"$OUT/sanitizer.txt" 2>/dev/null
}

# One item of a stage, for xargs: several run beside each other.
if [ "${1:-}" = -one ]; then
    shift
    cd "$scratch" && "$@"
    exit 0
fi

BEGIN=$(date +%s)
OUT=${OUT:-./results}
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
HOST_LIBRARY_PATH=${LD_LIBRARY_PATH:-}
LD_LIBRARY_PATH=$scratch/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
XDG_DATA_HOME=$scratch/home XDG_CONFIG_HOME=$scratch/home HOME=$scratch/home
export BEGIN OUT scratch HOST_LIBRARY_PATH LD_LIBRARY_PATH XDG_DATA_HOME \
    XDG_CONFIG_HOME HOME
mkdir -p "$scratch/home"
unpack programs.tar.xz || { echo "FAIL: programs.tar.xz"; exit 1; }
cd "$scratch" || exit 1

[ $# -gt 0 ] || set -- fixtures parity train memory wgmma bench peers sanitizer
why=$(no_gpu)
[ -z "$why" ] || echo "$why" | tee "$OUT/summary.txt"
case $why in '') ;; skip*) exit 0 ;; *) exit 1 ;; esac
{
    nvidia-smi -L 2>/dev/null
    for stage in "$@"; do
        begin=$(date +%s)
        rm -f "$OUT/$stage.txt"
        "stage_$stage"
        echo "-- $stage: $(($(date +%s) - begin)) s"
    done
} 2>&1 | tee "$OUT/summary.txt"
! grep -q '^FAIL\|[1-9][0-9]* failed' "$OUT/summary.txt"
