/*
 * recorder_intents.c - what has begun, so that what never ends is known
 *
 * Files of slots of 128 bytes, one for each call; its id names file and slot,
 * so that a slot that was torn by a full disk hides no other. An end is one
 * byte written over the slot's first: that needs no room. A file whose calls
 * have all ended is removed. Nothing is synced: a kill loses no write(2), and a
 * power cut loses calls that nobody saw the end of either.
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

#define FILE_CALLS 65536
#define FILE_BYTES_MAX (FILE_CALLS * sizeof(struct beginning))
#define LOST_MAX 1000000

enum { BEGUN = 'B', ENDED = 'E', TORN = 'T' };

struct beginning {
    char type;
    char upstream[24];
    char pad[7];
    int64_t time_us;
    unsigned char id[16]; /* file and slot, both with the high byte first */
    char target[72];
};
_Static_assert(sizeof(struct beginning) == 128, "a slot");

struct file {
    uint16_t number; /* not 0, see intents_announced */
    int fd;
    unsigned used; /* slots */
    unsigned running;
    unsigned char *runs; /* a bit for each slot: an end may be told twice */
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

static unsigned first_of(const unsigned char *id)
{
    return (unsigned)id[0] << 8 | id[1];
}

static unsigned slot_of(const unsigned char *id)
{
    return (unsigned)id[2] << 8 | id[3];
}

static void add_lost(struct intents *n, const struct beginning *b)
{
    struct intent *l;

    mem_grow((void **)&n->lost, &n->lost_cap, n->lost_count + 1,
             sizeof(*n->lost));
    l = &n->lost[n->lost_count++];
    memset(l, 0, sizeof(*l));
    memcpy(l->id, b->id, sizeof(l->id));
    memcpy(l->upstream, b->upstream, sizeof(b->upstream));
    memcpy(l->target, b->target, sizeof(b->target));
    l->time_us = b->time_us;
}

/* Beginnings of a file without an end. What does not say where it stands is
 * none: a part of one, or a hole. */
static void read_old(struct intents *n, unsigned number, struct slice bytes)
{
    struct beginning b;

    for (size_t i = 0; (i + 1) * sizeof(b) <= bytes.n; i++) {
        memcpy(&b, bytes.p + i * sizeof(b), sizeof(b));
        if (b.type == BEGUN && first_of(b.id) == number && slot_of(b.id) == i &&
            n->lost_count < LOST_MAX)
            add_lost(n, &b);
    }
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
            read_old(n, (unsigned)strtoul(e->d_name, NULL, 16), buf_slice(&b));
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

/* ERR_LIMIT: the disk has no room. */
static int next_file(struct intents *n, struct err *err)
{
    uint16_t number;
    struct file *f;
    char *path;
    int rc = ERR_OK;

    do
        crypto_random(&number, sizeof(number));
    while (!number || is_taken(n, number));
    path = path_of(n, number);
    mem_grow((void **)&n->files, &n->cap, n->count + 1, sizeof(*n->files));
    f = &n->files[n->count];
    *f = (struct file){ .number = number, .runs = mem_zalloc(FILE_CALLS / 8) };
    f->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (f->fd < 0)
        rc = err_set(err,
                     errno == ENOSPC || errno == EDQUOT ? ERR_LIMIT : ERR_IO,
                     "create %s: %s", path, strerror(errno));
    else
        n->count++;
    if (rc < 0)
        free(f->runs);
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
    if (rc < 0 && rc != ERR_LIMIT)
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
    free(path);
    free(n->files[i].runs);
    n->count--;
    memmove(&n->files[i], &n->files[i + 1], (n->count - i) * sizeof(*n->files));
}

void intents_close(struct intents *n)
{
    if (!n)
        return;
    while (n->count) {
        struct file *f = &n->files[n->count - 1];

        if (!f->running) {
            remove_file(n, n->count - 1);
            continue;
        }
        (void)close(f->fd);
        free(f->runs);
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

static bool mark_slot(const struct file *f, unsigned slot, char type)
{
    return pwrite(f->fd, &type, 1,
                  (off_t)slot * (off_t)sizeof(struct beginning)) == 1;
}

/* In the next slot of a file; one that is written in part is passed over. */
static bool write_slot(struct file *f, struct beginning *b)
{
    unsigned slot = f->used;
    ssize_t n;

    b->id[0] = (unsigned char)(f->number >> 8);
    b->id[1] = (unsigned char)f->number;
    b->id[2] = (unsigned char)(slot >> 8);
    b->id[3] = (unsigned char)slot;
    do
        n = pwrite(f->fd, b, sizeof(*b), (off_t)(slot * sizeof(*b)));
    while (n < 0 && errno == EINTR);
    f->used += n > 0;
    if (n > 0 && n < (ssize_t)sizeof(*b))
        (void)mark_slot(f, slot, TORN);
    if (n != sizeof(*b))
        return false;
    f->running++;
    f->runs[slot / 8] |= (unsigned char)(1 << slot % 8);
    return true;
}

int intents_begin(struct intents *n, int64_t time_us, struct slice upstream,
                  struct slice target, char id[RECORDER_ID_CHARS + 1],
                  struct err *err)
{
    struct beginning b = { .type = BEGUN, .time_us = time_us };
    int rc = ERR_OK;

    put_text(b.upstream, sizeof(b.upstream), upstream);
    put_text(b.target, sizeof(b.target), target);
    crypto_random(b.id, sizeof(b.id));
    (void)pthread_mutex_lock(&n->lock);
    if (!n->count || n->files[n->count - 1].used >= FILE_CALLS)
        rc = next_file(n, err);
    if (rc == ERR_OK && !write_slot(&n->files[n->count - 1], &b))
        rc = err_set(err, ERR_IO, "a call cannot be announced: %s",
                     strerror(errno));
    (void)pthread_mutex_unlock(&n->lock);
    if (rc < 0)
        b.id[0] = b.id[1] = 0;
    crypto_hex(b.id, sizeof(b.id), id);
    return rc;
}

bool intents_announced(const char *id)
{
    return strncmp(id, "0000", 4) != 0;
}

static void end_slot(struct intents *n, size_t i, unsigned slot)
{
    struct file *f = &n->files[i];
    unsigned char bit = (unsigned char)(1 << slot % 8);

    if (!(f->runs[slot / 8] & bit))
        return;
    f->runs[slot / 8] &= (unsigned char)~bit;
    f->running--;
    (void)mark_slot(f, slot, ENDED);
    if (!f->running && f->used >= FILE_CALLS)
        remove_file(n, i);
}

void intents_end(struct intents *n, const char *id)
{
    unsigned char raw[RECORDER_ID_CHARS / 2];

    if (!crypto_unhex(slice_of(id), raw, sizeof(raw)))
        return;
    (void)pthread_mutex_lock(&n->lock);
    for (size_t i = n->count; i > 0; i--)
        if (n->files[i - 1].number == first_of(raw))
            end_slot(n, i - 1, slot_of(raw));
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
