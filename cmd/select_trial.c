/*
 * select_trial.c - slmctl select --trial: candidates are tried, not believed
 *
 * Each trial is this program's own finetune --try in a process of its own: its
 * memory is its own peak, and goes back with it.
 */
#include "select_trial.h"

#include "base/child.h"
#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DOCUMENT_MAX ((size_t)1 << 20)
/* Reading, scoring and timing besides the training itself. */
#define OVERHEAD_MS ((int64_t)3600 * 1000)

void select_trial_release(struct select_trial *t)
{
    buf_release(&t->document);
}

static double number_or_nan(const struct json *j, json_ref v)
{
    double x;

    return json_double(j, v, &x) ? x : (double)NAN;
}

/* The numbers of t's document; false: it is no trial. */
static bool document_read(struct select_trial *t)
{
    struct json j = { 0 };
    json_ref v, interval;
    char *metric;
    bool fine =
        json_parse(&j, t->document.data ? t->document.data : "",
                   t->document.len, NULL) == 0 &&
        json_text_is(&j, json_get(&j, 0, "schema"), "slmctl.finetune-try/1");

    if (fine) {
        v = json_get(&j, 0, "validation");
        interval = json_get(&j, v, "interval");
        t->score = number_or_nan(&j, json_get(&j, v, "score"));
        t->low = number_or_nan(&j, json_at(&j, interval, 0));
        t->high = number_or_nan(&j, json_at(&j, interval, 1));
        t->answer_tokens_s =
            number_or_nan(&j, json_get(&j, 0, "answer_tokens_per_s"));
        fine = json_int(&j, json_get(&j, 0, "peak_bytes"), &t->peak);
        metric = json_strdup(&j, json_get(&j, v, "metric"));
        (void)snprintf(t->metric, sizeof(t->metric), "%s",
                       metric ? metric : "score");
        free(metric);
    }
    json_release(&j);
    return fine;
}

/* A candidate's detail as it was stored. */
static void detail_read(struct slice detail, const struct catalog_candidate *c,
                        struct select_trial *t)
{
    struct json j = { 0 };
    json_ref trial;

    if (json_parse(&j, detail.p, detail.n, NULL) == 0) {
        trial = json_get(&j, 0, "trial");
        if (c->path && json_text_is(&j, json_get(&j, 0, "path"), c->path) &&
            json_int(&j, json_get(&j, 0, "trial_time"), &t->time_us) &&
            json_is(&j, trial, JSON_OBJECT)) {
            buf_add_slice(&t->document, json_raw(&j, trial));
            if (!document_read(t))
                buf_reset(&t->document);
        }
    }
    json_release(&j);
}

int select_trials_load(const struct select_trials *s, int64_t task,
                       const struct catalog_candidate *c,
                       struct select_trial *t, size_t count, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s->store),
                     "SELECT model, detail FROM candidate WHERE task = ?1 AND "
                     "json_extract(detail, '$.trial') IS NOT NULL",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, task);
    while ((rc = sql_step(q, err)) == 1)
        for (size_t i = 0; i < count; i++)
            if (slice_is(sql_text(q, 0), c[i].name))
                detail_read(sql_text(q, 1), &c[i], &t[i]);
    return rc;
}

/* The message of what --json prints where something failed; NULL: none. */
static char *message_of(struct slice line)
{
    struct json j = { 0 };
    char *message = NULL;

    if (json_parse(&j, line.p, line.n, NULL) == 0)
        message = json_strdup(&j, json_get(&j, 0, "message"));
    json_release(&j);
    return message;
}

/* The last line says what was wrong. */
static void take_reason(struct select_trial *t, const struct buf *said,
                        int status)
{
    struct slice all = slice_trim(buf_slice(said)), line = all;
    char *message;

    for (size_t i = all.n; i > 0; i--)
        if (all.p[i - 1] == '\n') {
            line = (struct slice){ all.p + i, all.n - i };
            break;
        }
    message = message_of(line);
    if (message)
        (void)snprintf(t->why, sizeof(t->why), "%.180s", message);
    else if (line.n > 0)
        (void)snprintf(t->why, sizeof(t->why), "%.*s",
                       (int)(line.n < 180 ? line.n : 180), line.p);
    else
        (void)snprintf(t->why, sizeof(t->why), "ended with status %d", status);
    free(message);
}

static int try_one(const struct select_trials *s, int64_t task,
                   const struct catalog_candidate *c, struct select_trial *t,
                   struct err *err)
{
    char id[32], minutes[32], examples[32];
    const char *argv[20] = { "/proc/self/exe", "finetune", "--try", "--json",
                             "--quiet",        "--store",  NULL };
    struct buf said = { 0 };
    size_t n = 6;
    int status = 0, rc;

    (void)snprintf(id, sizeof(id), "%lld", (long long)task);
    (void)snprintf(minutes, sizeof(minutes), "%g", s->minutes);
    (void)snprintf(examples, sizeof(examples), "%lld", (long long)s->examples);
    argv[n++] = store_dir(s->store);
    argv[n++] = "--task";
    argv[n++] = id;
    argv[n++] = "--model";
    argv[n++] = c->name;
    argv[n++] = "--minutes";
    argv[n++] = minutes;
    if (s->cli->key_is_named) {
        argv[n++] = "--key-file";
        argv[n++] = s->cli->key_file;
    }
    if (s->examples > 0) {
        argv[n++] = "--examples";
        argv[n++] = examples;
    }
    argv[n] = NULL;
    buf_release(&t->document);
    *t = (struct select_trial){ .time_us = clock_wall_us() };
    buf_init(&t->document, DOCUMENT_MAX);
    rc = child_run(argv, NULL, &t->document, &said,
                   (int64_t)(s->minutes * 4 * 60000) + OVERHEAD_MS, &status,
                   err);
    if (rc == ERR_LIMIT)
        (void)snprintf(t->why, sizeof(t->why), "did not end in time");
    else if (rc == ERR_OK && (status != 0 || !document_read(t)))
        take_reason(t, &said, status);
    if (t->why[0])
        buf_reset(&t->document);
    buf_release(&said);
    return rc == ERR_LIMIT ? ERR_OK : rc;
}

int select_trials_run(const struct select_trials *s, int64_t task,
                      const struct catalog_candidate *c, struct select_trial *t,
                      size_t count, struct err *err)
{
    size_t n = 0;
    int rc = ERR_OK;

    while (n < count && n < (size_t)s->top && c[n].rank && c[n].path)
        n++;
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        size_t at = (i + (size_t)task) % n;

        cli_note(s->cli, "trying %s for %g minutes (%zu of %zu)", c[at].name,
                 s->minutes, i + 1, n);
        rc = try_one(s, task, &c[at], &t[at], err);
        if (rc == ERR_OK && t[at].why[0])
            cli_warn(s->cli, "the trial of %s failed: %s", c[at].name,
                     t[at].why);
    }
    return rc;
}

/* A candidate with what is known of it, to be sorted as one. */
struct tried {
    struct catalog_candidate c;
    struct select_trial t;
};

static bool is_known(const struct select_trial *t)
{
    return t->document.len > 0 && !isnan(t->score);
}

/* What has a score first, and the best of these. */
static int by_score(const void *pa, const void *pb)
{
    const struct tried *a = pa, *b = pb;
    bool known_a = is_known(&a->t), known_b = is_known(&b->t);

    if (known_a != known_b)
        return known_a ? -1 : 1;
    if (known_a && a->t.score != b->t.score)
        return a->t.score > b->t.score ? -1 : 1;
    return a->c.rank - b->c.rank;
}

static int by_size(const void *pa, const void *pb)
{
    const struct tried *a = pa, *b = pb;

    if (a->c.need.run != b->c.need.run)
        return a->c.need.run < b->c.need.run ? -1 : 1;
    return a->c.rank - b->c.rank;
}

static void give_reason(struct tried *x, const struct tried *leader)
{
    int n;

    if (x->t.why[0]) {
        n = snprintf(x->c.reason, sizeof(x->c.reason), "its trial failed: %s",
                     x->t.why);
    } else {
        n = snprintf(x->c.reason, sizeof(x->c.reason),
                     "trial: %s %.1f %% [%.1f, %.1f]%s", x->t.metric,
                     100 * x->t.score, 100 * x->t.low, 100 * x->t.high,
                     x->t.score < leader->t.score
                         ? ", not clearly worse than the best and smaller"
                         : "");
    }
    if (n < 0)
        x->c.reason[0] = '\0';
}

/* Groups of scores that the interval of their best does not tell apart. */
static void groups_sort(struct tried *x, size_t n)
{
    size_t at = 0;

    while (at < n) {
        struct tried leader = x[at];
        size_t end = at + 1;

        while (end < n && x[end].t.score >= leader.t.low)
            end++;
        qsort(x + at, end - at, sizeof(*x), by_size);
        for (size_t i = at; i < end; i++) {
            bool before = false;

            for (size_t k = i + 1; k < end; k++)
                before = before || x[k].t.score > x[i].t.score;
            give_reason(&x[i], before ? &leader : &x[i]);
        }
        at = end;
    }
}

void select_trials_rank(struct catalog_candidate *c, struct select_trial *t,
                        size_t count)
{
    struct tried *x = mem_array(count + 1, sizeof(*x));
    size_t here = 0, known = 0;

    while (here < count && c[here].rank && c[here].path) {
        x[here] = (struct tried){ c[here], t[here] };
        known += is_known(&t[here]);
        here++;
    }
    qsort(x, here, sizeof(*x), by_score);
    groups_sort(x, known);
    for (size_t i = 0; i < here; i++) {
        if (x[i].t.why[0])
            give_reason(&x[i], &x[i]);
        c[i] = x[i].c;
        c[i].rank = (int)i + 1;
        t[i] = x[i].t;
    }
    free(x);
}

void select_trial_write(const struct select_trial *t, struct json_writer *w)
{
    if (t->why[0])
        json_put_string(w, "trial_failed", t->why);
    if (t->document.len == 0)
        return;
    json_put_int(w, "trial_time", t->time_us);
    json_put_raw(w, "trial", slice_trim(buf_slice(&t->document)));
}
