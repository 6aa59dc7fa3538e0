/*
 * cli_completion.c - completion scripts for bash, zsh and fish
 *
 * The option tables are written out as static shell text, so that pressing
 * TAB starts no process; only names that live in the store (tasks, models)
 * are asked for, through the hidden `slmctl --complete KIND`.
 */
#include "cli/cli_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* What a walk over all commands is given. `name` is the full name. */
typedef void visit_fn(struct buf *out, const struct command *c,
                      const char *name);

static void walk(const struct command *const *list, const char *above,
                 visit_fn *visit, struct buf *out)
{
    for (; *list; list++) {
        char *name;

        if (command_is_hidden(*list))
            continue;
        name = *above ? mem_printf("%s %s", above, (*list)->name)
                      : mem_strdup((*list)->name);

        visit(out, *list, name);
        if ((*list)->verbs)
            walk((*list)->verbs, name, visit, out);
        free(name);
    }
}

/* "bash|zsh|fish" as operands: a closed set of words. */
static bool operands_are_words(const struct command *c)
{
    return strchr(c->operands, '|') &&
           !c->operands[strspn(c->operands, "abcdefghijklmnopqrstuvwxyz-|")];
}

static void add_words(struct buf *out, const char *choices)
{
    for (; *choices; choices++)
        buf_char(out, *choices == '|' ? ' ' : *choices);
}

static void add_names(struct buf *out, const struct command *const *list)
{
    const char *gap = "";

    for (; *list; list++) {
        if (command_is_hidden(*list))
            continue;
        buf_printf(out, "%s%s", gap, (*list)->name);
        gap = " ";
    }
}

static const char *kind_name(enum opt_complete kind)
{
    switch (kind) {
    case COMPLETE_FILE: return "file";
    case COMPLETE_DIR: return "dir";
    case COMPLETE_TASK: return "tasks";
    case COMPLETE_MODEL: return "models";
    case COMPLETE_NONE: break;
    }
    return "";
}

/* bash */

static void bash_command(struct buf *out, const struct command *c,
                         const char *name)
{
    struct cli_common_values values;
    struct cli_options o;

    buf_printf(out, "    '%s')\n        ", name);
    if (c->verbs) {
        buf_str(out, "reply='");
        add_names(out, c->verbs);
        buf_str(out, "' ;;\n");
        return;
    }
    options_init(&o, c, &values);
    buf_str(out, "options='");
    for (size_t i = 0; i < o.count; i++)
        buf_printf(out, "--%s ", o.opts[i].name);
    buf_str(out, "--help'\n");
    if (operands_are_words(c)) {
        buf_str(out, "        reply='");
        add_words(out, c->operands);
        buf_str(out, "'\n");
    }
    if (c->complete)
        buf_printf(out, "        kind='%s'\n", kind_name(c->complete));
    buf_str(out, "        ;;\n");
    options_release(&o);
}

static void bash_values(struct buf *out, const struct command *c,
                        const char *name)
{
    struct cli_common_values values;
    struct cli_options o;

    if (c->verbs)
        return;
    options_init(&o, c, &values);
    for (size_t i = 0; i < o.count; i++) {
        const struct opt *p = &o.opts[i];

        if (p->kind == OPT_FLAG)
            continue;
        buf_str(out, "    ");
        if (p->letter)
            buf_printf(out, "'%s:-%c' | ", name, p->letter);
        buf_printf(out, "'%s:--%s')\n        reply='", name, p->name);
        if (p->choices)
            add_words(out, p->choices);
        buf_printf(out, "' kind='%s' options= ;;\n",
                   p->complete ? kind_name(p->complete) : "none");
    }
    options_release(&o);
}

/* 'collect' | 'model' | 'model add': a pattern of case. */
static void bash_name_pattern(struct buf *out, const struct command *c,
                              const char *name)
{
    (void)c;
    buf_printf(out, "%s'%s'", out->data[out->len - 1] == '\'' ? " | " : "",
               name);
}

static const char bash_head[] =
    "# completion of slmctl(1) for bash; `slmctl completion bash` prints it\n"
    "_slmctl()\n{\n"
    "    local cur prev words cword at name='' store=()\n"
    "    local options='' kind='' reply=''\n"
    "    COMPREPLY=()\n"
    "    if declare -F _get_comp_words_by_ref >/dev/null; then\n"
    "        _get_comp_words_by_ref -n =: cur prev words cword\n"
    "    else\n"
    "        words=(\"${COMP_WORDS[@]}\") cword=$COMP_CWORD\n"
    "        cur=${words[cword]} prev=${words[cword - 1]}\n"
    "    fi\n"
    "    if [[ $cur == --*=* ]]; then\n"
    "        prev=${cur%%=*} cur=${cur#*=}\n"
    "    fi\n"
    "    for ((at = 1; at < cword; at++)); do\n"
    "        [[ ${words[at]} == -* ]] && break\n"
    "        case \"${name:+$name }${words[at]}\" in\n        ";

static const char bash_middle[] =
    ")\n"
    "            name=\"${name:+$name }${words[at]}\" ;;\n"
    "        *) break ;;\n"
    "        esac\n"
    "    done\n"
    "    for ((at = 1; at < cword; at++)); do\n"
    "        case ${words[at]} in\n"
    "        --store) store=(--store \"${words[at + 1]}\") ;;\n"
    "        --store=*) store=(\"${words[at]}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    case $name in\n"
    "    '')\n        reply='";

static const char bash_tail[] =
    "    esac\n"
    "    [[ $cur == -* && -n $options ]] && reply=$options kind=none\n"
    "    case $kind in\n"
    "    tasks | models)\n"
    "        reply=$(slmctl --complete \"$kind\" \"${store[@]}\" "
    "2>/dev/null) ;;\n"
    "    file)\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "        return ;;\n"
    "    dir)\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        mapfile -t COMPREPLY < <(compgen -d -- \"$cur\")\n"
    "        return ;;\n"
    "    esac\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$reply\" -- \"$cur\")\n"
    "    if declare -F __ltrim_colon_completions >/dev/null; then\n"
    "        __ltrim_colon_completions \"$cur\"\n"
    "    fi\n"
    "}\n"
    "complete -F _slmctl slmctl\n";

static void bash_script(struct buf *out, const struct command *const *list)
{
    buf_str(out, bash_head);
    walk(list, "", bash_name_pattern, out);
    buf_str(out, bash_middle);
    add_names(out, list);
    buf_str(out, " help'\n        options='--help --version' ;;\n");
    walk(list, "", bash_command, out);
    buf_str(out, "    esac\n    case $name:$prev in\n");
    walk(list, "", bash_values, out);
    buf_str(out, bash_tail);
}

/* zsh */

/* Help text inside '...[here]...' of _arguments. */
static void zsh_text(struct buf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '\'')
            buf_str(out, "'\\'");
        else if (strchr("[]:\\", *s))
            buf_char(out, '\\');
        buf_char(out, *s);
    }
}

static void zsh_action(struct buf *out, const char *choices,
                       enum opt_complete kind)
{
    if (choices) {
        buf_char(out, '(');
        add_words(out, choices);
        buf_char(out, ')');
        return;
    }
    switch (kind) {
    case COMPLETE_FILE: buf_str(out, "_files"); break;
    case COMPLETE_DIR: buf_str(out, "_files -/"); break;
    case COMPLETE_TASK: buf_str(out, "_slmctl_names tasks"); break;
    case COMPLETE_MODEL: buf_str(out, "_slmctl_names models"); break;
    case COMPLETE_NONE: buf_char(out, ' '); break;
    }
}

static void zsh_option(struct buf *out, const struct opt *p)
{
    bool again = p->kind == OPT_LIST;

    buf_str(out, " \\\n        ");
    if (p->letter)
        buf_printf(out, "'%s'{-%c%s,--%s%s}'", again ? "*" : "", p->letter,
                   p->arg ? "+" : "", p->name, p->arg ? "=" : "");
    else
        buf_printf(out, "'%s--%s%s", again ? "*" : "", p->name,
                   p->arg ? "=" : "");
    buf_char(out, '[');
    zsh_text(out, p->help);
    buf_char(out, ']');
    if (p->arg) {
        buf_char(out, ':');
        zsh_text(out, p->arg);
        buf_char(out, ':');
        zsh_action(out, p->choices, p->complete);
    }
    buf_char(out, '\'');
}

static void add_function_name(struct buf *out, const char *name)
{
    buf_str(out, "_slmctl_");
    for (; *name; name++)
        buf_char(out, *name == ' ' || *name == '-' ? '_' : *name);
}

static void zsh_describe(struct buf *out, const struct command *const *list)
{
    buf_str(out, "        local -a list=(\n");
    for (; *list; list++) {
        if (command_is_hidden(*list))
            continue;
        buf_printf(out, "            '%s:", (*list)->name);
        zsh_text(out, (*list)->summary);
        buf_str(out, "'\n");
    }
    buf_str(out, "        )\n        _describe command list ;;\n");
}

static void zsh_group(struct buf *out, const struct command *const *list,
                      const char *name)
{
    buf_str(out, "    local state line\n"
                 "    _arguments -C '(- *)--help[print help]' \\\n"
                 "        '1:command:->command' '*::operand:->rest'\n"
                 "    case $state in\n    command)\n");
    zsh_describe(out, list);
    buf_str(out, "    rest)\n        case $line[1] in\n");
    for (; *list; list++) {
        char *full;

        if (command_is_hidden(*list))
            continue;
        full = *name ? mem_printf("%s %s", name, (*list)->name)
                     : mem_strdup((*list)->name);

        buf_printf(out, "        %s) ", (*list)->name);
        add_function_name(out, full);
        buf_str(out, " ;;\n");
        free(full);
    }
    buf_str(out, "        esac ;;\n    esac\n}\n");
}

static void zsh_command(struct buf *out, const struct command *c,
                        const char *name)
{
    struct cli_common_values values;
    struct cli_options o;
    const char *words = operands_are_words(c) ? c->operands : NULL;

    add_function_name(out, name);
    buf_str(out, "()\n{\n");
    if (c->verbs) {
        zsh_group(out, c->verbs, name);
        return;
    }
    options_init(&o, c, &values);
    buf_str(out, "    _arguments -s -S '(- *)'{-h,--help}'[print help]'");
    for (size_t i = 0; i < o.count; i++)
        zsh_option(out, &o.opts[i]);
    if (words || c->complete) {
        buf_str(out, " \\\n        '*:operand:");
        zsh_action(out, words, c->complete);
        buf_char(out, '\'');
    }
    buf_str(out, "\n}\n");
    options_release(&o);
}

static void zsh_script(struct buf *out, const struct command *const *list)
{
    buf_str(out, "#compdef slmctl\n"
                 "# completion of slmctl(1) for zsh; `slmctl completion zsh` "
                 "prints it\n"
                 "_slmctl_names()\n{\n"
                 "    local -a names\n"
                 "    names=(${(f)\"$(slmctl --complete $1 2>/dev/null)\"})\n"
                 "    compadd -a names\n}\n");
    walk(list, "", zsh_command, out);
    buf_str(out, "_slmctl()\n{\n");
    zsh_group(out, list, "");
    buf_str(out, "if [[ $funcstack[1] == _slmctl ]]; then\n"
                 "    _slmctl \"$@\"\n"
                 "else\n"
                 "    compdef _slmctl slmctl\n"
                 "fi\n");
}

/* fish */

static void fish_text(struct buf *out, const char *s)
{
    buf_char(out, '\'');
    for (; *s; s++) {
        if (*s == '\'' || *s == '\\')
            buf_char(out, '\\');
        buf_char(out, *s);
    }
    buf_char(out, '\'');
}

static void fish_values(struct buf *out, const char *choices,
                        enum opt_complete kind)
{
    if (choices) {
        buf_str(out, " -a '");
        add_words(out, choices);
        buf_char(out, '\'');
    } else if (kind == COMPLETE_FILE) {
        buf_str(out, " -F");
    } else if (kind == COMPLETE_DIR) {
        buf_str(out, " -a '(__fish_complete_directories)'");
    } else if (kind != COMPLETE_NONE) {
        buf_printf(out, " -a '(slmctl --complete %s 2>/dev/null)'",
                   kind_name(kind));
    }
}

static void fish_option(struct buf *out, const char *name, const struct opt *p)
{
    buf_printf(out, "complete -c slmctl -n '__slmctl_on %s' -l %s", name,
               p->name);
    if (p->letter)
        buf_printf(out, " -s %c", p->letter);
    if (p->kind != OPT_FLAG) {
        buf_str(out, p->complete == COMPLETE_FILE ? " -r" : " -x");
        fish_values(out, p->choices, p->complete);
    }
    buf_str(out, " -d ");
    fish_text(out, p->help);
    buf_char(out, '\n');
}

static void fish_command(struct buf *out, const struct command *c,
                         const char *name)
{
    const char *last = strrchr(name, ' ');
    struct cli_common_values values;
    struct cli_options o;
    const char *words = operands_are_words(c) ? c->operands : NULL;

    buf_printf(out, "complete -c slmctl -n '__slmctl_at%s%.*s' -a %s -d ",
               last ? " " : "", last ? (int)(last - name) : 0, name, c->name);
    fish_text(out, c->summary);
    buf_char(out, '\n');
    if (c->verbs)
        return;
    options_init(&o, c, &values);
    for (size_t i = 0; i < o.count; i++)
        fish_option(out, name, &o.opts[i]);
    if (words || c->complete) {
        buf_printf(out, "complete -c slmctl -n '__slmctl_on %s'", name);
        fish_values(out, words, c->complete);
        buf_char(out, '\n');
    }
    options_release(&o);
}

static void fish_script(struct buf *out, const struct command *const *list)
{
    buf_str(out, "# completion of slmctl(1) for fish; `slmctl completion fish` "
                 "prints it\n"
                 "function __slmctl_words\n"
                 "    set -l words (commandline -opc)\n"
                 "    set -e words[1]\n"
                 "    string match -v -- '-*' $words\n"
                 "end\n"
                 "# the words so far are exactly these\n"
                 "function __slmctl_at\n"
                 "    set -l words (__slmctl_words)\n"
                 "    test \"$words\" = \"$argv\"\n"
                 "end\n"
                 "# the words so far begin with these\n"
                 "function __slmctl_on\n"
                 "    set -l words (__slmctl_words)\n"
                 "    test \"$words[1..$(count $argv)]\" = \"$argv\"\n"
                 "end\n"
                 "complete -c slmctl -f\n"
                 "complete -c slmctl -l help -s h -d 'print help'\n"
                 "complete -c slmctl -n __slmctl_at -l version -d 'print the "
                 "version'\n");
    walk(list, "", fish_command, out);
}

int cli_completion(const struct command *const *commands, const char *shell,
                   struct buf *out, struct err *err)
{
    if (!strcmp(shell, "bash"))
        bash_script(out, commands);
    else if (!strcmp(shell, "zsh"))
        zsh_script(out, commands);
    else if (!strcmp(shell, "fish"))
        fish_script(out, commands);
    else
        return err_set(err, ERR_INVALID,
                       "there is no completion for '%.40s': say bash, zsh or "
                       "fish",
                       shell);
    return 0;
}
