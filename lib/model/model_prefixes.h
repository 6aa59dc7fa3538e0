/*
 * model_prefixes.h - private to lib/model: prefixes between disk and a slot
 */
#ifndef MODEL_PREFIXES_H
#define MODEL_PREFIXES_H

#include "model/model_session.h"

#define PREFIX_LEAST 64 /* tokens that are worth a file */

/* Reads into the slot what a file has of the first rows of a prompt of n ids,
 * if that is PREFIX_LEAST rows more than *past, which it then says. A file that
 * is not as it was written leaves *past 0: the slot is to be computed anew. */
void session_prefixes_load(struct model_session *s, size_t slot,
                           const struct session_key *key, const int32_t *ids,
                           size_t n, size_t *past);
/* How many of the ask's first rows are worth writing: those it says, or those
 * that others begin with too, of which `past` are in a slot. */
size_t session_prefixes_shared(struct model_session *s,
                               const struct model_ask *a, size_t past);
/* Writes the slot's first n rows, unless a file has them or the ids are too
 * few. Failing to is no error: it is a cache. */
void session_prefixes_save(struct model_session *s, size_t slot, size_t n);

#endif
