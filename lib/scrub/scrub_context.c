/*
 * scrub_context.c - the words and keys beside which a rule's finds count
 *
 * The words of all rules are found by the automaton that finds their literals,
 * in the same pass; a rule asks which of them stand before its find. What a
 * JSON key is evidence for is worked out once for each key.
 */
#include "scrub/scrub_priv.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define KEYS_MAX 4096     /* remembered at a time */
#define KEY_BYTES_MAX 256 /* of one that is */

static uint64_t *set_at(uint64_t *sets, size_t width, size_t i)
{
    return sets + i * width;
}

static void set_add(uint64_t *set, size_t i)
{
    set[i / 64] |= UINT64_C(1) << i % 64;
}

bool scrub_set_has(const uint64_t *set, size_t i)
{
    return set[i / 64] >> i % 64 & 1;
}

static uint32_t add_word(struct scrub_rules *r, const char *text)
{
    struct buf low = { 0 };
    bool added;
    uint64_t *at;
    void *all = r->word;

    for (const char *p = text; *p; p++)
        buf_char(&low, *p >= 'A' && *p <= 'Z' ? (char)(*p | 0x20) : *p);
    at = map_put(r->words, low.data ? low.data : "", low.len, &added);
    if (added) {
        *at = r->word_count;
        mem_grow(&all, &r->word_cap, r->word_count + 1, sizeof(*r->word));
        r->word = all;
        r->word[r->word_count++] = low.len;
        scrub_gate_add(r->gate, buf_slice(&low), SCRUB_IS_WORD | (uint32_t)*at,
                       true);
    }
    buf_release(&low);
    return (uint32_t)*at;
}

void scrub_context_add(struct scrub_rules *r, uint32_t rule)
{
    const struct scrub_rule *x = &r->rule[rule];

    if (x->reach > r->reach)
        r->reach = x->reach;
    for (size_t i = 0; i < x->words.count; i++)
        (void)add_word(r, x->words.item[i]);
    for (size_t i = 0; i < x->keys.count; i++)
        scrub_gate_add(r->key_gate, slice_of(x->keys.item[i]), rule, false);
}

void scrub_context_finish(struct scrub_rules *r)
{
    r->width = (r->count + 63) / 64;
    r->key_set = mem_zalloc((r->width + 1) * sizeof(*r->key_set));
    for (size_t i = 0; i < r->key_count; i++)
        set_add(r->key_set, r->key_rule[i]);
    r->word_rules =
        mem_zalloc((r->word_count + 1) * r->width * sizeof(*r->word_rules));
    for (uint32_t i = 0; i < r->count; i++)
        for (size_t k = 0; !r->rule[i].replaced && k < r->rule[i].words.count;
             k++)
            set_add(set_at(r->word_rules, r->width,
                           add_word(r, r->rule[i].words.item[k])),
                    i);
}

void scrub_context_hit(struct scrub_search *s, uint32_t word, size_t end)
{
    struct scrub_worker *w = s->w;
    size_t start = end - w->rules->word[word];
    void *all = w->words;

    if ((start && scrub_is_alnum(s->text.p[start - 1])) ||
        (end < s->text.n && scrub_is_alnum(s->text.p[end])))
        return;
    mem_grow(&all, &w->word_cap, w->word_count + 1, sizeof(*w->words));
    w->words = all;
    w->words[w->word_count++] = (struct scrub_window){ start, end, end, word };
}

/* Words before this one in w->words end at or before `at`. */
static size_t words_until(const struct scrub_worker *w, size_t at)
{
    size_t low = 0, high = w->word_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (w->words[mid].end <= at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool scrub_context_has(const struct scrub_search *s, uint32_t rule,
                       size_t start)
{
    const struct scrub_worker *w = s->w;
    const struct scrub_rules *r = w->rules;
    size_t reach = r->rule[rule].reach;

    if (s->evidence && scrub_set_has(s->evidence, rule))
        return true;
    for (size_t i = words_until(w, start);
         i-- > 0 && start - w->words[i].end <= reach;)
        if (start - w->words[i].start <= reach &&
            scrub_set_has(r->word_rules + w->words[i].rule * r->width, rule))
            return true;
    return false;
}

void scrub_context_near(const struct scrub_search *s, size_t start, size_t end,
                        uint64_t *out)
{
    const struct scrub_worker *w = s->w;
    const struct scrub_rules *r = w->rules;

    if (s->evidence)
        memcpy(out, s->evidence, r->width * sizeof(*out));
    else
        memset(out, 0, r->width * sizeof(*out));
    for (size_t i = words_until(w, end);
         i-- > 0 &&
         (w->words[i].end >= start || start - w->words[i].end <= r->reach);)
        for (size_t k = 0; k < r->width; k++)
            out[k] |= r->word_rules[w->words[i].rule * r->width + k];
}

struct evidence {
    uint64_t *set;
    bool any;
};

static void key_hit(void *ctx, uint32_t rule, size_t end)
{
    struct evidence *e = ctx;

    (void)end;
    set_add(e->set, rule);
    e->any = true;
}

bool scrub_context_read(const struct scrub_rules *r, struct slice key,
                        uint64_t *set)
{
    struct evidence e = { set, false };
    struct buf whole = { 0 };

    memset(set, 0, r->width * sizeof(*set));
    buf_printf(&whole, "=%.*s=", (int)key.n, key.p);
    scrub_gate_scan(r->key_gate, buf_slice(&whole), key_hit, &e);
    buf_release(&whole);
    return e.any;
}

const uint64_t *scrub_context_key(struct scrub_worker *w, struct slice key)
{
    size_t width = w->rules->width, at = KEYS_MAX;
    void *all = w->key_sets;
    uint64_t *known = NULL, *set;
    bool added, any;

    if (!key.n || !w->rules->key_gate)
        return NULL;
    if (w->near_key && w->near_key->words.p == key.p &&
        w->near_key->words.n == key.n)
        return w->near_key->evidence;
    if (!w->keys || map_count(w->keys) >= KEYS_MAX) {
        map_free(w->keys);
        w->keys = map_new();
    }
    if (key.n <= KEY_BYTES_MAX) {
        known = map_put(w->keys, key.p, key.n, &added);
        if (!added) /* 0: evidence for nothing */
            return *known ? set_at(w->key_sets, width, (size_t)*known - 1)
                          : NULL;
        at = map_count(w->keys) - 1;
    }
    mem_grow(&all, &w->key_cap, at + 1, width * sizeof(*w->key_sets));
    w->key_sets = all;
    set = set_at(w->key_sets, width, at);
    any = scrub_context_read(w->rules, key, set);
    if (known)
        *known = any ? at + 1 : 0;
    return any ? set : NULL;
}
