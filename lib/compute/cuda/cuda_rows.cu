/*
 * cuda_rows.cu - rows moved by an index, their gradients, rotations
 *
 * A block works on one row. embed_grad adds the rows of one segment after
 * another; in a segment the first row with an id adds all that have it, in
 * their order, so no two blocks write the same place and no sum depends on
 * chance.
 */
#include "compute/cuda/cuda_quant.cuh"
#include "compute/cuda/cuda_reduce.h"
#include "compute/cuda/cuda_follow.cuh"
#include "compute/cuda/cuda_vector.cuh"

#include <assert.h>

#define MOST_BLOCKS ((size_t)1 << 30)
#define GRAD_THREADS 128

static unsigned grid_of(size_t rows)
{
    return (unsigned)(rows < MOST_BLOCKS ? rows : MOST_BLOCKS);
}

/* Threads for `work` vectors a row: whole warps, 256 at most. */
static unsigned threads_of(size_t work)
{
    return (unsigned)(work > 224  ? 256
                      : work < 32 ? 32
                                  : (work + 31) / 32 * 32);
}

struct move {
    struct cuda_operand y, x;
    const int32_t *to, *from; /* NULL: row r itself */
    size_t rows, dim;
};

template <int TY, int TX, int W>
__global__ void __launch_bounds__(256)
    move_kernel(cuda_vec<TY> y, cuda_vec<TX> x, struct move m)
{
    follow_ready();
    follow_wait();
    for (size_t r = blockIdx.x; r < m.rows; r += gridDim.x) {
        size_t to = (m.to ? (size_t)m.to[r] : r) * m.dim;
        size_t from = (m.from ? (size_t)m.from[r] : r) * m.dim;

#pragma unroll 4
        for (size_t i = threadIdx.x * W; i < m.dim; i += blockDim.x * W) {
            float v[W];

            x.get(v, from + i);
            y.put(to + i, v);
        }
    }
}

template <int TY, int TX>
static void move_run(struct cuda *c, const struct move &m, const char *what)
{
    cuda_vec<TY> y = cuda_vec_of<TY>(m.y);
    cuda_vec<TX> x = cuda_vec_of<TX>(m.x);
    unsigned grid = grid_of(m.rows);

    if (cuda_wide(m.y, m.dim, 4) && cuda_wide(m.x, m.dim, 4))
        cuda_follow(c, what, move_kernel<TY, TX, 4>, grid,
                    threads_of(m.dim / 4), 0, y, x, m);
    else
        cuda_follow(c, what, move_kernel<TY, TX, 1>, grid, threads_of(m.dim), 0,
                    y, x, m);
}

static void move_rows(struct cuda *c, const struct move &m, const char *what)
{
    if (m.rows == 0 || m.dim == 0)
        return;
    if (m.y.type == CUDA_F32 && m.x.type == CUDA_F32)
        move_run<CUDA_F32, CUDA_F32>(c, m, what);
    else if (m.y.type == CUDA_F32 && m.x.type == CUDA_BF16)
        move_run<CUDA_F32, CUDA_BF16>(c, m, what);
    else
        move_run<CUDA_ANY, CUDA_ANY>(c, m, what);
}

static void take_rows(struct cuda *c, struct compute_span y,
                      struct compute_span table, struct compute_span ids,
                      size_t rows, size_t dim, const char *what)
{
    if (table.buf->quant) {
        struct quant_piece p = { table.at, dim, rows, dim, cuda_i32(ids) };

        cuda_quant_read(c, cuda_at(y), table.buf->quant, &p);
    } else {
        struct move m = { cuda_at(y),    cuda_at(table), NULL,
                          cuda_i32(ids), rows,           dim };

        move_rows(c, m, what);
    }
}

void cuda_op_embed(struct compute *c, struct compute_span y,
                   struct compute_span table, struct compute_span ids,
                   size_t rows, size_t dim)
{
    take_rows(cuda_of(c), y, table, ids, rows, dim, "embed");
}

void cuda_op_gather(struct compute *c, struct compute_span y,
                    struct compute_span x, struct compute_span index,
                    size_t rows, size_t dim)
{
    take_rows(cuda_of(c), y, x, index, rows, dim, "gather");
}

void cuda_op_scatter(struct compute *c, struct compute_span y,
                     struct compute_span x, struct compute_span index,
                     size_t rows, size_t dim)
{
    struct move m = {
        cuda_at(y), cuda_at(x), cuda_i32(index), NULL, rows, dim
    };

    move_rows(cuda_of(c), m, "scatter");
}

/* One segment; ids and dy begin at its first row. Block (row, tile). */
template <int T, int W>
__global__ void __launch_bounds__(GRAD_THREADS)
    embed_grad_kernel(cuda_vec<CUDA_F32> dtable, cuda_vec<T> dy,
                      const int32_t *ids, unsigned rows, size_t dim)
{
    __shared__ uint32_t words[CUDA_EMBED_ROWS / 32];
    unsigned row = blockIdx.x;
    int32_t id = ids[row];
    size_t i = ((size_t)blockIdx.y * GRAD_THREADS + threadIdx.x) * W;
    float sum[W], v[W];
    int earlier = 0;

    for (unsigned j = threadIdx.x; j < CUDA_EMBED_ROWS; j += GRAD_THREADS) {
        bool same = j < rows && ids[j] == id;
        uint32_t word = __ballot_sync(0xffffffffu, same);

        if (j % 32 == 0)
            words[j / 32] = word;
        earlier |= same && j < row;
    }
    if (__syncthreads_or(earlier) || i >= dim)
        return;
    dtable.get(sum, (size_t)id * dim + i);
    for (unsigned r = row; r < rows; r = cuda_next_row(words, r + 1, rows)) {
        dy.get(v, r * dim + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            sum[j] += v[j];
    }
    dtable.put((size_t)id * dim + i, sum);
}

template <int T>
static void embed_grad_run(struct cuda *c, struct cuda_operand dtable,
                           struct cuda_operand dy, const int32_t *ids,
                           size_t rows, size_t dim)
{
    bool wide = cuda_wide(dtable, dim, 4) && cuda_wide(dy, dim, 4);
    size_t tile = (size_t)GRAD_THREADS * (wide ? 4 : 1);
    size_t size = cuda_type_size(dy.type);
    cuda_vec<CUDA_F32> y = cuda_vec_of<CUDA_F32>(dtable);
    cuda_vec<T> x = cuda_vec_of<T>(dy);

    for (size_t at = 0; at < rows; at += CUDA_EMBED_ROWS) {
        size_t n = rows - at < CUDA_EMBED_ROWS ? rows - at : CUDA_EMBED_ROWS;
        dim3 grid((unsigned)n, (unsigned)cuda_ceil_div(dim, tile));

        x.p = (char *)dy.data + at * dim * size;
        if (wide)
            embed_grad_kernel<T, 4><<<grid, GRAD_THREADS, 0, c->stream>>>(
                y, x, ids + at, (unsigned)n, dim);
        else
            embed_grad_kernel<T, 1><<<grid, GRAD_THREADS, 0, c->stream>>>(
                y, x, ids + at, (unsigned)n, dim);
        cuda_launched(c, "embed_grad");
    }
}

void cuda_op_embed_grad(struct compute *base, struct compute_span dtable,
                        struct compute_span dy, struct compute_span ids,
                        size_t rows, size_t dim)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand table = cuda_at(dtable), o = cuda_at(dy);

    assert(table.type == CUDA_F32);
    if (rows == 0 || dim == 0)
        return;
    if (o.type == CUDA_F32)
        embed_grad_run<CUDA_F32>(c, table, o, cuda_i32(ids), rows, dim);
    else
        embed_grad_run<CUDA_ANY>(c, table, o, cuda_i32(ids), rows, dim);
}

struct rope {
    const int32_t *position;
    size_t rows;
    unsigned heads, dim, half; /* pairs that are turned in each head */
    float sign;
};

template <int T, int W>
__global__ void __launch_bounds__(256)
    rope_kernel(cuda_vec<T> x, cuda_vec<CUDA_F32> cosine,
                cuda_vec<CUDA_F32> sine, struct rope p)
{
    unsigned parts = p.half / W;

    follow_ready();
    follow_wait();
    for (size_t r = blockIdx.x; r < p.rows; r += gridDim.x) {
        size_t row = r * p.heads * p.dim;
        size_t angle = (size_t)p.position[r] * p.half;

        for (unsigned k = threadIdx.x; k < p.heads * parts; k += blockDim.x) {
            unsigned i = k % parts * W;
            size_t at = row + (size_t)(k / parts) * p.dim + i;
            float a[W], b[W], co[W], si[W];

            x.get(a, at);
            x.get(b, at + p.half);
            cosine.get(co, angle + i);
            sine.get(si, angle + i);
#pragma unroll
            for (int j = 0; j < W; j++) {
                float u = a[j], v = b[j], s = si[j] * p.sign;

                a[j] = u * co[j] - v * s;
                b[j] = v * co[j] + u * s;
            }
            x.put(at, a);
            x.put(at + p.half, b);
        }
    }
}

template <int T>
static void rope_run(struct cuda *c, struct cuda_operand x,
                     struct cuda_operand cosine, struct cuda_operand sine,
                     const struct rope &p)
{
    cuda_vec<T> y = cuda_vec_of<T>(x);
    cuda_vec<CUDA_F32> co = cuda_vec_of<CUDA_F32>(cosine);
    cuda_vec<CUDA_F32> si = cuda_vec_of<CUDA_F32>(sine);
    const size_t w = T == CUDA_BF16 ? 8 : 4;
    size_t work = (size_t)p.heads * p.half;
    unsigned grid = grid_of(p.rows);

    if (p.dim % w == 0 && cuda_wide(x, p.half, w) &&
        cuda_wide(cosine, p.half, w) && cuda_wide(sine, p.half, w))
        cuda_follow(c, "rope", rope_kernel < T, T == CUDA_BF16 ? 8 : 4 >, grid,
                    threads_of(work / w), 0, y, co, si, p);
    else
        cuda_follow(c, "rope", rope_kernel<T, 1>, grid, threads_of(work), 0, y,
                    co, si, p);
}

void cuda_op_rope_part(struct compute *base, struct compute_span x,
                       struct compute_span position, struct compute_span cosine,
                       struct compute_span sine, size_t rows, size_t heads,
                       size_t dim, size_t rotary, bool inverse)
{
    struct cuda *c = cuda_of(base);
    struct cuda_operand o = cuda_at(x), co = cuda_at(cosine),
                        si = cuda_at(sine);
    struct rope p = { cuda_i32(position),     rows,
                      (unsigned)heads,        (unsigned)dim,
                      (unsigned)(rotary / 2), inverse ? -1.0f : 1.0f };

    assert(co.type == CUDA_F32 && si.type == CUDA_F32 && rotary % 2 == 0);
    if (rows == 0 || heads == 0 || rotary < 2)
        return;
    if (o.type == CUDA_BF16)
        rope_run<CUDA_BF16>(c, o, co, si, p);
    else
        rope_run<CUDA_F32>(c, o, co, si, p);
}

void cuda_op_rope(struct compute *c, struct compute_span x,
                  struct compute_span position, struct compute_span cosine,
                  struct compute_span sine, size_t rows, size_t heads,
                  size_t dim, bool inverse)
{
    cuda_op_rope_part(c, x, position, cosine, sine, rows, heads, dim, dim,
                      inverse);
}
