"""serve_hostile.py SLMCTL MODEL DIR - what serve_hostile.sh says"""
import atexit, contextlib, gzip, hashlib, http.server, json, os, re, signal, socket, sqlite3, struct, subprocess, sys, threading, time

slmctl, model, scratch = sys.argv[1:4]
wrong = checks = 0
HI = [{"role": "user", "content": "hi"}]
LONG = {"type": "json_schema", "json_schema": {"name": "long", "schema": {
    "type": "array", "items": {"enum": ["again"]}, "minItems": 120, "maxItems": 120}}}


def check(ok, *what):
    global wrong, checks
    checks += 1
    if not ok:
        wrong += 1
        print("WRONG:", *what)


class Server:
    def __init__(self, name, *options, admin=True):
        self.log = os.path.join(scratch, name + ".said")
        store = os.path.join(scratch, name)
        options += ("--admin", "127.0.0.1:0") if admin else ()
        with open(self.log, "w") as said:
            self.process = subprocess.Popen([slmctl, "serve", "--store", store, "--listen", "127.0.0.1:0", *options],
                                            stderr=said, stdout=subprocess.DEVNULL)
        atexit.register(self.process.kill)
        for _ in range(600):
            text = open(self.log).read()
            ports = [int(p) for p in re.findall(r"127\.0\.0\.1:(\d+)", text)]
            if len(ports) == 1 + admin or self.process.poll() is not None:
                break
            time.sleep(0.05)
        if len(ports) != 1 + admin:
            sys.exit(f"{name} does not listen: {text}")
        self.port, self.admin = ports[0], ports[-1]

    def dial(self, port=None, limit=30, small=False):
        s = socket.socket()
        if small:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(limit)
        s.connect(("127.0.0.1", port or self.port))
        return s

    def metric(self, name):
        s = self.dial(self.admin)
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        m = re.search(rf"^slmctl_{name} (\d+)$", everything(s).decode(), re.M)
        return int(m.group(1)) if m else -1

    def until(self, name, value, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.metric(name) == value:
                return True
            time.sleep(0.02)
        return False

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def kb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{self.process.pid}/status").read()).group(1))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        check(self.process.wait(60) == 0, "it did not end in order", open(self.log).read()[-300:])


def head(length, path="/v1/chat/completions", *more, method="POST", version="1.1"):
    fields = "".join(f"{m}\r\n" for m in more)
    return f"{method} {path} HTTP/{version}\r\nHost: localhost\r\nContent-Length: {length}\r\n{fields}\r\n".encode()


def post(body, path="/v1/chat/completions", *more, **how):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head(len(body), path, *more, **how) + body


def everything(s):
    got = b""
    try:
        while True:
            d = s.recv(65536)
            if not d:
                break
            got += d
    except (OSError, socket.timeout) as e:
        got += repr(e).encode() if isinstance(e, socket.timeout) else b""
    s.close()
    return got


def one(s):
    """One answer with a Content-Length; the connection stays."""
    got = b""
    while b"\r\n\r\n" not in got:
        d = s.recv(65536)
        if not d:
            return 0, {}, got
        got += d
    top, rest = got.split(b"\r\n\r\n", 1)
    lines = top.decode("latin-1").split("\r\n")
    fields = dict(l.lower().split(": ", 1) for l in lines[1:])
    n = int(fields.get("content-length", 0))
    while len(rest) < n:
        d = s.recv(65536)
        if not d:
            break
        rest += d
    return int(lines[0].split()[1]), fields, rest


def ask(server, raw, limit=30):
    s = server.dial(limit=limit)
    try:
        s.sendall(raw)
    except OSError:
        pass  # refused before it was all said
    try:
        return one(s)
    except (OSError, ValueError) as e:
        return -1, {}, repr(e).encode()
    finally:
        s.close()


def chat(**q):
    return {"model": "tiny", "messages": HI, "max_tokens": 2, **q}


def long_one(**q):
    return chat(max_tokens=900, response_format=LONG, **q)


def still_serves(server, why):
    begin = time.monotonic()
    status, _, body = ask(server, post(chat()))
    check(status == 200, why, "then", status, body[:200])
    check(time.monotonic() - begin < 10, why, "and others waited")


def schema(s):
    return chat(max_tokens=8, response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": s}})


def tool(name="f", parameters=None, **q):
    return chat(tools=[{"type": "function", "function": {"name": name, "parameters": parameters or {"type": "object"}}}], **q)


def deep(n, kind="["):
    return ("[" * n + "]" * n) if kind == "[" else '{"a":' * n + "1" + "}" * n


def nest(n):
    s = {"type": "string"}
    for _ in range(n):
        s = {"type": "object", "properties": {"a": s}, "required": ["a"]}
    return s


REFUSED = [  # what, bytes, statuses that are right
    ("no JSON", post(b"{"), (400,)),
    ("nothing", post(b""), (400,)),
    ("a list", post(b"[]"), (400,)),
    ("bytes that are no UTF-8", post(b'{"model":"tiny","messages":[{"role":"user","content":"\xff\xfe"}]}'), (400,)),
    ("half a surrogate", post(b'{"model":"tiny","max_tokens":2,"messages":[{"role":"user","content":"\\ud800"}]}'), (200, 400)),
    ("a NUL in a text", post(chat(messages=[{"role": "user", "content": "a\0b"}])), (200, 400)),
    ("a member twice", post(b'{"model":"tiny","model":"none","max_tokens":2,"messages":[{"role":"user","content":"x"}]}'), (200, 400, 404)),
    ("100,000 lists in each other", post(deep(100000).encode()), (400,)),
    ("100,000 objects in each other", post(deep(100000, "{").encode()), (400,)),
    ("a content that is deep", post(b'{"model":"tiny","messages":[{"role":"user","content":' + deep(5000).encode() + b"}]}"), (400,)),
    ("4,097 messages", post(chat(messages=HI * 4097)), (400,)),
    ("1,025 parts", post(chat(messages=[{"role": "user", "content": [{"type": "text", "text": "x"}] * 1025}])), (400,)),
    ("257 tools", post(chat(tools=tool()["tools"] * 257)), (400,)),
    ("17 texts to stop at", post(chat(stop=["x"] * 17)), (400,)),
    ("a text to stop at of 257 bytes", post(chat(stop="x" * 257)), (400,)),
    ("an empty text to stop at", post(chat(stop="")), (400,)),
    ("a model of 257 bytes", post(chat(model="m" * 257)), (400,)),
    ("a model that is a path", post(chat(model="../../etc/passwd")), (404,)),
    ("a model that is a number", post(chat(model=5)), (400,)),
    ("-1 tokens", post(chat(max_tokens=-1)), (400,)),
    ("half a token", post(chat(max_tokens=1.5)), (400,)),
    ("1e999 tokens", post(b'{"model":"tiny","max_tokens":1e999,"messages":[{"role":"user","content":"x"}]}'), (400,)),
    ("a temperature that is no number", post(b'{"model":"tiny","temperature":NaN,"messages":[]}'), (400,)),
    ("a seed beyond 64 bits", post(b'{"model":"tiny","seed":99999999999999999999,"max_tokens":2,"messages":[{"role":"user","content":"x"}]}'), (400,)),
    ("21 likeliest", post(chat(logprobs=True, top_logprobs=21)), (400,)),
    ("a prompt beyond the context", post(chat(messages=[{"role": "user", "content": "x y " * 20000}])), (400,)),
    ("a schema of 2 MiB", post(schema({"enum": ["x" * (2 << 20)]})), (400, 413)),
    ("a schema of 30,000 choices", post(schema({"enum": [f"choice {i}" for i in range(30000)]})), (200, 400)),
    ("a schema in itself", post(schema({"type": "array", "items": {"$ref": "#"}})), (200, 400)),
    ("a schema in its own definitions", post(schema({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"})), (200, 400)),
    ("a schema 60 deep", post(schema(nest(60))), (200, 400)),
    ("a thousand million items", post(schema({"type": "array", "items": {"type": "string"}, "minItems": 10**9, "maxItems": 10**9})), (200, 400)),
    ("a thousand million characters", post(schema({"type": "string", "minLength": 10**9, "maxLength": 10**9})), (200, 400)),
    ("a pattern that explodes", post(schema({"type": "string", "pattern": "^(a+)+$"})), (200, 400)),
    ("a schema of 200 free members", post(schema({"type": "object", "properties": {f"m{i}": {"type": "string"} for i in range(200)}})), (200, 400)),
    ("a tool whose name ends texts", post(tool('"}<|im_end|>\n', tool_choice="required")), (200, 400)),
    ("a tool without a name", post(chat(tools=[{"type": "function", "function": {}}])), (200, 400)),
    ("a tool that is a text", post(chat(tools=["f"])), (200, 400)),
    ("tools that are a text", post(chat(tools="f")), (200, 400)),
    ("gzip", post(gzip.compress(json.dumps(chat()).encode()), "/v1/chat/completions", "Content-Encoding: gzip"), (415,)),
    ("a body that is too long", head(64 << 20), (413,)),
    ("two lengths", b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", (400,)),
    ("a length and chunks", b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400,)),
    ("a chunk of nonsense", b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", (400,)),
    ("no Host", b"GET /health HTTP/1.1\r\n\r\n", (400,)),
    ("another's Host", b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n", (421,)),
    ("another's Host, absolute", b"GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 421)),
    ("1,000 fields", b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(1000)) + b"\r\n", (431,)),
    ("a field of 1 MiB", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n", (431,)),
    ("a path of 1 MiB", b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", (414, 431)),
    ("a path that climbs", b"GET /v1/models/../../metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404)),
    ("a verb of its own", b"BREW /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n", (404, 405, 501)),
    ("HTTP/3.7", b"GET /health HTTP/3.7\r\nHost: localhost\r\n\r\n", (400, 505)),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n", (400,)),
    ("metrics where clients are", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", (404,)),
    ("a reload by a client", head(0, "/reload"), (404,)),
    ("a WebSocket", b"GET /v1/responses HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", (501,)),
    ("a completion of tokens", post({"model": "tiny", "prompt": [1, 2, 3]}, "/v1/completions"), (400,)),
    ("a response that goes on", post({"model": "tiny", "input": "x", "previous_response_id": "resp_1"}, "/v1/responses"), (400,)),
    ("messages of nothing", post({"model": "tiny", "max_tokens": 2}, "/v1/messages"), (400,)),
    ("a tool_choice of nothing", post({"model": "tiny", "max_tokens": 2, "messages": HI, "tool_choice": {"type": "tool"}}, "/v1/messages"), (400,)),
]


def refusals(server):
    for what, raw, right in REFUSED:
        begin = time.monotonic()
        status, _, body = ask(server, raw)
        took = time.monotonic() - begin
        check(status in right, what, "got", status, body[:300])
        check(took < 10, what, f"took {took:.1f} s")
        if status >= 400:
            try:
                message = json.loads(body)["error"]["message"]
                check(message and "\n" not in message and len(message) < 600, what, "said", message[:300])
            except (ValueError, KeyError, TypeError) as e:
                check(False, what, "is not told as an error", body[:200], repr(e))
    still_serves(server, "after all refusals")


def by_the_book(server):
    """HTTP/1.0, requests that are sent ahead, Expect."""
    got = everything_after(server, post(chat(), version="1.0"))
    check(got.split()[1] == b"200" and b"chunked" not in got.lower() and json.loads(got.split(b"\r\n\r\n", 1)[1]), "HTTP/1.0", got[:300])
    got = everything_after(server, post(chat(stream=True), version="1.0"))
    check(b"chunked" not in got.lower() and got.endswith(b"data: [DONE]\n\n"), "a stream in HTTP/1.0", got[-300:])
    s = server.dial()
    s.sendall(post(chat()) + head(0, "/v1/models", method="GET") + post(chat(model="none")) + post(chat()))
    check([one_of_many(s) for _ in range(4)] == [200, 200, 404, 200], "requests that were sent ahead")
    s.sendall(head(len(json.dumps(chat())), "/v1/chat/completions", "Expect: 100-continue"))
    got = s.recv(1000)
    check(got.startswith(b"HTTP/1.1 100"), "Expect", got)
    s.sendall(json.dumps(chat()).encode())
    check(one_of_many(s) == 200, "after 100 Continue")
    s.close()
    s = server.dial()
    for b in post(chat()):
        s.sendall(bytes([b]))
    check(one(s)[0] == 200, "a request that comes in single bytes")
    s.close()


def everything_after(server, raw):
    s = server.dial()
    s.sendall(raw)
    return everything(s)


held = {}


def one_of_many(s):
    """The status of the next answer of a connection that has more."""
    got = held.pop(s, b"")
    while b"\r\n\r\n" not in got:
        got += s.recv(65536)
    top, rest = got.split(b"\r\n\r\n", 1)
    n = int(re.search(rb"(?i)content-length: (\d+)", top).group(1))
    while len(rest) < n:
        rest += s.recv(65536)
    held[s] = rest[n:]
    return int(top.split()[1])


def begins(s):
    """The first bytes of a stream have come."""
    return s.recv(200).split()[1] == b"200"


def full(server):
    """One slot, two places: the fourth is refused before its body, and stays."""
    busy = [server.dial() for _ in range(3)]
    busy[0].sendall(post(long_one(stream=True)))
    begins(busy[0])
    for s in busy[1:]:
        s.sendall(post(long_one()))
    check(server.until("engine_queue", 2), "two wait")
    s = server.dial()
    s.sendall(head(1000))
    status, fields, body = one(s)
    check(status == 429 and int(fields.get("retry-after", 0)) >= 1 and fields.get("connection") != "close", "a full queue", status, fields)
    check(json.loads(body)["error"]["code"] == "rate_limit_exceeded", body)
    s.sendall(b"x" * 1000 + head(0, "/health", method="GET"))
    check(one(s)[0] == 200, "the refused connection is kept")
    s.close()
    left = server.metric("serve_clients_left_total")
    for b in busy:  # one runs, two wait: all three leave
        b.close()
    check(server.until("engine_active", 0) and server.until("engine_queue", 0), "who left has no slot")
    check(server.until("serve_clients_left_total", left + 3), "three have left", server.metric("serve_clients_left_total") - left)
    still_serves(server, "after a full queue")


def leavers(server):
    """They go in each moment of a request."""
    raw, left = post(long_one(stream=True)), server.metric("serve_clients_left_total")
    for n in range(40):
        s = server.dial()
        s.sendall(raw[:n * len(raw) // 20] if n < 20 else raw)
        if n >= 30:
            begins(s)
        if n % 2:  # with a reset instead of an end
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
        if n >= 20:
            check(server.until("engine_active", 0) and server.until("engine_queue", 0), "leaver", n, "holds a slot")
    check(server.metric("serve_clients_left_total") > left, "nobody was seen to leave")
    still_serves(server, "after leavers")


def slow_readers(server):
    """They do not read, and all others are served; the slot ends by itself."""
    slow = [server.dial(small=True) for _ in range(8)]
    answered = server.metric("serve_answered_total")
    for i, s in enumerate(slow):
        s.sendall(post(long_one(stream=True, logprobs=True, top_logprobs=20)))
        check(server.until("serve_answered_total", answered + i + 1, 60), "a reader that does not read holds its slot", i)
    check(server.until("engine_active", 0), "slots are free")
    still_serves(server, "beside slow readers")
    got = everything_later(slow[0])
    check(got.endswith(b"0\r\n\r\n") and got.count(b"[DONE]") == 1, "a slow reader gets all in the end", len(got), got[-80:])
    for s in slow[1:]:
        s.close()


def everything_later(s):
    got = b""
    while not got.endswith(b"0\r\n\r\n"):
        d = s.recv(3000)
        if not d:
            break
        got += d
    s.close()
    return got


def half_sent(server):
    """300 requests that stop in their middle hold nobody up."""
    raw = post(chat())
    waiting = [server.dial() for _ in range(300)]
    for i, s in enumerate(waiting):
        s.sendall(raw[:1 + i % (len(raw) - 1)])
    still_serves(server, "beside half-sent requests")
    check(server.metric("engine_active") == 0 and server.metric("engine_queue") == 0, "they hold no slot")
    for s in waiting[:150]:
        i = waiting.index(s)
        s.sendall(raw[1 + i % (len(raw) - 1):])
    done = sum(one(s)[0] in (200, 429) for s in waiting[:150])
    check(done == 150, "what goes on in the end is answered", done)
    for s in waiting:
        s.close()


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append(str(self.headers))
        body = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"up"},"finish_reason":"stop"}]}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *a):
        pass


def upstream():
    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    s.seen = []
    threading.Thread(target=s.serve_forever, daemon=True).start()
    return s


def keys():
    """A key goes to the upstream that its request goes to, and a token to none."""
    tokens = os.path.join(scratch, "hashes")
    with open(tokens, "w") as f:
        for name, scopes in (("full", "proxy,models"), ("lists", "models"), ("plain", "")):
            f.write(f"{hashlib.sha256(('tok-' + name).encode()).hexdigest()} {name} {scopes}\n")
    one_up, other = upstream(), upstream()
    s = Server("keys", "--model", "tiny=" + model, "--client-tokens", tokens, "--upstream",
               f"http://127.0.0.1:{one_up.server_port}", "--upstream", f"other=http://127.0.0.1:{other.server_port}")
    for path, body, token, status, where in (
            ("/v1/chat/completions", chat(), "tok-full", 200, None),
            ("/v1/chat/completions", chat(model="gpt"), "tok-full", 200, one_up),
            ("/other/v1/chat/completions", chat(model="gpt"), "tok-plain", 200, other),
            ("/other/v1/chat/completions", chat(), "tok-full", 200, None),
            ("/v1/messages", chat(model="claude"), "tok-full", 200, one_up),
            ("/v1/chat/completions", chat(), "tok-lists", 403, None),
            ("/v1/chat/completions", chat(model="gpt"), "tok-wrong", 401, None),
            ("/v1/chat/completions", chat(model="gpt"), None, 401, None)):
        del one_up.seen[:], other.seen[:]
        fields = ["Authorization: Bearer sk-client-secret", "x-api-key: sk-other-secret", "Cookie: a=sk-cookie"]
        fields += [f"X-SLM-Token: {token}"] if token else []
        got = ask(s, post(body, path, *fields))
        check(got[0] == status, path, body["model"], token, got[0], got[2][:200])
        for u in (one_up, other):
            seen = "".join(u.seen)
            check(("sk-client-secret" in seen) == (u is where), "a key went astray", path, body["model"], seen[:300])
            check("tok-" not in seen and "x-slm" not in seen.lower(), "a token went up", seen[:300])
    kept = b""
    s.stop()
    for d, _, names in os.walk(os.path.join(scratch, "keys")):
        for n in names:
            kept += open(os.path.join(d, n), "rb").read()
    check(b"sk-client-secret" not in kept and b"sk-other-secret" not in kept and b"tok-full" not in kept, "a key is in the store")
    # Without an upstream the bearer is the token.
    s = Server("bearer", "--model", "tiny=" + model, "--client-tokens", tokens)
    for field, status in (("Authorization: Bearer tok-full", 200), ("x-api-key: tok-full", 200), ("Authorization: Bearer tok-lists", 403),
                          ("Authorization: Basic dG9rLWZ1bGw=", 401), ("X-Nothing: 1", 401)):
        got = ask(s, post(chat(), "/v1/chat/completions", field))
        check(got[0] == status, field, got[0], got[2][:200])
    for token, status in (("tok-lists", 200), ("tok-plain", 200), ("tok-wrong", 401)):
        got = ask(s, head(0, "/v1/models", f"Authorization: Bearer {token}", method="GET"))
        check(got[0] == status, "a list for", token, got[0])
    s.stop()


def routed():
    """What the router sends up after all has its own key, and goes its own way."""
    where = os.path.join(scratch, "log")
    os.makedirs(where)
    os.makedirs(os.path.join(where, "bin"))
    os.symlink(os.path.abspath(slmctl), os.path.join(where, "bin", "slmctl"))
    env = {**os.environ, "PATH": os.path.join(where, "bin") + ":" + os.environ["PATH"], "SLMCTL_STORE": os.path.join(scratch, "routed")}
    subprocess.run(["sh", "-c", '. "$0/tests/cli/lib/train.subr"; odd_even_store 60 && slmctl model add "$0/data/base" --as shipped -q >/dev/null',
                    os.getcwd()], cwd=where, env=env, check=True)
    os.environ["SLMCTL_KEY_FILE"] = os.path.join(where, "key")
    with contextlib.closing(sqlite3.connect(os.path.join(scratch, "routed", "store.db"))) as db:
        db.execute("INSERT INTO champion(task, model, since, event) SELECT t.id, m.id, 1, 0 FROM task t, model m")
        db.commit()
    one_up, other = upstream(), upstream()
    s = Server("routed", "--upstream", f"http://127.0.0.1:{one_up.server_port}", "--upstream",
               f"other=http://127.0.0.1:{other.server_port}", "--mode", "on", "--audit", "0")
    task = [{"role": "system", "content": "Say odd or even."}, {"role": "user", "content": "number 9"}]
    for path, tokens, went, where in (("/v1/chat/completions", 9, "slm", None), ("/v1/chat/completions", 1, "llm", one_up),
                                      ("/other/v1/chat/completions", 9, "slm", None), ("/other/v1/chat/completions", 1, "llm", other)):
        for stream in (False, True):
            del one_up.seen[:], other.seen[:]
            body = {"model": "gpt-4o", "messages": task, "max_tokens": tokens, "stream": stream}
            x = s.dial()
            x.sendall(post(body, path, "Authorization: Bearer sk-client-secret", "Connection: close"))
            got = everything(x).decode()
            check(re.search(rf"(?i)x-slm-route: {went}|\"content\":\"up\"" if went == "llm" else r"(?i)x-slm-route: slm", got), path, tokens, got[:400])
            for u in (one_up, other):
                check(len(u.seen) == (u is where) and ("sk-client-secret" in "".join(u.seen)) == (u is where),
                      "an escalated request went astray", path, tokens, u.seen)
    s.stop()
    s = Server("routed", "--upstream", f"http://127.0.0.1:{one_up.server_port}", "--upstream",
               f"other=http://127.0.0.1:{other.server_port}", "--mode", "shadow")
    del one_up.seen[:], other.seen[:]
    for n in range(10):
        status, _, body = ask(s, post({"model": "gpt-4o", "messages": task, "max_tokens": 9}, "/other/v1/chat/completions",
                                      "Authorization: Bearer sk-client-secret"))
        check(status == 200 and b'"up"' in body, "in the shadow the upstream answers", status, body[:200])
    s.stop()
    check(len(other.seen) == 10 and not one_up.seen, "a shadow asks no upstream", len(other.seen), one_up.seen)


def main():
    s = Server("one", "--model", "tiny=" + model, "--slots", "1", "--queue-requests", "2", "--max-body", "8M")
    still_serves(s, "at first")
    by_the_book(s)
    refusals(s)
    fds, kb = s.fds(), s.kb()
    for f in (full, leavers, slow_readers, half_sent):
        f(s)
    refusals(s)
    time.sleep(0.5)
    check(s.fds() <= fds + 8, "descriptors are missing", fds, s.fds())
    grown = s.kb() - kb
    check(grown < (512 if "san-" in slmctl else 96) << 10, f"it grew by {grown} KB")
    s.stop()
    keys()
    routed()
    print(f"note: {checks} checks, {wrong} wrong; it grew by {grown} KB")
    sys.exit(wrong > 0)


main()
