/*
 * jinja_methods_more.c - methods of Python's str that templates rarely name
 *
 * encode is refused when it is called: nothing here can hold bytes.
 */
#include "jinja/jinja_private.h"

#define METHOD(name)                                                           \
    static struct value name(struct run *r, struct value self, struct value *a)

#define MAX_TAB 4096

METHOD(m_encode)
{
    (void)self;
    (void)a;
    return jinja_fail(r, "str.encode gives bytes, which are not supported");
}

METHOD(m_expandtabs)
{
    struct slice s = jinja_bytes(self);
    int64_t size = 8, column = 0;
    struct buf b;

    if (!jinja_is_absent(a[0]) && !jinja_index(r, a[0], &size))
        return self;
    if (size > MAX_TAB)
        return jinja_limit(r, "columns of a tab");
    buf_init(&b, JINJA_MAX_STRING);
    while (s.n) {
        uint32_t c = jinja_next_char(&s);
        int64_t n = size > 0 ? size - column % size : 0;

        if (c != '\t') {
            jinja_put_char(&b, c);
            column = c == '\n' || c == '\r' ? 0 : column + 1;
            continue;
        }
        column += n;
        for (; n > 0; n--)
            buf_char(&b, ' ');
    }
    return jinja_take(r, &b);
}

METHOD(m_isascii)
{
    struct slice s = jinja_bytes(self);

    (void)r;
    (void)a;
    while (s.n)
        if (jinja_next_char(&s) > 127)
            return jinja_bool(false);
    return jinja_bool(true);
}

METHOD(m_isprintable)
{
    struct slice s = jinja_bytes(self);

    (void)r;
    (void)a;
    while (s.n)
        if (!jinja_is_printable(jinja_next_char(&s)))
            return jinja_bool(false);
    return jinja_bool(true);
}

METHOD(m_isidentifier)
{
    struct slice s = jinja_bytes(self);
    bool first = true, is = s.n > 0;

    (void)a;
    while (s.n && is) {
        uint32_t c = jinja_next_char(&s);

        if (c > 127)
            return jinja_fail(r, "isidentifier of a text that is not ASCII is "
                                 "not supported");
        is = c == '_' || jinja_is_alpha(c) || (!first && jinja_is_decimal(c));
        first = false;
    }
    return jinja_bool(is);
}

/* table: code points to texts, code points or None. */
METHOD(m_translate)
{
    struct slice s = jinja_bytes(self);
    struct buf b;

    if (a[0].kind != V_DICT)
        return jinja_fail(r, "translate needs a mapping, not %s",
                          jinja_type(a[0]));
    buf_init(&b, JINJA_MAX_STRING);
    while (s.n && jinja_step(r, 1)) {
        uint32_t c = jinja_next_char(&s);
        struct value *to = jinja_dict_get(r, a[0].m, jinja_int(c));

        if (!to)
            jinja_put_char(&b, c);
        else if (to->kind == V_STRING)
            buf_add_slice(&b, jinja_bytes(*to));
        else if (to->kind == V_INT && to->i >= 0 && to->i < 0x110000)
            jinja_put_char(&b, (uint32_t)to->i);
        else if (to->kind != V_NONE)
            jinja_fail(r, "a character must be translated to a text, a code "
                          "point or None");
    }
    return jinja_take(r, &b);
}

const struct function jinja_more_methods[] = {
    { "encode", "*", m_encode, V_STRING },
    { "expandtabs", "|tabsize", m_expandtabs, V_STRING },
    { "isascii", "", m_isascii, V_STRING },
    { "isprintable", "", m_isprintable, V_STRING },
    { "isidentifier", "", m_isidentifier, V_STRING },
    { "translate", "table", m_translate, V_STRING },
    { .name = NULL },
};
