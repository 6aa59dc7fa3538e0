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
#include "base/rng.h"

#include <stddef.h>
#include <stdint.h>

enum names_level {
    NAMES_TAGGER,   /* rules, and what the tagger believes */
    NAMES_OFF,      /* nothing */
    NAMES_RULES,    /* what says it all */
    NAMES_PARANOID, /* what any list knows, or is capitalised and no word */
};

enum names_class {
    NAMES_PERSON,
    NAMES_PLACE,
    NAMES_ORGANIZATION,
    NAMES_NATIONALITY,
    NAMES_TITLE,
    NAMES_CLASSES,
};

/* Bytes [start, end) of a text. Tier 1: acts; 2: needs the context of the
 * rule; 3: has the shape only. sure: by more than the tagger, so that other
 * places of the record that hold the same name are the same person. */
struct names_span {
    size_t start, end;
    enum names_class class;
    int tier;
    bool sure;
};

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
    NAMES_LIST_FOREIGN,      /* names_is only: of German, French ... */
};

struct names;
/* The lists and the model of the program, read-only. */
MUST_CHECK int names_open(struct names **out, struct err *err);
void names_close(struct names *m); /* NULL is fine */
/* Another number whenever a byte of the lists or of the model is another. */
uint64_t names_data_hash(void);

/* Whether a list has the word (or, of places, the phrase), whatever its case
 * and accents. */
bool names_is(const struct names *m, enum names_list list, struct slice word);
/* All lists that have it at once: bits by enum names_list. */
#define NAMES_BIT(list) (1u << (list))
unsigned names_in(const struct names *m, struct slice word);

/* An entry of one of the first six lists: the same for the same number, drawn
 * evenly; ASCII letters only. Valid as long as the program runs. */
struct slice names_draw(const struct names *m, enum names_list list,
                        uint64_t random);
/* The same of entries that are one word and begin with `initial` (a to z); of
 * all where there are none. */
struct slice names_draw_initial(const struct names *m, enum names_list list,
                                char initial, uint64_t random);
/* True if the folded word is one that names_draw gives of the list. */
bool names_draws(const struct names *m, enum names_list list,
                 struct slice folded);
/* As names_draw, in the script of `original` (Latin with accents, Cyrillic, Han
 * ...) where the list has one, else as names_draw. */
struct slice names_draw_like(const struct names *m, enum names_list list,
                             struct slice original, uint64_t random);

/* Whether values under the key (as names_find has it) may be names. */
bool names_key_tells(struct slice key);

/* One thread's memory. The model must outlive it. */
struct names_worker;
struct names_worker *names_worker_new(const struct names *m);
void names_worker_free(struct names_worker *w); /* NULL is fine */

/* What a text holds, sorted and disjoint; valid until the worker's next call.
 * Bytes that are no UTF-8 separate words. key: the JSON key that the text is
 * the value of, as "_customer_name_", or empty. */
void names_find(struct names_worker *w, enum names_level level,
                struct slice text, struct slice key,
                const struct names_span **found, size_t *count);

#endif
