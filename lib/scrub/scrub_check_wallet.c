/*
 * scrub_check_wallet.c - checksums of addresses and keys of cryptocurrencies
 *
 * base58check (double SHA-256), bech32 and bech32m (BIP-173, BIP-350), mixed
 * case of Ethereum (EIP-55, Keccak-256 with its own padding), and how to make
 * each valid again after its characters were drawn anew. Which coin a first
 * letter stands for is for rules.
 */
#include "scrub/scrub_priv.h"

#include <string.h>

#define B58_BYTES 96 /* an extended key has 82 */
#define B58_CHARS 128
#define BECH32_CONST 1u
#define BECH32M_CONST 0x2BC830A3u
#define BECH32_CHECK 6

static const char base58[] =
    "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
static const char charset32[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/* Big-endian bytes of a base 58 text; 0 if it is none or too long. */
static size_t unbase58(struct slice v, unsigned char out[B58_BYTES])
{
    unsigned char b[B58_BYTES] = { 0 }; /* little-endian */
    size_t n = 0, zeros = 0;

    if (v.n > B58_CHARS)
        return 0;
    while (zeros < v.n && v.p[zeros] == '1')
        zeros++;
    for (size_t i = zeros; i < v.n; i++) {
        const char *at = v.p[i] ? strchr(base58, v.p[i]) : NULL;
        unsigned carry = at ? (unsigned)(at - base58) : 0;

        if (!at)
            return 0;
        for (size_t k = 0; k < n; k++) {
            carry += 58u * b[k];
            b[k] = (unsigned char)(carry & 0xFF);
            carry >>= 8;
        }
        if (carry && n == B58_BYTES)
            return 0;
        if (carry)
            b[n++] = (unsigned char)carry;
    }
    if (zeros + n > B58_BYTES)
        return 0;
    memset(out, 0, zeros);
    for (size_t k = 0; k < n; k++)
        out[zeros + k] = b[n - 1 - k];
    return zeros + n;
}

/* Returns the length of the text, at most B58_CHARS + 8. */
static size_t to_base58(const unsigned char *p, size_t n, char *out)
{
    unsigned char digits[B58_CHARS + 8] = { 0 };
    size_t count = 0, zeros = 0;

    while (zeros < n && !p[zeros])
        zeros++;
    for (size_t i = zeros; i < n; i++) {
        unsigned carry = p[i];

        for (size_t k = 0; k < count; k++) {
            carry += (unsigned)digits[k] << 8;
            digits[k] = (unsigned char)(carry % 58);
            carry /= 58;
        }
        for (; carry; carry /= 58)
            digits[count++] = (unsigned char)(carry % 58);
    }
    memset(out, '1', zeros);
    for (size_t k = 0; k < count; k++)
        out[zeros + k] = base58[digits[count - 1 - k]];
    return zeros + count;
}

static void double_sha256(const unsigned char *p, size_t n,
                          unsigned char out[CRYPTO_SHA256_BYTES])
{
    unsigned char once[CRYPTO_SHA256_BYTES];

    crypto_sha256((struct slice){ (const char *)p, n }, once);
    crypto_sha256((struct slice){ (const char *)once, sizeof(once) }, out);
}

static bool check_base58check(struct slice v)
{
    unsigned char b[B58_BYTES], hash[CRYPTO_SHA256_BYTES];
    size_t n = unbase58(v, b);

    if (n < 5)
        return false;
    double_sha256(b, n - 4, hash);
    return memcmp(hash, b + n - 4, 4) == 0;
}

struct base58_kind {
    char first;
    unsigned char version, payload; /* bytes, the version counted */
    size_t min, max;                /* characters */
};

/* Addresses of Bitcoin, Litecoin, Dogecoin, Tron, Zcash, Dash and of the test
 * network, and private keys in the import format (0x80). */
static const struct base58_kind *base58_kind(const char *p, size_t n)
{
    static const struct base58_kind kinds[] = {
        { '5', 0x80, 33, 51, 51 }, { 'K', 0x80, 34, 52, 52 },
        { 'L', 0x80, 34, 52, 52 }, { '1', 0x00, 21, 25, 34 },
        { '3', 0x05, 21, 33, 35 }, { 'L', 0x30, 21, 33, 34 },
        { 'M', 0x32, 21, 33, 34 }, { 'D', 0x1E, 21, 33, 34 },
        { 'T', 0x41, 21, 34, 34 }, { 't', 0x1C, 22, 35, 35 },
        { 'X', 0x4C, 21, 33, 34 }, { 'm', 0x6F, 21, 33, 34 },
        { 'n', 0x6F, 21, 33, 34 }, { '2', 0xC4, 21, 34, 35 },
    };

    for (size_t i = 0; n && i < sizeof(kinds) / sizeof(*kinds); i++)
        if (p[0] == kinds[i].first && n >= kinds[i].min && n <= kinds[i].max)
            return &kinds[i];
    return NULL;
}

/* Drawn characters seed a payload; the first whose text has the length and
 * the first letter of before stands. */
static void complete_base58check(char *value, size_t n)
{
    const struct base58_kind *kind = base58_kind(value, n);
    unsigned char b[64], hash[CRYPTO_SHA256_BYTES];
    char text[B58_CHARS + 8];

    for (unsigned again = 0; kind && again < 4096; again++) {
        struct buf seed = { 0 };
        size_t size = kind->payload;

        buf_printf(&seed, "%u ", again);
        buf_add(&seed, value, n);
        crypto_sha256(buf_slice(&seed), hash);
        buf_release(&seed);
        b[0] = kind->version;
        memcpy(b + 1, hash, sizeof(hash));
        if (kind->version == 0) /* a short one begins with more zeros */
            memset(b + 1, 0, again / 512);
        if (kind->version == 0x1C)
            b[1] = 0xB8;
        if (size == 34) /* the public key is compressed */
            b[33] = 1;
        double_sha256(b, size, hash);
        memcpy(b + size, hash, 4);
        if (to_base58(b, size + 4, text) == n && text[0] == value[0]) {
            memcpy(value, text, n);
            return;
        }
    }
}

static uint32_t polymod(uint32_t chk, unsigned value)
{
    static const uint32_t generator[] = { 0x3B6A57B2u, 0x26508E6Du, 0x1EA119FAu,
                                          0x3D4233DDu, 0x2A1462B3u };
    uint32_t top = chk >> 25;

    chk = (chk & 0x1FFFFFFu) << 5 ^ value;
    for (unsigned i = 0; i < 5; i++)
        if (top >> i & 1)
            chk ^= generator[i];
    return chk;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* The human-readable part, into the checksum; its length is up to the last
 * '1'. 0 if there is none. */
static size_t bech32_prefix(const char *p, size_t n, uint32_t *chk)
{
    size_t sep = n;

    while (sep && p[sep - 1] != '1')
        sep--;
    if (sep < 2 || n - sep < BECH32_CHECK)
        return 0;
    *chk = 1;
    for (size_t i = 0; i + 1 < sep; i++)
        *chk = polymod(*chk, (unsigned char)lower(p[i]) >> 5);
    *chk = polymod(*chk, 0);
    for (size_t i = 0; i + 1 < sep; i++)
        *chk = polymod(*chk, lower(p[i]) & 31);
    return sep;
}

static bool one_case(struct slice v)
{
    bool low = false, high = false;

    for (size_t i = 0; i < v.n; i++) {
        low |= v.p[i] >= 'a' && v.p[i] <= 'z';
        high |= v.p[i] >= 'A' && v.p[i] <= 'Z';
    }
    return !(low && high);
}

/* The rest that the checksum leaves: BECH32_CONST, BECH32M_CONST, or 0 for
 * what is neither. */
static uint32_t bech32_rest(struct slice v, size_t *data)
{
    uint32_t chk = 0;

    *data = v.n <= 1023 && one_case(v) ? bech32_prefix(v.p, v.n, &chk) : 0;
    if (!*data)
        return 0;
    for (size_t i = *data; i < v.n; i++) {
        const char *at = v.p[i] ? strchr(charset32, lower(v.p[i])) : NULL;

        if (!at)
            return 0;
        chk = polymod(chk, (unsigned)(at - charset32));
    }
    return chk == BECH32_CONST || chk == BECH32M_CONST ? chk : 0;
}

static bool check_bech32(struct slice v)
{
    size_t data;

    return bech32_rest(v, &data) != 0;
}

/* A witness program of version 0 has 20 or 32 bytes and bech32, a later one
 * 2 to 40 and bech32m; the bits that fill the last character are zero. */
static bool check_segwit(struct slice v)
{
    size_t data;
    uint32_t rest = bech32_rest(v, &data);
    size_t groups, bytes;
    unsigned version, fill, last;

    if (!rest || v.n > 90 || v.n < data + BECH32_CHECK + 2)
        return false;
    groups = v.n - data - BECH32_CHECK - 1;
    bytes = groups * 5 / 8;
    fill = (unsigned)(groups * 5 % 8);
    version = (unsigned)(strchr(charset32, lower(v.p[data])) - charset32);
    last = (unsigned)(strchr(charset32, lower(v.p[data + groups])) - charset32);
    if (version > 16 || fill > 4 || last & ((1u << fill) - 1))
        return false;
    if (version == 0)
        return rest == BECH32_CONST && (bytes == 20 || bytes == 32);
    return rest == BECH32M_CONST && bytes >= 2 && bytes <= 40;
}

/* Drawn characters become ones of the alphabet; a witness version keeps. */
static void complete_bech(char *value, size_t n, bool segwit)
{
    uint32_t chk = 0, want = BECH32_CONST;
    size_t data = bech32_prefix(value, n, &chk), end = n - BECH32_CHECK;

    if (!data)
        return;
    if (segwit && data < end && lower(value[data]) != 'q')
        want = BECH32M_CONST;
    for (size_t i = data; i < end; i++) {
        char c = lower(value[i]);
        const char *at = strchr(charset32, c);
        unsigned x = at ? (unsigned)(at - charset32) : (unsigned char)c & 31;
        unsigned fill = (unsigned)((end - data - 1) * 5 % 8);

        if (segwit && i + 1 == end && i > data)
            x &= ~((1u << fill) - 1) & 31;
        value[i] = charset32[x];
        chk = polymod(chk, x);
    }
    for (size_t i = 0; i < BECH32_CHECK; i++)
        chk = polymod(chk, 0);
    chk ^= want;
    for (size_t i = 0; i < BECH32_CHECK; i++)
        value[end + i] = charset32[chk >> (5 * (5 - i)) & 31];
}

static void complete_bech32(char *value, size_t n)
{
    complete_bech(value, n, false);
}

static void complete_segwit(char *value, size_t n)
{
    complete_bech(value, n, true);
}

static uint64_t rotate(uint64_t x, unsigned n)
{
    return n ? x << n | x >> (64 - n) : x;
}

/* Theta, rho, pi and chi of one round of Keccak-f[1600] (FIPS 202, 3.2). */
static void keccak_round(uint64_t a[25])
{
    static const uint8_t turn[25] = { 0,  1, 62, 28, 27, 36, 44, 6,  55,
                                      20, 3, 10, 43, 25, 39, 41, 45, 15,
                                      21, 8, 18, 2,  61, 56, 14 };
    uint64_t c[5], b[25];

    for (unsigned x = 0; x < 5; x++)
        c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
    for (unsigned i = 0; i < 25; i++)
        a[i] ^= c[(i + 4) % 5] ^ rotate(c[(i + 1) % 5], 1);
    for (unsigned x = 0; x < 5; x++)
        for (unsigned y = 0; y < 5; y++)
            b[y + 5 * ((2 * x + 3 * y) % 5)] =
                rotate(a[x + 5 * y], turn[x + 5 * y]);
    for (unsigned x = 0; x < 5; x++)
        for (unsigned y = 0; y < 25; y += 5)
            a[x + y] = b[x + y] ^ (~b[(x + 1) % 5 + y] & b[(x + 2) % 5 + y]);
}

static void keccak_f(uint64_t a[25])
{
    uint8_t lfsr = 1;

    for (int round = 0; round < 24; round++) {
        keccak_round(a);
        for (unsigned j = 0; j < 7; j++) { /* iota: bits of an LFSR */
            if (lfsr & 1)
                a[0] ^= UINT64_C(1) << ((1u << j) - 1);
            lfsr = (uint8_t)(lfsr << 1 ^ (lfsr & 0x80 ? 0x71 : 0));
        }
    }
}

/* Keccak-256 of at most 135 bytes, with the padding of 2011 (one bit, not the
 * three of SHA-3). */
static void keccak256(const char *p, size_t n, unsigned char out[32])
{
    unsigned char block[136] = { 0 };
    uint64_t a[25] = { 0 };

    memcpy(block, p, n);
    block[n] = 0x01;
    block[135] |= 0x80;
    for (size_t i = 0; i < sizeof(block); i++)
        a[i / 8] ^= (uint64_t)block[i] << (8 * (i % 8));
    keccak_f(a);
    for (size_t i = 0; i < 32; i++)
        out[i] = (unsigned char)(a[i / 8] >> (8 * (i % 8)));
}

void scrub_eip55(const char hex[40], char out[40])
{
    unsigned char hash[32];

    for (size_t i = 0; i < 40; i++)
        out[i] = lower(hex[i]);
    keccak256(out, 40, hash);
    for (size_t i = 0; i < 40; i++)
        if (out[i] >= 'a' && hash[i / 2] >> (i % 2 ? 0 : 4) & 8)
            out[i] = (char)(out[i] & ~0x20);
}

/* "0x" and 40 digits; letters of one case have no checksum to fail, and none
 * to pass. */
static bool check_eip55(struct slice v)
{
    char want[40];

    if (v.n != 42 || one_case((struct slice){ v.p + 2, 40 }))
        return false;
    scrub_eip55(v.p + 2, want);
    return memcmp(want, v.p + 2, 40) == 0;
}

scrub_check_fn *scrub_check_find_wallet(const char *name)
{
    static const struct {
        const char *name;
        scrub_check_fn *check;
    } table[] = {
        { "base58check", check_base58check },
        { "bech32", check_bech32 },
        { "segwit", check_segwit },
        { "eip55", check_eip55 },
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].check;
    return NULL;
}

scrub_complete_fn *scrub_complete_find_wallet(const char *name)
{
    if (strcmp(name, "base58check") == 0)
        return complete_base58check;
    if (strcmp(name, "bech32") == 0)
        return complete_bech32;
    return strcmp(name, "segwit") == 0 ? complete_segwit : NULL;
}
