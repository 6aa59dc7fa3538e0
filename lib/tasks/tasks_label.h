/* tasks_label.h - names and texts by which people know a task */
#ifndef TASKS_LABEL_H
#define TASKS_LABEL_H

#include "base/map.h"
#include "json/json.h"
#include "tasks/tasks_private.h"

/* Document frequencies of words over (a sample of) all tasks, to tell which
 * words mark one. */
struct tasks_words {
    struct map *df;
    size_t texts;
};
void tasks_words_add(struct tasks_words *w, const struct tasks_prompt *p);
void tasks_words_release(struct tasks_words *w);

struct tasks_label {
    char *name; /* a slug, not yet unique */
    char *text; /* template with {slots}, or the words that mark the task */
    double repetitive; /* share of the prompts' tokens that most of them have */
};
/* Members of one task. Puts "template", "terms" and "repetitive" into the
 * object that w has open. */
void tasks_label_make(const struct tasks_prompt *const *p, size_t n,
                      const struct tasks_words *words, struct json_writer *w,
                      struct tasks_label *out);
void tasks_label_release(struct tasks_label *l);

#endif
