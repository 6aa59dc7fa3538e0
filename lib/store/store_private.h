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

/* What the chain is made with; of one data key. */
struct store_ledger_keys {
    bool loaded;
    int64_t data_key;
    struct crypto_key chain, commitment;
};

/* The calls of one commit. */
struct store_group {
    int64_t first, last, data_key;
};

/* The transaction that is open. */
struct store_ledger {
    struct store_ledger_keys keys;
    unsigned char link[STORE_LINK_BYTES]; /* the one before it */
    int64_t high;  /* last id given out; -1: not looked up yet */
    int64_t calls; /* that it has added */
    struct buf commitments;
};

/* A data key and the key of the hashes that go with it; id 0: of a plain
 * store, data unused. In locked memory. */
struct store_key {
    int64_t id;
    struct crypto_key data, hash;
};

struct store {
    char *dir;
    struct sql *db;
    bool encrypted;
    bool turning;   /* store_rotate is under way: rows of both kinds */
    char key_id[9]; /* of the key file that opens it */
    bool is_sealed;
    char seal_id[9]; /* of seal_to */
    struct crypto_key seal_to;
    const struct crypto_key *private_key; /* the caller's; may be NULL */
    int64_t blob_base;                    /* blobs up to here are others' */
    char *key_file;                       /* where it was looked for */
    struct crypto_key *master; /* locked; NULL: not opened with a key */
    struct store_key **keys;   /* that were needed so far */
    size_t key_count, key_cap;
    const struct store_key *writes; /* what new rows are encrypted with */
    struct buf sealed;              /* what is being written */
    struct buf opened;              /* packed bytes of what is being read */
    struct codec *codec;
    struct codec_dictionary **dictionaries;
    size_t dictionary_count, dictionary_cap;
    /* Packs new blobs; may be NULL. Packers of other threads look at it. */
    _Atomic(const struct codec_dictionary *) active;
    /* What was learnt of ids; void after a rollback, since ids are then given
     * out again. */
    uint64_t rollbacks;
    int64_t commit_ns; /* of the last turn of a removal */
    int64_t epoch;     /* of deleters, when that was learnt */
    int64_t blob_floor, node_floor, dictionary_floor; /* new ids are higher */
    struct store_ledger ledger;
    struct map *blobs;             /* hash to blob id */
    struct map *nodes;             /* (parent, blob) to node id */
    struct map *origins;           /* hash to origin id */
    struct store_cached *unpacked; /* CACHE_SLOTS, by blob id */
    struct store_node *walked;     /* CACHE_SLOTS, by node id */
    struct buf scratch;            /* packed bytes of the blob being put */
    int64_t group_began_ns;
    int64_t repacked;   /* blobs up to this one are as they should be */
    bool has_gaps;      /* that repacking has left */
    int64_t train_from; /* blobs: learning failed before there were so many */
    int *locks;
    size_t lock_count, lock_cap;
};

/* store_vault.c: what is encrypted with what; sets s->writes. */
MUST_CHECK int store_vault_open(struct store *s, enum store_mode mode,
                                const struct store_access *access,
                                struct err *err);
/* Whether these keys can make a store, before there is a file of it. */
MUST_CHECK int store_vault_may_make(struct store *s,
                                    const struct store_access *access,
                                    struct err *err);
void store_vault_close(struct store *s);
/* ERR_BUSY: a rotation has ended since the store was opened. */
MUST_CHECK int store_vault_check(struct store *s, struct err *err);
MUST_CHECK int store_master_read(struct store *s, const char *path, bool create,
                                 struct err *err);
/* store_keys.c */
struct store_key *store_key_add(struct store *s, int64_t id);
/* A random one, inside a transaction; hash: of the key that it takes over
 * from, NULL: a new one. make: with the key file; new: kind "key" or "sealed"
 * without a word in the settings. */
MUST_CHECK int store_key_make(struct store *s, const struct crypto_key *hash,
                              struct store_key **out, struct err *err);
MUST_CHECK int store_key_new(struct store *s, const struct crypto_key *hash,
                             const char *kind, struct store_key **out,
                             struct err *err);
int store_no_key(const struct store *s, struct err *err);
int store_no_private_key(const struct store *s, struct err *err);
/* The store and its row in front of the message; not of one about keys. */
int store_err_wrap(const struct store *s, const char *what, int64_t id,
                   struct err *err);
/* Of an encrypted store that is open without its key: it opens nothing. */
bool store_is_nobody(const struct store *s, const struct store_key *k);
/* For store_rotate, inside a transaction: a new data key to write with; one
 * that opens nothing any more; all wrapped with another key file. */
MUST_CHECK int store_key_renew(struct store *s, struct err *err);
MUST_CHECK int store_key_retire(struct store *s, int64_t id, struct err *err);
MUST_CHECK int store_key_rewrap(struct store *s, const char *path,
                                struct err *err);
MUST_CHECK int store_key_get(struct store *s, int64_t id,
                             const struct store_key **out, struct err *err);

/* Texts that hold payload, and what identifies their rows; the last has no
 * table. */
struct store_text {
    const char *table, *column, *row, *rows;
};
extern const struct store_text store_texts[];
/* Tells each that cannot be decrypted. */
typedef void store_text_damaged(void *ctx, const struct store_text *x,
                                int64_t row);
MUST_CHECK int store_texts_check(struct store *s, store_text_damaged *damaged,
                                 void *ctx, struct err *err);

/* store_blob.c. The row with this id, which sql asks for as ?1: *q stands on it
 * and is the caller's to reset. ERR_FORMAT names what is missing. */
MUST_CHECK int store_row_find(struct store *s, const char *sql,
                              const char *what, int64_t id, struct sql_stmt **q,
                              struct err *err);

/* store_seal.c. What is bound to an encrypted row; codec without the 16. */
struct store_row {
    char table; /* 'b' or 'd' */
    int64_t id, codec, dictionary, size;
};
/* The bytes as they go into the row, in s->sealed: encrypted with s->writes if
 * that is a key. */
struct slice store_row_seal(struct store *s, const struct store_row *row,
                            struct slice packed);
/* Packed bytes of a row, *codec without the 16. opened holds them if need be,
 * and must live as long as they. */
MUST_CHECK int store_row_open(struct store *s, struct store_row *row,
                              int64_t key, struct slice data,
                              struct buf *opened, struct slice *packed,
                              struct err *err);
/* codec as it stands in a row that is written now. */
int64_t store_row_codec(const struct store *s, enum codec_id codec);
void store_bind_key(const struct store *s, struct sql_stmt *q, int i);
MUST_CHECK int store_text_functions(struct store *s, struct err *err);
/* placed and kept, see store.h. */
MUST_CHECK int store_place_functions(struct store *s, struct err *err);

/* Lets go of the locks but the first `keep`. */
void store_unlock(struct store *s, size_t keep);

/* Forget remembered ids if there was a rollback since. */
void store_check_caches(struct store *s);
void store_forget(struct store *s);

/* Dictionary of a blob, loaded on first use. */
MUST_CHECK int store_dictionary(struct store *s, int64_t id,
                                const struct codec_dictionary **out,
                                struct err *err);
/* The newest dictionary becomes active. */
MUST_CHECK int store_dictionary_newest(struct store *s, struct err *err);

/* A dictionary of what is there now, if there is enough of it. */
MUST_CHECK int store_train_anew(struct store *s, struct err *err);
/* A blob as it would be packed today. In a transaction. */
MUST_CHECK int store_blob_repack(struct store *s, int64_t id, struct err *err);

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
                                 int64_t id, struct slice key,
                                 struct store_body request, int64_t response,
                                 struct err *err);

/* The data key that new calls are written under, 0: none; and the hash key
 * that goes with a data key. */
int64_t store_data_key(const struct store *s);
MUST_CHECK int store_hash_key(struct store *s, int64_t data_key,
                              struct crypto_key *out, struct err *err);

/* A call as it stands; texts are valid until store_call_read_end. */
struct store_call_row {
    struct store_call call; /* without key, source and bodies */
    int64_t id, request, request_at, node, response, raw; /* 0: none */
};
MUST_CHECK int store_call_read(struct store *s, int64_t id,
                               struct store_call_row *out, bool *found,
                               struct err *err);
void store_call_read_end(struct store *s);
MUST_CHECK int store_tombstone_get(struct store *s, int64_t call,
                                   unsigned char commitment[CRYPTO_HASH_BYTES],
                                   bool *found, struct err *err);

/* A blob's bytes, appended to *data, past the cache, and their hash. */
MUST_CHECK int store_blob_hash(struct store *s, int64_t id, struct buf *data,
                               unsigned char out[CRYPTO_HASH_BYTES],
                               struct err *err);

/* store_graph.c. What calls are made of, up to the ids of the moment at which
 * it was loaded. */
struct store_graph {
    struct store *store;
    int64_t node_high, blob_high;
    struct store_node *node; /* by id; id 0: there is none */
    unsigned char (*hash)[CRYPTO_HASH_BYTES];
    unsigned char *state; /* of the hashes */
    int64_t *path;        /* blobs of a list, last first */
    size_t path_cap;
    struct buf data;
};
struct store_graph *store_graph_new(struct store *s);
void store_graph_free(struct store_graph *g); /* NULL is fine */
MUST_CHECK int store_graph_load(struct store_graph *g, struct err *err);
/* The blobs of a list into g->path; false: it is damaged. */
bool store_graph_walk(struct store_graph *g, int64_t node, size_t *count);
/* The hash of a blob's bytes. good false: they cannot be had; then the one
 * that the store noted, NULL if there is no such blob. */
MUST_CHECK int store_graph_hash(struct store_graph *g, int64_t id,
                                const unsigned char **out, bool *good,
                                struct err *err);
/* whole false: a piece is missing or damaged. */
MUST_CHECK int store_graph_commitment(struct store_graph *g,
                                      const struct store_ledger_keys *keys,
                                      const struct store_call_row *r,
                                      unsigned char out[CRYPTO_HASH_BYTES],
                                      bool *whole, struct err *err);

/* store_ledger.c: the hooks of transactions, and the chain. */
MUST_CHECK int store_ledger_open(struct store *s, struct err *err);
void store_ledger_close(struct store *s);
MUST_CHECK int store_ledger_keys(struct store *s, int64_t data_key,
                                 struct store_ledger_keys *keys,
                                 struct err *err);
/* The id of the next call: ids are never given out again. The call is then
 * written, and its commitment added. */
MUST_CHECK int store_ledger_next(struct store *s, int64_t *id, struct err *err);
void store_ledger_add(struct store *s,
                      const unsigned char commitment[CRYPTO_HASH_BYTES]);
void store_ledger_link(const struct store_ledger_keys *keys,
                       const unsigned char before[STORE_LINK_BYTES],
                       const struct store_group *g, struct slice commitments,
                       unsigned char out[STORE_LINK_BYTES]);
/* A commitment: begin, shape, the hashes of messages, skeleton and response,
 * crypto_hasher_final. raw: bytes of both bodies. */
void store_commitment_begin(struct crypto_hasher *h,
                            const struct store_ledger_keys *keys,
                            const struct store_call *c, int64_t id,
                            int64_t raw);
void store_commitment_shape(struct crypto_hasher *h, int64_t at,
                            bool has_response, size_t messages);
void store_commitment_piece(struct crypto_hasher *h,
                            const unsigned char hash[CRYPTO_HASH_BYTES]);

/* The array to cut a body at: true and its node if `member` of the object at
 * `body` is an array with elements. */
bool store_cut_at(const struct json *j, json_ref body, const char *member,
                  json_ref *array);

#endif
