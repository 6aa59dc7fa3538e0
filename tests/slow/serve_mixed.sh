#!/bin/sh
# serve_mixed.sh SLMCTL - 32 clients of four adapters and their base at once:
# every answer has the tokens, and their log probabilities, that the same
# request has alone on a server that has just begun. CLIENTS, ROUNDS of each.
set -u
slmctl=$1
base=data/base
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
command -v python3 >/dev/null || { echo 'skip: python3 is not installed'; exit 0; }
[ -f "$base/model.safetensors" ] || { echo 'skip: no base model'; exit 0; }
export SLMCTL_STORE="$scratch/store" XDG_CONFIG_HOME="$scratch/config"
"$slmctl" model add "$base" --as base >/dev/null 2>"$scratch/said" || {
    cat "$scratch/said"
    exit 1
}
python3 tests/cli/lib/serve_adapters.py "$base" "$scratch/store" \
    a=1 b=2 c=3 d=4 || exit 1
python3 - "$slmctl" "${CLIENTS:-32}" "${ROUNDS:-4}" <<'PY'
import atexit, http.client, json, random, re, signal, subprocess, sys, tempfile, threading, time

slmctl, clients, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
names = ["base", "a", "b", "c", "d"]
words = "count list show the of all cities rivers where is not more than 7 by name".split()


def request(number):
    rng = random.Random(number)
    text = " ".join(rng.choice(words) for _ in range(rng.randrange(2, 40)))
    if number % 3 == 0:  # many begin alike, so that the cache has its part
        text = "The rivers of all cities by name, " + text
    q = {"model": names[number % 5], "max_tokens": rng.randrange(8, 64)}
    if number % 4 == 3:
        q.update(messages=[{"role": "user", "content": text}], logprobs=True, response_format={
            "type": "json_schema", "json_schema": {"name": "x", "schema": {
                "type": "object", "properties": {"name": {"enum": ["Rome", "Oslo"]}, "n": {"type": "integer"}},
                "required": ["name", "n"], "additionalProperties": False}}})
        return "/v1/chat/completions", q
    if number % 4 == 2:
        q.update(messages=[{"role": "system", "content": text}, {"role": "user", "content": "go"}], logprobs=True)
        return "/v1/chat/completions", q
    q.update(prompt=text, logprobs=1)
    if number % 4 == 1:
        q.update(temperature=1, seed=number)
    return "/v1/completions", q


class Server:
    def __init__(self):
        self.said = tempfile.TemporaryFile("w+")
        models = [a for n in names for a in ("--model", n)]
        self.process = subprocess.Popen([slmctl, "serve", "--listen", "127.0.0.1:0", *models, "--slots", "16"],
                                        stderr=self.said, stdout=subprocess.DEVNULL)
        atexit.register(self.process.kill)
        for _ in range(600):
            self.said.seek(0)
            m = re.search(r"^listening on 127.0.0.1:(\d+)$", self.said.read(), re.M)
            if m or self.process.poll() is not None:
                break
            time.sleep(0.05)
        if not m:
            sys.exit("the server does not listen")
        self.port = int(m.group(1))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(60):
            sys.exit("the server did not end in order")


def ask(connection, number):
    path, q = request(number)
    connection.request("POST", path, json.dumps(q), {"Content-Type": "application/json"})
    r = connection.getresponse()
    body = r.read()
    if r.status != 200:
        return None, f"{r.status} {body[:200]!r}"
    a = json.loads(body)
    c = a["choices"][0]
    l = c.get("logprobs") or {"content": []}  # none: it ended before a token
    tokens = list(zip(l["tokens"], l["token_logprobs"])) if "tokens" in l else [(t["token"], t["logprob"]) for t in l["content"]]
    return a["usage"]["completion_tokens"], (tokens, c["text"] if "text" in c else c["message"]["content"], c["finish_reason"])


def one_by_one(numbers):
    s, got = Server(), {}
    c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=300)
    begin = time.monotonic()
    for n in numbers:
        got[n] = ask(c, n)
    took = time.monotonic() - begin
    c.close()
    s.stop()
    return got, took


def at_once(numbers):
    s, got, lock, left = Server(), {}, threading.Lock(), list(numbers)
    random.Random(0).shuffle(left)

    def work():
        c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=300)
        while True:
            with lock:
                if not left:
                    break
                n = left.pop()
            a = ask(c, n)
            with lock:
                got[n] = a
        c.close()
    threads = [threading.Thread(target=work) for _ in range(clients)]
    begin = time.monotonic()
    [t.start() for t in threads]
    [t.join() for t in threads]
    took = time.monotonic() - begin
    s.stop()
    return got, took


numbers = range(clients * rounds)
single, alone = one_by_one(numbers)
mixed, together = at_once(numbers)
wrong = 0
for n in numbers:
    if single[n][0] is None or single[n] != mixed[n]:
        wrong += 1
        if wrong <= 5:
            print(f"WRONG: request {n} of {names[n % 5]}: {mixed[n]} instead of {single[n]}")
# The same words through five models are five answers, or nothing was compared.
s = Server()
c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
texts = []
for name in names:
    c.request("POST", "/v1/completions", json.dumps({"model": name, "prompt": "The rivers", "max_tokens": 16, "logprobs": 1}))
    texts.append(json.dumps(json.loads(c.getresponse().read())["choices"][0]["logprobs"]["token_logprobs"]))
c.close()
s.stop()
if len(set(texts)) != 5:
    wrong += 1
    print("WRONG: two models answer alike", texts)
tokens = sum(a[0] or 0 for a in single.values())
print(f"note: {len(numbers)} requests, {tokens} tokens, {wrong} differ; one by one {tokens / alone:.0f} tok/s, "
      f"{clients} clients {tokens / together:.0f} tok/s")
sys.exit(wrong > 0)
PY
