/*
 * compute_problem.h - what the tests of recurrences and the like share: an
 * operation beside a plain version of it in double, whose finite differences
 * its gradients must be
 */
#ifndef COMPUTE_PROBLEM_H
#define COMPUTE_PROBLEM_H

#include "compute_arrays.h"

#define ROWS 75 /* two documents, one of more than a chunk */
static const int32_t starts[] = { 0, 67, 75 };
#define DOCS 2

/* An operation's inputs in double, and what its outputs are weighed by, so
 * that the weights are the outputs' gradients. */
#define INPUTS 6
struct problem {
    double *in[INPUTS], *y, *dy;
    size_t n[INPUTS], outputs;
    void (*run)(struct problem *p);
    int kind; /* of a variant */
};

static inline double weighed(void *ctx)
{
    struct problem *p = ctx;
    double sum = 0;

    p->run(p);
    for (size_t i = 0; i < p->outputs; i++)
        sum += p->dy[i] * p->y[i];
    return sum;
}

static inline void problem_release(struct problem *p)
{
    for (int i = 0; i < INPUTS; i++)
        free(p->in[i]);
    free(p->y);
    free(p->dy);
}

/* Arrays of an operation on the device: inputs with gradients, output. */
struct device {
    struct compute *c;
    struct array in[INPUTS], grad[INPUTS], y, dy;
};

static inline struct device device_new(struct compute *c, const size_t *n,
                                       size_t outputs, struct problem *p)
{
    struct device d = { .c = c, .y = zeros(c, outputs) };

    d.dy = noise(c, outputs);
    for (int i = 0; i < INPUTS; i++) {
        d.in[i] = noise(c, n[i] + 1);
        d.grad[i] = zeros(c, n[i] + 1);
        p->in[i] = doubles(&d.in[i]);
        p->n[i] = n[i];
    }
    p->y = mem_zalloc((outputs + 1) * sizeof(double));
    p->dy = doubles(&d.dy);
    p->outputs = outputs;
    return d;
}

static inline void device_drop(struct device *d)
{
    for (int i = 0; i < INPUTS; i++) {
        drop(d->c, &d->in[i]);
        drop(d->c, &d->grad[i]);
    }
    drop(d->c, &d->y);
    drop(d->c, &d->dy);
}

static inline void check_outputs(struct device *d, struct problem *p)
{
    p->run(p);
    (void)fetch(d->c, &d->y);
    for (size_t i = 0; i < p->outputs; i++)
        close_to((double)d->y.x[i], p->y[i], 2, "output");
}

/* Every step-th gradient of each input. */
static inline void check_gradients(struct device *d, struct problem *p,
                                   size_t step, double scale)
{
    char what[32];

    for (int k = 0; k < INPUTS; k++) {
        (void)fetch(d->c, &d->grad[k]);
        (void)snprintf(what, sizeof(what), "gradient of input %d", k);
        for (size_t i = 0; i < p->n[k]; i += p->n[k] < 40 ? 1 : step)
            close_to((double)d->grad[k].x[i], slope(weighed, p, &p->in[k][i]),
                     scale, what);
    }
}

/* The same document through a slot, in pieces, gives the same bits. */
static const int32_t pieces[] = { 1, 1, 2, 40, 23 };

struct slots {
    struct array state;
    int32_t begin[2], past[1], slot[1];
};

static inline struct compute_sequences piece(struct slots *s, size_t rows,
                                             size_t at)
{
    s->begin[0] = 0;
    s->begin[1] = (int32_t)rows;
    s->past[0] = (int32_t)at;
    s->slot[0] = 1;
    return (struct compute_sequences){ .starts = s->begin,
                                       .docs = 1,
                                       .rows = rows,
                                       .state = s->state.s,
                                       .past = s->past,
                                       .slots = s->slot };
}

static const struct compute_sequences packed = { .starts = starts,
                                                 .docs = DOCS,
                                                 .rows = ROWS };

/* run: all rows, or those of s, the first of them row `at`; a state has
 * `state` numbers, a row of the output `width`. */
static inline void check_pieces(struct device *d, size_t state, size_t width,
                                void (*run)(struct device *d,
                                            const struct compute_sequences *s,
                                            size_t at))
{
    struct slots s = { .state = noise(d->c, 2 * state) }; /* left by another */
    float *whole;
    size_t at = 0;

    run(d, &packed, 0);
    whole = fetch(d->c, &d->y);
    d->y.x = mem_zalloc((d->y.n + 1) * sizeof(float));
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct compute_sequences some = piece(&s, (size_t)pieces[i], at);

        run(d, &some, at);
        at += (size_t)pieces[i];
    }
    ck_assert_uint_eq(at, (size_t)starts[1]);
    ck_assert_mem_eq(fetch(d->c, &d->y), whole, at * width * sizeof(float));
    free(whole);
    drop(d->c, &s.state);
}

#endif
