#!/usr/bin/env python3
"""Adapters and merged models of slmctl, loaded by transformers and PEFT.

usage: round_trip_peft.py SLMCTL MODELS TOKENIZER WORK TASK [NAME...]
(needs torch, transformers, peft, safetensors)

MODELS holds model directories, TOKENIZER a directory with tokenizer.json and
chat_template.jinja for them, WORK is for what is made. SLMCTL_STORE names a
store with the task TASK. For each model and method: a few steps of `finetune`;
logits of PEFT in float64 over random ids become expected.safetensors beside
the adapter, which `model check` compares; `model merge` must give a directory
whose logits in transformers are those of PEFT. Methods that begin with "on-" go
on from an adapter of that kind that PEFT made, with random values in it.
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
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

METHODS = {
    "lora": ["--method", "lora"],
    "rslora": ["--method", "rslora", "--alpha", "5"],
    "dora": ["--method", "dora"],
    "rslora+dora": ["--method", "rslora+dora"],
    "some": ["--method", "lora"],  # two kinds of layers only
}
# Fields of LoraConfig; None of these names is in all families, so a case is
# left out where its modules are not there.
CONTINUED = {
    "on-rslora": {"use_rslora": True},
    "on-dora": {"use_dora": True},
    "on-rslora+dora": {"use_rslora": True, "use_dora": True},
    "on-patterns": {"rank_pattern": {r"layers\.0\..*": 2, "v_proj": 5},
                    "alpha_pattern": {"q_proj": 3}, "use_rslora": True},
    "on-layers": {"layers_to_transform": [0]},
    "on-saved": {"modules_to_save": ["norm"]},
    "on-saved-tied": {"modules_to_save": ["embed_tokens"]},
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


def begin(base, fields, out):
    torch.manual_seed(7)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    targets = [n.rsplit(".", 1)[1] for n, _ in plain.named_modules()
               if n.endswith(("q_proj", "v_proj", "down_proj"))]
    model = get_peft_model(plain, LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_alpha=6,
        target_modules=sorted(set(targets)),
        exclude_modules=".*(vision|visual).*", **fields))
    for name, value in model.named_parameters():
        if value.requires_grad and "magnitude" not in name:
            value.data += 0.05 * torch.randn_like(value)
        elif value.requires_grad:
            value.data *= 1 + 0.2 * torch.rand_like(value)
    model.save_pretrained(out)
    return out


def compare(slmctl, base, method, work, task):
    adapter, merged = f"{work}/{method}", f"{work}/{method}-merged"
    for path in adapter, f"{adapter}.run", merged:
        shutil.rmtree(path, ignore_errors=True)
    targets, options = "all-linear", METHODS.get(method)
    if method in CONTINUED:
        options = ["--adapter", begin(base, CONTINUED[method],
                                      f"{adapter}-begin")]
    if method == "some":
        with open(f"{work}/lora/adapter_config.json") as f:
            targets = ",".join(json.load(f)["target_modules"][0:3:2])
    run(slmctl, "finetune", "-q", "--json", "--task", task, "--force",
        "--model", base, "--rank", "5", "--tokens", "6000", "--batch-tokens",
        "500", "--output", adapter, "--targets",
        targets, "--as", f"{os.path.basename(work)}-{method}".replace("+", "-"), *options)
    with open(f"{adapter}/adapter_config.json") as f:
        LoraConfig(**json.load(f))
    torch.manual_seed(3)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32,
                                                 attn_implementation="eager")
    ids = torch.randint(0, plain.config.get_text_config().vocab_size, (2, 37))
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
        for method in [*METHODS, *CONTINUED]:
            try:
                row = compare(slmctl, base, method, f"{work}/{name}", task)
            except (Exception, SystemExit) as e:
                if type(e).__name__ == "NoMatchingPeftModuleError":
                    print(f"{name}\t{method}\tleft out: {e}"[:120])
                    continue
                print(f"{name}\t{method}\tFAILED {type(e).__name__}: "
                      f"{str(e)[:600]}", flush=True)
                worst = 1
                continue
            worst = max(worst, *row[:2])
            print(f"{name}\t{method}\tadapter {row[0]:.1e}\tmerged "
                  f"{row[1]:.1e}\t(training moved {row[2]:.1e})", flush=True)
    sys.exit(worst > LIMIT)


main()
