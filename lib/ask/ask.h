/*
 * ask.h - many requests to one OpenAI-type endpoint, waited for
 *
 * Drives an upstream of its own until every job has its answer or its failure.
 * A failure is never an answer: it stays with its job, with the reason. The
 * key comes from a file, goes to this endpoint alone (redirects are not
 * followed) and into no message.
 * May use: base json http upstream.
 */
#ifndef ASK_H
#define ASK_H

#include "base/buf.h"
#include "base/err.h"
#include "base/progress.h"

#include <stdbool.h>
#include <stdint.h>

#define ASK_PARALLEL 4
#define ASK_PARALLEL_MAX 64
#define ASK_TIMEOUT_MS 120000
#define ASK_RETRIES 2
#define ASK_WAIT_MS_MAX 60000 /* a longer Retry-After is a failure */
#define ASK_ANSWER_MAX ((size_t)16 << 20)
#define ASK_KEY_MAX 4096 /* bytes of a key */
#define ASK_URL_MAX 2048

/* Zero means the default. Strings are copied. */
struct ask_options {
    const char *url;   /* "https://host/v1", no query, no user */
    const char *model; /* as the endpoint calls it */
    const char
        *key_file;       /* NULL: no key; with one, http:// only to this host */
    const char *ca_file; /* NULL: the system's */
    unsigned parallel;   /* requests at a time */
    int64_t timeout_ms;  /* of one try, begin to end; at most a year */
    int retries;         /* after 429, 5xx, a cut or no connection; -1: none */
    int64_t pause_ms;    /* before the first retry, doubled with each; 500 */
};

struct ask;

MUST_CHECK int ask_open(const struct ask_options *o, struct ask **out,
                        struct err *err);
void ask_close(struct ask *a); /* NULL is fine */
/* "URL model NAME", for people and for keys of caches; no secret in it. */
const char *ask_name(const struct ask *a);

/* One request. Zero-initialise and set body; release with ask_job_release. */
struct ask_job {
    struct slice body; /* a JSON object without "model"; borrowed */
    struct buf answer; /* the assistant message, JSON; empty on failure */
    bool failed;
    char why[160];                 /* one line, of a failure */
    int64_t latency_us;            /* of the try that was answered */
    int64_t tokens_in, tokens_out; /* as it counted them; -1: unknown */
    unsigned tries;
};
void ask_job_release(struct ask_job *j);

/* Is anybody there? GET of its models: ERR_IO if no connection can be made or
 * the key is refused; any other answer is fine. */
MUST_CHECK int ask_probe(struct ask *a, struct err *err);

/* Runs all. A failure is in its job. Ends early, with what is not begun left
 * failed: ERR_INTERRUPTED; ERR_IO if a job has used up its tries and nothing
 * has ever been reached, or if the key, the path or the model is refused (401,
 * 403, 404) before anything was answered. */
MUST_CHECK int ask_run(struct ask *a, struct ask_job *jobs, size_t count,
                       const struct progress *p, const char *phase,
                       struct err *err);

#endif
