/*
 * tasks_model.c - assignment of a call from its prompt alone
 *
 * Novelty is what of the call is not known: the part of the system prompt or
 * template that is missing, and half of the share of its words that no two
 * earlier calls of the task had; without prompt and template the distance of
 * the words is all there is (tasks_payload.c). A system prompt that no group
 * has goes to the calls without one, and is as new as its shingles are.
 */
#include "tasks/tasks_private.h"

#include "base/map.h"
#include "base/mem.h"
#include "linalg/linalg.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void tasks_model_free(struct tasks_model *m)
{
    if (!m)
        return;
    for (size_t g = 0; g < m->groups; g++) {
        struct tasks_group *q = &m->group[g];
        tasks_profile_release(&q->key);
        for (size_t i = 0; i < q->templates; i++)
            tasks_profile_release(&q->profile[i]);
        free(q->profile);
        embed_free(q->embed);
        free(q->centre);
        tasks_payload_release(&q->payload);
    }
    free(m->group);
    free(m->number);
    free(m->known);
    free(m);
}

size_t tasks_model_count(const struct tasks_model *m)
{
    return m->count;
}

const unsigned char *tasks_model_embedder(const struct tasks_model *m)
{
    return m->dims ? m->embedder : NULL;
}

void tasks_word_bits(const struct tasks_prompt *p,
                     void (*fn)(void *ctx, uint32_t bit), void *ctx)
{
    for (size_t i = p->user_at; i < p->tokens; i++) {
        uint64_t h = hash_stable(&p->token[i], sizeof(p->token[i]), 11);
        fn(ctx, (uint32_t)((h ^ h >> 31) % TASKS_WORD_BITS));
    }
}

void tasks_system_bits(const struct tasks_prompt *p,
                       void (*fn)(void *ctx, uint32_t bit), void *ctx)
{
    size_t n;

    if (!p->system)
        return;
    uint64_t *s = tasks_shingles(p->token, p->user_at - 1, &n);
    for (size_t i = 0; i < n; i++)
        fn(ctx, (uint32_t)((s[i] ^ s[i] >> 31) % TASKS_WORD_BITS));
    free(s);
}

/* Cosines of p with the centres of the rest: cosine[rests], if it has more
 * than one. */
static void rest_cosines(const struct tasks_group *g,
                         const struct tasks_prompt *p,
                         const struct tasks_vectors *v, float *cosine)
{
    size_t d = g->dims;
    float *own = g->embed ? mem_array(d, sizeof(*own)) : NULL;

    if (own)
        embed_text(g->embed, slice_of(p->user_text), own);
    const float *x = own ? own : tasks_vector(v, p);
    for (size_t c = 0; c < g->rests; c++)
        cosine[c] = linalg_dot(x, g->centre + c * d, d);
    free(own);
}

/* The nearest centre of the rest; *cover: cosine over the usual one. covers
 * (NULL is fine) gets all of them, not cut at 1. */
static uint32_t rest_of(const struct tasks_group *g,
                        const struct tasks_prompt *p,
                        const struct tasks_vectors *v, float *cover,
                        float *covers)
{
    uint32_t best = 0;

    *cover = 1;
    if (covers && g->rests)
        covers[0] = 1;
    if (g->rests < 2)
        return g->rests ? 0 : TASKS_NONE;
    float *cosine = mem_array(g->rests, sizeof(*cosine));
    rest_cosines(g, p, v, cosine);
    for (uint32_t c = 0; c < g->rests; c++) {
        if (cosine[c] > cosine[best])
            best = c;
        if (covers)
            covers[c] = g->near > 0 ? cosine[c] / g->near : 1;
    }
    *cover = g->near > 0 ? fminf(1, fmaxf(0, cosine[best]) / g->near) : 1;
    free(cosine);
    return best;
}

/* The cluster of a template that p has, TASKS_NONE if it has none; covers:
 * as above. */
static uint32_t template_of(const struct tasks_group *g,
                            const struct tasks_prompt *p, float *cover,
                            float *covers)
{
    size_t n, tokens;

    if (!g->templates)
        return TASKS_NONE;
    uint64_t *s = tasks_doc_shingles(p, g->pool, &n, &tokens);
    uint64_t *sorted = tasks_sorted(s, n);
    uint32_t t = tasks_best_profile(g->profile, g->templates, sorted, n, cover);
    for (size_t i = 0; covers && t != TASKS_NONE && i < g->templates; i++)
        covers[i] = tasks_profile_cover(&g->profile[i], sorted, n);
    free(s);
    free(sorted);
    return t;
}

bool tasks_wants_vector(const struct tasks_group *g,
                        const struct tasks_prompt *p)
{
    float cover;

    return g->dims && !g->embed &&
           template_of(g, p, &cover, NULL) == TASKS_NONE;
}

static uint32_t cluster_of(const struct tasks_group *g,
                           const struct tasks_prompt *p,
                           const struct tasks_vectors *v, float *cover,
                           float *covers)
{
    uint32_t t = template_of(g, p, cover, covers);

    if (t != TASKS_NONE)
        return g->first + t;
    uint32_t r = rest_of(g, p, v, cover, covers ? covers + g->templates : NULL);
    return r == TASKS_NONE ? r : g->first + (uint32_t)g->templates + r;
}

uint32_t tasks_cluster_of(const struct tasks_group *g,
                          const struct tasks_prompt *p,
                          const struct tasks_vectors *v, float *cover)
{
    return cluster_of(g, p, v, cover, NULL);
}

struct word_check {
    const unsigned char *known;
    size_t words, unknown;
};

static void check_word(void *ctx, uint32_t bit)
{
    struct word_check *c = ctx;

    c->words++;
    c->unknown += !(c->known[bit / 8] >> (bit & 7) & 1);
}

static float unknown_share(const struct word_check *c)
{
    return c->words ? (float)c->unknown / (float)c->words : 0;
}

/* Half the share of unknown words, where a system prompt or a template speaks
 * for the task; else up to 1. */
static float payload_novelty(const struct tasks_group *g, uint32_t c,
                             const struct tasks_prompt *p,
                             const struct word_check *w)
{
    bool is_rest = c >= g->first + g->templates;

    return is_rest && g->payload.level ? tasks_payload_novelty(&g->payload, p)
                                       : unknown_share(w) / 2;
}

static void place(const struct tasks_model *m, const struct tasks_prompt *p,
                  const struct tasks_vectors *v, bool with_covers,
                  struct tasks_where *out)
{
    const struct tasks_group *g;
    float match;

    *out = (struct tasks_where){ .cluster = TASKS_NONE, .novelty = 1 };
    out->group = tasks_group_of(m, p, &match);
    if (out->group == SIZE_MAX)
        return;
    g = &m->group[out->group];
    if (with_covers)
        out->covers = mem_zalloc((g->templates + g->rests + 1) * sizeof(float));
    uint32_t c = cluster_of(g, p, v, &out->cover, out->covers);
    if (c == TASKS_NONE)
        return;
    struct word_check w = { .known = m->known + c * (TASKS_WORD_BITS / 8) };
    struct word_check s = w;
    tasks_word_bits(p, check_word, &w);
    if (g->pool)
        tasks_system_bits(p, check_word, &s);
    out->match = match * (1 - unknown_share(&s));
    out->novelty =
        1 - out->match * out->cover * (1 - payload_novelty(g, c, p, &w));
    out->cluster = c;
}

void tasks_where(const struct tasks_model *m, const struct tasks_prompt *p,
                 const struct tasks_vectors *v, struct tasks_where *out)
{
    place(m, p, v, true, out);
}

static uint32_t assign(const struct tasks_model *m,
                       const struct tasks_prompt *p,
                       const struct tasks_vectors *v, float *novelty)
{
    struct tasks_where w;

    place(m, p, v, false, &w);
    *novelty = w.novelty;
    return w.cluster == TASKS_NONE ? TASKS_NONE : m->number[w.cluster];
}

uint32_t tasks_assign(const struct tasks_model *m, const struct tasks_prompt *p,
                      float *novelty)
{
    assert(!m->dims);
    return assign(m, p, NULL, novelty);
}

/* Those whose cluster rests on a vector, found before any is. */
static int add_vectors(const struct tasks_model *m, struct tasks_vectors *v,
                       const struct tasks_prompt *const *p, size_t n,
                       struct err *err)
{
    const struct tasks_prompt **wanting = mem_array(n, sizeof(*wanting));
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        float match;
        size_t g = tasks_group_of(m, p[i], &match);

        if (g != SIZE_MAX && tasks_wants_vector(&m->group[g], p[i]))
            wanting[count++] = p[i];
    }
    int rc = tasks_vectors_add(v, wanting, count, err);
    free(wanting);
    return rc;
}

int tasks_assign_all(const struct tasks_model *m, struct tasks_vectors *v,
                     const struct tasks_prompt *const *p, size_t n,
                     uint32_t *cluster, float *novelty, struct err *err)
{
    int rc = tasks_model_vectors(m) ? add_vectors(m, v, p, n, err) : 0;

    for (size_t i = 0; i < n && rc == 0; i++)
        cluster[i] = assign(m, p[i], v, &novelty[i]);
    return rc;
}

bool tasks_model_vectors(const struct tasks_model *m)
{
    for (size_t g = 0; g < m->groups; g++)
        if (m->group[g].dims && !m->group[g].embed)
            return true;
    return false;
}
