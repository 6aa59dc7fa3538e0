/*
 * test_cuda_attention_plan.c - the work lists of the GPU's attention
 *
 * The kernels' walk over the plan is played in double on this machine:
 * online softmax, both passes of the gradient, the parts of a cache, against
 * plain sums; every visible pair must be met exactly once, and no tile be
 * walked that has none.
 */
#include "suite.h"

#include "compute/cuda/cuda_attention_plan.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ck_assert writes a mark each time, too slow for every pair. */
#define ALWAYS(x)                                                              \
    do {                                                                       \
        if (!(x))                                                              \
            ck_abort_msg("%s", #x);                                            \
    } while (0)

#define DIM 3
#define MOST_DOCS 40

static struct rng rng;

/* Packed documents with one head of everything. */
struct packed {
    int32_t starts[MOST_DOCS + 1];
    size_t docs, rows;
    int window;            /* ATTENTION_ALL: none */
    const int32_t *seen;   /* an encoder's, or NULL */
    double *q, *k, *v, *r; /* r: the output's gradient */
    unsigned char *met;    /* [rows][rows] */
};

static double *noise(size_t n)
{
    double *x = mem_array(n + 1, sizeof(*x));

    for (size_t i = 0; i < n; i++)
        x[i] = rng_unit(&rng) * 4 - 2;
    return x;
}

/* Documents of 0, 1, a few, about a tile, and many rows. */
static struct packed packed_new(size_t docs, int longest, int window)
{
    struct packed p = { .docs = docs, .window = attention_window(window) };
    size_t n;

    for (size_t d = 0; d < docs; d++) {
        int kind = (int)rng_below(&rng, 5);
        int most = kind < 2 ? kind : kind == 2 ? 9 : kind == 3 ? 70 : longest;
        int length = most < 2 ? most : (int)rng_below(&rng, (uint64_t)most + 1);

        p.starts[d + 1] = p.starts[d] + length;
    }
    p.rows = (size_t)p.starts[docs];
    n = p.rows * DIM;
    p.q = noise(n);
    p.k = noise(n);
    p.v = noise(n);
    p.r = noise(n);
    p.met = mem_zalloc(p.rows * p.rows + 1);
    return p;
}

static void packed_release(struct packed *p)
{
    free(p->q);
    free(p->k);
    free(p->v);
    free(p->r);
    free(p->met);
}

static double dot(const double *a, const double *b)
{
    double s = 0;

    for (int i = 0; i < DIM; i++)
        s += a[i] * b[i];
    return s;
}

static void add(double *y, double x, const double *v)
{
    for (int i = 0; i < DIM; i++)
        y[i] += x * v[i];
}

static void ck_close(const double *a, const double *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ALWAYS(fabs(a[i] - b[i]) <= 1e-9 * (1 + fabs(b[i])));
}

/* The keys of a query, by the definition. */
static void keys_of(const struct packed *p, size_t doc, size_t row,
                    size_t *first, size_t *end)
{
    *first = (size_t)p->starts[doc];
    *end = row + 1;
    if (p->seen)
        *end = *first + (size_t)p->seen[doc];
    else if (*end - *first > (size_t)p->window)
        *first = *end - (size_t)p->window;
}

/* One query: o[DIM], lse. */
static void attend(const struct packed *p, size_t first, size_t end, size_t row,
                   double *o, double *lse)
{
    double sum = 0;

    memset(o, 0, DIM * sizeof(*o));
    for (size_t j = first; j < end; j++) {
        double e = exp(dot(p->q + row * DIM, p->k + j * DIM));

        sum += e;
        add(o, e, p->v + j * DIM);
    }
    for (int i = 0; i < DIM; i++)
        o[i] /= sum;
    *lse = log(sum);
}

struct results {
    double *o, *lse, *dq, *dk, *dv;
};

static struct results results_new(size_t rows)
{
    struct results r;

    r.o = mem_zalloc((rows * DIM + 1) * sizeof(double));
    r.lse = mem_zalloc((rows + 1) * sizeof(double));
    r.dq = mem_zalloc((rows * DIM + 1) * sizeof(double));
    r.dk = mem_zalloc((rows * DIM + 1) * sizeof(double));
    r.dv = mem_zalloc((rows * DIM + 1) * sizeof(double));
    return r;
}

static void results_release(struct results *r)
{
    free(r->o);
    free(r->lse);
    free(r->dq);
    free(r->dk);
    free(r->dv);
}

static void expect(const struct packed *p, struct results *r)
{
    for (size_t d = 0; d < p->docs; d++) {
        for (size_t i = (size_t)p->starts[d]; i < (size_t)p->starts[d + 1];
             i++) {
            const double *g = p->r + i * DIM;
            size_t first, end;
            double delta;

            keys_of(p, d, i, &first, &end);
            attend(p, first, end, i, r->o + i * DIM, &r->lse[i]);
            delta = dot(g, r->o + i * DIM);
            for (size_t j = first; j < end; j++) {
                double w = exp(dot(p->q + i * DIM, p->k + j * DIM) - r->lse[i]);
                double ds = w * (dot(g, p->v + j * DIM) - delta);

                add(r->dv + j * DIM, w, g);
                add(r->dq + i * DIM, ds, p->k + j * DIM);
                add(r->dk + j * DIM, ds, p->q + i * DIM);
            }
        }
    }
}

static struct attention_tile *plan(const struct attention_lists *l, size_t *n)
{
    struct attention_tile *t;

    *n = attention_tiles_count(l);
    t = mem_array(*n + 1, sizeof(*t));
    attention_tiles_plan(l, t);
    for (size_t i = 1; i < *n; i++)
        ck_assert_int_ge(attention_work(l, t[i - 1]), attention_work(l, t[i]));
    return t;
}

/* Whether a kernel takes key `key` for query number i of a tile, one of a warp
 * of `warp` queries, in a tile of `keys` keys from `at` on. */
static int taken(const struct packed *p, struct attention_tile t, int i,
                 int warp, int at, int keys, int key)
{
    int step = !p->seen, pos = t.pos + i * step;
    int first = t.pos + i / warp * warp * step;
    int visible = key <= pos && key > pos - p->window;

    if (step && attention_hidden(first, warp, at, keys, p->window)) {
        ALWAYS(!visible);
        return 0;
    }
    if (!attention_late(first, at, keys) &&
        !attention_early(first, warp, at, p->window))
        ALWAYS(visible);
    return visible;
}

/* What is walked is needed by some query of the tile. */
static void ck_needed(const struct packed *p, struct attention_tile t, int bk)
{
    int begin = attention_begin(t, p->window, bk);

    ALWAYS(begin + bk > t.pos - p->window + 1 && begin <= t.pos);
    ALWAYS(begin % bk == 0 && begin >= 0);
}

/* One query of a tile as a thread sees it, tile of keys by tile of keys. */
static void walk_query(const struct packed *p, struct attention_tile t, int i,
                       int warp, int bk, struct results *r)
{
    size_t row = (size_t)(t.row + i), base = (size_t)t.base;
    int keys = attention_keys(t, !p->seen);
    double top = -INFINITY, sum = 0, o[DIM] = { 0 };

    ck_needed(p, t, bk);
    for (int at = attention_begin(t, p->window, bk); at < keys; at += bk) {
        double most = top, shrink;

        for (int j = at; j < at + bk && j < keys; j++)
            if (taken(p, t, i, warp, at, bk, j))
                most = fmax(most, dot(p->q + row * DIM,
                                      p->k + (base + (size_t)j) * DIM));
        if (most == -INFINITY)
            continue;
        shrink = exp(top - most);
        top = most;
        sum *= shrink;
        for (int x = 0; x < DIM; x++)
            o[x] *= shrink;
        for (int j = at; j < at + bk && j < keys; j++) {
            size_t key = base + (size_t)j;
            double e;

            if (!taken(p, t, i, warp, at, bk, j))
                continue;
            e = exp(dot(p->q + row * DIM, p->k + key * DIM) - top);
            sum += e;
            add(o, e, p->v + key * DIM);
            p->met[row * p->rows + key]++;
        }
    }
    r->lse[row] = top + log(sum);
    for (int x = 0; x < DIM; x++)
        r->o[row * DIM + (size_t)x] = o[x] / sum;
}

/* Slope of the score of a pair, and its weight. */
static double pair_slope(const struct packed *p, const struct results *r,
                         size_t row, size_t key, double *weight)
{
    const double *g = p->r + row * DIM;
    double w = exp(dot(p->q + row * DIM, p->k + key * DIM) - r->lse[row]);

    *weight = w;
    return w * (dot(g, p->v + key * DIM) - dot(g, r->o + row * DIM));
}

static void walk_slopes(const struct packed *p, struct attention_tile t, int i,
                        int warp, int bk, struct results *r)
{
    size_t row = (size_t)(t.row + i);
    int keys = attention_keys(t, 1);
    double w;

    for (int at = attention_begin(t, p->window, bk); at < keys; at += bk)
        for (int j = at; j < at + bk && j < keys; j++)
            if (taken(p, t, i, warp, at, bk, j)) {
                size_t key = (size_t)(t.base + j);

                add(r->dq + row * DIM, pair_slope(p, r, row, key, &w),
                    p->k + key * DIM);
                p->met[row * p->rows + key] += 10;
            }
}

/* One key of a tile of keys: the queries below it, in tiles of bm. */
static void walk_key(const struct packed *p, struct attention_tile t, int i,
                     int warp, int bm, struct results *r)
{
    size_t key = (size_t)(t.row + i);
    int own = t.row + i / warp * warp, end = attention_end(t, p->window);
    int tiles = attention_below(t, p->window, bm);

    ALWAYS(end <= t.base && t.row + (tiles - 1) * bm < end);
    for (int s = 0; s < tiles; s++)
        for (int row = t.row + s * bm; row < t.row + (s + 1) * bm; row++) {
            int first = t.row + s * bm;
            int visible = t.row + i <= row && row < t.row + i + p->window;
            double ds, w;

            if (attention_hidden(first, bm, own, warp, p->window))
                ALWAYS(!visible);
            else if (!attention_late(first, own, warp) &&
                     !attention_early(first, bm, own, p->window))
                ALWAYS(visible);
            if (!visible || row >= end)
                continue;
            ds = pair_slope(p, r, (size_t)row, key, &w);
            add(r->dv + key * DIM, w, p->r + (size_t)row * DIM);
            add(r->dk + key * DIM, ds, p->q + (size_t)row * DIM);
            p->met[(size_t)row * p->rows + key] += 100;
        }
}

/* Each pair: met once by each walk, if it is visible. */
static void ck_met(const struct packed *p, int walks)
{
    for (size_t i = 0; i < p->rows; i++) {
        size_t d = 0, first, end;

        while ((size_t)p->starts[d + 1] <= i)
            d++;
        keys_of(p, d, i, &first, &end);
        for (size_t j = 0; j < p->rows; j++)
            ALWAYS(p->met[i * p->rows + j] ==
                   (j >= first && j < end ? walks : 0));
    }
}

/* Tiles as the kernels have them: queries, their warps, keys; the gradient's
 * keys, their warps, queries. */
static const int shapes[][6] = { { 128, 32, 64, 128, 32, 32 },
                                 { 128, 32, 32, 64, 16, 64 },
                                 { 64, 16, 64, 64, 16, 16 },
                                 { 64, 64, 64, 32, 32, 32 },
                                 { 32, 32, 32, 16, 16, 16 } };

/* Smaller than a tile, at its edge, beyond it, longer than any document. */
static const int windows[] = { 0, 1, 9, 32, 64, 65, 200, 4000 };

static void walk_all(struct packed *p, const int *s, struct results *got)
{
    struct attention_lists l = {
        .starts = p->starts, .docs = p->docs, .tile = s[0], .window = p->window
    };
    size_t n;
    struct attention_tile *t = plan(&l, &n);

    for (size_t k = 0; k < n; k++)
        for (int i = 0; i < t[k].count; i++) {
            walk_query(p, t[k], i, s[1], s[2], got);
            walk_slopes(p, t[k], i, s[1], s[2], got);
        }
    free(t);
    l.tile = s[3];
    l.keys = 1;
    t = plan(&l, &n);
    for (size_t k = 0; k < n; k++)
        for (int i = 0; i < t[k].count; i++)
            walk_key(p, t[k], i, s[4], s[5], got);
    free(t);
}

START_TEST(every_visible_pair_is_met_once)
{
    int window = windows[(size_t)_i % (sizeof(windows) / sizeof(*windows))];
    const int *s = shapes[(size_t)_i / (sizeof(windows) / sizeof(*windows))];

    rng_init(&rng, 11 + (uint64_t)_i);
    for (size_t docs = 1; docs <= MOST_DOCS; docs += 13) {
        struct packed p = packed_new(docs, docs == 1 ? 700 : 200, window);
        struct results got = results_new(p.rows), want = results_new(p.rows);

        walk_all(&p, s, &got);
        ck_met(&p, 111);
        expect(&p, &want);
        ck_close(got.o, want.o, p.rows * DIM);
        ck_close(got.lse, want.lse, p.rows);
        ck_close(got.dq, want.dq, p.rows * DIM);
        ck_close(got.dk, want.dk, p.rows * DIM);
        ck_close(got.dv, want.dv, p.rows * DIM);
        results_release(&got);
        results_release(&want);
        packed_release(&p);
    }
}
END_TEST

/* All rows of a document see its first seen[doc]. */
START_TEST(an_encoder_sees_its_documents)
{
    const int *s = shapes[_i];

    rng_init(&rng, 51 + (uint64_t)_i);
    for (size_t docs = 1; docs <= MOST_DOCS; docs += 13) {
        struct packed p = packed_new(docs, docs == 1 ? 700 : 200, 0);
        struct results got = results_new(p.rows), want = results_new(p.rows);
        int32_t seen[MOST_DOCS];
        struct attention_lists l = { .starts = p.starts,
                                     .docs = docs,
                                     .tile = s[0],
                                     .window = p.window,
                                     .seen = seen };
        struct attention_tile *t;
        size_t n;

        for (size_t d = 0; d < docs; d++) {
            int rows = p.starts[d + 1] - p.starts[d];

            seen[d] = rows > 1 && d % 3 > 0
                          ? 1 + (int32_t)rng_below(&rng, (uint64_t)rows)
                          : rows;
        }
        p.seen = seen;
        t = plan(&l, &n);
        for (size_t k = 0; k < n; k++)
            for (int i = 0; i < t[k].count; i++)
                walk_query(&p, t[k], i, s[1], s[2], &got);
        free(t);
        ck_met(&p, 1);
        expect(&p, &want);
        ck_close(got.o, want.o, p.rows * DIM);
        ck_close(got.lse, want.lse, p.rows);
        results_release(&got);
        results_release(&want);
        packed_release(&p);
    }
}
END_TEST

/* A window costs what it shows, not how far back the keys go. */
START_TEST(a_window_is_not_walked_beyond)
{
    static const int32_t starts[] = { 0, 30000 };
    struct attention_lists l = { .starts = starts,
                                 .docs = 1,
                                 .tile = 128,
                                 .window = attention_window(500) };
    size_t n;
    struct attention_tile *t = plan(&l, &n);

    for (size_t k = 0; k < n; k++)
        ck_assert_int_le(attention_keys(t[k], 1) -
                             attention_begin(t[k], l.window, 64),
                         499 + 128 + 63);
    free(t);
    l.keys = 1;
    t = plan(&l, &n);
    for (size_t k = 0; k < n; k++)
        ck_assert_int_le(attention_below(t[k], l.window, 64),
                         (499 + 128 + 63) / 64);
    free(t);
}
END_TEST

/* Sequences in slots with rows behind them: many new rows go by tiles, one
 * goes by parts. */
START_TEST(cached_rows_see_all_their_keys_once)
{
    static const int32_t starts[] = { 0, 1, 131, 131, 132, 133, 135 };
    static const int32_t past[] = { 0, 300, 9, 255, 256, 999 };
    static const int32_t slots[] = { 4, 0, 5, 2, 1, 3 };
    struct attention_lists l = { .starts = starts,
                                 .past = past,
                                 .slots = slots,
                                 .docs = 6,
                                 .tile = 128,
                                 .window = ATTENTION_ALL,
                                 .single = 1 };
    int met[135] = { 0 };
    int32_t first[7], rows_of[6];
    struct attention_tile *t, parts[16];
    size_t n, rows, count;

    t = plan(&l, &n);
    ck_assert_uint_eq(n, 3); /* 130 rows are two tiles, 2 rows are one */
    for (size_t k = 0; k < n; k++)
        for (int i = 0; i < t[k].count; i++)
            met[t[k].row + i] += t[k].pos + i + 1 + 10000 * t[k].base;
    free(t);
    count = attention_parts_plan(&l, 256, NULL, NULL, NULL, &rows);
    ck_assert_uint_eq(count, 4);
    ck_assert_uint_eq(
        attention_parts_plan(&l, 256, parts, first, rows_of, &rows), count);
    ck_assert_uint_eq(rows, 3);
    for (size_t r = 0; r < rows; r++) {
        int at = 0;

        for (int32_t k = first[r]; k < first[r + 1]; k++) {
            ck_assert_int_eq(parts[k].row, rows_of[r]);
            ck_assert_int_eq(parts[k].pos, at);
            ck_assert_int_ge(parts[k].count, 1);
            at += parts[k].count;
        }
        met[rows_of[r]] += at + 10000 * parts[first[r]].base;
    }
    for (int s = 0; s < 6; s++)
        for (int i = starts[s]; i < starts[s + 1]; i++)
            ck_assert_int_eq(met[i],
                             past[s] + i - starts[s] + 1 + 10000 * slots[s]);
}
END_TEST

START_TEST(cached_rows_see_their_window_once)
{
    static const int limits[] = { 1, 7, 255, 256, 257, 300, 5000 };
    static const int32_t starts[] = { 0, 1, 2, 3, 4 };
    static const int32_t past[] = { 0, 255, 256, 999 };
    static const int32_t slots[] = { 2, 0, 1, 3 };
    struct attention_lists l = { .starts = starts,
                                 .past = past,
                                 .slots = slots,
                                 .docs = 4,
                                 .single = 1,
                                 .window = limits[_i] };
    struct attention_tile parts[16];
    int32_t first[5], rows_of[4];
    size_t rows, n = attention_parts_plan(&l, 256, NULL, NULL, NULL, &rows);

    ck_assert_uint_le(n, 16);
    ck_assert_uint_eq(
        attention_parts_plan(&l, 256, parts, first, rows_of, &rows), n);
    for (size_t r = 0; r < rows; r++) {
        int keys = past[r] + 1, at = keys > l.window ? keys - l.window : 0;

        for (int32_t k = first[r]; k < first[r + 1]; k++) {
            ck_assert_int_eq(parts[k].pos, at);
            ck_assert_int_ge(parts[k].count, 1);
            ck_assert_int_le(parts[k].count, 256);
            at += parts[k].count;
        }
        ck_assert_int_eq(at, keys);
    }
}
END_TEST

/* In a ring each key of the window is one place, and parts end at its end; rows
 * of a step and what they see do not meet. */
START_TEST(a_ring_has_a_place_for_each_key_of_a_window)
{
    static const int32_t starts[] = { 0, 1 }, slots[] = { 0 };
    static const size_t sizes[][2] = { { 1, 1 }, { 60, 300 }, { 500, 12 } };
    const size_t window = sizes[_i][0], step = sizes[_i][1];
    const int ring = attention_ring(window, step, 5000);

    ck_assert_int_ge(ring, (int)(window + step));
    ck_assert_int_eq(ring % 128, 0);
    ck_assert_int_eq(attention_ring(window, step, (size_t)ring), 0);
    ck_assert_int_eq(attention_ring(window, 0, 5000), 0);
    ck_assert_int_eq(attention_ring(0, step, 5000), 0);
    for (int32_t past = 0; past < 2000; past += 61) {
        struct attention_lists l = { .starts = starts,
                                     .past = &past,
                                     .slots = slots,
                                     .docs = 1,
                                     .single = 1,
                                     .window = attention_window(window),
                                     .ring = ring };
        struct attention_tile parts[16];
        int32_t first[2], row;
        size_t rows,
            n = attention_parts_plan(&l, 64, parts, first, &row, &rows);
        int at = past + 1 > l.window ? past + 1 - l.window : 0;

        ck_assert_uint_le(n, 16);
        for (size_t k = 0; k < n; k++) {
            ck_assert_int_eq(parts[k].pos, attention_place(at, ring));
            ck_assert_int_ge(parts[k].count, 1);
            ck_assert_int_le(parts[k].pos + parts[k].count, ring);
            at += parts[k].count;
        }
        ck_assert_int_eq(at, past + 1);
    }
}
END_TEST

/* One long document among thousands: more levels of work than classes. */
START_TEST(longest_work_comes_first_within_a_class)
{
    int32_t *starts = mem_array(5002, sizeof(*starts));
    struct attention_lists l = {
        .starts = starts, .docs = 5001, .tile = 16, .window = ATTENTION_ALL
    };
    struct attention_tile *t;
    size_t n, rows = 0;

    for (int d = 0; d <= 5001; d++)
        starts[d] = d <= 2500 ? d : d + 60000;
    n = attention_tiles_count(&l);
    t = mem_array(n, sizeof(*t));
    attention_tiles_plan(&l, t);
    for (size_t i = 0; i < n; i++) {
        rows += (size_t)t[i].count;
        if (i > 0)
            ck_assert_int_ge(attention_work(&l, t[i - 1]) + 4,
                             attention_work(&l, t[i]));
    }
    ck_assert_uint_eq(rows, (size_t)starts[5001]);
    free(t);
    free(starts);
}
END_TEST

/* Few sizes, so that a recorded step serves many; a power of two up to 64,
 * from there on little that is not needed. */
START_TEST(parts_have_room_in_few_sizes)
{
    size_t sizes = 0, before = 0;

    for (size_t n = 1; n <= 4096; n++) {
        size_t room = attention_parts_room(n);

        ck_assert_uint_ge(room, n);
        ck_assert_uint_ge(room, before);
        ck_assert_uint_eq(attention_parts_room(room), room);
        if (n <= 64)
            ck_assert_uint_eq(room & (room - 1), 0);
        else
            ck_assert_uint_le(room, n + n / 4);
        sizes += room != before;
        before = room;
    }
    ck_assert_uint_eq(sizes, 7 + 4 * 6);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("cuda_attention_plan");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, every_visible_pair_is_met_once, 0,
                        (int)(sizeof(shapes) / sizeof(*shapes) *
                              sizeof(windows) / sizeof(*windows)));
    tcase_add_loop_test(t, an_encoder_sees_its_documents, 0,
                        (int)(sizeof(shapes) / sizeof(*shapes)));
    tcase_add_test(t, a_window_is_not_walked_beyond);
    tcase_add_test(t, cached_rows_see_all_their_keys_once);
    tcase_add_loop_test(t, cached_rows_see_their_window_once, 0, 7);
    tcase_add_loop_test(t, a_ring_has_a_place_for_each_key_of_a_window, 0, 3);
    tcase_add_test(t, parts_have_room_in_few_sizes);
    tcase_add_test(t, longest_work_comes_first_within_a_class);
    return suite_run("cuda_attention_plan", t);
}
