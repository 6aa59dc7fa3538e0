/* fuzz_catalog.c - tables of models of arbitrary bytes */
#include "catalog/catalog.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct catalog *c = NULL;
    struct err err;

    if (!catalog_parse((struct slice){ (const char *)data, size }, "fuzz.tsv",
                       &c, &err))
        for (size_t i = 0; i < catalog_count(c); i++) {
            const struct catalog_model *m = catalog_at(c, i);

            if (!catalog_is_sized(m))
                continue;
            (void)catalog_parameters(m);
            (void)catalog_kv_bytes(m, 4096, 2);
            (void)catalog_obligation(m);
        }
    catalog_free(c);
    return 0;
}
