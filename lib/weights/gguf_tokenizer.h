/*
 * gguf_tokenizer.h - a tokenizer.json being made out of metadata; private to
 * the files that do
 */
#ifndef GGUF_TOKENIZER_H
#define GGUF_TOKENIZER_H

#include "json/json.h"
#include "weights/gguf_internal.h"

/* How text is split that byte-level BPE then merges. */
struct gguf_pre {
    const char *name, *regex;
    const char *const *list; /* NULL-terminated patterns, or NULL */
    unsigned flags;
};
const struct gguf_pre *gguf_pre_find(struct slice name); /* NULL: not known */
bool gguf_pre_keeps_words(const struct gguf_pre *pre);   /* ignore_merges */
bool gguf_pre_adds_bos(const struct gguf_pre *pre); /* if nothing is said */

enum tokenizer_kind {
    TOKENIZER_BYTES,
    TOKENIZER_PIECES,
    TOKENIZER_UNIGRAM,
    TOKENIZER_WORDS,
};

struct tokenizer_out {
    const struct gguf *g;
    const struct gguf_entry *tokens, *types, *scores, *merges;
    enum tokenizer_kind kind;
    const struct gguf_pre *pre; /* of TOKENIZER_BYTES alone */
    struct json_writer w;
    struct err *err;
};

/* Of enum gguf_token. */
int gguf_token_type(const struct tokenizer_out *t, size_t id);
/* -1: there is none. */
int64_t gguf_token_unknown(const struct tokenizer_out *t);
bool gguf_token_has_bytes(const struct tokenizer_out *t);

/* Each: normalizer, pre_tokenizer and decoder of its kind. */
void gguf_put_byte_level(struct tokenizer_out *t);
void gguf_put_pieces(struct tokenizer_out *t);
void gguf_put_unigram(struct tokenizer_out *t);
void gguf_put_words(struct tokenizer_out *t);
/* "merges": all pairs of pieces that make a piece; special ones are none. */
void gguf_put_piece_merges(struct tokenizer_out *t);
/* The members of "model". */
MUST_CHECK int gguf_put_unigram_model(struct tokenizer_out *t);
/* A token of WordPiece as a checkpoint spells it; the caller frees. */
char *gguf_word_piece(struct slice text);

#endif
