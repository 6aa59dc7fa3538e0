/*
 * curate_rows.c - examples into memory, and back what has changed
 *
 * Outcomes are judged while they are read, so that no text of theirs stays.
 */
#include "curate/curate_settle.h"

#include <stdlib.h>
#include <string.h>

static const char select_rows[] =
    "SELECT e.id, e.call, c.time, c.client, e.groups, e.kept, e.reason, "
    "e.split, e.duplicate_of, e.cluster, e.input, e.answer, "
    "e.request NOTNULL, open_text(s.data, 'sketch.data', s.example), o.call "
    "NOTNULL, o.reward, o.answer NOTNULL, peek_text(o.label, 'outcome.label', "
    "o.call), peek_text(o.extra, 'outcome.extra', o.call), "
    "c.conversation FROM example e JOIN "
    "call c ON c.id = e.call LEFT JOIN sketch s ON s.example = e.id LEFT JOIN "
    "outcome o ON o.call = e.call WHERE e.input NOTNULL ORDER BY e.call";

static uint64_t first_bytes(struct slice s)
{
    uint64_t v = 0;

    memcpy(&v, s.p ? s.p : "", s.n < sizeof(v) ? s.n : sizeof(v));
    return v;
}

static uint64_t hash_text(struct slice s)
{
    return s.n ? hash_stable(s.p, s.n, 1) | 1 : 0;
}

static uint64_t hash_talk(const struct curate_settling *k, struct sql_stmt *q)
{
    struct buf id = { 0 }, text = { 0 };
    uint64_t h = 0;

    buf_add_slice(&id, sql_text(q, 19));
    curate_dialogues_name(k->dialogues, sql_int(q, 1), &id);
    if (id.len) {
        curate_talk_put(sql_text(q, 3), buf_slice(&id), &text);
        h = hash_text(buf_slice(&text));
    }
    buf_release(&id);
    buf_release(&text);
    return h;
}

static enum curate_reason reason_named(struct slice name)
{
    for (size_t i = 1; i < CURATE_REASON_COUNT; i++)
        if (slice_is(name, curate_reason_name((enum curate_reason)i)))
            return (enum curate_reason)i;
    return CURATE_KEPT;
}

static int split_named(struct slice name)
{
    for (int i = CURATE_TRAIN; i <= CURATE_TEST; i++)
        if (slice_is(name, curate_split_name((enum curate_split)i)))
            return i;
    return CURATE_UNSPLIT;
}

static void read_outcome(const struct curate_settling *k, struct curate_row *w,
                         struct sql_stmt *q)
{
    struct curate_outcome o = { .there = sql_int(q, 14) != 0,
                                .has_reward = !sql_is_null(q, 15),
                                .reward = sql_double(q, 15),
                                .has_answer = sql_int(q, 16) != 0,
                                .label = sql_text(q, 17),
                                .extra = sql_text(q, 18) };

    w->meets = true;
    for (size_t i = 0; i < k->o->require_count; i++)
        w->meets = w->meets && curate_require_meets(k->o->require[i], &o);
    w->mood = o.there ? curate_outcome_mood(&o) : 0;
    w->corrected = o.has_answer;
}

static void read_sketch(const struct curate_settling *k, struct curate_row *w,
                        struct slice bytes)
{
    struct curate_sketch s;

    if (!curate_sketch_read(bytes, &s))
        return;
    w->task = s.task;
    w->context = s.context;
    w->stratum = s.stratum;
    w->multi = s.multi;
    w->words = s.words;
    w->cut = s.cut || s.count > k->limit;
    w->count = s.count < k->limit ? s.count : k->limit;
    w->hash = mem_array(w->count, sizeof(*w->hash));
    for (size_t i = 0; i < w->count; i++) {
        const unsigned char *p = (const unsigned char *)s.hashes + 4 * i;

        w->hash[i] = (uint32_t)p[0] | (uint32_t)p[1] << 8 |
                     (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    }
    if (!s.count)
        return;
    w->text = hash_stable(s.hashes, (size_t)s.count * 4, s.task + s.words);
    w->text = (w->multi ? w->text ^ s.context : w->text) | 1;
}

int curate_row_split(const struct curate_settling *k,
                     const struct curate_row *w)
{
    bool anew = k->divide || (k->share && w->was_split != CURATE_TEST);

    return anew ? CURATE_UNSPLIT : w->was_split;
}

static void load_row(struct curate_settling *k, struct sql_stmt *q)
{
    struct curate_row *w;
    void *all = k->row;

    mem_grow(&all, &k->cap, k->count + 1, sizeof(*k->row));
    k->row = all;
    w = &k->row[k->count++];
    *w = (struct curate_row){
        .id = sql_int(q, 0),
        .call = sql_int(q, 1),
        .time_us = sql_is_null(q, 2) ? -1 : sql_int(q, 2),
        .client = hash_text(sql_text(q, 3)),
        .group = hash_text(sql_text(q, 4)),
        .talk = hash_talk(k, q),
        .was = sql_int(q, 5) ? CURATE_KEPT : reason_named(sql_text(q, 6)),
        .was_split = split_named(sql_text(q, 7)),
        .was_duplicate_of = sql_int(q, 8),
        .was_cluster = sql_int(q, 9),
        .input = first_bytes(sql_blob(q, 10)),
        .answer = first_bytes(sql_blob(q, 11)),
        .body = sql_int(q, 12) != 0,
    };
    read_outcome(k, w, q);
    read_sketch(k, w, sql_blob(q, 13));
    w->sticky = !k->anew && w->body &&
                (w->was == CURATE_STRADDLES || w->was == CURATE_OVERLAPS_TEST);
    w->reason = w->body && !w->sticky ? CURATE_KEPT : w->was;
    w->split = curate_row_split(k, w);
    w->duplicate_of = w->body && !w->sticky ? 0 : w->was_duplicate_of;
}

size_t curate_rows_limit(const uint64_t examples[CURATE_SHINGLES_MAX + 1],
                         uint64_t most)
{
    uint64_t above = 0, sum = 0; /* that have more than n; and up to n */
    size_t n = 0;

    for (size_t i = 1; i <= CURATE_SHINGLES_MAX; i++)
        above += examples[i];
    for (; n < CURATE_SHINGLES_MAX && sum + above <= most; n++) {
        sum += above;
        above -= examples[n + 1];
    }
    return n;
}

/* By the sizes of sketches, which are what they are also where encrypted. */
static int find_limit(struct curate_settling *k)
{
    uint64_t *examples =
        mem_zalloc((CURATE_SHINGLES_MAX + 1) * sizeof(*examples));
    struct sql_stmt *q;
    int rc = sql_get(store_sql(k->store),
                     "SELECT min(length(data) / 4, ?), count(*) FROM sketch "
                     "GROUP BY 1",
                     &q, k->err);

    if (rc == ERR_OK) {
        sql_bind_int(q, 1, CURATE_SHINGLES_MAX);
        while ((rc = sql_step(q, k->err)) == 1)
            examples[sql_int(q, 0)] += (uint64_t)sql_int(q, 1);
    }
    k->limit = curate_rows_limit(examples, CURATE_SETTLE_HASHES);
    free(examples);
    return rc;
}

int curate_rows_load(struct curate_settling *k)
{
    struct sql_stmt *q;
    int rc = find_limit(k);

    if (rc == ERR_OK)
        rc = sql_get(store_sql(k->store), select_rows, &q, k->err);
    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, k->err)) == 1)
        load_row(k, q);
    return rc;
}

void curate_rows_free(struct curate_settling *k)
{
    for (size_t i = 0; i < k->count; i++) {
        free(k->row[i].hash);
        free(k->row[i].own);
    }
    free(k->row);
    free(k->first);
    free(k->next);
    free(k->near);
    free(k->held);
}

struct curate_row *curate_row_of(struct curate_settling *k, int64_t call)
{
    size_t low = 0, high = k->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (k->row[mid].call < call)
            low = mid + 1;
        else
            high = mid;
    }
    return low < k->count && k->row[low].call == call ? &k->row[low] : NULL;
}

static bool is_changed(const struct curate_row *w)
{
    return w->reason != w->was || w->split != w->was_split ||
           w->duplicate_of != w->was_duplicate_of ||
           w->cluster != w->was_cluster;
}

static int write_row(struct curate_settling *k, const struct curate_row *w)
{
    bool kept = w->reason == CURATE_KEPT;
    struct sql_stmt *q;
    int rc = sql_get(store_sql(k->store),
                     "UPDATE example SET kept = ?2, reason = ?3, duplicate_of "
                     "= ?4, split = ?5, cluster = ?6 WHERE id = ?1",
                     &q, k->err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, w->id);
    sql_bind_int(q, 2, kept);
    if (!kept)
        sql_bind_cstr(q, 3, curate_reason_name(w->reason));
    if (w->duplicate_of)
        sql_bind_int(q, 4, w->duplicate_of);
    if (w->split != CURATE_UNSPLIT)
        sql_bind_cstr(q, 5, curate_split_name((enum curate_split)w->split));
    if (w->cluster)
        sql_bind_int(q, 6, w->cluster);
    return sql_run(q, k->err);
}

/* Examples that a pass has dropped are no rows here, but have been drawn. */
static int forget_splits(struct curate_settling *k)
{
    if (!k->divide && !k->share)
        return ERR_OK;
    return sql_exec(store_sql(k->store),
                    k->divide ? "UPDATE example SET split = NULL WHERE split "
                                "NOTNULL AND request IS NULL"
                              : "UPDATE example SET split = NULL WHERE split "
                                "<> 'test' AND request IS NULL",
                    k->err);
}

int curate_rows_write(struct curate_settling *k)
{
    int rc = forget_splits(k);

    for (size_t i = 0; rc == ERR_OK && i < k->count; i++)
        if (k->row[i].body && is_changed(&k->row[i]))
            rc = write_row(k, &k->row[i]);
    return rc;
}
