/* tasks_store.h - the clustering and the tasks as rows */
#ifndef TASKS_STORE_H
#define TASKS_STORE_H

#include "tasks/tasks_answer.h"
#include "tasks/tasks_private.h"

/* The newest fitted clustering. */
struct tasks_fitted {
    int64_t id;   /* of its row; 0: none */
    int64_t high; /* highest example that it was fitted on */
    struct tasks_model *model;
    char *embedder; /* its name when the tasks were found; NULL: tasks' own */
    int64_t *task;  /* [count] row of each cluster */
};
int tasks_fitted_load(struct store *s, struct tasks_fitted *f, struct err *err);
/* The same, with merges of tasks followed. */
int tasks_fitted_follow(struct store *s, struct tasks_fitted *f,
                        struct err *err);
/* Writes the clustering as the only one, inside the caller's transaction. */
int tasks_fitted_save(struct store *s, const struct tasks_fitted *f,
                      uint64_t seed, size_t calls, struct err *err);
void tasks_fitted_release(struct tasks_fitted *f);
/* Opens e (NULL: tasks' own vectors) for f's tasks. Unless any will do,
 * another than the one that they were found by is refused. */
int tasks_embedder_use(const struct tasks_fitted *f, struct tasks_embedder *e,
                       bool any, struct err *err);
/* Remembers where f's embedder, which was opened as e, is now. */
int tasks_embedder_moved(struct store *s, struct tasks_fitted *f,
                         const struct tasks_embedder *e, struct err *err);

/* Kept examples (all, or those that no run has seen), with what clustering
 * needs of them. */
struct tasks_example {
    int64_t id, task; /* task 0: none */
    bool sealed;
    struct tasks_prompt prompt;
    struct tasks_answer answer; /* empty for sealed ones */
    int64_t to;                 /* task to write */
    float novelty;
};
struct tasks_examples {
    struct tasks_example *item;
    size_t count, cap;
};
int tasks_examples_read(struct store *s, bool fresh, bool answers,
                        const struct progress *progress,
                        struct tasks_examples *out, struct err *err);
void tasks_examples_release(struct tasks_examples *x);
/* Writes task and novelty of all items in small transactions. */
int tasks_examples_write(struct store *s, const struct tasks_examples *x,
                         struct err *err);

/* Rows of `task` for the clusters of a new model, known ones by their
 * members: task[count of clusters]. label[i] is the cluster of item i,
 * TASKS_NONE if it has none. */
int tasks_rows_match(struct store *s, const struct tasks_examples *x,
                     const uint32_t *label, size_t clusters, int64_t *task,
                     struct err *err);

#endif
