/*
 * dates_priv.h - what the files of lib/dates share
 *
 * A date is its fields and where they stand. Nothing outside lib/dates may
 * include this file.
 */
#ifndef DATES_PRIV_H
#define DATES_PRIV_H

#include "base/ascii.h"
#include "dates/dates.h"

#define DATES_YEAR_MIN 1000
#define DATES_YEAR_MAX 2999
#define DATES_WORD_MAX 24 /* bytes of the longest word worth looking up */

struct dates_field {
    size_t at, n; /* n 0: not there */
};

enum dates_kind {
    DATES_NUMERIC, /* 2024-05-15, 15.5.24, 5/15/2024 */
    DATES_COMPACT, /* 20240515 */
    DATES_WORDS,   /* 15 May 2024 */
    DATES_ASIAN,   /* 2024 nen 5 gatsu 15 nichi, in their signs */
};

struct dates_parts {
    enum dates_kind kind;
    size_t start, end;
    struct dates_field year, month, day, weekday, ordinal;
    struct dates_field last;         /* the other day of "May 15-17" */
    struct dates_field last_ordinal; /* and its "th" */
    int y, m, d;                     /* 0: not there */
    int month_row, weekday_row;
    bool timed;     /* a time of day follows */
    bool ambiguous; /* day and month could change places */
    char separator; /* between numbers */
};

/* A row of words: the months or weekdays of a language in one form. */
struct dates_word {
    int row;   /* -1: none */
    int index; /* 1 to 12; 1 Monday to 7 Sunday */
    size_t n;  /* bytes of it */
};

/* Bytes of the word (letters, bytes above 127) at `at`. */
size_t dates_word_length(struct slice t, size_t at);
/* The byte where the word that ends before `end` begins. */
size_t dates_word_start(struct slice t, size_t end);
/* What stands between day and month tells languages apart. */
enum dates_beside { DATES_BESIDE_BLANK, DATES_BESIDE_POINT, DATES_BESIDE_OF };
struct dates_word dates_month(const char *p, size_t n,
                              enum dates_beside beside);
/* IV, in capitals. */
struct dates_word dates_month_roman(const char *p, size_t n);
struct dates_word dates_weekday(const char *p, size_t n);
/* Word `index` of the row in the case of the old one. */
void dates_word_put(bool weekday, int row, int index, struct slice old,
                    struct buf *out);
/* True if the row belongs to no language but English. */
bool dates_month_english(int row);
/* The row with the short forms if "May" was taken for the long one. */
int dates_month_shorter(int row, struct slice word);
/* True if the row's words are short forms. */
bool dates_month_short(int row);

bool dates_valid(int y, int m, int d);     /* y 0: of any year */
long dates_to_number(int y, int m, int d); /* days since 1970-01-01 */
void dates_from_number(long n, int *y, int *m, int *d);

/* The date that begins at byte `at`; false if there is none. */
bool dates_parse(struct slice t, size_t at, struct dates_parts *out);
/* Where the time of day that begins at `at` ends; `at` if there is none. */
size_t dates_time_end(struct slice t, size_t at);

bool dates_is_letter(char c); /* or a byte above 127 */

/* Is the text, blanks aside, a moment counted from 1970, under such a key? */
bool dates_is_epoch(struct slice text, struct slice key, size_t *start,
                    size_t *end);
/* That moment moved, appended; false if value is none. */
/* loose: as only the key of a birth makes it one. */
bool dates_shift_epoch(struct slice value, int days, bool loose,
                       struct buf *out);

/* Ages: the number at [at, end) or the word, with what stands beside it. */
int dates_find_ages(struct slice t, struct slice key, size_t at, size_t end,
                    dates_found_fn *found, void *ctx);
/* Ages over 89 in English words; the rest of the text is not looked at. */
int dates_find_old_words(struct slice t, dates_found_fn *found, void *ctx);

#endif
