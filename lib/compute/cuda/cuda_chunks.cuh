/*
 * cuda_chunks.cuh - private to the CUDA plugin: recurrences over chunks of rows
 *
 * The scan and the delta rule are one recurrence: for each head a state S
 * [key, value], S = decay S + k u', y = S' q. With l the sum of the logarithms
 * of decays since the chunk began, S0 the state before it and i, j its rows:
 *   y_i = e^l_i S0' q_i + sum over j <= i of P_ij u_j,
 *   P_ij = e^(l_i - l_j) q_i k_j, S_L = e^l_L S0 + sum e^(l_L - l_j) k_j u_j'
 * so that a chunk is a few products of tiles and only the states go in order.
 * The gradient has the same form, with D, the gradient of the state behind a
 * chunk, in S0's place. What u is, and what becomes of its gradient, is the
 * business of the rule.
 * l is a sum in double, kept as two floats: a difference of two large ones
 * must still be right.
 */
#ifndef CUDA_CHUNKS_CUH
#define CUDA_CHUNKS_CUH

#include "compute/cuda/cuda_vector.cuh"

#define CUDA_CHUNK COMPUTE_CHUNK
#define CUDA_CHUNK_THREADS 256 /* of every kernel with products */
#define CUDA_CHUNK_HEADS 8     /* that share a partial sum of dq and dk */
#define CUDA_CHUNK_PAIRS ((size_t)CUDA_CHUNK * CUDA_CHUNK)
#define CUDA_STEP_ROWS 16 /* of a sequence that is done row by row */
#define CUDA_STEP_KEY 256 /* elements of the state's column, at most */

/* Chunks and documents of a call, from host arrays. */
struct cuda_chunks {
    const int32_t *chunk; /* [count][3]: first row, rows, document */
    const int32_t *doc;   /* [docs + 1][3]: first chunk, slot, begins fresh */
    const int32_t *step;  /* [steps][4]: first row, rows, slot, fresh: the
                           * sequences that are done row by row */
    int count, docs, steps;
};

/* Sequences with a slot and few rows become steps, if wanted. False after an
 * error, or if there is nothing to do. */
bool cuda_chunks_plan(struct cuda *c, const struct compute_sequences *s,
                      bool steps, struct cuda_chunks *out);

/* Kernels by the type of activations and the kind of products. */
enum cuda_variant {
    CUDA_VARIANT_F32,
    CUDA_VARIANT_F32_TENSOR, /* products in tf32 */
    CUDA_VARIANT_BF16_TENSOR,
    CUDA_VARIANT_ANY
};
enum cuda_variant cuda_variant_of(const struct cuda *c,
                                  const struct cuda_operand *o, size_t count);
/* The function run<type, whether products are tensor cores'>(...). */
#define CUDA_VARIANTS(variant, run, ...)                                       \
    switch (variant) {                                                         \
    case CUDA_VARIANT_F32: run<CUDA_F32, false>(__VA_ARGS__); break;           \
    case CUDA_VARIANT_F32_TENSOR: run<CUDA_F32, true>(__VA_ARGS__); break;     \
    case CUDA_VARIANT_BF16_TENSOR: run<CUDA_BF16, true>(__VA_ARGS__); break;   \
    case CUDA_VARIANT_ANY: run<CUDA_ANY, false>(__VA_ARGS__); break;           \
    }

/* Scratch of one operation, piece by piece. */
struct cuda_piece {
    float **to;
    size_t floats;
};
bool cuda_pieces(struct cuda *c, const struct cuda_piece *p, size_t count);

/* A recurrence as kernels see it. Arrays by chunk, head and row are [chunks]
 * [heads][CUDA_CHUNK]; rows that a short chunk lacks have no decay and factor
 * 0. */
struct cuda_mix {
    struct cuda_chunks plan;
    enum cuda_variant variant;
    bool delta;
    int rows, heads, groups, each; /* each: heads of a group */
    int key, value;
    int parts;                   /* of a group's heads, in partial sums */
    size_t stride;               /* of q, k, x and their gradients */
    struct cuda_operand q, k, x; /* x: the scan's x, the delta rule's v */
    struct cuda_operand y, dy;   /* dense */
    struct cuda_operand dq, dk, dx;
    const float *skip; /* the scan's d */
    /* 1 over the lengths of q and k, [rows][groups]; NULL: as they come */
    float *q_scale, *k_scale;
    float *hi, *lo;        /* l, inclusive */
    float *lambda, *slope; /* log of the decay, and its derivative */
    float *factor;         /* t of the scan, beta of the delta rule */
    float *qk, *kk;        /* [chunks][groups][row i of q][row j of k] */
    float *inverse;        /* delta: T, [chunks][heads][i][j] */
    float *miss;           /* delta: v - S'k, [rows][heads * value] */
    float *u;              /* delta: what k is added with, the same */
    float *du;             /* delta: its gradient, then T' du, the same */
    float *before, *after; /* S0 and D: [chunks][heads][key][value] */
    float *hp, *ha;        /* sums over heads of the gradients of qk, kk:
                            * [chunks][groups][parts][i][j] */
    float *crossing;       /* gradient of the decay between rows of a chunk */
    float *row_dots;       /* [key tiles][2] of: what S0 and D add to it */
    float *dbeta;          /* delta */
    float *xdu, *xdy;      /* scan: [value tiles] of: x du, x dy */
    float *keys;           /* [parts][rows][2][groups * key]: dq, dk */
};

static inline size_t cuda_mix_state(const struct cuda_mix &m)
{
    return (size_t)m.key * m.value;
}
/* Of an array by chunk, head and row. */
static __host__ __device__ inline size_t
cuda_mix_scalars(const struct cuda_mix &m)
{
    return (size_t)m.plan.count * m.heads * CUDA_CHUNK;
}
static inline int cuda_mix_tiles(int n)
{
    return (n + CUDA_CHUNK - 1) / CUDA_CHUNK;
}

/* qk, and kk if the rule is delta's. */
void cuda_mix_pairs(struct cuda *c, const struct cuda_mix &m);
/* What each chunk adds to the state: sums of e^(l_L - l_j) k_j u_j', or of
 * e^l_i q_i dy_i' for the gradient. */
void cuda_mix_updates(struct cuda *c, const struct cuda_mix &m, float *states,
                      bool gradient);
/* y from before, qk and u. */
void cuda_mix_output(struct cuda *c, const struct cuda_mix &m);
/* du from after, qk and dy, and dx where it is the scan's; without `after`
 * (delta): of the chunk alone, into du. */
void cuda_mix_inner(struct cuda *c, const struct cuda_mix &m);
/* hp, ha, crossing, row_dots, dbeta, keys; then crossing is the gradient of
 * lambda, [chunks][heads][row]. */
void cuda_mix_keys(struct cuda *c, const struct cuda_mix &m);
void cuda_mix_decays(struct cuda *c, const struct cuda_mix &m);
/* dq and dk from keys, through the lengths where there are any. */
void cuda_mix_finish(struct cuda *c, const struct cuda_mix &m);
/* to[h] += sum over rows of a[chunk][h][row] b[same] (b NULL: 1). */
void cuda_mix_heads(struct cuda *c, const struct cuda_mix &m, float *to,
                    const float *a, const float *b);

/* ---- for kernels ---- */

/* log(1 + e^x) and its derivative. */
static __device__ __forceinline__ float cuda_softplus(float x, float *slope)
{
    *slope = 1 / (1 + expf(-x));
    return x > 20 ? x : log1pf(expf(x));
}

/* lambda of rows 2 lane and 2 lane + 1: l of the chunk, by a whole warp. */
static __device__ __forceinline__ void
cuda_sum_decays(const struct cuda_mix &m, size_t at, float a, float b)
{
    int lane = (int)threadIdx.x % 32;
    double pair = (double)a + (double)b, sum = pair, one;

    for (int d = 1; d < 32; d *= 2) {
        double other = __shfl_up_sync(0xffffffffu, sum, d);

        if (lane >= d)
            sum += other;
    }
    one = sum - pair + (double)a;
    at += (size_t)lane * 2;
    m.hi[at] = (float)one;
    m.lo[at] = (float)(one - (double)(float)one);
    m.hi[at + 1] = (float)sum;
    m.lo[at + 1] = (float)(sum - (double)(float)sum);
    m.lambda[at] = a;
    m.lambda[at + 1] = b;
}

#endif
