/* weights_hash.c - one hash over all tensors, whatever files they lie in */
#include "weights/weights_internal.h"

#include "crypto/crypto.h"

#include <string.h>

/* The scales of a 4-bit tensor, one by one: where they lie does not count. */
static void add_scales(struct crypto_hasher *h, const struct weights_tensor *t)
{
    size_t n = (size_t)weights_elements(t);

    crypto_hasher_update(
        h, (struct slice){ (const char *)t->nf4->code, sizeof(t->nf4->code) });
    for (size_t i = 0; i < n; i += t->nf4->block) {
        float scale = weights_nf4_scale(t->nf4, i / t->nf4->block);

        crypto_hasher_update(
            h, (struct slice){ (const char *)&scale, sizeof(scale) });
    }
}

int weights_hash(const struct weights *w, char out[WEIGHTS_HASH_TEXT],
                 struct err *err)
{
    static const struct crypto_key none; /* no secret: the same everywhere */
    unsigned char digest[CRYPTO_HASH_BYTES];
    struct crypto_hasher h;
    int rc = crypto_init(err);

    if (rc < 0)
        return rc;
    crypto_hasher_init(&h, &none);
    for (size_t i = 0; i < weights_count(w); i++) {
        const struct weights_tensor *t = weights_at(w, i);
        const char *type = weights_type_name(t->type);

        crypto_hasher_update(&h,
                             (struct slice){ t->name, strlen(t->name) + 1 });
        crypto_hasher_update(&h, (struct slice){ type, strlen(type) + 1 });
        crypto_hasher_update(
            &h, (struct slice){ (const char *)t->shape, sizeof(t->shape) });
        crypto_hasher_update(&h, (struct slice){ t->data, t->bytes });
        if (t->nf4)
            add_scales(&h, t);
    }
    crypto_hasher_final(&h, digest);
    crypto_hex(digest, sizeof(digest), out);
    return ERR_OK;
}
