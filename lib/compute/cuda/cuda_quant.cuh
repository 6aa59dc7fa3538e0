/*
 * cuda_quant.cuh - private to the CUDA plugin: frozen weights as blocks
 *
 * Codes lie as the CPU has them (two of 4 bits a byte; Q4_0 as in GGUF: 16
 * low halves, then 16 high ones), what scales them beside them. The values are
 * the CPU's to the bit; nothing is ever widened as a whole: few rows read codes
 * (cuda_quant_rows.cu, cuda_blocks.cu), more read panels in scratch.
 */
#ifndef CUDA_QUANT_CUH
#define CUDA_QUANT_CUH

#include "compute/cuda/cuda_private.cuh"

#define QUANT_BLOCK 64 /* of NF4 and INT8 */
#define QUANT_HALF 32  /* of Q8_0 and Q4_0 */
#define QUANT_NEST 256 /* block sizes that share a scale */
#define QUANT_F16_DIGITS 11
#define QUANT_BF16_DIGITS 8

/* What kernels see. */
struct quant_view {
    const uint8_t *codes;
    const float *sizes;     /* NULL: size = mean + small * nested */
    const int8_t *small;    /* of a block */
    const float *nested;    /* of QUANT_NEST blocks */
    const uint16_t *scales; /* of Q8_0 and Q4_0: f16 */
    float mean;
    int digits; /* NF4: bits that values are rounded to; 0: f32's */
};

struct cuda_quant {
    enum compute_quant kind;
    size_t n, k, count, blocks;
    struct quant_view view;
    void *codes, *sizes; /* the memory behind it */
    size_t codes_bytes, sizes_bytes;
};

/* The quantiles of a normal distribution, for tables. */
struct quant_table {
    float code[16];
};
struct quant_table cuda_quant_table(void);

/* y[r * cols + j] = w[at + row * ld + j], row = ids[r], or r without ids. */
struct quant_piece {
    size_t at, ld, rows, cols;
    const int32_t *ids;
};
void cuda_quant_read(struct cuda *c, struct cuda_operand y,
                     const struct cuda_quant *q, const struct quant_piece *p);

/* Linear of few rows by blocks of NF4 and INT8, without a panel: whether it
 * can be, and that. No scratch. */
bool cuda_quant_fits(const struct cuda *c, const struct compute_linear *l);
void cuda_quant_linear(struct cuda *c, const struct compute_linear *l);

/* Linear of any number of rows by blocks of Q8_0 and Q4_0: whether it is one,
 * and that, for `count` layers with the same x. */
bool cuda_blocks_fits(const struct compute_linear *l);
void cuda_blocks_linear(struct cuda *c, const struct compute_linear *l,
                        size_t count);

#ifdef __CUDACC__

__device__ __forceinline__ float quant_size(const struct quant_view &q,
                                            size_t block)
{
    if (q.sizes)
        return q.sizes[block];
    return __fadd_rn(
        q.mean, __fmul_rn((float)q.small[block], q.nested[block / QUANT_NEST]));
}

__device__ __forceinline__ float quant_half(uint16_t bits)
{
    return __half2float(__ushort_as_half(bits));
}

/* x with so many significant bits, to nearest even, as bf16 and f16 have it;
 * f16 has no smaller steps than 2^-24. */
__device__ __forceinline__ float quant_round(float x, int digits)
{
    uint32_t u, drop;
    float scale = 1;

    if (digits == QUANT_F16_DIGITS && fabsf(x) < 0x1p-14f)
        return __fmul_rn(rintf(__fmul_rn(x, 0x1p24f)), 0x1p-24f);
    if (fabsf(x) < 0x1p-126f) {
        scale = 0x1p-24f;
        x = __fmul_rn(x, 0x1p24f);
    }
    u = __float_as_uint(x);
    drop = 24 - digits;
    u += (1u << (drop - 1)) - 1 + (u >> drop & 1);
    return __fmul_rn(__uint_as_float(u & ~((1u << drop) - 1)), scale);
}

/* A table for quant_get in shared memory, in which a lane has a bank of its
 * own: [16][32]. Ends with a barrier. */
__device__ __forceinline__ void quant_spread(float *to,
                                             const struct quant_table &t)
{
    if (threadIdx.x < 32) {
#pragma unroll
        for (int i = 0; i < 16; i++) /* no index: arguments stay in place */
            to[i * 32 + threadIdx.x] = t.code[i];
    }
    __syncthreads();
}

/* W codes from element i on, as numbers; of W 8, i is a multiple of it.
 * lane: the table at this lane, of NF4 alone. */
template <int KIND, int W>
__device__ __forceinline__ void quant_codes(const struct quant_view &q,
                                            float (&v)[W], size_t i,
                                            const float *lane)
{
    static_assert(W == 1 || W == 8, "one or eight");
    if constexpr (KIND == COMPUTE_NF4 && W == 1) {
        v[0] = lane[(q.codes[i / 2] >> (i % 2 * 4) & 15) * 32];
    } else if constexpr (KIND == COMPUTE_NF4) {
        uint32_t word = *(const uint32_t *)(q.codes + i / 2);

#pragma unroll
        for (int j = 0; j < 8; j++)
            v[j] = lane[(word >> 4 * j & 15) * 32];
    } else if constexpr (KIND == COMPUTE_Q4_0) {
        size_t at = i / QUANT_HALF * 16 + i % 16;
        unsigned shift = i / 16 % 2 * 4;

        if constexpr (W == 1) {
            v[0] = (float)((int)(q.codes[at] >> shift & 15) - 8);
        } else {
            uint2 two = *(const uint2 *)(q.codes + at);

#pragma unroll
            for (int j = 0; j < 8; j++)
                v[j] = (float)((int)((j < 4 ? two.x : two.y) >>
                                         (j % 4 * 8 + shift) &
                                     15) -
                               8);
        }
    } else if constexpr (W == 1) {
        v[0] = (float)(int8_t)q.codes[i];
    } else {
        uint2 two = *(const uint2 *)(q.codes + i);

#pragma unroll
        for (int j = 0; j < 8; j++)
            v[j] = (float)(int8_t)((j < 4 ? two.x : two.y) >> j % 4 * 8);
    }
}

/* The factor of the block that element i is in. */
template <int KIND>
__device__ __forceinline__ float quant_factor(const struct quant_view &q,
                                              size_t i)
{
    if constexpr (KIND == COMPUTE_NF4 || KIND == COMPUTE_INT8)
        return quant_size(q, i / QUANT_BLOCK);
    else
        return quant_half(q.scales[i / QUANT_HALF]);
}

/* W weights from element i on. */
template <int KIND, int W>
__device__ __forceinline__ void quant_get(const struct quant_view &q,
                                          float (&v)[W], size_t i,
                                          const float *lane)
{
    float factor = quant_factor<KIND>(q, i);

    quant_codes<KIND, W>(q, v, i, lane);
#pragma unroll
    for (int j = 0; j < W; j++) {
        v[j] = __fmul_rn(v[j], factor);
        if (KIND == COMPUTE_NF4 && q.digits > 0)
            v[j] = quant_round(v[j], q.digits);
    }
}

#endif
#endif
