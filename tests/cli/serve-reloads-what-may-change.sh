# SIGHUP and POST /reload read the configuration anew, whole or not at all;
# what a store promotes is seen without anybody's help; what is in flight
# meanwhile ends as it began: none of 200 requests is dropped by 20 reloads.
for tool in curl jq sqlite3 python3; do
    command -v $tool >/dev/null || { echo "skip: $tool is not installed"; exit 0; }
done
. "$TREE/tests/cli/lib/train.subr"
. "$TREE/tests/cli/lib/wait.subr"
cat >client.py <<'END'
import http.client, json, sys, threading, time

port, total = int(sys.argv[1]), int(sys.argv[2])
task = [{"role": "system", "content": "Say odd or even."}]
lock, left, bad, done = threading.Lock(), list(range(total)), [], 0

def one(c, i):
    body = {"model": "gpt-4o" if i % 2 else "mine", "max_tokens": 12 + i % 9,
            "stream": i % 3 == 0,
            "messages": task + [{"role": "user", "content": "number %d" % i}]}
    c.request("POST", "/v1/chat/completions", json.dumps(body),
              {"Content-Type": "application/json"})
    r = c.getresponse()
    text = r.read()
    whole = b"[DONE]" in text if body["stream"] else b'"choices"' in text
    return None if r.status == 200 and whole else (i, r.status, text[:200])

def run():
    global done
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while True:
        with lock:
            if not left:
                return
            i = left.pop()
        try:
            why = one(c, i)
        except Exception as e:
            why = (i, repr(e))
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with lock:
            done += 1
            if why:
                bad.append(why)

threads = [threading.Thread(target=run) for _ in range(12)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print("%d answered, %d dropped" % (done, len(bad)))
for b in bad[:5]:
    print(b)
END
port_of() { # FILE WHAT
    sed -n "s/^$2 on 127.0.0.1:\([0-9]*\)\$/\1/p" "$1"
}
export SLMCTL_STORE="$PWD/store"
odd_even_store 60
slmctl serve --store up --listen 127.0.0.1:0 --model "gpt-4o=$TREE/data/base" \
    --queue-requests 500 2>up.said &
up=$!
await up.said 'listening on'
for name in one two; do
    cp -r "$TREE/data/base" $name
    slmctl model add $name --as $name >/dev/null
done
promote() { # MODEL
    sqlite3 store/store.db "PRAGMA busy_timeout = 5000; INSERT OR REPLACE INTO
        champion(task, model, since, event) SELECT t.id, m.id, 1, 0 FROM task t
        JOIN model m ON m.name = '$1'" >/dev/null
}
promote one
mkdir -p home/slmctl
config=home/slmctl/config
write() { # LINES
    {
        echo "serve.listen = 127.0.0.1:0"
        echo "serve.admin = 127.0.0.1:0"
        echo "serve.upstream = http://127.0.0.1:$(port_of up.said listening)"
        echo "serve.queue-requests = 500"
        echo "serve.model = mine=$PWD/one"
        printf '%s\n' "$@"
    } >$config
}
write "serve.mode = off"
XDG_CONFIG_HOME=$PWD/home slmctl serve --look-up 0.2 2>said &
server=$!
await said 'admin on'
url=http://127.0.0.1:$(port_of said listening)/v1
admin=http://127.0.0.1:$(port_of said admin)
route() { # what answers upstream was asked for by name
    curl -sS -m 20 "$url/chat/completions" -D head -o got -d '{"model":"gpt-4o",
"messages":[{"role":"system","content":"Say odd or even."},
{"role":"user","content":"number 9"}]}'
    sed -n 's/\r$//; s/^X-SLM-Route: //p' head
}
reload() {
    curl -sS -m 20 -X POST "$admin/reload" | sed "s|$PWD/||"
}
model() {
    jq -r .model got
}
route
write "serve.mode = on"
reload
route
model
promote two
await said "the store's models have changed"
route
model
write "serve.mode = on" "serve.max-tokens = nonsense"
reload
write "serve.mode = on" "serve.route = nobody=off"
reload
write "serve.mode = on" "serve.default-model = nobody"
reload
route
write "serve.mode = on" "serve.slots = 3" "serve.max-tokens = 2" \
    "serve.model = again=$PWD/two"
reload
curl -sS -m 20 "$url/completions" -d '{"model":"again","prompt":"a","max_tokens":9}' |
    jq -c '[.model, .usage.completion_tokens]'
write "serve.mode = on"
reload
# Files that are not those that were promoted
sqlite3 store/store.db "PRAGMA busy_timeout = 5000; UPDATE model SET content =
    zeroblob(16) WHERE name = 'two'" >/dev/null
await said 'model two is not served'
route
sqlite3 store/store.db "PRAGMA busy_timeout = 5000; UPDATE model SET content =
    NULL" >/dev/null
await said "the store's models have changed" 3
route
echo --- many
python3 client.py "$(port_of said listening)" 200 >clients &
clients=$!
i=0
while [ $i -lt 20 ]; do
    i=$((i + 1))
    [ $((i % 2)) = 0 ] && promote one || promote two
    [ $((i % 3)) = 0 ] && write "serve.mode = off" || write "serve.mode = on"
    kill -HUP $server
    await said '^reloaded' $((i + 3))
done
wait $clients
cat clients
kill $server
wait $server
echo "exit $?"
kill $up
wait $up
grep -v '^reloaded\|models have changed\|goes to the LLM again' said |
    sed "s/127.0.0.1:[0-9]*/ADDRESS/; s|$PWD/||"
