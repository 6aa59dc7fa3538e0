/* cli_table.c - text tables for people */
#include "cli/cli_private.h"

#include "base/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE_GAP 2

struct cli_table {
    char *align;
    size_t columns, count, cap;
    char **cells; /* row after row; the header is row 0 */
};

static void add_row(struct cli_table *t, const char *first, va_list ap)
{
    mem_grow((void **)&t->cells, &t->cap, t->count + t->columns,
             sizeof(*t->cells));
    for (size_t i = 0; i < t->columns; i++) {
        const char *cell = i ? va_arg(ap, const char *) : first;
        struct buf b = { .data = NULL };

        assert(cell);
        text_clean(&b, cell);
        t->cells[t->count++] = buf_take(&b, NULL);
    }
}

struct cli_table *cli_table_new(const char *align, ...)
{
    struct cli_table *t = mem_zalloc(sizeof(*t));
    const char *first;
    va_list ap;

    t->align = mem_strdup(align);
    t->columns = strlen(align);
    va_start(ap, align);
    first = va_arg(ap, const char *);
    add_row(t, first, ap);
    va_end(ap);
    return t;
}

void cli_table_row(struct cli_table *t, ...)
{
    const char *first;
    va_list ap;

    va_start(ap, t);
    first = va_arg(ap, const char *);
    add_row(t, first, ap);
    va_end(ap);
}

static void spaces(struct buf *out, size_t n)
{
    while (n--)
        buf_char(out, ' ');
}

static void print_row(const struct cli_table *t, size_t row,
                      const size_t *widths, struct buf *out)
{
    char *const *cells = t->cells + row * t->columns;

    for (size_t i = 0; i < t->columns; i++) {
        size_t pad = widths[i] - text_width(cells[i], strlen(cells[i]));

        if (t->align[i] == 'r')
            spaces(out, pad);
        buf_str(out, cells[i]);
        if (i + 1 == t->columns)
            break;
        spaces(out, TABLE_GAP + (t->align[i] == 'r' ? 0 : pad));
    }
    while (out->len && out->data[out->len - 1] == ' ')
        out->len--;
    buf_char(out, '\n');
}

static bool underline_is_wanted(void)
{
    const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

    return isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0 &&
           !(no && *no);
}

void cli_table_print(const struct cli_table *t, struct buf *out)
{
    size_t *widths = mem_array(t->columns, sizeof(*widths));
    bool underline = underline_is_wanted();

    memset(widths, 0, t->columns * sizeof(*widths));
    for (size_t i = 0; i < t->count; i++) {
        size_t w = text_width(t->cells[i], strlen(t->cells[i]));

        if (w > widths[i % t->columns])
            widths[i % t->columns] = w;
    }
    for (size_t row = 0; row * t->columns < t->count; row++) {
        if (underline && !row)
            buf_str(out, "\033[4m");
        print_row(t, row, widths, out);
        if (underline && !row) {
            out->len--;
            buf_str(out, "\033[0m\n");
        }
    }
    free(widths);
}

void cli_table_free(struct cli_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i]);
    free(t->cells);
    free(t->align);
    free(t);
}
