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
    void *all = w->found.item, *calls = w->calls;

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
    w->calls[w->call_count++] = w->found.count;
}

bool scrub_calls_take(struct scrub_worker *w)
{
    size_t from, n;
    void *all = w->hits.item;

    if (w->collecting || !w->calls_known)
        return false;
    assert(w->call_next < w->call_count);
    from = w->call_next ? w->calls[w->call_next - 1] : 0;
    n = w->calls[w->call_next++] - from;
    mem_grow(&all, &w->hits.cap, w->hits.count + n + 1, sizeof(*w->hits.item));
    w->hits.item = all;
    if (n)
        memcpy(w->hits.item + w->hits.count, w->found.item + from,
               n * sizeof(*w->hits.item));
    w->hits.count += n;
    return true;
}

void scrub_calls_note(struct scrub_worker *w, size_t first)
{
    void *all = w->skips;

    if (!w->collecting)
        return;
    mem_grow(&all, &w->skip_cap, w->skip_count + 1, sizeof(*w->skips));
    w->skips = all;
    w->skips[w->skip_count++] = w->call_count - first;
}

void scrub_calls_skip(struct scrub_worker *w)
{
    assert(w->skip_next < w->skip_count);
    w->call_next += w->skips[w->skip_next++];
}
