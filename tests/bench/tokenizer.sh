#!/bin/sh
# tokenizer.sh [TOKENIZER_JSON TEXTS] - encoding and decoding beside others
# Without them a vocabulary trained on the demo agent's logs, which are then the
# texts. PEERS: a python3 that has tiktoken and tokenizers; BUILD: where
# bench_tokenizer lies (build/release).
set -eu
here=$(dirname "$0")
bench=${BUILD:-build/release}/bench_tokenizer
[ -x "$bench" ] || {
    echo "tokenizer.sh: no $bench; 'make $bench' builds it" >&2
    exit 1
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
if [ $# -ne 2 ]; then
    set -- "$tmp/tokenizer.json" "$tmp/texts"
    zstd -qdc "$here/../../data/agent/logs.jsonl.zst" >"$2"
    "$bench" make "$1" "$2"
fi
"$bench" "$1" "$2" >"$tmp/ours"
grep -v '^row' "$tmp/ours"
if [ -n "${PEERS:-}" ]; then
    "$PEERS" "$here/tokenizer_peers.py" "$1" "$2" >"$tmp/peers"
    awk -F '\t' '{ printf "%-17s %8.1f MB/s, %d tokens\n", $1, $2, $3 }' \
        "$tmp/peers"
else
    echo 'skip: tiktoken, tokenizers: PEERS names no python3 that has them'
    : >"$tmp/peers"
fi
awk -F '\t' -v OFS='\t' '
    FILENAME == ARGV[1] { name[++n] = $1; speed[n] = $2; next }
    $1 == "row" && $2 == "tokenizer encode" && n {
        for (i = 1; i <= n; i++) { $6 = name[i]; $7 = speed[i]; print }
        next
    }
    $1 == "row"' "$tmp/peers" "$tmp/ours"
