/*
 * wire_chat.c - lines of OpenAI's chat format for fine-tuning
 *
 * The last assistant message whose weight is not 0 becomes the response; the
 * line without it and what follows it is the request. Other members (tools,
 * parallel_tool_calls) stay in the request as they stand.
 */
#include "wire/wire_private.h"

#include "base/mem.h"

static bool is_answer(const struct json *j, json_ref message)
{
    int64_t weight = 1;

    if (!json_text_is(j, json_get(j, message, "role"), "assistant"))
        return false;
    (void)json_int(j, json_get(j, message, "weight"), &weight);
    return weight != 0;
}

/* The chosen message, and the one before it. */
static json_ref find_answer(const struct json *j, json_ref messages,
                            json_ref *before)
{
    json_ref answer = JSON_NONE, previous = JSON_NONE;

    *before = JSON_NONE;
    for (json_ref m = json_first(j, messages); m != JSON_NONE;
         m = json_next(j, messages, m)) {
        if (is_answer(j, m)) {
            answer = m;
            *before = previous;
        }
        previous = m;
    }
    return answer;
}

/* Both bodies stand in one buffer, the request first. */
static void build_bodies(struct wire_record *r, struct slice line,
                         json_ref messages, json_ref answer, json_ref before)
{
    const struct json *j = &r->json;
    struct slice list = json_raw(j, messages);
    struct slice last = json_raw(j, before);
    struct slice message = json_raw(j, answer);
    bool calls = json_count(j, json_get(j, answer, "tool_calls")) > 0;
    size_t request;

    buf_reset(&r->built);
    (void)buf_reserve(&r->built, line.n + 100);
    buf_add(&r->built, line.p, (size_t)(last.p + last.n - line.p));
    buf_add(&r->built, list.p + list.n - 1,
            (size_t)(line.p + line.n - (list.p + list.n - 1)));
    request = r->built.len;
    buf_str(&r->built, "{\"choices\":[{\"index\":0,\"message\":");
    buf_add_slice(&r->built, message);
    buf_printf(&r->built, ",\"finish_reason\":\"%s\"}]}",
               calls ? "tool_calls" : "stop");
    r->call.request = (struct slice){ r->built.data, request };
    r->call.response =
        (struct slice){ r->built.data + request, r->built.len - request };
    r->call.finish = slice_of(calls ? "tool_calls" : "stop");
}

int wire_parse_chat(struct wire_record *r, struct err *err)
{
    const struct json *j = &r->json;
    json_ref messages = json_get(j, 0, "messages");
    json_ref before, answer;

    if (!json_is(j, messages, JSON_ARRAY))
        return err_set(err, ERR_FORMAT, "messages: not an array");
    answer = find_answer(j, messages, &before);
    if (!json_present(answer))
        return err_set(err, ERR_FORMAT,
                       "messages: none of an assistant with a weight");
    if (!json_present(before))
        return err_set(err, ERR_FORMAT,
                       "messages: nothing before the assistant's");
    build_bodies(r, json_raw(j, 0), messages, answer, before);
    r->call.dialect = slice_of("openai-chat");
    r->call.status = slice_of("completed");
    return wire_text(r, json_get(j, 0, "model"), "model", &r->call.model, err);
}
