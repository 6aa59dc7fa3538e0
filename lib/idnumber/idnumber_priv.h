/*
 * idnumber_priv.h - what the files of lib/idnumber share
 *
 * A kind is a line in idnumber_kinds.h: shape, ranges, and a rule in C for what
 * those cannot say. Nothing outside lib/idnumber may include this file.
 */
#ifndef IDNUMBER_PRIV_H
#define IDNUMBER_PRIV_H

#include "base/ascii.h"
#include "idnumber/idnumber.h"
#include "idnumber/idnumber_kinds.h"

/* A value without separators, in capitals. */
struct idnumber {
    char c[IDNUMBER_MAX + 1];
    uint16_t at[IDNUMBER_MAX]; /* where each stands in the value */
    size_t n;
    bool zero; /* the first digit may become 0 */
    struct slice value;
};

/* Called for values of the kind's shape and ranges only. */
typedef bool idnumber_rule_fn(const struct idnumber *x);

/* Puts right what a drawn value cannot have by chance. */
typedef void idnumber_mend_fn(struct idnumber *x);

static inline unsigned idnumber_digit(char c)
{
    return (unsigned)(c - '0');
}

/* Digits 0 to 9, letters 10 to 35. */
static inline unsigned idnumber_value36(char c)
{
    return ascii_is_digit(c) ? idnumber_digit(c) : (unsigned)(c - 'A' + 10);
}

unsigned idnumber_number(const char *c, size_t n); /* n <= 9 digits */
/* n digits modulo m, any n. */
unsigned idnumber_modulo(const char *c, size_t n, unsigned m);
bool idnumber_is_luhn(const char *c, size_t n);
bool idnumber_is_verhoeff(const char *c, size_t n);
/* ISO/IEC 7064, MOD 11,10: 1 for digits with their check digit. */
bool idnumber_is_mod11_10(const char *c, size_t n);
/* Sum of values (letters from 10) by weights 7 3 1, modulo 10 (ICAO 9303). */
unsigned idnumber_icao(const char *c, size_t n);
/* A day of the calendar; the year may be any. */
bool idnumber_is_day(unsigned year, unsigned month, unsigned day);
/* Two digits of the year: true if 19yy or 20yy has the day. */
bool idnumber_is_day2(unsigned yy, unsigned month, unsigned day);
/* The same for digits YYMMDD and DDMMYY. */
bool idnumber_is_yymmdd(const char *c);
bool idnumber_is_ddmmyy(const char *c);
/* Sum of digits by weights; may be negative. */
int idnumber_weigh(const char *c, const signed char *weight, size_t n);
#define WEIGH(c, ...)                                                          \
    idnumber_weigh(c, (const signed char[]){ __VA_ARGS__ },                    \
                   sizeof((const signed char[]){ __VA_ARGS__ }))
/* x mod m, 0 or more. */
static inline unsigned idnumber_mod(int x, int m)
{
    return (unsigned)((x % m + m) % m);
}
bool idnumber_is_country(const char *c); /* ISO 3166-1 alpha-2, and XK */

#define X(id, shape, ranges, rule, mend, ...)                                  \
    bool idnumber_##rule(const struct idnumber *x);
IDNUMBER_KINDS(X)
#undef X
void idnumber_mend_card(struct idnumber *x);
void idnumber_mend_cf(struct idnumber *x);
void idnumber_mend_dl(struct idnumber *x);
void idnumber_mend_iban(struct idnumber *x);
void idnumber_mend_idnr(struct idnumber *x);
void idnumber_mend_ird(struct idnumber *x);
void idnumber_mend_nif(struct idnumber *x);
void idnumber_mend_nir(struct idnumber *x);
void idnumber_mend_ogrn(struct idnumber *x);
void idnumber_mend_pnr(struct idnumber *x);
void idnumber_mend_rc(struct idnumber *x);
void idnumber_mend_rfc(struct idnumber *x);
void idnumber_mend_uscc(struct idnumber *x);

#endif
