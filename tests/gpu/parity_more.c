/*
 * parity_more.c - the operations that only families beyond Llama's need
 *
 * A device may leave them out; what it has must agree.
 */
#include "parity.h"

#define F32 COMPUTE_F32
#define ACT COMPUTE_ACT

static const size_t lengths[] = { 1, 77, 4099, 100003 };
static const char *const kinds[] = {
    [COMPUTE_IDENTITY] = "identity", [COMPUTE_SIGMOID] = "sigmoid",
    [COMPUTE_SILU] = "silu",         [COMPUTE_GELU_TANH] = "gelu_tanh",
    [COMPUTE_RELU2] = "relu2",       [COMPUTE_GELU] = "gelu"
};
#define KINDS 6

static enum compute_type side(int bit)
{
    return bit ? F32 : ACT;
}

static void scale(struct parity *p, size_t n, int mix)
{
    struct parity_array *x, *y;

    if (HAS(p, scale) &&
        parity_case(p, (double)n, "scale-%zu-%s-%s", n,
                    parity_type(side(mix & 1)), parity_type(side(mix & 2)))) {
        p->odd = n % 2;
        x = mix == 3 ? parity_inout(p, "x", F32, n, 1)
                     : parity_noise(p, "x", side(mix & 2), n, 1);
        y = mix == 3 ? x : parity_output(p, "y", side(mix & 1), n);
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
        x = mix == 0 ? parity_inout(p, "x", x_type, n, 2)
                     : parity_noise(p, "x", x_type, n, 2);
        y = mix == 0 ? x : parity_output(p, "y", y_type, n);
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
        gate = mix == 3 ? parity_inout(p, "gate", type, n, 2)
                        : parity_noise(p, "gate", type, n, 2);
        up = mix == 0 ? parity_inout(p, "up", type, n, 1)
                      : parity_noise(p, "up", type, n, 1);
        h = mix == 3 ? gate : mix == 0 ? up : parity_output(p, "h", h_type, n);
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
    size_t wide = 3 * cols + 5, even = 2 * (cols + cols % 8);
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
    /* As projections that are fused have them: every row aligned. */
    if (HAS(p, copy_columns) &&
        parity_case(p, (double)(rows * cols), "copy_columns-%zux%zu-%s-%s-even",
                    rows, cols, parity_type(side(mix & 1)),
                    parity_type(side(mix & 2)))) {
        x = parity_noise(p, "x", side(mix & 2), rows * even, 1);
        y = parity_inout(p, "y", side(mix & 1), rows * even, 1);
        while (parity_next(p))
            p->c->ops->copy_columns(p->c, compute_at(y->s, even / 2), even,
                                    x->s, even, rows, cols);
        parity_done(p);
    }
    if (HAS(p, scale_columns) && !(mix & 2) &&
        parity_case(p, (double)(rows * cols), "scale_columns-%zux%zu-%s", rows,
                    cols, parity_type(side(mix & 1)))) {
        y = parity_inout(p, "y", side(mix & 1), rows * even, 1);
        while (parity_next(p))
            p->c->ops->scale_columns(p->c, compute_at(y->s, even - cols), even,
                                     rows, cols, -0.3f);
        parity_done(p);
    }
    if (HAS(p, scale_rows) && !(mix & 2) &&
        parity_case(p, (double)(rows * cols), "scale_rows-%zux%zu-%s", rows,
                    cols, parity_type(side(mix & 1)))) {
        y = parity_inout(p, "y", side(mix & 1), rows * cols, 1);
        x = parity_noise(p, "w", F32, rows, 1);
        while (parity_next(p))
            p->c->ops->scale_rows(p->c, y->s, x->s, rows, cols);
        parity_done(p);
    }
}

static void magnitudes(struct parity *p, size_t rows, size_t cols, int mix)
{
    static const char *const forms[] = { "", "-bias", "-in-place",
                                         "-over-addend" };
    enum compute_type y_type = side(mix & 1), x_type = side(mix & 2);
    struct compute_span none = { 0 };
    struct parity_array *x, *y, *w, *bias, *addend;

    for (int form = 0; HAS(p, gain_columns) && form < 4; form++) {
        if (!parity_case(p, (double)(rows * cols),
                         "gain_columns-%zux%zu-%s-%s%s", rows, cols,
                         parity_type(y_type), parity_type(x_type), forms[form]))
            continue;
        x = form == 2 ? parity_inout(p, "x", x_type, rows * cols, 1)
                      : parity_noise(p, "x", x_type, rows * cols, 1);
        w = parity_noise(p, "w", F32, cols, 1);
        bias = parity_noise(p, "bias", F32, cols, 1);
        addend = form == 3 ? parity_inout(p, "addend", y_type, rows * cols, 1)
                           : parity_noise(p, "addend", y_type, rows * cols, 1);
        y = form == 2   ? x
            : form == 3 ? addend
                        : parity_output(p, "y", y_type, rows * cols);
        while (parity_next(p))
            p->c->ops->gain_columns(p->c, y->s, x->s, w->s,
                                    form & 1 ? bias->s : none,
                                    form & 2 ? addend->s : none, rows, cols);
        parity_done(p);
    }
    if (HAS(p, column_dots) &&
        parity_case(p, (double)(rows * cols), "column_dots-%zux%zu-%s-%s", rows,
                    cols, parity_type(y_type), parity_type(x_type))) {
        parity_limit(p, PARITY_ELEMENTS, rows);
        x = parity_noise(p, "u", y_type, rows * cols, 1);
        w = parity_noise(p, "v", x_type, rows * cols, 1);
        y = parity_inout(p, "y", F32, cols, 1);
        while (parity_next(p))
            p->c->ops->column_dots(p->c, y->s, x->s, w->s, rows, cols);
        parity_done(p);
    }
}

static void inverse_norms(struct parity *p, size_t n, size_t k, size_t rank,
                          enum compute_type type, bool frozen)
{
    struct parity_array *y, *w, *b, *a;

    if (!HAS(p, inverse_norms) ||
        !parity_case(p, (double)(n * k * (rank + 1)),
                     "inverse_norms-%zux%zu-%zu-%s%s", n, k, rank,
                     parity_type(type), frozen ? "-frozen" : ""))
        return;
    parity_limit(p, PARITY_ELEMENTS, k);
    y = parity_output(p, "y", F32, n);
    w = parity_noise(p, "w", type, n * k, 0.5);
    if (frozen)
        parity_whole(w);
    b = parity_noise(p, "b", F32, n * rank, 0.5);
    a = parity_noise(p, "a", F32, rank * k, 0.5);
    while (parity_next(p)) {
        struct compute_span weights[3];

        if (frozen)
            parity_freeze(p, w, n, k, false);
        weights[0] = w->s;
        weights[1] = b->s;
        weights[2] = a->s;
        p->c->ops->inverse_norms(p->c, y->s, weights, n, k, rank, 0.7f);
    }
    parity_done(p);
}

/* Groups of a row, what of the gate's row is the gate, and where the norm
 * is. */
struct gate_shape {
    size_t rows, dim, group, w_dim, gate_stride;
    bool gate_first;
};

static const struct gate_shape gates[] = {
    { 77, 512, 128, 128, 512, false }, { 5, 8192, 8192, 8192, 8200, true },
    { 130, 96, 24, 48, 99, true },     { 33, 111, 37, 111, 111, false },
    { 300, 1024, 0, 0, 1040, true },   { 3, 37, 0, 0, 40, false },
    { 9, 1200, 600, 1200, 1203, true }
};
#define GATES (sizeof(gates) / sizeof(gates[0]))

static void gated_norm(struct parity *p, const struct gate_shape *g, int mix)
{
    enum compute_type x_type = side(mix & 1), gate_type = side(mix & 2);
    size_t n = g->rows * g->dim, wide = g->rows * g->gate_stride;
    bool in_place = mix == 0 || mix == 3, with_dw = mix & 4;
    struct parity_array *x, *y, *gate, *w, *dy, *dx, *dgate, *dw;
    struct compute_gated_norm v = { .rows = g->rows,
                                    .dim = g->dim,
                                    .group = g->group,
                                    .w_dim = g->w_dim,
                                    .gate_stride = g->gate_stride,
                                    .eps = 1e-5f,
                                    .gate_first = g->gate_first };

    if (HAS(p, gated_norm) && !with_dw &&
        parity_case(p, (double)n, "gated_norm-%zux%zu-%zu%s-%s-%s", g->rows,
                    g->dim, g->group, g->gate_first ? "-first" : "",
                    parity_type(x_type), parity_type(gate_type))) {
        parity_limit(p, PARITY_ELEMENTS, g->dim);
        x = in_place ? parity_inout(p, "x", x_type, n, 1)
                     : parity_noise(p, "x", x_type, n, 1);
        y = in_place ? x : parity_output(p, "y", gate_type, n);
        gate = parity_noise(p, "gate", gate_type, wide, 1);
        w = parity_noise(p, "w", F32, g->w_dim, 1);
        while (parity_next(p)) {
            v.x = x->s;
            v.y = y->s;
            v.gate = gate->s;
            v.w = w->s;
            p->c->ops->gated_norm(p->c, &v);
        }
        parity_done(p);
    }
    if (HAS(p, gated_norm_grad) &&
        parity_case(p, (double)n, "gated_norm_grad-%zux%zu-%zu%s-%s-%s%s",
                    g->rows, g->dim, g->group, g->gate_first ? "-first" : "",
                    parity_type(x_type), parity_type(gate_type),
                    with_dw ? "-dw" : "")) {
        parity_limit(p, PARITY_ELEMENTS, g->rows + g->dim);
        x = parity_noise(p, "x", x_type, n, 1);
        gate = parity_noise(p, "gate", gate_type, wide, 1);
        w = parity_noise(p, "w", F32, g->w_dim, 1);
        dy = in_place ? parity_inout(p, "dy", x_type, n, 1)
                      : parity_noise(p, "dy", x_type, n, 1);
        dx = in_place ? dy : parity_output(p, "dx", gate_type, n);
        dgate = parity_inout(p, "dgate", gate_type, wide, 1);
        dw = parity_inout(p, "dw", F32, g->w_dim, 1);
        while (parity_next(p)) {
            struct compute_gated_norm_grad back = {
                .fwd = v, .dy = dy->s, .dx = dx->s, .dgate = dgate->s
            };

            back.fwd.x = x->s;
            back.fwd.gate = gate->s;
            back.fwd.w = w->s;
            if (with_dw)
                back.dw = dw->s;
            p->c->ops->gated_norm_grad(p->c, &back);
        }
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
            magnitudes(p, shapes[i][0], shapes[i][1], mix);
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
        rope_part(p, 9, 2, 36, 24, mix);
    }
    for (size_t i = 0; i < GATES; i++)
        for (int mix = 0; mix < 8; mix++)
            gated_norm(p, &gates[i], mix);
    inverse_norms(p, 37, 96, 4, F32, false);
    inverse_norms(p, 130, 1000, 16, COMPUTE_BF16, false);
    inverse_norms(p, 64, 77, 70, COMPUTE_F16, false);
    inverse_norms(p, 96, 576, 8, F32, true);
    inverse_norms(p, 3, 64, 0, F32, false);
    inverse_norms(p, 9, 2052, 130, F32, false);
}
