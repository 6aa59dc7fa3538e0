#!/usr/bin/env python3
"""Options of configurations that few checkpoints use, against transformers.

usage: family_details.py SLMCTL WORK [CASE...]
(needs torch, transformers, safetensors)

Each case is a tiny model of random weights that transformers saved. Logits,
loss and the gradient of every parameter, all in float64, are what `model
check` has to reach; a directory that `model merge` writes again must give the
same logits in transformers. Some cases have to be refused, by the word given.
One line each.
"""
import json
import os
import shutil
import subprocess
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

LIMIT, STEEP = 1e-4, 1e-3
transformers.utils.logging.disable_progress_bar()
SHAPE = dict(vocab_size=320, hidden_size=48, intermediate_size=80,
             num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, head_dim=12, max_position_embeddings=64,
             initializer_range=0.2)
VISION = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=1,
              num_attention_heads=2, image_size=28, patch_size=14)


def rope(kind, theta=10000.0, **more):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **more))


def llama(**more):
    return transformers.LlamaConfig(**{**SHAPE, **more})


def gemma3_whole():
    text = dict(SHAPE, query_pre_attn_scalar=12, sliding_window=8,
                layer_types=["sliding_attention"] * 2 + ["full_attention"])
    return transformers.Gemma3Config(
        text_config=text, vision_config=VISION, mm_tokens_per_image=4,
        image_token_index=319)


def mistral3_whole():
    return transformers.Mistral3Config(
        text_config=dict(SHAPE, model_type="mistral", sliding_window=None),
        vision_config=dict(VISION, model_type="pixtral", head_dim=16),
        image_token_index=319)


def qwen35_whole():
    text = dict(SHAPE, head_dim=16, linear_num_key_heads=2,
                linear_num_value_heads=4, linear_key_head_dim=8,
                linear_value_head_dim=8, full_attention_interval=3,
                rope_parameters=dict(
                    rope_type="default", rope_theta=10000.0,
                    partial_rotary_factor=0.25, mrope_interleaved=True,
                    mrope_section=[1, 1, 0]))
    return transformers.Qwen3_5Config(
        text_config=text, vision_config=dict(
            hidden_size=32, intermediate_size=48, depth=1, num_heads=2,
            out_hidden_size=48, patch_size=4, num_position_embeddings=16))


# Name: config, class of the saved model (None: the causal one), refusal.
CASES = {
    "gelu": (lambda: llama(hidden_act="gelu"), None, None),
    "gelu-mistral": (lambda: transformers.MistralConfig(
        **SHAPE, hidden_act="gelu"), None, None),
    "gelu-gemma2": (lambda: transformers.Gemma2Config(
        **SHAPE, hidden_activation="gelu", query_pre_attn_scalar=12,
        sliding_window=8), None, None),
    "gelu-phi": (lambda: transformers.PhiConfig(
        **{k: v for k, v in SHAPE.items() if k != "head_dim"},
        hidden_act="gelu"), None, None),
    "linear": (lambda: llama(**rope("linear", factor=3.0)), None, None),
    "dynamic": (lambda: llama(**rope("dynamic", factor=4.0)), None, None),
    "yarn": (lambda: llama(**rope(
        "yarn", factor=4.0, original_max_position_embeddings=16)), None,
        None),
    "yarn-betas": (lambda: llama(**rope(
        "yarn", factor=8.0, original_max_position_embeddings=8, beta_fast=4.0,
        beta_slow=0.5, attention_factor=1.3)), None, None),
    "yarn-mscale": (lambda: llama(**rope(
        "yarn", factor=4.0, original_max_position_embeddings=16, mscale=0.7,
        mscale_all_dim=1.2)), None, None),
    "yarn-untruncated": (lambda: llama(**rope(
        "yarn", 100.0, factor=4.0, original_max_position_embeddings=32,
        truncate=False)), None, None),
    "yarn-qwen2": (lambda: transformers.Qwen2Config(
        **{k: v for k, v in SHAPE.items() if k != "head_dim"}, **rope(
            "yarn", factor=4.0, original_max_position_embeddings=16)), None,
        None),
    "yarn-qwen3": (lambda: transformers.Qwen3Config(**SHAPE, **rope(
        "yarn", factor=2.0, original_max_position_embeddings=32)), None,
        None),
    "llama3": (lambda: llama(**rope(
        "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=16)), None, None),
    "gemma3-linear": (lambda: transformers.Gemma3TextConfig(
        **SHAPE, query_pre_attn_scalar=12, sliding_window=8,
        layer_types=["sliding_attention"] * 2 + ["full_attention"],
        rope_parameters=dict(
            full_attention=dict(rope_type="linear", factor=8.0,
                                rope_theta=1e6),
            sliding_attention=dict(rope_type="default", rope_theta=1e4))),
        None, None),
    "whole-gemma3": (gemma3_whole, "Gemma3ForConditionalGeneration", None),
    "whole-mistral3": (mistral3_whole, "Mistral3ForConditionalGeneration",
                       None),
    "whole-qwen3.5": (qwen35_whole, "Qwen3_5ForConditionalGeneration", None),
    "mixtral": (lambda: transformers.MixtralConfig(
        **SHAPE, num_local_experts=2, architectures=["MixtralForCausalLM"]),
        None, "mixtures of experts"),
    "qwen3-moe": (lambda: transformers.Qwen3MoeConfig(
        **SHAPE, num_experts=2, architectures=["Qwen3MoeForCausalLM"]), None,
        "mixtures of experts"),
    "granite-moe": (lambda: transformers.GraniteMoeHybridConfig(
        **{k: v for k, v in SHAPE.items() if k != "head_dim"},
        num_local_experts=2, layer_types=["attention"] * 3, mamba_n_heads=8,
        architectures=["GraniteMoeHybridForCausalLM"]), None, "experts"),
}


def make(config, name, path):
    """Save the model; its values on random ids."""
    torch.manual_seed(11)
    cls = getattr(transformers, name) if name else None
    model = (cls._from_config if cls else
             AutoModelForCausalLM.from_config)(
        config, attn_implementation="eager").double().eval()
    for value in model.parameters():
        if value.dim() == 1:
            value.data += 0.1 * torch.randn_like(value)
    model.float().save_pretrained(path)
    model.double()
    ids = torch.randint(3, 300, (2, 40))  # no padding
    labels = ids.clone()
    labels[:, :9] = -100
    out = model(input_ids=ids, labels=labels)
    out.loss.backward()
    values = {"input_ids": ids.int(), "labels": labels.int(),
              "logits": out.logits.detach().float().contiguous()}
    for key, value in model.named_parameters():
        key = key.replace("model.language_model.", "model.")
        if value.grad is not None and not key.startswith(
                ("model.vision", "model.multi", "model.visual")):
            values[f"grad.{key}"] = value.grad.float().contiguous()
    save_file(values, f"{path}/expected.safetensors")
    with open(f"{path}/expected.json", "w") as f:
        json.dump({"loss": out.loss.item()}, f)
    return ids, values["logits"]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr.strip()


def compare(slmctl, work, name):
    config, cls, refused = CASES[name]
    path, again = f"{work}/{name}", f"{work}/{name}-again"
    for folder in path, again:
        shutil.rmtree(folder, ignore_errors=True)
    config = config()
    if refused:
        config.save_pretrained(path)
        save_file({"input_ids": torch.zeros(1, 2, dtype=torch.int32)},
                  f"{path}/expected.safetensors")
    else:
        ids, logits = make(config, cls, path)
    code, out, text = run(slmctl, "model", "check",
                          *([] if refused else ["--json"]), path)
    if refused:
        return code == 1 and refused in text, text[:160]
    if not out:
        return False, text
    worst = max(json.loads(out)["quantities"],
                key=lambda q: q.get("error", 9))
    code, _, text = run(slmctl, "model", "convert", "-q", "--to",
                        "safetensors", "--type", "F32", "--output", again,
                        path)
    if code:
        return False, text
    model = AutoModelForCausalLM.from_pretrained(
        again, dtype=torch.float32, attn_implementation="eager").double()
    with torch.no_grad():
        off = (model.eval()(ids).logits.float() - logits).abs().max() / \
            logits.abs().max()
    limit = STEEP if "qwen3.5" in name else LIMIT
    return max(worst.get("error", 9), off) <= limit, \
        f"{worst['quantity']} {worst.get('error')}\twritten again {off:.1e}"


def main():
    slmctl, work, *names = sys.argv[1:]
    bad = 0
    for name in names or CASES:
        try:
            right, text = compare(slmctl, work, name)
        except Exception as e:  # the rest is still worth seeing
            right, text = False, f"{type(e).__name__}: {str(e)[:300]}"
        bad += not right
        print(f"{name}\t{'ok' if right else 'WRONG'}\t{text}", flush=True)
    sys.exit(bad > 0)


main()
