/* test_scoring.c - metrics against published rules and worked examples */
#include "suite.h"

#include "scoring/scoring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct slice S(const char *s) {
    return slice_of(s);
}

static struct score
text_score(enum score_kind kind, const char *ref, const char *got)
{
    struct buf a = { 0 }, b = { 0 };
    struct score s;

    score_message(S(ref), &a);
    score_message(S(got), &b);
    score_answer(kind,
                 &(struct score_pair){ .reference = buf_slice(&a),
                                       .answer = buf_slice(&b) },
                 1, &s);
    buf_release(&a);
    buf_release(&b);
    return s;
}

START_TEST(labels_forgive_form_not_content)
{
    ck_assert(
        text_score(SCORE_LABEL, "card_arrival", " Card_Arrival.\n").value == 1);
    ck_assert(
        text_score(SCORE_LABEL, "visual studio", "\"visual  studio\"").value ==
        1);
    ck_assert(text_score(SCORE_LABEL, "yes", "yes, it is").value == 0);
    ck_assert(!text_score(SCORE_LABEL, "yes", "  ").valid);
}
END_TEST

/* y_true = [0,1,2,0,1,2], y_pred = [0,2,1,0,0,1]: the example in scikit-learn's
 * documentation of f1_score, macro 0.2666... */
START_TEST(macro_f1_as_scikit_learn_documents_it)
{
    static const char *const truth[] = { "0", "1", "2", "0", "1", "2" };
    static const char *const guess[] = { "0", "2", "1", "0", "0", "1" };
    struct score_labels *l = score_labels_new();

    ck_assert(isnan(score_labels_macro_f1(l)));
    for (int i = 0; i < 6; i++)
        score_labels_add(l, S(truth[i]), S(guess[i]));
    ck_assert_double_eq_tol(score_labels_macro_f1(l), 0.26666666666, 1e-9);
    score_labels_free(l);
}
END_TEST

/* Lin 2004, section 3.1: S1 police killed the gunman. */
START_TEST(rouge_l_of_the_paper)
{
    struct slice s1 = S("police killed the gunman");

    ck_assert_double_eq(score_rouge_l(s1, S("police kill the gunman")), 0.75);
    ck_assert_double_eq(score_rouge_l(s1, S("the gunman kill police")), 0.5);
    ck_assert_double_eq(score_rouge_l(s1, S("the gunman police killed")), 0.5);
    ck_assert_double_eq(score_rouge_l(S(""), S("")), 1);
    ck_assert_double_eq(score_rouge_l(s1, S("")), 0);
}
END_TEST

START_TEST(token_f1_as_squad_normalises)
{
    ck_assert_double_eq(
        score_token_f1(S("The Eiffel Tower"), S("eiffel tower.")), 1);
    ck_assert_double_eq_tol(
        score_token_f1(S("the Eiffel Tower"), S("Eiffel tower in Paris")),
        2.0 / 3, 1e-12);
    ck_assert_double_eq(score_token_f1(S("U.S."), S("us")), 1);
    ck_assert_double_eq(score_token_f1(S("a"), S("the")), 1);
}
END_TEST

START_TEST(json_is_compared_in_canonical_form)
{
    struct score s = text_score(SCORE_JSON, "{\"a\": 1, \"b\": [\"x\"]}",
                                "{ \"b\":[\"x\"],\"a\":1.0 }");

    ck_assert(s.value == 1 && s.valid && s.f1 == 1);
    s = text_score(SCORE_JSON, "{\"a\": 1, \"b\": 2}", "{\"a\": 1, \"b\": 3}");
    ck_assert(s.value == 0 && s.valid);
    ck_assert_double_eq(s.f1, 0.5);
    ck_assert_str_eq(s.reason, "value_differs");
    s = text_score(SCORE_JSON, "[\"a\", \"b\"]", "[\"b\", \"a\"]");
    ck_assert(s.value == 0 && s.f1 == 1);
    ck_assert_str_eq(s.reason, "order_differs");
    s = text_score(SCORE_JSON, "{\"a\":1,\"b\":{\"c\":2}}", "{\"a\":1");
    ck_assert(s.value == 0 && !s.valid && s.fields.fn == 2);
    ck_assert_str_eq(s.reason, "invalid_json");
}
END_TEST

START_TEST(json_fence_counts_only_where_the_reference_has_one)
{
    ck_assert(text_score(SCORE_JSON, "[1]", "```json\n[1]\n```").value == 0);
    ck_assert(
        text_score(SCORE_JSON, "```\n[1]\n```", "```json\n[ 1]\n```").value ==
        1);
}
END_TEST

static const char tools[] =
    "{\"messages\":[],\"tools\":[{\"type\":\"function\",\"function\":{"
    "\"name\":\"geo.area\",\"parameters\":{\"type\":\"object\","
    "\"required\":[\"base\",\"height\"],\"properties\":{"
    "\"base\":{\"type\":\"integer\"},\"height\":{\"type\":\"number\"},"
    "\"unit\":{\"type\":\"string\",\"default\":\"m\"},"
    "\"tags\":{\"type\":\"array\"},\"deep\":{\"type\":\"object\"}}}}}]}";

/* One call of geo.area, or what `raw` says instead. */
static char *call_json(const char *name, const char *arguments)
{
    struct buf b = { 0 };

    buf_str(&b, "{\"type\":\"function\",\"function\":{\"name\":");
    buf_printf(&b, "\"%s\",\"arguments\":", name);
    buf_char(&b, '"');
    for (const char *p = arguments; *p; p++)
        buf_printf(&b, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
    buf_str(&b, "\"}}");
    return buf_take(&b, NULL);
}

static struct score calls_score(const char *const *ref, const char *const *got,
                                bool malformed)
{
    struct buf m[2] = { 0 };
    const char *const *side[2] = { ref, got };
    struct score s;

    for (int k = 0; k < 2; k++) {
        buf_str(&m[k], "{\"role\":\"assistant\",\"content\":null,"
                       "\"tool_calls\":[");
        for (int i = 0; side[k][i]; i += 2) {
            char *c = call_json(side[k][i], side[k][i + 1]);

            buf_printf(&m[k], "%s%s", i ? "," : "", c);
            free(c);
        }
        buf_str(&m[k], "]}");
    }
    score_answer(SCORE_TOOL,
                 &(struct score_pair){ S(tools), buf_slice(&m[0]),
                                       buf_slice(&m[1]), malformed },
                 1, &s);
    buf_release(&m[0]);
    buf_release(&m[1]);
    return s;
}

#define REF "{\"base\": 10, \"height\": 5}"

START_TEST(call_match_by_bfcl_rules)
{
    static const struct {
        const char *name, *arguments, *reason;
    } cases[] = {
        { "geo.area", REF, "" },
        { "geo_area", "{\"height\":5.0,\"base\":10}", "" },
        { "geo.area", "{\"base\":10,\"height\":5,\"unit\":\"M\"}", "" },
        { "geo.perimeter", REF, "wrong_func_name" },
        { "geo.area", "{\"base\":10}", "missing_required" },
        { "geo.area", "{\"base\":10,\"height\":5,\"unit\":\"cm\"}",
          "unexpected_param" },
        { "geo.area", "{\"base\":10,\"height\":5,\"colour\":\"red\"}",
          "unexpected_param" },
        { "geo.area", "{\"base\":\"10\",\"height\":5}", "type_error" },
        { "geo.area", "{\"base\":true,\"height\":5}", "type_error" },
        { "geo.area", "{\"base\":10.5,\"height\":5}", "type_error" },
        { "geo.area", "{\"base\":10.0,\"height\":5}", "type_error" },
        { "geo.area", "{\"base\":11,\"height\":5}", "value_error" },
    };
    const char *ref[] = { "geo.area", REF, NULL };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *got[] = { cases[i].name, cases[i].arguments, NULL };
        struct score s = calls_score(ref, got, false);

        ck_assert_str_eq(s.reason, cases[i].reason);
        ck_assert(s.value == (cases[i].reason[0] ? 0 : 1));
        ck_assert_int_eq(s.act, SCORE_CALL);
    }
}
END_TEST

/* Whatever the log holds, its author agrees with it. */
START_TEST(odd_references_match_themselves)
{
    static const char *const odd[] = { "{}", "{\"base\":\"x\"}",
                                       "{\"colour\":\"red\"}",
                                       "{\"base\":null,\"height\":true}" };

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        const char *call[] = { "geo.area", odd[i], NULL };

        ck_assert_str_eq(calls_score(call, call, false).reason, "");
    }
}
END_TEST

START_TEST(call_strings_lists_and_objects)
{
    const char *ref[] = { "geo.area",
                          "{\"base\":1,\"height\":2,\"unit\":\"New-York, "
                          "N.Y.\",\"tags\":[\"a b\",2],\"deep\":{\"x\":[1,{\"y"
                          "\":\"Z\"}]}}",
                          NULL };
    const char *same[] = { "geo.area",
                           "{\"deep\":{\"x\":[1,{\"y\":\"z\"}]},\"tags\":["
                           "\"A_b\",2.0],\"unit\":\"new york "
                           "ny\",\"base\":1,\"height\":2}",
                           NULL };
    const char *order[] = { "geo.area",
                            "{\"base\":1,\"height\":2,\"unit\":\"new york "
                            "ny\",\"tags\":[2,\"a b\"],\"deep\":{\"x\":[1,{\"y"
                            "\":\"Z\"}]}}",
                            NULL };
    const char *deep[] = { "geo.area",
                           "{\"base\":1,\"height\":2,\"unit\":\"new york "
                           "ny\",\"tags\":[\"a b\",2],\"deep\":{\"x\":[1,{\"y"
                           "\":\"W\"}]}}",
                           NULL };

    ck_assert_str_eq(calls_score(ref, same, false).reason, "");
    ck_assert_str_eq(calls_score(ref, order, false).reason, "value_error_list");
    ck_assert_str_eq(calls_score(ref, deep, false).reason, "value_error_dict");
}
END_TEST

START_TEST(parallel_calls_in_any_order)
{
    const char *ref[] = { "geo.area", REF, "geo.area",
                          "{\"base\":1,\"height\":1}", NULL };
    const char *swapped[] = { "geo.area", "{\"base\":1,\"height\":1}",
                              "geo.area", REF, NULL };
    const char *twice[] = { "geo.area", REF, "geo.area", REF, NULL };
    const char *one[] = { "geo.area", REF, NULL };
    struct score s = calls_score(ref, swapped, false);

    ck_assert(s.value == 1 && s.fields.tp == 2);
    s = calls_score(ref, twice, false);
    ck_assert_str_eq(s.reason, "cannot_find_match");
    ck_assert(s.fields.tp == 1 && s.fields.fp == 1 && s.fields.fn == 1);
    ck_assert_str_eq(calls_score(ref, one, false).reason, "wrong_count");
}
END_TEST

/* gorilla #1362: an irrelevance test must not credit a broken call. */
START_TEST(malformed_call_is_never_a_correct_abstention)
{
    const char *none[] = { NULL };
    const char *broken[] = { "geo.area", "{\"base\":", NULL };
    struct score s = calls_score(none, none, true);

    ck_assert(s.value == 0 && s.act == SCORE_MALFORMED && !s.valid);
    s = calls_score(none, broken, false);
    ck_assert(s.value == 0 && s.act == SCORE_MALFORMED);
    ck_assert_str_eq(s.reason, "malformed_call");
    s = text_score(SCORE_TOOL, "I cannot do that.",
                   "<tool_call>{\"name\": \"geo.area\"");
    ck_assert(s.value == 0 && s.act == SCORE_MALFORMED);
    s = text_score(SCORE_TOOL, "I cannot do that.", "Sorry, no.");
    ck_assert(s.value == 1 && s.act == SCORE_ABSTAIN);
}
END_TEST

START_TEST(call_where_none_was_wanted_and_the_reverse)
{
    const char *none[] = { NULL };
    const char *one[] = { "geo.area", REF, NULL };

    ck_assert_str_eq(calls_score(none, one, false).reason, "unwanted_call");
    ck_assert_str_eq(calls_score(one, none, false).reason, "no_call");
}
END_TEST

/* Two empty contents are equal texts; two different calls are not. */
START_TEST(calls_are_compared_in_tasks_of_every_kind)
{
    static const char *const calls[] = {
        "{\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{}"
        "\"}}]}",
        "{\"tool_calls\":[{\"function\":{\"name\":\"g\",\"arguments\":\"{}"
        "\"}}]}",
        "{\"content\":\"\"}",
    };
    struct score s;

    for (int k = 0; k < SCORE_KINDS; k++)
        for (int i = 0; i < 9; i++) {
            if (i == 8)
                continue; /* no call on either side */
            score_answer((enum score_kind)k,
                         &(struct score_pair){ .reference = S(calls[i / 3]),
                                               .answer = S(calls[i % 3]) },
                         1, &s);
            ck_assert(s.value == (i / 3 == i % 3 ? 1 : 0));
            ck_assert_str_eq(s.method, "call");
        }
}
END_TEST

START_TEST(unreadable_sides_are_told_apart)
{
    struct score s;

    score_answer(SCORE_LABEL,
                 &(struct score_pair){ .reference = S("nonsense"),
                                       .answer = S("{\"content\":\"a\"}") },
                 1, &s);
    ck_assert(isnan(s.value));
    score_answer(SCORE_LABEL,
                 &(struct score_pair){ .reference = S("{\"content\":\"a\"}"),
                                       .answer = S("nonsense") },
                 1, &s);
    ck_assert(s.value == 0);
    ck_assert_str_eq(s.reason, "unreadable");
}
END_TEST

START_TEST(content_parts_are_joined)
{
    struct buf b = { 0 };

    ck_assert(score_content(S("{\"content\":[{\"type\":\"text\",\"text\":\"a"
                              "\"},{\"type\":\"text\",\"text\":\"b\"}]}"),
                            &b));
    ck_assert_str_eq(b.data, "ab");
    buf_release(&b);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("scoring");

    tcase_add_test(t, labels_forgive_form_not_content);
    tcase_add_test(t, macro_f1_as_scikit_learn_documents_it);
    tcase_add_test(t, rouge_l_of_the_paper);
    tcase_add_test(t, token_f1_as_squad_normalises);
    tcase_add_test(t, json_is_compared_in_canonical_form);
    tcase_add_test(t, json_fence_counts_only_where_the_reference_has_one);
    tcase_add_test(t, call_match_by_bfcl_rules);
    tcase_add_test(t, odd_references_match_themselves);
    tcase_add_test(t, call_strings_lists_and_objects);
    tcase_add_test(t, parallel_calls_in_any_order);
    tcase_add_test(t, malformed_call_is_never_a_correct_abstention);
    tcase_add_test(t, call_where_none_was_wanted_and_the_reverse);
    tcase_add_test(t, calls_are_compared_in_tasks_of_every_kind);
    tcase_add_test(t, unreadable_sides_are_told_apart);
    tcase_add_test(t, content_parts_are_joined);
    return suite_run("scoring", t);
}
