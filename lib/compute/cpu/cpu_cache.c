/*
 * cpu_cache.c - attention over a KV cache
 *
 * The cache keeps keys as GEMM panels [capacity/nr][dim][nr] and values as
 * [dim/nr][capacity][nr] for each slot and head, so that a step packs nothing
 * but its new rows; each panel of keys in bytes is followed by its factors and
 * those of the values.
 * With a window, positions go round in a ring. Where a sequence's new rows are
 * one block, each part of its keys is a task; sequences that stand beside each
 * other and read a part in the same slot have one for all.
 */
#include "compute/cpu/cpu_attention.h"

#include <string.h>

struct unit {
    size_t seq, first;  /* the block's first pair of row and head */
    size_t part, parts; /* of its sequence; parts 0: all, in one */
    size_t seqs;        /* from seq on that this part is of; 1 for all parts */
};

struct job {
    struct cpu *c;
    const struct compute_attention_cached *a;
    const float *k, *v;  /* new rows */
    size_t keys, values; /* elements of one slot's head */
    size_t unit;         /* elements of a panel of keys */
    size_t rows, ring;   /* positions kept; ring: rows if they repeat, or 0 */
    size_t group, count;
    struct unit *units;
    size_t *from; /* by sequence: rows of others' parts before its own */
    float *partials;
};

static struct job job_of(struct compute *c,
                         const struct compute_attention_cached *a)
{
    struct job j = { .c = (struct cpu *)c, .a = a };
    size_t nr = j.c->k->nr;

    j.rows = a->capacity;
    j.group = a->heads / a->kv_heads;
    if (a->window && a->step) {
        /* Blocks of the softmax do not cross the ring's end. */
        size_t keys = cpu_block_keys(j.c->k);
        size_t need = cpu_ceil_div(a->window + a->step, keys) * keys;

        if (need < a->capacity)
            j.rows = j.ring = need;
    }
    j.unit = nr * a->dim;
    if (a->type == COMPUTE_I8)
        j.unit += 2 * nr * sizeof(float);
    j.keys = cpu_ceil_div(j.rows, nr) * j.unit;
    j.values = cpu_ceil_div(a->dim, nr) * nr * j.rows;
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
    size_t share = a->window ? 0 : cpu_part_keys(j.c->k);

    *keys = (struct compute_cache_layout){ .groups = a->kv_heads,
                                           .stride = j.keys,
                                           .per = j.ring ? 0 : nr,
                                           .unit = j.unit,
                                           .share = share };
    *values = (struct compute_cache_layout){ .groups = a->kv_heads * strips,
                                             .stride = j.rows * nr,
                                             .per = j.ring ? 0 : 1,
                                             .unit = nr,
                                             .share = share };
}

static char *head_at(const struct job *j, struct compute_span s, int32_t slot,
                     size_t head, size_t elements)
{
    size_t at = s.at + ((size_t)slot * j->a->kv_heads + head) * elements;

    return (char *)s.buf->data + at * compute_type_size(j->a->type);
}

/* Elements x[0..n) of `width` bytes to to[0], to[step], to[2 step]... */
static void scatter(char *to, const char *x, size_t n, size_t step,
                    size_t width)
{
    if (width == 4)
        for (size_t i = 0; i < n; i++)
            memcpy(to + i * step * 4, x + i * 4, 4);
    else if (width == 2)
        for (size_t i = 0; i < n; i++)
            memcpy(to + i * step * 2, x + i * 2, 2);
    else
        for (size_t i = 0; i < n; i++)
            to[i * step] = x[i];
}

static void store_task(void *ctx, size_t task, unsigned worker)
{
    const struct job *j = ctx;
    const struct compute_attention_cached *a = j->a;
    size_t s = task / a->kv_heads, h = task % a->kv_heads, nr = j->c->k->nr;
    size_t pos = (size_t)a->past[s], width = compute_type_size(a->type);
    char *keys = head_at(j, a->keys, a->slots[s], h, j->keys);
    char *values = head_at(j, a->values, a->slots[s], h, j->values);
    char *row = cpu_scratch_get(&j->c->local[worker], 2 * a->dim * width);

    for (int32_t r = a->starts[s]; r < a->starts[s + 1]; r++, pos++) {
        size_t at = ((size_t)r * a->kv_heads + h) * a->dim;
        size_t to = j->ring ? pos % j->ring : pos;
        const void *k = j->k + at, *v = j->v + at;
        char *panel = keys + to / nr * j->unit * width;

        if (a->type != COMPUTE_F32) {
            float factor[2] = { j->c->k->thin(row, k, a->type, a->dim),
                                j->c->k->thin(row + a->dim * width, v, a->type,
                                              a->dim) };

            k = row;
            v = row + a->dim * width;
            for (size_t i = 0; i < 2 && a->type == COMPUTE_I8; i++)
                memcpy(panel + nr * a->dim + (i * nr + to % nr) * 4, &factor[i],
                       4);
        }
        scatter(panel + to % nr * width, k, a->dim, nr, width);
        for (size_t d = 0; d < a->dim; d += nr)
            memcpy(values + (d * j->rows + to * nr) * width,
                   (const char *)v + d * width,
                   (a->dim - d < nr ? a->dim - d : nr) * width);
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

static size_t rows_of(const struct job *j, size_t seq)
{
    return (size_t)(j->a->starts[seq + 1] - j->a->starts[seq]);
}

static size_t shared_of(const struct job *j, size_t seq)
{
    return j->a->shared ? (size_t)j->a->shared[seq] : 0;
}

/* The slot that has the first keys of the sequence. */
static int32_t home_of(const struct job *j, size_t seq)
{
    return shared_of(j, seq) > 0 ? j->a->bases[seq] : j->a->slots[seq];
}

/* Where a sequence's keys from `at` on stand: in its own slot or another's. */
static void look_at(const struct job *j, struct cpu_attend *t, size_t seq,
                    size_t kv, size_t at)
{
    const struct compute_attention_cached *a = j->a;
    int32_t slot = at < shared_of(j, seq) ? a->bases[seq] : a->slots[seq];

    t->keys = head_at(j, a->keys, slot, kv, j->keys);
    t->values = head_at(j, a->values, slot, kv, j->values);
}

/* A block of the unit and key head kv, its rows loaded. */
static struct cpu_attend attend(const struct job *j, const struct unit *u,
                                size_t kv, unsigned worker)
{
    const struct compute_attention_cached *a = j->a;
    size_t ld = a->heads * a->dim, most = cpu_attend_rows(j->c->k);
    struct cpu_attend t = { .k = j->c->k,
                            .dim = a->dim,
                            .window = a->window,
                            .ring = j->ring,
                            .softcap = a->softcap,
                            .scale = a->scale,
                            .type = a->type,
                            .key_stride = j->unit,
                            .value_stride = j->rows * j->c->k->nr };

    cpu_attend_memory(&t, &j->c->local[worker]);
    for (size_t s = u->seq; s < u->seq + u->seqs; s++) {
        size_t pairs = rows_of(j, s) * j->group - u->first;
        struct cpu_pairs p = { .q = cpu_f32(a->q) + (size_t)a->starts[s] * ld +
                                    kv * j->group * a->dim,
                               .at = t.m,
                               .n = pairs < most ? pairs : most,
                               .ld = ld,
                               .group = j->group,
                               .first = u->first,
                               .seen = (size_t)a->past[s] + 1,
                               .step = 1 };

        cpu_attend_load(&t, &p);
        t.m += p.n;
    }
    return t;
}

static void store_rows(const struct job *j, const struct cpu_attend *t,
                       const struct unit *u, size_t kv)
{
    const struct compute_attention_cached *a = j->a;

    for (size_t i = 0; i < t->m; i++) {
        size_t pair = u->first + i;
        size_t row = (size_t)a->starts[u->seq] + pair / j->group;
        size_t head = kv * j->group + pair % j->group;

        cpu_attend_store(t, i, cpu_f32(a->o) + (row * a->heads + head) * a->dim,
                         NULL);
    }
}

/* What the task of a part leaves: o, then maxima and sums. */
static float *partial(const struct job *j, size_t seq, size_t parts, size_t kv,
                      size_t part)
{
    size_t rows = rows_of(j, seq) * j->group;

    return j->partials +
           (j->from[seq] * j->a->kv_heads + (kv * parts + part) * rows) *
               (j->a->dim + 2);
}

/* Parts that a sequence's keys are cut into if its rows are one block, or 0;
 * *units: how many tasks a key head of it is. */
static size_t parts_of(const struct job *j, size_t seq, size_t *units)
{
    const struct compute_attention_cached *a = j->a;
    size_t past = (size_t)a->past[seq], rows = rows_of(j, seq), parts;
    size_t keys = cpu_part_keys(j->c->k);
    size_t first = a->window && past + 1 > a->window ? past + 1 - a->window : 0;

    first = first / j->c->k->nr * j->c->k->nr;
    *units = cpu_ceil_div(rows * j->group, cpu_attend_rows(j->c->k));
    if (*units != 1)
        return 0;
    parts = cpu_ceil_div(past + rows, keys) - first / keys;
    *units = parts;
    return parts > 1 ? parts : 0;
}

/* Sequences from seq on whose part this is too: all of its keys, in one slot,
 * by as many rows as a block has. */
static size_t beside(const struct job *j, size_t seq, size_t part)
{
    size_t end = (part + 1) * cpu_part_keys(j->c->k), rows = 0, n = 0, units;
    size_t most = cpu_attend_rows(j->c->k);

    for (size_t s = seq; s < j->a->seqs; s++, n++) {
        size_t shared = shared_of(j, s);

        rows += rows_of(j, s) * j->group;
        if (parts_of(j, s, &units) <= part || home_of(j, s) != home_of(j, seq))
            break;
        if (rows > most || end > (shared ? shared : (size_t)j->a->past[s]))
            break;
    }
    return n > 1 ? n : 1;
}

/* Parts of the sequences first..end - 1, which begin in one slot. */
static void list_parts(struct job *j, size_t first, size_t end)
{
    size_t units, left = 1;

    for (size_t part = 0; left > 0; part++) {
        left = 0;
        for (size_t s = first, n; s < end; s += n) {
            size_t parts = parts_of(j, s, &units);

            n = 1;
            if (part >= parts)
                continue;
            n = j->a->window ? 1 : beside(j, s, part);
            n = n < end - s ? n : end - s;
            j->units[j->count++] = (struct unit){
                .seq = s, .part = part, .parts = parts, .seqs = n
            };
            left++;
        }
    }
}

/* Lists the units; returns the rows of all parts that are joined. */
static size_t plan(struct job *j)
{
    const struct compute_attention_cached *a = j->a;
    size_t most = cpu_attend_rows(j->c->k), n, rows = 0, end;

    for (size_t s = 0; s < a->seqs; s++) {
        (void)parts_of(j, s, &n);
        j->count += n;
    }
    j->units =
        cpu_scratch_get(&j->c->chunk, (j->count + 1) * sizeof(*j->units) +
                                          a->seqs * sizeof(*j->from));
    j->from = (size_t *)(void *)(j->units + j->count + 1);
    j->count = 0;
    for (size_t s = 0; s < a->seqs; s = end) {
        size_t parts = parts_of(j, s, &n);

        end = s + 1;
        if (parts == 0) {
            for (size_t i = 0; i < n; i++)
                j->units[j->count++] =
                    (struct unit){ .seq = s, .first = i * most, .seqs = 1 };
            continue;
        }
        while (end < a->seqs && home_of(j, end) == home_of(j, s) &&
               parts_of(j, end, &n) > 0)
            end++;
        for (size_t i = s; i < end; i++) {
            j->from[i] = rows;
            rows += parts_of(j, i, &n) * rows_of(j, i) * j->group;
        }
        list_parts(j, s, end);
    }
    return rows;
}

/* What several sequences' part has left, to each of them. */
static void give_parts(const struct job *j, const struct cpu_attend *t,
                       const struct unit *u, size_t kv)
{
    size_t at = 0, dim = t->dim, units;

    for (size_t s = u->seq; s < u->seq + u->seqs; s++) {
        size_t n = rows_of(j, s) * j->group;
        float *out = partial(j, s, parts_of(j, s, &units), kv, u->part);

        memcpy(out, t->part.o + at * dim, n * dim * sizeof(*out));
        memcpy(out + n * dim, t->part.max + at, n * sizeof(*out));
        memcpy(out + n * (dim + 1), t->part.sum + at, n * sizeof(*out));
        at += n;
    }
}

/* Every part, one after another. */
static void attend_all(const struct job *j, struct cpu_attend *t,
                       const struct unit *u, size_t kv)
{
    size_t end = t->sees[t->m - 1], part = cpu_part_keys(j->c->k);

    for (size_t at = cpu_attend_first(t), next; at < end; at = next) {
        next = at / part * part + part;
        next = next < end ? next : end;
        look_at(j, t, u->seq, kv, at);
        cpu_attend_part(t, at, next);
        cpu_attend_join(t, &t->part);
    }
}

static void unit_task(void *ctx, size_t task, unsigned worker)
{
    const struct job *j = ctx;
    const struct unit *u = &j->units[task / j->a->kv_heads];
    size_t kv = task % j->a->kv_heads, from, at, end;
    size_t keys = cpu_part_keys(j->c->k);
    struct cpu_attend t = attend(j, u, kv, worker);

    if (u->parts == 0) {
        attend_all(j, &t, u, kv);
        store_rows(j, &t, u, kv);
        return;
    }
    from = cpu_attend_first(&t);
    at = from / keys + u->part;
    end = t.sees[t.m - 1];
    if (end > (at + 1) * keys)
        end = (at + 1) * keys;
    at = from > at * keys ? from : at * keys;
    look_at(j, &t, u->seq, kv, at);
    if (u->seqs == 1)
        t.part.o = partial(j, u->seq, u->parts, kv, u->part);
    cpu_attend_part(&t, at, end);
    if (u->seqs > 1) {
        give_parts(j, &t, u, kv);
        return;
    }
    memcpy(t.part.o + t.m * t.dim, t.part.max, t.m * sizeof(float));
    memcpy(t.part.o + t.m * (t.dim + 1), t.part.sum, t.m * sizeof(float));
}

/* Joins the parts of a sequence. */
static void join_task(void *ctx, size_t task, unsigned worker)
{
    const struct job *j = ctx;
    size_t kv = task % j->a->kv_heads, units;
    struct unit u = { .seq = task / j->a->kv_heads, .seqs = 1 };
    struct cpu_attend t;

    u.parts = parts_of(j, u.seq, &units);
    if (u.parts == 0)
        return;
    t = attend(j, &u, kv, worker);
    for (size_t i = 0; i < u.parts; i++) {
        t.part.o = partial(j, u.seq, u.parts, kv, i);
        memcpy(t.part.max, t.part.o + t.m * t.dim, t.m * sizeof(float));
        memcpy(t.part.sum, t.part.o + t.m * (t.dim + 1), t.m * sizeof(float));
        cpu_attend_join(&t, &t.part);
    }
    store_rows(j, &t, &u, kv);
}

void cpu_op_attention_cached(struct compute *c,
                             const struct compute_attention_cached *a)
{
    struct job j = job_of(c, a);
    size_t work = 0, rows = plan(&j);

    for (size_t s = 0; s < a->seqs; s++)
        work +=
            rows_of(&j, s) * (size_t)(a->past[s] + 1) * a->heads * a->dim * 2;
    if (rows > 0)
        j.partials = cpu_scratch_get(
            &j.c->pack, rows * a->kv_heads * (a->dim + 2) * sizeof(float));
    cpu_run(j.c, j.count * a->kv_heads, work, unit_task, &j);
    if (rows > 0)
        cpu_run(j.c, a->seqs * a->kv_heads, rows * a->kv_heads * a->dim,
                join_task, &j);
}
