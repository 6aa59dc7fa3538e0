/*
 * cli_text.c - text that came from outside, made fit for a terminal
 *
 * Logs hold what strangers wrote. Nothing of it may move the cursor, so
 * control characters (C0, DEL, C1) and invalid UTF-8 are shown as \xNN.
 */
#include "cli/cli_private.h"

#include <string.h>

static bool is_control(int32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 ||
           cp == 0x2029 || (cp >= 0x202a && cp <= 0x202e) ||
           (cp >= 0x2066 && cp <= 0x2069);
}

void text_clean(struct buf *out, const char *text)
{
    size_t n = strlen(text), used;

    for (size_t i = 0; i < n; i += used) {
        int32_t cp = utf8_decode(text + i, n - i, &used);

        if (cp == '\t' || cp == '\n')
            buf_char(out, ' ');
        else if (is_control(cp))
            for (size_t k = 0; k < used; k++)
                buf_printf(out, "\\x%02x", (unsigned char)text[i + k]);
        else
            buf_add(out, text + i, used);
    }
}

/* The wide and the zero-width blocks of Unicode, coarsely: enough to align
 * columns, not a typesetter. */
static size_t columns_of(int32_t cp)
{
    static const struct {
        int32_t first, last;
        size_t width;
    } blocks[] = {
        { 0x0300, 0x036f, 0 }, { 0x200b, 0x200f, 0 },   { 0x20d0, 0x20ff, 0 },
        { 0xfe00, 0xfe0f, 0 }, { 0xfe20, 0xfe2f, 0 },   { 0x1100, 0x115f, 2 },
        { 0x2e80, 0x303e, 2 }, { 0x3041, 0xa4cf, 2 },   { 0xac00, 0xd7a3, 2 },
        { 0xf900, 0xfaff, 2 }, { 0xfe30, 0xfe6f, 2 },   { 0xff00, 0xff60, 2 },
        { 0xffe0, 0xffe6, 2 }, { 0x1f300, 0x1faff, 2 }, { 0x20000, 0x3fffd, 2 },
    };

    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
        if (cp >= blocks[i].first && cp <= blocks[i].last)
            return blocks[i].width;
    return 1;
}

size_t text_width(const char *text, size_t n)
{
    size_t width = 0, used;

    for (size_t i = 0; i < n; i += used)
        width += columns_of(utf8_decode(text + i, n - i, &used));
    return width;
}
