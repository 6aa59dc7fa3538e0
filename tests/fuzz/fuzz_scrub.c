/*
 * fuzz_scrub.c - scrubbing arbitrary bytes, and arbitrary rules
 *
 * A document that is JSON must stay JSON with as many values; the leak search
 * must accept anything. Input that begins with '[' and holds " = " is read as
 * a rule file as well.
 */
#include "base/mem.h"
#include "json/json.h"
#include "scrub/scrub.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct crypto_key key;
static struct scrub_rules *rules;
static struct scrub_worker *worker;
static struct scrub_leaks *leaks;

static void begin(void)
{
    struct slice value = { "ada@love.org", 12 };

    if (worker)
        return;
    rules = scrub_rules_new();
    if (crypto_init(NULL) < 0 || scrub_rules_add_builtin(rules, NULL) < 0 ||
        scrub_rules_finish(rules, NULL) < 0 ||
        scrub_leaks_new(&value, 1, &leaks, NULL) < 0)
        abort();
    worker = scrub_worker_new(rules, &key);
}

static void ignore_leak(void *ctx, size_t value, const char *form, size_t at)
{
    (void)value;
    (void)form;
    if (at > *(size_t *)ctx)
        abort();
}

static void scrub(struct slice in)
{
    struct buf out = { 0 };
    struct json before = { 0 }, after = { 0 };
    struct err err = { 0 };

    if (scrub_record(worker, slice_of("s"), &in, 1, &out, NULL, NULL, &err) <
        0) {
        if (out.len || !err.msg[0])
            abort();
    } else if (json_parse(&before, in.p, in.n, NULL) == 0 &&
               (json_is(&before, 0, JSON_OBJECT) ||
                json_is(&before, 0, JSON_ARRAY))) {
        /* Log probabilities of a scrubbed answer become null. */
        if (json_parse(&after, out.data, out.len, NULL) < 0 ||
            (before.count != after.count &&
             !memmem(in.p, in.n, "logprobs", 8) && !memchr(in.p, '\\', in.n)))
            abort();
    }
    json_release(&before);
    json_release(&after);
    buf_release(&out);
}

static void read_rules(struct slice in)
{
    struct scrub_rules *r = scrub_rules_new();
    struct err err = { 0 };

    if (scrub_rules_add(r, "fuzz.rules", in, &err) == 0) {
        if (scrub_rules_finish(r, &err) < 0 && !err.msg[0])
            abort();
    } else if (!err.msg[0]) {
        abort();
    }
    scrub_rules_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = mem_strndup((const char *)data, size);
    struct slice in = { copy, size };

    begin();
    scrub(in);
    (void)scrub_leaks_search(leaks, in, ignore_leak, &size, NULL);
    if (size && copy[0] == '[' && memmem(copy, size, " = ", 3))
        read_rules(in);
    free(copy);
    return 0;
}
