/*
 * test_engine.c - requests in, texts out: streams, forms, calls, adapters, a
 * queue that ends, cancelling
 */
#include "adapter_files.h"
#include "ok.h"
#include "scratch.h"
#include "suite.h"

#include "engine/engine.h"
#include "json/json.h"
#include "model/model.h"

#include <math.h>
#include <pthread.h>

#define BASE "data/base"
#define HELLO "{\"role\":\"user\",\"content\":\"Classify: my card was stolen\"}"

static struct compute *cpu;
static char dir[SCRATCH_MAX];

static void setup(void)
{
    OK(compute_open(&(struct compute_options){ .kernels = getenv("SLMCTL_CPU"),
                                               .threads = 2 },
                    &cpu, &err));
    scratch_make(dir);
}

static void teardown(void)
{
    compute_close(cpu);
    scratch_remove(dir);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* What came of a request. */
struct heard {
    struct buf text, message, calls, stop;
    size_t pieces, chances, ends;
    enum engine_finish why;
    struct engine_usage usage;
    struct stats_signals signals;
    struct err err;
    bool gate; /* its first piece waits until this is false */
    uint64_t id;
};

static void hear_piece(void *ctx, enum engine_piece kind, size_t call,
                       struct slice text, const struct engine_logprob *lp,
                       size_t lp_count)
{
    struct heard *h = ctx;

    pthread_mutex_lock(&mutex);
    h->pieces++;
    h->chances += lp_count;
    for (size_t i = 0; i < lp_count; i++)
        for (size_t k = 0; k < lp[i].top_count; k++)
            ck_assert(k == 0 || lp[i].top[k].logp <= lp[i].top[k - 1].logp);
    if (kind == ENGINE_TEXT) {
        buf_add_slice(&h->text, text);
    } else {
        buf_printf(&h->calls, "%d %zu ", (int)kind, call);
        buf_add_slice(&h->calls, text);
        buf_str(&h->calls, "\n");
    }
    pthread_cond_broadcast(&changed);
    while (h->gate)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static void hear_end(void *ctx, enum engine_finish why, struct slice message,
                     const struct engine_usage *u,
                     const struct stats_signals *s, const struct err *reason)
{
    struct heard *h = ctx;

    pthread_mutex_lock(&mutex);
    h->ends++;
    h->why = why;
    h->usage = *u;
    buf_add_slice(&h->stop, u->stop);
    h->signals = *s;
    if (reason)
        h->err = *reason;
    buf_add_slice(&h->message, message);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void heard_release(struct heard *h)
{
    buf_release(&h->text);
    buf_release(&h->message);
    buf_release(&h->calls);
    buf_release(&h->stop);
    *h = (struct heard){ 0 };
}

static void await(struct heard *h)
{
    pthread_mutex_lock(&mutex);
    while (!h->ends)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    ck_assert_uint_eq(h->ends, 1);
}

/* A chat with these further members ("" or ",\"n\":1"). */
static int submit(struct engine *e, size_t model, const char *messages,
                  const char *more, struct heard *h)
{
    char *chat = mem_printf("{\"messages\":[%s]%s}", messages, more);
    const struct engine_request r = { .chat = slice_of(chat),
                                      .model = model,
                                      .call_prefix = "call_slm_ab_",
                                      .piece = hear_piece,
                                      .end = hear_end,
                                      .ctx = h };
    int64_t retry;
    int rc = engine_submit(e, &r, &h->id, &retry, &err);

    ck_assert(rc != ERR_LIMIT || retry > 0);
    free(chat);
    return rc;
}

static void ask(struct engine *e, size_t model, const char *messages,
                const char *more, struct heard *h)
{
    OK(submit(e, model, messages, more, h));
    await(h);
}

static struct engine *base_engine(size_t slots, size_t queue)
{
    const struct engine_model models[] = { { "base", NULL } };
    const struct engine_options o = { .dir = BASE,
                                      .models = models,
                                      .count = 1,
                                      .compute = cpu,
                                      .slots = slots,
                                      .queue = queue };
    struct engine *e;

    OK(engine_open(&o, &e, &err));
    return e;
}

/* The text of the message's content. */
static void content_of(const struct heard *h, struct buf *out)
{
    struct json j = { 0 };

    OK(json_parse(&j, h->message.data, h->message.len, &err));
    ck_assert(json_text(&j, json_get(&j, 0, "content"), out));
    json_release(&j);
}

static void same_text(const struct heard *x, const struct heard *y)
{
    ck_assert(slice_eq(buf_slice(&x->message), buf_slice(&y->message)));
    ck_assert_int_eq(x->why, y->why);
}

/* What model_generate gives for the template's prompt. */
static void generated(const char *messages, size_t tokens, struct buf *out)
{
    char *chat = mem_printf("{\"messages\":[%s]}", messages);
    struct model_sampling opt = { .max_tokens = tokens };
    int32_t *ids = mem_array(tokens, sizeof(*ids)), stop;
    struct token_list prompt = { 0 };
    struct buf text = { 0 };
    struct template *t;
    struct tokenizer *tok;
    struct json j = { 0 };
    struct model *m;
    bool finished;
    size_t n;

    OK(tokenizer_open(BASE, &tok, &err));
    OK(template_open(BASE, &t, &err));
    OK(model_load(BASE, NULL, cpu, &m, &err));
    OK(json_parse(&j, chat, strlen(chat), &err));
    OK(template_prompt(t, &j, 0, &text, &err));
    OK(tokenizer_encode(tok, buf_slice(&text), 0, &prompt, NULL, &err));
    stop = tokenizer_id(tok, template_stop(t));
    opt.stops = &stop;
    opt.stop_count = 1;
    OK(model_generate(m, prompt.ids, prompt.count, &opt, NULL, NULL, ids, &n,
                      &finished, NULL, &err));
    tokenizer_decode(tok, ids, n, true, out);
    model_free(m);
    json_release(&j);
    template_free(t);
    tokenizer_free(tok);
    token_list_release(&prompt);
    buf_release(&text);
    free(ids);
    free(chat);
}

START_TEST(a_stream_says_what_generation_does)
{
    struct buf want = { 0 }, content = { 0 };
    struct heard h = { 0 };
    struct engine *e;

    generated(HELLO, 40, &want);
    e = base_engine(2, 0);
    ask(e, 0, HELLO, ",\"max_tokens\":40,\"logprobs\":true,\"top_logprobs\":3",
        &h);
    content_of(&h, &content);
    ck_assert(slice_eq(buf_slice(&content), buf_slice(&h.text)));
    ck_assert_str_eq(content.data, want.data);
    ck_assert_uint_gt(h.pieces, 5);
    ck_assert_uint_eq(h.chances, h.usage.completion);
    ck_assert_uint_gt(h.usage.prompt, 5);
    ck_assert_uint_eq(h.usage.cached, 0);
    ck_assert(h.usage.queue_us <= h.usage.first_us &&
              h.usage.first_us <= h.usage.total_us);
    ck_assert(h.signals.mean_logp < 0 && h.signals.tokens > 0);
    heard_release(&h);
    ask(e, 0, HELLO, ",\"max_tokens\":40", &h);
    ck_assert_uint_eq(h.usage.cached, h.usage.prompt - 1);
    ck_assert_str_eq(h.text.data, want.data);
    engine_close(e);
    heard_release(&h);
    buf_release(&want);
    buf_release(&content);
}
END_TEST

/* Stops are cut at their first byte, wherever tokens end. */
START_TEST(stop_texts_end_an_answer)
{
    static const char drawn[] =
        ",\"max_tokens\":40,\"temperature\":2,\"seed\":7";
    struct buf all = { 0 };
    struct engine *e = base_engine(1, 0);
    struct heard h = { 0 };

    ask(e, 0, HELLO, drawn, &h);
    buf_add_slice(&all, buf_slice(&h.text));
    heard_release(&h);
    ck_assert_uint_gt(all.len, 20);
    for (size_t at = 3; at + 5 < all.len && at < 16; at++) {
        char more[160];
        struct buf quoted = { 0 };
        struct slice stop = { all.data + at, 5 };

        if ((stop.p[0] & 0xC0) == 0x80 || (stop.p[5] & 0xC0) == 0x80)
            continue; /* inside a character */
        json_quote(&quoted, stop);
        (void)snprintf(more, sizeof(more), "%s,\"stop\":[\"@@@@@@@@\",%s]",
                       drawn, quoted.data);
        ask(e, 0, HELLO, more, &h);
        ck_assert_uint_le(h.text.len, at);
        ck_assert(memcmp(all.data + h.text.len, stop.p, 5) == 0);
        ck_assert(h.text.len == 0 ||
                  memcmp(h.text.data, all.data, h.text.len) == 0);
        ck_assert_int_eq(h.why, ENGINE_STOP);
        ck_assert(slice_eq(buf_slice(&h.stop), stop));
        heard_release(&h);
        buf_release(&quoted);
    }
    engine_close(e);
    buf_release(&all);
}
END_TEST

START_TEST(answers_keep_to_their_forms)
{
    static const char format[] =
        ",\"max_tokens\":200,\"temperature\":%g,\"seed\":%d,"
        "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{"
        "\"name\":\"x\",\"schema\":{\"type\":\"object\",\"properties\":{"
        "\"city\":{\"type\":\"string\",\"maxLength\":8},"
        "\"n\":{\"type\":\"integer\"}},\"required\":[\"city\",\"n\"],"
        "\"additionalProperties\":false}}}";
    const struct slice labels[] = { slice_of("stolen card"),
                                    slice_of("other") };
    const struct template_content content = { .labels = labels,
                                              .label_count = 2 };
    struct engine *e = base_engine(4, 0);
    struct heard h[8] = { 0 };
    struct json j = { 0 };
    struct engine_request r = { .chat = slice_of("{\"messages\":[" HELLO "]}"),
                                .content = &content,
                                .whole = true,
                                .piece = hear_piece,
                                .end = hear_end,
                                .ctx = &h[0] };
    int64_t retry, n;

    for (int i = 0; i < 8; i++) {
        char more[512];

        (void)snprintf(more, sizeof(more), format, i ? 1.0 : 0.0, i);
        OK(submit(e, 0, HELLO, more, &h[i]));
    }
    for (size_t i = 0; i < 8; i++) {
        await(&h[i]);
        ck_assert_int_eq(h[i].why, ENGINE_STOP);
        OK(json_parse(&j, h[i].text.data, h[i].text.len, &err));
        ck_assert_uint_eq(json_count(&j, 0), 2);
        ck_assert(json_int(&j, json_get(&j, 0, "n"), &n));
        heard_release(&h[i]);
    }
    OK(engine_submit(e, &r, &h[0].id, &retry, &err));
    await(&h[0]);
    ck_assert_uint_eq(h[0].pieces, 0);
    ck_assert_msg(strstr(h[0].message.data, "\"stolen card\"") ||
                      strstr(h[0].message.data, "\"other\""),
                  "%s", h[0].message.data);
    engine_close(e);
    json_release(&j);
    heard_release(&h[0]);
}
END_TEST

/* Every client reads an object; a list is JSON, and no object. */
START_TEST(a_json_object_is_no_list)
{
    static const char format[] =
        ",\"max_tokens\":60,\"temperature\":1.5,\"seed\":%d,"
        "\"response_format\":{\"type\":\"json_object\"}";
    struct engine *e = base_engine(4, 0);
    struct heard h[12] = { 0 };

    for (int i = 0; i < 12; i++) {
        char more[256];

        (void)snprintf(more, sizeof(more), format, i);
        OK(submit(e, 0, HELLO, more, &h[i]));
    }
    for (size_t i = 0; i < 12; i++) {
        await(&h[i]);
        ck_assert_msg(h[i].text.len && h[i].text.data[0] == '{', "%s",
                      h[i].message.data);
        heard_release(&h[i]);
    }
    engine_close(e);
}
END_TEST

/* Which of the last 24 letters was an e is a state, so each answer takes
 * another way, and all of them together more than a form may hold. */
START_TEST(an_outgrown_form_is_made_anew)
{
    static const char more[] =
        ",\"max_tokens\":32,\"temperature\":2,\"seed\":%d,"
        "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{"
        "\"schema\":{\"type\":\"string\","
        "\"pattern\":\"^[a-z ]*e[a-z ]{24}$\"}}}";
    struct engine *e = base_engine(4, 0);
    struct engine_stats now = { 0 };
    size_t answers = 0;

    for (; now.forms_made < 3 && answers < 400; answers++) {
        struct heard h = { 0 };
        char text[512];

        (void)snprintf(text, sizeof(text), more, (int)answers);
        ask(e, 0, HELLO, text, &h);
        ck_assert_msg(h.why == ENGINE_STOP, "%zu: %s", answers, h.err.msg);
        ck_assert_uint_ge(h.text.len, 27);
        ck_assert_int_eq(h.text.data[h.text.len - 26], 'e');
        heard_release(&h);
        engine_stats(e, &now);
        ck_assert_uint_le(now.forms, 2);
    }
    ck_assert_uint_eq(now.forms_made, 3);
    ck_assert_uint_gt(answers, 3); /* a form serves more than one */
    engine_close(e);
}
END_TEST

static size_t forms_after(size_t form_bytes, size_t count)
{
    const struct engine_model models[] = { { "base", NULL } };
    const struct engine_options o = { .dir = BASE,
                                      .models = models,
                                      .count = 1,
                                      .compute = cpu,
                                      .slots = 1,
                                      .form_bytes = form_bytes };
    struct engine_stats now;
    struct engine *e;

    OK(engine_open(&o, &e, &err));
    for (size_t i = 0; i < count; i++) {
        struct heard h = { 0 };
        char more[256];

        (void)snprintf(more, sizeof(more),
                       ",\"response_format\":{\"type\":\"json_schema\","
                       "\"json_schema\":{\"schema\":{\"const\":%zu}}}",
                       i / 2);
        ask(e, 0, HELLO, more, &h);
        ck_assert_int_eq(h.why, ENGINE_STOP);
        heard_release(&h);
    }
    engine_stats(e, &now);
    ck_assert_uint_gt(now.form_bytes, 0);
    engine_close(e);
    return now.forms;
}

START_TEST(forms_are_kept_within_a_budget)
{
    ck_assert_uint_eq(forms_after(0, 12), 6);
    ck_assert_uint_eq(forms_after(1, 12), 1);
}
END_TEST

START_TEST(calls_come_with_ids_of_their_own)
{
    static const char more[] =
        ",\"max_tokens\":200,\"tool_choice\":\"required\","
        "\"parallel_tool_calls\":false,\"tools\":[{\"type\":\"function\","
        "\"function\":{\"name\":\"freeze\",\"parameters\":{\"type\":\"object\","
        "\"properties\":{\"card\":{\"enum\":[\"debit\",\"credit\"]}},"
        "\"required\":[\"card\"],\"additionalProperties\":false}}}]";
    struct engine *e = base_engine(2, 0);
    struct heard h[2] = { 0 };

    for (size_t i = 0; i < 2; i++) {
        struct json j = { 0 };
        struct buf id = { 0 }, arguments = { 0 };
        json_ref call;

        ask(e, 0, HELLO, more, &h[i]);
        ck_assert_int_eq(h[i].why, ENGINE_TOOL_CALLS);
        OK(json_parse(&j, h[i].message.data, h[i].message.len, &err));
        ck_assert(json_is(&j, json_get(&j, 0, "content"), JSON_NULL));
        ck_assert_uint_eq(h[i].text.len + h[i].stop.len, 0);
        call = json_at(&j, json_get(&j, 0, "tool_calls"), 0);
        ck_assert(json_text(&j, json_get(&j, call, "id"), &id));
        ck_assert(strncmp(id.data, "call_slm_ab_", 12) == 0);
        ck_assert(json_text_is(
            &j, json_find(&j, call, "function", "name", NULL), "freeze"));
        ck_assert(json_text(&j,
                            json_find(&j, call, "function", "arguments", NULL),
                            &arguments));
        ck_assert(strstr(arguments.data, "debit") ||
                  strstr(arguments.data, "credit"));
        ck_assert(strstr(h[i].calls.data, id.data) &&
                  strstr(h[i].calls.data, arguments.data));
        json_release(&j);
        buf_release(&id);
        buf_release(&arguments);
    }
    ck_assert_str_ne(h[0].message.data, h[1].message.data);
    engine_close(e);
    heard_release(&h[0]);
    heard_release(&h[1]);
}
END_TEST

/* However short it is cut, nothing of the call's frame is content. */
START_TEST(a_call_that_is_cut_leaks_nothing)
{
    struct engine *e = base_engine(1, 0);

    for (int n = 1; n < 12; n += 2) {
        char more[512];
        struct heard h = { 0 };
        struct json j = { 0 };

        (void)snprintf(
            more, sizeof(more),
            ",\"max_tokens\":%d,\"tool_choice\":\"required\",\"tools\":[{"
            "\"type\":\"function\",\"function\":{\"name\":\"freeze\","
            "\"parameters\":{\"type\":\"object\",\"properties\":{\"card\":{"
            "\"enum\":[\"debit\",\"credit\"]}},\"required\":[\"card\"]}}}]",
            n);
        ask(e, 0, HELLO, more, &h);
        ck_assert_int_eq(h.why, ENGINE_LENGTH);
        OK(json_parse(&j, h.message.data, h.message.len, &err));
        ck_assert_msg(json_text_is(&j, json_get(&j, 0, "content"), ""),
                      "%d: %s", n, h.message.data);
        ck_assert(!json_present(json_get(&j, 0, "tool_calls")));
        ck_assert_uint_eq(h.text.len + h.calls.len, 0);
        json_release(&j);
        heard_release(&h);
    }
    engine_close(e);
}
END_TEST

static const struct layer layers[] = {
    { "model.layers.0.self_attn.q_proj", 128, 128 },
    { "model.layers.2.mlp.down_proj", 128, 352 },
};

static char *write_adapter(const char *name, uint64_t seed)
{
    char *path = io_path(dir, name);

    adapter_files(path, layers, 2, seed, 4, false, 0.8F, "");
    return path;
}

/* Many at once over three models, as each alone. */
START_TEST(a_full_house_answers_as_one_by_one)
{
    enum { MANY = 32 };
    char *paths[2] = { write_adapter("one", 1), write_adapter("two", 2) };
    const struct engine_model models[] = { { "base", NULL },
                                           { "one", paths[0] },
                                           { "two", paths[1] } };
    struct engine_options o = {
        .dir = BASE, .models = models, .count = 3, .compute = cpu, .slots = 8
    };
    struct heard h[MANY] = { 0 }, one = { 0 };
    struct engine_stats stats;
    struct engine *e;

    OK(engine_open(&o, &e, &err));
    for (int i = 0; i < MANY; i++) {
        char text[128];

        (void)snprintf(text, sizeof(text),
                       "{\"role\":\"user\",\"content\":\"case %d of %d\"}",
                       i % 7, i);
        OK(submit(e, (size_t)i % 3, text, ",\"max_tokens\":24", &h[i]));
    }
    for (int i = 0; i < MANY; i++)
        await(&h[i]);
    engine_stats(e, &stats);
    ck_assert_uint_eq(stats.active + stats.waiting, 0);
    engine_close(e);
    o.slots = 1;
    OK(engine_open(&o, &e, &err));
    for (int i = 0; i < MANY; i++) {
        char text[128];

        (void)snprintf(text, sizeof(text),
                       "{\"role\":\"user\",\"content\":\"case %d of %d\"}",
                       i % 7, i);
        ask(e, (size_t)i % 3, text, ",\"max_tokens\":24", &one);
        same_text(&h[i], &one);
        heard_release(&one);
        heard_release(&h[i]);
    }
    engine_close(e);
    free(paths[0]);
    free(paths[1]);
}
END_TEST

/* Models change under an answer that runs: it keeps its own. */
START_TEST(a_reload_leaves_running_answers_alone)
{
    char *paths[2] = { write_adapter("one", 1), write_adapter("two", 2) };
    struct engine_model models[] = { { "a", paths[0] } };
    const struct engine_options o = {
        .dir = BASE, .models = models, .count = 1, .compute = cpu, .slots = 2
    };
    struct heard first = { 0 }, runs = { .gate = true }, after = { 0 };
    struct engine *e;

    OK(engine_open(&o, &e, &err));
    ask(e, 0, HELLO, ",\"max_tokens\":60", &first);
    OK(submit(e, 0, HELLO, ",\"max_tokens\":60", &runs));
    pthread_mutex_lock(&mutex);
    while (!runs.pieces)
        pthread_cond_wait(&changed, &mutex);
    runs.gate = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    models[0].adapter = paths[1];
    OK(engine_reload(e, models, 1, &err));
    ask(e, 0, HELLO, ",\"max_tokens\":60", &after);
    await(&runs);
    same_text(&first, &runs);
    ck_assert_uint_eq(after.usage.cached, 0);
    ck_assert_str_ne(after.message.data, runs.message.data);
    models[0].adapter = "nowhere";
    ck_assert_int_lt(engine_reload(e, models, 1, &err), 0);
    heard_release(&first);
    ask(e, 0, HELLO, ",\"max_tokens\":60", &first);
    same_text(&first, &after);
    engine_close(e);
    heard_release(&first);
    heard_release(&runs);
    heard_release(&after);
    free(paths[0]);
    free(paths[1]);
}
END_TEST

/* One runs, two wait, the next are refused; those that wait and run can be
 * cancelled, and the engine goes on. */
START_TEST(the_queue_ends_and_cancelling_empties_it)
{
    struct engine *e = base_engine(1, 2);
    struct heard runs = { .gate = true }, waits[2] = { 0 }, more = { 0 };
    struct engine_stats stats;

    OK(submit(e, 0, HELLO, ",\"max_tokens\":300", &runs));
    pthread_mutex_lock(&mutex);
    while (!runs.pieces)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    OK(submit(e, 0, HELLO, "", &waits[0]));
    OK(submit(e, 0, HELLO, "", &waits[1]));
    ck_assert_int_eq(submit(e, 0, HELLO, "", &more), ERR_LIMIT);
    engine_stats(e, &stats);
    ck_assert_uint_eq(stats.waiting, 2);
    ck_assert_uint_eq(stats.active, 1);
    ck_assert_uint_eq(stats.refused, 1);
    engine_cancel(e, runs.id);
    engine_cancel(e, waits[0].id);
    engine_cancel(e, 12345);
    pthread_mutex_lock(&mutex);
    runs.gate = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    await(&runs);
    await(&waits[0]);
    await(&waits[1]);
    ck_assert_int_eq(runs.why, ENGINE_CANCELLED);
    ck_assert_int_eq(waits[0].why, ENGINE_CANCELLED);
    ck_assert(waits[1].why == ENGINE_STOP || waits[1].why == ENGINE_LENGTH);
    ask(e, 0, HELLO, ",\"max_tokens\":4", &more);
    ck_assert_int_eq(more.why, ENGINE_LENGTH);
    engine_close(e);
    heard_release(&runs);
    heard_release(&waits[0]);
    heard_release(&waits[1]);
    heard_release(&more);
}
END_TEST

START_TEST(closing_ends_everything_once)
{
    struct engine *e = base_engine(2, 0);
    struct heard h[9] = { 0 };

    for (size_t i = 0; i < 9; i++)
        OK(submit(e, 0, HELLO, ",\"max_tokens\":900,\"temperature\":2", &h[i]));
    engine_close(e);
    for (size_t i = 0; i < 9; i++) {
        ck_assert_uint_eq(h[i].ends, 1);
        heard_release(&h[i]);
    }
}
END_TEST

static const struct {
    const char *messages, *more, *field;
    enum err_code code;
} refused[] = {
    { HELLO, ",\"n\":2", "n:", ERR_UNSUPPORTED },
    { HELLO, ",\"temperature\":3", "temperature:", ERR_INVALID },
    { HELLO, ",\"top_p\":0", "top_p:", ERR_INVALID },
    { HELLO, ",\"max_tokens\":0", "max_tokens:", ERR_INVALID },
    { HELLO, ",\"seed\":1.5", "seed:", ERR_INVALID },
    { HELLO, ",\"stop\":[\"\"]", "stop:", ERR_INVALID },
    { HELLO, ",\"stop\":3", "stop:", ERR_INVALID },
    { HELLO, ",\"logprobs\":5", "logprobs:", ERR_INVALID },
    { HELLO, ",\"logprobs\":true,\"top_logprobs\":21",
      "top_logprobs:", ERR_INVALID },
    { HELLO, ",\"top_logprobs\":2", "top_logprobs:", ERR_INVALID },
    { HELLO, ",\"response_format\":{\"type\":\"xml\"}",
      "response_format:", ERR_UNSUPPORTED },
    { HELLO, ",\"response_format\":{\"type\":\"json_schema\"}",
      "response_format:", ERR_INVALID },
    { HELLO, ",\"tool_choice\":\"required\"", "tool_choice:", ERR_INVALID },
    { HELLO, ",\"tool_choice\":\"maybe\"", "tool_choice:", ERR_INVALID },
    { HELLO,
      ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}}],"
      "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"b\"}"
      "}",
      "tool_choice:", ERR_INVALID },
    { "", "", "messages:", ERR_INVALID },
    { HELLO, ",\"x\":", "request:", ERR_FORMAT },
};

START_TEST(requests_are_refused_by_field)
{
    struct engine *e = base_engine(1, 0);
    struct heard h = { 0 };

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        ck_assert_int_eq(submit(e, 0, refused[i].messages, refused[i].more, &h),
                         refused[i].code);
        ck_assert_msg(
            strncmp(err.msg, refused[i].field, strlen(refused[i].field)) == 0,
            "%s", err.msg);
    }
    ck_assert_int_eq(submit(e, 1, HELLO, "", &h), ERR_INVALID);
    ck_assert_uint_eq(h.ends, 0);
    /* What only the template can tell comes at the end. */
    ask(e, 0, "{\"role\":\"clown\",\"content\":\"x\"}", "", &h);
    ck_assert_int_eq(h.why, ENGINE_FAILED);
    ck_assert_msg(strncmp(h.err.msg, "messages:", 9) == 0, "%s", h.err.msg);
    engine_close(e);
    heard_release(&h);
}
END_TEST

START_TEST(a_prompt_is_gone_on_with_as_it_is)
{
    struct engine *e = base_engine(1, 0);
    struct heard h = { 0 };
    char *long_prompt = mem_zalloc(5000);
    struct engine_request r = { .chat = slice_of("{\"max_tokens\":8}"),
                                .raw_prompt = slice_of("The city of"),
                                .piece = hear_piece,
                                .end = hear_end,
                                .ctx = &h };
    int64_t retry;

    OK(engine_submit(e, &r, &h.id, &retry, &err));
    await(&h);
    ck_assert_int_eq(h.why, ENGINE_LENGTH);
    ck_assert_uint_eq(h.usage.completion, 8);
    heard_release(&h);
    memset(long_prompt, '~', 4999);
    r.raw_prompt = slice_of(long_prompt);
    OK(engine_submit(e, &r, &h.id, &retry, &err));
    await(&h);
    ck_assert_int_eq(h.why, ENGINE_FAILED);
    ck_assert_int_eq(h.err.code, ERR_LIMIT);
    engine_close(e);
    heard_release(&h);
    free(long_prompt);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("engine", setup, teardown);

    tcase_add_test(t, a_stream_says_what_generation_does);
    tcase_add_test(t, stop_texts_end_an_answer);
    tcase_add_test(t, answers_keep_to_their_forms);
    tcase_add_test(t, a_json_object_is_no_list);
    tcase_add_test(t, a_call_that_is_cut_leaks_nothing);
    tcase_add_test(t, an_outgrown_form_is_made_anew);
    tcase_add_test(t, forms_are_kept_within_a_budget);
    tcase_add_test(t, calls_come_with_ids_of_their_own);
    tcase_add_test(t, a_full_house_answers_as_one_by_one);
    tcase_add_test(t, a_reload_leaves_running_answers_alone);
    tcase_add_test(t, the_queue_ends_and_cancelling_empties_it);
    tcase_add_test(t, closing_ends_everything_once);
    tcase_add_test(t, requests_are_refused_by_field);
    tcase_add_test(t, a_prompt_is_gone_on_with_as_it_is);
    return suite_run("engine", t);
}
