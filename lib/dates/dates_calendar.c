/*
 * dates_calendar.c - days of the Gregorian calendar as numbers
 *
 * Counts from 1 March of year 0, where leap days are the last of a cycle.
 */
#include "dates/dates_priv.h"

static bool is_leap(int y)
{
    return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

bool dates_valid(int y, int m, int d)
{
    static const signed char days[] = { 31, 29, 31, 30, 31, 30,
                                        31, 31, 30, 31, 30, 31 };

    if (m < 1 || m > 12 || d < 1 || d > days[m - 1])
        return false;
    return m != 2 || d < 29 || y == 0 || is_leap(y);
}

long dates_to_number(int y, int m, int d)
{
    int from_march = (m + 9) % 12, year = y - (m < 3);
    long day = (153L * from_march + 2) / 5 + d - 1;

    return 365L * year + year / 4 - year / 100 + year / 400 + day - 719468;
}

void dates_from_number(long n, int *y, int *m, int *d)
{
    long days = n + 719468, cycle = days / 146097, in = days % 146097;
    long year = (in - in / 1460 + in / 36524 - in / 146096) / 365;
    long day = in - (365 * year + year / 4 - year / 100);
    long from_march = (5 * day + 2) / 153;

    *d = (int)(day - (153 * from_march + 2) / 5 + 1);
    *m = (int)((from_march + 2) % 12 + 1);
    *y = (int)(cycle * 400 + year + (*m < 3));
}
