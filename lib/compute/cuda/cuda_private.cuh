/*
 * cuda_private.cuh - private to the CUDA plugin: the device and its parts
 *
 * One stream does everything in order, so memory that one operation is done
 * with can be the next one's scratch. Errors of launches and copies are kept
 * in the device and told by sync (or by the first alloc after them). All sums
 * run in an order that depends on shapes alone: no float atomics.
 * C++ stays inside .cu files; the only exported symbols are those of
 * compute_plugin.h.
 */
#ifndef CUDA_PRIVATE_CUH
#define CUDA_PRIVATE_CUH

extern "C" {
#include "compute/compute.h"
}

#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

/* The type that COMPUTE_ACT stands for, and of any operand. */
enum cuda_type { CUDA_F32, CUDA_BF16, CUDA_F16, CUDA_I32, CUDA_F64, CUDA_I8 };

struct compute_buffer {
    enum compute_type asked; /* COMPUTE_ACT keeps its name */
    enum cuda_type type;
    size_t count;
    void *data;
    __nv_bfloat16 *frozen;    /* freeze: the weights in bf16; NULL: use data */
    struct cuda_quant *quant; /* quantise: as blocks; data is NULL then */
    size_t bytes, frozen_bytes;
    __nv_bfloat16 *narrow; /* keep_narrow: data in bf16, unless stale */
    size_t narrow_bytes;
    bool stale;
    struct compute_buffer *next; /* of those that have narrow */
};

/* Which matrix kernels may be used, each with those before it; COMPUTE_FULL
 * always uses simt. cluster is wgmma with loads that two blocks share. */
enum cuda_kernels { CUDA_SIMT, CUDA_MMA, CUDA_WGMMA, CUDA_CLUSTER };

#define CUDA_HOST_TABLES 16
#define CUDA_KEPT 256 /* freed blocks kept for reuse */
#define CUDA_SLOTS 8  /* pieces of pinned memory */
#define CUDA_SLOT_BYTES ((size_t)2 << 20)

/* Device memory that was released and waits for an alloc of its size. */
struct cuda_block {
    void *data;
    size_t bytes;
};

/* Host arrays (document starts and what was planned from them) that are on
 * the device already; see cuda_table. */
struct cuda_table {
    int32_t *host, *device;
    size_t count, room, bytes;
    uint64_t used; /* the smallest is replaced */
};

struct cuda_steps; /* recorded steps: cuda_step.cu */

struct cuda {
    struct compute base;
    cudaStream_t stream;
    cudaError_t failed; /* the first error; cudaSuccess: none */
    const char *failed_at;
    size_t failed_bytes; /* what an out-of-memory error asked for */
    char name[128], kernels_name[32];
    int ordinal, sms, major, minor;
    size_t l2_bytes, smem_optin;
    enum compute_precision precision; /* never COMPUTE_BEST */
    enum cuda_type act;
    enum cuda_kernels kernels;
    bool follows;             /* kernels may begin early: cuda_follow.cuh */
    size_t used, peak, limit; /* bytes */
    char *scratch;
    size_t scratch_bytes, scratch_used;
    size_t scratch_most; /* what operations of the last rehearsal wanted */
    bool rehearsing;
    const struct compute_ops *real; /* what a rehearsal replaces */
    size_t supposed, supposed_most; /* bytes; with `used`, at most */
    size_t table_most;              /* elements of a table */
    char *staging; /* pinned: CUDA_SLOTS pieces, taken in turn */
    cudaEvent_t staged[CUDA_SLOTS]; /* the copy through it is over */
    unsigned slot;
    uint32_t *arrivals; /* on the device, CUDA_ARRIVALS zeros; the kernels
                         * that count there leave zeros (cuda_arrivals.cuh) */
    struct cuda_block kept[CUDA_KEPT];
    size_t kept_count, kept_bytes;
    struct cuda_table tables[CUDA_HOST_TABLES];
    uint64_t clock;
    struct compute_buffer *narrowed; /* a list */
    struct cuda_steps *steps;
    bool recording;    /* a step, into a graph */
    bool unsteady;     /* weights are written in it */
    size_t steps_more; /* bytes: of a rehearsal in which steps came */
};

static inline struct cuda *cuda_of(struct compute *c)
{
    return (struct cuda *)c;
}

/* An operand as kernels see it; data NULL: absent. */
struct cuda_operand {
    void *data;
    enum cuda_type type;
};
/* A weight whose plain form freeze dropped is seen as bf16; one that is blocks
 * can not be. Whoever asks may write: what keep_narrow keeps is stale then. */
struct cuda_operand cuda_at(struct compute_span s);
float *cuda_f32(struct compute_span s); /* NULL if absent; asserts F32 */
int32_t *cuda_i32(struct compute_span s);
double *cuda_f64(struct compute_span s); /* NULL if absent; asserts F64 */
size_t cuda_type_size(enum cuda_type t);

/* Keep the first error. Returns whether e is cudaSuccess. */
bool cuda_check(struct cuda *c, cudaError_t e, const char *what);
/* After each launch. */
static inline void cuda_launched(struct cuda *c, const char *what)
{
    (void)cuda_check(c, cudaGetLastError(), what);
}

/* Counted device memory from the kept blocks or the driver; NULL where it
 * does not fit. *bytes becomes the block's size. cuda_give takes it back. */
void *cuda_take(struct cuda *c, size_t *bytes);
void cuda_give(struct cuda *c, void *data, size_t bytes);
void cuda_memory_release(struct cuda *c); /* at close */
/* What stands for memory in a rehearsal; cuda_give knows it. */
#define CUDA_SUPPOSED ((char *)((uintptr_t)1 << 30))
int cuda_out_of_memory(const struct cuda *c, const char *what, size_t bytes,
                       struct err *err);
/* The kept error, or 0. */
int cuda_told(struct cuda *c, struct err *err);

/* Scratch of one operation, 256-byte aligned, uninitialised; NULL after an
 * out-of-memory error (kept in the device; the operation returns at once).
 * begin once at the start of each operation that takes some; pieces stay
 * valid until the next begin. want: all that the operation will take, so that
 * growing never moves a piece. */
bool cuda_scratch_begin(struct cuda *c, size_t want);
/* What is taken where so much is wanted. */
size_t cuda_scratch_bytes(size_t want);
void *cuda_scratch(struct cuda *c, size_t bytes);
/* What to add to `want` for a piece. */
static inline size_t cuda_scratch_room(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

/* Device copy of a host array, uploaded only when its content is new. */
const int32_t *cuda_table(struct cuda *c, const int32_t *host, size_t count);
size_t cuda_table_room(size_t count); /* elements that are taken for it */

/* ---- recorded steps (cuda_step.cu) ----
 * What an operation must have on the device of its sequences, made from them
 * and `how` alone, since it is made again for each replay of a recorded step.
 * Writes it to `to` (NULL: only counts), and returns its elements. */
#define CUDA_HOW 3
typedef size_t cuda_make(const struct compute_sequences *s,
                         const int32_t how[CUDA_HOW], int32_t *to);
/* As cuda_table, of what `make` makes. NULL after an error (kept). */
const int32_t *cuda_table_of(struct cuda *c, cuda_make *make,
                             const int32_t how[CUDA_HOW],
                             const struct compute_sequences *s);
bool cuda_steps_begin(struct cuda *c); /* whether there is memory for it */
void cuda_steps_off(struct cuda *c);   /* nothing is recorded from now on */
void cuda_steps_release(struct cuda *c);
size_t cuda_steps_more(const struct cuda *c); /* taken when a step comes */
/* Memory was taken or given back: recordings hold addresses. */
void cuda_steps_forget(struct cuda *c);
/* What is recorded now cannot be replayed. */
void cuda_steps_spoil(struct cuda *c);

/* y = x in another type, n elements; x may be any of F32, BF16, F16. */
void cuda_convert(struct cuda *c, void *y, enum cuda_type to, const void *x,
                  enum cuda_type from, size_t n);

/* What keep_narrow keeps becomes what it was made of; before anything is
 * recorded that reads it. */
void cuda_narrow_refresh(struct cuda *c);
void cuda_narrow_drop(struct cuda *c, struct compute_buffer *b);

/* y = n weights from w on in a type, be they blocks or not. */
void cuda_weights_read(struct cuda *c, void *y, enum cuda_type to,
                       struct compute_span w, size_t n);
void cuda_quant_free(struct cuda *c, struct cuda_quant *q); /* NULL is fine */
/* Host memory to the device, through pinned pieces. */
void cuda_push(struct cuda *c, void *dst, const void *src, size_t bytes);

/* ---- matrix products (cuda_gemm.cu) ----
 * c[m,n] = alpha (a b' + a2 b2') + bias[n] + addend[m,n], sums in f32.
 * a is [m,k] with row stride lda, or, if a_cross, stored [k,m] with row stride
 * lda; b is [n,k] with row stride ldb, or, if b_cross, stored [k,n]. The pair
 * a2 [m,k2], b2 [n,k2] has the same crossing; k2 0: none. Forward is neither
 * crossed, the input's gradient crosses b, the weights' gradient both.
 * addend may be c, if it has its type. exact: in is F32 and stays so, tf32 is
 * not used. */
struct cuda_gemm {
    enum cuda_type in, out;  /* of a, b, a2, b2; of c */
    enum cuda_type add_type; /* of addend: F32 or BF16 */
    bool exact;
    size_t m, n, k, k2;
    const void *a, *b, *a2, *b2;
    size_t lda, ldb, lda2, ldb2;
    bool a_cross, b_cross;
    float alpha;
    const float *bias;
    const void *addend;
    size_t ldadd;
    void *c;
    size_t ldc;
    /* Where not NULL: h = silu(c) addend, which is not added then; c is not
     * kept if it is h. Both have c's type, F32 or BF16, and h its ld; b is not
     * crossed. */
    void *h;
    bool steady; /* nothing writes b before the step ends: read it early */
};

/* Chooses the kernel; every shape works. Uses no scratch_begin of its own
 * except cuda_gemm_scratch bytes that the caller included in its want (for
 * split sums). */
void cuda_gemm_run(struct cuda *c, const struct cuda_gemm *g);
size_t cuda_gemm_scratch(const struct cuda *c, const struct cuda_gemm *g);
/* Whether that is cuda_gemv_run, which needs none. */
bool cuda_gemm_is_gemv(const struct cuda *c, const struct cuda_gemm *g);

/* The kernels behind it. fits tells whether shape, strides, alignment and
 * types suit; run may only be called then. */
bool cuda_wgmma_fits(const struct cuda *c, const struct cuda_gemm *g);
void cuda_wgmma_run(struct cuda *c, const struct cuda_gemm *g);
size_t cuda_wgmma_scratch(const struct cuda *c, const struct cuda_gemm *g);
unsigned cuda_wgmma_splits(const struct cuda_gemm *g); /* by its shape */
bool cuda_mma_fits(const struct cuda *c, const struct cuda_gemm *g);
void cuda_mma_run(struct cuda *c, const struct cuda_gemm *g);
size_t cuda_mma_scratch(const struct cuda_gemm *g);
void cuda_simt_run(struct cuda *c, const struct cuda_gemm *g); /* any, f32 */
size_t cuda_simt_scratch(const struct cuda_gemm *g);
bool cuda_gemv_fits(const struct cuda *c, const struct cuda_gemm *g);
void cuda_gemv_run(struct cuda *c, const struct cuda_gemm *g); /* few rows */
/* All of one m, at most eight, and one a, in one launch. If the last one has an
 * h, there are two of one n, and the first is what its addend is. */
void cuda_gemv_run_all(struct cuda *c, const struct cuda_gemm *g, size_t count);

/* ---- the operations, by the file that has them ---- */
#define C struct compute *c
#define S struct compute_span
/* cuda_memory.cu */
int cuda_op_alloc(C, enum compute_type type, size_t count, const char *what,
                  struct compute_buffer **out, struct err *err);
void cuda_op_release(C, struct compute_buffer *b);
void cuda_op_upload(C, S dst, const void *src, size_t count);
void cuda_op_download(C, void *dst, S src, size_t count);
/* cuda_narrow.cu */
int cuda_op_keep_narrow(C, S w, struct err *err);
/* cuda_rehearse.cu, cuda_step.cu */
void cuda_op_rehearse(C, bool on, size_t *most);
bool cuda_op_step_begin(C, const struct compute_step *step);
bool cuda_op_step_end(C);
/* cuda_flat.cu, cuda_rows.cu, cuda_norm.cu */
void cuda_op_fill(C, S y, float value, size_t n);
void cuda_op_copy(C, S y, S x, size_t n);
void cuda_op_axpy(C, S y, float alpha, S x, size_t n);
double cuda_op_sum_squares(C, S x, size_t n);
void cuda_op_accumulate(C, S y, S x, size_t n, bool squares);
void cuda_op_embed(C, S y, S table, S ids, size_t rows, size_t dim);
void cuda_op_embed_grad(C, S dtable, S dy, S ids, size_t rows, size_t dim);
void cuda_op_gather(C, S y, S x, S index, size_t rows, size_t dim);
void cuda_op_scatter(C, S y, S x, S index, size_t rows, size_t dim);
void cuda_op_rmsnorm(C, S y, S x, S w, S rstd, size_t rows, size_t dim,
                     float eps);
void cuda_op_rmsnorm_grad(C, S dx, S dw, S dy, S x, S w, S rstd, size_t rows,
                          size_t dim);
void cuda_op_rope(C, S x, S position, S cosine, S sine, size_t rows,
                  size_t heads, size_t dim, bool inverse);
void cuda_op_swiglu(C, S h, S gate, S up, size_t n);
void cuda_op_swiglu_grad(C, S dgate, S dup, S dh, S gate, S up, size_t n);
void cuda_op_adamw(C, const struct compute_adamw *a);
void cuda_op_rope_part(C, S x, S position, S cosine, S sine, size_t rows,
                       size_t heads, size_t dim, size_t rotary, bool inverse);
/* cuda_activate.cu, cuda_columns.cu, cuda_layernorm.cu, cuda_gate.cu */
void cuda_op_scale(C, S y, S x, float alpha, size_t n);
void cuda_op_softcap(C, S y, S x, float cap, size_t n);
void cuda_op_activate(C, enum compute_activation kind, S y, S x, size_t n);
void cuda_op_activate_grad(C, enum compute_activation kind, S dx, S dy, S x,
                           size_t n);
void cuda_op_glu(C, enum compute_activation kind, S h, S gate, S up, size_t n);
void cuda_op_glu_grad(C, enum compute_activation kind, S dgate, S dup, S dh,
                      S gate, S up, size_t n);
void cuda_op_copy_columns(C, S y, size_t y_stride, S x, size_t x_stride,
                          size_t rows, size_t cols);
void cuda_op_scale_columns(C, S y, size_t y_stride, size_t rows, size_t cols,
                           float alpha);
void cuda_op_gain_columns(C, S y, S x, S w, S bias, S addend, size_t rows,
                          size_t cols);
void cuda_op_scale_rows(C, S x, S w, size_t rows, size_t cols);
void cuda_op_column_dots(C, S y, S u, S v, size_t rows, size_t cols);
void cuda_op_inverse_norms(C, S y, const S weights[3], size_t n, size_t k,
                           size_t rank, float alpha);
void cuda_op_layernorm(C, S y, S x, S w, S b, S stat, size_t rows, size_t dim,
                       float eps);
void cuda_op_layernorm_grad(C, S dx, S dw, S db, S dy, S x, S w, S stat,
                            size_t rows, size_t dim);
void cuda_op_gated_norm(C, const struct compute_gated_norm *x);
void cuda_op_gated_norm_grad(C, const struct compute_gated_norm_grad *x);
/* cuda_quant.cu */
int cuda_op_quantise(C, S w, size_t n, size_t k, enum compute_quant kind,
                     struct err *err);
int cuda_op_quantise_blocks(C, S w, size_t n, size_t k, enum compute_quant kind,
                            const void *blocks, struct err *err);
/* cuda_branches.cu */
void cuda_op_branches(C, const struct compute_branches *b);
/* cuda_linear.cu */
void cuda_op_linear(C, const struct compute_linear *l);
void cuda_op_linears(C, const struct compute_linear *l, size_t count);
void cuda_op_linear_swiglu(C, const struct compute_linear *up,
                           const struct compute_linear *gate, S h);
void cuda_op_linear_dx(C, const struct compute_linear *l);
void cuda_op_linear_dw(C, const struct compute_linear *l);
/* cuda_attention.cu, cuda_attention_grad.cu, cuda_cache.cu */
void cuda_op_attention(C, const struct compute_attention *a);
void cuda_op_attention_grad(C, const struct compute_attention_grad *a);
void cuda_op_cache_size(C, const struct compute_attention_cached *a,
                        size_t slots, size_t *keys, size_t *values);
void cuda_op_cache_layout(C, const struct compute_attention_cached *a,
                          struct compute_cache_layout *keys,
                          struct compute_cache_layout *values);
void cuda_op_cache_store(C, const struct compute_attention_cached *a, S k, S v);
void cuda_op_attention_cached(C, const struct compute_attention_cached *a);
/* cuda_loss.cu, cuda_distill.cu */
void cuda_op_cross_entropy(C, const struct compute_cross_entropy *x);
void cuda_op_distill(C, const struct compute_distill *d);
void cuda_op_argmax(C, S ids, S logp, S logits, size_t rows, size_t vocab);
/* cuda_preference.cu, cuda_sample.cu */
void cuda_op_preference(C, const struct compute_preference *p);
void cuda_op_sample(C, S ids, S logp, S logits, const struct compute_draw *each,
                    size_t rows, size_t vocab);
/* cuda_conv.cu, cuda_scan.cu, cuda_scan_grad.cu, cuda_delta.cu,
 * cuda_delta_grad.cu */
void cuda_op_conv(C, const struct compute_conv *x);
void cuda_op_conv_grad(C, const struct compute_conv_grad *x);
void cuda_op_scan(C, const struct compute_scan *x);
void cuda_op_scan_grad(C, const struct compute_scan_grad *x);
void cuda_op_delta(C, const struct compute_delta *x);
void cuda_op_delta_grad(C, const struct compute_delta_grad *x);
#undef C
#undef S

#endif
