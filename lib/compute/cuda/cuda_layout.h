/*
 * cuda_layout.h - where the Hopper product keeps its tiles, as arithmetic
 *
 * Tile schedule, ring of shared memory, swizzle and matrix descriptors: all
 * that can be wrong without a device noticing, in plain C, so that it is
 * tested on any machine. No CUDA call and no device intrinsic belongs here.
 * Bit fields and layouts: PTX ISA 8.0, "Asynchronous warpgroup level matrix
 * instructions", "Shared memory matrix layout" and "Matrix descriptor".
 */
#ifndef CUDA_LAYOUT_H
#define CUDA_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#define CUDA_LAYOUT static constexpr __host__ __device__
#else
#define CUDA_LAYOUT static inline
#endif

/* A tile has 128 rows (64 for each of two warpgroups) and 64, 128 or 256
 * columns, and takes 64 of k at a time: 128 bytes of bf16, one swizzle row. */
enum {
    CUDA_TILE_ROWS = 128,
    CUDA_TILE_DEPTH = 64,
    CUDA_SWIZZLE_BYTES = 128,    /* a row; eight rows repeat the pattern */
    CUDA_CHUNK_BYTES = 64 * 128, /* 64 rows of it */
    CUDA_STEP_DEPTH = 16,        /* of one instruction */
    CUDA_TILE_GROUP = 16,        /* tiles of rows that are walked together */
    CUDA_STAGES_MOST = 8,
    CUDA_RING_ALIGN = 1024,
    CUDA_SPLITS_MOST = 16,
    CUDA_ARRIVALS = 16384, /* counts that a device keeps (cuda_arrivals.cuh) */
    CUDA_SMS = 132,        /* multiprocessors that splits are chosen for */
    CUDA_SMEM_MOST = 227 * 1024 /* of one block, compute capability 9.0 */
};

/* Bytes of one stage: 64 of k of both operands. */
CUDA_LAYOUT uint32_t cuda_stage_bytes(uint32_t columns)
{
    return (CUDA_TILE_ROWS + columns) * CUDA_SWIZZLE_BYTES;
}

/* Stages that fit beside their barriers, two of 8 bytes each. */
CUDA_LAYOUT uint32_t cuda_stages(uint32_t columns)
{
    uint32_t room = CUDA_SMEM_MOST - CUDA_RING_ALIGN - CUDA_STAGES_MOST * 16;
    uint32_t stages = room / cuda_stage_bytes(columns);
    uint32_t most = CUDA_STAGES_MOST;

    return stages < most ? stages : most;
}

/* What a launch asks for: slack to align the ring, the ring, the barriers. */
CUDA_LAYOUT uint32_t cuda_smem_bytes(uint32_t columns)
{
    return CUDA_RING_ALIGN + cuda_stages(columns) * cuda_stage_bytes(columns) +
           CUDA_STAGES_MOST * 16;
}

/* Where the tensor copy with 128-byte swizzle puts the byte at `offset` of a
 * box, and where the descriptor looks for it: 16-byte units of a row change
 * places by the row's number modulo 8. Offsets count from a multiple of 1024.
 */
CUDA_LAYOUT uint32_t cuda_swizzle(uint32_t offset)
{
    return offset ^ (offset >> 7 & 7) << 4;
}

/* Matrix descriptor with 128-byte swizzle (mode 1 in bits 62 and 63): start
 * address in bits 0-13, leading offset in 16-29, stride offset in 32-45, all
 * in units of 16 bytes. Where k is contiguous, stride goes from eight rows to
 * the next and leading is unused; where it is not, stride goes from eight of
 * k to the next and leading from 64 rows to the next. */
CUDA_LAYOUT uint64_t cuda_descriptor(uint32_t address, uint32_t leading,
                                     uint32_t stride)
{
    return (uint64_t)(address >> 4 & 0x3fff) |
           (uint64_t)(leading >> 4 & 0x3fff) << 16 |
           (uint64_t)(stride >> 4 & 0x3fff) << 32 | (uint64_t)1 << 62;
}

/* The descriptor of an operand whose tile starts at address: not crossed, rows
 * of 64 k; crossed, chunks of 64 rows, each 64 lines (one per k) long. */
CUDA_LAYOUT uint64_t cuda_operand_descriptor(uint32_t address, bool cross)
{
    return cuda_descriptor(address, cross ? CUDA_CHUNK_BYTES : 16,
                           8 * CUDA_SWIZZLE_BYTES);
}

/* What the descriptor grows by from one instruction to the next: 16 of k. */
CUDA_LAYOUT uint32_t cuda_step_advance(bool cross)
{
    return (cross ? CUDA_STEP_DEPTH * CUDA_SWIZZLE_BYTES
                  : CUDA_STEP_DEPTH * 2) >>
           4;
}

/* Row and column in the 64-row tile of accumulator `i` of a thread of the
 * warpgroup. */
CUDA_LAYOUT uint32_t cuda_fragment_row(uint32_t thread, uint32_t i)
{
    return thread / 32 * 16 + thread % 32 / 4 + (i / 2 % 2) * 8;
}

CUDA_LAYOUT uint32_t cuda_fragment_column(uint32_t thread, uint32_t i)
{
    return i / 4 * 8 + thread % 4 * 2 + i % 2;
}

/* The tiles of one product. A unit is what one cluster makes: `cluster` tiles
 * that follow each other in m and share their columns. */
struct cuda_tiles {
    uint32_t columns, cluster; /* of a tile; 1 or 2 blocks */
    uint32_t down, across;     /* units in m and in n */
    uint32_t count;            /* units */
};

CUDA_LAYOUT uint32_t cuda_ceil(size_t a, size_t b)
{
    return (uint32_t)((a + b - 1) / b);
}

CUDA_LAYOUT struct cuda_tiles cuda_tiles_of(size_t m, size_t n,
                                            uint32_t columns, uint32_t cluster)
{
    uint32_t down = cuda_ceil(m, (size_t)CUDA_TILE_ROWS * cluster);
    uint32_t across = cuda_ceil(n, columns);
    struct cuda_tiles t = { columns, cluster, down, across, down * across };

    return t;
}

/* The place of unit `i`: groups of rows are walked down first, then across,
 * so that what runs at one time is about square and stays in L2. */
CUDA_LAYOUT void cuda_tile_at(const struct cuda_tiles *t, uint32_t i,
                              uint32_t *down, uint32_t *across)
{
    uint32_t height = CUDA_TILE_GROUP / t->cluster;
    uint32_t group = i / (height * t->across);
    uint32_t first = group * height;
    uint32_t rest = i - first * t->across;

    if (height > t->down - first)
        height = t->down - first;
    *down = first + rest % height;
    *across = rest / height;
}

/* How long a wave of tiles takes, in clocks, from what an H100 and an H200
 * should do; `busy` multiprocessors share L2. Multiplying: 5 clocks a column
 * and 64 of k. Operands come from L2 at 31 bytes a clock and multiprocessor
 * where all read, at 62 where few do; pairs read their columns once. */
CUDA_LAYOUT uint64_t cuda_tile_clocks(uint32_t columns, uint32_t cluster,
                                      uint32_t steps, uint32_t busy)
{
    uint64_t bytes = (CUDA_TILE_ROWS + columns / cluster) * CUDA_SWIZZLE_BYTES;
    uint64_t shared = bytes * busy / (31 * CUDA_SMS), alone = bytes / 62;
    uint64_t load = shared > alone ? shared : alone;
    uint64_t multiply = 5 * columns;

    return steps * (multiply > load ? multiply : load);
}

/* Clocks of a product whose `steps` blocks of k are cut in `splits`, without
 * its launch: the first copies (1500), waves of tiles, and the way to the
 * output. Parts are written where all do it and read where half of the blocks
 * do; 600 until others see what was written, 700 until the first part is here.
 */
CUDA_LAYOUT uint64_t cuda_product_clocks(const struct cuda_tiles *t,
                                         uint32_t steps, uint32_t splits,
                                         uint32_t sms)
{
    uint32_t wide = sms / t->cluster ? sms / t->cluster : 1;
    uint64_t units = (uint64_t)t->count * splits;
    uint64_t busy = units < wide ? units * t->cluster : sms;
    uint64_t waves = (units + wide - 1) / wide;
    uint64_t part = CUDA_TILE_ROWS * t->columns * 4;
    uint64_t end = 600 + 9 * t->columns;
    uint64_t tile = cuda_tile_clocks(t->columns, t->cluster,
                                     cuda_ceil(steps, splits), (uint32_t)busy);

    if (splits == 1)
        return 1500 + waves * (tile + end);
    for (uint32_t s = splits; s > 1; s /= 2)
        end += part / 62 + 700 + (s > 2 ? part / 62 + 600 : 0);
    return 1500 + waves * (tile + part / 31 + 600) + end;
}

/* The tiling with the least cost on `sms` multiprocessors, clusters of at most
 * `most`; of equal ones the widest. A shared tile has 128 columns or more: each
 * block copies its part of them in boxes of 64. */
CUDA_LAYOUT struct cuda_tiles cuda_tiles_choose(size_t m, size_t n,
                                                uint32_t steps, uint32_t splits,
                                                uint32_t most, uint32_t sms,
                                                uint64_t *clocks)
{
    struct cuda_tiles best = { 0, 0, 0, 0, 0 };

    *clocks = UINT64_MAX;
    for (uint32_t cluster = most; cluster >= 1; cluster--)
        for (uint32_t columns = 256; columns >= 64 * cluster; columns /= 2) {
            struct cuda_tiles t = cuda_tiles_of(m, n, columns, cluster);
            uint64_t cost = cuda_product_clocks(&t, steps, splits, sms);

            if (cost < *clocks) {
                *clocks = cost;
                best = t;
            }
        }
    return best;
}

/* In how many parts the sum over `steps` blocks of k is cut: a power of two of
 * at least four blocks each, as a Hopper with all its multiprocessors and pairs
 * would be done soonest. Depends on the shape alone, and so do sums: not on the
 * tiling, nor on what a device has. */
CUDA_LAYOUT uint32_t cuda_splits_choose(size_t m, size_t n, uint32_t steps)
{
    uint32_t tiles = cuda_tiles_of(m, n, 128, 1).count, best = 1;
    uint64_t least = 0, clocks = 0;

    cuda_tiles_choose(m, n, steps, 1, 2, CUDA_SMS, &least);
    for (uint32_t s = 2; s <= CUDA_SPLITS_MOST && s * 4 <= steps &&
                         (uint64_t)tiles * s <= 4 * CUDA_SMS;
         s *= 2) {
        cuda_tiles_choose(m, n, steps, s, 2, CUDA_SMS, &clocks);
        if (clocks < least) {
            least = clocks;
            best = s;
        }
    }
    return best;
}

/* The first block of k of part `split`; that of part `splits` is the end. */
CUDA_LAYOUT uint32_t cuda_split_begin(uint32_t steps, uint32_t splits,
                                      uint32_t split)
{
    return (uint32_t)((uint64_t)steps * split / splits);
}

/* Parts of a tile are added two by two: 0 and 1, 2 and 3, then both sums, and
 * so on. Whoever of two comes last adds and goes on with the sum, so nobody
 * waits, and x + y is y + x. At `level` (from 0) the sum that part `split` went
 * into lies at cuda_split_place, meets that at the place beside it, and both
 * count at cuda_split_node, one of splits - 1. */
CUDA_LAYOUT uint32_t cuda_split_place(uint32_t split, uint32_t level)
{
    return split >> level << level;
}

CUDA_LAYOUT uint32_t cuda_split_other(uint32_t split, uint32_t level)
{
    return cuda_split_place(split, level) ^ (uint32_t)1 << level;
}

CUDA_LAYOUT uint32_t cuda_split_node(uint32_t splits, uint32_t split,
                                     uint32_t level)
{
    return splits - (splits >> level) + (split >> (level + 1));
}

/* Of the parts of a whole product, floats; warps of all tiles count apart. */
CUDA_LAYOUT size_t cuda_parts_floats(const struct cuda_tiles *t,
                                     uint32_t splits)
{
    return (size_t)t->count * t->cluster * splits * CUDA_TILE_ROWS * t->columns;
}

CUDA_LAYOUT size_t cuda_parts_arrivals(const struct cuda_tiles *t,
                                       uint32_t splits)
{
    return (size_t)t->count * t->cluster * (splits - 1) * (CUDA_TILE_ROWS / 16);
}

#endif
