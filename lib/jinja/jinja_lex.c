/*
 * jinja_lex.c - template text to tokens, with jinja2's white space rules
 *
 * trim_blocks: a block or comment eats the newline after it. lstrip_blocks: it
 * eats the white space before it on its line. "-" eats all white space, "+"
 * keeps it. All tokens are made at once, so that the parser can look ahead.
 */
#include "jinja/jinja_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define MAX_BRACKETS 256

struct lexer {
    const char *p, *end;
    uint32_t line;
    bool line_start; /* what was matched last ended a line */
    struct arena *mem;
    struct tokens *out;
    struct err *err;
    char brackets[MAX_BRACKETS];
    size_t open;
};

static int lex_fail(const struct lexer *l, const char *what)
{
    return err_set(l->err, ERR_FORMAT, "line %u: %s", l->line, what);
}

static bool at(const struct lexer *l, const char *p, const char *text)
{
    size_t n = strlen(text);

    return (size_t)(l->end - p) >= n && memcmp(p, text, n) == 0;
}

static void count_lines(struct lexer *l, const char *to)
{
    for (; l->p < to; l->p++)
        l->line += *l->p == '\n';
}

static struct token *push(struct lexer *l, enum token_kind kind,
                          struct slice text)
{
    void *v = l->out->v;
    struct token *t;

    mem_grow(&v, &l->out->cap, l->out->n + 1, sizeof(*l->out->v));
    l->out->v = v;
    t = &l->out->v[l->out->n++];
    *t = (struct token){ .kind = (uint8_t)kind, .line = l->line, .text = text };
    return t;
}

static const char *skip_space(const struct lexer *l, const char *p)
{
    struct slice rest =
        jinja_strip((struct slice){ p, (size_t)(l->end - p) }, true, false);

    return rest.p;
}

/* "-}}" and its like: where the tag ends, what it eats included; NULL if
 * there is no such end here. trims: it eats a newline. */
static const char *tag_end(const struct lexer *l, const char *p,
                           const char *close, bool trims)
{
    char sign = *p == '-' || *p == '+' ? *p : 0;

    if (sign == '+' && !trims)
        return NULL;
    if (!at(l, p + (sign != 0), close))
        return NULL;
    p += strlen(close) + (sign != 0);
    if (sign == '-')
        return skip_space(l, p);
    return trims && !sign && at(l, p, "\n") ? p + 1 : p;
}

/* Where raw text begins, if the block at p is one; else NULL. */
static const char *raw_begin(const struct lexer *l, const char *p)
{
    p = skip_space(l, p);
    if (!at(l, p, "raw"))
        return NULL;
    p = skip_space(l, p + 3);
    if (at(l, p, "-%}"))
        return skip_space(l, p + 3);
    return at(l, p, "%}") ? p + 2 : NULL;
}

/* The text before a tag, less what the tag eats of it. */
static void push_text(struct lexer *l, const char *to, char sign, bool strips)
{
    struct slice text = { l->p, (size_t)(to - l->p) };

    if (sign == '-') {
        text = jinja_strip(text, false, true);
    } else if (sign != '+' && strips) {
        const char *newline = text.n ? memrchr(text.p, '\n', text.n) : NULL;
        size_t from = newline ? (size_t)(newline + 1 - text.p) : 0;
        struct slice tail = { text.p + from, text.n - from };

        if ((from > 0 || l->line_start) && jinja_strip(tail, true, true).n == 0)
            text.n = from;
    }
    if (text.n)
        push(l, T_DATA, text);
    count_lines(l, to);
}

static char sign_at(const struct lexer *l, const char *p)
{
    return p < l->end && (*p == '-' || *p == '+') ? *p : 0;
}

static void leave(struct lexer *l, const char *to)
{
    count_lines(l, to);
    l->line_start = to[-1] == '\n';
}

static int lex_comment(struct lexer *l, const char *from)
{
    for (const char *p = from; p + 1 < l->end; p++) {
        const char *sign =
            p > from && (p[-1] == '-' || p[-1] == '+') ? p - 1 : p;

        if (at(l, p, "#}")) {
            leave(l, tag_end(l, sign, "#}", true));
            return ERR_OK;
        }
    }
    return lex_fail(l, "a comment has no end: #} is missing");
}

static int lex_raw(struct lexer *l, const char *from)
{
    leave(l, from);
    for (const char *p = from; p + 1 < l->end; p++) {
        const char *name, *end;
        char sign;

        if (!at(l, p, "{%"))
            continue;
        sign = sign_at(l, p + 2);
        name = skip_space(l, p + 2 + (sign != 0));
        if (!at(l, name, "endraw"))
            continue;
        name = skip_space(l, name + 6);
        end = name < l->end ? tag_end(l, name, "%}", true) : NULL;
        if (end) {
            push_text(l, p, sign, true);
            leave(l, end);
            return ERR_OK;
        }
    }
    return lex_fail(l, "a raw block has no end: {% endraw %} is missing");
}

static bool is_name(uint32_t c)
{
    return c == '_' || jinja_is_alpha(c) || jinja_is_numeric(c) ||
           (c > 127 && !jinja_is_space(c) && jinja_is_decimal(c));
}

static const char *name_end(const struct lexer *l, const char *p)
{
    struct slice rest = { p, (size_t)(l->end - p) };

    while (rest.n) {
        struct slice before = rest;

        if (!is_name(jinja_next_char(&rest)))
            return before.p;
    }
    return rest.p;
}

static bool is_digit_of(char c, unsigned base)
{
    int v = c >= '0' && c <= '9'   ? c - '0'
            : c >= 'a' && c <= 'f' ? c - 'a' + 10
            : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                   : 99;

    return v < (int)base;
}

/* Digits with single underscores between. */
static const char *digits_end(const struct lexer *l, const char *p,
                              unsigned base)
{
    while (p < l->end &&
           (is_digit_of(*p, base) ||
            (*p == '_' && p + 1 < l->end && is_digit_of(p[1], base))))
        p++;
    return p;
}

static const char *exponent_end(const struct lexer *l, const char *p)
{
    const char *q = p;

    if (q == l->end || (*q != 'e' && *q != 'E'))
        return p;
    q++;
    if (q < l->end && (*q == '+' || *q == '-'))
        q++;
    return q < l->end && is_digit_of(*q, 10) ? digits_end(l, q, 10) : p;
}

static void lex_number(struct lexer *l)
{
    const char *p = l->p, *whole = digits_end(l, p, 10), *end = whole;
    bool after_dot = l->out->n && l->out->v[l->out->n - 1].kind == T_OP &&
                     l->out->v[l->out->n - 1].op[0] == '.';
    char mark = p + 1 < l->end ? (char)(p[1] | 32) : 0;
    unsigned base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;

    if (!after_dot) {
        if (end + 1 < l->end && *end == '.' && is_digit_of(end[1], 10))
            end = digits_end(l, end + 1, 10);
        end = exponent_end(l, end);
    }
    if (end > whole) {
        push(l, T_FLOAT, (struct slice){ p, (size_t)(end - p) });
    } else if (*p == '0' && base && p + 2 < l->end &&
               (is_digit_of(p[2], base) || p[2] == '_')) {
        end = digits_end(l, p + 2, base);
        push(l, T_INT, (struct slice){ p, (size_t)(end - p) });
    } else {
        /* 0 is followed by zeros alone: 007 is two numbers. */
        if (*p == '0')
            for (end = p; end < whole && (*end == '0' || *end == '_');)
                end++;
        push(l, T_INT, (struct slice){ p, (size_t)(end - p) });
    }
    l->p = end;
}

static int lex_string(struct lexer *l)
{
    char quote = *l->p;
    const char *p = l->p + 1;
    struct buf text;
    bool known;

    while (p < l->end && *p != quote)
        p += *p == '\\' && p + 1 < l->end ? 2 : 1;
    if (p >= l->end)
        return lex_fail(l, "a string has no end");
    buf_init(&text, JINJA_MAX_SOURCE);
    known = jinja_unescape((struct slice){ l->p + 1, (size_t)(p - l->p - 1) },
                           &text);
    if (known) {
        char *copy = jinja_arena_alloc(l->mem, text.len + 1);

        if (text.len)
            memcpy(copy, text.data, text.len);
        push(l, T_STRING, (struct slice){ copy, text.len });
    }
    buf_release(&text);
    if (!known)
        return lex_fail(l, "a string has an escape that is not known");
    count_lines(l, p + 1);
    return ERR_OK;
}

static int balance(struct lexer *l, char c)
{
    static const char opening[] = "([{", closing[] = ")]}";
    const char *o = strchr(opening, c), *e = strchr(closing, c);

    if (o) {
        if (l->open == MAX_BRACKETS)
            return lex_fail(l, "brackets are nested too deep");
        l->brackets[l->open++] = closing[o - opening];
    } else if (e && (!l->open || l->brackets[--l->open] != c)) {
        return lex_fail(l, "a bracket is closed that was not opened");
    }
    return ERR_OK;
}

static int lex_operator(struct lexer *l)
{
    static const char *const ops[] = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";",
    };

    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (at(l, l->p, ops[i])) {
            size_t n = strlen(ops[i]);
            struct token *t = push(l, T_OP, (struct slice){ l->p, n });

            memcpy(t->op, ops[i], n + 1);
            l->p += n;
            return balance(l, ops[i][0]);
        }
    }
    return err_set(l->err, ERR_FORMAT,
                   "line %u: unexpected character '%.*s' in a tag", l->line, 1,
                   l->p);
}

static int lex_token(struct lexer *l)
{
    struct slice rest = { l->p, (size_t)(l->end - l->p) };
    const char *after = skip_space(l, l->p);

    if (after > l->p) {
        count_lines(l, after);
        return ERR_OK;
    }
    if (*l->p >= '0' && *l->p <= '9') {
        lex_number(l);
        return ERR_OK;
    }
    if (*l->p == '\'' || *l->p == '"')
        return lex_string(l);
    if (is_name(jinja_next_char(&rest))) {
        const char *end = name_end(l, l->p);

        push(l, T_NAME, (struct slice){ l->p, (size_t)(end - l->p) });
        l->p = end;
        return ERR_OK;
    }
    return lex_operator(l);
}

static int lex_tag(struct lexer *l, const char *from, bool block)
{
    const char *close = block ? "%}" : "}}";

    push(l, block ? T_BLOCK_BEGIN : T_VAR_BEGIN, (struct slice){ l->p, 2 });
    count_lines(l, from);
    l->open = 0;
    while (l->p < l->end) {
        const char *end = l->open ? NULL : tag_end(l, l->p, close, block);
        int rc;

        if (end) {
            push(l, block ? T_BLOCK_END : T_VAR_END, (struct slice){ l->p, 2 });
            leave(l, end);
            return ERR_OK;
        }
        rc = lex_token(l);
        if (rc < 0)
            return rc;
    }
    return lex_fail(l, "the template ends within a tag");
}

/* The next tag and the text before it. */
static int lex_next(struct lexer *l)
{
    const char *p = l->p, *from, *raw = NULL;
    char sign;

    while (p + 1 < l->end &&
           !(*p == '{' && (p[1] == '%' || p[1] == '{' || p[1] == '#')))
        p++;
    if (p + 1 >= l->end) {
        push_text(l, l->end, '+', false);
        return ERR_OK;
    }
    sign = sign_at(l, p + 2);
    from = p + 2 + (sign != 0);
    push_text(l, p, sign, p[1] != '{');
    if (p[1] == '%')
        raw = raw_begin(l, from);
    if (raw)
        return lex_raw(l, raw);
    return p[1] == '#' ? lex_comment(l, from) : lex_tag(l, from, p[1] == '%');
}

int jinja_lex(struct arena *mem, struct slice source, struct tokens *out,
              struct err *err)
{
    struct lexer l = {
        .p = source.p,
        .end = source.p + source.n,
        .line = 1,
        .line_start = true,
        .mem = mem,
        .out = out,
        .err = err,
    };
    int rc = ERR_OK;

    while (l.p < l.end && rc == ERR_OK)
        rc = lex_next(&l);
    push(&l, T_EOF, (struct slice){ l.end, 0 });
    return rc;
}
