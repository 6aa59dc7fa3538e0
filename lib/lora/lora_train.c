/*
 * lora_train.c - the training loop
 *
 * Step: pack, accumulate gradients of all passes, clip, AdamW. The state that
 * decides the next step is written as a whole (lora_checkpoint.c); nothing
 * else survives from step to step.
 */
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "json/json.h"
#include "lora/lora_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPEED_STEPS 12 /* steps that fix a run given in minutes */
#define FEW_WEIGHTS ((size_t)1 << 20)

static void set_double(double *x, double value)
{
    if (!(*x > 0 || *x < 0))
        *x = value;
}

static void set_int(int64_t *x, int64_t value)
{
    if (*x == 0)
        *x = value;
}

void lora_defaults(struct lora_options *o)
{
    set_int(&o->rank, 16);
    set_double(&o->alpha, 2 * (double)o->rank);
    if (!o->targets)
        o->targets = "all-linear";
    set_double(&o->lr, 1e-3);
    set_double(&o->decay, 0.01);
    set_double(&o->clip, 1);
    set_double(&o->beta2, 0.999);
    set_double(&o->epochs, 3);
    set_int(&o->batch_tokens, 8192);
    set_int(&o->pass_tokens, 4096);
    if (o->pass_tokens > o->batch_tokens)
        o->pass_tokens = o->batch_tokens;
    set_double(&o->warmup, 0.03);
    set_int(&o->patience, 3);
    set_double(&o->checkpoint_s, 60);
    set_double(&o->beta, 0.1);
    set_double(&o->temperature, 1);
    set_double(&o->mix, 0.5);
}

static uint64_t warmup_steps(const struct lora_run *r)
{
    uint64_t n = (uint64_t)ceil(r->opt.warmup * (double)r->state.total_steps);

    /* A run given in minutes has no total yet while it warms up. */
    if (r->opt.minutes > 0)
        return SPEED_STEPS;
    return n < 5 ? 5 : n;
}

static double learning_rate(const struct lora_run *r)
{
    uint64_t step = r->state.step, warm = warmup_steps(r);
    uint64_t total = r->state.total_steps;
    double share, low = r->opt.final_lr;

    if (warm >= total && total > 0)
        warm = total / 2;
    if (step < warm)
        return r->opt.lr * (double)(step + 1) / (double)warm;
    share = (double)(step - warm) / (double)(total - warm);
    return r->opt.lr * (low + (1 - low) * 0.5 * (1 + cos(M_PI * share)));
}

static double elapsed(const struct lora_run *r)
{
    return (double)(clock_mono_ns() - r->start_ns) * 1e-9;
}

static uint64_t steps_for_tokens(struct lora_run *r, int64_t tokens)
{
    double epochs = (double)tokens / (double)r->train->tokens;

    return lora_plan_count(&r->plan, epochs);
}

/* Once known, the total is part of the state: a resumed run keeps it. */
static void fix_total(struct lora_run *r)
{
    struct lora_state *s = &r->state;

    if (r->opt.minutes > 0) {
        double per_step = s->seconds / (double)s->step;

        s->total_steps = (uint64_t)(r->opt.minutes * 60 / per_step);
        if (s->total_steps < s->step)
            s->total_steps = s->step;
        return;
    }
    s->total_steps = r->opt.max_tokens > 0
                         ? steps_for_tokens(r, r->opt.max_tokens)
                         : lora_plan_count(&r->plan, r->opt.epochs);
}

uint64_t lora_steps(const struct lora_data *train,
                    const struct lora_options *opt)
{
    struct lora_run r = { .train = train, .opt = *opt };

    lora_defaults(&r.opt);
    if (r.opt.minutes > 0)
        return 0;
    lora_plan_init(&r.plan, train, r.opt.seed, (size_t)r.opt.batch_tokens);
    fix_total(&r);
    lora_plan_release(&r.plan);
    return r.state.total_steps;
}

int lora_loss(struct model *m, const struct lora_data *d, size_t pass_tokens,
              double *out, struct err *err)
{
    struct lora_packing p;
    struct compute *c = model_compute(m);
    size_t items = lora_items(d), *docs = mem_array(items, sizeof(*docs));
    struct compute_span sum = { 0 };
    double total = 0;
    size_t all = 0;
    int rc = compute_alloc(c, COMPUTE_F64, 1, "loss", &sum, err);

    for (size_t i = 0; i < items; i++)
        docs[i] = i;
    lora_pack(d, docs, items, pass_tokens, &p);
    for (size_t i = 0; rc == 0 && i < p.count; i++) {
        size_t count = 0;

        rc = model_step_add(m, &p.batches[i], 0, sum, &count, err);
        all += count;
    }
    if (rc == 0) {
        c->ops->download(c, &total, sum, 1);
        rc = c->ops->sync(c, err);
    }
    *out = all ? total / (double)all : (double)NAN;
    compute_release(c, &sum);
    lora_packing_release(&p);
    free(docs);
    return rc;
}

static void metric(struct lora_run *r, const char *key, double loss, double lr,
                   double norm)
{
    struct buf b = { 0 };
    struct json_writer w;

    json_writer_init(&w, &b, false);
    json_begin_object(&w, NULL);
    json_put_int(&w, "step", (int64_t)r->state.step);
    json_put_int(&w, "tokens", (int64_t)r->state.tokens);
    json_put_double(&w, key, loss);
    if (lr >= 0) {
        json_put_double(&w, "lr", lr);
        json_put_double(&w, "grad_norm", norm);
    }
    json_put_double(&w, "seconds", floor(r->state.seconds * 1e3) / 1e3);
    json_end_object(&w);
    buf_char(&b, '\n');
    (void)fwrite(b.data, 1, b.len, r->metrics);
    (void)fflush(r->metrics);
    buf_release(&b);
}

static void tell(const struct lora_run *r)
{
    const struct lora_state *s = &r->state;
    double seconds = elapsed(r);
    double speed =
        (double)(s->tokens - r->start_tokens) / (seconds > 0 ? seconds : 1);
    char note[96];

    (void)snprintf(note, sizeof(note), "loss %.3f  %.0f tok/s", s->last_loss,
                   speed);
    progress_update(r->progress, "train", s->step, s->total_steps, note);
}

static int validate(struct lora_run *r, struct err *err)
{
    struct lora_state *s = &r->state;
    double loss;
    int rc;

    if (r->valid->docs == 0)
        return 0;
    rc = lora_validation_loss(r, &loss, err);
    if (rc < 0)
        return rc;
    if (s->step == 0)
        s->first_loss = loss;
    metric(r, "validation", loss, -1, 0);
    if (!isfinite(loss))
        return lora_watch_fail(r, "validation loss", loss, err);
    if (isnan(s->best_loss) || loss < s->best_loss) {
        s->best_loss = loss;
        s->best_step = s->step;
        s->bad = 0;
        r->compute->ops->copy(r->compute, r->best, r->t.values, r->t.count);
        return 0;
    }
    s->bad++;
    if (r->opt.patience >= 0 && s->bad >= (uint64_t)r->opt.patience)
        s->done = s->stopped_early = true;
    return 0;
}

/* Gradients and sums of all passes. */
static int accumulate(struct lora_run *r, const struct lora_packing *p,
                      struct err *err)
{
    const struct compute_ops *ops = r->compute->ops;

    ops->fill(r->compute, r->t.grads, 0, r->t.count);
    ops->fill(r->compute, r->sums, 0, LORA_SUMS);
    for (size_t i = 0; i < p->count; i++) {
        int rc = lora_pass(r, p, i, err);

        if (rc < 0)
            return rc;
    }
    lora_reduce(r);
    ops->accumulate(r->compute, compute_at(r->sums, LORA_SQUARES), r->t.grads,
                    r->t.count, true);
    return 0;
}

static void update(struct lora_run *r, double lr)
{
    struct compute_adamw a = {
        .p = r->t.values,
        .g = r->t.grads,
        .m = r->first,
        .v = r->second,
        .n = r->t.count,
        .lr = lr,
        .beta1 = 0.9,
        .beta2 = r->opt.beta2,
        .eps = 1e-8,
        .decay = r->opt.decay > 0 ? r->opt.decay : 0,
        .step = r->state.step + 1,
        .sums = r->sums,
        .sum_count = LORA_SUMS,
        .clip = r->opt.clip,
    };

    r->compute->ops->adamw(r->compute, &a);
}

/* The device's part of a step, all queued before anything is waited for:
 * weights change only if all is finite, which the device sees by itself. */
static int run_step(struct lora_run *r, const struct lora_packing *p, double lr,
                    double *loss, double *norm, struct err *err)
{
    double sums[LORA_SUMS];
    int rc = accumulate(r, p, err);

    if (rc < 0)
        return rc;
    update(r, lr);
    r->compute->ops->download(r->compute, sums, r->sums, LORA_SUMS);
    rc = r->compute->ops->sync(r->compute, err);
    *loss = sums[LORA_LOSS] / lora_weight(r->train, p);
    *norm = sqrt(sums[LORA_SQUARES]);
    return rc;
}

/* One step on the packed documents. */
static int step_on(struct lora_run *r, const struct lora_packing *p,
                   struct err *err)
{
    struct lora_state *s = &r->state;
    double loss, norm, lr = learning_rate(r);
    int rc = run_step(r, p, lr, &loss, &norm, err);

    if (rc < 0)
        return rc;
    lora_watch_loss(s, loss);
    if (!isfinite(loss) || lora_watch_diverged(s))
        return lora_watch_fail(r, "loss", loss, err);
    if (!isfinite(norm))
        return lora_watch_fail(r, "gradient norm", norm, err);
    s->step++;
    s->last_loss = loss;
    s->trained_tokens += p->trained;
    for (size_t i = 0; i < p->count; i++)
        s->tokens += p->batches[i].rows;
    s->seconds = r->start_seconds + elapsed(r);
    metric(r, "loss", loss, lr, norm);
    return 0;
}

static int one_step(struct lora_run *r, struct err *err)
{
    struct lora_state *s = &r->state;
    uint64_t epoch = s->epoch, position = s->position;
    struct lora_packing p;
    size_t count;
    const size_t *docs = lora_plan_step(&r->plan, &epoch, &position, &count);
    int rc = 0;

    lora_pack(r->train, docs, count, (size_t)r->opt.pass_tokens, &p);
    if (p.trained > 0)
        rc = step_on(r, &p, err);
    else
        s->step++;
    lora_packing_release(&p);
    if (rc < 0)
        return rc;
    s->epoch = epoch;
    s->position = position;
    if (r->opt.minutes > 0 && s->total_steps == 0 && s->step >= SPEED_STEPS)
        fix_total(r);
    return 0;
}

static uint64_t validation_interval(const struct lora_run *r)
{
    uint64_t n = r->state.total_steps / 8;

    if (r->opt.validate_every > 0)
        return (uint64_t)r->opt.validate_every;
    return n < 10 ? 10 : n;
}

/* At the end, and from time to time, while the weights are worth it; of few
 * weights also the best so far. */
static bool checkpoint_due(const struct lora_run *r)
{
    const struct lora_state *s = &r->state;
    double since = (double)(clock_mono_ns() - r->saved_ns) * 1e-9;

    if (s->done || !lora_watch_healthy(s))
        return s->done;
    return since >= r->opt.checkpoint_s ||
           (r->opt.checkpoint_every > 0 &&
            s->step % (uint64_t)r->opt.checkpoint_every == 0) ||
           (s->best_step == s->step && r->t.count <= FEW_WEIGHTS);
}

static int checkpoint(struct lora_run *r, struct err *err)
{
    int rc = lora_checkpoint_save(r, err);

    r->saved_ns = clock_mono_ns();
    r->saved_step = r->state.step;
    return rc;
}

static int loop(struct lora_run *r, struct err *err)
{
    struct lora_state *s = &r->state;

    while (!s->done) {
        bool stop = stop_requested();
        int rc = stop ? 0 : one_step(r, err);

        if (rc < 0)
            return rc;
        if (!stop) {
            s->done = s->total_steps > 0 && s->step >= s->total_steps;
            if (s->done || s->step % validation_interval(r) == 0)
                rc = validate(r, err);
            if (rc == 0 && s->done && !r->valid->docs && !lora_watch_healthy(s))
                rc = lora_watch_fail(r, "mean loss", s->mean_loss, err);
            tell(r);
        }
        if (rc == 0 && (stop || checkpoint_due(r)))
            rc = checkpoint(r, err);
        if (rc < 0)
            return rc;
        if (stop)
            return err_set(err, ERR_INTERRUPTED,
                           "interrupted after step %llu; run again to go on",
                           (unsigned long long)s->step);
    }
    return 0;
}

struct model_adapter lora_adapter(const struct lora_options *o)
{
    double rank = (double)o->rank;

    return (struct model_adapter){
        .rank = o->rank,
        .scale = o->alpha / (o->rslora ? sqrt(rank) : rank),
        .dora = o->dora,
        .targets = o->targets,
        .seed = o->seed,
    };
}

static int attach(struct lora_run *r, struct err *err)
{
    struct model_adapter a = lora_adapter(&r->opt);
    struct model_adapted there;
    bool adapter = r->opt.method == LORA_ADAPTER;
    int rc = adapter && !model_adapter_layer(r->m, 0, &there)
                 ? model_adapter_new(r->m, &a, err)
                 : 0;

    if (rc == 0)
        rc = model_train_begin(r->m, adapter, &r->t, err);
    if (rc == 0)
        rc = compute_alloc(r->compute, COMPUTE_F32, r->t.count, "first moments",
                           &r->first, err);
    if (rc == 0)
        rc = compute_alloc(r->compute, COMPUTE_F32, r->t.count,
                           "second moments", &r->second, err);
    if (rc == 0)
        rc = compute_alloc(r->compute, COMPUTE_F32, r->t.count, "best weights",
                           &r->best, err);
    if (rc == 0)
        rc = compute_alloc(r->compute, COMPUTE_F64, LORA_SUMS, "sums", &r->sums,
                           err);
    return rc;
}

/* What passes need, so that none waits for memory. */
static int reserve(struct lora_run *r, struct err *err)
{
    struct lora_memory largest = { 0 };
    int rc;

    lora_largest(r->train, r->valid, &r->opt, &largest);
    rc = model_step_reserve(r->m, largest.rows, largest.docs, largest.longest,
                            true, err);
    if (rc == 0 && r->opt.teacher)
        rc = model_step_reserve(r->opt.teacher, largest.rows, largest.docs,
                                largest.longest, false, err);
    return rc;
}

static int begin(struct lora_run *r, bool *resumed, struct err *err)
{
    char *lock = io_path(r->dir, "lock");
    int rc = io_mkdirs(r->dir, 0755, err);

    if (rc == 0)
        rc = io_lock(lock, &r->lock, err);
    free(lock);
    if (rc < 0)
        return rc;
    r->base_hash = lora_model_hash(r->m, r->compute);
    r->data_hash = lora_data_hash(r->train) ^ (lora_data_hash(r->valid) << 1);
    r->option_hash = lora_option_hash(&r->opt);
    rc = attach(r, err);
    if (rc == 0)
        rc = reserve(r, err);
    if (rc == 0)
        rc = lora_checkpoint_load(r, resumed, err);
    if (rc == 0)
        rc = lora_metrics_open(r, *resumed, err);
    if (rc == 0)
        rc = lora_record(r, err);
    if (rc < 0)
        return rc;
    r->start_ns = r->saved_ns = clock_mono_ns();
    r->start_tokens = r->state.tokens;
    r->start_seconds = r->state.seconds;
    r->saved_step = r->state.step;
    if (*resumed)
        return 0;
    r->state.best_loss = r->state.first_loss = (double)NAN;
    r->state.mean_loss = r->state.usual_loss = (double)NAN;
    if (!(r->opt.minutes > 0))
        fix_total(r);
    return validate(r, err);
}

static void finish(struct lora_run *r, bool resumed, struct lora_result *out)
{
    const struct lora_state *s = &r->state;
    double seconds = elapsed(r);

    if (r->valid->docs > 0)
        r->compute->ops->copy(r->compute, r->t.values, r->best, r->t.count);
    *out = (struct lora_result){
        .steps = s->step,
        .total_steps = s->total_steps,
        .tokens = s->tokens,
        .trained_tokens = s->trained_tokens,
        .train_loss = s->last_loss,
        .first_loss = s->first_loss,
        .best_loss = s->best_loss,
        .best_step = s->best_step,
        .seconds = s->seconds,
        .tokens_per_s =
            (double)(s->tokens - r->start_tokens) / (seconds > 0 ? seconds : 1),
        .stopped_early = s->stopped_early,
        .resumed = resumed,
        .hash = lora_span_hash(r->compute, r->t.values, r->t.count),
    };
}

int lora_train(struct model *m, struct compute *compute,
               const struct lora_data *train, const struct lora_data *valid,
               const struct lora_options *opt, const char *run_dir,
               const struct progress *progress, struct lora_result *out,
               struct err *err)
{
    struct lora_run r = { .m = m,
                          .compute = compute,
                          .train = train,
                          .valid = valid,
                          .opt = *opt,
                          .dir = run_dir,
                          .progress = progress,
                          .lock = -1 };
    bool resumed = false;
    int rc;

    if (train->trained == 0)
        return err_set(err, ERR_NOTFOUND, "there is no token to train on");
    lora_defaults(&r.opt);
    if (train->unit > 1 && opt->method != LORA_ADAPTER)
        return err_set(err, ERR_INVALID,
                       "preferences need an adapter: without it the model is "
                       "what they are measured against");
    lora_plan_init(&r.plan, train, r.opt.seed, (size_t)r.opt.batch_tokens);
    rc = begin(&r, &resumed, err);
    if (rc == 0)
        rc = loop(&r, err);
    if (rc == 0)
        finish(&r, resumed, out);
    if (r.metrics)
        (void)fclose(r.metrics);
    if (r.lock >= 0)
        (void)close(r.lock);
    compute_release(compute, &r.first);
    compute_release(compute, &r.second);
    compute_release(compute, &r.best);
    compute_release(compute, &r.sums);
    lora_plan_release(&r.plan);
    return rc;
}
