/*
 * cpu.h - private to lib/compute: the CPU device and its kernel table
 *
 * A kernel works on plain memory and knows nothing of threads; the cpu_*.c
 * files cut work into tasks that own their outputs. Each instruction set
 * compiles the same kernel sources (kernels_*.h) once.
 */
#ifndef CPU_H
#define CPU_H

#include "base/pool.h"
#include "compute/compute.h"

#define CPU_MAX_MR 14
#define CPU_MAX_NR 32
#define CPU_KEYS 128          /* keys of one softmax block */
#define CPU_KC 320            /* largest depth of a GEMM block, about */
#define CPU_SHALLOW 32        /* depth up to which C is written by rows */
#define CPU_NARROW 4          /* rows that the narrow kernel takes */
#define CPU_INLINE_WORK 65536 /* multiply-adds not worth waking threads for */

struct cpu_quant;
struct cpu_packed;
struct cpu_slab;

struct compute_buffer {
    enum compute_type type;
    size_t count;
    void *data;              /* NULL after freeze and quantise */
    struct cpu_quant *quant; /* weights as blocks, or NULL */
    void *panels;            /* frozen weights [n/nr][cols][nr], or NULL */
    size_t cols;             /* of a frozen row */
    size_t bytes;            /* of all */
};

/* C[m,n] = alpha A B (+ from) (+ bias). A's element (i,k) is a[i * rs + k *
 * cs], where one of them is 1, strips of mr rows lie `strip` apart (0: mr *
 * rs); B is panels of nr columns, [k][nr] each, panel_stride apart,
 * zero-padded. */
struct cpu_block {
    size_t m, n, k;
    const float *a, *b;
    size_t rs, cs, panel_stride;
    float *c;
    size_t ldc;
    float alpha;
    bool add;
    const float *from; /* with add: what to add to, ldf a row; NULL: C */
    size_t ldf, strip;
    const float *bias; /* [n] or NULL */
    bool far;    /* B is likely not in the caches yet, nor what follows it */
    size_t ldb;  /* not 0: B is rows [k][ldb] as they are, ... */
    float *keep; /* ... whose panels pass through [k][nr] here */
};

/* The same for m <= CPU_NARROW rows of A, whose elements are a[i * rs + k],
 * and panels of any type, over all of k in blocks of `depth`: the sums are
 * those that gemm_block gives block by block. */
struct cpu_narrow {
    size_t m, n, k, depth;
    const float *a;
    size_t rs;
    const void *b;
    enum compute_type type;
    size_t panel_stride; /* elements */
    float *c;
    size_t ldc;
    float alpha;
    const float *from; /* or NULL */
    size_t ldf;
    const float *bias;
};

#define CPU_INT_NR 16    /* rows of weights that lie side by side */
#define CPU_INT_BLOCK 32 /* weights with one scale */

/* y[m,n] = alpha x w' (+ y) + bias: at most int_mr rows, quantised by
 * int_rows, and CPU_INT_NR columns of weights as cpu_int.c keeps them; with
 * `panels`, which is 1 or cpu_int_at_once(m), as many of CPU_INT_NR each. */
struct cpu_int_tile {
    enum compute_quant kind;
    size_t m, n, blocks, panels;
    size_t apart; /* panels from one of w, y and bias to the next */
    const void *x;
    const uint8_t *w;  /* pairs of blocks, as cpu_int_pair_bytes tells */
    const float *bias; /* or NULL */
    float *y;
    size_t ldy;
    float alpha;
    bool add;
};

/* A step of a state [width,dim], backward: ds comes in as the gradient of the
 * state after the step and leaves as that of the one before. Columns are told
 * apart by `dim`; b, c, q, k have `width` elements, add, dy, v, d_o `dim`. */
struct cpu_scan_step {
    float *ds, *db, *dc; /* db, dc are added to */
    const float *after, *before, *b, *c, *add, *dy;
    float decay;
    float *dadd, *ddecay; /* dadd is set, ddecay added to */
    size_t width, dim;
};
struct cpu_delta_step {
    float *ds, *dq, *dk; /* dq, dk are added to */
    const float *after, *before, *q, *k, *v, *d_o;
    float decay, beta;
    float *dv;             /* set */
    float *ddecay, *dbeta; /* added to */
    size_t width, dim;
};

struct cpu_kernels {
    const char *name;
    size_t mr, nr;
    void (*block)(const struct cpu_block *b);
    void (*narrow)(const struct cpu_narrow *n);
    /* One panel of n <= nr columns from rows w[n][ld] or w[k][ld]. */
    void (*pack_rows)(float *panel, const float *w, size_t ld, size_t n,
                      size_t k);
    void (*pack_cols)(float *panel, const float *w, size_t ld, size_t n,
                      size_t k);
    /* Strips of mr rows, [k][mr] each, of m rows whose element (i,p) is a[i *
     * rs + p * cs], where one of rs and cs is 1. */
    void (*pack_strips)(float *strips, const float *a, size_t rs, size_t cs,
                        size_t m, size_t k);
    void (*widen)(float *y, const void *x, enum compute_type type, size_t n);

    /* The most rows of activations in a panel, a row's bytes of a block, and
     * x's m rows as a panel; then the product. */
    size_t int_mr;
    uint8_t int_odd; /* 8-bit codes at odd places are XORed with it */
    size_t (*int_bytes)(enum compute_quant kind);
    void (*int_rows)(enum compute_quant kind, void *panel, const float *x,
                     size_t ld, size_t m, size_t blocks);
    void (*int_tile)(const struct cpu_int_tile *t);

    void (*axpy)(float *y, float alpha, const float *x, size_t n);
    void (*add_bias)(float *y, const float *bias, size_t n);
    double (*sum_squares)(const float *x, size_t n);
    float (*rmsnorm)(float *y, const float *x, const float *w, size_t n,
                     float eps);
    void (*rmsnorm_grad)(float *dx, float *dw, const float *dy, const float *x,
                         const float *w, float rstd, size_t n);
    void (*rope)(float *x, const float *cosine, const float *sine, size_t heads,
                 size_t dim, size_t rotary, float sign);
    void (*swiglu)(float *h, const float *gate, const float *up, size_t n);
    void (*swiglu_grad)(float *dgate, float *dup, const float *dh,
                        const float *gate, const float *up, size_t n);
    /* x = exp(x * scale - max), returns the sum; *max_io: running maximum of
     * x * scale, raised to this row's. */
    float (*softmax_part)(float *x, size_t n, float scale, float *max_io);
    /* p = exp(p scale - lse), dp = p (dp - delta) */
    void (*softmax_back)(float *p, float *dp, size_t n, float scale, float lse,
                         float delta);
    /* y *= x */
    void (*times)(float *y, const float *x, size_t n);
    /* block over panels of f16 or i8 in place of b's; to such from f32: bytes
     * are to be multiplied by what it returns. */
    void (*block_thin)(const struct cpu_block *b, const void *panels,
                       enum compute_type type);
    float (*thin)(void *y, const float *x, enum compute_type type, size_t n);
    float (*dot)(const float *a, const float *b, size_t n);
    void (*scale)(float *y, float alpha, size_t n);
    /* -log softmax(x)[label]; with grad: x = scale (softmax(x) - onehot). */
    float (*cross_entropy)(float *x, size_t n, size_t label, float scale,
                           bool grad);
    size_t (*argmax)(const float *x, size_t n, float *logp);
    void (*adamw)(float *p, const float *g, float *m, float *v, size_t n,
                  const float *constants);
    void (*activate)(enum compute_activation kind, float *y, const float *x,
                     size_t n);
    void (*activate_grad)(enum compute_activation kind, float *dx,
                          const float *dy, const float *x, size_t n);
    void (*glu)(enum compute_activation kind, float *h, const float *gate,
                const float *up, size_t n);
    void (*glu_grad)(enum compute_activation kind, float *dgate, float *dup,
                     const float *dh, const float *gate, const float *up,
                     size_t n);
    /* y = cap tanh(scale x / cap), and dx *= its slope, given y */
    void (*softcap)(float *y, const float *x, float scale, float cap, size_t n);
    void (*softcap_grad)(float *dx, const float *y, float cap, size_t n);
    /* stat: mean, rstd */
    void (*layernorm)(float *y, const float *x, const float *w, const float *b,
                      size_t n, float eps, float stat[2]);
    void (*layernorm_grad)(float *dx, float *dw, float *db, const float *dy,
                           const float *x, const float *w, const float stat[2],
                           size_t n);
    /* Convolution of a row of n channels; in[j]: row r - taps + 1 + j, NULL
     * for zeros; w[taps][n]. */
    void (*conv_row)(float *y, const float *const *in, const float *w,
                     const float *bias, size_t taps, bool silu, size_t n);
    /* g = dy f'; dw[taps][n], dbias += their parts. */
    void (*conv_row_grad)(float *g, float *dw, float *dbias, const float *dy,
                          const float *const *in, const float *w,
                          const float *bias, size_t taps, bool silu, size_t n);
    /* s = decay from + b add'; y = s' c. s may be from. */
    void (*scan_step)(float *s, const float *from, float decay,
                      const float *add, const float *b, const float *c,
                      float *y, size_t width, size_t dim);
    void (*scan_step_grad)(const struct cpu_scan_step *x);
    /* s = decay from; s += k beta (v - s'k)'; o = s' q. s may be from. */
    void (*delta_step)(float *s, const float *from, float decay, float beta,
                       const float *v, const float *k, const float *q, float *o,
                       size_t width, size_t dim);
    void (*delta_step_grad)(const struct cpu_delta_step *x);
    /* The limits: rounds of what registers give, returning how many operations
     * that was, and reading (the sum of the words) of n % 512 == 0 bytes. */
    double (*peak_fma)(size_t rounds, float *sink);
    double (*peak_int8)(size_t rounds, int32_t *sink);
    uint32_t (*peak_read)(const void *data, size_t n);
};

enum {
    ADAMW_NOT_B1, /* 1 - beta1 */
    ADAMW_B2,
    ADAMW_NOT_B2,
    ADAMW_RATE, /* lr / (1 - beta1^step) */
    ADAMW_C2,   /* 1 / sqrt(1 - beta2^step) */
    ADAMW_EPS,
    ADAMW_DECAY, /* 1 - lr decay */
    ADAMW_GSCALE,
    ADAMW_CONSTANTS,
};

extern const struct cpu_kernels cpu_kernels_generic;
extern const struct cpu_kernels cpu_kernels_avx2;
extern const struct cpu_kernels cpu_kernels_avxvnni;
extern const struct cpu_kernels cpu_kernels_avx512;
extern const struct cpu_kernels cpu_kernels_avx512vnni;
extern const struct cpu_kernels cpu_kernels_neon;

struct cpu_scratch {
    void *data;
    size_t bytes;
};

struct cpu {
    struct compute base;
    const struct cpu_kernels *k;
    struct pool *pool;
    struct cpu_scratch pack;  /* shared: packed operands of the running op */
    struct cpu_scratch chunk; /* shared: logits, partial sums, panels */
    struct cpu_scratch left;  /* shared: rows of a product's left operand */
    struct cpu_scratch *local, *rows, *sums; /* one each a worker */
    size_t used, peak;                       /* bytes of buffers */
    struct cpu_slab *slab;                   /* the open one, or NULL */
};

/* Memory of weights, aligned to lines and zeroed; pieces may outlive the
 * device's open slab. cpu_slab_leave of a piece of zeros is fine. */
struct cpu_piece {
    struct cpu_slab *slab;
    void *data;
    size_t bytes;
};
MUST_CHECK int cpu_slab_take(struct cpu *c, size_t bytes, const char *what,
                             struct cpu_piece *out, struct err *err);
void cpu_slab_leave(struct cpu_piece *p);
void cpu_slab_close(struct cpu *c);

/* Where a GEMM's B comes from: w[n][ld] (by rows: B = w') or w[k][ld]. */
struct cpu_operand {
    const void *data;
    enum compute_type type;
    size_t ld;
    bool by_rows;
    const void *panels;            /* frozen, in `type`: [rows/nr][ld][nr] */
    const struct cpu_quant *quant; /* in place of data */
    size_t quant_at;
};
/* C = alpha A B (+ from) (+ bias) (+ A2 B2). A's element (i,k) is a[i * rs + k
 * * cs], one of the strides is 1; A2 is [m][k2]. With `add`, from is added to,
 * which has C's stride; NULL: C. */
struct cpu_gemm {
    size_t m, n, k;
    const float *a;
    size_t rs, cs;
    struct cpu_operand b;
    float *c;
    size_t ldc;
    const float *bias;
    float alpha;
    bool add;
    const float *from;
    const float *a2; /* NULL: none */
    struct cpu_operand b2;
    size_t k2;
};

/* Kernels by name, the best ones for NULL; probe_dir as in compute_options. */
MUST_CHECK int cpu_choose(const char *name, const char *probe_dir,
                          const struct cpu_kernels **out, struct err *err);
MUST_CHECK int cpu_open(const struct compute_options *opt, struct compute **out,
                        struct err *err);

/* Memory that only grows; ends the process when there is none left, as an
 * operation has no way to fail. */
void *cpu_scratch_get(struct cpu_scratch *s, size_t bytes);
/* pool_run, or a plain loop where `work` (multiply-adds) is small. */
void cpu_run(struct cpu *c, size_t tasks, size_t work,
             void (*fn)(void *ctx, size_t task, unsigned worker), void *ctx);

#define CPU_FLAT 8192 /* elements of a piece where no row matters */
#define CPU_ROWS 16   /* rows of a piece */

/* cpu_run of fn over n elements, rows or columns in pieces of `step`, the last
 * one shorter: fn gets where its piece begins and how long it is. */
void cpu_run_pieces(struct cpu *c, size_t n, size_t step, size_t work,
                    void (*fn)(void *ctx, size_t at, size_t n), void *ctx);

static inline size_t cpu_ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/* Bytes of the codes of CPU_INT_NR blocks. */
static inline size_t cpu_int_code_bytes(enum compute_quant kind)
{
    return (size_t)CPU_INT_NR * CPU_INT_BLOCK / (kind == COMPUTE_Q8_0 ? 1 : 2);
}

/* Blocks come in pairs, so that they are whole lines: the codes of one, of the
 * other, then the scales of both. */
static inline size_t cpu_int_pair_bytes(enum compute_quant kind)
{
    return 2 * (cpu_int_code_bytes(kind) + CPU_INT_NR * sizeof(uint16_t));
}

static inline size_t cpu_int_panel_bytes(enum compute_quant kind, size_t blocks)
{
    return (blocks + 1) / 2 * cpu_int_pair_bytes(kind);
}

/* Where codes and scales of a block are among a panel's pairs. */
static inline size_t cpu_int_codes_at(enum compute_quant kind, size_t block)
{
    return block / 2 * cpu_int_pair_bytes(kind) +
           block % 2 * cpu_int_code_bytes(kind);
}

static inline size_t cpu_int_scales_at(enum compute_quant kind, size_t block)
{
    return block / 2 * cpu_int_pair_bytes(kind) + 2 * cpu_int_code_bytes(kind) +
           block % 2 * CPU_INT_NR * sizeof(uint16_t);
}

/* Panels that may pass at once under m rows. */
static inline size_t cpu_int_at_once(size_t m)
{
    return m == 1 ? 4 : m == 2 ? 2 : 1;
}

float *cpu_f32(struct compute_span s);  /* NULL for an absent span */
double *cpu_f64(struct compute_span s); /* the same */
int32_t *cpu_i32(struct compute_span s);

void cpu_gemm_run(struct cpu *c, const struct cpu_gemm *g);
/* Columns from the multiple `at` of a panel on, n of them, by this worker alone
 * and with the same bits. B is panels or floats, not blocks of bytes. */
void cpu_gemm_columns(struct cpu *c, const struct cpu_gemm *g, size_t at,
                      size_t n, unsigned worker);
/* Bytes and making of the panels that freeze keeps. */
size_t cpu_panels_bytes(const struct cpu *c, enum compute_type type, size_t n,
                        size_t k);
void cpu_panels_make(struct cpu *c, void *panels, const struct cpu_operand *w,
                     size_t n, size_t k);
/* n elements from `at` on of frozen weights, in their type. */
void cpu_panels_read(const struct cpu *c, void *y,
                     const struct compute_buffer *b, size_t at, size_t n);
/* Rows [p0, p0 + k) and columns [j0, j0 + n) of B as f32 panels `stride`
 * apart; temp has CPU_PACK_BAND * n, or nr * k floats if that is more. p0 and
 * j0 are multiples of nr. */
#define CPU_PACK_BAND 32
void cpu_operand_pack(const struct cpu *c, const struct cpu_operand *w,
                      float *out, size_t stride, size_t p0, size_t k, size_t j0,
                      size_t n, float *temp);

/* What the recurrences share: the number of document doc's first chunk; a
 * head's state in the document's slot, or in `own` without slots, zeros where
 * the document begins; fn over the document's chunks, the last one first;
 * log(1 + e^x) with its derivative; out[h] += the sum over docs of
 * sums[docs][heads][each] at `which` (out may be absent). */
size_t cpu_first_chunk(const struct compute_sequences *s, size_t doc);
float *cpu_state_begin(const struct compute_sequences *s, size_t doc,
                       size_t heads, size_t head, size_t size, float *own);
void cpu_chunks_back(const struct compute_sequences *s, size_t doc,
                     void (*fn)(void *ctx, size_t row, size_t rows,
                                size_t chunk),
                     void *ctx);
float cpu_softplus(float x, float *slope);
void cpu_add_heads(struct compute_span out, const double *sums, size_t docs,
                   size_t heads, size_t each, size_t which);
struct cpu_operand cpu_operand_of(struct compute_span w, size_t ld,
                                  bool by_rows);
/* bias[n] += the column sums of y[m,n]; bias may be absent */
void cpu_add_columns(struct cpu *c, struct compute_span bias, const float *y,
                     size_t m, size_t n);
/* Rows of logits at once, and the products around a chunk of them: x w' +
 * bias from row `at` on, and from their gradients to dx, dw and dbias. */
size_t cpu_head_rows(size_t rows, size_t vocab);
void cpu_head_run(struct cpu *c, const struct compute_cross_entropy *x,
                  float *logits, size_t at, size_t rows);
void cpu_head_grad(struct cpu *c, const struct compute_cross_entropy *x,
                   const float *logits, size_t at, size_t rows);

/* n weights from element `at` on as f32, of any form. */
void cpu_weights_read(const struct cpu *c, float *y,
                      const struct compute_buffer *b, size_t at, size_t n);
void cpu_quant_read(const struct cpu_quant *q, float *y, size_t at, size_t n);
size_t cpu_quant_bytes(const struct cpu_quant *q);
void cpu_quant_free(struct cpu_quant *q);
MUST_CHECK int cpu_quant_new(struct cpu *c, const struct compute_buffer *b,
                             enum compute_quant kind, size_t n, size_t k,
                             struct cpu_quant **out, struct err *err);
/* COMPUTE_Q8_0 and COMPUTE_Q4_0, from a buffer or from a file's blocks. */
MUST_CHECK int cpu_quant_from(struct cpu *c, enum compute_quant kind, size_t n,
                              size_t k, const void *blocks,
                              struct cpu_quant **out, struct err *err);
const struct cpu_packed *cpu_quant_packed(const struct cpu_quant *q);
MUST_CHECK int cpu_packed_new(struct cpu *c, const struct compute_buffer *b,
                              enum compute_quant kind, size_t n, size_t k,
                              const void *file, struct cpu_packed **out,
                              struct err *err);
void cpu_packed_free(struct cpu_packed *p);
size_t cpu_packed_bytes(const struct cpu_packed *p);
void cpu_packed_read(const struct cpu_packed *p, const struct cpu_kernels *k,
                     float *y, size_t at, size_t n);
/* Whether a product's weights are blocks that are multiplied as they are. */
bool cpu_int_takes(const struct cpu_gemm *g);
/* Whether two such products read the same x in the same form; and `count` of
 * them that do. */
bool cpu_int_joins(const struct cpu_gemm *g, const struct cpu_gemm *other);
void cpu_int_run(struct cpu *c, const struct cpu_gemm *g, size_t count);

/* The operations, by file. */
void cpu_op_inverse_norms(struct compute *c, struct compute_span y,
                          const struct compute_span weights[3], size_t n,
                          size_t k, size_t rank, float alpha);
void cpu_op_gain_columns(struct compute *c, struct compute_span y,
                         struct compute_span x, struct compute_span w,
                         struct compute_span bias, struct compute_span addend,
                         size_t rows, size_t cols);
void cpu_op_scale_rows(struct compute *c, struct compute_span x,
                       struct compute_span w, size_t rows, size_t cols);
void cpu_op_column_dots(struct compute *c, struct compute_span y,
                        struct compute_span u, struct compute_span v,
                        size_t rows, size_t cols);
void cpu_op_branches(struct compute *c, const struct compute_branches *b);
void cpu_op_distill(struct compute *c, const struct compute_distill *d);
void cpu_op_preference(struct compute *c, const struct compute_preference *p);
void cpu_op_linear(struct compute *c, const struct compute_linear *l);
void cpu_op_linears(struct compute *c, const struct compute_linear *l,
                    size_t count);
void cpu_op_linear_dx(struct compute *c, const struct compute_linear *l);
void cpu_op_linear_dw(struct compute *c, const struct compute_linear *l);
void cpu_op_cross_entropy(struct compute *c,
                          const struct compute_cross_entropy *x);
void cpu_op_attention(struct compute *c, const struct compute_attention *a);
void cpu_op_attention_grad(struct compute *c,
                           const struct compute_attention_grad *a);
void cpu_op_cache_size(struct compute *c,
                       const struct compute_attention_cached *a, size_t slots,
                       size_t *keys, size_t *values);
void cpu_op_cache_layout(struct compute *c,
                         const struct compute_attention_cached *a,
                         struct compute_cache_layout *keys,
                         struct compute_cache_layout *values);
void cpu_op_cache_store(struct compute *c,
                        const struct compute_attention_cached *a,
                        struct compute_span k, struct compute_span v);
void cpu_op_attention_cached(struct compute *c,
                             const struct compute_attention_cached *a);
void cpu_op_rmsnorm(struct compute *c, struct compute_span y,
                    struct compute_span x, struct compute_span w,
                    struct compute_span rstd, size_t rows, size_t dim,
                    float eps);
void cpu_op_rmsnorm_grad(struct compute *c, struct compute_span dx,
                         struct compute_span dw, struct compute_span dy,
                         struct compute_span x, struct compute_span w,
                         struct compute_span rstd, size_t rows, size_t dim);
void cpu_op_rope(struct compute *c, struct compute_span x,
                 struct compute_span position, struct compute_span cosine,
                 struct compute_span sine, size_t rows, size_t heads,
                 size_t dim, bool inverse);
void cpu_op_swiglu(struct compute *c, struct compute_span h,
                   struct compute_span gate, struct compute_span up, size_t n);
void cpu_op_swiglu_grad(struct compute *c, struct compute_span dgate,
                        struct compute_span dup, struct compute_span dh,
                        struct compute_span gate, struct compute_span up,
                        size_t n);
void cpu_op_embed(struct compute *c, struct compute_span y,
                  struct compute_span table, struct compute_span ids,
                  size_t rows, size_t dim);
void cpu_op_embed_grad(struct compute *c, struct compute_span dtable,
                       struct compute_span dy, struct compute_span ids,
                       size_t rows, size_t dim);
void cpu_op_gather(struct compute *c, struct compute_span y,
                   struct compute_span x, struct compute_span index,
                   size_t rows, size_t dim);
void cpu_op_scatter(struct compute *c, struct compute_span y,
                    struct compute_span x, struct compute_span index,
                    size_t rows, size_t dim);
void cpu_op_argmax(struct compute *c, struct compute_span ids,
                   struct compute_span logp, struct compute_span logits,
                   size_t rows, size_t vocab);
void cpu_op_adamw(struct compute *c, const struct compute_adamw *a);
void cpu_op_fill(struct compute *c, struct compute_span y, float value,
                 size_t n);
void cpu_op_copy(struct compute *c, struct compute_span y,
                 struct compute_span x, size_t n);
void cpu_op_axpy(struct compute *c, struct compute_span y, float alpha,
                 struct compute_span x, size_t n);
double cpu_op_sum_squares(struct compute *c, struct compute_span x, size_t n);
void cpu_op_accumulate(struct compute *c, struct compute_span y,
                       struct compute_span x, size_t n, bool squares);
void cpu_op_scale(struct compute *c, struct compute_span y,
                  struct compute_span x, float alpha, size_t n);
void cpu_op_copy_columns(struct compute *c, struct compute_span y,
                         size_t y_stride, struct compute_span x,
                         size_t x_stride, size_t rows, size_t cols);
void cpu_op_activate(struct compute *c, enum compute_activation kind,
                     struct compute_span y, struct compute_span x, size_t n);
void cpu_op_activate_grad(struct compute *c, enum compute_activation kind,
                          struct compute_span dx, struct compute_span dy,
                          struct compute_span x, size_t n);
void cpu_op_glu(struct compute *c, enum compute_activation kind,
                struct compute_span h, struct compute_span gate,
                struct compute_span up, size_t n);
void cpu_op_glu_grad(struct compute *c, enum compute_activation kind,
                     struct compute_span dgate, struct compute_span dup,
                     struct compute_span dh, struct compute_span gate,
                     struct compute_span up, size_t n);
void cpu_op_softcap(struct compute *c, struct compute_span y,
                    struct compute_span x, float cap, size_t n);
void cpu_op_layernorm(struct compute *c, struct compute_span y,
                      struct compute_span x, struct compute_span w,
                      struct compute_span b, struct compute_span stat,
                      size_t rows, size_t dim, float eps);
void cpu_op_layernorm_grad(struct compute *c, struct compute_span dx,
                           struct compute_span dw, struct compute_span db,
                           struct compute_span dy, struct compute_span x,
                           struct compute_span w, struct compute_span stat,
                           size_t rows, size_t dim);
void cpu_op_rope_part(struct compute *c, struct compute_span x,
                      struct compute_span position, struct compute_span cosine,
                      struct compute_span sine, size_t rows, size_t heads,
                      size_t dim, size_t rotary, bool inverse);

void cpu_op_conv(struct compute *c, const struct compute_conv *x);
void cpu_op_conv_grad(struct compute *c, const struct compute_conv_grad *x);
void cpu_op_scan(struct compute *c, const struct compute_scan *x);
void cpu_op_scan_grad(struct compute *c, const struct compute_scan_grad *x);
void cpu_op_delta(struct compute *c, const struct compute_delta *x);
void cpu_op_delta_grad(struct compute *c, const struct compute_delta_grad *x);
void cpu_op_gated_norm(struct compute *c, const struct compute_gated_norm *x);
void cpu_op_gated_norm_grad(struct compute *c,
                            const struct compute_gated_norm_grad *x);
void cpu_op_scale_columns(struct compute *c, struct compute_span y,
                          size_t y_stride, size_t rows, size_t cols,
                          float alpha);

#endif
