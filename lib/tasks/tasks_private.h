/* tasks_private.h - tokens, templates and the model, shared by tasks' files */
#ifndef TASKS_PRIVATE_H
#define TASKS_PRIVATE_H

#include "embed/embed.h"
#include "tasks/tasks.h"

#define TASKS_PART_TOKENS                                                      \
    256                      /* of each end of a text; the middle is left      \
                                out*/
#define TASKS_TEXT_HEAD 2400 /* bytes of a text that are kept for labels */
#define TASKS_TEXT_TAIL 1200

/* A word, a number, a line break or a sign, where it stands. */
struct tasks_token {
    uint32_t hash, start, end;
};
/* Numbers, week days and months lose their value, letters their case. The
 * array belongs to the caller; *n tells its length. */
struct tasks_token *tasks_tokenize(struct slice text, size_t *n);

#define TOKEN_BEGIN 1u /* hashes that no word has */
#define TOKEN_END 2u
#define TOKEN_GAP 3u
#define TOKEN_USER 4u

/* Shingles: hashes of 4 tokens in a row of "begin text end", in order, then
 * the first three and the last three tokens as one each. Caller frees. */
uint64_t *tasks_shingles(const uint32_t *token, size_t n, size_t *count);
/* How many tokens of "begin text end" the shingles known[] of it cover;
 * covered (n + 2 flags) may be NULL. */
size_t tasks_cover(const bool *known, size_t shingles, size_t tokens,
                   bool *covered);

/* A text as the template search sees it. */
struct tasks_doc {
    const uint64_t *shingle; /* borrowed */
    size_t shingles, tokens;
};

/* Texts that share a template; shingles of value 0 are left out. label[n]:
 * number or TASKS_NONE; *mean_tokens: length of what the labelled texts share.
 * Returns the number of clusters. Templates come from at least min_df different
 * texts, clusters have at least min_size members. */
size_t tasks_templates(struct pool *pool, const struct tasks_doc *doc, size_t n,
                       size_t min_df, size_t min_size, uint32_t *label,
                       double *mean_tokens);

/* The shingles that a cluster's texts share, with weights. */
struct tasks_profile {
    uint64_t *shingle; /* ascending */
    float *weight;
    size_t count;
    float total;
};
#define TASKS_PROFILE_MAX 64
void tasks_profile_release(struct tasks_profile *p);
/* Those in at least `share` of the member texts; weights are the shares. */
void tasks_profile_make(const struct tasks_doc *doc, size_t n,
                        const uint32_t *label, uint32_t which, double share,
                        size_t most, struct tasks_profile *out);
bool tasks_profile_has(const struct tasks_profile *p, uint64_t shingle);
/* Weight found in sorted shingles[n] over total; 0 for an empty profile. */
float tasks_profile_cover(const struct tasks_profile *p, const uint64_t *sorted,
                          size_t n);

/* Split texts by templates for good: profiles of k clusters; texts of none of
 * them are the rest. must_cover: the share that must lie in clusters, else
 * there are none. */
size_t tasks_split(struct pool *pool, const struct tasks_doc *doc, size_t n,
                   double must_cover, struct tasks_profile **profiles);
/* The profile that explains the text best, TASKS_NONE if none covers enough;
 * *cover: its share. sorted: the text's shingles, ascending. */
uint32_t tasks_best_profile(const struct tasks_profile *p, size_t k,
                            const uint64_t *sorted, size_t n, float *cover);

/* How often each word is among texts that share no template. */
#define TASKS_PAYLOAD_BUCKETS 65536
struct tasks_payload {
    unsigned char *level; /* [TASKS_PAYLOAD_BUCKETS]; NULL: nothing is known */
    float usual;          /* share of unknown words that is still usual */
};
void tasks_payload_fit(const struct tasks_prompt *const *p, size_t n,
                       struct tasks_payload *out);
void tasks_payload_release(struct tasks_payload *w);
/* 0: all words are frequent; 0.5: as far as one in fifty of the texts is from
 * the others; 1: no word that tells anything is known. */
float tasks_payload_novelty(const struct tasks_payload *w,
                            const struct tasks_prompt *p);

/* Calls with one exact key, or all those without a common one (pool). */
struct tasks_group {
    uint64_t system, format, tools; /* tools 0: any set, or none */
    bool offers_tools, pool;
    struct tasks_profile key; /* of the system prompt, for near ones */
    size_t templates;         /* clusters first .. first + templates - 1 */
    struct tasks_profile *profile;
    size_t rests;        /* clusters after them */
    size_t dims;         /* of the rest's vectors; 0 unless rests > 1 */
    struct embed *embed; /* that made them; NULL: the model's embedder */
    float *centre;       /* [rests, dims] */
    float near;          /* median cosine of the rest to its centres */
    uint32_t first;
    struct tasks_payload payload; /* of a pool's rest */
};

#define TASKS_WORD_BITS 32768

struct tasks_model {
    unsigned char embedder[TASKS_EMBEDDER_ID];
    size_t dims; /* of the embedder; 0: tasks' own */
    struct tasks_group *group;
    size_t groups, count; /* count: clusters */
    uint32_t *number;     /* [count] public number of a cluster */
    /* [count][TASKS_WORD_BITS / 8] words seen; in a pool, rare system prompts'
     * shingles, too */
    unsigned char *known;
};

/* The group of a prompt, SIZE_MAX if none; *match 1 for an exact key. */
size_t tasks_group_of(const struct tasks_model *m, const struct tasks_prompt *p,
                      float *match);
/* Internal cluster of p in group g; *cover 1: all known. v: the vectors of
 * those that wait for one, NULL with tasks' own. */
uint32_t tasks_cluster_of(const struct tasks_group *g,
                          const struct tasks_prompt *p,
                          const struct tasks_vectors *v, float *cover);
/* Where p stands in a model. */
struct tasks_where {
    size_t group;     /* SIZE_MAX: none, then all else is unset */
    uint32_t cluster; /* internal; TASKS_NONE: none, novelty is 1 */
    float match, cover, novelty;
    float *covers; /* [templates + rests of the group], freed by the caller: how
                      much of p each cluster has, by the kind (template or
                      nearness, where 1 is the usual) that decided; else 0 */
};
void tasks_where(const struct tasks_model *m, const struct tasks_prompt *p,
                 const struct tasks_vectors *v, struct tasks_where *out);
/* Does any cluster rest on vectors of the model's embedder? */
bool tasks_model_vectors(const struct tasks_model *m);
/* Does p's cluster in group g rest on a vector of the model's embedder? */
bool tasks_wants_vector(const struct tasks_group *g,
                        const struct tasks_prompt *p);
/* Vectors of the users' texts, from now on to be had. ERR_INTERRUPTED on a
 * signal. */
int tasks_vectors_add(struct tasks_vectors *v,
                      const struct tasks_prompt *const *p, size_t n,
                      struct err *err);
/* Borrowed until the next tasks_vectors_add, which must have had p. */
const float *tasks_vector(const struct tasks_vectors *v,
                          const struct tasks_prompt *p);
const struct tasks_embedder *
tasks_vectors_embedder(const struct tasks_vectors *v);
/* Calls fn with the bucket of each word of the user's text. */
void tasks_word_bits(const struct tasks_prompt *p,
                     void (*fn)(void *ctx, uint32_t bit), void *ctx);
/* The same for each shingle of the system prompt; nothing without one. */
void tasks_system_bits(const struct tasks_prompt *p,
                       void (*fn)(void *ctx, uint32_t bit), void *ctx);
/* The shingles of the text that decides inside a group. Caller frees. */
uint64_t *tasks_doc_shingles(const struct tasks_prompt *p, bool with_system,
                             size_t *count, size_t *tokens);
uint64_t *tasks_sorted(const uint64_t *shingle, size_t n);

/* k-means of the texts that have no template: fills rests, embed, centre. */
int tasks_fit_rest(struct pool *pool, const struct tasks_prompt *const *p,
                   size_t n, uint64_t seed, struct tasks_vectors *v,
                   struct tasks_group *g, struct err *err);

#endif
