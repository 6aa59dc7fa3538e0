/* fuzz_exchange_stream.c - answers of any bytes as each dialect's stream
 *
 * The first byte chooses the dialect, the second how the answer ended and was
 * packed. What an assembler writes must be JSON, and what JSON is as a chat.
 */
#include "wire/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *target, *type;
} dialects[] = {
    { "/v1/chat/completions", "text/event-stream" },
    { "/v1/completions", "text/event-stream" },
    { "/v1/responses", "text/event-stream" },
    { "/v1/messages", "text/event-stream" },
    { "/api/chat", "application/x-ndjson" },
    { "/api/generate", "application/x-ndjson" },
    { "/v1beta/models/g:streamGenerateContent", "text/event-stream" },
    { "/v1beta/models/g:streamGenerateContent", "application/json" },
    { "/v1/embeddings", "application/json" },
};
#define DIALECTS (sizeof(dialects) / sizeof(*dialects))

static bool is_json(struct slice s)
{
    struct json j = { 0 };
    bool is = json_parse(&j, s.p ? s.p : "", s.n, NULL) == ERR_OK;

    json_release(&j);
    return is;
}

/* A stream's answer is written by an assembler; others are kept as they came.
 */
static void judge(const struct wire_record *r, bool assembled)
{
    struct buf request = { .data = NULL }, response = { .data = NULL };
    struct err err;

    if (assembled && r->call.response.n && !is_json(r->call.response))
        abort();
    if (!r->call.status.n || !r->call.dialect.n)
        abort();
    if (wire_to_chat(r->call.dialect, r->call.request, r->call.response,
                     &request, &response, &err) == ERR_OK &&
        ((request.len && !is_json(buf_slice(&request))) ||
         (response.len && is_json(r->call.response) &&
          !is_json(buf_slice(&response)))))
        abort();
    buf_release(&request);
    buf_release(&response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_mark marks[] = { { 10, 1 }, { 40, 2 }, { 400, 3 } };
    struct wire_exchange x = wire_exchange_none();
    struct wire_record r = { .built = { .data = NULL } };
    struct err err;
    size_t d;

    if (size < 2)
        return 0;
    d = data[0] % DIALECTS;
    x.id = slice_of("0123456789abcdef0123456789abcdef");
    x.target = slice_of(dialects[d].target);
    x.request = slice_of("{\"model\":\"m\",\"messages\":[],\"stream\":true}");
    x.response = (struct slice){ (const char *)data + 2, size - 2 };
    x.response_type = slice_of(dialects[d].type);
    x.response_encoding = slice_of(data[1] & 16 ? "gzip" : "");
    x.end = (enum wire_end)(data[1] % 6);
    x.http_status = data[1] & 32 ? 500 : 200;
    x.marks = marks;
    x.mark_count = 3;
    if (wire_exchange_read(&r, &x, &err) == ERR_OK)
        judge(&r, d < 6 && x.http_status == 200);
    wire_record_release(&r);
    return 0;
}
