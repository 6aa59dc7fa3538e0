/* estimate_print.h - an estimate in the forms that people and machines read */
#ifndef ESTIMATE_PRINT_H
#define ESTIMATE_PRINT_H

#include "estimate/estimate.h"
#include "json/json.h"

void estimate_print_json(const struct estimate *e, struct buf *out);
void estimate_print_text(const struct estimate *e, const char *path,
                         struct buf *out);
void estimate_print_markdown(const struct estimate *e, const char *path,
                             struct buf *out);

#endif
