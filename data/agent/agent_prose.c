/*
 * agent_prose.c - the researcher's sentences about a few rows
 *
 * The logged LLM mostly says the same thing about the same numbers, but what
 * it says is not to be foreseen from the question's form: the phrase is
 * chosen by a hash of the findings, and now and then at random.
 */
#include "agent.h"

#include "base/map.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct texts *phrases;

void prose_use(const struct texts *t)
{
    phrases = t;
}

enum { AGAIN_PERCENT = 80 };

struct facts {
    const char *unit;
    char by[40];
    const struct finding *top, *second, *low;
    int total;
};

static void sort_rows(const struct turn *t, const struct finding *rows[4])
{
    for (size_t i = 0; i < t->row_count; i++) {
        size_t k = i;
        for (; k > 0 && rows[k - 1]->value < t->rows[i].value; k--)
            rows[k] = rows[k - 1];
        rows[k] = &t->rows[i];
    }
}

static void find_facts(const struct turn *t, bool wrong, struct facts *f)
{
    const struct finding *rows[4];

    sort_rows(t, rows);
    *f = (struct facts){ .unit = t->schema->tables[t->query.table].name,
                         .top = rows[wrong ? t->row_count - 1 : 0],
                         .second = rows[1],
                         .low = rows[wrong ? 0 : t->row_count - 1] };
    snprintf(f->by, sizeof f->by, "%.*s", (int)strcspn(t->findings.data, ","),
             t->findings.data);
    for (size_t i = 0; i < t->row_count; i++)
        f->total += rows[i]->value;
}

static void put_fact(const struct facts *f, const char *slot, size_t n,
                     struct buf *out)
{
    const struct {
        const char *name, *text;
        int value;
    } all[] = {
        { "unit", f->unit, 0 },
        { "by", f->by, 0 },
        { "top", f->top->label, 0 },
        { "second", f->second->label, 0 },
        { "low", f->low->label, 0 },
        { "vtop", NULL, f->top->value },
        { "vsecond", NULL, f->second->value },
        { "vlow", NULL, f->low->value },
        { "total", NULL, f->total },
        { "gap", NULL, f->top->value - f->low->value },
        { "pct", NULL, 100 * f->top->value / f->total },
        { "half", NULL, f->top->value + f->second->value },
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strlen(all[i].name) == n && memcmp(slot, all[i].name, n) == 0) {
            if (all[i].text)
                buf_str(out, all[i].text);
            else
                buf_printf(out, "%d", all[i].value);
            return;
        }
    assert(0 && "a slot that no sentence may use");
}

static void put_sentence(const struct facts *f, const char *phrase,
                         struct buf *out)
{
    while (*phrase) {
        size_t n = strcspn(phrase, "{");
        buf_add(out, phrase, n);
        phrase += n;
        if (*phrase == '{') {
            n = strcspn(phrase, "}");
            put_fact(f, phrase + 1, n - 1, out);
            phrase += n + 1;
        }
    }
}

static const char *choose(const struct turn *t, const char *section,
                          struct rng *r)
{
    struct rng fixed;
    rng_init(&fixed, hash_stable(t->findings.data, t->findings.len,
                                 hash_stable(section, strlen(section), 0)));
    bool again = !r || rng_below(r, 100) < AGAIN_PERCENT;
    return texts_pick(phrases, section, again ? &fixed : r);
}

void prose_ask(const struct turn *t, struct buf *out)
{
    struct facts f;
    find_facts(t, false, &f);
    put_sentence(&f, choose(t, "ask", NULL), out);
}

void prose_write(const struct turn *t, struct rng *pick, bool wrong,
                 struct buf *out)
{
    static const char *const sections[] = { "lead", "middle", "close" };
    const char *contact = strstr(t->findings.data, "contact: ");
    struct facts f;

    find_facts(t, wrong, &f);
    for (size_t i = 0; i < 3; i++) {
        if (i)
            buf_char(out, ' ');
        put_sentence(&f, choose(t, sections[i], pick), out);
    }
    if (contact)
        buf_printf(out, " Ask %s for details.", contact + 9);
}
