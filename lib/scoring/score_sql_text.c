/*
 * score_sql_text.c - SQL as tokens, and its canonical text
 *
 * A lexer, not a parser: enough to find literals, the columns that they are
 * compared with, and the schemas that stand in a prompt. SQLite itself decides
 * what a query means.
 */
#include "base/ascii.h"
#include "base/mem.h"
#include "scoring/score_private.h"

#include <stdlib.h>
#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word(char c)
{
    return ascii_is_alnum(c) || c == '_' || c == '$' ||
           (unsigned char)c >= 0x80;
}

bool score_name_eq(struct slice a, struct slice b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

bool score_token_is(const struct score_token *t, const char *word)
{
    return (t->kind == TOKEN_PUNCT || (t->kind == TOKEN_WORD && !t->quoted)) &&
           score_name_eq(t->text, slice_of(word));
}

/* End of a quoted run that begins at s[at]: index of the closing quote, s.n if
 * there is none. A doubled quote stands for itself. */
static size_t quote_end(struct slice s, size_t at, char quote)
{
    for (size_t i = at + 1; i < s.n; i++) {
        if (s.p[i] != quote)
            continue;
        if (quote == ']' || i + 1 >= s.n || s.p[i + 1] != quote)
            return i;
        i++;
    }
    return s.n;
}

/* Bytes of a comment at s[at], 0 if there is none. */
static size_t comment_length(struct slice s, size_t at)
{
    const char *end;

    if (at + 1 >= s.n)
        return 0;
    if (s.p[at] == '-' && s.p[at + 1] == '-') {
        end = memchr(s.p + at, '\n', s.n - at);
        return end ? (size_t)(end - s.p) - at : s.n - at;
    }
    if (s.p[at] != '/' || s.p[at + 1] != '*')
        return 0;
    end = memmem(s.p + at + 2, s.n - at - 2, "*/", 2);
    return end ? (size_t)(end - s.p) + 2 - at : s.n - at;
}

static size_t number_length(struct slice s, size_t at)
{
    size_t i = at;

    while (i < s.n && (ascii_is_digit(s.p[i]) || s.p[i] == '.'))
        i++;
    if (i + 1 < s.n && ascii_lower(s.p[i]) == 'e' &&
        (ascii_is_digit(s.p[i + 1]) ||
         (i + 2 < s.n && strchr("+-", s.p[i + 1]) &&
          ascii_is_digit(s.p[i + 2]))))
        for (i += 2; i < s.n && ascii_is_digit(s.p[i]);)
            i++;
    return i - at;
}

static size_t punct_length(struct slice s, size_t at)
{
    static const char *const pairs[] = { "<=", ">=", "<>", "!=", "==", "||" };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (at + 1 < s.n && memcmp(s.p + at, pairs[i], 2) == 0)
            return 2;
    return 1;
}

static size_t token_read(struct slice s, size_t at, struct score_token *t)
{
    char c = s.p[at];
    size_t n = 0;

    if (c == '\'' || c == '"' || c == '`' || c == '[') {
        size_t end = quote_end(s, at, c == '[' ? ']' : c);

        t->kind = c == '\'' ? TOKEN_STRING : TOKEN_WORD;
        t->quoted = true;
        t->text = (struct slice){ s.p + at + 1, end - at - 1 };
        return end < s.n ? end + 1 : s.n;
    }
    if (ascii_is_digit(c) ||
        (c == '.' && at + 1 < s.n && ascii_is_digit(s.p[at + 1]))) {
        t->kind = TOKEN_NUMBER;
        n = number_length(s, at);
        while (at + n < s.n && is_word(s.p[at + n])) { /* 18_49_share */
            t->kind = TOKEN_WORD;
            n++;
        }
    } else if (is_word(c)) {
        t->kind = TOKEN_WORD;
        while (at + n < s.n && is_word(s.p[at + n]))
            n++;
    } else {
        t->kind = TOKEN_PUNCT;
        n = punct_length(s, at);
    }
    t->text = (struct slice){ s.p + at, n };
    return at + n;
}

static void token_add(struct score_tokens *out, struct score_token t)
{
    mem_grow((void **)&out->list, &out->cap, out->count + 1,
             sizeof(*out->list));
    out->list[out->count++] = t;
}

void score_sql_lex(struct slice s, struct score_tokens *out)
{
    int depth = 0;

    out->count = 0;
    if (s.n > SCORE_SQL_BYTES)
        s.n = SCORE_SQL_BYTES;
    for (size_t i = 0; i < s.n;) {
        struct score_token t = { .depth = depth };
        size_t skip = is_space(s.p[i]) ? 1 : comment_length(s, i);

        if (skip > 0) {
            i += skip;
            continue;
        }
        i = token_read(s, i, &t);
        if (score_token_is(&t, ")") && depth > 0)
            t.depth = --depth;
        token_add(out, t);
        if (score_token_is(&t, "("))
            depth++;
    }
    token_add(out,
              (struct score_token){ .kind = TOKEN_END, .text = { "", 0 } });
}

void score_tokens_release(struct score_tokens *t)
{
    free(t->list);
    *t = (struct score_tokens){ 0 };
}

void score_sql_canonical(struct slice text, struct buf *out)
{
    struct score_tokens l = { 0 };

    score_sql_lex(text, &l);
    for (size_t i = 0; i + 1 < l.count; i++) {
        const struct score_token *t = &l.list[i];

        if (score_token_is(t, ";") && i + 2 == l.count)
            break;
        if (i > 0)
            buf_char(out, ' ');
        if (t->kind == TOKEN_STRING)
            buf_printf(out, "'%.*s'", (int)t->text.n, t->text.p);
        else if (score_token_is(t, "!="))
            buf_str(out, "<>");
        else if (score_token_is(t, "=="))
            buf_str(out, "=");
        else
            for (size_t k = 0; k < t->text.n; k++)
                buf_char(out,
                         t->quoted ? t->text.p[k] : ascii_lower(t->text.p[k]));
    }
    score_tokens_release(&l);
}
