/*
 * lora_data.c - documents, the order of an epoch, and packing
 *
 * The order depends on (seed, epoch) alone, so a position in it is all that a
 * resumed run needs to know.
 */
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "lora/lora_private.h"

#include <stdlib.h>
#include <string.h>

static size_t unit_of(const struct lora_data *d)
{
    return d->unit ? d->unit : 1;
}

size_t lora_items(const struct lora_data *d)
{
    return d->docs / unit_of(d);
}

static size_t item_size(const struct lora_data *d, size_t item)
{
    return d->starts[(item + 1) * unit_of(d)] - d->starts[item * unit_of(d)];
}

void lora_data_add(struct lora_data *d, const int32_t *ids,
                   const unsigned char *mask, size_t from, size_t n)
{
    mem_grow((void **)&d->ids, &d->cap_ids, d->tokens + n, sizeof(*d->ids));
    mem_grow((void **)&d->mask, &d->cap_mask, d->tokens + n, 1);
    mem_grow((void **)&d->starts, &d->cap_starts, d->docs + 2,
             sizeof(*d->starts));
    for (size_t i = 0; i < n; i++) {
        bool trained = i > 0 && (mask ? mask[i] != 0 : i >= from);

        d->ids[d->tokens + i] = ids[i];
        d->mask[d->tokens + i] = trained;
        d->trained += trained;
    }
    d->starts[d->docs++] = d->tokens;
    d->tokens += n;
    d->starts[d->docs] = d->tokens;
    if (d->top)
        lora_data_teach(d, n, NULL, NULL, 0, 0);
}

void lora_data_teach(struct lora_data *d, size_t from, const int32_t *ids,
                     const float *logp, size_t rows, size_t top)
{
    size_t first = d->top ? d->starts[d->docs - 1] : 0;
    size_t at = d->starts[d->docs - 1] + from;

    d->top = LORA_TOP;
    mem_grow((void **)&d->top_ids, &d->cap_top_ids, d->tokens * LORA_TOP,
             sizeof(*d->top_ids));
    mem_grow((void **)&d->top_logp, &d->cap_top_logp, d->tokens * LORA_TOP,
             sizeof(*d->top_logp));
    for (size_t i = first * LORA_TOP; i < d->tokens * LORA_TOP; i++) {
        d->top_ids[i] = -1;
        d->top_logp[i] = 0;
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < top && i < LORA_TOP; i++) {
            d->top_ids[(at + r) * LORA_TOP + i] = ids[r * top + i];
            d->top_logp[(at + r) * LORA_TOP + i] = logp[r * top + i];
        }
}

/* Append document i of another. */
static void copy_document(struct lora_data *to, const struct lora_data *d,
                          size_t i)
{
    size_t at = d->starts[i], n = d->starts[i + 1] - at;

    lora_data_add(to, d->ids + at, d->mask + at, 0, n);
    if (d->top)
        lora_data_teach(to, 0, d->top_ids + at * d->top,
                        d->top_logp + at * d->top, n, d->top);
}

size_t lora_data_thin(struct lora_data *d, size_t tokens, size_t docs)
{
    struct lora_data thin = { .unit = d->unit };
    size_t items = lora_items(d), most, n, held;

    most = docs > 0 && items > docs ? items / docs : 1;
    for (n = 1, held = d->tokens; n < most && held > tokens;) {
        n++;
        held = 0;
        for (size_t i = 0; i < items; i += n)
            held += item_size(d, i);
    }
    if (n == 1)
        return n;
    for (size_t i = 0; i < items; i += n)
        for (size_t k = 0; k < unit_of(d); k++)
            copy_document(&thin, d, i * unit_of(d) + k);
    lora_data_release(d);
    *d = thin;
    return n;
}

void lora_data_release(struct lora_data *d)
{
    free(d->ids);
    free(d->mask);
    free(d->starts);
    free(d->top_ids);
    free(d->top_logp);
    *d = (struct lora_data){ 0 };
}

uint64_t lora_data_hash(const struct lora_data *d)
{
    uint64_t h = d->docs;

    if (d->docs == 0)
        return h;
    h = hash_stable(d->ids, d->tokens * sizeof(*d->ids), h);
    h = hash_stable(d->mask, d->tokens, h);
    if (d->unit > 1)
        h ^= d->unit;
    if (d->top) {
        h = hash_stable(d->top_ids, d->tokens * d->top * sizeof(*d->top_ids),
                        h);
        h = hash_stable(d->top_logp, d->tokens * d->top * sizeof(*d->top_logp),
                        h);
    }
    return hash_stable(d->starts, d->docs * sizeof(*d->starts), h);
}

static void draw_order(struct lora_plan *p, uint64_t epoch)
{
    struct rng rng;

    rng_init(&rng, p->seed * 0x9e3779b97f4a7c15u + epoch + 1);
    for (size_t i = 0; i < lora_items(p->data); i++)
        p->order[i] = i;
    rng_shuffle(&rng, p->order, lora_items(p->data));
    p->epoch = epoch;
}

void lora_plan_init(struct lora_plan *p, const struct lora_data *d,
                    uint64_t seed, size_t batch_tokens)
{
    *p = (struct lora_plan){ .data = d,
                             .seed = seed,
                             .batch_tokens = batch_tokens };
    p->order = mem_array(lora_items(d), sizeof(*p->order));
    draw_order(p, 0);
}

void lora_plan_release(struct lora_plan *p)
{
    free(p->order);
    p->order = NULL;
}

const size_t *lora_plan_step(struct lora_plan *p, uint64_t *epoch,
                             uint64_t *position, size_t *count)
{
    size_t first = (size_t)*position, i = first, tokens = 0;

    if (p->epoch != *epoch)
        draw_order(p, *epoch);
    while (i < lora_items(p->data) && (i == first || tokens < p->batch_tokens))
        tokens += item_size(p->data, p->order[i++]);
    *count = i - first;
    *position = i;
    if (i == lora_items(p->data)) {
        *position = 0;
        ++*epoch;
    }
    return p->order + first;
}

/* Steps of a whole epoch differ by little from shuffle to shuffle: counted,
 * not guessed. A part of an epoch is counted by its documents. */
uint64_t lora_plan_count(struct lora_plan *p, double epochs)
{
    uint64_t epoch = 0, position = 0, steps = 0;
    size_t count;

    while ((double)epoch + (double)position / (double)lora_items(p->data) <
           epochs) {
        (void)lora_plan_step(p, &epoch, &position, &count);
        steps++;
    }
    return steps;
}

struct bin {
    size_t used, docs;
};

static int longest_first(const void *a, const void *b, void *ctx)
{
    const struct lora_data *d = ctx;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    size_t nx = item_size(d, x), ny = item_size(d, y);

    if (nx != ny)
        return nx > ny ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Best fit decreasing: bin_of[i] for the i-th sorted document. */
static size_t fill_bins(const struct lora_data *d, const size_t *sorted,
                        size_t count, size_t rows, struct bin *bins,
                        size_t *bin_of)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        size_t size = item_size(d, sorted[i]), best = n;

        for (size_t b = 0; b < n; b++)
            if (bins[b].used + size <= rows &&
                (best == n || bins[b].used > bins[best].used))
                best = b;
        if (best == n)
            bins[n++] = (struct bin){ 0, 0 };
        bins[best].used += size;
        bins[best].docs++;
        bin_of[i] = best;
    }
    return n;
}

static void place(struct lora_packing *out, const struct lora_data *d,
                  size_t doc, struct model_batch *b)
{
    size_t at = d->starts[doc], n = d->starts[doc + 1] - at;
    int32_t *ids = (int32_t *)(uintptr_t)b->ids + b->rows;
    int32_t *labels = (int32_t *)(uintptr_t)b->labels + b->rows;
    int32_t *positions = (int32_t *)(uintptr_t)b->positions + b->rows;
    size_t *tokens = out->tokens + (size_t)(b->ids - out->memory) / 3 + b->rows;

    for (size_t i = 0; i < n; i++) {
        bool next = i + 1 < n && d->mask[at + i + 1];

        ids[i] = d->ids[at + i];
        labels[i] = next ? d->ids[at + i + 1] : -100;
        positions[i] = (int32_t)i;
        tokens[i] = at + i + next;
        out->trained += next;
    }
    b->rows += n;
    b->docs++;
    ((int32_t *)(uintptr_t)b->starts)[b->docs] = (int32_t)b->rows;
}

/* Memory of all passes: three arrays of rows, and starts. */
static void lay_out(struct lora_packing *out, const struct bin *bins,
                    size_t count, size_t unit)
{
    size_t rows = 0, docs = 0, row = 0, doc = 0;

    for (size_t b = 0; b < count; b++) {
        rows += bins[b].used;
        docs += bins[b].docs * unit + 1;
    }
    out->memory = mem_array(rows, 3 * sizeof(*out->memory));
    out->tokens = mem_array(rows, sizeof(*out->tokens));
    out->starts = mem_zalloc(docs * sizeof(*out->starts));
    out->batches = mem_zalloc(count * sizeof(*out->batches));
    out->count = count;
    for (size_t b = 0; b < count; b++) {
        int32_t *at = out->memory + 3 * row;

        out->batches[b] =
            (struct model_batch){ .ids = at,
                                  .labels = at + bins[b].used,
                                  .positions = at + 2 * bins[b].used,
                                  .starts = out->starts + doc };
        row += bins[b].used;
        doc += bins[b].docs * unit + 1;
    }
}

void lora_pack(const struct lora_data *d, const size_t *docs, size_t count,
               size_t rows, struct lora_packing *out)
{
    size_t *sorted = mem_array(count, 2 * sizeof(*sorted));
    size_t *bin_of = sorted + count;
    struct bin *bins = mem_array(count, sizeof(*bins));

    *out = (struct lora_packing){ 0 };
    memcpy(sorted, docs, count * sizeof(*sorted));
    qsort_r(sorted, count, sizeof(*sorted), longest_first,
            (void *)(uintptr_t)d);
    lay_out(out, bins, fill_bins(d, sorted, count, rows, bins, bin_of),
            unit_of(d));
    out->items = count;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < unit_of(d); k++)
            place(out, d, sorted[i] * unit_of(d) + k, &out->batches[bin_of[i]]);
    free(bins);
    free(sorted);
}

void lora_packing_release(struct lora_packing *p)
{
    free(p->batches);
    free(p->memory);
    free(p->starts);
    free(p->tokens);
    *p = (struct lora_packing){ 0 };
}
