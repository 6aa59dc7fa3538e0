/* test_lora_objectives.c - preferences, teachers, logged log probabilities,
 * and over-long calls without their oldest turns */
#include "lora_problem.h"
#include "suite.h"

#include "template/template.h"
#include "tokenizer/tokenizer.h"

static const struct model_config tiny = {
    TINY_MODEL,
    .layers = 2,
    .init_range = 0.2,
};

/* Prompts of one token, answered by counting up (chosen) or down. */
static void pairs(struct lora_data *d, int count)
{
    struct rng rng;

    rng_init(&rng, 3);
    d->unit = 2;
    for (int i = 0; i < count; i++) {
        int32_t up[9], down[9];
        size_t n = 4 + (size_t)rng_below(&rng, 5);

        up[0] = down[0] = 58;
        up[1] = down[1] = 10 + (int32_t)rng_below(&rng, 30);
        for (size_t k = 2; k < n; k++) {
            up[k] = up[k - 1] + 1;
            down[k] = down[k - 1] - 1;
        }
        lora_data_add(d, up, NULL, 2, n);
        lora_data_add(d, down, NULL, 2, n);
    }
}

static double preference(struct model *m, const struct lora_packing *p,
                         double scale)
{
    struct model_preference out;
    double loss = 0;

    for (size_t i = 0; i < p->count; i++) {
        OK(model_step_preference(m, &p->batches[i], 0.5, scale, &out, &err));
        loss += out.loss;
    }
    return loss;
}

START_TEST(preferences_by_finite_differences)
{
    struct model_adapter a = { .rank = 3, .scale = 0.7, .seed = 2 };
    struct model_trained t;
    struct lora_data d = { 0 };
    struct lora_packing p;
    struct rng rng;
    struct model *m;
    size_t items[] = { 0, 1, 2, 3 };
    float *x, *g;

    pairs(&d, 4);
    OK(model_new(&tiny, cpu, 4, &m, &err));
    OK(model_adapter_new(m, &a, &err));
    OK(model_train_begin(m, true, &t, &err));
    lora_pack(&d, items, 4, 40, &p);
    ck_assert_uint_eq(p.items, 4);
    ck_assert_uint_gt(p.count, 1);
    /* Without an adapter's own there is nothing between the two. */
    ck_assert(fabs(preference(m, &p, 0) - 4 * log(2)) < 1e-5);
    x = mem_array(t.count, sizeof(*x));
    g = mem_array(t.count, sizeof(*g));
    cpu->ops->download(cpu, x, t.values, t.count);
    rng_init(&rng, 8);
    for (size_t i = 0; i < t.count; i++)
        x[i] += 0.1f * (float)rng_normal(&rng);
    cpu->ops->upload(cpu, t.values, x, t.count);
    (void)preference(m, &p, 1);
    cpu->ops->download(cpu, g, t.grads, t.count);
    for (size_t i = 0; i < t.count; i += 173) {
        const float h = 1e-2f;
        float at = x[i];
        double up, down, want;

        x[i] = at + h;
        cpu->ops->upload(cpu, t.values, x, t.count);
        up = preference(m, &p, 0);
        x[i] = at - h;
        cpu->ops->upload(cpu, t.values, x, t.count);
        down = preference(m, &p, 0);
        x[i] = at;
        want = (up - down) / (2 * (double)h);
        ck_assert_msg(fabs((double)g[i] - want) < 1e-3 + 0.02 * fabs(want),
                      "%zu: %g, not %g", i, (double)g[i], want);
    }
    free(x);
    free(g);
    lora_packing_release(&p);
    lora_data_release(&d);
    model_free(m);
}
END_TEST

static const struct lora_options quick = {
    QUICK,
    .batch_tokens = 256,
    .pass_tokens = 100,
    .max_tokens = 6000,
};

START_TEST(preferences_are_learnt)
{
    struct lora_data train = { 0 }, valid = { 0 };
    struct lora_options opt = quick;
    struct lora_result r;
    struct model *m;

    pairs(&train, 60);
    pairs(&valid, 20);
    OK(model_new(&tiny, cpu, 4, &m, &err));
    OK(lora_train(m, cpu, &train, &valid, &opt, dir, NULL, &r, &err));
    ck_assert(fabs(r.first_loss - log(2)) < 1e-5);
    ck_assert_msg(r.best_loss < 0.3, "loss %g", r.best_loss);
    model_free(m);
    OK(model_new(&tiny, cpu, 4, &m, &err));
    opt.method = LORA_FULL;
    ck_assert_int_eq(
        lora_train(m, cpu, &train, &valid, &opt, dir, NULL, &r, &err),
        ERR_INVALID);
    model_free(m);
    lora_data_release(&train);
    lora_data_release(&valid);
}
END_TEST

/* A student that starts from other weights comes near its teacher. */
START_TEST(a_student_learns_its_teachers_distribution)
{
    struct lora_data train = { 0 }, none = { 0 };
    struct lora_options opt = quick;
    struct lora_result first, last;
    struct model *m, *teacher;
    char *a = io_path(dir, "a"), *b = io_path(dir, "b");

    pairs(&train, 40);
    train.unit = 0;
    OK(model_new(&tiny, cpu, 11, &teacher, &err));
    opt.teacher = teacher;
    opt.mix = 1;
    opt.temperature = 2;
    opt.method = LORA_FULL;
    opt.max_tokens = 200;
    OK(model_new(&tiny, cpu, 4, &m, &err));
    OK(lora_train(m, cpu, &train, &none, &opt, a, NULL, &first, &err));
    model_free(m);
    opt.max_tokens = 30000;
    OK(model_new(&tiny, cpu, 4, &m, &err));
    OK(lora_train(m, cpu, &train, &none, &opt, b, NULL, &last, &err));
    ck_assert_msg(last.train_loss < first.train_loss / 4, "%g, then %g",
                  first.train_loss, last.train_loss);
    model_free(m);
    model_free(teacher);
    free(a);
    free(b);
    lora_data_release(&train);
}
END_TEST

static void answer(struct lora_answers *a, int32_t prompt, int32_t said,
                   enum lora_verdict verdict, size_t times)
{
    int32_t ids[] = { 58, prompt, said, 2 };
    size_t begin = a->data.tokens;

    lora_data_add(&a->data, ids, NULL, 2, 4);
    mem_grow((void **)&a->list, &a->cap, a->count + 1, sizeof(*a->list));
    a->list[a->count] = (struct lora_answer){ .prompt = (uint64_t)prompt,
                                              .answer = (uint64_t)said,
                                              .begin = begin,
                                              .n = 4,
                                              .from = 2,
                                              .order = a->count,
                                              .times = times,
                                              .verdict = verdict };
    a->count++;
}

/* Is there a pair of these two answers to this prompt? */
static bool has_pair(const struct lora_data *d, int32_t prompt, int32_t chosen,
                     int32_t rejected)
{
    for (size_t i = 0; i + 1 < d->docs; i += 2) {
        const int32_t *a = d->ids + d->starts[i];
        const int32_t *b = d->ids + d->starts[i + 1];

        if (a[1] == prompt && b[1] == prompt && a[2] == chosen &&
            b[2] == rejected)
            return true;
    }
    return false;
}

START_TEST(pairs_come_from_outcomes_and_from_contradictions)
{
    struct lora_answers a = { 0 };
    struct lora_pair_counts n = { 0 };
    struct lora_data d = { 0 };

    answer(&a, 1, 10, LORA_BAD, 1); /* corrected */
    answer(&a, 1, 11, LORA_GOOD, 1);
    answer(&a, 2, 10, LORA_LOGGED, 3); /* a majority */
    answer(&a, 2, 11, LORA_LOGGED, 1);
    answer(&a, 3, 10, LORA_LOGGED, 2); /* none */
    answer(&a, 3, 11, LORA_LOGGED, 2);
    answer(&a, 4, 10, LORA_BAD, 5); /* nothing better known */
    answer(&a, 5, 10, LORA_BAD, 9); /* bad, however often it was given */
    answer(&a, 5, 11, LORA_LOGGED, 1);
    answer(&a, 6, 10, LORA_GOOD, 1); /* called good and bad: not chosen */
    answer(&a, 6, 10, LORA_BAD, 1);
    answer(&a, 6, 11, LORA_LOGGED, 1);
    answer(&a, 7, 10, LORA_LOGGED, 1); /* alone */
    lora_answers_pair(&a, &d, &n);
    ck_assert_uint_eq(n.outcomes, 3);
    ck_assert_uint_eq(n.contradictions, 1);
    ck_assert_uint_eq(d.docs, 8);
    ck_assert_uint_eq(d.unit, 2);
    ck_assert(has_pair(&d, 1, 11, 10));
    ck_assert(has_pair(&d, 2, 10, 11));
    ck_assert(has_pair(&d, 5, 11, 10));
    ck_assert(has_pair(&d, 6, 11, 10));
    lora_answers_release(&a);
    lora_data_release(&d);
}
END_TEST

static void shortened(size_t turns, const char *want)
{
    static const char request[] =
        "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":1},"
        "{\"role\":\"user\",\"content\":2},{\"role\":\"assistant\"},"
        "{\"role\":\"tool\"},{\"role\":\"user\",\"content\":3}]}";
    struct buf out = { 0 };
    struct json j = { 0 };
    bool there;

    OK(json_parse(&j, request, strlen(request), &err));
    there = lora_shorten(&j, 0, turns, &out);
    ck_assert_int_eq(there, want != NULL);
    if (want)
        ck_assert_str_eq(out.data, want);
    json_release(&j);
    buf_release(&out);
}

START_TEST(oldest_turns_go_whole_and_the_head_stays)
{
    shortened(1, "{\"model\":\"m\",\"messages\":[{\"role\":\"system\","
                 "\"content\":1},{\"role\":\"user\",\"content\":3}]}");
    shortened(2, NULL);
}
END_TEST

/* A reader over a tokenizer of single bytes and slmctl's own template. */
static void open_reader(struct lora_reader *r)
{
    static const char *const specials[] = { "<|im_start|>", "<|im_end|>",
                                            NULL };
    struct tokenizer_train_options opt = { 258, specials, 0 };
    struct slice text = slice_of("user assistant");
    char *path = io_path(dir, "tokenizer.json");
    char *template = io_path(dir, "chat_template.jinja");
    struct tokenizer *t = NULL;
    struct template *made = NULL;

    OK(tokenizer_train(&text, 1, &opt, path, &err));
    OK(tokenizer_open(path, &t, &err));
    OK(io_write_file(template, template_builtin(), strlen(template_builtin()),
                     0644, &err));
    OK(template_open(dir, &made, &err));
    *r = (struct lora_reader){ .tokenizer = t,
                               .template = made,
                               .eos = -1,
                               .max_length = 400,
                               .answers_only = true,
                               .logprobs = true };
    free(path);
    free(template);
}

static void close_reader(struct lora_reader *r)
{
    tokenizer_free((struct tokenizer *)(uintptr_t)r->tokenizer);
    template_free((struct template *)(uintptr_t)r->template);
}

static const char request[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"S\"},"
    "{\"role\":\"user\",\"content\":\"one one one one one one\"},"
    "{\"role\":\"assistant\",\"content\":\"x\"},"
    "{\"role\":\"user\",\"content\":\"two\"}]}";

START_TEST(logged_log_probabilities_are_taken_where_they_fit)
{
    static const char fits[] =
        "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":"
        "\"ab\"},\"logprobs\":{\"content\":[{\"token\":\"a\",\"logprob\":-0.5,"
        "\"bytes\":[97],\"top_logprobs\":[{\"token\":\"a\",\"logprob\":-0.5},"
        "{\"token\":\"z\",\"logprob\":-1.5},{\"token\":\"no id\",\"logprob\":"
        "-2}]},{\"token\":\"b\",\"logprob\":-0.25}]}}]}";
    static const char not_[] =
        "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":"
        "\"ab\"},\"logprobs\":{\"content\":[{\"token\":\"ab\",\"logprob\":"
        "-0.5}]}}]}";
    struct lora_reader r;
    struct lora_data d = { 0 };
    bool added;
    size_t from = 0;

    open_reader(&r);
    OK(lora_read_call(&r, slice_of(request), slice_of(not_), &d, &added, &err));
    ck_assert(added);
    ck_assert_uint_eq(d.top, 0);
    ck_assert_uint_eq(r.untaught, 1);
    OK(lora_read_call(&r, slice_of(request), slice_of(fits), &d, &added, &err));
    ck_assert_uint_eq(r.taught, 1);
    ck_assert_uint_eq(d.top, LORA_TOP);
    for (from = d.starts[1]; !d.mask[from]; from++)
        ck_assert_int_eq(d.top_ids[from * LORA_TOP], -1);
    ck_assert_int_eq(d.top_ids[from * LORA_TOP], d.ids[from]);
    ck_assert(d.top_logp[from * LORA_TOP] == -0.5f);
    ck_assert_int_eq(d.top_ids[from * LORA_TOP + 1],
                     tokenizer_id(r.tokenizer, "z"));
    ck_assert_int_eq(d.top_ids[from * LORA_TOP + 2], -1);
    ck_assert_int_eq(d.top_ids[(from + 1) * LORA_TOP], d.ids[from + 1]);
    for (size_t i = 0; i < d.starts[1]; i++)
        ck_assert_int_eq(d.top_ids[i * LORA_TOP], -1);
    close_reader(&r);
    lora_data_release(&d);
}
END_TEST

START_TEST(an_over_long_call_loses_turns_never_its_answer)
{
    static const char said[] = "{\"choices\":[{\"message\":{\"role\":"
                               "\"assistant\",\"content\":\"fine\"}}]}";
    struct lora_reader r;
    struct lora_data d = { 0 };
    struct buf text = { 0 };
    bool added;

    open_reader(&r);
    r.max_length = 80;
    OK(lora_read_call(&r, slice_of(request), slice_of(said), &d, &added, &err));
    ck_assert(!added);
    ck_assert_uint_eq(r.over_long, 1);
    r.cut = true;
    OK(lora_read_call(&r, slice_of(request), slice_of(said), &d, &added, &err));
    ck_assert(added);
    ck_assert_uint_eq(r.shortened, 1);
    tokenizer_decode(r.tokenizer, d.ids, d.tokens, false, &text);
    ck_assert_ptr_nonnull(strstr(text.data, "system\nS<|im_end|>"));
    ck_assert_ptr_null(strstr(text.data, "one"));
    ck_assert_ptr_nonnull(strstr(text.data, "two<|im_end|>"));
    ck_assert_ptr_nonnull(strstr(text.data, "fine<|im_end|>"));
    r.max_length = 20; /* not even its last turn fits */
    OK(lora_read_call(&r, slice_of(request), slice_of(said), &d, &added, &err));
    ck_assert(!added);
    ck_assert_uint_eq(r.over_long, 2);
    buf_release(&text);
    close_reader(&r);
    lora_data_release(&d);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("lora_objectives");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, preferences_by_finite_differences);
    tcase_add_test(t, preferences_are_learnt);
    tcase_add_test(t, a_student_learns_its_teachers_distribution);
    tcase_add_test(t, pairs_come_from_outcomes_and_from_contradictions);
    tcase_add_test(t, oldest_turns_go_whole_and_the_head_stays);
    tcase_add_test(t, logged_log_probabilities_are_taken_where_they_fit);
    tcase_add_test(t, an_over_long_call_loses_turns_never_its_answer);
    return suite_run("lora_objectives", t);
}
