#!/usr/bin/env python3
"""What curate --filter leaves usable of agents' logs, before and after.

    SLMCTL=build/release/slmctl SLMCTL_REFERENCE=DIR \
        python3 tests/reference/pii_usable.py [PART...] [--examples N]

PARTs: tau, agentmix, metagpt (tool-call arguments that agree with the prompt
that they copy from; queries that SQLite takes; labels of classifiers; share of
words changed), repeats (duplicates against the lines marked as repeats, and
what straddles splits), demo (planted values of the agent's logs in
data/agent). Default: all. Needs python3, sqlite3 in it, zstd.
"""
import argparse
import json
import os
import re
import sqlite3
import subprocess
import tempfile
from collections import Counter, defaultdict

from pii_common import (WORD, curate_filter, data_path, leaves, program,
                        read_bytes, span_text)

TABLE = re.compile(r"^\s*([A-Za-z_]\w*)\((.+)\)\s*$", re.M)


def messages(call):
    return call["request"].get("messages") or []


def answer(call):
    choices = call["response"].get("choices") or [{}]
    return choices[0].get("message") or {}


def prompt_text(call):
    """All that the answer could copy from; nested JSON undone."""
    out = []
    for _, v in leaves([messages(call), call["request"].get("tools") or []]):
        out.append(str(v))
        if isinstance(v, str) and v[:1] in "{[":
            try:
                out.extend(str(x) for _, x in leaves(json.loads(v)))
            except ValueError:
                pass
    return "\n".join(out)


def arguments(call):
    """[(path, value)] of all tool calls of the answer, in their order; None
    where the JSON of one cannot be read."""
    found = []
    for i, t in enumerate(answer(call).get("tool_calls") or []):
        try:
            args = json.loads(t["function"]["arguments"])
        except ValueError:
            return None
        for path, v in leaves(args):
            found.append(((i,) + path, v))
    return found


def copied(value, text):
    value = str(value)
    return len(value) >= 3 and value in text


def agreement(before, after, kept, broken):
    old, new = arguments(before), arguments(after)
    if old is None:
        return
    text, clean = prompt_text(before), prompt_text(after)
    # By order: a name that is a key has another one's name afterwards, which
    # the prompt must hold, too.
    for (path, v), (place, now) in zip(old, new or [((), None)] * len(old)):
        if not copied(v, text):
            continue
        kept[0] += 1
        keys = [k for was, k in zip(path, place) if was != k]
        if copied(now, clean) and all(copied(k, clean) for k in keys):
            kept[1] += 1
        else:
            broken.append((path[-1], v, now))


def schema_of(call):
    return [(t, [c.split()[0].strip('"') for c in cols.split(",")])
            for t, cols in TABLE.findall(str(messages(call)[-1]["content"]))]


def sql_is_good(call):
    db = sqlite3.connect(":memory:")
    try:
        for table, columns in schema_of(call):
            names = ", ".join(f'"{c}"' for c in dict.fromkeys(columns))
            db.execute(f'CREATE TABLE "{table}"({names})')
        db.execute("EXPLAIN " + answer(call)["content"].rstrip("; \n"))
        return True
    except (sqlite3.Error, sqlite3.Warning):
        return False
    finally:
        db.close()


class Changes:
    """Words that spans cover, and the texts of the spans."""

    def __init__(self):
        self.words = self.covered = self.spans = 0
        self.texts = defaultdict(Counter)
        self.where = {}
        self.systems, self.changed_systems = set(), {}

    def add(self, call, spans):
        self.words += sum(len(WORD.findall(str(v))) for _, v in leaves(call))
        self.spans += len(spans)
        for s in spans:
            text = span_text(call, s)
            if text is None:
                text = "(key) " + s["pointer"]
            self.covered += len(WORD.findall(text))
            self.texts[s["rule"]][text] += 1
            self.where.setdefault((s["rule"], text), s["pointer"])

    def report(self, name, show):
        print(f"{name}: {self.spans} spans over {self.covered} of "
              f"{self.words} words: {100 * self.covered / self.words:.2f} %")
        for rule, c in sorted(self.texts.items(),
                              key=lambda x: -sum(x[1].values())):
            few = ", ".join(f"{t[:50]!r} {n}" for t, n in c.most_common(show))
            print(f"  {rule}: {sum(c.values())} ({len(c)} values) {few}")
        print(f"{name}: {len(self.changed_systems)} of {len(self.systems)} "
              "system prompts changed")
        for old, new in list(self.changed_systems.items())[:show]:
            a = next((i for i, (x, y) in enumerate(zip(old, new)) if x != y),
                     0)
            print(f"  {old[max(0, a - 30):a + 50]!r} became "
                  f"{new[max(0, a - 30):a + 50]!r}")

    def system(self, before, after):
        for a, b in zip(messages(before), messages(after)):
            if a["role"] == "system" and isinstance(a["content"], str):
                self.systems.add(a["content"])
                if a["content"] != b["content"]:
                    self.changed_systems[a["content"]] = b["content"]


def is_chat(call):
    return isinstance(call.get("response"), dict) and answer(call)


def passes(lines):
    """(call, scrubbed call, spans) of each line that is a chat with an answer;
    a line that was left out ends the run."""
    clean = curate_filter(lines, named_key=True)
    spans = curate_filter(lines, "--spans", named_key=True)
    assert len(lines) == len(clean) == len(spans), "lines were left out"
    for a, b, s in zip(lines, clean, spans):
        yield json.loads(a), json.loads(b), json.loads(s)["spans"]


def report_agreement(name, kept, broken, show):
    print(f"{name}: tool-call arguments copied from the prompt: {kept[0]}, "
          f"of which agree after: {kept[1]}")
    for key, old, new in broken[:show]:
        print(f"  {key}: {old!r} became {new!r}")


def log_lines(path):
    return [x for x in read_bytes(path).split(b"\n") if x.strip()]


def plain_log(name, file, show):
    path = data_path("agent-logs/" + file)
    if not path:
        return True
    kept, broken, changes = [0, 0], [], Changes()
    for a, b, spans in passes(log_lines(path)):
        changes.add(a, spans)
        if is_chat(a):
            agreement(a, b, kept, broken)
            changes.system(a, b)
    report_agreement(name, kept, broken, show)
    changes.report(name, show)
    return kept[0] == kept[1]


def few_answers(rows, labels):
    """Tasks whose answers repeat: classifiers by another name."""
    by = defaultdict(Counter)
    for i, (a, _, _) in enumerate(rows, 1):
        if labels[i][3] == "ok" and is_chat(a):
            by[labels[i][1]][answer(a).get("content")] += 1
    return {t for t, c in by.items() if sum(c.values()) >= 20 * len(c)}


def read_labels():
    path = data_path("agent-logs/agentmix.labels.tsv.zst")
    rows = read_bytes(path).decode().splitlines()[1:] if path else []
    return {int(r.split("\t")[0]): r.split("\t") for r in rows}


def agentmix(show):
    path, labels = data_path("agent-logs/agentmix.jsonl.zst"), read_labels()
    if not path or not labels:
        return True
    rows = list(passes(log_lines(path)))
    few = few_answers(rows, labels)
    kept, broken, changes = [0, 0], [], Changes()
    sql, label, other, bad = [0, 0], [0, 0], [0, 0], []
    for i, (a, b, spans) in enumerate(rows, 1):
        _, task, family, _ = labels[i]
        changes.add(a, spans)
        if not is_chat(a):
            continue
        changes.system(a, b)
        agreement(a, b, kept, broken)
        same = answer(a).get("content") == answer(b).get("content")
        if task == "sql-writer" and sql_is_good(a):
            sql[0] += 1
            sql[1] += sql_is_good(b)
        n = (label if family == "classification" else
             other if task in few else [0, 0])
        n[0] += 1
        n[1] += not same
        if not same and (n is label or n is other):
            bad.append((task, answer(a)["content"], answer(b)["content"]))
    report_agreement("agentmix", kept, broken, show)
    print(f"agentmix: queries that SQLite takes: {sql[0]}, of which after: "
          f"{sql[1]}")
    print(f"agentmix: labels of classifiers changed: {label[1]} of "
          f"{label[0]}; of {len(few)} tasks with few answers: {other[1]} of "
          f"{other[0]}")
    for x in bad[:show]:
        print("  ", x)
    changes.report("agentmix", show)
    return kept[0] == kept[1] and sql[0] == sql[1] and not label[1]


def curated_decisions(home, log):
    env = dict(os.environ, SLMCTL_STORE=os.path.join(home, "s"),
               XDG_CONFIG_HOME=home)
    subprocess.run([program(), "collect", "--import", log, "--quiet"],
                   env=env, check=True, stdout=subprocess.DEVNULL)
    p = subprocess.run([program(), "curate", "--quiet", "--decisions", "-"],
                       env=env, check=True, capture_output=True, text=True)
    rows = (x.split("\t") for x in p.stdout.splitlines())
    return {int(r[2]): r for r in rows}


def straddling(decisions, labels, lines):
    """Conversations and inputs that are in two splits."""
    talks, inputs = defaultdict(set), defaultdict(set)
    for i, line in enumerate(lines, 1):
        r = decisions.get(i)
        if not r or r[3] != "kept":
            continue
        call = json.loads(line)
        talk = call.get("conversation_id") or call.get("session_id")
        talks[(call.get("client_id"), talk)].add(r[5])
        inputs[json.dumps(messages(call))].add(r[5])
    return (sum(len(v) > 1 for v in talks.values()), len(talks),
            sum(len(v) > 1 for v in inputs.values()), len(inputs))


def repeats(show):
    path, labels = data_path("agent-logs/agentmix.jsonl.zst"), read_labels()
    if not path or not labels:
        return True
    lines = read_bytes(path).split(b"\n")
    while lines and not lines[-1]:
        lines.pop()
    with tempfile.TemporaryDirectory() as home:
        log = os.path.join(home, "log.jsonl")
        with open(log, "wb") as f:
            f.write(b"\n".join(lines) + b"\n")
        got = curated_decisions(home, log)
    near = {"duplicate", "near_duplicate", "retried"}
    marked = {i for i, r in labels.items() if r[3] == "repeat"}
    found = {i for i, r in got.items() if r[4] in near}
    print(f"agentmix: dropped as duplicates {len(found)}, marked as repeats "
          f"{len(marked)}, both {len(found & marked)}; reasons "
          f"{dict(Counter(r[4] for r in got.values()))}; of the repeats "
          f"{dict(Counter(got[i][4] for i in marked if i in got))}")
    for i in sorted(found - marked)[:show]:
        print("  not marked:", labels[i][1:],
              str(messages(json.loads(lines[i - 1]))[-1])[:120])
    talks, all_talks, same, all_same = straddling(got, labels, lines)
    print(f"agentmix: conversations in two splits {talks} of {all_talks}, "
          f"equal inputs {same} of {all_same}")
    return not talks and not same


def demo(show):
    root = os.path.join(os.path.dirname(__file__), "../../data/agent")
    lines = log_lines(os.path.join(root, "logs.jsonl.zst"))
    planted = [x for x in read_bytes(os.path.join(root, "planted.txt.zst"))
               .decode().split("\n") if x]
    parts = {p for v in planted for p in [v, *v.split(":")] if len(p) > 3}
    wrong, right, left = defaultdict(Counter), 0, Counter()
    for a, b, spans in passes(lines):
        for s in spans:
            text = span_text(a, s) or ""
            if any(text in p or p in text for p in parts if text):
                right += 1
            else:
                wrong[s["rule"]][text] += 1
        text = "\n".join(str(v) for _, v in leaves(b)).lower()
        old = "\n".join(str(v) for _, v in leaves(a)).lower()
        for p in planted:
            if p.lower() in old and p.lower() in text:
                left[p] += 1
    print(f"demo: planted values {len(planted)}, survivors {len(left)}; spans "
          f"on planted values {right}, elsewhere "
          f"{sum(sum(c.values()) for c in wrong.values())}")
    for rule, c in wrong.items():
        print(f"  elsewhere {rule}: {c.most_common(show or 3)}")
    return not left and not wrong


def main():
    parts = {
        "tau": lambda n: plain_log("tau-bench",
                                   "tau-bench-airline.jsonl.zst", n),
        "agentmix": agentmix,
        "metagpt": lambda n: plain_log("metagpt", "metagpt.jsonl.zst", n),
        "repeats": repeats,
        "demo": demo,
    }
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("part", nargs="*", help=", ".join(parts))
    a.add_argument("--examples", type=int, default=0)
    o = a.parse_args()
    good = [parts[name](o.examples) for name in o.part or list(parts)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    raise SystemExit(main())
