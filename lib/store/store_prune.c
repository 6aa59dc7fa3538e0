/*
 * store_prune.c - no more than so old, no more than so large
 *
 * By age the times of the calls decide; calls without a time have no age. By
 * size the oldest go, those without a time first, in rounds: pieces are
 * shared, so what a call gives back is known when it is gone.
 */
#include "store/store_remove.h"

#include "base/clock.h"

#define ROUNDS 40
#define AIM 0.97 /* of max_bytes: fewer rounds */

#define NO_EXAMPLE                                                             \
    "AND (NOT ?3 OR NOT EXISTS (SELECT 1 FROM example e WHERE e.call = "       \
    "logged.id AND e.kept)) "

static const char OLDER[] =
    "SELECT id FROM logged WHERE time < ?1 " NO_EXAMPLE "ORDER BY id LIMIT ?2";
static const char OLDEST[] = "SELECT id FROM logged WHERE ?1 = 0 " NO_EXAMPLE
                             "ORDER BY time, id LIMIT ?2";

static int list(struct store *s, const char *text, int64_t before_us,
                int64_t limit, const struct store_prune *p,
                struct store_ids *out, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db, text, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, before_us);
    sql_bind_int(q, 2, limit);
    sql_bind_int(q, 3, p->keep_examples);
    while ((rc = sql_step(q, err)) == 1)
        store_ids_add(out, sql_int(q, 0));
    return rc;
}

/* How many calls are too many for the size; at least one. */
static int too_many(struct store *s, int64_t max_bytes, int64_t gone,
                    int64_t *count, struct err *err)
{
    int64_t calls, used = 0;
    double share;
    int rc = sql_one_int(s->db, "SELECT count(*) FROM logged", 0, &calls, err);

    *count = 0;
    if (rc == ERR_OK)
        rc = store_used_bytes(s, &used, err);
    if (rc < 0 || !calls)
        return rc;
    used = (int64_t)((double)used / (double)calls * (double)(calls - gone));
    if (used <= max_bytes)
        return ERR_OK;
    share = ((double)used - AIM * (double)max_bytes) / (double)used;
    *count = (int64_t)(share * (double)(calls - gone)) + 1;
    return ERR_OK;
}

static int remove_listed(struct store *s, const struct store_prune *p,
                         const struct store_ids *ids, struct store_removed *out,
                         struct err *err)
{
    /* First: after a prune that is cut off later, no call may be left that
     * would bring the next one here. */
    int rc = ids->count ? store_cache_drop(s, err) : ERR_OK;

    if (rc == ERR_OK)
        rc = store_remove_calls(s, ids, false, p->progress, out, err);
    return rc < 0 ? rc : store_sweep(s, false, p->progress, out, err);
}

static int by_age(struct store *s, const struct store_prune *p,
                  struct store_removed *out, struct err *err)
{
    struct store_ids ids = { .count = 0 };
    int rc = list(s, OLDER, clock_wall_us() - p->older_than_us, INT64_MAX, p,
                  &ids, err);

    if (rc == ERR_OK && p->dry_run)
        out->calls = (int64_t)ids.count;
    else if (rc == ERR_OK)
        rc = remove_listed(s, p, &ids, out, err);
    store_ids_release(&ids);
    return rc;
}

static int by_size(struct store *s, const struct store_prune *p,
                   struct store_removed *out, struct err *err)
{
    int rc = ERR_OK;

    for (int i = 0; rc == ERR_OK && i < ROUNDS; i++) {
        struct store_ids ids = { .count = 0 };
        int64_t count;

        rc =
            too_many(s, p->max_bytes, p->dry_run ? out->calls : 0, &count, err);
        if (rc == ERR_OK && count && p->dry_run) {
            out->calls += count;
            return ERR_OK;
        }
        if (rc == ERR_OK && count)
            rc = list(s, OLDEST, 0, count, p, &ids, err);
        if (rc < 0 || !ids.count) {
            store_ids_release(&ids);
            return rc;
        }
        rc = remove_listed(s, p, &ids, out, err);
        store_ids_release(&ids);
    }
    return rc;
}

int store_prune(struct store *s, const struct store_prune *p,
                struct store_removed *out, struct err *err)
{
    size_t locks = 0;
    int rc = ERR_OK;

    *out = (struct store_removed){ .calls = 0 };
    if (!p->dry_run)
        rc = store_remove_begin(s, &locks, err);
    if (rc == ERR_OK)
        rc = store_used_bytes(s, &out->bytes_before, err);
    if (rc == ERR_OK && p->older_than_us)
        rc = by_age(s, p, out, err);
    if (rc == ERR_OK && p->max_bytes)
        rc = by_size(s, p, out, err);
    if (rc == ERR_OK && !p->dry_run && out->calls) /* of who ran beside */
        rc = store_cache_drop(s, err);
    if (rc == ERR_OK && !p->dry_run)
        rc = store_release_pages(s, &out->log_cut, err);
    if (rc == ERR_OK)
        rc = store_used_bytes(s, &out->bytes_after, err);
    if (!p->dry_run)
        store_remove_end(s, locks);
    return rc;
}
