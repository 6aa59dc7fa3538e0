/*
 * wire_intake.c - lines of a source into the store, a batch at a time
 *
 * Packing may be shared by threads; writing keeps the order of the lines, so
 * that the store does not depend on their number. A call is known by its key:
 * the id that a proxy gave it, that of its response, or its line and how often
 * that came.
 */
#include "wire/wire_intake.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define KEEP_BYTES                                                             \
    ((size_t)256 << 10) /* a line's memory that is used again                  \
                         */

struct wire_batch *wire_batch_new(void)
{
    struct wire_batch *b = mem_zalloc(sizeof(*b));

    for (size_t i = 0; i < WIRE_BATCH_LINES; i++)
        b->slots[i].parcel = store_parcel_new();
    return b;
}

void wire_batch_free(struct wire_batch *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < WIRE_BATCH_LINES; i++) {
        wire_record_release(&b->slots[i].record);
        store_parcel_free(b->slots[i].parcel);
        free(b->slots[i].reason);
    }
    buf_release(&b->text);
    free(b);
}

bool wire_batch_is_full(const struct wire_batch *b)
{
    return b->count == WIRE_BATCH_LINES || b->text.len >= WIRE_BATCH_BYTES;
}

void wire_batch_add(struct wire_batch *b, const struct codec_line *line)
{
    struct wire_slot *s = &b->slots[b->count++];

    s->at = b->text.len;
    s->n = line->text.n;
    s->number = line->number;
    s->size = line->size;
    s->cut = line->cut;
    s->torn = line->torn;
    s->no_call = false;
    s->blank = !line->cut && !line->torn && slice_trim(line->text).n == 0;
    buf_add_slice(&b->text, line->text);
}

static struct slice line_of(const struct wire_batch *b,
                            const struct wire_slot *s)
{
    return (struct slice){ b->text.data + s->at, s->n };
}

/* The call's key where a proxy or the response has an id; else the line's hash,
 * which the writer completes by its ordinal. */
static void make_key(const struct store *store, struct wire_slot *s,
                     struct slice line)
{
    unsigned char request[CRYPTO_HASH_BYTES];
    struct buf text = { 0 };

    if (s->record.has_call_id) {
        memcpy(s->key, s->record.call_id, sizeof(s->key));
        return;
    }
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

static void pack_slot(struct wire_intake *k, struct wire_batch *b,
                      struct wire_slot *s, unsigned worker)
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
    if (s->torn) {
        s->reason = mem_strdup("the list breaks off here");
        return;
    }
    rc = wire_record_read(&s->record, k->im->format, line, &err);
    s->no_call = rc == 1;
    if (s->no_call)
        return;
    if (rc == ERR_OK) {
        struct wire_record *rec = &s->record;

        rec->call.source = k->source;
        rec->call.line = s->number;
        make_key(k->im->store, s, line);
        rc = store_pack(k->packers[worker], &rec->call,
                        json_present(rec->request) ? &rec->json : NULL,
                        rec->request, s->parcel, &err);
    }
    if (rc < 0)
        s->reason = mem_strdup(err.msg);
}

void wire_batch_pack(struct wire_intake *k, struct wire_batch *b, size_t from,
                     size_t to, unsigned worker)
{
    for (size_t i = from; i < to && i < b->count; i++)
        pack_slot(k, b, &b->slots[i], worker);
}

static void hash_ordinal(const struct store *store, const unsigned char *line,
                         uint64_t ordinal, unsigned char *out)
{
    struct {
        char kind[8];
        unsigned char hash[CRYPTO_HASH_BYTES];
        uint64_t ordinal;
    } text = { .kind = "line", .ordinal = ordinal };

    memcpy(text.hash, line, sizeof(text.hash));
    store_hash(store, (struct slice){ (char *)&text, sizeof(text) }, out);
}

/* A source that goes on counts from what is in the store already. */
static int complete_key(struct wire_intake *k, struct wire_slot *s,
                        struct err *err)
{
    unsigned char line[CRYPTO_HASH_BYTES];
    bool is_first;
    uint64_t *count = map_put(k->ordinals, s->key, sizeof(s->key), &is_first);
    int64_t call;
    int rc = ERR_OK;

    memcpy(line, s->key, sizeof(line));
    do {
        hash_ordinal(k->im->store, line, ++*count, s->key);
        call = 0;
        if (is_first && k->goes_on)
            rc = store_call_find(
                k->im->store, (struct slice){ (char *)s->key, sizeof(s->key) },
                &call, err);
    } while (rc == ERR_OK && call);
    return rc;
}

static int write_call(struct wire_intake *k, struct wire_slot *s,
                      struct err *err)
{
    struct slice key = { (char *)s->key, sizeof(s->key) };
    bool added = false;
    int64_t call;
    int rc = ERR_OK;

    if (!s->record.has_call_id && !s->record.call.response_id.n)
        rc = complete_key(k, s, err);
    if (rc == ERR_OK)
        rc = store_parcel_add(k->im->store, s->parcel, key, &added, err);
    if (rc < 0)
        return rc;
    k->counts.added += added;
    k->counts.known += !added;
    if (!added || !s->record.has_outcome)
        return ERR_OK;
    rc = store_call_find(k->im->store, key, &call, err);
    if (rc == ERR_OK)
        rc = store_outcome_set(k->im->store, call, &s->record.outcome, err);
    return rc;
}

static int write_slot(struct wire_intake *k, struct wire_batch *b,
                      struct wire_slot *s, struct err *err)
{
    int rc;

    k->counts.lines++;
    k->counts.bytes += s->size + 1;
    if (s->blank)
        return ERR_OK;
    k->counts.skipped += s->no_call;
    if (s->no_call)
        return ERR_OK;
    if (!s->reason)
        return write_call(k, s, err);
    k->counts.rejected++;
    rc = wire_rejects_add(&k->rejects, k->name, s->number, line_of(b, s),
                          s->size, s->reason, err);
    free(s->reason);
    s->reason = NULL;
    return rc;
}

/* One monster must not leave its memory in each slot that it visits. */
static void trim_slot(struct wire_slot *s)
{
    if (s->n <= KEEP_BYTES)
        return;
    wire_record_release(&s->record);
    store_parcel_free(s->parcel);
    s->parcel = store_parcel_new();
}

int wire_intake_update(struct wire_intake *k, bool finished, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(k->im->store),
                     "UPDATE import SET lines = ?, bytes = ?, added = ?, "
                     "known = ?, rejected = ?, finished = ? WHERE id = ?",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, (int64_t)k->counts.lines);
    sql_bind_int(q, 2, (int64_t)k->counts.bytes);
    sql_bind_int(q, 3, (int64_t)k->counts.added);
    sql_bind_int(q, 4, (int64_t)k->counts.known);
    sql_bind_int(q, 5, (int64_t)k->counts.rejected);
    if (finished)
        sql_bind_int(q, 6, clock_wall_us());
    sql_bind_int(q, 7, k->import);
    return sql_run(q, err);
}

void wire_batch_clear(struct wire_batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        free(b->slots[i].reason);
        b->slots[i].reason = NULL;
        trim_slot(&b->slots[i]);
    }
    b->count = 0;
    buf_reset(&b->text);
}

int wire_batch_write(struct wire_intake *k, struct wire_batch *b,
                     struct err *err)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < b->count; i++) {
        if (!k->is_whole)
            rc = store_group_step(k->im->store, err);
        if (rc == ERR_OK)
            rc = write_slot(k, b, &b->slots[i], err);
    }
    if (rc == ERR_OK && b->count && !k->is_whole)
        rc = store_group_step(k->im->store, err);
    if (rc == ERR_OK && b->count)
        rc = wire_intake_update(k, false, err);
    wire_batch_clear(b);
    return rc;
}

int wire_batch_train(struct wire_intake *k, struct wire_batch *b,
                     struct err *err)
{
    struct slice *bodies;
    size_t count = 0;
    int rc;

    if (store_has_dictionary(k->im->store))
        return store_train(k->im->store, NULL, 0, err);
    bodies = mem_array(2 * WIRE_BATCH_LINES, sizeof(*bodies));
    for (size_t i = 0; i < b->count; i++) {
        struct wire_slot *s = &b->slots[i];

        if (s->blank || s->cut || s->torn ||
            wire_record_read(&s->record, k->im->format, line_of(b, s), NULL) !=
                ERR_OK)
            continue;
        bodies[count++] = s->record.call.request;
        bodies[count++] = s->record.call.response;
    }
    rc = store_train(k->im->store, bodies, count, err);
    free(bodies);
    return rc;
}

int wire_intake_begin(struct wire_intake *k, struct err *err)
{
    struct sql_stmt *q;
    int rc = store_group_step(k->im->store, err);

    if (rc == ERR_OK)
        rc = store_source(k->im->store, k->name, &k->source, err);
    if (rc == ERR_OK)
        rc = sql_get(store_sql(k->im->store),
                     "INSERT INTO import(source, started) VALUES(?, ?)", &q,
                     err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, k->source);
    sql_bind_int(q, 2, clock_wall_us());
    rc = sql_run(q, err);
    k->import = sql_last_id(store_sql(k->im->store));
    return rc;
}

void wire_intake_init(struct wire_intake *k, struct wire_import *im,
                      const char *name)
{
    unsigned threads = pool_threads(im->pool);

    *k = (struct wire_intake){ .im = im, .name = name, .ordinals = map_new() };
    k->packers = mem_array(threads, sizeof(struct store_packer *));
    for (unsigned i = 0; i < threads; i++)
        k->packers[i] = store_packer_new(im->store);
}

void wire_intake_release(struct wire_intake *k)
{
    for (unsigned i = 0; i < pool_threads(k->im->pool); i++)
        store_packer_free(k->packers[i]);
    free(k->packers);
    map_free(k->ordinals);
}
