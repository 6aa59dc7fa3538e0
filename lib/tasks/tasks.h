/*
 * tasks.h - which calls do the same job
 *
 * A task is found from prompts alone, because a new call has no answer yet.
 * Exact keys come first (system prompt, response format, tools), then the
 * text that prompts share word for word (templates), then, for prompts that
 * share none, embeddings of what they say. Answers are read afterwards, to
 * say what kind of output a task has. The result depends on the prompts and
 * the seed, not on the threads.
 * May use: base, json, store, registry, linalg, embed, kmeans.
 */
#ifndef TASKS_H
#define TASKS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What of a request decides its task. */
struct tasks_prompt {
    uint64_t system; /* hash of the normalised system prompt; 0: none */
    uint64_t format; /* of the response format; 0: free text */
    uint64_t tools;  /* of the sorted tool names; 0: none offered */
    uint32_t *token; /* hashes: system prompt, separator, first user message */
    size_t tokens, user_at; /* user_at: first token of the user message */
    char *system_text, *user_text; /* cut to what labels need; never NULL */
    char *tool_names;              /* sorted, one a line; never NULL */
};
/* An OpenAI chat request. Conversations are known by how they begin: the
 * messages after the first of the user say where a call stands in its task,
 * not which task it is. A request without messages is ERR_FORMAT. */
MUST_CHECK int tasks_prompt_read(struct slice request, struct tasks_prompt *out,
                                 struct err *err);
void tasks_prompt_release(struct tasks_prompt *p);

#define TASKS_NONE UINT32_MAX
#define TASKS_NOVEL 0.5f /* novelty above which a call counts as new */

/* What texts mean, as somebody else's model says it: an encoder, say. Without
 * one, tasks fits vectors to the user's own texts (embed/embed.h). Tasks found
 * by one embedder cannot be assigned by another. */
#define TASKS_EMBEDDER_ID 32
struct tasks_embedder {
    const char *name; /* where it is: an absolute path */
    /* Called once, before the first vectors are asked for; sets id and dims.*/
    int (*open)(struct tasks_embedder *e, struct err *err);
    /* x[n,dims]: rows of unit length, each by its text alone. */
    int (*vectors)(struct tasks_embedder *e, const struct slice *texts,
                   size_t n, float *x, struct err *err);
    unsigned char id[TASKS_EMBEDDER_ID]; /* hash of all that decides vectors */
    size_t dims;                         /* 1 to TASKS_DIMS_MAX */
    bool is_open;                        /* open was called */
};
#define TASKS_DIMS_MAX 8192
/* Vectors that were asked for in a run, each computed once. */
struct tasks_vectors;
/* e is open, or will be before vectors are asked for; progress may be NULL. */
struct tasks_vectors *tasks_vectors_new(struct tasks_embedder *e,
                                        const struct progress *progress);
void tasks_vectors_free(struct tasks_vectors *v); /* NULL is fine */

struct tasks_model; /* a fitted clustering */

/* Clusters of p[n], numbered by falling size; ERR_INTERRUPTED on a signal.
 * v: of an open embedder, or NULL. Ownership: tasks_model_free. */
MUST_CHECK int tasks_fit(struct pool *pool, const struct tasks_prompt *p,
                         size_t n, uint64_t seed, struct tasks_vectors *v,
                         const struct progress *progress,
                         struct tasks_model **out, struct err *err);
void tasks_model_free(struct tasks_model *m); /* NULL is fine */
size_t tasks_model_count(const struct tasks_model *m);

/* The embedder that the clusters were found by; NULL: tasks' own. */
const unsigned char *tasks_model_embedder(const struct tasks_model *m);

/* The cluster of a prompt, TASKS_NONE if it is like nothing seen, and how new
 * it is: 0 (all of the template and of the words are known) to 1. For models
 * of tasks' own vectors. */
uint32_t tasks_assign(const struct tasks_model *m, const struct tasks_prompt *p,
                      float *novelty);
/* The same of n prompts and any model; v: of its embedder, NULL if it has
 * none. */
MUST_CHECK int tasks_assign_all(const struct tasks_model *m,
                                struct tasks_vectors *v,
                                const struct tasks_prompt *const *p, size_t n,
                                uint32_t *cluster, float *novelty,
                                struct err *err);

void tasks_model_save(const struct tasks_model *m, struct buf *out);
MUST_CHECK int tasks_model_load(struct slice data, struct tasks_model **out,
                                struct err *err);

/* The embedder that a store's tasks were found by: its name (NULL: tasks'
 * own, or there are none yet); the caller frees it. */
MUST_CHECK int tasks_embedder_name(struct store *s, char **name,
                                   struct err *err);

/* The clustering of a store, ready to assign calls: what a router uses. */
struct tasks_index;
/* ERR_NOTFOUND if nothing was clustered yet. e: the embedder that the tasks
 * were found by, opened here and borrowed until the index is closed, or NULL;
 * another is ERR_INVALID, with what to do. */
MUST_CHECK int tasks_index_open(struct store *s, struct tasks_embedder *e,
                                struct tasks_index **out, struct err *err);
void tasks_index_close(struct tasks_index *x); /* NULL is fine */
/* Ids of the task rows of n prompts, merges followed; 0: like nothing seen. */
MUST_CHECK int tasks_index_assign(const struct tasks_index *x,
                                  const struct tasks_prompt *const *p, size_t n,
                                  int64_t *task, float *novelty,
                                  struct err *err);

/* Where one prompt stands among the tasks. */
struct tasks_near {
    int64_t task, second; /* 0: none; second: the next nearest other task */
    float novelty;
    float distance; /* what of the task's key, template or usual nearness to
                       its centre is missing: 0 to 1 */
    float gap;      /* the second's distance less this one's; 1: no second */
    bool by_vector; /* the nearest centre of embeddings decided */
    bool by_words;  /* no system prompt, template or centre speaks for it */
    bool by_key;    /* system prompt, format and tools alone decide it, and all
                       that have them are of this task */
};
/* task and novelty as tasks_index_assign says. */
MUST_CHECK int tasks_index_near(const struct tasks_index *x,
                                const struct tasks_prompt *p,
                                struct tasks_near *out, struct err *err);

/* A run of the stage. */
struct tasks_run {
    bool refit; /* also if nothing asks for it */
    uint64_t seed;
    struct pool *pool;
    const struct progress *progress;
    struct tasks_embedder *embedder; /* NULL: tasks' own */
    bool embedder_asked; /* by this run; false: as the store remembers it */
};
struct tasks_outcome {
    size_t examples;        /* kept ones in the store */
    size_t fresh;           /* that this run saw for the first time */
    size_t assigned, novel; /* of those: in a task; novelty above the limit */
    size_t tasks;
    bool fitted;
};
/* Fits when there is no clustering, when asked, or when too many of the calls
 * since the last fit are novel; else assigns what is new. With nothing new it
 * changes nothing. Sealed examples are assigned, never fitted on. Tasks keep
 * their rows and names over fits by their members. Tasks of another embedder
 * are found again only when asked (refit), else ERR_INVALID; the embedder is
 * opened when it was asked for, or when it is needed, and its name is
 * remembered. The caller holds the lock of the stage,
 * store_lock(s, "cluster"). */
MUST_CHECK int tasks_update(struct store *s, const struct tasks_run *run,
                            struct tasks_outcome *out, struct err *err);

/* What a person decides; kept by later runs. Names or numbers. Under the same
 * lock. */
MUST_CHECK int tasks_rename(struct store *s, const char *task, const char *name,
                            struct err *err);
/* The calls of `from` belong to `into` from now on. */
MUST_CHECK int tasks_merge(struct store *s, const char *into, const char *from,
                           struct err *err);
/* A pinned task keeps its calls, its name and its kind over fits. */
MUST_CHECK int tasks_pin(struct store *s, const char *task, bool pinned,
                         struct err *err);

/* One row of the table of tasks; slices are valid during the call. */
struct tasks_row {
    int64_t id, calls;
    int64_t
        tokens; /* in and out; a quarter of its bytes where a call says none*/
    double novelty; /* mean */
    bool pinned, renamed;
    struct slice name, label, kind;
    struct slice detail; /* JSON object: template, terms, repetitive, example,
                            and labels, keys or tools */
};
/* Tasks that have calls, most calls first. fn returns 0, or a negative code
 * that ends the walk. */
MUST_CHECK int tasks_list(struct store *s,
                          int (*fn)(void *ctx, const struct tasks_row *row,
                                    struct err *err),
                          void *ctx, struct err *err);
/* One kept example: where its call came from and which task it has. */
struct tasks_assignment {
    int64_t call, line;  /* line -1: unknown */
    struct slice source; /* empty: unknown */
    struct slice task;   /* empty: none */
    double novelty;
};
MUST_CHECK int tasks_assignments(struct store *s,
                                 int (*fn)(void *ctx,
                                           const struct tasks_assignment *a,
                                           struct err *err),
                                 void *ctx, struct err *err);

/* What a task's answers are made of. */
enum tasks_kind {
    TASKS_TEXT,
    TASKS_LABEL,
    TASKS_JSON,
    TASKS_TOOL,
    TASKS_SQL,
};
const char *tasks_kind_name(enum tasks_kind k);

/* What a cluster is, told without a store. */
struct tasks_summary {
    char *name; /* a slug, unique among them; "" of no members */
    enum tasks_kind kind;
    double repetitive; /* share of the prompts' tokens that most of them have */
    size_t members;
};
/* p[n] with the OpenAI chat responses to them (empty: unknown), each in
 * cluster[n] < clusters or in none. out[clusters]; free the names. */
void tasks_describe(const struct tasks_prompt *const *p,
                    const struct slice *response, const uint32_t *cluster,
                    size_t n, struct tasks_summary *out, size_t clusters);

#endif
