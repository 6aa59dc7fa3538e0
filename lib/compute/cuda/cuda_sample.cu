/*
 * cuda_sample.cu - a token drawn from each row of logits
 *
 * What top-k, top-p and min-p keep is always a beginning of the candidates in
 * falling order, and its weight alone says where it ends; so each step, and
 * the draw, is one search for the candidate at which a running weight passes a
 * number. Weights are whole numbers (cuda_sample.cuh): blocks that share a row
 * find what one would, bit by bit, however many they are. They find the largest
 * logit; then one histogram of how far all are from it, which says of each
 * search in which of 2,048 digits it ends; then, for each, they collect that
 * digit's candidates, and the last block looks through them: a handful, in
 * what models say. Where they do not fit (thousands of equal ones) it looks
 * through the row.
 */
#include "compute/cuda/cuda_arrivals.cuh"
#include "compute/cuda/cuda_follow.cuh"
#include "compute/cuda/cuda_sample.cuh"

#include <assert.h>

/* Of one launch: rows, whose settings its parameters hold; blocks, if that
 * leaves each row one; blocks that share a row, each with 32 of 1,024 columns
 * at least. */
#define SAMPLE_ROWS 64
#define SAMPLE_BLOCKS 256
#define SAMPLE_PARTS 32
#define SAMPLE_LIST 4096 /* candidates of a digit that are collected */
#define NOBODY 0x7fffffff

struct draws {
    struct compute_draw each[SAMPLE_ROWS];
};

enum sample_step { STEP_OVER, STEP_TOP_K, STEP_TOP_P, STEP_DRAW };

/* What is looked for: where the running weight passes share, among those of
 * the digit (0: nothing, only min-p counts), before which come others. */
struct aim {
    enum sample_step step;
    unsigned digit;
    whole before, share;
    whole mass, from; /* of what top-k keeps: weight, and smallest key */
};

/* What a row's blocks leave for each other. */
struct shared_row {
    whole weight[DIGITS];
    unsigned count[DIGITS]; /* with top-k */
    struct aim aim;
    whole likely;               /* weight of what min-p keeps */
    unsigned listed;            /* how many there were for the list */
    unsigned list[SAMPLE_LIST]; /* ids, in no order */
    float sum[32];              /* of exponentials, by 32 columns of 1,024 */
    float top[SAMPLE_PARTS], low[SAMPLE_PARTS];
    int32_t id[SAMPLE_PARTS];
};

struct sample {
    int32_t *ids;
    float *logp;
    const float *x;
    struct shared_row *rows;
    uint32_t *arrivals;
    unsigned vocab;
};

/* A block has columns of 1,024, so that each sum of exponentials is one
 * column's in the order of ids, whatever a block has. The thread's first id of
 * the part that begins at id 0; its next one is `next` behind. */
__device__ __forceinline__ unsigned first_id(void)
{
    unsigned columns = SAMPLE_THREADS / gridDim.x;

    return threadIdx.x / columns * SAMPLE_THREADS + blockIdx.x * columns +
           threadIdx.x % columns;
}

__device__ __forceinline__ void some_of(float (&v)[SOME], const struct row &r,
                                        unsigned i)
{
    unsigned next = gridDim.x * SAMPLE_THREADS;

#pragma unroll
    for (unsigned j = 0; j < SOME; j++) {
        v[j] = i < r.vocab ? r.x[i] : -INFINITY;
        i += next;
    }
}

struct best {
    float top, low; /* of those above -INFINITY */
    int32_t id;     /* the smallest one of the largest */
};

__device__ __forceinline__ void best_add(struct best *a, const struct best &b)
{
    a->low = fminf(a->low, b.low);
    if (b.top > a->top || (b.top == a->top && b.id < a->id)) {
        a->top = b.top;
        a->id = b.id;
    }
}

__device__ __forceinline__ void best_warp(struct best *a)
{
#pragma unroll
    for (int d = 16; d > 0; d /= 2) {
        struct best b = { __shfl_xor_sync(0xffffffffu, a->top, d),
                          __shfl_xor_sync(0xffffffffu, a->low, d),
                          __shfl_xor_sync(0xffffffffu, a->id, d) };

        best_add(a, b);
    }
}

/* Each part's best, and the histograms emptied. */
__global__ void __launch_bounds__(SAMPLE_THREADS) top_kernel(struct sample p)
{
    __shared__ struct best warps[SAMPLE_THREADS / 32];
    struct row r = { p.x + (size_t)blockIdx.y * p.vocab, p.vocab, 0, 0, 0 };
    struct shared_row *s = p.rows + blockIdx.y;
    struct best a = { -INFINITY, INFINITY, NOBODY };
    unsigned next = gridDim.x * SAMPLE_THREADS;

    follow_ready();
    follow_wait();
    for (unsigned i = blockIdx.x * SAMPLE_THREADS + threadIdx.x; i < DIGITS;
         i += next)
        s->weight[i] = s->count[i] = 0;
    for (unsigned i = first_id(); i < p.vocab; i += SOME * next) {
        float v[SOME];

        some_of(v, r, i);
#pragma unroll
        for (unsigned j = 0; j < SOME; j++)
            if (v[j] > -INFINITY) {
                struct best b = { v[j], v[j], (int32_t)(i + j * next) };

                best_add(&a, b);
            }
    }
    best_warp(&a);
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = a;
    __syncthreads();
    if (threadIdx.x >= 32)
        return;
    a = warps[threadIdx.x];
    best_warp(&a);
    if (threadIdx.x == 0) {
        s->top[blockIdx.x] = a.top;
        s->low[blockIdx.x] = a.low;
        s->id[blockIdx.x] = a.id;
    }
}

/* The block's row, and *id, that of its largest logit. */
__device__ __forceinline__ struct row
row_of(const struct sample &p, const struct compute_draw &d, int32_t *id)
{
    const struct shared_row *s = p.rows + blockIdx.y;
    struct row r = { p.x + (size_t)blockIdx.y * p.vocab, p.vocab, 0, 0, 0 };
    struct best a = { -INFINITY, INFINITY, NOBODY };
    unsigned lane = threadIdx.x % 32;

    if (lane < gridDim.x) {
        a.top = s->top[lane];
        a.low = s->low[lane];
        a.id = s->id[lane];
    }
    best_warp(&a);
    *id = a.id;
    r.top = a.top;
    if (d.temperature > 0) {
        r.rate = fminf((float)(1.0 / d.temperature), FLT_MAX);
        r.scale = scale_of(r.rate, a.top - a.low);
    }
    return r;
}

/* The row is done. */
__device__ __forceinline__ void choose(const struct sample &p,
                                       const struct row &r, int32_t id)
{
    if (threadIdx.x != 0)
        return;
    p.rows[blockIdx.y].aim.step = STEP_OVER;
    p.ids[blockIdx.y] = id;
    if (p.logp) {
        float sum = 0;

        for (int w = 0; w < 32; w++)
            sum += p.rows[blockIdx.y].sum[w];
        p.logp[blockIdx.y] = r.x[id] - r.top - logf(sum);
    }
}

/* What the row's blocks look for next; h: what runs, the sum of which is more
 * than share. */
__device__ __forceinline__ void aim_at(struct shared_row *s,
                                       const struct digits *h, struct found *f,
                                       enum sample_step step, whole share,
                                       whole mass, whole from)
{
    __syncthreads(); /* f has been read */
    if (threadIdx.x == 0)
        f->before = 0;
    __syncthreads();
    if (threadIdx.x < 32)
        digit_find(f, h, share);
    __syncthreads();
    if (threadIdx.x == 0) {
        struct aim aim = { step, f->digit, f->before, share, mass, from };

        s->aim = aim;
        s->likely = 0;
        s->listed = 0;
    }
}

/* Of weight `kept`, h the weights. */
__device__ __forceinline__ void
aim_draw(struct shared_row *s, const struct digits *h, struct found *f,
         const struct compute_draw &d, whole kept)
{
    whole share = (whole)(d.unit * (double)kept);

    share = share < kept ? share : kept - 1;
    aim_at(s, h, f, STEP_DRAW, share, kept, 0);
}

/* What top-k keeps weighs mass; h the weights. */
__device__ __forceinline__ void
aim_kept(struct shared_row *s, const struct digits *h, struct found *f,
         const struct compute_draw &d, whole mass, whole from)
{
    if (d.top_p > 0 && d.top_p < 1) {
        double want = ceil(d.top_p * (double)mass);
        whole share = want < 1 ? 0 : (whole)want - 1;

        share = share < mass ? share : mass - 1;
        aim_at(s, h, f, STEP_TOP_P, share, mass, from);
    } else if (d.min_p > 0) {
        if (threadIdx.x == 0) {
            struct aim aim = { STEP_TOP_P, 0, 0, 0, mass, from };

            s->aim = aim;
            s->likely = 0;
            s->listed = 0;
        }
    } else {
        aim_draw(s, h, f, d, mass);
    }
}

/* The first search. What has digit 0 weighs nothing, so that it may all be kept
 * where the last one of top-k is among it. */
__device__ __forceinline__ void aim_first(struct shared_row *s,
                                          struct digits *h, struct found *f,
                                          const struct compute_draw &d)
{
    whole sum;

    if (d.top_k > 0) {
        sum = digits_load(h, s->count);
        if ((whole)d.top_k - 1 < sum) {
            aim_at(s, h, f, STEP_TOP_K, (whole)d.top_k - 1, 0, 0);
            return;
        }
    }
    sum = digits_load(h, s->weight);
    aim_kept(s, h, f, d, sum, 0);
}

/* The histogram of all candidates, and sums of exponentials. */
__global__ void __launch_bounds__(SAMPLE_THREADS)
    spread_kernel(struct sample p, struct draws draws)
{
    __shared__ struct digits h;
    __shared__ struct found f;
    __shared__ unsigned counts[DIGITS];
    __shared__ float exps[STEP];
    const struct compute_draw &d = draws.each[blockIdx.y];
    struct shared_row *s = p.rows + blockIdx.y;
    unsigned next = gridDim.x * SAMPLE_THREADS, t = threadIdx.x;
    unsigned columns = SAMPLE_THREADS / gridDim.x, from = first_id();
    struct row r;
    float sum = 0;
    int32_t id;
    bool drawn;

    follow_ready();
    follow_wait();
    r = row_of(p, d, &id);
    drawn = d.temperature > 0 && id != NOBODY && r.top < INFINITY;
    for (unsigned i = t; i < DIGITS; i += SAMPLE_THREADS)
        h.low[i] = h.high[i] = counts[i] = 0;
    for (unsigned at = 0; at < p.vocab && (drawn || p.logp);
         at += SOME * next) {
        float v[SOME];

        some_of(v, r, at + from);
        __syncthreads(); /* exps have been read */
#pragma unroll
        for (unsigned j = 0; j < SOME; j++) {
            if (drawn && v[j] > -INFINITY) {
                unsigned digit = digit_of(r, v[j]);

                if (digit > 0)
                    digit_add(&h, digit, weight_of(r, v[j]));
                if (digit > 0 && d.top_k > 0)
                    atomicAdd(&counts[digit], 1u);
            }
            exps[j * SAMPLE_THREADS + t] = p.logp ? expf(v[j] - r.top) : 0;
        }
        __syncthreads();
        if (t < columns)
            for (unsigned i = t; i < STEP; i += columns)
                sum += exps[i];
    }
    __syncthreads();
    for (unsigned i = t; i < DIGITS && drawn; i += SAMPLE_THREADS) {
        whole w = digit_at(&h, i);

        if (w != 0)
            atomicAdd(&s->weight[i], w);
        if (counts[i] != 0)
            atomicAdd(&s->count[i], counts[i]);
    }
    if (t < columns) {
        sum = cuda_sum_warp(sum);
        if (t % 32 == 0)
            s->sum[(blockIdx.x * columns + t) / 32] = sum;
    }
    if (!block_is_last(p.arrivals + blockIdx.y, gridDim.x))
        return;
    if (drawn)
        aim_first(s, &h, &f, d);
    else
        choose(p, r, id == NOBODY ? 0 : id);
}

/* The block's candidates of the digit go to the list, as far as there is room.
 * With min-p: its weight of what is kept. */
__device__ __forceinline__ void collect(const struct row &r,
                                        struct shared_row *s,
                                        const struct aim &a, double min_p)
{
    unsigned next = gridDim.x * SAMPLE_THREADS, from = first_id();
    unsigned lane = threadIdx.x % 32;
    whole likely = 0;

    for (unsigned at = 0; at < r.vocab; at += SOME * next) {
        float v[SOME];

        some_of(v, r, at + from);
#pragma unroll
        for (unsigned j = 0; j < SOME; j++) {
            unsigned id = at + from + j * next, digit = 0, hits, place = 0;

            if (v[j] > -INFINITY)
                digit = digit_of(r, v[j]);
            if (min_p > 0 && digit > 0 && key_of(v[j], id) >= a.from &&
                (double)expf((v[j] - r.top) * r.rate) >= min_p)
                likely += weight_of(r, v[j]);
            digit = digit == a.digit ? digit : 0;
            hits = __ballot_sync(0xffffffffu, digit > 0);
            if (hits == 0) /* the same for the whole warp */
                continue;
            if (lane == 0)
                place = atomicAdd(&s->listed, (unsigned)__popc(hits));
            place = __shfl_sync(0xffffffffu, place, 0) +
                    (unsigned)__popc(hits & ((1u << lane) - 1));
            if (digit > 0 && place < SAMPLE_LIST)
                s->list[place] = id;
        }
    }
    if (min_p > 0) {
        likely = whole_block(likely);
        if (threadIdx.x == 0 && likely != 0)
            atomicAdd(&s->likely, likely);
    }
}

/* Weight of all whose key is at least `from`, which is one of the bin's. */
__device__ __forceinline__ whole weight_from(const struct row &r,
                                             const struct bin &b,
                                             const struct shared_row *s,
                                             whole from)
{
    whole sum = 0;

    for (unsigned i = threadIdx.x; i < DIGITS; i += SAMPLE_THREADS)
        sum += i > b.digit ? s->weight[i] : 0;
    for (unsigned i = threadIdx.x; i < b.n; i += STEP) {
        unsigned id[SOME];
        float v[SOME];

        some_of_bin(v, id, r, b, i);
#pragma unroll
        for (unsigned j = 0; j < SOME; j++)
            if (v[j] > -INFINITY && key_of(v[j], id[j]) >= from)
                sum += weight_of(r, v[j]);
    }
    return whole_block(sum);
}

/* One search of all rows whose next it is. */
__global__ void __launch_bounds__(SAMPLE_THREADS)
    search_kernel(struct sample p, enum sample_step step, struct draws draws)
{
    __shared__ struct digits h;
    __shared__ struct found f;
    const struct compute_draw &d = draws.each[blockIdx.y];
    struct shared_row *s = p.rows + blockIdx.y;
    struct bin b = { s->list, 0, 0 };
    struct aim a;
    struct row r;
    whole at, less;
    int32_t id;

    follow_ready();
    follow_wait();
    a = s->aim;
    if (a.step != step)
        return;
    r = row_of(p, d, &id);
    collect(r, s, a, step == STEP_TOP_P ? d.min_p : 0);
    if (!block_is_last(p.arrivals + blockIdx.y, gridDim.x))
        return;
    b.digit = a.digit;
    b.n = s->listed;
    if (b.n > SAMPLE_LIST) {
        b.ids = NULL;
        b.n = p.vocab;
    }
    at = less = a.mass;
    if (a.digit > 0)
        at = search(r, b, &h, &f, a.before, a.share, step == STEP_TOP_K, &less);
    if (step == STEP_DRAW) {
        choose(p, r, (int32_t)id_of(at));
        return;
    }
    if (step == STEP_TOP_K) {
        less = weight_from(r, b, s, at);
    } else if (d.min_p > 0) { /* the best one is always kept */
        whole likely = s->likely > 0 ? s->likely : SAMPLE_ONE;

        less = likely < less ? likely : less;
    }
    (void)digits_load(&h, s->weight);
    if (step == STEP_TOP_K)
        aim_kept(s, &h, &f, d, less, at);
    else
        aim_draw(s, &h, &f, d, less);
}

/* Blocks that share a row: as many as have some logits for each thread. */
static unsigned parts_of(size_t rows, size_t vocab)
{
    unsigned parts = SAMPLE_PARTS;

    while (parts > 1 &&
           (rows * parts > SAMPLE_BLOCKS || parts / 2 * (size_t)STEP >= vocab))
        parts /= 2;
    return parts;
}

static void sample_rows(struct cuda *c, const struct sample &p,
                        const struct compute_draw *each, size_t rows)
{
    dim3 grid(parts_of(rows, p.vocab), (unsigned)rows);
    struct draws draws = {};
    bool any[STEP_DRAW + 1] = {};

    for (size_t i = 0; i < rows; i++) {
        const struct compute_draw *d = draws.each + i;

        draws.each[i] = each[i];
        if (!(d->temperature > 0))
            continue;
        any[STEP_TOP_K] = any[STEP_TOP_K] || d->top_k > 0;
        any[STEP_TOP_P] =
            any[STEP_TOP_P] || (d->top_p > 0 && d->top_p < 1) || d->min_p > 0;
        any[STEP_DRAW] = true;
    }
    cuda_follow(c, "sample", top_kernel, grid, SAMPLE_THREADS, 0, p);
    cuda_follow(c, "sample", spread_kernel, grid, SAMPLE_THREADS, 0, p, draws);
    for (int step = STEP_TOP_K; step <= STEP_DRAW; step++)
        if (any[step])
            cuda_follow(c, "sample", search_kernel, grid, SAMPLE_THREADS, 0, p,
                        (enum sample_step)step, draws);
}

void cuda_op_sample(struct compute *base, struct compute_span ids,
                    struct compute_span logp, struct compute_span logits,
                    const struct compute_draw *each, size_t rows, size_t vocab)
{
    struct cuda *c = cuda_of(base);
    size_t most = rows < SAMPLE_ROWS ? rows : SAMPLE_ROWS;
    struct sample p = {};

    assert(vocab < (size_t)1 << (SAMPLE_ID_BITS - 1));
    if (rows == 0 || vocab == 0 ||
        !cuda_scratch_begin(c, cuda_scratch_room(most * sizeof(*p.rows))))
        return;
    p.rows = (struct shared_row *)cuda_scratch(c, most * sizeof(*p.rows));
    p.arrivals = c->arrivals;
    p.vocab = (unsigned)vocab;
    for (size_t at = 0; at < rows; at += SAMPLE_ROWS) {
        p.ids = cuda_i32(ids) + at;
        p.logp = logp.buf ? cuda_f32(logp) + at : NULL;
        p.x = cuda_f32(logits) + at * vocab;
        sample_rows(c, p, each + at,
                    rows - at < SAMPLE_ROWS ? rows - at : SAMPLE_ROWS);
    }
}
