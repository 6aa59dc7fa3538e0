/*
 * store_verify.c - is all that was logged still there, as it was logged
 *
 * Reads everything once: pages and references (SQLite), pieces against their
 * hashes, calls against the chain. A process that logs meanwhile is not held
 * up and does not disturb: what is checked ends at the ids of the beginning.
 */
#include "store/store_private.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_FINDINGS 20 /* of SQLite's own */
#define GROUP_MAX 10000000

struct verify {
    struct store *s;
    struct store_verify *out;
    struct store_graph *graph;
    int64_t call_high, chain_high;
    struct store_ledger_keys keys;
    struct buf commitments;
};

static void tell(struct verify *v, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void tell(struct verify *v, const char *fmt, ...)
{
    char line[512];
    va_list args;

    v->out->findings++;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    v->out->tell(v->out->ctx, line);
}

static void show(struct verify *v, const char *what, int64_t done,
                 int64_t total)
{
    if (v->out->progress)
        progress_update(v->out->progress, what, (uint64_t)done, (uint64_t)total,
                        NULL);
}

/* Calls before the ledger: a call that was added has its link by then. */
static int find_ends(struct verify *v, struct err *err)
{
    const struct {
        const char *text;
        int64_t *to;
    } ends[] = {
        { "SELECT max(id) FROM logged", &v->call_high },
        { "SELECT max(last) FROM ledger", &v->chain_high },
        { "SELECT CAST(value AS INTEGER) FROM setting WHERE name = "
          "'chain_from'",
          &v->out->chain_from },
    };
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < sizeof(ends) / sizeof(*ends); i++)
        rc = sql_one_int(v->s->db, ends[i].text, 0, ends[i].to, err);
    return rc;
}

static int check_pages(struct verify *v, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(v->s->db, "PRAGMA integrity_check(20)", &q, err);

    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1) {
        struct slice line = sql_text(q, 0);

        if (!slice_is(line, "ok"))
            tell(v, "store.db: %.*s; restore a backup", (int)line.n, line.p);
    }
    return rc;
}

static int check_references(struct verify *v, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(v->s->db, "PRAGMA foreign_key_check", &q, err);

    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1) {
        struct slice table = sql_text(q, 0), parent = sql_text(q, 2);

        tell(v, "%.*s %lld: refers to a %.*s that is missing; restore a backup",
             (int)table.n, table.p, (long long)sql_int(q, 1), (int)parent.n,
             parent.p);
    }
    return rc;
}

static int check_champions(struct verify *v, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(v->s->db,
                     "SELECT c.task FROM champion c JOIN model m ON m.id = "
                     "c.model LEFT JOIN registry_event e ON e.id = c.event AND "
                     "e.model = c.model AND e.kind = 'promote' WHERE e.id IS "
                     "NULL OR m.retired NOTNULL",
                     &q, err);

    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1)
        tell(v,
             "task %lld: its champion is retired or was never promoted; "
             "promote a model with slmctl model promote",
             (long long)sql_int(q, 0));
    return rc;
}

/* The blob that the store finds by this hash; 0: none. */
static int find_hashed(struct verify *v, const unsigned char *hash,
                       int64_t *found, struct err *err)
{
    struct sql_stmt *q;
    int rc =
        sql_get(v->s->db, "SELECT blob FROM blob_hash WHERE hash = ?", &q, err);

    if (rc < 0)
        return rc;
    sql_bind_blob(q, 1, hash, CRYPTO_HASH_BYTES);
    rc = sql_step(q, err);
    *found = rc == 1 ? sql_int(q, 0) : 0;
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

static int check_blob(struct verify *v, int64_t id, struct err *err)
{
    const unsigned char *hash;
    int64_t found = 0;
    bool good;
    int rc = store_graph_hash(v->graph, id, &hash, &good, err);

    if (rc == ERR_OK && !good)
        tell(v, "blob %lld: cannot be unpacked; restore a backup",
             (long long)id);
    if (rc < 0 || !good)
        return rc;
    rc = find_hashed(v, hash, &found, err);
    if (rc == ERR_OK && found != id)
        tell(v, "blob %lld: is not what its hash says; restore a backup",
             (long long)id);
    return rc;
}

static int check_blobs(struct verify *v, struct err *err)
{
    int64_t id = 0;
    int rc = ERR_OK;

    while (rc == ERR_OK && id < v->graph->blob_high) {
        struct sql_stmt *q;

        rc = sql_get(v->s->db,
                     "SELECT id FROM blob WHERE id > ? ORDER BY id LIMIT 1", &q,
                     err);
        if (rc < 0)
            break;
        sql_bind_int(q, 1, id);
        rc = sql_step(q, err);
        if (rc != 1)
            break;
        id = sql_int(q, 0);
        sql_reset(q);
        rc = check_blob(v, id, err);
        v->out->blobs++;
        if (id % 256 == 0)
            show(v, "pieces", id, v->graph->blob_high);
        if (rc == ERR_OK && stop_requested())
            rc = err_set(err, ERR_INTERRUPTED, "interrupted");
    }
    return rc;
}

static void check_nodes(struct verify *v)
{
    const struct store_graph *g = v->graph;

    for (int64_t id = 1; id <= g->node_high; id++) {
        const struct store_node *n = &g->node[id];

        if (!n->id)
            continue;
        if (n->parent < 0 || n->parent >= id ||
            (n->parent && !g->node[n->parent].id) || n->blob < 1 ||
            n->blob > g->blob_high)
            tell(v, "message %lld: is damaged; restore a backup",
                 (long long)id);
    }
}

static int is_good(struct verify *v, int64_t blob, bool *whole, struct err *err)
{
    const unsigned char *hash;
    bool good;
    int rc = store_graph_hash(v->graph, blob, &hash, &good, err);

    *whole &= good;
    return rc;
}

/* Whether a body can be put together. */
static int check_body(struct verify *v, int64_t request, int64_t node,
                      int64_t response, bool *whole, struct err *err)
{
    size_t count;
    int rc = ERR_OK;

    *whole = store_graph_walk(v->graph, node, &count);
    while (rc == ERR_OK && count > 0)
        rc = is_good(v, v->graph->path[--count], whole, err);
    if (rc == ERR_OK)
        rc = is_good(v, request, whole, err);
    if (rc == ERR_OK && response)
        rc = is_good(v, response, whole, err);
    return rc;
}

/* The commitment of a call, or of what is left of it. */
static int add_commitment(struct verify *v, int64_t id, bool *good,
                          struct err *err)
{
    unsigned char commitment[CRYPTO_HASH_BYTES];
    struct store_call_row row;
    bool is_there, is_gone;
    int rc = store_tombstone_get(v->s, id, commitment, &is_gone, err);

    if (rc == ERR_OK)
        rc = store_call_read(v->s, id, &row, &is_there, err);
    if (rc == ERR_FORMAT) {
        tell(v, "call %lld: its texts cannot be read; restore a backup",
             (long long)id);
        *good = false;
        v->out->calls++;
        return ERR_OK;
    }
    if (rc < 0)
        return rc;
    if (is_there) {
        bool whole;

        rc = store_graph_commitment(v->graph, &v->keys, &row, commitment,
                                    &whole, err);
        if (!whole)
            tell(v,
                 "call %lld: a part of its bodies is missing or damaged; "
                 "restore a backup",
                 (long long)id);
        *good &= whole;
    }
    store_call_read_end(v->s);
    if (rc < 0)
        return rc;
    if (is_there && is_gone)
        tell(v,
             "call %lld: is there and was removed; run slmctl store erase "
             "or prune again",
             (long long)id);
    if (!is_there && !is_gone) {
        tell(v, "call %lld: is missing, and nothing says why; restore a backup",
             (long long)id);
        *good = false;
    }
    v->out->calls += is_there;
    v->out->tombstones += is_gone && !is_there;
    buf_add(&v->commitments, commitment, sizeof(commitment));
    return ERR_OK;
}

static int check_group(struct verify *v, const struct store_group *g,
                       const unsigned char before[STORE_LINK_BYTES],
                       const unsigned char link[STORE_LINK_BYTES],
                       struct err *err)
{
    unsigned char want[STORE_LINK_BYTES];
    bool good = true;
    int rc = store_ledger_keys(v->s, g->data_key, &v->keys, err);

    buf_reset(&v->commitments);
    for (int64_t id = g->first; rc == ERR_OK && id <= g->last; id++) {
        rc = add_commitment(v, id, &good, err);
        if (rc == ERR_OK && stop_requested())
            rc = err_set(err, ERR_INTERRUPTED, "interrupted");
    }
    if (rc < 0 || !good)
        return rc;
    store_ledger_link(&v->keys, before, g, buf_slice(&v->commitments), want);
    if (!crypto_equal(want, link, sizeof(want)))
        tell(v,
             "calls %lld to %lld: they or the chain were changed since they "
             "were logged; compare them with a backup",
             (long long)g->first, (long long)g->last);
    return ERR_OK;
}

/* The next row of the chain after call `after`. */
static int next_group(struct verify *v, int64_t after, struct store_group *g,
                      unsigned char link[STORE_LINK_BYTES], struct err *err)
{
    struct sql_stmt *q;
    struct slice stored;
    int rc = sql_get(v->s->db,
                     "SELECT first, last, data_key, link FROM ledger WHERE "
                     "last > ? ORDER BY last LIMIT 1",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, after);
    rc = sql_step(q, err);
    if (rc <= 0)
        return rc;
    *g = (struct store_group){ sql_int(q, 0), sql_int(q, 1), sql_int(q, 2) };
    stored = sql_blob(q, 3);
    memset(link, 0, STORE_LINK_BYTES);
    if (stored.n == STORE_LINK_BYTES)
        memcpy(link, stored.p, stored.n);
    sql_reset(q);
    return 1;
}

/* Calls before `first` and after `after` belong to no commit. */
static int check_between(struct verify *v, int64_t after, int64_t before,
                         struct err *err)
{
    struct sql_stmt *q;
    int rc;

    if (after + 1 >= before)
        return ERR_OK;
    rc = sql_get(v->s->db,
                 "SELECT count(*), min(id), max(id) FROM logged WHERE id > ? "
                 "AND id < ?",
                 &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, after);
    sql_bind_int(q, 2, before);
    rc = sql_step(q, err);
    if (rc == 1 && sql_int(q, 0))
        tell(v,
             "calls %lld to %lld: the chain does not know them; something "
             "else than slmctl added them, or the chain was cut",
             (long long)sql_int(q, 1), (long long)sql_int(q, 2));
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

static int check_chain(struct verify *v, struct err *err)
{
    unsigned char before[STORE_LINK_BYTES] = { 0 }, link[STORE_LINK_BYTES];
    struct store_verify *out = v->out;
    struct store_group g = { 0 };
    int64_t last = out->chain_from - 1;
    int rc = ERR_OK;

    while (rc == ERR_OK && last < v->chain_high) {
        rc = next_group(v, last, &g, link, err);
        if (rc <= 0)
            break;
        rc = check_between(v, last, g.first, err);
        if (rc == ERR_OK && (g.first <= last || g.first > g.last ||
                             g.last - g.first > GROUP_MAX))
            tell(v,
                 "chain: the commit up to call %lld is damaged; restore a "
                 "backup",
                 (long long)g.last);
        else if (rc == ERR_OK)
            rc = check_group(v, &g, before, link, err);
        memcpy(before, link, sizeof(before));
        last = g.last;
        out->commits++;
        if (out->expected && crypto_equal(link, out->expected, sizeof(link)))
            out->expected_call = last;
        show(v, "calls", last, v->chain_high);
    }
    out->chain_to = last;
    memcpy(out->head, before, sizeof(out->head));
    if (rc == ERR_OK)
        rc = check_between(v, last, v->call_high + 1, err);
    if (rc == ERR_OK && out->expected && !out->expected_call)
        tell(v, "the chain does not come by the given head: calls were taken "
                "away, or the chain was made anew; restore a backup");
    return rc;
}

/* Calls from before the chain: their bodies at least can be read. */
static int check_old(struct verify *v, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(v->s->db,
                     "SELECT id, request, node, response FROM logged WHERE id "
                     "< ? ORDER BY id",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, v->out->chain_from);
    while ((rc = sql_step(q, err)) == 1) {
        bool whole;

        v->out->calls++;
        rc = check_body(v, sql_int(q, 1), sql_int(q, 2), sql_int(q, 3), &whole,
                        err);
        if (rc < 0)
            break;
        if (!whole)
            tell(v,
                 "call %lld: a part of its bodies is missing or damaged; "
                 "restore a backup",
                 (long long)sql_int(q, 0));
    }
    sql_reset(q);
    return rc;
}

/* Those that came since the beginning are not looked at. */
static int check_examples(struct verify *v, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(v->s->db,
                     "SELECT id, request, node, response, correction FROM "
                     "example WHERE request <= ?1 AND node <= ?2 AND "
                     "coalesce(response, 0) <= ?1 AND "
                     "coalesce(correction, 0) <= ?1 ORDER BY id",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, v->graph->blob_high);
    sql_bind_int(q, 2, v->graph->node_high);
    while ((rc = sql_step(q, err)) == 1) {
        bool whole;

        v->out->examples++;
        rc = check_body(v, sql_int(q, 1), sql_int(q, 2), sql_int(q, 3), &whole,
                        err);
        if (rc == ERR_OK && !sql_is_null(q, 4))
            rc = is_good(v, sql_int(q, 4), &whole, err);
        if (rc < 0)
            break;
        if (!whole)
            tell(v,
                 "example %lld: a part of it is missing or damaged; restore a "
                 "backup",
                 (long long)sql_int(q, 0));
    }
    sql_reset(q);
    return rc;
}

static void tell_text(void *ctx, const struct store_text *x, int64_t row)
{
    tell(ctx, "%s %lld: its %s cannot be read; restore a backup", x->table,
         (long long)row, x->column);
}

static int check_erase(struct verify *v, struct err *err)
{
    struct buf who = { .data = NULL };
    bool found;
    int rc = store_setting_get(v->s, "erase:who", &who, &found, err);

    if (rc == ERR_OK && found)
        tell(v, "an erase was cut off; run slmctl store erase %s again",
             who.data ? who.data : "");
    buf_release(&who);
    return rc;
}

int store_verify(struct store *s, struct store_verify *out, struct err *err)
{
    struct verify v = { .s = s, .out = out, .graph = store_graph_new(s) };
    int rc = find_ends(&v, err);

    if (rc == ERR_OK)
        rc = store_graph_load(v.graph, err);
    if (rc == ERR_OK)
        rc = check_erase(&v, err);
    if (rc == ERR_OK)
        rc = check_pages(&v, err);
    if (rc == ERR_OK)
        rc = check_references(&v, err);
    if (rc == ERR_OK)
        rc = check_champions(&v, err);
    if (rc == ERR_OK)
        rc = check_blobs(&v, err);
    if (rc == ERR_OK)
        check_nodes(&v);
    if (rc == ERR_OK)
        rc = store_texts_check(s, tell_text, &v, err);
    if (rc == ERR_OK)
        rc = check_old(&v, err);
    if (rc == ERR_OK)
        rc = check_chain(&v, err);
    if (rc == ERR_OK)
        rc = check_examples(&v, err);
    store_graph_free(v.graph);
    buf_release(&v.commitments);
    crypto_wipe(&v.keys, sizeof(v.keys));
    return rc;
}
