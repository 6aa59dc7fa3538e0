/*
 * names_tool.h - parts of namestool, which makes the data of lib/names
 *
 * Not part of the program: it runs where the sources of the lists are.
 */
#ifndef NAMES_TOOL_H
#define NAMES_TOOL_H

#include "names/names_priv.h"

/* The lists of the folders as a table, appended; *count words and phrases.
 * Files that a folder does not have are no error. */
MUST_CHECK int names_pack(const char *const *folders, size_t n, struct buf *out,
                          size_t *count, struct err *err);

#endif
