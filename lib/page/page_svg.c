/*
 * page_svg.c - lines, bars and intervals
 *
 * All are 720 units wide and scale with the page. Numbers are written with a
 * fixed form, so a page of the same data has the same bytes.
 */
#include "page/page_svg.h"

#include <math.h>

#define MARGIN_LEFT 64.0
#define MARGIN_RIGHT 20.0
#define MARGIN_TOP 24.0
#define MARGIN_BOTTOM 46.0
#define HEIGHT 320.0
#define ROW 26.0
#define NAMES 230.0 /* room for names left of bars */
#define WORDS 136.0 /* and for words right of intervals */
#define STYLES 6
#define POINTS_MAX 16 /* that are marked each; of more a few */
#define MARKS_MAX 12  /* of an axis, where adding a step may add nothing */

void page_svg_begin(struct buf *out, double height, const char *title,
                    const char *what)
{
    page_scroll_begin(out, title);
    buf_printf(out,
               "<svg viewBox=\"0 0 %g %.1f\" role=\"img\" "
               "xmlns=\"http://www.w3.org/2000/svg\"><title>",
               PAGE_SVG_WIDTH, height);
    page_text(out, slice_of(title));
    buf_str(out, "</title><desc>");
    page_text(out, slice_of(what));
    buf_str(out, "</desc>\n");
}

void page_svg_end(struct buf *out)
{
    buf_str(out, "</svg></div>\n");
}

void page_svg_label(struct buf *out, double x, double y, const char *anchor,
                    const char *text, size_t max)
{
    buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y,
               anchor);
    page_text_cut(out, slice_of(text), max);
    buf_str(out, "</text>\n");
}

static void put_line(struct buf *out, const char *style, double x0, double y0,
                     double x1, double y1)
{
    buf_printf(out,
               "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" "
               "y2=\"%.1f\"/>\n",
               style, x0, y0, x1, y1);
}

/* 1, 2 or 5 times a power of ten, for about five marks. */
static double step_of(double span)
{
    double raw = span / 5, power = pow(10, floor(log10(raw)));
    double lead = raw / power;

    return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
}

static void put_value(struct buf *out, double v, bool percent)
{
    if (percent)
        buf_printf(out, "%.4g %%", 100 * v);
    else if (fabs(v) >= 1e6)
        buf_printf(out, "%.4gM", v / 1e6);
    else if (fabs(v) >= 1e4)
        buf_printf(out, "%.4gk", v / 1e3);
    else
        buf_printf(out, "%.4g", fabs(v) < 1e-12 ? 0 : v);
}

static void grow(double *low, double *high, double v)
{
    if (!isfinite(v))
        return;
    *low = fmin(*low, v);
    *high = fmax(*high, v);
}

/* False: there is nothing to show. */
static bool fit(double *low, double *high)
{
    if (!(*low <= *high))
        return false;
    if (*high - *low < 1e-12) {
        *low -= .5;
        *high += .5;
    }
    return true;
}

struct frame {
    double x0, x1, y0, y1, left, width, top, height;
};

static double at_x(const struct frame *f, double x)
{
    return f->left + (x - f->x0) / (f->x1 - f->x0) * f->width;
}

static double at_y(const struct frame *f, double y)
{
    return f->top + f->height - (y - f->y0) / (f->y1 - f->y0) * f->height;
}

static bool frame_lines(struct frame *f, const struct page_axes *a,
                        const struct page_series *s, size_t n)
{
    *f = (struct frame){
        (double)INFINITY, -(double)INFINITY,
        (double)INFINITY, -(double)INFINITY,
        MARGIN_LEFT,      PAGE_SVG_WIDTH - MARGIN_LEFT - MARGIN_RIGHT,
        MARGIN_TOP,       HEIGHT - MARGIN_TOP - MARGIN_BOTTOM
    };
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < s[i].n; k++) {
            grow(&f->x0, &f->x1, s[i].x[k]);
            grow(&f->y0, &f->y1, s[i].y[k]);
        }
    if (!fit(&f->x0, &f->x1) || !fit(&f->y0, &f->y1))
        return false;
    if (a->x1 > a->x0) {
        f->x0 = a->x0;
        f->x1 = a->x1;
    }
    if (a->y1 > a->y0) {
        f->y0 = a->y0;
        f->y1 = a->y1;
    }
    return true;
}

static void put_mark(struct buf *out, double x, double y, const char *anchor,
                     double v, bool percent)
{
    struct buf text = { 0 };

    put_value(&text, v, percent);
    page_svg_label(out, x, y, anchor, text.data, PAGE_LABEL_MAX);
    buf_release(&text);
}

static void put_grid(struct buf *out, const struct frame *f,
                     const struct page_axes *a)
{
    double sx = step_of(f->x1 - f->x0), sy = step_of(f->y1 - f->y0);
    double bottom = f->top + f->height;

    for (int i = 0; i < MARKS_MAX; i++) {
        double v = (ceil(f->y0 / sy) + i) * sy;

        if (!(v <= f->y1 + sy * 1e-9))
            break;
        put_line(out, "rule", f->left, at_y(f, v), f->left + f->width,
                 at_y(f, v));
        put_mark(out, f->left - 6, at_y(f, v) + 4, "end", v, a->percent);
    }
    for (int i = 0; i < MARKS_MAX; i++) {
        double v = (ceil(f->x0 / sx) + i) * sx;

        if (!(v <= f->x1 + sx * 1e-9))
            break;
        put_mark(out, at_x(f, v), bottom + 16, "middle", v, false);
    }
    page_svg_label(out, f->left + f->width / 2, bottom + 36, "middle", a->x,
                   80);
    page_svg_label(out, 2, 11, "start", a->y, 40);
}

/* Squares, circles, diamonds, triangles: told apart without colour. */
static void put_point(struct buf *out, size_t style, double x, double y)
{
    style %= STYLES;
    if (style % 3 == 0)
        buf_printf(out,
                   "<circle class=\"f%zu\" cx=\"%.1f\" cy=\"%.1f\" "
                   "r=\"3.5\"/>\n",
                   style, x, y);
    else if (style % 3 == 1)
        buf_printf(out,
                   "<rect class=\"f%zu\" x=\"%.1f\" y=\"%.1f\" "
                   "width=\"7\" height=\"7\"/>\n",
                   style, x - 3.5, y - 3.5);
    else
        buf_printf(out, "<path class=\"f%zu\" d=\"M%.1f %.1fl4.5 8h-9z\"/>\n",
                   style, x, y - 5);
}

static void put_series(struct buf *out, const struct frame *f,
                       const struct page_series *s, size_t style)
{
    bool drawn = false;
    size_t every = s->n > POINTS_MAX ? s->n / 8 : 1;

    buf_printf(out, "<polyline class=\"l%zu\" points=\"", style % STYLES);
    for (size_t k = 0; k < s->n; k++)
        if (isfinite(s->x[k]) && isfinite(s->y[k])) {
            buf_printf(out, "%s%.1f,%.1f", drawn ? " " : "", at_x(f, s->x[k]),
                       at_y(f, s->y[k]));
            drawn = true;
        }
    buf_str(out, "\"/>\n");
    for (size_t k = 0; k < s->n; k += every)
        if (isfinite(s->x[k]) && isfinite(s->y[k]))
            put_point(out, style, at_x(f, s->x[k]), at_y(f, s->y[k]));
}

void page_svg_lines(struct buf *out, const struct page_axes *a,
                    const struct page_series *s, size_t n)
{
    size_t shown = n < PAGE_SERIES_MAX ? n : PAGE_SERIES_MAX;
    double height = HEIGHT + 18 * (double)shown;
    struct frame f;

    if (!frame_lines(&f, a, s, shown))
        return;
    page_svg_begin(out, height, a->title,
                   "Lines; their numbers stand in the table of this section.");
    put_grid(out, &f, a);
    for (size_t i = 0; i < shown; i++) {
        double y = HEIGHT + 4 + 18 * (double)i;

        put_series(out, &f, &s[i], i);
        buf_printf(out, "<path class=\"l%zu\" d=\"M%.1f %.1fh36\"/>\n",
                   i % STYLES, MARGIN_LEFT, y);
        put_point(out, i, MARGIN_LEFT + 18, y);
        page_svg_label(out, MARGIN_LEFT + 46, y + 4, "start", s[i].name, 80);
    }
    page_svg_end(out);
    if (shown < n)
        page_paragraph(out, "Further series stand in the table alone.");
}

void page_svg_bars(struct buf *out, const struct page_axes *a,
                   const char *const *names, const double *v, size_t n)
{
    size_t shown = n < PAGE_BARS_MAX ? n : PAGE_BARS_MAX;
    double most = a->x1 > 0 ? a->x1 : 0, room = PAGE_SVG_WIDTH - NAMES - 80;

    for (size_t i = 0; a->x1 <= 0 && i < shown; i++)
        most = isfinite(v[i]) ? fmax(most, v[i]) : most;
    if (!(most > 0))
        return;
    page_svg_begin(out, ROW * (double)shown + 8, a->title,
                   "Bars; their numbers stand in the table of this section.");
    for (size_t i = 0; i < shown; i++) {
        double y = 4 + ROW * (double)i, width;

        if (!isfinite(v[i]))
            continue;
        width = fmax(0, v[i]) / most * room;
        page_svg_label(out, NAMES - 8, y + 16, "end", names[i],
                       PAGE_LABEL_MAX - 6);
        buf_printf(out,
                   "<rect class=\"f0\" x=\"%.1f\" y=\"%.1f\" "
                   "width=\"%.1f\" height=\"18\"/>\n",
                   NAMES, y + 2, width);
        put_mark(out, NAMES + width + 6, y + 16, "start", v[i], a->percent);
    }
    page_svg_end(out);
}

static bool is_interval(const struct page_series *s, size_t i)
{
    return isfinite(s->y[i]) && isfinite(s->low[i]) && isfinite(s->high[i]);
}

static bool frame_intervals(struct frame *f, const struct page_axes *a,
                            const struct page_series *s, const double *margins)
{
    *f = (struct frame){ .x0 = fmin(0, a->x0),
                         .x1 = fmax(0, a->x1),
                         .left = NAMES,
                         .width = PAGE_SVG_WIDTH - NAMES - WORDS - 8 };
    bool is_any = false;

    for (size_t i = 0; i < s->n; i++) {
        if (margins)
            grow(&f->x0, &f->x1, margins[i]);
        is_any |= is_interval(s, i);
        grow(&f->x0, &f->x1, s->y[i]);
        grow(&f->x0, &f->x1, s->low[i]);
        grow(&f->x0, &f->x1, s->high[i]);
    }
    return is_any && fit(&f->x0, &f->x1);
}

static void put_interval(struct buf *out, const struct frame *f, double y,
                         const struct page_series *s, size_t i)
{
    double low = at_x(f, s->low[i]), high = at_x(f, s->high[i]);

    put_line(out, "l0", low, y, high, y);
    put_line(out, "l0", low, y - 5, low, y + 5);
    put_line(out, "l0", high, y - 5, high, y + 5);
    put_point(out, 0, at_x(f, s->y[i]), y);
}

void page_svg_intervals(struct buf *out, const struct page_axes *a,
                        const char *const *names, const char *const *marks,
                        const struct page_series *s, const double *margins)
{
    double bottom = ROW * (double)s->n + 12, step;
    struct frame f;

    if (!frame_intervals(&f, a, s, margins))
        return;
    step = step_of(f.x1 - f.x0);
    page_svg_begin(out, bottom + 44, a->title,
                   "Values with their intervals; the numbers stand in the "
                   "table of this section.");
    for (int i = 0; i < MARKS_MAX; i++) {
        double v = (ceil(f.x0 / step) + i) * step;

        if (!(v <= f.x1 + step * 1e-9))
            break;
        put_line(out, "rule", at_x(&f, v), 4, at_x(&f, v), bottom);
        put_mark(out, at_x(&f, v), bottom + 16, "middle", v, a->percent);
    }
    for (size_t i = 0; i < s->n; i++) {
        double y = 12 + ROW * ((double)i + .3);

        if (!is_interval(s, i))
            continue;
        page_svg_label(out, NAMES - 8, y + 4, "end", names[i],
                       PAGE_LABEL_MAX - 6);
        if (margins && isfinite(margins[i]))
            put_line(out, "margin", at_x(&f, margins[i]), y - ROW / 2,
                     at_x(&f, margins[i]), y + ROW / 2);
        put_interval(out, &f, y, s, i);
        page_svg_label(out, PAGE_SVG_WIDTH - WORDS, y + 4, "start", marks[i],
                       24);
    }
    page_svg_label(out, f.left + f.width / 2, bottom + 36, "middle", a->x, 90);
    page_svg_end(out);
}
