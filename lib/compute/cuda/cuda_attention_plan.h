/*
 * cuda_attention_plan.h - which block of the attention kernels does what
 *
 * Plain arithmetic for host and device: work lists from document starts, the
 * tiles that a block walks, where a mask is needed, how a long cache is cut.
 * Tested without a GPU by emulation. Lists are ordered longest work first,
 * equal ones as they come, so that the last blocks to start are short.
 * Refuses to know anything of threads.
 */
#ifndef CUDA_ATTENTION_PLAN_H
#define CUDA_ATTENTION_PLAN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#define ATTENTION_FN static inline __host__ __device__
#else
#define ATTENTION_FN static inline
#endif

#define ATTENTION_LEVELS 1024 /* classes of work in the order of a list */

#define ATTENTION_ALL (1 << 30) /* a window that hides nothing */
#define ATTENTION_RING 128      /* a ring is a multiple of every tile of keys */

/* A tile of queries: `count` rows of q from `row` on; the first has position
 * `pos` among its keys and sees the last `window` of keys 0..pos. With step 1
 * each query sees one key more than the one before, with step 0 (an encoder's)
 * all see the same. base: where its keys are, the first row of the document, or
 * the cache's slot.
 * A tile of keys (gradient): `count` rows of k from `row` on; base is the row
 * after the document, pos is not used.
 * A part of a cache (one new row): row of q, slot `base`, the keys from `pos`
 * on, `count` of them. */
struct attention_tile {
    int32_t row, count, pos, base;
};

ATTENTION_FN int attention_div_up(int a, int b)
{
    return (a + b - 1) / b;
}

ATTENTION_FN int attention_min(int a, int b)
{
    return a < b ? a : b;
}

/* The end of the keys that the last query of a tile sees. */
ATTENTION_FN int attention_keys(struct attention_tile t, int step)
{
    return t.pos + (t.count - 1) * step + 1;
}

/* The first tile of `tile` keys that a query of t sees something of. */
ATTENTION_FN int attention_begin(struct attention_tile t, int window, int tile)
{
    int first = t.pos - window + 1;

    return first > 0 ? first / tile * tile : 0;
}

/* Queries from `first` (position or row) on against `keys` keys from `key` on,
 * both ends in the same numbers; rows of a tile may be more than it has.
 * Whether all pairs can be left out; whether some key comes after its query,
 * or (early) so long before that it is outside the window. */
ATTENTION_FN int attention_hidden(int first, int rows, int key, int keys,
                                  int window)
{
    return key > first + rows - 1 || key + keys - 1 <= first - window;
}
ATTENTION_FN int attention_late(int first, int key, int keys)
{
    return key + keys - 1 > first;
}
ATTENTION_FN int attention_early(int first, int rows, int key, int window)
{
    return key <= first + rows - 1 - window;
}

/* Rows of the ring in which a cache of `capacity` keeps what a window of the
 * next `step` rows sees; 0: it keeps all. */
ATTENTION_FN int attention_ring(size_t window, size_t step, size_t capacity)
{
    size_t ring =
        (window + step + ATTENTION_RING - 1) / ATTENTION_RING * ATTENTION_RING;

    return window > 0 && step > 0 && ring < capacity ? (int)ring : 0;
}

/* Where a cache has the key of a position. */
ATTENTION_FN int attention_place(int pos, int ring)
{
    return ring ? pos % ring : pos;
}

/* The row after the last query that sees a key of a tile of keys, and how many
 * tiles of queries from its first row on there are. */
ATTENTION_FN int attention_end(struct attention_tile t, int window)
{
    return attention_min(t.base, t.row + t.count - 1 + window);
}
ATTENTION_FN int attention_below(struct attention_tile t, int window, int tile)
{
    return attention_div_up(attention_end(t, window) - t.row, tile);
}

/* A list under construction. past NULL: packed documents; seen, if not NULL:
 * all rows of a document see its first seen[doc]. */
struct attention_lists {
    const int32_t *starts, *past, *slots, *seen;
    size_t docs;
    int tile, window, ring;
    int keys;   /* tiles of keys instead of queries */
    int single; /* leave out sequences of one row (they are decoded) */
};

/* As an operation has it: 0 is all. */
ATTENTION_FN int attention_window(size_t window)
{
    return window > 0 && window < ATTENTION_ALL ? (int)window : ATTENTION_ALL;
}

ATTENTION_FN struct attention_tile
attention_tile_at(const struct attention_lists *l, size_t doc, int at)
{
    int32_t first = l->starts[doc], end = l->starts[doc + 1];
    struct attention_tile t;

    t.row = first + at;
    t.count = attention_min(l->tile, end - t.row);
    t.pos = l->seen ? l->seen[doc] - 1 : at + (l->past ? l->past[doc] : 0);
    t.base = l->keys ? end : l->past ? l->slots[doc] : first;
    return t;
}

ATTENTION_FN int attention_work(const struct attention_lists *l,
                                struct attention_tile t)
{
    if (l->keys)
        return (attention_end(t, l->window) - t.row) / l->tile;
    return (attention_keys(t, !l->seen) -
            attention_begin(t, l->window, l->tile)) /
           l->tile;
}

ATTENTION_FN int attention_length(const struct attention_lists *l, size_t doc)
{
    int n = l->starts[doc + 1] - l->starts[doc];

    return l->single && n == 1 ? 0 : n;
}

ATTENTION_FN size_t attention_tiles_count(const struct attention_lists *l)
{
    size_t n = 0;

    for (size_t d = 0; d < l->docs; d++)
        n += (size_t)attention_div_up(attention_length(l, d), l->tile);
    return n;
}

/* Fill out[attention_tiles_count]. */
ATTENTION_FN void attention_tiles_plan(const struct attention_lists *l,
                                       struct attention_tile *out)
{
    size_t at[ATTENTION_LEVELS] = { 0 }, sum = 0;
    int most = 0, shift = 0;

    for (int pass = 0; pass < 3; pass++) {
        for (size_t d = 0; d < l->docs; d++) {
            int n = attention_length(l, d);

            for (int i = 0; i < n; i += l->tile) {
                struct attention_tile t = attention_tile_at(l, d, i);
                int work = attention_work(l, t);

                if (pass == 0)
                    most = work > most ? work : most;
                else if (pass == 1)
                    at[(most - work) >> shift]++;
                else
                    out[at[(most - work) >> shift]++] = t;
            }
        }
        while (most >> shift >= ATTENTION_LEVELS)
            shift++;
        for (int i = 0; pass == 1 && i < ATTENTION_LEVELS; i++) {
            size_t n = at[i];

            at[i] = sum;
            sum += n;
        }
    }
}

/* Parts that are launched where there are n: what a recorded step is made for
 * must hold for many steps. A power of two; from 64 on at most a quarter more
 * than there are. */
ATTENTION_FN size_t attention_parts_room(size_t n)
{
    size_t room = 1, step;

    while (room < n)
        room *= 2;
    step = room > 64 ? room / 8 : 0;
    while (step > 0 && room - step >= n)
        room -= step;
    return room;
}

/* Parts of `span` keys of the sequences with one new row, whose keys are the
 * last `window` of past + 1; no part goes round a ring's end, and its pos is a
 * place. The cut depends on a sequence alone, so its sums
 * do not depend on its neighbours. first[rows + 1]: where each such row's parts
 * begin; rows_of[rows]: the row of q. Returns the parts; out, first and rows_of
 * may be NULL, to count only. */
ATTENTION_FN size_t attention_parts_plan(const struct attention_lists *l,
                                         int span, struct attention_tile *out,
                                         int32_t *first, int32_t *rows_of,
                                         size_t *rows)
{
    size_t n = 0, count = 0;

    for (size_t d = 0; d < l->docs; d++) {
        int keys = l->past[d] + 1, most;

        if (l->starts[d + 1] - l->starts[d] != 1)
            continue;
        if (first) {
            first[count] = (int32_t)n;
            rows_of[count] = l->starts[d];
        }
        count++;
        for (int k = keys > l->window ? keys - l->window : 0; k < keys;
             k += most, n++) {
            struct attention_tile t = { l->starts[d], 0,
                                        attention_place(k, l->ring),
                                        l->slots[d] };

            most = attention_min(span, keys - k);
            if (l->ring)
                most = attention_min(most, l->ring - t.pos);
            t.count = most;
            if (out)
                out[n] = t;
        }
    }
    if (first)
        first[count] = (int32_t)n;
    *rows = count;
    return n;
}

#endif
