/*
 * cuda_vector.cuh - private to the CUDA plugin: operands as vectors of floats
 *
 * Kernels compute in f32 and see an operand through struct cuda_vec, which
 * loads and stores W elements at once. Its type is fixed at compile time where
 * that pays (all f32, all bf16, the residual stream's mixtures) and looked at
 * while running elsewhere (CUDA_ANY).
 */
#ifndef CUDA_VECTOR_CUH
#define CUDA_VECTOR_CUH

#include "compute/cuda/cuda_private.cuh"

#define CUDA_ANY (-1)

template <int T> struct cuda_vec {
    char *p;
    int type;

    __device__ __forceinline__ int kind() const
    {
        return T == CUDA_ANY ? type : T;
    }

    /* Elements i..i+W-1; W > 1 needs p + i aligned to min(16, W * size). */
    template <int W>
    __device__ __forceinline__ void get(float (&v)[W], size_t i) const;
    template <int W>
    __device__ __forceinline__ void put(size_t i, const float (&v)[W]) const;
};

template <int T> static inline cuda_vec<T> cuda_vec_of(struct cuda_operand o)
{
    cuda_vec<T> v = { (char *)o.data, (int)o.type };

    return v;
}

__device__ __forceinline__ float cuda_low(uint32_t pair, int kind)
{
    return kind == CUDA_BF16
               ? __uint_as_float(pair << 16)
               : __half2float(__ushort_as_half((unsigned short)pair));
}

__device__ __forceinline__ float cuda_high(uint32_t pair, int kind)
{
    return kind == CUDA_BF16
               ? __uint_as_float(pair & 0xffff0000u)
               : __half2float(__ushort_as_half((unsigned short)(pair >> 16)));
}

/* Rounded to nearest even. */
__device__ __forceinline__ uint32_t cuda_half_bits(float x, int kind)
{
    return kind == CUDA_BF16 ? __bfloat16_as_ushort(__float2bfloat16_rn(x))
                             : __half_as_ushort(__float2half_rn(x));
}

__device__ __forceinline__ uint32_t cuda_pair(float low, float high, int kind)
{
    return cuda_half_bits(low, kind) | cuda_half_bits(high, kind) << 16;
}

template <int W>
__device__ __forceinline__ void cuda_get_wide(float (&v)[W], const float *p)
{
    if constexpr (W == 1) {
        v[0] = *p;
    } else {
#pragma unroll
        for (int j = 0; j < W; j += 4) {
            float4 x = *(const float4 *)(p + j);

            v[j] = x.x;
            v[j + 1] = x.y;
            v[j + 2] = x.z;
            v[j + 3] = x.w;
        }
    }
}

template <int W>
__device__ __forceinline__ void cuda_put_wide(float *p, const float (&v)[W])
{
    if constexpr (W == 1) {
        *p = v[0];
    } else {
#pragma unroll
        for (int j = 0; j < W; j += 4)
            *(float4 *)(p + j) =
                make_float4(v[j], v[j + 1], v[j + 2], v[j + 3]);
    }
}

template <int W>
__device__ __forceinline__ void cuda_get_half(float (&v)[W], const uint16_t *p,
                                              int kind)
{
    if constexpr (W == 1) {
        v[0] = cuda_low(*p, kind);
    } else {
        alignas(16) uint32_t bits[W / 2];

        if constexpr (W == 8)
            *(uint4 *)bits = *(const uint4 *)p;
        else
            *(uint2 *)bits = *(const uint2 *)p;
#pragma unroll
        for (int j = 0; j < W; j += 2) {
            v[j] = cuda_low(bits[j / 2], kind);
            v[j + 1] = cuda_high(bits[j / 2], kind);
        }
    }
}

template <int W>
__device__ __forceinline__ void cuda_put_half(uint16_t *p, const float (&v)[W],
                                              int kind)
{
    if constexpr (W == 1) {
        *p = (uint16_t)cuda_half_bits(v[0], kind);
    } else {
        alignas(16) uint32_t bits[W / 2];

#pragma unroll
        for (int j = 0; j < W; j += 2)
            bits[j / 2] = cuda_pair(v[j], v[j + 1], kind);
        if constexpr (W == 8)
            *(uint4 *)p = *(const uint4 *)bits;
        else
            *(uint2 *)p = *(const uint2 *)bits;
    }
}

template <int T>
template <int W>
__device__ __forceinline__ void cuda_vec<T>::get(float (&v)[W], size_t i) const
{
    static_assert(W == 1 || W == 4 || W == 8, "vector width");
    if (kind() == CUDA_F32)
        cuda_get_wide<W>(v, (const float *)p + i);
    else
        cuda_get_half<W>(v, (const uint16_t *)p + i, kind());
}

template <int T>
template <int W>
__device__ __forceinline__ void cuda_vec<T>::put(size_t i,
                                                 const float (&v)[W]) const
{
    if (kind() == CUDA_F32)
        cuda_put_wide<W>((float *)p + i, v);
    else
        cuda_put_half<W>((uint16_t *)p + i, v, kind());
}

/* Whether rows of `dim` elements that start at o may be read W at a time. */
static inline bool cuda_wide(struct cuda_operand o, size_t dim, size_t w)
{
    size_t bytes = w * cuda_type_size(o.type);

    return !o.data ||
           (dim % w == 0 && (uintptr_t)o.data % (bytes < 16 ? bytes : 16) == 0);
}

/* Where G threads have a row each: a block's threads and rows. */
template <int G> struct cuda_group {
    static const int threads = G < 128 ? 128 : G;
    static const int rows = threads / G;
};

/* Sums over a group of G threads of a block, each getting the total; the
 * order depends on G alone. memory: a float for each warp of the block. */
__device__ __forceinline__ float cuda_sum_warp(float v)
{
#pragma unroll
    for (int d = 16; d > 0; d /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, d);
    return v;
}

template <int G>
__device__ __forceinline__ float cuda_sum_group(float v, float *memory)
{
    v = cuda_sum_warp(v);
    if (G == 32)
        return v;
    __syncthreads(); /* the last sum has been read */
    if (threadIdx.x % 32 == 0)
        memory[threadIdx.x / 32] = v;
    __syncthreads();
    v = 0;
#pragma unroll
    for (int w = 0; w < G / 32; w++)
        v += memory[w];
    return v;
}

#endif
