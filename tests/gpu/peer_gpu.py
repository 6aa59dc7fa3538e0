#!/usr/bin/env python3
"""Other people's kernels at gpu_bench's sizes, in gpu_bench's table.

usage: peer_gpu.py [--limit S] [--models 1B,8B] [--quick]
                   [products|attention|decode|steps|qlora|generate ...]
Needs torch with CUDA; steps also transformers and peft. Products are cuBLAS,
attention is scaled_dot_product_attention's flash kernel, a step is that of
PEFT with and without torch.compile (the same as a peer script that trains
LoRA on one packed batch), qlora has NF4 weights that torch unpacks (4 bits, a
factor for 64; bitsandbytes is used nowhere), generate is transformers'. Each
line stands for itself: what fails or takes longer than the limit (90 s) says
so and the rest goes on. --quick: tiny sizes, on the CPU where no GPU is: to
see that this script works.
"""
import argparse
import gc
import os
import signal
import statistics
import sys
import time
import warnings

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

ARGS = argparse.ArgumentParser()
ARGS.add_argument("--limit", type=int, default=90)
ARGS.add_argument("--models", default="1B,8B")
ARGS.add_argument("--quick", action="store_true")
ARGS.add_argument("parts", nargs="*")
ARGS = ARGS.parse_args()

PEAKS = (("H200", 989, 4800), ("H100 80GB HBM3", 989, 3350),
         ("H100", 756, 2000), ("A100", 312, 2039))
NAME = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
TFLOPS, GBYTES = next(((t, g) for n, t, g in PEAKS if n in NAME), (0, 0))
DEVICE = "cuda" if NAME else "cpu"
BF16 = dict(device=DEVICE, dtype=torch.bfloat16)
TOKENS = 128 if ARGS.quick else 4096
CUBES = (64,) if ARGS.quick else (1024, 2048, 4096, 8192)
LAYERS = (("1B q,o", 2048, 2048), ("1B k,v", 512, 2048),
          ("1B gate,up", 8192, 2048), ("1B down", 2048, 8192),
          ("8B q,o", 4096, 4096), ("8B k,v", 1024, 4096),
          ("8B gate,up", 14336, 4096), ("8B down", 4096, 14336))
if ARGS.quick:
    LAYERS = (("tiny gate", 128, 64),)


def line(path, shape, seconds, rate, unit, peak):
    ms = f"{1e3 * seconds:.3f}" if seconds else "-"
    part = f"{100 * rate / peak:.0f} %" if peak else "-"
    print(f"{'torch':6} {path:22} {shape:32} {ms:>10} ms {rate:9.1f} "
          f"{unit:8} {part}", flush=True)


def wait():
    if NAME:
        torch.cuda.synchronize()


def seconds_of(run):
    run()
    run()
    wait()
    start = time.perf_counter()
    run()
    wait()
    count = max(1, min(2000, int(0.1 / (time.perf_counter() - start)) + 1))
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(count):
            run()
        wait()
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
        product(layer, TOKENS, n, k)


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
    big = torch.empty(1 << (16 if ARGS.quick else 30), device=DEVICE,
                      dtype=torch.uint8)
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
    sizes = ((4096, 1), (4096, 8), (16384, 1), (16384, 16))
    if ARGS.quick:
        sizes = ((64, 1),)
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION]):
        for dim in (64, 128):
            for tokens, docs in sizes:
                attention_one(dim, tokens, docs)


SHAPES = {
    "1B": dict(vocab_size=128256, hidden_size=2048, intermediate_size=8192,
               num_hidden_layers=16, num_attention_heads=32,
               num_key_value_heads=8, tie_word_embeddings=True),
    "8B": dict(vocab_size=128256, hidden_size=4096, intermediate_size=14336,
               num_hidden_layers=32, num_attention_heads=32,
               num_key_value_heads=8, tie_word_embeddings=False),
    "tiny": dict(vocab_size=512, hidden_size=64, intermediate_size=128,
                 num_hidden_layers=2, num_attention_heads=2,
                 num_key_value_heads=1, tie_word_embeddings=True),
}
MODELS = ["tiny"] if ARGS.quick else ARGS.models.split(",")


def base_model(name):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(max_position_embeddings=8192, rope_theta=5e5,
                         attn_implementation="sdpa", **SHAPES[name])
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(DEVICE):
            return LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)


def lora_model(name):
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(base_model(name), LoraConfig(
        task_type="CAUSAL_LM", r=16, lora_alpha=32, lora_dropout=0.0,
        target_modules="all-linear"))
    for p in model.parameters():
        if p.requires_grad:
            p.data = p.data.float()
    return model.train()


NF4 = (-1.0, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734,
       -0.0910500, 0.0, 0.0795803, 0.1609302, 0.2461123, 0.3379152, 0.4407098,
       0.5626170, 0.7229568, 1.0)


class Blocks(torch.autograd.Function):
    """x W' with W in NF4, which is unpacked for each of the two passes."""

    @staticmethod
    def unpack(packed, scale, code, shape):
        pair = torch.stack((packed >> 4, packed & 15), -1).view(-1, 64)
        return (code[pair.int()] * scale).to(torch.bfloat16).view(shape)

    @staticmethod
    def forward(ctx, x, packed, scale, code, shape):
        ctx.save_for_backward(packed, scale, code)
        ctx.shape = shape
        return x @ Blocks.unpack(packed, scale, code, shape).t()

    @staticmethod
    def backward(ctx, dy):
        return dy @ Blocks.unpack(*ctx.saved_tensors, ctx.shape), *4 * (None,)


class BlockLora(torch.nn.Module):
    def __init__(self, linear):
        super().__init__()
        w = linear.weight.data.float().view(-1, 64)
        code = torch.tensor(NF4, device=w.device)
        scale = w.abs().amax(1, keepdim=True).clamp_min(1e-12)
        nearest = torch.bucketize(w / scale, (code[1:] + code[:-1]) / 2)
        nearest = nearest.to(torch.uint8).view(-1, 2)
        self.register_buffer("packed", nearest[:, 0] << 4 | nearest[:, 1])
        self.register_buffer("scale", scale)
        self.register_buffer("code", code)
        self.shape = linear.weight.shape
        n, k = self.shape
        self.a = torch.nn.Parameter(torch.randn(16, k, device=w.device) * .02)
        self.b = torch.nn.Parameter(torch.zeros(n, 16, device=w.device))

    def forward(self, x):
        x = x.to(torch.bfloat16)
        low = x @ self.a.to(x.dtype).t()
        return (Blocks.apply(x, self.packed, self.scale, self.code, self.shape)
                + 2 * (low @ self.b.to(x.dtype).t()))


def blocks_model(name):
    model = base_model(name)
    for p in model.parameters():
        p.requires_grad = False
    for layer in model.model.layers:
        for part in (layer.self_attn, layer.mlp):
            for child, module in list(part.named_children()):
                if isinstance(module, torch.nn.Linear):
                    setattr(part, child, BlockLora(module))
    return model.train()


def step_one(name, what, compiled):
    torch.manual_seed(1)
    model = lora_model(name) if what == "lora" else blocks_model(name)
    gc.collect()
    if NAME:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, fused=bool(NAME))
    run = torch.compile(model) if compiled else model
    ids = torch.randint(3, SHAPES[name]["vocab_size"], (4, TOKENS // 4),
                        device=DEVICE)
    labels = ids.clone()
    labels[:, :TOKENS // 8] = -100
    times = []
    for _ in range(7):
        start = time.perf_counter()
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            loss = run(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        wait()
        times.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() * 1e-9 if NAME else 0
    line(f"{what} step", f"{name} r=16 4x{TOKENS // 4} peak {peak:.1f} GB"
         + (" comp." if compiled else ""), 0,
         TOKENS / statistics.median(times[2:]), "tok/s", 0)


def steps(what="lora"):
    for compiled in (False, True):
        for name in MODELS:
            attempt(lambda: step_one(name, what, compiled),
                    f"{what} step {name} compiled={compiled}")
            torch._dynamo.reset()


def generate_one(name):
    model = base_model(name).eval()
    for batch in (1, 64):
        ids = torch.randint(3, SHAPES[name]["vocab_size"], (batch, 16),
                            device=DEVICE)
        times = []
        for count in (2, 2, 34):
            start = time.perf_counter()
            model.generate(ids, attention_mask=torch.ones_like(ids),
                           max_new_tokens=count, min_new_tokens=count,
                           do_sample=False, pad_token_id=0)
            wait()
            times.append(time.perf_counter() - start)
        line("decode", f"{name} batch {batch}", 0,
             32 * batch / (times[2] - times[1]), "tok/s", 0)


def generate():
    for name in MODELS:
        attempt(lambda: generate_one(name), f"generate {name}")


def attempt(run, name):
    signal.alarm(ARGS.limit)
    try:
        run()
    except Exception as e:  # the table goes on
        text = " ".join(str(e).split())[:160]
        print(f"failed {name}: {type(e).__name__}: {text}", flush=True)
    finally:
        signal.alarm(0)
    gc.collect()
    if NAME:
        torch.cuda.empty_cache()


def late(_signal, _frame):
    raise TimeoutError(f"over {ARGS.limit} s")


def main():
    if not NAME and not ARGS.quick:
        print("skip: torch sees no CUDA device")
        return
    signal.signal(signal.SIGALRM, late)
    print(f"# torch {torch.__version__}, {NAME}; peaks {TFLOPS} TFLOP/s, "
          f"{GBYTES} GB/s")
    alone = dict(products=products, attention=attention, decode=decode)
    groups = dict(steps=steps, qlora=lambda: steps("qlora"), generate=generate)
    for name in ARGS.parts or [*alone, *groups]:
        if name in alone:
            attempt(alone[name], name)
        else:
            groups[name]()


main()
