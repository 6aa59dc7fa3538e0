/*
 * finetune_curve.c - the losses of a run as a small chart on the terminal
 *
 * Drawn from metrics.jsonl, so a run that was resumed shows all of itself.
 */
#include "finetune_plan.h"

#include "base/io.h"
#include "base/mem.h"
#include "json/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 60
#define LINES 10
#define METRICS_MAX ((size_t)1 << 28)

struct point {
    double step, loss;
    bool validation;
};
struct points {
    struct point *v;
    size_t count, cap;
    double last_step, low, high;
};

static void read_line(struct points *p, const struct json *j)
{
    double loss, step;
    bool validation = json_double(j, json_get(j, 0, "validation"), &loss);

    if (!json_double(j, json_get(j, 0, "step"), &step) ||
        (!validation && !json_double(j, json_get(j, 0, "loss"), &loss)) ||
        !isfinite(loss))
        return;
    mem_grow((void **)&p->v, &p->cap, p->count + 1, sizeof(*p->v));
    p->v[p->count++] = (struct point){ step, loss, validation };
    p->last_step = fmax(p->last_step, step);
    p->low = fmin(p->low, loss);
    p->high = fmax(p->high, loss);
}

static void read_points(struct points *p, const struct buf *text)
{
    size_t at = 0;

    p->low = HUGE_VAL;
    p->high = -HUGE_VAL;
    while (at < text->len) {
        const char *line = text->data + at;
        const char *end = memchr(line, '\n', text->len - at);
        struct json j = { 0 };
        struct err why;

        if (!end)
            return;
        if (json_parse(&j, line, (size_t)(end - line), &why) == 0)
            read_line(p, &j);
        json_release(&j);
        at += (size_t)(end - line) + 1;
    }
}

/* The mean of the steps that fall into a column; validations stand above. */
static void plot(const struct points *p, char grid[LINES][COLUMNS + 1])
{
    double sum[COLUMNS] = { 0 }, count[COLUMNS] = { 0 };
    double height = p->high - p->low;

    memset(grid, 0, LINES * (COLUMNS + 1));
    for (size_t i = 0; i < LINES; i++)
        memset(grid[i], ' ', COLUMNS);
    for (size_t i = 0; i < p->count; i++) {
        size_t x = (size_t)(p->v[i].step / p->last_step * (COLUMNS - 1));

        sum[x] += p->v[i].validation ? 0 : p->v[i].loss;
        count[x] += !p->v[i].validation;
    }
    for (size_t x = 0; x < COLUMNS; x++)
        if (count[x] > 0)
            grid[(size_t)((p->high - sum[x] / count[x]) / height * (LINES - 1))]
                [x] = '.';
    for (size_t i = 0; i < p->count; i++)
        if (p->v[i].validation)
            grid[(size_t)((p->high - p->v[i].loss) / height * (LINES - 1))]
                [(size_t)(p->v[i].step / p->last_step * (COLUMNS - 1))] = 'o';
}

void finetune_curve(struct cli *cli, const char *run_dir)
{
    char *path = io_path(run_dir, "metrics.jsonl");
    char grid[LINES][COLUMNS + 1];
    struct points p = { 0 };
    struct buf text = { 0 };
    struct err why;

    if (!cli->tty_err || cli->quiet ||
        io_read_file(path, METRICS_MAX, &text, &why) < 0)
        goto done;
    read_points(&p, &text);
    if (p.count < 3 || !(p.high > p.low) || !(p.last_step > 0))
        goto done;
    plot(&p, grid);
    for (size_t i = 0; i < LINES; i++)
        (void)fprintf(stderr, "%8.3f |%s\n",
                      p.high - (p.high - p.low) * (double)i / (LINES - 1),
                      grid[i]);
    (void)fprintf(
        stderr,
        "         +%.*s\n          loss by step to %.0f: . training  "
        "o validation\n",
        COLUMNS, "------------------------------------------------------------",
        p.last_step);
done:
    buf_release(&text);
    free(p.v);
    free(path);
}
