/*
 * kmeans_block.h - the best centres of a block of rows, once for each
 * instruction set
 *
 * Included by files that define KMEANS_NAME, vectors of LANES floats (vec and
 * what is done with them) and TILE, the rows of a tile. A score is one chain
 * of multiply-adds along d and one subtraction, whatever stands beside it, so
 * skipping what cannot win changes no bit of a label. Lists of rows take the
 * place of a matrix: a tile is any rows that need the same group.
 */
#include "kmeans/kmeans_private.h"

#include <float.h>
#include <stdbool.h>
#include <string.h>

#ifdef KMEANS_NAME /* alone it is nothing */

#define VECS (KMEANS_GROUP / LANES)

/* Products of n rows with a panel, less the halves: out[n][KMEANS_GROUP]. n is
 * a constant wherever this is inlined. */
static inline __attribute__((always_inline)) void
tile(size_t n, const float *const *x, size_t d, const float *panel,
     const float *half, float (*out)[KMEANS_GROUP])
{
    vec sum[TILE][VECS];

    for (size_t i = 0; i < n; i++)
        for (size_t v = 0; v < VECS; v++)
            sum[i][v] = vec_set(0);
    for (size_t k = 0; k < d; k++) {
        vec c[VECS];

        for (size_t v = 0; v < VECS; v++)
            c[v] = vec_load(panel + k * KMEANS_GROUP + v * LANES);
        for (size_t i = 0; i < n; i++) {
            vec a = vec_set(x[i][k]);

            for (size_t v = 0; v < VECS; v++)
                sum[i][v] = vec_fma(a, c[v], sum[i][v]);
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t v = 0; v < VECS; v++)
            vec_store(&out[i][v * LANES],
                      vec_sub(sum[i][v], vec_load(half + v * LANES)));
}

static float dot(const float *a, const float *b, size_t d)
{
    vec sum[4] = { vec_set(0), vec_set(0), vec_set(0), vec_set(0) };
    float lane[LANES], rest = 0;
    size_t k = 0;

    for (; k + 4 * LANES <= d; k += 4 * LANES)
        for (size_t v = 0; v < 4; v++)
            sum[v] = vec_fma(vec_load(a + k + v * LANES),
                             vec_load(b + k + v * LANES), sum[v]);
    for (; k < d; k++)
        rest += a[k] * b[k];
    for (size_t v = 0; v < 4; v++) {
        vec_store(lane, sum[v]);
        for (size_t l = 0; l < LANES; l++)
            rest += lane[l];
    }
    return rest;
}

static float greatest(const float s[KMEANS_GROUP])
{
    vec top = vec_load(s);

    for (size_t v = 1; v < VECS; v++)
        top = vec_max(top, vec_load(s + v * LANES));
    return vec_top(top);
}

static float reach(const struct kmeans_block *b, size_t row, size_t g)
{
    return b->length[row] * b->drift->move[g] + b->drift->fall[g];
}

/* A row's scores in group g: in ascending order of g, so that the lowest of
 * equal centres wins. */
static void take_scores(struct kmeans_block *b, size_t row, size_t g,
                        const float s[KMEANS_GROUP])
{
    struct kmeans_lists *l = b->lists;
    float top = greatest(s);

    if (b->drift)
        b->bound[row * b->panels->groups + g] = top - reach(b, row, g);
    if (top > l->best[row] || l->at[row] == UINT32_MAX) {
        uint32_t lane = 0;

        while (lane + 1 < KMEANS_GROUP && s[lane] < top)
            lane++;
        l->best[row] = top;
        l->at[row] = (uint32_t)(g * KMEANS_GROUP) + lane;
        memcpy(l->own[row], s, sizeof(l->own[row]));
    }
}

static void take_group(struct kmeans_block *b, size_t g)
{
    const struct kmeans_panels *p = b->panels;
    const uint16_t *list = b->lists->row + g * KMEANS_BLOCK;
    const float *panel = p->value + g * p->d * KMEANS_GROUP;
    const float *half = p->half + g * KMEANS_GROUP;
    size_t count = b->lists->count[g];

    for (size_t at = 0; at < count; at += TILE) {
        size_t n = count - at < TILE ? count - at : TILE;
        float out[TILE][KMEANS_GROUP];
        const float *x[TILE];

        for (size_t i = 0; i < TILE; i++)
            x[i] = b->x + list[at + (i < n ? i : n - 1)] * p->d;
        if (n <= TILE / 3)
            tile(TILE / 3, x, p->d, panel, half, out);
        else if (n <= TILE * 2 / 3)
            tile(TILE * 2 / 3, x, p->d, panel, half, out);
        else
            tile(TILE, x, p->d, panel, half, out);
        for (size_t i = 0; i < n; i++)
            take_scores(b, list[at + i], g, out[i]);
    }
}

static void need(struct kmeans_lists *l, size_t g, size_t row)
{
    l->row[g * KMEANS_BLOCK + l->count[g]++] = (uint16_t)row;
}

/* Puts a row on the lists of the groups that may hold a better centre than the
 * label, and of the label's own then. */
static void choose_groups(struct kmeans_block *b, size_t row)
{
    const struct kmeans_panels *p = b->panels;
    const struct kmeans_drift *drift = b->drift;
    uint32_t label = b->labels[row];
    size_t own = label / KMEANS_GROUP;
    const float *bound = b->bound + row * p->groups;
    float length = b->length[row], least;
    bool any = false;

    b->score[row] = dot(b->x + row * p->d, b->centres + label * p->d, p->d) -
                    p->half[label];
    least = b->score[row] - length * drift->slack_length - drift->slack;
    for (size_t g = 0; g < p->groups; g++)
        any |= bound[g] + length * drift->move[g] + drift->fall[g] >= least;
    for (size_t g = 0; g < p->groups && any; g++)
        if (g == own ||
            bound[g] + length * drift->move[g] + drift->fall[g] >= least)
            need(b->lists, g, row);
}

/* The new label, and the bound of its group without it. */
static void settle(struct kmeans_block *b, size_t row)
{
    struct kmeans_lists *l = b->lists;
    uint32_t at = l->at[row];
    size_t g = at / KMEANS_GROUP;

    if (at == UINT32_MAX) /* nothing was computed: the old one is best */
        return;
    b->moved += b->labels[row] != at;
    b->labels[row] = at;
    b->score[row] = l->best[row];
    if (b->drift) {
        l->own[row][at % KMEANS_GROUP] = -FLT_MAX;
        b->bound[row * b->panels->groups + g] =
            greatest(l->own[row]) - reach(b, row, g);
    }
}

static void add_rows(struct kmeans_block *b)
{
    size_t d = b->panels->d;

    for (size_t i = 0; i < b->rows; i++) {
        float *restrict sum = b->sums + b->labels[i] * d;
        const float *restrict x = b->x + i * d;

        for (size_t k = 0; k < d; k++)
            sum[k] += x[k];
        b->counts[b->labels[i]]++;
    }
}

void KMEANS_NAME(struct kmeans_block *b)
{
    struct kmeans_lists *l = b->lists;
    size_t groups = b->panels->groups;

    memset(l->count, 0, groups * sizeof(*l->count));
    for (size_t i = 0; i < b->rows; i++) {
        l->at[i] = UINT32_MAX;
        l->best[i] = -FLT_MAX;
        if (b->drift && b->labels[i] != UINT32_MAX)
            choose_groups(b, i);
        else
            for (size_t g = 0; g < groups; g++)
                need(l, g, i);
    }
    for (size_t g = 0; g < groups; g++)
        take_group(b, g);
    for (size_t i = 0; i < b->rows; i++)
        settle(b, i);
    if (b->sums)
        add_rows(b);
}

#endif
