/*
 * address.h - postal addresses, postcodes and coordinates in plain text
 *
 * An address is one find, from the house number or the street to the country:
 * flat, town, state and postcode belong to it where they follow, over commas
 * and line breaks. Words of the street's name decide (street, -gatan, rue,
 * utca ...), not a list of streets. Reads bytes, UTF-8 or not; knows no towns.
 * May use: base.
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include "base/buf.h"

enum address_class {
    ADDRESS_STREET,
    ADDRESS_POSTCODE,    /* one that stands by itself */
    ADDRESS_COORDINATES, /* latitude and longitude, or one by its key */
};

/* Called with bytes [start, end) of the text, in order and disjoint, for each
 * find. Tier 1: a house number with what only streets have, a box, a town with
 * state and postcode behind; a postcode of its country or behind "ZIP"; a pair
 * of coordinates with a sign or a word. 2: the shape of one, which needs
 * something that says so beside it (12 Lake View, Pagari 18). 3: less. A
 * negative answer ends the search and is what address_find returns. */
typedef int address_found_fn(void *ctx, enum address_class class, size_t start,
                             size_t end, int tier);

/* key: the words of the JSON key that the text is the value of, as in
 * "_postal_code_", or empty. */
int address_find(struct slice text, struct slice key, address_found_fn *found,
                 void *ctx);

#endif
