#!/bin/sh
# scrub.sh [BUILD] - MB/s of curate --filter on agents' logs and on text full of
# personal data, one and two threads, peak memory on a gigabyte, and beside it
# Hyperscan as raw matcher of the same patterns, Presidio's pattern recognisers
# and MinHash, all in one run.
# SLMCTL_REFERENCE: public data sets (else a log is made); PRESIDIO: a python3
# that has presidio-analyzer; MEGABYTES: size of the long input (1000).
set -u
build=${1:-build/release}
here=$(dirname "$0")
tree=$here/../..
megabytes=${MEGABYTES:-1000}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
printf '%064d\n' 7 >"$tmp/key"
chmod 600 "$tmp/key"

for program in slmctl bench_scrub bench_minhash; do
    [ -x "$build/$program" ] || {
        echo "scrub.sh: no $build/$program; 'make $build/$program' builds it" >&2
        exit 1
    }
done
command -v python3 >/dev/null || { echo 'skip: no python3'; exit 0; }
python3 "$here/scrub_inputs.py" "$tmp" "${SLMCTL_REFERENCE:-}" || exit 1

echo "one core, in the library, by CPU time (first pass over each input)"
"$build/bench_scrub" "$tmp"/*.jsonl | grep -v '^scrub dense  *[12]'

echo "curate --filter, by the clock"
for log in "$tmp"/*.jsonl; do
    for threads in 1 2; do
        python3 "$here/scrub_clock.py" "$(basename "$log" .jsonl)" 100 "$log" \
            "$build/slmctl" curate --filter --key-file "$tmp/key" \
            --threads $threads
    done
done
python3 "$here/scrub_clock.py" "long input" "$megabytes" "$tmp/agents.jsonl" \
    "$build/slmctl" curate --filter --key-file "$tmp/key" --threads 2

echo "others"
"$build/bench_minhash" "$tmp/agents.jsonl"
flags=$(pkg-config --cflags --libs libhs 2>/dev/null)
if [ -n "$flags" ]; then
    # shellcheck disable=SC2086
    cc -O2 -o "$tmp/hyperscan" "$here/hyperscan_scan.c" $flags &&
        "$tmp/hyperscan" "$tree/data/rules" "$tmp"/*.jsonl
else
    echo 'skip: Hyperscan: no libhyperscan-dev'
fi
if [ -n "${PRESIDIO:-}" ] && "$PRESIDIO" -c 'import presidio_analyzer' \
    2>/dev/null; then
    "$PRESIDIO" "$here/presidio_speed.py" "$tmp"/*.jsonl
else
    echo 'skip: Presidio: PRESIDIO names no python3 that has presidio-analyzer'
fi
