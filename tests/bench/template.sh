#!/bin/sh
# template.sh [TEMPLATE LOG]... - rendering of logged calls, beside jinja2
# Without arguments slmctl's own template and the demo agent's log. LOG: JSON
# Lines, packed with zstd or not. PEERS: a python3 that has jinja2; TOKENIZER:
# a tokenizer.json, whose tokens are then counted in as well; BUILD: where
# bench_template and slmctl lie (build/release).
set -eu
here=$(dirname "$0")
build=${BUILD:-build/release}
[ -x "$build/bench_template" ] || {
    echo "template.sh: no $build/bench_template; 'make $build/bench_template'" >&2
    exit 1
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
if [ $# -lt 2 ]; then
    "$build/slmctl" model template --builtin >"$tmp/slmctl.jinja"
    set -- "$tmp/slmctl.jinja" data/agent/logs.jsonl.zst
fi
[ -n "${PEERS:-}" ] || echo 'skip: jinja2: PEERS names no python3 that has it'
while [ $# -ge 2 ]; do
    TAKEN=$tmp/taken "$build/bench_template" "$1" "$2" >"$tmp/ours"
    grep -v '^row' "$tmp/ours"
    : >"$tmp/peers"
    if [ -n "${PEERS:-}" ]; then
        case $2 in
        *.zst) zstd -dcq "$2" >"$tmp/log" ;;
        *) cp "$2" "$tmp/log" ;;
        esac
        "$PEERS" "$here/template_peers.py" "$1" "$tmp/log" "$tmp/taken" \
            >"$tmp/peers"
    fi
    awk -F '\t' -v OFS='\t' '
        FILENAME == ARGV[1] { name = $1; speed = $2; next }
        $1 == "row" && $2 == "template prompt" && name {
            $6 = name; $7 = speed
        }
        $1 == "row"' "$tmp/peers" "$tmp/ours"
    shift 2
done
