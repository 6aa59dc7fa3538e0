/*
 * scrub_calls.c - what was found in each text, from one look to the next
 *
 * Both looks meet the same texts in the same order, so a text is known by its
 * number. A record with more finds than a text may have is found again.
 */
#include "scrub/scrub_priv.h"

#include "base/mem.h"

#include <assert.h>
#include <string.h>

void scrub_calls_reset(struct scrub_worker *w)
{
    w->found.count = w->call_count = w->skip_count = 0;
    w->calls_known = true;
}

void scrub_calls_keep(struct scrub_worker *w, size_t first)
{
    size_t n = w->hits.count - first;
    void *all = w->found.item, *calls = w->calls, *plain = w->call_plain;

    if (!w->collecting || !w->calls_known)
        return;
    if (w->found.count + n > SCRUB_MAX_SPANS) {
        w->calls_known = false;
        return;
    }
    mem_grow(&all, &w->found.cap, w->found.count + n + 1,
             sizeof(*w->found.item));
    w->found.item = all;
    if (n)
        memcpy(w->found.item + w->found.count, w->hits.item + first,
               n * sizeof(*w->found.item));
    w->found.count += n;
    mem_grow(&calls, &w->call_cap, w->call_count + 1, sizeof(*w->calls));
    w->calls = calls;
    mem_grow(&plain, &w->call_plain_cap, w->call_count + 1, 1);
    w->call_plain = plain;
    w->call_plain[w->call_count] = 0;
    w->calls[w->call_count++] = w->found.count;
}

void scrub_calls_mark_plain(struct scrub_worker *w, size_t call, unsigned depth)
{
    if (w->collecting && w->calls_known && call < w->call_count)
        w->call_plain[call] = (uint8_t)(depth + 1);
}

/* What is in a text is looked at before it, and deeper. */
bool scrub_calls_plain(const struct scrub_worker *w, unsigned depth)
{
    return !w->collecting && w->calls_known && w->call_next < w->call_count &&
           w->call_plain[w->call_next] == depth + 1;
}

int scrub_calls_take(struct scrub_worker *w, struct slice text, struct err *err)
{
    size_t from, n;
    void *all = w->hits.item;

    if (w->collecting || !w->calls_known)
        return 0;
    assert(w->call_next < w->call_count);
    from = w->call_next ? w->calls[w->call_next - 1] : 0;
    n = w->calls[w->call_next++] - from;
    mem_grow(&all, &w->hits.cap, w->hits.count + n + 1, sizeof(*w->hits.item));
    w->hits.item = all;
    for (size_t i = from; i < from + n; i++)
        if (w->found.item[i].end > text.n)
            return err_set(err, ERR_FORMAT,
                           "finds of another text; this is a bug");
    if (n)
        memcpy(w->hits.item + w->hits.count, w->found.item + from,
               n * sizeof(*w->hits.item));
    w->hits.count += n;
    return 1;
}

size_t scrub_calls_begin(struct scrub_worker *w)
{
    void *all = w->skips;

    if (!w->collecting)
        return 0;
    mem_grow(&all, &w->skip_cap, w->skip_count + 1, sizeof(*w->skips));
    w->skips = all;
    w->skips[w->skip_count] = (struct scrub_skip){ w->call_count, 0 };
    return w->skip_count++;
}

void scrub_calls_end(struct scrub_worker *w, size_t value)
{
    struct scrub_skip *x;

    if (!w->collecting)
        return;
    x = &w->skips[value];
    x->calls = w->call_count - x->calls;
    x->values = w->skip_count - value;
}

void scrub_calls_skip(struct scrub_worker *w)
{
    assert(w->skip_next < w->skip_count);
    w->call_next += w->skips[w->skip_next].calls;
    w->skip_next += w->skips[w->skip_next].values;
}
