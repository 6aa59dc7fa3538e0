/* test_compute_training.c - what training methods add to the table: lengths
 * and gains, distillation, weights as blocks */
#include "compute_arrays.h"
#include "suite.h"

START_TEST(lengths_of_adapted_rows)
{
    struct compute *c = open_set(_i, 2);
    const size_t n = 37, k = 53, rank = 3;
    struct array w, b, a, y;

    if (!c)
        return;
    w = noise(c, n * k);
    b = noise(c, n * rank);
    a = noise(c, rank * k);
    y = zeros(c, n);
    {
        const struct compute_span weights[3] = { w.s, b.s, a.s };

        c->ops->inverse_norms(c, y.s, weights, n, k, rank, 0.5f);
    }
    (void)fetch(c, &y);
    for (size_t i = 0; i < n; i++) {
        double sum = 0;

        for (size_t j = 0; j < k; j++) {
            double x = (double)w.x[i * k + j];

            for (size_t r = 0; r < rank; r++)
                x += 0.5 * (double)b.x[i * rank + r] * (double)a.x[r * k + j];
            sum += x * x;
        }
        close_to((double)y.x[i], 1 / sqrt(sum), 0, "inverse length");
    }
    DROP(c, &w, &b, &a, &y);
    compute_close(c);
}
END_TEST

START_TEST(rows_and_columns_are_scaled_and_multiplied)
{
    struct compute *c = open_set(_i, 2);
    const size_t rows = 41, cols = 70;
    struct array x, w, bias, add, y, f, dots;

    if (!c)
        return;
    x = noise(c, rows * cols);
    w = noise(c, cols);
    bias = noise(c, cols);
    add = noise(c, rows * cols);
    f = noise(c, rows);
    y = zeros(c, rows * cols);
    dots = noise(c, cols);
    c->ops->gain_columns(c, y.s, x.s, w.s, bias.s, add.s, rows, cols);
    (void)fetch(c, &y);
    for (size_t i = 0; i < rows * cols; i++)
        close_to((double)y.x[i],
                 (double)x.x[i] * (double)w.x[i % cols] +
                     (double)bias.x[i % cols] + (double)add.x[i],
                 1, "scaled columns");
    {
        double *want = doubles(&dots);

        c->ops->column_dots(c, dots.s, x.s, add.s, rows, cols);
        (void)fetch(c, &dots);
        for (size_t i = 0; i < rows * cols; i++)
            want[i % cols] += (double)x.x[i] * (double)add.x[i];
        for (size_t i = 0; i < cols; i++)
            close_to((double)dots.x[i], want[i], 3, "dots");
        free(want);
    }
    c->ops->scale_rows(c, y.s, f.s, rows, cols);
    {
        float *before = mem_array(rows * cols, sizeof(*before));

        memcpy(before, y.x, rows * cols * sizeof(*before));
        (void)fetch(c, &y);
        for (size_t i = 0; i < rows * cols; i++)
            close_to((double)y.x[i], (double)before[i] * (double)f.x[i / cols],
                     0, "scaled rows");
        free(before);
    }
    DROP(c, &x, &w, &bias, &add, &f, &y, &dots);
    compute_close(c);
}
END_TEST

/* One student's logits against a teacher, in double. */
struct lesson {
    double *x, *w;
    const double *teacher; /* logits [rows, vocab]; NULL: the next two */
    const int32_t *top_ids;
    const float *top_logp;
    const int32_t *labels;
    size_t rows, k, vocab, top;
    double temperature, mix, softcap;
};

static double log_sum(const double *z, size_t n, double t)
{
    double top = -INFINITY, sum = 0;

    for (size_t i = 0; i < n; i++)
        top = fmax(top, z[i] / t);
    for (size_t i = 0; i < n; i++)
        sum += exp(z[i] / t - top);
    return top + log(sum);
}

static double kl_all(const struct lesson *s, const double *z, const double *t)
{
    double T = s->temperature, lz = log_sum(z, s->vocab, T);
    double lt = log_sum(t, s->vocab, T), kl = 0;

    for (size_t i = 0; i < s->vocab; i++)
        kl += exp(t[i] / T - lt) * (t[i] / T - lt - z[i] / T + lz);
    return T * T * kl;
}

static double kl_top(const struct lesson *s, const double *z, size_t r)
{
    double lz = log_sum(z, s->vocab, 1), kl = 0, p = 1, q = 1;

    for (size_t i = 0; i < s->top; i++) {
        double lp = (double)s->top_logp[r * s->top + i];
        double lq = z[s->top_ids[r * s->top + i]] - lz;

        kl += exp(lp) * (lp - lq);
        p -= exp(lp);
        q -= exp(lq);
    }
    return kl + p * log(p / q);
}

static double lesson_loss(void *ctx)
{
    const struct lesson *s = ctx;
    double total = 0, *z = mem_array(s->vocab, sizeof(*z));

    for (size_t r = 0; r < s->rows; r++) {
        double nll, kl = 0, mix = s->mix;

        for (size_t v = 0; v < s->vocab; v++) {
            z[v] = 0;
            for (size_t i = 0; i < s->k; i++)
                z[v] += s->x[r * s->k + i] * s->w[v * s->k + i];
            if (s->softcap > 0)
                z[v] = s->softcap * tanh(z[v] / s->softcap);
        }
        nll = log_sum(z, s->vocab, 1) - z[s->labels[r]];
        if (s->teacher)
            kl = kl_all(s, z, s->teacher + r * s->vocab);
        else if (s->top_ids[r * s->top] >= 0)
            kl = kl_top(s, z, r);
        else
            mix = 0;
        total += mix * kl + (1 - mix) * nll;
    }
    free(z);
    return total;
}

#define ROWS 5
#define K 6
#define VOCAB 19
#define TOP 3
#define TK 4

static void check_lesson(struct compute *c, struct compute_distill *d,
                         struct lesson *s, struct array *x, struct array *w)
{
    struct array dx = zeros(c, ROWS * K), dw = zeros(c, VOCAB * K);
    struct array nll = zeros(c, ROWS), loss = zeros(c, ROWS);
    double sum = 0;

    s->x = doubles(x);
    s->w = doubles(w);
    d->head.dx = dx.s;
    d->head.dw = dw.s;
    d->head.nll = nll.s;
    d->loss = loss.s;
    c->ops->distill(c, d);
    (void)fetch(c, &loss);
    (void)fetch(c, &dx);
    (void)fetch(c, &dw);
    for (size_t r = 0; r < ROWS; r++)
        sum += (double)loss.x[r];
    close_to(sum, lesson_loss(s), 1, "loss");
    for (size_t i = 0; i < ROWS * K; i++)
        close_to((double)dx.x[i], 0.5 * slope(lesson_loss, s, &s->x[i]), 2,
                 "dx");
    for (size_t i = 0; i < VOCAB * K; i++)
        close_to((double)dw.x[i], 0.5 * slope(lesson_loss, s, &s->w[i]), 2,
                 "dw");
    free(s->x);
    free(s->w);
    DROP(c, &dx, &dw, &nll, &loss);
}

START_TEST(distillation_by_finite_differences)
{
    static const int32_t labels[ROWS] = { 3, 0, 18, 7, 7 };
    static const int32_t ids[ROWS * TOP] = { 3,  1, 2, 5,  18, 0, -1, -1,
                                             -1, 4, 9, 11, 6,  2, 1 };
    struct compute *c = open_set(_i, 2);
    struct array x, w, tx, tw, at, top, logp;
    struct compute_distill d;
    struct lesson s;
    double teacher[ROWS * VOCAB];

    if (!c)
        return;
    x = noise(c, ROWS * K);
    w = noise(c, VOCAB * K);
    tx = noise(c, ROWS * TK);
    tw = noise(c, VOCAB * TK);
    logp = zeros(c, ROWS * TOP);
    at = integers(c, labels, ROWS);
    top = integers(c, ids, ROWS * TOP);
    for (size_t i = 0; i < ROWS * TOP; i++)
        logp.x[i] = logf(0.02f + 0.1f * (float)(i % 4));
    c->ops->upload(c, logp.s, logp.x, logp.n);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t v = 0; v < VOCAB; v++) {
            double z = 0;

            for (size_t i = 0; i < TK; i++)
                z += (double)tx.x[r * TK + i] * (double)tw.x[v * TK + i];
            teacher[r * VOCAB + v] = z;
        }
    d = (struct compute_distill){ .head = { .x = x.s,
                                            .w = w.s,
                                            .labels = at.s,
                                            .rows = ROWS,
                                            .vocab = VOCAB,
                                            .k = K,
                                            .scale = 0.5f },
                                  .temperature = 2,
                                  .mix = 0.7f,
                                  .tx = tx.s,
                                  .tw = tw.s,
                                  .tk = TK };
    s = (struct lesson){ .teacher = teacher,
                         .labels = labels,
                         .rows = ROWS,
                         .k = K,
                         .vocab = VOCAB,
                         .temperature = 2,
                         .mix = (double)d.mix };
    check_lesson(c, &d, &s, &x, &w);
    d.head.softcap = 3;
    s.softcap = 3;
    check_lesson(c, &d, &s, &x, &w);
    d.tx = d.tw = (struct compute_span){ 0 };
    d.top_ids = top.s;
    d.top_logp = logp.s;
    d.top = TOP;
    s.teacher = NULL;
    s.top_ids = ids;
    s.top_logp = logp.x;
    s.top = TOP;
    check_lesson(c, &d, &s, &x, &w);
    DROP(c, &x, &w, &tx, &tw, &logp);
    compute_release(c, &at.s);
    compute_release(c, &top.s);
    compute_close(c);
}
END_TEST

/* Products over blocks against the same over what the blocks say. */
static void check_products(struct compute *c, struct array *blocks, size_t n,
                           size_t k)
{
    const size_t m = 9;
    struct array plain = zeros(c, n * k), x = noise(c, m * k);
    struct array y = zeros(c, m * n), z = zeros(c, m * n);
    struct array dx = zeros(c, m * k), dz = zeros(c, m * k);
    struct compute_linear l = { .x = x.s, .m = m, .n = n, .k = k, .alpha = 1 };

    memcpy(plain.x, fetch(c, blocks), n * k * sizeof(float));
    c->ops->upload(c, plain.s, plain.x, n * k);
    l.w = blocks->s;
    l.y = y.s;
    c->ops->linear(c, &l);
    l.x = dx.s;
    c->ops->linear_dx(c, &l);
    l.w = plain.s;
    l.x = x.s;
    l.y = z.s;
    c->ops->linear(c, &l);
    l.x = dz.s;
    c->ops->linear_dx(c, &l);
    ck_assert_mem_eq(fetch(c, &y), fetch(c, &z), m * n * sizeof(float));
    ck_assert_mem_eq(fetch(c, &dx), fetch(c, &dz), m * k * sizeof(float));
    DROP(c, &plain, &x, &y, &z, &dx, &dz);
}

static double error_of(const float *a, const float *b, size_t n)
{
    double off = 0, all = 0;

    for (size_t i = 0; i < n; i++) {
        off += (double)(a[i] - b[i]) * (double)(a[i] - b[i]);
        all += (double)b[i] * (double)b[i];
    }
    return sqrt(off / all);
}

/* Checkpoints of bitsandbytes hold products of codes and sizes in the 16 bits
 * of the model they were made from. */
START_TEST(rounded_blocks_lose_nothing)
{
    struct compute *c = open_set(_i % SETS, 2);
    const int digits = _i / SETS ? 11 : 8;
    const size_t n = 190 * 64 + 7;
    struct array w;
    float *before;

    if (!c)
        return;
    w = noise(c, n);
    OK(c->ops->quantise(c, w.s, 1, n, COMPUTE_NF4, &err));
    before = mem_array(n, sizeof(*before));
    memcpy(before, fetch(c, &w), n * sizeof(*before));
    for (size_t i = 0; i < n; i++) {
        int e;
        double part = frexp((double)before[i] * 0.01, &e);

        before[i] = (float)ldexp(rint(ldexp(part, digits)), e - digits);
    }
    drop(c, &w);
    w = zeros(c, n);
    c->ops->upload(c, w.s, before, n);
    OK(c->ops->quantise(c, w.s, 1, n, COMPUTE_NF4, &err));
    ck_assert_mem_eq(fetch(c, &w), before, n * sizeof(float));
    free(before);
    drop(c, &w);
    compute_close(c);
}
END_TEST

START_TEST(weights_as_blocks)
{
    struct compute *c = open_set(_i % SETS, 2);
    enum compute_quant kind = _i / SETS ? COMPUTE_INT8 : COMPUTE_NF4;
    const size_t n = 61, k = 133; /* rows end inside blocks */
    struct array w, again;
    float *before;
    size_t used, less, peak;

    if (!c)
        return;
    w = noise(c, n * k);
    for (size_t i = 0; i < 200; i++)
        w.x[i] = 0;
    c->ops->upload(c, w.s, w.x, n * k);
    before = mem_array(n * k, sizeof(*before));
    memcpy(before, w.x, n * k * sizeof(*before));
    c->ops->memory(c, &used, &peak);
    OK(c->ops->quantise(c, w.s, n, k, kind, &err));
    c->ops->memory(c, &less, &peak);
    ck_assert_uint_le(less, used / (kind == COMPUTE_NF4 ? 7 : 3));
    ck_assert(error_of(fetch(c, &w), before, n * k) <
              (kind == COMPUTE_NF4 ? 0.12 : 0.01));
    check_products(c, &w, n, k);
    /* What blocks say is kept without loss. */
    again = zeros(c, n * k);
    for (size_t i = 0; i < n * k; i++)
        again.x[i] = w.x[i];
    c->ops->upload(c, again.s, again.x, n * k);
    OK(c->ops->quantise(c, again.s, n, k, kind, &err));
    if (kind == COMPUTE_NF4)
        ck_assert_mem_eq(fetch(c, &again), w.x, n * k * sizeof(float));
    free(before);
    drop(c, &w);
    drop(c, &again);
    compute_close(c);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("compute_training");

    tcase_add_loop_test(t, lengths_of_adapted_rows, 0, SETS);
    tcase_add_loop_test(t, rows_and_columns_are_scaled_and_multiplied, 0, SETS);
    tcase_add_loop_test(t, distillation_by_finite_differences, 0, SETS);
    tcase_add_loop_test(t, weights_as_blocks, 0, 2 * SETS);
    tcase_add_loop_test(t, rounded_blocks_lose_nothing, 0, 2 * SETS);
    return suite_run("compute_training", t);
}
