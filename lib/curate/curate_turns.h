/*
 * curate_turns.h - messages of calls as a tree, where the store has no such one
 *
 * The store takes apart what OpenAI's chat API names "messages", byte for byte.
 * Other APIs name their lists otherwise, send what is new alone and name the
 * answer before it, or mark where a cache ends, which moves on with each turn.
 * Such calls are read, and told by what is said.
 */
#ifndef CURATE_TURNS_H
#define CURATE_TURNS_H

#include "curate/curate_priv.h"

struct curate_node {
    uint32_t parent, root; /* 0: none */
    uint32_t branches;     /* next messages that lead to a call */
    bool ends, leads;      /* a call's list ends here; or below */
};

/* Children come behind their parents. */
struct curate_tree {
    struct curate_node *node;
    size_t count, cap;
};

/* A call, and where its list ends. */
struct curate_said {
    int64_t call;
    uint32_t node;
};

/* Messages of the store that are one but for digits in the system prompt they
 * stand behind: alias[i] is the first of them, i itself for most and where
 * prompts cannot be read (ERR_INVALID: sealed); freed by the caller, on failure
 * too. Parents in t become aliases. */
MUST_CHECK int curate_openings_merge(struct store *s, struct curate_tree *t,
                                     uint32_t **alias, struct err *err);

/* Of columns of "call": those that are read here. */
#define CURATE_TURNS_READ                                                      \
    "(coalesce(dialect, '') NOT IN ('', 'openai-chat') OR "                    \
    "coalesce(model, '') LIKE '%claude%')"

struct curate_turns;
/* Of calls without a conversation up to `last`; their messages are added to t.
 */
MUST_CHECK int curate_turns_open(struct store *s, int64_t last,
                                 struct curate_tree *t,
                                 struct curate_turns **out, struct err *err);
/* The next call in the order of ids: 1; 0: there is none. What has no messages
 * is passed. */
MUST_CHECK int curate_turns_next(struct curate_turns *k,
                                 struct curate_said *out, struct err *err);
void curate_turns_close(struct curate_turns *k); /* NULL is fine */

#endif
