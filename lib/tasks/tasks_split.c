/*
 * tasks_split.c - from template clusters to tasks of one group
 *
 * Templates over-cluster and lump: an optional part makes two of one, a frame
 * that several templates share makes one of several. Clusters that contain
 * another's template are joined to it; clusters that fall apart again without
 * what all their texts share are split. What is left is told by profiles.
 */
#include "tasks/tasks_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define PROFILE_SHARE 0.8 /* of the members that have a profile's shingle */
#define NESTED_SHARE 0.9  /* of the members that fit the other's profile */
#define NESTED_COVER 0.8f
#define UNIVERSAL 0.9    /* what these members share is no reason to split */
#define SPLIT_COVER 0.85 /* of the members in the parts, to accept a split */
#define SPLIT_DEPTH 3
#define PART_TOKENS 48       /* an instruction is shorter than a document */
#define PART_TOKENS_SHORT 14 /* a word or two and their neighbours */
#define PARTS_MAX 8
#define PARTS_BEGUN_MAX 4
#define PART_OVERLAP 0.4f /* of a part's own profile, to be the same */
#define FRAME_TOKENS 20   /* a longer frame is an instruction of its own */
#define FIT_MAX 20000     /* texts that templates are found from */

struct splitter {
    struct pool *pool;
    const struct tasks_doc *doc;
    size_t n, min_df, min_size;
    uint64_t **sorted; /* [n] shingles, ascending */
    uint32_t *label;   /* [n] */
    size_t k;
};

static size_t member_count(const struct splitter *s, uint32_t which)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        n += s->label[i] == which;
    return n;
}

static struct tasks_profile *make_profiles(const struct splitter *s)
{
    struct tasks_profile *p = mem_array(s->k, sizeof(*p));

    for (size_t c = 0; c < s->k; c++)
        tasks_profile_make(s->doc, s->n, s->label, (uint32_t)c, PROFILE_SHARE,
                           TASKS_PROFILE_MAX, &p[c]);
    return p;
}

static void free_profiles(struct tasks_profile *p, size_t k)
{
    for (size_t i = 0; i < k; i++)
        tasks_profile_release(&p[i]);
    free(p);
}

/* Give labels 0..k-1 in order of appearance; clusters below the least size go
 * to the rest. */
static void renumber(struct splitter *s)
{
    size_t *count = mem_zalloc((s->k + 1) * sizeof(*count));
    uint32_t *number = mem_array(s->k + 1, sizeof(*number));
    size_t k = 0;

    for (size_t i = 0; i < s->n; i++)
        if (s->label[i] != TASKS_NONE)
            count[s->label[i]]++;
    memset(number, 0xff, (s->k + 1) * sizeof(*number));
    for (size_t i = 0; i < s->n; i++) {
        uint32_t c = s->label[i];
        if (c == TASKS_NONE)
            continue;
        if (number[c] == TASKS_NONE && count[c] >= s->min_size)
            number[c] = (uint32_t)k++;
        s->label[i] = number[c];
    }
    s->k = k;
    free(count);
    free(number);
}

/* Profiles from members, members by profiles. */
static void relabel(struct splitter *s)
{
    for (unsigned round = 0; round < 2; round++) {
        float cover;
        struct tasks_profile *p = make_profiles(s);
        for (size_t i = 0; i < s->n; i++)
            s->label[i] = tasks_best_profile(p, s->k, s->sorted[i],
                                             s->doc[i].shingles, &cover);
        free_profiles(p, s->k);
        renumber(s);
    }
}

/* Do the members of a nearly all fit profile p? */
static bool is_nested(const struct splitter *s, uint32_t a,
                      const struct tasks_profile *p)
{
    size_t members = 0, fit = 0;

    for (size_t i = 0; i < s->n; i++) {
        if (s->label[i] != a)
            continue;
        members++;
        fit += tasks_profile_cover(p, s->sorted[i], s->doc[i].shingles) >=
               NESTED_COVER;
    }
    return members && (double)fit >= NESTED_SHARE * (double)members;
}

/* Join clusters nested in another, if they are an option of it and not the
 * bulk that it was left over from. */
static void join_nested(struct splitter *s)
{
    struct tasks_profile *p = make_profiles(s);
    uint32_t *into = mem_array(s->k, sizeof(*into));
    size_t *size = mem_array(s->k, sizeof(*size));

    for (uint32_t c = 0; c < s->k; c++) {
        into[c] = c;
        size[c] = member_count(s, c);
    }
    for (uint32_t b = 0; b < s->k; b++) {
        size_t inside = 0;
        if (p[b].count == 0)
            continue;
        for (uint32_t a = 0; a < s->k; a++)
            if (a != b && is_nested(s, a, &p[b]))
                inside += size[a];
        if (inside == 0 || inside > size[b] * 3 / 2)
            continue;
        for (uint32_t a = 0; a < s->k; a++)
            if (a != b && into[a] == a && into[b] == b &&
                is_nested(s, a, &p[b]))
                into[a] = b;
    }
    for (size_t i = 0; i < s->n; i++)
        if (s->label[i] != TASKS_NONE) {
            uint32_t c = s->label[i];
            while (into[c] != c)
                c = into[c];
            s->label[i] = c;
        }
    renumber(s);
    free_profiles(p, s->k);
    free(into);
    free(size);
}

/* The texts of one cluster without the shingles that all of them have. */
struct part {
    size_t n;
    size_t *member;
    struct tasks_doc *doc;
    uint64_t *own; /* their shingles, 0 where universal */
};

static void part_init(struct part *p, const struct splitter *s, uint32_t which)
{
    struct tasks_profile all;
    size_t total = 0, at = 0, m = 0;

    tasks_profile_make(s->doc, s->n, s->label, which, UNIVERSAL, SIZE_MAX,
                       &all);
    p->n = member_count(s, which);
    p->member = mem_array(p->n, sizeof(*p->member));
    p->doc = mem_array(p->n, sizeof(*p->doc));
    for (size_t i = 0; i < s->n; i++)
        if (s->label[i] == which) {
            p->member[m++] = i;
            total += s->doc[i].shingles;
        }
    p->own = mem_array(total, sizeof(*p->own));
    for (m = 0; m < p->n; m++) {
        p->doc[m] = s->doc[p->member[m]];
        for (size_t k = 0; k < p->doc[m].shingles; k++) {
            uint64_t h = p->doc[m].shingle[k];
            p->own[at + k] = tasks_profile_has(&all, h) ? 0 : h;
        }
        p->doc[m].shingle = p->own + at;
        at += p->doc[m].shingles;
    }
    tasks_profile_release(&all);
}

static void part_release(struct part *p)
{
    free(p->member);
    free(p->doc);
    free(p->own);
}

/* How much of a's weight b has too. */
static float profile_overlap(const struct tasks_profile *a,
                             const struct tasks_profile *b)
{
    return tasks_profile_cover(a, b->shingle, b->count);
}

/* Parts that share a good deal of what the frame left are one template with
 * options. Returns the number of parts, renumbered. */
static size_t join_parts(const struct part *p, uint32_t *label, size_t parts)
{
    struct tasks_profile *own = mem_array(parts, sizeof(*own));
    uint32_t *into = mem_array(parts, sizeof(*into));
    size_t left = 0;

    for (uint32_t c = 0; c < parts; c++) {
        into[c] = c;
        tasks_profile_make(p->doc, p->n, label, c, PROFILE_SHARE,
                           TASKS_PROFILE_MAX, &own[c]);
    }
    for (uint32_t a = 0; a < parts; a++) {
        for (uint32_t b = 0; b < a && into[a] == a; b++)
            if (profile_overlap(&own[a], &own[b]) >= PART_OVERLAP ||
                profile_overlap(&own[b], &own[a]) >= PART_OVERLAP)
                into[a] = into[b];
        into[a] = into[a] == a ? (uint32_t)left++ : into[a];
    }
    for (size_t m = 0; m < p->n; m++)
        if (label[m] != TASKS_NONE)
            label[m] = into[label[m]];
    for (size_t c = 0; c < parts; c++)
        tasks_profile_release(&own[c]);
    free(own);
    free(into);
    return left;
}

/* Do the members of part c begin alike, and not as the other parts do? The
 * shingle that the frame did not take tells. */
static bool begins_alike(const struct part *p, const uint32_t *label,
                         uint32_t c)
{
    uint64_t first = 0;
    size_t members = 0, same = 0;

    for (size_t m = 0; m < p->n; m++) {
        if (label[m] != c)
            continue;
        if (members++ == 0)
            first = p->doc[m].shingle[0];
        same += p->doc[m].shingle[0] == first;
    }
    return first && (double)same >= PROFILE_SHARE * (double)members;
}

/* Tokens of the frame that all texts share. */
static size_t frame_tokens(const struct part *p)
{
    const struct tasks_doc *d = &p->doc[0];
    bool *known = mem_array(d->shingles, 1);

    for (size_t i = 0; i < d->shingles; i++)
        known[i] = d->shingle[i] == 0;
    size_t n = tasks_cover(known, d->shingles, d->tokens, NULL);
    free(known);
    return n;
}

/* A frame that is an instruction of its own holds one task, and what comes
 * back inside it is payload; unless the texts begin in different ways. */
static bool is_split(const struct part *p, const uint32_t *label, size_t parts,
                     double mean_tokens)
{
    size_t covered = 0, alike = 0;

    for (size_t m = 0; m < p->n; m++)
        covered += label[m] != TASKS_NONE;
    for (uint32_t c = 0; c < parts; c++)
        alike += begins_alike(p, label, c);
    if (parts < 2 || parts > PARTS_MAX ||
        (double)covered < SPLIT_COVER * (double)p->n)
        return false;
    return (alike == parts && parts <= PARTS_BEGUN_MAX) ||
           ((mean_tokens <= PART_TOKENS && frame_tokens(p) <= FRAME_TOKENS) ||
            mean_tokens <= PART_TOKENS_SHORT);
}

/* Split cluster `which` if its texts fall into templates of their own. Parts
 * are numbered from s->k on; texts in none of them join the rest. */
static void split_cluster(struct splitter *s, uint32_t which)
{
    struct part p;
    double mean_tokens;

    part_init(&p, s, which);
    size_t least = p.n / 20 > s->min_size ? p.n / 20 : s->min_size;
    uint32_t *label = mem_array(p.n, sizeof(*label));
    size_t parts = tasks_templates(s->pool, p.doc, p.n, s->min_df, least, label,
                                   &mean_tokens);
    parts = join_parts(&p, label, parts);
    if (is_split(&p, label, parts, mean_tokens)) {
        for (size_t m = 0; m < p.n; m++)
            s->label[p.member[m]] =
                label[m] == TASKS_NONE ? TASKS_NONE : (uint32_t)s->k + label[m];
        s->k += parts;
    }
    free(label);
    part_release(&p);
}

static void split_all(struct splitter *s)
{
    size_t from = 0;

    for (unsigned depth = 0; depth < SPLIT_DEPTH; depth++) {
        size_t to = s->k;
        for (size_t c = from; c < to; c++)
            if (member_count(s, (uint32_t)c) >= 2 * s->min_size)
                split_cluster(s, (uint32_t)c);
        from = to;
    }
    renumber(s);
}

/* A part of the texts, evenly spread, if there are very many. */
static size_t *spread(size_t n, size_t *count)
{
    size_t m = n < FIT_MAX ? n : FIT_MAX;
    size_t *at = mem_array(m, sizeof(*at));

    for (size_t i = 0; i < m; i++)
        at[i] = n * i / m;
    *count = m;
    return at;
}

static size_t at_least(size_t a, size_t b)
{
    return a > b ? a : b;
}

static struct tasks_profile *find_profiles(struct splitter *s,
                                           double must_cover)
{
    double mean_tokens;
    size_t covered = 0;

    s->k = tasks_templates(s->pool, s->doc, s->n, s->min_df, s->min_size,
                           s->label, &mean_tokens);
    relabel(s);
    join_nested(s);
    split_all(s);
    relabel(s);
    for (size_t i = 0; i < s->n; i++)
        covered += s->label[i] != TASKS_NONE;
    if (s->k > 1 ? (double)covered >= must_cover * (double)s->n
                 : must_cover <= 0)
        return make_profiles(s);
    s->k = 0;
    return NULL;
}

size_t tasks_split(struct pool *pool, const struct tasks_doc *doc, size_t n,
                   double must_cover, struct tasks_profile **profiles)
{
    struct splitter s = { .pool = pool };
    size_t *at = spread(n, &s.n);
    struct tasks_doc *chosen = mem_array(s.n, sizeof(*chosen));

    s.sorted = mem_array(s.n, sizeof(*s.sorted));
    s.label = mem_array(s.n, sizeof(*s.label));
    for (size_t i = 0; i < s.n; i++) {
        chosen[i] = doc[at[i]];
        s.sorted[i] = tasks_sorted(chosen[i].shingle, chosen[i].shingles);
    }
    s.doc = chosen;
    s.min_df = at_least(4, s.n / 400);
    s.min_size =
        s.n < 1000 ? at_least(5, s.n / 100) : at_least(10, s.n * 3 / 1000);
    *profiles = find_profiles(&s, must_cover);
    for (size_t i = 0; i < s.n; i++)
        free(s.sorted[i]);
    free(s.sorted);
    free(s.label);
    free(chosen);
    free(at);
    return s.k;
}
