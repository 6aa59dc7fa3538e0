#!/usr/bin/env python3
"""Tokenizers inside GGUF files: ids of slmctl, llama.cpp and the reference.

usage: vocab_gguf.py SLMCTL GREEDY WORK VOCAB...
(needs gguf and sentencepiece; GREEDY as round_trip_gguf.py says)

VOCAB is a file of llama.cpp's models/ggml-vocab-*.gguf, beside which .inp and
.out hold texts and ids; or a WordPiece tokenizer.json with its .golden.jsonl;
or any NAME.golden.jsonl, on whose texts sentencepiece trains a Unigram model
that gives the ids. The latter two are written as GGUF by gguf-py, as
llama.cpp's converter would. llama.cpp's ids are shown, not judged; nor are a
few of Unigram, since normalizing goes by graphemes as transformers' does, not
by sentencepiece's longest match.
"""
import json
import os
import subprocess
import sys

import gguf

END = "\n__ggml_vocab_test__\n"
BLOCK, SHOWN, FEW = "\u2581", 3, 8


def slmctl_ids(slmctl, path, texts):
    lines = "".join(json.dumps({"text": t}) + "\n" for t in texts)
    done = subprocess.run([slmctl, "model", "tokenize", path], input=lines,
                          capture_output=True, text=True)
    if not done.stdout:
        raise SystemExit(f"{path}: {done.stderr}")
    return [json.loads(line).get("ids") for line in done.stdout.splitlines()]


def llama_ids(greedy, path, texts):
    done = subprocess.run([greedy, path, "0", "/dev/null"],
                          input=b"".join(t.encode() + b"\0" for t in texts),
                          capture_output=True)
    return [json.loads(line)["ids"] for line in done.stdout.splitlines()]


def phantom(token):
    """WordPiece as llama.cpp has it: beginnings of words are marked."""
    if token.startswith("[") and token.endswith("]"):
        return token
    return token[2:] if token.startswith("##") else BLOCK + token


def write(path, model, vocab, scores, types, ids, **more):
    w = gguf.GGUFWriter(path, "llama")
    w.add_tokenizer_model(model)
    w.add_tokenizer_pre("default")
    w.add_token_list(vocab)
    w.add_token_scores(scores)
    w.add_token_types(types)
    for name, i in ids.items():
        w.add_uint32(f"tokenizer.ggml.{name}_token_id", i)
    for name, value in more.items():
        getattr(w, f"add_{name}")(value)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def write_words(tokenizer, path):
    with open(tokenizer, encoding="utf-8") as f:
        t = json.load(f)
    ids = t["model"]["vocab"]
    vocab = sorted(ids, key=ids.get)
    types = [1] * len(vocab)
    for a in t["added_tokens"]:
        while len(vocab) <= a["id"]:
            vocab.append(f"[PAD{len(vocab)}]")
            types.append(5)
        vocab[a["id"]] = a["content"]
        types[a["id"]] = 3 if a["special"] else 4
    write(path, "bert", [phantom(v) for v in vocab], [0.0] * len(vocab), types,
          {"unknown": ids["[UNK]"], "cls": ids["[CLS]"],
           "seperator": ids["[SEP]"]})


def write_unigram(texts, path, work):
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
    from sentencepiece import sentencepiece_model_pb2

    with open(f"{work}/texts", "w", encoding="utf-8") as f:
        f.writelines(" ".join(t.splitlines()) + "\n" for t in texts * 4)
    SentencePieceTrainer.train(
        input=f"{work}/texts", model_prefix=f"{work}/unigram",
        vocab_size=1200, character_coverage=0.99, model_type="unigram",
        byte_fallback=True, minloglevel=2, hard_vocab_limit=False)
    sp = SentencePieceProcessor(f"{work}/unigram.model")
    model = sentencepiece_model_pb2.ModelProto()
    with open(f"{work}/unigram.model", "rb") as f:
        model.ParseFromString(f.read())
    norm, n = model.normalizer_spec, range(sp.vocab_size())
    kinds = [2 if sp.is_unknown(i) else 3 if sp.is_control(i)
             else 6 if sp.is_byte(i) else 1 for i in n]
    write(path, "t5", [sp.id_to_piece(i) for i in n],
          [sp.get_score(i) for i in n], kinds,
          {"unknown": sp.unk_id(), "eos": sp.eos_id()},
          add_space_prefix=norm.add_dummy_prefix,
          remove_extra_whitespaces=norm.remove_extra_whitespaces,
          precompiled_charsmap=norm.precompiled_charsmap)
    return [sp.encode(t) for t in texts]


def read_golden(path):
    with open(path, newline="\n", encoding="utf-8") as f:
        golden = [json.loads(line) for line in f]
    golden = [g for g in golden if "\0" not in g["text"]]
    return [g["text"] for g in golden], [g["ids"] for g in golden]


def compare(slmctl, greedy, work, vocab):
    name = os.path.basename(vocab).rsplit(".", 1)[0]
    path = vocab
    if vocab.endswith(".golden.jsonl"):
        path = f"{work}/{name}.gguf"
        texts, _ = read_golden(vocab)
        texts = [t for t in texts if "<" not in t]
        want = write_unigram(texts, path, work)
    elif vocab.endswith(".json"):
        path = f"{work}/{name}.gguf"
        write_words(vocab, path)
        texts, want = read_golden(vocab.replace(".json", ".golden.jsonl"))
    else:
        with open(vocab + ".inp", newline="", encoding="utf-8") as f:
            texts = f.read().split(END)
        with open(vocab + ".out", encoding="utf-8") as f:
            want = [[int(i) for i in line.split()] for line in f]
    ours = slmctl_ids(slmctl, path, texts)
    theirs = llama_ids(greedy, path, texts)
    wrong = [i for i, w in enumerate(want) if ours[i] != w]
    for i in wrong[:SHOWN]:
        print(f"  {texts[i]!r:.100}\n    {want[i]}\n    {ours[i]}")
    print(f"{name}\tslmctl {len(want) - len(wrong)}, llama.cpp "
          f"{sum(a == b for a, b in zip(theirs, want))} of {len(want)}",
          flush=True)
    return len(wrong) > (FEW if vocab.endswith('.jsonl') else 0)


def main():
    slmctl, greedy, work, *vocabs = sys.argv[1:]
    os.makedirs(work, exist_ok=True)
    sys.exit(sum(compare(slmctl, greedy, work, v) for v in vocabs) > 0)


main()
