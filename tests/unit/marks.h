/*
 * marks.h - what a finder finds, written into its text as {tier:find}
 *
 * A test states the marked text; without its marks it must be marked so again.
 * Finds of other classes or of a higher tier than `lowest` are not shown.
 */
#ifndef MARKS_H
#define MARKS_H

#include "base/buf.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define MARKS_MAX 512 /* bytes of a text */

struct marks {
    char text[MARKS_MAX], out[MARKS_MAX];
    size_t n, at, put; /* of the text; marked so far; of out */
    int class, lowest;
};

static inline void marks_begin(struct marks *m, const char *marked, int class,
                               int lowest)
{
    *m = (struct marks){ .class = class, .lowest = lowest };
    ck_assert_uint_lt(strlen(marked), MARKS_MAX);
    for (const char *p = marked; *p; p++) {
        if (*p == '{' && p[1] && p[2] == ':')
            p += 2;
        else if (*p != '}')
            m->text[m->n++] = *p;
    }
}

/* Finds must come in order and apart. */
static inline int marks_add(struct marks *m, int class, size_t start,
                            size_t end, int tier)
{
    ck_assert_uint_lt(start, end);
    if (class != m->class || tier > m->lowest)
        return 0;
    ck_assert_uint_ge(start, m->at);
    m->put +=
        (size_t)snprintf(m->out + m->put, MARKS_MAX - m->put, "%.*s{%d:%.*s}",
                         (int)(start - m->at), m->text + m->at, tier,
                         (int)(end - start), m->text + start);
    m->at = end;
    return 0;
}

static inline void marks_end(struct marks *m, const char *marked)
{
    (void)snprintf(m->out + m->put, MARKS_MAX - m->put, "%s", m->text + m->at);
    ck_assert_str_eq(m->out, marked);
}

/* A find in a text of *n bytes, whatever it is. */
static inline int marks_inside(const size_t *n, size_t start, size_t end,
                               int tier)
{
    ck_assert_uint_lt(start, end);
    ck_assert_uint_le(end, *n);
    ck_assert(tier >= 1 && tier <= 3);
    return 0;
}

#endif
