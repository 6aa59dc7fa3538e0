/*
 * cmd_generate.c - slmctl generate: run a model from the shell
 *
 * One prompt, one answer, the answer alone on stdout as it comes, whole
 * characters at a time. The prompt goes through the model's own chat template
 * unless --raw. A task brings the frame that its calls have in the log: their
 * system prompt and tools.
 */
#include "device.h"
#include "generate_choice.h"
#include "kv_cache.h"
#include "pick_model.h"
#include "store_opening.h"

#include "base/io.h"
#include "base/mem.h"
#include "evaluate/evaluate.h"
#include "json/json.h"
#include "model/model.h"
#include "store/store.h"
#include "template/template.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROMPT_MAX ((size_t)16 << 20)
#define LEAD_IN 16 /* prompt tokens that streaming decodes before an answer */

static const char *model_name, *adapter_dir, *task_name, *system_text;
static const char *schema_file, *labels, *regex;
static const char *constrain = "auto", *draft = "auto", *weights = "auto";
static struct cli_list stop_texts;
static bool raw, logprobs, sample;
static double temperature, top_p = 1, min_p, penalty = 1;
static int64_t top_k, max_tokens = 512, top_logprobs;

static const struct opt options[] = {
    { 'm', "model", OPT_STRING, &model_name, "DIR|NAME",
      "model directory, or a model of the store", .complete = COMPLETE_MODEL },
    { 0, "adapter", OPT_STRING, &adapter_dir, "DIR", "PEFT adapter to apply",
      .complete = COMPLETE_DIR },
    { 't', "task", OPT_STRING, &task_name, "TASK",
      "the model trained for this task, and the frame of its calls",
      .complete = COMPLETE_TASK },
    { 0, "raw", OPT_FLAG, &raw, NULL,
      "continue the prompt as it is, without a chat template" },
    { 0, "system", OPT_STRING, &system_text, "TEXT",
      "system prompt (with --task instead of the task's)",
      .may_be_empty = true },
    { 0, "temperature", OPT_DOUBLE, &temperature, "T",
      "0 takes the likeliest token each time", .max = 100 },
    { 0, "top-p", OPT_DOUBLE, &top_p, "P",
      "sample among the likeliest tokens of this total probability", .max = 1 },
    { 0, "top-k", OPT_INT, &top_k, "K", "sample among so many tokens; 0 is all",
      .max = 1e6 },
    { 0, "min-p", OPT_DOUBLE, &min_p, "P",
      "sample among tokens of this share of the likeliest one's probability",
      .max = 1 },
    { 0, "repetition-penalty", OPT_DOUBLE, &penalty, "X",
      "above 1 makes tokens of the prompt and the answer less likely",
      .min = 0.01, .max = 100 },
    { 0, "sample", OPT_FLAG, &sample, NULL,
      "sample as the model's generation_config.json asks" },
    { 0, "stop", OPT_LIST, &stop_texts, "TEXT",
      "end before this text; may be given again" },
    { 0, "schema", OPT_STRING, &schema_file, "FILE",
      "answer JSON that fits this JSON schema", .complete = COMPLETE_FILE },
    { 0, "labels", OPT_STRING, &labels, "A,B,...",
      "answer one of these labels" },
    { 0, "regex", OPT_STRING, &regex, "RE",
      "answer a text that this regular expression matches" },
    { 0, "constrain", OPT_CHOICE, &constrain, "WHEN",
      "with --task: keep the answer to the form that the task asks for",
      .choices = "auto|off" },
    { 'n', "max-tokens", OPT_INT, &max_tokens, "N", "end after so many tokens",
      .min = 1, .max = 1e6 },
    KV_CACHE_OPTION,
    { 0, "draft", OPT_CHOICE, &draft, "WHEN",
      "look tokens up in what was said (default auto)", .choices = "auto|off" },
    WEIGHTS_OPTION(weights),
    { 0, "logprobs", OPT_FLAG, &logprobs, NULL,
      "print a JSON line for each token instead of the text" },
    { 0, "top-logprobs", OPT_INT, &top_logprobs, "N",
      "with --logprobs: the N likeliest tokens at each place too",
      .max = GENERATE_TOP_MAX },
    DEVICE_OPTIONS,
    KV_OPTION,
    OPT_END,
};

struct generation {
    struct cli *cli;
    struct picked_model picked;
    struct tokenizer *tok;
    struct template *chat; /* NULL with --raw */
    struct compute *compute;
    struct model *model;
    struct token_list prompt, stops;
    struct tokenizer_stream *stream;
    struct model_sampling sampling;
    struct generate_form form;
    struct model_prefixes *prefixes;
    struct model_session_stats stats;
    size_t shared;      /* tokens that any prompt would begin with */
    struct buf request; /* of --task, in the frame of its calls */
    struct generate_stops stop;
    struct generate_logprobs logprobs;
    struct buf answer; /* where it is not printed as it comes */
    int32_t *ids;
    size_t count;
    bool begun, finished, write_failed;
};

/* A tokenizer would take other bytes for characters that nobody wrote. */
static int check_text(struct slice text, struct err *err)
{
    const char *nul = text.n ? memchr(text.p, '\0', text.n) : NULL;
    size_t at = 0, used = 0;

    if (nul)
        return err_set(err, ERR_FORMAT, "the prompt has a NUL at byte %zu",
                       (size_t)(nul - text.p) + 1);
    if (utf8_valid(text.p, text.n))
        return ERR_OK;
    while (at < text.n && utf8_decode(text.p + at, text.n - at, &used) >= 0)
        at += used;
    return err_set(err, ERR_FORMAT, "the prompt is not UTF-8 at byte %zu",
                   at + 1);
}

static int read_prompt(int argc, char **argv, struct buf *out, struct err *err)
{
    int rc = ERR_OK;

    if (!argc || strcmp(argv[0], "-") == 0)
        rc = io_read_file("-", PROMPT_MAX, out, err);
    else
        buf_str(out, argv[0]);
    /* echo's newline is no part of a message. */
    if ((!argc || strcmp(argv[0], "-") == 0) && !raw && out->len &&
        out->data[out->len - 1] == '\n')
        out->len--;
    if (rc == ERR_OK && !out->len)
        rc = err_set(err, ERR_INVALID, "the prompt is empty");
    return rc == ERR_OK ? check_text(buf_slice(out), err) : rc;
}

/* The newest call of the task that one may look at. */
struct frame {
    struct buf request;
    bool found;
};

static int keep_request(void *ctx, const struct store_example *e,
                        struct err *err)
{
    struct frame *f = ctx;

    buf_add_slice(&f->request, e->request);
    f->found = true;
    return err_set(err, ERR_INTERRUPTED, "one is enough");
}

static int load_frame(struct cli *cli, int64_t task, struct frame *f,
                      struct err *err)
{
    struct store_example_query query = { .task = task,
                                         .splits = "tv",
                                         .newest_first = true };
    struct store *s = NULL;
    int rc = cmd_store_open(cli, STORE_READ, &s, err);

    if (rc == ERR_OK)
        rc = store_examples(s, &query, keep_request, f, err);
    store_close(s);
    return f->found ? ERR_OK : rc;
}

static bool is_system(const struct json *j, json_ref message)
{
    json_ref role = json_get(j, message, "role");

    return json_text_is(j, role, "system") ||
           json_text_is(j, role, "developer");
}

/* The chat request: system turns and tools of the frame, then the prompt; and
 * what says which answers there are. */
static void build_request(const struct json *frame, struct slice prompt,
                          struct buf *out)
{
    static const char *const others[] = { "tool_choice", "parallel_tool_calls",
                                          "response_format" };
    json_ref messages = json_get(frame, 0, "messages");
    json_ref tools = json_get(frame, 0, "tools");
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_begin_array(&w, "messages");
    if (system_text && *system_text) {
        json_begin_object(&w, NULL);
        json_put_string(&w, "role", "system");
        json_put_string(&w, "content", system_text);
        json_end_object(&w);
    }
    for (json_ref e = json_first(frame, messages);
         e != JSON_NONE && !system_text && is_system(frame, e);
         e = json_next(frame, messages, e))
        json_put_raw(&w, NULL, json_raw(frame, e));
    json_begin_object(&w, NULL);
    json_put_string(&w, "role", "user");
    json_put_slice(&w, "content", prompt);
    json_end_object(&w);
    json_end_array(&w);
    if (json_is(frame, tools, JSON_ARRAY))
        json_put_raw(&w, "tools", json_raw(frame, tools));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        json_ref v = json_get(frame, 0, others[i]);

        if (json_present(v))
            json_put_raw(&w, others[i], json_raw(frame, v));
    }
    json_end_object(&w);
}

/* A prompt in the frame of the task's calls, as the model reads it. */
static int render_in(struct generation *g, const struct json *old,
                     struct slice prompt, struct buf *request, struct buf *out,
                     struct err *err)
{
    struct json j = { 0 };
    int rc;

    build_request(old, prompt, request);
    rc = json_parse(&j, request->data, request->len, err);
    if (rc == ERR_OK)
        rc = template_prompt(g->chat, &j, 0, out, err);
    json_release(&j);
    return rc;
}

/* other: what another prompt than this would make of it; nothing where nobody
 * asks, or no other can be made. */
static int render_chat(struct generation *g, struct slice prompt,
                       struct buf *out, struct buf *other, struct err *err)
{
    struct frame frame = { 0 };
    struct json old = { 0 };
    struct buf request = { 0 }, unused = { 0 };
    struct err quiet;
    const char *word = prompt.n && prompt.p[0] == 'A' ? "B" : "A";
    int rc = template_open(g->picked.dir, &g->chat, err);

    if (rc == ERR_NOTFOUND || rc == ERR_UNSUPPORTED)
        (void)err_wrap(err, "--raw continues a prompt as it is");
    if (rc == ERR_OK && g->picked.task)
        rc = load_frame(g->cli, g->picked.task, &frame, err);
    if (rc == ERR_OK && frame.found)
        rc = json_parse(&old, frame.request.data, frame.request.len, err);
    if (rc == ERR_OK)
        rc = render_in(g, &old, prompt, &request, out, err);
    if (rc == ERR_OK && frame.found)
        buf_add_slice(&g->request, buf_slice(&request));
    if (rc == ERR_OK && kv_cache_bytes > 0 &&
        render_in(g, &old, slice_of(word), &unused, other, &quiet) < 0)
        buf_reset(other);
    json_release(&old);
    buf_release(&frame.request);
    buf_release(&request);
    buf_release(&unused);
    return rc;
}

static int count_shared(struct generation *g, struct slice other,
                        struct err *err)
{
    struct token_list ids = { 0 };
    int rc = tokenizer_encode(g->tok, other, 0, &ids, NULL, err);

    while (g->shared < ids.count && g->shared < g->prompt.count &&
           ids.ids[g->shared] == g->prompt.ids[g->shared])
        g->shared++;
    token_list_release(&ids);
    return rc;
}

static int encode_prompt(struct generation *g, struct slice prompt,
                         struct err *err)
{
    struct buf text = { 0 }, other = { 0 };
    int32_t stop;
    int rc = tokenizer_open(g->picked.dir, &g->tok, err);

    if (rc < 0)
        return rc;
    if (raw)
        return tokenizer_encode(g->tok, prompt, TOKENIZER_SPECIAL, &g->prompt,
                                NULL, err);
    rc = render_chat(g, prompt, &text, &other, err);
    if (rc == ERR_OK)
        rc = tokenizer_encode(g->tok, buf_slice(&text), 0, &g->prompt, NULL,
                              err);
    if (rc == ERR_OK && other.len)
        rc = count_shared(g, buf_slice(&other), err);
    buf_release(&text);
    buf_release(&other);
    if (rc < 0)
        return rc;
    stop = tokenizer_id(g->tok, template_stop(g->chat));
    if (stop >= 0)
        token_list_add(&g->stops, stop);
    return ERR_OK;
}

/* The form that eval judges the task's model with. */
static int task_form(struct generation *g, struct err *err)
{
    struct store *s = NULL;
    struct json j = { 0 };
    int rc = constrain_vocab_new(g->tok, &g->form.vocab, err);

    if (rc == ERR_OK)
        rc = cmd_store_open(g->cli, STORE_READ, &s, err);
    if (rc == ERR_OK)
        rc = json_parse(&j, g->request.data, g->request.len, err);
    if (rc == ERR_OK)
        rc = evaluate_task_form(s, g->picked.task, g->chat, g->form.vocab, &j,
                                &g->form.form, err);
    json_release(&j);
    store_close(s);
    return rc;
}

static int prepare(struct generation *g, struct err *err)
{
    struct model_config config;
    int rc;

    g->sampling =
        (struct model_sampling){ .temperature = temperature,
                                 .top_p = top_p > 0 ? top_p : DBL_MIN,
                                 .min_p = min_p,
                                 .top_k = top_k,
                                 .repetition =
                                     penalty > 1 || penalty < 1 ? penalty : 0,
                                 .seed = g->cli->seed };
    rc = model_config_read(g->picked.dir, &config, err);
    if (rc == ERR_OK)
        rc = generate_config_read(g->picked.dir, sample, (int32_t)config.vocab,
                                  &g->stops, &g->sampling, err);
    if (rc == ERR_OK)
        rc = generate_form_open(g->tok, schema_file, labels, regex, &g->form,
                                err);
    if (rc == ERR_OK && !g->form.form && g->request.len &&
        strcmp(constrain, "auto") == 0)
        rc = task_form(g, err);
    if (rc == ERR_OK && g->form.form && stop_texts.count)
        rc = err_set(err, ERR_INVALID,
                     "--stop would cut an answer that --task keeps to a form; "
                     "--constrain off leaves it free");
    return rc < 0 ? rc : device_open(g->cli, NULL, &g->compute, err);
}

static int load(struct generation *g, struct err *err)
{
    int rc =
        model_load_kept(g->picked.dir, g->picked.adapter, g->compute,
                        pick_kept(weights, g->picked.kept), &g->model, err);

    if (rc == ERR_OK) {
        g->prefixes = kv_cache_open(g->cli, NULL);
        model_prefixes_use(g->model, g->prefixes);
    }
    return rc;
}

/* The end of the prompt goes through the stream too, so that the answer's
 * first token is not taken for the start of a text. With a form it is one. */
static void begin_stream(struct generation *g)
{
    size_t from = g->form.form                ? g->prompt.count
                  : g->prompt.count > LEAD_IN ? g->prompt.count - LEAD_IN
                                              : 0;
    struct buf lead = { 0 };

    g->stream = tokenizer_stream_new(g->tok, true);
    for (size_t i = from; i < g->prompt.count; i++)
        tokenizer_stream_add(g->stream, g->prompt.ids[i], &lead);
    buf_release(&lead);
}

static bool is_streaming(const struct generation *g)
{
    return !logprobs && !g->cli->json;
}

static void put_text(struct generation *g, const struct buf *text)
{
    if (text->len && !g->write_failed)
        g->write_failed = cli_write(g->cli, text) != EXIT_DONE;
}

/* What is new of the answer after a token. */
static void next_text(struct generation *g, int32_t id, struct buf *out)
{
    struct buf text = { 0 };

    tokenizer_stream_add(g->stream, id, &text);
    generate_stops_add(&g->stop, buf_slice(&text), out);
    buf_release(&text);
}

static void last_text(struct generation *g, struct buf *out)
{
    struct buf text = { 0 };

    tokenizer_stream_end(g->stream, &text);
    generate_stops_add(&g->stop, buf_slice(&text), out);
    generate_stops_end(&g->stop, out);
    buf_release(&text);
}

static int on_token(void *ctx, int32_t id)
{
    struct generation *g = ctx;
    struct buf text = { 0 };

    g->begun = true;
    next_text(g, id, &text);
    if (is_streaming(g))
        put_text(g, &text);
    else
        buf_add_slice(&g->answer, buf_slice(&text));
    buf_release(&text);
    return g->stop.found || g->write_failed || stop_requested();
}

static int generate(struct generation *g, struct err *err)
{
    struct model_sampling *opt = &g->sampling;
    int rc;

    opt->max_tokens = (size_t)max_tokens;
    opt->stops = g->stops.ids;
    opt->stop_count = g->stops.count;
    opt->form = g->form.form;
    opt->shared = g->shared;
    opt->plain = strcmp(draft, "off") == 0;
    opt->told = &g->stats;
    g->stop.texts = stop_texts;
    g->logprobs.top = (size_t)top_logprobs;
    g->logprobs.vocab = (size_t)model_config(g->model)->vocab;
    if (logprobs) {
        opt->on_choice = generate_logprobs_take;
        opt->choice_ctx = &g->logprobs;
    }
    g->ids = mem_array((size_t)max_tokens, sizeof(*g->ids));
    begin_stream(g);
    rc = model_generate(g->model, g->prompt.ids, g->prompt.count, opt, on_token,
                        g, g->ids, &g->count, &g->finished, NULL, err);
    if (rc == ERR_FORMAT)
        rc = err_wrap(err, "%s%s%s", g->picked.dir,
                      g->picked.adapter ? " with adapter " : "",
                      g->picked.adapter ? g->picked.adapter : "");
    g->finished |= g->stop.found;
    if (rc == ERR_OK && stop_requested() && !g->write_failed)
        rc = err_set(err, ERR_INTERRUPTED, "interrupted after %zu tokens",
                     g->count);
    return rc;
}

static int load_and_generate(struct generation *g, struct err *err)
{
    int rc = load(g, err);

    return rc < 0 ? rc : generate(g, err);
}

static void model_drop(struct generation *g)
{
    tokenizer_stream_free(g->stream);
    model_free(g->model);
    model_prefixes_close(g->prefixes);
    free(g->ids);
    g->stream = NULL;
    g->model = NULL;
    g->prefixes = NULL;
    g->ids = NULL;
}

/* On the CPU, if "auto" took a GPU on which it does not fit. */
static int answer(struct generation *g, struct err *err)
{
    int rc = load_and_generate(g, err);

    if (rc < 0 && !g->begun && device_falls_back(g->compute, err)) {
        model_drop(g);
        rc = device_fall_back(g->cli, &g->compute, err);
        if (rc == ERR_OK)
            rc = load_and_generate(g, err);
    }
    return rc < 0 ? device_advise(
                        g->compute, err,
                        "a shorter prompt, a smaller -n, --kv int8, --weights "
                        "q8_0 or q4_0 take less, --device cpu none")
                  : rc;
}

/* What a token would add; nothing for a special one or a part of a character.
 */
static void put_own_text(struct json_writer *w, const struct tokenizer *t,
                         int32_t id)
{
    struct buf text = { 0 };

    if (!tokenizer_bytes(t, id, &text) || !utf8_valid(text.data, text.len))
        buf_reset(&text);
    json_put_slice(w, "text", buf_slice(&text));
    buf_release(&text);
}

static void put_token(struct generation *g, size_t i, struct slice text,
                      struct buf *out)
{
    const struct generate_logprobs *l = &g->logprobs;
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_put_int(&w, "id", g->ids[i]);
    json_put_slice(&w, "text", text);
    generate_logprobs_put(&w, g->tok, g->ids[i], l->chosen[i]);
    if (l->top > 0)
        json_begin_array(&w, "top_logprobs");
    for (size_t k = i * l->top;
         k < (i + 1) * l->top && k < i * l->top + l->vocab; k++) {
        json_begin_object(&w, NULL);
        json_put_int(&w, "id", l->ids[k]);
        json_put_string(&w, "token", tokenizer_token(g->tok, l->ids[k]));
        put_own_text(&w, g->tok, l->ids[k]);
        generate_logprobs_put(&w, g->tok, l->ids[k], l->values[k]);
        json_end_object(&w);
    }
    if (l->top > 0)
        json_end_array(&w);
    json_end_object(&w);
    buf_char(out, '\n');
}

/* The tokens of the answer, with their own texts; of one in which a stop
 * begins, what comes before it. */
static void print_logprobs(struct generation *g)
{
    struct buf out = { 0 }, piece = { 0 };
    size_t left = g->stop.found ? g->answer.len : SIZE_MAX;

    tokenizer_stream_free(g->stream);
    begin_stream(g);
    for (size_t i = 0; i < g->count && left > 0; i++) {
        buf_reset(&piece);
        tokenizer_stream_add(g->stream, g->ids[i], &piece);
        if (i + 1 == g->count)
            tokenizer_stream_end(g->stream, &piece);
        if (piece.len > left)
            piece.len = left;
        left -= piece.len;
        put_token(g, i, buf_slice(&piece), &out);
    }
    put_text(g, &out);
    buf_release(&out);
    buf_release(&piece);
}

static int print_json(struct generation *g, struct err *err)
{
    struct buf text = { 0 }, message = { 0 }, out = { 0 }, whole = { 0 };
    bool malformed = false;
    struct json_writer w;
    int rc = ERR_OK;

    buf_add_slice(&text, buf_slice(&g->answer));
    last_text(g, &text);
    if (g->chat && !g->stop.found)
        template_answer_text(g->chat, g->tok, g->ids, g->count, &whole);
    else
        buf_add_slice(&whole, buf_slice(&text));
    if (g->chat)
        rc = template_parse(g->chat, buf_slice(&whole), &message, &malformed,
                            err);
    if (rc < 0)
        goto done;
    json_writer_init(&w, &out, false);
    json_begin_document(&w, "slmctl.generate/1");
    json_put_slice(&w, "text", buf_slice(&text));
    if (g->chat) {
        json_put_raw(&w, "message", buf_slice(&message));
        json_put_bool(&w, "malformed", malformed);
    }
    json_put_string(&w, "finish_reason", g->finished ? "stop" : "length");
    json_put_int(&w, "prompt_tokens", (int64_t)g->prompt.count);
    json_put_int(&w, "cached_tokens", (int64_t)g->stats.cached_tokens);
    json_put_int(&w, "completion_tokens", (int64_t)g->count);
    json_put_int(&w, "drafted_tokens", (int64_t)g->stats.drafted);
    json_put_int(&w, "accepted_tokens", (int64_t)g->stats.accepted);
    json_end_object(&w);
    buf_char(&out, '\n');
    put_text(g, &out);
done:
    buf_release(&text);
    buf_release(&message);
    buf_release(&out);
    buf_release(&whole);
    return rc;
}

static int print_rest(struct generation *g, struct err *err)
{
    struct buf text = { 0 };

    if (g->cli->json)
        return print_json(g, err);
    if (logprobs) {
        print_logprobs(g);
        return ERR_OK;
    }
    last_text(g, &text);
    if (g->cli->tty_out)
        buf_char(&text, '\n');
    put_text(g, &text);
    buf_release(&text);
    return ERR_OK;
}

static void generation_release(struct generation *g)
{
    model_drop(g);
    generate_form_release(&g->form);
    generate_logprobs_release(&g->logprobs);
    buf_release(&g->stop.held);
    buf_release(&g->answer);
    buf_release(&g->request);
    compute_close(g->compute);
    template_free(g->chat);
    tokenizer_free(g->tok);
    token_list_release(&g->prompt);
    token_list_release(&g->stops);
    picked_model_release(&g->picked);
}

static int form_given(void)
{
    return !!schema_file + !!labels + !!regex;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct generation g = { .cli = cli };
    struct buf prompt;
    struct err err;
    int rc;

    if (raw && system_text)
        return cli_usage(cli, "--raw has no place for --system");
    if (cli->json && logprobs)
        return cli_usage(cli, "--logprobs prints JSON lines already; leave "
                              "--json out");
    if (top_logprobs && !logprobs)
        return cli_usage(cli, "--top-logprobs needs --logprobs");
    if (form_given() > 1)
        return cli_usage(cli, "--schema, --labels and --regex: give one");
    if (form_given() && stop_texts.count)
        return cli_usage(cli, "--stop would cut an answer of --schema, "
                              "--labels or --regex, which ends by itself");
    if (!argc && isatty(STDIN_FILENO))
        return cli_usage(cli, "there is no prompt: give it as an operand or on "
                              "standard input");
    buf_init(&prompt, 0);
    rc = pick_model(cli, model_name, adapter_dir, task_name, &g.picked, &err);
    if (rc == ERR_OK)
        rc = read_prompt(argc, argv, &prompt, &err);
    if (rc == ERR_OK)
        rc = encode_prompt(&g, buf_slice(&prompt), &err);
    if (rc == ERR_OK)
        rc = prepare(&g, &err);
    if (rc == ERR_OK)
        rc = answer(&g, &err);
    if (rc == ERR_OK)
        rc = print_rest(&g, &err);
    if (rc == ERR_OK && form_given() && !g.finished && !g.write_failed)
        rc = err_set(&err, ERR_LIMIT,
                     "the answer is not complete after %zu tokens: give more "
                     "with --max-tokens",
                     g.count);
    rc = rc < 0           ? cli_fail(cli, &err)
         : g.write_failed ? EXIT_OUTPUT
                          : EXIT_DONE;
    buf_release(&prompt);
    generation_release(&g);
    return rc;
}

const struct command cmd_generate = {
    .name = "generate",
    .summary = "run a model from the shell",
    .operands = "[PROMPT|-]",
    .max_operands = 1,
    .options = options,
    .common = CLI_STORE | CLI_JSON | CLI_QUIET | CLI_THREADS | CLI_SEED,
    .run = run,
};
