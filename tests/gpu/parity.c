/*
 * parity.c - arrays on two devices, runs, comparison
 *
 * See parity.h. Host values are rounded to what the device under test will
 * hold, so that an error is the operation's and not its input's.
 */
#include "parity.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <fnmatch.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GUARD 64     /* elements: keeps 128-byte alignment in two bytes */
#define MARK 1536.0f /* in guards of outputs; the same in all types */
#define LOST 3       /* exit status: the device can not be used any more */

static struct parity *running;

/* Stated before anything was measured. Errors are norms: an output in bf16
 * alone is off by 2^-9 / sqrt(3) = 1.1e-3. f32 sums grow with their terms. */
static const double limits[PARITY_CLASSES][4] = {
    /* BEST unused, f32, tf32, bf16 */
    [PARITY_SAME] = { 0, 0, 0, 0 },
    [PARITY_ELEMENTS] = { 0, 1e-5, 1e-5, 1e-2 },
    [PARITY_PRODUCT] = { 0, 1e-5, 2e-3, 1e-2 },
    [PARITY_ATTENTION] = { 0, 1e-5, 2e-3, 1e-2 },
    [PARITY_ATTENTION_GRAD] = { 0, 2e-5, 4e-3, 2e-2 },
    [PARITY_MODEL] = { 0, 1e-4, 1e-2, 5e-2 },
};

void parity_limit(struct parity *p, enum parity_class class, size_t terms)
{
    p->limit = limits[class][p->precision];
    if (class != PARITY_SAME)
        p->limit += 1e-7 * sqrt((double)terms);
}

static void ended_by(int number)
{
    char text[200];
    int n = snprintf(text, sizeof(text), "FAIL %s: %s\n", running->name,
                     number == SIGALRM ? "timeout" : strsignal(number));

    (void)!write(1, text, (size_t)n);
    _exit(LOST);
}

static uint64_t name_hash(const char *s)
{
    uint64_t h = 14695981039346656037u;

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h ^ h >> 29;
}

static bool selected(struct parity *p, double work)
{
    bool hit = p->wanted_count == 0;

    if (p->after) {
        if (strcmp(p->after, p->name) == 0)
            p->after = NULL;
        return false;
    }
    for (size_t i = 0; i < p->wanted_count; i++)
        hit = hit || fnmatch(p->wanted[i], p->name, 0) == 0;
    if (p->quick && (work > 2e6 || name_hash(p->name) % 4 != 0))
        return false;
    return hit;
}

bool parity_case(struct parity *p, double work, const char *fmt, ...)
{
    static const int numbers[] = { SIGALRM, SIGABRT, SIGSEGV, SIGBUS, SIGFPE };
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(p->name, sizeof(p->name), fmt, ap);
    va_end(ap);
    if (!selected(p, work))
        return false;
    if (p->list) {
        (void)printf("%s\n", p->name);
        return false;
    }
    if (p->end_ns > 0 && clock_mono_ns() > p->end_ns) {
        p->left++;
        return false;
    }
    rng_init(&p->rng, name_hash(p->name));
    p->count = 0;
    p->run = -1;
    p->odd = 0;
    p->message[0] = '\0';
    parity_limit(p, PARITY_ELEMENTS, 1);
    running = p;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        (void)signal(numbers[i], ended_by);
    (void)alarm(p->timeout_s);
    return true;
}

bool parity_has(const struct parity *p, unsigned feature)
{
    return p->list || p->device->ops->features & feature;
}

void parity_fail(struct parity *p, const char *fmt, ...)
{
    va_list ap;

    if (p->message[0])
        return; /* the first one */
    va_start(ap, fmt);
    (void)vsnprintf(p->message, sizeof(p->message), fmt, ap);
    va_end(ap);
}

const char *parity_type(enum compute_type t)
{
    static const char *const names[] = { [COMPUTE_F32] = "f32",
                                         [COMPUTE_BF16] = "bf16",
                                         [COMPUTE_F16] = "f16",
                                         [COMPUTE_I32] = "i32",
                                         [COMPUTE_ACT] = "act" };

    return names[t];
}

static uint32_t bits_of(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof(u));
    return u;
}

static float of_bits(uint32_t u)
{
    float x;

    memcpy(&x, &u, sizeof(x));
    return x;
}

/* Bits of a finite x in bf16, to nearest even. */
static uint16_t to_bf16(float x)
{
    uint32_t u = bits_of(x);

    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* x has at most 11 significant bits and f16's normal exponents (or is 0). */
static uint16_t to_f16(float x)
{
    uint32_t u = bits_of(x), sign = u >> 16 & 0x8000;

    if ((u & 0x7fffffff) == 0)
        return (uint16_t)sign;
    return (uint16_t)(sign | (((u >> 23 & 0xff) - 112) << 10) |
                      (u >> 13 & 0x3ff));
}

float parity_rounded(const struct parity *p, enum compute_type type, float x)
{
    if (type == COMPUTE_ACT && p->precision == COMPUTE_BFLOAT16)
        type = COMPUTE_BF16;
    if (type == COMPUTE_BF16)
        return of_bits((uint32_t)to_bf16(x) << 16);
    if (type == COMPUTE_F16)
        return fabsf(x) < 0x1p-14f
                   ? 0
                   : of_bits((bits_of(x) + 0x1000) & ~(uint32_t)0x1fff);
    return x;
}

static struct parity_array *add(struct parity *p, const char *name,
                                enum compute_type type, enum parity_role role,
                                size_t n)
{
    struct parity_array *a = &p->arrays[p->count++];

    assert(p->count <= PARITY_ARRAYS && p->run < 0);
    *a = (struct parity_array){ .name = name,
                                .type = type,
                                .role = role,
                                .n = n,
                                .front = GUARD + p->odd,
                                .back = GUARD };
    return a;
}

static void fill_noise(struct parity *p, struct parity_array *a, double sigma)
{
    a->x = mem_array(a->n + 1, sizeof(*a->x));
    for (size_t i = 0; i < a->n; i++)
        a->x[i] =
            parity_rounded(p, a->type, (float)(sigma * rng_normal(&p->rng)));
}

struct parity_array *parity_noise(struct parity *p, const char *name,
                                  enum compute_type type, size_t n,
                                  double sigma)
{
    struct parity_array *a = add(p, name, type, PARITY_IN, n);

    fill_noise(p, a, sigma);
    return a;
}

struct parity_array *parity_inout(struct parity *p, const char *name,
                                  enum compute_type type, size_t n,
                                  double sigma)
{
    struct parity_array *a = add(p, name, type, PARITY_INOUT, n);

    fill_noise(p, a, sigma);
    return a;
}

struct parity_array *parity_output(struct parity *p, const char *name,
                                   enum compute_type type, size_t n)
{
    return add(p, name, type, PARITY_OUT, n);
}

struct parity_array *parity_ids(struct parity *p, const char *name, size_t n,
                                size_t below)
{
    struct parity_array *a = add(p, name, COMPUTE_I32, PARITY_IN, n);

    a->ids = mem_array(n + 1, sizeof(*a->ids));
    for (size_t i = 0; i < n; i++)
        a->ids[i] = (int32_t)rng_below(&p->rng, below);
    return a;
}

void parity_whole(struct parity_array *a)
{
    a->front = a->back = 0;
}

void parity_number(struct parity *p, struct parity_array *a, double x)
{
    float y = (float)x;

    assert(a->n == 1 && a->type == COMPUTE_F32);
    p->c->ops->upload(p->c, a->s, &y, 1);
}

static void lost(struct parity *p, const struct err *err)
{
    (void)printf("FAIL %s: %s\n", p->name, err->msg);
    (void)fflush(stdout);
    _exit(LOST);
}

/* The whole buffer in the type that upload takes. */
static void *image(const struct parity_array *a)
{
    size_t all = a->front + a->n + a->back;
    void *out = mem_array(all + 1, 4);

    if (a->type == COMPUTE_I32) {
        int32_t *v = out;

        memset(v, a->role == PARITY_IN ? 0 : 0x55, all * sizeof(*v));
        if (a->ids)
            memcpy(v + a->front, a->ids, a->n * sizeof(*v));
    } else if (a->type == COMPUTE_BF16 || a->type == COMPUTE_F16) {
        uint16_t *v = out;
        bool half = a->type == COMPUTE_F16;

        for (size_t i = 0; i < all; i++)
            v[i] = 0x7fff; /* NaN in both */
        for (size_t i = 0; i < a->n; i++)
            v[a->front + i] = half ? to_f16(a->x[i]) : to_bf16(a->x[i]);
    } else {
        float *v = out;

        for (size_t i = 0; i < all; i++)
            v[i] = a->role == PARITY_IN ? NAN : MARK;
        for (size_t i = 0; i < a->n; i++)
            v[a->front + i] = a->x ? a->x[i] : NAN;
    }
    return out;
}

static void begin_run(struct parity *p)
{
    struct err err;

    p->c = p->run == 0 ? p->reference : p->device;
    for (size_t i = 0; i < p->count; i++) {
        struct parity_array *a = &p->arrays[i];
        size_t all = a->front + a->n + a->back;
        void *bytes = image(a);

        if (compute_alloc(p->c, a->type, all ? all : 1, a->name, &a->s, &err) <
            0)
            lost(p, &err);
        p->c->ops->upload(p->c, a->s, bytes, all);
        a->s.at = a->front;
        free(bytes);
    }
}

static bool is_untouched(const struct parity_array *a, const void *all,
                         size_t i)
{
    const float mark = MARK;

    if (a->type == COMPUTE_I32)
        return ((const int32_t *)all)[i] == 0x55555555;
    return memcmp((const float *)all + i, &mark, sizeof(mark)) == 0;
}

static void check_guards(struct parity *p, const struct parity_array *a,
                         const void *all)
{
    for (size_t i = 0; i < a->front + a->n + a->back; i++)
        if ((i < a->front || i >= a->front + a->n) && !is_untouched(a, all, i))
            parity_fail(p, "%s[%td] was written, of %zu", a->name,
                        (ptrdiff_t)i - (ptrdiff_t)a->front, a->n);
}

static void end_run(struct parity *p)
{
    struct err err;

    if (p->c->ops->sync(p->c, &err) < 0)
        lost(p, &err);
    for (size_t i = 0; i < p->count; i++) {
        struct parity_array *a = &p->arrays[i];
        size_t all = a->front + a->n + a->back;

        a->s.at = 0;
        if (a->role != PARITY_IN) {
            char *out = mem_array(all + 1, 4);

            p->c->ops->download(p->c, out, a->s, all);
            check_guards(p, a, out);
            memmove(out, out + 4 * a->front, 4 * a->n);
            a->result[p->run] = out;
        }
        compute_release(p->c, &a->s);
    }
    if (p->c->ops->sync(p->c, &err) < 0)
        lost(p, &err);
}

bool parity_next(struct parity *p)
{
    if (p->run >= 0)
        end_run(p);
    if (++p->run == PARITY_RUNS)
        return false;
    begin_run(p);
    return true;
}

void parity_freeze(struct parity *p, struct parity_array *w, size_t n, size_t k,
                   bool forward_only)
{
    struct err err;

    if (p->c->ops->freeze(p->c, w->s, n, k, forward_only, &err) < 0)
        lost(p, &err);
}

static double error_of_ids(struct parity *p, const struct parity_array *a)
{
    const int32_t *want = a->result[0], *got = a->result[1];

    for (size_t i = 0; i < a->n; i++)
        if (want[i] != got[i])
            parity_fail(p, "%s[%zu] is %d, not %d", a->name, i, got[i],
                        want[i]);
    return 0;
}

static double error_of(struct parity *p, const struct parity_array *a)
{
    const float *want = a->result[0], *got = a->result[1];
    double off = 0, all = 0, least = a->floor * a->floor * (double)a->n;

    for (size_t i = 0; i < a->n; i++) {
        double w = (double)want[i], d = (double)got[i] - w;

        if (!isfinite(w))
            parity_fail(p, "the reference's %s[%zu] is %g", a->name, i, w);
        else if (!isfinite(got[i]))
            parity_fail(p, "%s[%zu] is %g, not %g", a->name, i, (double)got[i],
                        w);
        off += d * d;
        all += w * w;
    }
    all = all > least ? all : least;
    return off > 0 ? sqrt(off / (all > 0 ? all : 1e-30)) : 0;
}

void parity_done(struct parity *p)
{
    double worst = 0;
    const char *where = "";

    for (size_t i = 0; i < p->count; i++) {
        struct parity_array *a = &p->arrays[i];

        if (a->role == PARITY_IN)
            continue;
        double e = a->type == COMPUTE_I32 ? error_of_ids(p, a) : error_of(p, a);

        if (!*where || !(e <= worst)) {
            worst = e;
            where = a->name;
        }
        if (memcmp(a->result[1], a->result[2], 4 * a->n) != 0)
            parity_fail(p, "%s: two runs differ", a->name);
    }
    if (!(worst <= p->limit))
        parity_fail(p, "%s is off by too much", where);
    (void)printf("%s %s %s %.2e %.1e%s%s\n", p->message[0] ? "FAIL" : "ok",
                 p->name, where, worst, p->limit, p->message[0] ? ": " : "",
                 p->message);
    p->message[0] ? p->failed++ : p->passed++;
    for (size_t i = 0; i < p->count; i++) {
        free(p->arrays[i].x);
        free(p->arrays[i].ids);
        for (int k = 0; k < PARITY_RUNS; k++)
            free(p->arrays[i].result[k]);
    }
    (void)alarm(0);
}
