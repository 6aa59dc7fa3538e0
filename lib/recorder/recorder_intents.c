/*
 * recorder_intents.c - what has begun, so that what never ends is known
 *
 * Files of fixed units of 32 bytes: a beginning takes four, an end one. The
 * first digits of a call's id tell its file, so that ends go where beginnings
 * are and a file whose calls have all ended is removed. Nothing is synced: a
 * kill loses no write(2), and a power cut loses calls that nobody saw the end
 * of either.
 */
#include "recorder/recorder_private.h"

#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNIT 32
#define FILE_CALLS 65536
#define FILE_BYTES_MAX ((size_t)64 << 20) /* of a file that is read */
#define LOST_MAX 1000000

struct beginning {
    char type; /* 'B' */
    char upstream[24];
    char pad[7];
    int64_t time_us;
    unsigned char id[16];
    char target[72];
};
_Static_assert(sizeof(struct beginning) == 4 * UNIT, "four units");
struct ending {
    char type; /* 'E' */
    char pad[15];
    unsigned char id[16];
};
_Static_assert(sizeof(struct ending) == UNIT, "one unit");

struct file {
    uint16_t number;
    int fd;
    uint64_t begun, ended;
    uint64_t bytes;  /* whole units that are in it */
    struct buf ends; /* to be written */
};

struct intents {
    char *dir;
    pthread_mutex_t lock;
    struct file *files; /* the last is written */
    size_t count, cap;
    struct intent *lost;
    size_t lost_count, lost_cap;
    char **old; /* files of earlier processes */
    size_t old_count, old_cap;
};

static char *path_of(const struct intents *n, uint16_t number)
{
    return mem_printf("%s/%04x.calls", n->dir, number);
}

/* Beginnings of a file without an end. Ids are looked up in a map whose value
 * is the place among the beginnings, 0 for one that has ended. */
static void read_old(struct intents *n, struct slice bytes)
{
    struct map *open = map_new();
    size_t i = 0;

    while (i + UNIT <= bytes.n) {
        struct beginning b;
        struct ending e;

        if (bytes.p[i] == 'B' && i + sizeof(b) <= bytes.n) {
            memcpy(&b, bytes.p + i, sizeof(b));
            *map_put(open, b.id, sizeof(b.id), NULL) = i + 1;
            i += sizeof(b);
        } else if (bytes.p[i] == 'E') {
            memcpy(&e, bytes.p + i, sizeof(e));
            *map_put(open, e.id, sizeof(e.id), NULL) = 0;
            i += sizeof(e);
        } else {
            break;
        }
    }
    for (size_t k = 0; k < map_count(open) && n->lost_count < LOST_MAX; k++) {
        uint64_t at = *map_value(open, k);
        struct beginning b;
        struct intent *l;

        if (!at)
            continue;
        memcpy(&b, bytes.p + at - 1, sizeof(b));
        mem_grow((void **)&n->lost, &n->lost_cap, n->lost_count + 1,
                 sizeof(*n->lost));
        l = &n->lost[n->lost_count++];
        memset(l, 0, sizeof(*l));
        memcpy(l->id, b.id, sizeof(l->id));
        memcpy(l->upstream, b.upstream, sizeof(b.upstream));
        memcpy(l->target, b.target, sizeof(b.target));
        l->time_us = b.time_us;
    }
    map_free(open);
}

static int find_old(struct intents *n, struct err *err)
{
    DIR *d = opendir(n->dir);
    struct dirent *e;
    int rc = ERR_OK;

    while (rc == ERR_OK && d && (e = readdir(d))) {
        struct buf b = { .data = NULL };
        size_t len = strlen(e->d_name);
        char *path;

        if (len < 6 || strcmp(e->d_name + len - 6, ".calls") != 0)
            continue;
        path = io_path(n->dir, e->d_name);
        rc = io_read_file(path, FILE_BYTES_MAX, &b, err);
        if (rc == ERR_OK)
            read_old(n, buf_slice(&b));
        mem_grow((void **)&n->old, &n->old_cap, n->old_count + 1,
                 sizeof(char *));
        n->old[n->old_count++] = path;
        buf_release(&b);
    }
    if (d)
        (void)closedir(d);
    return rc;
}

static bool is_taken(const struct intents *n, uint16_t number)
{
    char *path = path_of(n, number);
    bool taken = io_exists(path);

    free(path);
    return taken;
}

/* Whole, or not at all: what stands behind a part of a unit would not be
 * found again. */
static bool append(struct file *f, const void *p, size_t n)
{
    if (io_write_all(f->fd, p, n, NULL) < 0) {
        (void)!ftruncate(f->fd, (off_t)f->bytes);
        return false;
    }
    f->bytes += n;
    return true;
}

static int next_file(struct intents *n, struct err *err)
{
    uint16_t number;
    struct file *f;
    char *path;
    int rc = ERR_OK;

    do
        crypto_random(&number, sizeof(number));
    while (is_taken(n, number));
    path = path_of(n, number);
    mem_grow((void **)&n->files, &n->cap, n->count + 1, sizeof(*n->files));
    f = &n->files[n->count];
    *f = (struct file){ .number = number };
    f->fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (f->fd < 0)
        rc = err_set(err, ERR_IO, "create %s: %s", path, strerror(errno));
    else
        n->count++;
    free(path);
    return rc;
}

int intents_open(const char *dir, struct intents **out, struct err *err)
{
    struct intents *n = mem_zalloc(sizeof(*n));
    int rc;

    (void)pthread_mutex_init(&n->lock, NULL);
    n->dir = io_path(dir, "spool");
    rc = io_mkdirs(n->dir, 0700, err);
    if (rc == ERR_OK)
        rc = find_old(n, err);
    if (rc == ERR_OK)
        rc = next_file(n, err);
    if (rc < 0)
        intents_close(n);
    else
        *out = n;
    return rc;
}

static void remove_file(struct intents *n, size_t i)
{
    char *path = path_of(n, n->files[i].number);

    (void)close(n->files[i].fd);
    (void)unlink(path);
    buf_release(&n->files[i].ends);
    free(path);
    n->files[i] = n->files[--n->count];
}

void intents_close(struct intents *n)
{
    if (!n)
        return;
    intents_flush(n);
    while (n->count) {
        struct file *f = &n->files[n->count - 1];

        if (f->begun == f->ended) {
            remove_file(n, n->count - 1);
            continue;
        }
        (void)close(f->fd);
        buf_release(&f->ends);
        n->count--;
    }
    for (size_t i = 0; i < n->old_count; i++)
        free(n->old[i]);
    (void)pthread_mutex_destroy(&n->lock);
    free(n->old);
    free(n->lost);
    free(n->files);
    free(n->dir);
    free(n);
}

static void put_text(char *out, size_t size, struct slice s)
{
    if (s.n)
        memcpy(out, s.p, s.n < size ? s.n : size);
}

int intents_begin(struct intents *n, int64_t time_us, struct slice upstream,
                  struct slice target, char id[RECORDER_ID_CHARS + 1],
                  struct err *err)
{
    struct beginning b = { .type = 'B', .time_us = time_us };
    struct file *f;
    int rc = ERR_OK;

    put_text(b.upstream, sizeof(b.upstream), upstream);
    put_text(b.target, sizeof(b.target), target);
    crypto_random(b.id, sizeof(b.id));
    (void)pthread_mutex_lock(&n->lock);
    if (!n->count || n->files[n->count - 1].begun >= FILE_CALLS)
        rc = next_file(n, err);
    if (rc == ERR_OK) {
        f = &n->files[n->count - 1];
        b.id[0] = (unsigned char)(f->number >> 8);
        b.id[1] = (unsigned char)f->number;
        f->begun++;
        if (!append(f, &b, sizeof(b)))
            rc = err_set(err, ERR_IO, "a call cannot be announced: %s",
                         strerror(errno));
    }
    (void)pthread_mutex_unlock(&n->lock);
    crypto_hex(b.id, sizeof(b.id), id);
    return rc;
}

void intents_end(struct intents *n, const char *id)
{
    struct ending e = { .type = 'E' };
    uint16_t number;

    if (!crypto_unhex(slice_of(id), e.id, sizeof(e.id)))
        return;
    number = (uint16_t)(e.id[0] << 8 | e.id[1]);
    (void)pthread_mutex_lock(&n->lock);
    for (size_t i = 0; i < n->count; i++)
        if (n->files[i].number == number) {
            buf_add(&n->files[i].ends, &e, sizeof(e));
            n->files[i].ended++;
        }
    (void)pthread_mutex_unlock(&n->lock);
}

void intents_flush(struct intents *n)
{
    (void)pthread_mutex_lock(&n->lock);
    for (size_t i = n->count; i > 0; i--) {
        struct file *f = &n->files[i - 1];

        /* An end that cannot be written makes a call look lost that is in the
         * store: it is looked up there first. */
        if (f->ends.len)
            (void)append(f, f->ends.data, f->ends.len);
        buf_reset(&f->ends);
        if (f->begun == f->ended && f->begun >= FILE_CALLS)
            remove_file(n, i - 1);
    }
    (void)pthread_mutex_unlock(&n->lock);
}

size_t intents_lost_count(const struct intents *n)
{
    return n->lost_count;
}

const struct intent *intents_lost(const struct intents *n, size_t i)
{
    return &n->lost[i];
}

void intents_forget_lost(struct intents *n)
{
    for (size_t i = 0; i < n->old_count; i++) {
        (void)unlink(n->old[i]);
        free(n->old[i]);
    }
    n->old_count = n->lost_count = 0;
}
