/* ask_private.h - between the files of ask */
#ifndef ASK_PRIVATE_H
#define ASK_PRIVATE_H

#include "ask/ask.h"

#include "upstream/upstream.h"

struct ask {
    struct upstream *upstream;
    char *chat_url, *models_url; /* whole */
    char *head;                  /* {"model":"NAME" */
    char *bearer;                /* "Bearer KEY", wiped when freed; NULL */
    char *name;
    unsigned parallel;
    int64_t timeout_ms, pause_ms;
    unsigned retries;
    bool reached, answered; /* by any request so far */
};

/* What came back of one try. */
struct ask_reply {
    enum upstream_result result;
    int status;          /* 0: no head came */
    int64_t retry_ms;    /* of Retry-After; -1: none */
    struct buf body;     /* at most ASK_ANSWER_MAX */
    int64_t latency_us;  /* -1: unknown */
    char transport[120]; /* why there is no whole answer */
};

/* The message, tokens and latency of a good answer; or the job fails, and why
 * says in one line what came instead. */
void ask_job_take(struct ask_job *j, const struct ask_reply *r);
/* Worth another try: 429, 5xx, cut, not reached. */
bool ask_reply_may_pass(const struct ask_reply *r);
/* The milliseconds of Retry-After (seconds, also with decimals), or of
 * retry-after-ms; -1: neither, or a date. */
int64_t ask_retry_ms(const struct http_field *fields, size_t count);

#endif
