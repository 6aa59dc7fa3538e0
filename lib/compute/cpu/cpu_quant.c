/*
 * cpu_quant.c - frozen weights as blocks of 4 or 8 bits
 *
 * Packing reads them block by block, so the wide weights are never there as a
 * whole. NF4 keeps its block sizes in 8 bits, unless the weights were NF4
 * already, rounded to 16 bits or not: then f32 sizes lose nothing at all.
 */
#include "base/mem.h"
#include "compute/cpu/cpu.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 64
#define NEST 256 /* block sizes that share a scale */

/* The quantiles of a normal distribution that QLoRA (arXiv 2305.14314) names.
 */
static const float code[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

struct cpu_quant {
    enum compute_quant kind;
    struct cpu_packed *packed; /* blocks of 32 (cpu_int.c); alone, or NULL */
    const struct cpu_kernels *ker;
    size_t count, blocks;
    uint8_t *codes;      /* two a byte, or int8 */
    float *sizes;        /* of blocks; NULL: the next three */
    int8_t *small;       /* size = mean + small * nested[block / NEST] */
    float *nested, mean; /* of all blocks */
    int digits;          /* bits that values are rounded to; 0: f32's */
};

static size_t code_bytes(const struct cpu_quant *q)
{
    return q->kind == COMPUTE_NF4 ? cpu_ceil_div(q->count, 2) : q->count;
}

size_t cpu_quant_bytes(const struct cpu_quant *q)
{
    if (q->packed)
        return cpu_packed_bytes(q->packed);
    if (q->sizes)
        return code_bytes(q) + q->blocks * sizeof(float);
    return code_bytes(q) + q->blocks +
           cpu_ceil_div(q->blocks, NEST) * sizeof(float);
}

void cpu_quant_free(struct cpu_quant *q)
{
    if (!q)
        return;
    cpu_packed_free(q->packed);
    free(q->codes);
    free(q->sizes);
    free(q->small);
    free(q->nested);
    free(q);
}

static float size_of(const struct cpu_quant *q, size_t block)
{
    if (q->sizes)
        return q->sizes[block];
    return q->mean + (float)q->small[block] * q->nested[block / NEST];
}

#define BF16_DIGITS 8
#define F16_DIGITS 11

/* The distance of x's neighbours that have so many bits; f16 has no smaller
 * steps than 2^-24. */
static double step_of(double x, int digits)
{
    double step = ldexp(1, ilogb(x) - digits + 1);

    return digits == F16_DIGITS ? fmax(step, 0x1p-24) : step;
}

static float rounded(float x, int digits)
{
    double step;

    if (digits == 0 || !(fabsf(x) > 0))
        return x;
    step = step_of((double)x, digits);
    return (float)(rint((double)x / step) * step);
}

static void read_nf4(const struct cpu_quant *q, float *y, size_t at, size_t n)
{
    float size = size_of(q, at / BLOCK), values[16];

    for (size_t i = 0; i < 16; i++)
        values[i] = rounded(code[i] * size, q->digits);
    for (size_t i = 0; i < n; i++) {
        unsigned pair = q->codes[(at + i) / 2];

        y[i] = values[(at + i) % 2 ? pair >> 4 : pair & 15];
    }
}

static void read_int8(const struct cpu_quant *q, float *y, size_t at, size_t n)
{
    float size = q->sizes[at / BLOCK];

    for (size_t i = 0; i < n; i++)
        y[i] = (float)(int8_t)q->codes[at + i] * size;
}

void cpu_quant_read(const struct cpu_quant *q, float *y, size_t at, size_t n)
{
    if (q->packed) {
        cpu_packed_read(q->packed, q->ker, y, at, n);
        return;
    }
    assert(at + n <= q->count);
    while (n > 0) {
        size_t part = BLOCK - at % BLOCK;

        part = part < n ? part : n;
        if (q->kind == COMPUTE_NF4)
            read_nf4(q, y, at, part);
        else
            read_int8(q, y, at, part);
        y += part;
        at += part;
        n -= part;
    }
}

void cpu_weights_read(const struct cpu *c, float *y,
                      const struct compute_buffer *b, size_t at, size_t n)
{
    if (b->quant) {
        cpu_quant_read(b->quant, y, at, n);
    } else if (b->panels && b->type == COMPUTE_F32) {
        cpu_panels_read(c, y, b, at, n);
    } else if (b->panels) {
        uint16_t some[BLOCK];

        for (size_t i = 0, part; i < n; i += part) {
            part = n - i < BLOCK ? n - i : BLOCK;
            cpu_panels_read(c, some, b, at + i, part);
            c->k->widen(y + i, some, b->type, part);
        }
    } else if (b->type == COMPUTE_F32) {
        memcpy(y, (const float *)b->data + at, n * sizeof(*y));
    } else {
        c->k->widen(y, (const uint16_t *)b->data + at, b->type, n);
    }
}

/* The nearest code; of two as near the smaller. */
static unsigned nearest(float x)
{
    unsigned low = 0, high = 15;

    while (low < high) {
        unsigned mid = (low + high) / 2;

        if (x > (code[mid] + code[mid + 1]) / 2)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static size_t block_size(const struct cpu_quant *q, size_t block)
{
    size_t rest = q->count - block * BLOCK;

    return rest < BLOCK ? rest : BLOCK;
}

struct quant_job {
    const struct cpu *c;
    const struct compute_buffer *b;
    struct cpu_quant *q;
    bool *lossy; /* of each task: some weight changed */
};

#define TASK 64 /* blocks */

static float largest(const float *x, size_t n)
{
    float top = 0;

    for (size_t i = 0; i < n; i++)
        top = fmaxf(top, fabsf(x[i]));
    return top;
}

static void sizes_task(void *ctx, size_t task, unsigned worker)
{
    const struct quant_job *j = ctx;
    struct cpu_quant *q = j->q;

    (void)worker;
    for (size_t i = task * TASK; i < q->blocks && i < (task + 1) * TASK; i++) {
        float x[BLOCK];
        size_t n = block_size(q, i);

        cpu_weights_read(j->c, x, j->b, i * BLOCK, n);
        q->sizes[i] = largest(x, n) / (q->kind == COMPUTE_NF4 ? 1 : 127);
    }
}

static void codes_task(void *ctx, size_t task, unsigned worker)
{
    const struct quant_job *j = ctx;
    struct cpu_quant *q = j->q;
    bool lossy = false;

    (void)worker;
    for (size_t i = task * TASK; i < q->blocks && i < (task + 1) * TASK; i++) {
        float x[BLOCK], y[BLOCK], size = size_of(q, i);
        size_t n = block_size(q, i), at = i * BLOCK;
        float by = size > 0 ? 1 / size : 0;

        cpu_weights_read(j->c, x, j->b, at, n);
        if (q->kind == COMPUTE_INT8) {
            for (size_t k = 0; k < n; k++)
                q->codes[at + k] = (uint8_t)(int8_t)lrintf(x[k] * by);
            continue;
        }
        memset(q->codes + at / 2, 0, cpu_ceil_div(n, 2));
        for (size_t k = 0; k < n; k++)
            q->codes[(at + k) / 2] |=
                (uint8_t)(nearest(x[k] * by) << (k % 2 ? 4 : 0));
        cpu_quant_read(q, y, at, n);
        for (size_t k = 0; k < n; k++)
            lossy |= y[k] < x[k] || y[k] > x[k];
    }
    j->lossy[task] = lossy;
}

/* The size whose products with the codes are all rounded to just x; 0: there
 * is none. */
static float size_behind(const float *x, size_t n, float top, int digits)
{
    double low = 0, high = HUGE_VAL;

    for (size_t k = 0; k < n && low <= high; k++) {
        float by = fabsf(code[nearest(x[k] / top)]);
        double size = (double)fabsf(x[k]), step;

        if (!(by > 0) || !(size > 0)) {
            if (by > 0 || size > 0)
                return 0;
            continue;
        }
        step = step_of(size, digits);
        if (fabs(rint(size / step) * step - size) > 0)
            return 0;
        high = fmin(high, (size + step / 2) / (double)by);
        step = fmin(step, step_of(size * (1 - 0x1p-30), digits));
        low = fmax(low, (size - step / 2) / (double)by);
    }
    return low <= high ? (float)((low + high) / 2) : 0;
}

static void behind_task(void *ctx, size_t task, unsigned worker)
{
    const struct quant_job *j = ctx;
    struct cpu_quant *q = j->q;
    bool lossy = false;

    (void)worker;
    for (size_t i = task * TASK; i < q->blocks && i < (task + 1) * TASK; i++) {
        float x[BLOCK], top;
        size_t n = block_size(q, i);

        cpu_weights_read(j->c, x, j->b, i * BLOCK, n);
        top = largest(x, n);
        if (top > 0)
            q->sizes[i] = size_behind(x, n, top, q->digits);
        lossy = top > 0 && !(q->sizes[i] > 0);
        if (lossy)
            break;
    }
    j->lossy[task] = lossy;
}

/* The sizes in 8 bits around their mean. */
static void nest_sizes(struct cpu_quant *q)
{
    size_t groups = cpu_ceil_div(q->blocks, NEST);
    double sum = 0;

    for (size_t i = 0; i < q->blocks; i++)
        sum += (double)q->sizes[i];
    q->mean = (float)(sum / (double)q->blocks);
    q->small = mem_array(q->blocks, 1);
    q->nested = mem_array(groups, sizeof(*q->nested));
    for (size_t g = 0; g < groups; g++) {
        size_t from = g * NEST, to = from + NEST;
        float top = 0;

        to = to < q->blocks ? to : q->blocks;
        for (size_t i = from; i < to; i++)
            top = fmaxf(top, fabsf(q->sizes[i] - q->mean));
        q->nested[g] = top / 127;
        for (size_t i = from; i < to; i++)
            q->small[i] =
                (int8_t)(top > 0 ? lrintf((q->sizes[i] - q->mean) / top * 127)
                                 : 0);
    }
    free(q->sizes);
    q->sizes = NULL;
}

/* True if a weight changed. */
static bool run_lossy(struct cpu *c, struct quant_job *j,
                      void (*run)(void *, size_t, unsigned))
{
    size_t tasks = cpu_ceil_div(j->q->blocks, TASK);
    bool lossy = false;

    cpu_run(c, tasks, j->q->count * 16, run, j);
    for (size_t i = 0; i < tasks; i++)
        lossy |= j->lossy[i];
    return lossy;
}

static void make_nf4(struct cpu *c, struct quant_job *j)
{
    static const int digits[] = { BF16_DIGITS, F16_DIGITS };
    struct cpu_quant *q = j->q;

    if (!run_lossy(c, j, codes_task))
        return;
    for (size_t i = 0; i < sizeof(digits) / sizeof(digits[0]); i++) {
        q->digits = digits[i];
        if (!run_lossy(c, j, behind_task) && !run_lossy(c, j, codes_task))
            return;
    }
    q->digits = 0;
    cpu_run(c, cpu_ceil_div(q->blocks, TASK), q->count, sizes_task, j);
    nest_sizes(q);
    (void)run_lossy(c, j, codes_task);
}

const struct cpu_packed *cpu_quant_packed(const struct cpu_quant *q)
{
    return q ? q->packed : NULL;
}

static int packed_quant(struct cpu *c, const struct compute_buffer *b,
                        enum compute_quant kind, size_t n, size_t k,
                        const void *blocks, struct cpu_quant **out,
                        struct err *err)
{
    struct cpu_packed *p;
    int rc = cpu_packed_new(c, b, kind, n, k, blocks, &p, err);

    if (rc < 0)
        return rc;
    *out = mem_zalloc(sizeof(**out));
    **out = (struct cpu_quant){ .kind = kind, .packed = p, .ker = c->k };
    return 0;
}

int cpu_quant_from(struct cpu *c, enum compute_quant kind, size_t n, size_t k,
                   const void *blocks, struct cpu_quant **out, struct err *err)
{
    return packed_quant(c, NULL, kind, n, k, blocks, out, err);
}

static int flat_quant(struct cpu *c, const struct compute_buffer *b,
                      enum compute_quant kind, struct cpu_quant **out,
                      struct err *err)
{
    struct cpu_quant *q = mem_zalloc(sizeof(*q));
    struct quant_job j = { .c = c, .b = b, .q = q };
    size_t tasks;
    void *codes;
    int rc;

    q->kind = kind;
    q->count = b->count;
    q->blocks = cpu_ceil_div(b->count, BLOCK);
    rc = mem_try_array(&codes, code_bytes(q), 1, "quantised weights", err);
    if (rc < 0) {
        cpu_quant_free(q);
        return rc;
    }
    q->codes = codes;
    q->sizes = mem_array(q->blocks, sizeof(*q->sizes));
    tasks = cpu_ceil_div(q->blocks, TASK);
    j.lossy = mem_zalloc(tasks * sizeof(*j.lossy) + 1);
    cpu_run(c, tasks, q->count, sizes_task, &j);
    if (kind == COMPUTE_NF4)
        make_nf4(c, &j);
    else
        (void)run_lossy(c, &j, codes_task);
    free(j.lossy);
    *out = q;
    return 0;
}

int cpu_quant_new(struct cpu *c, const struct compute_buffer *b,
                  enum compute_quant kind, size_t n, size_t k,
                  struct cpu_quant **out, struct err *err)
{
    if (kind == COMPUTE_Q8_0 || kind == COMPUTE_Q4_0)
        return packed_quant(c, b, kind, n, k, NULL, out, err);
    return flat_quant(c, b, kind, out, err);
}
