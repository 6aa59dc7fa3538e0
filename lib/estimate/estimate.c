/*
 * estimate.c - from the sample to tasks, shares and money
 *
 * A task's share of the log's chats is its share of the sample, in calls,
 * tokens and dollars; the log's own totals are exact. What may move is the
 * task's calls times the chance that a task of its kind passes its gate.
 */
#include "estimate/estimate.h"

#include "base/mem.h"
#include "catalog/catalog.h"
#include "estimate/estimate_read.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define REPETITIVE 0.3   /* of the prompts' tokens, for a routine call */
#define INPUTS_MIN 500.0 /* different ones, to train on and to judge by */
#define DAYS_MIN 1.0     /* of a log that a month is told from */
#define HOUR_DAYS (1.0 / 24)
#define HOURS_A_MONTH 730.0
#define DAYS_A_MONTH 30.44
#define TRAIN_HOURS_LOW 0.1 /* a task, on one machine */
#define TRAIN_HOURS_HIGH 8.0
#define LORA_RANK 16
#define BATCH_TOKENS 2048

const struct estimate_record estimate_records[5] = {
    { "label", 1, 1 }, { "json", 1, 1 }, { "tool", 0, 0 },
    { "sql", 2, 2 },   { "text", 0, 1 },
};
const char estimate_records_source[] =
    "slmctl's own published demonstration, five tasks, one small base model";

static void assume(struct estimate *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void assume(struct estimate *e, const char *fmt, ...)
{
    struct buf text = { 0 };
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    buf_str(&text, line);
    if (e->assumption_count < ESTIMATE_ASSUMPTIONS)
        e->assumptions[e->assumption_count++] = buf_take(&text, NULL);
    buf_release(&text);
}

static void judge(struct estimate_task *t, enum tasks_kind kind)
{
    const char *name = tasks_kind_name(kind);
    struct score_interval by_kind = { 0, 1 };

    for (size_t i = 0; i < 5; i++)
        if (strcmp(estimate_records[i].kind, name) == 0)
            by_kind = score_wilson(estimate_records[i].passed,
                                   estimate_records[i].runs, SCORE_LEVEL);
    t->kind = name;
    t->movable = by_kind;
    if (kind == TASKS_TOOL) {
        t->movable.low = 0;
        t->why = "tool calls: no gate of that kind is on record";
    } else if (kind == TASKS_TEXT && t->repetitive < REPETITIVE) {
        t->movable = (struct score_interval){ 0, 0 };
        t->why = "free text of changing prompts";
    } else if (t->repetitive < REPETITIVE) {
        t->movable.low = 0;
        t->why = "prompts have little in common";
    } else if (t->inputs < INPUTS_MIN) {
        t->movable.low = 0;
        t->why = "too few different inputs to train on and judge by yet";
    } else {
        t->why = kind == TASKS_TEXT ? "repeated prompts, free answers"
                                    : "repeated prompts, answers of a form";
    }
}

/* Sums of one cluster over the sample. */
static void sum_task(struct estimate_task *t, const struct sample *s,
                     const uint32_t *cluster, uint32_t which, double *longest)
{
    double pairs = 0, same = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct sample_entry *e = &s->entries[i];
        double agreement = sample_same(e);

        if (cluster[i] != which)
            continue;
        t->inputs++;
        t->calls += e->calls;
        t->tokens_in += e->tokens_in;
        t->tokens_out += e->tokens_out;
        t->dollars += e->dollars;
        *longest = fmax(*longest, e->longest);
        if (!isnan(agreement)) {
            pairs += e->calls;
            same += e->calls * agreement;
        }
    }
    t->same = pairs > 0 ? same / pairs : (double)NAN;
}

static int compare_tasks(const void *a, const void *b)
{
    const struct estimate_task *x = a, *y = b;

    if (x->calls != y->calls)
        return x->calls > y->calls ? -1 : 1;
    return strcmp(x->name, y->name);
}

struct scale {
    double calls, in, out, dollars, inputs;
};

/* A sample of all is what it is; another stands for the calls of chats alone,
 * since it has no others. */
static struct scale scale_of(const struct read_chats *all,
                             const struct sample *s)
{
    struct sample_entry sum = { 0 };
    double part = (double)s->limit / (double)UINT64_MAX;

    if (s->limit == UINT64_MAX)
        return (struct scale){ 1, 1, 1, 1, 1 };
    for (size_t i = 0; i < s->count; i++) {
        sum.calls += s->entries[i].calls;
        sum.tokens_in += s->entries[i].tokens_in;
        sum.tokens_out += s->entries[i].tokens_out;
        sum.dollars += s->entries[i].dollars;
    }
    return (struct scale){
        sum.calls > 0 ? all->calls / sum.calls : 0,
        sum.tokens_in > 0 ? all->tokens_in / sum.tokens_in : 0,
        sum.tokens_out > 0 ? all->tokens_out / sum.tokens_out : 0,
        sum.dollars > 0 ? all->dollars / sum.dollars : 0,
        part > 0 ? 1 / part : 1,
    };
}

static void make_tasks(struct estimate *e, const struct read_pass *read,
                       const uint32_t *cluster, size_t clusters)
{
    const struct sample *s = &read->sample;
    const struct tasks_prompt **p = mem_array(s->count + 1, sizeof(*p));
    struct slice *response = mem_array(s->count + 1, sizeof(*response));
    struct tasks_summary *sum = mem_zalloc((clusters + 1) * sizeof(*sum));
    struct scale scale = scale_of(&read->chats, s);

    for (size_t i = 0; i < s->count; i++) {
        p[i] = &s->entries[i].prompt;
        response[i] = slice_of(s->entries[i].response);
    }
    tasks_describe(p, response, cluster, s->count, sum, clusters);
    e->tasks = mem_zalloc((clusters + 1) * sizeof(*e->tasks));
    for (size_t c = 0; c < clusters; c++) {
        struct estimate_task *t = &e->tasks[e->count];

        if (!sum[c].members) {
            free(sum[c].name);
            continue;
        }
        t->name = sum[c].name;
        t->repetitive = sum[c].repetitive;
        sum_task(t, s, cluster, (uint32_t)c, &e->context);
        t->calls *= scale.calls;
        t->tokens_in *= scale.in;
        t->tokens_out *= scale.out;
        t->dollars *= scale.dollars;
        t->inputs *= scale.inputs;
        judge(t, sum[c].kind);
        e->count++;
    }
    if (e->count)
        qsort(e->tasks, e->count, sizeof(*e->tasks), compare_tasks);
    free(sum);
    free(response);
    free(p);
}

static int find_tasks(struct estimate *e, struct read_pass *p, struct err *err)
{
    const struct sample *s = &p->sample;
    struct tasks_prompt *prompts = mem_array(s->count + 1, sizeof(*prompts));
    const struct tasks_prompt **each = mem_array(s->count + 1, sizeof(*each));
    uint32_t *cluster = mem_array(s->count + 1, sizeof(*cluster));
    float *novelty = mem_array(s->count + 1, sizeof(*novelty));
    struct tasks_model *model = NULL;
    int rc;

    for (size_t i = 0; i < s->count; i++) {
        prompts[i] = s->entries[i].prompt; /* borrowed */
        each[i] = &s->entries[i].prompt;
    }
    rc = tasks_fit(p->options->pool, prompts, s->count, p->options->seed, NULL,
                   p->options->progress, &model, err);
    if (rc == ERR_OK)
        rc = tasks_assign_all(model, NULL, each, s->count, cluster, novelty,
                              err);
    if (rc == ERR_OK)
        make_tasks(e, p, cluster, tasks_model_count(model));
    tasks_model_free(model);
    free(novelty);
    free(cluster);
    free(each);
    free(prompts);
    return rc;
}

static void add_shares(struct estimate *e)
{
    double calls = (double)(e->calls - e->failed), in_tasks = 0;
    double tokens = e->tokens_in + e->tokens_out;

    for (size_t i = 0; i < e->count; i++) {
        const struct estimate_task *t = &e->tasks[i];
        double c = calls > 0 ? t->calls / calls : 0;
        double k = tokens > 0 ? (t->tokens_in + t->tokens_out) / tokens : 0;
        double d = e->dollars > 0 ? t->dollars / e->dollars : 0;

        in_tasks += c;
        e->share_calls.low += c * t->movable.low;
        e->share_calls.high += c * t->movable.high;
        e->share_tokens.low += k * t->movable.low;
        e->share_tokens.high += k * t->movable.high;
        e->share_dollars.low += d * t->movable.low;
        e->share_dollars.high += d * t->movable.high;
    }
    e->untasked = fmax(0, 1 - in_tasks);
}

static double break_even(double once, double saved_month)
{
    return saved_month > 0 ? once / saved_month * DAYS_A_MONTH
                           : (double)INFINITY;
}

static void add_speed(struct estimate *e, const struct read_pass *p)
{
    double all = e->tokens_in + e->tokens_out;

    e->tokens_s_mean = e->tokens_s_needed = (double)NAN;
    if (!(e->days >= HOUR_DAYS))
        return;
    e->tokens_s_mean = all / (e->days * 86400) * e->share_tokens.high;
    e->tokens_s_needed =
        fmax(e->tokens_s_mean, read_pass_peak(p) / 3600 * e->share_tokens.high);
}

static void add_break_even(struct estimate *e, double machine_hour)
{
    static const double hours[2] = { TRAIN_HOURS_LOW, TRAIN_HOURS_HIGH };
    double saved[2] = { e->saved_month.high, e->saved_month.low };
    double movable = 0;

    for (size_t i = 0; i < e->count; i++)
        movable += e->tasks[i].movable.high > 0;
    for (int i = 0; i < 2; i++) {
        e->training_dollars[i] = movable * hours[i] * machine_hour;
        e->break_even_days[i] =
            isnan(saved[i]) ? (double)NAN
                            : break_even(e->training_dollars[i], saved[i]);
    }
}

static void add_money(struct estimate *e, const struct estimate_options *o,
                      const struct read_pass *p)
{
    double power = o->watts / 1000 * o->kwh_price;

    e->days = p->last_us > p->first_us
                  ? (double)(p->last_us - p->first_us) / 86400e6
                  : (double)NAN;
    e->machine_month = HOURS_A_MONTH * (o->machine_dollars_per_hour + power);
    e->dollars_month = e->dollars > 0 && e->days >= DAYS_MIN
                           ? e->dollars / e->days * DAYS_A_MONTH
                           : (double)NAN;
    e->saved_month.low =
        e->dollars_month * e->share_dollars.low - e->machine_month;
    e->saved_month.high =
        e->dollars_month * e->share_dollars.high - e->machine_month;
    add_speed(e, p);
    add_break_even(e, o->machine_dollars_per_hour + power);
}

/* The kind of the task with the most calls among those that may move. */
static const char *main_kind(const struct estimate *e)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->tasks[i].movable.high > 0)
            return e->tasks[i].kind;
    return NULL;
}

static int add_hardware(struct estimate *e, struct err *err)
{
    struct catalog *c = NULL;
    struct catalog_wish wish = {
        .kind = main_kind(e),
        .commercial = true,
        .min_context = (int64_t)e->context,
        .use = { .weight_bytes = 2,
                 .context = (int64_t)e->context,
                 .batch_tokens = BATCH_TOKENS,
                 .rank = LORA_RANK,
                 .kv_element_bytes = 2 },
    };
    struct catalog_candidate *list;
    int rc = wish.kind ? catalog_open(NULL, &c, err) : ERR_OK;

    if (rc < 0 || !c)
        return rc;
    list = mem_zalloc((catalog_count(c) + 1) * sizeof(*list));
    for (size_t i = 0; i < catalog_count(c); i++) {
        list[i].model = catalog_at(c, i);
        list[i].name = list[i].model->name;
    }
    if (catalog_choose(list, catalog_count(c), &wish) > 0) {
        e->model = mem_strdup(list[0].name);
        e->run_bytes = (double)list[0].need.run;
        e->train_bytes = (double)list[0].need.train;
    }
    free(list);
    catalog_free(c);
    return ERR_OK;
}

static void tell_sources(struct estimate *e, const struct sample *s)
{
    struct buf text = { 0 };

    for (size_t i = 0; i < 5; i++)
        buf_printf(&text, "%s%s %u of %u", i ? ", " : "",
                   estimate_records[i].kind, estimate_records[i].passed,
                   estimate_records[i].runs);
    assume(e,
           "what passes a gate: Wilson limits (one-sided 95 %%) of the tasks "
           "that passed in %s: %s",
           estimate_records_source, text.data ? text.data : "");
    buf_release(&text);
    assume(e,
           "a task can be trained and judged from %g different inputs on; "
           "prompts are repeated if most share %g %% of their tokens",
           INPUTS_MIN, 100 * REPETITIVE);
    if (s->limit != UINT64_MAX)
        assume(e,
               "tasks are found in %zu of about %.0f different requests, with "
               "all their repeats; totals are exact",
               s->count, (double)s->count / e->sampled);
    if (e->guessed)
        assume(e,
               "%llu calls do not say their tokens: a token is taken for four "
               "bytes of their bodies",
               (unsigned long long)e->guessed);
    if (e->unpriced)
        assume(e,
               "%llu calls are of models without a known price and count as "
               "free (--prices takes a table)",
               (unsigned long long)e->unpriced);
}

static void tell_costs(struct estimate *e, const struct estimate_options *o)
{
    assume(e,
           "one machine at $%g an hour%s, running all month, serves what "
           "moves; whether it is fast enough is not known before a model is "
           "tried on it",
           o->machine_dollars_per_hour,
           o->watts > 0 ? " and its power" : ", power included");
    if (o->watts > 0)
        assume(e, "power: %g W at $%g a kWh", o->watts, o->kwh_price);
    assume(e,
           "training takes %g to %g hours of that machine a task; people's "
           "time is not counted",
           TRAIN_HOURS_LOW, TRAIN_HOURS_HIGH);
    if (e->model)
        assume(e,
               "memory is that of %s, the first of the catalogue for this "
               "kind and context: two bytes a weight, one request at a time",
               e->model);
    if (isnan(e->days))
        assume(e, "calls have no times, so nothing is said about a month");
    else if (e->days < DAYS_MIN)
        assume(e, "the log is of less than a day, so nothing is said about a "
                  "month");
    else
        assume(e,
               "a month is like the %.1f days of the log; calls that move are "
               "as dear as the others of their task",
               e->days);
}

int estimate_run(const struct estimate_options *o, struct estimate *out,
                 struct err *err)
{
    struct read_pass *p = mem_zalloc(sizeof(*p));
    int rc;

    *out = (struct estimate){ 0 };
    read_pass_init(p, o, out);
    rc = read_pass_run(p, err);
    if (rc == ERR_OK && p->sample.count)
        rc = find_tasks(out, p, err);
    if (rc == ERR_OK) {
        out->sampled = (double)p->sample.limit / (double)UINT64_MAX;
        add_shares(out);
        add_money(out, o, p);
        rc = add_hardware(out, err);
    }
    if (rc == ERR_OK) {
        tell_sources(out, &p->sample);
        tell_costs(out, o);
    }
    read_pass_release(p);
    free(p);
    if (rc < 0) {
        estimate_release(out);
        *out = (struct estimate){ 0 };
    }
    return rc;
}

void estimate_release(struct estimate *e)
{
    for (size_t i = 0; i < e->count; i++)
        free(e->tasks[i].name);
    free(e->tasks);
    free(e->model);
    for (size_t i = 0; i < e->assumption_count; i++)
        free(e->assumptions[i]);
}
