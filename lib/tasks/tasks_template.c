/*
 * tasks_template.c - texts that share a template, found from shingles
 *
 * Shingles that come in many different texts are grown to their closure: all
 * shingles that come with them nearly always. A closure is a template or a
 * part of one. Each text takes the closure that is long, common and at an end
 * of the text; a long document that comes back a few times loses against an
 * instruction that comes back always. No number of clusters is asked for.
 */
#include "tasks/tasks_private.h"

#include "base/map.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WITH 0.9         /* "nearly always" */
#define SAMPLE 200       /* texts that a closure is computed from */
#define SCORED_TOKENS 12 /* longer templates are no better */
#define END_BONUS 3      /* tokens that standing at an end is worth */
#define TOKENS_MIN 6     /* of a template, begin and end included */
#define ROUNDS 6

/* Frequent shingles, joined to atoms: those with equal lists of texts. */
struct frequent {
    size_t texts;    /* different ones */
    size_t *text;    /* [texts] a document with that text */
    size_t *text_of; /* [n] which text a document has */
    size_t atoms;
    uint32_t *start, *post; /* post[start[a]..start[a+1]): texts of atom a */
    uint32_t **seq;         /* [texts][shingles of it] atom or TASKS_NONE */
    uint32_t **set;         /* [texts] distinct atoms, ascending */
    uint32_t *set_count;
};

struct closure {
    float score;     /* 0: no template */
    uint32_t key;    /* lowest atom of its core: equal templates, equal key */
    uint32_t tokens; /* all that it covers in a text */
};

static void frequent_release(struct frequent *f)
{
    for (size_t t = 0; t < f->texts; t++) {
        free(f->seq[t]);
        free(f->set[t]);
    }
    free(f->text);
    free(f->text_of);
    free(f->start);
    free(f->post);
    free(f->seq);
    free(f->set);
    free(f->set_count);
}

/* Equal texts count once: a conversation repeats its beginning. */
static void find_texts(const struct tasks_doc *doc, size_t n,
                       struct frequent *f)
{
    struct map *seen = map_new();

    f->text = mem_array(n, sizeof(*f->text));
    f->text_of = mem_array(n, sizeof(*f->text_of));
    for (size_t i = 0; i < n; i++) {
        bool added;
        uint64_t *at = map_put(seen, doc[i].shingle,
                               doc[i].shingles * sizeof(uint64_t), &added);
        if (added) {
            *at = f->texts;
            f->text[f->texts++] = i;
        }
        f->text_of[i] = *at;
    }
    map_free(seen);
}

struct shingle_info {
    uint32_t df, last; /* last: text + 1 that counted it */
    uint64_t lists;    /* sum of hashes of its texts: names the list */
};

/* One pass: document frequency and list of each shingle. */
static struct shingle_info *count_shingles(const struct tasks_doc *doc,
                                           const struct frequent *f,
                                           struct map *ids)
{
    struct shingle_info *info = NULL;
    size_t cap = 0;

    for (size_t t = 0; t < f->texts; t++) {
        const struct tasks_doc *d = &doc[f->text[t]];
        uint64_t mark = hash_stable(&t, sizeof(t), 7);
        for (size_t i = 0; i < d->shingles; i++) {
            bool added;
            size_t next = map_count(ids);
            if (d->shingle[i] == 0)
                continue;
            uint64_t *id = map_put(ids, &d->shingle[i], 8, &added);
            if (added) {
                void *grown = info;
                mem_grow(&grown, &cap, next + 1, sizeof(*info));
                info = grown;
                info[next] = (struct shingle_info){ 0 };
                *id = next;
            }
            struct shingle_info *s = &info[*id];
            if (s->last == t + 1)
                continue;
            s->last = (uint32_t)(t + 1);
            s->df++;
            s->lists += mark;
        }
    }
    return info;
}

/* atom_of[shingle id]: shingles with df >= min and one list share an atom,
 * numbered by first appearance. */
static uint32_t *join_atoms(const struct shingle_info *info, size_t shingles,
                            size_t min_df, size_t *atoms)
{
    uint32_t *atom_of = mem_array(shingles, sizeof(*atom_of));
    struct map *lists = map_new();

    for (size_t i = 0; i < shingles; i++) {
        uint64_t key[2] = { info[i].lists, info[i].df };
        bool added;
        atom_of[i] = TASKS_NONE;
        if (info[i].df < min_df)
            continue;
        size_t next = map_count(lists);
        uint64_t *a = map_put(lists, key, sizeof(key), &added);
        if (added)
            *a = next;
        atom_of[i] = (uint32_t)*a;
    }
    *atoms = map_count(lists);
    map_free(lists);
    return atom_of;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Atoms of text t in the order of its shingles, and as a set. */
static void text_atoms(const struct tasks_doc *d, const struct map *ids,
                       const uint32_t *atom_of, struct frequent *f, size_t t)
{
    uint32_t *seq = mem_array(d->shingles, sizeof(*seq));
    uint32_t *set = mem_array(d->shingles, sizeof(*set));
    size_t n = 0, distinct = 0;

    for (size_t i = 0; i < d->shingles; i++) {
        const uint64_t *id = map_get(ids, &d->shingle[i], 8);
        seq[i] = id ? atom_of[*id] : TASKS_NONE;
        if (seq[i] != TASKS_NONE)
            set[n++] = seq[i];
    }
    qsort(set, n, sizeof(*set), compare_u32);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || set[i] != set[i - 1])
            set[distinct++] = set[i];
    f->seq[t] = seq;
    f->set[t] = set;
    f->set_count[t] = (uint32_t)distinct;
}

static void fill_postings(struct frequent *f)
{
    uint32_t *at;

    f->start = mem_zalloc((f->atoms + 1) * sizeof(*f->start));
    for (size_t t = 0; t < f->texts; t++)
        for (size_t i = 0; i < f->set_count[t]; i++)
            f->start[f->set[t][i] + 1]++;
    for (size_t a = 0; a < f->atoms; a++)
        f->start[a + 1] += f->start[a];
    f->post = mem_array(f->start[f->atoms], sizeof(*f->post));
    at = mem_array(f->atoms, sizeof(*at));
    if (f->atoms)
        memcpy(at, f->start, f->atoms * sizeof(*at));
    for (size_t t = 0; t < f->texts; t++)
        for (size_t i = 0; i < f->set_count[t]; i++)
            f->post[at[f->set[t][i]]++] = (uint32_t)t;
    free(at);
}

static void find_frequent(const struct tasks_doc *doc, size_t n, size_t min_df,
                          struct frequent *f)
{
    struct map *ids = map_new();

    *f = (struct frequent){ 0 };
    find_texts(doc, n, f);
    struct shingle_info *info = count_shingles(doc, f, ids);
    uint32_t *atom_of = join_atoms(info, map_count(ids), min_df, &f->atoms);
    f->seq = mem_array(f->texts, sizeof(*f->seq));
    f->set = mem_array(f->texts, sizeof(*f->set));
    f->set_count = mem_array(f->texts, sizeof(*f->set_count));
    for (size_t t = 0; t < f->texts; t++)
        text_atoms(&doc[f->text[t]], ids, atom_of, f, t);
    fill_postings(f);
    free(info);
    free(atom_of);
    map_free(ids);
}

struct closure_job {
    const struct tasks_doc *doc;
    const struct frequent *f;
    struct closure *out;
    uint32_t **count; /* [workers][atoms], zero between tasks */
};

/* Tokens of text t that the closure covers, and whether it holds an end. */
static uint32_t closure_tokens(const struct closure_job *j, size_t t,
                               const uint32_t *count, uint32_t least,
                               bool *at_end)
{
    const struct tasks_doc *d = &j->doc[j->f->text[t]];
    const uint32_t *seq = j->f->seq[t];
    bool *known = mem_array(d->shingles, 1);
    bool *covered = mem_array(d->tokens + 2, 1);

    for (size_t i = 0; i < d->shingles; i++)
        known[i] = seq[i] != TASKS_NONE && count[seq[i]] >= least;
    size_t tokens = tasks_cover(known, d->shingles, d->tokens, covered);
    *at_end = covered[0] || covered[d->tokens + 1];
    free(known);
    free(covered);
    return (uint32_t)tokens;
}

/* Grow atom a: count what else its texts have, take what is nearly always
 * there. */
static void grow_closure(void *ctx, size_t a, unsigned worker)
{
    const struct closure_job *j = ctx;
    const struct frequent *f = j->f;
    uint32_t *count = j->count[worker];
    const uint32_t *post = f->post + f->start[a];
    size_t df = f->start[a + 1] - f->start[a];
    size_t sample = df < SAMPLE ? df : SAMPLE;
    uint32_t least = (uint32_t)ceil(WITH * (double)sample);
    struct closure *c = &j->out[a];
    bool at_end;

    for (size_t i = 0; i < sample; i++) {
        size_t t = post[df * i / sample];
        for (size_t k = 0; k < f->set_count[t]; k++)
            count[f->set[t][k]]++;
    }
    c->tokens = closure_tokens(j, post[0], count, least, &at_end);
    c->key = (uint32_t)a;
    const uint32_t *set = f->set[post[0]];
    for (size_t k = 0; k < f->set_count[post[0]]; k++) {
        size_t other = f->start[set[k] + 1] - f->start[set[k]];
        double both = (double)count[set[k]] / (double)sample * (double)df;
        if (count[set[k]] >= least && both >= WITH * (double)other) {
            c->key = set[k];
            break;
        }
    }
    uint32_t tokens = c->tokens < SCORED_TOKENS ? c->tokens : SCORED_TOKENS;
    c->score =
        c->tokens < TOKENS_MIN
            ? 0
            : sqrtf((float)df) * (float)(tokens + (at_end ? END_BONUS : 0));
    for (size_t i = 0; i < sample; i++) {
        size_t t = post[df * i / sample];
        for (size_t k = 0; k < f->set_count[t]; k++)
            count[f->set[t][k]] = 0;
    }
}

static struct closure *grow_all(struct pool *pool, const struct tasks_doc *doc,
                                const struct frequent *f)
{
    size_t workers = pool_threads(pool);
    struct closure_job j = { doc, f, mem_array(f->atoms, sizeof(*j.out)),
                             mem_array(workers, sizeof(*j.count)) };

    for (size_t w = 0; w < workers; w++)
        j.count[w] = mem_zalloc(f->atoms * sizeof(**j.count));
    pool_run(pool, f->atoms, grow_closure, &j);
    for (size_t w = 0; w < workers; w++)
        free(j.count[w]);
    free(j.count);
    return j.out;
}

/* The best closure's atom for each text. */
static void choose(const struct frequent *f, const struct closure *c,
                   uint32_t *best)
{
    for (size_t t = 0; t < f->texts; t++) {
        best[t] = TASKS_NONE;
        for (size_t i = 0; i < f->set_count[t]; i++) {
            uint32_t a = f->set[t][i];
            if (c[a].score > 0 &&
                (best[t] == TASKS_NONE || c[a].score > c[best[t]].score))
                best[t] = a;
        }
    }
}

/* Documents take closures; closures with too few are dropped, and theirs
 * choose again. members[key]: documents. */
static void settle(const struct frequent *f, struct closure *c, size_t n,
                   size_t min_size, uint32_t *best, size_t *members)
{
    bool dropped = true;

    for (unsigned round = 0; round < ROUNDS && dropped; round++) {
        choose(f, c, best);
        memset(members, 0, f->atoms * sizeof(*members));
        for (size_t i = 0; i < n; i++)
            if (best[f->text_of[i]] != TASKS_NONE)
                members[c[best[f->text_of[i]]].key]++;
        dropped = false;
        for (size_t t = 0; t < f->texts; t++) {
            uint32_t a = best[t];
            if (a == TASKS_NONE || members[c[a].key] >= min_size)
                continue;
            c[a].score = 0;
            best[t] = TASKS_NONE;
            dropped = true;
        }
    }
}

size_t tasks_templates(struct pool *pool, const struct tasks_doc *doc, size_t n,
                       size_t min_df, size_t min_size, uint32_t *label,
                       double *mean_tokens)
{
    struct frequent f;
    size_t clusters = 0, labelled = 0, tokens = 0;

    find_frequent(doc, n, min_df, &f);
    struct closure *c = grow_all(pool, doc, &f);
    uint32_t *best = mem_array(f.texts, sizeof(*best));
    uint32_t *number = mem_array(f.atoms, sizeof(*number));
    size_t *members = mem_array(f.atoms, sizeof(*members));

    settle(&f, c, n, min_size, best, members);
    memset(number, 0xff, f.atoms * sizeof(*number));
    for (size_t i = 0; i < n; i++) {
        uint32_t a = best[f.text_of[i]];
        label[i] = TASKS_NONE;
        if (a == TASKS_NONE || members[c[a].key] < min_size)
            continue;
        if (number[c[a].key] == TASKS_NONE)
            number[c[a].key] = (uint32_t)clusters++;
        label[i] = number[c[a].key];
        labelled++;
        tokens += c[a].tokens;
    }
    *mean_tokens = labelled ? (double)tokens / (double)labelled : 0;
    free(c);
    free(best);
    free(number);
    free(members);
    frequent_release(&f);
    return clusters;
}
