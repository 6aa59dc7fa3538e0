/*
 * constrain_graph.c - nodes and edges over bytes
 *
 * Characters become bytes here, so that a token may begin or end inside one
 * and the text as a whole is still UTF-8.
 */
#include "constrain/constrain_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void graph_init(struct constrain_graph *g, struct err *err)
{
    *g = (struct constrain_graph){ .err = err, .limit = CONSTRAIN_MAX_NODES };
    g->edge_count = 1; /* edge 0 stands for none */
    (void)graph_node(g);
}

void graph_release(struct constrain_graph *g)
{
    free(g->first);
    free(g->edges);
    free(g->marks);
    g->first = NULL;
    g->edges = NULL;
    g->marks = NULL;
}

bool graph_failed(const struct constrain_graph *g)
{
    return g->rc < 0;
}

uint32_t graph_node(struct constrain_graph *g)
{
    void *first = g->first;

    if (g->node_count >= g->limit && g->rc == 0)
        g->rc = err_set(g->err, ERR_LIMIT,
                        "the form needs more than %zu nodes: shorten its "
                        "lengths and repetitions",
                        g->limit);
    if (g->rc < 0)
        return 0;
    mem_grow(&first, &g->node_cap, g->node_count + 1, sizeof(*g->first));
    g->first = first;
    g->first[g->node_count] = 0;
    return (uint32_t)g->node_count++;
}

void graph_edge(struct constrain_graph *g, uint32_t from, uint32_t to,
                unsigned low, unsigned high)
{
    void *edges = g->edges;

    if (g->rc < 0)
        return;
    mem_grow(&edges, &g->edge_cap, g->edge_count + 1, sizeof(*g->edges));
    g->edges = edges;
    g->edges[g->edge_count] =
        (struct constrain_edge){ to, g->first[from], low, high };
    g->first[from] = (uint32_t)g->edge_count++;
}

void graph_empty(struct constrain_graph *g, uint32_t from, uint32_t to)
{
    graph_edge(g, from, to, 1, 0);
}

void graph_mark(struct constrain_graph *g, uint32_t from, uint32_t to,
                int32_t id)
{
    unsigned i = 0;

    while (i < g->mark_count && g->marks[i] != id)
        i++;
    if (i == g->mark_count) {
        g->marks = mem_realloc(g->marks, i + 1, sizeof(*g->marks));
        g->marks[g->mark_count++] = id;
    }
    graph_edge(g, from, to, GRAPH_MARK + i, GRAPH_MARK + i);
}

uint32_t graph_bytes(struct constrain_graph *g, uint32_t from, unsigned low,
                     unsigned high)
{
    uint32_t to = graph_node(g);

    graph_edge(g, from, to, low, high);
    return to;
}

uint32_t graph_text(struct constrain_graph *g, uint32_t from, struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        from =
            graph_bytes(g, from, (unsigned char)s.p[i], (unsigned char)s.p[i]);
    return from;
}

struct constrain_was graph_was(const struct constrain_graph *g, uint32_t from)
{
    return (struct constrain_was){ g->node_count, g->edge_count, from,
                                   g->node_count ? g->first[from] : 0 };
}

void graph_back(struct constrain_graph *g, const struct constrain_was *w)
{
    if (!w->node_count)
        return;
    g->node_count = w->node_count;
    g->edge_count = w->edge_count;
    g->first[w->from] = w->first;
    g->rc = 0;
}

static bool rest_is(const unsigned char *p, size_t i, size_t n, unsigned c)
{
    for (; i < n; i++)
        if (p[i] != c)
            return false;
    return true;
}

/* Bytes i..n-1 of every text between low and high, both of n bytes. */
static void between(struct constrain_graph *g, uint32_t from, uint32_t to,
                    const unsigned char *low, const unsigned char *high,
                    size_t i, size_t n)
{
    unsigned a = low[i], b = high[i];
    unsigned char edge[4];

    if (i + 1 == n) {
        graph_edge(g, from, to, a, b);
        return;
    }
    if (a == b) {
        between(g, graph_bytes(g, from, a, a), to, low, high, i + 1, n);
        return;
    }
    if (!rest_is(low, i + 1, n, 0x80)) {
        memset(edge, 0xBF, sizeof(edge));
        between(g, graph_bytes(g, from, a, a), to, low, edge, i + 1, n);
        a++;
    }
    if (!rest_is(high, i + 1, n, 0xBF)) {
        memset(edge, 0x80, sizeof(edge));
        between(g, graph_bytes(g, from, b, b), to, edge, high, i + 1, n);
        b--;
    }
    if (a > b)
        return;
    from = graph_bytes(g, from, a, b);
    for (i++; i + 1 < n; i++)
        from = graph_bytes(g, from, 0x80, 0xBF);
    graph_edge(g, from, to, 0x80, 0xBF);
}

void graph_range(struct constrain_graph *g, uint32_t from, uint32_t to,
                 uint32_t low, uint32_t high)
{
    /* Parts whose texts are of one length, surrogates left out. */
    static const struct constrain_range parts[] = {
        { 0, 0x7F },        { 0x80, 0x7FF },       { 0x800, 0xD7FF },
        { 0xE000, 0xFFFF }, { 0x10000, 0x10FFFF },
    };

    if (g->points) {
        graph_edge(g, from, to, low, high);
        return;
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint32_t a = low > parts[i].low ? low : parts[i].low;
        uint32_t b = high < parts[i].high ? high : parts[i].high;
        char from_text[4], to_text[4];
        size_t n;

        if (a > b)
            continue;
        n = utf8_encode(a, from_text);
        (void)utf8_encode(b, to_text);
        between(g, from, to, (const unsigned char *)from_text,
                (const unsigned char *)to_text, 0, n);
    }
}

/* Edges by the node they lead to: those of node n are sources[at[n]] up to
 * sources[at[n + 1]], their numbers beside them. */
struct backward {
    uint32_t *at, *sources, *edges;
};

static void turn(const struct constrain_graph *g, struct backward *b)
{
    size_t n = g->node_count;

    b->at = mem_zalloc((n + 2) * sizeof(*b->at));
    b->sources = mem_array(g->edge_count, sizeof(*b->sources));
    b->edges = mem_array(g->edge_count, sizeof(*b->edges));
    for (size_t i = 1; i < g->edge_count; i++)
        b->at[g->edges[i].to + 2]++;
    for (size_t i = 2; i < n + 2; i++)
        b->at[i] += b->at[i - 1];
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t e = g->first[i]; e; e = g->edges[e].next) {
            uint32_t k = b->at[g->edges[e].to + 1]++;

            b->sources[k] = i;
            b->edges[k] = e;
        }
}

/* A search in layers, one byte farther each; `near` holds the layer at hand
 * and grows by what is reached without reading, `far` the next one. */
uint32_t *graph_rests(const struct constrain_graph *g, uint32_t final,
                      uint32_t *longest)
{
    size_t n = g->node_count, near_count = 1, far_count = 0;
    uint32_t *rests = mem_array(n, sizeof(*rests));
    uint32_t *near = mem_array(n, sizeof(*near));
    uint32_t *far = mem_array(g->edge_count + 1, sizeof(*far));
    struct backward b;

    turn(g, &b);
    for (size_t i = 0; i < n; i++)
        rests[i] = UINT32_MAX;
    rests[final] = 0;
    near[0] = final;
    *longest = 0;
    for (uint32_t step = 0; near_count > 0; step++) {
        *longest = step;
        far_count = 0;
        for (size_t i = 0; i < near_count; i++)
            for (uint32_t k = b.at[near[i]]; k < b.at[near[i] + 1]; k++) {
                const struct constrain_edge *e = &g->edges[b.edges[k]];
                uint32_t from = b.sources[k];

                if (rests[from] <= step)
                    continue;
                if (e->low <= e->high) {
                    far[far_count++] = from;
                } else {
                    rests[from] = step;
                    near[near_count++] = from;
                }
            }
        near_count = 0;
        for (size_t i = 0; i < far_count; i++)
            if (rests[far[i]] > step + 1) {
                rests[far[i]] = step + 1;
                near[near_count++] = far[i];
            }
    }
    free(near);
    free(far);
    free(b.at);
    free(b.sources);
    free(b.edges);
    return rests;
}
