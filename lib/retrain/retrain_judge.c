/*
 * retrain_judge.c - a candidate beside the LLM and beside the champion
 *
 * The first verdict is what eval wrote down. The second is made here, paired,
 * on the sealed items that both were asked: on those alone that came after the
 * champion was chosen and that no other candidate was asked, if they are enough
 * to decide. Else on all, and each further candidate against one champion is
 * one more chance, so the level rises with their number.
 */
#include "retrain/retrain_private.h"

#include "base/map.h"
#include "base/mem.h"
#include "registry/registry.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct pairs {
    double *score, *reference;
    uint64_t *cluster;
    size_t count, score_cap, reference_cap, cluster_cap;
};

static void pairs_add(struct pairs *p, double score, double reference,
                      struct slice group, int64_t example)
{
    size_t need = p->count + 1;

    mem_grow((void **)&p->score, &p->score_cap, need, sizeof(*p->score));
    mem_grow((void **)&p->reference, &p->reference_cap, need,
             sizeof(*p->reference));
    mem_grow((void **)&p->cluster, &p->cluster_cap, need, sizeof(*p->cluster));
    p->score[p->count] = score;
    p->reference[p->count] = reference;
    p->cluster[p->count++] = group.n
                                 ? hash_stable(group.p, group.n, 0)
                                 : hash_stable(&example, sizeof(example), 1);
}

static void pairs_release(struct pairs *p)
{
    free(p->score);
    free(p->reference);
    free(p->cluster);
}

#define PAIRS                                                                  \
    "SELECT a.score, b.score, e.groups, e.id FROM evaluation_item a JOIN "     \
    "evaluation_item b ON b.example = a.example JOIN example e ON e.id = "     \
    "a.example WHERE a.evaluation = ?1 AND b.evaluation = ?2 AND a.score "     \
    "NOTNULL AND b.score NOTNULL "
/* Since the evaluation that the champion was promoted with. */
#define NEWER                                                                  \
    "AND e.call > (SELECT max(x.call) FROM champion c JOIN registry_event r "  \
    "ON r.id = c.event JOIN evaluation v ON v.id = ?2 JOIN evaluation_item i " \
    "ON i.evaluation = r.evaluation JOIN example x ON x.id = i.example WHERE " \
    "c.model = v.model) AND NOT EXISTS (SELECT 1 FROM evaluation_item i JOIN " \
    "evaluation v ON v.id = i.evaluation WHERE i.example = e.id AND v.split "  \
    "= 'test' AND v.model NOT IN (SELECT model FROM evaluation WHERE id IN "   \
    "(?1, ?2))) "

static int read_pairs(struct store *s, bool newer, int64_t candidate,
                      int64_t champion, struct pairs *out, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     newer ? PAIRS NEWER "ORDER BY a.example"
                           : PAIRS "ORDER BY a.example",
                     &q, err);

    out->count = 0;
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, candidate);
    sql_bind_int(q, 2, champion);
    while ((rc = sql_step(q, err)) == 1)
        pairs_add(out, sql_double(q, 0), sql_double(q, 1), sql_text(q, 2),
                  sql_int(q, 3));
    return rc;
}

static int chances(struct store *s, int64_t task, int64_t champion,
                   int64_t *out, struct err *err)
{
    const int64_t bind[] = { task, champion };
    int rc = retrain_number(
        s,
        "SELECT count(DISTINCT model) FROM evaluation WHERE task = ?1 AND "
        "split = 'test' AND model <> ?2 AND created >= (SELECT since FROM "
        "champion WHERE task = ?1)",
        bind, 2, out, err);

    *out = *out < 1 ? 1 : *out;
    return rc;
}

/* Twice what a model needs that differs in nothing: Wilson's limit of 0 in n is
 * z^2 / (n + z^2). */
static size_t enough(double margin)
{
    const double z = 1.6449;

    return (size_t)ceil(2 * z * z * (1 - margin) / margin);
}

static void run_gate(const struct pairs *p, double margin, int64_t k,
                     struct retrain_verdict *out)
{
    const struct score_gate_input in = {
        .score = p->score,
        .reference = p->reference,
        .cluster = p->cluster,
        .count = p->count,
        .margin = margin,
        .level = 1 - (1 - SCORE_LEVEL) / (double)k,
        .seed = 1,
    };
    struct score_gate gate;

    score_gate_run(&in, &gate);
    out->items = p->count;
    out->champion = gate.verdict;
    out->difference = p->count ? gate.difference : (double)NAN;
}

/* One that is behind on all does not pass by the newer ones: a batch of wrong
 * answers makes up most of these, and there both fail. */
static int against_champion(struct store *s, int64_t task, int64_t model,
                            int64_t champion, double margin,
                            struct retrain_verdict *out, struct err *err)
{
    const double any = 1; /* it is the items that count here */
    struct registry_gate a, b;
    struct pairs pairs = { 0 };
    int64_t k = 1;
    int rc = registry_gate_of(s, task, model, any, &a, err);

    if (rc == 0)
        rc = registry_gate_of(s, task, champion, any, &b, err);
    if (rc == 0)
        rc = read_pairs(s, false, a.evaluation, b.evaluation, &pairs, err);
    if (rc == 0)
        rc = chances(s, task, champion, &k, err);
    if (rc == 0)
        run_gate(&pairs, margin, k, out);
    if (rc == 0 && out->difference >= -margin)
        rc = read_pairs(s, true, a.evaluation, b.evaluation, &pairs, err);
    out->newer = out->difference >= -margin && pairs.count >= enough(margin);
    if (rc == 0 && out->newer)
        run_gate(&pairs, margin, 1, out);
    pairs_release(&pairs);
    return rc;
}

static void explain(struct retrain_verdict *v, const char *llm,
                    int64_t champion)
{
    size_t n = sizeof(v->why), at = 0;

    if (v->llm != SCORE_PASS)
        at = (size_t)snprintf(v->why, n, "the gate against the LLM says %s%s",
                              llm, champion ? "; " : "");
    if (at >= n || (at && !champion))
        return;
    if (!champion)
        (void)snprintf(v->why, n, "passed; there is no champion yet");
    else if (v->items == 0)
        (void)snprintf(v->why + at, n - at,
                       "no sealed item was asked of it and of the champion");
    else
        (void)snprintf(v->why + at, n - at,
                       "%s the champion: %+.1f points on %zu %sitems",
                       v->champion == SCORE_PASS   ? "not worse than"
                       : v->champion == SCORE_FAIL ? "worse than"
                                                   : "not shown to equal",
                       100 * v->difference, v->items, v->newer ? "newer " : "");
}

int retrain_judge(struct store *s, int64_t task, int64_t model,
                  int64_t champion, double margin, double champion_margin,
                  struct retrain_verdict *out, struct err *err)
{
    struct registry_gate gate;
    int rc = registry_gate_of(s, task, model, margin, &gate, err);

    if (rc < 0)
        return rc;
    *out = (struct retrain_verdict){ .llm = SCORE_UNDECIDED,
                                     .champion = SCORE_PASS,
                                     .difference = (double)NAN };
    for (int v = SCORE_PASS; v <= SCORE_UNDECIDED; v++)
        if (strcmp(gate.verdict, score_verdict_name(v)) == 0)
            out->llm = v;
    if (out->llm == SCORE_PASS && !gate.passes)
        out->llm = SCORE_UNDECIDED;
    if (champion && champion != model)
        rc = against_champion(s, task, model, champion, champion_margin, out,
                              err);
    explain(out,
            !*gate.verdict ? "nothing: it was not made"
            : gate.is_wide && out->llm != SCORE_FAIL
                ? "nothing: its margin was wider"
                : gate.verdict,
            champion == model ? 0 : champion);
    return rc;
}
