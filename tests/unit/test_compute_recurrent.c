/* test_compute_recurrent.c - scans and delta rules: in double, by finite
 * differences, with their states cut anywhere, on threads */
#include "compute_problem.h"
#include "suite.h"

/* Scan: inputs are x|b|c side by side, dt, a_log, dt_bias, d. */
#define HEADS 20
#define GROUPS 2
#define DIM 3
#define WIDTH 5
#define S_STRIDE (HEADS * DIM + 2 * GROUPS * WIDTH + 1)
#define DT_STRIDE (HEADS + 2)
static const double dt_limits[][2] = { { 0, 1e30 }, { 0.3, 1.5 } };

static void scan_step(struct problem *p, double *state, int32_t r, int32_t h)
{
    int32_t g = h / (HEADS / GROUPS);
    const double *x = p->in[0] + r * S_STRIDE;
    const double *b = x + HEADS * DIM + g * WIDTH, *c = b + GROUPS * WIDTH;
    double t = log1p(exp(p->in[1][r * DT_STRIDE + h] + p->in[3][h])), decay;

    t = fmin(fmax(t, dt_limits[p->kind][0]), dt_limits[p->kind][1]);
    decay = exp(-exp(p->in[2][h]) * t);
    for (int32_t i = 0; i < DIM; i++) {
        double *y = &p->y[(r * HEADS + h) * DIM + i];

        *y = p->in[4][h] * x[h * DIM + i];
        for (int32_t k = 0; k < WIDTH; k++) {
            double *s = &state[i * WIDTH + k];

            *s = decay * *s + t * x[h * DIM + i] * b[k];
            *y += *s * c[k];
        }
    }
}

static void run_scan(struct problem *p)
{
    for (int d = 0; d < DOCS; d++)
        for (int32_t h = 0; h < HEADS; h++) {
            double state[DIM * WIDTH] = { 0 };

            for (int32_t r = starts[d]; r < starts[d + 1]; r++)
                scan_step(p, state, r, h);
        }
}

static const size_t scan_sizes[INPUTS] = { ROWS * S_STRIDE, ROWS *DT_STRIDE,
                                           HEADS, HEADS, HEADS };

static struct compute_scan scan_of(const struct device *d, int kind)
{
    return (struct compute_scan){
        .s = packed,
        .y = d->y.s,
        .x = d->in[0].s,
        .b = compute_at(d->in[0].s, HEADS * DIM),
        .c = compute_at(d->in[0].s, HEADS * DIM + GROUPS * WIDTH),
        .dt = d->in[1].s,
        .a_log = d->in[2].s,
        .dt_bias = d->in[3].s,
        .d = d->in[4].s,
        .stride = S_STRIDE,
        .dt_stride = DT_STRIDE,
        .heads = HEADS,
        .groups = GROUPS,
        .dim = DIM,
        .width = WIDTH,
        .dt_min = (float)dt_limits[kind][0],
        .dt_max = (float)dt_limits[kind][1],
    };
}

static void scan_both(struct device *d, int kind)
{
    struct array kept =
        zeros(d->c, (ROWS / COMPUTE_CHUNK + DOCS) * HEADS * DIM * WIDTH);
    struct compute_scan_grad g = {
        .fwd = scan_of(d, kind),
        .dy = d->dy.s,
        .dx = d->grad[0].s,
        .db = compute_at(d->grad[0].s, HEADS * DIM),
        .dc = compute_at(d->grad[0].s, HEADS * DIM + GROUPS * WIDTH),
        .ddt = d->grad[1].s,
        .da_log = d->grad[2].s,
        .ddt_bias = d->grad[3].s,
        .dd = d->grad[4].s,
    };

    g.fwd.kept = kept.s;
    d->c->ops->scan(d->c, &g.fwd);
    d->c->ops->scan_grad(d->c, &g);
    drop(d->c, &kept);
}

START_TEST(scan_and_its_gradients)
{
    struct problem p = { .run = run_scan, .kind = _i / SETS };
    struct compute *c = open_set(_i % SETS, 2);
    struct device d;

    if (!c)
        return;
    d = device_new(c, scan_sizes, ROWS * HEADS * DIM, &p);
    scan_both(&d, p.kind);
    check_outputs(&d, &p);
    check_gradients(&d, &p, 31, 20);
    device_drop(&d);
    problem_release(&p);
    compute_close(c);
}
END_TEST

static void scan_some(struct device *d, const struct compute_sequences *s,
                      size_t at)
{
    struct compute_scan v = scan_of(d, 0);

    v.s = *s;
    v.x = compute_at(v.x, at * S_STRIDE);
    v.b = compute_at(v.b, at * S_STRIDE);
    v.c = compute_at(v.c, at * S_STRIDE);
    v.dt = compute_at(v.dt, at * DT_STRIDE);
    v.y = compute_at(v.y, at * HEADS * DIM);
    d->c->ops->scan(d->c, &v);
}

START_TEST(scan_in_pieces)
{
    struct problem p = { 0 };
    struct compute *c = open_set(_i, 2);
    struct device d;

    if (!c)
        return;
    d = device_new(c, scan_sizes, ROWS * HEADS * DIM, &p);
    check_pieces(&d, HEADS * DIM * WIDTH, HEADS * DIM, scan_some);
    device_drop(&d);
    problem_release(&p);
    compute_close(c);
}
END_TEST

/* Delta rule: inputs are q|k|v side by side, a, b, a_log, dt_bias. */
#define KEYS 2
#define VALUES 6
#define KEY_DIM 5
#define VALUE_DIM 3
#define D_STRIDE (2 * KEYS * KEY_DIM + VALUES * VALUE_DIM + 3)
#define D_EPS 1e-2 /* large enough to be seen */

static void unit(double *out, const double *x, double by)
{
    double sum = D_EPS;

    for (int i = 0; i < KEY_DIM; i++)
        sum += x[i] * x[i];
    for (int i = 0; i < KEY_DIM; i++)
        out[i] = x[i] / sqrt(sum) * by;
}

static void delta_step(struct problem *p, double *state, int32_t r, int32_t h)
{
    const double *q = p->in[0] + r * D_STRIDE + h / (VALUES / KEYS) * KEY_DIM;
    const double *v =
        p->in[0] + r * D_STRIDE + 2 * KEYS * KEY_DIM + h * VALUE_DIM;
    double beta = 1 / (1 + exp(-p->in[2][r * VALUES + h]));
    double decay = exp(-exp(p->in[3][h]) *
                       log1p(exp(p->in[1][r * VALUES + h] + p->in[4][h])));
    double un[KEY_DIM], key[KEY_DIM];

    unit(un, q, 1 / sqrt(KEY_DIM));
    unit(key, q + KEYS * KEY_DIM, 1);
    for (int32_t i = 0; i < VALUE_DIM; i++) {
        double *s = state + i * KEY_DIM, found = 0;
        double *o = &p->y[(r * VALUES + h) * VALUE_DIM + i];

        for (int32_t k = 0; k < KEY_DIM; k++)
            found += (s[k] *= decay) * key[k];
        *o = 0;
        for (int32_t k = 0; k < KEY_DIM; k++)
            *o += (s[k] += beta * (v[i] - found) * key[k]) * un[k];
    }
}

static void run_delta(struct problem *p)
{
    for (int d = 0; d < DOCS; d++)
        for (int32_t h = 0; h < VALUES; h++) {
            double state[VALUE_DIM * KEY_DIM] = { 0 };

            for (int32_t r = starts[d]; r < starts[d + 1]; r++)
                delta_step(p, state, r, h);
        }
}

static const size_t delta_sizes[INPUTS] = { ROWS * D_STRIDE, ROWS *VALUES,
                                            ROWS *VALUES, VALUES, VALUES };

static struct compute_delta delta_of(const struct device *d)
{
    return (struct compute_delta){
        .s = packed,
        .o = d->y.s,
        .q = d->in[0].s,
        .k = compute_at(d->in[0].s, KEYS * KEY_DIM),
        .v = compute_at(d->in[0].s, 2 * KEYS * KEY_DIM),
        .a = d->in[1].s,
        .b = d->in[2].s,
        .a_log = d->in[3].s,
        .dt_bias = d->in[4].s,
        .stride = D_STRIDE,
        .key_heads = KEYS,
        .value_heads = VALUES,
        .key_dim = KEY_DIM,
        .value_dim = VALUE_DIM,
        .eps = (float)D_EPS,
    };
}

static void delta_both(struct device *d)
{
    struct array kept = zeros(d->c, (ROWS / COMPUTE_CHUNK + DOCS) * VALUES *
                                        VALUE_DIM * KEY_DIM);
    struct compute_delta_grad g = {
        .fwd = delta_of(d),
        .d_o = d->dy.s,
        .dq = d->grad[0].s,
        .dk = compute_at(d->grad[0].s, KEYS * KEY_DIM),
        .dv = compute_at(d->grad[0].s, 2 * KEYS * KEY_DIM),
        .da = d->grad[1].s,
        .db = d->grad[2].s,
        .da_log = d->grad[3].s,
        .ddt_bias = d->grad[4].s,
    };

    g.fwd.kept = kept.s;
    d->c->ops->delta(d->c, &g.fwd);
    d->c->ops->delta_grad(d->c, &g);
    drop(d->c, &kept);
}

START_TEST(delta_rule_and_its_gradients)
{
    struct problem p = { .run = run_delta };
    struct compute *c = open_set(_i, 2);
    struct device d;

    if (!c)
        return;
    d = device_new(c, delta_sizes, ROWS * VALUES * VALUE_DIM, &p);
    delta_both(&d);
    check_outputs(&d, &p);
    check_gradients(&d, &p, 7, 20);
    device_drop(&d);
    problem_release(&p);
    compute_close(c);
}
END_TEST

static void delta_some(struct device *d, const struct compute_sequences *s,
                       size_t at)
{
    struct compute_delta v = delta_of(d);

    v.s = *s;
    v.q = compute_at(v.q, at * D_STRIDE);
    v.k = compute_at(v.k, at * D_STRIDE);
    v.v = compute_at(v.v, at * D_STRIDE);
    v.a = compute_at(v.a, at * VALUES);
    v.b = compute_at(v.b, at * VALUES);
    v.o = compute_at(v.o, at * VALUES * VALUE_DIM);
    d->c->ops->delta(d->c, &v);
}

START_TEST(delta_rule_in_pieces)
{
    struct problem p = { 0 };
    struct compute *c = open_set(_i, 2);
    struct device d;

    if (!c)
        return;
    d = device_new(c, delta_sizes, ROWS * VALUES * VALUE_DIM, &p);
    check_pieces(&d, VALUES * VALUE_DIM * KEY_DIM, VALUES * VALUE_DIM,
                 delta_some);
    device_drop(&d);
    problem_release(&p);
    compute_close(c);
}
END_TEST

/* A state's columns need nothing of each other: one head with many of them is
 * as many heads with one, that share b and c. Vectors of every width are in
 * it. */
#define WIDE 147
#define W_STRIDE (WIDE + 2 * WIDTH)

struct wide {
    struct array in, dt, a_log, dt_bias, d, y, dy, kept, din, ddt;
};

static void wide_run(struct compute *c, struct wide *w, size_t heads)
{
    size_t dim = WIDE / heads;
    struct compute_scan_grad g = {
        .fwd = { .s = packed,
                 .y = w->y.s,
                 .x = w->in.s,
                 .b = compute_at(w->in.s, WIDE),
                 .c = compute_at(w->in.s, WIDE + WIDTH),
                 .dt = w->dt.s,
                 .a_log = w->a_log.s,
                 .dt_bias = w->dt_bias.s,
                 .d = w->d.s,
                 .stride = W_STRIDE,
                 .dt_stride = heads,
                 .heads = heads,
                 .groups = 1,
                 .dim = dim,
                 .width = WIDTH,
                 .dt_max = 1e30F,
                 .kept = w->kept.s },
        .dy = w->dy.s,
        .dx = w->din.s,
        .db = compute_at(w->din.s, WIDE),
        .dc = compute_at(w->din.s, WIDE + WIDTH),
        .ddt = w->ddt.s,
    };

    c->ops->scan(c, &g.fwd);
    c->ops->scan_grad(c, &g);
    (void)fetch(c, &w->y);
    (void)fetch(c, &w->din);
    (void)fetch(c, &w->ddt);
}

static struct wide wide_new(struct compute *c, size_t heads)
{
    struct wide w;

    rng_init(&rng, 9);
    w.in = noise(c, ROWS * W_STRIDE);
    w.dy = noise(c, ROWS * WIDE);
    w.dt = zeros(c, ROWS * heads);
    w.a_log = zeros(c, heads);
    w.dt_bias = zeros(c, heads);
    w.d = zeros(c, heads);
    w.y = zeros(c, ROWS * WIDE);
    w.kept = zeros(c, (ROWS / COMPUTE_CHUNK + DOCS) * WIDE * WIDTH);
    w.din = zeros(c, ROWS * W_STRIDE);
    w.ddt = zeros(c, ROWS * heads);
    c->ops->fill(c, w.a_log.s, -2, heads);
    c->ops->fill(c, w.d.s, 0.5F, heads);
    wide_run(c, &w, heads);
    return w;
}

static void wide_drop(struct compute *c, struct wide *w)
{
    struct array *all[] = { &w->in, &w->dt, &w->a_log, &w->dt_bias, &w->d,
                            &w->y,  &w->dy, &w->kept,  &w->din,     &w->ddt };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        drop(c, all[i]);
}

START_TEST(columns_of_a_scan_go_on_alone)
{
    struct compute *c = open_set(_i, 2);
    struct wide one, many;

    if (!c)
        return;
    one = wide_new(c, 1);
    many = wide_new(c, WIDE);
    for (size_t i = 0; i < ROWS * WIDE; i++)
        close_to((double)one.y.x[i], (double)many.y.x[i], 1, "y");
    for (size_t i = 0; i < ROWS * W_STRIDE; i++)
        close_to((double)one.din.x[i], (double)many.din.x[i], 30, "dx, db, dc");
    for (size_t r = 0; r < ROWS; r++) {
        double sum = 0;

        for (size_t h = 0; h < WIDE; h++)
            sum += (double)many.ddt.x[r * WIDE + h];
        close_to((double)one.ddt.x[r], sum, 100, "ddt");
    }
    wide_drop(c, &one);
    wide_drop(c, &many);
    compute_close(c);
}
END_TEST

/* The same of the delta rule: value heads of one key head. */
static struct device delta_wide(struct compute *c, size_t heads,
                                struct problem *p)
{
    const size_t n[INPUTS] = { ROWS * (2 * KEY_DIM + WIDE), ROWS * heads,
                               ROWS * heads, heads, heads };
    size_t slot = WIDE * KEY_DIM, stride = 2 * KEY_DIM + WIDE;
    struct array kept = zeros(c, (ROWS / COMPUTE_CHUNK + DOCS) * slot);
    struct device d;
    struct compute_delta_grad g;

    rng_init(&rng, 9);
    d = device_new(c, n, ROWS * WIDE, p);
    for (int i = 1; i < 5; i++)
        c->ops->fill(c, d.in[i].s, i == 3 ? -2 : 0.3F, n[i]);
    g = (struct compute_delta_grad){
        .fwd = delta_of(&d),
        .d_o = d.dy.s,
        .dq = d.grad[0].s,
        .dk = compute_at(d.grad[0].s, KEY_DIM),
        .dv = compute_at(d.grad[0].s, 2 * KEY_DIM),
        .da = d.grad[1].s,
        .db = d.grad[2].s,
    };
    g.fwd.k = compute_at(d.in[0].s, KEY_DIM);
    g.fwd.v = compute_at(d.in[0].s, 2 * KEY_DIM);
    g.fwd.stride = stride;
    g.fwd.key_heads = 1;
    g.fwd.value_heads = heads;
    g.fwd.value_dim = WIDE / heads;
    g.fwd.kept = kept.s;
    c->ops->delta(c, &g.fwd);
    c->ops->delta_grad(c, &g);
    (void)fetch(c, &d.y);
    for (int i = 0; i < INPUTS; i++)
        (void)fetch(c, &d.grad[i]);
    drop(c, &kept);
    return d;
}

START_TEST(columns_of_a_delta_rule_go_on_alone)
{
    struct compute *c = open_set(_i, 2);
    struct problem p = { 0 }, q = { 0 };
    struct device one, many;

    if (!c)
        return;
    one = delta_wide(c, 1, &p);
    many = delta_wide(c, WIDE, &q);
    /* The noise is drawn for dy first, then for input 0: alike in both. */
    for (size_t i = 0; i < ROWS * WIDE; i++)
        close_to((double)one.y.x[i], (double)many.y.x[i], 1, "o");
    for (size_t i = 0; i < p.n[0]; i++)
        close_to((double)one.grad[0].x[i], (double)many.grad[0].x[i], 30,
                 "dq, dk, dv");
    for (size_t k = 1; k <= 2; k++)
        for (size_t r = 0; r < ROWS; r++) {
            double sum = 0;

            for (size_t h = 0; h < WIDE; h++)
                sum += (double)many.grad[k].x[r * WIDE + h];
            close_to((double)one.grad[k].x[r], sum, 100, "da, db");
        }
    device_drop(&one);
    device_drop(&many);
    problem_release(&p);
    problem_release(&q);
    compute_close(c);
}
END_TEST

/* Gradients for any number of threads are the same bits. */
START_TEST(gradients_without_regard_to_threads)
{
    float *first[2][INPUTS] = { { 0 } };

    for (unsigned threads = 1; threads <= 3; threads++)
        for (int which = 0; which < 2; which++) {
            struct problem p = { 0 };
            struct compute *c = open_set(0, threads);
            struct device d = device_new(
                c, which ? delta_sizes : scan_sizes,
                ROWS * (which ? VALUES * VALUE_DIM : HEADS * DIM), &p);

            if (which)
                delta_both(&d);
            else
                scan_both(&d, 0);
            for (int i = 0; i < INPUTS; i++) {
                float *got = fetch(c, &d.grad[i]);

                if (threads > 1)
                    ck_assert_mem_eq(got, first[which][i],
                                     d.grad[i].n * sizeof(float));
                free(first[which][i]);
                first[which][i] = got;
                d.grad[i].x = NULL;
            }
            device_drop(&d);
            problem_release(&p);
            compute_close(c);
        }
    for (int i = 0; i < 2 * INPUTS; i++)
        free(first[i / INPUTS][i % INPUTS]);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("compute_recurrent");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, scan_and_its_gradients, 0, 2 * SETS);
    tcase_add_loop_test(t, scan_in_pieces, 0, SETS);
    tcase_add_loop_test(t, delta_rule_and_its_gradients, 0, SETS);
    tcase_add_loop_test(t, delta_rule_in_pieces, 0, SETS);
    tcase_add_test(t, gradients_without_regard_to_threads);
    tcase_add_loop_test(t, columns_of_a_scan_go_on_alone, 0, SETS);
    tcase_add_loop_test(t, columns_of_a_delta_rule_go_on_alone, 0, SETS);
    return suite_run("compute_recurrent", t);
}
