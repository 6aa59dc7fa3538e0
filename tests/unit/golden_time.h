/*
 * golden_time.h - the time that a line of golden answers was made at
 */
#ifndef GOLDEN_TIME_H
#define GOLDEN_TIME_H

#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Its member "now"; without one, the first day of 1970. */
static inline void golden_time(const struct json *j, struct tm *tm)
{
    char *text = json_strdup(j, json_get(j, 0, "now"));

    *tm = (struct tm){ .tm_mday = 1, .tm_year = 70 };
    if (text &&
        sscanf(text, "%d-%d-%dT%d:%d:%d", &tm->tm_year, &tm->tm_mon,
               &tm->tm_mday, &tm->tm_hour, &tm->tm_min, &tm->tm_sec) == 6) {
        tm->tm_year -= 1900;
        tm->tm_mon -= 1;
        (void)timegm(tm);
    }
    free(text);
}

#endif
