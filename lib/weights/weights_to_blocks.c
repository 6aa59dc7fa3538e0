/*
 * weights_to_blocks.c - a matrix of any type as blocks, for a program that
 * computes with them
 *
 * Widened and quantised piece by piece, so that the wide matrix is never
 * there, by several threads, each with pieces of its own. The blocks are those
 * that a written file would have.
 */
#include "weights/weights_internal.h"

#include "base/mem.h"
#include "base/pool.h"
#include "base/progress.h"

#include <stdlib.h>

#define PIECE 16384 /* elements, whole blocks of every type */

struct making {
    const struct weights_tensor *from;
    const struct weights_block *block; /* that is made */
    const float *wide; /* all of it, where it cannot be cut; or NULL */
    unsigned char *out;
    size_t n;
};

/* n elements from `at` on. */
static struct weights_tensor cut(const struct weights_tensor *t, size_t at,
                                 size_t n)
{
    const struct weights_block *b = weights_block_of(t->type);
    struct weights_tensor part = *t;
    size_t before =
        b ? at / b->elements * b->bytes : at * weights_type_size(t->type);

    part.dims = 1;
    part.shape[0] = (int64_t)n;
    part.data = (const char *)t->data + before;
    return part;
}

static void make_piece(void *ctx, size_t task, unsigned worker)
{
    const struct making *m = ctx;
    size_t at = task * PIECE, n = m->n - at < PIECE ? m->n - at : PIECE;
    float x[PIECE];
    const float *from = m->wide ? m->wide + at : x;
    struct weights_tensor part = cut(m->from, at, n);

    (void)worker;
    if (stop_requested() || (!m->wide && weights_to_f32(&part, x, NULL) < 0))
        return;
    weights_quantise_into(m->block->type, from, n,
                          m->out + at / m->block->elements * m->block->bytes);
}

size_t weights_block_bytes(enum weights_type type, size_t n)
{
    const struct weights_block *b = weights_block_of(type);

    return n / b->elements * b->bytes;
}

int weights_to_blocks(const struct weights_tensor *t, enum weights_type type,
                      struct pool *pool, void *out, struct err *err)
{
    struct making m = { .from = t,
                        .block = weights_block_of(type),
                        .out = out,
                        .n = (size_t)weights_elements(t) };
    void *wide = NULL;
    float one;
    int rc = ERR_OK;

    if (t->type == WEIGHTS_NF4) {
        rc = mem_try_array(&wide, m.n, sizeof(float), t->name, err);
        if (rc == ERR_OK)
            rc = weights_to_f32(t, wide, err);
        m.wide = wide;
    } else if (!weights_block_of(t->type)) { /* a type that has no numbers? */
        struct weights_tensor none = cut(t, 0, 0);

        rc = weights_to_f32(&none, &one, err);
    }
    if (rc == ERR_OK)
        pool_run(pool, (m.n + PIECE - 1) / PIECE, make_piece, &m);
    if (rc == ERR_OK && stop_requested())
        rc = err_set(err, ERR_INTERRUPTED, "interrupted");
    free(wide);
    return rc;
}
