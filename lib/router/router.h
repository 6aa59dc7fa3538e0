/*
 * router.h - which calls a small model may answer
 *
 * It reads the store once and decides on requests: no clock, no thread, no
 * socket of its own. Known requests are found by their bytes, others by the
 * nearest task; whatever is new, near two tasks, or likely to be answered
 * wrongly goes to the LLM. Who made a tool call stands in its id, so that a
 * call and its result never have two models.
 * May use: base, json, crypto, sql, store, linalg, tasks, stats, schema.
 */
#ifndef ROUTER_H
#define ROUTER_H

#include "json/json.h"
#include "stats/stats.h"
#include "store/store.h"
#include "tasks/tasks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum router_mode { ROUTER_OFF, ROUTER_SHADOW, ROUTER_CANARY, ROUTER_ON };
enum router_to {
    ROUTER_LLM,
    ROUTER_SLM,
    ROUTER_BOTH, /* the LLM answers, the SLM runs beside it */
};

/* Why a call went where it went: before the answer, then after it (the last
 * line; length, engine and busy are told by who runs the model). */
#define ROUTER_REASONS(X)                                                      \
    X(no_task)                                                                 \
    X(novel)                                                                   \
    X(near_two)                                                                \
    X(no_champion)                                                             \
    X(mode_off)                                                                \
    X(shadow)                                                                  \
    X(not_in_canary)                                                           \
    X(stepped_back)                                                            \
    X(tool_loop_slm)                                                           \
    X(tool_loop_llm)                                                           \
    X(unknown_tool)                                                            \
    X(too_long)                                                                \
    X(unsupported)                                                             \
    X(predicted_error)                                                         \
    X(audit)                                                                   \
    X(routed)                                                                  \
    X(asked)                                                                   \
    X(malformed)                                                               \
    X(schema)                                                                  \
    X(no_such_tool)                                                            \
    X(bad_arguments) X(repetition) X(low_confidence) X(length) X(engine) X(busy)
enum router_reason {
#define X(name) ROUTER_REASON_##name,
    ROUTER_REASONS(X)
#undef X
};

/* For one task: TASK=MODE[:PERCENT]. */
struct router_rule {
    const char *task;
    enum router_mode mode;
    double percent; /* canary; 0: the options' */
};
#define ROUTER_BY_WORDS 0.8

/* Zero means the default. */
struct router_options {
    enum router_mode mode;
    double percent; /* of conversations, in canary; 10 */
    const struct router_rule *rules;
    size_t rule_count;
    double audit;   /* share of routed calls that both answer; negative: none,
                       0: .02 */
    double novelty; /* above it a call is new; TASKS_NOVEL. Of that
                       ROUTER_BY_WORDS where words alone speak for a task */
    double gap;     /* nearness to the second task below it: abstain; .2 */
    uint64_t key;   /* of the draws: canary and audit */
};

/* A prompt as numbers: signed hashes of its words and pairs of words (at most
 * the first ROUTER_TEXT_MAX bytes), and how long it is. No word can be read
 * back. x[ROUTER_VECTOR] */
#define ROUTER_VECTOR 258
#define ROUTER_TEXT_MAX 8192
void router_vector(struct slice text, float *x);
/* Of a request's last messages but the system's, as many as fit; the length
 * is that of all. */
void router_request_vector(const struct json *j, json_ref request, float *x);

/* What is learnt of a model from its answers to validation items. */
#define ROUTER_SIGNALS 5 /* mean log p, three quantiles, log of tokens */
#define ROUTER_CALIBRATE_LEAST 200
#define ROUTER_CALIBRATE_ERRORS 20
struct router_item {
    const float *vector; /* [ROUTER_VECTOR] of the prompt; all have one or none
                            has: then NULL */
    struct stats_signals s;
    uint64_t cluster; /* of its conversation */
    double slm, llm;  /* 0..1, against the reference */
    double cost_slm, cost_llm;
};
struct router_calibration {
    size_t items;
    double errors; /* sum of 1 - slm */
    double floor;  /* as it was asked for */
    /* Of the caller; written with the figures. */
    size_t unusable;    /* answers that router_usable refused: no items */
    bool in_dollars;    /* costs; else an LLM's call is 1, a model's 0 */
    char inputs[33];    /* hash of what it was made from; "" */
    char weights[8];    /* how the model's were kept, in lib/model's words */
    bool learnt;        /* false: too few items or errors; one limit for all */
    bool reads_prompts; /* heads over vectors */
    double *before;     /* [ROUTER_VECTOR + 1] of the prompt alone, or NULL */
    double *after;      /* [(ROUTER_VECTOR) + ROUTER_SIGNALS + 1] */
    struct stats_isotonic error_before, error; /* P(wrong) of what they say */
    double rate_limit; /* upper limit (90 %) of the rate of errors */
    double threshold;  /* answers with a higher P(wrong) are escalated */
    double give_up;    /* prompts with a higher P(wrong) are not tried */
    /* On the items, by heads and steps of other clusters. ece_chance: what
     * perfect probabilities would have with so many items. */
    double ece_before, ece_after, ece_chance, brier_before, brier_after;
    double share; /* kept by the SLM at the threshold */
    double quality, llm_quality, cost, llm_cost, apgr, aiq, cpt50, cpt80;
    struct stats_point *curve;
    size_t points;
};
/* Logistic head with the project's ridge: the prior variance of a standardised
 * weight is 1/(2d), that of a whole prediction a half. */
MUST_CHECK int router_head_fit(const float *x, const double *y, size_t n,
                               size_t d, double *w, struct err *err);
/* Five folds by cluster: an item's probability comes from heads and steps of
 * the other folds, so ECE after is out of sample; what is kept was fitted on
 * all. floor: how far (0..1) mean quality may lie below the LLM's.
 * The threshold costs least where the quality, by the upper limit (90 %) of
 * the errors among what is kept, stays above that; of equally dear ones it
 * keeps the most calls.
 * Fewer than ROUTER_CALIBRATE_LEAST items or ROUTER_CALIBRATE_ERRORS errors:
 * nothing is learnt, all calls have the same probability, and all are kept
 * (the gate has decided on them) unless even the lower limit (90 %) of the
 * rate of errors is too high. ece_before: of 1 - exp(mean log p).
 * ERR_INVALID: no items. */
MUST_CHECK int router_calibrate(const struct router_item *items, size_t n,
                                double floor, struct router_calibration *out,
                                struct err *err);
/* P(wrong) of an answer; vector may be NULL unless it reads prompts. */
double router_error(const struct router_calibration *c, const float *vector,
                    const struct stats_signals *s);
/* The same of the prompt alone; NaN if it does not read prompts. */
double router_error_before(const struct router_calibration *c,
                           const float *vector);
#define ROUTER_CALIBRATION_VERSION 1
/* What decisions need, not the figures; a loaded one decides to the bit as the
 * saved one. */
void router_calibration_save(const struct router_calibration *c,
                             struct buf *out);
MUST_CHECK int router_calibration_load(struct slice data,
                                       struct router_calibration *out,
                                       struct err *err);
/* The figures: members of the open object. */
void router_calibration_write(const struct router_calibration *c,
                              struct json_writer *w);
void router_calibration_release(struct router_calibration *c);
/* Writes it as the model's, instead of an earlier one. */
MUST_CHECK int router_calibration_store(struct store *s, int64_t model,
                                        const struct router_calibration *c,
                                        int64_t now_us, struct err *err);

struct router;
/* Champions, their calibrations and steps back, and the tasks: as they are
 * now; a reload opens another. e: as in tasks_index_open. A store without
 * tasks or champions is fine: everything goes to the LLM. */
MUST_CHECK int router_open(struct store *s, struct tasks_embedder *e,
                           const struct router_options *o, struct router **out,
                           struct err *err);
void router_close(struct router *r); /* NULL is fine */

/* Prefix of the ids of tool calls that a model makes; "" if it is no
 * champion's. Valid as long as the router. */
const char *router_call_prefix(const struct router *r, int64_t model);
/* Models that the router may send calls to. */
size_t router_models(const struct router *r);
int64_t router_model(const struct router *r, size_t i);
int64_t router_task(const struct router *r, size_t i); /* that it answers */
/* Of a task with a champion: its name and kind; how far the champion agreed
 * with the LLM on the sealed test, NaN if that is unknown; whether it has
 * stepped back. NULL, NaN, false: no such task. */
const char *router_task_name(const struct router *r, int64_t task);
const char *router_task_kind(const struct router *r, int64_t task);
double router_task_expected(const struct router *r, int64_t task);
bool router_has_stepped_back(const struct router *r, int64_t task);

/* How many tokens a model can take, told by who loaded it, before the router
 * is used: requests that cannot fit go to the LLM. */
void router_set_context(struct router *r, int64_t model, size_t tokens);
/* A step back that the store could not be told of; before the router is used.
 */
void router_set_stepped_back(struct router *r, int64_t task);

struct router_state {
    const char *conversation; /* its id; NULL: known by its first messages */
    const char *pinned;       /* id of the tool call that the proxy knows to be
                                 answered here, where the client renamed it */
};
struct router_decision {
    enum router_to to;
    enum router_reason reason;
    int64_t task, model; /* 0: none */
    float novelty, distance, gap;
    double p_error;      /* expected of the prompt alone; NaN */
    double threshold;    /* answers above it are escalated; NaN: none are */
    double percent_at;   /* where the canary's draw lies, 0..100; NaN */
    bool by_fingerprint; /* known by its bytes */
    bool by_vector;      /* the nearest centre of embeddings decided */
    bool by_words;       /* nothing but its words speaks for the task */
    bool in_loop;        /* the last message is a tool's result */
};
const char *router_reason_name(enum router_reason reason);
/* request: an OpenAI chat request, node of j. state may be NULL. Any thread. A
 * request without messages is ERR_FORMAT. */
MUST_CHECK int router_decide(const struct router *r, const struct json *j,
                             json_ref request, const struct router_state *state,
                             struct router_decision *out, struct err *err);

/* After generation: is the message (an assistant's, JSON) usable? True, or
 * false with the reason. s: ended signals, or NULL. *p_error: of the answer;
 * NaN without calibration. */
bool router_check(const struct router *r, const struct router_decision *d,
                  const struct json *j, json_ref request, struct slice message,
                  const struct stats_signals *s, double *p_error,
                  enum router_reason *why);

/* What router_check looks at first: calls, arguments and formats, as the
 * request has them. False with the reason. */
bool router_usable(const struct json *j, json_ref request, struct slice message,
                   enum router_reason *why);

/* The decision as members of the open object. */
void router_explain(const struct router *r, const struct router_decision *d,
                    struct json_writer *w);

/* Step-back: the last `window` calls of each task. */
struct router_limits {
    size_t window;    /* 0: 200 */
    size_t least;     /* judged calls before anything is said; 0: 50 */
    double agreement; /* with the LLM, at least; 0: not looked at */
    double errors;    /* share of unusable answers, at most; 0: .10 */
};
struct router_watch;
struct router_watch *router_watch_new(const struct router_limits *l);
void router_watch_free(struct router_watch *w); /* NULL is fine */
/* From now on; another window's length forgets all calls. Any thread. */
void router_watch_limit(struct router_watch *w, const struct router_limits *l);
/* The task's agreement is to stay at least here; 0: as the limits say. Any
 * thread. */
void router_watch_expect(struct router_watch *w, int64_t task,
                         double agreement);
/* Mean of the window's compared calls, NaN without one. Any thread. */
double router_watch_agreement(struct router_watch *w, int64_t task);
/* The task's calls count no more: another model answers. Any thread. */
void router_watch_forget(struct router_watch *w, int64_t task);
/* agreement 0..1, NaN: not compared. True: the task steps back now, because
 * Wilson's upper limit (95 %) of its agreement lies below the limit, or the
 * lower one of its errors above; its window is empty again. Any thread. */
bool router_watch_add(struct router_watch *w, int64_t task, double agreement,
                      bool error, char why[160]);
/* Writes that a task stepped back, or (reason NULL) that it goes on. */
MUST_CHECK int router_step_back(struct store *s, int64_t task,
                                const char *reason, int64_t now_us,
                                struct err *err);

#endif
