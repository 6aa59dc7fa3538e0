/*
 * cuda_loss.cu - cross entropy behind the head, and the best token
 *
 * Logits exist for a piece of the rows at a time, in the type of activations,
 * and become their own gradient in place. A block has a row: one pass finds
 * maximum and sum together, the second writes. Everything between is f32.
 */
#include "compute/cuda/cuda_reduce.h"
#include "compute/cuda/cuda_vector.cuh"

#include <assert.h>

#define LOSS_THREADS 512
#define BEST_THREADS 1024
#define NOBODY 0x7fffffff

/* bf16 logits do not deserve the exact exponential. */
template <int T> __device__ __forceinline__ float exponential(float x)
{
    return T == CUDA_BF16 ? __expf(x) : expf(x);
}

/* A maximum and the sum of exp(x - maximum). */
struct softmax {
    float top, sum;
};

template <int T>
__device__ __forceinline__ void softmax_add(struct softmax *a, float top,
                                            float sum)
{
    float most = fmaxf(a->top, top);

    if (most == -INFINITY)
        return;
    a->sum = a->sum * exponential<T>(a->top - most) +
             sum * exponential<T>(top - most);
    a->top = most;
}

template <int T, int W>
__device__ __forceinline__ void softmax_vector(struct softmax *a,
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
        sum += exponential<T>(v[j] - most);
    a->sum = a->sum * exponential<T>(a->top - most) + sum;
    a->top = most;
}

/* The block's, the same in every thread: lane 0 of each warp has its warp's,
 * and these are added in order. Also a barrier. */
template <int T>
__device__ __forceinline__ void softmax_block(struct softmax *a)
{
    __shared__ struct softmax warps[LOSS_THREADS / 32];

#pragma unroll
    for (int d = 16; d > 0; d /= 2) {
        float top = __shfl_xor_sync(0xffffffffu, a->top, d);
        float sum = __shfl_xor_sync(0xffffffffu, a->sum, d);

        softmax_add<T>(a, top, sum);
    }
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = *a;
    __syncthreads();
    *a = warps[0];
    for (int w = 1; w < LOSS_THREADS / 32; w++)
        softmax_add<T>(a, warps[w].top, warps[w].sum);
}

struct loss {
    const int32_t *labels;
    float *nll;
    size_t stride;
    unsigned vocab;
    float scale;
    bool grad;
};

/* Rows start on 128 bytes; what lies behind the vocabulary becomes zero. */
template <int T, int W>
__global__ void __launch_bounds__(LOSS_THREADS)
    loss_kernel(cuda_vec<T> logits, struct loss p)
{
    size_t row = (size_t)blockIdx.x * p.stride;
    unsigned label = (unsigned)p.labels[blockIdx.x];
    struct softmax a = { -INFINITY, 0 };
    float at[1] = { 0 }, factor;

    if (threadIdx.x == 0)
        logits.get(at, row + label);
#pragma unroll 2
    for (unsigned i = threadIdx.x * W; i < p.vocab; i += LOSS_THREADS * W) {
        float v[W];

        logits.get(v, row + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            v[j] = i + j < p.vocab ? v[j] : -INFINITY;
        softmax_vector<T>(&a, v);
    }
    softmax_block<T>(&a);
    if (threadIdx.x == 0)
        p.nll[blockIdx.x] = logf(a.sum) + a.top - at[0];
    if (!p.grad)
        return;
    factor = p.scale / a.sum;
#pragma unroll 2
    for (unsigned i = threadIdx.x * W; i < p.stride; i += LOSS_THREADS * W) {
        float v[W];

        logits.get(v, row + i);
#pragma unroll
        for (int j = 0; j < W; j++) {
            float e = exponential<T>(v[j] - a.top) * factor;

            v[j] =
                i + j < p.vocab ? e - (i + j == label ? p.scale : 0.0f) : 0.0f;
        }
        logits.put(row + i, v);
    }
}

/* What one call works with. in: the type of products. */
struct head {
    const struct compute_cross_entropy *x;
    enum cuda_type in;
    bool exact;
    struct cuda_operand input, weights, dx;
    void *logits, *wide_input, *wide_weights; /* scratch; NULL: none */
    bool convert_input, convert_weights;
    size_t stride, step;
};

static size_t input_bytes(const struct head *h)
{
    return h->convert_input ? h->step * h->x->k * cuda_type_size(h->in) : 0;
}

static size_t weights_bytes(const struct head *h)
{
    return h->convert_weights ? h->x->vocab * h->x->k * cuda_type_size(h->in)
                              : 0;
}

static size_t logits_bytes(const struct head *h)
{
    return h->step * h->stride * cuda_type_size(h->in);
}

static const void *input_at(const struct head *h, size_t at)
{
    return h->convert_input ? (const char *)h->wide_input
                            : (const char *)h->input.data +
                                  at * h->x->k * cuda_type_size(h->in);
}

static const void *weights_of(const struct head *h)
{
    return h->convert_weights ? h->wide_weights : h->weights.data;
}

static struct cuda_gemm forward_product(const struct head *h, size_t at,
                                        size_t rows)
{
    struct cuda_gemm g = {};

    g.in = g.out = h->in;
    g.exact = h->exact;
    g.m = rows;
    g.n = h->x->vocab;
    g.k = h->x->k;
    g.a = input_at(h, at);
    g.b = weights_of(h);
    g.lda = g.ldb = h->x->k;
    g.alpha = 1;
    g.c = h->logits;
    g.ldc = h->stride;
    return g;
}

static struct cuda_gemm input_product(const struct head *h, size_t at,
                                      size_t rows)
{
    struct cuda_gemm g = {};

    g.in = h->in;
    g.out = h->dx.type;
    g.exact = h->exact;
    g.m = rows;
    g.n = h->x->k;
    g.k = h->x->vocab;
    g.a = h->logits;
    g.lda = h->stride;
    g.b = weights_of(h);
    g.ldb = h->x->k;
    g.b_cross = true;
    g.alpha = 1;
    g.c = (char *)h->dx.data + at * h->x->k * cuda_type_size(h->dx.type);
    g.ldc = h->x->k;
    return g;
}

static struct cuda_gemm weights_product(const struct head *h, size_t at,
                                        size_t rows)
{
    struct cuda_gemm g = {};

    g.in = h->in;
    g.out = CUDA_F32;
    g.exact = h->exact;
    g.m = h->x->vocab;
    g.n = h->x->k;
    g.k = rows;
    g.a = h->logits;
    g.lda = h->stride;
    g.a_cross = true;
    g.b = input_at(h, at);
    g.ldb = h->x->k;
    g.b_cross = true;
    g.alpha = 1;
    g.c = cuda_f32(h->x->dw);
    g.ldc = h->x->k;
    g.addend = g.c;
    g.add_type = CUDA_F32;
    g.ldadd = h->x->k;
    return g;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What the products on a piece of `rows` rows want. */
static size_t product_scratch(const struct cuda *c, const struct head *h,
                              size_t rows)
{
    struct cuda_gemm g = forward_product(h, 0, rows);
    size_t want = cuda_gemm_scratch(c, &g);

    if (!h->x->dx.buf)
        return want;
    g = input_product(h, 0, rows);
    want = larger(want, cuda_gemm_scratch(c, &g));
    if (!h->x->dw.buf)
        return want;
    g = weights_product(h, 0, rows);
    return larger(want, cuda_gemm_scratch(c, &g));
}

static bool head_scratch(struct cuda *c, struct head *h)
{
    size_t rest = h->x->rows % h->step;
    size_t products = product_scratch(c, h, h->step);

    if (rest > 0)
        products = larger(products, product_scratch(c, h, rest));
    if (!cuda_scratch_begin(c, cuda_scratch_room(logits_bytes(h)) +
                                   cuda_scratch_room(input_bytes(h)) +
                                   cuda_scratch_room(weights_bytes(h)) +
                                   cuda_scratch_room(products)))
        return false;
    h->logits = cuda_scratch(c, logits_bytes(h));
    h->wide_input = cuda_scratch(c, input_bytes(h));
    h->wide_weights = cuda_scratch(c, weights_bytes(h));
    return true;
}

/* Each product may use the same scratch as the one before. */
static void product(struct cuda *c, const struct cuda_gemm *g)
{
    size_t used = c->scratch_used;

    cuda_gemm_run(c, g);
    c->scratch_used = used;
}

static void piece(struct cuda *c, const struct head *h, size_t at, size_t rows)
{
    const struct compute_cross_entropy *x = h->x;
    struct loss p = { cuda_i32(x->labels) + at,
                      cuda_f32(x->nll) + at,
                      h->stride,
                      (unsigned)x->vocab,
                      x->scale,
                      x->dx.buf != NULL };
    struct cuda_operand logits = { h->logits, h->in };
    struct cuda_gemm g;

    if (h->convert_input)
        cuda_convert(c, h->wide_input, h->in,
                     (const char *)h->input.data +
                         at * x->k * cuda_type_size(h->input.type),
                     h->input.type, rows * x->k);
    g = forward_product(h, at, rows);
    product(c, &g);
    if (h->in == CUDA_BF16)
        loss_kernel<CUDA_BF16, 8>
            <<<(unsigned)rows, LOSS_THREADS, 0, c->stream>>>(
                cuda_vec_of<CUDA_BF16>(logits), p);
    else
        loss_kernel<CUDA_F32, 4>
            <<<(unsigned)rows, LOSS_THREADS, 0, c->stream>>>(
                cuda_vec_of<CUDA_F32>(logits), p);
    cuda_launched(c, "cross_entropy");
    if (!p.grad)
        return;
    g = input_product(h, at, rows);
    product(c, &g);
    if (!x->dw.buf)
        return;
    g = weights_product(h, at, rows);
    product(c, &g);
}

void cuda_op_cross_entropy(struct compute *base,
                           const struct compute_cross_entropy *x)
{
    struct cuda *c = cuda_of(base);
    struct head h = {};

    if (x->rows == 0)
        return;
    h.x = x;
    h.in = c->act;
    h.exact = c->precision == COMPUTE_FULL;
    h.input = cuda_at(x->x);
    h.weights = cuda_at(x->w);
    h.dx = cuda_at(x->dx);
    if (h.in == CUDA_BF16 && x->w.buf->frozen) {
        h.weights.data = x->w.buf->frozen + x->w.at;
        h.weights.type = CUDA_BF16;
    }
    h.convert_input = h.input.type != h.in;
    h.convert_weights = h.weights.type != h.in;
    h.stride = cuda_logits_stride(x->vocab);
    h.step =
        cuda_logits_rows(x->rows, x->vocab, cuda_type_size(h.in), c->limit);
    if (!head_scratch(c, &h))
        return;
    if (h.convert_weights)
        cuda_convert(c, h.wide_weights, h.in, h.weights.data, h.weights.type,
                     x->vocab * x->k);
    for (size_t at = 0; at < x->rows; at += h.step)
        piece(c, &h, at, x->rows - at < h.step ? x->rows - at : h.step);
}

struct best {
    float top;
    int32_t id;
};

__device__ __forceinline__ void best_add(struct best *a, float top, int32_t id)
{
    if (top > a->top || (top == a->top && id < a->id)) {
        a->top = top;
        a->id = id;
    }
}

/* The block's, the same in every thread; smaller ids win. */
__device__ __forceinline__ void best_block(struct best *a)
{
    __shared__ struct best warps[BEST_THREADS / 32];

#pragma unroll
    for (int d = 16; d > 0; d /= 2) {
        float top = __shfl_xor_sync(0xffffffffu, a->top, d);
        int32_t id = __shfl_xor_sync(0xffffffffu, a->id, d);

        best_add(a, top, id);
    }
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = *a;
    __syncthreads();
    *a = warps[0];
    for (int w = 1; w < BEST_THREADS / 32; w++)
        best_add(a, warps[w].top, warps[w].id);
}

template <int W>
__global__ void __launch_bounds__(BEST_THREADS)
    argmax_kernel(int32_t *ids, float *logp, cuda_vec<CUDA_ANY> logits,
                  unsigned vocab)
{
    __shared__ float memory[BEST_THREADS / 32];
    size_t row = (size_t)blockIdx.x * vocab;
    struct best a = { -INFINITY, NOBODY };
    float sum = 0;

    for (unsigned i = threadIdx.x * W; i < vocab; i += BEST_THREADS * W) {
        float v[W];

        logits.get(v, row + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            if (v[j] > a.top) {
                a.top = v[j];
                a.id = (int32_t)(i + j);
            }
    }
    best_block(&a);
    if (threadIdx.x == 0)
        ids[blockIdx.x] = a.id == NOBODY ? 0 : a.id;
    if (!logp)
        return;
    for (unsigned i = threadIdx.x * W; i < vocab; i += BEST_THREADS * W) {
        float v[W];

        logits.get(v, row + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            sum += expf(v[j] - a.top);
    }
    sum = cuda_sum_group<BEST_THREADS>(sum, memory);
    if (threadIdx.x == 0)
        logp[blockIdx.x] = -logf(sum);
}

void cuda_op_argmax(struct compute *base, struct compute_span ids,
                    struct compute_span logp, struct compute_span logits,
                    size_t rows, size_t vocab)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand o = cuda_at(logits);
    cuda_vec<CUDA_ANY> v = cuda_vec_of<CUDA_ANY>(o);

    if (rows == 0 || vocab == 0)
        return;
    if (cuda_wide(o, vocab, 4))
        argmax_kernel<4><<<(unsigned)rows, BEST_THREADS, 0, c->stream>>>(
            cuda_i32(ids), cuda_f32(logp), v, (unsigned)vocab);
    else
        argmax_kernel<1><<<(unsigned)rows, BEST_THREADS, 0, c->stream>>>(
            cuda_i32(ids), cuda_f32(logp), v, (unsigned)vocab);
    cuda_launched(c, "argmax");
}
