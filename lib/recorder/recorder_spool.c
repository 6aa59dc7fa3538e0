/*
 * recorder_spool.c - segments: records on disk that the store could not take
 *
 * A segment is a file of records: length, CRC-32C of the bytes, kind, and the
 * bytes; where the kind is a small letter they are sealed. A segment goes
 * when each of its records has reached the store; one that a killed process
 * left is read back whole, for a call that is known already is not added
 * twice. Records that are queued as well stand in other segments than those
 * that must be read back, or calls that keep coming were all read back, too.
 */
#include "recorder/recorder_private.h"

#include "base/bytes.h"
#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD 9    /* length, CRC, kind */
#define SEALED 32 /* makes a letter a small one */
#define KEY 'K'

struct segment {
    uint64_t number, bytes;
    uint64_t read_at;       /* where reading back goes on */
    uint64_t pending;       /* records that have not reached the store */
    bool unread;            /* has records that are in no queue */
    bool closed;            /* nothing is appended any more */
    bool foreign;           /* another key sealed it */
    bool own;               /* made here */
    struct crypto_key *key; /* locked: what its first record says; or NULL */
};

struct spool {
    char *dir;
    struct spool_keys keys;
    struct segment *items;
    size_t count, cap;
    uint64_t next; /* number of the next segment */
    struct writing {
        int fd; /* -1: none is open */
        uint64_t number;
    } writing[2];   /* of records that are queued as well; of the others */
    uint64_t bytes; /* of all */
    struct buf sealed;
    uint64_t synced; /* whose name is on the disk; of who syncs */
};

static char *path_of(const struct spool *s, uint64_t number)
{
    return mem_printf("%s/%020" PRIu64 ".seg", s->dir, number);
}

static struct segment *add_segment(struct spool *s, uint64_t number)
{
    struct segment *g;

    mem_grow((void **)&s->items, &s->cap, s->count + 1, sizeof(*s->items));
    g = &s->items[s->count++];
    *g = (struct segment){ .number = number };
    if (number >= s->next)
        s->next = number + 1;
    return g;
}

static struct segment *find_segment(struct spool *s, uint64_t number)
{
    for (size_t i = s->count; i > 0; i--)
        if (s->items[i - 1].number == number)
            return &s->items[i - 1];
    return NULL;
}

static int by_number(const void *a, const void *b)
{
    const struct segment *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

static void find_segments(struct spool *s)
{
    DIR *d = opendir(s->dir);
    struct dirent *e;
    struct stat st;

    while (d && (e = readdir(d))) {
        char *path, *end;
        uint64_t number = strtoull(e->d_name, &end, 10);

        if (end == e->d_name || strcmp(end, ".seg") != 0)
            continue;
        path = path_of(s, number);
        if (stat(path, &st) == 0) {
            struct segment *g = add_segment(s, number);

            g->bytes = (uint64_t)st.st_size;
            g->unread = g->closed = true;
            s->bytes += g->bytes;
        }
        free(path);
    }
    if (d)
        (void)closedir(d);
    if (s->count)
        qsort(s->items, s->count, sizeof(*s->items), by_number);
}

int spool_open(const char *dir, const struct spool_keys *keys,
               struct spool **out, struct err *err)
{
    struct spool *s = mem_zalloc(sizeof(*s));
    int rc;

    s->dir = io_path(dir, "spool");
    s->writing[0].fd = s->writing[1].fd = -1;
    s->next = 1;
    s->keys = *keys;
    rc = io_mkdirs(s->dir, 0700, err);
    if (rc < 0) {
        spool_close(s);
        return rc;
    }
    find_segments(s);
    *out = s;
    return ERR_OK;
}

static void remove_segment(struct spool *s, size_t i)
{
    char *path = path_of(s, s->items[i].number);

    (void)unlink(path);
    free(path);
    s->bytes -= s->items[i].bytes;
    crypto_secret_free(s->items[i].key);
    memmove(&s->items[i], &s->items[i + 1],
            (s->count - i - 1) * sizeof(*s->items));
    s->count--;
}

static bool is_done(const struct segment *g)
{
    return g->pending == 0 && !g->foreign &&
           (!g->unread || g->read_at >= g->bytes);
}

static bool empty_segment(const struct spool *s, const struct segment *g)
{
    for (size_t i = 0; i < 2; i++)
        if (s->writing[i].fd >= 0 && s->writing[i].number == g->number)
            return ftruncate(s->writing[i].fd, 0) == 0;
    return false;
}

/* Segments that are written now are emptied, others go. */
static void tidy(struct spool *s)
{
    for (size_t i = s->count; i > 0; i--) {
        struct segment *g = &s->items[i - 1];

        if (!is_done(g))
            continue;
        if (g->closed) {
            remove_segment(s, i - 1);
        } else if (g->bytes && empty_segment(s, g)) {
            s->bytes -= g->bytes;
            g->bytes = g->read_at = 0;
            g->unread = false;
        }
    }
}

static void close_segment(struct spool *s, struct writing *w)
{
    if (w->fd < 0)
        return;
    (void)close(w->fd);
    w->fd = -1;
    find_segment(s, w->number)->closed = true;
}

void spool_close(struct spool *s)
{
    if (!s)
        return;
    close_segment(s, &s->writing[0]);
    close_segment(s, &s->writing[1]);
    tidy(s);
    buf_release(&s->sealed);
    for (size_t i = 0; i < s->count; i++)
        crypto_secret_free(s->items[i].key);
    free(s->items);
    free(s->dir);
    free(s);
}

static int open_segment(struct spool *s, struct writing *w, struct err *err)
{
    char *path = path_of(s, s->next);
    int rc = ERR_OK;

    w->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    w->number = s->next;
    if (w->fd < 0)
        rc = err_set(err, ERR_IO, "create %s: %s", path, strerror(errno));
    else
        add_segment(s, w->number)->own = true;
    free(path);
    return rc;
}

/* The record whole, so that one write(2) has it. */
static void put_frame(struct spool *s, char kind, struct slice payload)
{
    buf_reset(&s->sealed);
    bytes_put_u32(&s->sealed, (uint32_t)payload.n);
    bytes_put_u32(&s->sealed, bytes_crc32c(0, payload.p, payload.n));
    buf_char(&s->sealed, kind);
    buf_add_slice(&s->sealed, payload);
}

static void frame(struct spool *s, enum recorder_kind kind, struct slice bytes)
{
    char about = (char)(s->keys.key ? kind | SEALED : kind);
    struct buf payload = { .data = NULL };

    if (s->keys.key)
        crypto_seal(s->keys.key, (struct slice){ &about, 1 }, bytes, &payload);
    else
        buf_add_slice(&payload, bytes);
    put_frame(s, about, buf_slice(&payload));
    buf_release(&payload);
}

/* What a sealed segment begins with: its key, for the private one. */
static void frame_key(struct spool *s)
{
    const struct crypto_key *k = s->keys.key;
    struct buf payload = { .data = NULL };

    crypto_seal_to(s->keys.seal_to,
                   (struct slice){ (const char *)k->bytes, sizeof(k->bytes) },
                   &payload);
    put_frame(s, KEY, buf_slice(&payload));
    buf_release(&payload);
}

/* A record that was written in part is cut off again. */
static int write_record(struct spool *s, struct segment *g, int fd,
                        struct err *err)
{
    int rc = io_write_all(fd, s->sealed.data, s->sealed.len, err);

    if (rc < 0) {
        (void)!ftruncate(fd, (off_t)g->bytes);
        return rc;
    }
    g->bytes += s->sealed.len;
    s->bytes += s->sealed.len;
    return ERR_OK;
}

int spool_sync(struct spool *s, uint64_t segment, struct err *err)
{
    char *path = path_of(s, segment);
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = ERR_OK;

    /* One that is gone has been read back and stored. */
    if (fd < 0 ? errno != ENOENT : fdatasync(fd) < 0)
        rc = err_set(err, ERR_IO, "sync %s: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    /* The name of a new file is in its directory. */
    if (rc == ERR_OK && segment != s->synced)
        rc = io_sync_dir(s->dir, err);
    if (rc == ERR_OK)
        s->synced = segment;
    free(path);
    return rc;
}

int spool_append(struct spool *s, enum recorder_kind kind, struct slice bytes,
                 uint64_t max_bytes, bool unread, uint64_t *segment,
                 struct err *err)
{
    struct writing *w = &s->writing[unread];
    struct segment *g;
    int rc;

    if (bytes.n > RECORD_MAX || s->bytes + bytes.n > max_bytes)
        return err_set(err, ERR_LIMIT, "the spool is full");
    if (w->fd >= 0 && find_segment(s, w->number)->bytes >= SEGMENT_BYTES)
        close_segment(s, w);
    rc = w->fd < 0 ? open_segment(s, w, err) : ERR_OK;
    if (rc < 0)
        return rc;
    g = find_segment(s, w->number);
    if (s->keys.seal_to && s->keys.key && !g->bytes) {
        frame_key(s);
        rc = write_record(s, g, w->fd, err);
    }
    if (rc == ERR_OK) {
        frame(s, kind, bytes);
        rc = write_record(s, g, w->fd, err);
    }
    if (rc < 0)
        return rc;
    g->unread |= unread;
    g->pending += !unread;
    *segment = g->number;
    return ERR_OK;
}

void spool_release(struct spool *s, uint64_t segment)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].number == segment && s->items[i].pending)
            s->items[i].pending--;
    tidy(s);
}

static int read_at(int fd, void *p, size_t n, uint64_t at)
{
    size_t done = 0;

    while (done < n) {
        ssize_t k = pread(fd, (char *)p + done, n - done, (off_t)(at + done));

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return ERR_IO;
        done += (size_t)k;
    }
    return ERR_OK;
}

/* Bytes as they stand in a record. ERR_INVALID: another key sealed them. */
static int unseal(const struct spool *s, const struct segment *g, char kind,
                  struct slice bytes, struct buf *out, struct err *err)
{
    const struct crypto_key *key = g->key ? g->key : s->keys.key;

    if (!(kind & SEALED))
        buf_add_slice(out, bytes);
    else if (!key || crypto_unseal(key, (struct slice){ &kind, 1 }, bytes, out,
                                   err) < 0)
        return err_set(err, ERR_INVALID,
                       "a record of the spool is sealed with another key");
    return ERR_OK;
}

/* 2: go on behind it. */
static int take_key(const struct spool *s, struct segment *g,
                    struct slice bytes, struct err *err)
{
    struct buf key = { .data = NULL };
    int rc = ERR_OK;

    if (g->own)
        return 2;
    if (!s->keys.private_key ||
        crypto_unseal_with(s->keys.private_key, bytes, &key, err) < 0)
        rc = err_set(err, ERR_INVALID, "a segment needs the private key");
    else if (key.len != CRYPTO_KEY_BYTES)
        rc = err_set(err, ERR_FORMAT, "a record of the spool is damaged");
    else if (!g->key)
        g->key = crypto_secret_new(sizeof(*g->key));
    if (rc == ERR_OK)
        memcpy(g->key->bytes, key.data, CRYPTO_KEY_BYTES);
    if (key.data)
        crypto_wipe(key.data, key.len);
    buf_release(&key);
    return rc < 0 ? rc : 2;
}

/* The record at g->read_at; 2: it was the segment's key. ERR_FORMAT: it is
 * damaged or cut. */
static int read_record(struct spool *s, struct segment *g, int fd,
                       enum recorder_kind *kind, struct buf *out,
                       struct err *err)
{
    char head[HEAD];
    struct bytes_reader r = { .rest = { head, HEAD } };
    struct buf payload = { .data = NULL };
    uint32_t n, crc;
    char *p;
    int rc;

    if (g->bytes - g->read_at < HEAD || read_at(fd, head, HEAD, g->read_at) < 0)
        return err_set(err, ERR_FORMAT, "a record of the spool is cut");
    n = bytes_u32(&r);
    crc = bytes_u32(&r);
    if (n > RECORD_MAX + CRYPTO_SEAL_BYTES || n > g->bytes - g->read_at - HEAD)
        return err_set(err, ERR_FORMAT, "a record of the spool is cut");
    p = buf_reserve(&payload, (size_t)n + 1);
    rc = read_at(fd, p, n, g->read_at + HEAD);
    if (rc < 0 || bytes_crc32c(0, p, n) != crc)
        rc = err_set(err, ERR_FORMAT, "a record of the spool is damaged");
    else if (head[8] == KEY)
        rc = take_key(s, g, (struct slice){ p, n }, err);
    else
        rc = unseal(s, g, head[8], (struct slice){ p, n }, out, err);
    *kind = (enum recorder_kind)(head[8] & ~SEALED);
    if (rc >= 0)
        g->read_at += HEAD + n;
    buf_release(&payload);
    return rc;
}

bool spool_has_unread(const struct spool *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].unread && !s->items[i].foreign &&
            s->items[i].read_at < s->items[i].bytes)
            return true;
    return false;
}

bool spool_has_foreign(const struct spool *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].foreign)
            return true;
    return false;
}

int spool_next(struct spool *s, enum recorder_kind *kind, struct buf *out,
               uint64_t *segment, uint64_t *damaged, struct err *err)
{
    for (size_t i = 0; i < s->count; i++) {
        struct segment *g = &s->items[i];
        char *path;
        int fd, rc;

        if (!g->unread || g->foreign || g->read_at >= g->bytes)
            continue;
        path = path_of(s, g->number);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        free(path);
        rc = fd < 0 ? err_set(err, ERR_FORMAT, "%s", strerror(errno))
                    : read_record(s, g, fd, kind, out, err);
        if (fd >= 0)
            (void)close(fd);
        if (rc == ERR_OK) {
            g->pending++;
            *segment = g->number;
            return 1;
        }
        if (rc == ERR_INVALID) {
            g->foreign = true;
            continue;
        }
        if (rc == 2) {
            i--; /* what stands behind its key */
            continue;
        }
        *damaged += g->bytes - g->read_at;
        g->read_at = g->bytes;
        tidy(s);
        return 0;
    }
    tidy(s);
    return 0;
}

uint64_t spool_bytes(const struct spool *s)
{
    return s->bytes;
}

size_t spool_segments(const struct spool *s)
{
    return s->count;
}
