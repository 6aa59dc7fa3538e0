#!/bin/sh
# demo.sh - from an agent's logs to small models at work, offline
#
# Runs the six steps on the shipped logs and the shipped base model, in
# build/demo; lets what passed answer new traffic beside a stand-in of the LLM,
# then changes that traffic, trains again and goes back. Which tasks there are,
# what is trained and what passes is what the commands find: nothing here names
# a task. A step whose command is not there is named and left out, and so are
# the steps that need it.
set -eu

slmctl=${SLMCTL:-build/release/slmctl}
agentgen=${AGENTGEN:-build/release/agentgen} # traffic, and the LLM's stand-in
data=${DEMO_DATA:-data}
logs=${DEMO_LOGS:-$data/agent} # logs, gold answers, planted values
work=${DEMO_DIR:-build/demo}
tokens=${DEMO_TOKENS:-500000} # to train each task on
calls=${DEMO_CALLS:-2000}     # to replay
seed=${DEMO_SEED:-1}          # of the logs; new traffic takes others
start=$(date +%s)
missing=
passed=
running=  # programs in the background
current=  # step that runs

leave() {
    status=$?
    trap - EXIT
    for pid in $running; do
        { kill "$pid" && wait "$pid"; } 2>/dev/null || :
    done
    rm -f "$work/times"
    [ "$status" = 0 ] ||
        echo "demo: failed in the step '$current' with status $status" >&2
    exit "$status"
}
trap leave EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    echo "demo: $*" >&2
    exit 1
}

have() {
    "$slmctl" --list-commands | grep -qx "$1"
}

# What it took until now, in $spent: on the clock, and of processors by
# programs that have ended.
look() {
    times >"$work/times"
    spent=$(awk -F '[ms ]+' -v clock=$(($(date +%s) - start)) 'NR == 2 {
        printf "%d s, %d s of CPU", clock, $1 * 60 + $2 + $3 * 60 + $4 }' \
        "$work/times")
}

# step COMMAND TITLE: print a header; false if the command is missing
step() {
    current=$1
    look
    printf '\n== %s  [%s]\n' "$2" "$spent"
    have "$1" && return 0
    printf "   the step '%s' is missing\n" "$1"
    missing="$missing $1"
    return 1
}

# tasks PATTERN: names in the report whose verdict, the line after the name,
# matches
tasks() {
    awk -F '"' -v want="$1" '/<testcase/ { name = $4; getline
        if ($0 ~ want) printf "%s%s", n++ ? " " : "", name }' \
        "$work/report.xml"
}

# file NAME: of the logs, compressed or not
file() {
    if [ -f "$logs/$1.zst" ]; then echo "$logs/$1.zst"; else echo "$logs/$1"; fi
}

# Show a command as a person would type it.
show() {
    printf '$'
    printf ' %s' "$@"
    printf '\n'
}

run() {
    show slmctl "$@"
    "$slmctl" "$@"
}

generate() {
    show agentgen "$@"
    "$agentgen" "$@" ${DEMO_DATA:+--data "$DEMO_DATA/agent"}
}

# begin NAME PROGRAM ARG...: in the background, until it says where it listens,
# which is then in $port
begin() {
    name=$1
    shift
    show "${1##*/}" "$@" | sed "s|^\(\$ [^ ]*\) [^ ]*|\1|; s/\$/ \&/"
    "$@" >"$work/$name.log" 2>&1 &
    pid=$!
    running="$running $pid"
    port=
    tries=0
    while [ -z "$port" ]; do
        kill -0 "$pid" 2>/dev/null ||
            fail "$name ended: $(tail -n 1 "$work/$name.log")"
        [ "$tries" -lt 600 ] || fail "$name does not listen after a minute"
        tries=$((tries + 1))
        sleep 0.1
        port=$(sed -n 's/^listening on 127.0.0.1:\([0-9]*\)$/\1/p' \
            "$work/$name.log" | head -n 1)
    done
}

# end PID: of a program in the background, which ends well or by the signal
end() {
    kill "$1"
    status=0
    wait "$1" 2>/dev/null || status=$?
    case $status in 0 | 143) ;; *) fail "a server ended with status $status" ;; esac
    running=$(echo "$running" | sed "s/ $1//")
}

# newest TASK: the last model trained for it
newest() {
    "$slmctl" model list --task "$1" |
        awk '$1 + 0 > last { last = $1 + 0; name = $2 } END { print name }'
}

rm -rf "$work"
mkdir -p "$work"
SLMCTL_STORE=$work/store
XDG_CONFIG_HOME=$(cd "$work" && pwd)/config # the user's settings stay out of it
export SLMCTL_STORE XDG_CONFIG_HOME

# A key that is no secret, so that surrogates and splits are the same each
# time. Real logs get a random one.
mkdir -p "$XDG_CONFIG_HOME/slmctl"
(umask 077 && printf '%064d\n' 1 > "$XDG_CONFIG_HOME/slmctl/key")

if step collect 'Collect: the logs of a query-writer agent'; then
    run collect --import "$(file logs.jsonl)"
fi
if step curate 'Curate: drop what teaches nothing, replace personal data, split'; then
    run curate --split 62,10,28
    echo
    echo 'Does any of the personal data planted in the logs survive?'
    run curate --check-leaks "$(file planted.txt)"
fi
if step cluster 'Cluster: which tasks recur?'; then
    run cluster
fi
if [ -f "$data/base/model.safetensors" ]; then
    run model add "$data/base" --as base --license Apache-2.0
else
    echo "   the base model is missing: make base-model"
    missing="$missing base-model"
fi
if [ -z "$missing" ] &&
    step select 'Select: which small models fit this machine?'; then
    status=0
    run select --offline --save || status=$?
    case $status in 0 | 1) ;; *) exit "$status" ;; esac # 1: not for every task
fi
if [ -z "$missing" ] &&
    step finetune 'Finetune: an adapter for each task'; then
    # The answers are the generator's, whatever model the log names.
    run model terms --set allow --note data/README.md gpt-4o-2024-08-06
    status=0
    run finetune --all --model base --tokens "$tokens" --batch-tokens 1024 ||
        status=$?
    case $status in 0 | 3) ;; *) exit "$status" ;; esac # 3: not every task
fi
if [ -z "$missing" ] &&
    step eval 'Eval: tuned model, base and LLM on the sealed test split'; then
    status=0
    run eval --calibrate --gold "$(file gold.jsonl)" \
        --markdown "$work/report.md" --junit "$work/report.xml" || status=$?
    case $status in 0 | 10 | 11) ;; *) exit "$status" ;; esac
    passed=$(tasks '>pass:')
    printf '\nSmall models take over: %s\n' "$passed"
    printf 'Stay with the LLM:      %s\n' "$(tasks 'message=')"
    printf '\nThe full report is %s/report.md\n' "$work"
fi

# What the small models do with traffic that nobody has seen: logs of other
# seeds, of which the stand-in knows the answers.
put_to_work() {
    step model 'Promote: what passed answers its task from now on' || return 0
    for task in $passed; do
        run model promote "$(newest "$task")"
    done
    step serve 'Serve: the router and the small models before the LLM' ||
        return 0
    generate logs --seed $((seed + 100)) --out "$work/new"
    generate drift --seed $((seed + 200)) --out "$work/changed"
    generate drift --seed $((seed + 300)) --out "$work/later"
    begin llm "$agentgen" answer --log "$work/new" --log "$work/changed" \
        --log "$work/later"
    begin server "$slmctl" serve --listen 127.0.0.1:0 --mode on \
        --upstream "http://127.0.0.1:$port"
    server=$pid
    step serve "Replay: $calls calls that are new to all"
    generate replay --log "$work/new" --port "$port" --size "$calls"
    step report 'Report: what the store knows by now, on one page' || return 0
    run report --output "$work/report.html"
    printf '\nWhere the calls went, and why:\n'
    run report --json | awk -F '"' '/"decision_reasons"/ { on = 1 }
        /\]/ { on = 0 }
        on && $2 == "name" { name = $4 }
        on && $2 == "calls" { gsub(/[^0-9]/, "", $3)
            printf "  %-24s %6d\n", name, $3 }'
}

# The server takes the champions of the store, without losing a request.
reload() {
    before=$(grep -c reloaded "$work/server.log" || :)
    printf '$ kill -HUP %s\n' "$server"
    kill -HUP "$server"
    tries=0
    while [ "$(grep -c reloaded "$work/server.log")" = "$before" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || fail 'the server did not reload in 30 seconds'
        sleep 0.1
    done
    tail -n 1 "$work/server.log"
}

# The traffic changes; what is due is trained, judged, promoted or not.
train_again() {
    step serve 'Drift: other databases, one more argument, a new node'
    generate replay --log "$work/changed" --port "$port" --size 500
    run collect --import "$work/changed/logs.jsonl"
    # What retrain's commands are to do as they did above.
    cat >"$XDG_CONFIG_HOME/slmctl/config" <<END
curate.split = 62,10,28
finetune.model = base
finetune.tokens = $tokens
finetune.batch-tokens = 1024
retrain.min-new = 1000
END
    show cat "$XDG_CONFIG_HOME/slmctl/config" | sed "s|$PWD/||"
    cat "$XDG_CONFIG_HOME/slmctl/config"
    run curate --quiet
    run cluster
    step retrain 'Retrain: what is due, and why' || return 0
    run retrain --dry-run
    run retrain
    reload
    generate replay --log "$work/later" --port "$port" --size 500
}

# The last task of those that have a newer champion than their first, else of
# all that have one.
go_back() {
    step model 'Rollback: the version before answers again'
    back=
    for task in $passed; do
        version=$("$slmctl" model list --task "$task" |
            awk '/ champion / { print $1 }')
        [ "${version:-1}" = 1 ] || back=$task
    done
    [ -n "$back" ] || back=${passed##* }
    run model rollback --reason demo "$back"
    reload
    generate replay --log "$work/later" --port "$port" --size 200
    run model list --task "$back"
}

if [ -z "$missing" ] && [ -n "$passed" ]; then
    if [ -x "$agentgen" ]; then
        put_to_work
        train_again
        go_back
    else
        echo "   $agentgen is missing: make demo builds it"
        missing="$missing agentgen"
    fi
fi
for pid in $running; do
    end "$pid"
done
look
printf '\n== Done in %s' "$spent"
printf '%s\n' "${missing:+; missing:$missing}"
