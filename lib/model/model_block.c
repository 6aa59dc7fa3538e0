/*
 * model_block.c - the row of blocks, forward and backward
 *
 * A block adds mixers(norm(x)) to the residual stream; where nothing stands
 * between the last mixer and the stream, the mixer adds to it directly.
 * Activations are kept for a backward pass or overwritten block by block.
 */
#include "model/model_mixer.h"

#include <assert.h>

void model_norm_run(struct model *m, const struct model_norm *n,
                    struct compute_span y, struct compute_span x,
                    const struct model_norm_stat *stat, size_t rows)
{
    m->compute->ops->rmsnorm(m->compute, y, x, n->w, stat->rstd, rows, n->dim,
                             (float)m->config.norm_eps);
}

void model_norm_grad(struct model *m, const struct model_norm *n,
                     struct compute_span dx, struct compute_span dy,
                     struct compute_span x, const struct model_norm_stat *stat,
                     size_t rows)
{
    m->compute->ops->rmsnorm_grad(m->compute, dx, n->dw, dy, x, n->w,
                                  stat->rstd, rows, n->dim);
}

static void block_run(const struct model_pass *p, const struct model_block *b,
                      struct compute_span x, struct compute_span next)
{
    struct compute_span in = b->pre.dim ? b->normed : x, addend = x;

    if (b->pre.dim)
        model_norm_run(p->m, &b->pre, in, x, &b->pre_stat, p->rows);
    for (size_t i = 0; i < b->mixer_count; i++) {
        b->mixers[i]->ops->forward(b->mixers[i], p, next, in, addend);
        addend = next;
    }
}

void model_blocks(const struct model_pass *p, bool saved)
{
    struct model *m = p->m;
    struct model_work *w = &m->work;
    struct compute_span x = saved ? m->blocks[0].x : w->x;

    m->compute->ops->embed(m->compute, x, m->embed, w->ids, p->rows,
                           (size_t)m->config.hidden);
    for (size_t i = 0; i < m->block_count; i++) {
        bool last = i + 1 == m->block_count;
        struct compute_span next = saved && !last ? m->blocks[i + 1].x : w->x;

        block_run(p, &m->blocks[i], x, next);
        x = next;
    }
}

static void block_grad(const struct model_pass *p, const struct model_block *b,
                       bool below)
{
    struct model_work *w = &p->m->work;
    struct compute_span addend = { 0 }, dnorm = { 0 };

    if (below)
        dnorm = w->dnorm;
    for (size_t i = 0; i < b->mixer_count; i++) {
        b->mixers[i]->ops->grad(b->mixers[i], p, dnorm, w->dx, b->normed,
                                addend);
        addend = dnorm;
    }
    if (below)
        model_norm_grad(p->m, &b->pre, w->dx, dnorm, b->x, &b->pre_stat,
                        p->rows);
}

void model_blocks_grad(const struct model_pass *p)
{
    struct model *m = p->m;

    for (size_t i = m->block_count; i-- > m->lowest;)
        block_grad(p, &m->blocks[i], !m->adapter_only || i > m->lowest);
    if (m->dembed.buf)
        m->compute->ops->embed_grad(m->compute, m->dembed, m->work.dx,
                                    m->work.ids, p->rows,
                                    (size_t)m->config.hidden);
}

void model_head(struct model *m, struct compute_span logits,
                struct compute_span x, size_t rows)
{
    model_norm_run(m, &m->norm, m->work.top_norm, x,
                   &(struct model_norm_stat){ 0 }, rows);
    model_linear_run(m, &m->head, logits, m->work.top_norm, rows,
                     (struct compute_span){ 0 });
}
