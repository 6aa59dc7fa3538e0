/*
 * split_regex.h - splitting patterns that nobody wrote a matcher for
 *
 * They run on PCRE2 with the limits of lib/regex, while tokenizer.json means
 * Oniguruma's Ruby syntax; what the two read differently is refused when the
 * pattern is compiled. Unicode properties are those of the PCRE2 installed
 * (Debian 12's has Unicode 14), so characters newer than that may be cut
 * otherwise than by the reference, whose tables are Unicode 16; and U+180E
 * counts as a space here. \w and \b are spelled out, as Oniguruma means them.
 */
#ifndef SPLIT_REGEX_H
#define SPLIT_REGEX_H

#include "regex/regex.h"

/* ERR_UNSUPPORTED: it means another thing to PCRE2; ERR_FORMAT: to neither. */
MUST_CHECK int split_regex_compile(struct slice pattern, struct regex **out,
                                   struct err *err);
/* Matches one after another, from a cursor of zeroes on; an empty one is none
 * where the last one ended. 1: *at and *size, 0: no more. */
struct split_regex_cursor {
    size_t from, end;
    bool matched;
};
MUST_CHECK int split_regex_next(const struct regex *r, struct regex_scratch *s,
                                struct slice text, struct split_regex_cursor *c,
                                size_t *at, size_t *size, struct err *err);
/* The first match from byte `from` on that does not end where it looked:
 * *at and *size; *at is text.n if there is none. */
MUST_CHECK int split_regex_find(const struct regex *r, struct regex_scratch *s,
                                struct slice text, size_t from, size_t *at,
                                size_t *size, struct err *err);

#endif
