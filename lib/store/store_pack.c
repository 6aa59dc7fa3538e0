/*
 * store_pack.c - calls cut, hashed and compressed away from the writer
 *
 * A packer remembers the hashes it has seen and packs each piece once: agents
 * resend their whole conversation with each call. The writer looks a piece up
 * by its hash; one that it misses although the packer held it for known (its
 * call was refused, say) is packed there and then from the raw bytes.
 */
#include "store/store_private.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SEEN_MAX ((size_t)1 << 17)

struct piece {
    unsigned char hash[CRYPTO_HASH_BYTES];
    struct slice raw;
    size_t at, n; /* in parcel.packed */
    bool packed;
    enum codec_id codec;
};

struct store_packer {
    const struct store *store;
    struct codec *codec;
    struct map *seen;
    struct json json;
};

/* Pieces: the messages, then the request's skeleton (or all of it), then the
 * response. */
struct store_parcel {
    struct store_call call;
    struct piece *pieces;
    size_t count, cap;
    size_t messages; /* how many of them are messages */
    size_t at;       /* of the skeleton */
    struct buf packed, skeleton;
    const struct codec_dictionary *dictionary;
};

struct store_packer *store_packer_new(const struct store *s)
{
    struct store_packer *p = mem_zalloc(sizeof(*p));

    p->store = s;
    p->codec = codec_new();
    p->seen = map_new();
    return p;
}

void store_packer_free(struct store_packer *p)
{
    if (!p)
        return;
    codec_free(p->codec);
    map_free(p->seen);
    json_release(&p->json);
    free(p);
}

struct store_parcel *store_parcel_new(void)
{
    return mem_zalloc(sizeof(struct store_parcel));
}

void store_parcel_free(struct store_parcel *p)
{
    if (!p)
        return;
    buf_release(&p->packed);
    buf_release(&p->skeleton);
    free(p->pieces);
    free(p);
}

static bool seen_before(struct store_packer *p, const unsigned char *hash)
{
    bool added;

    if (map_count(p->seen) >= SEEN_MAX) {
        map_free(p->seen);
        p->seen = map_new();
    }
    (void)map_put(p->seen, hash, CRYPTO_HASH_BYTES, &added);
    return !added;
}

static int add_piece(struct store_packer *p, struct store_parcel *out,
                     struct slice raw, struct err *err)
{
    void *list = out->pieces;
    struct piece *e;
    int rc = ERR_OK;

    mem_grow(&list, &out->cap, out->count + 1, sizeof(*out->pieces));
    out->pieces = list;
    e = &out->pieces[out->count++];
    *e = (struct piece){ .raw = raw, .at = out->packed.len };
    crypto_keyed_hash(&p->store->writes->hash, raw, e->hash);
    if (seen_before(p, e->hash))
        return ERR_OK;
    rc = codec_pack(p->codec, out->dictionary, raw, &out->packed, &e->codec,
                    err);
    e->packed = rc == ERR_OK;
    e->n = out->packed.len - e->at;
    return rc;
}

static int pack_messages(struct store_packer *p, struct slice body,
                         const struct json *j, json_ref array,
                         struct store_parcel *out, struct err *err)
{
    size_t from = (size_t)(json_raw(j, array).p - body.p) + 1;
    int rc = ERR_OK;

    out->at = from;
    buf_add(&out->skeleton, body.p, from);
    for (json_ref e = json_first(j, array); rc == ERR_OK && e != JSON_NONE;
         e = json_next(j, array, e)) {
        struct slice raw = json_raw(j, e);
        size_t end = (size_t)(raw.p - body.p) + raw.n;

        rc =
            add_piece(p, out, (struct slice){ body.p + from, end - from }, err);
        from = end;
    }
    buf_add(&out->skeleton, body.p + from, body.n - from);
    out->messages = out->count;
    if (rc == ERR_OK)
        rc = add_piece(p, out, buf_slice(&out->skeleton), err);
    return rc;
}

int store_pack(struct store_packer *p, const struct store_call *c,
               const struct json *j, json_ref request, struct store_parcel *out,
               struct err *err)
{
    json_ref array;
    int rc;

    out->call = *c;
    out->count = out->messages = out->at = 0;
    out->dictionary = p->store->active;
    buf_reset(&out->packed);
    buf_reset(&out->skeleton);
    if (!j && json_parse(&p->json, c->request.p, c->request.n, NULL) == 0) {
        j = &p->json;
        request = 0;
    }
    assert(!j || json_raw(j, request).n <= c->request.n);
    if (j && store_cut_at(j, request, BODY_MEMBER, &array))
        rc = pack_messages(p, c->request, j, array, out, err);
    else
        rc = add_piece(p, out, c->request, err);
    if (rc == ERR_OK && c->response.p)
        rc = add_piece(p, out, c->response, err);
    return rc;
}

static int add_blob(struct store *s, const struct store_parcel *p,
                    const struct piece *e, int64_t *id, struct err *err)
{
    int rc = store_blob_find(s, e->hash, id, err);

    if (rc < 0 || *id)
        return rc;
    if (!e->packed || p->dictionary != s->active)
        return store_blob_put(s, e->raw, id, err);
    return store_blob_insert(s, e->hash, e->codec,
                             (struct slice){ p->packed.data + e->at, e->n },
                             e->raw.n, id, err);
}

static int add_bodies(struct store *s, const struct store_parcel *p,
                      struct store_body *request, int64_t *response,
                      struct err *err)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < p->count; i++) {
        int64_t blob;

        rc = add_blob(s, p, &p->pieces[i], &blob, err);
        if (rc < 0)
            break;
        if (i < p->messages)
            rc = store_node_put(s, request->node, blob, &request->node, err);
        else if (i == p->messages)
            request->skeleton = blob;
        else
            *response = blob;
    }
    request->at = (int64_t)p->at;
    return rc;
}

/* What the chain says of it. */
static void commit_to(struct store *s, const struct store_parcel *p, int64_t id)
{
    const struct store_call *c = &p->call;
    unsigned char commitment[CRYPTO_HASH_BYTES];
    struct crypto_hasher h;

    store_commitment_begin(&h, &s->ledger.keys, c, id,
                           (int64_t)(c->request.n + c->response.n));
    store_commitment_shape(&h, (int64_t)p->at, p->count > p->messages + 1,
                           p->messages);
    for (size_t i = 0; i < p->count; i++)
        store_commitment_piece(&h, p->pieces[i].hash);
    crypto_hasher_final(&h, commitment);
    store_ledger_add(s, commitment);
}

int store_parcel_add(struct store *s, struct store_parcel *p, struct slice key,
                     bool *added, struct err *err)
{
    struct store_body request = { 0 };
    int64_t response = 0, known, id;
    int rc = store_call_find(s, key, &known, err);

    assert(sql_in_transaction(s->db));
    *added = false;
    if (rc < 0 || known)
        return rc;
    rc = store_ledger_next(s, &id, err);
    if (rc == ERR_OK)
        rc = add_bodies(s, p, &request, &response, err);
    if (rc == ERR_OK)
        rc = store_call_insert(s, &p->call, id, key, request, response, err);
    if (rc == ERR_OK)
        commit_to(s, p, id);
    *added = rc == ERR_OK;
    return rc;
}
