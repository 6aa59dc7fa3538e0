/*
 * test_retrain.c - what is due and why, and the steps of a run, also of one
 * that was cut off
 */
#include "scratch.h"
#include "suite.h"

#include "base/clock.h"
#include "registry/registry.h"
#include "retrain/retrain.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#define DAY_US ((int64_t)86400 * 1000000)

static char dir[SCRATCH_MAX];
static struct err err;
static struct store *s;
static struct retrain_policy policy;

static void must_exec(const char *text)
{
    ck_assert_msg(sql_exec(store_sql(s), text, &err) == 0, "%s", err.msg);
}

/* Calls from..to of task 1, all to learn from: prompts of 100 to 199 tokens
 * times `longer`. */
static void add_calls(int from, int to, int longer, const char *novelty)
{
    char text[800];

    (void)snprintf(
        text, sizeof(text),
        "WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n "
        "WHERE i < %d) INSERT INTO logged(id, origin, tokens_in, tokens_out) "
        "SELECT i, 1, %d * (100 + (i * 37) %% 100), 10 + (i * 13) %% 10 FROM "
        "n; INSERT INTO example(id, call, kept, split, task, novelty, groups) "
        "SELECT id, id, 1, 'train', 1, %s, 'g' || id FROM logged WHERE id "
        ">= %d",
        from, to, longer, novelty, from);
    must_exec(text);
}

/* A model of task 1 that learnt from calls 1 to `to`, `days` ago. */
static void add_model(int id, int to, int days)
{
    char text[700];
    long long then = (long long)(clock_wall_us() - days * DAY_US);

    (void)snprintf(
        text, sizeof(text),
        "INSERT INTO dataset(id, task, created, hash) VALUES(%d, 1, %lld, "
        "''); INSERT INTO dataset_example(dataset, example) SELECT %d, id "
        "FROM example WHERE id <= %d; INSERT INTO model(id, name, kind, path, "
        "base, task, dataset, created, version, license) VALUES(%d, 'sort-%d',"
        " 'adapter', 'a', 1, 1, %d, %lld, %d, 'mit')",
        id, then, id, to, id, id, id, then, id);
    must_exec(text);
}

/* A sealed test of a model: 100 items, the first `right` of them right. */
static void add_evaluation(int id, int model, int right, const char *verdict)
{
    char text[700];

    (void)snprintf(
        text, sizeof(text),
        "INSERT INTO evaluation(id, task, model, split, created, verdict, "
        "detail) VALUES(%d, 1, %d, 'test', %lld, '%s', '{}'); INSERT INTO "
        "evaluation_item(evaluation, example, score, reference) SELECT %d, "
        "id, id <= %d, 1 FROM example WHERE id <= 100",
        id, model, (long long)clock_wall_us(), verdict, id, right);
    must_exec(text);
}

static void setup(void)
{
    char path[SCRATCH_MAX + 8];

    scratch_make(dir);
    ck_assert_int_eq(store_open(dir, STORE_CREATE, &s, &err), 0);
    (void)snprintf(path, sizeof(path), "%s/a", dir);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    policy = retrain_policy_default();
    must_exec("INSERT INTO task(id, name, label, kind, created) VALUES"
              "(1, 'sort', '', 'label', 0), (2, 'empty', '', 'label', 0);"
              "INSERT INTO origin(id, hash, dialect, status, model) VALUES"
              "(1, x'01', 'openai-chat', 'completed', 'gpt');"
              "INSERT INTO model(id, name, kind, path, created, license) "
              "VALUES(1, 'base', 'base', 'base', 0, 'mit')");
}

static void teardown(void)
{
    store_close(s);
    scratch_remove(dir);
}

/* The only task that has examples. */
static struct retrain_due due(void)
{
    struct retrain_due *list = NULL, d;
    size_t n = 0;
    int rc = retrain_due_list(s, &policy, clock_wall_us(), &list, &n, &err);

    ck_assert_msg(rc == 0, "%s", err.msg);
    ck_assert_uint_eq(n, 1);
    d = list[0];
    free(list);
    ck_assert_str_eq(d.name, "sort");
    return d;
}

static const char *why(void)
{
    return retrain_reason_name(due().why);
}

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
        ck_assert_msg(retrain_promote(s, &w, policy.override_terms, &err) == 0,
                      "%s", err.msg);
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
    next(run, "trim", true);
    next(run, "notify", true);
    must_end(run);
    ck_assert_int_eq(champion(), 2);
}
END_TEST

START_TEST(what_fails_the_gate_is_kept_out)
{
    int64_t run;

    add_calls(1, 300, 1, "0");
    run = run_to_gate(2, 50, "fail");
    next(run, "gate", true);
    next(run, "trim", true);
    next(run, "notify", true);
    must_end(run);
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
    next(run, "trim", true);
    next(run, "notify", true);
    must_end(run);
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
    ck_assert_int_eq(retrain_judge(s, 1, 3, 2, 0.03, &v, &err), 0);
    ck_assert(!v.newer); /* 173; 175 are enough for three points */
    ck_assert_uint_eq(v.items, 273);
    ck_assert_int_eq(v.champion, SCORE_FAIL);
    ck_assert_str_eq(v.why,
                     "worse than the champion: -36.6 points on 273 items");
    must_exec("UPDATE evaluation SET verdict = 'undecided' WHERE id = 4");
    ck_assert_int_eq(retrain_judge(s, 1, 3, 2, 0.03, &v, &err), 0);
    ck_assert_str_eq(v.why, "the gate against the LLM says undecided; worse "
                            "than the champion: -36.6 points on 273 items");
    must_exec("UPDATE evaluation SET verdict = 'pass' WHERE id = 4");
    must_exec("UPDATE evaluation_item SET score = 1 WHERE evaluation = 4 AND "
              "example > 6");
    must_exec("INSERT INTO evaluation_item(evaluation, example, score, "
              "reference) SELECT v.id, e.id, 1, 1 FROM evaluation v, example e "
              "WHERE v.id IN (3, 4) AND e.id BETWEEN 274 AND 280");
    ck_assert_int_eq(retrain_judge(s, 1, 3, 2, 0.03, &v, &err), 0);
    ck_assert(v.newer);
    ck_assert_uint_eq(v.items, 180);
    ck_assert_int_eq(v.champion, SCORE_PASS);
    ck_assert_ptr_nonnull(strstr(v.why, "180 newer items"));
    /* Behind on all by more than the margin: a batch of calls that no model
     * gets right must not hide it. */
    must_exec("UPDATE evaluation_item SET score = 0 WHERE evaluation = 4 AND "
              "example <= 20; UPDATE evaluation_item SET score = 0 WHERE "
              "evaluation IN (3, 4) AND example > 100");
    ck_assert_int_eq(retrain_judge(s, 1, 3, 2, 0.03, &v, &err), 0);
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
    ck_assert_int_eq(retrain_judge(s, 1, 3, 2, 0.03, &v, &err), 0);
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
    ck_assert_int_eq(retrain_judge(s, 1, 3, 2, 0.01, &v, &err), 0);
    ck_assert_uint_eq(v.items, 100);
    ck_assert_double_eq_tol(v.difference, 0.38, 1e-9);
    next(run, "gate", true);
    next(run, "promote", true);
    next(run, "trim", true);
    next(run, "notify", true);
    must_end(run);
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
    (void)snprintf(text, sizeof(text),
                   "UPDATE model SET path = '%s/models/"
                   "sort-%d' WHERE id = %d",
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
    next(run, "trim", true);
    next(run, "notify", true);
    must_end(run);
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
    next(run, "trim", true);
    next(run, "notify", true);
    must_end(run);
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
    next(run, "trim", true);
    next(run, "notify", true);
    must_end(run);
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
    next(run, "trim", true);
    next(run, "notify", true);
    must_end(run);
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
    ck_assert_int_eq(retrain_promote(s, &w, "", &err), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "the champion has changed"));
    retrain_work_release(&w);
    ck_assert_int_eq(champion(), 3);
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
    ++*(int *)ctx;
    return 0;
}

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
    return suite_run("retrain", c);
}
