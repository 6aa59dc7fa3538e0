/*
 * curate_index.c - inputs and conversations seen so far
 *
 * Held in memory for a run (some 100 bytes a call) and loaded from the
 * examples of earlier runs, so that runs add up to what one run would have
 * said. The group hangs on the first input of a conversation: two
 * conversations that begin alike stay together, and so do equal inputs of calls
 * without a conversation.
 */
#include "curate/curate_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

struct entry {                     /* a good call, kept, duplicate or retried */
    int64_t call, time_us, end_us; /* -1: unknown */
    uint64_t talk;                 /* hash of client and conversation, or 0 */
    unsigned char answer[CURATE_HASH];
    uint32_t next; /* with the same input; newest first */
    bool kept;
};

struct input {
    unsigned char hash[CURATE_HASH];
    uint32_t newest, count;
    bool changed;
};

struct curate_index {
    struct map *by_input, *by_talk;
    struct entry *entry;
    size_t entry_count, entry_cap;
    struct input *input;
    size_t input_count, input_cap;
    char (*group)[2 * CURATE_HASH + 1];
    size_t group_count, group_cap;
    uint32_t *changed;
    size_t changed_count, changed_cap;
    struct crypto_key group_key;
    uint64_t filters;
};

static struct input *input_of(struct curate_index *x,
                              const unsigned char hash[CURATE_HASH])
{
    bool added;
    uint64_t *at = map_put(x->by_input, hash, CURATE_HASH, &added);
    void *all = x->input;

    if (added) {
        *at = x->input_count;
        mem_grow(&all, &x->input_cap, x->input_count + 1, sizeof(*x->input));
        x->input = all;
        x->input[x->input_count] = (struct input){ .newest = NONE };
        memcpy(x->input[x->input_count++].hash, hash, CURATE_HASH);
    }
    return &x->input[*at];
}

static void mark_changed(struct curate_index *x, struct input *in)
{
    void *all = x->changed;

    if (in->changed)
        return;
    in->changed = true;
    mem_grow(&all, &x->changed_cap, x->changed_count + 1, sizeof(*x->changed));
    x->changed = all;
    x->changed[x->changed_count++] = (uint32_t)(in - x->input);
}

static void push_entry(struct curate_index *x, struct input *in, struct entry e)
{
    void *all = x->entry;

    mem_grow(&all, &x->entry_cap, x->entry_count + 1, sizeof(*x->entry));
    x->entry = all;
    e.next = in->newest;
    in->newest = (uint32_t)x->entry_count;
    in->count++;
    x->entry[x->entry_count++] = e;
}

/* 0 for a call without a conversation. */
static uint64_t talk_of(struct slice client, struct slice conversation)
{
    uint64_t h;

    if (!conversation.n)
        return 0;
    h = hash_stable(client.p ? client.p : "", client.n, 1);
    h = hash_stable(conversation.p, conversation.n, h);
    return h ? h : 1;
}

static void remember_talk(struct curate_index *x, uint64_t talk,
                          const char *group)
{
    bool added;
    uint64_t *at;
    void *all = x->group;

    if (!talk)
        return;
    at = map_put(x->by_talk, &talk, sizeof(talk), &added);
    if (!added)
        return;
    *at = x->group_count;
    mem_grow(&all, &x->group_cap, x->group_count + 1, sizeof(*x->group));
    x->group = all;
    (void)snprintf(x->group[x->group_count++], sizeof(*x->group), "%s", group);
}

static void load_row(struct curate_index *x, struct sql_stmt *q)
{
    uint64_t talk = talk_of(sql_text(q, 4), sql_text(q, 5));
    struct slice input = sql_blob(q, 1), answer = sql_blob(q, 2);
    struct entry e = { .call = sql_int(q, 0), .talk = talk };
    struct slice group = sql_text(q, 8);
    char name[2 * CURATE_HASH + 1];

    if (input.n != CURATE_HASH || answer.n != CURATE_HASH)
        return;
    e.kept = sql_int(q, 3) != 0;
    e.time_us = sql_is_null(q, 6) ? -1 : sql_int(q, 6);
    e.end_us = e.time_us < 0 || sql_is_null(q, 7) ? e.time_us
                                                  : e.time_us + sql_int(q, 7);
    memcpy(e.answer, answer.p, CURATE_HASH);
    push_entry(x, input_of(x, (const unsigned char *)input.p), e);
    if (!group.n || group.n >= sizeof(name))
        return;
    (void)snprintf(name, sizeof(name), "%.*s", (int)group.n, group.p);
    remember_talk(x, talk, name);
}

int curate_index_load(struct store *s, int64_t high,
                      const struct crypto_key *key, uint64_t filters,
                      struct curate_index **out, struct err *err)
{
    struct curate_index *x = mem_zalloc(sizeof(*x));
    struct sql_stmt *q;
    int rc;

    x->by_input = map_new();
    x->by_talk = map_new();
    x->filters = filters;
    crypto_derive(key, "group", &x->group_key);
    rc = sql_get(store_sql(s),
                 "SELECT e.call, e.input, e.answer, e.request NOTNULL, "
                 "c.client, c.conversation, c.time, c.latency, e.groups "
                 "FROM example e JOIN call c ON c.id = e.call "
                 "WHERE e.input IS NOT NULL AND e.call <= ? ORDER BY e.call",
                 &q, err);
    if (rc == ERR_OK) {
        sql_bind_int(q, 1, high);
        while ((rc = sql_step(q, err)) == 1)
            load_row(x, q);
    }
    if (rc < 0) {
        curate_index_free(x);
        return rc;
    }
    *out = x;
    return ERR_OK;
}

void curate_index_free(struct curate_index *x)
{
    if (!x)
        return;
    map_free(x->by_input);
    map_free(x->by_talk);
    free(x->entry);
    free(x->input);
    free(x->group);
    free(x->changed);
    free(x);
}

static void make_group(struct curate_index *x, struct curate_item *it,
                       uint64_t talk)
{
    const uint64_t *known = map_get(x->by_talk, &talk, sizeof(talk));
    unsigned char hash[CRYPTO_HASH_BYTES];

    if (talk && known) {
        memcpy(it->group, x->group[*known], sizeof(it->group));
        return;
    }
    crypto_keyed_hash(&x->group_key,
                      (struct slice){ (const char *)it->input, CURATE_HASH },
                      hash);
    crypto_hex(hash, sizeof(hash), it->group);
    remember_talk(x, talk, it->group);
}

/* The earlier answer was there when the client asked again, in the same
 * conversation and soon: nobody used it. Calls that ran at the same time are
 * samples, and stay. */
static bool supersedes(const struct curate_item *it, uint64_t talk,
                       const struct entry *e)
{
    if (!e->kept || !talk || e->talk != talk || it->time_us < 0 ||
        e->time_us < 0)
        return false;
    return it->time_us >= e->end_us &&
           it->time_us - e->end_us <= CURATE_RETRY_US;
}

void curate_index_add(struct curate_index *x, struct curate_item *it,
                      int64_t *superseded)
{
    struct input *in = input_of(x, it->input);
    uint64_t talk =
        talk_of(buf_slice(&it->client), buf_slice(&it->conversation));
    struct entry e = { .call = it->id,
                       .time_us = it->time_us,
                       .end_us = it->time_us,
                       .talk = talk };
    struct entry *same = NULL, *late = NULL;

    *superseded = 0;
    make_group(x, it, talk);
    if (it->time_us >= 0 && it->latency_us > 0)
        e.end_us += it->latency_us;
    for (uint32_t i = in->newest; i != NONE; i = x->entry[i].next) {
        if (x->entry[i].kept &&
            memcmp(x->entry[i].answer, it->answer, CURATE_HASH) == 0)
            same = &x->entry[i];
        else if (!late && supersedes(it, talk, &x->entry[i]))
            late = &x->entry[i];
    }
    if (same && x->filters >> CURATE_DUPLICATE & 1) {
        it->reason = CURATE_DUPLICATE;
        it->duplicate_of = same->call;
    } else if (late && x->filters >> CURATE_RETRIED & 1) {
        late->kept = false;
        *superseded = late->call;
    }
    e.kept = it->reason == CURATE_KEPT;
    memcpy(e.answer, it->answer, CURATE_HASH);
    mark_changed(x, in);
    push_entry(x, in, e);
}

uint64_t curate_index_repeats(const struct curate_index *x,
                              const struct curate_item *it)
{
    const uint64_t *at = map_get(x->by_input, it->input, CURATE_HASH);

    return at && it->hashed ? x->input[*at].count : 1;
}

bool curate_index_changed(const struct curate_index *x, size_t i,
                          const unsigned char **input, uint64_t *repeats)
{
    if (i >= x->changed_count)
        return false;
    *input = x->input[x->changed[i]].hash;
    *repeats = x->input[x->changed[i]].count;
    return true;
}

void curate_index_settled(struct curate_index *x)
{
    for (size_t i = 0; i < x->changed_count; i++)
        x->input[x->changed[i]].changed = false;
    x->changed_count = 0;
}
