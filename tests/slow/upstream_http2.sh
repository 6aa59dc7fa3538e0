#!/bin/sh
# upstream_http2.sh SLMCTL - many calls at once to a server of HTTP/2 that ends
# its connections every 50 requests: each is answered, with its whole body. Where
# it answers before it has read the request and breaks off, libcurl 7.88 loses a
# few answers: they are told as cut, and are at most one in fifty.
set -u
slmctl=$(readlink -f "$1")
for tool in nginx openssl curl; do
    command -v $tool >/dev/null || { echo "skip: no $tool"; exit 0; }
done
scratch=$(mktemp -d) || exit 1
cd "$scratch" || exit 1
pids=
trap '[ -z "$pids" ] || kill $pids 2>/dev/null; wait; rm -rf "$scratch"' EXIT
export XDG_CONFIG_HOME="$scratch/home"
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem \
    -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    2>/dev/null || { echo "skip: no certificate"; exit 0; }
port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 10000))
cat >nginx.conf <<END
daemon off; pid nginx.pid; error_log error.log info; worker_processes 1;
events { worker_connections 1000; }
http {
    access_log off;
    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;
    uwsgi_temp_path t4; scgi_temp_path t5;
    server {
        listen 127.0.0.1:$port ssl http2;
        ssl_certificate cert.pem; ssl_certificate_key key.pem;
        keepalive_requests 50;
        client_max_body_size 10m; client_body_buffer_size 1m;
        add_header x-spoken \$server_protocol;
        location / { proxy_pass http://127.0.0.1:$((port + 1)); }
        location /early/ {
            proxy_pass http://127.0.0.1:$((port + 1));
            proxy_request_buffering off;
        }
    }
    server { listen 127.0.0.1:$((port + 1)); location / { return 200 "ok\n"; } }
}
END
nginx -p "$scratch/" -c nginx.conf 2>/dev/null &
pids=$!
"$slmctl" collect --store store --listen unix:socket --http2 --threads 2 \
    --ca-file cert.pem --upstream "https://localhost:$port" 2>said &
collect=$!
pids="$pids $collect"
n=0
until curl -s -o first -D head --unix-socket socket -d x http://h/ &&
    grep -q '^HTTP/1.1 200' head || [ $n -ge 50 ]; do
    n=$((n + 1))
    sleep 0.1
done
grep -qi '^x-spoken: HTTP/2' head || { echo "no HTTP/2"; cat head; exit 1; }
head -c 3000 /dev/zero | tr '\0' x >small
head -c 300000 /dev/zero | tr '\0' x >large
ask() { # PATH BODY
    i=0
    : >config
    while [ $i -lt 400 ]; do
        i=$((i + 1))
        [ $i -eq 1 ] || echo next >>config
        {
            echo "url = http://h/$1/$i"
            echo "data-binary = @$2"
            echo "unix-socket = socket"
            echo 'output = /dev/null'
            printf '%s\n' 'write-out = "%{http_code} %{size_download}\n"'
        } >>config
    done
    curl -s -S -Z --max-time 30 --parallel-max 100 -K config >codes 2>errors
    answered=$(grep -c '^200 3$' codes)
}
for body in small large; do
    ask v1 $body
    [ "$answered" -eq 400 ] || {
        sort codes | uniq -c
        exit 1
    }
done
ask early large
kill $collect
wait $collect
# What was asked before the server listened is not counted.
"$slmctl" store export --store store - | grep -v '"request":"x"' |
    grep -v '"status": *"completed"' >lost
lost=$(wc -l <lost)
echo "note: 800 calls by HTTP/2 were answered; of 400 that were answered early" \
    "$((400 - answered)) were cut, $lost recorded so"
cut -c1-150 lost
[ $((400 - answered)) -le 8 ] && [ "$lost" -eq $((400 - answered)) ]
