/*
 * cuda_attention.cuh - private: what the attention kernels share
 *
 * Operands come in the type that the kernels compute in, 16-byte aligned and
 * with heads of a multiple of 8 elements; cuda_attention_in and _out bring
 * anything else to that form and back. Tiles in shared memory have rows of
 * HD + 8 elements, so that ldmatrix and 16-byte accesses meet no bank twice.
 * Fragments are those of mma.sync m16n8k16.
 */
#ifndef CUDA_ATTENTION_CUH
#define CUDA_ATTENTION_CUH

#include "compute/cuda/cuda_attention_plan.h"
#include "compute/cuda/cuda_private.cuh"
#include "compute/cuda/cuda_ptx.cuh"

#define ATTENTION_THREADS 128
#define ATTENTION_LOG2E 1.44269504088896341f
/* Where a running maximum begins: below every score, and finite, so that what
 * is relative to it is 0 and not NaN while a query has seen no key. */
#define ATTENTION_LOWEST (-0x1p100f)

/* Keys of a tile's head h begin at base * base_stride + h * head_stride. */
struct attention_args {
    const struct attention_tile *tiles;
    const void *q, *k, *v;
    void *o;
    float *lse; /* [heads, rows], may be NULL */
    size_t rows, base_stride, head_stride, key_stride;
    int tile_count, heads, kv_heads, dim; /* dim: of the operands, % 8 == 0 */
    int window, step, ring;               /* as in cuda_attention_plan.h */
    /* A score is q k unit, or with a softcap tanh(q k inner) unit; inner 0:
     * none. scale is the score's own slope. */
    float scale, inner, unit;
    /* gradient */
    const void *d_o;
    const float *delta; /* [heads, rows] */
    void *dq, *dk, *dv; /* partial: f32 [parts][rows, kv_heads * dim] */
    int parts;          /* of the query heads of a key head */
    bool partial;
};

static inline void attention_scores_of(struct attention_args *a, float scale,
                                       float softcap)
{
    a->scale = a->unit = scale;
    if (softcap > 0) {
        a->inner = scale / softcap;
        a->unit = softcap;
    }
}

static inline int attention_dim(size_t dim)
{
    return (int)((dim + 7) / 8 * 8);
}

/* ---- staging (cuda_attention.cu) ---- */
struct attention_stage {
    struct cuda_operand from;
    void *data; /* in `type`, heads of attention_dim(dim) */
    size_t rows, heads, dim;
    enum cuda_type type;
    bool staged;
};
struct attention_stage attention_stage_of(struct compute_span s,
                                          enum cuda_type type, size_t rows,
                                          size_t heads, size_t dim);
/* Scratch that it will take. */
size_t attention_stage_room(const struct attention_stage *s);
/* Take the scratch; in: fill it from the operand. False: out of memory. */
bool attention_stage_begin(struct cuda *c, struct attention_stage *s, bool in);
void attention_stage_end(struct cuda *c, const struct attention_stage *s);

/* The list on the device; NULL with *count 0 if it is empty, else an error
 * was kept. */
const struct attention_tile *
attention_upload(struct cuda *c, const struct attention_lists *l, int *count);
/* Rows of the query tile that attention_forward uses. */
int attention_forward_tile(const struct cuda *c, enum cuda_type type, int dim);
/* o (and lse) of all tiles; operands in `type`. */
void attention_forward(struct cuda *c, enum cuda_type type,
                       const struct attention_args *a);
/* The same on Hopper (cuda_attention_wgmma.cu), and rows of its tile. */
int attention_wgmma_tile(int dim);
void attention_wgmma(struct cuda *c, const struct attention_args *a);
/* And the gradient (cuda_attention_wgmma_grad.cu): dk and dv of tiles of keys,
 * dq of tiles of queries. */
#define ATTENTION_WGMMA_KEYS 128
int attention_wgmma_queries(int dim);
void attention_wgmma_grad(struct cuda *c, const struct attention_args *keys,
                          const struct attention_args *queries);
/* cudaFuncSetAttribute for more than 48 KB, then the launch is allowed. */
bool attention_smem(struct cuda *c, const void *kernel, size_t bytes);
/* Two stages are worth their memory if two blocks still share a processor. */
static inline bool attention_two_stages(const struct cuda *c, size_t bytes)
{
    return 2 * (bytes + 1024) <= c->smem_optin + 1024;
}

#ifdef __CUDACC__

/* low in the low half. */
static __device__ __forceinline__ uint32_t pack_bf16(float low, float high)
{
    __nv_bfloat162 v = __floats2bfloat162_rn(low, high);

    return *reinterpret_cast<uint32_t *>(&v);
}

/* Where this lane points ldmatrix: 16 x 16 elements at the tile's corner. As A
 * and as a crossed B (stored [k][n]): rows by the low bits of the lane. As B
 * (stored [n][k]): the second 8 x 8 is the second half of k. */
template <int HD> static __device__ __forceinline__ uint32_t lane_rows(int lane)
{
    return (uint32_t)((lane & 15) * (HD + 8) + (lane >> 4) * 8) * 2;
}
template <int HD>
static __device__ __forceinline__ uint32_t lane_columns(int lane)
{
    return (uint32_t)(((lane & 7) + (lane >> 4) * 8) * (HD + 8) +
                      (lane >> 3 & 1) * 8) *
           2;
}

/* ROWS rows of `chunks` 16-byte pieces, `valid` of them from memory, the rest
 * of the HD columns and rows zero. */
template <int HD, int ROWS>
static __device__ __forceinline__ void
load_tile(uint32_t to, const __nv_bfloat16 *from, size_t stride, int valid,
          int chunks)
{
    for (int i = (int)threadIdx.x; i < ROWS * (HD / 8);
         i += ATTENTION_THREADS) {
        int r = i / (HD / 8), c = i % (HD / 8);
        bool ok = r < valid && c < chunks;

        copy_async(to + (uint32_t)(r * (HD + 8) + c * 8) * 2,
                   ok ? from + (size_t)r * stride + c * 8 : from, ok);
    }
}

/* acc += A B': A has MT * 16 rows in shared memory, B is [NT * 8][HD]. */
template <int HD, int MT, int NT>
static __device__ __forceinline__ void scores(float acc[MT][NT][4], uint32_t a,
                                              uint32_t b)
{
#pragma unroll
    for (int k = 0; k < HD / 16; k++) {
        uint32_t f[MT][4];

#pragma unroll
        for (int m = 0; m < MT; m++)
            load_matrices(f[m], a + (uint32_t)(m * 16 * (HD + 8) + k * 16) * 2);
#pragma unroll
        for (int n = 0; n < NT / 2; n++) {
            uint32_t g[4];

            load_matrices(g, b + (uint32_t)(n * 16 * (HD + 8) + k * 16) * 2);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                mma<__nv_bfloat16>(acc[m][2 * n], f[m], g[0], g[1]);
                mma<__nv_bfloat16>(acc[m][2 * n + 1], f[m], g[2], g[3]);
            }
        }
    }
}

/* acc += P B, where P [MT * 16][KT * 8] is accumulators, rounded here, and B
 * is [KT * 8][NT * 8 columns of HD]. */
template <int HD, int MT, int NT, int KT>
static __device__ __forceinline__ void weighted(float acc[MT][NT][4],
                                                float p[MT][KT][4], uint32_t b)
{
#pragma unroll
    for (int k = 0; k < KT / 2; k++) {
        uint32_t f[MT][4];

#pragma unroll
        for (int m = 0; m < MT; m++) {
            f[m][0] = pack_bf16(p[m][2 * k][0], p[m][2 * k][1]);
            f[m][1] = pack_bf16(p[m][2 * k][2], p[m][2 * k][3]);
            f[m][2] = pack_bf16(p[m][2 * k + 1][0], p[m][2 * k + 1][1]);
            f[m][3] = pack_bf16(p[m][2 * k + 1][2], p[m][2 * k + 1][3]);
        }
#pragma unroll
        for (int n = 0; n < NT / 2; n++) {
            uint32_t g[4];

            load_crossed(g, b + (uint32_t)(k * 16 * (HD + 8) + n * 16) * 2);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                mma<__nv_bfloat16>(acc[m][2 * n], f[m], g[0], g[1]);
                mma<__nv_bfloat16>(acc[m][2 * n + 1], f[m], g[2], g[3]);
            }
        }
    }
}

/* tanh, off by some 1e-7 at most. */
static __device__ __forceinline__ float attention_tanh(float x)
{
    return 1 - __fdividef(2, power2(x * (2 * ATTENTION_LOG2E)) + 1);
}

/* Where a score is unit t = unit tanh(x): what stands for dp, so that dp less
 * delta has the slope 1 - t^2 of it. */
static __device__ __forceinline__ float capped_slope(float dp, float delta,
                                                     float t)
{
    return fmaf(delta - dp, t * t, dp);
}

template <int MT, int NT>
static __device__ __forceinline__ void cap(float s[MT][NT][4], float inner)
{
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                s[m][n][e] = attention_tanh(s[m][n][e] * inner);
}

/* Columns less rows of a fragment beyond `limit`, or before it, become x; the
 * limit counts from this lane's first row and column. */
template <int MT, int NT>
static __device__ __forceinline__ void hide_beyond(float s[MT][NT][4],
                                                   int limit, float x)
{
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                if (n * 8 + (e & 1) - m * 16 - (e >> 1) * 8 > limit)
                    s[m][n][e] = x;
}
template <int MT, int NT>
static __device__ __forceinline__ void hide_before(float s[MT][NT][4],
                                                   int limit, float x)
{
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                if (n * 8 + (e & 1) - m * 16 - (e >> 1) * 8 < limit)
                    s[m][n][e] = x;
}

/* Scores of rows * 16 MT queries from `first` on against NT * 8 keys from
 * `key` on: what a query does not see becomes x. */
template <int MT, int NT>
static __device__ __forceinline__ void
mask_queries(float s[MT][NT][4], const struct attention_args &a, int first,
             int key, float x, int lane)
{
    int ahead = first + (lane >> 2) - key - (lane & 3) * 2;

    if (attention_late(first, key, NT * 8))
        hide_beyond<MT, NT>(s, ahead, x);
    if (attention_early(first, 16 * MT, key, a.window))
        hide_before<MT, NT>(s, ahead - a.window + 1, x);
}

template <int MT, int NT>
static __device__ __forceinline__ void clear(float acc[MT][NT][4])
{
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                acc[m][n][e] = 0;
}

/* Rows of accumulators through the warp's own rows of shared memory to bf16
 * rows of global memory: `valid` rows, `chunks` pieces of 8 columns. */
template <int HD, int MT, int NT>
static __device__ __forceinline__ void
store_rows(float acc[MT][NT][4], __nv_bfloat16 *own, __nv_bfloat16 *to,
           size_t stride, int valid, int chunks)
{
    int lane = (int)threadIdx.x & 31, g = lane >> 2, t = lane & 3;

    __syncwarp();
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int h = 0; h < 2; h++)
                *reinterpret_cast<uint32_t *>(
                    own + (m * 16 + g + h * 8) * (HD + 8) + n * 8 + t * 2) =
                    pack_bf16(acc[m][n][2 * h], acc[m][n][2 * h + 1]);
    __syncwarp();
    for (int i = lane; i < MT * 16 * NT; i += 32) {
        int r = i / NT, c = i % NT;

        if (r < valid && c < chunks)
            *reinterpret_cast<uint4 *>(to + (size_t)r * stride + c * 8) =
                *reinterpret_cast<const uint4 *>(own + r * (HD + 8) + c * 8);
    }
}

/* Which block this is: parts of a key head's query heads, then parts of the
 * columns of dk and dv, then tiles. */
struct owner {
    int kv, part, column, tile;
};

static __device__ __forceinline__ struct owner
owner_of(const struct attention_args *a, int columns)
{
    unsigned i = blockIdx.x;
    struct owner w;

    w.kv = (int)(i % (unsigned)a->kv_heads);
    i /= (unsigned)a->kv_heads;
    w.part = (int)(i % (unsigned)a->parts);
    i /= (unsigned)a->parts;
    w.column = (int)(i % (unsigned)columns);
    w.tile = (int)(i / (unsigned)columns);
    return w;
}

/* ---- f32: 256 threads as 16 x 16; a thread owns rows y + 16 i ---- */

#define EXACT_THREADS 256

/* A [ROWS][HD + 4] tile of f32. */
template <int HD, int ROWS>
static __device__ __forceinline__ void
exact_tile(float *to, const float *from, size_t stride, int valid, int dim)
{
    for (int i = (int)threadIdx.x; i < ROWS * (HD / 4); i += EXACT_THREADS) {
        int r = i / (HD / 4), c = i % (HD / 4) * 4;
        float4 x = make_float4(0, 0, 0, 0);

        if (r < valid && c < dim)
            x = *reinterpret_cast<const float4 *>(from + (size_t)r * stride +
                                                  c);
        *reinterpret_cast<float4 *>(to + r * (HD + 4) + c) = x;
    }
}

/* s[i][j] = A[y + 16 i] . B[x + 16 j] */
template <int HD, int MI, int NJ>
static __device__ __forceinline__ void
exact_scores(float s[MI][NJ], const float *a, const float *b, int y, int x)
{
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
        for (int j = 0; j < NJ; j++)
            s[i][j] = 0;
#pragma unroll 4
    for (int k = 0; k < HD; k += 4) {
        float4 u[MI], v[NJ];

#pragma unroll
        for (int i = 0; i < MI; i++)
            u[i] = *reinterpret_cast<const float4 *>(
                a + (y + 16 * i) * (HD + 4) + k);
#pragma unroll
        for (int j = 0; j < NJ; j++)
            v[j] = *reinterpret_cast<const float4 *>(
                b + (x + 16 * j) * (HD + 4) + k);
#pragma unroll
        for (int i = 0; i < MI; i++)
#pragma unroll
            for (int j = 0; j < NJ; j++) {
                s[i][j] = fmaf(u[i].x, v[j].x, s[i][j]);
                s[i][j] = fmaf(u[i].y, v[j].y, s[i][j]);
                s[i][j] = fmaf(u[i].z, v[j].z, s[i][j]);
                s[i][j] = fmaf(u[i].w, v[j].w, s[i][j]);
            }
    }
}

/* acc[i][2 j..] += P[y + 16 i][0..K) B[K][HD], columns 2 x + 32 j and the
 * next; P has rows of K + 4. */
template <int HD, int MI, int K>
static __device__ __forceinline__ void
exact_weighted(float acc[MI][HD / 16], const float *p, const float *b, int y,
               int x)
{
#pragma unroll 2
    for (int k = 0; k < K; k += 4) {
        float w[MI][4];

#pragma unroll
        for (int i = 0; i < MI; i++) {
            float4 u = *reinterpret_cast<const float4 *>(
                p + (y + 16 * i) * (K + 4) + k);

            w[i][0] = u.x;
            w[i][1] = u.y;
            w[i][2] = u.z;
            w[i][3] = u.w;
        }
#pragma unroll
        for (int e = 0; e < 4; e++)
#pragma unroll
            for (int j = 0; j < HD / 32; j++) {
                float2 v = *reinterpret_cast<const float2 *>(
                    b + (k + e) * (HD + 4) + 2 * x + 32 * j);

#pragma unroll
                for (int i = 0; i < MI; i++) {
                    acc[i][2 * j] = fmaf(w[i][e], v.x, acc[i][2 * j]);
                    acc[i][2 * j + 1] = fmaf(w[i][e], v.y, acc[i][2 * j + 1]);
                }
            }
    }
}

/* out[row][column] = acc * factor for the rows and columns that exist. */
template <int HD, int MI>
static __device__ __forceinline__ void
exact_store(float *out, size_t stride, float acc[MI][HD / 16], int y, int x,
            int valid, int dim, float factor)
{
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
        for (int j = 0; j < HD / 32; j++)
            if (y + 16 * i < valid && 2 * x + 32 * j < dim)
                *reinterpret_cast<float2 *>(
                    out + (size_t)(y + 16 * i) * stride + 2 * x + 32 * j) =
                    make_float2(acc[i][2 * j] * factor,
                                acc[i][2 * j + 1] * factor);
}

#endif
#endif
