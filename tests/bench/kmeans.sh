#!/bin/sh
# kmeans.sh - k-means beside scikit-learn and faiss, two threads each
# PEERS: a python3 that has numpy and one of them; BUILD: where bench_kmeans
# lies (build/release). OpenBLAS of scikit-learn takes its kernels by
# OPENBLAS_CORETYPE; say Haswell or SkylakeX where it does not know the CPU.
set -eu
here=$(dirname "$0")
bench=${BUILD:-build/release}/bench_kmeans
[ -x "$bench" ] || {
    echo "kmeans.sh: no $bench; 'make $bench' builds it" >&2
    exit 1
}
if [ -z "${PEERS:-}" ]; then
    echo 'skip: scikit-learn, faiss: PEERS names no python3 that has them'
    exec "$bench" '' 2
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
OMP_NUM_THREADS=2 "$PEERS" "$here/kmeans_peers.py" "$tmp" >"$tmp/peers"
"$bench" "$tmp" 2 >"$tmp/ours"
grep -v '^row' "$tmp/ours"
awk -F '\t' '{ printf "%-12s k=%4d: %.3f s an iteration\n", $1, $2, 1 / $3 }' \
    "$tmp/peers"
awk -F '\t' -v OFS='\t' '
    FILENAME == ARGV[1] { n++; name[n] = $1; k[n] = $2; speed[n] = $3; next }
    $1 == "row" {
        for (i = 1; i <= n; i++)
            if ($3 ~ "k = " k[i] ",") { $6 = name[i]; $7 = speed[i]; print }
        if (!n) print
    }' "$tmp/peers" "$tmp/ours"
