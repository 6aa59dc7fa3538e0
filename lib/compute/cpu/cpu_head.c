/*
 * cpu_head.c - the fused head: a linear layer and the cross entropy over it
 *
 * Logits live in chunks of rows only; those of a chunk become their own
 * gradients in place. A row's sums run in one worker, so no result depends on
 * the number of threads.
 */
#include "compute/cpu/cpu.h"

#include <string.h>

#define CE_CHUNK ((size_t)2 << 20) /* floats of logits at once: 8 MB */

struct ce_job {
    struct cpu *c;
    float *logits, *nll;
    const int32_t *labels;
    size_t rows, vocab;
    float scale, softcap;
    bool grad;
};

/* nll of one row; its logits become their gradients. */
static float ce_row(const struct ce_job *job, size_t r, float *capped)
{
    const struct cpu_kernels *k = job->c->k;
    float *x = job->logits + r * job->vocab, nll;

    if (job->softcap > 0) {
        k->softcap(x, x, 1, job->softcap, job->vocab);
        if (job->grad)
            memcpy(capped, x, job->vocab * sizeof(*x));
    }
    nll = k->cross_entropy(x, job->vocab, (size_t)job->labels[r], job->scale,
                           job->grad);
    if (job->softcap > 0 && job->grad)
        k->softcap_grad(x, capped, job->softcap, job->vocab);
    return nll;
}

static void ce_task(void *ctx, size_t task, unsigned worker)
{
    const struct ce_job *job = ctx;

    float *capped = NULL;

    if (job->softcap > 0 && job->grad)
        capped = cpu_scratch_get(&job->c->rows[worker],
                                 job->vocab * sizeof(*capped));
    for (size_t r = task * 4; r < task * 4 + 4 && r < job->rows; r++)
        job->nll[r] = ce_row(job, r, capped);
}

void cpu_head_run(struct cpu *c, const struct compute_cross_entropy *x,
                  float *logits, size_t at, size_t rows)
{
    struct cpu_gemm g = { .m = rows,
                          .n = x->vocab,
                          .k = x->k,
                          .a = cpu_f32(x->x) + at * x->k,
                          .rs = x->k,
                          .cs = 1,
                          .b = cpu_operand_of(x->w, x->k, true),
                          .c = logits,
                          .ldc = x->vocab,
                          .bias = cpu_f32(x->bias),
                          .alpha = 1 };

    cpu_gemm_run(c, &g);
}

void cpu_head_grad(struct cpu *c, const struct compute_cross_entropy *x,
                   const float *logits, size_t at, size_t rows)
{
    struct cpu_gemm g = { .m = rows,
                          .n = x->k,
                          .k = x->vocab,
                          .a = logits,
                          .rs = x->vocab,
                          .cs = 1,
                          .b = cpu_operand_of(x->w, x->k, false),
                          .c = cpu_f32(x->dx) + at * x->k,
                          .ldc = x->k,
                          .alpha = 1 };

    cpu_gemm_run(c, &g);
    cpu_add_columns(c, x->dbias, logits, rows, x->vocab);
    if (!x->dw.buf)
        return;
    g = (struct cpu_gemm){ .m = x->vocab,
                           .n = x->k,
                           .k = rows,
                           .a = logits,
                           .rs = 1,
                           .cs = x->vocab,
                           .b = { .data = cpu_f32(x->x) + at * x->k,
                                  .type = COMPUTE_F32,
                                  .ld = x->k },
                           .c = cpu_f32(x->dw),
                           .ldc = x->k,
                           .alpha = 1,
                           .add = true };
    cpu_gemm_run(c, &g);
}

static void ce_chunk(struct cpu *c, const struct compute_cross_entropy *x,
                     float *logits, size_t at, size_t rows)
{
    struct ce_job job = { .c = c,
                          .logits = logits,
                          .nll = cpu_f32(x->nll) + at,
                          .labels = cpu_i32(x->labels) + at,
                          .rows = rows,
                          .vocab = x->vocab,
                          .scale = x->scale,
                          .softcap = x->softcap,
                          .grad = x->dx.buf != NULL };

    cpu_head_run(c, x, logits, at, rows);
    cpu_run(c, cpu_ceil_div(rows, 4), rows * x->vocab * 8, ce_task, &job);
    if (job.grad)
        cpu_head_grad(c, x, logits, at, rows);
}

/* Fewer rows would not pay for packing the head's weights. */
size_t cpu_head_rows(size_t rows, size_t vocab)
{
    size_t step = CE_CHUNK / vocab;

    step = step < 256 ? 256 : step > 1024 ? 1024 : step;
    return step < rows ? step : rows;
}

void cpu_op_cross_entropy(struct compute *base,
                          const struct compute_cross_entropy *x)
{
    struct cpu *c = (struct cpu *)base;
    size_t step = cpu_head_rows(x->rows, x->vocab);
    float *logits;

    logits = cpu_scratch_get(&c->chunk, (step * x->vocab + 1) * sizeof(float));
    for (size_t at = 0; at < x->rows; at += step)
        ce_chunk(c, x, logits, at, x->rows - at < step ? x->rows - at : step);
}
