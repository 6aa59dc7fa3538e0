/* crypto_pair.c - bytes that anyone can seal and only one can open */
#include "crypto/crypto.h"

#include <sodium.h>

_Static_assert(crypto_box_PUBLICKEYBYTES == CRYPTO_KEY_BYTES &&
                   crypto_box_SECRETKEYBYTES == CRYPTO_KEY_BYTES,
               "keys of a pair are keys");

void crypto_public_of(const struct crypto_key *private_key,
                      struct crypto_key *out)
{
    (void)crypto_scalarmult_base(out->bytes, private_key->bytes);
}

void crypto_seal_to(const struct crypto_key *public_key, struct slice plain,
                    struct buf *out)
{
    size_t n = plain.n + crypto_box_SEALBYTES;
    unsigned char *p = (unsigned char *)buf_reserve(out, n);

    if (p && crypto_box_seal(p, (const unsigned char *)plain.p, plain.n,
                             public_key->bytes) == 0)
        out->len += n;
}

int crypto_unseal_with(const struct crypto_key *private_key,
                       struct slice sealed, struct buf *out, struct err *err)
{
    struct crypto_key public_key;
    unsigned char *p;

    if (sealed.n < crypto_box_SEALBYTES)
        return err_set(err, ERR_FORMAT, "sealed bytes are cut");
    p = (unsigned char *)buf_reserve(out, sealed.n);
    crypto_public_of(private_key, &public_key);
    if (!p || crypto_box_seal_open(p, (const unsigned char *)sealed.p, sealed.n,
                                   public_key.bytes, private_key->bytes) != 0)
        return err_set(err, ERR_FORMAT,
                       "sealed bytes are damaged, or sealed to another key");
    out->len += sealed.n - crypto_box_SEALBYTES;
    return ERR_OK;
}
