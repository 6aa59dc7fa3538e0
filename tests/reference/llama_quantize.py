#!/usr/bin/env python3
"""llama_quantize/: blocks that llama.cpp wrote, and what they say.

usage: llama_quantize.py LLAMA_QUANTIZE F32.GGUF
(needs numpy and llama.cpp's gguf package)

F32.GGUF is a Llama model of one layer, as `slmctl model convert --to gguf
--type F32` writes it. llama.cpp's llama-quantize makes Q8_0 and Q4_0 of it;
gguf-py, which shares no code with slmctl, says what the blocks are, and the
rows of q and k are put back as transformers does it. golden.jsonl has two
sums of each tensor, the second one by place, so that nothing can stand where
something else belongs.
"""
import json
import os
import subprocess
import sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

PLACE = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                     "llama_quantize")
NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm",
         "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
         "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
         "ffn_down": "mlp.down_proj"}


def name_of(name):
    parts = name.split(".")
    own = NAMES[parts[-2]]
    return (f"model.layers.{parts[1]}.{own}.weight" if parts[0] == "blk"
            else f"{own}.weight")


def restore(x, heads):
    return (x.reshape(heads, x.shape[0] // heads // 2, 2, -1).swapaxes(2, 1)
            .reshape(x.shape))


def sums(path):
    reader = GGUFReader(path)

    def count(key):
        return int(reader.fields[f"llama.attention.{key}"].parts[-1][0])

    heads = {"attn_q": count("head_count"), "attn_k": count("head_count_kv")}
    for t in reader.tensors:
        x = dequantize(t.data, t.tensor_type).reshape(
            [int(n) for n in reversed(t.shape)])
        part = t.name.split(".")[-2]
        if part in heads:
            x = restore(x, heads[part])
        x = x.astype(np.float64).ravel()
        place = np.arange(x.size) * 7919 % 1009 / 1009
        yield {"file": os.path.basename(path), "name": name_of(t.name),
               "type": t.tensor_type.name, "sum": float(x.sum()),
               "placed": float((x * place).sum())}


def main(quantize, wide):
    with open(f"{PLACE}/golden.jsonl", "w") as out:
        for kind in "Q8_0", "Q4_0":
            path = f"{PLACE}/{kind.lower()}.gguf"
            subprocess.run([quantize, wide, path, kind], check=True,
                           capture_output=True)
            for row in sums(path):
                print(json.dumps(row), file=out)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
