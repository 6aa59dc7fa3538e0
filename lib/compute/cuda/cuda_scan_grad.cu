/*
 * cuda_scan_grad.cu - the selective scan, backward
 *
 * From the kept states before each chunk: the gradients of the states behind
 * them, in order from the last, then all chunks at once. 4,096 rows of 32
 * heads of 64 x 128 are 10.8 GFLOP, 161 us at the f32 peak of an H200, and
 * move eight times the 67 MB of states, 112 us.
 */
#include "compute/cuda/cuda_chunk_tiles.cuh"
#include "compute/cuda/cuda_reduce.h"
#include "compute/cuda/cuda_scan.cuh"

#include <assert.h>

/* Gradients of the states behind each chunk in place of what each adds to the
 * one before, the last chunk of a document first. */
static __global__ void __launch_bounds__(TILE_THREADS)
    walk_kernel(struct cuda_mix m)
{
    int doc = (int)blockIdx.x, head = (int)blockIdx.y;
    int first = m.plan.doc[3 * doc], last = m.plan.doc[3 * doc + 3];
    size_t size = (size_t)m.key * m.value;
    size_t at = (size_t)blockIdx.z * TILE_THREADS + threadIdx.x;
    float state = 0;

    if (at >= size)
        return;
    for (int k = last - 1; k >= first; k -= 4) {
        float add[4];

#pragma unroll
        for (int j = 0; j < 4; j++)
            if (k - j >= first)
                add[j] =
                    m.after[((size_t)(k - j) * m.heads + head) * size + at];
#pragma unroll
        for (int j = 0; j < 4; j++)
            if (k - j >= first) {
                size_t chunk = (size_t)(k - j) * m.heads + head;
                size_t end = chunk * CUDA_CHUNK + CUDA_CHUNK - 1;

                m.after[chunk * size + at] = state;
                state = fmaf(state, expf(m.hi[end]), add[j]);
            }
    }
}

/* ddt of each row; sums over tiles of columns become the first tile's. */
static __global__ void __launch_bounds__(TILE_THREADS)
    steps_kernel(struct cuda_mix m, cuda_vec<CUDA_ANY> ddt, size_t dt_stride,
                 const float *a_log)
{
    size_t at = (size_t)blockIdx.x * TILE_THREADS + threadIdx.x;
    size_t all = cuda_mix_scalars(m);
    int tiles = cuda_ceil_div(m.value, TILE), i = (int)(at % CUDA_CHUNK);
    int head = (int)(at / CUDA_CHUNK % m.heads);
    struct chunk_place p;
    float dt[1] = { 0 }, skip = 0;

    if (at >= all)
        return;
    p = place_of(m, (int)(at / CUDA_CHUNK / m.heads), head);
    for (int z = 0; z < tiles; z++) {
        dt[0] += m.xdu[z * all + at];
        skip += m.xdy[z * all + at];
    }
    dt[0] = (dt[0] - m.crossing[at] * expf(a_log[head])) * m.slope[at];
    m.xdu[at] = dt[0];
    m.xdy[at] = skip;
    if (i < p.rows)
        ddt.put((size_t)(p.first + i) * dt_stride + head, dt);
}

static bool take(struct cuda *c, struct cuda_mix &m)
{
    size_t n = cuda_mix_scalars(m), count = (size_t)m.plan.count;
    size_t pairs = count * m.groups * CUDA_CHUNK_PAIRS;
    struct cuda_piece pieces[] = {
        { &m.hi, n },
        { &m.lo, n },
        { &m.lambda, n },
        { &m.slope, n },
        { &m.factor, n },
        { &m.qk, pairs },
        { &m.after, count * m.heads * cuda_mix_state(m) },
        { &m.hp, pairs * m.parts },
        { &m.crossing, n },
        { &m.row_dots, 2 * n * cuda_mix_tiles(m.key) },
        { &m.xdu, n * cuda_mix_tiles(m.value) },
        { &m.xdy, n * cuda_mix_tiles(m.value) },
        { &m.keys, (size_t)m.parts * m.rows * 2 * m.groups * m.key },
    };

    return cuda_pieces(c, pieces, sizeof(pieces) / sizeof(pieces[0]));
}

static void walk(struct cuda *c, const struct cuda_mix &m)
{
    dim3 grid((unsigned)m.plan.docs, (unsigned)m.heads,
              (unsigned)cuda_ceil_div(cuda_mix_state(m), TILE_THREADS));

    walk_kernel<<<grid, TILE_THREADS, 0, c->stream>>>(m);
    cuda_launched(c, "scan_grad");
}

void cuda_op_scan_grad(struct compute *base, const struct compute_scan_grad *g)
{
    struct cuda *c = cuda_of(base);
    const struct compute_scan *v = &g->fwd;
    struct cuda_mix m;

    assert(!v->s.state.buf && v->kept.buf);
    if (v->s.docs == 0 || v->heads == 0)
        return;
    m = cuda_scan_mix(v);
    m.y.data = NULL;
    m.dy = cuda_at(g->dy);
    m.dq = cuda_at(g->dc);
    m.dk = cuda_at(g->db);
    m.dx = cuda_at(g->dx);
    {
        struct cuda_operand types[] = { m.q, m.k, m.x, m.dy, m.dq, m.dk, m.dx };

        m.variant = cuda_variant_of(c, types, 7);
    }
    if (!cuda_chunks_plan(c, &v->s, false, &m.plan) || !take(c, m))
        return;
    cuda_scan_decays(c, m, v);
    cuda_mix_pairs(c, m);
    cuda_mix_updates(c, m, m.after, true);
    walk(c, m);
    cuda_mix_inner(c, m);
    cuda_mix_keys(c, m);
    cuda_mix_decays(c, m);
    steps_kernel<<<(unsigned)cuda_ceil_div(cuda_mix_scalars(m), TILE_THREADS),
                   TILE_THREADS, 0, c->stream>>>(
        m, cuda_vec_of<CUDA_ANY>(cuda_at(g->ddt)), v->dt_stride,
        cuda_f32(v->a_log));
    cuda_launched(c, "scan_grad");
    cuda_mix_finish(c, m);
    cuda_mix_heads(c, m, cuda_f32(g->da_log), m.crossing, m.lambda);
    cuda_mix_heads(c, m, cuda_f32(g->ddt_bias), m.xdu, NULL);
    cuda_mix_heads(c, m, cuda_f32(g->dd), m.xdy, NULL);
}
