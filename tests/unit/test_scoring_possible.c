/* test_scoring_possible.c - calls against lists of possible answers, by the
 * rules that BFCL states for its AST check */
#include "suite.h"

#include "scoring/scoring.h"

#include <math.h>

#define F(name, properties, required)                                          \
    "{\"type\":\"function\",\"function\":{\"name\":\"" name                    \
    "\",\"parameters\":{\"type\":\"dict\",\"properties\":{" properties         \
    "},\"required\":[" required "]}}}"

static const char tools[] = "{\"tools\":[" F(
    "geo_area",
    "\"base\":{\"type\":\"integer\"},\"unit\":{\"type\":\"string\"},"
    "\"scale\":{\"type\":\"float\"},\"flag\":{\"type\":\"boolean\"}",
    "\"base\"") "," F("put",
                      "\"rows\":{\"type\":\"array\",\"items\":{\"type\":"
                      "\"dict\"}},\"tags\":{\"type\":\"array\",\"items\":{"
                      "\"type\":\"string\"}},\"meta\":{\"type\":\"dict\"},"
                      "\"any\":{\"type\":\"any\"}",
                      "") "]}";

#define AREA                                                                   \
    "[{\"geo.area\":{\"base\":[10],\"unit\":[\"sq. cm\",\"\"],"                \
    "\"scale\":[1.0,\"\"],\"flag\":[true,\"\"]}}]"

static struct score possible_score(const char *possible, const char *answer,
                                   enum score_order order, bool malformed)
{
    struct score_pair pair = { .request = slice_of(tools),
                               .answer = slice_of(answer),
                               .malformed = malformed };
    struct score s;

    score_possible(&pair, slice_of(possible), order, &s);
    return s;
}

/* calls: name and arguments, NULL after the last. */
static struct score calls_score(const char *possible, enum score_order order,
                                const char *const *calls)
{
    struct buf b = { 0 };
    struct score s;

    buf_str(&b, "{\"role\":\"assistant\",\"tool_calls\":[");
    for (; *calls; calls += 2)
        buf_printf(&b,
                   "%s{\"type\":\"function\",\"function\":{\"name\":\"%s\","
                   "\"arguments\":%s}}",
                   b.data[b.len - 1] == '[' ? "" : ",", calls[0], calls[1]);
    buf_str(&b, "]}");
    s = possible_score(possible, b.data, order, false);
    buf_release(&b);
    return s;
}

static void one_is(const char *possible, const char *name,
                   const char *arguments, const char *reason)
{
    const char *const calls[] = { name, arguments, NULL };
    struct score s = calls_score(possible, SCORE_ONE_CALL, calls);

    ck_assert_msg(strcmp(s.reason, reason) == 0, "%s: %s, not %s", arguments,
                  s.reason, reason);
    ck_assert(s.value == (reason[0] ? 0 : 1));
    ck_assert(s.valid);
}

START_TEST(scalars_by_type_and_form)
{
    one_is(AREA, "geo_area", "{\"base\":10}", "");
    one_is(AREA, "geo_area", "{\"base\":10,\"unit\":\"SQ CM\"}", "");
    one_is(AREA, "geo_area", "{\"base\":10,\"scale\":1}", "");
    one_is(AREA, "geo_area", "{\"base\":10,\"flag\":true}", "");
    one_is(AREA, "geo_area", "{\"base\":10.0}", "type_error");
    one_is(AREA, "geo_area", "{\"base\":true}", "type_error");
    one_is(AREA, "geo_area", "{\"base\":\"10\"}", "type_error");
    one_is(AREA, "geo_area", "{\"base\":11}", "value_error");
    one_is(AREA, "geo_area", "{\"base\":10,\"flag\":1}", "type_error");
    one_is(AREA, "geo_area", "{\"base\":10,\"unit\":\"cm\"}",
           "value_error_string");
}
END_TEST

START_TEST(names_and_parameters_in_their_order)
{
    one_is(AREA, "geo.area", "{\"base\":10}", "wrong_func_name");
    one_is(AREA, "put", "{}", "wrong_func_name");
    one_is(AREA, "geo_area", "{\"unit\":7}", "missing_required");
    one_is(AREA, "geo_area", "{\"base\":10,\"x\":1}", "unexpected_param");
    /* in the schema and not among the possible, or the reverse */
    one_is("[{\"geo.area\":{\"base\":[10]}}]", "geo_area",
           "{\"base\":10,\"unit\":\"m\"}", "unexpected_param");
    one_is("[{\"geo.area\":{\"base\":[10],\"unit\":[\"m\"]}}]", "geo_area",
           "{\"base\":10}", "missing_optional");
}
END_TEST

/* A variable's name stands where a number belongs: compared as it is. */
START_TEST(type_of_the_first_allowed_value_counts_too)
{
    const char *p = "[{\"geo.area\":{\"base\":[\"a_b\",7]}}]";

    one_is(p, "geo_area", "{\"base\":\"a_b\"}", "");
    one_is(p, "geo_area", "{\"base\":\"A b\"}", "value_error");
    one_is(p, "geo_area", "{\"base\":7}", "");
    one_is(p, "geo_area", "{\"base\":[7]}", "type_error");
    one_is("[{\"put\":{\"any\":[5.0]}}]", "put", "{\"any\":5.0}", "");
    one_is("[{\"put\":{\"any\":[5.0]}}]", "put", "{\"any\":5}", "type_error");
}
END_TEST

START_TEST(lists_keep_their_order_and_one_level)
{
    const char *p = "[{\"put\":{\"tags\":[[\"New York\",\"b\"],\"\"]}}]";

    one_is(p, "put", "{}", "");
    one_is(p, "put", "{\"tags\":[\"new-york\",\"B\"]}", "");
    one_is(p, "put", "{\"tags\":[]}", ""); /* "" is an empty list, too */
    one_is(p, "put", "{\"tags\":[\"b\",\"New York\"]}", "value_error_list");
    one_is("[{\"put\":{\"tags\":[[\"a\"]]}}]", "put", "{\"tags\":[1]}",
           "type_error_nested");
    one_is(p, "put", "{\"tags\":\"New York\"}", "type_error");
}
END_TEST

START_TEST(objects_hold_lists_of_allowed_values)
{
    const char *p = "[{\"put\":{\"meta\":[\"\",{\"k\":[\"A.B\",1],"
                    "\"o\":[2,\"\"]}]}}]";

    one_is(p, "put", "{\"meta\":{\"k\":\"ab\"}}", "");
    one_is(p, "put", "{\"meta\":{\"k\":1,\"o\":2}}", "");
    one_is(p, "put", "{\"meta\":{\"k\":2}}", "value_error_dict_value");
    one_is(p, "put", "{\"meta\":{\"o\":2}}", "value_error_dict_key");
    one_is(p, "put", "{\"meta\":{\"k\":1,\"z\":2}}", "value_error_dict_key");
    one_is("[{\"put\":{\"meta\":[\"\"]}}]", "put", "{\"meta\":{}}",
           "value_error_dict");
}
END_TEST

START_TEST(objects_in_lists_keep_their_places)
{
    const char *p = "[{\"put\":{\"rows\":[[{\"k\":[1]},{\"k\":[2]}]]}}]";

    one_is(p, "put", "{\"rows\":[{\"k\":1},{\"k\":2}]}", "");
    one_is(p, "put", "{\"rows\":[{\"k\":2},{\"k\":1}]}",
           "value_error_dict_value");
    one_is(p, "put", "{\"rows\":[{\"k\":1}]}", "value_error_list_count");
    one_is("[{\"put\":{\"rows\":[[{\"k\":[1]}],\"\"]}}]", "put",
           "{\"rows\":[]}", "");
}
END_TEST

START_TEST(several_calls_in_any_order)
{
    const char *p = "[{\"geo.area\":{\"base\":[1]}},{\"geo.area\":{\"base\":"
                    "[2]}}]";
    const char *const swapped[] = { "geo_area", "{\"base\":2}", "geo_area",
                                    "{\"base\":1}", NULL };
    const char *const twice[] = { "geo_area", "{\"base\":1}", "geo_area",
                                  "{\"base\":1}", NULL };
    const char *const less[] = { "geo_area", "{\"base\":1}", NULL };
    struct score s = calls_score(p, SCORE_ANY_ORDER, swapped);

    ck_assert(s.value == 1 && s.fields.tp == 2);
    s = calls_score(p, SCORE_ANY_ORDER, twice);
    ck_assert_str_eq(s.reason, "cannot_find_match");
    ck_assert(s.fields.tp == 1 && s.fields.fp == 1 && s.fields.fn == 1);
    s = calls_score(p, SCORE_ANY_ORDER, less);
    ck_assert_str_eq(s.reason, "wrong_count");
    ck_assert(s.value == 0 && s.fields.fn == 1);
}
END_TEST

/* gorilla's issue 1362: what could not be decoded was credited as a correct
 * abstention. */
START_TEST(malformed_calls_are_never_right)
{
    const char *text = "{\"content\":\"no\"}";
    const char *broken = "{\"content\":\"<tool_call>{\\\"name\\\":\"}";
    struct score s = possible_score("[]", text, SCORE_ONE_CALL, false);

    ck_assert(s.value == 1 && s.act == SCORE_ABSTAIN);
    s = possible_score("[]", broken, SCORE_ONE_CALL, false);
    ck_assert(s.value == 0 && s.act == SCORE_MALFORMED && !s.valid);
    ck_assert_str_eq(s.reason, "malformed_call");
    s = possible_score("[]", text, SCORE_ONE_CALL, true);
    ck_assert_str_eq(s.reason, "malformed_call");
    s = possible_score(AREA, text, SCORE_ONE_CALL, false);
    ck_assert_str_eq(s.reason, "wrong_count");
    s = possible_score(
        "[]", "{\"tool_calls\":[{\"function\":{\"name\":\"geo_area\"}}]}",
        SCORE_ONE_CALL, false);
    ck_assert_str_eq(s.reason, "unwanted_call");
}
END_TEST

START_TEST(unreadable_lists_decide_nothing)
{
    static const char *const lists[] = { "{}", "[1]", "[{}]", "[{\"f\":1}]",
                                         "[" };

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        struct score s = possible_score(lists[i], "{\"content\":\"\"}",
                                        SCORE_ANY_ORDER, false);

        ck_assert(isnan(s.value));
        ck_assert_str_eq(s.reason, "reference_unreadable");
    }
}
END_TEST

START_TEST(letters_beyond_ascii_are_lowered)
{
    const char *p = "[{\"put\":{\"any\":[\"\xc3\x89t\xc3\xa9\"]}}]";

    one_is(p, "put", "{\"any\":\"\xc3\xa9T\xc3\x89\"}", "");
    one_is(p, "put", "{\"any\":\"ete\"}", "value_error_string");
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("scoring_possible");

    tcase_add_test(t, scalars_by_type_and_form);
    tcase_add_test(t, names_and_parameters_in_their_order);
    tcase_add_test(t, type_of_the_first_allowed_value_counts_too);
    tcase_add_test(t, lists_keep_their_order_and_one_level);
    tcase_add_test(t, objects_hold_lists_of_allowed_values);
    tcase_add_test(t, objects_in_lists_keep_their_places);
    tcase_add_test(t, several_calls_in_any_order);
    tcase_add_test(t, malformed_calls_are_never_right);
    tcase_add_test(t, unreadable_lists_decide_nothing);
    tcase_add_test(t, letters_beyond_ascii_are_lowered);
    return suite_run("scoring_possible", t);
}
