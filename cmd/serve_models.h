/*
 * serve_models.h - what serve is to serve, from options and store
 *
 * A list of names, directories and champions as of one loading; it loads no
 * weights itself.
 */
#ifndef SERVE_MODELS_H
#define SERVE_MODELS_H

#include "pick_model.h"
#include "serve_router.h"

#include "evaluate/evaluate.h"
#include "serve/serve.h"

#define SERVE_MODELS_MAX 256
#define SERVE_BASES_MAX 16

/* Models by name and by task, as --model and --task have them, or the champion
 * of each task under the task's name. */
struct serve_named {
    struct cli_list models, tasks;
    bool all_champions;
    bool alone;          /* nothing else is there that could answer */
    const char *weights; /* how matrices are kept; NULL, "auto": as judged */
};
struct serve_list {
    struct cli *cli;
    const char *weights; /* as in serve_named */
    struct picked_model picked[SERVE_MODELS_MAX];
    char *names[SERVE_MODELS_MAX];
    struct serve_model models[SERVE_MODELS_MAX];
    struct evaluate_content contents[SERVE_MODELS_MAX];
    struct serve_base bases[SERVE_BASES_MAX];
    size_t count, base_count;
    struct serve_routes *routes; /* NULL: no router; else the caller's */
    uint64_t digest;             /* of what the store said; 0: not asked */
};
#define SERVE_NO_STORE 1 /* digest of a store that does not exist */

/* steps: those that the router hears of. What the store named, of a task or
 * as its champion, and whose files are gone or others than were entered is
 * left out, and told of; that --model names is not. ERR_NOTFOUND: alone, and
 * nothing is left. */
MUST_CHECK int serve_list_new(struct cli *cli, const struct serve_named *named,
                              struct serve_steps *steps,
                              struct serve_list **out, struct err *err);
/* The model's files and its base's, as a server that begins now would have
 * them; release *out (zeroed before) in any case. */
MUST_CHECK int serve_model_check(struct store *s, int64_t id,
                                 struct picked_model *out, struct err *err);
void serve_list_free(struct serve_list *l); /* not the routes */
/* Of DIR without a name: what stands behind the last slash. The caller's. */
char *serve_name_of(const char *dir);

/* Changes whenever champions, calibrations, steps back, tasks or models do. */
MUST_CHECK int serve_digest(struct store *s, uint64_t *out, struct err *err);

#endif
