/*
 * wire_to_chat_gemini.c - requests and answers of Gemini as chat; a candidate
 * becomes a choice, a part's media only a sign that it was there
 */
#include "wire/wire_to_chat.h"

#include <string.h>

/* The API takes both spellings, and its own examples mix them. */
static const char *spelt(const struct chat *c, json_ref o, const char *camel,
                         const char *snake)
{
    return json_present(json_get(c->j, o, snake)) ? snake : camel;
}

static json_ref member(const struct chat *c, json_ref o, const char *camel,
                       const char *snake)
{
    return json_get(c->j, o, spelt(c, o, camel, snake));
}

static void gemini_texts(struct chat *c, json_ref parts, bool thoughts,
                         struct buf *out)
{
    for (json_ref p = json_first(c->j, parts); p != JSON_NONE;
         p = json_next(c->j, parts, p)) {
        bool thought = false;

        (void)json_bool(c->j, json_get(c->j, p, "thought"), &thought);
        if (thought == thoughts)
            buf_add_slice(out, chat_inner(c, p, "text"));
    }
}

static void gemini_calls(struct chat *c, json_ref parts, struct buf *out)
{
    for (json_ref p = json_first(c->j, parts); p != JSON_NONE;
         p = json_next(c->j, parts, p)) {
        json_ref f = member(c, p, "functionCall", "function_call");

        if (json_present(f))
            chat_add_call(c, out, chat_inner(c, f, "id"),
                          chat_inner(c, f, "name"), json_get(c->j, f, "args"));
    }
}

static void gemini_result(struct chat *c, json_ref f)
{
    struct slice id = chat_inner(c, f, "id");

    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "role", "tool");
    wire_put_inner(&c->w, "tool_call_id", id.n ? id : chat_inner(c, f, "name"));
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
        json_ref f = member(c, p, "functionResponse", "function_response");

        media |= json_present(member(c, p, "inlineData", "inline_data")) ||
                 json_present(member(c, p, "fileData", "file_data"));
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
            chat_put_text_part(c, buf_slice(&text));
            chat_put_media(c);
            json_end_array(&c->w);
        } else {
            chat_put_content(c, &text, calls.len > 0);
        }
        chat_put_calls(c, &calls);
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
        json_ref list =
            member(c, t, "functionDeclarations", "function_declarations");

        for (json_ref f = json_first(c->j, list); f != JSON_NONE;
             f = json_next(c->j, list, f))
            chat_tool(c, f,
                      json_present(json_get(c->j, f, "parameters"))
                          ? "parameters"
                          : spelt(c, f, "parametersJsonSchema",
                                  "parameters_json_schema"));
    }
    json_end_array(&c->w);
}

void chat_gemini_request(struct chat *c, json_ref o)
{
    json_ref system = member(c, o, "systemInstruction", "system_instruction");
    json_ref list = json_get(c->j, o, "contents");
    json_ref config = member(c, o, "generationConfig", "generation_config");
    struct buf text = { .data = NULL };

    chat_request_begin(c, o);
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
    chat_limits(c, config,
                spelt(c, config, "maxOutputTokens", "max_output_tokens"),
                spelt(c, config, "topP", "top_p"),
                spelt(c, config, "stopSequences", "stop_sequences"));
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
        struct chat_said said = { .text = { .data = NULL } };
        const char *finish =
            chat_finish(c, json_get(c->j, v, "finishReason"), finishes);

        gemini_texts(c, parts, false, &said.text);
        gemini_texts(c, parts, true, &said.thoughts);
        gemini_calls(c, parts, &said.calls);
        if (said.calls.len && finish && !strcmp(finish, "stop"))
            finish = "tool_calls";
        chat_choice(c, i++, &said, finish);
    }
    chat_answer_end(
        c, chat_count(c, usage, "promptTokenCount"),
        chat_plus(chat_count(c, usage, "candidatesTokenCount"), thoughts_count),
        chat_count(c, usage, "cachedContentTokenCount"), thoughts_count);
}
