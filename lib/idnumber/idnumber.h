/*
 * idnumber.h - numbers with check digits: is one valid, and make one valid
 *
 * Cards, accounts, numbers that states, health services and makers of devices
 * give out, by name ("fr-nir"; "_" and "-" are the same). A validator answers
 * for a value as it stands in a text: what is neither letter nor digit is
 * skipped, letters may be of either case. No clock, no registers: a number can
 * be valid and have been given to nobody. slmctl-rules(5) lists the names.
 * May use: base.
 */
#ifndef IDNUMBER_H
#define IDNUMBER_H

#include "base/buf.h"

#define IDNUMBER_MAX 40 /* letters and digits of a value; longer is invalid */

/* True if the value has the shape, ranges and check digits of its kind. */
typedef bool idnumber_check_fn(struct slice value);
/* Changes letters to letters and digits to digits in value[0, n) until the
 * kind's validator holds; a first digit that was not 0 stays so. A value of no
 * shape of the kind is left alone. The same value gives the same result. */
typedef void idnumber_complete_fn(char *value, size_t n);

/* NULL if there is no such kind. */
idnumber_check_fn *idnumber_check(const char *name);
idnumber_complete_fn *idnumber_complete(const char *name);

size_t idnumber_count(void);
const char *idnumber_name(size_t kind); /* kind < idnumber_count() */

/* The digit that completes n digits to a Luhn number (ISO/IEC 7812-1). */
unsigned idnumber_luhn_digit(const char *digits, size_t n);
/* ISO 13616. The IBAN modulo 97 with its first four characters put last: 1 if
 * it is valid. Length of a country's IBANs by its two letters, of any case, 0
 * if it has none. Bytes of the value that are an IBAN of its country's length,
 * 0 if it is too short. */
unsigned idnumber_iban_mod97(struct slice iban);
size_t idnumber_iban_length(const char *country);
size_t idnumber_iban_fit(struct slice value);

#endif
