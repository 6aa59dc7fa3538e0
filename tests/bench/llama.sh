#!/bin/sh
# llama.sh - prefill of 512 tokens and decoding of 64, 2 threads, beside
# llama.cpp on the same GGUF files; decoding beside a busy process as well, and
# beside its own quiet speed.
# usage: LLAMA=DIR tests/bench/llama.sh FILE.q8_0.gguf FILE.q4_0.gguf ...
# LLAMA is the folder of llama-bench. Turns alternate; medians of three.
set -eu

bench=${BENCH:-build/release/bench_generate}
[ -n "${LLAMA:-}" ] && [ -x "$LLAMA/llama-bench" ] || {
    echo "skip: llama.sh: LLAMA names no folder with llama-bench"
    exit 0
}

middle() { sort -n | sed -n 2p; }

# Rates of llama-bench: prefill, decode
peer() { # file prompt
    LD_LIBRARY_PATH=$LLAMA "$LLAMA/llama-bench" -m "$1" -t 2 -p "$2" -n 64 \
        -r 1 -o jsonl 2>/dev/null |
        sed -n 's/.*"avg_ts": *\([0-9.]*\).*/\1/p' | paste -s -
}

row() { # path shape ours peer whose goal
    printf 'row\t%s\t%s\ttok/s\t%s\t%s\t%s\t%s\t-\n' "$1" "$2" "$3" "$5" \
        "$4" "$6"
}

turns() { # file kind prompt: four figures, medians
    t=$(mktemp -d)
    for _ in 1 2 3; do
        "$bench" "$1" "$2" 2 "$3" >>"$t/ours"
        peer "$1" "$3" >>"$t/peer"
    done
    for f in ours peer; do
        cut -f 1 "$t/$f" | middle
        cut -f 2 "$t/$f" | middle
    done | paste -s -
    rm -r "$t"
}

for file; do
    case $file in
    *[qQ]4_0*) kind=q4_0 ;;
    *) kind=q8_0 ;;
    esac
    name=$(basename "$file" .gguf)
    read -r pp tg peer_pp peer_tg <<EOF
$(turns "$file" "$kind" 512)
EOF
    row "prefill $kind" "$name" "$pp" "$peer_pp" llama.cpp 3
    row "decode $kind" "$name" "$tg" "$peer_tg" llama.cpp 1.3
    sh -c 'while :; do :; done' &
    neighbour=$!
    trap 'kill $neighbour 2>/dev/null || true' EXIT
    read -r _ busy _ peer_busy <<EOF
$(turns "$file" "$kind" 8)
EOF
    row "decode $kind, busy neighbour" "$name" "$busy" "$peer_busy" llama.cpp 1.3
    row "decode $kind, busy neighbour" "$name" "$busy" "$tg" "itself alone" .4
    kill $neighbour
    wait $neighbour 2>/dev/null || true
done
