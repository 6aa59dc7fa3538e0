/* test_cuda_layout.c - the arithmetic of the Hopper product without a device:
 * every tile once, shared memory within its limit, and operands found by the
 * descriptor where the tensor copy puts them */
#include "suite.h"

#include "compute/cuda/cuda_layout.h"

#include <stdlib.h>
#include <string.h>

static const size_t sizes[] = { 1,   63,  64,   65,   127,  128,  129,  256,
                                257, 384, 1000, 2048, 2049, 4096, 5000, 14336 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void check_schedule(const struct cuda_tiles *t)
{
    char *seen = calloc(t->count, 1);

    ck_assert_uint_eq(t->count, t->down * t->across);
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t down, across;

        cuda_tile_at(t, i, &down, &across);
        ck_assert_uint_lt(down, t->down);
        ck_assert_uint_lt(across, t->across);
        ck_assert_int_eq(seen[down * t->across + across], 0);
        seen[down * t->across + across] = 1;
    }
    free(seen);
}

START_TEST(schedule_covers_each_tile_once)
{
    for (size_t i = 0; i < SIZES; i++)
        for (size_t j = 0; j < SIZES; j++)
            for (uint32_t columns = 64; columns <= 256; columns *= 2)
                for (uint32_t cluster = 1; cluster <= 2; cluster++) {
                    struct cuda_tiles t =
                        cuda_tiles_of(sizes[i], sizes[j], columns, cluster);

                    ck_assert_uint_ge(
                        (uint64_t)t.down * cluster * CUDA_TILE_ROWS, sizes[i]);
                    ck_assert_uint_lt((uint64_t)(t.down - 1) * cluster *
                                          CUDA_TILE_ROWS,
                                      sizes[i]);
                    ck_assert_uint_ge((uint64_t)t.across * columns, sizes[j]);
                    ck_assert_uint_lt((uint64_t)(t.across - 1) * columns,
                                      sizes[j]);
                    check_schedule(&t);
                }
}
END_TEST

/* 132 blocks at a time should read little more than a square would. */
START_TEST(schedule_keeps_neighbours_together)
{
    struct cuda_tiles t = cuda_tiles_of(8192, 8192, 256, 1);

    for (uint32_t first = 0; first + 132 <= t.count; first += 132) {
        bool rows[64] = { false }, columns[32] = { false };
        unsigned read = 0;

        for (uint32_t i = first; i < first + 132; i++) {
            uint32_t down, across;

            cuda_tile_at(&t, i, &down, &across);
            read += (rows[down] ? 0 : 128) + (columns[across] ? 0 : 256);
            rows[down] = columns[across] = true;
        }
        ck_assert_uint_le(read, 2 * 128 * 16 + 256 * 11);
    }
}
END_TEST

static struct cuda_tiles choose(size_t m, size_t n, uint32_t steps,
                                uint32_t splits, uint32_t most, uint32_t sms)
{
    uint64_t clocks;
    struct cuda_tiles t =
        cuda_tiles_choose(m, n, steps, splits, most, sms, &clocks);

    ck_assert_uint_eq(clocks, cuda_product_clocks(&t, steps, splits, sms));
    return t;
}

START_TEST(choice_fills_the_device)
{
    struct cuda_tiles t = choose(4096, 4096, 64, 1, 2, 132);

    ck_assert_uint_eq(t.columns, 256);
    ck_assert_uint_eq(t.cluster, 2);
    t = choose(4096, 4096, 64, 1, 1, 132);
    ck_assert_uint_eq(t.columns, 256);
    ck_assert_uint_eq(t.cluster, 1);
    t = choose(1024, 2048, 32, 1, 1, 132); /* 64, 128 or 256 tiles */
    ck_assert_uint_eq(t.columns, 128);
    t = choose(128, 4096, 64, 1, 2, 132); /* one tile of rows: no pairs */
    ck_assert_uint_eq(t.cluster, 1);
    ck_assert_uint_eq(t.columns, 64);
    for (size_t i = 0; i < SIZES; i++)
        for (size_t j = 0; j < SIZES; j++)
            for (uint32_t sms = 1; sms <= 132; sms += 131) {
                t = choose(sizes[i], sizes[j], 32, 1, 2, sms);
                ck_assert_uint_gt(t.count, 0);
                ck_assert_uint_eq(t.columns / t.cluster % 64, 0);
            }
}
END_TEST

START_TEST(parts_are_few_and_worth_it)
{
    /* Many tiles, or little k, as it is; few with much k in parts. */
    ck_assert_uint_eq(cuda_splits_choose(4096, 4096, 64), 1);
    ck_assert_uint_eq(cuda_splits_choose(1024, 1024, 16), 1);
    ck_assert_uint_eq(cuda_splits_choose(1024, 1024, 64), 2);
    ck_assert_uint_eq(cuda_splits_choose(512, 512, 128), 8);
    ck_assert_uint_eq(cuda_splits_choose(64, 64, 1), 1);
    for (size_t i = 0; i < SIZES; i++)
        for (size_t j = 0; j < SIZES; j++)
            for (uint32_t steps = 1; steps < 900; steps += steps / 8 + 1) {
                uint32_t s = cuda_splits_choose(sizes[i], sizes[j], steps);
                struct cuda_tiles whole, t;

                ck_assert_uint_le(s, CUDA_SPLITS_MOST);
                ck_assert_uint_eq(s & (s - 1), 0);
                ck_assert(s == 1 || steps / s >= 4);
                whole = choose(sizes[i], sizes[j], steps, 1, 2, CUDA_SMS);
                t = choose(sizes[i], sizes[j], steps, s, 2, CUDA_SMS);
                ck_assert_uint_le(
                    cuda_product_clocks(&t, steps, s, CUDA_SMS),
                    cuda_product_clocks(&whole, steps, 1, CUDA_SMS));
                for (uint32_t columns = 64; columns <= 256; columns *= 2)
                    for (uint32_t cluster = 1; cluster <= 2; cluster++) {
                        t = cuda_tiles_of(sizes[i], sizes[j], columns, cluster);
                        ck_assert_uint_le(cuda_parts_arrivals(&t, s),
                                          CUDA_ARRIVALS);
                    }
            }
}
END_TEST

START_TEST(parts_cover_k_once)
{
    for (uint32_t splits = 1; splits <= CUDA_SPLITS_MOST; splits *= 2)
        for (uint32_t steps = splits; steps < 500; steps++) {
            ck_assert_uint_eq(cuda_split_begin(steps, splits, 0), 0);
            ck_assert_uint_eq(cuda_split_begin(steps, splits, splits), steps);
            for (uint32_t s = 0; s < splits; s++) {
                uint32_t n = cuda_split_begin(steps, splits, s + 1) -
                             cuda_split_begin(steps, splits, s);

                ck_assert_uint_ge(n, steps / splits);
                ck_assert_uint_le(n, cuda_ceil(steps, splits));
            }
        }
}
END_TEST

/* A sum by what was added to what; addition that only commutes. */
static uint64_t joined(uint64_t a, uint64_t b)
{
    return (a + b) * 0x9e3779b97f4a7c15u ^ (a * b + 1);
}

/* Parts come in the order of `come`; returns the whole sum, which one has. */
static uint64_t join_all(uint32_t splits, const uint32_t *come)
{
    uint64_t at[CUDA_SPLITS_MOST] = { 0 }, whole = 0;
    uint32_t count[CUDA_SPLITS_MOST] = { 0 };

    for (uint32_t i = 0; i < splits; i++) {
        uint32_t s = come[i], level = 0;
        uint64_t sum = s + 1;

        for (; splits >> level > 1; level++) {
            uint32_t node = cuda_split_node(splits, s, level);

            ck_assert_uint_lt(node, splits - 1);
            at[cuda_split_place(s, level)] = sum;
            if (++count[node] < 2)
                break;
            ck_assert_uint_eq(count[node], 2);
            ck_assert_uint_ne(at[cuda_split_other(s, level)], 0);
            sum = joined(sum, at[cuda_split_other(s, level)]);
        }
        if (splits >> level == 1) {
            ck_assert_uint_eq(whole, 0);
            whole = sum;
        }
    }
    ck_assert_uint_ne(whole, 0);
    return whole;
}

START_TEST(parts_are_added_in_one_order)
{
    unsigned chance = 1;

    for (uint32_t splits = 2; splits <= CUDA_SPLITS_MOST; splits *= 2) {
        uint32_t come[CUDA_SPLITS_MOST];
        uint64_t want;

        for (uint32_t i = 0; i < splits; i++)
            come[i] = i;
        want = join_all(splits, come);
        for (int turn = 0; turn < 2000; turn++) {
            for (uint32_t i = splits; i > 1; i--) {
                uint32_t j, kept = come[i - 1];

                chance = chance * 1664525 + 1013904223;
                j = (chance >> 16) % i;
                come[i - 1] = come[j];
                come[j] = kept;
            }
            ck_assert_uint_eq(join_all(splits, come), want);
        }
    }
}
END_TEST

START_TEST(shared_memory_is_within_its_limit)
{
    for (uint32_t columns = 64; columns <= 256; columns *= 2) {
        uint32_t stages = cuda_stages(columns);
        uint32_t used = stages * cuda_stage_bytes(columns);

        ck_assert_uint_ge(stages, 4);
        ck_assert_uint_le(stages, CUDA_STAGES_MOST);
        ck_assert_uint_eq(cuda_stage_bytes(columns) % CUDA_RING_ALIGN, 0);
        ck_assert_uint_le(cuda_smem_bytes(columns), CUDA_SMEM_MOST);
        /* the barriers, full ones and free ones, end within what is asked */
        ck_assert_uint_le(CUDA_RING_ALIGN - 1 + used + 2 * CUDA_STAGES_MOST * 8,
                          cuda_smem_bytes(columns));
        ck_assert_uint_eq(used % 8, 0);
    }
    ck_assert_uint_eq(cuda_stages(256), 4);
}
END_TEST

START_TEST(swizzle_permutes_units_of_sixteen_bytes)
{
    for (uint32_t row = 0; row < 64; row++) {
        unsigned units = 0;

        for (uint32_t byte = 0; byte < 128; byte++) {
            uint32_t s = cuda_swizzle(row * 128 + byte);

            ck_assert_uint_eq(s / 128, row);
            ck_assert_uint_eq(s % 16, byte % 16);
            ck_assert_uint_eq(s % 128 / 16, (byte / 16) ^ (row % 8));
            units |= 1u << (s % 128 / 16);
        }
        ck_assert_uint_eq(units, 255);
    }
}
END_TEST

START_TEST(descriptor_has_its_fields)
{
    uint64_t d = cuda_descriptor(0x1a400, 8192, 1024);

    ck_assert_uint_eq(d & 0x3fff, 0x1a40);
    ck_assert_uint_eq(d >> 14 & 3, 0);
    ck_assert_uint_eq(d >> 16 & 0x3fff, 512);
    ck_assert_uint_eq(d >> 30 & 3, 0);
    ck_assert_uint_eq(d >> 32 & 0x3fff, 64);
    ck_assert_uint_eq(d >> 46 & 7, 0);
    ck_assert_uint_eq(d >> 49 & 7, 0); /* base offset */
    ck_assert_uint_eq(d >> 62, 1);     /* 128-byte swizzle */
    /* The last step of the last stage stays within the address field. */
    d = cuda_operand_descriptor(CUDA_SMEM_MOST - CUDA_RING_ALIGN, true);
    ck_assert_uint_eq((d + 3 * cuda_step_advance(true)) >> 14 & 3, 0);
}
END_TEST

/* A tensor copy of one box: lines of 64 values, swizzled. The matrix is stored
 * with `width` values a line; outside of it are zeros. */
static void box_copy(uint16_t *to, const uint16_t *m, size_t lines,
                     size_t width, size_t x, size_t y, size_t height)
{
    for (size_t i = 0; i < height; i++)
        for (size_t j = 0; j < 64; j++)
            to[cuda_swizzle((uint32_t)(i * 128 + j * 2)) / 2] =
                y + i < lines && x + j < width ? m[(y + i) * width + x + j] : 0;
}

/* What an instruction with descriptor d reads as element (row, k): the layouts
 * of PTX ISA, "Shared memory matrix layout". */
static uint16_t operand_at(const uint16_t *smem, uint64_t d, bool cross,
                           uint32_t row, uint32_t k)
{
    uint32_t start = (uint32_t)(d & 0x3fff) << 4;
    uint32_t leading = (uint32_t)(d >> 16 & 0x3fff) << 4;
    uint32_t stride = (uint32_t)(d >> 32 & 0x3fff) << 4;
    uint32_t at =
        cross ? row / 64 * leading + k / 8 * stride + k % 8 * 128 + row % 64 * 2
              : row / 8 * stride + row % 8 * 128 + k * 2;

    return smem[cuda_swizzle(start + at) / 2];
}

static void check_operand(bool cross, uint32_t rows, size_t height,
                          size_t depth, size_t y, size_t k0)
{
    static uint16_t smem[CUDA_SMEM_MOST / 2];
    uint32_t base = 3 * CUDA_RING_ALIGN;
    uint16_t *m = malloc(height * depth * sizeof(*m));

    for (size_t i = 0; i < height * depth; i++)
        m[i] = (uint16_t)(i * 40503 + 1);
    memset(smem, 0xee, sizeof(smem));
    if (cross)
        for (uint32_t i = 0; i < rows / 64; i++)
            box_copy(smem + (base + i * CUDA_CHUNK_BYTES) / 2, m, depth, height,
                     y + i * 64, k0, 64);
    else
        box_copy(smem + base / 2, m, height, depth, k0, y, rows);
    for (uint32_t k = 0; k < CUDA_TILE_DEPTH; k++)
        for (uint32_t r = 0; r < rows; r++) {
            uint64_t d = cuda_operand_descriptor(base, cross) +
                         k / CUDA_STEP_DEPTH * cuda_step_advance(cross);
            size_t row = y + r, at = k0 + k;
            uint16_t want = row >= height || at >= depth ? 0
                            : cross                      ? m[at * height + row]
                                                         : m[row * depth + at];

            ck_assert_uint_eq(
                operand_at(smem, d, cross, r, k % CUDA_STEP_DEPTH), want);
        }
    free(m);
}

START_TEST(descriptor_finds_what_the_copy_put)
{
    for (int cross = 0; cross < 2; cross++)
        for (uint32_t rows = 64; rows <= 256; rows *= 2) {
            check_operand(cross, rows, 600, 200, 128, 64);
            check_operand(cross, rows, 200, 100, 128, 64); /* ragged */
            check_operand(cross, rows, 80, 16, 0, 0); /* k within one box */
        }
}
END_TEST

/* The second warpgroup's rows begin a chunk further, crossed or not. */
START_TEST(warpgroups_are_a_chunk_apart)
{
    ck_assert_uint_eq(CUDA_CHUNK_BYTES, 64 * CUDA_SWIZZLE_BYTES);
    ck_assert_uint_eq(CUDA_TILE_ROWS, 128);
    ck_assert_uint_eq(cuda_step_advance(false), 2);
    ck_assert_uint_eq(cuda_step_advance(true), 128);
}
END_TEST

START_TEST(fragments_cover_the_tile)
{
    char seen[64][256] = { { 0 } };

    for (uint32_t thread = 0; thread < 128; thread++)
        for (uint32_t i = 0; i < 128; i++) {
            uint32_t row = cuda_fragment_row(thread, i);
            uint32_t column = cuda_fragment_column(thread, i);

            ck_assert_uint_lt(row, 64);
            ck_assert_uint_lt(column, 256);
            ck_assert_int_eq(seen[row][column], 0);
            seen[row][column] = 1;
        }
    ck_assert_uint_eq(cuda_fragment_row(37, 2), 16 + 1 + 8);
    ck_assert_uint_eq(cuda_fragment_column(37, 5), 8 + 2 + 1);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("cuda_layout");

    tcase_add_test(t, schedule_covers_each_tile_once);
    tcase_add_test(t, schedule_keeps_neighbours_together);
    tcase_add_test(t, choice_fills_the_device);
    tcase_add_test(t, parts_are_few_and_worth_it);
    tcase_add_test(t, parts_cover_k_once);
    tcase_add_test(t, parts_are_added_in_one_order);
    tcase_add_test(t, shared_memory_is_within_its_limit);
    tcase_add_test(t, swizzle_permutes_units_of_sixteen_bytes);
    tcase_add_test(t, descriptor_has_its_fields);
    tcase_add_test(t, descriptor_finds_what_the_copy_put);
    tcase_add_test(t, warpgroups_are_a_chunk_apart);
    tcase_add_test(t, fragments_cover_the_tile);
    return suite_run("cuda_layout", t);
}
