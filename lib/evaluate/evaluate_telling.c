/*
 * evaluate_telling.c - which answers are worth a person's look
 *
 * From what a stored result has too, so that it shows the same ones again:
 * scores, reasons and texts.
 */
#include "evaluate/evaluate_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct tell {
    size_t item, reason, round; /* reason: its place by count */
    double value, f1;
};

static struct slice reference_of(const struct evaluate_item *it)
{
    return buf_slice(it->reference.len ? &it->reference : &it->logged);
}

static double text_f1(const struct evaluate_item *it)
{
    struct buf a = { 0 }, b = { 0 };
    double f1;

    score_content(reference_of(it), &a);
    score_content(buf_slice(&it->answers[EVALUATE_TUNED]), &b);
    f1 = score_token_f1(buf_slice(&a), buf_slice(&b));
    buf_release(&a);
    buf_release(&b);
    return f1;
}

static size_t reason_place(const struct evaluate_result *r, const char *text)
{
    size_t i = 0;

    while (i < r->reason_count && strcmp(r->reasons[i].text, text) != 0)
        i++;
    return i;
}

static int by_distance(const void *a, const void *b)
{
    const struct tell *x = a, *y = b;

    if (x->reason != y->reason)
        return x->reason < y->reason ? -1 : 1;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    if (x->f1 != y->f1)
        return x->f1 < y->f1 ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

static int by_round(const void *a, const void *b)
{
    const struct tell *x = a, *y = b;

    if (x->round != y->round)
        return x->round < y->round ? -1 : 1;
    return x->reason < y->reason ? -1 : x->reason > y->reason;
}

size_t evaluate_telling(const struct evaluate_result *r, size_t *out, size_t n)
{
    struct tell *list = mem_array(r->count + 1, sizeof(*list));
    size_t count = 0;

    for (size_t i = 0; i < r->count; i++) {
        const struct score *s = &r->items[i].scores[EVALUATE_TUNED];

        if (!isnan(s->value) && s->value < 1)
            list[count++] = (struct tell){ .item = i,
                                           .reason = reason_place(r, s->reason),
                                           .value = s->value,
                                           .f1 = text_f1(&r->items[i]) };
    }
    qsort(list, count, sizeof(*list), by_distance);
    for (size_t i = 1; i < count; i++)
        if (list[i].reason == list[i - 1].reason)
            list[i].round = list[i - 1].round + 1;
    qsort(list, count, sizeof(*list), by_round);
    if (count > n)
        count = n;
    for (size_t i = 0; i < count; i++)
        out[i] = list[i].item;
    free(list);
    return count;
}

struct score_labels *evaluate_labels(const struct evaluate_result *r,
                                     enum evaluate_who who)
{
    struct score_labels *l = score_labels_new();

    for (size_t i = 0; i < r->count; i++) {
        const struct evaluate_item *it = &r->items[i];
        struct buf a = { 0 }, b = { 0 };

        score_content(reference_of(it), &a);
        score_content(
            buf_slice(who == EVALUATE_LLM ? &it->logged : &it->answers[who]),
            &b);
        score_labels_add(l, buf_slice(&a), buf_slice(&b));
        buf_release(&a);
        buf_release(&b);
    }
    return l;
}
