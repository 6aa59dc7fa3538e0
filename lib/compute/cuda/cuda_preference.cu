/*
 * cuda_preference.cu - what pairs of answers lose, and what each row counts
 *
 * A block has a pair; its sums are in f64 like all losses. One thread then adds
 * the pairs up in their order.
 */
#include "compute/cuda/cuda_private.cuh"

#define PAIR_THREADS 128

struct pairs {
    const float *own, *reference;
    const int32_t *starts;
    float *factors; /* NULL: absent */
    double *each;   /* of a pair: its loss, whether it is right */
    double beta, scale;
};

/* Sum of the block's values, in all threads: warps first, then in order. */
static __device__ __forceinline__ double pair_sum(double v)
{
    __shared__ double warps[PAIR_THREADS / 32];

#pragma unroll
    for (int d = 16; d > 0; d /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, d);
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = v;
    __syncthreads();
    v = 0;
    for (int w = 0; w < PAIR_THREADS / 32; w++)
        v += warps[w];
    return v;
}

__global__ void __launch_bounds__(PAIR_THREADS) pair_kernel(struct pairs p)
{
    const int32_t *starts = p.starts + 2 * blockIdx.x;
    int begin = starts[0], middle = starts[1], end = starts[2];
    double gap = 0, x, by;

    for (int r = begin + (int)threadIdx.x; r < end; r += PAIR_THREADS) {
        double one = (double)p.reference[r] - (double)p.own[r];

        gap += r < middle ? one : -one;
    }
    gap = pair_sum(gap);
    x = p.beta * gap;
    by = p.scale * (p.beta / (1 + exp(x)));
    if (threadIdx.x == 0) {
        p.each[2 * blockIdx.x] = x > 0 ? log1p(exp(-x)) : log1p(exp(x)) - x;
        p.each[2 * blockIdx.x + 1] = gap > 0;
    }
    for (int r = begin + (int)threadIdx.x; p.factors && r < end;
         r += PAIR_THREADS)
        p.factors[r] = (float)(r < middle ? by : -by);
}

__global__ void pairs_total_kernel(double *sums, const double *each, int n)
{
    double loss = 0, right = 0;

    for (int i = 0; i < n; i++) {
        loss += each[2 * i];
        right += each[2 * i + 1];
    }
    sums[0] += loss;
    sums[1] += right;
}

void cuda_op_preference(struct compute *base,
                        const struct compute_preference *p)
{
    struct cuda *c = cuda_of(base);
    size_t n = p->docs / 2, bytes = 2 * n * sizeof(double);
    struct pairs x = { cuda_f32(p->own),
                       cuda_f32(p->reference),
                       NULL,
                       cuda_f32(p->factors),
                       NULL,
                       p->beta,
                       p->scale };

    if (n == 0 || !cuda_scratch_begin(c, cuda_scratch_room(bytes)))
        return;
    x.each = (double *)cuda_scratch(c, bytes);
    x.starts = cuda_table(c, p->starts, p->docs + 1);
    if (!x.starts)
        return;
    pair_kernel<<<(unsigned)n, PAIR_THREADS, 0, c->stream>>>(x);
    cuda_launched(c, "preference");
    pairs_total_kernel<<<1, 1, 0, c->stream>>>(cuda_f64(p->sums), x.each,
                                               (int)n);
    cuda_launched(c, "preference");
}
