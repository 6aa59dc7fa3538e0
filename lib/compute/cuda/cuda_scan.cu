/*
 * cuda_scan.cu - Mamba-2's selective scan, by chunks or, for a few rows of a
 * sequence, row by row
 *
 * Chunks: states of all chunks at once, each as if it began with nothing; one
 * pass over them in order; the outputs of all chunks at once. 4,096 rows of 32
 * heads of 64 x 128 are 5.4 GFLOP, 81 us at the f32 peak of an H200, and move
 * four times the 67 MB of states, 56 us of its memory: products bound f32, and
 * the loads of their small tiles tf32. The rows of a step read and write a
 * state once, which bounds them.
 */
#include "compute/cuda/cuda_chunk_tiles.cuh"
#include "compute/cuda/cuda_reduce.h"

#include "compute/cuda/cuda_scan.cuh"

#include <assert.h>
#include <string.h>

#define STEP_WARPS (TILE_THREADS / 32)

struct scan_inputs {
    cuda_vec<CUDA_ANY> dt;
    size_t dt_stride;
    const float *a_log, *dt_bias;
    float dt_min, dt_max;
};

static struct scan_inputs inputs_of(const struct compute_scan *v)
{
    struct scan_inputs in;

    in.dt = cuda_vec_of<CUDA_ANY>(cuda_at(v->dt));
    in.dt_stride = v->dt_stride;
    in.a_log = cuda_f32(v->a_log);
    in.dt_bias = cuda_f32(v->dt_bias);
    in.dt_min = v->dt_min;
    in.dt_max = v->dt_max;
    return in;
}

/* t of a row, and its derivative. */
static __device__ __forceinline__ float step_of(const struct scan_inputs &in,
                                                int row, int head, float *slope)
{
    float dt[1], t;

    in.dt.get(dt, (size_t)row * in.dt_stride + head);
    t = cuda_softplus(dt[0] + in.dt_bias[head], slope);
    if (t < in.dt_min || t > in.dt_max) {
        *slope = 0;
        t = t < in.dt_min ? in.dt_min : in.dt_max;
    }
    return t;
}

/* A warp for each chunk and head. */
static __global__ void __launch_bounds__(TILE_THREADS)
    decays_kernel(struct cuda_mix m, struct scan_inputs in)
{
    int head = (int)(blockIdx.y * STEP_WARPS + threadIdx.x / 32);
    struct chunk_place p = place_of(m, (int)blockIdx.x, 0);
    int lane = (int)threadIdx.x % 32;
    float lambda[2] = { 0, 0 };

    if (head >= m.heads) /* a whole warp */
        return;
    p.scalars += (size_t)head * CUDA_CHUNK;
    for (int j = 0; j < 2; j++) {
        int i = 2 * lane + j;
        float t = 0, slope = 0;

        if (i < p.rows)
            t = step_of(in, p.first + i, head, &slope);
        lambda[j] = -expf(in.a_log[head]) * t;
        m.factor[p.scalars + i] = t;
        m.slope[p.scalars + i] = slope;
    }
    cuda_sum_decays(m, p.scalars, lambda[0], lambda[1]);
}

/* The states before each chunk in place of what each adds, in order. */
static __global__ void __launch_bounds__(TILE_THREADS)
    walk_kernel(struct cuda_mix m, float *states, float *slots)
{
    int doc = (int)blockIdx.x, head = (int)blockIdx.y;
    int first = m.plan.doc[3 * doc], last = m.plan.doc[3 * doc + 3];
    size_t size = (size_t)m.key * m.value;
    size_t at = (size_t)blockIdx.z * TILE_THREADS + threadIdx.x;
    float *slot =
        slots
            ? slots + ((size_t)m.plan.doc[3 * doc + 1] * m.heads + head) * size
            : NULL;
    float state = 0;

    if (at >= size)
        return;
    if (slot && !m.plan.doc[3 * doc + 2])
        state = slot[at];
    for (int k = first; k < last; k += 4) {
        float add[4];

#pragma unroll
        for (int j = 0; j < 4; j++)
            if (k + j < last)
                add[j] = states[((size_t)(k + j) * m.heads + head) * size + at];
#pragma unroll
        for (int j = 0; j < 4; j++)
            if (k + j < last) {
                size_t chunk = (size_t)(k + j) * m.heads + head;
                size_t end = chunk * CUDA_CHUNK + CUDA_CHUNK - 1;

                states[chunk * size + at] = state;
                state = fmaf(state, expf(m.hi[end]), add[j]);
            }
    }
    if (slot)
        slot[at] = state;
}

/* ---- row by row ---- */

/* 32 columns of a head's state, those of a warp 8 elements apart: each thread
 * has PER of them in registers. */
template <int PER>
static __global__ void __launch_bounds__(TILE_THREADS)
    step_kernel(struct cuda_mix m, struct scan_inputs in, float *slots)
{
    __shared__ float sums[2][STEP_WARPS][32];
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
        int n = warp + i * STEP_WARPS;

        state[i] = valid && n < m.key && !step[3]
                       ? slot[(size_t)n * m.value + column]
                       : 0;
    }
    for (int row = step[0]; row < step[0] + step[1]; row++) {
        size_t at = (size_t)row * m.stride + (size_t)group * m.key;
        float slope, t = step_of(in, row, head, &slope), sum = 0;
        float decay = expf(-expf(in.a_log[head]) * t);
        float value = element<CUDA_ANY>(
            x, (size_t)row * m.stride + (size_t)head * m.value + column, valid);
        float(*to)[32] = sums[row & 1]; /* the last row's may be in use */

#pragma unroll
        for (int i = 0; i < PER; i++) {
            int n = warp + i * STEP_WARPS;
            bool in_key = n < m.key;

            state[i] = fmaf(element<CUDA_ANY>(k, at + n, in_key), t * value,
                            state[i] * decay);
            sum = fmaf(element<CUDA_ANY>(q, at + n, in_key), state[i], sum);
        }
        to[warp][lane] = sum;
        __syncthreads();
        if (warp == 0 && valid) {
            float out[1] = { 0 };

            for (int w = 0; w < STEP_WARPS; w++)
                out[0] += to[w][lane];
            out[0] += m.skip[head] * value;
            y.put(((size_t)row * m.heads + head) * m.value + column, out);
        }
    }
#pragma unroll
    for (int i = 0; i < PER; i++) {
        int n = warp + i * STEP_WARPS;

        if (valid && n < m.key)
            slot[(size_t)n * m.value + column] = state[i];
    }
}

static void steps(struct cuda *c, const struct cuda_mix &m,
                  const struct scan_inputs &in, float *slots)
{
    dim3 grid((unsigned)m.plan.steps, (unsigned)m.heads,
              (unsigned)cuda_ceil_div(m.value, 32));

    if (m.key <= 4 * STEP_WARPS)
        step_kernel<4><<<grid, TILE_THREADS, 0, c->stream>>>(m, in, slots);
    else if (m.key <= 16 * STEP_WARPS)
        step_kernel<16><<<grid, TILE_THREADS, 0, c->stream>>>(m, in, slots);
    else
        step_kernel<32><<<grid, TILE_THREADS, 0, c->stream>>>(m, in, slots);
    cuda_launched(c, "scan");
}

struct cuda_mix cuda_scan_mix(const struct compute_scan *v)
{
    struct cuda_mix m;

    memset(&m, 0, sizeof(m));
    m.rows = v->s.starts[v->s.docs];
    m.heads = (int)v->heads;
    m.groups = (int)v->groups;
    m.each = m.heads / m.groups;
    m.key = (int)v->width;
    m.value = (int)v->dim;
    m.parts = (int)cuda_ceil_div(m.each, CUDA_CHUNK_HEADS);
    m.stride = v->stride;
    m.q = cuda_at(v->c);
    m.k = cuda_at(v->b);
    m.x = cuda_at(v->x);
    m.y = cuda_at(v->y);
    m.skip = cuda_f32(v->d);
    m.before = cuda_f32(v->kept);
    return m;
}

void cuda_scan_decays(struct cuda *c, const struct cuda_mix &m,
                      const struct compute_scan *v)
{
    dim3 grid((unsigned)m.plan.count,
              (unsigned)cuda_ceil_div(m.heads, STEP_WARPS));

    decays_kernel<<<grid, TILE_THREADS, 0, c->stream>>>(m, inputs_of(v));
    cuda_launched(c, "scan");
}

/* kept, where present, takes the states. */
static void chunks(struct cuda *c, struct cuda_mix &m,
                   const struct compute_scan *v)
{
    size_t n = cuda_mix_scalars(m), size = cuda_mix_state(m);
    struct cuda_piece pieces[] = {
        { &m.hi, n },
        { &m.lo, n },
        { &m.lambda, n },
        { &m.slope, n },
        { &m.factor, n },
        { &m.qk, (size_t)m.plan.count * m.groups * CUDA_CHUNK_PAIRS },
        { &m.before, m.before ? 0 : (size_t)m.plan.count * m.heads * size },
    };
    size_t count = sizeof(pieces) / sizeof(pieces[0]);
    dim3 grid((unsigned)m.plan.docs, (unsigned)m.heads,
              (unsigned)cuda_ceil_div(size, TILE_THREADS));

    if (!cuda_pieces(c, pieces, m.before ? count - 1 : count))
        return;
    cuda_scan_decays(c, m, v);
    cuda_mix_pairs(c, m);
    cuda_mix_updates(c, m, m.before, false);
    walk_kernel<<<grid, TILE_THREADS, 0, c->stream>>>(m, m.before,
                                                      cuda_f32(v->s.state));
    cuda_launched(c, "scan");
    cuda_mix_output(c, m);
}

void cuda_op_scan(struct compute *base, const struct compute_scan *v)
{
    struct cuda *c = cuda_of(base);
    bool few = !v->kept.buf && v->width <= CUDA_STEP_KEY;
    struct cuda_mix m;

    if (v->s.docs == 0 || v->heads == 0)
        return;
    m = cuda_scan_mix(v);
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
