/*
 * evaluate.c - one task from its items to the verdict
 *
 * The order matters: the seal is written first, then items are read, then the
 * models answer, and only what the gate may see goes into it.
 */
#include "evaluate/evaluate_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *evaluate_who_name(enum evaluate_who w)
{
    static const char *const names[] = { "base", "tuned", "llm" };

    return names[w];
}

int evaluate_task_read(struct store *s, int64_t task, struct evaluate_result *r,
                       struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), "SELECT name, kind FROM task WHERE id = ?",
                     &q, err);
    char *kind;

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, task);
    rc = sql_step(q, err);
    if (rc <= 0)
        return rc < 0 ? rc
                      : err_set(err, ERR_NOTFOUND, "no task %lld",
                                (long long)task);
    r->task = task;
    r->task_name = slice_dup(sql_text(q, 0));
    kind = slice_dup(sql_text(q, 1));
    sql_reset(q);
    if (!score_kind_parse(kind, &r->kind))
        rc = err_set(err, ERR_UNSUPPORTED, "task %s: unknown kind %s",
                     r->task_name, kind);
    else
        rc = ERR_OK;
    free(kind);
    return rc;
}

/* Each model that sees a test is another chance to pass it. */
static int seen_by_count(struct store *s, struct evaluate_result *r,
                         struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT count(DISTINCT coalesce(model, -id)) FROM seal "
                     "WHERE task = ?",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, r->task);
    rc = sql_step(q, err);
    if (rc == 1)
        r->seen_by = (size_t)sql_int(q, 0);
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

static int seal_open(struct store *s, const struct evaluate_options *opt,
                     struct evaluate_result *r, struct err *err)
{
    int rc;

    r->sealed_before = -1;
    if (opt->split != 's')
        return ERR_OK;
    rc = store_seal(s, r->task, r->model, "eval", &r->sealed_before, err);
    return rc < 0 ? rc : seen_by_count(s, r, err);
}

/* The logged answer against outcomes; where the logged answer is the
 * reference itself, the LLM's agreement with itself stands for it. */
void evaluate_llm_score(struct evaluate_result *r, uint64_t seed)
{
    for (size_t i = 0; i < r->count; i++) {
        struct evaluate_item *it = &r->items[i];
        struct score_pair pair = { .request = buf_slice(&it->request),
                                   .reference = buf_slice(&it->reference),
                                   .answer = buf_slice(&it->logged) };
        struct score *s = &it->scores[EVALUATE_LLM], gold;

        it->measured = it->reference.len == 0;
        if (it->measured) {
            /* Against itself: is it valid? */
            pair.reference = buf_slice(&it->logged);
            score_answer(r->kind, &pair, seed, s);
            s->value = r->self_agreement;
        } else {
            score_answer(r->kind, &pair, seed, s);
        }
        if (it->gold.len > 0) {
            pair.reference = buf_slice(&it->gold);
            score_answer(r->kind, &pair, seed, &gold);
            it->golds[EVALUATE_LLM] = gold.value;
        }
    }
}

static void column_clear(struct evaluate_column *c)
{
    double none = (double)NAN;

    c->score = c->macro_f1 = c->valid = c->f1 = c->rouge_l = none;
    c->chrf = c->length_ratio = c->refused = none;
    c->call_names = c->call_arguments = none;
    c->loss = c->gold = c->seen = c->unseen = none;
    c->tokens_per_second = c->latency_p50_ms = c->latency_p95_ms = none;
    c->dollars = none;
    c->interval = c->gold_interval = (struct score_interval){ 0, 1 };
}

/* A running mean that leaves NaN out; a value may count for several calls. */
struct mean {
    double sum, weight, squares, count;
};

static void mean_add_calls(struct mean *m, double v, size_t calls)
{
    if (isnan(v))
        return;
    m->sum += v * (double)calls;
    m->weight += (double)calls;
    m->squares += (double)(calls * calls);
    m->count++;
}

static void mean_add(struct mean *m, double v)
{
    mean_add_calls(m, v, 1);
}

static double mean_value(struct mean m)
{
    return m.count > 0 ? m.sum / m.weight : (double)NAN;
}

/* Duplicates shift the mean and add no evidence: uneven weights are worth
 * fewer items than there are (Kish). */
static struct score_interval mean_interval(struct mean m)
{
    double n = m.count > 0 ? m.weight * m.weight / m.squares : 0;

    return score_wilson(n > 0 ? mean_value(m) * n : 0, n, SCORE_LEVEL);
}

static double column_macro_f1(const struct evaluate_result *r,
                              enum evaluate_who who)
{
    struct score_labels *l = evaluate_labels(r, who);
    double f1 = score_labels_macro_f1(l);

    score_labels_free(l);
    return f1;
}

static void column_more(struct evaluate_result *r, enum evaluate_who who)
{
    struct evaluate_column *c = &r->columns[who];
    struct mean chrf = { 0 }, length = { 0 }, name = { 0 }, arguments = { 0 };
    struct mean refused = { 0 };

    for (size_t i = 0; i < r->count; i++) {
        const struct evaluate_item *it = &r->items[i];
        const struct score *s = &it->scores[who];
        struct score_pair pair = {
            .reference =
                buf_slice(it->reference.len ? &it->reference : &it->logged),
            .answer = buf_slice(who == EVALUATE_LLM ? &it->logged
                                                    : &it->answers[who]),
        };
        struct score_more more;

        if (isnan(s->value))
            continue;
        score_more(&pair, s, &more);
        mean_add_calls(&chrf, more.chrf, it->calls);
        mean_add_calls(&length, more.length_ratio, it->calls);
        mean_add_calls(&name, more.name, it->calls);
        mean_add_calls(&arguments, more.arguments, it->calls);
        mean_add_calls(&refused, more.refused, it->calls);
    }
    c->chrf = mean_value(chrf);
    c->length_ratio = mean_value(length);
    c->call_names = mean_value(name);
    c->call_arguments = mean_value(arguments);
    c->refused = mean_value(refused);
}

static void column_sum(struct evaluate_result *r, enum evaluate_who who)
{
    struct evaluate_column *c = &r->columns[who];
    struct mean score = { 0 }, valid = { 0 }, f1 = { 0 }, rouge = { 0 };
    struct mean gold = { 0 }, part[2] = { { 0 } };

    for (size_t i = 0; i < r->count; i++) {
        const struct evaluate_item *it = &r->items[i];
        const struct score *s = &it->scores[who];

        if (isnan(it->scores[EVALUATE_TUNED].value))
            continue; /* all columns are about the same items */
        mean_add_calls(&score, s->value, it->calls);
        mean_add_calls(&part[it->unseen], s->value, it->calls);
        mean_add_calls(&valid, s->valid ? 1 : 0, it->calls);
        mean_add_calls(&gold, it->golds[who], it->calls);
        mean_add_calls(&f1, s->f1, it->calls);
        mean_add_calls(&rouge, s->rouge_l, it->calls);
    }
    c->score = mean_value(score);
    c->interval = mean_interval(score);
    c->valid = mean_value(valid);
    c->gold = mean_value(gold);
    c->gold_interval = mean_interval(gold);
    c->seen = mean_value(part[0]);
    c->unseen = mean_value(part[1]);
    c->seen_count = (size_t)part[0].count;
    c->unseen_count = (size_t)part[1].count;
    if (who == EVALUATE_LLM && r->from_outcomes == 0)
        return; /* the rest would compare the log with itself */
    c->f1 = mean_value(f1);
    c->rouge_l = mean_value(rouge);
    column_more(r, who);
    if (r->kind == SCORE_LABEL)
        c->macro_f1 = column_macro_f1(r, who);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* What the log says about the LLM: latency, tokens, money. */
static void llm_facts(struct evaluate_result *r,
                      const struct evaluate_options *opt)
{
    struct evaluate_column *c = &r->columns[EVALUATE_LLM];
    double *ms = mem_array(r->count + 1, sizeof(*ms));
    struct mean in = { 0 }, out = { 0 };
    size_t n = 0;

    for (size_t i = 0; i < r->count; i++) {
        const struct evaluate_item *it = &r->items[i];

        if (it->latency_us >= 0)
            ms[n++] = (double)it->latency_us / 1000;
        if (it->tokens_in >= 0 && it->tokens_out >= 0) {
            mean_add(&in, (double)it->tokens_in);
            mean_add(&out, (double)it->tokens_out);
        }
    }
    if (n > 0) {
        qsort(ms, n, sizeof(*ms), by_value);
        c->latency_p50_ms = ms[n / 2];
        c->latency_p95_ms = ms[(n * 95 - 1) / 100];
    }
    free(ms);
    r->llm_tokens_in = mean_value(in);
    r->llm_tokens_out = mean_value(out);
    if (r->llm && opt->prices)
        r->price = score_prices_find(opt->prices, r->llm);
    if (r->price && in.count > 0)
        c->dollars =
            score_price_calls(r->price, r->llm_tokens_in, 0, r->llm_tokens_out);
}

static int by_count(const void *a, const void *b)
{
    const struct evaluate_reason *x = a, *y = b;

    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return strcmp(x->text, y->text);
}

static void reasons_count(struct evaluate_result *r)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct score *s = &r->items[i].scores[EVALUATE_TUNED];
        size_t k = 0;

        r->by_text += r->kind == SCORE_SQL && strcmp(s->method, "text") == 0;
        if (!s->reason || !s->reason[0])
            continue;
        while (k < r->reason_count &&
               strcmp(r->reasons[k].text, s->reason) != 0)
            k++;
        if (k == EVALUATE_REASONS)
            continue;
        if (k == r->reason_count) {
            r->reasons[k].text = s->reason;
            r->reason_count++;
        }
        r->reasons[k].count++;
    }
    qsort(r->reasons, r->reason_count, sizeof(*r->reasons), by_count);
}

/* Endpoints of one evaluation; NULL where none is meant. */
struct asks {
    struct ask *endpoint, *judge;
};

/* Before a seal is opened it is known that somebody is there. */
static int asks_open(struct asks *a, const struct evaluate_options *opt,
                     struct err *err)
{
    int rc = ERR_OK;

    if (opt->endpoint)
        rc = ask_open(opt->endpoint, &a->endpoint, err);
    if (rc == ERR_OK && opt->endpoint)
        rc = ask_probe(a->endpoint, err);
    if (rc == ERR_OK && opt->judge)
        rc = ask_open(opt->judge, &a->judge, err);
    if (rc == ERR_OK && opt->judge)
        rc = ask_probe(a->judge, err);
    return rc;
}

static void asks_close(struct asks *a)
{
    ask_close(a->endpoint);
    ask_close(a->judge);
}

static int models_answer(struct store *s, struct evaluate_result *r,
                         const struct evaluate_model *m, struct asks *asks,
                         const struct evaluate_options *opt, struct err *err)
{
    int rc = ERR_OK;

    if (opt->endpoint) {
        r->asked = true;
        r->columns[EVALUATE_TUNED].present = true;
        r->columns[EVALUATE_TUNED].name = mem_strdup(m->name);
        return evaluate_endpoint(s, r, asks->endpoint, opt, err);
    }
    if (m->base_dir && !opt->no_base) {
        r->columns[EVALUATE_BASE].present = true;
        r->columns[EVALUATE_BASE].name = mem_strdup(m->base_name);
        rc = evaluate_answers(s, r, EVALUATE_BASE, m->base_dir, NULL, opt, err);
    }
    r->columns[EVALUATE_TUNED].present = true;
    r->columns[EVALUATE_TUNED].name = mem_strdup(m->name);
    if (rc == ERR_OK)
        rc = evaluate_answers(s, r, EVALUATE_TUNED, m->dir, m->adapter, opt,
                              err);
    return rc;
}

/* Answers that an outcome calls bad are nobody's reference. */
static void rejected_leave_out(struct evaluate_result *r)
{
    for (size_t i = 0; i < r->count; i++) {
        struct evaluate_item *it = &r->items[i];

        if (evaluate_item_is_judged(it))
            continue;
        for (int k = 0; k < EVALUATE_WHOS; k++) {
            it->scores[k].value = (double)NAN;
            it->scores[k].reason = it->target == EVALUATE_REJECTED
                                       ? "reference_rejected"
                                       : "reference_unscrubbed";
        }
    }
}

static void result_settle(struct evaluate_result *r,
                          const struct evaluate_options *opt)
{
    evaluate_llm_score(r, opt->seed);
    rejected_leave_out(r);
    r->columns[EVALUATE_LLM].present = true;
    r->columns[EVALUATE_LLM].name = mem_strdup(r->llm ? r->llm : "logged LLM");
    for (int k = 0; k < EVALUATE_WHOS; k++)
        if (r->columns[k].present)
            column_sum(r, (enum evaluate_who)k);
    if (r->from_outcomes == 0)
        r->columns[EVALUATE_LLM].interval = r->self_interval;
    llm_facts(r, opt);
    reasons_count(r);
    evaluate_gate(r, opt);
    evaluate_judge_gate(r);
    r->columns[EVALUATE_TUNED].interval = r->gate.score_interval;
}

int evaluate_task(struct store *s, int64_t task,
                  const struct evaluate_model *model,
                  const struct evaluate_options *opt,
                  struct evaluate_result *out, struct err *err)
{
    struct evaluate_result r = { .split = opt->split, .model = model->id };
    struct asks asks = { 0 };
    int rc = evaluate_task_read(s, task, &r, err);

    for (int k = 0; k < EVALUATE_WHOS; k++)
        column_clear(&r.columns[k]);
    if (!opt->endpoint)
        r.weights = model_kept_name(opt->kept);
    if (rc == ERR_OK)
        rc = evaluate_inputs(s, &r, model, opt, r.inputs, err);
    if (rc == ERR_OK && opt->reuse)
        rc = evaluate_reuse(s, opt, &r, err);
    if (rc == 1) {
        *out = r;
        return ERR_OK;
    }
    if (rc == ERR_OK)
        rc = asks_open(&asks, opt, err);
    if (rc == ERR_OK)
        rc = seal_open(s, opt, &r, err);
    if (rc == ERR_OK)
        rc = evaluate_items_load(s, opt, &r, err);
    if (rc == ERR_OK && opt->gold)
        rc = evaluate_gold_load(s, opt->gold, &r, err);
    if (rc == ERR_OK)
        rc = evaluate_self_agreement(s, opt->seed, &r, err);
    if (rc == ERR_OK && opt->constrain)
        rc = evaluate_content_learn(s, &r, err);
    if (rc == ERR_OK)
        rc = models_answer(s, &r, model, &asks, opt, err);
    if (rc == ERR_OK && opt->judge)
        rc = evaluate_judge_run(&r, asks.judge, opt, err);
    asks_close(&asks);
    if (rc < 0 && r.empty) {
        *out = r;
        return rc;
    }
    if (rc < 0) {
        evaluate_result_release(&r);
        return rc;
    }
    result_settle(&r, opt);
    if (r.failed > 0 || r.judge.failed > 0)
        r.inputs[0] = '\0'; /* another time may go better */
    *out = r;
    return ERR_OK;
}
