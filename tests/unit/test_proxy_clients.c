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
    tcase_add_test(t, an_idle_connection_does_not_hold_up_the_stop);
    tcase_add_test(t, an_upstream_that_times_out_is_told_by_its_name_alone);
    tcase_add_test(t, keys_in_a_query_are_not_stored_whatever_their_name);
    return suite_run("proxy_clients", t);
}
