"""attention_peer.py THREADS - torch's attention for bench_attention

Reads cases, one a line, and answers each with seconds: "train heads kv dim
docs len window" with forward and backward, "decode heads kv dim seqs keys"
with a step of one new row for each sequence. Documents of one length are a
batch, so that nothing is padded.
"""
import sys
import time

import torch
from torch.nn.functional import scaled_dot_product_attention as attend


def tensors(batch, heads, rows, dim, grad):
    return torch.randn(batch, heads, rows, dim, requires_grad=grad)


def train(heads, kv, dim, docs, rows):
    q = tensors(docs, heads, rows, dim, True)
    k = tensors(docs, kv, rows, dim, True)
    v = tensors(docs, kv, rows, dim, True)
    d_o = tensors(docs, heads, rows, dim, False)
    start = time.perf_counter()
    o = attend(q, k, v, is_causal=True, enable_gqa=True)
    middle = time.perf_counter()
    o.backward(d_o)
    return middle - start, time.perf_counter() - middle


def decode(heads, kv, dim, seqs, keys, layers):
    q = tensors(seqs, heads, 1, dim, False)
    caches = [(tensors(seqs, kv, keys, dim, False),
               tensors(seqs, kv, keys, dim, False)) for _ in range(layers)]
    with torch.no_grad():
        attend(q, *caches[0], enable_gqa=True)
        start = time.perf_counter()
        for k, v in caches:
            attend(q, k, v, enable_gqa=True)
    return (time.perf_counter() - start) / layers, 0


def main():
    torch.set_num_threads(int(sys.argv[1]))
    torch.manual_seed(1)
    print("torch", torch.__version__, flush=True)
    for line in sys.stdin:
        kind, *shape = line.split()
        run = train if kind == "train" else decode
        print("%.9f %.9f" % run(*map(int, shape)), flush=True)


main()
