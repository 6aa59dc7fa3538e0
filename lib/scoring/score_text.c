/*
 * score_text.c - labels, token F1 and ROUGE-L
 *
 * Case is folded for ASCII only; bytes of other characters count as letters,
 * so that words of any alphabet stay whole. No stemming: ROUGE's optional
 * Porter stemmer is English only.
 */
#include "base/map.h"
#include "base/mem.h"
#include "scoring/score_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (fold(c) >= 'a' && fold(c) <= 'z') ||
           (unsigned char)c >= 0x80;
}

/* Strip one pair of equal quotes around, and one full stop at the end. */
static struct slice label_strip(struct slice s)
{
    s = slice_trim(s);
    if (s.n > 1 && s.p[s.n - 1] == '.')
        s = slice_trim((struct slice){ s.p, s.n - 1 });
    if (s.n > 1 && s.p[0] == s.p[s.n - 1] && strchr("\"'`", s.p[0]))
        s = slice_trim((struct slice){ s.p + 1, s.n - 2 });
    return s;
}

void score_label_normal(struct slice text, struct buf *out)
{
    struct slice s = label_strip(text);

    for (size_t i = 0; i < s.n; i++) {
        if (!is_space(s.p[i]))
            buf_char(out, fold(s.p[i]));
        else if (i > 0 && !is_space(s.p[i - 1]))
            buf_char(out, ' ');
    }
}

void score_label_pair(const struct score_view *ref,
                      const struct score_view *got, struct score *out)
{
    struct buf a = { 0 }, b = { 0 };

    score_label_normal(buf_slice(&ref->content), &a);
    score_label_normal(buf_slice(&got->content), &b);
    out->method = "label";
    out->valid = b.len > 0;
    out->value = slice_eq(buf_slice(&a), buf_slice(&b)) ? 1 : 0;
    if (out->value < 1)
        out->reason = out->valid ? "label_differs" : "empty";
    buf_release(&a);
    buf_release(&b);
}

struct score_labels {
    struct map *names; /* to an index of tally */
    struct score_tally *tally;
    size_t cap;
    struct map *wrong; /* two indices, to how often */
};

struct score_labels *score_labels_new(void)
{
    struct score_labels *l = mem_zalloc(sizeof(*l));

    l->names = map_new();
    l->wrong = map_new();
    return l;
}

static size_t label_index(struct score_labels *l, struct slice text)
{
    struct buf b = { 0 };
    bool added;
    uint64_t *at;
    size_t i;

    score_label_normal(text, &b);
    at = map_put(l->names, b.data ? b.data : "", b.len, &added);
    if (added) {
        *at = map_count(l->names) - 1;
        mem_grow((void **)&l->tally, &l->cap, map_count(l->names),
                 sizeof(*l->tally));
        l->tally[*at] = (struct score_tally){ 0 };
    }
    i = *at;
    buf_release(&b);
    return i;
}

void score_labels_add(struct score_labels *l, struct slice reference,
                      struct slice answer)
{
    size_t r = label_index(l, reference), a = label_index(l, answer);

    if (r == a) {
        l->tally[r].tp++;
    } else {
        l->tally[r].fn++;
        l->tally[a].fp++;
        ++*map_put(l->wrong, (size_t[2]){ r, a }, 2 * sizeof(size_t), NULL);
    }
}

double score_labels_macro_f1(const struct score_labels *l)
{
    size_t n = map_count(l->names);
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        const struct score_tally *t = &l->tally[i];

        sum += 2.0 * (double)t->tp / (double)(2 * t->tp + t->fp + t->fn);
    }
    return n > 0 ? sum / (double)n : (double)NAN;
}

static int by_count(const void *a, const void *b)
{
    const struct score_confusion *x = a, *y = b;
    int order;

    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    order = slice_cmp(x->reference, y->reference);
    return order ? order : slice_cmp(x->answer, y->answer);
}

size_t score_labels_pairs(const struct score_labels *l,
                          struct score_confusion *out, size_t cap)
{
    size_t n = map_count(l->wrong);
    struct score_confusion *all = mem_array(n + 1, sizeof(*all));

    for (size_t i = 0; i < n; i++) {
        size_t pair[2];

        memcpy(pair, map_key(l->wrong, i).p, sizeof(pair));
        all[i] = (struct score_confusion){ map_key(l->names, pair[0]),
                                           map_key(l->names, pair[1]),
                                           (size_t)*map_value(l->wrong, i) };
    }
    qsort(all, n, sizeof(*all), by_count);
    if (n > cap)
        n = cap;
    memcpy(out, all, n * sizeof(*all));
    free(all);
    return n;
}

void score_labels_free(struct score_labels *l)
{
    if (!l)
        return;
    map_free(l->names);
    map_free(l->wrong);
    free(l->tally);
    free(l);
}

/* Tokens as ids of one map, so that two lists can be compared by number. */
struct ids {
    uint32_t list[SCORE_MAX_TOKENS];
    size_t count;
};

static bool is_article(struct slice s)
{
    return slice_is(s, "a") || slice_is(s, "an") || slice_is(s, "the");
}

static void ids_add(struct ids *out, struct map *names, struct slice s)
{
    bool added;
    uint64_t *at = map_put(names, s.p, s.n, &added);

    if (added)
        *at = map_count(names);
    if (out->count < SCORE_MAX_TOKENS)
        out->list[out->count++] = (uint32_t)*at;
}

/* squad: punctuation vanishes inside words and articles are dropped; else
 * everything that is no letter or digit separates. */
static void ids_read(struct slice text, bool squad, struct map *names,
                     struct ids *out)
{
    struct buf word = { 0 };

    out->count = 0;
    for (size_t i = 0; i <= text.n; i++) {
        char c = i < text.n ? text.p[i] : ' ';

        if (is_word(c)) {
            buf_char(&word, fold(c));
            continue;
        }
        if (squad && !is_space(c))
            continue;
        if (word.len > 0 && !(squad && is_article(buf_slice(&word))))
            ids_add(out, names, buf_slice(&word));
        buf_reset(&word);
    }
    buf_release(&word);
}

static double f_measure(size_t common, size_t a, size_t b)
{
    if (a == 0 && b == 0)
        return 1;
    return 2.0 * (double)common / (double)(a + b);
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static size_t common_multiset(struct ids *a, struct ids *b)
{
    size_t common = 0;

    qsort(a->list, a->count, sizeof(*a->list), by_id);
    qsort(b->list, b->count, sizeof(*b->list), by_id);
    for (size_t i = 0, j = 0; i < a->count && j < b->count;) {
        if (a->list[i] == b->list[j]) {
            common++;
            i++;
            j++;
        } else if (a->list[i] < b->list[j]) {
            i++;
        } else {
            j++;
        }
    }
    return common;
}

static size_t common_subsequence(struct ids *a, struct ids *b)
{
    size_t *row = mem_zalloc((b->count + 1) * sizeof(*row)), length;

    for (size_t i = 0; i < a->count; i++) {
        size_t diagonal = 0;

        for (size_t j = 0; j < b->count; j++) {
            size_t above = row[j + 1];

            if (a->list[i] == b->list[j])
                row[j + 1] = diagonal + 1;
            else if (row[j] > above)
                row[j + 1] = row[j];
            diagonal = above;
        }
    }
    length = row[b->count];
    free(row);
    return length;
}

static double overlap(struct slice reference, struct slice answer, bool squad,
                      size_t (*common)(struct ids *, struct ids *))
{
    struct map *names = map_new();
    struct ids *both = mem_array(2, sizeof(*both));
    double f;

    ids_read(reference, squad, names, &both[0]);
    ids_read(answer, squad, names, &both[1]);
    f = f_measure(common(&both[0], &both[1]), both[0].count, both[1].count);
    free(both);
    map_free(names);
    return f;
}

double score_token_f1(struct slice reference, struct slice answer)
{
    return overlap(reference, answer, true, common_multiset);
}

double score_rouge_l(struct slice reference, struct slice answer)
{
    return overlap(reference, answer, false, common_subsequence);
}
