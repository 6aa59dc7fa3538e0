# A collector that has the public key only logs calls that the private one
# opens: also those that it left in the spool when it was killed, which a later
# collector leaves there and curate takes in.
if ! command -v python3 >/dev/null || ! command -v curl >/dev/null ||
    ! command -v sqlite3 >/dev/null; then
    echo "skip: python3, curl or sqlite3 is not installed"
    exit 0
fi
export SLMCTL_STORE=s
cat >upstream.py <<'END'
import http.server

BODY = b"""{"id":"r","object":"chat.completion","model":"big","choices":[{"index":0,
"message":{"role":"assistant","content":"a heron"},"finish_reason":"stop"}]}"""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *a):
        pass


s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open("port", "w") as f:
    print(s.server_port, file=f)
s.serve_forever()
END
until_true() { # COMMAND...: for ten seconds
    n=0
    until "$@" || [ $n -ge 100 ]; do
        n=$((n + 1))
        sleep 0.1
    done
}
start() {
    rm -f socket
    slmctl collect --listen unix:socket --upstream "http://127.0.0.1:$(cat port)" \
        --seal-to pair.pub --durability spool -q 2>>said &
    pid=$!
    until_true test -S socket
}
call() { # TEXT
    curl -s -m 10 -o answer --unix-socket socket http://p/v1/chat/completions -d \
        "{\"model\":\"big\",\"messages\":[{\"role\":\"user\",\"content\":\"$1\"}]}"
    grep -c heron answer
}
stored() { # N calls
    [ "$(sqlite3 -cmd '.timeout 5000' s/store.db 'SELECT count(*) FROM call')" = "$1" ]
}
segments() { find s/spool -name '*.seg' -size +0 | wc -l; }
ids() { sed 's/key [0-9a-f]\{8\}/key ID/'; }
visible() { grep -rlaE 'heron|seen first|for later' s && echo 'payload is visible'; }
slmctl store keygen -q --sealed pair
mv pair away
python3 upstream.py &
upstream=$!
until_true test -s port
start
call 'what is seen first'
until_true stored 1
# Held up, so that this call is in the spool alone when the collector dies.
mkfifo held
sqlite3 s/store.db <held >locked &
locker=$!
exec 3>held
echo "BEGIN IMMEDIATE; SELECT 'locked';" >&3
until_true test -s locked
call 'what is kept for later'
{
    kill -9 $pid
    wait $pid
} 2>/dev/null # where the shell says so
exec 3>&-
wait $locker
echo "$(segments) segment"
start
call 'what is seen last'
until_true stored 2
kill $pid
wait $pid
echo "exit $?, $(segments) segment"
kill $upstream
visible
slmctl store export 2>&1 | ids
slmctl curate -q 2>>said
echo "exit $?, $(segments) segment"
slmctl curate -q --private-key away
echo "exit $?, $(segments) segments"
visible
slmctl store export --private-key away | jq -r '.request.messages[0].content' |
    sort
# What was curated needs the key file alone.
slmctl cluster -q
echo "exit $?"
slmctl store verify --private-key away | grep -o '[0-9]* damages'
ids <said
