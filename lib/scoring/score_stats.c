/*
 * score_stats.c - intervals for rates and for differences of paired rates
 *
 * Published closed forms and score intervals, with counts that need not be
 * whole, so that clustered data can be entered by their effective size.
 */
#include "scoring/scoring.h"

#include <assert.h>
#include <math.h>

static double tail_start(double p)
{
    static const double c[] = { -7.784894002430293e-03, -3.223964580411365e-01,
                                -2.400758277161838e+00, -2.549732539343734e+00,
                                4.374664141464968e+00,  2.938163982698783e+00 };
    static const double d[] = { 7.784695709041462e-03, 3.224671290700398e-01,
                                2.445134137142996e+00, 3.754408661907416e+00 };
    double q = sqrt(-2 * log(p));

    return (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q +
            c[5]) /
           ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
}

static double centre_start(double p)
{
    static const double a[] = { -3.969683028665376e+01, 2.209460984245205e+02,
                                -2.759285104469687e+02, 1.383577518672690e+02,
                                -3.066479806614716e+01, 2.506628277459239e+00 };
    static const double b[] = { -5.447609879822406e+01, 1.615858368580409e+02,
                                -1.556989798598866e+02, 6.680131188771972e+01,
                                -1.328068155288572e+01 };
    double q = p - 0.5, r = q * q;

    return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r +
            a[5]) *
           q /
           (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
}

double score_normal_quantile(double p)
{
    double x, e, u;

    assert(p > 0 && p < 1);
    if (p < 0.02425)
        x = tail_start(p);
    else if (p > 1 - 0.02425)
        x = -tail_start(1 - p);
    else
        x = centre_start(p);
    e = 0.5 * erfc(-x / M_SQRT2) - p;
    u = e * sqrt(2 * M_PI) * exp(x * x / 2);
    return x - u / (1 + x * u / 2);
}

struct score_interval score_wilson(double k, double n, double level)
{
    double z = score_normal_quantile(level), z2 = z * z, p, mid, half;
    struct score_interval i = { 0, 1 };

    if (n <= 0)
        return i;
    p = k / n;
    mid = (p + z2 / (2 * n)) / (1 + z2 / n);
    half = z * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
    i.low = k <= 0 ? 0 : fmax(0, mid - half);
    i.high = k >= n ? 1 : fmin(1, mid + half);
    return i;
}

/* Correlation of the two answers, shrunk by n/2 when positive. */
static double newcombe_phi(struct score_table t, double n)
{
    double product = (t.both + t.first) * (t.second + t.neither) *
                     (t.both + t.second) * (t.first + t.neither);
    double cross = t.both * t.neither - t.first * t.second;

    if (product <= 0)
        return 0;
    if (cross > 0)
        cross = fmax(0, cross - n / 2);
    return cross / sqrt(product);
}

struct score_interval score_newcombe(struct score_table t, double level)
{
    double n = t.both + t.first + t.second + t.neither, p1, p2, phi, low, high;
    double a, b, c, d;
    struct score_interval w1, w2, out = { -1, 1 };

    if (n <= 0)
        return out;
    p1 = (t.both + t.first) / n;
    p2 = (t.both + t.second) / n;
    w1 = score_wilson(t.both + t.first, n, level);
    w2 = score_wilson(t.both + t.second, n, level);
    phi = newcombe_phi(t, n);
    a = p1 - w1.low;
    b = w2.high - p2;
    c = p2 - w2.low;
    d = w1.high - p1;
    low = a * a - 2 * phi * a * b + b * b;
    high = c * c - 2 * phi * c * d + d * d;
    out.low = fmax(-1, p1 - p2 - sqrt(fmax(0, low)));
    out.high = fmin(1, p1 - p2 + sqrt(fmax(0, high)));
    return out;
}

/* Tango's statistic for a hypothetical difference: the restricted maximum
 * likelihood estimate of the second cell under it gives the variance. */
static double tango_statistic(double b, double c, double n, double delta)
{
    double bb = -b - c + (2 * n - b + c) * delta;
    double cc = -c * delta * (1 - delta);
    double q = (sqrt(fmax(0, bb * bb - 8 * n * cc)) - bb) / (4 * n);
    double variance = n * (2 * q + delta * (1 - delta));

    if (variance <= 0) {
        double gap = b - c - n * delta;

        return gap > 0 ? HUGE_VAL : gap < 0 ? -HUGE_VAL : 0;
    }
    return (b - c - n * delta) / sqrt(variance);
}

/* The statistic falls as delta grows: bisect for |statistic| = z. */
static double tango_limit(double b, double c, double n, double z, double from,
                          double to)
{
    for (int i = 0; i < 100; i++) {
        double mid = (from + to) / 2;

        if (tango_statistic(b, c, n, mid) > z)
            from = mid;
        else
            to = mid;
    }
    return (from + to) / 2;
}

struct score_interval score_tango(struct score_table t, double level)
{
    double n = t.both + t.first + t.second + t.neither, d, z;
    struct score_interval out = { -1, 1 };

    if (n <= 0)
        return out;
    z = score_normal_quantile(level);
    d = (t.first - t.second) / n;
    if (d > -1)
        out.low = tango_limit(t.first, t.second, n, z, -1, d);
    if (d < 1)
        out.high = tango_limit(t.first, t.second, n, -z, d, 1);
    return out;
}

void score_self_add(struct score_self *s, double agreement, double calls)
{
    if (calls < 2) {
        s->once += calls;
        return;
    }
    s->inputs++;
    if (calls < 3) {
        s->twice.sum += agreement;
        s->twice.inputs++;
    } else {
        s->more.sum += agreement * calls;
        s->more.calls += calls;
        s->more.squares += calls * calls;
    }
}

/* What an input that came twice weighs. */
static double self_weight(const struct score_self *s)
{
    return s->twice.inputs > 0 ? 2 + s->once / s->twice.inputs : 0;
}

static double self_calls(const struct score_self *s)
{
    return s->more.calls + s->twice.inputs * self_weight(s);
}

double score_self_mean(const struct score_self *s)
{
    return s->inputs > 0
               ? (s->more.sum + s->twice.sum * self_weight(s)) / self_calls(s)
               : 1;
}

struct score_interval score_self_interval(const struct score_self *s,
                                          double level)
{
    double w = self_weight(s), calls = self_calls(s), n;

    if (s->inputs == 0)
        return (struct score_interval){ 1, 1 };
    n = calls * calls / (s->more.squares + s->twice.inputs * w * w);
    return score_wilson(score_self_mean(s) * n, n, level);
}

double score_gate_need(double variance, double distance, double level,
                       double power)
{
    double z = score_normal_quantile(level) + score_normal_quantile(power);

    if (distance == 0)
        return HUGE_VAL;
    return z * z * variance / (distance * distance);
}
