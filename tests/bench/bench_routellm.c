/*
 * bench_routellm.c - a learnt router beside simple ones and published figures
 *
 * Two logistic heads over vectors of the prompts say how likely each model's
 * answer is right; their difference is the score. Trained on four fifths and
 * tested on the rest, five times over, and from few labels. Vectors are the
 * router's own, and embed's with the prompt's length, fitted to all prompts
 * but to no label. routellm.sh makes the input.
 */
#include "base/io.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "embed/embed.h"
#include "json/json.h"
#include "router/router.h"
#include "stats/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX ((size_t)1 << 28)
#define FOLDS 5
#define SEEDS 3
#define BINS 15
#define NONE ((double)NAN)

struct data {
    struct slice *text;
    double *weak, *strong;
    float *x;
    size_t n, d;
};

static struct err err;

static void must(int rc)
{
    if (rc == 0)
        return;
    (void)fprintf(stderr, "bench_routellm: %s\n", err.msg);
    exit(EXIT_FAILURE);
}

static void read_row(struct data *t, const struct json *j)
{
    struct buf text = { 0 };

    json_text(j, json_get(j, 0, "text"), &text);
    t->text[t->n].p = buf_take(&text, &t->text[t->n].n);
    json_double(j, json_get(j, 0, "weak"), &t->weak[t->n]);
    json_double(j, json_get(j, 0, "strong"), &t->strong[t->n]);
    t->n++;
}

static void read_data(const char *path, struct data *t)
{
    struct buf all = { 0 };
    struct json j = { 0 };
    size_t lines = 1;

    must(io_read_file(path, INPUT_MAX, &all, &err));
    for (size_t i = 0; i < all.len; i++)
        lines += all.data[i] == '\n';
    t->text = mem_array(lines, sizeof(*t->text));
    t->weak = mem_array(lines, sizeof(double));
    t->strong = mem_array(lines, sizeof(double));
    for (size_t at = 0; at < all.len;) {
        const char *nl = memchr(all.data + at, '\n', all.len - at);
        size_t end = nl ? (size_t)(nl - all.data) : all.len;

        must(json_parse(&j, all.data + at, end - at, &err));
        read_row(t, &j);
        at = end + 1;
    }
    json_release(&j);
    buf_release(&all);
}

static void hash_vectors(struct data *t)
{
    t->d = ROUTER_VECTOR;
    t->x = mem_array(t->n * t->d, sizeof(*t->x));
    for (size_t i = 0; i < t->n; i++)
        router_vector(t->text[i], t->x + i * t->d);
}

static void embed_vectors(struct data *t)
{
    struct pool *pool = pool_new(0);
    struct embed_options o = { .seed = 1 };
    struct embed *e = NULL;

    must(embed_fit(pool, t->text, t->n, &o, NULL, &e, &err));
    size_t dims = embed_dims(e);
    float *x = mem_array(t->n * dims, sizeof(*x));

    embed_texts(e, pool, t->text, t->n, x);
    t->d = dims + 1;
    t->x = mem_array(t->n * t->d, sizeof(*x));
    for (size_t i = 0; i < t->n; i++) {
        memcpy(t->x + i * t->d, x + i * dims, dims * sizeof(*x));
        t->x[i * t->d + dims] = logf(1 + (float)t->text[i].n);
    }
    free(x);
    embed_free(e);
    pool_free(pool);
}

/* One head from the rows row[n]. */
static double *fit_head(const struct data *t, const double *y,
                        const size_t *row, size_t n)
{
    float *x = mem_array(n * t->d, sizeof(*x));
    double *own = mem_array(n, sizeof(*own));
    double *w = mem_array(t->d + 1, sizeof(*w));

    for (size_t i = 0; i < n; i++) {
        memcpy(x + i * t->d, t->x + row[i] * t->d, t->d * sizeof(*x));
        own[i] = y[row[i]];
    }
    must(router_head_fit(x, own, n, t->d, w, &err));
    free(x);
    free(own);
    return w;
}

/* Heads from train[], scores and P(weak is right) of test[]. */
static void predict(const struct data *t, const size_t *train, size_t trained,
                    const size_t *test, size_t tested, double *score, double *p)
{
    double *weak = fit_head(t, t->weak, train, trained);
    double *strong = fit_head(t, t->strong, train, trained);

    for (size_t i = 0; i < tested; i++) {
        const float *x = t->x + test[i] * t->d;

        p[test[i]] = stats_logit_at(weak, x, t->d);
        score[test[i]] = stats_logit_at(strong, x, t->d) - p[test[i]];
    }
    free(weak);
    free(strong);
}

struct figures {
    double apgr, cpt50, cpt80, aiq;
};

/* Of the rows row[n]; every call costs 0 or 1. */
static struct figures measure(const struct data *t, const double *score,
                              const size_t *row, size_t n)
{
    struct stats_point *p = mem_array(n + 1, sizeof(*p));
    double *v = mem_array(3 * n, sizeof(*v));
    struct figures f;
    size_t points;

    for (size_t i = 0; i < n; i++) {
        v[i] = score[row[i]];
        v[n + i] = t->weak[row[i]];
        v[2 * n + i] = t->strong[row[i]];
    }
    points = stats_curve(v, v + n, v + 2 * n, NULL, NULL, n, p);
    f = (struct figures){ stats_apgr(p, points),
                          100 * stats_cpt(p, points, 0.5),
                          100 * stats_cpt(p, points, 0.8),
                          stats_aiq(p, points) };
    free(p);
    free(v);
    return f;
}

/* A dash where nothing was published. */
static void show_one(int width, int digits, double v)
{
    if (isnan(v))
        (void)printf(" %*s", width, "-");
    else
        (void)printf(" %*.*f", width, digits, v);
}

static void show(const char *name, struct figures f)
{
    (void)printf("  %-46s", name);
    show_one(6, 3, f.apgr);
    show_one(6, 1, f.cpt50);
    show_one(6, 1, f.cpt80);
    show_one(7, 4, f.aiq);
    (void)printf("\n");
}

static size_t *shuffled(size_t n, uint64_t seed)
{
    size_t *row = mem_array(n, sizeof(*row));
    struct rng rng;

    for (size_t i = 0; i < n; i++)
        row[i] = i;
    rng_init(&rng, seed);
    rng_shuffle(&rng, row, n);
    return row;
}

static void add_figures(struct figures *sum, struct figures f, double part)
{
    sum->apgr += f.apgr * part;
    sum->cpt50 += f.cpt50 * part;
    sum->cpt80 += f.cpt80 * part;
    sum->aiq += f.aiq * part;
}

static void simple_routers(const struct data *t)
{
    double *score = mem_array(t->n, sizeof(*score));
    struct figures sum = { 0 };
    size_t *row = shuffled(t->n, 1);

    for (uint64_t s = 0; s < 20; s++) {
        struct rng rng;

        rng_init(&rng, s);
        for (size_t i = 0; i < t->n; i++)
            score[i] = rng_unit(&rng);
        add_figures(&sum, measure(t, score, row, t->n), 0.05);
    }
    show("random, mean of 20", sum);
    for (size_t i = 0; i < t->n; i++)
        score[i] = (double)t->text[i].n;
    show("length of the prompt", measure(t, score, row, t->n));
    free(score);
    free(row);
}

/* So few outcomes give perfect probabilities an error, too: at that, there is
 * nothing left to mend. */
static void show_errors(const char *what, const double *p, const double *y,
                        size_t n)
{
    (void)printf("%s ECE %.4f, perfect ones would have %.4f; Brier %.4f "
                 "(%d bins, out of fold)\n",
                 what, stats_ece(p, y, n, BINS),
                 stats_ece_chance(p, n, BINS, 1), stats_brier(p, y, n), BINS);
}

/* P(weak is wrong), as it is and through steps of the other folds. */
static void calibration(const struct data *t, const double *p,
                        const size_t *row)
{
    double *raw = mem_array(t->n, sizeof(*raw));
    double *y = mem_array(t->n, sizeof(*y));
    double *after = mem_array(t->n, sizeof(*after));
    double *w = mem_array(t->n, sizeof(*w));

    for (size_t i = 0; i < t->n; i++) {
        raw[i] = 1 - p[row[i]];
        y[i] = 1 - t->weak[row[i]];
    }
    for (size_t f = 0; f < FOLDS; f++) {
        struct stats_isotonic steps;

        for (size_t i = 0; i < t->n; i++)
            w[i] = i % FOLDS != f;
        stats_isotonic_fit(raw, y, w, t->n, &steps);
        for (size_t i = f; i < t->n; i += FOLDS)
            after[i] = stats_isotonic_at(&steps, raw[i]);
        stats_isotonic_release(&steps);
    }
    show_errors("  P(weak wrong) of heads:", raw, y, t->n);
    show_errors("  through steps:         ", after, y, t->n);
    free(raw);
    free(y);
    free(after);
    free(w);
}

/* Row i is tested in fold i % FOLDS of a shuffled order. */
static void cross_validated(const struct data *t, const char *vectors)
{
    size_t *row = shuffled(t->n, 2), *train = mem_array(t->n, sizeof(*train));
    size_t *test = mem_array(t->n, sizeof(*test));
    double *score = mem_array(t->n, sizeof(*score));
    double *p = mem_array(t->n, sizeof(*p));
    char name[80];

    for (size_t f = 0; f < FOLDS; f++) {
        size_t trained = 0, tested = 0;

        for (size_t i = 0; i < t->n; i++) {
            if (i % FOLDS == f)
                test[tested++] = row[i];
            else
                train[trained++] = row[i];
        }
        predict(t, train, trained, test, tested, score, p);
    }
    (void)snprintf(name, sizeof(name), "%s, %d-fold on this benchmark", vectors,
                   FOLDS);
    show(name, measure(t, score, row, t->n));
    calibration(t, p, row);
    free(row);
    free(train);
    free(test);
    free(score);
    free(p);
}

/* Trained on `labels` rows, tested on all others; some draws. */
static void from_labels(const struct data *t, const char *vectors,
                        size_t labels)
{
    double *score = mem_array(t->n, sizeof(*score));
    double *p = mem_array(t->n, sizeof(*p)), square = 0;
    struct figures sum = { 0 };
    char name[80];

    for (uint64_t s = 0; s < SEEDS; s++) {
        size_t *row = shuffled(t->n, 10 + s);
        struct figures f;

        predict(t, row, labels, row + labels, t->n - labels, score, p);
        f = measure(t, score, row + labels, t->n - labels);
        add_figures(&sum, f, 1.0 / SEEDS);
        square += f.apgr * f.apgr / SEEDS;
        free(row);
    }
    (void)snprintf(name, sizeof(name), "%s, %zu labels of it (sd %.3f)",
                   vectors, labels,
                   sqrt(fmax(0, square - sum.apgr * sum.apgr)));
    show(name, sum);
    free(score);
    free(p);
}

/* Ong et al. 2024 (arXiv 2406.18665), tables 2 and 3. */
static const struct published {
    const char *set, *name;
    double apgr, cpt50, cpt80;
} published[] = {
    { "mmlu", "published: matrix factorisation, arena", .524, 45.0, NONE },
    { "mmlu", "published: BERT, + 1,500 gold labels", .572, 41.3, NONE },
    { "mmlu", "published: causal LLM, + gold labels", .600, 35.5, NONE },
    { "mmlu", "published: matrix factorisation, + gold", .597, 35.5, NONE },
    { "mmlu", "published: SW ranking, + gold labels", .603, 35.4, NONE },
    { "gsm8k", "published: SW ranking, arena", .475, NONE, NONE },
    { "gsm8k", "published: BERT, + judge labels", .531, 44.8, NONE },
    { "gsm8k", "published: matrix factorisation, + judge", .565, 38.8, NONE },
    { "gsm8k", "published: SW ranking, + judge labels", .568, 41.2, 72.2 },
    { "gsm8k", "published: causal LLM, + judge labels", .622, 33.6, NONE },
};

static void show_published(const char *set)
{
    for (size_t i = 0; i < sizeof(published) / sizeof(*published); i++) {
        const struct published *p = &published[i];

        if (strcmp(p->set, set) == 0)
            show(p->name,
                 (struct figures){ p->apgr, p->cpt50, p->cpt80, (double)NAN });
    }
}

static double mean(const double *v, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return sum / (double)n;
}

static void learnt_routers(struct data *t, const char *name)
{
    static const size_t few[] = { 200, 500, 1500, 5000 };

    for (size_t i = 0; i < 4 && few[i] * 2 < t->n; i++)
        from_labels(t, name, few[i]);
    cross_validated(t, name);
    free(t->x);
    t->x = NULL;
}

int main(int argc, char **argv)
{
    struct data t = { 0 };

    if (argc != 3) {
        (void)puts("bench_routellm: skip: see tests/bench/routellm.sh");
        return EXIT_SUCCESS;
    }
    read_data(argv[2], &t);
    (void)printf("%s: %zu prompts, weak %.1f %%, strong %.1f %%\n"
                 "  %-46s   APGR  CPT50  CPT80     AIQ\n",
                 argv[1], t.n, 100 * mean(t.weak, t.n),
                 100 * mean(t.strong, t.n), "router");
    simple_routers(&t);
    hash_vectors(&t);
    learnt_routers(&t, "words");
    embed_vectors(&t);
    learnt_routers(&t, "embed");
    show_published(argv[1]);
    for (size_t i = 0; i < t.n; i++)
        free((char *)(uintptr_t)t.text[i].p);
    free(t.text);
    free(t.weak);
    free(t.strong);
    return EXIT_SUCCESS;
}
