/*
 * test_round_trip.c - every body of an imported log, to the byte
 *
 * By default imports logs (the shipped one; the reference's with
 * SLMCTL_REFERENCE) into a store of its own, killing the import on the way.
 * With ROUND_TRIP_STORE, ROUND_TRIP_KEY and ROUND_TRIP_LOG it compares a store
 * that somebody else has filled, as tests/slow/kill_import.sh does.
 */
#include "scratch.h"
#include "suite.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "codec/codec.h"
#include "wire/wire.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KILLS 20
#define SHIPPED "data/agent/logs.jsonl.zst"

static struct err err;

struct log {
    struct buf text;
    size_t *ends; /* of line i, counted from 0 */
    size_t count, cap;
};

static void read_log(const char *path, struct log *log)
{
    struct codec_lines *r;
    struct codec_line line;
    int rc;

    ck_assert_msg(codec_lines_open(path, WIRE_LINE_MAX, &r, &err) == 0, "%s",
                  err.msg);
    while ((rc = codec_lines_next(r, &line, &err)) == 1) {
        void *ends = log->ends;

        mem_grow(&ends, &log->cap, log->count + 1, sizeof(*log->ends));
        log->ends = ends;
        buf_add_slice(&log->text, line.text);
        log->ends[log->count++] = log->text.len;
    }
    ck_assert_int_eq(rc, 0);
    codec_lines_close(r);
}

static struct slice log_line(const struct log *log, int64_t number)
{
    size_t i = (size_t)number - 1;
    size_t from = i ? log->ends[i - 1] : 0;

    ck_assert_uint_lt(i, log->count);
    return (struct slice){ log->text.data + from, log->ends[i] - from };
}

static int64_t one(struct store *s, const char *text)
{
    return scratch_int(store_sql(s), text);
}

static void compare_call(struct store *s, struct sql_stmt *q, struct slice line,
                         struct buf *back, struct wire_record *rec)
{
    struct store_body b = { sql_int(q, 1), sql_int(q, 2), sql_int(q, 3) };

    ck_assert_msg(wire_record_parse(rec, line, &err) == 0, "%s", err.msg);
    buf_reset(back);
    ck_assert_msg(store_body_get(s, b, back, &err) == 0, "%s", err.msg);
    ck_assert(slice_eq(buf_slice(back), rec->call.request));
    buf_reset(back);
    ck_assert_msg(store_blob_get(s, sql_int(q, 4), back, &err) == 0, "%s",
                  err.msg);
    ck_assert(slice_eq(buf_slice(back), rec->call.response));
    ck_assert(slice_eq(sql_text(q, 5), rec->call.status));
}

/* Every call equals its line; the number of calls compared. */
static size_t compare(struct store *s, const struct log *log)
{
    struct wire_record rec = { 0 };
    struct buf back = { 0 };
    struct sql_stmt *q;
    size_t count = 0;

    ck_assert_int_eq(sql_get(store_sql(s),
                             "SELECT line, request, request_at, node, "
                             "response, status FROM call ORDER BY id",
                             &q, &err),
                     0);
    while (sql_step(q, &err) == 1) {
        compare_call(s, q, log_line(log, sql_int(q, 0)), &back, &rec);
        count++;
    }
    wire_record_release(&rec);
    buf_release(&back);
    ck_assert_int_eq(one(s, "SELECT count(*) FROM pragma_integrity_check "
                            "WHERE integrity_check <> 'ok'"),
                     0);
    ck_assert_int_eq(one(s, "SELECT count(*) FROM pragma_foreign_key_check"),
                     0);
    ck_assert_int_eq(one(s, "SELECT count(*) FROM call_key"), (int64_t)count);
    return count;
}

/* The child imports until it is done or killed. */
static void import_in_child(const char *dir, const char *path)
{
    struct wire_import im = { .pool = pool_new(2) };
    struct err e;
    int rc = store_open(dir, STORE_CREATE, &im.store, &e);

    if (rc == 0)
        rc = wire_import_file(&im, path, &e);
    store_close(im.store);
    _exit(rc < 0 ? 1 : 0);
}

static bool run_and_kill(const char *dir, const char *path, int64_t after_us)
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0)
        import_in_child(dir, path);
    if (after_us >= 0) {
        struct timespec t = { 0, (long)after_us * 1000 };

        (void)nanosleep(&t, NULL);
        (void)kill(child, SIGKILL);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

/* What a whole import says it adds. */
static size_t calls_of(const char *dir, const char *path)
{
    struct wire_import im = { 0 };

    ck_assert_int_eq(store_open(dir, STORE_CREATE, &im.store, &err), 0);
    ck_assert_msg(wire_import_file(&im, path, &err) == 0, "%s", err.msg);
    store_close(im.store);
    buf_release(&im.rejected_paths);
    return im.counts.added;
}

static void kill_and_compare(const char *path)
{
    char dir[SCRATCH_MAX];
    struct log log = { { 0 }, NULL, 0, 0 };
    char *whole, *killed;
    struct store *s;
    struct rng r;
    size_t want;

    scratch_make(dir);
    whole = io_path(dir, "whole");
    killed = io_path(dir, "killed");
    want = calls_of(whole, path);
    rng_init(&r, 1);
    for (int i = 0, hits = 0; i < 3 * KILLS && hits < KILLS; i++)
        hits += run_and_kill(killed, path, (int64_t)rng_below(&r, 300000));
    ck_assert(!run_and_kill(killed, path, -1));
    read_log(path, &log);
    ck_assert_int_eq(store_open(killed, STORE_READ, &s, &err), 0);
    ck_assert_uint_eq(compare(s, &log), want);
    store_close(s);
    scratch_remove(dir);
    free(whole);
    free(killed);
    free(log.ends);
    buf_release(&log.text);
}

START_TEST(the_shipped_log_survives_twenty_kills)
{
    if (!io_exists(SHIPPED)) {
        printf("skip: round_trip: %s is not here\n", SHIPPED);
        return;
    }
    kill_and_compare(SHIPPED);
}
END_TEST

START_TEST(the_reference_logs_survive_twenty_kills)
{
    static const char *const names[] = { "agentmix", "tau-bench-airline",
                                         "metagpt" };
    const char *reference = getenv("SLMCTL_REFERENCE");
    char *path;

    if (!reference) {
        printf("skip: round_trip: SLMCTL_REFERENCE is not set\n");
        return;
    }
    path = mem_printf("%s/data/agent-logs/%s.jsonl.zst", reference, names[_i]);
    kill_and_compare(path);
    free(path);
}
END_TEST

START_TEST(the_given_store_equals_its_log)
{
    const char *dir = getenv("ROUND_TRIP_STORE");
    const char *path = getenv("ROUND_TRIP_LOG");
    const struct store_access access = { .key_file = getenv("ROUND_TRIP_KEY") };
    struct log log = { { 0 }, NULL, 0, 0 };
    struct store *s;

    if (!dir || !path)
        return;
    read_log(path, &log);
    ck_assert_msg(store_open_with(dir, STORE_READ, &access, &s, &err) == 0,
                  "%s", err.msg);
    printf("%zu calls equal their lines\n", compare(s, &log));
    store_close(s);
    free(log.ends);
    buf_release(&log.text);
}
END_TEST

int main(void)
{
    bool given = getenv("ROUND_TRIP_STORE") != NULL;
    TCase *t = tcase_create("round_trip");

    tcase_set_timeout(t, 120);
    if (given) {
        tcase_add_test(t, the_given_store_equals_its_log);
    } else {
        tcase_add_test(t, the_shipped_log_survives_twenty_kills);
        tcase_add_loop_test(t, the_reference_logs_survive_twenty_kills, 0, 3);
    }
    return suite_run("round_trip", t);
}
