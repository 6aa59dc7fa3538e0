/*
 * registry.h - which model answers a task, since when, and why
 *
 * Each task has at most one champion; without one the LLM answers. Every
 * change is one transaction that also adds an event, and events are never
 * changed, so that what answered at any time can be told. Holds no weights and
 * judges no quality: verdicts come from evaluations, terms from the user.
 * May use: base json crypto sql store.
 */
#ifndef REGISTRY_H
#define REGISTRY_H

#include "store/store.h"

/* A model of a task. Texts live as long as the call; NULL: unknown. score,
 * reference: means over the items of the evaluation that decides
 * (registry_gate), NaN without one; low: lower end of the difference's
 * interval, NaN where it cannot be read (its text is encrypted). */
struct registry_entry {
    int64_t model, task, base, dataset;
    const char *name, *task_name, *verdict;
    int64_t created_us, version;
    double score, reference, difference, low;
    double margin; /* of the verdict; NaN: none, or it cannot be read */
    bool is_wide;  /* wider than REGISTRY_MARGIN: the verdict does not count */
    int64_t items; /* of the verdict */
    bool champion, retired;
    const char *weights; /* that it answers with, see registry_weights */
    const char *licence; /* of the base */
    const char *teacher; /* LLMs, JSON array */
    const char *terms;   /* the worst of both: allow unknown forbid */
};
/* Ordered by task name, newest version first. fn: 0, or a negative code that
 * ends the walk. */
MUST_CHECK int registry_list(struct store *s, int64_t task /* 0: all */,
                             int (*fn)(void *ctx,
                                       const struct registry_entry *e,
                                       struct err *err),
                             void *ctx, struct err *err);

/* Of the task it was merged into, too. */
MUST_CHECK int registry_champion(struct store *s, int64_t task,
                                 int64_t *model /* 0: none */, struct err *err);

/* The evaluation that decides about a model of a task: of those on the sealed
 * test the one with the most items scored, so that a short look outweighs no
 * whole one; of equally many one whose margin is at most `margin`, and of
 * these the newest. evaluation 0: none, and the verdict is empty. Items are
 * those that the store still has; a margin that cannot be read (its text is
 * encrypted) is NaN and counts as narrow enough. */
#define REGISTRY_MARGIN 0.03 /* what eval takes where nothing is said */
/* How a model's matrices are kept, in the words of lib/model. */
#define REGISTRY_WEIGHTS 8
#define REGISTRY_STORED "stored"
struct registry_gate {
    int64_t evaluation, items;
    double margin;
    char verdict[12];
    char weights[REGISTRY_WEIGHTS]; /* that it is about */
    bool is_wide;                   /* its margin */
    bool passes; /* the verdict is pass, and not by a wide margin */
};
MUST_CHECK int registry_gate_of(struct store *s, int64_t task, int64_t model,
                                double margin, struct registry_gate *out,
                                struct err *err);
/* Of evaluations with these weights alone; registry_gate_of is about those of
 * registry_weights. */
MUST_CHECK int registry_gate_with(struct store *s, int64_t task, int64_t model,
                                  double margin, const char *weights,
                                  struct registry_gate *out, struct err *err);
/* What a model answers a task with: a champion with what it was promoted with,
 * another with what it was judged with on the sealed test, else
 * REGISTRY_STORED. The second looks at judgements alone: that with the most
 * items, and of equally many the newest. */
MUST_CHECK int registry_weights(struct store *s, int64_t task, int64_t model,
                                char out[REGISTRY_WEIGHTS], struct err *err);
MUST_CHECK int registry_weights_judged(struct store *s, int64_t task,
                                       int64_t model,
                                       char out[REGISTRY_WEIGHTS],
                                       struct err *err);

/* before is set by the call. weights NULL: those of registry_weights_judged.
 * evaluation 0: the one that decides. margin: the widest that a pass may have,
 * 0: REGISTRY_MARGIN. forced: whatever its verdict; reason says why. */
struct registry_change {
    int64_t task, model, before;
    const char *command, *reason;
    const char *weights;
    int64_t evaluation;
    double margin;
    bool forced;
    bool is_same;   /* set by the call: it answered so already */
    bool is_judged; /* against this champion, 0: none, and no other */
    int64_t judged_against;
};
/* ERR_INVALID: no model of this task, retired, judged against another champion,
 * not gated with pass (unless forced), forbidden by terms without an override.
 * One that is the champion already, with these weights, stays, and nothing is
 * written (before = model, is_same). A step back of the task ends, with an
 * event of its own; so it does where one rolls back. */
MUST_CHECK int registry_promote(struct store *s, struct registry_change *c,
                                struct err *err);
/* Back to the champion before. ERR_NOTFOUND: there is none now. ERR_INVALID:
 * the one before is retired, or its files are gone. reason may be NULL. */
MUST_CHECK int registry_rollback(struct store *s, int64_t task,
                                 const char *reason,
                                 int64_t *to /* 0: the LLM again */,
                                 struct err *err);
/* Ends the step back of a task, see router_step_back; reason may be NULL.
 * ERR_NOTFOUND: it has not stepped back. */
MUST_CHECK int registry_resume(struct store *s, int64_t task,
                               const char *command, const char *reason,
                               struct err *err);
/* A champion steps down, and the LLM answers. ERR_INVALID: a base. */
MUST_CHECK int registry_retire(struct store *s, int64_t model,
                               const char *reason, struct err *err);

/* A task becomes part of another, in the caller's transaction and before the
 * task's row says so. The champion of `into` stays, or that of `from` becomes
 * it; an event tells, where `from` had one. */
MUST_CHECK int registry_merge(struct store *s, int64_t into, int64_t from,
                              struct err *err);

enum registry_terms { REGISTRY_UNKNOWN, REGISTRY_ALLOW, REGISTRY_FORBID };
const char *registry_terms_name(enum registry_terms t);
/* false: no such name. */
bool registry_terms_of(const char *name, enum registry_terms *out);
/* What the user declares about an LLM, by the name that calls have, or about a
 * licence, by its identifier: 1 to REGISTRY_TERMS_NAME printable bytes, else
 * ERR_INVALID. note may be NULL; unknown without a note takes back what was
 * declared, whatever its name. */
#define REGISTRY_TERMS_NAME 256
MUST_CHECK int registry_terms_set(struct store *s, const char *llm,
                                  enum registry_terms t, const char *note,
                                  struct err *err);
/* By this name the user declares about calls that do not name their LLM. */
#define REGISTRY_UNNAMED "unnamed"
/* For the LLMs of the task's examples and the licence of the base: the worst
 * (forbid, then unknown, then allow). Without any LLM it is unknown. what: a
 * sentence without a stop, empty if all is allowed. Licences nobody declared
 * anything about: those that let everybody train and use are allowed, all
 * others unknown. */
#define REGISTRY_WHAT 256
MUST_CHECK int registry_terms_check(struct store *s, int64_t task, int64_t base,
                                    enum registry_terms *out,
                                    char what[REGISTRY_WHAT], struct err *err);
/* The same for a model, by the LLMs that it learnt from. */
MUST_CHECK int registry_terms_model(struct store *s, int64_t model,
                                    enum registry_terms *out,
                                    char what[REGISTRY_WHAT], struct err *err);
/* Written down for good; model may be 0. */
MUST_CHECK int registry_override(struct store *s, int64_t task, int64_t model,
                                 const char *reason, struct err *err);

/* What a model that was just trained is entered with: the next version of its
 * task, its teachers from the examples of its data set, and the hash of the
 * files at `path`. In the caller's transaction. */
MUST_CHECK int registry_enter(struct store *s, int64_t model, const char *path,
                              struct err *err);

/* Hash over names and bytes of the files of a directory (or of one file), save
 * those that nothing is computed from (*.md, hidden ones). Two directories
 * with equal files have equal hashes. */
#define REGISTRY_HASH_BYTES 16
MUST_CHECK int registry_hash_files(const char *path,
                                   unsigned char out[REGISTRY_HASH_BYTES],
                                   struct err *err);
/* ERR_FORMAT: the files are not those that were entered. A model that was
 * entered without a hash is taken as it is. */
MUST_CHECK int registry_verify_files(struct store *s, int64_t model,
                                     struct err *err);

#endif
