/*
 * store_body.c - bodies cut at the elements of an array, and rebuilt
 *
 * Element i is stored as the bytes from the end of element i - 1 (the opening
 * bracket for the first) to its own end, so white space and commas travel
 * with it; the skeleton is everything else. Nothing is parsed to rebuild: the
 * pieces are put in at one byte of the skeleton. Lists form a prefix tree.
 */
#include "store/store_private.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX ((size_t)1 << 18) /* remembered in memory */
#define DEPTH_MAX ((size_t)1 << 20) /* messages of one body */

bool store_cut_at(const struct json *j, json_ref body, const char *member,
                  json_ref *array)
{
    if (!json_is(j, body, JSON_OBJECT))
        return false;
    *array = json_get(j, body, member);
    return json_is(j, *array, JSON_ARRAY) && json_count(j, *array) > 0;
}

static int insert_node(struct store *s, int64_t parent, int64_t blob,
                       int64_t *id, struct err *err)
{
    struct sql_stmt *q;
    int64_t high = 0;
    int rc = s->node_floor
                 ? sql_one_int(s->db, "SELECT max(id) FROM node", 0, &high, err)
                 : ERR_OK;

    if (rc == ERR_OK)
        rc =
            sql_get(s->db, "INSERT INTO node(id, parent, blob) VALUES(?, ?, ?)",
                    &q, err);
    if (rc < 0)
        return rc;
    if (s->node_floor > high)
        sql_bind_int(q, 1, s->node_floor + 1);
    sql_bind_int(q, 2, parent);
    sql_bind_int(q, 3, blob);
    rc = sql_run(q, err);
    *id = sql_last_id(s->db);
    return rc;
}

int store_node_put(struct store *s, int64_t parent, int64_t blob, int64_t *id,
                   struct err *err)
{
    int64_t key[2] = { parent, blob };
    const uint64_t *known;
    struct sql_stmt *q;
    int rc;

    store_check_caches(s);
    known = map_get(s->nodes, key, sizeof(key));
    if (known) {
        *id = (int64_t)*known;
        return ERR_OK;
    }
    rc = sql_get(s->db, "SELECT id FROM node WHERE parent = ? AND blob = ?", &q,
                 err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, parent);
    sql_bind_int(q, 2, blob);
    rc = sql_step(q, err);
    if (rc == 1) {
        *id = sql_int(q, 0);
        sql_reset(q);
    } else if (rc == 0) {
        rc = insert_node(s, parent, blob, id, err);
    }
    if (rc < 0)
        return rc;
    if (map_count(s->nodes) >= NODES_MAX) {
        map_free(s->nodes);
        s->nodes = map_new();
    }
    *map_put(s->nodes, key, sizeof(key), NULL) = (uint64_t)*id;
    return ERR_OK;
}

static int put_cut(struct store *s, struct slice body, const struct json *j,
                   json_ref array, struct store_body *out, struct err *err)
{
    struct slice whole = json_raw(j, array);
    size_t from = (size_t)(whole.p - body.p) + 1;
    struct buf skeleton = { 0 };
    int rc = ERR_OK;

    out->at = (int64_t)from;
    buf_add(&skeleton, body.p, from);
    for (json_ref e = json_first(j, array); rc == ERR_OK && e != JSON_NONE;
         e = json_next(j, array, e)) {
        struct slice raw = json_raw(j, e);
        size_t end = (size_t)(raw.p - body.p) + raw.n;
        int64_t blob;

        rc = store_blob_put(s, (struct slice){ body.p + from, end - from },
                            &blob, err);
        if (rc == ERR_OK)
            rc = store_node_put(s, out->node, blob, &out->node, err);
        from = end;
    }
    buf_add(&skeleton, body.p + from, body.n - from);
    if (rc == ERR_OK)
        rc = store_blob_put(s, buf_slice(&skeleton), &out->skeleton, err);
    buf_release(&skeleton);
    return rc;
}

int store_body_put(struct store *s, struct slice body, const char *member,
                   struct store_body *out, struct err *err)
{
    bool own = !sql_in_transaction(s->db);
    struct store_body b = { 0 };
    struct json j = { 0 };
    json_ref array;
    int rc = own ? sql_begin(s->db, err) : ERR_OK;

    if (rc < 0)
        return rc;
    if (json_parse(&j, body.p, body.n, NULL) == ERR_OK &&
        store_cut_at(&j, 0, member, &array))
        rc = put_cut(s, body, &j, array, &b, err);
    else
        rc = store_blob_put(s, body, &b.skeleton, err);
    json_release(&j);
    if (rc == ERR_OK && own)
        rc = sql_commit(s->db, err);
    if (rc < 0 && own)
        sql_rollback(s->db);
    if (rc == ERR_OK)
        *out = b;
    return rc;
}

static int node_get(struct store *s, int64_t id, struct store_node *out,
                    struct err *err)
{
    struct store_node *c = &s->walked[(uint64_t)id % CACHE_SLOTS];
    struct sql_stmt *q;
    int rc;

    store_check_caches(s);
    if (c->id == id) {
        *out = *c;
        return ERR_OK;
    }
    rc = store_row_find(s, "SELECT parent, blob FROM node WHERE id = ?",
                        "message", id, &q, err);
    if (rc < 0)
        return rc;
    *c = (struct store_node){ id, sql_int(q, 0), sql_int(q, 1) };
    sql_reset(q);
    *out = *c;
    return ERR_OK;
}

/* The messages of a list, first to last. Parents have lower ids than their
 * children, which also ends a damaged chain. */
static int messages_get(struct store *s, int64_t node, struct buf *out,
                        struct err *err)
{
    int64_t *blobs = NULL;
    size_t count = 0, cap = 0;
    void *list = NULL;
    int rc = ERR_OK;

    while (node && rc == ERR_OK) {
        struct store_node n = { 0 };

        rc = node_get(s, node, &n, err);
        if (rc == ERR_OK && (n.parent >= node || count >= DEPTH_MAX))
            rc = err_set(err, ERR_FORMAT, "%s: message %lld is damaged", s->dir,
                         (long long)node);
        if (rc < 0)
            break;
        mem_grow(&list, &cap, count + 1, sizeof(*blobs));
        blobs = list;
        blobs[count++] = n.blob;
        node = n.parent;
    }
    while (rc == ERR_OK && count > 0)
        rc = store_blob_get(s, blobs[--count], out, err);
    free(list);
    return rc;
}

int store_body_get(struct store *s, struct store_body b, struct buf *out,
                   struct err *err)
{
    struct buf skeleton = { 0 };
    int rc;

    if (!b.node)
        return store_blob_get(s, b.skeleton, out, err);
    rc = store_blob_get(s, b.skeleton, &skeleton, err);
    if (rc == ERR_OK && (b.at < 0 || (size_t)b.at > skeleton.len))
        rc = err_set(err, ERR_FORMAT, "%s: blob %lld cannot be cut at %lld",
                     s->dir, (long long)b.skeleton, (long long)b.at);
    if (rc == ERR_OK) {
        buf_add(out, skeleton.data, (size_t)b.at);
        rc = messages_get(s, b.node, out, err);
    }
    if (rc == ERR_OK)
        buf_add(out, skeleton.data + b.at, skeleton.len - (size_t)b.at);
    buf_release(&skeleton);
    return rc;
}
