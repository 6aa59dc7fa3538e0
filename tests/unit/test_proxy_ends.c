/* test_proxy_ends.c - clients that leave, upstreams that fail, a proxy that
 * stops, and readers who take their time */
#include "proxy_fixture.h"

#define GET "GET /v1/x HTTP/1.1\r\nHost: h\r\n\r\n"
#define CHAT                                                                   \
    "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: "        \
    "13\r\n\r\n{\"model\":\"m\"}"
#define STREAM                                                                 \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"                   \
    "Transfer-Encoding: chunked\r\n\r\n"
#define ROLE                                                                   \
    "38\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"}}]}"   \
    "\n\n\r\n"
#define WORD                                                                   \
    "39\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}"  \
    "\n\n\r\n"
#define DONE "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
#define ABORT_MS 100

static struct buf b;

static void wait_for(atomic_int *n, int least)
{
    for (int i = 0; i < 5000 && atomic_load(n) < least; i++)
        nap_ms(1);
    ck_assert_int_ge(atomic_load(n), least);
}

/* When the upstream saw its connection end, after `from`. */
static int64_t ms_until_gone(int64_t from)
{
    for (int i = 0; i < 5000 && atomic_load(&up.gone_ns) < from; i++)
        nap_ms(1);
    ck_assert(atomic_load(&up.gone_ns) >= from);
    return (atomic_load(&up.gone_ns) - from) / 1000000;
}

static const struct {
    const char *answer, *phase;
} phases[] = {
    { "", "before_headers" },
    { STREAM, "before_first_token" },
    { STREAM ROLE, "before_first_token" },
    { STREAM WORD, "mid_stream" },
};

START_TEST(a_client_that_leaves_is_seen_at_once)
{
    int64_t left, ms;
    char query[128];
    int fd;

    up.stalls = true;
    up.answer = slice_of(phases[_i].answer);
    start_proxy();
    fd = dial();
    say(fd, CHAT);
    wait_for(&up.requests, 1);
    if (*phases[_i].answer)
        hear(fd, &b, _i == 1 ? "\r\n\r\n" : "\n\n\r\n");
    left = clock_mono_ns();
    (void)close(fd);
    ms = ms_until_gone(left);
    ck_assert_msg(ms <= ABORT_MS, "%d ms", (int)ms);
    stop_proxy(1000);
    (void)snprintf(query, sizeof(query),
                   "SELECT count(*) FROM call WHERE status = 'cancelled' AND "
                   "phase = '%s'",
                   phases[_i].phase);
    ck_assert_int_eq(ask(query), 1);
}
END_TEST

START_TEST(a_client_that_leaves_within_its_upload_is_seen_at_once)
{
    int64_t left, ms;
    int fd;

    start_proxy();
    fd = dial();
    say(fd, "POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    wait_for(&up.begun, 1);
    left = clock_mono_ns();
    (void)close(fd);
    ms = ms_until_gone(left);
    ck_assert_msg(ms <= ABORT_MS, "%d ms", (int)ms);
    stop_proxy(1000);
    ck_assert_int_eq(atomic_load(&up.requests), 0);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = "
                         "'cancelled'"),
                     1);
}
END_TEST

START_TEST(the_answer_of_a_client_that_left_can_be_drained)
{
    int fd;

    px.o.abort = PROXY_DRAIN;
    up.answer = slice_of(STREAM WORD WORD DONE);
    up.cut = sizeof(STREAM WORD) - 1;
    up.pause_ms = 300;
    start_proxy();
    fd = dial();
    say(fd, CHAT);
    hear(fd, &b, "\n\n\r\n");
    (void)close(fd);
    nap_ms(600);
    stop_proxy(1000);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = "
                         "'completed' AND extra LIKE '%\"client_left\":true%'"),
                     1);
}
END_TEST

START_TEST(an_upstream_that_fails_is_told_apart)
{
    static const struct {
        const char *answer, *status;
        int http;
        bool stalls, ends;
    } failures[] = {
        { NULL, "failed_http", 502, false, true },
        { "", "timeout", 504, true, true },
        { "", "upstream_truncated", 502, false, true },
        { "nonsense\r\n\r\n", "upstream_truncated", 502, false, true },
        { STREAM WORD, "upstream_truncated", 200, false, false },
        { STREAM WORD, "timeout", 200, true, false },
        { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
          "upstream_truncated", 200, false, false },
        { STREAM "17\r\ndata: {\"error\":{\"a\":1}}\r\n2\r\n\n\n\r\n0\r\n\r\n",
          "failed_stream", 200, false, true },
    };
    char query[128];
    int fd;

    up.closes = true;
    up.stalls = failures[_i].stalls;
    up.answer = slice_of(failures[_i].answer);
    if (!failures[_i].answer)
        px.upstreams[0].url = "http://127.0.0.1:1";
    px.o.client.first_byte_ms = px.o.client.idle_ms = 300;
    start_proxy();
    fd = dial();
    say(fd, "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n"
            "Connection: close\r\nContent-Length: 2\r\n\r\n{}");
    hear(fd, &b, NULL);
    (void)close(fd);
    ck_assert_int_eq(status_of(&b), failures[_i].http);
    if (failures[_i].http >= 500)
        ck_assert_ptr_nonnull(strstr(body_of(&b), "\"error\""));
    else if (strstr(b.data, "chunked"))
        ck_assert_int_eq(strstr(b.data, "\r\n0\r\n\r\n") != NULL,
                         failures[_i].ends);
    stop_proxy(1000);
    (void)snprintf(query, sizeof(query),
                   "SELECT count(*) FROM call WHERE status = '%s'",
                   failures[_i].status);
    ck_assert_msg(ask(query) == 1, "%d: %s", _i, failures[_i].status);
}
END_TEST

/* Twenty megabytes for who reads nothing: the upstream is held back, and what
 * has come is passed on to the byte. */
START_TEST(a_slow_reader_holds_the_upstream_back)
{
    size_t n = (size_t)20 << 20, got = 0;
    char bytes[65536 + 1] = "", head[96];
    bool same = true;
    int fd;
    ssize_t k;

    (void)snprintf(head, sizeof(head),
                   "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
    up.answer = slice_of(head);
    up.fill = n;
    start_proxy();
    fd = dial();
    say(fd, GET);
    nap_ms(700);
    ck_assert(atomic_load(&up.sent) > 0 && atomic_load(&up.sent) < n * 3 / 4);
    while (got < n && (k = recv(fd, bytes, sizeof(bytes) - 1, 0)) > 0) {
        if (!got) {
            const char *end = memmem(bytes, (size_t)k, "\r\n\r\n", 4);

            ck_assert_ptr_nonnull(end);
            k -= end + 4 - bytes;
            memmove(bytes, end + 4, (size_t)k);
        }
        same &= strspn(bytes, "f") >= (size_t)k;
        got += (size_t)k;
    }
    (void)close(fd);
    ck_assert(same && got == n);
    stop_proxy(1000);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE extra LIKE "
                         "'%\"cut\":true%'"),
                     1);
}
END_TEST

START_TEST(a_long_upload_passes_unchanged)
{
    size_t n = (size_t)20 << 20;
    char *body = malloc(n), head[128];
    int fd;

    ck_assert_ptr_nonnull(body);
    for (size_t i = 0; i < n; i++)
        body[i] = (char)(i * 2654435761U >> 13);
    (void)snprintf(head, sizeof(head),
                   "POST /v1/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                   "Content-Length: %zu\r\n\r\n",
                   n);
    up.answer = slice_of("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    px.o.capture_max = _i ? 64 << 20 : 1 << 20;
    start_proxy();
    fd = dial();
    say(fd, head);
    ck_assert(write_all(fd, body, n));
    hear(fd, &b, NULL);
    (void)close(fd);
    ck_assert_str_eq(body_of(&b), "ok");
    ck_assert_uint_eq(up.body_bytes, n);
    ck_assert_uint_eq(up.body_sum, sum_bytes(0, body, n));
    free(body);
}
END_TEST

/* The answer comes while the client still sends: nobody waits for ever. */
START_TEST(an_early_answer_reaches_who_still_uploads)
{
    int fd;

    up.early = up.closes = true;
    up.answer = slice_of("HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno");
    start_proxy();
    fd = dial();
    say(fd, "POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    hear(fd, &b, NULL);
    (void)close(fd);
    ck_assert_int_eq(status_of(&b), 401);
    ck_assert_str_eq(body_of(&b), "no");
}
END_TEST

START_TEST(an_upload_that_stops_is_given_up)
{
    int fd;

    px.o.idle_ms = 200;
    start_proxy();
    fd = dial();
    say(fd, "POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    hear(fd, &b, NULL);
    (void)close(fd);
    ck_assert_int_eq(status_of(&b), 408);
}
END_TEST

static void *stop_soon(void *unused)
{
    (void)unused;
    nap_ms(100);
    proxy_stop(px.proxy, 5000);
    return NULL;
}

START_TEST(a_stop_lets_what_runs_end)
{
    pthread_t t;
    int fd, idle;

    up.answer = slice_of(STREAM WORD DONE);
    up.cut = sizeof(STREAM WORD) - 1;
    up.pause_ms = 500;
    start_proxy();
    idle = dial();
    fd = dial();
    say(fd, CHAT);
    ck_assert_int_eq(pthread_create(&t, NULL, stop_soon, NULL), 0);
    hear(fd, &b, NULL);
    ck_assert_int_eq(pthread_join(t, NULL), 0);
    ck_assert(strstr(b.data, "\r\n0\r\n\r\n"));
    (void)close(fd);
    (void)close(idle);
    stop_proxy(5000);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = "
                         "'completed'"),
                     1);
}
END_TEST

START_TEST(a_stop_that_will_not_wait_cuts_what_runs)
{
    int fds[8];

    px.o.sync = _i;
    px.ro.durability = _i ? RECORDER_SYNC : RECORDER_BATCH;
    up.stalls = true;
    up.answer = slice_of(STREAM WORD);
    start_proxy();
    for (int i = 0; i < 8; i++) {
        fds[i] = dial();
        say(fds[i], CHAT);
    }
    wait_for(&up.requests, 8);
    nap_ms(50);
    stop_proxy(0);
    for (int i = 0; i < 8; i++) {
        buf_reset(&b);
        hear(fds[i], &b, NULL);
        ck_assert(!strstr(b.data, "\r\n0\r\n\r\n"));
        (void)close(fds[i]);
    }
    /* No client went away. */
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = 'lost'"), 8);
}
END_TEST

/* The last byte is the client's when the record is safe, and not before. */
START_TEST(sync_withholds_the_last_byte)
{
    static const char *const answers[] = {
        STREAM WORD DONE, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    };
    struct pollfd p = { .events = POLLIN };
    struct store *s;
    int64_t from;

    px.o.sync = true;
    px.ro.durability = RECORDER_SYNC;
    up.answer = slice_of(answers[_i]);
    start_proxy();
    nap_ms(200);
    s = lock_store();
    p.fd = dial();
    from = clock_mono_ns();
    say(p.fd, CHAT);
    hear(p.fd, &b, _i ? "\r\n\r\n" : "[DONE]\n\n\r\n");
    ck_assert_int_eq(poll(&p, 1, 200), 0);
    hear(p.fd, &b, _i ? "ok" : "\r\n0\r\n\r\n");
    /* The store is locked still: the spool has it. */
    ck_assert(clock_mono_ns() - from > INT64_C(200000000));
    unlock_store(s);
    (void)close(p.fd);
    stop_proxy(1000);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = "
                         "'completed'"),
                     1);
}
END_TEST

/* A client could have an answer whole whose upstream still reads, and of which
 * no file knows. */
START_TEST(spool_withholds_the_last_byte_until_it_is_written)
{
    struct pollfd p = { .events = POLLIN };
    struct recorder_stats s;

    px.o.spool = true;
    px.ro.durability = RECORDER_SPOOL;
    px.ro.commit_ms = 20000;
    up.early = true;
    up.answer = slice_of("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    start_proxy();
    p.fd = dial();
    say(p.fd, "POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    hear(p.fd, &b, "\r\n\r\n");
    ck_assert_int_eq(poll(&p, 1, 200), 0);
    say(p.fd, "defghi");
    hear(p.fd, &b, "ok");
    recorder_stats_read(px.recorder, &s);
    ck_assert(s.spool_bytes > 0 && s.written == 0);
    (void)close(p.fd);
    stop_proxy(1000);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = 'lost'"), 0);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 1);
}
END_TEST

START_TEST(clients_wait_while_the_queue_is_full)
{
    struct pollfd p = { .events = POLLIN };
    struct store *s;

    px.ro.overload = RECORDER_BLOCK;
    px.ro.queue_bytes = 1;
    up.answer = slice_of("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    start_proxy();
    nap_ms(200);
    s = lock_store();
    p.fd = dial();
    say(p.fd, GET GET);
    hear(p.fd, &b, "ok");
    ck_assert_int_eq(poll(&p, 1, 300), 0);
    unlock_store(s);
    buf_reset(&b);
    hear(p.fd, &b, "ok");
    ck_assert_int_eq(status_of(&b), 200);
    (void)close(p.fd);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("proxy_ends", set_up, tear_down);

    tcase_add_loop_test(t, a_client_that_leaves_is_seen_at_once, 0, 4);
    tcase_add_test(t, a_client_that_leaves_within_its_upload_is_seen_at_once);
    tcase_add_test(t, the_answer_of_a_client_that_left_can_be_drained);
    tcase_add_loop_test(t, an_upstream_that_fails_is_told_apart, 0, 8);
    tcase_add_test(t, a_slow_reader_holds_the_upstream_back);
    tcase_add_loop_test(t, a_long_upload_passes_unchanged, 0, 2);
    tcase_add_test(t, an_early_answer_reaches_who_still_uploads);
    tcase_add_test(t, an_upload_that_stops_is_given_up);
    tcase_add_test(t, a_stop_lets_what_runs_end);
    tcase_add_loop_test(t, a_stop_that_will_not_wait_cuts_what_runs, 0, 2);
    tcase_add_loop_test(t, sync_withholds_the_last_byte, 0, 2);
    tcase_add_test(t, spool_withholds_the_last_byte_until_it_is_written);
    tcase_add_test(t, clients_wait_while_the_queue_is_full);
    return suite_run("proxy_ends", t);
}
