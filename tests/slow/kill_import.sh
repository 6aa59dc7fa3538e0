#!/bin/sh
# kill_import.sh SLMCTL - kill -9 the import twenty times at random points,
# resume, and compare every call with its line and with an uninterrupted run.
# With SLMCTL_REFERENCE also on the reference's logs.
set -u
slmctl=$1
round_trip=$(dirname "$1")/test_round_trip
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
kills=20
export SLMCTL_KEY_FILE="$scratch/key"

calls() { # STORE
    "$slmctl" status --store "$1" --json | sed -n 's/^ *"calls": \([0-9]*\),$/\1/p'
}

# A random number below $1, different in each call.
below() {
    od -An -N4 -tu4 /dev/urandom | awk -v n="$1" '{ print $1 % n }'
}

one() { # LOG
    rm -rf "$scratch/whole" "$scratch/killed"
    begin=$(date +%s%N)
    "$slmctl" collect --quiet --store "$scratch/whole" --import "$1" || exit 1
    ms=$((($(date +%s%N) - begin) / 1000000 + 1))
    hits=0 tries=0
    while [ $hits -lt $kills ] && [ $tries -lt 200 ]; do
        tries=$((tries + 1))
        "$slmctl" collect --quiet --store "$scratch/killed" --import "$1" &
        pid=$!
        sleep "$(printf '0.%03d' "$(below "$ms" | awk '{ print $1 % 1000 }')")"
        kill -9 $pid 2>/dev/null
        wait $pid 2>/dev/null
        [ $? -eq 137 ] && hits=$((hits + 1))
    done
    [ $hits -eq $kills ] || { echo "killed only $hits times"; exit 1; }
    "$slmctl" collect --quiet --store "$scratch/killed" --import "$1" || exit 1
    want=$(calls "$scratch/whole") got=$(calls "$scratch/killed")
    [ "$want" = "$got" ] || { echo "$1: $got calls, not $want"; exit 1; }
    ROUND_TRIP_STORE=$scratch/killed ROUND_TRIP_KEY=$SLMCTL_KEY_FILE \
        ROUND_TRIP_LOG=$1 "$round_trip" || exit 1
    echo "note: $got calls after $hits kills equal their lines"
}

found=0
for log in data/agent/logs.jsonl.zst \
    "${SLMCTL_REFERENCE:-none}"/data/agent-logs/agentmix.jsonl.zst \
    "${SLMCTL_REFERENCE:-none}"/data/agent-logs/tau-bench-airline.jsonl.zst \
    "${SLMCTL_REFERENCE:-none}"/data/agent-logs/metagpt.jsonl.zst; do
    [ -f "$log" ] || continue
    found=1
    one "$log"
done
[ $found -eq 1 ] || echo "skip: there is no log to import"
