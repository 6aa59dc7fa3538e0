/* crypto.c - libsodium behind the project's names and error codes */
#include "crypto/crypto.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

int crypto_init(struct err *err)
{
    if (sodium_init() < 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "libsodium found no source of random bytes");
    return ERR_OK;
}

static const unsigned char *bytes_of(struct slice s)
{
    return (const unsigned char *)s.p;
}

void crypto_keyed_hash(const struct crypto_key *key, struct slice data,
                       unsigned char out[CRYPTO_HASH_BYTES])
{
    int rc = crypto_generichash(out, CRYPTO_HASH_BYTES, bytes_of(data), data.n,
                                key->bytes, sizeof(key->bytes));

    assert(rc == 0);
    (void)rc;
}

_Static_assert(sizeof(struct crypto_hasher) >= sizeof(crypto_generichash_state),
               "room for libsodium's state");

static crypto_generichash_state *state_of(struct crypto_hasher *h)
{
    return (crypto_generichash_state *)(void *)h->state;
}

void crypto_hasher_init(struct crypto_hasher *h, const struct crypto_key *key)
{
    (void)crypto_generichash_init(state_of(h), key->bytes, sizeof(key->bytes),
                                  CRYPTO_HASH_BYTES);
}

void crypto_hasher_update(struct crypto_hasher *h, struct slice data)
{
    (void)crypto_generichash_update(state_of(h), bytes_of(data), data.n);
}

void crypto_hasher_final(struct crypto_hasher *h,
                         unsigned char out[CRYPTO_HASH_BYTES])
{
    (void)crypto_generichash_final(state_of(h), out, CRYPTO_HASH_BYTES);
}

void crypto_hmac(const struct crypto_key *key, struct slice data,
                 unsigned char out[CRYPTO_SHA256_BYTES])
{
    (void)crypto_auth_hmacsha256(out, bytes_of(data), data.n, key->bytes);
}

void crypto_derive(const struct crypto_key *key, const char *purpose,
                   struct crypto_key *out)
{
    unsigned char mac[CRYPTO_SHA256_BYTES];

    crypto_hmac(key, slice_of(purpose), mac);
    memcpy(out->bytes, mac, sizeof(out->bytes));
    sodium_memzero(mac, sizeof(mac));
}

void crypto_sha256(struct slice data, unsigned char out[CRYPTO_SHA256_BYTES])
{
    (void)crypto_hash_sha256(out, bytes_of(data), data.n);
}

void crypto_random(void *p, size_t n)
{
    randombytes_buf(p, n);
}

void crypto_wipe(void *p, size_t n)
{
    sodium_memzero(p, n);
}

bool crypto_equal(const void *a, const void *b, size_t n)
{
    return sodium_memcmp(a, b, n) == 0;
}

void crypto_hex(const void *p, size_t n, char *out)
{
    (void)sodium_bin2hex(out, 2 * n + 1, p, n);
}

bool crypto_unhex(struct slice s, void *out, size_t n)
{
    size_t used = 0;

    return s.n == 2 * n &&
           sodium_hex2bin(out, n, s.p, s.n, NULL, &used, NULL) == 0 &&
           used == n;
}

void crypto_base64(struct slice data, struct buf *out)
{
    size_t room =
        sodium_base64_encoded_len(data.n, sodium_base64_VARIANT_ORIGINAL);
    char *to = buf_reserve(out, room);

    if (!to)
        return;
    (void)sodium_bin2base64(to, room, bytes_of(data), data.n,
                            sodium_base64_VARIANT_ORIGINAL);
    out->len += room - 1; /* room counts the NUL */
}

bool crypto_unbase64(struct slice s, struct buf *out)
{
    size_t room = s.n / 4 * 3 + 1, n = 0;
    char *to = buf_reserve(out, room);

    if (!to || sodium_base642bin((unsigned char *)to, room, s.p, s.n, NULL, &n,
                                 NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
        return false;
    out->len += n;
    return true;
}

void crypto_key_id(const struct crypto_key *key, char out[9])
{
    unsigned char mac[CRYPTO_SHA256_BYTES];

    crypto_hmac(key, slice_of("slmctl key id"), mac);
    crypto_hex(mac, 4, out);
}
