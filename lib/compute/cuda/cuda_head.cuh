/*
 * cuda_head.cuh - private to the CUDA plugin: a linear head, piece by piece
 *
 * Logits exist for a piece of the rows at a time, in the type of activations,
 * and become their own gradient in place. Kernels between forward and grad
 * know of a row of logits only.
 */
#ifndef CUDA_HEAD_CUH
#define CUDA_HEAD_CUH

#include "compute/cuda/cuda_activation.cuh"
#include "compute/cuda/cuda_reduce.h"
#include "compute/cuda/cuda_vector.cuh"

#define HEAD_THREADS 512 /* of the block that has a row */

/* What one call works with. in: the type of products and logits. Rows of
 * logits are `stride` elements apart and start on 128 bytes. */
struct cuda_head {
    const struct compute_cross_entropy *x;
    enum cuda_type in;
    bool exact;
    struct cuda_operand input, weights, dx;
    void *logits, *wide_input, *wide_weights; /* scratch; NULL: none */
    float *sums;                              /* scratch for dbias */
    bool convert_input, convert_weights;
    size_t stride, step; /* step: rows of a piece */
};

/* All but scratch. heads: how many have their logits at the same time. */
void cuda_head_plan(const struct cuda *c, struct cuda_head *h,
                    const struct compute_cross_entropy *x, size_t heads);
/* Bytes of what take takes, and of what a product of any piece wants after
 * that: of several heads, the largest is enough. */
size_t cuda_head_want(const struct cuda_head *h);
size_t cuda_head_products(const struct cuda *c, const struct cuda_head *h);
/* Takes scratch and converts the weights. */
void cuda_head_take(struct cuda *c, struct cuda_head *h);
/* Logits of rows at.. of the input, with the bias; softcap is not applied. */
void cuda_head_forward(struct cuda *c, const struct cuda_head *h, size_t at,
                       size_t rows);
/* dx, and parts of dw and dbias, from gradients where the logits were. What
 * lies behind the vocabulary is zero. */
void cuda_head_grad(struct cuda *c, const struct cuda_head *h, size_t at,
                    size_t rows);

/* bf16 logits do not deserve the exact exponential. */
template <int T> __device__ __forceinline__ float head_exp(float x)
{
    return T == CUDA_BF16 ? __expf(x) : expf(x);
}

/* v becomes cap tanh(v / cap), slope the derivative. */
template <int T, int W>
__device__ __forceinline__ void head_cap(float (&v)[W], float (&slope)[W],
                                         float cap)
{
#pragma unroll
    for (int j = 0; j < W; j++) {
        float t = cuda_tanh<T>(v[j] / cap);

        v[j] = cap * t;
        slope[j] = 1.0f - t * t;
    }
}

/* A maximum and the sum of exp(x - maximum). */
struct head_softmax {
    float top, sum;
};

template <int T>
__device__ __forceinline__ void head_softmax_add(struct head_softmax *a,
                                                 float top, float sum)
{
    float most = fmaxf(a->top, top);

    if (most == -INFINITY)
        return;
    a->sum =
        a->sum * head_exp<T>(a->top - most) + sum * head_exp<T>(top - most);
    a->top = most;
}

template <int T, int W>
__device__ __forceinline__ void head_softmax_vector(struct head_softmax *a,
                                                    const float (&v)[W])
{
    float most = a->top, sum = 0;

#pragma unroll
    for (int j = 0; j < W; j++)
        most = fmaxf(most, v[j]);
    if (most == -INFINITY)
        return;
#pragma unroll
    for (int j = 0; j < W; j++)
        sum += head_exp<T>(v[j] - most);
    a->sum = a->sum * head_exp<T>(a->top - most) + sum;
    a->top = most;
}

/* The block's, the same in every thread: lane 0 of each warp has its warp's,
 * and these are added in order. Also a barrier. */
template <int T>
__device__ __forceinline__ void head_softmax_block(struct head_softmax *a)
{
    __shared__ struct head_softmax warps[HEAD_THREADS / 32];

#pragma unroll
    for (int d = 16; d > 0; d /= 2) {
        float top = __shfl_xor_sync(0xffffffffu, a->top, d);
        float sum = __shfl_xor_sync(0xffffffffu, a->sum, d);

        head_softmax_add<T>(a, top, sum);
    }
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = *a;
    __syncthreads();
    *a = warps[0];
    for (int w = 1; w < HEAD_THREADS / 32; w++)
        head_softmax_add<T>(a, warps[w].top, warps[w].sum);
}

#endif
