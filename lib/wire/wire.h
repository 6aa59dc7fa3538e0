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
#define WIRE_CALL_ID_BYTES 16             /* of the id that a proxy gives */

/* What one line says. A zeroed record is ready for use. Slices point into the
 * line, the record or static text. */
struct wire_record {
    struct store_call call; /* without key, source and line */
    bool has_outcome, has_call_id;
    struct store_outcome outcome;
    unsigned char call_id[WIRE_CALL_ID_BYTES]; /* its key, where it is told */
    json_ref request; /* in json; JSON_NONE: the request was built */
    struct json json;
    struct buf built, extra; /* made bodies; other fields */
    char *owned[24];         /* decoded strings with escapes */
    size_t owned_count;
};

/* Whose record a line is; AUTO: told by its fields. */
enum wire_format {
    WIRE_AUTO,
    WIRE_EXCHANGE, /* slmctl-exchange(5) */
    WIRE_CHAT,     /* OpenAI's files for fine-tuning */
    WIRE_LITELLM,  /* StandardLoggingPayload */
    WIRE_OTLP,     /* spans and log records of OTLP/JSON */
    WIRE_HAR,      /* entries of HAR 1.2 */
    WIRE_LANGFUSE, /* observations of its export */
    WIRE_PAIRS,    /* bodies of a request and its response */
};
/* By its name, "auto" or "litellm"; false: there is none of it. */
bool wire_format_parse(const char *name, enum wire_format *out);
/* ERR_FORMAT or ERR_LIMIT with the reason: the record is not to be used. */
/* 1: a record, but of something else than a call of a model. */
MUST_CHECK int wire_record_read(struct wire_record *r, enum wire_format format,
                                struct slice line, struct err *err);
MUST_CHECK int wire_record_parse(struct wire_record *r, struct slice line,
                                 struct err *err);
void wire_record_release(struct wire_record *r);
/* Marks that who logged a call has left in its extra (slmctl-exchange(5)):
 * what is there is not all, or not to be used. */
bool wire_is_cut(struct slice extra);

/* How an exchange ended, as the proxy saw it. */
enum wire_end {
    WIRE_END_WHOLE,     /* the upstream ended its answer as HTTP says */
    WIRE_END_CUT,       /* the upstream's connection ended within it */
    WIRE_END_CLIENT,    /* the client went away first */
    WIRE_END_TIMEOUT,   /* no answer, or silence within it, for too long */
    WIRE_END_UNREACHED, /* no connection to the upstream */
    WIRE_END_LOST,      /* the process ended before */
};

/* By `offset` bytes of the response, time_us after the request came. */
struct wire_mark {
    uint64_t offset;
    int64_t time_us;
};
#define WIRE_MARKS_MAX 65536

/* One HTTP exchange with a model's API, as its bytes went by. Slices are
 * borrowed; absent ones are empty, absent numbers -1. */
struct wire_exchange {
    struct slice id;             /* what X-SLM-Call-Id said */
    struct slice upstream;       /* name of the configuration */
    struct slice method, target; /* as sent upstream: "/v1/messages?beta=1" */
    struct slice workload, client, conversation; /* stated by headers, path */
    struct slice request, request_type, request_encoding;
    struct slice response, response_type, response_encoding; /* Content- */
    struct slice facts; /* of the request, a JSON object: path, fields that
                         * may be kept, fingerprints of key and address */
    struct slice answer_facts; /* fields of the answer that may be kept */
    enum wire_end end;
    int64_t http_status;
    int64_t time_us;                   /* of the request, wall clock */
    int64_t latency_us, first_byte_us; /* to the last and the first byte */
    const struct wire_mark *marks;     /* rising; may be fewer than reads */
    size_t mark_count;
    bool request_cut, response_cut; /* longer than what was captured */
    bool no_bodies;                 /* only what the metadata say is kept */
};
/* All numbers -1. */
struct wire_exchange wire_exchange_none(void);
/* The call that the exchange is: its dialect by path and body, the answer
 * assembled if it was streamed (in the dialect's own unstreamed form), usage,
 * model, finish reason, status (slmctl-exchange(5)), time to first token.
 * Bodies that are no known dialect's are kept as they are, dialect "opaque".
 * Only ERR_LIMIT and ERR_FORMAT for what cannot be kept at all. */
MUST_CHECK int wire_exchange_read(struct wire_record *r,
                                  const struct wire_exchange *x,
                                  struct err *err);
/* One flat piece of bytes, for queues and files; and back: slices and marks
 * point into `bytes`, which must be aligned to 8. */
void wire_exchange_pack(const struct wire_exchange *x, struct buf *out);
MUST_CHECK int wire_exchange_unpack(struct wire_exchange *x, struct slice bytes,
                                    struct err *err);

/* An outcome alone: reward, label, answer and others of a JSON object. Slices
 * of *out point into r, which must live as long. */
MUST_CHECK int wire_outcome_read(struct wire_record *r, struct slice text,
                                 struct store_outcome *out, struct err *err);

/* Whether calls of this dialect have messages. */
bool wire_has_chat(struct slice dialect);
/* Any dialect as OpenAI chat completions: what exports and curate read. An
 * empty response stays empty. ERR_UNSUPPORTED: a dialect without messages
 * (embeddings, opaque). */
MUST_CHECK int wire_to_chat(struct slice dialect, struct slice request,
                            struct slice response, struct buf *chat_request,
                            struct buf *chat_response, struct err *err);

/* A call of the store as a line of WIRE_EXCHANGE, WIRE_PAIRS (OpenAI's bodies),
 * WIRE_LITELLM or WIRE_OTLP, appended to *out with its end. call: with both
 * bodies, and with its key if that is a proxy's id, which the line then
 * carries; of source, line and facts nothing is read. outcome: NULL: none; only
 * WIRE_EXCHANGE has a place for it. 1: nothing was
 * appended, the format has no form for calls without messages, or whose bodies
 * are no JSON. */
MUST_CHECK int wire_export(enum wire_format format,
                           const struct store_call *call,
                           const struct store_outcome *outcome, int64_t id,
                           struct buf *out);

struct wire_counts {
    uint64_t files, lines, bytes, added, known, rejected;
    uint64_t skipped; /* records of other things than calls */
    uint64_t updated; /* outcomes */
};

struct wire_import {
    struct store *store;
    struct pool *pool; /* may be NULL */
    enum wire_format format;
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
/* Reads the calls of one file without a store, a batch at a time. */
#define WIRE_SCAN_CALLS 512
struct wire_scan {
    enum wire_format format;
    struct pool *pool; /* may be NULL */
    const struct progress *progress;
    /* Of each call, by many threads at once; slot < WIRE_SCAN_CALLS is this
     * call's until it was taken. The record is valid during the call. */
    void (*read)(void *ctx, size_t slot, struct wire_record *r);
    /* By one thread, in the order of the file. */
    void (*take)(void *ctx, size_t slot);
    void *ctx;
    struct wire_counts counts; /* added: calls */
    int64_t first_line;        /* that was rejected; 0: none */
    char first_reason[160];
};
MUST_CHECK int wire_scan_file(struct wire_scan *s, const char *path,
                              struct err *err);
/* Reads logs that grow, through rotations, until a stop is requested. Calls
 * and the place in the log go into the store together, so the next run goes on
 * exactly there. A record or a list is one line here. A store that is locked or
 * full for a while is waited for, and told; what else fails ends it. */
struct wire_follow_notes {
    void (*say)(void *ctx, const char *message);
    void *ctx;
};
#define WIRE_FOLLOW_MAX 64 /* logs at a time */
/* Before anything is made: each is a plain file, or not there yet, and none is
 * given twice. */
MUST_CHECK int wire_follow_check(const char *const *paths, size_t count,
                                 struct err *err);
MUST_CHECK int wire_follow(struct wire_import *im, const char *const *paths,
                           size_t count, const struct wire_follow_notes *notes,
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
