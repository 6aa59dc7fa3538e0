/*
 * cuda_activate.cu - activation functions, gated or not, and scaling
 */
#include "compute/cuda/cuda_activation.cuh"
#include "compute/cuda/cuda_flat.cuh"

template <int T> struct scale_body {
    cuda_vec<T> y, x;
    float alpha;

    template <int W> __device__ __forceinline__ void run(size_t i) const
    {
        float v[W];

        x.get(v, i);
#pragma unroll
        for (int j = 0; j < W; j++)
            v[j] *= alpha;
        y.put(i, v);
    }
};

template <int T>
static void scale_run(struct cuda *c, const struct cuda_operand *o, float alpha,
                      size_t n)
{
    scale_body<T> body = { cuda_vec_of<T>(o[0]), cuda_vec_of<T>(o[1]), alpha };

    flat_run(c, body, n, flat_width(o, 2, 0), "scale");
}

void cuda_op_scale(struct compute *base, struct compute_span y,
                   struct compute_span x, float alpha, size_t n)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand o[2] = { cuda_at(y), cuda_at(x) };

    switch (flat_common(o, 2)) {
    case CUDA_F32: scale_run<CUDA_F32>(c, o, alpha, n); break;
    case CUDA_BF16: scale_run<CUDA_BF16>(c, o, alpha, n); break;
    default: scale_run<CUDA_ANY>(c, o, alpha, n); break;
    }
}

template <int T> struct softcap_body {
    cuda_vec<T> y, x;
    float cap;

    template <int W> __device__ __forceinline__ void run(size_t i) const
    {
        float v[W];

        x.get(v, i);
#pragma unroll
        for (int j = 0; j < W; j++)
            v[j] = cap * cuda_tanh<T>(v[j] / cap);
        y.put(i, v);
    }
};

template <int T>
static void softcap_run(struct cuda *c, const struct cuda_operand *o, float cap,
                        size_t n)
{
    softcap_body<T> body = { cuda_vec_of<T>(o[0]), cuda_vec_of<T>(o[1]), cap };

    flat_run(c, body, n, flat_width(o, 2, 0), "softcap");
}

void cuda_op_softcap(struct compute *base, struct compute_span y,
                     struct compute_span x, float cap, size_t n)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand o[2] = { cuda_at(y), cuda_at(x) };

    switch (flat_common(o, 2)) {
    case CUDA_F32: softcap_run<CUDA_F32>(c, o, cap, n); break;
    case CUDA_BF16: softcap_run<CUDA_BF16>(c, o, cap, n); break;
    default: softcap_run<CUDA_ANY>(c, o, cap, n); break;
    }
}

template <int T> struct activate_body {
    cuda_vec<T> y, x;
    int kind;

    template <int W> __device__ __forceinline__ void run(size_t i) const
    {
        float v[W], slope[W];

        x.get(v, i);
        activate_vector(kind, v, slope);
        y.put(i, v);
    }
};

template <int T>
static void activate_run(struct cuda *c, const struct cuda_operand *o, int kind,
                         size_t n)
{
    activate_body<T> body = { cuda_vec_of<T>(o[0]), cuda_vec_of<T>(o[1]),
                              kind };

    flat_run(c, body, n, flat_width(o, 2, 0), "activate");
}

void cuda_op_activate(struct compute *base, enum compute_activation kind,
                      struct compute_span y, struct compute_span x, size_t n)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand o[2] = { cuda_at(y), cuda_at(x) };

    switch (flat_common(o, 2)) {
    case CUDA_F32: activate_run<CUDA_F32>(c, o, kind, n); break;
    case CUDA_BF16: activate_run<CUDA_BF16>(c, o, kind, n); break;
    default: activate_run<CUDA_ANY>(c, o, kind, n); break;
    }
}

template <int T> struct activate_grad_body {
    cuda_vec<T> dx, dy, x;
    int kind;

    template <int W> __device__ __forceinline__ void run(size_t i) const
    {
        float v[W], d[W], slope[W];

        x.get(v, i);
        dy.get(d, i);
        activate_vector(kind, v, slope);
#pragma unroll
        for (int j = 0; j < W; j++)
            d[j] *= slope[j];
        dx.put(i, d);
    }
};

template <int T>
static void activate_grad_run(struct cuda *c, const struct cuda_operand *o,
                              int kind, size_t n)
{
    activate_grad_body<T> body = { cuda_vec_of<T>(o[0]), cuda_vec_of<T>(o[1]),
                                   cuda_vec_of<T>(o[2]), kind };

    flat_run(c, body, n, flat_width(o, 3, 0), "activate_grad");
}

void cuda_op_activate_grad(struct compute *base, enum compute_activation kind,
                           struct compute_span dx, struct compute_span dy,
                           struct compute_span x, size_t n)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand o[3] = { cuda_at(dx), cuda_at(dy), cuda_at(x) };

    switch (flat_common(o, 3)) {
    case CUDA_F32: activate_grad_run<CUDA_F32>(c, o, kind, n); break;
    case CUDA_BF16: activate_grad_run<CUDA_BF16>(c, o, kind, n); break;
    default: activate_grad_run<CUDA_ANY>(c, o, kind, n); break;
    }
}

template <int T> struct glu_body {
    cuda_vec<T> h, gate, up;
    int kind;

    template <int W> __device__ __forceinline__ void run(size_t i) const
    {
        float g[W], u[W], slope[W];

        gate.get(g, i);
        up.get(u, i);
        activate_vector(kind, g, slope);
#pragma unroll
        for (int j = 0; j < W; j++)
            g[j] *= u[j];
        h.put(i, g);
    }
};

template <int T>
static void glu_run(struct cuda *c, const struct cuda_operand *o, int kind,
                    size_t n)
{
    glu_body<T> body = { cuda_vec_of<T>(o[0]), cuda_vec_of<T>(o[1]),
                         cuda_vec_of<T>(o[2]), kind };

    flat_run(c, body, n, flat_width(o, 3, 0), "glu");
}

void cuda_op_glu(struct compute *base, enum compute_activation kind,
                 struct compute_span h, struct compute_span gate,
                 struct compute_span up, size_t n)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand o[3] = { cuda_at(h), cuda_at(gate), cuda_at(up) };

    switch (flat_common(o, 3)) {
    case CUDA_F32: glu_run<CUDA_F32>(c, o, kind, n); break;
    case CUDA_BF16: glu_run<CUDA_BF16>(c, o, kind, n); break;
    default: glu_run<CUDA_ANY>(c, o, kind, n); break;
    }
}

template <int T> struct glu_grad_body {
    cuda_vec<T> dgate, dup, dh, gate, up;
    int kind;

    template <int W> __device__ __forceinline__ void run(size_t i) const
    {
        float d[W], g[W], u[W], slope[W];

        dh.get(d, i);
        gate.get(g, i);
        up.get(u, i);
        activate_vector(kind, g, slope);
#pragma unroll
        for (int j = 0; j < W; j++) {
            u[j] *= d[j] * slope[j];
            g[j] *= d[j];
        }
        dup.put(i, g);
        dgate.put(i, u);
    }
};

template <int T>
static void glu_grad_run(struct cuda *c, const struct cuda_operand *o, int kind,
                         size_t n)
{
    glu_grad_body<T> body = { cuda_vec_of<T>(o[0]), cuda_vec_of<T>(o[1]),
                              cuda_vec_of<T>(o[2]), cuda_vec_of<T>(o[3]),
                              cuda_vec_of<T>(o[4]), kind };

    flat_run(c, body, n, flat_width(o, 5, 0), "glu_grad");
}

void cuda_op_glu_grad(struct compute *base, enum compute_activation kind,
                      struct compute_span dgate, struct compute_span dup,
                      struct compute_span dh, struct compute_span gate,
                      struct compute_span up, size_t n)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand o[5] = { cuda_at(dgate), cuda_at(dup), cuda_at(dh),
                                 cuda_at(gate), cuda_at(up) };

    switch (flat_common(o, 5)) {
    case CUDA_F32: glu_grad_run<CUDA_F32>(c, o, kind, n); break;
    case CUDA_BF16: glu_grad_run<CUDA_BF16>(c, o, kind, n); break;
    default: glu_grad_run<CUDA_ANY>(c, o, kind, n); break;
    }
}
