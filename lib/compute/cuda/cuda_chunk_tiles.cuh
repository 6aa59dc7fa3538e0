/*
 * cuda_chunk_tiles.cuh - private to the CUDA plugin: products of a block whose
 * operands are functions
 *
 * A tile of 64 rows and 64 or 32 columns is the product of a(row, k) and
 * b(k, column), which a block computes as it loads them: weights, masks and
 * missing rows cost nothing more there. Slabs of 16 k lie in shared memory,
 * each row k with its groups of four in an order of its own, so that neither
 * filling nor reading has two lanes at a bank. The next slab is on its way
 * while one is multiplied, in f32 or, with M, by tensor cores in tf32.
 */
#ifndef CUDA_CHUNK_TILES_CUH
#define CUDA_CHUNK_TILES_CUH

#include "compute/cuda/cuda_chunks.cuh"
#include "compute/cuda/cuda_ptx.cuh"

#define TILE CUDA_CHUNK
#define SLAB 16
#define TILE_THREADS CUDA_CHUNK_THREADS
#define TILE_FLOATS (2 * TILE * SLAB)          /* of shared memory */
#define SLAB_EACH(N) ((N)*SLAB / TILE_THREADS) /* elements of a thread */

/* Where column i of row k of a slab with N columns lies. */
template <int N> static __device__ __forceinline__ int slab_at(int k, int i)
{
    int turn = (k & 3) << 1 | (k >> 2 & 1);

    return k * N + (((i >> 2) ^ turn) << 2 | (i & 3));
}

/* Element number n of a thread: DEEP where neighbours in memory are of one
 * column, 8 k of four columns in a warp, else 32 columns of one k. */
template <int N, bool DEEP>
static __device__ __forceinline__ void slab_place(int n, int *k, int *i)
{
    int piece = n * (TILE_THREADS / 32) + (int)threadIdx.x / 32;
    int lane = (int)threadIdx.x % 32;

    if (DEEP) {
        *i = piece % (N / 4) * 4 + lane % 4;
        *k = piece / (N / 4) * 8 + lane / 4;
    } else {
        *i = piece % (N / 32) * 32 + lane;
        *k = piece / (N / 32);
    }
}

template <int N, bool DEEP, class F>
static __device__ __forceinline__ void
slab_get(float (&r)[SLAB_EACH(N)], int first, int depth, const F &f)
{
#pragma unroll
    for (int n = 0; n < SLAB_EACH(N); n++) {
        int k, i;

        slab_place<N, DEEP>(n, &k, &i);
        r[n] = first + k < depth ? f(i, first + k) : 0;
    }
}

template <int N, bool M, bool DEEP>
static __device__ __forceinline__ void slab_put(float *memory,
                                                const float (&r)[SLAB_EACH(N)])
{
#pragma unroll
    for (int n = 0; n < SLAB_EACH(N); n++) {
        int k, i;

        slab_place<N, DEEP>(n, &k, &i);
        memory[slab_at<N>(k, i)] =
            M ? __uint_as_float(round_tf32(__float_as_uint(r[n]))) : r[n];
    }
}

/* Row and column of a thread's accumulator e, of N / 4. */
template <int N, bool M> static __device__ __forceinline__ int tile_row(int e)
{
    int thread = (int)threadIdx.x;

    return M ? thread / 32 % 4 * 16 + thread % 32 / 4 + (e & 2) * 4
             : thread / 16 * 4 + e / (N / 16);
}
template <int N, bool M> static __device__ __forceinline__ int tile_col(int e)
{
    int thread = (int)threadIdx.x;

    return M ? thread / 128 * (N / 2) + e / 4 * 8 + thread % 4 * 2 + (e & 1)
             : thread % 16 * (N / 16) + e % (N / 16);
}

template <int N>
static __device__ __forceinline__ void
slab_multiply(float (&acc)[N / 4], const float *a, const float *b)
{
    int y = (int)threadIdx.x / 16 * 4, x = (int)threadIdx.x % 16 * (N / 16);

#pragma unroll
    for (int k = 0; k < SLAB; k++) {
        float4 u = *(const float4 *)(a + slab_at<TILE>(k, y));
        float left[4] = { u.x, u.y, u.z, u.w }, right[N / 16];

        if constexpr (N == 64)
            *(float4 *)right = *(const float4 *)(b + slab_at<N>(k, x));
        else
            *(float2 *)right = *(const float2 *)(b + slab_at<N>(k, x));
#pragma unroll
        for (int e = 0; e < N / 4; e++)
            acc[e] = fmaf(left[e / (N / 16)], right[e % (N / 16)], acc[e]);
    }
}

template <int N>
static __device__ __forceinline__ void
slab_multiply_tensor(float (&acc)[N / 4], const float *a, const float *b)
{
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    int row = warp % 4 * 16 + lane / 4, col = warp / 4 * (N / 2) + lane / 4;

#pragma unroll
    for (int first = 0; first < SLAB; first += 8) {
        int k = first + lane % 4;
        uint32_t left[4] = {
            __float_as_uint(a[slab_at<TILE>(k, row)]),
            __float_as_uint(a[slab_at<TILE>(k, row + 8)]),
            __float_as_uint(a[slab_at<TILE>(k + 4, row)]),
            __float_as_uint(a[slab_at<TILE>(k + 4, row + 8)]),
        };

#pragma unroll
        for (int t = 0; t < N / 16; t++) {
            float sum[4] = { acc[4 * t], acc[4 * t + 1], acc[4 * t + 2],
                             acc[4 * t + 3] };

            mma<float>(sum, left,
                       __float_as_uint(b[slab_at<N>(k, col + 8 * t)]),
                       __float_as_uint(b[slab_at<N>(k + 4, col + 8 * t)]));
#pragma unroll
            for (int q = 0; q < 4; q++)
                acc[4 * t + q] = sum[q];
        }
    }
}

/* acc += a b, with a(row, k) and b(column, k) for k < depth. All threads of
 * the block come here; when the call returns each has loaded what it will, so
 * what a and b read may be written. DEEP_A, DEEP_B: see slab_place. */
template <int N, bool M, bool DEEP_A, bool DEEP_B, class A, class B>
static __device__ __forceinline__ void tile_product(float (&acc)[N / 4],
                                                    float *memory, int depth,
                                                    const A &a, const B &b)
{
    float *as = memory, *bs = memory + TILE * SLAB;
    float ra[SLAB_EACH(TILE)], rb[SLAB_EACH(N)];

    slab_get<TILE, DEEP_A>(ra, 0, depth, a);
    slab_get<N, DEEP_B>(rb, 0, depth, b);
    for (int k = 0; k < depth; k += SLAB) {
        __syncthreads(); /* the last slab has been read */
        slab_put<TILE, M, DEEP_A>(as, ra);
        slab_put<N, M, DEEP_B>(bs, rb);
        __syncthreads();
        if (k + SLAB < depth) {
            slab_get<TILE, DEEP_A>(ra, k + SLAB, depth, a);
            slab_get<N, DEEP_B>(rb, k + SLAB, depth, b);
        }
        if constexpr (M)
            slab_multiply_tensor<N>(acc, as, bs);
        else
            slab_multiply<N>(acc, as, bs);
    }
}

template <int N>
static __device__ __forceinline__ void tile_clear(float (&acc)[N / 4])
{
#pragma unroll
    for (int e = 0; e < N / 4; e++)
        acc[e] = 0;
}

/* Sums of rows of x, a tile of 64 columns, into out[64][2], whose pairs are to
 * be added; the block has to meet before it reads them. */
template <bool M>
static __device__ __forceinline__ void tile_row_sums(const float (&x)[16],
                                                     float *out)
{
    int thread = (int)threadIdx.x;

#pragma unroll
    for (int r = 0; r < (M ? 2 : 4); r++) {
        float sum = 0;

#pragma unroll
        for (int e = 0; e < 16; e++)
            if ((M ? (e & 2) / 2 : e / 4) == r)
                sum += x[e];
        for (int d = M ? 2 : 8; d > 0; d /= 2)
            sum += __shfl_xor_sync(0xffffffffu, sum, d);
        if (M && thread % 4 == 0)
            out[2 * tile_row<64, M>(2 * r) + thread / 128] = sum;
        if (!M && thread % 16 == 0) {
            out[2 * tile_row<64, M>(4 * r)] = sum;
            out[2 * tile_row<64, M>(4 * r) + 1] = 0;
        }
    }
}

/* What a block knows of its chunk and head. */
struct chunk_place {
    int chunk, head, group, first, rows;
    size_t scalars; /* of [chunks][heads][row] */
    size_t state;   /* of [chunks][heads][key][value] */
    size_t pairs;   /* of [chunks][groups][64][64] */
};

static __device__ __forceinline__ struct chunk_place
place_of(const struct cuda_mix &m, int chunk, int head)
{
    struct chunk_place p;

    p.chunk = chunk;
    p.head = head;
    p.group = head / m.each;
    p.first = m.plan.chunk[3 * chunk];
    p.rows = m.plan.chunk[3 * chunk + 1];
    p.scalars = ((size_t)chunk * m.heads + head) * CUDA_CHUNK;
    p.state = ((size_t)chunk * m.heads + head) * m.key * m.value;
    p.pairs = ((size_t)chunk * m.groups + p.group) * CUDA_CHUNK_PAIRS;
    return p;
}

/* In shared memory: l of the chunk's rows, the factors of the recurrence and
 * the weights of q and k in products with states. */
struct chunk_rows {
    float hi[TILE], lo[TILE], factor[TILE];
    float q[TILE];                /* e^l_i / |q_i| */
    float k[TILE];                /* e^(l_L - l_j) / |k_j| */
    float k_in[TILE];             /* e^l_i / |k_i| */
    float begin[TILE], end[TILE]; /* e^l_i, e^(l_L - l_j) */
    float all;                    /* e^l_L */
};

/* By the first 64 threads; the block has to meet afterwards. */
static __device__ __forceinline__ void rows_get(struct chunk_rows *s,
                                                const struct cuda_mix &m,
                                                const struct chunk_place &p)
{
    int i = (int)threadIdx.x;
    float hi, lo, q = 1, k = 1;

    if (i >= TILE)
        return;
    hi = m.hi[p.scalars + i];
    lo = m.lo[p.scalars + i];
    if (m.q_scale && i < p.rows) {
        q = m.q_scale[(size_t)(p.first + i) * m.groups + p.group];
        k = m.k_scale[(size_t)(p.first + i) * m.groups + p.group];
    }
    s->hi[i] = hi;
    s->lo[i] = lo;
    s->factor[i] = m.factor[p.scalars + i];
    s->begin[i] = expf(hi);
    s->end[i] = expf((m.hi[p.scalars + TILE - 1] - hi) +
                     (m.lo[p.scalars + TILE - 1] - lo));
    s->q[i] = s->begin[i] * q;
    s->k[i] = s->end[i] * k;
    s->k_in[i] = s->begin[i] * k;
    if (i == TILE - 1)
        s->all = expf(hi);
}

/* e^(l_i - l_j), of rows j that i sees. */
static __device__ __forceinline__ float rows_decay(const struct chunk_rows &s,
                                                   int i, int j)
{
    return j <= i ? expf((s.hi[i] - s.hi[j]) + (s.lo[i] - s.lo[j])) : 0;
}

/* An element of an operand of `type` T, or 0 where there is none. */
template <int T>
static __device__ __forceinline__ float element(const cuda_vec<T> &x, size_t at,
                                                bool valid)
{
    float v[1] = { 0 };

    if (valid)
        x.get(v, at);
    return v[0];
}

template <int T>
static __device__ __forceinline__ cuda_vec<T>
vec_of(const struct cuda_operand &o)
{
    cuda_vec<T> v = { (char *)o.data, (int)o.type };

    return v;
}

/* u of row j of the chunk: the scan's is t x. */
template <int T, bool D>
static __device__ __forceinline__ float
chunk_u(const struct cuda_mix &m, const struct chunk_place &p,
        const struct chunk_rows &s, int j, int v, bool valid)
{
    size_t row = (size_t)(p.first + j), at = (size_t)p.head * m.value + v;

    if (D)
        return valid ? m.u[row * m.heads * m.value + at] : 0;
    return element<T>(vec_of<T>(m.x), row * m.stride + at, valid) * s.factor[j];
}

#endif
