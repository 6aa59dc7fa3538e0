/*
 * cli.c - the whole program: find the command, parse, run, check the output
 *
 * A command is one const struct; verbs nest by the same struct. The first
 * SIGINT, SIGTERM or SIGHUP asks the command to stop and the second kills, so a
 * stage can always finish its unit of work and can always be ended.
 */
#include "cli/cli_private.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int stops[] = { SIGINT, SIGTERM, SIGHUP };
#define STOPS (sizeof(stops) / sizeof(stops[0]))

static void on_signal(int number)
{
    stop_request(number);
    for (size_t i = 0; i < STOPS; i++)
        (void)signal(stops[i], SIG_DFL);
}

static void catch_signals(void)
{
    for (size_t i = 0; i < STOPS; i++) {
        struct sigaction now;

        /* A shell's background job and nohup ignore it: leave it so. */
        if (!sigaction(stops[i], NULL, &now) && now.sa_handler == SIG_IGN)
            continue;
        memset(&now, 0, sizeof(now));
        now.sa_handler = on_signal;
        (void)sigaction(stops[i], &now, NULL);
    }
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGXFSZ, SIG_IGN); /* a write that fails says why */
}

/* With a standard descriptor closed, the next open() would get its number and
 * a message could end up inside a database. */
static void hold_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == 1 ? O_RDONLY : O_RDWR);
}

static void raise_again(int number)
{
    (void)fflush(NULL);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

/* Data that cannot be written is a failure even if all else went well. */
static int close_output(struct cli *cli, int rc)
{
    struct err err;
    bool bad = ferror(stdout) != 0;

    errno = 0;
    if (fclose(stdout) && errno)
        bad = true;
    if (!bad || rc == EXIT_OUTPUT)
        return rc;
    err_set(&err, ERR_OUTPUT, "write standard output: %s",
            errno ? strerror(errno) : "failed");
    (void)cli_fail(cli, &err);
    return rc == EXIT_FAILED || rc == EXIT_USAGE || rc == EXIT_BUSY
               ? rc
               : EXIT_OUTPUT;
}

static const struct command *find_command(const struct command *const *commands,
                                          const char *name)
{
    for (; *commands; commands++)
        if (!strcmp((*commands)->name, name))
            return *commands;
    return NULL;
}

static int unknown_command(struct cli *cli,
                           const struct command *const *commands,
                           const char *word)
{
    const char *names[64], *near;
    size_t n = 0;

    for (; n < 64 && *commands; commands++)
        if (!command_is_hidden(*commands))
            names[n++] = (*commands)->name;
    near = help_nearest(word, names, n);
    if (near)
        return cli_usage(cli,
                         "there is no command '%.80s'; did you mean "
                         "'%s'?",
                         word, near);
    return cli_usage(cli, "there is no command '%.80s'", word);
}

static bool has_word(int argc, char **argv, const char *a, const char *b)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strcmp(argv[i], a) || !strcmp(argv[i], b))
            return true;
    return false;
}

static int read_values(struct cli *cli, struct cli_options *o, int argc,
                       char **argv, struct cli_line *line, struct err *err)
{
    int rc = options_parse(o, argc, argv, line, err);

    if (!rc)
        rc = config_read(o, cli->name, cli->commands, err);
    if (!rc)
        rc = options_required(o, err);
    return rc;
}

bool cli_is_typed(const struct cli *cli, const char *option)
{
    const struct cli_options *o = cli->options;
    const struct opt *opt = options_find(o, option, strlen(option));

    return opt && o->origins[opt - o->opts] == FROM_COMMAND_LINE;
}

static int check_operands(struct cli *cli, const struct cli_line *line)
{
    const struct command *c = cli->command;

    if (line->count < c->min_operands)
        return cli_usage(cli, "an operand is missing: %s", c->operands);
    if (c->max_operands >= 0 && line->count > c->max_operands)
        return cli_usage(cli, "'%.80s' is one operand too many",
                         line->operands[c->max_operands]);
    for (int i = 0; i < line->count && c->complete != COMPLETE_NONE; i++)
        if (!*line->operands[i])
            return cli_usage(cli, "operand %d is empty; %s is expected", i + 1,
                             c->operands);
    return 0;
}

static void set_up(struct cli *cli, const struct cli_common_values *v)
{
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");

    cli->json = v->json;
    cli->quiet = v->quiet;
    cli->threads = (unsigned)v->threads;
    cli->seed = (uint64_t)v->seed;
    cli->tty_out = isatty(STDOUT_FILENO);
    cli->tty_err = isatty(STDERR_FILENO);
    cli->colour = cli->tty_out && !(no_colour && *no_colour) && term &&
                  strcmp(term, "dumb") != 0;
    progress_begin(cli, !strcmp(v->progress, "always")  ? PROGRESS_ALWAYS
                        : !strcmp(v->progress, "never") ? PROGRESS_NEVER
                                                        : PROGRESS_AUTO);
}

static int run_command(struct cli *cli, int argc, char **argv)
{
    const struct command *c = cli->command;
    struct cli_common_values values;
    struct cli_options o;
    struct cli_line line = { NULL, 0 };
    char *store = NULL, *key = NULL;
    struct err err;
    int rc;

    options_init(&o, c, &values);
    if (read_values(cli, &o, argc, argv, &line, &err)) {
        cli->json = values.json || ((c->common & CLI_JSON) &&
                                    has_word(argc, argv, "--json", "--json"));
        rc = cli_usage(cli, "%s", err.msg);
        goto done;
    }
    cli->key_is_named = values.key_file != NULL;
    cli->private_file = values.private_file;
    cli->store = values.store ? values.store : (store = config_store_path());
    cli->key_file =
        values.key_file ? values.key_file : (key = config_key_path());
    set_up(cli, &values);
    rc = check_operands(cli, &line);
    if (!rc && (c->common & CLI_STORE) && !cli->store)
        rc = cli_usage(cli, "there is no home directory: name the store with "
                            "--store DIR");
    cli->options = &o;
    if (!rc)
        rc = c->run(cli, line.count, line.operands);
done:
    cli->options = NULL;
    cli_progress_end(cli);
    free(line.operands);
    free(store);
    free(key);
    options_release(&o);
    return rc;
}

/* A command or a verb; argv[0] is its name. */
static int dispatch(struct cli *cli, const struct command *c, int argc,
                    char **argv)
{
    char *name = cli->name && *cli->name
                     ? mem_printf("%s %s", cli->name, c->name)
                     : mem_strdup(c->name);
    int rc = EXIT_DONE;

    cli->command = c;
    cli->name = name;
    argc--;
    argv++;
    if (c->verbs && argc && argv[0][0] != '-') {
        const struct command *verb = find_command(c->verbs, argv[0]);

        rc = verb ? dispatch(cli, verb, argc, argv)
                  : unknown_command(cli, c->verbs, argv[0]);
    } else if (has_word(argc, argv, "-h", "--help")) {
        help_command(stdout, c, name);
    } else if (argc == 1 && !strcmp(argv[0], "--list-options")) {
        help_list_options(stdout, c);
    } else if (c->verbs && argc == 1 && !strcmp(argv[0], "--list-commands")) {
        help_list_commands(stdout, c->verbs);
    } else if (c->verbs) {
        rc = cli_usage(cli,
                       argc ? "there is no option '%.80s' here"
                            : "a command is missing%s",
                       argc ? argv[0] : "");
    } else {
        rc = run_command(cli, argc, argv);
    }
    free(name);
    cli->name = NULL;
    return rc;
}

static int help_of(struct cli *cli, int argc, char **argv)
{
    const struct command *const *list = cli->commands;
    const struct command *c = NULL;
    struct buf name = { .data = NULL };

    for (int i = 0; i < argc && list; i++) {
        if (argv[i][0] == '-' || (!c && !strcmp(argv[i], "help")))
            continue;
        c = find_command(list, argv[i]);
        if (!c)
            return unknown_command(cli, list, argv[i]);
        buf_printf(&name, "%s%s", name.len ? " " : "", c->name);
        list = c->verbs;
    }
    if (c)
        help_command(stdout, c, name.data);
    else
        help_program(stdout, cli->commands);
    buf_release(&name);
    return EXIT_DONE;
}

static int main_word(struct cli *cli, int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    const struct command *c;

    if (argc < 2) {
        help_program(stderr, cli->commands);
        return EXIT_USAGE;
    }
    if (!strcmp(word, "help"))
        return help_of(cli, argc - 2, argv + 2);
    if (!strcmp(word, "--list-commands")) {
        help_list_commands(stdout, cli->commands);
        return EXIT_DONE;
    }
    if (!strcmp(word, "--version")) {
        puts("slmctl " SLMCTL_VERSION);
        return EXIT_DONE;
    }
    c = find_command(cli->commands, word);
    if (c)
        return dispatch(cli, c, argc - 1, argv + 1);
    if (has_word(argc - 1, argv + 1, "-h", "--help"))
        return help_of(cli, 0, NULL);
    if (word[0] == '-') {
        static const char *const options[] = { "--help", "--version" };
        const char *near = help_nearest(word, options, 2);

        return near ? cli_usage(cli,
                                "there is no option '%.80s'; did you mean "
                                "'%s'?",
                                word, near)
                    : cli_usage(cli, "there is no option '%.80s' here", word);
    }
    return unknown_command(cli, cli->commands, word);
}

int cli_main(int argc, char **argv, const struct command *const *commands)
{
    struct cli cli = { .commands = commands, .seed = 1 };
    int rc;

    hold_standard_descriptors();
    catch_signals();
    rc = main_word(&cli, argc, argv);
    rc = close_output(&cli, rc);
    if (rc > 128 && rc == 128 + stop_signal())
        raise_again(stop_signal());
    return rc;
}
