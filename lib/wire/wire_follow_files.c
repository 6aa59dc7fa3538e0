/*
 * wire_follow_files.c - which files of a directory belong to a growing log
 *
 * The log itself, and what was rotated away from it: files whose inodes are
 * known, and those named like the log with digits behind it. A copy that was
 * made before the log was cut back is known by its content. What lay there
 * when the log was first seen is not read, nor is what was compressed.
 */
#include "wire/wire_follow.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRIES_MAX 100000 /* of the directory */
#define NAMES_MAX 256      /* that may belong to the log */

/* A file that may belong to the log. */
struct candidate {
    int fd;
    struct stat st;
    bool is_log, is_settled; /* its place is told */
    bool is_read;            /* there is something to read, or will be */
    struct follow_place place;
};

struct look {
    struct follow_log *log;
    struct candidate files[NAMES_MAX];
    size_t count;
    bool claimed[FOLLOW_PLACES]; /* of log->places */
    bool is_first;               /* nothing is known of this log */
};

static bool is_same(const struct stat *st, const struct follow_place *p)
{
    return (uint64_t)st->st_dev == p->device &&
           (uint64_t)st->st_ino == p->inode;
}

/* "app.log.1", "app.log-20260131", "app.log.2026-01-31_12". */
static bool is_rotated_name(const char *log, const char *name)
{
    size_t n = strlen(log);

    return !strncmp(log, name, n) && name[n] &&
           strspn(name + n, ".-_0123456789") == strlen(name + n) &&
           strpbrk(name + n, "0123456789");
}

static bool is_open(const struct follow_log *l, const struct stat *st)
{
    for (size_t i = 0; i < l->file_count; i++)
        if (is_same(st, &l->files[i].place))
            return true;
    return false;
}

static bool has_place(const struct follow_log *l, const struct stat *st)
{
    for (size_t i = 0; i < l->place_count; i++)
        if (is_same(st, &l->places[i]))
            return true;
    return false;
}

static void consider(struct look *k, int dir, const char *name)
{
    bool is_log = !strcmp(name, k->log->name);
    struct stat st;
    struct candidate *c;
    int fd;

    if (fstatat(dir, name, &st, is_log ? 0 : AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISREG(st.st_mode) ||
        (!is_log && !is_rotated_name(k->log->name, name) &&
         !has_place(k->log, &st)))
        return;
    fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return;
    if (k->count == NAMES_MAX || fstat(fd, &st) < 0) {
        (void)close(fd);
        return;
    }
    c = &k->files[k->count++];
    *c = (struct candidate){ .fd = fd, .st = st, .is_log = is_log };
    c->place.device = (uint64_t)st.st_dev;
    c->place.inode = (uint64_t)st.st_ino;
}

static int list(struct look *k, struct err *err)
{
    DIR *d = opendir(k->log->dir);
    size_t seen = 0;
    struct dirent *e;

    if (!d)
        return err_set(err, ERR_IO, "open directory %s: %s", k->log->dir,
                       strerror(errno));
    while (seen++ < ENTRIES_MAX && (e = readdir(d)))
        consider(k, dirfd(d), e->d_name);
    (void)closedir(d);
    return ERR_OK;
}

static void settle(struct look *k, struct candidate *c, size_t place)
{
    struct follow_place *p = &k->log->places[place];

    c->is_settled = true;
    c->place.offset = p->offset;
    c->place.line = p->line;
    c->place.salt = p->salt;
    memcpy(c->place.tail, p->tail, sizeof(p->tail));
    k->claimed[place] = true;
}

static void skip(struct candidate *c)
{
    follow_place_begin(&c->place);
    c->is_settled = follow_place_set(&c->place, c->fd, c->st.st_size);
}

static void find_by_inode(struct look *k)
{
    for (size_t i = 0; i < k->count; i++)
        for (size_t p = 0; p < k->log->place_count; p++)
            if (!k->files[i].is_settled &&
                is_same(&k->files[i].st, &k->log->places[p]) &&
                follow_place_fits(&k->log->places[p], k->files[i].fd))
                settle(k, &k->files[i], p);
}

/* A copy of a file that is there itself has nothing new. */
static void find_by_content(struct look *k, struct candidate *c)
{
    const struct follow_log *l = k->log;

    for (size_t p = 0; !c->is_settled && p < l->place_count; p++) {
        if (l->places[p].offset == 0 ||
            !follow_place_fits(&l->places[p], c->fd))
            continue;
        if (!k->claimed[p])
            settle(k, c, p);
        else if (!c->is_log)
            skip(c);
    }
}

/* While the log is being copied, the copy is shorter than what was read. */
static bool begins_like_the_log(const struct look *k, const struct candidate *c)
{
    char ours[FOLLOW_TAIL], theirs[FOLLOW_TAIL];

    for (size_t i = 0; i < k->count; i++) {
        ssize_t n, m;

        if (!k->files[i].is_log)
            continue;
        n = pread(c->fd, ours, sizeof(ours), 0);
        m = pread(k->files[i].fd, theirs, sizeof(theirs), 0);
        return n > 0 && m >= n && !memcmp(ours, theirs, (size_t)n);
    }
    return false;
}

static void find_rest(struct look *k, struct candidate *c)
{
    if (c->is_settled)
        return;
    if (k->is_first && !c->is_log) {
        skip(c);
    } else if (c->is_log || (c->st.st_size > 0 && !begins_like_the_log(k, c))) {
        follow_place_begin(&c->place);
        c->is_settled = true;
    }
}

static int by_age(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->is_log != y->is_log)
        return x->is_log ? 1 : -1;
    if (x->st.st_mtim.tv_sec != y->st.st_mtim.tv_sec)
        return x->st.st_mtim.tv_sec < y->st.st_mtim.tv_sec ? -1 : 1;
    return (x->st.st_mtim.tv_nsec > y->st.st_mtim.tv_nsec) -
           (x->st.st_mtim.tv_nsec < y->st.st_mtim.tv_nsec);
}

static void match(struct look *k)
{
    find_by_inode(k);
    for (size_t i = 0; i < k->count; i++)
        if (k->files[i].is_log)
            find_by_content(k, &k->files[i]);
    for (size_t i = 0; i < k->count; i++)
        find_by_content(k, &k->files[i]);
    for (size_t i = 0; i < k->count; i++)
        find_rest(k, &k->files[i]);
    qsort(k->files, k->count, sizeof(*k->files), by_age);
}

void follow_file_drop(struct follow_log *l, size_t i)
{
    (void)close(l->files[i].fd);
    l->file_count--;
    memmove(&l->files[i], &l->files[i + 1],
            (l->file_count - i) * sizeof(*l->files));
}

/* Those that are open stay. */
static void take(struct look *k)
{
    struct follow_log *l = k->log;

    for (size_t i = 0; i < l->file_count; i++)
        l->files[i].is_log = false;
    for (size_t i = 0; i < k->count; i++) {
        struct candidate *c = &k->files[i];
        size_t at = 0;

        while (at < l->file_count && !is_same(&c->st, &l->files[at].place))
            at++;
        if (at < l->file_count) {
            l->files[at].is_log = c->is_log;
            continue;
        }
        if (!c->is_settled || l->file_count == FOLLOW_FILES ||
            (!c->is_log && c->place.offset == c->st.st_size))
            continue;
        c->is_read = true;
        l->files[l->file_count++] =
            (struct follow_file){ .fd = c->fd,
                                  .is_log = c->is_log,
                                  .place = c->place,
                                  .size = -1,
                                  .quiet_ns = clock_mono_ns() };
    }
}

/* A file that is not known yet and is passed over must be known next time. */
static int save(struct look *k, struct err *err)
{
    struct sql *db = store_sql(k->log->intake.im->store);
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < k->count; i++) {
        struct candidate *c = &k->files[i];
        bool is_known = false;

        for (size_t p = 0; p < k->log->place_count; p++)
            is_known |= is_same(&c->st, &k->log->places[p]) &&
                        k->log->places[p].offset == c->place.offset;
        if (!c->is_settled || is_known || is_open(k->log, &c->st) != c->is_read)
            continue;
        if (!sql_in_transaction(db))
            rc = store_group_step(k->log->intake.im->store, err);
        if (rc == ERR_OK)
            rc = follow_place_save(k->log, &c->place, err);
    }
    return rc == ERR_OK ? store_group_end(k->log->intake.im->store, err) : rc;
}

int follow_look(struct follow_log *l, struct err *err)
{
    struct look *k = mem_zalloc(sizeof(*k));
    int rc;

    k->log = l;
    k->is_first = l->place_count == 0 && l->file_count == 0;
    l->looked_ns = clock_mono_ns();
    rc = list(k, err);
    if (rc == ERR_OK) {
        match(k);
        take(k);
        rc = save(k, err);
    }
    for (size_t i = 0; i < k->count; i++)
        if (!k->files[i].is_read)
            (void)close(k->files[i].fd);
    free(k);
    return rc;
}

bool follow_is_rotated(const struct follow_log *l)
{
    struct stat st;

    if (stat(l->path, &st) < 0)
        return false;
    for (size_t i = 0; i < l->file_count; i++)
        if (l->files[i].is_log)
            return !is_same(&st, &l->files[i].place);
    return true;
}
