#!/usr/bin/env python3
"""Calls that were kept back from a store, through `slmctl serve --mode on`.

usage: router_agentmix.py SLMCTL STORE HELD-OUT

STORE has tasks and calibrated champions, HELD-OUT calls of the same kind
(slmctl-exchange(5)) that the store has not seen. A stand-in for the LLM answers
with what was logged. Each call is sent as it was logged; those of tasks with a
champion once more with a copy of the store whose thresholds keep all, so that it
is known what the champion says of calls that the router kept from it, and how
sure it is. Prints where calls went and why, the quality
of the mix beside the model's and the LLM's, the curve over the calls by the
router's probability of error, and how well that is calibrated. Answers are
right where they equal the logged ones.
"""
import collections, http.server, json, math, os, random, shutil, signal, sqlite3, struct, subprocess, sys, tempfile
import threading, time, urllib.request

SLMCTL, STORE, HELD = sys.argv[1:4]
BINS = 15
ASKED = "routed", "predicted_error", "low_confidence"


def message(body):
    return body["choices"][0]["message"]


def plain(m):
    """What of a message counts: calls, a document, or the text."""
    if m.get("tool_calls"):
        return json.dumps([[c["function"]["name"], json.loads(c["function"]["arguments"] or "{}")]
                           for c in m["tool_calls"]], sort_keys=True)
    text = (m.get("content") or "").strip()
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return " ".join(text.split())


def key_of(request):
    return json.dumps([request["messages"], request.get("tools")])


def read_calls():
    calls = []
    for line in open(HELD, encoding="utf-8"):
        c = json.loads(line)
        if "choices" in c["response"] and c.get("status", "completed") == "completed":
            try:
                first = LLM.answers.setdefault(key_of(c["request"]), c["response"])
                c["right"] = plain(message(first))
            except ValueError:
                continue  # a logged call whose arguments are no document
            calls.append(c)
    return calls


class LLM(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers = {}

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        out = json.dumps(LLM.answers[key_of(request)]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    def log_message(self, *args):
        pass


def ask(url, request):
    body = json.dumps({**request, "stream": False}).encode()
    req = urllib.request.Request(url + "/v1/chat/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(req, timeout=120) as r:
        return r.headers.get("X-SLM-Route", "llm"), json.load(r)


def serve(store, upstream, said):
    p = subprocess.Popen([SLMCTL, "serve", "--store", store, "--listen", "127.0.0.1:0", "--mode", "on",
                          "--audit", "0", "--upstream", upstream], stderr=open(said, "w"))
    for _ in range(300):
        at = [l for l in open(said) if l.startswith("listening on ")]
        if at:
            return p, "http://" + at[0].split()[-1]
        if p.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit("serve did not begin: " + open(said).read())


def stop(p):
    p.send_signal(signal.SIGTERM)
    p.wait(60)


def keep_all(data):
    """A calibration with a threshold and a limit for prompts that none reaches:
    they follow three words and the rate's limit."""
    return data[:20] + struct.pack("<2d", 2, 2) + data[36:]


def read_store(store, query, *args):
    with sqlite3.connect("file:%s?mode=ro" % os.path.join(store, "store.db"), uri=True) as db:
        return db.execute(query, args).fetchall()


def ece(p, wrong):
    of = collections.defaultdict(float)
    for x, y in zip(p, wrong):
        of[min(BINS - 1, int(x * BINS))] += y - x
    return sum(abs(v) for v in of.values()) / len(p)


def curve(score, slm, llm):
    """(share of the LLM, quality), from none to all; equal scores together."""
    n, order = len(score), sorted(range(len(score)), key=lambda i: -score[i])
    points, quality = [(0.0, sum(slm) / n)], sum(slm)
    for k, i in enumerate(order):
        quality += llm[i] - slm[i]
        if k + 1 == n or score[order[k + 1]] != score[i]:
            points.append(((k + 1) / n, quality / n))
    return points


def figures(points):
    low, high = points[0][1], points[-1][1]
    if high <= low:
        return float("nan"), float("nan"), float("nan"), float("nan")
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in zip(points, points[1:]))

    def cpt(part):
        want = low + part * (high - low)
        for a, b in zip(points, points[1:]):
            if b[1] >= want:
                return 100 * (a[0] + (b[0] - a[0]) * max(0, want - a[1]) / max(1e-12, b[1] - a[1]))
        return float("nan")

    hull = []
    for p in points:
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (p[0] - hull[-2][0]) <= \
                (p[1] - hull[-2][1]) * (hull[-1][0] - hull[-2][0]):
            hull.pop()
        hull.append(p)
    aiq = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in zip(hull, hull[1:]))
    return (area - low) / (high - low), cpt(0.5), cpt(0.8), aiq


def show_curve(name, f):
    print("  %-22s %6.3f %6.1f %6.1f %7.4f" % (name, *f))


def of_task(name, model, calls):
    """Figures of one task's held-out calls."""
    n = len(calls)
    slm = [float(c["alone"] == c["right"]) for c in calls]
    mixed = [float(c["got"] == c["right"]) for c in calls]
    kept = [c for c in calls if c["went"] == "slm"]
    print("task %s, model %s: %d held-out calls" % (name, model, n))
    print("  kept %.1f %% (right: %s of %d), quality of the mix %.1f %%, of the model alone %.1f %%, of the LLM 100"
          % (100 * len(kept) / n, sum(c["got"] == c["right"] for c in kept), len(kept), 100 * sum(mixed) / n,
             100 * sum(slm) / n))
    print("  reasons: " + ", ".join("%s %d" % x for x in collections.Counter(c["reason"] for c in calls).most_common()))
    known = [(c, s) for c, s in zip(calls, slm) if c["p"] is not None]
    p, wrong = [c["p"] for c, _ in known], [1 - s for _, s in known]
    before = [1 - c["chance"] for c, _ in known]
    if not known:
        return
    print("  P(wrong), %d calls: ECE before %.3f, after %.3f" % (len(known), ece(before, wrong), ece(p, wrong)))
    print("  %-22s   APGR  CPT50  CPT80     AIQ" % "router")
    right, one = [s for _, s in known], [1.0] * len(known)
    show_curve("calibrated", figures(curve(p, right, one)))
    show_curve("mean chance of tokens", figures(curve(before, right, one)))
    sums = [0.0] * 4
    for seed in range(20):
        draw = random.Random(seed)
        for i, v in enumerate(figures(curve([draw.random() for _ in p], right, one))):
            sums[i] += v / 20
    show_curve("random, mean of 20", sums)


def main():
    calls = read_calls()
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), LLM)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    upstream = "http://127.0.0.1:%d" % origin.server_port
    champions = {t: (name, model, m) for t, name, model, m in read_store(
        STORE, "SELECT t.id, t.name, m.name, m.id FROM champion c JOIN task t ON t.id = c.task "
        "JOIN model m ON m.id = c.model")}
    last = read_store(STORE, "SELECT coalesce(max(id), 0) FROM decision")[0][0]
    with tempfile.TemporaryDirectory() as d:
        p, url = serve(STORE, upstream, os.path.join(d, "said"))
        for c in calls:
            c["route"], body = ask(url, c["request"])
            c["got"] = plain(message(body))
        stop(p)
        rows = read_store(STORE, "SELECT went, reason, task, decide_ns FROM decision WHERE id > ? ORDER BY id", last)
        if len(rows) != len(calls):
            sys.exit("%d decisions of %d calls" % (len(rows), len(calls)))
        for c, (c["went"], c["reason"], c["task"], c["ns"]) in zip(calls, rows):
            pass
        shutil.copytree(STORE, os.path.join(d, "alone"))
        with sqlite3.connect(os.path.join(d, "alone", "store.db")) as db:
            for model, data in db.execute("SELECT model, data FROM calibration").fetchall():
                db.execute("UPDATE calibration SET data = ? WHERE model = ?", (keep_all(data), model))
            db.execute("DELETE FROM route")
            db.execute("DELETE FROM decision")
        p, url = serve(os.path.join(d, "alone"), upstream, os.path.join(d, "said"))
        routed = [c for c in calls if c["task"] in champions and c["reason"] in ASKED]
        for c in routed:
            alone_of(url, c)
        stop(p)
        sure = read_store(os.path.join(d, "alone"), "SELECT p_error FROM decision ORDER BY id")
        for c, (c["p"],) in zip(routed, sure):
            pass
        routed = [c for c in routed if c["alone"] is not None]
    ns = sorted(c["ns"] for c in calls)
    print("A test of the plumbing: tiny models, trained for a minute; right is what equals the log.")
    print("%d held-out calls, %d tasks with a champion; decisions: p50 %.1f us, p95 %.1f us"
          % (len(calls), len(champions), ns[len(ns) // 2] / 1e3, ns[len(ns) * 95 // 100] / 1e3))
    went = collections.Counter((c["went"], c["reason"]) for c in calls)
    print("went: " + ", ".join("%s/%s %d" % (*k, v) for k, v in went.most_common()))
    loops = [c for c in calls if c["request"]["messages"][-1]["role"] == "tool"]
    print("tool loops: %d of these calls go on after a tool's result (its conversations are single calls), %d switches"
          % (len(loops), sum(c["went"] == "slm" for c in loops)))
    wrong_llm = sum(c["went"] != "slm" and c["got"] != c["right"] for c in calls)
    print("answers of the LLM that came through otherwise than logged: %d" % wrong_llm)
    for t, (name, model, _) in sorted(champions.items()):
        mine = [c for c in routed if c["task"] == t]
        if mine:
            of_task(name, model, mine)
    sys.exit(1 if wrong_llm else 0)


def alone_of(url, c):
    """The champion's own answer, and the mean chance of its tokens; None where
    it gave none that can be used."""
    route, body = ask(url, {**c["request"], "logprobs": True})
    if not route.startswith("slm"):
        c["alone"] = None
        return
    c["alone"] = plain(message(body))
    content = (body["choices"][0].get("logprobs") or {}).get("content") or []
    c["chance"] = math.exp(sum(t["logprob"] for t in content) / len(content)) if content else 0.0


main()
