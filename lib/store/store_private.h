/* store_private.h - what the files of this module share; nobody else includes
 * it */
#ifndef STORE_PRIVATE_H
#define STORE_PRIVATE_H

#include "base/map.h"
#include "codec/codec.h"
#include "crypto/crypto.h"
#include "store/store.h"

#define BODY_MEMBER "messages"
#define CACHE_SLOTS 1024
#define CACHE_BLOB_MAX ((size_t)32 << 10)

/* A body's pieces in the order in which they are written. */
struct store_piece {
    unsigned char hash[CRYPTO_HASH_BYTES];
    struct slice raw; /* NULL p: the skeleton, in parcel.skeleton */
    size_t at, n;     /* packed bytes in parcel.packed; n 0: not packed */
    enum codec_id codec;
};

struct store_cached {
    int64_t id; /* 0: empty slot */
    struct buf data;
};

struct store_node {
    int64_t id, parent, blob;
};

struct store {
    char *dir;
    struct sql *db;
    struct crypto_key hash_key;
    struct codec *codec;
    struct codec_dictionary **dictionaries;
    size_t dictionary_count, dictionary_cap;
    const struct codec_dictionary *active; /* packs new blobs; may be NULL */
    /* What was learnt of ids; void after a rollback, since ids are then given
     * out again. */
    uint64_t rollbacks;
    struct map *blobs;             /* hash to blob id */
    struct map *nodes;             /* (parent, blob) to node id */
    struct map *origins;           /* hash to origin id */
    struct store_cached *unpacked; /* CACHE_SLOTS, by blob id */
    struct store_node *walked;     /* CACHE_SLOTS, by node id */
    struct buf scratch;            /* packed bytes of the blob being put */
    int64_t group_began_ns;
    int64_t repacked;   /* blobs up to this one are as they should be */
    int64_t train_from; /* blobs: learning failed before there were so many */
    int *locks;
    size_t lock_count, lock_cap;
};

/* Forget remembered ids if there was a rollback since. */
void store_check_caches(struct store *s);
void store_forget(struct store *s);

/* Dictionary of a blob, loaded on first use. */
MUST_CHECK int store_dictionary(struct store *s, int64_t id,
                                const struct codec_dictionary **out,
                                struct err *err);
/* The newest dictionary becomes active. */
MUST_CHECK int store_dictionary_newest(struct store *s, struct err *err);

MUST_CHECK int store_blob_find(struct store *s,
                               const unsigned char hash[CRYPTO_HASH_BYTES],
                               int64_t *id, struct err *err);
MUST_CHECK int store_blob_insert(struct store *s,
                                 const unsigned char hash[CRYPTO_HASH_BYTES],
                                 enum codec_id codec, struct slice packed,
                                 size_t size, int64_t *id, struct err *err);
MUST_CHECK int store_node_put(struct store *s, int64_t parent, int64_t blob,
                              int64_t *id, struct err *err);

MUST_CHECK int store_call_insert(struct store *s, const struct store_call *c,
                                 struct slice key, struct store_body request,
                                 int64_t response, struct err *err);

/* The array to cut a body at: true and its node if `member` of the object at
 * `body` is an array with elements. */
bool store_cut_at(const struct json *j, json_ref body, const char *member,
                  json_ref *array);

#endif
