/*
 * test_model_kept.c - models whose matrices are blocks of 8 or 4 bits: what
 * it costs in likelihood, and that a file's blocks are taken as they are
 */
#include "model_reference.h"
#include "scratch.h"
#include "suite.h"

#include "base/rng.h"
#include "codec/codec.h"
#include "template/template.h"

#define BASE "data/base"
#define LOG "data/agent/logs.jsonl.zst"
#define LINE_MAX_BYTES ((size_t)1 << 20)
#define EXAMPLES 64
#define ANSWER 48 /* tokens */

static char scratch[SCRATCH_MAX];
static struct template_example examples[EXAMPLES]; /* of the shipped log */

static void read_example(struct template_example *out, struct slice line,
                         const struct template *t, const struct tokenizer *tok)
{
    struct json j = { 0 };
    json_ref choice;

    OK(json_parse(&j, line.p, line.n, &err));
    choice =
        json_at(&j, json_get(&j, json_get(&j, 0, "response"), "choices"), 0);
    OK(template_encode(t, tok, &j, json_get(&j, 0, "request"), &j,
                       json_get(&j, choice, "message"), out, &err));
    json_release(&j);
}

static void begin(void)
{
    struct template *t;
    struct tokenizer *tok;
    struct codec_lines *lines;
    struct codec_line line;

    setup();
    scratch_make(scratch);
    OK(tokenizer_open(BASE, &tok, &err));
    OK(template_open(BASE, &t, &err));
    OK(codec_lines_open(LOG, LINE_MAX_BYTES, &lines, &err));
    for (size_t i = 0; i < EXAMPLES; i++) {
        ck_assert_int_eq(codec_lines_next(lines, &line, &err), 1);
        read_example(&examples[i], line.text, t, tok);
    }
    codec_lines_close(lines);
    template_free(t);
    tokenizer_free(tok);
}

static void end(void)
{
    for (size_t i = 0; i < EXAMPLES; i++)
        token_list_release(&examples[i].ids);
    scratch_remove(scratch);
    teardown();
}

static struct model *load(const char *dir, const char *adapter,
                          enum model_kept kept)
{
    struct model *m = NULL;

    OK(model_load_kept(dir, adapter, cpu, kept, &m, &err));
    return m;
}

/* Nats a token of the logged answers. */
static double loss_of(struct model *m)
{
    double sum = 0, part;
    size_t n = 0;

    for (size_t i = 0; i < EXAMPLES; i++) {
        const struct template_example *e = &examples[i];

        OK(model_nll(m, e->ids.ids, e->ids.count, e->answer_at, &part, &err));
        sum += part;
        n += e->ids.count - e->answer_at;
    }
    return sum / (double)n;
}

static double loss_kept(enum model_kept kept)
{
    struct model *m = load(BASE, NULL, kept);
    double loss = loss_of(m);

    model_free(m);
    return loss;
}

START_TEST(eight_bits_cost_next_to_nothing_and_four_little)
{
    double wide = loss_kept(MODEL_KEPT_F32);
    double eight = loss_kept(MODEL_KEPT_Q8_0),
           four = loss_kept(MODEL_KEPT_Q4_0);

    (void)printf("nats a token: f32 %.4f, q8_0 %+.3f %%, q4_0 %+.3f %%\n", wide,
                 100 * (eight / wide - 1), 100 * (four / wide - 1));
    ck_assert(fabs(loss_kept(MODEL_KEPT_STORED) - wide) < 1e-9);
    ck_assert(fabs(eight / wide - 1) < 0.005);
    ck_assert(fabs(four / wide - 1) < 0.05);
    ck_assert(fabs(eight - wide) > 0 && fabs(four - eight) > 0);
}
END_TEST

/* Answers that are those of f32, token by token. */
static size_t answers_as(enum model_kept kept)
{
    struct model *m[2] = { load(BASE, NULL, MODEL_KEPT_F32),
                           load(BASE, NULL, kept) };
    struct model_sampling greedy = { .max_tokens = ANSWER };
    struct model_job jobs[2][EXAMPLES] = { { { 0 } } };
    static int32_t out[2][EXAMPLES][ANSWER];
    size_t same = 0;

    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < EXAMPLES; i++)
            jobs[k][i] =
                (struct model_job){ .prompt = examples[i].ids.ids,
                                    .prompt_count = examples[i].answer_at,
                                    .out = out[k][i] };
        OK(model_generate_batch(m[k], jobs[k], EXAMPLES, &greedy, NULL, &err));
        model_free(m[k]);
    }
    for (size_t i = 0; i < EXAMPLES; i++)
        same += jobs[0][i].out_count == jobs[1][i].out_count &&
                memcmp(out[0][i], out[1][i],
                       jobs[0][i].out_count * sizeof(int32_t)) == 0;
    return same;
}

START_TEST(greedy_answers_are_nearly_all_the_same)
{
    size_t eight = answers_as(MODEL_KEPT_Q8_0);
    size_t four = answers_as(MODEL_KEPT_Q4_0);

    (void)printf("answers as with f32, of %d: q8_0 %zu, q4_0 %zu\n", EXAMPLES,
                 eight, four);
    ck_assert_uint_ge(eight, EXAMPLES * 9 / 10);
    ck_assert_uint_ge(four, EXAMPLES / 2);
}
END_TEST

/* Logits of some ids. */
static float *logits_of(struct model *m, size_t *count)
{
    size_t rows = 64, vocab = (size_t)model_config(m)->vocab;
    float *out = mem_array(rows * vocab, sizeof(*out));

    OK(model_logits(m, examples[0].ids.ids, rows, out, &err));
    *count = rows * vocab;
    return out;
}

static void same_logits(struct model *a, struct model *b)
{
    size_t n, same;
    float *x = logits_of(a, &n), *y = logits_of(b, &same);

    ck_assert_uint_eq(n, same);
    ck_assert_mem_eq(x, y, n * sizeof(*x));
    free(x);
    free(y);
}

static char *write_gguf(const char *dir, enum weights_type type)
{
    char *path = mem_printf("%s/%s.gguf", scratch, weights_type_name(type));

    OK(weights_gguf_write(dir, &(struct weights_gguf){ .type = type }, path,
                          &err));
    return path;
}

/* Llama's rows of q and k stand in another order there. */
START_TEST(blocks_of_a_file_are_taken_as_they_are)
{
    static const struct {
        enum weights_type type;
        enum model_kept kept;
    } ways[] = { { WEIGHTS_Q8_0, MODEL_KEPT_Q8_0 },
                 { WEIGHTS_Q4_0, MODEL_KEPT_Q4_0 } };

    for (size_t i = 0; i < 2; i++) {
        char *path = write_gguf(BASE, ways[i].type);
        struct model *a = load(BASE, NULL, ways[i].kept);
        struct model *b = load(path, NULL, MODEL_KEPT_STORED);
        struct model *c = load(path, NULL, MODEL_KEPT_Q8_0);
        struct model *d = load(path, NULL, ways[i].kept);

        same_logits(a, b);
        same_logits(a, c); /* four bits do not become eight */
        same_logits(a, d);
        model_free(a);
        model_free(b);
        model_free(c);
        model_free(d);
        free(path);
    }
}
END_TEST

static struct compute_span tensor_of(const struct model *m, const char *name,
                                     size_t *n)
{
    const struct model_tensor *list;
    size_t count = model_tensors(m, false, &list);

    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0) {
            *n = (size_t)(list[i].rows * (list[i].cols ? list[i].cols : 1));
            return list[i].value;
        }
    ck_abort_msg("no tensor %s", name);
}

static void check_sums(const struct model *m, const struct json *j)
{
    char *name = json_strdup(j, json_get(j, 0, "name"));
    double sum = 0, placed = 0, want[2];
    size_t n;
    struct compute_span span = tensor_of(m, name, &n);
    float *x = mem_array(n, sizeof(*x));

    model_download(m, span, x, n);
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i];
        placed += (double)x[i] * ((double)(i * 7919 % 1009) / 1009);
    }
    ck_assert(json_double(j, json_get(j, 0, "sum"), &want[0]));
    ck_assert(json_double(j, json_get(j, 0, "placed"), &want[1]));
    ck_assert_msg(fabs(sum - want[0]) < 1e-6 && fabs(placed - want[1]) < 1e-6,
                  "%s: %.9g %.9g, not %.9g %.9g", name, sum, placed, want[0],
                  want[1]);
    free(x);
    free(name);
}

/* Blocks that llama-quantize wrote, and what gguf-py says that they are. */
START_TEST(blocks_of_llama_cpp_say_the_same_here)
{
    static const char *const files[] = { "q8_0.gguf", "q4_0.gguf" };
    struct codec_lines *lines;
    struct codec_line line;
    struct model *m[2];
    size_t checked = 0;

    for (size_t i = 0; i < 2; i++) {
        char *path = io_path("tests/reference/llama_quantize", files[i]);

        m[i] = load(path, NULL, MODEL_KEPT_STORED);
        free(path);
    }
    OK(codec_lines_open("tests/reference/llama_quantize/golden.jsonl",
                        LINE_MAX_BYTES, &lines, &err));
    while (codec_lines_next(lines, &line, &err) == 1) {
        struct json j = { 0 };

        OK(json_parse(&j, line.text.p, line.text.n, &err));
        check_sums(m[json_text_is(&j, json_get(&j, 0, "file"), files[1])], &j);
        json_release(&j);
        checked++;
    }
    ck_assert_uint_eq(checked, 22);
    codec_lines_close(lines);
    model_free(m[0]);
    model_free(m[1]);
}
END_TEST

/* What the blocks say, and what rounding rows to 8 bits adds to it. */
START_TEST(blocks_compute_what_they_say)
{
    char *path = write_gguf(BASE, WEIGHTS_Q8_0);
    struct model *blocks = load(path, NULL, MODEL_KEPT_STORED);
    struct model *wide = load(path, NULL, MODEL_KEPT_F32);
    size_t n, same;
    float *x = logits_of(blocks, &n), *y = logits_of(wide, &same);
    double off = 0, size = 0;

    for (size_t i = 0; i < n; i++) {
        off += pow((double)(x[i] - y[i]), 2);
        size += pow((double)y[i], 2);
    }
    (void)printf("8-bit rows: logits off by %.2e of their size\n",
                 sqrt(off / size));
    ck_assert(sqrt(off / size) < 0.03 && off > 0);
    model_free(blocks);
    model_free(wide);
    free(x);
    free(y);
    free(path);
}
END_TEST

START_TEST(blocks_need_the_memory_that_their_bits_say)
{
    static const double bytes[MODEL_KEPT_WAYS] = { 4, 4, 34.0 / 32, 18.0 / 32 };
    size_t used[MODEL_KEPT_WAYS];

    for (int k = MODEL_KEPT_F32; k < MODEL_KEPT_WAYS; k++) {
        struct model *m = load(BASE, NULL, (enum model_kept)k);
        const struct model_config *c = model_config(m);
        double ends = (double)(c->vocab * c->hidden);
        double rest = (double)model_config_parameters(c) - ends;
        size_t peak;

        cpu->ops->memory(cpu, &used[k], &peak);
        (void)printf("%s: %zu bytes\n", model_kept_name((enum model_kept)k),
                     used[k]);
        if (k > MODEL_KEPT_F32)
            ck_assert((double)used[k] <
                      1.05 * (rest * bytes[k] + ends * 34 / 32) + 65536);
        model_free(m);
    }
    ck_assert_uint_lt(3 * used[MODEL_KEPT_Q8_0], used[MODEL_KEPT_F32]);
}
END_TEST

/* Rows that are no whole blocks stay what they were. */
START_TEST(odd_shapes_keep_their_weights)
{
    struct model_config c;
    struct model *m;
    char *dir = io_path(scratch, "odd");

    OK(model_config_read(BASE, &c, &err));
    c.ffn = 172;
    c.vocab = 96;
    c.context = 64;
    OK(model_new(&c, cpu, 7, &m, &err));
    OK(io_mkdirs(dir, 0755, &err));
    OK(model_save(m, dir, WEIGHTS_BF16, &err));
    model_free(m);
    for (int k = MODEL_KEPT_STORED; k < MODEL_KEPT_WAYS; k++) {
        const int32_t ids[] = { 1, 5, 9, 7 };
        double nll;

        m = load(dir, NULL, (enum model_kept)k);
        OK(model_nll(m, ids, 4, 1, &nll, &err));
        ck_assert(isfinite(nll));
        model_free(m);
    }
    free(dir);
}
END_TEST

static float *noise(size_t n, float size, uint64_t seed)
{
    float *x = mem_array(n, sizeof(*x));

    for (size_t i = 0; i < n; i++) {
        uint32_t r[4];

        rng_philox(seed, 1, i, r);
        x[i] = size * ((float)r[0] * 0x1p-31f - 1);
    }
    return x;
}

/* Over q_proj and down_proj of two layers. */
static char *write_adapter(bool dora)
{
    static const struct {
        const char *name;
        int64_t n, k;
    } layers[] = { { "0.self_attn.q_proj", 128, 128 },
                   { "2.mlp.down_proj", 128, 352 } };
    char *dir = io_path(scratch, dora ? "dora" : "lora");
    char *config = io_path(dir, "adapter_config.json");
    char *path = io_path(dir, "adapter_model.safetensors");
    struct weights_tensor t[6];
    char *text;
    size_t n = 0;

    OK(io_mkdirs(dir, 0755, &err));
    text = mem_printf("{\"peft_type\":\"LORA\",\"r\":8,\"lora_alpha\":16,"
                      "\"use_dora\":%s}",
                      dora ? "true" : "false");
    OK(io_write_file(config, text, strlen(text), 0644, &err));
    for (size_t i = 0; i < 2; i++) {
        const char *const parts[] = { "lora_A.weight", "lora_B.weight",
                                      "lora_magnitude_vector" };
        int64_t rows[] = { 8, layers[i].n, layers[i].n };
        int64_t cols[] = { layers[i].k, 8, 1 };

        for (size_t p = 0; p < (dora ? 3 : 2); p++, n++) {
            size_t count = (size_t)(rows[p] * cols[p]);

            t[n] = (struct weights_tensor){
                .name = mem_printf("base_model.model.model.layers.%s.%s",
                                   layers[i].name, parts[p]),
                .dims = p == 2 ? 1 : 2,
                .shape = { rows[p], cols[p] },
                .data = noise(count, p == 2 ? 2 : 0.2f, 3 * i + p),
                .bytes = count * sizeof(float)
            };
        }
    }
    OK(weights_write(path, t, n, NULL, &err));
    while (n-- > 0) {
        free((void *)(uintptr_t)t[n].name);
        free((void *)(uintptr_t)t[n].data);
    }
    free(text);
    free(config);
    free(path);
    return dir;
}

/* The adapter of a pass of serving and that of eval are one: bits say so. */
static void same_answers(const char *adapter, enum model_kept kept)
{
    struct model *own = load(BASE, adapter, kept);
    struct model *base = load(BASE, NULL, kept);
    struct model_bank *bank;
    struct model_session *s;
    const struct template_example *e = &examples[1];
    struct model_sampling greedy = { .max_tokens = 24, .ignore_eos = true };
    int32_t want[24], got[24];
    size_t count, cached;
    struct model_job job = { .max_tokens = 24, .out = got };
    bool finished;
    int slot;

    job.prompt = e->ids.ids;
    job.prompt_count = e->answer_at;
    OK(model_generate(own, job.prompt, job.prompt_count, &greedy, NULL, NULL,
                      want, &count, &finished, NULL, &err));
    OK(model_generate_batch(own, &job, 1, &greedy, NULL, &err));
    ck_assert_uint_eq(job.out_count, count);
    ck_assert_mem_eq(want, got, count * sizeof(*want));
    OK(model_bank_new(base, &adapter, 1, &bank, &err));
    OK(model_session_open(
        base, &(struct model_session_options){ .slots = 1, .bank = bank }, &s,
        &err));
    OK(model_session_begin(
        s,
        &(struct model_ask){ .prompt = job.prompt,
                             .prompt_count = job.prompt_count,
                             .adapter = 1,
                             .sampling = greedy },
        &slot, &cached, &err));
    while (model_session_step(s, &err) == 1)
        ;
    model_session_close(s);
    model_bank_free(bank);
    model_free(base);
    model_free(own);
}

/* What the adapter changes is changed over blocks as well, nearly as much. */
START_TEST(adapters_stay_beside_blocks)
{
    double bare[2], with[2];

    for (int dora = 0; dora < 2; dora++) {
        char *dir = write_adapter(dora != 0);

        for (int k = 0; k < 2; k++) {
            enum model_kept kept = k ? MODEL_KEPT_Q8_0 : MODEL_KEPT_F32;
            struct model *m = load(BASE, NULL, kept);

            bare[k] = loss_of(m);
            model_free(m);
            m = load(BASE, dir, kept);
            with[k] = loss_of(m);
            model_free(m);
        }
        (void)printf("%s: f32 %.4f to %.4f, q8_0 %.4f to %.4f\n",
                     dora ? "dora" : "lora", bare[0], with[0], bare[1],
                     with[1]);
        ck_assert(fabs(with[0] - bare[0]) > 0.01);
        ck_assert(fabs(with[1] / with[0] - 1) < 0.005);
        same_answers(dir, MODEL_KEPT_Q8_0);
        same_answers(dir, MODEL_KEPT_Q4_0);
        free(dir);
    }
}
END_TEST

START_TEST(ways_have_names)
{
    enum model_kept k;

    for (int i = 0; i < MODEL_KEPT_WAYS; i++) {
        ck_assert(model_kept_of(model_kept_name((enum model_kept)i), &k));
        ck_assert_int_eq((int)k, i);
    }
    ck_assert(!model_kept_of("int8", &k));
}
END_TEST

int main(void)
{
    TCase *t = suite_case("kept", begin, end);

    tcase_add_test(t, ways_have_names);
    tcase_add_test(t, eight_bits_cost_next_to_nothing_and_four_little);
    tcase_add_test(t, greedy_answers_are_nearly_all_the_same);
    tcase_add_test(t, blocks_of_a_file_are_taken_as_they_are);
    tcase_add_test(t, blocks_of_llama_cpp_say_the_same_here);
    tcase_add_test(t, blocks_compute_what_they_say);
    tcase_add_test(t, blocks_need_the_memory_that_their_bits_say);
    tcase_add_test(t, odd_shapes_keep_their_weights);
    tcase_add_test(t, adapters_stay_beside_blocks);
    return suite_run("model_kept", t);
}
