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
    uint32_t *cell; /* states x classes: state * classes | FINAL */
    uint32_t *out;  /* by state: first literal that ends here */
    uint32_t *link; /* by state: longest proper suffix with output, or 0 */
    size_t states;
};

/* By state: how the trie leads to it. */
struct step {
    uint32_t child, sibling; /* 0: none */
    uint32_t fail;
    uint8_t class;
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

static uint32_t child_of(const struct step *step, uint32_t s, uint8_t class)
{
    uint32_t to = step[s].child;

    while (to && step[to].class != class)
        to = step[to].sibling;
    return to;
}

static void make_trie(struct scrub_gate *g, struct step *step)
{
    g->states = 1;
    for (size_t i = 0; i < g->count; i++) {
        struct literal *l = &g->literal[i];
        uint32_t s = 0;

        for (size_t k = 0; k < l->n; k++) {
            uint8_t class = g->class[(unsigned char)l->text[k]];
            uint32_t to = child_of(step, s, class);

            if (!to) {
                to = (uint32_t)g->states++;
                step[to] =
                    (struct step){ .sibling = step[s].child, .class = class };
                step[s].child = to;
            }
            s = to;
        }
        l->next = g->out[s];
        g->out[s] = (uint32_t)i;
    }
}

static bool is_final(const struct scrub_gate *g, uint32_t s)
{
    return g->out[s] != UINT32_MAX || g->link[s];
}

/* Breadth first: a state goes where the longest suffix of what it has seen
 * goes, unless the trie leads on. */
static void make_links(struct scrub_gate *g, struct step *step)
{
    uint32_t *queue = mem_array(g->states, sizeof(*queue));
    size_t head = 0, tail = 0;

    queue[tail++] = 0;
    while (head < tail) {
        uint32_t s = queue[head++];
        uint32_t *row = g->cell + (size_t)s * g->classes;
        const uint32_t *back = g->cell + (size_t)step[s].fail * g->classes;

        if (s)
            memcpy(row, back, g->classes * sizeof(*row));
        for (uint32_t to = step[s].child; to; to = step[to].sibling) {
            uint8_t class = step[to].class;
            uint32_t fail =
                s ? (back[class] & ~FINAL) / (uint32_t)g->classes : 0;

            step[to].fail = fail;
            g->link[to] = g->out[fail] != UINT32_MAX ? fail : g->link[fail];
            row[class] = to * (uint32_t)g->classes;
            if (is_final(g, to))
                row[class] |= FINAL;
            queue[tail++] = to;
        }
    }
    free(queue);
}

int scrub_gate_build(struct scrub_gate *g, struct err *err)
{
    size_t states = make_classes(g), cells = states * g->classes;
    struct step *step;

    if (cells > MAX_CELLS)
        return err_set(err, ERR_LIMIT, "%zu literals are too many at once",
                       g->count);
    step = mem_zalloc(states * sizeof(*step));
    g->out = mem_array(states, sizeof(*g->out));
    g->link = mem_zalloc(states * sizeof(*g->link));
    memset(g->out, 0xFF, states * sizeof(*g->out));
    make_trie(g, step);
    g->cell = mem_zalloc(g->states * g->classes * sizeof(*g->cell));
    make_links(g, step);
    free(step);
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
    const unsigned char *end = p + text.n;
    const uint32_t *cell = g->cell;
    uint32_t s = 0;

    if (!g->count)
        return;
    while (p < end) {
        s = cell[s + g->class[*p++]];
        if (s & FINAL) {
            s &= ~FINAL;
            report(g, s / (uint32_t)g->classes,
                   (size_t)((const char *)p - text.p), hit, ctx);
        }
    }
}
