/*
 * cpu_attention.c - attention of packed documents, forward
 *
 * Keys and values are packed as GEMM panels once; tasks are blocks of queries,
 * those that see most first, so that what is left in the end is short.
 */
#include "compute/cpu/cpu_attention.h"

#include <assert.h>

void cpu_documents_cut(struct cpu_documents *d, size_t more)
{
    const struct compute_attention *a = d->a;
    size_t nr = d->c->k->nr, count = 0, n = 0;

    assert(CPU_CHUNK % nr == 0);
    for (size_t i = 0; i < a->docs; i++)
        count +=
            cpu_ceil_div((size_t)(a->starts[i + 1] - a->starts[i]), CPU_CHUNK);
    d->count = count;
    d->padded = 0;
    d->dim_panels = cpu_ceil_div(a->dim, nr);
    d->chunks =
        cpu_scratch_get(&d->c->chunk, count * sizeof(*d->chunks) + more);
    for (size_t i = 0; i < a->docs; i++) {
        size_t start = (size_t)a->starts[i];
        size_t len = (size_t)a->starts[i + 1] - start;

        for (size_t at = 0; at < len; at += CPU_CHUNK)
            d->chunks[n++] =
                (struct cpu_chunk){ .doc = i,
                                    .start = start,
                                    .len = len,
                                    .at = at,
                                    .m = len - at < CPU_CHUNK ? len - at
                                                              : CPU_CHUNK,
                                    .pad = d->padded };
        d->padded += cpu_ceil_div(len, nr) * nr;
    }
}

void cpu_pack_positions(const struct cpu_documents *d, float *panels,
                        const float *x, const struct cpu_chunk *k, size_t head)
{
    const struct compute_attention *a = d->a;
    size_t nr = d->c->k->nr, ld = a->kv_heads * a->dim;

    panels += cpu_rows_at(d, head, k, k->at);
    x += (k->start + k->at) * ld + head * a->dim;
    for (size_t i = 0; i < k->m; i += nr)
        d->c->k->pack_rows(panels + i * a->dim, x + i * ld, ld,
                           k->m - i < nr ? k->m - i : nr, a->dim);
}

void cpu_pack_elements(const struct cpu_documents *d, float *panels,
                       const float *x, const struct cpu_chunk *k, size_t head)
{
    const struct compute_attention *a = d->a;
    size_t nr = d->c->k->nr, ld = a->kv_heads * a->dim;

    panels += cpu_columns_at(d, head, k, k->at);
    x += (k->start + k->at) * ld + head * a->dim;
    for (size_t i = 0; i < a->dim; i += nr)
        d->c->k->pack_cols(panels + i * a->rows, x + i, ld,
                           a->dim - i < nr ? a->dim - i : nr, k->m);
}

struct job {
    struct cpu_documents d;
    float *keys, *values; /* panels: positions, elements */
    size_t blocks;        /* of a chunk and key head */
};

static void pack_task(void *ctx, size_t task, unsigned worker)
{
    const struct job *j = ctx;
    const struct compute_attention *a = j->d.a;
    const struct cpu_chunk *k = &j->d.chunks[task / a->kv_heads];
    size_t head = task % a->kv_heads;

    (void)worker;
    cpu_pack_positions(&j->d, j->keys, cpu_f32(a->k), k, head);
    cpu_pack_elements(&j->d, j->values, cpu_f32(a->v), k, head);
}

static void block_task(void *ctx, size_t task, unsigned worker)
{
    const struct job *j = ctx;
    const struct compute_attention *a = j->d.a;
    size_t chunk = j->d.count - 1 - task / a->kv_heads / j->blocks;
    const struct cpu_chunk *k = &j->d.chunks[chunk];
    size_t kv = task % a->kv_heads, group = a->heads / a->kv_heads;
    size_t ld = a->heads * a->dim, row = k->start + k->at;
    size_t most = cpu_attend_rows(j->d.c->k);
    size_t first = (j->blocks - 1 - task / a->kv_heads % j->blocks) * most;
    float *lse = a->lse.buf ? cpu_f32(a->lse) + kv * group * a->rows : NULL;
    struct cpu_attend t = { .k = j->d.c->k,
                            .dim = a->dim,
                            .window = a->window,
                            .softcap = a->softcap,
                            .scale = a->scale,
                            .keys = j->keys + cpu_rows_at(&j->d, kv, k, 0),
                            .values =
                                j->values + cpu_columns_at(&j->d, kv, k, 0),
                            .key_stride = j->d.c->k->nr * a->dim,
                            .value_stride = a->rows * j->d.c->k->nr };

    if (first >= k->m * group)
        return;
    t.m = k->m * group - first < most ? k->m * group - first : most;
    cpu_attend_memory(&t, &j->d.c->local[worker]);
    cpu_attend_load(&t,
                    &(struct cpu_pairs){
                        .q = cpu_f32(a->q) + row * ld + kv * group * a->dim,
                        .n = t.m,
                        .ld = ld,
                        .group = group,
                        .first = first,
                        .seen = a->seen ? (size_t)a->seen[k->doc] : k->at + 1,
                        .step = a->seen ? 0 : 1 });
    cpu_attend_all(&t);
    for (size_t i = 0; i < t.m; i++) {
        size_t r = row + (first + i) / group, h = (first + i) % group;

        cpu_attend_store(&t, i,
                         cpu_f32(a->o) + r * ld + (kv * group + h) * a->dim,
                         lse ? lse + h * a->rows + r : NULL);
    }
}

void cpu_op_attention(struct compute *base, const struct compute_attention *a)
{
    struct job j = { .d = { .c = (struct cpu *)base, .a = a } };
    struct cpu *c = j.d.c;
    size_t by_rows, by_columns;

    assert(a->heads % a->kv_heads == 0);
    assert(!a->seen || a->window == 0);
    if (a->rows == 0)
        return;
    cpu_documents_cut(&j.d, 0);
    by_rows = a->kv_heads * j.d.padded * a->dim;
    by_columns = a->kv_heads * j.d.dim_panels * a->rows * c->k->nr;
    j.keys = cpu_scratch_get(&c->pack, (by_rows + by_columns) * sizeof(float));
    j.values = j.keys + by_rows;
    j.blocks = cpu_ceil_div(CPU_CHUNK * (a->heads / a->kv_heads),
                            cpu_attend_rows(c->k));
    cpu_run(c, j.d.count * a->kv_heads, by_rows * 4, pack_task, &j);
    cpu_run(c, j.d.count * j.blocks * a->kv_heads,
            a->rows * a->heads * a->dim * CPU_CHUNK, block_task, &j);
}
