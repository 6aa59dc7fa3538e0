# What a store exports of its proxy's calls is known there by the id that the
# proxy gave each, in every format, also after the detour through another store
# and after an erase; so is a call that was lost.
. "$TREE/tests/cli/lib/wait.subr"
if ! command -v python3 >/dev/null || ! command -v curl >/dev/null; then
    echo "skip: python3 or curl is not installed"
    exit 0
fi
cat >upstream.py <<'END'
import http.server, json, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["model"] == "silent":
            open("silent", "w").write("asked\n")
            time.sleep(30)
        body = json.dumps({"id": "r1", "object": "chat.completion",
            "model": "m", "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "yes"}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *a):
        pass

s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
s.daemon_threads = True
with open("port", "w") as f:
    f.write("%d\n" % s.server_address[1])
s.serve_forever()
END
python3 upstream.py &
upstream=$!
await port .
listen() {
    slmctl collect --store a --listen 127.0.0.1:0 \
        --upstream "http://127.0.0.1:$(cat port)" 2>said &
    proxy=$!
    await said 'listening on'
    at=$(sed -n 's/^listening on \(127.0.0.1:[0-9]*\)$/\1/p' said)
}
ask() { # MODEL CLIENT
    curl -s -o answer -H "X-SLM-Client: $2" -H 'Content-Type: application/json' \
        -d '{"model":"'"$1"'","messages":[{"role":"user","content":"?"}]}' \
        "http://$at/v1/chat/completions"
}
listen
ask m ada
ask m ada
ask m bob
sleep 0.5
ask silent bob &
client=$!
await silent asked
kill -KILL $proxy
wait $proxy $client 2>/dev/null
rm said
listen
kill -TERM $proxy
wait $proxy
kill $upstream
into() { # STORE FILE
    slmctl collect -q --store "$1" --json --import "$2" |
        jq -c '[.lines, .added, .rejected]'
}
for format in exchange openai litellm otlp; do
    slmctl store export -q --store a --format $format $format.jsonl
    echo "$format: $(into a $format.jsonl)"
done
jq -r '[.status, (.call_id | length)] | @tsv' exchange.jsonl | sort
echo "another store: $(into b otlp.jsonl), $(into b exchange.jsonl)"
slmctl store export --store b b.jsonl
echo "and back: $(into a b.jsonl)"
slmctl store erase -q --store a --client ada
for format in exchange openai litellm otlp; do
    into a $format.jsonl
done
slmctl store export --store a | jq -s length
