/*
 * scrub_table.c - tables in plain texts: the head of a column is the key of
 * its cells
 *
 * Markdown, psql, CSV and TSV: a line of short heads, then lines with as many
 * cells. Cells of columns whose head is evidence for something are given out
 * one by one, to be looked at as a member of JSON would be. No table is made of
 * blanks alone, and no cell reaches over a line.
 */
#include "scrub/scrub_priv.h"

#include "names/names.h"

#include <string.h>

#define COLUMNS_MAX 64
#define HEAD_MAX 40  /* bytes */
#define CELL_MAX 200 /* bytes of one that is looked at */

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

/* Cells of the line into t->cell; their number, or 0: not of a table. */
static size_t split(struct table *t, struct slice line)
{
    size_t n = 0, from = 0;
    bool quoted = false;

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
    return '\0';
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
    return has_word("_email_ _mail_ _e_mail_ _phone_ _telephone_ _tel_ "
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

int scrub_table_cells(struct scrub_worker *w, struct slice text,
                      scrub_cell_fn *cell, void *ctx)
{
    struct table t; /* most of it is read only where it was written */
    bool inside = false;
    struct slice line;
    int rc = ERR_OK;

    if (!memchr(text.p, '\n', text.n))
        return ERR_OK;
    t.text = text;
    t.at = t.columns = 0;
    t.sep = '\0';
    t.keys = (struct buf){ 0 };
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
