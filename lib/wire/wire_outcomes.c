/*
 * wire_outcomes.c - rewards, labels and answers that come after the calls
 *
 * A line names its calls by "call" (the store's id), "response_id" or
 * "conversation_id"; the rest of the line is the outcome, at the top or in a
 * member "outcome". Set again, the same outcome changes nothing.
 */
#include "wire/wire_private.h"

#include "base/mem.h"

#include <stdlib.h>

#define CALLS_MAX ((size_t)1 << 20) /* of one conversation */

struct join {
    struct wire_import *im;
    const char *name;
    struct wire_rejects rejects;
    struct wire_record record;
    struct wire_counts counts;
    bool indexed;
    int64_t *calls; /* of the current line */
    size_t count, cap;
};

/* The store has no index on these texts, they are long and asked for only
 * here: one is made in memory when it is first needed. */
static int make_index(struct join *t, struct err *err)
{
    if (t->indexed)
        return ERR_OK;
    t->indexed = true;
    return sql_exec(store_sql(t->im->store),
                    "CREATE TEMP TABLE named AS SELECT id, conversation, "
                    "response_id FROM call;"
                    "CREATE INDEX temp.by_conversation ON named(conversation);"
                    "CREATE INDEX temp.by_response ON named(response_id)",
                    err);
}

static int select_calls(struct join *t, const char *text, struct slice name,
                        struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(t->im->store), text, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_text(q, 1, name);
    while ((rc = sql_step(q, err)) == 1 && t->count < CALLS_MAX) {
        void *list = t->calls;

        mem_grow(&list, &t->cap, t->count + 1, sizeof(*t->calls));
        t->calls = list;
        t->calls[t->count++] = sql_int(q, 0);
    }
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

static int find_calls(struct join *t, struct err *err)
{
    static const struct {
        const char *field, *text;
    } keys[] = {
        { "call", "SELECT id FROM logged WHERE id = CAST(? AS INTEGER)" },
        { "response_id", "SELECT id FROM temp.named WHERE response_id = ?" },
        { "conversation_id",
          "SELECT id FROM temp.named WHERE conversation = ?" },
        { "session_id", "SELECT id FROM temp.named WHERE conversation = ?" },
    };
    struct wire_record *r = &t->record;

    t->count = 0;
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        json_ref v = json_get(&r->json, 0, keys[i].field);
        struct slice name;
        int rc;

        if (json_kind(&r->json, v) == JSON_NULL)
            continue;
        rc = wire_text(r, v, keys[i].field, &name, err);
        if (rc == ERR_OK && i > 0)
            rc = make_index(t, err);
        if (rc == ERR_OK)
            rc = select_calls(t, keys[i].text, name, err);
        if (rc == ERR_OK && t->count == 0)
            rc = err_set(err, ERR_NOTFOUND, "%s: no such call in the store",
                         keys[i].field);
        return rc;
    }
    return err_set(err, ERR_FORMAT,
                   "none of call, response_id, conversation_id");
}

/* ERR_FORMAT, ERR_LIMIT and ERR_NOTFOUND are the line's own fault. */
static int read_line(struct join *t, struct slice line, struct store_outcome *o,
                     struct err *err)
{
    struct wire_record *r = &t->record;
    json_ref v;
    int rc;

    wire_record_reset(r);
    rc = json_parse(&r->json, line.p, line.n, err);
    if (rc == ERR_OK && !json_is(&r->json, 0, JSON_OBJECT))
        rc = err_set(err, ERR_FORMAT, "not an object");
    if (rc < 0)
        return rc;
    v = json_get(&r->json, 0, "outcome");
    rc = wire_outcome(r, json_kind(&r->json, v) != JSON_NULL ? v : 0, o, err);
    return rc < 0 ? rc : find_calls(t, err);
}

int wire_outcome_read(struct wire_record *r, struct slice text,
                      struct store_outcome *out, struct err *err)
{
    int rc;

    wire_record_reset(r);
    rc = json_parse(&r->json, text.p, text.n, err);
    if (rc == ERR_OK && !json_is(&r->json, 0, JSON_OBJECT))
        rc = err_set(err, ERR_FORMAT, "not an object");
    return rc < 0 ? rc : wire_outcome(r, 0, out, err);
}

static int apply(struct join *t, const struct store_outcome *o, struct err *err)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < t->count; i++) {
        rc = store_group_step(t->im->store, err);
        if (rc == ERR_OK)
            rc = store_outcome_set(t->im->store, t->calls[i], o, err);
        if (rc == ERR_OK && sql_changes(store_sql(t->im->store)) > 0)
            t->counts.updated++;
    }
    return rc;
}

static int join_line(struct join *t, const struct codec_line *line,
                     struct err *err)
{
    struct store_outcome o = { 0 };
    int rc = ERR_OK;

    t->counts.lines++;
    t->counts.bytes += line->size + 1;
    if (!line->cut && slice_trim(line->text).n == 0)
        return ERR_OK;
    if (line->cut)
        rc = err_set(err, ERR_LIMIT, "longer than %zu bytes", WIRE_LINE_MAX);
    else
        rc = read_line(t, line->text, &o, err);
    if (rc == ERR_OK)
        return apply(t, &o, err);
    if (rc != ERR_FORMAT && rc != ERR_LIMIT && rc != ERR_NOTFOUND)
        return rc;
    t->counts.rejected++;
    return wire_rejects_add(&t->rejects, t->name, line->number, line->text,
                            line->size, err->msg, err);
}

static int join_lines(struct join *t, struct codec_lines *lines,
                      struct err *err)
{
    struct codec_line line;
    int rc;

    while ((rc = codec_lines_next(lines, &line, err)) == 1) {
        rc = join_line(t, &line, err);
        if (rc < 0)
            return rc;
        if (stop_requested())
            return err_set(err, ERR_INTERRUPTED, "%s: interrupted", t->name);
    }
    return rc;
}

/* What was joined before an interruption stays joined. */
static int end_join(struct join *t, int rc, struct err *err)
{
    struct err later;
    int end = ERR_OK;

    if (rc == ERR_OK || rc == ERR_INTERRUPTED)
        end = store_group_end(t->im->store, &later);
    else
        sql_rollback(store_sql(t->im->store));
    if (end == ERR_OK)
        end = wire_rejects_end(&t->rejects, &t->im->rejected_paths, &later);
    if (rc == ERR_OK && end < 0) {
        *err = later;
        rc = end;
    }
    wire_counts_add(&t->im->counts, &t->counts);
    return rc;
}

int wire_outcomes_file(struct wire_import *im, const char *path,
                       struct err *err)
{
    char *source = mem_printf("outcomes:%s", path);
    struct join t = { .im = im, .name = source };
    struct codec_lines *lines = NULL;
    struct err later;
    int rc = codec_lines_open(path, WIRE_LINE_MAX, &lines, err);

    if (rc == ERR_OK)
        rc = wire_rejects_begin(&t.rejects, im->store, source, err);
    if (rc == ERR_OK) {
        rc = join_lines(&t, lines, err);
        rc = end_join(&t, rc, err);
    }
    codec_lines_close(lines);
    wire_record_release(&t.record);
    if (t.indexed &&
        sql_exec(store_sql(im->store), "DROP TABLE temp.named", &later) < 0 &&
        rc == ERR_OK) {
        *err = later;
        rc = later.code;
    }
    free(t.calls);
    free(source);
    return rc;
}
