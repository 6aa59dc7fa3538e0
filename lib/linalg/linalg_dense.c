/*
 * linalg_dense.c - products over the pool, Gram matrices, eigenvectors
 *
 * Blocks have a fixed size and partial sums are added in the order of the
 * blocks. Small symmetric problems (a few hundred columns) are solved by
 * Jacobi rotations in double: slow in order, exact, and free of LAPACK.
 */
#include "linalg/linalg.h"

#include "base/mem.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DENSE_BLOCK 512
#define JACOBI_SWEEPS 30

float linalg_dot(const float *a, const float *b, size_t n)
{
    float s[16] = { 0 };
    size_t i = 0;

    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 16; j++)
            s[j] += a[i + j] * b[i + j];
    for (size_t j = 0; i < n; i++, j++)
        s[j] += a[i] * b[i];
    for (size_t w = 8; w; w /= 2)
        for (size_t j = 0; j < w; j++)
            s[j] += s[j + w];
    return s[0];
}

float linalg_normalize(float *a, size_t n)
{
    float length = sqrtf(linalg_dot(a, a, n));

    if (length > 0)
        for (size_t i = 0; i < n; i++)
            a[i] /= length;
    return length;
}

struct product_job {
    size_t n, d, e;
    const float *a, *b;
    float *c;
};

static void product_block(void *ctx, size_t task, unsigned worker)
{
    const struct product_job *j = ctx;
    size_t at = task * DENSE_BLOCK;
    size_t rows = j->n - at < DENSE_BLOCK ? j->n - at : DENSE_BLOCK;

    (void)worker;
    linalg_gemm_nn(rows, j->e, j->d, j->a + at * j->d, j->d, j->b, j->e,
                   j->c + at * j->e, j->e);
}

void linalg_product(struct pool *pool, size_t n, size_t d, size_t e,
                    const float *a, const float *b, float *c)
{
    struct product_job j = { n, d, e, a, b, c };

    if (n && e)
        pool_run(pool, (n + DENSE_BLOCK - 1) / DENSE_BLOCK, product_block, &j);
}

#define GRAM_PARTS 16

struct gram_job {
    size_t n, d, blocks;
    const float *a;
    float *block; /* GRAM_PARTS of d * d */
    double *sum;  /* the same */
};

static void gram_part(void *ctx, size_t part, unsigned worker)
{
    const struct gram_job *j = ctx;
    size_t dd = j->d * j->d;
    float *c = j->block + part * dd;
    double *sum = j->sum + part * dd;

    (void)worker;
    for (size_t b = part; b < j->blocks; b += GRAM_PARTS) {
        size_t at = b * DENSE_BLOCK;
        size_t rows = j->n - at < DENSE_BLOCK ? j->n - at : DENSE_BLOCK;
        const float *x = j->a + at * j->d;
        linalg_gemm_tn(j->d, j->d, rows, x, j->d, x, j->d, c, j->d);
        for (size_t i = 0; i < dd; i++)
            sum[i] += (double)c[i];
    }
}

void linalg_gram(struct pool *pool, size_t n, size_t d, const float *a,
                 double *g)
{
    size_t dd = d * d;
    struct gram_job j = { n,
                          d,
                          (n + DENSE_BLOCK - 1) / DENSE_BLOCK,
                          a,
                          mem_array(GRAM_PARTS * dd, sizeof(float)),
                          mem_zalloc(GRAM_PARTS * dd * sizeof(double)) };

    pool_run(pool, GRAM_PARTS, gram_part, &j);
    memset(g, 0, dd * sizeof(*g));
    for (size_t p = 0; p < GRAM_PARTS; p++)
        for (size_t i = 0; i < dd; i++)
            g[i] += j.sum[p * dd + i];
    free(j.block);
    free(j.sum);
}

/* Rotate rows p and q of m by (c, s). */
static void rotate_rows(double *m, size_t n, size_t p, size_t q, double c,
                        double s)
{
    double *a = m + p * n, *b = m + q * n;

    for (size_t i = 0; i < n; i++) {
        double x = a[i], y = b[i];
        a[i] = c * x - s * y;
        b[i] = s * x + c * y;
    }
}

/* Annihilate a[p,q]; v collects the rotations. False: it was negligible. */
static bool jacobi_rotate(size_t n, double *a, double *v, size_t p, size_t q,
                          double floor)
{
    double apq = a[p * n + q];

    if (fabs(apq) <= floor)
        return false;
    double theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
    double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
    double c = 1 / sqrt(t * t + 1), s = t * c;
    rotate_rows(a, n, p, q, c, s);
    for (size_t i = 0; i < n; i++) { /* and the columns */
        double x = a[i * n + p], y = a[i * n + q];
        a[i * n + p] = c * x - s * y;
        a[i * n + q] = s * x + c * y;
    }
    rotate_rows(v, n, p, q, c, s);
    return true;
}

static void eigen_sort(size_t n, double *values, double *v)
{
    for (size_t i = 0; i + 1 < n; i++) {
        size_t best = i;
        for (size_t j = i + 1; j < n; j++)
            if (values[j] > values[best])
                best = j;
        if (best == i)
            continue;
        double t = values[i];
        values[i] = values[best];
        values[best] = t;
        for (size_t j = 0; j < n; j++) {
            t = v[i * n + j];
            v[i * n + j] = v[best * n + j];
            v[best * n + j] = t;
        }
    }
}

void linalg_eigen(size_t n, double *a, double *values, double *v)
{
    double scale = 0;

    for (size_t i = 0; i < n; i++)
        scale = fmax(scale, fabs(a[i * n + i]));
    memset(v, 0, n * n * sizeof(*v));
    for (size_t i = 0; i < n; i++)
        v[i * n + i] = 1;
    for (unsigned sweep = 0; sweep < JACOBI_SWEEPS; sweep++) {
        bool moved = false;
        for (size_t p = 0; p + 1 < n; p++)
            for (size_t q = p + 1; q < n; q++)
                moved |= jacobi_rotate(n, a, v, p, q, scale * 1e-15);
        if (!moved)
            break;
    }
    for (size_t i = 0; i < n; i++)
        values[i] = a[i * n + i];
    eigen_sort(n, values, v);
}

/* Upper triangular t[d,d] with a t orthonormal, from the Gram matrix g (its
 * lower triangle becomes the Cholesky factor). A column that the ones before
 * it explain up to rounding becomes zero. Returns the rank. */
static size_t cholesky_inverse(size_t d, double *g, const double *diagonal,
                               double *t)
{
    size_t rank = 0;

    memset(t, 0, d * d * sizeof(*t));
    for (size_t j = 0; j < d; j++) {
        double *row = g + j * d;
        for (size_t i = 0; i < j; i++) {
            double x = row[i];
            for (size_t k = 0; k < i; k++)
                x -= row[k] * g[i * d + k];
            row[i] = g[i * d + i] > 0 ? x / g[i * d + i] : 0;
        }
        double rest = diagonal[j];
        for (size_t k = 0; k < j; k++)
            rest -= row[k] * row[k];
        /* Products in single precision know the Gram matrix to about 1e-7. */
        bool real = rest > diagonal[j] * 1e-6 && rest > 0;
        row[j] = real ? sqrt(rest) : 0;
        rank += real;
    }
    for (size_t j = 0; j < d; j++) { /* column j of the inverse of L^T */
        if (!(g[j * d + j] > 0))
            continue;
        t[j * d + j] = 1 / g[j * d + j];
        for (size_t i = j; i-- > 0;) {
            double x = 0;
            for (size_t k = i + 1; k <= j; k++)
                x += g[k * d + i] * t[k * d + j];
            t[i * d + j] = g[i * d + i] > 0 ? -x / g[i * d + i] : 0;
        }
    }
    return rank;
}

size_t linalg_orthonormalize(struct pool *pool, size_t n, size_t d, float *a)
{
    double *g = mem_array(2 * d * d + d, sizeof(*g));
    double *t = g + d * d, *diagonal = t + d * d;
    float *turn = mem_array(d * d, sizeof(*turn));
    float *next = mem_array(n * d, sizeof(*next));
    size_t rank = 0;

    for (unsigned pass = 0; pass < 2; pass++) {
        linalg_gram(pool, n, d, a, g);
        for (size_t i = 0; i < d; i++)
            diagonal[i] = g[i * d + i];
        rank = cholesky_inverse(d, g, diagonal, t);
        for (size_t i = 0; i < d * d; i++)
            turn[i] = (float)t[i];
        linalg_product(pool, n, d, d, a, turn, next);
        memcpy(a, next, n * d * sizeof(*a));
    }
    free(g);
    free(turn);
    free(next);
    return rank;
}
