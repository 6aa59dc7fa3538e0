#!/bin/sh
# retrain_month.sh SLMCTL - thirty nights of retrain under faketime, on the logs
# of two tasks (retrain_month.py): stock on day 1, calls on working days, another
# prompt from day 12 on, a batch of wrong answers on day 20. A line a day is
# printed, and what has to be seen is asserted. That takes ten minutes: only
# with SLMCTL_MONTH=1.
set -u
slmctl=$1
[ -n "${SLMCTL_MONTH:-}" ] || { echo 'skip: SLMCTL_MONTH is not set'; exit 0; }
data=${MONTH_DATA:-data}
tokens=${MONTH_TOKENS:-150000}
days=${MONTH_DAYS:-30}
for tool in faketime python3 zstdcat jq; do
    command -v $tool >/dev/null || { echo "skip: no $tool"; exit 0; }
done
[ -f "$data/base/model.safetensors" ] || { echo 'skip: no base model'; exit 0; }
scratch=${MONTH_DIR:-$(mktemp -d)} || exit 1
[ -n "${MONTH_DIR:-}" ] || trap 'rm -rf "$scratch"' EXIT
export SLMCTL_STORE="$scratch/store" XDG_CONFIG_HOME="$scratch/config"
export SLMCTL_NO_ENCRYPTION=true
export FAKETIME_DONT_FAKE_MONOTONIC=1 TZ=UTC
bad=0

fail() {
    echo "retrain_month: $*"
    bad=1
}

mkdir -p "$scratch/day" "$XDG_CONFIG_HOME/slmctl"
cat >"$XDG_CONFIG_HOME/slmctl/config" <<END
curate.split = 60,10,30
finetune.tokens = $tokens
finetune.batch-tokens = 1024
END
zstdcat "$data/agent/logs.jsonl.zst" >"$scratch/log"
zstdcat "$data/agent/gold.jsonl.zst" >"$scratch/gold"
python3 "$(dirname "$0")/retrain_month.py" "$scratch/log" "$scratch/gold" \
    "$scratch/day" || exit 1
cat >"$scratch/hook" <<END
#!/bin/sh
cat >"$scratch/told"
END
chmod +x "$scratch/hook"

# on DAY COMMAND...: in its evening
on() {
    when="@2026-01-$1 20:00:00"
    shift
    faketime -f "$when" "$slmctl" "$@"
}

# What the hook was told, a line a task.
lines() {
    jq -r '.tasks[] | [.task, .due + (if .moved then " of " + .moved else "" end),
        (if .trained then "trained" else "not trained" end),
        (if .promoted then "promoted" elif .failed then "failed" elif .trained
        then "refused" else "-" end), .why // "-"] | join("; ")' "$scratch/told"
}

# Who answers, a line a task.
champions() { # DAY
    on "$1" status --json | jq -r '.champions[] | [.task, .model] | join(" ")'
}

# said DAY PATTERN: that day has such a line
said() {
    grep -q "$2" "$scratch/day-$1"
}

# The days on which nothing was asked for.
silent() {
    find "$scratch" -maxdepth 1 -name 'day-*' -size 0 | wc -l
}

on 01 model add -q "$data/base" --as base || exit 1
on 01 model terms --set allow gpt-4o-2024-08-06 >/dev/null || exit 1
start=$(date +%s)
for n in $(seq "$days"); do
    day=$(printf %02d "$n")
    new="$scratch/day/day-$day.jsonl"
    [ ! -s "$new" ] || on "$day" collect -q --import "$new" || exit 1
    rm -f "$scratch/told"
    champions "$day" >"$scratch/before"
    on "$day" retrain --min-new 250 --margin 10 --champion-margin 3 \
        --notify "$scratch/hook" >"$scratch/said" 2>&1 ||
        fail "day $day: exit $?: $(cat "$scratch/said")"
    if [ -f "$scratch/told" ]; then
        lines | tee "$scratch/day-$day" | sed "s/^/day $day: /"
    else
        : >"$scratch/day-$day"
        echo "day $day: nothing due"
        [ ! -s "$scratch/said" ] ||
            fail "day $day: not silent: $(cat "$scratch/said")"
    fi
    champions "$day" >"$scratch/after"
    if [ ! -s "$new" ] && [ -s "$scratch/day-$day" ]; then
        fail "day $day: due without a new call"
    fi
    grep -q '; promoted;' "$scratch/day-$day" ||
        cmp -s "$scratch/before" "$scratch/after" ||
        fail "day $day: another champion without a promotion"
    if [ "$n" -eq 20 ]; then
        said 20 'rank.*; trained; refused; the gate against the LLM says' ||
            fail 'day 20: the bad batch was not refused'
        grep rank "$scratch/before" >"$scratch/was"
        grep rank "$scratch/after" >"$scratch/is"
        [ -s "$scratch/was" ] && cmp "$scratch/was" "$scratch/is" ||
            fail 'day 20: the champion did not stay'
    fi
done

said 01 'rank.*; never_trained; trained; promoted' ||
    fail 'day 1: no first champion'
[ "$days" -lt 30 ] || [ "$(silent)" -ge 18 ] ||
    fail "nothing was due on $(silent) days of $days only"
for n in $(seq 11); do
    ! said "$(printf %02d "$n")" drift || fail "day $n: drift before there is any"
done
grep -h drift "$scratch"/day-1[2-4] 2>/dev/null |
    grep -Eq 'rank.*drift of (prompt length|size)' || fail 'days 12 to 14: no drift told'
! grep -h drift "$scratch"/day-?? | grep -qv rank ||
    fail 'drift of a task that has none'
"$slmctl" store verify >/dev/null 2>&1 || fail 'store verify finds damage'
echo "retrain_month: $(($(date +%s) - start)) s"
exit $bad
