/*
 * curate_evidence.c - what a conversation tells of a person, in any call
 *
 * Agents send a conversation again and again, or one piece of it here and
 * another there. So all calls of it are looked at first, and what is found in
 * one is known to all. A request that a longer one repeats is passed, its
 * answer is not. It is only read; what becomes of it is no output. Calls of a
 * conversation that are at work together share what is known. Beyond the
 * limits the shorter calls are no evidence, and that is counted.
 */
#include "curate/curate_priv.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVIDENCE_CALLS 1024               /* of a conversation */
#define EVIDENCE_MAX ((size_t)4 << 20)    /* bytes of a call */
#define EVIDENCE_BYTES ((size_t)64 << 20) /* of a conversation */
#define EVIDENCE_BATCH ((size_t)32 << 20) /* bytes that are read at once */
#define EVIDENCE_HELD 65536               /* conversations; more begin anew */

/* Of one conversation. */
struct talk {
    size_t from, count; /* calls, the largest first */
    int64_t last;
    struct scrub_known *known; /* NULL: not looked for yet */
    bool limited;              /* and counted so */
};

/* A conversation that is looked at: documents by their ends in bytes. */
struct job {
    struct talk *talk;
    bool limited;
    struct buf bytes;
    size_t *end;
    size_t count, cap;
};

struct curate_evidence {
    struct store *store;
    struct map *talks; /* client, conversation: of talk */
    struct talk *talk;
    size_t talk_cap;
    int64_t *call;
    size_t call_count, call_cap;
    size_t *wanted, *held;
    size_t wanted_count, wanted_cap, held_count, held_cap;
    struct job *job;
    size_t jobs, job_cap;
    struct scrub_worker *const *worker;
    uint64_t limited;
    struct buf key;
};

static const char select_talks[] =
    "SELECT client, conversation, id FROM call WHERE conversation <> '' AND "
    "id <= ? ORDER BY conversation, CASE WHEN length(CAST(conversation AS "
    "BLOB)) < ? THEN client END, coalesce(tokens_in, 0) DESC, id DESC";

static const char select_bodies[] =
    "SELECT request, request_at, node, response FROM call WHERE id = ?";

static void set_key(struct curate_evidence *e, struct slice client,
                    struct slice conversation)
{
    buf_reset(&e->key);
    curate_talk_put(client, conversation, &e->key);
}

static void add_call(struct curate_evidence *e, int64_t id)
{
    void *talks = e->talk, *calls = e->call;
    bool added;
    uint64_t *at = map_put(e->talks, e->key.data, e->key.len, &added);
    struct talk *t;

    if (added) {
        *at = map_count(e->talks) - 1;
        mem_grow(&talks, &e->talk_cap, *at + 1, sizeof(*e->talk));
        e->talk = talks;
        e->talk[*at] = (struct talk){ .from = e->call_count };
    }
    t = &e->talk[*at];
    mem_grow(&calls, &e->call_cap, e->call_count + 1, sizeof(*e->call));
    e->call = calls;
    e->call[e->call_count++] = id;
    t->count++;
    if (id > t->last)
        t->last = id;
}

/* Calls that go on from one another say so without a name. */
static void add_dialogues(struct curate_evidence *e,
                          const struct curate_dialogues *d)
{
    struct buf name = { 0 };

    for (size_t i = 0; i < curate_dialogues_calls(d); i++) {
        int64_t call;

        buf_reset(&name);
        call = curate_dialogues_call(d, i, &name);
        set_key(e, (struct slice){ "", 0 }, buf_slice(&name));
        add_call(e, call);
    }
    buf_release(&name);
}

int curate_evidence_open(struct store *s, int64_t last,
                         const struct curate_dialogues *dialogues,
                         struct curate_evidence **out, struct err *err)
{
    struct curate_evidence *e;
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), select_talks, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, last);
    sql_bind_int(q, 2, CURATE_TALK_ID);
    e = mem_zalloc(sizeof(*e));
    e->store = s;
    e->talks = map_new();
    while ((rc = sql_step(q, err)) == 1) {
        set_key(e, sql_text(q, 0), sql_text(q, 1));
        add_call(e, sql_int(q, 2));
    }
    if (rc < 0) {
        curate_evidence_free(e);
        return rc;
    }
    add_dialogues(e, dialogues);
    *out = e;
    return ERR_OK;
}

void curate_evidence_free(struct curate_evidence *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < e->held_count; i++)
        scrub_known_free(e->talk[e->held[i]].known);
    for (size_t i = 0; i < e->job_cap; i++) {
        buf_release(&e->job[i].bytes);
        free(e->job[i].end);
    }
    map_free(e->talks);
    buf_release(&e->key);
    free(e->job);
    free(e->wanted);
    free(e->held);
    free(e->talk);
    free(e->call);
    free(e);
}

uint64_t curate_evidence_limited(const struct curate_evidence *e)
{
    return e->limited;
}

/* NULL: there is none, or it has one call. */
static struct talk *talk_of(struct curate_evidence *e, struct slice client,
                            struct slice conversation)
{
    const uint64_t *at;

    if (!conversation.n)
        return NULL;
    set_key(e, client, conversation);
    at = map_get(e->talks, e->key.data, e->key.len);
    return at && e->talk[*at].count > 1 ? &e->talk[*at] : NULL;
}

int64_t curate_evidence_last(struct curate_evidence *e, struct slice client,
                             struct slice conversation)
{
    const struct talk *t = talk_of(e, client, conversation);

    return t ? t->last : 0;
}

void curate_evidence_begin(struct curate_evidence *e)
{
    e->wanted_count = 0;
    if (e->held_count < EVIDENCE_HELD)
        return;
    for (size_t i = 0; i < e->held_count; i++) {
        scrub_known_free(e->talk[e->held[i]].known);
        e->talk[e->held[i]].known = NULL;
    }
    e->held_count = 0;
}

static void push(size_t **list, size_t *count, size_t *cap, size_t value)
{
    void *all = *list;

    mem_grow(&all, cap, *count + 1, sizeof(**list));
    *list = all;
    (*list)[(*count)++] = value;
}

void curate_evidence_want(struct curate_evidence *e, struct slice client,
                          struct slice conversation)
{
    const struct talk *t = talk_of(e, client, conversation);

    if (t && !t->known)
        push(&e->wanted, &e->wanted_count, &e->wanted_cap,
             (size_t)(t - e->talk));
}

const struct scrub_known *curate_evidence_known(struct curate_evidence *e,
                                                struct slice client,
                                                struct slice conversation)
{
    const struct talk *t = talk_of(e, client, conversation);

    return t ? t->known : NULL;
}

/* *out: no longer call has the messages up to `node`. */
static int is_new(struct curate_evidence *e, struct map *seen, int64_t node,
                  bool *out, struct err *err)
{
    int rc = ERR_OK;

    *out = !node || !map_get(seen, &node, sizeof(node));
    while (rc == ERR_OK && node && !map_get(seen, &node, sizeof(node))) {
        struct sql_stmt *q;

        (void)map_put(seen, &node, sizeof(node), NULL);
        rc = sql_get(store_sql(e->store),
                     "SELECT parent FROM node WHERE id = ?", &q, err);
        if (rc < 0)
            break;
        sql_bind_int(q, 1, node);
        rc = sql_step(q, err);
        node = rc == 1 ? sql_int(q, 0) : 0;
        sql_reset(q);
        rc = rc < 0 ? rc : ERR_OK;
    }
    return rc;
}

static void end_document(struct job *j)
{
    push(&j->end, &j->count, &j->cap, j->bytes.len);
}

static int add_bodies(struct curate_evidence *e, struct job *j,
                      struct map *seen, int64_t call, struct err *err)
{
    struct store_body request;
    size_t start = j->bytes.len;
    int64_t response;
    struct sql_stmt *q;
    bool new;
    int rc = sql_get(store_sql(e->store), select_bodies, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, call);
    rc = sql_step(q, err);
    if (rc <= 0)
        return rc;
    request =
        (struct store_body){ sql_int(q, 0), sql_int(q, 1), sql_int(q, 2) };
    response = sql_int(q, 3);
    sql_reset(q);
    rc = is_new(e, seen, request.node, &new, err);
    if (rc == ERR_OK && new)
        rc = store_body_get(e->store, request, &j->bytes, err);
    end_document(j);
    if (rc == ERR_OK)
        rc = store_blob_get(e->store, response, &j->bytes, err);
    end_document(j);
    if (j->bytes.len - start > EVIDENCE_MAX) {
        j->limited = true;
        j->bytes.len = start;
        j->count -= 2;
    }
    return rc;
}

static int read_talk(struct curate_evidence *e, struct job *j, struct err *err)
{
    struct talk *t = j->talk;
    struct map *seen = map_new();
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < t->count; i++) {
        if (i == EVIDENCE_CALLS || j->bytes.len > EVIDENCE_BYTES) {
            j->limited = true;
            break;
        }
        rc = add_bodies(e, j, seen, e->call[t->from + i], err);
        if (rc < 0 && rc != ERR_INVALID)
            rc = err_wrap(err, "call %lld", (long long)e->call[t->from + i]);
    }
    map_free(seen);
    return rc;
}

static struct slice document(const struct job *j, size_t i)
{
    size_t from = i ? j->end[i - 1] : 0;

    if (j->end[i] == from)
        return (struct slice){ "", 0 };
    return (struct slice){ j->bytes.data + from, j->end[i] - from };
}

/* What cannot be looked at fails all calls of the conversation. */
static void look_task(void *ctx, size_t task, unsigned worker)
{
    struct curate_evidence *e = ctx;
    struct job *j = &e->job[task];

    for (size_t i = 0; i < j->count; i += 2) {
        struct slice in[2] = { document(j, i), document(j, i + 1) };
        int rc = scrub_collect(e->worker[worker], in, 2, j->talk->known, NULL);

        (void)rc;
    }
    j->limited |= scrub_known_full(j->talk->known);
}

static struct job *next_job(struct curate_evidence *e)
{
    void *all = e->job;
    size_t cap = e->job_cap;

    mem_grow(&all, &e->job_cap, e->jobs + 1, sizeof(*e->job));
    e->job = all;
    if (e->job_cap > cap)
        memset(e->job + cap, 0, (e->job_cap - cap) * sizeof(*e->job));
    return &e->job[e->jobs++];
}

static void run_jobs(struct curate_evidence *e, struct pool *pool)
{
    pool_run(pool, e->jobs, look_task, e);
    for (size_t i = 0; i < e->jobs; i++) {
        struct job *j = &e->job[i];

        e->limited += j->limited && !j->talk->limited;
        j->talk->limited |= j->limited;
        j->limited = false;
        if (j->bytes.cap > EVIDENCE_MAX)
            buf_release(&j->bytes);
        else
            buf_reset(&j->bytes);
        j->count = 0;
    }
    e->jobs = 0;
}

int curate_evidence_gather(struct curate_evidence *e, struct pool *pool,
                           struct scrub_worker *const *workers, struct err *err)
{
    size_t bytes = 0;
    int rc = ERR_OK;

    e->worker = workers;
    for (size_t i = 0; rc == ERR_OK && i < e->wanted_count; i++) {
        struct talk *t = &e->talk[e->wanted[i]];
        struct job *j;

        if (t->known)
            continue;
        t->known = scrub_known_new();
        push(&e->held, &e->held_count, &e->held_cap, e->wanted[i]);
        j = next_job(e);
        j->talk = t;
        rc = read_talk(e, j, err);
        bytes += j->bytes.len;
        if (rc == ERR_OK && bytes > EVIDENCE_BATCH) {
            run_jobs(e, pool);
            bytes = 0;
        }
    }
    if (rc == ERR_OK)
        run_jobs(e, pool);
    e->wanted_count = 0;
    return rc;
}

int curate_group_of(struct store *s, int64_t call,
                    char group[2 * CURATE_HASH + 1], struct err *err)
{
    struct sql_stmt *q;
    int rc =
        sql_row_of(store_sql(s), "SELECT groups FROM example WHERE call = ?",
                   call, &q, err);

    group[0] = '\0';
    if (rc != 1)
        return rc;
    (void)snprintf(group, 2 * CURATE_HASH + 1, "%.*s", (int)sql_text(q, 0).n,
                   sql_text(q, 0).p);
    sql_reset(q);
    return ERR_OK;
}

int curate_scrub(struct scrub_worker *w, struct slice scope,
                 const struct slice *own, size_t n,
                 const struct scrub_known *known, struct buf *out,
                 const struct scrub_span **spans, size_t *count,
                 struct err *err)
{
    int rc;

    *count = 0;
    scrub_know(w, known);
    rc = scrub_record(w, scope, own, n, out, spans, count, err);
    scrub_know(w, NULL);
    return rc;
}
