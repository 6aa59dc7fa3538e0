/* retrain_private.h - what the files of retrain share: its rows */
#ifndef RETRAIN_PRIVATE_H
#define RETRAIN_PRIVATE_H

#include "retrain/retrain.h"

/* A number of a statement's only row; 0 where it is NULL or there is none.
 * Parameters a to c are bound as far as the text has them. */
MUST_CHECK int retrain_number(struct store *s, const char *text,
                              const int64_t *bind, int count, int64_t *out,
                              struct err *err);

#endif
