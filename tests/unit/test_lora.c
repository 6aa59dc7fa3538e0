/* test_lora.c - packing, schedules of data, the training loop and what it
 * leaves behind */
#include "lora_problem.h"
#include "suite.h"

static const struct model_config tiny = {
    TINY_MODEL,
    .layers = 2,
    .tied = true,
    .init_range = 0.2,
};

static const struct lora_options quick = {
    QUICK,
    .batch_tokens = 512,
    .pass_tokens = 200,
    .max_tokens = 40000,
    .checkpoint_every = 3,
};

static int train(const struct lora_options *opt, const char *run,
                 const struct lora_data *data, const struct lora_data *valid,
                 struct model **out, struct lora_result *result)
{
    int rc;

    OK(model_new(&tiny, cpu, 4, out, &err));
    rc = lora_train(*out, cpu, data, valid, opt, run, NULL, result, &err);
    return rc;
}

START_TEST(packing_keeps_documents_whole_and_labels_inside)
{
    struct lora_data d = { 0 };
    struct lora_packing p;
    size_t docs[40], rows = 0, labels = 0, seen = 0;

    counting(&d, 40, 1);
    for (size_t i = 0; i < 40; i++)
        docs[i] = i;
    lora_pack(&d, docs, 40, 64, &p);
    for (size_t b = 0; b < p.count; b++) {
        const struct model_batch *m = &p.batches[b];

        ck_assert_uint_le(m->rows, 64);
        ck_assert_int_eq(m->starts[m->docs], (int32_t)m->rows);
        for (size_t i = 0; i < m->docs; i++) {
            int32_t from = m->starts[i], to = m->starts[i + 1];

            seen++;
            for (int32_t r = from; r < to; r++) {
                ck_assert_int_eq(m->positions[r], r - from);
                labels += m->labels[r] >= 0;
                if (m->labels[r] >= 0)
                    ck_assert_int_eq(m->labels[r], m->ids[r + 1]);
            }
            ck_assert_int_lt(m->labels[to - 1], 0); /* no next token */
            ck_assert_int_lt(m->labels[from], 0);   /* ids[1] is given */
        }
        rows += m->rows;
    }
    ck_assert_uint_eq(seen, 40);
    ck_assert_uint_eq(rows, d.tokens);
    ck_assert_uint_eq(labels, d.trained);
    ck_assert_uint_eq(p.trained, d.trained);
    /* Best fit wastes little: within two passes of the bound. */
    ck_assert_uint_le(p.count, d.tokens / 64 + 3);
    lora_packing_release(&p);
    lora_data_release(&d);
}
END_TEST

START_TEST(a_longer_document_gets_a_pass_of_its_own)
{
    struct lora_data d = { 0 };
    struct lora_packing p;
    const size_t docs[] = { 0, 1 };
    int32_t ids[100] = { 0 };

    lora_data_add(&d, ids, NULL, 1, 100);
    lora_data_add(&d, ids, NULL, 1, 10);
    lora_pack(&d, docs, 2, 64, &p);
    ck_assert_uint_eq(p.count, 2);
    ck_assert_uint_eq(p.batches[0].rows, 100);
    ck_assert_uint_eq(p.batches[1].rows, 10);
    lora_packing_release(&p);
    lora_data_release(&d);
}
END_TEST

START_TEST(an_epoch_visits_each_document_once)
{
    struct lora_data d = { 0 };
    struct lora_plan p;
    uint64_t epoch = 0, position = 0, steps = 0;
    int seen[50] = { 0 };

    counting(&d, 50, 2);
    lora_plan_init(&p, &d, 3, 128);
    while (epoch == 0) {
        size_t n;
        const size_t *docs = lora_plan_step(&p, &epoch, &position, &n);

        for (size_t i = 0; i < n; i++)
            seen[docs[i]]++;
        steps++;
    }
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(seen[i], 1);
    ck_assert_uint_eq(steps, lora_plan_count(&p, 1));
    lora_plan_release(&p);
    lora_data_release(&d);
}
END_TEST

/* The loss does not depend on how a batch is cut into passes. */
START_TEST(thinned_documents_are_spread_and_whole)
{
    struct lora_data d = { 0 };
    int32_t ids[10];

    for (int32_t k = 0; k < 30; k++) {
        for (int i = 0; i < 10; i++)
            ids[i] = k * 10 + i;
        lora_data_add(&d, ids, NULL, 4, 10);
    }
    ck_assert_uint_eq(lora_data_thin(&d, 300, 2), 1);
    ck_assert_uint_eq(d.docs, 30);
    ck_assert_uint_eq(lora_data_thin(&d, 100, 2), 3);
    ck_assert_uint_eq(d.docs, 10);
    ck_assert_uint_eq(d.tokens, 100);
    ck_assert_uint_eq(d.trained, 60);
    ck_assert_int_eq(d.ids[d.starts[9] + 3], 273);
    /* Documents are kept even if they are too long. */
    ck_assert_uint_eq(lora_data_thin(&d, 1, 4), 2);
    ck_assert_uint_eq(d.docs, 5);
    lora_data_release(&d);
}
END_TEST

START_TEST(accumulated_gradients_are_those_of_the_whole_batch)
{
    float *grads[2];
    struct lora_data d = { 0 };
    size_t docs[20], count = 0;

    counting(&d, 20, 5);
    for (size_t i = 0; i < 20; i++)
        docs[i] = i;
    for (int round = 0; round < 2; round++) {
        struct model_trained t;
        struct model *m;
        struct lora_packing p;

        OK(model_new(&tiny, cpu, 4, &m, &err));
        OK(model_train_begin(m, false, &t, &err));
        lora_pack(&d, docs, 20, round ? 30 : 4096, &p);
        for (size_t i = 0; i < p.count; i++) {
            double nll;
            size_t n;

            OK(model_step(m, &p.batches[i], 1 / (double)p.trained, &nll, &n,
                          &err));
        }
        count = t.count;
        grads[round] = mem_array(count, sizeof(float));
        cpu->ops->download(cpu, grads[round], t.grads, count);
        lora_packing_release(&p);
        model_free(m);
    }
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(fabsf(grads[0][i] - grads[1][i]) < 1e-5f, "%zu: %g %g", i,
                      (double)grads[0][i], (double)grads[1][i]);
    free(grads[0]);
    free(grads[1]);
    lora_data_release(&d);
}
END_TEST

START_TEST(training_learns_to_count)
{
    struct lora_options opt = quick;
    struct lora_data data = { 0 }, valid = { 0 };
    struct lora_result r;
    struct model *m;
    double loss;

    opt.method = _i ? LORA_FULL : LORA_ADAPTER;
    opt.rank = 8;
    counting(&data, 400, 1);
    counting(&valid, 40, 99);
    OK(train(&opt, dir, &data, &valid, &m, &r));
    ck_assert_msg(r.best_loss < (_i ? 0.2 : 0.8) * r.first_loss, "%g -> %g",
                  r.first_loss, r.best_loss);
    OK(lora_loss(m, &valid, 333, &loss, &err));
    ck_assert_msg(fabs(loss - r.best_loss) < 1e-5, "the best is kept");
    model_free(m);
    lora_data_release(&data);
    lora_data_release(&valid);
}
END_TEST

START_TEST(a_finished_run_returns_at_once_with_the_same_weights)
{
    struct lora_data data = { 0 }, valid = { 0 };
    struct lora_options opt = quick;
    struct lora_result a, b;
    struct model *m;

    counting(&data, 100, 1);
    opt.max_tokens = 6000;
    OK(train(&opt, dir, &data, &valid, &m, &a));
    model_free(m);
    OK(train(&opt, dir, &data, &valid, &m, &b));
    model_free(m);
    ck_assert(b.resumed);
    ck_assert_uint_eq(a.hash, b.hash);
    ck_assert_uint_eq(a.steps, b.steps);
    lora_data_release(&data);
}
END_TEST

START_TEST(a_checkpoint_of_other_options_or_data_is_refused)
{
    struct lora_data data = { 0 }, valid = { 0 };
    struct lora_options opt = quick;
    struct lora_result r;
    struct model *m;

    counting(&data, 60, 1);
    opt.max_tokens = 3000;
    OK(train(&opt, dir, &data, &valid, &m, &r));
    model_free(m);
    opt.lr = 2e-2;
    ck_assert_int_eq(train(&opt, dir, &data, &valid, &m, &r), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "other options"));
    model_free(m);
    opt.lr = quick.lr;
    counting(&data, 1, 8);
    ck_assert_int_eq(train(&opt, dir, &data, &valid, &m, &r), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "other data"));
    model_free(m);
    lora_data_release(&data);
}
END_TEST

START_TEST(a_checkpoint_of_other_kernels_is_refused)
{
    const char *kernels = cpu->kernels;
    struct lora_data data = { 0 }, valid = { 0 };
    struct lora_options opt = quick;
    struct lora_result r;
    struct model *m;

    counting(&data, 60, 1);
    opt.max_tokens = 3000;
    OK(train(&opt, dir, &data, &valid, &m, &r));
    model_free(m);
    cpu->kernels = strcmp(cpu->kernels, "generic") ? "generic" : "avx2";
    ck_assert_int_eq(train(&opt, dir, &data, &valid, &m, &r), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "other kernels"));
    model_free(m);
    cpu->kernels = kernels;
    cpu->rounding++;
    ck_assert_int_eq(train(&opt, dir, &data, &valid, &m, &r), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "other bits"));
    model_free(m);
    lora_data_release(&data);
}
END_TEST

START_TEST(a_loss_that_is_not_finite_ends_the_run)
{
    struct lora_data data = { 0 }, valid = { 0 };
    struct lora_options opt = quick;
    struct lora_result r;
    struct model *m;
    char *path = io_path(dir, "checkpoint.safetensors");

    counting(&data, 100, 1);
    opt.method = LORA_FULL;
    opt.lr = 1e30;
    opt.clip = 1e30;
    ck_assert_int_eq(train(&opt, dir, &data, &valid, &m, &r), ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.msg, "diverged"));
    ck_assert(!io_exists(path) || opt.checkpoint_every > 0);
    model_free(m);
    free(path);
    lora_data_release(&data);
}
END_TEST

/* Finite, but far above where it began: Adam's steps of 1e6. */
START_TEST(a_diverging_loss_ends_the_run_and_keeps_what_was_good)
{
    struct lora_data data = { 0 }, valid = { 0 };
    struct lora_options opt = quick;
    struct lora_result r;
    struct model *m;
    char *path = io_path(dir, "checkpoint.safetensors");

    counting(&data, 300, 1);
    counting(&valid, 10, 2);
    opt.max_tokens = 20000;
    opt.checkpoint_every = 1;
    opt.lr = 1e6;
    ck_assert_int_eq(train(&opt, dir, &data, &valid, &m, &r), ERR_LIMIT);
    ck_assert_msg(strstr(err.msg, "training diverged after step") != NULL, "%s",
                  err.msg);
    ck_assert_ptr_nonnull(strstr(err.msg, "began at "));
    model_free(m);
    free(path);
    lora_data_release(&data);
    lora_data_release(&valid);
}
END_TEST

START_TEST(one_bad_batch_is_no_divergence)
{
    struct lora_state s = { .first_loss = 2,
                            .mean_loss = (double)NAN,
                            .usual_loss = (double)NAN };

    for (int i = 0; i < 10; i++)
        lora_watch_loss(&s, 2.5 - 0.1 * i);
    lora_watch_loss(&s, 9);
    ck_assert(!lora_watch_diverged(&s));
    ck_assert(lora_watch_healthy(&s));
    for (int i = 0; i < 4; i++)
        lora_watch_loss(&s, 9);
    ck_assert(!lora_watch_healthy(&s));
    for (int i = 0; i < 10; i++)
        lora_watch_loss(&s, 9);
    ck_assert(lora_watch_diverged(&s));
}
END_TEST

START_TEST(an_adapter_comes_back_through_pefts_files)
{
    struct lora_options opt = quick;
    struct lora_data data = { 0 }, valid = { 0 };
    struct lora_result r;
    struct model *m, *again;
    int32_t ids[] = { 58, 3, 4, 5, 6, 7 };
    float a[6 * 61], b[6 * 61];
    char *base = io_path(dir, "base"), *out = io_path(dir, "adapter");
    char *merged = io_path(dir, "merged"), *run = io_path(dir, "run");

    counting(&data, 60, 1);
    opt.max_tokens = 4000;
    OK(io_mkdirs(base, 0755, &err));
    OK(model_new(&tiny, cpu, 4, &m, &err));
    OK(model_save(m, base, WEIGHTS_F32, &err));
    model_free(m);
    OK(train(&opt, run, &data, &valid, &m, &r));
    OK(lora_save_adapter(m, &opt, base, out, &err));
    OK(model_logits(m, ids, 6, a, &err));
    OK(model_load(base, out, cpu, &again, &err));
    OK(model_logits(again, ids, 6, b, &err));
    for (int i = 0; i < 6 * 61; i++)
        ck_assert(fabsf(a[i] - b[i]) < 1e-4f);
    model_free(again);
    OK(lora_save_merged(m, base, WEIGHTS_F32, merged, &err));
    OK(model_load(merged, NULL, cpu, &again, &err));
    OK(model_logits(again, ids, 6, b, &err));
    for (int i = 0; i < 6 * 61; i++)
        ck_assert(fabsf(a[i] - b[i]) < 1e-4f);
    model_free(again);
    model_free(m);
    free(base);
    free(out);
    free(merged);
    free(run);
    lora_data_release(&data);
}
END_TEST

/* Widening is exact, so it must not matter when it happens. */
START_TEST(a_sixteen_bit_base_trains_like_its_widened_self)
{
    const enum weights_type type = _i ? WEIGHTS_F16 : WEIGHTS_BF16;
    struct lora_options opt = quick;
    struct lora_data data = { 0 }, valid = { 0 };
    struct lora_result r[2];
    struct model *m;
    char *base = io_path(dir, "base");

    counting(&data, 60, 1);
    opt.max_tokens = 3000;
    OK(io_mkdirs(base, 0755, &err));
    OK(model_new(&tiny, cpu, 4, &m, &err));
    OK(model_save(m, base, type, &err));
    model_free(m);
    for (int widen = 0; widen < 2; widen++) {
        char *run = io_path(dir, widen ? "wide" : "narrow");

        OK(model_open(base, cpu, widen, &m, &err));
        OK(lora_train(m, cpu, &data, &valid, &opt, run, NULL, &r[widen], &err));
        model_free(m);
        free(run);
    }
    ck_assert_uint_eq(r[0].hash, r[1].hash);
    free(base);
    lora_data_release(&data);
}
END_TEST

START_TEST(targets_name_layers_and_unknown_ones_are_named)
{
    struct model *m;
    char *names;

    OK(model_new(&tiny, cpu, 1, &m, &err));
    OK(model_adapter_check(m, "all-linear", &err));
    ck_assert_int_lt(model_adapter_check(m, "q_proj,lm_head", &err), 0);
    ck_assert_ptr_nonnull(strstr(err.msg, "\"lm_head\" is not known; known: "
                                          "all-linear q_proj k_proj"));
    ck_assert_int_lt(model_adapter_check(m, "proj", &err), 0);
    ck_assert_int_lt(model_adapter_check(m, "", &err), 0);
    OK(model_adapter_new(
        m,
        &(struct model_adapter){ .rank = 2, .targets = "q_proj,1.mlp.up_proj" },
        &err));
    names = model_adapter_targets(m);
    ck_assert_str_eq(names, "q_proj,model.layers.1.mlp.up_proj");
    free(names);
    model_free(m);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("lora");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, packing_keeps_documents_whole_and_labels_inside);
    tcase_add_test(t, a_longer_document_gets_a_pass_of_its_own);
    tcase_add_test(t, an_epoch_visits_each_document_once);
    tcase_add_test(t, thinned_documents_are_spread_and_whole);
    tcase_add_test(t, accumulated_gradients_are_those_of_the_whole_batch);
    tcase_add_loop_test(t, training_learns_to_count, 0, 2);
    tcase_add_test(t, a_finished_run_returns_at_once_with_the_same_weights);
    tcase_add_test(t, a_checkpoint_of_other_options_or_data_is_refused);
    tcase_add_test(t, a_checkpoint_of_other_kernels_is_refused);
    tcase_add_test(t, a_loss_that_is_not_finite_ends_the_run);
    tcase_add_test(t, a_diverging_loss_ends_the_run_and_keeps_what_was_good);
    tcase_add_test(t, one_bad_batch_is_no_divergence);
    tcase_add_test(t, an_adapter_comes_back_through_pefts_files);
    tcase_add_loop_test(t, a_sixteen_bit_base_trains_like_its_widened_self, 0,
                        2);
    tcase_add_test(t, targets_name_layers_and_unknown_ones_are_named);
    return suite_run("lora", t);
}
