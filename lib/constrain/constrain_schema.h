/*
 * constrain_schema.h - between the files that read schemas
 *
 * Each part begins at a node and returns the one where its texts end; after a
 * failure, which the graph keeps, that is node 0.
 */
#ifndef CONSTRAIN_SCHEMA_H
#define CONSTRAIN_SCHEMA_H

#include "constrain/constrain_private.h"

#define SCHEMA_PARTS 64 /* schemas that one value must fit at once */
#define SCHEMA_WRITTEN ((size_t)4 << 20) /* bytes of merged schemas */
#define SCHEMA_CHOICES 200               /* of oneOf */
#define SCHEMA_LITERALS 2000             /* of a list that meets another one */
#define SCHEMA_RECURSION 3 /* times that a reference stands in itself */

/* How many ways members may be ordered in; each costs nodes. */
enum schema_order { SCHEMA_ONE_ORDER, SCHEMA_TWO_ORDERS, SCHEMA_ANY_ORDER };

struct schema_reader {
    struct constrain_graph *g;
    const struct json *j;     /* of the schema at hand */
    const struct json *whole; /* that references are into, */
    json_ref root;            /* from here on */
    unsigned depth;
    bool loose; /* nothing is refused */
    bool open;  /* members are any where more than the named may be */
    enum schema_order order;
    json_ref within[4 * CONSTRAIN_MAX_DEPTH]; /* references that are followed */
    unsigned within_count;
    size_t written; /* bytes of schemas that were merged */
};

/* A value; s: JSON_NONE is any value. */
uint32_t schema_value(struct schema_reader *r, uint32_t from, json_ref s);
uint32_t schema_any(struct schema_reader *r, uint32_t from, unsigned depth);
/* Members or elements of any kind, with commas between, and what ends them. */
uint32_t schema_any_list(struct schema_reader *r, uint32_t from, unsigned depth,
                         bool members);
uint32_t schema_fail(struct schema_reader *r, const char *what,
                     struct slice name);
uint32_t schema_refuse(struct schema_reader *r, const char *what);
uint32_t schema_put(struct schema_reader *r, uint32_t from, const char *text);
uint32_t schema_white(struct schema_reader *r, uint32_t from);
/* A count; *clipped: there is one, and it is larger than what is written. */
unsigned schema_limit(struct schema_reader *r, json_ref s, const char *key,
                      unsigned otherwise);
/* Refuses keywords that are not known, and values that are none. */
void schema_check(struct schema_reader *r, const struct json *j, json_ref s);
/* Keywords that do not change what fits. */
bool schema_is_note(struct slice key);

/* constrain_string.c */
uint32_t schema_string(struct schema_reader *r, uint32_t from, json_ref s);
uint32_t schema_any_string(struct schema_reader *r, uint32_t from);
/* A string that is none of the names, of characters that need no escape. */
uint32_t schema_other_name(struct schema_reader *r, uint32_t from,
                           const struct slice *names, size_t count);

/* constrain_number.c */
uint32_t schema_number(struct schema_reader *r, uint32_t from, json_ref s,
                       bool whole);

/* constrain_object.c */
uint32_t schema_object(struct schema_reader *r, uint32_t from, json_ref s);

/* constrain_merge.c: what stands beside $ref, allOf, anyOf or oneOf, or must
 * hold together with it. */
bool schema_is_joint(const struct schema_reader *r, json_ref s);
uint32_t schema_joint(struct schema_reader *r, uint32_t from, json_ref s);

#endif
