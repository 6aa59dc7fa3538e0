/*
 * scrub_dates.c - the family of finders that dates gives
 */
#include "scrub/scrub_priv.h"

#include "base/mem.h"
#include "dates/dates.h"

#include <stdlib.h>

struct looker { /* whose record is looked at */
    const struct scrub_worker *w;
};

struct finds {
    scrub_found_fn *found;
    void *ctx;
};

static int found_date(void *ctx, enum dates_class class, size_t start,
                      size_t end, int tier)
{
    const struct finds *f = ctx;

    return f->found(f->ctx, class, start, end, tier);
}

static void *looker_new(const void *shared)
{
    (void)shared;
    return mem_zalloc(sizeof(struct looker));
}

static void begin_record(void *worker, const struct scrub_worker *w)
{
    ((struct looker *)worker)->w = w;
}

/* An age that is found once is one wherever the record has it. */
static int seek_ages(void *worker, struct slice text, scrub_found_fn *found,
                     void *ctx)
{
    const struct looker *l = worker;
    struct finds f = { found, ctx };

    return dates_seek_ages(text, &l->w->dates, found_date, &f);
}

static int find_dates(void *worker, struct slice text, struct slice key,
                      scrub_found_fn *found, void *ctx, struct err *err)
{
    struct finds f = { found, ctx };

    (void)worker, (void)err;
    return dates_find(text, key, found_date, &f);
}

const struct scrub_finder scrub_finder_dates = {
    .name = "dates",
    .classes = { [DATES_DATE] = "date",
                 [DATES_TIME] = "time",
                 [DATES_AGE] = "age" },
    .worker_new = looker_new,
    .worker_free = free,
    .begin = begin_record,
    .seek = seek_ages,
    .find = find_dates,
};
