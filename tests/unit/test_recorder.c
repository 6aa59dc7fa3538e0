/* test_recorder.c - records on their way to the store, and what is left of
 * those that did not arrive */
#include "recorder_fixture.h"

START_TEST(calls_arrive_whatever_the_durability)
{
    struct recorder_options o = options((enum recorder_durability)_i);
    struct recorder *r = open_with(&o);
    struct recorder_stats s;

    reset_told(false);
    submit_many(r, 300, on_done, &told);
    if (_i != RECORDER_SYNC)
        ck_assert_int_eq(told_count(), 300);
    ck_assert(wait_for_told(300));
    ck_assert_int_eq(told.dropped, 0);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 300);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = "
                         "'completed'"),
                     300);
    ck_assert_int_eq(ask("SELECT count(*) FROM gap"), 0);
    ck_assert_int_eq(spool_files(".seg"), 0);
    ck_assert_int_eq(spool_files(".calls"), 0);
    r = open_with(&o);
    nap_ms(100);
    s = stats_of(r);
    ck_assert(s.store_ok && s.lost == 0 && s.replayed == 0);
    close_all(r);
}
END_TEST

START_TEST(sync_is_told_after_the_commit)
{
    struct recorder_options o = options(RECORDER_SYNC);
    struct recorder *r = open_with(&o);

    reset_told(true);
    submit_many(r, 1, on_done, &told);
    ck_assert(wait_for_told(1));
    ck_assert_int_eq(told.seen, 1);
    close_all(r);
    /* What slmctl status shows of it. */
    ck_assert_int_eq(ask("SELECT high FROM stage WHERE name = 'collect'"), 1);
}
END_TEST

/* The queue is full while the store is locked; all the rest goes to segments
 * and comes back. */
START_TEST(a_locked_store_delays_and_loses_nothing)
{
    static const enum recorder_durability kinds[] = { RECORDER_BATCH,
                                                      RECORDER_SPOOL };
    struct recorder_options o = options(kinds[_i]);
    struct store *lock;
    struct recorder *r;

    o.queue_bytes = 16 << 10;
    r = open_with(&o);
    lock = submit_while_locked(r, 500);
    ck_assert_int_eq(told.kept, 500);
    nap_ms(300);
    ck_assert(stats_of(r).spilled > 0);
    unlock_store(lock);
    for (int i = 0; i < WAIT_MS / 10 &&
                    (stats_of(r).queue_calls || stats_of(r).spool_bytes);
         i++)
        nap_ms(10);
    ck_assert(stats_of(r).replayed > 0 && stats_of(r).spool_bytes == 0);
    /* Not what is queued as well. */
    ck_assert_uint_eq(stats_of(r).replayed, stats_of(r).spilled);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 501);
    ck_assert_int_eq(ask("SELECT count(*) FROM gap"), 0);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = 'lost'"), 0);
    /* Calls that ended twice left a log of intents that was never empty. */
    ck_assert_int_eq(spool_files(".calls"), 0);
}
END_TEST

/* Nobody waits longer for durability than one try of the store takes. */
START_TEST(sync_is_told_from_the_spool_when_the_store_is_locked)
{
    struct recorder_options o = options(RECORDER_SYNC);
    struct store *lock;
    struct recorder *r = open_with(&o);
    int64_t start;

    lock = submit_while_locked(r, 20);
    ck_assert(wait_for_told(20));
    ck_assert_int_eq(told.dropped, 0);
    ck_assert_int_eq(stats_of(r).spilled, 20);
    ck_assert(!stats_of(r).store_ok);
    /* Each of them waited for the next try of the store, the 0.5 s of a lock
     * and the pause before it. */
    start = clock_mono_ns();
    for (int i = 1; i <= 20; i++) {
        submit_many(r, 1, on_done, &told);
        ck_assert(wait_for_told(20 + i));
    }
    ck_assert(clock_mono_ns() - start < INT64_C(5000000000));
    unlock_store(lock);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 41);
}
END_TEST

START_TEST(what_is_dropped_leaves_a_gap_and_is_not_lost)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder_stats s;
    struct store *lock;
    struct recorder *r;

    o.queue_bytes = 8 << 10;
    o.overload = _i ? RECORDER_SPILL : RECORDER_DROP;
    o.spool_bytes = _i ? 4 << 10 : 64 << 20;
    r = open_with(&o);
    lock = submit_while_locked(r, 200);
    ck_assert(told.dropped > 100);
    unlock_store(lock);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call") +
                         ask("SELECT sum(calls) FROM gap"),
                     201);
    ck_assert_int_eq(ask("SELECT sum(calls) FROM gap WHERE reason = "
                         "'overload' AND time <= until AND bytes > 0"),
                     told.dropped);
    r = open_with(&o);
    nap_ms(200);
    s = stats_of(r);
    ck_assert(s.lost == 0);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = 'lost'"), 0);
}
END_TEST

/* They were in memory alone: a stop without room for rows forgot them. */
START_TEST(gaps_that_could_not_be_written_are_by_the_next_process)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct store *lock;
    struct recorder *r;
    struct err err;

    o.queue_bytes = 8 << 10;
    o.overload = RECORDER_DROP;
    r = open_with(&o);
    lock = submit_while_locked(r, 200);
    ck_assert(told.dropped > 100);
    ck_assert_int_eq(recorder_close(r, 0, &err), ERR_OK);
    unlock_store(lock);
    ck_assert_int_eq(ask("SELECT count(*) FROM gap"), 0);
    r = open_with(&o);
    close_all(r);
    ck_assert_int_eq(ask("SELECT sum(calls) FROM gap"), told.dropped);
    r = open_with(&o);
    close_all(r);
    ck_assert_int_eq(ask("SELECT sum(calls) FROM gap"), told.dropped);
}
END_TEST

START_TEST(a_full_queue_refuses_or_holds_new_calls)
{
    struct recorder_options o = options(RECORDER_BATCH);
    char id[RECORDER_ID_CHARS + 1];
    struct slice none = { NULL, 0 };
    struct store *lock;
    struct recorder *r;
    struct err err;
    int rc = ERR_OK;

    o.queue_bytes = 4 << 10;
    o.overload = _i ? RECORDER_BLOCK : RECORDER_REJECT;
    r = open_with(&o);
    lock = lock_after_one(r);
    for (int i = 0; i < 100 && rc == ERR_OK; i++) {
        rc = recorder_begin(r, TIME, none, none, id, &err);
        if (rc == ERR_OK)
            submit(r, id, "{\"role\":\"user\",\"content\":\"x\"}", NULL, NULL);
    }
    ck_assert_int_eq(rc, _i ? ERR_BUSY : ERR_LIMIT);
    ck_assert_int_eq(stats_of(r).refused, _i ? 0 : 1);
    ck_assert(stats_of(r).full);
    unlock_store(lock);
    for (int i = 0; i < WAIT_MS / 10 && stats_of(r).queue_calls; i++)
        nap_ms(10);
    ck_assert(!stats_of(r).full && stats_of(r).dropped_ago_ms == -1);
    begin(r, id);
    submit(r, id, "{\"role\":\"user\",\"content\":\"y\"}", NULL, NULL);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM gap"), 0);
}
END_TEST

/* A process is killed that has ended some calls and begun others. */
static void die_within(enum recorder_durability d, int ended, int begun)
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct recorder_options o = options(d);
        struct recorder *r = open_with(&o);
        char id[RECORDER_ID_CHARS + 1];

        reset_told(false);
        submit_many(r, (size_t)ended, on_done, &told);
        if (d == RECORDER_BATCH)
            while (stats_of(r).written < (uint64_t)ended)
                nap_ms(1);
        if (!wait_for_told(ended))
            _exit(1);
        for (int i = 0; i < begun; i++)
            begin(r, id);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

START_TEST(a_killed_process_leaves_lost_calls_for_those_that_ran)
{
    enum recorder_durability d = (enum recorder_durability)_i;
    struct recorder_options o = options(d);
    struct recorder *r;

    die_within(d, 40, 7);
    for (int k = 0; k < 2; k++) { /* once only */
        r = open_with(&o);
        nap_ms(300);
        close_all(r);
        ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = "
                             "'completed'"),
                         40);
        ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = "
                             "'lost' AND upstream = 'up' AND time = "
                             "1700000000000000"),
                         7);
    }
    ck_assert_int_eq(spool_files(".calls"), 0);
}
END_TEST

/* A process is killed whose store took none of its calls but the first. */
static void die_with_a_spool(int calls)
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct recorder_options o = options(RECORDER_SPOOL);
        struct recorder *r;

        o.queue_bytes = 16 << 20;
        r = open_with(&o);
        (void)submit_while_locked(r, (size_t)calls);
        _exit(told.kept == calls ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* New calls that wait for their group made the writer think that it had nothing
 * else to do: the old ones were lost while they stood in the spool, and stayed
 * so when they were read. More of them than go into one group. */
START_TEST(calls_of_a_spool_are_not_lost_before_it_is_read)
{
    struct recorder_options o = options(RECORDER_SPOOL);
    struct recorder *r;

    die_with_a_spool(1500);
    o.queue_bytes = 16 << 20;
    o.commit_ms = WAIT_MS;
    r = open_with(&o);
    submit_many(r, 1, NULL, NULL);
    for (int i = 0; i < WAIT_MS / 20 && stats_of(r).replayed < 1500; i++)
        nap_ms(10);
    /* Whatever new calls there are, it is read. */
    ck_assert_int_eq(stats_of(r).replayed, 1500);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = 'lost'"), 0);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 1502);
    ck_assert_int_eq(spool_files(".seg"), 0);
    /* The next one has nothing to tell of them either. */
    r = open_with(&o);
    nap_ms(300);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 1502);
    ck_assert_int_eq(spool_files(".calls"), 0);
}
END_TEST

/* Segments of a process that could never write, with bytes broken off. */
static void leave_segment(const struct crypto_key *key, size_t calls)
{
    struct recorder_options o = options(RECORDER_SYNC);
    struct store *lock;
    struct recorder *r;
    struct err err;

    o.key = key;
    o.queue_bytes = 1;
    r = open_with(&o);
    nap_ms(100);
    lock = lock_store();
    reset_told(false);
    submit_many(r, calls + 1, on_done, &told);
    for (int i = 0; i < WAIT_MS && told_count() < (int)calls; i++)
        nap_ms(1);
    ck_assert_int_ge(told_count(), (int)calls);
    ck_assert_int_eq(told.dropped, 0);
    ck_assert_int_eq(recorder_close(r, 0, &err), ERR_OK);
    unlock_store(lock);
    ck_assert_int_eq(spool_files(".seg"), 1);
}

static void damage(const char *how)
{
    char command[256];

    (void)snprintf(command, sizeof(command),
                   "f=$(ls %s/spool/*.seg); n=$(stat -c %%s $f); %s", dir, how);
    ck_assert_int_eq(system(command), 0);
}

static const char *const damages[] = {
    "truncate -s $((n - 5)) $f",
    "printf xxx | dd of=$f bs=1 seek=$((n - 40)) conv=notrunc 2>/dev/null",
    "printf '\\377\\377\\377\\377' >>$f",
};

START_TEST(a_damaged_tail_costs_no_more_than_itself)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct crypto_key key;
    struct recorder *r;

    crypto_random(&key, sizeof(key));
    o.key = &key;
    leave_segment(&key, 9);
    damage(damages[_i]);
    r = open_with(&o);
    for (int i = 0; i < WAIT_MS / 10 && stats_of(r).spool_bytes; i++)
        nap_ms(10);
    nap_ms(100);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = "
                         "'completed'"),
                     _i == 2 ? 10 : 9);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = 'lost'"),
                     _i == 2 ? 0 : 1);
    ck_assert_int_eq(ask("SELECT count(*) FROM gap WHERE reason = 'damaged'"),
                     1);
    ck_assert_int_eq(spool_files(".seg"), 0);
}
END_TEST

START_TEST(a_segment_is_sealed_with_the_key)
{
    char command[160];
    struct crypto_key key;

    crypto_random(&key, sizeof(key));
    leave_segment(&key, 3);
    (void)snprintf(command, sizeof(command),
                   "grep -rqs '\"messages\"' %s/spool", dir);
    ck_assert_int_ne(system(command), 0);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("recorder", set_up, tear_down);

    tcase_add_loop_test(t, calls_arrive_whatever_the_durability, 0, 3);
    tcase_add_test(t, sync_is_told_after_the_commit);
    tcase_add_loop_test(t, a_locked_store_delays_and_loses_nothing, 0, 2);
    tcase_add_test(t, sync_is_told_from_the_spool_when_the_store_is_locked);
    tcase_add_test(t, gaps_that_could_not_be_written_are_by_the_next_process);
    tcase_add_loop_test(t, what_is_dropped_leaves_a_gap_and_is_not_lost, 0, 2);
    tcase_add_loop_test(t, a_full_queue_refuses_or_holds_new_calls, 0, 2);
    tcase_add_loop_test(
        t, a_killed_process_leaves_lost_calls_for_those_that_ran, 0, 3);
    tcase_add_test(t, calls_of_a_spool_are_not_lost_before_it_is_read);
    tcase_add_loop_test(t, a_damaged_tail_costs_no_more_than_itself, 0, 3);
    tcase_add_test(t, a_segment_is_sealed_with_the_key);
    return suite_run("recorder", t);
}
