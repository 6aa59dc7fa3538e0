/*
 * cuda_delta.cu - the gated delta rule, by chunks or, for a few rows of a
 * sequence, row by row
 *
 * What a row adds depends on all rows of its chunk before it: u = beta (v -
 * e^l S0' k) - A u with the strictly lower A_ij = beta_i e^(l_i - l_j) k_i k_j.
 * T = (I + A)^-1 does not depend on the state and is found for all chunks at
 * once; then a block carries 32 columns of a state from chunk to chunk, three
 * products each, and the outputs of all chunks follow at once. 4,096 rows of
 * 32 heads of 128 x 128 are 19 GFLOP, 288 us at the f32 peak of an H200, of
 * which 10.7 go in order, in as many blocks as documents x heads x 4: with one
 * document 128 blocks take 64 chunks one after the other, 20 slabs each, whose
 * latency bounds it: 5 us a chunk.
 */
#include "compute/cuda/cuda_delta.cuh"
#include "compute/cuda/cuda_reduce.h"

#include <assert.h>
#include <string.h>

#define WARPS (TILE_THREADS / 32)

struct delta_inputs {
    cuda_vec<CUDA_ANY> a, b;
    const float *a_log, *dt_bias;
    float eps;
};

static struct delta_inputs inputs_of(const struct compute_delta *v)
{
    struct delta_inputs in;

    in.a = cuda_vec_of<CUDA_ANY>(cuda_at(v->a));
    in.b = cuda_vec_of<CUDA_ANY>(cuda_at(v->b));
    in.a_log = cuda_f32(v->a_log);
    in.dt_bias = cuda_f32(v->dt_bias);
    in.eps = v->eps;
    return in;
}

/* The logarithm of a row's decay, and its derivative to a. */
static __device__ __forceinline__ float
decay_of(const struct delta_inputs &in, size_t at, int head, float *slope)
{
    float a[1], rate = -expf(in.a_log[head]), log_decay;

    in.a.get(a, at);
    log_decay = rate * cuda_softplus(a[0] + in.dt_bias[head], slope);
    *slope *= rate;
    return log_decay;
}

static __device__ __forceinline__ float beta_of(const struct delta_inputs &in,
                                                size_t at)
{
    float b[1];

    in.b.get(b, at);
    return 1 / (1 + expf(-b[0]));
}

/* A warp for each chunk and head. */
static __global__ void __launch_bounds__(TILE_THREADS)
    decays_kernel(struct cuda_mix m, struct delta_inputs in)
{
    int head = (int)(blockIdx.y * WARPS + threadIdx.x / 32);
    struct chunk_place p = place_of(m, (int)blockIdx.x, 0);
    int lane = (int)threadIdx.x % 32;
    float lambda[2] = { 0, 0 };

    if (head >= m.heads) /* a whole warp */
        return;
    p.scalars += (size_t)head * CUDA_CHUNK;
    for (int j = 0; j < 2; j++) {
        int i = 2 * lane + j;
        size_t at = (size_t)(p.first + i) * m.heads + head;
        float beta = 0, slope = 0;

        if (i < p.rows) {
            lambda[j] = decay_of(in, at, head, &slope);
            beta = beta_of(in, at);
        }
        m.factor[p.scalars + i] = beta;
        m.slope[p.scalars + i] = slope;
    }
    cuda_sum_decays(m, p.scalars, lambda[0], lambda[1]);
}

/* 1 over the length of x[0..n), by a warp. */
static __device__ __forceinline__ float unit_of(const cuda_vec<CUDA_ANY> &x,
                                                size_t at, int n, float eps)
{
    float sum = 0;

    for (int i = (int)threadIdx.x % 32; i < n; i += 32) {
        float v = element<CUDA_ANY>(x, at + i, true);

        sum = fmaf(v, v, sum);
    }
    return 1 / sqrtf(cuda_sum_warp(sum) + eps);
}

/* A warp for a row of a key head. */
static __global__ void __launch_bounds__(TILE_THREADS)
    units_kernel(struct cuda_mix m, float eps)
{
    size_t task = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    size_t row = task / m.groups, at;
    float q, k;

    if (row >= (size_t)m.rows)
        return;
    at = row * m.stride + task % m.groups * m.key;
    q = unit_of(vec_of<CUDA_ANY>(m.q), at, m.key, eps);
    k = unit_of(vec_of<CUDA_ANY>(m.k), at, m.key, eps);
    if (threadIdx.x % 32 == 0) {
        m.q_scale[task] = q / sqrtf((float)m.key);
        m.k_scale[task] = k;
    }
}

/* T = (I + A)^-1 column by column, a thread for each: its rows in order. */
#define INVERSE_STRIDE (TILE + 1)
static __global__ void __launch_bounds__(TILE) inverse_kernel(struct cuda_mix m)
{
    __shared__ float a[TILE * TILE], t[TILE * INVERSE_STRIDE];
    __shared__ struct chunk_rows s;
    struct chunk_place p = place_of(m, (int)blockIdx.x, (int)blockIdx.y);
    int j = (int)threadIdx.x;
    float *out = m.inverse + p.scalars * TILE;

    rows_get(&s, m, p);
    __syncthreads();
    for (int i = 0; i < TILE; i++)
        a[i * TILE + j] = j < i && i < p.rows
                              ? s.factor[i] * rows_decay(s, i, j) *
                                    m.kk[p.pairs + i * TILE + j]
                              : 0;
    __syncthreads();
    for (int i = 0; i < TILE; i++) {
        float sum[4] = { i == j ? 1.0f : 0.0f, 0, 0, 0 };

        /* Four sums, so that a step need not wait for the one before. */
        for (int k = 0; k < i; k += 4)
#pragma unroll
            for (int n = 0; n < 4; n++)
                if (k + n < i)
                    sum[n] = fmaf(-a[i * TILE + k + n],
                                  t[(k + n) * INVERSE_STRIDE + j], sum[n]);
        t[i * INVERSE_STRIDE + j] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        out[i * TILE + j] = t[i * INVERSE_STRIDE + j];
    }
}

/* Columns v0.. of a head's state through a document's chunks: the states
 * before each, miss and u. */
template <int T, bool M>
__global__ void __launch_bounds__(TILE_THREADS, 2)
    walk_kernel(struct cuda_mix m, float *slots)
{
    __shared__ __align__(16) float memory[TILE_FLOATS];
    __shared__ struct chunk_rows s;
    const int N = DELTA_COLUMNS;
    const int32_t *doc = m.plan.doc + 3 * blockIdx.x;
    int head = (int)blockIdx.y, v0 = (int)blockIdx.z * N;
    cuda_vec<T> k = vec_of<T>(m.k);
    size_t size = (size_t)m.key * m.value, dense = (size_t)m.heads * m.value;
    float *slot =
        slots ? slots + ((size_t)doc[1] * m.heads + head) * size : NULL;

    for (int i = (int)threadIdx.x; i < m.key * N; i += TILE_THREADS) {
        size_t to = (size_t)(i / N) * m.value + v0 + i % N;

        if (v0 + i % N < m.value)
            m.before[((size_t)doc[0] * m.heads + head) * size + to] =
                slot && !doc[2] ? slot[to] : 0;
    }
    for (int chunk = doc[0]; chunk < doc[3]; chunk++) {
        struct chunk_place p = place_of(m, chunk, head);
        const float *from = m.before + p.state;
        float *next = m.before + p.state + (size_t)m.heads * size;

        if (chunk + 1 == doc[3])
            next = slot;
        __syncthreads();
        rows_get(&s, m, p);
        __syncthreads();
        delta_changes<T, M, N>(m, p, s, memory, v0);
        __syncthreads();
        for (int n0 = 0; next && n0 < m.key; n0 += TILE) {
            float acc[N / 4];

            tile_clear<N>(acc);
            tile_product<N, M, false, false>(
                acc, memory, p.rows,
                [&](int n, int j) {
                    return element<T>(k,
                                      (size_t)(p.first + j) * m.stride +
                                          (size_t)p.group * m.key + n0 + n,
                                      n0 + n < m.key) *
                           s.k[j];
                },
                [&](int v, int j) {
                    return v0 + v < m.value
                               ? m.u[(size_t)(p.first + j) * dense +
                                     (size_t)head * m.value + v0 + v]
                               : 0;
                });
#pragma unroll
            for (int e = 0; e < N / 4; e++) {
                int n = n0 + tile_row<N, M>(e), v = v0 + tile_col<N, M>(e);
                size_t at = (size_t)n * m.value + v;

                if (n < m.key && v < m.value)
                    next[at] = fmaf(from[at], s.all, acc[e]);
            }
        }
    }
}

/* The same for chunks whose states are known. */
template <int T, bool M>
__global__ void __launch_bounds__(TILE_THREADS, 2)
    again_kernel(struct cuda_mix m)
{
    __shared__ __align__(16) float memory[TILE_FLOATS];
    __shared__ struct chunk_rows s;
    struct chunk_place p = place_of(m, (int)blockIdx.x, (int)blockIdx.y);

    rows_get(&s, m, p);
    __syncthreads();
    delta_changes<T, M, TILE>(m, p, s, memory, (int)blockIdx.z * TILE);
}

template <int T, bool M>
static void again_run(struct cuda *c, const struct cuda_mix &m)
{
    dim3 grid((unsigned)m.plan.count, (unsigned)m.heads,
              (unsigned)cuda_mix_tiles(m.value));

    again_kernel<T, M><<<grid, TILE_THREADS, 0, c->stream>>>(m);
}

void cuda_delta_again(struct cuda *c, const struct cuda_mix &m)
{
    CUDA_VARIANTS(m.variant, again_run, c, m)
    cuda_launched(c, "delta");
}

/* ---- row by row ---- */

/* 32 columns of a head's state, those of a warp 8 elements apart: each thread
 * has PER of them in registers. */
template <int PER>
static __global__ void __launch_bounds__(TILE_THREADS)
    step_kernel(struct cuda_mix m, struct delta_inputs in, float *slots)
{
    __shared__ float sums[2][WARPS][32];
    const int32_t *step = m.plan.step + 4 * blockIdx.x;
    int head = (int)blockIdx.y, group = head / m.each;
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    int column = (int)blockIdx.z * 32 + lane;
    bool valid = column < m.value;
    float *slot = slots + ((size_t)step[2] * m.heads + head) * m.key * m.value;
    cuda_vec<CUDA_ANY> q = vec_of<CUDA_ANY>(m.q), k = vec_of<CUDA_ANY>(m.k);
    cuda_vec<CUDA_ANY> x = vec_of<CUDA_ANY>(m.x), y = vec_of<CUDA_ANY>(m.y);
    float state[PER];

#pragma unroll
    for (int i = 0; i < PER; i++) {
        int n = warp + i * WARPS;

        state[i] = valid && n < m.key && !step[3]
                       ? slot[(size_t)n * m.value + column]
                       : 0;
    }
    for (int row = step[0]; row < step[0] + step[1]; row++) {
        size_t at = (size_t)row * m.stride + (size_t)group * m.key;
        size_t scalar = (size_t)row * m.heads + head;
        float slope, decay = expf(decay_of(in, scalar, head, &slope));
        float q_unit = unit_of(q, at, m.key, in.eps) / sqrtf((float)m.key);
        float k_unit = unit_of(k, at, m.key, in.eps), sum = 0, change;

#pragma unroll
        for (int i = 0; i < PER; i++) {
            int n = warp + i * WARPS;

            state[i] *= decay;
            sum = fmaf(element<CUDA_ANY>(k, at + n, n < m.key), state[i], sum);
        }
        sums[0][warp][lane] = sum * k_unit;
        __syncthreads();
        change = element<CUDA_ANY>(
            x, (size_t)row * m.stride + (size_t)head * m.value + column, valid);
        for (int w = 0; w < WARPS; w++)
            change -= sums[0][w][lane];
        change *= beta_of(in, scalar) * k_unit;
        sum = 0;
#pragma unroll
        for (int i = 0; i < PER; i++) {
            int n = warp + i * WARPS;

            state[i] =
                fmaf(element<CUDA_ANY>(k, at + n, n < m.key), change, state[i]);
            sum = fmaf(element<CUDA_ANY>(q, at + n, n < m.key), state[i], sum);
        }
        sums[1][warp][lane] = sum;
        __syncthreads();
        if (warp == 0 && valid) {
            float out[1] = { 0 };

            for (int w = 0; w < WARPS; w++)
                out[0] += sums[1][w][lane];
            out[0] *= q_unit;
            y.put(scalar * m.value + column, out);
        }
    }
#pragma unroll
    for (int i = 0; i < PER; i++) {
        int n = warp + i * WARPS;

        if (valid && n < m.key)
            slot[(size_t)n * m.value + column] = state[i];
    }
}

static void steps(struct cuda *c, const struct cuda_mix &m,
                  const struct delta_inputs &in, float *slots)
{
    dim3 grid((unsigned)m.plan.steps, (unsigned)m.heads,
              (unsigned)cuda_ceil_div(m.value, 32));

    if (m.key <= 4 * WARPS)
        step_kernel<4><<<grid, TILE_THREADS, 0, c->stream>>>(m, in, slots);
    else if (m.key <= 16 * WARPS)
        step_kernel<16><<<grid, TILE_THREADS, 0, c->stream>>>(m, in, slots);
    else
        step_kernel<32><<<grid, TILE_THREADS, 0, c->stream>>>(m, in, slots);
    cuda_launched(c, "delta");
}

/* ---- the operation ---- */

struct cuda_mix cuda_delta_mix(const struct compute_delta *v)
{
    struct cuda_mix m;

    memset(&m, 0, sizeof(m));
    m.delta = true;
    m.rows = v->s.starts[v->s.docs];
    m.heads = (int)v->value_heads;
    m.groups = (int)v->key_heads;
    m.each = m.heads / m.groups;
    m.key = (int)v->key_dim;
    m.value = (int)v->value_dim;
    m.parts = (int)cuda_ceil_div(m.each, CUDA_CHUNK_HEADS);
    m.stride = v->stride;
    m.q = cuda_at(v->q);
    m.k = cuda_at(v->k);
    m.x = cuda_at(v->v);
    m.y = cuda_at(v->o);
    m.before = cuda_f32(v->kept);
    return m;
}

size_t cuda_delta_pieces(struct cuda_mix &m, struct cuda_piece *p)
{
    size_t n = cuda_mix_scalars(m), units = (size_t)m.rows * m.groups;
    size_t pairs = (size_t)m.plan.count * m.groups * CUDA_CHUNK_PAIRS;
    struct cuda_piece all[] = {
        { &m.hi, n },          { &m.lo, n },
        { &m.lambda, n },      { &m.slope, n },
        { &m.factor, n },      { &m.q_scale, units },
        { &m.k_scale, units }, { &m.qk, pairs },
        { &m.kk, pairs },      { &m.inverse, n * TILE },
    };

    static_assert(sizeof(all) == CUDA_DELTA_PIECES * sizeof(*p), "all pieces");
    memcpy(p, all, sizeof(all));
    return CUDA_DELTA_PIECES;
}

void cuda_delta_prepare(struct cuda *c, const struct cuda_mix &m,
                        const struct compute_delta *v)
{
    dim3 decays((unsigned)m.plan.count,
                (unsigned)cuda_ceil_div(m.heads, WARPS));
    dim3 heads((unsigned)m.plan.count, (unsigned)m.heads);

    decays_kernel<<<decays, TILE_THREADS, 0, c->stream>>>(m, inputs_of(v));
    cuda_launched(c, "delta");
    units_kernel<<<(unsigned)cuda_ceil_div((size_t)m.rows * m.groups, WARPS),
                   TILE_THREADS, 0, c->stream>>>(m, v->eps);
    cuda_launched(c, "delta");
    cuda_mix_pairs(c, m);
    inverse_kernel<<<heads, TILE, 0, c->stream>>>(m);
    cuda_launched(c, "delta");
}

template <int T, bool M>
static void walk_run(struct cuda *c, const struct cuda_mix &m, float *slots)
{
    dim3 grid((unsigned)m.plan.docs, (unsigned)m.heads,
              (unsigned)cuda_ceil_div(m.value, DELTA_COLUMNS));

    walk_kernel<T, M><<<grid, TILE_THREADS, 0, c->stream>>>(m, slots);
}

/* kept, where present, takes the states. */
static void chunks(struct cuda *c, struct cuda_mix &m,
                   const struct compute_delta *v)
{
    struct cuda_piece p[CUDA_DELTA_PIECES + 3];
    size_t n = cuda_delta_pieces(m, p), dense = (size_t)m.rows * m.heads;

    p[n].to = &m.miss;
    p[n++].floats = dense * m.value;
    p[n].to = &m.u;
    p[n++].floats = dense * m.value;
    if (!m.before) {
        p[n].to = &m.before;
        p[n++].floats = (size_t)m.plan.count * m.heads * cuda_mix_state(m);
    }
    if (!cuda_pieces(c, p, n))
        return;
    cuda_delta_prepare(c, m, v);
    CUDA_VARIANTS(m.variant, walk_run, c, m, cuda_f32(v->s.state))
    cuda_launched(c, "delta");
    cuda_mix_output(c, m);
}

void cuda_op_delta(struct compute *base, const struct compute_delta *v)
{
    struct cuda *c = cuda_of(base);
    bool few = !v->kept.buf && v->key_dim <= CUDA_STEP_KEY;
    struct cuda_mix m;

    if (v->s.docs == 0 || v->value_heads == 0)
        return;
    m = cuda_delta_mix(v);
    if (!cuda_chunks_plan(c, &v->s, few, &m.plan))
        return;
    {
        struct cuda_operand types[] = { m.q, m.k, m.x, m.y };

        m.variant = cuda_variant_of(c, types, 4);
    }
    if (m.plan.steps > 0)
        steps(c, m, inputs_of(v), cuda_f32(v->s.state));
    if (m.plan.count > 0)
        chunks(c, m, v);
}
