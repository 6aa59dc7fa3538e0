/* fuzz_rules.c - rule files of arbitrary bytes */
#include "scrub/scrub.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *ctx, const char *rule, const char *example,
                   const char *why)
{
    (void)ctx;
    (void)rule;
    (void)example;
    (void)why;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scrub_rules *r = scrub_rules_new();
    struct slice text = { (const char *)data, size };
    struct err err;
    size_t examples;

    if (!scrub_rules_add(r, "fuzz.rules", text, &err) &&
        !scrub_rules_finish(r, &err))
        (void)scrub_rules_check(r, &examples, ignore, NULL);
    scrub_rules_free(r);
    return 0;
}
