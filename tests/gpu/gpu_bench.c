/*
 * gpu_bench.c - what a device reaches, through the table of operations
 *
 * usage: gpu_bench [--device D] [--kernels K,...] [--only PATTERN]
 *                  [--models PATTERN] [--steps N] [--batch N] [--tokens N]
 * [--quick]
 *                  [--blank] [--peak TFLOPS,GBYTES]
 * A line each: path, shape, milliseconds, rate, unit, share of the peak. Peaks
 * are the makers' figures for dense bf16 and memory. --only names a path
 * ("attention*"), --models a shape ("tiny", "1B"); --quick takes the smallest
 * sizes, --blank leaves all values zero, which --steps N beside
 * tests/gpu/dry_runtime.c wants. Without the device: a line "skip:".
 */
#include "bench.h"
#include "gpu_missing.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK ((size_t)1 << 20)
#define BATCHES 3

static const struct {
    const char *name; /* part of the device's */
    double tflops, gbytes;
} peaks[] = {
    { "H200", 989, 4800 },
    { "H100 80GB HBM3", 989, 3350 },
    { "H100", 756, 2000 },
    { "A100", 312, 2039 },
};

static void must(struct bench *b, int rc)
{
    if (rc < 0) {
        (void)printf("FAIL %s\n", b->err.msg);
        exit(1);
    }
}

bool bench_wants(const struct bench *b, const char *path)
{
    return !b->only || fnmatch(b->only, path, 0) == 0;
}

void bench_sync(struct bench *b)
{
    must(b, b->c->ops->sync(b->c, &b->err));
}

double bench_now_s(void)
{
    return (double)clock_mono_ns() * 1e-9;
}

double bench_time(struct bench *b, void (*run)(struct bench *b, void *ctx),
                  void *ctx)
{
    double batch = b->quick ? 0.01 : 0.1, start, one, best = INFINITY;
    int count;

    run(b, ctx);
    bench_sync(b);
    start = bench_now_s();
    run(b, ctx);
    bench_sync(b);
    one = bench_now_s() - start;
    count = one > batch ? 1 : (int)(batch / one) + 1;
    count = count > 2000 ? 2000 : count;
    for (int k = 0; k < BATCHES; k++) {
        start = bench_now_s();
        for (int i = 0; i < count; i++)
            run(b, ctx);
        bench_sync(b);
        best = fmin(best, (bench_now_s() - start) / count);
    }
    return best;
}

void bench_fill(struct bench *b, struct compute_span s, enum compute_type type,
                size_t n, float scale)
{
    static float wide[BLOCK];
    static uint16_t narrow[BLOCK];
    struct rng rng;

    if (b->blank)
        return;
    rng_init(&rng, 1);
    for (size_t i = 0; i < BLOCK; i++) {
        uint32_t bits;

        wide[i] = scale * (float)(4 * rng_unit(&rng) - 2);
        memcpy(&bits, &wide[i], sizeof(bits));
        narrow[i] = (uint16_t)(bits >> 16);
    }
    for (size_t at = 0; at < n; at += BLOCK)
        b->c->ops->upload(b->c, compute_at(s, at),
                          type == COMPUTE_BF16 ? (void *)narrow : (void *)wide,
                          n - at < BLOCK ? n - at : BLOCK);
}

struct compute_span bench_space(struct bench *b, enum compute_type type,
                                size_t n)
{
    struct compute_span s = { 0 };

    must(b, compute_alloc(b->c, type, n, "bench", &s, &b->err));
    bench_fill(b, s, type, n, 0.5f);
    return s;
}

static void line(const struct bench *b, const char *path, const char *shape,
                 double seconds, double rate, const char *unit, double share)
{
    char part[16] = "-", ms[24] = "-";

    if (isfinite(share))
        (void)snprintf(part, sizeof(part), "%.0f %%", 100 * share);
    if (isfinite(seconds))
        (void)snprintf(ms, sizeof(ms), "%.3f", 1e3 * seconds);
    (void)printf("%-6s %-22s %-32s %10s ms %9.1f %-8s %s\n", b->kernels, path,
                 shape, ms, rate, unit, part);
    (void)fflush(stdout);
}

void bench_flops(const struct bench *b, const char *path, const char *shape,
                 double seconds, double flops)
{
    double rate = flops / seconds * 1e-12;

    line(b, path, shape, seconds, rate, "TFLOP/s",
         b->tflops > 0 ? rate / b->tflops : (double)NAN);
}

void bench_bytes(const struct bench *b, const char *path, const char *shape,
                 double seconds, double bytes)
{
    double rate = bytes / seconds * 1e-9;

    line(b, path, shape, seconds, rate, "GB/s",
         b->gbytes > 0 ? rate / b->gbytes : (double)NAN);
}

void bench_tokens(const struct bench *b, const char *path, const char *shape,
                  double tokens_per_s, double share)
{
    line(b, path, shape, (double)NAN, tokens_per_s, "tok/s", share);
}

static void know_peaks(struct bench *b, const char *given)
{
    if (given && sscanf(given, "%lf,%lf", &b->tflops, &b->gbytes) == 2)
        return;
    for (size_t i = 0; i < sizeof(peaks) / sizeof(peaks[0]); i++)
        if (strstr(b->c->device, peaks[i].name)) {
            b->tflops = peaks[i].tflops;
            b->gbytes = peaks[i].gbytes;
            return;
        }
}

/* Whole models with the last kernels of the list only, unless asked for. */
static bool bench_run(struct bench b, const char *device, bool last,
                      const char *peak)
{
    struct compute_options opt = { .device = device, .kernels = b.kernels };

    if (compute_open(&opt, &b.c, &b.err) < 0) {
        bool skip = gpu_is_missing(&b.err);

        (void)printf("%s: %s, %s: %s\n", skip ? "skip" : "FAIL", device,
                     b.kernels, b.err.msg);
        return skip;
    }
    know_peaks(&b, peak);
    (void)printf("# %s, %s; peaks %.0f TFLOP/s, %.0f GB/s\n", b.c->device,
                 b.c->kernels, b.tflops, b.gbytes);
    bench_products(&b);
    if (last || b.only) {
        bench_attention(&b);
        bench_models(&b);
    }
    compute_close(b.c);
    return true;
}

/* Takes one option; returns how many words it had, 0: it is not known. */
static int take(struct bench *b, const char **device, char *kernels,
                size_t size, const char **peak, char **argv)
{
    const char *name = argv[0], *value = argv[1];

    if (strcmp(name, "--quick") == 0)
        return b->quick = true, 1;
    if (strcmp(name, "--blank") == 0)
        return b->blank = true, 1;
    if (!value)
        return 0;
    if (strcmp(name, "--device") == 0)
        *device = value;
    else if (strcmp(name, "--kernels") == 0)
        (void)snprintf(kernels, size, "%s", value);
    else if (strcmp(name, "--only") == 0)
        b->only = value;
    else if (strcmp(name, "--models") == 0)
        b->models = value;
    else if (strcmp(name, "--steps") == 0)
        b->steps = strtoul(value, NULL, 10);
    else if (strcmp(name, "--batch") == 0)
        b->batch = strtoul(value, NULL, 10);
    else if (strcmp(name, "--tokens") == 0)
        b->tokens = strtoul(value, NULL, 10);
    else if (strcmp(name, "--peak") == 0)
        *peak = value;
    else
        return 0;
    return 2;
}

int main(int argc, char **argv)
{
    struct bench b = { 0 };
    const char *device = "cuda", *peak = NULL;
    char kernels[128] = "mma,wgmma", *rest = kernels;
    bool done = true;

    for (int i = 1, n; i < argc; i += n) {
        n = take(&b, &device, kernels, sizeof(kernels), &peak, argv + i);
        if (n == 0)
            return (void)fprintf(stderr, "gpu_bench: %s is not known\n",
                                 argv[i]),
                   2;
    }
    for (char *name; (name = strsep(&rest, ","));) {
        b.kernels = name;
        done = bench_run(b, device, rest == NULL, peak) && done;
    }
    return !done;
}
