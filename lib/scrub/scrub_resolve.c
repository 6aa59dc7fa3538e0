/*
 * scrub_resolve.c - which of the finds that overlap stand
 *
 * The best of all finds stands, then the best of those that it leaves, and so
 * on, by a total order; so the answer depends on nothing else. The finds of a
 * chain are sorted once and each asks a counting tree whether its place is
 * taken, so that a million finds over one another take a moment.
 */
#include "scrub/scrub_fake.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define FEW 16 /* finds that are compared one with the other */

static int by_start(const void *a, const void *b)
{
    const struct scrub_hit *x = a, *y = b;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->end != y->end)
        return x->end > y->end ? -1 : 1;
    return x->rule < y->rule ? -1 : x->rule > y->rule;
}

/* Few are the rule, and nearly sorted. */
static void sort_hits(struct scrub_hit *h, size_t n)
{
    if (n > FEW) {
        qsort(h, n, sizeof(*h), by_start);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct scrub_hit x = h[i];
        size_t k = i;

        for (; k && by_start(&h[k - 1], &x) > 0; k--)
            h[k] = h[k - 1];
        h[k] = x;
    }
}

static int likeliness(const struct scrub_rule *r)
{
    return r->fake == scrub_fake_date ? 2 : r->fake == scrub_fake_phone;
}

/* Below 0 if x wins over y. */
static int by_rank(const struct scrub_rules *rules, const struct scrub_hit *x,
                   const struct scrub_hit *y)
{
    const struct scrub_rule *p = &rules->rule[x->rule];
    const struct scrub_rule *q = &rules->rule[y->rule];

    if ((x->form == HIT_MADE) != (y->form == HIT_MADE))
        return x->form == HIT_MADE ? -1 : 1; /* holds all that it overlaps */
    if ((x->tier == 3) != (y->tier == 3))
        return x->tier == 3 ? 1 : -1;
    if (x->tier == 3 && rules->settings.strict) {
        /* Of what all look the same, what most of them are. */
        int likely = likeliness(q) - likeliness(p);

        if (likely)
            return likely;
    }
    if (p->priority != q->priority)
        return p->priority > q->priority ? -1 : 1;
    if (x->tier != y->tier)
        return x->tier < y->tier ? -1 : 1;
    if (x->end - x->start != y->end - y->start)
        return x->end - x->start > y->end - y->start ? -1 : 1;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->rule != y->rule)
        return x->rule < y->rule ? -1 : 1;
    if (x->form != y->form) /* a view's value is what others share */
        return x->form > y->form ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static void choose_few(const struct scrub_rules *rules, struct scrub_hit *h,
                       size_t n)
{
    for (;;) {
        size_t best = SIZE_MAX;

        for (size_t i = 0; i < n; i++)
            if (!h[i].winner && h[i].end > h[i].start &&
                (best == SIZE_MAX || by_rank(rules, &h[i], &h[best]) < 0))
                best = i;
        if (best == SIZE_MAX)
            return;
        h[best].winner = true;
        for (size_t i = 0; i < n; i++)
            if (!h[i].winner && h[i].start < h[best].end &&
                h[best].start < h[i].end)
                h[i].end = h[i].start; /* loses: empty */
    }
}

struct chain {
    const struct scrub_rules *rules;
    struct scrub_hit *hit;
    size_t count;
    uint32_t *order; /* hits, best first */
    size_t *edge;    /* where hits begin and end, sorted, each once */
    size_t edges;
    uint32_t *taken; /* Fenwick tree over the pieces between edges */
};

static int compare_rank(const void *a, const void *b, void *ctx)
{
    const struct chain *c = ctx;

    return by_rank(c->rules, &c->hit[*(const uint32_t *)a],
                   &c->hit[*(const uint32_t *)b]);
}

static int compare_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return x < y ? -1 : x > y;
}

static size_t edge_at(const struct chain *c, size_t place)
{
    size_t low = 0, high = c->edges;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (c->edge[mid] < place)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static uint32_t taken_before(const struct chain *c, size_t i)
{
    uint32_t sum = 0;

    for (; i > 0; i &= i - 1)
        sum += c->taken[i];
    return sum;
}

static void take(struct chain *c, size_t i)
{
    for (i++; i <= c->edges; i += i & -i)
        c->taken[i]++;
}

static void choose_many(struct chain *c)
{
    for (size_t k = 0; k < c->count; k++) {
        struct scrub_hit *h = &c->hit[c->order[k]];
        size_t from = edge_at(c, h->start), to = edge_at(c, h->end);

        h->winner = taken_before(c, from) == taken_before(c, to);
        for (size_t i = from; h->winner && i < to; i++)
            take(c, i);
    }
}

static void choose(const struct scrub_rules *rules, struct scrub_hit *h,
                   size_t n)
{
    struct chain c = { .rules = rules, .hit = h, .count = n };
    size_t kept = 0;

    if (n <= FEW) {
        choose_few(rules, h, n);
        return;
    }
    c.order = mem_array(n, sizeof(*c.order));
    c.edge = mem_array(2 * n, sizeof(*c.edge));
    for (size_t i = 0; i < n; i++) {
        c.order[i] = (uint32_t)i;
        c.edge[2 * i] = h[i].start;
        c.edge[2 * i + 1] = h[i].end;
    }
    qsort_r(c.order, n, sizeof(*c.order), compare_rank, &c);
    qsort(c.edge, 2 * n, sizeof(*c.edge), compare_size);
    for (size_t i = 0; i < 2 * n; i++)
        if (!i || c.edge[i] != c.edge[kept - 1])
            c.edge[kept++] = c.edge[i];
    c.edges = kept;
    c.taken = mem_zalloc((kept + 1) * sizeof(*c.taken));
    choose_many(&c);
    free(c.order);
    free(c.edge);
    free(c.taken);
}

static bool acts(const struct scrub_worker *w, const struct scrub_hit *h)
{
    return h->tier < 3 || w->strict;
}

/* Finds and runs that reach over the end of runs[k] are in it, sorted hits
 * from i on; returns the last of these runs. */
static size_t widen(const struct scrub_worker *w, struct scrub_hit *runs,
                    size_t count, size_t k, size_t i, size_t n)
{
    const struct scrub_hit *h = w->hits.item;
    struct scrub_hit *run = &runs[k];

    for (;;) {
        if (i < n && h[i].start < run->end) {
            if (acts(w, &h[i]) && h[i].end > run->end)
                run->end = h[i].end;
            i++;
        } else if (k + 1 < count && runs[k + 1].start < run->end) {
            k++;
            if (runs[k].end > run->end)
                run->end = runs[k].end;
        } else {
            return k;
        }
    }
}

/* Runs that no find holds as a whole join the finds, with all that reaches
 * into them: what loses to a run must not leave its other end. */
static void add_runs(struct scrub_worker *w, struct scrub_hit *runs,
                     size_t count)
{
    struct scrub_hits *hits = &w->hits;
    size_t n = hits->count, i = 0, from = 0, end = 0;
    void *all = hits->item;

    mem_grow(&all, &hits->cap, n + count, sizeof(*hits->item));
    hits->item = all;
    qsort(hits->item, n, sizeof(*hits->item), by_start);
    qsort(runs, count, sizeof(*runs), by_start);
    for (size_t k = 0; k < count; k++) {
        struct scrub_hit *run = &runs[k];

        for (; i < n && hits->item[i].start <= run->start; i++) {
            if (!acts(w, &hits->item[i]))
                continue;
            if (hits->item[i].start >= end)
                from = hits->item[i].start; /* of what overlaps */
            if (hits->item[i].end > end)
                end = hits->item[i].end;
        }
        if (end >= run->end)
            continue;
        k = widen(w, runs, count, k, i, n);
        if (end > run->start)
            run->start = from;
        hits->item[hits->count++] = *run;
    }
}

void scrub_resolve(struct scrub_worker *w, struct scrub_hit *runs, size_t count)
{
    struct scrub_hits *hits = &w->hits;
    struct scrub_hit *h;
    size_t from = 0, kept = 0;

    if (!hits->count && !count)
        return;
    if (count)
        add_runs(w, runs, count);
    h = hits->item;
    sort_hits(h, hits->count);
    while (from < hits->count) {
        size_t to = from + 1, end = h[from].end;

        for (; to < hits->count && h[to].start < end; to++)
            if (h[to].end > end)
                end = h[to].end;
        if (to - from == 1)
            h[from].winner = true;
        else
            choose(w->rules, h + from, to - from);
        from = to;
    }
    for (size_t i = 0; i < hits->count; i++) {
        if (!h[i].winner)
            continue;
        if (h[i].tier == 3 && !w->strict)
            scrub_report(w, h[i].rule);
        else
            h[kept++] = h[i];
    }
    hits->count = kept;
}
