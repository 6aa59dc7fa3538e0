"""retrain_month.py LOG GOLD DIR: thirty days of traffic of two tasks

From the agent's logs with the right answers, so that the LLM is one that makes
no errors: a first stock, some calls on each working day, none at weekends. From
DRIFT on, one of the tasks has another prompt; on BAD, a client logs many of its
calls with answers that are wrong. One file a day, which may be empty.
"""
import collections
import json
import os
import sys

FIRST = 1767225600  # Thursday, 1 January 2026
DAY = 86400
DAYS, DRIFT, BAD = 30, 12, 20
STOCK, DAILY, BATCH = 1800, 100, 1100
TASKS = {
    "You re-rank columns": "rank",
    "You are the table-name extractor": "extract",
}
NOTE = "%s (a column of the tables above, of which a thousand rows were looked at)"


def read(log, gold):
    right = {}
    with open(gold, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            right[row["id"]] = row["gold"]
    calls = collections.defaultdict(list)
    with open(log, encoding="utf-8") as lines:
        for line in lines:
            call = json.loads(line)
            system = call["request"]["messages"][0]["content"]
            name = next((v for k, v in TASKS.items() if system.startswith(k)), None)
            answer = right.get((call.get("response") or {}).get("id"))
            if not name or answer is None:
                continue
            call["response"]["choices"][0]["message"]["content"] = answer
            calls[name].append(call)
    return calls


def columns(call):
    """The lines of a prompt that name a column, and the rest."""
    text = call["request"]["messages"][-1]["content"]
    head, rest = text.split("\n\n", 1)
    return head.split("\n")[1:], rest


def lengthen(call):
    names, rest = columns(call)
    call["request"]["messages"][-1]["content"] = (
        "Columns:\n" + "\n".join(NOTE % name for name in names) + "\n\n" + rest
    )
    call["response"]["usage"]["prompt_tokens"] += 16 * len(names)


def falsify(call, number):
    names, _ = columns(call)
    message = call["response"]["choices"][0]["message"]
    wrong = [name for name in names if name != message["content"]]
    message["content"] = wrong[number % len(wrong)]
    call["client_id"] = "broken"


def works(day):
    return day == 1 or (day - 1 + 3) % 7 not in (5, 6)


def main():
    calls = read(sys.argv[1], sys.argv[2])
    out = sys.argv[3]
    for day in range(1, DAYS + 1):
        amount = STOCK if day == 1 else DAILY if works(day) else 0
        today = []
        for name in sorted(calls):
            for i in range(amount + (BATCH if (day, name) == (BAD, "rank") else 0)):
                call = calls[name].pop(0)
                if i >= amount:
                    falsify(call, i)
                if day >= DRIFT and name == "rank":
                    lengthen(call)
                today.append(call)
        path = os.path.join(out, "day-%02d.jsonl" % day)
        with open(path, "w", encoding="utf-8") as lines:
            for i, call in enumerate(today):
                call["timestamp"] = FIRST + (day - 1) * DAY + 28800 + i * 36000 / len(today)
                lines.write(json.dumps(call) + "\n")


main()
