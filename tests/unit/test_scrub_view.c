/* test_scrub_view.c - values that hide: look-alikes, codings, views of views
 */
#include "scrub_fixture.h"
#include "suite.h"

#include "base/rng.h"
#include "scrub/scrub_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDED_MAIL                                                            \
    "\xEF\xBD\x81\xEF\xBD\x84\xEF\xBD\x81\xEF\xBC\xA0\xEF\xBD\x8C\xEF\xBD\x8F" \
    "\xEF\xBD\x96\xEF\xBD\x85\xEF\xBC\x8E\xEF\xBD\x8F\xEF\xBD\x92\xEF\xBD\x87"

/* Caller frees. */
static char *scrub(const char *text, size_t *count)
{
    return scrub_fixture_text(rules, "s", slice_of(text), count);
}

/* What stands in place of ada@love.org, in out[64]. */
static void surrogate_of(const char *value, char out[64])
{
    char *text = scrub(value, NULL);

    (void)snprintf(out, 64, "%s", text);
    free(text);
}

START_TEST(what_looks_the_same_has_the_same_surrogate)
{
    static const char *const forms[][2] = {
        { "ada@love.org", FOLDED_MAIL },
        { "ada@love.org", "a\xE2\x80\x8B"
                          "da@lo\xE2\x81\xA0ve.org" },
        { "ada@love.org", "ad\xC2\xAD"
                          "a@love\xE2\x80\x8C.org" },
        { "ada@love.org", "\xD0\xB0"
                          "da@l\xD0\xBEve.org" },  /* Cyrillic a and o */
        { "ada@love.org", "ada@l\xCE\xBFve.org" }, /* Greek o */
        { "ada@love.org", "\xF0\x9D\x90\x9A"
                          "da@love.org" }, /* mathematical bold a */
        { "(415) 736-2671", "(415)\xC2\xA0"
                            "736\xE2\x80\x93"
                            "2671" },
        { "4111 1111 1111 1111",
          "\xD9\xA4\xD9\xA1\xD9\xA1\xD9\xA1 \xD9\xA1\xD9\xA1\xD9\xA1\xD9\xA1 "
          "\xD9\xA1\xD9\xA1\xD9\xA1\xD9\xA1 "
          "\xD9\xA1\xD9\xA1\xD9\xA1\xD9\xA1" },
        { "ada@love.org", "ada&#64;love.org" },
        { "ada@love.org", "ada&#x40;love&period;org" },
        { "ada@love.org", "ada\\u0040love.org" },
        { "ada@love.org", "ada\\x40love.org" },
        { "ada@love.org", "&#xff41;da&commat;love.org" },
    };

    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        char want[64], text[256], expected[256];
        size_t count;
        char *out;

        surrogate_of(forms[i][0], want);
        (void)snprintf(text, sizeof(text), "to <%s>, \xE2\x82\xAC 5",
                       forms[i][1]);
        (void)snprintf(expected, sizeof(expected), "to <%s>, \xE2\x82\xAC 5",
                       want);
        out = scrub(text, &count);
        ck_assert_msg(count == 1 && strcmp(out, expected) == 0,
                      "%zu: %s gives %s, not %s", i, text, out, expected);
        free(out);
    }
}
END_TEST

/* The first look has no surrogate to escape. */
START_TEST(a_view_of_an_escaped_string_is_replaced)
{
    size_t count;
    char *out = scrub("{\"x\":\"\\tsome words before it, and then more of "
                      "them: ada%40love.org \\\"\"}",
                      &count);

    ck_assert_uint_eq(count, 1);
    ck_assert_ptr_null(strstr(out, "love.org"));
    ck_assert_ptr_nonnull(strstr(out, "\"\\tsome words"));
    free(out);
}
END_TEST

START_TEST(percent_encoded_values_stay_encoded)
{
    char want[64], expected[256];
    size_t count;
    char *out;

    surrogate_of("ada@love.org", want);
    *strchr(want, '@') = '\0';
    out = scrub("https://x.org/?to=ada%40love.org&n=100%25", &count);
    (void)snprintf(expected, sizeof(expected), "https://x.org/?to=%s%%40",
                   want);
    ck_assert_uint_eq(count, 1);
    ck_assert_msg(strncmp(out, expected, strlen(expected)) == 0, "%s", out);
    ck_assert_ptr_nonnull(strstr(out, "&n=100%25"));
    free(out);
    /* Twice, as in a redirection within a redirection. */
    out = scrub("next=%2Flogin%3Fto%3Dada%2540love.org%26x", &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_ptr_null(strstr(out, "love.org"));
    free(out);
    /* A blank written as "+". */
    out = scrub("phone=%28415%29+736-2671&x=1+1", &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_ptr_null(strstr(out, "736-2671"));
    ck_assert_ptr_nonnull(strstr(out, "&x=1+1"));
    free(out);
}
END_TEST

START_TEST(base64_is_opened_and_closed_again)
{
    static const char plain[] = "{\"mail\":\"ada@love.org\",\"n\":[1,23]}";
    char want[64], inner[256];

    surrogate_of("ada@love.org", want);
    for (int form = 0; form < 4; form++) {
        /* Padded or not, either alphabet. */
        struct slice like = slice_of(form == 0   ? "YQ=="
                                     : form == 1 ? "YWRhMQ"
                                     : form == 2 ? "_WRhMQ=="
                                                 : "_WRhMQ");
        struct buf text = { 0 }, expected = { 0 };
        size_t count;
        char *out;

        (void)snprintf(inner, sizeof(inner), "{\"mail\":\"%s\",\"n\":[1,23]}",
                       want);
        buf_str(&text, "{\"state\":\"x ");
        scrub_base64_encode(slice_of(plain), like, &text);
        buf_str(&text, " y\"}");
        buf_str(&expected, "{\"state\":\"x ");
        scrub_base64_encode(slice_of(inner), like, &expected);
        buf_str(&expected, " y\"}");
        out = scrub(text.data, &count);
        ck_assert_uint_eq(count, 1);
        ck_assert_msg(strcmp(out, expected.data) == 0, "%d: %s is not %s", form,
                      out, expected.data);
        free(out);
        buf_release(&text);
        buf_release(&expected);
    }
}
END_TEST

START_TEST(base64_of_what_is_no_text_stays)
{
    static const char text[] =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk "
        "/usr/local/share/applications/mimeinfo "
        "d41d8cd98f00b204e9800998ecf8427e internationalization";
    size_t count;
    char *out = scrub(text, &count);

    ck_assert_str_eq(out, text);
    free(out);
}
END_TEST

/* A dash next to a key must not hide it: the bytes are looked at as well. */
START_TEST(a_view_loses_nothing_that_the_bytes_show)
{
    size_t count;
    char *out = scrub("1\xE2\x80\x93sk-proj-a8Kd92mfP0s7Zq1xWc4vBn6m and "
                      "2\xE2\x80\x93"
                      "3",
                      &count);

    ck_assert_ptr_null(strstr(out, "a8Kd92mfP0s7"));
    ck_assert_ptr_nonnull(strstr(out, "2\xE2\x80\x93"
                                      "3"));
    free(out);
}
END_TEST

/* Words of one script, accents, dashes between words: no second look. */
START_TEST(ordinary_texts_need_no_view)
{
    static const char *const texts[] = {
        ("Gr\xC3\xBC\xC3\x9F"
         "e aus K\xC3\xB6ln \xE2\x80\x93 \xE2\x80\x9Eja\xE2\x80\x9C"),
        "\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82",
        "\xCE\xB1-helix and 5 \xCE\xBCm",
        "\xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x8C\xE4\xB8\x96\xE7\x95\x8C",
        "it\xE2\x80\x99s \xE2\x82\xAC 5\xE2\x80\xA6",
    };
    struct scrub_view v = { 0 };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        ck_assert_msg(!scrub_view_fold(&v, slice_of(texts[i])), "%s", texts[i]);
    ck_assert_uint_eq(scrub_view_needs(slice_of("50 % & <b>C:\\dir</b>")), 0);
    scrub_view_release(&v);
}
END_TEST

START_TEST(a_mark_joins_its_letter)
{
    static const char text[] = "Jose\xCC\x81 a\xCC\xA3\xCC\x82x \xCC\x81";
    struct scrub_view v = { 0 };
    size_t start = 0, end = 5;

    ck_assert(scrub_view_fold(&v, slice_of(text)));
    ck_assert_msg(strncmp(v.text.data, "Jos\xC3\xA9 \xE1\xBA\xADx", 9) == 0,
                  "%s", v.text.data);
    ck_assert_uint_eq(scrub_view_source(&v, &start, &end), CODED_FOLDED);
    ck_assert_uint_eq(start, 0);
    ck_assert_uint_eq(end, 6);
    scrub_view_release(&v);
}
END_TEST

/* Every byte of a view comes from bytes of the source, in order, and all of
 * the source is covered. */
static void check_map(const struct scrub_view *v, size_t n)
{
    size_t last = 0;

    for (size_t i = 0; i < v->text.len; i++) {
        size_t start = i, end = i + 1;

        (void)scrub_view_source(v, &start, &end);
        ck_assert_uint_le(start, end);
        ck_assert_uint_ge(start, last);
        ck_assert_uint_le(end, n);
        last = start;
    }
}

START_TEST(maps_are_monotone_whatever_the_bytes)
{
    static const char *const pieces[] = { "%",
                                          "%4",
                                          "%41",
                                          "%C3%A9",
                                          "%FF",
                                          "&",
                                          "&#",
                                          "&#64;",
                                          "&amp;",
                                          ";",
                                          "\\",
                                          "\\u",
                                          "\\u0040",
                                          "\\ud83d\\ude00",
                                          "\\ud83d",
                                          "\\x41",
                                          "a",
                                          "@",
                                          "\xE2\x80\x8B",
                                          "\xCC\x81",
                                          "e",
                                          "\xEF\xBD\x81",
                                          "\xFF",
                                          "\xD0\xB0",
                                          "+",
                                          "=",
                                          "&#x110000;",
                                          "\xEF\xAC\x83",
                                          "1",
                                          "\xD9\xA1",
                                          "\xE2\x80" };
    struct scrub_view v = { 0 }, f = { 0 };
    struct rng r;

    rng_init(&r, 5);
    for (int i = 0; i < 20000; i++) {
        struct buf b = { 0 };

        for (uint64_t k = rng_below(&r, 12); k > 0; k--)
            buf_str(&b,
                    pieces[rng_below(&r, sizeof(pieces) / sizeof(*pieces))]);
        (void)scrub_view_decode(&v, buf_slice(&b),
                                CODED_PERCENT | CODED_ENTITY | CODED_ESCAPE);
        check_map(&v, b.len);
        (void)scrub_view_fold(&f, buf_slice(&v.text));
        check_map(&f, v.text.len);
        buf_release(&b);
    }
    scrub_view_release(&v);
    scrub_view_release(&f);
}
END_TEST

static void count_leak(void *ctx, size_t value, const char *form, size_t at)
{
    (void)value;
    (void)at;
    (void)snprintf(ctx, 64, "%s", form);
}

START_TEST(the_leak_search_sees_what_rules_see)
{
    static const char *const texts[][2] = {
        { "to " FOLDED_MAIL, "look-alikes" },
        { "{\"a\":\"to a\xE2\x80\x8B"
          "da@love.org\"}",
          "look-alikes" },
        { "to ada&#64;love.org", "entities" },
        { "to \xD0\xB0"
          "da%40love.org",
          "look-alikes in percent" },
    };
    struct slice value = slice_of("ada@love.org");
    struct scrub_leaks *l = NULL;

    ck_assert_int_eq(scrub_leaks_new(&value, 1, &l, NULL), 0);
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        char form[64] = "";

        ck_assert_uint_ge(scrub_leaks_search(l, slice_of(texts[i][0]),
                                             count_leak, form, NULL),
                          1);
        ck_assert_msg(strstr(form, "look-alikes") ||
                          strcmp(form, texts[i][1]) == 0,
                      "%s: %s", texts[i][0], form);
    }
    scrub_leaks_free(l);
}
END_TEST

START_TEST(base64_nested_without_end_fails_closed)
{
    struct scrub_worker *w = scrub_worker_new(rules, &key);
    struct buf b = { 0 }, out = { 0 };
    struct err err = { 0 };
    struct slice in;

    buf_str(&b, "write to ada@love.org");
    for (int i = 0; i < 12; i++) {
        struct buf outer = { 0 };

        scrub_base64_encode(buf_slice(&b), slice_of("YQ=="), &outer);
        buf_release(&b);
        b = outer;
    }
    in = buf_slice(&b);
    ck_assert_int_eq(
        scrub_record(w, slice_of("s"), &in, 1, &out, NULL, NULL, &err),
        ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.msg, "base64"));
    ck_assert_uint_eq(out.len, 0);
    scrub_worker_free(w);
    buf_release(&b);
    buf_release(&out);
}
END_TEST

START_TEST(a_short_value_in_base64_goes_by_its_key_or_sentence)
{
    check_gone("{\"ssn\":\"NDU1LTIyLTYyNzE=\"}", "NDU1LTIyLTYyNzE");
    check_gone("{\"passport_number\":\"RzkzMTU4NDY5\"}", "RzkzMTU4NDY5");
    check_gone("My social security number is MTIzLTQ1LTY3ODk=.",
               "MTIzLTQ1LTY3ODk");
    check_gone("I was born on MTk4Mi0xMi0wNQ== in May.", "MTk4Mi0xMi0wNQ");
}
END_TEST

START_TEST(a_word_that_happens_to_be_base64_stays)
{
    static const char text[] =
        "{\"passport_number\":\"understanding\",\"ssn\":\"undocumented\"}";
    char *out = scrub(text, NULL);

    ck_assert_str_eq(out, text);
    free(out);
}
END_TEST

START_TEST(a_full_width_hyphen_joins_full_width_letters)
{
    /* ada@uni-x.org */
    check_gone("write to "
               "\xEF\xBD\x81\xEF\xBD\x84\xEF\xBD\x81\xEF\xBC\xA0"
               "\xEF\xBD\x95\xEF\xBD\x8E\xEF\xBD\x89\xEF\xBC\x8D"
               "\xEF\xBD\x98\xEF\xBC\x8E"
               "\xEF\xBD\x8F\xEF\xBD\x92\xEF\xBD\x87 now",
               "\xEF\xBD\x95\xEF\xBD\x8E\xEF\xBD\x89");
}
END_TEST

START_TEST(a_name_beside_a_curly_quote_goes_everywhere)
{
    check_gone("{\"q\":\"My name is Janet Kowalski.\\n\\nJanet\u2019s ducks "
               "lay 16 eggs.\",\"a\":\"Janet sells 16 - 7 = 9\"}",
               "Janet");
}
END_TEST

START_TEST(a_known_name_goes_as_a_key_too)
{
    check_gone("{\"q\":\"My name is Alex Kowalski.\",\"arguments\":"
               "\"{\\\"cards\\\":{\\\"Alex\\\":[1]}}\"}",
               "Alex");
}
END_TEST

START_TEST(a_date_between_stars_is_a_date)
{
    check_gone("flight on **2024-05-10** is full", "2024-05-10");
    check_gone("flight on *2024-05-10* is full", "2024-05-10");
}
END_TEST

START_TEST(a_name_that_is_also_a_product_goes_by_its_key)
{
    check_gone("{\"customer_name\":\"Jasmine Eriksson\"}", "Jasmine");
}
END_TEST

static void see_zone(void *ctx, const struct scrub_leak *hit)
{
    unsigned *seen = ctx;

    seen[hit->zone]++;
}

START_TEST(a_place_in_the_name_of_a_time_zone_is_told_apart)
{
    struct slice v = slice_of("London");
    struct scrub_leaks *l = NULL;
    unsigned seen[2] = { 0, 0 };

    ck_assert_int_eq(scrub_leaks_new(&v, 1, &l, NULL), 0);
    (void)scrub_leaks_look(
        l, slice_of("{\"a\":\"{\\\"zone\\\":\\\"Europe/London\\\"}\"}"),
        see_zone, seen, NULL);
    ck_assert_uint_gt(seen[1], 0);
    ck_assert_uint_eq(seen[0], 0);
    (void)scrub_leaks_look(l, slice_of("in London"), see_zone, seen, NULL);
    ck_assert_uint_eq(seen[0], 1);
    scrub_leaks_free(l);
}
END_TEST

START_TEST(a_value_that_wrapped_base64_cuts_in_two_goes)
{
    static const char text[] =
        "RnJvbTogSmFuZSBSb2UgPGphbmUucm9lQGFjbWUuY29tPiwgaGVyIHBob25lIGlzICsxI"
        "DQxNSA4\r\nNjcgNTMwOSBhbmQgbW9yZSB0ZXh0IHRvIGJlIGxvbmc=";
    char *out = scrub_fixture_text(rules, "s", slice_of(text), NULL);

    ck_assert_ptr_null(strstr(out, "NjcgNTMwOSBh")); /* "67 5309 a" */
    ck_assert_ptr_nonnull(strstr(out, "\r\n"));
    ck_assert_int_eq(strcspn(out, "\r"), 76);
    free(out);
}
END_TEST

START_TEST(a_word_behind_a_line_of_base64_is_no_part_of_it)
{
    check_stays("RnJvbTogSmFuZSBSb2UgPGphbmUucm9lQGFjbWUuY29tPiwgaGVyIHBob25l"
                "IGlzICsxIDQxNSA4\ndone and gone",
                "\ndone and gone");
}
END_TEST

int main(void)
{
    TCase *c = suite_case("scrub_view", scrub_fixture_begin, scrub_fixture_end);

    tcase_add_test(c, what_looks_the_same_has_the_same_surrogate);
    tcase_add_test(c, a_view_of_an_escaped_string_is_replaced);
    tcase_add_test(c, percent_encoded_values_stay_encoded);
    tcase_add_test(c, base64_is_opened_and_closed_again);
    tcase_add_test(c, base64_of_what_is_no_text_stays);
    tcase_add_test(c, a_view_loses_nothing_that_the_bytes_show);
    tcase_add_test(c, ordinary_texts_need_no_view);
    tcase_add_test(c, a_mark_joins_its_letter);
    tcase_add_test(c, maps_are_monotone_whatever_the_bytes);
    tcase_add_test(c, the_leak_search_sees_what_rules_see);
    tcase_add_test(c, base64_nested_without_end_fails_closed);
    tcase_add_test(c, a_short_value_in_base64_goes_by_its_key_or_sentence);
    tcase_add_test(c, a_word_that_happens_to_be_base64_stays);
    tcase_add_test(c, a_full_width_hyphen_joins_full_width_letters);
    tcase_add_test(c, a_name_beside_a_curly_quote_goes_everywhere);
    tcase_add_test(c, a_known_name_goes_as_a_key_too);
    tcase_add_test(c, a_date_between_stars_is_a_date);
    tcase_add_test(c, a_name_that_is_also_a_product_goes_by_its_key);
    tcase_add_test(c, a_value_that_wrapped_base64_cuts_in_two_goes);
    tcase_add_test(c, a_word_behind_a_line_of_base64_is_no_part_of_it);
    tcase_add_test(c, a_place_in_the_name_of_a_time_zone_is_told_apart);
    return suite_run("scrub_view", c);
}
