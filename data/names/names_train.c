/*
 * names_train.c - the averaged perceptron behind lib/names
 *
 * Collins 2002, with a margin: a token is learnt from until the right tag leads
 * by it. Averages are kept lazily (Daume 2006), quantised to one signed byte a
 * weight. Counting is in integers, so that a run can be repeated bit for bit.
 */
#include "names_tool.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHTS ((size_t)TAG_ROWS * TAG_ROW)
#define MARGIN 4
#define DEV_EVERY 10
#define KEPT_PARTS 4000 /* one weight in so many is cut at 127 */

struct trainer {
    const struct names_words *words;
    int32_t *weight;
    int64_t *lag; /* weight times the step at which it was added */
    int64_t step;
    struct rng rng;
    struct names_tokens tokens;
    unsigned char *gold;
    size_t gold_cap;
};

struct counts {
    size_t right[4], found[4], gold[4];
};

/* Names of half of the made sentences are in no list, so that what stands
 * around them counts. */
static void blind(struct trainer *t, const struct names_sample *s)
{
    struct names_token *k = t->tokens.item + TOKENS_MARGIN;

    for (size_t i = 0; s->blind && i < t->tokens.count; i++)
        if (t->gold[i] && k[i].candidate == 1 && !(k[i].lists & W_ORG) &&
            rng_below(&t->rng, 100) < 70) {
            k[i].lists = 0;
            k[i].place = 0;
            k[i].hash = rng_next(&t->rng);
        }
}

static void read_sample(struct trainer *t, const struct names_sample *s)
{
    void *all = t->gold;

    names_tokens_read(&t->tokens, t->words, (struct slice){ s->text, s->n }, 0,
                      s->n);
    mem_grow(&all, &t->gold_cap, t->tokens.count + 1, 1);
    t->gold = all;
    names_candidates(&t->tokens);
    for (size_t i = 0; i < t->tokens.count; i++) {
        const struct names_token *k = &t->tokens.item[TOKENS_MARGIN + i];
        unsigned tag = s->label[k->start];

        /* the second half of a hyphenated or split word goes on */
        if (i && k->gap == 0 && (tag & 1) && t->gold[i - 1] &&
            (t->gold[i - 1] + 1u) / 2 == (tag + 1) / 2)
            tag++;
        t->gold[i] = (unsigned char)tag;
    }
}

static void update(struct trainer *t, const uint32_t *row, unsigned tag,
                   int32_t by)
{
    for (size_t f = 0; f < TAG_FEATURES; f++) {
        size_t at = (size_t)row[f] * TAG_ROW + tag;

        t->weight[at] += by;
        t->lag[at] += by * t->step;
    }
}

static int64_t sum_of(const struct trainer *t, const uint32_t *row,
                      unsigned tag)
{
    int64_t sum = 0;

    for (size_t f = 0; f < TAG_FEATURES; f++)
        sum += t->weight[(size_t)row[f] * TAG_ROW + tag];
    return sum;
}

/* The tag goes on as predicted now and then, so that mistakes are met. */
static void learn_token(struct trainer *t, size_t i)
{
    struct names_token *k = &t->tokens.item[TOKENS_MARGIN + i];
    unsigned gold = t->gold[i], best = TAGS;
    uint32_t row[TAG_FEATURES];
    int64_t high = INT64_MIN, right;

    if (!names_may_be(k, gold))
        gold--;
    names_features(&t->tokens, i, row);
    right = sum_of(t, row, gold);
    for (unsigned tag = 0; tag < TAGS; tag++) {
        int64_t s = sum_of(t, row, tag);

        if (tag != gold && names_may_be(k, tag) && s > high) {
            high = s;
            best = tag;
        }
    }
    if (best < TAGS && high + MARGIN > right) {
        update(t, row, gold, 1);
        update(t, row, best, -1);
    }
    k->tag = (uint8_t)(high > right ? best : gold);
    if (rng_below(&t->rng, 4))
        k->tag = (uint8_t)gold;
}

/* Runs of candidates as names_tag has them. */
static bool next_run(const struct names_tokens *t, size_t *from, size_t *to)
{
    const struct names_token *k = t->item + TOKENS_MARGIN;
    size_t i = *to;

    while (i < t->count) {
        bool worth = false;

        *from = i;
        while (i < t->count && k[i].candidate &&
               (i == *from || k[i].gap != 2)) {
            worth |= t->lower || names_is_interesting(&k[i]);
            i++;
        }
        *to = i;
        if (worth)
            return true;
        i += i == *from;
    }
    return false;
}

static void learn(struct trainer *t, const struct names_sample *s)
{
    size_t from = 0, to = 0;

    read_sample(t, s);
    blind(t, s);
    while (next_run(&t->tokens, &from, &to))
        for (size_t i = from; i < to; i++)
            learn_token(t, i);
    t->step++;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

static void quantise(const struct trainer *t, struct buf *out)
{
    double *mean = mem_array(WEIGHTS, sizeof(*mean));
    double *size = mem_array(WEIGHTS, sizeof(*size)), scale;
    size_t used = 0;

    for (size_t i = 0; i < WEIGHTS; i++) {
        mean[i] = (double)t->weight[i] -
                  (double)t->lag[i] / (double)(t->step ? t->step : 1);
        size[i] = mean[i] < 0 ? -mean[i] : mean[i];
        used += t->weight[i] != 0;
    }
    qsort(size, WEIGHTS, sizeof(*size), by_size);
    scale = size[used / KEPT_PARTS] > 0 ? 127 / size[used / KEPT_PARTS] : 1;
    buf_str(out, WEIGHTS_MAGIC);
    for (size_t i = 0; i < WEIGHTS; i++) {
        double q = mean[i] * scale;

        q = q > 127 ? 127 : q < -127 ? -127 : q;
        buf_char(out, (char)(signed char)(q < 0 ? q - .5 : q + .5));
    }
    printf("%zu weights of %zu in use, scale %.1f\n", used, WEIGHTS, scale);
    free(mean);
    free(size);
}

static void count_sample(struct trainer *t, const struct names_sample *s,
                         const signed char *weights, struct counts *c)
{
    read_sample(t, s);
    names_tag(&t->tokens, weights);
    for (size_t i = 0; i < t->tokens.count; i++) {
        unsigned found = (t->tokens.item[TOKENS_MARGIN + i].tag + 1u) / 2;
        unsigned gold = (t->gold[i] + 1u) / 2;

        c->found[found]++;
        c->gold[gold]++;
        c->right[gold] += found == gold;
    }
}

static void print_counts(const char *what, const struct counts *c)
{
    static const char *const names[] = { "", "PERSON", "PLACE",
                                         "ORGANIZATION" };

    for (size_t i = 1; i < 4; i++)
        printf("%s %-12s %6zu tokens, precision %.3f, recall %.3f\n", what,
               names[i], c->gold[i],
               (double)c->right[i] / (double)(c->found[i] ? c->found[i] : 1),
               (double)c->right[i] / (double)(c->gold[i] ? c->gold[i] : 1));
}

static void evaluate(struct trainer *t, const struct names_corpus *c,
                     const signed char *weights)
{
    struct counts real = { 0 }, made = { 0 };

    for (size_t i = 0; i < c->count; i++)
        if (c->item[i].held)
            count_sample(t, &c->item[i], weights,
                         c->item[i].made ? &made : &real);
    print_counts("read", &real);
    print_counts("made", &made);
}

void names_train(const struct names_words *words, struct names_corpus *c,
                 size_t epochs, uint64_t seed, struct buf *out)
{
    struct trainer t = { .words = words };
    size_t *order = mem_array(c->count + 1, sizeof(*order)), n = 0;
    size_t begin = out->len;

    t.weight = mem_zalloc(WEIGHTS * sizeof(*t.weight));
    t.lag = mem_zalloc(WEIGHTS * sizeof(*t.lag));
    rng_init(&t.rng, seed);
    for (size_t i = 0; i < c->count; i++) {
        c->item[i].held = i % DEV_EVERY == DEV_EVERY - 1;
        if (!c->item[i].held)
            order[n++] = i;
    }
    for (size_t e = 0; e < epochs; e++) {
        rng_shuffle(&t.rng, order, n);
        for (size_t i = 0; i < n; i++)
            learn(&t, &c->item[order[i]]);
    }
    quantise(&t, out);
    evaluate(&t, c,
             (const signed char *)out->data + begin + sizeof(WEIGHTS_MAGIC) -
                 1);
    names_tokens_release(&t.tokens);
    free(t.gold);
    free(t.weight);
    free(t.lag);
    free(order);
}
