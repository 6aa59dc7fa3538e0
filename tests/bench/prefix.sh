#!/bin/sh
# prefix.sh [BUILD [PART...]] - servers on one model of SmolLM2-135M's shape, by
# turns, with the same clients: slmctl serve, and llama.cpp's server (LLAMA: the
# directory that has it). Parts:
#   calls  200 calls of a few tokens over one system prompt of some 1,500;
#          llama.cpp's server with and without its prompt cache
#   load   32 clients at once, 4 adapters over the base; llama.cpp's server with
#          these adapters, by request, and with the base alone
# CALLS, ROUNDS, THREADS, TYPE (F32, Q8_0: of llama.cpp's file, and of ours in
# memory), LLAMA_ARGS (further options of its server), SERVERS (of them that
# are asked: slmctl plain cached; slmctl lora base), WORK (kept).
set -u
build=$(cd "${1:-build/release}" && pwd) || exit 1
[ $# -gt 0 ] && shift
parts=${*:-calls load}
here=$(cd "$(dirname "$0")" && pwd)
calls=${CALLS:-200}
rounds=${ROUNDS:-1}
threads=${THREADS:-2}
type=${TYPE:-F32}
case $type in Q8_0) weights=q8_0 ;; *) weights=stored ;; esac
servers=" ${SERVERS:-slmctl plain cached lora base} "
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
    awk 'BEGIN { for (i = 1; i <= 50; i++)
        printf "Rule %d: a parcel of kind %d goes to desk %d.\n", i, i * 7 % 53, i * 11 % 17 }' >"$work/system"
    if [ -n "${LLAMA:-}" ] && [ ! -f "$work/$type.gguf" ]; then
        "$slmctl" model convert --to gguf --type "$type" -q -o "$work/$type.gguf" \
            "$work/m" >/dev/null || LLAMA=
    fi
}

# New ones, whose B is zero: what they cost does not depend on it. A server knows
# adapters by the store.
make_adapters() {
    [ -f "$work/store/store.db" ] || "$slmctl" model add -q --as m "$work/m" >/dev/null || return 1
    for i in 1 2 3 4; do
        [ -f "$work/a$i.gguf" ] && continue
        "$build/bench_session" adapter "$work/m" "$work/a$i" $i || return 1
        "$slmctl" model convert --to gguf --type F32 --base "$work/m" -q \
            -o "$work/a$i.gguf" "$work/a$i" >/dev/null || return 1
        python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1] + "/store.db")
db.execute("INSERT INTO model(name, kind, path, base, created) SELECT ?, \"adapter\", ?, id, 1 FROM model WHERE name = \"m\"", sys.argv[2:])
db.commit()' "$work/store" "a$i" "$work/a$i" || return 1
    done
}

wait_for() { # FILE PATTERN
    n=0
    until grep -q "$2" "$1" 2>/dev/null; do
        n=$((n + 1))
        [ $n -gt 600 ] || ! kill -0 "$pid" 2>/dev/null && { cat "$1" >&2; return 1; }
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
        --queue-requests 64 --prefix-cache 4G --weights "$weights" $models >"$work/slmctl.log" 2>&1 &
    pid=$!
    wait_for "$work/slmctl.log" '127\.0\.0\.1:[0-9]' || return 1
    port=$(sed -n 's/.*127\.0\.0\.1:\([0-9][0-9]*\).*/\1/p' "$work/slmctl.log" | head -n 1)
}

start_llama() { # SLOTS [OPTION...]
    port=$((20000 + $$ % 20000))
    slots=$1
    shift
    # shellcheck disable=SC2086
    "$LLAMA/llama-server" -m "$work/$type.gguf" --host 127.0.0.1 --port $port \
        -t "$threads" -tb "$threads" --parallel "$slots" -c $((2048 * slots)) \
        --no-webui "$@" ${LLAMA_ARGS:-} >"$work/llama.log" 2>&1 &
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

has() {
    case $servers in *" $1 "*) [ "$1" = slmctl ] || [ -n "${LLAMA:-}" ] ;; *) false ;; esac
}

# One call first, so that none pays for what is made once.
round_calls() {
    if has slmctl; then
        start_slmctl 4 "m=$work/m" || return 1
        ask warm 1 1 2 "$work/system" m
        ask calls "$calls" 1 2 "$work/system" m
        stop
    fi
    has cached || has plain || return 0
    start_llama 1 || return 1
    ask warm 1 1 2 "$work/system" m
    has cached && ask calls-cached "$calls" 1 2 "$work/system" m cache_prompt=true
    has plain && ask calls-plain $((calls / 20 + 1)) 1 2 "$work/system" m cache_prompt=false
    stop
}

# Each slot has had a call before.
round_load() {
    if has slmctl; then
        start_slmctl 32 a1 a2 a3 a4 || return 1
        ask warm 32 32 2 "$work/short" a1,a2,a3,a4
        ask load 64 32 32 "$work/short" a1,a2,a3,a4
        stop
    fi
    if has lora; then
        start_llama 32 --lora "$work/a1.gguf" --lora "$work/a2.gguf" \
            --lora "$work/a3.gguf" --lora "$work/a4.gguf" || return 1
        by_turns='lora@=[[{"id":0,"scale":1}],[{"id":1,"scale":1}],[{"id":2,"scale":1}],[{"id":3,"scale":1}]]'
        ask warm 32 32 2 "$work/short" m,m,m,m "$by_turns"
        ask load-lora 64 32 32 "$work/short" m,m,m,m "$by_turns"
        stop
    fi
    if has base; then
        start_llama 32 || return 1
        ask warm 32 32 2 "$work/short" m
        ask load-base 64 32 32 "$work/short" m
        stop
    fi
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
        shape="32 clients, 4 adapters, $type"
        row serve "$shape" tok/s "$(middle load 2)" \
            'llama.cpp, adapters by request' "$(middle load-lora 2)" 1.5
        row serve "$shape" tok/s "$(middle load 2)" \
            'llama.cpp, no adapters' "$(middle load-base 2)" 1.5
        ;;
    esac
done
