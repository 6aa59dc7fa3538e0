/*
 * embed.c - the fitted model: text to vector, saved and loaded
 *
 * Projections are kept in 8 bits from the moment they are fitted, so that a
 * model that was stored gives the very vectors that clustering saw.
 */
#include "embed/embed_private.h"

#include "base/mem.h"
#include "linalg/linalg.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS_PER_TASK 64

void embed_matrix_release(struct embed_matrix *m)
{
    free(m->code);
    free(m->scale);
    *m = (struct embed_matrix){ 0 };
}

void embed_matrix_set(struct embed_matrix *m, size_t rows, size_t cols,
                      const float *x)
{
    m->rows = rows;
    m->cols = cols;
    m->code = mem_array(rows * cols, 1);
    m->scale = mem_array(rows, sizeof(*m->scale));
    for (size_t r = 0; r < rows; r++) {
        float most = 0;
        for (size_t c = 0; c < cols; c++)
            most = fmaxf(most, fabsf(x[r * cols + c]));
        m->scale[r] = most / 127;
        for (size_t c = 0; c < cols; c++)
            m->code[r * cols + c] =
                most > 0 ? (int8_t)lrintf(x[r * cols + c] / most * 127) : 0;
    }
}

void embed_matrix_add(const struct embed_matrix *m, size_t row, float weight,
                      float *out)
{
    const int8_t *code = m->code + row * m->cols;
    float scale = weight * m->scale[row];

    for (size_t c = 0; c < m->cols; c++)
        out[c] += scale * (float)code[c];
}

struct embed *embed_new(void)
{
    struct embed *e = mem_zalloc(sizeof(*e));

    e->row_of = mem_array(EMBED_BUCKETS, sizeof(*e->row_of));
    memset(e->row_of, 0xff, EMBED_BUCKETS * sizeof(*e->row_of));
    e->vocabulary = map_new();
    return e;
}

void embed_free(struct embed *e)
{
    if (!e)
        return;
    free(e->row_of);
    free(e->idf);
    embed_matrix_release(&e->chars);
    map_free(e->vocabulary);
    free(e->word_weight);
    embed_matrix_release(&e->words);
    free(e->common);
    free(e);
}

int embed_fit(struct pool *pool, const struct slice *texts, size_t n,
              const struct embed_options *o, const struct progress *progress,
              struct embed **out, struct err *err)
{
    struct embed *e = embed_new();
    size_t least = o->word_min ? o->word_min : 2000;
    int rc;

    progress_update(progress, "embedding", 0, 2, NULL);
    rc = embed_fit_chars(e, pool, texts, n, o->char_dims ? o->char_dims : 128,
                         o->seed, err);
    progress_update(progress, "embedding", 1, 2, NULL);
    if (rc == 0 && n >= least)
        rc = embed_fit_words(e, pool, texts, n,
                             o->word_dims ? o->word_dims : 128, o->seed, err);
    progress_update(progress, "embedding", 2, 2, NULL);
    if (rc == 0)
        *out = e;
    else
        embed_free(e);
    return rc;
}

size_t embed_dims(const struct embed *e)
{
    size_t d = e->chars.cols + e->words.cols;

    return d ? d : 1;
}

static void embed_chars(const struct embed *e, struct slice text, float *x)
{
    uint32_t *row = mem_array(EMBED_GRAMS_MAX, sizeof(*row));
    float *weight = mem_array(EMBED_GRAMS_MAX, sizeof(*weight));
    size_t n = embed_gram_rows(e, text, row, weight);

    for (size_t i = 0; i < n; i++)
        embed_matrix_add(&e->chars, row[i], weight[i], x);
    linalg_normalize(x, e->chars.cols);
    free(row);
    free(weight);
}

void embed_text(const struct embed *e, struct slice text, float *x)
{
    size_t d = e->words.cols;
    float *sif = x + e->chars.cols;

    memset(x, 0, embed_dims(e) * sizeof(*x));
    if (e->chars.cols)
        embed_chars(e, text, x);
    if (d) {
        embed_sif(e, text, sif);
        linalg_normalize(sif, d);
        float along = linalg_dot(sif, e->common, d);
        for (size_t i = 0; i < d; i++)
            sif[i] -= along * e->common[i];
        linalg_normalize(sif, d);
    }
    linalg_normalize(x, embed_dims(e));
}

struct texts_job {
    const struct embed *e;
    const struct slice *texts;
    size_t n;
    float *x;
};

static void texts_task(void *ctx, size_t task, unsigned worker)
{
    const struct texts_job *j = ctx;
    size_t end = (task + 1) * TEXTS_PER_TASK;

    (void)worker;
    for (size_t i = task * TEXTS_PER_TASK; i < end && i < j->n; i++)
        embed_text(j->e, j->texts[i], j->x + i * embed_dims(j->e));
}

void embed_texts(const struct embed *e, struct pool *pool,
                 const struct slice *texts, size_t n, float *x)
{
    struct texts_job j = { e, texts, n, x };

    pool_run(pool, (n + TEXTS_PER_TASK - 1) / TEXTS_PER_TASK, texts_task, &j);
}
