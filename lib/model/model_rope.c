/*
 * model_rope.c - rotary positions: the tables and their use
 *
 * Angles are rounded to f32 as the reference's are.
 */
#include "base/mem.h"
#include "model/model_private.h"

#include <math.h>
#include <stdlib.h>

/* One frequency of the tables. */
static float frequency(const struct model_config *c, int64_t i)
{
    float f =
        (float)(1 / pow(c->rope_theta, (double)(2 * i) / (double)c->head_dim));
    double wave = 2 * M_PI / (double)f, smooth;
    double low = (double)c->rope_original / c->rope_low;
    double high = (double)c->rope_original / c->rope_high;

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

int model_rope_reserve(struct model *m, size_t n, struct err *err)
{
    size_t half = (size_t)m->config.head_dim / 2, rows = 256;
    void *table = NULL;
    int rc;

    if (m->rope_positions >= n)
        return 0;
    while (rows < n)
        rows *= 2;
    m->rope_positions = 0;
    compute_release(m->compute, &m->cosine);
    compute_release(m->compute, &m->sine);
    rc = compute_alloc(m->compute, COMPUTE_F32, rows * half, "RoPE table",
                       &m->cosine, err);
    if (rc == 0)
        rc = compute_alloc(m->compute, COMPUTE_F32, rows * half, "RoPE table",
                           &m->sine, err);
    if (rc == 0)
        rc = mem_try_array(&table, 2 * rows * half, sizeof(float), "RoPE table",
                           err);
    if (rc < 0)
        return rc;
    for (size_t p = 0; p < rows; p++)
        for (size_t i = 0; i < half; i++) {
            float angle = (float)p * frequency(&m->config, (int64_t)i);
            float *at = (float *)table + p * half + i;

            at[0] = (float)cos((double)angle);
            at[rows * half] = (float)sin((double)angle);
        }
    m->compute->ops->upload(m->compute, m->cosine, table, rows * half);
    m->compute->ops->upload(m->compute, m->sine, (float *)table + rows * half,
                            rows * half);
    free(table);
    m->rope_positions = rows;
    return 0;
}

void model_rope_run(const struct model_pass *p, struct compute_span x,
                    size_t heads, bool inverse)
{
    struct model *m = p->m;

    m->compute->ops->rope(m->compute, x, m->work.positions, m->cosine, m->sine,
                          p->rows, heads, (size_t)m->config.head_dim, inverse);
}
