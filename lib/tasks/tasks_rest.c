/*
 * tasks_rest.c - prompts that share no template: what they say decides
 *
 * Most such texts are one task with free input, and splitting those is worse
 * than leaving them whole. So k-means must earn its k: models fitted on
 * different 80 % samples have to agree, which they do on two kinds of text
 * and do not on the topics of one. Smoothing by neighbours is taken by the
 * same measure.
 */
#include "tasks/tasks_private.h"

#include "base/mem.h"
#include "kmeans/kmeans.h"
#include "linalg/linalg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REST_MIN 40 /* texts below which nothing is split */
#define REST_PER_CLUSTER 15
#define REST_SAMPLE 4000 /* texts that stability is measured on */
#define REST_DIMS 128
#define STABLE 0.7        /* agreement that a split must reach */
#define STABLE_SLACK 0.03 /* the smallest k this near the best is taken */
#define MODELS 4
#define NEIGHBOURS 10
#define FIT_TEXTS_MAX 20000

struct choice {
    size_t k;
    bool smooth;
    double stability;
};

/* Stability of each k on x; the better of *best and the choice here stays. */
static int measure(struct pool *pool, size_t n, size_t d, const float *x,
                   bool smooth, uint64_t seed, struct choice *best,
                   struct err *err)
{
    static const size_t ks[] = { 2, 3, 4, 6, 8, 12, 16, 24 };
    double stability[8], most = 0;
    size_t tried = 0;

    for (; tried < 8 && ks[tried] * REST_PER_CLUSTER <= n; tried++) {
        struct kmeans_options o = {
            .k = ks[tried], .spherical = true, .seed = seed, .restarts = 2
        };
        int rc =
            kmeans_stability(pool, n, d, x, &o, MODELS, &stability[tried], err);
        if (rc < 0)
            return rc;
        most = fmax(most, stability[tried]);
    }
    if (most < STABLE || most <= best->stability + STABLE_SLACK)
        return 0;
    for (size_t i = 0; i < tried; i++)
        if (stability[i] >= most - STABLE_SLACK) {
            *best = (struct choice){ ks[i], smooth, most };
            break;
        }
    return 0;
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static float median(float *v, size_t n)
{
    qsort(v, n, sizeof(*v), compare_floats);
    return v[n / 2];
}

/* Final clusters of x[n,d]; centres are means of the vectors as assignment
 * will see them, whether or not the fit smoothed them. */
static int fit_centres(struct pool *pool, size_t n, const float *x,
                       const struct choice *c, uint64_t seed,
                       struct tasks_group *g, struct err *err)
{
    size_t d = g->dims;
    struct kmeans_options o = { .k = c->k,
                                .spherical = true,
                                .seed = seed,
                                .restarts = 8,
                                .iterations = 100 };
    struct kmeans_result r = { 0 };
    float *work = mem_array(n * d, sizeof(*work));
    float *score = mem_array(n, sizeof(*score));

    memcpy(work, x, n * d * sizeof(*work));
    if (c->smooth)
        embed_smooth(pool, n, d, NEIGHBOURS, work);
    int rc = kmeans_fit(pool, n, d, work, &o, NULL, &r, err);
    if (rc == 0) {
        g->rests = r.k;
        g->centre = mem_zalloc(r.k * d * sizeof(*g->centre));
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < d; k++)
                g->centre[r.labels[i] * d + k] += x[i * d + k];
        for (size_t k = 0; k < r.k; k++)
            linalg_normalize(g->centre + k * d, d);
        kmeans_assign(pool, n, d, r.k, x, g->centre, true, r.labels, score);
        g->near = median(score, n);
    }
    kmeans_result_release(&r);
    free(work);
    free(score);
    return rc;
}

/* Measure raw and smoothed vectors of a sample, then fit. */
static int choose_and_fit(struct pool *pool, size_t n, const float *x,
                          uint64_t seed, struct tasks_group *g, struct err *err)
{
    size_t d = g->dims, m = n < REST_SAMPLE ? n : REST_SAMPLE;
    struct choice best = { .k = 1 };
    float *sample = mem_array(m * d, sizeof(*sample));
    int rc;

    for (size_t i = 0; i < m; i++)
        memcpy(sample + i * d, x + n * i / m * d, d * sizeof(*sample));
    rc = measure(pool, m, d, sample, false, seed, &best, err);
    if (rc == 0 && n >= 10 * NEIGHBOURS) {
        embed_smooth(pool, m, d, NEIGHBOURS, sample);
        rc = measure(pool, m, d, sample, true, seed, &best, err);
    }
    free(sample);
    if (rc == 0 && n)
        rc = fit_centres(pool, n, x, &best, seed, g, err);
    return rc;
}

/* Vectors that are fitted to these very texts: x[n,g->dims]. */
static int own_vectors(struct pool *pool, const struct tasks_prompt *const *p,
                       size_t n, uint64_t seed, struct tasks_group *g,
                       float **x, struct err *err)
{
    struct slice *text = mem_array(n, sizeof(*text));
    struct embed_options o = { .char_dims = REST_DIMS,
                               .word_dims = REST_DIMS,
                               .seed = seed };

    for (size_t i = 0; i < n; i++)
        text[i] = slice_of(p[i]->user_text);
    int rc = embed_fit(pool, text, n, &o, NULL, &g->embed, err);
    if (rc == 0) {
        g->dims = embed_dims(g->embed);
        *x = mem_array(n * g->dims, sizeof(**x));
        embed_texts(g->embed, pool, text, n, *x);
    }
    free(text);
    return rc;
}

static int others_vectors(struct tasks_vectors *v,
                          const struct tasks_prompt *const *p, size_t n,
                          struct tasks_group *g, float **x, struct err *err)
{
    int rc = tasks_vectors_add(v, p, n, err);

    if (rc < 0)
        return rc;
    g->dims = tasks_vectors_embedder(v)->dims;
    *x = mem_array(n * g->dims, sizeof(**x));
    for (size_t i = 0; i < n; i++)
        memcpy(*x + i * g->dims, tasks_vector(v, p[i]), g->dims * sizeof(**x));
    return 0;
}

int tasks_fit_rest(struct pool *pool, const struct tasks_prompt *const *p,
                   size_t n, uint64_t seed, struct tasks_vectors *v,
                   struct tasks_group *g, struct err *err)
{
    size_t m = n < FIT_TEXTS_MAX ? n : FIT_TEXTS_MAX;
    const struct tasks_prompt **sample;
    float *x = NULL;

    g->rests = 1;
    if (m < REST_MIN)
        return 0;
    sample = mem_array(m, sizeof(*sample));
    for (size_t i = 0; i < m; i++)
        sample[i] = p[n * i / m];
    int rc = v ? others_vectors(v, sample, m, g, &x, err)
               : own_vectors(pool, sample, m, seed, g, &x, err);
    if (rc == 0)
        rc = choose_and_fit(pool, m, x, seed, g, err);
    free(x);
    free(sample);
    if (rc == 0 && g->rests == 1) { /* nothing to tell apart */
        embed_free(g->embed);
        g->embed = NULL;
        g->dims = 0;
        free(g->centre);
        g->centre = NULL;
    }
    return rc;
}
