/*
 * report_curves.c - how training went, and what cost and quality become when
 * one task after the other moves
 *
 * A run's metrics are looked for below the store first, so that a store which
 * was moved or copied still tells them; a run that is gone is left out.
 */
#include "report/report_state.h"

#include "base/io.h"
#include "base/mem.h"
#include "registry/registry.h"

#include <math.h>
#include <stdlib.h>

#define METRICS_MAX ((size_t)64 << 20)

static void add_point(struct state_curve *c, double x, double y)
{
    if (c->n >= STATE_POINTS_MAX)
        return;
    mem_grow((void **)&c->x, &c->cap_x, c->n + 1, sizeof(*c->x));
    mem_grow((void **)&c->y, &c->cap_y, c->n + 1, sizeof(*c->y));
    c->x[c->n] = x;
    c->y[c->n++] = y;
}

static void read_line(struct state_curve *c, struct json *j, struct slice line)
{
    double tokens, loss;

    if (json_parse(j, line.p, line.n, NULL) == ERR_OK &&
        json_double(j, json_get(j, 0, "tokens"), &tokens) &&
        json_double(j, json_get(j, 0, "validation"), &loss))
        add_point(c, tokens, loss);
}

static void read_metrics(struct state_curve *c, const char *path)
{
    struct buf text = { 0 };
    struct json j = { 0 };
    struct slice rest;

    if (io_read_file(path, METRICS_MAX, &text, NULL) < 0) {
        buf_release(&text);
        return;
    }
    rest = buf_slice(&text);
    while (rest.n) {
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t n = end ? (size_t)(end - rest.p) : rest.n;

        read_line(c, &j, (struct slice){ rest.p, n });
        n += end ? 1 : 0;
        rest = (struct slice){ rest.p + n, rest.n - n };
    }
    json_release(&j);
    buf_release(&text);
}

static void add_curve(struct report_state *r, struct store *s,
                      struct slice model, const char *run)
{
    const char *slash = strrchr(run, '/');
    struct state_curve c = { .name = slice_dup(model) };
    char *here = mem_printf("%s/runs/%s/metrics.jsonl", store_dir(s),
                            slash ? slash + 1 : run);
    char *there = mem_printf("%s/metrics.jsonl", run);

    read_metrics(&c, io_exists(here) ? here : there);
    free(here);
    free(there);
    if (c.n < 2) {
        free(c.name);
        free(c.x);
        free(c.y);
        return;
    }
    mem_grow((void **)&r->curves, &r->curve_cap, r->curve_count + 1,
             sizeof(*r->curves));
    r->curves[r->curve_count++] = c;
}

int state_read_curves(struct report_state *r, struct store *s,
                      const struct report_options *o, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT name, placed(run, '', 0) FROM model WHERE run "
                     "NOTNULL AND id IN "
                     "(SELECT max(id) FROM model WHERE run NOTNULL AND ?1 IN "
                     "(0, task) GROUP BY task) ORDER BY id",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, o->task);
    while ((rc = sql_step(q, err)) == 1) {
        char *run = slice_dup(sql_text(q, 1));

        add_curve(r, s, sql_text(q, 0), run);
        free(run);
    }
    return rc;
}

static bool is_priced(const struct state_task *t)
{
    return t->evaluation && isfinite(t->difference) &&
           isfinite(t->column[COLUMN_TUNED].score) &&
           isfinite(t->column[COLUMN_LLM].score) &&
           isfinite(t->column[COLUMN_TUNED].dollars) &&
           isfinite(t->column[COLUMN_LLM].dollars);
}

static int compare_tasks(const void *a, const void *b)
{
    const struct state_task *x = *(const struct state_task *const *)a;
    const struct state_task *y = *(const struct state_task *const *)b;

    if (x->difference != y->difference)
        return x->difference > y->difference ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static void add_saving(struct state_saving *s, const struct state_task *t,
                       double calls)
{
    s->tasks++;
    s->calls += calls;
    s->dollars +=
        calls / 1000 *
        (t->column[COLUMN_LLM].dollars - t->column[COLUMN_TUNED].dollars);
}

/* What was answered here, at the prices of the task's evaluation. */
static void add_routed(struct report_state *r, const struct state_task *t)
{
    for (size_t i = 0; i < r->routed_count; i++)
        if (r->routed[i].id == t->id && r->routed[i].slm > 0)
            add_saving(&r->here, t, r->routed[i].slm);
}

bool state_has_passed(const struct state_task *t)
{
    return t->evaluation && strcmp(t->verdict, "pass") == 0 &&
           strcmp(t->split, "test") == 0;
}

bool state_could_move(const struct state_task *t)
{
    return !t->champion && state_has_passed(t) &&
           !(t->margin > REGISTRY_MARGIN * (1 + 1e-9));
}

void state_make_steps(struct report_state *r)
{
    const struct state_task **list =
        mem_array(r->task_count + 1, sizeof(*list));
    double calls = 0, dollars = 0, quality = 0, moved = 0;
    size_t n = 0;

    for (size_t i = 0; i < r->task_count; i++) {
        const struct state_task *t = &r->tasks[i];

        if (!is_priced(t))
            continue;
        list[n++] = t;
        calls += t->calls;
        dollars += t->calls * t->column[COLUMN_LLM].dollars;
        quality += t->calls * t->column[COLUMN_LLM].score;
        r->step_items += t->items;
        if (t->champion && state_has_passed(t))
            add_saving(&r->passed, t, t->calls);
        else if (state_could_move(t))
            add_saving(&r->could, t, t->calls);
        else if (*t->verdict && strcmp(t->verdict, "fail") != 0)
            add_saving(&r->undecided, t, t->calls);
        add_routed(r, t);
    }
    if (n)
        qsort(list, n, sizeof(const struct state_task *), compare_tasks);
    r->steps = mem_zalloc((n + 1) * sizeof(*r->steps));
    for (size_t i = 0; n > 0 && i <= n; i++) {
        r->steps[r->step_count++] =
            (struct state_step){ i ? list[i - 1]->name : NULL, moved / calls,
                                 dollars / calls, quality / calls };
        if (i == n)
            break;
        moved += list[i]->calls;
        dollars += list[i]->calls * (list[i]->column[COLUMN_TUNED].dollars -
                                     list[i]->column[COLUMN_LLM].dollars);
        quality += list[i]->calls * (list[i]->column[COLUMN_TUNED].score -
                                     list[i]->column[COLUMN_LLM].score);
    }
    free(list);
}
