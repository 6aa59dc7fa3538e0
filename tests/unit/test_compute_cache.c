/* test_compute_cache.c - the KV cache: what it loses in narrow types, and that
 * neither threads nor other sequences nor cuts change a bit */
#include "compute_arrays.h"
#include "suite.h"

struct shape {
    size_t heads, kv, dim, window;
    float softcap;
};
static const struct shape shapes[] = { { 6, 2, 12, 0, 0 },
                                       { 6, 2, 33, 90, 1.5f },
                                       { 40, 1, 20, 0, 0 },
                                       { 4, 4, 64, 300, 0 } };
#define SHAPES 4
static const enum compute_type types[] = { COMPUTE_F32, COMPUTE_F16,
                                           COMPUTE_I8 };
#define TYPES 3
#define ROWS 610

/* Sequence slots' caches, and the inputs of one sequence. */
struct cached {
    struct array q, k, v, o, keys, values;
    struct compute_attention_cached a;
};

static struct array elements(struct compute *c, enum compute_type type,
                             size_t n)
{
    struct array a = { .n = n };

    OK(compute_alloc(c, type, n, "test", &a.s, &err));
    return a;
}

static struct cached cached(struct compute *c, const struct shape *s,
                            enum compute_type type, size_t rows, size_t slots)
{
    struct cached x = { .q = noise(c, rows * s->heads * s->dim),
                        .k = noise(c, rows * s->kv * s->dim),
                        .v = noise(c, rows * s->kv * s->dim),
                        .o = zeros(c, rows * s->heads * s->dim) };
    size_t keys, values;

    x.a = (struct compute_attention_cached){
        .heads = s->heads,
        .kv_heads = s->kv,
        .dim = s->dim,
        .capacity = rows + 7,
        .scale = (float)(1 / sqrt((double)s->dim)),
        .window = s->window,
        .softcap = s->softcap,
        .step = 256,
        .type = type
    };
    c->ops->cache_size(c, &x.a, slots, &keys, &values);
    x.keys = elements(c, type, keys);
    x.values = elements(c, type, values);
    x.a.keys = x.keys.s;
    x.a.values = x.values.s;
    return x;
}

static void cached_drop(struct compute *c, struct cached *x)
{
    DROP(c, &x->q, &x->k, &x->v, &x->o, &x->keys, &x->values);
}

/* Rows from..end of the inputs as rows past.. of the sequence in the slot. */
static void step(struct compute *c, struct cached *x, int32_t slot,
                 int32_t past, size_t from, size_t end)
{
    const int32_t starts[] = { 0, (int32_t)(end - from) };
    size_t ld = x->a.heads * x->a.dim, kv_ld = x->a.kv_heads * x->a.dim;

    x->a.starts = starts;
    x->a.past = &past;
    x->a.slots = &slot;
    x->a.seqs = 1;
    x->a.q = compute_at(x->q.s, from * ld);
    x->a.o = compute_at(x->o.s, from * ld);
    c->ops->cache_store(c, &x->a, compute_at(x->k.s, from * kv_ld),
                        compute_at(x->v.s, from * kv_ld));
    c->ops->attention_cached(c, &x->a);
}

/* To 11 bits of mantissa or multiples of 2^-24, ties to even. */
static float half(float x)
{
    int e;

    (void)frexp((double)x, &e);
    e = e < -13 ? -24 : e - 11;
    return (float)ldexp(nearbyint(ldexp((double)x, -e)), e);
}

/* Rows of one head as a cache of the type has them. */
static void round_rows(struct array *x, size_t dim, enum compute_type type)
{
    for (size_t at = 0; at < x->n; at += dim) {
        float most = 0;

        for (size_t i = at; i < at + dim; i++)
            most = fmaxf(most, fabsf(x->x[i]));
        for (size_t i = at; i < at + dim; i++)
            if (type == COMPUTE_I8)
                x->x[i] = nearbyintf(x->x[i] * (127 / most)) * (most / 127);
            else if (type == COMPUTE_F16)
                x->x[i] = half(x->x[i]);
    }
}

/* Packed attention over what the cache has: the bits of it but for bytes,
 * whose factors are multiplied later. */
START_TEST(a_cache_is_attention_over_rounded_keys_and_values)
{
    static const size_t cuts[] = { 0, 200, 201, 400, 578, 579, ROWS };
    static const int32_t whole[] = { 0, ROWS };
    const struct shape *s = &shapes[_i / SETS % SHAPES];
    enum compute_type type = types[_i / SETS / SHAPES];
    struct compute *c = open_set(_i % SETS, 2);
    struct cached x;
    struct array want;
    struct compute_attention a;

    if (!c)
        return;
    x = cached(c, s, type, ROWS, 2);
    want = zeros(c, x.o.n);
    for (size_t i = 0; i + 1 < sizeof(cuts) / sizeof(cuts[0]); i++)
        step(c, &x, 1, (int32_t)cuts[i], cuts[i], cuts[i + 1]);
    round_rows(&x.k, s->dim, type);
    round_rows(&x.v, s->dim, type);
    c->ops->upload(c, x.k.s, x.k.x, x.k.n);
    c->ops->upload(c, x.v.s, x.v.x, x.v.n);
    a = (struct compute_attention){ .o = want.s,
                                    .q = x.q.s,
                                    .k = x.k.s,
                                    .v = x.v.s,
                                    .starts = whole,
                                    .docs = 1,
                                    .rows = ROWS,
                                    .heads = s->heads,
                                    .kv_heads = s->kv,
                                    .dim = s->dim,
                                    .scale = x.a.scale,
                                    .window = s->window,
                                    .softcap = s->softcap };
    c->ops->attention(c, &a);
    (void)fetch(c, &want);
    (void)fetch(c, &x.o);
    if (type == COMPUTE_I8)
        for (size_t i = 0; i < want.n; i++)
            close_to((double)x.o.x[i], (double)want.x[i], 1, "bytes");
    else
        ck_assert_mem_eq(x.o.x, want.x, want.n * sizeof(float));
    drop(c, &want);
    cached_drop(c, &x);
    compute_close(c);
}
END_TEST

/* Values that half floats have only as denormals, or not at all. */
START_TEST(half_floats_of_any_size)
{
    static const struct {
        float from, to;
    } want[] = { { 0x1.fffp-15f, 0x1p-14f }, /* up into the normals */
                 { 0x1p-24f, 0x1p-24f },
                 { 0x1p-25f, 0 },
                 { 0x1.8p-25f, 0x1p-24f },
                 { -0x1.4p-23f, -0x1p-23f },
                 { 65504, 65504 },
                 { 1 + 0x1p-11f, 1 },
                 { 1 + 0x3p-11f, 1 + 0x1p-9f } };
    enum { N = sizeof(want) / sizeof(want[0]), DIM = 16 };
    const struct shape s = { 1, 1, DIM, 0, 0 };
    struct compute *c = open_set(_i, 1);
    struct cached x;

    if (!c)
        return;
    x = cached(c, &s, COMPUTE_F16, 1, 1);
    for (size_t i = 0; i < DIM; i++)
        x.v.x[i] = i < N ? want[i].from : 1;
    c->ops->upload(c, x.v.s, x.v.x, DIM);
    step(c, &x, 0, 0, 0, 1);
    (void)fetch(c, &x.o);
    for (size_t i = 0; i < N; i++)
        ck_assert_msg(x.o.x[i] == want[i].to, "%zu: %a, not %a", i,
                      (double)x.o.x[i], (double)want[i].to);
    cached_drop(c, &x);
    compute_close(c);
}
END_TEST

/* Three sequences of one, three and five parts of keys, then a row of each:
 * together or one by one, with one thread or three. */
static void three(int set, unsigned threads, const struct shape *s,
                  enum compute_type type, bool together, float *out)
{
    enum { ALL = 1300 };
    static const int32_t lengths[] = { 5, 700, ALL - 3 };
    struct compute *c = open_set(set, threads);
    struct cached x = cached(c, s, type, ALL, 3);
    size_t ld = s->heads * s->dim, kv_ld = s->kv * s->dim, row = ALL - 3;
    const int32_t starts[] = { 0, 1, 2, 3 }, slots[] = { 2, 0, 1 };

    for (int i = 0; i < 3; i++)
        for (size_t at = 0, n; at < (size_t)lengths[i]; at += n) {
            n = (size_t)lengths[i] - at < 256 ? (size_t)lengths[i] - at : 256;
            step(c, &x, slots[i], (int32_t)at, at, at + n);
        }
    if (together) {
        x.a.starts = starts;
        x.a.past = lengths;
        x.a.slots = slots;
        x.a.seqs = 3;
        x.a.q = compute_at(x.q.s, row * ld);
        x.a.o = compute_at(x.o.s, row * ld);
        c->ops->cache_store(c, &x.a, compute_at(x.k.s, row * kv_ld),
                            compute_at(x.v.s, row * kv_ld));
        c->ops->attention_cached(c, &x.a);
    } else {
        for (size_t i = 0; i < 3; i++)
            step(c, &x, slots[i], lengths[i], row + i, row + i + 1);
    }
    memcpy(out, fetch(c, &x.o) + row * ld, 3 * ld * sizeof(*out));
    cached_drop(c, &x);
    compute_close(c);
}

START_TEST(a_row_does_not_depend_on_threads_or_other_sequences)
{
    const struct shape *s = &shapes[_i / SETS % SHAPES];
    enum compute_type type = types[_i / SETS / SHAPES];
    float want[3 * 800], got[3 * 800];
    size_t bytes = 3 * s->heads * s->dim * sizeof(float);
    struct compute *c = open_set(_i % SETS, 1);

    if (!c)
        return;
    compute_close(c);
    three(_i % SETS, 1, s, type, false, want);
    three(_i % SETS, 1, s, type, true, got);
    ck_assert_mem_eq(got, want, bytes);
    three(_i % SETS, 3, s, type, true, got);
    ck_assert_mem_eq(got, want, bytes);
}
END_TEST

/* Gradients of a document of four chunks, alone and among others. */
START_TEST(a_documents_gradients_do_not_depend_on_its_neighbours)
{
    enum { ALL = 500, AT = 90, LEN = 370, H = 6, KV = 2, DIM = 20 };
    static const int32_t several[] = { 0, 90, 460, 461, 500 };
    static const int32_t alone[] = { 0, LEN };
    static const size_t windows[] = { 0, 100 };
    struct compute *c = open_set(_i % SETS, 3);
    size_t q = (size_t)H * DIM, k = (size_t)KV * DIM;
    struct array x[6], lse, d[3], again[3];
    struct compute_attention_grad g;

    if (!c)
        return;
    for (int i = 0; i < 6; i++)
        x[i] = noise(c, ALL * (i == 1 || i == 2 ? k : q));
    lse = zeros(c, (size_t)H * ALL);
    for (int i = 0; i < 3; i++) {
        d[i] = noise(c, ALL * (i ? k : q));
        again[i] = noise(c, LEN * (i ? k : q));
    }
    g = (struct compute_attention_grad){ .fwd = { .o = x[3].s,
                                                  .lse = lse.s,
                                                  .q = x[0].s,
                                                  .k = x[1].s,
                                                  .v = x[2].s,
                                                  .starts = several,
                                                  .docs = 4,
                                                  .rows = ALL,
                                                  .heads = H,
                                                  .kv_heads = KV,
                                                  .dim = DIM,
                                                  .scale = .25f,
                                                  .window =
                                                      windows[_i / SETS] },
                                         .d_o = x[4].s,
                                         .dq = d[0].s,
                                         .dk = d[1].s,
                                         .dv = d[2].s };
    c->ops->attention(c, &g.fwd);
    c->ops->attention_grad(c, &g);
    g.fwd.starts = alone;
    g.fwd.docs = 1;
    g.fwd.rows = LEN;
    g.fwd.q = compute_at(x[0].s, AT * q);
    g.fwd.k = compute_at(x[1].s, AT * k);
    g.fwd.v = compute_at(x[2].s, AT * k);
    g.fwd.o = x[5].s;
    g.d_o = compute_at(x[4].s, AT * q);
    g.dq = again[0].s;
    g.dk = again[1].s;
    g.dv = again[2].s;
    c->ops->attention(c, &g.fwd);
    c->ops->attention_grad(c, &g);
    for (int i = 0; i < 3; i++) {
        size_t ld = i ? k : q;

        (void)fetch(c, &d[i]);
        ck_assert_mem_eq(fetch(c, &again[i]), d[i].x + AT * ld,
                         LEN * ld * sizeof(float));
        DROP(c, &d[i], &again[i]);
    }
    for (int i = 0; i < 6; i++)
        drop(c, &x[i]);
    drop(c, &lse);
    compute_close(c);
}
END_TEST

/* Rows by one token of three slots: the first has all keys, the others read
 * their first ones there. Whatever is garbage in these is not looked at. */
START_TEST(keys_in_another_slot_give_the_same_bits)
{
    const struct shape *s = &shapes[_i / SETS % 2 * 2];
    enum compute_type type = types[_i / SETS / 2];
    struct compute *c = open_set(_i % SETS, 2);
    const int32_t last = ROWS - 1, starts[] = { 0, 1, 2, 3 };
    const int32_t past[] = { last, last, last }, slots[] = { 1, 0, 2 };
    int32_t bases[] = { 1, 1, 1 }, shared[3] = { 0 };
    size_t ld = s->heads * s->dim, kv_ld = s->kv * s->dim;
    struct compute_cache_layout keys, values;
    struct array q, k, v, o;
    struct cached x;

    if (!c)
        return;
    x = cached(c, s, type, ROWS, 3);
    c->ops->cache_layout(c, &x.a, &keys, &values);
    ck_assert_uint_gt(keys.share, 0);
    ck_assert_uint_eq(keys.share, values.share);
    shared[1] = (int32_t)(2 * keys.share);
    shared[2] = (int32_t)keys.share;
    step(c, &x, 1, 0, 0, 200);
    step(c, &x, 1, 200, 200, (size_t)last);
    step(c, &x, 0, shared[1], (size_t)shared[1], (size_t)last);
    step(c, &x, 2, shared[2], (size_t)shared[2], (size_t)last);
    q = noise(c, 3 * ld);
    k = noise(c, 3 * kv_ld);
    v = noise(c, 3 * kv_ld);
    o = zeros(c, 3 * ld);
    for (size_t i = 1; i < 3; i++) {
        memcpy(q.x + i * ld, q.x, ld * sizeof(*q.x));
        memcpy(k.x + i * kv_ld, k.x, kv_ld * sizeof(*k.x));
        memcpy(v.x + i * kv_ld, v.x, kv_ld * sizeof(*v.x));
    }
    c->ops->upload(c, q.s, q.x, q.n);
    c->ops->upload(c, k.s, k.x, k.n);
    c->ops->upload(c, v.s, v.x, v.n);
    x.a.seqs = 3;
    x.a.starts = starts;
    x.a.past = past;
    x.a.slots = slots;
    x.a.bases = bases;
    x.a.shared = shared;
    x.a.q = q.s;
    x.a.o = o.s;
    c->ops->cache_store(c, &x.a, k.s, v.s);
    c->ops->attention_cached(c, &x.a);
    (void)fetch(c, &o);
    ck_assert(isfinite(o.x[0]));
    ck_assert_mem_eq(o.x, o.x + ld, ld * sizeof(*o.x));
    ck_assert_mem_eq(o.x, o.x + 2 * ld, ld * sizeof(*o.x));
    DROP(c, &q, &k, &v, &o);
    cached_drop(c, &x);
    compute_close(c);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("compute_cache");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, a_cache_is_attention_over_rounded_keys_and_values, 0,
                        SETS * SHAPES * TYPES);
    tcase_add_loop_test(t, keys_in_another_slot_give_the_same_bits, 0,
                        SETS * 2 * TYPES);
    tcase_add_loop_test(t, half_floats_of_any_size, 0, SETS);
    tcase_add_loop_test(t, a_row_does_not_depend_on_threads_or_other_sequences,
                        0, SETS * SHAPES * TYPES);
    tcase_add_loop_test(
        t, a_documents_gradients_do_not_depend_on_its_neighbours, 0, 2 * SETS);
    return suite_run("compute_cache", t);
}
