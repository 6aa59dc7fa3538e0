/*
 * split_pattern.h - the known splitting patterns, written by hand
 *
 * A pattern of a tokenizer.json is looked up by its exact text; each known
 * one has a function that returns the length of the match at the start of a
 * text. All of them match at every position, so a text is a sequence of
 * matches.
 */
#ifndef SPLIT_PATTERN_H
#define SPLIT_PATTERN_H

#include "base/buf.h"
#include "tokenizer/unicode_class.h"

/* p: n > 0 bytes of valid UTF-8. Returns 1..n. */
typedef size_t split_match_fn(const struct unicode_map *m, const char *p,
                              size_t n);

/* NULL if the pattern is not known. */
split_match_fn *split_pattern_find(struct slice regex);
size_t split_match_gpt2(const struct unicode_map *m, const char *p, size_t n);
/* One digit, or a run without digits. */
size_t split_match_digit(const struct unicode_map *m, const char *p, size_t n);
/* A run of digits, or a run without. */
size_t split_match_digits(const struct unicode_map *m, const char *p, size_t n);

#endif
