/*
 * scrub_examples.c - the examples beside each rule, run as tests
 *
 * "<<" and ">>" mark what must be replaced; a counter-example has no marks
 * for its rule. Written "\n", "\t" and "\\" stand for the characters, "\&"
 * for nothing, so that no scanner takes an example for a secret.
 */
#include "scrub/scrub_priv.h"

#include <stdio.h>
#include <string.h>

#define MAX_MARKS 16

struct sample {
    struct buf text;
    size_t mark[MAX_MARKS][2];
    size_t count;
};

static bool read_sample(const char *p, struct sample *s)
{
    bool open = false;

    s->count = 0;
    buf_reset(&s->text);
    for (; *p; p++) {
        if (strncmp(p, open ? ">>" : "<<", 2) == 0) {
            if (!open && s->count == MAX_MARKS)
                return false;
            s->mark[s->count][open] = s->text.len;
            s->count += open;
            open = !open;
            p++;
        } else if (*p == '\\' && p[1] == '&') {
            p++;
        } else if (*p == '\\' && (p[1] == 'n' || p[1] == 't' || p[1] == '\\')) {
            p++;
            buf_char(&s->text, *p == 'n' ? '\n' : *p == 't' ? '\t' : '\\');
        } else {
            buf_char(&s->text, *p);
        }
    }
    return !open;
}

/* Where something is found in a sample. */
static int find(struct scrub_worker *w, const struct sample *s,
                const struct scrub_span **spans, size_t *count)
{
    struct slice text = buf_slice(&s->text);
    struct buf out = { 0 };
    int rc = scrub_record(w, slice_of("example"), &text, 1, &out, spans, count,
                          NULL);

    buf_release(&out);
    return rc;
}

static bool is_name(const struct scrub_rule *r)
{
    return r->gate == GATE_FIND &&
           scrub_finder_at((size_t)r->find_class / SCRUB_CLASSES) ==
               &scrub_finder_names;
}

static bool is_marked(const struct sample *s, const struct scrub_span *x)
{
    for (size_t i = 0; i < s->count; i++)
        if (x->start < s->mark[i][1] && s->mark[i][0] < x->end)
            return true;
    return false;
}

/* NULL if the example holds. Names beside what is marked are no matter of a
 * rule that is not about names: what the tagger believes may change. */
static const char *try_example(struct scrub_worker *w, struct sample *s,
                               uint32_t rule, const char *example)
{
    const struct scrub_rule *r = w->rules->rule;
    const struct scrub_span *spans;
    size_t count, own = 0, k = 0;

    if (!read_sample(example, s) || !s->count)
        return "marks nothing, or << and >> do not pair";
    if (find(w, s, &spans, &count) < 0)
        return "could not be scrubbed";
    for (size_t i = 0; i < count; i++) {
        const struct scrub_span *x = &spans[i];

        if (is_name(&r[x->rule]) && !is_name(&r[rule]) && !is_marked(s, x))
            continue;
        if (k == s->count)
            return "more is found than marked";
        if (x->start != s->mark[k][0] || x->end != s->mark[k][1])
            return "something else is found than marked";
        own += x->rule == rule;
        k++;
    }
    if (k < s->count)
        return "less is found than marked";
    return own ? NULL : "is found by another rule only";
}

static const char *try_counter(struct scrub_worker *w, struct sample *s,
                               uint32_t rule, const char *example)
{
    const struct scrub_span *spans;
    size_t count;

    if (!read_sample(example, s) || s->count)
        return "a counter-example has no marks";
    if (find(w, s, &spans, &count) < 0)
        return "could not be scrubbed";
    for (size_t i = 0; i < count; i++)
        if (spans[i].rule == rule)
            return "is found by its rule";
    return NULL;
}

size_t scrub_rules_check(const struct scrub_rules *r, size_t *examples,
                         void (*fail)(void *ctx, const char *rule,
                                      const char *example, const char *why),
                         void *ctx)
{
    struct crypto_key key = { { 0 } };
    struct scrub_worker *w = scrub_worker_new(r, &key);
    struct sample s = { 0 };
    size_t failed = 0;

    *examples = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct scrub_rule *rule = &r->rule[i];
        size_t n = rule->examples.count, all = n + rule->counters.count;

        w->strict = r->settings.strict || rule->tier == 3;
        for (size_t k = 0; !rule->replaced && k < all; k++) {
            const char *text =
                k < n ? rule->examples.item[k] : rule->counters.item[k - n];
            const char *why = k < n ? try_example(w, &s, i, text)
                                    : try_counter(w, &s, i, text);

            ++*examples;
            if (why) {
                failed++;
                fail(ctx, rule->name, text, why);
            }
        }
    }
    buf_release(&s.text);
    scrub_worker_free(w);
    return failed;
}
