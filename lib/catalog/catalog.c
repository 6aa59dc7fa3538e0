/*
 * catalog.c - the table of models: strict parsing, look-up
 *
 * The header line names the columns, so that a user's own table may leave
 * some out and order them freely. A row is refused rather than half read.
 */
#include "catalog/catalog.h"

#include "assets/assets.h"
#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_COLUMNS 64

enum column_kind { TEXT, COUNT, BILLION, TIED, CONTEXT, FIGURES };

struct column {
    const char *name;
    enum column_kind kind;
    size_t offset;
};

#define AT(field) offsetof(struct catalog_model, field)

static const struct column columns[] = {
    { "model", TEXT, AT(name) },
    { "model_type", TEXT, AT(type) },
    { "params_B_published", BILLION, AT(published_billion) },
    { "params_B_shapes", BILLION, AT(shapes_billion) },
    { "tied", TIED, AT(tied) },
    { "layers", COUNT, AT(layers) },
    { "hidden", COUNT, AT(hidden) },
    { "heads", COUNT, AT(heads) },
    { "kv_heads", COUNT, AT(kv_heads) },
    { "head_dim", COUNT, AT(head_dim) },
    { "ffn", COUNT, AT(ffn) },
    { "vocab", COUNT, AT(vocab) },
    { "attn_layers", COUNT, AT(attn_layers) },
    { "window", COUNT, AT(window) },
    { "full_layers", COUNT, AT(full_layers) },
    { "context", CONTEXT, AT(context) },
    { "licence", TEXT, AT(licence) },
    { "commercial", TEXT, AT(commercial) },
    { "benchmarks", FIGURES, 0 },
    { "arch_source", TEXT, AT(arch_source) },
    { "param_source", TEXT, AT(param_source) },
    { "note", TEXT, AT(note) },
};
#define COLUMN_COUNT (sizeof(columns) / sizeof(columns[0]))

struct catalog {
    struct catalog_model *models;
    size_t count, cap;
    struct map *sources; /* key -> index of texts */
    char **texts;
    size_t text_count, text_cap;
};

struct reader {
    const char *name;
    size_t line;
    const struct column *order[MAX_COLUMNS]; /* NULL: ignored */
    size_t columns;
    struct err *err;
};

static int bad(const struct reader *r, const char *what, struct slice cell)
{
    return err_set(r->err, ERR_FORMAT, "%s:%zu: %s '%.*s'", r->name, r->line,
                   what, (int)(cell.n < 60 ? cell.n : 60), cell.p);
}

/* The piece of *rest up to `end`; *rest moves past it. */
static struct slice next_piece(struct slice *rest, char end)
{
    const char *hit = rest->n ? memchr(rest->p, end, rest->n) : NULL;
    struct slice piece = { rest->p, hit ? (size_t)(hit - rest->p) : rest->n };

    rest->p += piece.n + (hit ? 1 : 0);
    rest->n -= piece.n + (hit ? 1 : 0);
    return piece;
}

static bool leading_number(struct slice s, double *out)
{
    char text[32];
    char *end;
    size_t n = s.n < sizeof(text) - 1 ? s.n : sizeof(text) - 1;

    memcpy(text, s.p, n);
    text[n] = '\0';
    *out = strtod(text, &end);
    return end != text && isfinite(*out) && *out >= 0 && *out < 1e12;
}

static int read_figures(const struct reader *r, struct slice cell,
                        struct catalog_model *m)
{
    while (cell.n) {
        struct slice piece = slice_trim(next_piece(&cell, ';'));
        struct slice rest = piece;
        struct slice name = next_piece(&rest, '=');
        struct slice value = next_piece(&rest, '@');
        struct catalog_figure *f = &m->figures[m->figure_count];

        if (piece.n == 0)
            continue;
        if (m->figure_count == CATALOG_MAX_FIGURES)
            return bad(r, "too many benchmarks from", piece);
        if (name.n == 0 || name.n >= sizeof(f->name) || rest.n == 0 ||
            rest.n >= sizeof(f->source) || !leading_number(value, &f->value))
            return bad(r, "benchmark is not NAME=VALUE@SOURCE:", piece);
        memcpy(f->name, name.p, name.n);
        memcpy(f->source, rest.p, rest.n);
        m->figure_count++;
    }
    return ERR_OK;
}

static int read_context(const struct reader *r, struct slice cell,
                        struct catalog_model *m)
{
    double v = 0;

    m->context_text = slice_dup(cell);
    if (cell.n && !leading_number(cell, &v))
        return bad(r, "context does not begin with a number:", cell);
    m->context = (int64_t)v;
    return ERR_OK;
}

static int read_cell(const struct reader *r, const struct column *c,
                     struct slice cell, struct catalog_model *m)
{
    char *field = (char *)m + c->offset;
    double v = 0;

    switch (c->kind) {
    case TEXT: *(char **)(void *)field = slice_dup(cell); return ERR_OK;
    case FIGURES: return read_figures(r, cell, m);
    case CONTEXT: return read_context(r, cell, m);
    case TIED:
        if (cell.n && !slice_is(cell, "yes") && !slice_is(cell, "no"))
            return bad(r, "tied is yes, no or empty, not", cell);
        m->tied = cell.n == 0 ? -1 : slice_is(cell, "yes");
        return ERR_OK;
    case COUNT:
    case BILLION:
        if (cell.n && !leading_number(cell, &v))
            return bad(r, "not a number:", cell);
        if (c->kind == BILLION)
            *(double *)(void *)field = v;
        else
            *(int64_t *)(void *)field = (int64_t)v;
        return ERR_OK;
    }
    return ERR_OK;
}

static int place_column(struct reader *r, const struct column *column,
                        struct slice cell)
{
    for (size_t i = 0; i < r->columns; i++)
        if (r->order[i] == column)
            return bad(r, "two columns", cell);
    r->order[r->columns] = column;
    return ERR_OK;
}

static int read_header(struct reader *r, struct slice line)
{
    bool seen_model = false;

    while (line.n) {
        struct slice cell = slice_trim(next_piece(&line, '\t'));

        if (r->columns == MAX_COLUMNS)
            return bad(r, "more than 64 columns from", cell);
        r->order[r->columns] = NULL;
        for (size_t i = 0; i < COLUMN_COUNT; i++)
            if (slice_is(cell, columns[i].name) &&
                place_column(r, &columns[i], cell))
                return ERR_FORMAT;
        seen_model |= slice_is(cell, "model");
        r->columns++;
    }
    if (!seen_model)
        return err_set(r->err, ERR_FORMAT, "%s:%zu: no column 'model'", r->name,
                       r->line);
    return ERR_OK;
}

static void model_release(struct catalog_model *m)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        if (columns[i].kind == TEXT)
            free(*(char **)(void *)((char *)m + columns[i].offset));
    free(m->context_text);
}

/* Absent texts become "", so that no reader needs to ask. */
static void fill_texts(struct catalog_model *m)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        char **text = (char **)(void *)((char *)m + columns[i].offset);

        if (columns[i].kind == TEXT && !*text)
            *text = mem_strdup("");
    }
    if (!m->context_text)
        m->context_text = mem_strdup("");
}

static int read_row(struct catalog *c, struct reader *r, struct slice line)
{
    struct catalog_model m = { .tied = -1 };
    void *models = c->models;
    int rc = ERR_OK;

    for (size_t i = 0; i < r->columns && rc == ERR_OK; i++) {
        struct slice cell = slice_trim(next_piece(&line, '\t'));

        if (r->order[i])
            rc = read_cell(r, r->order[i], cell, &m);
    }
    fill_texts(&m);
    if (rc == ERR_OK && line.n)
        rc = bad(r, "more cells than columns:", line);
    if (rc == ERR_OK && (!*m.name || catalog_find(c, m.name)))
        rc = bad(r, "model without a name, or named twice:", slice_of(m.name));
    if (rc == ERR_OK && c->count == CATALOG_MAX_ROWS)
        rc = bad(r, "too many models from", slice_of(m.name));
    if (rc < 0) {
        model_release(&m);
        return rc;
    }
    mem_grow(&models, &c->cap, c->count + 1, sizeof(m));
    c->models = models;
    c->models[c->count++] = m;
    return ERR_OK;
}

/* "# key<TAB>text" */
static void read_source(struct catalog *c, struct slice line)
{
    struct slice key;
    void *texts = c->texts;

    line.p++;
    line.n--;
    key = slice_trim(next_piece(&line, '\t'));
    if (!line.n || !key.n)
        return;
    mem_grow(&texts, &c->text_cap, c->text_count + 1, sizeof(*c->texts));
    c->texts = texts;
    c->texts[c->text_count] = slice_dup(line);
    *map_put(c->sources, key.p, key.n, NULL) = c->text_count++;
}

int catalog_parse(struct slice text, const char *name, struct catalog **out,
                  struct err *err)
{
    struct catalog *c = mem_zalloc(sizeof(*c));
    struct reader r = { .name = name, .err = err };
    int rc = ERR_OK;

    c->sources = map_new();
    if (text.n > CATALOG_MAX_BYTES)
        rc = err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", name,
                     CATALOG_MAX_BYTES);
    while (text.n && rc == ERR_OK) {
        struct slice line = next_piece(&text, '\n');

        r.line++;
        if (line.n && line.p[0] == '#')
            read_source(c, line);
        else if (slice_trim(line).n == 0)
            continue;
        else if (!r.columns)
            rc = read_header(&r, line);
        else
            rc = read_row(c, &r, line);
    }
    if (rc == ERR_OK && !r.columns)
        rc = err_set(err, ERR_FORMAT, "%s: no header line", name);
    if (rc < 0)
        catalog_free(c);
    else
        *out = c;
    return rc;
}

int catalog_open(const char *path, struct catalog **out, struct err *err)
{
    const struct asset *shipped = assets_find("models.tsv");
    struct buf text = { 0 };
    int rc;

    if (!path)
        return catalog_parse(assets_text(shipped), "models.tsv", out, err);
    rc = io_read_file(path, CATALOG_MAX_BYTES, &text, err);
    if (rc == ERR_OK)
        rc = catalog_parse(buf_slice(&text), path, out, err);
    buf_release(&text);
    return rc;
}

void catalog_free(struct catalog *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++)
        model_release(&c->models[i]);
    for (size_t i = 0; i < c->text_count; i++)
        free(c->texts[i]);
    free(c->models);
    free(c->texts);
    map_free(c->sources);
    free(c);
}

size_t catalog_count(const struct catalog *c)
{
    return c->count;
}

const struct catalog_model *catalog_at(const struct catalog *c, size_t i)
{
    return &c->models[i];
}

const struct catalog_model *catalog_find(const struct catalog *c,
                                         const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcasecmp(c->models[i].name, name) == 0)
            return &c->models[i];
    return NULL;
}

const char *catalog_source(const struct catalog *c, const char *key)
{
    const uint64_t *at = map_get(c->sources, key, strlen(key));

    return at ? c->texts[*at] : key;
}
