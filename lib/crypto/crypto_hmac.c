/*
 * crypto_hmac.c - HMAC-SHA256 of many short texts under one key
 *
 * What the key decides (both padded blocks) is done once. libsodium has
 * SHA-256 in plain C only; where the CPU has instructions for its rounds
 * (SHA-NI, asked by cpuid) they are used here, eight times as fast. The
 * answer is the same everywhere. For authentication of texts of any length
 * see crypto_hmac.
 */
#include "crypto/crypto.h"

#include <sodium.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#define BLOCK 64

/* In crypto_hmac_state. */
struct hmac {
    union {
        crypto_auth_hmacsha256_state sodium;
        uint32_t chain[2][8]; /* inner, outer, as the instructions want it */
    } u;
    bool fast;
};
_Static_assert(sizeof(struct hmac) <= sizeof(struct crypto_hmac_state),
               "room for the state");

#if defined(__x86_64__)

#define TARGET __attribute__((target("sha,sse4.1")))

/* FIPS 180-4, 4.2.2 */
static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
/* Words of the first state (5.3.3): f e b a, h g d c. */
static const uint32_t first_chain[8] = {
    0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667,
    0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372,
};

static bool has_instructions(void)
{
    unsigned a, b, c, d;
    bool sse =
        __get_cpuid(1, &a, &b, &c, &d) && c & bit_SSSE3 && c & bit_SSE4_1;

    return sse && __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & bit_SHA;
}

/* One block into the chain, four rounds a step. */
TARGET static void compress(uint32_t chain[8], const unsigned char *block)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i *at = (__m128i *)(void *)chain;
    __m128i abef = _mm_loadu_si128(at), cdgh = _mm_loadu_si128(at + 1);
    const __m128i abef_was = abef, cdgh_was = cdgh;
    __m128i w[4];

    for (size_t i = 0; i < 4; i++)
        w[i] = _mm_shuffle_epi8(
            _mm_loadu_si128((const __m128i *)(const void *)(block + 16 * i)),
            swap);
    for (size_t i = 0; i < 64; i += 4) {
        __m128i sum = _mm_add_epi32(
            w[0], _mm_loadu_si128(
                      (const __m128i *)(const void *)(round_constants + i)));
        __m128i next =
            _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w[0], w[1]),
                                               _mm_alignr_epi8(w[3], w[2], 4)),
                                 w[3]);

        cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
        abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
        w[0] = w[1];
        w[1] = w[2];
        w[2] = w[3];
        w[3] = next;
    }
    _mm_storeu_si128(at, _mm_add_epi32(abef, abef_was));
    _mm_storeu_si128(at + 1, _mm_add_epi32(cdgh, cdgh_was));
}

/* The rest of a message whose first block is in the chain already. */
static void finish(uint32_t chain[8], const unsigned char *p, size_t n)
{
    uint64_t bits = 8 * (BLOCK + (uint64_t)n);
    unsigned char last[2 * BLOCK] = { 0 };
    size_t end;

    for (; n >= BLOCK; p += BLOCK, n -= BLOCK)
        compress(chain, p);
    if (n)
        memcpy(last, p, n);
    last[n] = 0x80;
    end = n + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
    for (size_t i = 1; i <= 8; i++, bits >>= 8)
        last[end - i] = (unsigned char)bits;
    for (size_t i = 0; i < end; i += BLOCK)
        compress(chain, last + i);
}

static void digest(const uint32_t chain[8],
                   unsigned char out[CRYPTO_SHA256_BYTES])
{
    static const uint8_t order[8] = { 3, 2, 7, 6, 1, 0, 5, 4 };

    for (size_t i = 0; i < 8; i++) {
        uint32_t x = chain[order[i]];

        out[4 * i] = (unsigned char)(x >> 24);
        out[4 * i + 1] = (unsigned char)(x >> 16);
        out[4 * i + 2] = (unsigned char)(x >> 8);
        out[4 * i + 3] = (unsigned char)x;
    }
}

static void begin_fast(struct hmac *h, const struct crypto_key *key)
{
    static const unsigned char pad[2] = { 0x36, 0x5c };
    unsigned char block[BLOCK];

    for (int k = 0; k < 2; k++) {
        memset(block, pad[k], sizeof(block));
        for (size_t i = 0; i < sizeof(key->bytes); i++)
            block[i] ^= key->bytes[i];
        memcpy(h->u.chain[k], first_chain, sizeof(first_chain));
        compress(h->u.chain[k], block);
    }
    sodium_memzero(block, sizeof(block));
}

static void with_fast(const struct hmac *h, struct slice data,
                      unsigned char out[CRYPTO_SHA256_BYTES])
{
    uint32_t chain[8];

    memcpy(chain, h->u.chain[0], sizeof(chain));
    finish(chain, (const unsigned char *)data.p, data.n);
    digest(chain, out);
    memcpy(chain, h->u.chain[1], sizeof(chain));
    finish(chain, out, CRYPTO_SHA256_BYTES);
    digest(chain, out);
    sodium_memzero(chain, sizeof(chain));
}

#else

static bool has_instructions(void)
{
    return false;
}

static void begin_fast(struct hmac *h, const struct crypto_key *key)
{
    (void)h;
    (void)key;
}

static void with_fast(const struct hmac *h, struct slice data,
                      unsigned char out[CRYPTO_SHA256_BYTES])
{
    (void)h;
    (void)data;
    (void)out;
}

#endif

void crypto_hmac_begin(const struct crypto_key *key,
                       struct crypto_hmac_state *out)
{
    struct hmac h = { .fast = has_instructions() };

    if (h.fast)
        begin_fast(&h, key);
    else
        (void)crypto_auth_hmacsha256_init(&h.u.sodium, key->bytes,
                                          sizeof(key->bytes));
    memcpy(out->bytes, &h, sizeof(h));
    sodium_memzero(&h, sizeof(h));
}

void crypto_hmac_with(const struct crypto_hmac_state *s, struct slice data,
                      unsigned char out[CRYPTO_SHA256_BYTES])
{
    struct hmac h;

    memcpy(&h, s->bytes, sizeof(h));
    if (h.fast) {
        with_fast(&h, data, out);
    } else {
        (void)crypto_auth_hmacsha256_update(
            &h.u.sodium, (const unsigned char *)data.p, data.n);
        (void)crypto_auth_hmacsha256_final(&h.u.sodium, out);
    }
    sodium_memzero(&h, sizeof(h));
}
