/*
 * curate.h - logged calls become scrubbed, deduplicated, split examples
 *
 * One pass over the calls that no earlier run has seen, in the order of their
 * ids: filter, deduplicate, scrub, split, write. Every call gets a row, kept
 * or dropped with one reason. Running again finds nothing to do; other rules,
 * another key or other shares of the splits mean that all is done again, in
 * place, so that ids of examples stay.
 * May use: base json crypto regex scrub store sql codec wire.
 */
#ifndef CURATE_H
#define CURATE_H

#include "base/progress.h"
#include "crypto/crypto.h"
#include "curate/curate_report.h"
#include "scrub/scrub.h"
#include "store/store.h"

#define CURATE_RETRY_US ((int64_t)600 * 1000000) /* a retry comes this soon */
#define CURATE_BATCH_CALLS 512
#define CURATE_BATCH_BYTES ((size_t)32 << 20)

/* Why a call is no example. The order is that of the tests. */
#define CURATE_REASONS(X)                                                      \
    X(KEPT, "", "kept")                                                        \
    X(DIALECT, "dialect", "of an API without messages")                        \
    X(FAILED, "failed", "HTTP error, broken stream or error answer")           \
    X(CANCELLED, "cancelled", "the client went away")                          \
    X(TIMEOUT, "timeout", "no answer in time")                                 \
    X(LOST, "lost", "its end was never written")                               \
    X(CUT, "cut", "its texts were cut or redacted when logged")                \
    X(TRUNCATED, "truncated", "the answer was cut")                            \
    X(FILTERED, "filtered", "stopped by a content filter")                     \
    X(MALFORMED, "malformed", "request or answer is no chat completion")       \
    X(EMPTY, "empty", "the answer says nothing and calls nothing")             \
    X(BAD_ARGUMENTS, "bad_arguments", "a tool call does not fit its schema")   \
    X(DUPLICATE, "duplicate", "same messages, tools and answer")               \
    X(RETRIED, "retried", "asked again at once, this answer was not used")     \
    X(QUARANTINED, "quarantined", "could not be scrubbed")

enum curate_reason {
#define X(name, text, help) CURATE_##name,
    CURATE_REASONS(X)
#undef X
        CURATE_REASON_COUNT
};
const char *curate_reason_name(enum curate_reason r); /* KEPT: "kept" */
const char *curate_reason_help(enum curate_reason r);

enum curate_split { CURATE_TRAIN, CURATE_VALIDATION, CURATE_TEST };
const char *curate_split_name(enum curate_split s);

struct curate_options {
    const struct scrub_rules *rules;
    const struct crypto_key *key; /* surrogates, hashes and splits */
    unsigned shares[3];           /* percent by split, 100 together */
    unsigned threads;             /* 0: one per CPU */
    const struct progress *progress;
    struct scrub_vault *vault; /* takes what is replaced; or NULL */
};

struct curate_result {
    uint64_t fresh; /* calls looked at by this run */
    bool again;     /* all were, since the version changed ... */
    char was[160];  /* ... from this */
    char version[160];
    /* The store after this run. */
    uint64_t calls, reasons[CURATE_REASON_COUNT], splits[3], spans;
    uint64_t groups, repeated; /* kept examples whose input came again */
    uint64_t *by_rule;         /* pieces replaced by this run, by rule */
    uint64_t moved[3];         /* groups given to a split that had none */
    uint64_t corrections;      /* answers of outcomes scrubbed by this run */
    uint64_t uncorrected;      /* those that could not be scrubbed */
};
void curate_result_release(struct curate_result *r);

/* "80,10,10": three numbers of sum 100. ERR_INVALID says so. */
MUST_CHECK int curate_shares_parse(const char *text, unsigned shares[3],
                                   struct err *err);

/* Takes the store's lock "curate". Interrupted: what was written stays, the
 * next run goes on there. */
MUST_CHECK int curate_run(struct store *s, const struct curate_options *o,
                          struct curate_result *r, struct err *err);

/* Lines go to put as they are made. */
struct curate_sink {
    int (*put)(void *ctx, struct slice bytes, struct err *err);
    void *ctx;
};
/* "call TAB source TAB line TAB kept|dropped TAB reason TAB split" for every
 * call; "-" where there is none. */
MUST_CHECK int curate_decisions(struct store *s, const struct curate_sink *out,
                                struct err *err);
/* Kept examples as chat fine-tuning JSON Lines: {"messages": [..., answer],
 * "tools": ...}. splits as in store_example_query. */
MUST_CHECK int curate_export(struct store *s, int64_t task, const char *splits,
                             const struct curate_sink *out, uint64_t *count,
                             struct err *err);

/* Searches every body of every kept example for the values. found is called
 * for each occurrence; *count is how many there were. */
struct curate_leak {
    int64_t example, call;
    const char *where; /* "request", "response" or "outcome" */
    size_t value, at;
    const char *form;
};
MUST_CHECK int
curate_check_leaks(struct store *s, const struct scrub_leaks *leaks,
                   const struct progress *progress,
                   void (*found)(void *ctx, const struct curate_leak *l),
                   void *ctx, uint64_t *count, uint64_t *examples,
                   struct err *err);

/* Scrubs lines from `in` ("-": standard input; zstd is recognised) to out, in
 * order, without a store. A line is a JSON value or, with text, plain. Values
 * have equal surrogates within a conversation (client_id and conversation_id
 * or session_id of the line), and lines without one within the stream. With
 * spans each line of output tells what was found instead:
 * {"spans":[{"pointer","start","end","type","rule","tier","surrogate"}...]},
 * offsets in bytes of the decoded string. A line that cannot be scrubbed is
 * left out (spans: {"error": ...}) and told to rejected, which is called by a
 * thread of its own. What was read before an error is written. */
#define CURATE_FILTER_BATCH ((size_t)4 << 20)
#define CURATE_FILTER_LINE ((size_t)256 << 20)
struct curate_filter {
    const struct scrub_rules *rules;
    const struct crypto_key *key;
    unsigned threads;
    bool text, spans;
    /* Only lines whose number is shard modulo shards (0: all). With one key
     * the outputs of all shards are the whole: nothing depends on others. */
    uint64_t shard, shards;
    struct scrub_vault *vault; /* takes what is replaced; or NULL */
    void (*rejected)(void *ctx, int64_t line, const char *why);
    void *ctx;
    uint64_t lines, bad, pieces, bytes; /* results */
    uint64_t *by_rule;                  /* may be NULL: added to, by rule */
};
MUST_CHECK int curate_filter_run(struct curate_filter *f, const char *in,
                                 const struct curate_sink *out,
                                 struct err *err);

/* Turns surrogates back: lines as curate_filter_run writes them, or plain
 * ones, in order. What cannot be read is left out and told. */
struct curate_reveal {
    bool text;
    enum scrub_scope scope; /* as it was when they were scrubbed */
    void (*rejected)(void *ctx, int64_t line, const char *why);
    void *ctx;
    uint64_t lines, bad; /* results */
};
MUST_CHECK int curate_reveal_run(struct curate_reveal *f,
                                 struct scrub_reveal *vault, const char *in,
                                 const struct curate_sink *out,
                                 struct err *err);

#endif
