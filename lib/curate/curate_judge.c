/*
 * curate_judge.c - what a call is worth by itself, and what it equals
 *
 * Status first, then finish reason, shape, tool calls and quality: the first
 * that speaks against a call is its reason. Two calls are the same if messages,
 * tools, response format and answer are; ids that a server draws for tool
 * calls do not count, since no two calls share them.
 */
#include "curate/curate_priv.h"
#include "wire/wire.h"

#include <string.h>

static enum curate_reason judge_status(const struct curate_item *it)
{
    static const struct {
        const char *status;
        enum curate_reason reason;
    } table[] = {
        { "completed", CURATE_KEPT },
        { "failed_http", CURATE_FAILED },
        { "failed_stream", CURATE_FAILED },
        { "upstream_truncated", CURATE_TRUNCATED },
        { "cancelled", CURATE_CANCELLED },
        { "timeout", CURATE_TIMEOUT },
        { "lost", CURATE_LOST },
    };
    struct slice status = buf_slice(&it->status);

    if (it->dialect.len && !wire_has_chat(buf_slice(&it->dialect)))
        return CURATE_DIALECT;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (slice_is(status, table[i].status))
            return table[i].reason != CURATE_KEPT ? table[i].reason
                   : it->own                      ? CURATE_OWN
                   : it->cut                      ? CURATE_CUT
                                                  : CURATE_KEPT;
    return CURATE_FAILED; /* a status of a later version: not understood */
}

static enum curate_reason judge_finish(const struct json *j, json_ref choice,
                                       struct slice logged)
{
    json_ref finish = json_get(j, choice, "finish_reason");

    if (json_text_is(j, finish, "length") || slice_is(logged, "length"))
        return CURATE_TRUNCATED;
    if (json_text_is(j, finish, "content_filter") ||
        slice_is(logged, "content_filter"))
        return CURATE_FILTERED;
    return CURATE_KEPT;
}

/* An empty text is an answer if the model ended it there by itself ("nothing
 * found"); no text and no call is none. */
static bool says_something(const struct json *j, json_ref choice,
                           json_ref message)
{
    json_ref content = json_get(j, message, "content");

    if (json_is(j, content, JSON_STRING) &&
        (json_raw(j, content).n > 2 ||
         json_text_is(j, json_get(j, choice, "finish_reason"), "stop")))
        return true;
    return json_count(j, content) ||
           json_count(j, json_get(j, message, "tool_calls")) ||
           json_is(j, json_get(j, message, "function_call"), JSON_OBJECT);
}

static bool parse(struct json *j, const struct buf *b)
{
    return b->len && json_parse(j, b->data, b->len, NULL) == 0 &&
           json_is(j, 0, JSON_OBJECT);
}

static bool is_error(const struct json *j)
{
    json_ref e = json_get(j, 0, "error");

    return e != JSON_NONE && json_kind(j, e) != JSON_NULL;
}

static enum curate_reason judge_quality(struct curate_judge *g,
                                        const struct curate_item *it,
                                        json_ref message)
{
    const struct json *q = &g->request, *a = &g->response;
    json_ref content = json_get(a, message, "content");
    json_ref asked = curate_last_user(q, json_get(q, 0, "messages"));
    struct curate_answer x = {
        .request = buf_slice(&it->request),
        .calls = json_count(a, json_get(a, message, "tool_calls")) ||
                 json_is(a, json_get(a, message, "function_call"), JSON_OBJECT),
        .broken = json_text_is_broken(a, content),
    };

    buf_reset(&g->text);
    buf_reset(&g->canonical);
    curate_text(a, content, &g->text);
    if (g->filters >> CURATE_LANGUAGE & 1)
        curate_text(q, json_get(q, asked, "content"), &g->canonical);
    x.text = buf_slice(&g->text);
    x.asked = buf_slice(&g->canonical);
    return curate_judge_quality(&x, g->filters);
}

static bool filters(const struct curate_judge *g, enum curate_reason r)
{
    return g->filters >> r & 1;
}

/* The answer's message in *message, if all is well so far. */
static enum curate_reason judge_bodies(struct curate_judge *g,
                                       const struct curate_item *it,
                                       json_ref *message)
{
    const struct json *q = &g->request, *a = &g->response;
    json_ref choice;
    enum curate_reason r;

    if (!parse(&g->response, &it->response))
        return CURATE_MALFORMED;
    if (is_error(a))
        return CURATE_FAILED;
    choice = json_at(a, json_get(a, 0, "choices"), 0);
    r = judge_finish(a, choice, buf_slice(&it->finish));
    if (r != CURATE_KEPT)
        return r;
    *message = json_get(a, choice, "message");
    if (!parse(&g->request, &it->request) ||
        !json_count(q, json_get(q, 0, "messages")) ||
        !json_is(a, *message, JSON_OBJECT))
        return CURATE_MALFORMED;
    if (filters(g, CURATE_EMPTY) && !says_something(a, choice, *message))
        return CURATE_EMPTY;
    if (filters(g, CURATE_BAD_ARGUMENTS) && !curate_tool_calls_fit(g, *message))
        return CURATE_BAD_ARGUMENTS;
    return judge_quality(g, it, *message);
}

/* From here on the call is in the OpenAI chat dialect, whatever it was. */
static enum curate_reason make_chat(struct curate_item *it)
{
    struct buf request = { .data = NULL }, response = { .data = NULL };
    struct err err;
    int rc;

    if (!it->dialect.len || slice_is(buf_slice(&it->dialect), "openai-chat"))
        return CURATE_KEPT;
    rc = wire_to_chat(buf_slice(&it->dialect), buf_slice(&it->request),
                      buf_slice(&it->response), &request, &response, &err);
    if (rc == ERR_OK) {
        buf_reset(&it->request);
        buf_reset(&it->response);
        buf_add_slice(&it->request, buf_slice(&request));
        buf_add_slice(&it->response, buf_slice(&response));
    }
    buf_release(&request);
    buf_release(&response);
    return rc == ERR_OK ? CURATE_KEPT : CURATE_MALFORMED;
}

/* Name and arguments of a function call; arguments by value if they are JSON.
 */
static void add_function(struct curate_judge *g, const struct json *j,
                         json_ref f)
{
    struct buf *out = &g->canonical;

    json_canonical(j, json_get(j, f, "name"), out);
    buf_reset(&g->text);
    if (json_text(j, json_get(j, f, "arguments"), &g->text) &&
        json_parse(&g->arguments, g->text.data ? g->text.data : "", g->text.len,
                   NULL) == 0)
        json_canonical(&g->arguments, 0, out);
    else
        json_canonical(j, json_get(j, f, "arguments"), out);
    buf_char(out, '\n');
}

static void add_tool_calls(struct curate_judge *g, const struct json *j,
                           json_ref calls)
{
    if (!json_is(j, calls, JSON_ARRAY))
        return;
    for (json_ref e = json_first(j, calls); e != JSON_NONE;
         e = json_next(j, calls, e)) {
        json_ref f = json_get(j, e, "function");

        if (f == JSON_NONE)
            json_canonical(j, e, &g->canonical);
        else
            add_function(g, j, f);
    }
}

/* A missing member, null and "" are the same: clients write all three. */
static void add_member(struct buf *out, const struct json *j, json_ref object,
                       const char *name)
{
    json_ref v = json_get(j, object, name);

    if (v == JSON_NONE || json_kind(j, v) == JSON_NULL ||
        json_text_is(j, v, ""))
        return;
    buf_printf(out, "%s:", name);
    json_canonical(j, v, out);
}

void curate_put_message(struct curate_judge *g, const struct json *j,
                        json_ref m)
{
    add_member(&g->canonical, j, m, "content");
    add_member(&g->canonical, j, m, "refusal");
    add_tool_calls(g, j, json_get(j, m, "tool_calls"));
    if (json_is(j, json_get(j, m, "function_call"), JSON_OBJECT))
        add_function(g, j, json_get(j, m, "function_call"));
}

/* Keyed hashes of what makes two calls the same. */
static void hash_input(struct curate_judge *g, const struct crypto_key *key,
                       unsigned char out[CURATE_HASH])
{
    static const char *const others[] = { "tools", "functions",
                                          "response_format" };
    const struct json *j = &g->request;
    json_ref messages = json_get(j, 0, "messages");

    buf_reset(&g->canonical);
    buf_char(&g->canonical, 'q');
    for (json_ref m = json_first(j, messages); m != JSON_NONE;
         m = json_next(j, messages, m)) {
        add_member(&g->canonical, j, m, "role");
        add_member(&g->canonical, j, m, "name");
        curate_put_message(g, j, m);
        buf_char(&g->canonical, '\n');
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        add_member(&g->canonical, j, 0, others[i]);
    crypto_keyed_hash(key, buf_slice(&g->canonical), out);
}

static void hash_answer(struct curate_judge *g, const struct crypto_key *key,
                        json_ref message, unsigned char out[CURATE_HASH])
{
    buf_reset(&g->canonical);
    buf_char(&g->canonical, 'a');
    curate_put_message(g, &g->response, message);
    crypto_keyed_hash(key, buf_slice(&g->canonical), out);
}

void curate_judge_call(struct curate_judge *g, const struct crypto_key *key,
                       struct curate_item *it)
{
    json_ref message = JSON_NONE;

    it->reason = judge_status(it);
    if (it->reason == CURATE_KEPT)
        it->reason = make_chat(it);
    if (it->reason == CURATE_KEPT)
        it->reason = judge_bodies(g, it, &message);
    if (it->reason != CURATE_KEPT)
        return;
    hash_input(g, key, it->input);
    hash_answer(g, key, message, it->answer);
    it->hashed = true;
}
