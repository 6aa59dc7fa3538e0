/*
 * scrub_plain.c - one plain text: its bytes, its views, and what goes
 *
 * Rules see the bytes as they are and, where that can matter, the text as a
 * reader takes it; what a view shows is replaced in the bytes that it comes
 * from, in their coding. Readable text in base64 is scrubbed as a text of its
 * own and encoded again.
 */
#include "scrub/scrub_fake.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define RUN_CONTEXT 64 /* bytes */

int scrub_push_edit(struct scrub_walk *s, struct scrub_edit e)
{
    struct scrub_worker *w = s->w;
    void *all = w->edits;

    if (w->edit_count == SCRUB_MAX_SPANS)
        return err_set(s->err, ERR_LIMIT,
                       "more than %d finds in a record; divide it",
                       SCRUB_MAX_SPANS);
    mem_grow(&all, &w->edit_cap, w->edit_count + 1, sizeof(*w->edits));
    w->edits = all;
    w->last_rule = e.rule;
    w->edits[w->edit_count++] = e;
    return ERR_OK;
}

/* The views of a text in w->view, the last of them the one to be searched.
 * Returns how many; 0: the text is what it looks like. */
static size_t make_views(struct scrub_worker *w, struct slice text,
                         unsigned needs)
{
    size_t n = 0;

    while (n + 1 < SCRUB_VIEWS && needs & ~(unsigned)CODED_FOLDED &&
           scrub_view_decode(&w->view[n], text, needs)) {
        text = buf_slice(&w->view[n++].text);
        needs = scrub_view_needs(text);
    }
    if (needs & CODED_FOLDED && scrub_view_fold(&w->view[n], text))
        n++;
    return n;
}

/* Hits from `first` on are of the last of n views: back to the bytes. */
static void map_hits(struct scrub_worker *w, size_t first, size_t n)
{
    for (size_t i = first; i < w->hits.count; i++) {
        struct scrub_hit *h = &w->hits.item[i];

        h->form = HIT_VIEW;
        h->at = h->start;
        h->n = h->end - h->start;
        for (size_t k = n; k-- > 0;)
            h->codings |=
                (uint8_t)scrub_view_source(&w->view[k], &h->start, &h->end);
    }
}

/* The decoded text was looked at; the edits from `mark` on become one, of the
 * run that it comes from. */
static void encode_run(struct scrub_worker *w, struct slice decoded,
                       struct slice run, size_t mark, struct scrub_hit *h)
{
    struct buf text = { 0 }, coded = { 0 };

    scrub_write_edits(w, decoded, mark, w->edit_count, &text);
    scrub_base64_encode(buf_slice(&text), run, &coded);
    h->rule = w->edits[mark].rule;
    h->tier = (uint8_t)w->edits[mark].tier;
    h->form = HIT_MADE;
    h->at = w->arena.len;
    h->n = coded.len;
    buf_add_slice(&w->arena, buf_slice(&coded));
    w->edit_count = mark;
    buf_release(&text);
    buf_release(&coded);
}

static void push_run(struct scrub_level *l, struct scrub_hit h)
{
    void *all = l->runs;

    mem_grow(&all, &l->run_cap, l->run_count + 1, sizeof(*l->runs));
    l->runs = all;
    l->runs[l->run_count++] = h;
}

/* A payload goes, or is counted where it stays. */
static void take_payload(struct scrub_worker *w, size_t start, size_t end,
                         unsigned depth)
{
    uint32_t rule = w->rules->media_rule;
    const struct scrub_rule *r = &w->rules->rule[rule];

    if (r->action == SCRUB_KEEP || r->tier == 3)
        scrub_report(w, rule);
    else
        push_run(&w->level[depth], (struct scrub_hit){ .start = start,
                                                       .end = end,
                                                       .rule = rule,
                                                       .tier = 1,
                                                       .form = HIT_MADE });
}

/* Nothing is looked for in payloads: *text becomes a copy that has none. */
static void take_media(struct scrub_worker *w, struct slice *text,
                       unsigned depth)
{
    struct buf *masked = &w->level[depth].masked;
    size_t at = 0, start, end;

    w->level[depth].run_count = 0;
    buf_reset(masked);
    if (w->rules->media_rule == UINT32_MAX)
        return;
    if (w->place == PLACE_MEDIA && scrub_is_payload(*text)) {
        take_payload(w, 0, text->n, depth);
        text->n = 0;
        return;
    }
    while (scrub_media_next(*text, &at, &start, &end)) {
        if (!masked->len)
            buf_add_slice(masked, *text);
        memset(masked->data + start, ' ', end - start);
        take_payload(w, start, end, depth);
    }
    if (masked->len)
        *text = buf_slice(masked);
}

/* The sentence before `start`, or the last words of it. */
static struct slice words_before(struct slice text, size_t start)
{
    size_t from = start > RUN_CONTEXT ? start - RUN_CONTEXT : 0;

    while (from && from < start && scrub_is_alnum(text.p[from - 1]))
        from++;
    for (size_t i = from; i < start; i++)
        if (strchr("\n.;!?", text.p[i]))
            from = i + 1;
    return (struct slice){ text.p + from, start - from };
}

/* A short run stands for a value, and the words before it are as good as a key
 * that says what it is. */
static struct slice run_key(struct slice text, struct slice key, size_t start,
                            size_t n, struct buf *words)
{
    if (n > RUN_CONTEXT || key.n > 2)
        return key;
    scrub_key_words(words_before(text, start), words);
    return words->len > 2 ? buf_slice(words) : key;
}

/* A short run among the words before it: edits of it, in its own offsets, if
 * it gave none (from `mark` on) by itself. */
static int look_beside_words(struct scrub_walk *s, struct slice before,
                             struct slice decoded, struct slice key,
                             size_t mark, unsigned depth)
{
    struct scrub_worker *w = s->w;
    size_t first = w->edit_count, kept;
    struct buf both = { 0 };
    int rc;

    buf_add_slice(&both, before);
    buf_add_slice(&both, decoded);
    rc = scrub_plain_text(s, buf_slice(&both), key, false, depth);
    kept = first;
    for (size_t i = first; first == mark && i < w->edit_count; i++) {
        struct scrub_edit e = w->edits[i];

        if (e.start < before.n)
            continue; /* is found where it stands */
        e.start -= before.n;
        e.end -= before.n;
        w->edits[kept++] = e;
    }
    w->edit_count = kept;
    buf_release(&both);
    return rc;
}

static int look_into_run(struct scrub_walk *s, struct slice text,
                         struct slice key, size_t start, size_t end,
                         unsigned depth)
{
    struct slice decoded = buf_slice(&s->w->level[depth].decoded), before;
    size_t mark = s->w->edit_count;
    struct buf words = { 0 };
    int rc;

    if (depth >= SCRUB_MAX_NESTING)
        return err_set(s->err, ERR_LIMIT,
                       "text in base64 is nested deeper than %d",
                       SCRUB_MAX_NESTING);
    rc = scrub_text(s, decoded, run_key(text, key, start, end - start, &words),
                    depth + 1);
    before = words_before(text, start);
    if (rc == ERR_OK && end - start <= RUN_CONTEXT && before.n)
        rc = look_beside_words(s, before, decoded, key, mark, depth + 1);
    buf_release(&words);
    return rc;
}

/* Readable runs of base64 in which something was found, in l->runs. */
static int look_into_runs(struct scrub_walk *s, struct slice text,
                          struct slice key, unsigned depth)
{
    struct scrub_level *l = &s->w->level[depth];
    struct scrub_runs at = { 0 };
    size_t start, end, mark = s->w->edit_count;
    int rc = ERR_OK;

    while (rc == ERR_OK &&
           scrub_base64_next(text, &at, &start, &end, &l->decoded)) {
        struct scrub_hit h = { .start = start, .end = end };

        rc = look_into_run(s, text, key, start, end, depth);
        if (rc < 0 || s->w->edit_count == mark)
            continue;
        encode_run(s->w, buf_slice(&l->decoded),
                   (struct slice){ text.p + start, end - start }, mark, &h);
        push_run(l, h);
    }
    return rc;
}

static int find_all(struct scrub_walk *s, struct slice text, struct slice key,
                    unsigned depth)
{
    struct scrub_worker *w = s->w;
    struct scrub_level *l = &w->level[depth];
    const char *whole = text.p;
    unsigned needs;
    size_t first, views, call;
    bool plain;
    int rc;

    if (w->known_only ||
        (text.n && w->place != PLACE_MEDIA && scrub_calls_plain(w, depth))) {
        w->hits.count = w->views = 0;
        rc = scrub_find(w, text, key, s->err);
        if (rc == ERR_OK)
            scrub_resolve(w, NULL, 0);
        return rc;
    }
    take_media(w, &text, depth);
    if (w->place == PLACE_MEDIA)
        w->place = PLACE_TEXT; /* whatever else stands there */
    call = w->call_count;
    rc = look_into_runs(s, text, key, depth);
    plain = call == w->call_count && text.p == whole && !l->run_count;
    w->hits.count = 0;
    if (rc == ERR_OK)
        rc = scrub_find(w, text, key, s->err);
    if (rc < 0)
        return rc;
    needs = scrub_view_needs(text);
    views = needs ? make_views(w, text, needs) : 0;
    if (views) {
        first = w->hits.count;
        rc = scrub_find(w, buf_slice(&w->view[views - 1].text), key, s->err);
        map_hits(w, first, views);
    }
    if (plain && !views)
        scrub_calls_mark_plain(w, call, depth);
    w->views = views;
    scrub_resolve(w, l->runs, l->run_count);
    return rc;
}

/* What the hit stands for, as its reader takes it. */
static struct slice hit_value(const struct scrub_worker *w, struct slice text,
                              const struct scrub_hit *h)
{
    if (h->form == HIT_VIEW)
        return (struct slice){ w->view[w->views - 1].text.data + h->at, h->n };
    return (struct slice){ text.p + h->start, h->end - h->start };
}

static void make_surrogate(struct scrub_walk *s, const struct scrub_hit *h,
                           struct slice value, struct scrub_edit *e)
{
    struct scrub_worker *w = s->w;
    const struct scrub_rule *r = &w->rules->rule[h->rule];
    struct buf coded = { 0 };

    e->rep = w->arena.len;
    scrub_act(s, r, value, &w->arena);
    e->rep_len = w->arena.len - e->rep;
    if (!(h->codings & ~(unsigned)CODED_FOLDED))
        return;
    scrub_view_encode((struct slice){ w->arena.data + e->rep, e->rep_len },
                      h->codings, &coded);
    w->arena.len = e->rep;
    buf_add_slice(&w->arena, buf_slice(&coded));
    e->rep_len = coded.len;
    buf_release(&coded);
}

void scrub_note_value(struct scrub_worker *w, uint32_t rule, struct slice value)
{
    const struct scrub_rule *r = &w->rules->rule[rule];

    scrub_faked_hold(w->faked, value);
    if (r->fake == scrub_fake_person)
        scrub_name_note(w, value);
    if (r->fake == scrub_fake_date)
        scrub_date_note(w, value);
    if (r->fake == scrub_fake_age)
        dates_learn_age(&w->dates, value);
    if (r->spread)
        scrub_spread_add(w, rule, value);
    if (w->collects)
        scrub_known_add(w->collects, rule, value);
}

/* A moment that would be none of those that the schema allows. */
static bool leaves_bounds(struct scrub_walk *s, const struct scrub_hit *h,
                          struct slice text, struct slice key,
                          const struct scrub_edit *e)
{
    struct scrub_worker *w = s->w;
    const struct scrub_rule *r = &w->rules->rule[h->rule];

    return !w->collecting && r->fake == scrub_fake_date && key.n &&
           r->action == SCRUB_SURROGATE && h->form == HIT_RAW && !h->start &&
           h->end == text.n &&
           !scrub_bounds_allow(
               w, key, text,
               (struct slice){ w->arena.data + e->rep, e->rep_len }, !s->number,
               true);
}

int scrub_plain_text(struct scrub_walk *s, struct slice text, struct slice key,
                     bool sure, unsigned depth)
{
    struct scrub_worker *w = s->w;
    int place = w->place, rc;

    if (w->reveal)
        return scrub_reveal_plain(s, text);
    rc = find_all(s, text, key, depth);
    w->place = place;
    if (w->collecting && w->member && !sure) {
        scrub_member_list(w->members, text);
        scrub_faked_hold(w->faked, text); /* members stay different */
    }
    if (rc == ERR_OK && w->collecting && !sure)
        scrub_member_hold(w->members, text, &w->hits);
    for (size_t i = 0; rc == ERR_OK && i < w->hits.count; i++) {
        const struct scrub_hit *h = &w->hits.item[i];
        struct slice v = hit_value(w, text, h);
        struct scrub_edit e = {
            h->start, h->end, h->at, h->n, h->rule, h->tier
        };

        if (sure && h->tier != 1)
            continue;
        if (w->rules->rule[h->rule].fake == scrub_fake_part &&
            (w->collecting || !scrub_part_is(w, v)))
            continue; /* of nothing that moves */
        if (h->form != HIT_MADE && scrub_keeps(w, &w->rules->rule[h->rule], v))
            continue;
        if (h->form != HIT_MADE)
            e.rep = e.rep_len = 0; /* of the view */
        if (h->form != HIT_MADE && w->collecting)
            scrub_note_value(w, h->rule, v);
        else if (h->form != HIT_MADE)
            make_surrogate(s, h, v, &e);
        if (leaves_bounds(s, h, text, key, &e))
            continue;
        rc = scrub_push_edit(s, e);
    }
    return rc;
}
