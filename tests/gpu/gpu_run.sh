#!/bin/sh
# run.sh [STAGE...] - tests and times the plugin on this machine's GPU
#
# Stages, in this order by default: fixtures parity steps train memory wgmma bench
# peers sanitizer; `correctness` and `speed` are those of a kind. Each gets its share
# of the time that is left of the whole's (WHOLE seconds, 570), writes
# $OUT/STAGE.txt (default ./results), and none needs another: what is wrong,
# ends or hangs is a line FAIL, and the rest goes on. What is printed is short,
# and is added to $OUT/summary.txt. Ends with 0 if nothing failed, 1 if
# something did, 2 if it was asked for what it has not, 3 without a GPU.
# Further settings, for another call or a small run: LIMITS="STAGE=SECONDS ..."
# instead of shares, PARITY and SANITIZE (precision/kernels ...), FIXTURES
# (precisions), MODELS (a pattern), QUICK=1 (the smallest sizes), AT_ONCE
# (processes beside each other), ITEM (seconds of one reference model), PEERS
# (options of peer_gpu.py).
set -u
self=$(readlink -f "$0")
here=$(dirname "$self")
STAGES='fixtures parity steps train memory wgmma bench peers sanitizer'
MOST_BYTES=4000000 # of one file of results

share_of() { # STAGE
    case $1 in
    fixtures) echo 3 ;; train) echo 2 ;; steps | memory | wgmma) echo 1 ;; peers) echo 7 ;;
    *) echo 4 ;;
    esac
}

# When the stage must end: seconds since 1970. The stages behind it count too.
end_of() { # STAGE [LATER...]
    now=$(date +%s)
    whole=$((BEGIN + ${WHOLE:-570})) own=$(share_of "$1") all=0
    for l in ${LIMITS:-}; do
        [ "${l%=*}" = "$1" ] && own=limit && limit=${l#*=}
    done
    for s in "$@"; do
        all=$((all + $(share_of "$s")))
    done
    if [ "$own" = limit ]; then
        end=$((now + limit))
    else
        end=$((now + (whole - now) * own / all))
    fi
    [ $end -le $whole ] || end=$whole
    echo $end
}

# Seconds that are left of the stage, of those at most so many.
left() { # SECONDS
    l=$((END - $(date +%s)))
    [ "$1" -gt "$l" ] || l=$1
    [ "$l" -gt 0 ] || l=0
    echo "$l"
}

# For so long at most, and while the stage has time. 124, 137: it was too short.
within() { # SECONDS COMMAND...
    seconds=$(left "$1")
    shift
    [ "$seconds" -gt 0 ] || return 124
    timeout -k 5 "$seconds" "$@"
}

# If it fails, the unpacker's first line; python3 does for a tar without xz.
unpack() { # ARCHIVE
    said=$(tar -xJf "$here/$1" -C "$scratch" 2>&1) || python3 -c '
import sys, tarfile
tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$here/$1" "$scratch" \
        >/dev/null 2>&1 || { echo "$1 does not unpack: $said" | head -n 1; return 1; }
}

# A part of them would look like all.
unpack_models() {
    [ -d "$scratch/models" ] || unpack models.tar.xz ||
        { rm -rf "$scratch/models"; return 1; }
}

# Why nothing can run here: "skip: ..." without a GPU or a driver, and
# "FAIL ..." where there are, or where the bundle is not one build; empty: all
# is there.
no_gpu() {
    timeout -k 5 60 ./gpu_parity --device cuda none >opened 2>&1
    grep -m 1 -E '^(skip|FAIL)' opened && return
    grep -q '^# .* kernels, ' opened ||
        echo "FAIL device: $(head -c 300 opened)"
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
    [ "$limit" != - ] || { echo "skip: $1 $name, as tolerances.txt says"; return; }
    [ "$(left 1)" -gt 0 ] || { echo "late $1 $name"; return; }
    within "${ITEM:-60}" ./slmctl model check "$2" ${3:+--adapter "$3"} \
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
    [ "$(left 1)" -gt 0 ] || { echo "late $1 ${2#models/}"; return; }
    for device in cpu cuda; do
        within "${ITEM:-60}" ./slmctl generate -m "$2" --raw -n 100 --device $device \
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

count() { # PATTERN FILE
    grep -c "$1" "$2" 2>/dev/null
}

stage_fixtures() {
    why=$(unpack_models) || { echo "FAIL fixtures: $why"; return; }
    fixture_list >"$scratch/list"
    all=$OUT/fixtures.txt
    xargs -P "${AT_ONCE:-6}" -L 1 sh "$self" -one <"$scratch/list" >"$all"
    sort -o "$all" "$all"
    grep -vE '^(ok|late)' "$all" | head -n 40
    for precision in ${FIXTURES:-f32 bf16 tf32}; do
        echo "fixtures $precision: $(count "^ok $precision" "$all") ok, $(
            count "^FAIL $precision" "$all") failed, $(
            count "^skip: $precision" "$all") left out, $(
            count "_one $precision " "$scratch/list") asked; largest error $(
            awk -v p="$precision" \
                '$2 == p && $5 + 0 > w { w = $5 + 0; n = $3 }
                 END { print w, n }' "$all")"
    done
    late=$(($(wc -l <"$scratch/list") - $(wc -l <"$all") + $(
        count '^late' "$all")))
    [ $late -eq 0 ] || echo "FAIL fixtures: no time for $late of them"
    [ "$(count '^ok' "$all")" -gt 0 ] || echo "FAIL fixtures: nothing is ok"
    cat "$scratch"/fixture-*.whole >>"$all" 2>/dev/null
}

# ---- every operation against the CPU ----

parity_one() { # PRECISION/KERNELS
    out=$scratch/parity-${1%/*}-${1#*/}
    seconds=$(left 9999)
    # It ends by itself; what has no end after that is ended.
    PARITY_SECONDS=$seconds PARITY_SHOW=${PARITY_SHOW:-8} \
        timeout -k 5 $((seconds + 8)) sh ./gpu_parity.sh ./gpu_parity "$out" --device cuda \
        ${QUICK:+--quick} --precision "${1%/*}" --kernels "${1#*/}" \
        --timeout "${CASE:-20}" >"$out.shown" 2>&1
    total=$(tail -n 1 "$out.shown" | grep ' passed, ')
    wrong=
    case ${total:-0 passed, 0 failed, 0 skipped} in
    '0 passed, 0 failed, 0 skipped') wrong="FAIL parity $1: nothing ran: $(
        head -c 300 "$out.shown")" ;;
    esac
    shown=$(sed '/ passed, /d' "$out.shown" | head -n 20)
    printf '== parity %s: %s\n%s' "$1" "$total" "${shown:+$shown
}${wrong:+$wrong
}"
}

stage_parity() {
    for what in ${PARITY:-bf16/wgmma bf16/mma tf32/mma f32/simt bf16/cluster}
    do
        echo "parity_one $what"
    done | xargs -P "${AT_ONCE:-5}" -L 1 sh "$self" -one
    for f in "$scratch"/parity-*; do
        case $f in *.shown) continue ;; esac
        echo "== ${f##*/}"
        cat "$f"
    done >"$OUT/parity.txt"
}

# ---- decoding with recorded steps, bit by bit as without ----

steps_one() { # PRECISION [MODEL]
    name="$1 $(basename "${2:-random}")"
    out=$scratch/steps-$(echo "$name" | tr ' ' -)
    adapters=
    for a in ${2:+"$2"/adapter*/}; do
        [ ! -f "$a/adapter_config.json" ] || adapters="$adapters ${a%/}"
    done
    # shellcheck disable=SC2086
    within "${ITEM:-60}" ./gpu_steps --device cuda --precision "$1" \
        ${2:+"$2"} $adapters >"$out" 2>&1
    status=$?
    sed -n "s/^ok /&steps $name /p; s/^FAIL /&steps $name /p" "$out"
    case $status in
    0) grep -q '^ok' "$out" || echo "FAIL steps $name: nothing is ok" ;;
    1) grep -q '^FAIL' "$out" || echo "FAIL steps $name: exit 1" ;;
    *) echo "FAIL steps $name: exit $status" ;;
    esac
}

# Without a file of its own, too.
stage_steps() {
    [ -x gpu_steps ] || { echo "skip: gpu_steps is not in this bundle"; return; }
    why=$(unpack_models) || { echo "FAIL steps: $why"; return; }
    for precision in bf16 f32; do
        echo "steps_one $precision"
        for m in ${STEPS_MODELS:-llama gemma3 mistral-window falcon-h1 qwen3.5}; do
            [ ! -d "models/$m" ] || echo "steps_one $precision models/$m"
        done
    done | xargs -P "${AT_ONCE:-6}" -L 1 sh "$self" -one >"$scratch/steps"
    grep '^FAIL' "$scratch/steps" | head -n 20
    echo "steps: $(count '^ok' "$scratch/steps") ok, $(
        count '^FAIL' "$scratch/steps") failed"
}

# ---- training: the same run twice, and the CPU's ----

train_one() { # NAME DEVICE PRECISION
    begin=$(date +%s)
    within 9999 ./slmctl finetune --init base --tokenizer base \
        --data text.txt --tokens "${TRAIN_TOKENS:-60000}" --batch-tokens "${TRAIN_BATCH:-2048}" \
        --quiet --json --device "$2" --precision "$3" \
        --output "$scratch/train-$1" >"$scratch/$1.json" \
        2>"$scratch/$1.err" || {
        echo "FAIL train $1: exit $?: $(head -c 300 "$scratch/$1.err")"
        return
    }
    echo "train $1: $(sed 's/.*"train_loss":\([^,]*\).*/loss \1/' \
        "$scratch/$1.json"), $(sed 's/.*"tokens_per_s":\([^,]*\).*/\1/' \
        "$scratch/$1.json") tok/s, $(($(date +%s) - begin)) s"
}

# Logits, gradients of an adapter and eight steps of its training, twice.
adapter_one() { # MODEL PRECISION
    name=${1##*/}-$2
    for run in 1 2; do
        within "${ITEM:-60}" ./slmctl model check "$1" --adapter "$1/adapter" \
            --device cuda --precision "$2" --tolerance 1 \
            --values "$scratch/$name-$run" >"$scratch/$name.said" 2>&1 ||
            { s=$?; [ $s -eq 1 ] || { echo "FAIL train $name: exit $s $(
                head -c 300 "$scratch/$name.said")"; return; }; }
    done
    same "adapter of $name" "$scratch/$name-1" "$scratch/$name-2"
}

same() { # WHAT FILE FILE
    if [ -s "$2" ] && cmp -s "$2" "$3"; then
        echo "ok train: $1: two runs are bit-identical"
    else
        echo "FAIL train: $1: there are not two runs, or they differ: $(
            cmp "$2" "$3" 2>&1 | sed "s|$scratch/||g")"
    fi
}

# Stated before anything ran: 29 steps whose products are of f32, or of bf16,
# from the same weights.
loss_near() { # NAME LIMIT
    awk -v name="$1" -v limit="$2" '
        { sub(/.*"train_loss":/, ""); loss[FNR == NR] = $0 + 0 }
        END { off = (loss[0] - loss[1]) / loss[1]
              off = off < 0 ? -off : off
              fine = loss[0] > 0 && off <= limit
              printf "%s train: loss of %s off by %.1e of the CPU'\''s, limit %s\n",
                     fine ? "ok" : "FAIL", name, off, limit }
    ' "$scratch/cpu.json" "$scratch/$1.json"
}

stage_train() {
    unpack_models
    {
        printf 'train_one %s\n' 'cuda-1 cuda auto' 'cuda-2 cuda auto' \
            'cuda-f32 cuda f32' 'cpu cpu auto'
        for m in ${TRAIN_MODELS:-llama qwen3 falcon-h1}; do
            [ ! -d "models/$m/adapter" ] ||
                printf 'adapter_one %s\n' "models/$m bf16" "models/$m f32"
        done
    } >"$scratch/list"
    {
        xargs -P "${AT_ONCE:-1}" -L 1 sh "$self" -one <"$scratch/list"
        same "whole model" "$scratch/train-cuda-1/model.safetensors" \
            "$scratch/train-cuda-2/model.safetensors"
        loss_near cuda-f32 1e-3
        loss_near cuda-1 2e-2
        for device in cpu cuda; do
            echo "generate $device: $(within 60 ./slmctl generate -m base \
                --device $device -n 24 "List three fruits." 2>&1 | head -c 100)"
        done
    } | tee "$OUT/train.txt"
}

# ---- what is said to be needed, and what is then held ----

# Without a file of its own: where results are carried home, eight is many.
stage_memory() {
    [ -x gpu_memory ] || { echo "skip: gpu_memory is not in this bundle"; return; }
    why=$(unpack_models) || { echo "FAIL memory: $why"; return; }
    for m in ${MEMORY_MODELS:-qwen3 gemma2 falcon-h1 qwen3.5}; do
        [ -d "models/$m" ] || continue
        within 9999 ./gpu_memory "models/$m" >"$scratch/memory" 2>&1 ||
            echo "FAIL memory $m: exit $?"
        echo "== memory $m"
        grep -v '^ok' "$scratch/memory" | head -n 20
        grep '^ok' "$scratch/memory" | sort -t'(' -k2 -rn | head -n 3
    done
}

# ---- the Hopper product alone, then times ----

stage_wgmma() {
    [ -x gpu_wgmma ] || { echo "skip: gpu_wgmma is not in this bundle"; return; }
    within 9999 ./gpu_wgmma ${QUICK:+quick} >"$OUT/wgmma.txt" 2>&1 ||
        echo "FAIL wgmma: exit $?"
    [ -n "${QUICK:-}" ] || within 9999 ./gpu_wgmma time \
        >>"$OUT/wgmma.txt" 2>&1 || echo "FAIL wgmma time: exit $?"
    grep '^FAIL' "$OUT/wgmma.txt" | head -n 8
    grep -v '^FAIL' "$OUT/wgmma.txt" | tail -n 3
}

bench_part() { # KERNELS ONLY
    [ "$(left 1)" -gt 0 ] || { echo "FAIL bench $2: no time left"; return; }
    echo "== $1 $2" >>"$OUT/bench.txt"
    within 9999 ./gpu_bench ${QUICK:+--quick} \
        --kernels "$1" --only "$2" >"$scratch/bench" 2>&1 ||
        echo "FAIL bench $2: exit $?"
    cat "$scratch/bench" >>"$OUT/bench.txt"
    grep '^FAIL' "$scratch/bench"
    grep -qvE '^(#|skip:|FAIL)' "$scratch/bench" ||
        echo "FAIL bench $2: no figures"
    grep -vE '^FAIL| (lora (into|grad|out)|linear.* (1B|8B) (q,o|k,v)) ' \
        "$scratch/bench" | head -n 45
}

# Steps and decoding first: a part that is cut off loses the least.
stage_bench() {
    bench_part wgmma,cluster '*lora step'
    bench_part wgmma 'decode*'
    bench_part mma,wgmma,cluster 'linear*'
    bench_part mma,wgmma 'attention*'
    bench_part wgmma 'lora [!s]*'
}

# What of other people's fails is told, but is no failure of ours.
stage_peers() {
    python3 -c 'import torch' 2>/dev/null ||
        { echo "skip: torch is not here"; return; }
    # shellcheck disable=SC2086
    within 9999 python3 peer_gpu.py ${QUICK:+--quick} ${PEERS:-} \
        >"$OUT/peers.txt" 2>&1 || echo "FAIL peers: exit $?"
    grep -q '^torch ' "$OUT/peers.txt" || echo "FAIL peers: no figures"
    grep -vE ' (cube|lora (into|grad|out)) .*linear_d|lora (into|grad) ' \
        "$OUT/peers.txt" | tail -n 60
}

# ---- compute-sanitizer ----

# Where CUDA's packages put it; it needs files that lie beside it.
sanitizer() {
    for f in "$(command -v compute-sanitizer)" \
        "${CUDA_HOME:-/usr/local/cuda}"/bin/compute-sanitizer \
        /usr/local/cuda*/bin/compute-sanitizer \
        /usr/local/cuda*/compute-sanitizer/compute-sanitizer \
        /opt/nvidia/*/*/compute-sanitizer; do
        [ ! -x "$f" ] || { echo "$f"; return; }
    done
    return 1
}

# It stops by itself before the time is over, since what is killed has no sum.
sanitizer_one() { # CHECK PRECISION/KERNELS
    out=$scratch/sanitizer-$1-${2%/*}-${2#*/}
    [ "$(left 1)" -gt 0 ] || { echo "FAIL $1 $2: no time left"; return; }
    within 9999 "$(sanitizer)" --tool "$1" --print-limit 20 \
        --error-exitcode 9 ./gpu_parity --device cuda --quick \
        --timeout "${CASE:-100}" --seconds $(($(left 9999) * 7 / 10)) \
        --precision "${2%/*}" --kernels "${2#*/}" >"$out" 2>&1
    status=$?
    awk -v what="$1 $2" -v status=$status '
        /(ERROR|RACECHECK) SUMMARY: 0 / { clean = 1 }
        /(ERROR|RACECHECK) SUMMARY: [1-9]/ { sub(/^=+ */, ""); bad = bad ", " $0 }
        /^ok / { cases++ }
        /^FAIL / { if (++wrong < 3) bad = bad ", " $0 }
        /^skip: / { skip = $0 }
        /^# stopped/ { cut = ", " substr($0, 3) }
        /^=+ (Error|Internal)/ && !bad { said = ", " $0 }
        END {
            if (skip && !cases && !bad) {
                print skip
            } else {
                if (!clean && !bad)
                    bad = ", no summary: exit " status said
                if (clean && !cases)
                    bad = bad ", no case ran"
                printf "%s %s: %d cases%s%s\n",
                       bad || (status != 0 && !clean) ? "FAIL" : "ok",
                       what, cases, cut, bad
            }
        }' "$out"
    grep -E '=+ (Invalid|Error|Warning|Race|Program hit|    at )' "$out" |
        sort | uniq -c | sort -rn | head -n 4
}

stage_sanitizer() {
    sanitizer >/dev/null ||
        { echo "skip: compute-sanitizer is not here"; return; }
    for check in memcheck racecheck; do
        for what in ${SANITIZE:-bf16/wgmma bf16/mma f32/simt}; do
            echo "sanitizer_one $check $what"
        done
    done | xargs -P "${AT_ONCE:-6}" -L 1 sh "$self" -one
    cat "$scratch"/sanitizer-* >"$OUT/sanitizer.txt" 2>/dev/null
}

# One item of a stage, for xargs: several run beside each other, and each
# prints at once what it has to say.
if [ "${1:-}" = -one ]; then
    shift
    cd "$scratch" || exit 1
    said=$("$@")
    [ -z "$said" ] || printf '%s\n' "$said"
    exit 0
fi

# A file of results that could not be carried home keeps both of its ends.
cut_file() { # FILE
    [ -f "$1" ] && [ "$(wc -c <"$1")" -gt "$MOST_BYTES" ] || return 0
    head -c $((MOST_BYTES / 2)) "$1" >"$scratch/cut"
    printf '\n... cut ...\n' >>"$scratch/cut"
    tail -c $((MOST_BYTES / 2)) "$1" >>"$scratch/cut"
    cat "$scratch/cut" >"$1"
}

run_stage() { # STAGE [LATER...]
    begin=$(date +%s)
    END=$(end_of "$@")
    export END
    rm -f "$OUT/$1.txt"
    if [ "$END" -le "$begin" ]; then
        echo "FAIL $1: no time left"
    else
        "stage_$1" 2>&1
    fi | tee "$scratch/said"
    cut_file "$OUT/$1.txt"
    bad=$(grep -c '^FAIL' "$scratch/said")
    verdict=ok
    ! grep -q '^skip: [^ ]* is not ' "$scratch/said" || verdict=skipped
    [ "$bad" -eq 0 ] || verdict="FAIL $bad"
    echo "$1: $verdict, $(($(date +%s) - begin)) s" | tee -a "$scratch/verdicts"
}

asked=
for s in "${@:-all}"; do
    case $s in
    all) s=$STAGES ;;
    correctness) s='fixtures parity steps train memory wgmma sanitizer' ;;
    speed) s='bench peers' ;;
    *)
        case " $STAGES " in
        *" $s "*) ;;
        *) echo "run.sh: $s is no stage; there are $STAGES" >&2; exit 2 ;;
        esac
        ;;
    esac
    asked="$asked $s"
done

BEGIN=$(date +%s)
OUT=${OUT:-./results}
mkdir -p "$OUT" && OUT=$(cd "$OUT" && pwd) && scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
trap 'exit 2' HUP INT TERM
XDG_DATA_HOME=$scratch/home XDG_CONFIG_HOME=$scratch/home HOME=$scratch/home
export BEGIN OUT scratch XDG_DATA_HOME XDG_CONFIG_HOME HOME
mkdir -p "$scratch/home"
why=$(unpack programs.tar.xz) || { echo "run.sh: $why"; exit 2; }
cd "$scratch" || exit 2
./slmctl --version >version 2>&1 ||
    { echo "run.sh: $(cat version)"; exit 2; }

{
    echo "== $(date -u '+%Y-%m-%d %H:%M') run.sh$asked; $(cat version) of $(
        cat commit 2>/dev/null)"
    nvidia-smi --query-gpu=name,driver_version,memory.total \
        --format=csv,noheader 2>/dev/null
    why=$(no_gpu)
    if [ -n "$why" ]; then
        echo "$why"
        case $why in skip*) echo 3 ;; *) echo 1 ;; esac >status
    else
        # shellcheck disable=SC2086
        set -- $asked
        while [ $# -gt 0 ]; do
            run_stage "$@"
            shift
        done
        echo "== all in $(($(date +%s) - BEGIN)) s"
        cat verdicts
        grep -c FAIL verdicts >status && echo 1 >status
    fi
} 2>&1 | tee -a "$OUT/summary.txt"
exit "$(cat status)"
