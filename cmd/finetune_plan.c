/*
 * finetune_plan.c - lengths, memory and time of a run before it begins
 *
 * Without --max-memory a run on the CPU may take four fifths of the machine's
 * memory. Computing blocks again does not change a bit, so it is chosen
 * freely; smaller passes change the order of sums, so that is told.
 */
#include "finetune_plan.h"
#include "device.h"

#include "base/clock.h"
#include "base/mem.h"
#include "json/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMED_ROWS 1024    /* of the pass that measures speed, at most */
#define SHORTEST 64        /* documents that are worth advising */
#define GRAIN ((size_t)16) /* tokens */

static bool on_cpu(const struct finetune_plan *p)
{
    return strcmp(model_compute(p->model)->device, "cpu") == 0;
}

static size_t memory_limit(const struct finetune_plan *p)
{
    size_t machine =
        (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);

    if (!on_cpu(p))
        return model_compute(p->model)->limit;
    if (device_choice.max_memory > 0)
        return (size_t)device_choice.max_memory;
    return machine / 5 * 4;
}

static void estimate(struct finetune_plan *p, bool recompute)
{
    p->recompute = recompute;
    model_recompute(p->model, recompute);
    lora_memory(p->model, p->train, p->valid, p->opt, &p->memory);
}

static size_t longest(const struct lora_data *d)
{
    size_t n = 0;

    for (size_t i = 0; i < d->docs; i++)
        if (d->starts[i + 1] - d->starts[i] > n)
            n = d->starts[i + 1] - d->starts[i];
    return n;
}

static void choose(struct finetune_plan *p)
{
    const char *mode = p->f->recompute;
    int64_t least = (int64_t)longest(p->train);

    estimate(p, strcmp(mode, "on") == 0);
    if (p->memory.total > p->limit && strcmp(mode, "auto") == 0)
        estimate(p, true);
    while (p->memory.total > p->limit && p->opt->pass_tokens > least) {
        int64_t half = (int64_t)p->memory.rows / 2;

        p->opt->pass_tokens = half > least ? half : least;
        estimate(p, p->recompute);
    }
}

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* Training is over when merging begins. */
static size_t needed(const struct finetune_plan *p)
{
    size_t merging = p->merging ? p->merging + p->memory.program : 0;

    return merging > p->memory.total ? merging : p->memory.total;
}

/* What the longest item takes alone, its documents cut to n tokens, blocks
 * computed again if that is not refused. */
static size_t when_cut(const struct finetune_plan *p, size_t n)
{
    const struct lora_data *d = p->train->docs ? p->train : p->valid;
    size_t unit = d->unit > 1 ? d->unit : 1, first = 0;
    struct lora_data cut = { .unit = d->unit };
    struct lora_options o = *p->opt;
    struct lora_memory m;

    for (size_t i = 0; i + unit <= d->docs; i += unit)
        if (d->starts[i + unit] - d->starts[i] >
            d->starts[first + unit] - d->starts[first])
            first = i;
    for (size_t i = first; i < first + unit; i++) {
        size_t at = d->starts[i], size = d->starts[i + 1] - at;

        size = size < n ? size : n;
        lora_data_add(&cut, d->ids + at, NULL, 1, size);
        if (d->top)
            lora_data_teach(&cut, 0, d->top_ids + at * d->top,
                            d->top_logp + at * d->top, size, d->top);
    }
    o.pass_tokens = (int64_t)cut.tokens;
    o.epochs = 1;
    o.max_tokens = 0;
    o.minutes = 0;
    lora_memory(p->model, &cut, NULL, &o, &m);
    lora_data_release(&cut);
    return m.total;
}

/* The longest document whose pass would fit, blocks computed again: a multiple
 * of GRAIN tokens, 0: none; longest: of the run's own. */
static size_t longest_that_fits(const struct finetune_plan *p, size_t longest)
{
    size_t low = 0, high = longest / GRAIN + 1;

    model_recompute(p->model, true);
    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;

        if (when_cut(p, middle * GRAIN) <= p->limit)
            low = middle;
        else
            high = middle;
    }
    model_recompute(p->model, p->recompute);
    return low * GRAIN;
}

bool finetune_may_quantise(const struct finetune_plan *p)
{
    return !p->f->init && finetune_is_adapter(p->f) && !p->quantised &&
           model_compute(p->model)->ops->quantise;
}

/* Only what this run takes. */
static void advise(const struct finetune_plan *p, char *out, size_t size)
{
    size_t most = longest(p->train), valid = longest(p->valid), fits;
    bool quantise = finetune_may_quantise(p);
    const char *off = strcmp(p->f->recompute, "off") == 0
                          ? " without --checkpoint-activations off"
                          : "";

    fits = longest_that_fits(p, most > valid ? most : valid);
    if (fits >= SHORTEST)
        (void)snprintf(out, size, "--max-length %zu would fit%s%s", fits, off,
                       quantise ? ", and so may --quantize" : "");
    else
        (void)snprintf(out, size, "a smaller %s may%s",
                       p->f->init ? "model" : "base",
                       quantise ? ", or --quantize" : "");
}

/* What would fit is computed as the rest is. */
static int refuse(const struct finetune_plan *p, struct err *err)
{
    char advice[160];

    if (p->memory.total <= p->limit)
        return err_set(err, on_cpu(p) ? ERR_LIMIT : ERR_NOMEM,
                       "%s: merging needs about %.0f MiB, more than "
                       "--max-memory; leave --merge out, or choose a smaller "
                       "base",
                       p->name, mib(needed(p)));
    advise(p, advice, sizeof(advice));
    return err_set(err, on_cpu(p) ? ERR_LIMIT : ERR_NOMEM,
                   "%s: needs about %.0f MiB even for passes of one document "
                   "(%zu tokens), %.0f may be used%s; %s",
                   p->name, mib(p->memory.total), p->memory.rows, mib(p->limit),
                   device_choice.max_memory > 0 ? " (--max-memory)" : "",
                   advice);
}

/* "weights N, trained N, ..." */
static void print_parts(const struct finetune_plan *p, struct buf *out)
{
    const struct lora_memory *m = &p->memory;

    buf_printf(out,
               "weights %.0f, trained %.0f, optimizer %.0f, activations "
               "%.0f%s, logits %.0f, the rest %.0f",
               mib(m->weights), mib(m->trained), mib(m->optimizer),
               mib(m->activations),
               p->recompute ? " (blocks computed again)" : "", mib(m->scratch),
               mib(m->checkpoint + m->program));
    if (p->merging)
        buf_printf(out, "; merging %.0f", mib(p->merging + m->program));
}

int finetune_plan_make(struct finetune_plan *p, struct err *err)
{
    struct buf parts = { 0 };
    int64_t pass = p->opt->pass_tokens;

    p->limit = memory_limit(p);
    choose(p);
    if (p->opt->pass_tokens < pass)
        cli_note(p->cli, "%s: passes of %lld tokens, to fit into %.0f MiB",
                 p->name, (long long)p->opt->pass_tokens, mib(p->limit));
    if (needed(p) > p->limit && (device_choice.max_memory > 0 || !on_cpu(p)))
        return refuse(p, err);
    print_parts(p, &parts);
    cli_note(p->cli, "%s: about %.0f MiB of memory: %.*s", p->name,
             mib(needed(p)), (int)parts.len, parts.data);
    buf_release(&parts);
    return 0;
}

void finetune_plan_compare(const struct finetune_plan *p, struct compute *c)
{
    size_t used, peak = lora_peak();

    if (strcmp(c->device, "cpu") != 0)
        c->ops->memory(c, &used, &peak);
    cli_note(p->cli,
             "%s: at most %.0f MiB were in use, %.0f estimated (%+.0f %%)",
             p->name, mib(peak), mib(needed(p)),
             100 * ((double)needed(p) / (double)peak - 1));
}

static int by_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return x < y ? -1 : x > y;
}

/* Lengths at these shares of the documents. */
static void quantiles(const struct lora_data *d, const double *shares,
                      size_t count, size_t *out)
{
    size_t *sizes = mem_array(d->docs, sizeof(*sizes));

    for (size_t i = 0; i < d->docs; i++)
        sizes[i] = d->starts[i + 1] - d->starts[i];
    qsort(sizes, d->docs, sizeof(*sizes), by_size);
    for (size_t i = 0; i < count; i++)
        out[i] =
            d->docs ? sizes[(size_t)(shares[i] * (double)(d->docs - 1))] : 0;
    free(sizes);
}

/* Seconds of a forward pass for one token, by trying. */
static int token_seconds(struct finetune_plan *p, double *out, struct err *err)
{
    struct lora_data few = { 0 };
    const struct lora_data *d = p->train;
    size_t rows = p->memory.rows < TIMED_ROWS ? p->memory.rows : TIMED_ROWS;
    double loss;
    int64_t begin;
    int rc = 0;

    for (size_t i = 0; i < d->docs && few.tokens < rows; i++)
        lora_data_add(&few, d->ids + d->starts[i], d->mask + d->starts[i], 0,
                      d->starts[i + 1] - d->starts[i]);
    for (int k = 0; rc == 0 && k < 2; k++) { /* once to warm up */
        begin = clock_mono_ns();
        rc = lora_loss(p->model, &few, rows, &loss, err);
        *out = (double)(clock_mono_ns() - begin) * 1e-9 / (double)few.tokens;
    }
    lora_data_release(&few);
    return rc;
}

/* A backward pass costs as much as the forward one with frozen weights, twice
 * as much else; a block computed again is a forward pass more, and so are a
 * reference and a teacher of the same size. */
static double passes(const struct finetune_plan *p)
{
    return (p->opt->method == LORA_FULL ? 3.0 : 2.1) + p->recompute +
           (p->train->unit > 1) + (p->opt->teacher != NULL);
}

static double run_tokens(const struct finetune_plan *p)
{
    struct lora_options o = *p->opt;

    lora_defaults(&o);
    return o.max_tokens > 0 ? (double)o.max_tokens
                            : o.epochs * (double)p->train->tokens;
}

static double validated_tokens(const struct finetune_plan *p)
{
    double steps = (double)lora_steps(p->train, p->opt);
    double each = p->opt->validate_every > 0 ? (double)p->opt->validate_every
                  : steps > 80               ? steps / 8
                                             : 10;

    return (double)p->valid->tokens * (2 + floor(steps / each));
}

static const double shares[] = { 0, .5, .9, .99, 1 };
#define SHARES (sizeof(shares) / sizeof(shares[0]))

static void print_text(const struct finetune_plan *p, const size_t *lengths,
                       double seconds, struct buf *out)
{
    const struct lora_reader *r = p->reader;

    buf_printf(out, "%s\n", p->name);
    buf_printf(out, "  documents  %zu to train on, %zu to validate\n",
               p->train->docs, p->valid->docs);
    buf_printf(out, "  tokens     %zu, %zu of them trained\n", p->train->tokens,
               p->train->trained);
    buf_printf(out,
               "  lengths    %zu shortest, %zu median, %zu at 90 %%, %zu at "
               "99 %%, %zu longest\n",
               lengths[0], lengths[1], lengths[2], lengths[3], lengths[4]);
    buf_printf(out,
               "  left out   %zu over-long, %zu refused, %zu malformed; %zu "
               "shortened\n",
               r->over_long, r->refused, r->malformed, r->shortened);
    buf_printf(out, "  memory     %.0f MiB: ", mib(needed(p)));
    print_parts(p, out);
    buf_char(out, '\n');
    buf_printf(out, "  steps      %llu\n",
               (unsigned long long)lora_steps(p->train, p->opt));
    buf_printf(out, "  time       about %.0f s\n", seconds);
}

static void print_json(const struct finetune_plan *p, const size_t *lengths,
                       double seconds, struct buf *out)
{
    static const char *const names[SHARES] = { "min", "p50", "p90", "p99",
                                               "max" };
    const struct lora_memory *m = &p->memory;
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_document(&w, "slmctl.finetune-plan/1");
    json_put_string(&w, "name", p->name);
    json_put_int(&w, "examples", (int64_t)p->train->docs);
    json_put_int(&w, "validation_examples", (int64_t)p->valid->docs);
    json_put_int(&w, "tokens", (int64_t)p->train->tokens);
    json_put_int(&w, "trained_tokens", (int64_t)p->train->trained);
    json_begin_object(&w, "lengths");
    for (size_t i = 0; i < SHARES; i++)
        json_put_int(&w, names[i], (int64_t)lengths[i]);
    json_end_object(&w);
    finetune_write_reader(&w, p->reader, NULL);
    json_begin_object(&w, "memory");
    json_put_int(&w, "total", (int64_t)needed(p));
    json_put_int(&w, "weights", (int64_t)m->weights);
    json_put_int(&w, "trained", (int64_t)m->trained);
    json_put_int(&w, "optimizer", (int64_t)m->optimizer);
    json_put_int(&w, "activations", (int64_t)m->activations);
    json_put_int(&w, "logits", (int64_t)m->scratch);
    json_put_int(&w, "checkpoint", (int64_t)m->checkpoint);
    json_put_int(&w, "program", (int64_t)m->program);
    if (p->merging)
        json_put_int(&w, "merging", (int64_t)(p->merging + m->program));
    json_put_bool(&w, "blocks_again", p->recompute);
    json_end_object(&w);
    json_put_int(&w, "steps", (int64_t)lora_steps(p->train, p->opt));
    json_put_double(&w, "seconds", seconds);
    json_end_object(&w);
    buf_char(out, '\n');
}

int finetune_plan_print(struct finetune_plan *p, struct err *err)
{
    size_t lengths[SHARES];
    struct buf out = { 0 };
    double seconds = 0;
    int rc = token_seconds(p, &seconds, err);

    if (rc < 0)
        return rc;
    seconds *= run_tokens(p) * passes(p) + validated_tokens(p);
    if (p->opt->minutes > 0)
        seconds = 60 * p->opt->minutes;
    quantiles(p->train, shares, SHARES, lengths);
    if (p->cli->json)
        print_json(p, lengths, seconds, &out);
    else
        print_text(p, lengths, seconds, &out);
    rc = cli_write(p->cli, &out);
    buf_release(&out);
    return rc;
}
