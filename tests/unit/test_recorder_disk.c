/* test_recorder_disk.c - a disk without room, or that takes its time: files
 * that do not grow, a sync of segments that waits */
#include "recorder_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>

#define SLOT 128 /* of a call in the log of intents */

static atomic_bool disk_hangs, disk_fails;
static atomic_int syncs;

/* In place of the C library's: of segments only. */
int fdatasync(int fd)
{
    char link[64], path[512] = "";

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof(path) - 1) > 0 && strstr(path, ".seg")) {
        atomic_fetch_add(&syncs, 1);
        while (atomic_load(&disk_hangs))
            nap_ms(1);
        if (atomic_load(&disk_fails)) {
            errno = EIO;
            return -1;
        }
    }
    return (int)syscall(SYS_fdatasync, fd);
}

/* All go to segments; the first one's sync does not return. */
START_TEST(a_slow_disk_holds_up_nobody_but_who_waits_for_it)
{
    struct recorder_options o = options(RECORDER_SYNC);
    char ids[20][RECORDER_ID_CHARS + 1];
    struct recorder *r;
    int64_t start;

    o.queue_bytes = 0;
    r = open_with(&o);
    reset_told(false);
    atomic_store(&disk_hangs, true);
    start = clock_mono_ns();
    for (int i = 0; i < 20; i++) {
        begin(r, ids[i]);
        submit(r, ids[i], "{\"role\":\"user\",\"content\":\"x\"}", on_done,
               &told);
    }
    ck_assert_int_eq((int)stats_of(r).spilled, 20);
    ck_assert_int_lt(clock_mono_ns() - start, INT64_C(2000000000));
    for (int i = 0; i < WAIT_MS && !atomic_load(&syncs); i++)
        nap_ms(1);
    ck_assert_int_eq(atomic_load(&syncs), 1);
    ck_assert_int_eq(told_count(), 0);
    atomic_store(&disk_hangs, false);
    ck_assert(wait_for_told(20));
    ck_assert_int_eq(told.kept, 20);
    ck_assert_int_le(atomic_load(&syncs), 3); /* not one for each */
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 20);
}
END_TEST

/* The record is in its segment, so it reaches the store; but nobody was told
 * that it was durable. Policies that withhold answers do so here as well. */
START_TEST(a_sync_that_fails_is_told_or_tried_again)
{
    struct recorder_options o = options(RECORDER_SYNC);
    char id[RECORDER_ID_CHARS + 1];
    struct store *lock;
    struct recorder *r;

    o.overload = _i ? RECORDER_BLOCK : RECORDER_SPILL;
    r = open_with(&o);
    lock = lock_after_one(r);
    reset_told(false);
    begin(r, id);
    atomic_store(&disk_fails, true);
    submit(r, id, "{\"role\":\"user\",\"content\":\"x\"}", on_done, &told);
    if (_i) {
        for (int i = 0; i < WAIT_MS && !atomic_load(&syncs); i++)
            nap_ms(1);
        ck_assert_int_eq(told_count(), 0);
        atomic_store(&disk_fails, false);
    }
    ck_assert(wait_for_told(1));
    ck_assert_int_eq(told.kept, _i);
    ck_assert_int_eq((int)stats_of(r).unsynced, !_i);
    atomic_store(&disk_fails, false);
    unlock_store(lock);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 2);
}
END_TEST

/* Without an assertion: each of them writes to a file. */
static void limit_files(rlim_t bytes)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_FSIZE, &l) < 0)
        _exit(1);
    l.rlim_cur = bytes < l.rlim_max ? bytes : l.rlim_max;
    if (setrlimit(RLIMIT_FSIZE, &l) < 0)
        _exit(1);
}

/* No file grows, as on a full disk. Only who was there at the first failure
 * was told; and where it was the first group that failed (_i), the row of its
 * source was missing from then on. */
START_TEST(a_full_disk_holds_up_no_sync_client)
{
    struct recorder_options o = options(RECORDER_SYNC);
    struct recorder *r = open_with(&o);
    char ids[3][RECORDER_ID_CHARS + 1];

    reset_told(false);
    if (!_i)
        submit_many(r, 1, on_done, &told);
    ck_assert(wait_for_told(!_i));
    for (int i = 0; i < 3; i++)
        begin(r, ids[i]);
    limit_files(0);
    for (int i = 0; i < 3; i++) {
        submit(r, ids[i], "{\"role\":\"user\",\"content\":\"x\"}", on_done,
               &told);
        (void)wait_for_told(i + 1 + !_i);
    }
    limit_files(RLIM_INFINITY);
    ck_assert_int_eq(told.dropped, 3);
    ck_assert_int_eq((int)stats_of(r).unsynced, 3);
    for (int i = 0; i < WAIT_MS / 10 && stats_of(r).queue_calls; i++)
        nap_ms(10);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 3 + !_i);
    ck_assert_int_eq(ask("SELECT count(*) FROM gap"), 0);
}
END_TEST

/* The policies that hold back new calls hold back the ends of those that run
 * as well: clients were told of what a kill would have lost. */
START_TEST(a_full_disk_withholds_sync_answers_where_calls_may_be_held)
{
    struct recorder_options o = options(RECORDER_SYNC);
    char id[RECORDER_ID_CHARS + 1], ids[2][RECORDER_ID_CHARS + 1];
    struct slice none = { NULL, 0 };
    struct recorder *r;
    struct err err;
    int rc, count;

    o.overload = _i ? RECORDER_BLOCK : RECORDER_REJECT;
    r = open_with(&o);
    reset_told(false);
    submit_many(r, 1, on_done, &told);
    ck_assert(wait_for_told(1));
    for (int i = 0; i < 2; i++)
        begin(r, ids[i]);
    limit_files(0);
    for (int i = 0; i < 2; i++)
        submit(r, ids[i], "{\"role\":\"user\",\"content\":\"x\"}", on_done,
               &told);
    nap_ms(700);
    count = told_count();
    rc = recorder_begin(r, TIME, none, none, id, &err);
    limit_files(RLIM_INFINITY);
    ck_assert_int_eq(count, 1);
    ck_assert_int_eq(rc, _i ? ERR_BUSY : ERR_LIMIT);
    ck_assert(wait_for_told(3));
    ck_assert_int_eq(told.kept, 3);

    begin(r, id);
    submit(r, id, "{\"role\":\"user\",\"content\":\"x\"}", NULL, NULL);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = "
                         "'completed'"),
                     4);
    ck_assert_int_eq(ask("SELECT count(*) FROM gap"), 0);
}
END_TEST

/* What the next process finds of one that a kill ended within act. */
static void die_after(void (*act)(struct recorder *r),
                      enum recorder_durability d,
                      enum recorder_overload overload)
{
    struct recorder_options o = options(d);
    pid_t child = fork();
    int status;

    o.overload = overload;
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        o.queue_bytes = 8 << 10;
        act(open_with(&o));
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (int k = 0; k < 2; k++) { /* once only */
        struct recorder *r = open_with(&o);

        nap_ms(300);
        close_all(r);
        ck_assert_int_eq(spool_files(".calls"), 0);
    }
}

/* Where no file may grow. */
static void begin_without_room(struct recorder *r,
                               char id[RECORDER_ID_CHARS + 1], rlim_t bytes)
{
    struct slice none = { NULL, 0 };
    struct err err;
    int rc;

    limit_files(bytes);
    rc = recorder_begin(r, TIME, none, none, id, &err);
    limit_files(RLIM_INFINITY);
    ck_assert_int_eq(rc, ERR_OK);
}

static int64_t count_lost(void)
{
    return ask("SELECT count(*) FROM call WHERE status = 'lost'");
}

static void begin_many(struct recorder *r, int n)
{
    char id[RECORDER_ID_CHARS + 1];

    for (int i = 0; i < n; i++)
        begin(r, id);
}

static void tear_an_intent(struct recorder *r)
{
    char id[RECORDER_ID_CHARS + 1];

    begin_many(r, 3);
    begin_without_room(r, id, 3 * SLOT + 70);
    begin_many(r, 2);
    ck_assert_int_eq((int)stats_of(r).unannounced, 1);
}

/* The tear moved what stood behind it, and reading ended there. */
START_TEST(an_intent_torn_by_a_full_disk_hides_no_other)
{
    die_after(tear_an_intent, RECORDER_BATCH, RECORDER_SPILL);
    ck_assert_int_eq(count_lost(), 5);
    ck_assert_int_eq(ask("SELECT sum(calls) FROM gap WHERE reason = "
                         "'unannounced' AND time = 1700000000000000"),
                     1);
}
END_TEST

static void run_unannounced(struct recorder *r)
{
    char id[3][RECORDER_ID_CHARS + 1];

    for (int i = 0; i < 3; i++)
        begin_without_room(r, id[i], 0);
    (void)lock_store();
    submit(r, id[0], "{\"role\":\"user\",\"content\":\"a\"}", NULL, NULL);
}

/* Nothing was known of them. The one whose record is in a segment is no gap. */
START_TEST(calls_that_no_disk_knew_of_are_counted_after_a_kill)
{
    die_after(run_unannounced, RECORDER_SPOOL, RECORDER_SPILL);
    ck_assert_int_eq(count_lost(), 0);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = "
                         "'completed'"),
                     1);
    ck_assert_int_eq(ask("SELECT sum(calls) FROM gap"), 2);
}
END_TEST

START_TEST(calls_that_no_disk_knew_of_and_that_end_leave_nothing)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);
    char id[RECORDER_ID_CHARS + 1];

    begin_without_room(r, id, 0);
    ck_assert_int_eq((int)stats_of(r).unannounced, 1);
    submit(r, id, "{\"role\":\"user\",\"content\":\"a\"}", NULL, NULL);
    close_all(r);
    close_all(open_with(&o));
    ck_assert_int_eq(ask("SELECT count(*) FROM gap"), 0);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = "
                         "'completed'"),
                     1);
}
END_TEST

#define DROPPED_OF 200

static void drop_without_room(struct recorder *r)
{
    char id[DROPPED_OF][RECORDER_ID_CHARS + 1];

    for (int i = 0; i < DROPPED_OF; i++)
        begin(r, id[i]);
    (void)lock_store();
    limit_files(DROPPED_OF * SLOT); /* the log of intents cannot grow */
    for (int i = 0; i < DROPPED_OF; i++)
        submit(r, id[i], "{\"role\":\"user\",\"content\":\"a\"}", NULL, NULL);
    limit_files(RLIM_INFINITY);
    ck_assert_int_gt((int)stats_of(r).dropped, 100);
}

/* Their ends found no room, so that they were lost as well. */
START_TEST(a_call_in_a_gap_is_not_lost_as_well)
{
    int64_t gaps;

    die_after(drop_without_room, RECORDER_BATCH, RECORDER_DROP);
    gaps = ask("SELECT sum(calls) FROM gap WHERE reason = 'overload'");
    ck_assert_int_gt((int)gaps, 100);
    ck_assert_int_eq((int)(gaps + count_lost()), DROPPED_OF);
}
END_TEST

static void set_up_disk(void)
{
    set_up();
    (void)signal(SIGXFSZ, SIG_IGN);
}

int main(void)
{
    TCase *t = suite_case("recorder_disk", set_up_disk, tear_down);

    tcase_add_loop_test(t, a_full_disk_holds_up_no_sync_client, 0, 2);
    tcase_add_loop_test(
        t, a_full_disk_withholds_sync_answers_where_calls_may_be_held, 0, 2);
    tcase_add_test(t, a_slow_disk_holds_up_nobody_but_who_waits_for_it);
    tcase_add_loop_test(t, a_sync_that_fails_is_told_or_tried_again, 0, 2);
    tcase_add_test(t, an_intent_torn_by_a_full_disk_hides_no_other);
    tcase_add_test(t, calls_that_no_disk_knew_of_are_counted_after_a_kill);
    tcase_add_test(t, calls_that_no_disk_knew_of_and_that_end_leave_nothing);
    tcase_add_test(t, a_call_in_a_gap_is_not_lost_as_well);
    return suite_run("recorder_disk", t);
}
