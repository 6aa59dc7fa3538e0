/*
 * wire_scan.c - the calls of a file, without a store
 *
 * Two batches take turns: one is read by all threads while the other is filled
 * from the file. Calls are taken in the order of the file, so what is made of
 * them does not depend on the number of threads. Nothing is kept.
 */
#include "wire/wire_intake.h"
#include "wire/wire_pieces.h"

#include <stdio.h>
#include <stdlib.h>

#define CHUNK_LINES 16

struct scan {
    struct wire_scan *s;
    struct wire_pieces *pieces;
    struct wire_batch *now, *next;
    bool at_end;
    int rc;
    struct err err;
};

static void fill(struct scan *x, struct wire_batch *b)
{
    while (!x->at_end && !wire_batch_is_full(b)) {
        struct codec_line line;

        x->rc = wire_pieces_next(x->pieces, &line, &x->err);
        if (x->rc <= 0)
            x->at_end = true;
        else
            wire_batch_add(b, &line);
    }
}

static void read_slot(struct scan *x, size_t i)
{
    struct wire_batch *b = x->now;
    struct wire_slot *s = &b->slots[i];
    struct slice line = { b->text.data + s->at, s->n };
    struct err err;
    int rc;

    if (s->blank)
        return;
    if (s->cut || s->torn) {
        s->reason = slice_dup(
            slice_of(s->cut ? "the line is too long" : "the list breaks off"));
        return;
    }
    rc = wire_record_read(&s->record, x->s->format, line, &err);
    s->no_call = rc == 1;
    if (rc < 0)
        s->reason = slice_dup(slice_of(err.msg));
    else if (rc == ERR_OK)
        x->s->read(x->s->ctx, i, &s->record);
}

static void run_task(void *ctx, size_t task, unsigned worker)
{
    struct scan *x = ctx;

    (void)worker;
    if (task == 0) {
        fill(x, x->next);
        return;
    }
    for (size_t i = (task - 1) * CHUNK_LINES;
         i < task * CHUNK_LINES && i < x->now->count; i++)
        read_slot(x, i);
}

static void take_slot(struct wire_scan *s, const struct wire_slot *slot,
                      size_t i)
{
    s->counts.lines++;
    s->counts.bytes += slot->size + 1;
    if (slot->blank)
        return;
    s->counts.skipped += slot->no_call;
    if (slot->reason) {
        if (!s->counts.rejected++) {
            s->first_line = slot->number;
            snprintf(s->first_reason, sizeof(s->first_reason), "%s",
                     slot->reason);
        }
    } else if (!slot->no_call) {
        s->counts.added++;
        s->take(s->ctx, i);
    }
}

/* One turn of the two batches. */
static void turn(struct scan *x, const char *path)
{
    size_t chunks = (x->now->count + CHUNK_LINES - 1) / CHUNK_LINES;
    struct wire_batch *done = x->now;
    uint64_t at, total;

    pool_run(x->s->pool, chunks + 1, run_task, x);
    for (size_t i = 0; i < done->count; i++)
        take_slot(x->s, &done->slots[i], i);
    wire_batch_clear(done);
    x->now = x->next;
    x->next = done;
    wire_pieces_position(x->pieces, &at, &total);
    progress_update(x->s->progress, "read", at, total, path);
}

int wire_scan_file(struct wire_scan *s, const char *path, struct err *err)
{
    struct scan x = { .s = s };
    int rc = wire_pieces_open(path, &x.pieces, err);

    if (rc < 0)
        return rc;
    x.now = wire_batch_new();
    x.next = wire_batch_new();
    fill(&x, x.now);
    while (rc == ERR_OK && x.now->count) {
        turn(&x, path);
        if (stop_requested())
            rc = err_set(err, ERR_INTERRUPTED, "%s: interrupted", path);
    }
    s->counts.files++;
    if (rc == ERR_OK && x.rc < 0) {
        rc = x.rc;
        if (err)
            *err = x.err;
    }
    wire_batch_free(x.now);
    wire_batch_free(x.next);
    wire_pieces_close(x.pieces);
    return rc;
}
