/*
 * embed_fit.c - learn both halves from texts
 *
 * Rows of n-grams that occur in one text only are left out: they cannot relate
 * two texts. Co-occurrences are counted by sorting pairs, which needs no map
 * and gives the same order everywhere.
 */
#include "embed/embed_private.h"

#include "base/mem.h"
#include "linalg/linalg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 20000       /* of the vocabulary */
#define TOKENS_MAX (4u << 20) /* of all texts that are counted */
#define WINDOW 5              /* words to the right */
#define SIF_A 1e-3            /* Arora et al. 2017 */
#define CONTEXT_POWER 0.75    /* Levy, Goldberg & Dagan 2015 */

static void count_buckets(const struct slice *texts, size_t n, uint32_t *df)
{
    struct embed_gram *g = mem_array(EMBED_GRAMS_MAX, sizeof(*g));

    for (size_t i = 0; i < n; i++) {
        size_t grams = embed_grams(texts[i], g);
        for (size_t j = 0; j < grams; j++)
            df[g[j].bucket]++;
    }
    free(g);
}

/* Rows for the buckets with df >= 2, and their idf (smoothed, as others do:
 * ln((1 + n) / (1 + df)) + 1). */
static size_t choose_buckets(struct embed *e, const uint32_t *df, size_t n)
{
    size_t rows = 0;

    for (size_t b = 0; b < EMBED_BUCKETS; b++)
        rows += df[b] >= 2;
    e->idf = mem_array(rows, sizeof(*e->idf));
    rows = 0;
    for (size_t b = 0; b < EMBED_BUCKETS; b++) {
        if (df[b] < 2)
            continue;
        e->row_of[b] = (uint32_t)rows;
        e->idf[rows++] = logf((1 + (float)n) / (1 + (float)df[b])) + 1;
    }
    return rows;
}

static void gram_matrix(const struct embed *e, const struct slice *texts,
                        size_t n, size_t cols, struct linalg_sparse *s)
{
    uint32_t *row = mem_array(EMBED_GRAMS_MAX, sizeof(*row));
    float *weight = mem_array(EMBED_GRAMS_MAX, sizeof(*weight));
    size_t column_cap = 0, value_cap = 0;
    void *column = NULL, *value = NULL;

    *s = (struct linalg_sparse){ .rows = n, .cols = cols };
    s->start = mem_array(n + 1, sizeof(*s->start));
    s->start[0] = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = s->start[i];
        size_t grams = embed_gram_rows(e, texts[i], row, weight);
        mem_grow(&column, &column_cap, at + grams, sizeof(*row));
        mem_grow(&value, &value_cap, at + grams, sizeof(*weight));
        s->column = column;
        s->value = value;
        if (grams) {
            memcpy(s->column + at, row, grams * sizeof(*row));
            memcpy(s->value + at, weight, grams * sizeof(*weight));
        }
        s->start[i + 1] = at + grams;
    }
    free(row);
    free(weight);
}

int embed_fit_chars(struct embed *e, struct pool *pool,
                    const struct slice *texts, size_t n, size_t dims,
                    uint64_t seed, struct err *err)
{
    uint32_t *df = mem_zalloc(EMBED_BUCKETS * sizeof(*df));
    struct linalg_sparse s;
    int rc = 0;

    count_buckets(texts, n, df);
    size_t rows = choose_buckets(e, df, n);
    free(df);
    if (dims > rows)
        dims = rows;
    if (dims == 0)
        return 0;
    gram_matrix(e, texts, n, rows, &s);
    float *values = mem_array(dims, sizeof(*values));
    float *v = mem_array(rows * dims, sizeof(*v));
    rc = linalg_svd(pool, &s, dims, seed, values, v, err);
    if (rc == 0)
        embed_matrix_set(&e->chars, rows, dims, v);
    free(values);
    free(v);
    linalg_sparse_release(&s);
    return rc;
}

/* All texts as one row of word numbers; EMBED_NONE ends a text. */
struct tokens {
    struct map *words; /* to a number in order of appearance */
    uint32_t *id;
    size_t count;
};

static void token_add(void *ctx, const char *word, size_t n)
{
    struct tokens *t = ctx;
    bool added;

    if (t->count >= TOKENS_MAX)
        return;
    size_t next = map_count(t->words);
    uint64_t *id = map_put(t->words, word, n, &added);
    if (added)
        *id = next;
    t->id[t->count++] = (uint32_t)*id;
}

struct word_count {
    uint32_t id, count;
};

static int compare_counts(const void *a, const void *b)
{
    const struct word_count *x = a, *y = b;

    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Number the words that occur twice or more by falling count; tokens of the
 * others become EMBED_NONE + nothing. Returns the size of the vocabulary. */
static size_t choose_words(struct embed *e, struct tokens *t)
{
    size_t all = map_count(t->words), kept = 0;
    struct word_count *c = mem_array(all, sizeof(*c));
    uint32_t *row = mem_array(all, sizeof(*row));
    double total = 0;

    for (size_t i = 0; i < all; i++)
        c[i] = (struct word_count){ (uint32_t)i, 0 };
    for (size_t i = 0; i < t->count; i++)
        if (t->id[i] != EMBED_NONE)
            c[t->id[i]].count++;
    qsort(c, all, sizeof(*c), compare_counts);
    for (size_t i = 0; i < all; i++)
        row[c[i].id] = EMBED_NONE - 1;
    while (kept < all && kept < WORDS_MAX && c[kept].count >= 2)
        total += c[kept++].count;
    e->word_weight = mem_array(kept, sizeof(*e->word_weight));
    for (size_t i = 0; i < kept; i++) {
        struct slice word = map_key(t->words, c[i].id);
        row[c[i].id] = (uint32_t)i;
        *map_put(e->vocabulary, word.p, word.n, NULL) = i;
        e->word_weight[i] =
            (float)(SIF_A / (SIF_A + (double)c[i].count / total));
    }
    for (size_t i = 0; i < t->count; i++)
        if (t->id[i] != EMBED_NONE)
            t->id[i] = row[t->id[i]];
    free(c);
    free(row);
    return kept;
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Each pair of kept words within the window, both ways, as sorted keys. */
static uint64_t *word_pairs(const struct tokens *t, size_t words, size_t *count)
{
    uint64_t *key = mem_array(2 * WINDOW * t->count + 1, sizeof(*key));
    size_t n = 0;

    for (size_t i = 0; i < t->count; i++) {
        if (t->id[i] >= words)
            continue;
        for (size_t j = i + 1; j < t->count && j <= i + WINDOW; j++) {
            if (t->id[j] == EMBED_NONE)
                break;
            if (t->id[j] >= words)
                continue;
            key[n++] = (uint64_t)t->id[i] << 32 | t->id[j];
            key[n++] = (uint64_t)t->id[j] << 32 | t->id[i];
        }
    }
    qsort(key, n, sizeof(*key), compare_keys);
    *count = n;
    return key;
}

/* The positive PMI of the sorted pairs, with smoothed contexts. */
static void ppmi_matrix(const uint64_t *key, size_t n, size_t words,
                        struct linalg_sparse *s)
{
    double *sum = mem_zalloc(words * sizeof(*sum)), contexts = 0;
    size_t out = 0;

    *s = (struct linalg_sparse){ .rows = words, .cols = words };
    s->start = mem_zalloc((words + 1) * sizeof(*s->start));
    s->column = mem_array(n, sizeof(*s->column));
    s->value = mem_array(n, sizeof(*s->value));
    for (size_t i = 0; i < n; i++)
        sum[key[i] >> 32]++;
    for (size_t w = 0; w < words; w++)
        contexts += pow(sum[w], CONTEXT_POWER);
    for (size_t i = 0, run; i < n; i += run) {
        size_t a = key[i] >> 32, b = key[i] & 0xffffffff;
        for (run = 1; i + run < n && key[i + run] == key[i];)
            run++;
        double pmi =
            log((double)run / sum[a] * contexts / pow(sum[b], CONTEXT_POWER));
        if (pmi <= 0)
            continue;
        s->column[out] = (uint32_t)b;
        s->value[out++] = (float)pmi;
        s->start[a + 1] = out;
    }
    for (size_t w = 0; w < words; w++) /* words without a positive pair */
        if (s->start[w + 1] < s->start[w])
            s->start[w + 1] = s->start[w];
    free(sum);
}

/* Word vectors: right singular vectors scaled by the root of their values. */
static int fit_vectors(struct embed *e, struct pool *pool,
                       const struct linalg_sparse *s, size_t dims,
                       uint64_t seed, struct err *err)
{
    size_t words = s->rows;
    float *values = mem_array(dims, sizeof(*values));
    float *v = mem_array(words * dims, sizeof(*v));
    int rc = linalg_svd(pool, s, dims, seed, values, v, err);

    if (rc == 0) {
        for (size_t w = 0; w < words; w++)
            for (size_t i = 0; i < dims; i++)
                v[w * dims + i] *= sqrtf(values[i]);
        embed_matrix_set(&e->words, words, dims, v);
    }
    free(values);
    free(v);
    return rc;
}

/* The first right singular vector of all SIF vectors. */
static void fit_common(struct embed *e, struct pool *pool,
                       const struct slice *texts, size_t n)
{
    size_t d = e->words.cols;
    float *x = mem_array(n * d, sizeof(*x));
    double *g = mem_array(2 * d * d + d, sizeof(*g));

    for (size_t i = 0; i < n; i++) {
        embed_sif(e, texts[i], x + i * d);
        linalg_normalize(x + i * d, d);
    }
    linalg_gram(pool, n, d, x, g);
    linalg_eigen(d, g, g + 2 * d * d, g + d * d);
    e->common = mem_array(d, sizeof(*e->common));
    for (size_t i = 0; i < d; i++)
        e->common[i] = (float)g[d * d + i];
    free(x);
    free(g);
}

int embed_fit_words(struct embed *e, struct pool *pool,
                    const struct slice *texts, size_t n, size_t dims,
                    uint64_t seed, struct err *err)
{
    struct tokens t = { .words = map_new() };
    struct linalg_sparse s = { 0 };
    size_t words, pairs = 0;
    int rc = 0;

    t.id = mem_array(TOKENS_MAX + n, sizeof(*t.id));
    for (size_t i = 0; i < n; i++) {
        embed_words(texts[i], token_add, &t);
        t.id[t.count++] = EMBED_NONE;
        if (t.count >= TOKENS_MAX)
            break;
    }
    words = choose_words(e, &t);
    if (dims > words)
        dims = words;
    uint64_t *key = word_pairs(&t, words, &pairs);
    if (dims && pairs) {
        ppmi_matrix(key, pairs, words, &s);
        rc = fit_vectors(e, pool, &s, dims, seed, err);
        if (rc == 0)
            fit_common(e, pool, texts, n);
    }
    free(key);
    free(t.id);
    map_free(t.words);
    linalg_sparse_release(&s);
    return rc;
}
