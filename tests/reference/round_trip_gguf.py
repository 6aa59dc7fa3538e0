#!/usr/bin/env python3
"""GGUF files of slmctl, loaded by llama.cpp and by transformers.

usage: round_trip_gguf.py SLMCTL GREEDY WORK MODEL...
   or: round_trip_gguf.py --lora SLMCTL GREEDY WORK BASE ADAPTER
(needs torch, transformers, gguf, safetensors; rows of 256 for the K types)

GREEDY is llamacpp_greedy.c, built in llama.cpp's build directory B of source
S: cc llamacpp_greedy.c -IS/include -IS/ggml/include -LB/bin -Wl,-rpath,B/bin
-lllama -lggml -lggml-base -o GREEDY. MODEL is a model directory with a
tokenizer; files are written below WORK.

For F32 the prompt's ids, 64 greedy ids and the text of llama.cpp must be those
of `tokenize` and `generate`, its logits those of transformers with the
directory. For each type transformers' gguf_file must give the logits of
`convert --to safetensors` of the same file. llama.cpp quantises activations
too, so for those types its error is only shown. With --lora, the base's file
with the adapter's must give the merged model's tokens.
"""
import json
import os
import shutil
import subprocess
import sys

import numpy
import torch
import transformers
from transformers import AutoModelForCausalLM

transformers.utils.logging.disable_progress_bar()
TYPES = "F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K", "Q6_K"
PROMPTS = "Once upon a time", "The table `orders` has 3 columns:\n", "Zoë’s 12"
COUNT = 64


def run(*command, text=""):
    done = subprocess.run(command, input=text.encode(), capture_output=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.returncode}\n"
                         f"{(done.stdout + done.stderr).decode()}")
    return done.stdout.decode()


def llama_cpp(greedy, path, prompt, work, *lora):
    got = json.loads(run(greedy, path, str(COUNT), f"{work}/logits", *lora,
                         text=prompt))
    logits = numpy.fromfile(f"{work}/logits", dtype=numpy.float32)
    got["logits"] = torch.from_numpy(logits).reshape(len(got["prompt"]), -1)
    got["text"] = bytes.fromhex(got["text_hex"]).decode(errors="replace")
    return got


def slmctl_greedy(slmctl, model, prompt, *more):
    out = run(slmctl, "generate", "--raw", "--temperature", "0", "-n",
              str(COUNT), "--logprobs", "-m", model, *more, "-", text=prompt)
    return [json.loads(line)["id"] for line in out.splitlines()]


def is_same(model, ids, got):
    """`generate` ends at the model's end tokens, llamacpp_greedy never."""
    with open(f"{model}/generation_config.json") as f:
        ends = json.load(f)["eos_token_id"]
    ends = ends if isinstance(ends, list) else [ends]
    whole = len(ids) == COUNT or got[len(ids)] in ends or ids[-1] in ends
    return whole and ids == got[:len(ids)]


def slmctl_ids(slmctl, model, prompt):
    out = run(slmctl, "model", "tokenize", "--special", model,
              text=json.dumps({"text": prompt}) + "\n")
    return json.loads(out)["ids"]


def slmctl_text(slmctl, model, ids):
    out = run(slmctl, "model", "tokenize", "--decode", model,
              text=json.dumps({"ids": ids}) + "\n")
    return json.loads(out)["text"]


def convert(slmctl, kind, type_, source, output, *more):
    if os.path.isdir(output):
        shutil.rmtree(output)
    elif os.path.exists(output):
        os.unlink(output)
    run(slmctl, "model", "convert", "-q", "--to", kind, "--type", type_,
        "--max-kl", "9", "-o", output, *more, source)
    return output


def logits_of(folder, ids, **more):
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", **more)
    with torch.no_grad():
        return model.double().eval()(torch.tensor([ids])).logits[0].float()


def relative(a, b):
    return ((a - b).abs().max() / b.abs().max()).item()


def compare_greedy(slmctl, greedy, model, path, work, lora=()):
    """(ids of prompts, greedy ids, texts equal; largest error of logits)"""
    same, worst = [0, 0, 0], 0
    for prompt in PROMPTS:
        got = llama_cpp(greedy, path, prompt, work, *lora)
        ids = slmctl_greedy(slmctl, model, prompt)
        same[0] += got["prompt"] == slmctl_ids(slmctl, model, prompt)
        same[1] += is_same(model, ids, got["ids"])
        same[2] += got["text"] == slmctl_text(slmctl, model, got["ids"])
        want = logits_of(model, got["prompt"])
        worst = max(worst, relative(got["logits"], want))
    return same, worst


def compare_model(slmctl, greedy, work, model):
    name, failed = os.path.basename(model.rstrip("/")), 0
    for type_ in TYPES:
        path = convert(slmctl, "gguf", type_, model, f"{work}/{name}-{type_}.gguf")
        back = convert(slmctl, "safetensors", "F32", path, f"{work}/{name}-back")
        prompt = slmctl_ids(slmctl, model, PROMPTS[1])
        try:
            error = relative(logits_of(work, prompt,
                                       gguf_file=os.path.basename(path)),
                             logits_of(back, prompt))
        except Exception as e:
            error = 9
            print(f"{name}\t{type_}\ttransformers: {str(e)[:300]}")
        got = llama_cpp(greedy, path, PROMPTS[1], work)
        shown = relative(got["logits"], logits_of(back, got["prompt"]))
        print(f"{name}\t{type_}\tgguf_file {error:.1e}\tllama.cpp {shown:.1e}",
              flush=True)
        failed += error > 1e-4
        if type_ == "F32":
            same, worst = compare_greedy(slmctl, greedy, model, path, work)
            print(f"{name}\tF32\tllama.cpp: prompt ids {same[0]}, greedy ids "
                  f"{same[1]}, text {same[2]} of {len(PROMPTS)}; logits "
                  f"{worst:.1e}", flush=True)
            failed += same != [len(PROMPTS)] * 3 or worst > 1e-4
    return failed


def compare_lora(slmctl, greedy, work, base, adapter):
    model = convert(slmctl, "gguf", "F32", base, f"{work}/base.gguf")
    lora = convert(slmctl, "gguf", "F32", adapter, f"{work}/lora.gguf",
                   "--base", base)
    merged = f"{work}/merged"
    shutil.rmtree(merged, ignore_errors=True)
    run(slmctl, "model", "merge", "-q", "--type", "F32", "--adapter", adapter,
        "-o", merged, base)
    same, worst = compare_greedy(slmctl, greedy, merged, model, work, (lora,))
    print(f"{base} {adapter}\tllama.cpp with the adapter: greedy ids {same[1]},"
          f" text {same[2]} of {len(PROMPTS)}; logits {worst:.1e}")
    return same[1:] != [len(PROMPTS)] * 2 or worst > 1e-4


def main():
    args = sys.argv[1:]
    lora = args[0] == "--lora"
    slmctl, greedy, work, *rest = args[lora:]
    os.makedirs(work, exist_ok=True)
    if lora:
        sys.exit(compare_lora(slmctl, greedy, work, *rest))
    sys.exit(sum(compare_model(slmctl, greedy, work, m) for m in rest) > 0)


main()
