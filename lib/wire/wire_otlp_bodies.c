/*
 * wire_otlp_bodies.c - request and response of OpenTelemetry's records
 */
#include "wire/wire_otlp.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define TOOLS_MAX 1024 /* in attributes of their own */

/* The system's instructions stand apart from the messages. */
static void put_system(struct chat *c)
{
    struct buf system = { .data = NULL };

    for (json_ref e = json_first(c->j, 0); e != JSON_NONE;
         e = json_next(c->j, 0, e))
        buf_add_slice(&system, chat_inner(c, e, "content"));
    chat_message(c, "system", &system);
    buf_release(&system);
}

static void put_tool(struct chat *c, json_ref tool)
{
    json_ref schema = json_get(c->j, tool, "parameters");

    if (json_present(json_get(c->j, tool, "function")) ||
        !json_present(json_get(c->j, tool, "name")))
        json_put_raw(&c->w, NULL, json_raw(c->j, tool));
    else
        chat_tool(c, tool,
                  json_present(schema) ? "parameters" : "input_schema");
}

/* llm.tools.N.tool.json_schema: a definition each. */
static void put_numbered_tools(struct chat *c)
{
    const struct json *j = c->j;
    struct buf text = { .data = NULL };
    struct json doc = { 0 };
    int n = 0;

    for (; n < TOOLS_MAX; n++) {
        char key[64];

        (void)snprintf(key, sizeof(key), "llm.tools.%d.tool.json_schema", n);
        if (!otlp_load(j, key, &text, &doc)) {
            c->missing |= json_present(otlp_attribute(j, key));
            break;
        }
        if (n == 0)
            json_begin_array(&c->w, "tools");
        c->j = &doc;
        put_tool(c, 0);
        c->j = j;
    }
    if (n)
        json_end_array(&c->w);
    json_release(&doc);
    buf_release(&text);
}

/* llm.request.functions.N.FIELD, of older libraries. */
static void put_functions(struct chat *c)
{
    const struct json *j = c->j;
    int n = 0;

    for (; n < TOOLS_MAX; n++) {
        struct buf schema = { .data = NULL };
        struct json doc = { 0 };
        char at[64];
        json_ref name;

        (void)snprintf(at, sizeof(at), "llm.request.functions.%d.name", n);
        name = otlp_attribute(j, at);
        if (!json_present(name))
            break;
        if (n == 0)
            json_begin_array(&c->w, "tools");
        json_begin_object(&c->w, NULL);
        json_put_string(&c->w, "type", "function");
        json_begin_object(&c->w, "function");
        wire_put_member(&c->w, "name", j, name);
        (void)snprintf(at, sizeof(at), "llm.request.functions.%d.description",
                       n);
        wire_put_member(&c->w, "description", j, otlp_attribute(j, at));
        (void)snprintf(at, sizeof(at), "llm.request.functions.%d.parameters",
                       n);
        if (otlp_load(j, at, &schema, &doc))
            json_put_raw(&c->w, "parameters", buf_slice(&schema));
        json_end_object(&c->w);
        json_end_object(&c->w);
        json_release(&doc);
        buf_release(&schema);
    }
    if (n)
        json_end_array(&c->w);
}

static void put_tools(struct chat *c)
{
    const struct json *j = c->j;
    struct buf text = { .data = NULL };
    struct json doc = { 0 };

    if (!otlp_load(j, "gen_ai.tool.definitions", &text, &doc)) {
        c->missing |=
            json_present(otlp_attribute(j, "gen_ai.tool.definitions"));
        if (json_present(otlp_attribute(j, "llm.tools.0.tool.json_schema")))
            put_numbered_tools(c);
        else
            put_functions(c);
    } else {
        json_begin_array(&c->w, "tools");
        c->j = &doc;
        for (json_ref e = json_first(&doc, 0); e != JSON_NONE;
             e = json_next(&doc, 0, e))
            put_tool(c, e);
        c->j = j;
        json_end_array(&c->w);
    }
    json_release(&doc);
    buf_release(&text);
}

/* Members of an object in an attribute, but for those that are there. */
static bool put_members(struct chat *c, const char *key)
{
    static const char *const names[] = { "model", "messages", "tools" };
    struct buf text = { .data = NULL };
    struct json doc = { 0 };
    bool found =
        otlp_load(c->j, key, &text, &doc) && json_is(&doc, 0, JSON_OBJECT);

    for (json_ref v = found ? json_first(&doc, 0) : JSON_NONE; v != JSON_NONE;
         v = json_next(&doc, 0, v)) {
        char *name = json_strdup(&doc, json_key(&doc, v));
        bool there = !name;

        for (size_t i = 0; !there && i < sizeof(names) / sizeof(*names); i++)
            there = !strcmp(name, names[i]);
        if (!there)
            json_put_raw(&c->w, name, json_raw(&doc, v));
        free(name);
    }
    json_release(&doc);
    buf_release(&text);
    return found;
}

/* An integer is a text in OTLP/JSON; here a number again. */
static void put_number(struct chat *c, const char *key, json_ref v)
{
    struct slice s = wire_inner(c->j, v);
    bool digits = s.n && s.n < 19;

    for (size_t i = 0; i < s.n; i++)
        digits &= s.p[i] >= '0' && s.p[i] <= '9';
    if (digits && (s.n == 1 || *s.p != '0'))
        json_put_raw(&c->w, key, s);
    else if (!json_is(c->j, v, JSON_STRING))
        wire_put_member(&c->w, key, c->j, v);
}

static void put_parameters(struct chat *c)
{
    static const char *const names[][2] = {
        { "max_tokens", "gen_ai.request.max_tokens" },
        { "n", "gen_ai.request.choice.count" },
        { "seed", "gen_ai.request.seed" },
        { "temperature", "gen_ai.request.temperature" },
        { "top_p", "gen_ai.request.top_p" },
        { "frequency_penalty", "gen_ai.request.frequency_penalty" },
        { "presence_penalty", "gen_ai.request.presence_penalty" },
    };

    if (put_members(c, "slmctl.request") ||
        put_members(c, "llm.invocation_parameters"))
        return;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        put_number(c, names[i][0], otlp_attribute(c->j, names[i][1]));
}

/* OpenInference has the name that was asked among the parameters. */
static void put_model(struct chat *c)
{
    const struct json *j = c->j;
    json_ref asked = otlp_either(j, "gen_ai.request.model", "llm.model_name");
    struct buf text = { .data = NULL };
    struct json doc = { 0 };
    bool loaded = !json_present(otlp_attribute(j, "gen_ai.request.model")) &&
                  otlp_load(j, "llm.invocation_parameters", &text, &doc) &&
                  json_is(&doc, json_get(&doc, 0, "model"), JSON_STRING);

    if (loaded)
        wire_put_member(&c->w, "model", &doc, json_get(&doc, 0, "model"));
    else
        wire_put_member(&c->w, "model", j, asked);
    json_release(&doc);
    buf_release(&text);
}

bool otlp_request(struct chat *c)
{
    const struct json *j = c->j;
    struct buf text = { .data = NULL };
    struct json doc = { 0 };
    bool found;

    json_begin_object(&c->w, NULL);
    put_model(c);
    json_begin_array(&c->w, "messages");
    if (otlp_load(j, "gen_ai.system_instructions", &text, &doc)) {
        c->j = &doc;
        put_system(c);
        c->j = j;
    }
    found = otlp_load(j, "gen_ai.input.messages", &text, &doc);
    if (found) {
        c->j = &doc;
        otlp_put_messages(c);
        c->j = j;
    }
    found = found || otlp_put_numbered(c, "gen_ai.prompt", "") ||
            otlp_put_numbered(c, "llm.input_messages", "message.") ||
            otlp_put_event_messages(c);
    json_end_array(&c->w);
    put_tools(c);
    put_parameters(c);
    json_end_object(&c->w);
    json_release(&doc);
    buf_release(&text);
    return found;
}

/* The reason as chat names it, NULL: unknown; what is not told follows from
 * what was said. */
static char *finish_of(const struct json *j, json_ref told, bool calls)
{
    static const char *const names[][2] = {
        { "tool_call", "tool_calls" },
        { "tool_use", "tool_calls" },
        { "end_turn", "stop" },
        { "stop_sequence", "stop" },
        { "STOP", "stop" },
        { "max_tokens", "length" },
        { "MAX_TOKENS", "length" },
        { "SAFETY", "content_filter" },
        { "refusal", "content_filter" },
    };

    if (!json_is(j, told, JSON_STRING) || !wire_inner(j, told).n)
        return mem_strdup(calls ? "tool_calls" : "stop");
    if (json_text_is(j, told, "unknown"))
        return NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (json_text_is(j, told, names[i][0]))
            return mem_strdup(names[i][1]);
    return json_strdup(j, told);
}

void otlp_put_choice(struct wire_record *r, struct chat *c, size_t index,
                     struct otlp_spoken *p, json_ref told)
{
    const struct json *j = &r->json;
    json_ref list = otlp_attribute(j, "gen_ai.response.finish_reasons");
    json_ref of_span = json_at(j, json_get(j, list, "values"), index);
    bool calls = p->said.calls.len > 0;
    char *finish = json_present(of_span)
                       ? finish_of(j, json_first(j, of_span), calls)
                       : finish_of(c->j, told, calls);

    chat_choice(c, (int64_t)index, &p->said, finish);
    if (index == 0 && finish) {
        struct buf text = { .data = NULL };

        buf_str(&text, finish);
        r->call.finish = wire_own(r, &text);
    }
    free(finish);
}

static void put_message(struct wire_record *r, struct chat *c, size_t index,
                        json_ref m)
{
    struct otlp_spoken p = { .texts = 0 };

    chat_text_parts(c, json_get(c->j, m, "content"), &p.said.text);
    otlp_read_parts(c, m, &p, false);
    otlp_put_choice(r, c, index, &p, json_get(c->j, m, "finish_reason"));
    otlp_spoken_release(&p);
}

static bool put_numbered(struct wire_record *r, struct chat *c,
                         const char *prefix, const char *inner)
{
    json_ref told = otlp_attribute(c->j, "gen_ai.completion.0.finish_reason");
    struct otlp_spoken p = { .texts = 0 };
    char *role = NULL;
    bool found = otlp_numbered_message(c, prefix, 0, inner, &p, &role);

    if (!json_present(told))
        told = otlp_attribute(c->j, "llm.finish_reason");
    if (found)
        otlp_put_choice(r, c, 0, &p, told);
    free(role);
    otlp_spoken_release(&p);
    return found;
}

bool otlp_answer(struct wire_record *r, struct chat *c)
{
    const struct json *j = &r->json;
    struct buf text = { .data = NULL };
    struct json doc = { 0 };
    bool found = otlp_load(j, "gen_ai.output.messages", &text, &doc) &&
                 json_is(&doc, 0, JSON_ARRAY) && json_count(&doc, 0);
    size_t index = 0;

    chat_answer_begin(
        c, otlp_attribute(j, "gen_ai.response.id"),
        otlp_either(j, "gen_ai.response.model", "llm.model_name"));
    if (found) {
        c->j = &doc;
        for (json_ref m = json_first(&doc, 0); m != JSON_NONE;
             m = json_next(&doc, 0, m))
            put_message(r, c, index++, m);
        c->j = j;
    } else {
        found = put_numbered(r, c, "gen_ai.completion", "") ||
                put_numbered(r, c, "llm.output_messages", "message.") ||
                otlp_put_event_choices(r, c);
    }
    if (!found) {
        struct otlp_spoken none = { .texts = 0 };

        otlp_put_choice(r, c, 0, &none, JSON_NONE);
        otlp_spoken_release(&none);
    }
    chat_answer_end(c, r->call.tokens_in, r->call.tokens_out,
                    r->call.tokens_cached, r->call.tokens_reason);
    json_release(&doc);
    buf_release(&text);
    return found;
}
