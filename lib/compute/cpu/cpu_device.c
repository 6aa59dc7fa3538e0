/*
 * cpu_device.c - the CPU as a compute device: its buffers, and the table
 *
 * Kernels are chosen once (cpu_house.h); asking for others by name is how runs
 * are reproduced on another machine.
 */
#include "base/mem.h"
#include "compute/cpu/cpu.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static char *bytes_at(struct compute_span s)
{
    assert(s.buf && s.buf->data);
    return (char *)s.buf->data + s.at * compute_type_size(s.buf->type);
}

static void op_close(struct compute *base)
{
    struct cpu *c = (struct cpu *)base;

    for (unsigned i = 0; i < c->base.threads; i++) {
        free(c->local[i].data);
        free(c->rows[i].data);
        free(c->sums[i].data);
    }
    free(c->local);
    free(c->rows);
    free(c->sums);
    free(c->left.data);
    free(c->pack.data);
    free(c->chunk.data);
    cpu_slab_close(c);
    pool_free(c->pool);
    free(c);
}

static void take_memory(struct compute *base, struct compute_buffer *b,
                        size_t bytes)
{
    struct cpu *c = (struct cpu *)base;

    b->bytes += bytes;
    c->used += bytes;
    c->peak = c->used > c->peak ? c->used : c->peak;
}

static void drop_memory(struct compute *base, struct compute_buffer *b,
                        size_t bytes)
{
    struct cpu *c = (struct cpu *)base;

    b->bytes -= bytes;
    c->used -= bytes;
}

static void op_memory(struct compute *base, size_t *used, size_t *peak)
{
    struct cpu *c = (struct cpu *)base;

    *used = c->used;
    *peak = c->peak;
}

static int op_alloc(struct compute *c, enum compute_type type, size_t count,
                    const char *what, struct compute_buffer **out,
                    struct err *err)
{
    void *data;
    int rc;

    if (type == COMPUTE_ACT)
        type = COMPUTE_F32;
    rc = mem_try_array(&data, count, compute_type_size(type), what, err);
    if (rc < 0)
        return rc;
    *out = mem_zalloc(sizeof(**out));
    **out =
        (struct compute_buffer){ .type = type, .count = count, .data = data };
    take_memory(c, *out, count * compute_type_size(type));
    return 0;
}

static void op_release(struct compute *c, struct compute_buffer *b)
{
    drop_memory(c, b, b->bytes);
    free(b->data);
    free(b->panels);
    cpu_quant_free(b->quant);
    free(b);
}

static void op_upload(struct compute *c, struct compute_span dst,
                      const void *src, size_t count)
{
    (void)c;
    assert(dst.at + count <= dst.buf->count);
    memcpy(bytes_at(dst), src, count * compute_type_size(dst.buf->type));
}

static void op_download(struct compute *c, void *dst, struct compute_span src,
                        size_t count)
{
    assert(src.at + count <= src.buf->count);
    if (src.buf->quant)
        cpu_quant_read(src.buf->quant, dst, src.at, count);
    else if (src.buf->panels)
        cpu_panels_read((struct cpu *)c, dst, src.buf, src.at, count);
    else
        memcpy(dst, bytes_at(src), count * compute_type_size(src.buf->type));
}

static int op_sync(struct compute *c, struct err *err)
{
    (void)c;
    (void)err;
    return 0;
}

/* Panels alone serve both directions and reading, so the plain form goes
 * whatever comes after. */
#define WORTH_TRIMMING ((size_t)1 << 20)

/* A model's matrices have a few sizes: what one leaves is no place for the
 * panels of the next, which are a little longer, and would stay ours. */
static void drop_plain(struct compute *base, struct compute_buffer *b)
{
    size_t bytes = b->count * compute_type_size(b->type);

    drop_memory(base, b, bytes);
    free(b->data);
    b->data = NULL;
    if (bytes >= WORTH_TRIMMING)
        mem_trim();
}

static int op_freeze(struct compute *base, struct compute_span w, size_t n,
                     size_t k, bool forward_only, struct err *err)
{
    struct cpu *c = (struct cpu *)base;
    struct compute_buffer *b = w.buf;
    struct cpu_operand o = {
        .data = b->data, .type = b->type, .ld = k, .by_rows = true
    };
    size_t bytes = cpu_panels_bytes(c, b->type, n, k);
    int rc;

    (void)forward_only;
    if (b->quant || b->panels)
        return 0;
    assert(w.at == 0 && b->count == n * k && b->data);
    rc = mem_try_array(&b->panels, bytes, 1, "packed weights", err);
    if (rc < 0)
        return rc;
    take_memory(base, b, bytes);
    cpu_panels_make(c, b->panels, &o, n, k);
    b->cols = k;
    drop_plain(base, b);
    return 0;
}

static void take_quant(struct compute *base, struct compute_buffer *b,
                       struct cpu_quant *q)
{
    take_memory(base, b, cpu_quant_bytes(q));
    drop_plain(base, b);
    b->quant = q;
}

static int op_quantise(struct compute *base, struct compute_span w, size_t n,
                       size_t k, enum compute_quant kind, struct err *err)
{
    struct compute_buffer *b = w.buf;
    struct cpu_quant *q;
    int rc;

    assert(w.at == 0 && b->count == n * k && b->data && !b->panels);
    rc = cpu_quant_new((struct cpu *)base, b, kind, n, k, &q, err);
    if (rc == 0)
        take_quant(base, b, q);
    return rc;
}

static int op_quantise_blocks(struct compute *base, struct compute_span w,
                              size_t n, size_t k, enum compute_quant kind,
                              const void *blocks, struct err *err)
{
    struct compute_buffer *b = w.buf;
    struct cpu_quant *q;
    int rc;

    assert(w.at == 0 && b->count == n * k && b->data && !b->panels);
    assert(kind == COMPUTE_Q8_0 || kind == COMPUTE_Q4_0);
    rc = cpu_quant_from((struct cpu *)base, kind, n, k, blocks, &q, err);
    if (rc == 0)
        take_quant(base, b, q);
    return rc;
}

static const struct compute_ops cpu_ops = {
    .version = COMPUTE_VERSION,
    .size = sizeof(struct compute_ops),
    .name = "cpu",
    .close = op_close,
    .alloc = op_alloc,
    .release = op_release,
    .upload = op_upload,
    .download = op_download,
    .sync = op_sync,
    .freeze = op_freeze,
    .fill = cpu_op_fill,
    .copy = cpu_op_copy,
    .axpy = cpu_op_axpy,
    .sum_squares = cpu_op_sum_squares,
    .accumulate = cpu_op_accumulate,
    .embed = cpu_op_embed,
    .embed_grad = cpu_op_embed_grad,
    .gather = cpu_op_gather,
    .scatter = cpu_op_scatter,
    .rmsnorm = cpu_op_rmsnorm,
    .rmsnorm_grad = cpu_op_rmsnorm_grad,
    .rope = cpu_op_rope,
    .swiglu = cpu_op_swiglu,
    .swiglu_grad = cpu_op_swiglu_grad,
    .linear = cpu_op_linear,
    .linear_dx = cpu_op_linear_dx,
    .linear_dw = cpu_op_linear_dw,
    .attention = cpu_op_attention,
    .attention_grad = cpu_op_attention_grad,
    .cache_size = cpu_op_cache_size,
    .cache_store = cpu_op_cache_store,
    .attention_cached = cpu_op_attention_cached,
    .cross_entropy = cpu_op_cross_entropy,
    .argmax = cpu_op_argmax,
    .adamw = cpu_op_adamw,
    .features = COMPUTE_HAS_WINDOW | COMPUTE_HAS_SOFTCAP |
                COMPUTE_HAS_HEAD_BIAS | COMPUTE_HAS_ENCODER |
                COMPUTE_HAS_BLOCKS | COMPUTE_HAS_NARROW_CACHE,
    .scale = cpu_op_scale,
    .copy_columns = cpu_op_copy_columns,
    .activate = cpu_op_activate,
    .activate_grad = cpu_op_activate_grad,
    .glu = cpu_op_glu,
    .glu_grad = cpu_op_glu_grad,
    .softcap = cpu_op_softcap,
    .layernorm = cpu_op_layernorm,
    .layernorm_grad = cpu_op_layernorm_grad,
    .rope_part = cpu_op_rope_part,
    .conv = cpu_op_conv,
    .conv_grad = cpu_op_conv_grad,
    .scan = cpu_op_scan,
    .scan_grad = cpu_op_scan_grad,
    .delta = cpu_op_delta,
    .delta_grad = cpu_op_delta_grad,
    .gated_norm = cpu_op_gated_norm,
    .gated_norm_grad = cpu_op_gated_norm_grad,
    .scale_columns = cpu_op_scale_columns,
    .inverse_norms = cpu_op_inverse_norms,
    .gain_columns = cpu_op_gain_columns,
    .scale_rows = cpu_op_scale_rows,
    .column_dots = cpu_op_column_dots,
    .distill = cpu_op_distill,
    .preference = cpu_op_preference,
    .quantise = op_quantise,
    .quantise_blocks = op_quantise_blocks,
    .cache_layout = cpu_op_cache_layout,
    .linears = cpu_op_linears,
    .branches = cpu_op_branches,
    .memory = op_memory,
};

int cpu_open(const struct compute_options *opt, struct compute **out,
             struct err *err)
{
    const struct cpu_kernels *k = NULL;
    struct cpu *c;
    int rc = cpu_choose(opt->kernels, opt->probe_dir, &k, err);

    if (rc < 0)
        return rc;
    c = mem_zalloc(sizeof(*c));
    c->k = k;
    c->pool = pool_new(opt->threads);
    c->base.ops = &cpu_ops;
    c->base.kernels = k->name;
    c->base.device = "cpu";
    c->base.precision = COMPUTE_FULL;
    c->base.threads = pool_threads(c->pool);
    c->local = mem_zalloc(c->base.threads * sizeof(*c->local));
    c->rows = mem_zalloc(c->base.threads * sizeof(*c->rows));
    c->sums = mem_zalloc(c->base.threads * sizeof(*c->sums));
    *out = &c->base;
    return 0;
}
