#!/usr/bin/env python3
"""near_duplicates.py SLMCTL LOG LABELS - which repeated calls curate drops

LOG is JSON Lines in the exchange format, LABELS a table of line, task, family,
kind; calls of kind "repeat" were asked before. Precision and recall of what is
dropped as duplicate or near_duplicate against that, first of the log as it is,
then with copies of its longer calls in which case or punctuation ("case"), one
word ("word") or half of the words ("far") were changed, with the same answer.
Also: is any cluster, conversation or input in two splits?
"""
import collections
import json
import os
import random
import subprocess
import sys
import tempfile


def curate(slmctl, lines, scratch):
    store = os.path.join(scratch, "store%d" % len(os.listdir(scratch)))
    log = store + ".jsonl"
    with open(log, "w", encoding="utf-8") as f:
        f.writelines(lines)
    env = dict(os.environ, XDG_CONFIG_HOME=scratch)
    run = lambda *a: subprocess.run(
        [slmctl, *a], env=env, check=True, capture_output=True, text=True).stdout
    run("collect", "-q", "--store", store, "--import", log)
    summary = json.loads(run("curate", "--store", store, "--json"))
    table = run("curate", "--store", store, "--decisions", "-")
    rows = (line.split("\t") for line in table.splitlines())
    return {int(r[2]): r[4] for r in rows}, summary


def changed(text, how, rng):
    words = text.split(" ")
    if how == "word":
        words[rng.randrange(len(words))] += " please"
        return " ".join(words)
    if how == "case":
        words[rng.randrange(len(words))] += rng.choice([",", "!", " -"])
        return text[:1].swapcase() + " ".join(words)[1:]
    for i in rng.sample(range(len(words)), len(words) // 2):
        words[i] = "w%d" % rng.randrange(10**6)
    return " ".join(words)


def add_copies(lines, kinds, rng):
    """Behind the log, in a conversation and of a client of their own."""
    usable = []
    for n, line in enumerate(lines, 1):
        messages = json.loads(line)["request"].get("messages", [])
        if (kinds[n] == "ok" and messages and
                isinstance(messages[-1].get("content"), str) and
                len(messages[-1]["content"].split(" ")) >= 50):
            usable.append(n)
    out, kinds = list(lines), dict(kinds)
    for n in rng.sample(usable, min(1000, len(usable))):
        call = json.loads(lines[n - 1])
        how = rng.choice(["case", "word", "far"])
        last = call["request"]["messages"][-1]
        last["content"] = changed(last["content"], how, rng)
        call.update(client_id="copy", conversation_id="copy%d" % n)
        call["response"]["id"] = "copy%d" % n
        out.append(json.dumps(call) + "\n")
        kinds[len(out)] = how
    return out, kinds


def score(name, decisions, kinds, wanted):
    said = {n for n, why in decisions.items()
            if why in ("duplicate", "near_duplicate")}
    gold = {n for n, kind in kinds.items() if kind in wanted}
    table = collections.Counter(
        (kinds[n], decisions[n]) for n in said if n in kinds)
    hit = len(said & gold)
    asked = collections.Counter(k for k in kinds.values() if k != "ok")
    print("%s: precision %.3f recall %.3f; %s" % (
        name, hit / max(1, len(said)), hit / max(1, len(gold)),
        ", ".join("%s as %s %d of %d" % (k, d, c, asked[k] or len(kinds))
        for (k, d), c in sorted(table.items()))))


def main():
    slmctl, log, labels = sys.argv[1:]
    with open(log, encoding="utf-8") as f:
        lines = f.readlines()
    with open(labels, encoding="utf-8") as f:
        kinds = {int(l.split("\t")[0]): l.rstrip("\n").split("\t")[3]
                 for l in list(f)[1:]}
    with tempfile.TemporaryDirectory() as scratch:
        for name, (text, gold), wanted in (
                ("as it is", (lines, kinds), {"repeat"}),
                ("with copies", add_copies(lines, kinds, random.Random(1)),
                 {"repeat", "case", "word"})):
            decisions, summary = curate(slmctl, text, scratch)
            score(name, decisions, gold, wanted)
            print("   in two splits:", summary["straddling"],
                  "of %d clusters" % summary["clusters"])


main()
