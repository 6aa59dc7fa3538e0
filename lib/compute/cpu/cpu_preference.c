/*
 * cpu_preference.c - what pairs of answers lose, and what each row counts
 *
 * A few numbers a pass: one thread, in the order of the rows.
 */
#include "compute/cpu/cpu.h"

#include <math.h>

static double sum(const float *x, const int32_t *starts, size_t d)
{
    double total = 0;

    for (int32_t r = starts[d]; r < starts[d + 1]; r++)
        total += (double)x[r];
    return total;
}

static void spread(float *factors, const int32_t *starts, size_t d, double by)
{
    for (int32_t r = starts[d]; r < starts[d + 1]; r++)
        factors[r] = (float)by;
}

void cpu_op_preference(struct compute *c, const struct compute_preference *p)
{
    const float *own = cpu_f32(p->own), *reference = cpu_f32(p->reference);
    double loss = 0, right = 0, *sums = cpu_f64(p->sums);

    (void)c;
    for (size_t d = 0; d + 1 < p->docs; d += 2) {
        double gap = sum(reference, p->starts, d) - sum(own, p->starts, d) -
                     sum(reference, p->starts, d + 1) +
                     sum(own, p->starts, d + 1);
        double x = p->beta * gap, by = p->beta / (1 + exp(x));

        loss += x > 0 ? log1p(exp(-x)) : log1p(exp(x)) - x;
        right += gap > 0;
        if (p->factors.buf) {
            spread(cpu_f32(p->factors), p->starts, d, p->scale * by);
            spread(cpu_f32(p->factors), p->starts, d + 1, p->scale * -by);
        }
    }
    sums[0] += loss;
    sums[1] += right;
}
