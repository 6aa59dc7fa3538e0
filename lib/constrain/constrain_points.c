/*
 * constrain_points.c - graphs over characters, and what becomes of them
 *
 * A text that must match an expression, a format and a length at once is what
 * several small graphs have in common. They are joined as characters, and
 * written out as the bytes of a JSON string when that is done. It is no
 * general product: graphs with marks have no place here.
 */
#include "constrain/constrain_private.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct meeting {
    struct constrain_graph *out;
    struct map *known; /* two nodes -> node of out */
    uint32_t (*todo)[3];
    size_t count, cap;
};

/* The node of out that stands for one of each. */
static uint32_t pair(struct meeting *m, uint32_t a, uint32_t b)
{
    const uint32_t key[2] = { a, b };
    bool added;
    uint64_t *at = map_put(m->known, key, sizeof(key), &added);
    void *todo = m->todo;

    if (!added)
        return (uint32_t)*at;
    *at = graph_node(m->out);
    mem_grow(&todo, &m->cap, m->count + 1, sizeof(*m->todo));
    m->todo = todo;
    m->todo[m->count][0] = a;
    m->todo[m->count][1] = b;
    m->todo[m->count++][2] = (uint32_t)*at;
    return (uint32_t)*at;
}

static bool is_empty(const struct constrain_edge *e)
{
    return e->low > e->high;
}

static void meet_edges(struct meeting *m, const struct constrain_graph *a,
                       const struct constrain_graph *b, uint32_t x, uint32_t y,
                       uint32_t from)
{
    for (uint32_t i = a->first[x]; i; i = a->edges[i].next) {
        const struct constrain_edge *p = &a->edges[i];

        if (is_empty(p))
            graph_empty(m->out, from, pair(m, p->to, y));
        for (uint32_t k = b->first[y]; k && !is_empty(p);
             k = b->edges[k].next) {
            const struct constrain_edge *q = &b->edges[k];
            uint32_t low = p->low > q->low ? p->low : q->low;
            uint32_t high = p->high < q->high ? p->high : q->high;

            if (!is_empty(q) && low <= high)
                graph_edge(m->out, from, pair(m, p->to, q->to), low, high);
        }
    }
    for (uint32_t k = b->first[y]; k; k = b->edges[k].next)
        if (is_empty(&b->edges[k]))
            graph_empty(m->out, from, pair(m, x, b->edges[k].to));
}

uint32_t graph_meet(struct constrain_graph *out,
                    const struct constrain_graph *a, uint32_t a_final,
                    const struct constrain_graph *b, uint32_t b_final)
{
    struct meeting m = { .out = out, .known = map_new() };
    uint32_t end;

    graph_empty(out, 0, pair(&m, 0, 0));
    for (size_t i = 0; i < m.count && !graph_failed(out); i++) {
        const uint32_t at[3] = { m.todo[i][0], m.todo[i][1], m.todo[i][2] };

        meet_edges(&m, a, b, at[0], at[1], at[2]);
    }
    end = pair(&m, a_final, b_final);
    map_free(m.known);
    free(m.todo);
    return end;
}

/* The escape of a character that cannot stand for itself. */
static void put_escape(struct constrain_graph *g, uint32_t from, uint32_t to,
                       uint32_t cp)
{
    static const char letters[] = "\b\f\n\r\t\"\\";
    static const char escapes[] = "bfnrt\"\\";
    const char *known = cp ? strchr(letters, (int)cp) : NULL;
    char text[8];

    if (known)
        (void)snprintf(text, sizeof(text), "\\%c", escapes[known - letters]);
    else
        (void)snprintf(text, sizeof(text), "\\u%04x", (unsigned)cp & 0xFFFFu);
    graph_empty(g, graph_text(g, from, slice_of(text)), to);
}

static void put_quoted(struct constrain_graph *g, uint32_t from, uint32_t to,
                       uint32_t low, uint32_t high)
{
    while (low <= high) {
        uint32_t end = high;

        if (low < ' ' || low == '"' || low == '\\') {
            put_escape(g, from, to, low++);
            continue;
        }
        if (low < '"' && end >= '"')
            end = '"' - 1;
        else if (low < '\\' && end >= '\\')
            end = '\\' - 1;
        graph_range(g, from, to, low, end);
        low = end + 1;
    }
}

uint32_t graph_quoted(struct constrain_graph *g, uint32_t from,
                      const struct constrain_graph *points, uint32_t final)
{
    size_t n = points->node_count;
    uint32_t *nodes = mem_array(n, sizeof(*nodes));
    uint32_t end = 0;

    for (size_t i = 0; i < n; i++)
        nodes[i] = graph_node(g);
    graph_empty(g, from, nodes[0]);
    for (size_t i = 0; i < n && !graph_failed(g); i++)
        for (uint32_t e = points->first[i]; e; e = points->edges[e].next) {
            const struct constrain_edge *x = &points->edges[e];

            if (is_empty(x))
                graph_empty(g, nodes[i], nodes[x->to]);
            else
                put_quoted(g, nodes[i], nodes[x->to], x->low, x->high);
        }
    if (!graph_failed(g))
        end = nodes[final];
    free(nodes);
    return end;
}
