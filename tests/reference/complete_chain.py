#!/usr/bin/env python3
"""Messages to prompt, ids, greedy ids and text, against expected.json.

usage: complete_chain.py SLMCTL DIR...

Each DIR is a complete model directory with an expected.json of cases:
messages, tools, prompt_text, prompt_ids, greedy32_ids, greedy32_text.
"""
import json
import subprocess
import sys


def run(*command, text):
    return subprocess.run(command, input=text.encode(), check=True,
                          capture_output=True).stdout.decode()


def line(slmctl, verb, folder, value, *more):
    return json.loads(run(slmctl, "model", verb, *more, folder,
                          text=json.dumps(value) + "\n"))


def chain(slmctl, folder, case):
    context = {"messages": case["messages"], "add_generation_prompt": True}
    if case.get("tools"):
        context["tools"] = case["tools"]
    out = run(slmctl, "generate", "--raw", "--temperature", "0", "-n", "32",
              "--logprobs", "-m", folder, "-", text=case["prompt_text"])
    return {
        "prompt_text": line(slmctl, "template", folder,
                            {"context": context})["output"],
        "prompt_ids": line(slmctl, "tokenize", folder,
                           {"text": case["prompt_text"]})["ids"],
        "greedy32_ids": [json.loads(x)["id"] for x in out.splitlines()],
        "greedy32_text": line(slmctl, "tokenize", folder,
                              {"ids": case["greedy32_ids"]},
                              "--decode")["text"],
    }


def main():
    slmctl, *folders = sys.argv[1:]
    failed = 0
    for folder in folders:
        with open(f"{folder}/expected.json") as f:
            cases = json.load(f)["cases"]
        for number, case in enumerate(cases):
            got = chain(slmctl, folder, case)
            wrong = [name for name in got if got[name] != case[name]]
            failed += len(wrong) > 0
            print(f"{folder}\t{number}\t{' '.join(wrong) or 'equal'}")
    sys.exit(failed > 0)


main()
