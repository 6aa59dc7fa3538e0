/*
 * lora_pairs.c - preferences out of answers to the same prompt
 *
 * Two sources: an outcome that calls one answer good or bad, and an agent that
 * answered the same prompt differently at different times. A prompt is known
 * by its ids, so what the template does not show makes no difference.
 */
#include "base/map.h"
#include "base/mem.h"
#include "lora/lora_private.h"

#include <stdlib.h>

int lora_answers_add(struct lora_answers *a, struct lora_reader *r,
                     struct slice request, struct slice response,
                     enum lora_verdict verdict, size_t times, bool *added,
                     struct err *err)
{
    struct lora_data *d = &a->data;
    size_t begin = d->tokens, from = 0, n;
    int rc = lora_read_call(r, request, response, d, added, err);

    if (rc < 0 || !*added)
        return rc;
    n = d->tokens - begin;
    while (from < n && !d->mask[begin + from])
        from++;
    mem_grow((void **)&a->list, &a->cap, a->count + 1, sizeof(*a->list));
    a->list[a->count] = (struct lora_answer){
        .prompt = hash_stable(d->ids + begin, from * sizeof(*d->ids), 1),
        .answer =
            hash_stable(d->ids + begin + from, (n - from) * sizeof(*d->ids), 2),
        .begin = begin,
        .n = n,
        .from = from,
        .order = a->count,
        .times = times,
        .verdict = verdict,
    };
    a->count++;
    return 0;
}

/* By prompt, then by answer, then as they came. */
static int compare(const void *pa, const void *pb)
{
    const struct lora_answer *a = pa, *b = pb;

    if (a->prompt != b->prompt)
        return a->prompt < b->prompt ? -1 : 1;
    if (a->answer != b->answer)
        return a->answer < b->answer ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* One answer to a prompt, however often it was given. */
struct kind {
    const struct lora_answer *first;
    size_t logged, good, bad;
};

static size_t gather(const struct lora_answer *list, size_t count,
                     struct kind *kinds)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        struct kind *k;

        if (i == 0 || list[i].answer != list[i - 1].answer)
            kinds[n++] = (struct kind){ .first = &list[i] };
        k = &kinds[n - 1];
        k->logged += list[i].verdict == LORA_LOGGED ? list[i].times : 0;
        k->good += list[i].verdict == LORA_GOOD ? list[i].times : 0;
        k->bad += list[i].verdict == LORA_BAD ? list[i].times : 0;
    }
    return n;
}

/* The chosen answer of a prompt, or NULL where it is not clear. */
static const struct kind *choose(const struct kind *kinds, size_t n)
{
    const struct kind *best = NULL;
    size_t top = 0, ties = 0;
    bool good = false;

    for (size_t i = 0; i < n; i++)
        good |= kinds[i].good > 0 && kinds[i].bad == 0;
    for (size_t i = 0; i < n; i++) {
        size_t votes = good ? kinds[i].good : kinds[i].logged;

        if (kinds[i].bad > 0 || votes == 0 || votes < top)
            continue;
        ties = votes == top;
        top = votes;
        best = &kinds[i];
    }
    return ties ? NULL : best;
}

static void add_answer(const struct lora_answers *a,
                       const struct lora_answer *x, struct lora_data *out)
{
    lora_data_add(out, a->data.ids + x->begin, a->data.mask + x->begin, 0,
                  x->n);
}

static void pair_prompt(const struct lora_answers *a, const struct kind *kinds,
                        size_t n, struct lora_data *out,
                        struct lora_pair_counts *counts)
{
    const struct kind *chosen = choose(kinds, n);

    for (size_t i = 0; chosen && i < n; i++) {
        const struct kind *k = &kinds[i];
        bool bad = k->bad > 0;

        if (k == chosen || (k->good > 0 && !bad))
            continue;
        add_answer(a, chosen->first, out);
        add_answer(a, k->first, out);
        if (bad || chosen->good > 0)
            counts->outcomes++;
        else
            counts->contradictions++;
    }
}

/* The list is sorted in a copy: prompts come in the order of their hashes,
 * which is the same wherever the data are. */
void lora_answers_pair(const struct lora_answers *a, struct lora_data *out,
                       struct lora_pair_counts *counts)
{
    struct lora_answer *list = mem_array(a->count, sizeof(*list));
    struct kind *kinds = mem_array(a->count, sizeof(*kinds));
    size_t begin = 0;

    for (size_t i = 0; i < a->count; i++)
        list[i] = a->list[i];
    qsort(list, a->count, sizeof(*list), compare);
    out->unit = 2;
    for (size_t i = 1; i <= a->count; i++) {
        if (i < a->count && list[i].prompt == list[begin].prompt)
            continue;
        pair_prompt(a, kinds, gather(list + begin, i - begin, kinds), out,
                    counts);
        begin = i;
    }
    free(kinds);
    free(list);
}

void lora_answers_release(struct lora_answers *a)
{
    lora_data_release(&a->data);
    free(a->list);
    *a = (struct lora_answers){ 0 };
}
