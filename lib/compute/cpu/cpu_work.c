/*
 * cpu_work.c - what every operation works with: tasks for the threads, scratch
 * memory, the floats of a span
 */
#include "base/mem.h"
#include "compute/cpu/cpu.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

void *cpu_scratch_get(struct cpu_scratch *s, size_t bytes)
{
    if (s->bytes >= bytes)
        return s->data;
    free(s->data);
    s->bytes = (bytes + bytes / 4 + 4095) & ~(size_t)4095;
    s->data = aligned_alloc(64, s->bytes);
    if (!s->data)
        s->data = mem_alloc(SIZE_MAX); /* ends the process with its message */
    return s->data;
}

void cpu_run(struct cpu *c, size_t tasks, size_t work,
             void (*fn)(void *ctx, size_t task, unsigned worker), void *ctx)
{
    pool_run(work > CPU_INLINE_WORK ? c->pool : NULL, tasks, fn, ctx);
}

struct pieces {
    void (*fn)(void *ctx, size_t at, size_t n);
    void *ctx;
    size_t n, step;
};

static void pieces_task(void *ctx, size_t task, unsigned worker)
{
    const struct pieces *p = ctx;
    size_t at = task * p->step, left = p->n - at;

    (void)worker;
    p->fn(p->ctx, at, left < p->step ? left : p->step);
}

void cpu_run_pieces(struct cpu *c, size_t n, size_t step, size_t work,
                    void (*fn)(void *ctx, size_t at, size_t n), void *ctx)
{
    struct pieces p = { fn, ctx, n, step };

    cpu_run(c, cpu_ceil_div(n, step), work, pieces_task, &p);
}

float *cpu_f32(struct compute_span s)
{
    if (!s.buf)
        return NULL;
    assert(s.buf->type == COMPUTE_F32 && s.buf->data);
    return (float *)s.buf->data + s.at;
}

double *cpu_f64(struct compute_span s)
{
    if (!s.buf)
        return NULL;
    assert(s.buf->type == COMPUTE_F64);
    return (double *)s.buf->data + s.at;
}

int32_t *cpu_i32(struct compute_span s)
{
    assert(s.buf->type == COMPUTE_I32);
    return (int32_t *)s.buf->data + s.at;
}
