/* bytes.c - little-endian numbers in buffers */
#include "base/bytes.h"

#include "base/mem.h"

#include <pthread.h>
#include <string.h>

void bytes_put_u32(struct buf *b, uint32_t v)
{
    for (unsigned shift = 0; shift < 32; shift += 8)
        buf_char(b, (char)(v >> shift & 255));
}

void bytes_put_u64(struct buf *b, uint64_t v)
{
    bytes_put_u32(b, (uint32_t)v);
    bytes_put_u32(b, (uint32_t)(v >> 32));
}

void bytes_put_floats(struct buf *b, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t v;

        memcpy(&v, &x[i], 4);
        bytes_put_u32(b, v);
    }
}

const char *bytes_take(struct bytes_reader *r, size_t n)
{
    const char *p = r->rest.p;

    if (n > r->rest.n || r->bad) {
        r->bad = true;
        return NULL;
    }
    r->rest.p += n;
    r->rest.n -= n;
    return p;
}

uint32_t bytes_u32(struct bytes_reader *r)
{
    const unsigned char *c = (const unsigned char *)bytes_take(r, 4);

    return c ? (uint32_t)c[0] | (uint32_t)c[1] << 8 | (uint32_t)c[2] << 16 |
                   (uint32_t)c[3] << 24
             : 0;
}

uint64_t bytes_u64(struct bytes_reader *r)
{
    uint64_t low = bytes_u32(r);

    return low | (uint64_t)bytes_u32(r) << 32;
}

float bytes_float(struct bytes_reader *r)
{
    uint32_t v = bytes_u32(r);
    float x;

    memcpy(&x, &v, 4);
    return x;
}

float *bytes_floats(struct bytes_reader *r, size_t n)
{
    float *x;

    if (n > r->rest.n / 4)
        r->bad = true;
    if (r->bad)
        return NULL;
    x = mem_array(n, sizeof(*x));
    for (size_t i = 0; i < n; i++)
        x[i] = bytes_float(r);
    return x;
}

size_t bytes_count(struct bytes_reader *r, size_t most, size_t size)
{
    size_t n = bytes_u32(r);

    if (n > most || n > r->rest.n / size)
        r->bad = true;
    return r->bad ? 0 : n;
}

/* Reflected polynomial 0x82F63B78. Eight bytes at a time, as in Kounavis and
 * Berry, "A Systematic Approach to Building High Performance Software-based CRC
 * Generators" (2005): table k is for a byte that k more bytes follow. */
static uint32_t crc_tables[8][256];

static void make_crc_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;

        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
        crc_tables[0][i] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int i = 0; i < 256; i++) {
            uint32_t before = crc_tables[k - 1][i];

            crc_tables[k][i] = before >> 8 ^ crc_tables[0][before & 255];
        }
}

uint32_t bytes_crc32c(uint32_t seed, const void *p, size_t n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const uint32_t(*t)[256] = (const uint32_t(*)[256])crc_tables;
    const unsigned char *b = p;
    uint32_t crc = ~seed;

    (void)pthread_once(&once, make_crc_tables);
    for (; n >= 8; n -= 8, b += 8) {
        crc ^= (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
               (uint32_t)b[3] << 24;
        crc = t[7][crc & 255] ^ t[6][crc >> 8 & 255] ^ t[5][crc >> 16 & 255] ^
              t[4][crc >> 24] ^ t[3][b[4]] ^ t[2][b[5]] ^ t[1][b[6]] ^
              t[0][b[7]];
    }
    for (; n; n--, b++)
        crc = crc >> 8 ^ t[0][(crc ^ *b) & 255];
    return ~crc;
}
