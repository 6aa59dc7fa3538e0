/*
 * scrub_find.c - which pieces of one plain text must go
 *
 * Gates give windows, patterns run inside windows only, checks and context
 * decide, overlaps are resolved by a total order. The order of rules in files
 * is the last criterion, so the answer depends on nothing else.
 */
#include "scrub/scrub_fake.h"

#include "base/ascii.h"
#include "base/mem.h"
#include "names/names.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define EXTENSIONS 8 /* how often a window may grow under a match */

static void push_window(struct scrub_worker *w, struct scrub_window x)
{
    void *all = w->windows;

    mem_grow(&all, &w->window_cap, w->window_count + 1, sizeof(*w->windows));
    w->windows = all;
    w->windows[w->window_count++] = x;
}

/* Windows of one rule in which matches may begin at the same place become one;
 * none begins before the last. */
void scrub_add_window(struct scrub_search *s, struct scrub_window x)
{
    struct scrub_worker *w = s->w;
    struct scrub_window *open = &w->open[x.rule];

    if (x.end > s->text.n)
        x.end = s->text.n;
    if (!open->end) {
        w->touched[w->touched_count++] = x.rule;
        w->reached[x.rule] = 0;
    } else if (x.start <= open->last) {
        if (x.last > open->last)
            open->last = x.last;
        if (x.end > open->end)
            open->end = x.end;
        return;
    } else {
        push_window(w, *open);
    }
    *open = x;
}

static void close_windows(struct scrub_worker *w)
{
    for (size_t i = 0; i < w->touched_count; i++) {
        push_window(w, w->open[w->touched[i]]);
        w->open[w->touched[i]].end = 0;
    }
    w->touched_count = 0;
}

static void literal_hit(void *ctx, uint32_t rule, size_t end)
{
    struct scrub_search *s = ctx;
    const struct scrub_rule *r;
    size_t back;

    if (rule & SCRUB_IS_WORD) {
        scrub_context_hit(s, rule & ~SCRUB_IS_WORD, end);
        return;
    }
    r = &s->w->rules->rule[rule];
    back = r->longest + r->before;
    scrub_add_window(s, (struct scrub_window){ end > back ? end - back : 0,
                                               r->far ? end + r->after : end,
                                               end + r->after, rule });
}

int scrub_push_hit(struct scrub_search *s, struct scrub_hit h)
{
    struct scrub_hits *hits = &s->w->hits;
    void *all = hits->item;
    const char *p = s->text.p;

    if (hits->count == SCRUB_MAX_SPANS)
        return err_set(s->err, ERR_LIMIT, "more than %d finds in one text",
                       SCRUB_MAX_SPANS);
    while (h.start && ((unsigned char)p[h.start] & 0xC0) == 0x80)
        h.start--; /* a byte pattern may cut a UTF-8 character */
    while (h.end < s->text.n && ((unsigned char)p[h.end] & 0xC0) == 0x80)
        h.end++;
    mem_grow(&all, &hits->cap, hits->count + 1, sizeof(*hits->item));
    hits->item = all;
    hits->item[hits->count++] = h;
    return ERR_OK;
}

static bool is_protocol(const struct scrub_worker *w)
{
    return w->place == PLACE_STRUCTURE || w->place == PLACE_PATTERN;
}

static bool is_word(const struct scrub_worker *w, struct slice v)
{
    return names_in(w->rules->names, v) &
           (NAMES_BIT(NAMES_LIST_COMMON) | NAMES_BIT(NAMES_LIST_FOREIGN));
}

/* A candidate at [start, end): what is left of its tier after check and
 * context. One that has the shape alone is kept as such, so that it can be
 * counted where nothing better stands. */
static int judge(struct scrub_search *s, uint32_t rule, size_t start,
                 size_t end, int tier)
{
    const struct scrub_rule *r = &s->w->rules->rule[rule];
    struct slice v = { s->text.p + start, end - start }, host;
    int rc;

    if (s->w->place != PLACE_TEXT && !s->known &&
        (tier > 1 || r->gate == GATE_FIND ||
         (is_protocol(s->w) && r->gate != GATE_LITERAL)))
        return ERR_OK;
    if (r->fit) {
        v.n = r->fit(v);
        end = start + v.n;
        if (end < s->text.n && scrub_is_alnum(s->text.p[end]))
            return ERR_OK; /* longer than any value */
    }
    if (!v.n || (r->require && !r->require(v)) ||
        (r->require == scrub_check_login && is_word(s->w, v)))
        return ERR_OK;
    if (tier == 1 && r->check && !r->check(v))
        tier = 2;
    if (tier == 2 && !scrub_context_has(s, rule, start))
        tier = 3;
    rc = scrub_push_hit(s, (struct scrub_hit){ .start = start,
                                               .end = end,
                                               .rule = rule,
                                               .tier = (uint8_t)tier });
    if (rc < 0 || tier > 2 || r->fake != scrub_fake_url)
        return rc;
    /* What wins over the address of a page must not keep its host. */
    host = scrub_url_host(v);
    if (!host.n)
        return rc;
    return scrub_push_hit(
        s, (struct scrub_hit){ .start = start + (size_t)(host.p - v.p),
                               .end = start + (size_t)(host.p - v.p) + host.n,
                               .rule = rule,
                               .tier = (uint8_t)tier });
}

static int consider(struct scrub_search *s, uint32_t rule,
                    const struct regex_match *m)
{
    struct regex_span at = m->group[0];

    if (m->count > 1 && m->group[1].start != SIZE_MAX)
        at = m->group[1];
    return judge(s, rule, at.start, at.end, s->w->rules->rule[rule].tier);
}

struct finding {
    struct scrub_search *s;
    int family;
};

static int found(void *ctx, unsigned class, size_t start, size_t end, int tier)
{
    struct finding *f = ctx;
    const struct scrub_rules *rules = f->s->w->rules;
    int wanted = f->family * SCRUB_CLASSES + (int)class, rc = ERR_OK;

    assert(start < end && end <= f->s->text.n);
    for (size_t i = 0; rc == ERR_OK && i < rules->found_count; i++) {
        const struct scrub_rule *r = &rules->rule[rules->found_rule[i]];

        if (r->find_class == wanted)
            rc = judge(f->s, rules->found_rule[i], start, end,
                       r->tier > tier ? r->tier : tier);
    }
    return rc;
}

static int run_finders(struct scrub_search *s)
{
    const struct scrub_finder *f;
    int rc = ERR_OK;

    for (int i = 0; rc == ERR_OK && (f = scrub_finder_at((size_t)i)); i++) {
        struct finding x = { s, i };

        if (s->w->rules->finds[i])
            rc = f->find(s->w->finder[i], s->text, s->key, found, &x, s->err);
    }
    return rc;
}

/* A match needs a digit, and the window has none. */
static bool lacks_digit(const struct scrub_search *s, struct scrub_rule *r,
                        const struct scrub_window *x)
{
    unsigned char digit = atomic_load(&r->digit);

    if (!digit) {
        struct scrub_shape shape;

        scrub_shape_read(buf_slice(&r->pattern), 0, &shape);
        digit = shape.digit ? 2 : 1;
        atomic_store(&r->digit, digit);
    }
    return digit == 2 && ascii_digit_next((struct slice){ s->text.p, x->end },
                                          x->start) == x->end;
}

/* The end of a window must not look like the end of the text: a match that
 * touches it is asked again with more to see. */
int scrub_run_window(struct scrub_search *s, struct scrub_window x)
{
    struct scrub_rule *r = &s->w->rules->rule[x.rule];
    size_t *reached = &s->w->reached[x.rule], extended = 0;
    size_t from = x.start > *reached ? x.start : *reached;
    const struct regex *regex;

    if (r->gate == GATE_LITERAL && lacks_digit(s, r, &x))
        return ERR_OK;
    if (scrub_rule_regex(r, &regex, s->err) < 0)
        return err_wrap(s->err, "rule %s", r->name);

    while (from < x.end && from <= x.last) {
        struct slice seen = { s->text.p, x.end };
        struct regex_match m;
        int rc = regex_find_until(regex, s->w->scratch, seen, from, x.last, &m,
                                  s->err);

        if (rc < 0)
            return err_wrap(s->err, "rule %s", r->name);
        if (rc == 0)
            return ERR_OK;
        if (m.group[0].end == x.end && x.end < s->text.n &&
            extended < EXTENSIONS) {
            extended++;
            x.end += (r->after + 64) << extended;
            if (x.end > s->text.n)
                x.end = s->text.n;
            continue;
        }
        rc = consider(s, x.rule, &m);
        if (rc < 0)
            return rc;
        from = m.group[0].end > from ? m.group[0].end : from + 1;
        *reached = from;
    }
    return ERR_OK;
}

static void open_windows(struct scrub_search *s)
{
    const struct scrub_rules *rules = s->w->rules;

    for (size_t k = 0; s->evidence && k < rules->width; k++) {
        uint64_t set = s->evidence[k] & rules->key_set[k];

        for (; set; set &= set - 1) {
            uint32_t rule = (uint32_t)(64 * k) + (uint32_t)__builtin_ctzll(set);

            scrub_add_window(
                s, (struct scrub_window){ 0, s->text.n, s->text.n, rule });
        }
    }
    for (size_t i = 0; i < rules->all_count; i++)
        scrub_add_window(s, (struct scrub_window){ 0, s->text.n, s->text.n,
                                                   rules->all_rule[i] });
    scrub_colon_windows(s);
    scrub_run_windows(s);
    close_windows(s->w);
}

static int seek_known(struct scrub_search *s)
{
    const struct scrub_finder *f;
    int rc = ERR_OK;

    for (int i = 0; rc == ERR_OK && (f = scrub_finder_at((size_t)i)); i++) {
        struct finding x = { s, i };

        if (f->seek && s->w->rules->finds[i])
            rc = f->seek(s->w->finder[i], s->text, found, &x);
    }
    return rc;
}

static int seek(struct scrub_search *s)
{
    int rc = ERR_OK;

    if (!s->w->collecting && s->w->place != PLACE_STRUCTURE &&
        s->w->place != PLACE_SCHEMA) {
        s->known = true;
        rc = seek_known(s);
        s->known = false;
    }
    if (rc < 0)
        return rc;
    if (s->w->spreading && !is_protocol(s->w))
        rc = scrub_digits_seek(s);
    return rc < 0 || !s->w->spreading ? rc
                                      : scrub_spread_seek(s, is_protocol(s->w));
}

/* What gates, patterns and finders say of the text. */
static int ask(struct scrub_search *s)
{
    struct scrub_worker *w = s->w;
    int rc = ERR_OK;

    w->window_count = w->word_count = w->cluster_count = 0;
    scrub_gate_scan(w->rules->gate, s->text, literal_hit, s);
    if (!is_protocol(w))
        scrub_digit_windows(s);
    open_windows(s);
    for (size_t i = 0; rc == ERR_OK && i < w->window_count; i++)
        rc = scrub_run_window(s, w->windows[i]);
    if (rc == ERR_OK && w->place == PLACE_TEXT)
        rc = run_finders(s);
    return rc < 0 ? rc : scrub_digit_shapes(s);
}

/* A cell of a table in the text is a text of its own. */
static int ask_cell(void *ctx, struct slice cell, struct slice key)
{
    struct scrub_search *s = ctx, x = *s;
    size_t mark = s->w->hits.count, base = (size_t)(cell.p - s->text.p);
    int rc;

    x.text = cell;
    x.key = key;
    x.first = mark;
    x.evidence = scrub_context_key(s->w, key);
    rc = ask(&x);
    for (size_t i = mark; i < s->w->hits.count; i++) {
        s->w->hits.item[i].start += base;
        s->w->hits.item[i].end += base;
    }
    return rc;
}

int scrub_find(struct scrub_worker *w, struct slice text, struct slice key,
               struct err *err)
{
    struct scrub_search s = {
        w, text, key, scrub_context_key(w, key), w->hits.count, false, err
    };
    int rc = ERR_OK;

    if (!text.n || (w->known_only && w->collecting))
        return ERR_OK;
    if (w->known_only)
        return seek(&s);
    rc = scrub_calls_take(w, text, err);
    if (rc > 0) {
        rc = scrub_member_take(&s);
        return rc < 0 ? rc : seek(&s);
    }
    if (rc < 0)
        return rc;
    rc = ERR_OK;
    if (w->place == PLACE_TEXT) {
        /* First: what a column says of a name decides of what kind it is. */
        rc = scrub_table_cells(w, text, ask_cell, &s);
        s.evidence = scrub_context_key(w, key); /* it may have moved */
    }
    if (rc == ERR_OK)
        rc = ask(&s);
    scrub_calls_keep(w, s.first);
    if (rc == ERR_OK)
        rc = scrub_member_take(&s);
    return rc < 0 ? rc : seek(&s);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

void scrub_key_words(struct slice key, struct buf *out)
{
    char *p = buf_reserve(out, 2 * key.n + 2), *to = p;
    bool low = false;

    if (!p)
        return;
    *to++ = '_';
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];

        if ((c >= 'A' && c <= 'Z') && low)
            *to++ = '_';
        low = (c >= 'a' && c <= 'z') || scrub_is_digit(c);
        if (scrub_is_alnum(c) || (unsigned char)c >= 0x80)
            *to++ = lower(c);
        else if (to[-1] != '_')
            *to++ = '_';
    }
    if (to[-1] != '_')
        *to++ = '_';
    *to = '\0';
    out->len += (size_t)(to - p);
}
