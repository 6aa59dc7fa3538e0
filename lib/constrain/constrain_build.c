/*
 * constrain_build.c - forms put together by those who know what a text is
 *
 * A chat template's tool calls are texts, special tokens and schemas in turn.
 * The parts are here, what they mean is the caller's.
 */
#include "constrain/constrain_private.h"
#include "constrain/constrain_vocab.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct constrain_builder {
    struct constrain *c;
    struct constrain_graph *g;
    const struct constrain_vocab *v;
};

struct constrain_builder *constrain_builder_new(const struct constrain_vocab *v,
                                                struct err *err,
                                                constrain_place *start)
{
    struct constrain_builder *b = mem_zalloc(sizeof(*b));

    b->v = v;
    b->c = constrain_open(v, err, start);
    b->g = constrain_graph_of(b->c);
    return b;
}

int constrain_builder_end(struct constrain_builder *b, constrain_place final,
                          struct constrain **out)
{
    int rc = constrain_finish(b->c, final, out);

    free(b);
    return rc;
}

constrain_place constrain_put_place(struct constrain_builder *b)
{
    return graph_node(b->g);
}

void constrain_put_jump(struct constrain_builder *b, constrain_place from,
                        constrain_place to)
{
    graph_empty(b->g, from, to);
}

constrain_place constrain_put_text(struct constrain_builder *b,
                                   constrain_place from, struct slice text)
{
    return graph_text(b->g, from, text);
}

constrain_place constrain_put_regex(struct constrain_builder *b,
                                    constrain_place from, const char *regex)
{
    return graph_regex(b->g, from, slice_of(regex));
}

constrain_place constrain_put_white(struct constrain_builder *b,
                                    constrain_place from)
{
    return graph_white(b->g, from);
}

constrain_place constrain_put_schema(struct constrain_builder *b,
                                     constrain_place from, const struct json *j,
                                     json_ref schema)
{
    return graph_schema(b->g, from, j, schema, true);
}

constrain_place constrain_put_strict(struct constrain_builder *b,
                                     constrain_place from, const struct json *j,
                                     json_ref schema)
{
    return graph_schema(b->g, from, j, schema, false);
}

constrain_place constrain_put_document(struct constrain_builder *b,
                                       constrain_place from, unsigned depth,
                                       bool objects)
{
    assert(depth > 0 && depth <= CONSTRAIN_DOCUMENT_DEPTH);
    return graph_document(b->g, from, depth, objects);
}

/* The special token of this text; false: there is none. */
static bool find_mark(const struct constrain_vocab *v, struct slice text,
                      int32_t *id)
{
    for (size_t i = 0; i < v->special_count; i++)
        if (slice_eq(v->specials[i].text, text)) {
            *id = v->specials[i].id;
            return true;
        }
    return false;
}

constrain_place constrain_put_mark(struct constrain_builder *b,
                                   constrain_place from, struct slice text)
{
    constrain_place to = graph_text(b->g, from, text);
    int32_t id;

    if (text.n && find_mark(b->v, text, &id))
        graph_mark(b->g, from, to, id);
    return to;
}

/* How much of the mark a text ends with after its first `seen` bytes and c:
 * the longest beginning of the mark that is an end of those. */
static size_t follow(struct slice mark, size_t seen, unsigned char c)
{
    for (size_t n = seen + 1; n > 0; n--)
        if ((unsigned char)mark.p[n - 1] == c &&
            memcmp(mark.p, mark.p + seen + 1 - n, n - 1) == 0)
            return n;
    return 0;
}

constrain_place constrain_put_until(struct constrain_builder *b,
                                    constrain_place from, struct slice mark,
                                    constrain_place *end)
{
    constrain_place *at = mem_array(mark.n + 1, sizeof(*at)), begun;
    int32_t id = -1;

    assert(mark.n > 0);
    *end = graph_node(b->g);
    for (size_t i = 0; i <= mark.n; i++)
        at[i] = graph_node(b->g);
    begun = at[mark.n];
    graph_empty(b->g, from, at[0]);
    (void)find_mark(b->v, mark, &id);
    for (size_t i = 0; i < mark.n; i++) {
        unsigned low = 0;

        for (unsigned c = 1; c <= 256; c++) {
            size_t to = follow(mark, i, (unsigned char)low);

            if (c < 256 && follow(mark, i, (unsigned char)c) == to)
                continue;
            graph_edge(b->g, at[i], at[to], low, c - 1);
            low = c;
        }
        if (id >= 0)
            graph_mark(b->g, at[i], begun, id);
        graph_empty(b->g, at[i], *end);
    }
    free(at);
    return begun;
}

constrain_place constrain_put_unlike(struct constrain_builder *b,
                                     constrain_place from,
                                     const char *const *prefixes, size_t count)
{
    static const char blanks[] = " \t\n\v\f\r";
    constrain_place white = graph_node(b->g), rest = graph_node(b->g);
    constrain_place end = graph_node(b->g);
    bool taken[256] = { false };

    graph_empty(b->g, from, white);
    graph_empty(b->g, white, end);
    graph_empty(b->g, rest, end);
    graph_edge(b->g, rest, rest, 0, 255);
    for (const char *p = blanks; *p; p++) {
        graph_edge(b->g, white, white, (unsigned char)*p, (unsigned char)*p);
        taken[(unsigned char)*p] = true;
    }
    for (size_t i = 0; i < count; i++) {
        const unsigned char *p = (const unsigned char *)prefixes[i];
        constrain_place at = white;

        assert(p[0] && !taken[p[0]]);
        taken[p[0]] = true;
        for (; p[1]; p++) {
            at = graph_bytes(b->g, at, p[0], p[0]);
            graph_empty(b->g, at, end);
            if (p[1] > 0)
                graph_edge(b->g, at, rest, 0, p[1] - 1u);
            if (p[1] < 255)
                graph_edge(b->g, at, rest, p[1] + 1u, 255);
        }
    }
    for (unsigned c = 0; c < 256; c++)
        if (!taken[c])
            graph_edge(b->g, white, rest, c, c);
    return end;
}
