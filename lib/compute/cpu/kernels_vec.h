/*
 * kernels_vec.h - private: vectors of VW floats for the kernel sources
 *
 * GCC's and clang's vector extensions carry the arithmetic; intrinsics are
 * used only where the extensions have no word for it. Compiled once per
 * instruction set; the generic form needs nothing beyond the language.
 */
#ifndef KERNELS_VEC_H
#define KERNELS_VEC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* KERNELS_WIDE: a test has stand-ins for AVX-512's intrinsics. */
#if defined(__AVX512F__) || defined(KERNELS_WIDE)
#include <immintrin.h>
#define VW 16
#elif defined(__AVX2__)
#include <immintrin.h>
#define VW 8
#else
#define VW 4
#if defined(KERNELS_NEON)
#include <arm_neon.h>
#endif
#endif

#define INLINE static inline __attribute__((always_inline, unused))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

typedef float vf __attribute__((vector_size(VW * 4)));
typedef int32_t vi __attribute__((vector_size(VW * 4)));
typedef float vf_mem
    __attribute__((vector_size(VW * 4), aligned(4), may_alias));
typedef uint16_t vh_mem
    __attribute__((vector_size(VW * 2), aligned(2), may_alias));

INLINE vf v_load(const float *p)
{
    return *(const vf_mem *)p;
}

INLINE void v_store(float *p, vf x)
{
    *(vf_mem *)p = x;
}

INLINE vf v_set(float x)
{
    return x - (vf){ 0 };
}

INLINE vf v_select(vi mask, vf a, vf b)
{
    return (vf)(((vi)a & mask) | ((vi)b & ~mask));
}

#if VW == 16
INLINE vf v_load_n(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
INLINE void v_store_n(float *p, vf x, size_t n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), x);
}
INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
INLINE vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
INLINE vf v_sqrt(vf a)
{
    return _mm512_sqrt_ps(a);
}
INLINE vf v_from_f16(const void *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256(p));
}
#else
#if VW == 8
INLINE __m256i v_first(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE vf v_load_n(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, v_first(n));
}
INLINE void v_store_n(float *p, vf x, size_t n)
{
    _mm256_maskstore_ps(p, v_first(n), x);
}
#else
INLINE vf v_load_n(const float *p, size_t n)
{
    float t[VW] = { 0 };

    memcpy(t, p, n * sizeof(*t));
    return v_load(t);
}
INLINE void v_store_n(float *p, vf x, size_t n)
{
    float t[VW];

    v_store(t, x);
    memcpy(p, t, n * sizeof(*t));
}
#endif
#if VW == 8
INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
INLINE vf v_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
INLINE vf v_sqrt(vf a)
{
    return _mm256_sqrt_ps(a);
}
INLINE vf v_from_f16(const void *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128(p));
}
#elif defined(KERNELS_NEON)
INLINE vf v_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}
INLINE vf v_max(vf a, vf b)
{
    return v_select(a > b, a, b);
}
INLINE vf v_sqrt(vf a)
{
    return vsqrtq_f32(a);
}
INLINE vf v_from_f16(const void *p)
{
    uint16x4_t h;

    memcpy(&h, p, sizeof(h));
    return vcvt_f32_f16(vreinterpret_f16_u16(h));
}
#else
INLINE vf v_fma(vf a, vf b, vf c)
{
    return a * b + c;
}
INLINE vf v_max(vf a, vf b)
{
    return v_select(a > b, a, b);
}
INLINE vf v_sqrt(vf a)
{
    for (int i = 0; i < VW; i++)
        a[i] = __builtin_sqrtf(a[i]);
    return a;
}
#endif
#endif

/* acc += a b. As an instruction because gcc 12, where sums fill nearly all
 * registers, lets them wander between the turns of an unrolled loop. */
INLINE void v_fma_to(vf *acc, vf a, vf b)
{
#if defined(__x86_64__) && VW == 8
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(*acc) : "x"(a), "x"(b));
#elif defined(__x86_64__) && defined(__AVX512F__)
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(*acc) : "v"(a), "v"(b));
#else
    *acc = v_fma(a, b, *acc);
#endif
}

INLINE vf v_from_bf16(const void *p)
{
    vi wide = __builtin_convertvector(*(const vh_mem *)p, vi);

    return (vf)(wide << 16);
}

/* The lanes' sum and maximum, as a balanced tree: one order for each VW. */
INLINE float v_sum(vf x)
{
#if VW >= 8
#if VW == 16
    __m256 y = _mm256_add_ps(
        _mm512_castps512_ps256(x),
        _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)));
#else
    __m256 y = x;
#endif
    __m128 z =
        _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));

    z = _mm_add_ps(z, _mm_movehl_ps(z, z));
    return _mm_cvtss_f32(_mm_add_ss(z, _mm_movehdup_ps(z)));
#else
    float t[VW];

    v_store(t, x);
    for (int w = VW / 2; w > 0; w /= 2)
        for (int i = 0; i < w; i++)
            t[i] += t[i + w];
    return t[0];
#endif
}

INLINE float v_top(vf x)
{
    float t[VW];

    v_store(t, x);
    for (int w = VW / 2; w > 0; w /= 2)
        for (int i = 0; i < w; i++)
            t[i] = t[i] > t[i + w] ? t[i] : t[i + w];
    return t[0];
}

/* e^x: 2^n times a polynomial of degree 6 on [-ln2/2, ln2/2] (coefficients
 * of the Taylor series; error below 2 ulp). Clamped to finite results. */
INLINE vf v_exp(vf x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: rounds to integer */
    vf n, r, p;
    vi e;

    x = v_max(x, v_set(-87.3f));
    x = -v_max(-x, v_set(-88.3f));
    n = (x * 1.44269504f + magic) - magic;
    r = v_fma(n, v_set(-0.693359375f), x);
    r = v_fma(n, v_set(2.12194440e-4f), r);
    p = v_set(1.0f / 720);
    p = v_fma(p, r, v_set(1.0f / 120));
    p = v_fma(p, r, v_set(1.0f / 24));
    p = v_fma(p, r, v_set(1.0f / 6));
    p = v_fma(p, r, v_set(0.5f));
    p = v_fma(p, r, v_set(1.0f));
    p = v_fma(p, r, v_set(1.0f));
    e = __builtin_convertvector(n, vi);
    return p * (vf)((e + 127) << 23);
}

INLINE vf v_sigmoid(vf x)
{
    return 1.0f / (1.0f + v_exp(-x));
}

#endif
