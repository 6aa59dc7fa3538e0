/*
 * wire_follow.c - calls of logs that grow, as they are written
 *
 * Files are looked at five times a second, which works on every file system
 * and costs nothing that could be measured. What is read at a time is one
 * transaction: its calls, and the place behind them. So a kill at any moment
 * neither loses a call nor adds one twice, and the next run goes on there.
 */
#include "wire/wire_follow.h"
#include "wire/wire_pieces.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_LINES 16 /* packed by a thread at a time */
#define TICK_NS 200000000
#define LOOK_NS (10 * INT64_C(1000000000)) /* for writers that are late */
#define QUIET_NS (5 * INT64_C(1000000000)) /* then a rotated file has ended */
#define PATIENCE_MS 2000                   /* with a lock, before it is told */
#define RETRY_NS (2 * INT64_C(1000000000)) /* of a store that takes nothing */
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

struct follow {
    struct wire_import *im;
    const struct wire_follow_notes *notes;
    struct follow_log *logs;
    size_t count;
    struct wire_pieces *pieces;
    struct wire_batch *batch;
    struct buf text; /* the tail before the place, and what follows it */
    bool fails;      /* the store took nothing the last time */
    bool may_repack;
};

static void say(const struct follow *f, const char *message)
{
    if (f->notes)
        f->notes->say(f->notes->ctx, message);
}

static void say_of(const struct follow *f, const struct follow_log *l,
                   const char *what)
{
    char *message = mem_printf("%s: %s", l->path, what);

    say(f, message);
    free(message);
}

static void pack_chunk(void *ctx, size_t task, unsigned worker)
{
    struct follow *f = ((void **)ctx)[0];
    struct wire_intake *k = ((void **)ctx)[1];

    wire_batch_pack(k, f->batch, task * CHUNK_LINES, (task + 1) * CHUNK_LINES,
                    worker);
}

static int begin(struct follow *f, struct err *err)
{
    return sql_in_transaction(store_sql(f->im->store))
               ? ERR_OK
               : store_group_step(f->im->store, err);
}

static int write_batch(struct follow *f, struct follow_log *l, struct err *err)
{
    bool had = store_has_dictionary(f->im->store);
    void *ctx[2] = { f, &l->intake };
    int rc = ERR_OK;

    if (!f->batch->count)
        return ERR_OK;
    if (!sql_in_transaction(store_sql(f->im->store)))
        rc = wire_batch_train(&l->intake, f->batch, err);
    f->may_repack |= !had && store_has_dictionary(f->im->store);
    if (rc == ERR_OK) {
        pool_run(f->im->pool, (f->batch->count + CHUNK_LINES - 1) / CHUNK_LINES,
                 pack_chunk, ctx);
        rc = begin(f, err);
    }
    return rc == ERR_OK ? wire_batch_write(&l->intake, f->batch, err) : rc;
}

static int take_line(struct follow *f, struct follow_log *l,
                     struct follow_file *file, struct codec_line *line,
                     struct err *err)
{
    int rc;

    /* A writer that does not append leaves a hole where the log was cut. */
    while (line->text.n && !*line->text.p) {
        line->text.p++;
        line->text.n--;
    }
    if (file->place.line == 0 && slice_starts(line->text, BYTE_ORDER_MARK)) {
        line->text.p += strlen(BYTE_ORDER_MARK);
        line->text.n -= strlen(BYTE_ORDER_MARK);
    }
    line->number = ++file->place.line;
    wire_pieces_give(f->pieces, line);
    while ((rc = wire_pieces_next(f->pieces, line, err)) == 1) {
        wire_batch_add(f->batch, line);
        if (wire_batch_is_full(f->batch))
            rc = write_batch(f, l, err);
        if (rc < 0)
            return rc;
    }
    return rc;
}

/* *next: the byte of the file behind the line. */
static int take_long_line(struct follow *f, struct follow_log *l,
                          struct follow_file *file, struct slice text,
                          int64_t *next, struct err *err)
{
    struct codec_line line = { .text = text, .cut = true };
    int64_t end, behind;
    int rc;

    if (file->scanned < file->place.offset + (int64_t)text.n)
        file->scanned = file->place.offset + (int64_t)text.n;
    if (!follow_find_end(file, &end, &behind))
        return ERR_OK;
    line.size = (uint64_t)(end - file->place.offset);
    rc = take_line(f, l, file, &line, err);
    file->scanned = 0;
    file->size = -1;
    *next = behind;
    return rc;
}

static int take_lines(struct follow *f, struct follow_log *l,
                      struct follow_file *file, struct slice text,
                      int64_t *next, struct err *err)
{
    size_t at = 0;
    int rc = ERR_OK;

    while (rc == ERR_OK && at < text.n) {
        const char *newline = memchr(text.p + at, '\n', text.n - at);
        size_t n = newline ? (size_t)(newline - text.p) - at : text.n - at;
        struct codec_line line = { .text = { text.p + at, n }, .size = n };

        if (!newline && at == 0 && n > WIRE_LINE_MAX)
            return take_long_line(f, l, file, text, next, err);
        if (!newline && (!file->is_done || file->size < 0))
            break;
        rc = take_line(f, l, file, &line, err);
        at += n + (newline != NULL);
        *next = file->place.offset + (int64_t)at;
    }
    return rc;
}

static int note_stage(struct follow *f, struct err *err)
{
    int64_t high;
    int rc = sql_one_int(store_sql(f->im->store), "SELECT max(id) FROM call", 0,
                         &high, err);

    return rc < 0 ? rc
                  : store_stage_set(f->im->store, "collect", high, NULL, NULL,
                                    err);
}

/* The place after the lines, from the text that they were read from. */
static void move_place(const struct follow *f, struct follow_file *file,
                       size_t lead, int64_t next)
{
    struct follow_place *p = &file->place;
    size_t end = (size_t)(next - p->offset) + lead;
    size_t n = next < FOLLOW_TAIL ? (size_t)next : FOLLOW_TAIL;

    if (end > f->text.len) { /* behind a line that is too long */
        (void)follow_place_set(p, file->fd, next);
        return;
    }
    p->offset = next;
    follow_tail(p, f->text.data + end - n, n, p->tail);
}

/* What was read of a file, in one transaction. */
static int store_lines(struct follow *f, struct follow_log *l,
                       struct follow_file *file, size_t lead, struct err *err)
{
    struct slice text = { f->text.data + lead, f->text.len - lead };
    int64_t next = file->place.offset;
    int rc = take_lines(f, l, file, text, &next, err);

    if (rc == ERR_OK)
        rc = write_batch(f, l, err);
    if (rc < 0 || next == file->place.offset)
        return rc;
    move_place(f, file, lead, next);
    rc = begin(f, err);
    if (rc == ERR_OK)
        rc = wire_rejects_sync(&l->intake.rejects, err);
    if (rc == ERR_OK)
        rc = wire_intake_update(&l->intake, false, err);
    if (rc == ERR_OK)
        rc = note_stage(f, err);
    if (rc == ERR_OK)
        rc = follow_place_save(l, &file->place, err);
    if (rc == ERR_OK)
        rc = store_group_end(f->im->store, err);
    if (rc == ERR_OK)
        l->committed = l->intake.counts;
    return rc;
}

static bool has_log(const struct follow_log *l)
{
    for (size_t i = 0; i < l->file_count; i++)
        if (l->files[i].is_log)
            return true;
    return false;
}

/* A rotated file that is silent has ended. One that was removed before there
 * is another log may still be written to. False: it is gone. */
static bool end_rotated(struct follow_log *l, size_t i)
{
    struct follow_file *file = &l->files[i];

    if (file->is_log || !has_log(l) ||
        clock_mono_ns() - file->quiet_ns < QUIET_NS)
        return true;
    if (!file->is_done && file->size > file->place.offset) {
        file->is_done = true;
        return true;
    }
    follow_file_drop(l, i);
    return false;
}

/* *busy: it had something to read. False: the file is gone from the list. */
static int step_file(struct follow *f, struct follow_log *l, size_t i,
                     bool *busy, bool *is_there, struct err *err)
{
    struct follow_file *file = &l->files[i];
    size_t lead = 0;
    int rc = ERR_OK;

    *is_there = false;
    switch (follow_read(&f->text, file, &lead)) {
    case FOLLOW_LINES:
        *busy = true;
        *is_there = true;
        return store_lines(f, l, file, lead, err);
    case FOLLOW_OTHER:
        if (file->is_log)
            say_of(f, l, "was cut back; reads it from its beginning");
        follow_file_drop(l, i);
        *busy = true;
        return follow_look(l, err);
    case FOLLOW_ERROR:
        say_of(f, l, strerror(errno));
        follow_file_drop(l, i);
        return rc;
    case FOLLOW_NOTHING: *is_there = end_rotated(l, i); return rc;
    }
    return rc;
}

static int step_log(struct follow *f, struct follow_log *l, bool *busy,
                    struct err *err)
{
    int rc = ERR_OK;

    if (follow_is_rotated(l) || clock_mono_ns() - l->looked_ns > LOOK_NS)
        rc = follow_look(l, err);
    for (size_t i = 0; rc == ERR_OK && i < l->file_count;) {
        bool is_there;

        rc = step_file(f, l, i, busy, &is_there, err);
        i += is_there;
    }
    return rc;
}

static int step(struct follow *f, bool *busy, struct err *err)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < f->count; i++)
        rc = step_log(f, &f->logs[i], busy, err);
    if (rc == ERR_OK && !*busy && f->may_repack)
        rc = store_repack(f->im->store, &f->may_repack, err);
    return rc;
}

static int open_log(struct follow_log *l, struct err *err)
{
    int rc = follow_places_load(l, err);

    if (rc < 0)
        return rc;
    l->intake.goes_on = l->place_count > 0;
    return follow_look(l, err);
}

/* What was not committed is forgotten; the places in the store say where to
 * go on. */
static int start_again(struct follow *f, struct err *err)
{
    int rc = ERR_OK;

    wire_batch_clear(f->batch);
    wire_pieces_close(f->pieces);
    f->pieces = wire_pieces_new();
    for (size_t i = 0; rc == ERR_OK && i < f->count; i++) {
        struct follow_log *l = &f->logs[i];

        while (l->file_count)
            follow_file_drop(l, 0);
        map_free(l->intake.ordinals);
        l->intake.ordinals = map_new();
        l->intake.counts = l->committed;
        rc = open_log(l, err);
    }
    return rc;
}

static void nap(int64_t ns)
{
    struct timespec t = { ns / 1000000000, ns % 1000000000 };

    (void)nanosleep(&t, NULL); /* a signal may end it */
}

static bool may_pass(int rc)
{
    return rc == ERR_BUSY || rc == ERR_OUTPUT || rc == ERR_IO;
}

/* A log waits: a store that is locked, or has no room, is tried again. */
static int follow_on(struct follow *f, struct err *err)
{
    sql_set_patience(store_sql(f->im->store), PATIENCE_MS);
    while (!stop_requested()) {
        bool busy = false;
        int rc = f->fails ? start_again(f, err) : ERR_OK;

        if (rc == ERR_OK)
            rc = step(f, &busy, err);
        if (rc < 0) {
            sql_rollback(store_sql(f->im->store));
            if (!may_pass(rc))
                return rc;
            if (!f->fails)
                say(f, err->msg);
            f->fails = true;
            nap(RETRY_NS);
        } else {
            if (f->fails)
                say(f, "the store takes calls again");
            f->fails = false;
            if (!busy)
                nap(TICK_NS);
        }
    }
    return ERR_OK;
}

static void say_start(const struct follow *f, const struct follow_log *l)
{
    for (size_t i = 0; i < l->file_count; i++) {
        char *text = mem_printf("following from byte %lld",
                                (long long)l->files[i].place.offset);

        if (l->files[i].is_log)
            say_of(f, l, text);
        free(text);
    }
    if (!has_log(l))
        say_of(f, l, "is not there yet; waiting for it");
}

static int begin_log(struct follow *f, struct follow_log *l, struct err *err)
{
    int rc;

    l->intake.is_whole = true;
    rc = wire_intake_begin(&l->intake, err);
    if (rc == ERR_OK)
        rc = store_group_end(f->im->store, err);
    if (rc == ERR_OK)
        rc = open_log(l, err);
    if (rc == ERR_OK && l->intake.goes_on)
        wire_rejects_resume(&l->intake.rejects, f->im->store, l->path);
    else if (rc == ERR_OK)
        rc = wire_rejects_begin(&l->intake.rejects, f->im->store, l->path, err);
    if (rc == ERR_OK)
        say_start(f, l);
    return rc;
}

static int end_log(struct follow *f, struct follow_log *l, struct err *err)
{
    int rc;

    sql_set_patience(store_sql(f->im->store), SQL_PATIENCE_MS);
    rc = begin(f, err);
    if (rc == ERR_OK)
        rc = wire_intake_update(&l->intake, true, err);
    if (rc == ERR_OK)
        rc = store_group_end(f->im->store, err);
    return rc;
}

static void release_log(struct follow *f, struct follow_log *l)
{
    struct err quiet;

    while (l->file_count)
        follow_file_drop(l, 0);
    if (l->intake.im) {
        (void)!wire_rejects_end(&l->intake.rejects, &f->im->rejected_paths,
                                &quiet);
        wire_counts_add(&f->im->counts, &l->committed);
        wire_intake_release(&l->intake);
    }
    free(l->path);
    free(l->dir);
}

int wire_follow(struct wire_import *im, const char *const *paths, size_t count,
                const struct wire_follow_notes *notes, struct err *err)
{
    struct follow f = { .im = im,
                        .notes = notes,
                        .count = count,
                        .logs = mem_array(count, sizeof(*f.logs)),
                        .pieces = wire_pieces_new(),
                        .batch = wire_batch_new() };
    int rc = ERR_OK;

    for (size_t i = 0; i < count; i++)
        f.logs[i] = (struct follow_log){ .path = NULL };
    for (size_t i = 0; rc == ERR_OK && i < count; i++) {
        rc = follow_name(paths[i], &f.logs[i].dir, &f.logs[i].path, err);
        if (rc == ERR_OK)
            f.logs[i].name = strrchr(f.logs[i].path, '/') + 1;
    }
    for (size_t i = 0; rc == ERR_OK && i < count; i++) {
        wire_intake_init(&f.logs[i].intake, im, f.logs[i].path);
        f.logs[i].intake.rejects.fd = -1;
        rc = begin_log(&f, &f.logs[i], err);
    }
    if (rc == ERR_OK)
        rc = follow_on(&f, err);
    for (size_t i = 0; rc == ERR_OK && !f.fails && i < count; i++)
        rc = end_log(&f, &f.logs[i], err);
    for (size_t i = 0; i < count; i++)
        release_log(&f, &f.logs[i]);
    wire_batch_free(f.batch);
    wire_pieces_close(f.pieces);
    buf_release(&f.text);
    free(f.logs);
    return rc;
}
