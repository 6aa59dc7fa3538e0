/*
 * tokenizer_internal.h - the parts of a tokenizer, in the order of encoding:
 * added tokens, normalizer, shaping and splitting, model, post-processor; and
 * the decoder
 */
#ifndef TOKENIZER_INTERNAL_H
#define TOKENIZER_INTERNAL_H

#include "base/map.h"
#include "json/json.h"
#include "tokenizer/split_pattern.h"
#include "tokenizer/split_regex.h"
#include "tokenizer/tokenizer.h"

/* Text on its way through the steps. from/to: for each byte where in the
 * original text it comes from; NULL: byte i is original byte base + i. */
struct text_view {
    const char *p;
    size_t n;
    const uint32_t *from, *to;
    size_t base;
};

/* Text being built by a step. */
struct text_build {
    struct buf bytes;
    uint32_t *from, *to;
    size_t cap;
};
void text_build_reset(struct text_build *b);
void text_build_release(struct text_build *b);
/* n bytes that all come from original bytes from..to. */
void text_build_add(struct text_build *b, const char *p, size_t n, size_t from,
                    size_t to);
/* Bytes i..i+n of a view as they are. */
void text_build_copy(struct text_build *b, struct text_view v, size_t i,
                     size_t n);
struct text_view text_build_view(const struct text_build *b);
struct text_view text_view_part(struct text_view v, size_t i, size_t n);
/* Original range of bytes i..i+n. */
size_t text_view_from(struct text_view v, size_t i);
size_t text_view_to(struct text_view v, size_t end);

/* How far a step that gives new characters for those of a view has read. */
struct text_cursor {
    size_t at, last; /* next character; the one read last */
};
/* One more character of the result. change: 1 if it stands beside the one
 * before it, else it stands for the next character of v and -change more. */
void text_build_put(struct text_build *b, struct text_view v, uint32_t cp,
                    int change, struct text_cursor *c);

/* Normalizers: a list of steps over a view. */
enum norm_kind {
    NORM_PREPEND, /* a */
    NORM_REPLACE, /* a, or what regex matches, by b */
    NORM_UNICODE, /* to the form */
    NORM_LOWER,
    NORM_SPACES, /* two or more spaces by b */
    NORM_CLEAN,  /* BertNormalizer's four parts, the last one is LOWER */
    NORM_WIDE,
    NORM_UNACCENT,
    NORM_UNMARK, /* StripAccents */
    NORM_STRIP,  /* white space at the ends; form: left 1, right 2 */
    NORM_NMT,
    NORM_CHARSMAP, /* Precompiled */
    NORM_BYTE_LEVEL,
};
enum norm_form {
    NORM_FORM_C = 0,
    NORM_FORM_APART = 1,      /* not composed */
    NORM_FORM_COMPATIBLE = 2, /* by compatibility */
};
struct charsmap;
struct norm_step {
    enum norm_kind kind;
    unsigned form;
    struct slice a, b;    /* owned */
    struct charsmap *map; /* owned */
    struct regex *regex;  /* owned */
};
#define TOKENIZER_MAX_STEPS 16
struct norm {
    struct norm_step steps[TOKENIZER_MAX_STEPS];
    unsigned count;
};
MUST_CHECK int norm_load(struct norm *m, const struct json *j, json_ref v,
                         struct err *err);
void norm_release(struct norm *m);
/* The result is *v itself or lies in one of the two builds. Fails where a
 * pattern gives up. */
MUST_CHECK int norm_apply(const struct norm *m, struct text_view *v,
                          struct text_build two[2], struct err *err);

/* v itself if nothing changes, else in out. */
struct text_view norm_unicode(struct text_view v, enum norm_form form,
                              struct text_build *out);

/* Steps that look at one character at a time: CLEAN, WIDE, UNACCENT, UNMARK,
 * STRIP, NMT and SPACES. */
void norm_characters(const struct norm_step *s, struct text_view v,
                     struct text_build *out);

/* SentencePiece's compiled map: base64 of a double-array trie and texts. */
MUST_CHECK int charsmap_load(struct charsmap **out, struct slice base64,
                             struct err *err);
void charsmap_free(struct charsmap *m);
void charsmap_apply(const struct charsmap *m, struct text_view v,
                    struct text_build *out);

/* Pre-tokenizer: what it adds in front, what it replaces, how it splits. */
enum shape_prepend {
    SHAPE_NEVER,
    SHAPE_FIRST,  /* only at the start of the whole text */
    SHAPE_ALWAYS, /* every segment */
};
enum split_behavior {
    SPLIT_ISOLATED,
    SPLIT_REMOVED,
    SPLIT_PREVIOUS, /* the separator ends a piece */
    SPLIT_NEXT,     /* the separator begins a piece */
    SPLIT_CONTIGUOUS,
};
struct split_step {
    split_match_fn *match;    /* NULL: by separators */
    bool (*is_sep)(uint32_t); /* NULL: by the literal separator */
    struct slice literal;     /* owned */
    struct regex *regex;      /* owned; in place of the others */
    enum split_behavior behavior;
    bool invert; /* what lies between the matches separates */
};
struct pretok {
    bool byte_level;
    bool prefix_space; /* ByteLevel's add_prefix_space */
    bool metaspace;
    enum shape_prepend prepend;
    struct slice replacement; /* Metaspace's character, owned */
    unsigned shape_at;        /* the split before which the text is shaped */
    struct split_step split[TOKENIZER_MAX_STEPS];
    unsigned split_count;
    bool has_regex; /* in some step */
};
MUST_CHECK int pretok_load(struct pretok *p, const struct json *j, json_ref v,
                           struct err *err);
void pretok_release(struct pretok *p);
/* Bytes *n of the piece that begins at byte i < text.n; *drop: it is no word.
 * Fails where a pattern gives up. s: NULL unless a step has a pattern. */
MUST_CHECK int split_step_piece(const struct split_step *step,
                                const struct unicode_map *classes,
                                struct regex_scratch *s, struct slice text,
                                size_t i, size_t *n, bool *drop,
                                struct err *err);
struct text_view pretok_shape(const struct pretok *p, struct text_view v,
                              struct text_build *out);

/* Added tokens. */
struct added_token {
    int32_t id;
    struct slice content; /* owned */
    struct slice shown;   /* decoded; content unless normalizing changes it */
    bool special, single_word, lstrip, rstrip, normalized;
};
struct trie;
struct added {
    struct added_token *tokens;
    size_t count, cap;
    struct trie *raw, *normalized; /* NULL if there is none of the kind */
};
struct added_match {
    const struct added_token *token; /* NULL: text between */
    size_t begin, end;
};
struct added_list {
    struct added_match *items;
    size_t count, cap;
};
/* Split text at the tokens of one trie. special_too false: special tokens
 * are text. */
void added_split(const struct added *a, const struct trie *t,
                 const struct unicode_map *classes, struct slice text,
                 struct added_list *out);
MUST_CHECK int added_build(struct added *a, const struct norm *norm,
                           struct err *err);
void added_release(struct added *a);

/* Tokens of one word: ids with their length in bytes of the word. */
struct piece {
    int32_t id;
    uint32_t bytes;
    bool again; /* the same bytes as the piece before it */
};
struct piece_list {
    struct piece *items;
    size_t count, cap;
};

/* Byte-pair encoding. */
struct bpe;
struct bpe_scratch;
struct tokenizer;
MUST_CHECK int bpe_load(struct bpe **out, const struct tokenizer *t,
                        const struct json *j, json_ref model, struct err *err);
void bpe_free(struct bpe *b);
struct bpe_scratch *bpe_scratch_new(void);
void bpe_scratch_free(struct bpe_scratch *s);
/* Gives back lists of more than `most` entries. */
void bpe_scratch_trim(struct bpe_scratch *s, size_t most);
/* What bpe_encode would find there need not be asked of it. */
struct word_cache;
const struct word_cache *bpe_words(const struct bpe_scratch *s);
void bpe_encode(const struct bpe *b, struct slice word, struct bpe_scratch *s,
                struct piece_list *out);

/* Unigram: the likeliest pieces; and WordPiece: the longest ones first. */
struct unigram;
MUST_CHECK int unigram_load(struct unigram **out, const struct tokenizer *t,
                            const struct json *j, json_ref model,
                            struct err *err);
void unigram_free(struct unigram *u);
void unigram_encode(const struct unigram *u, struct slice word,
                    struct piece_list *out);
struct wordpiece;
MUST_CHECK int wordpiece_load(struct wordpiece **out, const struct tokenizer *t,
                              const struct json *j, json_ref model,
                              struct err *err);
void wordpiece_free(struct wordpiece *w);
void wordpiece_encode(const struct wordpiece *w, struct slice word,
                      struct piece_list *out);
void piece_list_add(struct piece_list *l, struct piece p);

/* Decoder steps over the list of token texts. */
enum decode_kind {
    DECODE_BYTE_LEVEL,
    DECODE_REPLACE,   /* a, or what regex matches, by b */
    DECODE_METASPACE, /* a is the character, flag: drop the first's space */
    DECODE_BYTE_FALLBACK,
    DECODE_FUSE,
    DECODE_STRIP,     /* a, up to start and stop times */
    DECODE_WORDPIECE, /* a is the prefix; flag: cleanup */
    DECODE_SUFFIX,    /* BPEDecoder: a becomes a space, nothing at the end */
};
struct decode_step {
    enum decode_kind kind;
    struct slice a, b;   /* owned */
    struct regex *regex; /* owned */
    int64_t start, stop;
    bool flag;
};
struct decoder {
    struct decode_step steps[TOKENIZER_MAX_STEPS];
    unsigned count;
    bool present; /* without a decoder tokens are joined by spaces */
};
MUST_CHECK int decoder_load(struct decoder *d, const struct json *j, json_ref v,
                            struct err *err);
void decoder_release(struct decoder *d);
void decoder_run(const struct decoder *d, const struct slice *tokens, size_t n,
                 struct buf *out);

/* GPT-2's alphabet: every byte as a printable character. */
unsigned byte_alphabet_char(unsigned char byte); /* code point */
int byte_alphabet_byte(uint32_t cp);             /* -1: not in it */

struct tokenizer {
    struct norm norm;
    struct pretok pretok;
    struct added added;
    struct decoder decoder;
    struct bpe *bpe; /* one of the three models */
    struct unigram *unigram;
    struct wordpiece *wordpiece;
    struct map *vocab;                /* token text -> id, the model's */
    struct map *extra;                /* the same of other added tokens */
    struct slice *tokens;             /* by id, owned; p is NULL in gaps */
    struct added_token const **by_id; /* added tokens by id */
    size_t size;
    size_t model_count;              /* entries of the model's vocabulary */
    struct token_list before, after; /* the post-processor's tokens */
    bool trim_offsets, trim_first;
    const struct unicode_map *classes;
    _Atomic(struct decode_table *)
        *bytes;               /* owned; made by the first decoding */
    struct idle_memory *idle; /* working memory of calls that have ended */
};

/* The text that stands for an id; false: it is left out. */
bool tokenizer_shown(const struct tokenizer *t, int32_t id, bool skip_special,
                     struct slice *out);
struct decode_table;
void decode_table_free(struct decode_table *d); /* NULL is fine */
struct idle_memory *idle_memory_new(void);
void idle_memory_free(struct idle_memory *i); /* NULL is fine */

/* "TYPE of a PART" for refusals: the type's name of a JSON object. */
MUST_CHECK int tokenizer_refuse(const struct json *j, json_ref v,
                                const char *part, struct err *err);
/* A string member as an owned slice; false if absent. */
bool tokenizer_string(const struct json *j, json_ref v, const char *key,
                      struct slice *out);
bool tokenizer_flag(const struct json *j, json_ref v, const char *key,
                    bool otherwise);
bool tokenizer_type_is(const struct json *j, json_ref v, const char *type);

#endif
