#!/bin/sh
# proxy_upstreams.sh SLMCTL - upstreams that are dead, mute, cut off, stall or
# talk nonsense: what the client saw, what the store says of the call, and
# what the metrics count. CALLS of each kind.
# shellcheck disable=SC2034,SC2154 # shared with proxy.subr
set -u
slmctl=$1
tools=$(dirname "$1")
. "$(dirname "$0")/lib/proxy.subr"
need slow_client slow_upstream
calls=${CALLS:-4}
start_upstream
start_proxy "$scratch/store" --upstream dead=http://127.0.0.1:1 \
    --first-byte-timeout 1 --idle-timeout 1 --connect-timeout 2
wait_for "$socket"

# KIND of upstream, the client's status and how its answer ended; the store's
# status, phase and HTTP status; how the metrics count it.
while read -r kind status how stored phase http end; do
    target=/v1/chat/completions model=$kind wait_ms=20000
    case $kind in
    dead) target=/dead$target ;;
    leaving) model=stall wait_ms=300 ;;
    esac
    ends=$(metric "exchanges_total{end=\"$end\"}")
    before=$(date +%s%N)
    TARGET=$target WAIT_MS=$wait_ms "$tools/slow_client" "$socket" \
        "$scratch/$kind" "$calls" 1 "$model" || wrong "$kind: $?"
    ms=$((($(date +%s%N) - before) / 1000000))
    saw=$(awk '{ print $2, $3 }' "$scratch/$kind" | sort | uniq -c | xargs)
    ids=$(awk '$1 != "-" { printf "%sx\047%s\047", n++ ? "," : "", $1 }' \
        "$scratch/$kind")
    sleep 0.5
    says=$(ask "SELECT count(*), c.status, coalesce(c.phase, '-'),
        coalesce(c.http_status, '-') FROM call_key k
        JOIN call c ON c.id = k.call WHERE k.key IN ($ids) GROUP BY 2, 3, 4" |
        tr '|' ' ')
    counted=$(($(metric "exchanges_total{end=\"$end\"}") - ends))
    note "$(printf '%-10s %5d ms: client %s; store %s; end=%s %d' "$kind" \
        "$ms" "$saw" "$says" "$end" "$counted")"
    equal "$saw" "$calls $status $how" "$kind: the clients saw"
    equal "$says" "$calls $stored $phase $http" "$kind: the store says"
    equal "$counted" "$calls" "$kind: counted as $end"
done <<'END'
whole 200 whole completed - 200 whole
stream 200 whole completed - 200 whole
failure 500 whole failed_http - 500 whole
dead 502 whole failed_http - - unreached
mute 504 whole timeout - - timeout
hang-up 502 whole upstream_truncated - - cut
garbage 502 whole upstream_truncated - - cut
stall 200 cut timeout - 200 timeout
cut 200 cut upstream_truncated - 200 cut
cut-length 200 cut upstream_truncated - 200 cut
reset 200 cut upstream_truncated - 200 cut
leaving 200 late cancelled mid_stream 200 client
END
stop_proxy || wrong "the proxy ended with $?"
store=$scratch/store
# What had come of the answers that were cut is there.
equal "$("$slmctl" store export --store "$store" |
    jq -r 'select(.status == "upstream_truncated" or .status == "timeout") |
        .response | objects | .choices[0].message.content // empty' |
    grep -c '^marker [0-9]* and$')" $((calls * 3)) "beginnings of streams"
equal "$(ask 'SELECT count(*) FROM gap')" 0 gaps
[ $bad -eq 0 ] || tail -n 5 "$scratch/log"
exit $bad
