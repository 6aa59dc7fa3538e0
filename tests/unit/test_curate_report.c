/*
 * test_curate_report.c - the leak report: values that are gone, that survive,
 * and that are ordinary words elsewhere; canaries, what is left, combinations
 */
#include "curate_fixture.h"
#include "suite.h"

#include "base/mem.h"
#include "curate/curate.h"
#include "curate/curate_report_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct crypto_key key = { { 4, 5, 6 } };

/* Rules of the test's own, so that what is found does not change with what
 * the built-in ones learn. */
static const char rule_text[] =
    "[mail]\ntype = EMAIL\ngate = literal\nliteral = @\nbefore = 72\n"
    "after = 255\npattern = [\\w.]{1,40}@[\\w.]{1,40}\\w\nsurrogate = email\n"
    "example = <<a@b.org>>\ncounter = a b\n"
    "[who]\ntype = PERSON\ntier = 2\ngate = literal\nliteral = Marion\n"
    "after = 8\npattern = \\bMarion\\b\ncontext = named\nsurrogate = shape\n"
    "example = named <<Marion>>\ncounter = Marion\n"
    "[full]\ntype = PERSON\ntier = 2\ngate = literal\nliteral = Bo \n"
    "after = 12\npattern = \\bBo Okonkwo\\b\ncontext = called\n"
    "surrogate = shape\nexample = called <<Bo Okonkwo>>\n"
    "counter = Bo Okonkwo\n"
    "[order]\ntype = ORDER\ntier = 2\ngate = digits 8\n"
    "pattern = \\b\\d{8}\\b\ncontext = order\nsurrogate = shape\n"
    "example = order <<12345678>>\ncounter = 12345678\n"
    "[code]\ntype = CODE\ntier = 3\ngate = digits 6\n"
    "pattern = \\b\\d{6}\\b\nsurrogate = shape\nexample = 1\ncounter = 12\n";

static void setup(void)
{
    curate_fixture_begin(rule_text);
}

static void say(const char *conversation, const char *ask, const char *answer)
{
    struct store_call s = store_call_none();
    struct err err = { 0 };
    char *request = mem_printf(
        "{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", ask);
    char *response = mem_printf(
        "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"%s\"}"
        ",\"finish_reason\":\"stop\"}]}",
        answer);
    char name[32];
    bool added;

    clock_us += 60000000;
    (void)snprintf(name, sizeof(name), "%lld", (long long)clock_us);
    s.key = slice_of(name);
    s.time_us = clock_us;
    s.dialect = slice_of("openai-chat");
    s.client = slice_of("client");
    s.status = slice_of("completed");
    s.conversation = slice_of(conversation);
    s.request = slice_of(request);
    s.response = slice_of(response);
    ck_assert_msg(store_call_add(store, &s, &added, &err) == 0, "%s", err.msg);
    free(request);
    free(response);
}

static void curate(void)
{
    struct curate_options o = {
        .rules = rules, .key = &key, .shares = { 80, 10, 10 }, .threads = 2
    };
    struct curate_result r;
    struct err err = { 0 };

    ck_assert_msg(curate_run(store, &o, &r, &err) == 0, "%s", err.msg);
    curate_result_release(&r);
}

static struct curate_report report(unsigned threads, unsigned canaries)
{
    struct curate_report_options o = {
        .rules = rules, .key = &key, .threads = threads, .canaries = canaries
    };
    struct curate_report r;
    struct err err = { 0 };

    ck_assert_msg(curate_report_run(store, &o, &r, &err) == 0, "%s", err.msg);
    return r;
}

static const struct curate_report_type *type(const struct curate_report *r,
                                             const char *name)
{
    for (size_t i = 0; i < r->types; i++)
        if (strcmp(r->type[i].type, name) == 0)
            return &r->type[i];
    ck_abort_msg("no type %s", name);
    return NULL;
}

START_TEST(what_was_replaced_is_counted_and_gone)
{
    struct curate_report r;

    say("a", "Write to ada@love.org and \\u0061da@love.org, code 123456", "no");
    say("b", "Nothing here", "yes");
    curate();
    r = report(2, 0);
    ck_assert_uint_eq(r.examples, 2);
    ck_assert_uint_eq(r.same, 2);
    ck_assert_uint_eq(r.survivors, 0);
    ck_assert_uint_eq(type(&r, "EMAIL")->pieces, 2);
    ck_assert_uint_eq(type(&r, "EMAIL")->values, 1);
    ck_assert_uint_eq(type(&r, "CODE")->reported, 1);
    ck_assert_str_eq(type(&r, "EMAIL")->place.where,
                     "request /messages/0/content");
    ck_assert_ptr_null(strstr(type(&r, "EMAIL")->surrogate, "love"));
    curate_report_release(&r);
}
END_TEST

/* Without its context the rule does not see the number. */
/* The report failed at the limit; a store of more had none. */
START_TEST(values_beyond_the_limit_are_told_and_not_taken_for_gone)
{
    struct curate_report_options o = {
        .rules = rules, .key = &key, .threads = 1, .values_most = 2
    };
    struct curate_report r;
    struct err err = { 0 };

    say("a", "Write to ada@love.org or bob@love.org", "no");
    say("b", "Write to cid@love.org or ada@love.org", "yes");
    curate();
    ck_assert_msg(curate_report_run(store, &o, &r, &err) == 0, "%s", err.msg);
    ck_assert_uint_eq(r.pieces, 4);
    ck_assert_uint_eq(r.searched, 2);
    ck_assert_uint_eq(r.unsought, 1);
    curate_report_release(&r);
    o.values_most = 3;
    ck_assert_msg(curate_report_run(store, &o, &r, &err) == 0, "%s", err.msg);
    ck_assert_uint_eq(r.unsought, 0);
    curate_report_release(&r);
}
END_TEST

START_TEST(an_identifier_survives_wherever_it_stands)
{
    struct curate_report r;

    say("a", "order 48151623", "done");
    say("b", "what of 4815-1623?", "NDgxNTE2MjM=");
    curate();
    r = report(1, 0);
    ck_assert_uint_eq(r.survivors, 1); /* one value, one example */
    ck_assert_uint_eq(r.survivors_shown, 1);
    ck_assert_str_eq(r.survivor[0].place.where, "request /messages/0/content");
    ck_assert_str_eq(r.survivor[0].form, "other separators");
    ck_assert_str_eq(r.survivor[0].type, "ORDER");
    curate_report_release(&r);
}
END_TEST

START_TEST(a_name_is_an_ordinary_word_elsewhere)
{
    struct curate_report r;

    say("a", "a person named Marion", "yes");
    say("b", "Marion is a town, and Marionette a word", "yes");
    curate();
    r = report(1, 0);
    ck_assert_uint_eq(r.survivors, 0);
    ck_assert_uint_eq(r.elsewhere, 1);
    ck_assert_uint_eq(type(&r, "PERSON")->elsewhere, 1);
    curate_report_release(&r);
}
END_TEST

START_TEST(a_name_survives_in_its_own_conversation)
{
    struct curate_report r;

    say("a", "a person named Marion", "yes");
    say("a", "who would that have been all the time then, Marion?", "yes");
    curate();
    r = report(1, 0);
    ck_assert_uint_eq(r.survivors, 1);
    ck_assert_uint_eq(r.elsewhere, 0);
    curate_report_release(&r);
}
END_TEST

START_TEST(a_full_name_in_one_word_survives)
{
    struct curate_report r;

    say("a", "the client called Bo Okonkwo", "yes");
    say("a", "make cv_BoOkonkwo.pdf of it", "#BoOkonkwo bo-okonkwo BO OKONKWO");
    say("b", "what is BoOkonkwo?", "a word");
    curate();
    r = report(1, 0);
    ck_assert_uint_eq(r.survivors, 1);
    ck_assert_uint_eq(r.survivors_shown, 1);
    ck_assert(!curate_report_passes(&r));
    curate_report_release(&r);
}
END_TEST

START_TEST(a_word_in_other_case_in_its_own_conversation_is_told_apart)
{
    struct curate_report r;

    say("a", "a person named Marion", "yes");
    say("a", "and when was it that marion would have been there", "yes");
    curate();
    r = report(1, 0);
    ck_assert_uint_eq(r.survivors, 0);
    ck_assert_uint_eq(r.elsewhere, 0);
    ck_assert_uint_eq(r.own, 1);
    ck_assert_int_ne(r.own_place.call, 0);
    curate_report_release(&r);
}
END_TEST

START_TEST(no_example_and_lost_canaries_are_no_pass)
{
    struct curate_canary few = { .planted = 3, .survived = 1, .low = .04 };
    struct curate_canary many = { .planted = 9, .survived = 9, .low = .7 };
    struct curate_report r = { .examples = 0 };

    ck_assert(!curate_report_passes(&r));
    r.examples = 1;
    r.canaries[CURATE_BY_TYPE] = 1;
    r.canary[CURATE_BY_TYPE] = &few;
    ck_assert(curate_report_passes(&r));
    r.canary[CURATE_BY_TYPE] = &many;
    ck_assert(!curate_report_passes(&r));
}
END_TEST

START_TEST(examples_of_other_rules_are_told)
{
    struct curate_report r;
    struct err err = { 0 };

    say("a", "Write to ada@love.org", "no");
    curate();
    ck_assert_int_eq(
        sql_exec(store_sql(store),
                 "UPDATE example SET response = request WHERE kept", &err),
        0);
    r = report(1, 0);
    ck_assert_uint_eq(r.same, 0);
    ck_assert_uint_eq(r.changed, 1);
    curate_report_release(&r);
}
END_TEST

START_TEST(threads_change_nothing)
{
    struct curate_report one, two;

    for (int i = 0; i < 40; i++) {
        char name[16], ask[64];

        (void)snprintf(name, sizeof(name), "c%d", i % 7);
        (void)snprintf(ask, sizeof(ask), "named Marion or u%d@x%d.org", i,
                       i % 3);
        say(name, ask, i % 2 ? "Marion" : "no");
    }
    curate();
    one = report(1, 20);
    two = report(3, 20);
    ck_assert_uint_eq(one.survivors, two.survivors);
    ck_assert_uint_gt(one.survivors, 0);
    ck_assert_int_eq(memcmp(one.survivor, two.survivor,
                            one.survivors_shown * sizeof(*one.survivor)),
                     0);
    for (size_t i = 0; i < one.canaries[CURATE_BY_TYPE]; i++)
        ck_assert_uint_eq(one.canary[0][i].survived, two.canary[0][i].survived);
    curate_report_release(&one);
    curate_report_release(&two);
}
END_TEST

/* Only the rule for addresses is there: all else must be seen to survive. */
START_TEST(canaries_that_no_rule_knows_survive)
{
    struct curate_report r;

    say("a", "What time is it?", "noon");
    curate();
    r = report(1, 50);
    for (size_t i = 0; i < r.canaries[CURATE_BY_TYPE]; i++) {
        const struct curate_canary *c = &r.canary[CURATE_BY_TYPE][i];

        ck_assert_uint_eq(c->planted, 50);
        if (strcmp(c->name, "e-mail") == 0)
            ck_assert_uint_lt(c->survived, 25);
        else
            ck_assert_msg(c->survived == 50, "%s: %d", c->name,
                          (int)c->survived);
    }
    ck_assert(r.canary[0][0].low > 0.9 && r.canary[0][0].high > 0.999);
    curate_report_release(&r);
}
END_TEST

START_TEST(random_strings_and_long_numbers_are_listed)
{
    struct curate_report r;

    say("a",
        "use x9Kd82mfP0s7aB3cQz1L for get_the_reservation_details_of_user_2, "
        "order 900123456789",
        "0123456789abcdef0123456789abcdef");
    curate();
    r = report(1, 0);
    ck_assert_uint_eq(r.rest[0].values, 1);
    ck_assert_uint_eq(r.rest[0].shown[0].length, 20);
    ck_assert_uint_eq(r.rest[1].values, 1);
    ck_assert_uint_eq(r.rest[2].values, 1);
    curate_report_release(&r);
}
END_TEST

START_TEST(jobs_in_running_text_are_told)
{
    static const char *const all[][2] = {
        { "a 30-year-old female nurse from Ohio", "nurse" },
        { "my former dentist said", "dentist" },
        { "a 47 year old male beekeeper", "beekeeper" },
        { "the only left-handed organist", "organist" },
        { "a spacecraft welder-in-waiting", "" },
        { "a new order for the nurse", "" },
        { "an order", "" },
        { "the judge", "" },
        { "a", "" },
        { "a ", "" },
    };
    static const char works[] = "she works as a junior data scientist in Ohio";
    struct slice job;

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        job = report_job(slice_of(all[i][0]), 0);
        ck_assert_msg(slice_is(job, all[i][1]), "%s: %.*s", all[i][0],
                      (int)job.n, job.p);
    }
    job = report_job(slice_of(works), 13);
    ck_assert_msg(slice_is(job, "data scientist"), "%.*s", (int)job.n, job.p);
}
END_TEST

START_TEST(rare_combinations_are_told_and_common_ones_are_not)
{
    struct curate_report r;

    for (int i = 0; i < 6; i++) {
        char name[16], ask[64];

        (void)snprintf(name, sizeof(name), "c%d", i);
        (void)snprintf(ask, sizeof(ask), "A 34 year old woman asks %d", i);
        say(name, ask, "yes");
    }
    say("rare", "A 71-year-old man, a midwife of CA 94110", "yes");
    curate();
    r = report(1, 0);
    ck_assert_uint_eq(r.conversations, 7);
    ck_assert_uint_eq(r.quasi_conversations, 7);
    ck_assert_uint_eq(r.quasis, 1);
    ck_assert_str_eq(r.quasi[0].attributes, "age job sex zip3");
    ck_assert_uint_eq(r.quasi[0].smallest, 1);
    curate_report_release(&r);
}
END_TEST

START_TEST(an_empty_store_has_a_report)
{
    struct curate_report r;

    curate();
    r = report(1, 5);
    ck_assert_uint_eq(r.examples, 0);
    ck_assert_uint_eq(r.survivors, 0);
    ck_assert_uint_eq(r.canary[0][0].planted, 0);
    ck_assert_int_eq(r.category[15].cover, CURATE_NOT_COVERED);
    curate_report_release(&r);
}
END_TEST

int main(void)
{
    TCase *c = suite_case("report", setup, curate_fixture_end);

    tcase_add_test(c, what_was_replaced_is_counted_and_gone);
    tcase_add_test(c, values_beyond_the_limit_are_told_and_not_taken_for_gone);
    tcase_add_test(c, an_identifier_survives_wherever_it_stands);
    tcase_add_test(c, a_name_is_an_ordinary_word_elsewhere);
    tcase_add_test(c, a_name_survives_in_its_own_conversation);
    tcase_add_test(c, examples_of_other_rules_are_told);
    tcase_add_test(c, a_full_name_in_one_word_survives);
    tcase_add_test(c,
                   a_word_in_other_case_in_its_own_conversation_is_told_apart);
    tcase_add_test(c, no_example_and_lost_canaries_are_no_pass);
    tcase_add_test(c, threads_change_nothing);
    tcase_add_test(c, canaries_that_no_rule_knows_survive);
    tcase_add_test(c, random_strings_and_long_numbers_are_listed);
    tcase_add_test(c, jobs_in_running_text_are_told);
    tcase_add_test(c, rare_combinations_are_told_and_common_ones_are_not);
    tcase_add_test(c, an_empty_store_has_a_report);
    return suite_run("curate_report", c);
}
