/* assets.c - access to the table that build/VARIANT/gen/assets.S defines */
#include "assets/assets.h"

#include <stdint.h>
#include <string.h>

extern const struct asset assets_table[];
extern const uint64_t assets_table_count;

size_t assets_count(void)
{
    return (size_t)assets_table_count;
}

const struct asset *assets_at(size_t i)
{
    return &assets_table[i];
}

const struct asset *assets_find(const char *name)
{
    for (size_t i = 0; i < assets_count(); i++)
        if (strcmp(assets_table[i].name, name) == 0)
            return &assets_table[i];
    return NULL;
}

struct slice assets_text(const struct asset *a)
{
    return (struct slice){ a->data, a->size };
}
