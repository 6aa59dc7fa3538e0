/*
 * test_router.c - what the router learns, and how it judges answers
 *
 * Calibration on drawn items whose true probability of error is known; checks
 * and step-back on cases that have one right outcome.
 */
#include "router_fixture.h"
#include "suite.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <time.h>

#define ITEMS 1200

static struct router_item item[ITEMS];
static float vectors[ITEMS][ROUTER_VECTOR];
static double truth[ITEMS];

/* Items whose error depends on their margin and, if asked, on a word. log p
 * is far too sure of itself. */
static void draw_items(size_t n, bool prompts, double rate)
{
    struct rng rng;

    rng_init(&rng, 5);
    for (size_t i = 0; i < n; i++) {
        double margin = rng_unit(&rng) * 6, t;
        bool hard = rng_below(&rng, 3) == 0;
        char text[64];

        (void)snprintf(text, sizeof(text), "%s question about item%d",
                       hard ? "tricky" : "plain", (int)rng_below(&rng, 50));
        router_vector(slice_of(text), vectors[i]);
        t = rate * (1.6 - margin / 4 + (prompts && hard ? 1.5 : 0));
        truth[i] = fmin(0.95, fmax(0.01, t));
        item[i] = (struct router_item){
            .vector = prompts ? vectors[i] : NULL,
            .s = { .mean_logp = -0.01,
                   .min_margin = margin,
                   .q10_margin = margin + rng_unit(&rng),
                   .q25_logp = -1 / (1 + margin),
                   .free_tokens = 20 },
            .cluster = i / 3,
            .slm = rng_unit(&rng) >= truth[i],
            .llm = rng_unit(&rng) >= 0.03,
            .cost_slm = 1,
            .cost_llm = 10,
        };
    }
}

static struct router_calibration calibrated(size_t n, double floor)
{
    struct router_calibration c;

    ck_assert_msg(router_calibrate(item, n, floor, &c, &err) == 0, "%s",
                  err.msg);
    return c;
}

START_TEST(calibration_is_near_the_truth)
{
    struct router_calibration c;
    double apart = 0;

    draw_items(ITEMS, true, 0.2);
    c = calibrated(ITEMS, 0.03);
    ck_assert(c.learnt && c.reads_prompts);
    /* perfect probabilities would give about 0.04 by chance */
    ck_assert_double_lt(c.ece_after, 0.08);
    ck_assert_double_gt(c.ece_before, 3 * c.ece_after);
    ck_assert_double_lt(c.brier_after, c.brier_before);
    for (size_t i = 0; i < ITEMS; i++)
        apart += fabs(router_error(&c, item[i].vector, &item[i].s) - truth[i]);
    ck_assert_double_lt(apart / ITEMS, 0.08);
    ck_assert_double_gt(c.apgr, 0.65);
    ck_assert_double_lt(c.cpt50, 0.35);
    router_calibration_release(&c);
}
END_TEST

/* On other items than those it was chosen on. */
START_TEST(the_threshold_keeps_the_floor)
{
    struct router_calibration c;
    double quality = 0, llm = 0;
    size_t kept = 0;

    draw_items(ITEMS, true, 0.12);
    c = calibrated(ITEMS / 2, 0.03);
    for (size_t i = ITEMS / 2; i < ITEMS; i++) {
        bool keep = router_error(&c, item[i].vector, &item[i].s) <= c.threshold;

        kept += keep;
        quality += keep ? 1 - truth[i] : 0.97;
        llm += 0.97;
    }
    ck_assert_double_gt(c.share, 0.1);
    ck_assert_double_lt(c.share, 0.95);
    ck_assert_double_gt((double)kept, 0.05 * ITEMS / 2);
    ck_assert_double_gt(quality / (ITEMS / 2), llm / (ITEMS / 2) - 0.04);
    ck_assert_double_lt(c.cost, c.llm_cost);
    router_calibration_release(&c);
}
END_TEST

/* As good as the LLM, on few items: limits of single steps, added up, would
 * leave some of it out. */
START_TEST(what_is_good_enough_as_a_whole_is_kept_whole)
{
    struct router_calibration c;

    draw_items(400, true, 0.07); /* nine in a hundred are wrong */
    for (size_t i = 0; i < 400; i++)
        item[i].llm = i % 9 != 0;
    c = calibrated(400, 0.03);
    ck_assert(c.learnt);
    ck_assert_double_eq(c.share, 1);
    ck_assert_double_gt(c.quality, c.llm_quality - 0.03);
    router_calibration_release(&c);
}
END_TEST

/* Under one ridge for all columns the 258 of the prompt outweighed the five of
 * the tokens, which alone know anything here. */
START_TEST(words_do_not_drown_the_signals)
{
    struct router_calibration with, without;
    struct rng rng;

    rng_init(&rng, 11);
    draw_items(300, true, 0.2);
    for (size_t i = 0; i < 300; i++) {
        for (size_t j = 0; j < ROUTER_VECTOR; j++)
            vectors[i][j] = (float)rng_unit(&rng);
        item[i].slm = item[i].s.min_margin + 4 * rng_unit(&rng) > 5;
    }
    with = calibrated(300, 0.03);
    for (size_t i = 0; i < 300; i++)
        item[i].vector = NULL;
    without = calibrated(300, 0.03);
    ck_assert(with.learnt && with.reads_prompts && !without.reads_prompts);
    ck_assert_double_gt(without.apgr, 0.65);
    ck_assert_double_gt(with.apgr, without.apgr - 0.01);
    router_calibration_release(&with);
    router_calibration_release(&without);
}
END_TEST

/* Each item's limit once looked at all steps before it, each with a bisection
 * for the same quantile: tens of thousands of items took minutes. */
START_TEST(many_items_are_calibrated_in_seconds)
{
    size_t n = 10000;
    struct router_item *many = mem_array(n, sizeof(*many));
    struct router_calibration c;
    clock_t began = clock(); /* of the processor */

    draw_items(ITEMS, false, 0.2);
    for (size_t i = 0; i < n; i++) {
        many[i] = item[i % ITEMS];
        many[i].cluster = i;
        many[i].s.min_margin += 1e-6 * (double)i; /* as many steps as can be */
    }
    ck_assert_int_eq(router_calibrate(many, n, 0.03, &c, &err), 0);
    ck_assert(c.learnt);
    ck_assert_double_lt((double)(clock() - began) / CLOCKS_PER_SEC, 20);
    router_calibration_release(&c);
    free(many);
}
END_TEST

START_TEST(few_items_or_errors_teach_nothing)
{
    struct router_calibration c;
    struct stats_signals sure = { .min_margin = 9 }, unsure = { 0 };

    draw_items(150, true, 0.3);
    c = calibrated(150, 0.03);
    ck_assert(!c.learnt);
    ck_assert_double_eq(router_error(&c, NULL, &sure),
                        router_error(&c, NULL, &unsure));
    ck_assert_double_lt(c.threshold, c.rate_limit); /* nothing is kept */
    ck_assert_double_eq(c.share, 0);
    ck_assert(isnan(router_error_before(&c, vectors[0])));
    router_calibration_release(&c);
    draw_items(ITEMS, true, 0); /* one in a hundred */
    c = calibrated(ITEMS, 0.03);
    ck_assert(!c.learnt);
    ck_assert_double_eq(c.share, 1);
    ck_assert_double_ge(c.threshold, c.rate_limit);
    router_calibration_release(&c);
    ck_assert_int_eq(router_calibrate(item, 0, 0.03, &c, &err), ERR_INVALID);
}
END_TEST

/* All errors lie in one conversation, so one half has none. */
START_TEST(a_half_without_errors_teaches_nothing)
{
    struct router_calibration c;

    draw_items(400, false, 0);
    for (size_t i = 0; i < 400; i++) {
        item[i].cluster = i < 40 ? 7 : i;
        item[i].slm = i >= 40;
    }
    c = calibrated(400, 0.03);
    ck_assert(!c.learnt);
    ck_assert_double_eq_tol(c.errors, 40, 1e-9);
    router_calibration_release(&c);
}
END_TEST

START_TEST(calibrations_come_back_to_the_bit)
{
    for (int prompts = 0; prompts < 2; prompts++) {
        struct router_calibration c, d;
        struct buf saved = { 0 };

        draw_items(ITEMS, prompts, 0.2);
        c = calibrated(ITEMS, 0.03);
        ck_assert(c.learnt && c.reads_prompts == prompts);
        router_calibration_save(&c, &saved);
        ck_assert_int_eq(router_calibration_load(buf_slice(&saved), &d, &err),
                         0);
        for (size_t i = 0; i < 50; i++)
            ck_assert_double_eq(router_error(&c, item[i].vector, &item[i].s),
                                router_error(&d, item[i].vector, &item[i].s));
        ck_assert_double_eq(c.threshold, d.threshold);
        router_calibration_release(&d);
        for (size_t n = 0; n < saved.len; n += n < 64 ? 1 : 37)
            ck_assert_int_eq(router_calibration_load(
                                 (struct slice){ saved.data, n }, &d, &err),
                             ERR_FORMAT);
        buf_release(&saved);
        router_calibration_release(&c);
    }
}
END_TEST

START_TEST(vectors_know_words_and_length_only)
{
    float a[ROUTER_VECTOR], b[ROUTER_VECTOR], c[ROUTER_VECTOR];

    router_vector(slice_of("Order 17 of the Firm"), a);
    router_vector(slice_of("order 42 of the firm"), b);
    router_vector(slice_of("something else entirely, longer"), c);
    ck_assert_mem_eq(a, b, sizeof(a));
    ck_assert(memcmp(a, c, sizeof(a)) != 0);
    router_vector((struct slice){ "", 0 }, a);
    for (size_t i = 0; i < ROUTER_VECTOR; i++)
        ck_assert(a[i] == 0);
}
END_TEST

START_TEST(the_newest_messages_are_read)
{
    float a[ROUTER_VECTOR], b[ROUTER_VECTOR];
    struct buf r = { 0 };

    buf_str(&r, "{\"messages\":[{\"role\":\"system\",\"content\":\"x\"},"
                "{\"role\":\"user\",\"content\":\"");
    for (size_t i = 0; i < ROUTER_TEXT_MAX; i++)
        buf_char(&r, 'a');
    buf_str(&r, "\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\","
                "\"text\":\"last words\"}]}]}");
    parse(r.data);
    router_request_vector(&request, 0, a);
    router_vector(slice_of("last words\n"), b);
    for (size_t i = 0; i < ROUTER_VECTOR - 2; i++)
        ck_assert(a[i] == b[i]);
    ck_assert(a[ROUTER_VECTOR - 2] > b[ROUTER_VECTOR - 2]);
    json_release(&request);
    buf_release(&r);
}
END_TEST

#define TOOLS                                                                  \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"book\","       \
    "\"parameters\":{\"type\":\"object\",\"properties\":{\"to\":{\"type\":"    \
    "\"string\"}},\"required\":[\"to\"],\"additionalProperties\":false}}}]"
#define CALL(name, arguments)                                                  \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"1\","  \
    "\"type\":\"function\",\"function\":{\"name\":\"" name                     \
    "\",\"arguments\":\"" arguments "\"}}]}"
#define SAYS(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"

static const char *judged(const char *asks, const char *message)
{
    static struct router none; /* no champions: only what clients see */
    struct router_decision d = { .reason = ROUTER_REASON_routed };
    enum router_reason why;
    double p;

    parse(asks);
    (void)router_check(&none, &d, &request, 0, slice_of(message), NULL, &p,
                       &why);
    ck_assert(isnan(p));
    json_release(&request);
    return router_reason_name(why);
}

START_TEST(unusable_answers_are_told_apart)
{
    const char *tools = "{\"messages\":[]," TOOLS "}";
    const char *must =
        "{\"messages\":[],\"tool_choice\":\"required\"," TOOLS "}";
    const char *none = "{\"messages\":[],\"tool_choice\":\"none\"," TOOLS "}";
    const char *object = "{\"response_format\":{\"type\":\"json_object\"}}";
    const char *schema =
        "{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{"
        "\"schema\":{\"type\":\"object\",\"required\":[\"a\"]}}}}";

    ck_assert_str_eq(judged(tools, CALL("book", "{\\\"to\\\":\\\"x\\\"}")),
                     "routed");
    ck_assert_str_eq(judged(tools, CALL("fly", "{}")), "no_such_tool");
    ck_assert_str_eq(judged(tools, CALL("book", "{\\\"to\\\":1}")),
                     "bad_arguments");
    ck_assert_str_eq(judged(tools, CALL("book", "{\\\"to\\\"")),
                     "bad_arguments");
    ck_assert_str_eq(judged(tools, CALL("book", "[]")), "bad_arguments");
    ck_assert_str_eq(judged(tools, SAYS("no tool is needed")), "routed");
    ck_assert_str_eq(judged(must, SAYS("no")), "malformed");
    ck_assert_str_eq(judged(none, CALL("book", "{\\\"to\\\":\\\"x\\\"}")),
                     "no_such_tool");
    ck_assert_str_eq(judged("{}", CALL("book", "{}")), "no_such_tool");
    ck_assert_str_eq(judged("{}", SAYS("  ")), "malformed");
    ck_assert_str_eq(judged("{}", "{\"content\":null}"), "malformed");
    ck_assert_str_eq(judged("{}", "\"text\""), "malformed");
    ck_assert_str_eq(judged("{}", "{\"content\":"), "malformed");
    ck_assert_str_eq(judged(object, SAYS("[]")), "schema");
    ck_assert_str_eq(judged(object, SAYS("{")), "malformed");
    ck_assert_str_eq(judged(schema, SAYS("{\\\"a\\\":1}")), "routed");
    ck_assert_str_eq(judged(schema, SAYS("{\\\"b\\\":1}")), "schema");
}
END_TEST

START_TEST(endless_repetition_is_no_answer)
{
    struct buf m = { 0 };

    buf_str(&m, "{\"content\":\"So it is. ");
    for (int i = 0; i < 30; i++)
        buf_str(&m, "and then again ");
    buf_str(&m, "\"}");
    ck_assert_str_eq(judged("{}", m.data), "repetition");
    buf_reset(&m);
    buf_str(&m, "{\"content\":\"");
    for (int i = 0; i < 40; i++)
        buf_printf(&m, "line %d of a list\\n", i * i);
    buf_str(&m, "\"}");
    ck_assert_str_eq(judged("{}", m.data), "routed");
    buf_release(&m);
}
END_TEST

static size_t steps_back_after(double agreement, bool error)
{
    struct router_limits l = { .agreement = 0.9 };
    struct router_watch *w = router_watch_new(&l);
    struct rng rng;
    size_t n = 0;
    char why[160];

    rng_init(&rng, 3);
    while (n++ < 2000)
        if (router_watch_add(w, 4, rng_unit(&rng) < agreement,
                             error && rng_below(&rng, 3) == 0, why))
            break;
    router_watch_free(w);
    return n;
}

START_TEST(a_task_steps_back_when_it_must_and_not_before)
{
    ck_assert_uint_gt(steps_back_after(0.95, false), 2000);
    ck_assert_uint_ge(steps_back_after(0.6, false), 50);
    ck_assert_uint_lt(steps_back_after(0.6, false), 80);
    ck_assert_uint_lt(steps_back_after(1, true), 120);
}
END_TEST

START_TEST(windows_of_tasks_are_their_own)
{
    struct router_limits l = { .least = 10 };
    struct router_watch *w = router_watch_new(&l);
    char why[160] = "";

    for (int i = 0; i < 9; i++)
        ck_assert(!router_watch_add(w, 1, (double)NAN, true, why));
    for (int i = 0; i < 500; i++)
        ck_assert(!router_watch_add(w, 2, (double)NAN, false, why));
    ck_assert(router_watch_add(w, 1, (double)NAN, true, why));
    ck_assert_ptr_nonnull(strstr(why, "unusable"));
    /* its window is empty again */
    ck_assert(!router_watch_add(w, 1, (double)NAN, true, why));
    router_watch_free(w);
}
END_TEST

/* Each task to what its champion promised; another champion begins anew, and
 * another window forgets. */
START_TEST(a_task_is_held_to_what_was_promised_of_it)
{
    const struct router_limits l = { .window = 60, .least = 20 };
    const struct router_limits wider = { .window = 80, .least = 20 };
    struct router_watch *w = router_watch_new(&l);
    bool stepped = false;
    char why[160];

    ck_assert(isnan(router_watch_agreement(w, 1)));
    router_watch_expect(w, 1, 0.9);
    for (int i = 0; i < 19; i++)
        ck_assert(!router_watch_add(w, 1, i % 2, false, why));
    ck_assert(fabs(router_watch_agreement(w, 1) - 9.0 / 19) < 1e-9);
    router_watch_forget(w, 1);
    router_watch_forget(w, 9); /* nobody */
    ck_assert(isnan(router_watch_agreement(w, 1)));
    for (int i = 0; i < 19; i++)
        ck_assert(!router_watch_add(w, 1, i % 2, false, why));
    router_watch_limit(w, &l);
    ck_assert(!isnan(router_watch_agreement(w, 1)));
    router_watch_limit(w, &wider);
    ck_assert(isnan(router_watch_agreement(w, 1)));
    router_watch_expect(w, 1, 0.9);
    for (int i = 0; i < 40; i++) {
        ck_assert(!router_watch_add(w, 2, i % 2, false, why)); /* no promise */
        stepped |= router_watch_add(w, 1, i % 2, false, why);
    }
    ck_assert(stepped);
    ck_assert_ptr_nonnull(strstr(why, "90.0 %"));
    router_watch_free(w);
}
END_TEST

START_TEST(the_memory_of_requests_forgets_the_oldest)
{
    struct router_memo *m = router_memo_new();
    unsigned char key[ROUTER_KEY] = { 0 };
    float novelty;

    for (unsigned char i = 0; i < 5; i++) {
        key[8] = i; /* one set for all */
        ck_assert_int_eq(router_memo_get(m, key, &novelty), 0);
        router_memo_put(m, key, 10 + i, 0.25f);
        key[8] = 1;
        (void)router_memo_get(m, key, &novelty);
    }
    key[8] = 1;
    ck_assert_int_eq(router_memo_get(m, key, &novelty), 11);
    ck_assert(novelty == 0.25f);
    key[8] = 0;
    ck_assert_int_eq(router_memo_get(m, key, &novelty), 0);
    router_memo_free(m);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("router", NULL, NULL);

    tcase_add_test(t, calibration_is_near_the_truth);
    tcase_add_test(t, the_threshold_keeps_the_floor);
    tcase_add_test(t, what_is_good_enough_as_a_whole_is_kept_whole);
    tcase_add_test(t, words_do_not_drown_the_signals);
    tcase_add_test(t, many_items_are_calibrated_in_seconds);
    tcase_add_test(t, few_items_or_errors_teach_nothing);
    tcase_add_test(t, a_half_without_errors_teaches_nothing);
    tcase_add_test(t, calibrations_come_back_to_the_bit);
    tcase_add_test(t, vectors_know_words_and_length_only);
    tcase_add_test(t, the_newest_messages_are_read);
    tcase_add_test(t, unusable_answers_are_told_apart);
    tcase_add_test(t, endless_repetition_is_no_answer);
    tcase_add_test(t, a_task_steps_back_when_it_must_and_not_before);
    tcase_add_test(t, windows_of_tasks_are_their_own);
    tcase_add_test(t, the_memory_of_requests_forgets_the_oldest);
    tcase_add_test(t, a_task_is_held_to_what_was_promised_of_it);
    return suite_run("router", t);
}
