/* test_scrub_days.c - what a user found: days in parts, hosts, streets, ages */
#include "suite.h"

#include "json/json.h"
#include "scrub_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Caller frees. */
static char *scrubbed(const char *text)
{
    return scrub_fixture_text(rules, "s", slice_of(text), NULL);
}

static int part(const struct json *j, json_ref o, const char *name)
{
    int64_t v;

    ck_assert(json_int(j, json_get(j, o, name), &v));
    return (int)v;
}

/* "d", written whole as 2024-05-24, moved to the day that the members name. */
static void parts_agree(const char *members, const char *y, const char *m,
                        const char *d)
{
    char text[256], day[32], *out, *whole;
    struct json j = { 0 };
    json_ref o;

    (void)snprintf(text, sizeof(text), "{\"d\":\"2024-05-24\",%s}", members);
    out = scrubbed(text);
    ck_assert_int_eq(json_parse(&j, out, strlen(out), NULL), 0);
    whole = json_strdup(&j, json_get(&j, 0, "d"));
    ck_assert_str_ne(whole, "2024-05-24");
    o = json_get(&j, 0, "birth");
    o = json_present(o) ? o : 0;
    (void)snprintf(day, sizeof(day), "%04d-%02d-%02d", part(&j, o, y),
                   part(&j, o, m), part(&j, o, d));
    ck_assert_msg(strcmp(day, whole) == 0, "%s", out);
    json_release(&j);
    free(out);
    free(whole);
}

START_TEST(a_day_in_parts_moves_as_the_day)
{
    parts_agree("\"birth_year\":2024,\"birth_month\":5,\"birth_day\":24",
                "birth_year", "birth_month", "birth_day");
    parts_agree("\"birth\":{\"y\":2024,\"m\":5,\"d\":24}", "y", "m", "d");
    parts_agree("\"year\":2024,\"month\":5,\"day\":24", "year", "month", "day");
}
END_TEST

START_TEST(a_part_of_no_day_stays)
{
    static const char *const texts[] = {
        "{\"year\":2024,\"month\":5}",
        "{\"birth_year\":1985}",
        "{\"billing_day\":5,\"year\":2024,\"month\":3}",
        "{\"year\":2024,\"month\":\"total\",\"day\":3}",
        "{\"year\":2023,\"month\":2,\"day\":31}",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        char *out = scrubbed(texts[i]);

        ck_assert_str_eq(out, texts[i]);
        free(out);
    }
}
END_TEST

/* Each member used to read all of them: minutes. */
START_TEST(an_object_of_many_parts_is_read_once)
{
    struct buf text = { 0 };
    char *out;

    buf_str(&text, "{\"birth_year\":2024,\"birth_month\":5");
    for (int i = 0; i < 30000; i++)
        buf_printf(&text, ",\"birth_day_%d\":24", i);
    buf_add(&text, "}", 2);
    out = scrubbed(text.data);
    ck_assert(!strstr(out, "\"birth_day_0\":24,") ||
              !strstr(out, "\"birth_month\":5,"));
    ck_assert(strstr(out, "\"birth_day_29999\":24}"));
    free(out);
    buf_release(&text);
}
END_TEST

START_TEST(a_name_in_a_reserved_host_goes)
{
    char *out = scrubbed("I am Anna Berg, write to anna@berg.example.org");
    char *other = scrubbed("write to anna@northwind.example.org");

    ck_assert_msg(!strstr(out, "berg") && strstr(out, ".example.org"), "%s",
                  out);
    ck_assert_msg(strstr(other, "@northwind.example.org") != NULL, "%s", other);
    free(out);
    free(other);
}
END_TEST

START_TEST(the_word_for_a_street_in_front_stays)
{
    char *out = scrubbed("{\"street\":\"ul. Marsza\xC5\x82kowska 10/5\"}");

    ck_assert_msg(strstr(out, "\"ul. ") && !strstr(out, "Marsza"), "%s", out);
    free(out);
}
END_TEST

START_TEST(an_age_found_once_goes_where_it_stands_alone)
{
    char *out =
        scrubbed("{\"a\":\"Pt is a 93 yo F\",\"b\":\"Jane Doe, 93, MRN\"}");

    ck_assert_msg(!strstr(out, "93"), "%s", out);
    free(out);
}
END_TEST

START_TEST(an_ordinal_follows_its_age)
{
    char *out = scrubbed("it was her 91st birthday and his 92nd birthday");

    ck_assert_msg(!strstr(out, "91st") && !strstr(out, "92nd"), "%s", out);
    for (const char *p = out; (p = strstr(p, " birthday")) != NULL; p++) {
        static const char *const ends[] = { "th", "st", "nd", "rd" };
        int last = p[-3] - '0';

        ck_assert_msg(memcmp(p - 2, ends[last < 4 ? last : 0], 2) == 0, "%s",
                      out);
    }
    free(out);
}
END_TEST

#define TOOL(properties, arguments)                                            \
    "{\"parameters\":{\"type\":\"object\",\"properties\":{" properties         \
    "}},\"arguments\":\"{" arguments "}\"}"

START_TEST(an_argument_stays_what_its_schema_allows)
{
    static const char *const texts[] = {
        TOOL("\"year\":{\"type\":\"integer\"},\"month\":{\"enum\":[4,5,6]},"
             "\"day\":{\"type\":\"integer\"}",
             "\\\"year\\\":2024,\\\"month\\\":5,\\\"day\\\":3"),
        TOOL(
            "\"year\":{},\"month\":{\"enum\":[\"January\",\"May\"]},\"day\":{}",
            "\\\"year\\\":2024,\\\"month\\\":\\\"May\\\",\\\"day\\\":3"),
        TOOL("\"timestamp\":{\"minimum\":1716239000,\"maximum\":1716239099}",
             "\\\"timestamp\\\":1716239022"),
        TOOL("\"year\":{\"const\":2024},\"month\":{\"maximum\":1},\"day\":{"
             "\"exclusiveMinimum\":2,\"exclusiveMaximum\":4}",
             "\\\"year\\\":2024,\\\"month\\\":1,\\\"day\\\":3"),
        TOOL("\"date\":{\"type\":\"string\",\"pattern\":\"^2024-05-03$\"}",
             "\\\"date\\\":\\\"2024-05-03\\\""),
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        char *out = scrubbed(texts[i]);

        ck_assert_str_eq(out, texts[i]);
        free(out);
    }
}
END_TEST

START_TEST(a_schema_that_allows_the_day_lets_it_move)
{
    const char *text =
        TOOL("\"year\":{},\"month\":{\"minimum\":1,\"maximum\":12},\"day\":{}",
             "\\\"year\\\":2024,\\\"month\\\":5,\\\"day\\\":3");
    const char *listed =
        TOOL("\"date\":{\"type\":\"string\",\"enum\":[\"2024-05-03\"]}",
             "\\\"date\\\":\\\"2024-05-03\\\"");
    char *out = scrubbed(text), *other = scrubbed(listed);

    ck_assert_str_ne(out, text);
    ck_assert_msg(!strstr(other, "2024-05-03"), "%s", other);
    free(out);
    free(other);
}
END_TEST

static void goes(const char *text, const char *what)
{
    char *out = scrubbed(text);

    ck_assert_msg(!strstr(out, what), "%s", out);
    free(out);
}

START_TEST(milliseconds_of_a_birth_move_whatever_their_width)
{
    char *out;

    goes("{\"dob\":946684800000}", "946684800000");
    goes("{\"birthDate\":467683200000}", "467683200000");
    goes("{\"birthdate\":-12345678}", "-12345678");
    goes("{\"dob\":{\"_seconds\":1716239022}}", "1716239022");
    out = scrubbed("{\"dob\":198407231200,\"ms\":946684800000}");
    ck_assert_str_eq(out, "{\"dob\":198407231200,\"ms\":946684800000}");
    free(out);
}
END_TEST

START_TEST(both_ends_of_an_interval_move)
{
    char *out = scrubbed("{\"created_at\":1716239022,\"start\":1716239022,"
                         "\"end\":1716242622}");
    struct json j = { 0 };

    ck_assert_int_eq(json_parse(&j, out, strlen(out), NULL), 0);
    ck_assert_int_ne(part(&j, 0, "start"), 1716239022);
    ck_assert_int_eq(part(&j, 0, "created_at"), part(&j, 0, "start"));
    ck_assert_int_eq(part(&j, 0, "end") - part(&j, 0, "start"), 3600);
    json_release(&j);
    free(out);
}
END_TEST

START_TEST(the_word_for_an_extension_stays)
{
    char *out = scrubbed("call 415-867-5309 ext. 8912 today");

    ck_assert_msg(strstr(out, " ext. ") && !strstr(out, "8912"), "%s", out);
    free(out);
}
END_TEST

START_TEST(parts_of_a_day_have_more_keys_than_year_month_day)
{
    static const char *const texts[] = {
        "{\"dob_y\":1984,\"dob_m\":2,\"dob_d\":28}",
        "{\"birth_date\":{\"yyyy\":\"1984\",\"mm\":\"02\",\"dd\":\"28\"}}",
        "{\"date_of_birth\":[1984, 2, 28]}",
        "{\"start_year\":1984,\"start_month\":2,\"start_day\":28}",
        "{\"geburtsjahr\":1984,\"geburtsmonat\":2,\"geburtstag\":28}",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        char *out = scrubbed(texts[i]);

        ck_assert_msg(strcmp(out, texts[i]) != 0, "%s", out);
        free(out);
    }
}
END_TEST

START_TEST(parts_that_begin_otherwise_are_no_day)
{
    static const char *const texts[] = {
        "{\"start_year\":1984,\"end_month\":2,\"last_day\":28}",
        "{\"start_year\":1984,\"start_month\":2}",
        "{\"versions\":[1984, 2, 28]}",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        char *out = scrubbed(texts[i]);

        ck_assert_str_eq(out, texts[i]);
        free(out);
    }
}
END_TEST

int main(void)
{
    TCase *t = suite_case("scrub_days", scrub_fixture_begin, scrub_fixture_end);

    tcase_add_test(t, a_day_in_parts_moves_as_the_day);
    tcase_add_test(t, a_part_of_no_day_stays);
    tcase_add_test(t, an_object_of_many_parts_is_read_once);
    tcase_add_test(t, a_name_in_a_reserved_host_goes);
    tcase_add_test(t, the_word_for_a_street_in_front_stays);
    tcase_add_test(t, an_age_found_once_goes_where_it_stands_alone);
    tcase_add_test(t, an_ordinal_follows_its_age);
    tcase_add_test(t, an_argument_stays_what_its_schema_allows);
    tcase_add_test(t, a_schema_that_allows_the_day_lets_it_move);
    tcase_add_test(t, milliseconds_of_a_birth_move_whatever_their_width);
    tcase_add_test(t, both_ends_of_an_interval_move);
    tcase_add_test(t, parts_of_a_day_have_more_keys_than_year_month_day);
    tcase_add_test(t, parts_that_begin_otherwise_are_no_day);
    tcase_add_test(t, the_word_for_an_extension_stays);
    return suite_run("scrub_days", t);
}
