/*
 * model_work.c - working memory: who has which activations for how long
 *
 * Blocks and mixers say what they want; spans that must live until the
 * backward pass get buffers of their own, all others share pools: the i-th
 * span of a type that a mixer asks for is the same buffer as any other's.
 */
#include "base/mem.h"
#include "model/model_mixer.h"

#include <assert.h>
#include <stdlib.h>

static void claim(struct model *m, struct compute_span *span, size_t pool)
{
    struct model_work *w = &m->work;

    mem_grow((void **)&w->claims, &w->claim_cap, w->claim_count + 1,
             sizeof(*w->claims));
    w->claims[w->claim_count++] = (struct model_claim){ span, pool };
}

static void share(struct model_plan *p, struct compute_span *span,
                  enum compute_type type, size_t n)
{
    struct model_work *w = &p->m->work;
    size_t skip = p->taken[type]++, i = 0;

    for (; i < w->pool_count; i++)
        if (w->pools[i].type == type && skip-- == 0)
            break;
    if (i == w->pool_count) {
        mem_grow((void **)&w->pools, &w->pool_cap, i + 1, sizeof(*w->pools));
        w->pools[w->pool_count++] = (struct model_pool){ .type = type };
    }
    if (n > w->pools[i].count)
        w->pools[i].count = n;
    claim(p->m, span, i);
}

static void own(struct model_plan *p, struct compute_span *span,
                enum compute_type type, size_t n)
{
    p->bytes += n * compute_size_on(p->m->compute, type);
    if (p->rc < 0 || p->measure)
        return;
    p->rc = compute_alloc(p->m->compute, type, n, "activations", span, p->err);
    if (p->rc == 0)
        claim(p->m, span, SIZE_MAX);
}

void model_want(struct model_plan *p, struct compute_span *span,
                enum model_use use, enum compute_type type, size_t n)
{
    assert(!span->buf);
    if (n == 0 || (use == MODEL_BACKWARD && !p->saved))
        return;
    if (use == MODEL_KEPT && p->saved && !p->m->recompute)
        own(p, span, type, n);
    else
        share(p, span, type, n);
}

void model_work_release(struct model *m)
{
    struct model_work *w = &m->work;

    for (size_t i = 0; i < w->claim_count; i++) {
        if (w->claims[i].pool == SIZE_MAX)
            compute_release(m->compute, w->claims[i].span);
        *w->claims[i].span = (struct compute_span){ 0 };
    }
    for (size_t i = 0; i < w->pool_count; i++)
        compute_release(m->compute, &w->pools[i].span);
    free(w->claims);
    free(w->pools);
    *w = (struct model_work){ 0 };
}

static size_t largest_rank(const struct model *m)
{
    size_t rank = m->bank_rank;

    for (size_t i = 0; i < m->linear_count; i++)
        if (m->linears[i]->rank > rank)
            rank = m->linears[i]->rank;
    return rank;
}

/* Columns of the widest product that has a gain. */
static size_t widest(const struct model *m)
{
    size_t cols = m->bank_wide;

    for (size_t i = 0; i < m->linear_count; i++)
        if (m->linears[i]->magnitude.buf && m->linears[i]->n > cols)
            cols = m->linears[i]->n;
    return cols;
}

/* What there is once for the whole model. */
static void want_model(struct model_plan *p)
{
    struct model_work *w = &p->m->work;
    size_t d = (size_t)p->m->config.hidden, b = p->saved;
    bool widens = compute_size_on(p->m->compute, COMPUTE_ACT) == sizeof(float);
    struct {
        struct compute_span *span;
        size_t n;
        enum compute_type type;
    } want[] = {
        { &w->low, COMPUTE_LINEARS * w->low_rank, COMPUTE_ACT },
        { &w->wide, w->wide_cols, COMPUTE_ACT },
        { &w->ids, 1, COMPUTE_I32 },
        { &w->positions, 1, COMPUTE_I32 },
        { &w->index, 1, COMPUTE_I32 },
        { &w->labels, 1, COMPUTE_I32 },
        { &w->nll, 1, COMPUTE_F32 },
        { &w->x, d, COMPUTE_F32 },
        { &w->top, d, COMPUTE_F32 },
        { &w->top_norm, d, COMPUTE_ACT },
        { &w->top_stat, model_norm_stat(&p->m->norm, 1), COMPUTE_F32 },
        { &w->top_grad, b * d, COMPUTE_F32 },
        { &w->dtop, b * d, COMPUTE_ACT },
        { &w->dx, b * d, COMPUTE_F32 },
        { &w->dnorm, b * d, COMPUTE_ACT },
        { &w->narrow, widens || w->low_rank == 0 ? 0 : b * d, COMPUTE_ACT },
    };

    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
        if (want[i].n > 0)
            own(p, want[i].span, want[i].type, p->rows * want[i].n);
    for (size_t i = 0; i < p->m->norm_count; i++)
        if (p->m->norms[i]->kind == MODEL_NORM_RMS_SHIFTED)
            own(p, &p->m->norms[i]->shifted, COMPUTE_F32, p->m->norms[i]->dim);
}

/* What a mixer's adapters make of its inputs. */
static void want_lows(struct model_plan *p, size_t mixer)
{
    struct model *m = p->m;

    for (size_t i = 0; i < m->linear_count && p->saved; i++)
        if (m->linears[i]->mixer == mixer)
            model_want(p, &m->linears[i]->low, MODEL_KEPT, COMPUTE_ACT,
                       p->rows * m->linears[i]->rank);
}

/* The block's own spans come before its mixers' in the pools. */
static void want_block(struct model_plan *p, struct model_block *b)
{
    size_t d = (size_t)p->m->config.hidden, n = p->rows * d;

    for (unsigned i = 0; i <= COMPUTE_ACT; i++)
        p->taken[i] = 0;
    if (p->saved)
        own(p, &b->x, COMPUTE_F32, n);
    if (b->pre.dim) {
        model_want(p, &b->normed, MODEL_KEPT, COMPUTE_ACT, n);
        model_want(p, &b->pre_stat, MODEL_KEPT, COMPUTE_F32,
                   model_norm_stat(&b->pre, p->rows));
    }
    if (b->post.dim || p->m->config.residual_scale > 0) {
        model_want(p, &b->mixed, b->post.dim ? MODEL_KEPT : MODEL_SCRATCH,
                   COMPUTE_ACT, n);
        model_want(p, &b->dmixed, MODEL_BACKWARD, COMPUTE_ACT, n);
    }
    if (b->post.dim) {
        model_want(p, &b->branch, MODEL_SCRATCH, COMPUTE_ACT, n);
        model_want(p, &b->post_stat, MODEL_KEPT, COMPUTE_F32,
                   model_norm_stat(&b->post, p->rows));
    }
    for (size_t i = 0; i < b->mixer_count; i++)
        want_lows(p, b->mixers[i]->index);
    for (size_t i = 0; i < b->mixer_count; i++) {
        size_t taken[COMPUTE_ACT + 1];

        for (unsigned k = 0; k <= COMPUTE_ACT; k++)
            taken[k] = p->taken[k];
        b->mixers[i]->ops->want(b->mixers[i], p);
        /* What a block keeps is there for all its mixers at once. */
        for (unsigned k = 0; k <= COMPUTE_ACT && !p->m->recompute; k++)
            p->taken[k] = taken[k];
    }
}

static int share_out(struct model *m, struct err *err)
{
    struct model_work *w = &m->work;

    for (size_t i = 0; i < w->pool_count; i++) {
        int rc = compute_alloc(m->compute, w->pools[i].type, w->pools[i].count,
                               "activations", &w->pools[i].span, err);

        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < w->claim_count; i++)
        if (w->claims[i].pool != SIZE_MAX)
            *w->claims[i].span = w->pools[w->claims[i].pool].span;
    return 0;
}

static void plan_all(struct model_plan *p)
{
    struct model *m = p->m;

    m->work.low_rank = largest_rank(m);
    m->work.wide_cols = widest(m);
    m->work.recompute = m->recompute;
    want_model(p);
    for (size_t i = 0; i < m->block_count; i++)
        want_block(p, &m->blocks[i]);
}

size_t model_work_bytes(struct model *m, size_t rows, size_t docs, bool saved)
{
    struct model_work *w = &m->work;
    struct model_plan p = {
        .m = m, .rows = rows, .docs = docs, .saved = saved, .measure = true
    };

    model_work_release(m);
    w->saved = saved;
    plan_all(&p);
    for (size_t i = 0; i < w->pool_count; i++)
        p.bytes +=
            w->pools[i].count * compute_size_on(m->compute, w->pools[i].type);
    w->claim_count = 0; /* no span was given */
    model_work_release(m);
    return p.bytes;
}

int model_work_reserve(struct model *m, size_t rows, size_t docs, bool saved,
                       struct err *err)
{
    struct model_work *w = &m->work;
    struct model_plan p = {
        .m = m, .rows = rows, .docs = docs, .saved = saved, .err = err
    };

    rows = p.rows = rows ? rows : 1;
    if (w->rows >= rows && w->docs >= docs && (w->saved || !saved) &&
        w->recompute == m->recompute && w->low_rank == largest_rank(m) &&
        w->wide_cols == widest(m))
        return 0;
    model_work_release(m);
    w->saved = saved;
    plan_all(&p);
    if (p.rc == 0)
        p.rc = share_out(m, err);
    if (p.rc < 0) {
        model_work_release(m);
        return p.rc;
    }
    w->rows = rows;
    w->docs = docs;
    return 0;
}
