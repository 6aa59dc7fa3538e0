/* test_ask.c - jobs at an endpoint that fails, waits, redirects and lies */
#include "endpoint_server.h"
#include "scratch.h"
#include "suite.h"

#include "ask/ask.h"

#include "base/clock.h"
#include "base/io.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define JOBS 12

static struct ask_job jobs[JOBS];
static char dir[SCRATCH_MAX];

static struct ask *open_with(const char *url, const char *key_file,
                             int64_t timeout_ms, int retries)
{
    struct ask_options o = { .url = url,
                             .model = "large \"one\"",
                             .key_file = key_file,
                             .timeout_ms = timeout_ms,
                             .retries = retries,
                             .pause_ms = 1 };
    struct ask *a = NULL;
    struct err err = { 0 };

    ck_assert_msg(ask_open(&o, &a, &err) == ERR_OK, "%s", err.msg);
    return a;
}

static int run_jobs(struct ask *a, size_t count, struct err *err)
{
    for (size_t i = 0; i < JOBS; i++)
        ask_job_release(&jobs[i]);
    memset(jobs, 0, sizeof(jobs));
    for (size_t i = 0; i < count; i++)
        jobs[i].body = slice_of(" {\"messages\":[]} ");
    return ask_run(a, jobs, count, NULL, "asking", err);
}

static void answer_well(size_t n, const char *request, struct buf *out)
{
    (void)n;
    (void)request;
    endpoint_say(out, "\"yes\"");
}

START_TEST(each_job_gets_its_message_tokens_and_time)
{
    struct err err;
    struct ask *a;

    endpoint_start(answer_well);
    a = open_with(endpoint.url, NULL, 0, 0);
    ck_assert_int_eq(run_jobs(a, JOBS, &err), ERR_OK);
    for (size_t i = 0; i < JOBS; i++) {
        ck_assert(!jobs[i].failed);
        ck_assert_str_eq(jobs[i].answer.data,
                         "{\"role\":\"assistant\",\"content\":\"yes\"}");
        ck_assert_int_eq(jobs[i].tokens_in, 11);
        ck_assert_int_eq(jobs[i].tokens_out, 3);
        ck_assert(jobs[i].latency_us > 0);
    }
    ask_close(a);
    endpoint_stop();
}
END_TEST

static void check_head(size_t n, const char *request, struct buf *out)
{
    bool good =
        strncmp(request, "POST /v1/chat/completions HTTP/1.1\r\n", 36) == 0 &&
        strstr(request, "\r\nAuthorization: Bearer sk-secret\r\n") &&
        strstr(request, "\r\n\r\n{\"model\":\"large \\\"one\\\"\","
                        "\"messages\":[]}");

    (void)n;
    endpoint_say(out, good ? "\"as said\"" : "\"otherwise\"");
}

START_TEST(the_request_is_the_jobs_body_with_the_model_and_the_key)
{
    static const char key[] = "  sk-secret\n";
    char *path = io_path(dir, "key");
    struct err err;
    struct ask *a;

    ck_assert_int_eq(io_write_file(path, key, strlen(key), 0600, &err), ERR_OK);
    endpoint_start(check_head);
    a = open_with(endpoint.url, path, 0, 0);
    ck_assert_int_eq(run_jobs(a, 1, &err), ERR_OK);
    ck_assert(strstr(jobs[0].answer.data, "as said"));
    ck_assert_ptr_eq(strstr(ask_name(a), "sk-secret"), NULL);
    ask_close(a);
    endpoint_stop();
    free(path);
}
END_TEST

/* Every third request fails for good, so does its retry. */
static void answer_some(size_t n, const char *request, struct buf *out)
{
    (void)request;
    if (n % 3 == 2)
        endpoint_respond(out, 400, "",
                         "{\"error\":{\"message\":\"too\\u0007 bad\"}}");
    else
        endpoint_say(out, "\"yes\"");
}

START_TEST(a_refused_request_is_a_failure_with_its_reason)
{
    size_t failed = 0;
    struct err err;
    struct ask *a;

    endpoint_start(answer_some);
    a = open_with(endpoint.url, NULL, 0, 0);
    ck_assert_int_eq(run_jobs(a, JOBS, &err), ERR_OK);
    for (size_t i = 0; i < JOBS; i++) {
        failed += jobs[i].failed;
        if (jobs[i].failed) {
            ck_assert_str_eq(jobs[i].why, "status 400: too  bad");
            ck_assert_uint_eq(jobs[i].answer.len, 0);
        }
    }
    ck_assert_uint_eq(failed, JOBS / 3);
    ck_assert_uint_eq(endpoint.requests, JOBS); /* 400 is not tried again */
    ask_close(a);
    endpoint_stop();
}
END_TEST

static void answer_the_third_time(size_t n, const char *request,
                                  struct buf *out)
{
    (void)request;
    if (n == 0)
        endpoint_respond(out, 429, "Retry-After: 0.2\r\n", "{}");
    else if (n == 1)
        endpoint_respond(out, 503, "", "busy");
    else
        endpoint_say(out, "\"yes\"");
}

START_TEST(too_many_and_unavailable_are_tried_again_after_the_time_told)
{
    int64_t began = clock_mono_ns();
    struct err err;
    struct ask *a;

    endpoint_start(answer_the_third_time);
    a = open_with(endpoint.url, NULL, 0, 0);
    ck_assert_int_eq(run_jobs(a, 1, &err), ERR_OK);
    ck_assert(!jobs[0].failed);
    ck_assert_uint_eq(jobs[0].tries, 2);
    ck_assert_uint_eq(endpoint.requests, 3);
    ck_assert(clock_mono_ns() - began >= 200 * 1000000);
    ask_close(a);
    endpoint_stop();
}
END_TEST

static void answer_busy(size_t n, const char *request, struct buf *out)
{
    (void)n;
    (void)request;
    endpoint_respond(out, 429, "Retry-After: 3600\r\n", "{}");
}

START_TEST(an_hour_is_not_waited_for)
{
    struct err err;
    struct ask *a;

    endpoint_start(answer_busy);
    a = open_with(endpoint.url, NULL, 0, 0);
    ck_assert_int_eq(run_jobs(a, 1, &err), ERR_OK);
    ck_assert(jobs[0].failed);
    ck_assert_str_eq(jobs[0].why, "status 429");
    ck_assert_uint_eq(endpoint.requests, 1);
    ask_close(a);
    endpoint_stop();
}
END_TEST

static void answer_elsewhere(size_t n, const char *request, struct buf *out)
{
    char field[96];

    (void)n;
    (void)request;
    snprintf(field, sizeof(field), "Location: http://127.0.0.1:%d/other\r\n",
             endpoint.port);
    endpoint_respond(out, 307, field, "");
}

START_TEST(a_redirect_is_not_followed)
{
    struct err err;
    struct ask *a;

    endpoint_start(answer_elsewhere);
    a = open_with(endpoint.url, NULL, 0, 0);
    ck_assert_int_eq(run_jobs(a, 1, &err), ERR_OK);
    ck_assert(jobs[0].failed);
    ck_assert(strstr(jobs[0].why, "redirect"));
    ck_assert_uint_eq(endpoint.requests, 1);
    ask_close(a);
    endpoint_stop();
}
END_TEST

static void answer_nonsense(size_t n, const char *request, struct buf *out)
{
    static const char *const bodies[] = { "{\"choices\":[]}", "not JSON", "",
                                          "{\"choices\":[{\"message\":7}]}" };

    (void)request;
    endpoint_respond(out, 200, "", bodies[n % 4]);
}

START_TEST(a_body_without_a_message_is_a_failure)
{
    struct err err;
    struct ask *a;

    endpoint_start(answer_nonsense);
    a = open_with(endpoint.url, NULL, 0, 0);
    ck_assert_int_eq(run_jobs(a, 4, &err), ERR_OK);
    for (size_t i = 0; i < 4; i++) {
        ck_assert(jobs[i].failed);
        ck_assert_str_eq(jobs[i].why, "the answer is no chat completion");
    }
    ask_close(a);
    endpoint_stop();
}
END_TEST

static void answer_half(size_t n, const char *request, struct buf *out)
{
    (void)n;
    (void)request;
    buf_str(out, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choices\"");
}

START_TEST(half_an_answer_is_none)
{
    struct err err;
    struct ask *a;

    endpoint_start(answer_half);
    a = open_with(endpoint.url, NULL, 0, 1);
    ck_assert_int_eq(run_jobs(a, 1, &err), ERR_OK);
    ck_assert(jobs[0].failed);
    ck_assert(strstr(jobs[0].why, "broke off"));
    ck_assert_uint_eq(endpoint.requests, 2);
    ask_close(a);
    endpoint_stop();
}
END_TEST

START_TEST(a_slow_answer_ends_at_its_deadline)
{
    int64_t began = clock_mono_ns();
    struct err err;
    struct ask *a;

    endpoint_start(answer_half);
    endpoint.holds = true;
    a = open_with(endpoint.url, NULL, 300, 0);
    ck_assert_int_eq(run_jobs(a, 1, &err), ERR_OK);
    ck_assert(jobs[0].failed);
    ck_assert_str_eq(jobs[0].why, "no answer in time");
    ck_assert(clock_mono_ns() - began < (int64_t)10 * 1000000000);
    ask_close(a);
    endpoint_stop();
}
END_TEST

START_TEST(where_nobody_listens_the_run_ends_at_once)
{
    char url[64];
    int port, fd = loopback_listen(1, &port);
    struct err err;
    struct ask *a;

    (void)close(fd);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/v1", port);
    a = open_with(url, NULL, 0, 0);
    ck_assert_int_eq(ask_probe(a, &err), ERR_IO);
    ck_assert_int_eq(run_jobs(a, JOBS, &err), ERR_IO);
    ck_assert(strstr(err.msg, url));
    for (size_t i = 0; i < JOBS; i++)
        ck_assert(jobs[i].failed);
    ask_close(a);
}
END_TEST

static void answer_unknown_key(size_t n, const char *request, struct buf *out)
{
    (void)n;
    (void)request;
    endpoint_respond(out, 401, "", "{\"error\":{\"message\":\"who?\"}}");
}

START_TEST(a_key_that_is_refused_ends_the_run)
{
    struct err err;
    struct ask *a;

    endpoint_start(answer_unknown_key);
    a = open_with(endpoint.url, NULL, 0, 0);
    ck_assert_int_eq(ask_probe(a, &err), ERR_IO);
    ck_assert(strstr(err.msg, "status 401: who?"));
    ck_assert_int_eq(run_jobs(a, JOBS, &err), ERR_IO);
    ask_close(a);
    endpoint_stop();
}
END_TEST

static void answer_only_chat(size_t n, const char *request, struct buf *out)
{
    (void)n;
    if (strncmp(request, "GET ", 4) == 0)
        endpoint_respond(out, 404, "", "{}");
    else
        endpoint_say(out, "\"yes\"");
}

START_TEST(an_endpoint_need_not_list_its_models)
{
    struct err err;
    struct ask *a;

    endpoint_start(answer_only_chat);
    a = open_with(endpoint.url, NULL, 0, 0);
    ck_assert_int_eq(ask_probe(a, &err), ERR_OK);
    ck_assert_int_eq(run_jobs(a, 2, &err), ERR_OK);
    ask_close(a);
    endpoint_stop();
}
END_TEST

START_TEST(addresses_and_keys_that_could_say_more_are_refused)
{
    static const char *const urls[] = { "ftp://x/v1",     "https://",
                                        "https://u:p@x/", "https://x/?a=b",
                                        "https://x/#f",   "https://x y/",
                                        "x/v1",           NULL };
    struct ask_options o = { .model = "m" };
    struct ask *a = NULL;
    char *path = io_path(dir, "key");
    struct err err;

    for (size_t i = 0; urls[i]; i++) {
        o.url = urls[i];
        ck_assert_int_eq(ask_open(&o, &a, &err), ERR_INVALID);
        ck_assert_ptr_eq(strstr(err.msg, "u:p"), NULL);
    }
    o.url = "https://localhost/v1/";
    ck_assert_int_eq(ask_open(&o, &a, &err), ERR_OK);
    ck_assert_str_eq(ask_name(a), "https://localhost/v1 model m");
    ask_close(a);
    o.key_file = path;
    ck_assert_int_eq(ask_open(&o, &a, &err), ERR_NOTFOUND);
    ck_assert_int_eq(io_write_file(path, "a\r\nX: y\n", 8, 0600, &err), ERR_OK);
    ck_assert_int_eq(ask_open(&o, &a, &err), ERR_FORMAT);
    ck_assert_ptr_eq(strstr(err.msg, "X: y"), NULL);
    free(path);
}
END_TEST

/* It went in clear text to any host. */
START_TEST(a_key_goes_without_encryption_to_this_machine_alone)
{
    static const char *const here[] = { "http://localhost:8080/v1",
                                        "http://127.0.0.1/v1",
                                        "http://127.9.0.1:1",
                                        "http://[::1]:80/v1" };
    static const char *const away[] = {
        "http://10.0.0.1/v1",         "http://x.example/v1",
        "http://[2001:db8::1]:80/v1", "http://localhost.example/v1",
        "http://127.0.0.1.example/",  "http://[::1",
        "http://1.127.0.0/v1",        "http://[::1]x.example/",
    };
    char *path = io_path(dir, "key");
    struct ask_options o = { .model = "m", .key_file = path };
    struct ask *a = NULL;
    struct err err;

    ck_assert_int_eq(io_write_file(path, "secret", 6, 0600, &err), ERR_OK);
    for (size_t i = 0; i < sizeof(here) / sizeof(*here); i++) {
        o.url = here[i];
        ck_assert_msg(ask_open(&o, &a, &err) == ERR_OK, "%s", here[i]);
        ask_close(a);
    }
    for (size_t i = 0; i < sizeof(away) / sizeof(*away); i++) {
        o.url = away[i];
        ck_assert_int_eq(ask_open(&o, &a, &err), ERR_INVALID);
        ck_assert_ptr_nonnull(strstr(err.msg, "without encryption"));
    }
    o.url = away[0];
    o.key_file = NULL;
    ck_assert_int_eq(ask_open(&o, &a, &err), ERR_OK);
    ask_close(a);
    free(path);
}
END_TEST

/* The sum with the clock ran over, and each request was late at once. */
START_TEST(the_longest_wait_is_no_overflow)
{
    struct err err;
    struct ask *a;

    endpoint_start(answer_only_chat);
    a = open_with(endpoint.url, NULL, INT64_MAX, 0);
    ck_assert_int_eq(run_jobs(a, 1, &err), ERR_OK);
    ck_assert(!jobs[0].failed);
    ask_close(a);
    endpoint_stop();
}
END_TEST

static void begins(void)
{
    scratch_make(dir);
}

static void ends(void)
{
    for (size_t i = 0; i < JOBS; i++)
        ask_job_release(&jobs[i]);
    memset(jobs, 0, sizeof(jobs));
    scratch_remove(dir);
}

int main(void)
{
    TCase *c = suite_case("ask", begins, ends);

    tcase_add_test(c, each_job_gets_its_message_tokens_and_time);
    tcase_add_test(c, the_request_is_the_jobs_body_with_the_model_and_the_key);
    tcase_add_test(c, a_refused_request_is_a_failure_with_its_reason);
    tcase_add_test(
        c, too_many_and_unavailable_are_tried_again_after_the_time_told);
    tcase_add_test(c, an_hour_is_not_waited_for);
    tcase_add_test(c, a_redirect_is_not_followed);
    tcase_add_test(c, a_body_without_a_message_is_a_failure);
    tcase_add_test(c, half_an_answer_is_none);
    tcase_add_test(c, a_slow_answer_ends_at_its_deadline);
    tcase_add_test(c, where_nobody_listens_the_run_ends_at_once);
    tcase_add_test(c, a_key_that_is_refused_ends_the_run);
    tcase_add_test(c, an_endpoint_need_not_list_its_models);
    tcase_add_test(c, addresses_and_keys_that_could_say_more_are_refused);
    tcase_add_test(c, a_key_goes_without_encryption_to_this_machine_alone);
    tcase_add_test(c, the_longest_wait_is_no_overflow);
    return suite_run("ask", c);
}
