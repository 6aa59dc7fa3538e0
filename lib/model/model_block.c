/*
 * model_block.c - the row of blocks, forward and backward
 *
 * A block adds mixers(norm(x)) to the residual stream; where nothing stands
 * between the last mixer and the stream, the mixer adds to it directly.
 * Activations are kept for a backward pass or overwritten block by block.
 */
#include "model/model_mixer.h"

#include <assert.h>

size_t model_norm_stat(const struct model_norm *n, size_t rows)
{
    return n->kind == MODEL_NORM_LAYER ? 2 * rows : rows;
}

static struct compute_span factors(const struct model_norm *n)
{
    return n->kind == MODEL_NORM_RMS_SHIFTED ? n->shifted : n->w;
}

void model_norm_run(struct model *m, const struct model_norm *n,
                    struct compute_span y, struct compute_span x,
                    struct compute_span stat, size_t rows)
{
    const struct compute_ops *ops = m->compute->ops;
    float eps = (float)m->config.norm_eps;

    if (n->kind == MODEL_NORM_LAYER)
        ops->layernorm(m->compute, y, x, n->w, n->b, stat, rows, n->dim, eps);
    else
        ops->rmsnorm(m->compute, y, x, factors(n), stat, rows, n->dim, eps);
}

void model_norm_grad(struct model *m, const struct model_norm *n,
                     struct compute_span dx, struct compute_span dy,
                     struct compute_span x, struct compute_span stat,
                     size_t rows)
{
    const struct compute_ops *ops = m->compute->ops;

    if (n->kind == MODEL_NORM_LAYER)
        ops->layernorm_grad(m->compute, dx, n->dw, n->db, dy, x, n->w, stat,
                            rows, n->dim);
    else
        ops->rmsnorm_grad(m->compute, dx, n->dw, dy, x, factors(n), stat, rows,
                          n->dim);
}

/* 1 + w of the norms that multiply by it, if w may have changed. */
static void shift_norms(struct model *m)
{
    const struct compute_ops *ops = m->compute->ops;
    bool changes = m->trained.count > 0 && !m->adapter_only;

    for (size_t i = 0; i < m->norm_count && (changes || !m->work.shifted); i++)
        if (m->norms[i]->kind == MODEL_NORM_RMS_SHIFTED) {
            ops->fill(m->compute, m->norms[i]->shifted, 1, m->norms[i]->dim);
            ops->axpy(m->compute, m->norms[i]->shifted, 1, m->norms[i]->w,
                      m->norms[i]->dim);
        }
    m->work.shifted = true;
}

void model_scale(struct model *m, struct compute_span x, double alpha, size_t n)
{
    if (alpha > 0 && (alpha < 1 || alpha > 1))
        m->compute->ops->scale(m->compute, x, x, (float)alpha, n);
}

/* Whether mixers add to the stream themselves. */
static bool is_direct(const struct model *m, const struct model_block *b)
{
    return b->post.dim == 0 && !(m->config.residual_scale > 0);
}

/* next = x + residual_scale * post(mixed) */
static void join(const struct model_pass *p, const struct model_block *b,
                 struct compute_span x, struct compute_span next)
{
    struct model *m = p->m;
    const struct compute_ops *ops = m->compute->ops;
    size_t n = p->rows * (size_t)m->config.hidden;
    double scale = m->config.residual_scale;
    struct compute_span branch = b->mixed;

    if (b->post.dim) {
        branch = b->branch;
        model_norm_run(m, &b->post, branch, b->mixed, b->post_stat, p->rows);
    }
    if (next.buf != x.buf)
        ops->copy(m->compute, next, x, n);
    ops->axpy(m->compute, next, scale > 0 ? (float)scale : 1, branch, n);
}

static void block_run(const struct model_pass *p, const struct model_block *b,
                      struct compute_span x, struct compute_span next)
{
    bool direct = is_direct(p->m, b);
    struct compute_span in = b->pre.dim ? b->normed : x, addend = { 0 };
    struct compute_span y = direct ? next : b->mixed;

    if (direct)
        addend = x;
    if (b->pre.dim)
        model_norm_run(p->m, &b->pre, in, x, b->pre_stat, p->rows);
    for (size_t i = 0; i < b->mixer_count; i++) {
        b->mixers[i]->ops->forward(b->mixers[i], p, y, in, addend);
        addend = y;
    }
    if (!direct)
        join(p, b, x, next);
}

void model_blocks(const struct model_pass *p, bool saved)
{
    struct model *m = p->m;
    struct model_work *w = &m->work;
    struct compute_span x = saved ? m->blocks[0].x : w->x;
    size_t d = (size_t)m->config.hidden;

    shift_norms(m);
    model_linear_gains(m);
    m->compute->ops->embed(m->compute, x, m->embed, w->ids, p->rows, d);
    model_scale(m, x, m->config.embed_scale, p->rows * d);
    for (size_t i = 0; i < m->block_count; i++) {
        bool last = i + 1 == m->block_count;
        struct compute_span next = saved && !last ? m->blocks[i + 1].x : w->x;

        block_run(p, &m->blocks[i], x, next);
        x = next;
    }
}

/* The gradient of what the mixers gave, from the stream's. */
static struct compute_span branch_grad(const struct model_pass *p,
                                       const struct model_block *b)
{
    struct model *m = p->m;
    const struct compute_ops *ops = m->compute->ops;
    struct model_work *w = &m->work;
    size_t n = p->rows * (size_t)m->config.hidden;
    double scale = m->config.residual_scale;
    struct compute_span dy = w->dx;

    if (is_direct(m, b))
        return w->dx;
    if (scale > 0) {
        dy = b->post.dim ? b->branch : b->dmixed;
        ops->scale(m->compute, dy, w->dx, (float)scale, n);
    }
    if (b->post.dim) {
        ops->fill(m->compute, b->dmixed, 0, n);
        model_norm_grad(m, &b->post, b->dmixed, dy, b->mixed, b->post_stat,
                        p->rows);
    }
    return b->dmixed;
}

static void block_grad(const struct model_pass *p, const struct model_block *b,
                       bool below)
{
    struct model_work *w = &p->m->work;
    struct compute_span dy = branch_grad(p, b), addend = { 0 }, dx = { 0 };

    if (below && b->pre.dim) {
        dx = w->dnorm;
    } else if (below) {
        assert(dy.buf != w->dx.buf);
        dx = addend = w->dx;
    }
    for (size_t i = 0; i < b->mixer_count; i++) {
        b->mixers[i]->ops->grad(b->mixers[i], p, dx, dy,
                                b->pre.dim ? b->normed : b->x, addend);
        addend = dx;
    }
    if (below && b->pre.dim)
        model_norm_grad(p->m, &b->pre, w->dx, dx, b->x, b->pre_stat, p->rows);
}

void model_blocks_grad(const struct model_pass *p)
{
    struct model *m = p->m;
    size_t d = (size_t)m->config.hidden;

    for (size_t i = m->block_count; i-- > m->lowest;) {
        /* The last block's activations are still there. */
        if (m->recompute && i + 1 < m->block_count)
            block_run(p, &m->blocks[i], m->blocks[i].x, m->work.x);
        block_grad(p, &m->blocks[i], !m->adapter_only || i > m->lowest);
    }
    if (!m->dembed.buf)
        return;
    model_scale(m, m->work.dx, m->config.embed_scale, p->rows * d);
    m->compute->ops->embed_grad(m->compute, m->dembed, m->work.dx, m->work.ids,
                                p->rows, d);
}

void model_head(struct model *m, struct compute_span logits,
                struct compute_span x, size_t rows)
{
    const struct model_config *c = &m->config;
    struct compute_span none = { 0 }, top = m->work.top_norm;

    model_norm_run(m, &m->norm, top, x, none, rows);
    model_scale(m, top, c->logit_scale, rows * (size_t)c->hidden);
    model_linear_run(m, &m->head, logits, top, rows, none);
    if (c->logit_softcap > 0)
        m->compute->ops->softcap(m->compute, logits, logits,
                                 (float)c->logit_softcap,
                                 rows * (size_t)c->vocab);
}
