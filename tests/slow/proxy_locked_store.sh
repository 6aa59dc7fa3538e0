#!/bin/sh
# proxy_locked_store.sh SLMCTL - another program holds the store's write lock
# for SECONDS while clients call: they notice nothing but, with sync, a moment;
# /readyz tells; afterwards each call is in the store and the spool is empty.
# shellcheck disable=SC2034,SC2154 # shared with proxy.subr
set -u
slmctl=$1
tools=$(dirname "$1")
. "$(dirname "$0")/lib/proxy.subr"
need slow_client slow_upstream
seconds=${SECONDS_LOCKED:-5}
start_upstream

hold_lock() { # SECONDS
    { echo 'BEGIN IMMEDIATE;'; echo "SELECT 'held';"; sleep "$1"
      echo 'COMMIT;'; } |
        sqlite3 -cmd '.timeout 5000' "$store/store.db" >"$scratch/held" &
    locker=$!
    until grep -q held "$scratch/held"; do
        sleep 0.02
    done
}

# Of the answers: all, those whole, the longest time in ms.
answers() { # LOG
    awk '{ n++ } $2 == 200 && $3 == "whole" { w++ } $5 > t { t = $5 }
        END { printf "%d %d %d\n", n, w, t / 1000 }' "$1"
}

one() { # DURABILITY
    start_proxy "$scratch/$1" --durability "$1" --queue 1M
    wait_for "$socket"
    "$tools/slow_client" "$socket" "$scratch/first" 4 20 whole stream
    log=$scratch/$1.calls
    PROMPT=4096 PAUSE_MS=40 "$tools/slow_client" "$socket" "$log" 8 0 whole stream &
    clients=$!
    sleep 0.5
    hold_lock "$seconds"
    sleep_ms $((seconds * 1000 - 1000))
    ready=$(admin /readyz)
    spilled=$(metric calls_spilled_total) ok=$(metric store_ok)
    wait $locker
    begin=$(date +%s%N)
    until [ "$(metric store_ok)" = 1 ] && [ "$(metric spool_bytes)" = 0 ]; do
        [ $((($(date +%s%N) - begin) / 1000000000)) -lt 60 ] || break
        sleep 0.1
    done
    ms=$((($(date +%s%N) - begin) / 1000000))
    equal "$(admin /readyz)" ready "$1: /readyz afterwards"
    kill $clients
    wait $clients
    clients=
    stop_proxy || wrong "$1: the proxy ended with $?"
    # shellcheck disable=SC2046 # three numbers
    set -- "$1" $(answers "$log")
    calls=$(ask "SELECT count(*) FROM call WHERE status = 'completed'")
    note "$1, locked for $seconds s: $3 of $2 answers whole, the slowest" \
        "$4 ms; store_ok $ok, $spilled spilled; the store had all" \
        "$ms ms later: $((calls - 80)) completed," \
        "$(ask "SELECT count(*) FROM call WHERE status = 'lost'") lost," \
        "$(ask 'SELECT count(*) FROM gap') gaps"
    equal "$3" "$2" "$1: answers that are whole"
    [ "$2" -gt $((seconds * 20)) ] || wrong "$1: only $2 calls"
    [ "$4" -lt 3000 ] || wrong "$1: a client waited $4 ms"
    equal "$ok" 0 "$1: store_ok while it was locked"
    [ "$ready" != ready ] || wrong "$1: /readyz said ready"
    [ "$spilled" -gt 0 ] || wrong "$1: nothing was spilled"
    equal "$((calls - 80))" "$2" "$1: calls in the store"
    equal "$(ask 'SELECT count(*) FROM call')" "$calls" "$1: all of them"
    equal "$(ask 'SELECT count(*) FROM gap')" 0 "$1: gaps"
    equal "$(ls "$scratch/$1/spool")" '' "$1: the spool"
}

for how in sync batch spool; do
    one $how
done
[ $bad -eq 0 ] || tail -n 5 "$scratch/log"
exit $bad
