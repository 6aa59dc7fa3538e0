/*
 * score_seen.c - what a prompt is about, apart from what is asked
 *
 * Agents ask many questions about few things: a schema, a list of choices, a
 * set of tools. The first of these that a prompt shows is its key, by names
 * alone, so that an evaluation can tell things that training has seen from new
 * ones.
 */
#include "base/map.h"
#include "scoring/score_private.h"

#include <string.h>

#define MAX_HEAD 60 /* bytes before the colon of a list */
#define MAX_ITEM 60

/* Names only: the same schema with another blank is the same schema. */
static uint64_t schema_hash(const struct score_schema *s)
{
    uint64_t h = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct score_schema_table *t = &s->tables[i];

        h = hash_stable(t->name, strlen(t->name) + 1, h);
        for (size_t k = 0; k < t->count; k++)
            h = hash_stable(t->columns[k].name, strlen(t->columns[k].name) + 1,
                            h);
    }
    return h;
}

/* The name of a list's item: "salary: 3" and "salary (int)" are salary. */
static struct slice item_name(struct slice item)
{
    for (size_t i = 0; i < item.n; i++)
        if (strchr(":=(", item.p[i]))
            item.n = i;
    return slice_trim(item);
}

/* `Head: one, two, three`: at least three short items. The sum of the names'
 * hashes, so that their order does not matter; 0 if it is no list. */
static uint64_t list_hash(struct slice line)
{
    const char *colon = line.n > 0 ? memchr(line.p, ':', line.n) : NULL;
    uint64_t h = 0;
    size_t items = 0, from;

    if (!colon || colon == line.p || colon - line.p > MAX_HEAD)
        return 0;
    from = (size_t)(colon - line.p) + 1;
    for (size_t i = from; i <= line.n; i++) {
        struct slice name;

        if (i < line.n && line.p[i] != ',')
            continue;
        name = item_name((struct slice){ line.p + from, i - from });
        if (name.n == 0 || name.n > MAX_ITEM)
            return 0;
        h += hash_stable(name.p, name.n, 0);
        items++;
        from = i + 1;
    }
    return items >= 3 ? h : 0;
}

static uint64_t lists_hash(struct slice text)
{
    uint64_t h = 0;

    for (size_t i = 0; i < text.n;) {
        const char *end = memchr(text.p + i, '\n', text.n - i);
        size_t n = end ? (size_t)(end - text.p) - i : text.n - i;
        uint64_t one = list_hash(slice_trim((struct slice){ text.p + i, n }));

        if (one != 0)
            h = hash_stable(&one, sizeof(one), h);
        i += n + 1;
    }
    return h;
}

static uint64_t tools_hash(struct slice request)
{
    struct json j = { 0 };
    uint64_t h = 0;
    json_ref tools;

    if (json_parse(&j, request.p, request.n, NULL) == 0) {
        tools = json_get(&j, 0, "tools");
        if (json_count(&j, tools) > 0) {
            struct slice raw = json_raw(&j, tools);

            h = hash_stable(raw.p, raw.n, 0);
        }
    }
    json_release(&j);
    return h;
}

uint64_t score_schema_key(struct slice request)
{
    struct score_schema s = { 0 };
    struct buf text = { 0 };
    uint64_t h;

    score_request_text(request, &text);
    score_schema_read(buf_slice(&text), &s);
    h = schema_hash(&s);
    if (h == 0)
        h = lists_hash(buf_slice(&text));
    if (h == 0)
        h = tools_hash(request);
    score_schema_release(&s);
    buf_release(&text);
    return h;
}
