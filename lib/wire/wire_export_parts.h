/* wire_export_parts.h - chat messages as parts of the GenAI conventions;
 * nobody outside this module includes it */
#ifndef WIRE_EXPORT_PARTS_H
#define WIRE_EXPORT_PARTS_H

#include "wire/wire_export.h"

/* Each appends a JSON array; nothing where there is nothing to tell. */
void wire_parts_input(const struct wire_out *x, struct buf *out);
void wire_parts_output(const struct wire_out *x, struct buf *out);
void wire_parts_tools(const struct wire_out *x, struct buf *out);
/* Why a choice ended, as the conventions name it; "unknown" if it does not
 * say. Escaped. */
struct slice wire_parts_finish(const struct json *j, json_ref choice);

#endif
