/* embed_private.h - the model and the features, shared by embed's files */
#ifndef EMBED_PRIVATE_H
#define EMBED_PRIVATE_H

#include "base/map.h"
#include "embed/embed.h"

#define EMBED_BUCKETS 65536
#define EMBED_NONE UINT32_MAX

/* A matrix in 8 bits: value = code * scale[row]. */
struct embed_matrix {
    size_t rows, cols;
    int8_t *code;
    float *scale;
};
void embed_matrix_release(struct embed_matrix *m);
/* Round x[rows,cols] to the nearest codes. */
void embed_matrix_set(struct embed_matrix *m, size_t rows, size_t cols,
                      const float *x);
/* out[cols] += weight * row */
void embed_matrix_add(const struct embed_matrix *m, size_t row, float weight,
                      float *out);

struct embed {
    uint32_t *row_of; /* [EMBED_BUCKETS] row of chars, EMBED_NONE: unseen */
    float *idf;       /* [chars.rows] */
    struct embed_matrix chars;
    struct map *vocabulary; /* word to row of words */
    float *word_weight;     /* [words.rows] SIF weight */
    struct embed_matrix words;
    float *common; /* [words.cols] the direction that all texts share */
};
struct embed *embed_new(void);

/* The distinct buckets of a text's character n-grams, ascending, with their
 * counts; the arrays have EMBED_GRAMS_MAX elements. Returns how many. */
#define EMBED_GRAMS_MAX (3 * (EMBED_TEXT_MAX + 8))
struct embed_gram {
    uint32_t bucket, count;
};
size_t embed_grams(struct slice text, struct embed_gram *out);
/* log tf, idf, scaled to length 1: the weights of those grams that have a
 * row, and the rows. Returns how many. */
size_t embed_gram_rows(const struct embed *e, struct slice text, uint32_t *row,
                       float *weight);

/* Calls fn for each word (lower case) of the text, in order. */
void embed_words(struct slice text,
                 void (*fn)(void *ctx, const char *word, size_t n), void *ctx);

/* The two halves of embed_fit. */
int embed_fit_chars(struct embed *e, struct pool *pool,
                    const struct slice *texts, size_t n, size_t dims,
                    uint64_t seed, struct err *err);
int embed_fit_words(struct embed *e, struct pool *pool,
                    const struct slice *texts, size_t n, size_t dims,
                    uint64_t seed, struct err *err);
/* The text's SIF vector before the common direction is taken out:
 * out[words.cols]. */
void embed_sif(const struct embed *e, struct slice text, float *out);

#endif
