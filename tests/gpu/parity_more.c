/*
 * parity_more.c - the operations that only families beyond Llama's need
 *
 * A device may leave them out; what it has must agree.
 */
#include "parity.h"

#define F32 COMPUTE_F32
#define ACT COMPUTE_ACT

static const size_t lengths[] = { 1, 77, 4099, 100003 };
static const char *const kinds[] = { [COMPUTE_IDENTITY] = "identity",
                                     [COMPUTE_SIGMOID] = "sigmoid",
                                     [COMPUTE_SILU] = "silu",
                                     [COMPUTE_GELU_TANH] = "gelu_tanh",
                                     [COMPUTE_RELU2] = "relu2" };
#define KINDS 5

static enum compute_type side(int bit)
{
    return bit ? F32 : ACT;
}

/* Whether the device has it; a list names all. */
#define HAS(p, op) ((p)->list || (p)->device->ops->op)

static void scale(struct parity *p, size_t n, int mix)
{
    struct parity_array *x, *y;

    if (HAS(p, scale) &&
        parity_case(p, (double)n, "scale-%zu-%s-%s", n,
                    parity_type(side(mix & 1)), parity_type(side(mix & 2)))) {
        p->odd = n % 2;
        x = parity_noise(p, "x", side(mix & 2), n, 1);
        y = parity_output(p, "y", side(mix & 1), n);
        while (parity_next(p))
            p->c->ops->scale(p->c, y->s, x->s, 0.7f, n);
        parity_done(p);
    }
    if (HAS(p, softcap) &&
        parity_case(p, (double)n, "softcap-%zu-%s-%s", n,
                    parity_type(side(mix & 1)), parity_type(side(mix & 2)))) {
        x = parity_noise(p, "x", side(mix & 2), n, 20);
        p->odd = n % 2;
        y = parity_output(p, "y", side(mix & 1), n);
        while (parity_next(p))
            p->c->ops->softcap(p->c, y->s, x->s, 15, n);
        parity_done(p);
    }
}

static void activate(struct parity *p, size_t n, enum compute_activation kind,
                     int mix)
{
    enum compute_type y_type = side(mix & 1), x_type = side(mix & 2);
    struct parity_array *x, *y, *dx, *dy;

    if (HAS(p, activate) &&
        parity_case(p, (double)n, "activate-%s-%zu-%s-%s", kinds[kind], n,
                    parity_type(y_type), parity_type(x_type))) {
        x = parity_noise(p, "x", x_type, n, 2);
        y = parity_output(p, "y", y_type, n);
        while (parity_next(p))
            p->c->ops->activate(p->c, kind, y->s, x->s, n);
        parity_done(p);
    }
    if (HAS(p, activate_grad) &&
        parity_case(p, (double)n, "activate_grad-%s-%zu-%s-%s", kinds[kind], n,
                    parity_type(y_type), parity_type(x_type))) {
        bool in_place = mix == 3;

        x = parity_noise(p, "x", x_type, n, 2);
        dy = in_place ? parity_inout(p, "dy", y_type, n, 1)
                      : parity_noise(p, "dy", y_type, n, 1);
        dx = in_place ? dy : parity_output(p, "dx", x_type, n);
        while (parity_next(p))
            p->c->ops->activate_grad(p->c, kind, dx->s, dy->s, x->s, n);
        parity_done(p);
    }
}

static void glu(struct parity *p, size_t n, enum compute_activation kind,
                int mix)
{
    enum compute_type h_type = side(mix & 1), type = side(mix & 2);
    struct parity_array *h, *gate, *up;

    if (HAS(p, glu) &&
        parity_case(p, (double)n, "glu-%s-%zu-%s-%s", kinds[kind], n,
                    parity_type(h_type), parity_type(type))) {
        gate = parity_noise(p, "gate", type, n, 2);
        up = parity_noise(p, "up", type, n, 1);
        h = parity_output(p, "h", h_type, n);
        while (parity_next(p))
            p->c->ops->glu(p->c, kind, h->s, gate->s, up->s, n);
        parity_done(p);
    }
    if (HAS(p, glu_grad) &&
        parity_case(p, (double)n, "glu_grad-%s-%zu-%s-%s", kinds[kind], n,
                    parity_type(h_type), parity_type(type))) {
        p->odd = n % 2;
        gate = parity_inout(p, "gate", type, n, 2);
        up = parity_inout(p, "up", type, n, 1);
        h = parity_noise(p, "dh", h_type, n, 1);
        while (parity_next(p))
            p->c->ops->glu_grad(p->c, kind, gate->s, up->s, h->s, gate->s,
                                up->s, n);
        parity_done(p);
    }
}

static void columns(struct parity *p, size_t rows, size_t cols, int mix)
{
    size_t wide = 3 * cols + 5;
    struct parity_array *x, *y;

    if (HAS(p, copy_columns) &&
        parity_case(p, (double)(rows * cols), "copy_columns-%zux%zu-%s-%s",
                    rows, cols, parity_type(side(mix & 1)),
                    parity_type(side(mix & 2)))) {
        x = parity_noise(p, "x", side(mix & 2), rows * wide, 1);
        y = parity_inout(p, "y", side(mix & 1), rows * (cols + 3), 1);
        while (parity_next(p))
            p->c->ops->copy_columns(p->c, compute_at(y->s, 2), cols + 3,
                                    compute_at(x->s, cols), wide, rows, cols);
        parity_done(p);
    }
}

static void layernorm(struct parity *p, size_t rows, size_t dim, int mix)
{
    enum compute_type y_type = side(mix & 1), x_type = side(mix & 2);
    bool with_dw = mix & 4;
    struct parity_array *x, *y, *w, *b, *stat, *dx, *dy, *dw, *db;

    if (!HAS(p, layernorm) || !HAS(p, layernorm_grad) ||
        !parity_case(p, (double)(rows * dim), "layernorm-%zux%zu-%s-%s%s", rows,
                     dim, parity_type(y_type), parity_type(x_type),
                     with_dw ? "-dw" : ""))
        return;
    parity_limit(p, PARITY_ELEMENTS, rows + dim);
    x = parity_noise(p, "x", x_type, rows * dim, 1);
    y = parity_output(p, "y", y_type, rows * dim);
    w = parity_noise(p, "w", F32, dim, 1);
    b = parity_noise(p, "b", F32, dim, 1);
    stat = parity_output(p, "stat", F32, 2 * rows);
    dy = parity_noise(p, "dy", y_type, rows * dim, 1);
    dx = parity_inout(p, "dx", x_type, rows * dim, 0.5);
    dw = parity_inout(p, "dw", F32, dim, 1);
    db = parity_inout(p, "db", F32, dim, 1);
    while (parity_next(p)) {
        struct compute_span none = { 0 };

        p->c->ops->layernorm(p->c, y->s, x->s, w->s, b->s, stat->s, rows, dim,
                             1e-5f);
        p->c->ops->layernorm_grad(p->c, dx->s, with_dw ? dw->s : none,
                                  with_dw ? db->s : none, dy->s, x->s, w->s,
                                  stat->s, rows, dim);
    }
    parity_done(p);
}

static void rope_part(struct parity *p, size_t rows, size_t heads, size_t dim,
                      size_t rotary, int mix)
{
    size_t positions = 500;
    struct parity_array *x, *at, *cosine, *sine;

    if (!HAS(p, rope_part) ||
        !parity_case(p, (double)(rows * heads * dim),
                     "rope_part-%zux%zux%zu-%zu-%s%s", rows, heads, dim, rotary,
                     parity_type(side(mix & 1)), mix & 2 ? "-inverse" : ""))
        return;
    x = parity_inout(p, "x", side(mix & 1), rows * heads * dim, 1);
    at = parity_ids(p, "position", rows, positions);
    cosine = parity_noise(p, "cosine", F32, positions * rotary / 2, 1);
    sine = parity_noise(p, "sine", F32, positions * rotary / 2, 1);
    while (parity_next(p))
        p->c->ops->rope_part(p->c, x->s, at->s, cosine->s, sine->s, rows, heads,
                             dim, rotary, mix & 2);
    parity_done(p);
}

void parity_more(struct parity *p)
{
    static const size_t shapes[][2] = {
        { 1, 64 }, { 77, 576 }, { 3, 37 }, { 300, 2048 }
    };

    for (size_t i = 0; i < 4; i++)
        for (int mix = 0; mix < 4; mix++) {
            scale(p, lengths[i], mix);
            columns(p, shapes[i][0], shapes[i][1], mix);
            layernorm(p, shapes[i][0], shapes[i][1], mix);
            layernorm(p, shapes[i][0], shapes[i][1], mix + 4);
            for (int k = 0; k < KINDS; k++) {
                activate(p, lengths[i], (enum compute_activation)k, mix);
                glu(p, lengths[i], (enum compute_activation)k, mix);
            }
        }
    for (int mix = 0; mix < 4; mix++) {
        rope_part(p, 77, 8, 80, 32, mix);
        rope_part(p, 130, 32, 64, 16, mix);
        rope_part(p, 5, 3, 128, 96, mix);
    }
}
