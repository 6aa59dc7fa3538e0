/*
 * page_flow.c - calls through the steps, as bands of their width
 *
 * A node stands one column right of the last that flows into it; within its
 * column nodes keep the order in which they were named.
 */
#include "page/page_svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TOP 24.0
#define GAP 24.0
#define BAR 10.0
#define TALL 260.0 /* of the widest column's bands */
#define THIN 1.0

struct node {
    const char *name;
    double in, out, x, y, height, used_in, used_out;
    unsigned column;
};

struct layout {
    struct node nodes[PAGE_NODES_MAX];
    size_t count;
    unsigned columns;
    double scale, height;
};

/* PAGE_NODES_MAX if there are too many. */
static size_t node_of(struct layout *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->nodes[i].name, name) == 0)
            return i;
    if (l->count == PAGE_NODES_MAX)
        return PAGE_NODES_MAX;
    l->nodes[l->count] = (struct node){ .name = name };
    return l->count++;
}

static bool is_flow(const struct page_flow *f)
{
    return isfinite(f->calls) && f->calls > 0;
}

static bool gather(struct layout *l, const struct page_flow *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t from, to;

        if (!is_flow(&f[i]))
            continue;
        from = node_of(l, f[i].from);
        to = node_of(l, f[i].to);
        if (from == PAGE_NODES_MAX || to == PAGE_NODES_MAX)
            return false;
        l->nodes[from].out += f[i].calls;
        l->nodes[to].in += f[i].calls;
    }
    return l->count > 0;
}

static void order(struct layout *l, const struct page_flow *f, size_t n)
{
    for (size_t round = 0; round < l->count; round++)
        for (size_t i = 0; i < n; i++) {
            struct node *from, *to;

            if (!is_flow(&f[i]))
                continue;
            from = &l->nodes[node_of(l, f[i].from)];
            to = &l->nodes[node_of(l, f[i].to)];
            if (to->column <= from->column && from->column + 1 < l->count)
                to->column = from->column + 1;
        }
    for (size_t i = 0; i < l->count; i++)
        if (l->nodes[i].column >= l->columns)
            l->columns = l->nodes[i].column + 1;
}

static void place(struct layout *l)
{
    double most = 0, step;

    for (size_t i = 0; i < l->count; i++)
        most = fmax(most, fmax(l->nodes[i].in, l->nodes[i].out));
    l->scale = TALL / most;
    step = l->columns > 1 ? (PAGE_SVG_WIDTH - 170) / (l->columns - 1) : 0;
    for (unsigned c = 0; c < l->columns; c++) {
        double y = TOP;

        for (size_t i = 0; i < l->count; i++) {
            struct node *k = &l->nodes[i];

            if (k->column != c)
                continue;
            k->x = 4 + step * c;
            k->y = y;
            k->height = fmax(THIN, fmax(k->in, k->out) * l->scale);
            y += k->height + GAP;
        }
        l->height = fmax(l->height, y);
    }
}

static void put_band(struct buf *out, struct layout *l,
                     const struct page_flow *f)
{
    struct node *from = &l->nodes[node_of(l, f->from)];
    struct node *to = &l->nodes[node_of(l, f->to)];
    double width = fmax(THIN, f->calls * l->scale);
    double x0 = from->x + BAR, x1 = to->x, middle = (x0 + x1) / 2;
    double y0 = from->y + from->used_out + width / 2;
    double y1 = to->y + to->used_in + width / 2;

    from->used_out += f->calls * l->scale;
    to->used_in += f->calls * l->scale;
    buf_printf(out,
               "<path class=\"flow\" stroke-width=\"%.1f\" d=\"M%.1f %.1fC%.1f "
               "%.1f %.1f %.1f %.1f %.1f\"/>\n",
               width, x0, y0, middle, y0, middle, y1, x1, y1);
}

static void put_node(struct buf *out, const struct node *k)
{
    char count[32];

    buf_printf(out,
               "<rect class=\"node\" x=\"%.1f\" y=\"%.1f\" width=\"%g\" "
               "height=\"%.1f\"/>\n",
               k->x, k->y, BAR, k->height);
    snprintf(count, sizeof(count), "%.0f", fmax(k->in, k->out));
    buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\">", k->x, k->y - 5);
    page_text_cut(out, slice_of(k->name), 22);
    buf_printf(out, " %s</text>\n", count);
}

void page_svg_flow(struct buf *out, const char *title,
                   const struct page_flow *f, size_t n)
{
    struct layout l = { .count = 0 };

    if (!gather(&l, f, n))
        return;
    order(&l, f, n);
    place(&l);
    page_svg_begin(out, l.height, title,
                   "Bands as wide as the number of calls, from left to right.");
    for (size_t i = 0; i < n; i++)
        if (is_flow(&f[i]))
            put_band(out, &l, &f[i]);
    for (size_t i = 0; i < l.count; i++)
        put_node(out, &l.nodes[i]);
    page_svg_end(out);
}
