/* bytes.c - little-endian numbers in buffers */
#include "base/bytes.h"

#include "base/mem.h"

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

/* Reflected polynomial 0x82F63B78, four bits at a time: small and fast enough
 * for what is written to a disk anyway. */
uint32_t bytes_crc32c(uint32_t seed, const void *p, size_t n)
{
    static const uint32_t nibble[16] = {
        0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3,
        0x61C69362, 0x7198540D, 0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9,
        0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
    };
    const unsigned char *bytes = p;
    uint32_t crc = ~seed;

    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ nibble[crc & 15];
        crc = crc >> 4 ^ nibble[crc & 15];
    }
    return ~crc;
}
