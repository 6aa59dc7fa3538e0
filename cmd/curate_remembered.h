/*
 * curate_remembered.h - what a store remembers of how it is scrubbed
 *
 * --names, --scope, --strict, --action, --keep and --rules: a later run
 * without them goes on as before. What is remembered is used for the whole
 * life of the process.
 */
#ifndef CURATE_REMEMBERED_H
#define CURATE_REMEMBERED_H

#include "base/buf.h"
#include "base/err.h"
#include "curate/curate.h"
#include "store/store.h"

/* Sets what was not given in curate_settings as the store remembers it. *used:
 * there was something, and rules have to be loaded again. */
MUST_CHECK int curate_recall(struct store *s, bool *used, struct err *err);
/* Lets the store remember what is in use now; after curate_recall. What has
 * changed is appended to *changes. */
MUST_CHECK int curate_remember(struct store *s, struct buf *changes,
                               struct err *err);

/* Does the vault (NULL: none) lack what earlier runs have replaced? Then all
 * calls have to be done again. */
MUST_CHECK int curate_vault_due(struct store *s, const char *vault, bool *due,
                                struct buf *changes, struct err *err);
/* After a run: notes how far the vault goes. */
MUST_CHECK int curate_vault_done(struct store *s, const char *vault,
                                 const struct curate_result *r,
                                 struct err *err);

#endif
