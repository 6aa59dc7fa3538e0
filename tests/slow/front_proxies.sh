#!/bin/sh
# front_proxies.sh SLMCTL - the configurations of slmctl-proxy(7), as they
# stand there: nginx and HAProxy in front of collect --listen, in front of a
# server that streams. Events must arrive one by one, not in a heap at the end.
set -u
tree=$(cd "$(dirname "$0")/../.." && pwd)
slmctl=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
for program in nginx haproxy perl; do
    command -v $program >/dev/null || {
        echo "skip: $program is not installed"
        exit 0
    }
done
tmp=$(mktemp -d) || exit 1
pids=
cleanup() {
    [ -n "$pids" ] && kill $pids 2>/dev/null
    wait 2>/dev/null
    rm -rf "$tmp"
}
trap cleanup EXIT

# The first display of a section of the page, without its markup.
section() {
    awk -v want=".Ss $1" '$0 == want { in_section = 1; next }
        /^\.Ss/ { in_section = 0 }
        in_section && /^\.Bd/ { in_display = 1; next }
        in_section && /^\.Ed/ { exit }
        in_section && in_display' "$tree/man/slmctl-proxy.7"
}

cat >"$tmp/upstream.pl" <<'END'
use strict; use IO::Socket::INET; use Time::HiRes 'sleep';
my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 16) or die;
open my $f, '>', $ARGV[0] or die; print $f $s->sockport; close $f; rename $ARGV[0], "$ARGV[0].port";
$SIG{CHLD} = 'IGNORE';
while (my $c = $s->accept) {
    next if fork; $c->autoflush(1);
    my $n = 0; while (<$c>) { $n = $1 if /^content-length: *(\d+)/i; last if /^\r?$/ }
    read $c, my $body, $n if $n;
    print $c "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    for my $i (1 .. 5) {
        my $e = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"w$i \"}}]}\n\n";
        printf $c "%x\r\n%s\r\n", length $e, $e; sleep 0.3;
    }
    print $c "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"; exit;
}
END
cat >"$tmp/client.pl" <<'END'
use strict; use IO::Socket::INET; use Time::HiRes 'time';
my $c = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ARGV[0]) or die "connect: $!";
my $b = '{"model":"m","stream":true,"messages":[{"role":"user","content":"' . 'x' x 100000 . '"}]}';
printf $c "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-SLM-Conversation: $ARGV[1]\r\nContent-Length: %d\r\n\r\n%s", length $b, $b; $c->flush;
my ($all, %at) = ('');
while (sysread $c, my $p, 65536) { $all .= $p; for my $i (1 .. 5) { $at{$i} //= time if $all =~ /w$i / } }
my ($status) = $all =~ m{^HTTP/1\.[01] (\d+)}; my $n = keys %at;
printf "%s %d events, %s\n", $status, $n, $n == 5 && $at{5} - $at{1} > 0.8 && $at{2} - $at{1} > 0.1 ? 'one by one' : 'in a heap';
END
perl "$tmp/upstream.pl" "$tmp/up" &
pids=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -f "$tmp/up.port" ] && break; sleep 0.2; done
export HOME="$tmp" XDG_CONFIG_HOME="$tmp/config"
"$slmctl" collect --store "$tmp/store" --listen 127.0.0.1:8787 --trust 127.0.0.1 \
    --upstream "openai=http://127.0.0.1:$(cat "$tmp/up.port")" 2>"$tmp/log" &
proxy=$!
pids="$pids $proxy"
{
    echo "error_log $tmp/nginx.err; pid $tmp/nginx.pid; events {}"
    echo "http { access_log off; client_body_temp_path $tmp/b; proxy_temp_path $tmp/p;"
    echo "fastcgi_temp_path $tmp/f; uwsgi_temp_path $tmp/u; scgi_temp_path $tmp/s;"
    section nginx
    echo '}'
} >"$tmp/nginx.conf"
section HAProxy >"$tmp/haproxy.conf"
nginx -c "$tmp/nginx.conf" -g 'daemon off;' 2>"$tmp/nginx.log" &
pids="$pids $!"
haproxy -f "$tmp/haproxy.conf" 2>"$tmp/haproxy.log" &
pids="$pids $!"
sleep 1.5
bad=0
for front in nginx:8080 haproxy:8081 none:8787; do
    got=$(perl "$tmp/client.pl" "${front#*:}" "${front%:*}" 2>&1)
    [ "$got" = '200 5 events, one by one' ] || {
        echo "${front%:*}: $got"
        bad=1
    }
done
kill "$proxy"
wait "$proxy" || { echo "collect ended with $?"; bad=1; }
want='"w1 w2 w3 w4 w5 " completed haproxy|"w1 w2 w3 w4 w5 " completed nginx|"w1 w2 w3 w4 w5 " completed none|'
got=$("$slmctl" store export --store "$tmp/store" |
    jq -r '"\(.response.choices[0].message.content | tojson) \(.status) \(.conversation_id)"' |
    sort | tr '\n' '|')
[ "$got" = "$want" ] || { echo "logged: $got"; bad=1; }
[ $bad -eq 0 ] || cat "$tmp/log" "$tmp/nginx.err" "$tmp/haproxy.log" 2>/dev/null
exit $bad
