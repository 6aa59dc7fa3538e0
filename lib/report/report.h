/*
 * report.h - what an evaluation found, in the forms that people and machines
 * read
 *
 * One source for all of them: struct report_eval. JSON, Markdown and JUnit
 * XML say the same verdicts, and report_verdict is what the exit code comes
 * from. Text from logs is escaped for each form. Numbers that are not known
 * are "-" or null, never 0.
 * A store as a whole is told by report_store_*: what was logged, which tasks
 * are in it, what was trained, judged and decided.
 * May use: base json scoring evaluate page sql store registry.
 */
#ifndef REPORT_H
#define REPORT_H

#include "base/buf.h"
#include "evaluate/evaluate.h"
#include "json/json.h"
#include "store/store.h"

/* A task that has a model and nothing to try it on; failed: its model cannot
 * be run. */
struct report_untested {
    char *task, *why;
    bool failed;
};

#define REPORT_MISTAKEN 10 /* pairs of labels that are shown */

struct report_eval {
    const struct evaluate_result *list;
    size_t count;
    const struct report_untested *untested;
    size_t untested_count;
    double margin, machine_dollars_per_hour;
    size_t show; /* disagreements a task */
};

/* Fail if any task fails, else undecided if any is or has nothing to try its
 * model on, else pass. Tasks that failed have no verdict. */
enum score_verdict report_verdict(const struct report_eval *e);

/* One task as a JSON object: what table evaluation keeps. */
void report_eval_task(struct json_writer *w, const char *key,
                      const struct evaluate_result *r, double margin);
void report_eval_json(const struct report_eval *e, struct buf *out);
void report_eval_markdown(const struct report_eval *e, struct buf *out);
void report_eval_junit(const struct report_eval *e, struct buf *out);
/* The figures of a calibration as an object, or null. */
void report_calibration(struct json_writer *w, const char *key,
                        const struct evaluate_calibration *c);
/* A line of them for people; nothing without a calibration. Appended. */
void report_calibration_note(const struct evaluate_result *r, struct buf *out);
/* "validity: pass, -0.2 [-1.0, +0.6] points, limit -3" of a condition beside
 * quality. Appended. */
void report_condition(struct buf *out, const struct score_condition *c);
/* "about 300 calls would decide (there are 120)", of what decided; nothing
 * where nobody knows. Appended. */
void report_need(struct buf *out, const struct score_gate *g);
/* Lines under the table for people: references, seal, prices, assumptions. */
void report_eval_notes(const struct report_eval *e, struct buf *out);

/* "93.4 [91.0, 95.2]" in percent; "-" for NaN. Appended. */
void report_rate(struct buf *out, double v, struct score_interval i);
/* "-" for NaN, else with so many decimals. Appended. */
void report_number(struct buf *out, double v, int decimals);

/* XML text or attribute: control characters that XML forbids become U+FFFD. */
void report_xml(struct buf *out, struct slice text);
/* A cell of a Markdown table: no pipe, line break, HTML or link gets through;
 * cut after max bytes at a character's boundary. */
void report_markdown_cell(struct buf *out, struct slice text, size_t max);

/* What a store holds, read once for all forms. */
struct report_state;
struct report_options {
    int64_t task;         /* 0: all */
    const char *title;    /* NULL: "What slmctl found" */
    size_t show;          /* answers a task, with include_samples */
    bool include_samples; /* text of answers, which may tell of people */
};
/* One transaction's view. The newest row's time is the report's: the same store
 * gives the same bytes. Ownership: report_state_free. */
MUST_CHECK int report_state_read(struct store *s,
                                 const struct report_options *o,
                                 struct report_state **out, struct err *err);
void report_state_free(struct report_state *r); /* NULL is fine */

/* One HTML page, whole in itself. */
void report_state_html(const struct report_state *r, struct buf *out);
void report_state_markdown(const struct report_state *r, struct buf *out);
void report_state_text(const struct report_state *r, bool ascii,
                       struct buf *out);
void report_state_json(const struct report_state *r, struct buf *out);

#endif
