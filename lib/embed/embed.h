/*
 * embed.h - short texts to vectors, from the user's own texts alone
 *
 * Two halves side by side, each of unit length: hashed character 3- to
 * 5-grams (log tf, idf) through a truncated SVD, and SIF sentence vectors
 * (Arora et al. 2017) over word vectors from the SVD of the texts' own PPMI
 * matrix (Levy & Goldberg 2014). No download, no vocabulary of others. SIF
 * needs about 2,000 texts to pay off; fewer leave its half out.
 * May use: base, json, linalg.
 */
#ifndef EMBED_H
#define EMBED_H

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EMBED_TEXT_MAX 4000 /* bytes of a text that are read */

struct embed;

struct embed_options {
    size_t char_dims; /* 0: 128 */
    size_t word_dims; /* 0: 128 */
    size_t word_min;  /* texts below which words are left out; 0: 2000 */
    uint64_t seed;
};

/* Ownership: embed_free. n may be 0 (all vectors are then zero). */
MUST_CHECK int embed_fit(struct pool *pool, const struct slice *texts, size_t n,
                         const struct embed_options *o,
                         const struct progress *progress, struct embed **out,
                         struct err *err);
void embed_free(struct embed *e); /* NULL is fine */
size_t embed_dims(const struct embed *e);

/* x[embed_dims]: unit length, or zero for a text that has nothing known. */
void embed_text(const struct embed *e, struct slice text, float *x);
/* x[n,embed_dims] */
void embed_texts(const struct embed *e, struct pool *pool,
                 const struct slice *texts, size_t n, float *x);

/* Append a portable form (little-endian, projections in 8 bits). A loaded
 * model equals the saved one bit for bit: fitting rounds too. */
void embed_save(const struct embed *e, struct buf *out);
MUST_CHECK int embed_load(struct slice data, struct embed **out,
                          struct err *err);

/* Each row of unit vectors x[n,d] becomes the normalised mean of its `near`
 * nearest rows (itself among them). n^2 d work, in blocks. */
void embed_smooth(struct pool *pool, size_t n, size_t d, size_t near, float *x);

#endif
