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
#define STARTS 3

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
    uint32_t deep; /* cell of the first state that STARTS bytes lead to */
    /* Texts that literals may begin with: two bytes of those that have no
     * more, three of the others, hashed. */
    uint64_t two[65536 / 64], three[65536 / 64];
};

/* By state: how the trie leads to it. */
struct step {
    uint32_t child, sibling; /* 0: none */
    uint32_t literal;        /* first that ends here; UINT32_MAX: none */
    uint32_t fail;           /* by its number in the table */
    uint32_t depth;
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

/* Returns the number of states the trie can need at most. What texts hold most
 * often has the first classes, and so a few lines of a state's row serve. */
static size_t make_classes(struct scrub_gate *g)
{
    static const char often[] = " etaoinsrhldcumfpgwybvkxjqz.,_-0123456789";
    bool used[256] = { false };
    size_t states = 1;

    for (size_t i = 0; i < g->count; i++)
        for (size_t k = 0; k < g->literal[i].n; k++)
            used[fold((unsigned char)g->literal[i].text[k])] = true;
    g->classes = 1;
    for (const char *c = often; *c; c++)
        if (used[(unsigned char)*c])
            g->class[(unsigned char)*c] = (uint8_t)g->classes++;
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
    step[0].literal = UINT32_MAX;
    for (size_t i = 0; i < g->count; i++) {
        struct literal *l = &g->literal[i];
        uint32_t s = 0;

        for (size_t k = 0; k < l->n; k++) {
            uint8_t class = g->class[(unsigned char)l->text[k]];
            uint32_t to = child_of(step, s, class);

            if (!to) {
                to = (uint32_t)g->states++;
                step[to] = (struct step){ .sibling = step[s].child,
                                          .literal = UINT32_MAX,
                                          .depth = step[s].depth + 1,
                                          .class = class };
                step[s].child = to;
            }
            s = to;
        }
        l->next = step[s].literal;
        step[s].literal = (uint32_t)i;
    }
}

static bool is_final(const struct scrub_gate *g, uint32_t s)
{
    return g->out[s] != UINT32_MAX || g->link[s];
}

/* Breadth first: a state goes where the longest suffix of what it has seen
 * goes, unless the trie leads on. In this order they stand in the table, since
 * few texts leave the first ones for long. */
static void make_links(struct scrub_gate *g, struct step *step)
{
    uint32_t *queue = mem_array(g->states, sizeof(*queue));
    uint32_t classes = (uint32_t)g->classes, tail = 0;

    g->out[0] = UINT32_MAX;
    g->deep = UINT32_MAX;
    queue[tail++] = 0;
    for (uint32_t head = 0; head < tail; head++) {
        const struct step *s = &step[queue[head]];
        uint32_t *row = g->cell + (size_t)head * classes;
        const uint32_t *back = g->cell + (size_t)s->fail * classes;

        if (head)
            memcpy(row, back, classes * sizeof(*row));
        for (uint32_t to = s->child; to; to = step[to].sibling) {
            uint8_t class = step[to].class;
            uint32_t fail = head ? (back[class] & ~FINAL) / classes : 0;

            if (step[to].depth == STARTS && g->deep == UINT32_MAX)
                g->deep = tail * classes;
            step[to].fail = fail;
            g->out[tail] = step[to].literal;
            g->link[tail] = g->out[fail] != UINT32_MAX ? fail : g->link[fail];
            row[class] = tail * classes;
            if (is_final(g, tail))
                row[class] |= FINAL;
            queue[tail++] = to;
        }
    }
    free(queue);
}

static void mark(uint64_t *bits, uint32_t i)
{
    bits[i / 64] |= UINT64_C(1) << i % 64;
}

static uint32_t is_marked(const uint64_t *bits, uint32_t i)
{
    return bits[i / 64] >> i % 64 & 1;
}

/* Three bytes, the first lowest; case is one bit of letters. */
static uint32_t push_byte(uint32_t three, unsigned char c)
{
    return three >> 8 | (uint32_t)(c | 0x20) << 16;
}

static uint32_t hash_three(uint32_t three)
{
    return three * 0x9E3779B1u >> 16;
}

static void make_starts(struct scrub_gate *g)
{
    for (size_t i = 0; i < g->count; i++) {
        const unsigned char *p = (const unsigned char *)g->literal[i].text;
        size_t n = g->literal[i].n;
        uint32_t x = 0;

        for (size_t k = 0; k < STARTS && k < n; k++)
            x = push_byte(x, p[k]);
        if (n >= STARTS)
            mark(g->three, hash_three(x));
        else if (n == 2)
            mark(g->two, x >> 8);
        for (uint32_t c = 0; n == 1 && c < 256; c++)
            mark(g->two, x >> 16 | c << 8);
    }
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
    make_trie(g, step);
    g->cell = mem_table(g->states * g->classes, sizeof(*g->cell));
    make_links(g, step);
    make_starts(g);
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

/* Where from p on the next literal may begin; the last bytes of a text are not
 * told apart. */
static const unsigned char *next_start(const struct scrub_gate *g,
                                       const unsigned char *p,
                                       const unsigned char *end)
{
    uint32_t x = 0;

    if (end - p < STARTS)
        return p;
    for (size_t k = 0; k + 1 < STARTS; k++)
        x = push_byte(x, p[k]);
    for (; end - p >= STARTS; p++) {
        x = push_byte(x, p[STARTS - 1]);
        if (is_marked(g->two, x & 0xFFFF) | is_marked(g->three, hash_three(x)))
            break;
    }
    return p;
}

/* Most bytes of a text begin nothing, and are not taken to the automaton: its
 * table is larger than caches. It runs from where a literal may begin until
 * what it knows is less than that tells. */
void scrub_gate_scan(const struct scrub_gate *g, struct slice text,
                     void (*hit)(void *ctx, uint32_t id, size_t end), void *ctx)
{
    const unsigned char *p = (const unsigned char *)text.p;
    const unsigned char *end = p + text.n, *done = p;
    const uint32_t *cell = g->cell;

    if (!g->count || !text.n)
        return;
    while ((p = next_start(g, p, end)) < end) {
        const unsigned char *least = end - p < STARTS ? end : p + STARTS;
        uint32_t s = 0;

        while (p < least || (p < end && s >= g->deep)) {
            s = cell[s + g->class[*p++]];
            if (!(s & FINAL))
                continue;
            s &= ~FINAL;
            if (p > done)
                report(g, s / (uint32_t)g->classes,
                       (size_t)((const char *)p - text.p), hit, ctx);
        }
        if (p == end)
            break;
        done = p;
        p -= STARTS - 1;
    }
}
