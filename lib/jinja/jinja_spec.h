/* jinja_spec.h - how a value is laid out: fill, sign, width and the like */
#ifndef JINJA_SPEC_H
#define JINJA_SPEC_H

#include "jinja/jinja_private.h"

#define JINJA_MAX_WIDTH 10000

struct spec {
    char fill[4];
    size_t fill_n;
    char align; /* '<', '>', '^', '=' or 0 */
    char sign;  /* '+', ' ', '-' or 0 */
    char group; /* ',', '_' or 0 */
    bool alternate;
    int64_t width, precision; /* precision -1: none */
    char type;                /* 0: none */
};

/* type is one of the letters of set. */
bool spec_is(const struct spec *s, const char *set);
/* [[fill]align][sign][#][0][width][group][.precision][type] */
bool spec_read(struct slice f, struct spec *s);
/* A number at the start of *s, which it is taken off; false: there is none. */
bool spec_read_int(struct slice *s, int64_t *out);
void spec_put_int(struct run *r, const struct spec *s, struct value v,
                  char align, struct buf *out);
void spec_put_float(const struct spec *s, double d, char align,
                    struct buf *out);
/* A text, cut at the precision. */
void spec_put_text(struct run *r, const struct spec *s, struct value text,
                   char align, struct buf *out);

#endif
