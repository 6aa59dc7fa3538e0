/*
 * unigram.c - the likeliest cut of a word into pieces (Viterbi)
 *
 * Scores are summed in double from the left, an equal one never replaces one
 * found before: the reference's order, on which ties depend. A character that
 * is no piece costs ten more than the rarest piece; neighbouring unknowns
 * become one token, or their bytes where the model falls back. Pieces are
 * found in the sorted vocabulary, narrowed byte by byte.
 */
#include "tokenizer/tokenizer_internal.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define UNKNOWN_PENALTY 10.0

struct entry {
    struct slice text; /* borrowed from the tokenizer */
    double score;
    int32_t id;
};

struct unigram {
    const struct map *vocab; /* borrowed from the tokenizer */
    struct entry *sorted;
    size_t count;
    size_t first[257]; /* where entries that begin with a byte begin */
    double unknown_score;
    int32_t unk;
    bool byte_fallback;
    int32_t fallback_id[256];
};

/* The best way to reach a place in the word. */
struct node {
    double score;
    size_t from; /* SIZE_MAX: not reached */
    int32_t id;
};

static int by_text(const void *a, const void *b)
{
    return slice_cmp(((const struct entry *)a)->text,
                     ((const struct entry *)b)->text);
}

static void load_fallback(struct unigram *u)
{
    for (unsigned i = 0; i < 256; i++) {
        char text[6] = { '<', '0', 'x', 0, 0, '>' };
        const uint64_t *id;

        text[3] = "0123456789ABCDEF"[i >> 4];
        text[4] = "0123456789ABCDEF"[i & 15];
        id = map_get(u->vocab, text, 6);
        u->fallback_id[i] = id ? (int32_t)*id : -1;
    }
}

static int load_scores(struct unigram *u, const struct tokenizer *t,
                       const struct json *j, json_ref vocab, struct err *err)
{
    double least = 0;
    int32_t id = 0;

    u->sorted = mem_array(json_count(j, vocab), sizeof(*u->sorted));
    for (json_ref e = json_first(j, vocab); e != JSON_NONE;
         e = json_next(j, vocab, e), id++) {
        double score;

        if (!json_double(j, json_at(j, e, 1), &score))
            return err_set(err, ERR_FORMAT, "token %d has no score", id);
        if (id == 0 || score < least)
            least = score;
        if (t->tokens[id].n)
            u->sorted[u->count++] = (struct entry){ t->tokens[id], score, id };
    }
    u->unknown_score = least - UNKNOWN_PENALTY;
    if (u->count)
        qsort(u->sorted, u->count, sizeof(*u->sorted), by_text);
    for (unsigned c = 0, i = 0; c <= 256; c++) {
        while (i < u->count && (unsigned char)u->sorted[i].text.p[0] < c)
            i++;
        u->first[c] = i;
    }
    return ERR_OK;
}

int unigram_load(struct unigram **out, const struct tokenizer *t,
                 const struct json *j, json_ref model, struct err *err)
{
    struct unigram *u = mem_zalloc(sizeof(*u));
    int64_t unk = 0;
    int rc;

    u->vocab = t->vocab;
    u->byte_fallback = tokenizer_flag(j, model, "byte_fallback", false);
    load_fallback(u);
    rc = load_scores(u, t, j, json_get(j, model, "vocab"), err);
    if (rc == ERR_OK && !json_int(j, json_get(j, model, "unk_id"), &unk))
        rc = err_set(err, ERR_UNSUPPORTED,
                     "model Unigram without unk_id is not supported");
    else if (rc == ERR_OK && (unk < 0 || (size_t)unk >= t->model_count))
        rc = err_set(err, ERR_FORMAT,
                     "unk_id %lld of the model is not in its vocabulary",
                     (long long)unk);
    if (rc == ERR_OK)
        u->unk = (int32_t)unk;
    if (rc < 0)
        unigram_free(u);
    else
        *out = u;
    return rc;
}

void unigram_free(struct unigram *u)
{
    if (!u)
        return;
    free(u->sorted);
    free(u);
}

static void offer(struct node *at, double score, size_t from, int32_t id)
{
    if (at->from == SIZE_MAX || score > at->score)
        *at = (struct node){ score, from, id };
}

/* First entry of low..high whose byte k is at least c. */
static size_t narrow(const struct unigram *u, size_t low, size_t high, size_t k,
                     unsigned c)
{
    while (low < high) {
        size_t mid = (low + high) / 2;
        struct slice s = u->sorted[mid].text;

        if (s.n > k && (unsigned char)s.p[k] >= c)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* Try all pieces that begin at i; true if one is a single character. */
static bool offer_pieces(const struct unigram *u, struct slice word, size_t i,
                         size_t character, struct node *nodes)
{
    unsigned char c = (unsigned char)word.p[i];
    size_t low = u->first[c], high = u->first[c + 1];
    bool single = false;

    for (size_t k = 1; low < high; k++) {
        const struct entry *e = &u->sorted[low];

        if (e->text.n == k) {
            offer(&nodes[i + k], nodes[i].score + e->score, i, e->id);
            single |= k == character;
        }
        if (i + k == word.n)
            break;
        c = (unsigned char)word.p[i + k];
        low = narrow(u, low, high, k, c);
        high = narrow(u, low, high, k, c + 1u);
    }
    return single;
}

static void emit_unknown(const struct unigram *u, struct slice s,
                         struct piece_list *out)
{
    const uint64_t *id = map_get(u->vocab, s.p, s.n);
    bool bytes = !id && u->byte_fallback;

    for (size_t i = 0; i < s.n && bytes; i++)
        bytes = u->fallback_id[(unsigned char)s.p[i]] >= 0;
    for (size_t i = 0; i < s.n && bytes; i++)
        piece_list_add(out,
                       (struct piece){ u->fallback_id[(unsigned char)s.p[i]],
                                       (uint32_t)s.n, i > 0 });
    if (!bytes)
        piece_list_add(out, (struct piece){ id ? (int32_t)*id : u->unk,
                                            (uint32_t)s.n, false });
}

/* The best path from the word's start on, unknowns together. */
static void emit_path(const struct unigram *u, struct slice word,
                      const struct node *nodes, size_t *ends,
                      struct piece_list *out)
{
    for (size_t at = word.n; at > 0; at = nodes[at].from) {
        assert(nodes[at].from < at);
        ends[nodes[at].from] = at;
    }
    for (size_t i = 0, end; i < word.n; i = end) {
        int32_t id = nodes[ends[i]].id;

        end = ends[i];
        while (id == u->unk && end < word.n && nodes[ends[end]].id == id)
            end = ends[end];
        if (id == u->unk)
            emit_unknown(u, (struct slice){ word.p + i, end - i }, out);
        else
            piece_list_add(out,
                           (struct piece){ id, (uint32_t)(end - i), false });
    }
}

void unigram_encode(const struct unigram *u, struct slice word,
                    struct piece_list *out)
{
    struct node *nodes = mem_array(word.n + 1, sizeof(*nodes));
    size_t *ends = mem_array(word.n + 1, sizeof(*ends)), used;

    for (size_t i = 0; i <= word.n; i++)
        nodes[i].from = SIZE_MAX;
    nodes[0] = (struct node){ 0, 0, -1 };
    for (size_t i = 0; i < word.n; i += used) {
        (void)utf8_decode(word.p + i, word.n - i, &used);
        if (!offer_pieces(u, word, i, used, nodes))
            offer(&nodes[i + used], nodes[i].score + u->unknown_score, i,
                  u->unk);
    }
    emit_path(u, word, nodes, ends, out);
    free(nodes);
    free(ends);
}
