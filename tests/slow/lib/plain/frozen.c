/*
 * frozen.c - products with frozen weights beside those with plain ones, to the
 * bit, through the device: depths of more than one block, whatever width the
 * machine's panels have
 */
#include "compute/compute.h"

#include "check.h"

#define M 9
#define WIDE 700

static struct compute_span filled(struct compute *c, size_t n, unsigned seed)
{
    struct compute_span s = { NULL, 0 };
    float *x = malloc(n * sizeof(*x));
    struct err err;

    ck_assert(x && compute_alloc(c, COMPUTE_F32, n, "test", &s, &err) == 0);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 9) * 0x1p-22f - 1;
    }
    c->ops->upload(c, s, x, n);
    free(x);
    return s;
}

/* What both directions give, forward first. */
static void both(struct compute *c, const struct compute_linear *l, float *out)
{
    c->ops->linear(c, l);
    c->ops->download(c, out, l->y, l->m * l->n);
    c->ops->linear_dx(c, l);
    c->ops->download(c, out + l->m * l->n, l->x, l->m * l->k);
}

static void frozen_is_plain(struct compute *c, size_t m, size_t n, size_t k)
{
    static float out[2][2 * M * WIDE];
    struct err err;

    for (int frozen = 0; frozen < 2; frozen++) {
        struct compute_linear l = { .y = filled(c, m * n, 1),
                                    .x = filled(c, m * k, 2),
                                    .w = filled(c, n * k, 3),
                                    .m = m,
                                    .n = n,
                                    .k = k,
                                    .alpha = 1 };

        if (frozen)
            ck_assert(c->ops->freeze(c, l.w, n, k, false, &err) == 0);
        both(c, &l, out[frozen]);
        c->ops->release(c, l.y.buf);
        c->ops->release(c, l.x.buf);
        c->ops->release(c, l.w.buf);
    }
    ck_assert_msg(memcmp(out[0], out[1], m * (n + k) * sizeof(float)) == 0,
                  "%s: %zu rows, %zu by %zu", c->kernels, m, n, k);
}

int main(void)
{
    struct compute_options opt = { .threads = 2 };
    struct compute *c;
    struct err err;

    ck_assert(compute_open(&opt, &c, &err) == 0);
    for (size_t m = 1; m <= M; m += 4) {
        frozen_is_plain(c, m, 40, 31);
        frozen_is_plain(c, m, 400, 31);
        frozen_is_plain(c, m, WIDE, 361);
    }
    compute_close(c);
    return 0;
}
