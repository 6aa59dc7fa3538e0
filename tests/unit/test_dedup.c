/* test_dedup.c - shingles, signatures, pairs, clusters */
#include "suite.h"

#include "base/mem.h"
#include "base/rng.h"
#include "dedup/dedup.h"
#include "dedup/dedup_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct dedup_set set_of(const struct dedup_shingles *s)
{
    return (struct dedup_set){ s->hash, s->count, s->cut, 0 };
}

static double similarity(const char *a, const char *b)
{
    struct dedup_shingles x = { 0 }, y = { 0 };
    struct dedup_set p, q;
    double s;

    dedup_shingle(slice_of(a), 7, 0, &x);
    dedup_shingle(slice_of(b), 7, 0, &y);
    p = set_of(&x);
    q = set_of(&y);
    s = dedup_jaccard(dedup_compare(&p, &q));
    dedup_shingles_release(&x);
    dedup_shingles_release(&y);
    return s;
}

static size_t shingles(const char *text, size_t *words)
{
    struct dedup_shingles s = { 0 };
    size_t n;

    dedup_shingle(slice_of(text), 7, 0, &s);
    n = s.count;
    *words = s.words;
    dedup_shingles_release(&s);
    return n;
}

START_TEST(words_make_shingles)
{
    static const struct {
        const char *text;
        size_t words, shingles;
    } table[] = {
        { "", 0, 0 },
        { " .,! ", 0, 0 },
        { "one", 1, 1 },
        { "one two three four", 4, 1 },
        { "one two three four five", 5, 1 },
        { "one two three four five six", 6, 2 },
        { "a a a a a a a a a", 9, 1 },
        { "snake_case and x2", 3, 1 },
        { "\xe7\x9a\x84\xe6\x98\xaf\xe4\xb8\x80\xe4\xb8\xaa\xe4\xba\xba", 5,
          1 },
        { "gr\xc3\xb6\xc3\x9f"
          "er \xc3\xa4hnlich",
          2, 1 },
    };
    size_t words;

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        ck_assert_uint_eq(shingles(table[i].text, &words), table[i].shingles);
        ck_assert_uint_eq(words, table[i].words);
    }
}
END_TEST

START_TEST(case_and_punctuation_do_not_count)
{
    ck_assert_double_eq(similarity("Turn the light on, please: now!",
                                   "turn the LIGHT on please now"),
                        1);
    ck_assert_double_eq(similarity("on", "off"), 0);
    ck_assert_double_eq(similarity("a b c", "a b c d"), 0);
    ck_assert_double_eq(similarity("", ""), 0);
    /* one of 2 + 1 shingles */
    ck_assert_double_eq_tol(similarity("a b c d e f", "a b c d e g"), 1. / 3,
                            1e-12);
}
END_TEST

static void random_set(struct rng *r, uint32_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (uint32_t)rng_next(r);
}

START_TEST(variants_give_the_same_bits)
{
    dedup_sign_fn *sign = dedup_sign_variant("avx2");
    int32_t a[DEDUP_HASHES], b[DEDUP_HASHES];
    struct dedup_family f;
    struct rng r;
    uint32_t x[300];

    if (!sign) {
        puts("skip: this CPU has no AVX2");
        return;
    }
    dedup_family_make(&f);
    rng_init(&r, 3);
    random_set(&r, x, 300);
    for (size_t n = 0; n <= 300; n += 37) {
        dedup_sign_generic(&f, x, n, a);
        sign(&f, x, n, b);
        ck_assert_mem_eq(a, b, sizeof(a));
    }
}
END_TEST

/* Shares of equal hashes against the similarity that was made. */
START_TEST(signatures_estimate_similarity)
{
    struct rng r;

    rng_init(&r, 11);
    for (int percent = 10; percent <= 90; percent += 20) {
        double sum = 0;

        for (int round = 0; round < 200; round++) {
            uint32_t x[400], p[DEDUP_HASHES], q[DEDUP_HASHES];
            size_t shared = 2 * (size_t)percent, own = 200 - shared;

            /* [own of a][shared][own of b]: similarity is percent / 100 */
            random_set(&r, x, 400);
            own /= 2;
            dedup_sign(x, own + shared, p);
            dedup_sign(x + own, shared + own, q);
            for (size_t i = 0; i < DEDUP_HASHES; i++)
                sum += p[i] == q[i];
        }
        ck_assert_double_eq_tol(sum / 200 / DEDUP_HASHES, percent / 100., .02);
    }
}
END_TEST

START_TEST(a_cut_set_is_a_fair_sample)
{
    struct buf a = { 0 }, b = { 0 };
    struct dedup_shingles x = { 0 }, y = { 0 };
    struct dedup_set p, q;

    for (int i = 0; i < 6000; i++) {
        buf_printf(&a, "w%d ", i);
        buf_printf(&b, "w%d ", i < 5000 ? i : 10000 + i);
    }
    dedup_shingle(buf_slice(&a), 1, 512, &x);
    dedup_shingle(buf_slice(&b), 1, 512, &y);
    ck_assert_uint_eq(x.count, 512);
    ck_assert(x.cut);
    p = set_of(&x);
    q = set_of(&y);
    ck_assert_double_eq_tol(dedup_jaccard(dedup_compare(&p, &q)), 5000. / 7000,
                            .06);
    dedup_shingles_release(&x);
    dedup_shingles_release(&y);
    buf_release(&a);
    buf_release(&b);
}
END_TEST

#define GROUPS 200

/* Groups of an original, a copy with one word changed, and one unlike it. */
struct corpus {
    struct dedup_shingles shingles[3 * GROUPS];
    struct dedup_set set[3 * GROUPS];
};

static struct corpus *corpus_new(void)
{
    struct corpus *c = mem_zalloc(sizeof(*c));
    struct rng r;

    rng_init(&r, 5);
    for (size_t i = 0; i < 3 * GROUPS; i++) {
        struct buf text = { 0 };

        for (int w = 0; w < 80; w++)
            buf_printf(&text, "%s%u ", i % 3 == 1 && w == 40 ? "not" : "",
                       (unsigned)(i % 3 == 2 ? rng_below(&r, 5000)
                                             : i / 3 * 100 + (size_t)w));
        dedup_shingle(buf_slice(&text), 9, 0, &c->shingles[i]);
        c->set[i] = set_of(&c->shingles[i]);
        buf_release(&text);
    }
    return c;
}

static void corpus_free(struct corpus *c)
{
    for (size_t i = 0; i < 3 * GROUPS; i++)
        dedup_shingles_release(&c->shingles[i]);
    free(c);
}

START_TEST(pairs_are_found_and_verified_whatever_the_threads)
{
    struct corpus *c = corpus_new();
    struct pool *four = pool_new(4);
    struct dedup_pair *a, *b;
    size_t n = dedup_pairs(NULL, c->set, 3 * GROUPS, .8, &a);

    /* similarity 71 / 81: found with probability .99 each */
    ck_assert_uint_ge(n, GROUPS * 95 / 100);
    ck_assert_uint_le(n, GROUPS);
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_eq(a[i].first % 3, 0);
        ck_assert_uint_eq(a[i].second, a[i].first + 1);
        ck_assert_uint_eq(a[i].overlap.common, 71);
        ck_assert_uint_eq(a[i].overlap.left, 5);
    }
    ck_assert_uint_eq(dedup_pairs(four, c->set, 3 * GROUPS, .8, &b), n);
    ck_assert_mem_eq(a, b, n * sizeof(*a));
    free(b);
    ck_assert_uint_eq(dedup_pairs(four, c->set, 3 * GROUPS, .9, &b), 0);
    free(b);
    for (size_t i = 0; i < 3 * GROUPS; i++)
        c->set[i].realm = i % 3;
    ck_assert_uint_eq(dedup_pairs(four, c->set, 3 * GROUPS, .8, &b), 0);
    free(a);
    free(b);
    pool_free(four);
    corpus_free(c);
}
END_TEST

/* Pairs of sets with `shared` common hashes and so many of their own. */
static double recall_of(struct rng *r, size_t shared, size_t own,
                        double threshold)
{
    enum { PAIRS = 1000 };
    size_t size = shared + own, n;
    uint32_t *x = mem_array(2 * PAIRS * size, sizeof(*x));
    uint32_t *spare = mem_array(size, sizeof(*spare));
    struct dedup_set *set = mem_zalloc(2 * PAIRS * sizeof(*set));
    struct dedup_pair *pairs;

    for (size_t i = 0; i < 2 * PAIRS; i++) {
        uint32_t *at = x + i * size;

        random_set(r, at, size);
        if (i % 2)
            memcpy(at, at - size, shared * sizeof(*at));
        set[i] = (struct dedup_set){ at, size, false, 0 };
    }
    for (size_t i = 0; i < 2 * PAIRS; i++)
        dedup_sort(x + i * size, spare, size);
    n = dedup_pairs(NULL, set, 2 * PAIRS, threshold, &pairs);
    for (size_t i = 0; i < n; i++)
        ck_assert_uint_eq(pairs[i].first / 2, pairs[i].second / 2);
    free(pairs);
    free(set);
    free(spare);
    free(x);
    return (double)n / PAIRS;
}

/* 14 bands of 8 whatever the threshold missed half of the pairs at .6. */
START_TEST(a_lower_similarity_finds_what_it_says)
{
    struct rng r;

    rng_init(&r, 13);
    for (int percent = 50; percent <= 95; percent += 5) {
        /* 200 hashes in both sets together */
        size_t own = (size_t)(100 - percent), shared = 2 * (size_t)percent;
        double limit = percent / 100.,
               found = recall_of(&r, shared, own, limit);
        double want = dedup_recall(dedup_bands_for(limit), limit);

        ck_assert_double_ge(want, DEDUP_RECALL);
        ck_assert_msg(found >= .95, "%g at %g", found, limit);
        ck_assert_double_eq_tol(found, want, .02);
    }
}
END_TEST

START_TEST(a_text_inside_another_is_found)
{
    struct dedup_shingles s[3] = { { 0 } };
    struct dedup_set set[3];
    struct dedup_pair *pairs;
    struct buf text = { 0 };

    for (int i = 0; i < 100; i++)
        buf_printf(&text, "w%d ", i);
    dedup_shingle(buf_slice(&text), 1, 0, &s[0]);
    dedup_shingle((struct slice){ text.data, text.len / 3 }, 1, 0, &s[1]);
    dedup_shingle(slice_of("something else, with other words in it"), 1, 0,
                  &s[2]);
    for (size_t i = 0; i < 3; i++)
        set[i] = set_of(&s[i]);
    ck_assert_uint_eq(dedup_contained(NULL, set, 3, .8, 5, &pairs), 1);
    ck_assert_uint_eq(pairs[0].first, 0);
    ck_assert_uint_eq(pairs[0].second, 1);
    free(pairs);
    ck_assert_uint_eq(dedup_contained(NULL, set, 3, .8, 50, &pairs), 0);
    free(pairs);
    for (size_t i = 0; i < 3; i++)
        dedup_shingles_release(&s[i]);
    buf_release(&text);
}
END_TEST

/* A small set against the lowest 1,024 hashes of 20,000. */
START_TEST(a_text_inside_a_sampled_one_is_found_and_others_are_not)
{
    enum { WHOLE = 20000, SAMPLE = 1024, PART = 300 };
    uint32_t *x = mem_array(WHOLE, sizeof(*x));
    uint32_t *spare = mem_array(WHOLE, sizeof(*spare));
    uint32_t part[PART], other[PART];
    struct dedup_set set[3];
    struct dedup_pair *pairs;
    struct rng r;

    rng_init(&r, 17);
    random_set(&r, x, WHOLE);
    memcpy(part, x, sizeof(part));
    random_set(&r, other, PART);
    dedup_sort(x, spare, WHOLE);
    dedup_sort(part, spare, PART);
    dedup_sort(other, spare, PART);
    /* of the other one hash is within the sample, and common */
    for (size_t i = 0; i < PART; i++)
        other[i] |= UINT32_C(1) << 31;
    dedup_sort(other, spare, PART);
    other[0] = x[7];
    set[0] = (struct dedup_set){ x, SAMPLE, true, 0 };
    set[1] = (struct dedup_set){ part, PART, false, 0 };
    set[2] = (struct dedup_set){ other, PART, false, 0 };
    ck_assert_uint_eq(dedup_contained(NULL, set, 3, .8, 9, &pairs), 1);
    ck_assert_uint_eq(pairs[0].first, 0);
    ck_assert_uint_eq(pairs[0].second, 1);
    free(pairs);
    free(spare);
    free(x);
}
END_TEST

START_TEST(what_a_template_says_is_dropped)
{
    enum { N = 40 };
    struct dedup_shingles s[N] = { { 0 } };
    struct dedup_set set[N];
    uint32_t *hash[N];
    struct dedup_pair *pairs;

    for (size_t i = 0; i < N; i++) {
        char *text =
            mem_printf("Say in one word whether the customer who wrote this "
                       "is content or not, and say nothing else at all: p%zu",
                       i / 2);

        dedup_shingle(slice_of(text), 1, 0, &s[i]);
        set[i] = set_of(&s[i]);
        hash[i] = s[i].hash;
        free(text);
    }
    ck_assert_uint_gt(dedup_pairs(NULL, set, N, .8, &pairs), N);
    free(pairs);
    dedup_drop_common(set, hash, NULL, N, .1, 6, 24);
    ck_assert_uint_eq(set[0].count, 1); /* the one that has the payload */
    ck_assert_uint_eq(dedup_pairs(NULL, set, N, .8, &pairs), N / 2);
    free(pairs);
    for (size_t i = 0; i < N; i++)
        dedup_shingles_release(&s[i]);
}
END_TEST

START_TEST(clusters_are_named_by_their_lowest)
{
    struct dedup_clusters c;

    dedup_clusters_init(&c, 10);
    dedup_join(&c, 7, 3);
    dedup_join(&c, 9, 7);
    dedup_join(&c, 1, 2);
    dedup_join(&c, 2, 9);
    dedup_join(&c, 2, 2);
    ck_assert_uint_eq(dedup_find(&c, 9), 1);
    ck_assert_uint_eq(dedup_size(&c, 3), 5);
    ck_assert_uint_eq(dedup_size(&c, 0), 1);
    dedup_clusters_release(&c);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("dedup");

    tcase_add_test(c, words_make_shingles);
    tcase_add_test(c, case_and_punctuation_do_not_count);
    tcase_add_test(c, variants_give_the_same_bits);
    tcase_add_test(c, signatures_estimate_similarity);
    tcase_add_test(c, a_cut_set_is_a_fair_sample);
    tcase_add_test(c, pairs_are_found_and_verified_whatever_the_threads);
    tcase_add_test(c, a_lower_similarity_finds_what_it_says);
    tcase_add_test(c, a_text_inside_another_is_found);
    tcase_add_test(c, a_text_inside_a_sampled_one_is_found_and_others_are_not);
    tcase_add_test(c, what_a_template_says_is_dropped);
    tcase_add_test(c, clusters_are_named_by_their_lowest);
    tcase_set_timeout(c, 60);
    return suite_run("dedup", c);
}
