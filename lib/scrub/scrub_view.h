/*
 * scrub_view.h - a text as its reader takes it, with the way back
 *
 * Shared by the files of lib/scrub that look at texts: what finds and what
 * searches for leaks must see the same. Nothing outside lib/scrub may include
 * this file.
 */
#ifndef SCRUB_VIEW_H
#define SCRUB_VIEW_H

#include "base/buf.h"

#include <stdint.h>

/* How a piece of a text is written. */
enum scrub_coding {
    CODED_PLAIN = 0,
    CODED_FOLDED = 1,  /* another character for the same */
    CODED_PERCENT = 2, /* %40, and + for a blank beside it */
    CODED_ENTITY = 4,  /* &#64; */
    CODED_ESCAPE = 8,  /* \u0040, \x40 */
    CODED_BASE64 = 16,
};

/* Byte offsets where a piece begins on both sides. A piece that is not plain
 * is never cut. */
struct scrub_unit {
    size_t view, source;
    enum scrub_coding coding;
};

struct scrub_view {
    struct buf text;
    struct scrub_unit *unit;
    size_t count, cap;
    size_t source_size;
};

void scrub_view_release(struct scrub_view *v);
/* Codings that may stand in the text; 0 for most. One pass. */
unsigned scrub_view_needs(struct slice text);
/* Percent-encoding, entities and escapes undone, as far as `codings` names
 * them. False: there are none. */
bool scrub_view_decode(struct scrub_view *v, struct slice text,
                       unsigned codings);
/* What looks the same made the same: NFKC, no invisible characters, ASCII
 * digits, hyphens and blanks, no foreign letters within a Latin word. False:
 * nothing that matters differs. */
bool scrub_view_fold(struct scrub_view *v, struct slice text);
/* Bytes [*start, *end) of the view become those of the source that they come
 * from; all codings among them. */
unsigned scrub_view_source(const struct scrub_view *v, size_t *start,
                           size_t *end);
/* Text as it must stand among such codings, appended. */
void scrub_view_encode(struct slice text, unsigned codings, struct buf *out);

/* How far runs of a text were looked for; zeros at first. */
struct scrub_runs {
    size_t at, seen; /* seen: lines before it were tried as one run */
};
/* The next run of base64 (either alphabet) from at->at on that decodes to
 * readable text, which replaces *out: [*start, *end) is the run with its
 * padding; lines of equal length are one run. False: none. */
bool scrub_base64_next(struct slice text, struct scrub_runs *at, size_t *start,
                       size_t *end, struct buf *out);
/* Text encoded as the run was: its alphabet, and padded or not. */
void scrub_base64_encode(struct slice text, struct slice run, struct buf *out);

/* Used by scrub_view_fold: the character that a foreign letter is taken for
 * within a Latin word, 0: none; the value of a digit of any script, -1. */
uint32_t scrub_confusable(uint32_t cp);
int scrub_digit_value(uint32_t cp);
bool scrub_is_invisible(uint32_t cp);
bool scrub_is_other_letter(uint32_t cp); /* Greek, Cyrillic, Armenian */

/* The view's text grows by n bytes for the source bytes from `source` on;
 * plain pieces that follow each other are one. */
void scrub_view_add(struct scrub_view *v, const char *p, size_t n,
                    size_t source, enum scrub_coding coding);
void scrub_view_begin(struct scrub_view *v, size_t source_size);

#endif
