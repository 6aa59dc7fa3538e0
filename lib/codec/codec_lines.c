/*
 * codec_lines.c - whole lines from a plain or compressed stream
 *
 * One window of bytes that grows up to the limit on a line and slides along
 * the stream. The rest of a line beyond the limit is read and dropped, so
 * that one monster costs its time and not the import.
 */
#include "codec/codec.h"

#include "base/mem.h"
#include "base/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define CHUNK ((size_t)256 << 10)
#define WINDOW_LOG_MAX 27

struct codec_lines {
    char *path;
    int fd;
    bool standard, started, at_end, frame_open;
    ZSTD_DCtx *zstd; /* NULL: plain */
    ZSTD_inBuffer in;
    char *in_data;
    char *data; /* the window; bytes start..end wait to be handed out */
    size_t start, end, cap, max_line;
    int64_t number;
    uint64_t read, total;
};

int codec_lines_open(const char *path, size_t max_line,
                     struct codec_lines **out, struct err *err)
{
    struct codec_lines *r;
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return err_set(err, errno == ENOENT ? ERR_NOTFOUND : ERR_IO,
                       "open %s: %s", path, strerror(errno));
    r = mem_zalloc(sizeof(*r));
    r->fd = fd;
    r->standard = standard;
    r->path = mem_strdup(standard ? "standard input" : path);
    r->max_line = max_line;
    r->in_data = mem_alloc(CHUNK);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        r->total = (uint64_t)st.st_size;
    *out = r;
    return ERR_OK;
}

void codec_lines_close(struct codec_lines *r)
{
    if (!r)
        return;
    if (!r->standard)
        (void)close(r->fd);
    (void)ZSTD_freeDCtx(r->zstd);
    free(r->in_data);
    free(r->data);
    free(r->path);
    free(r);
}

void codec_lines_position(const struct codec_lines *r, uint64_t *done,
                          uint64_t *total)
{
    *done = r->read;
    *total = r->total;
}

bool codec_lines_ready(const struct codec_lines *r, int wait_ms)
{
    struct pollfd p = { .fd = r->fd, .events = POLLIN };

    return r->at_end || r->in.pos < r->in.size ||
           (r->end > r->start &&
            memchr(r->data + r->start, '\n', r->end - r->start)) ||
           poll(&p, 1, wait_ms) != 0;
}

/* Up to n bytes; fewer only at the end of the stream. */
static int read_bytes(struct codec_lines *r, char *to, size_t n, size_t *got,
                      struct err *err)
{
    *got = 0;
    while (*got < n) {
        ssize_t k = read(r->fd, to + *got, n - *got);

        if (k < 0 && errno == EINTR && stop_requested())
            return err_set(err, ERR_INTERRUPTED, "%s: interrupted", r->path);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return err_set(err, ERR_IO, "read %s: %s", r->path,
                           strerror(errno));
        if (k == 0)
            break;
        *got += (size_t)k;
        r->read += (uint64_t)k;
        /* Lines of a slow pipe are handed on as they come. */
        if (r->standard)
            break;
    }
    return ERR_OK;
}

static int refill_input(struct codec_lines *r, struct err *err)
{
    size_t got;
    int rc = read_bytes(r, r->in_data, CHUNK, &got, err);

    r->in = (ZSTD_inBuffer){ r->in_data, got, 0 };
    return rc;
}

static int decompress(struct codec_lines *r, char *to, size_t n, size_t *got,
                      struct err *err)
{
    ZSTD_outBuffer out = { to, n, 0 };

    while (out.pos == 0) {
        size_t rc;

        if (r->in.pos == r->in.size) {
            int rd = refill_input(r, err);

            if (rd < 0)
                return rd;
            if (r->in.size == 0 && r->frame_open)
                return err_set(err, ERR_FORMAT, "%s: compressed data cut short",
                               r->path);
            if (r->in.size == 0)
                break;
        }
        rc = ZSTD_decompressStream(r->zstd, &out, &r->in);
        if (ZSTD_isError(rc))
            return err_set(
                err, ERR_FORMAT, "%s: byte %llu: zstd: %s", r->path,
                (unsigned long long)(r->read - r->in.size + r->in.pos),
                ZSTD_getErrorName(rc));
        r->frame_open = rc != 0;
    }
    *got = out.pos;
    return ERR_OK;
}

/* The first bytes tell whether the stream is compressed. */
static int start(struct codec_lines *r, struct err *err)
{
    static const unsigned char magic[] = { 0x28, 0xB5, 0x2F, 0xFD };
    static const unsigned char gzip[] = { 0x1F, 0x8B };
    size_t got = 0;

    while (got < sizeof(magic)) {
        size_t k;
        int rc = read_bytes(r, r->in_data + got, CHUNK - got, &k, err);

        if (rc < 0)
            return rc;
        if (k == 0)
            break;
        got += k;
    }
    if (got >= sizeof(gzip) && memcmp(r->in_data, gzip, sizeof(gzip)) == 0)
        return err_set(err, ERR_FORMAT,
                       "%s: compressed with gzip: decompress it, only zstd is "
                       "read",
                       r->path);
    r->in = (ZSTD_inBuffer){ r->in_data, got, 0 };
    if (got >= sizeof(magic) && memcmp(r->in_data, magic, sizeof(magic)) == 0) {
        r->zstd = ZSTD_createDCtx();
        if (!r->zstd)
            return err_set(err, ERR_NOMEM, "%s: zstd", r->path);
        (void)ZSTD_DCtx_setParameter(r->zstd, ZSTD_d_windowLogMax,
                                     WINDOW_LOG_MAX);
    }
    r->started = true;
    return ERR_OK;
}

/* More bytes of the text at `to`; none: the end. */
static int produce(struct codec_lines *r, char *to, size_t n, size_t *got,
                   struct err *err)
{
    if (r->zstd)
        return decompress(r, to, n, got, err);
    if (r->in.pos < r->in.size) {
        size_t have = r->in.size - r->in.pos;

        *got = have < n ? have : n;
        memcpy(to, r->in_data + r->in.pos, *got);
        r->in.pos += *got;
        return ERR_OK;
    }
    return read_bytes(r, to, n, got, err);
}

/* Make room for a chunk behind `end`, then read one. */
static int fill(struct codec_lines *r, struct err *err)
{
    size_t got;
    int rc;

    if (r->start > 0) {
        memmove(r->data, r->data + r->start, r->end - r->start);
        r->end -= r->start;
        r->start = 0;
    }
    if (r->cap - r->end < CHUNK) {
        r->cap = 2 * r->cap + CHUNK;
        r->data = mem_realloc(r->data, r->cap, 1);
    }
    rc = produce(r, r->data + r->end, CHUNK, &got, err);
    if (rc == ERR_OK) {
        r->end += got;
        r->at_end = got == 0;
    }
    return rc;
}

static void skip_mark(struct codec_lines *r)
{
    if (r->end - r->start >= 3 &&
        memcmp(r->data + r->start, "\xEF\xBB\xBF", 3) == 0)
        r->start += 3;
}

/* The line is longer than max_line: keep its beginning where it is and read
 * on behind it until it ends. */
static int drop_rest(struct codec_lines *r, struct codec_line *out,
                     struct err *err)
{
    size_t keep = r->max_line;

    if (r->cap - (r->start + keep) < CHUNK) {
        r->cap = r->start + keep + CHUNK;
        r->data = mem_realloc(r->data, r->cap, 1);
    }
    out->text = (struct slice){ r->data + r->start, keep };
    out->cut = true;
    for (size_t from = r->start + keep;;) {
        const char *nl = memchr(r->data + from, '\n', r->end - from);
        size_t n;
        int rc;

        if (nl) {
            n = (size_t)(nl - (r->data + from));
            out->size += n;
            r->start = from + n + 1;
            return 1;
        }
        out->size += r->end - from;
        r->end = from;
        rc = produce(r, r->data + from, r->cap - from, &n, err);
        if (rc < 0)
            return rc;
        r->end = from + n;
        if (n == 0) {
            r->at_end = true;
            r->start = r->end;
            return 1;
        }
    }
}

static int hand_out(struct codec_lines *r, size_t n, bool newline,
                    struct codec_line *out)
{
    out->text = (struct slice){ r->data + r->start, n };
    out->size = n;
    r->start += n + newline;
    return 1;
}

int codec_lines_next(struct codec_lines *r, struct codec_line *out,
                     struct err *err)
{
    size_t seen = 0;
    int rc = r->started ? ERR_OK : start(r, err);

    if (rc < 0)
        return rc;
    *out = (struct codec_line){ .number = r->number + 1 };
    for (;;) {
        size_t have = r->end - r->start;
        const char *nl =
            have > seen ? memchr(r->data + r->start + seen, '\n', have - seen)
                        : NULL;
        size_t n = nl ? (size_t)(nl - (r->data + r->start)) : have;

        if (n > r->max_line) {
            r->number++;
            out->size = r->max_line;
            return drop_rest(r, out, err);
        }
        if (nl || (r->at_end && have > 0)) {
            r->number++;
            return hand_out(r, n, nl != NULL, out);
        }
        if (r->at_end)
            return 0;
        seen = have;
        rc = fill(r, err);
        if (rc < 0)
            return rc;
        if (r->number == 0 && seen == 0)
            skip_mark(r);
    }
}

int codec_read_file(const char *path, size_t max, struct buf *out,
                    struct err *err)
{
    struct codec_lines *lines = NULL;
    struct codec_line line;
    size_t from = out->len;
    int rc = codec_lines_open(path, max, &lines, err);

    while (rc >= 0 && (rc = codec_lines_next(lines, &line, err)) > 0) {
        buf_add_slice(out, line.text);
        buf_char(out, '\n');
        if (line.cut || out->len - from > max)
            rc = err_set(err, ERR_LIMIT, "%s: more than %zu bytes unpacked",
                         path, max);
    }
    codec_lines_close(lines);
    return rc < 0 ? rc : ERR_OK;
}
