/* test_proxy_local.c - requests that are answered here: by a handler that
 * speaks from threads of its own, to clients that leave, read slowly or ask
 * too much, and to upstreams after all */
#include "proxy_local_fixture.h"

START_TEST(an_answer_made_here_is_recorded_as_its_models)
{
    int fd;

    start_proxy();
    fd = dial();
    for (int i = 0; i < 2; i++) { /* and the connection goes on */
        say(fd, CHAT("now--"));
        buf_reset(&b);
        hear(fd, &b, "{\"choices\":[]}");
        ck_assert_int_eq(status_of(&b), 200);
        ck_assert(strstr(b.data, "\r\nRetry-After: 2\r\n") &&
                  strstr(b.data, "\r\nContent-Length: 14\r\n") &&
                  strstr(b.data, "\r\nX-SLM-Call-Id: ") &&
                  strstr(b.data, "\r\nDate: ") && !strstr(b.data, "X-Bad"));
    }
    (void)close(fd);
    ck_assert_str_eq(fake.whole.data, "{\"model\":\"now--\"}");
    stop_proxy(1000);
    ck_assert_int_eq(count_calls("upstream = 'slm:m' AND status = 'completed' "
                                 "AND dialect = 'openai-chat' AND extra LIKE "
                                 "'%\"went\":\"slm\"%'"),
                     2);
    ck_assert_int_eq(atomic_load(&up.requests), 0);
    ck_assert_int_eq(atomic_load(&fake.answered), 0);
}
END_TEST

/* 0: HTTP/1.1; 1: with sync durability; 2: HTTP/1.0, which has no chunks;
 * 3: with spool. */
START_TEST(a_stream_made_here_comes_as_it_is_said)
{
    struct buf text = { .data = NULL };
    int fd;

    px.o.sync = _i == 1;
    px.o.spool = _i == 3;
    px.ro.durability = _i == 1   ? RECORDER_SYNC
                       : _i == 3 ? RECORDER_SPOOL
                                 : RECORDER_BATCH;
    start_proxy();
    fd = dial();
    say(fd, _i == 2 ? "POST /v1/chat/completions HTTP/1.0\r\nContent-Length: "
                      "17\r\n\r\n{\"model\":\"strm-\"}"
                    : JSON_POST("/v1/chat/completions",
                                "17") "{\"model\":\"strm-\"}");
    buf_reset(&b);
    hear(fd, &b, _i == 2 ? NULL : "\r\n0\r\n\r\n");
    (void)close(fd);
    ck_assert_int_eq(status_of(&b), 200);
    ck_assert_ptr_nonnull(strstr(b.data, "X-Accel-Buffering: no"));
    if (_i == 2)
        buf_str(&text, body_of(&b));
    else
        ck_assert(unchunk(body_of(&b), &text));
    ck_assert_uint_eq(text.len,
                      PIECES * (sizeof(PIECE) - 1) + sizeof(LAST) - 1);
    ck_assert_str_eq(text.data + text.len - 14, "data: [DONE]\n\n");
    stop_proxy(1000);
    ck_assert_int_eq(count_calls("upstream = 'slm:m' AND status = 'completed' "
                                 "AND finish = 'stop'"),
                     1);
    buf_release(&text);
}
END_TEST

static const struct {
    const char *how;
    int size; /* of a body; 0: just the name; -1: chunked */
} passes[] = {
    { "pass-", 0 },      { "later", 0 },  { "pass-", 300000 },
    { "later", 300000 }, { "pass-", -1 }, { "later", -1 },
};

static size_t send_pass(int fd, const char *how, int size)
{
    size_t n = size > 0 ? (size_t)size : 17;
    char *body = malloc(n + 1);

    ck_assert_ptr_nonnull(body);
    memset(body, ' ', n);
    body[n] = '\0';
    (void)memcpy(body, "{\"model\":\"xxxxx\"}", 17);
    memcpy(body + 10, how, 5);
    buf_reset(&b);
    if (size < 0)
        buf_printf(&b,
                   "POST /v1/chat/completions?beta=1 HTTP/1.1\r\nHost: "
                   "localhost\r\nX-Keep: one\r\nConnection: close\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n",
                   n, body);
    else
        buf_printf(&b,
                   "POST /v1/chat/completions?beta=1 HTTP/1.1\r\nHost: "
                   "localhost\r\nX-Keep: one\r\nConnection: close\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   n, body);
    ck_assert(write_all(fd, b.data, b.len));
    free(body);
    return n;
}

START_TEST(what_is_not_answered_here_goes_up_unchanged)
{
    int size = passes[_i].size, fd;
    bool later = passes[_i].how[0] == 'l';
    size_t n;

    start_proxy();
    fd = dial();
    n = send_pass(fd, passes[_i].how, size);
    buf_reset(&b);
    hear(fd, &b, NULL);
    (void)close(fd);
    ck_assert_int_eq(status_of(&b), 200);
    ck_assert_str_eq(body_of(&b), "ok");
    ck_assert(strstr(up.got.data, "POST /v1/chat/completions?beta=1 ") &&
              strstr(up.got.data, "X-Keep: one"));
    if (size >= 0)
        ck_assert_uint_eq(up.body_bytes, n);
    stop_proxy(1000);
    ck_assert_int_eq(atomic_load(&fake.answered), 1);
    ck_assert_int_eq(fake.answered_status, 200);
    ck_assert_str_eq(fake.answer, "ok");
    ck_assert_str_eq(fake.body, "/v1/chat/completions?beta=1");
    ck_assert_int_eq(count_calls("coalesce(upstream, '') NOT LIKE 'slm%'"), 1);
    ck_assert_int_eq(count_calls("extra LIKE '%\"went\":\"llm\"%'"), later);
}
END_TEST

START_TEST(what_the_handler_does_not_want_passes_as_ever)
{
    start_proxy();
    ck_assert_int_eq(exchange("GET /other HTTP/1.1\r\nHost: localhost\r\n"
                              "Connection: close\r\n\r\n",
                              &b),
                     200);
    ck_assert_int_eq(atomic_load(&fake.takes), 0);
    ck_assert_int_eq(atomic_load(&up.requests), 1);
}
END_TEST

/* 0: within a stream; 1: before its head; with `drain` as well. */
START_TEST(a_client_that_leaves_is_told_at_once)
{
    int64_t left;
    int fd;

    px.o.abort = _i >= 2 ? PROXY_DRAIN : PROXY_CANCEL;
    start_proxy();
    fd = dial();
    say(fd,
        _i % 2
            ? JSON_POST("/v1/chat/completions", "17") "{\"model\":\"quiet\"}"
            : JSON_POST("/v1/chat/completions", "17") "{\"model\":\"hang-\"}");
    buf_reset(&b);
    if (_i % 2)
        wait_for(&fake.takes, 1);
    else
        hear(fd, &b, "\n\n\r\n");
    left = clock_mono_ns();
    (void)close(fd);
    wait_for(&fake.gone, 1);
    ck_assert_int_le((atomic_load(&fake.gone_ns) - left) / 1000000, 100);
    stop_proxy(1000);
    ck_assert_int_eq(atomic_load(&fake.gone), 1);
    ck_assert_int_eq(count_calls("upstream = 'slm:m' AND status = 'cancelled'"),
                     1);
}
END_TEST

/* Who leaves while threads speak: the reply outlives the exchange. */
START_TEST(many_clients_leave_while_they_are_answered)
{
    start_proxy();
    for (int i = 0; i < 60; i++) {
        int fd = dial();

        say(fd,
            JSON_POST("/v1/chat/completions", "17") "{\"model\":\"slow-\"}");
        if (i % 3)
            nap_ms(i % 5);
        (void)close(fd);
    }
    wait_for(&fake.threads, 0);
    stop_proxy(1000);
    ck_assert_int_eq(count_calls("status IN ('cancelled', 'completed')"),
                     ask("SELECT count(*) FROM call"));
}
END_TEST

/* Nobody waits for who reads nothing, and nothing is lost to them. */
START_TEST(a_slow_reader_is_told_and_gets_all)
{
    size_t got = 0;
    char bytes[65536];
    bool same = true;
    ssize_t k;
    int fd;

    fake.big = (size_t)16 << 20;
    start_proxy();
    fd = dial();
    say(fd, JSON_POST("/v1/chat/completions", "17") "{\"model\":\"big--\"}");
    wait_for(&fake.threads, 0);
    if (!atomic_load(&fake.takes))
        wait_for(&fake.takes, 1);
    wait_for(&fake.threads, 0);
    ck_assert_int_gt(atomic_load(&fake.slow), 0);
    while (got < fake.big && (k = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
        const char *p = bytes;

        if (!got) {
            p = memmem(bytes, (size_t)k, "\r\n\r\n", 4);
            ck_assert_ptr_nonnull(p);
            p += 4;
        }
        for (; p < bytes + k; p++, got++)
            same &= *p == 'b';
    }
    (void)close(fd);
    ck_assert(same && got == fake.big);
    ck_assert_int_eq(atomic_load(&fake.gone), 0);
}
END_TEST

START_TEST(a_refusal_does_not_wait_for_the_body)
{
    int fd;

    start_proxy();
    fd = dial();
    say(fd, JSON_POST("/busy", "5"));
    buf_reset(&b);
    hear(fd, &b, "{}");
    ck_assert_int_eq(status_of(&b), 429);
    ck_assert(strstr(b.data, "\r\nRetry-After: 2\r\n") &&
              !strstr(b.data, "Connection: close"));
    say(fd, "ab");
    nap_ms(30);
    say(fd, "cdeGET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n");
    buf_reset(&b);
    hear(fd, &b, "{}");
    ck_assert_int_eq(status_of(&b), 200);
    (void)close(fd);
    fd = dial(); /* no body will come: the connection cannot be kept */
    say(fd, "POST /busy HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
            "Expect: 100-continue\r\n\r\n");
    buf_reset(&b);
    hear(fd, &b, NULL);
    (void)close(fd);
    ck_assert_int_eq(status_of(&b), 429);
    ck_assert(strstr(b.data, "Connection: close") &&
              !strstr(b.data, "100 Continue"));
    stop_proxy(1000);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 0);
}
END_TEST

START_TEST(a_body_that_is_held_back_is_asked_for)
{
    int fd;

    start_proxy();
    fd = dial();
    say(fd, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Length: 17\r\nExpect: 100-continue\r\n\r\n");
    buf_reset(&b);
    hear(fd, &b, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "{\"model\":");
    nap_ms(20);
    say(fd, "\"now--\"}");
    buf_reset(&b);
    hear(fd, &b, "{\"choices\":[]}");
    ck_assert_int_eq(status_of(&b), 200);
    (void)close(fd);
}
END_TEST

START_TEST(requests_sent_ahead_are_answered_in_order)
{
    int fd;

    start_proxy();
    fd = dial();
    say(fd, CHAT("now--") CHAT("pass-")
                CHAT("now--") "GET /v1/models HTTP/1.1\r\nHost: "
                              "localhost\r\nConnection: close"
                              "\r\n\r\n");
    buf_reset(&b);
    hear(fd, &b, NULL);
    (void)close(fd);
    {
        const char *first = strstr(b.data, "{\"choices\":[]}");
        const char *second = first ? strstr(first, "\r\n\r\nok") : NULL;
        const char *third = second ? strstr(second, "{\"choices\":[]}") : NULL;

        ck_assert(third && strstr(third, "\r\n\r\n{}"));
    }
}
END_TEST

START_TEST(an_answer_that_breaks_off_is_seen_as_that)
{
    int fd;

    start_proxy();
    fd = dial();
    say(fd,
        _i ? JSON_POST("/v1/chat/completions", "17") "{\"model\":\"never\"}"
           : JSON_POST("/v1/chat/completions", "17") "{\"model\":\"cut--\"}");
    buf_reset(&b);
    hear(fd, &b, _i ? "}\n" : NULL);
    (void)close(fd);
    ck_assert_int_eq(status_of(&b), _i ? 500 : 200);
    ck_assert(!strstr(b.data, "\r\n0\r\n\r\n"));
    stop_proxy(1000);
    ck_assert_int_eq(count_calls("upstream = 'slm:m' AND status = "
                                 "'upstream_truncated'"),
                     1);
}
END_TEST

static void *stop_soon(void *unused)
{
    (void)unused;
    nap_ms(50);
    proxy_stop(px.proxy, 5000);
    return NULL;
}

START_TEST(a_stop_lets_an_open_reply_end)
{
    pthread_t t;
    int fd;

    start_proxy();
    fd = dial();
    say(fd, JSON_POST("/v1/chat/completions", "17") "{\"model\":\"slow-\"}");
    wait_for(&fake.takes, 1);
    ck_assert_int_eq(pthread_create(&t, NULL, stop_soon, NULL), 0);
    buf_reset(&b);
    hear(fd, &b, NULL);
    (void)close(fd);
    ck_assert_int_eq(pthread_join(t, NULL), 0);
    ck_assert(strstr(b.data, "[DONE]") && strstr(b.data, "\r\n0\r\n\r\n"));
    stop_proxy(5000);
    ck_assert_int_eq(atomic_load(&fake.gone), 0);
    ck_assert_int_eq(count_calls("status = 'completed'"), 1);
}
END_TEST

/* 0: ended when told; 1: threads speak on after the workers have ended. */
START_TEST(a_stop_that_will_not_wait_tells_open_replies)
{
    int fds[8];

    start_proxy();
    for (int i = 0; i < 8; i++) {
        fds[i] = dial();
        say(fds[i],
            _i ? JSON_POST("/v1/chat/completions", "17") "{\"model\":\"slow-\"}"
               : JSON_POST("/v1/chat/completions",
                           "17") "{\"model\":\"hang-\"}");
    }
    wait_for(&fake.takes, 8);
    proxy_stop(px.proxy, 0);
    ck_assert_int_eq(pthread_join(px.thread, NULL), 0);
    wait_for(&fake.gone, 8);
    wait_for(&fake.threads, 0);
    px.runs = false;
    {
        struct err err;

        ck_assert_int_eq(recorder_close(px.recorder, 10000, &err), ERR_OK);
    }
    proxy_free(px.proxy);
    for (int i = 0; i < 8; i++)
        (void)close(fds[i]);
    ck_assert_int_eq(count_calls("status = 'lost'"), 8);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("proxy_local", set_up_local, tear_down_local);

    tcase_add_test(t, an_answer_made_here_is_recorded_as_its_models);
    tcase_add_loop_test(t, a_stream_made_here_comes_as_it_is_said, 0, 4);
    tcase_add_loop_test(t, what_is_not_answered_here_goes_up_unchanged, 0,
                        sizeof(passes) / sizeof(*passes));
    tcase_add_test(t, what_the_handler_does_not_want_passes_as_ever);
    tcase_add_loop_test(t, a_client_that_leaves_is_told_at_once, 0, 4);
    tcase_add_test(t, many_clients_leave_while_they_are_answered);
    tcase_add_test(t, a_slow_reader_is_told_and_gets_all);
    tcase_add_test(t, a_refusal_does_not_wait_for_the_body);
    tcase_add_test(t, a_body_that_is_held_back_is_asked_for);
    tcase_add_test(t, requests_sent_ahead_are_answered_in_order);
    tcase_add_loop_test(t, an_answer_that_breaks_off_is_seen_as_that, 0, 2);
    tcase_add_test(t, a_stop_lets_an_open_reply_end);
    tcase_add_loop_test(t, a_stop_that_will_not_wait_tells_open_replies, 0, 2);
    return suite_run("proxy_local", t);
}
