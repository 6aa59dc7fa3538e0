/*
 * model_reference.h - what the tests of lib/model share: a device, reference
 * values beside a model, batches of them
 */
#ifndef MODEL_REFERENCE_H
#define MODEL_REFERENCE_H

#include "ok.h"

#include "base/io.h"
#include "base/mem.h"
#include "json/json.h"
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct compute *cpu;

static inline void setup(void)
{
    OK(compute_open(&(struct compute_options){ .kernels = getenv("SLMCTL_CPU"),
                                               .threads = 2 },
                    &cpu, &err));
}

static inline void teardown(void)
{
    compute_close(cpu);
}

/* A fixture's path, or NULL (with a word) where there are none. */
static inline char *fixture(const char *name)
{
    const char *root = getenv("SLMCTL_REFERENCE");

    if (!root) {
        (void)printf("skip: %s: SLMCTL_REFERENCE is not set\n", name);
        return NULL;
    }
    return mem_printf("%s/fixtures/%s", root, name);
}

struct reference {
    struct weights *w;
    struct json j;
    struct buf text;
};

static inline void reference_open(struct reference *r, const char *dir)
{
    char *st = io_path(dir, "expected.safetensors");
    char *js = io_path(dir, "expected.json");

    *r = (struct reference){ 0 };
    OK(weights_open(st, &r->w, &err));
    OK(io_read_file(js, 1 << 24, &r->text, &err));
    OK(json_parse(&r->j, r->text.data, r->text.len, &err));
    free(st);
    free(js);
}

static inline void reference_close(struct reference *r)
{
    weights_close(r->w);
    json_release(&r->j);
    buf_release(&r->text);
}

static inline double number(const struct reference *r, const char *name)
{
    double x = NAN;

    (void)json_double(&r->j, json_get(&r->j, 0, name), &x);
    return x;
}

static inline float *values(const struct weights *w, const char *name,
                            size_t *n)
{
    const struct weights_tensor *t = weights_find(w, name);
    float *x;

    ck_assert_msg(t != NULL, "%s", name);
    *n = (size_t)weights_elements(t);
    x = mem_array(*n, sizeof(*x));
    OK(weights_to_f32(t, x, &err));
    return x;
}

/* Largest difference over the largest reference value. */
static inline double difference(const float *x, const float *want, size_t n)
{
    double top = 0, worst = 0;

    for (size_t i = 0; i < n; i++) {
        top = fmax(top, fabs((double)want[i]));
        worst = fmax(worst, fabs((double)x[i] - (double)want[i]));
        if (isnan(x[i]))
            return INFINITY;
    }
    return worst / (top > 0 ? top : 1);
}

static inline void check_close(const char *what, const float *x,
                               const struct weights *w, const char *name,
                               double tolerance)
{
    size_t n;
    float *want = values(w, name, &n);
    double d = difference(x, want, n);

    ck_assert_msg(d <= tolerance, "%s %s: %.3g", what, name, d);
    free(want);
}

/* ids and labels of the fixture as documents of equal length; labels shifted
 * so that row i holds what follows it. */
struct rows {
    struct model_batch b;
    int32_t *ids, *labels, *positions, *starts;
};

static inline void rows_add(struct rows *r, const int32_t *ids,
                            const int32_t *labels, size_t n)
{
    size_t at = r->b.rows, d = r->b.docs;

    r->ids = mem_realloc(r->ids, at + n, sizeof(*r->ids));
    r->labels = mem_realloc(r->labels, at + n, sizeof(*r->labels));
    r->positions = mem_realloc(r->positions, at + n, sizeof(*r->positions));
    r->starts = mem_realloc(r->starts, d + 2, sizeof(*r->starts));
    for (size_t i = 0; i < n; i++) {
        r->ids[at + i] = ids[i];
        r->labels[at + i] = labels && i + 1 < n ? labels[i + 1] : -100;
        r->positions[at + i] = (int32_t)i;
    }
    r->starts[0] = 0;
    r->starts[d + 1] = (int32_t)(at + n);
    r->b = (struct model_batch){ r->ids, r->labels, r->positions,
                                 at + n, r->starts, d + 1 };
}

static inline void rows_release(struct rows *r)
{
    free(r->ids);
    free(r->labels);
    free(r->positions);
    free(r->starts);
    *r = (struct rows){ 0 };
}

static inline void rows_read(struct rows *r, const struct weights *w)
{
    const struct weights_tensor *ids = weights_find(w, "input_ids");
    const struct weights_tensor *labels = weights_find(w, "labels");
    size_t n = (size_t)ids->shape[1];

    *r = (struct rows){ 0 };
    for (int64_t i = 0; i < ids->shape[0]; i++) {
        int32_t *a = mem_array(n, 2 * sizeof(*a));

        memcpy(a, (const char *)ids->data + (size_t)i * n * 4, n * 4);
        if (labels)
            memcpy(a + n, (const char *)labels->data + (size_t)i * n * 4,
                   n * 4);
        rows_add(r, a, labels ? a + n : NULL, n);
        free(a);
    }
}

static const char *const families[] = {
    "llama",
    "llama-untied-biased",
    "llama3-rope",
    "mistral-window",
    "qwen2",
    "qwen3",
    "phi2",
    "phi3",
    "phi3-longrope",
    "gemma2",
    "gemma3",
    "smollm3",
    "granite",
    "olmo2",
    "lfm2",
    "nemotron-h",
    "granite4-hybrid",
    "falcon-h1",
    "qwen3.5",
};
#define FAMILIES ((int)(sizeof(families) / sizeof(families[0])))

/* The reference computes Qwen3.5's delta nets in f32 even where all else is
 * f64. */
static inline double slack(const char *name)
{
    return strstr(name, "qwen3.5") ? 10 : 1;
}

static inline size_t ids_of(const struct reference *ref, const char *name,
                            int32_t *out)
{
    json_ref a = json_get(&ref->j, 0, name);
    size_t n = 0;
    int64_t x;

    for (json_ref e = json_first(&ref->j, a); e != JSON_NONE;
         e = json_next(&ref->j, a, e)) {
        ck_assert(json_int(&ref->j, e, &x));
        out[n++] = (int32_t)x;
    }
    return n;
}

static inline void remove_model(const char *dir)
{
    char *file = io_path(dir, "model.safetensors");

    (void)remove(file);
    free(file);
    file = io_path(dir, "config.json");
    (void)remove(file);
    free(file);
    (void)remove(dir);
}

#endif
