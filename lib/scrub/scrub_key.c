/*
 * scrub_key.c - what a key of JSON tells, whatever stands behind it
 *
 * Logs have the same few keys in every record, so what follows from the key
 * alone is worked out when a worker first meets it. No value is remembered.
 */
#include "scrub/scrub_priv.h"

#include "base/mem.h"
#include "names/names.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS 4096 /* a power of two */
#define KEYS_MAX (SLOTS / 2)
#define KEY_BYTES_MAX 64 /* of one that is remembered */

struct entry {
    struct scrub_key key;
    size_t n;
    char text[]; /* the key, then its words */
};

struct scrub_keys {
    const struct scrub_rules *rules;
    struct entry *slot[SLOTS];
    size_t count;
};

struct scrub_keys *scrub_keys_new(const struct scrub_rules *r)
{
    struct scrub_keys *k = mem_zalloc(sizeof(*k));

    k->rules = r;
    return k;
}

static void forget(struct scrub_keys *k)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (k->slot[i])
            free(k->slot[i]->key.evidence);
        free(k->slot[i]);
        k->slot[i] = NULL;
    }
    k->count = 0;
}

void scrub_keys_free(struct scrub_keys *k)
{
    if (k)
        forget(k);
    free(k);
}

void scrub_keys_begin(struct scrub_keys *k)
{
    if (k->count == KEYS_MAX)
        forget(k);
}

static bool may_hold_data(struct slice key)
{
    if (key.n < 7)
        return false;
    for (size_t i = 0; i < key.n; i++)
        if (scrub_is_digit(key.p[i]) ||
            (!scrub_is_alnum(key.p[i]) && key.p[i] != '_'))
            return true;
    return false;
}

/* One word as names are written: "Alex", among what other players have; a word
 * of the language ("Price") is a column's. */
static bool may_be_name(struct slice key)
{
    if (key.n < 3 || key.p[0] < 'A' || key.p[0] > 'Z')
        return false;
    for (size_t i = 1; i < key.n; i++)
        if (scrub_is_digit(key.p[i]) ||
            (!scrub_is_alnum(key.p[i]) && (unsigned char)key.p[i] < 0x80))
            return false;
    return true;
}

static void read_key(const struct scrub_rules *r, struct slice key,
                     struct scrub_key *out)
{
    *out =
        (struct scrub_key){ .property = scrub_speaks_of_property(key),
                            .logprobs = slice_is(key, "logprobs"),
                            .may_hold_data = may_hold_data(key),
                            .may_be_name =
                                may_be_name(key) &&
                                !names_is(r->names, NAMES_LIST_COMMON, key) };
    scrub_place_read(key, out);
}

static size_t hash(struct slice key)
{
    uint64_t first = 0, last = 0;

    if (key.n >= 8) {
        memcpy(&first, key.p, 8);
        memcpy(&last, key.p + key.n - 8, 8);
    } else {
        for (size_t i = 0; i < key.n; i++)
            first = first << 8 | (unsigned char)key.p[i];
    }
    first = (first ^ last * 5 ^ key.n) * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(first >> 40) % SLOTS;
}

static uint64_t *evidence_of(const struct scrub_rules *r, struct slice words)
{
    uint64_t *set = mem_array(r->width + 1, sizeof(*set));

    if (scrub_context_read(r, words, set))
        return set;
    free(set);
    return NULL;
}

static struct entry *remember(const struct scrub_rules *r, struct slice key)
{
    struct buf words = { 0 };
    struct entry *e;

    scrub_key_words(key, &words);
    e = mem_alloc(sizeof(*e) + key.n + words.len);
    read_key(r, key, &e->key);
    e->n = key.n;
    memcpy(e->text, key.p, key.n);
    memcpy(e->text + key.n, words.data, words.len);
    e->key.words = (struct slice){ e->text + key.n, words.len };
    scrub_key_read_part(&e->key);
    e->key.evidence = evidence_of(r, e->key.words);
    buf_release(&words);
    return e;
}

const struct scrub_key *scrub_key_of(struct scrub_keys *k, struct slice key,
                                     struct scrub_key *own, struct buf *words)
{
    size_t at = hash(key);

    for (; k->slot[at]; at = (at + 1) % SLOTS)
        if (k->slot[at]->n == key.n &&
            memcmp(k->slot[at]->text, key.p, key.n) == 0)
            return &k->slot[at]->key;
    if (key.n <= KEY_BYTES_MAX && k->count < KEYS_MAX) {
        k->slot[at] = remember(k->rules, key);
        k->count++;
        return &k->slot[at]->key;
    }
    read_key(k->rules, key, own);
    buf_reset(words);
    scrub_key_words(key, words);
    own->words = buf_slice(words);
    scrub_key_read_part(own);
    return own;
}
