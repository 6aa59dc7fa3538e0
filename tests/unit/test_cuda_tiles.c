/* test_cuda_tiles.c - the index arithmetic of the matrix kernels, on the host:
 * ldmatrix and mma as the PTX manual has them, all shapes that kernels use */
#include "suite.h"

#include "compute/cuda/cuda_layout.h"
#include "compute/cuda/cuda_tiles.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

START_TEST(raster_meets_each_tile_once)
{
    static const unsigned shapes[][2] = { { 1, 1 }, { 7, 3 },   { 8, 5 },
                                          { 9, 5 }, { 64, 32 }, { 3, 700 },
                                          { 33, 1 } };

    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
        unsigned rows = shapes[s][0], cols = shapes[s][1];
        unsigned char *seen = calloc(rows, cols);

        for (unsigned i = 0; i < rows * cols; i++) {
            unsigned row, col;

            tiles_raster(i, rows, cols, &row, &col);
            ck_assert_uint_lt(row, rows);
            ck_assert_uint_lt(col, cols);
            ck_assert_uint_eq(seen[row * cols + col]++, 0);
        }
        free(seen);
    }
}
END_TEST

START_TEST(split_ranges_cover_k_once)
{
    for (size_t tiles = 1; tiles < 300; tiles++)
        for (size_t steps = 0; steps < 600; steps++) {
            size_t per, end;
            unsigned splits = tiles_splits(tiles, steps, &per);

            ck_assert_uint_ge(splits, 1);
            ck_assert_uint_le(splits, TILES_SPLITS);
            ck_assert(splits == 1 || tiles * TILES_NODES <= CUDA_ARRIVALS);
            end = (splits - 1) * per;
            ck_assert(splits == 1 ? per == steps : end < steps);
            ck_assert_uint_ge(end + per, steps);
            ck_assert(splits == 1 || per >= 4);
        }
}
END_TEST

START_TEST(panels_are_whole_tiles_of_what_fits)
{
    const size_t most = 1 << 20, tile = 256;

    for (size_t n = 1; n < 20000; n += 37)
        for (size_t column = 2; column < 40000; column = column * 3 + 1) {
            size_t step = tiles_panel(n, column, tile, most);

            ck_assert(step == n || (step < n && step % tile == 0));
            ck_assert(step * column <= most || step <= tile);
            ck_assert(step == n || (step + tile) * column > most / 2);
        }
    ck_assert_uint_eq(tiles_panel(0, 100, tile, most), 0);
}
END_TEST

START_TEST(bytes_of_a_ragged_chunk)
{
    ck_assert_uint_eq(tiles_bytes(0, 8, 2), 16);
    ck_assert_uint_eq(tiles_bytes(8, 8, 2), 0);
    ck_assert_uint_eq(tiles_bytes(8, 11, 2), 6);
    ck_assert_uint_eq(tiles_bytes(8, 11, 4), 12);
    ck_assert_uint_eq(tiles_bytes(16, 11, 4), 0);
    ck_assert_uint_eq(tiles_bytes(0, -5, 4), 0);
}
END_TEST

/* Rows and chunks a row of every tile that a kernel keeps. */
static const struct {
    unsigned rows, chunks;
    bool wide;
} kept[] = {
    { 32, 4, false }, { 64, 4, false },  { 128, 4, false }, { 256, 4, false },
    { 32, 8, false }, { 32, 16, false }, { 32, 32, false }, { 16, 8, true },
    { 16, 16, true }, { 16, 32, true },
};
#define KEPT (sizeof(kept) / sizeof(kept[0]))

START_TEST(swizzle_is_a_bijection)
{
    for (size_t s = 0; s < KEPT; s++) {
        unsigned n = kept[s].rows * kept[s].chunks;
        unsigned char *seen = calloc(n, 1);

        for (unsigned i = 0; i < n; i++) {
            unsigned at = tiles_at(i / kept[s].chunks, i % kept[s].chunks,
                                   kept[s].chunks, kept[s].wide);

            ck_assert_uint_eq(at % TILES_CHUNK, 0);
            ck_assert_uint_lt(at / TILES_CHUNK, n);
            ck_assert_uint_eq(seen[at / TILES_CHUNK]++, 0);
        }
        free(seen);
    }
}
END_TEST

START_TEST(ldmatrix_has_no_bank_conflict)
{
    for (size_t s = 0; s < KEPT; s++)
        for (unsigned row = 0; row + 8 <= kept[s].rows; row += 8)
            for (unsigned chunk = 0; chunk < kept[s].chunks; chunk++) {
                unsigned banks = 0;

                for (unsigned r = 0; !kept[s].wide && r < 8; r++)
                    banks |=
                        1u << tiles_at(row + r, chunk, kept[s].chunks, false) /
                                  TILES_CHUNK % 8;
                ck_assert(kept[s].wide || banks == 0xff);
            }
}
END_TEST

START_TEST(column_reads_of_f32_have_no_bank_conflict)
{
    for (size_t s = 0; s < KEPT; s++)
        for (unsigned k = 0; kept[s].wide && k < kept[s].rows; k += 4)
            for (unsigned m = 0; m < kept[s].chunks * 4; m += 8) {
                uint32_t banks = 0;

                for (unsigned lane = 0; lane < 32; lane++) {
                    unsigned at = m + tiles_a_row(lane, 0);

                    banks |= 1u << (tiles_at(k + tiles_a_k(lane, 0, 4), at / 4,
                                             kept[s].chunks, true) /
                                        4 +
                                    at % 4) %
                                       32;
                }
                ck_assert_uint_eq(banks, 0xffffffffu);
            }
}
END_TEST

/* Element `half` of register `reg` of `lane` after ldmatrix.x4 of 16-bit
 * elements, whose lanes name rows at byte addresses `at`. */
static uint16_t ldmatrix(const uint16_t *shared, const unsigned *at,
                         unsigned lane, unsigned reg, unsigned half, bool trans)
{
    unsigned row = lane / 4, col = lane % 4 * 2 + half;

    return trans ? shared[at[reg * 8 + col] / 2 + row]
                 : shared[at[reg * 8 + row] / 2 + col];
}

/* A tile of R x 32 elements, each its own number r * 32 + k, as stored. */
static void store_tile(uint16_t *shared, unsigned rows, bool cross)
{
    unsigned chunks = cross ? rows / 8 : 4;

    for (unsigned r = 0; r < rows; r++)
        for (unsigned k = 0; k < 32; k++) {
            unsigned y = cross ? k : r, x = cross ? r : k;

            shared[tiles_at(y, x / 8, chunks, false) / 2 + x % 8] =
                (uint16_t)(r * 32 + k);
        }
}

static void check_operand(unsigned rows, bool cross, bool is_a)
{
    uint16_t *shared = calloc((size_t)rows * 32, 2);
    unsigned at[32], chunks = cross ? rows / 8 : 4;
    bool by_rows = is_a != cross;

    store_tile(shared, rows, cross);
    for (unsigned r0 = 0; r0 < rows; r0 += 16)
        for (unsigned step = 0; step < 2; step++) {
            for (unsigned l = 0; l < 32; l++) {
                unsigned row = tiles_lane_row(l, by_rows);
                unsigned chunk = tiles_lane_chunk(l, by_rows);

                at[l] =
                    cross ? tiles_at(step * 16 + row, r0 / 8 + chunk, chunks,
                                     false)
                          : tiles_at(r0 + row, step * 2 + chunk, chunks, false);
            }
            for (unsigned i = 0; i < 32 * 4 * 2; i++) {
                unsigned lane = i / 8, reg = i / 2 % 4, half = i % 2;
                unsigned r = r0 + (is_a ? tiles_a_row(lane, reg)
                                        : tiles_b_row(lane, reg));
                unsigned k =
                    step * 16 + half +
                    (is_a ? tiles_a_k(lane, reg, 2) : tiles_b_k(lane, reg, 2));

                ck_assert_uint_eq(ldmatrix(shared, at, lane, reg, half, cross),
                                  r * 32 + k);
            }
        }
    free(shared);
}

START_TEST(ldmatrix_gives_what_mma_wants)
{
    for (unsigned rows = 32; rows <= 256; rows *= 2)
        for (unsigned i = 0; i < 4; i++)
            check_operand(rows, i & 1, i & 2);
}
END_TEST

/* f32: a 16-byte row is four elements, a lane's register the one at lane % 4;
 * the same lanes as above name the rows. */
START_TEST(ldmatrix_of_f32_gives_what_mma_wants)
{
    for (unsigned i = 0; i < 32 * 4 * 2; i++) {
        unsigned lane = i / 8, reg = i / 2 % 4;
        bool is_a = i % 2;
        unsigned from = reg * 8 + lane / 4;
        unsigned row = tiles_lane_row(from, is_a);
        unsigned k = tiles_lane_chunk(from, is_a) * 4 + lane % 4;

        ck_assert_uint_eq(row, is_a ? tiles_a_row(lane, reg)
                                    : tiles_b_row(lane, reg));
        ck_assert_uint_eq(k, is_a ? tiles_a_k(lane, reg, 4)
                                  : tiles_b_k(lane, reg, 4));
    }
}
END_TEST

START_TEST(accumulators_cover_their_tile)
{
    unsigned char seen[16][8];

    memset(seen, 0, sizeof(seen));
    for (unsigned i = 0; i < 128; i++)
        seen[tiles_c_row(i / 4, i % 4)][tiles_c_col(i / 4, i % 4)]++;
    for (unsigned i = 0; i < 128; i++)
        ck_assert_uint_eq(seen[i / 8][i % 8], 1);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("cuda_tiles");

    tcase_add_test(t, panels_are_whole_tiles_of_what_fits);
    tcase_add_test(t, raster_meets_each_tile_once);
    tcase_add_test(t, split_ranges_cover_k_once);
    tcase_add_test(t, bytes_of_a_ragged_chunk);
    tcase_add_test(t, swizzle_is_a_bijection);
    tcase_add_test(t, ldmatrix_has_no_bank_conflict);
    tcase_add_test(t, column_reads_of_f32_have_no_bank_conflict);
    tcase_add_test(t, ldmatrix_gives_what_mma_wants);
    tcase_add_test(t, ldmatrix_of_f32_gives_what_mma_wants);
    tcase_add_test(t, accumulators_cover_their_tile);
    return suite_run("cuda_tiles", t);
}
