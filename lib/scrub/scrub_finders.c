/*
 * scrub_finders.c - the table of finders in C
 *
 * A family is one entry here and a file of its own; nothing else knows which
 * there are.
 */
#include "scrub/scrub_priv.h"

static const struct scrub_finder *const families[SCRUB_FINDERS + 1] = {
    &scrub_finder_dates, &scrub_finder_address, &scrub_finder_names,
    NULL, /* after the last */
};

const struct scrub_finder *scrub_finder_at(size_t i)
{
    return families[i];
}

int scrub_finder_class(struct slice name)
{
    for (size_t i = 0; families[i]; i++)
        for (size_t k = 0; k < SCRUB_CLASSES && families[i]->classes[k]; k++)
            if (slice_is(name, families[i]->classes[k]))
                return (int)(i * SCRUB_CLASSES + k);
    return -1;
}
