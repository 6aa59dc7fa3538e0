/*
 * store_graph.c - which piece a call is made of, and what nothing is made of
 *
 * All nodes in memory, hashes of pieces as they are needed: 16 bytes each.
 * Whoever checks or removes calls walks them here and not row by row.
 */
#include "store/store_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { HASH_UNKNOWN, HASH_GOOD, HASH_BAD };

struct store_graph *store_graph_new(struct store *s)
{
    struct store_graph *g = mem_zalloc(sizeof(*g));

    g->store = s;
    return g;
}

void store_graph_free(struct store_graph *g)
{
    if (!g)
        return;
    free(g->node);
    free(g->hash);
    free(g->state);
    free(g->path);
    buf_release(&g->data);
    free(g);
}

int store_graph_load(struct store_graph *g, struct err *err)
{
    struct sql *db = g->store->db;
    struct sql_stmt *q;
    int rc = sql_one_int(db, "SELECT max(id) FROM node", 0, &g->node_high, err);

    if (rc == ERR_OK)
        rc = sql_one_int(db, "SELECT max(id) FROM blob", 0, &g->blob_high, err);
    if (rc < 0)
        return rc;
    g->node = mem_zalloc(((size_t)g->node_high + 1) * sizeof(*g->node));
    g->hash = mem_zalloc(((size_t)g->blob_high + 1) * sizeof(*g->hash));
    g->state = mem_zalloc((size_t)g->blob_high + 1);
    rc = sql_get(db, "SELECT id, parent, blob FROM node ORDER BY id", &q, err);
    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1) {
        int64_t id = sql_int(q, 0);

        if (id > 0 && id <= g->node_high)
            g->node[id] =
                (struct store_node){ id, sql_int(q, 1), sql_int(q, 2) };
    }
    return rc;
}

/* The hash that the store has noted for a blob whose bytes are damaged. */
static int find_noted(struct store_graph *g, int64_t id, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(g->store->db, "SELECT hash FROM blob_hash WHERE blob = ?",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, id);
    rc = sql_step(q, err);
    if (rc == 1 && sql_blob(q, 0).n == CRYPTO_HASH_BYTES)
        memcpy(g->hash[id], sql_blob(q, 0).p, CRYPTO_HASH_BYTES);
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

int store_graph_hash(struct store_graph *g, int64_t id,
                     const unsigned char **out, bool *good, struct err *err)
{
    struct err why;
    int rc = ERR_OK;

    *good = false;
    *out = NULL;
    if (id < 1 || id > g->blob_high)
        return ERR_OK;
    if (g->state[id] == HASH_UNKNOWN) {
        buf_reset(&g->data);
        rc = store_blob_hash(g->store, id, &g->data, g->hash[id], &why);
        g->state[id] = rc == ERR_OK ? HASH_GOOD : HASH_BAD;
        if (rc == ERR_FORMAT || rc == ERR_UNSUPPORTED || rc == ERR_LIMIT)
            rc = find_noted(g, id, err);
        else if (rc < 0)
            *err = why;
    }
    *out = g->hash[id];
    *good = g->state[id] == HASH_GOOD;
    return rc;
}

bool store_graph_walk(struct store_graph *g, int64_t node, size_t *count)
{
    *count = 0;
    while (node) {
        const struct store_node *n;
        void *path = g->path;

        if (node < 0 || node > g->node_high || !g->node[node].id)
            return false;
        n = &g->node[node];
        if (n->parent < 0 || n->parent >= node)
            return false;
        mem_grow(&path, &g->path_cap, *count + 1, sizeof(*g->path));
        g->path = path;
        g->path[(*count)++] = n->blob;
        node = n->parent;
    }
    return true;
}

static int add_piece(struct store_graph *g, struct crypto_hasher *h, int64_t id,
                     bool *whole, struct err *err)
{
    static const unsigned char none[CRYPTO_HASH_BYTES] = { 0 };
    const unsigned char *hash;
    bool good;
    int rc = store_graph_hash(g, id, &hash, &good, err);

    *whole &= good;
    store_commitment_piece(h, hash ? hash : none);
    return rc;
}

int store_graph_commitment(struct store_graph *g,
                           const struct store_ledger_keys *keys,
                           const struct store_call_row *r,
                           unsigned char out[CRYPTO_HASH_BYTES], bool *whole,
                           struct err *err)
{
    struct crypto_hasher h;
    size_t count;
    int rc = ERR_OK;

    *whole = store_graph_walk(g, r->node, &count);
    store_commitment_begin(&h, keys, &r->call, r->id, r->raw);
    store_commitment_shape(&h, r->request_at, r->response != 0, count);
    while (rc == ERR_OK && count > 0)
        rc = add_piece(g, &h, g->path[--count], whole, err);
    if (rc == ERR_OK)
        rc = add_piece(g, &h, r->request, whole, err);
    if (rc == ERR_OK && r->response)
        rc = add_piece(g, &h, r->response, whole, err);
    crypto_hasher_final(&h, out);
    return rc;
}
