/*
 * engine_request.c - what a request asks for, checked before it is queued
 *
 * Whatever is looked at here has stated limits, and what does not keep to them
 * is refused by the field's name. Fields that are not known are passed over.
 */
#include "engine/engine_private.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_set(const struct json *j, json_ref v)
{
    return json_present(v) && !json_is(j, v, JSON_NULL);
}

/* A number between limits, where there is one. */
static int read_number(const struct json *j, const char *name, double least,
                       double most, double *out, struct err *err)
{
    json_ref v = json_get(j, 0, name);
    double x;

    if (!is_set(j, v))
        return 0;
    if (!json_double(j, v, &x) || !(x >= least && x <= most))
        return err_set(err, ERR_INVALID, "%s: must be a number from %g to %g",
                       name, least, most);
    *out = x;
    return 0;
}

static int read_count(const struct json *j, const char *name, int64_t least,
                      int64_t most, int64_t *out, struct err *err)
{
    json_ref v = json_get(j, 0, name);
    int64_t x;

    if (!is_set(j, v))
        return 0;
    if (!json_int(j, v, &x) || x < least || x > most)
        return err_set(err, ERR_INVALID,
                       "%s: must be a whole number from %lld to %lld", name,
                       (long long)least, (long long)most);
    *out = x;
    return 0;
}

static int add_stop(struct engine_job *job, json_ref v, struct err *err)
{
    struct buf *b;

    if (job->stop_count == ENGINE_STOPS)
        return err_set(err, ERR_INVALID, "stop: at most %d texts",
                       ENGINE_STOPS);
    b = &job->stops[job->stop_count];
    if (!json_text(&job->json, v, b) || b->len == 0 ||
        b->len > ENGINE_STOP_BYTES)
        return err_set(err, ERR_INVALID, "stop: must be texts of 1 to %d bytes",
                       ENGINE_STOP_BYTES);
    job->stop_count++;
    if (b->len > job->longest_stop)
        job->longest_stop = b->len;
    return 0;
}

static int read_stops(struct engine_job *job, struct err *err)
{
    const struct json *j = &job->json;
    json_ref v = json_get(j, 0, "stop");
    int rc = 0;

    if (!is_set(j, v))
        return 0;
    if (!json_is(j, v, JSON_ARRAY))
        return add_stop(job, v, err);
    for (json_ref e = json_first(j, v); e != JSON_NONE && rc == 0;
         e = json_next(j, v, e))
        rc = add_stop(job, e, err);
    return rc;
}

static int read_logprobs(struct engine_job *job, struct err *err)
{
    const struct json *j = &job->json;
    json_ref v = json_get(j, 0, "logprobs");
    int64_t top = 0;
    int rc = read_count(j, "top_logprobs", 0, ENGINE_TOP, &top, err);

    if (rc < 0)
        return rc;
    if (is_set(j, v) && !json_bool(j, v, &job->logprobs))
        return err_set(err, ERR_INVALID, "logprobs: must be true or false");
    if (top > 0 && !job->logprobs)
        return err_set(err, ERR_INVALID, "top_logprobs: needs logprobs");
    job->top = (unsigned)top;
    return 0;
}

static int read_format(const struct json *j, struct err *err)
{
    json_ref v = json_get(j, 0, "response_format");
    json_ref type = json_get(j, v, "type");

    if (!is_set(j, v) || json_text_is(j, type, "text") ||
        json_text_is(j, type, "json_object"))
        return 0;
    if (!json_text_is(j, type, "json_schema"))
        return err_set(err, ERR_UNSUPPORTED,
                       "response_format: type must be text, json_object or "
                       "json_schema");
    if (!json_is(j, json_find(j, v, "json_schema", "schema", NULL),
                 JSON_OBJECT))
        return err_set(err, ERR_INVALID,
                       "response_format: json_schema.schema is missing");
    return 0;
}

static int read_sampling(struct engine_job *job, int64_t tokens,
                         struct err *err)
{
    const struct json *j = &job->json;
    struct model_sampling *s = &job->sampling;
    int64_t n = 1, seed = (int64_t)s->seed;
    int rc = read_count(j, "n", 1, INT64_MAX, &n, err);

    if (rc == 0 && n > 1)
        rc = err_set(err, ERR_UNSUPPORTED, "n: only one answer is given");
    if (rc == 0)
        rc = read_number(j, "temperature", 0, 2, &s->temperature, err);
    if (rc == 0)
        rc = read_number(j, "top_p", 1e-300, 1, &s->top_p, err);
    if (rc == 0)
        rc = read_count(j, "seed", INT64_MIN, INT64_MAX, &seed, err);
    if (rc == 0)
        rc = read_count(j, "max_tokens", 1, INT64_MAX, &tokens, err);
    if (rc == 0)
        rc = read_count(j, "max_completion_tokens", 1, INT64_MAX, &tokens, err);
    s->seed = (uint64_t)seed;
    s->max_tokens = (size_t)tokens;
    return rc;
}

static bool offers_tools(const struct json *j)
{
    return json_count(j, json_get(j, 0, "tools")) > 0 &&
           !json_text_is(j, json_get(j, 0, "tool_choice"), "none");
}

/* Whether a tool of this name is offered. */
static bool is_offered(const struct json *j, json_ref name)
{
    json_ref tools = json_get(j, 0, "tools");
    struct buf wanted = { 0 }, one = { 0 };
    bool found = false;

    if (json_text(j, name, &wanted))
        for (json_ref t = json_first(j, tools); t != JSON_NONE && !found;
             t = json_next(j, tools, t)) {
            buf_reset(&one);
            found =
                json_text(j, json_find(j, t, "function", "name", NULL), &one) &&
                slice_eq(buf_slice(&one), buf_slice(&wanted));
        }
    buf_release(&wanted);
    buf_release(&one);
    return found;
}

static int read_choice(const struct json *j, struct err *err)
{
    json_ref v = json_get(j, 0, "tool_choice");
    bool forced = json_text_is(j, v, "required");

    if (!is_set(j, v) || json_text_is(j, v, "none") ||
        json_text_is(j, v, "auto"))
        return 0;
    if (!forced && !json_is(j, v, JSON_OBJECT))
        return err_set(err, ERR_INVALID,
                       "tool_choice: must be none, auto, required or a "
                       "function");
    if (!json_count(j, json_get(j, 0, "tools")))
        return err_set(err, ERR_INVALID, "tool_choice: there are no tools");
    if (!forced && !is_offered(j, json_find(j, v, "function", "name", NULL)))
        return err_set(err, ERR_INVALID,
                       "tool_choice: names a function that tools does not "
                       "have");
    return 0;
}

static void copy_content(struct engine_job *job,
                         const struct template_content *c)
{
    if (!c)
        return;
    job->content = *c;
    job->labels = mem_array(c->label_count + 1, sizeof(*job->labels));
    for (size_t i = 0; i < c->label_count; i++)
        job->labels[i] =
            (struct slice){ mem_strndup(c->labels[i].p, c->labels[i].n),
                            c->labels[i].n };
    job->content.labels = job->labels;
    if (c->schema.n)
        job->content.schema.p = mem_strndup(c->schema.p, c->schema.n);
}

static int check_kind(const struct engine_job *job, struct err *err)
{
    const struct json *j = &job->json;

    if (!json_is(j, 0, JSON_OBJECT))
        return err_set(err, ERR_FORMAT, "request: must be a JSON object");
    if (job->r.raw_prompt.p)
        return 0;
    if (!json_is(j, json_get(j, 0, "messages"), JSON_ARRAY) ||
        json_count(j, json_get(j, 0, "messages")) == 0)
        return err_set(err, ERR_INVALID,
                       "messages: must be a list of messages");
    if (!job->e->template)
        return err_set(err, ERR_UNSUPPORTED,
                       "messages: the model has no chat template; complete a "
                       "prompt instead");
    return 0;
}

int engine_request_read(struct engine_job *job, const struct engine_request *r,
                        int64_t default_tokens, struct err *err)
{
    const char *prefix = r->call_prefix ? r->call_prefix : "call_";
    int rc;

    job->r = *r;
    buf_add_slice(&job->chat, r->chat);
    if (r->raw_prompt.p)
        buf_add_slice(&job->raw, r->raw_prompt);
    (void)snprintf(job->call_prefix, sizeof(job->call_prefix), "%s", prefix);
    copy_content(job, r->content);
    rc = json_parse(&job->json, job->chat.data ? job->chat.data : "",
                    job->chat.len, err);
    if (rc < 0)
        return err_wrap(err, "request");
    rc = check_kind(job, err);
    if (rc == 0)
        rc = read_sampling(job, default_tokens, err);
    if (rc == 0)
        rc = read_stops(job, err);
    if (rc == 0)
        rc = read_logprobs(job, err);
    if (rc == 0)
        rc = read_format(&job->json, err);
    if (rc == 0 && !r->raw_prompt.p)
        rc = read_choice(&job->json, err);
    job->tools = !r->raw_prompt.p && offers_tools(&job->json);
    return rc;
}

void engine_job_free(struct engine_job *job)
{
    for (size_t i = 0; i < job->content.label_count; i++)
        free((void *)(uintptr_t)job->labels[i].p);
    free(job->labels);
    if (job->content.schema.n)
        free((void *)(uintptr_t)job->content.schema.p);
    for (size_t i = 0; i < ENGINE_STOPS; i++)
        buf_release(&job->stops[i]);
    json_release(&job->json);
    buf_release(&job->chat);
    buf_release(&job->raw);
    buf_release(&job->text);
    token_list_release(&job->prompt);
    token_list_release(&job->out);
    tokenizer_stream_free(job->stream);
    free(job->signals.logps);
    free(job->signals.margins);
    free(job->told);
    free(job);
}
