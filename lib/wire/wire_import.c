/*
 * wire_import.c - the import: read, pack and write at the same time
 *
 * Three batches of lines go round: one is written by whoever takes the first
 * task, one is parsed and packed in small tasks by all threads, one is filled
 * from the file. Writing keeps the order of the file, so the store does not
 * depend on the number of threads. Nothing is remembered between runs: a call
 * is known by its key, so an import that was cut off is simply run again.
 */
#include "wire/wire_intake.h"
#include "wire/wire_pieces.h"

#include "base/clock.h"

#define CHUNK_LINES 16
#define BATCHES 3
#define PATIENCE_MS 300
#define PAUSE_MS 10
struct run {
    struct wire_import *im;
    struct wire_intake intake;
    struct wire_pieces *lines;
    struct wire_batch *batches[BATCHES]; /* being written, packed, read */
    bool at_end;
    struct err read_err, write_err;
    int read_rc, write_rc;
};

static bool is_pipe(const struct run *r)
{
    uint64_t done, total;

    wire_pieces_position(r->lines, &done, &total);
    return total == 0;
}

/* Whether to go on filling the batch. A pipe is given `patience_ms` from the
 * first line on, so that calls which are read are stored. */
static bool wants_line(const struct run *r, const struct wire_batch *b,
                       int64_t start_ns, int patience_ms)
{
    int64_t left_ms;

    if (r->at_end || wire_batch_is_full(b))
        return false;
    if (!is_pipe(r))
        return true;
    left_ms = patience_ms - (clock_mono_ns() - start_ns) / 1000000;
    return left_ms > 0 && wire_pieces_ready(r->lines, (int)left_ms);
}

/* wait: for the first line as long as it takes; from a first batch the store
 * learns, so there the patience is greater. */
static void read_batch(struct run *r, struct wire_batch *b, bool wait)
{
    int patience_ms = wait ? PATIENCE_MS : PAUSE_MS;
    int64_t start_ns = clock_mono_ns();

    buf_reset(&b->text);
    b->count = 0;
    while ((wait && b->count == 0 && !r->at_end) ||
           wants_line(r, b, start_ns, patience_ms)) {
        struct codec_line line;
        int rc = wire_pieces_next(r->lines, &line, &r->read_err);

        if (rc <= 0) {
            r->at_end = true;
            r->read_rc = rc;
            return;
        }
        if (b->count == 0)
            start_ns = clock_mono_ns();
        wire_batch_add(b, &line);
    }
}

/* Task 0 writes, task 1 reads, the others pack a few lines each. */
static void run_task(void *ctx, size_t task, unsigned worker)
{
    struct run *r = ctx;
    struct wire_batch *b = r->batches[1];

    if (task == 0) {
        r->write_rc =
            wire_batch_write(&r->intake, r->batches[0], &r->write_err);
        return;
    }
    if (task == 1) {
        read_batch(r, r->batches[2], false);
        return;
    }
    wire_batch_pack(&r->intake, b, (task - 2) * CHUNK_LINES,
                    (task - 1) * CHUNK_LINES, worker);
}

static void turn(struct run *r)
{
    struct wire_batch *written = r->batches[0];

    r->batches[0] = r->batches[1];
    r->batches[1] = r->batches[2];
    r->batches[2] = written;
}

static void show_progress(const struct run *r)
{
    uint64_t done, total;

    wire_pieces_position(r->lines, &done, &total);
    progress_update(r->im->progress, "import", done, total, r->intake.name);
}

/* One turn of the three batches. */
static int step(struct run *r, struct err *err)
{
    size_t chunks = (r->batches[1]->count + CHUNK_LINES - 1) / CHUNK_LINES;
    int rc = wire_batch_train(&r->intake, r->batches[1], err);

    if (rc < 0)
        return rc;
    pool_run(r->im->pool, chunks + 2, run_task, r);
    if (r->write_rc < 0) {
        *err = r->write_err;
        return r->write_rc;
    }
    turn(r);
    show_progress(r);
    if (stop_requested())
        return err_set(err, ERR_INTERRUPTED, "%s: interrupted", r->intake.name);
    return ERR_OK;
}

/* A pipe may be silent for long: nothing read may wait for its commit, and
 * nobody for the lock. */
static int wait_batch(struct run *r, struct err *err)
{
    int rc = is_pipe(r) ? store_group_end(r->im->store, err) : ERR_OK;

    if (rc == ERR_OK)
        read_batch(r, r->batches[1], true);
    return rc;
}

static int pump(struct run *r, struct err *err)
{
    int rc = wait_batch(r, err);

    while (rc == ERR_OK) {
        if (r->batches[0]->count || r->batches[1]->count)
            rc = step(r, err);
        else if (r->at_end)
            break;
        else
            rc = wait_batch(r, err);
    }
    if (rc == ERR_OK && r->read_rc < 0) {
        *err = r->read_err;
        r->im->unread = r->read_rc != ERR_INTERRUPTED;
    }
    return rc < 0 ? rc : r->read_rc;
}

static void run_init(struct run *r, struct wire_import *im, const char *path)
{
    *r = (struct run){ .im = im };
    wire_intake_init(&r->intake, im, path);
    for (size_t i = 0; i < BATCHES; i++)
        r->batches[i] = wire_batch_new();
}

static void run_release(struct run *r)
{
    for (size_t i = 0; i < BATCHES; i++)
        wire_batch_free(r->batches[i]);
    wire_intake_release(&r->intake);
    wire_pieces_close(r->lines);
}

void wire_counts_add(struct wire_counts *sum, const struct wire_counts *c)
{
    sum->files++;
    sum->lines += c->lines;
    sum->bytes += c->bytes;
    sum->added += c->added;
    sum->known += c->known;
    sum->rejected += c->rejected;
    sum->skipped += c->skipped;
    sum->updated += c->updated;
}

/* Also after an interruption or a damaged file what was read is kept; only a
 * store that cannot be written loses its open transaction. */
static int end_import(struct run *r, int rc, struct err *err)
{
    struct err later;
    int end = ERR_OK;

    if (r->write_rc == ERR_OK) {
        end = store_group_step(r->im->store, &later);
        if (end == ERR_OK)
            end = wire_intake_update(&r->intake, rc == ERR_OK, &later);
        if (end == ERR_OK && (rc < 0 || !r->im->more))
            end = store_group_end(r->im->store, &later);
    }
    if (r->write_rc < 0 || end < 0)
        sql_rollback(store_sql(r->im->store));
    if (rc == ERR_OK && end < 0) {
        *err = later;
        rc = end;
    }
    end = wire_rejects_end(&r->intake.rejects, &r->im->rejected_paths, &later);
    if (rc == ERR_OK && end < 0) {
        *err = later;
        rc = end;
    }
    wire_counts_add(&r->im->counts, &r->intake.counts);
    return rc;
}

int wire_import_file(struct wire_import *im, const char *path, struct err *err)
{
    struct run r;
    int rc;

    run_init(&r, im, path);
    rc = wire_pieces_open(path, &r.lines, err);
    im->unread = rc < 0 && rc != ERR_INTERRUPTED;
    if (rc == ERR_OK)
        rc = wire_intake_begin(&r.intake, err);
    if (rc == ERR_OK)
        rc = wire_rejects_begin(&r.intake.rejects, im->store, path, err);
    if (rc == ERR_OK) {
        rc = pump(&r, err);
        rc = end_import(&r, rc, err);
    }
    run_release(&r);
    return rc;
}
