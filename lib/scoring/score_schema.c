/*
 * score_schema.c - the schemas that stand in a prompt
 *
 * Two spellings: CREATE TABLE statements, and lines `table(col, col type, ...)`
 * as people write them for models. What a line does not say (types, keys) is
 * left open here; the filler guesses from names and queries.
 */
#include "base/map.h"
#include "base/mem.h"
#include "scoring/score_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* SQLite's rules of affinity, by parts of the declared type's name. */
static enum score_affinity affinity_of(struct slice type)
{
    static const struct {
        const char *part;
        enum score_affinity affinity;
    } rules[] = {
        { "int", AFFINITY_INTEGER },    { "char", AFFINITY_TEXT },
        { "clob", AFFINITY_TEXT },      { "text", AFFINITY_TEXT },
        { "string", AFFINITY_TEXT },    { "date", AFFINITY_TEXT },
        { "time", AFFINITY_TEXT },      { "real", AFFINITY_REAL },
        { "floa", AFFINITY_REAL },      { "doub", AFFINITY_REAL },
        { "numeric", AFFINITY_REAL },   { "decimal", AFFINITY_REAL },
        { "number", AFFINITY_INTEGER }, { "bool", AFFINITY_INTEGER },
        { "year", AFFINITY_INTEGER },
    };

    for (size_t r = 0; r < sizeof(rules) / sizeof(rules[0]); r++)
        for (size_t i = 0; i + strlen(rules[r].part) <= type.n; i++)
            if (score_name_eq(
                    (struct slice){ type.p + i, strlen(rules[r].part) },
                    slice_of(rules[r].part)))
                return rules[r].affinity;
    return AFFINITY_UNKNOWN;
}

static void column_add(struct score_schema_table *t, struct slice name,
                       enum score_affinity affinity)
{
    if (t->count >= SCORE_MAX_COLUMNS)
        return;
    for (size_t i = 0; i < t->count; i++)
        if (score_name_eq(slice_of(t->columns[i].name), name))
            return;
    mem_grow((void **)&t->columns, &t->cap, t->count + 1, sizeof(*t->columns));
    t->columns[t->count++] = (struct score_column){
        .name = slice_dup(name),
        .affinity = affinity,
    };
}

static bool starts_constraint(const struct score_token *t)
{
    static const char *const words[] = { "primary", "foreign",    "unique",
                                         "check",   "constraint", "key",
                                         "index" };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (score_token_is(t, words[i]))
            return true;
    return false;
}

static void key_mark(struct score_schema_table *t, struct slice name)
{
    for (size_t i = 0; i < t->count; i++)
        if (score_name_eq(slice_of(t->columns[i].name), name))
            t->columns[i].key = t->columns[i].sure = true;
}

/* PRIMARY KEY (a): one column is unique; two together are not, apart. */
static void constraint_read(struct score_schema_table *t,
                            const struct score_token *from,
                            const struct score_token *to)
{
    for (const struct score_token *p = from; p + 4 < to; p++)
        if (score_token_is(p, "primary") && score_token_is(p + 1, "key") &&
            score_token_is(p + 2, "(") && score_token_is(p + 4, ")"))
            key_mark(t, p[3].text);
}

/* One element of the parenthesis: a column definition or a constraint. */
static void element_read(struct score_schema_table *t,
                         const struct score_token *from,
                         const struct score_token *to)
{
    enum score_affinity affinity = AFFINITY_UNKNOWN;
    bool key = false;

    if (from >= to || (from->kind != TOKEN_WORD && from->kind != TOKEN_STRING))
        return;
    if (to - from > 1 && !from->quoted && starts_constraint(from)) {
        constraint_read(t, from, to);
        return;
    }
    if (to - from > 1 && from[1].kind == TOKEN_WORD)
        affinity = affinity_of(from[1].text);
    else if (to - from > 2 && score_token_is(from + 1, ":"))
        affinity = affinity_of(from[2].text);
    for (const struct score_token *p = from + 1; p < to; p++)
        key = key || score_token_is(p, "primary") || score_token_is(p, "pk");
    column_add(t, from->text, affinity);
    if (key)
        key_mark(t, from->text);
}

/* Elements between the parentheses that open at list[at]; returns the index
 * of the closing one, or count if there is none. */
static size_t elements_read(struct score_schema_table *t,
                            const struct score_token *list, size_t count,
                            size_t at)
{
    int depth = list[at].depth;
    size_t from = at + 1;

    for (size_t i = at + 1; i < count; i++) {
        bool end = list[i].depth == depth && score_token_is(&list[i], ")");

        if (!end &&
            !(list[i].depth == depth + 1 && score_token_is(&list[i], ",")))
            continue;
        element_read(t, list + from, list + i);
        from = i + 1;
        if (end)
            return i;
    }
    return count;
}

static void table_release(struct score_schema_table *t)
{
    for (size_t k = 0; k < t->count; k++)
        free(t->columns[k].name);
    free(t->columns);
    free(t->name);
}

void score_schema_release(struct score_schema *s)
{
    for (size_t i = 0; i < s->count; i++)
        table_release(&s->tables[i]);
    free(s->tables);
    *s = (struct score_schema){ 0 };
}

/* Takes the table; one that is no table after all is dropped. */
static void table_add(struct score_schema *s, struct score_schema_table *t)
{
    if (t->count == 0 || strncasecmp(t->name, "sqlite_", 7) == 0) {
        table_release(t);
        return;
    }
    for (size_t i = 0; i < s->count; i++)
        if (score_name_eq(slice_of(s->tables[i].name), slice_of(t->name))) {
            table_release(&s->tables[i]);
            s->tables[i] = *t;
            return;
        }
    if (s->count >= SCORE_MAX_TABLES) {
        table_release(t);
        return;
    }
    mem_grow((void **)&s->tables, &s->cap, s->count + 1, sizeof(*s->tables));
    s->tables[s->count++] = *t;
}

/* CREATE [TEMP] TABLE [IF NOT EXISTS] [schema .] name ( */
static size_t create_read(struct score_schema *s, const struct score_tokens *l,
                          size_t at)
{
    struct score_schema_table t = { .declared = true };
    size_t i = at + 1;

    while (i < l->count && !score_token_is(&l->list[i], "table"))
        if (i++ > at + 2)
            return at + 1;
    i++;
    if (i + 2 < l->count && score_token_is(&l->list[i], "if"))
        i += 3;
    if (i + 2 < l->count && score_token_is(&l->list[i + 1], "."))
        i += 2;
    if (i + 1 >= l->count || !score_token_is(&l->list[i + 1], "("))
        return at + 1;
    t.name = slice_dup(l->list[i].text);
    i = elements_read(&t, l->list, l->count, i + 1);
    table_add(s, &t);
    return i;
}

/* `name(col, col type, ...)` alone on a line; marks of lists and comments may
 * stand before it, and one of .;, behind it. */
static void line_read(struct score_schema *s, struct slice line)
{
    struct score_tokens l = { 0 };
    struct score_schema_table t = { 0 };
    size_t end;

    while (line.n > 0 && strchr("#-* \t>", line.p[0])) {
        line.p++;
        line.n--;
    }
    score_sql_lex(line, &l);
    if (l.count < 5 || l.list[0].kind != TOKEN_WORD ||
        !score_token_is(&l.list[1], "(") || l.list[2].kind != TOKEN_WORD)
        goto done;
    t.name = slice_dup(l.list[0].text);
    end = elements_read(&t, l.list, l.count, 1);
    if (end + 1 < l.count && l.list[end + 1].kind == TOKEN_PUNCT)
        end++;
    if (end + 2 == l.count)
        table_add(s, &t);
    else /* something else stands on the line */
        table_release(&t);
done:
    score_tokens_release(&l);
}

/* Where the next "create ... table" begins; NULL if there is none. */
static const char *create_find(struct slice text)
{
    for (size_t i = 0; i + 12 <= text.n; i++) {
        if (!score_name_eq((struct slice){ text.p + i, 6 }, slice_of("create")))
            continue;
        for (size_t k = i + 7; k + 5 <= text.n && k < i + 24; k++)
            if (score_name_eq((struct slice){ text.p + k, 5 },
                              slice_of("table")))
                return text.p + i;
    }
    return NULL;
}

/* Prose before a statement may hold an apostrophe: start each time at the
 * word itself. */
static void create_statements_read(struct score_schema *s, struct slice text)
{
    struct score_tokens l = { 0 };
    const char *p;

    for (unsigned n = 0; n < 2 * SCORE_MAX_TABLES; n++) {
        p = create_find(text);
        if (!p)
            break;
        text.n -= (size_t)(p - text.p);
        text.p = p;
        score_sql_lex(text, &l);
        create_read(s, &l, 0);
        text.p += 6;
        text.n -= 6;
    }
    score_tokens_release(&l);
}

void score_schema_read(struct slice text, struct score_schema *out)
{
    for (size_t i = 0; i < text.n;) {
        const char *end = memchr(text.p + i, '\n', text.n - i);
        size_t n = end ? (size_t)(end - text.p) - i : text.n - i;
        struct slice line = slice_trim((struct slice){ text.p + i, n });

        if (line.n > 0 && !slice_starts(line, "CREATE") &&
            !slice_starts(line, "create"))
            line_read(out, line);
        i += n + 1;
    }
    create_statements_read(out, text);
}

void score_request_text(struct slice request, struct buf *out)
{
    struct json j = { 0 };
    json_ref messages;

    if (json_parse(&j, request.p, request.n, NULL) == 0) {
        messages = json_get(&j, 0, "messages");
        for (json_ref e = json_first(&j, messages); e != JSON_NONE;
             e = json_next(&j, messages, e)) {
            json_ref content = json_get(&j, e, "content");

            if (!json_text(&j, content, out))
                for (json_ref p = json_first(&j, content); p != JSON_NONE;
                     p = json_next(&j, content, p))
                    json_text(&j, json_get(&j, p, "text"), out);
            buf_char(out, '\n');
        }
    }
    json_release(&j);
}
