#!/bin/sh
# leaks_proxy.sh SLMCTL - calls with known texts, keys, users and addresses go
# through the proxy; then everything that it has written is searched for them,
# while it runs, after a kill and at the end: the store, its log and index, the
# spool, intents, temporary files (also unlinked ones), what it said, and each
# blob unpacked with all dictionaries. Keys, users and addresses are nowhere;
# payload is only in the plain store, where this proves that it can be found.
# shellcheck disable=SC2034,SC2154 # shared with proxy.subr
set -u
slmctl=$1
tools=$(dirname "$1")
. "$(dirname "$0")/lib/proxy.subr"
need slow_client slow_upstream slow_blobs
command -v xxd >/dev/null || { echo 'skip: xxd is not installed'; exit 0; }
seen=$scratch/seen # all that the proxy could have written
mkdir "$scratch/mine"
start_upstream

word() { # PREFIX
    echo "$1$(od -An -N9 -tx1 /dev/urandom | tr -d ' \n')"
}

payload=$(word payload) feedback=$(word feedback)
user=$(word user) address=203.0.113.$(($(below 200) + 20))
token=$(word token)
for name in bearer basic x_api_key api_key goog query cookie proxy odd; do
    eval "key_$name=$(word "key-$name-")"
done
keys="$key_bearer $key_basic $key_x_api_key $key_api_key $key_goog \
    $key_query $key_cookie $key_proxy $key_odd $token"

# A word as it may stand somewhere: as it is, in hexadecimal, in base64 at each
# of three places, and as the plain hash of it.
disguises() { # WORD...
    for w in "$@"; do
        echo "$w"
        printf %s "$w" | xxd -p | tr -d '\n'
        echo
        printf %s "$w" | xxd -p -u | tr -d '\n'
        echo
        for before in '' x xx; do
            printf %s "$before$w" | base64 -w 0 | sed 's/^....//; s/....$//'
            echo
        done
        for hash in md5sum sha1sum sha256sum b2sum; do
            printf %s "$w" | $hash | cut -c 1-16
        done
    done
}

# Short words would be found in any noise: an address as it is, and hashed.
disguises "$address" | awk 'length > 12' >"$scratch/mine/secrets"
# shellcheck disable=SC2086 # words
disguises $keys $user >>"$scratch/mine/secrets"
disguises "$payload" "$feedback" >"$scratch/mine/payload"

printf '%s tester proxy,admin\n' "$(printf %s "$token" | sha256sum |
    cut -d ' ' -f 1)" >"$scratch/mine/tokens"

send() { # MODEL CALLS HEADER...: header lines, one an argument
    model=$1 calls=$2
    shift 2
    HEADERS=$(printf '%s\r\n' "$@" "X-Forwarded-For: $address" \
        "Helicone-User-Id: $user" "X-SLM-Token: $token"
        printf x)
    HEADERS=${HEADERS%x} SECRET=" $payload" PROMPT=600 WAIT_MS=5000 \
        "$tools/slow_client" "$socket" "$scratch/mine/calls" 2 "$calls" \
        "$model" || wrong "$model: the client ended with $?"
}

# Each kind of key with an answer that is whole, streamed, or fails.
send_all() {
    send whole 2 "Authorization: Bearer $key_bearer"
    send stream 150 "Authorization: Bearer $key_bearer" \
        "baggage: user.id=$user,session.id=s1"
    send whole 40 "Authorization: Basic $(printf %s "u:$key_basic" | base64)"
    send failure 2 "x-api-key: $key_x_api_key"
    send cut 2 "api-key: $key_api_key"
    send garbage 2 "x-goog-api-key: $key_goog"
    send whole 2 "Cookie: session=$key_cookie"
    send hang-up 2 "Proxy-Authorization: Bearer $key_proxy"
    send whole 2 "X-LiteLLM-End-User-Id: $user" "Forwarded: for=$address"
    send whole 2 "X-Auth-Token: $key_odd" "X-Real-IP: $address" \
        "X-Amz-Security-Token: $key_odd"
    TARGET="/v1/chat/completions?key=$key_query&api_key=$key_query&limit=2" \
        send stream 2 'X-None: 1'
    # Refused, with all that came.
    TARGET="/nowhere?key=$key_query" send whole 1 "x-api-key: $key_x_api_key"
    send whole 1 'Content-Length: 3' "Authorization: Bearer $key_bearer"
}

# What can be read now, in a directory of its own.
take() { # WHEN
    mkdir -p "$seen/$1"
    cp -r "$store" "$seen/$1/store" 2>/dev/null
    cp -r "$scratch/tmp" "$HOME/config" "$scratch/log" "$seen/$1" 2>/dev/null
    for fd in /proc/"$proxy"/fd/*; do
        case $(readlink "$fd") in
        */tmp/*deleted* | *"$scratch"*deleted*)
            cat "$fd" >"$seen/$1/fd.$(basename "$fd")" ;;
        esac
    done
    "$tools/slow_blobs" "$seen/$1/store/store.db" >"$seen/$1/blobs" \
        2>"$scratch/mine/blobs.$1" || wrong "$1: no look at the blobs"
}

# Words of a list in what was taken: the files, or nothing.
found() { # LIST
    grep -rlaF -f "$scratch/mine/$1" "$seen" | sed "s|^$seen/||" | sort |
        tr '\n' ' '
}

tell() { # PATH: feedback, about the last call
    id=$(awk '$3 == "whole" && $1 != "-" { id = $1 } END { print id }' \
        "$scratch/mine/calls")
    curl -s -m 5 -o /dev/null -H "X-SLM-Token: $token" \
        --unix-socket "$socket.admin" http://admin/feedback \
        -d "{\"call\":\"$id\",\"reward\":1,\"answer\":\"$feedback\"}" ||
        wrong 'feedback was not taken'
}

run() { # NAME OPTION...
    name=$1
    shift
    rm -rf "$seen" "$scratch/tmp" "$scratch/log" "$scratch/mine/calls"
    mkdir -p "$seen" "$scratch/tmp"
    export TMPDIR="$scratch/tmp"
    for durability in spool batch; do
        start_proxy "$scratch/$name" --trust unix --durability $durability \
            --client-tokens "$scratch/mine/tokens" "$@" >>"$scratch/log"
        wait_for "$socket"
        send_all
        tell
        sleep 0.3
        # Held up, so that the queue and the spool have something.
        { echo 'BEGIN IMMEDIATE;'; sleep 4; } |
            sqlite3 -cmd '.timeout 5000' "$store/store.db" &
        sleep 0.3
        send stream 5 "x-api-key: $key_x_api_key"
        take "$durability-runs"
        kill -9 $proxy
        wait $proxy 2>/dev/null
        take "$durability-killed"
        sleep 4
    done
    start_proxy "$scratch/$name" --trust unix "$@" >>"$scratch/log"
    wait_for "$socket"
    sleep 0.5
    stop_proxy || wrong "$name: the proxy ended with $?"
    proxy=$$
    take end
    proxy=
    calls=$(ask 'SELECT count(*) FROM call')
    [ "$calls" -gt 150 ] || wrong "$name: only $calls calls"
    spooled=$(find "$seen" -name '*.seg' -size +0 | wc -l)
    [ "$spooled" -gt 0 ] || wrong "$name: nothing was in the spool"
    leaks=$(found secrets)
    shows=$(found payload)
    note "$name: $calls calls, $(find "$seen" -type f | wc -l) files," \
        "$(du -sk "$seen" | cut -f 1) kB, $(cat "$scratch/mine/blobs.end");" \
        "keys, users, addresses in: ${leaks:-none}; payload in:" \
        "${shows:-none}"
    equal "$leaks" '' "$name: secrets are in"
}

# What is sealed opens with the private key alone. That also takes in what
# collectors have left in the spool, which no later one could read; then as
# before nothing can be seen from outside.
look_into_sealed() { # PRIVATE-KEY
    "$slmctl" store export --store "$store" >"$scratch/mine/out" 2>&1
    equal $? 2 'export with the key file alone ended with'
    grep -qaF -f "$scratch/mine/payload" "$scratch/mine/out" &&
        wrong 'sealed: payload opens with the key file'
    left=$(find "$store/spool" -name '*.seg' -size +0 | wc -l)
    [ "$left" -gt 0 ] || wrong 'sealed: no segment was left'
    before=$(ask 'SELECT count(*) FROM call')
    "$slmctl" curate -q --store "$store" --private-key "$1" ||
        wrong "curate ended with $?"
    after=$(ask 'SELECT count(*) FROM call')
    [ "$after" -gt "$before" ] || wrong 'sealed: curate took nothing in'
    equal "$(find "$store/spool" -name '*.seg' -size +0 | wc -l)" 0 \
        'segments after curate'
    inside=$("$slmctl" store export --store "$store" --private-key "$1" |
        grep -cF "$payload")
    [ "$inside" -gt 150 ] || wrong "sealed: payload in $inside calls only"
    note "sealed: $left segments had $((after - before)) calls; payload in" \
        "$inside calls with the private key"
    rm -rf "$seen"
    proxy=$$
    take curated
    proxy=
    equal "$(found secrets)" '' 'curated: secrets are in'
    equal "$(found payload)" '' 'curated: payload is in'
    "$slmctl" store verify --store "$store" --private-key "$1" >/dev/null ||
        wrong "verify ended with $?"
}

run plain --no-encryption
# The control: what is there is found, in the store and in the spool.
case $shows in
*end/blobs*) ;;
*) wrong 'payload of the plain store is not found' ;;
esac
case $(cat "$scratch/mine/blobs.end") in
*' 0 dictionaries'*) wrong 'the plain store has no dictionary' ;;
esac
case $shows in
*.seg*) ;;
*) wrong 'payload in the plain spool is not found' ;;
esac
echo "xx $key_odd" >"$seen/planted"
equal "$(found secrets)" 'planted ' 'a planted key'
none_unpacked() { # NAME
    equal "$shows" '' "$1: payload is in"
    case $(cat "$scratch/mine/blobs.end") in
    *', 0 unpacked') ;;
    *) wrong "$1: something could be unpacked" ;;
    esac
}
run encrypted
none_unpacked encrypted
"$slmctl" store keygen -q --sealed "$scratch/mine/pair" ||
    wrong "keygen ended with $?"
run sealed --seal-to "$scratch/mine/pair.pub"
none_unpacked sealed
look_into_sealed "$scratch/mine/pair"
[ $bad -eq 0 ] || tail -n 5 "$scratch/log"
exit $bad
