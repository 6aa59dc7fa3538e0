/*
 * wire_bodies.c - what request and response tell about a call
 *
 * Only facts that are stated are taken over: usage that is absent stays
 * unknown, a finish reason that is null stays empty.
 */
#include "wire/wire_foreign.h"

#include "base/mem.h"

#include <string.h>

static struct slice clip(struct slice s)
{
    if (s.n > WIRE_TEXT_MAX) {
        s.n = WIRE_TEXT_MAX;
        while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xC0) == 0x80)
            s.n--;
    }
    return s;
}

/* A text of a body: one that is too long is cut, not refused. */
static struct slice body_text(struct wire_record *r, json_ref v)
{
    struct slice raw = json_raw(&r->json, v);
    struct slice out;

    if (!json_is(&r->json, v, JSON_STRING))
        return (struct slice){ NULL, 0 };
    if (!r->json.nodes[v].count)
        return clip((struct slice){ raw.p + 1, raw.n - 2 });
    if (raw.n <= WIRE_TEXT_MAX && wire_text(r, v, "", &out, NULL) == ERR_OK)
        return out;
    return clip((struct slice){ raw.p + 1, raw.n - 2 });
}

static int64_t count_of(const struct json *j, json_ref v)
{
    int64_t n;

    return json_int(j, v, &n) && n >= 0 ? n : -1;
}

static void read_usage(struct wire_record *r, json_ref usage)
{
    const struct json *j = &r->json;

    r->call.tokens_in = count_of(j, json_get(j, usage, "prompt_tokens"));
    r->call.tokens_out = count_of(j, json_get(j, usage, "completion_tokens"));
    r->call.tokens_cached = count_of(
        j, json_find(j, usage, "prompt_tokens_details", "cached_tokens", NULL));
    r->call.tokens_reason =
        count_of(j, json_find(j, usage, "completion_tokens_details",
                              "reasoning_tokens", NULL));
}

static void read_error(struct wire_record *r, json_ref error)
{
    const struct json *j = &r->json;

    if (json_is(j, error, JSON_OBJECT)) {
        json_ref code = json_get(j, error, "code");
        json_ref what = json_is(j, code, JSON_STRING)
                            ? code
                            : json_get(j, error, "message");

        if (!json_is(j, what, JSON_STRING))
            what = json_get(j, error, "type");
        r->call.error = body_text(r, what);
    } else {
        r->call.error = body_text(r, error);
    }
}

static void read_answer_of_chat(struct wire_record *r, json_ref response)
{
    const struct json *j = &r->json;
    json_ref choice = json_at(j, json_get(j, response, "choices"), 0);

    r->call.model = body_text(r, json_get(j, response, "model"));
    read_usage(r, json_get(j, response, "usage"));
    r->call.finish = body_text(r, json_get(j, choice, "finish_reason"));
}

enum wire_dialect wire_dialect_told(const struct json *j)
{
    json_ref v = json_get(j, 0, "dialect");
    int d = 0;

    while (d < DIALECTS && !json_text_is(j, v, wire_dialect_names[d]))
        d++;
    return (enum wire_dialect)d;
}

int wire_read_bodies(struct wire_record *r, json_ref request, json_ref response,
                     struct err *err)
{
    const struct json *j = &r->json;
    json_ref choices = json_get(j, response, "choices");
    json_ref own = json_get(j, 0, "error");
    json_ref error = json_get(j, response, "error");
    enum wire_dialect told = wire_dialect_told(j);
    enum wire_dialect d =
        told == DIALECTS ? wire_shape(j, request, response) : told;
    bool failed = json_kind(j, error) != JSON_NULL;
    int rc = wire_text(r, json_get(j, response, "id"), "response.id",
                       &r->call.response_id, err);

    if (rc < 0)
        return rc;
    r->call.dialect = slice_of(d == DIALECT_OPAQUE && told == DIALECTS
                                   ? "unknown"
                                   : wire_dialect_names[d]);
    if (d != DIALECT_OPENAI_CHAT && !failed)
        wire_read_answer(r, d, j, response);
    else
        read_answer_of_chat(r, response);
    if (!r->call.model.n)
        r->call.model = body_text(r, json_get(j, request, "model"));
    read_error(r, json_kind(j, own) != JSON_NULL ? own : error);
    if (!r->call.status.n && failed)
        r->call.status =
            slice_of(json_count(j, choices) ? "failed_stream" : "failed_http");
    else if (!r->call.status.n)
        r->call.status =
            slice_of(r->call.http_status >= 400 ? "failed_http" : "completed");
    return ERR_OK;
}

/* A field with a column of its own, or one that names the call. */
static bool has_place(const struct json *j, json_ref key)
{
    static const char *const names[] = {
        "reward",      "label",           "answer",     "call",
        "response_id", "conversation_id", "session_id",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (json_text_is(j, key, names[i]))
            return true;
    return false;
}

static void other_fields(struct wire_record *r, json_ref v,
                         struct store_outcome *out)
{
    const struct json *j = &r->json;
    struct buf b = { 0 };
    size_t n;

    for (json_ref e = json_first(j, v); e != JSON_NONE;
         e = json_next(j, v, e)) {
        if (has_place(j, json_key(j, e)))
            continue;
        buf_str(&b, b.len ? "," : "{");
        buf_add_slice(&b, json_raw(j, json_key(j, e)));
        buf_char(&b, ':');
        buf_add_slice(&b, json_raw(j, e));
    }
    if (!b.len)
        return;
    buf_char(&b, '}');
    r->owned[r->owned_count] = buf_take(&b, &n);
    out->extra = (struct slice){ r->owned[r->owned_count++], n };
}

/* A corrected answer: a text, or JSON as it stands. */
static int read_answer(struct wire_record *r, json_ref v, struct slice *out)
{
    struct buf text = { 0 };
    size_t n;

    if (json_kind(&r->json, v) == JSON_NULL)
        return ERR_OK;
    if (!json_text(&r->json, v, &text))
        buf_add_slice(&text, json_raw(&r->json, v));
    r->owned[r->owned_count] = buf_take(&text, &n);
    *out = (struct slice){ r->owned[r->owned_count++], n };
    return ERR_OK;
}

int wire_outcome(struct wire_record *r, json_ref v, struct store_outcome *out,
                 struct err *err)
{
    const struct json *j = &r->json;
    json_ref reward = v, label = v;
    int rc = ERR_OK;
    bool yes;

    *out = (struct store_outcome){ 0 };
    if (r->owned_count + 4 > sizeof(r->owned) / sizeof(*r->owned))
        return err_set(err, ERR_LIMIT, "outcome: too many escaped texts");
    if (json_is(j, v, JSON_OBJECT)) {
        reward = json_get(j, v, "reward");
        label = json_get(j, v, "label");
        rc = read_answer(r, json_get(j, v, "answer"), &out->answer);
        other_fields(r, v, out);
    }
    out->has_reward = json_double(j, reward, &out->reward);
    if (!out->has_reward && json_bool(j, reward, &yes)) {
        out->has_reward = true;
        out->reward = yes ? 1 : 0;
    }
    if (rc == ERR_OK && json_is(j, label, JSON_STRING))
        rc = wire_text(r, label, "label", &out->label, err);
    if (rc == ERR_OK && !out->has_reward && !out->label.p && !out->answer.p &&
        !out->extra.p)
        rc = err_set(err, ERR_FORMAT,
                     "outcome: no reward, label or answer in it");
    return rc;
}
