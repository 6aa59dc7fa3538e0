#!/bin/sh
# kill_follow.sh SLMCTL - a log that grows, is renamed, copied and cut back,
# and is rotated twice at once, while who follows it is killed again and again:
# each of its lines must be one call, also of lines that are equal.
set -u
slmctl=$(readlink -f "$1")
scratch=$(mktemp -d) || exit 1
pid=
trap '[ -z "$pid" ] || kill -9 $pid 2>/dev/null; rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
rounds=60

line() { # TEXT
    printf '{"request":{"messages":[{"role":"user","content":"q%s"}]},' "$1"
    printf '"response":{"choices":[{"message":{"role":"assistant",'
    printf '"content":"a%s"},"finish_reason":"stop"}]}}\n' "$1"
}

# A random number below $1.
below() {
    od -An -N4 -tu4 /dev/urandom | awk -v n="$1" '{ print $1 % n }'
}

nap() { # at most a half second
    sleep "$(printf '0.%03d' "$(below 500)")"
}

calls() {
    "$slmctl" status --store store --json |
        sed -n 's/^ *"calls": \([0-9]*\),$/\1/p'
}

follow() {
    "$slmctl" collect --quiet --store store --follow app.log &
    pid=$!
}

# 100 lines, every fifth like others; one is written in two halves.
write_lines() {
    i=0
    while [ $i -lt 100 ]; do
        n=$((n + 1)) i=$((i + 1))
        if [ $((i % 5)) -eq 0 ]; then line same; else line $n; fi
    done >burst
    cat burst >>wanted
    half=$(($(wc -c <burst) / 2))
    head -c $half burst >>app.log
    [ "$(below 2)" -eq 0 ] || nap
    tail -c +$((half + 1)) burst >>app.log
}

# A rotation that cuts the log back is whole before the next line is written.
rotate() {
    r=$((r + 1))
    [ -e app.log ] || return 0
    case $(below 4) in
    0) mv app.log "app.log.$r" ;;
    1)
        mv app.log "app.log.$r"
        : >app.log
        ;;
    2)
        cp app.log "app.log.$r"
        : >app.log
        ;;
    3)
        mv app.log "app.log.$r"
        r=$((r + 1))
        line "$r rotated at once" | tee -a wanted >"app.log.$r"
        n=$((n + 1))
        ;;
    esac
}

# What is rotated before the log was ever seen is not read.
n=0 r=0 kills=0 round=0
line first | tee wanted >app.log
follow
until [ -e store/store.db ] && [ "$(calls)" = 1 ]; do
    sleep 0.1
done
while [ $round -lt $rounds ]; do
    round=$((round + 1))
    write_lines
    [ "$(below 3)" -ne 0 ] || nap
    [ "$(below 2)" -eq 0 ] || rotate
    if [ "$(below 2)" -eq 0 ]; then
        kill -9 $pid
        wait $pid 2>/dev/null
        kills=$((kills + 1))
        [ "$(below 2)" -eq 0 ] || write_lines
        [ "$(below 3)" -ne 0 ] || rotate
        follow
    fi
done
tries=0
while [ "$(calls)" != "$(wc -l <wanted)" ] && [ $tries -lt 100 ]; do
    tries=$((tries + 1))
    sleep 0.2
done
kill -TERM $pid
wait $pid
status=$?
pid=
[ $status -eq 0 ] || { echo "ended with status $status"; exit 1; }
[ ! -d store/rejected ] || { echo "lines were rejected"; exit 1; }

# The texts, in the order of their bytes: none is missing, none is double.
texts() {
    sed -n 's/.*"content": *"\(q[^"]*\)".*/\1/p' | sort
}
texts <wanted >want
"$slmctl" store export --store store - | texts >got
cmp -s want got || {
    diff want got | head -n 5
    echo "$(wc -l <got) calls, not $(wc -l <want), after $kills kills"
    exit 1
}
echo "note: $(wc -l <got) calls, $kills kills, $r rotations"
