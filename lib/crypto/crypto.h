/*
 * crypto.h - hashes, message authentication, random bytes, key files
 *
 * The one home of libsodium. Keys are 32 random bytes and come from a file
 * outside the store, never from a command line. crypto_init comes first and
 * may be called again and again, from any thread.
 * May use: base.
 */
#ifndef CRYPTO_H
#define CRYPTO_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#define CRYPTO_KEY_BYTES 32
#define CRYPTO_HASH_BYTES 16
#define CRYPTO_SHA256_BYTES 32

struct crypto_key {
    unsigned char bytes[CRYPTO_KEY_BYTES];
};

MUST_CHECK int crypto_init(struct err *err);

/* Keyed BLAKE2b (RFC 7693) with 16 bytes of output: what names a blob. */
void crypto_keyed_hash(const struct crypto_key *key, struct slice data,
                       unsigned char out[CRYPTO_HASH_BYTES]);

/* The same over pieces: init, update..., final. */
struct crypto_hasher {
    _Alignas(64) unsigned char state[384];
};
void crypto_hasher_init(struct crypto_hasher *h, const struct crypto_key *key);
void crypto_hasher_update(struct crypto_hasher *h, struct slice data);
void crypto_hasher_final(struct crypto_hasher *h,
                         unsigned char out[CRYPTO_HASH_BYTES]);

/* HMAC-SHA256 (RFC 2104) of data. */
void crypto_hmac(const struct crypto_key *key, struct slice data,
                 unsigned char out[CRYPTO_SHA256_BYTES]);
/* The same for many texts under one key: what only the key decides is done
 * once. The state is as secret as the key. */
struct crypto_hmac_state {
    unsigned char bytes[256];
};
void crypto_hmac_begin(const struct crypto_key *key,
                       struct crypto_hmac_state *out);
void crypto_hmac_with(const struct crypto_hmac_state *s, struct slice data,
                      unsigned char out[CRYPTO_SHA256_BYTES]);
/* A key for one purpose: HMAC-SHA256(key, purpose). */
void crypto_derive(const struct crypto_key *key, const char *purpose,
                   struct crypto_key *out);
void crypto_sha256(struct slice data, unsigned char out[CRYPTO_SHA256_BYTES]);

/* Zeroed memory for secrets: locked (where the process may lock any), left
 * out of core dumps, with guard pages around it, wiped when freed. Aborts
 * where there is none. */
void *crypto_secret_new(size_t n);
void crypto_secret_free(void *p); /* NULL is fine */
/* From now on a crash of this process leaves no core file, and no other
 * process of its user reads its memory. For programs that hold keys. */
void crypto_forbid_dumps(void);

void crypto_random(void *p, size_t n);
void crypto_wipe(void *p, size_t n);
bool crypto_equal(const void *a, const void *b, size_t n); /* constant time */

/* XChaCha20-Poly1305: a random nonce, the ciphertext and its tag are appended
 * to *out. `about` is authenticated and not stored. */
#define CRYPTO_SEAL_BYTES 40 /* that the sealed form is longer */
void crypto_seal(const struct crypto_key *key, struct slice about,
                 struct slice plain, struct buf *out);
/* ERR_FORMAT: another key, or bytes that were changed. */
MUST_CHECK int crypto_unseal(const struct crypto_key *key, struct slice about,
                             struct slice sealed, struct buf *out,
                             struct err *err);

/* A pair of keys (X25519): the private one is any 32 random bytes, as a key
 * file has them. Anyone seals to the public one; nothing tells who did. */
void crypto_public_of(const struct crypto_key *private_key,
                      struct crypto_key *out);
void crypto_seal_to(const struct crypto_key *public_key, struct slice plain,
                    struct buf *out);
MUST_CHECK int crypto_unseal_with(const struct crypto_key *private_key,
                                  struct slice sealed, struct buf *out,
                                  struct err *err);

/* n bytes as 2 n lower-case digits and a NUL. */
void crypto_hex(const void *p, size_t n, char *out);
/* The reverse; false unless s is exactly 2 n digits. */
bool crypto_unhex(struct slice s, void *out, size_t n);
/* Standard base64 with padding, appended. */
void crypto_base64(struct slice data, struct buf *out);
/* The reverse, appended; false unless s is that of some bytes. */
bool crypto_unbase64(struct slice s, struct buf *out);

/* A key file: 64 hexadecimal digits and a newline. Refused if others than
 * the owner may read it; where the owner is root and someone else reads it,
 * its group may (so are credentials of systemd). create: an absent file is made
 * with a random key, mode 0600, in a directory that is there; the first of two
 * who make it at once wins and both read the same. */
MUST_CHECK int crypto_key_read(const char *path, bool create,
                               struct crypto_key *out, struct err *err);
/* Eight hexadecimal digits that name a key without telling it. */
void crypto_key_id(const struct crypto_key *key, char out[9]);

#endif
