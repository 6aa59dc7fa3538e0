/*
 * cli_private.h - what the files of this module share
 *
 * A command's own options and the common ones it takes become one array, and
 * every source of values (command line, environment, two files) goes through
 * one setter that knows which source ranks higher.
 */
#ifndef CLI_PRIVATE_H
#define CLI_PRIVATE_H

#include "cli/cli.h"

#define CONFIG_MAX_BYTES ((size_t)64 << 10)
#define CONFIG_MAX_LINE ((size_t)4 << 10)

/* Where a value came from; a higher one is never overwritten by a lower. */
enum cli_origin {
    FROM_DEFAULT,
    FROM_SYSTEM_FILE,
    FROM_USER_FILE,
    FROM_ENVIRONMENT,
    FROM_COMMAND_LINE,
};

/* Storage of the common options. */
struct cli_common_values {
    const char *store, *key_file, *private_file, *progress;
    bool json, quiet;
    int64_t threads, seed;
};

union cli_value {
    bool flag;
    int64_t whole;
    double real;
    const char *text;
    struct cli_list list;
};

/* What was, while the configuration is read again. */
struct cli_earlier {
    union cli_value *values;
    enum cli_origin *origins;
    char **texts;
    size_t texts_count;
};

struct cli_options {
    struct opt *opts; /* own, then common; the last has name NULL */
    enum cli_origin *origins;
    union cli_value *defaults;
    size_t count;
    char **texts; /* what values point to; freed by options_release */
    size_t texts_count, texts_cap;
    struct cli_earlier *earlier; /* NULL: nothing is read again now */
    struct cli_earlier *first;   /* of the beginning, if others came */
};
union cli_value options_value(const struct opt *opt);
void options_release_first(struct cli_options *o);

/* A command line taken apart. */
struct cli_line {
    char **operands; /* NULL-terminated; the words are argv's */
    int count;
};

/* Options of a command (own and common), values in *v. */
void options_init(struct cli_options *o, const struct command *c,
                  struct cli_common_values *v);
/* Strings and lists that options were set to end here. */
void options_release(struct cli_options *o);
struct opt *options_find(const struct cli_options *o, const char *name,
                         size_t n);
struct opt *options_letter(const struct cli_options *o, char letter);

/* Set one option from text. `where` names the source in the message:
 * "option --rank", "SLMCTL_RANK", "config:3: rank". text NULL for a flag on
 * the command line; elsewhere a flag wants true or false. */
MUST_CHECK int options_set(struct cli_options *o, struct opt *opt,
                           const char *text, enum cli_origin origin,
                           const char *where, struct err *err);
MUST_CHECK int options_parse(struct cli_options *o, int argc, char **argv,
                             struct cli_line *line, struct err *err);
/* ERR_INVALID names the first required option that no source has set. */
MUST_CHECK int options_required(const struct cli_options *o, struct err *err);

/* SLMCTL_<OPTION> for each option. */
MUST_CHECK int config_environment(struct cli_options *o, struct err *err);
/* One file; an absent one is fine. path names it in messages. `name` is the
 * command's full name ("model add"), for keys such as `model.add.as`. */
MUST_CHECK int config_file(struct cli_options *o, const char *name,
                           const struct command *const *commands,
                           const char *path, enum cli_origin origin,
                           struct err *err);
/* Environment, user's file, system's file. */
MUST_CHECK int config_read(struct cli_options *o, const char *name,
                           const struct command *const *commands,
                           struct err *err);
/* Paths from the environment; the caller frees. NULL: no home directory. */
char *config_user_path(void);
char *config_store_path(void);
char *config_key_path(void);

/* Not for people: in no list, help or completion. */
bool command_is_hidden(const struct command *c);

/* Help. */
void help_program(FILE *to, const struct command *const *commands);
void help_command(FILE *to, const struct command *c, const char *name);
void help_list_commands(FILE *to, const struct command *const *commands);
void help_list_options(FILE *to, const struct command *c);
/* The most similar name, NULL if none is close. */
const char *help_nearest(const char *word, const char *const *names,
                         size_t count);

/* Draws for cli->progress. */
enum cli_progress_mode { PROGRESS_AUTO, PROGRESS_ALWAYS, PROGRESS_NEVER };
void progress_begin(struct cli *cli, enum cli_progress_mode mode);
/* "[#####----]  50% ..." for one state, cut at `width` columns. */
void progress_format(struct buf *out, const char *phase, uint64_t done,
                     uint64_t total, const char *note, double elapsed_s,
                     size_t width);
/* Takes a drawn line away, so that a message can be printed. */
void progress_clear(void);

/* Append text with control characters and invalid UTF-8 as \xNN. */
void text_clean(struct buf *out, const char *text);
size_t text_width(const char *text, size_t n); /* terminal columns */

#endif
