/*
 * cuda_loss.cu - cross entropy behind the head, and the best token
 *
 * A block has a row of logits: one pass finds maximum and sum together, the
 * second writes gradients in their place. Everything between is f32.
 */
#include "compute/cuda/cuda_head.cuh"

#include <assert.h>

#define BEST_THREADS 1024
#define NOBODY 0x7fffffff

struct loss {
    const int32_t *labels;
    float *nll;
    size_t stride;
    unsigned vocab;
    float scale, softcap;
    bool grad;
};

/* Rows start on 128 bytes; what lies behind the vocabulary becomes zero. */
template <int T, bool CAP, int W>
__global__ void __launch_bounds__(HEAD_THREADS)
    loss_kernel(cuda_vec<T> logits, struct loss p)
{
    size_t row = (size_t)blockIdx.x * p.stride;
    unsigned label = (unsigned)p.labels[blockIdx.x];
    struct head_softmax a = { -INFINITY, 0 };
    float at[1] = { 0 }, factor;

    if (threadIdx.x == 0) {
        float slope[1];

        logits.get(at, row + label);
        if (CAP)
            head_cap<T>(at, slope, p.softcap);
    }
#pragma unroll 2
    for (unsigned i = threadIdx.x * W; i < p.vocab; i += HEAD_THREADS * W) {
        float v[W], slope[W];

        logits.get(v, row + i);
        if (CAP)
            head_cap<T>(v, slope, p.softcap);
#pragma unroll
        for (int j = 0; j < W; j++)
            v[j] = i + j < p.vocab ? v[j] : -INFINITY;
        head_softmax_vector<T>(&a, v);
    }
    head_softmax_block<T>(&a);
    if (threadIdx.x == 0)
        p.nll[blockIdx.x] = logf(a.sum) + a.top - at[0];
    if (!p.grad)
        return;
    factor = p.scale / a.sum;
#pragma unroll 2
    for (unsigned i = threadIdx.x * W; i < p.stride; i += HEAD_THREADS * W) {
        float v[W], slope[W];

        logits.get(v, row + i);
        if (CAP)
            head_cap<T>(v, slope, p.softcap);
#pragma unroll
        for (int j = 0; j < W; j++) {
            float e = head_exp<T>(v[j] - a.top) * factor;

            e -= i + j == label ? p.scale : 0.0f;
            v[j] = i + j < p.vocab ? (CAP ? e * slope[j] : e) : 0.0f;
        }
        logits.put(row + i, v);
    }
}

template <int T, int W>
static void loss_launch(struct cuda *c, const struct cuda_head *h,
                        const struct loss &p, size_t rows)
{
    struct cuda_operand o = { h->logits, h->in };
    cuda_vec<T> logits = cuda_vec_of<T>(o);
    unsigned grid = (unsigned)rows;

    if (p.softcap > 0)
        loss_kernel<T, true, W>
            <<<grid, HEAD_THREADS, 0, c->stream>>>(logits, p);
    else
        loss_kernel<T, false, W>
            <<<grid, HEAD_THREADS, 0, c->stream>>>(logits, p);
    cuda_launched(c, "cross_entropy");
}

static void piece(struct cuda *c, const struct cuda_head *h, size_t at,
                  size_t rows)
{
    const struct compute_cross_entropy *x = h->x;
    struct loss p = { cuda_i32(x->labels) + at,
                      cuda_f32(x->nll) + at,
                      h->stride,
                      (unsigned)x->vocab,
                      x->scale,
                      x->softcap,
                      x->dx.buf != NULL };

    cuda_head_forward(c, h, at, rows);
    if (h->in == CUDA_BF16)
        loss_launch<CUDA_BF16, 8>(c, h, p, rows);
    else
        loss_launch<CUDA_F32, 4>(c, h, p, rows);
    if (p.grad)
        cuda_head_grad(c, h, at, rows);
}

void cuda_op_cross_entropy(struct compute *base,
                           const struct compute_cross_entropy *x)
{
    struct cuda *c = cuda_of(base);
    struct cuda_head h;

    if (x->rows == 0)
        return;
    cuda_head_plan(c, &h, x, 1);
    if (!cuda_scratch_begin(c,
                            cuda_head_want(&h) +
                                cuda_scratch_room(cuda_head_products(c, &h))))
        return;
    cuda_head_take(c, &h);
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
