/*
 * tasks_fit.c - exact keys, then templates, then what the texts say
 *
 * A system prompt of its own is a task of its own: each node of an agent has
 * one. System prompts that only a few calls have are joined to the one that
 * they extend, or pooled with the calls that have none. Tools split a group
 * only where one set of them has very many calls: agents that pick tools by
 * need offer another set with every call.
 */
#include "tasks/tasks_private.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define TOOL_SET_MIN 200   /* calls of one set of tools, to stand alone */
#define KEY_MIN 10         /* calls of one system prompt, to stand alone */
#define KEY_COVER 0.8f     /* of a system prompt's shingles, to extend it */
#define EXTENSION_RATIO 64 /* calls of the prompt for one that extends it */
#define EXTENSION_COVER 0.95f
#define GENERIC_TOKENS 16 /* a system prompt that says nothing is short */
#define GENERIC_COVER 0.9 /* of its calls in templates, to split them */
#define TOOL_COVER 0.8

struct fitter {
    struct pool *pool;
    const struct tasks_prompt *p;
    size_t n;
    uint64_t seed;
    struct tasks_vectors *vectors;
    struct tasks_model *m;
    uint32_t *group_of; /* [n] */
    size_t cap;
};

/* What makes calls a group: the key with or without its parts. */
struct group_key {
    uint64_t system, format, tools, offers;
};

static struct group_key key_of(const struct tasks_prompt *p, bool tools)
{
    return (struct group_key){ p->system, p->format, tools ? p->tools : 0,
                               p->tools != 0 };
}

static uint64_t count_of(const struct map *m, struct group_key k)
{
    const uint64_t *c = map_get(m, &k, sizeof(k));

    return c ? *c : 0;
}

static size_t group_add(struct fitter *f, struct group_key k, bool pool)
{
    void *grown = f->m->group;

    mem_grow(&grown, &f->cap, f->m->groups + 1, sizeof(*f->m->group));
    f->m->group = grown;
    f->m->group[f->m->groups] = (struct tasks_group){
        .system = k.system,
        .format = k.format,
        .tools = k.tools,
        .offers_tools = k.offers != 0,
        .pool = pool,
    };
    return f->m->groups++;
}

/* The system prompt's own shingles, for near matches. */
static void make_key_profile(struct tasks_group *g,
                             const struct tasks_prompt *p)
{
    size_t n;
    uint64_t *s = tasks_shingles(p->token, p->user_at - 1, &n);
    /* without those that hold the end: what extends a prompt follows it */
    struct tasks_doc doc = { s, n > 3 ? n - 3 : 0, p->user_at - 1 };

    tasks_profile_make(&doc, 1, NULL, 0, 0, SIZE_MAX, &g->key);
    free(s);
}

/* The group of a key, made if absent. */
static uint32_t key_group(struct fitter *f, struct map *groups,
                          struct group_key k, const struct tasks_prompt *p)
{
    bool added;
    uint64_t *at = map_put(groups, &k, sizeof(k), &added);

    if (added) {
        size_t g = group_add(f, k, k.system == 0);
        *at = g;
        if (k.system)
            make_key_profile(&f->m->group[g], p);
    }
    return (uint32_t)*at;
}

/* Calls with a common key; the others stay TASKS_NONE. */
static void find_exact(struct fitter *f, struct map *groups)
{
    struct map *with = map_new(), *without = map_new();
    size_t least = f->n / 1000 > KEY_MIN ? f->n / 1000 : KEY_MIN;

    for (size_t i = 0; i < f->n; i++) {
        struct group_key a = key_of(&f->p[i], true);
        struct group_key b = key_of(&f->p[i], false);
        if (f->p[i].tools)
            ++*map_put(with, &a, sizeof(a), NULL);
        ++*map_put(without, &b, sizeof(b), NULL);
    }
    for (size_t i = 0; i < f->n; i++) {
        struct group_key a = key_of(&f->p[i], true);
        struct group_key b = key_of(&f->p[i], false);
        f->group_of[i] = TASKS_NONE;
        if (b.system && count_of(without, b) < least)
            continue;
        bool alone = f->p[i].tools && count_of(with, a) > TOOL_SET_MIN &&
                     count_of(with, a) < count_of(without, b);
        f->group_of[i] = key_group(f, groups, alone ? a : b, &f->p[i]);
    }
    map_free(with);
    map_free(without);
}

size_t tasks_group_of(const struct tasks_model *m, const struct tasks_prompt *p,
                      float *match)
{
    size_t best = SIZE_MAX, pool = SIZE_MAX, n = 0;
    uint64_t *own = NULL;

    *match = KEY_COVER;
    if (p->system) {
        uint64_t *s = tasks_shingles(p->token, p->user_at - 1, &n);
        own = tasks_sorted(s, n);
        free(s);
    }
    for (size_t g = 0; g < m->groups; g++) {
        const struct tasks_group *q = &m->group[g];
        if (q->format != p->format || q->offers_tools != (p->tools != 0) ||
            (q->tools && q->tools != p->tools))
            continue;
        float cover = q->system == p->system ? 1 : 0;
        if (!q->pool && p->system && cover < 1)
            cover = tasks_profile_cover(&q->key, own, n) * 0.999f;
        if (q->pool && (pool == SIZE_MAX || q->tools))
            pool = g;
        bool finer = best != SIZE_MAX && cover == *match && q->tools;
        if (!(q->pool && p->system) && (cover > *match || finer)) {
            best = g;
            *match = cover;
        }
    }
    free(own);
    if (best == SIZE_MAX)
        *match = pool == SIZE_MAX ? 0 : 1;
    return best == SIZE_MAX ? pool : best;
}

/* Calls whose system prompt is too rare: to the group that they extend, else
 * to the pool. */
static void place_rare(struct fitter *f, struct map *groups)
{
    for (size_t i = 0; i < f->n; i++) {
        float match;
        if (f->group_of[i] != TASKS_NONE)
            continue;
        size_t g = tasks_group_of(f->m, &f->p[i], &match);
        if (g == SIZE_MAX) {
            struct group_key k = key_of(&f->p[i], false);
            k.system = 0;
            g = key_group(f, groups, k, &f->p[i]);
        }
        f->group_of[i] = (uint32_t)g;
    }
}

/* Which group, if any, does group a only add a few words to? A note at the
 * end of one call in a hundred is no task of its own. */
static size_t extended_by(const struct tasks_model *m, const size_t *calls,
                          size_t a)
{
    const struct tasks_group *x = &m->group[a];

    for (size_t b = 0; b < m->groups && !x->pool; b++) {
        const struct tasks_group *y = &m->group[b];
        if (y->pool || y->format != x->format ||
            y->offers_tools != x->offers_tools || y->tools != x->tools ||
            calls[a] * EXTENSION_RATIO > calls[b])
            continue;
        if (tasks_profile_cover(&y->key, x->key.shingle, x->key.count) >=
            EXTENSION_COVER)
            return b;
    }
    return SIZE_MAX;
}

/* Dissolve such groups; place_rare finds their calls a place. */
static void drop_extensions(struct fitter *f, struct map *groups)
{
    struct tasks_model *m = f->m;
    size_t *calls = mem_zalloc((m->groups + 1) * sizeof(*calls));
    uint32_t *number = mem_array(m->groups, sizeof(*number));
    size_t left = 0;

    for (size_t i = 0; i < f->n; i++)
        if (f->group_of[i] != TASKS_NONE)
            calls[f->group_of[i]]++;
    for (size_t g = 0; g < m->groups; g++)
        number[g] = extended_by(m, calls, g) == SIZE_MAX ? (uint32_t)left++
                                                         : TASKS_NONE;
    for (size_t g = 0; g < m->groups; g++)
        if (number[g] == TASKS_NONE)
            tasks_profile_release(&m->group[g].key);
        else
            m->group[number[g]] = m->group[g];
    for (size_t i = 0; i < f->n; i++)
        if (f->group_of[i] != TASKS_NONE)
            f->group_of[i] = number[f->group_of[i]];
    for (size_t i = 0; i < map_count(groups); i++)
        *map_value(groups, i) = number[*map_value(groups, i)];
    m->groups = left;
    free(calls);
    free(number);
}

/* The part of a group's calls that must lie in templates for a split. */
static double cover_needed(const struct fitter *f, const struct tasks_group *g,
                           const struct tasks_prompt *any)
{
    (void)f;
    if (g->pool)
        return g->offers_tools ? TOOL_COVER : 0;
    return any->user_at <= GENERIC_TOKENS + 1 ? GENERIC_COVER : 2;
}

struct group_docs {
    const struct tasks_prompt **p;
    struct tasks_doc *doc;
    uint64_t **shingle;
    size_t n;
};

static void docs_init(struct group_docs *d, const struct fitter *f, size_t g)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++)
        n += f->group_of[i] == g;
    d->n = 0;
    d->p = mem_array(n, sizeof(*d->p));
    d->doc = mem_array(n, sizeof(*d->doc));
    d->shingle = mem_array(n, sizeof(*d->shingle));
    for (size_t i = 0; i < f->n; i++) {
        if (f->group_of[i] != g)
            continue;
        struct tasks_doc *x = &d->doc[d->n];
        d->p[d->n] = &f->p[i];
        d->shingle[d->n] = tasks_doc_shingles(&f->p[i], f->m->group[g].pool,
                                              &x->shingles, &x->tokens);
        x->shingle = d->shingle[d->n++];
    }
}

static void docs_release(struct group_docs *d)
{
    for (size_t i = 0; i < d->n; i++)
        free(d->shingle[i]);
    free(d->p);
    free(d->doc);
    free(d->shingle);
}

/* Keep those that no template fits. */
static size_t keep_rest(struct group_docs *d, const struct tasks_group *g)
{
    size_t rest = 0;

    for (size_t i = 0; i < d->n; i++) {
        float cover;
        uint64_t *sorted = tasks_sorted(d->shingle[i], d->doc[i].shingles);
        if (tasks_best_profile(g->profile, g->templates, sorted,
                               d->doc[i].shingles, &cover) == TASKS_NONE)
            d->p[rest++] = d->p[i];
        free(sorted);
    }
    return rest;
}

static int fit_group(struct fitter *f, size_t at, struct err *err)
{
    struct tasks_group *g = &f->m->group[at];
    struct group_docs d;
    int rc = 0;

    docs_init(&d, f, at);
    double need = d.n ? cover_needed(f, g, d.p[0]) : 2;
    if (need <= 1)
        g->templates = tasks_split(f->pool, d.doc, d.n, need, &g->profile);
    size_t rest = keep_rest(&d, g);
    g->rests = rest || d.n == 0;
    if (rest && g->pool)
        tasks_payload_fit(d.p, rest, &g->payload);
    if (rest && g->pool && !g->offers_tools)
        rc = tasks_fit_rest(f->pool, d.p, rest, f->seed, f->vectors, g, err);
    docs_release(&d);
    return rc;
}

struct known_words {
    unsigned char *once, *twice;
    uint32_t *last; /* [TASKS_WORD_BITS] call + 1 that counted the word */
    uint32_t call;
};

static void mark_word(void *ctx, uint32_t bit)
{
    struct known_words *k = ctx;

    if (k->last[bit] == k->call)
        return;
    k->last[bit] = k->call;
    unsigned char mask = (unsigned char)(1u << (bit & 7));
    k->twice[bit / 8] |= k->once[bit / 8] & mask;
    k->once[bit / 8] |= mask;
}

/* Words that two calls of a cluster have. */
static void learn_words(const struct fitter *f, const uint32_t *label)
{
    size_t bytes = TASKS_WORD_BITS / 8;
    unsigned char *once = mem_zalloc(bytes * f->m->count);
    struct known_words k = { .last = mem_zalloc(TASKS_WORD_BITS *
                                                sizeof(*k.last)) };

    f->m->known = mem_zalloc(bytes * f->m->count);
    for (size_t i = 0; i < f->n; i++) {
        if (label[i] == TASKS_NONE)
            continue;
        k.once = once + label[i] * bytes;
        k.twice = f->m->known + label[i] * bytes;
        k.call = (uint32_t)i + 1;
        tasks_word_bits(&f->p[i], mark_word, &k);
        if (f->m->group[f->group_of[i]].pool)
            tasks_system_bits(&f->p[i], mark_word, &k);
    }
    free(once);
    free(k.last);
}

struct size_of {
    uint32_t cluster, calls;
};

static int compare_sizes(const void *a, const void *b)
{
    const struct size_of *x = a, *y = b;

    if (x->calls != y->calls)
        return x->calls > y->calls ? -1 : 1;
    return (x->cluster > y->cluster) - (x->cluster < y->cluster);
}

/* The cluster of each prompt; those beyond the sample that was fitted on have
 * no vector yet. */
static int label_prompts(struct fitter *f, uint32_t *label, struct err *err)
{
    struct tasks_model *m = f->m;
    const struct tasks_prompt **wanting = mem_array(f->n, sizeof(*wanting));
    size_t count = 0;
    int rc = 0;

    for (size_t i = 0; i < f->n && tasks_model_vectors(m); i++)
        if (tasks_wants_vector(&m->group[f->group_of[i]], &f->p[i]))
            wanting[count++] = &f->p[i];
    if (count)
        rc = tasks_vectors_add(f->vectors, wanting, count, err);
    for (size_t i = 0; i < f->n && rc == 0; i++) {
        float cover;
        label[i] = tasks_cluster_of(&m->group[f->group_of[i]], &f->p[i],
                                    f->vectors, &cover);
    }
    free(wanting);
    return rc;
}

/* Public numbers by falling size; clusters that nothing fell to come last. */
static void number_clusters(struct fitter *f, const uint32_t *label)
{
    struct tasks_model *m = f->m;
    struct size_of *s = mem_zalloc((m->count + 1) * sizeof(*s));

    m->number = mem_array(m->count, sizeof(*m->number));
    for (uint32_t c = 0; c < m->count; c++)
        s[c].cluster = m->number[c] = c;
    for (size_t i = 0; i < f->n; i++)
        if (label[i] != TASKS_NONE)
            s[label[i]].calls++;
    qsort(s, m->count, sizeof(*s), compare_sizes);
    for (uint32_t c = 0; c < m->count; c++)
        m->number[s[c].cluster] = c;
    free(s);
}

static int finish(struct fitter *f, struct err *err)
{
    struct tasks_model *m = f->m;
    uint32_t *label = mem_array(f->n, sizeof(*label));

    for (size_t g = 0; g < m->groups; g++) {
        m->group[g].first = (uint32_t)m->count;
        m->count += m->group[g].templates + m->group[g].rests;
    }
    int rc = label_prompts(f, label, err);
    if (rc == 0) {
        number_clusters(f, label);
        learn_words(f, label);
    }
    free(label);
    return rc;
}

static void begin(struct fitter *f)
{
    const struct tasks_embedder *e =
        f->vectors ? tasks_vectors_embedder(f->vectors) : NULL;

    f->m = mem_zalloc(sizeof(*f->m));
    if (e) {
        f->m->dims = e->dims;
        memcpy(f->m->embedder, e->id, sizeof(e->id));
    }
    f->group_of = mem_array(f->n, sizeof(*f->group_of));
}

int tasks_fit(struct pool *pool, const struct tasks_prompt *p, size_t n,
              uint64_t seed, struct tasks_vectors *v,
              const struct progress *progress, struct tasks_model **out,
              struct err *err)
{
    struct fitter f = {
        .pool = pool, .p = p, .n = n, .seed = seed, .vectors = v
    };
    struct map *groups = map_new();
    int rc = 0;

    begin(&f);
    find_exact(&f, groups);
    drop_extensions(&f, groups);
    place_rare(&f, groups);
    for (size_t g = 0; g < f.m->groups && rc == 0; g++) {
        progress_update(progress, "finding tasks", g, f.m->groups, NULL);
        rc = fit_group(&f, g, err);
        if (rc == 0 && stop_requested())
            rc = err_set(err, ERR_INTERRUPTED, "stopped by a signal");
    }
    if (rc == 0)
        rc = finish(&f, err);
    if (rc == 0)
        *out = f.m;
    else
        tasks_model_free(f.m);
    map_free(groups);
    free(f.group_of);
    return rc;
}
