/*
 * scrub_dates.c - the family of finders that dates gives
 */
#include "scrub/scrub_priv.h"

#include "dates/dates.h"

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
    .find = find_dates,
};
