/*
 * wire.h - outside bytes to calls: the exchange format and chat files
 *
 * A line is an object with "request" and "response" (slmctl-exchange(5)) or
 * with "messages" (OpenAI's files for fine-tuning). Lines become calls in the
 * order of the file whatever the number of threads; what cannot be read goes
 * to a dead-letter file with its number and the reason, and the import goes
 * on. Nothing is fetched from anywhere.
 * May use: base json crypto codec store.
 */
#ifndef WIRE_H
#define WIRE_H

#include "base/pool.h"
#include "base/progress.h"
#include "store/store.h"

#define WIRE_LINE_MAX ((size_t)16 << 20)  /* bytes of one line */
#define WIRE_TEXT_MAX 1024                /* of an id or a name, decoded */
#define WIRE_EXTRA_MAX ((size_t)64 << 10) /* of the fields not known here */
#define WIRE_REJECT_MAX ((size_t)1 << 20) /* bytes kept of a rejected line */
#define WIRE_FILES_MAX 100000             /* files of one directory */

/* What one line says. A zeroed record is ready for use. Slices point into the
 * line, the record or static text. */
struct wire_record {
    struct store_call call; /* without key, source and line */
    bool has_outcome;
    struct store_outcome outcome;
    json_ref request; /* in json; JSON_NONE: the request was built */
    struct json json;
    struct buf built, extra; /* made bodies; other fields */
    char *owned[24];         /* decoded strings with escapes */
    size_t owned_count;
};
/* ERR_FORMAT or ERR_LIMIT with the reason: the record is not to be used. */
MUST_CHECK int wire_record_parse(struct wire_record *r, struct slice line,
                                 struct err *err);
void wire_record_release(struct wire_record *r);

struct wire_counts {
    uint64_t files, lines, bytes, added, known, rejected;
    uint64_t updated; /* outcomes */
};

struct wire_import {
    struct store *store;
    struct pool *pool; /* may be NULL */
    const struct progress *progress;
    bool more;   /* other files follow: their calls share the open group */
    bool unread; /* set: the last file failed, the store did not */
    struct wire_counts counts; /* summed over files */
    struct buf rejected_paths; /* one a line: dead-letter files written */
};

/* Import one file, "-" for standard input, plain or zstd. Interrupted by a
 * signal: what was read is in the store, ERR_INTERRUPTED. So it is after a
 * damaged file; unread tells that other files may follow. */
MUST_CHECK int wire_import_file(struct wire_import *im, const char *path,
                                struct err *err);
/* Join outcomes to calls: lines with call, response_id or conversation_id. */
MUST_CHECK int wire_outcomes_file(struct wire_import *im, const char *path,
                                  struct err *err);

/* What a path stands for: itself, or the importable files of a directory, no
 * pipes or directories, in the order of their names (.jsonl .json, also with
 * .zst, and .zst alone). */
struct wire_files {
    char **paths;
    size_t count, cap;
};
MUST_CHECK int wire_files_add(struct wire_files *f, const char *path,
                              struct err *err);
void wire_files_release(struct wire_files *f);

#endif
