/*
 * curate_report_item.c - an example, its call, and what the call gives today
 *
 * The call is scrubbed as curate does it, in memory. Beside the pieces that
 * were replaced it leaves the text without them: surrogates are not searched.
 */
#include "curate/curate_report_priv.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_BYTES ((size_t)32 << 20)

static const char select_examples[] =
    "SELECT e.id, e.call, c.id, c.dialect, c.status, c.finish, c.client, "
    "c.conversation, e.groups, c.request, c.request_at, c.node, c.response, "
    "e.request, e.request_at, e.node, e.response, e.correction, "
    "coalesce(open_text(o.answer, 'outcome.answer', o.call), "
    "open_text(o.label, 'outcome.label', o.call)) FROM example e "
    "LEFT JOIN call c ON c.id = e.call LEFT JOIN outcome o ON o.call = e.call "
    "WHERE e.kept AND e.id > ? ORDER BY e.id";

static void item_reset(struct report_item *it)
{
    struct curate_item *c = &it->call;
    struct buf *all[] = { &c->dialect,    &c->status,       &c->finish,
                          &c->client,     &c->conversation, &c->request,
                          &c->response,   &it->answer,      &it->group,
                          &it->talk,      &it->bound,       &it->stored[0],
                          &it->stored[1], &it->stored[2],   &it->clean[0],
                          &it->clean[1],  &it->clean[2],    &it->blank[0],
                          &it->blank[1],  &it->blank[2],    &it->arena };

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        if (all[i]->cap > ((size_t)1 << 20))
            buf_release(all[i]);
        else
            buf_reset(all[i]);
    c->reason = CURATE_KEPT;
    c->hashed = c->cut = false;
    it->pieces = it->hits = it->strings = 0;
    it->gone = it->same = false;
    memset(it->quasi, 0, sizeof(it->quasi));
}

void report_item_release(struct report_item *it)
{
    struct curate_item *c = &it->call;

    buf_release(&c->dialect);
    buf_release(&c->status);
    buf_release(&c->finish);
    buf_release(&c->client);
    buf_release(&c->conversation);
    buf_release(&c->request);
    buf_release(&c->response);
    buf_release(&it->answer);
    buf_release(&it->group);
    buf_release(&it->talk);
    buf_release(&it->bound);
    for (int i = 0; i < REPORT_DOCUMENTS; i++) {
        buf_release(&it->stored[i]);
        buf_release(&it->clean[i]);
        buf_release(&it->blank[i]);
    }
    buf_release(&it->arena);
    free(it->piece);
    free(it->reported);
    free(it->hit);
    free(it->string);
}

static int read_bodies(struct report_run *k, struct report_item *it,
                       struct store_body logged, int64_t response,
                       struct store_body request, const int64_t blobs[2])
{
    int rc = ERR_OK;

    if (!it->gone) {
        rc = store_body_get(k->s, logged, &it->call.request, k->err);
        if (rc == ERR_OK)
            rc = store_blob_get(k->s, response, &it->call.response, k->err);
    }
    if (rc == ERR_OK)
        rc = store_body_get(k->s, request, &it->stored[0], k->err);
    for (int i = 0; rc == ERR_OK && i < 2; i++)
        rc = store_blob_get(k->s, blobs[i], &it->stored[i + 1], k->err);
    return rc < 0 ? err_wrap(k->err, "example %lld", (long long)it->id)
                  : ERR_OK;
}

static int read_item(struct report_run *k, struct sql_stmt *q,
                     struct report_item *it)
{
    struct store_body logged = { sql_int(q, 9), sql_int(q, 10),
                                 sql_int(q, 11) };
    struct store_body request = { sql_int(q, 13), sql_int(q, 14),
                                  sql_int(q, 15) };
    int64_t blobs[2] = { sql_int(q, 16), sql_int(q, 17) };
    struct curate_item *c = &it->call;
    struct slice talk;

    item_reset(it);
    it->id = sql_int(q, 0);
    c->id = sql_int(q, 1);
    it->gone = sql_is_null(q, 2);
    buf_add_slice(&c->dialect, sql_text(q, 3));
    buf_add_slice(&c->status, sql_text(q, 4));
    buf_add_slice(&c->finish, sql_text(q, 5));
    buf_add_slice(&c->client, sql_text(q, 6));
    buf_add_slice(&c->conversation, sql_text(q, 7));
    curate_dialogues_name(k->dialogues, c->id, &c->conversation);
    buf_add_slice(&it->group, sql_text(q, 8));
    talk = curate_scope(SCRUB_CONVERSATION, buf_slice(&c->client),
                        buf_slice(&c->conversation), buf_slice(&it->group),
                        &it->talk);
    if (!it->talk.len)
        buf_add_slice(&it->talk, talk);
    buf_add_slice(&it->answer, sql_text(q, 18));
    return read_bodies(k, it, logged, sql_int(q, 12), request, blobs);
}

/* What the conversations of the batch hold. */
static int gather(struct report_run *k)
{
    int rc;

    curate_evidence_begin(k->evidence);
    for (size_t i = 0; i < k->count; i++)
        curate_evidence_want(k->evidence, buf_slice(&k->item[i].call.client),
                             buf_slice(&k->item[i].call.conversation));
    rc = curate_evidence_gather(k->evidence, k->pool, k->scrubber, k->err);
    for (size_t i = 0; rc == ERR_OK && i < k->count; i++)
        k->item[i].known = curate_evidence_known(
            k->evidence, buf_slice(&k->item[i].call.client),
            buf_slice(&k->item[i].call.conversation));
    return rc;
}

int report_batch_read(struct report_run *k)
{
    struct sql_stmt *q;
    size_t bytes = 0;
    int rc = sql_get(store_sql(k->s), select_examples, &q, k->err);

    k->count = 0;
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, k->high);
    while (k->count < REPORT_BATCH && bytes < BATCH_BYTES &&
           (rc = sql_step(q, k->err)) == 1) {
        struct report_item *it = &k->item[k->count];

        rc = read_item(k, q, it);
        if (rc < 0)
            break;
        k->high = it->id;
        bytes += it->call.request.len + it->stored[0].len;
        k->count++;
    }
    sql_reset(q);
    return rc < 0 ? rc : gather(k);
}

/* A number stays one, and what was dropped whole stays JSON. */
static const char *blank_of(struct slice raw)
{
    if (raw.n && (raw.p[0] == '{' || raw.p[0] == '['))
        return "null";
    for (size_t i = 0; i < raw.n; i++)
        if (!strchr("0123456789.eE+-", raw.p[i]))
            return "<>";
    return "0";
}

static void keep_piece(struct report_item *it, const struct scrub_span *x,
                       struct slice raw, size_t start)
{
    void *all = it->piece;
    struct report_piece p = { .rule = x->rule, .document = x->document };

    p.start = start;
    p.value = it->arena.len;
    report_unescape(raw, &it->arena);
    p.value_len = it->arena.len - p.value;
    p.surrogate = it->arena.len;
    report_unescape(x->surrogate, &it->arena);
    p.surrogate_len = it->arena.len - p.surrogate;
    mem_grow(&all, &it->piece_cap, it->pieces + 1, sizeof(*it->piece));
    it->piece = all;
    it->piece[it->pieces++] = p;
}

/* Documents [from, to) of a record that was just scrubbed. */
static void keep_record(struct report_item *it, const struct slice *in,
                        const struct scrub_span *spans, size_t count,
                        unsigned from, unsigned to)
{
    size_t at[REPORT_DOCUMENTS] = { 0 };

    for (size_t i = 0; i < count; i++) {
        const struct scrub_span *x = &spans[i];
        unsigned d = x->document;
        struct slice raw = { in[d].p + x->start, x->end - x->start };

        if (d < from || d >= to)
            continue;
        buf_add(&it->blank[d], in[d].p + at[d], x->start - at[d]);
        keep_piece(it, x, raw, it->blank[d].len);
        buf_str(&it->blank[d], blank_of(raw));
        at[d] = x->end;
    }
    for (unsigned d = from; d < to; d++)
        buf_add(&it->blank[d], in[d].p + at[d], in[d].n - at[d]);
}

static bool scrub_documents(struct report_run *k, struct report_worker *w,
                            struct report_item *it, unsigned n)
{
    struct slice in[REPORT_DOCUMENTS] = { buf_slice(&it->call.request),
                                          buf_slice(&it->call.response),
                                          buf_slice(&it->answer) };
    struct buf out[REPORT_DOCUMENTS] = { { 0 } };
    const struct scrub_span *spans;
    unsigned from = n == 3 ? 2 : 0;
    size_t count;
    struct slice scope = curate_scope(
        scrub_rules_settings(k->o->rules)->scope, buf_slice(&it->call.client),
        buf_slice(&it->call.conversation), buf_slice(&it->group), &it->bound);
    int rc = curate_scrub(w->judge.scrubber, scope, in, n, it->known, out,
                          &spans, &count, NULL);

    if (rc == ERR_OK) {
        keep_record(it, in, spans, count, from, n);
        for (unsigned d = from; d < n; d++)
            buf_add_slice(&it->clean[d], buf_slice(&out[d]));
        for (size_t i = 0; n == 2 && i < scrub_rules_count(k->o->rules); i++)
            it->reported[i] = scrub_reported(w->judge.scrubber, i);
    }
    for (unsigned d = 0; d < n; d++)
        buf_release(&out[d]);
    return rc == ERR_OK;
}

/* The call as curate makes an example of it, and what it gives today. */
void report_item_scrub(void *ctx, size_t task, unsigned worker)
{
    struct report_run *k = ctx;
    struct report_item *it = &k->item[task];
    struct report_worker *w = &k->worker[worker];
    bool good = !it->gone;

    if (!it->reported)
        it->reported =
            mem_zalloc((scrub_rules_count(k->o->rules) + 1) * sizeof(uint64_t));
    memset(it->reported, 0, scrub_rules_count(k->o->rules) * sizeof(uint64_t));
    if (good) {
        if (it->stored[2].len)
            good = scrub_documents(k, w, it, 3);
        curate_judge_call(&w->judge, &k->hash_key, &it->call);
        good = good && scrub_documents(k, w, it, 2);
    }
    it->same = good;
    for (int d = 0; good && d < REPORT_DOCUMENTS; d++)
        it->same &=
            slice_eq(buf_slice(&it->clean[d]), buf_slice(&it->stored[d]));
    for (int d = 0; !it->same && d < REPORT_DOCUMENTS; d++) {
        buf_reset(&it->blank[d]);
        buf_add_slice(&it->blank[d], buf_slice(&it->stored[d]));
    }
}
