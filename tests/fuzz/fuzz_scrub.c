/*
 * fuzz_scrub.c - records of arbitrary bytes through the shipped rules
 *
 * Holds it to this: JSON stays JSON, and a record that is refused leaves no
 * output.
 */
#include "json/json.h"
#include "scrub/scrub.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct scrub_worker *worker(void)
{
    static struct scrub_worker *w;
    static struct crypto_key key;
    struct scrub_rules *r;
    struct err err;

    if (w)
        return w;
    r = scrub_rules_new();
    if (scrub_rules_add_builtin(r, &err) || scrub_rules_finish(r, &err))
        abort();
    memset(&key, 7, sizeof(key));
    w = scrub_worker_new(r, &key);
    return w;
}

static bool is_json(const char *text, size_t n)
{
    struct json j = { 0 };
    bool good = !json_parse(&j, text, n, NULL);

    json_release(&j);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice document = { (const char *)data, size };
    struct buf out = { .data = NULL };
    struct err err;
    int rc = scrub_record(worker(), slice_of("scope"), &document, 1, &out, NULL,
                          NULL, &err);

    if (rc && out.len)
        abort();
    if (!rc && is_json(document.p, size) && !is_json(out.data, out.len))
        abort();
    buf_release(&out);
    return 0;
}
