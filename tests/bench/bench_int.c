/*
 * bench_int.c - products with weights of 8 and 4 bits: prefill by shape,
 * decode over more weights than a cache holds
 *
 * All kinds of a shape take turns, so that a busy moment meets each of them;
 * the median of the turns counts. Decode's peer is reading as many bytes, in
 * turns too; weights that the last cache holds may go beyond.
 * usage: bench_int [THREADS [KERNELS [prefill | decode]]]
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "compute/cpu/cpu.h"

#include "limits.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define TURNS 9
#define KINDS 3

static const char *const names[KINDS] = { "f32", "q8_0", "q4_0" };
static const double weight_bytes[KINDS] = { 4, 34.0 / 32, 18.0 / 32 };

static void fail(const struct err *err)
{
    (void)fprintf(stderr, "bench_int: %s\n", err->msg);
    exit(1);
}

static struct compute_span array(struct compute *c, size_t n)
{
    struct compute_span s;
    struct err err;
    float *x;

    if (compute_alloc(c, COMPUTE_F32, n, "array", &s, &err) < 0)
        fail(&err);
    x = mem_array(n, sizeof(*x));
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((i * 2654435761u >> 8 & 1023)) / 512 - 1;
    c->ops->upload(c, s, x, n);
    free(x);
    return s;
}

/* Random blocks of a file with scale 1/64 or so: made faster than rounded. */
static void as_kind(struct compute *c, struct compute_span w, size_t n,
                    size_t k, int kind)
{
    size_t each = kind == 1 ? 34 : 18, bytes = n * k / 32 * each;
    struct err err;
    uint8_t *b;
    int rc;

    if (kind == 0) {
        if (c->ops->freeze(c, w, n, k, true, &err) < 0)
            fail(&err);
        return;
    }
    b = mem_array(bytes, 1);
    for (size_t i = 0; i < bytes; i++)
        b[i] = (uint8_t)(i * 2654435761u >> 16);
    for (size_t i = 0; i < bytes; i += each)
        memcpy(b + i, (const uint8_t[]){ 0x07, 0x24 }, 2);
    rc = c->ops->quantise_blocks(
        c, w, n, k, kind == 1 ? COMPUTE_Q8_0 : COMPUTE_Q4_0, b, &err);
    if (rc < 0)
        fail(&err);
    free(b);
}

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double median(double *t)
{
    qsort(t, TURNS, sizeof(*t), ascending);
    return t[TURNS / 2];
}

static double now(void)
{
    return 1e-9 * (double)clock_mono_ns();
}

static void prefill(struct compute *c, const struct compute_limits *limits,
                    size_t m, size_t n, size_t k)
{
    struct compute_linear l = { .m = m, .n = n, .k = k, .alpha = 1 };
    struct compute_span w[KINDS];
    double t[KINDS][TURNS], gop = 2e-9 * (double)m * (double)n * (double)k;
    double rate[KINDS];
    size_t repeat = (size_t)(0.6 * c->threads / gop) + 1;

    l.x = array(c, m * k);
    l.y = array(c, m * n);
    for (int q = 0; q < KINDS; q++) {
        w[q] = array(c, n * k);
        as_kind(c, w[q], n, k, q);
    }
    for (int r = -1; r < TURNS; r++)
        for (int q = 0; q < KINDS; q++) {
            double start = now();

            l.w = w[q];
            for (size_t i = 0; i < (r < 0 ? 1 : repeat); i++)
                c->ops->linear(c, &l);
            if (r >= 0)
                t[q][r] = (now() - start) / (double)repeat;
        }
    for (int q = 0; q < KINDS; q++)
        rate[q] = gop / median(t[q]);
    for (int q = 1; q < KINDS; q++) {
        char path[32], shape[64];

        (void)snprintf(path, sizeof(path), "linear %s", names[q]);
        (void)snprintf(shape, sizeof(shape), "%zux%zux%zu %ut", m, n, k,
                       c->threads);
        limits_row(path, shape, "GOP/s", rate[q], "own f32", rate[0], 0,
                   limits->int8_ops * 1e-9);
    }
    for (int q = 0; q < KINDS; q++)
        compute_release(c, &w[q]);
    compute_release(c, &l.x);
    compute_release(c, &l.y);
}

/* Memory that is read and nothing more, in pieces of 64 KB. */
struct reading {
    const struct cpu_kernels *k;
    struct pool *pool;
    char *memory;
    size_t bytes;
};
#define PIECE ((size_t)64 << 10)
static volatile uint32_t kept;

static struct reading reading_new(const struct compute *c, size_t bytes)
{
    const size_t large = (size_t)2 << 20;
    struct reading r = { .k = ((const struct cpu *)c)->k,
                         .pool = pool_new(c->threads),
                         .bytes = (bytes + large - 1) / large * large };

    r.memory = aligned_alloc(large, r.bytes);
    if (!r.memory)
        exit(1);
    (void)madvise(r.memory, r.bytes, MADV_HUGEPAGE);
    memset(r.memory, 1, r.bytes);
    return r;
}

static void read_piece(void *ctx, size_t task, unsigned worker)
{
    const struct reading *r = ctx;

    (void)worker;
    kept = r->k->peak_read(r->memory + task * PIECE, PIECE);
}

static double reading_rate(struct reading *r)
{
    double start = now();

    pool_run(r->pool, r->bytes / PIECE, read_piece, r);
    return (double)r->bytes / (now() - start);
}

static void reading_drop(struct reading *r)
{
    pool_free(r->pool);
    free(r->memory);
}

static void decode(struct compute *c, size_t m, size_t n, size_t k,
                   size_t total_bytes)
{
    struct compute_linear l = { .m = m, .n = n, .k = k, .alpha = 1 };
    struct reading reading = reading_new(c, total_bytes);
    struct compute_span *w[KINDS];
    double t[KINDS][TURNS], read[TURNS], limit;
    size_t count[KINDS];

    l.x = array(c, m * k);
    l.y = array(c, m * n);
    for (int q = 0; q < KINDS; q++) {
        double each = (double)n * (double)k * weight_bytes[q];

        count[q] = (size_t)((double)total_bytes / each) + 1;
        w[q] = mem_array(count[q], sizeof(*w[q]));
        for (size_t i = 0; i < count[q]; i++) {
            w[q][i] = array(c, n * k);
            as_kind(c, w[q][i], n, k, q);
        }
    }
    for (int r = -1; r < TURNS; r++) {
        int at = r < 0 ? 0 : r;

        for (int q = 0; q < KINDS; q++) {
            double start = now();

            for (size_t i = 0; i < count[q]; i++) {
                l.w = w[q][i];
                c->ops->linear(c, &l);
            }
            t[q][at] = (now() - start) / (double)count[q];
        }
        read[at] = reading_rate(&reading);
    }
    limit = median(read);
    reading_drop(&reading);
    for (int q = 0; q < KINDS; q++) {
        double bytes = (double)n * (double)k * weight_bytes[q];
        char path[32], shape[64];

        (void)snprintf(path, sizeof(path), "gemv %s", names[q]);
        (void)snprintf(shape, sizeof(shape), "%zux%zux%zu %zuMB %ut", m, n, k,
                       total_bytes >> 20, c->threads);
        limits_row(path, shape, "GB/s", 1e-9 * bytes / median(t[q]), "reading",
                   limit * 1e-9, m == 1 ? 0.85 : 0, limit * 1e-9);
        for (size_t i = 0; i < count[q]; i++)
            compute_release(c, &w[q][i]);
        free(w[q]);
    }
    compute_release(c, &l.x);
    compute_release(c, &l.y);
}

int main(int argc, char **argv)
{
    static const size_t shapes[][3] = {
        { 512, 576, 576 },   { 512, 1536, 576 },  { 512, 576, 1536 },
        { 512, 2048, 2048 }, { 512, 8192, 2048 },
    };
    struct compute_options opt = { .threads =
                                       argc > 1 ? (unsigned)atoi(argv[1]) : 2,
                                   .kernels = argc > 2 ? argv[2] : NULL };
    const char *only = argc > 3 ? argv[3] : "";
    struct compute_limits limits;
    struct compute *c;
    struct err err;

    if (compute_open(&opt, &c, &err) < 0)
        fail(&err);
    limits = limits_now(c->threads);
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        if (strcmp(only, "decode") != 0)
            prefill(c, &limits, shapes[i][0], shapes[i][1], shapes[i][2]);
    for (size_t m = 1; m <= 4 && strcmp(only, "prefill") != 0; m += 3) {
        decode(c, m, 2048, 2048, (size_t)160 << 20);
        decode(c, m, 1536, 576, (size_t)160 << 20);
        decode(c, m, 1536, 576, (size_t)8 << 20);
    }
    compute_close(c);
    return 0;
}
