/*
 * model_rope.c - rotary positions: the tables and their use
 *
 * Angles are rounded to f32 as the reference's are.
 */
#include "base/mem.h"
#include "model/model_private.h"

#include <math.h>
#include <stdlib.h>

struct rope_shape {
    double theta;
    bool plain; /* no scaling */
    const float *divisors;
    size_t pairs;
};

/* The pair whose angle turns `rotations` times over the original context. */
static double turning_pair(const struct model_config *c,
                           const struct rope_shape *s, double rotations)
{
    return (double)s->pairs *
           log((double)c->rope_original / (rotations * 2 * M_PI)) /
           log(s->theta);
}

/* Fast pairs stay, slow ones are stretched, those between in part. */
static float yarn_frequency(const struct model_config *c,
                            const struct rope_shape *s, size_t i)
{
    double f = 1 / pow(s->theta, (double)i / (double)s->pairs), part;
    double low = turning_pair(c, s, c->rope_high);
    double high = turning_pair(c, s, c->rope_low);

    if (!c->rope_exact) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, 2 * (double)s->pairs - 1);
    if (high - low < 1e-9)
        high = low + 0.001;
    part = fmin(fmax(((double)i - low) / (high - low), 0), 1);
    return (float)(f / c->rope_factor * part + f * (1 - part));
}

/* One frequency of the tables. */
static float frequency(const struct model_config *c, const struct rope_shape *s,
                       size_t i)
{
    float f = (float)(1 / pow(s->theta, (double)i / (double)s->pairs));
    double wave = 2 * M_PI / (double)f, smooth;
    double low = (double)c->rope_original / c->rope_low;
    double high = (double)c->rope_original / c->rope_high;

    if (s->divisors)
        return (float)(1 / ((double)s->divisors[i] *
                            pow(s->theta, (double)i / (double)s->pairs)));
    if (s->plain)
        return f;
    if (c->rope == MODEL_ROPE_YARN)
        return yarn_frequency(c, s, i);
    if (c->rope == MODEL_ROPE_DYNAMIC)
        return f;
    if (c->rope == MODEL_ROPE_LINEAR)
        return (float)((double)f / c->rope_factor);
    if (c->rope != MODEL_ROPE_LLAMA3 || wave < high)
        return f;
    if (wave > low)
        return (float)((double)f / c->rope_factor);
    smooth = ((double)c->rope_original / wave - c->rope_low) /
             (c->rope_high - c->rope_low);
    return (float)((1 - smooth) * (double)f / c->rope_factor +
                   smooth * (double)f);
}

/* Rows of one table: cos to x, sin to x + stride. */
static void fill_table(const struct model_config *c, const struct rope_shape *s,
                       size_t rows, float *x, size_t stride)
{
    double factor = c->rope_attention > 0 ? c->rope_attention : 1;

    for (size_t i = 0; i < s->pairs; i++) {
        float f = frequency(c, s, i);

        for (size_t p = 0; p < rows; p++) {
            double angle = (double)((float)p * f);

            x[p * s->pairs + i] = (float)(cos(angle) * factor);
            x[p * s->pairs + i + stride] = (float)(sin(angle) * factor);
        }
    }
}

/* Two tables one after the other where the divisors depend on the length. */
static int make_table(struct model *m, unsigned which, size_t rows,
                      struct err *err)
{
    const struct model_config *c = &m->config;
    struct model_rope_table *t = &m->rope[which];
    struct rope_shape s = {
        .theta = which ? c->rope_local : c->rope_theta,
        .plain = which > 0,
        .pairs = (size_t)(c->rotary ? c->rotary : c->head_dim) / 2
    };
    bool both = c->rope == MODEL_ROPE_LONGROPE;
    size_t one = rows * s.pairs, all = both ? 2 * one : one;
    void *x = NULL;
    int rc;

    compute_release(m->compute, &t->cosine);
    compute_release(m->compute, &t->sine);
    rc = compute_alloc(m->compute, COMPUTE_F32, all, "RoPE table", &t->cosine,
                       err);
    if (rc == 0)
        rc = compute_alloc(m->compute, COMPUTE_F32, all, "RoPE table", &t->sine,
                           err);
    if (rc == 0)
        rc = mem_try_array(&x, 2 * all, sizeof(float), "RoPE table", err);
    if (rc < 0)
        return rc;
    s.divisors = both ? c->rope_short : NULL;
    fill_table(c, &s, rows, x, all);
    s.divisors = c->rope_long;
    if (both)
        fill_table(c, &s, rows, (float *)x + one, all);
    m->compute->ops->upload(m->compute, t->cosine, x, all);
    m->compute->ops->upload(m->compute, t->sine, (float *)x + all, all);
    free(x);
    return 0;
}

void model_rope_release(struct model *m)
{
    for (size_t i = 0; i < 2; i++) {
        compute_release(m->compute, &m->rope[i].cosine);
        compute_release(m->compute, &m->rope[i].sine);
    }
    m->rope_positions = 0;
}

int model_rope_reserve(struct model *m, size_t n, struct err *err)
{
    size_t rows = 256;
    int rc;

    if (m->config.rope == MODEL_ROPE_DYNAMIC && n > (size_t)m->config.context)
        return err_set(err, ERR_LIMIT,
                       "rope_type dynamic is computed for the %lld positions "
                       "of its context alone",
                       (long long)m->config.context);
    if (m->rope_positions >= n)
        return 0;
    while (rows < n)
        rows *= 2;
    m->rope_positions = 0;
    rc = make_table(m, 0, rows, err);
    if (rc == 0 && m->config.rope_local > 0)
        rc = make_table(m, 1, rows, err);
    if (rc == 0)
        m->rope_positions = rows;
    return rc;
}

int32_t model_rope_row(const struct model *m, size_t position, size_t length)
{
    bool beyond = m->config.rope == MODEL_ROPE_LONGROPE &&
                  length > (size_t)m->config.rope_original;

    return (int32_t)(position + (beyond ? m->rope_positions : 0));
}

void model_rope_run(const struct model_pass *p, struct compute_span x,
                    size_t heads, unsigned table, bool inverse)
{
    struct model *m = p->m;
    const struct compute_ops *ops = m->compute->ops;
    const struct model_rope_table *t = &m->rope[table];
    size_t dim = (size_t)m->config.head_dim, part = (size_t)m->config.rotary;

    if (part > 0)
        ops->rope_part(m->compute, x, m->work.positions, t->cosine, t->sine,
                       p->rows, heads, dim, part, inverse);
    else
        ops->rope(m->compute, x, m->work.positions, t->cosine, t->sine, p->rows,
                  heads, dim, inverse);
}
