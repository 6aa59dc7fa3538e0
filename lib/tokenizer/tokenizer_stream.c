/*
 * tokenizer_stream.c - ids to text as they come
 *
 * A short window is decoded again with each id and what is new is given out,
 * as long as it does not end inside a character: right for every kind of
 * decoder, and cheap because the window is a few tokens.
 */
#include "tokenizer/tokenizer_internal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct tokenizer_stream {
    const struct tokenizer *t;
    bool skip_special;
    struct token_list window; /* ids whose text is not yet settled */
    size_t given;             /* bytes of the window's text given out */
    size_t settled;           /* ids of the window that are given out */
};

#define STREAM_WINDOW 8

struct tokenizer_stream *tokenizer_stream_new(const struct tokenizer *t,
                                              bool skip_special)
{
    struct tokenizer_stream *s = mem_zalloc(sizeof(*s));

    s->t = t;
    s->skip_special = skip_special;
    return s;
}

static bool ends_open(const struct buf *text)
{
    return text->len >= 3 &&
           memcmp(text->data + text->len - 3, "\xEF\xBF\xBD", 3) == 0;
}

static void window_text(const struct tokenizer_stream *s, size_t from, size_t n,
                        struct buf *out)
{
    buf_reset(out);
    tokenizer_decode(s->t, s->window.ids + from, n, s->skip_special, out);
}

/* Forget what is settled but for the last such id, which keeps what follows
 * from being taken for the start of a text; it must be whole by itself. */
static void shrink_window(struct tokenizer_stream *s, struct buf *text)
{
    size_t keep = s->window.count - s->settled + 1;

    window_text(s, s->settled - 1, 1, text);
    if (ends_open(text))
        return;
    memmove(s->window.ids, s->window.ids + s->window.count - keep,
            keep * sizeof(*s->window.ids));
    s->window.count = keep;
    s->settled = 1;
    s->given = text->len;
}

/* What is new. A decoder may have changed its mind about bytes before: begin
 * at a whole character. */
static void give(struct tokenizer_stream *s, const struct buf *text,
                 struct buf *out)
{
    while (s->given < text->len && (text->data[s->given] & 0xC0) == 0x80)
        s->given++;
    if (s->given < text->len)
        buf_add(out, text->data + s->given, text->len - s->given);
    s->given = text->len;
}

void tokenizer_stream_add(struct tokenizer_stream *s, int32_t id,
                          struct buf *out)
{
    struct buf text = { 0 };
    struct slice one;

    if (!tokenizer_shown(s->t, id, s->skip_special, &one))
        return;
    token_list_add(&s->window, id);
    window_text(s, 0, s->window.count, &text);
    if (text.len > s->given && !ends_open(&text)) {
        give(s, &text, out);
        s->settled = s->window.count;
        if (s->settled > STREAM_WINDOW)
            shrink_window(s, &text);
    }
    buf_release(&text);
}

void tokenizer_stream_end(struct tokenizer_stream *s, struct buf *out)
{
    struct buf text = { 0 };

    window_text(s, 0, s->window.count, &text);
    if (text.len > s->given)
        give(s, &text, out);
    s->window.count = s->settled = s->given = 0;
    buf_release(&text);
}

void tokenizer_stream_free(struct tokenizer_stream *s)
{
    if (!s)
        return;
    token_list_release(&s->window);
    free(s);
}
