/*
 * half.h - numbers of 16 bits (IEEE 754 binary16, "f16") from and to floats
 *
 * In a header, as kernels are compiled once per instruction set.
 */
#ifndef HALF_H
#define HALF_H

#include <stdint.h>
#include <string.h>

static inline float half_value(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, mantissa = h & 0x3ffu, u;
    uint32_t exponent = h >> 10 & 31u;
    float x;

    if (exponent == 0) {
        x = (float)mantissa * 0x1p-24f;
        memcpy(&u, &x, sizeof(u));
        u |= sign;
    } else if (exponent == 31) {
        u = sign | 0x7f800000u | mantissa << 13;
    } else {
        u = sign | (exponent + 112) << 23 | mantissa << 13;
    }
    memcpy(&x, &u, sizeof(x));
    return x;
}

/* The nearest, ties to even; beyond the largest: infinity; a NaN stays one. */
static inline uint16_t half_bits(float x)
{
    uint32_t u, sign;

    memcpy(&u, &x, sizeof(u));
    sign = u >> 16 & 0x8000u;
    u &= 0x7fffffffu;
    if (u > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (u >> 13 & 0x3ffu));
    if (u >= 0x477ff000u)
        return (uint16_t)(sign | 0x7c00u);
    if (u < 0x38800000u) { /* below 2^-14: multiples of 2^-24 */
        memcpy(&x, &u, sizeof(x));
        x += 0.5f;
        memcpy(&u, &x, sizeof(u));
        return (uint16_t)(sign | (u - 0x3f000000u));
    }
    u += 0xfffu + (u >> 13 & 1);
    return (uint16_t)(sign | ((u - 0x38000000u) >> 13));
}

#endif
