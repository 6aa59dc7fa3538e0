/* test_http.c - requests and bodies cut anywhere, refusals, peers, networks */
#include "http/http.h"
#include "http_refused.h"
#include "suite.h"

#include <stdio.h>
#include <string.h>

/* The result of feeding `bytes` in pieces of `step`: as of one call. */
static int parse(struct http_request *r, struct slice bytes, size_t step,
                 size_t *used, struct http_refusal *why)
{
    int rc = 0;

    memset(r, 0, sizeof(*r));
    for (size_t n = step < bytes.n ? step : bytes.n; rc == 0; n += step) {
        if (n > bytes.n)
            n = bytes.n;
        rc = http_request_parse(r, (struct slice){ bytes.p, n }, used, why);
        if (n == bytes.n)
            break;
    }
    return rc;
}

static int take(struct http_request *r, const char *text)
{
    struct http_refusal why = { 0 };
    size_t used;

    return parse(r, slice_of(text), strlen(text), &used, &why);
}

START_TEST(what_is_ambiguous_is_refused_however_it_is_cut)
{
    const struct http_refused *x = &http_refused[_i];

    for (size_t step = 1; step <= x->n; step++) {
        struct http_refusal why = { 0 };
        struct http_request r;
        size_t used;

        ck_assert_msg(
            parse(&r, (struct slice){ x->bytes, x->n }, step, &used, &why) < 0,
            "%s was taken", x->name);
        ck_assert_msg(why.status == x->status, "%s: %d, not %d (%s)", x->name,
                      why.status, x->status, why.err.msg);
    }
}
END_TEST

/* The body after the head in `bytes`, fed in pieces of `step`. */
static int read_body(struct slice bytes, size_t step, struct buf *out)
{
    struct http_refusal why = { 0 };
    struct http_request r;
    struct http_body b;
    struct slice rest, data;
    struct err err;
    size_t used;
    int rc;

    ck_assert_int_eq(parse(&r, bytes, bytes.n, &used, &why), 1);
    http_body_begin(&b, r.framing, r.length);
    rest = (struct slice){ bytes.p + used, bytes.n - used };
    do {
        struct slice piece = { rest.p, rest.n < step ? rest.n : step };

        rc = http_body_take(&b, piece, &used, &data, &err);
        buf_add_slice(out, data);
        rest.p += used;
        rest.n -= used;
    } while (rc == 0 && rest.n);
    return rc;
}

START_TEST(a_bad_chunk_is_refused_however_it_is_cut)
{
    const struct http_refused *x = &http_refused_bodies[_i];

    for (size_t step = 1; step <= 64; step++) {
        struct buf out = { .data = NULL };

        ck_assert_msg(read_body((struct slice){ x->bytes, x->n }, step, &out) <
                          0,
                      "%s was taken", x->name);
        buf_release(&out);
    }
}
END_TEST

START_TEST(chunks_are_joined_however_they_are_cut)
{
    static const char text[] =
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: ChunKed\r\n\r\n"
        "3\r\nabc\r\n000A;x=\"y\"\r\n0123456789\r\n1\r\n\n\r\n0\r\nA: b\r\n"
        "C:\r\n\r\nGET";

    for (size_t step = 1; step < sizeof(text); step++) {
        struct buf out = { .data = NULL };

        ck_assert_int_eq(read_body(slice_of(text), step, &out), 1);
        ck_assert_str_eq(out.data, "abc0123456789\n");
        buf_release(&out);
    }
}
END_TEST

START_TEST(a_body_of_a_length_ends_there)
{
    struct buf out = { .data = NULL };

    ck_assert_int_eq(read_body(slice_of("PUT / HTTP/1.0\r\nContent-Length: "
                                        "4\r\n\r\nabcdGET /"),
                               3, &out),
                     1);
    ck_assert_str_eq(out.data, "abcd");
    buf_reset(&out);
    ck_assert_int_eq(read_body(slice_of("PUT / HTTP/1.0\r\nContent-Length: "
                                        "4\r\n\r\nabc"),
                               2, &out),
                     0);
    ck_assert_int_eq(read_body(slice_of("GET / HTTP/1.0\r\n\r\nX"), 1, &out),
                     1);
    buf_release(&out);
}
END_TEST

START_TEST(a_request_is_taken_apart)
{
    struct http_request r;

    ck_assert_int_eq(take(&r, "\r\nPOST /v1/chat?a[]=%20b HTTP/1.1\r\nhOsT: "
                              "api.x:80\r\nX-A: \t b c \t\r\nX-Empty:\r\n"
                              "Content-Length: 12\r\nExpect: "
                              "100-Continue\r\nConnection: foo, close\r\n\r\n"),
                     1);
    ck_assert(slice_is(r.method, "POST"));
    ck_assert(slice_is(r.target, "/v1/chat?a[]=%20b"));
    ck_assert(slice_is(r.host, "api.x:80"));
    ck_assert(slice_is(http_get(&r, "x-a"), "b c"));
    ck_assert(http_get(&r, "x-empty").p && !http_get(&r, "x-empty").n);
    ck_assert(!http_get(&r, "x-none").p);
    ck_assert_int_eq(r.framing, HTTP_LENGTH);
    ck_assert_uint_eq(r.length, 12);
    ck_assert(r.expect_continue && !r.keep_alive && !r.websocket);
}
END_TEST

START_TEST(forms_and_versions_that_are_served)
{
    struct http_request r;

    ck_assert_int_eq(take(&r, "GET http://a/y?x HTTP/1.1\r\nHost: A\r\n\r\n"),
                     1);
    ck_assert(slice_is(r.target, "/y?x"));
    ck_assert_int_eq(take(&r, "GET http://a HTTP/1.0\r\n\r\n"), 1);
    ck_assert(slice_is(r.target, "/") && slice_is(r.host, "a"));
    ck_assert(!r.keep_alive);
    ck_assert_int_eq(take(&r, "GET / HTTP/1.0\r\nConnection: "
                              "Keep-Alive\r\n\r\n"),
                     1);
    ck_assert(r.keep_alive && r.minor == 0);
    ck_assert_int_eq(take(&r, "GET / HTTP/1.7\r\nHost: [::1]:80\r\n\r\n"), 1);
    ck_assert(r.keep_alive && r.minor == 1);
    ck_assert_int_eq(take(&r, "GET / HTTP/1.1\r\nHost: h\r\nConnection: "
                              "keep-alive, Upgrade\r\nUpgrade: a, "
                              "WebSocket\r\n\r\n"),
                     1);
    ck_assert(r.websocket);
}
END_TEST

START_TEST(limits_hold)
{
    struct http_refusal why = { 0 };
    struct buf b = { .data = NULL };
    struct http_request r;
    size_t used;

    buf_str(&b, "GET /");
    for (int i = 0; i < 9000; i++)
        buf_char(&b, 'a');
    buf_str(&b, " HTTP/1.1\r\nHost: h\r\n\r\n");
    ck_assert_int_eq(parse(&r, buf_slice(&b), b.len, &used, &why), ERR_LIMIT);
    ck_assert_int_eq(why.status, 414);
    buf_reset(&b);
    buf_str(&b, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < 201; i++)
        buf_printf(&b, "X-%d: y\r\n", i);
    buf_str(&b, "\r\n");
    ck_assert_int_eq(parse(&r, buf_slice(&b), 1000, &used, &why), ERR_LIMIT);
    ck_assert_int_eq(why.status, 431);
    for (int i = 0; i < 70000; i++)
        buf_char(&b, 'a');
    memcpy(b.data, "GET / HTTP/1.1\r\nHost: h\r\nX:", 27);
    for (size_t i = 27; i < b.len; i++)
        b.data[i] = 'a';
    ck_assert_int_eq(parse(&r, buf_slice(&b), 4096, &used, &why), ERR_LIMIT);
    ck_assert_int_eq(why.status, 431);
    buf_release(&b);
}
END_TEST

START_TEST(hop_by_hop_fields_are_known)
{
    struct slice c = slice_of("close,  X-One ,keep-alive");

    ck_assert(http_is_hop_by_hop(slice_of("TE"), c));
    ck_assert(http_is_hop_by_hop(slice_of("x-one"), c));
    ck_assert(http_is_hop_by_hop(slice_of("Proxy-Authorization"), c));
    ck_assert(!http_is_hop_by_hop(slice_of("x-on"), c));
    ck_assert(!http_is_hop_by_hop(slice_of("authorization"), c));
}
END_TEST

START_TEST(a_head_lets_no_line_be_added)
{
    struct buf b = { .data = NULL };

    http_head_begin(&b, 1, 429, NULL);
    ck_assert(http_head_field(&b, slice_of("A"), slice_of("b")));
    ck_assert(!http_head_field(&b, slice_of("A"), slice_of("b\r\nC: d")));
    ck_assert(!http_head_field(&b, slice_of("A:"), slice_of("b")));
    http_head_date(&b, INT64_C(784111777000000));
    http_head_end(&b);
    http_chunk(&b, slice_of("0123456789abcdefg"));
    http_chunk(&b, slice_of(""));
    ck_assert_str_eq(b.data, "HTTP/1.1 429 Too Many Requests\r\nA: b\r\nDate: "
                             "Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"
                             "11\r\n0123456789abcdefg\r\n0\r\n\r\n");
    buf_release(&b);
}
END_TEST

static int peer(struct slice bytes, struct http_peer *out, size_t *used)
{
    struct err err;
    int rc = 0;

    for (size_t n = 0; rc == 0 && n <= bytes.n; n++)
        rc = http_proxy_header((struct slice){ bytes.p, n }, out, used, &err);
    return rc;
}

START_TEST(proxy_headers_name_the_peer)
{
    static const char v2[] =
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\x0a\0\0\7\x0a\0\0\1\x1f\x90\0\x50"
        "\x04\0\0GET";
    static const char local[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET";
    struct http_peer p;
    size_t used = 0;

    ck_assert_int_eq(
        peer(slice_of("PROXY TCP4 10.0.0.7 10.0.0.1 8080 80\r\nGET"), &p,
             &used),
        1);
    ck_assert_str_eq(p.address, "10.0.0.7");
    ck_assert(p.known && p.port == 8080 && used == 38);
    ck_assert_int_eq(
        peer(slice_of("PROXY TCP6 ::2 ::1 1 65535\r\n"), &p, &used), 1);
    ck_assert_str_eq(p.address, "::2");
    ck_assert_int_eq(peer(slice_of("PROXY UNKNOWN any thing\r\n"), &p, &used),
                     1);
    ck_assert(!p.known);
    ck_assert_int_eq(peer((struct slice){ v2, sizeof(v2) - 1 }, &p, &used), 1);
    ck_assert_str_eq(p.address, "10.0.0.7");
    ck_assert(p.port == 8080 && used == 31);
    ck_assert_int_eq(
        peer((struct slice){ local, sizeof(local) - 1 }, &p, &used), 1);
    ck_assert(!p.known && used == 16);
}
END_TEST

START_TEST(what_is_no_proxy_header_is_refused)
{
    static const char endless[] =
        "PROXY TCP4 111111111111111111111111111111111111111111111111111111111"
        "111111111111111111111111111111111111111111111111111111111111111111";
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\n",
        "PROXY TCP4 10.0.0.7 10.0.0.1 8080 080\r\n",
        "PROXY TCP4 10.0.0.7 10.0.0.1 8080\r\n",
        "PROXY TCP4 ::1 ::2 8080 80\r\n",
        "PROXY TCP4 10.0.0.7 10.0.0.1 70000 80\r\n",
        "PROXY TCP4 10.0.0.7 10.0.0.1 1 80\n",
        "PROXY TCP4 10.0.0.7 10.0.0.1 1 80 5\r\n",
        endless,
    };
    struct http_peer p;
    size_t used;

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        ck_assert_msg(peer(slice_of(texts[i]), &p, &used) == ERR_FORMAT, "%s",
                      texts[i]);
}
END_TEST

START_TEST(networks_hold_their_addresses)
{
    static const char *const texts[] = { "10.0.0.0/9", "fd00::/8", "192.0.2.1",
                                         "unix" };
    static const char *const wrong[] = { "10.0.0.0/33", "x", "::1/", "1.2.3",
                                         "10.0.0.0/8 " };
    struct http_networks *n = NULL;
    struct err err;

    ck_assert_int_eq(http_networks_new(texts, 4, &n, &err), ERR_OK);
    ck_assert(http_networks_have(n, "10.127.255.255"));
    ck_assert(http_networks_have(n, "::ffff:10.1.2.3"));
    ck_assert(!http_networks_have(n, "10.128.0.0"));
    ck_assert(http_networks_have(n, "fdff::1") &&
              http_networks_have(n, "unix"));
    ck_assert(!http_networks_have(n, "fe00::1"));
    ck_assert(!http_networks_have(n, "192.0.2.2"));
    ck_assert(!http_networks_have(n, "name"));
    http_networks_free(n);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        ck_assert_msg(http_networks_new(&wrong[i], 1, &n, &err) == ERR_INVALID,
                      "%s", wrong[i]);
}
END_TEST

static const char *client(const char *fields, const char *at)
{
    static const char *const trusted[] = { "10.0.0.0/8", "unix" };
    static char out[64], text[512];
    struct http_networks *n = NULL;
    struct http_request r;
    struct err err;

    ck_assert_int_eq(http_networks_new(trusted, 2, &n, &err), ERR_OK);
    (void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n",
                   fields);
    ck_assert_int_eq(take(&r, text), 1);
    http_client_address(&r, at, n, out);
    http_networks_free(n);
    return out;
}

START_TEST(only_trusted_peers_speak_for_others)
{
    ck_assert_str_eq(client("X-Forwarded-For: 1.2.3.4\r\n", "9.9.9.9"),
                     "9.9.9.9");
    ck_assert_str_eq(
        client("X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.2\r\n", "10.0.0.1"),
        "1.2.3.4");
    ck_assert_str_eq(client("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: "
                            "1.2.3.4\r\n",
                            "unix"),
                     "1.2.3.4");
    ck_assert_str_eq(client("Forwarded: for=6.6.6.6, by=x; "
                            "For=\"[2001:db8::1]:47\"\r\n",
                            "10.0.0.1"),
                     "2001:db8::1");
    /* Proxies that write the one pass on what a client says in the other. */
    ck_assert_str_eq(client("Forwarded: for=6.6.6.6\r\nX-Forwarded-For: "
                            "5.5.5.5\r\n",
                            "10.0.0.1"),
                     "5.5.5.5");
    ck_assert_str_eq(client("Forwarded: for=unknown\r\n", "10.0.0.1"),
                     "10.0.0.1");
    ck_assert_str_eq(client("X-Forwarded-For: 1.2.3.4:99\r\n", "10.0.0.1"),
                     "1.2.3.4");
    ck_assert_str_eq(client("X-Forwarded-For: ,10.0.0.3 ,\r\n", "10.0.0.1"),
                     "10.0.0.1");
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("http");

    tcase_add_loop_test(t, what_is_ambiguous_is_refused_however_it_is_cut, 0,
                        (int)(sizeof(http_refused) / sizeof(*http_refused)));
    tcase_add_loop_test(
        t, a_bad_chunk_is_refused_however_it_is_cut, 0,
        (int)(sizeof(http_refused_bodies) / sizeof(*http_refused_bodies)));
    tcase_add_test(t, chunks_are_joined_however_they_are_cut);
    tcase_add_test(t, a_body_of_a_length_ends_there);
    tcase_add_test(t, a_request_is_taken_apart);
    tcase_add_test(t, forms_and_versions_that_are_served);
    tcase_add_test(t, limits_hold);
    tcase_add_test(t, hop_by_hop_fields_are_known);
    tcase_add_test(t, a_head_lets_no_line_be_added);
    tcase_add_test(t, proxy_headers_name_the_peer);
    tcase_add_test(t, what_is_no_proxy_header_is_refused);
    tcase_add_test(t, networks_hold_their_addresses);
    tcase_add_test(t, only_trusted_peers_speak_for_others);
    return suite_run("http", t);
}
