/*
 * cli_reread.c - the configuration again, while a command runs
 *
 * What stands on the command line stays. All else goes back to its default and
 * is read as at the beginning; the old values wait until the caller has made
 * up its mind. The texts of the beginning are kept to the end, because a
 * command may have taken pointers to them.
 */
#include "cli/cli_private.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

union cli_value options_value(const struct opt *opt)
{
    union cli_value v = { .whole = 0 };

    switch (opt->kind) {
    case OPT_FLAG: v.flag = *(bool *)opt->value; break;
    case OPT_INT:
    case OPT_BYTES: v.whole = *(int64_t *)opt->value; break;
    case OPT_DOUBLE: v.real = *(double *)opt->value; break;
    case OPT_STRING:
    case OPT_CHOICE: v.text = *(const char **)opt->value; break;
    case OPT_LIST: v.list = *(struct cli_list *)opt->value; break;
    }
    return v;
}

static void put(const struct opt *opt, union cli_value v)
{
    switch (opt->kind) {
    case OPT_FLAG: *(bool *)opt->value = v.flag; break;
    case OPT_INT:
    case OPT_BYTES: *(int64_t *)opt->value = v.whole; break;
    case OPT_DOUBLE: *(double *)opt->value = v.real; break;
    case OPT_STRING:
    case OPT_CHOICE: *(const char **)opt->value = v.text; break;
    case OPT_LIST: *(struct cli_list *)opt->value = v.list; break;
    }
}

static void free_earlier(struct cli_earlier *e)
{
    for (size_t i = 0; i < e->texts_count; i++)
        free(e->texts[i]);
    free(e->texts);
    free(e->values);
    free(e->origins);
    free(e);
}

/* A list's array belongs to its option; one of the command line stays with it.
 */
static void free_lists(const struct cli_options *o, const struct cli_earlier *e)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->opts[i].kind == OPT_LIST && e->origins[i] != FROM_DEFAULT &&
            e->origins[i] != FROM_COMMAND_LINE)
            free(e->values[i].list.items);
}

void options_release_first(struct cli_options *o)
{
    if (!o->first)
        return;
    free_lists(o, o->first);
    free_earlier(o->first);
    o->first = NULL;
}

int cli_reread_begin(struct cli *cli, struct err *err)
{
    struct cli_options *o = cli->options;
    struct cli_earlier *e = mem_zalloc(sizeof(*e));
    int rc;

    assert(!o->earlier);
    e->values = mem_array(o->count, sizeof(*e->values));
    e->origins = mem_array(o->count, sizeof(*e->origins));
    memcpy(e->origins, o->origins, o->count * sizeof(*e->origins));
    e->texts = o->texts;
    e->texts_count = o->texts_count;
    o->texts = NULL;
    o->texts_count = o->texts_cap = 0;
    for (size_t i = 0; i < o->count; i++) {
        e->values[i] = options_value(&o->opts[i]);
        if (o->origins[i] == FROM_COMMAND_LINE)
            continue;
        put(&o->opts[i], o->defaults[i]);
        o->origins[i] = FROM_DEFAULT;
    }
    o->earlier = e;
    rc = config_read(o, cli->name, cli->commands, err);
    if (rc < 0)
        cli_reread_end(cli, false);
    return rc;
}

static void keep_new(struct cli_options *o)
{
    struct cli_earlier *e = o->earlier;

    if (!o->first) {
        o->first = e;
        return;
    }
    free_lists(o, e);
    free_earlier(e);
}

static void keep_old(struct cli_options *o)
{
    struct cli_earlier *e = o->earlier;

    for (size_t i = 0; i < o->count; i++) {
        if (o->opts[i].kind == OPT_LIST && o->origins[i] != FROM_DEFAULT &&
            o->origins[i] != FROM_COMMAND_LINE)
            free(options_value(&o->opts[i]).list.items);
        put(&o->opts[i], e->values[i]);
        o->origins[i] = e->origins[i];
    }
    for (size_t i = 0; i < o->texts_count; i++)
        free(o->texts[i]);
    free(o->texts);
    o->texts = e->texts;
    o->texts_count = o->texts_cap = e->texts_count;
    e->texts = NULL;
    e->texts_count = 0;
    free_earlier(e);
}

void cli_reread_end(struct cli *cli, bool keep)
{
    if (keep)
        keep_new(cli->options);
    else
        keep_old(cli->options);
    cli->options->earlier = NULL;
}

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

static bool is_same(const struct opt *opt, union cli_value a, union cli_value b)
{
    switch (opt->kind) {
    case OPT_FLAG: return a.flag == b.flag;
    case OPT_INT:
    case OPT_BYTES: return a.whole == b.whole;
    case OPT_DOUBLE: return a.real == b.real;
    case OPT_STRING:
    case OPT_CHOICE: return is_same_text(a.text, b.text);
    case OPT_LIST: break;
    }
    for (size_t i = 0; i < a.list.count && i < b.list.count; i++)
        if (strcmp(a.list.items[i], b.list.items[i]) != 0)
            return false;
    return a.list.count == b.list.count;
}

bool cli_has_changed(const struct cli *cli, const char *option)
{
    const struct cli_options *o = cli->options;
    const struct cli_earlier *then = o->first ? o->first : o->earlier;
    const struct opt *opt = options_find(o, option, strlen(option));

    return then && opt &&
           !is_same(opt, then->values[opt - o->opts], options_value(opt));
}
