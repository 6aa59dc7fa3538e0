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
/* Pairs of words that wait for a text in which forms of both may stand: most
 * never meet one. Texts are read without their case, so this is asked too often
 * rather than not at all. */
#define SCRUB_LATE_MAX 12
struct scrub_late {
    struct {
        struct slice first, last; /* in text */
        struct slice own;         /* form that is known; may be empty */
    } item[SCRUB_LATE_MAX];
    size_t count, used;
    char text[SCRUB_LATE_MAX * 48];
};
/* The name v and two of its words. noted: v itself is known. False: its forms
 * must be told now. */
bool scrub_late_add(struct scrub_late *l, struct slice v, struct slice first,
                    struct slice last, bool noted);
/* Whether a form of a pair, but for a known one, may begin at `at`. */
bool scrub_late_stands(const struct scrub_late *l, struct slice t, size_t at);
/* Whether one may stand anywhere within t. */
bool scrub_late_within(const struct scrub_late *l, struct slice t);
/* Whether both words may stand in t without anything between them. */
bool scrub_late_glued(const struct scrub_late *l, struct slice t);
/* The bytes that forms of pairs begin with, two by two. */
void scrub_late_pairs(const struct scrub_late *l,
                      void (*fn)(void *ctx, unsigned pair), void *ctx);

/* The forms that a person's name v takes elsewhere: if it is known for sure all
 * of them, else logins and names of files that hold two words of it which are
 * names to all lists. late: where v is sure and noted, forms that hold two of
 * its words may be left to scrub_name_pair_forms; may be NULL. */
void scrub_name_forms(const struct names *m, struct slice v, bool sure,
                      struct scrub_late *late, scrub_form_fn *fn, void *ctx);
void scrub_name_pair_forms(const struct names *m, struct slice first,
                           struct slice last, scrub_form_fn *fn, void *ctx);

/* No letter stands beside [start, end), or the script joins words. */
bool scrub_name_is_whole(struct slice t, size_t start, size_t end);
/* In a document of JSON, where "\n" and the like stand before a word. */
bool scrub_name_is_whole_raw(struct slice t, size_t start, size_t end);
/* The word [start, end) is part of code: GRACE_PERIOD, t.Price, Price * 3,
 * SELECT Price FROM. */
bool scrub_is_code(struct slice t, size_t start, size_t end);
/* max, len, jan: names of people, and words that programs are full of. */
bool scrub_is_code_word(struct slice word);
/* The word is a month, by the number beside it. */
bool scrub_is_of_date(struct slice t, size_t start, size_t end);

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

/* First and last names of fields that follow one another. */
#define SCRUB_PAIR_WORD 40
struct scrub_pair_word {
    size_t n;
    char text[SCRUB_PAIR_WORD];
};
struct scrub_pairing {
    struct scrub_pair_word first, last;
};
typedef void scrub_pair_fn(void *ctx, struct slice whole);
/* Finds of a text under its key: calls fn for "First Last" of two fields. */
struct names_span;
void scrub_pairing_see(struct scrub_pairing *p, struct slice text,
                       struct slice key, const struct names_span *s,
                       size_t count, scrub_pair_fn *fn, void *ctx);

/* [start, stop) lies within an enumeration of labels. */
bool scrub_labels_hold(struct slice t, size_t start, size_t stop);

#endif
