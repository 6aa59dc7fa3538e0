#!/usr/bin/env python3
"""GGUF files of model families without tokenizers, in llama.cpp.

usage: families_gguf.py SLMCTL GREEDY WORK MODEL...
(needs numpy, torch and safetensors; GREEDY as round_trip_gguf.py says)

MODEL is a directory with config.json, model.safetensors and an
expected.safetensors that has input_ids and logits. It goes through `convert
--to gguf --type F32`; llama.cpp's logits of the first row are compared with
the reference's, its 64 greedy ids with those that slmctl's logits choose:
`model check --values` computes them for the prompt and the ids at once, from
the directory and from the file read back, whose logits are compared with the
directory's. MODEL/adapter, if there is one, goes through `--to gguf` too and
its logits are compared. Then each narrower type is read back by both and their
logits are compared; llama.cpp rounds activations too.

llama.cpp reads GELU from a table of halves, which costs Phi-2 and the Gemmas
4e-4; with ops.cpp built without GGML_GELU_FP16 they agree as the others do.
"""
import json
import os
import shutil
import subprocess
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

COUNT = 64
TYPES = "F16", "BF16"


def run(*command, text="", fine=(0,)):
    done = subprocess.run(command, input=text.encode(), capture_output=True)
    if done.returncode not in fine:
        raise RuntimeError((done.stdout + done.stderr).decode()[-400:])
    return done.stdout.decode()


def llama_cpp(greedy, path, ids, work, *lora):
    got = json.loads(run(greedy, path, str(COUNT), f"{work}/logits", *lora,
                         text=" ".join(map(str, ids))))
    logits = np.fromfile(f"{work}/logits", dtype=np.float32)
    return got["ids"], logits.reshape(len(ids), -1)


def own_logits(slmctl, model, ids, work):
    """Of a directory or a GGUF file, through a directory of its own."""
    folder = f"{work}/check"
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    if os.path.isdir(model):
        for name in "config.json", "model.safetensors":
            os.symlink(f"{model}/{name}", f"{folder}/{name}")
    else:
        os.symlink(model, f"{folder}/model.gguf")
    rows = np.array([ids, ids], dtype=np.int32)
    vocab = own_logits.vocab
    save_file({"input_ids": rows,
               "logits": np.zeros((*rows.shape, vocab), np.float32)},
              f"{folder}/expected.safetensors")
    if os.path.exists(f"{work}/values"):
        os.unlink(f"{work}/values")
    out = run(slmctl, "model", "check", "--values", f"{work}/values", folder,
              fine=(0, 1))
    if not os.path.exists(f"{work}/values"):
        raise RuntimeError(out)
    return load_file(f"{work}/values")["logits"][0]


def relative(a, b):
    return np.abs(a.astype(np.float64) - b).max() / np.abs(b).max()


def convert(slmctl, type_, model, path, *more):
    if os.path.exists(path):
        os.unlink(path)
    run(slmctl, "model", "convert", "-q", "--to", "gguf", "--type", type_,
        "--max-kl", "9", "-o", path, *more, model)


def compare_adapter(slmctl, greedy, work, model, path):
    """PEFT's logits of the base with `adapter` against llama.cpp's."""
    lora = f"{work}/lora.gguf"
    if not os.path.isdir(f"{model}/adapter"):
        return 0, "none"
    try:
        convert(slmctl, "F32", f"{model}/adapter", lora, "--base", model)
    except RuntimeError as e:
        return 0, f"refused ({str(e).strip().split(': ', 2)[-1]})"
    want = load_file(f"{model}/adapter/expected.safetensors")
    ids = load_file(f"{model}/expected.safetensors")["input_ids"][0]
    _, logits = llama_cpp(greedy, path, ids.tolist(), work, lora)
    error = relative(logits, want["logits"][0])
    return error > 1e-4, f"{error:.1e}"


def compare(slmctl, greedy, work, model):
    name = os.path.basename(model.rstrip("/"))
    path = f"{work}/{name}.gguf"
    want = load_file(f"{model}/expected.safetensors")
    ids = want["input_ids"][0].tolist()
    own_logits.vocab = want["logits"].shape[-1]
    convert(slmctl, "F32", model, path)
    _, logits = llama_cpp(greedy, path, ids, work)
    error = relative(logits, want["logits"][0])
    prompt = ids[:len(ids) // 4]
    more, _ = llama_cpp(greedy, path, prompt, work)
    whole = prompt + more[:-1]
    ours = own_logits(slmctl, model, whole, work)
    chosen = ours[len(prompt) - 1:].argmax(-1).tolist()
    same = sum(a == b for a, b in zip(chosen, more))
    back = relative(own_logits(slmctl, path, whole, work), ours)
    wrong, adapter = compare_adapter(slmctl, greedy, work, model, path)
    narrow = []
    for type_ in TYPES:
        convert(slmctl, type_, model, path)
        _, logits = llama_cpp(greedy, path, ids, work)
        off = relative(logits, own_logits(slmctl, path, ids, work))
        narrow.append(f"{type_} {off:.1e}")
    print(f"{name}\tlogits {error:.1e}\tgreedy {same} of {COUNT}\tread back "
          f"{back:.1e}\tadapter {adapter}\t{', '.join(narrow)}", flush=True)
    return error > 1e-4 or same != COUNT or back > 1e-5 or wrong


def main():
    slmctl, greedy, work, *models = sys.argv[1:]
    failed = 0
    os.makedirs(work, exist_ok=True)
    work = os.path.abspath(work)
    for model in models:
        try:
            failed += int(compare(slmctl, greedy, work, os.path.abspath(model)))
        except RuntimeError as e:
            failed += 1
            print(f"{os.path.basename(model)}\tfailed: {e}", flush=True)
    sys.exit(failed > 0)


main()
