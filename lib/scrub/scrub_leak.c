/*
 * scrub_leak.c - do known values survive?
 *
 * The text is searched as it is and as every view of it that a reader could
 * take: JSON strings decoded (to any depth), stray escapes undone, percent,
 * entities and base64 runs decoded, look-alikes made plain, each view searched
 * in the same way. Decoding the text rather than encoding the values finds a
 * value at any alignment and with any spelling of its escapes. What would cost
 * too much, or is too deep, is told, and never taken for clean.
 */
#include "scrub/scrub_priv.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VIEWS_MAX 6     /* views of views */
#define BUDGET_TIMES 64 /* bytes of views for a byte of text */
#define BUDGET_LEAST ((size_t)64 << 10)
#define SEEN_MIN 64      /* bytes of a view that is not searched again */
#define RUN_PARTS 8      /* where a run of base64 may begin behind a sign */
#define BASE64_MIN 8     /* characters of a run worth decoding */
#define BOUNDARY_BELOW 6 /* shorter values must be whole words */
#define NUMBER_DIGITS 7  /* that make a value a number, whatever separates */

struct scrub_leaks {
    struct scrub_leak_set *plain, *bare; /* bare: without separators */
    char **value;
    size_t *length;
    size_t count, numbers;
};

/* What views of one text may cost: each may have views that are as large. */
struct budget {
    size_t left;
    size_t missed;    /* bytes that were not searched, of all texts */
    struct map *seen; /* hashes of views */
};

struct look {
    const struct scrub_leaks *leaks;
    void (*found)(void *ctx, const struct scrub_leak *hit);
    void *ctx;
    struct slice text;
    const char *form;
    size_t at; /* of the outermost text; SIZE_MAX while that is searched */
    unsigned depth;
    size_t hits;
    struct budget *budget;
    const size_t *origin; /* of the bytes of a text without separators */
};

static void search_view(struct look *outer, struct slice text, const char *form,
                        size_t at);

void scrub_leaks_free(struct scrub_leaks *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->count; i++)
        free(l->value[i]);
    free(l->value);
    free(l->length);
    scrub_leak_set_free(l->plain);
    scrub_leak_set_free(l->bare);
    free(l);
}

static bool is_separator(char c)
{
    return c && strchr(" -./()+", c);
}

/* A number whose separators are a matter of taste: its letters and digits. */
static bool bare_form(struct slice v, struct buf *out)
{
    size_t digits = 0;

    buf_reset(out);
    for (size_t i = 0; i < v.n; i++) {
        digits += scrub_is_digit(v.p[i]);
        if (scrub_is_alnum(v.p[i]))
            buf_char(out, v.p[i]);
        else if (!is_separator(v.p[i]))
            return false;
    }
    return digits >= NUMBER_DIGITS && 2 * digits >= out->len;
}

static void file_value(struct scrub_leaks *l, struct slice v, uint32_t id,
                       struct buf *bare)
{
    l->value[id] = slice_dup(v);
    l->length[id] = v.n;
    scrub_leak_set_add(l->plain, v, id);
    if (bare_form(v, bare)) {
        scrub_leak_set_add(l->bare, buf_slice(bare), id);
        l->numbers++;
    }
}

int scrub_leaks_new(const struct slice *values, size_t n,
                    struct scrub_leaks **out, struct err *err)
{
    struct scrub_leaks *l;
    struct buf bare = { 0 };

    if (n > SCRUB_LEAK_MAX_VALUES)
        return err_set(err, ERR_LIMIT, "more than %d values",
                       SCRUB_LEAK_MAX_VALUES);
    for (size_t i = 0; i < n; i++)
        if (values[i].n < SCRUB_LEAK_MIN)
            return err_set(err, ERR_INVALID,
                           "value %zu is shorter than %d bytes; it would be "
                           "found everywhere",
                           i + 1, SCRUB_LEAK_MIN);
    l = mem_zalloc(sizeof(*l));
    l->plain = scrub_leak_set_new();
    l->bare = scrub_leak_set_new();
    l->value = mem_array(n, sizeof(*l->value));
    l->length = mem_array(n, sizeof(*l->length));
    l->count = n;
    for (size_t i = 0; i < n; i++)
        file_value(l, values[i], (uint32_t)i, &bare);
    scrub_leak_set_build(l->plain);
    scrub_leak_set_build(l->bare);
    buf_release(&bare);
    *out = l;
    return ERR_OK;
}

static void tell(struct look *k, uint32_t id, size_t start, bool whole,
                 bool exact, const char *form)
{
    struct scrub_leak hit = { .value = id,
                              .at = k->at == SIZE_MAX ? start : k->at,
                              .form = form,
                              .whole = whole,
                              .exact = exact,
                              .zone = scrub_is_zone(k->text, start) };

    k->hits++;
    k->found(k->ctx, &hit);
}

static void value_hit(void *ctx, uint32_t id, size_t start, size_t end)
{
    struct look *k = ctx;
    bool whole = scrub_is_whole(k->text, start, end);

    if (k->leaks->length[id] < BOUNDARY_BELOW && !whole)
        return;
    tell(k, id, start, whole,
         memcmp(k->text.p + start, k->leaks->value[id], end - start) == 0,
         k->form);
}

/* Does the value stand here as it is spelt? at: of its first letter or digit.
 */
static bool is_plain_hit(const struct look *k, uint32_t id, size_t at)
{
    const char *v = k->leaks->value[id];
    size_t n = k->leaks->length[id], lead = 0;

    while (lead < n && !scrub_is_alnum(v[lead]))
        lead++;
    return lead <= at && at - lead + n <= k->text.n &&
           strncasecmp(k->text.p + (at - lead), v, n) == 0;
}

/* A number may not go on where nothing separated its digits; what is spelt
 * like the value was found before. */
static void number_hit(void *ctx, uint32_t id, size_t start, size_t end)
{
    struct look *k = ctx;
    size_t from = k->origin[start], to = k->origin[end - 1] + 1;
    bool outer = !*k->form || k->at == SIZE_MAX;
    char form[80];

    if (!scrub_is_whole(k->text, from, to) || is_plain_hit(k, id, from))
        return;
    (void)snprintf(form, sizeof(form), "other separators%s%s",
                   outer ? "" : " in ", outer ? "" : k->form);
    tell(k, id, from, true, true, form);
}

/* Separators beside a digit are left out, one to three at a time. */
static void search_numbers(struct look *k)
{
    struct slice t = k->text;
    struct buf bare = { 0 };
    size_t *origin, n = 0;

    if (!k->leaks->numbers || t.n < NUMBER_DIGITS)
        return;
    origin = mem_array(t.n, sizeof(*origin));
    for (size_t i = 0; i < t.n; i++) {
        size_t run = 0;

        while (i + run < t.n && run < 3 && is_separator(t.p[i + run]))
            run++;
        if (run && i + run < t.n &&
            ((n && scrub_is_digit(bare.data[n - 1])) ||
             scrub_is_digit(t.p[i + run])))
            i += run;
        buf_char(&bare, t.p[i]);
        origin[n++] = i;
    }
    k->origin = origin;
    for (size_t i = 0; i < n; i++)
        bare.data[i] |= bare.data[i] >= 'A' && bare.data[i] <= 'Z' ? 0x20 : 0;
    scrub_leak_set_scan(k->leaks->bare, buf_slice(&bare), number_hit, k);
    k->origin = NULL;
    free(origin);
    buf_release(&bare);
}

static void search_text(struct look *k)
{
    struct buf folded = { 0 };

    scrub_leak_fold(k->text, &folded);
    if (folded.len == k->text.n)
        scrub_leak_set_scan(k->leaks->plain, buf_slice(&folded), value_hit, k);
    else
        k->budget->missed += k->text.n;
    buf_release(&folded);
    search_numbers(k);
}

static size_t outermost(const struct look *k, size_t at)
{
    return k->at == SIZE_MAX ? at : k->at;
}

static void renew(struct budget *b, size_t n)
{
    b->left = n < (SIZE_MAX - BUDGET_LEAST) / BUDGET_TIMES
                  ? BUDGET_TIMES * n + BUDGET_LEAST
                  : SIZE_MAX;
    map_clear(b->seen);
}

/* Strings whose decoded text is not the bytes that stand here. */
static bool search_json(struct look *k)
{
    struct json j = { 0 };
    struct buf text = { 0 };
    size_t i = 0;

    while (i < k->text.n && strchr(" \t\r\n", k->text.p[i]))
        i++;
    if (i == k->text.n || !strchr("{[\"", k->text.p[i]) ||
        json_parse(&j, k->text.p, k->text.n, NULL) < 0) {
        json_release(&j);
        return false;
    }
    for (json_ref v = 0; v < j.count; v++) {
        if (!json_is(&j, v, JSON_STRING))
            continue;
        buf_reset(&text);
        (void)json_text(&j, v, &text);
        if (k->at == SIZE_MAX)
            renew(k->budget, text.len);
        /* Plain strings were searched with the whole; only look into them. */
        search_view(k, buf_slice(&text), j.nodes[v].count ? "json" : "",
                    outermost(k, j.nodes[v].start));
    }
    json_release(&j);
    buf_release(&text);
    return true;
}

static int hex_value(char c)
{
    if (scrub_is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void search_percent(struct look *k)
{
    struct slice t = k->text;
    struct buf text = { 0 };
    bool any = false;

    if (!t.n || !memchr(t.p, '%', t.n))
        return;
    for (size_t i = 0; i < t.n; i++) {
        if (t.p[i] == '%' && i + 2 < t.n && hex_value(t.p[i + 1]) >= 0 &&
            hex_value(t.p[i + 2]) >= 0) {
            buf_char(&text, (char)(hex_value(t.p[i + 1]) << 4 |
                                   hex_value(t.p[i + 2])));
            any = true;
            i += 2;
        } else {
            buf_char(&text, t.p[i] == '+' ? ' ' : t.p[i]);
        }
    }
    if (any)
        search_view(k, buf_slice(&text), "percent", outermost(k, 0));
    buf_release(&text);
}

/* Escapes in what is no JSON by itself: a cut document, a log line. */
static void search_escapes(struct look *k)
{
    struct slice t = k->text;
    struct buf text = { 0 };
    char utf8[4];

    if (!t.n || !memchr(t.p, '\\', t.n))
        return;
    for (size_t i = 0; i < t.n; i++) {
        uint32_t cp = 0;
        size_t d = 0;

        if (t.p[i] != '\\' || i + 1 == t.n) {
            buf_char(&text, t.p[i]);
            continue;
        }
        i++;
        while (t.p[i] == 'u' && d < 4 && i + d + 1 < t.n &&
               hex_value(t.p[i + d + 1]) >= 0)
            cp = cp << 4 | (uint32_t)hex_value(t.p[i + ++d]);
        if (d == 4) {
            buf_add(&text, utf8, utf8_encode(cp, utf8));
            i += 4;
        } else {
            buf_char(&text, strchr("bfnrt", t.p[i]) ? ' ' : t.p[i]);
        }
    }
    if (text.len < t.n)
        search_view(k, buf_slice(&text), "escaped", outermost(k, 0));
    buf_release(&text);
}

/* Decodes the run at t.p[i]; returns its end. */
static size_t decode_base64(struct slice t, size_t i, struct buf *out)
{
    unsigned bits = 0, held = 0;

    for (; i < t.n && scrub_base64_value(t.p[i]) >= 0; i++) {
        bits = (bits << 6 | (unsigned)scrub_base64_value(t.p[i])) & 0xFFFFFF;
        held += 6;
        if (held >= 8) {
            held -= 8;
            buf_char(out, (char)(bits >> held & 0xFF));
        }
    }
    return i;
}

static void search_base64(struct look *k)
{
    struct slice t = k->text;
    struct buf text = { 0 };
    size_t i = 0;

    while (i < t.n) {
        size_t from = i;

        if (scrub_base64_value(t.p[i]) < 0) {
            i++;
            continue;
        }
        buf_reset(&text);
        i = decode_base64(t, i, &text);
        for (unsigned n = 0; n < RUN_PARTS && i - from >= BASE64_MIN; n++) {
            search_view(k, buf_slice(&text), "base64", outermost(k, from));
            while (from < i && scrub_is_alnum(t.p[from]))
                from++;
            from += from < i; /* "/v1/YWRh..." */
            buf_reset(&text);
            (void)decode_base64(t, from, &text);
        }
    }
    buf_release(&text);
}

/* Entities undone, and what looks the same made the same, as rules see it. */
static void search_look_alikes(struct look *k)
{
    unsigned needs = scrub_view_needs(k->text);
    struct scrub_view v = { 0 };

    if (needs & CODED_ENTITY && scrub_view_decode(&v, k->text, CODED_ENTITY))
        search_view(k, buf_slice(&v.text), "entities", outermost(k, 0));
    if (needs & CODED_FOLDED && scrub_view_fold(&v, k->text))
        search_view(k, buf_slice(&v.text), "look-alikes", outermost(k, 0));
    scrub_view_release(&v);
}

/* Nothing but text; what words give that are no base64 is not. */
static bool is_readable(struct slice t)
{
    for (size_t i = 0; i < t.n; i++)
        if (((unsigned char)t.p[i] < 0x20 && !strchr("\t\n\r", t.p[i])) ||
            !t.p[i] || t.p[i] == 0x7F)
            return false;
    return utf8_valid(t.p, t.n);
}

/* Could it have a view that differs from it? */
static bool hides(struct slice t)
{
    struct scrub_runs at = { 0 };
    size_t start, end;
    struct buf text = { 0 };
    bool any = memchr(t.p, '\\', t.n) || memchr(t.p, '%', t.n) ||
               scrub_view_needs(t) ||
               scrub_base64_next(t, &at, &start, &end, &text);

    buf_release(&text);
    return any;
}

/* Takes the view out of the budget. False: it is not to be searched. */
static bool afford(struct look *k, struct slice text, const char *form)
{
    struct budget *b = k->budget;
    uint64_t hash[2];
    bool added = true;

    if (!text.n)
        return false;
    if (text.n > b->left) {
        b->missed += *form || hides(text) ? text.n : 0;
        return false;
    }
    b->left -= text.n;
    if (*form && text.n >= SEEN_MIN) {
        if (!b->seen)
            b->seen = map_new();
        hash[0] = hash64(text.p, text.n, 1);
        hash[1] = text.n;
        (void)map_put(b->seen, hash, sizeof(hash), &added);
    }
    return added;
}

static void search_coded(struct look *k)
{
    if (*k->form && !is_readable(k->text))
        return; /* bytes, or a word that is no base64 */
    if (search_json(k))
        return;
    search_escapes(k);
    search_percent(k);
    search_base64(k);
    search_look_alikes(k);
}

/* A view that differs from its text (form not empty) is searched itself; then
 * its own views are. */
static void search_view(struct look *outer, struct slice text, const char *form,
                        size_t at)
{
    char name[64];
    struct look k = *outer;

    if (!afford(outer, text, form))
        return;
    (void)snprintf(name, sizeof(name), "%s%s%s", form,
                   *form && *outer->form ? " in " : "", outer->form);
    k.text = text;
    k.form = name;
    k.at = at;
    k.depth = outer->depth + 1;
    k.hits = 0;
    if (*form)
        search_text(&k);
    if (k.depth <= VIEWS_MAX)
        search_coded(&k);
    else if (is_readable(text) && hides(text))
        k.budget->missed += text.n;
    outer->hits += k.hits;
}

size_t scrub_leaks_look(const struct scrub_leaks *l, struct slice text,
                        void (*found)(void *ctx, const struct scrub_leak *hit),
                        void *ctx, size_t *missed)
{
    struct budget budget = { 0 };
    struct look k = { .leaks = l,
                      .found = found,
                      .ctx = ctx,
                      .text = text,
                      .form = "plain",
                      .budget = &budget,
                      .at = SIZE_MAX };

    if (missed)
        *missed = 0;
    if (!text.n)
        return 0;
    renew(&budget, text.n);
    search_text(&k);
    k.form = "";
    search_coded(&k);
    map_free(budget.seen);
    if (missed)
        *missed = budget.missed;
    return k.hits;
}

struct plain_call {
    void (*found)(void *ctx, size_t value, const char *form, size_t at);
    void *ctx;
};

static void call_plain(void *ctx, const struct scrub_leak *hit)
{
    const struct plain_call *c = ctx;

    c->found(c->ctx, hit->value, hit->form, hit->at);
}

size_t scrub_leaks_search(const struct scrub_leaks *l, struct slice text,
                          void (*found)(void *ctx, size_t value,
                                        const char *form, size_t at),
                          void *ctx, size_t *missed)
{
    struct plain_call c = { found, ctx };

    return scrub_leaks_look(l, text, call_plain, &c, missed);
}
