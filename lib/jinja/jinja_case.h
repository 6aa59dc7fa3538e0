/* jinja_case.h - the generated tables that jinja_case.c reads, and the search
 * that they share */
#ifndef JINJA_CASE_H
#define JINJA_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jinja_range {
    uint32_t first, last;
};

/* Whether one of the n ranges, which ascend, has c. */
bool jinja_within(const struct jinja_range *t, size_t n, uint32_t c);

/* first, first + step, ... last: another case lies `distance` away. */
struct jinja_case_run {
    uint32_t first, last;
    uint8_t step;
    int32_t distance;
};

/* One character that becomes several; kind is an enum letter_case. */
struct jinja_case_special {
    uint32_t c;
    uint8_t kind;
    uint32_t to[3];
};

/* The title case only where it is not the upper case. */
extern const struct jinja_case_run jinja_case_upper[], jinja_case_lower[],
    jinja_case_title[];
extern const size_t jinja_case_upper_count, jinja_case_lower_count,
    jinja_case_title_count;
extern const struct jinja_case_special jinja_case_specials[];
extern const size_t jinja_case_specials_count;
/* What casefold gives where it is not the lower case; kind is 0. */
extern const struct jinja_case_special jinja_case_folds[];
extern const size_t jinja_case_folds_count;

#endif
