/*
 * cmd_finetune.c - trains an adapter or a model for a task, or a new model
 *
 * Training itself is in lib/lora; here are the options, their defaults by
 * method and size, and what is printed.
 */
#include "cmd.h"
#include "device.h"
#include "finetune.h"
#include "finetune_try.h"
#include "json/json.h"

#include <math.h>
#include <string.h>

static struct finetune f = {
    .method = "lora",
    .targets = "all-linear",
    .loss = "all",
    .max_length = 2048,
    .recompute = "auto",
    .over_long = "refuse",
    .decay = (double)NAN,
    .mix = (double)NAN,
};

static const struct opt options[] = {
    { 't', "task", OPT_STRING, &f.task, "TASK", "the task to train for",
      .complete = COMPLETE_TASK },
    { 0, "all", OPT_FLAG, &f.all, NULL,
      "all tasks whose examples changed since their last model" },
    { 0, "force", OPT_FLAG, &f.force, NULL,
      "train also where nothing has changed" },
    { 0, "force-masked", OPT_FLAG, &f.force_masked, NULL,
      "train also on examples with tags, masks or holes" },
    { 0, "override-terms", OPT_STRING, &f.override_terms, "REASON",
      "train though terms forbid it; the reason is written down" },
    { 'm', "model", OPT_STRING, &f.model, "NAME|DIR",
      "the base model (default: the task's best candidate that is here)",
      .complete = COMPLETE_MODEL },
    { 0, "method", OPT_CHOICE, &f.method, "METHOD",
      "what is trained (default lora)",
      .choices = "lora|rslora|dora|rslora+dora|full" },
    { 0, "adapter", OPT_STRING, &f.adapter, "DIR",
      "go on from this PEFT adapter", .complete = COMPLETE_DIR },
    { 0, "quantize", OPT_CHOICE, &f.quantize, "TYPE",
      "keep the base's weights in 4 or 8 bits while training (QLoRA)",
      .choices = "nf4|int8" },
    { 0, "teacher", OPT_STRING, &f.teacher, "NAME|DIR",
      "distil from this model; it must have the same tokenizer",
      .complete = COMPLETE_MODEL },
    { 0, "logprobs", OPT_FLAG, &f.logprobs, NULL,
      "distil from the log probabilities that logged answers carry" },
    { 0, "temperature", OPT_DOUBLE, &f.temperature, "X",
      "of --teacher and its student (default 1)", .min = 0.01, .max = 100 },
    { 0, "mix", OPT_DOUBLE, &f.mix, "X",
      "share of the teacher in the loss (default 0.5)", .min = 0, .max = 1 },
    { 0, "preference", OPT_FLAG, &f.preference, NULL,
      "train on pairs of a better and a worse answer (DPO)" },
    { 0, "beta", OPT_DOUBLE, &f.beta, "X",
      "of --preference: how near to the base to stay (default 0.1)",
      .min = 1e-6, .max = 100 },
    { 'r', "rank", OPT_INT, &f.rank, "N", "rank of the adapter (default 16)",
      .min = 1, .max = 1024 },
    { 0, "alpha", OPT_DOUBLE, &f.alpha, "X",
      "scale of the adapter is X/rank (default 2 * rank)", .min = 1e-6,
      .max = 1e6 },
    { 0, "targets", OPT_STRING, &f.targets, "LIST",
      "linear layers to adapt, by comma (default all-linear)" },
    { 0, "lr", OPT_DOUBLE, &f.lr, "X",
      "highest learning rate (default by method and size)", .min = 1e-12,
      .max = 10 },
    { 0, "epochs", OPT_DOUBLE, &f.epochs, "X",
      "passes over the data (default 3; 1 with --init)", .min = 1e-3,
      .max = 1e6 },
    { 0, "tokens", OPT_INT, &f.tokens, "N", "train on N tokens instead",
      .min = 1, .max = 1e15 },
    { 0, "minutes", OPT_DOUBLE, &f.minutes, "X",
      "train for about X minutes instead", .min = 1e-3, .max = 1e6 },
    { 0, "batch-tokens", OPT_INT, &f.batch_tokens, "N",
      "tokens of one step (default 8192; 2048 for narrow models)", .min = 1,
      .max = 1e9 },
    { 0, "pass-tokens", OPT_INT, &f.pass_tokens, "N",
      "tokens held in memory at once (default 4096, or what 1.5 GB hold)",
      .min = 1, .max = 1e9 },
    { 0, "max-length", OPT_INT, &f.max_length, "N",
      "longest example in tokens (default 2048, at most the context)", .min = 8,
      .max = 1e7 },
    { 0, "over-long", OPT_CHOICE, &f.over_long, "RULE",
      "longer examples: leave out, or drop their oldest turns (default refuse)",
      .choices = "refuse|cut" },
    { 0, "checkpoint-activations", OPT_CHOICE, &f.recompute, "WHEN",
      "compute blocks again instead of keeping them (default auto)",
      .choices = "auto|on|off" },
    { 0, "dry-run", OPT_FLAG, &f.dry_run, NULL,
      "say what would be trained, its memory and time; train nothing" },
    { 0, "try", OPT_FLAG, &f.tries, NULL,
      "train for a few minutes, measure score, speed and memory; keep "
      "nothing" },
    { 0, "examples", OPT_INT, &f.examples, "N",
      "train on the newest N examples (default all; 2000 with --try)", .min = 1,
      .max = 1e9 },
    { 0, "replay", OPT_DOUBLE, &f.replay, "X",
      "train on what is new and X times as many older examples (default all)",
      .min = 1e-3, .max = 1e6 },
    { 0, "decay", OPT_DOUBLE, &f.decay, "X",
      "weight decay (default 0.01; 0.1 with --init)", .min = -1, .max = 10 },
    { 0, "clip", OPT_DOUBLE, &f.clip, "X", "largest gradient norm (default 1)",
      .min = 1e-9, .max = 1e9 },
    { 0, "warmup", OPT_DOUBLE, &f.warmup, "X",
      "share of the steps that warm up (default 0.03)", .min = 1e-6, .max = 1 },
    { 0, "patience", OPT_INT, &f.patience, "N",
      "stop after N validations without gain (default 3; -1 never)", .min = -1,
      .max = 1e6 },
    { 0, "validate-every", OPT_INT, &f.validate_every, "N",
      "steps between validations (default an eighth of the run)", .min = 1,
      .max = 1e9 },
    { 0, "checkpoint-every", OPT_INT, &f.checkpoint_every, "N",
      "steps between checkpoints (default: one a minute)", .min = 1,
      .max = 1e9 },
    { 'o', "output", OPT_STRING, &f.output, "DIR",
      "where the result goes (default: the store's models)",
      .complete = COMPLETE_DIR },
    { 0, "run", OPT_STRING, &f.run, "DIR",
      "run directory: metrics and checkpoint (default: the store's runs)",
      .complete = COMPLETE_DIR },
    { 0, "as", OPT_STRING, &f.name, "NAME",
      "name of the model (default: task and a number)" },
    { 0, "merge", OPT_FLAG, &f.merge, NULL,
      "write a merged model beside the adapter" },
    { 0, "init", OPT_STRING, &f.init, "CONFIG|DIR",
      "train from random weights of this config.json, or on from this model",
      .complete = COMPLETE_FILE },
    { 0, "tokenizer", OPT_STRING, &f.tokenizer, "DIR",
      "with --init: the tokenizer's directory", .complete = COMPLETE_DIR },
    { 'd', "data", OPT_LIST, &f.data, "FILE",
      "with --init: texts (.jsonl, or plain with blank lines between)",
      .complete = COMPLETE_FILE },
    { 0, "validation", OPT_LIST, &f.validation, "FILE",
      "with --init: held-out texts (default: every 100th text)",
      .complete = COMPLETE_FILE },
    { 0, "loss", OPT_CHOICE, &f.loss, "PART",
      "with --init: what is trained of conversations (default all)",
      .choices = "all|answer" },
    { 0, "show-mask", OPT_INT, &f.show_mask, "N",
      "print N examples with the trained tokens marked, and train nothing",
      .min = 1, .max = 1e6 },
    { 0, "dtype", OPT_CHOICE, &f.dtype, "TYPE",
      "of written weights (default bf16 with --init, else the base's)",
      .choices = "f32|bf16|f16" },
    { 0, "cpu", OPT_CHOICE, &f.cpu, "KERNELS",
      "kernels to use (default: the best that this CPU has)",
      .choices = "generic|avx2|avxvnni|avx512|avx512vnni|neon" },
    DEVICE_OPTIONS_FOR("use at most so much memory (default 4/5 of it, a "
                       "GPU's free)"),
    OPT_END,
};

bool finetune_is_adapter(const struct finetune *o)
{
    return strcmp(o->method, "full") != 0;
}

/* Narrow models take larger steps, and smaller batches; an adapter takes
 * larger steps than all weights do. */
static double default_lr(const struct model_config *c, bool lora, bool init)
{
    double lr = 2e-4 * 2048.0 / (double)c->hidden;

    if (init)
        return lr > 4e-3 ? 4e-3 : lr;
    lr = lr > 4e-3 ? 4e-3 : lr;
    return lora ? lr : lr / 4;
}

static int64_t default_batch(const struct model_config *c, bool init)
{
    return !init && c->hidden < 512 ? 2048 : 8192;
}

/* Rows whose saved activations take about 1.5 GB. */
static int64_t default_pass(const struct model_config *c)
{
    int64_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    int64_t row = 4 * c->layers * (4 * c->hidden + 2 * q + 2 * kv + 2 * c->ffn);
    int64_t rows = ((int64_t)1536 << 20) / row;

    return rows < 256 ? 256 : rows > 4096 ? 4096 : rows;
}

/* To the trainer zero means its default, and negative none. */
static double some(double x, double otherwise)
{
    return isnan(x) ? otherwise : x > 0 ? x : -1;
}

void finetune_options(const struct finetune *o, const struct cli *cli,
                      const struct model_config *config, bool init,
                      struct lora_options *out)
{
    bool lora = !init && finetune_is_adapter(o);

    *out = (struct lora_options){
        .method = lora ? LORA_ADAPTER : LORA_FULL,
        .rank = o->rank,
        .alpha = o->alpha,
        .targets = o->targets,
        .rslora = lora && strstr(o->method, "rslora"),
        .dora = lora && strstr(o->method, "dora"),
        .lr = o->lr > 0 ? o->lr : default_lr(config, lora, init),
        .decay = some(o->decay, init ? 0.1 : 0.01),
        .clip = o->clip,
        .beta2 = init ? 0.95 : 0.999,
        .epochs = o->epochs > 0 ? o->epochs
                  : init        ? 1
                                : 3,
        .max_tokens = o->tokens,
        .minutes = o->minutes,
        .batch_tokens =
            o->batch_tokens ? o->batch_tokens : default_batch(config, init),
        .pass_tokens = o->pass_tokens ? o->pass_tokens : default_pass(config),
        .warmup = o->warmup,
        .final_lr = init ? 0.05 : 0,
        .validate_every = o->validate_every,
        .patience = o->patience ? o->patience
                    : init      ? -1
                                : 0,
        .checkpoint_every = o->checkpoint_every,
        .seed = cli->seed,
        .beta = o->beta,
        .temperature = o->temperature,
        .mix = some(o->mix, 0.5),
    };
}

static void note_methods(struct cli *cli, const struct lora_reader *r)
{
    if (r->shortened > 0)
        cli_note(cli, "%zu examples were cut at the front, by whole turns",
                 r->shortened);
    if (r->logprobs)
        cli_note(cli,
                 "%zu examples have log probabilities that fit the tokenizer, "
                 "%zu have others",
                 r->taught, r->untaught);
}

/* The reasons, where there are several. */
void finetune_note_reasons(struct cli *cli, const struct lora_reader *r)
{
    for (size_t i = 0; r->reason_count > 1 && i < r->reason_count; i++)
        cli_note(cli, "%zu left out: %s", r->reasons[i].count,
                 r->reasons[i].text);
    if (r->other_reasons > 0)
        cli_note(cli, "%zu left out for other reasons", r->other_reasons);
}

void finetune_note_reader(struct cli *cli, const struct lora_reader *r)
{
    size_t out = r->over_long + r->refused + r->malformed;

    if (out > 0)
        cli_note(cli,
                 "%zu of %zu examples left out: %zu over-long, %zu refused, "
                 "%zu malformed (first: %s)",
                 out, r->read, r->over_long, r->refused, r->malformed,
                 r->reasons[0].text);
    finetune_note_reasons(cli, r);
    note_methods(cli, r);
}

void finetune_note_outcomes(struct cli *cli, const struct finetune_outcomes *o)
{
    if (o->pairs.outcomes + o->pairs.contradictions > 0)
        cli_note(cli,
                 "%zu pairs from outcomes, %zu from contradictory answers to "
                 "the same prompt",
                 o->pairs.outcomes, o->pairs.contradictions);
    if (o->corrected > 0)
        cli_note(cli, "%zu examples have the answer of their outcome",
                 o->corrected);
    if (o->rejected > 0)
        cli_note(cli,
                 "%zu examples left out, because their outcome calls the "
                 "logged answer bad and names no better one",
                 o->rejected);
    if (o->unscrubbed > 0)
        cli_note(cli,
                 "%zu examples left out, because their outcome came after the "
                 "last slmctl curate, or could not be scrubbed",
                 o->unscrubbed);
}

static void write_reasons(struct json_writer *w, const struct lora_reader *r)
{
    json_begin_array(w, "reasons");
    for (size_t i = 0; i < r->reason_count; i++) {
        json_begin_object(w, NULL);
        json_put_string(w, "reason", r->reasons[i].text);
        json_put_int(w, "examples", (int64_t)r->reasons[i].count);
        json_end_object(w);
    }
    json_end_array(w);
    if (r->other_reasons > 0)
        json_put_int(w, "other_reasons", (int64_t)r->other_reasons);
}

void finetune_write_reader(struct json_writer *w, const struct lora_reader *r,
                           const struct finetune_outcomes *o)
{
    if (o)
        json_put_int(w, "corrected", (int64_t)o->corrected);
    if (o && o->pairs.outcomes + o->pairs.contradictions > 0) {
        json_begin_object(w, "pairs");
        json_put_int(w, "outcomes", (int64_t)o->pairs.outcomes);
        json_put_int(w, "contradictions", (int64_t)o->pairs.contradictions);
        json_end_object(w);
    }
    json_put_int(w, "shortened", (int64_t)r->shortened);
    if (r->taught + r->untaught > 0)
        json_put_int(w, "taught", (int64_t)r->taught);
    json_begin_object(w, "left_out");
    json_put_int(w, "over_long", (int64_t)r->over_long);
    json_put_int(w, "refused", (int64_t)r->refused);
    json_put_int(w, "malformed", (int64_t)r->malformed);
    if (o) {
        json_put_int(w, "rejected", (int64_t)o->rejected);
        json_put_int(w, "unscrubbed", (int64_t)o->unscrubbed);
    }
    write_reasons(w, r);
    json_end_object(w);
}

static void put_loss(struct json_writer *w, const char *key, double x)
{
    if (isnan(x))
        json_put_null(w, key);
    else
        json_put_double(w, key, x);
}

void finetune_write_result(struct json_writer *w, const struct lora_result *r)
{
    char hash[17];

    (void)snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)r->hash);
    json_put_int(w, "steps", (int64_t)r->steps);
    json_put_int(w, "tokens", (int64_t)r->tokens);
    json_put_int(w, "trained_tokens", (int64_t)r->trained_tokens);
    json_put_double(w, "train_loss", r->train_loss);
    put_loss(w, "first_loss", r->first_loss);
    put_loss(w, "best_loss", r->best_loss);
    json_put_int(w, "best_step", (int64_t)r->best_step);
    json_put_double(w, "seconds", r->seconds);
    json_put_double(w, "tokens_per_s", r->tokens_per_s);
    json_put_bool(w, "stopped_early", r->stopped_early);
    json_put_bool(w, "resumed", r->resumed);
    json_put_string(w, "hash", hash);
}

void finetune_note_result(struct cli *cli, const struct lora_result *r)
{
    char validation[96] = "", speed[96] = ", taken from the finished run";

    if (!isnan(r->best_loss))
        (void)snprintf(validation, sizeof(validation),
                       ", validation %.4f -> %.4f at step %llu%s",
                       r->first_loss, r->best_loss,
                       (unsigned long long)r->best_step,
                       r->stopped_early ? ", stopped early" : "");
    if (!r->resumed || r->tokens_per_s > 0)
        (void)snprintf(speed, sizeof(speed), " in %.0f s (%.0f tok/s)",
                       r->seconds, r->tokens_per_s);
    cli_note(cli, "%llu steps, %llu tokens%s: training loss %.4f%s",
             (unsigned long long)r->steps, (unsigned long long)r->tokens, speed,
             r->train_loss, validation);
}

int finetune_check_gain(const struct lora_result *r, struct err *err)
{
    if (isnan(r->best_loss) || r->best_step > 0 || r->steps == 0)
        return 0;
    return err_set(err, ERR_NOTFOUND,
                   "training gained nothing: the validation loss was %.4f "
                   "before it and never lower in %llu steps; no model is "
                   "written; try a lower --lr, or other examples",
                   r->first_loss, (unsigned long long)r->steps);
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct err err;
    int rc;

    (void)argc;
    (void)argv;
    rc = finetune_check_usage(cli, &f);
    if (rc != EXIT_DONE)
        return rc;
    if (f.tries && f.examples == 0)
        f.examples = FINETUNE_TRY_EXAMPLES;
    if (f.tries && !(f.minutes > 0 || f.epochs > 0 || f.tokens > 0))
        f.minutes = FINETUNE_TRY_MINUTES;
    rc = f.init ? finetune_init(cli, &f, &err) : finetune_tasks(cli, &f, &err);
    return rc < 0 ? cli_fail(cli, &err) : rc;
}

const struct command cmd_finetune = {
    .name = "finetune",
    .summary = "train an adapter or a model for a task",
    .operands = "",
    .options = options,
    .common = CLI_STORE | CLI_JSON | CLI_QUIET | CLI_PROGRESS | CLI_THREADS |
              CLI_SEED,
    .run = run,
};
