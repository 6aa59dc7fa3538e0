/*
 * curate_index.c - inputs and conversations seen so far
 *
 * Held in memory for a run (some 200 bytes a call) and loaded from the
 * examples of earlier runs, by doing with them again what was done when they
 * came, so that runs add up to what one run would have said. No call looks at
 * more than a few others, however often its input came. The group hangs on the
 * first input of a conversation: two conversations that begin alike stay
 * together, and so do equal inputs of calls without a conversation.
 */
#include "curate/curate_priv.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX
#define TURN_MOST 64 /* of a turn's calls that a new one is held against */

struct entry {                     /* a good call; in order of calls */
    int64_t call, time_us, end_us; /* -1: unknown */
    uint64_t talk;                 /* hash of client and conversation, or 0 */
    unsigned char answer[CURATE_HASH];
    uint32_t input;
    uint32_t before;  /* of the same turn: input and conversation */
    uint32_t after;   /* of the same input and answer */
    uint32_t repeats; /* as written */
    bool kept;        /* else a duplicate, if it is not */
    bool out;         /* retried or gone: stands for nothing */
};

/* Of an input and an answer: the call that stands for all, and the newest. */
struct same {
    uint32_t head, tail;
};

struct curate_index {
    struct map *by_input, *by_talk, *by_answer, *by_turn;
    struct entry *entry;
    size_t entry_count, entry_cap;
    uint32_t *inputs; /* how often each came */
    size_t inputs_cap;
    struct same *same;
    size_t same_cap;
    char (*group)[2 * CURATE_HASH + 1];
    size_t group_count, group_cap;
    struct crypto_key group_key;
    const struct curate_dialogues *dialogues;
    struct buf text, conversation;
    uint64_t filters;
};

static uint32_t input_of(struct curate_index *x,
                         const unsigned char hash[CURATE_HASH])
{
    bool added;
    uint64_t *at = map_put(x->by_input, hash, CURATE_HASH, &added);
    void *all = x->inputs;

    if (added) {
        *at = map_count(x->by_input) - 1;
        mem_grow(&all, &x->inputs_cap, *at + 1, sizeof(*x->inputs));
        x->inputs = all;
        x->inputs[*at] = 0;
    }
    return (uint32_t)*at;
}

static struct same *same_of(struct curate_index *x, const struct entry *e)
{
    unsigned char key[sizeof(e->input) + CURATE_HASH];
    bool added;
    uint64_t *at;
    void *all = x->same;

    memcpy(key, &e->input, sizeof(e->input));
    memcpy(key + sizeof(e->input), e->answer, CURATE_HASH);
    at = map_put(x->by_answer, key, sizeof(key), &added);
    if (added) {
        *at = map_count(x->by_answer) - 1;
        mem_grow(&all, &x->same_cap, *at + 1, sizeof(*x->same));
        x->same = all;
        x->same[*at] = (struct same){ NONE, NONE };
    }
    return &x->same[*at];
}

/* The first that may stand for the others; NULL: none may. */
static struct entry *head_of(struct curate_index *x, struct same *s)
{
    while (s->head != NONE && x->entry[s->head].out)
        s->head = x->entry[s->head].after;
    return s->head == NONE ? NULL : &x->entry[s->head];
}

/* What a client may ask again in; 0 for a call without a conversation: equal
 * ones are samples. */
static uint64_t turn_of(struct slice client, struct slice conversation)
{
    uint64_t h;

    if (!conversation.n || curate_is_dialogue(conversation))
        return 0;
    h = hash_stable(client.p ? client.p : "", client.n, 1);
    h = hash_stable(conversation.p, conversation.n, h);
    return h ? h : 1;
}

/* 0 for a call that belongs to no other. */
static uint64_t talk_of(struct curate_index *x, struct slice client,
                        struct slice conversation)
{
    uint64_t h;

    if (!conversation.n)
        return 0;
    buf_reset(&x->text);
    curate_talk_put(client, conversation, &x->text);
    h = hash_stable(x->text.data, x->text.len, 2);
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

/* The earlier answer was there when the client asked again, in the same
 * conversation and soon: nobody used it. Calls that ran at the same time are
 * samples, and stay. */
static bool supersedes(const struct entry *e, const struct entry *old)
{
    if (e->time_us < 0 || old->time_us < 0)
        return false;
    return e->time_us >= old->end_us &&
           e->time_us - old->end_us <= CURATE_RETRY_US &&
           memcmp(e->answer, old->answer, CURATE_HASH) != 0;
}

/* The newest of a turn, which the entry at `at` becomes; NONE: the first. */
static uint32_t push_turn(struct curate_index *x, const struct entry *e,
                          uint32_t at)
{
    uint64_t key[2] = { e->input, e->talk };
    bool added;
    uint64_t *newest;
    uint32_t before;

    if (!e->talk || !(x->filters >> CURATE_RETRIED & 1))
        return NONE;
    newest = map_put(x->by_turn, key, sizeof(key), &added);
    before = added ? NONE : (uint32_t)*newest;
    *newest = at;
    return before;
}

/* Takes out those of its turn that nobody used: duplicates, and the newest of
 * those that are kept, which is returned. */
static struct entry *take_out(struct curate_index *x, struct entry *e)
{
    uint32_t *link = &e->before;
    struct entry *late = NULL;

    for (int n = 0; n < TURN_MOST && *link != NONE; n++) {
        struct entry *old = &x->entry[*link];

        if (!supersedes(e, old) || (old->kept && late)) {
            link = &old->before;
            continue;
        }
        late = old->kept ? old : late;
        old->kept = false;
        old->out = true;
        *link = old->before;
    }
    return late;
}

/* Returns what nobody used now that this one is there, see take_out. */
static struct entry *push_entry(struct curate_index *x, struct entry e)
{
    uint32_t at = (uint32_t)x->entry_count;
    struct same *s = same_of(x, &e);
    struct entry *head = head_of(x, s), *late;
    void *all = x->entry;

    assert(x->entry_count < NONE);
    e.after = NONE;
    e.before = push_turn(x, &e, at);
    late = take_out(x, &e);
    if (!head || (e.kept && !head->kept))
        s->head = at;
    if (s->tail != NONE)
        x->entry[s->tail].after = at;
    s->tail = at;
    x->inputs[e.input]++;
    at = late ? (uint32_t)(late - x->entry) : NONE;
    mem_grow(&all, &x->entry_cap, x->entry_count + 1, sizeof(*x->entry));
    x->entry = all;
    x->entry[x->entry_count++] = e;
    return at == NONE ? NULL : &x->entry[at];
}

/* What was the same as one that is out, and is kept in its place; 0: none. */
static int64_t stand_in(struct curate_index *x, const struct entry *e)
{
    struct entry *head = head_of(x, same_of(x, e));

    if (!head || head->kept)
        return 0;
    head->kept = true;
    return head->call;
}

static void load_row(struct curate_index *x, struct sql_stmt *q)
{
    struct slice input = sql_blob(q, 1), answer = sql_blob(q, 2);
    struct entry e = { .call = sql_int(q, 0),
                       .talk = turn_of(sql_text(q, 4), sql_text(q, 5)),
                       .repeats = (uint32_t)sql_int(q, 9) };
    struct slice group = sql_text(q, 8), reason = sql_text(q, 10);
    const struct entry *late;
    char name[2 * CURATE_HASH + 1];

    if (input.n != CURATE_HASH || answer.n != CURATE_HASH)
        return;
    e.out = slice_is(reason, curate_reason_name(CURATE_QUARANTINED));
    e.kept =
        sql_int(q, 3) ||
        (!e.out && !slice_is(reason, curate_reason_name(CURATE_DUPLICATE)));
    e.time_us = sql_is_null(q, 6) ? -1 : sql_int(q, 6);
    e.end_us = e.time_us < 0 || sql_is_null(q, 7) ? e.time_us
                                                  : e.time_us + sql_int(q, 7);
    memcpy(e.answer, answer.p, CURATE_HASH);
    e.input = input_of(x, (const unsigned char *)input.p);
    late = push_entry(x, e);
    if (late)
        (void)stand_in(x, late);
    if (!group.n || group.n >= sizeof(name))
        return;
    (void)snprintf(name, sizeof(name), "%.*s", (int)group.n, group.p);
    buf_reset(&x->conversation);
    buf_add_slice(&x->conversation, sql_text(q, 5));
    curate_dialogues_name(x->dialogues, e.call, &x->conversation);
    remember_talk(x, talk_of(x, sql_text(q, 4), buf_slice(&x->conversation)),
                  name);
}

int curate_index_load(struct store *s, int64_t high,
                      const struct curate_dialogues *dialogues,
                      const struct crypto_key *key, uint64_t filters,
                      struct curate_index **out, struct err *err)
{
    struct curate_index *x = mem_zalloc(sizeof(*x));
    struct sql_stmt *q;
    int rc;

    x->by_input = map_new();
    x->by_talk = map_new();
    x->by_answer = map_new();
    x->by_turn = map_new();
    x->filters = filters;
    x->dialogues = dialogues;
    crypto_derive(key, "group", &x->group_key);
    rc = sql_get(
        store_sql(s),
        "SELECT e.call, e.input, e.answer, e.request NOTNULL, "
        "c.client, c.conversation, c.time, c.latency, e.groups, e.repeats, "
        "e.reason "
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
    map_free(x->by_answer);
    map_free(x->by_turn);
    free(x->entry);
    free(x->inputs);
    free(x->same);
    free(x->group);
    buf_release(&x->text);
    buf_release(&x->conversation);
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

void curate_index_group(struct curate_index *x, struct curate_item *it)
{
    make_group(
        x, it,
        talk_of(x, buf_slice(&it->client), buf_slice(&it->conversation)));
}

void curate_index_add(struct curate_index *x, struct curate_item *it,
                      int64_t *superseded, int64_t *instead)
{
    struct entry e = { .call = it->id,
                       .time_us = it->time_us,
                       .end_us = it->time_us,
                       .talk = turn_of(buf_slice(&it->client),
                                       buf_slice(&it->conversation)),
                       .input = input_of(x, it->input),
                       .repeats = 1 };
    const struct entry *head, *late;

    curate_index_group(x, it);
    if (it->time_us >= 0 && it->latency_us > 0)
        e.end_us += it->latency_us;
    memcpy(e.answer, it->answer, CURATE_HASH);
    head = head_of(x, same_of(x, &e));
    if (head && head->kept && x->filters >> CURATE_DUPLICATE & 1) {
        it->reason = CURATE_DUPLICATE;
        it->duplicate_of = head->call;
    }
    e.kept = it->reason == CURATE_KEPT;
    late = push_entry(x, e);
    *superseded = late ? late->call : 0;
    *instead = late ? stand_in(x, late) : 0;
}

/* NULL: no such call. */
static struct entry *entry_of(struct curate_index *x, int64_t call)
{
    size_t low = 0, high = x->entry_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (x->entry[mid].call < call)
            low = mid + 1;
        else
            high = mid;
    }
    return low < x->entry_count && x->entry[low].call == call ? &x->entry[low]
                                                              : NULL;
}

int64_t curate_index_head(struct curate_index *x, int64_t call)
{
    struct entry *e = entry_of(x, call);
    struct entry *head = e ? head_of(x, same_of(x, e)) : NULL;

    if (!head)
        return 0;
    head->kept = true;
    return head->call;
}

void curate_index_gone(struct curate_index *x, int64_t call)
{
    struct entry *e = entry_of(x, call);

    if (!e)
        return;
    e->kept = false;
    e->out = true;
}

void curate_index_back(struct curate_index *x, int64_t call)
{
    struct entry *e = entry_of(x, call);

    if (!e)
        return;
    e->kept = true;
    e->out = false;
    e->repeats = 1;
}

bool curate_index_stale(struct curate_index *x, size_t *at, int64_t *call,
                        uint32_t *repeats)
{
    for (; *at < x->entry_count; ++*at) {
        struct entry *e = &x->entry[*at];

        if (!e->kept || e->repeats == x->inputs[e->input])
            continue;
        *call = e->call;
        *repeats = e->repeats = x->inputs[e->input];
        return true;
    }
    return false;
}
