/* estimate_read.h - the pass over a log; nobody outside this module includes
 * it */
#ifndef ESTIMATE_READ_H
#define ESTIMATE_READ_H

#include "estimate/estimate.h"
#include "estimate/estimate_sample.h"

#define READ_MODELS_MAX 4096
#define READ_HOURS_MAX 200000 /* 22 years */

/* What one call says, on its way from a reading thread to the totals. */
struct read_call {
    uint64_t key, answer;
    struct store_call facts; /* numbers only */
    char model[128];
    bool failed, guessed, is_chat, has_chat, fresh; /* is: by its dialect */
    struct tasks_prompt prompt;
    char *response;
};

/* Completed calls of a chat dialect: what a sample can stand for. */
struct read_chats {
    double calls, tokens_in, tokens_out, dollars;
};

struct read_pass {
    const struct estimate_options *options;
    struct sample sample;
    struct read_call calls[WIRE_SCAN_CALLS];
    struct map *prices; /* model to its price, a pointer */
    struct map *hours;  /* hour to tokens */
    int64_t first_us, last_us;
    double dated; /* calls with a time */
    struct read_chats chats;
    struct estimate *out;
};

/* Fills sample and totals; init before, release after. */
void read_pass_init(struct read_pass *p, const struct estimate_options *o,
                    struct estimate *out);
void read_pass_release(struct read_pass *p);
MUST_CHECK int read_pass_run(struct read_pass *p, struct err *err);
/* Tokens of the busiest hour; 0: no times. */
double read_pass_peak(const struct read_pass *p);

#endif
