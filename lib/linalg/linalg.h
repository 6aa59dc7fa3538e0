/*
 * linalg.h - dense products, sparse matrices, truncated SVD
 *
 * Single precision, row-major. OpenBLAS is loaded on the first product
 * (linking it would triple the start-up of every command) and runs on one
 * thread; threads are ours, around blocks whose size does not depend on how
 * many there are, so that results are the same bits for any number of them on
 * one CPU type. Without the library a built-in product is used.
 * May use: base, OpenBLAS (its one home, by dlopen).
 */
#ifndef LINALG_H
#define LINALG_H

#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What multiplies: "OpenBLAS SkylakeX" or "built-in"; valid for ever. */
const char *linalg_backend(void);
/* False: the built-in product is in use, tens of times slower. */
bool linalg_is_fast(void);
/* For tests: from now on the built-in product (true) or the library. */
void linalg_force_builtin(bool builtin);

/* c[m,n] = a[m,k] b[n,k]^T: rows of a against rows of b. Leading dimensions
 * in elements. On the calling thread. */
void linalg_gemm_nt(size_t m, size_t n, size_t k, const float *a, size_t lda,
                    const float *b, size_t ldb, float *c, size_t ldc);
/* c[m,n] = a[m,k] b[k,n] */
void linalg_gemm_nn(size_t m, size_t n, size_t k, const float *a, size_t lda,
                    const float *b, size_t ldb, float *c, size_t ldc);
/* c[m,n] = a[k,m]^T b[k,n] */
void linalg_gemm_tn(size_t m, size_t n, size_t k, const float *a, size_t lda,
                    const float *b, size_t ldb, float *c, size_t ldc);

/* a[n,d] times b[d,e], in place of nothing: c[n,e]; row blocks on the pool. */
void linalg_product(struct pool *pool, size_t n, size_t d, size_t e,
                    const float *a, const float *b, float *c);
/* g[d,d] = a[n,d]^T a[n,d] in double: fixed row blocks summed in order. */
void linalg_gram(struct pool *pool, size_t n, size_t d, const float *a,
                 double *g);

/* Eigenvalues of the symmetric a[n,n] (destroyed), largest first, and the
 * eigenvectors as rows of v[n,n]. Cyclic Jacobi (Golub & Van Loan 8.5): exact
 * to rounding and the same on every machine with IEEE arithmetic. */
void linalg_eigen(size_t n, double *a, double *values, double *v);

/* Make the columns of a[n,d] orthonormal, in place: Cholesky QR, twice
 * (Yamamoto et al. 2015), so the work is products. A column that the ones
 * before it explain becomes zero. Returns the rank. */
size_t linalg_orthonormalize(struct pool *pool, size_t n, size_t d, float *a);

/* Compressed sparse rows. */
struct linalg_sparse {
    size_t rows, cols;
    size_t *start;    /* rows + 1 */
    uint32_t *column; /* start[rows] */
    float *value;
};
void linalg_sparse_release(struct linalg_sparse *s);
/* *out = s^T, entries of a row in ascending order; *out is new. */
void linalg_sparse_transpose(const struct linalg_sparse *s,
                             struct linalg_sparse *out);
/* y[rows,e] = s x[cols,e] */
void linalg_sparse_product(struct pool *pool, const struct linalg_sparse *s,
                           size_t e, const float *x, float *y);

/* The `rank` largest singular values of s and the right singular vectors:
 * v[cols,rank] has orthonormal columns (zero beyond the numerical rank).
 * Randomised subspace iteration (Halko, Martinsson & Tropp 2011, algorithm
 * 4.4), oversampled by 16; the same for one seed. rank <= cols. May stop with
 * ERR_INTERRUPTED. */
MUST_CHECK int linalg_svd(struct pool *pool, const struct linalg_sparse *s,
                          size_t rank, uint64_t seed, float *values, float *v,
                          struct err *err);

float linalg_dot(const float *a, const float *b, size_t n);
/* Scale to length 1; a zero vector stays. Returns the old length. */
float linalg_normalize(float *a, size_t n);

#endif
