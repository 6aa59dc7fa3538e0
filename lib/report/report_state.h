/* report_state.h - what the forms of a store's report share; nobody outside
 * this module includes it */
#ifndef REPORT_STATE_H
#define REPORT_STATE_H

#include "page/page.h"
#include "report/report.h"

#define STATE_LIST_MAX 200 /* rows of one list */
#define STATE_POINTS_MAX 4096
#define STATE_TIMES_MAX 200000 /* decisions, the newest, whose times count */
#define STATE_TEXT_MAX 600     /* bytes of an answer that is shown */

/* A name and how many. */
struct state_count {
    char *name;
    double calls;
    double part; /* more of the row: mean agreement; NaN: none */
    double part_count;
};
struct state_counts {
    struct state_count *list;
    size_t count, cap;
};

struct state_sample {
    char *outcome, *answer, *logged;
    double score;
};

/* A condition of a gate beside quality. */
struct state_condition {
    char *name, *verdict, *why;
    double value, low, high, limit;
};
#define STATE_CONDITIONS 4

struct state_column {
    bool present;
    char *name;
    double score, low, high, p50_ms, p95_ms, dollars; /* NaN: unknown */
};

/* What else was judged on a task. */
struct state_beside {
    char *model, *verdict, *split;
    bool in_store; /* else hosted, or a directory */
    double items, difference, low, high, margin;
};
#define STATE_BESIDE 8 /* models a task */

enum { COLUMN_BASE, COLUMN_TUNED, COLUMN_LLM, COLUMNS };

struct state_task {
    int64_t id;
    char *name, *kind;
    double calls, tokens_in, tokens_out; /* of the log, repeats included */
    /* The champion's, else a candidate's; 0: none. */
    int64_t evaluation;
    char *model, *verdict, *split, *why, *metric;
    double items, clusters, need, margin, opened_before;
    double difference, low, high;
    struct state_column column[COLUMNS];
    struct state_condition condition[STATE_CONDITIONS];
    size_t condition_count;
    /* The champion; NULL: none. */
    char *champion;
    double version;
    struct state_beside *beside;
    size_t beside_count;
    struct state_sample *samples;
    size_t sample_count;
};

/* Validation loss over trained tokens. */
struct state_curve {
    char *name;
    double *x, *y;
    size_t n, cap_x, cap_y;
};

/* Calls that pass to small models, task after task. */
struct state_step {
    const char *task; /* NULL: before the first */
    double moved, dollars, quality;
};

/* What a model's calibration has found. Costs: dollars for 1,000 calls, or the
 * share of calls that go to the LLM. NaN: unknown. */
struct state_router {
    char *task, *model;
    bool in_dollars, learnt;
    double items, errors, share, quality, llm_quality, cost, llm_cost;
    double apgr, aiq, cpt50, cpt80, ece_before, ece_after;
    double *x, *y; /* the curve: cost and quality */
    size_t n;
};

/* Routed calls of a task. */
struct state_routed {
    int64_t id;
    char *task;
    double calls, slm, llm, escalated, shadow, forced, errors;
    double agreement, compared; /* mean; of how many */
};

#define STATE_LINE 6
struct state_line {
    char *text[STATE_LINE];
};
struct state_lines {
    struct state_line *list;
    size_t count, cap;
};

struct state_saving {
    double calls, dollars; /* of the log */
    size_t tasks;
};

struct report_state {
    char *title;
    int64_t time_us; /* of the newest row; 0: none */
    double calls, days;
    double kept, bytes_raw;
    struct state_counts statuses, dropped, splits, decisions, reasons;
    struct state_counts outside; /* examples that are in no task, by reason */
    struct state_task *tasks;
    size_t task_count, task_cap;
    struct state_curve *curves;
    size_t curve_count, curve_cap;
    struct state_step *steps;
    size_t step_count;
    double step_items;          /* items that the steps are measured on */
    struct state_saving passed; /* a champion has */
    struct state_saving could;  /* a candidate has, and no champion is there */
    struct state_saving undecided;
    struct state_saving here; /* what routed calls did save */
    struct state_router *routers;
    size_t router_count, router_cap;
    struct state_routed *routed;
    size_t routed_count, routed_cap;
    double slm_p50_ms, slm_p95_ms, llm_p50_ms, llm_p95_ms, decide_p50_us;
    struct state_lines events;    /* time, what, task, model, before, why */
    struct state_lines back;      /* since, task, why */
    struct state_lines retrained; /* time, task, due, outcome, model, why */
    bool samples;
};

/* report_tasks.c */
MUST_CHECK int state_read_tasks(struct report_state *r, struct store *s,
                                const struct report_options *o,
                                struct err *err);
/* report_choose.c: sets evaluation and beside; model: the champion, 0: none. */
MUST_CHECK int state_choose_evaluation(struct state_task *t, struct store *s,
                                       int64_t model, struct err *err);
void state_release_beside(struct state_task *t);
/* report_curves.c */
MUST_CHECK int state_read_curves(struct report_state *r, struct store *s,
                                 const struct report_options *o,
                                 struct err *err);
/* report_loop.c */
MUST_CHECK int state_read_loop(struct report_state *r, struct store *s,
                               const struct report_options *o, struct err *err);
void state_release_loop(struct report_state *r);
/* report_loop_html.c: each a section */
void state_html_routers(const struct report_state *r, struct buf *out);
void state_html_routing(const struct report_state *r, struct buf *out);
void state_html_models(const struct report_state *r, struct buf *out);

/* report_loop_text.c: the same in the other forms */
void state_text_loop(const struct report_state *r, bool ascii, struct buf *out);
void state_markdown_loop(const struct report_state *r, struct buf *out);
void state_json_loop(const struct report_state *r, struct json_writer *w);

/* On the sealed test: a pass on validation is none. */
bool state_has_passed(const struct state_task *t);
/* A candidate has passed by a margin that promote takes, and there is no
 * champion. */
bool state_could_move(const struct state_task *t);
/* "champion" or "candidate", "-" without an evaluation. */
const char *state_role(const struct state_task *t);
/* "candidate", "not in the store". */
const char *state_beside_role(const struct state_beside *b);
/* "pass", "pass (validation)", "not judged"; the caller frees it. */
char *state_verdict(const struct state_task *t);
char *state_beside_verdict(const struct state_beside *b);
void state_make_steps(struct report_state *r);

/* "12,345", "1.2 M", "-" for NaN; appended. */
void state_amount(struct buf *out, double v);
/* Each gives a text that the caller frees. */
char *state_share(double v);                          /* "12.3 %" or "-" */
char *state_number(double v, int decimals);           /* or "-" */
char *state_range(double v, double low, double high); /* percent */
char *state_margin(double v);                         /* points, or "-" */
bool state_has_beside(const struct report_state *r);
/* Control characters out; a name is at most so many bytes. */
void state_plain(struct buf *out, const char *s);
char *state_copy(const char *s); /* or "-" */
/* A row whose cells are freed once it is written. */
void state_row(struct page_table *t, char **cells, size_t n);
/* What is assumed by savings, the lines of all forms. */
#define STATE_NOTES 5
const char *state_note(size_t i);

#endif
