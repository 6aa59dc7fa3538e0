/*
 * stats_isotonic.c - pool-adjacent-violators, and what its blocks say
 *
 * Blocks are pooled while they do not rise, so that equal neighbours become
 * one and interpolation between blocks never meets two of the same x.
 */
#include "stats/stats.h"

#include "base/bytes.h"
#include "base/mem.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct sample {
    double x, y, w;
};

static int compare_samples(const void *a, const void *b)
{
    const struct sample *p = a, *q = b;

    return (p->x > q->x) - (p->x < q->x);
}

static struct sample *sorted_samples(const double *x, const double *y,
                                     const double *w, size_t n, size_t *count)
{
    struct sample *s = mem_array(n + 1, sizeof(*s));
    size_t m = 0;

    for (size_t i = 0; i < n; i++) {
        double weight = w ? w[i] : 1;

        if (isfinite(x[i]) && isfinite(y[i]) && weight > 0)
            s[m++] = (struct sample){ x[i], y[i], weight };
    }
    qsort(s, m, sizeof(*s), compare_samples);
    *count = m;
    return s;
}

/* The last block of f and the sample become one. */
static void pool_into(struct stats_isotonic *f, struct sample s)
{
    size_t i = f->count - 1;
    double n = f->n[i] + s.w;

    f->x[i] += (s.x - f->x[i]) * s.w / n;
    f->y[i] += (s.y - f->y[i]) * s.w / n;
    f->n[i] = n;
}

static void push_block(struct stats_isotonic *f, struct sample s)
{
    f->x[f->count] = s.x;
    f->y[f->count] = s.y;
    f->n[f->count++] = s.w;
}

void stats_isotonic_fit(const double *x, const double *y, const double *w,
                        size_t n, struct stats_isotonic *out)
{
    size_t m;
    struct sample *s = sorted_samples(x, y, w, n, &m);

    out->x = mem_array(m + 1, sizeof(double));
    out->y = mem_array(m + 1, sizeof(double));
    out->n = mem_array(m + 1, sizeof(double));
    out->count = 0;
    for (size_t i = 0, next; i < m; i = next) {
        push_block(out, s[i]);
        for (next = i + 1; next < m && s[next].x <= s[i].x; next++)
            pool_into(out, s[next]);
        while (out->count > 1 &&
               out->y[out->count - 2] >= out->y[out->count - 1]) {
            size_t last = --out->count;
            pool_into(out, (struct sample){ out->x[last], out->y[last],
                                            out->n[last] });
        }
    }
    free(s);
}

/* Where x lies: between blocks i and i + 1, with the part of the second. */
static size_t place(const struct stats_isotonic *f, double x, double *part)
{
    size_t low = 0, high = f->count - 1;

    *part = 0;
    if (!(x > f->x[0]))
        return 0;
    if (x >= f->x[high])
        return high;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (f->x[mid] <= x)
            low = mid;
        else
            high = mid;
    }
    *part = (x - f->x[low]) / (f->x[high] - f->x[low]);
    return low;
}

double stats_isotonic_at(const struct stats_isotonic *f, double x)
{
    double part;
    size_t i;

    if (f->count == 0 || isnan(x))
        return (double)NAN;
    i = place(f, x, &part);
    return part > 0 ? f->y[i] + part * (f->y[i + 1] - f->y[i]) : f->y[i];
}

static void put_double(struct buf *out, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, 8);
    bytes_put_u64(out, bits);
}

void stats_isotonic_save(const struct stats_isotonic *f, struct buf *out)
{
    bytes_put_u32(out, (uint32_t)f->count);
    for (size_t i = 0; i < f->count; i++) {
        put_double(out, f->x[i]);
        put_double(out, f->y[i]);
        put_double(out, f->n[i]);
    }
}

static double get_double(struct bytes_reader *r)
{
    uint64_t bits = bytes_u64(r);
    double v;

    memcpy(&v, &bits, 8);
    return v;
}

/* Rising, finite, with weights: what _at relies on. */
static bool is_sound(const struct stats_isotonic *f)
{
    for (size_t i = 0; i < f->count; i++) {
        if (!isfinite(f->x[i]) || !isfinite(f->y[i]) || !(f->n[i] > 0))
            return false;
        if (i && !(f->x[i] > f->x[i - 1] && f->y[i] >= f->y[i - 1]))
            return false;
    }
    return true;
}

int stats_isotonic_load(struct slice data, struct stats_isotonic *out,
                        struct err *err)
{
    struct bytes_reader r = { .rest = data };
    struct stats_isotonic f = { 0 };
    size_t n = bytes_count(&r, STATS_ISOTONIC_MAX, 24);

    f.x = mem_array(n + 1, sizeof(double));
    f.y = mem_array(n + 1, sizeof(double));
    f.n = mem_array(n + 1, sizeof(double));
    for (f.count = 0; f.count < n; f.count++) {
        f.x[f.count] = get_double(&r);
        f.y[f.count] = get_double(&r);
        f.n[f.count] = get_double(&r);
    }
    if (r.bad || r.rest.n || !is_sound(&f)) {
        stats_isotonic_release(&f);
        return err_set(err, ERR_FORMAT,
                       "calibration: steps are damaged; calibrate again");
    }
    *out = f;
    return 0;
}

void stats_isotonic_release(struct stats_isotonic *f)
{
    free(f->x);
    free(f->y);
    free(f->n);
    *f = (struct stats_isotonic){ 0 };
}
