/*
 * cuda_linear.cu - linear layers and both gradients, as matrix products
 *
 * Operands are brought to one type: that of activations (bf16, or f32 in the
 * precisions above). In bf16 training nothing is converted but what was not
 * kept so (cuda_narrow.cu): activations and frozen weights have the type.
 * Products of plain f32 buffers are computed in f32 whatever the precision:
 * they merge adapters. Weights as blocks meet few rows as they are
 * (cuda_quant_rows.cu) and more by panels in scratch. Panel or loads that
 * widen: of 4,096 rows a tile of 128 x 256 would widen each weight 32 times,
 * some 8 instructions each, in all 9 ps a weight of a GPU's whole issue rate,
 * beside a product of 8.3 ps a weight at 989 TFLOP/s; a panel costs reading
 * half a byte, writing two and reading them again at 4.8 TB/s: 0.9 ps, and the
 * kernels stay as they are.
 */
#include "compute/cuda/cuda_columns.cuh"
#include "compute/cuda/cuda_gemm_parts.cuh"
#include "compute/cuda/cuda_quant.cuh"

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

/* Weights, maybe absent: those that are kept in bf16 where that is wanted or
 * nothing else is left. Before the output is asked for, which may be what is
 * kept and is stale from then on. */
static struct operand weights_of(struct cuda *c, struct compute_span s,
                                 size_t n, enum cuda_type want)
{
    struct operand o = {};

    if (!s.buf || s.buf->quant)
        return o;
    o.at.type = CUDA_BF16;
    o.n = n;
    if (s.buf->narrow && want == CUDA_BF16) {
        cuda_narrow_refresh(c);
        o.at.data = s.buf->narrow + s.at;
    } else if (s.buf->frozen && (!s.buf->data || want == CUDA_BF16)) {
        o.at.data = s.buf->frozen + s.at;
    } else {
        o = operand_of(s, n);
    }
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

/* A product, and its pair's own where alpha does not touch that. */
struct products {
    struct cuda_gemm g, pair;
    bool apart;
};

static void products_split(struct products *p, const struct cuda_gemm *g)
{
    p->g = p->pair = *g;
    p->apart = g->k2 > 0 && g->alpha != 1;
    if (!p->apart)
        return;
    p->g.k2 = p->pair.k2 = 0;
    p->pair.k = g->k2;
    p->pair.lda = g->lda2;
    p->pair.ldb = g->ldb2;
    p->pair.alpha = 1;
    p->pair.bias = NULL;
    p->pair.addend = g->c;
    p->pair.add_type = g->out;
    p->pair.ldadd = g->ldc;
}

static size_t products_scratch(const struct cuda *c, const struct products *p)
{
    return cuda_gemm_scratch(c, &p->g) +
           (p->apart ? cuda_gemm_scratch(c, &p->pair) : 0);
}

/* Operands a, b, and the pair's, with so much more scratch. False after an
 * error. */
static bool products_take(struct cuda *c, struct products *p,
                          const struct operand o[4], size_t more)
{
    enum cuda_type in = p->g.in;
    const void *at[4];

    for (int i = 0; i < 4; i++)
        more += operand_room(&o[i], in);
    if (!cuda_scratch_begin(c, more))
        return false;
    for (int i = 0; i < 4; i++) {
        at[i] = operand_take(c, &o[i], in);
        if (o[i].n > 0 && !at[i])
            return false;
    }
    p->g.a = at[0];
    p->g.b = at[1];
    p->g.a2 = p->pair.a = at[2];
    p->g.b2 = p->pair.b = at[3];
    p->g.steady = p->pair.steady = c->recording && !c->unsteady &&
                                   at[1] == o[1].at.data &&
                                   at[3] == o[3].at.data;
    return true;
}

static void products_run(struct cuda *c, const struct products *p)
{
    cuda_gemm_run(c, &p->g);
    if (p->apart)
        cuda_gemm_run(c, &p->pair);
}

/* g without its pointers a, b, a2, b2: operands a, b, and the pair's, which
 * alpha does not touch. Nothing happens if there is no memory. */
static void product_run(struct cuda *c, const struct cuda_gemm *g,
                        const struct operand o[4])
{
    struct products p;

    products_split(&p, g);
    if (products_take(c, &p, o, products_scratch(c, &p)))
        products_run(c, &p);
}

static const void *moved(const void *p, size_t elements, enum cuda_type t)
{
    return p ? (const char *)p + elements * cuda_type_size(t) : NULL;
}

/* Columns [at, at + n) of the output alone. */
static void narrow(struct cuda_gemm *g, size_t at, size_t n)
{
    g->n = n;
    g->c = (void *)moved(g->c, at, g->out);
    g->h = (void *)moved(g->h, at, g->out);
    g->bias = (const float *)moved(g->bias, at, CUDA_F32);
    g->addend = moved(g->addend, at, g->add_type);
    g->b = moved(g->b, g->b_cross ? at : at * g->ldb, g->in);
    g->b2 = moved(g->b2, g->b_cross ? at : at * g->ldb2, g->in);
}

static struct products narrowed(const struct products *p, size_t at, size_t n)
{
    struct products part = *p;

    narrow(&part.g, at, n);
    narrow(&part.pair, at, n);
    return part;
}

/* Of 50 MB of L2; a matrix kernel's tiles have at most 256 columns. */
#define PANEL_BYTES ((size_t)32 << 20)
#define PANEL_COLUMNS 256

/* product_run by weights that are blocks, k elements a row; o has none. */
static void panels_run(struct cuda *c, const struct cuda_gemm *g,
                       const struct operand o[4], struct compute_span w,
                       size_t k)
{
    size_t column = g->k * cuda_type_size(g->in);
    size_t step = tiles_panel(g->n, column, PANEL_COLUMNS, PANEL_BYTES);
    size_t rest = g->n % step, bytes = step * column, want, tail;
    struct cuda_operand panel = { NULL, g->in };
    struct products p, part;

    products_split(&p, g);
    part = narrowed(&p, 0, step);
    want = products_scratch(c, &part);
    part = narrowed(&p, 0, rest > 0 ? rest : step);
    tail = products_scratch(c, &part);
    want = want > tail ? want : tail;
    if (!products_take(c, &p, o, want + cuda_scratch_room(bytes)))
        return;
    panel.data = cuda_scratch(c, bytes);
    for (size_t at = 0; at < g->n; at += step) {
        size_t n = g->n - at < step ? g->n - at : step;
        struct quant_piece piece = { w.at + at * k, k, n, g->k, NULL };

        if (g->b_cross) {
            piece.at = w.at + at;
            piece.rows = g->k;
            piece.cols = n;
        }
        cuda_quant_read(c, panel, w.buf->quant, &piece);
        part = narrowed(&p, at, n);
        part.g.b = panel.data;
        part.g.steady = false;
        part.g.ldb = piece.cols;
        products_run(c, &part);
    }
}

static void product_begin(struct cuda *c, struct cuda_gemm *g,
                          const struct compute_linear *l)
{
    *g = {};
    g->exact = is_plain(l) || c->precision == COMPUTE_FULL;
    g->in = is_plain(l) ? CUDA_F32 : c->act;
    g->alpha = l->alpha;
}

static void product_addend(struct cuda_gemm *g, struct compute_span addend)
{
    struct cuda_operand o = cuda_at(addend);

    assert(o.type == CUDA_F32 || o.type == CUDA_BF16);
    g->addend = o.data;
    g->add_type = o.type;
}

/* Output, and what is added to it. */
static void product_output(struct cuda_gemm *g, struct compute_span out,
                           struct compute_span addend)
{
    struct cuda_operand o = cuda_at(out);

    g->c = o.data;
    g->out = o.type;
    g->ldc = g->ldadd = g->n;
    if (addend.buf)
        product_addend(g, addend);
}

/* Whether it was done without widening the weights. */
static bool linear_of_blocks(struct cuda *c, const struct compute_linear *l)
{
    if (cuda_blocks_fits(l))
        cuda_blocks_linear(c, l, 1);
    else if (cuda_quant_fits(c, l))
        cuda_quant_linear(c, l);
    else
        return false;
    return true;
}

/* A product but for its operands a, b, and the pair's. */
static void linear_init(struct cuda *c, struct cuda_gemm *g,
                        struct operand o[4], const struct compute_linear *l)
{
    product_begin(c, g, l);
    g->m = l->m;
    g->n = l->n;
    g->k = g->lda = g->ldb = l->k;
    g->k2 = g->lda2 = g->ldb2 = l->x2.buf ? l->k2 : 0;
    o[1] = weights_of(c, l->w, l->n * l->k, g->in);
    o[3] = weights_of(c, l->w2, l->n * g->k2, g->in);
    o[0] = operand_of(l->x, l->m * l->k);
    o[2] = operand_of(l->x2, l->m * g->k2);
    g->bias = cuda_f32(l->bias);
    product_output(g, l->y, l->addend);
}

void cuda_op_linear(struct compute *base, const struct compute_linear *l)
{
    struct cuda *c = cuda_of(base);
    struct cuda_gemm g;
    struct operand o[4];

    if (l->m == 0 || l->n == 0)
        return;
    if (l->w.buf->quant && linear_of_blocks(c, l))
        return;
    linear_init(c, &g, o, l);
    if (l->w.buf->quant)
        panels_run(c, &g, o, l->w, l->k);
    else
        product_run(c, &g, o);
}

/* Whether the layer is one product of few rows whose operands have its type. */
static bool linear_is_gemv(struct cuda *c, struct cuda_gemm *g,
                           const struct compute_linear *l)
{
    struct operand o[4];

    if (l->w.buf->quant)
        return false;
    linear_init(c, g, o, l);
    for (int i = 0; i < 4; i++)
        if (o[i].n > 0 && o[i].at.type != g->in)
            return false;
    g->a = o[0].at.data;
    g->b = o[1].at.data;
    g->a2 = o[2].at.data;
    g->b2 = o[3].at.data;
    g->steady = c->recording && !c->unsteady;
    return (g->k2 == 0 || g->alpha == 1) && cuda_gemm_is_gemv(c, g);
}

/* Whether all were done by one launch. */
static bool linears_by_gemv(struct cuda *c, const struct compute_linear *l,
                            size_t count)
{
    struct cuda_gemm g[COMPUTE_LINEARS];

    if (count < 2)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!linear_is_gemv(c, &g[i], &l[i]) || g[i].in != g[0].in)
            return false;
    cuda_gemv_run_all(c, g, count);
    return true;
}

/* Weights as blocks: x is rounded once where all want that. Few rows: one
 * launch. Otherwise nothing is joined. */
void cuda_op_linears(struct compute *base, const struct compute_linear *l,
                     size_t count)
{
    struct cuda *c = cuda_of(base);
    bool joined = count > 0 && l->m > 0, blocks = joined;

    assert(count <= COMPUTE_LINEARS);
    for (size_t i = 0; i < count; i++) {
        joined = joined && l[i].n > 0;
        blocks = blocks && joined && cuda_blocks_fits(&l[i]);
    }
    if (blocks)
        cuda_blocks_linear(c, l, count);
    else if (!joined || !linears_by_gemv(c, l, count))
        for (size_t i = 0; i < count; i++)
            cuda_op_linear(base, &l[i]);
}

/* Makes it a gate's product, with h as its epilogue: whether kernels have that
 * one. */
static bool gate_epilogue(struct cuda_gemm *g, struct compute_span h,
                          struct compute_span up)
{
    struct cuda_operand at = cuda_at(h);

    g->h = at.data;
    product_addend(g, up);
    return (g->k2 == 0 || g->alpha == 1) && at.type == g->out &&
           g->add_type == g->out && g->out != CUDA_F16;
}

void cuda_op_linear_swiglu(struct compute *base,
                           const struct compute_linear *up,
                           const struct compute_linear *gate,
                           struct compute_span h)
{
    const struct compute_linear both[2] = { *up, *gate };
    struct cuda *c = cuda_of(base);
    struct cuda_gemm g[2];
    struct operand o[4];

    if (up->m == 0 || up->n == 0)
        return;
    if (up->w.buf->quant || gate->w.buf->quant) {
        cuda_op_linears(base, both, 2);
        cuda_op_swiglu(base, h, gate->y, up->y, up->m * up->n);
        return;
    }
    if (linear_is_gemv(c, &g[0], up) && linear_is_gemv(c, &g[1], gate) &&
        g[0].in == g[1].in && gate_epilogue(&g[1], h, up->y)) {
        cuda_gemv_run_all(c, g, 2);
        return;
    }
    cuda_op_linear(base, up);
    linear_init(c, &g[1], o, gate);
    if (gate_epilogue(&g[1], h, up->y)) {
        product_run(c, &g[1], o);
        return;
    }
    cuda_op_linear(base, gate);
    cuda_op_swiglu(base, h, gate->y, up->y, up->m * up->n);
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
    o[1] = weights_of(c, l->w, l->n * l->k, g.in);
    o[3] = weights_of(c, l->w2, l->k * g.k2, g.in);
    o[0] = operand_of(l->y, l->m * l->n);
    o[2] = operand_of(l->x2, l->m * g.k2);
    product_output(&g, l->x, l->addend);
    if (l->w.buf->quant)
        panels_run(c, &g, o, l->w, l->k);
    else
        product_run(c, &g, o);
}

template <int T>
static void bias_run(struct cuda *c, const struct compute_linear *l,
                     struct cuda_operand y, float *scratch)
{
    column_body<T> body = { cuda_vec_of<T>(y), l->n };
    column_outputs<1> out = { { cuda_f32(l->bias) } };
    column_shape shape = { l->m, l->n, l->n, l->n, cuda_wide(y, l->n, 4) };

    column_sums(c, out, body, shape, scratch, "column sums");
}

/* bias[n] += column sums of y[m,n] */
static void bias_grad(struct cuda *c, const struct compute_linear *l)
{
    size_t bytes = column_bytes(1, l->m, l->n);
    struct cuda_operand y = cuda_at(l->y);
    float *scratch = NULL;

    if (cuda_scratch_begin(c, cuda_scratch_room(bytes)))
        scratch = (float *)cuda_scratch(c, bytes);
    if (!scratch)
        return;
    assert(y.type == CUDA_F32 || y.type == CUDA_BF16);
    if (y.type == CUDA_F32)
        bias_run<CUDA_F32>(c, l, y, scratch);
    else
        bias_run<CUDA_BF16>(c, l, y, scratch);
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

    if (l->m == 0 || l->n == 0)
        return;
    if (l->w.buf && l->k > 0)
        weights_grad(c, l);
    if (l->bias.buf)
        bias_grad(c, l);
}
