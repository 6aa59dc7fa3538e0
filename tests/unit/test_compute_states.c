/* test_compute_states.c - convolutions and gated norms: in double, by finite
 * differences, and with their states cut anywhere */
#include "compute_problem.h"
#include "suite.h"

#define CHANNELS 70
#define TAPS 4
#define X_STRIDE 73

static void run_conv(struct problem *p)
{
    for (int d = 0; d < DOCS; d++)
        for (int32_t r = starts[d]; r < starts[d + 1]; r++)
            for (int32_t c = 0; c < CHANNELS; c++) {
                double sum = p->kind & 1 ? p->in[2][c] : 0;

                for (int32_t j = 0; j < TAPS; j++)
                    if (r - TAPS + 1 + j >= starts[d])
                        sum += p->in[1][c * TAPS + j] *
                               p->in[0][(r - TAPS + 1 + j) * X_STRIDE + c];
                if (p->kind & 2)
                    sum /= 1 + exp(-sum);
                p->y[r * CHANNELS + c] = sum;
            }
}

static struct compute_conv conv_of(const struct device *d, int kind)
{
    struct compute_conv v = { .s = packed,
                              .y = d->y.s,
                              .x = d->in[0].s,
                              .w = d->in[1].s,
                              .x_stride = X_STRIDE,
                              .channels = CHANNELS,
                              .taps = TAPS,
                              .kind =
                                  kind & 2 ? COMPUTE_SILU : COMPUTE_IDENTITY };

    if (kind & 1)
        v.bias = d->in[2].s;
    return v;
}

START_TEST(convolution_and_its_gradients)
{
    const size_t n[INPUTS] = { ROWS * X_STRIDE, CHANNELS * TAPS, CHANNELS };
    struct problem p = { .run = run_conv, .kind = _i / SETS };
    struct compute *c = open_set(_i % SETS, 2);
    struct compute_conv_grad g;
    struct device d;

    if (!c)
        return;
    d = device_new(c, n, ROWS * CHANNELS, &p);
    g.fwd = conv_of(&d, p.kind);
    g.dy = d.dy.s;
    g.dx = d.grad[0].s;
    g.dw = d.grad[1].s;
    g.dbias = d.grad[2].s;
    if (!(p.kind & 1))
        g.dbias = (struct compute_span){ 0 };
    c->ops->conv(c, &g.fwd);
    c->ops->conv_grad(c, &g);
    check_outputs(&d, &p);
    check_gradients(&d, &p, 61, 5);
    device_drop(&d);
    problem_release(&p);
    compute_close(c);
}
END_TEST

static void conv_some(struct device *d, const struct compute_sequences *s,
                      size_t at)
{
    struct compute_conv v = conv_of(d, 3);

    v.s = *s;
    v.x = compute_at(d->in[0].s, at * X_STRIDE);
    v.y = compute_at(d->y.s, at * CHANNELS);
    d->c->ops->conv(d->c, &v);
}

START_TEST(convolution_in_pieces)
{
    const size_t n[INPUTS] = { ROWS * X_STRIDE, CHANNELS * TAPS, CHANNELS };
    struct problem p = { .kind = 3 };
    struct compute *c = open_set(_i, 2);
    struct device d;

    if (!c)
        return;
    d = device_new(c, n, ROWS * CHANNELS, &p);
    check_pieces(&d, (TAPS - 1) * CHANNELS, CHANNELS, conv_some);
    device_drop(&d);
    problem_release(&p);
    compute_close(c);
}
END_TEST

/* Gated norm: inputs x, gate, w. */
#define N_DIM 36
#define N_STRIDE 41
static const struct {
    size_t group, w_dim;
    bool gate_first;
} norms[] = {
    { 18, 36, true }, { 18, 36, false }, { 12, 12, false }, { 0, 1, true }
};
#define NORMS 4

static void run_norm(struct problem *p)
{
    size_t group = norms[p->kind].group;

    for (size_t i = 0; i < ROWS * N_DIM; i++) {
        size_t r = i / N_DIM, at = group ? i % N_DIM / group * group : 0;
        double gate = p->in[1][r * N_STRIDE + i % N_DIM], sum = 0;

        gate /= 1 + exp(-gate);
        for (size_t k = at; k < at + group; k++) {
            double x = p->in[0][r * N_DIM + k], z = p->in[1][r * N_STRIDE + k];

            x *= norms[p->kind].gate_first ? z / (1 + exp(-z)) : 1;
            sum += x * x / (double)group;
        }
        p->y[i] = p->in[0][i] * gate;
        if (group)
            p->y[i] *=
                p->in[2][i % N_DIM % norms[p->kind].w_dim] / sqrt(sum + 1e-5);
    }
}

START_TEST(gated_norms_and_their_gradients)
{
    const size_t n[INPUTS] = { ROWS * N_DIM, ROWS * N_STRIDE,
                               norms[_i / SETS].w_dim };
    struct problem p = { .run = run_norm, .kind = _i / SETS };
    struct compute *c = open_set(_i % SETS, 2);
    struct compute_gated_norm_grad g = { 0 };
    struct device d;

    if (!c)
        return;
    d = device_new(c, n, ROWS * N_DIM, &p);
    g.fwd =
        (struct compute_gated_norm){ .y = d.y.s,
                                     .x = d.in[0].s,
                                     .gate = d.in[1].s,
                                     .w = d.in[2].s,
                                     .rows = ROWS,
                                     .dim = N_DIM,
                                     .group = norms[p.kind].group,
                                     .w_dim = norms[p.kind].w_dim,
                                     .gate_stride = N_STRIDE,
                                     .eps = 1e-5f,
                                     .gate_first = norms[p.kind].gate_first };
    g.dy = d.dy.s;
    g.dx = d.grad[0].s;
    g.dgate = d.grad[1].s;
    g.dw = d.grad[2].s;
    c->ops->gated_norm(c, &g.fwd);
    c->ops->gated_norm_grad(c, &g);
    check_outputs(&d, &p);
    check_gradients(&d, &p, 11, 5);
    g.fwd.y = d.in[0].s; /* in place */
    c->ops->gated_norm(c, &g.fwd);
    ck_assert_mem_eq(fetch(c, &d.in[0]), d.y.x, d.y.n * sizeof(float));
    device_drop(&d);
    problem_release(&p);
    compute_close(c);
}
END_TEST

START_TEST(columns_are_scaled)
{
    struct compute *c = open_set(_i, 2);
    struct array y;
    float *was;

    if (!c)
        return;
    y = noise(c, ROWS * 9);
    was = fetch(c, &y);
    y.x = mem_zalloc((y.n + 1) * sizeof(float));
    c->ops->scale_columns(c, compute_at(y.s, 2), 9, ROWS, 5, 3);
    (void)fetch(c, &y);
    for (size_t i = 0; i < y.n; i++)
        close_to((double)y.x[i],
                 (double)was[i] * (i % 9 >= 2 && i % 9 < 7 ? 3 : 1), 1, "y");
    free(was);
    drop(c, &y);
    compute_close(c);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("compute_states");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, convolution_and_its_gradients, 0, 4 * SETS);
    tcase_add_loop_test(t, convolution_in_pieces, 0, SETS);
    tcase_add_loop_test(t, gated_norms_and_their_gradients, 0, NORMS * SETS);
    tcase_add_loop_test(t, columns_are_scaled, 0, SETS);
    return suite_run("compute_states", t);
}
