#!/usr/bin/env python3
"""A LoRA step of torch and PEFT on the CPU, for tests/bench/step.sh.

usage: torch_step.py SHAPE DTYPE BATCH TOKENS MASK STEPS [LENGTHS]
Random weights. LENGTHS such as 64-200: BATCH rows of drawn lengths, padded to
the longest. The first MASK share of a row is not trained. Prints real tokens a
second (the median step, after one to warm up unless STEPS is 0) and the peak of
memory in MiB.
"""
import resource
import statistics
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig

SHAPES = {
    "smollm2-135m": (49152, 576, 1536, 30, 9, 3),
    "llama-3.2-1b": (128256, 2048, 8192, 16, 32, 8),
    "tiny": (2048, 192, 512, 6, 3, 1),
}


def main():
    shape, dtype, batch, tokens, mask, steps = sys.argv[1:7]
    batch, tokens, steps, mask = int(batch), int(tokens), int(steps), float(mask)
    vocab, hidden, ffn, layers, heads, kv_heads = SHAPES[shape]
    low, high = tokens, tokens
    if len(sys.argv) > 7:
        low, high = map(int, sys.argv[7].split("-"))
    torch.manual_seed(0)
    kind = getattr(torch, dtype)
    model = AutoModelForCausalLM.from_config(
        LlamaConfig(vocab_size=vocab, hidden_size=hidden, intermediate_size=ffn,
                    num_hidden_layers=layers, num_attention_heads=heads,
                    num_key_value_heads=kv_heads, tie_word_embeddings=True,
                    max_position_embeddings=max(2048, high)),
        dtype=kind, attn_implementation="sdpa")
    model = get_peft_model(model, LoraConfig(
        task_type="CAUSAL_LM", r=16, lora_alpha=32, lora_dropout=0.0,
        target_modules="all-linear"))
    trained = [p for p in model.parameters() if p.requires_grad]
    for p in trained:
        p.data = p.data.float()
    model.train()
    adam = torch.optim.AdamW(trained, lr=2e-4)
    lengths = torch.randint(low, high + 1, (batch,)).tolist()
    longest = max(lengths)
    ids = torch.randint(3, vocab, (batch, longest))
    seen = torch.zeros(batch, longest, dtype=torch.long)
    labels = torch.full((batch, longest), -100)
    for i, n in enumerate(lengths):
        seen[i, :n] = 1
        labels[i, int(mask * n):n] = ids[i, int(mask * n):n]
    more = {} if min(lengths) == longest else {"attention_mask": seen}
    times = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=kind, enabled=kind != torch.float32):
            loss = model(input_ids=ids, labels=labels, **more).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        adam.step()
        adam.zero_grad()
        times.append(time.perf_counter() - start)
    step = statistics.median(times[1:] or times)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{sum(lengths) / step:.1f} {peak:.0f}")


main()
