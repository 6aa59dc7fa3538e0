/*
 * engine.c - opening, the queue, and the two threads
 *
 * The decoding thread owns the session, the compute device and the callbacks;
 * the preparing thread hands it jobs that are ready. Whoever submits, cancels
 * or reloads only changes what stands under the mutex.
 */
#include "engine/engine_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "crypto/crypto.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 16
#define QUEUE 64
#define TOKENS 1024
#define FORM_BYTES ((size_t)256 << 20)
#define PASS_ROWS 256 /* so that prompts do not keep answers waiting */
#define FIRST_GUESS_S 1.0
#define RETRY_LEAST_MS 100

static void job_unlink(struct engine *e, struct engine_job *job)
{
    struct engine_job **at = &e->jobs;

    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
}

/* Its place is free before its caller hears of it. */
static void job_end(struct engine_job *job, enum engine_finish why,
                    const struct err *err)
{
    struct engine *e = job->e;
    double took = (double)(clock_mono_ns() - job->begun_ns) * 1e-9;

    pthread_mutex_lock(&e->mutex);
    job_unlink(e, job);
    if (job->stage == ENGINE_RUNS) {
        e->running--;
        e->mean_s += (took - e->mean_s) * 0.1;
    } else {
        e->waiting--;
    }
    if (job->form)
        job->form->users--;
    engine_models_leave(e, job->models);
    pthread_mutex_unlock(&e->mutex);
    engine_answer_end(job, why, err);
    engine_job_free(job);
}

static int on_token(void *ctx, const struct model_token *t)
{
    return engine_answer_token(ctx, t);
}

static void on_end(void *ctx, enum model_end why, const struct err *err)
{
    static const enum engine_finish finish[] = {
        [MODEL_END_STOP] = ENGINE_STOP,     [MODEL_END_FORM] = ENGINE_STOP,
        [MODEL_END_LENGTH] = ENGINE_LENGTH, [MODEL_END_CALLER] = ENGINE_STOP,
        [MODEL_END_FAILED] = ENGINE_FAILED,
    };

    job_end(ctx, finish[why], err);
}

/* Into a slot. ERR_BUSY cannot be: there are as many slots as may run. */
static void job_begin(struct engine_job *job)
{
    struct engine *e = job->e;
    struct model_ask ask = { .prompt = job->prompt.ids,
                             .prompt_count = job->prompt.count,
                             .adapter = job->models->adapter[job->model],
                             .sampling = job->sampling,
                             .details = true,
                             .top = job->top,
                             .on_token = on_token,
                             .on_end = on_end,
                             .ctx = job };
    int rc = job->rc;

    job->begun_ns = clock_mono_ns();
    model_session_bank(e->session, job->models->bank);
    if (rc == 0)
        rc = model_session_begin(e->session, &ask, &job->slot, &job->cached,
                                 &job->err);
    if (rc < 0) {
        job_end(job, ENGINE_FAILED, &job->err);
        return;
    }
    engine_answer_begin(job);
    pthread_mutex_lock(&e->mutex);
    job->stage = ENGINE_RUNS;
    e->waiting--;
    e->running++;
    pthread_mutex_unlock(&e->mutex);
}

static void job_cancel(struct engine_job *job, enum engine_finish why)
{
    if (job->stage == ENGINE_RUNS)
        model_session_cancel(job->e->session, job->slot);
    job_end(job, why, NULL);
}

/* What the decoding thread can do something for, oldest first; a job that the
 * other one has is left. */
static struct engine_job *next_job(const struct engine *e)
{
    for (struct engine_job *j = e->jobs; j; j = j->next) {
        if (j->stage == ENGINE_PREPARES)
            continue;
        if (j->cancelled || e->stopping)
            return j;
        if (j->stage == ENGINE_READY &&
            (j->rc < 0 || e->running < e->stats.slots))
            return j;
    }
    return NULL;
}

/* A pass failed as a whole: the device's fault, which all share. */
static void fail_all(struct engine *e, const struct err *err)
{
    struct engine_job *j = e->jobs;

    while (j) {
        struct engine_job *next = j->next;

        if (j->stage == ENGINE_RUNS) {
            model_session_cancel(e->session, j->slot);
            pthread_mutex_unlock(&e->mutex);
            job_end(j, ENGINE_FAILED, err);
            pthread_mutex_lock(&e->mutex);
            next = e->jobs;
        }
        j = next;
    }
}

static void step(struct engine *e)
{
    struct model_session_stats now;
    struct err err;
    int rc;

    pthread_mutex_unlock(&e->mutex);
    rc = model_session_step(e->session, &err);
    model_session_stats(e->session, &now);
    pthread_mutex_lock(&e->mutex);
    e->stats.prompt_tokens = now.prompt_tokens;
    e->stats.cached_tokens = now.cached_tokens;
    e->stats.generated = now.generated;
    e->stats.passes = now.passes;
    e->stats.drafted = now.drafted;
    e->stats.accepted = now.accepted;
    if (rc < 0)
        fail_all(e, &err);
}

static void *decode(void *ctx)
{
    struct engine *e = ctx;
    struct engine_job *job;

    pthread_mutex_lock(&e->mutex);
    while (!e->stopping || e->jobs) {
        if (!e->stopping && engine_models_serve(e))
            continue;
        job = next_job(e);
        if (job) {
            bool ends = job->cancelled || e->stopping;

            pthread_mutex_unlock(&e->mutex);
            if (ends)
                job_cancel(job,
                           e->stopping ? ENGINE_STOPPED : ENGINE_CANCELLED);
            else
                job_begin(job);
            pthread_mutex_lock(&e->mutex);
        } else if (e->running > 0 && !e->stopping) {
            step(e);
        } else {
            pthread_cond_wait(&e->work, &e->mutex);
        }
    }
    engine_models_refuse(e);
    pthread_mutex_unlock(&e->mutex);
    return NULL;
}

static void *prepare(void *ctx)
{
    struct engine *e = ctx;

    pthread_mutex_lock(&e->mutex);
    while (!e->stopping) {
        struct engine_job *job = e->jobs;

        while (job && (job->stage != ENGINE_WAITS || job->cancelled))
            job = job->next;
        if (!job) {
            pthread_cond_wait(&e->prepare, &e->mutex);
            continue;
        }
        job->stage = ENGINE_PREPARES;
        pthread_mutex_unlock(&e->mutex);
        engine_job_prepare(job);
        pthread_mutex_lock(&e->mutex);
        job->stage = ENGINE_READY;
        pthread_cond_signal(&e->work);
    }
    pthread_mutex_unlock(&e->mutex);
    return NULL;
}

static int open_texts(struct engine *e, struct err *err)
{
    int rc = tokenizer_open(e->o.dir, &e->tokenizer, err);

    if (rc < 0)
        return rc;
    e->stop = -1;
    rc = template_open(e->o.dir, &e->template, err);
    if (rc == ERR_NOTFOUND)
        return 0;
    if (rc == 0)
        e->stop = tokenizer_id(e->tokenizer, template_stop(e->template));
    return rc;
}

static int open_session(struct engine *e, struct err *err)
{
    struct model_session_options o = { .slots = e->o.slots,
                                       .capacity = e->o.capacity,
                                       .cache_bytes = e->o.cache_bytes,
                                       .pass_rows = PASS_ROWS,
                                       .keep_prefixes = true,
                                       .plain = e->o.plain };
    struct model_session_stats now;
    int rc = model_load_kept(e->o.dir, NULL, e->o.compute, e->o.kept, &e->model,
                             err);

    if (rc == 0)
        rc = engine_models_new(e, e->o.models, e->o.count, &e->models, err);
    if (rc == 0 && e->o.prefixes)
        rc = model_prefixes_open(e->o.prefixes, &e->prefixes, err);
    if (rc < 0)
        return rc;
    model_prefixes_use(e->model, e->prefixes);
    o.bank = e->models->bank;
    rc = model_session_open(e->model, &o, &e->session, err);
    if (rc < 0)
        return rc;
    model_session_stats(e->session, &now);
    e->stats.slots = now.slots;
    return 0;
}

static int start(struct engine *e, struct err *err)
{
    void *(*const run[])(void *) = { prepare, decode };

    for (unsigned i = 0; i < 2; i++) {
        int rc = pthread_create(&e->threads[i], NULL, run[i], e);

        if (rc != 0)
            return err_set(err, ERR_NOMEM, "cannot start a thread: %s",
                           strerror(rc));
        e->started++;
    }
    return 0;
}

int engine_open(const struct engine_options *o, struct engine **out,
                struct err *err)
{
    struct engine *e;
    int rc = crypto_init(err);

    if (rc < 0)
        return rc;
    e = mem_zalloc(sizeof(*e));
    e->o = *o;
    e->o.slots = o->slots ? o->slots : SLOTS;
    e->o.queue = o->queue ? o->queue : QUEUE;
    e->o.form_bytes = o->form_bytes ? o->form_bytes : FORM_BYTES;
    e->o.default_tokens = o->default_tokens > 0 ? o->default_tokens : TOKENS;
    e->mean_s = FIRST_GUESS_S;
    crypto_random(&e->seed, sizeof(e->seed));
    pthread_mutex_init(&e->mutex, NULL);
    pthread_cond_init(&e->work, NULL);
    pthread_cond_init(&e->prepare, NULL);
    pthread_cond_init(&e->loaded, NULL);
    rc = open_texts(e, err);
    if (rc == 0)
        rc = open_session(e, err);
    if (rc == 0)
        rc = start(e, err);
    e->o.dir = NULL; /* borrowed until here */
    e->o.models = NULL;
    e->o.prefixes = NULL;
    if (rc < 0) {
        engine_close(e);
        return rc;
    }
    *out = e;
    return 0;
}

void engine_close(struct engine *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&e->mutex);
    e->stopping = true;
    pthread_cond_broadcast(&e->prepare);
    pthread_cond_broadcast(&e->work);
    pthread_mutex_unlock(&e->mutex);
    for (unsigned i = 0; i < e->started; i++)
        pthread_join(e->threads[i], NULL);
    pthread_mutex_lock(&e->mutex);
    while (e->askers > 0) /* they are told, and on their way out */
        pthread_cond_wait(&e->loaded, &e->mutex);
    pthread_mutex_unlock(&e->mutex);
    model_session_close(e->session);
    engine_models_free_all(e);
    engine_forms_free(e);
    constrain_vocab_free(e->vocab);
    model_free(e->model);
    model_prefixes_close(e->prefixes);
    template_free(e->template);
    tokenizer_free(e->tokenizer);
    pthread_cond_destroy(&e->loaded);
    pthread_cond_destroy(&e->prepare);
    pthread_cond_destroy(&e->work);
    pthread_mutex_destroy(&e->mutex);
    free(e);
}

/* Under the mutex: a place in the queue, or when there may be one. */
static int enqueue(struct engine *e, struct engine_job *job,
                   const struct engine_request *r, int64_t *retry_ms,
                   struct err *err)
{
    struct engine_models *models = r->models ? r->models : e->models;
    struct engine_job **at = &e->jobs;
    double wait = e->mean_s * (double)(e->waiting + 1) /
                  (double)(e->stats.slots ? e->stats.slots : 1);

    if (r->model >= models->count)
        return err_set(err, ERR_INVALID, "model: there is no model %zu",
                       r->model);
    if (e->waiting >= e->o.queue) {
        e->stats.refused++;
        *retry_ms = (int64_t)(wait * 1000) > RETRY_LEAST_MS
                        ? (int64_t)(wait * 1000)
                        : RETRY_LEAST_MS;
        return err_set(err, ERR_LIMIT, "%zu requests are waiting already",
                       e->waiting);
    }
    while (*at)
        at = &(*at)->next;
    *at = job;
    job->id = ++e->last_id;
    job->model = r->model;
    job->models = models;
    models->users++;
    e->waiting++;
    pthread_cond_signal(&e->prepare);
    return 0;
}

int engine_submit(struct engine *e, const struct engine_request *r,
                  uint64_t *id, int64_t *retry_ms, struct err *err)
{
    struct engine_job *job = mem_zalloc(sizeof(*job));
    int rc;

    assert(r->end);
    job->e = e;
    job->submitted_ns = clock_mono_ns();
    pthread_mutex_lock(&e->mutex);
    job->sampling.seed = e->seed++; /* of a request that has none */
    pthread_mutex_unlock(&e->mutex);
    *retry_ms = 0;
    rc = engine_request_read(job, r, e->o.default_tokens, err);
    if (rc == 0) {
        pthread_mutex_lock(&e->mutex);
        rc = enqueue(e, job, r, retry_ms, err);
        if (rc == 0)
            *id = job->id;
        pthread_mutex_unlock(&e->mutex);
    }
    if (rc < 0)
        engine_job_free(job);
    return rc;
}

void engine_cancel(struct engine *e, uint64_t id)
{
    pthread_mutex_lock(&e->mutex);
    for (struct engine_job *j = e->jobs; j; j = j->next)
        if (j->id == id)
            j->cancelled = true;
    pthread_cond_signal(&e->work);
    pthread_mutex_unlock(&e->mutex);
}

void engine_stats(struct engine *e, struct engine_stats *out)
{
    pthread_mutex_lock(&e->mutex);
    *out = e->stats;
    out->waiting = e->waiting;
    out->active = e->running;
    engine_forms_count(e, &out->forms, &out->form_bytes);
    pthread_mutex_unlock(&e->mutex);
}
