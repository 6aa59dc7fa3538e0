/*
 * wire_to_chat_ollama.c - requests and answers of Ollama as chat, be they of
 * its chat or of its generate
 */
#include "wire/wire_to_chat.h"

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

            chat_call(c, chat_inner(c, v, "id"), chat_inner(c, f, "name"),
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

    chat_request_begin(c, o);
    for (json_ref m = json_first(c->j, list); m != JSON_NONE;
         m = json_next(c->j, list, m))
        ollama_message(c, m);
    if (!json_present(list)) {
        chat_system(c, json_get(c->j, o, "system"));
        chat_texts(c, "user", json_get(c->j, o, "prompt"));
    }
    json_end_array(&c->w);
    chat_member(c, "tools", o, "tools");
    chat_limits(c, options, "num_predict", "top_p", "stop");
    json_end_object(&c->w);
}

void chat_ollama_answer(struct chat *c, json_ref o)
{
    static const char *const finishes[][2] = { { "length", "length" },
                                               { NULL, NULL } };
    struct chat_said said = { .text = { .data = NULL } };
    json_ref m = json_get(c->j, o, "message");
    json_ref list = json_get(c->j, m, "tool_calls");
    const char *finish =
        chat_finish(c, json_get(c->j, o, "done_reason"), finishes);

    if (!json_present(m))
        m = o;
    chat_text_parts(
        c,
        json_get(c->j, m,
                 json_present(list) || m != o ? "content" : "response"),
        &said.text);
    chat_text_parts(c, json_get(c->j, m, "thinking"), &said.thoughts);
    for (json_ref v = json_first(c->j, list); v != JSON_NONE;
         v = json_next(c->j, list, v)) {
        json_ref f = json_get(c->j, v, "function");

        chat_add_call(c, &said.calls, chat_inner(c, v, "id"),
                      chat_inner(c, f, "name"), json_get(c->j, f, "arguments"));
    }
    chat_answer_begin(c, JSON_NONE, json_get(c->j, o, "model"));
    chat_choice(c, 0, &said, said.calls.len && finish ? "tool_calls" : finish);
    chat_answer_end(c, chat_count(c, o, "prompt_eval_count"),
                    chat_count(c, o, "eval_count"), -1, -1);
}
