/*
 * curate_choices.h - what the user decides about examples: options, settings
 *
 * Each lasts: a later run without the option goes on as before. Shares of the
 * splits are told apart from names of splits by the command.
 */
#ifndef CURATE_CHOICES_H
#define CURATE_CHOICES_H

#include "cli/cli.h"
#include "curate/curate.h"
#include "store/store.h"

struct curate_choices {
    /* NULL: as before */
    const char *drop, *contradictory, *group_by, *split_by;
    struct cli_list require;
    double similarity; /* 0: as before */
    const char *shares;
};
extern struct curate_choices curate_choices;

#define CURATE_CHOICES                                                         \
    { .name = "drop",                                                          \
      .kind = OPT_STRING,                                                      \
      .value = &curate_choices.drop,                                           \
      .arg = "LIST",                                                           \
      .help = "faults that drop a call, as changes: refusal,-long" },          \
        { .name = "require",                                                   \
          .kind = OPT_LIST,                                                    \
          .value = &curate_choices.require,                                    \
          .arg = "CONDITION",                                                  \
          .help = "keep what has such an outcome, as outcome.reward>0" },      \
        { .name = "contradictory",                                             \
          .kind = OPT_CHOICE,                                                  \
          .value = &curate_choices.contradictory,                              \
          .arg = "WHICH",                                                      \
          .help = "of different answers to one input (default keep)",          \
          .choices = "keep|majority|latest|drop" },                            \
        { .name = "similarity",                                                \
          .kind = OPT_DOUBLE,                                                  \
          .value = &curate_choices.similarity,                                 \
          .arg = "S",                                                          \
          .help = "from where on texts are near-duplicates (default 0.8)",     \
          .min = 0.5,                                                          \
          .max = 1 },                                                          \
        { .name = "group-by",                                                  \
          .kind = OPT_CHOICE,                                                  \
          .value = &curate_choices.group_by,                                   \
          .arg = "WHAT",                                                       \
          .help = "what no split divides (default conversation)",              \
          .choices = "conversation|client" },                                  \
    {                                                                          \
        .name = "split-by", .kind = OPT_CHOICE,                                \
        .value = &curate_choices.split_by, .arg = "WHAT",                      \
        .help = "by time the latest are tested on (default task)",             \
        .choices = "task|time"                                                 \
    }

/* Fills o from the options, else from what the store remembers, else with the
 * defaults, and lets the store remember what was given. What o points to lasts
 * until curate_choices_release(o). */
MUST_CHECK int curate_choices_settle(struct store *s, struct curate_options *o,
                                     struct err *err);
void curate_choices_release(struct curate_options *o);

#endif
