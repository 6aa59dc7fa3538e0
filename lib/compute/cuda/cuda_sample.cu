/*
 * cuda_sample.cu - a token drawn from each row of logits
 *
 * A block has a row. Candidates weigh whole numbers, 2^41 for the largest
 * logit, so that their sums are exact in any order. What top-k, top-p and
 * min-p keep is always a beginning of the candidates in falling order, and its
 * weight alone says where it ends; so each step, and the draw, is one search
 * for the candidate at which a running weight passes a number: five times a
 * histogram of the next digits of its key, logit and then id.
 */
#include "compute/cuda/cuda_reduce.h"
#include "compute/cuda/cuda_vector.cuh"

#include <assert.h>
#include <float.h>

#define SAMPLE_THREADS 1024
#define SAMPLE_ROWS                                                            \
    64 /* of one launch, whose parameters hold their settings                  \
        */
#define SAMPLE_ONE ((unsigned long long)1 << 41)
#define SAMPLE_ID_BITS 22
#define KEY_BITS (32 + SAMPLE_ID_BITS)
#define DIGIT_BITS 11
#define DIGITS (1 << DIGIT_BITS)
#define VALUE_LEVELS 3
#define LEVELS 5
#define NOBODY 0x7fffffff
#define SOME 4 /* logits that a thread reads at once */
#define STEP (SOME * SAMPLE_THREADS)

typedef unsigned long long whole;

struct draws {
    struct compute_draw each[SAMPLE_ROWS];
};

/* One row, as every thread of its block sees it. */
struct row {
    const float *x;
    unsigned vocab;
    float top, rate; /* the largest logit; 1 / temperature */
};

/* Weights of digits; sums of two words, of which the high one takes what the
 * low one carries. */
struct digits {
    unsigned low[DIGITS], high[DIGITS];
};

struct found {
    whole before; /* weight of what comes first */
    unsigned digit, own_low, own_high;
};

/* Of ids i, i + SAMPLE_THREADS, ..; nothing behind the row. */
__device__ __forceinline__ void some_of(float (&v)[SOME], const struct row &r,
                                        unsigned i)
{
#pragma unroll
    for (unsigned j = 0; j < SOME; j++) {
        unsigned id = i + j * SAMPLE_THREADS;

        v[j] = id < r.vocab ? r.x[id] : -INFINITY;
    }
}

/* Larger for larger logits, and for smaller ids among equals. */
__device__ __forceinline__ whole key_of(float x, unsigned id)
{
    unsigned bits = __float_as_uint(x == 0.0f ? 0.0f : x);

    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (whole)bits << SAMPLE_ID_BITS | (~id & ((1u << SAMPLE_ID_BITS) - 1));
}

__device__ __forceinline__ whole weight_of(const struct row &r, float x)
{
    return (whole)(expf((x - r.top) * r.rate) * (float)SAMPLE_ONE);
}

__device__ __forceinline__ void digit_add(struct digits *h, unsigned digit,
                                          whole weight)
{
    unsigned low = (unsigned)weight, high = (unsigned)(weight >> 32);

    if (low != 0)
        high += atomicAdd(&h->low[digit], low) > ~low;
    if (high != 0)
        atomicAdd(&h->high[digit], high);
}

__device__ __forceinline__ whole digit_at(const struct digits *h,
                                          unsigned digit)
{
    return (whole)h->high[digit] << 32 | h->low[digit];
}

/* The first warp: the digit, from the largest down, at which the running
 * weight passes `share`, which is less than the sum. */
__device__ __forceinline__ void digit_find(struct found *f,
                                           const struct digits *h, whole share)
{
    const unsigned per = DIGITS / 32;
    unsigned lane = threadIdx.x, first = DIGITS - 1 - lane * per;
    whole own = 0, before, start = f->before;

    for (unsigned i = 0; i < per; i++) /* each lane in a bank of its own */
        own += digit_at(h, first - (i + lane) % per);
    before = own;
#pragma unroll
    for (unsigned d = 1; d < 32; d *= 2) {
        whole other = __shfl_up_sync(0xffffffffu, before, d);

        before += lane >= d ? other : 0;
    }
    before += start - own;
    __syncwarp(); /* all have read what one of them writes */
    if (before > share || before + own <= share)
        return;
    for (unsigned i = 0; i < per; i++) {
        whole w = digit_at(h, first - i);

        if (before + w > share) {
            f->before = before;
            f->digit = first - i;
            f->own_low = (unsigned)w;
            f->own_high = (unsigned)(w >> 32);
            return;
        }
        before += w;
    }
}

/* The candidate at which the running weight passes share: its key, cut after
 * `levels` digits, and *through, the weight up to and with it (and with all
 * others of that beginning). by_count: every candidate weighs 1. */
__device__ __forceinline__ whole search(const struct row &r, struct digits *h,
                                        struct found *f, whole share,
                                        unsigned levels, bool by_count,
                                        whole *through)
{
    unsigned shift = KEY_BITS;
    whole prefix = 0;

    if (threadIdx.x == 0)
        f->before = 0;
    for (unsigned l = 0; l < levels; l++) {
        /* 11, 11 and 10 bits of the logit, twice 11 of the id. */
        unsigned bits = l == VALUE_LEVELS - 1 ? DIGIT_BITS - 1 : DIGIT_BITS;

        shift -= bits;
        __syncthreads();
        for (unsigned i = threadIdx.x; i < DIGITS; i += SAMPLE_THREADS)
            h->low[i] = h->high[i] = 0;
        __syncthreads();
        for (unsigned i = threadIdx.x; i < r.vocab; i += STEP) {
            float v[SOME];

            some_of(v, r, i);
#pragma unroll
            for (unsigned j = 0; j < SOME; j++) {
                whole key = key_of(v[j], i + j * SAMPLE_THREADS);

                if (v[j] > -INFINITY &&
                    (l == 0 || key >> (shift + bits) == prefix))
                    digit_add(h, (unsigned)(key >> shift) & ((1u << bits) - 1),
                              by_count ? 1 : weight_of(r, v[j]));
            }
        }
        __syncthreads();
        if (threadIdx.x < 32)
            digit_find(f, h, share);
        __syncthreads();
        prefix = prefix << bits | f->digit;
    }
    *through = f->before + ((whole)f->own_high << 32 | f->own_low);
    __syncthreads();
    return prefix;
}

/* The block's sum, in every thread. */
__device__ __forceinline__ whole whole_block(whole v)
{
    __shared__ whole warps[SAMPLE_THREADS / 32];

#pragma unroll
    for (int d = 16; d > 0; d /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, d);
    __syncthreads(); /* the last sum has been read */
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = v;
    __syncthreads();
    v = 0;
    for (int w = 0; w < SAMPLE_THREADS / 32; w++)
        v += warps[w];
    return v;
}

/* The largest logit and its smallest id, in every thread. */
__device__ __forceinline__ void find_top(const struct row &r, float *top,
                                         int32_t *id)
{
    __shared__ float tops[SAMPLE_THREADS / 32];
    __shared__ int32_t ids[SAMPLE_THREADS / 32];
    float best = -INFINITY;
    int32_t at = NOBODY;

    for (unsigned i = threadIdx.x; i < r.vocab; i += STEP) {
        float v[SOME];

        some_of(v, r, i);
#pragma unroll
        for (unsigned j = 0; j < SOME; j++)
            if (v[j] > best) {
                best = v[j];
                at = (int32_t)(i + j * SAMPLE_THREADS);
            }
    }
#pragma unroll
    for (int d = 16; d > 0; d /= 2) {
        float other = __shfl_xor_sync(0xffffffffu, best, d);
        int32_t from = __shfl_xor_sync(0xffffffffu, at, d);

        if (other > best || (other == best && from < at)) {
            best = other;
            at = from;
        }
    }
    if (threadIdx.x % 32 == 0) {
        tops[threadIdx.x / 32] = best;
        ids[threadIdx.x / 32] = at;
    }
    __syncthreads();
    *top = tops[0];
    *id = ids[0];
    for (int w = 1; w < SAMPLE_THREADS / 32; w++)
        if (tops[w] > *top || (tops[w] == *top && ids[w] < *id)) {
            *top = tops[w];
            *id = ids[w];
        }
}

/* Weight of the candidates that weigh at least `least` of the best one, or
 * whose key is at least `from`. */
__device__ __forceinline__ whole weigh(const struct row &r, double least,
                                       whole from)
{
    whole sum = 0;

    for (unsigned i = threadIdx.x; i < r.vocab; i += STEP) {
        float v[SOME];

        some_of(v, r, i);
#pragma unroll
        for (unsigned j = 0; j < SOME; j++)
            if (v[j] > -INFINITY &&
                key_of(v[j], i + j * SAMPLE_THREADS) >= from &&
                (double)expf((v[j] - r.top) * r.rate) >= least)
                sum += weight_of(r, v[j]);
    }
    return whole_block(sum);
}

/* Weight of what the settings keep. */
__device__ __forceinline__ whole kept_of(const struct row &r,
                                         const struct compute_draw &d,
                                         struct digits *h, struct found *f)
{
    whole mass, less, key = 0, count = 0;

    if (d.top_k > 0) {
        for (unsigned i = threadIdx.x; i < r.vocab; i += STEP) {
            float v[SOME];

            some_of(v, r, i);
#pragma unroll
            for (unsigned j = 0; j < SOME; j++)
                count += v[j] > -INFINITY;
        }
        count = whole_block(count);
    }
    if (d.top_k > 0 && (whole)d.top_k < count)
        key = search(r, h, f, (whole)d.top_k - 1, VALUE_LEVELS, true, &less)
              << SAMPLE_ID_BITS;
    mass = weigh(r, 0, key);
    less = mass;
    if (d.top_p > 0 && d.top_p < 1) {
        double want = ceil(d.top_p * (double)mass);
        whole share = want < 1 ? 0 : (whole)want - 1;

        share = share < mass ? share : mass - 1;
        (void)search(r, h, f, share, LEVELS, false, &less);
    }
    if (d.min_p > 0) {
        mass = weigh(r, d.min_p, key);
        mass = mass > 0 ? mass : SAMPLE_ONE; /* the best one is always kept */
        less = mass < less ? mass : less;
    }
    return less;
}

/* rows of x from the first one of this launch on. */
__global__ void __launch_bounds__(SAMPLE_THREADS)
    sample_kernel(int32_t *ids, float *logp, const float *x, unsigned vocab,
                  struct draws draws)
{
    __shared__ struct digits h;
    __shared__ struct found f;
    __shared__ float memory[SAMPLE_THREADS / 32];
    struct compute_draw d = draws.each[blockIdx.x];
    struct row r = { x + (size_t)blockIdx.x * vocab, vocab, 0, 0 };
    int32_t id;
    float sum = 0;

    find_top(r, &r.top, &id);
    if (logp) {
        for (unsigned i = threadIdx.x; i < vocab; i += STEP) {
            float v[SOME];

            some_of(v, r, i);
#pragma unroll
            for (unsigned j = 0; j < SOME; j++)
                sum += expf(v[j] - r.top);
        }
        sum = cuda_sum_group<SAMPLE_THREADS>(sum, memory);
    }
    if (id == NOBODY) {
        id = 0;
    } else if (d.temperature > 0 && r.top < INFINITY) {
        whole kept, share, through, key;

        r.rate = fminf((float)(1.0 / d.temperature), FLT_MAX);
        kept = kept_of(r, d, &h, &f);
        share = (whole)(d.unit * (double)kept);
        share = share < kept ? share : kept - 1;
        key = search(r, &h, &f, share, LEVELS, false, &through);
        id = (int32_t)(~(unsigned)key & ((1u << SAMPLE_ID_BITS) - 1));
    }
    if (threadIdx.x != 0)
        return;
    ids[blockIdx.x] = id;
    if (logp)
        logp[blockIdx.x] = r.x[id] - r.top - logf(sum);
}

void cuda_op_sample(struct compute *base, struct compute_span ids,
                    struct compute_span logp, struct compute_span logits,
                    const struct compute_draw *each, size_t rows, size_t vocab)
{
    struct cuda *c = cuda_of(base);
    const float *x = cuda_f32(logits);
    int32_t *id = cuda_i32(ids);
    float *lp = cuda_f32(logp);

    assert(vocab < (size_t)1 << (SAMPLE_ID_BITS - 1));
    for (size_t at = 0; at < rows && vocab > 0; at += SAMPLE_ROWS) {
        size_t n = rows - at < SAMPLE_ROWS ? rows - at : SAMPLE_ROWS;
        struct draws draws = {};

        for (size_t i = 0; i < n; i++)
            draws.each[i] = each[at + i];
        sample_kernel<<<(unsigned)n, SAMPLE_THREADS, 0, c->stream>>>(
            id + at, lp ? lp + at : NULL, x + at * vocab, (unsigned)vocab,
            draws);
        cuda_launched(c, "sample");
    }
}
