#!/bin/sh
# kill_retrain.sh SLMCTL - kill -9 retrain in each of its steps; the run that
# goes on has to end as one that nobody disturbed, with the same registry, and
# what the killed one had begun does not outlive it. Two at once: one works.
set -u
slmctl=$1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
base=data/base
calls=${KILL_RETRAIN_CALLS:-6000}
command -v zstdcat >/dev/null || { echo 'skip: no zstdcat'; exit 0; }
command -v sqlite3 >/dev/null || { echo 'skip: no sqlite3'; exit 0; }
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
    "$slmctl" retrain --store "$store" --min-new 100 \
        --margin 50 "$@"
}

models() { # STORE
    "$slmctl" model list --store "$1" --json | grep -c '"adapter"'
}

# What the registry says, without times and without what depends on them.
state() { # STORE
    sqlite3 "$1/store.db" "SELECT 'model', t.name, m.kind, m.version, m.teacher,
            m.retired NOTNULL, c.model NOTNULL FROM model m JOIN task t ON
            t.id = m.task LEFT JOIN champion c ON c.model = m.id ORDER BY 2, 4;
        SELECT 'event', e.kind, t.name, e.command FROM registry_event e LEFT JOIN
            task t ON t.id = e.task ORDER BY 2, 3;
        SELECT 'run', outcome, finished NOTNULL FROM retrain_run WHERE id IN
            (SELECT run FROM retrain_step WHERE step = 'train');
        SELECT 'step', t.name, step, status FROM retrain_step s LEFT JOIN task
            t ON t.id = s.task WHERE run = 1 ORDER BY 2, 3;
        SELECT 'gate', t.name, split, count(*) FROM evaluation e JOIN task t ON
            t.id = e.task WHERE e.id IN (SELECT max(id) FROM evaluation GROUP
            BY model, split) GROUP BY 2, 3 ORDER BY 2, 3;
        SELECT 'learnt', t.name, count(*) FROM dataset_example x JOIN dataset d
            ON d.id = x.dataset JOIN task t ON t.id = d.task GROUP BY 2
            ORDER BY 2"
}

# The command that a run has begun; gone: within ten seconds.
children() { # PID
    cat "/proc/$1/task/$1/children" 2>/dev/null
}

ends() { # PID...
    tries=0
    while [ $tries -lt 20 ]; do
        tries=$((tries + 1))
        alive=
        for one; do
            case $(cut -d ' ' -f 3 "/proc/$one/stat" 2>/dev/null) in
            '' | Z) ;;
            *) alive=$one ;;
            esac
        done
        [ -z "$alive" ] && return 0
        sleep 0.5
    done
    return 1
}

# Two tasks that little training is enough for.
zstdcat data/agent/logs.jsonl.zst | head -n "$calls" |
    grep -e 'You re-rank columns' -e 'the table-name extractor' \
        > "$scratch/log.jsonl"
mkdir -p "$XDG_CONFIG_HOME/slmctl"
cat > "$XDG_CONFIG_HOME/slmctl/config" <<END
finetune.tokens = 40000
finetune.batch-tokens = 1024
END
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
grep -q promoted "$scratch/whole.txt" || fail 'nothing was promoted undisturbed'
[ -z "$(retrain "$scratch/whole" 2>&1)" ] || fail 'not silent with nothing due'
state "$scratch/whole" > "$scratch/whole.state"

# All pass, for a margin of 50 points holds back little.

# killed NAME STORE: the next run ends it, without a wait that was asked for.
killed() {
    retrain "$2" >/dev/null 2>"$scratch/said" || {
        fail "killed $1: the next run: exit $?"
        cat "$scratch/said"
    }
    [ -z "$(retrain "$2" 2>&1)" ] || fail "killed $1: not ended"
    state "$2" > "$scratch/state"
    diff "$scratch/whole.state" "$scratch/state" ||
        fail "killed $1: another registry"
    "$slmctl" store verify --store "$2" >/dev/null 2>&1 ||
        fail "killed $1: store verify finds damage"
    rm -rf "$2"
}

printf '#!/bin/sh\nexec sleep 2\n' > "$scratch/hook"
chmod +x "$scratch/hook"

# In each step, as soon as it stands in the store as begun.
for step in ${KILL_RETRAIN_STEPS:-curate cluster train gate promote trim notify}
do
    store="$scratch/$step"
    cp -R "$from" "$store"
    "$slmctl" retrain --store "$store" --min-new 100 \
        --margin 50 --notify "$scratch/hook" \
        >/dev/null 2>&1 & # no function: its shell would be killed
    pid=$!
    hit=
    while kill -0 $pid 2>/dev/null; do
        hit=$(sqlite3 -readonly "$store/store.db" "SELECT 1 FROM retrain_step
            WHERE step = '$step' AND started > 0 LIMIT 1" 2>/dev/null)
        [ -n "$hit" ] && break
    done
    [ "$step" = train ] && sleep 1 # in the middle of it
    orphans=$(children $pid)
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    # shellcheck disable=SC2086
    ends $orphans || fail "killed in $step: its command went on"
    killed "in $step" "$store"
done

# And anywhere.
for part in ${KILL_RETRAIN_PARTS:-2 5 8}; do
    store="$scratch/copy$part"
    cp -R "$from" "$store"
    "$slmctl" retrain --store "$store" --min-new 100 \
        --margin 50 \
        >/dev/null 2>&1 &
    pid=$!
    after=$((ms * part / 9))
    sleep "$((after / 1000)).$(printf %03d $((after % 1000)))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    killed "at $part/9" "$store"
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
state "$store" > "$scratch/state"
diff "$scratch/whole.state" "$scratch/state" || fail 'two at once: another registry'
[ $bad -eq 0 ] && echo "kill_retrain: $want tasks, $ms ms a run"
exit $bad
