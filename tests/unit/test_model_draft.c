/*
 * test_model_draft.c - tokens that were looked up: the same come out, with the
 * same log probabilities, whatever is drafted and however much of it is right
 */
#include "session_problem.h"
#include "suite.h"

#include "constrain/constrain.h"

enum { JOBS = 24 };

/* What a sequence heard of each token. */
struct spoken {
    int32_t prompt[64], ids[MOST + 1];
    float logp[MOST + 1], margin[MOST + 1];
    size_t count;
    enum model_end why;
};

static int note_token(void *ctx, const struct model_token *t)
{
    struct spoken *x = ctx;

    ck_assert_uint_lt(x->count, MOST + 1);
    x->ids[x->count] = t->id;
    x->logp[x->count] = t->logp;
    x->margin[x->count++] = t->margin;
    return 0;
}

static void note_end(void *ctx, enum model_end why, const struct err *reason)
{
    struct spoken *x = ctx;

    ck_assert_ptr_null(reason);
    x->why = why;
}

/* Prompts that say the same again and again, so that there is what to draft;
 * three adapters, greedy and sampled, with penalties. */
static void run_all(struct model *m, const struct model_bank *b, bool plain,
                    struct constrain *form, struct spoken *all,
                    struct model_session_stats *stats)
{
    const struct model_session_options o = {
        .slots = 3, .bank = b, .plain = plain, .keep_prefixes = true
    };
    struct model_session *s;
    size_t begun = 0;
    int rc = 1, slot;

    OK(model_session_open(m, &o, &s, &err));
    while (rc > 0 || begun < JOBS) {
        for (; begun < JOBS; begun++) {
            struct spoken *x = &all[begun];
            struct model_ask a = {
                .prompt = x->prompt,
                .prompt_count = 20 + begun % 40,
                .adapter = b ? begun % 4 : 0,
                .number = begun,
                .details = begun % 2,
                .sampling = { .max_tokens = 3 + begun * 7 % (MOST - 3),
                              .temperature = begun % 3 == 1 ? 0.3 : 0,
                              .repetition = begun % 5 == 2 ? 1.1 : 0,
                              .form = form,
                              .seed = 8 },
                .on_token = note_token,
                .on_end = note_end,
                .ctx = x
            };

            *x = (struct spoken){ .count = 0 };
            for (size_t i = 0; i < a.prompt_count; i++)
                x->prompt[i] = (int32_t)(3 + i * begun % (4 + begun % 9));
            rc = model_session_begin(s, &a, &slot, NULL, &err);
            if (rc == ERR_BUSY)
                break;
            OK(rc);
        }
        rc = model_session_step(s, &err);
        OK(rc);
    }
    model_session_stats(s, stats);
    model_session_close(s);
}

static void same_words(const struct spoken *x, const struct spoken *y)
{
    for (size_t i = 0; i < JOBS; i++) {
        size_t n = x[i].count;

        ck_assert_uint_eq(n, y[i].count);
        ck_assert_int_eq(x[i].why, y[i].why);
        ck_assert_mem_eq(x[i].ids, y[i].ids, n * sizeof(x->ids[0]));
        ck_assert_mem_eq(x[i].logp, y[i].logp, n * sizeof(x->logp[0]));
        for (size_t k = 0; k < n; k++)
            ck_assert(i % 2 ? memcmp(&x[i].margin[k], &y[i].margin[k],
                                     sizeof(float)) == 0
                            : isnan(x[i].margin[k]) && isnan(y[i].margin[k]));
    }
}

START_TEST(drafts_change_no_token)
{
    struct model *m = base_of(_i);
    struct model_bank *b = bank_of(m, 3);
    struct spoken *x = mem_zalloc(2 * JOBS * sizeof(*x)), *y = x + JOBS;
    struct model_session_stats stats, plain;

    run_all(m, b, false, NULL, x, &stats);
    run_all(m, b, true, NULL, y, &plain);
    same_words(x, y);
    ck_assert_uint_eq(plain.drafted, 0);
    ck_assert_uint_eq(plain.generated, stats.generated);
    if (_i == 0) { /* a state that can be cut back */
        ck_assert_uint_gt(stats.accepted, 20);
        ck_assert_uint_gt(stats.drafted, stats.accepted);
        ck_assert_uint_lt(stats.passes, plain.passes);
    } else {
        ck_assert_uint_eq(stats.drafted, 0);
    }
    free(x);
    model_bank_free(b);
    model_free(m);
}
END_TEST

/* With a form, whose state goes on from token to token. */
START_TEST(drafts_keep_to_forms)
{
    static const char pattern[] = "(ab|ba|cc){1,30}";
    struct model_config config = kinds[0];
    struct spoken *x = mem_zalloc(2 * JOBS * sizeof(*x)), *y = x + JOBS;
    struct model_session_stats stats, plain;
    struct constrain_vocab *v;
    struct constrain *form;
    struct tokenizer *t;
    struct model *m;

    OK(tokenizer_open("tests/reference/tokenizers/qwen2.json", &t, &err));
    OK(constrain_vocab_new(t, &v, &err));
    OK(constrain_regex(v, slice_of(pattern), &form, &err));
    config.vocab = (int64_t)tokenizer_size(t);
    OK(model_new(&config, cpu, 3, &m, &err));
    run_all(m, NULL, false, form, x, &stats);
    run_all(m, NULL, true, form, y, &plain);
    same_words(x, y);
    ck_assert_uint_gt(stats.accepted, 20);
    ck_assert_uint_lt(stats.passes, plain.passes);
    constrain_free(form);
    constrain_vocab_free(v);
    tokenizer_free(t);
    free(x);
    model_free(m);
}
END_TEST

static int stop_at(void *ctx, const struct model_token *t)
{
    size_t *left = ctx;

    (void)t;
    return --*left == 0;
}

/* A caller that leaves in the middle of a draft leaves rows that are right. */
START_TEST(a_draft_that_is_cut_leaves_its_slot_whole)
{
    struct model *m = base_of(0);
    const struct model_session_options o = { .slots = 1,
                                             .keep_prefixes = true };
    struct heard all = { .prompt_count = 40, .most = MOST }, next, one;
    struct model_session *s;

    for (size_t i = 0; i < all.prompt_count; i++)
        all.prompt[i] = (int32_t)(i % 4);
    alone(m, NULL, &all);
    for (size_t n = 1; n < MOST; n++) {
        size_t left = n;
        struct model_ask a = { .prompt = all.prompt,
                               .prompt_count = all.prompt_count,
                               .sampling = { .max_tokens = MOST,
                                             .ignore_eos = true },
                               .on_token = stop_at,
                               .ctx = &left };
        int slot;

        OK(model_session_open(m, &o, &s, &err));
        OK(model_session_begin(s, &a, &slot, NULL, &err));
        finish(s);
        next = all;
        for (size_t i = 0; i < n; i++)
            next.prompt[next.prompt_count++] = all.out[i];
        next.prompt[next.prompt_count++] = 5;
        next.most = 4;
        OK(begin(s, &next));
        ck_assert_uint_ge(next.cached, all.prompt_count + n - 1);
        finish(s);
        one = next;
        alone(m, NULL, &one);
        same(&next, &one);
        model_session_close(s);
    }
    model_free(m);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("model_draft", setup, teardown);

    tcase_add_loop_test(t, drafts_change_no_token, 0, KINDS);
    tcase_add_test(t, drafts_keep_to_forms);
    tcase_add_test(t, a_draft_that_is_cut_leaves_its_slot_whole);
    return suite_run("model_draft", t);
}
