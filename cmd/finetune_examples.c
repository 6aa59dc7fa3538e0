/*
 * finetune_examples.c - a task's examples as documents, or as pairs
 *
 * Outcomes decide what an answer counts for: trained as logged, replaced,
 * left out, or the worse half of a preference.
 */
#include "finetune_job.h"

#include "base/mem.h"
#include "template/template.h"
#include "tokenizer/tokenizer.h"

#include <string.h>

#define MIN_HELD 8 /* examples that validate, however short the run */

static void ids_add(struct ids *list, int64_t id)
{
    mem_grow((void **)&list->v, &list->cap, list->count + 1, sizeof(*list->v));
    list->v[list->count++] = id;
}

/* The answer to train: the logged one, or what the outcome puts in its place.
 * Empty: the example is not to be used. */
static struct slice answer_of(struct task *t, const struct store_example *e)
{
    buf_reset(&t->message);
    switch (evaluate_target(e, t->kind, &t->message)) {
    case EVALUATE_AS_LOGGED: return e->response;
    case EVALUATE_CORRECTED: t->outcomes.corrected++; break;
    case EVALUATE_REJECTED: t->outcomes.rejected++; break;
    case EVALUATE_UNSCRUBBED: t->outcomes.unscrubbed++; break;
    }
    return buf_slice(&t->message);
}

/* How often the call was answered like this: curate keeps one of each. */
static int times_given(struct task *t, int64_t example, size_t *out,
                       struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(t->store),
                     "SELECT count(*) FROM example e JOIN example d ON d.input "
                     "= e.input AND d.answer = e.answer WHERE e.id = ? AND "
                     "(d.kept OR d.reason = 'duplicate')",
                     &q, err);

    *out = 1;
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, example);
    rc = sql_step(q, err);
    if (rc == 1 && sql_int(q, 0) > 1)
        *out = (size_t)sql_int(q, 0);
    sql_reset(q);
    return rc < 0 ? rc : 0;
}

/* All answers of --preference; the logged one also where a better is known. */
static int take_answers(struct task *t, const struct store_example *e,
                        bool *added, struct err *err)
{
    struct lora_answers *to = e->split == 'v' ? &t->held_better : &t->better;
    enum lora_verdict verdict = LORA_LOGGED;
    bool too = false;
    size_t times;
    int rc = times_given(t, e->id, &times, err);

    if (rc < 0)
        return rc;
    buf_reset(&t->message);
    switch (evaluate_target(e, t->kind, &t->message)) {
    case EVALUATE_AS_LOGGED: break;
    case EVALUATE_CORRECTED:
        rc = lora_answers_add(to, &t->reader, e->request,
                              buf_slice(&t->message), LORA_GOOD, 1, added, err);
        verdict = LORA_BAD;
        break;
    case EVALUATE_REJECTED: verdict = LORA_BAD; break;
    case EVALUATE_UNSCRUBBED: t->outcomes.unscrubbed++; return 0;
    }
    if (rc == 0)
        rc = lora_answers_add(to, &t->reader, e->request, e->response, verdict,
                              times, &too, err);
    *added |= too;
    return rc;
}

/* Of what a model has seen, every n-th, so that all ages are in it. */
static bool is_replayed(struct task *t, const struct store_example *e)
{
    if (e->split == 'v' || e->call > t->seen_call)
        return true;
    t->replay_due += t->replay_rate;
    if (t->replay_due < 1)
        return false;
    t->replay_due -= 1;
    return true;
}

static int take_example(void *ctx, const struct store_example *e,
                        struct err *err)
{
    struct task *t = ctx;
    struct slice answer = { 0 };
    bool added = false;
    int rc = 0;

    if (e->split != 'v' && e->call < t->first_call)
        return 0;
    if (!is_replayed(t, e))
        return 0;
    if (t->f->preference)
        rc = take_answers(t, e, &added, err);
    else
        answer = answer_of(t, e);
    if (answer.n > 0)
        rc = lora_read_call(&t->reader, e->request, answer,
                            e->split == 'v' ? &t->valid : &t->train, &added,
                            err);
    if (e->call > t->last_call)
        t->last_call = e->call;
    if (rc < 0 || !added)
        return rc;
    ids_add(e->split == 'v' ? &t->held : &t->examples, e->id);
    return stop_requested() ? err_set(err, ERR_INTERRUPTED, "interrupted") : 0;
}

/* The pairs take the documents' place. */
static void make_pairs(struct task *t)
{
    struct lora_pair_counts held = { 0 };

    lora_answers_pair(&t->better, &t->train, &t->outcomes.pairs);
    lora_answers_pair(&t->held_better, &t->valid, &held);
    lora_answers_release(&t->better);
    lora_answers_release(&t->held_better);
}

/* Why nothing is left to train on, and what would help. */
static int refuse_empty(const struct task *t, struct err *err)
{
    const struct lora_reader *r = &t->reader;
    const struct finetune_outcomes *o = &t->outcomes;

    if (t->f->preference)
        return err_set(err, ERR_NOTFOUND,
                       "task %s: no pair of a better and a worse answer: "
                       "outcomes with answers or rewards, or repeated prompts "
                       "with a majority, make them",
                       t->name);
    if (r->over_long > 0)
        return err_set(err, ERR_NOTFOUND,
                       "task %s: no training example is usable: %zu of %zu "
                       "are longer than %zu tokens; %s",
                       t->name, r->over_long, r->read, r->max_length,
                       t->f->max_length < t->context
                           ? "raise --max-length"
                           : "name a base with a longer context");
    if (r->read > 0)
        finetune_note_reasons(t->cli, r);
    if (r->read > 0)
        return err_set(err, ERR_NOTFOUND,
                       "task %s: no training example is usable: of %zu, %zu "
                       "are refused and %zu malformed (first: %s)",
                       t->name, r->read, r->refused, r->malformed,
                       r->reasons[0].text);
    if (o->rejected + o->unscrubbed > 0)
        return err_set(err, ERR_NOTFOUND,
                       "task %s: no training example is usable: their "
                       "outcomes call %zu bad, and %zu wait for slmctl curate",
                       t->name, o->rejected, o->unscrubbed);
    return err_set(err, ERR_NOTFOUND,
                   "task %s: no training example is usable; slmctl curate "
                   "and slmctl cluster make them",
                   t->name);
}

/* Prompts in use hold no tags, and no holes: a model that learns from such
 * examples learns what it will never see. Curate writes into the version of the
 * rules that there were any. */
static int check_masked(struct task *t, struct err *err)
{
    struct sql_stmt *q;
    long long masked = 0;
    int rc = sql_get(store_sql(t->store),
                     "SELECT count(*) FROM example WHERE task = ? AND kept "
                     "AND split <> 'test' AND spans > 0 AND rules GLOB '*+*'",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, t->id);
    rc = sql_step(q, err);
    if (rc < 0)
        return rc;
    masked = sql_int(q, 0);
    sql_reset(q);
    t->untrainable = masked > 0 && !t->f->force_masked;
    if (t->untrainable)
        return err_set(err, ERR_UNSUPPORTED,
                       "task %s: %lld of its examples hold tags or masks, "
                       "or lack what was dropped, which prompts in use do "
                       "not; run slmctl curate without --action tag, mask or "
                       "drop, or say --force-masked",
                       t->name, masked);
    return 0;
}

/* The call of the oldest example that --examples leaves. */
static int find_first(struct task *t, struct err *err)
{
    struct sql_stmt *q;
    int rc;

    if (t->f->examples == 0)
        return 0;
    rc = sql_get(store_sql(t->store),
                 "SELECT call FROM example WHERE task = ?1 AND kept AND split "
                 "= 'train' ORDER BY call DESC LIMIT 1 OFFSET ?2 - 1",
                 &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, t->id);
    sql_bind_int(q, 2, t->f->examples);
    rc = sql_step(q, err);
    if (rc == 1)
        t->first_call = sql_int(q, 0);
    sql_reset(q);
    return rc < 0 ? rc : 0;
}

/* What is new since the newest data set, and which share of the rest comes
 * along. Without anything new all is trained on. */
static int find_replay(struct task *t, struct err *err)
{
    struct sql_stmt *q;
    int rc;

    if (t->f->replay <= 0)
        return 0;
    rc = sql_get(store_sql(t->store),
                 "WITH seen(call) AS (SELECT max(e.call) FROM dataset_example "
                 "d JOIN example e ON e.id = d.example WHERE d.dataset = "
                 "(SELECT max(id) FROM dataset WHERE task = ?1 OR task IN "
                 "(SELECT id FROM task WHERE merged_into = ?1))) SELECT "
                 "seen.call, sum(e.call > seen.call), sum(e.call <= seen.call) "
                 "FROM seen, example e WHERE e.task = ?1 AND e.kept AND "
                 "e.split = 'train' AND e.call >= ?2",
                 &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, t->id);
    sql_bind_int(q, 2, t->first_call);
    rc = sql_step(q, err);
    if (rc == 1 && sql_int(q, 1) > 0 && sql_int(q, 2) > 0) {
        t->seen_call = sql_int(q, 0);
        t->replay_rate =
            t->f->replay * (double)sql_int(q, 1) / (double)sql_int(q, 2);
    }
    sql_reset(q);
    return rc < 0 ? rc : 0;
}

int finetune_read_examples(struct task *t, struct err *err)
{
    struct store_example_query q = { .task = t->id, .splits = "tv" };
    struct model_config config;
    int rc = check_masked(t, err);

    if (rc == 0)
        rc = find_first(t, err);
    if (rc == 0)
        rc = find_replay(t, err);
    if (rc == 0)
        rc = model_config_read(t->base.path, &config, err);
    if (rc == 0)
        rc = tokenizer_open(t->base.path, &t->tokenizer, err);
    if (rc == 0)
        rc = template_open(t->base.path, &t->template, err);
    if (rc < 0)
        return rc;
    t->context = config.context;
    finetune_options(t->f, t->cli, &config, false, &t->opt);
    t->reader = (struct lora_reader){
        .tokenizer = t->tokenizer,
        .template = t->template,
        .eos = -1,
        .max_length = t->f->max_length < config.context
                          ? (size_t)t->f->max_length
                          : (size_t)config.context,
        .answers_only = true,
        .cut = strcmp(t->f->over_long, "cut") == 0,
        .logprobs = t->f->logprobs,
    };
    rc = store_examples(t->store, &q, take_example, t, err);
    if (rc < 0)
        return rc;
    if (t->f->preference)
        make_pairs(t);
    if (t->opt.max_tokens > 0)
        lora_data_thin(&t->valid, (size_t)t->opt.max_tokens / 2, MIN_HELD);
    if (t->f->logprobs && t->train.top == 0)
        return err_set(err, ERR_NOTFOUND,
                       "task %s: no logged answer carries log probabilities "
                       "of the base's own tokens",
                       t->name);
    t->untrainable = t->train.trained == 0;
    if (t->untrainable)
        return refuse_empty(t, err);
    return t->f->show_mask ? 0 : finetune_check_mask(&t->train, err);
}
