#!/usr/bin/env python3
"""Other people's kernels at gpu_bench's sizes, in gpu_bench's table.

usage: peer_gpu.py [products|attention|decode|steps ...]
Needs torch with CUDA; steps also transformers and peft. Products are cuBLAS,
attention is scaled_dot_product_attention's flash kernel, a step is that of
PEFT with and without torch.compile. Each line stands for itself: what fails
says so and the rest goes on.
"""
import gc
import os
import statistics
import sys
import time
import warnings

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

PEAKS = (("H200", 989, 4800), ("H100 80GB HBM3", 989, 3350),
         ("H100", 756, 2000), ("A100", 312, 2039))
NAME = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
TFLOPS, GBYTES = next(((t, g) for n, t, g in PEAKS if n in NAME), (0, 0))
BF16 = dict(device="cuda", dtype=torch.bfloat16)
CUBES = (1024, 2048, 4096, 8192)
LAYERS = (("1B q,o", 2048, 2048), ("1B k,v", 512, 2048),
          ("1B gate,up", 8192, 2048), ("1B down", 2048, 8192),
          ("8B q,o", 4096, 4096), ("8B k,v", 1024, 4096),
          ("8B gate,up", 14336, 4096), ("8B down", 4096, 14336))


def line(path, shape, seconds, rate, unit, peak):
    ms = f"{1e3 * seconds:.3f}" if seconds else "-"
    part = f"{100 * rate / peak:.0f} %" if peak else "-"
    print(f"{'torch':6} {path:22} {shape:32} {ms:>10} ms {rate:9.1f} "
          f"{unit:8} {part}", flush=True)


def seconds_of(run):
    run()
    run()
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    count = max(1, min(2000, int(0.1 / (time.perf_counter() - start)) + 1))
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(count):
            run()
        torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - start) / count)
    return best


def random(*shape):
    return torch.rand(*shape, **BF16) * 2 - 1


def flops(path, shape, run, count):
    s = seconds_of(run)
    line(path, shape, s, count / s * 1e-12, "TFLOP/s", TFLOPS)


def product(layer, m, n, k):
    x, w, y = random(m, k), random(n, k), random(m, n)
    a, low = random(16, k), random(m, 16)
    shape = f"{layer} {m}x{n}x{k}"
    count = 2.0 * m * n * k
    flops("linear", shape, lambda: x @ w.t(), count)
    flops("linear_dx", shape, lambda: y @ w, count)
    if layer == "cube":
        flops("linear_dw", shape, lambda: y.t() @ x, count)
        return
    small = 2.0 * m * 16 * k
    flops("lora into rank", f"{layer} {m}x16x{k}", lambda: x @ a.t(), small)
    flops("lora grad A", f"{layer} {m}x16x{k}", lambda: low.t() @ x, small)


def products():
    for n in CUBES:
        product("cube", n, n, n)
    for layer, n, k in LAYERS:
        product(layer, 4096, n, k)


def decode():
    for layer, n, k in LAYERS:
        w = [random(n, k) for _ in range(4)]
        for m in (1, 64) if "gate" in layer else (1,):
            x, at = random(m, k), [0]

            def run():
                at[0] = (at[0] + 1) % 4
                return F.linear(x, w[at[0]])

            s = seconds_of(run)
            line("decode linear", f"{layer} {m}x{n}x{k}", s,
                 2e-9 * n * k / s, "GB/s", GBYTES)
    big = torch.empty(1 << 30, device="cuda", dtype=torch.uint8)
    other = torch.empty_like(big)
    s = seconds_of(lambda: other.copy_(big))
    line("copy", "1 GiB, read and written", s, 2e-9 * big.numel() / s, "GB/s",
         GBYTES)


def attention_one(dim, tokens, docs):
    length, heads, shared = tokens // docs, 32, 8
    q = random(docs, heads, length, dim).requires_grad_()
    k = random(docs, shared, length, dim).requires_grad_()
    v = random(docs, shared, length, dim).requires_grad_()
    count = 4.0 * heads * dim * docs * length * (length + 1) / 2
    shape = f"{docs}x{length} heads 32/8 dim {dim}"

    def forward():
        return F.scaled_dot_product_attention(q, k, v, is_causal=True,
                                              enable_gqa=True)

    with torch.no_grad():
        flops("attention", shape, forward, count)
    out = forward()
    grad = torch.randn_like(out)
    flops("attention_grad", shape,
          lambda: torch.autograd.grad(out, (q, k, v), grad, retain_graph=True),
          2.5 * count)


def attention():
    from torch.nn.attention import SDPBackend, sdpa_kernel
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION]):
        for dim in (64, 128):
            for tokens, docs in ((4096, 1), (4096, 8), (16384, 1),
                                 (16384, 16)):
                attention_one(dim, tokens, docs)


SHAPES = {
    "135M": dict(vocab_size=49152, hidden_size=576, intermediate_size=1536,
                 num_hidden_layers=30, num_attention_heads=9,
                 num_key_value_heads=3, tie_word_embeddings=True),
    "1B": dict(vocab_size=128256, hidden_size=2048, intermediate_size=8192,
               num_hidden_layers=16, num_attention_heads=32,
               num_key_value_heads=8, tie_word_embeddings=True),
    "8B": dict(vocab_size=128256, hidden_size=4096, intermediate_size=14336,
               num_hidden_layers=32, num_attention_heads=32,
               num_key_value_heads=8, tie_word_embeddings=False),
}


def new_model(name):
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(max_position_embeddings=8192, rope_theta=5e5,
                         attn_implementation="sdpa", **SHAPES[name])
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda"):
            base = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    model = get_peft_model(base, LoraConfig(
        task_type="CAUSAL_LM", r=16, lora_alpha=32, lora_dropout=0.0,
        target_modules="all-linear"))
    for p in model.parameters():
        if p.requires_grad:
            p.data = p.data.float()
    return model.train()


def step_one(name, compiled):
    torch.manual_seed(1)
    torch.cuda.reset_peak_memory_stats()
    model = new_model(name)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, fused=True)
    run = torch.compile(model) if compiled else model
    ids = torch.randint(3, SHAPES[name]["vocab_size"], (4, 1024),
                        device="cuda")
    labels = ids.clone()
    labels[:, :512] = -100
    times = []
    for _ in range(7):
        start = time.perf_counter()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = run(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() * 1e-9
    line("lora step", f"{name} r=16 4x1024 peak {peak:.1f} GB"
         + (" comp." if compiled else ""), 0,
         4096 / statistics.median(times[2:]), "tok/s", 0)


def steps():
    for name in SHAPES:
        for compiled in (False, True):
            attempt(lambda: step_one(name, compiled),
                    f"lora step {name} compiled={compiled}")
            torch._dynamo.reset()


def attempt(run, name):
    try:
        run()
    except Exception as e:  # the table goes on
        text = " ".join(str(e).split())[:160]
        print(f"failed {name}: {type(e).__name__}: {text}", flush=True)
    gc.collect()
    torch.cuda.empty_cache()


def main():
    if not NAME:
        print("skip: torch sees no CUDA device")
        return
    print(f"# torch {torch.__version__}, {NAME}; peaks {TFLOPS} TFLOP/s, "
          f"{GBYTES} GB/s")
    parts = dict(products=products, attention=attention, decode=decode,
                 steps=steps)
    for name in sys.argv[1:] or parts:
        attempt(parts[name], name)


main()
