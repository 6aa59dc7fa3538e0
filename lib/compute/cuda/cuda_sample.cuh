/*
 * cuda_sample.cuh - the candidate at which a running weight passes a number
 *
 * Candidates in falling order of their key, logit and then id; each weighs a
 * whole number, 2^41 for the largest logit, so that sums are exact in any
 * order. A digit says how far a logit is from the largest one; with what comes
 * before it known, a block looks for the candidate among those of one digit:
 * each against each where they are few, else by histograms of the next digits
 * of the key.
 */
#ifndef CUDA_SAMPLE_CUH
#define CUDA_SAMPLE_CUH

#include "compute/cuda/cuda_vector.cuh"

#include <float.h>

#define SAMPLE_THREADS 1024
#define SAMPLE_ONE ((unsigned long long)1 << 41)
#define SAMPLE_ID_BITS 22
#define KEY_BITS (32 + SAMPLE_ID_BITS)
#define DIGIT_BITS 11
#define DIGITS (1 << DIGIT_BITS)
#define VALUE_LEVELS 3
#define LEVELS 5
#define SOME 4 /* logits that a thread reads at once */
#define STEP (SOME * SAMPLE_THREADS)
#define FEW 256 /* candidates that are compared with each other */

typedef unsigned long long whole;

/* One row, as every thread of its blocks sees it. */
struct row {
    const float *x;
    unsigned vocab;
    float top, rate; /* the largest logit; 1 / temperature */
    float scale;     /* of digits */
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

/* The candidates of a digit: n ids, or (NULL) they are to be found in the row.
 */
struct bin {
    const unsigned *ids;
    unsigned n, digit;
};

/* Larger for larger logits, and for smaller ids among equals. */
__device__ __forceinline__ whole key_of(float x, unsigned id)
{
    unsigned bits = __float_as_uint(x == 0.0f ? 0.0f : x);

    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (whole)bits << SAMPLE_ID_BITS | (~id & ((1u << SAMPLE_ID_BITS) - 1));
}

__device__ __forceinline__ unsigned id_of(whole key)
{
    return ~(unsigned)key & ((1u << SAMPLE_ID_BITS) - 1);
}

__device__ __forceinline__ whole weight_of(const struct row &r, float x)
{
    return (whole)(expf((x - r.top) * r.rate) * (float)SAMPLE_ONE);
}

/* Never smaller for a larger logit, and the same for equal ones. What has 0 is
 * so far from the largest logit that it weighs nothing: e^-31.9. */
__device__ __forceinline__ unsigned digit_of(const struct row &r, float x)
{
    return DIGITS - 1 - (unsigned)fminf((r.top - x) * r.scale, DIGITS - 1);
}

/* 64 digits a unit of the weight's exponent; more where all candidates are
 * nearer than 32 units to the largest logit. */
__device__ __forceinline__ float scale_of(float rate, float range)
{
    float scale = rate * ((float)DIGITS / 32);

    if (range > 0)
        scale = fmaxf(scale, (DIGITS - 2) / range);
    return fminf(scale, FLT_MAX);
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

/* Of a warp: *before becomes the sum up to this lane's; whether share is
 * passed in it. */
__device__ __forceinline__ bool lane_passes(whole *before, whole own,
                                            whole share)
{
    unsigned lane = threadIdx.x % 32;
    whole sum = own;

#pragma unroll
    for (unsigned d = 1; d < 32; d *= 2) {
        whole other = __shfl_up_sync(0xffffffffu, sum, d);

        sum += lane >= d ? other : 0;
    }
    *before += sum - own;
    return *before <= share && *before + own > share;
}

/* The first warp: the digit, from the largest down, at which the running
 * weight passes `share`, which is less than the sum. */
__device__ __forceinline__ void digit_find(struct found *f,
                                           const struct digits *h, whole share)
{
    const unsigned per = DIGITS / 32;
    unsigned lane = threadIdx.x, first = DIGITS - 1 - lane * per, from;
    whole own = 0, before = f->before, pair[2];

    for (unsigned i = 0; i < per; i++) /* each lane in a bank of its own */
        own += digit_at(h, first - (i + lane) % per);
    from = __ballot_sync(0xffffffffu, lane_passes(&before, own, share));
    from = from ? (unsigned)__ffs((int)from) - 1 : 0;
    before = __shfl_sync(0xffffffffu, before, (int)from);
    first = DIGITS - 1 - from * per - lane * 2;
    pair[0] = digit_at(h, first);
    pair[1] = digit_at(h, first - 1);
    if (!lane_passes(&before, pair[0] + pair[1], share))
        return;
    if (before + pair[0] <= share) {
        before += pair[0];
        pair[0] = pair[1];
        first--;
    }
    f->before = before;
    f->digit = first;
    f->own_low = (unsigned)pair[0];
    f->own_high = (unsigned)(pair[0] >> 32);
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

/* h becomes what the row's blocks have added; its sum. */
template <typename T>
__device__ __forceinline__ whole digits_load(struct digits *h, const T *from)
{
    whole sum = 0;

    for (unsigned i = threadIdx.x; i < DIGITS; i += SAMPLE_THREADS) {
        whole w = from[i];

        h->low[i] = (unsigned)w;
        h->high[i] = (unsigned)(w >> 32);
        sum += w;
    }
    return whole_block(sum); /* a barrier */
}

/* The bin's i-th ones, i + SAMPLE_THREADS, ..; -INFINITY: none. */
__device__ __forceinline__ void some_of_bin(float (&v)[SOME],
                                            unsigned (&id)[SOME],
                                            const struct row &r,
                                            const struct bin &b, unsigned i)
{
#pragma unroll
    for (unsigned j = 0; j < SOME; j++) {
        unsigned k = i + j * SAMPLE_THREADS;

        id[j] = k < b.n && b.ids ? b.ids[k] : k;
        v[j] = k < b.n ? r.x[id[j]] : -INFINITY;
        if (v[j] > -INFINITY && digit_of(r, v[j]) != b.digit)
            v[j] = -INFINITY;
    }
}

/* As search, of at most FEW. */
__device__ __forceinline__ whole search_few(const struct row &r,
                                            const struct bin &b,
                                            struct found *f, whole share,
                                            bool by_count, whole *through)
{
    __shared__ whole keys[FEW], weights[FEW], key;
    unsigned i = threadIdx.x;
    whole before, own;

    if (i < b.n) {
        float v = r.x[b.ids[i]];

        keys[i] = key_of(v, b.ids[i]);
        weights[i] = by_count ? 1 : weight_of(r, v);
    }
    __syncthreads();
    if (i < b.n) {
        before = f->before;
        own = weights[i];
        for (unsigned j = 0; j < b.n; j++)
            before += keys[j] > keys[i] ? weights[j] : 0;
        if (before <= share && before + own > share) {
            key = keys[i];
            f->own_low = (unsigned)(before + own);
            f->own_high = (unsigned)((before + own) >> 32);
        }
    }
    __syncthreads();
    *through = (whole)f->own_high << 32 | f->own_low;
    return by_count ? key >> SAMPLE_ID_BITS << SAMPLE_ID_BITS : key;
}

/* One more digit, of `bits`, of the key that begins with prefix. */
__device__ __forceinline__ void level_add(const struct row &r,
                                          const struct bin &b, struct digits *h,
                                          whole prefix, unsigned shift,
                                          unsigned bits, bool by_count)
{
    for (unsigned i = threadIdx.x; i < b.n; i += STEP) {
        unsigned id[SOME];
        float v[SOME];

        some_of_bin(v, id, r, b, i);
#pragma unroll
        for (unsigned j = 0; j < SOME; j++) {
            whole key = key_of(v[j], id[j]);

            if (v[j] > -INFINITY &&
                (shift + bits == KEY_BITS || key >> (shift + bits) == prefix))
                digit_add(h, (unsigned)(key >> shift) & ((1u << bits) - 1),
                          by_count ? 1 : weight_of(r, v[j]));
        }
    }
}

/* The candidate of the bin, before which come others of weight `start`, at
 * which the running weight passes share: its key, and *through, the weight up
 * to and with it. by_count: every candidate weighs 1, and the key has no id, so
 * that all of that logit are at least it. Of the whole block; the same in
 * every thread. */
__device__ __forceinline__ whole search(const struct row &r,
                                        const struct bin &b, struct digits *h,
                                        struct found *f, whole start,
                                        whole share, bool by_count,
                                        whole *through)
{
    unsigned shift = KEY_BITS, levels = by_count ? VALUE_LEVELS : LEVELS;
    whole prefix = 0;

    __syncthreads(); /* f has been read */
    if (threadIdx.x == 0)
        f->before = start;
    __syncthreads();
    if (b.ids && b.n <= FEW)
        return search_few(r, b, f, share, by_count, through);
    for (unsigned l = 0; l < levels; l++) {
        /* 11, 11 and 10 bits of the logit, twice 11 of the id. */
        unsigned bits = l == VALUE_LEVELS - 1 ? DIGIT_BITS - 1 : DIGIT_BITS;

        shift -= bits;
        for (unsigned i = threadIdx.x; i < DIGITS; i += SAMPLE_THREADS)
            h->low[i] = h->high[i] = 0;
        __syncthreads();
        level_add(r, b, h, prefix, shift, bits, by_count);
        __syncthreads();
        if (threadIdx.x < 32)
            digit_find(f, h, share);
        __syncthreads();
        prefix = prefix << bits | f->digit;
    }
    *through = f->before + ((whole)f->own_high << 32 | f->own_low);
    return prefix << shift;
}

#endif
