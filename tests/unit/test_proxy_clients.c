/* test_proxy_clients.c - what clients see when the proxy stops or an upstream
 * says nothing, and what of their requests is kept */
#include "proxy_fixture.h"

#define ASK "GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static struct buf b;

/* The reset came with a client that was quicker than the stop. */
START_TEST(a_request_that_meets_the_stop_is_answered)
{
    int busy, late;

    up.answer = slice_of(OK);
    start_proxy();
    busy = dial();
    buf_reset(&b);
    say(busy, ASK);
    hear(busy, &b, "ok");
    ck_assert(!strstr(b.data, "Connection: close"));
    late = dial();
    proxy_stop(px.proxy, 5000);
    buf_reset(&b);
    say(busy, ASK);
    hear(busy, &b, NULL);
    ck_assert_int_eq(status_of(&b), 200);
    ck_assert_ptr_nonnull(strstr(b.data, "\r\nConnection: close\r\n"));
    ck_assert_str_eq(body_of(&b), "ok");
    buf_reset(&b);
    say(late, ASK);
    hear(late, &b, NULL);
    ck_assert_str_eq(body_of(&b), "ok");
    (void)close(busy);
    (void)close(late);
    stop_proxy(5000);
    ck_assert_int_eq(
        ask("SELECT count(*) FROM call WHERE status = 'completed'"), 3);
}
END_TEST

/* The time for a head was counted from the answer before. */
START_TEST(a_head_in_pieces_has_its_time_on_an_old_connection)
{
    int fd;

    up.answer = slice_of(OK);
    px.o.head_ms = 500;
    start_proxy();
    fd = dial();
    buf_reset(&b);
    say(fd, ASK);
    hear(fd, &b, "ok");
    nap_ms(800);
    say(fd, "GET /v1/models HTTP/1.1\r\n");
    nap_ms(250);
    say(fd, "Host: h\r\n\r\n");
    buf_reset(&b);
    hear(fd, &b, "ok");
    ck_assert_int_eq(status_of(&b), 200);
    say(fd, "GET /v1/models HTTP/1.1\r\n"); /* and no more than its time */
    buf_reset(&b);
    hear(fd, &b, NULL);
    ck_assert_int_eq(status_of(&b), 408);
    (void)close(fd);
}
END_TEST

/* The same for a body: its time begins with its head. */
START_TEST(a_body_has_its_time_on_an_old_connection)
{
    int fd;

    up.answer = slice_of(OK);
    px.o.idle_ms = 800;
    start_proxy();
    fd = dial();
    nap_ms(600);
    say(fd, "POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n");
    nap_ms(500);
    say(fd, "{}");
    buf_reset(&b);
    hear(fd, &b, "ok");
    ck_assert_int_eq(status_of(&b), 200);
    (void)close(fd);
}
END_TEST

/* Over a socket of both protocols IPv4 looks like IPv6. */
START_TEST(a_client_has_one_address_on_all_sockets)
{
    int fd;

    if (access("/proc/net/if_inet6", R_OK) != 0)
        return;
    up.answer = slice_of(OK);
    px.listeners[1] = "[::]:0";
    px.o.listener_count = 2;
    start_proxy();
    for (size_t i = 0; i < 2; i++) {
        fd = loopback_dial(proxy_address(px.proxy, i));
        say(fd, ASK);
        buf_reset(&b);
        hear(fd, &b, "ok");
        (void)close(fd);
    }
    stop_proxy(5000);
    ck_assert_int_eq(ask("SELECT count(*) FROM call"), 2);
    ck_assert_int_eq(ask("SELECT count(DISTINCT facts ->> 'address') "
                         "FROM call"),
                     1);
}
END_TEST

static const struct {
    const char *path, *upstream;
} paths[] = {
    { "/api/chat", "ollama" },
    { "/api/v1/chat/completions", "openrouter" },
    { "/api/v1/responses", "openrouter" },
    { "/v1/embeddings", "openrouter" },
    { "/v1/messages?beta=true", "claude" },
    { "/v1beta/models/g:generateContent", NULL },
};

/* OpenRouter's begin as Ollama's do. */
START_TEST(paths_tell_whose_api_is_meant)
{
    char request[256], query[128];

    up.answer = slice_of(OK);
    px.upstreams[0].name = "ollama";
    px.upstreams[1] =
        (struct proxy_upstream){ .name = "openrouter", .url = px.url };
    px.upstreams[2] =
        (struct proxy_upstream){ .name = "claude", .url = px.url };
    px.o.upstream_count = 3;
    start_proxy();
    (void)snprintf(request, sizeof(request),
                   "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
                   paths[_i].path);
    ck_assert_int_eq(exchange(request, &b), paths[_i].upstream ? 200 : 404);
    stop_proxy(5000);
    (void)snprintf(query, sizeof(query),
                   "SELECT count(*) FROM call WHERE upstream = '%s'",
                   paths[_i].upstream ? paths[_i].upstream : "");
    ck_assert_int_eq(ask(query), paths[_i].upstream != NULL);
}
END_TEST

/* Fields of a request, and its conversation. */
static const char *const names[][2] = {
    { "X-SLM-Conversation: a\r\nHelicone-Session-Id: b\r\n", "a" },
    { "Helicone-Session-Id: b\r\nbaggage: session.id=c\r\n", "b" },
    { "x-litellm-session-id: l\r\n", "l" },
    { "baggage: x=1, session.id = c ;p=1\r\n", "c" },
    { "baggage: x=1,conversation.id=d\r\n", "d" },
    { "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
      "\r\n",
      "0af7651916cd43dd8448eb211c80319c" },
    { "traceparent: 00-0af7\r\n", "" },
};

START_TEST(headers_tell_the_conversation_and_stay_here)
{
    char request[512], query[256];

    up.answer = slice_of(OK);
    start_proxy();
    (void)snprintf(request, sizeof(request),
                   "GET /w/job/v1/models HTTP/1.1\r\nHost: h\r\n%s"
                   "X-SLM-Client: me\r\nX-SLM-Workload: job2\r\n"
                   "helicone-user-id: SECRET\r\nConnection: close\r\n\r\n",
                   names[_i][0]);
    ck_assert_int_eq(exchange(request, &b), 200);
    ck_assert(!strcasestr(up.got.data, "x-slm-"));
    stop_proxy(5000);
    (void)snprintf(query, sizeof(query),
                   "SELECT count(*) FROM call WHERE ifnull(conversation, '') = "
                   "'%s' AND client = 'me' AND workload = 'job2' AND "
                   "length(facts ->> 'user') = 16 AND facts NOT LIKE "
                   "'%%SECRET%%'",
                   names[_i][1]);
    ck_assert_int_eq(ask(query), 1);
}
END_TEST

/* Nobody is led elsewhere with a client's key. */
START_TEST(a_redirect_is_passed_on)
{
    up.answer = slice_of("HTTP/1.1 307 Gone\r\nLocation: http://127.0.0.1:1/x"
                         "\r\nContent-Length: 0\r\n\r\n");
    start_proxy();
    ck_assert_int_eq(exchange("GET /v1/models HTTP/1.1\r\nHost: h\r\n"
                              "Connection: close\r\n\r\n",
                              &b),
                     307);
    ck_assert_ptr_nonnull(strstr(b.data, "\r\nLocation: http://127.0.0.1:1/x"));
    ck_assert_int_eq(atomic_load(&up.requests), 1);
}
END_TEST

/* What a proxy in front needs so that it passes a stream on as it comes. */
START_TEST(a_stream_says_that_it_is_not_to_be_held_back)
{
    up.answer = slice_of("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream"
                         "\r\nContent-Length: 2\r\n\r\n\n\n");
    start_proxy();
    ck_assert_int_eq(exchange("GET /v1/models HTTP/1.1\r\nHost: h\r\n"
                              "Connection: close\r\n\r\n",
                              &b),
                     200);
    ck_assert_ptr_nonnull(strstr(b.data, "\r\nX-Accel-Buffering: no\r\n"));
    ck_assert_ptr_nonnull(strstr(b.data, "\r\nCache-Control: no-cache\r\n"));
}
END_TEST

/* As systemd hands it over. */
START_TEST(a_socket_that_was_inherited_is_served)
{
    char name[32];
    int port, fd = loopback_listen(8, &port);

    (void)snprintf(name, sizeof(name), "fd:%d", fd);
    up.answer = slice_of(OK);
    px.listeners[0] = name;
    start_proxy();
    (void)snprintf(name, sizeof(name), "127.0.0.1:%d", port);
    fd = loopback_dial(name);
    say(fd, ASK);
    buf_reset(&b);
    hear(fd, &b, "ok");
    ck_assert_int_eq(status_of(&b), 200);
    (void)close(fd);
}
END_TEST

/* Who watches over it is let in when nobody else is. */
START_TEST(a_full_proxy_still_tells_how_it_is)
{
    int fd, busy;

    up.answer = slice_of(OK);
    px.o.admin = "127.0.0.1:0";
    px.o.connections = 1;
    start_proxy();
    busy = dial();
    say(busy, ASK);
    buf_reset(&b);
    hear(busy, &b, "ok");
    ck_assert_int_eq(exchange(ASK, &b), 503);
    ck_assert(strstr(body_of(&b), "\"code\":\"too_many_connections\""));
    fd = loopback_dial(proxy_address(px.proxy, 1));
    buf_reset(&b);
    say(fd, "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    hear(fd, &b, NULL);
    ck_assert_int_eq(status_of(&b), 200);
    (void)close(fd);
    (void)close(busy);
}
END_TEST

static const char *const secret_fields[] = {
    "authorization", "Proxy-Authorization", "x-api-key",   "api-key",
    "cookie",        "Set-Cookie",          "x-slm-token", "helicone-auth",
};

START_TEST(fields_that_hold_keys_cannot_be_kept)
{
    const char *const keep[] = { "x-request-id", secret_fields[_i] };
    struct recorder *rec = NULL;
    struct proxy *p = NULL;
    struct err err;

    px.o.keep_fields = keep;
    px.o.keep_field_count = 2;
    ck_assert_int_eq(recorder_open(&px.ro, &rec, &err), ERR_OK);
    ck_assert_int_eq(proxy_new(&px.o, rec, &p, &err), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, secret_fields[_i]));
    ck_assert_int_eq(recorder_close(rec, 1000, &err), ERR_OK);
}
END_TEST

/* What is left of a request that was too long to be copied is no request. */
START_TEST(of_a_request_that_was_not_kept_no_piece_is)
{
    static char body[2 << 20];

    up.answer = slice_of(OK);
    px.o.capture_max = 1 << 20;
    start_proxy();
    memset(body, 'x', sizeof(body) - 1);
    buf_reset(&b);
    buf_printf(&b,
               "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n"
               "Connection: close\r\nContent-Length: %zu\r\n\r\n",
               sizeof(body) - 1);
    buf_add(&b, body, sizeof(body) - 1);
    {
        int fd = dial();

        ck_assert(write_all(fd, b.data, b.len));
        buf_reset(&b);
        hear(fd, &b, NULL);
        (void)close(fd);
    }
    ck_assert_int_eq(status_of(&b), 200);
    stop_proxy(5000);
    ck_assert_int_eq(ask("SELECT count(*) FROM call c JOIN blob b ON b.id = "
                         "c.request WHERE b.size = 0 AND "
                         "dialect = 'openai-chat' AND extra LIKE "
                         "'%\"cut\":true%'"),
                     1);
}
END_TEST

START_TEST(an_idle_connection_does_not_hold_up_the_stop)
{
    int64_t start;
    int fd;

    start_proxy();
    fd = dial();
    nap_ms(50);
    start = clock_mono_ns();
    stop_proxy(10000);
    ck_assert_int_lt((clock_mono_ns() - start) / 1000000, 3000);
    (void)close(fd);
}
END_TEST

/* The message had the rest of the exchange's texts behind the name. */
START_TEST(an_upstream_that_times_out_is_told_by_its_name_alone)
{
    up.answer = slice_of("");
    up.stalls = true;
    px.upstreams[0].name = "one";
    px.o.client.first_byte_ms = 100;
    start_proxy();
    ck_assert_int_eq(exchange("POST /one/v1/secret HTTP/1.1\r\nHost: h\r\n"
                              "Content-Type: application/json\r\n"
                              "Content-Length: 2\r\nConnection: close\r\n\r\n"
                              "{}",
                              &b),
                     504);
    ck_assert_ptr_nonnull(strstr(b.data, "\"upstream one: "));
    ck_assert(!strstr(b.data, "secret") && !strstr(b.data, "POST"));
}
END_TEST

/* Only "key=" was left out, the first one, spelt like that. */
START_TEST(keys_in_a_query_are_not_stored_whatever_their_name)
{
    up.answer = slice_of(OK);
    start_proxy();
    ck_assert_int_eq(
        exchange("GET /v1/models?alt=sse&key=SECRET&api_key=SECRET&key=SECRET"
                 "&k%65y=SECRET&&token=SECRET=SECRET&SECRET&limit=5& HTTP/1.1"
                 "\r\nHost: h\r\nConnection: close\r\n\r\n",
                 &b),
        200);
    stop_proxy(5000);
    ck_assert_int_eq(
        ask("SELECT count(*) FROM call WHERE facts LIKE '%SECRET%' "
            "OR extra LIKE '%SECRET%'"),
        0);
    ck_assert_int_eq(
        ask("SELECT count(*) FROM call WHERE facts ->> 'target' = "
            "'/v1/models?alt=sse&key=-&api_key=-&key=-&k%65y=-&&token=-"
            "&-&limit=5&'"),
        1);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("proxy_clients", set_up, tear_down);

    tcase_add_test(t, a_request_that_meets_the_stop_is_answered);
    tcase_add_test(t, a_head_in_pieces_has_its_time_on_an_old_connection);
    tcase_add_test(t, a_body_has_its_time_on_an_old_connection);
    tcase_add_test(t, a_client_has_one_address_on_all_sockets);
    tcase_add_loop_test(t, paths_tell_whose_api_is_meant, 0,
                        sizeof(paths) / sizeof(*paths));
    tcase_add_loop_test(t, headers_tell_the_conversation_and_stay_here, 0,
                        sizeof(names) / sizeof(*names));
    tcase_add_test(t, a_redirect_is_passed_on);
    tcase_add_test(t, a_stream_says_that_it_is_not_to_be_held_back);
    tcase_add_test(t, a_socket_that_was_inherited_is_served);
    tcase_add_test(t, a_full_proxy_still_tells_how_it_is);
    tcase_add_loop_test(t, fields_that_hold_keys_cannot_be_kept, 0,
                        sizeof(secret_fields) / sizeof(*secret_fields));
    tcase_add_test(t, of_a_request_that_was_not_kept_no_piece_is);
    tcase_add_test(t, an_idle_connection_does_not_hold_up_the_stop);
    tcase_add_test(t, an_upstream_that_times_out_is_told_by_its_name_alone);
    tcase_add_test(t, keys_in_a_query_are_not_stored_whatever_their_name);
    return suite_run("proxy_clients", t);
}
