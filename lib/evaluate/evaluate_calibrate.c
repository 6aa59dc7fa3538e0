/*
 * evaluate_calibrate.c - how sure a model is when it is wrong
 *
 * The model answers the validation split through the engine that serves it,
 * with the settings of the logged requests, so that what is noted of its
 * tokens is what the router will see. Answers that the router refuses anyway
 * teach nothing about those that it may keep: they are counted, not learnt
 * from. The sealed test is not read.
 */
#include "evaluate/evaluate_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "router/router.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WAITING 64        /* requests in the engine's queue */
#define LOOK_NS 200000000 /* between two looks at signals */

struct work;
struct answered {
    struct work *of;
    struct buf message;
    struct stats_signals signals;
    enum engine_finish why;
    size_t tokens;
};

struct work {
    struct evaluate_result r;
    const struct evaluate_options *opt;
    struct engine *engine;
    struct template_content content;
    struct slice *labels;
    struct answered *answered; /* one an item */
    double seconds, tokens;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    size_t open, done; /* under the lock */
};

/* From the engine's thread; the lists of the signals are its own. */
static void take_end(void *ctx, enum engine_finish why, struct slice message,
                     const struct engine_usage *u,
                     const struct stats_signals *s, const struct err *err)
{
    struct answered *a = ctx;
    struct work *w = a->of;

    (void)err;
    buf_add_slice(&a->message, message);
    a->signals = *s;
    a->signals.logps = a->signals.margins = NULL;
    a->why = why;
    a->tokens = u->prompt + u->completion;
    (void)pthread_mutex_lock(&w->lock);
    w->open--;
    w->done++;
    (void)pthread_cond_signal(&w->ended);
    (void)pthread_mutex_unlock(&w->lock);
}

/* The request as it was logged; what is drawn is drawn the same again. */
static void put_request(const struct work *w, size_t i, const struct json *j,
                        struct buf *out)
{
    struct json_writer to;

    json_writer_init(&to, out, false);
    json_begin_object(&to, NULL);
    for (json_ref v = json_first(j, 0); v != JSON_NONE;
         v = json_next(j, 0, v)) {
        char *key = json_strdup(j, json_key(j, v));

        if (key && strcmp(key, "seed") != 0)
            json_put_raw(&to, key, json_raw(j, v));
        free(key);
    }
    json_put_int(&to, "seed", (int64_t)((w->opt->seed + i) & INT32_MAX));
    json_end_object(&to);
}

/* Until at most so many are open, or a signal has come. */
static int wait_for(struct work *w, size_t most, struct err *err)
{
    bool stop = false;

    (void)pthread_mutex_lock(&w->lock);
    while (w->open > most && !stop) {
        struct timespec until;

        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        (void)pthread_cond_timedwait(&w->ended, &w->lock, &until);
        (void)pthread_mutex_unlock(&w->lock);
        progress_update(w->opt->progress, "calibrate", w->done, w->r.count,
                        w->r.task_name);
        stop = stop_requested();
        (void)pthread_mutex_lock(&w->lock);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return stop ? err_set(err, ERR_INTERRUPTED, "interrupted") : ERR_OK;
}

/* What cannot be asked counts as refused. */
static int ask_one(struct work *w, size_t i, struct err *err)
{
    struct answered *a = &w->answered[i];
    struct buf chat = { 0 };
    struct engine_request e = {
        .content = &w->content, .whole = true, .end = take_end, .ctx = a
    };
    struct json j = { 0 };
    uint64_t id;
    int64_t retry_ms;
    int rc = wait_for(w, w->opt->batch + WAITING - 1, err);

    if (rc < 0 || json_parse(&j, w->r.items[i].request.data,
                             w->r.items[i].request.len, NULL) < 0) {
        json_release(&j);
        return rc;
    }
    put_request(w, i, &j, &chat);
    e.chat = buf_slice(&chat);
    (void)pthread_mutex_lock(&w->lock);
    w->open++;
    (void)pthread_mutex_unlock(&w->lock);
    if (engine_submit(w->engine, &e, &id, &retry_ms, NULL) < 0) {
        (void)pthread_mutex_lock(&w->lock);
        w->open--;
        w->done++;
        (void)pthread_mutex_unlock(&w->lock);
    }
    json_release(&j);
    buf_release(&chat);
    return ERR_OK;
}

static int ask_all(struct work *w, const struct evaluate_model *m,
                   struct err *err)
{
    const struct engine_model model = { m->name, m->adapter };
    const struct engine_options o = { .dir = m->dir,
                                      .models = &model,
                                      .count = 1,
                                      .kept = w->opt->kept,
                                      .compute = w->opt->compute,
                                      .slots = w->opt->batch,
                                      .queue = w->opt->batch + WAITING,
                                      .unconstrained = !w->opt->constrain };
    int64_t began;
    int rc = engine_open(&o, &w->engine, err);

    if (rc < 0)
        return rc;
    began = clock_mono_ns();
    for (size_t i = 0; rc == ERR_OK && i < w->r.count; i++)
        if (evaluate_item_is_judged(&w->r.items[i]))
            rc = ask_one(w, i, err);
    if (rc == ERR_OK)
        rc = wait_for(w, 0, err);
    w->seconds = (double)(clock_mono_ns() - began) / 1e9;
    engine_close(w->engine); /* what is open ends first */
    return rc;
}

/* What the router would look at beyond its form. */
static bool is_usable(const struct work *w, size_t i)
{
    const struct answered *a = &w->answered[i];
    const struct evaluate_item *it = &w->r.items[i];
    enum router_reason why;
    struct json j = { 0 };
    bool good = (a->why == ENGINE_STOP || a->why == ENGINE_TOOL_CALLS) &&
                json_parse(&j, it->request.data, it->request.len, NULL) == 0 &&
                router_usable(&j, 0, buf_slice(&a->message), &why);

    json_release(&j);
    return good;
}

/* Means over what the log says; NaN: it says nothing. */
static void mean_tokens(const struct evaluate_result *r, double *in,
                        double *out)
{
    double n = 0;

    *in = *out = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct evaluate_item *it = &r->items[i];

        if (it->tokens_in < 0 || it->tokens_out < 0)
            continue;
        *in += (double)it->tokens_in;
        *out += (double)it->tokens_out;
        n++;
    }
    *in = n > 0 ? *in / n : (double)NAN;
    *out = n > 0 ? *out / n : (double)NAN;
}

/* Dollars where the LLM's price and its tokens are known; else its calls. */
static bool put_costs(const struct work *w, const size_t *of,
                      struct router_item *items, size_t n)
{
    const struct evaluate_result *r = &w->r;
    const struct score_price *price =
        r->llm && w->opt->prices ? score_prices_find(w->opt->prices, r->llm)
                                 : NULL;
    double in, out, rate;

    mean_tokens(r, &in, &out);
    rate = w->opt->machine_dollars_per_hour / 3600 * w->seconds /
           fmax(1, w->tokens);
    for (size_t i = 0; i < n; i++) {
        const struct evaluate_item *it = &r->items[of[i]];
        bool known = it->tokens_in >= 0 && it->tokens_out >= 0;

        if (!price || isnan(in)) {
            items[i].cost_llm = 1;
            continue;
        }
        items[i].cost_slm = rate * (double)w->answered[of[i]].tokens;
        items[i].cost_llm =
            score_price_calls(price, known ? (double)it->tokens_in : in, 0,
                              known ? (double)it->tokens_out : out) /
            1000;
    }
    return price && !isnan(in);
}

/* vector: room for it. False: nobody can judge it. */
static bool item_fill(struct work *w, size_t i, float *vector,
                      struct router_item *out)
{
    struct evaluate_item *it = &w->r.items[i];
    struct json j = { 0 };

    buf_add_slice(&it->answers[EVALUATE_TUNED],
                  buf_slice(&w->answered[i].message));
    evaluate_answer_score(&w->r, it, EVALUATE_TUNED, false, w->opt->seed);
    if (isnan(it->scores[EVALUATE_TUNED].value) ||
        json_parse(&j, it->request.data, it->request.len, NULL) < 0) {
        json_release(&j);
        return false;
    }
    router_request_vector(&j, 0, vector);
    json_release(&j);
    *out = (struct router_item){ .vector = vector,
                                 .s = w->answered[i].signals,
                                 .cluster = it->cluster,
                                 .slm = it->scores[EVALUATE_TUNED].value,
                                 .llm = it->scores[EVALUATE_LLM].value };
    return true;
}

static int learn(struct work *w, double floor, struct router_calibration *c,
                 struct err *err)
{
    size_t all = w->r.count, n = 0, unusable = 0;
    float *vectors = mem_array(all * ROUTER_VECTOR, sizeof(*vectors));
    struct router_item *items = mem_zalloc((all + 1) * sizeof(*items));
    size_t *of = mem_array(all + 1, sizeof(*of));
    bool in_dollars;
    int rc;

    evaluate_llm_score(&w->r, w->opt->seed);
    for (size_t i = 0; i < all; i++) {
        if (!evaluate_item_is_judged(&w->r.items[i]))
            continue;
        w->tokens += (double)w->answered[i].tokens;
        if (!is_usable(w, i)) {
            unusable++;
        } else if (item_fill(w, i, vectors + n * ROUTER_VECTOR, &items[n])) {
            of[n++] = i;
        }
    }
    in_dollars = put_costs(w, of, items, n);
    rc = n ? router_calibrate(items, n, floor, c, err)
           : err_set(err, ERR_NOTFOUND,
                     "none of %zu answers to validation examples is usable; "
                     "there is nothing to learn from",
                     unusable);
    c->unusable = unusable;
    c->in_dollars = in_dollars;
    free(of);
    free(items);
    free(vectors);
    return rc;
}

static int work_begin(struct work *w, struct store *s, struct err *err)
{
    int rc = evaluate_items_load(s, w->opt, &w->r, err);

    if (rc == ERR_OK)
        rc = evaluate_self_agreement(s, w->opt->seed, &w->r, err);
    if (rc == ERR_OK && w->opt->constrain)
        rc = evaluate_content_learn(s, &w->r, err);
    if (rc < 0)
        return rc;
    w->labels = mem_array(w->r.label_count + 1, sizeof(*w->labels));
    for (size_t i = 0; i < w->r.label_count; i++)
        w->labels[i] = slice_of(w->r.labels[i]);
    w->content = (struct template_content){ .labels = w->labels,
                                            .label_count = w->r.label_count,
                                            .json_depth = w->r.json_depth };
    w->answered = mem_zalloc((w->r.count + 1) * sizeof(*w->answered));
    for (size_t i = 0; i < w->r.count; i++) {
        w->answered[i].of = w;
        w->answered[i].why = ENGINE_FAILED;
    }
    return ERR_OK;
}

static void work_release(struct work *w)
{
    for (size_t i = 0; w->answered && i < w->r.count; i++)
        buf_release(&w->answered[i].message);
    free(w->answered);
    free(w->labels);
    evaluate_result_release(&w->r);
    (void)pthread_cond_destroy(&w->ended);
    (void)pthread_mutex_destroy(&w->lock);
}

/* Its calibration is of what the router sends to it. */
static int check_model(struct store *s, int64_t task,
                       const struct evaluate_model *m, struct err *err)
{
    struct sql_stmt *q;
    int64_t own = m->task;
    int rc;

    if (!m->id)
        return err_set(err, ERR_INVALID,
                       "%s is not a registered model; slmctl model add or "
                       "finetune makes one that can be calibrated",
                       m->name);
    rc = sql_row_of(store_sql(s),
                    "SELECT coalesce(merged_into, id) FROM task WHERE id = ?",
                    own, &q, err);
    if (rc == 1) {
        own = sql_int(q, 0);
        sql_reset(q);
    }
    if (rc >= 0 && own && own != task && m->task != task)
        rc = err_set(err, ERR_INVALID,
                     "model %s is another task's; it is calibrated on its own",
                     m->name);
    return rc < 0 ? rc : ERR_OK;
}

static int read_inputs(struct store *s, int64_t model, char out[33],
                       struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_row_of(store_sql(s),
                        "SELECT coalesce(detail ->> '$.inputs', '') FROM "
                        "calibration WHERE model = ?",
                        model, &q, err);

    out[0] = '\0';
    if (rc == 1) {
        struct slice text = sql_text(q, 0);

        if (text.n == 32) {
            memcpy(out, text.p, 32);
            out[32] = '\0';
        }
        sql_reset(q);
    }
    return rc < 0 ? rc : ERR_OK;
}

/* With opt->reuse, one of the same inputs stays. */
static int calibrate(struct store *s, struct work *w,
                     const struct evaluate_model *m, double floor,
                     struct err *err)
{
    struct router_calibration c = { 0 };
    char before[33] = "", inputs[33];
    int rc = evaluate_inputs(s, &w->r, m, w->opt, inputs, err);

    if (rc == ERR_OK)
        rc = read_inputs(s, m->id, before, err);
    if (rc < 0 || (w->opt->reuse && strcmp(before, inputs) == 0))
        return rc;
    rc = work_begin(w, s, err);
    if (rc == ERR_OK)
        rc = ask_all(w, m, err);
    if (rc == ERR_OK)
        rc = learn(w, floor, &c, err);
    if (rc == ERR_OK) {
        memcpy(c.inputs, inputs, sizeof(c.inputs));
        (void)snprintf(c.weights, sizeof(c.weights), "%s",
                       model_kept_name(w->opt->kept));
        rc = router_calibration_store(s, m->id, &c, clock_wall_us(), err);
    }
    router_calibration_release(&c);
    return rc;
}

int evaluate_calibrate(struct store *s, int64_t task,
                       const struct evaluate_model *model,
                       const struct evaluate_options *opt, double floor,
                       struct err *err)
{
    const struct evaluate_options own = {
        .split = 'v',
        .limit = opt->limit,
        .batch = opt->batch ? opt->batch : EVALUATE_BATCH,
        .margin = floor,
        .seed = opt->seed,
        .no_base = true,
        .constrain = opt->constrain,
        .kept = opt->kept,
        .prices = opt->prices,
        .prices_file = opt->prices_file,
        .machine_dollars_per_hour = opt->machine_dollars_per_hour,
        .reuse = opt->reuse,
        .compute = opt->compute,
        .progress = opt->progress,
    };
    struct work w = { .opt = &own, .r = { .split = 'v', .model = model->id } };
    int rc = check_model(s, task, model, err);

    (void)pthread_mutex_init(&w.lock, NULL);
    (void)pthread_cond_init(&w.ended, NULL);
    if (rc == ERR_OK)
        rc = evaluate_task_read(s, task, &w.r, err);
    if (rc == ERR_OK)
        rc = calibrate(s, &w, model, floor, err);
    work_release(&w);
    return rc;
}

static double figure(const struct json *j, const char *key)
{
    double v;

    return json_double(j, json_get(j, 0, key), &v) ? v : (double)NAN;
}

static void read_figures(const struct json *j, struct evaluate_calibration *c)
{
    int64_t n = 0;

    if (json_int(j, json_get(j, 0, "items"), &n))
        c->items = (size_t)n;
    if (json_int(j, json_get(j, 0, "unusable"), &n))
        c->unusable = (size_t)n;
    (void)json_bool(j, json_get(j, 0, "learnt"), &c->learnt);
    c->in_dollars = json_text_is(j, json_get(j, 0, "costs"), "dollars");
    c->errors = figure(j, "errors");
    c->floor = figure(j, "floor");
    c->ece_before = figure(j, "ece_before");
    c->ece_after = figure(j, "ece_after");
    c->ece_chance = figure(j, "ece_chance");
    c->brier_before = figure(j, "brier_before");
    c->brier_after = figure(j, "brier_after");
    c->threshold = figure(j, "threshold");
    c->share = figure(j, "share");
    c->quality = figure(j, "quality");
    c->llm_quality = figure(j, "llm_quality");
    c->cost = figure(j, "cost");
    c->llm_cost = figure(j, "llm_cost");
    c->apgr = figure(j, "apgr");
    c->aiq = figure(j, "aiq");
    c->cpt50 = figure(j, "cpt50");
    c->cpt80 = figure(j, "cpt80");
}

int evaluate_calibration_read(struct store *s, int64_t model,
                              struct evaluate_calibration *out, struct err *err)
{
    struct evaluate_calibration c = { .present = false };
    struct json j = { 0 };
    struct sql_stmt *q;
    int rc = sql_row_of(store_sql(s),
                        "SELECT detail, time FROM calibration WHERE model = ?",
                        model, &q, err);

    if (rc == 1) {
        struct slice text = sql_text(q, 0);

        c.time_us = sql_int(q, 1);
        rc = json_parse(&j, text.p, text.n, err);
        if (rc < 0)
            rc = err_wrap(err, "calibration of model %lld", (long long)model);
        else
            read_figures(&j, &c);
        c.present = rc == ERR_OK;
        json_release(&j);
        sql_reset(q);
    }
    if (rc >= 0)
        *out = c;
    return rc < 0 ? rc : ERR_OK;
}
