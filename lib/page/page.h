/*
 * page.h - one HTML page: escaped text, tables, charts as SVG
 *
 * Nothing gets out unescaped: every text goes through page_text, and no name,
 * id or link of the page comes from data. There is no script and no inline
 * style, so the page's policy allows its one style by hash and nothing else.
 * Colours say nothing alone: series have marks, dashes and words too.
 * May use: base crypto.
 */
#ifndef PAGE_H
#define PAGE_H

#include "base/buf.h"

#define PAGE_LABEL_MAX 40  /* characters of a label in a chart */
#define PAGE_CELL_MAX 2000 /* characters of a cell */
#define PAGE_SERIES_MAX 12 /* of one chart; more are left out, and told */
#define PAGE_BARS_MAX 60
#define PAGE_NODES_MAX 64 /* of a flow */

/* & < > " ' escaped; bytes that are no UTF-8 and controls become U+FFFD, marks
 * that turn the direction of text stand as their codes. */
void page_text(struct buf *out, struct slice s);
/* At most max characters, with an ellipsis if there are more. */
void page_text_cut(struct buf *out, struct slice s, size_t max);

/* title is a text; no time and no name of a machine is put in. */
void page_begin(struct buf *out, const char *title);
void page_end(struct buf *out);
/* A section with its heading. */
void page_section(struct buf *out, const char *heading);
void page_section_end(struct buf *out);
/* A heading within a section. */
void page_heading(struct buf *out, const char *text);
void page_paragraph(struct buf *out, const char *text);

/* What is wider than the page scrolls by itself, with the keyboard too; name:
 * for screen readers. Ends with </div>. */
void page_scroll_begin(struct buf *out, const char *name);
/* Cells are texts; the first, if it is 'l', names its row; align: a char a
 * column, 'l', 'r' or 'd' (a date, kept on one line). The caption is read out
 * by screen readers and shown above. */
struct page_table {
    struct buf *out;
    const char *align;
};
void page_table_begin(struct page_table *t, struct buf *out,
                      const char *caption, const char *align,
                      const char *const *heads);
void page_table_row(struct page_table *t, const char *const *cells);
void page_table_end(struct page_table *t);

struct page_series {
    const char *name;
    const double *x, *y, *low, *high; /* low and high of intervals only */
    size_t n;
};
/* x1 <= x0 or y1 <= y0: from the data. percent: y is a share, intervals' x. */
struct page_axes {
    const char *title, *x, *y;
    double x0, x1, y0, y1;
    bool percent;
};
/* Charts without any finite value draw nothing. */
void page_svg_lines(struct buf *out, const struct page_axes *a,
                    const struct page_series *s, size_t n);
/* Horizontal bars, values beside them. */
void page_svg_bars(struct buf *out, const struct page_axes *a,
                   const char *const *names, const double *v, size_t n);
/* A row a name: s->y[i] with whiskers s->low[i], s->high[i]; marks[i] is a word
 * at its end. margins: of each row, NaN: no line; NULL: none. */
void page_svg_intervals(struct buf *out, const struct page_axes *a,
                        const char *const *names, const char *const *marks,
                        const struct page_series *s, const double *margins);
struct page_flow {
    const char *from, *to;
    double calls;
};
/* Left to right, as wide as the counts. Flows form no ring. */
void page_svg_flow(struct buf *out, const char *title,
                   const struct page_flow *f, size_t n);

/* A bar of text, width columns for share 1: eighth blocks, or '#'. */
void page_bar(struct buf *out, double share, unsigned width, bool ascii);

#endif
