# In mode shadow, which is the usual one beside an upstream, the LLM answers
# and the champion is compared with it, streams and packed answers too; a task
# that agrees less than the sealed test let expect steps back; in mode on a
# share is compared. What differs is kept, sealed.
for tool in curl jq sqlite3 python3; do
    command -v $tool >/dev/null || { echo "skip: $tool is not installed"; exit 0; }
done
. "$TREE/tests/cli/lib/train.subr"
. "$TREE/tests/cli/lib/wait.subr"
cat >llm.py <<'END'
import gzip, http.server, json, os

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind, pack = "application/json", False
        streams = bool(body.get("stream"))
        # One of both is what the champion says, whichever it is.
        text = "odd" if streams else "even"
        if os.path.exists("other"):
            text = "the LLM says odd"
        if streams:
            kind = "text/event-stream"
            out = "".join("data: " + json.dumps({"id": "r", "choices": [
                {"index": 0, "delta": {"content": w}, "finish_reason": None}]})
                + "\n\n" for w in (text[:2], text[2:]))
            out += 'data: {"id":"r","choices":[{"index":0,"delta":{},'
            out += '"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        else:
            pack = "gzip" in (self.headers["Accept-Encoding"] or "")
            out = json.dumps({"id": "r", "object": "chat.completion",
                "choices": [{"index": 0, "finish_reason": "stop", "message":
                    {"role": "assistant", "content": text}}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 4}})
        out = out.encode()
        if pack:
            out = gzip.compress(out)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if pack:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    def log_message(self, *a):
        pass

s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open("llm.port", "w") as f:
    f.write("%d\n" % s.server_address[1])
s.serve_forever()
END
python3 llm.py &
llm=$!
port_of() { # FILE WHAT
    sed -n "s/^$2 on 127.0.0.1:\([0-9]*\)\$/\1/p" "$1"
}
export SLMCTL_STORE="$PWD/store"
odd_even_store 60
slmctl model add "$TREE/data/base" --as shipped >/dev/null
sqlite3 store/store.db 'INSERT INTO champion(task, model, since, event)
    SELECT t.id, m.id, 1, 0 FROM task t, model m'
await llm.port .
mkdir -p home/slmctl
config=home/slmctl/config
write() { # LINES
    {
        echo "serve.listen = 127.0.0.1:0"
        echo "serve.admin = 127.0.0.1:0"
        echo "serve.upstream = http://127.0.0.1:$(cat llm.port)"
        printf '%s\n' "$@"
    } >$config
}
write ""
XDG_CONFIG_HOME=$PWD/home slmctl serve --look-up 0 --allow-no-log 2>said &
server=$!
await said 'admin on'
url=http://127.0.0.1:$(port_of said listening)/v1
admin=http://127.0.0.1:$(port_of said admin)
ask() { # MEMBERS CURL-OPTIONS
    members=$1
    shift
    curl -sS -m 20 "$url/chat/completions" "$@" -d '{"model":"gpt-4o",
"max_tokens":20,'"$members"'"messages":[{"role":"system","content":
"Say odd or even."},{"role":"user","content":"number 9"}]}'
}
compared() { # COUNT: in vain for 20 s
    n=0
    until curl -sS "$admin/metrics" | grep -q "^slmctl_shadow_compared_total $1" ||
        [ $n -ge 200 ]; do
        n=$((n + 1))
        sleep 0.1
    done
}
metrics() {
    curl -sS "$admin/metrics" | grep -E '^slmctl_(shadow|stepped|route)' |
        sed 's/task="[^"]*"/task=TASK/'
}
ask '' | jq -r .object
ask '' -H 'X-SLM-No-Log: 1' | jq -r .object
ask '"stream":true,' | tail -n 2 | head -n 1
compared 2
metrics
echo --- another LLM
sqlite3 store/store.db "INSERT INTO evaluation(id, task, model, split, created,
    verdict, detail) SELECT 1, c.task, c.model, 'test', 0, 'pass', '{}' FROM
    champion c; INSERT INTO evaluation_item(evaluation, example, score,
    reference) SELECT 1, id, 1, 1 FROM example LIMIT 20"
touch other
write "serve.step-back-window = 100"
curl -sS -m 20 -X POST "$admin/reload"
ask '' | jq -r '.choices[0].message.content'
ask '"stream":true,' | grep -c data
ask '' -H 'Accept-Encoding: gzip' --compressed | jq -r '.choices[0].finish_reason'
compared 5
i=0
while [ $i -lt 60 ]; do
    i=$((i + 1))
    ask '' -o /dev/null
    [ $((i % 20)) -gt 0 ] || compared $((5 + i))
done
await said 'goes to the LLM again'
metrics
write "serve.mode = on" "serve.audit = 100"
curl -sS -m 20 -X POST "$admin/reload"
ask '' -o /dev/null -D head
task=$(sqlite3 store/store.db 'SELECT name FROM task')
slmctl serve --resume "$task" 2>/dev/null
curl -sS -m 20 -X POST "$admin/reload"
ask '' -o /dev/null -D head
compared 66
metrics
kill "$server" "$llm"
wait "$server"
echo "exit $?"
sqlite3 store/store.db "SELECT went, reason, agreement, error, count(*),
    count(answer), sum(slm_us > 0), sum(llm_us > 0) FROM decision
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3;
    SELECT count(*) FROM decision WHERE answer LIKE '%role%';
    SELECT kind FROM registry_event"
grep -v 'listening\|admin on\|stopping' said | sed 's/task [0-9]*/task N/'
