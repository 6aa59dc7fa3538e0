/*
 * cuda_conv.cu - causal depth-wise convolutions and their gradients
 *
 * A thread owns some neighbouring channels of a run of rows and keeps what a
 * row reads in registers, so that memory is read once but for the rows around
 * a run. Memory bounds both kernels: 4,096 rows of 2,304 channels in bf16 are
 * 38 MB forward (8 us on an H200) and 57 MB backward (12 us). Gradients of
 * weights are sums of runs, which a second kernel adds in order.
 */
#include "compute/cuda/cuda_reduce.h"
#include "compute/cuda/cuda_vector.cuh"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 128
#define GRAD_RUN 32 /* rows of a partial sum */
#define FEW_TAPS 4  /* compiled for; others for COMPUTE_MAX_TAPS */

struct conv {
    const int32_t *starts; /* [docs + 1] */
    const int32_t *slots;  /* [docs][2]: slot, begins with nothing behind it */
    float *state;          /* NULL: packed documents */
    const float *w, *bias;
    int docs, rows, channels, taps, run;
    size_t x_stride;
    bool silu;
};

/* The document of a row. */
static __device__ int doc_of(const struct conv &v, int row)
{
    int low = 0, high = v.docs - 1;

    while (low < high) {
        int middle = (low + high + 1) / 2;

        if (v.starts[middle] <= row)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

template <int W, int TAPS>
static __device__ void get_weights(const struct conv &v, int channel,
                                   float (&w)[TAPS][W])
{
    int skip = TAPS - v.taps;

#pragma unroll
    for (int j = 0; j < TAPS; j++)
#pragma unroll
        for (int i = 0; i < W; i++)
            w[j][i] =
                j < skip ? 0 : v.w[(size_t)(channel + i) * v.taps + j - skip];
}

/* Row `row`, or one behind document doc. */
template <int T, int W>
static __device__ void get_row(const struct conv &v, const cuda_vec<T> &x,
                               int channel, int doc, int row, float (&out)[W])
{
    int behind = v.starts[doc] - row;

#pragma unroll
    for (int i = 0; i < W; i++)
        out[i] = 0;
    if (behind <= 0)
        x.get(out, (size_t)row * v.x_stride + channel);
    else if (v.state && !v.slots[2 * doc + 1])
#pragma unroll
        for (int i = 0; i < W; i++)
            out[i] = v.state[((size_t)v.slots[2 * doc] * (v.taps - 1) +
                              (v.taps - 1 - behind)) *
                                 v.channels +
                             channel + i];
}

/* What comes before `row` in its document: all but the window's last. */
template <int T, int W, int TAPS>
static __device__ void get_window(const struct conv &v, const cuda_vec<T> &x,
                                  int channel, int doc, int row,
                                  float (&window)[TAPS][W])
{
#pragma unroll
    for (int j = 0; j < TAPS - 1; j++) {
        if (TAPS - 1 - j < v.taps)
            get_row<T, W>(v, x, channel, doc, row - (TAPS - 1) + j, window[j]);
        else
#pragma unroll
            for (int i = 0; i < W; i++)
                window[j][i] = 0;
    }
}

template <int W, int TAPS>
static __device__ void shift(float (&window)[TAPS][W])
{
#pragma unroll
    for (int j = 0; j + 1 < TAPS; j++)
#pragma unroll
        for (int i = 0; i < W; i++)
            window[j][i] = window[j + 1][i];
}

template <int W, int TAPS>
static __device__ void convolve(const struct conv &v, const float (&w)[TAPS][W],
                                const float (&window)[TAPS][W],
                                const float (&bias)[W], float (&sum)[W])
{
#pragma unroll
    for (int i = 0; i < W; i++) {
        sum[i] = bias[i];
#pragma unroll
        for (int j = 0; j < TAPS; j++)
            if (j >= TAPS - v.taps)
                sum[i] = fmaf(w[j][i], window[j][i], sum[i]);
    }
}

template <int W>
static __device__ void get_bias(const struct conv &v, int channel,
                                float (&bias)[W])
{
#pragma unroll
    for (int i = 0; i < W; i++)
        bias[i] = v.bias ? v.bias[channel + i] : 0;
}

template <int T, int W, int TAPS>
__global__ void __launch_bounds__(THREADS)
    conv_kernel(cuda_vec<T> y, cuda_vec<T> x, struct conv v)
{
    int channel = (int)(blockIdx.y * THREADS + threadIdx.x) * W;
    int row = (int)blockIdx.x * v.run, end = row + v.run, doc;
    float w[TAPS][W], window[TAPS][W], bias[W];

    end = end < v.rows ? end : v.rows;
    if (channel >= v.channels)
        return;
    get_weights<W, TAPS>(v, channel, w);
    get_bias<W>(v, channel, bias);
    doc = doc_of(v, row);
    get_window<T, W, TAPS>(v, x, channel, doc, row, window);
    for (; row < end; row++) {
        float sum[W];

        if (row == v.starts[doc + 1]) {
            doc = doc_of(v, row);
            get_window<T, W, TAPS>(v, x, channel, doc, row, window);
        }
        x.get(window[TAPS - 1], (size_t)row * v.x_stride + channel);
        convolve<W, TAPS>(v, w, window, bias, sum);
#pragma unroll
        for (int i = 0; i < W; i++)
            if (v.silu)
                sum[i] = sum[i] / (1 + expf(-sum[i]));
        y.put((size_t)row * v.channels + channel, sum);
        shift<W, TAPS>(window);
    }
}

/* The newest taps - 1 rows become the slot's, in the order that moves rows of
 * the slot to where none is read any more. */
static __global__ void __launch_bounds__(THREADS)
    tail_kernel(cuda_vec<CUDA_ANY> x, struct conv v)
{
    int channel = (int)(blockIdx.x * THREADS + threadIdx.x);
    int doc = (int)blockIdx.y, back = v.taps - 1;
    int begin = v.starts[doc], rows = v.starts[doc + 1] - begin;
    float *slot = v.state + (size_t)v.slots[2 * doc] * back * v.channels;

    if (channel >= v.channels)
        return;
    for (int j = 0; j < back; j++) {
        float value[1];

        get_row<CUDA_ANY, 1>(v, x, channel, doc, begin + rows + j - back,
                             value);
        slot[(size_t)j * v.channels + channel] = value[0];
    }
}

/* dw and dbias of this run's rows, and dx of them, which the taps - 1 rows
 * behind reach too. */
template <int T, int W, int TAPS> struct conv_grad {
    const struct conv &v;
    cuda_vec<T> dx, dy, x;
    int channel, doc;
    float w[TAPS][W], window[TAPS][W], bias[W], dw[TAPS + 1][W];
    float pending[TAPS][W]; /* dx of rows row - TAPS + 1 .. row */

    __device__ conv_grad(const struct conv &v_, int channel_, int row)
        : v(v_), channel(channel_), doc(doc_of(v_, row))
    {
        get_weights<W, TAPS>(v, channel, w);
        get_bias<W>(v, channel, bias);
#pragma unroll
        for (int j = 0; j <= TAPS; j++)
#pragma unroll
            for (int i = 0; i < W; i++) {
                dw[j][i] = 0;
                if (j < TAPS)
                    pending[j][i] = 0;
            }
    }

    /* The gradient before the activation, and its part of dx. */
    __device__ void take(int row, float (&g)[W])
    {
        if (row == v.starts[doc + 1]) {
            doc = doc_of(v, row);
            get_window<T, W, TAPS>(v, x, channel, doc, row, window);
        }
        x.get(window[TAPS - 1], (size_t)row * v.x_stride + channel);
        dy.get(g, (size_t)row * v.channels + channel);
        if (v.silu) {
            float sum[W];

            convolve<W, TAPS>(v, w, window, bias, sum);
#pragma unroll
            for (int i = 0; i < W; i++) {
                float s = 1 / (1 + expf(-sum[i]));

                g[i] *= s * (1 + sum[i] * (1 - s));
            }
        }
#pragma unroll
        for (int j = 0; j < TAPS; j++)
#pragma unroll
            for (int i = 0; i < W; i++)
                if (row - (TAPS - 1) + j >= v.starts[doc])
                    pending[j][i] = fmaf(w[j][i], g[i], pending[j][i]);
    }

    __device__ void add_weights(const float (&g)[W])
    {
#pragma unroll
        for (int i = 0; i < W; i++) {
#pragma unroll
            for (int j = 0; j < TAPS; j++)
                dw[j][i] = fmaf(g[i], window[j][i], dw[j][i]);
            dw[TAPS][i] += g[i];
        }
    }

    /* Row `row` gets nothing any more. */
    __device__ void finish(int row, int begin, int end)
    {
        if (dx.p && row >= begin && row < end)
            dx.put((size_t)row * v.x_stride + channel, pending[0]);
        shift<W, TAPS>(pending);
#pragma unroll
        for (int i = 0; i < W; i++)
            pending[TAPS - 1][i] = 0;
        shift<W, TAPS>(window);
    }
};

/* parts: [runs][taps + 1][channels], dbias last. */
template <int T, int W, int TAPS>
__global__ void __launch_bounds__(THREADS)
    conv_grad_kernel(cuda_vec<T> dx, cuda_vec<T> dy, cuda_vec<T> x,
                     float *parts, struct conv v)
{
    int channel = (int)(blockIdx.y * THREADS + threadIdx.x) * W;
    int begin = (int)blockIdx.x * GRAD_RUN, end = begin + GRAD_RUN;

    end = end < v.rows ? end : v.rows;
    if (channel >= v.channels)
        return;

    conv_grad<T, W, TAPS> k(v, channel, begin);

    k.dx = dx;
    k.dy = dy;
    k.x = x;
    get_window<T, W, TAPS>(v, x, channel, k.doc, begin, k.window);
    for (int row = begin; row < end + TAPS - 1; row++) {
        float g[W];

        if (row < v.rows) {
            k.take(row, g);
            if (row < end)
                k.add_weights(g);
        }
        k.finish(row - (TAPS - 1), begin, end);
    }
#pragma unroll
    for (int j = 0; j <= TAPS; j++)
#pragma unroll
        for (int i = 0; i < W; i++)
            if (j >= TAPS - v.taps)
                parts[((size_t)blockIdx.x * (v.taps + 1) + j -
                       (TAPS - v.taps)) *
                          v.channels +
                      channel + i] = k.dw[j][i];
}

static __global__ void __launch_bounds__(THREADS)
    sum_kernel(float *dw, float *dbias, const float *parts, int runs,
               struct conv v)
{
    int channel = (int)(blockIdx.x * THREADS + threadIdx.x);
    int j = (int)blockIdx.y;
    float sum = 0;

    if (channel >= v.channels)
        return;
#pragma unroll 8
    for (int r = 0; r < runs; r++)
        sum += parts[((size_t)r * (v.taps + 1) + j) * v.channels + channel];
    if (j == v.taps) {
        if (dbias)
            dbias[channel] += sum;
    } else if (dw) {
        dw[(size_t)channel * v.taps + j] += sum;
    }
}

/* Where documents begin, then their slots; how: whether they have slots. */
static size_t make_table(const struct compute_sequences *s,
                         const int32_t how[CUDA_HOW], int32_t *to)
{
    size_t n = 3 * s->docs + 1;

    if (!to)
        return n;
    memcpy(to, s->starts, (s->docs + 1) * sizeof(*to));
    for (size_t d = 0; d < s->docs; d++) {
        to[s->docs + 1 + 2 * d] = how[0] ? s->slots[d] : 0;
        to[s->docs + 2 + 2 * d] = how[0] ? s->past[d] == 0 : 1;
    }
    return n;
}

static bool take_table(struct cuda *c, const struct compute_sequences *s,
                       struct conv *v)
{
    const int32_t how[CUDA_HOW] = { s->state.buf != NULL };

    v->starts = cuda_table_of(c, make_table, how, s);
    v->slots = v->starts + s->docs + 1;
    return v->starts != NULL;
}

static bool prepare(struct cuda *c, const struct compute_conv *x,
                    struct conv *v)
{
    assert(x->taps >= 1 && x->taps <= COMPUTE_MAX_TAPS);
    assert(x->kind == COMPUTE_SILU || x->kind == COMPUTE_IDENTITY);
    v->state = cuda_f32(x->s.state);
    v->w = cuda_f32(x->w);
    v->bias = cuda_f32(x->bias);
    v->docs = (int)x->s.docs;
    v->channels = (int)x->channels;
    v->taps = (int)x->taps;
    v->x_stride = x->x_stride;
    v->silu = x->kind == COMPUTE_SILU;
    v->run = 16;
    if (x->s.docs == 0)
        return false;
    v->rows = x->s.starts[x->s.docs];
    while (v->run > 1 && v->rows / v->run < 256)
        v->run /= 2; /* few rows: more threads rather than fewer reads */
    return v->rows > 0 && v->channels > 0 && take_table(c, &x->s, v);
}

static bool is_wide(const struct conv &v, struct cuda_operand o, size_t stride)
{
    return v.channels % 4 == 0 && cuda_wide(o, stride, 4);
}

template <int T, int W, int TAPS>
static void conv_launch(struct cuda *c, const struct conv &v,
                        struct cuda_operand y, struct cuda_operand x)
{
    dim3 grid((unsigned)cuda_ceil_div(v.rows, v.run),
              (unsigned)cuda_ceil_div(v.channels, THREADS * W));

    conv_kernel<T, W, TAPS><<<grid, THREADS, 0, c->stream>>>(
        cuda_vec_of<T>(y), cuda_vec_of<T>(x), v);
    cuda_launched(c, "conv");
}

template <int T>
static void conv_run(struct cuda *c, const struct conv &v,
                     struct cuda_operand y, struct cuda_operand x)
{
    if (v.taps > FEW_TAPS)
        conv_launch<T, 1, COMPUTE_MAX_TAPS>(c, v, y, x);
    else if (is_wide(v, x, v.x_stride) && is_wide(v, y, v.channels))
        conv_launch<T, 4, FEW_TAPS>(c, v, y, x);
    else
        conv_launch<T, 1, FEW_TAPS>(c, v, y, x);
}

void cuda_op_conv(struct compute *base, const struct compute_conv *o)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand y = cuda_at(o->y), x = cuda_at(o->x);
    struct conv v;

    if (!prepare(c, o, &v))
        return;
    if (y.type == CUDA_F32 && x.type == CUDA_F32)
        conv_run<CUDA_F32>(c, v, y, x);
    else if (y.type == CUDA_BF16 && x.type == CUDA_BF16)
        conv_run<CUDA_BF16>(c, v, y, x);
    else
        conv_run<CUDA_ANY>(c, v, y, x);
    if (v.state && v.taps > 1) {
        dim3 grid((unsigned)cuda_ceil_div(v.channels, THREADS),
                  (unsigned)v.docs);

        tail_kernel<<<grid, THREADS, 0, c->stream>>>(cuda_vec_of<CUDA_ANY>(x),
                                                     v);
        cuda_launched(c, "conv");
    }
}

template <int T, int W, int TAPS>
static void grad_launch(struct cuda *c, const struct conv &v,
                        const struct cuda_operand o[3], float *parts)
{
    dim3 grid((unsigned)cuda_ceil_div(v.rows, GRAD_RUN),
              (unsigned)cuda_ceil_div(v.channels, THREADS * W));

    conv_grad_kernel<T, W, TAPS><<<grid, THREADS, 0, c->stream>>>(
        cuda_vec_of<T>(o[0]), cuda_vec_of<T>(o[1]), cuda_vec_of<T>(o[2]), parts,
        v);
    cuda_launched(c, "conv_grad");
}

/* o: dx, dy, x. */
template <int T>
static void grad_run(struct cuda *c, const struct conv &v,
                     const struct cuda_operand o[3], float *parts)
{
    if (v.taps > FEW_TAPS)
        grad_launch<T, 1, COMPUTE_MAX_TAPS>(c, v, o, parts);
    else if (is_wide(v, o[0], v.x_stride) && is_wide(v, o[1], v.channels) &&
             is_wide(v, o[2], v.x_stride))
        grad_launch<T, 4, FEW_TAPS>(c, v, o, parts);
    else
        grad_launch<T, 1, FEW_TAPS>(c, v, o, parts);
}

void cuda_op_conv_grad(struct compute *base, const struct compute_conv_grad *g)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand o[3] = { cuda_at(g->dx), cuda_at(g->dy),
                                 cuda_at(g->fwd.x) };
    size_t runs, bytes;
    struct conv v;
    float *parts;

    assert(!g->fwd.s.state.buf);
    if (!prepare(c, &g->fwd, &v))
        return;
    runs = cuda_ceil_div(v.rows, GRAD_RUN);
    bytes = runs * (v.taps + 1) * v.channels * sizeof(*parts);
    if (!cuda_scratch_begin(c, cuda_scratch_room(bytes)))
        return;
    parts = (float *)cuda_scratch(c, bytes);
    if (!o[0].data)
        o[0].type = o[1].type;
    if (o[0].type == CUDA_F32 && o[1].type == CUDA_F32 && o[2].type == CUDA_F32)
        grad_run<CUDA_F32>(c, v, o, parts);
    else if (o[0].type == CUDA_BF16 && o[1].type == CUDA_BF16 &&
             o[2].type == CUDA_BF16)
        grad_run<CUDA_BF16>(c, v, o, parts);
    else
        grad_run<CUDA_ANY>(c, v, o, parts);
    if (g->dw.buf || g->dbias.buf) {
        dim3 grid((unsigned)cuda_ceil_div(v.channels, THREADS),
                  (unsigned)v.taps + 1);

        sum_kernel<<<grid, THREADS, 0, c->stream>>>(
            cuda_f32(g->dw), cuda_f32(g->dbias), parts, (int)runs, v);
        cuda_launched(c, "conv_grad");
    }
}
