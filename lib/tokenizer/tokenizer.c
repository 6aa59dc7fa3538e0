/*
 * tokenizer.c - encoding a text, and what is known about a token
 *
 * A text is cut at added tokens as it came, normalized, cut again at the
 * normalized ones, shaped, split into words and given to the model. All state
 * of a call lives in struct run, so that threads can share a tokenizer; its
 * memory waits for the next call, with the words that were met.
 */
#include "tokenizer/tokenizer.h"

#include "base/mem.h"
#include "tokenizer/tokenizer_internal.h"
#include "tokenizer/word_cache.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MAX 16                  /* calls at once whose memory is kept */
#define IDLE_LIST ((size_t)64 << 10) /* entries of a list that is kept */

/* What a call needs beyond its results. */
struct memory {
    struct added_list raw, inner;
    struct text_build clean, two[2], shape;
    struct bpe_scratch *scratch;    /* NULL: another model */
    struct regex_scratch *matching; /* NULL: no pattern needs it */
    struct piece_list pieces;
    struct token_list spaces; /* of tokens: at their beginnings, ends */
};

struct idle_memory {
    _Atomic(struct memory *) item[IDLE_MAX];
};

struct run {
    const struct tokenizer *t;
    unsigned flags;
    struct slice text; /* what offsets refer to */
    struct memory *m;
    struct token_list *ids, *offsets;
};

static void memory_free(struct memory *m)
{
    if (!m)
        return;
    free(m->raw.items);
    free(m->inner.items);
    free(m->pieces.items);
    text_build_release(&m->clean);
    text_build_release(&m->two[0]);
    text_build_release(&m->two[1]);
    text_build_release(&m->shape);
    token_list_release(&m->spaces);
    bpe_scratch_free(m->scratch);
    regex_scratch_free(m->matching);
    free(m);
}

struct idle_memory *idle_memory_new(void)
{
    struct idle_memory *i = mem_alloc(sizeof(*i));

    for (size_t k = 0; k < IDLE_MAX; k++)
        atomic_init(&i->item[k], NULL);
    return i;
}

void idle_memory_free(struct idle_memory *i)
{
    for (size_t k = 0; i && k < IDLE_MAX; k++)
        memory_free(atomic_load(&i->item[k]));
    free(i);
}

static struct memory *memory_take(const struct tokenizer *t)
{
    struct memory *m = NULL;

    for (size_t k = 0; k < IDLE_MAX && !m; k++)
        m = atomic_exchange(&t->idle->item[k], NULL);
    if (!m) {
        m = mem_zalloc(sizeof(*m));
        m->scratch = t->bpe ? bpe_scratch_new() : NULL;
        m->matching = t->pretok.has_regex ? regex_scratch_new() : NULL;
    }
    return m;
}

static void build_trim(struct text_build *b)
{
    if (b->cap > IDLE_LIST)
        text_build_release(b);
    else
        text_build_reset(b);
}

/* Of a large text only the known words are kept. */
static void memory_give(const struct tokenizer *t, struct memory *m)
{
    if (m->pieces.cap > IDLE_LIST) {
        free(m->pieces.items);
        m->pieces = (struct piece_list){ 0 };
    }
    if (m->raw.cap > IDLE_LIST || m->inner.cap > IDLE_LIST) {
        free(m->raw.items);
        free(m->inner.items);
        m->raw = m->inner = (struct added_list){ 0 };
    }
    if (m->spaces.cap > IDLE_LIST)
        token_list_release(&m->spaces);
    m->spaces.count = 0;
    build_trim(&m->clean);
    build_trim(&m->two[0]);
    build_trim(&m->two[1]);
    build_trim(&m->shape);
    if (m->scratch)
        bpe_scratch_trim(m->scratch, IDLE_LIST);
    for (size_t k = 0; k < IDLE_MAX; k++) {
        struct memory *none = NULL;

        if (atomic_compare_exchange_strong(&t->idle->item[k], &none, m))
            return;
    }
    memory_free(m);
}

void token_list_add(struct token_list *l, int32_t id)
{
    void *ids = l->ids;

    if (l->count == l->cap) {
        mem_grow(&ids, &l->cap, l->count + 1, sizeof(*l->ids));
        l->ids = ids;
    }
    l->ids[l->count++] = id;
}

void token_list_release(struct token_list *l)
{
    free(l->ids);
    *l = (struct token_list){ 0 };
}

/* Spaces at the ends of a token's text, those of the byte alphabet too. */
static void add_spaces(struct run *r, struct slice text)
{
    int32_t lead = 0, trail = 0;
    bool leads = true;

    for (size_t i = 0, used; i < text.n; i += used) {
        unsigned kind =
            unicode_class_at(r->t->classes, text.p + i, text.n - i, &used);
        bool space = kind & UC_SPACE ||
                     (used == 2 && memcmp(text.p + i, "\xC4\xA0", 2) == 0);

        leads &= space;
        lead += leads;
        trail = space ? trail + 1 : 0;
    }
    token_list_add(&r->m->spaces, lead);
    token_list_add(&r->m->spaces, trail);
}

/* text: what the token was made of */
static void emit(struct run *r, int32_t id, struct slice text, size_t begin,
                 size_t end)
{
    token_list_add(r->ids, id);
    if (!r->offsets)
        return;
    if (r->t->trim_offsets)
        add_spaces(r, text);
    while (begin && begin < r->text.n && (r->text.p[begin] & 0xC0) == 0x80)
        begin--;
    while (end < r->text.n && (r->text.p[end] & 0xC0) == 0x80)
        end++;
    token_list_add(r->offsets, (int32_t)begin);
    token_list_add(r->offsets, (int32_t)end);
}

void piece_list_add(struct piece_list *l, struct piece p)
{
    void *items = l->items;

    mem_grow(&items, &l->cap, l->count + 1, sizeof(*l->items));
    l->items = items;
    l->items[l->count++] = p;
}

static void encode_word(struct run *r, struct text_view v)
{
    struct slice word = { v.p, v.n };
    struct piece_list *pieces = &r->m->pieces;
    size_t at = 0;

    pieces->count = 0;
    if (r->t->bpe)
        bpe_encode(r->t->bpe, word, r->m->scratch, pieces);
    else if (r->t->unigram)
        unigram_encode(r->t->unigram, word, pieces);
    else
        wordpiece_encode(r->t->wordpiece, word, pieces);
    for (size_t i = 0; i < pieces->count; i++) {
        const struct piece *p = &pieces->items[i];

        if (p->again)
            at -= p->bytes;
        emit(r, p->id,
             r->t->unigram ? (struct slice){ v.p + at, p->bytes }
                           : r->t->tokens[p->id],
             text_view_from(v, at), text_view_to(v, at + p->bytes));
        at += p->bytes;
    }
}

static void add_known(struct token_list *l, const struct word_slot *s)
{
    void *ids = l->ids;

    mem_grow(&ids, &l->cap, l->count + WORD_CACHE_IDS, sizeof(*l->ids));
    l->ids = ids;
    for (size_t i = 0; i < WORD_CACHE_IDS; i++)
        l->ids[l->count + i] = word_slot_id(s, i);
    l->count += word_slot_count(s);
}

/* The last split, by hand: nearly all words are known ones. */
static void encode_matches(struct run *r, struct text_view v,
                           split_match_fn *match)
{
    const struct word_cache *words = bpe_words(r->m->scratch);
    const struct unicode_map *classes = r->t->classes;

    for (size_t i = 0, n; i < v.n; i += n) {
        const struct word_slot *known = NULL;

        n = match(classes, v.p + i, v.n - i);
        if (n <= WORD_CACHE_BYTES)
            known = word_cache_find(words, word_key_of(v.p + i, n, v.n - i));
        if (known)
            add_known(r->ids, known);
        else
            encode_word(r, text_view_part(v, i, n));
    }
}

/* Split by step k and those after it. A shaped text lies in r->shape until
 * its last word is encoded: only one step shapes. */
static int split_from(struct run *r, struct text_view v, unsigned k,
                      struct err *err)
{
    const struct pretok *p = &r->t->pretok;
    int rc = 0;

    if (k == p->shape_at)
        v = pretok_shape(p, v, &r->m->shape);
    if (k == p->split_count) {
        encode_word(r, v);
        return 0;
    }
    if (k + 1 == p->split_count && p->split[k].match && r->t->bpe &&
        !r->offsets && p->shape_at <= k) {
        encode_matches(r, v, p->split[k].match);
        return 0;
    }
    for (size_t i = 0, n; i < v.n && rc == 0; i += n) {
        bool drop;

        rc = split_step_piece(&p->split[k], r->t->classes, r->m->matching,
                              (struct slice){ v.p, v.n }, i, &n, &drop, err);
        if (rc == 0 && !drop)
            rc = split_from(r, text_view_part(v, i, n), k + 1, err);
    }
    return rc;
}

static int encode_segment(struct run *r, struct text_view v, struct err *err)
{
    const struct added *a = &r->t->added;
    int rc = 0;

    rc = norm_apply(&r->t->norm, &v, r->m->two, err);
    if (rc < 0)
        return rc;
    if (!a->normalized || r->flags & TOKENIZER_NO_ADDED)
        return split_from(r, v, 0, err);
    added_split(a, a->normalized, r->t->classes, (struct slice){ v.p, v.n },
                &r->m->inner);
    for (size_t i = 0; i < r->m->inner.count && rc == 0; i++) {
        const struct added_match *m = &r->m->inner.items[i];

        if (m->token)
            emit(r, m->token->id,
                 (struct slice){ v.p + m->begin, m->end - m->begin },
                 text_view_from(v, m->begin), text_view_to(v, m->end));
        else
            rc = split_from(r, text_view_part(v, m->begin, m->end - m->begin),
                            0, err);
    }
    return rc;
}

/* Text with U+FFFD for what is no UTF-8. */
static struct text_view cleaned(struct slice text, struct text_build *out)
{
    struct text_view v = { text.p ? text.p : "", text.n, NULL, NULL, 0 };

    if (utf8_valid(v.p, v.n))
        return v;
    for (size_t i = 0, used; i < v.n; i += used) {
        if (utf8_decode(v.p + i, v.n - i, &used) < 0)
            text_build_add(out, "\xEF\xBF\xBD", 3, i, i + used);
        else
            text_build_copy(out, v, i, used);
    }
    return text_build_view(out);
}

static int encode_text(struct run *r, struct err *err)
{
    const struct added *a = &r->t->added;
    struct text_view v = cleaned(r->text, &r->m->clean);
    int rc = 0;

    added_split(a, r->flags & TOKENIZER_NO_ADDED ? NULL : a->raw, r->t->classes,
                (struct slice){ v.p, v.n }, &r->m->raw);
    for (size_t i = 0; i < r->m->raw.count && rc == 0; i++) {
        const struct added_match *m = &r->m->raw.items[i];

        if (m->token)
            emit(r, m->token->id,
                 (struct slice){ v.p + m->begin, m->end - m->begin },
                 text_view_from(v, m->begin), text_view_to(v, m->end));
        else
            rc = encode_segment(
                r, text_view_part(v, m->begin, m->end - m->begin), err);
    }
    return rc;
}

/* The character n places after byte i, or before it where n is negative;
 * SIZE_MAX before the first one. */
static size_t walk(struct slice text, size_t i, int32_t n)
{
    for (; n > 0 && i < text.n; n--)
        for (i++; i < text.n && (text.p[i] & 0xC0) == 0x80;)
            i++;
    for (; n < 0; n++) {
        if (i == 0)
            return SIZE_MAX;
        for (i--; i > 0 && (text.p[i] & 0xC0) == 0x80;)
            i--;
    }
    return i;
}

/* ByteLevel's trim_offsets: a token's range is as many characters shorter as
 * its text has spaces at its ends, but for the one that was added in front. */
static void trim_offsets(struct run *r, size_t first)
{
    int32_t *at = r->offsets->ids + first, *spaces = r->m->spaces.ids;

    for (size_t i = 0; i < r->m->spaces.count; i += 2, at += 2) {
        size_t begin = (size_t)at[0], end = (size_t)at[1], back;
        bool is_first = i == 0 || begin == 0;

        if (spaces[i] > 1 || !(is_first && r->t->trim_first))
            begin = walk(r->text, begin, spaces[i]);
        if (begin > end)
            begin = end;
        back = walk(r->text, end, -spaces[i + 1]);
        if (back != SIZE_MAX)
            end = back > begin ? back : begin;
        at[0] = (int32_t)begin;
        at[1] = (int32_t)end;
    }
}

static void add_special(struct run *r, const struct token_list *l)
{
    for (size_t i = 0; i < l->count && r->flags & TOKENIZER_SPECIAL; i++) {
        token_list_add(r->ids, l->ids[i]);
        if (r->offsets) {
            token_list_add(r->offsets, 0);
            token_list_add(r->offsets, 0);
        }
    }
}

int tokenizer_encode(const struct tokenizer *t, struct slice text,
                     unsigned flags, struct token_list *out,
                     struct token_list *offsets, struct err *err)
{
    struct run r = {
        .t = t, .flags = flags, .text = text, .ids = out, .offsets = offsets
    };
    size_t first = out->count, first_offset = offsets ? offsets->count : 0;
    size_t begun;
    int rc;

    if (text.n > TOKENIZER_MAX_TEXT)
        return err_set(err, ERR_LIMIT,
                       "text of %zu bytes: at most %zu can be tokenized at "
                       "once",
                       text.n, TOKENIZER_MAX_TEXT);
    r.m = memory_take(t);
    add_special(&r, &t->before);
    begun = offsets ? offsets->count : 0;
    rc = encode_text(&r, err);
    if (rc == 0 && offsets && t->trim_offsets)
        trim_offsets(&r, begun);
    add_special(&r, &t->after);
    memory_give(t, r.m);
    if (rc < 0) {
        out->count = first;
        if (offsets)
            offsets->count = first_offset;
    }
    return rc;
}

size_t tokenizer_size(const struct tokenizer *t)
{
    return t->size;
}

int32_t tokenizer_id(const struct tokenizer *t, const char *token)
{
    size_t n = strlen(token);
    const uint64_t *id = map_get(t->vocab, token, n);

    if (!id)
        id = map_get(t->extra, token, n);
    return id ? (int32_t)*id : -1;
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->size && t->by_id[id] &&
           t->by_id[id]->special;
}

const char *tokenizer_token(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->size ? t->tokens[id].p : NULL;
}
