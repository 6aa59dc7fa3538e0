#!/bin/sh
# proxy.sh [BUILD] - slmctl's proxy, with logging, beside nginx without any and
# LiteLLM, all in front of the same upstream, on loopback, in one run.
# LITELLM: its program; ROUNDS and SECONDS_EACH: how often and how long;
# KEEP: a directory for what each measurement said.
# shellcheck disable=SC2034,SC2154 # what measure reads by a name that it makes
set -u
build=${1:-build/release}
rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-3}
litellm=${LITELLM:-$(command -v litellm)}
tmp=$(mktemp -d) || exit 1
pids=
cleanup() {
    # shellcheck disable=SC2086
    [ -n "$pids" ] && kill $pids 2>/dev/null
    wait 2>/dev/null
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# shellcheck disable=SC3045
ulimit -n 8192 2>/dev/null
export HOME="$tmp" XDG_CONFIG_HOME="$tmp/config"

# wait_for FILE PATTERN: a line that a server writes when it is ready.
wait_for() {
    n=0
    until grep -q "$2" "$1" 2>/dev/null; do
        n=$((n + 1))
        [ $n -gt "${3:-100}" ] && return 1
        sleep 0.1
    done
}

free_port() {
    "$build/bench_origin" "$tmp/port" &
    probe=$!
    wait_for "$tmp/port" '[0-9]'
    kill $probe
    wait $probe 2>/dev/null
    cat "$tmp/port"
    rm "$tmp/port"
}

start_slmctl() {
    "$build/slmctl" collect --store "$tmp/store" --listen 127.0.0.1:0 \
        --upstream "http://127.0.0.1:$origin" 2>"$tmp/slmctl.log" &
    slmctl_pids=$!
    pids="$pids $!"
    wait_for "$tmp/slmctl.log" '127\.0\.0\.1:[0-9]' || return 1
    slmctl_port=$(sed -n 's/.*127\.0\.0\.1:\([0-9][0-9]*\).*/\1/p' \
        "$tmp/slmctl.log" | head -n 1)
}

start_nginx() {
    nginx_port=$(free_port)
    cat >"$tmp/nginx.conf" <<END
daemon off; worker_processes 2; pid $tmp/nginx.pid;
error_log $tmp/nginx.log; worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
    access_log off; keepalive_requests 100000000;
    client_body_buffer_size 1m;
    client_body_temp_path $tmp/n1; proxy_temp_path $tmp/n2;
    fastcgi_temp_path $tmp/n3; uwsgi_temp_path $tmp/n4;
    scgi_temp_path $tmp/n5;
    upstream u {
        server 127.0.0.1:$origin; keepalive 1024; keepalive_requests 100000000;
    }
    server {
        listen 127.0.0.1:$nginx_port backlog=4096;
        location / {
            proxy_pass http://u; proxy_http_version 1.1;
            proxy_set_header Connection ""; proxy_buffering off;
        }
    }
}
END
    nginx -c "$tmp/nginx.conf" 2>"$tmp/nginx.out" &
    pids="$pids $!"
    sleep 1
    nginx_pids=$(pgrep -P $! | paste -s -d , -)
    [ -n "$nginx_pids" ]
}

start_litellm() {
    litellm_port=$(free_port)
    cat >"$tmp/litellm.yaml" <<END
model_list:
  - model_name: m
    litellm_params:
      {model: openai/m, api_base: "http://127.0.0.1:$origin/v1", api_key: sk-x}
END
    LITELLM_TELEMETRY=False LITELLM_LOCAL_MODEL_COST_MAP=True \
        LITELLM_MASTER_KEY=sk-test-0123456789abcdef \
        "$litellm" --config "$tmp/litellm.yaml" --host 127.0.0.1 \
        --port "$litellm_port" --num_workers 2 >"$tmp/litellm.log" 2>&1 &
    pids="$pids $!"
    wait_for "$tmp/litellm.log" 'startup complete' 1200 || return 1
    sleep 3
    litellm_pids=$({
        echo $!
        pgrep -P $!
    } | paste -s -d , -)
}

# measure WHO KIND OPTION...: one line "WHO KIND name=value ...".
measure() {
    who=$1 kind=$2
    shift 2
    eval "port=\$${who}_port p=\$${who}_pids"
    printf '%s %s ' "$who" "$kind" >>"$tmp/results"
    timeout 180 "$build/bench_load" "$@" ${p:+-p $p} "$port" \
        >>"$tmp/results" || echo "failed=all" >>"$tmp/results"
}

"$build/bench_origin" "$tmp/origin" &
direct_pids=
pids=$!
wait_for "$tmp/origin" '[0-9]' || exit 1
origin=$(cat "$tmp/origin")
direct_port=$origin
all=direct
for name in nginx slmctl; do
    if [ $name != slmctl ] && ! command -v $name >/dev/null; then
        echo "skip: $name is not installed"
    elif start_$name; then
        all="$all $name"
    else
        echo "skip: $name did not start"
        cat "$tmp/$name.log"
    fi
done
# Before anything is measured: connections, and a dictionary of calls like these.
for name in $all; do
    measure "$name" warm -c 32 -s 2
done
load() { cut -d ' ' -f 1 /proc/loadavg; }
busy=$(load)
# rounds WHAT OPTION...: one after the other, so that each has its share of what
# else the machine does.
rounds() {
    what=$1
    shift
    i=0
    while [ $i -lt "$rounds" ]; do
        i=$((i + 1))
        for name in $all; do
            measure "$name" "$what" "$@"
        done
    done
}
rounds paced -c 32 -r 1000 -s "$seconds"
rounds fast -c 400 -n 200 -i 10 -s 2
rounds streams -c 1000 -n 100 -i 50 -s 2
rounds most -c 32 -s "$seconds"
measure slmctl after -c 1000 -n 100 -i 50 -s 2
# Last, for it takes all that there is, and alone.
if ! command -v "${litellm:-litellm}" >/dev/null; then
    echo "skip: litellm is not installed"
elif start_litellm; then
    all="$all litellm"
    measure litellm paced -c 32 -r 20 -s 5
    measure litellm most -c 32 -s 10
else
    echo "skip: litellm did not start"
    tail -n 3 "$tmp/litellm.log"
fi
busy="$busy to $(load)"
[ -n "${KEEP:-}" ] && mkdir -p "$KEEP" && cp "$tmp/results" "$KEEP/results"
echo "medians of $rounds rounds of $seconds s; load average $busy," \
    "$(nproc) CPUs"
awk -v all="$all" -f "$(dirname "$0")/proxy.awk" "$tmp/results"
