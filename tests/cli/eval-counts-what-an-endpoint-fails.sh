# A hosted model is judged: every third request fails, counts as wrong, is told
# and is asked again the next time; what was answered is not. Nobody there, or a
# key that is refused, is an error before the seal is opened.
if ! command -v python3 >/dev/null; then
    echo "skip: python3 is not installed"
    exit 0
fi
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s SLMCTL_NO_ENCRYPTION=true
odd_even_store 240
cat >host.py <<'END'
import http.server, json

failing = {}

class Host(http.server.BaseHTTPRequestHandler):
    def say(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def knows(self):
        known = self.headers.get("Authorization") == "Bearer sk-1"
        if not known:
            self.say(401, {"error": {"message": "no such key"}})
        return known

    def do_GET(self):
        if self.knows():
            self.say(200, {"data": []})

    def do_POST(self):
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        request = json.loads(sent)
        with open("asked", "a") as f:
            f.write(request["model"] + "\n")
        if not self.knows():
            return
        last = request["messages"][-1]["content"]
        if request["model"] == "judge":
            text = json.dumps({"better": "A"})
        elif not last.startswith("number"):
            return self.say(400, {"error": "?"})
        else:
            n = int(last.split()[1])
            if n % 3 == 0 and not failing.get(n):
                failing[n] = True
                return self.say(400, {"error": {"message": "too bad"}})
            text = "odd" if n % 2 else "even"
        self.say(200, {"choices": [{"message":
            {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 1}})

    def log_message(self, *a):
        pass

s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host)
with open("port", "w") as f:
    f.write("%d\n" % s.server_address[1])
s.serve_forever()
END
python3 host.py >/dev/null 2>&1 &
host=$!
n=0
until [ -s port ] || [ $n -ge 100 ]; do
    n=$((n + 1))
    sleep 0.1
done
url=http://127.0.0.1:$(cat port)/v1
echo sk-1 >key-of-host
echo sk-2 >other-key
seals() {
    sqlite3 s/store.db 'SELECT count(*) FROM seal'
}
ask() {
    slmctl eval --task 1 --endpoint "$url" --endpoint-model big \
        --endpoint-key-file key-of-host --json "$@" >doc
    echo "exit $?"
    jq -c '.tasks[0] | [.tuned.name, .failed_requests == .reasons.endpoint_failed,
        .failed_requests > 0, .known_answers > 0, .reused]' doc
}
slmctl eval --task 1 --endpoint http://127.0.0.1:1/v1 --endpoint-model big 2>err
echo "exit $?, $(grep -c 'endpoint http://127.0.0.1:1/v1 model big: not reached' err)"
slmctl eval --task 1 --endpoint "$url" --endpoint-model big \
    --endpoint-key-file other-key 2>err
echo "exit $?, $(grep -c 'status 401: no such key' err), $(seals) opened"
rm -f asked
ask
items=$(jq '.tasks[0].items' doc)
failed=$(jq '.tasks[0].failed_requests' doc)
[ "$(wc -l <asked)" = "$items" ] && echo "each was asked once"
rm -f asked
ask
[ "$(wc -l <asked)" = "$failed" ] && echo "what failed was asked again"
rm -f asked
ask
[ -e asked ] || echo "nobody was asked"
# A judge who likes what stands first decides nothing.
ask --judge "$url" --judge-model judge --judge-key-file key-of-host \
    --judge-items 0 --no-cache >/dev/null
jq -c '.tasks[0].judge | [.won, .lost, .tied > 0, .asked, .gates]' doc
kill $host
wait $host 2>/dev/null
slmctl eval --task 1 --endpoint "$url"
echo "exit $?"
slmctl eval --task 1 --judge-gate
echo "exit $?"
