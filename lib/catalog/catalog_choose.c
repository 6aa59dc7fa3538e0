/*
 * catalog_choose.c - which small models to try for a task
 *
 * Published figures disagree by harness, so they are never mixed: one
 * benchmark stands for a kind of task, the lowest figure published for a model
 * counts, and a model is only put behind another that is both smaller and
 * better. What really decides is a trial on the task's own data.
 */
#include "catalog/catalog.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *catalog_benchmark(const char *kind)
{
    if (strcmp(kind, "tool") == 0)
        return "BFCLv4";
    if (strcmp(kind, "sql") == 0)
        return "HumanEval";
    return "IFEval";
}

static const struct catalog_figure *lowest(const struct catalog_model *m,
                                           const char *benchmark)
{
    const struct catalog_figure *found = NULL;

    for (size_t i = 0; i < m->figure_count; i++)
        if (strcmp(m->figures[i].name, benchmark) == 0 &&
            (!found || m->figures[i].value < found->value))
            found = &m->figures[i];
    return found;
}

const struct catalog_figure *
catalog_ability_figure(const struct catalog_model *m, enum catalog_ability a)
{
    static const char *const benchmarks[][4] = {
        [CATALOG_INSTRUCTION] = { "IFEval" },
        [CATALOG_REASONING] = { "GSM8K", "MMLU-Pro", "MMLU", "BBH" },
    };
    const struct catalog_figure *found = NULL;

    for (size_t i = 0; !found && i < 4 && benchmarks[a][i]; i++)
        found = lowest(m, benchmarks[a][i]);
    return found;
}

static void say_gib(char out[32], int64_t bytes)
{
    double gib = (double)bytes / (1 << 30);

    (void)snprintf(out, 32, gib < 10 ? "%.2f GiB" : "%.0f GiB", gib);
}

/* True, with the reason, if the candidate cannot be used. */
static bool excluded(struct catalog_candidate *c,
                     const struct catalog_wish *wish)
{
    char need[32], have[32];
    const struct catalog_model *m = c->model;
    size_t size = sizeof(c->reason);

    if (!c->path && strstr(m->commercial, "no public weights"))
        return snprintf(c->reason, size, "no public weights") > 0;
    if (wish->offline && !c->path)
        return snprintf(c->reason, size, "weights are not here (--offline)") >
               0;
    if (wish->commercial && !catalog_is_commercial(m))
        return snprintf(c->reason, size, "licence %.60s: commercial use %.60s",
                        *m->licence ? m->licence : "unknown",
                        *m->commercial ? m->commercial : "unknown") > 0;
    if (!catalog_need(m, &wish->use, &c->need))
        return snprintf(c->reason, size,
                        "not sized: shapes or tying are not known") > 0;
    if (wish->min_context && !m->context)
        return snprintf(c->reason, size, "context length is not known") > 0;
    if (wish->min_context && m->context < wish->min_context)
        return snprintf(c->reason, size, "context %lld < %lld tokens needed",
                        (long long)m->context,
                        (long long)wish->min_context) > 0;
    if (wish->max_memory && c->need.train > wish->max_memory) {
        say_gib(need, c->need.train);
        say_gib(have, wish->max_memory);
        return snprintf(c->reason, size, "training needs %s, %s allowed", need,
                        have) > 0;
    }
    return false;
}

/* Smaller and no worse, or as small and better. */
static bool dominates(const struct catalog_candidate *a,
                      const struct catalog_candidate *b)
{
    return a->need.train <= b->need.train &&
           a->evidence->value >= b->evidence->value &&
           (a->need.train < b->need.train ||
            a->evidence->value > b->evidence->value);
}

enum { HERE = 0, FRONTS = 1, NO_FIGURE = 1000, OUT = 2000 };

static int order_by_rank_then_size(const void *pa, const void *pb)
{
    const struct catalog_candidate *a = pa, *b = pb;

    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->rank == OUT)
        return strcmp(a->name, b->name);
    if (a->need.train != b->need.train)
        return a->need.train < b->need.train ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* Peel fronts: rank FRONTS + i for those dominated by nobody left. */
static void peel_fronts(struct catalog_candidate *c, size_t count)
{
    size_t left = 0;

    for (size_t i = 0; i < count; i++)
        left += c[i].rank == NO_FIGURE - 1;
    for (int front = FRONTS; left; front++) {
        for (size_t i = 0; i < count; i++) {
            bool beaten = false;

            if (c[i].rank != NO_FIGURE - 1)
                continue;
            for (size_t k = 0; k < count && !beaten; k++)
                beaten = (c[k].rank == NO_FIGURE - 1 || c[k].rank == front) &&
                         dominates(&c[k], &c[i]);
            if (!beaten) {
                c[i].rank = front;
                left--;
            }
        }
    }
}

static void give_reason(struct catalog_candidate *c, const char *benchmark)
{
    size_t size = sizeof(c->reason);
    int n;

    if (c->rank == HERE)
        n = snprintf(c->reason, size, "weights are here, a trial can decide");
    else if (c->rank == NO_FIGURE)
        n = snprintf(c->reason, size, "no %s figure published; by size",
                     benchmark);
    else if (c->rank == FRONTS)
        n = snprintf(c->reason, size, "no smaller model here has a better %s",
                     benchmark);
    else
        n = snprintf(c->reason, size, "a smaller model has a better %s",
                     benchmark);
    if (n < 0)
        c->reason[0] = '\0';
}

size_t catalog_choose(struct catalog_candidate *c, size_t count,
                      const struct catalog_wish *wish)
{
    const char *benchmark = catalog_benchmark(wish->kind);
    size_t ranked = 0;

    for (size_t i = 0; i < count; i++) {
        c[i].evidence = lowest(c[i].model, benchmark);
        if (excluded(&c[i], wish))
            c[i].rank = OUT;
        else if (c[i].path)
            c[i].rank = HERE;
        else
            c[i].rank = c[i].evidence ? NO_FIGURE - 1 : NO_FIGURE;
    }
    peel_fronts(c, count);
    qsort(c, count, sizeof(*c), order_by_rank_then_size);
    for (size_t i = 0; i < count; i++) {
        if (c[i].rank == OUT) {
            c[i].rank = 0;
            continue;
        }
        give_reason(&c[i], benchmark);
        c[i].rank = (int)++ranked;
    }
    return ranked;
}
