/*
 * page.c - text, tables and the frame of a page
 *
 * The style is one constant text; its hash is the only thing that the page's
 * policy lets a browser apply.
 */
#include "page/page.h"

#include "crypto/crypto.h"

#include <math.h>

static const char style[] =
    ":root{color-scheme:light dark;--fg:#1b1b1b;--bg:#fff;--dim:#595959;"
    "--rule:#c8c8c8;--c0:#0b5cad;--c1:#a8440c;--c2:#1d6f3a;--c3:#7a3db8;"
    "--c4:#8a6100;--c5:#b0265e;--soft:#dce8f4}"
    "@media(prefers-color-scheme:dark){:root{--fg:#ececec;--bg:#16181b;"
    "--dim:#b0b0b0;--rule:#4a4d52;--c0:#7db8f5;--c1:#f2a679;--c2:#7fd39a;"
    "--c3:#cfa5f7;--c4:#e3c064;--c5:#f59cbd;--soft:#263748}}"
    "@media print{:root{color-scheme:light;--fg:#000;--bg:#fff;--dim:#444;"
    "--rule:#bbb;--c0:#0b5cad;--c1:#a8440c;--c2:#1d6f3a;--c3:#7a3db8;"
    "--c4:#8a6100;--c5:#b0265e;--soft:#e6eef6}svg,tr{break-inside:avoid}h2,"
    "h3,caption{break-after:avoid}}"
    "body{margin:0 auto;padding:1.5rem;max-width:60rem;color:var(--fg);"
    "background:var(--bg);font:16px/1.5 system-ui,sans-serif;"
    "overflow-wrap:break-word}"
    "h1{font-size:1.7rem;line-height:1.2}h2{font-size:1.25rem;margin-top:2rem}"
    "h3{font-size:1rem;margin:1.2rem 0 0}"
    ".scroll{overflow-x:auto}"
    ".scroll:focus,.skip:focus{outline:3px solid var(--c0);"
    "outline-offset:2px}"
    ".skip{position:absolute;left:-99rem}"
    ".skip:focus{position:static;color:var(--c0)}"
    "main:focus{outline:none}"
    "table{border-collapse:collapse;margin:.7rem 0;font-size:.9rem}"
    "caption{text-align:left;color:var(--dim);padding-bottom:.3rem}"
    "th,td{padding:.25rem .6rem;border-bottom:1px solid var(--rule);"
    "text-align:left;vertical-align:top;overflow-wrap:anywhere;"
    "min-width:6.5rem}"
    "th{overflow-wrap:normal}"
    "tbody th{font-weight:normal;overflow-wrap:anywhere}"
    "th.r,td.r{text-align:right;font-variant-numeric:tabular-nums;"
    "min-width:0;white-space:nowrap}"
    "td.d{white-space:nowrap}"
    "svg{width:100%;min-width:38rem;max-width:56rem;height:auto;"
    "display:block;margin:.7rem 0}"
    "svg text{fill:var(--fg);font:12px system-ui,sans-serif;stroke:var(--bg);"
    "stroke-width:3px;stroke-linejoin:round;paint-order:stroke}"
    "svg .dim{fill:var(--dim)}svg .rule{stroke:var(--rule);fill:none}"
    "svg .margin{stroke:var(--fg);stroke-dasharray:5 4}"
    "svg .node{fill:var(--fg)}"
    "svg .flow{fill:none;stroke:var(--c0);stroke-opacity:.35}"
    ".l0,.l1,.l2,.l3,.l4,.l5{fill:none;stroke-width:2}"
    ".l0{stroke:var(--c0)}.l1{stroke:var(--c1);stroke-dasharray:7 3}"
    ".l2{stroke:var(--c2);stroke-dasharray:2 3}"
    ".l3{stroke:var(--c3);stroke-dasharray:9 3 2 3}"
    ".l4{stroke:var(--c4);stroke-dasharray:4 4}"
    ".l5{stroke:var(--c5);stroke-dasharray:12 3}"
    ".f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}"
    ".f3{fill:var(--c3)}.f4{fill:var(--c4)}.f5{fill:var(--c5)}"
    "p,ul{max-width:46rem}"
    "@media print{:root{font-size:11px}"
    "body{max-width:none;padding:0;font-size:11px}"
    ".scroll{overflow:visible}table{font-size:9px}"
    "th,td{padding:.2rem .3rem;min-width:3rem}"
    "svg{min-width:0;max-width:165mm}.skip{display:none}}";

/* Marks that turn the direction of text, or break lines unseen. */
static bool is_turning(int32_t c)
{
    return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) ||
           c == 0x200E || c == 0x200F || c == 0x061C || c == 0x2028 ||
           c == 0x2029 || c == 0xFEFF;
}

static void put_character(struct buf *out, int32_t c, const char *p, size_t n)
{
    if (c == '&')
        buf_str(out, "&amp;");
    else if (c == '<')
        buf_str(out, "&lt;");
    else if (c == '>')
        buf_str(out, "&gt;");
    else if (c == '"')
        buf_str(out, "&quot;");
    else if (c == '\'')
        buf_str(out, "&#39;");
    else if (c == '\n' || c == '\t' || c == '\r')
        buf_char(out, ' ');
    else if (c < 0x20 || (c >= 0x7F && c < 0xA0) || (c & 0xFFFE) == 0xFFFE ||
             (c >= 0xFDD0 && c <= 0xFDEF))
        buf_str(out, "\xEF\xBF\xBD");
    else if (is_turning(c))
        buf_printf(out, "[U+%04X]", (unsigned)c);
    else
        buf_add(out, p, n);
}

void page_text_cut(struct buf *out, struct slice s, size_t max)
{
    size_t at = 0;

    for (size_t count = 0; at < s.n && count < max; count++) {
        size_t used;
        int32_t c = utf8_decode(s.p + at, s.n - at, &used);

        put_character(out, c, s.p + at, used);
        at += used;
    }
    if (at < s.n)
        buf_str(out, "\xE2\x80\xA6");
}

void page_text(struct buf *out, struct slice s)
{
    page_text_cut(out, s, SIZE_MAX);
}

void page_begin(struct buf *out, const char *title)
{
    unsigned char hash[CRYPTO_SHA256_BYTES];

    crypto_sha256(slice_of(style), hash);
    buf_str(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
                 "<meta charset=\"utf-8\">\n"
                 "<meta http-equiv=\"Content-Security-Policy\" content=\""
                 "default-src 'none'; style-src 'sha256-");
    crypto_base64((struct slice){ (char *)hash, sizeof(hash) }, out);
    buf_str(out, "'; base-uri 'none'; form-action 'none'\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width, "
                 "initial-scale=1\">\n"
                 "<meta name=\"referrer\" content=\"no-referrer\">\n<title>");
    page_text(out, slice_of(title));
    buf_str(out, "</title>\n<style>");
    buf_str(out, style);
    buf_str(out, "</style>\n</head>\n<body>\n<a class=\"skip\" "
                 "href=\"#content\">Skip to the content</a>\n<header><h1>");
    page_text(out, slice_of(title));
    buf_str(out, "</h1></header>\n<main id=\"content\" tabindex=\"-1\">\n");
}

void page_end(struct buf *out)
{
    buf_str(out, "</main>\n</body>\n</html>\n");
}

void page_section(struct buf *out, const char *heading)
{
    buf_str(out, "<section>\n<h2>");
    page_text(out, slice_of(heading));
    buf_str(out, "</h2>\n");
}

void page_section_end(struct buf *out)
{
    buf_str(out, "</section>\n");
}

void page_heading(struct buf *out, const char *text)
{
    buf_str(out, "<h3>");
    page_text_cut(out, slice_of(text), PAGE_CELL_MAX);
    buf_str(out, "</h3>\n");
}

void page_paragraph(struct buf *out, const char *text)
{
    buf_str(out, "<p>");
    page_text(out, slice_of(text));
    buf_str(out, "</p>\n");
}

static void put_cell(struct page_table *t, size_t column, const char *text,
                     bool head)
{
    struct slice s = slice_of(text);
    bool right = t->align[column] == 'r';
    bool names = !head && column == 0 && t->align[0] == 'l'; /* its row */

    buf_printf(t->out, "<%s%s>",
               head    ? "th scope=\"col\""
               : names ? "th scope=\"row\""
                       : "td",
               right                     ? " class=\"r\""
               : t->align[column] == 'd' ? " class=\"d\""
                                         : "");
    page_text_cut(t->out, s, PAGE_CELL_MAX);
    buf_str(t->out, head || names ? "</th>" : "</td>");
}

static void put_row(struct page_table *t, const char *const *cells, bool head)
{
    buf_str(t->out, "<tr>");
    for (size_t i = 0; t->align[i]; i++)
        put_cell(t, i, cells[i], head);
    buf_str(t->out, "</tr>\n");
}

void page_scroll_begin(struct buf *out, const char *name)
{
    buf_str(out, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" "
                 "aria-label=\"");
    page_text(out, slice_of(name));
    buf_str(out, "\">");
}

void page_table_begin(struct page_table *t, struct buf *out,
                      const char *caption, const char *align,
                      const char *const *heads)
{
    *t = (struct page_table){ out, align };
    page_scroll_begin(out, caption);
    buf_str(out, "<table>\n<caption>");
    page_text(out, slice_of(caption));
    buf_str(out, "</caption>\n<thead>\n");
    put_row(t, heads, true);
    buf_str(out, "</thead>\n<tbody>\n");
}

void page_table_row(struct page_table *t, const char *const *cells)
{
    put_row(t, cells, false);
}

void page_table_end(struct page_table *t)
{
    buf_str(t->out, "</tbody>\n</table></div>\n");
}

void page_bar(struct buf *out, double share, unsigned width, bool ascii)
{
    double eighths = fmin(fmax(share, 0), 1) * width * 8;
    unsigned whole, rest;

    if (isnan(share))
        return;
    whole = (unsigned)floor(eighths / 8);
    rest = (unsigned)(eighths - 8.0 * whole);
    for (unsigned i = 0; i < whole; i++)
        buf_str(out, ascii ? "#" : "\xE2\x96\x88");
    if (rest && !ascii) { /* U+258F is one eighth, U+2589 seven */
        const char block[] = { '\xE2', '\x96', (char)(0x90 - rest) };

        buf_add(out, block, sizeof(block));
    }
}
