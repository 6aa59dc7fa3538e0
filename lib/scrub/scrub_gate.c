/*
 * scrub_gate.c - the literals that a text holds, in front of the patterns
 *
 * Literals stand in a trie from their last byte to their first, so those that
 * end at one byte lie on one way through it, the longest at its end. Most
 * bytes of a text end nothing, which a filter over the last bytes of literals
 * tells; the trie is small enough for the caches. It only says where a
 * pattern is worth asking; it decides nothing.
 */
#include "scrub/scrub_priv.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define MAX_BYTES ((size_t)64 << 20)
#define NONE UINT32_MAX
#define TAIL 4

struct literal {
    char *text;
    size_t n;
    uint32_t id;
    uint32_t next; /* literal of the same text; NONE: none */
    bool whole;
};

struct node {
    uint32_t child;   /* the first; they stand side by side */
    uint32_t literal; /* first with this text; NONE: none */
    uint32_t up;      /* longest suffix that is one, too; 0: none */
    uint16_t children;
};

/* Ends of literals, by their last bytes: two of those that have no more,
 * three, and four of all others, hashed. */
struct tails {
    uint64_t two[65536 / 64], three[65536 / 64], four[65536 / 64];
};

struct scrub_gate {
    struct literal *literal;
    size_t count, cap;
    struct node *node;    /* [0]: of the empty text */
    unsigned char *label; /* by node: its byte */
    uint32_t last[256];   /* by last byte: its node, or 0 */
    struct tails any;     /* of all literals */
    struct tails inner;   /* of those that letters may follow */
};

/* By state: how the trie leads to it. */
struct step {
    uint32_t child, sibling; /* 0: none */
    uint32_t literal;
    unsigned char label;
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
    free(g->node);
    free(g->label);
    free(g);
}

static unsigned char fold(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

void scrub_gate_add(struct scrub_gate *g, struct slice literal, uint32_t id,
                    bool whole)
{
    void *all = g->literal;

    if (!literal.n)
        return;
    mem_grow(&all, &g->cap, g->count + 1, sizeof(*g->literal));
    g->literal = all;
    g->literal[g->count++] =
        (struct literal){ mem_strndup(literal.p, literal.n), literal.n, id,
                          NONE, whole };
}

static uint32_t child_of(const struct step *step, uint32_t s, unsigned char c)
{
    uint32_t to = step[s].child;

    while (to && step[to].label != c)
        to = step[to].sibling;
    return to;
}

/* Returns how many nodes there are. */
static uint32_t make_trie(struct scrub_gate *g, struct step *step)
{
    uint32_t count = 1;

    step[0] = (struct step){ .literal = NONE };
    for (size_t i = 0; i < g->count; i++) {
        struct literal *l = &g->literal[i];
        uint32_t s = 0;

        for (size_t k = l->n; k-- > 0;) {
            unsigned char c = fold((unsigned char)l->text[k]);
            uint32_t to = child_of(step, s, c);

            if (!to) {
                to = count++;
                step[to] = (struct step){ .sibling = step[s].child,
                                          .literal = NONE,
                                          .label = c };
                step[s].child = to;
            }
            s = to;
        }
        l->next = step[s].literal;
        step[s].literal = (uint32_t)i;
    }
    return count;
}

/* Breadth first: children stand side by side, and what is near the root, where
 * most texts leave it, in few lines of the cache. */
static void lay_out(struct scrub_gate *g, const struct step *step,
                    uint32_t count)
{
    uint32_t *queue = mem_array(count, sizeof(*queue)), tail = 1;

    g->node = mem_zalloc(count * sizeof(*g->node));
    g->label = mem_zalloc(count);
    queue[0] = 0;
    for (uint32_t head = 0; head < tail; head++) {
        const struct step *s = &step[queue[head]];
        struct node *x = &g->node[head];

        x->child = tail;
        x->literal = s->literal;
        for (uint32_t to = s->child; to; to = step[to].sibling) {
            g->node[tail].up = x->literal != NONE ? head : x->up;
            g->label[tail] = step[to].label;
            x->children++;
            if (!head)
                g->last[step[to].label] = tail;
            queue[tail++] = to;
        }
    }
    for (unsigned c = 'A'; c <= 'Z'; c++)
        g->last[c] = g->last[c | 0x20];
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

/* Four bytes, the last highest; case is one bit of letters. */
static uint32_t push_byte(uint32_t four, unsigned char c)
{
    return four >> 8 | (uint32_t)(c | 0x20) << 24;
}

static uint32_t hash_bytes(uint32_t x)
{
    return x * 0x9E3779B1u >> 16;
}

static void mark_tail(struct tails *t, const struct literal *l)
{
    uint32_t x = 0;

    for (size_t k = l->n < TAIL ? 0 : l->n - TAIL; k < l->n; k++)
        x = push_byte(x, (unsigned char)l->text[k]);
    if (l->n >= TAIL)
        mark(t->four, hash_bytes(x));
    else if (l->n == 3)
        mark(t->three, hash_bytes(x >> 8));
    else if (l->n == 2)
        mark(t->two, x >> 16);
    for (uint32_t c = 0; l->n == 1 && c < 256; c++)
        mark(t->two, x >> 16 | c);
}

int scrub_gate_build(struct scrub_gate *g, struct err *err)
{
    struct step *step;
    size_t bytes = 1;

    for (size_t i = 0; i < g->count; i++) {
        bytes += g->literal[i].n;
        mark_tail(&g->any, &g->literal[i]);
        if (!g->literal[i].whole)
            mark_tail(&g->inner, &g->literal[i]);
    }
    if (bytes > MAX_BYTES)
        return err_set(err, ERR_LIMIT, "%zu literals are too many at once",
                       g->count);
    step = mem_array(bytes, sizeof(*step));
    lay_out(g, step, make_trie(g, step));
    free(step);
    return ERR_OK;
}

static void report(const struct scrub_gate *g, uint32_t s, size_t end,
                   void (*hit)(void *, uint32_t, size_t), void *ctx)
{
    for (; s; s = g->node[s].up)
        for (uint32_t l = g->node[s].literal; l != NONE; l = g->literal[l].next)
            hit(ctx, g->literal[l].id, end);
}

/* The longest literal that ends at p[n - 1]; 0: none does. */
static uint32_t longest(const struct scrub_gate *g, const unsigned char *p,
                        size_t n)
{
    uint32_t s = g->last[p[--n]], found = 0;

    while (s) {
        const struct node *x = &g->node[s];
        const unsigned char *label = g->label + x->child, *at;
        unsigned char c;

        found = x->literal != NONE ? s : x->up;
        if (!n)
            break;
        c = fold(p[--n]);
        if (x->children > 1)
            at = memchr(label, c, x->children);
        else
            at = x->children && *label == c ? label : NULL;
        s = at ? x->child + (uint32_t)(at - label) : 0;
    }
    return found;
}

/* Asked of every byte: no branches. */
static uint32_t may_end(const struct tails *t, uint32_t x)
{
    return is_marked(t->two, x >> 16) |
           is_marked(t->three, hash_bytes(x >> 8)) |
           is_marked(t->four, hash_bytes(x));
}

void scrub_gate_scan(const struct scrub_gate *g, struct slice text,
                     void (*hit)(void *ctx, uint32_t id, size_t end), void *ctx)
{
    const unsigned char *p = (const unsigned char *)text.p;
    uint32_t x = 0;

    if (!g->count)
        return;
    for (size_t end = 1; end <= text.n; end++) {
        uint32_t s;

        x = push_byte(x, p[end - 1]);
        if (!may_end(&g->any, x))
            continue;
        if (end < text.n && scrub_is_alnum(text.p[end]) &&
            !may_end(&g->inner, x))
            continue;
        s = longest(g, p, end);
        if (s)
            report(g, s, end, hit, ctx);
    }
}
