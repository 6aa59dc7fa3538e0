/* test_compute.c - each operation against plain loops in double, each
 * backward pass against finite differences of those, for every kernel set
 * that this machine runs, on sizes that fit no vector */
#include "compute_arrays.h"
#include "suite.h"

static const size_t shapes[][3] = {
    { 1, 1, 1 },    { 1, 33, 7 },    { 2, 31, 65 },   { 3, 16, 17 },
    { 5, 64, 385 }, { 13, 65, 12 },  { 14, 32, 16 },  { 15, 97, 400 },
    { 29, 5, 3 },   { 57, 130, 50 }, { 61, 17, 801 },
};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static void check_linear(struct compute *c, struct product *p)
{
    const struct compute_linear *l = &p->l;
    float *old = mem_array(p->y.n, sizeof(*old));

    memcpy(old, fetch(c, &p->y), p->y.n * sizeof(*old));
    c->ops->linear(c, l);
    (void)fetch(c, &p->y);
    for (size_t i = 0; i < l->m; i++)
        for (size_t j = 0; j < l->n; j++) {
            double sum = 0;

            for (size_t k = 0; k < l->k; k++)
                sum +=
                    (double)p->x.x[i * l->k + k] * (double)p->w.x[j * l->k + k];
            close_to((double)p->y.x[i * l->n + j],
                     0.5 * sum + (double)old[i * l->n + j] + (double)p->b.x[j],
                     sqrt((double)l->k), "linear");
        }
    free(old);
}

START_TEST(linear_is_the_product_in_double)
{
    struct compute *c = open_set(_i, 2);

    for (size_t s = 0; c && s < SHAPES; s++) {
        struct product p = product(c, shapes[s]);

        check_linear(c, &p);
        OK(c->ops->freeze(c, p.w.s, p.l.n, p.l.k, true, &err));
        check_linear(c, &p);
        product_drop(c, &p);
    }
    compute_close(c);
}
END_TEST

/* Powers of two times small integers are exact in bf16 and f16 alike. */
START_TEST(sixteen_bit_weights_give_the_same_bits)
{
    struct compute *c = open_set(_i % SETS, 2);
    enum compute_type type = _i < SETS ? COMPUTE_BF16 : COMPUTE_F16;

    for (size_t s = 0; c && s < SHAPES; s++) {
        struct product p = product(c, shapes[s]);
        uint16_t *half = mem_array(p.w.n, sizeof(*half));
        struct compute_span w;
        float *plain = mem_array(p.y.n, sizeof(*plain));

        for (size_t i = 0; i < p.w.n; i++) {
            int v = (int)rng_below(&rng, 8) - 4; /* -4..3 */
            uint32_t u;

            p.w.x[i] = (float)v * 0.25f;
            memcpy(&u, &p.w.x[i], sizeof(u));
            half[i] =
                type == COMPUTE_BF16
                    ? (uint16_t)(u >> 16)
                    : (uint16_t)(v == 0 ? 0
                                        : (u >> 16 & 0x8000) |
                                              (((u >> 23 & 255) - 112) << 10) |
                                              (u >> 13 & 0x3ff));
        }
        c->ops->upload(c, p.w.s, p.w.x, p.w.n);
        OK(compute_alloc(c, type, p.w.n, "test", &w, &err));
        c->ops->upload(c, w, half, p.w.n);
        p.l.addend = (struct compute_span){ 0 };
        c->ops->linear(c, &p.l);
        memcpy(plain, fetch(c, &p.y), p.y.n * sizeof(*plain));
        p.l.w = w;
        for (int frozen = 0; frozen < 2; frozen++) {
            c->ops->linear(c, &p.l);
            ck_assert_mem_eq(fetch(c, &p.y), plain, p.y.n * sizeof(*plain));
            OK(c->ops->freeze(c, w, p.l.n, p.l.k, false, &err));
        }
        compute_release(c, &w);
        free(plain);
        free(half);
        product_drop(c, &p);
    }
    compute_close(c);
}
END_TEST

START_TEST(linear_gradients_are_the_products_in_double)
{
    struct compute *c = open_set(_i, 2);

    for (size_t s = 0; c && s < SHAPES; s++) {
        struct product p = product(c, shapes[s]);
        struct compute_linear *l = &p.l;
        float *x = mem_array(p.x.n, sizeof(*x));
        float *w = mem_array(p.w.n, sizeof(*w));
        float *b = mem_array(p.b.n, sizeof(*b));

        memcpy(x, p.x.x, p.x.n * sizeof(*x));
        memcpy(w, p.w.x, p.w.n * sizeof(*w));
        memcpy(b, p.b.x, p.b.n * sizeof(*b));
        l->addend = p.x.s;
        c->ops->linear_dx(c, l);
        (void)fetch(c, &p.x);
        for (size_t i = 0; i < l->m; i++)
            for (size_t k = 0; k < l->k; k++) {
                double sum = 0;

                for (size_t j = 0; j < l->n; j++)
                    sum +=
                        (double)p.y.x[i * l->n + j] * (double)w[j * l->k + k];
                close_to((double)p.x.x[i * l->k + k],
                         0.5 * sum + (double)x[i * l->k + k],
                         sqrt((double)l->n), "dx");
            }
        c->ops->linear_dw(c, l);
        (void)fetch(c, &p.w);
        (void)fetch(c, &p.b);
        for (size_t j = 0; j < l->n; j++) {
            double column = 0;

            for (size_t i = 0; i < l->m; i++)
                column += (double)p.y.x[i * l->n + j];
            close_to((double)p.b.x[j], column + (double)b[j],
                     sqrt((double)l->m), "db");
            for (size_t k = 0; k < l->k; k++) {
                double sum = 0;

                for (size_t i = 0; i < l->m; i++)
                    sum += (double)p.y.x[i * l->n + j] *
                           (double)p.x.x[i * l->k + k];
                close_to((double)p.w.x[j * l->k + k],
                         0.5 * sum + (double)w[j * l->k + k],
                         4 * sqrt((double)l->m), "dw");
            }
        }
        free(x);
        free(w);
        free(b);
        product_drop(c, &p);
    }
    compute_close(c);
}
END_TEST

struct norm {
    double *x, *w, *r;
    size_t rows, dim;
};

/* sum r * rmsnorm(x) w */
static double norm_loss(void *ctx)
{
    const struct norm *n = ctx;
    double loss = 0;

    for (size_t i = 0; i < n->rows; i++) {
        const double *x = n->x + i * n->dim;
        double s = 0;

        for (size_t j = 0; j < n->dim; j++)
            s += x[j] * x[j];
        s = 1 / sqrt(s / (double)n->dim + 1e-5);
        for (size_t j = 0; j < n->dim; j++)
            loss += n->r[i * n->dim + j] * x[j] * s * n->w[j];
    }
    return loss;
}

START_TEST(rmsnorm_and_its_gradient)
{
    static const size_t dims[][2] = { { 1, 1 }, { 3, 17 }, { 130, 70 } };
    struct compute *c = open_set(_i, 2);

    for (size_t d = 0; c && d < 3; d++) {
        size_t rows = dims[d][0], dim = dims[d][1];
        struct array x = noise(c, rows * dim), w = noise(c, dim);
        struct array y = zeros(c, rows * dim), dx = zeros(c, rows * dim);
        struct array dw = zeros(c, dim), rstd = zeros(c, rows);
        struct array r = noise(c, rows * dim);
        struct norm n = { doubles(&x), doubles(&w), doubles(&r), rows, dim };
        double loss = 0;

        c->ops->rmsnorm(c, y.s, x.s, w.s, rstd.s, rows, dim, 1e-5f);
        (void)fetch(c, &y);
        for (size_t i = 0; i < y.n; i++)
            loss += (double)y.x[i] * n.r[i];
        close_to(loss, norm_loss(&n), sqrt((double)y.n), "rmsnorm");
        c->ops->rmsnorm_grad(c, dx.s, dw.s, r.s, x.s, w.s, rstd.s, rows, dim);
        (void)fetch(c, &dx);
        (void)fetch(c, &dw);
        for (size_t i = 0; i < dx.n; i += 1 + dx.n / 40)
            close_to((double)dx.x[i], slope(norm_loss, &n, n.x + i), 1, "dx");
        for (size_t i = 0; i < dim; i++)
            close_to((double)dw.x[i], slope(norm_loss, &n, n.w + i),
                     sqrt((double)rows), "dw");
        free(n.x);
        free(n.w);
        free(n.r);
        DROP(c, &x, &w, &y, &dx, &dw, &rstd, &r);
    }
    compute_close(c);
}
END_TEST

START_TEST(rope_turns_and_turns_back)
{
    enum { ROWS = 19, HEADS = 3, DIM = 10, HALF = DIM / 2, POSITIONS = 40 };
    struct compute *c = open_set(_i, 2);
    int32_t position[ROWS];
    struct array x, angles, cosine, sine, ids;
    float before[ROWS * HEADS * DIM];

    if (!c)
        return;
    x = noise(c, ROWS * HEADS * DIM);
    angles = noise(c, POSITIONS * HALF);
    cosine = zeros(c, POSITIONS * HALF);
    sine = zeros(c, POSITIONS * HALF);
    for (size_t i = 0; i < angles.n; i++) {
        cosine.x[i] = cosf(angles.x[i]);
        sine.x[i] = sinf(angles.x[i]);
    }
    c->ops->upload(c, cosine.s, cosine.x, cosine.n);
    c->ops->upload(c, sine.s, sine.x, sine.n);
    for (int i = 0; i < ROWS; i++)
        position[i] = (i * 11) % POSITIONS;
    ids = integers(c, position, ROWS);
    memcpy(before, x.x, sizeof(before));
    c->ops->rope(c, x.s, ids.s, cosine.s, sine.s, ROWS, HEADS, DIM, false);
    (void)fetch(c, &x);
    for (size_t i = 0; i < ROWS * HEADS * DIM; i++) {
        size_t d = i % DIM, row = i / (HEADS * DIM), base = i - d + d % HALF;
        double t = (double)angles.x[(size_t)position[row] * HALF + d % HALF];
        double a = (double)before[base], b = (double)before[base + HALF];

        close_to((double)x.x[i],
                 d < HALF ? a * cos(t) - b * sin(t) : b * cos(t) + a * sin(t),
                 1, "rope");
    }
    c->ops->rope(c, x.s, ids.s, cosine.s, sine.s, ROWS, HEADS, DIM, true);
    (void)fetch(c, &x);
    for (size_t i = 0; i < x.n; i++)
        close_to((double)x.x[i], (double)before[i], 1, "inverse rope");
    DROP(c, &x, &angles, &cosine, &sine, &ids);
    compute_close(c);
}
END_TEST

struct glu {
    double g, u;
};

static double glu_value(void *ctx)
{
    const struct glu *v = ctx;

    return v->g / (1 + exp(-v->g)) * v->u;
}

START_TEST(swiglu_and_its_gradient)
{
    struct compute *c = open_set(_i, 2);
    const size_t n = 1003;
    struct array g, u, h, d;

    if (!c)
        return;
    g = noise(c, n);
    u = noise(c, n);
    d = noise(c, n);
    h = zeros(c, n);
    for (size_t i = 0; i < n; i++)
        g.x[i] *= i % 7 == 0 ? 60 : 2; /* saturated both ways */
    c->ops->upload(c, g.s, g.x, n);
    c->ops->swiglu(c, h.s, g.s, u.s, n);
    (void)fetch(c, &h);
    for (size_t i = 0; i < n; i++) {
        struct glu v = { (double)g.x[i], (double)u.x[i] };

        close_to((double)h.x[i], glu_value(&v), 1, "swiglu");
    }
    c->ops->copy(c, h.s, g.s, n);
    (void)fetch(c, &h); /* gate before it is overwritten */
    {
        float *gate = mem_array(n, sizeof(*gate));
        float *up = mem_array(n, sizeof(*up));

        memcpy(gate, g.x, n * sizeof(*gate));
        memcpy(up, u.x, n * sizeof(*up));
        c->ops->swiglu_grad(c, g.s, u.s, d.s, g.s, u.s, n);
        (void)fetch(c, &g);
        (void)fetch(c, &u);
        for (size_t i = 0; i < n; i++) {
            struct glu v = { (double)gate[i], (double)up[i] };
            double dg = slope(glu_value, &v, &v.g);
            double du = slope(glu_value, &v, &v.u);

            close_to((double)g.x[i], (double)d.x[i] * dg, 3, "dgate");
            close_to((double)u.x[i], (double)d.x[i] * du, 3, "dup");
        }
        free(gate);
        free(up);
    }
    DROP(c, &g, &u, &d, &h);
    compute_close(c);
}
END_TEST

START_TEST(adamw_is_the_formula)
{
    struct compute *c = open_set(_i, 2);
    const size_t n = 77;
    struct array p, g, m, v;
    double first[77] = { 0 }, second[77] = { 0 }, *want;

    if (!c)
        return;
    p = noise(c, n);
    m = zeros(c, n);
    v = zeros(c, n);
    want = doubles(&p);
    for (uint64_t step = 1; step <= 5; step++) {
        struct compute_adamw a;

        g = noise(c, n);
        a = (struct compute_adamw){ p.s, g.s,   m.s,  v.s, n,   0.01,
                                    0.9, 0.999, 1e-8, 0.1, 0.5, step };
        c->ops->adamw(c, &a);
        for (size_t i = 0; i < n; i++) {
            double d = (double)g.x[i] * 0.5;

            first[i] = 0.9 * first[i] + 0.1 * d;
            second[i] = 0.999 * second[i] + 0.001 * d * d;
            want[i] *= 1 - 0.01 * 0.1;
            want[i] -=
                0.01 * first[i] / (1 - pow(0.9, (double)step)) /
                (sqrt(second[i] / (1 - pow(0.999, (double)step))) + 1e-8);
        }
        drop(c, &g);
    }
    (void)fetch(c, &p);
    for (size_t i = 0; i < n; i++)
        close_to((double)p.x[i], want[i], 0.1, "adamw");
    free(want);
    DROP(c, &p, &m, &v);
    compute_close(c);
}
END_TEST

/* The same weights as with the scale worked out by hand, and none at all where
 * a sum is not finite. */
START_TEST(adamw_clips_by_sums_on_the_device)
{
    static const double clips[] = { 0.5, 1e4, 0.5 };
    struct compute *c = open_set(_i, 2);
    const size_t n = 77;

    for (int k = 0; c && k < 3; k++) {
        struct array p = noise(c, n), m = zeros(c, n), v = zeros(c, n);
        struct array g = noise(c, n), loss = noise(c, 9);
        struct array q = zeros(c, n), qm = zeros(c, n), qv = zeros(c, n);
        struct compute_span sums;
        double norm, got[2], total = 0;
        struct compute_adamw a = { p.s, g.s,   m.s,  v.s, n, 0.01,
                                   0.9, 0.999, 1e-8, 0.1, 9, 1 };

        if (k == 2) {
            loss.x[3] = NAN;
            c->ops->upload(c, loss.s, loss.x, loss.n);
        }
        OK(compute_alloc(c, COMPUTE_F64, 2, "sums", &sums, &err));
        c->ops->copy(c, q.s, p.s, n);
        c->ops->fill(c, sums, 0, 2);
        c->ops->accumulate(c, sums, g.s, n, true);
        c->ops->accumulate(c, compute_at(sums, 1), loss.s, 4, false);
        c->ops->accumulate(c, compute_at(sums, 1), compute_at(loss.s, 4), 5,
                           false);
        c->ops->download(c, got, sums, 2);
        norm = sqrt(c->ops->sum_squares(c, g.s, n));
        ck_assert(got[0] == c->ops->sum_squares(c, g.s, n));
        for (size_t i = 0; i < 9; i++)
            total += (double)loss.x[i];
        ck_assert(k == 2 ? isnan(got[1]) : fabs(got[1] - total) < 1e-12);
        a.sums = sums;
        a.sum_count = 2;
        a.clip = clips[k];
        c->ops->adamw(c, &a);
        a = (struct compute_adamw){ q.s, g.s,   qm.s, qv.s, n, 0.01,
                                    0.9, 0.999, 1e-8, 0.1,  1, 1 };
        if (norm > clips[k])
            a.grad_scale = clips[k] / (norm + 1e-6);
        if (k < 2)
            c->ops->adamw(c, &a);
        ck_assert_int_eq(memcmp(fetch(c, &p), fetch(c, &q), n * sizeof(float)),
                         0);
        compute_release(c, &sums);
        DROP(c, &p, &m, &v, &g, &loss, &q, &qm, &qv);
    }
    compute_close(c);
}
END_TEST

START_TEST(rows_are_found_added_and_put_back)
{
    enum { ROWS = 40, DIM = 71, TABLE = 9 };
    struct compute *c = open_set(_i, 2);
    int32_t list[ROWS], where[TABLE];
    struct array table, y, sum, ids, back, index;

    if (!c)
        return;
    for (int i = 0; i < ROWS; i++)
        list[i] = i * 5 % TABLE;
    for (int i = 0; i < TABLE; i++)
        where[i] = TABLE - 1 - i;
    table = noise(c, TABLE * DIM);
    y = zeros(c, ROWS * DIM);
    sum = zeros(c, TABLE * DIM);
    back = zeros(c, TABLE * DIM);
    ids = integers(c, list, ROWS);
    index = integers(c, where, TABLE);
    c->ops->embed(c, y.s, table.s, ids.s, ROWS, DIM);
    (void)fetch(c, &y);
    for (int r = 0; r < ROWS; r++)
        ck_assert_mem_eq(y.x + r * DIM, table.x + list[r] * DIM,
                         DIM * sizeof(float));
    c->ops->embed_grad(c, sum.s, y.s, ids.s, ROWS, DIM);
    (void)fetch(c, &sum);
    for (int t = 0; t < TABLE; t++)
        for (int d = 0; d < DIM; d++) {
            int times = 0;

            for (int r = 0; r < ROWS; r++)
                times += list[r] == t;
            close_to((double)sum.x[t * DIM + d],
                     times * (double)table.x[t * DIM + d], 1, "sum");
        }
    c->ops->gather(c, sum.s, table.s, index.s, TABLE, DIM);
    c->ops->scatter(c, back.s, sum.s, index.s, TABLE, DIM);
    ck_assert_mem_eq(fetch(c, &back), table.x, sizeof(float) * TABLE * DIM);
    DROP(c, &table, &y, &sum, &back, &ids, &index);
    compute_close(c);
}
END_TEST

START_TEST(argmax_takes_the_smallest_of_equals)
{
    enum { ROWS = 3, VOCAB = 101 };
    struct compute *c = open_set(_i, 1);
    struct array logits, ids, logp;
    int32_t best[ROWS] = { 0 };

    if (!c)
        return;
    logits = noise(c, ROWS * VOCAB);
    logits.x[70] = logits.x[40] = logits.x[100] = 9;
    logits.x[VOCAB + 100] = 9;
    logits.x[2 * VOCAB] = 9;
    c->ops->upload(c, logits.s, logits.x, logits.n);
    ids = integers(c, best, ROWS);
    logp = zeros(c, ROWS);
    c->ops->argmax(c, ids.s, logp.s, logits.s, ROWS, VOCAB);
    c->ops->download(c, best, ids.s, ROWS);
    (void)fetch(c, &logp);
    ck_assert_int_eq(best[0], 40);
    ck_assert_int_eq(best[1], 100);
    ck_assert_int_eq(best[2], 0);
    for (int r = 0; r < ROWS; r++) {
        double sum = 0;

        for (int v = 0; v < VOCAB; v++)
            sum += exp((double)logits.x[r * VOCAB + v] - 9);
        close_to((double)logp.x[r], -log(sum), 1, "log p");
    }
    DROP(c, &logits, &ids, &logp);
    compute_close(c);
}
END_TEST

START_TEST(unknown_devices_and_kernels_are_refused)
{
    struct compute *c;

    ck_assert_int_eq(
        compute_open(&(struct compute_options){ .device = "abacus" }, &c, &err),
        ERR_INVALID);
    ck_assert_int_eq(
        compute_open(&(struct compute_options){ .kernels = "sse1" }, &c, &err),
        ERR_INVALID);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("compute");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, linear_is_the_product_in_double, 0, SETS);
    tcase_add_loop_test(t, sixteen_bit_weights_give_the_same_bits, 0, 2 * SETS);
    tcase_add_loop_test(t, linear_gradients_are_the_products_in_double, 0,
                        SETS);
    tcase_add_loop_test(t, rmsnorm_and_its_gradient, 0, SETS);
    tcase_add_loop_test(t, rope_turns_and_turns_back, 0, SETS);
    tcase_add_loop_test(t, swiglu_and_its_gradient, 0, SETS);
    tcase_add_loop_test(t, adamw_is_the_formula, 0, SETS);
    tcase_add_loop_test(t, adamw_clips_by_sums_on_the_device, 0, SETS);
    tcase_add_loop_test(t, rows_are_found_added_and_put_back, 0, SETS);
    tcase_add_loop_test(t, argmax_takes_the_smallest_of_equals, 0, SETS);
    tcase_add_test(t, unknown_devices_and_kernels_are_refused);
    return suite_run("compute", t);
}
