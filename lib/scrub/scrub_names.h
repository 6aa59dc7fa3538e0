/*
 * scrub_names.h - what the files of the names' finder share
 *
 * Nothing but scrub_names*.c includes this file.
 */
#ifndef SCRUB_NAMES_H
#define SCRUB_NAMES_H

#include "base/buf.h"

#define SCRUB_NOTE_MIN 3 /* bytes of a word that is sought alone */
#define SCRUB_SHORT 2    /* of one that is, if it is a name and nothing else */

struct names;

/* A word that no text uses for anything but a name. */
bool scrub_name_tells(const struct names *m, struct slice word);

enum {
    SCRUB_FORM_ACCOUNT = 1, /* digits may follow it */
    SCRUB_FORM_GLUED = 2,   /* both words, long enough to be told from any other
                             * word's beginning, middle or end */
    SCRUB_FORM_ORDINARY = 4, /* a word of the language: no part of code */
    SCRUB_FORM_SHORT = 8,    /* two letters */
};
/* A form of a name, with what holds of it. Valid during the call. */
typedef void scrub_form_fn(void *ctx, struct slice form, unsigned how);
/* The forms that a person's name v takes elsewhere: if it is known for sure all
 * of them, else logins and names of files that hold two words of it which are
 * names to all lists. */
void scrub_name_forms(const struct names *m, struct slice v, bool sure,
                      scrub_form_fn *fn, void *ctx);

/* The word [start, end) is part of code: GRACE_PERIOD, t.Price, Price * 3,
 * SELECT Price FROM. */
bool scrub_is_code(struct slice t, size_t start, size_t end);

/* Bytes of "San Diego" in "San Diego County": others name the place alone. */
size_t scrub_place_bare(struct slice v);
/* "Mexico" of "Gulf of Mexico": the water's name is no place of anybody. */
bool scrub_is_water(struct slice t, size_t start);
/* "Corp" of "I. C. Corp" */
bool scrub_is_legal_form(struct slice v);
/* "CUST" of CUST-472731: capitals that tell which number it is. */
bool scrub_is_prefix(struct slice t, size_t start, size_t end);
/* Bytes of "SFO " in "SFO San Francisco": an airport's code stays. */
size_t scrub_code_before(struct slice v);

/* Letters of addresses of a record, the first ones. */
#define SCRUB_LOCALS 16
#define SCRUB_LOCAL_MAX 64
struct scrub_locals {
    size_t count;
    size_t n[SCRUB_LOCALS];
    char fold[SCRUB_LOCALS][SCRUB_LOCAL_MAX];
};
/* One of them is made of the two words that v is. */
bool scrub_locals_bear(const struct scrub_locals *l, struct slice v);

/* A name of two words of which an e-mail address in the text is made, or that a
 * handle is: "@irina.sokolova", no other words. */
struct scrub_mail_name {
    size_t start, end;
};
/* Those of a text, at most `max`; a name may come again. Letters of addresses
 * go to `locals`. */
size_t scrub_mail_names(const struct names *m, struct slice t,
                        struct scrub_locals *locals,
                        struct scrub_mail_name *out, size_t max);

#endif
