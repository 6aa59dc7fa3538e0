/* test_proxy.c - what goes through the proxy, and what does not */
#include "http_refused.h"
#include "proxy_fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
#define POST "POST /v1/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static struct buf b;

static void answer_with(const char *text)
{
    up.answer = slice_of(text);
}

/* A refused client hears why and is cut off; nothing whole goes up. */
static void must_refuse(const struct http_refused *r)
{
    int fd = dial();

    buf_reset(&b);
    ck_assert(write_all(fd, r->bytes, r->n));
    hear(fd, &b, NULL);
    ck_assert_msg(status_of(&b) == r->status, "%s: %s", r->name, b.data);
    ck_assert_msg(strstr(b.data, "\r\nConnection: close\r\n"), "%s", r->name);
    (void)close(fd);
}

START_TEST(what_can_be_read_in_two_ways_reaches_no_upstream)
{
    answer_with(OK);
    start_proxy();
    for (size_t i = 0; i < sizeof(http_refused) / sizeof(*http_refused); i++)
        must_refuse(&http_refused[i]);
    ck_assert_int_eq(atomic_load(&up.begun), 0);
    for (size_t i = 0;
         i < sizeof(http_refused_bodies) / sizeof(*http_refused_bodies); i++)
        must_refuse(&http_refused_bodies[i]);
    nap_ms(50);
    ck_assert_int_eq(atomic_load(&up.requests), 0);
    stop_proxy(1000);
    ck_assert_int_eq(
        ask("SELECT count(*) FROM call WHERE status = 'completed'"), 0);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE status = 'lost'"), 0);
}
END_TEST

static const struct {
    const char *answer, *body;
    bool closes, is_chunked;
} forms[] = {
    { "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
      "Transfer-Encoding: chunked\r\n\r\n"
      "9\r\ndata: {}\n\r\n5\r\n\ndata\r\n4;x=y\r\n: 1\n\r\n0\r\nT: u\r\n\r\n",
      "data: {}\n\ndata: 1\n", false, true },
    { "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}", "{\"a\":1}",
      false, false },
    { "HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end", true, true },
    { "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "", false, false },
};

START_TEST(answers_pass_unchanged_wherever_they_are_cut)
{
    size_t n = strlen(forms[_i].answer);

    up.closes = forms[_i].closes;
    up.pause_ms = 1;
    answer_with(forms[_i].answer);
    start_proxy();
    for (size_t cut = 1; cut <= n; cut++) {
        struct buf body = { .data = NULL };

        up.cut = cut;
        (void)exchange(GET("/v1/x") "\r\n", &b);
        ck_assert_int_eq(status_of(&b), atoi(forms[_i].answer + 9));
        ck_assert(strstr(b.data, "\r\nX-SLM-Call-Id: "));
        if (forms[_i].is_chunked) {
            ck_assert_msg(unchunk(body_of(&b), &body), "%zu: %s", cut, b.data);
            ck_assert(slice_is(buf_slice(&body), forms[_i].body));
        } else {
            ck_assert_str_eq(body_of(&b), forms[_i].body);
        }
        buf_release(&body);
    }
    /* To a client of HTTP/1.0, whose answer ends with its connection. */
    (void)exchange("GET /v1/x HTTP/1.0\r\nHost: h\r\n\r\n", &b);
    ck_assert_str_eq(body_of(&b), forms[_i].body);
    ck_assert(!strstr(b.data, "Transfer-Encoding"));
}
END_TEST

START_TEST(request_bodies_pass_unchanged_wherever_they_are_cut)
{
    static const char *const requests[] = {
        POST "Content-Length: 9\r\n\r\n{\"a\":[1]}",
        POST "Transfer-Encoding: chunked\r\n\r\n"
             "4;x\r\n{\"a\"\r\n5\r\n:[1]}\r\n0\r\nT: u\r\n\r\n",
    };
    size_t n = strlen(requests[_i]);

    answer_with(OK);
    start_proxy();
    for (size_t cut = 1; cut < n; cut += 1 + (cut < 40) * 7) {
        struct buf body = { .data = NULL };
        int fd = dial();

        buf_reset(&b);
        ck_assert(write_all(fd, requests[_i], cut));
        nap_ms(2);
        ck_assert(write_all(fd, requests[_i] + cut, n - cut));
        hear(fd, &b, NULL);
        (void)close(fd);
        ck_assert_str_eq(body_of(&b), "ok");
        if (_i)
            ck_assert(unchunk(body_of(&up.got), &body));
        else
            buf_add(&body, body_of(&up.got), 9);
        ck_assert(slice_is(buf_slice(&body), "{\"a\":[1]}"));
        buf_release(&body);
    }
}
END_TEST

START_TEST(header_fields_of_one_hop_stay_on_it)
{
    answer_with("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Hop\r\n"
                "Connection: x-other\r\nX-Hop: 1\r\nX-Other: 1\r\nX-End: 1\r\n"
                "Keep-Alive: 5\r\nX-SLM-Call-Id: forged\r\n\r\nok");
    start_proxy();
    (void)exchange(
        "GET /v1/x HTTP/1.1\r\nHost: h\r\nConnection: close, X-Up\r\n"
        "X-Up: 1\r\nTE: trailers\r\nX-SLM-Client: me\r\n"
        "X-Forwarded-For: 1.2.3.4\r\nAuthorization: Bearer k\r\n\r\n",
        &b);
    ck_assert_str_eq(body_of(&b), "ok");
    ck_assert(strstr(b.data, "\r\nX-End: 1\r\n"));
    ck_assert(!strstr(b.data, "X-Hop") && !strstr(b.data, "X-Other") &&
              !strstr(b.data, "Keep-Alive") && !strstr(b.data, "forged"));
    buf_char(&up.got, '\0');
    ck_assert(strstr(up.got.data, "Authorization: Bearer k\r\n"));
    ck_assert(!strstr(up.got.data, "X-Up") && !strstr(up.got.data, "TE:") &&
              !strcasestr(up.got.data, "x-slm") &&
              !strcasestr(up.got.data, "forwarded"));
}
END_TEST

START_TEST(requests_sent_ahead_are_answered_in_turn)
{
    int fd;

    answer_with(OK);
    start_proxy();
    fd = dial();
    say(fd, "POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
            "GET /v1/b HTTP/1.1\r\nHost: h\r\n\r\n" GET("/v1/c") "\r\n");
    hear(fd, &b, NULL);
    (void)close(fd);
    ck_assert_int_eq(atomic_load(&up.requests), 3);
    ck_assert_int_eq(strncmp(up.got.data, "GET /v1/c ", 10), 0);
    ck_assert_str_eq(b.data + b.len - 2, "ok");
    stop_proxy(1000);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 3);
}
END_TEST

static const char *const bodiless[][3] = {
    { "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
      "Content-Length: 9\r\n" },
    { "GET", "HTTP/1.1 204 No Content\r\n\r\n", "204" },
    { "GET", "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", "ETag: x\r\n" },
};

/* Also with sync durability, where such an answer is told by its head. */
START_TEST(answers_without_a_body_leave_the_connection_usable)
{
    char request[128];
    int fd;

    px.o.sync = _i >= 3;
    px.ro.durability = px.o.sync ? RECORDER_SYNC : RECORDER_BATCH;
    answer_with(bodiless[_i % 3][1]);
    start_proxy();
    fd = dial();
    (void)snprintf(request, sizeof(request),
                   "%s /v1/x HTTP/1.1\r\nHost: h\r\n\r\n", bodiless[_i % 3][0]);
    for (int k = 0; k < 2; k++) {
        buf_reset(&b);
        say(fd, request);
        hear(fd, &b, "\r\n\r\n");
        ck_assert_ptr_nonnull(strstr(b.data, bodiless[_i % 3][2]));
        ck_assert(!strstr(b.data, "Transfer-Encoding"));
        if (px.o.sync) {
            struct recorder_stats s;

            recorder_stats_read(px.recorder, &s);
            ck_assert_msg(s.written == (uint64_t)k + 1,
                          "%d written, %d dropped, %d spilled %s",
                          (int)s.written, (int)s.dropped, (int)s.spilled,
                          s.error);
        }
    }
    (void)close(fd);
}
END_TEST

START_TEST(a_head_request_is_refused_without_a_body)
{
    int fd;

    px.upstreams[0].url = "http://127.0.0.1:1";
    start_proxy();
    fd = dial();
    for (int k = 0; k < 2; k++) {
        buf_reset(&b);
        say(fd, "HEAD /v1/x HTTP/1.1\r\nHost: h\r\n\r\n");
        hear(fd, &b, "\r\n\r\n");
        ck_assert_int_eq(status_of(&b), 502);
        ck_assert_str_eq(body_of(&b), "");
    }
    (void)close(fd);
}
END_TEST

START_TEST(who_expects_to_be_told_to_go_on_is)
{
    int fd;

    answer_with(OK);
    start_proxy();
    fd = dial();
    say(fd, POST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    hear(fd, &b, "\r\n\r\n");
    ck_assert_str_eq(b.data, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "abc");
    buf_reset(&b);
    hear(fd, &b, NULL);
    (void)close(fd);
    ck_assert_str_eq(body_of(&b), "ok");
    buf_char(&up.got, '\0');
    ck_assert_str_eq(body_of(&up.got), "abc");
    ck_assert(!strstr(up.got.data, "Expect"));
}
END_TEST

static const struct {
    const char *request;
    int status;
} limits[] = {
    { POST "Content-Length: 1001\r\n\r\n", 413 },
    { POST "Transfer-Encoding: chunked\r\n\r\n3e9\r\n", 413 },
    { "GET /v1/x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
      "Upgrade: websocket\r\n\r\n",
      501 },
    { GET("/v1/../x") "\r\n", 400 },
    { GET("/v1/%2e%2E/x") "\r\n", 400 },
    { GET("/one/./x") "\r\n", 400 },
    { GET("/w/a/..") "\r\n", 400 },
    { GET("/w/a%0Ab/v1/x") "\r\n", 400 },
    { GET("/one/..%2fx") "\r\n", 400 },
    { GET("/one/a%2F%2e.%5Cx") "\r\n", 400 },
    { GET("/one/..;a=b/x") "\r\n", 400 },
    { GET("/nothing/x") "\r\n", 404 },
};

START_TEST(what_is_not_for_an_upstream_is_answered_here)
{
    static char body[1100];
    int fd;

    memset(body, 'x', sizeof(body) - 1);
    px.o.body_max = 1000;
    px.upstreams[0].name = "one";
    px.upstreams[1] = (struct proxy_upstream){ .name = "two", .url = px.url };
    px.o.upstream_count = 2;
    answer_with(OK);
    start_proxy();
    fd = dial();
    if (_i < 2) { /* they need a route */
        char text[256];

        (void)snprintf(text, sizeof(text), "POST /one%s",
                       limits[_i].request + 5);
        say(fd, text);
        say(fd, body);
    } else {
        say(fd, limits[_i].request);
    }
    hear(fd, &b, NULL);
    (void)close(fd);
    ck_assert_int_eq(status_of(&b), limits[_i].status);
    ck_assert(strstr(body_of(&b), "\"error\""));
    ck_assert_int_eq(atomic_load(&up.requests), 0);
}
END_TEST

static const struct {
    const char *target, *host, *upstream, *sent, *workload;
} routes[] = {
    { "/one/v1/x?q=1", "h", "one", "GET /p/v1/x?q=1 ", "" },
    { "/w/job/two/v1/x", "h", "two", "GET /v1/x ", "job" },
    { "/w/job/v1/x", "one.local", "one", "GET /p/v1/x ", "job" },
    { "/v1/x", "TWO.example:80", "two", "GET /v1/x ", "" },
    { "/v1/..x/...", "h", "", "GET /v1/..x/... ", "" },
    { "/v1/a%2Fb;v=1/x?../y", "h", "", "GET /v1/a%2Fb;v=1/x?../y ", "" },
    { "/w/x", "h", "", "GET /w/x ", "" },
    { "/w/a%2Fb%20%c3%a4/v1/x", "h", "", "GET /v1/x ", "a/b \xc3\xa4" },
};

START_TEST(names_in_path_and_host_choose_the_upstream)
{
    char request[256], path[80], query[256];

    (void)snprintf(path, sizeof(path), "%s/p/", px.url);
    px.upstreams[1] = (struct proxy_upstream){ .name = "one", .url = path };
    px.upstreams[2] = (struct proxy_upstream){ .name = "two", .url = px.url };
    px.o.upstream_count = 3;
    answer_with(OK);
    start_proxy();
    (void)snprintf(request, sizeof(request),
                   "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                   routes[_i].target, routes[_i].host);
    ck_assert_int_eq(exchange(request, &b), 200);
    ck_assert_int_eq(
        strncmp(up.got.data, routes[_i].sent, strlen(routes[_i].sent)), 0);
    stop_proxy(1000);
    (void)snprintf(query, sizeof(query),
                   "SELECT count(*) FROM call WHERE ifnull(upstream, '') = "
                   "'%s' AND ifnull(workload, '') = '%s'",
                   routes[_i].upstream, routes[_i].workload);
    ck_assert_int_eq(ask(query), 1);
}
END_TEST

START_TEST(tokens_open_the_proxy_to_who_has_one)
{
    /* SHA-256 of "secret" and of "other". */
    static const char lines[] =
        "# clients\n"
        "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ann\n"
        "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa bob "
        "admin\n";
    FILE *f;

    (void)snprintf(px.tokens, sizeof(px.tokens), "%s/tokens", dir);
    f = fopen(px.tokens, "w");
    ck_assert(f && fputs(lines, f) >= 0 && fclose(f) == 0);
    px.o.tokens = px.tokens;
    answer_with(OK);
    start_proxy();
    ck_assert_int_eq(exchange(GET("/v1/x") "\r\n", &b), 401);
    ck_assert_int_eq(exchange(GET("/v1/x") "X-SLM-Token: wrong\r\n\r\n", &b),
                     401);
    ck_assert_int_eq(exchange(GET("/v1/x") "X-SLM-Token: other\r\n\r\n", &b),
                     403);
    ck_assert_int_eq(atomic_load(&up.begun), 0);
    ck_assert_int_eq(exchange(GET("/v1/x") "X-SLM-Token: secret\r\n\r\n", &b),
                     200);
    ck_assert_int_eq(
        exchange(GET("/v1/x") "Proxy-Authorization: Bearer secret\r\n\r\n", &b),
        200);
    /* A name that was proven is not exchanged for one that is only said. */
    ck_assert_int_eq(exchange(GET("/v1/x") "X-SLM-Token: secret\r\n"
                                           "X-SLM-Client: bob\r\n\r\n",
                              &b),
                     200);
    buf_char(&up.got, '\0');
    ck_assert(!strstr(up.got.data, "secret"));
    stop_proxy(1000);
    ck_assert_int_eq(ask("SELECT count(*) FROM call WHERE client = 'ann'"), 3);
}
END_TEST

static int dial_unix(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

START_TEST(a_unix_socket_serves_and_goes_with_the_proxy)
{
    char text[128];
    int fd;

    (void)snprintf(px.unix_path, sizeof(px.unix_path), "%s/s", dir);
    (void)snprintf(text, sizeof(text), "unix:%s", px.unix_path);
    px.listeners[1] = text;
    px.o.listener_count = 2;
    answer_with(OK);
    start_proxy();
    fd = dial_unix(px.unix_path);
    say(fd, GET("/v1/x") "\r\n");
    hear(fd, &b, NULL);
    (void)close(fd);
    ck_assert_str_eq(body_of(&b), "ok");
    stop_proxy(1000);
    ck_assert_int_ne(access(px.unix_path, F_OK), 0);
}
END_TEST

START_TEST(the_proxy_header_is_taken_from_who_is_trusted)
{
    px.trusted[0] = _i ? "10.0.0.0/8" : "127.0.0.1";
    px.o.trusted = px.trusted;
    px.o.trusted_count = 1;
    px.o.proxy_header = true;
    answer_with(OK);
    start_proxy();
    (void)exchange("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" GET("/v1/x") "\r\n",
                   &b);
    ck_assert_int_eq(status_of(&b), _i ? 400 : 200);
    (void)exchange(GET("/v1/x") "\r\n", &b);
    ck_assert_int_eq(status_of(&b), _i ? 200 : 0);
}
END_TEST

static int admin(const char *request)
{
    int fd = loopback_dial(proxy_address(px.proxy, 1));

    buf_reset(&b);
    say(fd, request);
    hear(fd, &b, NULL);
    (void)close(fd);
    return status_of(&b);
}

START_TEST(the_admin_listener_tells_and_takes_feedback)
{
    static char big[200000], request[200200];
    char id[RECORDER_ID_CHARS + 1];
    int n;

    px.o.admin = "127.0.0.1:0";
    answer_with(OK);
    start_proxy();
    ck_assert_int_eq(exchange(GET("/v1/x") "\r\n", &b), 200);
    (void)snprintf(id, sizeof(id), "%s",
                   strstr(b.data, "X-SLM-Call-Id: ") + 15);
    ck_assert_int_eq(admin(GET("/healthz") "\r\n"), 200);
    ck_assert_int_eq(admin(GET("/readyz") "\r\n"), 200);
    ck_assert_int_eq(admin("HEAD /healthz HTTP/1.1\r\nHost: h\r\n"
                           "Connection: close\r\n\r\n"),
                     200);
    ck_assert_str_eq(body_of(&b), "");
    ck_assert_int_eq(admin(GET("/metrics") "\r\n"), 200);
    ck_assert(strstr(b.data, "\nslmctl_requests_total 1\n"));
    ck_assert_int_eq(admin(GET("/v1/x") "\r\n"), 404);
    ck_assert_int_eq(exchange(GET("/healthz") "\r\n", &b), 200);
    ck_assert_str_eq(body_of(&b), "ok"); /* the upstream's */
    n = snprintf(big, sizeof(big),
                 "{\"call\":\"%s\",\"reward\":0.5,\"answer\":\"%0150000d\"}",
                 id, 7);
    (void)snprintf(request, sizeof(request),
                   "POST /feedback HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                   "Content-Length: %d\r\n\r\n%s",
                   n, big);
    ck_assert_msg(admin(request) == 202, "%s", b.data);
    (void)admin("POST /feedback HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                "Content-Length: 14\r\n\r\n{\"call\":\"nil\"}");
    ck_assert_int_eq(status_of(&b), 400);
    ck_assert_int_eq(admin("PUT /feedback HTTP/1.1\r\nHost: h\r\n"
                           "Connection: close\r\nContent-Length: 0\r\n\r\n"),
                     405);
    ck_assert(strstr(b.data, "\r\nAllow: POST\r\n"));
    ck_assert_int_eq(admin("DELETE /metrics HTTP/1.1\r\nHost: h\r\n"
                           "Connection: close\r\n\r\n"),
                     405);
    ck_assert(strstr(b.data, "\r\nAllow: GET, HEAD\r\n"));
    stop_proxy(1000);
    ck_assert_int_eq(ask("SELECT count(*) FROM outcome WHERE reward = 0.5"), 1);
}
END_TEST

/* Also after the store has taken what was kept, as long as a probe may need to
 * see it. */
START_TEST(who_drops_calls_is_not_ready)
{
    struct store *lock;

    px.o.admin = "127.0.0.1:0";
    px.ro.queue_bytes = 1;
    px.ro.spool_bytes = 2000;
    answer_with(OK);
    start_proxy();
    for (int i = 0; i < 500 && admin(GET("/readyz") "\r\n") != 200; i++)
        nap_ms(10);
    ck_assert_int_eq(status_of(&b), 200);
    lock = lock_store();
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(exchange(GET("/v1/x") "\r\n", &b), 200);
    for (int i = 0; i < 500 && admin(GET("/readyz") "\r\n") == 200; i++)
        nap_ms(10);
    ck_assert_int_eq(status_of(&b), 503);
    unlock_store(lock);
    for (int i = 0; i < 1000 && !strstr(body_of(&b), "were dropped"); i++) {
        nap_ms(10);
        (void)admin(GET("/readyz") "\r\n");
    }
    ck_assert_int_eq(status_of(&b), 503);
    ck_assert(strstr(body_of(&b), "calls were dropped"));
    stop_proxy(1000);
    ck_assert_int_gt(ask("SELECT sum(calls) FROM gap"), 5);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("proxy", set_up, tear_down);

    tcase_add_test(t, what_can_be_read_in_two_ways_reaches_no_upstream);
    tcase_add_loop_test(t, answers_pass_unchanged_wherever_they_are_cut, 0, 4);
    tcase_add_loop_test(t, request_bodies_pass_unchanged_wherever_they_are_cut,
                        0, 2);
    tcase_add_test(t, header_fields_of_one_hop_stay_on_it);
    tcase_add_test(t, requests_sent_ahead_are_answered_in_turn);
    tcase_add_loop_test(t, answers_without_a_body_leave_the_connection_usable,
                        0, 6);
    tcase_add_test(t, a_head_request_is_refused_without_a_body);
    tcase_add_test(t, who_expects_to_be_told_to_go_on_is);
    tcase_add_loop_test(t, what_is_not_for_an_upstream_is_answered_here, 0,
                        sizeof(limits) / sizeof(*limits));
    tcase_add_loop_test(t, names_in_path_and_host_choose_the_upstream, 0,
                        sizeof(routes) / sizeof(*routes));
    tcase_add_test(t, tokens_open_the_proxy_to_who_has_one);
    tcase_add_test(t, a_unix_socket_serves_and_goes_with_the_proxy);
    tcase_add_loop_test(t, the_proxy_header_is_taken_from_who_is_trusted, 0, 2);
    tcase_add_test(t, the_admin_listener_tells_and_takes_feedback);
    tcase_add_test(t, who_drops_calls_is_not_ready);
    return suite_run("proxy", t);
}
