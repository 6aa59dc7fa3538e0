/*
 * scrub_address.c - the family of finders that address gives
 */
#include "scrub/scrub_priv.h"

#include "address/address.h"

struct finds {
    scrub_found_fn *found;
    void *ctx;
};

static int found_address(void *ctx, enum address_class class, size_t start,
                         size_t end, int tier)
{
    const struct finds *f = ctx;

    return f->found(f->ctx, class, start, end, tier);
}

static int find_address(void *worker, struct slice text, struct slice key,
                        scrub_found_fn *found, void *ctx, struct err *err)
{
    struct finds f = { found, ctx };

    (void)worker, (void)err;
    return address_find(text, key, found_address, &f);
}

const struct scrub_finder scrub_finder_address = {
    .name = "address",
    .classes = { [ADDRESS_STREET] = "street",
                 [ADDRESS_POSTCODE] = "postcode",
                 [ADDRESS_COORDINATES] = "coordinates" },
    .find = find_address,
};
