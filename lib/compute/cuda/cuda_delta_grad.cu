/*
 * cuda_delta_grad.cu - the gated delta rule, backward
 *
 * With u = T z, z = beta miss, miss = v - e^l S0' k and D the gradient of the
 * state behind a chunk:
 *   du = P' dy + (e^(l_L - l) k) D, dz = T' du, dT gives dA = -dz u',
 *   dS0 = e^l_L D + (e^l q)' dy - (e^l k)' beta dz
 * A block carries 32 columns of D from chunk to chunk, from the last one; all
 * else is of all chunks at once. 4,096 rows of 32 heads of 128 x 128 are 46
 * GFLOP, 690 us at the f32 peak of an H200, 10.7 of them in order, as slowly as
 * forward, and move nine times the 134 MB of states, 250 us.
 */
#include "compute/cuda/cuda_delta.cuh"
#include "compute/cuda/cuda_reduce.h"

#include <assert.h>
#include <string.h>

/* Columns v0.. of a head's D. What updates gave for a chunk lies in its slot of
 * the states, the gradient of the state behind it goes into the slot after it:
 * nobody needs what a document's first chunk tells the one before. */
template <int T, bool M>
__global__ void __launch_bounds__(TILE_THREADS, 2)
    walk_kernel(struct cuda_mix m)
{
    __shared__ __align__(16) float memory[TILE_FLOATS];
    __shared__ struct chunk_rows s;
    const int N = DELTA_COLUMNS;
    const int32_t *doc = m.plan.doc + 3 * blockIdx.x;
    int head = (int)blockIdx.y, v0 = (int)blockIdx.z * N;
    cuda_vec<T> k = vec_of<T>(m.k);
    size_t size = (size_t)m.key * m.value, dense = (size_t)m.heads * m.value;
    size_t at = (size_t)head * m.value + v0;

    for (int i = (int)threadIdx.x; i < m.key * N; i += TILE_THREADS)
        if (v0 + i % N < m.value)
            m.after[((size_t)(doc[3] - 1) * m.heads + head) * size +
                    (size_t)(i / N) * m.value + v0 + i % N] = 0;
    for (int chunk = doc[3] - 1; chunk >= doc[0]; chunk--) {
        struct chunk_place p = place_of(m, chunk, head);
        const float *d = m.after + p.state;
        const float *inverse = m.inverse + p.scalars * TILE;
        /* What the chunk adds lies where D of the one before will. */
        float *next = m.after + p.state - (size_t)m.heads * size;
        float acc[N / 4];

        __syncthreads();
        rows_get(&s, m, p);
        __syncthreads();
        tile_clear<N>(acc);
        tile_product<N, M, true, false>(
            acc, memory, m.key,
            [&](int j, int n) {
                return element<T>(k,
                                  (size_t)(p.first + j) * m.stride +
                                      (size_t)p.group * m.key + n,
                                  j < p.rows) *
                       s.k[j];
            },
            [&](int v, int n) {
                return v0 + v < m.value ? d[(size_t)n * m.value + v0 + v] : 0;
            });
#pragma unroll
        for (int e = 0; e < N / 4; e++) {
            int j = tile_row<N, M>(e), v = tile_col<N, M>(e);

            if (j < p.rows && v0 + v < m.value)
                m.du[(size_t)(p.first + j) * dense + at + v] += acc[e];
        }
        __syncthreads();
        auto du = [&](int v, int j) {
            return v0 + v < m.value
                       ? m.du[(size_t)(p.first + j) * dense + at + v]
                       : 0;
        };
        tile_clear<N>(acc);
        tile_product<N, M, false, false>(
            acc, memory, p.rows,
            [&](int i, int j) { return inverse[j * TILE + i]; }, du);
#pragma unroll
        for (int e = 0; e < N / 4; e++) {
            int j = tile_row<N, M>(e), v = tile_col<N, M>(e);

            if (j < p.rows && v0 + v < m.value)
                m.du[(size_t)(p.first + j) * dense + at + v] = acc[e];
        }
        __syncthreads();
        for (int n0 = 0; chunk > doc[0] && n0 < m.key; n0 += TILE) {
            tile_clear<N>(acc);
            tile_product<N, M, false, false>(
                acc, memory, p.rows,
                [&](int n, int j) {
                    return element<T>(k,
                                      (size_t)(p.first + j) * m.stride +
                                          (size_t)p.group * m.key + n0 + n,
                                      n0 + n < m.key) *
                           s.k_in[j] * s.factor[j];
                },
                du);
#pragma unroll
            for (int e = 0; e < N / 4; e++) {
                int n = n0 + tile_row<N, M>(e), v = v0 + tile_col<N, M>(e);
                size_t to = (size_t)n * m.value + v;

                if (n < m.key && v < m.value)
                    next[to] = fmaf(d[to], s.all, next[to] - acc[e]);
            }
        }
    }
}

/* What is left: dv, da, db. A block has a chunk of a head, a warp some rows. */
template <int T>
__global__ void __launch_bounds__(TILE_THREADS)
    values_kernel(struct cuda_mix m, cuda_vec<CUDA_ANY> da,
                  cuda_vec<CUDA_ANY> db)
{
    struct chunk_place p = place_of(m, (int)blockIdx.x, (int)blockIdx.y);
    cuda_vec<T> dv = vec_of<T>(m.dx);
    size_t dense = (size_t)m.heads * m.value;

    for (int i = (int)threadIdx.x / 32; i < p.rows; i += TILE_THREADS / 32) {
        size_t row = (size_t)(p.first + i), at = (size_t)p.head * m.value;
        float beta = m.factor[p.scalars + i], dot = 0;

        for (int v = (int)threadIdx.x % 32; v < m.value; v += 32) {
            float dz = m.du[row * dense + at + v], out[1] = { beta * dz };

            dot = fmaf(dz, m.miss[row * dense + at + v], dot);
            dv.put(row * m.stride + at + v, out);
        }
        dot = cuda_sum_warp(dot) + m.dbeta[p.scalars + i];
        if (threadIdx.x % 32 == 0) {
            float a[1] = { m.crossing[p.scalars + i] * m.slope[p.scalars + i] };
            float b[1] = { dot * beta * (1 - beta) };

            da.put(row * m.heads + p.head, a);
            db.put(row * m.heads + p.head, b);
        }
    }
}

template <int T, bool M>
static void walk_run(struct cuda *c, const struct cuda_mix &m)
{
    dim3 grid((unsigned)m.plan.docs, (unsigned)m.heads,
              (unsigned)cuda_ceil_div(m.value, DELTA_COLUMNS));

    walk_kernel<T, M><<<grid, TILE_THREADS, 0, c->stream>>>(m);
    cuda_launched(c, "delta_grad");
}

template <int T, bool M>
static void values_run(struct cuda *c, const struct cuda_mix &m,
                       const struct compute_delta_grad *g)
{
    dim3 grid((unsigned)m.plan.count, (unsigned)m.heads);

    values_kernel<T><<<grid, TILE_THREADS, 0, c->stream>>>(
        m, cuda_vec_of<CUDA_ANY>(cuda_at(g->da)),
        cuda_vec_of<CUDA_ANY>(cuda_at(g->db)));
    cuda_launched(c, "delta_grad");
}

static bool take(struct cuda *c, struct cuda_mix &m, float **states)
{
    struct cuda_piece p[CUDA_DELTA_PIECES + 10];
    size_t n = cuda_delta_pieces(m, p), scalars = cuda_mix_scalars(m);
    size_t dense = (size_t)m.rows * m.heads * m.value;
    size_t count = (size_t)m.plan.count, state = cuda_mix_state(m);
    size_t pairs = count * m.groups * m.parts * CUDA_CHUNK_PAIRS;
    struct cuda_piece more[] = {
        { &m.miss, dense },
        { &m.u, dense },
        { &m.du, dense },
        { states, (count + 1) * m.heads * state },
        { &m.hp, pairs },
        { &m.ha, pairs },
        { &m.crossing, scalars },
        { &m.dbeta, scalars },
        { &m.row_dots, 2 * scalars * cuda_mix_tiles(m.key) },
        { &m.keys, (size_t)m.parts * m.rows * 2 * m.groups * m.key },
    };

    static_assert(sizeof(more) == 10 * sizeof(*p), "all pieces");
    memcpy(p + n, more, sizeof(more));
    return cuda_pieces(c, p, n + 10);
}

void cuda_op_delta_grad(struct compute *base,
                        const struct compute_delta_grad *g)
{
    struct cuda *c = cuda_of(base);
    const struct compute_delta *v = &g->fwd;
    struct cuda_mix m;
    float *states;

    assert(!v->s.state.buf && v->kept.buf);
    if (v->s.docs == 0 || v->value_heads == 0)
        return;
    m = cuda_delta_mix(v);
    m.y.data = NULL;
    m.dy = cuda_at(g->d_o);
    m.dq = cuda_at(g->dq);
    m.dk = cuda_at(g->dk);
    m.dx = cuda_at(g->dv);
    {
        struct cuda_operand types[] = { m.q, m.k, m.x, m.dy, m.dq, m.dk, m.dx };

        m.variant = cuda_variant_of(c, types, 7);
    }
    if (!cuda_chunks_plan(c, &v->s, false, &m.plan) || !take(c, m, &states))
        return;
    m.after = states + (size_t)m.heads * cuda_mix_state(m);
    cuda_delta_prepare(c, m, v);
    cuda_delta_again(c, m);
    cuda_mix_updates(c, m, states, true);
    cuda_mix_inner(c, m);
    CUDA_VARIANTS(m.variant, walk_run, c, m)
    cuda_mix_keys(c, m);
    cuda_mix_decays(c, m);
    CUDA_VARIANTS(m.variant, values_run, c, m, g)
    cuda_mix_finish(c, m);
    cuda_mix_heads(c, m, cuda_f32(g->da_log), m.crossing, m.lambda);
    cuda_mix_heads(c, m, cuda_f32(g->ddt_bias), m.crossing, m.slope);
}
