/*
 * dates_epoch.c - moments counted from 1970, under keys that name a moment
 *
 * A number alone is an order, an amount or an id more often than a moment, so
 * the key decides; what stands in sentences is not looked at. Seconds,
 * milliseconds and microseconds are told by their width.
 */
#include "dates/dates_priv.h"

#include <inttypes.h>
#include <string.h>

#define DAY_SECONDS INT64_C(86400)
#define FRACTION_MAX 9 /* digits */

/* Units of a second in a value that is such a number throughout; 0: none. */
static int64_t unit_of(struct slice v, size_t *whole)
{
    size_t sign = v.n && v.p[0] == '-', n = 0, fraction;

    while (sign + n < v.n && ascii_is_digit(v.p[sign + n]))
        n++;
    *whole = sign + n;
    if (n < 9 || v.p[sign] == '0')
        return 0;
    if (*whole < v.n) {
        fraction = v.n - *whole - 1;
        if (v.p[*whole] != '.' || !fraction || fraction > FRACTION_MAX ||
            ascii_digits(v, *whole + 1) != fraction)
            return 0;
    }
    switch (n) {
    case 9: return 1;
    case 10: return v.p[sign] < '5' ? 1 : 0; /* until 2128 */
    case 12: return sign ? 1000 : 0;         /* 202405151030 */
    case 13: return v.p[sign] < '5' ? 1000 : 0;
    case 16: return v.p[sign] < '5' ? 1000000 : 0;
    default: return 0;
    }
}

bool dates_key_tells(struct slice key)
{
    static const char *const words[] = {
        "_date_",     "_dob_",      "_birth_",    "_birthday_",  "_birthdate_",
        "_born_",     "_time_",     "_epoch_",    "_timestamp_", "_ts_",
        "_created_",  "_updated_",  "_modified_", "_expires_",   "_expiry_",
        "_iat_",      "_exp_",      "_nbf_",      "_since_",     "_until_",
        "_datetime_", "_deadline_", NULL
    };

    if (key.n > 4 && memcmp(key.p + key.n - 4, "_at_", 4) == 0)
        return true;
    for (size_t i = 0; words[i]; i++)
        if (memmem(key.p, key.n, words[i], strlen(words[i])))
            return true;
    return false;
}

/* "start", "end": of those moments alone that no telephone number is. */
static bool bounds_interval(struct slice v, struct slice key)
{
    static const char *const words[] = { "_start_",  "_begin_", "_end_",
                                         "_finish_", "_from_",  "_to_",
                                         NULL };

    if ((v.n != 10 && v.n != 13) || v.p[0] != '1')
        return false;
    for (size_t i = 0; words[i]; i++)
        if (slice_is(key, words[i]))
            return true;
    return false;
}

/* The day of a birth, not the number of its certificate. */
static bool names_birth(struct slice key)
{
    static const char *const births[] = { "_birth_",     "_dob_",  "_birthday_",
                                          "_birthdate_", "_born_", NULL };
    static const char *const ends[] = { "_date_",      "_day_", "_at_",
                                        "_timestamp_", "_ts_",  "_time_",
                                        "_epoch_",     "_ms_",  "_seconds_",
                                        NULL };
    bool birth = false;

    for (size_t i = 0; births[i]; i++) {
        size_t n = strlen(births[i]);

        if (key.n >= n && memcmp(key.p + key.n - n, births[i], n) == 0)
            return true;
        birth |= memmem(key.p, key.n, births[i], n) != NULL;
    }
    for (size_t i = 0; birth && ends[i]; i++) {
        size_t n = strlen(ends[i]);

        if (key.n >= n && memcmp(key.p + key.n - n, ends[i], n) == 0)
            return true;
    }
    return false;
}

/* Of widths that only the key of a birth makes moments: seconds of the years
 * about 1970, and milliseconds before September 2001. 19840723 and 198407231200
 * are days as they are written. */
static int64_t loose_unit_of(struct slice v)
{
    size_t sign = v.n && v.p[0] == '-', n = ascii_digits(v, sign);
    bool day = !sign && (n == 8 || n == 12) &&
               (memcmp(v.p, "18", 2) == 0 || memcmp(v.p, "19", 2) == 0 ||
                memcmp(v.p, "20", 2) == 0);

    if (!n || sign + n != v.n || v.p[sign] == '0' || day)
        return 0;
    if (n == 8 || (sign && n >= 5 && n < 9))
        return 1;
    return n == 11 || n == 12 ? 1000 : 0;
}

bool dates_is_epoch(struct slice text, struct slice key, size_t *start,
                    size_t *end)
{
    struct slice v = slice_trim(text);
    size_t whole;

    if (v.n < 5 || v.n > 17 + FRACTION_MAX)
        return false;
    if (unit_of(v, &whole) ? !dates_key_tells(key) && !bounds_interval(v, key)
                           : !loose_unit_of(v) || !names_birth(key))
        return false;
    *start = (size_t)(v.p - text.p);
    *end = *start + v.n;
    return true;
}

bool dates_shift_epoch(struct slice value, int days, bool loose,
                       struct buf *out)
{
    size_t whole;
    int64_t unit = loose ? loose_unit_of(value) : unit_of(value, &whole), v = 0;
    bool minus = value.n && value.p[0] == '-';

    if (!unit)
        return false;
    whole = loose ? value.n : whole;
    for (size_t i = minus; i < whole; i++)
        v = v * 10 + (value.p[i] - '0');
    v = (minus ? -v : v) + days * DAY_SECONDS * unit;
    buf_printf(out, "%" PRId64, v);
    buf_add(out, value.p + whole, value.n - whole);
    return true;
}
