/*
 * test_registry.c - who answers a task: promoted, rolled back, retired, and
 * what stands in the way
 */
#include "scratch.h"
#include "suite.h"

#include "base/io.h"
#include "base/mem.h"
#include "registry/registry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char dir[SCRATCH_MAX];
static struct err err;
static struct store *s;

static void must_exec(const char *text)
{
    ck_assert_msg(sql_exec(store_sql(s), text, &err) == 0, "%s", err.msg);
}

static int64_t one(const char *text)
{
    return scratch_int(store_sql(s), text);
}

static void put_file(const char *name, const char *text)
{
    char *path = io_path(dir, name);

    ck_assert_int_eq(io_write_file(path, text, strlen(text), 0600, &err), 0);
    free(path);
}

/* Task 1 with three models (2, 3, 4), of which 2 and 3 passed and 4 failed;
 * task 2 with model 5, which was never tried; task 3 became task 1. */
static void setup(void)
{
    static const char *const dirs[] = { "base", "a", "b", "c", "d" };

    scratch_make(dir);
    ck_assert_int_eq(store_open(dir, STORE_CREATE, &s, &err), 0);
    for (size_t i = 0; i < 5; i++) {
        char *path = io_path(dir, dirs[i]);

        ck_assert_int_eq(mkdir(path, 0700), 0);
        free(path);
    }
    put_file("a/weights", "1");
    must_exec(
        "INSERT INTO task(id, name, label, kind, created, merged_into) VALUES"
        "(1, 'sort', '', 'label', 0, NULL), (2, 'find', '', 'label', 0, NULL),"
        "(3, 'old', '', 'label', 0, 1);"
        "INSERT INTO origin(id, hash, dialect, status, model, upstream) VALUES"
        "(1, x'01', 'openai-chat', 'completed', 'gpt-4o', 'https://x'),"
        "(2, x'02', 'openai-chat', 'completed', 'o\"3', 'https://x'),"
        "(3, x'03', 'openai-chat', 'completed', 'a-model', 'slm:a');"
        "INSERT INTO logged(id, origin) VALUES(1, 1), (2, 2), (3, 3);"
        "INSERT INTO example(id, call, kept, task) VALUES(1, 1, 1, 1),"
        "(2, 2, 1, 2), (3, 3, 1, 1);"
        "INSERT INTO dataset(id, task, created, hash) VALUES(1, 1, 0, '');"
        "INSERT INTO dataset_example(dataset, example, trained) VALUES"
        "(1, 1, 1), (1, 2, 0), (1, 3, 1);"
        "INSERT INTO model(id, name, kind, path, base, task, dataset, created,"
        " license, version) VALUES"
        "(1, 'base', 'base', 'base', NULL, NULL, NULL, 0, 'apache-2.0', NULL),"
        "(2, 'a', 'adapter', 'a', 1, 1, 1, 0, NULL, NULL),"
        "(3, 'b', 'adapter', 'b', 1, 1, 1, 0, NULL, 2),"
        "(4, 'c', 'adapter', 'c', 1, 3, 1, 0, NULL, 3),"
        "(5, 'd', 'adapter', 'd', 1, 2, NULL, 0, NULL, 1);"
        "INSERT INTO evaluation(id, task, model, split, created, verdict, "
        "detail) VALUES(1, 1, 2, 'test', 0, 'fail', '{}'), (2, 1, 2, 'test', "
        "0, 'pass', '{\"gate\":{\"interval\":[-0.01,0.02]}}'), (3, 1, 3, "
        "'test', 0, 'pass', '{}'), (4, 3, 4, 'test', 0, 'fail', '{}'), (5, 2, "
        "5, 'validation', 0, 'pass', '{}');"
        "INSERT INTO evaluation_item(evaluation, example, score, reference) "
        "VALUES(2, 1, 1, 0), (2, 2, 0, 0.5), (2, 3, 1, NULL)");
}

static void teardown(void)
{
    store_close(s);
    scratch_remove(dir);
}

static int promote(int64_t task, int64_t model, bool forced)
{
    struct registry_change c = { .task = task,
                                 .model = model,
                                 .command = "test",
                                 .reason = forced ? "it must" : NULL,
                                 .forced = forced };

    return registry_promote(s, &c, &err);
}

static void must_promote(int64_t task, int64_t model)
{
    ck_assert_msg(promote(task, model, false) == 0, "%s", err.msg);
}

static int64_t champion(int64_t task)
{
    int64_t model = -1;

    ck_assert_int_eq(registry_champion(s, task, &model, &err), 0);
    return model;
}

static int64_t roll_back(int64_t task)
{
    int64_t to = -1;

    ck_assert_msg(registry_rollback(s, task, NULL, &to, &err) == 0, "%s",
                  err.msg);
    return to;
}

static void tell(void *ctx, const char *finding)
{
    (void)ctx;
    ck_assert_msg(!strstr(finding, "champion"), "%s", finding);
}

static void expect_whole(void)
{
    struct store_verify v = { .tell = tell };

    ck_assert_int_eq(store_verify(s, &v, &err), 0);
}

START_TEST(what_passed_becomes_champion)
{
    ck_assert_int_eq(champion(1), 0);
    must_promote(1, 2);
    ck_assert_int_eq(champion(1), 2);
    ck_assert_int_eq(champion(3), 2); /* task 3 became task 1 */
    ck_assert_int_eq(champion(2), 0);
    ck_assert_int_eq(one("SELECT evaluation FROM registry_event WHERE kind = "
                         "'promote' AND task = 1 AND before IS NULL"),
                     2);
    must_promote(3, 3);
    ck_assert_int_eq(champion(1), 3);
    ck_assert_int_eq(one("SELECT before FROM registry_event ORDER BY id DESC"),
                     2);
    must_promote(1, 3); /* again: nothing is written */
    ck_assert_int_eq(one("SELECT count(*) FROM registry_event"), 2);
    expect_whole();
}
END_TEST

START_TEST(what_did_not_pass_does_not)
{
    ck_assert_int_eq(promote(1, 4, false), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "the gate's answer is fail"));
    ck_assert_int_eq(promote(2, 5, false), ERR_INVALID); /* validation only */
    ck_assert_ptr_nonnull(strstr(err.msg, "slmctl eval --model d"));
    ck_assert_int_eq(promote(2, 2, true), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "another task"));
    ck_assert_int_eq(promote(1, 1, true), ERR_INVALID);
    ck_assert_int_eq(promote(9, 2, false), ERR_NOTFOUND);
    ck_assert_int_eq(promote(1, 9, false), ERR_NOTFOUND);
    ck_assert_int_eq(one("SELECT count(*) FROM registry_event"), 0);
    ck_assert_int_eq(promote(1, 4, true), 0);
    ck_assert_int_eq(champion(1), 4);
    ck_assert_int_eq(one("SELECT count(*) FROM registry_event WHERE reason = "
                         "'it must' AND detail ->> 'forced' AND evaluation = "
                         "4"),
                     1);
}
END_TEST

START_TEST(rolling_back_goes_back_and_not_in_circles)
{
    must_promote(1, 2);
    must_promote(1, 3);
    must_promote(1, 2);
    ck_assert_int_eq(roll_back(1), 3);
    expect_whole();
    ck_assert_int_eq(roll_back(3), 2);
    expect_whole();
    ck_assert_int_eq(champion(1), 2);
    ck_assert_int_eq(roll_back(1), 0);
    ck_assert_int_eq(champion(1), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM registry_event WHERE kind = "
                         "'rollback' AND model IS NULL AND before = 2"),
                     1);
    {
        int64_t to;

        ck_assert_int_eq(registry_rollback(s, 1, NULL, &to, &err),
                         ERR_NOTFOUND);
    }
}
END_TEST

START_TEST(rolling_back_refuses_what_cannot_answer)
{
    int64_t to;

    must_promote(1, 2);
    must_promote(1, 3);
    must_exec("UPDATE model SET path = 'gone' WHERE id = 2");
    ck_assert_int_eq(registry_rollback(s, 1, NULL, &to, &err), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "lacks gone"));
    must_exec("UPDATE model SET path = 'a' WHERE id = 2; UPDATE model SET "
              "path = 'nobase' WHERE id = 1");
    ck_assert_int_eq(registry_rollback(s, 1, NULL, &to, &err), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "lacks nobase"));
    must_exec("UPDATE model SET path = 'base' WHERE id = 1");
    ck_assert_int_eq(registry_retire(s, 2, NULL, &err), 0);
    ck_assert_int_eq(registry_rollback(s, 1, NULL, &to, &err), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "is retired"));
    ck_assert_int_eq(champion(1), 3);
}
END_TEST

/* It used to answer nothing, though nobody had found fault with it. */
START_TEST(a_new_champion_does_not_inherit_a_step_back)
{
    must_promote(1, 2);
    must_exec("INSERT INTO route VALUES(1, 5, 'errors'), (2, 5, 'errors')");
    must_promote(1, 3);
    ck_assert_int_eq(one("SELECT task FROM route"), 2);
    must_exec("INSERT INTO route VALUES(3, 6, 'errors')"); /* became task 1 */
    ck_assert_int_eq(roll_back(1), 2);
    ck_assert_int_eq(one("SELECT count(*) FROM route"), 1);
    ck_assert_int_eq(one("SELECT count(*) FROM registry_event WHERE kind = "
                         "'resume' AND task = 1 AND id < (SELECT max(id) FROM "
                         "registry_event)"),
                     1);
    ck_assert_int_eq(one("SELECT count(*) FROM registry_event WHERE kind = "
                         "'resume'"),
                     2);
    ck_assert_int_eq(registry_resume(s, 1, "test", NULL, &err), ERR_NOTFOUND);
    ck_assert_int_eq(registry_resume(s, 2, "test", "mended", &err), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM route"), 0);
    ck_assert_int_eq(
        one("SELECT task FROM registry_event WHERE reason = 'mended'"), 2);
    expect_whole();
}
END_TEST

START_TEST(a_retired_champion_steps_down)
{
    must_promote(1, 2);
    ck_assert_int_eq(registry_retire(s, 2, "too old", &err), 0);
    ck_assert_int_eq(champion(1), 0);
    ck_assert_int_eq(registry_retire(s, 2, NULL, &err), 0); /* it is already */
    ck_assert_int_eq(one("SELECT count(*) FROM registry_event WHERE kind = "
                         "'retire' AND task = 1 AND model = 2 AND before = 2 "
                         "AND reason = 'too old'"),
                     1);
    ck_assert_int_eq(one("SELECT count(*) FROM registry_event WHERE kind = "
                         "'retire'"),
                     1);
    ck_assert_int_eq(promote(1, 2, true), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "retired"));
    ck_assert_int_eq(registry_retire(s, 1, NULL, &err), ERR_INVALID);
    ck_assert_int_eq(registry_retire(s, 9, NULL, &err), ERR_NOTFOUND);
    expect_whole();
}
END_TEST

static enum registry_terms check(int64_t task, char what[REGISTRY_WHAT])
{
    enum registry_terms t;

    ck_assert_int_eq(registry_terms_check(s, task, 1, &t, what, &err), 0);
    return t;
}

START_TEST(terms_are_the_worst_of_llm_and_licence)
{
    char what[REGISTRY_WHAT];

    ck_assert_int_eq(check(1, what), REGISTRY_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(what, "gpt-4o")); /* and never a-model */
    ck_assert_int_eq(
        registry_terms_set(s, "gpt-4o", REGISTRY_ALLOW, "contract 7", &err), 0);
    ck_assert_int_eq(check(1, what), REGISTRY_ALLOW);
    ck_assert_str_eq(what, "");
    ck_assert_int_eq(registry_terms_set(s, "o\"3", REGISTRY_FORBID, NULL, &err),
                     0);
    ck_assert_int_eq(check(2, what), REGISTRY_FORBID);
    must_exec("UPDATE model SET license = 'other' WHERE id = 1");
    ck_assert_int_eq(check(1, what), REGISTRY_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(what, "licence, other,"));
    ck_assert_int_eq(
        registry_terms_set(s, "other", REGISTRY_FORBID, NULL, &err), 0);
    ck_assert_int_eq(check(1, what), REGISTRY_FORBID);
    must_exec("UPDATE model SET license = NULL WHERE id = 1");
    ck_assert_int_eq(check(1, what), REGISTRY_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(what, "--license"));
    ck_assert_int_eq(one("SELECT count(*) FROM registry_event WHERE kind = "
                         "'terms' AND (reason = 'contract 7' OR detail ->> "
                         "'llm' IN ('other', 'o\"3'))"),
                     3);
}
END_TEST

/* Any name was taken, and none could be taken back. */
START_TEST(terms_have_names_that_can_be_read_and_taken_back)
{
    char name[REGISTRY_TERMS_NAME + 2] = "";
    const char *const bad[] = { "", "a\nb", "\x7f", name };

    memset(name, 'x', sizeof(name) - 1);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(
            registry_terms_set(s, bad[i], REGISTRY_ALLOW, NULL, &err),
            ERR_INVALID);
    name[REGISTRY_TERMS_NAME] = '\0';
    ck_assert_int_eq(registry_terms_set(s, name, REGISTRY_ALLOW, NULL, &err),
                     0);
    must_exec("INSERT INTO terms(llm, terms, time) VALUES('', 'allow', 0)");
    ck_assert_int_eq(one("SELECT count(*) FROM terms"), 2);
    ck_assert_int_eq(
        registry_terms_set(s, name, REGISTRY_UNKNOWN, "asked", &err), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM terms"), 2);
    ck_assert_int_eq(registry_terms_set(s, name, REGISTRY_UNKNOWN, NULL, &err),
                     0);
    ck_assert_int_eq(registry_terms_set(s, "", REGISTRY_UNKNOWN, NULL, &err),
                     0);
    ck_assert_int_eq(one("SELECT count(*) FROM terms"), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM registry_event WHERE kind = "
                         "'terms' AND detail ->> 'terms' = 'unknown'"),
                     3);
}
END_TEST

/* What was empty counted as allowed. */
START_TEST(terms_of_an_unnamed_llm_are_unknown)
{
    char what[REGISTRY_WHAT];
    enum registry_terms t;

    ck_assert_int_eq(
        registry_terms_set(s, "gpt-4o", REGISTRY_ALLOW, NULL, &err), 0);
    ck_assert_int_eq(check(1, what), REGISTRY_ALLOW);
    ck_assert_int_eq(registry_terms_model(s, 2, &t, what, &err), 0);
    ck_assert_int_eq(t, REGISTRY_UNKNOWN); /* teacher was never recorded */
    ck_assert_ptr_nonnull(strstr(what, "not recorded"));
    must_exec("UPDATE origin SET model = NULL WHERE model = 'gpt-4o'");
    ck_assert_int_eq(check(1, what), REGISTRY_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(what, "do not name"));
    ck_assert_int_eq(registry_enter(s, 2, dir, &err), 0);
    ck_assert_int_eq(one("SELECT teacher = '[null]' FROM model WHERE id = 2"),
                     1);
    ck_assert_int_eq(registry_terms_model(s, 2, &t, what, &err), 0);
    ck_assert_int_eq(t, REGISTRY_UNKNOWN);
    ck_assert_int_eq(
        registry_terms_set(s, REGISTRY_UNNAMED, REGISTRY_FORBID, NULL, &err),
        0);
    ck_assert_int_eq(promote(1, 2, false), ERR_INVALID);
    ck_assert_int_eq(
        registry_terms_set(s, REGISTRY_UNNAMED, REGISTRY_ALLOW, "own", &err),
        0);
    ck_assert_int_eq(check(1, what), REGISTRY_ALLOW);
    must_promote(1, 2);
    must_exec("UPDATE example SET kept = 0");
    ck_assert_int_eq(check(1, what), REGISTRY_UNKNOWN);
}
END_TEST

START_TEST(forbidden_terms_stop_a_promotion_unless_overridden)
{
    ck_assert_int_eq(registry_enter(s, 2, dir, &err), 0);
    ck_assert_int_eq(
        registry_terms_set(s, "gpt-4o", REGISTRY_FORBID, NULL, &err), 0);
    ck_assert_int_eq(promote(1, 2, false), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "gpt-4o"));
    ck_assert_int_eq(promote(1, 2, true), ERR_INVALID); /* another matter */
    ck_assert_int_eq(registry_override(s, 1, 2, "asked legal", &err), 0);
    must_promote(1, 2);
    ck_assert_int_eq(one("SELECT count(*) FROM registry_event WHERE kind = "
                         "'override' AND reason = 'asked legal'"),
                     1);
}
END_TEST

START_TEST(a_model_is_entered_with_version_teachers_and_hash)
{
    char *path = io_path(dir, "a");
    unsigned char x[REGISTRY_HASH_BYTES], y[REGISTRY_HASH_BYTES];

    put_file("a/README.md", "for people");
    ck_assert_int_eq(registry_hash_files(path, x, &err), 0);
    ck_assert_int_eq(registry_enter(s, 2, path, &err), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM model WHERE id = 2 AND version "
                         "= 4 AND teacher = '[\"gpt-4o\"]' AND "
                         "length(content) = 16"),
                     1); /* task 3's version 3 belongs to task 1 */
    ck_assert_int_eq(registry_verify_files(s, 2, &err), 0);
    put_file("a/README.md", "other words");
    ck_assert_int_eq(registry_verify_files(s, 2, &err), 0);
    put_file("a/weights", "2");
    ck_assert_int_eq(registry_verify_files(s, 2, &err), ERR_FORMAT);
    ck_assert_int_eq(registry_hash_files(path, y, &err), 0);
    ck_assert_mem_ne(x, y, sizeof(x));
    put_file("a/weights", "1");
    ck_assert_int_eq(registry_verify_files(s, 2, &err), 0);
    put_file("a/weight", "");
    ck_assert_int_eq(registry_verify_files(s, 2, &err), ERR_FORMAT);
    ck_assert_int_eq(registry_verify_files(s, 3, &err), 0); /* no hash */
    ck_assert_int_eq(registry_verify_files(s, 9, &err), ERR_NOTFOUND);
    ck_assert_int_eq(registry_enter(s, 2, "nowhere", &err), ERR_IO);
    free(path);
}
END_TEST

static void add_look(int64_t id, int verdict, int items, const char *margin)
{
    static const char *const names[] = { "fail", "pass", "undecided" };
    char *text = mem_printf(
        "INSERT INTO evaluation(id, task, model, split, created, verdict, "
        "detail) VALUES(%lld, 3, 4, 'test', 0, '%s', "
        "'{\"gate\":{\"margin\":%s}}'); WITH RECURSIVE n(i) AS (SELECT 1 "
        "UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO "
        "evaluation_item(evaluation, example, score, reference) SELECT %lld, "
        "i, 1, 1 FROM n",
        (long long)id, names[verdict], margin, items, (long long)id);

    must_exec(text);
    free(text);
}

static struct registry_gate gate_of(int64_t model, double margin)
{
    struct registry_gate g;

    ck_assert_int_eq(registry_gate_of(s, 1, model, margin, &g, &err), 0);
    return g;
}

/* A pass of the few and with a wide margin undid a fail of the many. */
START_TEST(a_short_or_lenient_look_decides_nothing)
{
    must_exec("DELETE FROM evaluation WHERE model = 4");
    ck_assert_int_eq(gate_of(4, REGISTRY_MARGIN).evaluation, 0);
    add_look(10, 0, 3, "0.03");
    add_look(11, 1, 2, "0.4");
    ck_assert_int_eq(gate_of(4, REGISTRY_MARGIN).evaluation, 10);
    ck_assert_int_eq(gate_of(4, REGISTRY_MARGIN).items, 3);
    ck_assert_int_eq(promote(1, 4, false), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "answer is fail"));
    add_look(12, 1, 3, "0.4"); /* as many */
    ck_assert_int_eq(gate_of(4, REGISTRY_MARGIN).evaluation, 10);
    ck_assert_int_eq(gate_of(4, 0.4).evaluation, 12);
    ck_assert(gate_of(4, 0.4).passes);
    add_look(13, 1, 3, "0.03"); /* the newest of these */
    ck_assert_int_eq(gate_of(4, REGISTRY_MARGIN).evaluation, 13);
    add_look(14, 2, 1, "0.03"); /* takes no pass away */
    must_promote(1, 4);
    ck_assert_int_eq(one("SELECT evaluation FROM registry_event WHERE kind = "
                         "'promote'"),
                     13);
    must_exec("DELETE FROM evaluation_item WHERE evaluation IN (12, 13) AND "
              "example = 3");
    ck_assert_int_eq(gate_of(4, REGISTRY_MARGIN).evaluation, 10);
}
END_TEST

START_TEST(a_pass_with_a_wide_margin_does_not_count)
{
    struct registry_change c = {
        .task = 1, .model = 4, .command = "test", .margin = 0.05
    };

    must_exec("DELETE FROM evaluation WHERE model = 4");
    add_look(10, 1, 3, "0.05");
    ck_assert(!gate_of(4, REGISTRY_MARGIN).passes);
    ck_assert(gate_of(4, REGISTRY_MARGIN).is_wide);
    ck_assert_double_eq_tol(gate_of(4, 0.05).margin, 0.05, 1e-12);
    ck_assert_int_eq(promote(1, 4, false), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "pass, but with a margin of 5 "));
    ck_assert_int_eq(registry_promote(s, &c, &err), 0); /* as it was asked */
    must_promote(1, 3);
    ck_assert_int_eq(promote(1, 4, true), 0);
    ck_assert_int_eq(champion(1), 4);
}
END_TEST

static void must_answer_with(const char *want)
{
    char weights[REGISTRY_WEIGHTS];

    ck_assert_int_eq(registry_weights(s, 1, 4, weights, &err), 0);
    ck_assert_str_eq(weights, want);
}

START_TEST(a_verdict_speaks_for_its_own_weights)
{
    struct registry_change c = {
        .task = 1, .model = 4, .command = "test", .weights = "q4_0"
    };
    struct registry_gate g;

    must_exec("DELETE FROM evaluation WHERE model = 4");
    must_answer_with("stored");
    add_look(10, 0, 3, "0.03");
    add_look(11, 1, 3, "0.03");
    add_look(12, 1, 2, "0.03"); /* a short look in a third way */
    must_exec("UPDATE evaluation SET weights = 'q8_0' WHERE id = 11;"
              "UPDATE evaluation SET weights = 'q4_0' WHERE id = 12");
    must_answer_with("q8_0");
    ck_assert_int_eq(gate_of(4, REGISTRY_MARGIN).evaluation, 11);
    ck_assert_int_eq(
        registry_gate_with(s, 1, 4, REGISTRY_MARGIN, "stored", &g, &err), 0);
    ck_assert(g.evaluation == 10 && !g.passes);
    c.weights = "stored";
    ck_assert_int_eq(registry_promote(s, &c, &err), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "answer is fail"));
    c.weights = "f32";
    ck_assert_int_eq(registry_promote(s, &c, &err), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "sealed test with weights f32"));
    must_promote(1, 4);
    must_answer_with("q8_0");
    add_look(13, 1, 3, "0.03");
    must_answer_with("q8_0"); /* until it is promoted */
    ck_assert_int_eq(gate_of(4, REGISTRY_MARGIN).evaluation, 11);
    c.weights = NULL;
    c.evaluation = 0;
    ck_assert_int_eq(registry_promote(s, &c, &err), 0);
    ck_assert(!c.is_same && c.before == 4);
    must_answer_with("stored");
    ck_assert_int_eq(registry_promote(s, &c, &err), 0);
    ck_assert(c.is_same);
    ck_assert_int_eq(one("SELECT count(*) FROM registry_event WHERE kind = "
                         "'promote' AND model = 4"),
                     2);
    {
        int64_t to;

        ck_assert_int_eq(registry_rollback(s, 1, NULL, &to, &err), 0);
        ck_assert_int_eq(to, 4);
        must_answer_with("q8_0");
    }
}
END_TEST

static int note_entry(void *ctx, const struct registry_entry *e,
                      struct err *why)
{
    (void)why;
    buf_printf(ctx, "%s %s %d %s%s%s", e->task_name, e->name, (int)e->version,
               e->verdict ? e->verdict : "-", e->champion ? " champion" : "",
               e->retired ? " retired" : "");
    if (!isnan(e->difference))
        buf_printf(ctx, " %.2f %.2f %.2f %.2f", e->score, e->reference,
                   e->difference, e->low);
    buf_printf(ctx, " %s %s\n", e->licence, e->terms);
    return 0;
}

START_TEST(a_list_tells_what_is_known_of_each)
{
    struct buf out = { .data = NULL };

    must_promote(1, 2);
    ck_assert_int_eq(registry_retire(s, 5, NULL, &err), 0);
    ck_assert_int_eq(
        registry_terms_set(s, "gpt-4o", REGISTRY_FORBID, NULL, &err), 0);
    must_exec("UPDATE model SET teacher = '[\"gpt-4o\"]' WHERE id = 3");
    ck_assert_int_eq(registry_list(s, 0, note_entry, &out, &err), 0);
    ck_assert_str_eq(
        out.data,
        "find d 1 - retired apache-2.0 unknown\n"
        "sort c 3 fail apache-2.0 unknown\n"
        "sort b 2 pass apache-2.0 forbid\n"
        "sort a 0 pass champion 0.50 0.25 0.25 -0.01 apache-2.0 unknown\n");
    buf_reset(&out);
    ck_assert_int_eq(registry_list(s, 2, note_entry, &out, &err), 0);
    ck_assert_str_eq(out.data, "find d 1 - retired apache-2.0 unknown\n");
    ck_assert_int_eq(registry_list(s, 7, note_entry, &out, &err), ERR_NOTFOUND);
    buf_release(&out);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("registry", setup, teardown);

    tcase_add_test(t, what_passed_becomes_champion);
    tcase_add_test(t, what_did_not_pass_does_not);
    tcase_add_test(t, rolling_back_goes_back_and_not_in_circles);
    tcase_add_test(t, rolling_back_refuses_what_cannot_answer);
    tcase_add_test(t, a_new_champion_does_not_inherit_a_step_back);
    tcase_add_test(t, a_retired_champion_steps_down);
    tcase_add_test(t, terms_are_the_worst_of_llm_and_licence);
    tcase_add_test(t, terms_have_names_that_can_be_read_and_taken_back);
    tcase_add_test(t, terms_of_an_unnamed_llm_are_unknown);
    tcase_add_test(t, forbidden_terms_stop_a_promotion_unless_overridden);
    tcase_add_test(t, a_model_is_entered_with_version_teachers_and_hash);
    tcase_add_test(t, a_short_or_lenient_look_decides_nothing);
    tcase_add_test(t, a_pass_with_a_wide_margin_does_not_count);
    tcase_add_test(t, a_verdict_speaks_for_its_own_weights);
    tcase_add_test(t, a_list_tells_what_is_known_of_each);
    return suite_run("registry", t);
}
