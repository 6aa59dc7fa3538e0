/*
 * model_generate.c - prompts that are all known: a session driven to its end
 *
 * Prompts stand in groups that begin alike, chosen so that most tokens need no
 * computing; what a group begins with is computed once, or read from disk. The
 * longest prompts go first. A batch gives the tokens that its prompts give one
 * by one.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "model/model_session.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SLOTS 96    /* sequences at once */
#define LEAST_PREFIX 16 /* shared tokens that are worth a slot of their own */
#define MAX_GROUPS 16   /* that have one */

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

/* What prompts of a group begin with. */
struct prefix {
    const struct model_job *job;
    size_t tokens, saved; /* saved: in all of them together */
};

static int by_ids(const void *a, const void *b)
{
    const struct model_job *x = *(struct model_job *const *)a;
    const struct model_job *y = *(struct model_job *const *)b;

    for (size_t i = 0; i < x->prompt_count && i < y->prompt_count; i++)
        if (x->prompt[i] != y->prompt[i])
            return x->prompt[i] < y->prompt[i] ? -1 : 1;
    return longer_first(a, b);
}

/* Each keeps one token to run. */
static size_t common(const struct model_job *x, const struct model_job *y)
{
    size_t k = 0;

    while (k + 1 < x->prompt_count && k + 1 < y->prompt_count &&
           x->prompt[k] == y->prompt[k])
        k++;
    return k;
}

static int most_saved_first(const void *a, const void *b)
{
    const struct prefix *x = a, *y = b;

    if (x->saved != y->saved)
        return x->saved > y->saved ? -1 : 1;
    return x->job < y->job ? -1 : x->job > y->job;
}

/* The best cut of sorted prompts into groups: best[j] is what the first j
 * save, of which the last group begins at from[j]. */
static void cut_groups(struct model_job *const *sorted, size_t n, size_t *best,
                       size_t *from, size_t *shared)
{
    best[0] = 0;
    for (size_t i = 0; i + 1 < n; i++)
        shared[i] = common(sorted[i], sorted[i + 1]);
    for (size_t j = 1; j <= n; j++) {
        size_t least = SIZE_MAX;

        best[j] = best[j - 1];
        from[j] = j - 1;
        for (size_t i = j - 1; i-- > 0;) {
            size_t sum;

            least = shared[i] < least ? shared[i] : least;
            if (least < LEAST_PREFIX)
                break;
            sum = best[i] + least * (j - 1 - i);
            if (sum > best[j]) {
                best[j] = sum;
                from[j] = i;
            }
        }
    }
}

/* The beginnings that save most, at most MAX_GROUPS. */
static size_t find_prefixes(const struct generator *g,
                            struct prefix out[MAX_GROUPS])
{
    size_t n = g->queued, count = 0;
    struct model_job **sorted = mem_array(n, sizeof(struct model_job *));
    size_t *best = mem_array(3 * (n + 1), sizeof(*best));
    size_t *from = best + n + 1, *shared = from + n + 1;
    struct prefix *all = mem_array(n, sizeof(*all));

    memcpy(sorted, g->queue, n * sizeof(struct model_job *));
    qsort(sorted, n, sizeof(struct model_job *), by_ids);
    cut_groups(sorted, n, best, from, shared);
    for (size_t j = n; j > 0; j = from[j]) {
        size_t tokens = SIZE_MAX;

        for (size_t i = from[j]; i + 1 < j; i++)
            tokens = shared[i] < tokens ? shared[i] : tokens;
        if (j - from[j] > 1)
            all[count++] = (struct prefix){ sorted[from[j]], tokens,
                                            best[j] - best[from[j]] };
    }
    if (count > 0)
        qsort(all, count, sizeof(*all), most_saved_first);
    count = count < MAX_GROUPS ? count : MAX_GROUPS;
    memcpy(out, all, count * sizeof(*all));
    free(sorted);
    free(best);
    free(all);
    return count;
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
        if (g->queued > 1)
            ask.sampling.shared = 0; /* of one prompt alone */
        rc = model_session_begin(g->session, &ask, &slot, NULL, &busy);
        g->taken += rc == 0;
    }
    return rc == 0 || rc == ERR_BUSY ? 0 : err_set(err, rc, "%s", busy.msg);
}

static int open_session(struct generator *g, struct err *err)
{
    struct prefix prefix[MAX_GROUPS];
    size_t groups = g->queued > 1 ? find_prefixes(g, prefix) : 0;
    size_t slots = g->queued < MAX_SLOTS ? g->queued : MAX_SLOTS;
    const struct model_session_options o = { .slots = slots + groups,
                                             .capacity = g->capacity,
                                             .keep_prefixes = groups > 0,
                                             .plain = g->opt->plain };
    struct model_session_stats now;
    int rc = model_session_open(g->m, &o, &g->session, err);

    if (rc < 0)
        return rc;
    model_session_stats(g->session, &now);
    /* Half of the slots at least are for answers. */
    for (size_t i = 0; rc == 0 && i < groups && i < now.slots / 2; i++)
        rc = session_prefix(g->session, prefix[i].job->prompt, prefix[i].tokens,
                            err);
    return rc;
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
    if (g->session && g->opt->told)
        model_session_stats(g->session, g->opt->told);
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
