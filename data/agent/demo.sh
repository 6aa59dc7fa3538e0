#!/bin/sh
# demo.sh - from an agent's logs to gated small models, offline
#
# Runs the six steps on the shipped logs and the shipped base model, in
# build/demo. Which tasks there are, what is trained and what passes is what
# the commands find: nothing here names a task. A step whose command is not
# there is named and left out, and so are the steps that need it.
set -eu

slmctl=${SLMCTL:-build/release/slmctl}
data=${DEMO_DATA:-data}
logs=${DEMO_LOGS:-$data/agent} # logs, gold answers, planted values
work=${DEMO_DIR:-build/demo}
tokens=${DEMO_TOKENS:-500000} # to train each task on
start=$(date +%s)
missing=

have() {
    "$slmctl" --list-commands | grep -qx "$1"
}

# step COMMAND TITLE: print a header; false if the command is missing
step() {
    printf '\n== %s  [%d s]\n' "$2" $(($(date +%s) - start))
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

# Show a command as a person would type it, and run it.
run() {
    printf '$ slmctl'
    printf ' %s' "$@"
    printf '\n'
    "$slmctl" "$@"
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
    run model add "$data/base" --as base
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
    status=0
    run finetune --all --model base --tokens "$tokens" --batch-tokens 1024 ||
        status=$?
    case $status in 0 | 3) ;; *) exit "$status" ;; esac # 3: not every task
fi
if [ -z "$missing" ] &&
    step eval 'Eval: tuned model, base and LLM on the sealed test split'; then
    status=0
    run eval --gold "$(file gold.jsonl)" \
        --markdown "$work/report.md" --junit "$work/report.xml" || status=$?
    case $status in 0 | 10 | 11) ;; *) exit "$status" ;; esac
    printf '\nSmall models take over: %s\n' "$(tasks '>pass:')"
    printf 'Stay with the LLM:      %s\n' "$(tasks 'message=')"
    printf '\nThe full report is %s/report.md\n' "$work"
fi
printf '\n== Done in %d s' $(($(date +%s) - start))
printf '%s\n' "${missing:+; missing:$missing}"
