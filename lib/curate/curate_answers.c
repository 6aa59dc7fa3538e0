/*
 * curate_answers.c - outcomes, contradictory answers, and self-agreement
 *
 * A duplicate was dropped for its text, not for what became of it: its outcome
 * counts for the example that stands for it. Only equal
 * inputs are one question: where a name is another, the answer may be, too.
 */
#include "curate/curate_settle.h"

#include <stdlib.h>
#include <string.h>

/* Equal examples of which one was corrected: that one stays, in the split of
 * the other, which has the answer that was called wrong. */
static void prefer_corrected(struct curate_settling *k)
{
    struct map *corrected = map_new();

    for (size_t i = 0; i < k->count; i++) {
        const struct curate_row *w = &k->row[i];
        uint64_t key[2] = { w->input, w->answer };

        if (w->body && w->corrected)
            *map_put(corrected, key, sizeof(key), NULL) = i;
    }
    for (size_t i = 0; i < k->count; i++) {
        struct curate_row *w = &k->row[i], *by;
        uint64_t key[2] = { w->input, w->answer };
        const uint64_t *at = map_get(corrected, key, sizeof(key));

        if (!at || !w->body || w->corrected || w->reason != CURATE_KEPT)
            continue;
        by = &k->row[*at];
        if (by->split == CURATE_UNSPLIT)
            by->split = w->split;
        w->reason = CURATE_DUPLICATE;
        w->duplicate_of = by->call;
    }
    map_free(corrected);
}

void curate_settle_outcomes(struct curate_settling *k)
{
    for (size_t i = 0; i < k->count; i++) {
        const struct curate_row *w = &k->row[i];
        struct curate_row *of;

        if (w->body || w->was != CURATE_DUPLICATE)
            continue;
        of = curate_row_of(k, w->duplicate_of);
        if (!of || !of->body)
            continue;
        of->meets = of->meets || w->meets;
        if (of->mood <= 0 && w->mood)
            of->mood = w->mood;
    }
    prefer_corrected(k);
    for (size_t i = 0; i < k->count; i++) {
        struct curate_row *w = &k->row[i];

        if (!w->body || w->reason != CURATE_KEPT)
            continue;
        if (curate_drops(k->o, CURATE_NEGATIVE) && w->mood < 0 && !w->corrected)
            w->reason = CURATE_NEGATIVE;
        else if (!w->meets)
            w->reason = CURATE_REQUIRED;
    }
}

/* An answer to a input: how often, when last, and an example of it. */
struct given {
    uint64_t input, answer;
    size_t count;
    int64_t last; /* call */
    uint32_t row; /* kept, or UINT32_MAX */
};

/* What a row says of the log: kept ones, and duplicates through those that
 * they are like. Superseded retries were rejected, so they say nothing. */
static bool counts(struct curate_settling *k, const struct curate_row *w,
                   struct given *g)
{
    const struct curate_row *of = w;

    if (!w->body && w->was != CURATE_DUPLICATE)
        return false;
    if (!w->body)
        of = curate_row_of(k, w->duplicate_of);
    if (!of || !of->body)
        return false;
    *g = (struct given){ of->input, of->answer, 1, w->call,
                         of->reason == CURATE_KEPT ? (uint32_t)(of - k->row)
                                                   : UINT32_MAX };
    return true;
}

static int by_answer(const void *a, const void *b)
{
    const struct given *x = a, *y = b;

    if (x->input != y->input)
        return x->input < y->input ? -1 : 1;
    if (x->answer != y->answer)
        return x->answer < y->answer ? -1 : 1;
    return (x->last > y->last) - (x->last < y->last);
}

/* One entry for each answer to each input, in order. */
static struct given *list_given(struct curate_settling *k, size_t *count)
{
    struct given *all = mem_array(k->count, sizeof(*all));
    size_t n = 0, kept = 0;

    for (size_t i = 0; i < k->count; i++)
        if (counts(k, &k->row[i], &all[n]))
            n++;
    if (n)
        qsort(all, n, sizeof(*all), by_answer);
    for (size_t i = 0; i < n; i++) {
        struct given *last = kept ? &all[kept - 1] : NULL;

        if (last && last->input == all[i].input &&
            last->answer == all[i].answer) {
            last->count++;
            last->last = all[i].last;
            if (last->row == UINT32_MAX)
                last->row = all[i].row;
        } else {
            all[kept++] = all[i];
        }
    }
    *count = kept;
    return all;
}

static const struct given *choose(const struct curate_settling *k,
                                  const struct given *g, size_t n)
{
    const struct given *best = NULL;

    if (k->o->answers == CURATE_ANSWERS_NONE)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        bool majority = k->o->answers == CURATE_ANSWERS_MAJORITY;

        if (g[i].row == UINT32_MAX)
            continue; /* others spoke against it */
        if (!best || (majority && g[i].count > best->count) ||
            ((!majority || g[i].count == best->count) &&
             g[i].last > best->last))
            best = &g[i];
    }
    return best;
}

static void drop_others(struct curate_settling *k, struct map *chosen)
{
    for (size_t i = 0; i < k->count; i++) {
        struct curate_row *w = &k->row[i];
        const uint64_t *at;
        const struct curate_row *of;

        if (!w->body || w->reason != CURATE_KEPT)
            continue;
        at = map_get(chosen, &w->input, sizeof(w->input));
        if (!at)
            continue;
        of = *at == UINT64_MAX ? NULL : &k->row[*at];
        if (of && of->answer == w->answer)
            continue;
        w->reason = CURATE_CONTRADICTORY;
        w->duplicate_of = of ? of->call : 0;
    }
}

void curate_settle_answers(struct curate_settling *k)
{
    size_t count;
    struct given *g;
    struct map *chosen;

    if (k->o->answers == CURATE_ANSWERS_ALL)
        return;
    g = list_given(k, &count);
    chosen = map_new();

    for (size_t i = 0, n; i < count; i += n) {
        const struct given *best;
        size_t kept = 0;

        for (n = 0; i + n < count && g[i + n].input == g[i].input; n++)
            kept += g[i + n].row != UINT32_MAX;
        if (kept < 2)
            continue;
        best = choose(k, g + i, n);
        *map_put(chosen, &g[i].input, sizeof(g[i].input), NULL) =
            best ? best->row : UINT64_MAX;
    }
    drop_others(k, chosen);
    map_free(chosen);
    free(g);
}

static int by_calls(const void *a, const void *b)
{
    const struct curate_agreement *x = a, *y = b;

    if (x->calls != y->calls)
        return x->calls > y->calls ? -1 : 1;
    return (x->call > y->call) - (x->call < y->call);
}

static void add_input(struct curate_agreement *a, const struct given *g,
                      size_t n)
{
    double calls = 0, pairs = 0;

    for (size_t i = 0; i < n; i++) {
        calls += (double)g[i].count;
        pairs += (double)g[i].count * (double)(g[i].count - 1);
    }
    a->inputs++;
    a->calls += (uint64_t)calls;
    a->pairs += (uint64_t)(calls * (calls - 1) / 2);
    a->agreement += pairs / (calls - 1); /* times calls; divided at the end */
}

static void close_agreement(struct curate_agreement *a)
{
    if (a->calls)
        a->agreement /= (double)a->calls;
}

struct tasks {
    struct map *by_task;
    struct curate_agreement *item;
    size_t count, cap;
};

static struct curate_agreement *task_of(struct tasks *t, uint64_t task)
{
    bool added;
    uint64_t *at = map_put(t->by_task, &task, sizeof(task), &added);
    void *all = t->item;

    if (added) {
        *at = t->count;
        mem_grow(&all, &t->cap, t->count + 1, sizeof(*t->item));
        t->item = all;
        t->item[t->count++] = (struct curate_agreement){ .task = task };
    }
    return &t->item[*at];
}

/* The row that an answer's input came from; dropped ones have one too. */
static struct map *rows_by_input(struct curate_settling *k)
{
    struct map *m = map_new();

    for (size_t i = 0; i < k->count; i++) {
        const struct curate_row *w = &k->row[i];
        bool added;
        uint64_t *at;

        if (!w->body)
            continue;
        at = map_put(m, &w->input, sizeof(w->input), &added);
        if (added)
            *at = i;
    }
    return m;
}

void curate_settle_agreement(struct curate_settling *k)
{
    struct tasks t = { .by_task = map_new() };
    struct map *rows = rows_by_input(k);
    struct curate_result *r = k->r;
    size_t count;
    struct given *g = list_given(k, &count);

    for (size_t i = 0, n; i < count; i += n) {
        size_t calls = 0;
        const struct curate_row *w;
        struct curate_agreement *a;

        for (n = 0; i + n < count && g[i + n].input == g[i].input; n++)
            calls += g[i + n].count;
        if (calls < 2)
            continue;
        w = &k->row[*map_get(rows, &g[i].input, sizeof(g[i].input))];
        a = task_of(&t, w->task);
        if (!a->call || w->call < a->call)
            a->call = w->call;
        add_input(a, g + i, n);
        add_input(&r->overall, g + i, n);
    }
    if (t.count)
        qsort(t.item, t.count, sizeof(*t.item), by_calls);
    close_agreement(&r->overall);
    for (size_t i = 0; i < t.count && i < CURATE_AGREEMENTS; i++) {
        close_agreement(&t.item[i]);
        r->agreement[r->agreement_count++] = t.item[i];
    }
    map_free(rows);
    map_free(t.by_task);
    free(t.item);
    free(g);
}
