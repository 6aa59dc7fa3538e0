/* test_cuda_reduce.c - how the CUDA plugin cuts sums and rows, played through
 * on the CPU: every element once, every sum in the order that is promised */
#include "suite.h"

#include "base/mem.h"
#include "base/rng.h"
#include "compute/cuda/cuda_reduce.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DIM 3

/* What one launch of embed_grad does: the first row with an id adds all. */
static void segment(float *table, const float *dy, const int32_t *ids,
                    unsigned rows)
{
    for (unsigned row = 0; row < rows; row++) {
        uint32_t words[CUDA_EMBED_ROWS / 32] = { 0 };
        bool earlier = false;

        for (unsigned j = 0; j < CUDA_EMBED_ROWS; j++) {
            bool same = j < rows && ids[j] == ids[row];

            words[j / 32] |= (uint32_t)same << j % 32;
            earlier |= same && j < row;
        }
        if (earlier)
            continue;
        for (unsigned r = row; r < rows; r = cuda_next_row(words, r + 1, rows))
            for (int i = 0; i < DIM; i++)
                table[ids[row] * DIM + i] += dy[r * DIM + i];
    }
}

START_TEST(embed_grad_adds_rows_in_their_order)
{
    static const size_t counts[] = { 1, 31, 32, 33, 1023, 1024, 1025, 3000 };
    static const uint64_t vocabs[] = { 1, 2, 40, 5000 };
    struct rng rng;

    rng_init(&rng, 5);
    for (size_t s = 0; s < sizeof(counts) / sizeof(counts[0]); s++) {
        size_t rows = counts[s];
        uint64_t vocab = vocabs[_i];
        float *want = mem_zalloc(vocab * DIM * sizeof(*want));
        float *got = mem_zalloc(vocab * DIM * sizeof(*got));
        float *dy = mem_array(rows * DIM, sizeof(*dy));
        int32_t *ids = mem_array(rows, sizeof(*ids));

        for (size_t r = 0; r < rows; r++)
            ids[r] = (int32_t)rng_below(&rng, vocab);
        for (size_t i = 0; i < rows * DIM; i++) {
            dy[i] = (float)rng_below(&rng, 1000) / 37.0f - 13.0f;
            want[(uint64_t)ids[i / DIM] * DIM + i % DIM] += dy[i];
        }
        for (size_t at = 0; at < rows; at += CUDA_EMBED_ROWS)
            segment(got, dy + at * DIM, ids + at,
                    (unsigned)(rows - at < CUDA_EMBED_ROWS ? rows - at
                                                           : CUDA_EMBED_ROWS));
        ck_assert(memcmp(want, got, vocab * DIM * sizeof(*want)) == 0);
        free(want);
        free(got);
        free(dy);
        free(ids);
    }
}
END_TEST

/* Threads as in squares_kernel: vectors of `wide`, the last one in part. */
START_TEST(sums_take_each_element_once)
{
    static const size_t sizes[] = { 1,      3,      2047,    2048,    2049,
                                    300001, 524288, 2097152, 2097153, 3000001 };

    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        size_t n = sizes[s], wide = _i ? 4 : 1, blocks = cuda_sum_blocks(n);
        size_t step = blocks * CUDA_SUM_THREADS * wide;
        unsigned char *seen = mem_zalloc(n);
        size_t wrong = 0;

        ck_assert_uint_ge(blocks, 1);
        ck_assert_uint_le(blocks, CUDA_SUM_BLOCKS);
        for (size_t t = 0; t < blocks * CUDA_SUM_THREADS; t++)
            for (size_t i = t * wide; i < n; i += step)
                for (size_t j = i; j < i + wide && j < n; j++)
                    seen[j]++;
        for (size_t i = 0; i < n; i++) /* a mark for each takes seconds */
            wrong += seen[i] != 1;
        ck_assert_uint_eq(wrong, 0);
        free(seen);
    }
}
END_TEST

START_TEST(column_sums_take_each_row_once_and_pieces_in_order)
{
    static const size_t shapes[][2] = {
        { 1, 1 }, { 63, 5 }, { 64, 128 }, { 65, 129 }, { 4096, 576 },
    };

    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
        size_t rows = shapes[s][0], dim = shapes[s][1], width = 128;
        size_t tiles = cuda_ceil_div(dim, width);
        size_t pieces = cuda_column_pieces(rows), last = 0;
        size_t *count = mem_zalloc(dim * sizeof(*count));

        for (size_t b = 0; b < pieces * tiles; b++) {
            size_t piece, tile, end;

            cuda_column_place(b, tiles, &piece, &tile);
            ck_assert(piece < pieces && tile < tiles && piece >= last);
            last = piece;
            end = (piece + 1) * CUDA_COLUMN_ROWS;
            end = end < rows ? end : rows;
            for (size_t i = tile * width; i < (tile + 1) * width; i++)
                if (i < dim)
                    count[i] += end - piece * CUDA_COLUMN_ROWS;
        }
        for (size_t i = 0; i < dim; i++)
            ck_assert_uint_eq(count[i], rows);
        free(count);
    }
}
END_TEST

START_TEST(logits_stay_in_their_bound_and_pieces_are_even)
{
    static const size_t vocabs[] = { 1, 97, 49152, 50257, 128256, 300000 };
    static const size_t limits[] = { (size_t)1 << 30, (size_t)8 << 30,
                                     (size_t)80 << 30 };

    for (size_t v = 0; v < sizeof(vocabs) / sizeof(vocabs[0]); v++)
        for (size_t l = 0; l < sizeof(limits) / sizeof(limits[0]); l++)
            for (size_t rows = 1; rows < 40000; rows += rows / 3 + 1) {
                size_t row = cuda_logits_stride(vocabs[v]) * 4;
                size_t n = cuda_logits_rows(rows, vocabs[v], 4, limits[l]);
                size_t pieces = cuda_ceil_div(rows, n);

                ck_assert(n >= 1 && n <= rows);
                ck_assert(row / 4 >= vocabs[v] && row % 256 == 0);
                ck_assert(n <= 128 || n * row <= CUDA_LOGITS_BYTES);
                ck_assert(n <= 128 || n * row <= limits[l] / 16);
                ck_assert(pieces == 1 || n % 128 == 0);
                /* Even: one piece less of rows would not do. */
                ck_assert(pieces == 1 || n - 128 < rows / pieces + 1);
            }
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("cuda_reduce");

    tcase_add_loop_test(t, embed_grad_adds_rows_in_their_order, 0, 4);
    tcase_add_loop_test(t, sums_take_each_element_once, 0, 2);
    tcase_add_test(t, column_sums_take_each_row_once_and_pieces_in_order);
    tcase_add_test(t, logits_stay_in_their_bound_and_pieces_are_even);
    return suite_run("cuda_reduce", t);
}
