/*
 * cuda_quant.cu - frozen weights become blocks of 8 or 4 bits, and are read
 *
 * The CPU's arithmetic (cpu_quant.c, cpu_int.c) with its roundings, a warp for
 * each block, so that blocks and what they say are the CPU's to the bit.
 * Quantising waits: how sizes are kept depends on whether codes lose anything.
 */
#include "compute/cuda/cuda_quant.cuh"
#include "compute/cuda/cuda_vector.cuh"

#include <assert.h>
#include <stdlib.h>

#define THREADS 256
#define WARPS (THREADS / 32)
#define PIECE_BYTES ((size_t)16 << 20) /* of blocks on their way */

static size_t ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static unsigned grid_of(size_t n, size_t each)
{
    return (unsigned)ceil_div(n, each);
}

struct quant_table cuda_quant_table(void)
{
    static const struct quant_table t = { {
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
    } };

    return t;
}

/* ---- reading ---- */

template <int KIND, int W>
__global__ void __launch_bounds__(THREADS)
    read_kernel(cuda_vec<CUDA_ANY> y, struct quant_view q, struct quant_table t,
                struct quant_piece p)
{
    __shared__ float table[16 * 32];
    size_t first = ((size_t)blockIdx.x * THREADS + threadIdx.x) * W;

    if (KIND == COMPUTE_NF4)
        quant_spread(table, t);
    for (size_t r = blockIdx.y; r < p.rows; r += gridDim.y) {
        size_t row = p.ids ? (size_t)p.ids[r] : r;

        for (size_t j = first; j < p.cols;
             j += (size_t)gridDim.x * THREADS * W) {
            float v[W];

            quant_get<KIND, W>(q, v, p.at + row * p.ld + j,
                               table + threadIdx.x % 32);
            y.put(r * p.cols + j, v);
        }
    }
}

template <int KIND>
static void read_run(struct cuda *c, struct cuda_operand y,
                     const struct cuda_quant *q, const struct quant_piece &p)
{
    bool wide = p.at % 8 == 0 && p.ld % 8 == 0 && cuda_wide(y, p.cols, 8);
    size_t across = ceil_div(p.cols, THREADS * (wide ? 8 : 1));
    dim3 grid((unsigned)(across < 65535 ? across : 65535),
              (unsigned)(p.rows < 65535 ? p.rows : 65535));
    cuda_vec<CUDA_ANY> to = cuda_vec_of<CUDA_ANY>(y);
    struct quant_table t = cuda_quant_table();

    if (wide)
        read_kernel<KIND, 8>
            <<<grid, THREADS, 0, c->stream>>>(to, q->view, t, p);
    else
        read_kernel<KIND, 1>
            <<<grid, THREADS, 0, c->stream>>>(to, q->view, t, p);
    cuda_launched(c, "reading blocks");
}

void cuda_quant_read(struct cuda *c, struct cuda_operand y,
                     const struct cuda_quant *q, const struct quant_piece *p)
{
    if (p->rows == 0 || p->cols == 0)
        return;
    switch (q->kind) {
    case COMPUTE_NF4: read_run<COMPUTE_NF4>(c, y, q, *p); break;
    case COMPUTE_INT8: read_run<COMPUTE_INT8>(c, y, q, *p); break;
    case COMPUTE_Q8_0: read_run<COMPUTE_Q8_0>(c, y, q, *p); break;
    case COMPUTE_Q4_0: read_run<COMPUTE_Q4_0>(c, y, q, *p); break;
    }
}

void cuda_weights_read(struct cuda *c, void *y, enum cuda_type to,
                       struct compute_span w, size_t n)
{
    struct cuda_operand o = { y, to };
    struct quant_piece p = { w.at, 0, 1, n, NULL };

    if (w.buf->quant) {
        cuda_quant_read(c, o, w.buf->quant, &p);
        return;
    }
    o = cuda_at(w);
    cuda_convert(c, y, to, o.data, o.type, n);
}

/* ---- NF4 and INT8 ---- */

__device__ __forceinline__ float top_of_warp(float v)
{
#pragma unroll
    for (int d = 16; d > 0; d /= 2)
        v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, d));
    return v;
}

/* What making blocks works with. */
struct making {
    cuda_vec<CUDA_ANY> x;
    size_t count, blocks;
    uint8_t *codes;
    float *sizes;
    int *lossy;
};

/* The two weights of this lane in a block; absent ones are 0. */
__device__ __forceinline__ void take_two(const struct making &m, size_t block,
                                         float (&v)[2], int *n)
{
    size_t at = block * QUANT_BLOCK + threadIdx.x % 32 * 2;

    *n = at + 1 < m.count ? 2 : at < m.count ? 1 : 0;
#pragma unroll
    for (int j = 0; j < 2; j++) {
        float one[1] = { 0 };

        if (j < *n)
            m.x.get(one, at + j);
        v[j] = one[0];
    }
}

template <int KIND>
__global__ void __launch_bounds__(THREADS) sizes_kernel(struct making m)
{
    size_t block = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    float v[2], top;
    int n;

    if (block >= m.blocks)
        return;
    take_two(m, block, v, &n);
    top = top_of_warp(fmaxf(fmaxf(0, fabsf(v[0])), fabsf(v[1])));
    if (threadIdx.x % 32 == 0)
        m.sizes[block] = KIND == COMPUTE_NF4 ? top : __fdiv_rn(top, 127);
}

/* The nearest code; of two as near the smaller. */
__device__ __forceinline__ unsigned nearest(const struct quant_table &t,
                                            float x)
{
    unsigned at = 0;

#pragma unroll
    for (int i = 0; i < 15; i++)
        at += x > __fmul_rn(__fadd_rn(t.code[i], t.code[i + 1]), 0.5f);
    return at;
}

/* What the host's rounding gives, 0 for what is no number in range. */
__device__ __forceinline__ uint8_t byte_of(float x)
{
    return fabsf(x) < 0x1p31f ? (uint8_t)(int8_t)(int)rintf(x) : 0;
}

template <int KIND>
__global__ void __launch_bounds__(THREADS)
    codes_kernel(struct making m, struct quant_view q, struct quant_table t)
{
    __shared__ float table[16 * 32];
    size_t block = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    size_t at = block * QUANT_BLOCK + threadIdx.x % 32 * 2;
    const float *lane = table + threadIdx.x % 32;
    float v[2], size, by;
    unsigned code[2];
    bool lossy = false;
    int n;

    if (KIND == COMPUTE_NF4)
        quant_spread(table, t);
    if (block >= m.blocks)
        return;
    take_two(m, block, v, &n);
    size = quant_size(q, block);
    by = size > 0 ? __fdiv_rn(1, size) : 0;
#pragma unroll
    for (int j = 0; j < 2; j++) {
        float y, u = __fmul_rn(v[j], by);

        if constexpr (KIND == COMPUTE_INT8) {
            if (j < n)
                m.codes[at + j] = byte_of(u);
            continue;
        }
        code[j] = nearest(t, u);
        y = __fmul_rn(lane[code[j] * 32], size);
        if (q.digits > 0)
            y = quant_round(y, q.digits);
        lossy |= j < n && (y < v[j] || y > v[j]);
    }
    if constexpr (KIND == COMPUTE_INT8)
        return;
    if (n > 0)
        m.codes[at / 2] = (uint8_t)(code[0] | (n > 1 ? code[1] << 4 : 0));
    if (__ballot_sync(0xffffffffu, lossy) && threadIdx.x % 32 == 0)
        *m.lossy = 1;
}

/* The distance of x's neighbours that have so many bits. */
__device__ __forceinline__ double step_of(double x, int digits)
{
    double step = ldexp(1.0, ilogb(x) - digits + 1);

    return digits == QUANT_F16_DIGITS ? fmax(step, 0x1p-24) : step;
}

/* Between which sizes the products with x's code are rounded to just x. False:
 * none are. */
__device__ __forceinline__ bool bounds_of(const struct quant_table &t,
                                          const float *lane, float x, float top,
                                          int digits, double *low, double *high)
{
    float by = fabsf(lane[nearest(t, __fdiv_rn(x, top)) * 32]);
    double size = (double)fabsf(x), step;

    if (!(by > 0) || !(size > 0))
        return !(by > 0) && !(size > 0);
    step = step_of(size, digits);
    if (fabs(rint(size / step) * step - size) > 0)
        return false;
    *high = fmin(*high, (size + step / 2) / (double)by);
    step = fmin(step, step_of(size * (1 - 0x1p-30), digits));
    *low = fmax(*low, (size - step / 2) / (double)by);
    return true;
}

/* Sizes behind weights that were NF4 before they were rounded to `digits`. */
__global__ void __launch_bounds__(THREADS)
    behind_kernel(struct making m, int digits, struct quant_table t)
{
    __shared__ float table[16 * 32];
    size_t block = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    double low = 0, high = INFINITY;
    float v[2], top, size;
    bool bad = false;
    int n;

    quant_spread(table, t);
    if (block >= m.blocks)
        return;
    take_two(m, block, v, &n);
    top = top_of_warp(fmaxf(fmaxf(0, fabsf(v[0])), fabsf(v[1])));
    if (!(top > 0))
        return;
#pragma unroll
    for (int j = 0; j < 2; j++)
        bad |= j < n && !bounds_of(t, table + threadIdx.x % 32, v[j], top,
                                   digits, &low, &high);
    bad = __ballot_sync(0xffffffffu, bad) != 0;
#pragma unroll
    for (int d = 16; d > 0; d /= 2) {
        low = fmax(low, __shfl_xor_sync(0xffffffffu, low, d));
        high = fmin(high, __shfl_xor_sync(0xffffffffu, high, d));
    }
    size = !bad && low <= high ? (float)((low + high) / 2) : 0;
    if (threadIdx.x % 32 > 0)
        return;
    m.sizes[block] = size;
    if (!(size > 0))
        *m.lossy = 1;
}

/* The sizes in 8 bits around their mean; a block for each group. */
__global__ void __launch_bounds__(QUANT_NEST)
    nest_kernel(int8_t *small, float *nested, const float *sizes, float mean,
                size_t blocks)
{
    __shared__ float tops[QUANT_NEST / 32];
    size_t at = (size_t)blockIdx.x * QUANT_NEST + threadIdx.x;
    float off = at < blocks ? __fsub_rn(sizes[at], mean) : 0, top;

    top = top_of_warp(fabsf(off));
    if (threadIdx.x % 32 == 0)
        tops[threadIdx.x / 32] = top;
    __syncthreads();
    for (int w = 0; w < QUANT_NEST / 32; w++)
        top = fmaxf(top, tops[w]);
    if (threadIdx.x == 0)
        nested[blockIdx.x] = __fdiv_rn(top, 127);
    if (at < blocks)
        small[at] =
            top > 0 ? (int8_t)byte_of(__fmul_rn(__fdiv_rn(off, top), 127)) : 0;
}

static struct making making_of(struct cuda_quant *q,
                               const struct compute_buffer *b, int *lossy)
{
    struct cuda_operand o = { b->data, b->type };
    struct making m = { cuda_vec_of<CUDA_ANY>(o), q->count,          q->blocks,
                        (uint8_t *)q->codes,      (float *)q->sizes, lossy };

    return m;
}

static void sizes_run(struct cuda *c, const struct cuda_quant *q,
                      const struct making &m)
{
    unsigned grid = grid_of(q->blocks, WARPS);

    if (q->kind == COMPUTE_NF4)
        sizes_kernel<COMPUTE_NF4><<<grid, THREADS, 0, c->stream>>>(m);
    else
        sizes_kernel<COMPUTE_INT8><<<grid, THREADS, 0, c->stream>>>(m);
    cuda_launched(c, "quantise");
}

static void codes_run(struct cuda *c, const struct cuda_quant *q,
                      const struct making &m)
{
    unsigned grid = grid_of(q->blocks, WARPS);
    struct quant_table t = cuda_quant_table();

    if (q->kind == COMPUTE_NF4)
        codes_kernel<COMPUTE_NF4>
            <<<grid, THREADS, 0, c->stream>>>(m, q->view, t);
    else
        codes_kernel<COMPUTE_INT8>
            <<<grid, THREADS, 0, c->stream>>>(m, q->view, t);
    cuda_launched(c, "quantise");
}

/* Waits. The flag is clear again. */
static bool was_lossy(struct cuda *c, int *flag)
{
    int lossy = 1;

    (void)cuda_check(c,
                     cudaMemcpyAsync(&lossy, flag, sizeof(lossy),
                                     cudaMemcpyDeviceToHost, c->stream),
                     "quantise");
    (void)cuda_check(c, cudaMemsetAsync(flag, 0, sizeof(lossy), c->stream),
                     "quantise");
    (void)cuda_check(c, cudaStreamSynchronize(c->stream), "quantise");
    return lossy != 0;
}

/* The CPU adds the sizes one after the other; so does the host here. */
static int mean_of(struct cuda *c, const struct cuda_quant *q, float *mean,
                   struct err *err)
{
    float *x = (float *)malloc(q->blocks * sizeof(*x));
    double sum = 0;

    if (!x)
        return err_set(err, ERR_NOMEM, "quantise: out of host memory");
    (void)cuda_check(c,
                     cudaMemcpyAsync(x, q->sizes, q->blocks * sizeof(*x),
                                     cudaMemcpyDeviceToHost, c->stream),
                     "quantise");
    (void)cuda_check(c, cudaStreamSynchronize(c->stream), "quantise");
    for (size_t i = 0; i < q->blocks && c->failed == cudaSuccess; i++)
        sum += (double)x[i];
    free(x);
    *mean = (float)(sum / (double)q->blocks);
    return 0;
}

static int nest_sizes(struct cuda *c, struct cuda_quant *q, struct err *err)
{
    size_t groups = ceil_div(q->blocks, QUANT_NEST);
    size_t room = cuda_scratch_room(groups * sizeof(float));
    size_t bytes = room + q->blocks;
    float *nested;
    int rc = mean_of(c, q, &q->view.mean, err);

    if (rc < 0)
        return rc;
    nested = (float *)cuda_take(c, &bytes);
    if (!nested)
        return cuda_out_of_memory(c, "quantised weights", bytes, err);
    nest_kernel<<<(unsigned)groups, QUANT_NEST, 0, c->stream>>>(
        (int8_t *)nested + room, nested, (const float *)q->sizes, q->view.mean,
        q->blocks);
    cuda_launched(c, "quantise");
    cuda_give(c, q->sizes, q->sizes_bytes);
    q->sizes = nested;
    q->sizes_bytes = bytes;
    q->view.sizes = NULL;
    q->view.nested = nested;
    q->view.small = (const int8_t *)nested + room;
    return 0;
}

static int make_nf4(struct cuda *c, struct cuda_quant *q, struct making m,
                    struct err *err)
{
    static const int digits[] = { QUANT_BF16_DIGITS, QUANT_F16_DIGITS };
    int rc;

    codes_run(c, q, m);
    if (!was_lossy(c, m.lossy))
        return 0;
    for (size_t i = 0; i < sizeof(digits) / sizeof(digits[0]); i++) {
        q->view.digits = digits[i];
        behind_kernel<<<grid_of(q->blocks, WARPS), THREADS, 0, c->stream>>>(
            m, digits[i], cuda_quant_table());
        cuda_launched(c, "quantise");
        if (was_lossy(c, m.lossy))
            continue;
        codes_run(c, q, m);
        if (!was_lossy(c, m.lossy))
            return 0;
    }
    q->view.digits = 0;
    sizes_run(c, q, m);
    rc = nest_sizes(c, q, err);
    if (rc == 0)
        codes_run(c, q, m);
    return rc;
}

static int make_flat(struct cuda *c, struct cuda_quant *q,
                     const struct compute_buffer *b, struct err *err)
{
    struct making m;
    int *lossy;

    if (!cuda_scratch_begin(c, cuda_scratch_room(sizeof(*lossy))))
        return cuda_told(c, err);
    lossy = (int *)cuda_scratch(c, sizeof(*lossy));
    (void)cuda_check(c, cudaMemsetAsync(lossy, 0, sizeof(*lossy), c->stream),
                     "quantise");
    q->view.sizes = (const float *)q->sizes;
    m = making_of(q, b, lossy);
    sizes_run(c, q, m);
    if (q->kind == COMPUTE_NF4)
        return make_nf4(c, q, m, err);
    codes_run(c, q, m);
    return 0;
}

/* ---- Q8_0 and Q4_0 ---- */

__device__ __forceinline__ float code_near(float x, float by, float low,
                                           float high)
{
    return fminf(fmaxf(rintf(__fmul_rn(x, by)), low), high);
}

/* Squared error of 4-bit codes under `scale`, and the scale that would have
 * been the best for them; sums in the CPU's order. */
__device__ __forceinline__ float four_error(const float *x, float scale,
                                            float *better)
{
    float by = fabsf(scale) > 0 ? __fdiv_rn(1, scale) : 0;
    float xq = 0, qq = 0, e = 0;

    for (int i = 0; i < QUANT_HALF; i++) {
        float q = code_near(x[i], by, -8, 7);
        float off = __fsub_rn(x[i], __fmul_rn(q, scale));

        xq = __fadd_rn(xq, __fmul_rn(x[i], q));
        qq = __fadd_rn(qq, __fmul_rn(q, q));
        e = __fadd_rn(e, __fmul_rn(off, off));
    }
    *better = qq > 0 ? __fdiv_rn(xq, qq) : scale;
    return e;
}

#define TRIES 24

/* Each lane tries one scale; of the best ones the first is taken. */
__device__ __forceinline__ float four_scale(const float *x)
{
    unsigned lane = threadIdx.x % 32;
    float size = __fadd_rn(6.5f, __fmul_rn(0.25f, (float)(lane / 2)));
    float top = 0, scale, ignored, e;
    unsigned at = lane;

    for (int i = 0; i < QUANT_HALF; i++)
        top = fabsf(x[i]) > fabsf(top) ? x[i] : top;
    (void)four_error(x, __fdiv_rn(top, lane % 2 ? size : -size), &scale);
    scale = __half2float(__float2half_rn(scale));
    e = four_error(x, scale, &ignored);
    if (lane >= TRIES || !(e < INFINITY)) {
        e = INFINITY;
        scale = 0;
    }
#pragma unroll
    for (int d = 16; d > 0; d /= 2) {
        float other = __shfl_xor_sync(0xffffffffu, e, d);
        float its = __shfl_xor_sync(0xffffffffu, scale, d);
        unsigned from = __shfl_xor_sync(0xffffffffu, at, d);

        if (other < e || (other == e && from < at)) {
            e = other;
            scale = its;
            at = from;
        }
    }
    return scale;
}

template <int KIND>
__global__ void __launch_bounds__(THREADS)
    blocks_kernel(uint8_t *codes, uint16_t *scales, cuda_vec<CUDA_ANY> x,
                  size_t blocks)
{
    constexpr bool EIGHT = KIND == COMPUTE_Q8_0;
    __shared__ float rows[WARPS][QUANT_HALF];
    size_t block = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    unsigned lane = threadIdx.x % 32;
    float *row = rows[threadIdx.x / 32], v[1], scale, by, q;
    uint16_t h;

    if (block >= blocks)
        return;
    x.get(v, block * QUANT_HALF + lane);
    row[lane] = v[0];
    __syncwarp();
    scale = EIGHT ? __fdiv_rn(top_of_warp(fmaxf(0, fabsf(v[0]))), 127)
                  : four_scale(row);
    h = __half_as_ushort(__float2half_rn(scale));
    scale = quant_half(h);
    by = fabsf(scale) > 0 ? __fdiv_rn(1, scale) : 0;
    q = code_near(v[0], by, EIGHT ? -127 : -8, EIGHT ? 127 : 7);
    if (lane == 0)
        scales[block] = h;
    if constexpr (EIGHT) {
        codes[block * QUANT_HALF + lane] = (uint8_t)(int8_t)(int)q;
    } else {
        unsigned low = (unsigned)((int)q + 8);
        unsigned high = __shfl_xor_sync(0xffffffffu, low, 16);

        if (lane < 16)
            codes[block * 16 + lane] = (uint8_t)(low | high << 4);
    }
}

/* GGUF's blocks, each its scale and codes, in words of 16 bits. */
template <int KIND>
__global__ void __launch_bounds__(THREADS)
    unpack_kernel(uint16_t *codes, uint16_t *scales, const uint16_t *file,
                  size_t words)
{
    constexpr unsigned EACH = KIND == COMPUTE_Q8_0 ? 17 : 9;
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    size_t block = i / EACH, at = i % EACH;

    if (i >= words)
        return;
    if (at == 0)
        scales[block] = file[i];
    else
        codes[block * (EACH - 1) + at - 1] = file[i];
}

static size_t file_bytes(enum compute_quant kind)
{
    return 2 + (kind == COMPUTE_Q8_0 ? QUANT_HALF : QUANT_HALF / 2);
}

static int unpack(struct cuda *c, struct cuda_quant *q, const char *file,
                  struct err *err)
{
    size_t each = file_bytes(q->kind), step = PIECE_BYTES / each;
    size_t codes = each - 2;

    if (!cuda_scratch_begin(c, cuda_scratch_room(step * each)))
        return cuda_told(c, err);
    /* The same scratch each time: the stream keeps the order. */
    for (size_t at = 0; at < q->blocks; at += step) {
        size_t n = q->blocks - at < step ? q->blocks - at : step;
        size_t words = n * each / 2;
        uint16_t *to = (uint16_t *)((char *)q->codes + at * codes);
        uint16_t *scales = (uint16_t *)q->sizes + at;
        const uint16_t *from = (const uint16_t *)c->scratch;

        cuda_push(c, c->scratch, file + at * each, n * each);
        if (q->kind == COMPUTE_Q8_0)
            unpack_kernel<COMPUTE_Q8_0>
                <<<grid_of(words, THREADS), THREADS, 0, c->stream>>>(
                    to, scales, from, words);
        else
            unpack_kernel<COMPUTE_Q4_0>
                <<<grid_of(words, THREADS), THREADS, 0, c->stream>>>(
                    to, scales, from, words);
        cuda_launched(c, "quantise");
    }
    return 0;
}

static int make_blocks(struct cuda *c, struct cuda_quant *q,
                       const struct compute_buffer *b, const void *file,
                       struct err *err)
{
    struct cuda_operand o = { b->data, b->type };
    cuda_vec<CUDA_ANY> x = cuda_vec_of<CUDA_ANY>(o);
    unsigned grid = grid_of(q->blocks, WARPS);
    uint8_t *codes = (uint8_t *)q->codes;
    uint16_t *scales = (uint16_t *)q->sizes;

    q->view.scales = scales;
    if (file)
        return unpack(c, q, (const char *)file, err);
    if (q->kind == COMPUTE_Q8_0)
        blocks_kernel<COMPUTE_Q8_0>
            <<<grid, THREADS, 0, c->stream>>>(codes, scales, x, q->blocks);
    else
        blocks_kernel<COMPUTE_Q4_0>
            <<<grid, THREADS, 0, c->stream>>>(codes, scales, x, q->blocks);
    cuda_launched(c, "quantise");
    return 0;
}

/* ---- both ---- */

void cuda_quant_free(struct cuda *c, struct cuda_quant *q)
{
    if (!q)
        return;
    cuda_give(c, q->codes, q->codes_bytes);
    cuda_give(c, q->sizes, q->sizes_bytes);
    free(q);
}

static bool in_halves(enum compute_quant kind)
{
    return kind == COMPUTE_Q8_0 || kind == COMPUTE_Q4_0;
}

/* Memory for codes and sizes. */
static int quant_new(struct cuda *c, size_t n, size_t k,
                     enum compute_quant kind, struct cuda_quant **out,
                     struct err *err)
{
    bool halves = in_halves(kind);
    struct cuda_quant *q = (struct cuda_quant *)calloc(1, sizeof(*q));

    if (!q)
        return err_set(err, ERR_NOMEM, "quantise: out of host memory");
    q->kind = kind;
    q->n = n;
    q->k = k;
    q->count = n * k;
    q->blocks = ceil_div(q->count, halves ? QUANT_HALF : QUANT_BLOCK);
    q->codes_bytes = kind == COMPUTE_NF4 || kind == COMPUTE_Q4_0
                         ? ceil_div(q->count, 2)
                         : q->count;
    q->sizes_bytes = q->blocks * (halves ? sizeof(uint16_t) : sizeof(float));
    q->codes = cuda_take(c, &q->codes_bytes);
    q->sizes = cuda_take(c, &q->sizes_bytes);
    q->view.codes = (const uint8_t *)q->codes;
    if (q->codes && q->sizes) {
        *out = q;
        return 0;
    }
    n = q->codes_bytes + q->sizes_bytes;
    cuda_quant_free(c, q);
    return cuda_out_of_memory(c, "quantised weights", n, err);
}

static int quantise(struct cuda *c, struct compute_span w, size_t n, size_t k,
                    enum compute_quant kind, const void *file, struct err *err)
{
    struct compute_buffer *b = w.buf;
    struct cuda_quant *q = NULL;
    int rc = cuda_told(c, err);

    assert(w.at == 0 && b->count == n * k && b->data && !b->frozen);
    if (rc < 0)
        return rc;
    if (in_halves(kind) && (k == 0 || k % QUANT_HALF))
        return err_set(err, ERR_UNSUPPORTED,
                       "rows of %zu weights are no whole blocks of %d", k,
                       QUANT_HALF);
    (void)cuda_check(c, cudaSetDevice(c->ordinal), "quantise");
    rc = quant_new(c, n, k, kind, &q, err);
    if (rc < 0)
        return rc;
    if (q->count > 0)
        rc = in_halves(kind) ? make_blocks(c, q, b, file, err)
                             : make_flat(c, q, b, err);
    if (rc == 0)
        rc = cuda_told(c, err);
    if (rc < 0) {
        cuda_quant_free(c, q);
        return rc;
    }
    cuda_give(c, b->data, b->bytes);
    b->data = NULL;
    b->bytes = 0;
    b->quant = q;
    return 0;
}

int cuda_op_quantise(struct compute *base, struct compute_span w, size_t n,
                     size_t k, enum compute_quant kind, struct err *err)
{
    return quantise(cuda_of(base), w, n, k, kind, NULL, err);
}

int cuda_op_quantise_blocks(struct compute *base, struct compute_span w,
                            size_t n, size_t k, enum compute_quant kind,
                            const void *blocks, struct err *err)
{
    assert(in_halves(kind));
    return quantise(cuda_of(base), w, n, k, kind, blocks, err);
}
