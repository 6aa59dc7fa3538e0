/*
 * names.h - persons, places and organisations in plain text
 *
 * Word lists (first names, surnames, places, common words ...) and a linear
 * model are part of the program and are read where they lie; a model is shared
 * by threads. Evidence comes in two kinds: what says it all (a form of address,
 * the name of a field, a first name beside a surname), and what a tagger makes
 * of a word and its neighbours (an averaged perceptron, Collins 2002). Only
 * words that could be names are looked at twice. No neural network, no memory
 * between texts, and no guess about who a name belongs to.
 * May use: base assets.
 */
#ifndef NAMES_H
#define NAMES_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Lists to ask and to draw from. */
enum names_list {
    NAMES_LIST_FIRST_FEMALE,
    NAMES_LIST_FIRST_MALE,
    NAMES_LIST_LAST,
    NAMES_LIST_CITY,
    NAMES_LIST_COUNTRY,
    NAMES_LIST_ORGANIZATION, /* invented ones; names_is: heads ("Inc") */
    NAMES_LIST_FIRST,        /* names_is only: of any gender */
    NAMES_LIST_PLACE,        /* names_is only: any place, phrases too */
    NAMES_LIST_NATIONALITY,  /* names_is only */
    NAMES_LIST_TITLE,        /* names_is only: "Mr", "Dr." */
    NAMES_LIST_COMMON,       /* names_is only: a common English word */
};

struct names;
/* The lists and the model of the program, read-only. */
MUST_CHECK int names_open(struct names **out, struct err *err);
void names_close(struct names *m); /* NULL is fine */

/* Whether a list has the word (or, of places, the phrase), whatever its case
 * and accents. */
bool names_is(const struct names *m, enum names_list list, struct slice word);

/* An entry of one of the first six lists: the same for the same number, drawn
 * evenly; ASCII letters only. Valid as long as the program runs. */
struct slice names_draw(const struct names *m, enum names_list list,
                        uint64_t random);
/* The same in the script of `original` (Latin with accents, Cyrillic, Han ...)
 * where the list has one, else as names_draw. */
struct slice names_draw_like(const struct names *m, enum names_list list,
                             struct slice original, uint64_t random);

#endif
