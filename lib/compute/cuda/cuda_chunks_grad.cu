/*
 * cuda_chunks_grad.cu - recurrences over chunks of rows, backward
 *
 * As cuda_chunks.cu. Gradients of q and k are sums over the heads of a group:
 * a block adds those of CUDA_CHUNK_HEADS heads in registers, what remains goes
 * through scratch in a fixed order. The gradient of a row's decay is the sum
 * of what passes it: from rows before it (or the state) to rows behind it;
 * nothing is subtracted, so that weak decays lose no digits to strong ones.
 */
#include "compute/cuda/cuda_chunk_tiles.cuh"
#include "compute/cuda/cuda_reduce.h"

#include <assert.h>

/* ---- the gradient of u ---- */

/* Delta: of the chunk alone, into du. Scan: dx, and what of it the step t and
 * d get. */
template <int T, bool M, bool D>
__global__ void __launch_bounds__(TILE_THREADS, 2)
    inner_kernel(struct cuda_mix m)
{
    __shared__ __align__(16) float memory[TILE_FLOATS];
    __shared__ float sums[2][2 * TILE];
    __shared__ struct chunk_rows s;
    struct chunk_place p = place_of(m, (int)blockIdx.x, (int)blockIdx.y);
    int v0 = (int)blockIdx.z * TILE;
    cuda_vec<T> k = vec_of<T>(m.k), x = vec_of<T>(m.x), dy = vec_of<T>(m.dy);
    cuda_vec<T> dx = vec_of<T>(m.dx);
    size_t dense = (size_t)m.heads * m.value, at = (size_t)p.head * m.value;
    float acc[16], xdu[16], xdy[16];

    rows_get(&s, m, p);
    __syncthreads();
    tile_clear<64>(acc);
    if (!D)
        tile_product<64, M, true, false>(
            acc, memory, m.key,
            [&](int j, int n) {
                return element<T>(k,
                                  (size_t)(p.first + j) * m.stride +
                                      (size_t)p.group * m.key + n,
                                  j < p.rows) *
                       s.k[j];
            },
            [&](int v, int n) {
                return v0 + v < m.value
                           ? m.after[p.state + (size_t)n * m.value + v0 + v]
                           : 0;
            });
    tile_product<64, M, false, false>(
        acc, memory, p.rows,
        [&](int j, int i) {
            return rows_decay(s, i, j) * m.qk[p.pairs + i * TILE + j];
        },
        [&](int v, int i) {
            return element<T>(dy, (size_t)(p.first + i) * dense + at + v0 + v,
                              v0 + v < m.value);
        });
#pragma unroll
    for (int e = 0; e < 16; e++) {
        int j = tile_row<64, M>(e), v = v0 + tile_col<64, M>(e);
        bool valid = j < p.rows && v < m.value;
        size_t row = (size_t)(p.first + j);

        if (D) {
            if (valid)
                m.du[row * dense + at + v] = acc[e];
        } else {
            float in = element<T>(x, row * m.stride + at + v, valid);
            float d = element<T>(dy, row * dense + at + v, valid);
            float out[1] = { s.factor[j] * acc[e] + m.skip[p.head] * d };

            xdu[e] = in * acc[e];
            xdy[e] = in * d;
            if (valid)
                dx.put(row * m.stride + at + v, out);
        }
    }
    if (!D) {
        size_t to = blockIdx.z * cuda_mix_scalars(m) + p.scalars + threadIdx.x;

        tile_row_sums<M>(xdu, sums[0]);
        tile_row_sums<M>(xdy, sums[1]);
        __syncthreads();
        if (threadIdx.x < TILE) {
            m.xdu[to] = sums[0][2 * threadIdx.x] + sums[0][2 * threadIdx.x + 1];
            m.xdy[to] = sums[1][2 * threadIdx.x] + sums[1][2 * threadIdx.x + 1];
        }
    }
}

template <int T, bool M>
static void inner_run(struct cuda *c, const struct cuda_mix &m)
{
    dim3 grid((unsigned)m.plan.count, (unsigned)m.heads,
              (unsigned)cuda_mix_tiles(m.value));

    if (m.delta)
        inner_kernel<T, M, true><<<grid, TILE_THREADS, 0, c->stream>>>(m);
    else
        inner_kernel<T, M, false><<<grid, TILE_THREADS, 0, c->stream>>>(m);
}

void cuda_mix_inner(struct cuda *c, const struct cuda_mix &m)
{
    CUDA_VARIANTS(m.variant, inner_run, c, m)
    cuda_launched(c, "gradient of u");
}

/* ---- pairs of rows ---- */

/* Heads of a block that adds over some of a group's. */
struct part_place {
    int group, part, head, end;
    size_t pairs; /* of [chunks][groups][parts][64][64] */
};

static __device__ __forceinline__ struct part_place
part_of(const struct cuda_mix &m)
{
    struct part_place h;
    int end;

    h.group = (int)blockIdx.y / m.parts;
    h.part = (int)blockIdx.y % m.parts;
    h.head = h.group * m.each + h.part * CUDA_CHUNK_HEADS;
    h.end = h.head + CUDA_CHUNK_HEADS;
    end = (h.group + 1) * m.each;
    h.end = h.end < end ? h.end : end;
    h.pairs = ((size_t)blockIdx.x * m.groups * m.parts + blockIdx.y) *
              CUDA_CHUNK_PAIRS;
    return h;
}

#define CROSS (TILE + 1) /* row stride */

/* out[r] = sum of x[i][j] over i >= r > j. x is used up. */
static __device__ void sum_crossing(float *x, float (*tails)[TILE], float *out)
{
    int thread = (int)threadIdx.x, j = thread % TILE, part = thread / TILE;
    int r = thread / 4;
    float sum = 0;

    __syncthreads();
    for (int i = part * 16 + 15; i >= part * 16; i--) {
        sum += x[i * CROSS + j];
        x[i * CROSS + j] = sum;
    }
    tails[part][j] = sum;
    __syncthreads();
    sum = 0;
    for (j = thread % 4; j < r; j += 4) {
        sum += x[r * CROSS + j];
        for (part = r / 16 + 1; part < 4; part++)
            sum += tails[part][j];
    }
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    if (thread % 4 == 0)
        out[r] = sum;
}

template <int T, bool M, bool D>
__global__ void __launch_bounds__(TILE_THREADS, 2)
    pairs_grad_kernel(struct cuda_mix m)
{
    __shared__ __align__(16) float memory[TILE_FLOATS];
    __shared__ float cross[TILE * CROSS], tails[4][TILE], sums[2 * TILE];
    __shared__ struct chunk_rows s;
    struct part_place part = part_of(m);
    cuda_vec<T> dy = vec_of<T>(m.dy);
    size_t dense = (size_t)m.heads * m.value;
    float hp[16], ha[16];

    tile_clear<64>(hp);
    tile_clear<64>(ha);
    for (int head = part.head; head < part.end; head++) {
        struct chunk_place p = place_of(m, (int)blockIdx.x, head);
        size_t at = (size_t)head * m.value;
        float acc[16], miss[16];

        __syncthreads();
        rows_get(&s, m, p);
        __syncthreads();
        auto u = [&](int j, int v) {
            return chunk_u<T, D>(m, p, s, j, v, j < p.rows);
        };
        tile_clear<64>(acc);
        tile_product<64, M, true, true>(
            acc, memory, m.value,
            [&](int i, int v) {
                return element<T>(dy, (size_t)(p.first + i) * dense + at + v,
                                  i < p.rows);
            },
            u);
        tile_clear<64>(miss);
        if (D)
            tile_product<64, M, true, true>(
                miss, memory, m.value,
                [&](int i, int v) {
                    return i < p.rows
                               ? m.du[(size_t)(p.first + i) * dense + at + v]
                               : 0;
                },
                u);
#pragma unroll
        for (int e = 0; e < 16; e++) {
            int i = tile_row<64, M>(e), j = tile_col<64, M>(e);
            float decay = rows_decay(s, i, j), x;

            acc[e] *= decay;
            hp[e] += acc[e];
            x = acc[e] * m.qk[p.pairs + i * TILE + j];
            if (D) {
                /* A_ij = beta_i e^(l_i - l_j) k_i k_j has gradient -miss. */
                float da = j < i ? -miss[e] * decay : 0;
                float kk = m.kk[p.pairs + i * TILE + j];

                miss[e] = da * kk;
                ha[e] += da * s.factor[i];
                x = fmaf(miss[e], s.factor[i], x);
            }
            cross[i * CROSS + j] = x;
        }
        if (D)
            tile_row_sums<M>(miss, sums);
        sum_crossing(cross, tails, m.crossing + p.scalars);
        if (D && threadIdx.x < TILE)
            m.dbeta[p.scalars + threadIdx.x] =
                sums[2 * threadIdx.x] + sums[2 * threadIdx.x + 1];
    }
#pragma unroll
    for (int e = 0; e < 16; e++) {
        size_t at = part.pairs + tile_row<64, M>(e) * TILE + tile_col<64, M>(e);

        m.hp[at] = hp[e];
        if (D)
            m.ha[at] = ha[e];
    }
}

/* ---- dq and dk ---- */

template <int T, bool M, bool D>
__global__ void __launch_bounds__(TILE_THREADS, 2)
    keys_grad_kernel(struct cuda_mix m)
{
    __shared__ __align__(16) float memory[TILE_FLOATS];
    /* Of S0' q, S0' k and D u with their rows of q and k. */
    __shared__ float sums[3][2 * TILE], unit[2][TILE];
    __shared__ struct chunk_rows s;
    struct part_place part = part_of(m);
    struct chunk_place p = place_of(m, (int)blockIdx.x, part.head);
    int n0 = (int)blockIdx.z * TILE;
    cuda_vec<T> dy = vec_of<T>(m.dy), q = vec_of<T>(m.q), k = vec_of<T>(m.k);
    size_t dense = (size_t)m.heads * m.value;
    size_t in = (size_t)p.group * m.key + n0;
    float dq[16], dk[16];

    tile_clear<64>(dq);
    tile_clear<64>(dk);
    for (int head = part.head; head < part.end; head++) {
        size_t at = (size_t)head * m.value;
        float acc[16];

        p = place_of(m, (int)blockIdx.x, head);
        __syncthreads();
        rows_get(&s, m, p);
        __syncthreads();
        auto before = [&](int n, int v) {
            return n0 + n < m.key
                       ? m.before[p.state + (size_t)(n0 + n) * m.value + v]
                       : 0;
        };
        tile_clear<64>(acc);
        tile_product<64, M, true, true>(
            acc, memory, m.value,
            [&](int i, int v) {
                return element<T>(dy, (size_t)(p.first + i) * dense + at + v,
                                  i < p.rows);
            },
            before);
#pragma unroll
        for (int e = 0; e < 16; e++) {
            int i = tile_row<64, M>(e), n = tile_col<64, M>(e);

            dq[e] = fmaf(acc[e], s.begin[i], dq[e]);
            acc[e] *= s.q[i] *
                      element<T>(q, (size_t)(p.first + i) * m.stride + in + n,
                                 i < p.rows && n0 + n < m.key);
        }
        tile_row_sums<M>(acc, sums[0]);
        if (D) {
            tile_clear<64>(acc);
            tile_product<64, M, true, true>(
                acc, memory, m.value,
                [&](int i, int v) {
                    return i < p.rows
                               ? m.du[(size_t)(p.first + i) * dense + at + v] *
                                     s.factor[i]
                               : 0;
                },
                before);
#pragma unroll
            for (int e = 0; e < 16; e++) {
                int i = tile_row<64, M>(e), n = tile_col<64, M>(e);

                dk[e] = fmaf(-acc[e], s.begin[i], dk[e]);
                acc[e] *=
                    s.k_in[i] *
                    element<T>(k, (size_t)(p.first + i) * m.stride + in + n,
                               i < p.rows && n0 + n < m.key);
            }
            tile_row_sums<M>(acc, sums[1]);
        }
        tile_clear<64>(acc);
        tile_product<64, M, true, true>(
            acc, memory, m.value,
            [&](int j, int v) {
                return chunk_u<T, D>(m, p, s, j, v, j < p.rows);
            },
            [&](int n, int v) {
                return n0 + n < m.key
                           ? m.after[p.state + (size_t)(n0 + n) * m.value + v]
                           : 0;
            });
#pragma unroll
        for (int e = 0; e < 16; e++) {
            int j = tile_row<64, M>(e), n = tile_col<64, M>(e);

            dk[e] = fmaf(acc[e], s.end[j], dk[e]);
            acc[e] *= s.k[j] *
                      element<T>(k, (size_t)(p.first + j) * m.stride + in + n,
                                 j < p.rows && n0 + n < m.key);
        }
        tile_row_sums<M>(acc, sums[2]);
        __syncthreads();
        if (threadIdx.x < TILE) {
            size_t to = 2 * blockIdx.z * cuda_mix_scalars(m) + p.scalars;
            int row = (int)threadIdx.x, pair = 2 * row;
            float begin = sums[0][pair] + sums[0][pair + 1];

            if (D)
                begin -= sums[1][pair] + sums[1][pair + 1];
            m.row_dots[to + row] = begin;
            m.row_dots[to + cuda_mix_scalars(m) + row] =
                sums[2][pair] + sums[2][pair + 1];
        }
    }
    if (threadIdx.x < 2 * TILE) {
        int which = (int)threadIdx.x / TILE, row = (int)threadIdx.x % TILE;
        const float *scale = which ? m.k_scale : m.q_scale;

        unit[which][row] =
            scale && row < p.rows
                ? scale[(size_t)(p.first + row) * m.groups + p.group]
                : 1;
    }
    __syncthreads();
    tile_product<64, M, true, false>(
        dq, memory, p.rows,
        [&](int i, int j) { return m.hp[part.pairs + i * TILE + j]; },
        [&](int n, int j) {
            return unit[1][j] *
                   element<T>(k, (size_t)(p.first + j) * m.stride + in + n,
                              n0 + n < m.key);
        });
    tile_product<64, M, false, false>(
        dk, memory, p.rows,
        [&](int j, int i) { return m.hp[part.pairs + i * TILE + j]; },
        [&](int n, int i) {
            return unit[0][i] *
                   element<T>(q, (size_t)(p.first + i) * m.stride + in + n,
                              n0 + n < m.key);
        });
    if (D)
        tile_product<64, M, false, false>(
            dk, memory, p.rows,
            [&](int j, int i) {
                return m.ha[part.pairs + i * TILE + j] +
                       m.ha[part.pairs + j * TILE + i];
            },
            [&](int n, int i) {
                return unit[1][i] *
                       element<T>(k, (size_t)(p.first + i) * m.stride + in + n,
                                  n0 + n < m.key);
            });
#pragma unroll
    for (int e = 0; e < 16; e++) {
        int i = tile_row<64, M>(e), n = n0 + tile_col<64, M>(e);
        size_t width = (size_t)m.groups * m.key;
        size_t to = ((size_t)part.part * m.rows + p.first + i) * 2 * width +
                    (size_t)p.group * m.key + n;

        if (i < p.rows && n < m.key) {
            m.keys[to] = dq[e];
            m.keys[to + width] = dk[e];
        }
    }
}

template <int T, bool M>
static void keys_run(struct cuda *c, const struct cuda_mix &m)
{
    dim3 grid((unsigned)m.plan.count, (unsigned)(m.groups * m.parts));
    dim3 tiles(grid.x, grid.y, (unsigned)cuda_mix_tiles(m.key));

    if (m.delta) {
        pairs_grad_kernel<T, M, true><<<grid, TILE_THREADS, 0, c->stream>>>(m);
        keys_grad_kernel<T, M, true><<<tiles, TILE_THREADS, 0, c->stream>>>(m);
    } else {
        pairs_grad_kernel<T, M, false><<<grid, TILE_THREADS, 0, c->stream>>>(m);
        keys_grad_kernel<T, M, false><<<tiles, TILE_THREADS, 0, c->stream>>>(m);
    }
}

void cuda_mix_keys(struct cuda *c, const struct cuda_mix &m)
{
    CUDA_VARIANTS(m.variant, keys_run, c, m)
    cuda_launched(c, "gradient of keys");
}

/* ---- decays ---- */

/* What the states before and behind the chunk add to crossing. */
static __global__ void __launch_bounds__(TILE_THREADS)
    decays_kernel(struct cuda_mix m)
{
    __shared__ float memory[TILE_THREADS / 32], dots[2][TILE];
    struct chunk_place p = place_of(m, (int)blockIdx.x, (int)blockIdx.y);
    int size = m.key * m.value, tiles = cuda_ceil_div(m.key, TILE);
    int r = (int)threadIdx.x;
    float sum = 0;

#pragma unroll 8
    for (int i = (int)threadIdx.x; i < size; i += TILE_THREADS)
        sum = fmaf(m.before[p.state + i], m.after[p.state + i], sum);
    if (r < TILE)
        for (int which = 0; which < 2; which++) {
            float dot = 0;

            for (int z = 0; z < tiles; z++)
                dot +=
                    m.row_dots[(2 * (size_t)z + which) * cuda_mix_scalars(m) +
                               p.scalars + r];
            dots[which][r] = dot;
        }
    sum = cuda_sum_group<TILE_THREADS>(sum, memory); /* the block meets */
    if (r >= TILE)
        return;
    sum *= expf(m.hi[p.scalars + TILE - 1]);
    for (int j = 0; j < r; j++)
        sum += dots[1][j];
    for (int i = r; i < TILE; i++)
        sum += dots[0][i];
    m.crossing[p.scalars + r] =
        r < p.rows ? sum + m.crossing[p.scalars + r] : 0;
}

void cuda_mix_decays(struct cuda *c, const struct cuda_mix &m)
{
    dim3 grid((unsigned)m.plan.count, (unsigned)m.heads);

    decays_kernel<<<grid, TILE_THREADS, 0, c->stream>>>(m);
    cuda_launched(c, "gradient of decays");
}

/* ---- the end ---- */

#define FINISH_THREADS 128

/* A warp for a row of a group, of q and of k. */
template <int T>
__global__ void __launch_bounds__(FINISH_THREADS)
    finish_kernel(struct cuda_mix m)
{
    size_t task = (size_t)blockIdx.x * (FINISH_THREADS / 32) + threadIdx.x / 32;
    int lane = (int)threadIdx.x % 32, row = (int)(task / m.groups);
    int group = (int)(task % m.groups), which = (int)blockIdx.y;
    const float *scale = which ? m.k_scale : m.q_scale;
    cuda_vec<T> x = vec_of<T>(which ? m.k : m.q);
    cuda_vec<T> dx = vec_of<T>(which ? m.dk : m.dq);
    size_t width = (size_t)m.groups * m.key, in = (size_t)group * m.key;
    size_t from = ((size_t)row * 2 + which) * width + in;
    size_t at = (size_t)row * m.stride + in;
    float along = 0, by = 1;

    if (row >= m.rows)
        return;
    if (scale) {
        by = scale[(size_t)row * m.groups + group];
        for (int n = lane; n < m.key; n += 32)
            for (int part = 0; part < m.parts; part++)
                along = fmaf(m.keys[part * 2 * m.rows * width + from + n],
                             element<T>(x, at + n, true), along);
        along = cuda_sum_warp(along) * by * by;
        if (!which) /* q's scale has 1 / sqrt(key) in it */
            along *= (float)m.key;
    }
    for (int n = lane; n < m.key; n += 32) {
        float sum[1] = { 0 };

        for (int part = 0; part < m.parts; part++)
            sum[0] += m.keys[part * 2 * m.rows * width + from + n];
        if (scale)
            sum[0] = by * (sum[0] - element<T>(x, at + n, true) * along);
        dx.put(at + n, sum);
    }
}

template <int T, bool M>
static void finish_run(struct cuda *c, const struct cuda_mix &m)
{
    dim3 grid(
        (unsigned)cuda_ceil_div((size_t)m.rows * m.groups, FINISH_THREADS / 32),
        2);

    finish_kernel<T><<<grid, FINISH_THREADS, 0, c->stream>>>(m);
}

void cuda_mix_finish(struct cuda *c, const struct cuda_mix &m)
{
    CUDA_VARIANTS(m.variant, finish_run, c, m)
    cuda_launched(c, "gradient of keys");
}

/* A block for a head. */
static __global__ void __launch_bounds__(TILE_THREADS)
    heads_kernel(struct cuda_mix m, float *to, const float *a, const float *b)
{
    __shared__ double sums[TILE_THREADS];
    int head = (int)blockIdx.x, thread = (int)threadIdx.x;
    double sum = 0;

    for (int i = thread; i < m.plan.count * CUDA_CHUNK; i += TILE_THREADS) {
        size_t at = ((size_t)(i / CUDA_CHUNK) * m.heads + head) * CUDA_CHUNK +
                    i % CUDA_CHUNK;

        sum += b ? (double)(a[at] * b[at]) : (double)a[at];
    }
    sums[thread] = sum;
    for (int half = TILE_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half)
            sums[thread] += sums[thread + half];
    }
    if (thread == 0)
        to[head] += (float)sums[0];
}

void cuda_mix_heads(struct cuda *c, const struct cuda_mix &m, float *to,
                    const float *a, const float *b)
{
    if (!to)
        return;
    heads_kernel<<<(unsigned)m.heads, TILE_THREADS, 0, c->stream>>>(m, to, a,
                                                                    b);
    cuda_launched(c, "gradient of heads");
}
