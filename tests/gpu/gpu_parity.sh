#!/bin/sh
# gpu_parity.sh GPU_PARITY RESULTS [OPTION...] - all parity cases, whatever
# happens to one of them
#
# A case that fails ends nothing; one that takes the device with it, or hangs,
# ends its process, and another goes on behind it. RESULTS gets a line a case;
# the last line printed is "N passed, N failed, N skipped".
set -u
program=$1 results=$2
shift 2
limit=${PARITY_SECONDS:-600}
"$program" --list "$@" >"$results.list" || exit 1
: >"$results"
after=
begin=$(date +%s)
while :; do
    left=$((limit - $(date +%s) + begin))
    [ "$left" -gt 0 ] && [ "${status:-0}" -ne 124 ] ||
        { echo "FAIL time-limit: $limit s" >>"$results"; break; }
    # shellcheck disable=SC2086
    timeout -k 5 "$left" "$program" ${after:+--after $after} "$@" \
        >"$results.part" 2>&1
    status=$?
    cat "$results.part" >>"$results"
    [ $status -gt 1 ] || break
    [ $status -ne 124 ] || continue # says so above
    # The last case with a result; or else the one that never got there.
    last=$(sed -n 's/^\(ok\|FAIL\) \([^ :]*\).*/\2/p' "$results.part" |
        tail -n 1)
    if ! grep -q "^FAIL $last" "$results.part"; then
        last=$(awk -v last="${last:-$after}" \
            'hit { print; exit } $0 == last || last == "" { hit = last != "" }
             last == "" { print; exit }' "$results.list")
        [ -n "$last" ] || break
        echo "FAIL $last: ended with status $status" >>"$results"
    fi
    after=$last
done
skipped=$(grep -c '^skip:' "$results")
grep '^FAIL' "$results" | head -n "${PARITY_SHOW:-25}"
grep '^skip:' "$results"
echo "$(grep -c '^ok' "$results") passed, $(grep -c '^FAIL' "$results") failed, $skipped skipped"
rm -f "$results.list" "$results.part"
! grep -q '^FAIL' "$results"
