/*
 * bench_kmeans.c - seconds an iteration of spherical k-means
 *
 * The time of 11 iterations less that of 1, over 10, best and median of some
 * rounds. With a directory, points and starting centres are read from x.f32
 * and centres-K.f32 in it (raw little-endian rows), so that other programs can
 * start from the same place; see README.md here.
 */
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kmeans/kmeans.h"
#include "linalg/linalg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIMS 256
#define POINTS 100000
#define ROUNDS 5

static float *read_rows(const char *dir, const char *name, size_t *rows)
{
    char *path = io_path(dir, name);
    struct io_map map;
    struct err err = { 0 };
    float *x = NULL;

    if (io_map_open(path, &map, &err) < 0) {
        (void)fprintf(stderr, "bench_kmeans: %s\n", err.msg);
    } else {
        *rows = map.size / sizeof(*x) / DIMS;
        x = mem_array(*rows * DIMS, sizeof(*x));
        memcpy(x, map.data, *rows * DIMS * sizeof(*x));
        io_map_close(&map);
    }
    free(path);
    return x;
}

static float *make_points(size_t n)
{
    float *x = mem_array(n * DIMS, sizeof(*x));
    struct rng r;

    rng_init(&r, 1);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < DIMS; k++)
            x[i * DIMS + k] = (float)rng_normal(&r);
        linalg_normalize(x + i * DIMS, DIMS);
    }
    return x;
}

static double seconds(struct pool *pool, const float *x, size_t n,
                      const float *centres, size_t k, unsigned iterations)
{
    struct kmeans_options o = {
        .k = k, .iterations = iterations, .spherical = true, .centres = centres
    };
    struct kmeans_result r = { 0 };
    int64_t start = clock_mono_ns();

    if (kmeans_fit(pool, n, DIMS, x, &o, NULL, &r, NULL) < 0 ||
        r.iterations != iterations)
        (void)fprintf(stderr, "bench_kmeans: converged early\n");
    kmeans_result_release(&r);
    return (double)(clock_mono_ns() - start) / 1e9;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void bench(struct pool *pool, const float *x, size_t n,
                  const float *centres, size_t k)
{
    double t[ROUNDS];

    (void)seconds(pool, x, n, centres, k, 1);
    for (size_t i = 0; i < ROUNDS; i++)
        t[i] = (seconds(pool, x, n, centres, k, 11) -
                seconds(pool, x, n, centres, k, 1)) /
               10;
    qsort(t, ROUNDS, sizeof(t[0]), compare);
    (void)printf("slmctl       k=%4zu: %.3f s an iteration (best %.3f)\n", k,
                 t[ROUNDS / 2], t[0]);
    (void)printf("row\tk-means\t%zu x %d, k = %zu, %u threads\titerations/s\t"
                 "%.3f\t-\t-\t1.43\t-\n",
                 n, DIMS, k, pool_threads(pool), 1 / t[ROUNDS / 2]);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    static const size_t ks[] = { 150, 1000 };
    const char *dir = argc > 1 && *argv[1] ? argv[1] : NULL;
    unsigned threads = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
    size_t n = POINTS;
    float *x = dir ? read_rows(dir, "x.f32", &n) : make_points(n);

    if (!x)
        return 1;
    struct pool *pool = pool_new(threads);
    (void)printf("%zu x %d, %s, %u threads\n", n, DIMS, linalg_backend(),
                 pool_threads(pool));
    for (size_t i = 0; i < sizeof(ks) / sizeof(ks[0]); i++) {
        char name[32];
        size_t k = ks[i];
        float *own = NULL;
        (void)snprintf(name, sizeof(name), "centres-%zu.f32", k);
        if (dir && !(own = read_rows(dir, name, &k)))
            return 1;
        bench(pool, x, n, own ? own : x, k);
        free(own);
    }
    pool_free(pool);
    free(x);
    return 0;
}
