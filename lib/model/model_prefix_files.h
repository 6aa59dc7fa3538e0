/*
 * model_prefix_files.h - private to lib/model: a directory of computed prefixes
 *
 * A file is a head, the ids that were computed, and chunks of bytes, each with
 * a hash, or sealed. What a file is to be used for is in its head, and the name
 * tells no more than a keyed hash does.
 */
#ifndef MODEL_PREFIX_FILES_H
#define MODEL_PREFIX_FILES_H

#include "crypto/crypto.h"
#include "model/model.h"

struct prefix_head {
    unsigned char base[MODEL_HASH_BYTES];    /* all that the bits depend on */
    unsigned char adapter[MODEL_HASH_BYTES]; /* of a bank */
    uint64_t salt;
    int32_t turned; /* what the rotary tables had for this length */
    uint32_t rows, chunks, zero;
    unsigned char id[CRYPTO_HASH_BYTES]; /* random: chunks belong to it */
};
struct prefix_entry {
    char *name;
    struct prefix_head head;
    int32_t *ids; /* head.rows */
};
struct model_prefixes {
    int dir; /* that it was opened with: a later one of its name has another
              * key, or none */
    struct crypto_key *key; /* zeros: files are plain */
    bool sealed;
    uint64_t most_bytes;
    struct prefix_entry *entries; /* of base */
    size_t count, cap;
    unsigned char base[MODEL_HASH_BYTES];
    bool listed;
    struct model_prefixes_stats stats;
};

/* Reads the heads of what there is for this base. */
void prefix_files_list(struct model_prefixes *p,
                       const unsigned char base[MODEL_HASH_BYTES]);
/* It is no good: out of the list, and removed. */
void prefix_files_drop(struct model_prefixes *p, size_t entry);

/* Chunk after chunk, in order. */
struct prefix_file {
    struct model_prefixes *p;
    struct prefix_head head;
    int fd;
    uint32_t at;      /* of the next chunk */
    uint64_t written; /* bytes of chunks */
    char *tmp, *name;
    struct buf coded;
};
/* false: it cannot be; nothing is left open. */
bool prefix_file_open(struct model_prefixes *p, size_t entry,
                      struct prefix_file *f);
/* n bytes of the next chunk replace what is in *out. */
bool prefix_file_get(struct prefix_file *f, size_t n, struct buf *out);
/* fine: it was of use. Returns whether it is all that was in the file. */
bool prefix_file_close(struct prefix_file *f, bool fine);

/* head: all but its id. */
bool prefix_file_create(struct model_prefixes *p,
                        const struct prefix_head *head, const int32_t *ids,
                        struct prefix_file *f);
bool prefix_file_put(struct prefix_file *f, struct slice chunk);
/* fine: it gets its name and is listed, and others make room for it. */
void prefix_file_end(struct prefix_file *f, const int32_t *ids, bool fine);

#endif
