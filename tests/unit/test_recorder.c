/* test_recorder.c - records on their way to the store, and what is left of
 * those that did not arrive */
#include "recorder/recorder.h"

#include "base/clock.h"

#include "scratch.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define TIME INT64_C(1700000000000000)
#define WAIT_MS 20000

static char dir[SCRATCH_MAX];

static void set_up(void)
{
    struct err err;

    scratch_make(dir);
    ck_assert_int_eq(crypto_init(&err), ERR_OK);
}

static void tear_down(void)
{
    scratch_remove(dir);
}

static void nap_ms(int64_t ms)
{
    struct timespec t = { ms / 1000, (ms % 1000) * 1000000 };

    (void)nanosleep(&t, NULL);
}

static struct recorder_options options(enum recorder_durability d)
{
    return (struct recorder_options){ .store = dir,
                                      .durability = d,
                                      .queue_bytes = 1 << 20,
                                      .spool_bytes = 64 << 20,
                                      .commit_ms = 5 };
}

static struct recorder *open_with(const struct recorder_options *o)
{
    struct recorder *r = NULL;
    struct err err;

    ck_assert_msg(recorder_open(o, &r, &err) == ERR_OK, "%s", err.msg);
    return r;
}

static void close_all(struct recorder *r)
{
    struct err err;

    ck_assert_int_eq(recorder_close(r, WAIT_MS, &err), ERR_OK);
}

static void begin(struct recorder *r, char id[RECORDER_ID_CHARS + 1])
{
    struct err err;
    int rc = recorder_begin(r, TIME, slice_of("up"),
                            slice_of("/v1/chat/completions"), id, &err);

    ck_assert_msg(rc == ERR_OK, "%s", err.msg);
}

/* An exchange of OpenAI chat with these messages. */
struct made {
    struct wire_exchange x;
    char request[4096], response[512];
};

static void make(struct made *m, const char *id, const char *messages)
{
    (void)snprintf(m->request, sizeof(m->request),
                   "{\"model\":\"m\",\"messages\":[%s]}", messages);
    (void)snprintf(m->response, sizeof(m->response),
                   "{\"id\":\"r-%s\",\"object\":\"chat.completion\",\"model\":"
                   "\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
                   "\"assistant\",\"content\":\"ok\"},\"finish_reason\":"
                   "\"stop\"}]}",
                   id);
    m->x = wire_exchange_none();
    m->x.id = slice_of(id);
    m->x.upstream = slice_of("up");
    m->x.method = slice_of("POST");
    m->x.target = slice_of("/v1/chat/completions");
    m->x.request = slice_of(m->request);
    m->x.request_type = slice_of("application/json");
    m->x.response = slice_of(m->response);
    m->x.response_type = slice_of("application/json");
    m->x.http_status = 200;
    m->x.time_us = TIME;
    m->x.latency_us = 1000;
}

static void submit(struct recorder *r, const char *id, const char *messages,
                   void (*done)(void *, bool), void *ctx)
{
    struct made m;

    make(&m, id, messages);
    recorder_submit(r, &m.x, done, ctx);
}

/* n calls with a text of their own, begun and ended. */
static void submit_many(struct recorder *r, size_t n,
                        void (*done)(void *, bool), void *ctx)
{
    for (size_t i = 0; i < n; i++) {
        char id[RECORDER_ID_CHARS + 1], messages[128];

        begin(r, id);
        (void)snprintf(messages, sizeof(messages),
                       "{\"role\":\"user\",\"content\":\"%zu\"}", i);
        submit(r, id, messages, done, ctx);
    }
}

static int64_t ask(const char *text)
{
    struct store *s = NULL;
    struct err err;
    int64_t n;

    ck_assert_msg(store_open(dir, STORE_READ, &s, &err) == ERR_OK, "%s",
                  err.msg);
    n = scratch_int(store_sql(s), text);
    store_close(s);
    return n;
}

static void ask_text(const char *text, char *out, size_t size)
{
    struct store *s = NULL;
    struct sql_stmt *q;
    struct err err;
    struct slice v;

    ck_assert_int_eq(store_open(dir, STORE_READ, &s, &err), ERR_OK);
    ck_assert_int_eq(sql_get(store_sql(s), text, &q, &err), ERR_OK);
    ck_assert_int_eq(sql_step(q, &err), 1);
    v = sql_text(q, 0);
    (void)snprintf(out, size, "%.*s", (int)v.n, v.n ? v.p : "");
    sql_reset(q);
    store_close(s);
}

/* What `done` has told so far, and what was in the store when it told. */
static struct told {
    pthread_mutex_t lock;
    int kept, dropped;
    int64_t seen; /* calls in the store at the first one; -1: not asked */
    bool asks;
} told = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void reset_told(bool asks)
{
    told.kept = told.dropped = 0;
    told.asks = asks;
    told.seen = -1;
}

static void on_done(void *ctx, bool kept)
{
    struct told *t = ctx;

    (void)pthread_mutex_lock(&t->lock);
    if (t->asks && t->seen < 0)
        t->seen = ask("SELECT count(*) FROM call");
    t->kept += kept;
    t->dropped += !kept;
    (void)pthread_mutex_unlock(&t->lock);
}

static int told_count(void)
{
    int n;

    (void)pthread_mutex_lock(&told.lock);
    n = told.kept + told.dropped;
    (void)pthread_mutex_unlock(&told.lock);
    return n;
}

static bool wait_for_told(int n)
{
    for (int i = 0; i < WAIT_MS && told_count() < n; i++)
        nap_ms(1);
    return told_count() == n;
}

static struct recorder_stats stats_of(struct recorder *r)
{
    struct recorder_stats s;

    recorder_stats_read(r, &s);
    return s;
}

/* Another connection that writes. */
static struct store *lock_store(void)
{
    struct store *s = NULL;
    struct err err;

    ck_assert_msg(store_open(dir, STORE_CREATE, &s, &err) == ERR_OK, "%s",
                  err.msg);
    ck_assert_int_eq(sql_begin(store_sql(s), &err), ERR_OK);
    return s;
}

static void unlock_store(struct store *s)
{
    sql_rollback(store_sql(s));
    store_close(s);
}

static size_t spool_files(const char *ending)
{
    char command[160], text[16] = "";
    FILE *f;

    (void)snprintf(command, sizeof(command),
                   "find %s/spool -name '*%s' -size +0 | wc -l", dir, ending);
    f = popen(command, "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_ptr_nonnull(fgets(text, sizeof(text), f));
    (void)pclose(f);
    return (size_t)atol(text);
}

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
    submit_many(r, 1, NULL, NULL);
    nap_ms(200);
    lock = lock_store();
    reset_told(false);
    submit_many(r, 500, on_done, &told);
    ck_assert_int_eq(told.kept, 500);
    nap_ms(300);
    ck_assert(stats_of(r).spilled > 0);
    unlock_store(lock);
    for (int i = 0; i < WAIT_MS / 10 &&
                    (stats_of(r).queue_calls || stats_of(r).spool_bytes);
         i++)
        nap_ms(10);
    ck_assert(stats_of(r).replayed > 0 && stats_of(r).spool_bytes == 0);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 501);
    ck_assert_int_eq(ask("SELECT count(*) FROM gap"), 0);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = 'lost'"), 0);
}
END_TEST

/* Nobody waits longer for durability than one try of the store takes. */
START_TEST(sync_is_told_from_the_spool_when_the_store_is_locked)
{
    struct recorder_options o = options(RECORDER_SYNC);
    struct store *lock;
    struct recorder *r = open_with(&o);

    submit_many(r, 1, NULL, NULL);
    nap_ms(200);
    lock = lock_store();
    reset_told(false);
    submit_many(r, 20, on_done, &told);
    ck_assert(wait_for_told(20));
    ck_assert_int_eq(told.dropped, 0);
    ck_assert_int_eq(stats_of(r).spilled, 20);
    ck_assert(!stats_of(r).store_ok);
    unlock_store(lock);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 21);
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
    submit_many(r, 1, NULL, NULL);
    nap_ms(200);
    lock = lock_store();
    reset_told(false);
    submit_many(r, 200, on_done, &told);
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
    submit_many(r, 1, NULL, NULL);
    nap_ms(200);
    lock = lock_store();
    reset_told(false);
    submit_many(r, 200, on_done, &told);
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

static void limit_files(rlim_t bytes)
{
    struct rlimit l;

    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &l), 0);
    l.rlim_cur = bytes < l.rlim_max ? bytes : l.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &l), 0);
}

/* No file grows, as on a full disk. Only who was there at the first failure
 * was told; and where it was the first group that failed (_i), the row of its
 * source was missing from then on. */
START_TEST(a_full_disk_holds_up_no_sync_client)
{
    struct recorder_options o = options(RECORDER_SYNC);
    struct recorder *r = open_with(&o);

    (void)signal(SIGXFSZ, SIG_IGN);
    reset_told(false);
    if (!_i)
        submit_many(r, 1, on_done, &told);
    ck_assert(wait_for_told(!_i));
    limit_files(0);
    for (int i = 1; i <= 3; i++) {
        submit_many(r, 1, on_done, &told);
        ck_assert(wait_for_told(i + !_i));
    }
    ck_assert_int_eq(told.dropped, 3);
    limit_files(RLIM_INFINITY);
    for (int i = 0; i < WAIT_MS / 10 && stats_of(r).queue_calls; i++)
        nap_ms(10);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 3 + !_i);
    ck_assert_int_eq(ask("SELECT count(*) FROM gap"), 0);
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
    submit_many(r, 1, NULL, NULL);
    nap_ms(200);
    lock = lock_store();
    for (int i = 0; i < 100 && rc == ERR_OK; i++) {
        rc = recorder_begin(r, TIME, none, none, id, &err);
        if (rc == ERR_OK)
            submit(r, id, "{\"role\":\"user\",\"content\":\"x\"}", NULL, NULL);
    }
    ck_assert_int_eq(rc, _i ? ERR_BUSY : ERR_LIMIT);
    ck_assert_int_eq(stats_of(r).refused, _i ? 0 : 1);
    unlock_store(lock);
    for (int i = 0; i < WAIT_MS / 10 && stats_of(r).queue_calls; i++)
        nap_ms(10);
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
    ck_assert_int_ge(told.kept, (int)calls);
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

static void feed(struct recorder *r, const char *id, const char *text)
{
    struct err err;

    ck_assert_msg(recorder_feedback(r, slice_of(id), slice_of(text), &err) ==
                      ERR_OK,
                  "%s", err.msg);
}

START_TEST(feedback_finds_its_call_before_and_after)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);
    char id[2][RECORDER_ID_CHARS + 1];

    begin(r, id[0]);
    begin(r, id[1]);
    feed(r, id[0], "{\"reward\":0.25}");
    nap_ms(200);
    submit(r, id[0], "{\"role\":\"user\",\"content\":\"a\"}", NULL, NULL);
    submit(r, id[1], "{\"role\":\"user\",\"content\":\"b\"}", NULL, NULL);
    nap_ms(200);
    for (char *c = id[1]; *c; c++) /* as someone may write it */
        *c = *c >= 'a' ? (char)(*c - 32) : *c;
    feed(r, id[1], "{\"reward\":0.75,\"label\":\"good\"}");
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM outcome WHERE reward = 0.25"),
                     1);
    ck_assert_int_eq(ask("SELECT count(*) FROM outcome WHERE reward = 0.75"),
                     1);
    ck_assert_int_eq(ask("SELECT count(*) FROM feedback"), 0);
}
END_TEST

START_TEST(feedback_waits_for_its_call_over_a_restart)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);
    char id[RECORDER_ID_CHARS + 1];

    begin(r, id);
    feed(r, id, "{\"reward\":1}");
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM feedback"), 1);
    r = open_with(&o);
    (void)snprintf(id, sizeof(id), "%032d", 7);
    feed(r, id, "{\"reward\":0.5}");
    nap_ms(200);
    submit(r, id, "{\"role\":\"user\",\"content\":\"a\"}", NULL, NULL);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM outcome WHERE reward = 0.5"), 1);
}
END_TEST

static const char *const no_feedback[][2] = {
    { "0123", "{\"reward\":1}" },
    { "0123456789abcdef0123456789abcdeg", "{\"reward\":1}" },
    { "0123456789abcdef0123456789abcdef", "{\"reward\":\"much\"}" },
    { "0123456789abcdef0123456789abcdef", "[1]" },
    { "0123456789abcdef0123456789abcdef", "{\"reward\":1" },
};

START_TEST(feedback_that_is_none_is_refused_at_once)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);
    struct err err;

    ck_assert_int_eq(recorder_feedback(r, slice_of(no_feedback[_i][0]),
                                       slice_of(no_feedback[_i][1]), &err),
                     ERR_FORMAT);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM gap"), 0);
}
END_TEST

#define U(s) "{\"role\":\"user\",\"content\":\"" s "\"}"
#define A(s) "{\"role\":\"assistant\",\"content\":\"" s "\"}"

static const struct turn {
    const char *messages, *stated, *client;
} turns[] = {
    { U("a"), NULL, "k" },                          /* 1: begins one */
    { U("a") "," A("ok") "," U("b"), NULL, "k" },   /* 2: goes on with 1 */
    { U("a"), NULL, "k" },                          /* 3: begins another */
    { U("a") "," A("ok") "," U("c"), "mine", "k" }, /* 4: says which */
    { U("a") "," A("ok") "," U("c") "," A("ok") "," U("d"), NULL,
      "k" },                                      /* 5: goes on with 4 */
    { U("a") "," A("ok") "," U("b"), NULL, "o" }, /* 6: another client */
    { U("x") "," A("ok") "," U("b"), NULL, "k" }, /* 7: another beginning */
};

START_TEST(conversations_are_joined_by_their_beginnings)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);
    char names[7][64];

    for (size_t i = 0; i < 7; i++) {
        char id[RECORDER_ID_CHARS + 1];
        struct made m;

        begin(r, id);
        make(&m, id, turns[i].messages);
        m.x.conversation = slice_of(turns[i].stated);
        m.x.client = slice_of(turns[i].client);
        recorder_submit(r, &m.x, NULL, NULL);
    }
    close_all(r);
    for (int i = 0; i < 7; i++) {
        char text[80];

        (void)snprintf(text, sizeof(text),
                       "SELECT conversation FROM call WHERE id = %d", i + 1);
        ask_text(text, names[i], sizeof(names[i]));
        ck_assert_int_ne(names[i][0], '\0');
    }
    ck_assert_str_eq(names[1], names[0]);
    ck_assert_str_ne(names[2], names[0]);
    ck_assert_str_eq(names[3], "mine");
    ck_assert_str_eq(names[4], "mine");
    for (int i = 0; i < 5; i++) {
        ck_assert_str_ne(names[5], names[i]);
        ck_assert_str_ne(names[6], names[i]);
    }
}
END_TEST

/* The request of a Response names the answer before it, not its text. */
START_TEST(responses_are_joined_by_the_answer_they_name)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);

    for (int i = 0; i < 3; i++) {
        char id[RECORDER_ID_CHARS + 1], before[64] = "";
        struct made m;

        begin(r, id);
        make(&m, id, "");
        if (i)
            (void)snprintf(before, sizeof(before),
                           ",\"previous_response_id\":\"resp_%d\"", i - 1);
        (void)snprintf(m.request, sizeof(m.request),
                       "{\"model\":\"m\",\"input\":\"hi\"%s}", before);
        (void)snprintf(m.response, sizeof(m.response),
                       "{\"id\":\"resp_%d\",\"object\":\"response\",\"status\":"
                       "\"completed\",\"output\":[]}",
                       i);
        m.x.target = slice_of("/v1/responses");
        m.x.request = slice_of(m.request);
        m.x.response = slice_of(m.response);
        recorder_submit(r, &m.x, NULL, NULL);
    }
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(conversation) FROM call"), 3);
    ck_assert_int_eq(ask("SELECT count(DISTINCT conversation) FROM call"), 1);
}
END_TEST

START_TEST(a_second_collector_is_refused)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o), *second = NULL;
    struct err err;

    ck_assert_int_eq(recorder_open(&o, &second, &err), ERR_BUSY);
    submit_many(r, 2, NULL, NULL);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 2);
}
END_TEST

/* What cannot be kept is a gap, and what stands around it is kept. */
START_TEST(an_exchange_without_an_id_is_a_gap_of_its_own)
{
    struct recorder_options o = options(RECORDER_BATCH);
    struct recorder *r = open_with(&o);

    submit_many(r, 2, NULL, NULL);
    submit(r, "short", "{\"role\":\"user\",\"content\":\"x\"}", NULL, NULL);
    submit_many(r, 2, NULL, NULL);
    close_all(r);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 4);
    ck_assert_int_eq(ask("SELECT sum(calls) FROM gap WHERE reason = "
                         "'unreadable'"),
                     1);
}
END_TEST

static struct flood {
    struct recorder *r;
    size_t calls;
} flood;

static void *pour(void *unused)
{
    (void)unused;
    submit_many(flood.r, flood.calls, on_done, &told);
    return NULL;
}

START_TEST(many_threads_may_hand_over_at_once)
{
    struct recorder_options o = options((enum recorder_durability)_i);
    pthread_t threads[4];

    flood.r = open_with(&o);
    flood.calls = 200;
    reset_told(false);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, pour, NULL), 0);
    while (told_count() < 800) {
        (void)stats_of(flood.r);
        o.commit_ms = o.commit_ms ? 0 : 5;
        recorder_reload(flood.r, &o);
        nap_ms(5);
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    close_all(flood.r);
    ck_assert_int_eq(told.kept, 800);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 800);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("recorder");
    TCase *t = tcase_create("recorder");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, calls_arrive_whatever_the_durability, 0, 3);
    tcase_add_test(t, sync_is_told_after_the_commit);
    tcase_add_loop_test(t, a_locked_store_delays_and_loses_nothing, 0, 2);
    tcase_add_test(t, sync_is_told_from_the_spool_when_the_store_is_locked);
    tcase_add_loop_test(t, a_full_disk_holds_up_no_sync_client, 0, 2);
    tcase_add_test(t, gaps_that_could_not_be_written_are_by_the_next_process);
    tcase_add_loop_test(t, what_is_dropped_leaves_a_gap_and_is_not_lost, 0, 2);
    tcase_add_loop_test(t, a_full_queue_refuses_or_holds_new_calls, 0, 2);
    tcase_add_loop_test(
        t, a_killed_process_leaves_lost_calls_for_those_that_ran, 0, 3);
    tcase_add_loop_test(t, a_damaged_tail_costs_no_more_than_itself, 0, 3);
    tcase_add_test(t, a_segment_is_sealed_with_the_key);
    tcase_add_test(t, feedback_finds_its_call_before_and_after);
    tcase_add_test(t, feedback_waits_for_its_call_over_a_restart);
    tcase_add_loop_test(t, feedback_that_is_none_is_refused_at_once, 0, 5);
    tcase_add_test(t, conversations_are_joined_by_their_beginnings);
    tcase_add_test(t, responses_are_joined_by_the_answer_they_name);
    tcase_add_test(t, a_second_collector_is_refused);
    tcase_add_test(t, an_exchange_without_an_id_is_a_gap_of_its_own);
    tcase_add_loop_test(t, many_threads_may_hand_over_at_once, 0, 3);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *sr = srunner_create(suite());
    int failed;

    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
