#!/usr/bin/env python3
"""How far torch's own bf16 is from reference values: what a GPU's may be.

usage: bf16_errors.py MODELS [NAME...]

MODELS holds folders with config.json, model.safetensors and
expected.safetensors (input_ids, labels, logits, grad.*), made in float64. Each
is run by transformers with weights and activations in bf16. Prints a line per
model: the largest error of logits and of a gradient, relative to the largest
value of that tensor, as slmctl model check counts. tests/gpu/tolerances.txt
rests on it. Needs torch, transformers and safetensors.
"""

import pathlib
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM


def error(got, want):
    return ((got.double() - want.double()).abs().max() / want.abs().max()).item()


def run(folder):
    want = load_file(folder / "expected.safetensors")
    if "labels" not in want:
        return
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, attn_implementation="eager"
    )
    ids, labels = want["input_ids"].long(), want["labels"].long()
    logits = model(input_ids=ids, use_cache=False).logits.float()
    loss = torch.nn.functional.cross_entropy(
        logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1)
    )
    loss.backward()
    worst, at = 0.0, "none"
    for name, p in model.named_parameters():
        grad = want.get("grad." + name)
        if grad is not None and p.grad is not None:
            e = error(p.grad, grad)
            if e > worst:
                worst, at = e, name
    print(
        f"{folder.name:20} logits {error(logits.detach(), want['logits']):.4f}"
        f"  gradient {worst:.4f} {at}",
        flush=True,
    )


def main():
    models = pathlib.Path(sys.argv[1])
    names = sys.argv[2:] or sorted(p.name for p in models.iterdir())
    for name in names:
        try:
            run(models / name)
        except (ValueError, RuntimeError, KeyError, OSError) as e:
            print(f"{name:20} not run: {str(e).splitlines()[0][:90]}")


main()
