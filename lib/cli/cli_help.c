/* cli_help.c - help texts, lists for lint, and the nearest name */
#include "cli/cli_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define HELP_WIDTH 79
#define HELP_INDENT 26

static void print_wrapped(FILE *to, const char *text, size_t indent)
{
    size_t column = indent;

    while (*text) {
        size_t n = strcspn(text, " ");

        if (column > indent && column + 1 + n > HELP_WIDTH) {
            fprintf(to, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', to);
            column++;
        }
        fprintf(to, "%.*s", (int)n, text);
        column += n;
        text += n + (text[n] == ' ');
    }
    fputc('\n', to);
}

static void describe_default(struct buf *b, const struct opt *o)
{
    const char *text = NULL;

    switch (o->kind) {
    case OPT_FLAG:
    case OPT_LIST: return;
    case OPT_INT:
    case OPT_BYTES:
        if (*(const int64_t *)o->value)
            buf_printf(b, " (default %lld)",
                       (long long)*(const int64_t *)o->value);
        return;
    case OPT_DOUBLE:
        if (*(const double *)o->value != 0)
            buf_printf(b, " (default %.9g)", *(const double *)o->value);
        return;
    case OPT_STRING:
    case OPT_CHOICE: text = *(const char *const *)o->value; break;
    }
    if (text && *text)
        buf_printf(b, " (default %s)", text);
}

static void print_option(FILE *to, const struct opt *o)
{
    struct buf b = { .data = NULL };
    int n = fprintf(to, o->letter ? "  -%c, " : "      ", o->letter);

    n += fprintf(to, "--%s", o->name);
    if (o->arg)
        n += fprintf(to, " %s", o->arg);
    if (n + 2 > HELP_INDENT) {
        fputc('\n', to);
        n = 0;
    }
    fprintf(to, "%*s", HELP_INDENT - n, "");
    buf_str(&b, o->help);
    if (o->choices)
        buf_printf(&b, ": %s", o->choices);
    if (o->required)
        buf_str(&b, " (required)");
    if (o->kind == OPT_LIST)
        buf_str(&b, " (may be repeated)");
    if (!strstr(o->help, "(default"))
        describe_default(&b, o);
    print_wrapped(to, b.data, HELP_INDENT);
    buf_release(&b);
}

bool command_is_hidden(const struct command *c)
{
    return c->name[0] == '-';
}

static void list_commands(FILE *to, const struct command *const *commands)
{
    for (; *commands; commands++) {
        if (command_is_hidden(*commands))
            continue;
        fprintf(to, "  %-12s  ", (*commands)->name);
        print_wrapped(to, (*commands)->summary, 16);
    }
}

void help_program(FILE *to, const struct command *const *commands)
{
    fputs("usage: slmctl COMMAND [OPTION...] [OPERAND...]\n"
          "\n"
          "turns the logs of an LLM agent into small models for its routine "
          "calls\n"
          "\n"
          "commands:\n",
          to);
    list_commands(to, commands);
    fputs("\n"
          "'slmctl COMMAND -h' lists a command's options; 'slmctl --version' "
          "prints the\n"
          "version. The manual is slmctl(1).\n",
          to);
}

static void help_group(FILE *to, const struct command *c, const char *name)
{
    fprintf(to, "usage: slmctl %s COMMAND [OPTION...] [OPERAND...]\n\n%s\n\n",
            name, c->summary);
    fputs("commands:\n", to);
    list_commands(to, c->verbs);
    fprintf(to, "\n'slmctl %s COMMAND -h' lists a command's options.\n", name);
}

void help_command(FILE *to, const struct command *c, const char *name)
{
    static const struct opt help = { .letter = 'h',
                                     .name = "help",
                                     .kind = OPT_FLAG,
                                     .help = "print this help" };
    struct cli_common_values values;
    struct cli_options o;

    if (c->verbs) {
        help_group(to, c, name);
        return;
    }
    options_init(&o, c, &values);
    fprintf(to, "usage: slmctl %s%s%s%s\n\n%s\n\noptions:\n", name,
            o.count ? " [OPTION...]" : "", *c->operands ? " " : "", c->operands,
            c->summary);
    for (size_t i = 0; i < o.count; i++)
        print_option(to, &o.opts[i]);
    print_option(to, &help);
    fprintf(to, "\nThe manual is slmctl-%.*s(1).\n", (int)strcspn(name, " "),
            name);
    options_release(&o);
}

void help_list_commands(FILE *to, const struct command *const *commands)
{
    for (; *commands; commands++)
        if (!command_is_hidden(*commands))
            fprintf(to, "%s\n", (*commands)->name);
}

/* "-q --quiet", "--store DIR" or "--progress WHEN<TAB>auto|always|never"; of
 * a group, the options of all its verbs
 * (a name that several have comes several times). */
void help_list_options(FILE *to, const struct command *c)
{
    struct cli_common_values values;
    struct cli_options o;

    for (size_t i = 0; c->verbs && c->verbs[i]; i++)
        help_list_options(to, c->verbs[i]);
    if (c->verbs)
        return;
    options_init(&o, c, &values);
    for (size_t i = 0; i < o.count; i++) {
        if (o.opts[i].letter)
            fprintf(to, "-%c ", o.opts[i].letter);
        fprintf(to, "--%s", o.opts[i].name);
        if (o.opts[i].arg)
            fprintf(to, " %s", o.opts[i].arg);
        if (o.opts[i].choices)
            fprintf(to, "\t%s", o.opts[i].choices);
        fputc('\n', to);
    }
    options_release(&o);
}

/* Edits (insert, delete, replace, swap neighbours) from a to b. */
static size_t edit_distance(const char *a, const char *b)
{
    enum { MAX = 40 };
    size_t d[MAX + 1][MAX + 1], n = strlen(a), m = strlen(b);

    if (n > MAX || m > MAX)
        return MAX;
    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j <= m; j++) {
            size_t best = i + j;

            if (i && j) {
                best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
                best = best < d[i - 1][j] + 1 ? best : d[i - 1][j] + 1;
                best = best < d[i][j - 1] + 1 ? best : d[i][j - 1] + 1;
            }
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
                a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

const char *help_nearest(const char *word, const char *const *names,
                         size_t count)
{
    size_t best = strlen(word) / 3 + 2;
    const char *near = NULL;

    for (size_t i = 0; i < count; i++) {
        size_t d = edit_distance(word, names[i]);

        if (d < best && d < strlen(names[i])) {
            best = d;
            near = names[i];
        }
    }
    return near;
}
