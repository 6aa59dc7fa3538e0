/* test_evaluate_telling.c - which disagreements are shown first */
#include "suite.h"

#include "evaluate/evaluate.h"

#include <math.h>

static void item_set(struct evaluate_item *it, double value, const char *reason,
                     const char *answer)
{
    it->scores[EVALUATE_TUNED] =
        (struct score){ .value = value, .reason = reason };
    buf_str(&it->logged, "{\"content\":\"one two three\"}");
    buf_printf(&it->answers[EVALUATE_TUNED], "{\"content\":\"%s\"}", answer);
}

START_TEST(one_of_each_reason_in_turn_the_furthest_first)
{
    struct evaluate_item items[7] = { { .example = 0 } };
    struct evaluate_result r = { .items = items,
                                 .count = 7,
                                 .kind = SCORE_LABEL,
                                 .reasons = { { "differs", 4 },
                                              { "empty", 1 } },
                                 .reason_count = 2 };
    size_t out[7];

    item_set(&items[0], 1, "", "one two three");
    item_set(&items[1], .5, "differs", "one two");
    item_set(&items[2], 0, "differs", "one two four");
    item_set(&items[3], 0, "differs", "seven");
    item_set(&items[4], 0, "empty", "");
    item_set(&items[5], (double)NAN, "reference_unreadable", "");
    item_set(&items[6], 0, "differs", "seven");
    ck_assert_uint_eq(evaluate_telling(&r, out, 7), 5);
    ck_assert_uint_eq(out[0], 3); /* the frequent reason, no word in common */
    ck_assert_uint_eq(out[1], 4); /* the other reason */
    ck_assert_uint_eq(out[2], 6);
    ck_assert_uint_eq(out[3], 2);
    ck_assert_uint_eq(out[4], 1);
    ck_assert_uint_eq(evaluate_telling(&r, out, 2), 2);
    ck_assert_uint_eq(out[1], 4);
    ck_assert_uint_eq(evaluate_telling(&r, out, 0), 0);
    for (size_t i = 0; i < 7; i++) {
        buf_release(&items[i].logged);
        buf_release(&items[i].answers[EVALUATE_TUNED]);
    }
}
END_TEST

START_TEST(labels_of_one_side_beside_the_references)
{
    struct evaluate_item items[2] = { { .example = 0 } };
    struct evaluate_result r = { .items = items, .count = 2 };
    struct score_confusion pairs[2];
    struct score_labels *l;

    item_set(&items[0], 0, "differs", "four");
    item_set(&items[1], 1, "", "one two three");
    l = evaluate_labels(&r, EVALUATE_TUNED);
    ck_assert_uint_eq(score_labels_pairs(l, pairs, 2), 1);
    ck_assert(slice_is(pairs[0].reference, "one two three"));
    ck_assert(slice_is(pairs[0].answer, "four"));
    score_labels_free(l);
    for (size_t i = 0; i < 2; i++) {
        buf_release(&items[i].logged);
        buf_release(&items[i].answers[EVALUATE_TUNED]);
    }
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("evaluate_telling");

    tcase_add_test(t, one_of_each_reason_in_turn_the_furthest_first);
    tcase_add_test(t, labels_of_one_side_beside_the_references);
    return suite_run("evaluate_telling", t);
}
