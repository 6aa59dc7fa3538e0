/* page_svg.h - what the charts share; nobody outside this module includes it */
#ifndef PAGE_SVG_H
#define PAGE_SVG_H

#include "page/page.h"

#define PAGE_SVG_WIDTH 720.0

/* what: a sentence about what is drawn, for those who do not see it. */
void page_svg_begin(struct buf *out, double height, const char *title,
                    const char *what);
void page_svg_end(struct buf *out);
/* anchor: start, middle or end. */
void page_svg_label(struct buf *out, double x, double y, const char *anchor,
                    const char *text, size_t max);

#endif
