/* wire_answer.c - what assemblers share, and facts of whole answers */
#include "wire/wire_stream.h"

#include "base/mem.h"

#include <string.h>

const char *const wire_dialect_names[DIALECTS] = {
    [DIALECT_OPENAI_CHAT] = "openai-chat",
    [DIALECT_OPENAI_RESPONSES] = "openai-responses",
    [DIALECT_OPENAI_COMPLETIONS] = "openai-completions",
    [DIALECT_OPENAI_EMBEDDINGS] = "openai-embeddings",
    [DIALECT_ANTHROPIC] = "anthropic",
    [DIALECT_OLLAMA_CHAT] = "ollama-chat",
    [DIALECT_OLLAMA_GENERATE] = "ollama-generate",
    [DIALECT_GEMINI] = "gemini",
    [DIALECT_OPAQUE] = "opaque",
};

static bool ends_with(struct slice s, const char *end)
{
    size_t n = strlen(end);

    return s.n >= n && !memcmp(s.p + s.n - n, end, n);
}

enum wire_dialect wire_dialect_of_path(struct slice target)
{
    static const struct {
        const char *end;
        enum wire_dialect dialect;
    } paths[] = {
        { "/chat/completions", DIALECT_OPENAI_CHAT },
        { "/responses", DIALECT_OPENAI_RESPONSES },
        { "/v1/messages", DIALECT_ANTHROPIC },
        { "/api/chat", DIALECT_OLLAMA_CHAT },
        { "/api/generate", DIALECT_OLLAMA_GENERATE },
        { ":generateContent", DIALECT_GEMINI },
        { ":streamGenerateContent", DIALECT_GEMINI },
        { "/embeddings", DIALECT_OPENAI_EMBEDDINGS },
        { "/completions", DIALECT_OPENAI_COMPLETIONS },
    };
    const char *query = target.n ? memchr(target.p, '?', target.n) : NULL;

    if (query)
        target.n = (size_t)(query - target.p);
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
        if (ends_with(target, paths[i].end))
            return paths[i].dialect;
    return DIALECT_OPAQUE;
}

enum wire_dialect wire_dialect_of(struct slice target, const struct json *j,
                                  json_ref request)
{
    return json_is(j, request, JSON_OBJECT) ? wire_dialect_of_path(target)
                                            : DIALECT_OPAQUE;
}

void wire_answer_release(struct wire_answer *a)
{
    buf_release(&a->body);
    buf_release(&a->error);
}

void wire_token(struct wire_answer *a, const struct wire_events *e)
{
    if (!a->token_offset)
        a->token_offset = wire_events_offset(e);
}

void wire_set(struct buf *b, struct slice s)
{
    buf_reset(b);
    buf_add_slice(b, s);
}

struct slice wire_inner(const struct json *j, json_ref v)
{
    struct slice raw = json_raw(j, v);

    if (!json_is(j, v, JSON_STRING))
        return (struct slice){ NULL, 0 };
    return (struct slice){ raw.p + 1, raw.n - 2 };
}

void wire_put_inner(struct json_writer *w, const char *key, struct slice s)
{
    struct buf b = { .data = NULL };

    buf_char(&b, '"');
    buf_add_slice(&b, s);
    buf_char(&b, '"');
    json_put_raw(w, key, buf_slice(&b));
    buf_release(&b);
}

void wire_put_member(struct json_writer *w, const char *key,
                     const struct json *j, json_ref v)
{
    if (json_kind(j, v) != JSON_NULL)
        json_put_raw(w, key, json_raw(j, v));
}

void wire_note_error(struct wire_answer *a, const struct json *j,
                     json_ref error)
{
    static const char *const fields[] = { "code", "type", "status", "message" };

    a->failed = true;
    buf_reset(&a->error);
    if (json_text(j, error, &a->error))
        return;
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        if (json_text(j, json_get(j, error, fields[i]), &a->error))
            return;
    buf_str(&a->error, "error");
}

/* A text of the answer that outlives its document. */
static struct slice keep(struct wire_record *r, const struct json *j,
                         json_ref v)
{
    struct buf b = { .data = NULL };
    struct slice s;

    if (r->owned_count == sizeof(r->owned) / sizeof(*r->owned) ||
        !json_text(j, v, &b) || !b.len) {
        buf_release(&b);
        return (struct slice){ NULL, 0 };
    }
    s.n = b.len < WIRE_TEXT_MAX ? b.len : WIRE_TEXT_MAX;
    while (s.n < b.len && s.n > 0 &&
           ((unsigned char)b.data[s.n] & 0xC0) == 0x80)
        s.n--;
    s.p = r->owned[r->owned_count++] = buf_take(&b, NULL);
    return s;
}

static int64_t count_of(const struct json *j, json_ref v)
{
    int64_t n;

    return json_int(j, v, &n) && n >= 0 ? n : -1;
}

static int64_t sum(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 ? a : a + b;
}

static int64_t at(const struct json *j, json_ref o, const char *name)
{
    return count_of(j, json_get(j, o, name));
}

static void read_openai(struct wire_record *r, const struct json *j,
                        json_ref answer)
{
    json_ref usage = json_get(j, answer, "usage");
    json_ref in = json_get(j, usage, "prompt_tokens_details");
    json_ref out = json_get(j, usage, "completion_tokens_details");
    json_ref choice = json_at(j, json_get(j, answer, "choices"), 0);

    r->call.finish = keep(r, j, json_get(j, choice, "finish_reason"));
    r->call.tokens_in = at(j, usage, "prompt_tokens");
    r->call.tokens_out = at(j, usage, "completion_tokens");
    r->call.tokens_cached = at(j, in, "cached_tokens");
    if (r->call.tokens_cached < 0) /* DeepSeek's name */
        r->call.tokens_cached = at(j, usage, "prompt_cache_hit_tokens");
    r->call.tokens_reason = at(j, out, "reasoning_tokens");
}

static void read_responses(struct wire_record *r, const struct json *j,
                           json_ref answer)
{
    json_ref usage = json_get(j, answer, "usage");
    json_ref why = json_find(j, answer, "incomplete_details", "reason", NULL);

    r->call.finish = keep(
        r, j,
        json_kind(j, why) != JSON_NULL ? why : json_get(j, answer, "status"));
    r->call.tokens_in = at(j, usage, "input_tokens");
    r->call.tokens_out = at(j, usage, "output_tokens");
    r->call.tokens_cached =
        at(j, json_get(j, usage, "input_tokens_details"), "cached_tokens");
    r->call.tokens_reason =
        at(j, json_get(j, usage, "output_tokens_details"), "reasoning_tokens");
}

/* What came from a cache or went into one is not part of input_tokens. */
static void read_anthropic(struct wire_record *r, const struct json *j,
                           json_ref answer)
{
    json_ref usage = json_get(j, answer, "usage");

    r->call.finish = keep(r, j, json_get(j, answer, "stop_reason"));
    r->call.tokens_cached = at(j, usage, "cache_read_input_tokens");
    r->call.tokens_in =
        sum(sum(at(j, usage, "input_tokens"), r->call.tokens_cached),
            at(j, usage, "cache_creation_input_tokens"));
    r->call.tokens_out = at(j, usage, "output_tokens");
}

static void read_gemini(struct wire_record *r, const struct json *j,
                        json_ref answer)
{
    json_ref usage = json_get(j, answer, "usageMetadata");
    json_ref first = json_at(j, json_get(j, answer, "candidates"), 0);

    r->call.finish = keep(r, j, json_get(j, first, "finishReason"));
    r->call.tokens_in = at(j, usage, "promptTokenCount");
    r->call.tokens_reason = at(j, usage, "thoughtsTokenCount");
    r->call.tokens_out =
        sum(at(j, usage, "candidatesTokenCount"), r->call.tokens_reason);
    r->call.tokens_cached = at(j, usage, "cachedContentTokenCount");
}

void wire_read_answer(struct wire_record *r, enum wire_dialect d,
                      const struct json *j, json_ref answer)
{
    json_ref id = json_get(j, answer, "id");
    json_ref model = json_get(j, answer, "model");

    switch (d) {
    case DIALECT_OPENAI_CHAT:
    case DIALECT_OPENAI_COMPLETIONS:
    case DIALECT_OPENAI_EMBEDDINGS: read_openai(r, j, answer); break;
    case DIALECT_OPENAI_RESPONSES: read_responses(r, j, answer); break;
    case DIALECT_ANTHROPIC: read_anthropic(r, j, answer); break;
    case DIALECT_OLLAMA_CHAT:
    case DIALECT_OLLAMA_GENERATE:
        r->call.finish = keep(r, j, json_get(j, answer, "done_reason"));
        r->call.tokens_in = at(j, answer, "prompt_eval_count");
        r->call.tokens_out = at(j, answer, "eval_count");
        break;
    case DIALECT_GEMINI:
        read_gemini(r, j, answer);
        id = json_get(j, answer, "responseId");
        model = json_get(j, answer, "modelVersion");
        break;
    case DIALECT_OPAQUE:
    case DIALECTS: return;
    }
    r->call.response_id = keep(r, j, id);
    r->call.model = keep(r, j, model);
}
