/*
 * cuda_flat.cu - operations on n elements without rows
 *
 * Fill, copy, sums, SwiGLU and the optimizer, each as a body of cuda_flat.cuh.
 */
#include "compute/cuda/cuda_activation.cuh"
#include "compute/cuda/cuda_flat.cuh"

#include <assert.h>
#include <math.h>

template <int T> struct fill_body {
    cuda_vec<T> y;
    float value;

    template <int W> __device__ __forceinline__ void run(size_t i) const
    {
        float v[W];

#pragma unroll
        for (int j = 0; j < W; j++)
            v[j] = value;
        y.put(i, v);
    }
};

void cuda_op_fill(struct compute *c, struct compute_span y, float value,
                  size_t n)
{
    struct cuda_operand o = cuda_at(y);
    fill_body<CUDA_ANY> any = { cuda_vec_of<CUDA_ANY>(o), value };

    if (o.type == CUDA_I32 || o.type == CUDA_F64) { /* to nothing alone */
        assert(value == 0);
        (void)cuda_check(cuda_of(c),
                         cudaMemsetAsync(o.data, 0, n * cuda_type_size(o.type),
                                         cuda_of(c)->stream),
                         "fill");
        return;
    }
    flat_run(cuda_of(c), any, n, flat_width(&o, 1, 0), "fill");
}

template <int TY, int TX> struct copy_body {
    cuda_vec<TY> y;
    cuda_vec<TX> x;

    template <int W> __device__ __forceinline__ void run(size_t i) const
    {
        float v[W];

        x.get(v, i);
        y.put(i, v);
    }
};

template <int TY, int TX>
static void copy_run(struct cuda *c, const struct cuda_operand *o, size_t n)
{
    copy_body<TY, TX> body = { cuda_vec_of<TY>(o[0]), cuda_vec_of<TX>(o[1]) };

    flat_run(c, body, n, flat_width(o, 2, 0), "convert");
}

void cuda_convert(struct cuda *c, void *y, enum cuda_type to, const void *x,
                  enum cuda_type from, size_t n)
{
    struct cuda_operand o[2] = { { y, to }, { (void *)x, from } };

    if (n == 0)
        return;
    if (to == from)
        (void)cuda_check(c,
                         cudaMemcpyAsync(y, x, n * cuda_type_size(to),
                                         cudaMemcpyDeviceToDevice, c->stream),
                         "copy");
    else if (to == CUDA_BF16 && from == CUDA_F32)
        copy_run<CUDA_BF16, CUDA_F32>(c, o, n);
    else if (to == CUDA_F32 && from == CUDA_BF16)
        copy_run<CUDA_F32, CUDA_BF16>(c, o, n);
    else
        copy_run<CUDA_ANY, CUDA_ANY>(c, o, n);
}

void cuda_op_copy(struct compute *c, struct compute_span y,
                  struct compute_span x, size_t n)
{
    struct cuda_operand to = cuda_at(y), from = cuda_at(x);

    cuda_convert(cuda_of(c), to.data, to.type, from.data, from.type, n);
}

template <int TY, int TX> struct axpy_body {
    cuda_vec<TY> y;
    cuda_vec<TX> x;
    float alpha;

    template <int W> __device__ __forceinline__ void run(size_t i) const
    {
        float a[W], b[W];

        x.get(a, i);
        y.get(b, i);
#pragma unroll
        for (int j = 0; j < W; j++)
            b[j] = fmaf(alpha, a[j], b[j]);
        y.put(i, b);
    }
};

template <int TY, int TX>
static void axpy_run(struct cuda *c, const struct cuda_operand *o, float alpha,
                     size_t n)
{
    axpy_body<TY, TX> body = { cuda_vec_of<TY>(o[0]), cuda_vec_of<TX>(o[1]),
                               alpha };

    flat_run(c, body, n, flat_width(o, 2, 0), "axpy");
}

void cuda_op_axpy(struct compute *base, struct compute_span y, float alpha,
                  struct compute_span x, size_t n)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand o[2] = { cuda_at(y), cuda_at(x) };

    switch (flat_common(o, 2)) {
    case CUDA_F32: axpy_run<CUDA_F32, CUDA_F32>(c, o, alpha, n); break;
    case CUDA_BF16: axpy_run<CUDA_BF16, CUDA_BF16>(c, o, alpha, n); break;
    default: axpy_run<CUDA_ANY, CUDA_ANY>(c, o, alpha, n); break;
    }
}

template <int T> struct swiglu_body {
    cuda_vec<T> h, gate, up;

    template <int W> __device__ __forceinline__ void run(size_t i) const
    {
        float g[W], u[W];

        gate.get(g, i);
        up.get(u, i);
#pragma unroll
        for (int j = 0; j < W; j++)
            g[j] = cuda_swiglu(g[j], u[j]);
        h.put(i, g);
    }
};

template <int T>
static void swiglu_run(struct cuda *c, const struct cuda_operand *o, size_t n)
{
    swiglu_body<T> body = { cuda_vec_of<T>(o[0]), cuda_vec_of<T>(o[1]),
                            cuda_vec_of<T>(o[2]) };

    flat_run(c, body, n, flat_width(o, 3, 0), "swiglu");
}

void cuda_op_swiglu(struct compute *base, struct compute_span h,
                    struct compute_span gate, struct compute_span up, size_t n)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand o[3] = { cuda_at(h), cuda_at(gate), cuda_at(up) };

    switch (flat_common(o, 3)) {
    case CUDA_F32: swiglu_run<CUDA_F32>(c, o, n); break;
    case CUDA_BF16: swiglu_run<CUDA_BF16>(c, o, n); break;
    default: swiglu_run<CUDA_ANY>(c, o, n); break;
    }
}

/* Outputs may lie over inputs: a thread reads its elements before it writes
 * them, and nobody else touches them. */
template <int T> struct swiglu_grad_body {
    cuda_vec<T> dgate, dup, dh, gate, up;

    template <int W> __device__ __forceinline__ void run(size_t i) const
    {
        float d[W], g[W], u[W];

        dh.get(d, i);
        gate.get(g, i);
        up.get(u, i);
#pragma unroll
        for (int j = 0; j < W; j++) {
            float x = g[j], s = cuda_sigmoid(x);

            g[j] = d[j] * u[j] * s * (1.0f + x * (1.0f - s));
            u[j] = d[j] * x * s;
        }
        dup.put(i, u);
        dgate.put(i, g);
    }
};

template <int T>
static void swiglu_grad_run(struct cuda *c, const struct cuda_operand *o,
                            size_t n)
{
    swiglu_grad_body<T> body = { cuda_vec_of<T>(o[0]), cuda_vec_of<T>(o[1]),
                                 cuda_vec_of<T>(o[2]), cuda_vec_of<T>(o[3]),
                                 cuda_vec_of<T>(o[4]) };

    flat_run(c, body, n, flat_width(o, 5, 0), "swiglu_grad");
}

void cuda_op_swiglu_grad(struct compute *base, struct compute_span dgate,
                         struct compute_span dup, struct compute_span dh,
                         struct compute_span gate, struct compute_span up,
                         size_t n)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand o[5] = { cuda_at(dgate), cuda_at(dup), cuda_at(dh),
                                 cuda_at(gate), cuda_at(up) };

    switch (flat_common(o, 5)) {
    case CUDA_F32: swiglu_grad_run<CUDA_F32>(c, o, n); break;
    case CUDA_BF16: swiglu_grad_run<CUDA_BF16>(c, o, n); break;
    default: swiglu_grad_run<CUDA_ANY>(c, o, n); break;
    }
}

/* Products and sums are rounded one by one, as on the CPU: the same moments
 * give the same weights to the bit. */
struct adamw_body {
    cuda_vec<CUDA_F32> p, g, m, v;
    float not_b1, b2, not_b2, rate, c2, eps, decay, scale;
    const float *found; /* adamw_scale's; NULL: scale */

    __device__ __forceinline__ void one(float *pp, float *mp, float *vp,
                                        float gv, float by) const
    {
        gv = __fmul_rn(gv, by);
        *mp = __fadd_rn(*mp, __fmul_rn(__fsub_rn(gv, *mp), not_b1));
        *vp =
            __fadd_rn(__fmul_rn(*vp, b2), __fmul_rn(__fmul_rn(gv, gv), not_b2));
        *pp = __fmul_rn(*pp, decay);
        *pp = __fsub_rn(
            *pp, __fdiv_rn(__fmul_rn(*mp, rate),
                           __fadd_rn(__fmul_rn(__fsqrt_rn(*vp), c2), eps)));
    }

    template <int W> __device__ __forceinline__ void run(size_t i) const
    {
        float pv[W], gv[W], mv[W], vv[W], by = found ? *found : scale;

        if (found && by < 0)
            return;
        p.get(pv, i);
        g.get(gv, i);
        m.get(mv, i);
        v.get(vv, i);
#pragma unroll
        for (int j = 0; j < W; j++)
            one(&pv[j], &mv[j], &vv[j], gv[j], by);
        p.put(i, pv);
        m.put(i, mv);
        v.put(i, vv);
    }
};

/* What g is multiplied by; negative: nothing may change. */
__global__ void adamw_scale(float *out, const double *sums, size_t count,
                            double clip)
{
    double norm = sqrt(sums[0]);

    *out = (float)(norm > clip ? clip / (norm + 1e-6) : 1);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(sums[i]))
            *out = -1;
}

static const float *find_scale(struct cuda *c, const struct compute_adamw *a)
{
    float *out = NULL;

    if (cuda_scratch_begin(c, cuda_scratch_room(sizeof(*out))))
        out = (float *)cuda_scratch(c, sizeof(*out));
    if (out) {
        adamw_scale<<<1, 1, 0, c->stream>>>(out, cuda_f64(a->sums),
                                            a->sum_count, a->clip);
        cuda_launched(c, "adamw");
    }
    return out;
}

void cuda_op_adamw(struct compute *c, const struct compute_adamw *a)
{
    double t = (double)a->step;
    struct cuda_operand o[4] = { cuda_at(a->p), cuda_at(a->g), cuda_at(a->m),
                                 cuda_at(a->v) };
    adamw_body body;

    for (size_t i = 0; i < 4; i++)
        assert(o[i].type == CUDA_F32);
    body.p = cuda_vec_of<CUDA_F32>(o[0]);
    body.g = cuda_vec_of<CUDA_F32>(o[1]);
    body.m = cuda_vec_of<CUDA_F32>(o[2]);
    body.v = cuda_vec_of<CUDA_F32>(o[3]);
    body.not_b1 = (float)(1 - a->beta1);
    body.b2 = (float)a->beta2;
    body.not_b2 = (float)(1 - a->beta2);
    body.rate = (float)(a->lr / (1 - pow(a->beta1, t)));
    body.c2 = (float)(1 / sqrt(1 - pow(a->beta2, t)));
    body.eps = (float)a->eps;
    body.decay = (float)(1 - a->lr * a->decay);
    body.scale = (float)a->grad_scale;
    body.found = a->sums.buf ? find_scale(cuda_of(c), a) : NULL;
    if (a->sums.buf && !body.found)
        return;
    flat_run(cuda_of(c), body, a->n, flat_width(o, 4, 0), "adamw");
}

/* Sum of the block's values in thread 0: warps first, then warps in order. */
__device__ __forceinline__ double block_sum(double v)
{
    __shared__ double warps[CUDA_SUM_THREADS / 32];

#pragma unroll
    for (int d = 16; d > 0; d /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, d);
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = v;
    __syncthreads();
    v = 0;
    for (int w = 0; w < CUDA_SUM_THREADS / 32; w++)
        v += warps[w];
    return v;
}

template <int W, bool SQUARES>
__global__ void __launch_bounds__(CUDA_SUM_THREADS)
    pieces_kernel(double *sums, cuda_vec<CUDA_ANY> x, size_t n)
{
    size_t thread = (size_t)blockIdx.x * CUDA_SUM_THREADS + threadIdx.x;
    size_t step = (size_t)gridDim.x * CUDA_SUM_THREADS * W;
    double total = 0;

    for (size_t i = thread * W; i < n; i += step) {
        float v[W], sum = 0;

        if (i + W <= n) {
            x.get(v, i);
        } else {
#pragma unroll
            for (int j = 0; j < W; j++) {
                float one[1] = { 0 };

                if (i + j < n)
                    x.get(one, i + j);
                v[j] = one[0];
            }
        }
#pragma unroll
        for (int j = 0; j < W; j++)
            sum = SQUARES ? fmaf(v[j], v[j], sum) : sum + v[j];
        total += (double)sum;
    }
    total = block_sum(total);
    if (threadIdx.x == 0)
        sums[blockIdx.x] = total;
}

/* y is what it was, times keep (0 or 1), and the sum. */
__global__ void __launch_bounds__(CUDA_SUM_THREADS)
    total_kernel(double *y, const double *sums, size_t count, bool keep)
{
    double total = 0;

    for (size_t i = threadIdx.x; i < count; i += CUDA_SUM_THREADS)
        total += sums[i];
    total = block_sum(total);
    if (threadIdx.x == 0)
        y[0] = keep ? y[0] + total : total;
}

template <bool SQUARES>
static void pieces(struct cuda *c, double *sums, struct cuda_operand o,
                   size_t n)
{
    cuda_vec<CUDA_ANY> v = cuda_vec_of<CUDA_ANY>(o);
    unsigned blocks = (unsigned)cuda_sum_blocks(n);

    if (cuda_wide(o, 4, 4))
        pieces_kernel<4, SQUARES>
            <<<blocks, CUDA_SUM_THREADS, 0, c->stream>>>(sums, v, n);
    else
        pieces_kernel<1, SQUARES>
            <<<blocks, CUDA_SUM_THREADS, 0, c->stream>>>(sums, v, n);
    cuda_launched(c, "sum");
}

/* Into y, or where that is NULL into scratch. Where the sum is; NULL after an
 * error. */
static double *sum_up(struct cuda *c, double *y, struct cuda_operand o,
                      size_t n, bool squares)
{
    size_t blocks = cuda_sum_blocks(n);
    double *sums;

    if (!cuda_scratch_begin(c, cuda_scratch_room(blocks * sizeof(*sums))))
        return NULL;
    sums = (double *)cuda_scratch(c, blocks * sizeof(*sums));
    if (squares)
        pieces<true>(c, sums, o, n);
    else
        pieces<false>(c, sums, o, n);
    total_kernel<<<1, CUDA_SUM_THREADS, 0, c->stream>>>(y ? y : sums, sums,
                                                        blocks, y != NULL);
    cuda_launched(c, "sum");
    return y ? y : sums;
}

double cuda_op_sum_squares(struct compute *base, struct compute_span x,
                           size_t n)
{
    struct cuda *c = cuda_of(base);
    double total = 0, *sum;

    if (n == 0 || !(sum = sum_up(c, NULL, cuda_at(x), n, true)))
        return 0;
    (void)cuda_check(c,
                     cudaMemcpyAsync(&total, sum, sizeof(total),
                                     cudaMemcpyDeviceToHost, c->stream),
                     "sum_squares");
    (void)cuda_check(c, cudaStreamSynchronize(c->stream), "sum_squares");
    return c->failed == cudaSuccess ? total : 0;
}

void cuda_op_accumulate(struct compute *base, struct compute_span y,
                        struct compute_span x, size_t n, bool squares)
{
    if (n > 0)
        (void)sum_up(cuda_of(base), cuda_f64(y), cuda_at(x), n, squares);
}
