/*
 * curate_openings.c - system prompts that differ in their digits alone
 *
 * Many agents tell the time in their prompt, so that each call of a dialogue
 * begins otherwise. Messages behind such prompts are one where they say the
 * same. Only digits: prompts that differ in a word are two agents'.
 */
#include "curate/curate_turns.h"

#include "base/ascii.h"

#include <stdlib.h>

struct opening {
    uint64_t high, low; /* of the prompt, each number as one digit */
};

struct place {
    uint64_t parent;
    int64_t blob;
};

static struct opening hash_without_digits(struct slice text, struct buf *out)
{
    buf_reset(out);
    for (size_t i = 0; i < text.n; i++)
        if (!ascii_is_digit(text.p[i]))
            buf_char(out, text.p[i]);
        else if (!i || !ascii_is_digit(text.p[i - 1]))
            buf_char(out, '0');
    return (struct opening){ hash64(out->data, out->len, 0x6f70656e),
                             hash64(out->data, out->len, 0x696e6773) };
}

static bool is_prompt(struct json *j, struct slice text)
{
    json_ref role;

    if (json_parse(j, text.p, text.n, NULL) < 0)
        return false;
    role = json_get(j, 0, "role");
    return json_text_is(j, role, "system") ||
           json_text_is(j, role, "developer");
}

/* alias[i] of first messages: the first prompt that is one with it. */
static int alias_prompts(struct store *s, uint32_t *alias, size_t count,
                         bool *any, struct err *err)
{
    struct map *prompts = map_new();
    struct buf text = { 0 }, bare = { 0 };
    struct json j = { 0 };
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT id, blob FROM node WHERE parent = 0 ORDER BY id",
                     &q, err);

    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        int64_t id = sql_int(q, 0);
        struct opening key;
        uint64_t *first;
        bool added;

        buf_reset(&text);
        rc = store_blob_get(s, sql_int(q, 1), &text, err);
        if (rc < 0 || !text.len || !is_prompt(&j, buf_slice(&text)) ||
            (uint64_t)id >= count)
            continue;
        key = hash_without_digits(buf_slice(&text), &bare);
        first = map_put(prompts, &key, sizeof(key), &added);
        if (added)
            *first = (uint64_t)id;
        alias[id] = (uint32_t)*first;
        *any |= !added;
    }
    map_free(prompts);
    buf_release(&text);
    buf_release(&bare);
    json_release(&j);
    return rc;
}

/* Messages behind prompts that are one; parents have lower ids. */
static int alias_rest(struct store *s, struct curate_tree *t, uint32_t *alias,
                      struct err *err)
{
    struct map *places = map_new();
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT id, blob FROM node WHERE parent > 0 ORDER BY id",
                     &q, err);

    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        int64_t id = sql_int(q, 0);
        struct place at;
        uint64_t *first;
        bool added;

        if ((uint64_t)id >= t->count || !t->node[id].parent)
            continue;
        at = (struct place){ alias[t->node[id].parent], sql_int(q, 1) };
        first = map_put(places, &at, sizeof(at), &added);
        if (added)
            *first = (uint64_t)id;
        alias[id] = (uint32_t)*first;
        t->node[id].parent = (uint32_t)at.parent;
    }
    map_free(places);
    return rc;
}

int curate_openings_merge(struct store *s, struct curate_tree *t,
                          uint32_t **alias, struct err *err)
{
    uint32_t *all = mem_array(t->count, sizeof(*all));
    bool any = false;
    int rc;

    for (size_t i = 0; i < t->count; i++)
        all[i] = (uint32_t)i;
    rc = alias_prompts(s, all, t->count, &any, err);
    for (size_t i = 0; rc < 0 && i < t->count; i++)
        all[i] = (uint32_t)i;
    if (rc >= 0 && any)
        rc = alias_rest(s, t, all, err);
    *alias = all;
    return rc < 0 ? rc : ERR_OK;
}
