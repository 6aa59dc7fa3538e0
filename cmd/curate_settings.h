/*
 * curate_settings.h - what the user decides about scrubbing: options, rules
 *
 * A command with CURATE_SETTINGS in its table takes --rules, --action, --keep,
 * --names, --strict, --scope and --vault.
 */
#ifndef CURATE_SETTINGS_H
#define CURATE_SETTINGS_H

#include "cli/cli.h"
#include "scrub/scrub.h"

struct curate_settings {
    const char *rules, *keep, *names, *scope, *vault; /* NULL: not given */
    struct cli_list actions;
    bool strict, no_strict;
};
#define CURATE_KEEP_MAX ((size_t)64 << 20)
extern struct curate_settings curate_settings;

#define CURATE_SETTINGS                                                        \
    { .name = "rules",                                                         \
      .kind = OPT_STRING,                                                      \
      .value = &curate_settings.rules,                                         \
      .arg = "DIR",                                                            \
      .help = "scrub by the rules of this directory too",                      \
      .complete = COMPLETE_DIR },                                              \
        { .name = "action",                                                    \
          .kind = OPT_LIST,                                                    \
          .value = &curate_settings.actions,                                   \
          .arg = "TYPE=ACTION",                                                \
          .help =                                                              \
              "surrogate (default), tag, mask, drop or keep finds of TYPE" },  \
        { .name = "keep",                                                      \
          .kind = OPT_STRING,                                                  \
          .value = &curate_settings.keep,                                      \
          .arg = "FILE",                                                       \
          .help = "values that are not replaced, one a line",                  \
          .complete = COMPLETE_FILE },                                         \
        { .name = "names",                                                     \
          .kind = OPT_CHOICE,                                                  \
          .value = &curate_settings.names,                                     \
          .arg = "LEVEL",                                                      \
          .help = "how far to go for names (default tagger)",                  \
          .choices = "off|rules|tagger|paranoid" },                            \
        { .name = "strict",                                                    \
          .kind = OPT_FLAG,                                                    \
          .value = &curate_settings.strict,                                    \
          .help = "replace also what has only the shape" },                    \
        { .name = "no-strict",                                                 \
          .kind = OPT_FLAG,                                                    \
          .value = &curate_settings.no_strict,                                 \
          .help = "take back the --strict of earlier runs" },                  \
        { .name = "vault",                                                     \
          .kind = OPT_STRING,                                                  \
          .value = &curate_settings.vault,                                     \
          .arg = "FILE",                                                       \
          .help = "keep there, encrypted, what surrogates stand for",          \
          .complete = COMPLETE_FILE },                                         \
    {                                                                          \
        .name = "scope", .kind = OPT_CHOICE, .value = &curate_settings.scope,  \
        .arg = "SCOPE",                                                        \
        .help = "where equal values look equal (default conversation)",        \
        .choices = "conversation|client|dataset"                               \
    }

/* Of --action: those before the last "none" are taken back. */
size_t curate_actions_from(const struct cli_list *actions);
/* The scope of --scope. */
enum scrub_scope curate_settings_scope(void);
/* The vault of --vault, to add to; NULL without it. */
MUST_CHECK int curate_open_vault(const struct crypto_key *key,
                                 struct scrub_vault **out, struct err *err);
/* --reveal: stdin to stdout; returns the exit code. */
int curate_reveal(struct cli *cli, bool plain_text);
/* The built-in rules and those of --rules, with these settings. */
MUST_CHECK int curate_load_rules(struct scrub_rules **out, struct err *err);

#endif
