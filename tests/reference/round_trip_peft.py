#!/usr/bin/env python3
"""Adapters and merged models of slmctl, loaded by transformers and PEFT.

usage: round_trip_peft.py SLMCTL MODELS TOKENIZER WORK TASK [NAME...]
(needs torch, transformers, peft, safetensors)

MODELS holds model directories, TOKENIZER a directory with tokenizer.json and
chat_template.jinja for them, WORK is for what is made. SLMCTL_STORE names a
store with the task TASK. For each model and method: a few steps of `finetune`;
logits of PEFT in float64 over random ids become expected.safetensors beside
the adapter, which `model check` compares; `model merge` must give a directory
whose logits in transformers are those of PEFT.
One line each: model, method, error of the adapter, of the merged directory,
both relative to the largest logit.
"""
import json
import os
import shutil
import subprocess
import sys

import torch
import transformers
from peft import LoraConfig, PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

METHODS = {
    "lora": ["--method", "lora"],
    "rslora": ["--method", "rslora", "--alpha", "5"],
    "dora": ["--method", "dora"],
    "some": ["--method", "lora"],  # two kinds of layers only
}
LIMIT = 1e-4
transformers.utils.logging.disable_progress_bar()


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 1) or not done.stdout:
        raise SystemExit(f"{' '.join(command)}: {done.returncode}\n"
                         f"{done.stdout}{done.stderr}")
    return done.stdout


def logits_of(model, ids):
    with torch.no_grad():
        return model.double().eval()(ids).logits.float()


def relative(a, b):
    return ((a - b).abs().max() / b.abs().max()).item()


def compare(slmctl, base, method, work, task):
    adapter, merged = f"{work}/{method}", f"{work}/{method}-merged"
    for path in adapter, f"{adapter}.run", merged:
        shutil.rmtree(path, ignore_errors=True)
    targets = "all-linear"
    if method == "some":
        with open(f"{work}/lora/adapter_config.json") as f:
            targets = ",".join(json.load(f)["target_modules"][0:3:2])
    run(slmctl, "finetune", "-q", "--json", "--task", task, "--force",
        "--model", base, "--rank", "5", "--tokens", "6000", "--batch-tokens",
        "500", "--output", adapter, "--targets",
        targets, "--as", f"{os.path.basename(work)}-{method}", *METHODS[method])
    with open(f"{adapter}/adapter_config.json") as f:
        LoraConfig(**json.load(f))
    torch.manual_seed(3)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32,
                                                 attn_implementation="eager")
    ids = torch.randint(0, plain.config.vocab_size, (2, 37))
    before = logits_of(plain, ids)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32,
                                                 attn_implementation="eager")
    peft = PeftModel.from_pretrained(plain, adapter)
    want = logits_of(peft, ids)
    for place, logits in (base, before), (adapter, want):
        save_file({"input_ids": ids.int(), "labels": ids.int(),
                   "logits": logits.contiguous()},
                  f"{place}/expected.safetensors")
        with open(f"{place}/expected.json", "w") as f:
            f.write("{}")
    out = run(slmctl, "model", "check", "--json", base, "--adapter", adapter)
    error = [q["error"] for q in json.loads(out)["quantities"]
             if q["quantity"] == "logits"][0]
    run(slmctl, "model", "merge", "-q", "--json", base, "--adapter", adapter,
        "--type", "F32", "--output", merged)
    again = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32,
                                                 attn_implementation="eager")
    return error, relative(logits_of(again, ids), want), relative(want, before)


def main():
    slmctl, models, tokenizer, work, task, *names = sys.argv[1:]
    worst = 0
    for name in names or sorted(os.listdir(models)):
        base = f"{work}/{name}/base"
        os.makedirs(base, exist_ok=True)
        for folder in f"{models}/{name}", tokenizer:
            for file in os.listdir(folder):
                if os.path.isfile(f"{folder}/{file}") and \
                        not file.startswith("expected"):
                    shutil.copyfile(f"{folder}/{file}", f"{base}/{file}")
        for method in METHODS:
            try:
                row = compare(slmctl, base, method, f"{work}/{name}", task)
            except (Exception, SystemExit) as e:
                print(f"{name}\t{method}\tFAILED {type(e).__name__}: "
                      f"{str(e)[:600]}", flush=True)
                worst = 1
                continue
            worst = max(worst, *row[:2])
            print(f"{name}\t{method}\tadapter {row[0]:.1e}\tmerged "
                  f"{row[1]:.1e}\t(training moved {row[2]:.1e})", flush=True)
    sys.exit(worst > LIMIT)


main()
