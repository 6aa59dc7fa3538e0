/*
 * cli.h - one table per command drives parsing, -h, completion and the
 * manual check
 *
 * Options and operands mix; `--opt=value` and `--opt value` both work; no
 * abbreviations; `--` ends options; a flag has no value. Values come, in this
 * order, from the command line, SLMCTL_<OPTION> (upper case, - as _), the
 * user's configuration file, the system's. cmd/ alone reads the environment;
 * it does so through this module.
 */
#ifndef CLI_H
#define CLI_H

#include "base/buf.h"
#include "base/err.h"
#include "base/progress.h"

#include <stdint.h>
#include <stdio.h>

/* design: exit codes. 128+n: ended by signal n (re-raised). */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_PARTLY = 3,
    EXIT_GATE = 10,
    EXIT_UNDECIDED = 11,
    EXIT_OUTPUT = 74,
    EXIT_BUSY = 75,
};

enum opt_kind {
    OPT_FLAG,   /* bool *: set to true */
    OPT_INT,    /* int64_t *: decimal, min..max checked if min < max */
    OPT_BYTES,  /* int64_t *: 500, 64K, 2M, 3G (powers of 1024) */
    OPT_DOUBLE, /* double * */
    OPT_STRING, /* const char ** */
    OPT_CHOICE, /* const char **: one of `choices`, "a|b|c" */
    OPT_LIST,   /* struct cli_list *: may be given again and again */
};

struct cli_list {
    const char *
        *items; /* owned by the cli; starts empty; valid while run runs */
    size_t count;
};

enum opt_complete { /* what completion offers for the value */
                    COMPLETE_NONE,
                    COMPLETE_FILE,
                    COMPLETE_DIR,
                    COMPLETE_TASK,
                    COMPLETE_MODEL,
};

struct opt {
    char letter;      /* 0 if there is no short form */
    const char *name; /* long form without dashes; NULL ends the table */
    enum opt_kind kind;
    void *value;      /* static variable of the command, holds the default */
    const char *arg;  /* placeholder in help, NULL for flags */
    const char *help; /* lower case, no full stop */
    const char *choices;
    double min, max;
    enum opt_complete complete;
    bool required;
    bool may_be_empty; /* a text without characters means something */
};

#define OPT_END                                                                \
    {                                                                          \
        .name = NULL                                                           \
    }

/* Options that many commands share; a command names those it takes and must
 * not list them again. --help always works. */
enum cli_common {
    CLI_STORE = 1,    /* --store DIR, --key-file FILE */
    CLI_JSON = 2,     /* --json */
    CLI_QUIET = 4,    /* -q, --quiet */
    CLI_PROGRESS = 8, /* --progress auto|always|never */
    CLI_THREADS = 16, /* --threads N, 0 = all CPUs of this process */
    CLI_SEED = 32,    /* --seed N, default 1 */
    CLI_PRIVATE = 64, /* --private-key FILE */
};

struct cli;

struct command {
    const char *name;     /* one that begins with '-' is hidden: never listed */
    const char *summary;  /* one line; also the .Nd of the manual page */
    const char *operands; /* "[FILE...]"; "" if it takes none */
    int min_operands, max_operands; /* max -1: any number */
    const struct opt *options;      /* may be NULL */
    unsigned common;                /* enum cli_common */
    enum opt_complete complete;     /* what operands are */
    /* Either run, or verbs (NULL-terminated) for `slmctl model add`. */
    int (*run)(struct cli *cli, int argc, char **argv); /* operands only */
    const struct command *const *verbs;
};

struct cli {
    const struct command *command;
    const struct command *const *commands; /* the whole program's */
    const char *name;                      /* "collect", "model add" */
    const char *store; /* directory: --store, SLMCTL_STORE, config, XDG */
    /* --key-file, its variable or config; else a credential of systemd, else
     * below the home directory; NULL: there is none. */
    const char *key_file;
    bool key_is_named;        /* the first of these */
    const char *private_file; /* --private-key; NULL: not given */
    bool json, quiet;
    bool tty_out, tty_err, colour; /* NO_COLOR, TERM=dumb respected */
    unsigned threads;
    uint64_t seed;
    struct progress progress;    /* draws on stderr when it is a terminal */
    struct cli_options *options; /* cli_is_typed's; while run runs */
};

/* Prints "slmctl NAME: message" on stderr (and with --json one JSON object
 * {"type":"error","code":N,"message":...}), and returns the exit code for
 * err->code: BUSY 75, OUTPUT 74, INVALID 2, INTERRUPTED 128 + the signal
 * (which cli_main raises again once the command has cleaned up), others 1.
 * Control characters in the message are escaped. */
int cli_fail(struct cli *cli, const struct err *err);
/* A usage error found by the command itself; returns EXIT_USAGE. */
int cli_usage(struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The option stands on the command line: what the configuration or the
 * environment set for all runs may be idle in this one. */
bool cli_is_typed(const struct cli *cli, const char *option);
/* Environment and files are read again: the command's variables have the new
 * values, those of its command line stay. end takes them for good, or puts the
 * old ones back; what they point to lives until another reading is taken. On
 * failure nothing has changed, and end is not called. One thread at a time. */
MUST_CHECK int cli_reread_begin(struct cli *cli, struct err *err);
void cli_reread_end(struct cli *cli, bool keep);
/* After begin: the option is not what it was when the command began. */
bool cli_has_changed(const struct cli *cli, const char *option);
/* A line for people on stderr: silent with --quiet. */
void cli_note(struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A warning on stderr, also with --quiet. */
void cli_warn(struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Ends the progress line, if one was drawn. */
void cli_progress_end(struct cli *cli);
/* Data on stdout, checked; returns EXIT_DONE, or EXIT_OUTPUT with a message.*/
MUST_CHECK int cli_write(struct cli *cli, const struct buf *b);

/* A text table for people: columns aligned (display width of UTF-8), header
 * underlined on a terminal, cut to nothing: long cells wrap nowhere. Cells
 * are copied. align: one char a column, 'l' or 'r'. */
struct cli_table;
struct cli_table *cli_table_new(const char *align, ...)
    __attribute__((sentinel)); /* header texts, NULL */
void cli_table_row(struct cli_table *t, ...)
    __attribute__((sentinel)); /* cell texts, NULL */
void cli_table_print(const struct cli_table *t, struct buf *out);
void cli_table_free(struct cli_table *t);

/* The completion script of a shell ("bash", "zsh", "fish"), appended to *out.
 * ERR_INVALID: another shell. */
MUST_CHECK int cli_completion(const struct command *const *commands,
                              const char *shell, struct buf *out,
                              struct err *err);

/* Where this user's caches are: CACHE_DIRECTORY, else slmctl below
 * XDG_CACHE_HOME, else ~/.cache/slmctl; NULL where there is no home. Caller
 * frees. */
char *cli_cache_dir(void);

/* The whole program: find the command, parse, run, check stdout. */
int cli_main(int argc, char **argv, const struct command *const *commands);

#endif
