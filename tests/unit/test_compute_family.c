/* test_compute_family.c - the operations that families beyond Llama's need:
 * in double, and by finite differences */
#include "compute_arrays.h"
#include "suite.h"

/* Scalars of one element: f(g) u. */
struct element {
    enum compute_activation kind;
    double g, u;
};

static double element_value(void *ctx)
{
    const struct element *e = ctx;
    double x = e->g, s = 1 / (1 + exp(-x));

    switch (e->kind) {
    case COMPUTE_SIGMOID: return s * e->u;
    case COMPUTE_SILU: return x * s * e->u;
    case COMPUTE_GELU_TANH:
        return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))) *
               e->u;
    case COMPUTE_RELU2: return x > 0 ? x * x * e->u : 0;
    case COMPUTE_GELU: return x / 2 * erfc(-x / sqrt(2)) * e->u;
    case COMPUTE_IDENTITY: break;
    }
    return x * e->u;
}

#define KINDS 6
#define N 1003

START_TEST(activations_and_their_gradients)
{
    struct compute *c = open_set(_i % SETS, 2);
    enum compute_activation kind = (enum compute_activation)(_i / SETS);
    struct array g, d, y, dx;

    if (!c)
        return;
    g = noise(c, N);
    d = noise(c, N);
    y = zeros(c, N);
    dx = zeros(c, N);
    for (size_t i = 0; i < N; i++)
        g.x[i] *= i % 7 == 0 ? 60 : 2; /* saturated both ways */
    c->ops->upload(c, g.s, g.x, N);
    c->ops->activate(c, kind, y.s, g.s, N);
    c->ops->activate_grad(c, kind, dx.s, d.s, g.s, N);
    (void)fetch(c, &y);
    (void)fetch(c, &dx);
    for (size_t i = 0; i < N; i++) {
        struct element e = { kind, (double)g.x[i], 1 };

        close_to((double)y.x[i], element_value(&e), 1, "activation");
        close_to((double)dx.x[i],
                 (double)d.x[i] * slope(element_value, &e, &e.g), 3, "dx");
    }
    c->ops->activate(c, kind, g.s, g.s, N); /* in place */
    ck_assert_mem_eq(fetch(c, &g), y.x, N * sizeof(float));
    DROP(c, &g, &d, &y, &dx);
    compute_close(c);
}
END_TEST

START_TEST(gated_units_and_their_gradients)
{
    struct compute *c = open_set(_i % SETS, 2);
    enum compute_activation kind = (enum compute_activation)(_i / SETS);
    struct array g, u, d, h;
    float gate[N], up[N];

    if (!c)
        return;
    g = noise(c, N);
    u = noise(c, N);
    d = noise(c, N);
    h = zeros(c, N);
    memcpy(gate, g.x, sizeof(gate));
    memcpy(up, u.x, sizeof(up));
    c->ops->glu(c, kind, h.s, g.s, u.s, N);
    (void)fetch(c, &h);
    c->ops->glu_grad(c, kind, g.s, u.s, d.s, g.s, u.s, N); /* in place */
    (void)fetch(c, &g);
    (void)fetch(c, &u);
    for (size_t i = 0; i < N; i++) {
        struct element e = { kind, (double)gate[i], (double)up[i] };
        double by = (double)d.x[i];

        close_to((double)h.x[i], element_value(&e), 1, "unit");
        close_to((double)g.x[i], by * slope(element_value, &e, &e.g), 3,
                 "dgate");
        close_to((double)u.x[i], by * slope(element_value, &e, &e.u), 3, "dup");
    }
    DROP(c, &g, &u, &d, &h);
    compute_close(c);
}
END_TEST

START_TEST(softcap_keeps_the_digits_of_small_values)
{
    struct compute *c = open_set(_i, 2);
    struct array x, y;

    if (!c)
        return;
    x = noise(c, N);
    y = zeros(c, N);
    for (size_t i = 0; i < N; i++)
        x.x[i] *= i % 3 == 0 ? 1e-3f : i % 3 == 1 ? 1 : 100;
    c->ops->upload(c, x.s, x.x, N);
    c->ops->softcap(c, y.s, x.s, 5, N);
    (void)fetch(c, &y);
    for (size_t i = 0; i < N; i++) {
        double want = 5 * tanh((double)x.x[i] / 5);

        ck_assert_msg(fabs((double)y.x[i] - want) <= 1e-6 * fabs(want),
                      "%g: %.9g, not %.9g", (double)x.x[i], (double)y.x[i],
                      want);
    }
    drop(c, &x);
    drop(c, &y);
    compute_close(c);
}
END_TEST

struct layernorm {
    double *x, *w, *b, *r;
    size_t rows, dim;
};

/* sum r * layernorm(x) */
static double layernorm_loss(void *ctx)
{
    const struct layernorm *n = ctx;
    double loss = 0;

    for (size_t i = 0; i < n->rows; i++) {
        const double *x = n->x + i * n->dim;
        double mean = 0, s = 0;

        for (size_t j = 0; j < n->dim; j++)
            mean += x[j] / (double)n->dim;
        for (size_t j = 0; j < n->dim; j++)
            s += (x[j] - mean) * (x[j] - mean);
        s = 1 / sqrt(s / (double)n->dim + 1e-5);
        for (size_t j = 0; j < n->dim; j++)
            loss +=
                n->r[i * n->dim + j] * ((x[j] - mean) * s * n->w[j] + n->b[j]);
    }
    return loss;
}

static void check_layernorm(struct compute *c, size_t rows, size_t dim)
{
    struct array x = noise(c, rows * dim), w = noise(c, dim);
    struct array b = noise(c, dim), r = noise(c, rows * dim);
    struct array y = zeros(c, rows * dim), dx = zeros(c, rows * dim);
    struct array dw = zeros(c, dim), db = zeros(c, dim);
    struct array stat = zeros(c, 2 * rows);
    struct array *all[] = { &x, &w, &b, &r, &y, &dx, &dw, &db, &stat };
    struct layernorm n = { doubles(&x), doubles(&w), doubles(&b),
                           doubles(&r), rows,        dim };
    double loss = 0;

    c->ops->layernorm(c, y.s, x.s, w.s, b.s, stat.s, rows, dim, 1e-5f);
    (void)fetch(c, &y);
    for (size_t i = 0; i < y.n; i++)
        loss += (double)y.x[i] * n.r[i];
    close_to(loss, layernorm_loss(&n), sqrt((double)y.n), "layernorm");
    c->ops->layernorm_grad(c, dx.s, dw.s, db.s, r.s, x.s, w.s, stat.s, rows,
                           dim);
    (void)fetch(c, &dx);
    (void)fetch(c, &dw);
    (void)fetch(c, &db);
    for (size_t i = 0; i < dx.n; i += 1 + dx.n / 40)
        close_to((double)dx.x[i], slope(layernorm_loss, &n, n.x + i), 1, "dx");
    for (size_t i = 0; i < dim; i++) {
        close_to((double)dw.x[i], slope(layernorm_loss, &n, n.w + i),
                 sqrt((double)rows), "dw");
        close_to((double)db.x[i], slope(layernorm_loss, &n, n.b + i),
                 sqrt((double)rows), "db");
    }
    free(n.x);
    free(n.w);
    free(n.b);
    free(n.r);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        drop(c, all[i]);
}

START_TEST(layernorm_and_its_gradient)
{
    struct compute *c = open_set(_i, 2);

    if (!c)
        return;
    check_layernorm(c, 3, 17);
    check_layernorm(c, 130, 70);
    compute_close(c);
}
END_TEST

/* The turned part as its own array gives the same; the rest stays. */
START_TEST(rope_of_a_part_is_rope_of_its_columns)
{
    enum { ROWS = 19, HEADS = 3, DIM = 20, ROTARY = 6, HALF = ROTARY / 2 };
    struct compute *c = open_set(_i, 2);
    int32_t position[ROWS];
    struct array x, part, cosine, sine, ids;

    if (!c)
        return;
    x = noise(c, ROWS * HEADS * DIM);
    part = zeros(c, ROWS * HEADS * ROTARY);
    cosine = noise(c, ROWS * HALF);
    sine = noise(c, ROWS * HALF);
    for (int i = 0; i < ROWS; i++)
        position[i] = ROWS - 1 - i;
    ids = integers(c, position, ROWS);
    c->ops->copy_columns(c, part.s, ROTARY, x.s, DIM, ROWS * HEADS, ROTARY);
    c->ops->rope(c, part.s, ids.s, cosine.s, sine.s, ROWS, HEADS, ROTARY, true);
    (void)fetch(c, &part);
    for (size_t i = 0; i < x.n; i++)
        if (i % DIM < ROTARY)
            x.x[i] = part.x[i / DIM * ROTARY + i % DIM];
    {
        struct array y = zeros(c, x.n);

        c->ops->copy(c, y.s, x.s, x.n);
        c->ops->rope_part(c, y.s, ids.s, cosine.s, sine.s, ROWS, HEADS, DIM,
                          ROTARY, true);
        ck_assert_mem_eq(fetch(c, &y), x.x, x.n * sizeof(float));
        drop(c, &y);
    }
    DROP(c, &x, &part, &cosine, &sine, &ids);
    compute_close(c);
}
END_TEST

START_TEST(columns_are_cut_out_put_in_and_scaled)
{
    enum { ROWS = 37, WIDE = 11, NARROW = 4, AT = 5 };
    struct compute *c = open_set(_i, 2);
    struct array wide, narrow, back;

    if (!c)
        return;
    wide = noise(c, ROWS * WIDE);
    narrow = zeros(c, ROWS * NARROW);
    back = noise(c, ROWS * WIDE);
    c->ops->copy_columns(c, narrow.s, NARROW, compute_at(wide.s, AT), WIDE,
                         ROWS, NARROW);
    c->ops->scale(c, narrow.s, narrow.s, -2, narrow.n);
    c->ops->copy_columns(c, compute_at(back.s, AT), WIDE, narrow.s, NARROW,
                         ROWS, NARROW);
    for (size_t i = 0; i < back.n; i++)
        if (i % WIDE >= AT && i % WIDE < AT + NARROW)
            back.x[i] = -2 * wide.x[i];
    c->ops->copy(c, wide.s, back.s, back.n);
    ck_assert_mem_eq(fetch(c, &wide), back.x, back.n * sizeof(float));
    DROP(c, &wide, &narrow, &back);
    compute_close(c);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("compute_family");

    tcase_add_loop_test(t, activations_and_their_gradients, 0, KINDS * SETS);
    tcase_add_loop_test(t, gated_units_and_their_gradients, 0, KINDS * SETS);
    tcase_add_loop_test(t, softcap_keeps_the_digits_of_small_values, 0, SETS);
    tcase_add_loop_test(t, layernorm_and_its_gradient, 0, SETS);
    tcase_add_loop_test(t, rope_of_a_part_is_rope_of_its_columns, 0, SETS);
    tcase_add_loop_test(t, columns_are_cut_out_put_in_and_scaled, 0, SETS);
    return suite_run("compute_family", t);
}
