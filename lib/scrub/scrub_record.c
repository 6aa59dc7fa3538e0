/*
 * scrub_record.c - a record: what is in it, then what becomes of it
 *
 * The first look finds, and says what values there are; where it found
 * anything, a second one puts surrogates, which then know all that they must
 * not be, and takes known values wherever they stand. What patterns and finders
 * said about each text is kept between the two.
 */
#include "scrub/scrub_fake.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct scrub_worker *scrub_worker_new(const struct scrub_rules *r,
                                      const struct crypto_key *key)
{
    struct scrub_worker *w = mem_zalloc(sizeof(*w));
    const struct scrub_finder *f;

    assert(r->finished);
    w->rules = r;
    w->strict = r->settings.strict;
    crypto_derive(key, "scrub", &w->key);
    crypto_hmac_begin(&w->key, &w->hmac);
    w->faked = scrub_faked_new();
    w->parts = scrub_parts_new();
    w->draws = scrub_draws_new();
    w->members = scrub_members_new();
    w->bounds = scrub_bounds_new();
    w->known_keys = scrub_keys_new(r);
    w->scratch = regex_scratch_new();
    w->open = mem_zalloc((r->count + 1) * sizeof(*w->open));
    w->reached = mem_zalloc((r->count + 1) * sizeof(*w->reached));
    w->touched = mem_array(r->count + 1, sizeof(*w->touched));
    w->reported = mem_zalloc((r->count + 1) * sizeof(*w->reported));
    for (size_t i = 0; (f = scrub_finder_at(i)) != NULL; i++)
        if (r->finds[i] && f->worker_new)
            w->finder[i] = f->worker_new(r->shared[i]);
    return w;
}

void scrub_worker_free(struct scrub_worker *w)
{
    const struct scrub_finder *f;

    if (!w)
        return;
    for (size_t i = 0; (f = scrub_finder_at(i)) != NULL; i++)
        if (w->finder[i])
            f->worker_free(w->finder[i]);
    free(w->reported);
    scrub_spread_release(w);
    scrub_faked_free(w->faked);
    scrub_parts_free(w->parts);
    scrub_draws_free(w->draws);
    scrub_members_free(w->members);
    scrub_bounds_free(w->bounds);
    scrub_keys_free(w->known_keys);
    crypto_wipe(&w->key, sizeof(w->key));
    crypto_wipe(&w->hmac, sizeof(w->hmac));
    regex_scratch_free(w->scratch);
    free(w->windows);
    free(w->open);
    free(w->reached);
    free(w->words);
    free(w->clusters);
    free(w->cluster_sets);
    map_free(w->keys);
    free(w->key_sets);
    free(w->touched);
    free(w->hits.item);
    free(w->found.item);
    free(w->calls);
    free(w->call_plain);
    free(w->skips);
    free(w->edits);
    free(w->spans);
    buf_release(&w->arena);
    buf_release(&w->norm);
    buf_release(&w->labels);
    buf_release(&w->seed);
    buf_release(&w->form);
    buf_release(&w->before);
    buf_release(&w->owner);
    buf_release(&w->drawn);
    buf_release(&w->word);
    for (size_t i = 0; i < SCRUB_LEVELS; i++) {
        json_release(&w->level[i].json);
        buf_release(&w->level[i].decoded);
        free(w->level[i].units);
        free(w->level[i].runs);
        buf_release(&w->level[i].masked);
    }
    for (size_t i = 0; i < SCRUB_VIEWS; i++)
        scrub_view_release(&w->view[i]);
    free(w);
}

void scrub_write_edits(const struct scrub_worker *w, struct slice in,
                       size_t from, size_t to, struct buf *out)
{
    size_t at = 0;

    for (size_t i = from; i < to; i++) {
        const struct scrub_edit *e = &w->edits[i];

        assert(e->start >= at && e->end <= in.n);
        buf_add(out, in.p + at, e->start - at);
        buf_add(out, w->arena.data + e->rep, e->rep_len);
        at = e->end;
    }
    buf_add(out, in.p + at, in.n - at);
}

static void begin_finders(struct scrub_worker *w)
{
    const struct scrub_finder *f;

    for (size_t i = 0; (f = scrub_finder_at(i)) != NULL; i++)
        if (f->begin && w->rules->finds[i])
            f->begin(w->finder[i], w);
}

static void end_finders(struct scrub_worker *w)
{
    const struct scrub_finder *f;

    for (size_t i = 0; (f = scrub_finder_at(i)) != NULL; i++)
        if (f->end && w->rules->finds[i])
            f->end(w->finder[i]);
}

static void forget_reported(struct scrub_worker *w)
{
    if (w->reports)
        memset(w->reported, 0, w->rules->count * sizeof(*w->reported));
    w->reports = false;
}

/* One look at all documents; ends[i]: edits up to the end of document i. */
static int look(struct scrub_walk *s, const struct slice *documents, size_t n,
                bool again, size_t *ends)
{
    int rc = ERR_OK;

    s->w->edit_count = 0;
    s->w->call_next = s->w->skip_next = 0;
    s->w->place = PLACE_TEXT;
    s->w->in_data = s->w->member = false;
    s->w->known_only = false;
    scrub_faked_begin(s->w->faked, again);
    scrub_parts_begin(s->w->parts, again);
    if (!again && s->w->knows)
        scrub_known_each(s->w->knows, s->w, scrub_note_value);
    forget_reported(s->w);
    buf_reset(&s->w->arena);
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        rc = documents[i].n > SCRUB_MAX_TEXT
                 ? err_set(s->err, ERR_LIMIT, "text is larger than %zu bytes",
                           SCRUB_MAX_TEXT)
                 : scrub_text(s, documents[i], (struct slice){ 0 }, 0);
        ends[i] = s->w->edit_count;
    }
    return rc;
}

static void list_spans(struct scrub_worker *w, const size_t *ends, size_t n)
{
    void *all = w->spans;
    unsigned document = 0;

    w->span_count = w->edit_count;
    mem_grow(&all, &w->span_cap, w->span_count, sizeof(*w->spans));
    w->spans = all;
    for (size_t i = 0; i < w->edit_count; i++) {
        while (document + 1 < n && i >= ends[document])
            document++;
        w->spans[i] = (struct scrub_span){
            w->edits[i].start,
            w->edits[i].end,
            document,
            w->edits[i].rule,
            w->edits[i].tier,
            { w->arena.data + w->edits[i].rep, w->edits[i].rep_len }
        };
    }
}

static void begin_record(struct scrub_worker *w, struct slice scope,
                         const struct slice *documents, size_t n)
{
    w->scope = scope;
    scrub_spread_reset(w);
    scrub_members_reset(w->members);
    scrub_bounds_reset(w->bounds);
    scrub_keys_begin(w->known_keys);
    w->near_key = NULL;
    w->logprobs_seen = w->logprobs_held = w->logprobs_dropped = false;
    w->dates = (struct dates_known){ 0 };
    scrub_template_read(w, documents, n);
    w->collecting = !w->reveal;
    scrub_calls_reset(w);
    begin_finders(w);
}

int scrub_collect(struct scrub_worker *w, const struct slice *documents,
                  size_t n, struct scrub_known *k, struct err *err)
{
    struct scrub_walk s = { w, err, false };
    size_t *ends = mem_zalloc((n + 1) * sizeof(*ends));
    int rc;

    assert(!w->reveal);
    w->collects = k;
    w->knows = NULL;
    begin_record(w, (struct slice){ "", 0 }, documents, n);
    rc = look(&s, documents, n, false, ends);
    w->collects = NULL;
    if (rc < 0)
        scrub_known_fail(k);
    free(ends);
    return rc;
}

void scrub_know(struct scrub_worker *w, const struct scrub_known *k)
{
    w->knows = k;
}

int scrub_record(struct scrub_worker *w, struct slice scope,
                 const struct slice *documents, size_t n, struct buf *out,
                 const struct scrub_span **spans, size_t *count,
                 struct err *err)
{
    struct scrub_walk s = { w, err, false };
    size_t *ends = mem_zalloc((n + 1) * sizeof(*ends));
    bool known = !w->reveal && scrub_known_any(w->knows);
    int rc;

    begin_record(w, scope, documents, n);
    rc = scrub_known_failed(w->knows)
             ? err_set(err, ERR_LIMIT,
                       "a record that this one belongs to cannot be scrubbed")
             : look(&s, documents, n, false, ends);
    w->logprobs_dropped = w->logprobs_seen && !w->reveal &&
                          (known || w->edit_count > 0 || w->logprobs_held);
    if (rc == ERR_OK && w->collecting &&
        (known || w->edit_count > 0 || w->logprobs_dropped)) {
        w->collecting = false;
        end_finders(w);
        w->spreading = scrub_spread_any(w);
        rc = look(&s, documents, n, true, ends);
        /* A name that was met late may change what others are given. */
        if (rc == ERR_OK && scrub_faked_late(w->faked))
            rc = look(&s, documents, n, true, ends);
    }
    if (rc == ERR_OK) {
        for (size_t i = 0; i < n; i++)
            scrub_write_edits(w, documents[i], i ? ends[i - 1] : 0, ends[i],
                              &out[i]);
        list_spans(w, ends, n);
        if (spans)
            *spans = w->spans;
        if (count)
            *count = w->span_count;
    }
    free(ends);
    return rc;
}

void scrub_tag_view(const struct scrub_worker *w, unsigned document,
                    struct slice in, struct buf *out)
{
    size_t at = 0;

    for (size_t i = 0; i < w->span_count; i++) {
        const struct scrub_span *x = &w->spans[i];

        if (x->document != document)
            continue;
        buf_add(out, in.p + at, x->start - at);
        buf_printf(out, "<%s>", scrub_rules_type(w->rules, x->rule));
        at = x->end;
    }
    buf_add(out, in.p + at, in.n - at);
}

uint64_t scrub_reported(const struct scrub_worker *w, size_t rule)
{
    return w->reported[rule];
}
