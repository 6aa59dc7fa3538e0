/* test_compute_attention.c - attention and cross-entropy as test_compute.c
 * tests the rest: in double, and by finite differences */
#include "compute_arrays.h"
#include "suite.h"

#include "base/map.h"

struct attention {
    double *q, *k, *v, *r;
    const int32_t *starts;
    size_t docs, heads, kv_heads, dim, window;
    double softcap;
    const int32_t *seen;
};

/* What families other than Llama's ask for. */
static const struct {
    size_t window;
    float softcap;
} options[] = { { 0, 0 }, { 7, 0 }, { 0, 1.5f }, { 90, 0.8f }, { 1, 0 } };
#define OPTIONS 5

/* sum r * attention(q, k, v), row by row. */
static double attention_loss(void *ctx)
{
    const struct attention *a = ctx;
    size_t ld = a->heads * a->dim, kv_ld = a->kv_heads * a->dim;
    double p[1200], loss = 0, scale = 1 / sqrt((double)a->dim);

    for (size_t d = 0; d < a->docs; d++)
        for (int32_t i = a->starts[d]; i < a->starts[d + 1]; i++)
            for (size_t h = 0; h < a->heads; h++) {
                const double *q = a->q + (size_t)i * ld + h * a->dim;
                const double *r = a->r + (size_t)i * ld + h * a->dim;
                size_t off = h / (a->heads / a->kv_heads) * a->dim;
                double sum = 0, mix = 0;
                int32_t first = a->starts[d];
                int32_t end = a->seen ? first + a->seen[d] : i + 1;

                if (a->window && i - first >= (int32_t)a->window)
                    first = i + 1 - (int32_t)a->window;
                for (int32_t j = first; j < end; j++) {
                    const double *k = a->k + (size_t)j * kv_ld + off;
                    double s = 0;

                    for (size_t x = 0; x < a->dim; x++)
                        s += q[x] * k[x];
                    s *= scale;
                    if (a->softcap > 0)
                        s = a->softcap * tanh(s / a->softcap);
                    p[j - a->starts[d]] = exp(s);
                    sum += p[j - a->starts[d]];
                }
                for (int32_t j = first; j < end; j++) {
                    const double *v = a->v + (size_t)j * kv_ld + off;

                    for (size_t x = 0; x < a->dim; x++)
                        mix += p[j - a->starts[d]] * v[x] * r[x];
                }
                loss += mix / sum;
            }
    return loss;
}

static const int32_t documents[][6] = { { 0, 1, 6, 39, 39, 60 },
                                        { 0, 5, 6, 7, 30, 610 } };

struct attention_test {
    struct array q, k, v, o, lse, r, dq, dk, dv;
    struct compute_attention_grad g;
};

static struct attention_test attention_test(struct compute *c, int docs,
                                            size_t dim)
{
    size_t rows = (size_t)documents[docs][5];
    struct attention_test t = {
        .q = noise(c, rows * 6 * dim),
        .k = noise(c, rows * 2 * dim),
        .v = noise(c, rows * 2 * dim),
        .o = zeros(c, rows * 6 * dim),
        .lse = zeros(c, 6 * rows),
        .r = noise(c, rows * 6 * dim),
        .dq = noise(c, rows * 6 * dim),
        .dk = noise(c, rows * 2 * dim),
        .dv = noise(c, rows * 2 * dim),
    };

    t.g = (struct compute_attention_grad){
        .fwd = { .o = t.o.s,
                 .lse = t.lse.s,
                 .q = t.q.s,
                 .k = t.k.s,
                 .v = t.v.s,
                 .starts = documents[docs],
                 .docs = 5,
                 .rows = rows,
                 .heads = 6,
                 .kv_heads = 2,
                 .dim = dim,
                 .scale = (float)(1 / sqrt((double)dim)) },
        .d_o = t.r.s,
        .dq = t.dq.s,
        .dk = t.dk.s,
        .dv = t.dv.s,
    };
    return t;
}

static void attention_drop(struct compute *c, struct attention_test *t)
{
    DROP(c, &t->q, &t->k, &t->v, &t->o, &t->lse, &t->r, &t->dq, &t->dk, &t->dv);
}

START_TEST(attention_and_its_gradient)
{
    struct compute *c = open_set(_i % SETS, 2);
    int docs = _i / SETS % 2, option = _i / SETS / 2;
    struct attention_test t;
    struct attention a;
    double loss = 0;

    if (!c)
        return;
    t = attention_test(c, docs, docs ? 12 : 33);
    t.g.fwd.window = options[option].window;
    t.g.fwd.softcap = options[option].softcap;
    c->ops->attention(c, &t.g.fwd);
    (void)fetch(c, &t.o);
    a = (struct attention){ doubles(&t.q),
                            doubles(&t.k),
                            doubles(&t.v),
                            doubles(&t.r),
                            documents[docs],
                            5,
                            6,
                            2,
                            t.g.fwd.dim,
                            options[option].window,
                            (double)options[option].softcap,
                            NULL };
    for (size_t i = 0; i < t.o.n; i++)
        loss += (double)t.o.x[i] * a.r[i];
    close_to(loss, attention_loss(&a), sqrt((double)t.o.n), "attention");
    c->ops->attention_grad(c, &t.g);
    (void)fetch(c, &t.dq);
    (void)fetch(c, &t.dk);
    (void)fetch(c, &t.dv);
    for (int i = 0; i < (docs ? 6 : 40); i++) {
        size_t q = rng_below(&rng, t.q.n), k = rng_below(&rng, t.k.n);

        close_to((double)t.dq.x[q], slope(attention_loss, &a, a.q + q), 2,
                 "dq");
        close_to((double)t.dk.x[k], slope(attention_loss, &a, a.k + k), 4,
                 "dk");
        close_to((double)t.dv.x[k], slope(attention_loss, &a, a.v + k), 4,
                 "dv");
    }
    free(a.q);
    free(a.k);
    free(a.v);
    free(a.r);
    attention_drop(c, &t);
    compute_close(c);
}
END_TEST

/* Rows see their document's first ones, those after them too. */
START_TEST(attention_of_an_encoder_sees_ahead)
{
    static const int32_t seen[2][5] = { { 1, 5, 20, 1, 21 },
                                        { 3, 1, 1, 23, 577 } };
    struct compute *c = open_set(_i % SETS, 2);
    int docs = _i / SETS;
    struct attention_test t;
    struct attention a;
    double loss = 0;

    if (!c)
        return;
    ck_assert(c->ops->features & COMPUTE_HAS_ENCODER);
    t = attention_test(c, docs, docs ? 12 : 33);
    t.g.fwd.seen = seen[docs];
    c->ops->attention(c, &t.g.fwd);
    (void)fetch(c, &t.o);
    a = (struct attention){ doubles(&t.q),
                            doubles(&t.k),
                            doubles(&t.v),
                            doubles(&t.r),
                            documents[docs],
                            5,
                            6,
                            2,
                            t.g.fwd.dim,
                            0,
                            0,
                            seen[docs] };
    for (size_t i = 0; i < t.o.n; i++)
        loss += (double)t.o.x[i] * a.r[i];
    close_to(loss, attention_loss(&a), sqrt((double)t.o.n), "attention");
    free(a.q);
    free(a.k);
    free(a.v);
    free(a.r);
    attention_drop(c, &t);
    compute_close(c);
}
END_TEST

/* A ring of less than half the sequence goes round twice. */
START_TEST(windowed_cache_goes_round_in_a_ring)
{
    enum { ROWS = 2600, DIM = 12, HEADS = 6, KV = 2, STEP = 200 };
    static const size_t windows[] = { 1, 100, 700, 824 };
    struct compute *c = open_set(_i % SETS, 2);
    const int32_t slot = 1, whole[2] = { 0, ROWS };
    struct compute_attention_cached a = { .heads = HEADS,
                                          .kv_heads = KV,
                                          .dim = DIM,
                                          .capacity = ROWS,
                                          .seqs = 1,
                                          .window = windows[_i / SETS],
                                          .step = STEP,
                                          .slots = &slot,
                                          .scale = 0.3f };
    struct array q, k, v, want, o, keys, values;
    struct array *all[] = { &q, &k, &v, &want, &o, &keys, &values };
    size_t key_count, value_count;

    if (!c)
        return;
    q = noise(c, ROWS * HEADS * DIM);
    k = noise(c, ROWS * KV * DIM);
    v = noise(c, ROWS * KV * DIM);
    want = zeros(c, q.n);
    o = zeros(c, q.n);
    c->ops->attention(c, &(struct compute_attention){ .o = want.s,
                                                      .q = q.s,
                                                      .k = k.s,
                                                      .v = v.s,
                                                      .starts = whole,
                                                      .docs = 1,
                                                      .rows = ROWS,
                                                      .heads = HEADS,
                                                      .kv_heads = KV,
                                                      .dim = DIM,
                                                      .scale = a.scale,
                                                      .window = a.window });
    c->ops->cache_size(c, &a, 2, &key_count, &value_count);
    ck_assert_uint_lt(key_count, 2 * KV * DIM * ROWS / 2);
    keys = zeros(c, key_count);
    values = zeros(c, value_count);
    a.keys = keys.s;
    a.values = values.s;
    for (int32_t at = 0; at < ROWS;) {
        int32_t n = at % 3 ? 1 : STEP - at % 7, starts[2] = { 0, 0 };

        starts[1] = ROWS - at < n ? ROWS - at : n;
        a.starts = starts;
        a.past = &at;
        a.q = compute_at(q.s, (size_t)at * HEADS * DIM);
        a.o = compute_at(o.s, (size_t)at * HEADS * DIM);
        c->ops->cache_store(c, &a, compute_at(k.s, (size_t)at * KV * DIM),
                            compute_at(v.s, (size_t)at * KV * DIM));
        c->ops->attention_cached(c, &a);
        at += starts[1];
    }
    (void)fetch(c, &want);
    ck_assert_mem_eq(fetch(c, &o), want.x, o.n * sizeof(float));
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        drop(c, all[i]);
    compute_close(c);
}
END_TEST

/* Fed in uneven pieces, row by row at the end. */
START_TEST(cached_attention_has_the_bits_of_packed_attention)
{
    enum { ROWS = 580, DIM = 12, HEADS = 6, KV = 2 };
    static const int32_t cuts[] = { 0, 300, 301, 540, 578, 579, 580 };
    struct compute *c = open_set(_i % SETS, 2);
    int option = _i / SETS;
    struct attention_test t;
    struct compute_attention_cached a = {
        .heads = HEADS, .kv_heads = KV, .dim = DIM, .capacity = 601, .seqs = 1
    };
    struct array keys, values, o;
    size_t key_count, value_count;
    const int32_t slot = 1, whole[2] = { 0, ROWS };

    if (!c)
        return;
    t = attention_test(c, 1, DIM);
    t.g.fwd.starts = whole;
    t.g.fwd.docs = 1;
    t.g.fwd.rows = ROWS;
    t.g.fwd.window = a.window = options[option].window;
    t.g.fwd.softcap = a.softcap = options[option].softcap;
    c->ops->attention(c, &t.g.fwd);
    (void)fetch(c, &t.o);
    c->ops->cache_size(c, &a, 2, &key_count, &value_count);
    keys = zeros(c, key_count);
    values = zeros(c, value_count);
    o = zeros(c, ROWS * HEADS * DIM);
    a.keys = keys.s;
    a.values = values.s;
    a.slots = &slot;
    a.scale = t.g.fwd.scale;
    for (size_t i = 0; i + 1 < sizeof(cuts) / sizeof(cuts[0]); i++) {
        int32_t starts[2] = { 0, cuts[i + 1] - cuts[i] };
        size_t at = (size_t)cuts[i];

        a.starts = starts;
        a.past = &cuts[i];
        a.q = compute_at(t.q.s, at * HEADS * DIM);
        a.o = compute_at(o.s, at * HEADS * DIM);
        c->ops->cache_store(c, &a, compute_at(t.k.s, at * KV * DIM),
                            compute_at(t.v.s, at * KV * DIM));
        c->ops->attention_cached(c, &a);
    }
    ck_assert_mem_eq(fetch(c, &o), t.o.x, o.n * sizeof(float));
    DROP(c, &keys, &values, &o);
    attention_drop(c, &t);
    compute_close(c);
}
END_TEST

struct head {
    double *x, *w;
    const int32_t *labels;
    size_t rows, vocab, k;
    double *bias, softcap; /* bias may be NULL */
};

static double head_loss(void *ctx)
{
    const struct head *h = ctx;
    double loss = 0;

    for (size_t i = 0; i < h->rows; i++) {
        double sum = 0, at = 0;

        for (size_t v = 0; v < h->vocab; v++) {
            double s = h->bias ? h->bias[v] : 0;

            for (size_t k = 0; k < h->k; k++)
                s += h->x[i * h->k + k] * h->w[v * h->k + k];
            if (h->softcap > 0)
                s = h->softcap * tanh(s / h->softcap);
            sum += exp(s);
            if ((int32_t)v == h->labels[i])
                at = s;
        }
        loss += log(sum) - at;
    }
    return loss * 0.25;
}

START_TEST(cross_entropy_and_its_gradient)
{
    enum { ROWS = 71, VOCAB = 133, K = 21 };
    struct compute *c = open_set(_i % SETS, 2);
    bool more = _i >= SETS; /* with a bias and capped logits */
    int32_t labels[ROWS];
    struct array x, w, b, dx, dw, db, nll, ids;
    struct compute_cross_entropy e;
    struct head h;
    double loss = 0;

    if (!c)
        return;
    for (int i = 0; i < ROWS; i++)
        labels[i] = i * 17 % VOCAB;
    x = noise(c, ROWS * K);
    w = noise(c, VOCAB * K);
    dx = noise(c, ROWS * K);
    dw = zeros(c, VOCAB * K);
    b = noise(c, VOCAB);
    db = zeros(c, VOCAB);
    nll = zeros(c, ROWS);
    ids = integers(c, labels, ROWS);
    e = (struct compute_cross_entropy){ x.s,  w.s,  ids.s, nll.s, dx.s,
                                        dw.s, ROWS, VOCAB, K,     0.25f };
    h = (struct head){
        doubles(&x), doubles(&w), labels, ROWS, VOCAB, K, NULL, 0
    };
    if (more) {
        e.bias = b.s;
        e.dbias = db.s;
        e.softcap = 4;
        h.bias = doubles(&b);
        h.softcap = 4;
    }
    c->ops->cross_entropy(c, &e);
    (void)fetch(c, &nll);
    for (int i = 0; i < ROWS; i++)
        loss += (double)nll.x[i] * 0.25;
    close_to(loss, head_loss(&h), 1, "loss");
    (void)fetch(c, &dx);
    (void)fetch(c, &dw);
    for (int n = 0; n < 60; n++) {
        size_t i = rng_below(&rng, x.n), v = rng_below(&rng, w.n);

        close_to((double)dx.x[i], slope(head_loss, &h, h.x + i), 1, "dx");
        close_to((double)dw.x[v], slope(head_loss, &h, h.w + v), 1, "dw");
    }
    (void)fetch(c, &db);
    for (size_t v = 0; more && v < VOCAB; v += 5)
        close_to((double)db.x[v], slope(head_loss, &h, h.bias + v), 1, "dbias");
    free(h.x);
    free(h.w);
    free(h.bias);
    DROP(c, &x, &w, &b, &db, &dx, &dw, &nll, &ids);
    compute_close(c);
}
END_TEST

/* Everything that adds up over rows, hashed. */
static uint64_t work_hash(int set, unsigned threads)
{
    struct compute *c = open_set(set, threads);
    static const size_t shape[3] = { 700, 150, 200 };
    struct product p;
    struct attention_test t;
    struct array rstd, dx;
    uint64_t h = 1;
    double squares;

    if (!c)
        return 0;
    p = product(c, shape);
    c->ops->linear(c, &p.l);
    p.l.addend = p.x.s;
    c->ops->linear_dx(c, &p.l);
    c->ops->linear_dw(c, &p.l);
    h = hash_stable(fetch(c, &p.y), p.y.n * 4, h);
    h = hash_stable(fetch(c, &p.x), p.x.n * 4, h);
    h = hash_stable(fetch(c, &p.w), p.w.n * 4, h);
    h = hash_stable(fetch(c, &p.b), p.b.n * 4, h);
    t = attention_test(c, 1, 12);
    c->ops->attention(c, &t.g.fwd);
    c->ops->attention_grad(c, &t.g);
    h = hash_stable(fetch(c, &t.dk), t.dk.n * 4, h);
    h = hash_stable(fetch(c, &t.dq), t.dq.n * 4, h);
    rstd = noise(c, 700);
    dx = noise(c, 700 * 150);
    c->ops->rmsnorm_grad(c, dx.s, p.b.s, p.y.s, dx.s, p.b.s, rstd.s, 700, 150);
    h = hash_stable(fetch(c, &p.b), p.b.n * 4, h);
    squares = c->ops->sum_squares(c, p.y.s, p.y.n);
    h = hash_stable(&squares, sizeof(squares), h);
    product_drop(c, &p);
    attention_drop(c, &t);
    drop(c, &rstd);
    drop(c, &dx);
    compute_close(c);
    return h;
}

START_TEST(results_do_not_depend_on_the_number_of_threads)
{
    uint64_t one = work_hash(_i, 1);

    ck_assert_uint_eq(one, work_hash(_i, 2));
    ck_assert_uint_eq(one, work_hash(_i, 3));
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("compute_attention");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, attention_and_its_gradient, 0, 2 * SETS * OPTIONS);
    tcase_add_loop_test(t, attention_of_an_encoder_sees_ahead, 0, 2 * SETS);
    tcase_add_loop_test(t, cached_attention_has_the_bits_of_packed_attention, 0,
                        SETS * OPTIONS);
    tcase_add_loop_test(t, windowed_cache_goes_round_in_a_ring, 0, 4 * SETS);
    tcase_add_loop_test(t, cross_entropy_and_its_gradient, 0, 2 * SETS);
    tcase_add_loop_test(t, results_do_not_depend_on_the_number_of_threads, 0,
                        SETS);
    return suite_run("compute_attention", t);
}
