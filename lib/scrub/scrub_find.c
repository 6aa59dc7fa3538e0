/*
 * scrub_find.c - which pieces of one plain text must go
 *
 * Gates give windows, patterns run inside windows only, checks and context
 * decide, overlaps are resolved by a total order. The order of rules in files
 * is the last criterion, so the answer depends on nothing else.
 */
#include "scrub/scrub_priv.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define EXTENSIONS 8 /* how often a window may grow under a match */
#define SPREAD_MIN_DIGITS 7
#define SPREAD_MIN_TEXT 8

struct search {
    struct scrub_worker *w;
    struct slice text, key;
    struct err *err;
};

static void push_window(struct scrub_worker *w, struct scrub_window x)
{
    void *all = w->windows;

    mem_grow(&all, &w->window_cap, w->window_count + 1, sizeof(*w->windows));
    w->windows = all;
    w->windows[w->window_count++] = x;
}

/* Windows of one rule that touch become one, so no match is seen twice. */
static void add_window(struct search *s, uint32_t rule, size_t start,
                       size_t end)
{
    struct scrub_worker *w = s->w;
    struct scrub_window *open = &w->open[rule];

    if (end > s->text.n)
        end = s->text.n;
    if (!open->end)
        w->touched[w->touched_count++] = rule;
    if (open->end && start <= open->end) {
        if (end > open->end)
            open->end = end;
        return;
    }
    if (open->end)
        push_window(w, *open);
    *open = (struct scrub_window){ start, end, rule };
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
    struct search *s = ctx;
    const struct scrub_rule *r = &s->w->rules->rule[rule];
    size_t back = r->longest + r->before;

    add_window(s, rule, end > back ? end - back : 0, end + r->after);
}

static void key_hit(void *ctx, uint32_t rule, size_t end)
{
    struct search *s = ctx;

    (void)end;
    add_window(s, rule, 0, s->text.n);
}

/* A run of digits with separators between them. */
struct cluster {
    size_t start, end;
    size_t digits, dots;
};

static bool is_separator(char c)
{
    return c == ' ' || c == '-' || c == '.' || c == '(' || c == ')' ||
           c == '/' || c == '+';
}

/* i is the first digit. Returns where to go on. */
static size_t read_cluster(struct slice t, size_t i, struct cluster *c)
{
    size_t gap = 0, dots = 0;

    *c = (struct cluster){ .start = i };
    while (c->start && i - c->start < 2 &&
           (t.p[c->start - 1] == '+' || t.p[c->start - 1] == '('))
        c->start--;
    for (; i < t.n; i++) {
        if (scrub_is_digit(t.p[i])) {
            c->digits++;
            c->dots += dots;
            c->end = i + 1;
            gap = dots = 0;
        } else if (is_separator(t.p[i]) && gap < 3) {
            gap++;
            dots += t.p[i] == '.';
        } else {
            break;
        }
    }
    return i;
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool begins_iban(struct slice t, size_t digit)
{
    const char *p = t.p + digit;

    return digit >= 2 && digit + 1 < t.n && scrub_is_digit(p[1]) &&
           scrub_is_alnum(p[-1]) && scrub_is_alnum(p[-2]) &&
           (digit == 2 || !scrub_is_alnum(p[-3])) && idnumber_iban_length(p - 2);
}

static void cluster_windows(struct search *s, const struct cluster *c,
                            size_t digit)
{
    const struct scrub_rules *rules = s->w->rules;
    bool iban = begins_iban(s->text, digit);

    if (c->digits < 4 && !iban)
        return;
    for (size_t i = 0; i < rules->digit_count; i++) {
        uint32_t rule = rules->digit_rule[i];
        const struct scrub_rule *r = &rules->rule[rule];
        size_t back = r->before < c->start ? c->start - r->before : 0;

        if ((r->gate == GATE_DIGITS && c->digits >= r->digits) ||
            (r->gate == GATE_DOTS && c->dots >= 3))
            add_window(s, rule, back, c->end + r->after);
        else if (r->gate == GATE_IBAN && iban)
            add_window(s, rule, digit - 2, digit + r->after);
    }
}

static int push_hit(struct search *s, struct scrub_hit h)
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

/* Second pass: digits that the record holds as somebody's number. */
static int seek_digits(struct search *s, size_t start, size_t end)
{
    struct scrub_worker *w = s->w;
    struct slice v = { s->text.p + start, end - start };
    const uint64_t *rule;

    buf_reset(&w->norm);
    scrub_norm_phone(v, &w->norm);
    if (w->norm.len < SPREAD_MIN_DIGITS)
        return ERR_OK;
    rule = map_get(w->spread_digits, w->norm.data, w->norm.len);
    if (!rule)
        return ERR_OK;
    return push_hit(s, (struct scrub_hit){ .start = start,
                                           .end = end,
                                           .rule = (uint32_t)*rule,
                                           .tier = 1 });
}

static int seek_cluster(struct search *s, const struct cluster *c)
{
    size_t i = c->start;
    int rc;

    if (!s->w->spreading || !s->w->spread_digits ||
        c->digits < SPREAD_MIN_DIGITS)
        return ERR_OK;
    rc = seek_digits(s, c->start, c->end);
    while (rc == ERR_OK && i < c->end) {
        size_t from = i;

        while (i < c->end && scrub_is_digit(s->text.p[i]))
            i++;
        if (i - from >= SPREAD_MIN_DIGITS && i - from < c->end - c->start)
            rc = seek_digits(s, from, i);
        i += i < c->end;
    }
    return rc;
}

static int scan_digits(struct search *s)
{
    size_t i = 0;

    while (i < s->text.n) {
        struct cluster c;
        size_t digit;
        int rc;

        if (!scrub_is_digit(s->text.p[i])) {
            i++;
            continue;
        }
        digit = i;
        i = read_cluster(s->text, i, &c);
        cluster_windows(s, &c, digit);
        rc = seek_cluster(s, &c);
        if (rc < 0)
            return rc;
    }
    return ERR_OK;
}

static bool is_hex(char c)
{
    return scrub_is_digit(c) || (c >= 'a' && c <= 'f') ||
           (c >= 'A' && c <= 'F');
}

/* "::" or seven colons between hexadecimal digits. */
static size_t colon_window(struct search *s, size_t at)
{
    struct slice t = s->text;
    size_t start = at, end = at, colons = 0;
    bool twice = false;

    while (start && at - start < 5 && is_hex(t.p[start - 1]))
        start--;
    while (end < t.n && (is_hex(t.p[end]) || t.p[end] == ':')) {
        if (t.p[end] == ':') {
            colons++;
            twice |= end > start && t.p[end - 1] == ':';
        }
        end++;
    }
    if (!twice && colons < 7)
        return end;
    for (size_t i = 0; i < s->w->rules->digit_count; i++) {
        uint32_t rule = s->w->rules->digit_rule[i];

        if (s->w->rules->rule[rule].gate == GATE_COLONS)
            add_window(s, rule, start, end + 2);
    }
    return end;
}

static void scan_colons(struct search *s)
{
    size_t i = 0;

    while (i < s->text.n) {
        const char *hit = memchr(s->text.p + i, ':', s->text.n - i);

        if (!hit)
            return;
        i = (size_t)(hit - s->text.p);
        if (i + 1 < s->text.n && (is_hex(hit[1]) || hit[1] == ':') &&
            (hit[1] == ':' || (i && is_hex(hit[-1]))))
            i = colon_window(s, i);
        else
            i++;
    }
}

static char lower(char c)
{
    return is_upper(c) ? (char)(c | 0x20) : c;
}

/* A word of context as a whole word in [from, to). */
static bool holds_context(struct slice t, size_t from, size_t to,
                          const char *word)
{
    size_t n = strlen(word);

    for (size_t i = from; i + n <= to; i++) {
        size_t k = 0;

        while (k < n && lower(t.p[i + k]) == lower(word[k]))
            k++;
        if (k == n && (i == 0 || !scrub_is_alnum(t.p[i - 1])) &&
            (i + n == t.n || !scrub_is_alnum(t.p[i + n])))
            return true;
    }
    return false;
}

static bool has_context(const struct search *s, const struct scrub_rule *r,
                        size_t start)
{
    size_t from = start > r->reach ? start - r->reach : 0;

    for (size_t i = 0; s->key.n && i < r->keys.count; i++)
        if (memmem(s->key.p, s->key.n, r->keys.item[i],
                   strlen(r->keys.item[i])))
            return true;
    for (size_t i = 0; i < r->words.count; i++)
        if (holds_context(s->text, from, start, r->words.item[i]))
            return true;
    return false;
}

/* A candidate at [start, end): what is left of its tier after check and
 * context. One that has the shape alone is kept as such, so that it can be
 * counted where nothing better stands. */
static int judge(struct search *s, uint32_t rule, size_t start, size_t end,
                 int tier)
{
    const struct scrub_rule *r = &s->w->rules->rule[rule];
    struct slice v = { s->text.p + start, end - start };

    if (r->fit) {
        v.n = r->fit(v);
        end = start + v.n;
        if (end < s->text.n && scrub_is_alnum(s->text.p[end]))
            return ERR_OK; /* longer than any value */
    }
    if (!v.n || (r->require && !r->require(v)))
        return ERR_OK;
    if (tier == 1 && r->check && !r->check(v))
        tier = 2;
    if (tier == 2 && !has_context(s, r, start))
        tier = 3;
    return push_hit(s, (struct scrub_hit){ .start = start,
                                           .end = end,
                                           .rule = rule,
                                           .tier = (uint8_t)tier });
}

static int consider(struct search *s, uint32_t rule,
                    const struct regex_match *m)
{
    struct regex_span at = m->group[0];

    if (m->count > 1 && m->group[1].start != SIZE_MAX)
        at = m->group[1];
    return judge(s, rule, at.start, at.end, s->w->rules->rule[rule].tier);
}

struct finding {
    struct search *s;
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

static int run_finders(struct search *s)
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

/* The end of a window must not look like the end of the text: a match that
 * touches it is asked again with more to see. */
static int run_window(struct search *s, struct scrub_window x)
{
    const struct scrub_rule *r = &s->w->rules->rule[x.rule];
    size_t from = x.start, extended = 0;

    while (from < x.end) {
        struct slice seen = { s->text.p, x.end };
        struct regex_match m;
        int rc = regex_find(r->regex, s->w->scratch, seen, from, &m, s->err);

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
    }
    return ERR_OK;
}

/* Second pass: texts that the record holds as somebody's secret. */
static int seek_texts(struct search *s)
{
    struct slice t = s->text;

    for (size_t i = 0; i < s->w->spread_known; i++) {
        const struct scrub_spread *x = &s->w->spread[i];
        size_t at = 0;

        while (at < t.n) {
            const char *hit = memmem(t.p + at, t.n - at, x->text, x->n);
            size_t start;
            int rc = ERR_OK;

            if (!hit)
                break;
            start = (size_t)(hit - t.p);
            at = start + x->n;
            if ((start == 0 || !scrub_is_alnum(hit[-1])) &&
                (at == t.n || !scrub_is_alnum(t.p[at])))
                rc = push_hit(s, (struct scrub_hit){ .start = start,
                                                     .end = at,
                                                     .rule = x->rule,
                                                     .tier = 1 });
            if (rc < 0)
                return rc;
        }
    }
    return ERR_OK;
}

int scrub_find(struct scrub_worker *w, struct slice text, struct slice key,
               struct err *err)
{
    struct search s = { w, text, key, err };
    int rc;

    w->window_count = 0;
    if (!text.n)
        return ERR_OK;
    scrub_gate_scan(w->rules->gate, text, literal_hit, &s);
    rc = scan_digits(&s);
    scan_colons(&s);
    if (key.n)
        scrub_gate_scan(w->rules->key_gate, key, key_hit, &s);
    for (size_t i = 0; i < w->rules->all_count; i++)
        add_window(&s, w->rules->all_rule[i], 0, text.n);
    close_windows(w);
    for (size_t i = 0; rc == ERR_OK && i < w->window_count; i++)
        rc = run_window(&s, w->windows[i]);
    if (rc == ERR_OK)
        rc = run_finders(&s);
    if (rc == ERR_OK && w->spreading)
        rc = seek_texts(&s);
    return rc;
}

void scrub_key_words(struct slice key, struct buf *out)
{
    bool low = false;

    buf_char(out, '_');
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];

        if (is_upper(c) && low)
            buf_char(out, '_');
        low = (c >= 'a' && c <= 'z') || scrub_is_digit(c);
        if (scrub_is_alnum(c) || (unsigned char)c >= 0x80)
            buf_char(out, lower(c));
        else if (out->data[out->len - 1] != '_')
            buf_char(out, '_');
    }
    if (out->data[out->len - 1] != '_')
        buf_char(out, '_');
}

void scrub_spread_add(struct scrub_worker *w, uint32_t rule, struct slice value)
{
    const struct scrub_rule *r = &w->rules->rule[rule];
    void *all = w->spread;
    bool added;

    if (r->digital) {
        buf_reset(&w->norm);
        r->norm(value, &w->norm);
        if (w->norm.len < SPREAD_MIN_DIGITS)
            return;
        if (!w->spread_digits)
            w->spread_digits = map_new();
        *map_put(w->spread_digits, w->norm.data, w->norm.len, NULL) = rule;
        return;
    }
    if (r->stem)
        value.n = r->stem(value);
    if (value.n < SPREAD_MIN_TEXT)
        return;
    if (!w->spread_seen)
        w->spread_seen = map_new();
    (void)map_put(w->spread_seen, value.p, value.n, &added);
    if (!added)
        return;
    mem_grow(&all, &w->spread_cap, w->spread_known + 1, sizeof(*w->spread));
    w->spread = all;
    w->spread[w->spread_known++] =
        (struct scrub_spread){ slice_dup(value), value.n, rule };
}

void scrub_spread_reset(struct scrub_worker *w)
{
    for (size_t i = 0; i < w->spread_known; i++)
        free(w->spread[i].text);
    w->spread_known = 0;
    map_free(w->spread_digits);
    map_free(w->spread_seen);
    w->spread_digits = w->spread_seen = NULL;
    w->spreading = false;
}
