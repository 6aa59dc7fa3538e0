/*
 * wire_import.c - the import: read, pack and write at the same time
 *
 * Three batches of lines go round: one is written by whoever takes the first
 * task, one is parsed and packed in small tasks by all threads, one is filled
 * from the file. Writing keeps the order of the file, so the store does not
 * depend on the number of threads. Nothing is remembered between runs: a call
 * is known by its key, so an import that was cut off is simply run again.
 */
#include "wire/wire_pieces.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_LINES 512
#define BATCH_BYTES ((size_t)4 << 20)
#define CHUNK_LINES 16
#define BATCHES 3
#define PATIENCE_MS 300
#define PAUSE_MS 10
#define KEEP_BYTES                                                             \
    ((size_t)256 << 10) /* a line's memory that is used again                  \
                         */

struct slot {
    size_t at, n; /* of the line in the batch's text */
    int64_t number;
    uint64_t size;
    bool cut, blank, no_call;
    struct wire_record record;
    struct store_parcel *parcel;
    unsigned char key[CRYPTO_HASH_BYTES]; /* of the call, or of the line */
    char *reason;                         /* why it is rejected */
};

struct batch {
    struct buf text;
    struct slot slots[BATCH_LINES];
    size_t count;
};

struct run {
    struct wire_import *im;
    const char *name; /* of the source */
    int64_t source, import;
    struct wire_pieces *lines;
    struct batch *batches[BATCHES]; /* being written, packed, read */
    struct store_packer **packers;  /* one a thread */
    struct map *ordinals;           /* how often a line without id came */
    struct wire_rejects rejects;
    struct wire_counts counts;
    bool at_end;
    struct err read_err, write_err;
    int read_rc, write_rc;
};

static struct slice line_of(const struct batch *b, const struct slot *s)
{
    return (struct slice){ b->text.data + s->at, s->n };
}

static bool is_pipe(const struct run *r)
{
    uint64_t done, total;

    wire_pieces_position(r->lines, &done, &total);
    return total == 0;
}

/* Whether to go on filling the batch. A pipe is given `patience_ms` from the
 * first line on, so that calls which are read are stored. */
static bool wants_line(const struct run *r, const struct batch *b,
                       int64_t start_ns, int patience_ms)
{
    int64_t left_ms;

    if (r->at_end || b->count == BATCH_LINES || b->text.len >= BATCH_BYTES)
        return false;
    if (!is_pipe(r))
        return true;
    left_ms = patience_ms - (clock_mono_ns() - start_ns) / 1000000;
    return left_ms > 0 && wire_pieces_ready(r->lines, (int)left_ms);
}

/* wait: for the first line as long as it takes; from a first batch the store
 * learns, so there the patience is greater. */
static void read_batch(struct run *r, struct batch *b, bool wait)
{
    int patience_ms = wait ? PATIENCE_MS : PAUSE_MS;
    int64_t start_ns = clock_mono_ns();

    buf_reset(&b->text);
    b->count = 0;
    while ((wait && b->count == 0 && !r->at_end) ||
           wants_line(r, b, start_ns, patience_ms)) {
        struct slot *s = &b->slots[b->count];
        struct codec_line line;
        int rc = wire_pieces_next(r->lines, &line, &r->read_err);

        if (rc <= 0) {
            r->at_end = true;
            r->read_rc = rc;
            return;
        }
        if (b->count == 0)
            start_ns = clock_mono_ns();
        s->at = b->text.len;
        s->n = line.text.n;
        s->number = line.number;
        s->size = line.size;
        s->cut = line.cut;
        s->no_call = false;
        s->blank = !line.cut && slice_trim(line.text).n == 0;
        buf_add_slice(&b->text, line.text);
        b->count++;
    }
}

/* The call's key where the response has an id; else the line's hash, which
 * the writer completes by its ordinal. */
static void make_key(const struct store *store, struct slot *s,
                     struct slice line)
{
    unsigned char request[CRYPTO_HASH_BYTES];
    struct buf text = { 0 };

    if (!s->record.call.response_id.n) {
        store_hash(store, slice_trim(line), s->key);
        return;
    }
    store_hash(store, s->record.call.request, request);
    buf_add(&text, "id", 3);
    buf_add_slice(&text, s->record.call.response_id);
    buf_add(&text, request, sizeof(request));
    store_hash(store, buf_slice(&text), s->key);
    buf_release(&text);
}

static void pack_slot(struct run *r, struct batch *b, struct slot *s,
                      unsigned worker)
{
    struct slice line = line_of(b, s);
    struct err err;
    int rc;

    if (s->blank)
        return;
    if (s->cut) {
        s->reason = mem_printf("longer than %zu bytes", WIRE_LINE_MAX);
        return;
    }
    rc = wire_record_read(&s->record, r->im->format, line, &err);
    s->no_call = rc == 1;
    if (s->no_call)
        return;
    if (rc == ERR_OK) {
        struct wire_record *rec = &s->record;

        rec->call.source = r->source;
        rec->call.line = s->number;
        make_key(r->im->store, s, line);
        rc = store_pack(r->packers[worker], &rec->call,
                        json_present(rec->request) ? &rec->json : NULL,
                        rec->request, s->parcel, &err);
    }
    if (rc < 0)
        s->reason = mem_strdup(err.msg);
}

static void complete_key(struct run *r, struct slot *s)
{
    struct {
        char kind[8];
        unsigned char hash[CRYPTO_HASH_BYTES];
        uint64_t ordinal;
    } text = { .kind = "line" };

    memcpy(text.hash, s->key, sizeof(s->key));
    text.ordinal = ++*map_put(r->ordinals, s->key, sizeof(s->key), NULL);
    store_hash(r->im->store, (struct slice){ (char *)&text, sizeof(text) },
               s->key);
}

static int write_call(struct run *r, struct slot *s, struct err *err)
{
    struct slice key = { (char *)s->key, sizeof(s->key) };
    bool added = false;
    int64_t call;
    int rc;

    if (!s->record.call.response_id.n)
        complete_key(r, s);
    rc = store_group_step(r->im->store, err);
    if (rc == ERR_OK)
        rc = store_parcel_add(r->im->store, s->parcel, key, &added, err);
    if (rc < 0)
        return rc;
    r->counts.added += added;
    r->counts.known += !added;
    if (!added || !s->record.has_outcome)
        return ERR_OK;
    rc = store_call_find(r->im->store, key, &call, err);
    if (rc == ERR_OK)
        rc = store_outcome_set(r->im->store, call, &s->record.outcome, err);
    return rc;
}

static int write_slot(struct run *r, struct batch *b, struct slot *s,
                      struct err *err)
{
    int rc;

    r->counts.lines++;
    r->counts.bytes += s->size + 1;
    if (s->blank)
        return ERR_OK;
    r->counts.skipped += s->no_call;
    if (s->no_call)
        return ERR_OK;
    if (!s->reason)
        return write_call(r, s, err);
    r->counts.rejected++;
    rc = wire_rejects_add(&r->rejects, r->name, s->number, line_of(b, s),
                          s->size, s->reason, err);
    free(s->reason);
    s->reason = NULL;
    return rc;
}

/* One monster must not leave its memory in each slot that it visits. */
static void trim_slot(struct slot *s)
{
    if (s->n <= KEEP_BYTES)
        return;
    wire_record_release(&s->record);
    store_parcel_free(s->parcel);
    s->parcel = store_parcel_new();
}

/* The counts so far, in the transaction of the calls that they count. */
static int update_import(struct run *r, bool finished, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(r->im->store),
                     "UPDATE import SET lines = ?, bytes = ?, added = ?, "
                     "known = ?, rejected = ?, finished = ? WHERE id = ?",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, (int64_t)r->counts.lines);
    sql_bind_int(q, 2, (int64_t)r->counts.bytes);
    sql_bind_int(q, 3, (int64_t)r->counts.added);
    sql_bind_int(q, 4, (int64_t)r->counts.known);
    sql_bind_int(q, 5, (int64_t)r->counts.rejected);
    if (finished)
        sql_bind_int(q, 6, clock_wall_us());
    sql_bind_int(q, 7, r->import);
    return sql_run(q, err);
}

static void write_batch(struct run *r, struct batch *b)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < b->count; i++) {
        rc = write_slot(r, b, &b->slots[i], &r->write_err);
        trim_slot(&b->slots[i]);
    }
    if (rc == ERR_OK && b->count)
        rc = store_group_step(r->im->store, &r->write_err);
    if (rc == ERR_OK && b->count)
        rc = update_import(r, false, &r->write_err);
    r->write_rc = rc;
    b->count = 0;
}

/* Task 0 writes, task 1 reads, the others pack a few lines each. */
static void run_task(void *ctx, size_t task, unsigned worker)
{
    struct run *r = ctx;
    struct batch *b = r->batches[1];

    if (task == 0) {
        write_batch(r, r->batches[0]);
        return;
    }
    if (task == 1) {
        read_batch(r, r->batches[2], false);
        return;
    }
    for (size_t i = (task - 2) * CHUNK_LINES;
         i < (task - 1) * CHUNK_LINES && i < b->count; i++)
        pack_slot(r, b, &b->slots[i], worker);
}

static void turn(struct run *r)
{
    struct batch *written = r->batches[0];

    r->batches[0] = r->batches[1];
    r->batches[1] = r->batches[2];
    r->batches[2] = written;
}

static void show_progress(const struct run *r)
{
    uint64_t done, total;

    wire_pieces_position(r->lines, &done, &total);
    progress_update(r->im->progress, "import", done, total, r->name);
}

/* A store without a dictionary learns one from the lines that it is about to
 * take in; one that has grown learns another from itself. */
static int train(struct run *r, struct err *err)
{
    struct batch *b = r->batches[1];
    struct slice *bodies;
    size_t count = 0;
    int rc;

    if (store_has_dictionary(r->im->store))
        return store_train(r->im->store, NULL, 0, err);
    bodies = mem_array(2 * BATCH_LINES, sizeof(*bodies));
    for (size_t i = 0; i < b->count; i++) {
        struct slot *s = &b->slots[i];

        if (s->blank || s->cut ||
            wire_record_read(&s->record, r->im->format, line_of(b, s), NULL) !=
                ERR_OK)
            continue;
        bodies[count++] = s->record.call.request;
        bodies[count++] = s->record.call.response;
    }
    rc = store_train(r->im->store, bodies, count, err);
    free(bodies);
    return rc;
}

/* One turn of the three batches. */
static int step(struct run *r, struct err *err)
{
    size_t chunks = (r->batches[1]->count + CHUNK_LINES - 1) / CHUNK_LINES;
    int rc = train(r, err);

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
        return err_set(err, ERR_INTERRUPTED, "%s: interrupted", r->name);
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

static int begin_import(struct run *r, struct err *err)
{
    struct sql_stmt *q;
    int rc = store_group_step(r->im->store, err);

    if (rc == ERR_OK)
        rc = store_source(r->im->store, r->name, &r->source, err);
    if (rc == ERR_OK)
        rc = sql_get(store_sql(r->im->store),
                     "INSERT INTO import(source, started) VALUES(?, ?)", &q,
                     err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, r->source);
    sql_bind_int(q, 2, clock_wall_us());
    rc = sql_run(q, err);
    r->import = sql_last_id(store_sql(r->im->store));
    return rc;
}

static void run_init(struct run *r, struct wire_import *im, const char *path)
{
    unsigned threads = pool_threads(im->pool);

    *r = (struct run){ .im = im, .name = path, .ordinals = map_new() };
    r->packers = mem_array(threads, sizeof(struct store_packer *));
    for (unsigned i = 0; i < threads; i++)
        r->packers[i] = store_packer_new(im->store);
    for (size_t i = 0; i < BATCHES; i++) {
        r->batches[i] = mem_zalloc(sizeof(struct batch));
        for (size_t k = 0; k < BATCH_LINES; k++)
            r->batches[i]->slots[k].parcel = store_parcel_new();
    }
}

static void run_release(struct run *r)
{
    for (unsigned i = 0; i < pool_threads(r->im->pool); i++)
        store_packer_free(r->packers[i]);
    free(r->packers);
    for (size_t i = 0; i < BATCHES; i++) {
        for (size_t k = 0; k < BATCH_LINES; k++) {
            wire_record_release(&r->batches[i]->slots[k].record);
            store_parcel_free(r->batches[i]->slots[k].parcel);
            free(r->batches[i]->slots[k].reason);
        }
        buf_release(&r->batches[i]->text);
        free(r->batches[i]);
    }
    map_free(r->ordinals);
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
            end = update_import(r, rc == ERR_OK, &later);
        if (end == ERR_OK && (rc < 0 || !r->im->more))
            end = store_group_end(r->im->store, &later);
    }
    if (r->write_rc < 0 || end < 0)
        sql_rollback(store_sql(r->im->store));
    if (rc == ERR_OK && end < 0) {
        *err = later;
        rc = end;
    }
    end = wire_rejects_end(&r->rejects, &r->im->rejected_paths, &later);
    if (rc == ERR_OK && end < 0) {
        *err = later;
        rc = end;
    }
    wire_counts_add(&r->im->counts, &r->counts);
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
        rc = begin_import(&r, err);
    if (rc == ERR_OK)
        rc = wire_rejects_begin(&r.rejects, im->store, path, err);
    if (rc == ERR_OK) {
        rc = pump(&r, err);
        rc = end_import(&r, rc, err);
    }
    run_release(&r);
    return rc;
}
