/*
 * parity.h - one operation on two devices: what the parity cases share
 *
 * A case names its arrays and runs its operation once on the reference (the
 * CPU in f32) and twice on the device under test. Outputs begin as NaN and
 * stand between guards, inputs between NaN, so that what is not written,
 * written outside, or read outside is seen; the two runs must give the same
 * bits.
 */
#ifndef PARITY_H
#define PARITY_H

#include "base/rng.h"
#include "compute/compute.h"

#include <stdio.h>

#define PARITY_ARRAYS 24
#define PARITY_RUNS 3 /* reference, device, device again */

enum parity_role {
    PARITY_IN,
    PARITY_OUT,  /* begins as NaN */
    PARITY_INOUT /* begins with values, is compared */
};

struct parity_array {
    const char *name;
    enum compute_type type;
    enum parity_role role;
    size_t n, front, back; /* elements, and guards before and after them */
    float *x;              /* initial values; PARITY_OUT: NULL */
    int32_t *ids;          /* of COMPUTE_I32 */
    double floor;          /* the reference's rms counts as at least this */
    void *result[PARITY_RUNS];
    struct compute_span s; /* of this run */
};

/* What error is allowed, by precision; see parity_limit. */
enum parity_class {
    PARITY_SAME,      /* moved or chosen, not computed */
    PARITY_ELEMENTS,  /* elementwise, or sums along a row in f32 */
    PARITY_PRODUCT,   /* sums of `terms` products */
    PARITY_ATTENTION, /* two products and a softmax */
    PARITY_ATTENTION_GRAD,
    PARITY_MODEL, /* gradients of a whole model */
    PARITY_CLASSES
};

struct parity {
    struct compute *reference, *device;
    enum compute_precision precision; /* of the device */
    struct rng rng;
    struct compute *c; /* of this run */
    size_t odd;        /* spans begin so many elements off alignment */
    double limit;      /* on ||got - want|| / ||want|| */
    /* What is left is the harness's own. */
    struct parity_array arrays[PARITY_ARRAYS];
    size_t count;
    int run;
    char name[128], message[256];
    char *const *wanted;
    size_t wanted_count;
    const char *after;
    bool list, quick;
    unsigned timeout_s;
    int64_t end_ns; /* no case begins later, but is counted; 0: any time */
    size_t passed, failed, left;
};

/* Begin a case of this name: whether it is to run now. work: about how many
 * multiply-adds (large ones are no quick cases). */
bool parity_case(struct parity *p, double work, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Print the result, forget the arrays. */
void parity_done(struct parity *p);

/* The error allowed from here on. */
void parity_limit(struct parity *p, enum parity_class class, size_t terms);

/* Arrays; sigma: of normal random numbers, which are rounded to the type. */
struct parity_array *parity_noise(struct parity *p, const char *name,
                                  enum compute_type type, size_t n,
                                  double sigma);
struct parity_array *parity_output(struct parity *p, const char *name,
                                   enum compute_type type, size_t n);
struct parity_array *parity_inout(struct parity *p, const char *name,
                                  enum compute_type type, size_t n,
                                  double sigma);
/* Random ids below `below`. */
struct parity_array *parity_ids(struct parity *p, const char *name, size_t n,
                                size_t below);
/* As an array of the case: at offset 0 of a buffer without guards. */
void parity_whole(struct parity_array *a);
/* A number that the run gave, compared like an array of one element. */
void parity_number(struct parity *p, struct parity_array *a, double x);

/* The next run: its device in p->c, spans in the arrays' s. */
bool parity_next(struct parity *p);
/* In a run: w[n,k] will not change any more. */
void parity_freeze(struct parity *p, struct parity_array *w, size_t n, size_t k,
                   bool forward_only);
/* Whether the device has this operation (a list names all cases). */
#define HAS(p, op) ((p)->list || (p)->device->ops->op)
/* Whether the device has COMPUTE_HAS_... (a list names all cases). */
bool parity_has(const struct parity *p, unsigned feature);
/* A check of the case's own that failed. */
void parity_fail(struct parity *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* x as the device will hold it in a type. */
float parity_rounded(const struct parity *p, enum compute_type type, float x);

/* "f32", "act", ...: for names. */
const char *parity_type(enum compute_type t);

/* The groups of cases. */
void parity_rows(struct parity *p);
void parity_more(struct parity *p);
void parity_recurrent(struct parity *p);
void parity_moves(struct parity *p);
void parity_linear(struct parity *p);
void parity_quant(struct parity *p);
void parity_attention(struct parity *p);
void parity_cached(struct parity *p);
void parity_loss(struct parity *p);
void parity_model(struct parity *p);

#endif
