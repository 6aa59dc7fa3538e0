/*
 * cuda_gate.cu - RMS norms of groups with a gate, and their gradient
 *
 * A group of a row belongs to a warp or to a block, by its length. A thread
 * reads its own elements again for what it writes, so gradients may lie over
 * what they are gradients of; what only the weights' gradient needs is kept
 * from a pass before.
 */
#include "compute/cuda/cuda_activation.cuh"
#include "compute/cuda/cuda_columns.cuh"
#include "compute/cuda/cuda_flat.cuh"

#include <assert.h>

#define MOST_BLOCKS ((size_t)1 << 30)

/* Operands: those of a gated norm, [rows, dim]; unit u is group u % groups of
 * row u / groups. */
template <int T> struct gated {
    cuda_vec<T> y, x, gate;
    cuda_vec<CUDA_F32> w;
    size_t units, groups, group, dim, w_dim, gate_stride;
    float eps;
    bool gate_first;
};

template <int T> static gated<T> gated_of(const struct compute_gated_norm *v)
{
    gated<T> g;

    g.y = cuda_vec_of<T>(cuda_at(v->y));
    g.x = cuda_vec_of<T>(cuda_at(v->x));
    g.gate = cuda_vec_of<T>(cuda_at(v->gate));
    g.w = cuda_vec_of<CUDA_F32>(cuda_at(v->w));
    g.group = v->group;
    g.groups = v->group ? v->dim / v->group : 0;
    g.units = v->rows * g.groups;
    g.dim = v->dim;
    g.w_dim = v->w_dim;
    g.gate_stride = v->gate_stride;
    g.eps = v->eps;
    g.gate_first = v->gate_first;
    return g;
}

/* Where a unit's elements begin. */
struct place {
    size_t x, gate, w;
};

template <int T>
__device__ __forceinline__ struct place place_of(const gated<T> &p, size_t unit)
{
    size_t row = unit / p.groups, at = unit % p.groups * p.group;
    struct place to = { row * p.dim + at, row * p.gate_stride + at,
                        at % p.w_dim };

    return to;
}

/* What is normalised: x, or x silu(gate). */
template <int W, int T>
__device__ __forceinline__ void inner_of(float (&v)[W], const gated<T> &p,
                                         const struct place &at, size_t i)
{
    p.x.get(v, at.x + i);
    if (p.gate_first) {
        float g[W];

        p.gate.get(g, at.gate + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            v[j] *= g[j] * cuda_sigmoid(g[j]);
    }
}

/* 1 over the root of the mean square of what is normalised. */
template <int G, int W, int T>
__device__ __forceinline__ float
rstd_of(const gated<T> &p, const struct place &at, size_t first, float *memory)
{
    float sum = 0;

#pragma unroll 4
    for (size_t i = first; i < p.group; i += G * W) {
        float v[W];

        inner_of(v, p, at, i);
#pragma unroll
        for (int j = 0; j < W; j++)
            sum = fmaf(v[j], v[j], sum);
    }
    sum = cuda_sum_group<G>(sum, memory);
    return 1.0f / sqrtf(sum / (float)p.group + p.eps);
}

template <int G, int W, int T>
__global__ void __launch_bounds__(cuda_group<G>::threads)
    gated_norm_kernel(gated<T> p)
{
    __shared__ float memory[cuda_group<G>::threads / 32];
    size_t unit = (size_t)blockIdx.x * cuda_group<G>::rows + threadIdx.x / G;
    size_t first = threadIdx.x % G * W;
    struct place at;
    float rstd;

    if (unit >= p.units)
        return;
    at = place_of(p, unit);
    rstd = rstd_of<G, W>(p, at, first, memory);
#pragma unroll 4
    for (size_t i = first; i < p.group; i += G * W) {
        float v[W], u[W], g[W];

        inner_of(v, p, at, i);
        p.w.get(u, at.w + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            v[j] *= rstd * u[j];
        if (!p.gate_first) {
            p.gate.get(g, at.gate + i);
#pragma unroll
            for (int j = 0; j < W; j++)
                v[j] *= g[j] * cuda_sigmoid(g[j]);
        }
        p.y.put(at.x + i, v);
    }
}

/* group 0: x silu(gate). */
template <int T> struct gate_body {
    gated<T> p;

    template <int W>
    __device__ __forceinline__ void run(size_t r, size_t i) const
    {
        float v[W], g[W];

        p.x.get(v, r * p.dim + i);
        p.gate.get(g, r * p.gate_stride + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            v[j] *= g[j] * cuda_sigmoid(g[j]);
        p.y.put(r * p.dim + i, v);
    }
};

/* The types of x, y and gate (and of the gradient's, where there is one) if
 * they are one, and whether 4 elements may be taken at once. */
struct shape {
    int type;
    bool wide;
};

static struct shape shape_of(const struct compute_gated_norm *v,
                             const struct compute_gated_norm_grad *g)
{
    struct cuda_operand o[6] = { cuda_at(v->x), cuda_at(v->gate) };
    size_t count = 2;
    struct shape s;

    if (g) {
        o[count++] = cuda_at(g->dy);
        o[count++] = cuda_at(g->dx);
        o[count++] = cuda_at(g->dgate);
    } else {
        o[count++] = cuda_at(v->y);
    }
    s.type = flat_common(o, count);
    s.wide = v->gate_stride % 4 == 0 && v->group % 4 == 0 &&
             cuda_wide(cuda_at(v->w), v->w_dim, 4);
    for (size_t i = 0; i < count; i++)
        s.wide = s.wide && cuda_wide(o[i], v->dim, 4);
    return s;
}

template <int G, int W, int T>
static void norm_launch(struct cuda *c, const gated<T> &p)
{
    size_t grid = cuda_ceil_div(p.units, cuda_group<G>::rows);

    assert(grid <= MOST_BLOCKS);
    gated_norm_kernel<G, W, T>
        <<<(unsigned)grid, cuda_group<G>::threads, 0, c->stream>>>(p);
    cuda_launched(c, "gated_norm");
}

template <int T>
static void norm_run(struct cuda *c, const struct compute_gated_norm *v,
                     bool wide)
{
    gated<T> p = gated_of<T>(v);
    gate_body<T> body = { p };

    if (v->group == 0)
        matrix_run(c, body, v->rows, v->dim, wide ? 4 : 1, "gated_norm");
    else if (wide && p.group <= 1024)
        norm_launch<32, 4>(c, p);
    else if (wide)
        norm_launch<256, 4>(c, p);
    else if (p.group <= 256)
        norm_launch<32, 1>(c, p);
    else
        norm_launch<256, 1>(c, p);
}

void cuda_op_gated_norm(struct compute *base,
                        const struct compute_gated_norm *v)
{
    struct cuda *c = cuda_of(base);
    struct shape s;

    if (v->rows == 0 || v->dim == 0)
        return;
    assert(v->group == 0 || v->dim % v->group == 0);
    s = shape_of(v, NULL);
    if (s.type == CUDA_BF16)
        norm_run<CUDA_BF16>(c, v, s.wide);
    else if (s.type == CUDA_F32)
        norm_run<CUDA_F32>(c, v, s.wide);
    else
        norm_run<CUDA_ANY>(c, v, s.wide);
}

template <int T> struct gated_grad {
    gated<T> f; /* f.y is not used */
    cuda_vec<T> dy, dx, dgate;
};

/* d of the norm's output. */
template <int W, int T>
__device__ __forceinline__ void outer_of(float (&d)[W], const gated_grad<T> &p,
                                         const struct place &at, size_t i)
{
    p.dy.get(d, at.x + i);
    if (!p.f.gate_first) {
        float g[W];

        p.f.gate.get(g, at.gate + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            d[j] *= g[j] * cuda_sigmoid(g[j]);
    }
}

template <int G, int W, int T>
__global__ void __launch_bounds__(cuda_group<G>::threads)
    gated_grad_kernel(gated_grad<T> p)
{
    __shared__ float memory[cuda_group<G>::threads / 32];
    size_t unit = (size_t)blockIdx.x * cuda_group<G>::rows + threadIdx.x / G;
    size_t first = threadIdx.x % G * W;
    struct place at;
    float rstd, sum = 0, mean;

    if (unit >= p.f.units)
        return;
    at = place_of(p.f, unit);
    rstd = rstd_of<G, W>(p.f, at, first, memory);
#pragma unroll 4
    for (size_t i = first; i < p.f.group; i += G * W) {
        float v[W], u[W], d[W];

        inner_of(v, p.f, at, i);
        outer_of(d, p, at, i);
        p.f.w.get(u, at.w + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            sum = fmaf(d[j] * u[j], v[j], sum);
    }
    mean = cuda_sum_group<G>(sum, memory) * rstd * rstd / (float)p.f.group;
#pragma unroll 2
    for (size_t i = first; i < p.f.group; i += G * W) {
        float v[W], u[W], d[W], g[W];

        p.f.x.get(v, at.x + i);
        p.f.gate.get(g, at.gate + i);
        p.f.w.get(u, at.w + i);
        p.dy.get(d, at.x + i);
#pragma unroll
        for (int j = 0; j < W; j++) {
            float slope, f = activation_of<COMPUTE_SILU>(g[j], &slope), t;

            if (p.f.gate_first) {
                t = (d[j] * u[j] - v[j] * f * mean) * rstd;
                g[j] = t * v[j] * slope;
                v[j] = t * f;
            } else {
                t = (d[j] * f * u[j] - v[j] * mean) * rstd;
                g[j] = d[j] * v[j] * rstd * u[j] * slope;
                v[j] = t;
            }
        }
        p.dx.put(at.x + i, v);
        p.dgate.put(at.gate + i, g);
    }
}

template <int T> struct gate_grad_body {
    gated_grad<T> p;

    template <int W>
    __device__ __forceinline__ void run(size_t r, size_t i) const
    {
        float v[W], g[W], d[W];

        p.f.x.get(v, r * p.f.dim + i);
        p.f.gate.get(g, r * p.f.gate_stride + i);
        p.dy.get(d, r * p.f.dim + i);
#pragma unroll
        for (int j = 0; j < W; j++) {
            float slope, f = activation_of<COMPUTE_SILU>(g[j], &slope);

            g[j] = d[j] * v[j] * slope;
            v[j] = d[j] * f;
        }
        p.dx.put(r * p.f.dim + i, v);
        p.dgate.put(r * p.f.gate_stride + i, g);
    }
};

/* rstd of every unit, for the weights' gradient. */
template <int G, int W, int T>
__global__ void __launch_bounds__(cuda_group<G>::threads)
    gated_rstd_kernel(float *rstd, gated<T> p)
{
    __shared__ float memory[cuda_group<G>::threads / 32];
    size_t unit = (size_t)blockIdx.x * cuda_group<G>::rows + threadIdx.x / G;
    size_t first = threadIdx.x % G * W;
    float r;

    if (unit >= p.units)
        return;
    r = rstd_of<G, W>(p, place_of(p, unit), first, memory);
    if (first == 0)
        rstd[unit] = r;
}

struct weights_body {
    gated_grad<CUDA_ANY> p;
    const float *rstd;

    template <int W>
    __device__ __forceinline__ void add(float (&sum)[1][W], size_t r,
                                        size_t i) const
    {
        size_t unit = r * p.f.groups + i / p.f.group;
        struct place at = { r * p.f.dim, r * p.f.gate_stride, 0 };
        float v[W], d[W], scale = rstd[unit];

        inner_of(v, p.f, at, i);
        outer_of(d, p, at, i);
#pragma unroll
        for (int j = 0; j < W; j++)
            sum[0][j] = fmaf(d[j], v[j] * scale, sum[0][j]);
    }
};

template <int T>
static gated_grad<T> gated_grad_of(const struct compute_gated_norm_grad *g)
{
    gated_grad<T> p;

    p.f = gated_of<T>(&g->fwd);
    p.dy = cuda_vec_of<T>(cuda_at(g->dy));
    p.dx = cuda_vec_of<T>(cuda_at(g->dx));
    p.dgate = cuda_vec_of<T>(cuda_at(g->dgate));
    return p;
}

/* Before dx, which may be dy. */
static void weights_grad(struct cuda *c,
                         const struct compute_gated_norm_grad *g, bool wide)
{
    const struct compute_gated_norm *v = &g->fwd;
    gated_grad<CUDA_ANY> p = gated_grad_of<CUDA_ANY>(g);
    size_t bytes = column_bytes(1, v->rows, v->dim);
    size_t kept = p.f.units * sizeof(float);
    unsigned grid = (unsigned)cuda_ceil_div(p.f.units, cuda_group<32>::rows);
    column_outputs<1> out = { { cuda_f32(g->dw) } };
    column_shape shape = { v->rows, v->dim, v->w_dim, v->w_dim, wide };
    weights_body body;
    float *rstd, *sums;

    if (!cuda_scratch_begin(c,
                            cuda_scratch_room(bytes) + cuda_scratch_room(kept)))
        return;
    sums = (float *)cuda_scratch(c, bytes);
    rstd = (float *)cuda_scratch(c, kept);
    if (wide)
        gated_rstd_kernel<32, 4>
            <<<grid, cuda_group<32>::threads, 0, c->stream>>>(rstd, p.f);
    else
        gated_rstd_kernel<32, 1>
            <<<grid, cuda_group<32>::threads, 0, c->stream>>>(rstd, p.f);
    cuda_launched(c, "gated_norm_grad");
    body.p = p;
    body.rstd = rstd;
    column_sums(c, out, body, shape, sums, "gated_norm_grad");
}

template <int G, int W, int T>
static void grad_launch(struct cuda *c, const gated_grad<T> &p)
{
    size_t grid = cuda_ceil_div(p.f.units, cuda_group<G>::rows);

    assert(grid <= MOST_BLOCKS);
    gated_grad_kernel<G, W, T>
        <<<(unsigned)grid, cuda_group<G>::threads, 0, c->stream>>>(p);
    cuda_launched(c, "gated_norm_grad");
}

template <int T>
static void grad_run(struct cuda *c, const struct compute_gated_norm_grad *g,
                     bool wide)
{
    gated_grad<T> p = gated_grad_of<T>(g);
    gate_grad_body<T> body = { p };

    if (p.f.group == 0)
        matrix_run(c, body, g->fwd.rows, g->fwd.dim, wide ? 4 : 1,
                   "gated_norm_grad");
    else if (wide && p.f.group <= 1024)
        grad_launch<32, 4>(c, p);
    else if (wide)
        grad_launch<256, 4>(c, p);
    else if (p.f.group <= 256)
        grad_launch<32, 1>(c, p);
    else
        grad_launch<256, 1>(c, p);
}

void cuda_op_gated_norm_grad(struct compute *base,
                             const struct compute_gated_norm_grad *g)
{
    struct cuda *c = cuda_of(base);
    const struct compute_gated_norm *v = &g->fwd;
    struct shape s;

    if (v->rows == 0 || v->dim == 0)
        return;
    assert(v->group == 0 || v->dim % v->group == 0);
    s = shape_of(v, g);
    if (g->dw.buf && v->group > 0)
        weights_grad(c, g, s.wide);
    if (s.type == CUDA_BF16)
        grad_run<CUDA_BF16>(c, g, s.wide);
    else if (s.type == CUDA_F32)
        grad_run<CUDA_F32>(c, g, s.wide);
    else
        grad_run<CUDA_ANY>(c, g, s.wide);
}
