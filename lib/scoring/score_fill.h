/* score_fill.h - columns, what they are compared with, and their values:
 * shared by the two files that fill tables, private to them */
#ifndef SCORE_FILL_H
#define SCORE_FILL_H

#include "scoring/score_private.h"

#define MAX_LITERALS 24 /* of one domain */
#define MAX_ALIASES 64
#define MAX_VALUES 160
#define ALIGNED_ROWS 6
#define EXTRA_ROWS 7 /* tables differ in their number of rows */

enum compare { CMP_EQ, CMP_LESS, CMP_MORE, CMP_LIKE };

struct literal {
    struct slice text;
    bool number, negative;
    enum compare compare;
    unsigned query; /* 0 reference, 1 answer */
};

/* Columns that share values: a union-find tree over all columns. */
struct domain {
    size_t parent;
    struct literal literals[MAX_LITERALS];
    size_t literal_count;
    enum score_affinity affinity;
    bool key, shared, summed;
    const char *name;
    char *values[MAX_VALUES];  /* SQL literals of the current set */
    size_t value_count, fixed; /* the first `fixed` come from literals */
};

struct alias {
    struct slice name, table;
};

struct score_fill {
    struct score_schema *schema;
    struct domain *domains; /* one a column; roots are used */
    size_t count;
    struct alias aliases[MAX_ALIASES];
    size_t alias_count;
    bool nulls;
};

bool score_name_holds(const char *name, const char *part);
bool score_text_is_number(struct slice s);
/* Which columns share values, what they are compared with, their types and
 * keys; fills f->domains and the columns' domain. */
void score_fill_learn(struct score_fill *f, const struct score_tokens *first,
                      const struct score_tokens *second);

#endif
