/*
 * cuda_quant_out.cuh - private to the CUDA plugin: from a sum to the output,
 * for products of few rows with blocks
 *
 * Element by element, with whatever struct compute_linear has attached: there
 * are few, and the adapter's pair is read as it lies.
 */
#ifndef CUDA_QUANT_OUT_CUH
#define CUDA_QUANT_OUT_CUH

#include "compute/cuda/cuda_quant.cuh"
#include "compute/cuda/cuda_tiles.h"
#include "compute/cuda/cuda_vector.cuh"

struct quant_out {
    int m, n, k2; /* k2 0: no pair */
    float alpha;
    cuda_vec<CUDA_ANY> y, addend, x2, w2;
    const float *bias;
};

static inline struct quant_out quant_out_of(const struct compute_linear *l)
{
    struct quant_out o = {};

    o.m = (int)l->m;
    o.n = (int)l->n;
    o.k2 = l->x2.buf ? (int)l->k2 : 0;
    o.alpha = l->alpha;
    o.y = cuda_vec_of<CUDA_ANY>(cuda_at(l->y));
    o.addend = cuda_vec_of<CUDA_ANY>(cuda_at(l->addend));
    o.x2 = cuda_vec_of<CUDA_ANY>(cuda_at(l->x2));
    o.w2 = cuda_vec_of<CUDA_ANY>(cuda_at(l->w2));
    o.bias = cuda_f32(l->bias);
    return o;
}

#ifdef __CUDACC__

/* sum: of row i and column j. */
__device__ __forceinline__ void quant_finish(const struct quant_out &o, int i,
                                             int j, float sum)
{
    size_t at = (size_t)i * o.n + j;
    float v[1] = { __fmul_rn(sum, o.alpha) };

    for (int r = 0; r < o.k2; r++) {
        float x[1], w[1];

        o.x2.get(x, (size_t)i * o.k2 + r);
        o.w2.get(w, (size_t)j * o.k2 + r);
        v[0] = __fmaf_rn(x[0], w[0], v[0]);
    }
    if (o.bias)
        v[0] = __fadd_rn(v[0], o.bias[j]);
    if (o.addend.p) {
        float add[1];

        o.addend.get(add, at);
        v[0] = __fadd_rn(v[0], add[0]);
    }
    o.y.put(at, v);
}

#endif
#endif
