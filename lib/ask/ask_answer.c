/*
 * ask_answer.c - what an endpoint answered: a message, or why there is none
 *
 * What an endpoint says about an error is outside text: it is cut, and its
 * control characters do not reach a terminal.
 */
#include "ask/ask_private.h"

#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_SHOWN 100

static void job_fail(struct ask_job *j, const char *what, struct slice detail)
{
    int n = snprintf(j->why, sizeof(j->why), "%s%s", what,
                     detail.n > 0 ? ": " : "");
    size_t at = n < 0 ? 0 : (size_t)n;

    j->failed = true;
    buf_reset(&j->answer);
    for (size_t i = 0;
         i < detail.n && i < MESSAGE_SHOWN && at + 1 < sizeof(j->why); i++) {
        char c = detail.p[i];

        j->why[at++] = c < ' ' || c > '~' ? ' ' : c;
    }
    if (at < sizeof(j->why))
        j->why[at] = '\0';
}

/* {"error":{"message":"..."}}, {"error":"..."} or {"message":"..."}. */
static void error_text(struct slice body, struct buf *out)
{
    struct json j = { 0 };

    if (json_parse(&j, body.p, body.n, NULL) == 0) {
        json_ref e = json_get(&j, 0, "error");

        if (!json_text(&j, e, out) &&
            !json_text(&j, json_get(&j, e, "message"), out))
            (void)json_text(&j, json_get(&j, 0, "message"), out);
    }
    json_release(&j);
}

static int64_t usage(const struct json *j, const char *name)
{
    int64_t n;

    return json_int(j, json_find(j, 0, "usage", name, NULL), &n) && n >= 0 ? n
                                                                           : -1;
}

static void take_body(struct ask_job *job, const struct ask_reply *r)
{
    struct json j = { 0 };
    json_ref message = JSON_NONE;

    if (json_parse(&j, r->body.data ? r->body.data : "", r->body.len, NULL) ==
        0)
        message =
            json_get(&j, json_at(&j, json_get(&j, 0, "choices"), 0), "message");
    if (json_is(&j, message, JSON_OBJECT)) {
        buf_add_slice(&job->answer, json_raw(&j, message));
        job->tokens_in = usage(&j, "prompt_tokens");
        job->tokens_out = usage(&j, "completion_tokens");
        job->latency_us = r->latency_us;
        job->failed = false;
        job->why[0] = '\0';
    } else {
        job_fail(job, "the answer is no chat completion", slice_of(""));
    }
    json_release(&j);
}

void ask_job_take(struct ask_job *j, const struct ask_reply *r)
{
    char what[64];
    struct buf said = { 0 };

    j->tokens_in = j->tokens_out = j->latency_us = -1;
    if (r->result == UPSTREAM_TIMEOUT) {
        job_fail(j, "no answer in time", slice_of(""));
    } else if (r->result != UPSTREAM_DONE) {
        job_fail(j,
                 r->body.overflow                  ? "the answer is too long"
                 : r->result == UPSTREAM_UNREACHED ? "not reached"
                                                   : "the answer broke off",
                 slice_of(r->transport));
    } else if (r->status >= 300 && r->status < 400) {
        job_fail(j, "a redirect, which is not followed", slice_of(""));
    } else if (r->status != 200) {
        snprintf(what, sizeof(what), "status %d", r->status);
        error_text(buf_slice(&r->body), &said);
        job_fail(j, what, buf_slice(&said));
    } else {
        take_body(j, r);
    }
    buf_release(&said);
}

bool ask_reply_may_pass(const struct ask_reply *r)
{
    if (r->result == UPSTREAM_UNREACHED ||
        (r->result == UPSTREAM_CUT && !r->body.overflow))
        return true;
    return r->result == UPSTREAM_DONE &&
           (r->status == 429 || (r->status >= 500 && r->status <= 599));
}

/* A decimal number of units, in milliseconds; -1: no number. */
static int64_t milliseconds(struct slice value, double unit)
{
    char text[32], *end;
    double v;

    if (value.n == 0 || value.n >= sizeof(text) || value.p[0] < '0' ||
        value.p[0] > '9')
        return -1;
    memcpy(text, value.p, value.n);
    text[value.n] = '\0';
    v = strtod(text, &end);
    if (*end != '\0' || !(v >= 0))
        return -1;
    return v * unit < 1e12 ? (int64_t)(v * unit) : (int64_t)1e12;
}

int64_t ask_retry_ms(const struct http_field *fields, size_t count)
{
    int64_t found = -1;

    for (size_t i = 0; i < count; i++) {
        if (http_name_is(fields[i].name, "retry-after-ms"))
            return milliseconds(fields[i].value, 1);
        if (http_name_is(fields[i].name, "retry-after"))
            found = milliseconds(fields[i].value, 1000);
    }
    return found;
}
