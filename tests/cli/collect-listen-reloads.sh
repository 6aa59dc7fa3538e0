# SIGHUP reads the configuration anew, for requests that begin then: a stream
# that runs goes on, what cannot change is told, and a broken configuration
# changes nothing.
. "$TREE/tests/cli/lib/wait.subr"
if ! command -v python3 >/dev/null || ! command -v curl >/dev/null; then
    echo "skip: python3 or curl is not installed"
    exit 0
fi
cat >upstream.py <<'END'
import http.server, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        n = 30 if self.path == "/slow" else 1
        for i in range(n):
            self.wfile.write(b"data: %s %d\n\n" % (sys.argv[1].encode(), i))
            self.wfile.flush()
            time.sleep(0.1)
        self.close_connection = True

    def log_message(self, *a):
        pass

s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(sys.argv[1] + ".port", "w") as f:
    f.write("%d\n" % s.server_address[1])
s.serve_forever()
END
python3 upstream.py one &
one=$!
python3 upstream.py two &
two=$!
await one.port .
await two.port .
mkdir -p home/slmctl
config=home/slmctl/config
first() {
    echo "collect.upstream = http://127.0.0.1:$(cat one.port)"
    echo "collect.listen = 127.0.0.1:0"
}
first >$config
XDG_CONFIG_HOME=$PWD/home slmctl collect --store store --grace 5 2>said &
pid=$!
await said 'listening on'
port=$(address said)
get() { # PATH
    curl -s -o got -w '%{http_code} ' "http://127.0.0.1:$port$1"
    head -n 1 got
}
reload() {
    kill -HUP $pid
    n=$((n + 1)) want=$(($(grep -c reloaded said) + 1)) k=0
    until [ "$(grep -c reloaded said)" -ge $want ] || [ $k -ge 100 ]; do
        k=$((k + 1))
        sleep 0.1
    done
}
get /
curl -s "http://127.0.0.1:$port/slow" >stream &
client=$!
await stream 'one 3'
printf 'collect.upstream = http://127.0.0.1:%s\n' "$(cat two.port)" >$config
reload
get /
printf 'collect.max-body = nonsense\n' >>$config
reload
get /
printf 'collect.upstream = two.example\n' >$config
reload
get /
{
    first
    echo "collect.client-tokens = missing"
} >$config
reload
get /
hash=$(printf secret | sha256sum | cut -d ' ' -f 1)
echo "$hash alice proxy" >tokens
{
    first
    echo "collect.listen = 127.0.0.1:1"
    echo "collect.durability = sync"
    echo "collect.client-tokens = tokens"
    echo "collect.max-body = 1K"
    echo "collect.on-overload = reject"
} >$config
reload
get /
head -c 2000 /dev/zero | tr '\0' x >body
curl -s -o got -w '%{http_code}\n' -H 'X-SLM-Token: secret' \
    -d @body "http://127.0.0.1:$port/"
first >$config
reload
get /
wait $client
echo "$(grep -c data stream) chunks, the last of $(tail -n 2 stream | cut -c 7-9)"
kill -TERM $pid
wait $pid
echo "exit $?"
kill $one $two
sed "s/127.0.0.1:[0-9]*/ADDRESS/; s|$PWD/||" said
