/*
 * score_fill_learn.c - what two queries say about the columns of a schema
 *
 * By patterns over tokens, not by parsing: a column before an operator and a
 * literal behind it, two columns around an equals sign, a column that starts
 * a subquery. What is missed costs sharpness of the test, not correctness.
 */
#include "scoring/score_fill.h"

#include <string.h>

#define MAX_HITS 16 /* columns that one name can mean */

struct hits {
    size_t list[MAX_HITS];
    size_t count;
};

static size_t root(const struct score_fill *f, size_t i)
{
    while (f->domains[i].parent != i)
        i = f->domains[i].parent;
    return i;
}

static void join(struct score_fill *f, size_t a, size_t b)
{
    a = root(f, a);
    b = root(f, b);
    if (a < b)
        f->domains[b].parent = a;
    else
        f->domains[a].parent = b;
}

static bool name_ends(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n >= m && score_name_eq(slice_of(name + n - m), slice_of(end));
}

bool score_name_holds(const char *name, const char *part)
{
    size_t n = strlen(name), m = strlen(part);

    for (size_t i = 0; i + m <= n; i++)
        if (score_name_eq((struct slice){ name + i, m }, slice_of(part)))
            return true;
    return false;
}

static bool looks_like_key(const char *name)
{
    return name_ends(name, "id") || name_ends(name, "code") ||
           name_ends(name, "_no");
}

static void aliases_read(struct score_fill *f, const struct score_tokens *l)
{
    for (size_t i = 0; i + 2 < l->count; i++) {
        const struct score_token *t = &l->list[i];
        struct alias a;

        if (!score_token_is(t, "from") && !score_token_is(t, "join") &&
            !score_token_is(t, ","))
            continue;
        a.table = t[1].text;
        t += score_token_is(&t[2], "as") ? 3 : 2;
        if (t->kind != TOKEN_WORD || f->alias_count >= MAX_ALIASES)
            continue;
        a.name = t->text;
        f->aliases[f->alias_count++] = a;
    }
}

static bool table_is_meant(const struct score_fill *f, const char *table,
                           struct slice qualifier)
{
    if (score_name_eq(slice_of(table), qualifier))
        return true;
    for (size_t i = 0; i < f->alias_count; i++)
        if (score_name_eq(f->aliases[i].name, qualifier) &&
            score_name_eq(f->aliases[i].table, slice_of(table)))
            return true;
    return false;
}

/* Columns that the word at list[i] (with what stands before its dot) means. */
static struct hits column_hits(const struct score_fill *f,
                               const struct score_token *list, size_t i)
{
    struct hits h = { .count = 0 };
    bool qualified = i >= 2 && score_token_is(&list[i - 1], ".");
    size_t at = 0;

    if (list[i].kind != TOKEN_WORD)
        return h;
    for (size_t t = 0; t < f->schema->count; t++) {
        const struct score_schema_table *table = &f->schema->tables[t];

        for (size_t k = 0; k < table->count; k++, at++)
            if (h.count < MAX_HITS &&
                score_name_eq(slice_of(table->columns[k].name), list[i].text) &&
                (!qualified ||
                 table_is_meant(f, table->name, list[i - 2].text)))
                h.list[h.count++] = at;
    }
    return h;
}

static void hits_join(struct score_fill *f, struct hits a, struct hits b)
{
    for (size_t i = 0; i < a.count; i++)
        for (size_t k = 0; k < b.count; k++)
            join(f, a.list[i], b.list[k]);
}

static void literal_add(struct score_fill *f, struct hits h, struct literal lit)
{
    for (size_t i = 0; i < h.count; i++) {
        struct domain *d = &f->domains[root(f, h.list[i])];
        bool known = d->literal_count >= MAX_LITERALS;

        for (size_t k = 0; k < d->literal_count; k++)
            known = known || (slice_eq(d->literals[k].text, lit.text) &&
                              d->literals[k].query == lit.query);
        if (!known)
            d->literals[d->literal_count++] = lit;
    }
}

static bool compare_of(const struct score_token *t, enum compare *out)
{
    static const struct {
        const char *text;
        enum compare compare;
    } ops[] = { { "=", CMP_EQ },      { "==", CMP_EQ },   { "!=", CMP_EQ },
                { "<>", CMP_EQ },     { "<", CMP_LESS },  { "<=", CMP_LESS },
                { ">", CMP_MORE },    { ">=", CMP_MORE }, { "like", CMP_LIKE },
                { "glob", CMP_LIKE }, { "in", CMP_EQ },   { "is", CMP_EQ },
                { "between", CMP_EQ } };

    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        if (score_token_is(t, ops[i].text)) {
            *out = ops[i].compare;
            return true;
        }
    return false;
}

/* A literal at list[i]; a "quoted" word that names no column is a string for
 * SQLite. Returns the tokens that it takes, 0 if it is none. */
static size_t literal_at(const struct score_fill *f,
                         const struct score_token *list, size_t i,
                         struct literal *out)
{
    const struct score_token *t = &list[i];
    bool negative = score_token_is(t, "-") && t[1].kind == TOKEN_NUMBER;

    if (negative)
        t++;
    if (t->kind == TOKEN_WORD && t->quoted && !score_token_is(t + 1, ".") &&
        column_hits(f, list, i).count == 0)
        *out = (struct literal){ .text = t->text };
    else if (t->kind == TOKEN_STRING || t->kind == TOKEN_NUMBER)
        *out = (struct literal){ .text = t->text,
                                 .number = t->kind == TOKEN_NUMBER,
                                 .negative = negative };
    else
        return 0;
    return negative ? 2 : 1;
}

/* The column before an operator at list[i]: a word, or the last word inside
 * the parenthesis of a function. NOT may stand between. */
static struct hits column_before(const struct score_fill *f,
                                 const struct score_token *list, size_t i)
{
    struct hits none = { .count = 0 };

    while (i > 0 && score_token_is(&list[i - 1], "not"))
        i--;
    if (i > 1 && score_token_is(&list[i - 1], ")"))
        i--;
    return i > 0 ? column_hits(f, list, i - 1) : none;
}

static void literals_after(struct score_fill *f, const struct score_token *list,
                           size_t count, size_t i, struct hits h,
                           enum compare compare, unsigned query)
{
    bool many =
        score_token_is(&list[i], "in") || score_token_is(&list[i], "between");
    struct literal lit;

    i++;
    if (many && score_token_is(&list[i], "("))
        i++;
    while (i + 1 < count) {
        size_t n = literal_at(f, list, i, &lit);

        if (n == 0)
            break;
        lit.compare = compare;
        lit.query = query;
        literal_add(f, h, lit);
        i += n;
        if (!many ||
            !(score_token_is(&list[i], ",") || score_token_is(&list[i], "and")))
            break;
        i++;
    }
}

/* x = y, x IN (SELECT y, x = (SELECT max(y): the columns share values. */
static void columns_after(struct score_fill *f, const struct score_token *list,
                          size_t count, size_t i, struct hits h)
{
    bool select = false;

    for (size_t k = i + 1; k + 1 < count && k < i + 9; k++) {
        select = select || score_token_is(&list[k], "select");
        if (list[k].kind == TOKEN_WORD && !score_token_is(&list[k + 1], ".") &&
            !score_token_is(&list[k + 1], "(")) {
            struct hits y = column_hits(f, list, k);

            if (y.count > 0) {
                hits_join(f, h, y);
                return;
            }
        }
        if (!select && !score_token_is(&list[k], "(") &&
            !score_token_is(&list[k + 1], ".") &&
            !score_token_is(&list[k], "."))
            return;
    }
}

static void query_joins(struct score_fill *f, const struct score_tokens *l)
{
    enum compare compare;

    for (size_t i = 1; i + 1 < l->count; i++) {
        struct hits h;

        if (!compare_of(&l->list[i], &compare))
            continue;
        h = column_before(f, l->list, i);
        if (h.count > 0)
            columns_after(f, l->list, l->count, i, h);
    }
}

/* sum(x) and avg(x) say that x is a number. */
static void query_numbers(struct score_fill *f, const struct score_tokens *l)
{
    for (size_t i = 0; i + 3 < l->count; i++) {
        size_t k = i + 2;
        struct hits h;

        if ((!score_token_is(&l->list[i], "sum") &&
             !score_token_is(&l->list[i], "avg")) ||
            !score_token_is(&l->list[i + 1], "("))
            continue;
        if (k + 3 < l->count && score_token_is(&l->list[k + 1], "."))
            k += 2;
        h = column_hits(f, l->list, k);
        for (size_t n = 0; n < h.count; n++)
            f->domains[root(f, h.list[n])].summed = true;
    }
}

/* The column that a SELECT at list[i] begins with. */
static struct hits first_column(const struct score_fill *f,
                                const struct score_tokens *l, size_t i)
{
    struct hits none = { .count = 0 };

    i++;
    if (i < l->count && score_token_is(&l->list[i], "distinct"))
        i++;
    if (i + 2 < l->count && score_token_is(&l->list[i + 1], "."))
        i += 2;
    return i < l->count ? column_hits(f, l->list, i) : none;
}

/* Both sides of INTERSECT, EXCEPT and UNION share values. */
static void query_sets(struct score_fill *f, const struct score_tokens *l)
{
    size_t before = l->count;

    for (size_t i = 0; i + 1 < l->count; i++) {
        bool set = i > 0 && (score_token_is(&l->list[i - 1], "intersect") ||
                             score_token_is(&l->list[i - 1], "except") ||
                             score_token_is(&l->list[i - 1], "union") ||
                             score_token_is(&l->list[i - 1], "all"));

        if (!score_token_is(&l->list[i], "select"))
            continue;
        if (set && before < l->count)
            hits_join(f, first_column(f, l, before), first_column(f, l, i));
        if (!set || before == l->count)
            before = i;
    }
}

static void query_literals(struct score_fill *f, const struct score_tokens *l,
                           unsigned query)
{
    enum compare compare;
    struct literal lit;

    for (size_t i = 1; i + 1 < l->count; i++) {
        struct hits h;

        f->nulls = f->nulls || score_token_is(&l->list[i], "null") ||
                   score_token_is(&l->list[i], "ifnull") ||
                   score_token_is(&l->list[i], "coalesce");
        if (!compare_of(&l->list[i], &compare))
            continue;
        h = column_before(f, l->list, i);
        if (h.count > 0) {
            literals_after(f, l->list, l->count, i, h, compare, query);
        } else if (literal_at(f, l->list, i - 1, &lit) == 1) {
            size_t k = i + 1; /* 5 < t.x */

            while (k + 2 < l->count && score_token_is(&l->list[k + 1], "."))
                k += 2;
            lit.query = query;
            lit.compare = compare == CMP_LESS   ? CMP_MORE
                          : compare == CMP_MORE ? CMP_LESS
                                                : compare;
            literal_add(f, column_hits(f, l->list, k), lit);
        }
    }
}

/* Same names that look like keys mean the same thing in all tables. */
static void names_join(struct score_fill *f)
{
    for (size_t i = 0; i < f->count; i++)
        for (size_t k = i + 1; k < f->count; k++)
            if (score_name_eq(slice_of(f->domains[i].name),
                              slice_of(f->domains[k].name)) &&
                looks_like_key(f->domains[i].name) &&
                !score_name_eq(slice_of(f->domains[i].name), slice_of("id")))
                join(f, i, k);
}

/* "id", or named after its table: city_id of city or of cities. */
static bool is_own_key(const char *column, const char *table)
{
    size_t n = strlen(column);

    n -= n >= 2 ? 2 : n;
    while (n > 0 && column[n - 1] == '_')
        n--;
    return n <= strlen(table) && score_name_eq((struct slice){ column, n },
                                               (struct slice){ table, n });
}

static bool starts_a_table_before(const struct score_schema *s, size_t t,
                                  const char *column)
{
    for (size_t o = 0; o < t; o++)
        if (score_name_eq(slice_of(column),
                          slice_of(s->tables[o].columns->name)))
            return true;
    return false;
}

/* An undeclared table's first column is its key if it is named so, or if it
 * looks like one and no table before it begins with the same name (then it
 * refers to that one). */
static void keys_guess(struct score_schema *s)
{
    for (size_t t = 0; t < s->count; t++) {
        struct score_schema_table *table = &s->tables[t];
        struct score_column *c = table->columns;
        bool declared = table->declared;

        for (size_t k = 0; k < table->count; k++)
            declared = declared || table->columns[k].key;
        if (declared || !looks_like_key(c->name))
            continue;
        c->sure = is_own_key(c->name, table->name);
        c->key = c->sure || !starts_a_table_before(s, t, c->name);
    }
}

static enum score_affinity affinity_by_name(const char *name)
{
    static const char *const numbers[] = {
        "age",      "year",   "num",     "count",   "price",     "salary",
        "amount",   "total",  "size",    "area",    "popul",     "rating",
        "score",    "weight", "height",  "length",  "percent",   "quantity",
        "rank",     "capac",  "attend",  "budget",  "latitude",  "longitude",
        "cost",     "points", "sales",   "share",   "stock",     "qty",
        "distance", "hours",  "minutes", "balance", "credits",   "grade",
        "speed",    "power",  "votes",   "rate",    "elevation", "floor",
    };

    if (looks_like_key(name) && !name_ends(name, "code"))
        return AFFINITY_INTEGER;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (score_name_holds(name, numbers[i]))
            return AFFINITY_INTEGER;
    return AFFINITY_TEXT;
}

bool score_text_is_number(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("0123456789.", s.p[i]) && !(i == 0 && s.p[i] == '-'))
            return false;
    return s.n > 0;
}

/* Declared types win, then what it is compared with, then its name. */
static enum score_affinity domain_affinity(const struct domain *d)
{
    bool text = false, number = false, real = false;

    for (size_t i = 0; i < d->literal_count; i++) {
        const struct literal *l = &d->literals[i];

        if (l->number) {
            number = true;
            real = real || memchr(l->text.p, '.', l->text.n);
        } else if (!score_text_is_number(l->text)) {
            text = true;
        }
    }
    if (text && !d->summed)
        return AFFINITY_TEXT;
    if (number || d->summed)
        return real ? AFFINITY_REAL : AFFINITY_INTEGER;
    return affinity_by_name(d->name);
}

static void domains_settle(struct score_fill *f)
{
    size_t at = 0;

    for (size_t t = 0; t < f->schema->count; t++)
        for (size_t k = 0; k < f->schema->tables[t].count; k++, at++) {
            struct score_column *c = &f->schema->tables[t].columns[k];
            struct domain *d = &f->domains[root(f, at)];

            c->domain = root(f, at);
            d->key = d->key || c->key;
            d->shared = d->shared || c->domain != at;
            d->summed = d->summed || f->domains[at].summed;
            if (d->affinity == AFFINITY_UNKNOWN)
                d->affinity = c->affinity;
        }
    for (size_t i = 0; i < f->count; i++)
        if (f->domains[i].parent == i &&
            f->domains[i].affinity == AFFINITY_UNKNOWN)
            f->domains[i].affinity = domain_affinity(&f->domains[i]);
}

void score_fill_learn(struct score_fill *f, const struct score_tokens *first,
                      const struct score_tokens *second)
{
    keys_guess(f->schema);
    aliases_read(f, first);
    aliases_read(f, second);
    names_join(f);
    query_joins(f, first);
    query_joins(f, second);
    query_sets(f, first);
    query_sets(f, second);
    query_numbers(f, first);
    query_numbers(f, second);
    query_literals(f, first, 0);
    query_literals(f, second, 1);
    domains_settle(f);
}
