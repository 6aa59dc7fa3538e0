/* test_kmeans.c - k-means against brute force, threads, empty clusters */
#include "suite.h"

#include "kmeans/kmeans.h"
#include "kmeans/kmeans_private.h"

#include "base/mem.h"
#include "base/rng.h"
#include "linalg/linalg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* n points around k centres far apart; truth[i] says which. */
static float *blobs(size_t n, size_t d, size_t k, double spread, bool unit,
                    uint32_t *truth)
{
    float *x = mem_array(n * d, sizeof(*x));
    float *c = mem_array(k * d, sizeof(*c));
    struct rng r;

    rng_init(&r, 11);
    for (size_t i = 0; i < k * d; i++)
        c[i] = (float)rng_normal(&r);
    for (size_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)rng_below(&r, k);
        if (truth)
            truth[i] = at;
        for (size_t j = 0; j < d; j++)
            x[i * d + j] = c[at * d + j] + (float)(spread * rng_normal(&r));
        if (unit)
            linalg_normalize(x + i * d, d);
    }
    free(c);
    return x;
}

START_TEST(assignment_is_brute_force_nearest)
{
    enum { N = 5000, D = 24, K = 37 };
    float *x = blobs(N, D, 50, 0.8, false, NULL),
          *c = blobs(K, D, K, 0.1, false, NULL);
    uint32_t *labels = mem_array(N, sizeof(*labels));
    float *score = mem_array(N, sizeof(*score));

    kmeans_assign(NULL, N, D, K, x, c, false, labels, score);
    for (size_t i = 0; i < N; i++) {
        double least = INFINITY, got = 0;
        for (size_t k = 0; k < K; k++) {
            double sum = 0;
            for (size_t j = 0; j < D; j++)
                sum += pow((double)x[i * D + j] - (double)c[k * D + j], 2);
            least = fmin(least, sum);
            if (k == labels[i])
                got = sum;
        }
        ck_assert_double_eq_tol(got, least, 1e-3);
        ck_assert_double_eq_tol((double)score[i], least, 1e-3);
    }
    free(x);
    free(c);
    free(labels);
    free(score);
}
END_TEST

static void check_recovery(bool spherical)
{
    enum { N = 4000, D = 16, K = 12 };
    uint32_t *truth = mem_array(N, sizeof(*truth));
    float *x = blobs(N, D, K, 0.1, spherical, truth);
    struct kmeans_options o = {
        .k = K, .spherical = spherical, .seed = 1, .restarts = 3
    };
    struct kmeans_result r = { 0 };

    ck_assert_int_eq(kmeans_fit(NULL, N, D, x, &o, NULL, &r, NULL), 0);
    ck_assert(r.converged);
    ck_assert_double_gt(kmeans_agreement(N, truth, K, r.labels, K), 0.999);
    kmeans_result_release(&r);
    free(x);
    free(truth);
}

/* Broke as a label of a lane that has no centre, and a sum written there. */
START_TEST(numbers_too_large_for_scores_get_a_label_that_is_there)
{
    enum { N = 7, D = 3, K = 5 };
    static const float sizes[] = { 1e25f, -1e25f, INFINITY, NAN };
    float x[N * D], c[K * D], score[N];
    uint32_t labels[N];

    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        for (size_t i = 0; i < (size_t)N * D; i++)
            x[i] = sizes[s];
        for (size_t i = 0; i < (size_t)K * D; i++)
            c[i] = -1e25f;
        kmeans_assign(NULL, N, D, K, x, c, s % 2, labels, score);
        for (size_t i = 0; i < N; i++)
            ck_assert_uint_lt(labels[i], K);
    }
}
END_TEST

START_TEST(plain_kmeans_recovers_separate_clusters)
{
    check_recovery(false);
}
END_TEST

START_TEST(spherical_kmeans_recovers_separate_clusters)
{
    check_recovery(true);
}
END_TEST

/* Equal, but where an empty cluster took the row. */
static void check_labels(const float *x, size_t n, size_t d,
                         const struct kmeans_result *r, const uint32_t *want)
{
    size_t taken = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t c = r->labels[i];

        if (c == want[i])
            continue;
        taken++;
        ck_assert_mem_eq(r->centres + c * d, x + i * d, d * sizeof(*x));
    }
    ck_assert_uint_le(taken, r->k / 4);
}

/* After each iteration the labels are those that all products with the
 * centres before it give: bounds decide what is computed, not what comes out.
 * The last iterations skip nearly everything. */
static void check_exact(bool spherical, size_t k, double spread)
{
    enum { N = 6000, D = 96, ITERATIONS = 24 };
    float *x = blobs(N, D, 60, spread, spherical, NULL);
    float *centres = mem_array(k * D, sizeof(*centres));
    uint32_t *want = mem_array(N, sizeof(*want));
    struct kmeans_options o = { .k = k,
                                .spherical = spherical,
                                .centres = centres };

    for (size_t i = 0; i < k; i++) /* two of most, some equal */
        memcpy(centres + i * D, x + i % (k - 3) * 7 * D, D * sizeof(*x));
    for (o.iterations = 1; o.iterations <= ITERATIONS; o.iterations++) {
        struct kmeans_result now = { 0 }, next = { 0 };

        ck_assert_int_eq(kmeans_fit(NULL, N, D, x, &o, NULL, &now, NULL), 0);
        o.iterations++;
        ck_assert_int_eq(kmeans_fit(NULL, N, D, x, &o, NULL, &next, NULL), 0);
        o.iterations--;
        kmeans_assign(NULL, N, D, k, x, now.centres, spherical, want, NULL);
        if (!next.converged || next.iterations > now.iterations)
            check_labels(x, N, D, &next, want);
        kmeans_result_release(&now);
        kmeans_result_release(&next);
    }
    free(x);
    free(centres);
    free(want);
}

START_TEST(bounds_do_not_change_a_label)
{
    check_exact(true, 30, 1.5);
    check_exact(true, 130, 0.8);
    check_exact(false, 50, 1.5);
    check_exact(false, 200, 0.5);
}
END_TEST

/* One pass of a variant over rows that know nothing. */
static void pass_of(void (*block)(struct kmeans_block *b), size_t n, size_t d,
                    size_t k, const float *x, bool spherical, uint32_t *labels,
                    float *score)
{
    struct kmeans_work w = {
        .n = n,
        .d = d,
        .k = k,
        .chunks = 1,
        .x = x,
        .centres = x,
        .spherical = spherical,
        .labels = labels,
        .score = score,
    };

    kmeans_work_begin(&w, NULL);
    if (block)
        w.block = block;
    kmeans_work_forget(&w);
    kmeans_work_centres(&w, NULL);
    kmeans_work_pass(&w, NULL);
    kmeans_work_end(&w, NULL);
}

START_TEST(this_machines_variant_scores_as_the_generic_one)
{
    enum { N = 1000 };
    static const size_t shapes[][2] = { { 1, 1 },   { 3, 15 },   { 31, 16 },
                                        { 32, 17 }, { 100, 33 }, { 257, 150 } };
    uint32_t *labels = mem_array(N, sizeof(*labels));
    uint32_t *want = mem_array(N, sizeof(*want));
    float *score = mem_array(N, sizeof(*score));
    float *expected = mem_array(N, sizeof(*expected));

    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        size_t d = shapes[i][0], k = shapes[i][1], n = N - 37 * i;
        float *x = blobs(n, d, 20, 2, false, NULL);
        size_t same = 0;

        pass_of(NULL, n, d, k, x, i % 2, labels, score);
        pass_of(kmeans_block_generic, n, d, k, x, i % 2, want, expected);
        for (size_t r = 0; r < n; r++) {
            ck_assert_float_eq_tol(score[r], expected[r],
                                   1e-5f * (float)(8 + d * 8));
            ck_assert_uint_lt(labels[r], k);
            same += labels[r] == want[r];
        }
        ck_assert_uint_ge(same, n - n / 200);
        free(x);
    }
    free(labels);
    free(want);
    free(score);
    free(expected);
}
END_TEST

START_TEST(threads_do_not_change_a_bit)
{
    enum { N = 20000, D = 33, K = 70 };
    float *x = blobs(N, D, 40, 0.7, true, NULL);
    struct kmeans_options o = {
        .k = K, .spherical = true, .seed = 5, .iterations = 8
    };
    struct kmeans_result r[3] = { { 0 } };

    for (unsigned t = 0; t < 3; t++) {
        struct pool *pool = pool_new(t + 1);
        ck_assert_int_eq(kmeans_fit(pool, N, D, x, &o, NULL, &r[t], NULL), 0);
        pool_free(pool);
    }
    for (unsigned t = 1; t < 3; t++) {
        ck_assert_mem_eq(r[t].labels, r[0].labels, N * sizeof(uint32_t));
        ck_assert_mem_eq(r[t].centres, r[0].centres, K * D * sizeof(float));
    }
    for (unsigned t = 0; t < 3; t++)
        kmeans_result_release(&r[t]);
    free(x);
}
END_TEST

START_TEST(no_cluster_stays_empty)
{
    /* Two of the three starting centres are equal and far from everything. */
    const float x[] = { 0, 0, 0, 1, 5, 5, 5, 6 };
    const float start[] = { 0, 0, 90, 90, 90, 90 };
    struct kmeans_options o = { .k = 3, .centres = start };
    struct kmeans_result r = { 0 };
    unsigned count[3] = { 0 };

    ck_assert_int_eq(kmeans_fit(NULL, 4, 2, x, &o, NULL, &r, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        count[r.labels[i]]++;
    for (size_t c = 0; c < 3; c++)
        ck_assert_uint_gt(count[c], 0);
    kmeans_result_release(&r);
}
END_TEST

START_TEST(more_clusters_than_points_gives_one_each)
{
    const float x[] = { 1, 0, 0, 1, -1, 0 };
    struct kmeans_options o = { .k = 9, .spherical = true };
    struct kmeans_result r = { 0 };

    ck_assert_int_eq(kmeans_fit(NULL, 3, 2, x, &o, NULL, &r, NULL), 0);
    ck_assert_uint_eq(r.k, 3);
    ck_assert_double_eq_tol(r.objective, 0, 1e-6);
    kmeans_result_release(&r);
}
END_TEST

START_TEST(agreement_of_known_labellings)
{
    const uint32_t a[] = { 0, 0, 1, 1 }, b[] = { 1, 1, 0, 0 };
    const uint32_t c[] = { 0, 0, 1, 2 };

    ck_assert_double_eq_tol(kmeans_agreement(4, a, 2, b, 2), 1, 1e-12);
    /* scikit-learn: adjusted_rand_score([0,0,1,1],[0,0,1,2]) = 4/7 */
    ck_assert_double_eq_tol(kmeans_agreement(4, a, 2, c, 3), 4.0 / 7, 1e-12);
}
END_TEST

START_TEST(stability_peaks_at_the_true_k)
{
    enum { N = 1200, D = 8, K = 5 };
    float *x = blobs(N, D, K, 0.15, true, NULL);
    double at[3];
    const size_t ks[3] = { 3, K, 11 };

    for (size_t i = 0; i < 3; i++) {
        struct kmeans_options o = {
            .k = ks[i], .spherical = true, .seed = 3, .restarts = 2
        };
        ck_assert_int_eq(kmeans_stability(NULL, N, D, x, &o, 4, &at[i], NULL),
                         0);
    }
    ck_assert_double_gt(at[1], 0.99);
    ck_assert_double_gt(at[1], at[2]);
    free(x);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("kmeans");

    tcase_add_test(c, assignment_is_brute_force_nearest);
    tcase_add_test(c, numbers_too_large_for_scores_get_a_label_that_is_there);
    tcase_add_test(c, plain_kmeans_recovers_separate_clusters);
    tcase_add_test(c, spherical_kmeans_recovers_separate_clusters);
    tcase_add_test(c, bounds_do_not_change_a_label);
    tcase_add_test(c, this_machines_variant_scores_as_the_generic_one);
    tcase_add_test(c, threads_do_not_change_a_bit);
    tcase_add_test(c, no_cluster_stays_empty);
    tcase_add_test(c, more_clusters_than_points_gives_one_each);
    tcase_add_test(c, agreement_of_known_labellings);
    tcase_add_test(c, stability_peaks_at_the_true_k);
    tcase_set_timeout(c, 120);
    return suite_run("kmeans", c);
}
