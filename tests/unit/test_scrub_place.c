/* test_scrub_place.c - positions: what is the protocol's, a schema's, media
 */
#include "scrub_fixture.h"
#include "suite.h"

#include "json/json.h"
#include "scrub/scrub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CARD "4111111111111111"
#define PIXEL                                                                  \
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA" \
    "60e6kgAAAABJRU5ErkJggg=="

/* Caller frees. *reported: all that was only counted. */
static char *scrub_with(const struct scrub_rules *r, const char *text,
                        size_t *count, uint64_t *reported)
{
    struct scrub_worker *w = scrub_worker_new(r, &key);
    struct slice in = slice_of(text);
    struct buf out = { 0 };
    struct err err = { 0 };

    ck_assert_msg(
        scrub_record(w, slice_of("s"), &in, 1, &out, NULL, count, &err) == 0,
        "%s", err.msg);
    *reported = 0;
    for (size_t i = 0; i < scrub_rules_count(r); i++)
        *reported += scrub_reported(w, i);
    scrub_worker_free(w);
    return buf_take(&out, NULL);
}

static char *scrub(const char *text, size_t *count)
{
    uint64_t reported;

    return scrub_with(rules, text, count, &reported);
}

#define ASKED(system, user, answer)                                            \
    "{\"request\":{\"messages\":[{\"role\":\"system\",\"content\":\"" system   \
    "\"},{\"role\":\"user\",\"content\":\"" user                               \
    "\"}]},\"response\":{\"choices\":[{\"message\":{\"role\":\"assistant\","   \
    "\"content\":\"" answer "\"}}]}}"

static void check_stay(const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t count;
        char *out = scrub(texts[i], &count);

        ck_assert_str_eq(out, texts[i]);
        free(out);
    }
}

START_TEST(labels_that_a_user_enumerates_stay)
{
    static const char *const texts[] = {
        ASKED("",
              "Choose one of: billing, Jordan, Malibu, Parkinson's, "
              "Sienna, Paris, Mark\\nText: my Malibu broke",
              "Malibu"),
        ASKED("",
              "Answer with one of the labels:\\n- Paris: the city\\n"
              "- Jordan\\n- Mercedes\\n\\nText: it broke",
              "{\\\"label\\\":\\\"Mercedes\\\"}"),
        ASKED("",
              "nimm eine von: Jordan | Malibu | Paris oder Rom. Text: kaputt",
              "Jordan"),
    };

    check_stay(texts, sizeof(texts) / sizeof(*texts));
}
END_TEST

START_TEST(a_person_called_as_a_label_leaves_the_list_whole)
{
    size_t count;
    char *out =
        scrub(ASKED("Labels: Billing, Chase, Jordan, Refund.",
                    "My name is Jordan Chase and I want my refund", "Jordan"),
              &count);

    ck_assert_ptr_nonnull(strstr(out, "Billing, Chase, Jordan, Refund."));
    ck_assert_ptr_nonnull(strstr(out, "\"content\":\"Jordan\""));
    ck_assert_ptr_null(strstr(out, "Jordan Chase"));
    free(out);
}
END_TEST

START_TEST(people_who_are_enumerated_go)
{
    size_t count;
    char *out = scrub(ASKED("",
                            "Options: Anna Schmidt, Peter Brown, John "
                            "Smith. My mail is x1@corvane.io",
                            "John Smith"),
                      &count);

    ck_assert_ptr_null(strstr(out, "Schmidt"));
    ck_assert_ptr_null(strstr(out, "John Smith"));
    free(out);
}
END_TEST

START_TEST(fields_of_the_protocol_stay)
{
    static const char *const texts[] = {
        "{\"request\":{\"model\":\"gpt-" CARD "\",\"messages\":[{\"role\":"
        "\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_ " CARD
        "\",\"type\":\"function\",\"function\":{\"name\":\"f " CARD
        "\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":"
        "\"call_ " CARD "\",\"content\":\"ok\"}],\"tools\":[{\"type\":"
        "\"function\",\"function\":{\"name\":\"f " CARD "\",\"parameters\":{"
        "\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"string\","
        "\"pattern\":\"" CARD "\"}}}}}],\"tool_choice\":{\"type\":\"function\","
        "\"function\":{\"name\":\"f " CARD
        "\"}}},\"response\":{\"id\":\"c " CARD
        "\",\"object\":\"chat.completion\",\"created\":" CARD
        ",\"model\":\"m\",\"choices\":[{\"finish_reason\":\"stop\"}],"
        "\"system_fingerprint\":\"fp_" CARD "\",\"usage\":{}}}",
        "{\"model\":\"m\",\"id\":\"msg " CARD "\",\"role\":\"assistant\","
        "\"content\":[{\"type\":\"tool_use\",\"id\":\"toolu " CARD
        "\",\"name\":\"f " CARD "\",\"input\":{}}],\"stop_reason\":\"x\"}",
    };

    check_stay(texts, sizeof(texts) / sizeof(*texts));
}
END_TEST

START_TEST(a_secret_goes_from_a_field_of_the_protocol)
{
    size_t count;
    char *out = scrub("{\"model\":\"m\",\"choices\":[],\"id\":"
                      "\"sk-proj-a8Kd92mfP0s7Zq1xWc4vBn6m\"}",
                      &count);

    ck_assert_uint_eq(count, 1);
    ck_assert_ptr_null(strstr(out, "a8Kd92mf"));
    free(out);
}
END_TEST

/* The same names of members, in what a tool or a user wrote. */
START_TEST(data_has_no_fields_of_the_protocol)
{
    static const char *const texts[] = {
        "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"{\\\"id\\\":"
        "\\\"" CARD "\\\",\\\"role\\\":\\\"" CARD
        "\\\",\\\"content\\\":\\\"\\\",\\\"usage\\\":1}\"}",
        "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"id\":"
        "\"" CARD "\",\"role\":\"" CARD "\",\"content\":\"\",\"usage\":1}}",
        "{\"function\":{\"name\":\"f\",\"arguments\":{\"id\":\"" CARD
        "\",\"choices\":[],\"model\":\"" CARD "\"}}}",
        "{\"model\":\"m\",\"messages\":[],\"metadata\":{\"id\":\"" CARD
        "\",\"usage\":1,\"finish_reason\":\"" CARD "\"}}",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        size_t count;
        char *out = scrub(texts[i], &count);

        ck_assert_msg(count == 2 && !strstr(out, CARD), "%s", out);
        free(out);
    }
}
END_TEST

START_TEST(an_enum_follows_the_arguments)
{
    static const char text[] =
        "{\"tools\":[{\"function\":{\"name\":\"call\",\"parameters\":{\"type\":"
        "\"object\",\"required\":[\"phone\"],\"properties\":{\"phone\":{"
        "\"type\":\"string\",\"enum\":[\"4157362671\",\"4157362672\"]}}}}}],"
        "\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{"
        "\"name\":\"call\",\"arguments\":\"{\\\"phone\\\":\\\"4157362671"
        "\\\"}\"}}]}]}";
    size_t count;
    char *out = scrub(text, &count), *at, *used;

    ck_assert_uint_eq(count, 2);
    at = strstr(out, "\"enum\":[\"");
    used = strstr(out, "\\\"phone\\\":\\\"");
    ck_assert_ptr_nonnull(at);
    ck_assert_ptr_nonnull(used);
    ck_assert_int_eq(strncmp(at + 9, used + 12, 10), 0);
    ck_assert_int_ne(strncmp(at + 9, "4157362671", 10), 0);
    ck_assert_ptr_nonnull(strstr(out, "\"4157362672\""));
    ck_assert_ptr_nonnull(strstr(out, "\"required\":[\"phone\"]"));
    free(out);
}
END_TEST

START_TEST(what_the_prompt_itself_names_stays_and_people_do_not)
{
    size_t count;
    uint64_t reported;
    char *out = scrub_with(
        rules,
        "{\"messages\":[{\"role\":\"system\",\"content\":\"Answer with one "
        "of: Austin, Boston, Denver. Escalate to Mr. Okonkwo.\"},{\"role\":"
        "\"user\",\"content\":\"I am Ingrid Solheim, I live in Berlin and "
        "moved there from Denver and Rotterdam.\"},{\"role\":\"assistant\","
        "\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":"
        "\"{\\\"city\\\":\\\"Berlin\\\"}\"}}]}],\"tools\":[{\"function\":{"
        "\"name\":\"f\",\"parameters\":{\"properties\":{\"city\":{\"enum\":["
        "\"Berlin\",\"Lyon\"]}}}}}]}",
        &count, &reported);

    ck_assert_ptr_nonnull(strstr(out, "Austin, Boston, Denver"));
    ck_assert_ptr_nonnull(strstr(out, "from Denver and "));
    ck_assert_ptr_nonnull(strstr(out, "live in Berlin"));
    ck_assert_ptr_nonnull(strstr(out, "\\\"Berlin\\\""));
    ck_assert_ptr_nonnull(strstr(out, "[\"Berlin\",\"Lyon\"]"));
    ck_assert_ptr_null(strstr(out, "Okonkwo"));
    ck_assert_ptr_null(strstr(out, "Solheim"));
    ck_assert_ptr_null(strstr(out, "Rotterdam"));
    free(out);
}
END_TEST

/* What stands behind `mark`, up to the next quotation mark or backslash. */
static struct slice behind(const char *text, const char *mark)
{
    const char *at = strstr(text, mark);

    ck_assert_msg(at != NULL, "%s: no %s", text, mark);
    at += strlen(mark);
    return (struct slice){ at, strcspn(at, "\"\\$") };
}

/* Whether the value goes or stays, the argument is what its schema allows. */
static void check_agree(const char *schema, const char *schema_key,
                        const char *said, const char *old, bool goes)
{
    struct buf text = { 0 };
    struct slice used;
    char *out;
    size_t count;

    buf_printf(&text,
               "{\"tools\":[{\"function\":{\"name\":\"f\",\"parameters\":{"
               "\"properties\":{\"city\":{\"type\":\"string\",%s}}}}}],"
               "\"messages\":[{\"role\":\"user\",\"content\":\"%s\"},{\"role\":"
               "\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
               "\"arguments\":\"{\\\"city\\\":\\\"%s\\\"}\"}}]}]}",
               schema, said, old);
    buf_char(&text, '\0');
    out = scrub(text.data, &count);
    used = behind(out, "{\\\"city\\\":\\\"");
    ck_assert_msg(slice_eq(behind(out, schema_key), used), "%s", out);
    ck_assert_msg(goes == !strstr(out, old), "%s", out);
    buf_release(&text);
    free(out);
}

START_TEST(what_a_schema_lists_agrees_with_arguments)
{
    check_agree("\"enum\":[\"Berlin\",\"Lyon\"]", "\"enum\":[\"",
                "I live in Berlin", "Berlin", false);
    check_agree("\"enum\":[\"Elena Kowalczyk\",\"Jane Doe\"]", "\"enum\":[\"",
                "My name is Elena Kowalczyk", "Elena Kowalczyk", true);
    check_agree("\"const\":\"4157362671\"", "\"const\":\"",
                "my phone is 4157362671", "4157362671", true);
    check_agree("\"default\":\"Paris\",\"enum\":[\"Paris\",\"Rome\"]",
                "\"enum\":[\"", "I live in Paris", "Paris", false);
    check_agree("\"pattern\":\"^Elena Kowalczyk$\"", "\"pattern\":\"^",
                "My name is Elena Kowalczyk", "Elena Kowalczyk", true);
}
END_TEST

START_TEST(an_enum_that_nobody_speaks_of_stays)
{
    static const char text[] =
        "{\"properties\":{\"city\":{\"type\":\"string\",\"enum\":[\"Berlin\","
        "\"Lyon\"]}},\"messages\":[{\"content\":\"I live in Hamburg\"}]}";
    size_t count;
    char *out = scrub(text, &count);

    ck_assert_uint_eq(count, 1);
    ck_assert_ptr_nonnull(strstr(out, "\"enum\":[\"Berlin\",\"Lyon\"]"));
    free(out);
}
END_TEST

START_TEST(degrees_stay_in_range_under_a_tag)
{
    struct scrub_rules *r = scrub_fixture_rules("*=tag", false);
    size_t count;
    uint64_t reported;
    char *out =
        scrub_with(r, "{\"latitude\":48.856612,\"longitude\":-122.419416}",
                   &count, &reported);

    ck_assert_str_eq(out, "{\"latitude\":48.000000,\"longitude\":-122.000000}");
    scrub_rules_free(r);
    free(out);
}
END_TEST

START_TEST(a_default_is_named_like_its_property)
{
    size_t count;
    char *out =
        scrub("{\"properties\":{\"phone\":{\"type\":\"string\","
              "\"default\":\"4157362671\",\"examples\":[\"4157362672\"]}"
              ",\"port\":{\"default\":4157362671}}}",
              &count);

    /* The third is the first once more, known by then. */
    ck_assert_uint_eq(count, 3);
    ck_assert_ptr_null(strstr(out, "41573626"));
    free(out);
}
END_TEST

static const char *const media[] = {
    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/"
    "png;base64," PIXEL "\"}}",
    "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"" PIXEL
    "\",\"format\":\"wav\"}}",
    "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":"
    "\"image/png\",\"data\":\"" PIXEL "\"}}",
    "{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"" PIXEL "\"}}",
    "{\"role\":\"user\",\"content\":\"what is it?\",\"images\":[\"" PIXEL
    "\"]}",
    "{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":\"" PIXEL
    "\"}}",
    "{\"content\":\"<img src='data:image\\/png;base64," PIXEL "'>\"}",
};

START_TEST(pictures_and_sounds_go)
{
    for (size_t i = 0; i < sizeof(media) / sizeof(*media); i++) {
        size_t count;
        char *out = scrub(media[i], &count);
        struct json before = { 0 }, after = { 0 };

        ck_assert_msg(count == 1 && !strstr(out, "RK5CYII") &&
                          !strstr(out, "iVBOR"),
                      "%s", out);
        ck_assert_int_eq(json_parse(&before, media[i], strlen(media[i]), NULL),
                         0);
        ck_assert_int_eq(json_parse(&after, out, strlen(out), NULL), 0);
        ck_assert_uint_eq(before.count, after.count);
        json_release(&before);
        json_release(&after);
        free(out);
    }
}
END_TEST

START_TEST(media_may_be_kept_and_is_counted)
{
    struct scrub_rules *r = scrub_fixture_rules("MEDIA=keep", false);

    for (size_t i = 0; i < sizeof(media) / sizeof(*media); i++) {
        size_t count;
        uint64_t reported;
        char *out = scrub_with(r, media[i], &count, &reported);

        ck_assert_uint_eq(count, 0);
        ck_assert_uint_eq(reported, 1);
        ck_assert_str_eq(out, media[i]);
        free(out);
    }
    scrub_rules_free(r);
}
END_TEST

START_TEST(evidence_of_an_escaped_key_counts)
{
    size_t count;
    char *out = scrub("{\"\\u0070hone\":\"4157362671\"}", &count);

    ck_assert_uint_eq(count, 1);
    free(out);
}
END_TEST

/* A worker remembers what 2048 keys tell; one more must tell as much. */
START_TEST(the_keys_of_a_record_may_be_many)
{
    struct buf text = { 0 };
    size_t count;
    char *out;

    buf_char(&text, '{');
    for (int i = 0; i < 3000; i++)
        buf_printf(&text,
                   "\"k%d\":{\"zone_%d\":1,\"phone_%d\":\"415736%04d\"},", i, i,
                   i, i);
    buf_str(&text, "\"\\u0070hone\":\"4157362671\"}");
    out = scrub(text.data, &count);
    ck_assert_uint_eq(count, 3001);
    free(out);
    buf_release(&text);
}
END_TEST

/* Keys of any length tell what they tell; long ones are not remembered. */
START_TEST(a_key_of_many_bytes_tells_as_much)
{
    for (int n = 40; n <= 4000; n *= 10) {
        struct buf text = { 0 };
        size_t count;
        char *out;

        buf_str(&text, "[");
        for (int i = 0; i < 3; i++)
            buf_printf(&text, "%s{\"%0*d_phone\":\"415736267%d\"}",
                       i ? "," : "", n, 0, i);
        buf_str(&text, "]");
        out = scrub(text.data, &count);
        ck_assert_uint_eq(count, 3);
        free(out);
        buf_release(&text);
    }
}
END_TEST

START_TEST(bounds_of_a_schema_stay)
{
    static const char text[] =
        "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
        "\"parameters\":{\"type\":\"object\",\"properties\":{\"card\":{"
        "\"type\":\"integer\",\"minimum\":" CARD ",\"maximum\":" CARD "}}}}}]}";
    size_t count;
    char *out = scrub(text, &count);

    ck_assert_str_eq(out, text);
    free(out);
}
END_TEST

START_TEST(an_id_that_holds_a_name_of_the_record_goes_with_it)
{
    static const char text[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"I am Anna Schmidt\"},"
        "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"call_anna_schmidt_"
        "1\","
        "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
        "\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"call_anna_schmidt_"
        "1\","
        "\"content\":\"ok\"}]}";
    size_t count;
    char *out = scrub(text, &count), *id = strstr(out, "\"id\":\""), *again;

    ck_assert_ptr_null(strstr(out, "schmidt"));
    again = strstr(out, "\"tool_call_id\":\"");
    ck_assert_int_eq(strncmp(id + 6, again + 16, strcspn(id + 6, "\"")), 0);
    free(out);
}
END_TEST

int main(void)
{
    TCase *c =
        suite_case("scrub_place", scrub_fixture_begin, scrub_fixture_end);

    tcase_add_test(c, fields_of_the_protocol_stay);
    tcase_add_test(c, labels_that_a_user_enumerates_stay);
    tcase_add_test(c, a_person_called_as_a_label_leaves_the_list_whole);
    tcase_add_test(c, people_who_are_enumerated_go);
    tcase_add_test(c, a_secret_goes_from_a_field_of_the_protocol);
    tcase_add_test(c, data_has_no_fields_of_the_protocol);
    tcase_add_test(c, an_enum_follows_the_arguments);
    tcase_add_test(c, what_the_prompt_itself_names_stays_and_people_do_not);
    tcase_add_test(c, what_a_schema_lists_agrees_with_arguments);
    tcase_add_test(c, an_enum_that_nobody_speaks_of_stays);
    tcase_add_test(c, degrees_stay_in_range_under_a_tag);
    tcase_add_test(c, a_default_is_named_like_its_property);
    tcase_add_test(c, bounds_of_a_schema_stay);
    tcase_add_test(c, pictures_and_sounds_go);
    tcase_add_test(c, media_may_be_kept_and_is_counted);
    tcase_add_test(c, evidence_of_an_escaped_key_counts);
    tcase_add_test(c, the_keys_of_a_record_may_be_many);
    tcase_add_test(c, an_id_that_holds_a_name_of_the_record_goes_with_it);
    tcase_add_test(c, a_key_of_many_bytes_tells_as_much);
    return suite_run("scrub_place", c);
}
