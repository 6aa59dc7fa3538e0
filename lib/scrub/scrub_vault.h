/*
 * scrub_vault.h - turning surrogates back, for who asked for it beforehand
 *
 * A vault is a file of its own under the key file's key, never part of a store
 * or of an export. It is made only where somebody names one.
 */
#ifndef SCRUB_VAULT_H
#define SCRUB_VAULT_H

#include "base/buf.h"
#include "base/err.h"
#include "crypto/crypto.h"

#include <stdint.h>

struct scrub_worker;

#define SCRUB_VAULT_MAX 20000000 /* records */

struct scrub_vault;
/* add: the file is made if absent, and locked (ERR_BUSY); else it is read, to
 * reveal. ERR_FORMAT: no vault, or another key's. */
MUST_CHECK int scrub_vault_open(const char *path, const struct crypto_key *key,
                                bool add, struct scrub_vault **out,
                                struct err *err);
void scrub_vault_close(struct scrub_vault *v); /* NULL is fine */
/* The surrogates of the worker's last record; from any thread. */
void scrub_vault_take(struct scrub_vault *v, const struct scrub_worker *w);
/* What was taken is on disk. ERR_OUTPUT, ERR_LIMIT. */
MUST_CHECK int scrub_vault_sync(struct scrub_vault *v, struct err *err);

struct scrub_vault_entry {
    struct slice type, scope, surrogate, value;
};
/* Every record of a vault that was opened to reveal. */
MUST_CHECK int
scrub_vault_each(struct scrub_vault *v,
                 void (*found)(void *ctx, const struct scrub_vault_entry *e),
                 void *ctx, struct err *err);

/* Surrogates in texts become values again. A surrogate that stands for several
 * values is left as it is, unless the scope decides. */
struct scrub_reveal;
MUST_CHECK int scrub_reveal_new(struct scrub_vault *v,
                                struct scrub_reveal **out, struct err *err);
void scrub_reveal_free(struct scrub_reveal *r); /* NULL is fine */
/* A text, JSON or not, is appended to *out; what is JSON stays so. scope: of
 * the text; with an empty one all records count. */
MUST_CHECK int scrub_reveal_text(struct scrub_reveal *r, struct slice scope,
                                 struct slice in, struct buf *out,
                                 struct err *err);
uint64_t scrub_reveal_restored(const struct scrub_reveal *r);
uint64_t scrub_reveal_unclear(const struct scrub_reveal *r);

#endif
