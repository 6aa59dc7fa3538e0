/*
 * curate_count.c - what the store has after a run
 *
 * Everything here is read from the tables that later steps read: that nothing
 * straddles is what the store says, not what the code meant.
 */
#include "curate/curate_priv.h"

#include <string.h>

static size_t reason_at(struct slice name)
{
    for (size_t i = 1; i < CURATE_REASON_COUNT; i++)
        if (slice_is(name, curate_reason_name((enum curate_reason)i)))
            return i;
    return CURATE_FAILED;
}

static int count_rows(struct store *s, struct curate_result *r, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT kept, reason, split, count(*), sum(spans), "
                     "sum(kept AND repeats > 1), min(call) FROM example "
                     "GROUP BY 1, 2, 3",
                     &q, err);

    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        size_t at = sql_int(q, 0) ? CURATE_KEPT : reason_at(sql_text(q, 1));
        uint64_t count = (uint64_t)sql_int(q, 3);
        int64_t call = sql_int(q, 6);

        r->calls += count;
        r->reasons[at] += count;
        r->spans += sql_int(q, 0) ? (uint64_t)sql_int(q, 4) : 0;
        r->repeated += (uint64_t)sql_int(q, 5);
        if (!r->example_of[at] || call < r->example_of[at])
            r->example_of[at] = call;
        for (size_t i = 0; at == CURATE_KEPT && i < 3; i++)
            if (slice_is(sql_text(q, 2),
                         curate_split_name((enum curate_split)i)))
                r->splits[i] += count;
    }
    return rc;
}

#define TEXT(x) TEXT_OF(x)
#define TEXT_OF(x) #x
#define STRADDLE(what)                                                         \
    "SELECT count(*) FROM (SELECT 1 FROM example e JOIN call c ON c.id = "     \
    "e.call WHERE e.kept AND " what " HAVING count(DISTINCT e.split) > 1)"

/* Dialogues without an id, whose calls no query can tell. */
static int count_dialogues(struct store *s, const struct curate_dialogues *d,
                           uint64_t *straddling, struct err *err)
{
    struct map *splits = map_new();
    struct buf name = { 0 };
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT call, split FROM example WHERE kept AND split "
                     "NOTNULL",
                     &q, err);

    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        buf_reset(&name);
        curate_dialogues_name(d, sql_int(q, 0), &name);
        for (int i = 0; name.len && i < 3; i++)
            if (slice_is(sql_text(q, 1),
                         curate_split_name((enum curate_split)i)))
                *map_put(splits, name.data, name.len, NULL) |= UINT64_C(1) << i;
    }
    for (size_t i = 0; i < map_count(splits); i++) {
        uint64_t in = *map_value(splits, i);

        *straddling += (in & (in - 1)) != 0;
    }
    buf_release(&name);
    map_free(splits);
    return rc;
}

int curate_count(struct store *s, const struct curate_dialogues *dialogues,
                 struct curate_result *r, struct err *err)
{
    const struct {
        const char *query;
        uint64_t *to;
    } table[] = {
        { "SELECT count(DISTINCT groups) FROM example WHERE kept", &r->groups },
        { "SELECT count(DISTINCT cluster) FROM example WHERE kept",
          &r->clusters },
        { "SELECT count(cluster) FROM example WHERE kept", &r->clustered },
        { "SELECT count(DISTINCT c.client) FROM example e JOIN call c ON c.id "
          "= e.call WHERE e.kept",
          &r->clients },
        { STRADDLE("c.conversation <> '' GROUP BY c.conversation, CASE WHEN "
                   "length(CAST(c.conversation AS BLOB)) < " TEXT(
                       CURATE_TALK_ID) " THEN c.client END"),
          &r->straddling_conversations },
        { STRADDLE("e.cluster NOTNULL GROUP BY e.cluster"),
          &r->straddling_clusters },
        { STRADDLE("e.input NOTNULL GROUP BY e.input"), &r->straddling_inputs },
        { STRADDLE("c.client <> '' GROUP BY c.client"),
          &r->straddling_clients },
        { "SELECT count(*) FROM (SELECT 1 FROM example WHERE kept GROUP BY "
          "input HAVING count(DISTINCT answer) > 1)",
          &r->contradictory },
    };
    int rc = count_rows(s, r, err);

    for (size_t i = 0; rc == ERR_OK && i < sizeof(table) / sizeof(*table);
         i++) {
        int64_t n = 0;

        rc = sql_one_int(store_sql(s), table[i].query, 0, &n, err);
        *table[i].to = (uint64_t)n;
    }
    if (rc == ERR_OK)
        rc = count_dialogues(s, dialogues, &r->straddling_conversations, err);
    return rc;
}
