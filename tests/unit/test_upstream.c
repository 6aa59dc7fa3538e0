/* test_upstream.c - transfers against a server that sends what it is told */
#include "loopback.h"
#include "suite.h"

#include "upstream/upstream.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One answer a connection, when the request has come to `until`; what came is
 * kept. */
static struct server {
    int fd, port;
    pthread_t thread;
    const char *answer;
    const char *until;
    bool stalls; /* holds the connection open, silent */
    struct buf got;
} server;

static void *serve(void *unused)
{
    char bytes[4096];
    int fd = accept(server.fd, NULL, NULL);
    ssize_t n;

    (void)unused;
    if (fd < 0)
        return NULL;
    while ((!server.got.len || !strstr(server.got.data, server.until)) &&
           (n = read(fd, bytes, sizeof(bytes))) > 0)
        buf_add(&server.got, bytes, (size_t)n);
    n = write(fd, server.answer, strlen(server.answer));
    if (server.stalls)
        n = read(fd, bytes, 1);
    (void)n;
    (void)close(fd);
    return NULL;
}

static void start(const char *answer, const char *until, bool stalls)
{
    memset(&server, 0, sizeof(server));
    server.answer = answer;
    server.until = until;
    server.stalls = stalls;
    server.fd = loopback_listen(8, &server.port);
    ck_assert_int_eq(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static void stop(void)
{
    (void)shutdown(server.fd, SHUT_RDWR);
    ck_assert_int_eq(pthread_join(server.thread, NULL), 0);
    (void)close(server.fd);
    buf_release(&server.got);
}

/* What came back. */
static struct seen {
    struct upstream_transfer *t;
    int status;
    enum http_framing framing;
    uint64_t length;
    struct buf fields, data;
    const char *body;
    size_t sent, held; /* pieces of data refused so far */
    bool holds, aborts, ended;
    enum upstream_result result;
    struct upstream_times times;
    char why[256];
} seen;

static void on_head(void *ctx, int status, const struct http_field *fields,
                    size_t count, enum http_framing framing, uint64_t length)
{
    (void)ctx;
    seen.status = status;
    seen.framing = framing;
    seen.length = length;
    for (size_t i = 0; i < count; i++) {
        buf_add_slice(&seen.fields, fields[i].name);
        buf_char(&seen.fields, '=');
        buf_add_slice(&seen.fields, fields[i].value);
        buf_char(&seen.fields, ';');
    }
}

static bool on_data(void *ctx, struct slice bytes)
{
    (void)ctx;
    if (seen.aborts)
        upstream_abort(seen.t);
    if (seen.holds && seen.held == 0) {
        seen.held++;
        return false;
    }
    buf_add_slice(&seen.data, bytes);
    return true;
}

static int64_t on_body(void *ctx, char *p, size_t n)
{
    size_t left = strlen(seen.body) - seen.sent;

    (void)ctx;
    if (n > left)
        n = left;
    if (n > 3)
        n = 3;
    memcpy(p, seen.body + seen.sent, n);
    seen.sent += n;
    return (int64_t)n;
}

static void on_end(void *ctx, enum upstream_result result,
                   const struct upstream_times *times, const char *why)
{
    (void)ctx;
    seen.ended = true;
    seen.result = result;
    seen.times = *times;
    (void)snprintf(seen.why, sizeof(seen.why), "%s", why ? why : "");
}

/* Runs until its end, or until ms have passed. */
static void run(struct upstream *u, struct upstream_request *r, int64_t ms)
{
    int64_t until = clock_mono_ns() + ms * 1000000;
    struct err err;

    memset(&seen.result, 0, sizeof(seen.result));
    r->head = on_head;
    r->data = on_data;
    r->body = on_body;
    r->end = on_end;
    ck_assert_int_eq(upstream_begin(u, r, &seen.t, &err), ERR_OK);
    while (!seen.ended && clock_mono_ns() < until) {
        struct pollfd p = { .fd = upstream_fd(u), .events = POLLIN };
        int wait = upstream_wait_ms(u);

        (void)poll(&p, 1, wait < 0 || wait > 20 ? 20 : wait);
        upstream_step(u);
        if (seen.held == 1) {
            seen.held = 2;
            upstream_resume(seen.t);
        }
    }
}

static struct upstream *open_upstream(int64_t first_byte_ms, int64_t idle_ms)
{
    struct upstream_options o = { .connect_ms = 2000,
                                  .first_byte_ms = first_byte_ms,
                                  .idle_ms = idle_ms,
                                  .connections = 4 };
    struct upstream *u = NULL;
    struct err err;

    memset(&seen, 0, sizeof(seen));
    ck_assert_int_eq(upstream_new(&o, &u, &err), ERR_OK);
    return u;
}

static void close_upstream(struct upstream *u)
{
    upstream_free(u);
    buf_release(&seen.fields);
    buf_release(&seen.data);
}

static char url[64];
static struct upstream_request request(const char *method)
{
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/a/../b?c=[]",
                   server.port);
    return (struct upstream_request){ .method = slice_of(method),
                                      .url = url,
                                      .is_named = true };
}

START_TEST(a_request_goes_out_as_given_and_its_answer_comes_back)
{
    static const char sent[] = "POST /a/../b?c=[] HTTP/1.1\r\nHost: 127.0.0.1:";
    struct http_field fields[] = { { slice_of("X-A"), slice_of("b") },
                                   { slice_of("X-Empty"), slice_of("") },
                                   { slice_of("accept"), slice_of("x/y") } };
    struct upstream *u = open_upstream(0, 0);
    struct upstream_request r;

    start("HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 201 Made\r\n"
          "Content-Length: 3\r\nX-B:  c d \r\nX-B: e\r\n\r\nxyz",
          "0123456789", false);
    r = request("POST");
    r.fields = fields;
    r.field_count = 3;
    r.framing = HTTP_LENGTH;
    r.length = 10;
    seen.body = "0123456789";
    run(u, &r, 5000);
    ck_assert(seen.ended && seen.result == UPSTREAM_DONE);
    ck_assert_int_eq(seen.status, 201);
    ck_assert(seen.framing == HTTP_LENGTH && seen.length == 3);
    ck_assert_str_eq(seen.fields.data, "Content-Length=3;X-B=c d;X-B=e;");
    ck_assert_str_eq(seen.data.data, "xyz");
    ck_assert(seen.times.first_byte > 0 &&
              seen.times.last_byte >= seen.times.first_byte);
    ck_assert_int_eq(strncmp(server.got.data, sent, sizeof(sent) - 1), 0);
    ck_assert(strstr(server.got.data, "\r\nX-A: b\r\n"));
    ck_assert(strstr(server.got.data, "\r\nX-Empty:\r\n"));
    ck_assert(strstr(server.got.data, "\r\naccept: x/y\r\n"));
    ck_assert(strstr(server.got.data, "\r\nContent-Length: 10\r\n"));
    ck_assert(!strstr(server.got.data, "Expect") &&
              !strstr(server.got.data, "User-Agent"));
    ck_assert(strstr(server.got.data, "\r\n\r\n0123456789"));
    close_upstream(u);
    stop();
}
END_TEST

START_TEST(a_body_without_length_goes_out_in_chunks)
{
    struct upstream *u = open_upstream(0, 0);
    struct upstream_request r;

    start("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
          "0\r\nX-T: y\r\n\r\n",
          "0\r\n\r\n", false);
    r = request("PUT");
    r.framing = HTTP_CHUNKED;
    seen.body = "0123456789";
    run(u, &r, 5000);
    ck_assert(seen.result == UPSTREAM_DONE && seen.framing == HTTP_CHUNKED);
    ck_assert_str_eq(seen.data.data, "ab");
    ck_assert(strstr(server.got.data, "\r\nTransfer-Encoding: chunked\r\n"));
    ck_assert(strstr(server.got.data, "3\r\n012\r\n"));
    close_upstream(u);
    stop();
}
END_TEST

START_TEST(no_byte_is_lost_or_doubled_by_a_pause)
{
    struct upstream *u = open_upstream(0, 0);
    struct upstream_request r;

    start("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef", "\r\n\r\n",
          false);
    r = request("GET");
    seen.holds = true;
    run(u, &r, 5000);
    ck_assert(seen.result == UPSTREAM_DONE && seen.held == 2);
    ck_assert_str_eq(seen.data.data, "abcdef");
    close_upstream(u);
    stop();
}
END_TEST

static const struct {
    const char *answer;
    enum upstream_result result;
} endings[] = {
    { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", UPSTREAM_CUT },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
      UPSTREAM_CUT },
    { "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", UPSTREAM_DONE },
    { "", UPSTREAM_CUT },
    { "nonsense\r\n\r\n", UPSTREAM_BAD },
    { "HTTP/1.1 200 OK\r\nNo colon\r\n\r\n", UPSTREAM_BAD },
    { "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", UPSTREAM_BAD },
    { "HTTP/1.1 200 OK\r\nContent-Length: 3x\r\n\r\nabc", UPSTREAM_BAD },
    { "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc", UPSTREAM_BAD },
    { "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999999\r\n\r\n",
      UPSTREAM_BAD },
    { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 3\r\n\r\nabc",
      UPSTREAM_BAD },
    { "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
      UPSTREAM_DONE },
};

START_TEST(endings_are_told_apart)
{
    struct upstream *u = open_upstream(0, 0);
    struct upstream_request r;

    start(endings[_i].answer, "\r\n\r\n", false);
    r = request("GET");
    run(u, &r, 5000);
    ck_assert(seen.ended);
    ck_assert_msg(seen.result == endings[_i].result, "%d: %d, %s", _i,
                  seen.result, seen.why);
    close_upstream(u);
    stop();
}
END_TEST

START_TEST(silence_ends_in_a_timeout)
{
    static const char *const answers[] = {
        "", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"
    };
    struct upstream *u = open_upstream(_i ? 0 : 300, _i ? 300 : 0);
    struct upstream_request r;

    start(answers[_i], "\r\n\r\n", true);
    r = request("GET");
    run(u, &r, 5000);
    ck_assert(seen.ended && seen.result == UPSTREAM_TIMEOUT);
    close_upstream(u);
    stop();
}
END_TEST

START_TEST(an_abort_within_a_callback_is_the_last_that_is_heard)
{
    struct upstream *u = open_upstream(0, 0);
    struct upstream_request r;

    start("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef", "\r\n\r\n",
          false);
    r = request("GET");
    seen.aborts = true;
    run(u, &r, 300);
    ck_assert(!seen.ended && seen.status == 200);
    close_upstream(u);
    stop();
}
END_TEST

START_TEST(what_is_not_there_is_unreached)
{
    struct upstream *u = open_upstream(0, 0);
    struct upstream_request r;

    start("", "", false);
    r = request("GET");
    stop();
    run(u, &r, 5000);
    ck_assert(seen.ended && seen.result == UPSTREAM_UNREACHED);
    ck_assert(seen.why[0]);
    close_upstream(u);
}
END_TEST

/* The server is the proxy, where there is one for this URL. */
START_TEST(a_proxy_may_be_for_https_alone)
{
    struct upstream_options o = { .connect_ms = 2000,
                                  .connections = 4,
                                  .proxy_for_https = _i > 0 };
    struct upstream *u = NULL;
    struct upstream_request r;
    char proxy[64];
    struct err err;

    start("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "\r\n\r\n", false);
    (void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", server.port);
    o.proxy = proxy;
    memset(&seen, 0, sizeof(seen));
    ck_assert_int_eq(upstream_new(&o, &u, &err), ERR_OK);
    r = request("GET");
    if (_i == 0) /* the proxy may have an address that the host may not */
        r.url = "http://model.example/x";
    r.is_named = _i > 0;
    if (_i == 2)
        r.url = "https://model.example/x";
    run(u, &r, 5000);
    ck_assert(seen.ended);
    ck_assert_int_eq(strncmp(server.got.data,
                             _i == 0   ? "GET http://model.example/x "
                             : _i == 1 ? "GET /a/../b?c=[] "
                                       : "CONNECT model.example:443 ",
                             17),
                     0);
    close_upstream(u);
    stop();
}
END_TEST

#define SLOW_MS 1000

/* The C library's, for all names but one. */
__attribute__((visibility("default"))) int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
            struct addrinfo **out)
{
    typedef int function(const char *, const char *, const struct addrinfo *,
                         struct addrinfo **);
    union {
        void *p;
        function *f;
    } next = { .p = dlsym(RTLD_NEXT, "getaddrinfo") };

    if (name && !strcmp(name, "slow.example")) {
        (void)poll(NULL, 0, SLOW_MS);
        return EAI_AGAIN;
    }
    return next.f(name, service, hints, out);
}

/* All other transfers of the thread waited for the name of one that was over.
 */
START_TEST(an_abort_does_not_wait_for_a_name)
{
    struct upstream *u = open_upstream(0, 0);
    struct upstream_request r = request("GET");
    int64_t start_ns;

    r.url = "http://slow.example/";
    run(u, &r, 100);
    ck_assert(!seen.ended);
    start_ns = clock_mono_ns();
    upstream_abort(seen.t);
    ck_assert_int_lt((clock_mono_ns() - start_ns) / 1000000, SLOW_MS / 2);
    close_upstream(u);
    (void)poll(NULL, 0, SLOW_MS + 200); /* curl's thread ends */
}
END_TEST

START_TEST(a_private_address_must_be_meant)
{
    struct upstream *u = open_upstream(0, 0);
    struct upstream_request r;

    start("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "\r\n\r\n", false);
    r = request("GET");
    r.is_named = false;
    run(u, &r, 5000);
    ck_assert(seen.ended && seen.result == UPSTREAM_UNREACHED);
    ck_assert_ptr_nonnull(strstr(seen.why, "--private"));
    close_upstream(u);
    stop();
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("upstream");

    tcase_add_test(t, a_request_goes_out_as_given_and_its_answer_comes_back);
    tcase_add_test(t, a_body_without_length_goes_out_in_chunks);
    tcase_add_test(t, no_byte_is_lost_or_doubled_by_a_pause);
    tcase_add_loop_test(t, endings_are_told_apart, 0,
                        (int)(sizeof(endings) / sizeof(*endings)));
    tcase_add_loop_test(t, silence_ends_in_a_timeout, 0, 2);
    tcase_add_test(t, an_abort_within_a_callback_is_the_last_that_is_heard);
    tcase_add_test(t, what_is_not_there_is_unreached);
    tcase_add_loop_test(t, a_proxy_may_be_for_https_alone, 0, 3);
    tcase_add_test(t, an_abort_does_not_wait_for_a_name);
    tcase_add_test(t, a_private_address_must_be_meant);
    return suite_run("upstream", t);
}
