/*
 * test_formats.c - whole models in each format against reference logits
 */
#include "scratch.h"
#include "suite.h"

#include "base/io.h"
#include "base/mem.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *root;
static struct compute *compute;

static char scratch[SCRATCH_MAX];

static void open_compute(void)
{
    struct err err;

    scratch_make(scratch);
    ck_assert_int_eq(
        compute_open(&(struct compute_options){ .threads = 1 }, &compute, &err),
        0);
}

static void close_compute(void)
{
    compute_close(compute);
    scratch_remove(scratch);
}

static bool have_reference(void)
{
    root = getenv("SLMCTL_REFERENCE");
    if (!root)
        printf("skip: SLMCTL_REFERENCE is not set\n");
    return root != NULL;
}

static float *floats(const struct weights *w, const char *name, size_t *n)
{
    const struct weights_tensor *t = weights_find(w, name);
    struct err err;
    float *x;

    ck_assert_msg(t != NULL, "%s", name);
    *n = (size_t)weights_elements(t);
    x = mem_array(*n, sizeof(*x));
    ck_assert_int_eq(weights_to_f32(t, x, &err), 0);
    return x;
}

/* Largest error over the largest value. */
static double error_of(const float *got, const float *want, size_t n)
{
    double worst = 0, top = 0;

    for (size_t i = 0; i < n; i++) {
        ck_assert(isfinite(got[i]));
        worst = fmax(worst, fabs((double)got[i] - (double)want[i]));
        top = fmax(top, fabs((double)want[i]));
    }
    return worst / top;
}

static void check_logits(const char *model, const char *adapter,
                         const char *expected, const char *name,
                         const char *ids_from)
{
    struct weights *w, *from;
    const struct weights_tensor *ids;
    struct model *m;
    struct err err;
    size_t n, rows;
    float *want, *got;
    double error;

    ck_assert_msg(weights_open(expected, &w, &err) == 0, "%s", err.msg);
    ck_assert_msg(weights_open(ids_from, &from, &err) == 0, "%s", err.msg);
    ids = weights_find(from, "input_ids");
    ck_assert_ptr_nonnull(ids);
    want = floats(w, name, &n);
    got = mem_array(n, sizeof(*got));
    /* What the blocks say; test_model_kept has how they are multiplied. */
    ck_assert_msg(
        model_load_kept(model, adapter, compute, MODEL_KEPT_F32, &m, &err) == 0,
        "%s", err.msg);
    rows = (size_t)ids->shape[1];
    for (int64_t b = 0; b < ids->shape[0]; b++)
        ck_assert_msg(
            model_logits(m, (const int32_t *)ids->data + (size_t)b * rows, rows,
                         got + (size_t)b * rows *
                                   (n / (size_t)ids->shape[0] / rows),
                         &err) == 0,
            "%s", err.msg);
    error = error_of(got, want, n);
    printf("%s%s %s: %.2e\n", model, adapter ? " with adapter" : "", name,
           error);
    ck_assert_msg(error < 1e-4, "%s: %g", model, error);
    model_free(m);
    weights_close(w);
    weights_close(from);
    free(got);
    free(want);
}

START_TEST(gguf_models_give_the_references_logits)
{
    static const char *const names[] = { "llama-F32",  "llama-Q8_0",
                                         "llama-Q4_0", "qwen2-F32",
                                         "qwen2-Q8_0", "qwen2-Q4_0" };

    for (size_t i = 0; have_reference() && i < 6; i++) {
        char *dir = mem_printf("%s/fixtures/formats/gguf", root);
        char *path = mem_printf("%s/%s.gguf", dir, names[i]);
        char *want = mem_printf("%s/%s.expected.safetensors", dir, names[i]);

        check_logits(path, NULL, want, "logits", want);
        free(want);
        free(path);
        free(dir);
    }
}
END_TEST

START_TEST(directories_give_the_references_logits)
{
    static const char *const names[] = { "llama-bf16-sharded", "qwen2-f16" };

    for (size_t i = 0; have_reference() && i < 2; i++) {
        char *dir = mem_printf("%s/fixtures/formats/%s", root, names[i]);
        char *want = io_path(dir, "expected.safetensors");

        check_logits(dir, NULL, want, "logits", want);
        free(want);
        free(dir);
    }
}
END_TEST

static void check_matrix(const char *dir, const char *expected)
{
    static const char *const name = "model.layers.0.mlp.down_proj.weight";
    struct weights *w, *own;
    struct err err;
    size_t n, k;
    char *full = mem_printf("dequantised.%s", name);
    float *want, *got;

    ck_assert_int_eq(weights_open(expected, &w, &err), 0);
    ck_assert_msg(weights_open(dir, &own, &err) == 0, "%s", err.msg);
    want = floats(w, full, &n);
    got = floats(own, name, &k);
    ck_assert_uint_eq(n, k);
    ck_assert_mem_eq(got, want, n * sizeof(*got));
    free(full);
    free(want);
    free(got);
    weights_close(w);
    weights_close(own);
}

START_TEST(four_bit_checkpoints_give_the_references_logits)
{
    static const char *const names[] = { "llama-nf4", "llama-nf4-double" };

    for (size_t i = 0; have_reference() && i < 2; i++) {
        char *dir = mem_printf("%s/fixtures/formats/%s", root, names[i]);
        char *want = io_path(dir, "expected.safetensors");
        char *adapter = io_path(dir, "adapter");

        check_matrix(dir, want);
        check_logits(dir, NULL, want, "logits_base", want);
        check_logits(dir, adapter, want, "logits_adapter", want);
        free(adapter);
        free(want);
        free(dir);
    }
}
END_TEST

/* An adapter as a GGUF file gives what the PEFT directory gives. */
static void check_gguf_adapter(const char *family, const char *adapter)
{
    char *base = mem_printf("%s/fixtures/models/%s", root, family);
    char *peft = io_path(base, adapter), *file = io_path(scratch, "lora.gguf");
    char *want = io_path(peft, "expected.safetensors");
    char *ids = io_path(base, "expected.safetensors");
    struct err err;

    ck_assert_msg(weights_gguf_adapter(peft, base, file, &err) == 0, "%s",
                  err.msg);
    check_logits(base, file, want, "logits", ids);
    free(base);
    free(peft);
    free(file);
    free(want);
    free(ids);
}

START_TEST(adapters_as_gguf_give_the_references_logits)
{
    if (!have_reference())
        return;
    check_gguf_adapter("llama", "adapter");
    check_gguf_adapter("llama", "adapter-rslora");
    check_gguf_adapter("llama", "adapter-pattern");
    check_gguf_adapter("qwen2", "adapter-pattern");
}
END_TEST

static const char saved_config[] =
    "{\"peft_type\":\"LORA\",\"r\":8,\"lora_alpha\":8,\"bias\":\"none\","
    "\"target_modules\":\".*q_proj\",\"modules_to_save\":[\"lm_head\"],"
    "\"rank_pattern\":{\"layers\\\\.[01]\\\\..*q_proj\":3}}";

/* An adapter of one layer (B zero, rank 3 by a regular expression) and the
 * head, doubled. */
static void write_saved(const struct weights_tensor *head,
                        const struct weights_tensor *q)
{
    size_t n = (size_t)weights_elements(head);
    float *x = mem_array(n, sizeof(*x));
    float *zeros = mem_zalloc((size_t)weights_elements(q) * sizeof(*zeros));
    struct weights_tensor t[3] = { *head, *q, *q };
    char *config = io_path(scratch, "adapter_config.json");
    char *path = io_path(scratch, "adapter_model.safetensors");
    struct err err;

    ck_assert_int_eq(weights_to_f32(head, x, &err), 0);
    for (size_t i = 0; i < n; i++)
        x[i] *= 2;
    t[0].name = "base_model.model.lm_head.weight";
    t[0].data = x;
    t[1].name =
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    t[2].name =
        "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight";
    t[1].shape[0] = t[2].shape[1] = 3;
    for (unsigned k = 1; k < 3; k++) {
        t[k].data = zeros;
        t[k].bytes = (size_t)weights_elements(&t[k]) * 4;
    }
    ck_assert_int_eq(weights_write(path, t, 3, NULL, &err), 0);
    ck_assert_int_eq(io_write_file(config, saved_config,
                                   sizeof(saved_config) - 1, 0644, &err),
                     0);
    free(config);
    free(path);
    free(zeros);
    free(x);
}

START_TEST(modules_to_save_take_the_place_of_the_bases)
{
    static const int32_t ids[] = { 1, 5, 9, 2 };
    struct weights *w;
    struct model *m;
    struct err err;
    char *base;
    float *one, *two;
    size_t n;

    if (!have_reference())
        return;
    base = mem_printf("%s/fixtures/models/llama-untied-biased", root);
    ck_assert_int_eq(weights_open(base, &w, &err), 0);
    write_saved(weights_find(w, "lm_head.weight"),
                weights_find(w, "model.layers.0.self_attn.q_proj.weight"));
    n = 4 * (size_t)weights_find(w, "lm_head.weight")->shape[0];
    one = mem_array(n, sizeof(*one));
    two = mem_array(n, sizeof(*two));
    ck_assert_int_eq(model_open(base, compute, true, &m, &err), 0);
    ck_assert_int_eq(model_logits(m, ids, 4, one, &err), 0);
    ck_assert_msg(model_adapter_load(m, scratch, &err) == 0, "%s", err.msg);
    ck_assert_int_eq(model_logits(m, ids, 4, two, &err), 0);
    for (size_t i = 0; i < n; i++)
        one[i] *= 2;
    ck_assert_double_lt(error_of(two, one, n), 1e-6);
    model_free(m);
    weights_close(w);
    free(one);
    free(two);
    free(base);
}
END_TEST

int main(void)
{
    TCase *c = suite_case("formats", open_compute, close_compute);

    tcase_add_test(c, gguf_models_give_the_references_logits);
    tcase_add_test(c, directories_give_the_references_logits);
    tcase_add_test(c, adapters_as_gguf_give_the_references_logits);
    tcase_add_test(c, modules_to_save_take_the_place_of_the_bases);
    tcase_add_test(c, four_bit_checkpoints_give_the_references_logits);
    return suite_run("formats", c);
}
