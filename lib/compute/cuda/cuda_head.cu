/*
 * cuda_head.cu - a linear head's products, piece by piece
 */
#include "compute/cuda/cuda_columns.cuh"
#include "compute/cuda/cuda_head.cuh"

#include <assert.h>

static size_t input_bytes(const struct cuda_head *h)
{
    return h->convert_input ? h->step * h->x->k * cuda_type_size(h->in) : 0;
}

static size_t weights_bytes(const struct cuda_head *h)
{
    return h->convert_weights ? h->x->vocab * h->x->k * cuda_type_size(h->in)
                              : 0;
}

static size_t logits_bytes(const struct cuda_head *h)
{
    return h->step * h->stride * cuda_type_size(h->in);
}

static size_t sums_bytes(const struct cuda_head *h)
{
    return h->x->dx.buf && h->x->dbias.buf ? column_bytes(1, h->step, h->stride)
                                           : 0;
}

static const void *input_at(const struct cuda_head *h, size_t at)
{
    return h->convert_input ? (const char *)h->wide_input
                            : (const char *)h->input.data +
                                  at * h->x->k * cuda_type_size(h->in);
}

static const void *weights_of(const struct cuda_head *h)
{
    return h->convert_weights ? h->wide_weights : h->weights.data;
}

static struct cuda_gemm forward_product(const struct cuda_head *h, size_t at,
                                        size_t rows)
{
    struct cuda_gemm g = {};

    g.in = g.out = h->in;
    g.exact = h->exact;
    g.m = rows;
    g.n = h->x->vocab;
    g.k = h->x->k;
    g.a = input_at(h, at);
    g.b = weights_of(h);
    g.lda = g.ldb = h->x->k;
    g.alpha = 1;
    g.c = h->logits;
    g.ldc = h->stride;
    g.bias = cuda_f32(h->x->bias);
    return g;
}

static struct cuda_gemm input_product(const struct cuda_head *h, size_t at,
                                      size_t rows)
{
    struct cuda_gemm g = {};

    g.in = h->in;
    g.out = h->dx.type;
    g.exact = h->exact;
    g.m = rows;
    g.n = h->x->k;
    g.k = h->x->vocab;
    g.a = h->logits;
    g.lda = h->stride;
    g.b = weights_of(h);
    g.ldb = h->x->k;
    g.b_cross = true;
    g.alpha = 1;
    g.c = (char *)h->dx.data + at * h->x->k * cuda_type_size(h->dx.type);
    g.ldc = h->x->k;
    return g;
}

static struct cuda_gemm weights_product(const struct cuda_head *h, size_t at,
                                        size_t rows)
{
    struct cuda_gemm g = {};

    g.in = h->in;
    g.out = CUDA_F32;
    g.exact = h->exact;
    g.m = h->x->vocab;
    g.n = h->x->k;
    g.k = rows;
    g.a = h->logits;
    g.lda = h->stride;
    g.a_cross = true;
    g.b = input_at(h, at);
    g.ldb = h->x->k;
    g.b_cross = true;
    g.alpha = 1;
    g.c = cuda_f32(h->x->dw);
    g.ldc = h->x->k;
    g.addend = g.c;
    g.add_type = CUDA_F32;
    g.ldadd = h->x->k;
    return g;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What the products on a piece of `rows` rows want. */
static size_t product_scratch(const struct cuda *c, const struct cuda_head *h,
                              size_t rows)
{
    struct cuda_gemm g = forward_product(h, 0, rows);
    size_t want = cuda_gemm_scratch(c, &g);

    if (!h->x->dx.buf)
        return want;
    g = input_product(h, 0, rows);
    want = larger(want, cuda_gemm_scratch(c, &g));
    if (!h->x->dw.buf)
        return want;
    g = weights_product(h, 0, rows);
    return larger(want, cuda_gemm_scratch(c, &g));
}

/* Each product may use the same scratch as the one before. */
static void product(struct cuda *c, const struct cuda_gemm *g)
{
    size_t used = c->scratch_used;

    cuda_gemm_run(c, g);
    c->scratch_used = used;
}

void cuda_head_plan(const struct cuda *c, struct cuda_head *h,
                    const struct compute_cross_entropy *x, size_t heads)
{
    *h = {};
    h->x = x;
    h->in = c->act;
    h->exact = c->precision == COMPUTE_FULL;
    h->input = cuda_at(x->x);
    if (!x->w.buf->quant)
        h->weights = cuda_at(x->w);
    h->dx = cuda_at(x->dx);
    if (h->in == CUDA_BF16 && x->w.buf->frozen) {
        h->weights.data = x->w.buf->frozen + x->w.at;
        h->weights.type = CUDA_BF16;
    }
    h->convert_input = h->input.type != h->in;
    h->convert_weights = x->w.buf->quant || h->weights.type != h->in;
    h->stride = cuda_logits_stride(x->vocab);
    h->step = cuda_logits_rows(x->rows, x->vocab, cuda_type_size(h->in) * heads,
                               c->limit);
}

size_t cuda_head_want(const struct cuda_head *h)
{
    return cuda_scratch_room(logits_bytes(h)) +
           cuda_scratch_room(input_bytes(h)) +
           cuda_scratch_room(weights_bytes(h)) +
           cuda_scratch_room(sums_bytes(h));
}

size_t cuda_head_products(const struct cuda *c, const struct cuda_head *h)
{
    size_t rest = h->x->rows % h->step;
    size_t want = product_scratch(c, h, h->step);

    return rest > 0 ? larger(want, product_scratch(c, h, rest)) : want;
}

void cuda_head_take(struct cuda *c, struct cuda_head *h)
{
    h->logits = cuda_scratch(c, logits_bytes(h));
    h->wide_input = cuda_scratch(c, input_bytes(h));
    h->wide_weights = cuda_scratch(c, weights_bytes(h));
    h->sums = (float *)cuda_scratch(c, sums_bytes(h));
    if (h->convert_weights)
        cuda_weights_read(c, h->wide_weights, h->in, h->x->w,
                          h->x->vocab * h->x->k);
}

void cuda_head_forward(struct cuda *c, const struct cuda_head *h, size_t at,
                       size_t rows)
{
    struct cuda_gemm g = forward_product(h, at, rows);

    if (h->convert_input)
        cuda_convert(c, h->wide_input, h->in,
                     (const char *)h->input.data +
                         at * h->x->k * cuda_type_size(h->input.type),
                     h->input.type, rows * h->x->k);
    product(c, &g);
}

static void bias_grad(struct cuda *c, const struct cuda_head *h, size_t rows)
{
    struct cuda_operand logits = { h->logits, h->in };
    column_body<CUDA_ANY> body = { cuda_vec_of<CUDA_ANY>(logits), h->stride };
    column_outputs<1> out = { { cuda_f32(h->x->dbias) } };
    column_shape shape = { rows, h->stride, h->stride, h->x->vocab, true };

    column_sums(c, out, body, shape, h->sums, "cross_entropy");
}

void cuda_head_grad(struct cuda *c, const struct cuda_head *h, size_t at,
                    size_t rows)
{
    struct cuda_gemm g = input_product(h, at, rows);

    product(c, &g);
    if (h->x->dbias.buf)
        bias_grad(c, h, rows);
    if (!h->x->dw.buf)
        return;
    g = weights_product(h, at, rows);
    product(c, &g);
}
