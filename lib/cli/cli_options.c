/*
 * cli_options.c - option tables and the values that go into them
 *
 * One setter for all sources; the rank of a source decides, not the order in
 * which sources are read. getopt_long is not used: it accepts abbreviations,
 * so that a new option could break an old script.
 */
#include "cli/cli_private.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t table_size(const struct opt *table)
{
    size_t n = 0;

    while (table && table[n].name)
        n++;
    return n;
}

static size_t common_options(const struct command *c,
                             struct cli_common_values *v, struct opt *out)
{
    const struct {
        enum cli_common bit;
        struct opt opt;
    } all[] = {
        { CLI_STORE,
          { 0, "store", OPT_STRING, &v->store, "DIR", "directory of the store",
            NULL, 0, 0, COMPLETE_DIR, false } },
        { CLI_STORE,
          { 0, "key-file", OPT_STRING, &v->key_file, "FILE",
            "key of an encrypted store, and of surrogates", NULL, 0, 0,
            COMPLETE_FILE, false } },
        { CLI_PRIVATE,
          { 0, "private-key", OPT_STRING, &v->private_file, "FILE",
            "what opens a sealed store", NULL, 0, 0, COMPLETE_FILE, false } },
        { CLI_JSON,
          { 0, "json", OPT_FLAG, &v->json, NULL, "print one JSON document",
            NULL, 0, 0, COMPLETE_NONE, false } },
        { CLI_QUIET,
          { 'q', "quiet", OPT_FLAG, &v->quiet, NULL,
            "no notes and no progress on standard error", NULL, 0, 0,
            COMPLETE_NONE, false } },
        { CLI_PROGRESS,
          { 0, "progress", OPT_CHOICE, &v->progress, "WHEN",
            "draw progress: auto is on a terminal only", "auto|always|never", 0,
            0, COMPLETE_NONE, false } },
        { CLI_THREADS,
          { 0, "threads", OPT_INT, &v->threads, "N",
            "threads to use; 0: one per CPU", NULL, 0, 1024, COMPLETE_NONE,
            false } },
        { CLI_SEED,
          { 0, "seed", OPT_INT, &v->seed, "N", "seed of random choices", NULL,
            0, 9e15, COMPLETE_NONE, false } },
    };
    size_t n = 0;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (c->common & all[i].bit)
            out[n++] = all[i].opt;
    return n;
}

void options_init(struct cli_options *o, const struct command *c,
                  struct cli_common_values *v)
{
    size_t own = table_size(c->options);

    *v = (struct cli_common_values){ .progress = "auto", .seed = 1 };
    *o = (struct cli_options){ 0 };
    o->opts = mem_array(own + 10, sizeof(*o->opts));
    if (own)
        memcpy(o->opts, c->options, own * sizeof(*o->opts));
    o->count = own + common_options(c, v, o->opts + own);
    o->opts[o->count] = (struct opt)OPT_END;
    o->origins = mem_array(o->count + 1, sizeof(*o->origins));
    o->defaults = mem_array(o->count + 1, sizeof(*o->defaults));
    for (size_t i = 0; i <= o->count; i++)
        o->origins[i] = FROM_DEFAULT;
    for (size_t i = 0; i < o->count; i++)
        o->defaults[i] = options_value(&o->opts[i]);
}

static void release_list(const struct opt *opt)
{
    struct cli_list *list = opt->value;

    free(list->items);
    *list = (struct cli_list){ 0 };
}

void options_release(struct cli_options *o)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->opts[i].kind == OPT_LIST && o->origins[i] != FROM_DEFAULT)
            release_list(&o->opts[i]);
    for (size_t i = 0; i < o->texts_count; i++)
        free(o->texts[i]);
    options_release_first(o);
    free(o->texts);
    free(o->opts);
    free(o->origins);
    free(o->defaults);
    *o = (struct cli_options){ 0 };
}

static const char *keep_text(struct cli_options *o, const char *text)
{
    char *copy = mem_strdup(text);

    mem_grow((void **)&o->texts, &o->texts_cap, o->texts_count + 1,
             sizeof(*o->texts));
    o->texts[o->texts_count++] = copy;
    return copy;
}

struct opt *options_find(const struct cli_options *o, const char *name,
                         size_t n)
{
    for (size_t i = 0; i < o->count; i++)
        if (strlen(o->opts[i].name) == n && !memcmp(o->opts[i].name, name, n))
            return &o->opts[i];
    return NULL;
}

struct opt *options_letter(const struct cli_options *o, char letter)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->opts[i].letter && o->opts[i].letter == letter)
            return &o->opts[i];
    return NULL;
}

static int check_range(const struct opt *opt, double v, const char *where,
                       struct err *err)
{
    if (opt->min < opt->max && (v < opt->min || v > opt->max))
        return err_set(err, ERR_INVALID, "%s: must be between %.15g and %.15g",
                       where, opt->min, opt->max);
    return 0;
}

static int set_bool(const struct opt *opt, const char *text, const char *where,
                    struct err *err)
{
    static const char *const words[] = { "false", "true", "no", "yes",
                                         "off",   "on",   "0",  "1" };

    if (!text)
        text = "true";
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (!strcmp(text, words[i])) {
            *(bool *)opt->value = i & 1;
            return 0;
        }
    return err_set(err, ERR_INVALID, "%s: '%s' is neither true nor false",
                   where, text);
}

static int64_t unit_of(const char *suffix)
{
    static const char units[] = "KMGT";
    const char *at;

    if (!*suffix)
        return 1;
    at = strchr(units, *suffix & ~0x20);
    if (!at || !*at || suffix[1])
        return 0;
    return (int64_t)1 << (10 * (at - units + 1));
}

static int set_int(const struct opt *opt, const char *text, const char *where,
                   struct err *err)
{
    bool bytes = opt->kind == OPT_BYTES;
    char *end;
    int64_t v, unit;

    errno = 0;
    v = strtoll(text, &end, 10);
    unit = bytes ? unit_of(end) : !*end;
    if (end == text || !unit || text[0] <= ' ' || (bytes && v < 0))
        return err_set(err, ERR_INVALID, "%s: '%s' is not a %s", where, text,
                       bytes ? "size (500, 64K, 2M, 3G)" : "whole number");
    if (errno || __builtin_mul_overflow(v, unit, &v))
        return err_set(err, ERR_INVALID, "%s: '%s' is too large", where, text);
    if (check_range(opt, (double)v, where, err))
        return ERR_INVALID;
    *(int64_t *)opt->value = v;
    return 0;
}

static int set_double(const struct opt *opt, const char *text,
                      const char *where, struct err *err)
{
    char *end;
    double v = strtod(text, &end);

    if (end == text || *end || !isfinite(v) || text[0] <= ' ')
        return err_set(err, ERR_INVALID, "%s: '%s' is not a number", where,
                       text);
    if (check_range(opt, v, where, err))
        return ERR_INVALID;
    *(double *)opt->value = v;
    return 0;
}

static int set_choice(const struct opt *opt, const char *text,
                      const char *where, struct err *err)
{
    size_t n = strlen(text);

    for (const char *c = opt->choices; n && *c;) {
        size_t len = strcspn(c, "|");

        if (len == n && !memcmp(c, text, n)) {
            *(const char **)opt->value = text;
            return 0;
        }
        c += len + (c[len] == '|');
    }
    return err_set(err, ERR_INVALID, "%s: '%s' is none of %s", where, text,
                   opt->choices);
}

static void set_list(const struct opt *opt, const char *text, bool first)
{
    struct cli_list *list = opt->value;

    if (first)
        release_list(opt);
    list->items =
        mem_realloc(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = text;
}

/* No name and no path is empty. */
static int check_text(const struct opt *opt, const char *text,
                      const char *where, struct err *err)
{
    bool is_text = opt->kind == OPT_STRING || opt->kind == OPT_LIST;

    if (!is_text || opt->may_be_empty || *text)
        return 0;
    return err_set(err, ERR_INVALID, "%s: the value is empty; %s is expected",
                   where, opt->arg);
}

int options_set(struct cli_options *o, struct opt *opt, const char *text,
                enum cli_origin origin, const char *where, struct err *err)
{
    enum cli_origin *have = &o->origins[opt - o->opts];
    int rc = 0;

    assert(text || opt->kind == OPT_FLAG);
    if (*have > origin)
        return 0;
    if (text)
        text = keep_text(o, text);
    if (text && check_text(opt, text, where, err))
        return ERR_INVALID;
    switch (opt->kind) {
    case OPT_FLAG: rc = set_bool(opt, text, where, err); break;
    case OPT_INT:
    case OPT_BYTES: rc = set_int(opt, text, where, err); break;
    case OPT_DOUBLE: rc = set_double(opt, text, where, err); break;
    case OPT_STRING: *(const char **)opt->value = text; break;
    case OPT_CHOICE: rc = set_choice(opt, text, where, err); break;
    case OPT_LIST: set_list(opt, text, *have < origin); break;
    }
    if (!rc)
        *have = origin;
    return rc;
}

int options_required(const struct cli_options *o, struct err *err)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->opts[i].required && o->origins[i] == FROM_DEFAULT)
            return err_set(err, ERR_INVALID, "--%s %s is missing",
                           o->opts[i].name, o->opts[i].arg);
    return 0;
}
