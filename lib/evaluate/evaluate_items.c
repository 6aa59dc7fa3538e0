/*
 * evaluate_items.c - the items of a task's split and their references
 *
 * An outcome (label or corrected answer) wins over the logged answer; what the
 * model was trained on is left out. Gold answers are for the table alone. An
 * item is "unseen" if no training example of the task shows the same schema or
 * tools.
 */
#include "evaluate/evaluate_private.h"

#include "codec/codec.h"
#include "base/map.h"
#include "base/mem.h"
#include "json/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GOLD_MAX_BYTES ((size_t)1 << 30)

bool evaluate_message(struct slice response, struct buf *out)
{
    struct json j = { 0 };
    json_ref message = JSON_NONE;

    if (json_parse(&j, response.p, response.n, NULL) == 0)
        message =
            json_get(&j, json_at(&j, json_get(&j, 0, "choices"), 0), "message");
    if (json_present(message))
        buf_add_slice(out, json_raw(&j, message));
    json_release(&j);
    return out->len > 0;
}

/* What the walk over the examples needs. */
struct walk {
    struct evaluate_result *r;
    struct store *store;
    struct map *seen;       /* schema keys of train */
    struct map *duplicates; /* of a call: how many */
};

static int train_see(void *ctx, const struct store_example *e, struct err *err)
{
    struct walk *w = ctx;
    uint64_t key = score_schema_key(e->request);

    (void)err;
    map_put(w->seen, &key, sizeof(key), NULL);
    return ERR_OK;
}

/* 1: the model, or one that it was tuned from, was trained on the example, as
 * happens when the splits have changed since. For the test it is enough that
 * the example told when to stop. */
static int was_trained_on(struct walk *w, int64_t example, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(w->store),
                     "WITH RECURSIVE line(id) AS (SELECT ?1 UNION SELECT "
                     "m.base FROM model m JOIN line l ON m.id = l.id WHERE "
                     "m.base IS NOT NULL) "
                     "SELECT 1 FROM line l JOIN model m ON m.id = l.id JOIN "
                     "dataset_example d ON d.dataset = m.dataset WHERE "
                     "d.example = ?2 AND (d.trained OR ?3)",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, w->r->model);
    sql_bind_int(q, 2, example);
    sql_bind_int(q, 3, w->r->split == 's');
    rc = sql_step(q, err);
    sql_reset(q);
    return rc;
}

static size_t duplicates_of(const struct walk *w, int64_t call)
{
    const uint64_t *n = map_get(w->duplicates, &call, sizeof(call));

    return n ? (size_t)*n : 0;
}

static int duplicates_read(struct walk *w, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(w->store),
                     "SELECT duplicate_of, count(*) FROM example WHERE reason "
                     "= 'duplicate' AND duplicate_of IS NOT NULL GROUP BY 1",
                     &q, err);

    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        int64_t call = sql_int(q, 0);

        *map_put(w->duplicates, &call, sizeof(call), NULL) =
            (uint64_t)sql_int(q, 1);
    }
    return rc;
}

static int item_add(void *ctx, const struct store_example *e, struct err *err)
{
    struct walk *w = ctx;
    struct evaluate_result *r = w->r;
    struct evaluate_item *it;
    uint64_t key;
    int rc = was_trained_on(w, e->id, err);

    r->trained_on += rc == 1;
    if (rc != 0)
        return rc < 0 ? rc : ERR_OK;
    if (r->count >= EVALUATE_MAX_ITEMS)
        return err_set(err, ERR_LIMIT,
                       "task %s: more than %d items; use --limit", r->task_name,
                       EVALUATE_MAX_ITEMS);
    mem_grow((void **)&r->items, &r->cap, r->count + 1, sizeof(*r->items));
    it = &r->items[r->count];
    memset(it, 0, sizeof(*it));
    if (!evaluate_message(e->response, &it->logged))
        return ERR_OK; /* curate keeps none of these */
    r->count++;
    it->example = e->id;
    it->call = e->call;
    it->calls = 1 + duplicates_of(w, e->call);
    it->cluster = e->group.n > 0 ? hash_stable(e->group.p, e->group.n, 0)
                                 : (uint64_t)e->id;
    buf_add_slice(&it->request, e->request);
    it->target = evaluate_target(e, r->kind, &it->reference);
    it->latency_us = e->latency_us;
    it->tokens_in = e->tokens_in;
    it->tokens_out = e->tokens_out;
    if (!r->llm && e->model.n > 0)
        r->llm = slice_dup(e->model);
    key = score_schema_key(e->request);
    it->unseen = key != 0 && !map_get(w->seen, &key, sizeof(key));
    for (int k = 0; k < EVALUATE_WHOS; k++)
        it->golds[k] = (double)NAN;
    return ERR_OK;
}

static void item_release(struct evaluate_item *it)
{
    buf_release(&it->request);
    buf_release(&it->logged);
    buf_release(&it->reference);
    buf_release(&it->gold);
    for (int k = 0; k < EVALUATE_WHOS; k++)
        buf_release(&it->answers[k]);
}

void evaluate_result_release(struct evaluate_result *r)
{
    for (size_t i = 0; i < r->count; i++)
        item_release(&r->items[i]);
    free(r->items);
    free(r->task_name);
    free(r->llm);
    free(r->latencies);
    for (int k = 0; k < EVALUATE_WHOS; k++)
        free(r->columns[k].name);
    for (size_t i = 0; i < r->word_count; i++)
        free(r->words[i]);
    free(r->words);
    for (size_t i = 0; i < r->label_count; i++)
        free(r->labels[i]);
    free(r->labels);
    memset(r, 0, sizeof(*r));
}

static uint64_t draw_order(const struct evaluate_item *it)
{
    return hash_stable(&it->example, sizeof(it->example), 0x6c696d6974);
}

bool evaluate_item_is_judged(const struct evaluate_item *it)
{
    return it->target == EVALUATE_AS_LOGGED || it->target == EVALUATE_CORRECTED;
}

static int by_draw(const void *a, const void *b)
{
    uint64_t x = draw_order(a), y = draw_order(b);
    int first = evaluate_item_is_judged(b) - evaluate_item_is_judged(a);

    if (first != 0)
        return first;

    return x < y ? -1 : x > y;
}

static int by_example(const void *a, const void *b)
{
    const struct evaluate_item *x = a, *y = b;

    return x->example < y->example ? -1 : x->example > y->example;
}

/* The same items for every model, spread over the whole split. */
static void limit_apply(struct evaluate_result *r, size_t limit)
{
    if (limit == 0 || r->count <= limit)
        return;
    qsort(r->items, r->count, sizeof(*r->items), by_draw);
    for (size_t i = limit; i < r->count; i++)
        item_release(&r->items[i]);
    r->count = limit;
    qsort(r->items, r->count, sizeof(*r->items), by_example);
}

static void targets_count(struct evaluate_result *r)
{
    for (size_t i = 0; i < r->count; i++) {
        enum evaluate_target t = r->items[i].target;

        r->from_outcomes += t == EVALUATE_CORRECTED;
        r->rejected += t == EVALUATE_REJECTED;
        r->unscrubbed += t == EVALUATE_UNSCRUBBED;
    }
}

int evaluate_items_load(struct store *s, const struct evaluate_options *opt,
                        struct evaluate_result *r, struct err *err)
{
    struct walk w = {
        .r = r,
        .store = s,
        .seen = map_new(),
        .duplicates = map_new(),
    };
    char splits[2] = { opt->split, '\0' };
    struct store_example_query train = { .task = r->task, .splits = "t" };
    struct store_example_query test = { .task = r->task, .splits = splits };
    int rc = store_examples(s, &train, train_see, &w, err);

    if (rc == ERR_OK)
        rc = duplicates_read(&w, err);
    if (rc == ERR_OK)
        rc = store_examples(s, &test, item_add, &w, err);
    map_free(w.seen);
    map_free(w.duplicates);
    r->empty = rc == ERR_OK && r->count == 0;
    if (rc == ERR_OK && r->count == 0 && r->trained_on)
        rc = err_set(err, ERR_NOTFOUND,
                     "task %s: the model was trained on all %zu examples of "
                     "the %s split; slmctl finetune makes another",
                     r->task_name, r->trained_on,
                     opt->split == 's' ? "test" : "validation");
    else if (rc == ERR_OK && r->count == 0)
        rc = err_set(err, ERR_NOTFOUND, "task %s: no examples in the %s split",
                     r->task_name, opt->split == 's' ? "test" : "validation");
    if (rc == ERR_OK) {
        limit_apply(r, opt->limit);
        targets_count(r);
    }
    return rc;
}

/* Did the LLM answer exactly this, before scrubbing? Then the scrubbed answer
 * is the gold one: surrogates stand for the values in both. */
static bool logged_equals(struct store *s, int64_t call, struct slice gold)
{
    struct buf body = { 0 }, message = { 0 }, content = { 0 };
    struct sql_stmt *q;
    bool equal = false;

    if (sql_get(store_sql(s), "SELECT response FROM call WHERE id = ?", &q,
                NULL) < 0)
        return false;
    sql_bind_int(q, 1, call);
    if (sql_step(q, NULL) == 1 &&
        store_blob_get(s, sql_int(q, 0), &body, NULL) == ERR_OK &&
        evaluate_message(buf_slice(&body), &message) &&
        score_content(buf_slice(&message), &content))
        equal = slice_eq(slice_trim(buf_slice(&content)), slice_trim(gold));
    sql_reset(q);
    buf_release(&body);
    buf_release(&message);
    buf_release(&content);
    return equal;
}

static void gold_put(struct store *s, struct evaluate_result *r,
                     struct evaluate_item *it, struct slice gold)
{
    if (it->gold.len > 0)
        return;
    if (logged_equals(s, it->call, gold))
        buf_add_slice(&it->gold, buf_slice(&it->logged));
    else
        score_message(gold, &it->gold);
    r->gold_count++;
}

static int gold_line(struct store *s, struct evaluate_result *r,
                     const struct map *ids, struct slice line, const char *path,
                     size_t number, struct err *err)
{
    struct json j = { 0 };
    struct buf id = { 0 }, gold = { 0 };
    int rc = json_parse(&j, line.p, line.n, err);
    uint64_t *at;

    if (rc < 0) {
        rc = err_wrap(err, "%s:%zu", path, number);
    } else if (!json_text(&j, json_get(&j, 0, "id"), &id) ||
               !json_present(json_get(&j, 0, "gold"))) {
        rc = err_set(err, ERR_FORMAT, "%s:%zu: want members id and gold", path,
                     number);
    } else {
        json_ref value = json_get(&j, 0, "gold");

        if (!json_text(&j, value, &gold))
            buf_add_slice(&gold, json_raw(&j, value));
        at = map_get(ids, id.data ? id.data : "", id.len);
        if (at)
            gold_put(s, r, &r->items[*at], buf_slice(&gold));
    }
    json_release(&j);
    buf_release(&id);
    buf_release(&gold);
    return rc;
}

/* Items by what the upstream called the answer. */
static int ids_read(struct store *s, const struct evaluate_result *r,
                    struct map *ids, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), "SELECT response_id FROM call WHERE id = ?",
                     &q, err);

    for (size_t i = 0; rc >= 0 && i < r->count; i++) {
        sql_bind_int(q, 1, r->items[i].call);
        rc = sql_step(q, err);
        if (rc == 1 && !sql_is_null(q, 0)) {
            struct slice id = sql_text(q, 0);

            *map_put(ids, id.p, id.n, NULL) = i;
        }
        sql_reset(q);
    }
    return rc < 0 ? rc : ERR_OK;
}

int evaluate_gold_load(struct store *s, const char *path,
                       struct evaluate_result *r, struct err *err)
{
    struct buf file = { 0 };
    struct map *ids = map_new();
    int rc = codec_read_file(path, GOLD_MAX_BYTES, &file, err);
    size_t number = 0;

    if (rc == ERR_OK)
        rc = ids_read(s, r, ids, err);
    for (size_t i = 0; rc == ERR_OK && i < file.len;) {
        const char *end = memchr(file.data + i, '\n', file.len - i);
        size_t n = end ? (size_t)(end - file.data) - i : file.len - i;
        struct slice line = slice_trim((struct slice){ file.data + i, n });

        number++;
        if (line.n > 0)
            rc = gold_line(s, r, ids, line, path, number, err);
        i += n + 1;
    }
    map_free(ids);
    buf_release(&file);
    return rc;
}
