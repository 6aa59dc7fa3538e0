/*
 * regex.h - compiled patterns with limits
 *
 * The one home of PCRE2. Compiled patterns are read-only and shared between
 * threads; each thread brings its own scratch. PCRE2's own limits allow
 * seconds of backtracking and 20 GB of heap, so ours are low, and a match that
 * reaches one is an error and never "no match": who scrubs with a pattern
 * must not take an unanswered question for a no.
 * May use: base.
 */
#ifndef REGEX_H
#define REGEX_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#define REGEX_MATCH_LIMIT 200000u    /* backtracking steps per start point */
#define REGEX_DEPTH_LIMIT 2000u      /* nested backtracking, interpreter */
#define REGEX_HEAP_LIMIT_KIB 16384u  /* heap of the interpreter */
#define REGEX_STACK_MAX (512u << 10) /* JIT stack of a scratch */
#define REGEX_GROUPS 16              /* capture groups kept, whole match too */
#define REGEX_MAX_PATTERN (64u << 10)

enum regex_flag {
    REGEX_UTF = 1,      /* code points; invalid UTF-8 in a subject never
                           matches and is no error */
    REGEX_UCP = 2,      /* \w, \d, \s and (?i) by Unicode properties */
    REGEX_CASELESS = 4, /* as (?i) */
    REGEX_ANCHORED = 8, /* matches begin at `from` or not at all */
    REGEX_NO_JIT = 16,  /* interpreter only; for tests */
    REGEX_UNTIL = 32,   /* may be asked with regex_find_until */
};

struct regex;         /* shared, read-only */
struct regex_scratch; /* one thread at a time */

/* ERR_FORMAT names the offset in the pattern and what is wrong there. Without
 * JIT support the interpreter answers, with the same results. */
MUST_CHECK int regex_compile(struct slice pattern, unsigned flags,
                             struct regex **out, struct err *err);
void regex_free(struct regex *r); /* NULL is fine */

/* The bytes that a match can begin with, a bit each. False: not known, or
 * matches may be empty. */
bool regex_first(const struct regex *r, uint8_t map[32]);

struct regex_scratch *regex_scratch_new(void);
void regex_scratch_free(struct regex_scratch *s); /* NULL is fine */

struct regex_span {
    size_t start, end; /* SIZE_MAX, SIZE_MAX: group did not take part */
};
struct regex_match {
    struct regex_span group[REGEX_GROUPS]; /* 0 is the whole match */
    unsigned count;                        /* groups filled */
};

/* First match at or after byte `from` of the subject (lookbehind may see the
 * bytes before it). 1: found; 0: there is none; negative: a limit was reached
 * (ERR_LIMIT) or the matcher failed, and nothing is known. */
MUST_CHECK int regex_find(const struct regex *r, struct regex_scratch *s,
                          struct slice subject, size_t from,
                          struct regex_match *m, struct err *err);

/* The same, of a match that begins at byte `until` at the latest. */
MUST_CHECK int regex_find_until(const struct regex *r, struct regex_scratch *s,
                                struct slice subject, size_t from, size_t until,
                                struct regex_match *m, struct err *err);

#endif
