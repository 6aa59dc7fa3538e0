/* test_lora_methods.c - DoRA and rsLoRA, an adapter gone on from, blocks
 * computed again, a base in 4 bits: what each must not change */
#include "lora_problem.h"
#include "suite.h"

static const struct model_config tiny = {
    TINY_MODEL,
    .layers = 3,
    .init_range = 0.2,
};

static const struct lora_options quick = {
    QUICK,
    .alpha = 8,
    .batch_tokens = 512,
    .pass_tokens = 200,
    .max_tokens = 8000,
};

static char *save_base(void)
{
    char *base = io_path(dir, "base");
    struct model *m;

    OK(io_mkdirs(base, 0755, &err));
    OK(model_new(&tiny, cpu, 4, &m, &err));
    OK(model_save(m, base, WEIGHTS_F32, &err));
    model_free(m);
    return base;
}

static void expect_close(struct model *a, struct model *b)
{
    int32_t ids[] = { 58, 3, 4, 5, 6, 7 };
    float x[6 * 61], y[6 * 61];

    OK(model_logits(a, ids, 6, x, &err));
    OK(model_logits(b, ids, 6, y, &err));
    for (int i = 0; i < 6 * 61; i++)
        ck_assert_msg(fabsf(x[i] - y[i]) < 1e-4f, "logit %d: %g, not %g", i,
                      (double)y[i], (double)x[i]);
}

static const struct {
    bool rslora, dora;
} methods[] = { { true, false }, { false, true }, { true, true } };

START_TEST(an_adapter_of_any_method_comes_back_merges_and_goes_on)
{
    struct lora_options opt = quick;
    struct lora_data data = { 0 }, valid = { 0 };
    struct lora_result r, on;
    struct model *m, *again;
    char *base = save_base(), *out = io_path(dir, "adapter");
    char *merged = io_path(dir, "merged"), *run = io_path(dir, "run");
    char *more = io_path(dir, "more");

    counting(&data, 60, 1);
    counting(&valid, 10, 2);
    opt.rslora = methods[_i].rslora;
    opt.dora = methods[_i].dora;
    OK(model_open(base, cpu, true, &m, &err));
    OK(lora_train(m, cpu, &data, &valid, &opt, run, NULL, &r, &err));
    ck_assert(r.best_loss < 0.9 * r.first_loss);
    OK(lora_save_adapter(m, &opt, base, out, &err));
    OK(model_load(base, out, cpu, &again, &err));
    expect_close(m, again);
    model_free(again);
    /* The first loss of a run that goes on is the last one's best. */
    OK(model_open(base, cpu, true, &again, &err));
    OK(model_adapter_load(again, out, &err));
    OK(lora_train(again, cpu, &data, &valid, &opt, more, NULL, &on, &err));
    ck_assert(fabs(on.first_loss - r.best_loss) < 1e-4);
    ck_assert(on.best_loss < r.best_loss);
    model_free(again);
    OK(model_open(base, cpu, true, &again, &err));
    OK(model_adapter_load(again, out, &err));
    OK(lora_save_merged(again, base, WEIGHTS_F32, merged, &err));
    model_free(again);
    OK(model_load(merged, NULL, cpu, &again, &err));
    expect_close(m, again);
    model_free(again);
    model_free(m);
    free(base);
    free(out);
    free(merged);
    free(run);
    free(more);
    lora_data_release(&data);
    lora_data_release(&valid);
}
END_TEST

static double dora_loss(struct model *m, const struct lora_data *d)
{
    double loss;

    OK(lora_loss(m, d, 256, &loss, &err));
    return loss;
}

/* The lengths are constants for the gradient, so the loss as PEFT
 * differentiates it is checked through the magnitudes alone. */
START_TEST(magnitudes_have_the_gradient_of_their_loss)
{
    struct model_adapter a = { .rank = 3, .scale = 0.7, .dora = true };
    struct model_trained t;
    struct model *m;
    struct lora_data d = { 0 };
    struct lora_packing p;
    size_t docs[] = { 0, 1, 2 }, count, n, checked = 0;
    const struct model_tensor *list;
    double nll;

    counting(&d, 3, 5);
    OK(model_new(&tiny, cpu, 4, &m, &err));
    OK(model_adapter_new(m, &a, &err));
    OK(model_train_begin(m, true, &t, &err));
    lora_pack(&d, docs, 3, 256, &p);
    OK(model_step(m, &p.batches[0], 1 / (double)p.trained, &nll, &count, &err));
    n = model_tensors(m, true, &list);
    for (size_t i = 0; i < n; i++) {
        float g, x, up;
        double high, low;
        const float h = 1e-2f;

        if (list[i].cols)
            continue;
        cpu->ops->download(cpu, &g, list[i].grad, 1);
        cpu->ops->download(cpu, &x, list[i].value, 1);
        up = x + h;
        cpu->ops->upload(cpu, list[i].value, &up, 1);
        high = dora_loss(m, &d);
        up = x - h;
        cpu->ops->upload(cpu, list[i].value, &up, 1);
        low = dora_loss(m, &d);
        cpu->ops->upload(cpu, list[i].value, &x, 1);
        ck_assert_msg(fabs((high - low) / (2 * (double)h) - (double)g) <
                          2e-4 + 0.02 * fabs((double)g),
                      "%s: %g, not %g", list[i].name, (double)g,
                      (high - low) / (2 * (double)h));
        checked++;
    }
    ck_assert_uint_eq(checked, 21);
    lora_packing_release(&p);
    lora_data_release(&d);
    model_free(m);
}
END_TEST

static uint64_t train_hash(bool recompute, bool dora, bool full,
                           const char *name)
{
    struct lora_options opt = quick;
    struct lora_data data = { 0 }, valid = { 0 };
    struct lora_result r;
    struct model *m;
    char *run = io_path(dir, name);

    counting(&data, 60, 1);
    opt.max_tokens = 3000;
    opt.dora = dora;
    opt.method = full ? LORA_FULL : LORA_ADAPTER;
    OK(model_new(&tiny, cpu, 4, &m, &err));
    model_recompute(m, recompute);
    OK(lora_train(m, cpu, &data, &valid, &opt, run, NULL, &r, &err));
    model_free(m);
    free(run);
    lora_data_release(&data);
    return r.hash;
}

START_TEST(blocks_computed_again_give_the_same_bits_in_less_memory)
{
    struct model *m;
    size_t kept, again;

    ck_assert_uint_eq(train_hash(false, _i == 1, _i == 2, "kept"),
                      train_hash(true, _i == 1, _i == 2, "again"));
    OK(model_new(&tiny, cpu, 4, &m, &err));
    kept = model_step_bytes(m, 200, 20, NULL);
    model_recompute(m, true);
    again = model_step_bytes(m, 200, 20, NULL);
    ck_assert_uint_lt(again, kept * 2 / 3);
    model_free(m);
}
END_TEST

/* Training froze the weights that a merge writes. */
START_TEST(an_adapter_in_training_merges_where_it_is)
{
    struct model_adapter a = { .rank = 3, .scale = 1, .dora = _i == 1 };
    struct model_trained t;
    struct model *m, *again;
    char *out = io_path(dir, "merged-in-place");
    float before[5 * 64], after[5 * 64];
    const int32_t ids[] = { 1, 5, 9, 2, 7 };
    size_t n = 5 * (size_t)tiny.vocab;

    ck_assert_uint_le(n, sizeof(before) / sizeof(*before));
    OK(model_new(&tiny, cpu, 4, &m, &err));
    OK(model_adapter_new(m, &a, &err));
    OK(model_train_begin(m, true, &t, &err));
    for (size_t i = 0; i < t.count; i++) {
        float x = 0.1F + (float)(i % 7) * 0.01F;

        cpu->ops->upload(cpu, compute_at(t.values, i), &x, 1);
    }
    OK(model_logits(m, ids, 5, before, &err));
    OK(model_adapter_merge(m, &err));
    OK(model_logits(m, ids, 5, after, &err));
    for (size_t i = 0; i < n; i++)
        ck_assert_float_eq_tol(before[i], after[i], 1e-4F);
    OK(io_mkdirs(out, 0755, &err));
    OK(model_save(m, out, WEIGHTS_F32, &err));
    model_free(m);
    OK(model_load(out, NULL, cpu, &again, &err));
    OK(model_logits(again, ids, 5, after, &err));
    for (size_t i = 0; i < n; i++)
        ck_assert_float_eq_tol(before[i], after[i], 1e-4F);
    model_free(again);
    free(out);
}
END_TEST

START_TEST(an_adapter_is_planned_for_before_it_is_there)
{
    struct model_adapter a = { .rank = 3, .scale = 1, .dora = _i == 1 };
    struct model_adapter other = { .rank = 3, .scale = 1, .targets = "q_proj" };
    struct model_trained t;
    size_t planned, none;
    struct model *m;

    OK(model_new(&tiny, cpu, 4, &m, &err));
    model_recompute(m, _i == 2);
    none = model_step_bytes(m, 200, 20, NULL);
    planned = model_step_bytes(m, 200, 20, &a);
    ck_assert_uint_lt(model_step_bytes(m, 200, 20, &other), planned);
    ck_assert_uint_eq(model_step_bytes(m, 200, 20, NULL), none);
    OK(model_adapter_new(m, &a, &err));
    OK(model_train_begin(m, true, &t, &err));
    ck_assert_uint_eq(model_step_bytes(m, 200, 20, NULL), planned);
    model_free(m);
}
END_TEST

START_TEST(an_adapter_over_blocks_is_one_over_what_they_say)
{
    enum compute_quant kind = _i ? COMPUTE_INT8 : COMPUTE_NF4;
    struct lora_options opt = quick;
    struct lora_data data = { 0 }, valid = { 0 };
    struct lora_result blocks, wide;
    struct model *m;
    char *base = save_base(), *said = io_path(dir, "said");
    char *a = io_path(dir, "a"), *b = io_path(dir, "b");

    counting(&data, 60, 1);
    opt.max_tokens = 3000;
    opt.dora = _i == 1;
    OK(model_open_quantised(base, cpu, kind, &m, &err));
    OK(io_mkdirs(said, 0755, &err));
    OK(model_save(m, said, WEIGHTS_F32, &err));
    OK(lora_train(m, cpu, &data, &valid, &opt, a, NULL, &blocks, &err));
    model_free(m);
    OK(model_open(said, cpu, true, &m, &err));
    OK(lora_train(m, cpu, &data, &valid, &opt, b, NULL, &wide, &err));
    model_free(m);
    ck_assert_uint_eq(blocks.hash, wide.hash);
    free(base);
    free(said);
    free(a);
    free(b);
    lora_data_release(&data);
}
END_TEST

static float *tensor(const struct weights *w, const char *name, size_t *n)
{
    const struct weights_tensor *t = weights_find(w, name);
    float *x;

    ck_assert_msg(t != NULL, "%s", name);
    *n = (size_t)weights_elements(t);
    x = mem_array(*n, sizeof(*x));
    OK(weights_to_f32(t, x, &err));
    return x;
}

static void expect_near(const float *got, const float *want, size_t n,
                        const char *what)
{
    double worst = 0, top = 0;

    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)got[i] - (double)want[i]));
        top = fmax(top, fabs((double)want[i]));
    }
    ck_assert_msg(worst <= 1e-4 * top, "%s: %g of %g", what, worst, top);
}

/* Documents of a reference's input_ids [B,T], all of it trained. */
static void read_documents(const struct weights *w, struct lora_data *d)
{
    const struct weights_tensor *ids = weights_find(w, "input_ids");

    ck_assert_ptr_nonnull(ids);
    for (int64_t i = 0; i < ids->shape[0]; i++)
        lora_data_add(d, (const int32_t *)ids->data + i * ids->shape[1], NULL,
                      1, (size_t)ids->shape[1]);
}

/* What the blocks say is what the checkpoint said, to the bit. */
static void expect_same_weights(struct model *m, const char *path)
{
    const struct model_tensor *a, *b;
    struct model *wide;
    size_t n;

    OK(model_open(path, cpu, true, &wide, &err));
    n = model_tensors(m, false, &a);
    ck_assert_uint_eq(model_tensors(wide, false, &b), n);
    for (size_t i = 0; i < n; i++) {
        size_t count = (size_t)a[i].rows * (size_t)(a[i].cols ? a[i].cols : 1);

        ck_assert_uint_eq(lora_span_hash(cpu, a[i].value, count),
                          lora_span_hash(cpu, b[i].value, count));
    }
    model_free(wide);
}

static void check_gradients(struct model *m, const struct weights *want,
                            double loss)
{
    struct lora_data d = { 0 };
    struct lora_packing p;
    struct model_trained t;
    const struct model_tensor *list;
    size_t docs[] = { 0, 1 }, count, n;
    double nll;

    read_documents(want, &d);
    OK(model_train_begin(m, true, &t, &err));
    lora_pack(&d, docs, 2, 1024, &p);
    OK(model_step(m, &p.batches[0], 1 / (double)p.trained, &nll, &count, &err));
    ck_assert_msg(fabs(nll / (double)count - loss) < 1e-5 * loss, "%g",
                  nll / (double)count);
    n = model_tensors(m, true, &list);
    for (size_t i = 0; i < n; i++) {
        char *name = mem_printf("grad.base_model.model.%s", list[i].name);
        size_t k;
        float *x = tensor(want, name, &k), *got = mem_array(k, sizeof(*got));

        cpu->ops->download(cpu, got, list[i].grad, k);
        expect_near(got, x, k, name);
        free(got);
        free(x);
        free(name);
    }
    lora_packing_release(&p);
    lora_data_release(&d);
}

START_TEST(four_bit_checkpoints_keep_their_blocks_and_give_the_references)
{
    const char *root = getenv("SLMCTL_REFERENCE");
    char *path = mem_printf("%s/fixtures/formats/llama-nf4%s", root ? root : "",
                            _i ? "-double" : "");
    char *adapter = io_path(path, "adapter");
    char *file = io_path(path, "expected.safetensors");
    struct weights *want;
    struct model *m;
    size_t used, peak, wide;

    if (!root || !io_exists(file)) {
        (void)printf("skip: SLMCTL_REFERENCE is not set\n");
        goto done;
    }
    OK(weights_open(file, &want, &err));
    OK(model_open(path, cpu, true, &m, &err));
    cpu->ops->memory(cpu, &wide, &peak);
    model_free(m);
    OK(model_open_quantised(path, cpu, COMPUTE_NF4, &m, &err));
    cpu->ops->memory(cpu, &used, &peak);
    ck_assert_uint_lt(used, wide * 2 / 3);
    expect_same_weights(m, path);
    OK(model_adapter_load(m, adapter, &err));
    check_gradients(m, want, _i ? 7.028517668793585 : 7.030206729971026);
    model_free(m);
    weights_close(want);
done:
    free(path);
    free(adapter);
    free(file);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("lora_methods");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(
        t, an_adapter_of_any_method_comes_back_merges_and_goes_on, 0, 3);
    tcase_add_test(t, magnitudes_have_the_gradient_of_their_loss);
    tcase_add_loop_test(
        t, blocks_computed_again_give_the_same_bits_in_less_memory, 0, 3);
    tcase_add_loop_test(t, an_adapter_in_training_merges_where_it_is, 0, 2);
    tcase_add_loop_test(t, an_adapter_is_planned_for_before_it_is_there, 0, 3);
    tcase_add_loop_test(t, an_adapter_over_blocks_is_one_over_what_they_say, 0,
                        2);
    tcase_add_loop_test(
        t, four_bit_checkpoints_keep_their_blocks_and_give_the_references, 0,
        2);
    return suite_run("lora_methods", t);
}
