#!/usr/bin/env python3
"""Scores of curate --filter against labelled sets of personal data.

    SLMCTL=build/release/slmctl SLMCTL_REFERENCE=DIR \
        python3 tests/reference/pii_scores.py [SET...] [--examples N]

SETs: presidio (characters: P, R, F2 = 5PR/(4P+R) over all gold spans of all
types; recall by type, precision by rule, PERSON by words), datafog (negatives:
nothing may be found), privacylens (no user's name or e-mail may survive a
trajectory). Default: all. Needs python3, zstd.
"""
import argparse
import json
import random
from collections import Counter, defaultdict

from pii_common import (WORD, curate_filter, data_path, leaves, read_bytes)

PERSON = {"PERSON", "NAME", "PERSON_NAME"}


def f_two(p, r):
    return 5 * p * r / (4 * p + r) if p + r else 0.0


def char_spans(text, spans):
    """Spans in bytes as spans in characters."""
    at, n = {}, 0
    for i, c in enumerate(text):
        at[n] = i
        n += len(c.encode())
    at[n] = len(text)
    return [(at.get(s["start"], 0), at.get(s["end"], 0), s) for s in spans]


def words_in(text, spans):
    covered = set()
    for start, end in spans:
        covered.update(range(start, end))
    return {m.start() for m in WORD.finditer(text)
            if any(i in covered for i in range(m.start(), m.end()))}


class Presidio:
    def __init__(self, examples):
        self.show = examples
        self.tp = self.fp = self.fn = 0
        self.types = defaultdict(lambda: [0, 0])
        self.rules = defaultdict(lambda: [0, 0])
        self.person = [0, 0, 0]
        self.wrong, self.missed = defaultdict(list), defaultdict(list)

    def person_words(self, text, gold, got):
        want = words_in(text, [(g["start_position"], g["end_position"])
                               for g in gold if g["entity_type"] == "PERSON"])
        have = words_in(text, [(a, b) for a, b, s in got
                               if s["type"] in PERSON])
        self.person[0] += len(want & have)
        self.person[1] += len(have - want)
        self.person[2] += len(want - have)

    def add(self, text, gold, spans):
        got = char_spans(text, spans)
        found = set().union(*(range(a, b) for a, b, _ in got)) if got else set()
        real = set()
        for g in gold:
            r = set(range(g["start_position"], g["end_position"]))
            real |= r
            t = self.types[g["entity_type"]]
            t[0] += len(r & found)
            t[1] += len(r)
            if len(r & found) * 2 < len(r):
                self.missed[g["entity_type"]].append((g["entity_value"], text))
        for a, b, s in got:
            hit = len(set(range(a, b)) & real)
            self.rules[s["rule"]][0] += hit
            self.rules[s["rule"]][1] += b - a
            if hit * 2 < b - a:
                self.wrong[s["rule"]].append((text[a:b], text))
        self.tp += len(real & found)
        self.fp += len(found - real)
        self.fn += len(real - found)
        self.person_words(text, gold, got)

    def examples(self, title, lists):
        random.seed(1)
        for k, v in sorted(lists.items(), key=lambda x: -len(x[1])):
            print(f"  {title} {k}: {len(v)}")
            for value, text in random.sample(v, min(self.show, len(v))):
                print(f"      {value!r} in {text[:110]!r}")

    def report(self):
        p = self.tp / max(1, self.tp + self.fp)
        r = self.tp / max(1, self.tp + self.fn)
        print(f"presidio-synth-v2, characters: P {p:.3f} R {r:.3f} "
              f"F2 {f_two(p, r):.3f} (goal .80; Presidio untuned .618, "
              "tuned with a transformer .845)")
        hit, wrong, lost = self.person
        print(f"PERSON, words: P {hit / max(1, hit + wrong):.3f} "
              f"R {hit / max(1, hit + lost):.3f} (goal P .72, R .87)")
        print("| type | gold characters | recall |\n|---|---|---|")
        for k, v in sorted(self.types.items(), key=lambda x: -x[1][1]):
            print(f"| {k} | {v[1]} | {v[0] / max(1, v[1]):.2f} |")
        print("| rule | characters found | of gold |\n|---|---|---|")
        for k, v in sorted(self.rules.items(), key=lambda x: -x[1][1]):
            print(f"| {k} | {v[1]} | {v[0] / max(1, v[1]):.2f} |")
        if self.show:
            self.examples("wrong", self.wrong)
            self.examples("missed", self.missed)
        return f_two(p, r) >= .80


def presidio(show):
    path = data_path("pii/presidio-synth-v2.json.zst")
    if not path:
        return True
    rows = json.loads(read_bytes(path))
    texts = [x["full_text"].replace("\n", " ") for x in rows]
    out = curate_filter([t.encode() for t in texts], "--text", "--spans")
    score = Presidio(show)
    assert len(out) == len(rows)
    for text, row, line in zip(texts, rows, out):
        score.add(text, row["spans"], json.loads(line)["spans"])
    return score.report()


def datafog(show):
    path = data_path("pii/datafog/negative_cases.json")
    if not path:
        return True
    rows = json.loads(read_bytes(path))
    texts = [x["input"].replace("\n", " ") for x in rows]
    out = curate_filter([t.encode() for t in texts], "--text", "--spans")
    bad = [(t, json.loads(o)["spans"]) for t, o in zip(texts, out)]
    bad = [(t, s) for t, s in bad if s]
    print(f"DataFog negatives: {len(rows) - len(bad)} of {len(rows)} clean")
    for text, spans in bad[:show or None]:
        raw = text.encode()
        print("  ", [(s["rule"], raw[s["start"]:s["end"]].decode())
                     for s in spans], "in", repr(text[:100]))
    return not bad and len(out) == len(rows)


def privacylens(show):
    path = data_path("pii/privacylens.json.zst")
    if not path:
        return True
    rows = [x["trajectory"] for x in json.loads(read_bytes(path))]
    out = curate_filter([json.dumps(t, ensure_ascii=False).encode()
                         for t in rows])
    left, part, seen = [], Counter(), Counter()
    for t, line in zip(rows, out):
        text = "\n".join(str(v) for _, v in leaves(json.loads(line))).lower()
        before = "\n".join(str(v) for _, v in leaves(t)).lower()
        for what in ("user_name", "user_email"):
            seen[what] += before.count(t[what].lower())
            n = text.count(t[what].lower())
            if n:
                at = text.index(t[what].lower())
                left.append((what, t[what], n, text[max(0, at - 40):at + 60]))
        words = {w.lower() for w in WORD.findall(t["user_name"])
                 if len(w) > 2}
        have = Counter(WORD.findall(text))
        had = Counter(WORD.findall(before))
        for w in words:
            part["words of names before"] += had[w]
            part["after"] += have[w]
    print(f"PrivacyLens: {len(left)} survivors in {len(rows)} trajectories "
          f"({dict(seen)} before); {dict(part)}")
    for what, value, n, where in left[:show or None]:
        print(f"  {what} {value!r} x {n}: {where!r}")
    return not left and len(out) == len(rows)


def main():
    sets = {"presidio": presidio, "datafog": datafog,
            "privacylens": privacylens}
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("set", nargs="*", help=", ".join(sets))
    a.add_argument("--examples", type=int, default=0)
    o = a.parse_args()
    good = [sets[name](o.examples) for name in o.set or list(sets)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    raise SystemExit(main())
