/* test_scoring_extra.c - what is shown beside the primary metric */
#include "suite.h"

#include "scoring/scoring.h"

#include <math.h>

static struct slice S(const char *s) {
    return slice_of(s);
}

/* sacrebleu 2, CHRF().sentence_score(answer, [reference]). */
START_TEST(chrf_as_sacrebleu_computes_it)
{
    ck_assert_double_eq_tol(score_chrf(S("The cat is sitting on the mat."),
                                       S("The cat sat on the mat.")),
                            0.496485170311433, 1e-12);
    ck_assert_double_eq_tol(score_chrf(S("abd"), S("abc")), 0.38888888888888886,
                            1e-12);
    ck_assert_double_eq_tol(
        score_chrf(S("hello world"), S("h\xc3\xa9llo w\xc3\xb6rld")),
        0.31223544973544975, 1e-12);
    ck_assert_double_eq_tol(score_chrf(S("abcdefgh"), S("a")),
                            0.15151515151515152, 1e-12);
    ck_assert_double_eq(score_chrf(S("same text"), S("same text")), 1);
    ck_assert_double_eq(score_chrf(S("a"), S("")), 0);
    ck_assert_double_eq(score_chrf(S(" "), S("")), 1);
}
END_TEST

/* 1 - C(7, 3) / C(10, 3) = 1 - 35/120. */
START_TEST(pass_at_k_without_replacement)
{
    ck_assert_double_eq_tol(score_pass_at_k(10, 3, 3), 1 - 35.0 / 120, 1e-12);
    ck_assert_double_eq_tol(score_pass_at_k(10, 3, 1), 0.3, 1e-12);
    ck_assert_double_eq(score_pass_at_k(10, 0, 5), 0);
    ck_assert_double_eq(score_pass_at_k(10, 6, 5), 1);
}
END_TEST

START_TEST(labels_mistaken_most_often_first)
{
    static const char *const truth[] = { "a", "b", "a", "c", "a", "B" };
    static const char *const guess[] = { "b", "a", "B", "c", "c", "b" };
    struct score_labels *l = score_labels_new();
    struct score_confusion pairs[4];

    for (int i = 0; i < 6; i++)
        score_labels_add(l, S(truth[i]), S(guess[i]));
    ck_assert_uint_eq(score_labels_pairs(l, pairs, 4), 3);
    ck_assert(slice_is(pairs[0].reference, "a") &&
              slice_is(pairs[0].answer, "b") && pairs[0].count == 2);
    ck_assert(slice_is(pairs[1].reference, "a") &&
              slice_is(pairs[1].answer, "c") && pairs[1].count == 1);
    ck_assert_uint_eq(score_labels_pairs(l, pairs, 1), 1);
    score_labels_free(l);
}
END_TEST

#define CALL(name, arguments)                                                  \
    "{\"function\":{\"name\":\"" name "\",\"arguments\":\"" arguments "\"}}"

static struct score_more more_of(const char *ref, const char *got)
{
    struct score_pair pair = { .reference = S(ref), .answer = S(got) };
    struct score_more m;
    struct score s;

    score_answer(SCORE_TOOL, &pair, 1, &s);
    score_more(&pair, &s, &m);
    return m;
}

START_TEST(calls_by_their_names_and_the_rest)
{
    const char *two =
        "{\"tool_calls\":[" CALL("f", "{}") "," CALL("g", "{}") "]}";
    const char *swapped =
        "{\"tool_calls\":[" CALL("g", "{}") "," CALL("f", "{\\\"a\\\":1}") "]}";
    struct score_more m = more_of(two, two);

    ck_assert(m.name == 1 && m.arguments == 1 && isnan(m.chrf));
    m = more_of(two, swapped);
    ck_assert(m.name == 1 && m.arguments == 0);
    m = more_of(two, "{\"content\":\"no\"}");
    ck_assert(m.name == 0 && isnan(m.arguments));
    m = more_of("{\"content\":\"no\"}", two);
    ck_assert(isnan(m.name));
}
END_TEST

START_TEST(refusals_are_told_by_how_they_begin)
{
    struct score_more m = more_of("{\"content\":\"Paris\"}",
                                  "{\"content\":\" I'm sorry, but no.\"}");

    ck_assert(m.refused && m.length_ratio > 3);
    m = more_of("{\"content\":\"I cannot say.\"}",
                "{\"content\":\"I cannot tell.\"}");
    ck_assert(!m.refused);
    m = more_of("{\"content\":\"\"}", "{\"content\":\"x\"}");
    ck_assert(isnan(m.length_ratio) && m.chrf == 0);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("scoring_extra");

    tcase_add_test(t, chrf_as_sacrebleu_computes_it);
    tcase_add_test(t, pass_at_k_without_replacement);
    tcase_add_test(t, labels_mistaken_most_often_first);
    tcase_add_test(t, calls_by_their_names_and_the_rest);
    tcase_add_test(t, refusals_are_told_by_how_they_begin);
    return suite_run("scoring_extra", t);
}
