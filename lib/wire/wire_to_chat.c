/*
 * wire_to_chat.c - any dialect as OpenAI chat completions
 *
 * What curate reads and exports write. Nothing is invented: a field that the
 * other dialect lacks is absent. Texts are moved as they stand between their
 * quotes; arguments that are objects become texts, as this dialect has them.
 */
#include "wire/wire_to_chat.h"

#include <string.h>

struct slice chat_inner(const struct chat *c, json_ref o, const char *name)
{
    return wire_inner(c->j, json_get(c->j, o, name));
}

bool chat_type_is(const struct chat *c, json_ref o, const char *type)
{
    return json_text_is(c->j, json_get(c->j, o, "type"), type);
}

void chat_member(struct chat *c, const char *to, json_ref o, const char *from)
{
    wire_put_member(&c->w, to, c->j, json_get(c->j, o, from));
}

void chat_text_parts(struct chat *c, json_ref v, struct buf *out)
{
    if (json_is(c->j, v, JSON_STRING)) {
        buf_add_slice(out, wire_inner(c->j, v));
        return;
    }
    for (json_ref e = json_first(c->j, v); e != JSON_NONE;
         e = json_next(c->j, v, e))
        buf_add_slice(out, wire_inner(c->j, json_get(c->j, e, "text")));
}

void chat_message(struct chat *c, const char *role, const struct buf *text)
{
    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "role", role);
    wire_put_inner(&c->w, "content", buf_slice(text));
    json_end_object(&c->w);
}

void chat_texts(struct chat *c, const char *role, json_ref v)
{
    struct buf text = { .data = NULL };

    chat_text_parts(c, v, &text);
    chat_message(c, role, &text);
    buf_release(&text);
}

void chat_system(struct chat *c, json_ref v)
{
    struct buf text = { .data = NULL };

    chat_text_parts(c, v, &text);
    if (text.len)
        chat_message(c, "system", &text);
    buf_release(&text);
}

void chat_tool_result(struct chat *c, struct slice id, json_ref content)
{
    struct buf text = { .data = NULL };

    chat_text_parts(c, content, &text);
    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "role", "tool");
    wire_put_inner(&c->w, "tool_call_id", id);
    wire_put_inner(&c->w, "content", buf_slice(&text));
    json_end_object(&c->w);
    buf_release(&text);
}

void chat_put_text_part(struct chat *c, struct slice text)
{
    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "type", "text");
    wire_put_inner(&c->w, "text", text);
    json_end_object(&c->w);
}

void chat_put_media(struct chat *c)
{
    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "type", "image_url");
    json_begin_object(&c->w, "image_url");
    json_put_string(&c->w, "url", "data:,");
    json_end_object(&c->w);
    json_end_object(&c->w);
}

void chat_put_content(struct chat *c, const struct buf *text, bool calls)
{
    if (text->len || !calls)
        wire_put_inner(&c->w, "content", buf_slice(text));
    else
        json_put_null(&c->w, "content");
}

void chat_put_calls(struct chat *c, const struct buf *calls)
{
    struct buf list = { .data = NULL };

    if (!calls->len)
        return;
    buf_printf(&list, "[%s]", calls->data);
    json_put_raw(&c->w, "tool_calls", buf_slice(&list));
    buf_release(&list);
}

void chat_call(struct chat *c, struct slice id, struct slice name,
               json_ref arguments)
{
    json_begin_object(&c->w, NULL);
    if (id.n)
        wire_put_inner(&c->w, "id", id);
    json_put_string(&c->w, "type", "function");
    json_begin_object(&c->w, "function");
    wire_put_inner(&c->w, "name", name);
    if (json_is(c->j, arguments, JSON_STRING))
        wire_put_inner(&c->w, "arguments", wire_inner(c->j, arguments));
    else if (json_present(arguments))
        json_put_slice(&c->w, "arguments", json_raw(c->j, arguments));
    else
        json_put_string(&c->w, "arguments", "{}");
    json_end_object(&c->w);
    json_end_object(&c->w);
}

void chat_tool(struct chat *c, json_ref o, const char *parameters)
{
    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "type", "function");
    json_begin_object(&c->w, "function");
    chat_member(c, "name", o, "name");
    chat_member(c, "description", o, "description");
    chat_member(c, "parameters", o, parameters);
    chat_member(c, "strict", o, "strict");
    json_end_object(&c->w);
    json_end_object(&c->w);
}

void chat_tools(struct chat *c, json_ref tools, const char *parameters,
                const char *type)
{
    if (!json_count(c->j, tools))
        return;
    json_begin_array(&c->w, "tools");
    for (json_ref t = json_first(c->j, tools); t != JSON_NONE;
         t = json_next(c->j, tools, t))
        if (type ? chat_type_is(c, t, type)
                 : json_present(json_get(c->j, t, parameters)))
            chat_tool(c, t, parameters);
    json_end_array(&c->w);
}

void chat_request_begin(struct chat *c, json_ref o)
{
    json_begin_object(&c->w, NULL);
    chat_member(c, "model", o, "model");
    json_begin_array(&c->w, "messages");
}

void chat_limits(struct chat *c, json_ref o, const char *max_tokens,
                 const char *top_p, const char *stop)
{
    chat_member(c, "max_tokens", o, max_tokens);
    chat_member(c, "temperature", o, "temperature");
    chat_member(c, "top_p", o, top_p);
    if (stop)
        chat_member(c, "stop", o, stop);
}

void chat_answer_begin(struct chat *c, json_ref id, json_ref model)
{
    json_begin_object(&c->w, NULL);
    wire_put_member(&c->w, "id", c->j, id);
    json_put_string(&c->w, "object", "chat.completion");
    wire_put_member(&c->w, "model", c->j, model);
    json_begin_array(&c->w, "choices");
}

void chat_choice(struct chat *c, int64_t index, struct chat_said *said,
                 const char *finish)
{
    json_begin_object(&c->w, NULL);
    json_put_int(&c->w, "index", index);
    json_begin_object(&c->w, "message");
    json_put_string(&c->w, "role", "assistant");
    chat_put_content(c, &said->text, said->calls.len > 0);
    if (said->thoughts.len)
        wire_put_inner(&c->w, "reasoning_content", buf_slice(&said->thoughts));
    if (said->refusal.len)
        wire_put_inner(&c->w, "refusal", buf_slice(&said->refusal));
    chat_put_calls(c, &said->calls);
    json_end_object(&c->w);
    if (finish)
        json_put_string(&c->w, "finish_reason", finish);
    else
        json_put_null(&c->w, "finish_reason");
    json_end_object(&c->w);
    buf_release(&said->text);
    buf_release(&said->thoughts);
    buf_release(&said->refusal);
    buf_release(&said->calls);
}

void chat_answer_end(struct chat *c, int64_t in, int64_t out, int64_t cached,
                     int64_t reason)
{
    json_end_array(&c->w);
    if (in >= 0 || out >= 0) {
        json_begin_object(&c->w, "usage");
        if (in >= 0)
            json_put_int(&c->w, "prompt_tokens", in);
        if (out >= 0)
            json_put_int(&c->w, "completion_tokens", out);
        if (in >= 0 && out >= 0)
            json_put_int(&c->w, "total_tokens", in + out);
        if (cached >= 0) {
            json_begin_object(&c->w, "prompt_tokens_details");
            json_put_int(&c->w, "cached_tokens", cached);
            json_end_object(&c->w);
        }
        if (reason >= 0) {
            json_begin_object(&c->w, "completion_tokens_details");
            json_put_int(&c->w, "reasoning_tokens", reason);
            json_end_object(&c->w);
        }
        json_end_object(&c->w);
    }
    json_end_object(&c->w);
}

int64_t chat_count(const struct chat *c, json_ref o, const char *name)
{
    int64_t n;

    return json_int(c->j, json_get(c->j, o, name), &n) && n >= 0 ? n : -1;
}

const char *chat_finish(const struct chat *c, json_ref v,
                        const char *const (*names)[2])
{
    for (size_t i = 0; names[i][0]; i++)
        if (json_text_is(c->j, v, names[i][0]))
            return names[i][1];
    return json_kind(c->j, v) == JSON_NULL ? NULL : "stop";
}

int64_t chat_plus(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 ? a : a + b;
}

/* Append an element to a list of calls that is made apart. */
void chat_add_call(struct chat *c, struct buf *calls, struct slice id,
                   struct slice name, json_ref arguments)
{
    struct chat part = { .j = c->j };

    if (calls->len)
        buf_char(calls, ',');
    json_writer_init(&part.w, calls, false);
    chat_call(&part, id, name, arguments);
}

static void completions_request(struct chat *c, json_ref o)
{
    json_ref prompt = json_get(c->j, o, "prompt");

    json_begin_object(&c->w, NULL);
    chat_member(c, "model", o, "model");
    if (json_is(c->j, prompt, JSON_ARRAY))
        prompt = json_at(c->j, prompt, 0);
    json_begin_array(&c->w, "messages");
    chat_texts(c, "user", prompt);
    json_end_array(&c->w);
    chat_member(c, "max_tokens", o, "max_tokens");
    chat_member(c, "temperature", o, "temperature");
    chat_member(c, "stop", o, "stop");
    json_end_object(&c->w);
}

static void completions_answer(struct chat *c, json_ref o)
{
    json_ref list = json_get(c->j, o, "choices");
    json_ref usage = json_get(c->j, o, "usage");
    int64_t i = 0;

    chat_answer_begin(c, json_get(c->j, o, "id"), json_get(c->j, o, "model"));
    for (json_ref v = json_first(c->j, list); v != JSON_NONE;
         v = json_next(c->j, list, v)) {
        char *finish = json_strdup(c->j, json_get(c->j, v, "finish_reason"));
        struct chat_said said = { .text = { .data = NULL } };

        buf_add_slice(&said.text, chat_inner(c, v, "text"));
        chat_choice(c, i++, &said, finish);
        free(finish);
    }
    chat_answer_end(c, chat_count(c, usage, "prompt_tokens"),
                    chat_count(c, usage, "completion_tokens"), -1, -1);
}

struct converter {
    void (*request)(struct chat *c, json_ref o);
    void (*answer)(struct chat *c, json_ref o);
};

static const struct converter converters[DIALECTS] = {
    [DIALECT_OPENAI_RESPONSES] = { chat_responses_request,
                                   chat_responses_answer },
    [DIALECT_OPENAI_COMPLETIONS] = { completions_request, completions_answer },
    [DIALECT_ANTHROPIC] = { chat_anthropic_request, chat_anthropic_answer },
    [DIALECT_OLLAMA_CHAT] = { chat_ollama_request, chat_ollama_answer },
    [DIALECT_OLLAMA_GENERATE] = { chat_ollama_request, chat_ollama_answer },
    [DIALECT_GEMINI] = { chat_gemini_request, chat_gemini_answer },
};

/* An error stays what it is: an object with "error". */
static int convert(void (*fn)(struct chat *c, json_ref o), struct slice body,
                   struct buf *out, struct err *err)
{
    struct json j = { 0 };
    struct chat c = { .j = &j };
    int rc = json_parse(&j, body.p, body.n, err);

    if (rc == ERR_OK && !json_is(&j, 0, JSON_OBJECT))
        rc = err_set(err, ERR_UNSUPPORTED, "a body that is no object");
    json_writer_init(&c.w, out, false);
    if (rc == ERR_OK && json_kind(&j, json_get(&j, 0, "error")) != JSON_NULL)
        buf_add_slice(out, body);
    else if (rc == ERR_OK)
        fn(&c, 0);
    json_release(&j);
    return rc;
}

bool wire_has_chat(struct slice dialect)
{
    for (int d = 0; d < DIALECTS; d++)
        if (slice_is(dialect, wire_dialect_names[d]))
            return d == DIALECT_OPENAI_CHAT || converters[d].request;
    return false;
}

int wire_to_chat(struct slice dialect, struct slice request,
                 struct slice response, struct buf *chat_request,
                 struct buf *chat_response, struct err *err)
{
    int d = 0, rc;

    while (d < DIALECTS && !slice_is(dialect, wire_dialect_names[d]))
        d++;
    if (d == DIALECT_OPENAI_CHAT) {
        buf_add_slice(chat_request, request);
        buf_add_slice(chat_response, response);
        return ERR_OK;
    }
    if (d == DIALECTS || !converters[d].request)
        return err_set(err, ERR_UNSUPPORTED,
                       "calls of the dialect %.*s have no messages",
                       (int)(dialect.n < 40 ? dialect.n : 40), dialect.p);
    rc = convert(converters[d].request, request, chat_request, err);
    if (rc == ERR_OK && response.n)
        rc = convert(converters[d].answer, response, chat_response, err);
    return rc;
}
