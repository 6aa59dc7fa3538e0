#!/bin/sh
# proxy_full_disk.sh SLMCTL - the disk of the store fills up while clients
# call. Then there is room again, or the proxy is killed first. Each answer
# that a client has read to its end must be in the store, as lost where it was
# in memory, or counted in a gap; none twice. Where sync holds back, all are.
# The disk is a small tmpfs; where nothing may be mounted, a limit on files.
# shellcheck disable=SC2034,SC2154 # shared with proxy.subr
set -u
slmctl=$1
tools=$(dirname "$1")
. "$(dirname "$0")/lib/proxy.subr"
need slow_client slow_upstream
disk=$scratch/disk
mkdir "$disk"
start_upstream
if mount -t tmpfs -o size=24m none "$disk" 2>/dev/null; then
    kind=tmpfs mounted=$disk
else
    kind=limit
    trap '' XFSZ
    echo "note: nothing may be mounted here: files are limited instead"
fi

fill() {
    if [ $kind = tmpfs ]; then
        dd if=/dev/zero of="$disk/ballast" bs=4096 2>/dev/null
    else
        prlimit --pid $proxy --fsize=65536:
    fi
}

make_room() {
    if [ $kind = tmpfs ]; then
        rm -f "$disk/ballast"
    elif [ -n "$proxy" ]; then
        prlimit --pid $proxy --fsize=unlimited:
    fi
}

begin_calls() { # LOG
    PROMPT=4096 PAUSE_MS=20 "$tools/slow_client" "$socket" "$1" 8 0 \
        whole stream &
    clients=$!
}

end_calls() {
    kill $clients
    wait $clients || wrong "the clients ended with $?"
    clients=
}

# Acknowledged calls and what became of them: "ALL COMPLETED LOST MISSING".
judge() { # LOG
    ask "SELECT lower(hex(k.key)), c.status FROM call_key k
         JOIN call c ON c.id = k.call" | tr '|' ' ' >"$scratch/stored"
    awk 'FILENAME == ARGV[1] { status[$1] = $2; next }
         $2 == 200 && $3 == "whole" { n[$1 in status ? status[$1] : "none"]++
                                      all++ }
         END { printf "%d %d %d %d\n", all, n["completed"], n["lost"],
                      n["none"] }' "$scratch/stored" "$1"
}

# Until nothing waits for the store any more.
settle() {
    tries=0
    until [ "$(metric store_ok)" = 1 ] && [ "$(metric queue_calls)" = 0 ] &&
        [ "$(metric spool_bytes)" = 0 ]; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || { wrong "$name: it does not recover"; break; }
        sleep 0.1
    done
}

one() { # DURABILITY POLICY room|kill
    name="$1 $2 $3"
    log=$scratch/$1-$2-$3
    start_proxy "$disk/store" --durability "$1" --on-overload "$2" \
        --queue 1M
    wait_for "$socket"
    begin_calls "$log"
    sleep 1
    fill
    sleep 3
    full=$(admin /metrics | awk '
        /^slmctl_(calls_(dropped|unannounced|unsynced|refused)_total|store_ok) / {
            sub("slmctl_", ""); sub("_total", ""); printf "%s %d, ", $1, $2 }')
    saw=$(awk '{ k = $2 " " $3; n[k]++ } $5 > t { t = $5 }
        END { for (k in n) printf "%d %s, ", n[k], k
              printf "slowest %d ms", t / 1000 }' "$log")
    if [ "$3" = kill ]; then
        kill -9 $proxy
        wait $proxy 2>/dev/null
        proxy=
        end_calls
        make_room
        start_proxy "$disk/store"
        wait_for "$socket"
        sleep 0.5
    else
        make_room
        settle
        sleep 0.5
        end_calls
    fi
    settle
    stop_proxy || wrong "$name: the proxy ended with $?"
    report "$1" "$2" "$3"
    rm -rf "$disk/store"
}

report() { # DURABILITY POLICY room|kill
    store=$disk/store
    gaps=$(ask "SELECT coalesce(sum(calls), 0) FROM gap")
    stored=$(ask 'SELECT count(*) FROM call')
    sent=$(awk '$2 == 200 || $1 == "-" { n++ } END { print n + 0 }' "$log")
    how="$1 $2"
    end=$3
    # shellcheck disable=SC2046 # four numbers
    set -- $(judge "$log")
    note "$name: full: $full saw: $saw"
    note "$name: acknowledged $1, completed $2, lost $3, missing $4;" \
        "gaps $gaps ($(ask "SELECT coalesce(group_concat(reason || ' ' ||
            calls, '; '), 'none') FROM (SELECT reason, sum(calls) AS calls
            FROM gap GROUP BY 1)")); in the store $stored of $sent sent"
    [ "$1" -gt 100 ] || wrong "$name: only $1 calls"
    [ "$4" -le "$gaps" ] || wrong "$name: $4 are missing in silence"
    [ $((stored + gaps)) -le "$sent" ] || wrong "$name: some are there twice"
    sound "$name"
    [ "$end" = kill ] || equal "$3" 0 "$name: lost"
    [ "$end" = kill ] || equal "$4" "$gaps" "$name: missing, and in gaps"
    case $how in
    'sync block' | 'sync reject')
        equal "$(($3 + $4))" 0 "$name: acknowledged calls that are not there"
        ;;
    *) [ "${saw##* 503 }" = "$saw" ] || wrong "$name: calls were refused" ;;
    esac
}

one batch spill room
one batch spill kill
one spool spill kill
one sync spill room
one sync spill kill
one sync block room
one sync block kill
one sync reject kill
# It starts where there is no room at all, and records when there is.
if [ $kind = tmpfs ]; then
    name='started on a full disk' log=$scratch/late full='' saw=''
    start_proxy "$disk/store"
    wait_for "$socket"
    sleep 0.3
    stop_proxy
    fill
    start_proxy "$disk/store"
    wait_for "$socket"
    "$tools/slow_client" "$socket" "$log" 8 20 whole stream
    make_room
    settle
    stop_proxy || wrong "$name: the proxy ended with $?"
    report batch spill room
fi
[ $bad -eq 0 ] || tail -n 5 "$scratch/log"
exit $bad
