/*
 * wire_follow_read.c - the bytes behind a place in a file that grows
 *
 * A file may be cut back and written anew between two looks, or while it is
 * read. So the bytes before the place are read along each time, and what they
 * are not the continuation of is not taken.
 */
#include "wire/wire_follow.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK ((size_t)1 << 20) /* read at a time, unless a line is longer */

/* Text of fd up to `end`, appended to *text, which begins at byte `from`.
 * False: it cannot be read. */
static bool read_to(struct buf *text, int fd, int64_t from, int64_t end)
{
    while (from + (int64_t)text->len < end) {
        int64_t at = from + (int64_t)text->len;
        size_t want = (size_t)(end - at);
        char *p = buf_reserve(text, want);
        ssize_t n = pread(fd, p, want, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0)
            break;
        text->len += (size_t)n;
    }
    return true;
}

/* Nobody cut the file back and wrote it anew while it was read. */
static bool is_still(const struct buf *text, const struct follow_file *file,
                     size_t lead)
{
    size_t n = text->len < FOLLOW_TAIL ? text->len : FOLLOW_TAIL;
    unsigned char tail[CRYPTO_HASH_BYTES];
    char bytes[FOLLOW_TAIL];
    int64_t from = file->place.offset - (int64_t)lead;

    follow_tail(&file->place, text->data ? text->data : "", lead, tail);
    return text->len >= lead && !memcmp(tail, file->place.tail, sizeof(tail)) &&
           (!n || (pread(file->fd, bytes, n, (off_t)from) == (ssize_t)n &&
                   !memcmp(bytes, text->data, n)));
}

static bool is_other(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec || a->tv_nsec != b->tv_nsec;
}

enum follow_got follow_read(struct buf *text, struct follow_file *file,
                            size_t *lead)
{
    int64_t offset = file->place.offset, from, end;
    size_t want = CHUNK;
    struct stat st;

    if (fstat(file->fd, &st) < 0)
        return FOLLOW_ERROR;
    if (st.st_size < offset)
        return FOLLOW_OTHER;
    if (st.st_size != file->size || is_other(&st.st_mtim, &file->written))
        file->quiet_ns = clock_mono_ns();
    else if (!file->is_done)
        return FOLLOW_NOTHING;
    file->size = st.st_size;
    file->written = st.st_mtim;
    if (st.st_size == offset)
        return follow_place_fits(&file->place, file->fd) ? FOLLOW_NOTHING
                                                         : FOLLOW_OTHER;
    *lead = offset < FOLLOW_TAIL ? (size_t)offset : FOLLOW_TAIL;
    from = offset - (int64_t)*lead;
    buf_reset(text);
    for (;; want = WIRE_LINE_MAX + 1) {
        end = offset + (int64_t)want < st.st_size ? offset + (int64_t)want
                                                  : st.st_size;
        if (!read_to(text, file->fd, from, end))
            return FOLLOW_ERROR;
        if (want > WIRE_LINE_MAX || text->len < *lead || end == st.st_size ||
            memchr(text->data + *lead, '\n', text->len - *lead))
            break;
    }
    if (end < st.st_size)
        file->size = -1; /* there is more */
    return is_still(text, file, *lead) ? FOLLOW_LINES : FOLLOW_OTHER;
}

bool follow_find_end(struct follow_file *file, int64_t *end, int64_t *next)
{
    char bytes[64 << 10];
    ssize_t n;

    while ((n = pread(file->fd, bytes, sizeof(bytes), (off_t)file->scanned)) >
           0) {
        const char *newline = memchr(bytes, '\n', (size_t)n);

        if (newline) {
            *end = file->scanned + (newline - bytes);
            *next = *end + 1;
            return true;
        }
        file->scanned += n;
    }
    file->size = *end = *next = file->scanned;
    return file->is_done;
}
