#!/bin/sh
# llama.sh - prefill of 512 tokens and decoding of 64, 2 threads, beside
# llama.cpp on the same GGUF files; decoding beside a busy process as well, and
# beside its own quiet speed.
# usage: LLAMA=DIR tests/bench/llama.sh [FILE.q8_0.gguf FILE.q4_0.gguf ...]
# LLAMA is the folder of llama-bench. Turns alternate; medians of three. Without
# files: SmolLM2-135M's shape with random weights, made first. BUILD: where the
# programs lie (build/release).
set -eu

here=$(dirname "$0")
build=${BUILD:-build/release}
bench=$build/bench_generate
neighbour='' work=''
end() {
    [ -z "$neighbour" ] || kill "$neighbour" 2>/dev/null || true
    [ -z "$work" ] || rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT TERM
if [ -z "${LLAMA:-}" ] || [ ! -x "$LLAMA/llama-bench" ]; then
    echo "skip: llama.sh: LLAMA names no folder with llama-bench"
    exit 0
fi

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

if [ $# -eq 0 ]; then
    work=$(mktemp -d)
    "$build/bench_session" make "$work/m"
    cp "$here/../reference/tokenizers/smollm2.json" "$work/m/tokenizer.json"
    "$build/slmctl" model template --builtin >"$work/m/chat_template.jinja"
    for type in Q8_0 Q4_0; do
        "$build/slmctl" model convert --to gguf --type $type -q \
            -o "$work/135m.$type.gguf" "$work/m" >/dev/null
        set -- "$@" "$work/135m.$type.gguf"
    done
fi

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
    read -r _ busy _ peer_busy <<EOF
$(turns "$file" "$kind" 8)
EOF
    row "decode $kind, busy neighbour" "$name" "$busy" "$peer_busy" llama.cpp 1.3
    row "decode $kind, busy neighbour" "$name" "$busy" "$tg" "itself alone" .4
    kill $neighbour
    wait $neighbour 2>/dev/null || true
    neighbour=
done
