/* wire_pieces.h - a file as the texts of single records; nobody outside this
 * module includes it */
#ifndef WIRE_PIECES_H
#define WIRE_PIECES_H

#include "wire/wire_private.h"

#define WIRE_DOCUMENT_MAX ((size_t)256 << 20) /* over several lines */

/* Lines, and what stands within lists: elements of an array, entries of a HAR
 * file, spans and log records of OTLP. A line that ends in an open bracket
 * begins a document, which ends where its brackets do. */
struct wire_pieces;
MUST_CHECK int wire_pieces_open(const char *path, struct wire_pieces **out,
                                struct err *err);
/* Of lines that the caller has: each is given, and its pieces are asked for
 * until there is none (0). The line's text must live as long. */
struct wire_pieces *wire_pieces_new(void);
void wire_pieces_give(struct wire_pieces *p, const struct codec_line *line);
void wire_pieces_close(struct wire_pieces *p); /* NULL is fine */
/* As codec_lines_next; of a list that breaks off its whole records come, then
 * what remains, as torn, be it nothing. number and size are the line's or the
 * document's. The size counts with the first piece of a list, the others have
 * 0. */
MUST_CHECK int wire_pieces_next(struct wire_pieces *p, struct codec_line *out,
                                struct err *err);
/* As codec_lines_ready and codec_lines_position. */
bool wire_pieces_ready(const struct wire_pieces *p, int wait_ms);
void wire_pieces_position(const struct wire_pieces *p, uint64_t *done,
                          uint64_t *total);

#endif
