/*
 * serve_curve.c - serve --curve: what quality costs, of the user's own log
 *
 * Two curves of a task: of validation items, as a calibration wrote it down,
 * and of routed calls that were compared with the LLM, found here. In the
 * second the LLM agrees with itself by definition; it is of calls that were
 * compared, which are drawn by chance in mode on and all in the shadow.
 */
#include "serve_explained.h"

#include "store_opening.h"

#include "base/mem.h"
#include "page/page.h"
#include "sql/sql.h"
#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>

#define CALLS_LEAST 20 /* that were compared */
#define CALLS_MAX 100000
#define POINTS 11 /* of a curve, as it is printed */
#define BAR 40

struct curve {
    struct stats_point *p;
    size_t n;
    double share, quality; /* at the threshold; NaN: unknown */
};
struct task_curves {
    int64_t task, model;
    char *name, *model_name, *detail; /* detail: NULL: no calibration */
    struct curve kept, seen;          /* of the calibration, of calls */
    size_t calls, compared;
    double here; /* share that was answered here */
};

static void curves_release(struct task_curves *t)
{
    free(t->name);
    free(t->model_name);
    free(t->detail);
    free(t->kept.p);
    free(t->seen.p);
}

static double figure(const struct json *j, json_ref o, const char *key)
{
    double v;

    return json_double(j, json_get(j, o, key), &v) ? v : (double)NAN;
}

/* Points with a share each: cost is that of calls, or dollars. */
static void read_kept(struct task_curves *t)
{
    struct json j = { 0 };
    json_ref list;

    if (!t->detail || json_parse(&j, t->detail, strlen(t->detail), NULL) < 0)
        return;
    list = json_get(&j, 0, "curve");
    t->kept.p = mem_array(json_count(&j, list) + 1, sizeof(*t->kept.p));
    for (json_ref e = json_first(&j, list); e != JSON_NONE;
         e = json_next(&j, list, e)) {
        const struct stats_point p = { .strong = figure(&j, e, "llm_share"),
                                       .cost = figure(&j, e, "cost"),
                                       .quality = figure(&j, e, "quality") };

        if (isfinite(p.quality) && isfinite(p.strong))
            t->kept.p[t->kept.n++] = p;
    }
    t->kept.share = figure(&j, 0, "share");
    t->kept.quality = figure(&j, 0, "quality");
    json_release(&j);
}

/* From calls that were compared, by what was expected of them. */
static int read_seen(struct store *s, struct task_curves *t, struct err *err)
{
    double *score = mem_array(CALLS_MAX, sizeof(*score));
    double *weak = mem_array(CALLS_MAX, sizeof(*weak));
    double *strong = mem_array(CALLS_MAX, sizeof(*strong));
    struct sql_stmt *q;
    size_t n = 0;
    int rc = sql_get(store_sql(s),
                     "SELECT p_error, agreement FROM decision WHERE task = ?1 "
                     "AND p_error NOTNULL AND agreement NOTNULL ORDER BY time "
                     "DESC, id DESC LIMIT ?2",
                     &q, err);

    if (rc == ERR_OK) {
        sql_bind_int(q, 1, t->task);
        sql_bind_int(q, 2, CALLS_MAX);
        while (n < CALLS_MAX && (rc = sql_step(q, err)) == 1) {
            score[n] = sql_double(q, 0);
            weak[n] = sql_double(q, 1);
            strong[n++] = 1;
        }
        sql_reset(q);
    }
    t->compared = n;
    if (rc >= 0 && n >= CALLS_LEAST) {
        t->seen.p = mem_array(n + 1, sizeof(*t->seen.p));
        t->seen.n = stats_curve(score, weak, strong, NULL, NULL, n, t->seen.p);
    }
    free(score);
    free(weak);
    free(strong);
    return rc < 0 ? rc : ERR_OK;
}

static int read_counts(struct store *s, struct task_curves *t, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_row_of(store_sql(s),
                        "SELECT count(*), avg(went = 'slm') FROM decision "
                        "WHERE task = ?",
                        t->task, &q, err);

    if (rc == 1) {
        t->calls = (size_t)sql_int(q, 0);
        t->here = sql_double(q, 1);
        sql_reset(q);
    }
    return rc < 0 ? rc : ERR_OK;
}

static void put_figures(struct json_writer *w, const char *key,
                        const struct curve *c)
{
    double aiq = stats_aiq(c->p, c->n), apgr = stats_apgr(c->p, c->n);
    double half = stats_cpt(c->p, c->n, 0.5), most = stats_cpt(c->p, c->n, 0.8);

    json_begin_object(w, key);
    if (isfinite(aiq))
        json_put_double(w, "aiq", aiq);
    if (isfinite(apgr))
        json_put_double(w, "apgr", apgr);
    if (isfinite(half))
        json_put_double(w, "cpt50", half);
    if (isfinite(most))
        json_put_double(w, "cpt80", most);
    json_begin_array(w, "curve");
    for (size_t i = 0; i < c->n; i++) {
        if (c->n > 200 && i % (c->n / 100) != 0 && i + 1 < c->n)
            continue;
        json_begin_object(w, NULL);
        json_put_double(w, "llm_share", c->p[i].strong);
        json_put_double(w, "quality", c->p[i].quality);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}

static void put_json(const struct task_curves *t, struct json_writer *w)
{
    json_begin_object(w, NULL);
    json_put_string(w, "task", t->name);
    if (t->model_name)
        json_put_string(w, "model", t->model_name);
    json_put_int(w, "calls", (int64_t)t->calls);
    if (t->calls)
        json_put_double(w, "answered_here", t->here);
    json_put_int(w, "compared", (int64_t)t->compared);
    if (t->detail)
        json_put_raw(w, "validation", slice_of(t->detail));
    if (t->seen.n)
        put_figures(w, "log", &t->seen);
    json_end_object(w);
}

/* Quality at a share of calls to the LLM, between the points. */
static double quality_at(const struct curve *c, double strong)
{
    for (size_t i = 1; i < c->n; i++) {
        const struct stats_point *a = &c->p[i - 1], *b = &c->p[i];
        double d = b->strong - a->strong;

        if (strong <= b->strong)
            return d > 0 ? a->quality + (b->quality - a->quality) *
                                            (strong - a->strong) / d
                         : b->quality;
    }
    return c->n ? c->p[c->n - 1].quality : (double)NAN;
}

static void put_number(struct buf *out, const char *name, double x, bool share)
{
    if (!isfinite(x))
        buf_printf(out, "  %s -", name);
    else if (share)
        buf_printf(out, "  %s %.1f %%", name, 100 * x);
    else
        buf_printf(out, "  %s %.3f", name, x);
}

static void put_curve(struct buf *out, const char *title, const struct curve *c,
                      bool ascii)
{
    buf_printf(out, "  %s\n ", title);
    put_number(out, "AIQ", stats_aiq(c->p, c->n), false);
    put_number(out, "APGR", stats_apgr(c->p, c->n), false);
    put_number(out, "CPT50", stats_cpt(c->p, c->n, 0.5), true);
    put_number(out, "CPT80", stats_cpt(c->p, c->n, 0.8), true);
    buf_str(out, "\n  to the LLM  quality\n");
    for (unsigned i = 0; i < POINTS; i++) {
        double strong = (double)i / (POINTS - 1);
        double quality = quality_at(c, strong);

        buf_printf(out, "  %9.0f %%  %6.1f %% ", 100 * strong, 100 * quality);
        page_bar(out, quality, BAR, ascii);
        buf_char(out, '\n');
    }
}

static void put_text(const struct task_curves *t, bool ascii, struct buf *out)
{
    buf_printf(out, "%s", t->name);
    if (t->model_name)
        buf_printf(out, ", model %s", t->model_name);
    buf_printf(out, "\n  %zu routed calls", t->calls);
    if (t->calls)
        buf_printf(out, ", %.1f %% answered here, %zu compared", 100 * t->here,
                   t->compared);
    buf_char(out, '\n');
    if (t->kept.n) {
        put_curve(out, "validation items, as the model was calibrated",
                  &t->kept, ascii);
        if (isfinite(t->kept.share))
            buf_printf(out,
                       "  kept here at its threshold: %.1f %%, quality "
                       "%.1f %%\n",
                       100 * t->kept.share, 100 * t->kept.quality);
    } else {
        buf_str(out, "  no calibration: slmctl eval --calibrate makes one\n");
    }
    if (t->seen.n)
        put_curve(out, "the log: calls that were compared with the LLM",
                  &t->seen, ascii);
    else
        buf_printf(out,
                   "  the log: no curve of fewer than %d compared calls "
                   "with a known error\n",
                   CALLS_LEAST);
}

/* Tasks with a champion, a calibration or routed calls. */
static const char tasks_text[] =
    "SELECT t.id, t.name, m.id, m.name, c.detail FROM task t LEFT JOIN model m "
    "ON m.id = coalesce((SELECT h.model FROM champion h WHERE h.task = t.id), "
    "(SELECT max(k.model) FROM calibration k JOIN model n ON n.id = k.model "
    "WHERE n.task = t.id)) LEFT JOIN calibration c ON c.model = m.id WHERE "
    "?1 IN (0, t.id) AND t.merged_into IS NULL AND (m.id NOTNULL OR EXISTS "
    "(SELECT 1 FROM decision d WHERE d.task = t.id)) ORDER BY t.id LIMIT 1000";

static int read_tasks(struct store *s, int64_t task, struct task_curves **list,
                      size_t *count, struct err *err)
{
    struct sql_stmt *q;
    size_t cap = 0;
    int rc = sql_get(store_sql(s), tasks_text, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, task);
    while ((rc = sql_step(q, err)) == 1) {
        mem_grow((void **)list, &cap, *count + 1, sizeof(**list));
        (*list)[(*count)++] = (struct task_curves){
            .task = sql_int(q, 0),
            .name = slice_dup(sql_text(q, 1)),
            .model = sql_int(q, 2),
            .model_name = sql_is_null(q, 3) ? NULL : slice_dup(sql_text(q, 3)),
            .detail = sql_is_null(q, 4) ? NULL : slice_dup(sql_text(q, 4)),
        };
    }
    sql_reset(q);
    return rc;
}

static int read_all(struct store *s, const char *task,
                    struct task_curves **list, size_t *count, struct err *err)
{
    int64_t id = 0;
    int rc = task ? store_task_find(s, task, &id, err) : ERR_OK;

    if (rc == ERR_OK)
        rc = read_tasks(s, id, list, count, err);
    for (size_t i = 0; rc == ERR_OK && i < *count; i++) {
        read_kept(&(*list)[i]);
        rc = read_counts(s, &(*list)[i], err);
        if (rc == ERR_OK)
            rc = read_seen(s, &(*list)[i], err);
    }
    return rc;
}

static int print(struct cli *cli, const struct task_curves *list, size_t count)
{
    struct buf out = { 0 };
    struct json_writer w;
    int code;

    json_writer_init(&w, &out, false);
    if (cli->json) {
        json_begin_document(&w, "slmctl.curve/1");
        json_begin_array(&w, "tasks");
    }
    for (size_t i = 0; i < count; i++)
        if (cli->json)
            put_json(&list[i], &w);
        else
            put_text(&list[i], !cli->tty_out, &out);
    if (cli->json) {
        json_end_array(&w);
        json_end_object(&w);
        buf_char(&out, '\n');
    }
    code = cli_write(cli, &out);
    buf_release(&out);
    return code;
}

int serve_curve_run(struct cli *cli, const char *task)
{
    struct task_curves *list = NULL;
    struct store *s = NULL;
    size_t count = 0;
    struct err err;
    int code, rc = cmd_store_open(cli, STORE_READ, &s, &err);

    if (rc == ERR_OK)
        rc = read_all(s, task, &list, &count, &err);
    if (rc == ERR_OK && !count)
        rc = err_set(&err, ERR_NOTFOUND,
                     "no call was routed and no model is calibrated%s%s",
                     task ? " of task " : "", task ? task : "");
    store_close(s);
    code = rc < 0 ? cli_fail(cli, &err) : print(cli, list, count);
    for (size_t i = 0; i < count; i++)
        curves_release(&list[i]);
    free(list);
    return code;
}
