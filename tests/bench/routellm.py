#!/usr/bin/env python3
"""The answers that RouteLLM published, as JSON lines for bench_routellm.

usage: routellm.py EVALS GSM8K.jsonl MMLU.jsonl
EVALS is the directory routellm/evals of its repository. Prompts that stand in
the training data of its routers (contaminated_prompts.jsonl) are left out, as
its own evaluation does.
"""
import csv
import json
import pathlib
import sys

WEAK, STRONG = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"


def contaminated(folder):
    with open(folder / "contaminated_prompts.jsonl", encoding="utf-8") as f:
        return {json.loads(line)["eval_prompt"] for line in f}


def convert(files, drop, path):
    rows = 0
    with open(path, "w", encoding="utf-8") as out:
        for name in files:
            with open(name, encoding="utf-8", newline="") as f:
                for row in csv.DictReader(f):
                    if row["prompt"] in drop:
                        continue
                    rows += 1
                    print(json.dumps({
                        "group": name.stem, "text": row["prompt"],
                        "weak": int(row[WEAK] == "True"),
                        "strong": int(row[STRONG] == "True")}), file=out)
    print(f"{path.name}: {rows} prompts")


def main():
    csv.field_size_limit(1 << 24)
    evals = pathlib.Path(sys.argv[1])
    for name, files, path in (
            ("gsm8k", ["gsm8k_responses.csv"], sys.argv[2]),
            ("mmlu", sorted((evals / "mmlu/responses").glob("mmlu_*.csv")),
             sys.argv[3])):
        folder = evals / name
        convert([folder / f for f in files], contaminated(folder),
                pathlib.Path(path))


main()
