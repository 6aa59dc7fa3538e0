/*
 * registry_terms.c - may one learn from this LLM, and use this base
 *
 * What the user declared counts, by the name of the LLM or of the licence.
 * Nothing is guessed about an LLM; of licences only those are taken as allowed
 * that ask nothing of whoever trains and uses a model but notices. This is a
 * reminder that leaves a trace, no legal advice.
 */
#include "registry/registry_private.h"

#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const names[] = { "unknown", "allow", "forbid" };

const char *registry_terms_name(enum registry_terms t)
{
    return names[t];
}

bool registry_terms_of(const char *name, enum registry_terms *out)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(names[i], name) == 0) {
            *out = (enum registry_terms)i;
            return true;
        }
    return false;
}

/* Identifiers of SPDX and as model cards write them. */
static bool is_free(struct slice licence)
{
    static const char *const list[] = {
        "apache-2.0", "mit",        "bsd-2-clause", "bsd-3-clause",
        "cc0-1.0",    "cc-by-4.0",  "unlicense",    "isc",
        "zlib",       "odc-by-1.0", "odc-by",       "cdla-permissive-2.0",
    };

    for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
        if (licence.n == strlen(list[i]) &&
            strncasecmp(licence.p, list[i], licence.n) == 0)
            return true;
    return false;
}

static int declared(struct store *s, struct slice name, bool *found,
                    enum registry_terms *out, struct err *err)
{
    struct sql_stmt *q;
    int rc =
        sql_get(store_sql(s), "SELECT terms FROM terms WHERE llm = ?", &q, err);

    *found = false;
    *out = REGISTRY_UNKNOWN;
    if (rc < 0)
        return rc;
    sql_bind_text(q, 1, name);
    rc = sql_step(q, err);
    if (rc == 1) {
        *found = true;
        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
            if (slice_is(sql_text(q, 0), names[i]))
                *out = (enum registry_terms)i;
    }
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

/* forbid is worse than unknown, unknown than allow. */
static bool is_worse(enum registry_terms a, enum registry_terms b)
{
    static const int rank[] = {
        [REGISTRY_UNKNOWN] = 1, [REGISTRY_ALLOW] = 0, [REGISTRY_FORBID] = 2
    };

    return rank[a] > rank[b];
}

static void say_llm(char *what, enum registry_terms t, struct slice llm)
{
    int n = llm.n < 80 ? (int)llm.n : 80;

    if (slice_is(llm, REGISTRY_UNNAMED) && t == REGISTRY_UNKNOWN) {
        (void)snprintf(what, REGISTRY_WHAT,
                       "there are calls that do not name their LLM, so whether "
                       "one may learn from it is not known (slmctl model terms "
                       "--set allow|forbid " REGISTRY_UNNAMED
                       " is about these)");
        return;
    }
    if (t == REGISTRY_FORBID)
        (void)snprintf(what, REGISTRY_WHAT,
                       "learning from %.*s is declared as forbidden", n, llm.p);
    else
        (void)snprintf(what, REGISTRY_WHAT,
                       "whether one may learn from %.*s is not declared "
                       "(slmctl model terms --set allow|forbid %.*s)",
                       n, llm.p, n, llm.p);
}

static void say_licence(char *what, enum registry_terms t, struct slice id)
{
    int n = id.n < 80 ? (int)id.n : 80;

    if (t == REGISTRY_FORBID)
        (void)snprintf(what, REGISTRY_WHAT,
                       "the base's licence, %.*s, is declared as forbidden", n,
                       id.p);
    else if (!id.n)
        (void)snprintf(what, REGISTRY_WHAT,
                       "the base's licence is not known (slmctl model add "
                       "--license ID tells it)");
    else
        (void)snprintf(what, REGISTRY_WHAT,
                       "whether the base's licence, %.*s, lets one do this is "
                       "not declared (slmctl model terms --set allow|forbid "
                       "%.*s)",
                       n, id.p, n, id.p);
}

static int check_llm(struct store *s, struct slice llm,
                     enum registry_terms *worst, char *what, struct err *err)
{
    enum registry_terms t;
    bool found;
    int rc = declared(s, llm, &found, &t, err);

    if (rc == ERR_OK && is_worse(t, *worst)) {
        *worst = t;
        say_llm(what, t, llm);
    }
    return rc;
}

/* Nobody named is nobody asked: that is unknown. */
static int check_llms(struct store *s, struct slice teachers,
                      enum registry_terms *worst, char *what, struct err *err)
{
    struct buf text = { .data = NULL };
    struct json j = { 0 };
    size_t count = 0;
    int rc = ERR_OK;

    if (json_parse(&j, teachers.p, teachers.n, NULL) == ERR_OK)
        for (json_ref e = json_first(&j, 0); rc == ERR_OK && e != JSON_NONE;
             e = json_next(&j, 0, e)) {
            buf_reset(&text);
            if (!json_text(&j, e, &text) || !text.len)
                buf_str(&text, REGISTRY_UNNAMED);
            rc = check_llm(s, buf_slice(&text), worst, what, err);
            count++;
        }
    json_release(&j);
    buf_release(&text);
    if (rc < 0 || count)
        return rc;
    *worst = REGISTRY_UNKNOWN;
    (void)snprintf(what, REGISTRY_WHAT,
                   "which LLM its examples are from is not recorded");
    return ERR_OK;
}

int registry_terms_of_both(struct store *s, struct slice teachers,
                           struct slice licence, enum registry_terms *out,
                           char *what, struct err *err)
{
    enum registry_terms t;
    bool found;
    int rc;

    *out = REGISTRY_ALLOW;
    what[0] = '\0';
    rc = check_llms(s, teachers, out, what, err);
    if (rc == ERR_OK)
        rc = declared(s, licence, &found, &t, err);
    if (rc < 0)
        return rc;
    if (!found && is_free(licence))
        t = REGISTRY_ALLOW;
    if (is_worse(t, *out)) {
        *out = t;
        say_licence(what, t, licence);
    }
    return ERR_OK;
}

static int check_row(struct store *s, struct sql_stmt *q,
                     enum registry_terms *out, char *what, struct err *err)
{
    struct buf teachers = { .data = NULL }, licence = { .data = NULL };
    int rc;

    buf_add_slice(&teachers, sql_text(q, 0));
    buf_add_slice(&licence, sql_text(q, 1));
    sql_reset(q);
    rc = registry_terms_of_both(s, buf_slice(&teachers), buf_slice(&licence),
                                out, what, err);
    buf_release(&teachers);
    buf_release(&licence);
    return rc;
}

/* A client's own models are no teachers: what they answered is not trained
 * on. Calls that do not name their model give a null. */
#define LLMS                                                                   \
    "json_group_array(name) FROM (SELECT DISTINCT nullif(o.model, '') AS "     \
    "name FROM example e JOIN logged l ON l.id = e.call JOIN origin o ON "     \
    "o.id = l.origin WHERE coalesce(o.upstream, '') NOT GLOB 'slm:*' AND "

int registry_terms_check(struct store *s, int64_t task, int64_t base,
                         enum registry_terms *out, char what[REGISTRY_WHAT],
                         struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT (SELECT " LLMS
                     "e.kept AND e.task IN (SELECT id FROM task WHERE id = ?1 "
                     "OR merged_into = ?1) ORDER BY 1)), (SELECT license FROM "
                     "model WHERE id = ?2)",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, task);
    sql_bind_int(q, 2, base);
    rc = sql_step(q, err);
    return rc < 0 ? rc : check_row(s, q, out, what, err);
}

int registry_terms_model(struct store *s, int64_t model,
                         enum registry_terms *out, char what[REGISTRY_WHAT],
                         struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_row_of(store_sql(s),
                        "SELECT m.teacher, b.license FROM model m LEFT JOIN "
                        "model b ON b.id = m.base WHERE m.id = ?",
                        model, &q, err);

    if (rc != 1)
        return rc < 0 ? rc
                      : err_set(err, ERR_NOTFOUND, "model %lld is gone",
                                (long long)model);
    return check_row(s, q, out, what, err);
}

static int check_name(const char *name, struct err *err)
{
    size_t n = strlen(name);
    bool printable = n >= 1 && n <= REGISTRY_TERMS_NAME;

    for (size_t i = 0; printable && i < n; i++)
        printable = (unsigned char)name[i] >= ' ' && name[i] != 0x7F;
    return printable ? ERR_OK
                     : err_set(err, ERR_INVALID,
                               "the name of an LLM or a licence has 1 to %d "
                               "printable characters",
                               REGISTRY_TERMS_NAME);
}

static int drop_terms(struct store *s, const char *llm, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), "DELETE FROM terms WHERE llm = ?", &q, err);

    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, llm);
    return sql_run(q, err);
}

static int put_terms(struct store *s, const char *llm, const char *terms,
                     const char *note, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "INSERT OR REPLACE INTO terms(llm, terms, note, time) "
                     "VALUES(?, ?, ?, ?)",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, llm);
    sql_bind_cstr(q, 2, terms);
    sql_bind_cstr(q, 3, note);
    sql_bind_int(q, 4, clock_wall_us());
    return sql_run(q, err);
}

int registry_terms_set(struct store *s, const char *llm, enum registry_terms t,
                       const char *note, struct err *err)
{
    struct registry_event e = { .kind = "terms",
                                .command = "model terms",
                                .reason = note };
    struct buf detail = { .data = NULL };
    struct json_writer w;
    bool is_removed = t == REGISTRY_UNKNOWN && !note;
    int rc = is_removed ? ERR_OK : check_name(llm, err);

    if (rc == ERR_OK)
        rc = sql_begin(store_sql(s), err);
    if (rc < 0)
        return rc;
    json_writer_init(&w, &detail, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "llm", llm);
    json_put_string(&w, "terms", names[t]);
    json_end_object(&w);
    e.detail = detail.data;
    rc = is_removed ? drop_terms(s, llm, err)
                    : put_terms(s, llm, names[t], note, err);
    if (rc == ERR_OK)
        rc = registry_event_add(s, &e, NULL, err);
    if (rc == ERR_OK)
        rc = sql_commit(store_sql(s), err);
    if (rc < 0)
        sql_rollback(store_sql(s));
    buf_release(&detail);
    return rc;
}

int registry_override(struct store *s, int64_t task, int64_t model,
                      const char *reason, struct err *err)
{
    const struct registry_event e = { .task = task,
                                      .model = model,
                                      .kind = "override",
                                      .command = "--override-terms",
                                      .reason = reason };

    assert(reason && reason[0]);
    return registry_event_add(s, &e, NULL, err);
}

int registry_teachers(struct store *s, int64_t dataset, struct buf *out,
                      struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_row_of(store_sql(s),
                        "SELECT " LLMS
                        "e.id IN (SELECT example FROM dataset_example WHERE "
                        "dataset = ?1 AND trained) ORDER BY 1)",
                        dataset, &q, err);

    if (rc != 1)
        return rc < 0 ? rc : ERR_OK;
    buf_add_slice(out, sql_text(q, 0));
    sql_reset(q);
    return ERR_OK;
}
