/*
 * cuda_reduce.h - private to the CUDA plugin: how sums and rows are cut
 *
 * Sizes of pieces depend on shapes alone, so that the order of every sum does
 * too. Plain functions for host and device; a test runs them without a GPU.
 */
#ifndef CUDA_REDUCE_H
#define CUDA_REDUCE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#define CUDA_BOTH __host__ __device__ static inline
#else
#define CUDA_BOTH static inline
#endif

#define CUDA_SUM_BLOCKS 1024 /* partial sums of a sum of squares */
#define CUDA_SUM_THREADS 256
#define CUDA_SUM_PIECE 2048  /* elements that are not worth dividing */
#define CUDA_COLUMN_ROWS 64  /* rows of one partial column sum */
#define CUDA_EMBED_ROWS 1024 /* rows that one launch of embed_grad adds */
#define CUDA_LOGITS_BYTES ((size_t)512 << 20)

CUDA_BOTH size_t cuda_ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/* Blocks that share a sum of n elements. */
CUDA_BOTH size_t cuda_sum_blocks(size_t n)
{
    size_t blocks = cuda_ceil_div(n, CUDA_SUM_PIECE);

    return blocks < CUDA_SUM_BLOCKS ? blocks : CUDA_SUM_BLOCKS;
}

/* Rows of the matrix of partial column sums. */
CUDA_BOTH size_t cuda_column_pieces(size_t rows)
{
    return cuda_ceil_div(rows, CUDA_COLUMN_ROWS);
}

/* Which piece and which group of columns a block of a one-dimensional grid
 * works on, with `tiles` groups of columns. */
CUDA_BOTH void cuda_column_place(size_t block, size_t tiles, size_t *piece,
                                 size_t *tile)
{
    *piece = block / tiles;
    *tile = block % tiles;
}

/* Words hold a bit for each row of a segment: the lowest set one at or after
 * `from`, or `rows` if there is none. */
CUDA_BOTH unsigned cuda_next_row(const uint32_t *words, unsigned from,
                                 unsigned rows)
{
    while (from < rows) {
        uint32_t word = words[from / 32] >> from % 32;

        if (word != 0) {
#ifdef __CUDA_ARCH__
            from += (unsigned)__ffs((int)word) - 1;
#else
            from += (unsigned)__builtin_ctz(word);
#endif
            return from < rows ? from : rows;
        }
        from = (from / 32 + 1) * 32;
    }
    return rows;
}

/* Row stride of the logits: rows start on 128 bytes in either type. */
CUDA_BOTH size_t cuda_logits_stride(size_t vocab)
{
    return (vocab + 63) / 64 * 64;
}

/* Rows of logits that are computed at once: CUDA_LOGITS_BYTES, and no more
 * than a sixteenth of the memory that may be used, but enough for a product
 * to be efficient; pieces are of nearly the same size. */
CUDA_BOTH size_t cuda_logits_rows(size_t rows, size_t vocab, size_t size,
                                  size_t limit)
{
    size_t bytes =
        limit / 16 < CUDA_LOGITS_BYTES ? limit / 16 : CUDA_LOGITS_BYTES;
    size_t most = bytes / (cuda_logits_stride(vocab) * size);

    most = most < 128 ? 128 : most / 128 * 128;
    if (rows <= most)
        return rows;
    return cuda_ceil_div(cuda_ceil_div(rows, cuda_ceil_div(rows, most)), 128) *
           128;
}

#endif
