/* test_linalg.c - products, eigenvectors, SVD against known matrices */
#include "suite.h"

#include "linalg/linalg.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static float *random_matrix(size_t n, size_t d, uint64_t seed)
{
    float *a = mem_array(n * d, sizeof(*a));
    struct rng r;

    rng_init(&r, seed);
    for (size_t i = 0; i < n * d; i++)
        a[i] = (float)rng_normal(&r);
    return a;
}

static void check_products(void)
{
    enum { M = 37, N = 29, K = 53 };
    float *a = random_matrix(M, K, 1), *b = random_matrix(K, N, 2);
    float *at = mem_array(M * K, sizeof(*at)),
          *bt = mem_array(N * K, sizeof(*bt));
    float *c = mem_array(3 * M * N, sizeof(*c));

    for (size_t i = 0; i < M; i++)
        for (size_t k = 0; k < K; k++)
            at[k * M + i] = a[i * K + k];
    for (size_t k = 0; k < K; k++)
        for (size_t j = 0; j < N; j++)
            bt[j * K + k] = b[k * N + j];
    linalg_gemm_nn(M, N, K, a, K, b, N, c, N);
    linalg_gemm_nt(M, N, K, a, K, bt, K, c + M * N, N);
    linalg_gemm_tn(M, N, K, at, M, b, N, c + 2 * M * N, N);
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < N; j++) {
            double want = 0;
            for (size_t k = 0; k < K; k++)
                want += (double)a[i * K + k] * (double)b[k * N + j];
            for (size_t v = 0; v < 3; v++)
                ck_assert_double_eq_tol((double)c[v * M * N + i * N + j], want,
                                        1e-4);
        }
    free(a);
    free(b);
    free(at);
    free(bt);
    free(c);
}

START_TEST(products_agree_with_the_definition)
{
    check_products();
}
END_TEST

START_TEST(builtin_products_agree_with_the_definition)
{
    linalg_force_builtin(true);
    ck_assert_str_eq(linalg_backend(), "built-in");
    check_products();
    linalg_force_builtin(false);
}
END_TEST

START_TEST(openblas_does_not_run_sse3_kernels_where_avx2_exists)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!linalg_is_fast() || !__builtin_cpu_supports("avx2")) {
        printf("skip: no OpenBLAS or no AVX2\n");
        return;
    }
    ck_assert_ptr_null(strstr(linalg_backend(), "Prescott"));
#endif
}
END_TEST

START_TEST(eigen_of_a_known_matrix)
{
    /* [[2,1],[1,2]]: 3 with (1,1)/sqrt 2, 1 with (1,-1)/sqrt 2 */
    double a[] = { 2, 1, 1, 2 }, values[2], v[4];

    linalg_eigen(2, a, values, v);
    ck_assert_double_eq_tol(values[0], 3, 1e-12);
    ck_assert_double_eq_tol(values[1], 1, 1e-12);
    ck_assert_double_eq_tol(fabs(v[0]), sqrt(0.5), 1e-12);
    ck_assert_double_eq_tol(v[0], v[1], 1e-12);
    ck_assert_double_eq_tol(v[2], -v[3], 1e-12);
}
END_TEST

START_TEST(orthonormalize_finds_the_rank)
{
    enum { N = 1500, D = 6 };
    float *a = random_matrix(N, D, 3);
    double g[D * D];

    for (size_t i = 0; i < N; i++) /* column 4 depends on 0 and 1 */
        a[i * D + 4] = a[i * D] - 2 * a[i * D + 1];
    ck_assert_uint_eq(linalg_orthonormalize(NULL, N, D, a), D - 1);
    linalg_gram(NULL, N, D, a, g);
    for (size_t i = 0; i < D; i++)
        for (size_t j = 0; j < D; j++)
            ck_assert_double_eq_tol(g[i * D + j], i == j && i != 4, 1e-5);
    free(a);
}
END_TEST

/* u diag(s) v^T with orthonormal u[n,r] and v[m,r], as sparse rows. */
static struct linalg_sparse known_matrix(size_t n, size_t m, size_t r,
                                         const float *s)
{
    float *u = random_matrix(n, r, 4), *v = random_matrix(m, r, 5);
    struct linalg_sparse out = { .rows = n, .cols = m };

    linalg_orthonormalize(NULL, n, r, u);
    linalg_orthonormalize(NULL, m, r, v);
    out.start = mem_array(n + 1, sizeof(*out.start));
    out.column = mem_array(n * m, sizeof(*out.column));
    out.value = mem_array(n * m, sizeof(*out.value));
    for (size_t i = 0; i <= n; i++)
        out.start[i] = i * m;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++) {
            float x = 0;
            for (size_t k = 0; k < r; k++)
                x += u[i * r + k] * s[k] * v[j * r + k];
            out.column[i * m + j] = (uint32_t)j;
            out.value[i * m + j] = x;
        }
    free(u);
    free(v);
    return out;
}

START_TEST(svd_finds_known_singular_values)
{
    enum { N = 300, M = 120, R = 4 };
    const float s[R] = { 9, 5, 2, 0.5f };
    struct linalg_sparse a = known_matrix(N, M, R, s);
    float values[R + 1], v[M * (R + 1)], y[N * (R + 1)];
    struct err err = { 0 };

    ck_assert_int_eq(linalg_svd(NULL, &a, R + 1, 1, values, v, &err), 0);
    for (size_t i = 0; i < R; i++)
        ck_assert_double_eq_tol((double)values[i], (double)s[i], 1e-3);
    ck_assert_double_eq_tol((double)values[R], 0, 1e-3);
    linalg_sparse_product(NULL, &a, R + 1, v, y); /* |a v_i| = s_i */
    for (size_t i = 0; i < R; i++) {
        double sum = 0;
        for (size_t r = 0; r < N; r++)
            sum += pow((double)y[r * (R + 1) + i], 2);
        ck_assert_double_eq_tol(sqrt(sum), (double)s[i], 1e-3);
    }
    linalg_sparse_release(&a);
}
END_TEST

START_TEST(svd_is_the_same_bits_for_any_number_of_threads)
{
    enum { N = 3000, M = 400, R = 20, PER_ROW = 12 };
    struct linalg_sparse a = { .rows = N, .cols = M };
    float *v[3], values[3][R];
    struct rng r;

    rng_init(&r, 6);
    a.start = mem_array(N + 1, sizeof(*a.start));
    a.column = mem_array(N * PER_ROW, sizeof(*a.column));
    a.value = mem_array(N * PER_ROW, sizeof(*a.value));
    for (size_t i = 0; i <= N; i++)
        a.start[i] = i * PER_ROW;
    for (size_t i = 0; i < N * PER_ROW; i++) {
        a.column[i] = (uint32_t)rng_below(&r, M);
        a.value[i] = (float)rng_unit(&r);
    }
    for (unsigned t = 0; t < 3; t++) {
        struct pool *pool = pool_new(t + 1);
        v[t] = mem_array(M * R, sizeof(float));
        ck_assert_int_eq(linalg_svd(pool, &a, R, 1, values[t], v[t], NULL), 0);
        pool_free(pool);
    }
    for (unsigned t = 1; t < 3; t++) {
        ck_assert_mem_eq(v[t], v[0], M * R * sizeof(float));
        ck_assert_mem_eq(values[t], values[0], sizeof(values[0]));
    }
    for (unsigned t = 0; t < 3; t++)
        free(v[t]);
    linalg_sparse_release(&a);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("linalg");

    tcase_add_test(c, products_agree_with_the_definition);
    tcase_add_test(c, builtin_products_agree_with_the_definition);
    tcase_add_test(c, openblas_does_not_run_sse3_kernels_where_avx2_exists);
    tcase_add_test(c, eigen_of_a_known_matrix);
    tcase_add_test(c, orthonormalize_finds_the_rank);
    tcase_add_test(c, svd_finds_known_singular_values);
    tcase_add_test(c, svd_is_the_same_bits_for_any_number_of_threads);
    tcase_set_timeout(c, 120);
    return suite_run("linalg", c);
}
