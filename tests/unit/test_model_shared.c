/*
 * test_model_shared.c - slots that read their first rows in another's: whoever
 * ends, goes on or is in need of its slot first, each sequence has the bits
 * that it has alone
 */
#include "session_problem.h"
#include "suite.h"

#include "base/rng.h"

#define UNIT 256 /* rows that are shared, with all kernels but NEON's */

/* `common` tokens of beginning `begin`, then `own` ones of its own. */
static void fill(struct heard *h, size_t begin, size_t common, size_t own,
                 size_t number, size_t most)
{
    *h = (struct heard){ .prompt_count = common + own, .most = most };
    for (size_t k = 0; k < common + own; k++)
        h->prompt[k] = (int32_t)(k < common ? (k * 11 + begin * 7) % VOCAB
                                            : (k * 5 + number) % VOCAB);
}

static struct model_session_stats stats_of(const struct model_session *s)
{
    struct model_session_stats now;

    model_session_stats(s, &now);
    return now;
}

static void check(struct model *m, const struct model_bank *b,
                  const struct heard *h)
{
    struct heard *one = mem_zalloc(sizeof(*one));

    memcpy(one->prompt, h->prompt, sizeof(one->prompt));
    one->prompt_count = h->prompt_count;
    one->most = h->most;
    one->adapter = h->adapter;
    alone(m, b, one);
    ck_assert_int_eq(h->why, MODEL_END_LENGTH);
    same(h, one);
    free(one);
}

/* What one has computed the others read where it is, all in one pass. */
START_TEST(a_shared_beginning_is_read_where_it_is)
{
    struct model *m = base_of(0);
    const struct model_session_options o = { .slots = 12,
                                             .keep_prefixes = true };
    struct heard *h = mem_zalloc(12 * sizeof(*h));
    struct model_session *s;

    OK(model_session_open(m, &o, &s, &err));
    fill(&h[0], 1, 300, 9, 0, 3);
    OK(begin(s, &h[0]));
    finish(s);
    for (size_t i = 1; i < 12; i++) {
        fill(&h[i], 1, 300, 3 + i, i, 2 + i);
        OK(begin(s, &h[i]));
        ck_assert_uint_eq(h[i].cached, 300);
    }
    finish(s);
    ck_assert_uint_eq(stats_of(s).shared_tokens, 11 * 256);
    for (size_t i = 0; i < 12; i++)
        check(m, NULL, &h[i]);
    model_session_close(s);
    free(h);
    model_free(m);
}
END_TEST

/* The slot with the beginning is needed: one of those that read it has it
 * then. The last prompt of all begins otherwise in the midst of a unit. */
START_TEST(a_base_moves_to_who_reads_it)
{
    struct model *m = base_of(0);
    const struct model_session_options o = { .slots = 3,
                                             .keep_prefixes = true };
    struct heard *h = mem_zalloc(6 * sizeof(*h));
    struct model_session *s;

    OK(model_session_open(m, &o, &s, &err));
    fill(&h[0], 1, 280, 9, 0, 2);
    OK(begin(s, &h[0]));
    finish(s);
    for (size_t i = 1; i < 3; i++) {
        fill(&h[i], 1, 270 + i, 4, i, 20);
        OK(begin(s, &h[i]));
    }
    OK(model_session_step(s, &err));
    ck_assert_uint_eq(stats_of(s).shared_tokens, 2 * UNIT);
    fill(&h[3], 2, 200, 5, 3, 25); /* into the slot of the first */
    OK(begin(s, &h[3]));
    ck_assert_int_eq(h[3].slot, h[0].slot);
    ck_assert_int_eq(begin(s, &h[4]), ERR_INVALID); /* of no tokens */
    finish(s);
    fill(&h[4], 1, 265, 60, 4, 5);
    OK(begin(s, &h[4]));
    ck_assert_uint_eq(h[4].cached, 265);
    finish(s);
    fill(&h[5], 1, 90, 60, 5, 5);
    OK(begin(s, &h[5]));
    ck_assert_uint_eq(h[5].cached, 90);
    finish(s);
    for (size_t i = 0; i < 6; i++)
        check(m, NULL, &h[i]);
    model_session_close(s);
    free(h);
    model_free(m);
}
END_TEST

/* Nobody computes what another is about to have; where that one leaves, the
 * next one does. */
START_TEST(a_beginning_that_all_bring_at_once_is_computed_once)
{
    struct model *m = base_of(0);
    const struct model_session_options o = { .slots = 6,
                                             .pass_rows = 64,
                                             .keep_prefixes = true };
    struct heard *h = mem_zalloc(6 * sizeof(*h));
    struct model_session *s;
    size_t rows = 300 + 3 + 3; /* the prompt, and those after each token */

    OK(model_session_open(m, &o, &s, &err));
    for (size_t i = 0; i < 6; i++) {
        fill(&h[i], 1, 300, 3 + i, i, 4);
        OK(begin(s, &h[i]));
        rows += i > 0 ? 3 + i + 3 : 0;
    }
    OK(model_session_step(s, &err));
    OK(model_session_step(s, &err));
    if (_i == 1) {
        model_session_cancel(s, h[0].slot);
        rows += 2 * 64;
    }
    finish(s);
    ck_assert_uint_le(stats_of(s).rows, rows);
    ck_assert_uint_eq(stats_of(s).shared_tokens, (_i == 1 ? 4U : 5U) * UNIT);
    for (size_t i = (size_t)_i; i < 6; i++)
        check(m, NULL, &h[i]);
    model_session_close(s);
    free(h);
    model_free(m);
}
END_TEST

/* Whatever comes, leaves and is forgotten, of a base and an adapter. */
START_TEST(sequences_that_share_in_any_order_have_the_bits_of_single_runs)
{
    struct model *m = base_of(0);
    struct model_bank *b = bank_of(m, 1);
    const struct model_session_options o = {
        .slots = 5, .bank = b, .pass_rows = 200, .keep_prefixes = true
    };
    struct heard *h = mem_zalloc(60 * sizeof(*h));
    struct model_session *s;
    struct rng rng;
    bool cancelled[60] = { false };
    size_t begun = 0;
    int rc = 1;

    rng_init(&rng, 7 + (uint64_t)_i);
    OK(model_session_open(m, &o, &s, &err));
    while (begun < 60 || rc > 0) {
        if (begun < 60 && rng_below(&rng, 3) > 0) {
            fill(&h[begun], rng_below(&rng, 4) > 0, 200 + rng_below(&rng, 160),
                 1 + rng_below(&rng, 30), begun, 1 + rng_below(&rng, 20));
            h[begun].adapter = rng_below(&rng, 2);
            rc = begin(s, &h[begun]);
            if (rc != ERR_BUSY)
                OK(rc);
            begun += rc == 0;
        }
        if (begun > 0 && rng_below(&rng, 12) == 0) {
            size_t last = begun - 1;

            if (!h[last].ends && !cancelled[last]) {
                model_session_cancel(s, h[last].slot);
                cancelled[last] = true;
            }
        }
        if (rng_below(&rng, 40) == 0)
            model_session_forget(s, rng_below(&rng, 2));
        rc = model_session_step(s, &err);
        OK(rc);
    }
    ck_assert_uint_gt(stats_of(s).shared_tokens, 5 * UNIT);
    for (size_t i = 0; i < 60; i++)
        if (!cancelled[i])
            check(m, b, &h[i]);
    model_session_close(s);
    free(h);
    model_bank_free(b);
    model_free(m);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("model_shared", setup, teardown);

    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_shared_beginning_is_read_where_it_is);
    tcase_add_test(t, a_base_moves_to_who_reads_it);
    tcase_add_loop_test(t, a_beginning_that_all_bring_at_once_is_computed_once,
                        0, 2);
    tcase_add_loop_test(
        t, sequences_that_share_in_any_order_have_the_bits_of_single_runs, 0,
        4);
    return suite_run("model_shared", t);
}
