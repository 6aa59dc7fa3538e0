/*
 * cuda_gemm.cu - which kernel a matrix product takes, and what they share on
 * the host's side
 *
 * Few rows: gemv. Large on Hopper: wgmma. Whatever has rows of whole 16-byte
 * chunks: mma. The rest, and all of it in full precision: simt.
 */
#include "compute/cuda/cuda_gemm_parts.cuh"

#include <assert.h>
#include <limits.h>

static bool is_aligned(const void *p, size_t ld, size_t size)
{
    return (size_t)p % 16 == 0 && ld * size % 16 == 0;
}

bool gemm_is_aligned(const struct cuda_gemm *g)
{
    size_t size = cuda_type_size(g->in);

    return is_aligned(g->a, g->lda, size) && is_aligned(g->b, g->ldb, size) &&
           (g->k2 == 0 || (is_aligned(g->a2, g->lda2, size) &&
                           is_aligned(g->b2, g->ldb2, size)));
}

void gemm_args_init(struct gemm_args *x, const struct cuda_gemm *g, int tile_m,
                    int tile_n, int depth, bool may_split)
{
    size_t steps1 = tiles_ceil(g->k, depth), per;
    size_t steps = steps1 + tiles_ceil(g->k2, depth);
    size_t rows = tiles_ceil(g->m, tile_m), cols = tiles_ceil(g->n, tile_n);

    /* Tiles end within 256 of what they cover. */
    assert(g->m < INT_MAX - 512 && g->n < INT_MAX - 512);
    assert(g->k < INT_MAX - 512 && g->k2 < INT_MAX - 512);
    assert(rows * cols <= INT_MAX);
    *x = {};
    x->a = (const char *)g->a;
    x->b = (const char *)g->b;
    x->a2 = (const char *)g->a2;
    x->b2 = (const char *)g->b2;
    x->lda = g->lda;
    x->ldb = g->ldb;
    x->lda2 = g->lda2;
    x->ldb2 = g->ldb2;
    x->a_cross = g->a_cross;
    x->b_cross = g->b_cross;
    x->m = (int)g->m;
    x->n = (int)g->n;
    x->k = (int)g->k;
    x->k2 = (int)g->k2;
    x->rows = (unsigned)rows;
    x->cols = (unsigned)cols;
    x->steps1 = (int)steps1;
    x->steps = (int)steps;
    x->splits = tiles_splits(may_split ? rows * cols : INT_MAX, steps, &per);
    x->per = (int)per;
    x->alpha = g->alpha;
    x->bias = g->bias;
    x->addend = (const char *)g->addend;
    x->c = (char *)g->c;
    x->h = (char *)g->h;
    x->ldadd = g->ldadd;
    x->ldc = g->ldc;
    x->out = g->out;
    x->add_type = g->add_type;
    x->vector_c = is_aligned(g->c, g->ldc, cuda_type_size(g->out)) &&
                  is_aligned(g->h, g->ldc, cuda_type_size(g->out));
    x->vector_add =
        is_aligned(g->addend, g->ldadd, cuda_type_size(g->add_type));
    x->vector_partial = g->n % 4 == 0;
}

size_t gemm_args_scratch(const struct gemm_args *x)
{
    size_t n = (size_t)x->splits * (size_t)x->m * (size_t)x->n;

    return x->splits > 1 ? cuda_scratch_room(n * sizeof(float)) : 0;
}

bool gemm_args_take(struct cuda *c, struct gemm_args *x)
{
    if (x->splits > 1) {
        assert((size_t)x->rows * x->cols * TILES_NODES <= CUDA_ARRIVALS);
        x->arrivals = c->arrivals;
        x->partial = (float *)cuda_scratch(c, gemm_args_scratch(x));
    }
    return x->splits < 2 || x->partial;
}

void gemm_args_finish(struct cuda *c, const struct gemm_args *x)
{
    /* The stream keeps the order: the next product may have it. */
    c->scratch_used -= gemm_args_scratch(x);
}

/* wgmma has large tiles: they, and the parts of their sums, should keep a third
 * of a Hopper busy. */
static bool suits_wgmma(const struct cuda *c, const struct cuda_gemm *g)
{
    return c->kernels >= CUDA_WGMMA && c->major == 9 && !g->exact &&
           c->precision != COMPUTE_FULL && g->m > 64 && g->n > 64 &&
           cuda_wgmma_fits(c, g) &&
           tiles_ceil(g->m, 128) * tiles_ceil(g->n, 128) *
                   cuda_wgmma_splits(g) >=
               48;
}

bool cuda_gemm_is_gemv(const struct cuda *c, const struct cuda_gemm *g)
{
    return c->kernels != CUDA_SIMT && g->m <= 8 && cuda_gemv_fits(c, g);
}

void cuda_gemm_run(struct cuda *c, const struct cuda_gemm *g)
{
    if (g->m == 0 || g->n == 0)
        return;
    if (c->kernels == CUDA_SIMT)
        cuda_simt_run(c, g);
    else if (cuda_gemm_is_gemv(c, g))
        cuda_gemv_run(c, g);
    else if (suits_wgmma(c, g))
        cuda_wgmma_run(c, g);
    else if (cuda_mma_fits(c, g))
        cuda_mma_run(c, g);
    else if (cuda_gemv_fits(c, g))
        cuda_gemv_run(c, g);
    else
        cuda_simt_run(c, g);
}

size_t cuda_gemm_scratch(const struct cuda *c, const struct cuda_gemm *g)
{
    size_t simt = cuda_simt_scratch(g), mma = cuda_mma_scratch(g);
    size_t most = simt > mma ? simt : mma;
    size_t wgmma = c->kernels >= CUDA_WGMMA ? cuda_wgmma_scratch(c, g) : 0;

    return wgmma > most ? wgmma : most;
}
