/*
 * curate_dialogues.c - calls without a conversation that go on from others
 *
 * An agent repeats with each call all that was said before. Lists of messages
 * are stored as a tree of what they begin with, so a call whose list begins
 * with all messages of another is below that one there, and both are of one
 * dialogue, which is named by the topmost. No text but of system prompts is
 * read (curate_openings.c): it takes one look at each message, in whatever
 * order the calls came. Only calls of which the
 * store has no such list, or one with marks in it that move from call to call,
 * are read for it (curate_turns.c). A beginning that many dialogues share (a
 * greeting) belongs to none of them.
 */
#include "curate/curate_turns.h"

#include <stdlib.h>
#include <string.h>

#define BRANCHES_MAX 32 /* ways in which calls go on from one */

struct curate_dialogues {
    struct curate_said *said; /* by call; node: the dialogue */
    size_t count, cap;
    struct curate_said *by_root; /* the latest first */
};

static int read_nodes(struct store *s, struct curate_node *node, size_t count,
                      struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), "SELECT id, parent FROM node", &q, err);

    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        int64_t id = sql_int(q, 0), parent = sql_int(q, 1);

        if (id > 0 && (uint64_t)id < count && parent > 0 && parent < id)
            node[id].parent = (uint32_t)parent;
    }
    return rc;
}

static void add_call(struct curate_dialogues *d, struct curate_tree *t,
                     int64_t call, uint32_t node)
{
    void *all = d->said;

    mem_grow(&all, &d->cap, d->count + 1, sizeof(*d->said));
    d->said = all;
    d->said[d->count++] = (struct curate_said){ call, node };
    t->node[node].ends = true;
}

static int read_calls(struct store *s, int64_t last, struct curate_tree *t,
                      const uint32_t *alias, struct curate_dialogues *d,
                      struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT id, node FROM call WHERE node > 0 AND "
                     "coalesce(conversation, '') = '' AND id <= ? AND "
                     "NOT " CURATE_TURNS_READ " ORDER BY id",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, last);
    while ((rc = sql_step(q, err)) == 1) {
        int64_t at = sql_int(q, 1);

        if ((uint64_t)at < t->count)
            add_call(d, t, sql_int(q, 0), alias[at]);
    }
    return rc;
}

static int read_turns(struct store *s, int64_t last, struct curate_tree *t,
                      struct curate_dialogues *d, struct err *err)
{
    struct curate_turns *turns;
    struct curate_said one;
    int rc = curate_turns_open(s, last, t, &turns, err);

    if (rc < 0)
        return rc;
    while ((rc = curate_turns_next(turns, &one, err)) == 1)
        add_call(d, t, one.call, one.node);
    curate_turns_close(turns);
    return rc;
}

/* A sealed store without its private key: what is curated already needs no
 * text, and anything else says what is missing. */
static int without_texts(int rc)
{
    return rc == ERR_INVALID ? ERR_OK : rc;
}

/* Children have higher ids than their parents. */
static void find_roots(struct curate_node *node, size_t count)
{
    for (size_t i = count; i-- > 1;) {
        struct curate_node *up = &node[node[i].parent];

        if (!node[i].ends && !node[i].leads)
            continue;
        up->leads = true;
        up->branches++;
    }
    for (size_t i = 1; i < count; i++) {
        node[i].root = node[node[i].parent].root;
        if (!node[i].root && node[i].ends && node[i].leads &&
            node[i].branches <= BRANCHES_MAX)
            node[i].root = (uint32_t)i;
    }
}

static int compare_said(const void *a, const void *b)
{
    const struct curate_said *x = a, *y = b;

    if (x->node != y->node)
        return x->node < y->node ? -1 : 1;
    return (x->call < y->call) - (x->call > y->call);
}

static void keep_dialogues(struct curate_dialogues *d,
                           const struct curate_node *node)
{
    size_t n = 0;

    for (size_t i = 0; i < d->count; i++) {
        uint32_t root = node[d->said[i].node].root;

        if (root)
            d->said[n++] = (struct curate_said){ d->said[i].call, root };
    }
    d->count = n;
    d->by_root = mem_array(n, sizeof(*d->by_root));
    if (n) {
        memcpy(d->by_root, d->said, n * sizeof(*d->by_root));
        qsort(d->by_root, n, sizeof(*d->by_root), compare_said);
    }
}

static int compare_calls(const void *a, const void *b)
{
    const struct curate_said *x = a, *y = b;

    return (x->call > y->call) - (x->call < y->call);
}

static int read_all(struct store *s, int64_t last, struct curate_tree *t,
                    struct curate_dialogues *d, struct err *err)
{
    int64_t high = 0;
    uint32_t *alias = NULL;
    int rc = sql_one_int(store_sql(s), "SELECT coalesce(max(id), 0) FROM node",
                         0, &high, err);

    if (rc == ERR_OK && high >= UINT32_MAX)
        rc = err_set(err, ERR_LIMIT, "the store has more than %lu messages",
                     (unsigned long)UINT32_MAX);
    if (rc < 0)
        return rc;
    t->count = t->cap = (size_t)high + 1;
    t->node = mem_zalloc(t->count * sizeof(*t->node));
    rc = read_nodes(s, t->node, t->count, err);
    if (rc == ERR_OK)
        rc = without_texts(curate_openings_merge(s, t, &alias, err));
    if (rc == ERR_OK)
        rc = read_calls(s, last, t, alias, d, err);
    if (rc == ERR_OK)
        rc = without_texts(read_turns(s, last, t, d, err));
    free(alias);
    return rc;
}

int curate_dialogues_open(struct store *s, int64_t last,
                          struct curate_dialogues **out, struct err *err)
{
    struct curate_dialogues *d = mem_zalloc(sizeof(*d));
    struct curate_tree t = { 0 };
    int rc = read_all(s, last, &t, d, err);

    if (rc == ERR_OK) {
        if (d->count)
            qsort(d->said, d->count, sizeof(*d->said), compare_calls);
        find_roots(t.node, t.count);
        keep_dialogues(d, t.node);
        *out = d;
    } else {
        curate_dialogues_free(d);
    }
    free(t.node);
    return rc;
}

void curate_dialogues_free(struct curate_dialogues *d)
{
    if (!d)
        return;
    free(d->said);
    free(d->by_root);
    free(d);
}

static void put_name(uint32_t root, struct buf *name)
{
    buf_printf(name, "%c%lu", CURATE_DIALOGUE, (unsigned long)root);
}

size_t curate_dialogues_calls(const struct curate_dialogues *d)
{
    return d->count;
}

int64_t curate_dialogues_call(const struct curate_dialogues *d, size_t i,
                              struct buf *name)
{
    put_name(d->by_root[i].node, name);
    return d->by_root[i].call;
}

void curate_dialogues_name(const struct curate_dialogues *d, int64_t call,
                           struct buf *conversation)
{
    size_t low = 0, high = d ? d->count : 0;

    if (conversation->len)
        return;
    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (d->said[mid].call < call)
            low = mid + 1;
        else
            high = mid;
    }
    if (d && low < d->count && d->said[low].call == call)
        put_name(d->said[low].node, conversation);
}

bool curate_is_dialogue(struct slice conversation)
{
    return conversation.n && *conversation.p == CURATE_DIALOGUE;
}

void curate_talk_put(struct slice client, struct slice conversation,
                     struct buf *out)
{
    if (conversation.n >= CURATE_TALK_ID || curate_is_dialogue(conversation))
        client = (struct slice){ "", 0 };
    buf_printf(out, "%zu:", client.n);
    buf_add_slice(out, client);
    buf_add_slice(out, conversation);
}
