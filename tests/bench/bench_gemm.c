/* bench_gemm.c - GFLOP per CPU second of the linear operation and its
 * gradients, by shape */
#include "base/clock.h"
#include "compute/compute.h"

#include <stdio.h>
#include <stdlib.h>

static const size_t shapes[][3] = {
    /* m, n, k of y[m,n] = x[m,k] w[n,k]' */
    { 4096, 192, 192 }, { 4096, 512, 192 },  { 4096, 192, 512 },
    { 512, 192, 192 },  { 64, 512, 192 },    { 1024, 2048, 192 },
    { 512, 16, 192 },   { 512, 192, 16 },    { 512, 576, 576 },
    { 512, 1536, 576 }, { 512, 2048, 2048 }, { 1, 2048, 2048 },
    { 8, 2048, 2048 },
};

static double rate(struct compute *c, const struct compute_linear *l,
                   void (*op)(struct compute *, const struct compute_linear *))
{
    double flop = 2.0 * (double)l->m * (double)l->n * (double)l->k, best = 0;
    size_t repeat = (size_t)(2e8 / flop) + 1;

    for (int round = 0; round < 5; round++) {
        double start = clock_cpu_s();
        double r;

        for (size_t i = 0; i < repeat; i++)
            op(c, l);
        r = flop * (double)repeat / (clock_cpu_s() - start) * 1e-9;
        best = r > best ? r : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    struct compute_options opt = { .threads =
                                       argc > 1 ? (unsigned)atoi(argv[1]) : 1,
                                   .kernels = argc > 2 ? argv[2] : NULL };
    struct compute *c;
    struct err err;

    if (compute_open(&opt, &c, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    (void)printf("%s, %u threads: GFLOP per CPU second\n%22s %8s %8s %8s %8s\n",
                 c->kernels, c->threads, "m,n,k", "y", "frozen", "dx", "dw");
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct compute_linear l = {
            .m = shapes[i][0], .n = shapes[i][1], .k = shapes[i][2], .alpha = 1
        };
        double y, dx, dw, frozen;

        if (compute_alloc(c, COMPUTE_F32, l.m * l.n, "y", &l.y, &err) < 0 ||
            compute_alloc(c, COMPUTE_F32, l.m * l.k, "x", &l.x, &err) < 0 ||
            compute_alloc(c, COMPUTE_F32, l.n * l.k, "w", &l.w, &err) < 0)
            return 1;
        y = rate(c, &l, c->ops->linear);
        dx = rate(c, &l, c->ops->linear_dx);
        dw = rate(c, &l, c->ops->linear_dw);
        if (c->ops->freeze(c, l.w, l.n, l.k, false, &err) < 0)
            return 1;
        frozen = rate(c, &l, c->ops->linear);
        (void)printf("%8zu,%6zu,%6zu %8.1f %8.1f %8.1f %8.1f\n", l.m, l.n, l.k,
                     y, frozen, dx, dw);
        compute_release(c, &l.y);
        compute_release(c, &l.x);
        compute_release(c, &l.w);
    }
    compute_close(c);
    return 0;
}
