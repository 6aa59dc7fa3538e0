/* fuzz_import.c - records of any bytes as each logger's, and out again
 *
 * The first byte chooses whose record it is. What is read has bodies that are
 * JSON where they are a dialect's; each format of export writes one line of
 * it, which is read as the same call: as cut as it was, as failed as it was.
 */
#include "wire/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEST_MAX 200 /* brackets; a line has some more than the bodies */

static bool is_json(struct slice s)
{
    struct json j = { 0 };
    bool is = s.n && json_parse(&j, s.p, s.n, NULL) == ERR_OK;

    json_release(&j);
    return is;
}

/* A call that the exchange format has: both bodies are objects. */
static bool is_plain(const struct store_call *c)
{
    struct slice request = slice_trim(c->request);
    struct slice response = slice_trim(c->response);

    return is_json(request) && *request.p == '{' &&
           (!response.n || (is_json(response) && *response.p == '{'));
}

/* Bodies of an own line are nested deeper; there is a limit to that. */
static bool is_deep(struct slice s)
{
    size_t brackets = 0;

    for (size_t i = 0; i < s.n; i++)
        brackets += s.p[i] == '{' || s.p[i] == '[';
    return brackets > NEST_MAX;
}

/* A record may say that a call is complete, and show that it is not. */
static bool contradicts(const struct store_call *c)
{
    struct json j = { 0 };
    bool error = json_parse(&j, c->response.p ? c->response.p : "",
                            c->response.n, NULL) == ERR_OK &&
                 json_kind(&j, json_get(&j, 0, "error")) != JSON_NULL;

    json_release(&j);
    return slice_is(c->status, "completed") && (c->http_status >= 400 || error);
}

static void read_again(const struct store_call *call, struct slice line)
{
    struct wire_record r = { .built = { .data = NULL } };
    struct err err;
    int rc = wire_record_read(&r, WIRE_AUTO, line, &err);

    if (is_deep(call->request) || is_deep(call->response)) {
        wire_record_release(&r);
        return;
    }
    if (rc != ERR_OK)
        abort();
    if (!contradicts(call) && !slice_eq(r.call.status, call->status))
        abort();
    if (wire_is_cut(call->extra) && !wire_is_cut(r.call.extra))
        abort();
    wire_record_release(&r);
}

/* The one that a line of OTLP has; the importer takes it out alike. */
static struct slice span_of(struct slice line)
{
    static const char before[] = "\"spans\":[";
    const char *at = memmem(line.p, line.n, before, sizeof(before) - 1);

    if (!at)
        abort();
    line.n -= (size_t)(at + sizeof(before) - 1 - line.p) + 6;
    line.p = at + sizeof(before) - 1;
    return line;
}

static void export(const struct store_call *call)
{
    static const enum wire_format formats[] = { WIRE_EXCHANGE, WIRE_PAIRS,
                                                WIRE_LITELLM, WIRE_OTLP };

    for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
        struct buf out = { .data = NULL };
        struct slice line;

        if (wire_export(formats[i], call, NULL, 1, &out) == ERR_OK) {
            line = (struct slice){ out.data, out.len - 1 };
            if (formats[i] == WIRE_OTLP)
                line = span_of(line);
            if (!is_json(line) || memchr(line.p, '\n', line.n))
                abort();
            if (formats[i] != WIRE_EXCHANGE || is_plain(call))
                read_again(call, line);
        }
        buf_release(&out);
    }
}

static void judge(const struct wire_record *r)
{
    const struct store_call *c = &r->call;
    struct buf request = { .data = NULL }, response = { .data = NULL };
    struct err err;

    if (!c->status.n || !c->dialect.n)
        abort();
    if (wire_to_chat(c->dialect, c->request, c->response, &request, &response,
                     &err) == ERR_OK &&
        ((request.len && is_json(c->request) &&
          !is_json(buf_slice(&request))) ||
         (response.len && is_json(c->response) &&
          !is_json(buf_slice(&response)))))
        abort();
    if (is_json(c->request))
        export(c);
    buf_release(&request);
    buf_release(&response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_record r = { .built = { .data = NULL } };
    struct err err;

    if (!size)
        return 0;
    if (wire_record_read(&r, (enum wire_format)(data[0] % (WIRE_PAIRS + 1)),
                         (struct slice){ (const char *)data + 1, size - 1 },
                         &err) == ERR_OK)
        judge(&r);
    wire_record_release(&r);
    return 0;
}
