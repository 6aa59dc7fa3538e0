/*
 * scrub_table.c - tables in plain texts: the head of a column is the key of
 * its cells
 *
 * Markdown, psql, CSV, TSV and columns with two blanks or more between: a line
 * of short heads, then lines with as many cells. Cells of columns whose head is
 * evidence for something are given out one by one, to be looked at as a member
 * of JSON would be; so are the texts of rows that SQL inserts into columns that
 * it names. No cell reaches over a line.
 */
#include "scrub/scrub_priv.h"

#include "names/names.h"

#include <string.h>

#define COLUMNS_MAX 64
#define HEAD_MAX 40 /* bytes */
#define HEADS_MAX (COLUMNS_MAX * HEAD_MAX)
#define CELL_MAX 200  /* bytes of one that is looked at */
#define BLANKS '\x01' /* as a separator: two or more */

struct table {
    struct slice text;
    size_t at; /* the next line */
    char sep;
    size_t columns;
    struct slice cell[COLUMNS_MAX + 1];
    size_t key[COLUMNS_MAX][2]; /* of a column that tells: from, to in keys */
    struct buf keys;
};

static bool next_line(struct table *t, struct slice *out)
{
    const char *p = t->text.p + t->at, *nl;
    size_t left = t->text.n - t->at;

    if (!left)
        return false;
    nl = memchr(p, '\n', left);
    out->p = p;
    out->n = nl ? (size_t)(nl - p) : left;
    t->at += out->n + (nl != NULL);
    if (out->n && p[out->n - 1] == '\r')
        out->n--;
    return true;
}

static struct slice bare(struct slice v)
{
    while (v.n && strchr(" \t*`\"", v.p[0])) {
        v.p++;
        v.n--;
    }
    while (v.n && strchr(" \t*`\"", v.p[v.n - 1]))
        v.n--;
    return v;
}

/* The same where two blanks or more separate them. */
static size_t split_blanks(struct table *t, struct slice line)
{
    size_t n = 0;

    line = slice_trim(line);
    while (line.n) {
        const char *gap = memmem(line.p, line.n, "  ", 2);
        size_t to = gap ? (size_t)(gap - line.p) : line.n;

        if (n == COLUMNS_MAX)
            return 0;
        t->cell[n++] = (struct slice){ line.p, to };
        line = slice_trim((struct slice){ line.p + to, line.n - to });
    }
    return n;
}

/* Cells of the line into t->cell; their number, or 0: not of a table. */
static size_t split(struct table *t, struct slice line)
{
    size_t n = 0, from = 0;
    bool quoted = false;

    if (t->sep == BLANKS)
        return split_blanks(t, line);
    if (t->sep == '|') {
        line = slice_trim(line);
        if (line.n && line.p[0] == '|') {
            line.p++;
            line.n--;
        }
        if (line.n && line.p[line.n - 1] == '|')
            line.n--;
    }
    for (size_t i = 0; i <= line.n; i++) {
        if (i < line.n && line.p[i] == '"' && t->sep != '|')
            quoted = !quoted;
        if (i < line.n && (line.p[i] != t->sep || quoted))
            continue;
        if (n == COLUMNS_MAX)
            return 0;
        t->cell[n++] = (struct slice){ line.p + from, i - from };
        from = i + 1;
    }
    return n;
}

/* Between head and rows: |---|:-:| or ---+---. */
static bool is_ruler(struct slice line)
{
    size_t dashes = 0;

    for (size_t i = 0; i < line.n; i++) {
        if (!strchr("-+|: =", line.p[i]))
            return false;
        dashes += line.p[i] == '-' || line.p[i] == '=';
    }
    return dashes >= 2;
}

/* What separates the line's cells, if its first one may be a head. */
static char separator_of(struct slice line)
{
    size_t i = 0;

    if (line.n && line.p[0] == '|')
        return '|';
    for (; i < line.n && i <= HEAD_MAX; i++) {
        char c = line.p[i];

        if (c == '|' || c == ',' || c == '\t' || c == ';')
            return i ? c : '\0';
        if (!scrub_is_alnum(c) && !strchr(" _-\"./#*", c) &&
            (unsigned char)c < 0x80)
            return '\0';
    }
    line = slice_trim(line);
    if (line.n > HEAD_MAX)
        line.n = HEAD_MAX;
    return memmem(line.p, line.n, "  ", 2) ? BLANKS : '\0';
}

static bool is_head(struct slice cell)
{
    if (!cell.n || cell.n > HEAD_MAX || scrub_is_digit(cell.p[0]))
        return false;
    for (size_t i = 0; i < cell.n; i++)
        if (!scrub_is_alnum(cell.p[i]) && !strchr(" _-./#()", cell.p[i]) &&
            (unsigned char)cell.p[i] < 0x80)
            return false;
    return true;
}

static bool has_word(const char *words, struct slice key)
{
    for (const char *p = words; *p;) {
        size_t n = strcspn(p, " ");

        if (memmem(key.p, key.n, p, n))
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

/* Beside such a column a name is a person's; 2: whoever it is the name of. */
static int is_personal(struct slice key)
{
    if (has_word("_ssn_ _dob_ _birth_ _birthday_ _birthdate_ _age_ _passport_ "
                 "_gender_ _sex_ _mrn_ _salary_",
                 key))
        return 2;
    return has_word("_surname_ _last_name_ _lastname_ _nachname_ "
                    "_email_ _mail_ _e_mail_ _phone_ _telephone_ _tel_ "
                    "_mobile_",
                    key);
}

static bool is_somebody(struct slice key)
{
    return key.n > 2 &&
           has_word("_customer_ _client_ _patient_ _employee_ _person_ "
                    "_student_ _contact_ _passenger_ _applicant_ _tenant_ "
                    "_guest_",
                    key) &&
           !memchr(key.p + 1, '_', key.n - 2);
}

static void add_key(struct table *t, size_t column, struct slice head)
{
    t->key[column][0] = t->keys.len;
    scrub_key_words(head, &t->keys);
    t->key[column][1] = t->keys.len;
}

static struct slice key_of(const struct table *t, size_t column)
{
    return (struct slice){ t->keys.data + t->key[column][0],
                           t->key[column][1] - t->key[column][0] };
}

/* The heads in t->cell as keys; false: none tells anything. */
static bool read_heads(struct scrub_worker *w, struct table *t)
{
    bool any = false;
    int personal = 0;

    buf_reset(&t->keys);
    for (size_t i = 0; i < t->columns; i++) {
        add_key(t, i, bare(t->cell[i]));
        personal |= is_personal(key_of(t, i));
    }
    for (size_t i = 0; i < t->columns; i++) {
        struct slice key = key_of(t, i);

        if ((personal && slice_is(key, "_name_")) ||
            (personal >= 2 && is_somebody(key)))
            add_key(t, i, slice_of("full_name"));
        else if (!scrub_context_key(w, key) && !names_key_tells(key))
            t->key[i][1] = t->key[i][0];
        any |= t->key[i][1] > t->key[i][0];
    }
    return any;
}

/* The line is the head of a table, which goes on behind it. */
static bool begins(struct scrub_worker *w, struct table *t, struct slice line)
{
    size_t back = t->at;
    struct slice next;
    bool ruler;

    t->sep = separator_of(line);
    if (!t->sep || !next_line(t, &next))
        return false;
    ruler = is_ruler(next);
    if (!ruler)
        t->at = back;
    t->columns = split(t, ruler ? line : next);
    if ((ruler || t->columns >= 2) && split(t, line) == t->columns) {
        size_t i = 0;

        while (i < t->columns && is_head(bare(t->cell[i])))
            i++;
        if (i == t->columns && read_heads(w, t))
            return true;
    }
    t->at = back;
    return false;
}

static int tell_row(struct table *t, scrub_cell_fn *cell, void *ctx)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < t->columns; i++) {
        struct slice v = bare(t->cell[i]);

        if (v.n > 1 && v.n <= CELL_MAX && t->key[i][1] > t->key[i][0])
            rc = cell(ctx, v, key_of(t, i));
    }
    return rc;
}

/* The names of columns between brackets at *at into t->cell. */
static bool read_columns(struct table *t, size_t *at)
{
    size_t left = t->text.n - *at;
    const char *open =
        memchr(t->text.p + *at, '(', left < 2 * HEAD_MAX ? left : 2 * HEAD_MAX);
    const char *shut = NULL;
    struct slice heads;

    if (open) {
        *at = (size_t)(open - t->text.p) + 1;
        left = t->text.n - *at;
        shut = memchr(open + 1, ')', left < HEADS_MAX ? left : HEADS_MAX);
    }
    if (!shut)
        return false;
    heads = (struct slice){ open + 1, (size_t)(shut - open) - 1 };
    *at += heads.n + 1;
    t->sep = ',';
    t->columns = split(t, heads);
    for (size_t i = 0; i < t->columns; i++)
        if (!is_head(bare(t->cell[i])))
            return false;
    return t->columns > 1;
}

/* The text between quotes that begins at i; where it ends. */
static size_t quoted_end(struct slice t, size_t i)
{
    while (++i < t.n && (t.p[i] != '\'' || (i + 1 < t.n && t.p[i + 1] == '\'')))
        i += t.p[i] == '\'';
    return i;
}

/* "('Bob', 3, NULL)" at *at into t->cell; false: there is no such row. */
static bool read_row(struct table *t, size_t *at)
{
    struct slice x = t->text;
    size_t i = *at, n = 0;

    while (i < x.n && strchr(" \t\r\n,", x.p[i]))
        i++;
    if (i >= x.n || x.p[i++] != '(')
        return false;
    memset(t->cell, 0, sizeof(t->cell));
    for (; i < x.n && x.p[i] != ')' && n < t->columns; i++) {
        if (x.p[i] == '\'') {
            size_t end = quoted_end(x, i);

            t->cell[n] = (struct slice){ x.p + i + 1, end - i - 1 };
            i = end;
        } else if (x.p[i] == ',') {
            n++;
        } else if (x.p[i] == '(') {
            return false; /* a call */
        }
    }
    *at = i + 1;
    return i < x.n && x.p[i] == ')' && n + 1 == t->columns;
}

/* INSERT INTO t (columns) VALUES (...), (...) */
static int tell_inserts(struct scrub_worker *w, struct table *t,
                        scrub_cell_fn *cell, void *ctx)
{
    static const char verb[] = "INSERT INTO ";
    size_t n = sizeof(verb) - 1, at = 0, left;
    int rc = ERR_OK;

    while (rc == ERR_OK && at < t->text.n) {
        const char *hit = memmem(t->text.p + at, t->text.n - at, verb, n), *p;

        if (!hit)
            break;
        at = (size_t)(hit - t->text.p) + n;
        if (!read_columns(t, &at) || !read_heads(w, t))
            continue;
        left = t->text.n - at < HEAD_MAX ? t->text.n - at : HEAD_MAX;
        p = memchr(t->text.p + at, '(', left);
        if (!p)
            continue; /* no VALUES */
        at = (size_t)(p - t->text.p);
        while (rc == ERR_OK && read_row(t, &at))
            rc = tell_row(t, cell, ctx);
    }
    return rc;
}

int scrub_table_cells(struct scrub_worker *w, struct slice text,
                      scrub_cell_fn *cell, void *ctx)
{
    struct table t; /* most of it is read only where it was written */
    bool inside = false;
    struct slice line;
    int rc = ERR_OK;

    t.text = text;
    t.at = t.columns = 0;
    t.sep = '\0';
    t.keys = (struct buf){ 0 };
    if (memchr(text.p, '(', text.n))
        rc = tell_inserts(w, &t, cell, ctx);
    if (!memchr(text.p, '\n', text.n))
        t.at = text.n;
    while (rc == ERR_OK && next_line(&t, &line)) {
        if (inside && is_ruler(line))
            continue;
        if (inside && line.n && split(&t, line) == t.columns)
            rc = tell_row(&t, cell, ctx);
        else
            inside = begins(w, &t, line);
    }
    buf_release(&t.keys);
    return rc;
}
