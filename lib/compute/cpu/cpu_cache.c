/*
 * cpu_cache.c - attention over a KV cache
 *
 * The cache keeps keys as GEMM panels [capacity/nr][dim][nr] and values as
 * [dim/nr][capacity][nr] for each slot and head, so that a step packs nothing
 * but its new rows. A single query's heads of one key head are one product.
 * With a window, positions go round in a ring.
 */
#include "compute/cpu/cpu.h"

#include <string.h>

struct job {
    struct cpu *c;
    const struct compute_attention_cached *a;
    const float *k, *v;  /* new rows */
    size_t keys, values; /* elements of one slot's head */
    size_t rows, ring;   /* positions kept; ring: rows if they repeat, or 0 */
};

static struct job job_of(struct compute *c,
                         const struct compute_attention_cached *a)
{
    struct job j = { .c = (struct cpu *)c, .a = a };
    size_t nr = j.c->k->nr;

    j.rows = a->capacity;
    if (a->window && a->step) {
        /* Blocks of the softmax do not cross the ring's end. */
        size_t need =
            (a->window + a->step + CPU_KEYS - 1) / CPU_KEYS * CPU_KEYS;

        if (need < a->capacity)
            j.rows = j.ring = need;
    }
    j.keys = (j.rows + nr - 1) / nr * nr * a->dim;
    j.values = (a->dim + nr - 1) / nr * nr * j.rows;
    return j;
}

void cpu_op_cache_size(struct compute *c,
                       const struct compute_attention_cached *a, size_t slots,
                       size_t *keys, size_t *values)
{
    struct job j = job_of(c, a);

    *keys = slots * a->kv_heads * j.keys;
    *values = slots * a->kv_heads * j.values;
}

void cpu_op_cache_layout(struct compute *c,
                         const struct compute_attention_cached *a,
                         struct compute_cache_layout *keys,
                         struct compute_cache_layout *values)
{
    struct job j = job_of(c, a);
    size_t nr = j.c->k->nr, strips = (a->dim + nr - 1) / nr;

    *keys = (struct compute_cache_layout){ .groups = a->kv_heads,
                                           .stride = j.keys,
                                           .per = j.ring ? 0 : nr,
                                           .unit = nr * a->dim };
    *values = (struct compute_cache_layout){ .groups = a->kv_heads * strips,
                                             .stride = j.rows * nr,
                                             .per = j.ring ? 0 : 1,
                                             .unit = nr };
}

static void store_task(void *ctx, size_t task, unsigned worker)
{
    const struct job *j = ctx;
    const struct compute_attention_cached *a = j->a;
    size_t s = task / a->kv_heads, h = task % a->kv_heads, nr = j->c->k->nr;
    size_t head = (size_t)a->slots[s] * a->kv_heads + h;
    float *keys = cpu_f32(a->keys) + head * j->keys;
    float *values = cpu_f32(a->values) + head * j->values;
    size_t pos = (size_t)a->past[s];

    (void)worker;
    for (int32_t r = a->starts[s]; r < a->starts[s + 1]; r++, pos++) {
        size_t at = ((size_t)r * a->kv_heads + h) * a->dim;
        size_t to = j->ring ? pos % j->ring : pos;
        float *key = keys + to / nr * nr * a->dim + to % nr;

        for (size_t d = 0; d < a->dim; d++) {
            key[d * nr] = j->k[at + d];
            values[(d / nr * j->rows + to) * nr + d % nr] = j->v[at + d];
        }
    }
}

void cpu_op_cache_store(struct compute *c,
                        const struct compute_attention_cached *a,
                        struct compute_span k, struct compute_span v)
{
    struct job j = job_of(c, a);

    j.k = cpu_f32(k);
    j.v = cpu_f32(v);
    cpu_run(j.c, a->seqs * a->kv_heads,
            (size_t)a->starts[a->seqs] * a->kv_heads * a->dim * 4, store_task,
            &j);
}

/* All queries of one sequence and key head. */
static void cached_task(void *ctx, size_t task, unsigned worker)
{
    const struct job *j = ctx;
    const struct compute_attention_cached *a = j->a;
    size_t s = task / a->kv_heads, kv = task % a->kv_heads;
    size_t head = (size_t)a->slots[s] * a->kv_heads + kv;
    size_t group = a->heads / a->kv_heads, ld = a->heads * a->dim;
    size_t first = (size_t)a->starts[s],
           rows = (size_t)a->starts[s + 1] - first;
    struct cpu_strip t = { .ker = j->c->k,
                           .dim = a->dim,
                           .keys = cpu_f32(a->keys) + head * j->keys,
                           .values = cpu_f32(a->values) + head * j->values,
                           .value_stride = j->rows * j->c->k->nr,
                           .window = a->window,
                           .ring = j->ring,
                           .softcap = a->softcap,
                           .scale = a->scale };
    /* One row: step over heads; many rows: step over rows, head by head. */
    size_t outer = rows == 1 ? 1 : group, inner = rows == 1 ? group : rows;

    t.step = rows == 1 ? 0 : 1;
    t.q_ld = t.o_ld = rows == 1 ? a->dim : ld;
    t.s = cpu_scratch_get(&j->c->local[worker],
                          CPU_MAX_MR * CPU_KEYS * sizeof(*t.s));
    for (size_t h = 0; h < outer; h++)
        for (size_t i = 0; i < inner; i += t.ker->mr) {
            size_t at = first * ld + (kv * group + h) * a->dim + i * t.q_ld;

            t.m = inner - i < t.ker->mr ? inner - i : t.ker->mr;
            t.valid = (size_t)a->past[s] + 1 + i * t.step;
            t.q = cpu_f32(a->q) + at;
            t.o = cpu_f32(a->o) + at;
            cpu_strip_attend(&t);
        }
}

void cpu_op_attention_cached(struct compute *c,
                             const struct compute_attention_cached *a)
{
    struct job j = job_of(c, a);
    size_t work = 0;

    for (size_t s = 0; s < a->seqs; s++)
        work += (size_t)(a->starts[s + 1] - a->starts[s]) *
                (size_t)(a->past[s] + 1) * a->heads * a->dim * 2;
    cpu_run(j.c, a->seqs * a->kv_heads, work, cached_task, &j);
}
