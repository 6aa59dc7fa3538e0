/*
 * tokenizer.h - text to ids and back, as tokenizer.json says
 *
 * A tokenizer that uses a part we do not know is refused by that part's name.
 * May use: base json regex weights.
 */
#ifndef TOKENIZER_H
#define TOKENIZER_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#define TOKENIZER_MAX_VOCAB ((size_t)4 << 20)  /* ids */
#define TOKENIZER_MAX_TOKEN ((size_t)64 << 10) /* bytes of one token's text */
#define TOKENIZER_MAX_TEXT ((size_t)1 << 30)   /* bytes encoded at once */

struct tokenizer;

/* path: a tokenizer.json, a directory that holds one, or a GGUF file. */
MUST_CHECK int tokenizer_open(const char *path, struct tokenizer **out,
                              struct err *err);
void tokenizer_free(struct tokenizer *t); /* NULL is fine */
/* One more than the largest id. */
size_t tokenizer_size(const struct tokenizer *t);

enum tokenizer_flags {
    TOKENIZER_SPECIAL = 1,  /* add the post-processor's tokens (BOS...) */
    TOKENIZER_NO_ADDED = 2, /* text that looks like an added token is text */
};

/* A growing list of ids. */
struct token_list {
    int32_t *ids;
    size_t count, cap;
};
void token_list_add(struct token_list *l, int32_t id);
void token_list_release(struct token_list *l);

/* Appends the ids of text to *out. Invalid UTF-8 is read as U+FFFD. Thread
 * safe: the tokenizer is not changed. offsets, if not NULL, receives two
 * values a token: begin and end byte in text (a byte-level token inside a
 * character gets that character's bytes). ERR_LIMIT: the text is too long, or
 * a splitting pattern of tokenizer.json gave up on it; nothing is appended. */
MUST_CHECK int tokenizer_encode(const struct tokenizer *t, struct slice text,
                                unsigned flags, struct token_list *out,
                                struct token_list *offsets, struct err *err);
/* Appends the text of ids; ids out of range are skipped. */
void tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n,
                      bool skip_special, struct buf *out);
/* The id of an exact token text (added tokens included), -1 if none. */
int32_t tokenizer_id(const struct tokenizer *t, const char *token);
bool tokenizer_is_special(const struct tokenizer *t, int32_t id);
/* The token's text as stored (byte-level alphabet), NULL if out of range. */
const char *tokenizer_token(const struct tokenizer *t, int32_t id);

/* Appends the bytes that a token adds inside a text, which need not be whole
 * characters; false: it is a special token, or its bytes depend on what
 * stands before it (WordPiece), and nothing is appended. */
bool tokenizer_bytes(const struct tokenizer *t, int32_t id, struct buf *out);
/* Decoding keeps a space at the start of a text. */
bool tokenizer_keeps_first_space(const struct tokenizer *t);

/* Streaming decode: feed ids one at a time, get whole UTF-8 characters only;
 * tokenizer_stream_end gives what is left. */
struct tokenizer_stream;
struct tokenizer_stream *tokenizer_stream_new(const struct tokenizer *t,
                                              bool skip_special);
void tokenizer_stream_add(struct tokenizer_stream *s, int32_t id,
                          struct buf *out);
void tokenizer_stream_end(struct tokenizer_stream *s, struct buf *out);
void tokenizer_stream_free(struct tokenizer_stream *s);

/* Train a byte-level BPE (GPT-2's splitting, digits apart) on texts and write
 * tokenizer.json. vocab counts the 256 bytes, the merges and the specials;
 * it comes out smaller if no pair is left that occurs twice. A special's text
 * never becomes part of a merge. Deterministic: ties go to the smaller pair
 * of ids. */
struct tokenizer_train_options {
    size_t vocab;
    const char *const *specials; /* NULL-terminated, ids from 0 */
    size_t max_bytes;            /* of text used; 0: all */
};
MUST_CHECK int tokenizer_train(const struct slice *texts, size_t count,
                               const struct tokenizer_train_options *opt,
                               const char *out_path, struct err *err);

#endif
