/*
 * tasks_rows.c - which row of `task` a new cluster is
 *
 * A task is known by its calls: a cluster takes the row that most of its
 * members had. So names last over fits, and what a person decided lasts: a
 * merged task takes all clusters of its parts, a pinned one keeps its calls.
 */
#include "tasks/tasks_store.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "tasks/tasks_label.h"

#include <stdlib.h>
#include <string.h>

#define EXAMPLE_MAX 400 /* bytes of the example prompt in the detail */
#define SAMPLE_MAX 400  /* members that words are counted in */
#define NAME_TRIES 1000

struct members {
    const struct tasks_prompt **p;
    const struct tasks_answer **a;
    size_t n, answers;
};

/* Members of each cluster that were not sealed (all, if none were open). */
static struct members *collect(const struct tasks_examples *x,
                               const uint32_t *label, size_t clusters)
{
    struct members *m = mem_zalloc((clusters + 1) * sizeof(*m));

    for (unsigned pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < x->count; i++) {
            const struct tasks_example *e = &x->item[i];
            if (label[i] == TASKS_NONE || e->sealed)
                continue;
            struct members *c = &m[label[i]];
            if (pass) {
                c->p[c->n] = &e->prompt;
                c->a[c->n] = &e->answer;
            }
            c->n++;
        }
        for (size_t c = 0; c < clusters && !pass; c++) {
            m[c].p = mem_array(m[c].n, sizeof(*m[c].p));
            m[c].a = mem_array(m[c].n, sizeof(*m[c].a));
            m[c].n = 0;
        }
    }
    return m;
}

static void members_free(struct members *m, size_t clusters)
{
    for (size_t c = 0; c < clusters; c++) {
        free(m[c].p);
        free(m[c].a);
    }
    free(m);
}

/* Does this row take every cluster that has its calls? */
static int takes_all(struct store *s, int64_t task, bool *all, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_row_of(store_sql(s),
                        "SELECT pinned OR EXISTS(SELECT 1 FROM task m WHERE "
                        "m.merged_into = t.id) FROM task t WHERE id = ?1",
                        task, &q, err);

    *all = false;
    if (rc != 1)
        return rc;
    *all = sql_int(q, 0);
    sql_reset(q);
    return ERR_OK;
}

struct overlap {
    uint32_t cluster;
    int64_t task;
    uint64_t calls;
};

static int compare_overlaps(const void *a, const void *b)
{
    const struct overlap *x = a, *y = b;

    if (x->calls != y->calls)
        return x->calls > y->calls ? -1 : 1;
    if (x->cluster != y->cluster)
        return x->cluster > y->cluster ? 1 : -1;
    return (x->task > y->task) - (x->task < y->task);
}

/* How many calls of each cluster each old task had, most first. */
static struct overlap *overlaps(const struct tasks_examples *x,
                                const uint32_t *label, size_t *size,
                                size_t *count)
{
    struct map *m = map_new();

    for (size_t i = 0; i < x->count; i++) {
        int64_t key[2] = { label[i], x->item[i].task };
        if (label[i] == TASKS_NONE)
            continue;
        size[label[i]]++;
        if (key[1])
            ++*map_put(m, key, sizeof(key), NULL);
    }
    *count = map_count(m);
    struct overlap *o = mem_array(*count, sizeof(*o));
    for (size_t i = 0; i < *count; i++) {
        int64_t key[2];
        memcpy(key, map_key(m, i).p, sizeof(key));
        o[i] = (struct overlap){ (uint32_t)key[0], key[1], *map_value(m, i) };
    }
    map_free(m);
    qsort(o, *count, sizeof(*o), compare_overlaps);
    return o;
}

/* Rows that clusters inherit; 0 for new ones. */
static int inherit(struct store *s, const struct tasks_examples *x,
                   const uint32_t *label, size_t clusters, int64_t *task,
                   struct err *err)
{
    size_t *size = mem_zalloc((clusters + 1) * sizeof(*size)), count;
    struct overlap *o = overlaps(x, label, size, &count);
    struct map *taken = map_new();
    int rc = 0;

    memset(task, 0, clusters * sizeof(*task));
    for (size_t i = 0; i < count && rc == 0; i++) {
        bool all, first;
        if (task[o[i].cluster] || o[i].calls * 2 < size[o[i].cluster])
            continue;
        rc = takes_all(s, o[i].task, &all, err);
        map_put(taken, &o[i].task, sizeof(o[i].task), &first);
        if (rc == 0 && (first || all))
            task[o[i].cluster] = o[i].task;
    }
    map_free(taken);
    free(size);
    free(o);
    return rc;
}

/* A name that no row has yet: the slug, or the slug and a number. */
static int unique_name(struct store *s, const char *slug, char **out,
                       struct err *err)
{
    struct sql_stmt *q;

    for (unsigned i = 1; i < NAME_TRIES; i++) {
        char *name = i == 1 ? mem_strdup(slug) : mem_printf("%s-%u", slug, i);
        int rc = sql_get(store_sql(s), "SELECT 1 FROM task WHERE name = ?1", &q,
                         err);
        if (rc == 0) {
            sql_bind_cstr(q, 1, name);
            rc = sql_step(q, err);
        }
        if (rc == 0) {
            *out = name;
            return 0;
        }
        free(name);
        if (rc < 0)
            return rc;
        sql_reset(q);
    }
    return err_set(err, ERR_LIMIT, "task %s: %u tasks have names like it", slug,
                   NAME_TRIES);
}

static int insert_row(struct store *s, const struct tasks_label *l,
                      enum tasks_kind kind, const struct buf *detail,
                      int64_t *id, struct err *err)
{
    char *name = NULL;
    struct sql_stmt *q;
    int rc = unique_name(s, l->name, &name, err);

    if (rc == 0)
        rc = sql_get(store_sql(s),
                     "INSERT INTO task(id, name, label, kind, created, detail) "
                     "SELECT n, ?1, seal_text(?2, 'task.label', n), ?3, ?4, "
                     "seal_text(?5, 'task.detail', n) FROM "
                     "(SELECT coalesce(max(id), 0) + 1 AS n FROM task)",
                     &q, err);
    if (rc == 0) {
        sql_bind_cstr(q, 1, name);
        sql_bind_cstr(q, 2, l->text);
        sql_bind_cstr(q, 3, tasks_kind_name(kind));
        sql_bind_int(q, 4, clock_wall_us());
        sql_bind_text(q, 5, buf_slice(detail));
        rc = sql_run(q, err);
        *id = sql_last_id(store_sql(s));
    }
    free(name);
    return rc;
}

static int update_row(struct store *s, int64_t id, const struct tasks_label *l,
                      enum tasks_kind kind, const struct buf *detail,
                      struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "UPDATE task SET label = seal_text(?2, 'task.label', id), "
                     "kind = ?3, detail = seal_text(?4, 'task.detail', id) "
                     "WHERE id = ?1 AND NOT pinned",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, id);
    sql_bind_cstr(q, 2, l->text);
    sql_bind_cstr(q, 3, tasks_kind_name(kind));
    sql_bind_text(q, 4, buf_slice(detail));
    return sql_run(q, err);
}

static void put_example(struct json_writer *w, const struct tasks_prompt *p)
{
    struct slice text = slice_trim(slice_of(p->user_text));

    if (text.n > EXAMPLE_MAX)
        text.n = EXAMPLE_MAX;
    while (text.n && !utf8_valid(text.p, text.n))
        text.n--;
    json_put_slice(w, "example", text);
}

/* Describe a cluster and write its row; *task 0 makes one. */
static int write_row(struct store *s, const struct members *m,
                     const struct tasks_words *words, int64_t *task,
                     struct err *err)
{
    struct buf detail = { 0 };
    struct json_writer w;
    struct tasks_label label;
    int rc;

    json_writer_init(&w, &detail, false);
    json_begin_object(&w, NULL);
    enum tasks_kind kind = tasks_answers_kind(m->a, m->n, &w);
    tasks_label_make(m->p, m->n, words, &w, &label);
    put_example(&w, m->p[m->n / 2]);
    json_end_object(&w);
    rc = *task ? update_row(s, *task, &label, kind, &detail, err)
               : insert_row(s, &label, kind, &detail, task, err);
    tasks_label_release(&label);
    buf_release(&detail);
    return rc;
}

static void count_words(const struct members *m, size_t clusters,
                        struct tasks_words *words)
{
    for (size_t c = 0; c < clusters; c++) {
        size_t n = m[c].n < SAMPLE_MAX ? m[c].n : SAMPLE_MAX;
        for (size_t i = 0; i < n; i++)
            tasks_words_add(words, m[c].p[m[c].n * i / n]);
    }
}

int tasks_rows_match(struct store *s, const struct tasks_examples *x,
                     const uint32_t *label, size_t clusters, int64_t *task,
                     struct err *err)
{
    struct members *m = collect(x, label, clusters);
    struct tasks_words words = { 0 };
    int rc = inherit(s, x, label, clusters, task, err);
    /* A row that several clusters share is described by the largest. */
    struct map *described = map_new();

    count_words(m, clusters, &words);
    for (size_t c = 0; c < clusters && rc == 0; c++) {
        bool first = true;
        if (task[c])
            map_put(described, &task[c], sizeof(task[c]), &first);
        if (m[c].n && first)
            rc = write_row(s, &m[c], &words, &task[c], err);
    }
    map_free(described);
    tasks_words_release(&words);
    members_free(m, clusters);
    return rc;
}
