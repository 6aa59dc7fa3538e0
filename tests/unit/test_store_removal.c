/*
 * test_store_removal.c - pruned stores: what stays is whole, what goes leaves
 * nothing behind, others write meanwhile
 */
#include "scratch.h"
#include "suite.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "store/store.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DAY INT64_C(86400000000)
#define CALLS 400

static char dir[SCRATCH_MAX];
static struct err err;
static struct store *s;

static struct store *must_open(enum store_mode mode)
{
    struct store *made = NULL;

    ck_assert_msg(store_open(dir, mode, &made, &err) == 0, "%s", err.msg);
    return made;
}

static void setup(void)
{
    scratch_make(dir);
    s = must_open(STORE_CREATE);
}

static void teardown(void)
{
    store_close(s);
    scratch_remove(dir);
}

static int64_t one(const char *text)
{
    return scratch_int(store_sql(s), text);
}

static void must_exec(const char *text)
{
    ck_assert_msg(sql_exec(store_sql(s), text, &err) == 0, "%s", err.msg);
}

/* Calls share a system prompt; each conversation of four grows. */
static char *request_of(int i)
{
    struct buf b = { .data = NULL };

    buf_str(&b, "{\"model\":\"m\",\"messages\":[{\"role\":\"system\"}");
    for (int k = 0; k <= i % 4; k++)
        buf_printf(&b, ",{\"role\":\"user\",\"content\":\"turn %d of %d\"}", k,
                   i / 4);
    buf_str(&b, "]}");
    return buf_take(&b, NULL);
}

/* Call i is i days old. */
static bool add(struct store *to, int i)
{
    char *name = mem_printf("key %d", i), *request = request_of(i);
    struct store_call c = store_call_none();
    bool added;

    c.key = slice_of(name);
    c.status = slice_of("completed");
    c.client = slice_of(i % 8 < 4 ? "ada" : "bob");
    c.time_us = clock_wall_us() - i * DAY;
    c.request = slice_of(request);
    c.response = slice_of("{\"choices\":[]}");
    ck_assert_msg(store_call_add(to, &c, &added, &err) == 0, "%s", err.msg);
    free(request);
    free(name);
    return added;
}

static void add_many(int from, int to)
{
    ck_assert_int_eq(store_group_step(s, &err), 0);
    for (int i = from; i < to; i++)
        ck_assert(add(s, i));
    ck_assert_int_eq(store_group_end(s, &err), 0);
}

static void tell(void *ctx, const char *finding)
{
    (void)ctx;
    fprintf(stderr, "%s\n", finding);
}

static void expect_whole(void)
{
    struct store_verify v = { .tell = tell };

    ck_assert_msg(store_verify(s, &v, &err) == 0, "%s", err.msg);
    ck_assert_uint_eq(v.findings, 0);
}

/* Every piece, message and origin is used. */
static void expect_nothing_unused(void)
{
    ck_assert_int_eq(one("SELECT count(*) FROM blob WHERE id NOT IN (SELECT "
                         "request FROM logged UNION SELECT response FROM "
                         "logged UNION SELECT blob FROM node)"),
                     0);
    ck_assert_int_eq(one("SELECT count(*) FROM blob_hash WHERE blob NOT IN "
                         "(SELECT id FROM blob)"),
                     0);
    ck_assert_int_eq(one("SELECT count(*) FROM node WHERE id NOT IN (SELECT "
                         "parent FROM node UNION SELECT node FROM logged)"),
                     0);
    ck_assert_int_eq(one("SELECT count(*) FROM origin WHERE id NOT IN "
                         "(SELECT origin FROM logged)"),
                     0);
}

static void prune(struct store *in, int64_t days, struct store_removed *r)
{
    struct store_prune p = { .older_than_us = days * DAY - DAY / 2 };

    ck_assert_msg(store_prune(in, &p, r, &err) == 0, "%s", err.msg);
}

static void reopen(void)
{
    store_close(s);
    s = must_open(STORE_WRITE);
}

START_TEST(old_calls_go_and_the_rest_is_whole)
{
    struct store_removed r;
    struct buf body = { .data = NULL };
    char *want = request_of(1);

    add_many(0, CALLS);
    prune(s, 100, &r);
    ck_assert_int_eq(r.calls, CALLS - 100);
    ck_assert_int_eq(one("SELECT count(*) FROM logged"), 100);
    ck_assert(r.log_cut);
    expect_whole();
    expect_nothing_unused();
    ck_assert_int_eq(
        store_body_get(s,
                       (struct store_body){
                           one("SELECT request FROM logged WHERE id = 2"),
                           one("SELECT request_at FROM logged WHERE id = 2"),
                           one("SELECT node FROM logged WHERE id = 2") },
                       &body, &err),
        0);
    ck_assert(slice_is(buf_slice(&body), want));
    prune(s, 100, &r);
    ck_assert_int_eq(r.calls + r.pieces + r.messages, 0);
    buf_release(&body);
    free(want);
}
END_TEST

START_TEST(what_was_removed_does_not_come_back)
{
    struct store_removed r;
    int64_t id;

    add_many(0, 20);
    prune(s, 10, &r);
    ck_assert(!add(s, 15));
    ck_assert(!add(s, 5));
    ck_assert_int_eq(store_call_find(s, slice_of("key 15"), &id, &err), 0);
    ck_assert_int_eq(id, -1);
    ck_assert(add(s, 21));
    ck_assert_int_eq(one("SELECT max(id) FROM logged"), 21);
    expect_whole();
}
END_TEST

START_TEST(ids_of_pieces_are_not_given_out_again)
{
    struct store_removed r;
    int64_t blobs, nodes;

    add_many(0, 20);
    blobs = one("SELECT max(id) FROM blob");
    nodes = one("SELECT max(id) FROM node");
    prune(s, 1, &r);
    reopen();
    add_many(40, 42);
    ck_assert_int_gt(one("SELECT min(id) FROM blob WHERE id > 20"), blobs);
    ck_assert_int_gt(one("SELECT max(id) FROM node"), nodes);
    expect_whole();
}
END_TEST

START_TEST(who_writes_forgets_what_was_removed)
{
    struct store *writer = must_open(STORE_WRITE);
    struct store_removed r;

    for (int i = 0; i < 40; i++)
        ck_assert(add(writer, i)); /* it remembers all ids now */
    prune(s, 1, &r);
    for (int i = 40; i < 80; i++)
        ck_assert(add(writer, i)); /* the same prompt, response and origin */
    expect_whole();
    store_close(writer);
}
END_TEST

/* Writes the same few pieces again and again until it is killed. */
static void write_for_ever(void)
{
    struct store *writer = must_open(STORE_WRITE);

    for (int i = 1000;; i++)
        (void)add(writer, i);
}

START_TEST(a_process_that_logs_meanwhile_loses_nothing)
{
    struct store_removed r;
    pid_t writer;
    int64_t gone = 0;

    add_many(0, CALLS);
    store_close(s); /* SQLite's connections do not survive a fork */
    writer = fork();
    if (writer == 0) {
        write_for_ever();
        _exit(0);
    }
    for (int i = 0; i < 12; i++) {
        struct timespec pause = { 0, 50000000 };

        (void)nanosleep(&pause, NULL);
        s = must_open(STORE_WRITE);
        prune(s, i < 6 ? CALLS - 50 * i : 1000, &r);
        gone += r.calls;
        store_close(s);
    }
    (void)kill(writer, SIGKILL);
    ck_assert_int_eq(waitpid(writer, NULL, 0), writer);
    ck_assert_int_gt(gone, 50);
    s = must_open(STORE_WRITE);
    expect_whole();
    prune(s, 1, &r);
    expect_whole();
    expect_nothing_unused();
}
END_TEST

START_TEST(a_kill_leaves_a_store_that_is_whole)
{
    struct store_removed r;

    for (int round = 0; round < 12; round++) {
        struct timespec pause = { 0, 1000000 + round * 3000000 };
        int from = 1000 * round;
        pid_t child;

        add_many(from, from + 300);
        store_close(s);
        child = fork();
        if (child == 0) {
            struct store *mine = must_open(STORE_WRITE);

            prune(mine, 1, &r);
            _exit(0);
        }
        (void)nanosleep(&pause, NULL);
        (void)kill(child, SIGKILL);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        s = must_open(STORE_WRITE);
        expect_whole();
    }
    prune(s, 1, &r);
    expect_whole();
    ck_assert_int_eq(one("SELECT count(*) FROM logged"), 1); /* of today */
    expect_nothing_unused();
}
END_TEST

START_TEST(a_size_is_kept)
{
    struct store_prune p = { .max_bytes = 400 << 10 };
    struct store_removed r;

    for (int i = 0; i < 20; i++)
        add_many(i * CALLS, (i + 1) * CALLS);
    p.dry_run = true;
    ck_assert_int_eq(store_prune(s, &p, &r, &err), 0);
    ck_assert_int_gt(r.calls, 0);
    ck_assert_int_eq(one("SELECT count(*) FROM logged"), 20 * CALLS);
    p.dry_run = false;
    p.max_bytes = r.bytes_before - (r.bytes_before - (600 << 10)) / 2;
    ck_assert_int_eq(store_prune(s, &p, &r, &err), 0);
    ck_assert_int_le(r.bytes_after, p.max_bytes);
    ck_assert_int_gt(one("SELECT count(*) FROM logged"), CALLS);
    ck_assert_int_eq(one("SELECT count(*) FROM logged WHERE id = 1"), 1);
    expect_whole();
}
END_TEST

START_TEST(examples_go_with_their_calls_or_keep_them)
{
    struct store_prune p = { .older_than_us = 5 * DAY - DAY / 2,
                             .keep_examples = true };
    struct store_removed r;

    add_many(0, 10);
    must_exec("INSERT INTO task(id, name, label, kind, created) "
              "VALUES(1, 'a', '', 'text', 0);"
              "INSERT INTO example(id, call, kept, request, request_at, node, "
              "response, task) SELECT id, id, id > 8, request, request_at, "
              "node, response, 1 FROM logged WHERE id > 7;"
              "INSERT INTO dataset(id, task, created, hash) "
              "VALUES(1, 1, 0, '');"
              "INSERT INTO dataset_example(dataset, example) "
              "SELECT 1, id FROM example;"
              "INSERT INTO evaluation(id, task, split, created, detail) "
              "VALUES(1, 1, 'test', 0, '');"
              "INSERT INTO evaluation_item(evaluation, example, answer) "
              "SELECT 1, id, 'text' FROM example;"
              "INSERT INTO outcome(call, label) SELECT id, 'x' FROM logged");
    ck_assert_int_eq(store_prune(s, &p, &r, &err), 0);
    ck_assert_int_eq(r.calls, 3);
    ck_assert_int_eq(r.examples, 1);
    expect_whole();
    p.keep_examples = false;
    ck_assert_int_eq(store_prune(s, &p, &r, &err), 0);
    ck_assert_int_eq(r.calls, 2);
    ck_assert_int_eq(r.examples, 2);
    ck_assert_int_eq(r.answers, 2);
    ck_assert_int_eq(r.outcomes, 2);
    ck_assert_int_eq(one("SELECT count(*) FROM dataset_example"), 0);
    expect_whole();
    expect_nothing_unused();
}
END_TEST

START_TEST(who_works_with_examples_is_not_disturbed)
{
    struct store *other = must_open(STORE_WRITE);
    struct store_prune p = { .older_than_us = DAY };
    struct store_removed r;

    ck_assert_int_eq(store_lock(other, "finetune", &err), 0);
    ck_assert_int_eq(store_prune(s, &p, &r, &err), ERR_BUSY);
    store_close(other);
}
END_TEST

START_TEST(a_backup_is_a_store)
{
    char *path = io_path(dir, "copy/store.db");
    struct store_verify v = { .tell = tell };
    struct store *copy;

    add_many(0, CALLS);
    *strrchr(path, '/') = '\0';
    ck_assert_int_eq(io_mkdirs(path, 0700, &err), 0);
    path[strlen(path)] = '/';
    for (int i = 0; i < 2; i++) /* over an older one */
        ck_assert_msg(store_backup(s, path, &err) == 0, "%s", err.msg);
    *strrchr(path, '/') = '\0';
    ck_assert_msg(store_open(path, STORE_WRITE, &copy, &err) == 0, "%s",
                  err.msg);
    ck_assert_int_eq(store_verify(copy, &v, &err), 0);
    ck_assert_uint_eq(v.findings, 0);
    ck_assert_int_eq(v.calls, CALLS);
    ck_assert_int_eq(sql_exec(store_sql(copy), "BEGIN EXCLUSIVE", &err), 0);
    ck_assert_int_eq(scratch_int(store_sql(copy), "SELECT count(*) FROM "
                                                  "pragma_journal_mode WHERE "
                                                  "journal_mode = 'wal'"),
                     1);
    sql_rollback(store_sql(copy));
    store_close(copy);
    ck_assert_int_eq(store_backup(s, "/nonexistent/x", &err), ERR_OUTPUT);
    free(path);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("removal", setup, teardown);

    tcase_add_test(t, old_calls_go_and_the_rest_is_whole);
    tcase_add_test(t, what_was_removed_does_not_come_back);
    tcase_add_test(t, ids_of_pieces_are_not_given_out_again);
    tcase_add_test(t, who_writes_forgets_what_was_removed);
    tcase_add_test(t, a_process_that_logs_meanwhile_loses_nothing);
    tcase_add_test(t, a_kill_leaves_a_store_that_is_whole);
    tcase_add_test(t, a_size_is_kept);
    tcase_add_test(t, examples_go_with_their_calls_or_keep_them);
    tcase_add_test(t, who_works_with_examples_is_not_disturbed);
    tcase_add_test(t, a_backup_is_a_store);
    return suite_run("store_removal", t);
}
