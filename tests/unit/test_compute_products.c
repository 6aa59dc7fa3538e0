/* test_compute_products.c - linear layers in all the forms that weights take:
 * the same bits for a row alone, any number of threads, frozen or not, and
 * sums that are those of loops in double */
#include "compute_arrays.h"
#include "suite.h"

enum form { PLAIN, FROZEN, BF16, F16, BF16_FROZEN, F16_FROZEN, NF4, FORMS };

#define ROWS 37

static const size_t sizes[][2] = {
    /* n, k: around the panels of all sets and the depth of a block */
    { 1, 1 },    { 7, 31 },   { 8, 33 },   { 15, 319 }, { 16, 320 },
    { 17, 321 }, { 31, 640 }, { 33, 641 }, { 65, 577 }, { 200, 50 },
};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* The upper bits, of numbers that both forms have. */
static uint16_t narrowed(float x, bool bf16)
{
    uint32_t u;

    memcpy(&u, &x, sizeof(u));
    if (bf16)
        return (uint16_t)(u >> 16);
    if (fabsf(x) < 0x1p-13f || fabsf(x) >= 0x1p15f)
        return 0;
    return (uint16_t)((u >> 16 & 0x8000) | ((u >> 23 & 255) - 112) << 10 |
                      (u >> 13 & 0x3ff));
}

static struct compute_span weights(struct compute *c, enum form form,
                                   const float *w, size_t n, size_t k)
{
    bool narrow = form >= BF16 && form <= F16_FROZEN;
    bool bf16 = form == BF16 || form == BF16_FROZEN;
    struct compute_span s;

    OK(compute_alloc(c,
                     !narrow ? COMPUTE_F32
                     : bf16  ? COMPUTE_BF16
                             : COMPUTE_F16,
                     n * k, "test", &s, &err));
    if (narrow) {
        uint16_t *half = mem_array(n * k, sizeof(*half));

        for (size_t i = 0; i < n * k; i++)
            half[i] = narrowed(w[i], bf16);
        c->ops->upload(c, s, half, n * k);
        free(half);
    } else {
        c->ops->upload(c, s, w, n * k);
    }
    if (form == NF4)
        OK(c->ops->quantise(c, s, n, k, COMPUTE_NF4, &err));
    if (form == FROZEN || form == BF16_FROZEN || form == F16_FROZEN)
        OK(c->ops->freeze(c, s, n, k, false, &err));
    return s;
}

/* Everything that a product can have. */
struct layer {
    struct array x, y, add, bias, x2, w2;
    struct compute_span w;
    size_t n, k;
};

#define RANK 5

static struct layer layer(struct compute *c, enum form form, size_t n, size_t k)
{
    struct layer l = { .n = n, .k = k };
    struct array w = noise(c, n * k);

    l.x = noise(c, ROWS * k);
    l.y = zeros(c, ROWS * n);
    l.add = noise(c, ROWS * n);
    l.bias = noise(c, n);
    l.x2 = noise(c, ROWS * RANK);
    l.w2 = noise(c, n * RANK);
    l.w = weights(c, form, w.x, n, k);
    drop(c, &w);
    return l;
}

static void layer_drop(struct compute *c, struct layer *l)
{
    compute_release(c, &l->w);
    DROP(c, &l->x, &l->y, &l->add, &l->bias, &l->x2, &l->w2);
}

static void forward(struct compute *c, struct layer *l, size_t at, size_t m)
{
    const struct compute_linear p = {
        .y = compute_at(l->y.s, at * l->n),
        .x = compute_at(l->x.s, at * l->k),
        .w = l->w,
        .bias = l->bias.s,
        .addend = compute_at(l->add.s, at * l->n),
        .x2 = compute_at(l->x2.s, at * RANK),
        .w2 = l->w2.s,
        .m = m,
        .n = l->n,
        .k = l->k,
        .k2 = RANK,
        .alpha = 0.75f,
    };

    c->ops->linear(c, &p);
}

static float *copy_of(struct compute *c, struct array *a)
{
    float *x = mem_array(a->n, sizeof(*x));

    memcpy(x, fetch(c, a), a->n * sizeof(*x));
    return x;
}

START_TEST(a_row_alone_has_the_same_bits)
{
    struct compute *c = open_set(_i % SETS, 2);
    enum form form = (enum form)(_i / SETS);

    for (size_t s = 0; c && s < SIZES; s++) {
        struct layer l = layer(c, form, sizes[s][0], sizes[s][1]);
        float *all;

        forward(c, &l, 0, ROWS);
        all = copy_of(c, &l.y);
        for (size_t m = 1; m <= 17; m++) {
            c->ops->fill(c, l.y.s, 7, l.y.n);
            for (size_t at = 0; at < ROWS; at += m)
                forward(c, &l, at, ROWS - at < m ? ROWS - at : m);
            ck_assert_msg(
                memcmp(fetch(c, &l.y), all, l.y.n * sizeof(*all)) == 0,
                "%zu rows of %zux%zu, form %d", m, l.n, l.k, (int)form);
        }
        free(all);
        layer_drop(c, &l);
    }
    compute_close(c);
}
END_TEST

START_TEST(threads_change_no_bit)
{
    static const unsigned threads[] = { 1, 2, 5 };
    static const size_t n = 231, k = 643;
    enum form form = (enum form)(_i / SETS);
    float *first[3] = { NULL, NULL, NULL };

    for (size_t t = 0; t < 3; t++) {
        struct compute *c = open_set(_i % SETS, threads[t]);
        struct layer l;
        struct array dw;
        float *now[3];

        if (!c)
            return;
        l = layer(c, form, n, k);
        dw = zeros(c, n * k);
        forward(c, &l, 0, ROWS);
        now[0] = copy_of(c, &l.y);
        {
            struct compute_linear p = { .y = l.add.s,
                                        .x = l.x.s,
                                        .w = dw.s,
                                        .m = ROWS,
                                        .n = n,
                                        .k = k,
                                        .alpha = 1 };

            c->ops->linear_dw(c, &p);
            now[1] = copy_of(c, &dw);
            p.w = l.w;
            c->ops->linear_dx(c, &p);
            now[2] = copy_of(c, &l.x);
        }
        for (int i = 0; i < 3; i++) {
            size_t all = (i == 0 ? l.y.n : i == 1 ? dw.n : l.x.n);

            if (t == 0) {
                first[i] = now[i];
                continue;
            }
            ck_assert_mem_eq(now[i], first[i], all * sizeof(float));
            free(now[i]);
        }
        drop(c, &dw);
        layer_drop(c, &l);
        compute_close(c);
    }
    for (int i = 0; i < 3; i++)
        free(first[i]);
}
END_TEST

START_TEST(frozen_weights_serve_both_ways_and_reading)
{
    struct compute *c = open_set(_i % SETS, 2);
    enum form plain = _i / SETS == 0 ? PLAIN : _i / SETS == 1 ? BF16 : F16;
    enum form frozen = plain == PLAIN  ? FROZEN
                       : plain == BF16 ? BF16_FROZEN
                                       : F16_FROZEN;

    for (size_t s = 0; c && s < SIZES; s++) {
        size_t n = sizes[s][0], k = sizes[s][1];
        struct array w = noise(c, n * k), y = noise(c, ROWS * n);
        struct array a = zeros(c, ROWS * k), b = zeros(c, ROWS * k);
        struct array rows = zeros(c, 2 * k), read = zeros(c, 2 * k);
        const int32_t which[] = { (int32_t)n - 1, 0 };
        struct array ids = integers(c, which, 2);
        struct compute_span u = weights(c, plain, w.x, n, k), f;
        struct compute_linear l = {
            .y = y.s, .x = a.s, .w = u, .m = ROWS, .n = n, .k = k, .alpha = 1
        };
        size_t before, after, peak, spare = 32 * k * sizeof(float);

        c->ops->memory(c, &before, &peak);
        f = weights(c, frozen, w.x, n, k);
        c->ops->memory(c, &after, &peak);
        ck_assert_uint_le(after - before,
                          n * k * (plain == PLAIN ? 4 : 2) + spare);
        c->ops->linear_dx(c, &l);
        c->ops->embed(c, rows.s, u, ids.s, 2, k);
        l.x = b.s;
        l.w = f;
        c->ops->linear_dx(c, &l);
        c->ops->embed(c, read.s, f, ids.s, 2, k);
        ck_assert_mem_eq(fetch(c, &b), fetch(c, &a), a.n * sizeof(float));
        ck_assert_mem_eq(fetch(c, &read), fetch(c, &rows),
                         rows.n * sizeof(float));
        compute_release(c, &u);
        compute_release(c, &f);
        DROP(c, &w, &y, &a, &b, &rows, &read, &ids);
    }
    compute_close(c);
}
END_TEST

/* The branch, the bias and an addend of its own, and gradients of few columns,
 * against double. */
START_TEST(branches_and_small_gradients_in_double)
{
    static const size_t shapes[][3] = { { 1, 17, 40 },   { 4, 50, 330 },
                                        { 61, 70, 33 },  { 130, 33, 16 },
                                        { 330, 97, 5 },  { 70, 16, 90 },
                                        { 650, 129, 8 }, { 17, 5, 641 } };
    struct compute *c = open_set(_i, 2);

    for (size_t s = 0; c && s < sizeof(shapes) / sizeof(shapes[0]); s++) {
        size_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
        struct array x = noise(c, m * k), w = noise(c, n * k);
        struct array y = zeros(c, m * n), add = noise(c, m * n);
        struct array x2 = noise(c, m * RANK), w2 = noise(c, n * RANK);
        struct array bias = noise(c, n), dw = noise(c, n * k);
        float *old = copy_of(c, &dw);
        struct compute_linear l = { .y = y.s,
                                    .x = x.s,
                                    .w = w.s,
                                    .bias = bias.s,
                                    .addend = add.s,
                                    .x2 = x2.s,
                                    .w2 = w2.s,
                                    .m = m,
                                    .n = n,
                                    .k = k,
                                    .k2 = RANK,
                                    .alpha = 0.5f };

        c->ops->linear(c, &l);
        (void)fetch(c, &y);
        for (size_t i = 0; i < m * n; i++) {
            size_t r = i / n, j = i % n;
            double sum = 0, pair = 0;

            for (size_t p = 0; p < k; p++)
                sum += (double)x.x[r * k + p] * (double)w.x[j * k + p];
            for (size_t p = 0; p < RANK; p++)
                pair += (double)x2.x[r * RANK + p] * (double)w2.x[j * RANK + p];
            close_to((double)y.x[i],
                     0.5 * sum + pair + (double)bias.x[j] + (double)add.x[i],
                     3 * sqrt((double)k), "y");
        }
        l.y = add.s;
        l.w = dw.s;
        l.bias.buf = NULL;
        c->ops->linear_dw(c, &l);
        (void)fetch(c, &dw);
        for (size_t i = 0; i < n * k; i++) {
            size_t j = i / k, p = i % k;
            double sum = 0;

            for (size_t r = 0; r < m; r++)
                sum += (double)add.x[r * n + j] * (double)x.x[r * k + p];
            close_to((double)dw.x[i], 0.5 * sum + (double)old[i],
                     4 * sqrt((double)m), "dw");
        }
        free(old);
        DROP(c, &x, &w, &y, &add, &x2, &w2, &bias, &dw);
    }
    compute_close(c);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("compute_products");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, a_row_alone_has_the_same_bits, 0, FORMS * SETS);
    tcase_add_loop_test(t, threads_change_no_bit, 0, FORMS * SETS);
    tcase_add_loop_test(t, frozen_weights_serve_both_ways_and_reading, 0,
                        3 * SETS);
    tcase_add_loop_test(t, branches_and_small_gradients_in_double, 0, SETS);
    return suite_run("compute_products", t);
}
