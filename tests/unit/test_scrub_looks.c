/* test_scrub_looks.c - what the second look at a record must not miss
 */
#include "scrub_fixture.h"
#include "suite.h"

#include "json/json.h"
#include "scrub/scrub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Caller frees. */
static char *scrub(const char *text)
{
    return scrub_fixture_text(rules, "s", slice_of(text), NULL);
}

START_TEST(logprobs_within_logprobs_keep_the_finds_of_what_follows)
{
    struct buf text = { 0 };
    char *out;

    buf_str(&text, "{\"logprobs\":{\"content\":[{\"token\":\"x\","
                   "\"logprobs\":{\"a\":\"yy\"}},{\"token\":\"");
    for (int i = 0; i < 3000; i++)
        buf_char(&text, 'x');
    buf_str(&text, " mail bob.smithson@gmail.com now, and ssn 123-45-6789\"}]},"
                   "\"x\":\"jane.miller77@gmail.com\",\"y\":\"hi\","
                   "\"z\":\"s\",\"q\":\"t\",\"r\":\"u\"}");
    out = scrub_fixture_text(rules, "s", buf_slice(&text), NULL);
    ck_assert_ptr_null(strstr(out, "smithson"));
    ck_assert_ptr_null(strstr(out, "jane.miller77"));
    ck_assert_ptr_nonnull(strstr(out, "\"logprobs\":null"));
    ck_assert_ptr_nonnull(strstr(out, "\"y\":\"hi\""));
    ck_assert_ptr_nonnull(strstr(out, "\"r\":\"u\"}"));
    free(out);
    buf_release(&text);
}
END_TEST

START_TEST(a_name_goes_where_its_text_had_two_readings)
{
    check_gone("{\"a\":\"My name is Zorbel Quixley. Mail %41%42 ok\","
               "\"b\":\"x={'n':f(Quixley);[1]}\"}",
               "Quixley");
}
END_TEST

START_TEST(a_name_goes_where_its_letters_are_escaped)
{
    check_gone("{\"a\":\"My name is Zorbel M\\u00fchlbach.\","
               "\"b\":\"x={'n':f(M\\u00fchlbach);[1]}\"}",
               "hlbach");
}
END_TEST

START_TEST(names_without_blanks_take_linear_time)
{
    static const char *const list[] = { "Smith,", "Jones,", "Miller," };
    struct buf text = { 0 };
    clock_t began = clock();

    for (size_t i = 0; i < 40000; i++)
        buf_str(&text, list[i % 3]);
    free(scrub_fixture_text(rules, "s", buf_slice(&text), NULL));
    ck_assert_msg(clock() - began < 10 * CLOCKS_PER_SEC,
                  "a region is read again for each name in it");
    buf_release(&text);
}
END_TEST

START_TEST(a_document_that_is_a_number_stays_one)
{
    struct scrub_rules *tags = scrub_fixture_rules("*=tag", true);
    char *out = scrub_fixture_text(tags, "s", slice_of("1789986840"), NULL);

    ck_assert_msg(strspn(out, "0123456789") == 10, "%s", out);
    free(out);
    scrub_rules_free(tags);
}
END_TEST

START_TEST(a_number_as_a_password_becomes_a_number)
{
    char *out = scrub("[{\"password\":83e5}]");

    ck_assert_msg(!strstr(out, "83e5"), "%s", out);
    free(out);
    free(scrub("[95]")); /* no key */
}
END_TEST

START_TEST(a_reason_that_is_a_sentence_is_scrubbed)
{
    check_gone("{\"stop_reason\":\"call 415-555-2671 John Smith\"}",
               "555-2671");
    check_same("{\"stop_reason\":\"end_turn\"}");
}
END_TEST

START_TEST(hosts_of_a_company_under_local_go)
{
    check_gone("[\"mail bob.harris71@acmecorp.local today\"]", "acmecorp");
}
END_TEST

START_TEST(a_first_name_is_no_title)
{
    check_gone("[\"My name is Don Quixley.\"]", "Don ");
}
END_TEST

/* Finds that reach into a run of base64 which is written anew, from before it
 * and over its end, go with it as a whole. */
START_TEST(what_loses_to_base64_leaves_no_end)
{
    static const char own[] =
        "[before]\ntype = BEFORE\ngate = literal\nliteral = opens\n"
        "after = 20\npattern = opens \\w{4}\nsurrogate = shape\n"
        "example = <<opens abcd>>\ncounter = a\n"
        "[behind]\ntype = BEHIND\ngate = literal\nliteral = closes\n"
        "before = 20\npattern = \\w{4} closes\nsurrogate = shape\n"
        "example = <<abcd closes>>\ncounter = a\n";
    /* mail bob.smithson@gmail.com */
    static const char text[] =
        "it opens bWFpbCBib2Iuc21pdGhzb25AZ21haWwuY29t closes.";
    struct scrub_rules *r = scrub_rules_new();
    struct err err = { 0 };
    char *out;

    ck_assert_msg(scrub_rules_add_builtin(r, &err) == 0 &&
                      scrub_rules_add(r, "own", slice_of(own), &err) == 0 &&
                      scrub_rules_finish(r, &err) == 0,
                  "%s", err.msg);
    out = scrub_fixture_text(r, "s", slice_of(text), NULL);
    ck_assert_msg(!strstr(out, "opens") && !strstr(out, "closes"), "%s", out);
    ck_assert_msg(strncmp(out, "it ", 3) == 0, "%s", out);
    free(out);
    scrub_rules_free(r);
}
END_TEST

START_TEST(a_word_that_is_a_name_goes_where_it_stands_alone)
{
    check_gone("[\"Did Sophia, Mia and Jack call? Jack did.\","
               "[\"Sophia\",\"Mia\",\"Jack\"]]",
               "\"Jack\"");
}
END_TEST

START_TEST(the_head_of_a_place_agrees_with_it)
{
    check_gone("[\"What is the area of Yellowstone National Park?\","
               "{\"park_name\":\"Yellowstone\"}]",
               "Yellowstone");
}
END_TEST

START_TEST(a_known_name_goes_within_a_chinese_sentence)
{
    char *out = scrub("[\"\u6211\u53eb\u738b\u5c0f\u660e\u3002\","
                      "\"\u738b\u5c0f\u660e\u5f88\u597d\"]");

    ck_assert_msg(!strstr(out, "\u5c0f\u660e\u5f88") &&
                      !strstr(out, "\\u5c0f\\u660e"),
                  "%s", out);
    free(out);
}
END_TEST

START_TEST(a_postcode_is_the_same_in_an_address_and_alone)
{
    char *out = scrub("[\"12 Baker Street, London, nw1 6xe\","
                      "\"my postcode is NW1 6XE\"]");
    const char *alone = strstr(out, "postcode is ");

    ck_assert_ptr_nonnull(alone);
    ck_assert_msg(!strstr(out, "6xe") && !strstr(out, "6XE"), "%s", out);
    ck_assert_msg(strncmp(alone + 12, "NW", 2) == 0 &&
                      strstr(out, ", nw") != NULL &&
                      strstr(out, ", nw")[4] == alone[14],
                  "%s", out);
    free(out);
}
END_TEST

int main(void)
{
    TCase *c =
        suite_case("scrub_looks", scrub_fixture_begin, scrub_fixture_end);

    tcase_add_test(c, logprobs_within_logprobs_keep_the_finds_of_what_follows);
    tcase_add_test(c, a_name_goes_where_its_text_had_two_readings);
    tcase_add_test(c, a_name_goes_where_its_letters_are_escaped);
    tcase_add_test(c, names_without_blanks_take_linear_time);
    tcase_add_test(c, a_document_that_is_a_number_stays_one);
    tcase_add_test(c, a_number_as_a_password_becomes_a_number);
    tcase_add_test(c, a_reason_that_is_a_sentence_is_scrubbed);
    tcase_add_test(c, hosts_of_a_company_under_local_go);
    tcase_add_test(c, a_first_name_is_no_title);
    tcase_add_test(c, what_loses_to_base64_leaves_no_end);
    tcase_add_test(c, a_word_that_is_a_name_goes_where_it_stands_alone);
    tcase_add_test(c, the_head_of_a_place_agrees_with_it);
    tcase_add_test(c, a_known_name_goes_within_a_chinese_sentence);
    tcase_add_test(c, a_postcode_is_the_same_in_an_address_and_alone);
    return suite_run("scrub_looks", c);
}
