#!/usr/bin/env python3
"""Writes parts-added.json or parts-emptied.json: added tokens of all flags.

usage: tokenizer_added.py added|emptied > tests/reference/tokenizers/NAME.json
       tokenizer_added.py texts [ascii] |
           tokenizer_golden.py NAME.json /dev/stdin > NAME.golden.jsonl
needs: pip install tokenizers==0.23.3

added: tokens of blanks that take blanks at their sides, single words beside
characters that are words and are not, a special token whose spelling another
one gets by normalizing. emptied: a token that normalizing leaves nothing of,
which is found everywhere; the reference panics at it within a character, so
its texts are ASCII.
"""
import json
import random
import sys

from tokenizers import AddedToken, Tokenizer, models, normalizers


def build(name):
    vocab = {"[UNK]": 0}
    for c in "abcefox1-_ A":
        vocab[c] = len(vocab)
    vocab["ab"] = len(vocab)
    t = Tokenizer(models.BPE(vocab, [("a", "b")], unk_token="[UNK]"))
    if name == "emptied":
        t.normalizer = normalizers.Strip()
        t.add_tokens([AddedToken("   ", lstrip=True, rstrip=True,
                                 normalized=True)])
    else:
        t.normalizer = normalizers.Lowercase()
        t.add_tokens([
            AddedToken("  ", single_word=True, lstrip=True, rstrip=True),
            AddedToken("foo", single_word=True, normalized=False),
            AddedToken("é", single_word=True, normalized=False),
            AddedToken("X ", rstrip=True),
        ])
        t.add_special_tokens([AddedToken("x ", normalized=False)])
    return t


if sys.argv[1] == "texts":
    random.seed(4)
    pieces = ["a", "b", "ab", " ", "  ", "    ", "é", "½", "²", "_", "\u200d",
              "A", "foo", "Foo", "\n", "1", "-", "x ", "X ", "\u0301", "日"]
    if sys.argv[2:] == ["ascii"]:
        pieces = [p for p in pieces if p.isascii()]
    for i in range(150):
        text = "".join(random.choice(pieces)
                       for _ in range(random.randint(0, 10)))
        print(json.dumps({"text": text}))
else:
    print(build(sys.argv[1]).to_str(pretty=True))
