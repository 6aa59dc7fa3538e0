#!/usr/bin/env python3
"""Adapters of every kind that PEFT makes, read by slmctl.

usage: peft_details.py SLMCTL MODELS WORK [CASE...]
(needs torch, transformers, peft, safetensors)

MODELS holds model directories (llama, nemotron-h...), WORK is for what is
made. Each case is an adapter that PEFT saved, with random values in all of
it, over the first model named; logits of PEFT in float64 are what `model
check` has to reach, and what the directory that `model merge` writes has to
give in transformers. Cases that slmctl refuses say so by the name of the
field. One line each.
"""
import json
import os
import shutil
import subprocess
import sys

import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

LIMIT = 1e-4
transformers.utils.logging.disable_progress_bar()
ATTENTION = ["q_proj", "v_proj"]

# Name: model, fields of LoraConfig, word of the refusal or None.
CASES = {
    "plain": ("llama", dict(target_modules=ATTENTION), None),
    "rslora+dora": ("llama", dict(target_modules=ATTENTION, use_rslora=True,
                                  use_dora=True), None),
    "layers": ("qwen2", dict(target_modules=ATTENTION,
                             layers_to_transform=[0]), None),
    "layers-pattern": ("qwen2", dict(target_modules=ATTENTION,
                                     layers_to_transform=[1],
                                     layers_pattern="layers"), None),
    "regex": ("llama", dict(
        target_modules=r".*\.(0|1)\.(self_attn\.[qk]_proj|mlp\.up_proj)"),
        None),
    "all-linear": ("qwen2", dict(target_modules="all-linear"), None),
    "exclude": ("llama", dict(target_modules="all-linear",
                              exclude_modules=r".*\.(v_proj|down_proj)"),
                None),
    "exclude-list": ("llama", dict(target_modules="all-linear",
                                   exclude_modules=["o_proj"]), None),
    "patterns": ("llama", dict(
        target_modules=["q_proj", "k_proj", "down_proj"],
        rank_pattern={r"layers\.0\..*q_proj": 3, "down_proj": 7},
        alpha_pattern={"k_proj": 5, r"^model\.layers\.1\.mlp.*": 3}), None),
    "patterns-rslora-dora": ("qwen2", dict(
        target_modules=["q_proj", "k_proj", "down_proj"], use_rslora=True,
        use_dora=True, rank_pattern={"q_proj": 2},
        alpha_pattern={"down_proj": 9}), None),
    "fan-in": ("llama", dict(target_modules=ATTENTION, fan_in_fan_out=True),
               None),
    "save-norms": ("llama-untied-biased", dict(
        target_modules=ATTENTION, modules_to_save=["input_layernorm"]), None),
    "save-head": ("llama-untied-biased", dict(
        target_modules=ATTENTION, modules_to_save=["lm_head",
                                                   "embed_tokens"]), None),
    "save-tied-embedding": ("llama", dict(
        target_modules=ATTENTION, modules_to_save=["embed_tokens"]), None),
    "save-tied-head": ("llama", dict(
        target_modules=ATTENTION, modules_to_save=["lm_head"]), None),
    "save-linear": ("qwen2", dict(target_modules=ATTENTION,
                                  modules_to_save=["down_proj"]), None),
    "gaussian": ("llama", dict(target_modules=ATTENTION,
                               init_lora_weights="gaussian"), None),
    "nemotron": ("nemotron-h", dict(target_modules=["q_proj", "up_proj",
                                                    "in_proj"]), None),
    "nemotron-backbone": ("nemotron-h", dict(
        target_modules=["q_proj", "up_proj", "in_proj"],
        rank_pattern={"up_proj": 3}), None),
    "embedding": ("llama-untied-biased", dict(
        target_modules=["q_proj", "embed_tokens"]), "embed_tokens"),
    "head": ("llama-untied-biased", dict(target_modules=["q_proj",
                                                         "lm_head"]),
             "lm_head"),
    "lora-bias": ("llama-untied-biased", dict(target_modules=ATTENTION,
                                              lora_bias=True), "lora_bias"),
    "token-indices": ("llama-untied-biased", dict(
        target_modules=ATTENTION, trainable_token_indices=[1, 2]),
        "trainable_token_indices"),
    "bias": ("qwen2", dict(target_modules=ATTENTION, bias="lora_only"),
             "bias"),
    "pissa": ("llama", dict(target_modules=ATTENTION,
                            init_lora_weights="pissa"), "init_lora_weights"),
    "replication": ("llama", dict(target_modules=ATTENTION,
                                  layer_replication=[[0, 2], [1, 2]]),
                    "layer_replication"),
}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def load(path):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32,
                                                attn_implementation="eager")


def logits_of(model, ids):
    with torch.no_grad():
        return model.double().eval()(ids).logits.float()


def base_in(models, name, work):
    """A copy whose expected.safetensors has the ids to compare on."""
    path = f"{work}/base-{name}"
    if os.path.isdir(path):
        return path
    os.makedirs(path)
    for file in "config.json", "model.safetensors":
        shutil.copyfile(f"{models}/{name}/{file}", f"{path}/{file}")
    model = load(path)
    torch.manual_seed(3)
    ids = torch.randint(0, model.config.vocab_size, (2, 21))
    expect(path, ids, logits_of(model, ids))
    return path


def expect(path, ids, logits):
    save_file({"input_ids": ids.int(), "labels": ids.int(),
               "logits": logits.contiguous()}, f"{path}/expected.safetensors")
    with open(f"{path}/expected.json", "w") as f:
        f.write("{}")


def make(base, fields, out):
    """Save an adapter with random values; its logits."""
    torch.manual_seed(7)
    model = get_peft_model(load(base), LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_alpha=6, **fields))
    for name, value in model.named_parameters():
        if value.requires_grad and "magnitude" not in name:
            value.data += 0.05 * torch.randn_like(value)
        elif value.requires_grad:
            value.data *= 1 + 0.2 * torch.rand_like(value)
    model.save_pretrained(out)
    ids = load_file(f"{base}/expected.safetensors")["input_ids"].long()
    return ids, logits_of(model, ids)


def backbone(path):
    """The names that the model's own code, not transformers, gives."""
    file = f"{path}/adapter_model.safetensors"
    save_file({k.replace("base_model.model.model.",
                         "base_model.model.backbone."): v
               for k, v in load_file(file).items()}, file)


def compare(slmctl, models, work, name):
    base, fields, refused = CASES[name]
    base, adapter = base_in(models, base, work), f"{work}/{name}"
    merged = f"{work}/{name}-merged"
    shutil.rmtree(adapter, ignore_errors=True)
    shutil.rmtree(merged, ignore_errors=True)
    ids, want = make(base, fields, adapter)
    if name.endswith("-backbone"):
        backbone(adapter)
    expect(adapter, ids, want)
    code, out, text = run(slmctl, "model", "check",
                          *([] if refused else ["--json"]), base, "--adapter",
                          adapter)
    if refused:
        right = code == 1 and refused in text and len(text.splitlines()) == 1
        return right, text.strip()
    if code not in (0, 1) or not out:
        return False, text.strip()
    error = [q["error"] for q in json.loads(out)["quantities"]
             if q["quantity"] == "logits"][0]
    code, _, text = run(slmctl, "model", "merge", "-q", "--json", base,
                        "--adapter", adapter, "--type", "F32", "--output",
                        merged)
    if code != 0:
        return False, text.strip()
    again = (logits_of(load(merged), ids) - want).abs().max() / \
        want.abs().max()
    return max(error, again) <= LIMIT, \
        f"adapter {error:.1e}\tmerged {again:.1e}"


def main():
    slmctl, models, work, *names = sys.argv[1:]
    bad = 0
    os.makedirs(work, exist_ok=True)
    for name in names or CASES:
        try:
            right, text = compare(slmctl, models, work, name)
        except Exception as e:  # the rest is still worth seeing
            right, text = False, f"{type(e).__name__}: {str(e)[:300]}"
        bad += not right
        print(f"{name}\t{'ok' if right else 'WRONG'}\t{text}", flush=True)
    sys.exit(bad > 0)


main()
