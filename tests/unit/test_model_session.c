/*
 * test_model_session.c - sequences that come and go, adapters side by side,
 * kept prefixes: whatever shares a pass or a slot, each has the bits that it
 * has alone
 */
#include "session_problem.h"
#include "suite.h"

#include "constrain/constrain.h"

enum { MANY = 96 };

/* Prompts that share beginnings in threes, of different lengths. */
static void fill(struct heard *h, size_t i, size_t adapters)
{
    *h = (struct heard){ .prompt_count = 3 + i * 29 % 97,
                         .most = 1 + i * 7 % 12,
                         .adapter = i % (adapters + 1) };
    for (size_t k = 0; k < h->prompt_count; k++)
        h->prompt[k] =
            (int32_t)(k < 40 ? (k * 11 + i % 3) % VOCAB : (k * i + 5) % VOCAB);
}

/* Begins as many as fit before each pass but at most three. */
static void run_staggered(struct model_session *s, struct heard *all)
{
    size_t begun = 0;
    int rc = 1;

    while (rc > 0 || begun < MANY) {
        for (int k = 0; k < 3 && begun < MANY; k++) {
            rc = begin(s, &all[begun]);
            if (rc == ERR_BUSY)
                break;
            OK(rc);
            begun++;
        }
        rc = model_session_step(s, &err);
        OK(rc);
    }
}

START_TEST(a_mixed_batch_gives_the_bits_of_single_runs)
{
    int kind = _i / 2;
    struct model *m = base_of(kind);
    struct model_bank *b = bank_of(m, 4);
    const struct model_session_options o = {
        .slots = 11, .pass_rows = 64, .bank = b, .keep_prefixes = _i % 2
    };
    struct heard *all = mem_zalloc(MANY * sizeof(*all));
    struct heard *one = mem_zalloc(sizeof(*one));
    struct model_session_stats stats;
    struct model_session *s;

    for (size_t i = 0; i < MANY; i++)
        fill(&all[i], i, 4);
    OK(model_session_open(m, &o, &s, &err));
    run_staggered(s, all);
    model_session_stats(s, &stats);
    model_session_close(s);
    ck_assert_uint_eq(stats.active, 0);
    ck_assert(kind > 0 || _i % 2 == 0 || stats.cached_tokens > 500);
    for (size_t i = 0; i < MANY; i++) {
        ck_assert_uint_eq(all[i].ends, 1);
        ck_assert_int_eq(all[i].why, MODEL_END_LENGTH);
        ck_assert_uint_eq(all[i].count, all[i].most);
        fill(one, i, 4);
        alone(m, b, one);
        same(&all[i], one);
    }
    free(all);
    free(one);
    model_bank_free(b);
    model_free(m);
}
END_TEST

/* The same adapter as a model's own, in one product with the base. */
START_TEST(a_bank_computes_what_its_adapters_do)
{
    struct model *m = base_of(_i), *own;
    struct model_bank *b = bank_of(m, 4);
    struct heard *x = mem_zalloc(sizeof(*x)), *y = mem_zalloc(sizeof(*y));
    float before[MOST * VOCAB];

    for (size_t i = 0; i < 4; i++) {
        char *adapter = mem_printf("%s/a%zu", dir, i);

        fill(x, 20, 0);
        x->adapter = i + 1;
        alone(m, b, x);
        OK(model_new(&kinds[_i], cpu, 3, &own, &err));
        OK(model_adapter_load(own, adapter, &err));
        fill(y, 20, 0);
        alone(own, NULL, y);
        if (i % 4 == 2) /* lengths of rows are summed in another order */
            for (size_t k = 0; k < x->choices * VOCAB; k++)
                ck_assert_float_eq_tol(x->logits[k], y->logits[k], 1e-4F);
        else
            same(x, y);
        ck_assert(i == 0 ||
                  memcmp(before, x->logits, sizeof(float) * VOCAB) != 0);
        memcpy(before, x->logits, sizeof(before));
        model_free(own);
        free(adapter);
    }
    free(x);
    free(y);
    model_bank_free(b);
    model_free(m);
}
END_TEST

static void run_one(struct model_session *s, struct heard *h, size_t adapter)
{
    fill(h, 25, 0);
    h->adapter = adapter;
    OK(begin(s, h));
    finish(s);
}

START_TEST(adapter_never_reads_anothers_prefix)
{
    struct model *m = base_of(0);
    struct model_bank *b = bank_of(m, 2), *again;
    const struct model_session_options o = { .slots = 8,
                                             .bank = b,
                                             .keep_prefixes = true };
    struct heard h[3] = { 0 };
    struct model_session *s;

    OK(model_session_open(m, &o, &s, &err));
    for (size_t i = 0; i < 3; i++) {
        run_one(s, &h[0], i);
        ck_assert_uint_eq(h[0].cached, 0);
        run_one(s, &h[1], i);
        ck_assert_uint_eq(h[1].cached, h[1].prompt_count - 1);
        fill(&h[2], 25, 0);
        h[2].adapter = i;
        alone(m, b, &h[2]);
        same(&h[0], &h[2]);
        same(&h[1], &h[2]);
    }
    /* Read again: the first is another one now, under its old name. */
    free(adapter_write("a0", 777, 4, false, 1.5F, ""));
    {
        char *paths[2] = { io_path(dir, "a0"), io_path(dir, "a1") };

        OK(model_bank_new(m, (const char *const *)paths, 2, &again, &err));
        free(paths[0]);
        free(paths[1]);
    }
    ck_assert_mem_ne(model_bank_hash(b, 1), model_bank_hash(again, 1),
                     MODEL_HASH_BYTES);
    ck_assert_mem_eq(model_bank_hash(b, 2), model_bank_hash(again, 2),
                     MODEL_HASH_BYTES);
    model_session_bank(s, again);
    ck_assert(!model_session_uses(s, b));
    model_bank_free(b);
    run_one(s, &h[0], 1);
    ck_assert_uint_eq(h[0].cached, 0);
    fill(&h[2], 25, 0);
    h[2].adapter = 1;
    alone(m, again, &h[2]);
    same(&h[0], &h[2]);
    run_one(s, &h[0], 2);
    ck_assert_uint_gt(h[0].cached, 0);
    model_session_forget(s, 2);
    run_one(s, &h[0], 2);
    ck_assert_uint_eq(h[0].cached, 0);
    model_session_close(s);
    model_bank_free(again);
    model_free(m);
}
END_TEST

/* What can be cut serves every prompt that begins so; a ring or a recurrence
 * only one that goes on from its end. */
START_TEST(a_kept_prefix_serves_what_it_can)
{
    struct model *m = base_of(_i);
    const struct model_session_options o = { .slots = 4,
                                             .keep_prefixes = true };
    struct heard h = { 0 }, more, other, one;
    struct model_session *s;

    OK(model_session_open(m, &o, &s, &err));
    fill(&h, 25, 0);
    OK(begin(s, &h));
    finish(s);
    more = h;
    for (size_t i = 0; i < h.count; i++)
        more.prompt[more.prompt_count++] = h.out[i];
    more.prompt[more.prompt_count++] = 7;
    other = h;
    other.prompt[30] = (other.prompt[30] + 1) % VOCAB;
    one = more;
    OK(begin(s, &more));
    ck_assert_uint_eq(more.cached, h.prompt_count + h.count - 1);
    OK(begin(s, &other));
    ck_assert_uint_eq(other.cached, _i == 0 ? 30 : 0);
    finish(s);
    alone(m, NULL, &one);
    same(&more, &one);
    one = other;
    alone(m, NULL, &one);
    same(&other, &one);
    model_session_close(s);
    model_free(m);
}
END_TEST

START_TEST(cancel_frees_the_slot)
{
    struct model *m = base_of(0);
    const struct model_session_options o = { .slots = 2 };
    struct heard h[4] = { 0 };
    struct model_session_stats stats;
    struct model_session *s;

    OK(model_session_open(m, &o, &s, &err));
    for (size_t i = 0; i < 3; i++) {
        fill(&h[i], 25 + i, 0);
        h[i].most = MOST;
    }
    OK(begin(s, &h[0]));
    OK(begin(s, &h[1]));
    ck_assert_int_eq(begin(s, &h[2]), ERR_BUSY);
    ck_assert_int_eq(model_session_step(s, &err), 1);
    model_session_cancel(s, h[0].slot);
    ck_assert_uint_eq(h[0].ends, 0);
    OK(begin(s, &h[2]));
    ck_assert_int_eq(h[2].slot, h[0].slot);
    finish(s);
    model_session_stats(s, &stats);
    ck_assert_uint_eq(stats.active, 0);
    ck_assert_uint_eq(h[0].ends, 0);
    for (size_t i = 1; i < 3; i++) {
        h[3] = h[i];
        alone(m, NULL, &h[3]);
        same(&h[i], &h[3]);
    }
    model_session_close(s);
    model_free(m);
}
END_TEST

/* Cancels its neighbour, begins another in its place, and leaves. */
struct meddler {
    struct model_session *s;
    struct heard *neighbour, *next;
    size_t tokens;
};

static int meddle(void *ctx, const struct model_token *t)
{
    struct meddler *x = ctx;

    (void)t;
    if (++x->tokens < 2)
        return 0;
    model_session_cancel(x->s, x->neighbour->slot);
    OK(begin(x->s, x->next));
    return 1;
}

START_TEST(callbacks_may_change_who_runs)
{
    struct model *m = base_of(0);
    const struct model_session_options o = { .slots = 2 };
    struct heard h[3] = { 0 };
    struct meddler x = { .neighbour = &h[0], .next = &h[1] };
    struct model_ask a = { .prompt = h[2].prompt,
                           .prompt_count = 5,
                           .sampling = { .max_tokens = 9, .ignore_eos = true },
                           .on_token = meddle,
                           .ctx = &x };
    int slot;

    fill(&h[0], 25, 0);
    fill(&h[1], 26, 0);
    OK(model_session_open(m, &o, &x.s, &err));
    OK(model_session_begin(x.s, &a, &slot, NULL, &err));
    OK(begin(x.s, &h[0]));
    finish(x.s);
    ck_assert_uint_eq(x.tokens, 2);
    ck_assert_uint_eq(h[0].ends, 0);
    ck_assert_uint_eq(h[1].ends, 1);
    h[2] = h[1];
    alone(m, NULL, &h[2]);
    same(&h[1], &h[2]);
    model_session_close(x.s);
    model_free(m);
}
END_TEST

/* Its slot, whose states are not finite, serves the next one well. */
START_TEST(a_failing_sequence_ends_alone)
{
    struct model *m = base_of(_i);
    char *paths[2] = { adapter_write("good", 5, 3, false, 1, ""),
                       adapter_write("burst", 6, 3, false, 1e30F, "") };
    struct model_session_options o = { .slots = 3, .keep_prefixes = true };
    struct heard h[4] = { 0 };
    struct model_session *s;
    struct model_bank *b;

    OK(model_bank_new(m, (const char *const *)paths, 2, &b, &err));
    o.bank = b;
    OK(model_session_open(m, &o, &s, &err));
    for (size_t i = 0; i < 3; i++) {
        fill(&h[i], 32 - i, 0); /* the last is the longest */
        h[i].adapter = i;
        h[i].most = 20;
        OK(begin(s, &h[i]));
    }
    finish(s);
    ck_assert_int_eq(h[2].why, MODEL_END_FAILED);
    ck_assert_int_eq(h[2].err.code, ERR_FORMAT);
    ck_assert_msg(strstr(h[2].err.msg, paths[1]) &&
                      strstr(h[2].err.msg, "not finite"),
                  "%s", h[2].err.msg);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(h[i].why, MODEL_END_LENGTH);
        h[3] = h[i];
        alone(m, b, &h[3]);
        same(&h[i], &h[3]);
    }
    fill(&h[0], 1, 0); /* does not overwrite all that it left */
    OK(begin(s, &h[0]));
    ck_assert_int_eq(h[0].slot, h[2].slot);
    finish(s);
    h[3] = h[0];
    alone(m, b, &h[3]);
    same(&h[0], &h[3]);
    free(paths[0]);
    free(paths[1]);
    model_session_close(s);
    model_bank_free(b);
    model_free(m);
}
END_TEST

START_TEST(more_adapters_than_a_pass_takes)
{
    enum { ADAPTERS = MODEL_BANK_IN_PASS + 5 };
    struct model *m = base_of(0);
    struct model_bank *b = bank_of(m, ADAPTERS);
    const struct model_session_options o = { .slots = ADAPTERS + 1, .bank = b };
    struct heard *all = mem_zalloc((ADAPTERS + 2) * sizeof(*all));
    struct heard *one = &all[ADAPTERS + 1];
    struct model_session *s;

    OK(model_session_open(m, &o, &s, &err));
    for (size_t i = 0; i <= ADAPTERS; i++) {
        fill(&all[i], i, ADAPTERS);
        all[i].most = 9;
        OK(begin(s, &all[i]));
    }
    finish(s);
    for (size_t i = 0; i <= ADAPTERS; i++) {
        ck_assert_uint_eq(all[i].ends, 1);
        fill(one, i, ADAPTERS);
        one->most = 9;
        alone(m, b, one);
        same(&all[i], one);
    }
    free(all);
    model_session_close(s);
    model_bank_free(b);
    model_free(m);
}
END_TEST

struct details {
    struct model_token last;
    int32_t top[3];
    float logp[3];
    size_t count, stops;
};

static int see_details(void *ctx, const struct model_token *t)
{
    struct details *d = ctx;

    d->last = *t;
    ck_assert_uint_eq(t->top, 3);
    memcpy(d->top, t->top_ids, sizeof(d->top));
    memcpy(d->logp, t->top_logp, sizeof(d->logp));
    d->count++;
    d->stops += t->stop;
    return 0;
}

START_TEST(tokens_come_with_their_details)
{
    const struct slice label = slice_of("A");
    struct model *m = base_of(0);
    const struct model_session_options o = { .slots = 1 };
    struct model_session *s;
    struct details d = { 0 };
    int32_t prompt[3] = { 4, 9, 2 };
    struct model_ask a = { .prompt = prompt,
                           .prompt_count = 3,
                           .sampling = { .max_tokens = 1 },
                           .top = 3,
                           .on_token = see_details,
                           .ctx = &d };
    struct constrain_vocab *v;
    struct tokenizer *t;
    float x[3 * VOCAB];
    double sum = 0;
    int slot;

    OK(model_logits(m, prompt, 3, x, &err));
    for (size_t i = 0; i < VOCAB; i++)
        sum += exp((double)x[2 * VOCAB + i]);
    OK(model_session_open(m, &o, &s, &err));
    OK(model_session_begin(s, &a, &slot, NULL, &err));
    finish(s);
    ck_assert_uint_eq(d.count, 1);
    ck_assert_int_eq(d.last.id, d.top[0]);
    ck_assert_uint_eq(d.last.allowed, VOCAB);
    for (size_t i = 0; i < 3; i++)
        ck_assert_double_eq_tol((double)d.logp[i],
                                (double)x[2 * VOCAB + d.top[i]] - log(sum),
                                1e-4);
    ck_assert_float_eq_tol(d.last.margin, d.logp[0] - d.logp[1], 1e-5F);
    ck_assert(d.logp[1] >= d.logp[2]);

    OK(tokenizer_open("tests/reference/tokenizers/qwen2.json", &t, &err));
    OK(constrain_vocab_new(t, &v, &err));
    OK(constrain_labels(v, &label, 1, &a.sampling.form, &err));
    a.sampling.max_tokens = 5;
    d.count = 0;
    OK(model_session_begin(s, &a, &slot, NULL, &err));
    finish(s);
    ck_assert_uint_ge(d.count, 1);
    ck_assert_uint_eq(d.last.allowed, 1);
    ck_assert(isinf(d.last.margin) && isfinite(d.last.logp));
    constrain_free(a.sampling.form);
    constrain_vocab_free(v);
    tokenizer_free(t);
    model_session_close(s);
    model_free(m);
}
END_TEST

/* A form for which the vocabulary has no token. */
START_TEST(an_impossible_form_fails_alone)
{
    const struct slice label = slice_of("\xf0\x9f\x98\x80");
    struct model *m = base_of(0);
    const struct model_session_options o = { .slots = 2 };
    struct heard h[2] = { 0 };
    struct model_ask a = { .prompt = h[1].prompt,
                           .prompt_count = 3,
                           .sampling = { .max_tokens = 5 },
                           .on_end = hear_end,
                           .ctx = &h[1] };
    struct constrain_vocab *v;
    struct tokenizer *t;
    struct model_session *s;
    int slot;

    OK(tokenizer_open("tests/reference/tokenizers/qwen2.json", &t, &err));
    OK(constrain_vocab_new(t, &v, &err));
    OK(constrain_labels(v, &label, 1, &a.sampling.form, &err));
    OK(model_session_open(m, &o, &s, &err));
    fill(&h[0], 11, 0);
    OK(begin(s, &h[0]));
    OK(model_session_begin(s, &a, &slot, NULL, &err));
    finish(s);
    ck_assert_int_eq(h[0].why, MODEL_END_LENGTH);
    ck_assert_int_eq(h[1].why, MODEL_END_FAILED);
    ck_assert_int_eq(h[1].err.code, ERR_UNSUPPORTED);
    model_session_close(s);
    constrain_free(a.sampling.form);
    constrain_vocab_free(v);
    tokenizer_free(t);
    model_free(m);
}
END_TEST

static void refuses_ask(struct model_session *s, struct model_ask a,
                        enum err_code code, const char *what)
{
    int slot;

    ck_assert_int_eq(model_session_begin(s, &a, &slot, NULL, &err), code);
    ck_assert_msg(strstr(err.msg, what) != NULL, "%s", err.msg);
}

START_TEST(asks_that_cannot_be_are_refused)
{
    struct model *m = base_of(0);
    const struct model_session_options o = { .slots = 1, .capacity = 8 };
    int32_t prompt[8] = { 1, 2, 3 };
    struct model_ask a = { .prompt = prompt,
                           .prompt_count = 3,
                           .sampling = { .max_tokens = 1 } };
    struct model_session *s;

    OK(model_session_open(m, &o, &s, &err));
    a.prompt_count = 0;
    refuses_ask(s, a, ERR_INVALID, "the prompt is empty");
    a.prompt_count = 8;
    refuses_ask(s, a, ERR_LIMIT, "room for 8");
    a.prompt_count = 3;
    a.adapter = 1;
    refuses_ask(s, a, ERR_INVALID, "no adapter 1");
    a.adapter = 0;
    a.top = MODEL_SESSION_TOP + 1;
    refuses_ask(s, a, ERR_INVALID, "at most 20");
    a.top = 0;
    a.sampling.max_tokens = 0;
    refuses_ask(s, a, ERR_INVALID, "no tokens");
    a.sampling.max_tokens = 1;
    prompt[1] = VOCAB;
    refuses_ask(s, a, ERR_FORMAT, "vocabulary");
    model_session_close(s);
    model_free(m);
}
END_TEST

static void refuses_bank(struct model *m, char *path, enum err_code code,
                         const char *what)
{
    const char *paths[1] = { path };
    struct model_bank *b;

    ck_assert_int_eq(model_bank_new(m, paths, 1, &b, &err), code);
    ck_assert_msg(strstr(err.msg, what) != NULL, "%s", err.msg);
    free(path);
}

START_TEST(banks_refuse_what_would_change_the_base)
{
    struct model *m = base_of(0);
    struct heard before = { 0 }, after = { 0 };

    fill(&before, 8, 0);
    after = before;
    alone(m, NULL, &before);
    refuses_bank(m,
                 adapter_write("whole", 1, 2, false, 1,
                               ",\"modules_to_save\":[\"lm_head\"]"),
                 ERR_UNSUPPORTED, "modules_to_save");
    refuses_bank(m,
                 adapter_write("rank", 1, 2, false, 1,
                               ",\"rank_pattern\":{\"q_proj\":5}"),
                 ERR_FORMAT, "shape");
    refuses_bank(m, io_path(dir, "none"), ERR_NOTFOUND, "none");
    alone(m, NULL, &after);
    same(&before, &after);
    model_free(m);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("model_session", setup, teardown);

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, a_mixed_batch_gives_the_bits_of_single_runs, 0,
                        2 * KINDS);
    tcase_add_loop_test(t, a_bank_computes_what_its_adapters_do, 0, KINDS);
    tcase_add_test(t, adapter_never_reads_anothers_prefix);
    tcase_add_loop_test(t, a_kept_prefix_serves_what_it_can, 0, KINDS);
    tcase_add_test(t, cancel_frees_the_slot);
    tcase_add_test(t, callbacks_may_change_who_runs);
    tcase_add_loop_test(t, a_failing_sequence_ends_alone, 0, KINDS);
    tcase_add_test(t, more_adapters_than_a_pass_takes);
    tcase_add_test(t, tokens_come_with_their_details);
    tcase_add_test(t, an_impossible_form_fails_alone);
    tcase_add_test(t, asks_that_cannot_be_are_refused);
    tcase_add_test(t, banks_refuse_what_would_change_the_base);
    return suite_run("model_session", t);
}
