#!/bin/sh
# scrub_large.sh SLMCTL - one string of 100 MB, of any kind, takes bounded memory and a minute at most;
# a million finds are refused in one line. The lines behind it go on.
set -eu
slmctl=$(readlink -f "$1")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# TEXT TIMES: a line whose string repeats the text, and one behind it.
long_line() {
    awk -v text="$1" -v times="$2" 'BEGIN {
        printf "{\"a\":\""
        for (i = 0; i < times; i++) printf "%s", text
        print "\"}\n{\"b\":1}"
    }'
}

try() { # NAME STATUS LINES TEXT TIMES
    long_line "$4" "$5" >"$tmp/in"
    status=0
    # shellcheck disable=SC3045 # dash and bash have it
    (ulimit -v 2500000
     timeout 120 "$slmctl" curate --filter --threads 1 <"$tmp/in") \
        >"$tmp/out" 2>"$tmp/err" || status=$?
    if [ "$status" -ne "$2" ] || [ "$(wc -l <"$tmp/out")" -ne "$3" ]; then
        echo "$1: status $status, $(wc -l <"$tmp/out") lines"
        cat "$tmp/err"
        exit 1
    fi
}

try letters 0 2 'aaaaaaaaaaaaaaaaaaaa' 5000000
try words 0 2 'a word and another of ' 4600000
try finds 3 1 'a@b.cc ' 1000100
grep -q 'line 1 is left out: more than 1000000 finds' "$tmp/err"
