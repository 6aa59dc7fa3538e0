/*
 * idnumber_driver.c - validators and completers, a line at a time
 *
 * Reads "check KIND VALUE", answers 1 or 0; "complete KIND VALUE", answers
 * the value made valid; "list", answers the kinds. VALUE goes to the end of
 * the line. For idnumber_stdnum.py, which builds it.
 */
#include "idnumber/idnumber.h"

#include <stdio.h>
#include <string.h>

int main(void)
{
    static char line[4096];

    while (fgets(line, sizeof(line), stdin)) {
        char *kind = strchr(line, ' '), *value;

        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, "list") == 0) {
            for (size_t i = 0; i < idnumber_count(); i++)
                (void)printf("%s ", idnumber_name(i));
            (void)printf("\n");
            continue;
        }
        value = kind ? strchr(kind + 1, ' ') : NULL;
        if (!value)
            return 2;
        *kind++ = *value++ = '\0';
        if (strcmp(line, "complete") == 0) {
            idnumber_complete(kind)(value, strlen(value));
            (void)printf("%s\n", value);
        } else {
            (void)printf("%d\n", idnumber_check(kind)(slice_of(value)));
        }
    }
    return 0;
}
