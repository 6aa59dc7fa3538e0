/*
 * scrub_place.c - values that are the protocol's, and payloads of media
 *
 * A value belongs to the protocol if its key says so and another member of the
 * same object shows what the object is; within what the user or a tool wrote
 * (arguments, results, metadata, strings) nothing does. Keys are never the
 * only reason, except for those that no data has.
 */
#include "scrub/scrub_priv.h"

#include <string.h>

#define BESIDE 4
#define WORD_MAX 66     /* bytes of a word of the protocol, quotes included */
#define PAYLOAD_MIN 32  /* characters: less holds nothing */
#define DATA_URL_MIN 12 /* of one that says what it is */

struct place_rule {
    const char *key;
    const char *beside[BESIDE]; /* one of these; none: always */
    enum scrub_place place;
    const char *why;
};

static const struct place_rule table[] = {
    { "role",
      { "content", "tool_calls", "parts" },
      PLACE_STRUCTURE,
      "who speaks; part of templates" },
    { "type",
      { "text", "image_url", "input_audio", "function" },
      PLACE_STRUCTURE,
      "kind of a part or tool" },
    { "type",
      { "source", "tool_use_id", "json_schema", "input" },
      PLACE_STRUCTURE,
      "kind of a part or tool" },
    { "type",
      { "content", "name", "role" },
      PLACE_STRUCTURE,
      "kind of a message or part" },
    { "tool_call_id",
      { "role", "content" },
      PLACE_PATTERN,
      "joins an answer to its call" },
    { "tool_use_id",
      { "content", "type" },
      PLACE_PATTERN,
      "joins an answer to its call" },
    { "call_id",
      { "output", "arguments", "type" },
      PLACE_PATTERN,
      "joins an answer to its call" },
    { "id",
      { "function", "choices", "usage", "input" },
      PLACE_PATTERN,
      "of a call, a response or a tool call" },
    { "id",
      { "role", "arguments", "stop_reason" },
      PLACE_PATTERN,
      "of a message or a tool call" },
    { "name",
      { "arguments", "parameters", "input_schema", "input" },
      PLACE_STRUCTURE,
      "a function's name" },
    { "name",
      { "args", "schema", "inputSchema", "tool_call_id" },
      PLACE_STRUCTURE,
      "a function's name" },
    { "model",
      { "messages", "choices", "usage", "input" },
      PLACE_STRUCTURE,
      "which model" },
    { "model",
      { "contents", "prompt", "content" },
      PLACE_STRUCTURE,
      "which model" },
    { "object",
      { "choices", "usage", "created", "data" },
      PLACE_STRUCTURE,
      "kind of a response" },
    { "created",
      { "choices", "model", "usage" },
      PLACE_STRUCTURE,
      "time of a response" },
    { "created_at",
      { "output", "message", "usage" },
      PLACE_STRUCTURE,
      "time of a response" },
    { "finish_reason", { NULL }, PLACE_STRUCTURE, "how an answer ended" },
    { "stop_reason", { NULL }, PLACE_STRUCTURE, "how an answer ended" },
    { "system_fingerprint", { NULL }, PLACE_STRUCTURE, "of a back end" },
    { "service_tier", { NULL }, PLACE_STRUCTURE, "of a back end" },
    { "timestamp",
      { "request", "response" },
      PLACE_STRUCTURE,
      "when the call was made" },
    { "workload_id",
      { "request", "response" },
      PLACE_STRUCTURE,
      "which part of the agent called" },
    { "status",
      { "request", "response" },
      PLACE_STRUCTURE,
      "how the call ended" },
    { "type",
      { "properties", "items", "enum", "description" },
      PLACE_STRUCTURE,
      "a schema's" },
    { "format", { "type" }, PLACE_STRUCTURE, "a schema's" },
    { "pattern", { "type" }, PLACE_PATTERN, "a schema's" },
    { "minimum", { "type" }, PLACE_STRUCTURE, "a schema's" },
    { "maximum", { "type" }, PLACE_STRUCTURE, "a schema's" },
    { "exclusiveMinimum", { "type" }, PLACE_STRUCTURE, "a schema's" },
    { "exclusiveMaximum", { "type" }, PLACE_STRUCTURE, "a schema's" },
    { "multipleOf", { "type" }, PLACE_STRUCTURE, "a schema's" },
    { "$ref", { NULL }, PLACE_STRUCTURE, "a schema's" },
    { "$schema", { NULL }, PLACE_STRUCTURE, "a schema's" },
    { "$id", { NULL }, PLACE_STRUCTURE, "a schema's" },
    { "required",
      { "properties", "type" },
      PLACE_SCHEMA,
      "names of members, as in properties" },
    { "enum",
      { NULL },
      PLACE_MEMBER,
      "what arguments may be; follows what is found elsewhere" },
    { "data",
      { "format", "media_type", "mimeType", "mime_type" },
      PLACE_MEDIA,
      "bytes of a picture or sound" },
    { "data", { "transcript" }, PLACE_MEDIA, "bytes of a sound" },
    { "b64_json", { NULL }, PLACE_MEDIA, "bytes of a picture" },
    { "images", { "role", "prompt" }, PLACE_MEDIA, "bytes of pictures" },
    { "bytes", { NULL }, PLACE_MEDIA, "bytes of a picture" },
    { "file_data", { NULL }, PLACE_MEDIA, "bytes of a file" },
};

/* Members whose value is the user's or a tool's, whatever its keys are. */
static const char *const data_keys[] = { "arguments", "args", "metadata" };

/* Keys that the table asks for beside others, by their bits. */
static const char *const beside_names[] = {
    "content",      "tool_calls", "parts",       "text",        "image_url",
    "input_audio",  "function",   "source",      "tool_use_id", "json_schema",
    "input",        "name",       "role",        "type",        "output",
    "arguments",    "choices",    "usage",       "stop_reason", "parameters",
    "input_schema", "args",       "schema",      "inputSchema", "tool_call_id",
    "messages",     "contents",   "prompt",      "created",     "data",
    "model",        "message",    "request",     "response",    "properties",
    "items",        "enum",       "description", "format",      "media_type",
    "mimeType",     "mime_type",  "transcript",
};
#define BESIDE_NAMES (sizeof(beside_names) / sizeof(*beside_names))
#define KNOWN (UINT64_C(1) << 63) /* the keys of an object were read */

static uint64_t bit_of(struct slice key)
{
    _Static_assert(BESIDE_NAMES < 63, "a bit each");
    for (size_t i = 0; i < BESIDE_NAMES; i++)
        if (slice_is(key, beside_names[i]))
            return UINT64_C(1) << i;
    return 0;
}

static uint64_t read_around(struct scrub_worker *w, const struct json *j,
                            json_ref object)
{
    uint64_t around = KNOWN;
    struct buf text = { 0 }, words = { 0 };
    struct scrub_key own;

    for (json_ref e = json_first(j, object); e != JSON_NONE;
         e = json_next(j, object, e)) {
        struct slice raw = json_raw(j, json_key(j, e));
        struct slice key = { raw.p + 1, raw.n - 2 };

        if (j->nodes[json_key(j, e)].count) { /* escaped */
            buf_reset(&text);
            (void)json_text(j, json_key(j, e), &text);
            around |= bit_of(buf_slice(&text));
        } else {
            around |= scrub_key_of(w->known_keys, key, &own, &words)->name;
        }
    }
    buf_release(&text);
    buf_release(&words);
    return around;
}

/* What nothing beside it bears out must look like a word of the protocol. */
static enum scrub_place place_alone(enum scrub_place place,
                                    const struct json *j, json_ref value)
{
    struct slice v = json_raw(j, value);

    return place != PLACE_STRUCTURE ||
                   (v.n < WORD_MAX && !memchr(v.p, ' ', v.n))
               ? place
               : PLACE_TEXT;
}

static enum scrub_data data_of(struct slice key)
{
    for (size_t i = 0; i < sizeof(data_keys) / sizeof(*data_keys); i++)
        if (slice_is(key, data_keys[i]))
            return DATA_YES;
    if (slice_is(key, "output"))
        return DATA_OUTPUT;
    if (slice_is(key, "response"))
        return DATA_RESPONSE;
    return slice_is(key, "input") ? DATA_INPUT : DATA_NO;
}

/* The rules of a key have one place among them. */
void scrub_place_read(struct slice key, struct scrub_key *out)
{
    out->name = bit_of(key);
    out->data = data_of(key);
    out->function_name = slice_is(key, "name");
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        if (!slice_is(key, table[i].key))
            continue;
        out->place = table[i].place;
        out->alone = !table[i].beside[0];
        for (size_t k = 0; k < BESIDE && table[i].beside[k]; k++)
            out->beside |= bit_of(slice_of(table[i].beside[k]));
    }
}

enum scrub_place scrub_place_of(struct scrub_worker *w, const struct json *j,
                                json_ref object, struct slice object_key,
                                const struct scrub_key *key, json_ref value,
                                uint64_t *around)
{
    if (key->function_name && slice_is(object_key, "_function_"))
        return PLACE_STRUCTURE;
    if (key->place == PLACE_TEXT)
        return PLACE_TEXT;
    if (key->alone)
        return place_alone(key->place, j, value);
    if (!*around)
        *around = read_around(w, j, object);
    return *around & key->beside ? key->place : PLACE_TEXT;
}

static bool has_member(const struct json *j, json_ref object, const char *key)
{
    return json_get(j, object, key) != JSON_NONE;
}

bool scrub_is_data_key(const struct json *j, json_ref value,
                       const struct scrub_key *key)
{
    if (key->data == DATA_NO || key->data == DATA_YES)
        return key->data == DATA_YES;
    if (!json_is(j, value, JSON_OBJECT))
        return false; /* lists of messages have these names as well */
    if (key->data == DATA_OUTPUT)
        return !has_member(j, value, "message");
    return key->data == DATA_INPUT || /* a function's, not a call's: */
           (!has_member(j, value, "choices") &&
            !has_member(j, value, "usage") &&
            !has_member(j, value, "content") && !has_member(j, value, "error"));
}

bool scrub_speaks_of_property(struct slice key)
{
    return slice_is(key, "enum") || slice_is(key, "default") ||
           slice_is(key, "example") || slice_is(key, "examples") ||
           slice_is(key, "const");
}

static bool is_base64(char c)
{
    return scrub_base64_value(c) >= 0 || c == '=' || c == '\n' || c == '\r';
}

static size_t payload_end(struct slice t, size_t at)
{
    while (at < t.n && is_base64(t.p[at]))
        at++;
    return at;
}

bool scrub_is_payload(struct slice t)
{
    return t.n >= PAYLOAD_MIN && payload_end(t, 0) == t.n;
}

bool scrub_media_next(struct slice t, size_t *at, size_t *start, size_t *end)
{
    while (*at < t.n) {
        const char *hit = memchr(t.p + *at, ';', t.n - *at);
        size_t from;

        if (!hit || (size_t)(t.p + t.n - hit) < 8 + DATA_URL_MIN)
            return false;
        if (memcmp(hit, ";base64,", 8) != 0) {
            *at = (size_t)(hit - t.p) + 1;
            continue;
        }
        *start = (size_t)(hit - t.p) + 8;
        *at = *end = payload_end(t, *start);
        from = *start - 8 > 128 ? *start - 8 - 128 : 0;
        if (*end - *start >= DATA_URL_MIN &&
            memmem(t.p + from, *start - from, "data:", 5))
            return true;
    }
    return false;
}
