#!/usr/bin/env python3
"""Tokenizers put together at random, against the tokenizers package.

usage: tokenizer_matrix.py SLMCTL WORK [COUNT [SEED]]
(needs tokenizers)

Each of COUNT tokenizers has random normalizers, pre-tokenizers, a model
trained on random text through them, a post-processor, added tokens and
decoders, of all classes that slmctl reads. Ids with special tokens, offsets
and both decodings of 40 texts have to be equal. A composition that slmctl
refuses is counted by its message; everything else that differs is printed.
"""
import collections
import json
import os
import random
import subprocess
import sys

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models,
                        normalizers, pre_tokenizers, processors, trainers)

WORDS = """the quick brown fox don't we'll I'M x2 3.14 1,000 naïve café Ünïcödé
Straße İstanbul ıI ΣΊΣΥΦΟΣ σοφός Привет мир ёлка עברית العربية हिन्दी ไทย
日本語 漢字 かな カタカナ ﾊﾝｶｸ 한국어 각 ﬁ ﬀ ① ² ½ Ⅷ ㎏ é ñ Å x̱́
👍🏽 👨‍👩‍👧 🇩🇪 ☃️ ▁ ▁▁ _ __ -- ... « » „“ ‘’ ¿ ¡ § © ™ € £ ¥ ∑ ≠ → \u200d \u200b
\ufeff \u00ad \u0301 \u202e Ａ１ ａ ｂ <a> </s> [MASK] {"k": [1]} $x^2$ a_b a-b A.B.C http://x.yz?q=1
foo(bar); #tag @me 100% C++ end.""".split()
SPACES = [" ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ",
          "\u00a0", "\u3000", "\u2009", "\u2028", "", "", "\x0b", "\x85"]
BEHAVIORS = ["removed", "isolated", "merged_with_previous",
             "merged_with_next", "contiguous"]
PATTERNS = [r"\s+", r"\d", r"\d{1,3}", r"\p{L}+", r"[^\s\p{L}\p{N}]+",
            r"\p{Lu}", r"(?=\p{Lu})", r"(?<=\d)(?=\p{L})", r"[aeiou]",
            r" ?\p{L}+| ?\p{N}+|\s+(?!\S)|\s+", r"\w+|[^\w\s]+", r"x*", r"\b",
            r"[\p{Han}\p{Hiragana}]", r"[\r\n]+", r"^\s|\s$", r"(?i:the)",
            r"'(?:[sdmt]|ll|ve|re)", r".", r"\p{M}", r"\p{P}|\p{S}"]


def text(rng):
    out = rng.choice(["", "", " ", "\n"])
    for _ in range(rng.randint(0, 14)):
        out += rng.choice(WORDS) + rng.choice(SPACES)
    return out


def pattern(rng):
    if rng.random() < 0.4:
        return rng.choice([" ", "▁", "e", "'", "--", ".", "\n", "(", "a+"])
    return Regex(rng.choice(PATTERNS))


def normalizer(rng):
    return rng.choice([
        normalizers.NFC, normalizers.NFD, normalizers.NFKC, normalizers.NFKD,
        normalizers.Lowercase, normalizers.StripAccents, normalizers.Nmt,
        lambda: normalizers.Strip(rng.random() < 0.5, rng.random() < 0.5),
        lambda: normalizers.Replace(pattern(rng), rng.choice(
            ["", " ", "▁", "xy", "é", "$1"])),
        lambda: normalizers.Prepend(rng.choice(["▁", " ", "ab"])),
        lambda: normalizers.BertNormalizer(
            rng.random() < 0.5, rng.random() < 0.5,
            rng.choice([None, True, False]), rng.random() < 0.5),
        normalizers.ByteLevel])()


def pre_tokenizer(rng):
    return rng.choice([
        lambda: pre_tokenizers.Split(pattern(rng), rng.choice(BEHAVIORS),
                                     rng.random() < 0.3),
        lambda: pre_tokenizers.Split(pattern(rng), rng.choice(BEHAVIORS),
                                     rng.random() < 0.3),
        lambda: pre_tokenizers.Digits(rng.random() < 0.5),
        lambda: pre_tokenizers.Metaspace(
            "▁", rng.choice(["always", "first", "never"]),
            rng.random() < 0.7),
        pre_tokenizers.Whitespace, pre_tokenizers.WhitespaceSplit,
        lambda: pre_tokenizers.Punctuation(rng.choice(BEHAVIORS)),
        lambda: pre_tokenizers.CharDelimiterSplit(rng.choice("-e. ")),
        pre_tokenizers.BertPreTokenizer,
        lambda: pre_tokenizers.ByteLevel(rng.random() < 0.5,
                                         use_regex=rng.random() < 0.5)])()


def decoder(rng):
    return rng.choice([
        decoders.ByteLevel, decoders.ByteFallback, decoders.Fuse,
        lambda: decoders.Replace(pattern(rng), rng.choice(["", " ", "é"])),
        lambda: decoders.Metaspace("▁", rng.choice(["always", "first",
                                                     "never"])),
        lambda: decoders.Strip(rng.choice([" ", "a"]), rng.randint(0, 2),
                               rng.randint(0, 2)),
        lambda: decoders.WordPiece("##", rng.random() < 0.5),
        lambda: decoders.BPEDecoder("</w>")])()


def sequence(rng, one, whole, most):
    parts = [one(rng) for _ in range(rng.choice(
        [0] + list(range(1, most + 1)) * 2))]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 and rng.random() < 0.5 \
        else whole(parts)


def post_processor(rng, tok):
    cls, sep = (("[C]", tok.token_to_id("[C]")), ("[S]",
                                                  tok.token_to_id("[S]")))
    return rng.choice([
        lambda: None,
        lambda: processors.TemplateProcessing(
            single=rng.choice(["[C] $A [S]", "[C] $A", "$A [S] [S]"]),
            special_tokens=[cls, sep]),
        lambda: processors.BertProcessing(sep, cls),
        lambda: processors.RobertaProcessing(sep, cls, rng.random() < 0.5,
                                             rng.random() < 0.5),
        lambda: processors.ByteLevel(rng.random() < 0.5),
        lambda: processors.Sequence([
            processors.ByteLevel(rng.random() < 0.5),
            processors.TemplateProcessing(single="[C] $A [S]",
                                          special_tokens=[cls, sep])])])()


def make(rng):
    kind = rng.choice(["bpe", "bpe", "unigram", "wordpiece"])
    special = ["[U]", "[C]", "[S]"]
    model, trainer = {
        "bpe": lambda: (models.BPE(
            unk_token=rng.choice([None, "[U]"]),
            fuse_unk=rng.random() < 0.5, byte_fallback=rng.random() < 0.3,
            ignore_merges=rng.random() < 0.2),
            trainers.BpeTrainer(vocab_size=400, special_tokens=special,
                                show_progress=False)),
        "unigram": lambda: (models.Unigram(), trainers.UnigramTrainer(
            vocab_size=250, special_tokens=special, unk_token="[U]",
            show_progress=False)),
        "wordpiece": lambda: (models.WordPiece(unk_token="[U]"),
                              trainers.WordPieceTrainer(
            vocab_size=400, special_tokens=special, show_progress=False)),
    }[kind]()
    tok = Tokenizer(model)
    n = sequence(rng, normalizer, normalizers.Sequence, 3)
    p = sequence(rng, pre_tokenizer, pre_tokenizers.Sequence, 3)
    if n:
        tok.normalizer = n
    if p:
        tok.pre_tokenizer = p
    tok.train_from_iterator([text(rng) for _ in range(60)], trainer)
    post = post_processor(rng, tok)
    if post:
        tok.post_processor = post
    d = sequence(rng, decoder, decoders.Sequence, 3)
    if d:
        tok.decoder = d
    for content in rng.sample(["<a>", "</s>", "[MASK]", "don", "é", "fox",
                               " quick", "ΣΊ"], rng.randint(0, 4)):
        flags = {k: rng.random() < 0.3 for k in
                 ("single_word", "lstrip", "rstrip", "normalized")}
        add = tok.add_special_tokens if rng.random() < 0.5 else tok.add_tokens
        add([AddedToken(content, **flags)])
    return tok


def ask(slmctl, path, lines, *options):
    done = subprocess.run([slmctl, "model", "tokenize", path, *options],
                          input="".join(json.dumps(x) + "\n" for x in lines),
                          capture_output=True, text=True)
    if not done.stdout:
        return None, done.stderr.strip()
    return [json.loads(x) for x in done.stdout.split("\n") if x], done.stderr


def differences(slmctl, tok, path, texts):
    got, why = ask(slmctl, path, [{"text": t} for t in texts], "--special",
                   "--offsets")
    if got is None:
        return why, []
    found, ids = [], []
    for t, g in zip(texts, got):
        want = tok.encode(t)
        ids.append(want.ids)
        if g.get("ids") != want.ids:
            found.append(("ids", t, g.get("ids", g), want.ids))
        elif [list(o) for o in g["offsets"]] != [list(o) for o in
                                                 want.offsets]:
            found.append(("offsets", t, g["offsets"],
                          [list(o) for o in want.offsets]))
    for skip in False, True:
        got, _ = ask(slmctl, path, [{"ids": i} for i in ids], "--decode",
                     *(["--skip-special"] if skip else []))
        for i, g in zip(ids, got or []):
            try:
                want = tok.decode(i, skip_special_tokens=skip)
            except BaseException as e:  # some decoders panic on short texts
                if isinstance(e, KeyboardInterrupt):
                    raise
                continue
            if g.get("text") != want:
                found.append(("decode", i, g.get("text", g), want))
    return None, found


def main():
    slmctl, work = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    os.makedirs(work, exist_ok=True)
    refused, equal, wrong = collections.Counter(), 0, 0
    for k in range(count):
        rng = random.Random(seed * 100000 + k)
        try:
            tok = make(rng)
            texts = [text(rng) for _ in range(40)]
            [tok.encode(t) for t in texts]
        except BaseException as e:  # a panic of the package is none
            if isinstance(e, KeyboardInterrupt):
                raise
            refused[f"the package itself: {str(e)[:60]}"] += 1
            continue
        path = f"{work}/{k}.json"
        tok.save(path)
        why, found = differences(slmctl, tok, path, texts)
        if why:
            refused[why.split(".json: ")[-1][:110]] += 1
        elif found:
            wrong += 1
            what, at, got, want = found[0]
            print(f"{path}: {len(found)} differ, as {what} of {at!r}:\n"
                  f"  {got}\n  {want}", flush=True)
        else:
            equal += 1
    print(f"{equal} equal, {wrong} not, {sum(refused.values())} refused")
    for why, n in refused.most_common():
        print(f"  {n}\t{why}")
    sys.exit(wrong > 0)


main()
