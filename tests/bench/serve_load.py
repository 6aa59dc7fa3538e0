"""Clients of an OpenAI-type endpoint, all at once: requests a second.

usage: serve_load.py URL CALLS CLIENTS TOKENS SYSTEM-FILE MODEL[,MODEL...]
                        [KEY=JSON...]
Each call has the system prompt and a short text of its own; the models take
turns. KEY=JSON goes into each request (cache_prompt=false), KEY@=JSON, a list,
by turns as the models do. Prints calls a second, output tokens a second, the median latency in ms, and failures.
"""
import http.client
import json
import statistics
import sys
import threading
import time
import urllib.parse


def ask(connection, path, body):
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    text = reply.read()
    if reply.status != 200:
        raise RuntimeError(text[:200])
    return json.loads(text)


def client(numbers, url, system, tokens, models, extra, out):
    at = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=600)
    for i in numbers:
        body = json.dumps({
            "model": models[i % len(models)],
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": f"Call {i}: the parcel {i * 7919 % 100003} has "
                                            f"not come, where is it, and who has seen {i}?"},
            ],
            "max_tokens": tokens, "temperature": 0,
            **{k.rstrip("@"): v[i % len(models)] if k.endswith("@") else v
               for k, v in extra.items()}})
        began = time.monotonic()
        try:
            reply = ask(connection, at.path.rstrip("/") + "/chat/completions", body)
            out.append((time.monotonic() - began, reply["usage"]["completion_tokens"]))
        except Exception as why:  # a failure is counted, and told once
            if not any(x[1] is None for x in out):
                print(why, file=sys.stderr)
            out.append((0, None))
            connection.close()


def main():
    url, calls, clients, tokens, system, models = sys.argv[1:7]
    calls, clients, tokens = int(calls), int(clients), int(tokens)
    extra = {k: json.loads(v) for k, v in (x.split("=", 1) for x in sys.argv[7:])}
    with open(system, encoding="utf-8") as f:
        system = f.read()
    out = []
    threads = [threading.Thread(target=client, args=(
        range(k, calls, clients), url, system, tokens, models.split(","), extra, out))
        for k in range(clients)]
    began = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    took = time.monotonic() - began
    good = [x for x in out if x[1] is not None]
    print(f"{len(good) / took:.3f} {sum(x[1] for x in good) / took:.2f} "
          f"{statistics.median(x[0] for x in good) * 1000 if good else 0:.0f} "
          f"{len(out) - len(good)}")


main()
