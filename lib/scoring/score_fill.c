/*
 * score_fill.c - rows on which two queries would differ if they can
 *
 * Literals of both queries are put into the columns that they are compared
 * with, on both sides of a comparison; columns that are joined share their
 * values; the first rows of all tables satisfy the conditions together.
 * Everything is drawn from the seed and the number of the set. It looks for a
 * difference and proves nothing when it finds none.
 */
#include "scoring/score_fill.h"

#include "base/mem.h"
#include "base/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct score_fill *score_fill_new(struct score_schema *schema,
                                  const struct score_tokens *first,
                                  const struct score_tokens *second)
{
    struct score_fill *f = mem_zalloc(sizeof(*f));
    size_t at = 0;

    f->schema = schema;
    for (size_t t = 0; t < schema->count; t++)
        f->count += schema->tables[t].count;
    f->domains = mem_zalloc((f->count + 1) * sizeof(*f->domains));
    for (size_t t = 0; t < schema->count; t++)
        for (size_t k = 0; k < schema->tables[t].count; k++, at++) {
            f->domains[at].parent = at;
            f->domains[at].name = schema->tables[t].columns[k].name;
        }
    score_fill_learn(f, first, second);
    return f;
}

static void values_clear(struct domain *d)
{
    for (size_t i = 0; i < d->value_count; i++)
        free(d->values[i]);
    d->value_count = d->fixed = 0;
}

void score_fill_free(struct score_fill *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->count; i++)
        values_clear(&f->domains[i]);
    free(f->domains);
    free(f);
}

/* Takes the string. */
static void value_add(struct domain *d, char *value)
{
    bool known = d->value_count >= MAX_VALUES;

    for (size_t i = 0; i < d->value_count && !known; i++)
        known = strcmp(d->values[i], value) == 0;
    if (known)
        free(value);
    else
        d->values[d->value_count++] = value;
}

static char *number_value(const struct domain *d, double v)
{
    if (d->affinity == AFFINITY_TEXT)
        return mem_printf("'%.15g'", v);
    return mem_printf("%.15g", v);
}

static double literal_number(const struct literal *l)
{
    char *s = slice_dup(l->text);
    double v = strtod(s, NULL);

    free(s);
    return l->negative ? -v : v;
}

/* The token keeps doubled quotes as they were: undo and redo makes no
 * difference for '...', but "..." may hold a single quote. */
static void quote_add(struct buf *b, struct slice s, bool like, unsigned fill)
{
    buf_char(b, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (like && s.p[i] == '%')
            buf_str(b, fill > 0 ? "ab" : "");
        else if (like && s.p[i] == '_')
            buf_char(b, 'x');
        else if (s.p[i] == '\'') {
            buf_str(b, "''");
            i += i + 1 < s.n && s.p[i + 1] == '\'';
        } else {
            buf_char(b, s.p[i]);
        }
    }
}

static char *text_value(struct slice s, bool like, unsigned fill,
                        const char *after)
{
    struct buf b = { 0 };

    quote_add(&b, s, like, fill);
    buf_printf(&b, "%s'", after);
    return buf_take(&b, NULL);
}

/* A value that satisfies the comparison first, then its neighbours. */
static void literal_values(struct domain *d, const struct literal *l)
{
    bool number = l->number || (d->affinity != AFFINITY_TEXT &&
                                score_text_is_number(l->text));

    if (number) {
        double v = literal_number(l);
        double first = l->compare == CMP_MORE   ? 1
                       : l->compare == CMP_LESS ? -1
                                                : 0;

        value_add(d, number_value(d, v + first));
        value_add(d, number_value(d, v));
        value_add(d, number_value(d, v + 1));
        value_add(d, number_value(d, v - 1));
        return;
    }
    if (l->compare == CMP_MORE)
        value_add(d, text_value(l->text, false, 0, "1"));
    if (l->compare == CMP_LESS && l->text.n > 0)
        value_add(d, text_value((struct slice){ l->text.p, l->text.n - 1 },
                                false, 0, ""));
    if (score_name_holds(d->name, "date") && l->text.n == 4 &&
        score_text_is_number(l->text))
        value_add(d, text_value(l->text, false, 0, "-06-15"));
    if (l->compare == CMP_LIKE) {
        value_add(d, text_value(l->text, true, 1, ""));
        value_add(d, text_value(l->text, true, 0, ""));
    }
    value_add(d, text_value(l->text, false, 0, ""));
}

static void synthetic_value(struct domain *d, size_t i)
{
    static const char *const words[] = { "amber", "birch", "cedar",  "delta",
                                         "ember", "fjord", "garnet", "heron" };
    size_t w = i % 8;

    if (d->affinity == AFFINITY_TEXT && score_name_holds(d->name, "date"))
        value_add(d, mem_printf("'%d-%02d-%02d'", 2001 + (int)(i % 23),
                                1 + (int)(i * 5 % 12), 1 + (int)(i * 7 % 28)));
    else if (d->affinity == AFFINITY_TEXT && i < 8)
        value_add(d, mem_printf("'%s'", words[w]));
    else if (d->affinity == AFFINITY_TEXT)
        value_add(d, mem_printf("'%s %zu'", words[w], i / 8));
    else if (score_name_holds(d->name, "year"))
        value_add(d, mem_printf("%d", 1990 + (int)(i * 3 % 35)));
    else if (d->affinity == AFFINITY_REAL)
        value_add(d, mem_printf("%zu.5", i * 3 + 1));
    else
        value_add(d, mem_printf("%zu", i + 1));
}

static void values_build(struct score_fill *f, size_t width, size_t rows)
{
    for (size_t i = 0; i < f->count; i++) {
        struct domain *d = &f->domains[i];
        size_t want = d->key ? rows : width;

        if (d->parent != i)
            continue;
        values_clear(d);
        for (size_t k = 0; k < d->literal_count; k++)
            literal_values(d, &d->literals[k]);
        d->fixed = d->value_count;
        for (size_t k = 0; k < want; k++)
            synthetic_value(d, k);
    }
}

/* First values of the literals of one query, in order of their ordinal. */
static const char *aligned_value(const struct domain *d, size_t row)
{
    size_t seen = 0, mine = 0;
    unsigned query = row & 1;

    for (size_t k = 0; k < d->literal_count; k++)
        mine += d->literals[k].query == query;
    for (size_t k = 0; k < d->literal_count && mine > 0; k++) {
        struct domain one = { .affinity = d->affinity, .name = d->name };
        const char *found = NULL;

        if (d->literals[k].query != query || seen++ != row / 2 % mine)
            continue;
        literal_values(&one, &d->literals[k]);
        for (size_t v = 0; v < d->value_count && !found; v++)
            if (strcmp(d->values[v], one.values[0]) == 0)
                found = d->values[v];
        values_clear(&one);
        return found;
    }
    return d->shared || d->key ? d->values[row % d->value_count] : NULL;
}

struct set {
    struct rng rng;
    size_t rows;
    bool distinct; /* guessed keys are unique */
};

static const char *cell(const struct score_fill *f, struct set *s,
                        const struct score_column *c, size_t row)
{
    const struct domain *d = &f->domains[c->domain];
    const char *v = NULL;

    if (c->key && (c->sure || s->distinct) && row < d->value_count)
        return d->values[row];
    if (row < ALIGNED_ROWS)
        v = aligned_value(d, row);
    if (v)
        return v;
    if (f->nulls && !c->key && rng_below(&s->rng, 7) == 0)
        return "NULL";
    if (d->fixed > 0 && rng_below(&s->rng, 2) == 0)
        return d->values[rng_below(&s->rng, d->fixed)];
    return d->values[rng_below(&s->rng, d->value_count)];
}

static void name_quote(struct buf *out, const char *name)
{
    buf_char(out, '"');
    for (; *name; name++) {
        if (*name == '"')
            buf_char(out, '"');
        buf_char(out, *name);
    }
    buf_char(out, '"');
}

static void table_write(const struct score_fill *f, struct set *s,
                        const struct score_schema_table *t, struct buf *out)
{
    static const char *const types[] = { "", " INTEGER", " REAL", " TEXT" };

    buf_str(out, "CREATE TABLE ");
    name_quote(out, t->name);
    for (size_t k = 0; k < t->count; k++) {
        buf_str(out, k > 0 ? ", " : " (");
        name_quote(out, t->columns[k].name);
        buf_str(out, types[f->domains[t->columns[k].domain].affinity]);
    }
    buf_str(out, ");\nINSERT INTO ");
    name_quote(out, t->name);
    buf_str(out, " VALUES");
    for (size_t row = 0; row < s->rows; row++) {
        buf_str(out, row > 0 ? ",\n(" : "\n(");
        for (size_t k = 0; k < t->count; k++) {
            buf_str(out, k > 0 ? ", " : "");
            buf_str(out, cell(f, s, &t->columns[k], row));
        }
        buf_char(out, ')');
    }
    buf_str(out, ";\n");
}

void score_fill_write(struct score_fill *f, unsigned set, uint64_t seed,
                      struct buf *out)
{
    static const struct {
        size_t rows, width;
        bool distinct;
    } shapes[] = { { 8, 4, true },   { 14, 6, true },  { 24, 3, true },
                   { 36, 14, true }, { 30, 2, false }, { 20, 8, false } };
    size_t n = sizeof(shapes) / sizeof(shapes[0]);
    struct set s = { .distinct = shapes[set % n].distinct };

    rng_init(&s.rng, seed * 1000003 + set);
    values_build(f, shapes[set % n].width, shapes[set % n].rows + EXTRA_ROWS);
    for (size_t t = 0; t < f->schema->count; t++) {
        s.rows = shapes[set % n].rows + (t * 3 + set) % EXTRA_ROWS;
        table_write(f, &s, &f->schema->tables[t], out);
    }
}
