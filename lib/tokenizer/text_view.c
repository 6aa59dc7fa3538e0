/*
 * text_view.c - text that remembers where each of its bytes came from
 *
 * Most tokenizers change nothing before splitting, so an unchanged text
 * carries only a base offset; the arrays appear with the first change.
 */
#include "tokenizer/tokenizer_internal.h"

#include "base/mem.h"

#include <stdlib.h>

void text_build_reset(struct text_build *b)
{
    buf_reset(&b->bytes);
}

void text_build_release(struct text_build *b)
{
    buf_release(&b->bytes);
    free(b->from);
    free(b->to);
    *b = (struct text_build){ 0 };
}

static void room_for(struct text_build *b, size_t n)
{
    size_t need = b->bytes.len + n, cap = b->cap;
    void *from = b->from, *to = b->to;

    mem_grow(&from, &cap, need, sizeof(*b->from));
    mem_grow(&to, &b->cap, need, sizeof(*b->to));
    b->from = from;
    b->to = to;
}

void text_build_add(struct text_build *b, const char *p, size_t n, size_t from,
                    size_t to)
{
    room_for(b, n);
    for (size_t i = 0; i < n; i++) {
        b->from[b->bytes.len + i] = (uint32_t)from;
        b->to[b->bytes.len + i] = (uint32_t)to;
    }
    buf_add(&b->bytes, p, n);
}

void text_build_copy(struct text_build *b, struct text_view v, size_t i,
                     size_t n)
{
    room_for(b, n);
    for (size_t k = 0; k < n; k++) {
        size_t at = i + k;

        b->from[b->bytes.len + k] =
            v.from ? v.from[at] : (uint32_t)(v.base + at);
        b->to[b->bytes.len + k] = v.to ? v.to[at] : (uint32_t)(v.base + at + 1);
    }
    buf_add(&b->bytes, v.p + i, n);
}

struct text_view text_build_view(const struct text_build *b)
{
    return (struct text_view){ b->bytes.data ? b->bytes.data : "", b->bytes.len,
                               b->from, b->to, 0 };
}

struct text_view text_view_part(struct text_view v, size_t i, size_t n)
{
    v.p += i;
    v.n = n;
    if (v.from) {
        v.from += i;
        v.to += i;
    }
    v.base += i;
    return v;
}

size_t text_view_from(struct text_view v, size_t i)
{
    return v.from ? v.from[i] : v.base + i;
}

size_t text_view_to(struct text_view v, size_t end)
{
    return v.to ? v.to[end - 1] : v.base + end;
}
