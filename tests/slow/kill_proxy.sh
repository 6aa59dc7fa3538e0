#!/bin/sh
# kill_proxy.sh SLMCTL - kill -9 the proxy under load at random moments, also
# while it starts, for each durability. What a client has read to its end is
# acknowledged: with sync and spool it is in the store afterwards, with batch
# it is, or it is there as lost and ended within the window before the kill.
# N=200 kills of each durability; WINDOW_MS is what batch may lose: 50 ms and two
# commits, which take their time on a busy machine.
# shellcheck disable=SC2034,SC2154 # shared with proxy.subr
set -u
slmctl=$1
tools=$(dirname "$1")
. "$(dirname "$0")/lib/proxy.subr"
need slow_client slow_upstream
kills=${N:-12}
window_ms=${WINDOW_MS:-2000}
start_upstream

under_fire() { # DURABILITY
    log=$scratch/$1.calls
    : >"$scratch/$1.kills"
    PAUSE_MS=10 "$tools/slow_client" "$socket" "$log" 16 0 whole stream &
    clients=$!
    i=0
    while [ $i -lt "$kills" ]; do
        i=$((i + 1))
        start_proxy "$scratch/$1" --durability "$1"
        sleep_ms "$(below 700)"
        kill -9 $proxy
        wait $proxy 2>/dev/null
        equal $? 137 "kill $i of $1 ended it with"
        date +%s%6N >>"$scratch/$1.kills"
    done
    start_proxy "$scratch/$1" --durability "$1"
    sleep 1
    kill $clients
    wait $clients || wrong "the clients ended with $?"
    clients=
    stop_proxy || wrong "$1: the proxy ended with $?"
}

# Every line of the clients beside what the store says of that call:
# "ID HOW STATUS-IN-STORE TIME".
judge() { # DURABILITY
    store=$scratch/$1
    ask "SELECT lower(hex(k.key)), c.status, c.id FROM call_key k
         JOIN call c ON c.id = k.call" | tr '|' ' ' >"$scratch/stored"
    awk 'FILENAME == ARGV[1] { status[$1] = $2; next }
         $1 != "-" && $2 == 200 {
             print $1, $3, ($1 in status ? status[$1] : "missing"), $4 }' \
        "$scratch/stored" "$scratch/$1.calls" >"$scratch/joined"
}

# Of the acknowledged calls that were lost: how long before its kill the last
# byte of the oldest had come, in milliseconds.
oldest_lost() { # DURABILITY
    awk 'FILENAME == ARGV[1] { kills[n++] = $1; next }
         $2 == "whole" && $3 == "lost" {
             for (i = 0; i < n && kills[i] < $4; i++)
                 ;
             age = i < n ? (kills[i] - $4) / 1000 : 1e9
             if (age > most) most = age }
         END { printf "%d\n", most }' "$scratch/$1.kills" "$scratch/joined"
}

count() { # HOW STATUS
    awk -v how="$1" -v status="$2" '
        $2 == how && $3 ~ "^(" status ")$" { n++ } END { print n + 0 }' \
        "$scratch/joined"
}

# Under the id that a client was told stand its own prompt and answer: both
# name the number of its call.
same_content() { # DURABILITY
    "$slmctl" store export --store "$store" 2>>"$scratch/log" |
        jq -r '[.status, (.request.messages[0].content // "-"),
            (.response.choices[0].message.content // "-" |
             split(" and")[0])] | @tsv' >"$scratch/contents"
    ask "SELECT lower(hex(k.key)) FROM call c JOIN call_key k ON k.call = c.id
         ORDER BY c.id" | paste - "$scratch/contents" >"$scratch/told"
    awk -F '\t' 'FILENAME == ARGV[1] { split($0, f, " ")
             if (f[3] == "whole") want[f[1]] = "marker " f[6]
             next }
         $2 == "completed" && $1 in want {
             n++
             if ($3 != want[$1] || $4 != want[$1]) print "differs: " $0 }
         END { print n + 0 }' "$scratch/$1.calls" "$scratch/told" \
        >"$scratch/compared"
    equal "$(cat "$scratch/compared")" "$kept" "$1: calls with their contents"
}

for how in sync spool batch; do
    under_fire $how
    judge $how
    missing=$(count whole missing) lost=$(count whole lost)
    kept=$(count whole completed) all=$(count whole '.*')
    before=$(oldest_lost $how)
    gaps=$(ask "SELECT coalesce(sum(calls), 0) FROM gap")
    note "$how: $kills kills, $all acknowledged, $kept in the store," \
        "missing $missing, lost $lost (the oldest ended $before ms before)," \
        "not acknowledged and lost $(($(ask \
            "SELECT count(*) FROM call WHERE status = 'lost'") - lost))," \
        "gaps $gaps"
    [ "$all" -gt $((kills * 10)) ] || wrong "$how: there was no load"
    equal "$missing" 0 "$how: acknowledged calls that are missing"
    equal $((kept + lost)) "$all" "$how: acknowledged calls with a status"
    [ $how = batch ] || equal "$lost" 0 "$how: acknowledged calls that are lost"
    [ "$before" -le "$window_ms" ] || wrong "$how: lost $before ms after its end"
    equal "$(ask "SELECT count(*) FROM gap WHERE reason != 'damaged'")" 0 \
        "$how: gaps"
    sound $how
    same_content $how
    calls=$(ask 'SELECT count(*) FROM call')
    start_proxy "$scratch/$how"
    wait_for "$socket"
    sleep 0.3
    stop_proxy || wrong "$how: the proxy ended with $?"
    equal "$(ask 'SELECT count(*) FROM call')" "$calls" "$how: started again"
    equal "$(ls "$scratch/$how/spool")" '' "$how: the spool"
done
[ $bad -eq 0 ] || tail -n 5 "$scratch/log"
exit $bad
