/*
 * scrub_names.h - what the files of the names' finder share
 *
 * Nothing but scrub_names*.c includes this file.
 */
#ifndef SCRUB_NAMES_H
#define SCRUB_NAMES_H

#include "base/buf.h"

#define SCRUB_NOTE_MIN 3 /* bytes of a word that is sought alone */

struct names;

/* A word that no text uses for anything but a name. */
bool scrub_name_tells(const struct names *m, struct slice word);

enum {
    SCRUB_FORM_ACCOUNT = 1, /* digits may follow it */
    SCRUB_FORM_GLUED = 2,   /* both words, long enough to be told from any other
                             * word's beginning, middle or end */
};
/* A form of a name, with what holds of it. Valid during the call. */
typedef void scrub_form_fn(void *ctx, struct slice form, unsigned how);
/* The forms that a person's name v takes elsewhere: if it is known for sure all
 * of them, else logins and names of files that hold two words of it which are
 * names to all lists. */
void scrub_name_forms(const struct names *m, struct slice v, bool sure,
                      scrub_form_fn *fn, void *ctx);

/* A name of two words of which an e-mail address in the text is made. */
struct scrub_mail_name {
    size_t start, end;
};
/* Those of a text, at most `max`; a name may come again. */
size_t scrub_mail_names(struct slice t, struct scrub_mail_name *out,
                        size_t max);

#endif
