/*
 * wire_from_otlp.c - spans and log records of OpenTelemetry, as OTLP/JSON
 *
 * Read are attributes of the GenAI conventions (messages as JSON or
 * structured, or one attribute a field, as before) and of OpenInference. A
 * record without texts is a call whose texts were cut; spans of tools, agents
 * and all else are none.
 */
#include "wire/wire_foreign.h"
#include "wire/wire_to_chat.h"

#include <stdio.h>
#include <string.h>

#define MESSAGES_MAX 4096 /* in attributes of their own */

/* The value of an attribute, without the object that tells its type. */
static json_ref attribute(const struct json *j, const char *key)
{
    json_ref list = json_get(j, 0, "attributes");

    for (json_ref a = json_first(j, list); a != JSON_NONE;
         a = json_next(j, list, a))
        if (json_text_is(j, json_get(j, a, "key"), key))
            return json_first(j, json_get(j, a, "value"));
    return JSON_NONE;
}

static json_ref either(const struct json *j, const char *a, const char *b)
{
    json_ref v = attribute(j, a);

    return json_present(v) ? v : attribute(j, b);
}

/* Integers of 64 bits are texts in OTLP/JSON. */
static int64_t integer(const struct json *j, json_ref v)
{
    struct slice s = wire_inner(j, v);
    int64_t n = 0;

    if (json_int(j, v, &n))
        return n;
    if (!s.n || s.n > 18)
        return -1;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        n = n * 10 + (s.p[i] - '0');
    }
    return n;
}

static int64_t time_us(const struct json *j, const char *name)
{
    struct slice s = wire_inner(j, json_get(j, 0, name));
    int64_t us = 0;

    if (json_int(j, json_get(j, 0, name), &us))
        return us / 1000;
    if (s.n < 4 || s.n > 20)
        return -1;
    for (size_t i = 0; i + 3 < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        us = us * 10 + (s.p[i] - '0');
    }
    return us;
}

/* A structured value as plain JSON. */
static void put_value(struct json_writer *w, const char *key,
                      const struct json *j, json_ref value, unsigned depth)
{
    json_ref v = json_first(j, value);
    json_ref list = json_get(j, v, "values");

    if (json_text_is(j, json_key(j, v), "arrayValue") && depth < 32) {
        json_begin_array(w, key);
        for (json_ref e = json_first(j, list); e != JSON_NONE;
             e = json_next(j, list, e))
            put_value(w, NULL, j, e, depth + 1);
        json_end_array(w);
    } else if (json_text_is(j, json_key(j, v), "kvlistValue") && depth < 32) {
        json_begin_object(w, key);
        for (json_ref e = json_first(j, list); e != JSON_NONE;
             e = json_next(j, list, e)) {
            char *name = json_strdup(j, json_get(j, e, "key"));

            put_value(w, name ? name : "", j, json_get(j, e, "value"),
                      depth + 1);
            free(name);
        }
        json_end_object(w);
    } else if (v == JSON_NONE) {
        json_put_null(w, key);
    } else {
        json_put_raw(w, key, json_raw(j, v));
    }
}

/* An attribute that holds JSON, as a text or structured; false: none. */
static bool load(const struct json *j, const char *key, struct buf *text,
                 struct json *out)
{
    json_ref v = attribute(j, key);
    struct json_writer w;

    buf_reset(text);
    if (json_is(j, v, JSON_OBJECT)) {
        json_ref list = json_get(j, 0, "attributes");

        for (json_ref a = json_first(j, list); a != JSON_NONE;
             a = json_next(j, list, a))
            if (json_text_is(j, json_get(j, a, "key"), key)) {
                buf_reset(text);
                json_writer_init(&w, text, false);
                put_value(&w, NULL, j, json_get(j, a, "value"), 0);
            }
    } else {
        (void)json_text(j, v, text);
    }
    return text->len && json_parse(out, text->data, text->len, NULL) == ERR_OK;
}

static void said_release(struct chat_said *p)
{
    buf_release(&p->text);
    buf_release(&p->thoughts);
    buf_release(&p->calls);
}

static void put_tool_result(struct chat *c, json_ref part)
{
    json_ref v = json_get(c->j, part, "result");
    struct buf text = { .data = NULL };

    if (!json_present(v))
        v = json_get(c->j, part, "response");
    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "role", "tool");
    chat_member(c, "tool_call_id", part, "id");
    if (!json_text(c->j, v, &text))
        buf_add_slice(&text, json_raw(c->j, v));
    json_put_slice(&c->w, "content", buf_slice(&text));
    json_end_object(&c->w);
    buf_release(&text);
}

/* Parts of a message; results of tools are messages of their own. */
static void read_parts(struct chat *c, json_ref message, struct chat_said *p,
                       bool results)
{
    const struct json *j = c->j;
    json_ref list = json_get(j, message, "parts");

    chat_text_parts(c, json_get(j, message, "content"), &p->text);
    for (json_ref e = json_first(j, list); e != JSON_NONE;
         e = json_next(j, list, e)) {
        json_ref type = json_get(j, e, "type");
        struct slice text = wire_inner(j, json_get(j, e, "content"));

        if (json_text_is(j, type, "tool_call"))
            chat_add_call(c, &p->calls, wire_inner(j, json_get(j, e, "id")),
                          wire_inner(j, json_get(j, e, "name")),
                          json_get(j, e, "arguments"));
        else if (json_text_is(j, type, "tool_call_response") && results)
            put_tool_result(c, e);
        else
            buf_add_slice(json_text_is(j, type, "reasoning") ? &p->thoughts
                                                             : &p->text,
                          text);
    }
}

static void put_assistant(struct chat *c, const char *role,
                          const struct chat_said *p)
{
    struct buf list = { .data = NULL };

    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "role", role);
    wire_put_inner(&c->w, "content", buf_slice(&p->text));
    if (p->calls.len) {
        buf_printf(&list, "[%s]", p->calls.data);
        json_put_raw(&c->w, "tool_calls", buf_slice(&list));
        buf_release(&list);
    }
    json_end_object(&c->w);
}

static void put_messages(struct chat *c)
{
    for (json_ref m = json_first(c->j, 0); m != JSON_NONE;
         m = json_next(c->j, 0, m)) {
        char *role = json_strdup(c->j, json_get(c->j, m, "role"));
        struct chat_said p = { .text = { .data = NULL } };

        read_parts(c, m, &p, true);
        if (p.text.len || p.calls.len)
            put_assistant(c, role ? role : "user", &p);
        free(role);
        said_release(&p);
    }
}

/* PREFIX.N[.message].FIELD, as OpenInference and older libraries write. */
static json_ref numbered(const struct json *j, const char *prefix, int n,
                         const char *field)
{
    char key[160];

    (void)snprintf(key, sizeof(key), "%s.%d.%s", prefix, n, field);
    return attribute(j, key);
}

static json_ref field_of(const struct json *j, const char *prefix, int n,
                         const char *inner, const char *field)
{
    char name[96];

    (void)snprintf(name, sizeof(name), "%s%s", inner, field);
    return numbered(j, prefix, n, name);
}

static void numbered_calls(struct chat *c, const char *prefix, int n,
                           const char *inner, struct buf *calls)
{
    bool open_inference = *inner != '\0';

    for (int i = 0; i < 128; i++) {
        const struct json *j = c->j;
        char at[96];
        json_ref name;
        char base[48];

        (void)snprintf(base, sizeof(base), "tool_calls.%d.%s", i,
                       open_inference ? "tool_call." : "");
        (void)snprintf(at, sizeof(at), "%s%s", base,
                       open_inference ? "function.name" : "name");
        name = field_of(j, prefix, n, inner, at);
        if (!json_present(name))
            return;
        (void)snprintf(at, sizeof(at), "%sid", base);
        struct slice id = wire_inner(j, field_of(j, prefix, n, inner, at));
        (void)snprintf(at, sizeof(at), "%s%s", base,
                       open_inference ? "function.arguments" : "arguments");
        chat_add_call(c, calls, id, wire_inner(j, name),
                      field_of(j, prefix, n, inner, at));
    }
}

/* The n-th message, false: there is none. */
static bool numbered_message(struct chat *c, const char *prefix, int n,
                             const char *inner, struct chat_said *p,
                             char **role)
{
    json_ref r = field_of(c->j, prefix, n, inner, "role");
    json_ref text = field_of(c->j, prefix, n, inner, "content");

    *role = json_strdup(c->j, r);
    buf_add_slice(&p->text, wire_inner(c->j, text));
    numbered_calls(c, prefix, n, inner, &p->calls);
    return json_present(r) || json_present(text) || p->calls.len;
}

static bool put_numbered(struct chat *c, const char *prefix, const char *inner)
{
    int n = 0;

    for (; n < MESSAGES_MAX; n++) {
        struct chat_said p = { .text = { .data = NULL } };
        char *role = NULL;
        bool there = numbered_message(c, prefix, n, inner, &p, &role);

        if (there)
            put_assistant(c, role ? role : "user", &p);
        free(role);
        said_release(&p);
        if (!there)
            break;
    }
    return n > 0;
}

static bool build_request(struct wire_record *r, struct chat *c)
{
    const struct json *j = &r->json;
    struct buf text = { .data = NULL }, system = { .data = NULL };
    struct json doc = { 0 };
    bool found;

    json_begin_object(&c->w, NULL);
    wire_put_member(&c->w, "model", j,
                    either(j, "gen_ai.request.model", "llm.model_name"));
    json_begin_array(&c->w, "messages");
    if (load(j, "gen_ai.system_instructions", &text, &doc)) {
        c->j = &doc;
        for (json_ref e = json_first(&doc, 0); e != JSON_NONE;
             e = json_next(&doc, 0, e))
            buf_add_slice(&system,
                          wire_inner(&doc, json_get(&doc, e, "content")));
        chat_message(c, "system", &system);
    }
    found = load(j, "gen_ai.input.messages", &text, &doc);
    c->j = found ? &doc : j;
    if (found)
        put_messages(c);
    c->j = j;
    found = found || put_numbered(c, "gen_ai.prompt", "") ||
            put_numbered(c, "llm.input_messages", "message.");
    json_end_array(&c->w);
    if (load(j, "gen_ai.tool.definitions", &text, &doc)) {
        c->j = &doc;
        json_begin_array(&c->w, "tools");
        for (json_ref e = json_first(&doc, 0); e != JSON_NONE;
             e = json_next(&doc, 0, e))
            if (json_present(json_get(&doc, e, "function")))
                json_put_raw(&c->w, NULL, json_raw(&doc, e));
            else
                chat_tool(c, e, "parameters");
        json_end_array(&c->w);
    }
    json_end_object(&c->w);
    c->j = j;
    json_release(&doc);
    buf_release(&text);
    buf_release(&system);
    return found;
}

static char *finish_of(const struct json *j, bool calls)
{
    json_ref v = attribute(j, "gen_ai.response.finish_reasons");
    json_ref first = json_first(j, json_at(j, json_get(j, v, "values"), 0));
    char *s = json_strdup(j, first);

    if (s && (!strcmp(s, "tool_call") || !strcmp(s, "tool_calls"))) {
        free(s);
        s = NULL;
        calls = true;
    }
    return s ? s : strdup(calls ? "tool_calls" : "stop");
}

static bool build_answer(struct wire_record *r, struct chat *c)
{
    const struct json *j = &r->json;
    struct buf text = { .data = NULL };
    struct json doc = { 0 };
    struct chat_said p = { .text = { .data = NULL } };
    char *finish, *role = NULL;
    bool found = load(j, "gen_ai.output.messages", &text, &doc);

    chat_answer_begin(c, attribute(j, "gen_ai.response.id"),
                      attribute(j, "gen_ai.response.model"));
    if (found) {
        c->j = &doc;
        read_parts(c, json_at(&doc, 0, 0), &p, false);
        c->j = j;
    } else {
        found = numbered_message(c, "gen_ai.completion", 0, "", &p, &role) ||
                numbered_message(c, "llm.output_messages", 0, "message.", &p,
                                 &role);
    }
    finish = finish_of(j, p.calls.len > 0);
    chat_choice(c, 0, &p, finish);
    chat_answer_end(c, r->call.tokens_in, r->call.tokens_out,
                    r->call.tokens_cached, r->call.tokens_reason);
    r->call.finish = slice_of(!strcmp(finish, "length")       ? "length"
                              : !strcmp(finish, "tool_calls") ? "tool_calls"
                                                              : "stop");
    free(role);
    free(finish);
    said_release(&p);
    json_release(&doc);
    buf_release(&text);
    return found;
}

static bool is_call(const struct json *j)
{
    static const char *const names[] = { "chat", "generate_content",
                                         "text_completion", "completion" };
    json_ref operation = attribute(j, "gen_ai.operation.name");
    json_ref kind = attribute(j, "openinference.span.kind");

    if (json_present(kind))
        return json_text_is(j, kind, "LLM");
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (json_text_is(j, operation, names[i]))
            return true;
    return !json_present(operation) &&
           json_present(attribute(j, "gen_ai.request.model"));
}

static void read_facts(struct wire_record *r)
{
    const struct json *j = &r->json;
    int64_t start = time_us(j, "startTimeUnixNano");
    int64_t end = time_us(j, "endTimeUnixNano");
    json_ref provider = either(j, "gen_ai.provider.name", "gen_ai.system");
    double first;

    r->call.time_us = start >= 0 ? start : time_us(j, "timeUnixNano");
    if (start >= 0 && end >= start)
        r->call.latency_us = end - start;
    if (json_double(j, attribute(j, "gen_ai.response.time_to_first_chunk"),
                    &first) &&
        first >= 0)
        r->call.ttft_us = (int64_t)(first * 1e6 + 0.5);
    r->call.tokens_in = integer(
        j, either(j, "gen_ai.usage.input_tokens", "llm.token_count.prompt"));
    r->call.tokens_out = integer(j, either(j, "gen_ai.usage.output_tokens",
                                           "llm.token_count.completion"));
    if (r->call.tokens_in < 0)
        r->call.tokens_in =
            integer(j, attribute(j, "gen_ai.usage.prompt_tokens"));
    if (r->call.tokens_out < 0)
        r->call.tokens_out =
            integer(j, attribute(j, "gen_ai.usage.completion_tokens"));
    r->call.tokens_cached =
        integer(j, attribute(j, "gen_ai.usage.cache_read.input_tokens"));
    r->call.tokens_reason =
        integer(j, attribute(j, "gen_ai.usage.reasoning.output_tokens"));
    r->call.upstream = wire_own_text(
        r, j,
        json_present(provider) ? provider : attribute(j, "server.address"));
    r->call.conversation =
        wire_own_text(r, j, either(j, "gen_ai.conversation.id", "session.id"));
    if (!r->call.conversation.n)
        r->call.conversation = wire_own_text(r, j, json_get(j, 0, "traceId"));
    r->call.response_id =
        wire_own_text(r, j, attribute(j, "gen_ai.response.id"));
    r->call.model = wire_own_text(
        r, j, either(j, "gen_ai.response.model", "gen_ai.request.model"));
    if (!r->call.model.n)
        r->call.model = wire_own_text(r, j, attribute(j, "llm.model_name"));
}

static bool has_failed(const struct json *j)
{
    int64_t code;
    json_ref v = json_find(j, 0, "status", "code", NULL);

    return json_present(attribute(j, "error.type")) ||
           (json_int(j, v, &code) && code == 2) ||
           json_text_is(j, v, "STATUS_CODE_ERROR");
}

int wire_from_otlp(struct wire_record *r, struct err *err)
{
    const struct json *j = &r->json;
    struct wire_bodies b;
    struct chat c = { .j = j };
    struct json_writer w;
    bool failed = has_failed(j), whole;
    int64_t dropped = 0;

    if (!json_is(j, json_get(j, 0, "attributes"), JSON_ARRAY))
        return err_set(err, ERR_FORMAT, "attributes: not an array");
    if (!is_call(j))
        return 1;
    read_facts(r);
    wire_bodies_begin(&b, r);
    c.w = b.w;
    whole = build_request(r, &c);
    b.request = r->built.len;
    c.w.need_comma = false;
    if (failed) {
        r->call.error = wire_own_text(r, j, attribute(j, "error.type"));
        json_put_raw(&c.w, NULL, slice_of("{\"error\":{\"code\":null}}"));
    } else {
        whole &= build_answer(r, &c);
    }
    wire_bodies_end(&b, r);
    r->call.dialect = slice_of("openai-chat");
    r->call.status = slice_of(failed ? "failed_http" : "completed");
    (void)json_int(j, json_get(j, 0, "droppedAttributesCount"), &dropped);
    wire_extra_begin(r, &w, "otlp",
                     (!whole && !failed) || dropped > 0 ||
                         wire_has_marks(json_raw(j, 0)));
    wire_extra_member(&w, j, 0, "spanId");
    wire_extra_end(r, &w);
    return ERR_OK;
}
