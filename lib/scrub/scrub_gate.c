/*
 * scrub_gate.c - the Aho-Corasick automaton in front of the patterns
 *
 * Bytes are folded to classes (those that no literal holds share class 0), so
 * the table stays small enough for the first-level caches. It only says where
 * a pattern is worth asking; it decides nothing.
 */
#include "scrub/scrub_priv.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define MAX_CELLS ((size_t)64 << 20)
#define FINAL 0x80000000u

struct literal {
    char *text;
    size_t n;
    uint32_t id;
    uint32_t next; /* literal that ends in the same state; UINT32_MAX: none */
};

struct scrub_gate {
    struct literal *literal;
    size_t count, cap;
    uint8_t class[256];
    unsigned classes;
    uint32_t *cell; /* states x classes: state | FINAL */
    uint32_t *out;  /* by state: first literal that ends here */
    uint32_t *link; /* by state: longest proper suffix with output, or 0 */
    size_t states;
};

struct scrub_gate *scrub_gate_new(void)
{
    return mem_zalloc(sizeof(struct scrub_gate));
}

void scrub_gate_free(struct scrub_gate *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->count; i++)
        free(g->literal[i].text);
    free(g->literal);
    free(g->cell);
    free(g->out);
    free(g->link);
    free(g);
}

static unsigned char fold(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

void scrub_gate_add(struct scrub_gate *g, struct slice literal, uint32_t id)
{
    void *all = g->literal;

    if (!literal.n)
        return;
    mem_grow(&all, &g->cap, g->count + 1, sizeof(*g->literal));
    g->literal = all;
    g->literal[g->count++] =
        (struct literal){ mem_strndup(literal.p, literal.n), literal.n, id,
                          UINT32_MAX };
}

/* Returns the number of states the trie can need at most. */
static size_t make_classes(struct scrub_gate *g)
{
    size_t states = 1;

    g->classes = 1;
    for (size_t i = 0; i < g->count; i++) {
        states += g->literal[i].n;
        for (size_t k = 0; k < g->literal[i].n; k++) {
            unsigned char c = fold((unsigned char)g->literal[i].text[k]);

            if (!g->class[c])
                g->class[c] = (uint8_t)g->classes++;
        }
    }
    for (unsigned c = 'A'; c <= 'Z'; c++)
        g->class[c] = g->class[c | 0x20];
    return states;
}

static void make_trie(struct scrub_gate *g)
{
    g->states = 1;
    for (size_t i = 0; i < g->count; i++) {
        struct literal *l = &g->literal[i];
        size_t s = 0;

        for (size_t k = 0; k < l->n; k++) {
            uint32_t *cell =
                &g->cell[s * g->classes + g->class[(unsigned char)l->text[k]]];

            if (!*cell)
                *cell = (uint32_t)g->states++;
            s = *cell;
        }
        l->next = g->out[s];
        g->out[s] = (uint32_t)i;
    }
}

/* Breadth first: failure links become direct transitions. */
static void make_links(struct scrub_gate *g)
{
    uint32_t *queue = mem_array(g->states, sizeof(*queue));
    uint32_t *fail = mem_zalloc(g->states * sizeof(*fail));
    size_t head = 0, tail = 0;

    queue[tail++] = 0;
    while (head < tail) {
        size_t s = queue[head++];
        uint32_t *row = g->cell + s * g->classes;
        const uint32_t *back = g->cell + (size_t)fail[s] * g->classes;

        for (unsigned c = 0; c < g->classes; c++) {
            uint32_t to = row[c];

            if (!to) {
                row[c] = s ? back[c] : 0;
                continue;
            }
            fail[to] = s ? back[c] : 0;
            g->link[to] =
                g->out[fail[to]] != UINT32_MAX ? fail[to] : g->link[fail[to]];
            queue[tail++] = to;
        }
    }
    free(queue);
    free(fail);
}

int scrub_gate_build(struct scrub_gate *g, struct err *err)
{
    size_t states = make_classes(g), cells;

    cells = states * g->classes;
    if (cells > MAX_CELLS || states >= FINAL)
        return err_set(err, ERR_LIMIT, "%zu literals are too many at once",
                       g->count);
    g->cell = mem_zalloc(cells * sizeof(*g->cell));
    g->out = mem_array(states, sizeof(*g->out));
    g->link = mem_zalloc(states * sizeof(*g->link));
    memset(g->out, 0xFF, states * sizeof(*g->out));
    make_trie(g);
    make_links(g);
    for (size_t i = 0; i < g->states * g->classes; i++) {
        uint32_t s = g->cell[i];

        if (g->out[s] != UINT32_MAX || g->link[s])
            g->cell[i] = s | FINAL;
    }
    return ERR_OK;
}

static void report(const struct scrub_gate *g, uint32_t s, size_t end,
                   void (*hit)(void *, uint32_t, size_t), void *ctx)
{
    if (g->out[s] == UINT32_MAX)
        s = g->link[s];
    while (s) {
        for (uint32_t l = g->out[s]; l != UINT32_MAX; l = g->literal[l].next)
            hit(ctx, g->literal[l].id, end);
        s = g->link[s];
    }
}

void scrub_gate_scan(const struct scrub_gate *g, struct slice text,
                     void (*hit)(void *ctx, uint32_t id, size_t end), void *ctx)
{
    const unsigned char *p = (const unsigned char *)text.p;
    uint32_t s = 0;

    if (!g->count)
        return;
    for (size_t i = 0; i < text.n; i++) {
        s = g->cell[(size_t)s * g->classes + g->class[p[i]]];
        if (s & FINAL) {
            s &= ~FINAL;
            report(g, s, i + 1, hit, ctx);
        }
    }
}
