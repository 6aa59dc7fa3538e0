/* kmeans_private.h - what the files of k-means share */
#ifndef KMEANS_PRIVATE_H
#define KMEANS_PRIVATE_H

#include "base/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KMEANS_GROUP 16  /* centres of a group, lanes of its panel */
#define KMEANS_BLOCK 192 /* rows of a block: with a panel in the cache */

/* Centres as the product wants them: lane l of group g is centre 16 g + l. */
struct kmeans_panels {
    size_t groups, d;
    float *value; /* [groups][d][KMEANS_GROUP], zero beyond k */
    float *half;  /* [groups][KMEANS_GROUP] taken from a product: |c|^2 / 2, or
                     nothing if spherical; infinite beyond k */
};

/* What can be said of a group's scores without computing them: since they were
 * last computed, at most |x| * (the sum of the longest moves of its centres)
 * + (the sum of the largest fall of a half) has been added. */
struct kmeans_drift {
    float *move, *fall; /* [groups] sums up to now */
    float slack_length; /* of rounding: times |x| */
    float slack;        /* and for itself */
};

/* Memory of a worker. */
struct kmeans_lists {
    uint16_t *row;   /* [groups][KMEANS_BLOCK] whose product a group needs */
    uint16_t *count; /* [groups] */
    float own[KMEANS_BLOCK][KMEANS_GROUP]; /* scores of the best's group */
    float best[KMEANS_BLOCK];
    uint32_t at[KMEANS_BLOCK];
};

/* Rows from `x` on, at most KMEANS_BLOCK. */
struct kmeans_block {
    size_t rows;
    const float *x; /* [rows,d] */
    const struct kmeans_panels *panels;
    uint32_t *labels; /* [rows] in: old, UINT32_MAX: none; out: new */
    float *score;     /* [rows] the label's */
    uint32_t moved;   /* labels that changed are added */
    float *sums;      /* [k,d] rows are added; NULL: no sums */
    uint32_t *counts; /* [k] */
    struct kmeans_lists *lists;
    /* Bounds; NULL: everything is computed. */
    const struct kmeans_drift *drift;
    const float *centres; /* [k,d] */
    const float *length;  /* [rows] of x, not less than it is */
    float *bound;         /* [rows][groups] on all of a group but the label,
                             less what drift adds; FLT_MAX: unknown */
};
void kmeans_block_generic(struct kmeans_block *b);
void kmeans_block_avx2(struct kmeans_block *b);
void kmeans_block_avx512(struct kmeans_block *b);

/* All rows, cut into chunks: a task each, with sums of its own. */
struct kmeans_work {
    size_t n, d, k, chunks;
    const float *x, *centres;
    bool spherical;
    struct kmeans_panels panels;
    uint32_t *labels;
    float *score;               /* [n] product less half */
    float *sums;                /* [chunks][k][d], NULL: no sums */
    uint32_t *counts, *moved;   /* [chunks][k], [chunks]; NULL likewise */
    struct kmeans_lists *lists; /* [workers] */
    /* Bounds; NULL: none. */
    float *length, *bound;
    struct kmeans_drift drift;
    double *move, *fall;                  /* drift's sums, exact */
    double longest, most_move, most_fall; /* ever: |c|; of the sums */
    void (*block)(struct kmeans_block *b);
};
/* n, d, k, chunks, x, centres, labels, score and spherical are set. */
void kmeans_work_begin(struct kmeans_work *w, struct pool *pool);
void kmeans_work_end(struct kmeans_work *w, struct pool *pool);
/* From now on bounds on what a group can give, for many passes over centres
 * that move little; ends with the work. Left out where they would take more
 * than half as much memory as the rows. */
void kmeans_work_bound(struct kmeans_work *w);
/* Nothing is known any more: of any row, of this one. */
void kmeans_work_forget(struct kmeans_work *w);
void kmeans_work_forget_row(struct kmeans_work *w, size_t i);
/* The centres as they are now; before: as they were, NULL: nothing known. */
void kmeans_work_centres(struct kmeans_work *w, const float *before);
/* Labels and scores of all rows, and sums. */
void kmeans_work_pass(struct kmeans_work *w, struct pool *pool);

/* k centres by greedy k-means++ from x[n,d]. */
void kmeans_seed(struct pool *pool, size_t n, size_t d, const float *x,
                 size_t k, uint64_t seed, float *centres);

#endif
