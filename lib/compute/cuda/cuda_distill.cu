/*
 * cuda_distill.cu - the head of a student against a teacher's, piece by piece
 *
 * A block has a row of logits, and the teacher's beside it. One pass finds
 * maxima, sums and the teacher's mean of what differs, the second writes
 * gradients where the student's logits were. Of a teacher that is a list,
 * listed ids are computed apart and written last.
 */
#include "compute/cuda/cuda_head.cuh"

#define WARPS (HEAD_THREADS / 32)

struct distill {
    const int32_t *labels;
    float *nll, *loss;
    size_t stride;
    unsigned vocab;
    float scale, mix, temperature, softcap, tsoftcap;
    bool grad;
    const int32_t *top_ids; /* of the piece, [rows, top] */
    const float *top_logp;
    float *listed; /* scratch: gradients of the listed ids' logits */
    unsigned top;
};

/* Vector i of a row, capped. What is behind the vocabulary is not masked. */
template <int T, int W>
__device__ __forceinline__ void logits_get(float (&v)[W], float (&slope)[W],
                                           cuda_vec<T> logits, size_t at,
                                           float cap)
{
    logits.get(v, at);
    if (cap > 0) {
        head_cap<T>(v, slope, cap);
    } else {
#pragma unroll
        for (int j = 0; j < W; j++)
            slope[j] = 1.0f;
    }
}

/* Of a student's row: maximum, sums at temperature 1 and at T. Of the
 * teacher's: maximum, sum at T, and the same sum of exp times how much larger
 * its logit is. */
struct both {
    float top, one, warm, ttop, twarm, more;
};

template <int T>
__device__ __forceinline__ void both_rise(struct both *a, float top, float ttop,
                                          float rate)
{
    float f = head_exp<T>((a->ttop - ttop) * rate);

    a->one *= head_exp<T>(a->top - top);
    a->warm *= head_exp<T>((a->top - top) * rate);
    a->twarm *= f;
    a->more *= f;
    a->top = top;
    a->ttop = ttop;
}

/* rate: 1 / T. valid: how many of them are in the vocabulary, at least one. */
template <int T, int W>
__device__ __forceinline__ void both_vector(struct both *a, const float (&v)[W],
                                            const float (&u)[W], float rate,
                                            int valid)
{
    float top = a->top, ttop = a->ttop;

#pragma unroll
    for (int j = 0; j < W; j++) {
        top = j < valid ? fmaxf(top, v[j]) : top;
        ttop = j < valid ? fmaxf(ttop, u[j]) : ttop;
    }
    both_rise<T>(a, top, ttop, rate);
#pragma unroll
    for (int j = 0; j < W; j++) {
        float e = head_exp<T>((u[j] - ttop) * rate);

        if (j < valid) {
            a->one += head_exp<T>(v[j] - top);
            a->warm += head_exp<T>((v[j] - top) * rate);
            a->twarm += e;
            a->more = fmaf(e, u[j] - v[j], a->more);
        }
    }
}

template <int T>
__device__ __forceinline__ void both_add(struct both *a, struct both b,
                                         float rate)
{
    float top = fmaxf(a->top, b.top), ttop = fmaxf(a->ttop, b.ttop);

    if (top == -INFINITY)
        return;
    both_rise<T>(a, top, ttop, rate);
    both_rise<T>(&b, top, ttop, rate);
    a->one += b.one;
    a->warm += b.warm;
    a->twarm += b.twarm;
    a->more += b.more;
}

/* The block's, the same in every thread. Also a barrier. */
template <int T>
__device__ __forceinline__ void both_block(struct both *a, float rate)
{
    __shared__ struct both warps[WARPS];

#pragma unroll
    for (int d = 16; d > 0; d /= 2) {
        struct both b;

        b.top = __shfl_xor_sync(0xffffffffu, a->top, d);
        b.one = __shfl_xor_sync(0xffffffffu, a->one, d);
        b.warm = __shfl_xor_sync(0xffffffffu, a->warm, d);
        b.ttop = __shfl_xor_sync(0xffffffffu, a->ttop, d);
        b.twarm = __shfl_xor_sync(0xffffffffu, a->twarm, d);
        b.more = __shfl_xor_sync(0xffffffffu, a->more, d);
        both_add<T>(a, b, rate);
    }
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = *a;
    __syncthreads();
    *a = warps[0];
    for (int w = 1; w < WARPS; w++)
        both_add<T>(a, warps[w], rate);
}

template <int T, int W>
__global__ void __launch_bounds__(HEAD_THREADS)
    logits_kernel(cuda_vec<T> logits, cuda_vec<T> teacher, struct distill p)
{
    size_t row = (size_t)blockIdx.x * p.stride;
    unsigned label = (unsigned)p.labels[blockIdx.x];
    float rate = 1.0f / p.temperature, at[1] = { 0 }, unused[1];
    float hard = (1.0f - p.mix) * p.scale, soft = p.mix * p.scale;
    struct both a = { -INFINITY, 0, 0, -INFINITY, 0, 0 };

    if (threadIdx.x == 0)
        logits_get(at, unused, logits, row + label, p.softcap);
    for (unsigned i = threadIdx.x * W; i < p.vocab; i += HEAD_THREADS * W) {
        float v[W], u[W], slope[W];

        logits_get(v, slope, logits, row + i, p.softcap);
        logits_get(u, slope, teacher, row + i, p.tsoftcap);
        both_vector<T>(&a, v, u, rate, (int)(p.vocab - i));
    }
    both_block<T>(&a, rate);
    if (threadIdx.x == 0) {
        float nll = logf(a.one) + a.top - at[0];
        float kl = (a.more / a.twarm + a.top - a.ttop) * rate + logf(a.warm) -
                   logf(a.twarm);

        p.nll[blockIdx.x] = nll;
        p.loss[blockIdx.x] =
            p.mix * p.temperature * p.temperature * kl + (1.0f - p.mix) * nll;
    }
    if (!p.grad)
        return;
    soft *= p.temperature;
    for (unsigned i = threadIdx.x * W; i < p.stride; i += HEAD_THREADS * W) {
        float v[W], u[W], slope[W], tslope[W];

        logits_get(v, slope, logits, row + i, p.softcap);
        logits_get(u, tslope, teacher, row + i, p.tsoftcap);
#pragma unroll
        for (int j = 0; j < W; j++) {
            float q1 = head_exp<T>(v[j] - a.top) / a.one;
            float q = head_exp<T>((v[j] - a.top) * rate) / a.warm;
            float t = head_exp<T>((u[j] - a.ttop) * rate) / a.twarm;

            q1 -= i + j == label ? 1.0f : 0.0f;
            v[j] = i + j < p.vocab ? (hard * q1 + soft * (q - t)) * slope[j]
                                   : 0.0f;
        }
        logits.put(row + i, v);
    }
}

/* What the listed ids give: sums of p (log p - log q), of p and of q. */
struct listed {
    double kl, p, q;
};

/* The block's, the same in every thread. Also a barrier. */
__device__ __forceinline__ void listed_block(struct listed *a)
{
    __shared__ struct listed warps[WARPS];

#pragma unroll
    for (int d = 16; d > 0; d /= 2) {
        a->kl += __shfl_xor_sync(0xffffffffu, a->kl, d);
        a->p += __shfl_xor_sync(0xffffffffu, a->p, d);
        a->q += __shfl_xor_sync(0xffffffffu, a->q, d);
    }
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = *a;
    __syncthreads();
    *a = warps[0];
    for (int w = 1; w < WARPS; w++) {
        a->kl += warps[w].kl;
        a->p += warps[w].p;
        a->q += warps[w].q;
    }
}

/* How many ids stand before the first negative one. */
__device__ __forceinline__ unsigned listed_count(const int32_t *ids,
                                                 unsigned top)
{
    __shared__ unsigned warps[WARPS];
    unsigned first = top;

    for (unsigned i = threadIdx.x; i < top; i += HEAD_THREADS)
        first = ids[i] < 0 && i < first ? i : first;
#pragma unroll
    for (int d = 16; d > 0; d /= 2) {
        unsigned other = __shfl_xor_sync(0xffffffffu, first, d);

        first = other < first ? other : first;
    }
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = first;
    __syncthreads();
    for (int w = 0; w < WARPS; w++)
        first = warps[w] < first ? warps[w] : first;
    return first;
}

template <int T, int W>
__global__ void __launch_bounds__(HEAD_THREADS)
    list_kernel(cuda_vec<T> logits, struct distill p)
{
    size_t row = (size_t)blockIdx.x * p.stride;
    const int32_t *ids = p.top_ids + (size_t)blockIdx.x * p.top;
    const float *logp = p.top_logp + (size_t)blockIdx.x * p.top;
    float *kept = p.listed + (size_t)blockIdx.x * p.top;
    unsigned label = (unsigned)p.labels[blockIdx.x];
    unsigned count = listed_count(ids, p.top);
    float mix = count > 0 ? p.mix : 0.0f, at[1] = { 0 }, slope_at[1];
    float hard = (1.0f - mix) * p.scale, soft = mix * p.scale, log_sum;
    float others = 0, factor;
    struct head_softmax a = { -INFINITY, 0 };
    struct listed l = { 0, 0, 0 };
    double rest_p, rest_q;

    if (threadIdx.x == 0)
        logits_get(at, slope_at, logits, row + label, p.softcap);
    for (unsigned i = threadIdx.x * W; i < p.vocab; i += HEAD_THREADS * W) {
        float v[W], slope[W];

        logits_get(v, slope, logits, row + i, p.softcap);
#pragma unroll
        for (int j = 0; j < W; j++)
            v[j] = i + j < p.vocab ? v[j] : -INFINITY;
        head_softmax_vector<T>(&a, v);
    }
    head_softmax_block<T>(&a);
    log_sum = logf(a.sum) + a.top;
    for (unsigned i = threadIdx.x; i < count; i += HEAD_THREADS) {
        unsigned id = (unsigned)ids[i];
        float z[1], slope[1], q, t = expf(logp[i]);

        logits_get(z, slope, logits, row + id, p.softcap);
        q = expf(z[0] - a.top) / a.sum;
        l.kl += (double)t * ((double)logp[i] - (double)(z[0] - log_sum));
        l.p += (double)t;
        l.q += (double)q;
        kept[i] = slope[0] *
                  (hard * (q - (id == label ? 1.0f : 0.0f)) + soft * (q - t));
    }
    listed_block(&l);
    rest_p = l.p < 1 ? 1 - l.p : 0;
    rest_q = 1 - l.q > 1e-12 ? 1 - l.q : 1e-12;
    if (rest_p > 0)
        l.kl += rest_p * log(rest_p / rest_q);
    if (count > 0)
        others = (float)(1 - rest_p / rest_q);
    if (threadIdx.x == 0) {
        float nll = log_sum - at[0];

        p.nll[blockIdx.x] = nll;
        p.loss[blockIdx.x] =
            (count > 0 ? mix * (float)l.kl : 0.0f) + (1.0f - mix) * nll;
    }
    if (!p.grad)
        return;
    factor = (hard + soft * others) / a.sum;
    for (unsigned i = threadIdx.x * W; i < p.stride; i += HEAD_THREADS * W) {
        float v[W], slope[W];

        logits_get(v, slope, logits, row + i, p.softcap);
#pragma unroll
        for (int j = 0; j < W; j++) {
            float e = head_exp<T>(v[j] - a.top) * factor;

            e -= i + j == label ? hard : 0.0f;
            v[j] = i + j < p.vocab ? e * slope[j] : 0.0f;
        }
        logits.put(row + i, v);
    }
    __syncthreads(); /* all have written what the list replaces */
    for (unsigned i = threadIdx.x; i < count; i += HEAD_THREADS) {
        float v[1] = { kept[i] };

        logits.put(row + (unsigned)ids[i], v);
    }
}

template <int T, int W>
static void row_launch(struct cuda *c, const struct cuda_head *h,
                       const struct cuda_head *teacher, const struct distill &p,
                       size_t rows)
{
    struct cuda_operand z = { h->logits, h->in },
                        t = { teacher->logits, h->in };
    cuda_vec<T> logits = cuda_vec_of<T>(z);

    if (p.top_ids)
        list_kernel<T, W>
            <<<(unsigned)rows, HEAD_THREADS, 0, c->stream>>>(logits, p);
    else
        logits_kernel<T, W><<<(unsigned)rows, HEAD_THREADS, 0, c->stream>>>(
            logits, cuda_vec_of<T>(t), p);
    cuda_launched(c, "distill");
}

static void piece(struct cuda *c, const struct compute_distill *d,
                  const struct cuda_head *h, const struct cuda_head *teacher,
                  float *listed, size_t at, size_t rows)
{
    const struct compute_cross_entropy *x = &d->head;
    struct distill p = {};

    p.labels = cuda_i32(x->labels) + at;
    p.nll = cuda_f32(x->nll) + at;
    p.loss = cuda_f32(d->loss) + at;
    p.stride = h->stride;
    p.vocab = (unsigned)x->vocab;
    p.scale = x->scale;
    p.mix = d->mix;
    p.temperature = d->temperature;
    p.softcap = x->softcap;
    p.tsoftcap = d->tsoftcap;
    p.grad = x->dx.buf != NULL;
    cuda_head_forward(c, h, at, rows);
    if (d->tx.buf) {
        cuda_head_forward(c, teacher, at, rows);
    } else {
        p.top_ids = cuda_i32(d->top_ids) + at * d->top;
        p.top_logp = cuda_f32(d->top_logp) + at * d->top;
        p.listed = listed;
        p.top = (unsigned)d->top;
    }
    if (h->in == CUDA_BF16)
        row_launch<CUDA_BF16, 8>(c, h, teacher, p, rows);
    else
        row_launch<CUDA_F32, 4>(c, h, teacher, p, rows);
    if (p.grad)
        cuda_head_grad(c, h, at, rows);
}

void cuda_op_distill(struct compute *base, const struct compute_distill *d)
{
    struct cuda *c = cuda_of(base);
    struct compute_cross_entropy other = {};
    struct cuda_head h, teacher = {};
    size_t rows = d->head.rows, want, products, bytes = 0;
    float *listed;

    if (rows == 0)
        return;
    cuda_head_plan(c, &h, &d->head, d->tx.buf ? 2 : 1);
    want = cuda_head_want(&h);
    products = cuda_head_products(c, &h);
    if (d->tx.buf) {
        size_t more;

        other.x = d->tx;
        other.w = d->tw;
        other.bias = d->tbias;
        other.rows = rows;
        other.vocab = d->head.vocab;
        other.k = d->tk;
        cuda_head_plan(c, &teacher, &other, 2);
        want += cuda_head_want(&teacher);
        more = cuda_head_products(c, &teacher);
        products = more > products ? more : products;
    } else {
        bytes = h.step * d->top * sizeof(*listed);
    }
    want += cuda_scratch_room(bytes) + cuda_scratch_room(products);
    if (!cuda_scratch_begin(c, want))
        return;
    listed = (float *)cuda_scratch(c, bytes);
    cuda_head_take(c, &h);
    if (d->tx.buf)
        cuda_head_take(c, &teacher);
    for (size_t at = 0; at < rows; at += h.step)
        piece(c, d, &h, &teacher, listed, at,
              rows - at < h.step ? rows - at : h.step);
}
