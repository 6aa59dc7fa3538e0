/*
 * scrub_reveal.c - surrogates found again in texts, and turned back
 *
 * Texts are walked as they are to scrub them, with the vault's surrogates in
 * place of rules. Only whole words count, in the spelling that was written;
 * what was encoded afterwards is not looked into.
 */
#include "scrub/scrub_priv.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SURROGATE_MIN 2 /* bytes */
#define NONE UINT32_MAX

struct entry {
    size_t scope, scope_len, value, value_len; /* in text */
    uint32_t next;                             /* of the same surrogate */
};

struct lengths { /* of surrogates that begin alike, the longest first */
    size_t *item;
    size_t count, cap;
};

struct scrub_reveal {
    struct buf text;
    struct entry *entry;
    size_t count, cap;
    struct map *by_surrogate; /* number of the newest entry */
    struct lengths *by_start[65536];
    struct scrub_rules *rules;
    struct scrub_worker *worker;
    uint64_t restored, unclear;
};

static size_t start_of(const char *p)
{
    return (size_t)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static void add_length(struct scrub_reveal *r, struct slice s)
{
    struct lengths **at = &r->by_start[start_of(s.p)];
    struct lengths *l;
    void *all;
    size_t i = 0;

    if (!*at)
        *at = mem_zalloc(sizeof(**at));
    l = *at;
    while (i < l->count && l->item[i] > s.n)
        i++;
    if (i < l->count && l->item[i] == s.n)
        return;
    all = l->item;
    mem_grow(&all, &l->cap, l->count + 1, sizeof(*l->item));
    l->item = all;
    memmove(l->item + i + 1, l->item + i, (l->count - i) * sizeof(*l->item));
    l->item[i] = s.n;
    l->count++;
}

static void add_entry(void *ctx, const struct scrub_vault_entry *x)
{
    struct scrub_reveal *r = ctx;
    void *all = r->entry;
    struct entry e = { .scope_len = x->scope.n,
                       .value_len = x->value.n,
                       .next = NONE };
    uint64_t *newest;
    bool added;

    if (x->surrogate.n < SURROGATE_MIN)
        return;
    e.scope = r->text.len;
    buf_add_slice(&r->text, x->scope);
    e.value = r->text.len;
    buf_add_slice(&r->text, x->value);
    newest = map_put(r->by_surrogate, x->surrogate.p, x->surrogate.n, &added);
    if (added)
        add_length(r, x->surrogate);
    else
        e.next = (uint32_t)*newest;
    *newest = r->count;
    mem_grow(&all, &r->cap, r->count + 1, sizeof(*r->entry));
    r->entry = all;
    r->entry[r->count++] = e;
}

/* Rules that find nothing: the walk needs a set. */
static int begin_worker(struct scrub_reveal *r, struct err *err)
{
    static const struct crypto_key none;
    int rc;

    r->rules = scrub_rules_new();
    rc = scrub_rules_finish(r->rules, err);
    if (rc < 0)
        return rc;
    r->worker = scrub_worker_new(r->rules, &none);
    r->worker->reveal = r;
    return ERR_OK;
}

int scrub_reveal_new(struct scrub_vault *v, struct scrub_reveal **out,
                     struct err *err)
{
    struct scrub_reveal *r = mem_zalloc(sizeof(*r));
    int rc;

    r->by_surrogate = map_new();
    rc = scrub_vault_each(v, add_entry, r, err);
    if (rc == ERR_OK)
        rc = begin_worker(r, err);
    if (rc < 0) {
        scrub_reveal_free(r);
        return rc;
    }
    *out = r;
    return ERR_OK;
}

void scrub_reveal_free(struct scrub_reveal *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < sizeof(r->by_start) / sizeof(*r->by_start); i++) {
        if (r->by_start[i])
            free(r->by_start[i]->item);
        free(r->by_start[i]);
    }
    if (r->text.data)
        crypto_wipe(r->text.data, r->text.cap);
    buf_release(&r->text);
    free(r->entry);
    map_free(r->by_surrogate);
    scrub_worker_free(r->worker);
    scrub_rules_free(r->rules);
    free(r);
}

static bool in_word(const char *p)
{
    return scrub_is_alnum(*p) ||
           ((unsigned char)*p >= 0xC3 && (unsigned char)*p <= 0xCB);
}

static bool is_whole(struct slice t, size_t start, size_t end)
{
    return (start == 0 || !scrub_is_alnum(t.p[start]) ||
            !scrub_is_alnum(t.p[start - 1])) &&
           (end == t.n || !scrub_is_alnum(t.p[end - 1]) || !in_word(t.p + end));
}

enum meaning { MEANING_NONE, MEANING_ONE, MEANING_MANY };

/* What the surrogate stands for in the scope; in any, if that is empty. */
static enum meaning value_of(const struct scrub_reveal *r, uint64_t newest,
                             struct slice scope, struct slice *value)
{
    enum meaning found = MEANING_NONE;

    for (uint32_t i = (uint32_t)newest; i != NONE; i = r->entry[i].next) {
        const struct entry *e = &r->entry[i];
        struct slice v = { r->text.data + e->value, e->value_len };
        struct slice s = { r->text.data + e->scope, e->scope_len };

        if (scope.n && !slice_eq(scope, s))
            continue;
        if (found == MEANING_ONE && !slice_eq(*value, v))
            return MEANING_MANY;
        *value = v;
        found = MEANING_ONE;
    }
    return found;
}

/* The longest surrogate at byte i: its length, 0 if there is none. */
static size_t surrogate_at(const struct scrub_reveal *r, struct slice t,
                           size_t i, const uint64_t **newest)
{
    const struct lengths *l =
        i + SURROGATE_MIN <= t.n ? r->by_start[start_of(t.p + i)] : NULL;

    for (size_t k = 0; l && k < l->count; k++) {
        size_t n = l->item[k];

        if (i + n > t.n || !is_whole(t, i, i + n))
            continue;
        *newest = map_get(r->by_surrogate, t.p + i, n);
        if (*newest)
            return n;
    }
    return 0;
}

static int restore(struct scrub_walk *s, size_t start, size_t end,
                   struct slice value)
{
    struct scrub_worker *w = s->w;
    size_t at = w->arena.len;

    buf_add_slice(&w->arena, value);
    w->reveal->restored++;
    return scrub_push_edit(
        s, (struct scrub_edit){ start, end, at, value.n, 0, 1 });
}

int scrub_reveal_plain(struct scrub_walk *s, struct slice text)
{
    struct scrub_reveal *r = s->w->reveal;
    int rc = ERR_OK;
    size_t i = 0, n;

    for (; rc == ERR_OK && i < text.n; i += n ? n : 1) {
        const uint64_t *newest = NULL;
        struct slice value = { 0 };
        enum meaning m = MEANING_NONE;

        n = surrogate_at(r, text, i, &newest);
        if (n)
            m = value_of(r, *newest, s->w->scope, &value);
        if (m == MEANING_ONE && s->number && !scrub_is_number(value))
            m = MEANING_MANY;
        if (m == MEANING_ONE)
            rc = restore(s, i, i + n, value);
        r->unclear += m == MEANING_MANY;
    }
    return rc;
}

int scrub_reveal_text(struct scrub_reveal *r, struct slice scope,
                      struct slice in, struct buf *out, struct err *err)
{
    return scrub_record(r->worker, scope, &in, 1, out, NULL, NULL, err);
}

uint64_t scrub_reveal_restored(const struct scrub_reveal *r)
{
    return r->restored;
}

uint64_t scrub_reveal_unclear(const struct scrub_reveal *r)
{
    return r->unclear;
}
