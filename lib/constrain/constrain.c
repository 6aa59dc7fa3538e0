/*
 * constrain.c - the automaton as it is used: states made when first reached
 *
 * A state is a set of the graph's nodes. Its transitions and its mask are
 * filled in on demand and kept, so a form whose texts dwell in a few states
 * (the inside of a string) costs a look-up a token.
 */
#include "constrain/constrain.h"

#include "base/map.h"
#include "base/mem.h"
#include "constrain/constrain_private.h"
#include "constrain/constrain_vocab.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { UNKNOWN = -2, DEAD = -1 };

struct state {
    uint32_t *nodes; /* sorted */
    size_t count;
    uint32_t rest; /* bytes of the shortest text from here */
    bool end;
    int32_t *next;  /* by class of symbols; NULL: none known yet */
    uint64_t *mask; /* NULL: not known */
};

struct constrain {
    const struct constrain_vocab *vocab;
    struct constrain_graph graph;
    uint32_t final;
    uint32_t *rests; /* by node; UINT32_MAX: no way to the end */
    uint32_t longest_rest;
    struct state *states;
    size_t count, cap;
    struct map *known; /* set of nodes -> state */
    uint32_t *mark;    /* by node: the last set it was put in */
    uint32_t set;      /* number of that set */
    uint32_t *list;    /* nodes of the set that is being made */
    size_t list_count;
    int32_t *path; /* states along the token before */
    /* Bytes and marks that no edge tells apart are one class. */
    uint16_t *class_of;
    size_t classes;
    size_t mask_words, masks, state_bytes, graph_bytes;
    bool overgrown;
    /* What other threads may ask. */
    atomic_bool worn;
    atomic_size_t bytes;
};

static void reach(struct constrain *c, uint32_t node)
{
    if (c->mark[node] == c->set)
        return;
    c->mark[node] = c->set;
    c->list[c->list_count++] = node;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static void count_bytes(struct constrain *c)
{
    atomic_store_explicit(&c->bytes,
                          c->graph_bytes + c->state_bytes +
                              c->masks * c->mask_words * sizeof(uint64_t),
                          memory_order_relaxed);
    if (c->count > CONSTRAIN_MAX_STATES / 2 ||
        c->state_bytes > CONSTRAIN_STATE_BYTES / 2)
        atomic_store_explicit(&c->worn, true, memory_order_relaxed);
}

bool constrain_is_worn(const struct constrain *c)
{
    return atomic_load_explicit(&c->worn, memory_order_relaxed);
}

size_t constrain_bytes(const struct constrain *c)
{
    return atomic_load_explicit(&c->bytes, memory_order_relaxed);
}

/* The state of the nodes in list and those reached from them without reading;
 * only nodes that read something, or end, tell states apart. */
static int32_t settle(struct constrain *c)
{
    const struct constrain_graph *g = &c->graph;
    size_t kept = 0;
    uint64_t *slot;
    bool end;
    struct state *s;
    void *states = c->states;

    for (size_t i = 0; i < c->list_count; i++)
        for (uint32_t e = g->first[c->list[i]]; e; e = g->edges[e].next)
            if (g->edges[e].low > g->edges[e].high)
                reach(c, g->edges[e].to);
    end = c->mark[c->final] == c->set;
    for (size_t i = 0; i < c->list_count; i++) {
        uint32_t e = g->first[c->list[i]];

        while (e && g->edges[e].low > g->edges[e].high)
            e = g->edges[e].next;
        if ((e || c->list[i] == c->final) && c->rests[c->list[i]] != UINT32_MAX)
            c->list[kept++] = c->list[i];
    }
    if (!kept)
        return DEAD;
    qsort(c->list, kept, sizeof(*c->list), by_number);
    slot = map_get(c->known, c->list, kept * sizeof(*c->list));
    if (slot)
        return (int32_t)*slot;
    if (c->count >= CONSTRAIN_MAX_STATES ||
        c->state_bytes >= CONSTRAIN_STATE_BYTES) {
        c->overgrown = true;
        return DEAD;
    }
    *map_put(c->known, c->list, kept * sizeof(*c->list), NULL) = c->count;
    /* Its nodes stand in the map as well. */
    c->state_bytes += sizeof(*s) + 2 * kept * sizeof(*c->list);
    mem_grow(&states, &c->cap, c->count + 1, sizeof(*c->states));
    c->states = states;
    s = &c->states[c->count];
    *s = (struct state){ .count = kept, .end = end };
    s->nodes = mem_array(kept, sizeof(*s->nodes));
    memcpy(s->nodes, c->list, kept * sizeof(*s->nodes));
    s->rest = UINT32_MAX;
    for (size_t i = 0; i < kept; i++)
        if (c->rests[c->list[i]] < s->rest)
            s->rest = c->rests[c->list[i]];
    c->count++;
    count_bytes(c);
    return (int32_t)c->count - 1;
}

static void set_begin(struct constrain *c)
{
    c->set++;
    c->list_count = 0;
}

static int32_t advance(struct constrain *c, int32_t from, unsigned symbol)
{
    const struct constrain_graph *g = &c->graph;
    struct state *s = &c->states[from];
    int32_t to;

    if (!s->next) {
        s->next = mem_array(c->classes, sizeof(*s->next));
        for (size_t i = 0; i < c->classes; i++)
            s->next[i] = UNKNOWN;
        c->state_bytes += c->classes * sizeof(*s->next);
    }
    if (s->next[c->class_of[symbol]] != UNKNOWN)
        return s->next[c->class_of[symbol]];
    set_begin(c);
    for (size_t i = 0; i < s->count; i++)
        for (uint32_t e = g->first[s->nodes[i]]; e; e = g->edges[e].next)
            if (g->edges[e].low <= symbol && symbol <= g->edges[e].high)
                reach(c, g->edges[e].to);
    to = settle(c);
    if (to != DEAD || !c->overgrown)
        c->states[from].next[c->class_of[symbol]] = to;
    return to;
}

static void drop_masks(struct constrain *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free(c->states[i].mask);
        c->states[i].mask = NULL;
    }
    c->masks = 0;
}

static void put_bit(uint64_t *mask, int32_t id)
{
    mask[(size_t)id / 64] |= (uint64_t)1 << ((size_t)id % 64);
}

/* Walk the sorted tokens. path[k] is the state after k bytes of the one at
 * hand; dead: the number of its bytes that lead nowhere with the last. */
static void fill_mask(struct constrain *c, int32_t from, uint64_t *mask)
{
    const struct constrain_vocab *v = c->vocab;
    size_t dead = SIZE_MAX;

    c->path[0] = from;
    for (size_t i = 0; i < v->count; i++) {
        const struct constrain_token *t = &v->tokens[i];
        size_t k = t->common;

        if (k >= dead)
            continue;
        dead = SIZE_MAX;
        for (; k < t->text.n && dead == SIZE_MAX; k++) {
            c->path[k + 1] =
                advance(c, c->path[k], (unsigned char)t->text.p[k]);
            if (c->path[k + 1] == DEAD)
                dead = k + 1;
        }
        if (dead == SIZE_MAX)
            put_bit(mask, t->id);
    }
    for (unsigned i = 0; i < c->graph.mark_count; i++)
        if (advance(c, from, GRAPH_MARK + i) != DEAD)
            put_bit(mask, c->graph.marks[i]);
}

const uint64_t *constrain_mask(struct constrain *c, int64_t state)
{
    uint64_t *mask;

    assert(state >= 0 && (size_t)state < c->count);
    if (c->states[state].mask)
        return c->states[state].mask;
    if ((c->masks + 1) * c->mask_words * sizeof(*mask) > CONSTRAIN_MASK_BYTES)
        drop_masks(c);
    mask = mem_zalloc(c->mask_words * sizeof(*mask));
    c->overgrown = false; /* a mask of states that are there is whole */
    fill_mask(c, (int32_t)state, mask);
    if (c->overgrown) {
        free(mask);
        return NULL;
    }
    c->states[state].mask = mask;
    c->masks++;
    count_bytes(c);
    return mask;
}

size_t constrain_size(const struct constrain *c)
{
    return c->vocab->size;
}

bool constrain_is_end(const struct constrain *c, int64_t state)
{
    return state >= 0 && c->states[state].end;
}

int64_t constrain_step(struct constrain *c, int64_t state, int32_t id)
{
    struct slice text = { 0 };
    int32_t at = (int32_t)state;

    if (id >= 0 && (size_t)id < c->vocab->size)
        text = c->vocab->by_id[id];
    if (!text.p) {
        for (unsigned i = 0; i < c->graph.mark_count; i++)
            if (c->graph.marks[i] == id)
                return advance(c, at, GRAPH_MARK + i);
        return DEAD;
    }
    for (size_t i = 0; i < text.n && at != DEAD; i++)
        at = advance(c, at, (unsigned char)text.p[i]);
    return at;
}

size_t constrain_rest(const struct constrain *c, int64_t state)
{
    return state >= 0 ? c->states[state].rest : SIZE_MAX;
}

size_t constrain_longest_rest(const struct constrain *c)
{
    return c->longest_rest;
}

static void find_classes(struct constrain *c)
{
    const struct constrain_graph *g = &c->graph;
    size_t n = GRAPH_MARK + g->mark_count;
    bool *begins = mem_zalloc((n + 1) * sizeof(*begins));

    for (size_t i = 1; i < g->edge_count; i++)
        if (g->edges[i].low <= g->edges[i].high) {
            begins[g->edges[i].low] = true;
            begins[g->edges[i].high + 1] = true;
        }
    c->class_of = mem_array(n, sizeof(*c->class_of));
    begins[0] = false;
    for (size_t i = 0; i < n; i++) {
        c->classes += begins[i];
        c->class_of[i] = (uint16_t)c->classes;
    }
    c->classes++;
    free(begins);
}

int constrain_finish(struct constrain *c, uint32_t final,
                     struct constrain **out)
{
    int rc = c->graph.rc;
    size_t n = c->graph.node_count;

    if (rc < 0) {
        constrain_free(c);
        return rc;
    }
    c->final = final;
    c->rests = graph_rests(&c->graph, final, &c->longest_rest);
    if (c->rests[0] == UINT32_MAX) {
        rc = err_set(c->graph.err, ERR_UNSUPPORTED,
                     "schema: no text of an end fits it");
        constrain_free(c);
        return rc;
    }
    find_classes(c);
    c->known = map_new();
    c->mark = mem_zalloc(n * sizeof(*c->mark));
    c->list = mem_array(n, sizeof(*c->list));
    c->path = mem_array(c->vocab->longest + 2, sizeof(*c->path));
    c->mask_words = (c->vocab->size + 63) / 64;
    c->graph_bytes =
        c->graph.node_cap * sizeof(*c->graph.first) +
        c->graph.edge_cap * sizeof(*c->graph.edges) +
        n * (sizeof(*c->rests) + sizeof(*c->mark) + sizeof(*c->list));
    set_begin(c);
    reach(c, 0);
    (void)settle(c);
    *out = c;
    return ERR_OK;
}

struct constrain *constrain_open(const struct constrain_vocab *v,
                                 struct err *err, uint32_t *from)
{
    struct constrain *c = mem_zalloc(sizeof(*c));

    c->vocab = v;
    graph_init(&c->graph, err);
    *from = graph_node(&c->graph);
    graph_empty(&c->graph, 0, *from);
    if (v->lead_space)
        graph_edge(&c->graph, 0, *from, ' ', ' ');
    return c;
}

struct constrain_graph *constrain_graph_of(struct constrain *c)
{
    return &c->graph;
}

int constrain_schema(const struct constrain_vocab *v, struct slice schema,
                     struct constrain **out, struct err *err)
{
    struct json j = { 0 };
    struct constrain *c;
    uint32_t from;
    int rc;

    if (schema.n > CONSTRAIN_MAX_TEXT)
        return err_set(err, ERR_LIMIT, "the schema has more than %zu bytes",
                       CONSTRAIN_MAX_TEXT);
    rc = json_parse(&j, schema.p, schema.n, err);
    if (rc == ERR_OK) {
        c = constrain_open(v, err, &from);
        rc = constrain_finish(c, graph_schema(&c->graph, from, &j, 0, false),
                              out);
    } else {
        rc = err_wrap(err, "schema");
    }
    json_release(&j);
    return rc;
}

int constrain_labels(const struct constrain_vocab *v,
                     const struct slice *labels, size_t count,
                     struct constrain **out, struct err *err)
{
    struct constrain *c;
    uint32_t from, final;

    for (size_t i = 0; i < count; i++)
        if (!labels[i].n)
            return err_set(err, ERR_INVALID, "label %zu is empty", i + 1);
    if (!count)
        return err_set(err, ERR_INVALID, "there are no labels");
    c = constrain_open(v, err, &from);
    final = graph_node(&c->graph);
    for (size_t i = 0; i < count; i++)
        graph_empty(&c->graph, graph_text(&c->graph, from, labels[i]), final);
    return constrain_finish(c, final, out);
}

int constrain_regex(const struct constrain_vocab *v, struct slice regex,
                    struct constrain **out, struct err *err)
{
    struct constrain *c;
    uint32_t from;

    if (regex.n > CONSTRAIN_MAX_TEXT)
        return err_set(err, ERR_LIMIT,
                       "the regular expression has more than %zu bytes",
                       CONSTRAIN_MAX_TEXT);
    c = constrain_open(v, err, &from);
    return constrain_finish(c, graph_regex(&c->graph, from, regex), out);
}

void constrain_free(struct constrain *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++) {
        free(c->states[i].nodes);
        free(c->states[i].next);
        free(c->states[i].mask);
    }
    free(c->states);
    map_free(c->known);
    free(c->rests);
    free(c->mark);
    free(c->list);
    free(c->path);
    free(c->class_of);
    graph_release(&c->graph);
    free(c);
}
