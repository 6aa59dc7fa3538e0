/*
 * store_sweep.c - pieces that nothing refers to
 *
 * First everything that is in use is marked, without holding anyone up. Then
 * short transactions delete what is not; each first marks what calls that
 * came in the meantime refer to. Ids are not given out again: somebody may
 * remember them.
 */
#include "store/store_remove.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct dead {
    int64_t blob;
    bool has_hash;
    unsigned char hash[CRYPTO_HASH_BYTES];
};

struct sweep {
    struct store *s;
    struct store_graph *g;
    unsigned char *node, *blob, *origin; /* in use, by id */
    int64_t origin_high, seen;           /* the last call that was marked */
    struct dead *dead;
    size_t dead_count, dead_cap, next_dead;
    int64_t at; /* the next node or origin to look at */
    struct store_removed *removed;
};

static void mark_blob(struct sweep *w, int64_t id)
{
    if (id > 0 && id <= w->g->blob_high)
        w->blob[id] = 1;
}

static void mark_node(struct sweep *w, int64_t id)
{
    while (id > 0 && id <= w->g->node_high && !w->node[id]) {
        w->node[id] = 1;
        mark_blob(w, w->g->node[id].blob);
        id = w->g->node[id].parent;
    }
}

/* Calls after w->seen. Messages and pieces that are newer than the marks are
 * never swept. But a new message may hang on an old one. */
static int mark_calls(struct sweep *w, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(w->s->db,
                     "SELECT id, request, node, response, origin FROM logged "
                     "WHERE id > ? ORDER BY id",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, w->seen);
    while ((rc = sql_step(q, err)) == 1) {
        int64_t origin = sql_int(q, 4);

        w->seen = sql_int(q, 0);
        mark_blob(w, sql_int(q, 1));
        mark_node(w, sql_int(q, 2));
        mark_blob(w, sql_int(q, 3));
        if (origin > 0 && origin <= w->origin_high)
            w->origin[origin] = 1;
    }
    return rc;
}

static int mark_new_nodes(struct sweep *w, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(w->s->db, "SELECT parent, blob FROM node WHERE id > ?", &q,
                     err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, w->g->node_high);
    while ((rc = sql_step(q, err)) == 1) {
        mark_node(w, sql_int(q, 0));
        mark_blob(w, sql_int(q, 1));
    }
    return rc;
}

static int mark_examples(struct sweep *w, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(w->s->db,
                     "SELECT request, node, response, correction FROM example "
                     "WHERE request NOTNULL",
                     &q, err);

    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1) {
        mark_blob(w, sql_int(q, 0));
        mark_node(w, sql_int(q, 1));
        mark_blob(w, sql_int(q, 2));
        mark_blob(w, sql_int(q, 3));
    }
    return rc;
}

/* What is not there need not be deleted. */
static int find_origins(struct sweep *w, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(w->s->db, "SELECT id FROM origin WHERE id <= ?", &q, err);

    if (rc < 0)
        return rc;
    memset(w->origin, 1, (size_t)w->origin_high + 1);
    sql_bind_int(q, 1, w->origin_high);
    while ((rc = sql_step(q, err)) == 1)
        if (sql_int(q, 0) > 0)
            w->origin[sql_int(q, 0)] = 0;
    return rc;
}

static int mark_all(struct sweep *w, struct err *err)
{
    int rc = sql_one_int(w->s->db, "SELECT max(id) FROM origin", 0,
                         &w->origin_high, err);

    if (rc == ERR_OK)
        rc = store_graph_load(w->g, err);
    if (rc < 0)
        return rc;
    w->node = mem_zalloc((size_t)w->g->node_high + 1);
    w->blob = mem_zalloc((size_t)w->g->blob_high + 1);
    w->origin = mem_zalloc((size_t)w->origin_high + 1);
    rc = find_origins(w, err);
    if (rc == ERR_OK)
        rc = mark_examples(w, err);
    return rc < 0 ? rc : mark_calls(w, err);
}

static struct dead *add_dead(struct sweep *w, int64_t id)
{
    void *list = w->dead;

    mem_grow(&list, &w->dead_cap, w->dead_count + 1, sizeof(*w->dead));
    w->dead = list;
    w->dead[w->dead_count] = (struct dead){ .blob = id };
    return &w->dead[w->dead_count++];
}

/* The hashes of what is dead: they stand in the order of the hashes. */
static int list_hashes(struct sweep *w, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(w->s->db, "SELECT hash, blob FROM blob_hash", &q, err);

    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1) {
        struct slice hash = sql_blob(q, 0);
        int64_t id = sql_int(q, 1);
        struct dead *d;

        if (id < 1 || id > w->g->blob_high || w->blob[id] ||
            hash.n != CRYPTO_HASH_BYTES)
            continue;
        d = add_dead(w, id);
        d->has_hash = true;
        memcpy(d->hash, hash.p, hash.n);
        w->g->state[id] = 1;
    }
    return rc;
}

/* And those without: left by damage. */
static int list_dead(struct sweep *w, struct err *err)
{
    struct sql_stmt *q;
    int rc = list_hashes(w, err);

    if (rc == ERR_OK)
        rc = sql_get(w->s->db, "SELECT id FROM blob", &q, err);
    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1) {
        int64_t id = sql_int(q, 0);

        if (id > 0 && id <= w->g->blob_high && !w->blob[id] && !w->g->state[id])
            (void)add_dead(w, id);
    }
    return rc;
}

static int run_for(struct sweep *w, const char *text, int64_t id,
                   int64_t *count, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(w->s->db, text, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, id);
    rc = sql_run(q, err);
    if (rc == ERR_OK && count)
        *count += sql_changes(w->s->db);
    return rc;
}

/* Children have higher ids than their parents: from the top down no node is
 * ever without its parent. */
static int sweep_node(void *sweep, struct err *err)
{
    struct sweep *w = sweep;
    int64_t id = w->at--;

    if (w->node[id] || !w->g->node[id].id)
        return ERR_OK;
    return run_for(w, "DELETE FROM node WHERE id = ?", id,
                   &w->removed->messages, err);
}

/* Its text may have come again since, as another piece. */
static int forget_hash(struct sweep *w, const struct dead *d, struct err *err)
{
    struct sql_stmt *q;
    int rc;

    if (!d->has_hash)
        return ERR_OK;
    rc = sql_get(w->s->db, "DELETE FROM blob_hash WHERE hash = ? AND blob = ?",
                 &q, err);
    if (rc < 0)
        return rc;
    sql_bind_blob(q, 1, d->hash, CRYPTO_HASH_BYTES);
    sql_bind_int(q, 2, d->blob);
    return sql_run(q, err);
}

/* The next dead blob, and the hash by which a call that comes meanwhile would
 * find it. */
static int take_dead(struct sweep *w, const char *sql, int64_t *count,
                     struct err *err)
{
    const struct dead *d = &w->dead[w->next_dead++];
    int rc;

    if (w->blob[d->blob])
        return ERR_OK;
    rc = forget_hash(w, d, err);
    return rc < 0 ? rc : run_for(w, sql, d->blob, count, err);
}

static int sweep_blob(void *sweep, struct err *err)
{
    struct sweep *w = sweep;

    return take_dead(w, "DELETE FROM blob WHERE id = ?", &w->removed->pieces,
                     err);
}

static int sweep_origin(void *sweep, struct err *err)
{
    struct sweep *w = sweep;
    int64_t id = w->at--;

    if (w->origin[id])
        return ERR_OK;
    return run_for(w, "DELETE FROM origin WHERE id = ?", id, NULL, err);
}

/* Later ids begin above those that were ever given out. */
static int raise_floors(struct sweep *w, struct err *err)
{
    int rc = store_floor_raise(w->s, "node_floor", w->g->node_high, err);

    return rc < 0 ? rc
                  : store_floor_raise(w->s, "blob_floor", w->g->blob_high, err);
}

/* In its place: see store_remove.c. */
static int blank_blob(void *sweep, struct err *err)
{
    return take_dead(sweep,
                     "UPDATE blob SET data = zeroblob(length(data)) WHERE "
                     "id = ?",
                     NULL, err);
}

static int blank_origin(void *sweep, struct err *err)
{
    struct sweep *w = sweep;
    int64_t id = w->at--;

    if (w->origin[id])
        return ERR_OK;
    return run_for(
        w,
        "UPDATE origin SET hash = randomblob(length(hash)), client = "
        "substr(hex(zeroblob(length(CAST(client AS "
        "BLOB)))), 1, length(CAST(client AS BLOB))) WHERE client NOTNULL AND "
        "id = ?",
        id, NULL, err);
}

/* What came since is in use as well, and ids are about to go. */
static int look_again(void *sweep, struct err *err)
{
    struct sweep *w = sweep;
    int rc = mark_calls(w, err);

    if (rc == ERR_OK)
        rc = mark_new_nodes(w, err);
    if (rc == ERR_OK)
        rc = raise_floors(w, err);
    return rc < 0 ? rc : store_epoch_bump(w->s, err);
}

static bool has_id(void *sweep)
{
    const struct sweep *w = sweep;

    return w->at > 0;
}

static bool has_dead(void *sweep)
{
    const struct sweep *w = sweep;

    return w->next_dead < w->dead_count;
}

/* No transaction where there is nothing to delete. */
static void skip(struct sweep *w, const unsigned char *used)
{
    while (w->at > 0 &&
           (used[w->at] || (used == w->node && !w->g->node[w->at].id)))
        w->at--;
}

static int sweep_ids(struct sweep *w, const unsigned char *used, int64_t high,
                     int (*step)(void *sweep, struct err *err), struct err *err)
{
    const struct store_turn turn = { look_again, has_id, step, w };
    int rc = ERR_OK;

    w->at = high;
    skip(w, used);
    while (rc == ERR_OK && has_id(w)) {
        rc = store_turn_take(w->s, &turn, err);
        skip(w, used);
    }
    return rc;
}

static int sweep_dead(struct sweep *w, const char *what,
                      const struct progress *progress,
                      int (*step)(void *sweep, struct err *err),
                      struct err *err)
{
    const struct store_turn turn = { look_again, has_dead, step, w };
    int rc = ERR_OK;

    w->next_dead = 0;
    while (rc == ERR_OK && has_dead(w)) {
        progress_update(progress, what, w->next_dead, w->dead_count, NULL);
        rc = store_turn_take(w->s, &turn, err);
    }
    return rc;
}

int store_sweep(struct store *s, bool erase, const struct progress *progress,
                struct store_removed *removed, struct err *err)
{
    struct sweep w = { .s = s, .g = store_graph_new(s), .removed = removed };
    int rc;

    progress_update(progress, "pieces", 0, 0, NULL);
    rc = mark_all(&w, err);
    if (rc == ERR_OK)
        rc = list_dead(&w, err);
    if (rc == ERR_OK)
        rc = sweep_ids(&w, w.node, w.g->node_high, sweep_node, err);
    if (rc == ERR_OK && erase)
        rc = sweep_dead(&w, "overwriting", progress, blank_blob, err);
    if (rc == ERR_OK)
        rc = sweep_dead(&w, "pieces", progress, sweep_blob, err);
    if (rc == ERR_OK && erase)
        rc = sweep_ids(&w, w.origin, w.origin_high, blank_origin, err);
    if (rc == ERR_OK)
        rc = sweep_ids(&w, w.origin, w.origin_high, sweep_origin, err);
    store_graph_free(w.g);
    free(w.node);
    free(w.blob);
    free(w.origin);
    free(w.dead);
    return rc;
}
