/*
 * jinja.h - renders the Jinja templates that models bring along
 *
 * What jinja2 3.1 renders in transformers' sandbox, to the byte: trim_blocks,
 * lstrip_blocks, loop controls, {% generation %} and transformers' tojson. A
 * template is foreign code: it sees the context alone, its objects do not
 * change (but namespaces), and what it may use up is limited as below.
 * It refuses includes, imports and inheritance: there is one template.
 * May use: base json.
 */
#ifndef JINJA_H
#define JINJA_H

#include "json/json.h"

#include <time.h>

#define JINJA_MAX_SOURCE ((size_t)1 << 20)   /* bytes of a template */
#define JINJA_MAX_NESTING 100                /* of expressions and blocks */
#define JINJA_MAX_CALLS 100                  /* macros within macros */
#define JINJA_MAX_STEPS ((uint64_t)5000000)  /* evaluations and items */
#define JINJA_MAX_STRING ((size_t)64 << 20)  /* bytes of any text */
#define JINJA_MAX_MEMORY ((size_t)256 << 20) /* bytes of all values */
#define JINJA_MAX_RANGE 100000               /* as in jinja2's sandbox */
#define JINJA_MAX_DIGITS 2000                /* of an integer */
#define JINJA_MAX_DEPTH 200                  /* of lists in lists */
#define JINJA_MAX_EVALS 2500                 /* expressions within another */

/* A parsed template; rendering does not change it. */
struct jinja;

/* The source is copied. ERR_FORMAT or ERR_LIMIT with "line N: ...". */
MUST_CHECK int jinja_parse(struct slice source, struct jinja **out,
                           struct err *err);
void jinja_free(struct jinja *t); /* NULL is fine */
/* Whether there is a {% generation %} block in it. */
bool jinja_has_generation(const struct jinja *t);
/* Whether a variable of this name is read or set anywhere. */
bool jinja_uses(const struct jinja *t, const char *name);
/* The text, with line ends as they are rendered. */
struct slice jinja_source(const struct jinja *t);

/* s without white space, as str.strip has it, at its end or at both. */
struct slice jinja_trim(struct slice s, bool both);

/* What one {% generation %} block wrote, in bytes of the text. The place is
 * that of the text at the time, as in the reference; inside macros, set and
 * filter blocks the text is moved later, so that it is not `certain`. */
struct jinja_span {
    size_t begin, end;
    bool certain;
};

struct jinja_output {
    struct buf text;
    struct jinja_span *spans;
    size_t count, cap;
};
void jinja_output_release(struct jinja_output *o);

/* The template with the members of an object as its variables; appends to
 * out->text. now: what strftime_now reads. ERR_FORMAT with "line N: what", of
 * raise_exception the template's own message; ERR_LIMIT. */
MUST_CHECK int jinja_render(const struct jinja *t, const struct json *j,
                            json_ref context, const struct tm *now,
                            struct jinja_output *out, struct err *err);

#endif
