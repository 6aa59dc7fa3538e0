/*
 * store_relearn.c - dictionaries that know nothing of what is gone
 *
 * A dictionary is made of pieces of texts. After an erase no new piece may be
 * packed with an earlier one, in no process: they stand below a floor that is
 * raised with the epoch. What was packed with them is packed again in short
 * transactions, then they go.
 */
#include "store/store_remove.h"

#define PAGE 64

/* From here on nobody packs with what there was. */
static int retire(struct store *s, int64_t *high, struct err *err)
{
    int rc = sql_begin(s->db, err);

    if (rc < 0)
        return rc;
    rc = sql_one_int(s->db, "SELECT max(id) FROM dictionary", 0, high, err);
    if (rc == ERR_OK)
        rc = store_floor_raise(s, "dictionary_floor", *high, err);
    if (rc == ERR_OK)
        rc = store_epoch_bump(s, err);
    if (rc == ERR_OK)
        rc = sql_commit(s->db, err);
    if (rc < 0)
        sql_rollback(s->db);
    return rc;
}

static int find_page(struct store *s, int64_t after, int64_t high,
                     int64_t ids[PAGE], size_t *count, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "SELECT id FROM blob WHERE id > ? AND dictionary <= ? "
                     "ORDER BY id LIMIT ?",
                     &q, err);

    *count = 0;
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, after);
    sql_bind_int(q, 2, high);
    sql_bind_int(q, 3, PAGE);
    while ((rc = sql_step(q, err)) == 1)
        ids[(*count)++] = sql_int(q, 0);
    return rc;
}

struct page {
    struct store *s;
    int64_t ids[PAGE];
    size_t count, done;
};

static bool has_blob(void *page)
{
    const struct page *p = page;

    return p->done < p->count;
}

static int repack_one(void *page, struct err *err)
{
    struct page *p = page;

    return store_blob_repack(p->s, p->ids[p->done++], err);
}

static int repack_all(struct store *s, int64_t high,
                      const struct progress *progress, struct err *err)
{
    struct page p = { .s = s, .count = PAGE };
    const struct store_turn turn = { .next = has_blob,
                                     .step = repack_one,
                                     .ctx = &p };
    int64_t at = 0, last = 0;
    int rc = sql_one_int(s->db, "SELECT max(id) FROM blob", 0, &last, err);

    while (rc == ERR_OK && p.count) {
        p.done = 0;
        rc = find_page(s, at, high, p.ids, &p.count, err);
        while (rc == ERR_OK && has_blob(&p))
            rc = store_turn_take(s, &turn, err);
        if (p.count)
            at = p.ids[p.count - 1];
        progress_update(progress, "packing", (uint64_t)at, (uint64_t)last,
                        NULL);
    }
    return rc;
}

static int drop(struct store *s, int64_t high, struct err *err)
{
    static const char *const texts[] = {
        "UPDATE dictionary SET data = zeroblob(length(data)) WHERE id <= ?",
        "DELETE FROM dictionary WHERE id <= ?",
    };
    int rc = sql_begin(s->db, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == ERR_OK && i < 2; i++) {
        struct sql_stmt *q;

        rc = sql_get(s->db, texts[i], &q, err);
        if (rc < 0)
            break;
        sql_bind_int(q, 1, high);
        rc = sql_run(q, err);
    }
    if (rc == ERR_OK)
        rc = store_epoch_bump(s, err);
    if (rc == ERR_OK)
        rc = sql_commit(s->db, err);
    if (rc < 0)
        sql_rollback(s->db);
    return rc;
}

int store_relearn(struct store *s, const struct progress *progress,
                  struct err *err)
{
    int64_t high = 0;
    int rc = retire(s, &high, err);

    if (rc < 0 || !high)
        return rc;
    /* The begin of a transaction tells this handle as well. */
    rc = sql_begin(s->db, err);
    if (rc == ERR_OK)
        rc = sql_commit(s->db, err);
    if (rc == ERR_OK)
        rc = store_train_anew(s, err);
    if (rc == ERR_OK)
        rc = repack_all(s, high, progress, err);
    return rc < 0 ? rc : drop(s, high, err);
}
