#!/bin/sh
# prefix.sh [BUILD [PART...]] - servers on one model of SmolLM2-135M's shape, by
# turns, with the same clients: slmctl serve, and llama.cpp's server (LLAMA: the
# directory that has it) with and without its prompt cache. Parts:
#   calls  200 calls of a few tokens over one system prompt of some 1,500
#   load   32 clients at once, 4 adapters over the base; llama.cpp's server has
#          the base alone, since it does not put adapters beside each other
# CALLS, ROUNDS, THREADS, TYPE (of llama.cpp's file: F32, Q8_0), WORK (kept).
set -u
build=$(cd "${1:-build/release}" && pwd) || exit 1
[ $# -gt 0 ] && shift
parts=${*:-calls load}
here=$(cd "$(dirname "$0")" && pwd)
calls=${CALLS:-200}
rounds=${ROUNDS:-3}
threads=${THREADS:-2}
type=${TYPE:-F32}
work=${WORK:-$(mktemp -d)}
mkdir -p "$work" && work=$(cd "$work" && pwd) || exit 1
pid=
cleanup() {
    [ -n "$pid" ] && kill "$pid" 2>/dev/null
    wait 2>/dev/null
    [ -n "${WORK:-}" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export HOME="$work" XDG_CONFIG_HOME="$work/config" SLMCTL_STORE="$work/store"
export SLMCTL_NO_ENCRYPTION=true
slmctl=$build/slmctl

make_inputs() {
    [ -f "$work/m/model.safetensors" ] || "$build/bench_session" make "$work/m" || exit 1
    cp "$here/../reference/tokenizers/smollm2.json" "$work/m/tokenizer.json"
    "$slmctl" model template --builtin >"$work/m/chat_template.jinja"
    awk 'BEGIN { for (i = 1; i <= 47; i++)
        printf "Rule %d: a parcel of kind %d goes to desk %d.\n", i, i * 7 % 53, i * 11 % 17 }' >"$work/system"
    if [ -n "${LLAMA:-}" ] && [ ! -f "$work/$type.gguf" ]; then
        "$slmctl" model convert --to gguf --type "$type" -q -o "$work/$type.gguf" \
            "$work/m" >/dev/null || LLAMA=
    fi
}

# Adapters that have seen a few tokens: what they cost does not depend on it.
make_adapters() {
    [ -f "$work/store/adapters" ] && return
    for i in 1 2 3 4; do
        printf '{"messages":[{"role":"user","content":"parcel %s"},{"role":"assistant","content":"desk %s"}]}\n' $i $i
    done >"$work/chats.jsonl"
    for i in 1 2 3 4; do
        "$slmctl" finetune --model "$work/m" -d "$work/chats.jsonl" --tokens 64 \
            --seed $i --as "a$i" -q >/dev/null || return 1
    done
    touch "$work/store/adapters"
}

wait_for() { # FILE PATTERN
    n=0
    until grep -q "$2" "$1" 2>/dev/null; do
        n=$((n + 1))
        [ $n -gt 600 ] && { cat "$1" >&2; return 1; }
        sleep 0.1
    done
}

start_slmctl() { # SLOTS MODEL...
    slots=$1
    shift
    models=
    for m in "$@"; do models="$models --model $m"; done
    # shellcheck disable=SC2086
    "$slmctl" serve --listen 127.0.0.1:0 --slots "$slots" --threads "$threads" \
        --queue-requests 64 --prefix-cache 4G $models >"$work/slmctl.log" 2>&1 &
    pid=$!
    wait_for "$work/slmctl.log" '127\.0\.0\.1:[0-9]' || return 1
    port=$(sed -n 's/.*127\.0\.0\.1:\([0-9][0-9]*\).*/\1/p' "$work/slmctl.log" | head -n 1)
}

start_llama() { # SLOTS
    port=$((20000 + $$ % 20000))
    "$LLAMA/llama-server" -m "$work/$type.gguf" --host 127.0.0.1 --port $port \
        -t "$threads" -tb "$threads" --parallel "$1" -c $((2048 * $1)) \
        --no-webui >"$work/llama.log" 2>&1 &
    pid=$!
    wait_for "$work/llama.log" 'server is listening'
}

stop() {
    kill "$pid"
    wait "$pid" 2>/dev/null
    pid=
}

# NAME CALLS CLIENTS TOKENS SYSTEM MODELS [KEY=JSON]: a line in $work/NAME
ask() {
    name=$1
    shift
    python3 "$here/serve_load.py" "http://127.0.0.1:$port/v1" "$@" >>"$work/got.$name"
}

# The median of a column of what was got.
middle() { # NAME COLUMN
    if [ -s "$work/got.$1" ]; then
        cut -d' ' -f"$2" "$work/got.$1" | sort -g |
            awk '{ x[NR] = $1 } END { print x[int((NR + 1) / 2)] }'
    else
        echo -
    fi
}

row() { # PATH SHAPE UNIT OURS PEER-NAME PEER GOAL
    printf 'row\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t-\n' "$@"
}

# One call first, so that none pays for what is made once.
round_calls() {
    start_slmctl 4 "m=$work/m" || return 1
    ask warm 1 1 2 "$work/system" m
    ask calls "$calls" 1 2 "$work/system" m
    stop
    [ -n "${LLAMA:-}" ] || return 0
    start_llama 1 || return 1
    ask warm 1 1 2 "$work/system" m
    ask calls-cached "$calls" 1 2 "$work/system" m cache_prompt=true
    ask calls-plain $((calls / 20 + 1)) 1 2 "$work/system" m cache_prompt=false
    stop
}

round_load() {
    start_slmctl 32 a1 a2 a3 a4 || return 1
    ask warm 4 1 2 "$work/short" a1,a2,a3,a4
    ask load 64 32 32 "$work/short" a1,a2,a3,a4
    stop
    [ -n "${LLAMA:-}" ] || return 0
    start_llama 32 || return 1
    ask warm 4 1 2 "$work/short" m
    ask load-llama 64 32 32 "$work/short" m
    stop
}

make_inputs
head -n 12 "$work/system" >"$work/short"
rm -f "$work"/got.*
[ -n "${LLAMA:-}" ] || echo 'skip: llama.cpp: LLAMA does not name its directory'
for part in $parts; do
    [ "$part" != load ] || make_adapters || exit 1
    i=0
    while [ $i -lt "$rounds" ]; do
        "round_$part" || exit 1
        i=$((i + 1))
    done
    case $part in
    calls)
        shape="$calls calls over 1,500 tokens, $type"
        row 'classifier calls' "$shape" calls/s "$(middle calls 1)" \
            'llama.cpp, no prompt cache' "$(middle calls-plain 1)" 5
        row 'classifier calls' "$shape" calls/s "$(middle calls 1)" \
            'llama.cpp, prompt cache' "$(middle calls-cached 1)" 1.5
        ;;
    load)
        row 'serve' "32 clients, 4 adapters, $type" tok/s "$(middle load 2)" \
            'llama.cpp, no adapters' "$(middle load-llama 2)" 1.5
        ;;
    esac
done
