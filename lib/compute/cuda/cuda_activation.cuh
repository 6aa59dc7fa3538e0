/*
 * cuda_activation.cuh - private to the CUDA plugin: activation functions
 *
 * f and its derivative for whole vectors. The kind is a number that all
 * threads share, asked once for a vector and not for each element.
 */
#ifndef CUDA_ACTIVATION_CUH
#define CUDA_ACTIVATION_CUH

#include "compute/cuda/cuda_private.cuh"

#define GELU_RATE 1.5957691216f /* 2 sqrt(2/pi): tanh as a sigmoid */
#define GELU_CUBE 0.044715f

static __device__ __forceinline__ float cuda_sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static __device__ __forceinline__ float cuda_swiglu(float gate, float up)
{
    return gate * cuda_sigmoid(gate) * up;
}

/* f(x), and with *slope its derivative. K is an enum compute_activation. */
template <int K>
__device__ __forceinline__ float activation_of(float x, float *slope)
{
    float s;

    if constexpr (K == COMPUTE_SIGMOID) {
        s = cuda_sigmoid(x);
        *slope = s * (1.0f - s);
        return s;
    } else if constexpr (K == COMPUTE_SILU) {
        s = cuda_sigmoid(x);
        *slope = s * (1.0f + x * (1.0f - s));
        return x * s;
    } else if constexpr (K == COMPUTE_GELU_TANH) {
        s = cuda_sigmoid(x * (GELU_CUBE * x * x + 1.0f) * GELU_RATE);
        *slope = s + x * s * (1.0f - s) * GELU_RATE *
                         (3.0f * GELU_CUBE * x * x + 1.0f);
        return x * s;
    } else if constexpr (K == COMPUTE_RELU2) {
        s = fmaxf(x, 0.0f);
        *slope = s + s;
        return s * s;
    } else if constexpr (K == COMPUTE_GELU) {
        s = 0.5f * erfcf(x * -0.70710678f); /* the normal distribution */
        *slope = s + x * 0.39894228f * expf(-0.5f * x * x);
        return x * s;
    } else {
        *slope = 1.0f;
        return x;
    }
}

template <int K, int W>
__device__ __forceinline__ void activate_each(float (&x)[W], float (&slope)[W])
{
#pragma unroll
    for (int j = 0; j < W; j++)
        x[j] = activation_of<K>(x[j], &slope[j]);
}

/* x becomes f(x). A slope that nobody reads costs nothing. */
template <int W>
__device__ __forceinline__ void activate_vector(int kind, float (&x)[W],
                                                float (&slope)[W])
{
    switch (kind) {
    case COMPUTE_SIGMOID: activate_each<COMPUTE_SIGMOID>(x, slope); break;
    case COMPUTE_SILU: activate_each<COMPUTE_SILU>(x, slope); break;
    case COMPUTE_GELU_TANH: activate_each<COMPUTE_GELU_TANH>(x, slope); break;
    case COMPUTE_RELU2: activate_each<COMPUTE_RELU2>(x, slope); break;
    case COMPUTE_GELU: activate_each<COMPUTE_GELU>(x, slope); break;
    default: activate_each<COMPUTE_IDENTITY>(x, slope); break;
    }
}

/* cap tanh(x / cap): of bf16 without the last digits. T: a cuda_type. */
template <int T> __device__ __forceinline__ float cuda_tanh(float x)
{
    return T == CUDA_BF16 ? 1.0f - __fdividef(2.0f, __expf(2.0f * x) + 1.0f)
                          : tanhf(x);
}

#endif
