/*
 * compute.h - devices: opaque buffers and one versioned table of operations
 *
 * Model code holds spans (a buffer and an offset), never a float *, so that
 * everything between a batch going in and a loss coming out can stay on a
 * device. A device implements struct compute_ops; the CPU's is in cpu/. No
 * operation fails half-way: allocation is the only thing that can be refused,
 * and what a device finds out later is told by sync.
 * Matrices are row-major and dense. COMPUTE_ACT is the type of activations
 * and their gradients: f32 on the CPU, what the precision says on a GPU; every
 * operation takes ACT or F32 buffers for them, in any mixture. The host sees
 * ACT buffers as f32: upload and download convert. Weights of linear and embed
 * may be f32, bf16 or f16; parameters of norms, biases, RoPE tables, rstd, lse,
 * nll and gradients of weights are f32. Unless a comment says otherwise
 * outputs are overwritten and must not overlap inputs. Results do not depend
 * on the number of threads.
 * May use: base.
 */
#ifndef COMPUTE_H
#define COMPUTE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMPUTE_VERSION 16

/* Goes up when some set of kernels keeps its name and gives other bits: sums in
 * another order, another block of depth. */
#define COMPUTE_ROUNDING 2

enum compute_type {
    COMPUTE_F32,
    COMPUTE_BF16,
    COMPUTE_F16,
    COMPUTE_I32,
    COMPUTE_ACT,
    COMPUTE_I8, /* a cache's, and what scales them, in its own order */
    COMPUTE_F64 /* sums that stay on the device */
};

struct compute_buffer; /* device memory; opaque */

/* Elements from `at` on; buf NULL: absent. */
struct compute_span {
    struct compute_buffer *buf;
    size_t at;
};

/* y[m,n] = alpha x[m,k] w[n,k]' + x2[m,k2] w2[n,k2]' + bias[n] + addend[m,n];
 * the pair x2, w2 (an adapter's branch), bias and addend may be absent, and
 * addend may be y. w2 is f32. */
struct compute_linear {
    struct compute_span y, x, w, bias, addend, x2, w2;
    size_t m, n, k, k2;
    float alpha;
};

#define COMPUTE_LINEARS 4 /* of one call, at most */

/* Attention of packed documents, causal unless `seen` says otherwise: document
 * d holds rows starts[d]..starts[d+1]-1 (host array, docs + 1 values) and sees
 * itself only.
 * q, o: [rows, heads * dim]; k, v: [rows, kv_heads * dim]; lse: [heads, rows]
 * log of the softmax's denominator, kept for the backward pass. */
struct compute_attention {
    struct compute_span o, lse, q, k, v;
    const int32_t *starts;
    size_t docs, rows, heads, kv_heads, dim;
    float scale;
    size_t window; /* rows that a row sees, itself included; 0: all */
    float softcap; /* scores become cap tanh(score / cap); 0: off */
    /* An encoder's: all rows of document d see its first seen[d] rows, at
     * least one (host array, docs values). NULL: causal. Forward alone,
     * without a window, of devices with COMPUTE_HAS_ENCODER. */
    const int32_t *seen;
};
struct compute_attention_grad {
    struct compute_attention fwd; /* o, lse as forward left them */
    struct compute_span d_o, dq, dk, dv;
};

/* Several adapters beside one product: for each branch, y[rows, n] += scale
 * (x[rows, k] a') b' of `rows` rows from row `from` on, with frozen a[rank, k]
 * and b[n, rank]; no row is in two. A row's bits do not depend on the other
 * branches; on the CPU they are those that linear gives. low: room for the
 * widest rank in every row. */
struct compute_branch {
    size_t from, rows, rank;
    float scale;
    struct compute_span a, b;
};
struct compute_branches {
    struct compute_span y, x, low;
    size_t n, k;
    const struct compute_branch *each; /* host array */
    size_t count;
};

/* Attention over a KV cache. Sequence s has rows starts[s]..starts[s+1]-1 of
 * q as its newest positions past[s].. and lives in slot slots[s]. keys and
 * values hold the new rows already (cache_store), in the device's own order;
 * cache_size tells how many elements they need. */
struct compute_attention_cached {
    struct compute_span o, q, keys, values;
    const int32_t *starts, *past, *slots; /* host arrays */
    size_t seqs, heads, kv_heads, dim, capacity;
    float scale;
    size_t window; /* as in compute_attention */
    float softcap;
    size_t step; /* at most so many new rows of a sequence at once; 0: any
                  * number. With a window, a device may then keep a ring. */
    /* Of keys and values: F32 is the device's own (their buffers are ACT); F16,
     * or I8 with a factor for each row and head, are of devices with
     * COMPUTE_HAS_NARROW_CACHE. */
    enum compute_type type;
    /* Of sequence s the first shared[s] positions are read in slot bases[s], by
     * devices whose layout says so; host arrays, NULL: none are. */
    const int32_t *bases, *shared;
};

/* How one slot of a cache holds positions: `groups` runs of `stride` elements,
 * in each of which the first n positions are the first (n + per - 1) / per *
 * unit elements. per 0: they go round, and a slot is a whole. As many first
 * positions as a multiple of `share` may stand in another slot; 0: none. */
struct compute_cache_layout {
    size_t groups, stride, per, unit, share;
};

/* Linear followed by cross entropy, row by row; logits live in chunks only.
 * x: [rows, k], w: [vocab, k], labels: [rows] i32. nll[rows] = -log p(label).
 * With dx: dx = d(scale * sum nll)/dx, and dw (may be absent) has its part
 * added. */
struct compute_cross_entropy {
    struct compute_span x, w, labels, nll, dx, dw;
    size_t rows, vocab, k;
    float scale;
    struct compute_span bias, dbias; /* [vocab] of the linear, may be absent */
    float softcap;                   /* of the logits, as in attention */
};

/* A student's linear head against a teacher, row by row; logits of either live
 * in chunks only. With q the student's and p the teacher's distribution at
 * temperature T:
 *   loss[r] = mix T^2 KL(p || q) - (1 - mix) log q_1(label)
 * nll[r] = -log q_1(label), as in cross_entropy, whose fields `head` has; its
 * dx, dw and dbias are of scale * sum loss. The teacher is another head over
 * rows of its own, or the log probabilities of its `top` best ids at T = 1
 * (what T is then); the ids of a row differ, what remains of p and of q are
 * two buckets more. A row whose first id is negative has no teacher: its loss
 * is -log q_1(label). */
struct compute_distill {
    struct compute_cross_entropy head;
    struct compute_span loss; /* [rows] */
    float temperature, mix;
    struct compute_span tx, tw, tbias; /* tx [rows, tk], tw [vocab, tk] */
    size_t tk;
    float tsoftcap;
    struct compute_span top_ids, top_logp; /* [rows, top]; tx absent */
    size_t top;
};

/* Preferences (DPO) of pairs of documents, the chosen one first: own and
 * reference are nll of `starts[docs]` rows, of which document d has
 * starts[d]..starts[d+1]-1 (host array, docs + 1 values, docs even). With
 * gap = r(chosen) - r(rejected), r a document's sum of reference - own,
 *   sums[0] += sum of -log sigmoid(beta gap), sums[1] += pairs of gap > 0,
 *   factors[row] = scale d sums[0] / d own[row] (may be absent) */
struct compute_preference {
    struct compute_span own, reference, factors; /* f32 */
    struct compute_span sums;                    /* F64 */
    const int32_t *starts;
    size_t docs;
    double beta, scale;
};

/* Weights as blocks: the first two of 64, in the order of the matrix, for
 * training as well; the others of 32 along a row, for inference alone. */
enum compute_quant {
    COMPUTE_NF4,  /* 4 bits of the NF4 code by the largest value's size; these
                   * sizes in 8 bits by 256, or f32 where that would lose what
                   * were NF4 weights before, in f32, bf16 or f16 */
    COMPUTE_INT8, /* 8 bits by the largest value's size, f32 */
    COMPUTE_Q8_0, /* GGUF's: 8 bits by an f16 scale */
    COMPUTE_Q4_0  /* GGUF's: 4 bits, less 8, by an f16 scale */
};

enum compute_activation {
    COMPUTE_IDENTITY,
    COMPUTE_SIGMOID,
    COMPUTE_SILU,      /* x sigmoid(x) */
    COMPUTE_GELU_TANH, /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    COMPUTE_RELU2,     /* max(x, 0)^2 */
    COMPUTE_GELU       /* x/2 (1 + erf(x / sqrt(2))); COMPUTE_HAS_ENCODER */
};

/* Where a convolution or a recurrence runs. Document d has rows
 * starts[d]..starts[d+1]-1 and begins with nothing behind it. With `state`
 * they continue the sequence in slot slots[d], which has past[d] rows behind
 * it (0: none, whatever the slot holds), and leave their own state there. */
struct compute_sequences {
    const int32_t *starts; /* host arrays */
    size_t docs, rows;
    struct compute_span state; /* f32; absent: packed documents */
    const int32_t *past, *slots;
};

/* Causal depth-wise convolution: y[r,c] = f(bias[c] + sum over j < taps of
 * w[c,j] x[r - taps + 1 + j, c]). x has x_stride elements a row, y is dense;
 * f is COMPUTE_IDENTITY or COMPUTE_SILU; bias may be absent. A slot's state:
 * [taps - 1, channels], the newest row last. */
#define COMPUTE_MAX_TAPS 16
struct compute_conv {
    struct compute_sequences s;
    struct compute_span y, x, w, bias;
    size_t x_stride, channels, taps;
    enum compute_activation kind;
};
/* dx has x's stride and may be absent; dw and dbias, where present, are added
 * to. */
struct compute_conv_grad {
    struct compute_conv fwd;
    struct compute_span dy, dx, dw, dbias;
};

/* Recurrences leave their states before every COMPUTE_CHUNK-th row of each
 * document in `kept`, from which the backward pass computes those between
 * again: at most rows / COMPUTE_CHUNK + docs of them, each of a slot's size.
 */
#define COMPUTE_CHUNK 64

/* Mamba-2's selective scan. For head h of group g = h / (heads / groups), with
 * t = clamp(softplus(dt[r,h] + dt_bias[h]), dt_min, dt_max):
 * S = exp(-exp(a_log[h]) t) S + t x[r,h] b[r,g]', y[r,h] = S c[r,g] + d[h]
 * x[r,h]. x [rows, heads * dim], b and c [rows, groups * width] have `stride`
 * elements a row, dt [rows, heads] has dt_stride, y is dense. A slot's state
 * is [heads, width, dim]. */
struct compute_scan {
    struct compute_sequences s;
    struct compute_span y, x, b, c, dt, a_log, dt_bias, d;
    size_t stride, dt_stride, heads, groups, dim, width;
    float dt_min, dt_max;
    struct compute_span kept; /* f32; absent: no backward pass */
};
/* Gradients have the strides of what they belong to. da_log, ddt_bias and dd
 * are added to, where present. */
struct compute_scan_grad {
    struct compute_scan fwd;
    struct compute_span dy, dx, db, dc, ddt, da_log, ddt_bias, dd;
};

/* The gated delta rule. Value head h reads key head h / (value_heads /
 * key_heads), whose q and k are divided by sqrt(|.|^2 + eps), q besides by
 * sqrt(key_dim). With a = exp(-exp(a_log[h]) softplus(a[r,h] + dt_bias[h])):
 * S = a S, S += sigmoid(b[r,h]) (v - S k) k', o = S q. q, k, v have `stride`
 * elements a row; a, b [rows, value_heads] and o are dense. A slot's state is
 * [value_heads, key_dim, value_dim]. */
struct compute_delta {
    struct compute_sequences s;
    struct compute_span o, q, k, v, a, b, a_log, dt_bias;
    size_t stride, key_heads, value_heads, key_dim, value_dim;
    float eps;
    struct compute_span kept;
};
struct compute_delta_grad {
    struct compute_delta fwd;
    struct compute_span d_o, dq, dk, dv, da, db, da_log, ddt_bias;
};

/* RMS norm of each `group` elements of a row with a gate: y = norm(x
 * silu(gate)) w if gate_first, else norm(x) w silu(gate); group 0: x
 * silu(gate). w has w_dim elements and repeats. gate has gate_stride elements a
 * row; y may be x. */
struct compute_gated_norm {
    struct compute_span y, x, gate, w;
    size_t rows, dim, group, w_dim, gate_stride;
    float eps;
    bool gate_first;
};
/* dgate has the gate's stride; dw, where present, is added to. dx may be dy.
 */
struct compute_gated_norm_grad {
    struct compute_gated_norm fwd;
    struct compute_span dy, dx, dgate, dw;
};

struct compute_adamw {
    struct compute_span p, g, m, v;
    size_t n;
    double lr, beta1, beta2, eps, decay;
    double grad_scale; /* clipping: g is multiplied by it */
    uint64_t step;     /* counts from 1 */
    /* F64, or absent: sums of this step, of which the first is g's squares.
     * grad_scale is then what brings g's norm down to `clip`, and nothing
     * changes unless all of them are finite. */
    struct compute_span sums;
    size_t sum_count;
    double clip;
};

/* How one row's id is drawn. Temperature 0: argmax's. Else candidates, the
 * larger logit first and the smaller id among equals (-INFINITY: none), weigh
 * exp((logit - the largest) / temperature). Of them stay the top_k first and
 * those that equal the last of these (0: all); then the fewest first ones that
 * have top_p of the weight (0, or 1 and more: all); then those that weigh at
 * least min_p, and the first one always. The id is the first one with which the
 * running weight is more than `unit` [0, 1) of what stayed. Weights may be
 * rounded by 2^-20 of themselves or 2^-41 of the first one's. */
struct compute_draw {
    double unit, temperature, top_p, min_p;
    int64_t top_k;
};

/* A pass that will come again many times: what stands between step_begin and
 * step_end. Each sequence of `s` has one row (its state is absent: these are
 * those of every cache and recurrence in it). Whenever the number of sequences
 * and the key are the same, and no buffer was asked for or released since, the
 * operations are the same ones with the same arguments, but for s.past and
 * s.slots; none of them moves data from or to the host or waits. */
struct compute_step {
    struct compute_sequences s;
    const uint64_t *key; /* host array: whose pass it is, which adapters' */
    size_t key_count;
};

/* What a device does of the options that have no operation of their own. */
#define COMPUTE_HAS_WINDOW 1u    /* window of attention */
#define COMPUTE_HAS_SOFTCAP 2u   /* softcap of attention and cross entropy */
#define COMPUTE_HAS_HEAD_BIAS 4u /* bias of cross entropy */
#define COMPUTE_HAS_ENCODER 8u   /* seen of attention, COMPUTE_GELU */
#define COMPUTE_HAS_BLOCKS 16u   /* COMPUTE_Q8_0, COMPUTE_Q4_0 */
#define COMPUTE_HAS_NARROW_CACHE 32u /* type of attention_cached */

struct compute;

struct compute_ops {
    unsigned version; /* COMPUTE_VERSION */
    size_t size;      /* sizeof(struct compute_ops) */
    const char *name; /* "cpu" */

    void (*close)(struct compute *c);
    /* ERR_NOMEM names `what`. Contents are zero. */
    int (*alloc)(struct compute *c, enum compute_type type, size_t count,
                 const char *what, struct compute_buffer **out,
                 struct err *err);
    void (*release)(struct compute *c, struct compute_buffer *b);
    /* count elements in the buffer's type (f32 for ACT). Both wait for the
     * host's side of the transfer, download for the device too. */
    void (*upload)(struct compute *c, struct compute_span dst, const void *src,
                   size_t count);
    void (*download)(struct compute *c, void *dst, struct compute_span src,
                     size_t count);
    int (*sync)(struct compute *c, struct err *err);
    /* Tell that w[n,k] will not change any more: a device may keep it in its
     * own form. forward_only: linear_dx and row access are not needed, the
     * plain form may be dropped. The span must be a whole buffer. */
    int (*freeze)(struct compute *c, struct compute_span w, size_t n, size_t k,
                  bool forward_only, struct err *err);

    /* Anything but floats is filled with nothing but 0. */
    void (*fill)(struct compute *c, struct compute_span y, float value,
                 size_t n);
    void (*copy)(struct compute *c, struct compute_span y,
                 struct compute_span x, size_t n);
    /* y += alpha x */
    void (*axpy)(struct compute *c, struct compute_span y, float alpha,
                 struct compute_span x, size_t n);
    /* Sum of squares, in a fixed order; waits. */
    double (*sum_squares)(struct compute *c, struct compute_span x, size_t n);
    /* y[0] (F64) += the sum of x[n], or of its squares, in a fixed order and
     * in f64; does not wait. */
    void (*accumulate)(struct compute *c, struct compute_span y,
                       struct compute_span x, size_t n, bool squares);

    /* y[r] = table[ids[r]]; ids i32. */
    void (*embed)(struct compute *c, struct compute_span y,
                  struct compute_span table, struct compute_span ids,
                  size_t rows, size_t dim);
    /* dtable[ids[r]] += dy[r], r ascending */
    void (*embed_grad)(struct compute *c, struct compute_span dtable,
                       struct compute_span dy, struct compute_span ids,
                       size_t rows, size_t dim);
    /* y[r] = x[index[r]], and the reverse y[index[r]] = x[r] (index without
     * repetition, other rows of y untouched). */
    void (*gather)(struct compute *c, struct compute_span y,
                   struct compute_span x, struct compute_span index,
                   size_t rows, size_t dim);
    void (*scatter)(struct compute *c, struct compute_span y,
                    struct compute_span x, struct compute_span index,
                    size_t rows, size_t dim);

    /* rstd = 1/sqrt(mean x^2 + eps); y = x rstd w. rstd[rows] may be absent;
     * y may be x. */
    void (*rmsnorm)(struct compute *c, struct compute_span y,
                    struct compute_span x, struct compute_span w,
                    struct compute_span rstd, size_t rows, size_t dim,
                    float eps);
    /* dx += d/dx, dw += d/dw (dw may be absent) */
    void (*rmsnorm_grad)(struct compute *c, struct compute_span dx,
                         struct compute_span dw, struct compute_span dy,
                         struct compute_span x, struct compute_span w,
                         struct compute_span rstd, size_t rows, size_t dim);
    /* In place on x[rows, heads, dim]: rotate halves by the angles of row
     * position[r] (i32) of the tables cosine, sine [positions, dim/2];
     * inverse: by the negative angles, which is the backward pass. */
    void (*rope)(struct compute *c, struct compute_span x,
                 struct compute_span position, struct compute_span cosine,
                 struct compute_span sine, size_t rows, size_t heads,
                 size_t dim, bool inverse);
    /* h = silu(gate) up, and h may be gate or up; backward gives dgate, dup
     * (may be dh, gate, up's own memory: dgate == gate and dup == up are
     * allowed). */
    void (*swiglu)(struct compute *c, struct compute_span h,
                   struct compute_span gate, struct compute_span up, size_t n);
    void (*swiglu_grad)(struct compute *c, struct compute_span dgate,
                        struct compute_span dup, struct compute_span dh,
                        struct compute_span gate, struct compute_span up,
                        size_t n);

    void (*linear)(struct compute *c, const struct compute_linear *l);
    /* x[m,k] = alpha y[m,n] w[n,k] + x2[m,k2] w2[k2,k] + addend[m,k]: the
     * input's gradient, where y holds the output's. addend may be x. */
    void (*linear_dx)(struct compute *c, const struct compute_linear *l);
    /* w[n,k] += alpha y[m,n]' x[m,k], bias += column sums of y (if present):
     * w and bias are gradients. */
    void (*linear_dw)(struct compute *c, const struct compute_linear *l);

    void (*attention)(struct compute *c, const struct compute_attention *a);
    void (*attention_grad)(struct compute *c,
                           const struct compute_attention_grad *a);
    void (*cache_size)(struct compute *c,
                       const struct compute_attention_cached *a, size_t slots,
                       size_t *keys, size_t *values);
    /* Copy rows of k and v (as above) into the cache. */
    void (*cache_store)(struct compute *c,
                        const struct compute_attention_cached *a,
                        struct compute_span k, struct compute_span v);
    void (*attention_cached)(struct compute *c,
                             const struct compute_attention_cached *a);

    void (*cross_entropy)(struct compute *c,
                          const struct compute_cross_entropy *x);
    /* ids[rows] (i32) of the largest logit of each row, the smallest id among
     * equals; logp[rows] (may be absent) its log probability. */
    void (*argmax)(struct compute *c, struct compute_span ids,
                   struct compute_span logp, struct compute_span logits,
                   size_t rows, size_t vocab);
    void (*adamw)(struct compute *c, const struct compute_adamw *a);

    /* Bytes of buffers and packed weights (a GPU: and of its scratch) that are
     * held now, and that were held at most. */
    void (*memory)(struct compute *c, size_t *used, size_t *peak);

    /* What follows serves families beyond Llama's. A device may leave it out
     * (NULL); a model that needs it is then refused when it is loaded. */
    unsigned features; /* COMPUTE_HAS_... */
    /* y = alpha x; y may be x. */
    void (*scale)(struct compute *c, struct compute_span y,
                  struct compute_span x, float alpha, size_t n);
    /* y[r y_stride + i] = x[r x_stride + i], i < cols: cuts columns out of
     * rows, or puts them in; other columns of y are untouched. */
    void (*copy_columns)(struct compute *c, struct compute_span y,
                         size_t y_stride, struct compute_span x,
                         size_t x_stride, size_t rows, size_t cols);
    /* y = f(x), y may be x; backward dx = dy f'(x), dx may be dy or x. */
    void (*activate)(struct compute *c, enum compute_activation kind,
                     struct compute_span y, struct compute_span x, size_t n);
    void (*activate_grad)(struct compute *c, enum compute_activation kind,
                          struct compute_span dx, struct compute_span dy,
                          struct compute_span x, size_t n);
    /* h = f(gate) up, and its gradient as swiglu_grad's; h may be gate or
     * up. */
    void (*glu)(struct compute *c, enum compute_activation kind,
                struct compute_span h, struct compute_span gate,
                struct compute_span up, size_t n);
    void (*glu_grad)(struct compute *c, enum compute_activation kind,
                     struct compute_span dgate, struct compute_span dup,
                     struct compute_span dh, struct compute_span gate,
                     struct compute_span up, size_t n);
    /* y = cap tanh(x / cap); y may be x. */
    void (*softcap)(struct compute *c, struct compute_span y,
                    struct compute_span x, float cap, size_t n);
    /* y = (x - mean) rstd w + b, rstd = 1/sqrt(mean (x - mean)^2 + eps).
     * stat [rows,2] keeps mean and rstd; may be absent. */
    void (*layernorm)(struct compute *c, struct compute_span y,
                      struct compute_span x, struct compute_span w,
                      struct compute_span b, struct compute_span stat,
                      size_t rows, size_t dim, float eps);
    /* dx += d/dx, dw += d/dw, db += d/db (dw and db both or neither) */
    void (*layernorm_grad)(struct compute *c, struct compute_span dx,
                           struct compute_span dw, struct compute_span db,
                           struct compute_span dy, struct compute_span x,
                           struct compute_span w, struct compute_span stat,
                           size_t rows, size_t dim);
    /* rope on the first `rotary` elements of each head; tables
     * [positions, rotary/2]. */
    void (*rope_part)(struct compute *c, struct compute_span x,
                      struct compute_span position, struct compute_span cosine,
                      struct compute_span sine, size_t rows, size_t heads,
                      size_t dim, size_t rotary, bool inverse);
    /* Mixers that carry a state along the rows. */
    void (*conv)(struct compute *c, const struct compute_conv *x);
    void (*conv_grad)(struct compute *c, const struct compute_conv_grad *x);
    void (*scan)(struct compute *c, const struct compute_scan *x);
    void (*scan_grad)(struct compute *c, const struct compute_scan_grad *x);
    void (*delta)(struct compute *c, const struct compute_delta *x);
    void (*delta_grad)(struct compute *c, const struct compute_delta_grad *x);
    void (*gated_norm)(struct compute *c, const struct compute_gated_norm *x);
    void (*gated_norm_grad)(struct compute *c,
                            const struct compute_gated_norm_grad *x);
    /* y[r y_stride + i] *= alpha, i < cols */
    void (*scale_columns)(struct compute *c, struct compute_span y,
                          size_t y_stride, size_t rows, size_t cols,
                          float alpha);

    /* What training methods need beyond a plain adapter's. y[n] = 1 over the
     * Euclidean length of row n of w[n,k] + alpha b[n,rank] a[rank,k]; weights
     * are w, b, a. */
    void (*inverse_norms)(struct compute *c, struct compute_span y,
                          const struct compute_span weights[3], size_t n,
                          size_t k, size_t rank, float alpha);
    /* y[r,i] = x[r,i] w[i] + bias[i] + addend[r,i]; bias and addend may be
     * absent, y may be x or addend. */
    void (*gain_columns)(struct compute *c, struct compute_span y,
                         struct compute_span x, struct compute_span w,
                         struct compute_span bias, struct compute_span addend,
                         size_t rows, size_t cols);
    /* x[r] *= w[r], a factor for each row */
    void (*scale_rows)(struct compute *c, struct compute_span x,
                       struct compute_span w, size_t rows, size_t cols);
    /* y[i] += sum over r of u[r,i] v[r,i] */
    void (*column_dots)(struct compute *c, struct compute_span y,
                        struct compute_span u, struct compute_span v,
                        size_t rows, size_t cols);
    void (*distill)(struct compute *c, const struct compute_distill *d);
    /* Weights w[n,k], a whole buffer, are kept as blocks from now on: linear,
     * linear_dx, row access and download (as f32) see what the blocks say. They
     * cannot be written again. May wait. With COMPUTE_Q8_0 and COMPUTE_Q4_0,
     * which need COMPUTE_HAS_BLOCKS and a k that is a multiple of 32 (else
     * ERR_UNSUPPORTED), linear besides rounds its x to 8 bits by blocks of 32
     * along a row: a row's result is the same whatever rows are beside it. */
    int (*quantise)(struct compute *c, struct compute_span w, size_t n,
                    size_t k, enum compute_quant kind, struct err *err);
    /* The same from blocks as a GGUF file has them, for those two kinds: what
     * w held is dropped. Blocks are copied and need no alignment. */
    int (*quantise_blocks)(struct compute *c, struct compute_span w, size_t n,
                           size_t k, enum compute_quant kind,
                           const void *blocks, struct err *err);
    /* What cache_size tells the size of. A device may leave it out: its
     * caches are then copied as wholes, and not kept on disk. */
    void (*cache_layout)(struct compute *c,
                         const struct compute_attention_cached *a,
                         struct compute_cache_layout *keys,
                         struct compute_cache_layout *values);
    /* linear for each of `count` layers, which have x, m and k in common but
     * no y: the same bits, with less waiting between. A device may leave it
     * out. */
    void (*linears)(struct compute *c, const struct compute_linear *l,
                    size_t count);
    /* For a bank of adapters; without it each branch is two products. */
    void (*branches)(struct compute *c, const struct compute_branches *b);
    /* ids[rows] (i32): one drawn from each row of logits (f32) as `each` (host
     * array) says; logp[rows] (may be absent) its log probability among all at
     * temperature 1. Fewer than 2^21 ids. A device may leave it out: the host
     * draws then. */
    void (*sample)(struct compute *c, struct compute_span ids,
                   struct compute_span logp, struct compute_span logits,
                   const struct compute_draw *each, size_t rows, size_t vocab);
    /* While on, nothing is computed: buffers that are asked for have no memory,
     * and what was uploaded is forgotten; all of them are released before off,
     * which tells what would have been held at most, with what there was
     * before and with scratch, which is then taken at once when it is needed.
     * A device may leave it out. */
    void (*rehearse)(struct compute *c, bool on, size_t *most);
    /* A device may record the operations of a step, and do them all at once
     * when it comes again. begin: true if that is done, nothing else is to be
     * called then; else the operations are, and step_end. end: false if they
     * did nothing, because they were recorded and it failed: they are called
     * once more. Results have the same bits either way. A device may leave both
     * out. */
    bool (*step_begin)(struct compute *c, const struct compute_step *step);
    bool (*step_end)(struct compute *c);
    /* For preferences, beside scale_rows; does not wait. */
    void (*preference)(struct compute *c, const struct compute_preference *p);
    /* Tell that products read the f32 weights in this buffer, the whole of it,
     * many times between two changes: a device whose products are in bf16 keeps
     * them in that, too (two bytes each), and sees to it when they change. A
     * device may leave it out. */
    int (*keep_narrow)(struct compute *c, struct compute_span w,
                       struct err *err);
    /* linear for both, which have x, m, n and k in common and no addend, and
     * h[m,n] = silu(gate's y) (up's y): the bits of these one after the other.
     * gate's y may be h where only that is wanted; up's may not. A device may
     * leave it out. */
    void (*linear_swiglu)(struct compute *c, const struct compute_linear *up,
                          const struct compute_linear *gate,
                          struct compute_span h);
};

enum compute_precision {
    COMPUTE_BEST,    /* the CPU: f32; a GPU: bf16 */
    COMPUTE_FULL,    /* f32 throughout */
    COMPUTE_TF32,    /* products of f32 rounded to 10 bits of mantissa */
    COMPUTE_BFLOAT16 /* activations and products in bf16, sums in f32 */
};

/* An open device; devices embed it as their first member. */
struct compute {
    const struct compute_ops *ops;
    const char *kernels; /* "avx512": recorded by training runs */
    unsigned threads;
    const char *device;               /* "NVIDIA H200", or the CPU's "cpu" */
    enum compute_precision precision; /* never COMPUTE_BEST */
    enum compute_type cache;          /* as asked for: of KV caches */
    unsigned rounding; /* COMPUTE_ROUNDING: recorded beside `kernels` */
    size_t limit;      /* bytes of its own memory to use; 0: the host's */
};

struct compute_options {
    const char *device;     /* NULL, "cpu", "cuda", "cuda:N", "auto" */
    const char *kernels;    /* NULL: best; "generic", "avx2", "avxvnni",
                             * "avx512", "avx512vnni", "neon"; a GPU's:
                             * "simt", "mma", "wgmma", "cluster"; ",nograph"
                             * behind one, or "nograph": steps are not
                             * recorded. "auto": the CPU's alone */
    const char *plugin_dir; /* where slmctl-cuda.so is; NULL: beside the
                             * program, then ../lib/slmctl from there */
    unsigned threads;       /* 0: one per CPU of this process */
    enum compute_precision precision;
    size_t max_memory;       /* bytes on the device; 0: all that is free */
    enum compute_type cache; /* of KV caches, as attention_cached takes it */
    char *note;              /* "auto": why it is not a GPU, or NULL */
    size_t note_size;
    /* Where to keep what the CPU's kernels were timed to be; NULL: they are
     * chosen by what the CPU can do alone, as a run must be that is to be
     * repeated. */
    const char *probe_dir;
    const char *gpu_kernels; /* "auto": of a GPU, as `kernels` is for "cuda" */
};

/* Kernels that this machine cannot run, a precision and a type of caches that
 * the device does not have are refused (ERR_UNSUPPORTED). "auto" is a GPU where
 * one can be used, else the CPU; each has kernels of its own to be forced. */
MUST_CHECK int compute_open(const struct compute_options *opt,
                            struct compute **out, struct err *err);
void compute_close(struct compute *c); /* NULL is fine */
/* ERR_INVALID if the CPU, or a GPU, has no kernels of that name on any
 * machine. */
MUST_CHECK int compute_kernels_known(bool gpu, const char *name,
                                     struct err *err);

/* What the CPU gives at most, in a second: operations of float multiply-adds
 * (two each) and of bytes times bytes, in registers; bytes read from memory. */
struct compute_limits {
    const char *kernels; /* whose instructions were used */
    unsigned threads;
    double flops, int8_ops;
    double flops_median; /* of the rounds whose best one `flops` is */
    double read_bytes;   /* 0 where there was no memory to measure with */
};
/* Measures, for about a quarter of a second; kernels as in options. */
MUST_CHECK int compute_limits_measure(const char *kernels, unsigned threads,
                                      struct compute_limits *out,
                                      struct err *err);

/* Bytes a second that a device reads, or writes, of its own memory: measured
 * by copying, in a few hundredths of a second. */
MUST_CHECK int compute_bandwidth(struct compute *c, double *out,
                                 struct err *err);

/* A set of kernels of this build, the best one first; why is empty where the
 * CPU can run it and it computes what generic does. */
struct compute_set {
    const char *name, *integers; /* how it multiplies bytes */
    bool chosen;
    char why[64];
};
/* All of them, `chosen` as compute_open would choose; returns how many. */
#define COMPUTE_SETS 8
MUST_CHECK int compute_sets(const struct compute_options *opt,
                            struct compute_set out[COMPUTE_SETS],
                            struct err *err);
/* The CPU's instruction sets that kernels ask for, "avx avx2 fma". */
void compute_features(char *out, size_t size);

/* "f32", "tf32", "bf16"; "auto" for COMPUTE_BEST. */
const char *compute_precision_name(enum compute_precision p);
/* Whether the device computes with 16-bit weights at least as well as with
 * wider ones, so that widening them gains nothing. */
bool compute_keeps_narrow(const struct compute *c);

size_t compute_type_size(enum compute_type t);
/* On the device, where ACT may be narrower than the host sees it. */
size_t compute_size_on(const struct compute *c, enum compute_type t);
/* A whole new buffer as a span. */
MUST_CHECK int compute_alloc(struct compute *c, enum compute_type type,
                             size_t count, const char *what,
                             struct compute_span *out, struct err *err);
/* Frees the buffer under *s (a span of offset 0) and makes it absent. */
void compute_release(struct compute *c, struct compute_span *s);
struct compute_span compute_at(struct compute_span s, size_t offset);

#endif
