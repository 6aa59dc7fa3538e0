/* cli_parse.c - the command line: options and operands in any order */
#include "cli/cli_private.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int unknown_option(const struct cli_options *o, const char *word,
                          size_t n, struct err *err)
{
    const char **names = mem_array(o->count + 1, sizeof(*names));
    char *name = mem_strndup(word, n);
    const char *near;

    if (!strcmp(name, "help")) { /* alone it was found before */
        free(name);
        free(names);
        return err_set(err, ERR_INVALID, "--help takes no value");
    }
    for (size_t i = 0; i < o->count; i++)
        names[i] = o->opts[i].name;
    names[o->count] = "help";
    near = help_nearest(name, names, o->count + 1);
    if (near)
        err_set(err, ERR_INVALID,
                "there is no option --%.80s; did you mean --%s?", name, near);
    else
        err_set(err, ERR_INVALID, "there is no option --%.80s", name);
    free(name);
    free(names);
    return ERR_INVALID;
}

/* --name, --name=value, --name value. *i moves over a value of its own. */
static int parse_long(struct cli_options *o, int argc, char **argv, int *i,
                      struct err *err)
{
    const char *word = argv[*i] + 2;
    size_t n = strcspn(word, "=");
    const char *value = word[n] ? word + n + 1 : NULL;
    struct opt *opt = options_find(o, word, n);
    char where[96];

    if (!opt)
        return unknown_option(o, word, n, err);
    if (opt->kind == OPT_FLAG && value)
        return err_set(err, ERR_INVALID, "--%s takes no value", opt->name);
    if (opt->kind != OPT_FLAG && !value) {
        if (*i + 1 >= argc)
            return err_set(err, ERR_INVALID, "--%s needs a value: %s",
                           opt->name, opt->arg);
        value = argv[++*i];
    }
    (void)snprintf(where, sizeof(where), "--%s", opt->name);
    return options_set(o, opt, value, FROM_COMMAND_LINE, where, err);
}

/* -q, -qv, -nVALUE, -n VALUE. */
static int parse_letters(struct cli_options *o, int argc, char **argv, int *i,
                         struct err *err)
{
    for (const char *c = argv[*i] + 1; *c; c++) {
        struct opt *opt = options_letter(o, *c);
        const char *value = NULL;
        char where[8];

        if (!opt)
            return err_set(err, ERR_INVALID, "there is no option -%c", *c);
        if (opt->kind != OPT_FLAG) {
            value = c[1] ? c + 1 : *i + 1 < argc ? argv[++*i] : NULL;
            if (!value)
                return err_set(err, ERR_INVALID, "-%c needs a value: %s", *c,
                               opt->arg);
        }
        (void)snprintf(where, sizeof(where), "-%c", *c);
        if (options_set(o, opt, value, FROM_COMMAND_LINE, where, err))
            return err->code;
        if (value)
            break;
    }
    return 0;
}

int options_parse(struct cli_options *o, int argc, char **argv,
                  struct cli_line *line, struct err *err)
{
    char **operands = mem_array((size_t)argc + 1, sizeof(*operands));
    bool only_operands = false;
    int count = 0, rc = 0;

    for (int i = 0; i < argc && !rc; i++) {
        const char *a = argv[i];

        if (only_operands || a[0] != '-' || !a[1])
            operands[count++] = argv[i];
        else if (!strcmp(a, "--"))
            only_operands = true;
        else if (a[1] == '-')
            rc = parse_long(o, argc, argv, &i, err);
        else
            rc = parse_letters(o, argc, argv, &i, err);
    }
    if (rc) {
        free(operands);
        return rc;
    }
    operands[count] = NULL;
    *line = (struct cli_line){ operands, count };
    return 0;
}
