/* test_model.c - the decoder against transformers' and PEFT's values, and
 * what must hold without them */
#include "model_reference.h"
#include "tiny_model.h"
#include "suite.h"

static void check_logits(struct model *m, const struct rows *r,
                         const struct weights *w, const char *what)
{
    float *x =
        mem_array(r->b.rows * (size_t)model_config(m)->vocab, sizeof(*x));

    OK(model_batch_logits(m, &r->b, x, &err));
    check_close(what, x, w, "logits", 1e-4 * slack(what));
    free(x);
}

static void check_hidden(struct model *m, struct reference *ref,
                         const char *what)
{
    size_t layers = (size_t)model_config(m)->layers;
    size_t d = (size_t)model_config(m)->hidden;
    struct rows all, r = { 0 };
    float *x;

    rows_read(&all, ref->w);
    rows_add(&r, all.ids, NULL, (size_t)all.starts[1]);
    x = mem_array((layers + 1) * r.b.rows * d, sizeof(*x));
    OK(model_batch_hidden(m, &r.b, x, &err));
    for (size_t i = 0; i <= layers; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "hidden.%zu", i);
        check_close(what, x + i * r.b.rows * d, ref->w, name,
                    1e-4 * slack(what));
    }
    free(x);
    rows_release(&r);
    rows_release(&all);
}

static void check_grads(struct model *m, bool adapter, struct reference *ref,
                        const char *prefix, const char *what)
{
    const struct model_tensor *t;
    size_t n = model_tensors(m, adapter, &t);

    for (size_t i = 0; i < n; i++) {
        size_t count = (size_t)t[i].rows * (size_t)(t[i].cols ? t[i].cols : 1);
        float *x = mem_array(count, sizeof(*x));
        char *name = mem_printf("grad.%s%s", prefix, t[i].name);

        cpu->ops->download(cpu, x, t[i].grad, count);
        check_close(what, x, ref->w, name, 1e-4 * slack(what));
        free(name);
        free(x);
    }
}

static void check_step(struct model *m, struct reference *ref, double *loss,
                       const struct rows *r)
{
    double nll;
    size_t count, again;

    OK(model_step(m, &r->b, 0, &nll, &count, &err));
    *loss = nll / (double)count;
    OK(model_step(m, &r->b, 1 / (double)count, &nll, &again, &err));
    ck_assert_uint_eq(count, again);
    ck_assert_msg(fabs(*loss - number(ref, "loss")) < 1e-5, "loss %.7f", *loss);
}

static const char *const adapters[] = {
    "llama/adapter",
    "llama-untied-biased/adapter",
    "llama3-rope/adapter",
    "mistral-window/adapter",
    "qwen2/adapter",
    "qwen3/adapter",
    "phi2/adapter",
    "phi3/adapter",
    "phi3-longrope/adapter",
    "gemma2/adapter",
    "gemma3/adapter",
    "smollm3/adapter",
    "granite/adapter",
    "olmo2/adapter",
    "lfm2/adapter",
    "nemotron-h/adapter",
    "granite4-hybrid/adapter",
    "falcon-h1/adapter",
    "qwen3.5/adapter",
    "llama/adapter-qv",
    "llama/adapter-rslora",
    "llama/adapter-pattern",
    "qwen2/adapter-qv",
    "qwen2/adapter-rslora",
    "qwen2/adapter-pattern",
};
#define ADAPTERS ((int)(sizeof(adapters) / sizeof(adapters[0])))

START_TEST(full_model_agrees_with_the_reference)
{
    char name[64];
    char *dir;
    struct reference ref;
    struct model *m;
    struct model_trained t;
    struct rows r;
    double loss;

    (void)snprintf(name, sizeof(name), "models/%s", families[_i]);
    dir = fixture(name);
    if (!dir)
        return;
    reference_open(&ref, dir);
    rows_read(&r, ref.w);
    OK(model_open(dir, cpu, true, &m, &err));
    check_logits(m, &r, ref.w, name);
    check_hidden(m, &ref, name);
    OK(model_train_begin(m, false, &t, &err));
    check_step(m, &ref, &loss, &r);
    ck_assert_msg(fabs(sqrt(cpu->ops->sum_squares(cpu, t.grads, t.count)) -
                       number(&ref, "full_grad_norm")) < 1e-3 * slack(name),
                  "gradient norm");
    check_grads(m, false, &ref, "", name);
    model_free(m);
    rows_release(&r);
    reference_close(&ref);
    free(dir);
}
END_TEST

START_TEST(adapter_agrees_with_the_reference)
{
    char name[64];
    char *dir, *base;
    struct reference base_ref, ref;
    struct model *m;
    struct model_trained t;
    struct rows r;
    double loss;

    (void)snprintf(name, sizeof(name), "models/%s", adapters[_i]);
    dir = fixture(name);
    if (!dir)
        return;
    base = io_path(dir, "..");
    reference_open(&base_ref, base);
    reference_open(&ref, dir);
    rows_read(&r, base_ref.w);
    OK(model_open(base, cpu, true, &m, &err));
    OK(model_adapter_load(m, dir, &err));
    check_logits(m, &r, ref.w, adapters[_i]);
    OK(model_train_begin(m, true, &t, &err));
    check_step(m, &ref, &loss, &r);
    check_grads(m, true, &ref, "base_model.model.", adapters[_i]);
    model_free(m);
    OK(model_load(base, dir, cpu, &m, &err));
    check_logits(m, &r, ref.w, "merged");
    model_free(m);
    rows_release(&r);
    reference_close(&ref);
    reference_close(&base_ref);
    free(base);
    free(dir);
}
END_TEST

static void trace_rows(struct rows *r, const struct json *j, json_ref micro)
{
    json_ref ids = json_get(j, micro, "input_ids");
    json_ref labels = json_get(j, micro, "labels");
    size_t n = json_count(j, ids), i = 0;
    int32_t *a = mem_array(n, 2 * sizeof(*a));
    int64_t x;

    for (json_ref e = json_first(j, ids); e != JSON_NONE;
         e = json_next(j, ids, e), i++) {
        ck_assert(json_int(j, e, &x));
        a[i] = (int32_t)x;
    }
    for (json_ref e = json_first(j, labels); e != JSON_NONE;
         e = json_next(j, labels, e), i++) {
        ck_assert(json_int(j, e, &x));
        a[i] = (int32_t)x;
    }
    rows_add(r, a, a + n, n);
    free(a);
}

/* One optimizer step of the trace, on all micro-batches packed. tolerance 0:
 * its loss is not compared. */
static void trace_step(struct model *m, const struct model_trained *t,
                       struct compute_adamw *opt, const struct reference *ref,
                       json_ref batch, json_ref want, double tolerance)
{
    const struct json *j = &ref->j;
    struct rows r = { 0 };
    double nll, loss, lr, norm;
    int64_t tokens;
    size_t count;

    for (json_ref e = json_first(j, batch); e != JSON_NONE;
         e = json_next(j, batch, e))
        trace_rows(&r, j, e);
    ck_assert(json_int(j, json_get(j, want, "tokens"), &tokens));
    ck_assert(json_double(j, json_get(j, want, "loss"), &loss));
    ck_assert(json_double(j, json_get(j, want, "lr"), &lr));
    cpu->ops->fill(cpu, t->grads, 0, t->count);
    OK(model_step(m, &r.b, 1 / (double)tokens, &nll, &count, &err));
    ck_assert_int_eq((int64_t)count, tokens);
    /* Adam divides by tiny numbers: rounding grows from step to step. */
    ck_assert_msg(tolerance <= 0 ||
                      fabs(nll / (double)count - loss) < tolerance * loss,
                  "step %.0f: loss %.7f, not %.7f", (double)opt->step + 1,
                  nll / (double)count, loss);
    norm = sqrt(cpu->ops->sum_squares(cpu, t->grads, t->count));
    opt->step++;
    opt->lr = lr;
    opt->grad_scale = norm > 1 ? 1 / (norm + 1e-6) : 1;
    cpu->ops->adamw(cpu, opt);
    rows_release(&r);
}

/* Steps of a trace whose losses are compared. Qwen3.5's ends beside a cliff: at
 * step 8 the norm of its gradients is 71 in the reference, 165 with AVX2 and
 * 341 with generic kernels, from weights that differ by less than .003, and the
 * losses are 1.3e-4 and 5e-4 apart: they tell of rounding alone. The weights
 * after all steps are compared for each family. */
static uint64_t steady(const char *name)
{
    return strstr(name, "qwen3.5") ? 7 : 8;
}

START_TEST(eight_steps_follow_the_trace)
{
    char name[64];
    char *base, *dir;
    struct reference ref;
    struct model *m;
    struct model_trained t;
    const struct model_tensor *list;
    struct compute_adamw opt = {
        .beta1 = .9, .beta2 = .999, .eps = 1e-8, .decay = .01
    };
    json_ref trace, batches, batch;
    size_t n;

    (void)snprintf(name, sizeof(name), "models/%s", families[_i]);
    base = fixture(name);
    if (!base)
        return;
    dir = io_path(base, "adapter");
    reference_open(&ref, dir);
    OK(model_open(base, cpu, true, &m, &err));
    OK(model_adapter_load(m, dir, &err));
    OK(model_train_begin(m, true, &t, &err));
    opt.p = t.values;
    opt.g = t.grads;
    opt.n = t.count;
    OK(compute_alloc(cpu, COMPUTE_F32, t.count, "m", &opt.m, &err));
    OK(compute_alloc(cpu, COMPUTE_F32, t.count, "v", &opt.v, &err));
    trace = json_get(&ref.j, 0, "trace");
    batches = json_get(&ref.j, 0, "batches");
    batch = json_first(&ref.j, batches);
    for (json_ref e = json_first(&ref.j, trace); e != JSON_NONE;
         e = json_next(&ref.j, trace, e)) {
        trace_step(m, &t, &opt, &ref, batch, e,
                   opt.step < steady(name) ? 1e-5 * slack(name) : 0);
        batch = json_next(&ref.j, batches, batch);
    }
    n = model_tensors(m, true, &list);
    for (size_t i = 0; i < n; i++) {
        size_t count = (size_t)(list[i].rows * list[i].cols), have;
        char *key = mem_printf("after8.base_model.model.%s", list[i].name);
        float *x = mem_array(count, sizeof(*x));
        float *want = values(ref.w, key, &have);
        double off = 0, all = 0;

        cpu->ops->download(cpu, x, list[i].value, count);
        for (size_t k = 0; k < count; k++) {
            off += pow((double)x[k] - (double)want[k], 2);
            all += pow((double)want[k], 2);
        }
        ck_assert_msg(sqrt(off / all) < (slack(name) > 1 ? 3e-3 : 1e-3),
                      "%s %.3g", key, sqrt(off / all));
        free(want);
        free(x);
        free(key);
    }
    compute_release(cpu, &opt.m);
    compute_release(cpu, &opt.v);
    model_free(m);
    reference_close(&ref);
    free(dir);
    free(base);
}
END_TEST

START_TEST(packed_documents_do_not_see_each_other)
{
    static const char *const names[] = { "models/llama", "models/qwen2",
                                         "models/gemma2" };
    char *dir = fixture(names[_i]), *packed;
    struct reference ref;
    struct weights *w;
    struct model *m;
    struct rows all, r = { 0 };
    size_t cut;
    float *x;

    if (!dir)
        return;
    packed = io_path(dir, "packed.safetensors");
    reference_open(&ref, dir);
    OK(weights_open(packed, &w, &err));
    rows_read(&all, ref.w);
    cut = (size_t)number(&ref, "packed_cut");
    rows_add(&r, all.ids, NULL, cut);
    rows_add(&r, all.ids + cut, NULL, (size_t)all.starts[1] - cut);
    OK(model_open(dir, cpu, true, &m, &err));
    x = mem_array(r.b.rows * 320, sizeof(*x));
    OK(model_batch_logits(m, &r.b, x, &err));
    check_close("packed", x, w, "logits", 1e-4);
    free(x);
    model_free(m);
    weights_close(w);
    rows_release(&r);
    rows_release(&all);
    reference_close(&ref);
    free(packed);
    free(dir);
}
END_TEST

static void check_greedy(struct model *m, const int32_t *prompt, size_t n,
                         const int32_t *want, size_t count)
{
    struct model_sampling opt = { .max_tokens = count, .ignore_eos = true };
    int32_t *out = mem_array(count, sizeof(*out));
    size_t got;
    bool finished;

    OK(model_generate(m, prompt, n, &opt, NULL, NULL, out, &got, &finished,
                      NULL, &err));
    ck_assert_uint_eq(got, count);
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(out[i] == want[i], "token %zu: %d, not %d", i, out[i],
                      want[i]);
    free(out);
}

START_TEST(greedy_tokens_equal_the_reference)
{
    char name[64];
    char *dir;
    struct reference ref;
    struct model *m;
    int32_t prompt[512], want[512];
    size_t n, count;

    (void)snprintf(name, sizeof(name), "models/%s", families[_i]);
    dir = fixture(name);
    if (!dir)
        return;
    reference_open(&ref, dir);
    OK(model_load(dir, NULL, cpu, &m, &err));
    n = ids_of(&ref, "greedy_prompt", prompt);
    count = ids_of(&ref, "greedy", want);
    check_greedy(m, prompt, n, want, count);
    model_free(m);
    reference_close(&ref);
    free(dir);
}
END_TEST

START_TEST(stories260k_tells_its_story)
{
    char *dir = fixture("stories260k");
    struct reference ref;
    struct model *m;
    int32_t ids[512];
    size_t n;
    double nll;

    if (!dir)
        return;
    reference_open(&ref, dir);
    OK(model_load(dir, NULL, cpu, &m, &err));
    n = ids_of(&ref, "greedy_from_bos_ids", ids);
    ck_assert_uint_eq(n, 201);
    check_greedy(m, ids, 1, ids + 1, n - 1);
    n = ids_of(&ref, "golden_text_ids", ids);
    OK(model_nll(m, ids, n, 1, &nll, &err));
    ck_assert_msg(
        fabs(nll / (double)(n - 1) - number(&ref, "golden_text_loss")) < 1e-4,
        "loss %.6f", nll / (double)(n - 1));
    model_free(m);
    reference_close(&ref);
    free(dir);
}
END_TEST

START_TEST(sixteen_bit_shards_give_the_reference_logits)
{
    char *dir = fixture("formats/llama-bf16-sharded"), *st;
    struct weights *w;
    struct model *m;
    struct rows r;

    if (!dir)
        return;
    st = io_path(dir, "expected.safetensors");
    OK(weights_open(st, &w, &err));
    rows_read(&r, w);
    for (int widen = 0; widen < 2; widen++) {
        OK(model_open(dir, cpu, widen, &m, &err));
        check_logits(m, &r, w, "bf16");
        model_free(m);
    }
    weights_close(w);
    rows_release(&r);
    free(st);
    free(dir);
}
END_TEST

static const struct model_config tiny = {
    TINY_MODEL,
    .layers = 2,
    .tied = true,
    .init_range = 0.4,
};

START_TEST(a_batch_gives_the_tokens_of_its_prompts_one_by_one)
{
    struct model_sampling opt = { .max_tokens = 20,
                                  .temperature = _i ? 0.9 : 0,
                                  .top_k = 12,
                                  .top_p = 0.95,
                                  .seed = 5 };
    enum { COUNT = 120 };
    struct model_job jobs[COUNT] = { 0 };
    int32_t prompt[COUNT + 40], out[COUNT][20], alone[20];
    struct model *m;

    OK(model_new(&tiny, cpu, 3, &m, &err));
    for (int i = 0; i < COUNT + 40; i++)
        prompt[i] = (i * 7 + i * i) % 61;
    for (int i = 0; i < COUNT; i++) {
        jobs[i].prompt = prompt + i;
        jobs[i].prompt_count = 1 + (size_t)i * 5 % 37;
        jobs[i].out = out[i];
    }
    OK(model_generate_batch(m, jobs, COUNT, &opt, NULL, &err));
    for (int i = 0; i < COUNT; i++) {
        size_t n;
        bool finished;

        if (_i && i > 0)
            break; /* sampling numbers its sequences */
        OK(model_generate(m, jobs[i].prompt, jobs[i].prompt_count, &opt, NULL,
                          NULL, alone, &n, &finished, NULL, &err));
        ck_assert_uint_eq(n, jobs[i].out_count);
        ck_assert_int_eq(finished, jobs[i].finished);
        ck_assert_mem_eq(alone, out[i], n * sizeof(*alone));
    }
    model_free(m);
}
END_TEST

START_TEST(token_losses_are_those_of_the_logits)
{
    enum { N = 40, VOCAB = 61 };
    int32_t ids[N];
    float *logits = mem_array((size_t)N * VOCAB, sizeof(*logits));
    double each[N], sum = 0, total;
    struct model *m;

    for (int i = 0; i < N; i++)
        ids[i] = (i * 17 + 5) % VOCAB;
    OK(model_new(&tiny, cpu, 3, &m, &err));
    OK(model_logits(m, ids, N, logits, &err));
    OK(model_token_nll(m, ids, N, 7, each, &err));
    for (int i = 7; i < N; i++) {
        const float *row = logits + (i - 1) * VOCAB;
        double all = 0;

        for (int k = 0; k < VOCAB; k++)
            all += exp((double)row[k]);
        ck_assert_double_eq_tol(each[i - 7], log(all) - (double)row[ids[i]],
                                1e-5);
        sum += each[i - 7];
    }
    OK(model_nll(m, ids, N, 7, &total, &err));
    ck_assert_double_eq_tol(sum, total, 1e-4);
    OK(model_token_nll(m, ids, N, N, each, &err));
    model_free(m);
    free(logits);
}
END_TEST

START_TEST(saved_model_comes_back)
{
    char dir[] = "/tmp/slmctl-test-model-XXXXXX";
    const enum weights_type types[] = { WEIGHTS_F32, WEIGHTS_BF16 };
    int32_t ids[] = { 5, 9, 33, 60, 2, 7 };
    float a[6 * 61], b[6 * 61];
    struct model *m, *n;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    OK(model_new(&tiny, cpu, 3, &m, &err));
    OK(model_logits(m, ids, 6, a, &err));
    OK(model_save(m, dir, types[_i], &err));
    OK(model_load(dir, NULL, cpu, &n, &err));
    OK(model_logits(n, ids, 6, b, &err));
    ck_assert_msg(difference(b, a, 6 * 61) <= (_i ? 3e-2 : 0), "%g",
                  difference(b, a, 6 * 61));
    model_free(m);
    model_free(n);
    remove_model(dir);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("model");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, full_model_agrees_with_the_reference, 0, FAMILIES);
    tcase_add_loop_test(t, adapter_agrees_with_the_reference, 0, ADAPTERS);
    tcase_add_loop_test(t, eight_steps_follow_the_trace, 0, FAMILIES);
    tcase_add_loop_test(t, packed_documents_do_not_see_each_other, 0, 3);
    tcase_add_loop_test(t, greedy_tokens_equal_the_reference, 0, FAMILIES);
    tcase_add_test(t, stories260k_tells_its_story);
    tcase_add_test(t, sixteen_bit_shards_give_the_reference_logits);
    tcase_add_loop_test(t, a_batch_gives_the_tokens_of_its_prompts_one_by_one,
                        0, 2);
    tcase_add_test(t, token_losses_are_those_of_the_logits);
    tcase_add_loop_test(t, saved_model_comes_back, 0, 2);
    return suite_run("model", t);
}
