/* test_proxy_access.c - who is answered here: by the name in Host, by tokens
 * and their scopes, up to which size; and what watches over it */
#include "proxy_local_fixture.h"

static const struct {
    const char *host;
    int status;
} hosts[] = {
    { "localhost", 200 },
    { "LocalHost:8080", 200 },
    { "127.0.0.1:1", 200 },
    { "127.9.9.9", 200 },
    { "[::1]:8080", 200 },
    { "one.localhost:80", 200 },
    { "localhost.", 200 },
    { "Allowed.Example:443", 200 },
    { "evil.example", 421 },
    { "localhost.evil.example", 421 },
    { "127.0.0.1.evil.example", 421 },
    { "notlocalhost", 421 },
    { "10.0.0.1", 421 },
    { "[::2]", 421 },
    { "[::ffff:127.0.0.1]:80", 200 },
    { "[::ffff:10.0.0.1]", 421 },
    { "allowed.example.evil", 421 },
};

/* A page of a browser comes under the name that it was led here by. */
START_TEST(a_loopback_listener_serves_this_machines_names)
{
    static const char *const allowed[] = { "allowed.example" };
    char request[256];

    px.o.hosts = allowed;
    px.o.host_count = 1;
    start_proxy();
    (void)snprintf(request, sizeof(request),
                   "GET /v1/models HTTP/1.1\r\nHost: %s\r\n"
                   "Connection: close\r\n\r\n",
                   hosts[_i].host);
    ck_assert_int_eq(exchange(request, &b), hosts[_i].status);
}
END_TEST

/* As systemd hands it over, and as a socket of both families is bound. */
START_TEST(an_inherited_listener_of_a_loopback_address_is_one)
{
    static char name[32];
    int port, fd = _i ? -1 : loopback_listen(8, &port);

    (void)snprintf(name, sizeof(name), "fd:%d", fd);
    px.listeners[0] = _i ? "[::ffff:127.0.0.1]:0" : name;
    start_proxy();
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(
            exchange(i ? "GET /v1/models HTTP/1.1\r\nHost: localhost"
                         "\r\nConnection: close\r\n\r\n"
                       : "GET /v1/models HTTP/1.1\r\nHost: evil."
                         "example\r\nConnection: close\r\n\r\n",
                     &b),
            i ? 200 : 421);
}
END_TEST

START_TEST(a_unix_socket_is_no_browsers)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(px.unix_path, sizeof(px.unix_path), "unix:%s/s", dir);
    px.listeners[0] = px.unix_path;
    start_proxy();
    (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/s", dir);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    say(fd, "GET /v1/models HTTP/1.1\r\nHost: any.example\r\n"
            "Connection: close\r\n\r\n");
    buf_reset(&b);
    hear(fd, &b, NULL);
    (void)close(fd);
    ck_assert_int_eq(status_of(&b), 200);
}
END_TEST

static const char *scope(void *ctx, const struct http_request *r)
{
    (void)ctx;
    return slice_is(r->target, "/v1/models") ? "models" : NULL;
}

static const struct {
    const char *path, *field;
    bool upstream;
    int status;
} tokens[] = {
    { "/v1/models", "X-SLM-Token: one", false, 200 },
    { "/v1/models", "Authorization: Bearer one", false, 200 },
    { "/v1/models", "x-api-key: one", false, 200 },
    { "/v1/models", "Authorization: Bearer two", false, 200 },
    { "/v1/models", "Authorization: Bearer three", false, 403 },
    { "/v1/models", "X-Nothing: one", false, 401 },
    { "/v1/x", "Authorization: Bearer one", false, 403 },
    { "/v1/x", "Authorization: Bearer two", false, 500 },
    /* A key that is meant for an upstream is not looked at. */
    { "/v1/models", "Authorization: Bearer one", true, 401 },
    { "/v1/models", "x-api-key: one", true, 401 },
    { "/v1/models", "X-SLM-Token: one", true, 200 },
};

/* "one" may list models, "two" may use them, too, "three" neither. */
START_TEST(a_token_opens_what_its_scopes_say)
{
    char request[256], hex[65];
    unsigned char hash[CRYPTO_SHA256_BYTES];
    FILE *f;

    (void)snprintf(px.tokens, sizeof(px.tokens), "%s/tokens", dir);
    f = fopen(px.tokens, "we");
    ck_assert_ptr_nonnull(f);
    crypto_sha256(slice_of("one"), hash);
    crypto_hex(hash, sizeof(hash), hex);
    (void)fprintf(f, "%s first models,content\n", hex);
    crypto_sha256(slice_of("two"), hash);
    crypto_hex(hash, sizeof(hash), hex);
    (void)fprintf(f, "%s second\n", hex);
    crypto_sha256(slice_of("three"), hash);
    crypto_hex(hash, sizeof(hash), hex);
    (void)fprintf(f, "%s third admin\n", hex);
    (void)fclose(f);
    px.o.tokens = px.tokens;
    fake.local.scope = scope;
    px.o.upstream_count = tokens[_i].upstream;
    start_proxy();
    (void)snprintf(request, sizeof(request),
                   "POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
                   "Connection: close\r\nContent-Length: 17\r\n\r\n"
                   "{\"model\":\"never\"}",
                   tokens[_i].path, tokens[_i].field);
    ck_assert_int_eq(exchange(request, &b), tokens[_i].status);
    if (tokens[_i].status == 200 || tokens[_i].status == 500)
        ck_assert_str_eq(fake.token,
                         strstr(tokens[_i].field, "two") ? "second" : "first");
}
END_TEST

/* 0: an upstream takes it; 1: there is none; 2: none, and chunked. */
START_TEST(a_body_that_is_too_long_is_not_held)
{
    size_t n = 300000;
    char *body = malloc(n + 1);
    int fd;

    ck_assert_ptr_nonnull(body);
    memset(body, 'x', n);
    body[n] = '\0';
    fake.local.body_max = 1000;
    px.o.upstream_count = _i == 0 || _i == 3;
    start_proxy();
    buf_reset(&b);
    if (_i < 2)
        buf_printf(&b,
                   "POST /v1/x HTTP/1.1\r\nHost: localhost\r\nConnection: "
                   "close\r\nContent-Length: %zu\r\n\r\n%s",
                   n, body);
    else
        buf_printf(&b,
                   "POST /v1/x HTTP/1.1\r\nHost: localhost\r\nConnection: "
                   "close\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n"
                   "0\r\n\r\n",
                   n, body);
    fd = dial();
    (void)write_all(fd, b.data, b.len);
    buf_reset(&b);
    hear(fd, &b, NULL);
    (void)close(fd);
    free(body);
    ck_assert_int_eq(status_of(&b), px.o.upstream_count ? 200 : 413);
    ck_assert_int_eq(atomic_load(&fake.takes), 0);
    if (_i == 0)
        ck_assert_uint_eq(up.body_bytes, n);
}
END_TEST

START_TEST(without_an_upstream_only_what_is_known_is_served)
{
    px.o.upstream_count = 0;
    start_proxy();
    ck_assert_int_eq(exchange("GET /other HTTP/1.1\r\nHost: localhost\r\n"
                              "Connection: close\r\n\r\n",
                              &b),
                     404);
    ck_assert_int_eq(exchange("HEAD /v1/models HTTP/1.1\r\nHost: localhost\r\n"
                              "Connection: close\r\n\r\n",
                              &b),
                     200);
    ck_assert_str_eq(body_of(&b), "");
    ck_assert_ptr_nonnull(strstr(b.data, "\r\nContent-Length: 2\r\n"));
}
END_TEST

static int administer(const char *request)
{
    int fd = loopback_dial(proxy_address(px.proxy, 1));

    buf_reset(&b);
    say(fd, request);
    hear(fd, &b, NULL);
    (void)close(fd);
    return status_of(&b);
}

START_TEST(who_answers_is_reloaded_and_measured)
{
    px.o.admin = "127.0.0.1:0";
    start_proxy();
    ck_assert_int_eq(administer("GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
                                "Connection: close\r\n\r\n"),
                     200);
    ck_assert_ptr_nonnull(strstr(b.data, "\nslmctl_fake 1\n"));
    ck_assert_int_eq(administer("GET /metrics HTTP/1.1\r\nHost: evil.example"
                                "\r\nConnection: close\r\n\r\n"),
                     421);
    ck_assert_int_eq(administer("GET /reload HTTP/1.1\r\nHost: localhost\r\n"
                                "Connection: close\r\n\r\n"),
                     405);
    ck_assert_int_eq(administer("POST /reload HTTP/1.1\r\nHost: localhost\r\n"
                                "Connection: close\r\n\r\n"),
                     200);
    ck_assert_int_eq(administer("POST /reload HTTP/1.1\r\nHost: localhost\r\n"
                                "Connection: close\r\n\r\n"),
                     409);
    ck_assert_str_eq(body_of(&b), "not twice\n");
}
END_TEST

#define LOOP(t, test, table)                                                   \
    tcase_add_loop_test(t, test, 0, sizeof(table) / sizeof(*(table)))

int main(void)
{
    TCase *t = suite_case("proxy_access", set_up_local, tear_down_local);

    LOOP(t, a_loopback_listener_serves_this_machines_names, hosts);
    tcase_add_loop_test(t, an_inherited_listener_of_a_loopback_address_is_one,
                        0, 2);
    tcase_add_test(t, a_unix_socket_is_no_browsers);
    LOOP(t, a_token_opens_what_its_scopes_say, tokens);
    tcase_add_loop_test(t, a_body_that_is_too_long_is_not_held, 0, 4);
    tcase_add_test(t, without_an_upstream_only_what_is_known_is_served);
    tcase_add_test(t, who_answers_is_reloaded_and_measured);
    return suite_run("proxy_access", t);
}
