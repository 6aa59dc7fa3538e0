/*
 * curate.h - logged calls become scrubbed, deduplicated, split examples
 *
 * Two steps. A pass over the calls that no earlier run has seen, in the order
 * of their ids: judge, drop equal ones, scrub, write. Then all examples are
 * settled together: what outcomes, contradictions and near-duplicates speak
 * against, and who goes into which split. Every call has a row, kept or dropped
 * with one reason. Running again finds nothing to do; other rules, another key
 * or other filters mean that all is done again, in place, so that ids of
 * examples stay. Settling anew needs no pass, and never takes an example out of
 * the sealed test to put it elsewhere, unless it is divided in another way.
 * May use: base json crypto regex names dedup scrub store sql codec wire.
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

/* Why a call is no example, in the order of the tests: name, what it means, and
 * whether it is a fault that may be let pass (FIXED: never; ON, OFF: unless, or
 * only if, the filters say so). From NEGATIVE on reasons are found by settling.
 */
#define CURATE_REASONS(X)                                                      \
    X(KEPT, FIXED, "", "kept")                                                 \
    X(DIALECT, FIXED, "dialect", "of an API without messages")                 \
    X(FAILED, FIXED, "failed", "HTTP error, broken stream or error answer")    \
    X(CANCELLED, FIXED, "cancelled", "the client went away")                   \
    X(TIMEOUT, FIXED, "timeout", "no answer in time")                          \
    X(LOST, FIXED, "lost", "its end was never written")                        \
    X(OWN, FIXED, "own", "a small model of this store answered")               \
    X(CUT, FIXED, "cut", "its texts were cut or redacted when logged")         \
    X(TRUNCATED, FIXED, "truncated", "the answer was cut")                     \
    X(FILTERED, FIXED, "filtered", "stopped by a content filter")              \
    X(MALFORMED, FIXED, "malformed",                                           \
      "request or answer is no chat completion")                               \
    X(EMPTY, ON, "empty", "the answer says nothing and calls nothing")         \
    X(BAD_ARGUMENTS, ON, "bad_arguments",                                      \
      "a tool call does not fit its schema")                                   \
    X(BROKEN_TEXT, ON, "broken_text", "a character was cut in two")            \
    X(THOUGHT, ON, "thought", "a thought without an end, or nothing after it") \
    X(BOXED, ON, "boxed", "\\boxed{} that is empty or without an end")         \
    X(REFUSAL, ON, "refusal", "begins as a model that declines")               \
    X(LONG, ON, "long", "more than 64 KiB of text")                            \
    X(REPETITIVE, ON, "repetitive", "says the same again and again")           \
    X(LANGUAGE, OFF, "language", "not in the language of the question")        \
    X(DUPLICATE, ON, "duplicate", "same messages, tools and answer")           \
    X(RETRIED, ON, "retried", "asked again at once, this answer was not used") \
    X(QUARANTINED, FIXED, "quarantined", "could not be scrubbed")              \
    X(NEGATIVE, ON, "negative", "its outcome is bad, and names none better")   \
    X(REQUIRED, FIXED, "required", "its outcome is not what --require says")   \
    X(CONTRADICTORY, FIXED, "contradictory",                                   \
      "another answer to the same was chosen")                                 \
    X(NEAR_DUPLICATE, ON, "near_duplicate",                                    \
      "nearly the same was asked, and the answer is the same")                 \
    X(STRADDLES, FIXED, "straddles", "near to others that stay apart")         \
    X(OVERLAPS_TEST, ON, "overlaps_test", "says what stands in the sealed test")

enum curate_reason {
#define X(name, kind, text, help) CURATE_##name,
    CURATE_REASONS(X)
#undef X
        CURATE_REASON_COUNT
};
const char *curate_reason_name(enum curate_reason r); /* KEPT: "kept" */
const char *curate_reason_help(enum curate_reason r);

/* Filters: a bit by reason. "language,-long": the default with changes from the
 * left; also "default", "all" and "none". *changed: those that are not as by
 * default. ERR_INVALID names what is unknown. */
uint64_t curate_filters_default(void);
MUST_CHECK int curate_filters_parse(const char *text, uint64_t *changed,
                                    struct err *err);
/* The same text again, appended. */
void curate_filters_put(uint64_t changed, struct buf *out);

/* What is kept of several answers to one input. */
enum curate_answers {
    CURATE_ANSWERS_ALL, /* samples of a distribution are data */
    /* The one that was given most, of equals the last. */
    CURATE_ANSWERS_MAJORITY,
    CURATE_ANSWERS_LATEST,
    CURATE_ANSWERS_NONE,
};

/* A condition on outcomes: "outcome.reward>0", "outcome.label=good",
 * "outcome.extra.checks.passed!=false", or a path alone: it is there. */
struct curate_require;
MUST_CHECK int curate_require_new(const char *text, struct curate_require **out,
                                  struct err *err);
void curate_require_free(struct curate_require *r); /* NULL is fine */

enum curate_split { CURATE_TRAIN, CURATE_VALIDATION, CURATE_TEST };
const char *curate_split_name(enum curate_split s);

struct curate_options {
    const struct scrub_rules *rules;
    const struct crypto_key *key; /* surrogates, hashes and splits */
    unsigned shares[3];           /* percent by split, 100 together */
    unsigned threads;             /* 0: one per CPU */
    const struct progress *progress;
    struct scrub_vault *vault; /* takes what is replaced; or NULL */
    uint64_t changed;          /* filters that are not as by default */
    double similarity;         /* of near-duplicates; 0: .8 */
    enum curate_answers answers;
    bool by_time;   /* the latest are tested on */
    bool by_client; /* no client is in two splits */
    bool again;     /* all calls, whatever was done before */
    bool locked;    /* the caller holds the store's lock "curate" */
    struct curate_require *const *require;
    const char *const *require_text;
    size_t require_count;
    /* Told each call that cannot be scrubbed; or NULL. */
    void (*quarantined)(void *ctx, int64_t call, const char *why);
    void *ctx;
};

/* How often the LLM agrees with itself: of one kind of task (a fingerprint of
 * workload, beginning of the system prompt and tools). */
struct curate_agreement {
    uint64_t task;
    int64_t call;           /* an example of it */
    uint64_t inputs, calls; /* asked more than once, and how often */
    double agreement;       /* share of pairs of answers that are equal */
    uint64_t pairs;         /* of answers to one input */
};
#define CURATE_AGREEMENTS 16 /* told: those of most calls */

#define CURATE_QUARANTINED_TOLD 10
#define CURATE_WHY_BYTES 160

struct curate_result {
    uint64_t fresh; /* calls looked at by this run */
    bool again;     /* all were, since the version changed ... */
    char was[256];  /* ... from this */
    char version[256];
    bool settled; /* examples were settled by this run ... */
    bool divided; /* ... and their splits drawn anew, by other shares */
    /* The store after this run. */
    uint64_t calls, reasons[CURATE_REASON_COUNT], splits[3], spans;
    int64_t example_of[CURATE_REASON_COUNT]; /* a call; 0: none */
    unsigned shares[3];
    uint64_t groups, repeated;    /* kept examples whose input came again */
    uint64_t clusters, clustered; /* of near ones, and examples in them */
    uint64_t largest;             /* examples that no split can divide */
    /* Counted in the store: conversations, clusters, inputs and clients with
     * kept examples in more than one split. */
    uint64_t straddling_conversations, straddling_clusters;
    uint64_t straddling_inputs, straddling_clients, clients;
    uint64_t contradictory; /* inputs with several kept answers */
    struct curate_agreement agreement[CURATE_AGREEMENTS], overall;
    size_t agreement_count;
    uint64_t *by_rule;    /* pieces replaced by this run, by rule */
    uint64_t moved[3];    /* 1: a unit was moved to fill it */
    uint64_t sealed;      /* by this run; trained or validated with before */
    uint64_t corrections; /* answers of outcomes scrubbed by this run */
    uint64_t uncorrected; /* those that could not be scrubbed */
    uint64_t quarantined; /* by this run; calls of it, or older ones */
    struct curate_quarantine {
        int64_t call;
        char why[CURATE_WHY_BYTES];
    } quarantine[CURATE_QUARANTINED_TOLD]; /* the first of them */
    /* Values that this run replaced in most conversations of a kind of call:
     * the template's, it seems; and a call with one. */
    uint64_t common;
    int64_t common_call;
};
void curate_result_release(struct curate_result *r);

/* "80,10,10": three numbers of sum 100. ERR_INVALID says so. */
MUST_CHECK int curate_shares_parse(const char *text, unsigned shares[3],
                                   struct err *err);

/* Takes the store's lock "curate", unless it is held. Interrupted: what was
 * written stays, the next run goes on there. */
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
 * for each occurrence; *count is how many there were; *unsearched: bytes of
 * views that were too deep or too many. */
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
                   uint64_t *unsearched, struct err *err);

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
