/*
 * fuzz_json.c - the JSON parser, its accessors and its canonical form
 *
 * Holds it to this: what parses has a canonical form that parses and is its
 * own canonical form, and cJSON behind its check accepts no more than the
 * parser does.
 */
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void visit(const struct json *j, json_ref v, struct buf *out)
{
    int64_t i;
    double d;
    bool b;

    (void)json_raw(j, v);
    (void)json_text(j, v, out);
    (void)json_int(j, v, &i);
    (void)json_double(j, v, &d);
    (void)json_bool(j, v, &b);
    free(json_strdup(j, v));
    (void)json_get(j, v, "messages");
    for (json_ref e = json_first(j, v); e != JSON_NONE; e = json_next(j, v, e))
        visit(j, e, out);
}

static void canonical(const char *text, size_t n, struct buf *out)
{
    struct json j = { 0 };

    if (json_parse(&j, text, n, NULL))
        abort();
    json_canonical(&j, 0, out);
    json_release(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct buf once = { .data = NULL }, twice = { .data = NULL };
    struct cJSON *config = NULL;
    struct json j = { 0 };
    struct err err;
    bool good = !json_parse(&j, text, size, &err);

    if (good) {
        visit(&j, 0, &once);
        buf_reset(&once);
        json_canonical(&j, 0, &once);
        canonical(once.data, once.len, &twice);
        if (!slice_eq(buf_slice(&once), buf_slice(&twice)))
            abort();
    }
    if (!json_config_parse(text, size, &config, &err) && !good)
        abort();
    json_config_free(config);
    json_release(&j);
    buf_release(&once);
    buf_release(&twice);
    return 0;
}
