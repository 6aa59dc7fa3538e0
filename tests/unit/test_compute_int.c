/*
 * test_compute_int.c - products with weights that are blocks of 8 or 4 bits
 *
 * The reference is a sum of doubles over what weights and activations are
 * after rounding; every set of kernels gives generic's bits.
 */
/* The form for machines with VNNI, its one instruction in plain C. */
#pragma GCC diagnostic ignored "-Wunused-function"
#define INT_EMULATED
#include "compute/cpu/kernels_int.h"

#include "compute_arrays.h"
#include "suite.h"

#include <float.h>
#include <sys/mman.h>
#include <unistd.h>

static const enum compute_quant kinds[] = { COMPUTE_Q8_0, COMPUTE_Q4_0 };

/* m, n, k: rows and columns that no tile divides */
static const size_t shapes[][3] = {
    { 1, 1, 32 },     { 1, 16, 64 },   { 2, 17, 96 },   { 3, 15, 32 },
    { 5, 61, 160 },   { 7, 33, 576 },  { 8, 48, 128 },  { 13, 100, 64 },
    { 29, 7, 224 },   { 1, 300, 576 }, { 35, 130, 96 }, { 1, 523, 1120 },
    { 2, 523, 1120 },
};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* What the device rounds a row to. */
static void round_row(double *y, const float *x, size_t k)
{
    for (size_t b = 0; b < k; b += 32) {
        float top = 0;

        for (size_t i = b; i < b + 32; i++)
            top = fmaxf(top, fabsf(x[i]));
        for (size_t i = b; i < b + 32; i++)
            y[i] = top > 0
                       ? (double)rintf(x[i] * (127 / top)) * (double)(top / 127)
                       : 0;
    }
}

static void check_row(const struct product *p, const float *before, size_t r,
                      const double *x)
{
    size_t n = p->l.n, k = p->l.k;

    for (size_t j = 0; j < n; j++) {
        double sum = 0, size = 0, want;

        for (size_t i = 0; i < k; i++) {
            sum += x[i] * (double)p->w.x[j * k + i];
            size += fabs(x[i] * (double)p->w.x[j * k + i]);
        }
        want = 0.5 * sum + (double)p->b.x[j] + (double)before[r * n + j];
        ck_assert_msg(fabs((double)p->y.x[r * n + j] - want) <=
                          ((double)k / 32 + 6) * FLT_EPSILON *
                              (size + fabs((double)p->b.x[j]) +
                               fabs((double)before[r * n + j])),
                      "%zu,%zu,%zu at %zu,%zu: %.9g, not %.9g", p->l.m, n, k, r,
                      j, p->y.x[r * n + j], want);
    }
}

static void check_product(struct compute *c, const size_t *shape,
                          enum compute_quant kind)
{
    struct product p = product(c, shape);
    size_t n = shape[1], k = shape[2];
    float *before = mem_array(p.y.n, sizeof(*before));
    double *x = mem_array(k, sizeof(*x));

    if (p.x.n > 64) { /* a block of zeros, and a large value */
        memset(p.x.x, 0, 32 * sizeof(float));
        p.x.x[40] = 300;
        c->ops->upload(c, p.x.s, p.x.x, p.x.n);
    }
    OK(c->ops->quantise(c, p.w.s, n, k, kind, &err));
    (void)fetch(c, &p.w);
    memcpy(before, p.y.x, p.y.n * sizeof(*before));
    c->ops->linear(c, &p.l);
    (void)fetch(c, &p.y);
    for (size_t r = 0; r < shape[0]; r++) {
        round_row(x, p.x.x + r * k, k);
        check_row(&p, before, r, x);
    }
    free(before);
    free(x);
    product_drop(c, &p);
}

START_TEST(products_are_those_of_the_rounded_values)
{
    struct compute *c = open_set(_i % SETS, 2);

    if (!c)
        return;
    for (size_t i = 0; i < SHAPES; i++)
        check_product(c, shapes[i], kinds[_i / SETS]);
    compute_close(c);
}
END_TEST

/* y of a product whose operands are the same in each call. */
static float *result(const char *set, unsigned threads, const size_t *shape,
                     enum compute_quant kind, bool row_by_row)
{
    struct compute_options opt = { .kernels = set, .threads = threads };
    struct compute *c;
    struct product p;
    float *y;

    if (compute_open(&opt, &c, &err) < 0)
        return NULL;
    rng_init(&rng, 11);
    p = product(c, shape);
    OK(c->ops->quantise(c, p.w.s, p.l.n, p.l.k, kind, &err));
    if (row_by_row) {
        struct compute_linear l = p.l;

        l.m = 1;
        for (size_t r = 0; r < p.l.m; r++) {
            c->ops->linear(c, &l);
            l.x.at += p.l.k;
            l.y.at += p.l.n;
            l.addend.at += p.l.n;
        }
    } else {
        c->ops->linear(c, &p.l);
    }
    y = fetch(c, &p.y);
    p.y.x = NULL;
    product_drop(c, &p);
    compute_close(c);
    return y;
}

START_TEST(bits_are_the_same_for_kernels_threads_and_batches)
{
    const size_t *shape = shapes[(size_t)_i / 2];
    size_t bytes = shape[0] * shape[1] * sizeof(float);
    float *want = result("generic", 1, shape, kinds[_i % 2], false);

    for (size_t s = 0; s < SETS; s++)
        for (unsigned threads = 1; threads <= 3; threads++) {
            float *got =
                result(sets[s], threads, shape, kinds[_i % 2], threads == 2);

            ck_assert_msg(!got || memcmp(got, want, bytes) == 0,
                          "%s, %u threads", sets[s], threads);
            free(got);
        }
    free(want);
}
END_TEST

/* Layers of one x: as blocks of one kind, of several, one of them not at all;
 * few rows and many. */
START_TEST(layers_of_one_x_give_the_bits_of_each)
{
    static const size_t n[] = { 523, 16, 331 }, k = 1120;
    const size_t m = _i < 4 ? 1 : 29;
    struct compute *c = open_set(0, 3);
    struct array x = noise(c, m * k), b = noise(c, n[0]);
    struct compute_linear l[3];
    struct array w[3], y[3], own[3];

    for (size_t i = 0; i < 3; i++) {
        w[i] = noise(c, n[i] * k);
        y[i] = zeros(c, m * n[i]);
        own[i] = zeros(c, m * n[i]);
        if (i != 1 || _i % 4 != 2)
            OK(c->ops->quantise(c, w[i].s, n[i], k,
                                kinds[i == 1 ? _i % 4 / 2 : _i % 2], &err));
        l[i] = (struct compute_linear){ .y = own[i].s,
                                        .x = x.s,
                                        .w = w[i].s,
                                        .m = m,
                                        .n = n[i],
                                        .k = k,
                                        .alpha = 0.5f };
        if (i == 0)
            l[i].bias = b.s;
        c->ops->linear(c, &l[i]);
        l[i].y = y[i].s;
    }
    c->ops->linears(c, l, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_mem_eq(fetch(c, &y[i]), fetch(c, &own[i]),
                         m * n[i] * sizeof(float));
        drop(c, &w[i]);
        drop(c, &y[i]);
        drop(c, &own[i]);
    }
    drop(c, &x);
    drop(c, &b);
    compute_close(c);
}
END_TEST

/* Pieces of a slab and beyond it are whole lines of zeros, and theirs alone. */
START_TEST(weights_stand_in_slabs_one_after_another)
{
    struct cpu c = { 0 };
    struct cpu_piece p[40];
    const size_t bytes = (size_t)3 << 20;

    for (size_t i = 0; i < 40; i++) {
        size_t n = i == 20 ? 12 * bytes : bytes - i * 1000;
        char *data;

        OK(cpu_slab_take(&c, n, "test", &p[i], &err));
        data = p[i].data;
        ck_assert_uint_eq((uintptr_t)data % 64, 0);
        ck_assert_uint_ge(p[i].bytes, n);
        ck_assert(data[0] == 0 && data[n / 2] == 0 && data[n - 1] == 0);
        memset(data, (int)i + 1, n);
        if (i % 3 == 0) /* what it leaves is nobody else's */
            cpu_slab_leave(&p[i]);
    }
    cpu_slab_close(&c);
    for (size_t i = 0; i < 40; i++) {
        const char *data = p[i].data;

        ck_assert(i % 3 == 0 ? !data
                             : data[0] == (char)(i + 1) &&
                                   data[p[i].bytes - 1064] == (char)(i + 1));
        cpu_slab_leave(&p[i]);
    }
}
END_TEST

static void put_half(unsigned char *p, unsigned h)
{
    p[0] = (unsigned char)h;
    p[1] = (unsigned char)(h >> 8);
}

/* Blocks as a file has them, at the end of a page that nothing follows. */
START_TEST(blocks_of_a_file_are_kept_as_they_are)
{
    const bool four = _i / SETS;
    const size_t n = 35, k = 96, blocks = n * k / 32, each = four ? 18 : 34;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t room = (blocks * each + page - 1) / page * page;
    struct compute *c = open_set(_i % SETS, 2);
    unsigned char *map, *file;
    struct array w, ids, y;
    size_t used, less, peak;

    if (!c)
        return;
    map = mmap(NULL, room + page, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(map, MAP_FAILED);
    ck_assert_int_eq(mprotect(map + room, page, PROT_NONE), 0);
    file = map + room - blocks * each;
    w = zeros(c, n * k);
    c->ops->memory(c, &used, &peak);
    for (size_t b = 0; b < blocks; b++) {
        unsigned char *p = file + b * each;
        unsigned e = (unsigned)(rng_next(&rng) % 5);
        float scale = ldexpf(b % 2 ? -1.5f : 1.5f, (int)e - 10);

        put_half(p, (b % 2 ? 0x8000u : 0) | (e + 5) << 10 | 0x200);
        for (size_t i = 0; i < (four ? 16 : 32); i++) {
            unsigned char q = (unsigned char)rng_next(&rng);

            p[2 + i] = q;
            if (four) {
                w.x[b * 32 + i] = (float)((q & 15) - 8) * scale;
                w.x[b * 32 + i + 16] = (float)((q >> 4) - 8) * scale;
            } else {
                w.x[b * 32 + i] = (float)(signed char)q * scale;
            }
        }
    }
    OK(c->ops->quantise_blocks(c, w.s, n, k, four ? COMPUTE_Q4_0 : COMPUTE_Q8_0,
                               file, &err));
    c->ops->memory(c, &less, &peak);
    ck_assert_uint_le(less + n * k * 4 - used,
                      48 * ((k + 63) / 64) * 2 * each + 256); /* in pairs */
    y = zeros(c, n * k);
    c->ops->download(c, y.x, w.s, n * k);
    ck_assert_mem_eq(y.x, w.x, n * k * sizeof(float));
    ids = integers(c, (const int32_t[]){ 34, 0, 17 }, 3);
    c->ops->embed(c, y.s, w.s, ids.s, 3, k);
    (void)fetch(c, &y);
    ck_assert_mem_eq(y.x, w.x + 34 * k, k * sizeof(float));
    ck_assert_mem_eq(y.x + k, w.x, k * sizeof(float));
    ck_assert_mem_eq(y.x + 2 * k, w.x + 17 * k, k * sizeof(float));
    DROP(c, &w, &ids, &y);
    compute_close(c);
    ck_assert_int_eq(munmap(map, room + page), 0);
}
END_TEST

START_TEST(rows_that_are_no_whole_blocks_are_refused)
{
    struct compute *c = open_set(0, 1);
    struct array w = noise(c, 3 * 48);

    ck_assert_uint_ne(c->ops->features & COMPUTE_HAS_BLOCKS, 0);
    ck_assert_int_eq(c->ops->quantise(c, w.s, 3, 48, COMPUTE_Q8_0, &err),
                     ERR_UNSUPPORTED);
    (void)fetch(c, &w); /* still there */
    drop(c, &w);
    compute_close(c);
}
END_TEST

/* What is not finite is not lost on the way. */
START_TEST(infinities_and_nans_stay_visible)
{
    struct compute *c = open_set(_i, 1);
    const size_t shape[] = { 3, 5, 64 };
    struct product p;

    if (!c)
        return;
    p = product(c, shape);
    p.x.x[70] = NAN;
    p.x.x[190] = INFINITY;
    c->ops->upload(c, p.x.s, p.x.x, p.x.n);
    OK(c->ops->quantise(c, p.w.s, 5, 64, COMPUTE_Q8_0, &err));
    c->ops->linear(c, &p.l);
    (void)fetch(c, &p.y);
    for (size_t j = 0; j < 5; j++) {
        ck_assert(isfinite(p.y.x[j]));
        ck_assert(!isfinite(p.y.x[5 + j]));
        ck_assert(!isfinite(p.y.x[10 + j]));
    }
    product_drop(c, &p);
    compute_close(c);
}
END_TEST

enum { BLOCKS = 3, DEEP = 32 * BLOCKS, MOST = 4, WIDE = MOST * CPU_INT_NR };

/* Rows 0..m-1 of one panel by columns 0..n-1 of others. */
static void check_emulated(const struct cpu_kernels *k, enum compute_quant kind,
                           size_t m, size_t n, size_t panels)
{
    float x[IMR * DEEP], bias[WIDE], want[IMR][WIDE], got[IMR][WIDE];
    uint8_t w[MOST * (BLOCKS + 1) * CPU_INT_NR * (CPU_INT_BLOCK + 2)];
    uint8_t own_w[sizeof(w)];
    char *panel = mem_zalloc(BLOCKS * m * k->int_bytes(kind));
    char *own = mem_zalloc(BLOCKS * m * int_bytes(kind));
    struct cpu_int_tile t = { .kind = kind,
                              .m = m,
                              .n = n,
                              .blocks = BLOCKS,
                              .panels = panels,
                              .apart = 1,
                              .x = panel,
                              .w = w,
                              .bias = bias,
                              .y = want[0],
                              .ldy = WIDE,
                              .alpha = 0.75f,
                              .add = true };

    for (size_t i = 0; i < m * DEEP; i++)
        x[i] = (float)rng_normal(&rng);
    for (size_t i = 0; i < sizeof(w); i++) {
        bool odd = kind == COMPUTE_Q8_0 && i % 2;
        uint8_t code = (uint8_t)rng_next(&rng);

        w[i] = odd ? code ^ k->int_odd : code;
        own_w[i] = odd ? code ^ INT_ODD : code;
    }
    for (size_t i = 0; i < MOST * BLOCKS * CPU_INT_NR; i++) {
        uint16_t scale = (uint16_t)(0x2000 + rng_below(&rng, 0x800));
        size_t block = i / CPU_INT_NR;
        size_t at = block / BLOCKS * cpu_int_panel_bytes(kind, BLOCKS) +
                    cpu_int_scales_at(kind, block % BLOCKS) +
                    2 * (i % CPU_INT_NR);

        memcpy(w + at, &scale, 2);
        memcpy(own_w + at, &scale, 2);
    }
    for (size_t i = 0; i < WIDE; i++)
        bias[i] = (float)rng_normal(&rng);
    for (size_t i = 0; i < IMR * WIDE; i++)
        want[i / WIDE][i % WIDE] = got[i / WIDE][i % WIDE] =
            (float)rng_normal(&rng);
    k->int_rows(kind, panel, x, DEEP, m, BLOCKS);
    k->int_tile(&t);
    int_rows(kind, own, x, DEEP, m, BLOCKS);
    t.x = own;
    t.w = own_w;
    t.y = got[0];
    int_tile(&t);
    ck_assert_mem_eq(got, want, sizeof(got));
    free(panel);
    free(own);
}

START_TEST(dot_products_of_bytes_give_the_same_bits)
{
    rng_init(&rng, 5);
    for (size_t m = 1; m <= IMR; m++)
        for (size_t n = 1; n <= CPU_INT_NR; n++)
            check_emulated(&cpu_kernels_generic, kinds[_i], m, n, 1);
    for (size_t m = 1; m <= 2; m++)
        check_emulated(&cpu_kernels_generic, kinds[_i], m, CPU_INT_NR,
                       cpu_int_at_once(m));
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("compute_int");

    tcase_add_loop_test(t, products_are_those_of_the_rounded_values, 0,
                        2 * SETS);
    tcase_add_loop_test(t, bits_are_the_same_for_kernels_threads_and_batches, 0,
                        2 * SHAPES);
    tcase_add_loop_test(t, layers_of_one_x_give_the_bits_of_each, 0, 8);
    tcase_add_test(t, weights_stand_in_slabs_one_after_another);
    tcase_add_loop_test(t, blocks_of_a_file_are_kept_as_they_are, 0, 2 * SETS);
    tcase_add_test(t, rows_that_are_no_whole_blocks_are_refused);
    tcase_add_loop_test(t, dot_products_of_bytes_give_the_same_bits, 0, 2);
    tcase_add_loop_test(t, infinities_and_nans_stay_visible, 0, SETS);
    return suite_run("compute_int", t);
}
