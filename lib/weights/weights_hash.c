/* weights_hash.c - one hash over all tensors, whatever files they lie in */
#include "weights/weights.h"

#include "crypto/crypto.h"

#include <string.h>

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
    }
    crypto_hasher_final(&h, digest);
    crypto_hex(digest, sizeof(digest), out);
    return ERR_OK;
}
