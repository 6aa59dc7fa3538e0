#!/bin/sh
# kill_retrain.sh SLMCTL - kill -9 retrain in each of its steps; the run that
# goes on has to end as one that nobody disturbed: each due task trained once,
# no run left open, a store without findings. Two at once: one works.
set -u
slmctl=$1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
base=data/base
calls=${KILL_RETRAIN_CALLS:-3000}
command -v zstdcat >/dev/null || { echo 'skip: no zstdcat'; exit 0; }
[ -f "$base/model.safetensors" ] || { echo 'skip: no base model'; exit 0; }
export SLMCTL_KEY_FILE="$scratch/key" XDG_CONFIG_HOME="$scratch/config"
bad=0

fail() {
    echo "kill_retrain: $*"
    bad=1
}

quiet() {
    "$slmctl" "$@" >/dev/null 2>"$scratch/said" || {
        code=$?
        [ $code -eq 3 ] && return # rejected lines, quarantined calls
        echo "slmctl $*: exit $code"
        cat "$scratch/said"
        exit 1
    }
}

retrain() { # STORE [OPTION...]
    store=$1
    shift
    "$slmctl" retrain --store "$store" --min-new 100 --minutes 0.02 "$@"
}

models() { # STORE
    "$slmctl" model list --store "$1" --json | grep -c '"adapter"'
}

zstdcat data/agent/logs.jsonl.zst | head -n "$calls" > "$scratch/log.jsonl"
from="$scratch/from"
quiet collect --store "$from" --import "$scratch/log.jsonl"
quiet model add --store "$from" --as base "$base"
quiet curate --store "$from"
quiet cluster --store "$from"
quiet select --store "$from"

cp -R "$from" "$scratch/whole"
begin=$(date +%s%N)
retrain "$scratch/whole" > "$scratch/whole.txt" || fail "undisturbed: exit $?"
ms=$((($(date +%s%N) - begin) / 1000000 + 1))
want=$(models "$scratch/whole")
[ "$want" -gt 0 ] || fail 'nothing was trained undisturbed'
[ -z "$(retrain "$scratch/whole" 2>&1)" ] || fail 'not silent with nothing due'

for part in ${KILL_RETRAIN_PARTS:-1 2 3 4 5 6 7 8}; do
    store="$scratch/copy$part"
    cp -R "$from" "$store"
    "$slmctl" retrain --store "$store" --min-new 100 --minutes 0.02 \
        >/dev/null 2>&1 & # no function: its shell would be killed
    pid=$!
    after=$((ms * part / 9))
    sleep "$((after / 1000)).$(printf %03d $((after % 1000)))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    # The command that it had begun may still hold its lock.
    retrain "$store" --lock-wait 120 >/dev/null 2>"$scratch/said" || {
        fail "after a kill at $part/9: exit $?"
        cat "$scratch/said"
    }
    got=$(models "$store")
    [ "$got" = "$want" ] || fail "killed at $part/9: $got models, not $want"
    [ -z "$(retrain "$store" 2>&1)" ] || fail "killed at $part/9: not ended"
    "$slmctl" store verify --store "$store" >/dev/null 2>&1 ||
        fail "killed at $part/9: store verify finds damage"
    rm -rf "$store"
done

store="$scratch/two"
cp -R "$from" "$store"
retrain "$store" >/dev/null 2>&1 &
pid=$!
sleep 0.2
retrain "$store" >/dev/null 2>&1
code=$?
[ $code -eq 75 ] || fail "the second of two: exit $code, not 75"
wait $pid || fail "the first of two: exit $?"
[ "$(models "$store")" = "$want" ] || fail 'two at once: other models'
[ $bad -eq 0 ] && echo "kill_retrain: $want tasks, $ms ms a run"
exit $bad
