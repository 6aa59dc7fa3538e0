/* wire_intake.h - lines of a source into the store, a batch at a time; nobody
 * outside this module includes it */
#ifndef WIRE_INTAKE_H
#define WIRE_INTAKE_H

#include "wire/wire_private.h"

#include "base/map.h"

#define WIRE_BATCH_LINES 512
#define WIRE_BATCH_BYTES ((size_t)4 << 20)

struct wire_slot {
    size_t at, n; /* of the line in the batch's text */
    int64_t number;
    uint64_t size;
    bool cut, torn, blank, no_call;
    struct wire_record record;
    struct store_parcel *parcel;
    unsigned char key[CRYPTO_HASH_BYTES]; /* of the call, or of the line */
    char *reason;                         /* why it is rejected */
};

struct wire_batch {
    struct buf text;
    struct wire_slot slots[WIRE_BATCH_LINES];
    size_t count;
};
struct wire_batch *wire_batch_new(void);
void wire_batch_free(struct wire_batch *b); /* NULL is fine */
void wire_batch_add(struct wire_batch *b, const struct codec_line *line);
void wire_batch_clear(struct wire_batch *b); /* what was not written is gone */
bool wire_batch_is_full(const struct wire_batch *b);

/* One source, and what has become of its lines. */
struct wire_intake {
    struct wire_import *im;
    const char *name; /* of the source */
    int64_t source, import;
    struct store_packer **packers; /* one a thread */
    struct map *ordinals;          /* how often a line without id came */
    bool goes_on;                  /* earlier lines of it are in the store */
    bool is_whole; /* whoever writes a batch says when it is committed */
    struct wire_rejects rejects;
    struct wire_counts counts;
};
void wire_intake_init(struct wire_intake *k, struct wire_import *im,
                      const char *name);
void wire_intake_release(struct wire_intake *k);
/* Rows of the source and the import. */
MUST_CHECK int wire_intake_begin(struct wire_intake *k, struct err *err);
/* The counts so far, in the transaction of the calls that they count. */
MUST_CHECK int wire_intake_update(struct wire_intake *k, bool finished,
                                  struct err *err);
/* Lines from..to-1 of the batch; threads may pack parts of it at once. */
void wire_batch_pack(struct wire_intake *k, struct wire_batch *b, size_t from,
                     size_t to, unsigned worker);
/* In the order of the lines. Empties the batch. */
MUST_CHECK int wire_batch_write(struct wire_intake *k, struct wire_batch *b,
                                struct err *err);
/* A store without a dictionary learns one from the lines that it is about to
 * take in; one that has grown learns another from itself. */
MUST_CHECK int wire_batch_train(struct wire_intake *k, struct wire_batch *b,
                                struct err *err);

#endif
