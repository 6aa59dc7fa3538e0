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

struct node_row {
    int64_t parent, blob; /* blob 0: no such node */
};

struct verify {
    struct store *s;
    struct store_verify *out;
    int64_t blob_high, node_high, call_high, chain_high;
    unsigned char (*hash)[CRYPTO_HASH_BYTES]; /* of each blob */
    unsigned char *good;                      /* is there and agrees */
    struct node_row *node;
    int64_t *path; /* blobs of a list, last first */
    size_t path_cap;
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
        { "SELECT max(id) FROM node", &v->node_high },
        { "SELECT max(id) FROM blob", &v->blob_high },
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

/* The blob that the store finds by this hash; 0: none. */
static int find_hashed(struct verify *v, int64_t id, int64_t *found,
                       struct err *err)
{
    struct sql_stmt *q;
    int rc =
        sql_get(v->s->db, "SELECT blob FROM blob_hash WHERE hash = ?", &q, err);

    if (rc < 0)
        return rc;
    sql_bind_blob(q, 1, v->hash[id], CRYPTO_HASH_BYTES);
    rc = sql_step(q, err);
    *found = rc == 1 ? sql_int(q, 0) : 0;
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

/* An emptied blob keeps a place, so that its id is not given out again. */
static int check_blob(struct verify *v, int64_t id, struct buf *data,
                      struct err *err)
{
    struct err why;
    int64_t found = 0;
    int rc;

    buf_reset(data);
    rc = store_blob_hash(v->s, id, data, v->hash[id], &why);
    if (rc == ERR_FORMAT || rc == ERR_UNSUPPORTED || rc == ERR_LIMIT) {
        tell(v, "%s; restore a backup", why.msg);
        return ERR_OK;
    }
    if (rc < 0) {
        *err = why;
        return rc;
    }
    rc = find_hashed(v, id, &found, err);
    if (rc == ERR_OK && found != id && data->len)
        tell(v, "blob %lld: is not what its hash says; restore a backup",
             (long long)id);
    v->good[id] = rc == ERR_OK && (found == id || !data->len);
    return rc;
}

static int check_blobs(struct verify *v, struct err *err)
{
    struct buf data = { .data = NULL };
    int64_t id = 0;
    int rc = ERR_OK;

    v->hash = mem_array((size_t)v->blob_high + 1, sizeof(*v->hash));
    v->good = mem_zalloc((size_t)v->blob_high + 1);
    while (rc == ERR_OK && id < v->blob_high) {
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
        rc = id <= v->blob_high ? check_blob(v, id, &data, err) : ERR_OK;
        v->out->blobs++;
        if (id % 256 == 0)
            show(v, "pieces", id, v->blob_high);
        if (rc == ERR_OK && stop_requested())
            rc = err_set(err, ERR_INTERRUPTED, "interrupted");
    }
    buf_release(&data);
    return rc;
}

static bool is_blob(const struct verify *v, int64_t id)
{
    return id > 0 && id <= v->blob_high && v->good[id];
}

static int check_nodes(struct verify *v, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(v->s->db, "SELECT id, parent, blob FROM node ORDER BY id",
                     &q, err);

    v->node = mem_zalloc(((size_t)v->node_high + 1) * sizeof(*v->node));
    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1) {
        struct node_row n = { sql_int(q, 1), sql_int(q, 2) };
        int64_t id = sql_int(q, 0);

        if (id > v->node_high)
            break;
        if (n.parent < 0) /* keeps a place */
            continue;
        if (id < 1 || n.parent >= id || (n.parent && !v->node[n.parent].blob) ||
            n.blob < 1 || n.blob > v->blob_high)
            tell(v, "message %lld: is damaged; restore a backup",
                 (long long)id);
        else
            v->node[id] = n;
    }
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

/* Blobs of a list into v->path; false: the list is damaged. */
static bool walk(struct verify *v, int64_t node, size_t *count)
{
    *count = 0;
    while (node) {
        void *path = v->path;

        if (node < 0 || node > v->node_high || !is_blob(v, v->node[node].blob))
            return false;
        mem_grow(&path, &v->path_cap, *count + 1, sizeof(*v->path));
        v->path = path;
        v->path[(*count)++] = v->node[node].blob;
        node = v->node[node].parent;
    }
    return true;
}

static bool commit_to(struct verify *v, const struct store_call_row *r,
                      unsigned char out[CRYPTO_HASH_BYTES])
{
    struct crypto_hasher h;
    size_t count;

    if (!walk(v, r->node, &count) || !is_blob(v, r->request) ||
        (r->response && !is_blob(v, r->response)))
        return false;
    store_commitment_begin(&h, &v->keys, &r->call, r->id, r->raw);
    store_commitment_shape(&h, r->request_at, r->response != 0, count);
    while (count > 0)
        store_commitment_piece(&h, v->hash[v->path[--count]]);
    store_commitment_piece(&h, v->hash[r->request]);
    if (r->response)
        store_commitment_piece(&h, v->hash[r->response]);
    crypto_hasher_final(&h, out);
    return true;
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
    if (rc < 0)
        return rc;
    if (is_there) {
        bool whole = commit_to(v, &row, commitment);

        if (!whole)
            tell(v,
                 "call %lld: a part of its bodies is missing or damaged; "
                 "restore a backup",
                 (long long)id);
        *good &= whole;
    }
    store_call_read_end(v->s);
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
        size_t count;

        v->out->calls++;
        if (!is_blob(v, sql_int(q, 1)) || !walk(v, sql_int(q, 2), &count) ||
            (!sql_is_null(q, 3) && !is_blob(v, sql_int(q, 3))))
            tell(v,
                 "call %lld: a part of its bodies is missing or damaged; "
                 "restore a backup",
                 (long long)sql_int(q, 0));
    }
    return rc;
}

static int check_examples(struct verify *v, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(v->s->db,
                     "SELECT id, request, node, response, correction FROM "
                     "example WHERE request NOTNULL ORDER BY id",
                     &q, err);

    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1) {
        size_t count;
        bool good = walk(v, sql_int(q, 2), &count);

        for (int i = 1; i < 5; i++)
            if (i != 2 && !sql_is_null(q, i) && !is_blob(v, sql_int(q, i)))
                good = false;
        v->out->examples++;
        /* What came since the beginning is not known here. */
        if (!good && sql_int(q, 2) <= v->node_high &&
            sql_int(q, 1) <= v->blob_high)
            tell(v,
                 "example %lld: a part of it is missing or damaged; restore "
                 "a backup",
                 (long long)sql_int(q, 0));
    }
    return rc;
}

int store_verify(struct store *s, struct store_verify *out, struct err *err)
{
    struct verify v = { .s = s, .out = out };
    int rc = find_ends(&v, err);

    if (rc == ERR_OK)
        rc = check_pages(&v, err);
    if (rc == ERR_OK)
        rc = check_references(&v, err);
    if (rc == ERR_OK)
        rc = check_blobs(&v, err);
    if (rc == ERR_OK)
        rc = check_nodes(&v, err);
    if (rc == ERR_OK)
        rc = check_old(&v, err);
    if (rc == ERR_OK)
        rc = check_chain(&v, err);
    if (rc == ERR_OK)
        rc = check_examples(&v, err);
    free(v.hash);
    free(v.good);
    free(v.node);
    free(v.path);
    buf_release(&v.commitments);
    crypto_wipe(&v.keys, sizeof(v.keys));
    return rc;
}
