/*
 * cmd_model_convert.c - slmctl model convert and merge
 *
 * Both write a model, load it anew through the reader that everybody uses,
 * and compare its logits with those of the model it was made from. What does
 * not agree is marked bad and the exit status says so.
 */
#include "cmd_model.h"
#include "device.h"
#include "model_artifact.h"
#include "pick_model.h"
#include "store_opening.h"

#include "base/io.h"
#include "base/mem.h"
#include "lora/lora.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *to_format, *to_type, *output, *prompts_file, *adapter_dir;
static const char *base_dir;
static int64_t shard_size = (int64_t)5 << 30;
static double max_kl = -1, max_drop = ARTIFACT_DROP;
static const char *task_name;
static int64_t examples = ARTIFACT_EXAMPLES;

#define SCORE_SEED 1 /* of the fillings that queries run on */

#define OUTPUT_OPTIONS                                                         \
    { 'o',                                                                     \
      "output",                                                                \
      OPT_STRING,                                                              \
      &output,                                                                 \
      "PATH",                                                                  \
      "what to write",                                                         \
      .complete = COMPLETE_FILE,                                               \
      .required = true },                                                      \
        { 0,                                                                   \
          "shard-size",                                                        \
          OPT_BYTES,                                                           \
          &shard_size,                                                         \
          "SIZE",                                                              \
          "safetensors: bytes of data in one file at most, 0 for one file",    \
          .min = 0,                                                            \
          .max = 1e15 },                                                       \
        { 0,                                                                   \
          "prompts",                                                           \
          OPT_STRING,                                                          \
          &prompts_file,                                                       \
          "FILE",                                                              \
          "compare on these lines instead of built-in ones",                   \
          .complete = COMPLETE_FILE },                                         \
        { 't',                                                                 \
          "task",                                                              \
          OPT_STRING,                                                          \
          &task_name,                                                          \
          "TASK",                                                              \
          "compare scores on this task's validation examples too",             \
          .complete = COMPLETE_TASK },                                         \
        { 0,        "examples",                                                \
          OPT_INT,  &examples,                                                 \
          "N",      "at most so many of them; 0: none",                        \
          .min = 0, .max = EVALUATE_MAX_ITEMS },                               \
        { 0,         "max-drop", OPT_DOUBLE,                                   \
          &max_drop, "POINTS",   "largest loss of score that passes",          \
          .min = 0,  .max = 100 },                                             \
    {                                                                          \
        0, "max-kl", OPT_DOUBLE, &max_kl, "X",                                 \
            "largest mean KL divergence that passes (default by type)",        \
            .min = 0, .max = 100                                               \
    }

static const struct opt convert_options[] = {
    { 0, "to", OPT_CHOICE, &to_format, "FORMAT", "format to write",
      .choices = "gguf|safetensors" },
    { 0, "type", OPT_STRING, &to_type, "TYPE",
      "type of matrices: F32, F16, BF16; GGUF also Q8_0, Q4_0, Q4_K, Q6_K" },
    { 0, "base", OPT_STRING, &base_dir, "DIR",
      "of an adapter: the model it is for", .complete = COMPLETE_DIR },
    OUTPUT_OPTIONS,
    DEVICE_OPTIONS,
    OPT_END,
};

static const struct opt merge_options[] = {
    { 0, "adapter", OPT_STRING, &adapter_dir, "DIR", "PEFT adapter to merge",
      .complete = COMPLETE_DIR, .required = true },
    { 0, "type", OPT_STRING, &to_type, "TYPE",
      "type of the weights: F32, F16 or BF16 (default as stored)" },
    OUTPUT_OPTIONS,
    DEVICE_OPTIONS,
    OPT_END,
};

struct job {
    struct cli *cli;
    struct picked_model picked;
    struct compute *compute;
    struct artifact_prompts prompts;
    float *before;
    size_t vocab;
    bool gguf;
    enum weights_type type;
    struct artifact_report report;
    struct artifact_score score;
    struct io_tree tree; /* a directory until it agrees */
    char *bad;
};

static bool is_float(enum weights_type t)
{
    return t == WEIGHTS_F32 || t == WEIGHTS_F16 || t == WEIGHTS_BF16;
}

/* --type, or what the model has. */
static int choose_type(struct job *j, struct err *err)
{
    struct model_config c;
    int rc = model_config_read(j->picked.dir, &c, err);

    if (rc < 0)
        return rc;
    j->type = is_float(c.stored) ? c.stored : WEIGHTS_F32;
    if (!to_type)
        return ERR_OK;
    if (!weights_gguf_type(to_type, &j->type) ||
        (!j->gguf && !is_float(j->type)))
        return err_set(err, ERR_INVALID,
                       "--type %s is not known; known: F32 F16 BF16%s", to_type,
                       j->gguf ? " Q8_0 Q4_0 Q4_K Q6_K" : "");
    return ERR_OK;
}

/* The model as it is before anything is written, and its logits. */
static int open_before(struct job *j, struct model **m, struct err *err)
{
    int rc = model_open(j->picked.dir, j->compute, true, m, err);

    if (rc == ERR_OK && j->picked.adapter)
        rc = model_adapter_load(*m, j->picked.adapter, err);
    if (rc == ERR_OK && j->picked.adapter)
        rc = model_adapter_merge(*m, err);
    if (rc < 0)
        return rc;
    j->vocab = (size_t)model_config(*m)->vocab;
    rc = artifact_prompts_read(j->picked.dir, model_config(*m), prompts_file,
                               &j->prompts, err);
    if (rc == ERR_OK)
        rc = artifact_logits(*m, &j->prompts, &j->before, err);
    if (rc == ERR_FORMAT)
        rc = err_wrap(err, "%s%s%s", j->picked.dir,
                      j->picked.adapter ? " with adapter " : "",
                      j->picked.adapter ? j->picked.adapter : "");
    if (rc == ERR_OK)
        rc = artifact_score_before(&j->score, *m, j->picked.dir, err);
    return rc;
}

#define TAKES_LESS "fewer and shorter --prompts take less, --device cpu none"

static void close_before(struct job *j, struct model **m)
{
    model_free(*m);
    artifact_prompts_release(&j->prompts);
    free(j->before);
    *m = NULL;
    j->prompts = (struct artifact_prompts){ 0 };
    j->before = NULL;
}

/* The task that is named, or that a registered model is for; 0: none. */
static int find_task(const struct job *j, struct store *s, int64_t *task,
                     struct err *err)
{
    struct sql_stmt *q;
    int rc;

    if (task_name)
        return store_task_find(s, task_name, task, err);
    rc = sql_get(store_sql(s),
                 "SELECT coalesce(task, 0) FROM model WHERE id = ?", &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, j->picked.id);
    rc = sql_step(q, err);
    if (rc == 1)
        *task = sql_int(q, 0);
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

/* Weights that lose bits may lose the task; others are scored where one asks
 * for it. */
static int open_score(struct job *j, struct err *err)
{
    struct store *s = NULL;
    int64_t task = 0;
    int rc;

    j->score.limit = max_drop;
    if (!examples || !(task_name || (j->picked.id && !is_float(j->type))))
        return ERR_OK;
    rc = cmd_store_open(j->cli, STORE_READ, &s, err);
    if (rc == ERR_OK)
        rc = find_task(j, s, &task, err);
    if (rc == ERR_OK && task)
        rc = artifact_score_open(s, task, (size_t)examples, SCORE_SEED,
                                 &j->score, err);
    if (rc == ERR_NOTFOUND && task && !task_name) {
        cli_note(j->cli, "%s: its score is not compared", err->msg);
        rc = ERR_OK;
    }
    store_close(s);
    return rc;
}

/* On the CPU, if "auto" took a GPU on which it does not fit. */
static int open_where_it_fits(struct job *j, struct model **m, struct err *err)
{
    int rc = open_score(j, err);

    if (rc == ERR_OK)
        rc = open_before(j, m, err);
    if (rc < 0 && device_falls_back(j->compute, err)) {
        close_before(j, m);
        artifact_score_release(&j->score);
        j->score = (struct artifact_score){ 0 };
        rc = device_fall_back(j->cli, &j->compute, err);
        if (rc == ERR_OK)
            rc = open_score(j, err);
        if (rc == ERR_OK)
            rc = open_before(j, m, err);
    }
    return rc < 0 ? device_advise(j->compute, err, TAKES_LESS) : rc;
}

static int write_directory(struct job *j, struct model *m, struct err *err)
{
    int rc = io_tree_begin(&j->tree, output, artifact_nothing_goes, err);

    if (rc == ERR_OK)
        rc =
            model_save_shards(m, j->tree.dir, j->type, (size_t)shard_size, err);
    return rc == ERR_OK ? lora_copy_parts(j->picked.dir, j->tree.dir, err) : rc;
}

/* What runs Phi-3 out of GGUF takes all positions for its window. */
static void warn_of_window(const struct job *j, const struct model_config *c)
{
    if (j->gguf && strcmp(c->family, "phi3") == 0 && c->window &&
        c->window < c->context)
        cli_warn(j->cli,
                 "llama.cpp ignores this model's window of %lld positions: "
                 "beyond them its answers differ",
                 (long long)c->window);
}

static int write_gguf(const struct job *j, struct err *err)
{
    const char *slash = strrchr(j->picked.dir, '/');
    struct weights_gguf opt = { .type = j->type, .threads = j->cli->threads };

    opt.name = slash && slash[1] ? slash + 1 : j->picked.dir;
    return weights_gguf_write(j->picked.dir, &opt, output, err);
}

static int read_back(struct job *j, const char *written, struct err *err)
{
    struct artifact_source s = {
        .compute = j->compute, .dir = written, .widen = true, .score = &j->score
    };
    int rc = artifact_read_back(&s, &j->prompts, j->before, j->vocab,
                                &j->report, err);

    return rc == ERR_OK ? artifact_compare_tokens(j->picked.dir, written, err)
                        : rc;
}

/* 1: it agrees, 0: it does not and has been marked. */
static int judge(struct job *j, struct err *err)
{
    double limit = max_kl >= 0 ? max_kl : artifact_threshold(j->type);
    const char *written = j->gguf ? output : j->tree.dir;
    int rc = read_back(j, written, err);

    if (rc == ERR_OK && artifact_agrees(&j->report, limit) &&
        artifact_score_agrees(&j->score))
        return j->gguf || (rc = io_tree_publish(&j->tree, err)) == ERR_OK ? 1
                                                                          : rc;
    if (rc < 0) {
        struct err own;

        if (artifact_mark_bad(written, output, &j->bad, &own) == ERR_OK)
            rc = err_wrap(err, "%s %s, now %s", output,
                          rc == ERR_INTERRUPTED ? "was not checked"
                                                : "does not read back",
                          j->bad);
        return rc;
    }
    return artifact_mark_bad(written, output, &j->bad, err);
}

/* What is written is read back, which a pipe or a device does not allow. */
static int check_output(const struct job *j, struct err *err)
{
    struct stat st;

    if (!j->gguf)
        return io_tree_check(output, artifact_nothing_goes, err);
    if (stat(output, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID,
                       "%s is %s; name a file, which can be read back", output,
                       S_ISDIR(st.st_mode) ? "a directory" : "no regular file");
    return ERR_OK;
}

static int work(struct job *j, struct err *err)
{
    struct model *m = NULL;
    int rc = choose_type(j, err);

    if (rc == ERR_OK)
        rc = check_output(j, err);
    if (rc == ERR_OK)
        rc = device_open(j->cli, NULL, &j->compute, err);
    if (rc == ERR_OK)
        rc = open_where_it_fits(j, &m, err);
    if (rc == ERR_OK)
        warn_of_window(j, model_config(m));
    if (rc == ERR_OK && stop_requested())
        rc = err_set(err, ERR_INTERRUPTED, "interrupted");
    if (rc == ERR_OK)
        rc = j->gguf ? write_gguf(j, err) : write_directory(j, m, err);
    model_free(m);
    return rc == ERR_OK ? judge(j, err) : rc;
}

static void print_json(const struct job *j, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_document(&w, "slmctl.model-artifact/1");
    json_put_string(&w, "path", j->bad ? j->bad : output);
    json_put_string(&w, "type", weights_type_name(j->type));
    json_put_string(&w, "verdict", j->bad ? "bad" : "ok");
    json_put_int(&w, "positions", (int64_t)j->report.positions);
    if (isfinite(j->report.largest) && isfinite(j->report.kl)) {
        json_put_double(&w, "largest", j->report.largest);
        json_put_double(&w, "kl", j->report.kl);
    }
    json_put_double(&w, "top1", j->report.top1);
    if (j->score.sample) {
        json_put_string(&w, "task", evaluate_sample_task(j->score.sample));
        json_put_int(&w, "examples", (int64_t)j->score.drop.judged);
        json_put_double(&w, "score_before", j->score.drop.before);
        json_put_double(&w, "score_after", j->score.drop.after);
    }
    json_end_object(&w);
    buf_char(out, '\n');
}

static void print_line(const struct job *j, struct buf *out)
{
    const char *written = j->bad ? j->bad : output;

    buf_printf(out, "%s: %s", written, weights_type_name(j->type));
    artifact_types_print(written, j->type, out);
    buf_printf(out,
               ", read back: largest difference %.2e, KL %.2e, same best token "
               "%.1f %% of %zu",
               j->report.largest, j->report.kl, 100 * j->report.top1,
               j->report.positions);
    artifact_score_print(&j->score, out);
    buf_char(out, '\n');
}

static int answer(struct job *j)
{
    struct buf out = { 0 };
    int rc;

    if (j->cli->json)
        print_json(j, &out);
    else if (!j->cli->quiet)
        print_line(j, &out);
    rc = cli_write(j->cli, &out);
    if (j->bad)
        cli_warn(j->cli,
                 "%s differs too much from the model it was made from: it is "
                 "now %s",
                 output, j->bad);
    buf_release(&out);
    return rc == EXIT_DONE && j->bad ? EXIT_FAILED : rc;
}

static int finish(struct job *j, int rc, struct err *err)
{
    rc = rc < 0 ? cli_fail(j->cli, err) : answer(j);
    artifact_prompts_release(&j->prompts);
    artifact_score_release(&j->score);
    io_tree_end(&j->tree);
    compute_close(j->compute);
    picked_model_release(&j->picked);
    free(j->before);
    free(j->bad);
    return rc;
}

/* adapter_config.json and no config.json. */
static bool is_adapter(const char *dir)
{
    char *own = io_path(dir, "adapter_config.json");
    char *base = io_path(dir, "config.json");
    bool is = io_exists(own) && !io_exists(base);

    free(own);
    free(base);
    return is;
}

/* The base with this adapter, and its logits. */
static int adapter_logits(struct job *j, const char *adapter, float **out,
                          struct err *err)
{
    struct model *m = NULL;
    int rc = model_open(base_dir, j->compute, true, &m, err);

    if (rc == ERR_OK)
        rc = model_adapter_load(m, adapter, err);
    if (rc == ERR_OK && !j->prompts.count) {
        j->vocab = (size_t)model_config(m)->vocab;
        rc = artifact_prompts_read(base_dir, model_config(m), prompts_file,
                                   &j->prompts, err);
    }
    if (rc == ERR_OK)
        rc = artifact_logits(m, &j->prompts, out, err);
    if (rc == ERR_FORMAT)
        rc = err_wrap(err, "%s", adapter);
    model_free(m);
    return rc;
}

static int convert_adapter(struct job *j, const char *dir, struct err *err)
{
    double limit = max_kl >= 0 ? max_kl : artifact_threshold(WEIGHTS_F32);
    float *after = NULL;
    int rc = check_output(j, err);

    j->type = WEIGHTS_F32;
    if (rc == ERR_OK)
        rc = device_open(j->cli, NULL, &j->compute, err);
    if (rc == ERR_OK)
        rc = adapter_logits(j, dir, &j->before, err);
    if (rc < 0 && device_falls_back(j->compute, err)) {
        struct model *none = NULL;

        close_before(j, &none);
        rc = device_fall_back(j->cli, &j->compute, err);
        if (rc == ERR_OK)
            rc = adapter_logits(j, dir, &j->before, err);
    }
    if (rc < 0)
        rc = device_advise(j->compute, err, TAKES_LESS);
    if (rc == ERR_OK)
        rc = weights_gguf_adapter(dir, base_dir, output, err);
    if (rc == ERR_OK)
        rc = adapter_logits(j, output, &after, err);
    if (rc == ERR_OK)
        artifact_compare(&j->prompts, j->vocab, j->before, after, &j->report);
    free(after);
    if (rc == ERR_OK && !artifact_agrees(&j->report, limit))
        rc = artifact_mark_bad(output, output, &j->bad, err);
    return rc;
}

static int run_convert(struct cli *cli, int argc, char **argv)
{
    struct job j = { .cli = cli, .gguf = true };
    struct err err;
    int rc;

    (void)argc;
    if (!device_choice.device)
        device_choice.device = "cpu";
    j.gguf = !to_format || strcmp(to_format, "gguf") == 0;
    if (j.gguf && is_adapter(argv[0])) {
        if (!base_dir)
            return cli_usage(
                cli, "%s is an adapter: name its model with --base", argv[0]);
        return finish(&j, convert_adapter(&j, argv[0], &err), &err);
    }
    if (base_dir)
        return cli_usage(cli, "--base is for an adapter that becomes GGUF");
    rc = pick_model(cli, argv[0], NULL, NULL, &j.picked, &err);
    if (rc == ERR_OK && j.picked.adapter && j.gguf)
        rc = err_set(&err, ERR_INVALID,
                     "%s has an adapter; slmctl model merge makes one model "
                     "of both",
                     argv[0]);
    if (rc == ERR_OK)
        rc = work(&j, &err);
    return finish(&j, rc, &err);
}

static int run_merge(struct cli *cli, int argc, char **argv)
{
    struct job j = { .cli = cli };
    struct err err;
    int rc;

    (void)argc;
    if (!device_choice.device)
        device_choice.device = "cpu";
    rc = pick_model(cli, argv[0], adapter_dir, NULL, &j.picked, &err);
    if (rc == ERR_OK)
        rc = work(&j, &err);
    return finish(&j, rc, &err);
}

const struct command model_convert = {
    .name = "convert",
    .summary = "write a model in another format or type, and check it",
    .operands = "DIR|NAME",
    .min_operands = 1,
    .max_operands = 1,
    .options = convert_options,
    .common = CLI_STORE | CLI_JSON | CLI_QUIET | CLI_THREADS,
    .complete = COMPLETE_MODEL,
    .run = run_convert,
};

const struct command model_merge = {
    .name = "merge",
    .summary = "write a model with its adapter merged in, and check it",
    .operands = "DIR|NAME",
    .min_operands = 1,
    .max_operands = 1,
    .options = merge_options,
    .common = CLI_STORE | CLI_JSON | CLI_QUIET | CLI_THREADS,
    .complete = COMPLETE_MODEL,
    .run = run_merge,
};
