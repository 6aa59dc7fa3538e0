/*
 * model_generate.c - prompts that are all known: a session driven to its end
 *
 * The longest prompts go first, and what all of them begin with is computed
 * once. A batch gives the tokens that its prompts give one by one.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "model/model_session.h"

#include <stdlib.h>

#define MAX_SLOTS 96    /* sequences at once */
#define LEAST_PREFIX 16 /* shared tokens that are worth a slot of their own */

struct generator {
    struct model *m;
    const struct model_sampling *opt;
    struct model_job *jobs, **queue; /* longest prompt first */
    size_t queued, taken, finished, capacity;
    struct model_session *session;
    int (*on_token)(void *ctx, int32_t id);
    void *ctx;
    int64_t start_ns;
    struct err *err; /* of the first sequence that failed */
    int rc;
};

/* A job in a slot. */
struct running {
    struct generator *g;
    struct model_job *job;
    double nll;
};

static int longer_first(const void *a, const void *b)
{
    const struct model_job *x = *(struct model_job *const *)a;
    const struct model_job *y = *(struct model_job *const *)b;

    if (x->prompt_count != y->prompt_count)
        return x->prompt_count > y->prompt_count ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Tokens that a job may produce within the model's context. */
static size_t allowance(const struct generator *g, const struct model_job *job)
{
    size_t context = (size_t)g->m->config.context;
    size_t room = context > job->prompt_count ? context - job->prompt_count : 0;
    size_t most = job->max_tokens ? job->max_tokens : g->opt->max_tokens;

    return room < most ? room : most;
}

/* Jobs that have something to do, longest first; capacity from the longest. */
static int queue_jobs(struct generator *g, size_t count, struct err *err)
{
    g->queue = mem_array(count, sizeof(struct model_job *));
    for (size_t i = 0; i < count; i++) {
        struct model_job *job = &g->jobs[i];
        size_t need = job->prompt_count + allowance(g, job);
        int rc = model_check_ids(g->m, job->prompt, job->prompt_count, err);

        if (rc < 0)
            return err_wrap(err, "prompt %zu", i + 1);
        job->out_count = 0;
        job->finished = false;
        job->seconds = 0;
        if (job->prompt_count == 0 || allowance(g, job) == 0)
            continue;
        g->queue[g->queued++] = job;
        if (need > g->capacity)
            g->capacity = need;
    }
    if (g->queued)
        qsort(g->queue, g->queued, sizeof(struct model_job *), longer_first);
    return 0;
}

/* Tokens that all prompts begin with; each keeps one to run. */
static size_t shared_prefix(const struct generator *g)
{
    const struct model_job *first = g->queue[0];
    size_t n = first->prompt_count;

    for (size_t i = 0; i < g->queued; i++) {
        const struct model_job *job = g->queue[i];
        size_t k = 0;

        while (k < n && k + 1 < job->prompt_count &&
               job->prompt[k] == first->prompt[k])
            k++;
        n = k;
    }
    return g->queued > 1 && n >= LEAST_PREFIX ? n : 0;
}

static int take_token(void *ctx, const struct model_token *t)
{
    struct running *r = ctx;

    r->nll -= (double)t->logp;
    if (t->stop)
        return 0;
    r->job->out[r->job->out_count++] = t->id;
    return r->g->on_token ? r->g->on_token(r->g->ctx, t->id) : 0;
}

static void take_end(void *ctx, enum model_end why, const struct err *err)
{
    struct running *r = ctx;
    struct generator *g = r->g;

    r->job->finished = why == MODEL_END_STOP || why == MODEL_END_FORM;
    r->job->seconds = (double)(clock_mono_ns() - g->start_ns) * 1e-9;
    g->finished++;
    if (why == MODEL_END_FAILED && g->rc == 0)
        g->rc = err_set(g->err, err->code, "%s", err->msg);
}

/* Jobs into free slots. */
static int admit(struct generator *g, struct running *running, struct err *err)
{
    struct err busy;
    int rc = 0, slot;

    while (rc == 0 && g->taken < g->queued) {
        struct model_job *job = g->queue[g->taken];
        struct running *r = &running[g->taken];
        struct model_ask ask = { .prompt = job->prompt,
                                 .prompt_count = job->prompt_count,
                                 .sampling = *g->opt,
                                 .number = (size_t)(job - g->jobs),
                                 .on_token = take_token,
                                 .on_end = take_end,
                                 .ctx = r };

        *r = (struct running){ .g = g, .job = job };
        ask.sampling.max_tokens = allowance(g, job);
        if (job->form)
            ask.sampling.form = job->form;
        rc = model_session_begin(g->session, &ask, &slot, NULL, &busy);
        g->taken += rc == 0;
    }
    return rc == 0 || rc == ERR_BUSY ? 0 : err_set(err, rc, "%s", busy.msg);
}

static int open_session(struct generator *g, struct err *err)
{
    size_t prefix = shared_prefix(g);
    size_t slots = g->queued < MAX_SLOTS ? g->queued : MAX_SLOTS;
    const struct model_session_options o = { .slots = slots + (prefix > 0),
                                             .capacity = g->capacity };
    struct model_session_stats now;
    int rc = model_session_open(g->m, &o, &g->session, err);

    if (rc < 0 || prefix == 0)
        return rc;
    model_session_stats(g->session, &now);
    return now.slots > 1
               ? session_prefix(g->session, g->queue[0]->prompt, prefix, err)
               : 0;
}

static int generator_run(struct generator *g, struct running *running,
                         const struct progress *progress, struct err *err)
{
    int rc = open_session(g, err);

    while (rc >= 0 && g->finished < g->queued) {
        if (stop_requested())
            return err_set(err, ERR_INTERRUPTED, "interrupted");
        rc = admit(g, running, err);
        if (rc == 0)
            rc = model_session_step(g->session, err);
        if (rc >= 0 && g->rc < 0)
            rc = g->rc;
        if (rc >= 0)
            progress_update(progress, "generate", g->finished, g->queued, NULL);
    }
    return rc < 0 ? rc : 0;
}

static int generate(struct generator *g, size_t count, double *nll,
                    const struct progress *progress, struct err *err)
{
    struct running *running = NULL;
    int rc = queue_jobs(g, count, err);

    g->start_ns = clock_mono_ns();
    g->err = err;
    if (rc == 0 && g->queued > 0) {
        running = mem_zalloc(g->queued * sizeof(*running));
        rc = generator_run(g, running, progress, err);
        *nll = running[0].nll;
    }
    model_session_close(g->session);
    free(running);
    free(g->queue);
    return rc;
}

int model_generate_batch(struct model *m, struct model_job *jobs, size_t count,
                         const struct model_sampling *opt,
                         const struct progress *progress, struct err *err)
{
    struct generator g = { .m = m, .opt = opt, .jobs = jobs };
    double nll = 0;

    return generate(&g, count, &nll, progress, err);
}

int model_generate(struct model *m, const int32_t *prompt, size_t n,
                   const struct model_sampling *opt,
                   int (*on_token)(void *ctx, int32_t id), void *ctx,
                   int32_t *out, size_t *out_count, bool *finished, double *nll,
                   struct err *err)
{
    struct model_job job = { .prompt = prompt, .prompt_count = n, .out = out };
    struct generator g = {
        .m = m, .opt = opt, .jobs = &job, .on_token = on_token, .ctx = ctx
    };
    double sum = 0;
    int rc;

    if (n == 0)
        return err_set(err, ERR_INVALID, "the prompt is empty");
    if (n >= (size_t)m->config.context)
        return err_set(err, ERR_LIMIT,
                       "the prompt has %zu tokens; the model's context is %lld",
                       n, (long long)m->config.context);
    rc = generate(&g, 1, &sum, NULL, err);
    if (rc < 0)
        return rc;
    *out_count = job.out_count;
    *finished = job.finished;
    if (nll)
        *nll = sum;
    return 0;
}
