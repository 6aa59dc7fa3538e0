/* test_scrub.c - rules' own examples, every position, same value, fail closed
 */
#include "scrub_fixture.h"
#include "suite.h"

#include "base/mem.h"
#include "base/rng.h"
#include "json/json.h"
#include "scrub/scrub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_failure(void *ctx, const char *rule, const char *example,
                          const char *why)
{
    (void)ctx;
    printf("[%s] %s: %s\n", rule, why, example);
}

/* Caller frees. */
static char *scrub(const char *text, size_t *count)
{
    return scrub_fixture_text(rules, "conversation", slice_of(text), count);
}

/* The member of a JSON object, decoded; caller frees. */
static char *member(const char *text, const char *name)
{
    struct json j = { 0 };
    char *s;

    ck_assert_int_eq(json_parse(&j, text, strlen(text), NULL), 0);
    s = json_strdup(&j, json_get(&j, 0, name));
    json_release(&j);
    return s;
}

START_TEST(every_rule_keeps_its_examples)
{
    size_t examples;

    ck_assert_uint_eq(scrub_rules_check(rules, &examples, print_failure, NULL),
                      0);
    ck_assert_uint_ge(examples, 3 * scrub_rules_count(rules));
}
END_TEST

START_TEST(one_value_has_one_surrogate_in_every_position)
{
    static const char text[] =
        "{\"messages\":[{\"role\":\"system\",\"content\":\"for ada@love.org\"},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"mail "
        "ada\\u0040love.org\\n\"}]},"
        "{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"arguments\":"
        "\"{\\\"to\\\":\\\"ada@love.org\\\",\\\"x\\\":\\\"[\\\\\\\"ADA@"
        "love.org\\\\\\\"]\\\"}\"}}]},"
        "{\"role\":\"tool\",\"name\":\"ada@love.org\",\"content\":\"sent\"}],"
        "\"metadata\":{\"ada@love.org\":1}}";
    size_t count, seen = 0;
    char *out = scrub(text, &count);
    const char *at = out;
    char first[64] = { 0 };
    struct json j = { 0 };

    ck_assert_uint_eq(count, 6);
    ck_assert_int_eq(json_parse(&j, out, strlen(out), NULL), 0);
    ck_assert_ptr_null(strcasestr(out, "love.org"));
    ck_assert_ptr_null(strstr(out, "u0040"));
    while ((at = strstr(at, "example.")) != NULL) {
        const char *from = at;

        while (from > out && (((from[-1] >= 'a' && from[-1] <= 'z') ||
                               from[-1] == '.' || from[-1] == '@')))
            from--;
        if (!seen++)
            (void)snprintf(first, sizeof(first), "%.*s", (int)(at - from + 11),
                           from);
        ck_assert_int_eq(strncmp(first, from, strlen(first)), 0);
        at++;
    }
    ck_assert_uint_eq(seen, 6);
    json_release(&j);
    free(out);
}
END_TEST

/* A value cut into tokens has no surrogate: its log probabilities go. */
START_TEST(tokens_of_a_scrubbed_answer_are_dropped)
{
    static const char list[] =
        "{\"content\":[{\"token\":\"ada@\",\"logprob\":-1,"
        "\"top_logprobs\":[]},{\"token\":\"lo\\u0076e.org\","
        "\"logprob\":-2}]}";
    char text[512];
    size_t count;
    char *out;

    (void)snprintf(text, sizeof(text),
                   "{\"choices\":[{\"message\":{\"content\":\"to "
                   "ada@love.org\"},\"logprobs\":%s}]}",
                   list);
    out = scrub(text, &count);
    ck_assert_ptr_nonnull(strstr(out, "\"logprobs\":null}]}"));
    ck_assert_ptr_null(strstr(out, "ada@"));
    free(out);
    /* Nowhere else but in the tokens. */
    (void)snprintf(text, sizeof(text), "{\"logprobs\":%s}", list);
    out = scrub(text, &count);
    ck_assert_str_eq(out, "{\"logprobs\":null}");
    free(out);
    out = scrub("{\"logprobs\":{\"tokens\":[\"fi\",\"ne\"]},\"x\":1}", &count);
    ck_assert_str_eq(out,
                     "{\"logprobs\":{\"tokens\":[\"fi\",\"ne\"]},\"x\":1}");
    free(out);
}
END_TEST

START_TEST(bytes_that_are_not_replaced_stay)
{
    static const char text[] = " { \"a\" : \"\\u00e4\\/ <\\u0041da@x.org>\" , "
                               "\"n\":1.50e+3,\"z\":\"\\ud83d\\ude00\" }\r\n";
    size_t count;
    char *out = scrub(text, &count), *at = strstr(out, "example.");

    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(strncmp(out, " { \"a\" : \"\\u00e4\\/ <", 20), 0);
    ck_assert_ptr_nonnull(at);
    ck_assert_str_eq(strchr(at, '>'), strchr(text, '>'));
    free(out);
}
END_TEST

START_TEST(a_number_found_with_context_goes_where_it_has_none)
{
    static const char text[] =
        "{\"said\":\"my phone is (415) 736-2671\",\"to\":\"4157362671\","
        "\"n\":4157362671,\"other\":\"4157362672\"}";
    size_t count;
    char *out = scrub(text, &count), *said = member(out, "said"),
         *to = member(out, "to"), digits[16];

    ck_assert_uint_eq(count, 3);
    (void)snprintf(digits, sizeof(digits), "%.3s%.3s%.4s", said + 13, said + 18,
                   said + 22);
    ck_assert_str_eq(digits, to);
    ck_assert_ptr_nonnull(strstr(out, "\"other\":\"4157362672\""));
    ck_assert_int_eq(strncmp(strstr(out, "\"n\":") + 4, to, 10), 0);
    free(out);
    free(said);
    free(to);
}
END_TEST

START_TEST(an_escaped_key_is_a_position_too)
{
    size_t count;
    char *out = scrub("{\"ada\\u0040love.org\":{\"\\ta\":1}}", &count);

    ck_assert_uint_eq(count, 1);
    ck_assert_ptr_null(strstr(out, "love.org"));
    ck_assert_ptr_nonnull(strstr(out, "\":{\"\\ta\":1}}"));
    free(out);
}
END_TEST

START_TEST(an_account_named_like_the_address_follows_it)
{
    static const char text[] = "{\"mail\":\"yara_garcia_1905@x.org\","
                               "\"id\":\"yara_garcia_1905\","
                               "\"other\":\"Yara_Garcia_1905@y.net\"}";
    size_t count;
    char *out = scrub(text, &count), *mail = member(out, "mail"),
         *id = member(out, "id"), *other = member(out, "other");

    ck_assert_uint_eq(count, 3);
    ck_assert_int_eq(strncmp(mail, id, strlen(id)), 0);
    ck_assert_int_eq(mail[strlen(id)], '@');
    ck_assert_int_eq(strncmp(other, id, strlen(id)), 0);
    ck_assert_str_ne(mail, other);
    free(mail);
    free(id);
    free(other);
    free(out);
}
END_TEST

START_TEST(a_secret_found_by_its_key_goes_from_the_prompt)
{
    static const char text[] = "{\"a\":\"use Tr0ub4dor&3 there\","
                               "\"password\":\"Tr0ub4dor&3\"}";
    size_t count;
    char *out = scrub(text, &count);

    ck_assert_uint_eq(count, 2);
    ck_assert_ptr_null(strstr(out, "Tr0ub4dor"));
    free(out);
}
END_TEST

START_TEST(scopes_and_keys_separate_surrogates)
{
    size_t count;
    char *a =
             scrub_fixture_text(rules, "one", slice_of("ada@love.org"), &count),
         *b =
             scrub_fixture_text(rules, "two", slice_of("ada@love.org"), &count),
         *c =
             scrub_fixture_text(rules, "one", slice_of("ada@love.org"), &count);

    ck_assert_str_eq(a, c);
    ck_assert_str_ne(a, b);
    free(a);
    free(b);
    free(c);
}
END_TEST

START_TEST(surrogates_keep_check_digits_and_are_found_again)
{
    static const char *texts[] = { "4111 1111 1111 1111",
                                   "378282246310005",
                                   "GB82 WEST 1234 5698 7654 32",
                                   "DE89370400440532013000",
                                   "212-736-5000",
                                   "+44 20 7946 0958",
                                   "81.169.145.72" };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        size_t first, again;
        char *out = scrub(texts[i], &first), *twice = scrub(out, &again);

        ck_assert_msg(first == 1 && again == 1, "%s -> %s", texts[i], out);
        ck_assert_str_ne(texts[i], out);
        free(out);
        free(twice);
    }
}
END_TEST

/* Random JSON made of strings that hold values, escapes and JSON. */
static void random_value(struct rng *r, struct json_writer *w, const char *name,
                         unsigned depth)
{
    static const char *pieces[] = { "ada@love.org",
                                    "\"",
                                    "\\",
                                    "\n",
                                    "(415) 736-2671",
                                    "\xF0\x9F\x98\x80",
                                    "password: aB3dE5fG7",
                                    "{",
                                    "[1]",
                                    "4111111111111111",
                                    "81.169.145.72",
                                    " ",
                                    "\xC3\xA4",
                                    "phone 4157362671",
                                    "\x01" };
    struct buf b = { 0 };
    struct json_writer inner;
    uint64_t kind = rng_below(r, depth ? 5 : 2);

    if (kind == 2) {
        json_begin_object(w, name);
        for (uint64_t n = rng_below(r, 4); n > 0; n--)
            random_value(r, w, n == 2 ? "api_key" : "k", depth - 1);
        json_end_object(w);
    } else if (kind == 3) {
        json_begin_array(w, name);
        for (uint64_t n = rng_below(r, 4); n > 0; n--)
            random_value(r, w, NULL, depth - 1);
        json_end_array(w);
    } else if (kind == 4) {
        json_writer_init(&inner, &b, rng_below(r, 2));
        random_value(r, &inner, NULL, depth - 1);
        json_put_slice(w, name, buf_slice(&b));
    } else if (kind == 1 && rng_below(r, 4) == 0) {
        json_put_int(w, name, 4111111111111111);
    } else {
        for (uint64_t n = rng_below(r, 8); n > 0; n--)
            buf_printf(&b, " %s ", pieces[rng_below(r, 15)]);
        json_put_slice(w, name, buf_slice(&b));
    }
    buf_release(&b);
}

START_TEST(json_stays_json_and_values_go)
{
    struct rng r;

    rng_init(&r, 20260101);
    for (int i = 0; i < 3000; i++) {
        struct buf b = { 0 };
        struct json_writer w;
        struct json before = { 0 }, after = { 0 };
        char *out;

        json_writer_init(&w, &b, false);
        json_begin_object(&w, NULL);
        random_value(&r, &w, "v", 4);
        json_end_object(&w);
        out = scrub(b.data, NULL);
        ck_assert_int_eq(json_parse(&before, b.data, b.len, NULL), 0);
        ck_assert_msg(json_parse(&after, out, strlen(out), NULL) == 0, "%s\n%s",
                      b.data, out);
        ck_assert_uint_eq(before.count, after.count);
        ck_assert_msg(!strstr(out, "love.org") && !strstr(out, "736-2671") &&
                          !strstr(out, "4111111111111111"),
                      "%s\n%s", b.data, out);
        json_release(&before);
        json_release(&after);
        buf_release(&b);
        free(out);
    }
}
END_TEST

static int with_rule(const char *rule, const char *text, struct err *err)
{
    struct scrub_rules *r = scrub_rules_new();
    struct scrub_worker *w;
    struct slice in = slice_of(text);
    struct buf out = { 0 };
    int rc = scrub_rules_add(r, "user.rules", slice_of(rule), err);

    if (rc == 0)
        rc = scrub_rules_finish(r, err);
    if (rc == 0) {
        w = scrub_worker_new(r, &key);
        rc = scrub_record(w, slice_of("s"), &in, 1, &out, NULL, NULL, err);
        if (rc < 0)
            ck_assert_uint_eq(out.len, 0);
        scrub_worker_free(w);
    }
    buf_release(&out);
    scrub_rules_free(r);
    return rc;
}

START_TEST(catastrophic_rule_fails_closed)
{
    struct err err = { 0 };

    ck_assert_int_eq(with_rule("[bomb]\ntype = X\ngate = all\n"
                               "pattern = ^(a+)+$\nexample = <<a>>\n"
                               "counter = b\n",
                               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
                               &err),
                     ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.msg, "bomb"));
}
END_TEST

START_TEST(deep_nesting_fails_closed)
{
    struct buf b = { 0 };
    struct slice in;
    struct scrub_worker *w = scrub_worker_new(rules, &key);
    struct buf out = { 0 };
    struct err err = { 0 };

    buf_str(&b, "[\"ada@love.org\"]");
    for (int i = 0; i < SCRUB_MAX_NESTING + 1; i++) {
        struct buf outer = { 0 };

        buf_str(&outer, "[");
        json_quote(&outer, buf_slice(&b));
        buf_str(&outer, "]");
        buf_release(&b);
        b = outer;
    }
    in = buf_slice(&b);
    ck_assert_int_eq(
        scrub_record(w, slice_of("s"), &in, 1, &out, NULL, NULL, &err),
        ERR_LIMIT);
    ck_assert_uint_eq(out.len, 0);
    scrub_worker_free(w);
    buf_release(&b);
}
END_TEST

START_TEST(bad_rules_name_file_line_and_fault)
{
    static const char *bad[][2] = {
        { "x = 1\n", "user.rules:1: a setting stands before" },
        { "[a]\ntype = X\ngate = all\npattern = (\nexample = <<a>>\n"
          "counter = b\n",
          "user.rules:1: [a]: pattern" },
        { "[a]\ngate = digits x\n", "user.rules:2: a number is expected" },
        { "[a]\nfoo = 1\n", "user.rules:2: unknown setting" },
        { "[a]\ntype = X\ngate = all\npattern = x\n", "no example" },
        { "[a\n", "user.rules:1: ] is missing" },
        { "[a]\ntier = 0\n", "user.rules:2: tier is 1, 2 or 3" },
        { "[a]\ntier = 4\n", "user.rules:2: " },
        { "[a]\ncheck = nope\n", "user.rules:2: unknown check" },
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct err err = { 0 };

        ck_assert_int_eq(with_rule(bad[i][0], "", &err), ERR_FORMAT);
        ck_assert_msg(strstr(err.msg, bad[i][1]) != NULL, "%s", err.msg);
    }
}
END_TEST

static struct scrub_rules *shape_rules(bool strict)
{
    static const char text[] =
        "[shape]\ntype = BADGE\ntier = 3\ngate = digits 6\n"
        "pattern = (?<!\\w)\\d{6}(?!\\w)\nexample = <<123456>>\n"
        "counter = 12345\n"
        "[context]\ntype = PASS\ntier = 2\ngate = digits 4\n"
        "pattern = (?<!\\w)\\d{4}(?!\\w)\ncontext = pass\n"
        "example = pass <<1234>>\ncounter = 1234\n";
    struct scrub_rules *r = scrub_rules_new();
    struct err err = { 0 };

    scrub_rules_set(r, &(struct scrub_settings){ .strict = strict });
    ck_assert_msg(scrub_rules_add(r, "t", slice_of(text), &err) == 0 &&
                      scrub_rules_finish(r, &err) == 0,
                  "%s", err.msg);
    return r;
}

START_TEST(a_shape_alone_is_reported_and_acts_only_when_strict)
{
    static const char in[] = "ids 123456 and 4321, pass 1234";
    struct slice document = slice_of(in);

    for (int strict = 0; strict < 2; strict++) {
        struct scrub_rules *r = shape_rules(strict);
        struct scrub_worker *w = scrub_worker_new(r, &key);
        struct buf out = { 0 }, tags = { 0 };
        struct err err = { 0 };
        size_t count, examples;

        ck_assert_int_eq(scrub_record(w, slice_of("s"), &document, 1, &out,
                                      NULL, &count, &err),
                         0);
        ck_assert_uint_eq(count, strict ? 3 : 1);
        ck_assert_uint_eq(scrub_reported(w, 0), strict ? 0 : 1);
        ck_assert_uint_eq(scrub_reported(w, 1), strict ? 0 : 1);
        scrub_tag_view(w, 0, document, &tags);
        ck_assert_str_eq(tags.data, strict
                                        ? "ids <BADGE> and <PASS>, pass <PASS>"
                                        : "ids 123456 and 4321, pass <PASS>");
        if (!strict)
            ck_assert_uint_eq(
                scrub_rules_check(r, &examples, print_failure, NULL), 0);
        buf_release(&out);
        buf_release(&tags);
        scrub_worker_free(w);
        scrub_rules_free(r);
    }
}
END_TEST

START_TEST(settings_are_part_of_the_version)
{
    struct scrub_rules *loose = shape_rules(false), *strict = shape_rules(true);

    ck_assert_str_ne(scrub_rules_version(loose), scrub_rules_version(strict));
    scrub_rules_free(loose);
    scrub_rules_free(strict);
}
END_TEST

START_TEST(overlapping_finds_leave_the_one_of_higher_priority)
{
    size_t count;
    char *out = scrub("amqp://ada:p4ss@word.example.org/x", &count);

    ck_assert_uint_eq(count, 2); /* user and password, no e-mail address */
    ck_assert_ptr_null(strstr(out, "ada"));
    ck_assert_ptr_null(strstr(out, "p4ss"));
    ck_assert_ptr_nonnull(strstr(out, "@word.example.org/x"));
    free(out);
}
END_TEST

START_TEST(a_match_at_the_end_of_a_window_is_seen_whole)
{
    struct buf b = { 0 };
    char *out;
    size_t count;

    buf_str(&b, "-----BEGIN PRIVATE KEY-----\n");
    for (int i = 0; i < 400; i++)
        buf_str(&b, "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n");
    buf_str(&b, "-----END PRIVATE KEY-----\n");
    out = scrub(b.data, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(strlen(out), b.len);
    ck_assert_ptr_null(strstr(out, "MIIEvQIBADAN"));
    buf_release(&b);
    free(out);
}
END_TEST

struct leak_seen {
    size_t count;
    char forms[256];
};

static void leak_found(void *ctx, size_t value, const char *form, size_t at)
{
    struct leak_seen *s = ctx;

    (void)value;
    (void)at;
    s->count++;
    if (strlen(s->forms) + strlen(form) + 2 < sizeof(s->forms))
        strcat(strcat(s->forms, form), ";");
}

static size_t leaks_in(const char *text, struct leak_seen *seen)
{
    struct slice values[2] = { slice_of("Ada \"L\" Love"),
                               slice_of("ada@love.org") };
    struct scrub_leaks *l = NULL;

    *seen = (struct leak_seen){ 0 };
    ck_assert_int_eq(scrub_leaks_new(values, 2, &l, NULL), 0);
    (void)scrub_leaks_search(l, slice_of(text), leak_found, seen, NULL);
    scrub_leaks_free(l);
    return seen->count;
}

START_TEST(leaks_are_seen_in_every_form)
{
    struct leak_seen seen;

    ck_assert_uint_eq(leaks_in("nothing of ad@love.org", &seen), 0);
    ck_assert_uint_eq(leaks_in("ADA@Love.ORG", &seen), 1);
    ck_assert_uint_eq(leaks_in("{\"a\":\"ada\\u0040love.org\"}", &seen), 1);
    ck_assert_uint_eq(leaks_in("{\"a\":\"{\\\"b\\\":\\\"ada\\\\u0040love.org"
                               "\\\"}\"}",
                               &seen),
                      1);
    ck_assert_uint_eq(leaks_in("cut {\"a\":\"Ada \\\"L\\\" Love", &seen), 1);
    ck_assert_uint_eq(leaks_in("mailto=ada%40love%2Eorg", &seen), 1);
    ck_assert_uint_eq(leaks_in("YWRhQGxvdmUub3Jn", &seen), 1);
    ck_assert_uint_eq(
        leaks_in("{\"t\":\"x eyJhIjoiYWRhQGxvdmUub3JnIn0= y\"}", &seen), 1);
    ck_assert_ptr_nonnull(strstr(seen.forms, "base64"));
}
END_TEST

START_TEST(short_leak_values_are_refused)
{
    struct slice v = slice_of("abc");
    struct scrub_leaks *l = NULL;
    struct err err = { 0 };

    ck_assert_int_eq(scrub_leaks_new(&v, 1, &l, &err), ERR_INVALID);
}
END_TEST

int main(void)
{
    TCase *c = suite_case("scrub", scrub_fixture_begin, scrub_fixture_end);

    tcase_add_test(c, every_rule_keeps_its_examples);
    tcase_add_test(c, one_value_has_one_surrogate_in_every_position);
    tcase_add_test(c, tokens_of_a_scrubbed_answer_are_dropped);
    tcase_add_test(c, bytes_that_are_not_replaced_stay);
    tcase_add_test(c, a_number_found_with_context_goes_where_it_has_none);
    tcase_add_test(c, an_escaped_key_is_a_position_too);
    tcase_add_test(c, an_account_named_like_the_address_follows_it);
    tcase_add_test(c, a_secret_found_by_its_key_goes_from_the_prompt);
    tcase_add_test(c, scopes_and_keys_separate_surrogates);
    tcase_add_test(c, surrogates_keep_check_digits_and_are_found_again);
    tcase_add_test(c, json_stays_json_and_values_go);
    tcase_add_test(c, catastrophic_rule_fails_closed);
    tcase_add_test(c, deep_nesting_fails_closed);
    tcase_add_test(c, bad_rules_name_file_line_and_fault);
    tcase_add_test(c, overlapping_finds_leave_the_one_of_higher_priority);
    tcase_add_test(c, a_shape_alone_is_reported_and_acts_only_when_strict);
    tcase_add_test(c, settings_are_part_of_the_version);
    tcase_add_test(c, a_match_at_the_end_of_a_window_is_seen_whole);
    tcase_add_test(c, leaks_are_seen_in_every_form);
    tcase_add_test(c, short_leak_values_are_refused);
    return suite_run("scrub", c);
}
