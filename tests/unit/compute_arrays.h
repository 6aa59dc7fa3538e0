/*
 * compute_arrays.h - what the tests of compute share: kernel sets, arrays on
 * the device beside their host values, slopes by finite differences
 */
#ifndef COMPUTE_ARRAYS_H
#define COMPUTE_ARRAYS_H

#include "ok.h"

#include "compute/compute.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const sets[] = { "generic", "avx2", "avx512" };
#define SETS 3

static struct rng rng;

/* NULL where this CPU has not these kernels. */
static inline struct compute *open_set(int set, unsigned threads)
{
    struct compute *c;
    struct compute_options opt = { .kernels = sets[set], .threads = threads };

    rng_init(&rng, 7);
    if (compute_open(&opt, &c, &err) < 0) {
        ck_assert_int_eq(err.code, ERR_UNSUPPORTED);
        (void)printf("skip: %s: %s\n", sets[set], err.msg);
        return NULL;
    }
    return c;
}

/* Host values beside their device copy. */
struct array {
    struct compute_span s;
    float *x;
    size_t n;
};

static inline struct array zeros(struct compute *c, size_t n)
{
    struct array a = { .n = n, .x = mem_zalloc((n + 1) * sizeof(float)) };

    OK(compute_alloc(c, COMPUTE_F32, n, "test", &a.s, &err));
    return a;
}

static inline struct array noise(struct compute *c, size_t n)
{
    struct array a = zeros(c, n);

    for (size_t i = 0; i < n; i++)
        a.x[i] = (float)rng_normal(&rng);
    c->ops->upload(c, a.s, a.x, n);
    return a;
}

static inline struct array integers(struct compute *c, const int32_t *v,
                                    size_t n)
{
    struct array a = { .n = n };

    OK(compute_alloc(c, COMPUTE_I32, n, "test", &a.s, &err));
    c->ops->upload(c, a.s, v, n);
    return a;
}

static inline float *fetch(struct compute *c, struct array *a)
{
    c->ops->download(c, a->x, a->s, a->n);
    return a->x;
}

static inline void drop(struct compute *c, struct array *a)
{
    compute_release(c, &a->s);
    free(a->x);
}

static inline void drop_each(struct compute *c, struct array *const *list)
{
    for (; *list; list++)
        drop(c, *list);
}

#define DROP(c, ...)                                                           \
    drop_each((c), (struct array *const[]){ __VA_ARGS__, NULL })

static inline void close_to(double got, double want, double scale,
                            const char *what)
{
    ck_assert_msg(fabs(got - want) <= 2e-5 * (scale + fabs(want)),
                  "%s: %.9g, not %.9g", what, got, want);
}

struct product {
    struct array y, x, w, b;
    struct compute_linear l;
};

static inline struct product product(struct compute *c, const size_t *shape)
{
    struct product p = { .y = noise(c, shape[0] * shape[1]),
                         .x = noise(c, shape[0] * shape[2]),
                         .w = noise(c, shape[1] * shape[2]),
                         .b = noise(c, shape[1]) };

    p.l = (struct compute_linear){ .y = p.y.s,
                                   .x = p.x.s,
                                   .w = p.w.s,
                                   .bias = p.b.s,
                                   .addend = p.y.s,
                                   .m = shape[0],
                                   .n = shape[1],
                                   .k = shape[2],
                                   .alpha = 0.5f };
    return p;
}

static inline void product_drop(struct compute *c, struct product *p)
{
    DROP(c, &p->y, &p->x, &p->w, &p->b);
}

/* d/dx[i] of f by a central difference. */
static inline double slope(double (*f)(void *ctx), void *ctx, double *x)
{
    const double h = 1e-5, at = *x;
    double up, down;

    *x = at + h;
    up = f(ctx);
    *x = at - h;
    down = f(ctx);
    *x = at;
    return (up - down) / (2 * h);
}

static inline double *doubles(const struct array *a)
{
    double *d = mem_array(a->n, sizeof(*d));

    for (size_t i = 0; i < a->n; i++)
        d[i] = (double)a->x[i];
    return d;
}

#endif
