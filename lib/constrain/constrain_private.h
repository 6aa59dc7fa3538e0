/*
 * constrain_private.h - between the files of constrain: the automaton as it
 * is built
 *
 * A builder's function begins at a node and returns the node where its part
 * ends, so parts are joined by giving one's end to the next. Failures (limits,
 * unknown keywords) are kept in the builder; node 0 is returned after one.
 */
#ifndef CONSTRAIN_PRIVATE_H
#define CONSTRAIN_PRIVATE_H

#include "constrain/constrain.h"
#include "json/json.h"

struct constrain_edge {
    uint32_t to, next; /* next edge of the same node; 0: none */
    /* Bytes, or GRAPH_MARK + i for special token marks[i]; code points in a
     * graph of points; low > high: without reading one. */
    uint32_t low, high;
};
#define GRAPH_MARK 256u

struct constrain_graph {
    uint32_t *first; /* by node; 0: no edge */
    struct constrain_edge *edges;
    size_t node_count, node_cap, edge_count, edge_cap;
    int32_t *marks;
    size_t mark_count;
    size_t limit; /* of nodes */
    bool points;  /* of the texts in JSON strings; expressions are JSON
                   * schema's there */
    int rc;
    struct err *err;
};

/* Code points low..high. */
struct constrain_range {
    uint32_t low, high;
};
struct constrain_class {
    struct constrain_range *ranges; /* sorted and apart after class_end */
    size_t count, cap;
};

void graph_init(struct constrain_graph *g, struct err *err);
void graph_release(struct constrain_graph *g);
bool graph_failed(const struct constrain_graph *g);
uint32_t graph_node(struct constrain_graph *g);
void graph_edge(struct constrain_graph *g, uint32_t from, uint32_t to,
                unsigned low, unsigned high);
void graph_empty(struct constrain_graph *g, uint32_t from, uint32_t to);
uint32_t graph_bytes(struct constrain_graph *g, uint32_t from, unsigned low,
                     unsigned high);
uint32_t graph_text(struct constrain_graph *g, uint32_t from, struct slice s);
/* The UTF-8 of one code point of low..high, ending at `to`. */
void graph_range(struct constrain_graph *g, uint32_t from, uint32_t to,
                 uint32_t low, uint32_t high);

/* Reads special token id. */
void graph_mark(struct constrain_graph *g, uint32_t from, uint32_t to,
                int32_t id);

/* What a graph was, to be that again: nothing but edges from node `from` and
 * from newer ones may have come. Forgets a failure. */
struct constrain_was {
    size_t node_count, edge_count;
    uint32_t from, first;
};
struct constrain_was graph_was(const struct constrain_graph *g, uint32_t from);
void graph_back(struct constrain_graph *g, const struct constrain_was *w);

/* Graphs of points. Texts of both, in out from its node 0 on; returns where
 * they end. */
uint32_t graph_meet(struct constrain_graph *out,
                    const struct constrain_graph *a, uint32_t a_final,
                    const struct constrain_graph *b, uint32_t b_final);
/* Its texts as they stand in a JSON string, without the quotes. */
uint32_t graph_quoted(struct constrain_graph *g, uint32_t from,
                      const struct constrain_graph *points, uint32_t final);

/* By node: bytes of the shortest text from there to final, UINT32_MAX where
 * there is none; *longest: the largest other one. The caller's. */
uint32_t *graph_rests(const struct constrain_graph *g, uint32_t final,
                      uint32_t *longest);

/* Whole forms. loose: see constrain_put_schema. */
uint32_t graph_regex(struct constrain_graph *g, uint32_t from,
                     struct slice regex);
/* Texts in which the expression matches somewhere; for graphs of points. */
uint32_t graph_search(struct constrain_graph *g, uint32_t from,
                      struct slice regex);
uint32_t graph_schema(struct constrain_graph *g, uint32_t from,
                      const struct json *j, json_ref schema, bool loose);
/* A schema, and what its references are into. */
struct schema_place {
    const struct json *j, *whole;
    json_ref s, root;
};
/* Does v fit the schema, as far as keywords are known (expressions and formats
 * are not looked at); depth: how far references and parts are followed. */
bool schema_fits(struct schema_place at, const struct json *j, json_ref v,
                 unsigned depth);
/* The same, of a value that stands in the schema's enum. */
bool schema_fits_beside(struct schema_place at, const struct json *j,
                        json_ref v, unsigned depth);
/* What the reference v of j names in whole, from root on: "#", or "#/a/b".
 * JSON_NONE: nothing. */
json_ref schema_referred(const struct json *j, const struct json *whole,
                         json_ref root, json_ref v);
uint32_t graph_document(struct constrain_graph *g, uint32_t from,
                        unsigned depth, bool objects);
uint32_t graph_white(struct constrain_graph *g, uint32_t from);

/* An automaton whose graph begins at *from; ready for use once final is set
 * and finished, which frees it on failure. */
struct constrain *constrain_open(const struct constrain_vocab *v,
                                 struct err *err, uint32_t *from);
MUST_CHECK int constrain_finish(struct constrain *c, uint32_t final,
                                struct constrain **out);
struct constrain_graph *constrain_graph_of(struct constrain *c);

#endif
