/*
 * serve_request.c - a request of four dialects as the chat that an engine takes
 *
 * Messages and tools go through wire, as those of the log do; the settings,
 * which no log needs, are translated here. What would change the answer and is
 * not done is refused by its name, never passed over.
 */
#include "serve/serve_private.h"

#include "wire/wire.h"

#include <stdlib.h>

static bool is_set(const struct json *j, json_ref v)
{
    return json_present(v) && !json_is(j, v, JSON_NULL);
}

static int unsupported(struct err *err, const char *field, const char *what)
{
    return err_set(err, ERR_UNSUPPORTED, "%s: %s", field, what);
}

/* Fields that ask for what is not done here. */
static int check_fields(const struct json *j, struct err *err)
{
    static const char *const texts[] = {
        "audio",        "suffix", "previous_response_id",
        "conversation", "top_k",  "web_search_options"
    };
    static const char *const flags[] = { "echo", "background", "store" };
    static const char *const zeros[] = { "presence_penalty",
                                         "frequency_penalty" };
    json_ref thinking = json_get(j, json_get(j, 0, "thinking"), "type");
    int64_t n;
    double x;
    bool yes;

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        if (is_set(j, json_get(j, 0, texts[i])))
            return unsupported(err, texts[i], "is not supported");
    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
        if (json_bool(j, json_get(j, 0, flags[i]), &yes) && yes)
            return unsupported(err, flags[i], "must be false");
    for (size_t i = 0; i < sizeof(zeros) / sizeof(*zeros); i++)
        if (json_double(j, json_get(j, 0, zeros[i]), &x) && x != 0)
            return unsupported(err, zeros[i], "must be 0");
    if (is_set(j, thinking) && !json_text_is(j, thinking, "disabled"))
        return unsupported(err, "thinking", "is not supported");
    if (json_count(j, json_get(j, 0, "logit_bias")))
        return unsupported(err, "logit_bias", "is not supported");
    if (json_int(j, json_get(j, 0, "best_of"), &n) && n != 1)
        return unsupported(err, "best_of", "must be 1");
    if (json_int(j, json_get(j, 0, "n"), &n) && n != 1)
        return unsupported(err, "n", "only one answer is given");
    return ERR_OK;
}

static int check_sizes(const struct json *j, struct err *err)
{
    json_ref messages = json_get(j, 0, "messages");

    if (json_count(j, messages) > SERVE_MESSAGES)
        return err_set(err, ERR_INVALID, "messages: at most %d",
                       SERVE_MESSAGES);
    if (json_count(j, json_get(j, 0, "tools")) > SERVE_TOOLS)
        return err_set(err, ERR_INVALID, "tools: at most %d", SERVE_TOOLS);
    for (json_ref m = json_first(j, messages); m != JSON_NONE;
         m = json_next(j, messages, m)) {
        json_ref content = json_get(j, m, "content");

        if (json_is(j, content, JSON_ARRAY) &&
            json_count(j, content) > SERVE_PARTS)
            return err_set(err, ERR_INVALID,
                           "messages: at most %d parts in each", SERVE_PARTS);
    }
    return ERR_OK;
}

static void copy(struct json_writer *w, const char *as, const struct json *j,
                 const char *name)
{
    json_ref v = json_get(j, 0, name);

    if (is_set(j, v))
        json_put_raw(w, as, json_raw(j, v));
}

static int put_tokens(struct json_writer *w, const struct json *j,
                      const char *name, int64_t usual, int64_t most,
                      struct err *err)
{
    json_ref v = json_get(j, 0, name);
    int64_t n = usual;

    if (is_set(j, v) && (!json_int(j, v, &n) || n < 1))
        return err_set(err, ERR_INVALID,
                       "%s: must be a whole number of at least 1", name);
    json_put_int(w, "max_tokens", n < most ? n : most);
    return ERR_OK;
}

/* {"type":"function","function":{"name":...}} */
static void put_chosen(struct json_writer *w, const struct json *j,
                       json_ref name)
{
    json_begin_object(w, "tool_choice");
    json_put_string(w, "type", "function");
    json_begin_object(w, "function");
    json_put_raw(w, "name", json_raw(j, name));
    json_end_object(w);
    json_end_object(w);
}

static int put_choice_anthropic(struct json_writer *w, const struct json *j,
                                struct err *err)
{
    json_ref choice = json_get(j, 0, "tool_choice");
    json_ref type = json_get(j, choice, "type");
    json_ref name = json_get(j, choice, "name");
    bool alone = false;

    if (!is_set(j, choice))
        return ERR_OK;
    if (json_bool(j, json_get(j, choice, "disable_parallel_tool_use"),
                  &alone) &&
        alone)
        json_put_bool(w, "parallel_tool_calls", false);
    if (json_text_is(j, type, "auto") || json_text_is(j, type, "none"))
        json_put_raw(w, "tool_choice", json_raw(j, type));
    else if (json_text_is(j, type, "any"))
        json_put_string(w, "tool_choice", "required");
    else if (json_text_is(j, type, "tool") && json_is(j, name, JSON_STRING))
        put_chosen(w, j, name);
    else
        return err_set(err, ERR_INVALID,
                       "tool_choice: type must be auto, any, none or tool, "
                       "which needs a name");
    return ERR_OK;
}

static int settings_anthropic(struct json_writer *w, const struct json *j,
                              int64_t most, struct err *err)
{
    int rc = put_tokens(w, j, "max_tokens", most, most, err);

    copy(w, "temperature", j, "temperature");
    copy(w, "top_p", j, "top_p");
    copy(w, "stop", j, "stop_sequences");
    return rc < 0 ? rc : put_choice_anthropic(w, j, err);
}

static int put_format(struct json_writer *w, const struct json *j,
                      struct err *err)
{
    json_ref f = json_find(j, 0, "text", "format", NULL);
    json_ref type = json_get(j, f, "type");
    json_ref schema = json_get(j, f, "schema");

    if (!is_set(j, f) || json_text_is(j, type, "text"))
        return ERR_OK;
    if (!json_text_is(j, type, "json_object") &&
        (!json_text_is(j, type, "json_schema") ||
         !json_is(j, schema, JSON_OBJECT)))
        return err_set(err, ERR_UNSUPPORTED,
                       "text: format must be text, json_object or json_schema "
                       "with a schema");
    json_begin_object(w, "response_format");
    json_put_raw(w, "type", json_raw(j, type));
    if (json_present(schema)) {
        json_begin_object(w, "json_schema");
        json_put_string(w, "name", "answer");
        json_put_raw(w, "schema", json_raw(j, schema));
        json_end_object(w);
    }
    json_end_object(w);
    return ERR_OK;
}

static int settings_responses(struct json_writer *w, const struct json *j,
                              int64_t most, struct err *err)
{
    json_ref choice = json_get(j, 0, "tool_choice");
    json_ref name = json_get(j, choice, "name");
    int rc = put_tokens(w, j, "max_output_tokens", most, most, err);

    copy(w, "temperature", j, "temperature");
    copy(w, "top_p", j, "top_p");
    copy(w, "parallel_tool_calls", j, "parallel_tool_calls");
    if (json_is(j, choice, JSON_OBJECT) && json_is(j, name, JSON_STRING))
        put_chosen(w, j, name);
    else
        copy(w, "tool_choice", j, "tool_choice");
    return rc < 0 ? rc : put_format(w, j, err);
}

#define USUAL_COMPLETION 16 /* tokens, as that API has it */

/* logprobs is a number there: that of the likeliest. */
static int settings_completions(struct json_writer *w, const struct json *j,
                                int64_t most, struct err *err)
{
    static const char *const same[] = { "temperature", "top_p", "stop",
                                        "seed" };
    json_ref v = json_get(j, 0, "logprobs");
    int64_t top;

    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
        copy(w, same[i], j, same[i]);
    if (is_set(j, v)) {
        if (!json_int(j, v, &top))
            return err_set(err, ERR_INVALID, "logprobs: must be a number");
        json_put_bool(w, "logprobs", true);
        json_put_int(w, "top_logprobs", top);
    }
    return put_tokens(w, j, "max_tokens", USUAL_COMPLETION, most, err);
}

static bool is_length(const struct json *j, json_ref key)
{
    return json_text_is(j, key, "max_tokens") ||
           json_text_is(j, key, "max_completion_tokens");
}

/* As it came, but for how long it may be. */
static int chat_of_chat(struct serve_request *q, int64_t most, struct err *err)
{
    const struct json *j = &q->json;
    bool newer = is_set(j, json_get(j, 0, "max_completion_tokens"));
    struct json_writer w;
    int rc;

    json_writer_init(&w, &q->chat, false);
    json_begin_object(&w, NULL);
    for (json_ref v = json_first(j, 0); v != JSON_NONE; v = json_next(j, 0, v))
        if (!is_length(j, json_key(j, v))) {
            char *key = json_strdup(j, json_key(j, v));

            json_put_raw(&w, key, json_raw(j, v));
            free(key);
        }
    rc = put_tokens(&w, j, newer ? "max_completion_tokens" : "max_tokens", most,
                    most, err);
    json_end_object(&w);
    return rc;
}

static int chat_of_completion(struct serve_request *q, int64_t most,
                              struct err *err)
{
    const struct json *j = &q->json;
    json_ref prompt = json_get(j, 0, "prompt");
    struct json_writer w;
    int rc;

    if (json_is(j, prompt, JSON_ARRAY) && json_count(j, prompt) == 1)
        prompt = json_at(j, prompt, 0);
    if (!json_text(j, prompt, &q->prompt))
        return err_set(err, ERR_UNSUPPORTED,
                       "prompt: must be one text; lists of tokens or of more "
                       "texts are not supported");
    q->raw = true;
    json_writer_init(&w, &q->chat, false);
    json_begin_object(&w, NULL);
    rc = settings_completions(&w, j, most, err);
    json_end_object(&w);
    return rc;
}

/* What wire makes of the messages and tools, with the settings behind. */
static int chat_of_other(struct serve_request *q, const struct serve_path *p,
                         struct slice body, int64_t most, struct err *err)
{
    struct buf response = { .data = NULL };
    struct json_writer w;
    struct json chat = { .text = NULL };
    int rc = ERR_OK;

    /* A system's words alone would be a chat. */
    if (p->dialect == SPEAK_ANTHROPIC &&
        !json_count(&q->json, json_get(&q->json, 0, "messages")))
        rc = err_set(err, ERR_INVALID, "messages: must be a list of messages");
    if (rc == ERR_OK)
        rc = wire_to_chat(slice_of(p->wire), body, slice_of(""), &q->chat,
                          &response, err);
    if (rc == ERR_OK)
        rc = json_parse(&chat, q->chat.data, q->chat.len, err);
    if (rc == ERR_OK)
        rc = check_sizes(&chat, err);
    if (rc == ERR_OK) {
        while (q->chat.data[q->chat.len - 1] != '}')
            q->chat.len--;
        q->chat.len--;
        json_writer_init(&w, &q->chat, false);
        w.depth = 1;
        w.need_comma = json_count(&chat, 0) > 0;
        rc = p->dialect == SPEAK_ANTHROPIC
                 ? settings_anthropic(&w, &q->json, most, err)
                 : settings_responses(&w, &q->json, most, err);
        json_end_object(&w);
    }
    json_release(&chat);
    buf_release(&response);
    return rc;
}

static int read_common(struct serve_request *q, struct err *err)
{
    const struct json *j = &q->json;
    json_ref stream = json_get(j, 0, "stream");

    if (!json_is(j, 0, JSON_OBJECT))
        return err_set(err, ERR_FORMAT, "the body must be a JSON object");
    if (!json_text(j, json_get(j, 0, "model"), &q->model) ||
        q->model.len > SERVE_NAME)
        return err_set(err, ERR_INVALID,
                       "model: must be a text of at most %d bytes", SERVE_NAME);
    if (is_set(j, stream) && !json_bool(j, stream, &q->streams))
        return err_set(err, ERR_INVALID, "stream: must be true or false");
    (void)json_bool(j, json_find(j, 0, "stream_options", "include_usage", NULL),
                    &q->include_usage);
    return ERR_OK;
}

static bool has_own_limit(const struct json *j, int64_t most)
{
    static const char *const names[] = { "max_tokens", "max_completion_tokens",
                                         "max_output_tokens" };
    int64_t n;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (json_int(j, json_get(j, 0, names[i]), &n) && n <= most)
            return true;
    return false;
}

bool serve_request_read(struct serve_request *q, const struct serve_path *p,
                        struct slice body, int64_t max_tokens,
                        struct serve_refusal *why)
{
    struct err *err = &why->err;
    int rc = json_parse(&q->json, body.p ? body.p : "", body.n, err);

    if (rc < 0)
        rc = err_wrap(err, "the body");
    if (rc == ERR_OK)
        rc = read_common(q, err);
    if (rc == ERR_OK)
        rc = check_fields(&q->json, err);
    if (rc == ERR_OK)
        rc = check_sizes(&q->json, err);
    if (rc == ERR_OK && p->dialect == SPEAK_CHAT)
        rc = chat_of_chat(q, max_tokens, err);
    else if (rc == ERR_OK && p->dialect == SPEAK_COMPLETIONS)
        rc = chat_of_completion(q, max_tokens, err);
    else if (rc == ERR_OK)
        rc = chat_of_other(q, p, body, max_tokens, err);
    if (rc == ERR_LIMIT) /* of a request, not of their number */
        err->code = ERR_INVALID;
    if (rc < 0)
        serve_refusal_of(why);
    else
        q->own_limit = has_own_limit(&q->json, max_tokens);
    return rc == ERR_OK;
}

void serve_request_release(struct serve_request *q)
{
    json_release(&q->json);
    buf_release(&q->model);
    buf_release(&q->chat);
    buf_release(&q->prompt);
}
