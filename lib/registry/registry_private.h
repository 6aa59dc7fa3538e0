/* registry_private.h - shared by the files of this module only */
#ifndef REGISTRY_PRIVATE_H
#define REGISTRY_PRIVATE_H

#include "registry/registry.h"

/* Rows of the task ?1 and of those that were merged into it. */
#define REGISTRY_OF_TASK                                                       \
    "(task = ?1 OR task IN (SELECT id FROM task WHERE merged_into = ?1))"

/* The task that this one was merged into, else itself. */
MUST_CHECK int registry_root(struct store *s, int64_t task, int64_t *root,
                             struct err *err);

struct registry_event {
    int64_t task, model, before; /* 0: NULL */
    const char *kind, *command, *reason;
    int64_t evaluation;
    const char *detail;  /* JSON or NULL */
    const char *weights; /* of a promotion */
};
/* In a transaction. *id may be NULL. */
MUST_CHECK int registry_event_add(struct store *s,
                                  const struct registry_event *e, int64_t *id,
                                  struct err *err);
/* In a transaction: the task goes on where it stepped back, with an event. */
MUST_CHECK int registry_resume_in(struct store *s, int64_t root,
                                  const char *command, const char *reason,
                                  bool *was, struct err *err);
/* Where the files of a model are; the caller frees. NULL: no such model. */
MUST_CHECK int registry_path(struct store *s, int64_t model, char **path,
                             struct err *err);

/* The LLMs whose answers a data set is trained on, JSON array. */
MUST_CHECK int registry_teachers(struct store *s, int64_t dataset,
                                 struct buf *out, struct err *err);
/* LLMs (JSON array) and licence, against what was declared. */
MUST_CHECK int registry_terms_of_both(struct store *s, struct slice teachers,
                                      struct slice licence,
                                      enum registry_terms *out, char *what,
                                      struct err *err);

#endif
