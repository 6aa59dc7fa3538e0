#!/bin/sh
# estimate.sh [SLMCTL [CALLS]] - time and memory of `slmctl estimate` for a log
# of a million calls: the agent log of $SLMCTL_REFERENCE, or the shipped one,
# again and again. Every call is then of the sample, the slowest case.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
slmctl=${1:-$here/build/release/slmctl}
calls=${2:-1000000}
log=${SLMCTL_REFERENCE:-}/data/agent-logs/agentmix.jsonl.zst
[ -f "$log" ] || log=$here/data/agent/logs.jsonl.zst
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
zstdcat "$log" >"$tmp/log"
lines=$(wc -l <"$tmp/log")
n=0
while [ "$n" -lt "$calls" ]; do
    cat "$tmp/log"
    n=$((n + lines))
done >"$tmp/calls"
rm "$tmp/log"
set -- "$slmctl" estimate --json --progress never "$tmp/calls"
start=$(date +%s.%N)
if [ -x /usr/bin/time ]; then
    /usr/bin/time -f 'cpu_seconds %U+%S memory_KiB %M' -o "$tmp/time" "$@" \
        >"$tmp/out"
else
    "$@" >"$tmp/out"
fi
end=$(date +%s.%N)
printf 'calls %s bytes %s seconds %s\n' "$n" "$(wc -c <"$tmp/calls")" \
    "$(echo "$end $start" | awk '{ printf "%.1f", $1 - $2 }')"
[ ! -f "$tmp/time" ] || cat "$tmp/time"
