/*
 * test_retrain.c - the steps of a run, also of one that was cut off, and what
 * is promoted
 */
#include "retrain_fixture.h"

static int64_t begin(void)
{
    int64_t run = 0;
    bool resumed = true;

    ck_assert_int_eq(retrain_begin(s, &policy, &run, &resumed, &err), 0);
    return run;
}

/* The next step is this one; it ends so. */
static void next(int64_t run, const char *step, bool ok)
{
    struct retrain_work w;
    int rc = retrain_next(s, run, &w, &err);

    ck_assert_msg(rc == 0, "%s: %s", step, err.msg);
    ck_assert_str_eq(retrain_step_name(w.step), step);
    if (w.step == RETRAIN_DO_promote)
        ck_assert_msg(retrain_promote(s, &w, &policy, &err) == 0, "%s",
                      err.msg);
    rc = retrain_done(s, run, &w, ok, ok ? NULL : "it broke", &err);
    ck_assert_msg(rc == 0, "%s: %s", step, err.msg);
    retrain_work_release(&w);
}

static void must_end(int64_t run)
{
    struct retrain_work w;

    ck_assert_int_eq(retrain_next(s, run, &w, &err), ERR_NOTFOUND);
    ck_assert_int_eq(scratch_int(store_sql(s), "SELECT count(*) FROM "
                                               "retrain_run WHERE finished "
                                               "IS NULL"),
                     0);
}

/* What follows a decision, whatever it was. */
static void must_finish(int64_t run)
{
    next(run, "trim", true);
    next(run, "notify", true);
    must_end(run);
}

static int64_t champion(void)
{
    int64_t model = -1;

    ck_assert_int_eq(registry_champion(s, 1, &model, &err), 0);
    return model;
}

START_TEST(nothing_due_ends_after_cluster)
{
    int64_t run = begin();

    next(run, "curate", true);
    next(run, "cluster", true);
    must_end(run);
}
END_TEST

/* Trained and gated; the test of the rest is up to the caller. */
static int64_t run_to_gate(int model, int right, const char *verdict)
{
    int64_t run = begin();
    struct retrain_work w;

    next(run, "curate", true);
    next(run, "cluster", true);
    ck_assert_int_eq(retrain_next(s, run, &w, &err), 0);
    ck_assert_str_eq(w.task_name, "sort");
    add_model(model, 300, 0);
    ck_assert_int_eq(retrain_done(s, run, &w, true, NULL, &err), 0);
    retrain_work_release(&w);
    add_evaluation(model, model, right, verdict);
    return run;
}

START_TEST(what_passes_is_promoted)
{
    int64_t run;

    add_calls(1, 300, 1, "0");
    run = run_to_gate(2, 95, "pass");
    next(run, "gate", true);
    ck_assert_int_eq(champion(), 0);
    next(run, "promote", true);
    must_finish(run);
    ck_assert_int_eq(champion(), 2);
}
END_TEST

START_TEST(what_fails_the_gate_is_kept_out)
{
    int64_t run;

    add_calls(1, 300, 1, "0");
    run = run_to_gate(2, 50, "fail");
    next(run, "gate", true);
    must_finish(run);
    ck_assert_int_eq(champion(), 0);
}
END_TEST

/* The gate against the LLM alone would let a worse model replace a better. */
START_TEST(a_candidate_worse_than_the_champion_is_kept_out)
{
    int64_t run;

    add_calls(1, 300, 1, "0");
    add_model(2, 50, 1);
    add_evaluation(2, 2, 99, "pass");
    must_exec("INSERT INTO champion VALUES(1, 2, 0, 0)");
    run = run_to_gate(3, 80, "pass");
    next(run, "gate", true);
    must_finish(run);
    ck_assert_int_eq(champion(), 2);
}
END_TEST

/* The champion was chosen by the old items, so that they speak for it. */
START_TEST(newer_items_alone_decide_once_they_are_enough)
{
    struct retrain_verdict v;

    add_calls(1, 900, 1, "0");
    add_model(2, 50, 1);
    add_evaluation(2, 2, 99, "pass"); /* calls 1 to 100 */
    must_exec("INSERT INTO registry_event(id, time, task, model, kind, "
              "command, evaluation) VALUES(7, 0, 1, 2, 'promote', 'retrain', "
              "2); INSERT INTO champion VALUES(1, 2, 0, 7)");
    add_model(3, 300, 0);
    must_exec(
        "INSERT INTO evaluation(id, task, model, split, created, verdict, "
        "detail) VALUES(3, 1, 2, 'test', 1, 'pass', '{}'), (4, 1, 3, 'test', "
        "1, 'pass', '{}'); INSERT INTO evaluation_item(evaluation, example, "
        "score, reference) SELECT 3, id, 1, 1 FROM example WHERE id <= 273; "
        "INSERT INTO evaluation_item(evaluation, example, score, reference) "
        "SELECT 4, id, id > 100, 1 FROM example WHERE id <= 273");
    ck_assert_int_eq(retrain_judge(s, 1, 3, 2, 0.03, 0.03, &v, &err), 0);
    ck_assert(!v.newer); /* 173; 175 are enough for three points */
    ck_assert_uint_eq(v.items, 273);
    ck_assert_int_eq(v.champion, SCORE_FAIL);
    ck_assert_str_eq(v.why,
                     "worse than the champion: -36.6 points on 273 items");
    must_exec("UPDATE evaluation SET verdict = 'undecided' WHERE id = 4");
    ck_assert_int_eq(retrain_judge(s, 1, 3, 2, 0.03, 0.03, &v, &err), 0);
    ck_assert_str_eq(v.why, "the gate against the LLM says undecided; worse "
                            "than the champion: -36.6 points on 273 items");
    must_exec("UPDATE evaluation SET verdict = 'pass' WHERE id = 4");
    must_exec("UPDATE evaluation_item SET score = 1 WHERE evaluation = 4 AND "
              "example > 6");
    must_exec("INSERT INTO evaluation_item(evaluation, example, score, "
              "reference) SELECT v.id, e.id, 1, 1 FROM evaluation v, example e "
              "WHERE v.id IN (3, 4) AND e.id BETWEEN 274 AND 280");
    ck_assert_int_eq(retrain_judge(s, 1, 3, 2, 0.03, 0.03, &v, &err), 0);
    ck_assert(v.newer);
    ck_assert_uint_eq(v.items, 180);
    ck_assert_int_eq(v.champion, SCORE_PASS);
    ck_assert_ptr_nonnull(strstr(v.why, "180 newer items"));
    /* Behind on all by more than the margin: a batch of calls that no model
     * gets right must not hide it. */
    must_exec("UPDATE evaluation_item SET score = 0 WHERE evaluation = 4 AND "
              "example <= 20; UPDATE evaluation_item SET score = 0 WHERE "
              "evaluation IN (3, 4) AND example > 100");
    ck_assert_int_eq(retrain_judge(s, 1, 3, 2, 0.03, 0.03, &v, &err), 0);
    ck_assert(!v.newer);
    ck_assert_int_ne(v.champion, SCORE_PASS);
    must_exec("UPDATE evaluation_item SET score = 1 WHERE evaluation IN (3, 4) "
              "AND example > 6");
    /* Another candidate was asked some of them meanwhile. */
    add_model(4, 300, 0);
    must_exec(
        "INSERT INTO evaluation(id, task, model, split, created, verdict, "
        "detail) VALUES(5, 1, 4, 'test', 1, 'fail', '{}'); INSERT INTO "
        "evaluation_item(evaluation, example, score, reference) SELECT 5, id, "
        "1, 1 FROM example WHERE id BETWEEN 101 AND 110");
    ck_assert_int_eq(retrain_judge(s, 1, 3, 2, 0.03, 0.03, &v, &err), 0);
    ck_assert(!v.newer);
    ck_assert_uint_eq(v.items, 280);
}
END_TEST

START_TEST(an_equal_candidate_replaces_the_champion)
{
    struct retrain_verdict v;
    int64_t run;

    add_calls(1, 300, 1, "0");
    add_model(2, 50, 1);
    add_evaluation(2, 2, 60, "pass");
    must_exec("INSERT INTO champion VALUES(1, 2, 0, 0)");
    run = run_to_gate(3, 98, "pass");
    ck_assert_int_eq(retrain_judge(s, 1, 3, 2, 0.03, 0.01, &v, &err), 0);
    ck_assert_uint_eq(v.items, 100);
    ck_assert_double_eq_tol(v.difference, 0.38, 1e-9);
    next(run, "gate", true);
    next(run, "promote", true);
    must_finish(run);
    ck_assert_int_eq(champion(), 3);
}
END_TEST

/* Where finetune would have put a model; whether its files are there. */
static void put_model(int id, int days)
{
    char text[300], path[SCRATCH_MAX + 32];

    add_model(id, 50, days);
    (void)snprintf(path, sizeof(path), "%s/models", dir);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof(path), "%s/models/sort-%d", dir, id);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    /* As finetune writes it, and as older versions did. */
    (void)snprintf(text, sizeof(text),
                   id % 2 ? "UPDATE model SET path = kept('%s/models/sort-%d',"
                            " '', 0) WHERE id = %d"
                          : "UPDATE model SET path = '%s/models/sort-%d' "
                            "WHERE id = %d",
                   dir, id, id);
    must_exec(text);
}

static bool has_files(int id)
{
    char path[SCRATCH_MAX + 32];
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s/models/sort-%d", dir, id);
    return stat(path, &st) == 0;
}

static bool is_retired(int id)
{
    char text[80];

    (void)snprintf(text, sizeof(text),
                   "SELECT retired NOTNULL FROM model WHERE id = %d", id);
    return scratch_int(store_sql(s), text) != 0;
}

/* 2: by hand; 3: the champion before, 4: of now; 5, 6, 7: refused since. */
START_TEST(old_versions_leave_but_none_that_answers)
{
    char text[300];

    add_calls(1, 300, 1, "0");
    for (int id = 2; id <= 7; id++)
        put_model(id, 9 - id);
    for (int id = 3; id <= 7; id++) {
        (void)snprintf(text, sizeof(text),
                       "INSERT INTO retrain_run(id, started, finished, high, "
                       "policy) VALUES(%d, 0, 1, 0, '{}'); INSERT INTO "
                       "retrain_step(run, task, step, started, detail) "
                       "VALUES(%d, 1, 'train', 0, NULL), (%d, 1, 'gate', 0, "
                       "'{\"model\":%d}')",
                       id, id, id, id);
        must_exec(text);
    }
    must_exec("INSERT INTO registry_event(id, time, task, model, before, kind, "
              "command) VALUES(1, 0, 1, 4, 3, 'promote', 'retrain');"
              "INSERT INTO champion VALUES(1, 4, 0, 1)");
    ck_assert_int_eq(retrain_trim(s, 7, 0, &err), 0);
    ck_assert(!is_retired(5));
    ck_assert_int_eq(retrain_trim(s, 7, 1, &err), 0);
    for (int id = 2; id <= 7; id++) {
        bool old = id == 5 || id == 6;

        ck_assert_msg(is_retired(id) == old, "model %d", id);
        ck_assert_msg(has_files(id) != old, "model %d", id);
    }
    ck_assert_int_eq(champion(), 4);
    ck_assert_int_eq(retrain_trim(s, 7, 1, &err), 0); /* as after a kill */
    ck_assert_int_eq(scratch_int(store_sql(s),
                                 "SELECT count(*) FROM registry_event WHERE "
                                 "kind = 'retire'"),
                     2);
}
END_TEST

START_TEST(a_reason_overrides_terms_and_survives_a_kill)
{
    struct retrain_policy kept;
    int64_t run;

    (void)snprintf(policy.override_terms, sizeof(policy.override_terms), "%s",
                   "asked \"legal\"");
    policy.keep = 3;
    add_calls(1, 300, 1, "0");
    run = run_to_gate(2, 95, "pass");
    must_exec("UPDATE model SET teacher = '[\"gpt\"]' WHERE id = 2");
    ck_assert_int_eq(registry_terms_set(s, "gpt", REGISTRY_FORBID, NULL, &err),
                     0);
    ck_assert_int_eq(retrain_policy_of(s, run, &kept, &err), 0);
    ck_assert_str_eq(kept.override_terms, policy.override_terms);
    ck_assert_int_eq(kept.keep, 3);
    next(run, "gate", true);
    next(run, "promote", true);
    ck_assert_int_eq(champion(), 2);
    ck_assert_int_eq(
        scratch_int(store_sql(s),
                    "SELECT count(*) FROM registry_event WHERE kind = "
                    "'override' AND model = 2 AND reason = 'asked \"legal\"'"),
        1);
}
END_TEST

static int note_failure(void *ctx, const struct retrain_told *t, struct err *e)
{
    (void)e;
    ck_assert_str_eq(t->due, "never_trained");
    ck_assert_str_eq(t->train, "it broke");
    ck_assert(t->failed && !t->trained && !t->promoted);
    ++*(int *)ctx;
    return 0;
}

START_TEST(a_failure_ends_the_task_and_is_told)
{
    int told = 0;
    int64_t run;

    add_calls(1, 300, 1, "0");
    run = begin();
    next(run, "curate", true);
    next(run, "cluster", true);
    next(run, "train", false);
    must_finish(run);
    ck_assert_int_eq(retrain_tell(s, run, note_failure, &told, &err), 0);
    ck_assert_int_eq(told, 1);
}
END_TEST

START_TEST(a_run_without_curate_ends)
{
    int64_t run = begin();

    next(run, "curate", false);
    must_end(run);
}
END_TEST

/* Killed while it trained, after the model was entered: the same model is
 * the candidate of the run that goes on, with the policy of its beginning. */
START_TEST(a_run_that_was_cut_off_goes_on)
{
    struct retrain_work w;
    bool resumed = false;
    int64_t run, again;

    add_calls(1, 300, 1, "0");
    policy.promote = false;
    run = begin();
    next(run, "curate", true);
    next(run, "cluster", true);
    ck_assert_int_eq(retrain_next(s, run, &w, &err), 0);
    retrain_work_release(&w);
    add_model(2, 300, 0);
    store_close(s);
    ck_assert_int_eq(store_open(dir, STORE_WRITE, &s, &err), 0);
    policy.promote = true;
    ck_assert_int_eq(retrain_begin(s, &policy, &again, &resumed, &err), 0);
    ck_assert(resumed);
    ck_assert_int_eq(again, run);
    next(run, "train", true);
    ck_assert_int_eq(retrain_next(s, run, &w, &err), 0);
    ck_assert_int_eq(w.step, RETRAIN_DO_gate);
    ck_assert_str_eq(w.model_name, "sort-2");
    retrain_work_release(&w);
    add_evaluation(2, 2, 95, "pass");
    next(run, "gate", true);
    must_finish(run);
    ck_assert_int_eq(champion(), 0);
}
END_TEST

/* Erased between two steps: it would stop this run and all after it. */
START_TEST(a_step_whose_model_is_gone_fails)
{
    int64_t run;

    add_calls(1, 300, 1, "0");
    run = run_to_gate(2, 95, "pass");
    must_exec("UPDATE retrain_step SET detail = json_set(detail, '$.model', "
              "999) WHERE step = 'gate'");
    must_finish(run);
    ck_assert_int_eq(champion(), 0);
    ck_assert_int_eq(scratch_int(store_sql(s),
                                 "SELECT status FROM retrain_step WHERE step "
                                 "= 'gate'"),
                     1);
}
END_TEST

START_TEST(who_goes_on_may_forbid_promotion)
{
    bool resumed = false;
    int64_t run, again;

    add_calls(1, 300, 1, "0");
    run = run_to_gate(2, 95, "pass");
    next(run, "gate", true);
    policy.promote = false;
    ck_assert_int_eq(retrain_begin(s, &policy, &again, &resumed, &err), 0);
    ck_assert(resumed && again == run);
    must_finish(run);
    ck_assert_int_eq(champion(), 0);
}
END_TEST

/* The candidate was never compared with the one that came meanwhile. */
START_TEST(a_champion_that_came_meanwhile_stays)
{
    struct retrain_work w;
    int64_t run;

    add_calls(1, 300, 1, "0");
    run = run_to_gate(2, 95, "pass");
    next(run, "gate", true);
    add_model(3, 50, 1);
    must_exec("INSERT INTO champion VALUES(1, 3, 0, 0)");
    ck_assert_int_eq(retrain_next(s, run, &w, &err), 0);
    ck_assert_int_eq(w.step, RETRAIN_DO_promote);
    ck_assert_int_eq(retrain_promote(s, &w, &policy, &err), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "the champion has changed"));
    retrain_work_release(&w);
    ck_assert_int_eq(champion(), 3);
}
END_TEST

/* status and --dry-run say where it stands, and a call that asks for something
 * else is told that it does not get it. */
START_TEST(a_run_that_was_cut_off_is_seen)
{
    const int64_t one = 1;
    struct retrain_cut cut;
    struct buf differs = { 0 };
    int64_t run;

    ck_assert_int_eq(retrain_cut_read(s, &cut, &err), 0);
    ck_assert_int_eq(cut.run, 0);
    add_calls(1, 300, 1, "0");
    policy.minutes = 0.1;
    policy.tasks = &one;
    policy.task_count = 1;
    run = run_to_gate(2, 95, "pass");
    ck_assert_int_eq(retrain_cut_read(s, &cut, &err), 0);
    ck_assert_int_eq(cut.run, run);
    ck_assert(!cut.running);
    ck_assert_str_eq(cut.step, "gate");
    ck_assert_str_eq(cut.task, "sort");
    ck_assert_uint_eq(cut.task_count, 1);
    ck_assert_str_eq(cut.tasks[0], "sort");
    retrain_cut_release(&cut);
    ck_assert_int_eq(retrain_policy_differs(s, run, &policy, &differs, &err),
                     0);
    ck_assert_uint_eq(differs.len, 0);
    policy.task_count = 0;
    policy.psi = 0.3;
    ck_assert_int_eq(retrain_policy_differs(s, run, &policy, &differs, &err),
                     0);
    ck_assert_str_eq(differs.data, "--task, --psi");
    buf_release(&differs);
}
END_TEST

START_TEST(a_run_that_somebody_is_busy_with_was_not_cut_off)
{
    struct store *other = NULL;
    struct retrain_cut cut;

    begin();
    ck_assert_int_eq(store_open(dir, STORE_WRITE, &other, &err), 0);
    ck_assert_int_eq(store_lock(other, "retrain", &err), 0);
    ck_assert_int_eq(retrain_cut_read(s, &cut, &err), 0);
    ck_assert(cut.running);
    ck_assert_str_eq(cut.step, "curate");
    retrain_cut_release(&cut);
    store_close(other);
    ck_assert_int_eq(retrain_cut_read(s, &cut, &err), 0);
    ck_assert(!cut.running);
    retrain_cut_release(&cut);
}
END_TEST

static int note(void *ctx, const struct retrain_told *t, struct err *e)
{
    (void)e;
    ck_assert_str_eq(t->name, "sort");
    ck_assert_str_eq(t->due, "never_trained");
    ck_assert_str_eq(t->model_name, "sort-2");
    ck_assert_str_eq(t->gate, "passed; there is no champion yet");
    ck_assert(t->trained && t->promoted && !t->failed);
    ck_assert_ptr_null(t->before_name);
    ++*(int *)ctx;
    return 0;
}

static int note_champion(void *ctx, const struct retrain_told *t, struct err *e)
{
    (void)ctx;
    (void)e;
    ck_assert_str_eq(t->before_name, "sort-2");
    ck_assert(!t->promoted);
    return 0;
}

/* Also where nothing came of the training, so that nothing was gated. */
START_TEST(the_champion_of_a_task_is_told_by_name)
{
    int64_t run;

    add_calls(1, 300, 1, "0");
    add_model(2, 50, 3);
    must_exec("INSERT INTO champion VALUES(1, 2, 0, 0)");
    run = run_to_gate(3, 50, "fail");
    ck_assert_int_eq(retrain_tell(s, run, note_champion, NULL, &err), 0);
    must_exec("DELETE FROM retrain_step WHERE step = 'gate'");
    ck_assert_int_eq(retrain_tell(s, run, note_champion, NULL, &err), 0);
}
END_TEST

START_TEST(a_run_is_told_task_by_task)
{
    int64_t run;
    int told = 0;

    add_calls(1, 300, 1, "0");
    run = run_to_gate(2, 95, "pass");
    next(run, "gate", true);
    next(run, "promote", true);
    ck_assert_int_eq(retrain_tell(s, run, note, &told, &err), 0);
    ck_assert_int_eq(told, 1);
}
END_TEST

int main(void)
{
    TCase *c = suite_case("retrain", setup, teardown);

    tcase_add_test(c, nothing_due_ends_after_cluster);
    tcase_add_test(c, what_passes_is_promoted);
    tcase_add_test(c, what_fails_the_gate_is_kept_out);
    tcase_add_test(c, a_candidate_worse_than_the_champion_is_kept_out);
    tcase_add_test(c, newer_items_alone_decide_once_they_are_enough);
    tcase_add_test(c, an_equal_candidate_replaces_the_champion);
    tcase_add_test(c, old_versions_leave_but_none_that_answers);
    tcase_add_test(c, a_reason_overrides_terms_and_survives_a_kill);
    tcase_add_test(c, a_failure_ends_the_task_and_is_told);
    tcase_add_test(c, a_run_without_curate_ends);
    tcase_add_test(c, a_run_that_was_cut_off_goes_on);
    tcase_add_test(c, a_step_whose_model_is_gone_fails);
    tcase_add_test(c, who_goes_on_may_forbid_promotion);
    tcase_add_test(c, a_champion_that_came_meanwhile_stays);
    tcase_add_test(c, a_run_is_told_task_by_task);
    tcase_add_test(c, a_run_that_was_cut_off_is_seen);
    tcase_add_test(c, a_run_that_somebody_is_busy_with_was_not_cut_off);
    tcase_add_test(c, the_champion_of_a_task_is_told_by_name);
    return suite_run("retrain", c);
}
