/* crypto_seal.c - bytes that only the holder of a key can read or make */
#include "crypto/crypto.h"

#include <sodium.h>

#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG crypto_aead_xchacha20poly1305_ietf_ABYTES

static const unsigned char *bytes_of(struct slice s)
{
    return (const unsigned char *)s.p;
}

void crypto_seal(const struct crypto_key *key, struct slice about,
                 struct slice plain, struct buf *out)
{
    unsigned char *p = (unsigned char *)buf_reserve(out, NONCE + plain.n + TAG);
    unsigned long long n = 0;

    if (!p)
        return;
    randombytes_buf(p, NONCE);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(
        p + NONCE, &n, bytes_of(plain), plain.n, bytes_of(about), about.n, NULL,
        p, key->bytes);
    out->len += NONCE + (size_t)n;
}

int crypto_unseal(const struct crypto_key *key, struct slice about,
                  struct slice sealed, struct buf *out, struct err *err)
{
    const unsigned char *p = bytes_of(sealed);
    unsigned long long n = 0;
    unsigned char *to;

    if (sealed.n < NONCE + TAG)
        return err_set(err, ERR_FORMAT, "sealed bytes are cut");
    to = (unsigned char *)buf_reserve(out, sealed.n - NONCE - TAG + 1);
    if (!to)
        return err_set(err, ERR_LIMIT, "sealed bytes are too long");
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            to, &n, NULL, p + NONCE, sealed.n - NONCE, bytes_of(about), about.n,
            p, key->bytes) != 0)
        return err_set(err, ERR_FORMAT,
                       "sealed bytes are damaged, or another key sealed them");
    out->len += (size_t)n;
    return ERR_OK;
}
