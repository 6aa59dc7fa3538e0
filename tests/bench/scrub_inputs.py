#!/usr/bin/env python3
"""scrub_inputs.py DIR REFERENCE - agents.jsonl and dense.jsonl in DIR.

From public data sets where REFERENCE is a folder of them, else made: the
shipped logs of the demo's agent, and sentences with a value each.
"""
import json
import os
import random
import subprocess
import sys


def unpacked(path):
    return subprocess.run(["zstd", "-q", "-dc", "--long=27", path],
                          check=True, capture_output=True).stdout


def made_sentences(n):
    r = random.Random(1)
    for i in range(n):
        phone = f"({r.randint(201, 989)}) {r.randint(220, 989)}-" \
                f"{r.randint(1000, 9999)}"
        card = " ".join(str(r.randint(1000, 9999)) for _ in range(4))
        yield (f"Ms. Nadia Kowalski{i} of {r.randint(1, 900)} Larch Street, "
               f"Dayton, OH {r.randint(20000, 90000)} called from {phone} "
               f"on {r.randint(1, 28)} May {r.randint(1990, 2020)} about card "
               f"{card}, SSN {r.randint(100, 600)}-45-{r.randint(1000, 9999)}; "
               f"write to nadia{i}@corvane.io from 81.{i % 250}.4.7.")


def main():
    out, root = sys.argv[1], sys.argv[2]
    here = os.path.dirname(os.path.abspath(__file__))
    logs = [os.path.join(root, "data/agent-logs", n) for n in
            ("agentmix.jsonl.zst", "tau-bench-airline.jsonl.zst")]
    dense = os.path.join(root, "data/pii/presidio-synth-v2.json.zst")
    if not root or not os.path.exists(dense):
        logs = [os.path.join(here, "../../data/agent/logs.jsonl.zst")]
        texts = list(made_sentences(20000))
    else:
        texts = [x["full_text"] for x in json.loads(unpacked(dense))] * 20
    with open(os.path.join(out, "agents.jsonl"), "wb") as f:
        for log in logs:
            f.write(unpacked(log))
    with open(os.path.join(out, "dense.jsonl"), "w") as f:
        for t in texts:
            f.write(json.dumps({"text": t}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
