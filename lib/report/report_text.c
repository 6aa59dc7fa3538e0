/* report_text.c - numbers and escaped text */
#include "report/report.h"

#include <math.h>
#include <string.h>

void report_number(struct buf *out, double v, int decimals)
{
    if (isnan(v))
        buf_char(out, '-');
    else
        buf_printf(out, "%.*f", decimals, v);
}

void report_rate(struct buf *out, double v, struct score_interval i)
{
    if (isnan(v)) {
        buf_char(out, '-');
        return;
    }
    buf_printf(out, "%.1f [%.1f, %.1f]", 100 * v, 100 * i.low, 100 * i.high);
}

void report_xml(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.n;) {
        size_t used;
        int32_t c = utf8_decode(text.p + i, text.n - i, &used);

        if (c == '<')
            buf_str(out, "&lt;");
        else if (c == '>')
            buf_str(out, "&gt;");
        else if (c == '&')
            buf_str(out, "&amp;");
        else if (c == '"')
            buf_str(out, "&quot;");
        else if (c == '\n' || c == '\t')
            buf_printf(out, "&#%d;", (int)c);
        else if (c < 0x20 || c == 0xFFFE || c == 0xFFFF)
            buf_str(out, "\xEF\xBF\xBD");
        else
            buf_add(out, text.p + i, used);
        i += used;
    }
}

void report_markdown_cell(struct buf *out, struct slice text, size_t max)
{
    size_t i = 0;

    while (i < text.n && i < max) {
        size_t used;
        int32_t c = utf8_decode(text.p + i, text.n - i, &used);

        if (c == '<')
            buf_str(out, "&lt;");
        else if (c == '&')
            buf_str(out, "&amp;");
        else if (c > 0 && c < 0x80 && strchr("|\\`*_[]{}#!~$@", (char)c))
            buf_printf(out, "&#%d;", (int)c);
        else if (c < 0)
            buf_str(out, "\xEF\xBF\xBD");
        else if (c < 0x20)
            buf_char(out, ' ');
        else
            buf_add(out, text.p + i, used);
        i += used;
    }
    if (i < text.n)
        buf_str(out, "...");
}

void report_condition(struct buf *out, const struct score_condition *c)
{
    bool latency = strcmp(c->name, "latency") == 0;
    double scale = latency ? 1 : 100;

    buf_printf(out, "%s: %s, ", c->name, score_verdict_name(c->verdict));
    buf_str(out, latency ? "95th percentile " : "difference ");
    report_number(out, scale * c->value, latency ? 0 : 1);
    buf_str(out, " [");
    report_number(out, scale * c->interval.low, latency ? 0 : 1);
    buf_str(out, ", ");
    report_number(out,
                  isfinite(c->interval.high) ? scale * c->interval.high
                                             : (double)NAN,
                  latency ? 0 : 1);
    buf_printf(out, "] %s, limit %g, of %zu", latency ? "ms" : "points",
               scale * c->limit, c->count);
}

void report_need(struct buf *out, const struct score_gate *g)
{
    bool own = g->deciding < g->condition_count;
    const struct score_condition *c = &g->condition[own ? g->deciding : 0];

    if (g->need >= SCORE_MAX_NEED)
        return;
    buf_printf(out, "; about %zu %s would decide (there are %zu)", g->need,
               own && strcmp(c->name, "latency") == 0 ? "latencies" : "calls",
               own ? c->count : g->count);
}
