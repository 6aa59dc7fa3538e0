/*
 * added_tokens.c - finding added tokens in a text
 *
 * Leftmost-longest over a byte trie: a shorter token is never tried where a
 * longer one fails its word boundary, as in the reference. Tokens marked
 * "normalized" are looked for in the normalized text, in their own normalized
 * spelling; the others in the text as it came.
 */
#include "tokenizer/tokenizer_internal.h"
#include "tokenizer/unicode_normal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct trie_node {
    uint32_t child, sibling; /* 0: none */
    int32_t token;           /* index, -1: none ends here */
    unsigned char byte;
};

struct trie {
    uint32_t first[256]; /* node of each first byte, 0: none */
    struct trie_node *nodes;
    size_t count, cap;
    int32_t empty; /* token whose text normalizing empties, -1: none */
};

static struct trie *trie_new(void)
{
    struct trie *t = mem_zalloc(sizeof(*t));

    t->count = 1; /* node 0 stands for "none" */
    t->empty = -1;
    return t;
}

static uint32_t trie_add_node(struct trie *t, unsigned char byte)
{
    void *nodes = t->nodes;

    mem_grow(&nodes, &t->cap, t->count + 1, sizeof(*t->nodes));
    t->nodes = nodes;
    t->nodes[t->count] = (struct trie_node){ 0, 0, -1, byte };
    return (uint32_t)t->count++;
}

static uint32_t trie_child(const struct trie *t, uint32_t node,
                           unsigned char byte)
{
    uint32_t c = t->nodes[node].child;

    while (c && t->nodes[c].byte != byte)
        c = t->nodes[c].sibling;
    return c;
}

static void trie_insert(struct trie *t, struct slice s, int32_t token)
{
    unsigned char byte = s.n ? (unsigned char)s.p[0] : 0;
    uint32_t node = t->first[byte];

    if (!s.n) {
        t->empty = t->empty < 0 ? token : t->empty;
        return;
    }
    if (!node)
        node = t->first[byte] = trie_add_node(t, byte);
    for (size_t i = 1; i < s.n; i++) {
        uint32_t c = trie_child(t, node, (unsigned char)s.p[i]);

        if (!c) {
            c = trie_add_node(t, (unsigned char)s.p[i]);
            t->nodes[c].sibling = t->nodes[node].child;
            t->nodes[node].child = c;
        }
        node = c;
    }
    if (t->nodes[node].token < 0)
        t->nodes[node].token = token;
}

/* Index of the longest token at the start of s, its length in *n; -1: none. */
static int32_t trie_longest(const struct trie *t, struct slice s, size_t *n)
{
    uint32_t node = t->first[(unsigned char)s.p[0]];
    int32_t found = -1;

    for (size_t i = 1; node; i++) {
        if (t->nodes[node].token >= 0) {
            found = t->nodes[node].token;
            *n = i;
        }
        node = i < s.n ? trie_child(t, node, (unsigned char)s.p[i]) : 0;
    }
    return found;
}

static void trie_free(struct trie *t)
{
    if (!t)
        return;
    free(t->nodes);
    free(t);
}

static int insert_kind(struct added *a, bool special, const struct norm *norm,
                       struct text_build two[2], struct err *err)
{
    int rc = ERR_OK;

    for (size_t i = 0; i < a->count && rc == ERR_OK; i++) {
        struct added_token *t = &a->tokens[i];
        struct text_view v = { t->content.p, t->content.n, NULL, NULL, 0 };
        struct trie **trie = t->normalized ? &a->normalized : &a->raw;

        if (t->special != special)
            continue;
        if (t->normalized)
            rc = norm_apply(norm, &v, two, err);
        t->shown = t->content;
        if (!slice_eq((struct slice){ v.p, v.n }, t->content))
            t->shown =
                (struct slice){ slice_dup((struct slice){ v.p, v.n }), v.n };
        if (!*trie)
            *trie = trie_new();
        trie_insert(*trie, (struct slice){ v.p, v.n }, (int32_t)i);
    }
    return rc;
}

int added_build(struct added *a, const struct norm *norm, struct err *err)
{
    struct text_build two[2] = { 0 };
    int rc = insert_kind(a, true, norm, two, err);

    if (rc == ERR_OK)
        rc = insert_kind(a, false, norm, two, err);
    text_build_release(&two[0]);
    text_build_release(&two[1]);
    return rc;
}

void added_release(struct added *a)
{
    for (size_t i = 0; i < a->count; i++) {
        if (a->tokens[i].shown.p != a->tokens[i].content.p)
            free((void *)(uintptr_t)a->tokens[i].shown.p);
        free((void *)(uintptr_t)a->tokens[i].content.p);
    }
    free(a->tokens);
    trie_free(a->raw);
    trie_free(a->normalized);
}

static void push(struct added_list *l, const struct added_token *token,
                 size_t begin, size_t end)
{
    void *items = l->items;

    mem_grow(&items, &l->cap, l->count + 1, sizeof(*l->items));
    l->items = items;
    l->items[l->count++] = (struct added_match){ token, begin, end };
}

static size_t char_before(struct slice s, size_t at)
{
    do
        at--;
    while (at && (s.p[at] & 0xC0) == 0x80);
    return at;
}

static unsigned class_before(const struct unicode_map *m, struct slice s,
                             size_t at)
{
    size_t used, i;

    if (!at)
        return 0;
    i = char_before(s, at);
    return unicode_class_at(m, s.p + i, s.n - i, &used);
}

static unsigned class_after(const struct unicode_map *m, struct slice s,
                            size_t at, size_t *used)
{
    *used = 0;
    return at < s.n ? unicode_class_at(m, s.p + at, s.n - at, used) : 0;
}

static bool is_word(struct slice s, size_t at)
{
    size_t used;

    return at < s.n &&
           unicode_traits_of((uint32_t)utf8_decode(s.p + at, s.n - at, &used)) &
               UT_WORD;
}

static bool is_single_word(struct slice s, size_t begin, size_t end)
{
    return !(begin && is_word(s, char_before(s, begin))) && !is_word(s, end);
}

/* One token found at begin..end; *at is the end of what was pushed so far. */
static void take(const struct added_token *t, const struct unicode_map *m,
                 struct slice s, size_t begin, size_t end, size_t *at,
                 struct added_list *out)
{
    size_t used;

    if (t->single_word && !is_single_word(s, begin, end))
        return;
    while (t->lstrip && begin > *at && class_before(m, s, begin) & UC_SPACE)
        begin = char_before(s, begin);
    if (t->lstrip && begin < *at)
        begin = *at;
    while (t->rstrip && class_after(m, s, end, &used) & UC_SPACE)
        end += used;
    if (begin > *at)
        push(out, NULL, *at, begin);
    if (begin < end) /* else the token before it has taken its spaces */
        push(out, t, begin, end);
    *at = end;
}

void added_split(const struct added *a, const struct trie *t,
                 const struct unicode_map *classes, struct slice text,
                 struct added_list *out)
{
    size_t at = 0, i = 0, last = SIZE_MAX;

    out->count = 0;
    while (t && i <= text.n) {
        struct slice rest;
        size_t n = 0;
        int32_t hit;

        while (t->empty < 0 && i < text.n &&
               !t->first[(unsigned char)text.p[i]])
            i++;
        rest = (struct slice){ text.p + i, text.n - i };
        hit = rest.n ? trie_longest(t, rest, &n) : -1;

        /* What is empty is found everywhere but behind another one. */
        if (hit < 0 && t->empty >= 0 && i != last &&
            !(rest.n && (*rest.p & 0xC0) == 0x80))
            take(&a->tokens[t->empty], classes, text, i, i, &at, out);
        if (hit < 0) {
            i++;
            continue;
        }
        take(&a->tokens[hit], classes, text, i, i + n, &at, out);
        last = i += n;
    }
    if (at < text.n)
        push(out, NULL, at, text.n);
}
