/* tasks_answer.h - answers, read for the kind of a task's output */
#ifndef TASKS_ANSWER_H
#define TASKS_ANSWER_H

#include "json/json.h"
#include "tasks/tasks.h"

struct tasks_answer {
    enum tasks_kind kind; /* LABEL is told by many answers only */
    char *names;          /* JSON keys or tools, one a line; may be NULL */
    char *label;          /* a short text, may be NULL */
};
/* Unreadable responses count as text. */
void tasks_answer_read(struct slice response, struct tasks_answer *a);
void tasks_answer_release(struct tasks_answer *a);

/* The kind of a task with these answers; puts the labels, keys or tools into
 * the object that w has open. */
enum tasks_kind tasks_answers_kind(const struct tasks_answer *const *a,
                                   size_t n, struct json_writer *w);

#endif
