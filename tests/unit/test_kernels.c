/*
 * test_kernels.c - each kernel of each set beside generic
 *
 * Odd sizes, addresses that no vector likes, a page behind every buffer that
 * cannot be touched, numbers from denormal to large. A new entry of struct
 * cpu_kernels without a case does not compile. With KERNELS_CYCLES set, the
 * cycles of each entry are printed beside generic's.
 */
#include "kernels_cases.h"
#include "suite.h"

#include "compute/cpu/cpu_house.h"

#include <stdio.h>
#include <stdlib.h>

extern const struct cpu_kernels cpu_kernels_wide;

/* The error allowed, of the largest result. int_bytes, and the peaks, which
 * tell nothing to compare, assert what they can. */
#define KERNELS(X)                                                             \
    X(block, 1e-5)                                                             \
    X(narrow, 1e-5)                                                            \
    X(pack_rows, 0)                                                            \
    X(pack_cols, 0)                                                            \
    X(pack_strips, 1e-5)                                                       \
    X(widen, 0)                                                                \
    X(int_bytes, 0)                                                            \
    X(int_rows, 1e-5)                                                          \
    X(int_tile, 1e-5)                                                          \
    X(axpy, 1e-6)                                                              \
    X(add_bias, 0)                                                             \
    X(sum_squares, 1e-5)                                                       \
    X(rmsnorm, 1e-5)                                                           \
    X(rmsnorm_grad, 1e-5)                                                      \
    X(rope, 1e-6)                                                              \
    X(swiglu, 2e-6)                                                            \
    X(swiglu_grad, 2e-6)                                                       \
    X(softmax_part, 1e-5)                                                      \
    X(softmax_back, 1e-5)                                                      \
    X(times, 0)                                                                \
    X(block_thin, 1e-5)                                                        \
    X(thin, 1e-6)                                                              \
    X(dot, 1e-5)                                                               \
    X(scale, 0)                                                                \
    X(cross_entropy, 1e-5)                                                     \
    X(argmax, 1e-5)                                                            \
    X(adamw, 1e-5)                                                             \
    X(activate, 2e-6)                                                          \
    X(activate_grad, 2e-6)                                                     \
    X(glu, 2e-6)                                                               \
    X(glu_grad, 2e-6)                                                          \
    X(softcap, 2e-6)                                                           \
    X(softcap_grad, 2e-6)                                                      \
    X(layernorm, 1e-4)                                                         \
    X(layernorm_grad, 1e-5)                                                    \
    X(conv_row, 2e-6)                                                          \
    X(conv_row_grad, 2e-6)                                                     \
    X(scan_step, 1e-5)                                                         \
    X(scan_step_grad, 1e-5)                                                    \
    X(delta_step, 1e-5)                                                        \
    X(delta_step_grad, 1e-5)                                                   \
    X(peak_fma, 0)                                                             \
    X(peak_int8, 0)                                                            \
    X(peak_read, 0)

/* Each name is an entry, and each entry but the names and sizes has a case. */
#define ENTRY(name, bound) { #name, case_##name, bound },
static const struct {
    const char *name;
    void (*run)(const struct cpu_kernels *k, size_t n);
    double bound;
} entries[] = { KERNELS(ENTRY) };
#define ENTRIES (sizeof(entries) / sizeof(entries[0]))
#define IS_ENTRY(name, bound) sizeof(cpu_kernels_generic.name) +
_Static_assert(KERNELS(IS_ENTRY) 5 * sizeof(size_t) ==
                   sizeof(struct cpu_kernels),
               "an entry of struct cpu_kernels has no case");

static const size_t sizes[] = { 0,  1,   2,   3,   4,   5,  6,  7,  8,  9,
                                10, 11,  12,  13,  14,  15, 16, 17, 18, 19,
                                20, 21,  22,  23,  24,  25, 26, 27, 28, 29,
                                30, 31,  32,  33,  34,  35, 63, 64, 65, 66,
                                67, 127, 255, 256, 257, 500 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))
static const float magnitudes[] = { 1, 1e-40f, 1e-20f, 20 };

static void run(const struct cpu_kernels *k, size_t entry, size_t n)
{
    slot = result_count = 0;
    entries[entry].run(k, n);
}

static void compare(const struct cpu_kernels *k, size_t entry, size_t n)
{
    static float should[RESULTS];
    size_t count;
    double most = 0;

    run(&cpu_kernels_generic, entry, n);
    count = result_count;
    memcpy(should, results, count * sizeof(*should));
    run(k, entry, n);
    ck_assert_uint_eq(result_count, count);
    for (size_t i = 0; i < count; i++)
        if (isfinite(should[i]) && fabs((double)should[i]) > most)
            most = fabs((double)should[i]);
    for (size_t i = 0; i < count; i++) {
        double off = fabs((double)results[i] - (double)should[i]);

        if (memcmp(&results[i], &should[i], sizeof(float)) == 0)
            continue; /* also infinities */
        ck_assert_msg(off <= entries[entry].bound * most + 1e-43,
                      "%s %s of %zu about %g: result %zu is %.9g, not %.9g",
                      k->name, entries[entry].name, n, (double)magnitude, i,
                      (double)results[i], (double)should[i]);
    }
}

static const struct cpu_kernels *set_of(int number)
{
    if ((size_t)number == cpu_variant_count)
        return &cpu_kernels_wide;
    return cpu_variants[number].kernels;
}

static bool is_usable(int number)
{
    uint32_t needs = (size_t)number == cpu_variant_count
                         ? (uint32_t)ISA_avx2 | ISA_fma | ISA_f16c
                         : cpu_variants[number].needs;

#if !defined(__x86_64__)
    needs = (size_t)number == cpu_variant_count ? 0 : needs;
#endif
    if ((needs & ~cpu_isa()) == 0)
        return true;
    (void)printf("skip: this CPU has not all that %s needs\n",
                 set_of(number)->name);
    return false;
}

START_TEST(kernels_give_what_generic_gives)
{
    const struct cpu_kernels *k = set_of(_i);

    if (!is_usable(_i))
        return;
    for (size_t m = 0; m < sizeof(magnitudes) / sizeof(*magnitudes); m++) {
        magnitude = magnitudes[m];
        for (size_t e = 0; e < ENTRIES; e++)
            for (size_t s = 0; s < SIZES; s++)
                compare(k, e, sizes[s]);
    }
}
END_TEST

START_TEST(the_check_at_start_passes)
{
    if (is_usable(_i))
        ck_assert_ptr_null(cpu_check(set_of(_i)));
}
END_TEST

/* A cache's bytes: what is not finite is told by the factor alone, what is next
 * to nothing is nothing. */
START_TEST(bytes_of_what_is_no_number)
{
    static const float odd[] = { NAN, -NAN, INFINITY, -INFINITY, 1e-40f };
    const struct cpu_kernels *k = set_of(_i);
    float x[37], factor;
    int8_t bytes[37];

    if (!is_usable(_i))
        return;
    for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
        for (size_t at = 0; at < 37; at += 4) {
            for (size_t n = 0; n < 37; n++)
                x[n] = isfinite(odd[i]) ? 0 : (float)n;
            x[at] = odd[i];
            memset(bytes, 3, sizeof(bytes));
            factor = k->thin(bytes, x, COMPUTE_I8, 37);
            ck_assert_int_eq(!isfinite(factor), !isfinite(odd[i]));
            for (size_t n = 0; n < 37; n++)
                ck_assert_int_eq(bytes[n], 0);
        }
}
END_TEST

/* The fewest cycles of an entry's case in some rounds, its kernels alone. */
static uint64_t cycles(const struct cpu_kernels *k, size_t entry)
{
    uint64_t best = UINT64_MAX;

    for (int round = 0; round < 20; round++) {
        uint64_t began = ticks(), took;

        aside = 0;
        run(k, entry, 512);
        took = ticks() - began;
        took = took > aside ? took - aside : 0;
        best = took < best ? took : best;
    }
    return best;
}

START_TEST(cycles_are_printed_on_demand)
{
    const struct cpu_kernels *k = set_of(_i);

    if (!getenv("KERNELS_CYCLES") || !is_usable(_i))
        return;
    magnitude = 1;
    for (size_t e = 0; e < ENTRIES; e++) {
        uint64_t generic = cycles(&cpu_kernels_generic, e);
        uint64_t own = cycles(k, e);

        ck_assert_uint_gt(own, 0);
        (void)printf("%-12s %-16s %9llu cycles, generic %9llu: %5.1f x\n",
                     k->name, entries[e].name, (unsigned long long)own,
                     (unsigned long long)generic,
                     (double)generic / (double)own);
    }
}
END_TEST

int main(void)
{
    TCase *t = suite_case("kernels", slots_begin, NULL);
    int sets = (int)cpu_variant_count + 1;

    tcase_add_loop_test(t, kernels_give_what_generic_gives, 0, sets);
    tcase_add_loop_test(t, the_check_at_start_passes, 0, sets);
    tcase_add_loop_test(t, bytes_of_what_is_no_number, 0, sets);
    tcase_add_loop_test(t, cycles_are_printed_on_demand, 0, sets);
    return suite_run("kernels", t);
}
