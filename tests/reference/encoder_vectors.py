#!/usr/bin/env python3
"""An encoder's vectors of texts, against transformers.

    bench_embed TEXTS DIR 2 vectors.f32      (make bench builds it)
    python3 encoder_vectors.py TEXTS DIR vectors.f32

TEXTS holds JSON objects with "text", one a line; DIR is a directory of
sentence-transformers: BertModel, the mean over tokens, unit length. Needs
numpy, torch and transformers. What is computed is written out here: tokens by
transformers' tokenizer, those of a long text from both ends, as slmctl cuts;
the mean of the last states, in float64. Prints the largest 1 - cosine and the
largest difference of a value; exit status 1 above 1e-6 and 1e-4.
"""
import json
import os
import sys

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer


def limit_of(directory, config):
    path = os.path.join(directory, "sentence_bert_config.json")
    most = config.max_position_embeddings
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            most = min(most, json.load(f).get("max_seq_length") or most)
    return most


def vector(model, tokenizer, text, limit):
    """A row of unit length, and whether the text was cut."""
    ids = tokenizer(text, add_special_tokens=False, truncation=False)
    ids = ids["input_ids"]
    room = limit - 2
    cut = len(ids) > room
    if cut:
        ids = ids[: room - room // 2] + ids[len(ids) - room // 2 :]
    ids = [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id]
    with torch.no_grad():
        states = model(torch.tensor([ids])).last_hidden_state[0]
    mean = states.mean(0).numpy()
    return mean / np.linalg.norm(mean), cut


def main():
    texts, directory, file = sys.argv[1:]
    model = AutoModel.from_pretrained(directory).double().eval()
    tokenizer = AutoTokenizer.from_pretrained(directory)
    limit = limit_of(directory, model.config)
    got = np.fromfile(file, dtype="<f4").astype(np.float64)
    with open(texts, encoding="utf-8") as f:
        lines = [json.loads(line)["text"] for line in f]
    got = got.reshape(len(lines), -1)
    apart, error, cuts = 0.0, 0.0, 0
    for row, text in zip(got, lines):
        want, cut = vector(model, tokenizer, text, limit)
        cuts += cut
        apart = max(apart, 1 - row @ want / np.linalg.norm(row))
        error = max(error, np.abs(row - want).max() / np.abs(want).max())
    print(f"{len(lines)} texts, {cuts} of them cut: largest 1 - cosine "
          f"{apart:.1e}, largest error {error:.1e} of the largest value")
    return int(apart > 1e-6 or error > 1e-4)


if __name__ == "__main__":
    sys.exit(main())
