/*
 * finetune_try.c - finetune --try: what a base would be worth, measured
 *
 * A short training on the newest examples, then the task's own metric on
 * validation examples, the speed of single answers and the memory that all of
 * it took. Nothing is entered in the store and nothing is left on the disk.
 */
#include "finetune_try.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCORED 100 /* validation examples */
#define PROMPT 256 /* tokens of the prompt whose answer is timed */
#define ANSWER 64  /* tokens of that answer */
#define REPEATS 3  /* of which the median counts */
#define HELD 16384 /* tokens that validate while it trains */
#define MIN_HELD 8

/* What was found. */
struct trial {
    size_t scored, judged;
    double score; /* NaN: none was judged */
    struct score_interval interval;
    double answer_tokens_s, prompt_tokens_s; /* NaN: not measured */
    size_t peak;                             /* bytes, training included */
};

static int score(struct task *t, struct trial *out, struct err *err)
{
    struct evaluate_sample *sample = NULL;
    double *scores = NULL, sum = 0;
    int rc = evaluate_sample_open(t->store, t->id, SCORED, t->cli->seed,
                                  &sample, err);

    if (rc < 0)
        return rc;
    out->scored = evaluate_sample_count(sample);
    scores = mem_array(out->scored + 1, sizeof(*scores));
    rc = evaluate_sample_run(sample, t->model, t->base.path, scores, err);
    for (size_t i = 0; rc == 0 && i < out->scored; i++)
        if (!isnan(scores[i])) {
            sum += scores[i];
            out->judged++;
        }
    if (out->judged > 0)
        out->score = sum / (double)out->judged;
    out->interval = score_wilson(sum, (double)out->judged, SCORE_LEVEL);
    free(scores);
    evaluate_sample_close(sample);
    return rc;
}

static int note_first(void *ctx, int32_t id)
{
    int64_t *first = ctx;

    (void)id;
    if (*first == 0)
        *first = clock_mono_ns();
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* One answer at a time, as a user waits for it. */
static int time_answers(struct task *t, struct trial *out, struct err *err)
{
    struct model_sampling opt = { .max_tokens = ANSWER, .ignore_eos = true };
    double prompts[REPEATS], answers[REPEATS];
    int32_t ids[ANSWER + 1];
    size_t room = (size_t)t->context - ANSWER, n = PROMPT, count = 0;
    int rc = 0;

    if (t->context < 2 * ANSWER)
        return 0;
    n = n < room ? n : room;
    n = n < t->train.tokens ? n : t->train.tokens;
    for (int i = 0; rc == 0 && i < REPEATS; i++) {
        int64_t began = clock_mono_ns(), first = 0, ended;
        bool finished;

        rc = model_generate(t->model, t->train.ids, n, &opt, note_first, &first,
                            ids, &count, &finished, NULL, err);
        ended = clock_mono_ns();
        prompts[i] = (double)n * 1e9 / (double)(first - began + 1);
        answers[i] = ((double)count - 1) * 1e9 / (double)(ended - first + 1);
    }
    if (rc < 0 || count < 2)
        return rc;
    qsort(prompts, REPEATS, sizeof(*prompts), by_value);
    qsort(answers, REPEATS, sizeof(*answers), by_value);
    out->prompt_tokens_s = prompts[REPEATS / 2];
    out->answer_tokens_s = answers[REPEATS / 2];
    return 0;
}

static void put_known(struct json_writer *w, const char *key, double v)
{
    if (isnan(v))
        json_put_null(w, key);
    else
        json_put_double(w, key, v);
}

static void write_json(const struct task *t, const struct trial *r,
                       struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.finetune-try/1");
    json_put_string(&w, "task", t->name);
    json_put_string(&w, "base", t->base.name);
    json_put_string(&w, "method", t->f->method);
    json_put_int(&w, "examples", (int64_t)t->train.docs);
    json_put_double(&w, "minutes", t->f->minutes);
    finetune_write_result(&w, &t->result);
    json_begin_object(&w, "validation");
    json_put_string(&w, "metric", score_metric_name(t->kind));
    json_put_int(&w, "items", (int64_t)r->scored);
    json_put_int(&w, "judged", (int64_t)r->judged);
    put_known(&w, "score", r->score);
    json_begin_array(&w, "interval");
    json_put_double(&w, NULL, r->interval.low);
    json_put_double(&w, NULL, r->interval.high);
    json_end_array(&w);
    json_end_object(&w);
    put_known(&w, "answer_tokens_per_s", r->answer_tokens_s);
    put_known(&w, "prompt_tokens_per_s", r->prompt_tokens_s);
    json_put_int(&w, "peak_bytes", (int64_t)r->peak);
    json_end_object(&w);
    buf_char(out, '\n');
}

static void write_text(const struct task *t, const struct trial *r,
                       struct buf *out)
{
    buf_printf(out, "task        %s\nbase        %s\n", t->name, t->base.name);
    buf_printf(out, "trained     %zu examples, %llu tokens in %.0f s\n",
               t->train.docs, (unsigned long long)t->result.tokens,
               t->result.seconds);
    if (isnan(r->score))
        buf_printf(out, "validation  no example could be judged\n");
    else
        buf_printf(out, "validation  %s %.1f %% [%.1f, %.1f] of %zu examples\n",
                   score_metric_name(t->kind), 100 * r->score,
                   100 * r->interval.low, 100 * r->interval.high, r->judged);
    if (!isnan(r->answer_tokens_s))
        buf_printf(out,
                   "speed       %.1f tokens/s of an answer, %.0f of a prompt\n",
                   r->answer_tokens_s, r->prompt_tokens_s);
    buf_printf(out, "memory      %.0f MiB at most, training included\n",
               (double)r->peak / (1 << 20));
}

static int report(struct task *t, const struct trial *r, struct err *err)
{
    struct buf out = { 0 };
    int code;

    (t->cli->json ? write_json : write_text)(t, r, &out);
    code = cli_write(t->cli, &out);
    buf_release(&out);
    return code == EXIT_DONE ? 0 : err_set(err, ERR_OUTPUT, "write the trial");
}

/* A directory for the run alone, gone after it. */
static int run_begin(struct task *t, struct err *err)
{
    char *runs = io_path(store_dir(t->store), "runs");
    int rc = io_mkdirs(runs, 0700, err);

    t->run = mem_printf("%s/.try-XXXXXX", runs);
    if (rc == 0 && !mkdtemp(t->run))
        rc = err_set(err, ERR_IO, "make %s: %s", t->run, strerror(errno));
    if (rc < 0) {
        free(t->run);
        t->run = NULL;
    }
    free(runs);
    return rc;
}

static void run_end(const struct task *t)
{
    char *runs = io_path(store_dir(t->store), "runs");

    io_tree_remove(t->run);
    (void)rmdir(runs); /* where others have none there */
    free(runs);
}

int finetune_try(struct task *t, struct err *err)
{
    struct trial r = { .score = (double)NAN,
                       .answer_tokens_s = (double)NAN,
                       .prompt_tokens_s = (double)NAN };
    int rc;

    (void)lora_data_thin(&t->valid, HELD, MIN_HELD);
    finetune_note_reader(t->cli, &t->reader);
    rc = finetune_plan_make(&t->plan, err);
    if (rc == 0)
        rc = run_begin(t, err);
    if (rc < 0)
        return rc;
    rc = lora_train(t->model, t->compute, &t->train, &t->valid, &t->opt, t->run,
                    &t->cli->progress, &t->result, err);
    run_end(t);
    if (rc == 0)
        rc = score(t, &r, err);
    if (rc == 0)
        rc = time_answers(t, &r, err);
    cli_progress_end(t->cli);
    r.peak = lora_peak();
    return rc < 0 ? rc : report(t, &r, err);
}
