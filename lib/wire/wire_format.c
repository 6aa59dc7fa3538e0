/*
 * wire_format.c - whose record a line is
 *
 * Told by fields that the others do not have, each line by itself: a file may
 * hold what several loggers wrote.
 */
#include "wire/wire_foreign.h"

#include <string.h>

static const char *const names[] = {
    [WIRE_AUTO] = "auto",         [WIRE_EXCHANGE] = "exchange",
    [WIRE_CHAT] = "chat",         [WIRE_LITELLM] = "litellm",
    [WIRE_OTLP] = "otlp",         [WIRE_HAR] = "har",
    [WIRE_LANGFUSE] = "langfuse", [WIRE_PAIRS] = "pairs",
};

bool wire_format_parse(const char *name, enum wire_format *out)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!strcmp(name, names[i])) {
            *out = (enum wire_format)i;
            return true;
        }
    return false;
}

static bool has(const struct json *j, const char *name)
{
    return json_present(json_get(j, 0, name));
}

/* A text between quotes that is JSON or a stream. */
static bool holds_answer(struct slice s)
{
    return s.n && (*s.p == '{' || slice_starts(s, "data:") ||
                   slice_starts(s, "event:"));
}

/* Beside the exchange format, which has both bodies as they are. */
static bool is_pair(const struct json *j)
{
    json_ref request = json_get(j, 0, "request");
    json_ref response = json_get(j, 0, "response");

    if (json_present(request))
        return json_is(j, request, JSON_STRING) ||
               json_present(json_get(j, request, "body")) ||
               holds_answer(wire_inner(j, response)) ||
               json_present(json_get(j, response, "body"));
    return (has(j, "params") || has(j, "body")) &&
           (has(j, "result") || has(j, "response"));
}

static enum wire_format detect(const struct json *j)
{
    if (has(j, "startTime") &&
        (has(j, "call_type") || has(j, "model_parameters") ||
         has(j, "response_cost")))
        return WIRE_LITELLM;
    if (has(j, "startedDateTime") && has(j, "request"))
        return WIRE_HAR;
    if (has(j, "attributes") && (has(j, "spanId") || has(j, "timeUnixNano")))
        return WIRE_OTLP;
    if (has(j, "type") && (has(j, "trace_id") || has(j, "traceId")))
        return WIRE_LANGFUSE;
    if (has(j, "request") && wire_dialect_told(j) != DIALECTS)
        return WIRE_EXCHANGE;
    if (is_pair(j))
        return WIRE_PAIRS;
    if (has(j, "request"))
        return WIRE_EXCHANGE;
    if (has(j, "messages"))
        return WIRE_CHAT;
    return WIRE_AUTO;
}

int wire_record_read(struct wire_record *r, enum wire_format format,
                     struct slice line, struct err *err)
{
    int rc;

    wire_record_reset(r);
    rc = json_parse(&r->json, line.p, line.n, err);
    if (rc < 0)
        return rc;
    if (!json_is(&r->json, 0, JSON_OBJECT))
        return err_set(err, ERR_FORMAT, "not an object");
    switch (format == WIRE_AUTO ? detect(&r->json) : format) {
    case WIRE_EXCHANGE: return wire_parse_exchange(r, err);
    case WIRE_CHAT: return wire_parse_chat(r, err);
    case WIRE_LITELLM: return wire_from_litellm(r, err);
    case WIRE_OTLP: return wire_from_otlp(r, err);
    case WIRE_HAR: return wire_from_har(r, err);
    case WIRE_LANGFUSE: return wire_from_langfuse(r, err);
    case WIRE_PAIRS: return wire_from_pairs(r, err);
    case WIRE_AUTO: break;
    }
    return err_set(err, ERR_FORMAT, "neither request nor messages");
}

int wire_record_parse(struct wire_record *r, struct slice line, struct err *err)
{
    int rc = wire_record_read(r, WIRE_AUTO, line, err);

    return rc > 0 ? err_set(err, ERR_FORMAT, "no call of a model") : rc;
}
