/*
 * model_generate.c - generation: many sequences, one pass a step
 *
 * Every pass takes one row of each sequence that is being decoded and as many
 * prompt rows of the others as fit, so prompts and answers share each matrix
 * product. A row's result does not depend on its neighbours: a batch gives
 * the tokens that its prompts give one by one.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "model/model_mixer.h"
#include "model/model_sample.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PASS_ROWS 1024                   /* rows of one pass */
#define MAX_SLOTS 96                     /* sequences at once */
#define CACHE_BYTES ((size_t)1536 << 20) /* KV cache of all slots */
#define LEAST_PREFIX 16 /* shared tokens that are worth a slot of their own */

/* A sequence in a slot. */
struct sequence {
    struct model_job *job;
    size_t number; /* of the job: keys the random numbers */
    size_t past;   /* rows in the cache */
    size_t length; /* that they were turned for */
    size_t rows;   /* of this pass */
    double nll;
    struct constrain *form;
    int64_t state; /* of the form */
};

struct generator {
    struct model *m;
    const struct model_sampling *opt;
    struct model_job **queue; /* longest prompt first */
    struct model_job *jobs;
    size_t queued, taken, finished, capacity, slots;
    size_t prefix; /* tokens that all prompts share, in the slot `slots` */
    struct sequence *seqs; /* by slot; job NULL: free */
    struct compute_span (*states)[MODEL_MAX_STATES]; /* by mixer */
    struct compute_span logits, best, logp;
    int32_t *ids, *positions, *starts, *past, *slot_of, *index;
    int (*on_token)(void *ctx, int32_t id);
    void *ctx;
    float *row;    /* logits on the host */
    uint8_t *seen; /* by id, for the penalty */
    int64_t start_ns;
};

static bool is_stop(const struct generator *g, int32_t id)
{
    const struct model_config *c = &g->m->config;

    if (g->opt->ignore_eos)
        return false;
    for (unsigned i = 0; i < c->eos_count; i++)
        if (c->eos[i] == id)
            return true;
    for (size_t i = 0; i < g->opt->stop_count; i++)
        if (g->opt->stops[i] == id)
            return true;
    return false;
}

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

static struct model_cached cache_shape(const struct generator *g)
{
    return (struct model_cached){ .past = g->past,
                                  .slots = g->slot_of,
                                  .capacity = g->capacity,
                                  .step = PASS_ROWS,
                                  .slot_count = g->slots + (g->prefix > 0),
                                  .states = g->states };
}

/* Elements of a mixer's states; returns their sum. */
static size_t state_sizes(const struct model_mixer *x,
                          const struct model_cached *c,
                          size_t elements[MODEL_MAX_STATES])
{
    size_t sum = 0;

    for (unsigned k = 0; k < MODEL_MAX_STATES; k++)
        elements[k] = 0;
    if (x->ops->states)
        x->ops->states(x, c, elements);
    for (unsigned k = 0; k < MODEL_MAX_STATES; k++)
        sum += elements[k];
    return sum;
}

static int alloc_states(struct generator *g, struct err *err)
{
    struct model *m = g->m;
    struct model_cached shape = cache_shape(g);
    size_t elements[MODEL_MAX_STATES], one = 0, slots;
    int rc = 0;

    shape.slot_count = 1;
    for (size_t i = 0; i < m->mixer_count; i++)
        one += state_sizes(m->mixers[i], &shape, elements);
    slots = CACHE_BYTES / (one * sizeof(float) + 1);
    g->slots = slots < 1 ? 1 : slots > MAX_SLOTS ? MAX_SLOTS : slots;
    if (g->slots > g->queued)
        g->slots = g->queued;
    shape = cache_shape(g);
    g->states = mem_zalloc(m->mixer_count * sizeof(*g->states));
    for (size_t i = 0; rc == 0 && i < m->mixer_count; i++) {
        (void)state_sizes(m->mixers[i], &shape, elements);
        for (unsigned k = 0; rc == 0 && k < MODEL_MAX_STATES; k++)
            if (elements[k] > 0)
                rc = compute_alloc(m->compute, m->mixers[i]->ops->state_type,
                                   elements[k], "KV cache", &g->states[i][k],
                                   err);
    }
    return rc;
}

static int generator_init(struct generator *g, size_t count, struct err *err)
{
    struct compute *c = g->m->compute;
    size_t vocab = (size_t)g->m->config.vocab;
    int rc = queue_jobs(g, count, err);

    if (rc < 0 || g->queued == 0)
        return rc;
    g->prefix = shared_prefix(g);
    rc = alloc_states(g, err);
    if (rc == 0)
        rc = model_rope_reserve(g->m, g->capacity, err);
    if (rc == 0)
        rc = model_work_reserve(g->m, PASS_ROWS, g->slots, false, err);
    if (rc == 0)
        rc = compute_alloc(c, COMPUTE_F32, g->slots * vocab, "logits",
                           &g->logits, err);
    if (rc == 0)
        rc = compute_alloc(c, COMPUTE_I32, g->slots, "ids", &g->best, err);
    if (rc == 0)
        rc = compute_alloc(c, COMPUTE_F32, g->slots, "log p", &g->logp, err);
    if (rc < 0)
        return rc;
    g->seqs = mem_zalloc(g->slots * sizeof(*g->seqs));
    g->ids = mem_array(2 * PASS_ROWS + 4 * (g->slots + 2), sizeof(*g->ids));
    g->positions = g->ids + PASS_ROWS;
    g->starts = g->positions + PASS_ROWS;
    g->past = g->starts + g->slots + 1;
    g->slot_of = g->past + g->slots + 1;
    g->index = g->slot_of + g->slots + 1;
    g->row = mem_array(vocab, sizeof(*g->row));
    g->seen = mem_zalloc(vocab);
    return 0;
}

static void generator_release(struct generator *g)
{
    struct compute *c = g->m->compute;

    for (size_t i = 0; g->states && i < g->m->mixer_count; i++)
        for (unsigned k = 0; k < MODEL_MAX_STATES; k++)
            compute_release(c, &g->states[i][k]);
    compute_release(c, &g->logits);
    compute_release(c, &g->best);
    compute_release(c, &g->logp);
    free(g->states);
    free(g->queue);
    free(g->seqs);
    free(g->ids);
    free(g->row);
    free(g->seen);
}

/* The state that the shared prefix left, for the sequence in slot s: of each
 * state the slots are equal parts. */
static void copy_prefix(struct generator *g, size_t s)
{
    struct model *m = g->m;
    struct model_cached shape = cache_shape(g);
    size_t elements[MODEL_MAX_STATES];

    for (size_t i = 0; i < m->mixer_count; i++) {
        (void)state_sizes(m->mixers[i], &shape, elements);
        for (unsigned k = 0; k < MODEL_MAX_STATES; k++) {
            struct compute_span all = g->states[i][k];
            size_t n = elements[k] / shape.slot_count;

            if (n > 0)
                m->compute->ops->copy(m->compute, compute_at(all, s * n),
                                      compute_at(all, g->slots * n), n);
        }
    }
    g->seqs[s].past = g->seqs[s].length = g->prefix;
}

static void admit(struct generator *g)
{
    for (size_t s = 0; s < g->slots && g->taken < g->queued; s++) {
        struct model_job *job;

        if (g->seqs[s].job)
            continue;
        job = g->queue[g->taken++];
        g->seqs[s] =
            (struct sequence){ .job = job,
                               .number = (size_t)(job - g->jobs),
                               .form = job->form ? job->form : g->opt->form };
        if (g->prefix > 0)
            copy_prefix(g, s);
    }
}

/* Tokens of the prompt and those generated. */
static size_t known(const struct model_job *job)
{
    return job->prompt_count + job->out_count;
}

static int32_t token_at(const struct model_job *job, size_t i)
{
    return i < job->prompt_count ? job->prompt[i]
                                 : job->out[i - job->prompt_count];
}

/* Cached rows that were turned for a length which the sequence now leaves
 * behind must be computed anew. */
static void follow_length(const struct model *m, struct sequence *q)
{
    size_t now = known(q->job);

    if (q->past > 0 &&
        model_rope_row(m, 0, q->length) != model_rope_row(m, 0, now))
        q->past = 0;
    q->length = now;
}

/* Choose the rows of a pass; decoding sequences first. Returns sequences. */
static size_t plan(struct generator *g, size_t *rows)
{
    size_t n = 0, left = PASS_ROWS;

    for (size_t s = 0; s < g->slots; s++) {
        struct sequence *q = &g->seqs[s];

        if (q->job)
            follow_length(g->m, q);
        q->rows = q->job && q->past + 1 == known(q->job) && q->past > 0;
        left -= q->rows;
    }
    for (size_t s = 0; s < g->slots && left > 0; s++) {
        struct sequence *q = &g->seqs[s];
        size_t want = q->job && q->rows == 0 ? known(q->job) - q->past : 0;

        if (want == 0)
            continue;
        q->rows = want < left ? want : left;
        left -= q->rows;
    }
    *rows = 0;
    for (size_t s = 0; s < g->slots; s++) {
        struct sequence *q = &g->seqs[s];

        if (q->rows == 0)
            continue;
        g->starts[n] = (int32_t)*rows;
        g->past[n] = (int32_t)q->past;
        g->slot_of[n++] = (int32_t)s;
        for (size_t i = 0; i < q->rows; i++, ++*rows) {
            size_t at = q->past + i;

            g->ids[*rows] = token_at(q->job, at);
            g->positions[*rows] = model_rope_row(g->m, at, known(q->job));
        }
    }
    g->starts[n] = (int32_t)*rows;
    return n;
}

static void end_sequence(struct generator *g, struct sequence *q, bool stopped)
{
    q->job->finished = stopped;
    q->job->seconds = (double)(clock_mono_ns() - g->start_ns) * 1e-9;
    q->job = NULL;
    g->finished++;
}

/* The text is complete and no token may follow. */
static bool form_is_done(const struct sequence *q)
{
    const uint64_t *mask;

    if (!q->form || !constrain_is_end(q->form, q->state))
        return false;
    mask = constrain_mask(q->form, q->state);
    for (size_t i = 0; mask && i < (constrain_size(q->form) + 63) / 64; i++)
        if (mask[i])
            return false;
    return mask != NULL;
}

/* The sequence's next token; ends it where it must end. */
static void take_token(struct generator *g, struct sequence *q, int32_t id,
                       float logp)
{
    struct model_job *job = q->job;

    q->nll -= (double)logp;
    if (is_stop(g, id)) {
        end_sequence(g, q, true);
        return;
    }
    job->out[job->out_count++] = id;
    if (q->form)
        q->state = constrain_step(q->form, q->state, id);
    if (g->on_token && g->on_token(g->ctx, id) != 0)
        end_sequence(g, q, false);
    else if (form_is_done(q))
        end_sequence(g, q, true);
    else if (job->out_count >= allowance(g, job))
        end_sequence(g, q, q->form && constrain_is_end(q->form, q->state));
}

/* Where tokens run short, those after which the rest of the text does not fit
 * any more are left out too, as long as there are others. */
static void leave_room(struct generator *g, const struct sequence *q)
{
    size_t vocab = (size_t)g->m->config.vocab, kept = 0;
    size_t left = allowance(g, q->job) - q->job->out_count - 1;
    uint64_t *fits;

    if (left >= constrain_longest_rest(q->form))
        return;
    fits = mem_zalloc((vocab / 64 + 1) * sizeof(*fits));
    for (size_t i = 0; i < vocab; i++) {
        int32_t id = (int32_t)i;

        if (!(g->row[i] > -INFINITY) ||
            (!is_stop(g, id) &&
             constrain_rest(q->form, constrain_step(q->form, q->state, id)) >
                 left))
            continue;
        fits[i / 64] |= (uint64_t)1 << (i % 64);
        kept++;
    }
    for (size_t i = 0; i < vocab && kept; i++)
        if (!(fits[i / 64] >> (i % 64) & 1))
            g->row[i] = -INFINITY;
    free(fits);
}

/* -INFINITY for what the form does not allow; stop tokens only at an end. */
static int mask_row(struct generator *g, const struct sequence *q,
                    struct err *err)
{
    const uint64_t *mask = constrain_mask(q->form, q->state);
    size_t vocab = (size_t)g->m->config.vocab, size = constrain_size(q->form);
    bool end = constrain_is_end(q->form, q->state);
    size_t left = 0;

    if (!mask)
        return err_set(err, ERR_LIMIT,
                       "the form that the text must keep to needs more than "
                       "%u states: make it simpler",
                       CONSTRAIN_MAX_STATES);
    for (size_t i = 0; i < vocab; i++) {
        bool fine = i < size && mask[i / 64] >> (i % 64) & 1;

        if (is_stop(g, (int32_t)i))
            fine = end;
        left += fine;
        if (!fine)
            g->row[i] = -INFINITY;
    }
    if (!left)
        return err_set(err, ERR_UNSUPPORTED,
                       "no token of the vocabulary goes on with the text that "
                       "the form asks for");
    leave_room(g, q);
    return 0;
}

static bool on_host(const struct generator *g, const struct sequence *q)
{
    const struct model_sampling *opt = g->opt;

    return q->form || opt->temperature > 0 || opt->on_choice ||
           (opt->repetition > 0 && fabs(opt->repetition - 1) > 0);
}

/* Choose from row i of the logits, on the host. */
static int choose_from_row(struct generator *g, struct sequence *q, size_t i,
                           int32_t *id, float *logp, struct err *err)
{
    struct compute *c = g->m->compute;
    const struct model_sampling *opt = g->opt;
    const struct model_job *job = q->job;
    size_t vocab = (size_t)g->m->config.vocab;
    struct compute_span from = compute_at(g->logits, i * vocab);
    double all;
    float own;
    int rc = 0;

    c->ops->download(c, g->row, from, vocab);
    all = model_log_sum(g->row, vocab);
    if (opt->repetition > 0) {
        model_penalise(g->row, vocab, opt->repetition, job->prompt,
                       job->prompt_count, g->seen);
        model_penalise(g->row, vocab, opt->repetition, job->out, job->out_count,
                       g->seen);
        memset(g->seen, 0, vocab);
    }
    if (q->form)
        rc = mask_row(g, q, err);
    if (rc < 0)
        return rc;
    *id = model_sample(g->row, vocab, opt, q->number, job->out_count);
    /* What the model itself says of it. */
    if (opt->on_choice) {
        c->ops->download(c, g->row, from, vocab);
        opt->on_choice(opt->choice_ctx, g->row, *id);
    }
    c->ops->download(c, &own, compute_at(from, (size_t)*id), 1);
    *logp = (float)((double)own - all);
    return 0;
}

/* Tokens for the sequences whose last row is known: `n` rows of work.top. */
static int choose_tokens(struct generator *g, const int32_t *slots, size_t n,
                         struct err *err)
{
    struct compute *c = g->m->compute;
    size_t vocab = (size_t)g->m->config.vocab, greedy = 0;
    int32_t best[MAX_SLOTS];
    float logp[MAX_SLOTS];
    int rc = 0;

    model_head(g->m, g->logits, g->m->work.top, n);
    if (!isfinite(c->ops->sum_squares(c, g->logits, n * vocab)))
        return err_set(err, ERR_FORMAT,
                       "what it computes is not finite: its weights or its "
                       "adapter's are damaged (slmctl model verify tells)");
    for (size_t i = 0; i < n; i++)
        greedy += !on_host(g, &g->seqs[slots[i]]);
    if (greedy > 0) {
        c->ops->argmax(c, g->best, g->logp, g->logits, n, vocab);
        c->ops->download(c, best, g->best, n);
        c->ops->download(c, logp, g->logp, n);
    }
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct sequence *q = &g->seqs[slots[i]];

        if (on_host(g, q))
            rc = choose_from_row(g, q, i, &best[i], &logp[i], err);
        if (rc == 0)
            take_token(g, q, best[i], logp[i]);
    }
    return rc;
}

static int run_pass(struct generator *g, struct err *err)
{
    struct model *m = g->m;
    const struct compute_ops *ops = m->compute->ops;
    struct model_cached cached = cache_shape(g);
    size_t rows, n = plan(g, &rows), ends = 0;
    int32_t slots[MAX_SLOTS];
    int rc = 0;
    struct model_pass p = {
        .m = m, .rows = rows, .starts = g->starts, .docs = n, .cached = &cached
    };

    ops->upload(m->compute, m->work.ids, g->ids, rows);
    ops->upload(m->compute, m->work.positions, g->positions, rows);
    model_blocks(&p, false);
    for (size_t i = 0; i < n; i++) {
        struct sequence *q = &g->seqs[g->slot_of[i]];

        q->past += q->rows;
        if (q->past < known(q->job))
            continue;
        g->index[ends] = g->starts[i + 1] - 1;
        slots[ends++] = g->slot_of[i];
    }
    if (ends > 0) {
        ops->upload(m->compute, m->work.index, g->index, ends);
        ops->gather(m->compute, m->work.top, m->work.x, m->work.index, ends,
                    (size_t)m->config.hidden);
        rc = choose_tokens(g, slots, ends, err);
    }
    return rc < 0 ? rc : ops->sync(m->compute, err);
}

/* The shared prefix, in pieces of a pass, into the slot behind the others. */
static int run_prefix(struct generator *g, struct err *err)
{
    struct model *m = g->m;
    const struct compute_ops *ops = m->compute->ops;
    const struct model_job *job = g->queue[0];
    struct model_cached cached = cache_shape(g);
    int rc = 0;

    for (size_t past = 0, n; past < g->prefix && rc == 0; past += n) {
        struct model_pass p = {
            .m = m, .starts = g->starts, .docs = 1, .cached = &cached
        };

        n = g->prefix - past < PASS_ROWS ? g->prefix - past : PASS_ROWS;
        p.rows = n;
        g->starts[0] = 0;
        g->starts[1] = (int32_t)n;
        g->past[0] = (int32_t)past;
        g->slot_of[0] = (int32_t)g->slots;
        for (size_t i = 0; i < n; i++) {
            g->ids[i] = job->prompt[past + i];
            g->positions[i] = model_rope_row(m, past + i, g->prefix);
        }
        ops->upload(m->compute, m->work.ids, g->ids, n);
        ops->upload(m->compute, m->work.positions, g->positions, n);
        model_blocks(&p, false);
        rc = ops->sync(m->compute, err);
    }
    return rc;
}

static int generator_run(struct generator *g, const struct progress *progress,
                         struct err *err)
{
    int rc = g->prefix > 0 ? run_prefix(g, err) : 0;

    while (rc == 0 && g->finished < g->queued) {

        if (stop_requested())
            return err_set(err, ERR_INTERRUPTED, "interrupted");
        admit(g);
        rc = run_pass(g, err);
        if (rc == 0)
            progress_update(progress, "generate", g->finished, g->queued, NULL);
    }
    return rc;
}

int model_generate_batch(struct model *m, struct model_job *jobs, size_t count,
                         const struct model_sampling *opt,
                         const struct progress *progress, struct err *err)
{
    struct generator g = {
        .m = m, .opt = opt, .jobs = jobs, .start_ns = clock_mono_ns()
    };
    int rc = generator_init(&g, count, err);

    if (rc == 0)
        rc = generator_run(&g, progress, err);
    generator_release(&g);
    return rc;
}

int model_generate(struct model *m, const int32_t *prompt, size_t n,
                   const struct model_sampling *opt,
                   int (*on_token)(void *ctx, int32_t id), void *ctx,
                   int32_t *out, size_t *out_count, bool *finished, double *nll,
                   struct err *err)
{
    struct model_job job = { .prompt = prompt, .prompt_count = n, .out = out };
    struct generator g = { .m = m,
                           .opt = opt,
                           .jobs = &job,
                           .on_token = on_token,
                           .ctx = ctx,
                           .start_ns = clock_mono_ns() };
    int rc;

    if (n == 0)
        return err_set(err, ERR_INVALID, "the prompt is empty");
    if (n >= (size_t)m->config.context)
        return err_set(err, ERR_LIMIT,
                       "the prompt has %zu tokens; the model's context is %lld",
                       n, (long long)m->config.context);
    rc = generator_init(&g, 1, err);
    if (rc == 0)
        rc = generator_run(&g, NULL, err);
    if (rc == 0) {
        *out_count = job.out_count;
        *finished = job.finished;
        if (nll)
            *nll = g.seqs ? g.seqs[0].nll : 0;
    }
    generator_release(&g);
    return rc;
}
