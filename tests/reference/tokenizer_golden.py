#!/usr/bin/env python3
"""Writes NAME.golden.jsonl for tests/reference/tokenizers/NAME.json.

usage: tokenizer_golden.py NAME.json TEXTS.jsonl > NAME.golden.jsonl
needs: pip install tokenizers==0.23.3

TEXTS.jsonl has {"text": ...} lines; an earlier golden file will do. The
tokenizers were made for this purpose in the shapes of real ones, with merges
across the borders of words; tokenizers and texts are free (CC0).
"""
import json
import sys

from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file(sys.argv[1])
for line in open(sys.argv[2], encoding="utf-8", newline="\n"):
    text = json.loads(line)["text"]
    plain = tokenizer.encode(text, add_special_tokens=False)
    ids = tokenizer.encode(text, add_special_tokens=True).ids
    print(json.dumps({
        "text": text, "ids": plain.ids, "ids_special": ids,
        "decoded": tokenizer.decode(ids, skip_special_tokens=False),
        "decoded_skip_special": tokenizer.decode(ids),
        "offsets": [list(o) for o in plain.offsets]}, ensure_ascii=False,
        separators=(",", ":")))
