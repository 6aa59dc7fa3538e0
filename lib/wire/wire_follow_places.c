/*
 * wire_follow_places.c - how much of each file of a growing log is stored
 *
 * A place is written in the transaction of the calls before it. Its tail, a
 * salted hash, tells a file that was cut back and has grown again from one
 * that only grew, and finds a file under another inode; no byte of a log
 * stands in the clear here.
 */
#include "wire/wire_follow.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void follow_tail(const struct follow_place *p, const char *bytes, size_t n,
                 unsigned char out[CRYPTO_HASH_BYTES])
{
    crypto_keyed_hash(&p->salt, (struct slice){ bytes, n }, out);
}

void follow_place_begin(struct follow_place *p)
{
    p->offset = p->line = 0;
    crypto_random(p->salt.bytes, sizeof(p->salt.bytes));
    follow_tail(p, "", 0, p->tail);
}

static bool read_tail(int fd, int64_t offset, char *out, size_t *n)
{
    *n = offset < FOLLOW_TAIL ? (size_t)offset : FOLLOW_TAIL;
    return pread(fd, out, *n, (off_t)offset - (off_t)*n) == (ssize_t)*n;
}

bool follow_place_fits(const struct follow_place *p, int fd)
{
    unsigned char tail[CRYPTO_HASH_BYTES];
    char bytes[FOLLOW_TAIL];
    size_t n;

    if (!read_tail(fd, p->offset, bytes, &n))
        return false;
    follow_tail(p, bytes, n, tail);
    return !memcmp(tail, p->tail, sizeof(tail));
}

bool follow_place_set(struct follow_place *p, int fd, int64_t offset)
{
    char bytes[FOLLOW_TAIL];
    size_t n;

    if (!read_tail(fd, offset, bytes, &n))
        return false;
    p->offset = offset;
    follow_tail(p, bytes, n, p->tail);
    return true;
}

static bool take_row(struct sql_stmt *q, struct follow_place *p)
{
    struct slice salt = sql_blob(q, 5), tail = sql_blob(q, 6);

    *p = (struct follow_place){ .device = (uint64_t)sql_int(q, 0),
                                .inode = (uint64_t)sql_int(q, 1),
                                .time_us = sql_int(q, 2),
                                .offset = sql_int(q, 3),
                                .line = sql_int(q, 4) };
    if (salt.n != sizeof(p->salt.bytes) || tail.n != sizeof(p->tail))
        return false;
    memcpy(p->salt.bytes, salt.p, salt.n);
    memcpy(p->tail, tail.p, tail.n);
    return true;
}

int follow_places_load(struct follow_log *l, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(l->intake.im->store),
                     "SELECT device, inode, time, offset, line, salt, tail "
                     "FROM followed WHERE source = ? ORDER BY time",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, l->intake.source);
    l->place_count = 0;
    while (l->place_count < FOLLOW_PLACES && (rc = sql_step(q, err)) == 1)
        l->place_count += take_row(q, &l->places[l->place_count]);
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

static int delete_row(struct follow_log *l, const struct follow_place *p,
                      struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(l->intake.im->store),
                     "DELETE FROM followed WHERE source = ? AND device = ? "
                     "AND inode = ?",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, l->intake.source);
    sql_bind_int(q, 2, (int64_t)p->device);
    sql_bind_int(q, 3, (int64_t)p->inode);
    return sql_run(q, err);
}

static int write_row(struct follow_log *l, const struct follow_place *p,
                     struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(l->intake.im->store),
                     "INSERT OR REPLACE INTO followed(source, device, inode, "
                     "time, offset, line, salt, tail) "
                     "VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, l->intake.source);
    sql_bind_int(q, 2, (int64_t)p->device);
    sql_bind_int(q, 3, (int64_t)p->inode);
    sql_bind_int(q, 4, p->time_us);
    sql_bind_int(q, 5, p->offset);
    sql_bind_int(q, 6, p->line);
    sql_bind_blob(q, 7, p->salt.bytes, sizeof(p->salt.bytes));
    sql_bind_blob(q, 8, p->tail, sizeof(p->tail));
    return sql_run(q, err);
}

/* Of many rotations the oldest is forgotten. */
static int make_room(struct follow_log *l, struct err *err)
{
    size_t oldest = 0;
    int rc;

    if (l->place_count < FOLLOW_PLACES)
        return ERR_OK;
    for (size_t i = 1; i < l->place_count; i++)
        if (l->places[i].time_us < l->places[oldest].time_us)
            oldest = i;
    rc = delete_row(l, &l->places[oldest], err);
    l->places[oldest] = l->places[--l->place_count];
    return rc;
}

int follow_place_save(struct follow_log *l, const struct follow_place *p,
                      struct err *err)
{
    struct follow_place now = *p;
    size_t i = 0;
    int rc = ERR_OK;

    now.time_us = clock_wall_us();
    while (i < l->place_count &&
           (l->places[i].device != p->device || l->places[i].inode != p->inode))
        i++;
    if (i == l->place_count) {
        rc = make_room(l, err);
        i = l->place_count++;
    }
    l->places[i] = now;
    return rc < 0 ? rc : write_row(l, &now, err);
}
