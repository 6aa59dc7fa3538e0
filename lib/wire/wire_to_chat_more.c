/*
 * wire_to_chat_more.c - Anthropic, Responses, Ollama and Gemini as chat
 */
#include "wire/wire_to_chat.h"

#include <string.h>

static struct slice inner_of(const struct chat *c, json_ref o, const char *name)
{
    return wire_inner(c->j, json_get(c->j, o, name));
}

static bool type_is(const struct chat *c, json_ref o, const char *type)
{
    return json_text_is(c->j, json_get(c->j, o, "type"), type);
}

/* A media part, its bytes left out: that it was there must be seen. */
static void put_media(struct chat *c)
{
    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "type", "image_url");
    json_begin_object(&c->w, "image_url");
    json_put_string(&c->w, "url", "data:,");
    json_end_object(&c->w);
    json_end_object(&c->w);
}

static void put_text_part(struct chat *c, struct slice text)
{
    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "type", "text");
    wire_put_inner(&c->w, "text", text);
    json_end_object(&c->w);
}

/* ---- Anthropic */

static void anthropic_tool_result(struct chat *c, json_ref block)
{
    struct buf text = { .data = NULL };

    chat_text_parts(c, json_get(c->j, block, "content"), &text);
    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "role", "tool");
    wire_put_inner(&c->w, "tool_call_id", inner_of(c, block, "tool_use_id"));
    wire_put_inner(&c->w, "content", buf_slice(&text));
    json_end_object(&c->w);
    buf_release(&text);
}

static void anthropic_assistant(struct chat *c, json_ref content)
{
    struct buf text = { .data = NULL };
    bool calls = false;

    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "role", "assistant");
    if (json_is(c->j, content, JSON_STRING))
        buf_add_slice(&text, wire_inner(c->j, content));
    for (json_ref b = json_first(c->j, content); b != JSON_NONE;
         b = json_next(c->j, content, b)) {
        calls |= type_is(c, b, "tool_use");
        if (type_is(c, b, "text"))
            buf_add_slice(&text, inner_of(c, b, "text"));
    }
    if (text.len || !calls)
        wire_put_inner(&c->w, "content", buf_slice(&text));
    else
        json_put_null(&c->w, "content");
    if (calls)
        json_begin_array(&c->w, "tool_calls");
    for (json_ref b = json_first(c->j, content); b != JSON_NONE;
         b = json_next(c->j, content, b))
        if (type_is(c, b, "tool_use"))
            chat_call(c, inner_of(c, b, "id"), inner_of(c, b, "name"),
                      json_get(c->j, b, "input"));
    if (calls)
        json_end_array(&c->w);
    json_end_object(&c->w);
    buf_release(&text);
}

/* Results of tools first: they answer the message before. */
static void anthropic_user(struct chat *c, json_ref content)
{
    size_t parts = 0, media = 0;
    struct buf text = { .data = NULL };

    for (json_ref b = json_first(c->j, content); b != JSON_NONE;
         b = json_next(c->j, content, b))
        if (type_is(c, b, "tool_result"))
            anthropic_tool_result(c, b);
        else
            parts++, media += !type_is(c, b, "text");
    if (!parts)
        return;
    if (!media) {
        chat_text_parts(c, content, &text);
        chat_message(c, "user", &text);
        buf_release(&text);
        return;
    }
    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "role", "user");
    json_begin_array(&c->w, "content");
    for (json_ref b = json_first(c->j, content); b != JSON_NONE;
         b = json_next(c->j, content, b))
        if (type_is(c, b, "text"))
            put_text_part(c, inner_of(c, b, "text"));
        else if (!type_is(c, b, "tool_result"))
            put_media(c);
    json_end_array(&c->w);
    json_end_object(&c->w);
}

static void anthropic_message(struct chat *c, json_ref m)
{
    json_ref content = json_get(c->j, m, "content");
    struct buf text = { .data = NULL };

    if (json_text_is(c->j, json_get(c->j, m, "role"), "assistant")) {
        anthropic_assistant(c, content);
    } else if (json_is(c->j, content, JSON_STRING)) {
        chat_text_parts(c, content, &text);
        chat_message(c, "user", &text);
        buf_release(&text);
    } else {
        anthropic_user(c, content);
    }
}

void chat_anthropic_request(struct chat *c, json_ref o)
{
    json_ref system = json_get(c->j, o, "system");
    json_ref list = json_get(c->j, o, "messages");
    json_ref tools = json_get(c->j, o, "tools");
    struct buf text = { .data = NULL };

    json_begin_object(&c->w, NULL);
    chat_member(c, "model", o, "model");
    json_begin_array(&c->w, "messages");
    chat_text_parts(c, system, &text);
    if (text.len)
        chat_message(c, "system", &text);
    buf_release(&text);
    for (json_ref m = json_first(c->j, list); m != JSON_NONE;
         m = json_next(c->j, list, m))
        anthropic_message(c, m);
    json_end_array(&c->w);
    if (json_count(c->j, tools)) {
        json_begin_array(&c->w, "tools");
        for (json_ref t = json_first(c->j, tools); t != JSON_NONE;
             t = json_next(c->j, tools, t))
            if (json_present(json_get(c->j, t, "input_schema")))
                chat_tool(c, t, "input_schema");
        json_end_array(&c->w);
    }
    chat_member(c, "max_tokens", o, "max_tokens");
    chat_member(c, "temperature", o, "temperature");
    chat_member(c, "top_p", o, "top_p");
    chat_member(c, "stop", o, "stop_sequences");
    json_end_object(&c->w);
}

static const char *finish_of(const struct json *j, json_ref v,
                             const char *const (*names)[2])
{
    for (size_t i = 0; names[i][0]; i++)
        if (json_text_is(j, v, names[i][0]))
            return names[i][1];
    return json_kind(j, v) == JSON_NULL ? NULL : "stop";
}

static int64_t plus(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 ? a : a + b;
}

void chat_anthropic_answer(struct chat *c, json_ref o)
{
    static const char *const finishes[][2] = {
        { "max_tokens", "length" },
        { "model_context_window_exceeded", "length" },
        { "tool_use", "tool_calls" },
        { "refusal", "content_filter" },
        { NULL, NULL },
    };
    struct buf text = { .data = NULL }, thoughts = { .data = NULL },
               calls = { .data = NULL };
    json_ref content = json_get(c->j, o, "content");
    json_ref usage = json_get(c->j, o, "usage");
    int64_t cached = chat_count(c, usage, "cache_read_input_tokens");
    int64_t made = chat_count(c, usage, "cache_creation_input_tokens");

    for (json_ref b = json_first(c->j, content); b != JSON_NONE;
         b = json_next(c->j, content, b))
        if (type_is(c, b, "text"))
            buf_add_slice(&text, inner_of(c, b, "text"));
        else if (type_is(c, b, "thinking"))
            buf_add_slice(&thoughts, inner_of(c, b, "thinking"));
        else if (type_is(c, b, "tool_use"))
            chat_add_call(c, &calls, inner_of(c, b, "id"),
                          inner_of(c, b, "name"), json_get(c->j, b, "input"));
    chat_answer_begin(c, json_get(c->j, o, "id"), json_get(c->j, o, "model"));
    chat_choice(c, 0, &text, &thoughts, &calls,
                finish_of(c->j, json_get(c->j, o, "stop_reason"), finishes));
    chat_answer_end(
        c, plus(plus(chat_count(c, usage, "input_tokens"), cached), made),
        chat_count(c, usage, "output_tokens"), cached, -1);
    buf_release(&text);
    buf_release(&thoughts);
    buf_release(&calls);
}

/* ---- Responses */

static void responses_item(struct chat *c, json_ref item)
{
    struct buf text = { .data = NULL };
    json_ref role = json_get(c->j, item, "role");

    if (type_is(c, item, "function_call")) {
        json_begin_object(&c->w, NULL);
        json_put_string(&c->w, "role", "assistant");
        json_put_null(&c->w, "content");
        json_begin_array(&c->w, "tool_calls");
        chat_call(c, inner_of(c, item, "call_id"), inner_of(c, item, "name"),
                  json_get(c->j, item, "arguments"));
        json_end_array(&c->w);
        json_end_object(&c->w);
    } else if (type_is(c, item, "function_call_output")) {
        chat_text_parts(c, json_get(c->j, item, "output"), &text);
        json_begin_object(&c->w, NULL);
        json_put_string(&c->w, "role", "tool");
        wire_put_inner(&c->w, "tool_call_id", inner_of(c, item, "call_id"));
        wire_put_inner(&c->w, "content", buf_slice(&text));
        json_end_object(&c->w);
    } else if (json_is(c->j, role, JSON_STRING)) {
        char *name = json_strdup(c->j, role);

        chat_text_parts(c, json_get(c->j, item, "content"), &text);
        chat_message(c, name, &text);
        free(name);
    }
    buf_release(&text);
}

void chat_responses_request(struct chat *c, json_ref o)
{
    json_ref input = json_get(c->j, o, "input");
    json_ref tools = json_get(c->j, o, "tools");
    struct buf text = { .data = NULL };

    json_begin_object(&c->w, NULL);
    chat_member(c, "model", o, "model");
    json_begin_array(&c->w, "messages");
    chat_text_parts(c, json_get(c->j, o, "instructions"), &text);
    if (text.len)
        chat_message(c, "system", &text);
    if (json_is(c->j, input, JSON_STRING)) {
        buf_reset(&text);
        chat_text_parts(c, input, &text);
        chat_message(c, "user", &text);
    }
    for (json_ref v = json_is(c->j, input, JSON_ARRAY) ? json_first(c->j, input)
                                                       : JSON_NONE;
         v != JSON_NONE; v = json_next(c->j, input, v))
        responses_item(c, v);
    json_end_array(&c->w);
    if (json_count(c->j, tools)) {
        json_begin_array(&c->w, "tools");
        for (json_ref t = json_first(c->j, tools); t != JSON_NONE;
             t = json_next(c->j, tools, t))
            if (type_is(c, t, "function"))
                chat_tool(c, t, "parameters");
        json_end_array(&c->w);
    }
    chat_member(c, "max_tokens", o, "max_output_tokens");
    chat_member(c, "temperature", o, "temperature");
    chat_member(c, "top_p", o, "top_p");
    /* The messages before these are not here: nobody may train on them. */
    chat_member(c, "previous_response_id", o, "previous_response_id");
    json_end_object(&c->w);
    buf_release(&text);
}

static const char *responses_finish(const struct chat *c, json_ref o,
                                    bool calls)
{
    json_ref why = json_find(c->j, o, "incomplete_details", "reason", NULL);

    if (json_text_is(c->j, why, "max_output_tokens"))
        return "length";
    if (json_text_is(c->j, why, "content_filter"))
        return "content_filter";
    if (json_text_is(c->j, json_get(c->j, o, "status"), "completed"))
        return calls ? "tool_calls" : "stop";
    return NULL;
}

void chat_responses_answer(struct chat *c, json_ref o)
{
    struct buf text = { .data = NULL }, thoughts = { .data = NULL },
               calls = { .data = NULL };
    json_ref list = json_get(c->j, o, "output");
    json_ref usage = json_get(c->j, o, "usage");

    for (json_ref v = json_first(c->j, list); v != JSON_NONE;
         v = json_next(c->j, list, v))
        if (type_is(c, v, "message"))
            chat_text_parts(c, json_get(c->j, v, "content"), &text);
        else if (type_is(c, v, "reasoning"))
            chat_text_parts(c, json_get(c->j, v, "summary"), &thoughts);
        else if (type_is(c, v, "function_call"))
            chat_add_call(c, &calls, inner_of(c, v, "call_id"),
                          inner_of(c, v, "name"),
                          json_get(c->j, v, "arguments"));
    chat_answer_begin(c, json_get(c->j, o, "id"), json_get(c->j, o, "model"));
    chat_choice(c, 0, &text, &thoughts, &calls,
                responses_finish(c, o, calls.len > 0));
    chat_answer_end(c, chat_count(c, usage, "input_tokens"),
                    chat_count(c, usage, "output_tokens"),
                    chat_count(c, json_get(c->j, usage, "input_tokens_details"),
                               "cached_tokens"),
                    chat_count(c,
                               json_get(c->j, usage, "output_tokens_details"),
                               "reasoning_tokens"));
    buf_release(&text);
    buf_release(&thoughts);
    buf_release(&calls);
}

/* ---- Ollama */

static void ollama_message(struct chat *c, json_ref m)
{
    json_ref calls = json_get(c->j, m, "tool_calls");

    json_begin_object(&c->w, NULL);
    chat_member(c, "role", m, "role");
    chat_member(c, "content", m, "content");
    chat_member(c, "name", m, "tool_name");
    if (json_count(c->j, calls)) {
        json_begin_array(&c->w, "tool_calls");
        for (json_ref v = json_first(c->j, calls); v != JSON_NONE;
             v = json_next(c->j, calls, v)) {
            json_ref f = json_get(c->j, v, "function");

            chat_call(c, inner_of(c, v, "id"), inner_of(c, f, "name"),
                      json_get(c->j, f, "arguments"));
        }
        json_end_array(&c->w);
    }
    json_end_object(&c->w);
}

void chat_ollama_request(struct chat *c, json_ref o)
{
    json_ref list = json_get(c->j, o, "messages");
    json_ref options = json_get(c->j, o, "options");
    struct buf text = { .data = NULL };

    json_begin_object(&c->w, NULL);
    chat_member(c, "model", o, "model");
    json_begin_array(&c->w, "messages");
    for (json_ref m = json_first(c->j, list); m != JSON_NONE;
         m = json_next(c->j, list, m))
        ollama_message(c, m);
    if (!json_present(list)) {
        chat_text_parts(c, json_get(c->j, o, "system"), &text);
        if (text.len)
            chat_message(c, "system", &text);
        buf_reset(&text);
        chat_text_parts(c, json_get(c->j, o, "prompt"), &text);
        chat_message(c, "user", &text);
    }
    json_end_array(&c->w);
    chat_member(c, "tools", o, "tools");
    chat_member(c, "max_tokens", options, "num_predict");
    chat_member(c, "temperature", options, "temperature");
    chat_member(c, "top_p", options, "top_p");
    chat_member(c, "stop", options, "stop");
    json_end_object(&c->w);
    buf_release(&text);
}

void chat_ollama_answer(struct chat *c, json_ref o)
{
    static const char *const finishes[][2] = { { "length", "length" },
                                               { NULL, NULL } };
    struct buf text = { .data = NULL }, thoughts = { .data = NULL },
               calls = { .data = NULL };
    json_ref m = json_get(c->j, o, "message");
    json_ref list = json_get(c->j, m, "tool_calls");
    const char *finish =
        finish_of(c->j, json_get(c->j, o, "done_reason"), finishes);

    if (!json_present(m))
        m = o;
    chat_text_parts(
        c,
        json_get(c->j, m,
                 json_present(list) || m != o ? "content" : "response"),
        &text);
    chat_text_parts(c, json_get(c->j, m, "thinking"), &thoughts);
    for (json_ref v = json_first(c->j, list); v != JSON_NONE;
         v = json_next(c->j, list, v)) {
        json_ref f = json_get(c->j, v, "function");

        chat_add_call(c, &calls, inner_of(c, v, "id"), inner_of(c, f, "name"),
                      json_get(c->j, f, "arguments"));
    }
    chat_answer_begin(c, JSON_NONE, json_get(c->j, o, "model"));
    chat_choice(c, 0, &text, &thoughts, &calls,
                calls.len && finish ? "tool_calls" : finish);
    chat_answer_end(c, chat_count(c, o, "prompt_eval_count"),
                    chat_count(c, o, "eval_count"), -1, -1);
    buf_release(&text);
    buf_release(&thoughts);
    buf_release(&calls);
}

/* ---- Gemini */

static void gemini_texts(struct chat *c, json_ref parts, bool thoughts,
                         struct buf *out)
{
    for (json_ref p = json_first(c->j, parts); p != JSON_NONE;
         p = json_next(c->j, parts, p)) {
        bool thought = false;

        (void)json_bool(c->j, json_get(c->j, p, "thought"), &thought);
        if (thought == thoughts)
            buf_add_slice(out, inner_of(c, p, "text"));
    }
}

static void gemini_calls(struct chat *c, json_ref parts, struct buf *out)
{
    for (json_ref p = json_first(c->j, parts); p != JSON_NONE;
         p = json_next(c->j, parts, p)) {
        json_ref f = json_get(c->j, p, "functionCall");

        if (json_present(f))
            chat_add_call(c, out, inner_of(c, f, "id"), inner_of(c, f, "name"),
                          json_get(c->j, f, "args"));
    }
}

static void gemini_result(struct chat *c, json_ref f)
{
    struct slice id = inner_of(c, f, "id");

    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "role", "tool");
    wire_put_inner(&c->w, "tool_call_id", id.n ? id : inner_of(c, f, "name"));
    json_put_slice(&c->w, "content",
                   json_raw(c->j, json_get(c->j, f, "response")));
    json_end_object(&c->w);
}

static void gemini_content(struct chat *c, json_ref content)
{
    json_ref parts = json_get(c->j, content, "parts");
    bool is_model =
        json_text_is(c->j, json_get(c->j, content, "role"), "model");
    struct buf text = { .data = NULL }, calls = { .data = NULL };
    bool results = false, media = false;

    for (json_ref p = json_first(c->j, parts); p != JSON_NONE;
         p = json_next(c->j, parts, p)) {
        json_ref f = json_get(c->j, p, "functionResponse");

        media |= json_present(json_get(c->j, p, "inlineData")) ||
                 json_present(json_get(c->j, p, "fileData"));
        if (json_present(f)) {
            results = true;
            gemini_result(c, f);
        }
    }
    gemini_texts(c, parts, false, &text);
    gemini_calls(c, parts, &calls);
    if (is_model || text.len || media || !results) {
        json_begin_object(&c->w, NULL);
        json_put_string(&c->w, "role", is_model ? "assistant" : "user");
        if (media) {
            json_begin_array(&c->w, "content");
            put_text_part(c, buf_slice(&text));
            put_media(c);
            json_end_array(&c->w);
        } else if (text.len || !calls.len) {
            wire_put_inner(&c->w, "content", buf_slice(&text));
        } else {
            json_put_null(&c->w, "content");
        }
        if (calls.len) {
            struct buf list = { .data = NULL };

            buf_printf(&list, "[%s]", calls.data);
            json_put_raw(&c->w, "tool_calls", buf_slice(&list));
            buf_release(&list);
        }
        json_end_object(&c->w);
    }
    buf_release(&text);
    buf_release(&calls);
}

static void gemini_tools(struct chat *c, json_ref tools)
{
    json_begin_array(&c->w, "tools");
    for (json_ref t = json_first(c->j, tools); t != JSON_NONE;
         t = json_next(c->j, tools, t)) {
        json_ref list = json_get(c->j, t, "functionDeclarations");

        for (json_ref f = json_first(c->j, list); f != JSON_NONE;
             f = json_next(c->j, list, f))
            chat_tool(c, f,
                      json_present(json_get(c->j, f, "parameters"))
                          ? "parameters"
                          : "parametersJsonSchema");
    }
    json_end_array(&c->w);
}

void chat_gemini_request(struct chat *c, json_ref o)
{
    json_ref system = json_get(c->j, o, "systemInstruction");
    json_ref list = json_get(c->j, o, "contents");
    json_ref config = json_get(c->j, o, "generationConfig");
    struct buf text = { .data = NULL };

    json_begin_object(&c->w, NULL);
    chat_member(c, "model", o, "model");
    json_begin_array(&c->w, "messages");
    gemini_texts(c, json_get(c->j, system, "parts"), false, &text);
    if (text.len)
        chat_message(c, "system", &text);
    buf_release(&text);
    for (json_ref v = json_first(c->j, list); v != JSON_NONE;
         v = json_next(c->j, list, v))
        gemini_content(c, v);
    json_end_array(&c->w);
    if (json_count(c->j, json_get(c->j, o, "tools")))
        gemini_tools(c, json_get(c->j, o, "tools"));
    chat_member(c, "max_tokens", config, "maxOutputTokens");
    chat_member(c, "temperature", config, "temperature");
    chat_member(c, "top_p", config, "topP");
    chat_member(c, "stop", config, "stopSequences");
    json_end_object(&c->w);
}

void chat_gemini_answer(struct chat *c, json_ref o)
{
    static const char *const finishes[][2] = {
        { "MAX_TOKENS", "length" },
        { "SAFETY", "content_filter" },
        { "RECITATION", "content_filter" },
        { "BLOCKLIST", "content_filter" },
        { "PROHIBITED_CONTENT", "content_filter" },
        { "SPII", "content_filter" },
        { NULL, NULL },
    };
    json_ref list = json_get(c->j, o, "candidates");
    json_ref usage = json_get(c->j, o, "usageMetadata");
    int64_t thoughts_count = chat_count(c, usage, "thoughtsTokenCount");
    int64_t i = 0;

    chat_answer_begin(c, json_get(c->j, o, "responseId"),
                      json_get(c->j, o, "modelVersion"));
    for (json_ref v = json_first(c->j, list); v != JSON_NONE;
         v = json_next(c->j, list, v)) {
        json_ref parts = json_find(c->j, v, "content", "parts", NULL);
        struct buf text = { .data = NULL }, thoughts = { .data = NULL },
                   calls = { .data = NULL };
        const char *finish =
            finish_of(c->j, json_get(c->j, v, "finishReason"), finishes);

        gemini_texts(c, parts, false, &text);
        gemini_texts(c, parts, true, &thoughts);
        gemini_calls(c, parts, &calls);
        if (calls.len && finish && !strcmp(finish, "stop"))
            finish = "tool_calls";
        chat_choice(c, i++, &text, &thoughts, &calls, finish);
        buf_release(&text);
        buf_release(&thoughts);
        buf_release(&calls);
    }
    chat_answer_end(
        c, chat_count(c, usage, "promptTokenCount"),
        plus(chat_count(c, usage, "candidatesTokenCount"), thoughts_count),
        chat_count(c, usage, "cachedContentTokenCount"), thoughts_count);
}
