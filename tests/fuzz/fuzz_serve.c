/*
 * fuzz_serve.c - bodies of requests to serve
 *
 * The first byte picks the path. What is taken must be a chat that can be read
 * again, with a length no longer than the server's; what is refused says why.
 */
#include "serve/serve_private.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_taken(const struct serve_request *q)
{
    struct json j = { .text = NULL };
    struct err err;
    int64_t tokens;

    if (json_parse(&j, q->chat.data, q->chat.len, &err) ||
        !json_is(&j, 0, JSON_OBJECT) || q->model.len > SERVE_NAME ||
        !json_int(&j, json_get(&j, 0, "max_tokens"), &tokens) || tokens < 1 ||
        tokens > 100)
        abort();
    json_release(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "/v1/chat/completions",
                                         "/v1/completions", "/v1/responses",
                                         "/v1/messages" };
    struct serve_request q = { .raw = false };
    struct serve_refusal why = { .status = 0 };
    const struct serve_path *p;
    bool known;

    if (!size || size > 1 << 16)
        return 0;
    p = serve_path_find(slice_of("POST"), slice_of(names[data[0] % 4]), &known);
    if (serve_request_read(&q, p,
                           (struct slice){ (const char *)data + 1, size - 1 },
                           100, &why))
        check_taken(&q);
    else if (why.status < 400 || !why.err.msg[0])
        abort();
    serve_request_release(&q);
    return 0;
}
