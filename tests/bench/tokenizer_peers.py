#!/usr/bin/env python3
"""tokenizer_peers.py TOKENIZER_JSON TEXTS - others' MB/s, one thread

Hugging Face tokenizers reads the file; tiktoken gets its vocabulary and its
splitting pattern, where it is a byte-level BPE. One line each: name, MB/s,
tokens. Each line of TEXTS is encoded by itself, one pass, CPU time.
"""
import json
import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
GPT2 = (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+"
        r"|\s+(?!\S)|\s+")
# The same behind a step that makes each digit a piece of its own.
DIGITS = GPT2.replace(r" ?\p{N}+", r"\p{N}").replace(
    r"|\s+(?!\S)", r"|\s+(?=\p{N})|\s+(?!\S)")


def steps(part):
    if not part:
        return []
    return part.get("pretokenizers") or [part]


def pattern(spec):
    """The one splitting pattern, None if there are others."""
    found = []
    all_steps = steps(spec.get("pre_tokenizer"))
    if [s["type"] for s in all_steps] == ["Digits", "ByteLevel"]:
        single, bytes_ = all_steps
        plain = single["individual_digits"] and bytes_.get("use_regex", True)
        return DIGITS if plain else None
    for s in all_steps:
        if s["type"] == "Split":
            found.append(s["pattern"].get("Regex"))
        elif s["type"] == "ByteLevel" and s.get("use_regex", True):
            found.append(GPT2)
        elif s["type"] != "ByteLevel":
            found.append(None)
    return found[0] if len(found) == 1 else None


def alphabet():
    plain = [b for b in range(256)
             if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    rest = [b for b in range(256) if b not in plain]
    back = {chr(b): b for b in plain}
    back.update({chr(256 + i): b for i, b in enumerate(rest)})
    return back


def timed(name, encode, docs, size):
    start = time.process_time()
    tokens = sum(len(encode(d)) for d in docs)
    took = time.process_time() - start
    print("%s\t%.2f\t%d" % (name, size / took / 1e6, tokens))


def main():
    spec = json.load(open(sys.argv[1], encoding="utf-8"))
    docs = open(sys.argv[2], encoding="utf-8").read().split("\n")
    size = sum(len(d.encode()) for d in docs)
    try:
        import tiktoken
        split = pattern(spec)
        if spec["model"].get("type", "BPE") != "BPE" or not split:
            raise ImportError("not a byte-level BPE with one pattern")
        back = alphabet()
        ranks = {}
        for token, rank in spec["model"]["vocab"].items():
            if all(c in back for c in token):
                ranks[bytes(back[c] for c in token)] = rank
        t = tiktoken.Encoding("bench", pat_str=split, mergeable_ranks=ranks,
                              special_tokens={})
        timed("tiktoken", t.encode_ordinary, docs, size)
    except ImportError as e:
        print("skip: tiktoken: %s" % e, file=sys.stderr)
    try:
        import tokenizers
        t = tokenizers.Tokenizer.from_file(sys.argv[1])
        timed("tokenizers",
              lambda d: t.encode(d, add_special_tokens=False).ids, docs, size)
    except ImportError as e:
        print("skip: tokenizers: %s" % e, file=sys.stderr)


main()
