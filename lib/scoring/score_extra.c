/*
 * score_extra.c - what the table shows beside the primary metric
 *
 * None of it is the gate's business: likeness of texts by characters, their
 * lengths, refusals, and which part of a call is wrong.
 */
#include "base/map.h"
#include "base/mem.h"
#include "scoring/score_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CHRF_ORDER 6
#define CHRF_BETA2 4.0 /* beta 2 */

/* A text without white space, and where its characters begin. */
struct letters {
    struct buf text;
    size_t *at; /* count + 1 */
    size_t count;
};

static void letters_read(struct letters *l, struct slice s)
{
    memset(l, 0, sizeof(*l));
    l->at = mem_array(SCORE_MAX_CHARS + 1, sizeof(*l->at));
    for (size_t i = 0, used; i < s.n && l->count < SCORE_MAX_CHARS; i += used) {
        (void)utf8_decode(s.p + i, s.n - i, &used);
        if (strchr(" \t\n\r\f\v", s.p[i]) && s.p[i])
            continue;
        l->at[l->count++] = l->text.len;
        buf_add(&l->text, s.p + i, used);
    }
    l->at[l->count] = l->text.len;
}

static void letters_release(struct letters *l)
{
    buf_release(&l->text);
    free(l->at);
}

static struct slice gram(const struct letters *l, size_t i, size_t order)
{
    return (struct slice){ l->text.data + l->at[i],
                           l->at[i + order] - l->at[i] };
}

static double grams_matched(const struct letters *ref,
                            const struct letters *got, size_t order)
{
    struct map *left = map_new();
    double matched = 0;

    for (size_t i = 0; i + order <= ref->count; i++) {
        struct slice g = gram(ref, i, order);

        ++*map_put(left, g.p, g.n, NULL);
    }
    for (size_t i = 0; i + order <= got->count; i++) {
        struct slice g = gram(got, i, order);
        uint64_t *n = map_get(left, g.p, g.n);

        if (n && *n > 0) {
            --*n;
            matched++;
        }
    }
    map_free(left);
    return matched;
}

double score_chrf(struct slice reference, struct slice answer)
{
    struct letters ref, got;
    double precision = 0, recall = 0, orders = 0;

    letters_read(&ref, reference);
    letters_read(&got, answer);
    for (size_t k = 1; k <= CHRF_ORDER; k++) {
        double m;

        if (ref.count < k || got.count < k)
            break;
        m = grams_matched(&ref, &got, k);
        precision += m / (double)(got.count - k + 1);
        recall += m / (double)(ref.count - k + 1);
        orders++;
    }
    precision = orders > 0 ? precision / orders : 0;
    recall = orders > 0 ? recall / orders : 0;
    if (ref.count == 0 && got.count == 0)
        precision = recall = 1;
    letters_release(&ref);
    letters_release(&got);
    if (precision + recall <= 0)
        return 0;
    return (1 + CHRF_BETA2) * precision * recall /
           (CHRF_BETA2 * precision + recall);
}

double score_pass_at_k(size_t n, size_t c, size_t k)
{
    double none = 1;

    if (n - c < k)
        return 1;
    for (size_t i = n - c + 1; i <= n; i++)
        none *= 1 - (double)k / (double)i;
    return 1 - none;
}

/* How answers of assistants begin that do not want to; English alone. */
static bool looks_refused(struct slice s)
{
    static const char *const marks[] = {
        "i'm sorry",        "i am sorry", "sorry, ",     "i cannot ",
        "i can't ",         "i can not ", "as an ai",    "i'm unable",
        "i am unable",      "i won't ",   "i will not ", "i'm not able",
        "i am not able to",
    };
    struct slice t = slice_trim(s);

    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (t.n >= strlen(marks[i]) &&
            strncasecmp(t.p, marks[i], strlen(marks[i])) == 0)
            return true;
    return false;
}

/* The same names, each as often. */
static bool names_equal(const struct score_calls *a,
                        const struct score_calls *b)
{
    bool taken[SCORE_MAX_CALLS] = { 0 };
    size_t found = 0;

    for (size_t i = 0; i < a->count; i++)
        for (size_t k = 0; k < b->count; k++)
            if (!taken[k] && a->list[i].name && b->list[k].name &&
                strcmp(a->list[i].name, b->list[k].name) == 0) {
                taken[k] = true;
                found++;
                break;
            }
    return found == a->count && found == b->count;
}

static void calls_more(const struct score_view *ref,
                       const struct score_view *got, const struct score *score,
                       struct score_more *out)
{
    struct score_calls a = { 0 }, b = { 0 };

    (void)score_calls_read(&a, ref);
    (void)score_calls_read(&b, got);
    out->name = names_equal(&a, &b);
    if (out->name > 0)
        out->arguments = score->value;
    score_calls_release(&a);
    score_calls_release(&b);
}

static void texts_more(const struct score_view *ref,
                       const struct score_view *got, struct score_more *out)
{
    struct slice a = buf_slice(&ref->content), b = buf_slice(&got->content);

    out->chrf = score_chrf(a, b);
    if (a.n > 0)
        out->length_ratio = (double)b.n / (double)a.n;
    out->refused = looks_refused(b) && !looks_refused(a);
}

void score_more(const struct score_pair *pair, const struct score *score,
                struct score_more *out)
{
    struct score_view ref, got;
    double none = (double)NAN;

    *out = (struct score_more){ none, none, none, none, false };
    score_view_open(&ref, pair->reference);
    score_view_open(&got, pair->answer);
    if (ref.readable && got.readable) {
        if (json_present(ref.calls))
            calls_more(&ref, &got, score, out);
        else
            texts_more(&ref, &got, out);
    }
    score_view_close(&ref);
    score_view_close(&got);
}
