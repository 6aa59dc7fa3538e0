/*
 * address_tokens.c - the words and numbers around a digit
 *
 * What stands between two tokens decides whether an address may go on over it:
 * blanks, a comma, the end of a line (with the marks of quoted mail), or
 * something that ends every address.
 */
#include "address/address_priv.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static size_t word_end(struct slice t, size_t i)
{
    size_t n;

    while (i < t.n) {
        n = address_letter(t.p + i, t.n - i);
        if (!n && (t.p[i] == '\'' || t.p[i] == '-') && i + 1 < t.n)
            n = address_letter(t.p + i + 1, t.n - i - 1) ? 1 : 0;
        if (!n)
            return i;
        i += n;
    }
    return i;
}

static void read_word(struct slice t, struct address_token *x)
{
    x->kind = TOKEN_WORD;
    x->end = word_end(t, x->at);
    if (x->end - x->at == 1 && x->end + 1 < t.n && t.p[x->end] == '/' &&
        (t.p[x->at] | 0x20) == 'c') { /* C/ Mayor */
        x->end++;
        x->flags = WORD_PREFIX | WORD_CAPITAL;
        return;
    }
    if (x->end < t.n && ascii_is_digit(t.p[x->end])) {
        x->kind = TOKEN_CODE; /* B0J */
        while (x->end < t.n &&
               (ascii_is_digit(t.p[x->end]) || address_letter(t.p + x->end, 1)))
            x->end++;
        return;
    }
    x->flags = WORD_UNREAD;
    if (x->end < t.n && t.p[x->end] == '.')
        x->flags |= WORD_DOT;
}

/* 12, 12b, 12-14, 12/3, 90010-170; 5th is a word. */
static void read_number(struct slice t, struct address_token *x)
{
    size_t end = x->at + ascii_digits(t, x->at), more, letters;

    x->kind = TOKEN_NUMBER;
    x->digits = (unsigned)(end - x->at);
    letters = word_end(t, end) - end;
    if (letters == 1 && !(end + 1 < t.n && ascii_is_digit(t.p[end + 1]))) {
        end++;
    } else if (letters == 2 && memchr("snrtSNRT", t.p[end], 8)) {
        x->kind = TOKEN_WORD;
        x->flags = WORD_CAPITAL;
        end += 2;
    } else if (letters) {
        x->kind = TOKEN_CODE;
        end += letters;
    } else if (end + 1 < t.n && (t.p[end] == '-' || t.p[end] == '/') &&
               (more = ascii_digits(t, end + 1)) > 0) {
        end += 1 + more;
        if (end < t.n && (t.p[end] == '-' || t.p[end] == '/'))
            x->kind = TOKEN_CODE; /* a date, a phone */
    } else if (end + 1 < t.n && memchr(".,:", t.p[end], 3) &&
               ascii_is_digit(t.p[end + 1])) {
        x->kind = TOKEN_CODE; /* 3.5, 10:30 */
        end += 1 + ascii_digits(t, end + 1);
    }
    x->end = end;
}

/* "???" before the lines of quoted mail */
static bool is_quote_mark(struct slice t, size_t i)
{
    return t.p[i] == '?' &&
           ((i > 0 && t.p[i - 1] == '?') || (i + 1 < t.n && t.p[i + 1] == '?'));
}

static unsigned flags_of(struct slice t, struct address_token *x)
{
    if (x->flags & WORD_UNREAD)
        x->flags = (x->flags & WORD_DOT) |
                   address_word_flags(t.p + x->at, x->end - x->at);
    return x->flags;
}

unsigned address_flags(const struct address_tokens *t, int i)
{
    return flags_of(t->text, &t->item[i]);
}

/* Reads what stands before a token; true if one begins. */
static bool read_gap(struct slice t, size_t stop, size_t *at,
                     struct address_token *before, enum address_gap *gap)
{
    size_t i = *at, n = 0;

    *gap = GAP_NONE;
    for (; i < stop; i++, n++) {
        char c = t.p[i];

        if (ascii_is_digit(c) || address_letter(t.p + i, t.n - i))
            break;
        if (is_blank(c) || c == ')' ||
            (c == '#' && before &&
             (flags_of(t, before) & (WORD_UNIT | WORD_STREET | WORD_WEAK))))
            *gap = *gap < GAP_BLANK ? GAP_BLANK : *gap;
        else if (c == ',' || c == '(')
            *gap = *gap < GAP_COMMA ? GAP_COMMA : *gap;
        else if (c == '\n' || c == '>' || c == '|' || is_quote_mark(t, i))
            *gap = *gap < GAP_LINE ? GAP_LINE : *gap;
        else if (c == '.' && n == 0 && before &&
                 (before->end - before->at <= 4 ||
                  before->kind == TOKEN_NUMBER))
            *gap = GAP_BLANK;
        else
            *gap = GAP_HARD;
    }
    *at = i;
    return i < stop && n <= 16;
}

static bool ends_all(char c)
{
    switch (c) {
    case ';':
    case '"':
    case '{':
    case '}':
    case '[':
    case ']':
    case '<':
    case '=':
    case '*':
    case '?':
    case '!': return true;
    default: return false;
    }
}

/* Back to where a token begins, at most ADDRESS_BACK bytes. */
static size_t window_start(struct slice t, size_t at)
{
    size_t i = at, limit = at > ADDRESS_BACK ? at - ADDRESS_BACK : 0;

    while (i > limit && !ends_all(t.p[i - 1]))
        i--;
    while (i < at && i == limit && i > 0 && !is_blank(t.p[i]))
        i++;
    return i;
}

int address_tokens_read(struct address_tokens *t, struct slice text, size_t at,
                        size_t ahead)
{
    t->text = text;
    t->count = 0;
    address_tokens_more(t, at, ahead);
    for (int k = t->count; k-- > 0;)
        if (t->item[k].at <= at && at < t->item[k].end)
            return k;
    return -1;
}

void address_tokens_more(struct address_tokens *t, size_t at, size_t ahead)
{
    struct slice text = t->text;
    size_t i = t->count ? t->item[t->count - 1].end : window_start(text, at);
    size_t stop = at + ahead;

    if (stop > text.n)
        stop = text.n;
    while (t->count < ADDRESS_TOKENS) {
        struct address_token *x = &t->item[t->count];

        *x = (struct address_token){ .at = i };
        if (!read_gap(text, stop, &x->at, t->count ? x - 1 : NULL, &x->gap))
            break;
        if (ascii_is_digit(text.p[x->at]))
            read_number(text, x);
        else
            read_word(text, x);
        if (x->gap == GAP_HARD && x->at > at)
            break;
        i = x->end;
        t->count++;
    }
}

bool address_is_word(const struct address_tokens *t, int i, const char *low)
{
    const struct address_token *x;

    if (i < 0 || i >= t->count)
        return false;
    x = &t->item[i];
    return ascii_is_word(t->text.p + x->at, x->end - x->at, low);
}
