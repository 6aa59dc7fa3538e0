/*
 * store_train.c - dictionaries learnt from the store itself
 *
 * A new store learns from the bodies it is about to take in, a grown one from
 * a spread of its own blobs. What is learnt from are the pieces as they are
 * packed, each once.
 */
#include "store/store_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

#define SAMPLE_BYTES ((size_t)4 << 20)
#define SAMPLE_PIECE ((size_t)16 << 10) /* the beginning of longer ones */
#define SAMPLES_MIN 64
#define SAMPLES_MAX 8192
#define DICTIONARY_MAX ((size_t)112 << 10)
#define DICTIONARY_MIN ((size_t)4 << 10)
#define SAMPLE_RATIO 3 /* bytes of samples for one of dictionary */
#define GROWTH 8

struct samples {
    int64_t epoch; /* when they were taken */
    struct buf bytes;
    size_t *sizes;
    size_t count, cap;
    struct map *seen;
};

static bool samples_full(const struct samples *m)
{
    return m->bytes.len >= SAMPLE_BYTES;
}

static void sample(struct samples *m, struct slice piece)
{
    uint64_t h = hash64(piece.p, piece.n, 1);
    void *list = m->sizes;
    size_t n = piece.n < SAMPLE_PIECE ? piece.n : SAMPLE_PIECE;
    bool added;

    if (n < 8 || samples_full(m))
        return;
    (void)map_put(m->seen, &h, sizeof(h), &added);
    if (!added)
        return;
    mem_grow(&list, &m->cap, m->count + 1, sizeof(*m->sizes));
    m->sizes = list;
    m->sizes[m->count++] = n;
    buf_add(&m->bytes, piece.p, n);
}

/* The pieces of a body, without its skeleton's seam: for learning that is
 * near enough. */
static void sample_body(struct samples *m, struct json *j, struct slice body)
{
    json_ref array;
    size_t from;

    if (json_parse(j, body.p, body.n, NULL) < 0 ||
        !store_cut_at(j, 0, BODY_MEMBER, &array)) {
        sample(m, body);
        return;
    }
    from = (size_t)(json_raw(j, array).p - body.p) + 1;
    for (json_ref e = json_first(j, array); e != JSON_NONE;
         e = json_next(j, array, e)) {
        struct slice raw = json_raw(j, e);
        size_t end = (size_t)(raw.p - body.p) + raw.n;

        sample(m, (struct slice){ body.p + from, end - from });
        from = end;
    }
    sample(m, (struct slice){ body.p + from, body.n - from });
}

/* Every k-th blob, so that old and new ones are heard. */
static int sample_store(struct store *s, struct samples *m, int64_t blobs,
                        struct err *err)
{
    struct buf blob = { 0 };
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "SELECT id FROM blob WHERE id > ? AND id % ? = 0 AND "
                     "key IS ?",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, s->blob_base);
    sql_bind_int(q, 2, 1 + blobs / SAMPLES_MAX);
    store_bind_key(s, q, 3);
    while (!samples_full(m) && (rc = sql_step(q, err)) == 1) {
        buf_reset(&blob);
        rc = store_blob_get(s, sql_int(q, 0), &blob, err);
        if (rc < 0)
            break;
        sample(m, buf_slice(&blob));
    }
    sql_reset(q);
    buf_release(&blob);
    return rc < 0 ? rc : ERR_OK;
}

/* The row's id is settled in a transaction of its own: it is bound to it. */
static int add_row(struct store *s, struct store_row *row, struct slice packed,
                   int64_t learnt, struct err *err)
{
    struct sql_stmt *q;
    int rc =
        sql_one_int(s->db, "SELECT max(id) FROM dictionary", 0, &row->id, err);

    row->id =
        (row->id > s->dictionary_floor ? row->id : s->dictionary_floor) + 1;
    if (rc == ERR_OK)
        rc = sql_get(s->db,
                     "INSERT INTO dictionary(id, created, learnt, codec, size, "
                     "data, key) VALUES(?, ?, ?, ?, ?, ?, ?)",
                     &q, err);
    if (rc < 0)
        return rc;
    packed = store_row_seal(s, row, packed);
    sql_bind_int(q, 1, row->id);
    sql_bind_int(q, 2, clock_wall_us());
    sql_bind_int(q, 3, learnt);
    sql_bind_int(q, 4, store_row_codec(s, (enum codec_id)row->codec));
    sql_bind_int(q, 5, row->size);
    sql_bind_blob(q, 6, packed.p, packed.n);
    store_bind_key(s, q, 7);
    return sql_run(q, err);
}

/* What was learnt while somebody removed calls may know too much: it is learnt
 * again another time. */
static int insert_dictionary(struct store *s, struct slice data, int64_t epoch,
                             int64_t learnt, struct err *err)
{
    struct store_row row = { .table = 'd', .size = (int64_t)data.n };
    struct buf packed = { 0 };
    enum codec_id codec;
    int rc = codec_pack(s->codec, NULL, data, &packed, &codec, err);

    if (rc == ERR_OK)
        rc = sql_begin(s->db, err);
    if (rc == ERR_OK) {
        row.codec = codec;
        if (s->epoch == epoch)
            rc = add_row(s, &row, buf_slice(&packed), learnt, err);
        if (rc == ERR_OK)
            rc = sql_commit(s->db, err);
        if (rc < 0)
            sql_rollback(s->db);
    }
    buf_release(&packed);
    return rc == ERR_OK ? store_dictionary_newest(s, err) : rc;
}

/* Too little to learn from is no error: it is tried again when there is twice
 * as much. */
static int learn(struct store *s, const struct samples *m, int64_t blobs,
                 struct err *err)
{
    int64_t seen = blobs > (int64_t)m->count ? blobs : (int64_t)m->count;
    struct buf dictionary = { 0 };
    size_t max = m->bytes.len / SAMPLE_RATIO;
    struct err quiet;
    int rc = ERR_OK;

    if (max > DICTIONARY_MAX)
        max = DICTIONARY_MAX;
    if (m->count >= SAMPLES_MIN && max >= DICTIONARY_MIN &&
        codec_train(m->bytes.data, m->sizes, m->count, max, &dictionary,
                    &quiet) == ERR_OK)
        rc = insert_dictionary(s, buf_slice(&dictionary), m->epoch, seen, err);
    else
        s->train_from = 2 * blobs;
    buf_release(&dictionary);
    return rc;
}

bool store_has_dictionary(const struct store *s)
{
    return s->active != NULL;
}

/* What there is to learn from, if it is time to: nothing otherwise. */
static int gather(struct store *s, const struct slice *bodies, size_t count,
                  int64_t blobs, struct samples *m, struct err *err)
{
    struct json j = { 0 };
    int64_t learnt = 0;
    int rc = ERR_OK;

    if (s->active)
        rc = sql_one_int(s->db, "SELECT max(learnt) FROM dictionary", 0,
                         &learnt, err);
    for (size_t i = 0; i < count && !s->active && !samples_full(m); i++)
        sample_body(m, &j, bodies[i]);
    json_release(&j);
    if (rc == ERR_OK && blobs >= SAMPLES_MIN && blobs >= GROWTH * learnt)
        rc = sample_store(s, m, blobs, err);
    return rc;
}

int store_train_anew(struct store *s, struct err *err)
{
    struct samples m = { .epoch = s->epoch, .seen = map_new() };
    int64_t blobs = 0;
    int rc = sql_one_int(s->db, "SELECT count(*) FROM blob", 0, &blobs, err);

    if (rc == ERR_OK)
        rc = sample_store(s, &m, blobs, err);
    if (rc == ERR_OK)
        rc = learn(s, &m, blobs, err);
    buf_release(&m.bytes);
    free(m.sizes);
    map_free(m.seen);
    return rc;
}

int store_train(struct store *s, const struct slice *bodies, size_t count,
                struct err *err)
{
    struct samples m = { .epoch = s->epoch, .seen = map_new() };
    int64_t blobs = 0;
    int rc = sql_one_int(s->db, "SELECT max(id) FROM blob", 0, &blobs, err);

    blobs -= s->blob_base; /* what others have written is not read here */
    if (rc == ERR_OK && blobs >= s->train_from)
        rc = gather(s, bodies, count, blobs, &m, err);
    /* Learning takes longer than a transaction may. */
    if (rc == ERR_OK && m.count)
        rc = store_group_end(s, err);
    if (rc == ERR_OK && m.count)
        rc = learn(s, &m, blobs, err);
    buf_release(&m.bytes);
    free(m.sizes);
    map_free(m.seen);
    return rc;
}
