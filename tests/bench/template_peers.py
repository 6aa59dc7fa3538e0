#!/usr/bin/env python3
"""template_peers.py TEMPLATE LOG TAKEN - jinja2's MB/s of rendered text

The environment is that of transformers' apply_chat_template; the calls are the
lines of LOG whose numbers TAKEN holds, parsed beforehand; LOG is a JSON Lines
file as it is. CPU time, the median of three passes. One line: name, MB/s,
bytes.
"""
import json
import sys
import time

from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


def main():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[loopcontrols])
    env.filters["tojson"] = lambda x, **k: json.dumps(
        x, ensure_ascii=False, **k)
    env.globals["strftime_now"] = time.strftime

    def raise_exception(message):
        raise ValueError(message)
    env.globals["raise_exception"] = raise_exception
    t = env.from_string(open(sys.argv[1], encoding="utf-8").read())
    taken = {int(n) for n in open(sys.argv[3])}
    calls = [json.loads(line)["request"]
             for i, line in enumerate(open(sys.argv[2], encoding="utf-8"))
             if i in taken]
    took, size = [], 0
    for _ in range(3):
        start = time.process_time()
        texts = []
        for c in calls:
            try:
                texts.append(t.render(messages=c["messages"],
                                      tools=c.get("tools"), documents=None,
                                      bos_token="", eos_token="",
                                      add_generation_prompt=True))
            except Exception:  # what our own reading of the call mends
                pass
        took.append(time.process_time() - start)
        size = sum(len(x.encode()) for x in texts)
    print("jinja2\t%.2f\t%d" % (size / sorted(took)[1] / 1e6, size))


main()
