/*
 * cuda_linear.cu - linear layers and both gradients, as matrix products
 *
 * Operands are brought to one type: that of activations (bf16, or f32 in the
 * precisions above). In bf16 training only adapters are converted: activations
 * have the type, weights that are frozen have it too. Products of plain f32
 * buffers are computed in f32 whatever the precision: they merge adapters.
 */
#include "compute/cuda/cuda_gemm_parts.cuh"

#include <assert.h>

/* An operand with its number of elements. */
struct operand {
    struct cuda_operand at;
    size_t n;
};

static struct operand operand_of(struct compute_span s, size_t n)
{
    struct operand o = {};

    if (s.buf) {
        o.at = cuda_at(s);
        o.n = n;
    }
    return o;
}

/* Weights: frozen ones, where their type is wanted or nothing else is left. */
static struct operand weights_of(struct compute_span s, size_t n,
                                 enum cuda_type want)
{
    struct operand o = {};

    if (!s.buf->frozen || (s.buf->data && want != CUDA_BF16))
        return operand_of(s, n);
    o.at.data = s.buf->frozen + s.at;
    o.at.type = CUDA_BF16;
    o.n = n;
    return o;
}

static size_t operand_room(const struct operand *o, enum cuda_type type)
{
    return o->n == 0 || o->at.type == type
               ? 0
               : cuda_scratch_room(o->n * cuda_type_size(type));
}

/* In `type`: itself or a copy in scratch; NULL after an error. */
static const void *operand_take(struct cuda *c, const struct operand *o,
                                enum cuda_type type)
{
    void *copy;

    if (o->n == 0 || o->at.type == type)
        return o->at.data;
    copy = cuda_scratch(c, o->n * cuda_type_size(type));
    if (copy)
        cuda_convert(c, copy, type, o->at.data, o->at.type, o->n);
    return copy;
}

/* Whether all are f32 by name, not by being activations of this precision. */
static bool is_plain(const struct compute_linear *l)
{
    return (!l->y.buf || l->y.buf->asked == COMPUTE_F32) &&
           (!l->x.buf || l->x.buf->asked == COMPUTE_F32) &&
           (!l->w.buf || l->w.buf->asked == COMPUTE_F32);
}

/* g without its pointers a, b, a2, b2: operands a, b, and the pair's, which
 * alpha does not touch. Nothing happens if there is no memory. */
static void product_run(struct cuda *c, struct cuda_gemm *g,
                        const struct operand o[4])
{
    bool apart = g->k2 > 0 && g->alpha != 1;
    struct cuda_gemm pair = *g;
    const void *at[4];
    size_t want = 0;

    if (apart) {
        pair.k = g->k2;
        pair.lda = g->lda2;
        pair.ldb = g->ldb2;
        pair.alpha = 1;
        pair.bias = NULL;
        pair.addend = g->c;
        pair.add_type = g->out;
        pair.ldadd = g->ldc;
        pair.k2 = g->k2 = 0;
        want += cuda_gemm_scratch(c, &pair);
    }
    want += cuda_gemm_scratch(c, g);
    for (int i = 0; i < 4; i++)
        want += operand_room(&o[i], g->in);
    if (!cuda_scratch_begin(c, want))
        return;
    for (int i = 0; i < 4; i++) {
        at[i] = operand_take(c, &o[i], g->in);
        if (o[i].n > 0 && !at[i])
            return;
    }
    g->a = at[0];
    g->b = at[1];
    g->a2 = pair.a = at[2];
    g->b2 = pair.b = at[3];
    cuda_gemm_run(c, g);
    if (apart)
        cuda_gemm_run(c, &pair);
}

static void product_begin(struct cuda *c, struct cuda_gemm *g,
                          const struct compute_linear *l)
{
    *g = {};
    g->exact = is_plain(l) || c->precision == COMPUTE_FULL;
    g->in = is_plain(l) ? CUDA_F32 : c->act;
    g->alpha = l->alpha;
}

/* Output, and what is added to it. */
static void product_output(struct cuda_gemm *g, struct compute_span out,
                           struct compute_span addend)
{
    struct cuda_operand o = cuda_at(out);

    g->c = o.data;
    g->out = o.type;
    g->ldc = g->ldadd = g->n;
    if (!addend.buf)
        return;
    o = cuda_at(addend);
    assert(o.type == CUDA_F32 || o.type == CUDA_BF16);
    g->addend = o.data;
    g->add_type = o.type;
}

void cuda_op_linear(struct compute *base, const struct compute_linear *l)
{
    struct cuda *c = cuda_of(base);
    struct cuda_gemm g;
    struct operand o[4];

    if (l->m == 0 || l->n == 0)
        return;
    product_begin(c, &g, l);
    g.m = l->m;
    g.n = l->n;
    g.k = g.lda = g.ldb = l->k;
    g.k2 = g.lda2 = g.ldb2 = l->x2.buf ? l->k2 : 0;
    g.bias = cuda_f32(l->bias);
    product_output(&g, l->y, l->addend);
    o[0] = operand_of(l->x, l->m * l->k);
    o[1] = weights_of(l->w, l->n * l->k, g.in);
    o[2] = operand_of(l->x2, l->m * g.k2);
    o[3] = operand_of(l->w2, l->n * g.k2);
    product_run(c, &g, o);
}

void cuda_op_linear_dx(struct compute *base, const struct compute_linear *l)
{
    struct cuda *c = cuda_of(base);
    struct cuda_gemm g;
    struct operand o[4];

    if (l->m == 0 || l->k == 0)
        return;
    product_begin(c, &g, l);
    g.m = l->m;
    g.n = g.ldb = g.ldb2 = l->k;
    g.k = g.lda = l->n;
    g.k2 = g.lda2 = l->x2.buf ? l->k2 : 0;
    g.b_cross = true;
    product_output(&g, l->x, l->addend);
    o[0] = operand_of(l->y, l->m * l->n);
    o[1] = weights_of(l->w, l->n * l->k, g.in);
    o[2] = operand_of(l->x2, l->m * g.k2);
    o[3] = operand_of(l->w2, l->k * g.k2);
    product_run(c, &g, o);
}

#define COLUMNS_THREADS 128
#define COLUMNS_PARTS 64

/* part[p, n] = sums of the columns of rows p * per .. of y. */
template <typename T>
__global__ __launch_bounds__(COLUMNS_THREADS) void columns_kernel(
    float *part, const T *y, size_t m, size_t n, size_t per)
{
    size_t j = (size_t)blockIdx.x * COLUMNS_THREADS + threadIdx.x;
    size_t first = blockIdx.y * per;
    size_t last = first + per < m ? first + per : m;
    float sum = 0;

    if (j >= n)
        return;
    for (size_t i = first; i < last; i++)
        sum += gemm_float(y[i * n + j]);
    part[blockIdx.y * n + j] = sum;
}

__global__ __launch_bounds__(COLUMNS_THREADS) void columns_sum_kernel(
    float *out, const float *part, size_t parts, size_t n)
{
    size_t j = (size_t)blockIdx.x * COLUMNS_THREADS + threadIdx.x;
    float sum = 0;

    if (j >= n)
        return;
    for (size_t p = 0; p < parts; p++)
        sum += part[p * n + j];
    out[j] += sum;
}

/* out[n] += column sums of y[m,n]; part has room for COLUMNS_PARTS * n. */
static void columns_add(struct cuda *c, float *out, struct cuda_operand y,
                        float *part, size_t m, size_t n)
{
    size_t per = tiles_ceil(m, COLUMNS_PARTS), parts = tiles_ceil(m, per);
    dim3 grid((unsigned)tiles_ceil(n, COLUMNS_THREADS), (unsigned)parts);

    assert(y.type == CUDA_F32 || y.type == CUDA_BF16);
    if (y.type == CUDA_F32)
        columns_kernel<<<grid, COLUMNS_THREADS, 0, c->stream>>>(
            part, (const float *)y.data, m, n, per);
    else
        columns_kernel<<<grid, COLUMNS_THREADS, 0, c->stream>>>(
            part, (const __nv_bfloat16 *)y.data, m, n, per);
    cuda_launched(c, "column sums");
    columns_sum_kernel<<<grid.x, COLUMNS_THREADS, 0, c->stream>>>(out, part,
                                                                  parts, n);
    cuda_launched(c, "column sums");
}

static void weights_grad(struct cuda *c, const struct compute_linear *l)
{
    struct cuda_gemm g;
    struct operand o[4] = {};

    product_begin(c, &g, l);
    g.m = g.lda = l->n;
    g.n = g.ldb = l->k;
    g.k = l->m;
    g.a_cross = g.b_cross = true;
    product_output(&g, l->w, l->w);
    assert(g.out == CUDA_F32);
    o[0] = operand_of(l->y, l->m * l->n);
    o[1] = operand_of(l->x, l->m * l->k);
    product_run(c, &g, o);
}

void cuda_op_linear_dw(struct compute *base, const struct compute_linear *l)
{
    struct cuda *c = cuda_of(base);
    size_t bytes = COLUMNS_PARTS * l->n * sizeof(float);
    float *part;

    if (l->m == 0 || l->n == 0)
        return;
    if (l->w.buf && l->k > 0)
        weights_grad(c, l);
    if (!l->bias.buf || !cuda_scratch_begin(c, cuda_scratch_room(bytes)))
        return;
    part = (float *)cuda_scratch(c, bytes);
    if (part)
        columns_add(c, cuda_f32(l->bias), cuda_at(l->y), part, l->m, l->n);
}
