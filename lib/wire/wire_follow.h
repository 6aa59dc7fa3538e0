/* wire_follow.h - the files of a growing log, and where each stands; nobody
 * outside this module includes it */
#ifndef WIRE_FOLLOW_H
#define WIRE_FOLLOW_H

#include "wire/wire_intake.h"

#include <time.h>

#define FOLLOW_TAIL 4096 /* bytes that a file is known by */
#define FOLLOW_PLACES 64 /* files that are remembered of one log */
#define FOLLOW_FILES 16  /* of them open at a time */

/* How much of a file is in the store. It is known again by its inode or, if it
 * was copied, by the bytes before the place. */
struct follow_place {
    uint64_t device, inode;
    int64_t time_us, offset, line;
    struct crypto_key salt;
    unsigned char tail[CRYPTO_HASH_BYTES];
};

struct follow_file {
    int fd;
    bool is_log;  /* the log's name leads to it; else it was rotated */
    bool is_done; /* rotated, and silent: its last line is whole */
    struct follow_place place;
    int64_t size; /* when it was last read */
    struct timespec written;
    int64_t scanned;  /* of a line that is too long; 0: none */
    int64_t quiet_ns; /* since it has not grown */
};

struct follow_log {
    char *path, *dir;
    const char *name; /* within dir */
    struct wire_intake intake;
    struct follow_file files[FOLLOW_FILES];
    size_t file_count;
    struct follow_place places[FOLLOW_PLACES];
    size_t place_count;
    int64_t looked_ns; /* at the directory */
    struct wire_counts committed;
};

/* wire_follow_names.c: the log's directory and its whole name; the caller
 * frees both. */
MUST_CHECK int follow_name(const char *path, char **dir, char **whole,
                           struct err *err);

/* wire_follow_places.c */
/* The hash of the n bytes before a place. */
void follow_tail(const struct follow_place *p, const char *bytes, size_t n,
                 unsigned char out[CRYPTO_HASH_BYTES]);
/* At the beginning of a file. */
void follow_place_begin(struct follow_place *p);
/* What stands before the place is what stood there. */
bool follow_place_fits(const struct follow_place *p, int fd);
/* At this byte of fd, as it is now; false: it is shorter. */
bool follow_place_set(struct follow_place *p, int fd, int64_t offset);
MUST_CHECK int follow_places_load(struct follow_log *l, struct err *err);
/* Inside a transaction; and in l->places. */
MUST_CHECK int follow_place_save(struct follow_log *l,
                                 const struct follow_place *p, struct err *err);

/* wire_follow_read.c */
enum follow_got {
    FOLLOW_NOTHING, /* it has not grown */
    FOLLOW_LINES,
    FOLLOW_OTHER, /* what stood before the place is not there any more */
    FOLLOW_ERROR, /* errno */
};
/* Reads on from the place, at least a line if there is a whole one; *text
 * begins with *lead bytes that stand before the place. */
enum follow_got follow_read(struct buf *text, struct follow_file *file,
                            size_t *lead);
/* Where a line ends that is longer than a line may be, and the next begins.
 * False: it has not ended yet. */
bool follow_find_end(struct follow_file *file, int64_t *end, int64_t *next);

/* wire_follow_files.c */
/* Opens what is to be read: the log and what was rotated away. The places of
 * new files are saved, in a transaction of its own. */
MUST_CHECK int follow_look(struct follow_log *l, struct err *err);
/* Another file has come to the log's name. */
bool follow_is_rotated(const struct follow_log *l);
void follow_file_drop(struct follow_log *l, size_t i);

#endif
