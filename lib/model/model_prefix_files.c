/*
 * model_prefix_files.c - the files of computed prefixes, and their limit
 *
 * Written under another name and renamed, not synced: what a crash leaves is
 * told by its hashes. Whatever cannot be read is left out; nothing here is an
 * error. The file's time is its last use, and the longest unused goes first.
 */
#include "model/model_prefix_files.h"

#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAGIC "slmkv\n\x1a\1"
#define MAGIC_BYTES 8
#define NAME_HALF 16 /* hexadecimal digits of base, and of the rest */
#define ENDING ".kv"
#define TMP ".new-"
#define TMP_LEAVE_S 3600 /* then who wrote it is dead */
#define HEAD_CHUNK UINT32_MAX

struct outer {
    char magic[MAGIC_BYTES];
    uint32_t sealed, head_bytes;
};

static void hash_of(const struct model_prefixes *p, struct slice a,
                    struct slice b, char hex[NAME_HALF + 1])
{
    unsigned char out[CRYPTO_HASH_BYTES];
    struct crypto_hasher h;

    crypto_hasher_init(&h, p->key);
    crypto_hasher_update(&h, a);
    crypto_hasher_update(&h, b);
    crypto_hasher_final(&h, out);
    crypto_hex(out, NAME_HALF / 2, hex);
}

static struct slice bytes(const void *p, size_t n)
{
    return (struct slice){ p, n };
}

/* What binds a chunk to its file and its place. */
struct about {
    unsigned char id[CRYPTO_HASH_BYTES];
    uint32_t index;
};

static void code(const struct model_prefixes *p, const struct about *a,
                 struct slice plain, struct buf *out)
{
    unsigned char hash[CRYPTO_HASH_BYTES];
    struct crypto_hasher h;

    buf_reset(out);
    if (p->sealed) {
        crypto_seal(p->key, bytes(a, sizeof(*a)), plain, out);
        return;
    }
    crypto_hasher_init(&h, p->key);
    crypto_hasher_update(&h, bytes(a, sizeof(*a)));
    crypto_hasher_update(&h, plain);
    crypto_hasher_final(&h, hash);
    buf_add_slice(out, plain);
    buf_add(out, hash, sizeof(hash));
}

static size_t coded_bytes(const struct model_prefixes *p, size_t n)
{
    return n + (p->sealed ? CRYPTO_SEAL_BYTES : CRYPTO_HASH_BYTES);
}

static bool decode(const struct model_prefixes *p, const struct about *a,
                   struct slice coded, struct buf *out)
{
    size_t n = coded.n - CRYPTO_HASH_BYTES;
    unsigned char hash[CRYPTO_HASH_BYTES];
    struct crypto_hasher h;

    buf_reset(out);
    if (p->sealed)
        return crypto_unseal(p->key, bytes(a, sizeof(*a)), coded, out, NULL) ==
               0;
    if (coded.n < CRYPTO_HASH_BYTES)
        return false;
    crypto_hasher_init(&h, p->key);
    crypto_hasher_update(&h, bytes(a, sizeof(*a)));
    crypto_hasher_update(&h, bytes(coded.p, n));
    crypto_hasher_final(&h, hash);
    if (!crypto_equal(hash, coded.p + n, sizeof(hash)))
        return false;
    buf_add(out, coded.p, n);
    return true;
}

static bool read_whole(int fd, void *p, size_t n)
{
    size_t got = 0;

    while (got < n) {
        ssize_t k = read(fd, (char *)p + got, n - got);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        got += (size_t)k;
    }
    return true;
}

/* The next n coded bytes, decoded into *out. */
static bool read_chunk(const struct model_prefixes *p, int fd,
                       const struct about *a, size_t n, struct buf *coded,
                       struct buf *out)
{
    char *to;

    buf_reset(coded);
    to = buf_reserve(coded, n + 1);
    if (!to || !read_whole(fd, to, n))
        return false;
    coded->len = n;
    return decode(p, a, buf_slice(coded), out);
}

/* Leaves fd behind the head. */
static bool read_head(const struct model_prefixes *p, int fd,
                      struct prefix_head *head, struct buf *ids)
{
    static const size_t most =
        sizeof(struct prefix_head) + MODEL_MAX_CONTEXT * sizeof(int32_t);
    const struct about about = { .index = HEAD_CHUNK };
    struct buf coded = { 0 };
    struct outer outer;
    bool fine = read_whole(fd, &outer, sizeof(outer)) &&
                memcmp(outer.magic, MAGIC, MAGIC_BYTES) == 0 &&
                outer.sealed == p->sealed && outer.head_bytes < most &&
                read_chunk(p, fd, &about, outer.head_bytes, &coded, ids) &&
                ids->len > sizeof(*head);

    if (fine) {
        memcpy(head, ids->data, sizeof(*head));
        fine = ids->len == sizeof(*head) + (size_t)head->rows * sizeof(int32_t);
    }
    buf_release(&coded);
    return fine;
}

static int open_in(const struct model_prefixes *p, const char *name, int flags)
{
    return openat(p->dir, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                  0600);
}

static void remove_in(const struct model_prefixes *p, const char *name)
{
    (void)unlinkat(p->dir, name, 0);
}

static DIR *open_list(const struct model_prefixes *p)
{
    int fd = openat(p->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (!d && fd >= 0)
        (void)close(fd);
    return d;
}

static void add_entry(struct model_prefixes *p, const char *name,
                      const struct prefix_head *head, const void *ids)
{
    size_t n = (size_t)head->rows * sizeof(int32_t);
    struct prefix_entry *e;
    void *list = p->entries;

    mem_grow(&list, &p->cap, p->count + 1, sizeof(*p->entries));
    p->entries = list;
    e = &p->entries[p->count++];
    e->name = mem_strdup(name);
    e->head = *head;
    e->ids = mem_array(head->rows, sizeof(int32_t));
    memcpy(e->ids, ids, n);
}

static void release_entry(struct prefix_entry *e)
{
    free(e->name);
    free(e->ids);
}

static void list_one(struct model_prefixes *p, const char *name)
{
    struct prefix_head head;
    struct buf ids = { 0 };
    int fd = open_in(p, name, O_RDONLY);
    bool fine;

    if (fd < 0)
        return;
    fine = read_head(p, fd, &head, &ids);
    (void)close(fd);
    if (fine && memcmp(head.base, p->base, sizeof(p->base)) == 0)
        add_entry(p, name, &head, ids.data + sizeof(head));
    else
        remove_in(p, name); /* of ours by its name, and no good */
    buf_release(&ids);
}

void prefix_files_list(struct model_prefixes *p,
                       const unsigned char base[MODEL_HASH_BYTES])
{
    char mine[NAME_HALF + 1];
    const struct dirent *e;
    DIR *d;

    if (p->listed && memcmp(p->base, base, sizeof(p->base)) == 0)
        return;
    for (size_t i = 0; i < p->count; i++)
        release_entry(&p->entries[i]);
    p->count = 0;
    p->listed = true;
    memcpy(p->base, base, sizeof(p->base));
    hash_of(p, bytes(base, sizeof(p->base)), slice_of(""), mine);
    d = open_list(p);
    while (d && (e = readdir(d)))
        if (strncmp(e->d_name, mine, NAME_HALF) == 0)
            list_one(p, e->d_name);
    if (d)
        (void)closedir(d);
}

void prefix_files_drop(struct model_prefixes *p, size_t entry)
{
    remove_in(p, p->entries[entry].name);
    release_entry(&p->entries[entry]);
    p->entries[entry] = p->entries[--p->count];
}

bool prefix_file_open(struct model_prefixes *p, size_t entry,
                      struct prefix_file *f)
{
    struct buf ids = { 0 };
    bool fine;

    *f = (struct prefix_file){ .p = p, .fd = -1 };
    f->fd = open_in(p, p->entries[entry].name, O_RDONLY);
    fine = f->fd >= 0 && read_head(p, f->fd, &f->head, &ids) &&
           memcmp(&f->head, &p->entries[entry].head, sizeof(f->head)) == 0;
    buf_release(&ids);
    if (!fine && f->fd >= 0)
        (void)close(f->fd);
    return fine;
}

static struct about next_chunk(struct prefix_file *f)
{
    struct about a = { .index = f->at++ };

    memcpy(a.id, f->head.id, sizeof(a.id));
    return a;
}

bool prefix_file_get(struct prefix_file *f, size_t n, struct buf *out)
{
    const struct about a = next_chunk(f);

    return read_chunk(f->p, f->fd, &a, coded_bytes(f->p, n), &f->coded, out) &&
           out->len == n;
}

bool prefix_file_close(struct prefix_file *f, bool fine)
{
    const struct timespec now[2] = { { .tv_nsec = UTIME_NOW },
                                     { .tv_nsec = UTIME_NOW } };
    char more;

    fine = fine && f->at == f->head.chunks && read(f->fd, &more, 1) == 0;
    if (fine)
        (void)futimens(f->fd, now);
    (void)close(f->fd);
    buf_release(&f->coded);
    return fine;
}

/* One of the directory's files: when it was used, and what it takes. */
struct use {
    char *name;
    struct timespec when;
    uint64_t size;
};

static int oldest_first(const void *a, const void *b)
{
    const struct use *x = a, *y = b;

    if (x->when.tv_sec != y->when.tv_sec)
        return x->when.tv_sec < y->when.tv_sec ? -1 : 1;
    if (x->when.tv_nsec != y->when.tv_nsec)
        return x->when.tv_nsec < y->when.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

static bool is_file(const char *name)
{
    size_t n = strlen(name), end = strlen(ENDING);

    return n > end && strcmp(name + n - end, ENDING) == 0;
}

static bool is_left_over(const char *name, const struct stat *st)
{
    return strncmp(name, TMP, strlen(TMP)) == 0 &&
           st->st_mtime + TMP_LEAVE_S < time(NULL);
}

static size_t list_uses(const struct model_prefixes *p, struct use **out,
                        uint64_t *total)
{
    DIR *d = open_list(p);
    size_t count = 0, cap = 0;
    const struct dirent *e;
    void *list = NULL;
    struct stat st;

    *total = 0;
    while (d && (e = readdir(d))) {
        if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(st.st_mode))
            continue;
        if (is_left_over(e->d_name, &st))
            (void)unlinkat(dirfd(d), e->d_name, 0);
        if (!is_file(e->d_name)) /* who knows whose */
            continue;
        mem_grow(&list, &cap, count + 1, sizeof(struct use));
        ((struct use *)list)[count++] =
            (struct use){ mem_strdup(e->d_name), st.st_mtim,
                          (uint64_t)st.st_size };
        *total += (uint64_t)st.st_size;
    }
    if (d)
        (void)closedir(d);
    *out = list;
    return count;
}

static void forget_entry(struct model_prefixes *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->entries[i].name, name) == 0) {
            release_entry(&p->entries[i]);
            p->entries[i] = p->entries[--p->count];
            return;
        }
}

/* Until there is room for so many bytes more. */
static void trim(struct model_prefixes *p, uint64_t wanted)
{
    uint64_t total;
    struct use *use;
    size_t n = list_uses(p, &use, &total);

    if (n > 0)
        qsort(use, n, sizeof(*use), oldest_first);
    for (size_t i = 0; i < n; i++) {
        if (total + wanted > p->most_bytes) {
            remove_in(p, use[i].name);
            forget_entry(p, use[i].name);
            total -= use[i].size;
        }
        free(use[i].name);
    }
    free(use);
}

bool prefix_file_create(struct model_prefixes *p,
                        const struct prefix_head *head, const int32_t *ids,
                        struct prefix_file *f)
{
    const struct about about = { .index = HEAD_CHUNK };
    struct outer outer = { .magic = MAGIC, .sealed = p->sealed };
    size_t n = (size_t)head->rows * sizeof(*ids);
    struct buf plain = { 0 };
    char half[2][NAME_HALF + 1];

    *f = (struct prefix_file){ .p = p, .head = *head };
    hash_of(p, bytes(head->base, sizeof(head->base)), slice_of(""), half[0]);
    hash_of(p, bytes(head, sizeof(*head)), bytes(ids, n), half[1]);
    f->name = mem_printf("%s-%s" ENDING, half[0], half[1]);
    f->tmp = mem_printf(TMP "%ld-%s", (long)getpid(), half[1]);
    crypto_random(f->head.id, sizeof(f->head.id));
    buf_add(&plain, &f->head, sizeof(f->head));
    buf_add(&plain, ids, n);
    code(p, &about, buf_slice(&plain), &f->coded);
    outer.head_bytes = (uint32_t)f->coded.len;
    buf_release(&plain);
    f->fd = open_in(p, f->tmp, O_WRONLY | O_CREAT | O_EXCL);
    if (f->fd >= 0 && io_write_all(f->fd, &outer, sizeof(outer), NULL) == 0 &&
        io_write_all(f->fd, f->coded.data, f->coded.len, NULL) == 0)
        return true;
    prefix_file_end(f, ids, false);
    return false;
}

bool prefix_file_put(struct prefix_file *f, struct slice chunk)
{
    const struct about a = next_chunk(f);

    code(f->p, &a, chunk, &f->coded);
    f->written += f->coded.len;
    if (f->written > f->p->most_bytes) /* no reason to write the rest */
        return false;
    return io_write_all(f->fd, f->coded.data, f->coded.len, NULL) == 0;
}

void prefix_file_end(struct prefix_file *f, const int32_t *ids, bool fine)
{
    struct model_prefixes *p = f->p;
    struct stat st;

    fine =
        fine && fstat(f->fd, &st) == 0 && (uint64_t)st.st_size <= p->most_bytes;
    if (f->fd >= 0 && close(f->fd) < 0)
        fine = false;
    if (fine)
        trim(p, (uint64_t)st.st_size);
    fine = fine && renameat(p->dir, f->tmp, p->dir, f->name) == 0;
    if (!fine)
        remove_in(p, f->tmp);
    if (fine) {
        forget_entry(p, f->name);
        add_entry(p, f->name, &f->head, ids);
        p->stats.saved++;
        p->stats.saved_bytes += (uint64_t)st.st_size;
    }
    free(f->tmp);
    free(f->name);
    buf_release(&f->coded);
}

int model_prefixes_open(const struct model_prefixes_options *o,
                        struct model_prefixes **out, struct err *err)
{
    struct model_prefixes *p;
    int rc = crypto_init(err), dir = -1;

    if (rc == 0)
        rc = io_mkdirs(o->dir, 0700, err);
    if (rc == 0)
        dir = open(o->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (rc == 0 && (dir < 0 || fchmod(dir, 0700) < 0))
        rc = err_set(err, ERR_IO, "%s: %s", o->dir, strerror(errno));
    if (rc < 0) {
        if (dir >= 0)
            (void)close(dir);
        return rc;
    }
    p = mem_zalloc(sizeof(*p));
    p->dir = dir;
    p->key = crypto_secret_new(sizeof(*p->key));
    p->most_bytes = o->most_bytes;
    p->sealed = o->key != NULL;
    if (o->key)
        *p->key = *o->key;
    trim(p, 0);
    *out = p;
    return 0;
}

void model_prefixes_close(struct model_prefixes *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++)
        release_entry(&p->entries[i]);
    free(p->entries);
    crypto_secret_free(p->key);
    (void)close(p->dir);
    free(p);
}

void model_prefixes_stats(const struct model_prefixes *p,
                          struct model_prefixes_stats *out)
{
    *out = p->stats;
}
