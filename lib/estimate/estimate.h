/*
 * estimate.h - what could move to small models, from a log alone
 *
 * One pass, no store, no model. Totals are exact; tasks are found in a sample
 * of distinct requests that keeps every repeat of what it drew, so that memory
 * is bounded however long the log is. Ranges are told with what they assume,
 * and nothing is promised about a task before its gate.
 * May use: base json wire store tasks catalog scoring.
 */
#ifndef ESTIMATE_H
#define ESTIMATE_H

#include "base/pool.h"
#include "base/progress.h"
#include "scoring/scoring.h"
#include "wire/wire.h"

#define ESTIMATE_SAMPLE 20000 /* distinct requests */
#define ESTIMATE_ASSUMPTIONS 24

struct estimate_options {
    const char *path; /* "-": standard input; may be compressed */
    enum wire_format format;
    struct pool *pool; /* may be NULL */
    const struct score_prices *prices;
    double machine_dollars_per_hour; /* rent or write-off */
    double watts, kwh_price;         /* 0: power is in the above */
    uint64_t seed;
    size_t sample; /* 0: ESTIMATE_SAMPLE */
    const struct progress *progress;
};

struct estimate_task {
    char *name;
    const char *kind;                             /* label json tool sql text */
    double calls, tokens_in, tokens_out, dollars; /* of the log, estimated */
    double inputs;     /* different ones, estimated */
    double repetitive; /* share of the prompts' tokens that most have */
    double same;       /* LLM with itself on repeated inputs; NaN: none */
    struct score_interval movable; /* share of its calls */
    const char *why;               /* static, of movable */
};

struct estimate {
    uint64_t calls, failed;     /* failed: among calls, did not complete */
    uint64_t unpriced, guessed; /* no price; tokens guessed from bytes */
    uint64_t rejected;          /* lines */
    int64_t first_rejected;     /* line; 0: none */
    char reject_reason[160];
    double tokens_in, tokens_out, dollars; /* of completed calls */
    double days;                 /* first to last call; NaN: no times */
    double sampled;              /* share of distinct requests looked at */
    struct estimate_task *tasks; /* most calls first */
    size_t count;
    double untasked; /* share of calls in no task */
    struct score_interval share_calls, share_tokens, share_dollars;
    /* NaN without times or prices. */
    double dollars_month;
    struct score_interval saved_month; /* less the machine */
    double machine_month;
    double tokens_s_mean, tokens_s_needed; /* in the busiest hour; NaN */
    char *model; /* of the catalogue, that is sized; NULL */
    double run_bytes, train_bytes;
    double context; /* tokens of the longest call of a task */
    double training_dollars[2];
    double break_even_days[2]; /* soonest, latest; INFINITY: never */
    char *assumptions[ESTIMATE_ASSUMPTIONS];
    size_t assumption_count;
};

/* ERR_NOTFOUND: the log has no call. */
MUST_CHECK int estimate_run(const struct estimate_options *o,
                            struct estimate *out, struct err *err);
void estimate_release(struct estimate *e);

/* Gate results of one kind of task that the ranges start from. */
struct estimate_record {
    const char *kind;
    unsigned passed, runs;
};
extern const struct estimate_record estimate_records[5];
extern const char estimate_records_source[];

#endif
