/*
 * model_prefixes.c - a slot's first rows to a file, and back
 *
 * A chunk is what one mixer keeps, run after run, so that a file fits every
 * capacity of slots. Bits depend on the weights, the kernels and the types of
 * what is kept: all that names a file, and another one is never looked at.
 */
#include "model/model_prefixes.h"
#include "model/model_prefix_files.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Another one when the bits of a state may come out otherwise. */
#define PREFIX_FORM "kv/1 " SLMCTL_VERSION
#define PREFIX_SLACK 16 /* rows fewer that a file may have */
#define PREFIX_STEP 32  /* shared rows are counted so */
#define PREFIX_SEEN 2   /* times that rows were shared before they are saved */

void model_prefixes_use(struct model *m, struct model_prefixes *p)
{
    m->prefixes = p;
}

static void add_parts(const struct model_session *s, size_t mixer,
                      struct crypto_hasher *h)
{
    struct session_part part[MODEL_MAX_STATES];
    unsigned n = session_cache_parts(s, mixer, 0, PREFIX_LEAST, part);
    uint64_t v[4];

    for (unsigned k = 0; k < n; k++) {
        v[0] = (uint64_t)session_state_type(s, mixer);
        v[1] = part[k].groups;
        v[2] = part[k].run; /* a whole's stride */
        v[3] = k;
        crypto_hasher_update(h, (struct slice){ (const char *)v, sizeof(v) });
    }
}

static void name_files(struct model_session *s)
{
    static const struct crypto_key none; /* no secret: a name */
    const struct compute *c = s->m->compute;
    struct crypto_hasher h;
    char *text = mem_printf("%s %s %s %d", PREFIX_FORM, c->kernels, c->device,
                            (int)c->precision);

    crypto_hasher_init(&h, &none);
    crypto_hasher_update(&h, slice_of(text));
    crypto_hasher_update(&h, (struct slice){ (const char *)s->m->identity,
                                             sizeof(s->m->identity) });
    for (size_t i = 0; i < s->m->mixer_count; i++)
        add_parts(s, i, &h);
    crypto_hasher_final(&h, s->files);
    s->named = true;
    free(text);
}

/* Whether there are files for what this session computes. They are listed: the
 * list may have been another session's meanwhile. */
static bool has_files(struct model_session *s)
{
    if (!s->m->prefixes || !s->m->identified ||
        !s->m->compute->ops->cache_layout)
        return false;
    if (!s->named)
        name_files(s);
    prefix_files_list(s->m->prefixes, s->files);
    return true;
}

/* Rows of the file that n ids of a prompt can begin with, whose positions are
 * turned so. */
static size_t fits(const struct model_session *s, const struct prefix_entry *e,
                   const struct session_key *key, const int32_t *ids, size_t n,
                   int32_t turned)
{
    size_t k = 0, rows = e->head.rows;

    if (e->head.salt != key->salt || e->head.turned != turned ||
        memcmp(e->head.adapter, key->adapter, sizeof(key->adapter)) != 0)
        return 0;
    while (k < rows && k < n && e->ids[k] == ids[k])
        k++;
    return s->cuts || k == rows ? k : 0;
}

static size_t best_entry(const struct model_session *s,
                         const struct session_key *key, const int32_t *ids,
                         size_t n, int32_t turned, size_t *rows)
{
    const struct model_prefixes *p = s->m->prefixes;
    size_t best = SIZE_MAX;

    *rows = 0;
    for (size_t i = 0; i < p->count; i++) {
        size_t k = fits(s, &p->entries[i], key, ids, n, turned);

        if (k > *rows) {
            *rows = k;
            best = i;
        }
    }
    return best;
}

/* The first `rows` of what the chunk has of `all` rows. */
static bool read_mixer(struct model_session *s, struct prefix_file *f,
                       size_t mixer, size_t slot, size_t rows,
                       struct buf *chunk)
{
    struct compute *c = s->m->compute;
    struct session_part part[MODEL_MAX_STATES], all[MODEL_MAX_STATES];
    unsigned n = session_cache_parts(s, mixer, slot, rows, part);
    size_t one = compute_type_size(session_state_type(s, mixer));
    size_t total = 0, at = 0;

    (void)session_cache_parts(s, mixer, slot, f->head.rows, all);
    for (unsigned k = 0; k < n; k++)
        total += all[k].groups * all[k].run * one;
    if (total == 0)
        return true;
    if (!prefix_file_get(f, total, chunk))
        return false;
    for (unsigned k = 0; k < n; k++)
        for (size_t g = 0; g < part[k].groups; g++) {
            c->ops->upload(c, compute_at(part[k].first, g * part[k].stride),
                           chunk->data + at, part[k].run);
            at += all[k].run * one;
        }
    s->m->prefixes->stats.read_bytes += total;
    return true;
}

void session_prefixes_load(struct model_session *s, size_t slot,
                           const struct session_key *key, const int32_t *ids,
                           size_t n, size_t *past)
{
    struct prefix_file f;
    struct buf chunk = { 0 };
    size_t rows, entry;
    bool fine = true;

    if (n <= PREFIX_LEAST || !has_files(s))
        return;
    entry = best_entry(s, key, ids, n, model_rope_row(s->m, 0, n), &rows);
    /* One row at least is left to be run. */
    if (rows == n && s->cuts)
        rows--;
    if (entry == SIZE_MAX || rows < *past + PREFIX_LEAST || rows >= n ||
        s->m->prefixes->entries[entry].head.rows > s->capacity)
        return;
    if (!prefix_file_open(s->m->prefixes, entry, &f)) {
        prefix_files_drop(s->m->prefixes, entry);
        return;
    }
    session_cache_detach(s, &s->slots[slot]);
    for (size_t i = 0; fine && i < s->m->mixer_count; i++)
        fine = read_mixer(s, &f, i, slot, rows, &chunk);
    fine = prefix_file_close(&f, fine);
    buf_release(&chunk);
    *past = fine ? rows : 0;
    if (!fine) {
        prefix_files_drop(s->m->prefixes, entry);
        return;
    }
    s->m->prefixes->stats.found++;
    s->m->prefixes->stats.found_tokens += rows;
}

static bool write_mixer(struct model_session *s, struct prefix_file *f,
                        size_t mixer, size_t slot, size_t rows,
                        struct buf *chunk)
{
    struct compute *c = s->m->compute;
    const struct session_slot *q = &s->slots[slot];
    size_t home = q->base ? (size_t)(q->base - s->slots) : slot;
    size_t shared = q->shared < rows ? q->shared : rows;
    struct session_part part[MODEL_MAX_STATES], first[MODEL_MAX_STATES];
    unsigned n = session_cache_parts(s, mixer, slot, rows, part);
    size_t one = compute_type_size(session_state_type(s, mixer));

    (void)session_cache_parts(s, mixer, home, shared, first);
    buf_reset(chunk);
    for (unsigned k = 0; k < n; k++)
        for (size_t g = 0; g < part[k].groups; g++) {
            size_t at = g * part[k].stride, run = part[k].run;
            size_t others = q->base ? first[k].run : 0;
            char *to = buf_reserve(chunk, run * one + 1);

            if (!to)
                return false;
            if (others > 0)
                c->ops->download(c, to, compute_at(first[k].first, at), others);
            if (run > others)
                c->ops->download(c, to + others * one,
                                 compute_at(part[k].first, at + others),
                                 run - others);
            chunk->len += run * one;
        }
    return chunk->len == 0 || prefix_file_put(f, buf_slice(chunk));
}

/* Mixers that keep something: as many chunks. */
static uint32_t count_chunks(const struct model_session *s)
{
    struct session_part part[MODEL_MAX_STATES];
    uint32_t n = 0;

    for (size_t i = 0; i < s->m->mixer_count; i++)
        n += session_cache_parts(s, i, 0, PREFIX_LEAST, part) > 0;
    return n;
}

void session_prefixes_save(struct model_session *s, size_t slot, size_t n)
{
    const struct session_slot *q = &s->slots[slot];
    struct prefix_head head = { .salt = q->key.salt, .rows = (uint32_t)n };
    struct prefix_file f;
    struct buf chunk = { 0 };
    size_t known;
    bool fine = true;

    if (n < PREFIX_LEAST || !has_files(s))
        return;
    head.turned = model_rope_row(s->m, 0, q->length);
    (void)best_entry(s, &q->key, q->ids, n, head.turned, &known);
    if (known + PREFIX_SLACK >= n && (s->cuts || known == n))
        return;
    memcpy(head.base, s->m->prefixes->base, sizeof(head.base));
    memcpy(head.adapter, q->key.adapter, sizeof(head.adapter));
    head.chunks = count_chunks(s);
    if (!prefix_file_create(s->m->prefixes, &head, q->ids, &f))
        return;
    for (size_t i = 0; fine && i < s->m->mixer_count; i++)
        fine = write_mixer(s, &f, i, slot, n, &chunk);
    prefix_file_end(&f, q->ids, fine);
    buf_release(&chunk);
}

static uint64_t hash_ids(const int32_t *ids, size_t n)
{
    static const struct crypto_key none; /* compared here alone */
    unsigned char out[CRYPTO_HASH_BYTES];
    uint64_t h;

    crypto_keyed_hash(
        &none, (struct slice){ (const char *)ids, n * sizeof(*ids) }, out);
    memcpy(&h, out, sizeof(h));
    return h;
}

/* A conversation that goes on shares with itself: what is written must have
 * been shared twice, to about the same token. */
size_t session_prefixes_shared(struct model_session *s,
                               const struct model_ask *a, size_t past)
{
    size_t n = past / PREFIX_STEP * PREFIX_STEP;
    uint64_t hash;

    if (!s->m->prefixes)
        return 0;
    if (a->sampling.shared >= PREFIX_LEAST &&
        a->sampling.shared < a->prompt_count)
        return a->sampling.shared;
    if (n < PREFIX_LEAST || !s->cuts)
        return 0;
    hash = hash_ids(a->prompt, n);
    for (size_t i = 0; i < SESSION_SHARED; i++)
        if (s->shared[i].seen > 0 && s->shared[i].hash == hash)
            return ++s->shared[i].seen == PREFIX_SEEN ? n : 0;
    s->shared[s->shared_at] = (struct session_shared){ hash, 1 };
    s->shared_at = (s->shared_at + 1) % SESSION_SHARED;
    return 0;
}
