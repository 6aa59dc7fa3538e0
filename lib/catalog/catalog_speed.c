/*
 * catalog_speed.c - how fast this machine could answer with a model
 *
 * A token of an answer reads all weights once, so the memory decides. What it
 * gives is measured; the share of it that programs reach is a published one,
 * and the result a prediction, to be called so.
 */
#include "catalog/catalog.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"

#include <stdlib.h>

#define PART_BYTES ((size_t)1 << 20)
#define PARTS 96 /* together more than caches hold */
#define ROUNDS 3

struct reading {
    uint64_t *words;
    uint64_t sums[PARTS];
};

static void part_read(void *ctx, size_t part, unsigned worker)
{
    struct reading *r = ctx;
    const size_t n = PART_BYTES / sizeof(*r->words);
    const uint64_t *p = r->words + part * n;
    uint64_t a = 0, b = 0, c = 0, d = 0;

    (void)worker;
    for (size_t i = 0; i < n; i += 4) {
        a += p[i];
        b += p[i + 1];
        c += p[i + 2];
        d += p[i + 3];
    }
    r->sums[part] = a + b + c + d;
}

double catalog_bandwidth(void)
{
    struct reading r = { .words = mem_alloc(PARTS * PART_BYTES) };
    struct pool *pool = pool_new(0);
    uint64_t total = 0;
    double best = 0;

    for (size_t i = 0; i < PARTS * PART_BYTES / sizeof(*r.words); i++)
        r.words[i] = i;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t began = clock_mono_ns();
        double rate;

        pool_run(pool, PARTS, part_read, &r);
        rate = (double)(PARTS * PART_BYTES) * 1e9 /
               (double)(clock_mono_ns() - began + 1);
        best = rate > best ? rate : best;
        total += r.sums[round];
    }
    pool_free(pool);
    free(r.words);
    return total ? best : 0; /* the sums are used: the reads happen */
}

double catalog_tokens_s(double bandwidth, int64_t weight_bytes,
                        int64_t kv_bytes)
{
    double bytes = (double)weight_bytes + (double)kv_bytes;

    return bytes > 0 ? bandwidth * CATALOG_BANDWIDTH_SHARE / bytes : 0;
}
