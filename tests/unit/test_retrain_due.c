/* test_retrain_due.c - which tasks are due for training, and why */
#include "retrain_fixture.h"

START_TEST(first_training_waits_for_examples)
{
    add_calls(1, 199, 1, "0");
    ck_assert_str_eq(why(), "none");
    add_calls(200, 200, 1, "0");
    ck_assert_str_eq(why(), "never_trained");
    ck_assert_int_eq(due().fresh, 200);
}
END_TEST

START_TEST(only_what_no_data_set_has_seen_is_new)
{
    add_calls(1, 300, 1, "0");
    add_model(2, 300, 1);
    ck_assert_str_eq(why(), "none");
    add_calls(301, 499, 1, "0");
    ck_assert_str_eq(why(), "none");
    ck_assert_int_eq(due().fresh, 199);
    add_calls(500, 500, 1, "0");
    ck_assert_str_eq(why(), "new_examples");
}
END_TEST

START_TEST(drift_is_longer_prompts_not_chance)
{
    struct retrain_due d;

    add_calls(1, 300, 1, "0");
    add_model(2, 300, 1);
    add_calls(301, 380, 1, "0");
    d = due();
    ck_assert_int_eq(d.why, RETRAIN_BY_none);
    ck_assert_double_le(d.psi, policy.psi);
    add_calls(381, 460, 3, "0.3");
    d = due();
    ck_assert_int_eq(d.why, RETRAIN_BY_drift);
    ck_assert_str_eq(d.moved, "prompt length");
    ck_assert_double_gt(d.psi, d.psi_chance);
}
END_TEST

START_TEST(a_few_calls_say_nothing_of_drift)
{
    add_calls(1, 300, 1, "0");
    add_model(2, 300, 1);
    add_calls(301, 349, 9, "1");
    ck_assert_str_eq(why(), "none");
    ck_assert(isnan(due().psi));
    ck_assert(isnan(due().novel_share));
    add_calls(350, 350, 9, "1");
    ck_assert_str_eq(why(), "novelty");
    policy.novel = 1;
    ck_assert_str_eq(why(), "drift");
}
END_TEST

START_TEST(what_a_refused_candidate_saw_does_not_ask_again)
{
    add_calls(1, 300, 1, "0");
    add_model(2, 300, 2);
    add_evaluation(1, 2, 95, "pass");
    must_exec("INSERT INTO champion VALUES(1, 2, 0, 0)");
    add_calls(301, 460, 3, "0");
    ck_assert_str_eq(why(), "drift");
    add_model(3, 460, 1);
    ck_assert_int_eq(due().model, 2);
    ck_assert_str_eq(why(), "none");
}
END_TEST

START_TEST(calls_unlike_the_known_are_novelty)
{
    add_calls(1, 300, 1, "0");
    add_model(2, 300, 1);
    add_calls(301, 400, 1, "0.6 * (id % 25 = 0)");
    ck_assert_str_eq(why(), "none");
    ck_assert_double_eq_tol(due().novel_share, 0.04, 1e-9);
    add_calls(401, 410, 1, "0.9");
    ck_assert_str_eq(why(), "novelty");
}
END_TEST

/* With a model in front of the LLM, most calls are no examples. */
START_TEST(calls_that_a_model_answered_count_for_drift)
{
    char text[400];

    add_calls(1, 300, 1, "0.001 * (id % 10)");
    add_model(2, 300, 1);
    add_calls(301, 310, 1, "0");
    ck_assert(isnan(due().novel_share));
    (void)snprintf(text, sizeof(text),
                   "INSERT INTO decision(key, time, task, model, went, reason, "
                   "novelty) SELECT CAST(id AS BLOB), %lld, 1, 2, 'slm', '', "
                   "0.2 FROM example WHERE id <= 90",
                   (long long)clock_wall_us());
    must_exec(text);
    ck_assert_str_eq(why(), "drift");
    ck_assert_str_eq(due().moved, "novelty");
    must_exec("UPDATE decision SET novelty = 0"); /* the familiar is answered */
    ck_assert_str_eq(why(), "none");
    must_exec("UPDATE decision SET novelty = 0.2");
    must_exec("UPDATE decision SET novelty = 0.7 WHERE id <= 30");
    ck_assert_str_eq(why(), "novelty");
    ck_assert_double_eq_tol(due().novel_share, 0.3, 1e-9);
    must_exec("UPDATE decision SET went = 'shadow'"); /* is in the log, too */
    ck_assert_str_eq(why(), "none");
    must_exec("UPDATE decision SET went = 'slm', task = 3; INSERT INTO "
              "task(id, name, label, kind, created, merged_into) VALUES(3, "
              "'old', '', 'label', 0, 1)");
    ck_assert_str_eq(why(), "novelty");
}
END_TEST

/* Each night again, for a stock of old calls outweighs what is new. */
START_TEST(drift_that_was_learnt_does_not_ask_again)
{
    add_calls(1, 1000, 1, "0");
    add_model(2, 1000, 2);
    add_calls(1001, 1080, 3, "0");
    ck_assert_str_eq(why(), "drift");
    add_model(3, 1080, 1);
    add_calls(1081, 1260, 3, "0"); /* more of them than it learnt */
    ck_assert_str_eq(why(), "none");
    add_model(4, 1260, 0);
    add_calls(1261, 1340, 9, "0");
    ck_assert_str_eq(why(), "drift");
}
END_TEST

/* Calls of a conversation are alike: few of those prove nothing. */
START_TEST(few_conversations_are_chance)
{
    add_calls(1, 300, 1, "0");
    must_exec("UPDATE example SET groups = 'g' || (id / 60)");
    add_model(2, 300, 1);
    add_calls(301, 360, 2, "0");
    must_exec("UPDATE example SET groups = 'h' WHERE id > 300");
    ck_assert_str_eq(why(), "none");
    must_exec("UPDATE example SET groups = 'i' || id");
    ck_assert_str_eq(why(), "drift");
}
END_TEST

START_TEST(a_mix_of_tasks_that_moved_is_told)
{
    double psi = 0, chance = 0;

    add_calls(1, 300, 1, "0");
    must_exec("UPDATE example SET task = 2 WHERE id % 3 = 0");
    ck_assert_int_eq(retrain_mix(s, &psi, &chance, &err), 0);
    ck_assert(isnan(psi)); /* nothing was ever trained */
    must_exec("INSERT INTO retrain_run(id, started, finished, high, policy, "
              "outcome) VALUES(1, 0, 1, 200, '{}', 'done'); INSERT INTO "
              "retrain_step(run, task, step, started) VALUES(1, 1, 'train', "
              "0)");
    ck_assert_int_eq(retrain_mix(s, &psi, &chance, &err), 0);
    ck_assert_double_lt(psi, chance);
    must_exec("UPDATE example SET task = 2 WHERE id > 200 AND id % 4");
    ck_assert_int_eq(retrain_mix(s, &psi, &chance, &err), 0);
    ck_assert_double_gt(psi, 0.25);
    ck_assert_double_gt(psi, chance);
    must_exec("UPDATE task SET merged_into = 1 WHERE id = 2");
    ck_assert_int_eq(retrain_mix(s, &psi, &chance, &err), 0);
    ck_assert_double_lt(psi, 0.01); /* one task */
}
END_TEST

START_TEST(age_asks_only_with_something_new)
{
    add_calls(1, 300, 1, "0");
    add_model(2, 300, 31);
    ck_assert_str_eq(why(), "none");
    add_calls(301, 301, 1, "0");
    ck_assert_str_eq(why(), "age");
    policy.age_days = 0;
    ck_assert_str_eq(why(), "none");
}
END_TEST

START_TEST(agreement_is_held_against_the_gate)
{
    char text[300];

    add_calls(1, 301, 1, "0");
    add_model(2, 300, 1);
    add_evaluation(1, 2, 95, "pass");
    (void)snprintf(
        text, sizeof(text),
        "INSERT INTO decision(key, time, task, model, went, "
        "reason, agreement) SELECT CAST(id AS BLOB), %lld, 1, 2, 'shadow', '', "
        "id <= 90 FROM example WHERE id <= 100",
        (long long)clock_wall_us());
    must_exec(text);
    ck_assert_str_eq(why(), "none");
    must_exec("UPDATE decision SET agreement = 0 WHERE id = 1");
    ck_assert_str_eq(why(), "agreement");
}
END_TEST

START_TEST(tasks_that_nobody_asked_for_are_left_out)
{
    const int64_t other[] = { 2 };
    struct retrain_due *list = NULL;
    size_t n = 9;

    add_calls(1, 300, 1, "0");
    policy.tasks = other;
    policy.task_count = 1;
    ck_assert_int_eq(
        retrain_due_list(s, &policy, clock_wall_us(), &list, &n, &err), 0);
    ck_assert_uint_eq(n, 0);
    free(list);
}
END_TEST

int main(void)
{
    TCase *c = suite_case("retrain_due", setup, teardown);

    tcase_add_test(c, first_training_waits_for_examples);
    tcase_add_test(c, only_what_no_data_set_has_seen_is_new);
    tcase_add_test(c, drift_is_longer_prompts_not_chance);
    tcase_add_test(c, a_few_calls_say_nothing_of_drift);
    tcase_add_test(c, what_a_refused_candidate_saw_does_not_ask_again);
    tcase_add_test(c, calls_unlike_the_known_are_novelty);
    tcase_add_test(c, calls_that_a_model_answered_count_for_drift);
    tcase_add_test(c, drift_that_was_learnt_does_not_ask_again);
    tcase_add_test(c, few_conversations_are_chance);
    tcase_add_test(c, a_mix_of_tasks_that_moved_is_told);
    tcase_add_test(c, age_asks_only_with_something_new);
    tcase_add_test(c, agreement_is_held_against_the_gate);
    tcase_add_test(c, tasks_that_nobody_asked_for_are_left_out);
    return suite_run("retrain_due", c);
}
