/*
 * retrain_drift.c - are the calls of a task still those that it learnt from
 *
 * What is new counts as drifted only if it is like neither all that the model
 * learnt from nor what was new to it then: a change that was learnt does not
 * ask again. Calls that the model answered itself are no examples, but count
 * by the novelty that the router saw.
 */
#include "retrain/retrain_private.h"

#include "base/mem.h"
#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BINS 10
#define CHANCE 0.99
#define CHANCE_SEED 1
#define NOVEL 0.5 /* a novelty above it is new to cluster, too */

static const char NOVELTY[] = "novelty";

/* What calls of a task are compared by. */
static const struct feature {
    const char *name, *column;
} FEATURES[] = {
    { "prompt length", "l.tokens_in" },
    { "answer length", "l.tokens_out" },
    { "size", "l.raw" },
    { NOVELTY, "e.novelty" },
};
#define FEATURE_COUNT (sizeof(FEATURES) / sizeof(*FEATURES))

/* The oldest first. groups: conversations, whose calls are alike. last: those
 * that no data set before had. */
struct numbers {
    double *v;
    size_t count, cap, groups, last;
};

#define FRESH                                                                  \
    "example e JOIN logged l ON l.id = e.call WHERE e.task = ?1 AND e.kept "   \
    "AND e.split IN ('train', 'validation') AND e.call > ?2"
#define LEARNT                                                                 \
    "dataset_example d JOIN example e ON e.id = d.example JOIN logged l ON "   \
    "l.id = e.call WHERE d.dataset = ?1 AND ?2 NOTNULL"

static int read_numbers(struct store *s, const char *column, const char *from,
                        int64_t a, int64_t b, struct numbers *out,
                        struct err *err)
{
    char *text =
        mem_printf("SELECT %s, e.groups IS NOT lag(e.groups) OVER (ORDER BY "
                   "e.groups, l.id), l.id > ?2 FROM %s AND %s NOTNULL ORDER "
                   "BY l.id",
                   column, from, column);
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), text, &q, err);

    free(text);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, a);
    sql_bind_int(q, 2, b);
    while ((rc = sql_step(q, err)) == 1) {
        mem_grow((void **)&out->v, &out->cap, out->count + 1, sizeof(*out->v));
        out->v[out->count++] = sql_double(q, 0);
        out->groups += sql_int(q, 1) != 0;
        out->last += sql_int(q, 2) != 0;
    }
    return rc;
}

/* Of calls that a model of ours answered since. */
static int read_own(struct store *s, int64_t task, int64_t since_us,
                    struct numbers *out, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT novelty FROM decision WHERE " RETRAIN_OF_TASK
                     " AND went = 'slm' AND novelty NOTNULL AND time > ?2 "
                     "ORDER BY id",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, task);
    sql_bind_int(q, 2, since_us);
    while ((rc = sql_step(q, err)) == 1) {
        mem_grow((void **)&out->v, &out->cap, out->count + 1, sizeof(*out->v));
        out->v[out->count++] = sql_double(q, 0);
        out->groups++;
    }
    return rc;
}

static size_t bin_of(const double *edge, double x)
{
    size_t i = 0;

    while (i < BINS - 1 && x > edge[i])
        i++;
    return i;
}

/* As many items as there are conversations, in the same proportions. */
static void thin(double bins[BINS], const struct numbers *n)
{
    for (size_t i = 0; n->groups && i < BINS; i++)
        bins[i] = round(bins[i] * (double)n->groups / (double)n->count);
}

struct psi {
    double is, chance;
};

/* Deciles of the reference; equal ones leave empty categories, which do not
 * count. */
static struct psi compare(const struct numbers *old, const struct numbers *now)
{
    double edge[BINS - 1], expected[BINS] = { 0 }, actual[BINS] = { 0 };
    double *sorted = mem_array(old->count, sizeof(*sorted));
    struct psi out;

    memcpy(sorted, old->v, old->count * sizeof(*sorted));
    for (size_t i = 0; i < BINS - 1; i++)
        edge[i] = stats_quantile(sorted, old->count, (double)(i + 1) / BINS);
    free(sorted);
    for (size_t i = 0; i < old->count; i++)
        expected[bin_of(edge, old->v[i])]++;
    for (size_t i = 0; i < now->count; i++)
        actual[bin_of(edge, now->v[i])]++;
    thin(expected, old);
    thin(actual, now);
    out.is = stats_psi(expected, actual, BINS);
    out.chance = stats_psi_chance(expected, actual, BINS, CHANCE, CHANCE_SEED);
    return out;
}

/* Against all, and against what was new when it was trained. */
static struct psi nearest(const struct numbers *old, const struct numbers *now)
{
    struct psi all = compare(old, now), last;
    struct numbers part = *old;

    part.count = old->last < RETRAIN_LEAST ? RETRAIN_LEAST : old->last;
    if (part.count >= old->count)
        return all;
    part.v += old->count - part.count;
    part.groups = old->groups * part.count / old->count;
    last = compare(&part, now);
    return last.is - last.chance < all.is - all.chance ? last : all;
}

/* Novelty only says that something moved, so it is told where nothing else
 * is. */
static void note(const struct numbers *old, const struct numbers *now,
                 const char *name, double limit, struct retrain_due *d)
{
    struct psi p;

    if (old->count < RETRAIN_LEAST || now->count < RETRAIN_LEAST)
        return;
    p = nearest(old, now);
    if (d->moved && !(p.is - p.chance > d->psi - d->psi_chance))
        return;
    if (name == NOVELTY && d->psi > limit && d->psi > d->psi_chance)
        return;
    d->psi = p.is;
    d->psi_chance = p.chance;
    d->moved = name;
}

static void note_novel(const struct numbers *now, struct retrain_due *d)
{
    size_t novel = 0;

    if (now->count < RETRAIN_LEAST)
        return;
    for (size_t i = 0; i < now->count; i++)
        novel += now->v[i] > NOVEL;
    d->novel_share = (double)novel / (double)now->count;
}

/* What was answered here is what was familiar: calls that are less novel than
 * those learnt from are no drift. */
static bool is_newer(const struct numbers *old, const struct numbers *now)
{
    double before = 0, since = 0;

    for (size_t i = 0; i < old->count; i++)
        before += old->v[i] / (double)old->count;
    for (size_t i = 0; i < now->count; i++)
        since += now->v[i] / (double)now->count;
    return since > before;
}

static int measure(struct store *s, const struct retrain_seen *seen,
                   const struct feature *f, double limit, struct retrain_due *d,
                   struct err *err)
{
    struct numbers old = { 0 }, now = { 0 };
    int rc = read_numbers(s, f->column, FRESH, d->task, seen->call, &now, err);

    if (rc == 0 && seen->reference)
        rc = read_numbers(s, f->column, LEARNT, seen->reference, seen->before,
                          &old, err);
    if (rc == 0 && f->name == NOVELTY)
        rc = read_own(s, d->task, seen->time_us, &now, err);
    if (rc == 0 && f->name == NOVELTY)
        note_novel(&now, d);
    if (rc == 0 && (f->name != NOVELTY || is_newer(&old, &now)))
        note(&old, &now, f->name, limit, d);
    free(old.v);
    free(now.v);
    return rc;
}

int retrain_drift(struct store *s, const struct retrain_seen *seen,
                  double limit, struct retrain_due *d, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < FEATURE_COUNT; i++)
        rc = measure(s, seen, &FEATURES[i], limit, d, err);
    return rc;
}

struct mix {
    double *before, *since;
    size_t tasks, before_cap, since_cap;
};

static int read_mix(struct store *s, struct mix *m, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "WITH last(call) AS (SELECT max(high) FROM retrain_run "
                     "WHERE outcome = 'done' AND id IN (SELECT run FROM "
                     "retrain_step WHERE step = 'train')) SELECT sum(e.call <= "
                     "last.call), sum(e.call > last.call) FROM last, example e "
                     "JOIN task t ON t.id = e.task WHERE e.kept AND last.call "
                     "NOTNULL GROUP BY coalesce(t.merged_into, t.id)",
                     &q, err);

    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        size_t need = m->tasks + 1;

        mem_grow((void **)&m->before, &m->before_cap, need, sizeof(double));
        mem_grow((void **)&m->since, &m->since_cap, need, sizeof(double));
        m->before[m->tasks] = sql_double(q, 0);
        m->since[m->tasks++] = sql_double(q, 1);
    }
    return rc;
}

int retrain_mix(struct store *s, double *psi, double *chance, struct err *err)
{
    struct mix m = { 0 };
    double before = 0, since = 0;
    int rc = read_mix(s, &m, err);

    *psi = *chance = (double)NAN;
    for (size_t i = 0; i < m.tasks; i++) {
        before += m.before[i];
        since += m.since[i];
    }
    if (rc == 0 && before >= RETRAIN_LEAST && since >= RETRAIN_LEAST) {
        *psi = stats_psi(m.before, m.since, m.tasks);
        *chance =
            stats_psi_chance(m.before, m.since, m.tasks, CHANCE, CHANCE_SEED);
    }
    free(m.before);
    free(m.since);
    return rc;
}
