/*
 * cpu_pack.c - weights as the panels that products read
 *
 * Frozen weights are kept as panels alone. The product with their transpose,
 * 16-bit weights and blocks are packed a piece at a time into what a worker's
 * second-level cache holds, so that no other form of them is ever whole.
 */
#include "base/mem.h"
#include "compute/cpu/cpu.h"

#include <assert.h>
#include <string.h>

#define BAND CPU_PACK_BAND
#define ROWS_BAND 4 /* read along: rows that clash wait for few others */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static const char *plain_at(const struct cpu_operand *w, size_t at)
{
    return (const char *)w->data + at * compute_type_size(w->type);
}

/* n weights from `at` on of what is not in panels, as f32. */
static void read_run(const struct cpu *c, const struct cpu_operand *w, float *y,
                     size_t at, size_t n)
{
    if (w->quant)
        cpu_quant_read(w->quant, y, w->quant_at + at, n);
    else
        c->k->widen(y, plain_at(w, at), w->type, n);
}

/* A panel of B = w', rows j.. of w. */
static void pack_forward(const struct cpu *c, const struct cpu_operand *w,
                         float *out, size_t p0, size_t k, size_t j, size_t n,
                         float *temp)
{
    const struct cpu_kernels *ker = c->k;
    size_t nr = ker->nr, at = j * w->ld + p0;

    if (w->panels && w->type == COMPUTE_F32) {
        memcpy(out, (const float *)w->panels + at + p0 * (nr - 1),
               k * nr * sizeof(*out));
    } else if (w->panels) {
        ker->widen(out, (const uint16_t *)w->panels + at + p0 * (nr - 1),
                   w->type, k * nr);
    } else if (w->quant || w->type != COMPUTE_F32) {
        for (size_t r = 0; r < n; r++)
            read_run(c, w, temp + r * k, at + r * w->ld, k);
        ker->pack_rows(out, temp, k, n, k);
    } else {
        ker->pack_rows(out, (const float *)(const void *)plain_at(w, at), w->ld,
                       n, k);
    }
}

/* nr rows of B = w from a panel of w', for the columns j..: a square of the
 * panel lies together. */
static void pack_turned(const struct cpu *c, const struct cpu_operand *w,
                        float *out, size_t p, size_t k, size_t j, size_t n)
{
    const struct cpu_kernels *ker = c->k;
    size_t nr = ker->nr, at = p * w->ld + j * nr;
    float wide[CPU_MAX_NR * CPU_MAX_NR];
    const float *src = wide;

    if (w->type == COMPUTE_F32)
        src = (const float *)w->panels + at;
    else
        ker->widen(wide, (const uint16_t *)w->panels + at, w->type, n * nr);
    ker->pack_rows(out, src, nr, n, k);
}

/* A band of B = w: at most BAND rows. */
static void pack_band(const struct cpu *c, const struct cpu_operand *w,
                      float *out, size_t stride, size_t p, size_t k, size_t j0,
                      size_t n, float *temp)
{
    const struct cpu_kernels *ker = c->k;
    size_t nr = ker->nr, ld = w->ld, at = p * ld + j0;
    const float *src = temp;

    if (w->quant || w->type != COMPUTE_F32) {
        for (size_t r = 0; r < k; r++)
            read_run(c, w, temp + r * n, at + r * ld, n);
        ld = n;
    } else {
        src = (const float *)(const void *)plain_at(w, at);
    }
    for (size_t r = 0; r < k; r += ROWS_BAND) {
        for (size_t i = r + 2 * ROWS_BAND; i < r + 3 * ROWS_BAND; i++)
            for (size_t j = 0; j < n; j += 16)
                __builtin_prefetch(src + i * ld + j, 0, 3);
        for (size_t j = 0; j < n; j += nr)
            ker->pack_cols(out + j / nr * stride + r * nr, src + r * ld + j, ld,
                           least(nr, n - j), least(ROWS_BAND, k - r));
    }
}

void cpu_operand_pack(const struct cpu *c, const struct cpu_operand *w,
                      float *out, size_t stride, size_t p0, size_t k, size_t j0,
                      size_t n, float *temp)
{
    size_t nr = c->k->nr, band = w->panels ? nr : BAND;

    assert(j0 % nr == 0 && (w->by_rows || !w->panels || p0 % nr == 0));
    if (w->by_rows) {
        for (size_t j = 0; j < n; j += nr)
            pack_forward(c, w, out + j / nr * stride, p0, k, j0 + j,
                         least(nr, n - j), temp);
        return;
    }
    for (size_t p = 0; p < k; p += band) {
        size_t rows = least(band, k - p);

        if (!w->panels) {
            pack_band(c, w, out + p * nr, stride, p0 + p, rows, j0, n, temp);
            continue;
        }
        for (size_t j = 0; j < n; j += nr)
            pack_turned(c, w, out + j / nr * stride + p * nr, p0 + p, rows,
                        j0 + j, least(nr, n - j));
    }
}

size_t cpu_panels_bytes(const struct cpu *c, enum compute_type type, size_t n,
                        size_t k)
{
    return cpu_ceil_div(n, c->k->nr) * c->k->nr * k * compute_type_size(type);
}

struct panels_job {
    const struct cpu *c;
    const struct cpu_operand *w;
    void *out;
    size_t n, k;
};

static void panels_task(void *ctx, size_t panel, unsigned worker)
{
    const struct panels_job *job = ctx;
    const struct cpu_operand *w = job->w;
    size_t nr = job->c->k->nr, k = job->k, at = panel * nr * k;
    size_t n = least(nr, job->n - panel * nr);
    const uint16_t *src;
    uint16_t *out;

    (void)worker;
    if (w->type == COMPUTE_F32) {
        pack_forward(job->c, w, (float *)job->out + at, 0, k, panel * nr, n,
                     NULL);
        return;
    }
    src = (const uint16_t *)w->data + at;
    out = (uint16_t *)job->out + at;
    for (size_t p = 0; p < k; p++)
        for (size_t i = 0; i < nr; i++)
            out[p * nr + i] = i < n ? src[i * k + p] : 0;
}

void cpu_panels_make(struct cpu *c, void *panels, const struct cpu_operand *w,
                     size_t n, size_t k)
{
    struct panels_job job = { c, w, panels, n, k };

    assert(w->by_rows && w->ld == k && !w->quant && !w->panels);
    cpu_run(c, cpu_ceil_div(n, c->k->nr), n * k, panels_task, &job);
}

void cpu_panels_read(const struct cpu *c, void *y,
                     const struct compute_buffer *b, size_t at, size_t n)
{
    size_t nr = c->k->nr, cols = b->cols;

    for (size_t i = 0; i < n; i++) {
        size_t row = (at + i) / cols, col = (at + i) % cols;
        size_t from = (row / nr * cols + col) * nr + row % nr;

        if (b->type == COMPUTE_F32)
            ((float *)y)[i] = ((const float *)b->panels)[from];
        else
            ((uint16_t *)y)[i] = ((const uint16_t *)b->panels)[from];
    }
}
