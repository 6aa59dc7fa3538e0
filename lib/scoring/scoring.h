/*
 * scoring.h - how good an answer is, and whether that is good enough
 *
 * Answers are OpenAI assistant messages. Each kind of task has one primary
 * metric in 0..1 that the gate reads; the others are for the table. The
 * statistics say pass, fail or undecided, never "pass" for want of data.
 * Nothing here knows models, stores or printing.
 * May use: base json sql assets unicode.
 */
#ifndef SCORING_H
#define SCORING_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

/* Raised when an answer may get another score, or scores another verdict:
 * what was stored before is then not shown again. */
#define SCORE_VERSION 4

enum score_kind {
    SCORE_LABEL, /* accuracy */
    SCORE_JSON,  /* canonical match */
    SCORE_TOOL,  /* call match */
    SCORE_SQL,   /* execution match */
    SCORE_TEXT,  /* ROUGE-L */
};
#define SCORE_KINDS 5

/* The names of table task: label json tool sql text. */
bool score_kind_parse(const char *name, enum score_kind *out);
const char *score_kind_name(enum score_kind k);
const char *score_metric_name(enum score_kind k); /* of the primary metric */

/* What an answer is to a request that offered tools. A malformed call is
 * never an abstention, so it can never be a correct one. */
enum score_act { SCORE_CALL, SCORE_ABSTAIN, SCORE_MALFORMED };

struct score_tally {
    int64_t tp, fp, fn;
};

struct score {
    double value;       /* primary metric; NaN: undecided */
    const char *reason; /* static; why it is below 1 or undecided, else "" */
    const char *method; /* static; label canonical call execution text */
    bool valid;         /* parses, is a well-formed call, runs */
    double f1;          /* json: fields; else: tokens */
    double rouge_l;
    struct score_tally fields; /* json: fields; tool: calls */
    enum score_act act;        /* of the answer */
};

struct score_pair {
    struct slice request;   /* OpenAI chat request, JSON; may be empty */
    struct slice reference; /* assistant message, JSON */
    struct slice answer;    /* assistant message, JSON */
    bool malformed;         /* the model tried a call and failed */
};

/* Score one answer against its reference. Where either side calls a tool, the
 * calls are compared, whatever the kind. Never fails: an answer that cannot
 * be read is a wrong answer, a reference that cannot be read is undecided
 * ("reference_unreadable"). Deterministic: the seed draws the rows of SQL's
 * tables. */
void score_answer(enum score_kind kind, const struct score_pair *pair,
                  uint64_t seed, struct score *out);

/*
 * Tool calls against lists of possible answers, by the rules of BFCL's AST
 * check (bfcl_eval of March 2026, Python categories), its names of failures
 * with them: wrong_count wrong_func_name missing_required unexpected_param
 * type_error type_error_nested value_error_string value_error_list
 * value_error_list_count value_error_dict value_error_dict_key
 * value_error_dict_value value_error missing_optional cannot_find_match.
 * possible: JSON array [{"name": {"param": [allowed, ...]}}]; "" among the
 * allowed: may be left out. A function is known by its name as the request
 * offers it, or that with underscores for its dots. Without a call the answer
 * is an abstention, right only where possible is empty, where a call is an
 * unwanted_call; a malformed_call is never right. pair's reference is not read.
 * Undecided, reference_unreadable, if possible is not such an array.
 */
enum score_order {
    SCORE_ANY_ORDER, /* each possible call in turn takes the first that fits */
    SCORE_ONE_CALL,  /* one is possible; its failure is the answer's */
};
void score_possible(const struct score_pair *pair, struct slice possible,
                    enum score_order order, struct score *out);

/* Text or JSON of a gold answer as an assistant message, appended to *out: an
 * object with "content" or "tool_calls" is one already, everything else
 * becomes the content. */
void score_message(struct slice gold, struct buf *out);
/* Content of a message (text parts joined), appended to *out; false if the
 * message cannot be read. */
bool score_content(struct slice message, struct buf *out);

/* Labels are compared trimmed, without quotes and a final full stop, ASCII
 * case folded, runs of white space as one blank. Appended to *out. */
void score_label_normal(struct slice text, struct buf *out);

/* Macro-F1 over the union of the labels of both sides, as
 * sklearn.metrics.f1_score(average="macro") computes it: a label that was
 * never predicted right counts 0. */
struct score_labels;
struct score_labels *score_labels_new(void);
void score_labels_add(struct score_labels *l, struct slice reference,
                      struct slice answer);
double score_labels_macro_f1(const struct score_labels *l); /* NaN if empty */
/* Labels that were taken for others, most often first, at most cap; the texts
 * are borrowed from l. Returns the count. */
struct score_confusion {
    struct slice reference, answer; /* as compared */
    size_t count;
};
size_t score_labels_pairs(const struct score_labels *l,
                          struct score_confusion *out, size_t cap);
void score_labels_free(struct score_labels *l);

/* Token F1 as SQuAD's: lower case, punctuation and the articles a, an, the
 * removed. Both empty: 1. */
double score_token_f1(struct slice reference, struct slice answer);
/* ROUGE-L, F-measure with beta 1 (Lin 2004): longest common subsequence of
 * lower-case alphanumeric tokens. Texts are cut at SCORE_MAX_TOKENS. */
double score_rouge_l(struct slice reference, struct slice answer);
#define SCORE_MAX_TOKENS 4096

/* chrF2 (Popovic 2015, as sacrebleu computes a sentence's): character 1- to
 * 6-grams without white space, 0..1. Texts are cut at SCORE_MAX_CHARS. */
double score_chrf(struct slice reference, struct slice answer);
#define SCORE_MAX_CHARS 20000
/* Chance that one of k draws from n samples, c of them right, is right: 1 -
 * C(n-c, k) / C(n, k) (Chen et al. 2021). k <= n. */
double score_pass_at_k(size_t n, size_t c, size_t k);
/* What the table shows beside the primary metric, NaN where it does not
 * apply: texts if the reference made no call, else whether the names of the
 * calls are the reference's and, if they are, the score of the rest. score:
 * score_answer's of the same pair. */
struct score_more {
    double chrf, length_ratio; /* bytes, answer to reference */
    double name, arguments;
    bool refused; /* begins as refusals in English do, the reference not */
};
void score_more(const struct score_pair *pair, const struct score *score,
                struct score_more *out);

/* What the prompt is about: a stable hash of the names in its schema
 * (table(col, ...) lines and CREATE TABLE), else in its lists (lines
 * `Head: one, two, three`, in any order), else of its tool definitions, else
 * 0. */
uint64_t score_schema_key(struct slice request);

/*
 * Statistics. Levels are one-sided: 0.95 gives the two limits of a two-sided
 * 90 % interval.
 */
#define SCORE_LEVEL 0.95

struct score_interval {
    double low, high;
};
/* Quantile of the standard normal distribution (Acklam's approximation with
 * one Halley step: 1e-15). */
double score_normal_quantile(double p);
/* Wilson's interval for k of n; counts need not be whole (effective sizes).
 * n 0 gives 0..1. */
struct score_interval score_wilson(double k, double n, double level);

/* How often an author agrees with himself. Zero-initialise and add each input:
 * its share of agreeing pairs of calls, and its calls (1: no pair, the share is
 * not read). The mean is over calls, since that is how often a candidate is
 * asked; inputs that came once are stood for by those that came twice, the
 * most like them (all repeated ones if none did). The interval is Wilson's at
 * Kish's effective number of inputs. Without repeated inputs: 1, and 1..1. */
struct score_self {
    double once;
    struct {
        double sum, inputs;
    } twice;
    struct {
        double sum, calls, squares;
    } more;
    size_t inputs; /* repeated */
};
void score_self_add(struct score_self *s, double agreement, double calls);
double score_self_mean(const struct score_self *s);
struct score_interval score_self_interval(const struct score_self *s,
                                          double level);

/* A paired 2x2 table: both right, only the first, only the second, neither. */
struct score_table {
    double both, first, second, neither;
};
/* Difference of the two rates, first minus second. Newcombe 1998 (Statistics
 * in Medicine 17:2635), method 10; Tango 1998 (17:891), the score interval. */
struct score_interval score_newcombe(struct score_table t, double level);
struct score_interval score_tango(struct score_table t, double level);

enum score_verdict { SCORE_PASS, SCORE_FAIL, SCORE_UNDECIDED };
const char *score_verdict_name(enum score_verdict v);

struct score_gate_input {
    const double *score;     /* of the candidate, 0..1; NaN leaves it out */
    const double *reference; /* of the reference on the same item; NaN too */
    const uint64_t *cluster; /* items of one conversation share a value */
    size_t count;
    double margin; /* 0.03: three points */
    double level;  /* 0: SCORE_LEVEL */
    uint64_t seed;
    size_t rounds; /* of the bootstrap; 0: 2000 */
    /* Items whose reference was measured elsewhere (self-agreement on
     * repeated inputs): their `reference` is that measurement's mean, and this
     * is the interval around it. NULL: none. */
    const bool *measured;
    struct score_interval measured_interval;
};

/* One thing that a gate asks for. */
struct score_condition {
    const char *name; /* static: quality validity latency */
    enum score_verdict verdict;
    double value, limit;            /* the value may not lie beyond it */
    struct score_interval interval; /* of the value; high may be HUGE_VAL */
    size_t count;                   /* observations */
    size_t need;                    /* that would decide, as score_gate.need */
    const char *why;
};
#define SCORE_CONDITIONS 3

struct score_gate {
    enum score_verdict verdict; /* the worst of the conditions' */
    size_t count;               /* items that both sides have a score for */
    size_t left_out;            /* items without */
    size_t clusters;
    double score, reference, difference; /* means */
    struct score_interval score_interval, reference_interval;
    struct score_interval interval;  /* that decides, around difference */
    struct score_interval bootstrap; /* clusters resampled, percentile */
    struct score_interval paired;    /* Tango's on effective counts; binary */
    struct score_interval newcombe;
    bool binary;          /* all scores are 0 or 1 */
    double design_effect; /* variance with clusters to without, at least 1 */
    double discordant;    /* share of items on which the two differ */
    /* Items of this kind that would decide with 80 % power if the true
     * difference were the one seen; 0 if decided; at most SCORE_MAX_NEED. */
    size_t need;
    const char *why; /* static, one clause: what decided */
    struct score_condition condition[SCORE_CONDITIONS]; /* quality first */
    size_t condition_count;
    /* The condition that verdict, why and need come from; condition_count: what
     * the caller added. */
    size_t deciding;
};
#define SCORE_MAX_NEED 10000000u
/* Below so many clusters there is never a verdict: the variance of graded
 * scores is then known too badly (simulated at the margin: 2 clusters pass
 * 19 %, 5 clusters 10 %, 20 at most 5 %). */
#define SCORE_MIN_CLUSTERS 20

/* Paired non-inferiority. Pass: the lower limit of (score - reference) lies
 * above -margin. Fail: the upper limit lies below it. Else, and with fewer than
 * SCORE_MIN_CLUSTERS clusters, undecided. The
 * interval is the wider, limit by limit, of the cluster bootstrap and of
 * Tango's interval with the counts divided by the design effect (binary
 * scores) or a normal interval with the cluster variance. Without any
 * disagreement the width comes from Wilson with one observation a cluster, so
 * a small sample never passes. */
void score_gate_run(const struct score_gate_input *in, struct score_gate *out);

/* Further conditions of a gate. */
struct score_conditions {
    /* Answers that are valid, the candidate's and the reference's: paired
     * non-inferiority as score_gate_run has it. valid_margin below 0: off. */
    const bool *valid, *reference_valid;
    const uint64_t *cluster;
    size_t count;
    double valid_margin;
    uint64_t seed;
    size_t rounds;
    /* The 95th percentile of single latencies is at most latency_p95_ms; 0:
     * off. Its interval is of order statistics (binomial, no assumption on how
     * they are spread), so that fewer than 59 never pass. */
    const double *latency_ms;
    size_t latency_count;
    double latency_p95_ms;
};
/* After score_gate_run, once. The verdict becomes the worst of all: fail, then
 * undecided, then pass. Of several that are as bad, the one that needs most
 * decides, else the first. */
void score_gate_conditions(const struct score_conditions *in,
                           struct score_gate *out);

/* Items for a paired non-inferiority test with this power: variance of one
 * paired difference (the share of discordant pairs when the true difference
 * is 0), distance between the true difference and -margin.
 * n = (z_level + z_power)^2 variance / distance^2. */
double score_gate_need(double variance, double distance, double level,
                       double power);

/* Prices in US dollars per million tokens; NaN: unknown. */
struct score_price {
    char *model;
    double input, cached, output;
    char *date, *kind, *source; /* kind: first or second hand */
};
struct score_prices;
/* The shipped table, or a file: the same format, or LiteLLM's
 * model_prices_and_context_window.json. */
MUST_CHECK int score_prices_open(const char *path, struct score_prices **out,
                                 struct err *err);
void score_prices_free(struct score_prices *p); /* NULL is fine */
/* How many models of LiteLLM's table were passed over for a price that is
 * negative or no number; what: the first, "FILE: model \"NAME\": KEY is ...". A
 * file without any price of tokens does not open. */
size_t score_prices_odd(const struct score_prices *p, const char **what);
/* By the name that was logged, dated or with a provider before it; NULL. */
const struct score_price *score_prices_find(const struct score_prices *p,
                                            const char *model);
/* Dollars for 1,000 calls of these mean sizes; cached tokens are part of
 * tokens_in. */
double score_price_calls(const struct score_price *p, double tokens_in,
                         double tokens_cached, double tokens_out);

#endif
