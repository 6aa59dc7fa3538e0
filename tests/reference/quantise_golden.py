#!/usr/bin/env python3
"""quantise.golden.jsonl: squared errors of ggml's and bitsandbytes' quantisers.

usage: quantise_golden.py LIBGGML BASE >quantise.golden.jsonl
(needs numpy, torch and safetensors; bitsandbytes too for NF4)

LIBGGML is libggml-base.so of a build of llama.cpp, BASE the tree's data/base.
Rows are made of counted random numbers, so that test_quantise.c has the same
ones to the bit; its head says what they are. NF4 is bitsandbytes' own
quantize_4bit with blocks of 64, single and double quantised.
"""
import ctypes
import json
import sys

import numpy as np
from safetensors import safe_open

COUNT = 1 << 16
TYPES = {"Q8_0": (32, 34), "Q4_0": (32, 18), "Q4_K": (256, 144),
         "Q6_K": (256, 210)}


def uniform(seed, n):
    """24 bits of splitmix64 at seed + 1, seed + 2, ..."""
    with np.errstate(over="ignore"):
        z = (np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64))
        z = z * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        z = z ^ z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) / (1 << 24)


def gaussian(seed):
    return uniform(seed, 12 * COUNT).reshape(-1, 12).sum(1) - 6


def base(folder):
    parts = []
    with safe_open(f"{folder}/model.safetensors", "pt") as f:
        for name in sorted(f.keys()):
            t = f.get_tensor(name)
            if t.dim() == 2 and t.numel() % 256 == 0:
                parts.append(t.float().numpy().ravel())
    return np.concatenate(parts)


def rows(folder):
    g = gaussian(1 << 32)
    out = {"gaussian": g, "small": g * 0.015625, "heavy": g * g * g,
           "shifted": g + 4, "positive": abs(g)}
    out["outliers"] = np.where(np.arange(COUNT) % 61 == 7, g * 32, g)
    out["constant"] = np.where(np.arange(COUNT) // 256 % 2 == 1, 0.75, -3.0)
    out["sparse"] = np.where(uniform(7 << 32, COUNT) < 0.05, g, 0)
    out = {k: v.astype(np.float32) for k, v in out.items()}
    out["base"] = base(folder)
    return out


def error(a, b):
    d = a.astype(np.float64) - b.astype(np.float64)
    return float((d * d).sum())


def ggml(lib, name, x):
    elements, size = TYPES[name]
    packed = np.zeros(x.size // elements * size, dtype=np.uint8)
    back = np.empty_like(x)
    low = "q" + name[1:]
    n = ctypes.c_int64(x.size)
    lib[f"quantize_row_{low}_ref"](x.ctypes.data_as(ctypes.c_void_p),
                                   packed.ctypes.data_as(ctypes.c_void_p), n)
    lib[f"dequantize_row_{low}"](packed.ctypes.data_as(ctypes.c_void_p),
                                 back.ctypes.data_as(ctypes.c_void_p), n)
    return error(x, back)


def nf4(x, twice):
    import torch
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    packed, state = quantize_4bit(torch.from_numpy(x), blocksize=64,
                                  quant_type="nf4", compress_statistics=twice)
    return error(x, dequantize_4bit(packed, state).numpy().ravel())


def main():
    lib = ctypes.CDLL(sys.argv[1])
    for kind, x in rows(sys.argv[2]).items():
        power = float((x.astype(np.float64) ** 2).sum())
        for name in [*TYPES, "NF4", "NF4-double"]:
            e = ggml(lib, name, x) if name in TYPES else nf4(x, name != "NF4")
            print(json.dumps({"rows": kind, "type": name, "n": x.size,
                              "power": power, "error": e}))


main()
