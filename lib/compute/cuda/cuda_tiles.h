/*
 * cuda_tiles.h - index arithmetic of the matrix kernels, without a GPU
 *
 * Whatever can be wrong by one and needs no device is here, as plain C that
 * the host's unit test runs through completely: the order of tiles, ranges of
 * split sums, the swizzle of shared memory and which lane holds what.
 * A chunk is 16 bytes: 8 elements of 16 bits or 4 of 32.
 */
#ifndef CUDA_TILES_H
#define CUDA_TILES_H

#ifdef __CUDACC__
#define TILES_FN __host__ __device__ __forceinline__ static
#else
#include <stdbool.h>
#include <stddef.h>
#define TILES_FN static inline
#endif

#define TILES_CHUNK 16 /* bytes */
#define TILES_GROUP 8  /* rows of tiles that share what is in L2 */
#define TILES_SPLITS 64
/* Parts that one block adds: all of them, or sums of so many. */
#define TILES_JOINED 8
#define TILES_NODES (TILES_SPLITS / TILES_JOINED + 1) /* counts of a tile */

TILES_FN size_t tiles_ceil(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/* Tile number `at` of rows x cols tiles: groups of TILES_GROUP rows, column by
 * column inside a group. */
TILES_FN void tiles_raster(unsigned at, unsigned rows, unsigned cols,
                           unsigned *row, unsigned *col)
{
    unsigned first = at / (TILES_GROUP * cols) * TILES_GROUP;
    unsigned in = at % (TILES_GROUP * cols);
    unsigned high = rows - first < TILES_GROUP ? rows - first : TILES_GROUP;

    *row = first + in % high;
    *col = in / high;
}

/* Into how many parts the sum over `steps` blocks of k is cut so that a
 * product of few tiles fills a GPU, and how many steps a part has. Depends on
 * the shape alone. No part is empty; 1 for no steps. */
TILES_FN unsigned tiles_splits(size_t tiles, size_t steps, size_t *per)
{
    const size_t full = 256, least = 4, most = TILES_SPLITS;
    size_t splits = tiles > 0 ? full / tiles : 1;

    if (splits > steps / least)
        splits = steps / least;
    if (splits > most)
        splits = most;
    if (splits < 2) {
        *per = steps;
        return 1;
    }
    *per = tiles_ceil(steps, splits);
    return (unsigned)tiles_ceil(steps, *per);
}

/* How many of n columns of so many bytes are worked on at once, so that they
 * have about `most` bytes: all, or equal parts but for the last, of whole
 * tiles. */
TILES_FN size_t tiles_panel(size_t n, size_t column, size_t tile, size_t most)
{
    size_t columns = most / (column + 1) / tile * tile, parts;

    columns = columns < tile ? tile : columns;
    if (columns >= n)
        return n;
    parts = tiles_ceil(n, columns);
    return tiles_ceil(tiles_ceil(n, parts), tile) * tile;
}

/* Bytes of the chunk that starts at element `at` of `extent` that exist. */
TILES_FN unsigned tiles_bytes(int at, int extent, int size)
{
    int left = extent - at;

    if (left <= 0)
        return 0;
    return (unsigned)(left * size < TILES_CHUNK && left < TILES_CHUNK
                          ? left * size
                          : TILES_CHUNK);
}

/* Where a chunk of a tile lies in shared memory, in bytes. The tile has rows
 * of `chunks` chunks (4, or a multiple of 8). For tiles of f32 that are read
 * by columns (wide) four rows by two chunks meet all banks; for others the
 * eight rows of an ldmatrix do. */
TILES_FN unsigned tiles_at(unsigned row, unsigned chunk, unsigned chunks,
                           bool wide)
{
    unsigned flip = wide          ? (row & 3) << 1
                    : chunks == 4 ? row >> 1 & 3
                                  : row & 7;

    return (row * chunks + (chunk ^ flip)) * TILES_CHUNK;
}

/* Which row (0..15) and chunk (0, 1) of a 16 x 2 corner lane `lane` names in
 * ldmatrix.x4. by_rows: matrices 0, 1 differ in the row and 0, 2 in the chunk
 * (a as stored, b crossed); else the other way (b as stored, a crossed). */
TILES_FN unsigned tiles_lane_row(unsigned lane, bool by_rows)
{
    return (lane & 7) + (by_rows ? lane >> 3 & 1 : lane >> 4) * 8;
}

TILES_FN unsigned tiles_lane_chunk(unsigned lane, bool by_rows)
{
    return by_rows ? lane >> 4 : lane >> 3 & 1;
}

/* What mma wants in register `reg` of `lane`: the row of a (m) or of b (n)
 * and the first k; 16-bit types have k and k + 1 there (m16n8k16), tf32 k
 * alone (m16n8k8). b's register 2, 3 are the next 8 columns' 0, 1. */
TILES_FN unsigned tiles_a_row(unsigned lane, unsigned reg)
{
    return lane / 4 + (reg & 1) * 8;
}

TILES_FN unsigned tiles_a_k(unsigned lane, unsigned reg, unsigned size)
{
    return size == 2 ? lane % 4 * 2 + (reg >> 1) * 8
                     : lane % 4 + (reg >> 1) * 4;
}

TILES_FN unsigned tiles_b_row(unsigned lane, unsigned reg)
{
    return lane / 4 + (reg >> 1) * 8;
}

TILES_FN unsigned tiles_b_k(unsigned lane, unsigned reg, unsigned size)
{
    return size == 2 ? lane % 4 * 2 + (reg & 1) * 8 : lane % 4 + (reg & 1) * 4;
}

/* Accumulator `reg` (0..3) of m16n8: its row and column. */
TILES_FN unsigned tiles_c_row(unsigned lane, unsigned reg)
{
    return lane / 4 + (reg >> 1) * 8;
}

TILES_FN unsigned tiles_c_col(unsigned lane, unsigned reg)
{
    return lane % 4 * 2 + (reg & 1);
}

#endif
