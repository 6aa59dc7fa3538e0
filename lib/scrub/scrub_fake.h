/*
 * scrub_fake.h - what the files that draw surrogates share
 *
 * A surrogate is a function of key, scope, kind and value; only where two
 * values of one record would meet does the order in which the record names
 * them decide. Nothing outside lib/scrub may include this file.
 */
#ifndef SCRUB_FAKE_H
#define SCRUB_FAKE_H

#include "names/names.h"
#include "scrub/scrub_priv.h"

#define SCRUB_FAKE_DIGITS 64
#define SCRUB_FAKE_TRIES 16 /* draws before a clash is accepted */

scrub_fake_fn scrub_fake_email, scrub_fake_spelt, scrub_fake_domain,
    scrub_fake_url;
scrub_fake_fn scrub_fake_ipv4, scrub_fake_ipv6, scrub_fake_mac;
scrub_fake_fn scrub_fake_phone, scrub_fake_card, scrub_fake_iban;
scrub_fake_fn scrub_fake_ssn, scrub_fake_zip, scrub_fake_coordinates;
scrub_fake_fn scrub_fake_person, scrub_fake_organization, scrub_fake_place;
scrub_fake_fn scrub_fake_nationality, scrub_fake_address;
scrub_fake_fn scrub_fake_date, scrub_fake_age;
scrub_fake_fn scrub_fake_shape, scrub_fake_id, scrub_fake_same;
scrub_fake_fn scrub_fake_extension; /* digits; "ext." stays */
scrub_fake_fn scrub_fake_number, scrub_fake_ending;
/* "12", "IL", "415": as it is in what stands for an address or a telephone of
 * the record. */
scrub_fake_fn scrub_fake_part;
/* The record holds such an address or telephone. */
bool scrub_part_is(const struct scrub_worker *w, struct slice v);

scrub_fake_fn scrub_fake_jwt, scrub_fake_ethereum;
scrub_norm_fn scrub_norm_digits, scrub_norm_lower, scrub_norm_alnum;
scrub_norm_fn scrub_norm_exact, scrub_norm_email, scrub_norm_spelt,
    scrub_norm_fold;
scrub_norm_fn scrub_norm_organization, scrub_norm_number;
/* Bytes of what says which kind of number it is, "CUST-". */
size_t scrub_number_prefix(struct slice v);
/* "support", "info": nobody's mailbox; in lower case. */
bool scrub_is_office(struct slice local);
/* A name that no machine may have (RFC 2606); in lower case. */
bool scrub_is_reserved_host(struct slice host);
size_t scrub_email_stem(struct slice v);

/* A generator for one decision: depends on the worker's key and scope, what
 * is decided, the text, and on `again` for another try. */
void scrub_draw(struct scrub_worker *w, const char *what, struct slice text,
                unsigned again, struct rng *r);

/* Of n things, at most SCRUB_RING_MAX, what stands for each: the next one in a
 * ring that key and scope decide. what: one of the program's texts, told by
 * its place. Valid until the next call. */
#define SCRUB_RING_MAX 80
const uint8_t *scrub_ring(struct scrub_worker *w, const char *what, size_t n);

char scrub_draw_digit(struct rng *r);
/* No leading zero where the value had none: a JSON number must stay one. */
char scrub_draw_first(struct rng *r, char was);
char scrub_draw_letter(struct rng *r, bool upper);
/* Consonants and vowels in turn. */
char scrub_draw_syllable(struct rng *r, size_t at);
/* A letter or digit within its kind; anything else as it is. */
char scrub_draw_like(struct rng *r, char c);

size_t scrub_digits_of(struct slice v, char out[SCRUB_FAKE_DIGITS]);
/* The value with its digits taken from d. */
void scrub_digits_lay(struct slice v, const char *d, size_t n, struct buf *out);

/* Letters without case and accents, digits; the rest goes. Of other scripts
 * the letters as they are. */
void scrub_fold(struct slice v, struct buf *out);
/* The same into memory with that much room; returns its length. */
#define SCRUB_FOLD_ROOM(n) (2 * (n) + 4)
size_t scrub_fold_into(struct slice v, char *to);

/* A folded value that is needed for a moment; most are short. */
#define SCRUB_FOLDED_SHORT 64
struct scrub_folded {
    struct slice text;
    struct buf large;
    char small[SCRUB_FOLD_ROOM(SCRUB_FOLDED_SHORT)];
};
void scrub_folded_init(struct scrub_folded *f, struct slice v);
void scrub_folded_release(struct scrub_folded *f);

/* What a word tells (scrub_fake_words.c). */
enum {
    SCRUB_WORD_LEGAL = 1 << 0, /* "Inc" */
    SCRUB_WORD_KIND = 1 << 1,  /* "University" */
    SCRUB_WORD_SMALL = 1 << 2, /* "of" */
    SCRUB_WORD_STREET = 1 << 3,
    SCRUB_WORD_TITLE = 1 << 4,    /* beside a person's name */
    SCRUB_WORD_PARTICLE = 1 << 5, /* "van" inside it */
};
unsigned scrub_word_kinds(struct slice folded);
unsigned scrub_word_kinds_of(struct slice word); /* not folded yet */
bool scrub_is_one_of(struct slice v, const char *const *list, size_t n);
/* Lower case of one code point, without its accent where `bare`. */
uint32_t scrub_fold_letter(uint32_t cp, bool bare);
bool scrub_is_letter(uint32_t cp); /* of any script */

/* Letters and digits drawn within their kind and script. */
void scrub_shape_draw(struct rng *r, struct slice v, struct buf *out);

/* A word of a person's name, folded: its surrogate in the form "Miller".
 * Valid until the next call. */
struct slice scrub_name_part(struct scrub_worker *w, struct slice folded);
/* The letter that stands for an initial. */
char scrub_name_initial(struct scrub_worker *w, char letter);
/* In plain letters, for logins, addresses and files; cased as `was`. */
void scrub_name_put_plain(struct scrub_worker *w, struct slice was,
                          struct slice folded, struct buf *out);
/* "jsmith", "johnSmith", "SmithJ", of ASCII letters: what stands for it, each
 * name by its surrogate, appended; a name is what `known` says of the folded
 * word. out NULL: only tells. False: it is none. */
bool scrub_name_glued(struct scrub_worker *w, struct slice was,
                      bool (*known)(struct scrub_worker *w,
                                    struct slice folded),
                      struct buf *out);
/* "john_smith99": all its words are names of the record. */
bool scrub_name_is_login(struct scrub_worker *w, struct slice v);
/* True if lists or names of this record hold the folded word; noted: of this
 * record only. */
bool scrub_name_known(struct scrub_worker *w, struct slice folded);
bool scrub_name_noted(struct scrub_worker *w, struct slice folded);
/* Words of a found name, so that e-mail addresses can be told to be theirs. */
void scrub_name_note(struct scrub_worker *w, struct slice value);

/* What German writes for the letter where there is only ASCII; NULL: itself. */
const char *scrub_spelt_out(uint32_t cp);

/* s, in upper or lower case throughout if `was` is. */
void scrub_cased_add(struct slice was, struct slice s, struct buf *out);
struct scrub_parts *scrub_parts_new(void);
void scrub_parts_free(struct scrub_parts *p); /* NULL is fine */
void scrub_parts_begin(struct scrub_parts *p, bool again);

/* A US state by name or abbreviation: the one that stands for it, in the form
 * given. False: it is none. */
bool scrub_state_draw(struct scrub_worker *w, struct slice v, struct buf *out);
/* Digits of a US ZIP code: those of a place in the state that stands for
 * theirs. */
void scrub_state_zip(struct scrub_worker *w, char d[5]);
/* "Acme Corp." */
bool scrub_has_legal_form(struct slice v);
/* A settlement's or country's name. */
void scrub_place_draw(struct scrub_worker *w, struct slice v, struct buf *out);
/* The numbers of coordinates that tell a place, with and without last zeros. */
void scrub_degrees_each(struct slice v,
                        void (*found)(void *ctx, struct slice number),
                        void *ctx);
/* Days by which dates of the scope are shifted: weeks, never none. */
int scrub_date_shift(struct scrub_worker *w);
/* A found date, before any of the record is shifted. */
void scrub_date_note(struct scrub_worker *w, struct slice value);
/* The host of a page's address. */
struct slice scrub_url_host(struct slice v);
/* A host name of any form. */
void scrub_host_draw(struct scrub_worker *w, struct slice v, struct buf *out);

/* What a record holds, and what stands for it. */
struct scrub_draws *scrub_draws_new(void);
void scrub_draws_free(struct scrub_draws *d); /* NULL is fine */
struct scrub_faked *scrub_faked_new(void);
void scrub_faked_free(struct scrub_faked *f); /* NULL is fine */
/* A new record, or (pass 2) the same again: what it holds stays known. */
void scrub_faked_begin(struct scrub_faked *f, bool again);
/* A value of the record, before or while surrogates are drawn. */
void scrub_faked_hold(struct scrub_faked *f, struct slice value);
/* True if a surrogate that was drawn is a value found later: draw again. */
bool scrub_faked_late(const struct scrub_faked *f);
void scrub_faked_late_set(struct scrub_faked *f);
/* False if owner may not have the surrogate: it is a value of the record, or
 * somebody else's. */
bool scrub_faked_take(struct scrub_faked *f, struct slice surrogate,
                      struct slice owner);

#endif
