/*
 * test_quantise.c - our quantisers' squared error against the reference's
 *
 * quantise.golden.jsonl says what ggml and bitsandbytes lose on the same rows
 * (quantise_golden.py): bell-shaped, heavy-tailed, with outliers, off zero,
 * sparse, constant, and the weights of data/base. Ours is printed with it and
 * may not be larger, but by what the order of a sum makes.
 */
#include "suite.h"

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "compute/compute.h"
#include "json/json.h"
#include "weights/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN "tests/reference/quantise.golden.jsonl"
#define COUNT ((size_t)1 << 16)

static struct err err;

/* 24 bits of splitmix64. */
static double uniform(uint64_t seed, uint64_t i)
{
    uint64_t z = (seed + i + 1) * 0x9E3779B97F4A7C15U;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
    z = (z ^ z >> 27) * 0x94D049BB133111EBU;
    z = z ^ z >> 31;
    return (double)(z >> 40) / (1 << 24);
}

/* Twelve uniform numbers make nearly a normal one, exactly the same
 * everywhere. */
static double gaussian(uint64_t i)
{
    double sum = 0;

    for (uint64_t k = 0; k < 12; k++)
        sum += uniform((uint64_t)1 << 32, 12 * i + k);
    return sum - 6;
}

static double value(const char *rows, size_t i)
{
    double g = gaussian(i);

    if (strcmp(rows, "gaussian") == 0)
        return g;
    if (strcmp(rows, "small") == 0)
        return g * 0.015625;
    if (strcmp(rows, "heavy") == 0)
        return g * g * g;
    if (strcmp(rows, "shifted") == 0)
        return g + 4;
    if (strcmp(rows, "positive") == 0)
        return fabs(g);
    if (strcmp(rows, "outliers") == 0)
        return i % 61 == 7 ? g * 32 : g;
    if (strcmp(rows, "constant") == 0)
        return i / 256 % 2 == 1 ? 0.75 : -3;
    ck_assert_str_eq(rows, "sparse");
    return uniform((uint64_t)7 << 32, i) < 0.05 ? g : 0;
}

/* All matrices whose elements are whole blocks, in the order of names. */
static float *base_rows(size_t *n)
{
    struct weights *w = NULL;
    float *x = NULL;

    ck_assert_msg(weights_open("data/base", &w, &err) == 0, "%s", err.msg);
    *n = 0;
    for (size_t i = 0; i < weights_count(w); i++) {
        const struct weights_tensor *t = weights_at(w, i);
        size_t more = (size_t)weights_elements(t), cap = 0;

        if (t->dims != 2 || more % 256)
            continue;
        mem_grow((void **)&x, &cap, *n + more, sizeof(*x));
        ck_assert_int_eq(weights_to_f32(t, x + *n, &err), 0);
        *n += more;
    }
    weights_close(w);
    return x;
}

static float *make_rows(const char *rows, size_t *n)
{
    float *x;

    if (strcmp(rows, "base") == 0)
        return base_rows(n);
    *n = COUNT;
    x = mem_array(COUNT, sizeof(*x));
    for (size_t i = 0; i < COUNT; i++)
        x[i] = (float)value(rows, i);
    return x;
}

static void as_gguf(enum weights_type type, const float *x, size_t n,
                    float *back)
{
    struct weights_tensor t = {
        .name = "own", .type = type, .dims = 1, .shape = { (int64_t)n }
    };
    struct buf packed = { 0 };

    ck_assert_msg(weights_quantise(type, x, n, &packed, &err) == 0, "%s",
                  err.msg);
    t.data = packed.data;
    t.bytes = packed.len;
    ck_assert_int_eq(weights_to_f32(&t, back, &err), 0);
    buf_release(&packed);
}

static void as_nf4(const float *x, size_t n, float *back)
{
    unsigned char *packed = mem_alloc(n / 2);
    float *scales = mem_array(n / 64, sizeof(*scales));

    weights_nf4_quantise(x, n, 64, packed, scales);
    for (size_t i = 0; i < n; i++)
        back[i] =
            weights_nf4_code[i % 2 ? packed[i / 2] & 15 : packed[i / 2] >> 4] *
            scales[i / 64];
    free(packed);
    free(scales);
}

/* As frozen weights are trained on: block sizes in 8 bits. */
static void as_nf4_double(const float *x, size_t n, float *back)
{
    struct compute *c = NULL;
    const struct compute_options opt = { .threads = 1 };
    struct compute_span s = { 0 };

    ck_assert_msg(compute_open(&opt, &c, &err) == 0, "%s", err.msg);
    ck_assert_int_eq(compute_alloc(c, COMPUTE_F32, n, "rows", &s, &err), 0);
    c->ops->upload(c, s, x, n);
    ck_assert_int_eq(c->ops->quantise(c, s, 1, n, COMPUTE_NF4, &err), 0);
    c->ops->download(c, back, s, n);
    compute_release(c, &s);
    compute_close(c);
}

static double own_error(const char *name, const float *x, size_t n)
{
    float *back = mem_array(n, sizeof(*back));
    enum weights_type type;
    double sum = 0;

    if (strcmp(name, "NF4") == 0)
        as_nf4(x, n, back);
    else if (strcmp(name, "NF4-double") == 0)
        as_nf4_double(x, n, back);
    else if (weights_gguf_type(name, &type))
        as_gguf(type, x, n, back);
    else
        ck_abort_msg("%s", name);
    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - (double)back[i];

        sum += d * d;
    }
    free(back);
    return sum;
}

struct rows {
    char *name;
    float *x;
    size_t n;
};

static unsigned compare_line(const struct json *j, struct rows *r)
{
    char *name = json_strdup(j, json_get(j, 0, "rows"));
    char *type = json_strdup(j, json_get(j, 0, "type"));
    double theirs = -1, power = 0, ours, got = 0;
    bool worse;

    ck_assert(json_double(j, json_get(j, 0, "error"), &theirs));
    ck_assert(json_double(j, json_get(j, 0, "power"), &power));
    if (!r->name || strcmp(r->name, name) != 0) {
        free(r->name);
        free(r->x);
        r->name = mem_strdup(name);
        r->x = make_rows(name, &r->n);
    }
    for (size_t i = 0; i < r->n; i++)
        got += (double)r->x[i] * (double)r->x[i];
    ck_assert_msg(fabs(got - power) <= 1e-9 * power, "%s: other rows", name);
    ours = own_error(type, r->x, r->n);
    worse = !(ours <= theirs * (1 + 1e-9)); /* sums in another order */
    printf("%-10s %-10s ours %.6g reference %.6g ratio %.4f%s\n", name, type,
           ours, theirs, theirs > 0 ? ours / theirs : ours > 0,
           worse ? " WORSE" : "");
    free(name);
    free(type);
    return worse;
}

START_TEST(error_is_no_larger_than_the_references)
{
    struct buf text = { 0 };
    struct rows r = { 0 };
    unsigned worse = 0, lines = 0;

    ck_assert_msg(io_read_file(GOLDEN, 1 << 20, &text, &err) == 0, "%s",
                  err.msg);
    for (const char *p = text.data, *end; *p; p = end + 1) {
        struct json j = { 0 };

        end = strchr(p, '\n');
        ck_assert_ptr_nonnull(end);
        ck_assert_int_eq(json_parse(&j, p, (size_t)(end - p), &err), 0);
        worse += compare_line(&j, &r);
        lines++;
        json_release(&j);
    }
    (void)fflush(stdout);
    ck_assert_uint_ge(lines, 54);
    ck_assert_uint_eq(worse, 0);
    free(r.name);
    free(r.x);
    buf_release(&text);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("quantise");

    tcase_set_timeout(c, 60);
    tcase_add_test(c, error_is_no_larger_than_the_references);
    return suite_run("quantise", c);
}
