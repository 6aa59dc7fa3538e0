#!/bin/sh
# kill_curate.sh SLMCTL - kill -9 curate at random points, in the pass and while
# it settles; what the next run ends has to be what one run says.
set -u
slmctl=$1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
kills=10
export SLMCTL_KEY_FILE="$scratch/key"

# A random number below $1, different in each call.
below() {
    od -An -N4 -tu4 /dev/urandom | awk -v n="$1" '{ print $1 % n }'
}

write_log() { # CALLS
    awk -v n="$1" 'BEGIN {
        srand(6)
        for (i = 0; i < n; i++) {
            text = ""
            for (w = 0; w < 20; w++)
                text = text " w" int(rand() * 5000)
            if (i % 9 == 0)
                text = last
            last = text
            printf "{\"id\":\"c%d\",\"time\":\"2026-01-%02dT%02d:%02d:%02dZ\"," \
                "\"client_id\":\"c%d\",\"conversation_id\":\"talk-%06d\"," \
                "\"request\":{\"messages\":[{\"role\":\"user\",\"content\":" \
                "\"Sort this:%s\"}]},\"response\":{\"choices\":[{\"message\":" \
                "{\"role\":\"assistant\",\"content\":\"bin %d\"}," \
                "\"finish_reason\":\"stop\"}]}}\n", i, 1 + i / 86400, \
                i / 3600 % 24, i / 60 % 60, i % 60, i % 50, i / 3, text, i % 4
        }
    }'
}

decisions() { # STORE FILE
    "$slmctl" curate --quiet --store "$1" --decisions "$2" 2>/dev/null ||
        { echo "curate after a kill: exit $?"; exit 1; }
}

# Curates a copy of $1 with the options behind, killed now and then.
kill_often() { # STORE WANT [OPTION...]
    from=$1 want=$2
    shift 2
    rm -rf "$scratch/copy"
    cp -R "$from" "$scratch/copy"
    begin=$(date +%s%N)
    "$slmctl" curate --quiet --store "$scratch/copy" "$@" 2>/dev/null || exit 1
    ms=$((($(date +%s%N) - begin) / 1000000 + 1))
    hits=0 tries=0
    while [ $hits -lt $kills ] && [ $tries -lt 100 ]; do
        tries=$((tries + 1))
        rm -rf "$scratch/copy"
        cp -R "$from" "$scratch/copy"
        "$slmctl" curate --quiet --store "$scratch/copy" "$@" 2>/dev/null &
        pid=$!
        after=$(below "$ms")
        sleep "$((after / 1000)).$(printf %03d $((after % 1000)))"
        kill -9 $pid 2>/dev/null
        wait $pid 2>/dev/null
        [ $? -eq 137 ] || continue
        hits=$((hits + 1))
        "$slmctl" curate --quiet --store "$scratch/copy" "$@" 2>/dev/null ||
            exit 1
        decisions "$scratch/copy" "$scratch/got"
        cmp -s "$want" "$scratch/got" || {
            echo "killed after $after of $ms ms: $(diff "$want" \
                "$scratch/got" | grep -c '^>') decisions differ"
            exit 1
        }
    done
    [ $hits -eq $kills ] || { echo "killed only $hits times"; exit 1; }
    echo "note: the same after each of $hits kills within $ms ms: curate $*"
}

write_log 20000 > "$scratch/log"
"$slmctl" collect --quiet --store "$scratch/logged" --import "$scratch/log" ||
    exit 1
cp -R "$scratch/logged" "$scratch/first"
decisions "$scratch/first" "$scratch/first.tsv"
cp -R "$scratch/first" "$scratch/second"
"$slmctl" curate --quiet --store "$scratch/second" --split 40,30,30 || exit 1
decisions "$scratch/second" "$scratch/second.tsv"
kill_often "$scratch/logged" "$scratch/first.tsv"
kill_often "$scratch/first" "$scratch/second.tsv" --split 40,30,30
