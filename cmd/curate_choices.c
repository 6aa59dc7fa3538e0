/*
 * curate_choices.c - options of curating, and what the store remembers of them
 *
 * All are texts in settings curate.NAME, checked where they are read: what a
 * later version wrote there is an error, not a guess.
 */
#include "curate_choices.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct curate_choices curate_choices;

/* The value given, else the store's, else "". *out: the text. */
static int settle(struct store *s, const char *name, const char *given,
                  struct buf *out, struct err *err)
{
    char *setting = mem_printf("curate.%s", name);
    bool found;
    int rc;

    buf_reset(out);
    if (given) {
        buf_str(out, given);
        rc = store_setting_set(s, setting, given, err);
    } else {
        rc = store_setting_get(s, setting, out, &found, err);
    }
    free(setting);
    buf_str(out, ""); /* never NULL */
    return rc;
}

static int choose(const struct buf *text, const char *name,
                  const char *const *names, unsigned *out, struct err *err)
{
    *out = 0;
    for (unsigned i = 0; text->len && names[i]; i++)
        if (strcmp(text->data, names[i]) == 0) {
            *out = i;
            return ERR_OK;
        }
    return text->len ? err_set(err, ERR_INVALID,
                               "setting curate.%s: \"%s\" is not known here; "
                               "give --%s",
                               name, text->data, name)
                     : ERR_OK;
}

/* Conditions a line each; "none" takes those before it back. */
static char *require_text(void)
{
    const struct cli_list *l = &curate_choices.require;
    struct buf text = { 0 };
    size_t from = l->count, n;

    if (!l->count)
        return NULL;
    while (from && strcmp(l->items[from - 1], "none") != 0)
        from--;
    buf_str(&text, "");
    for (size_t i = from; i < l->count; i++)
        buf_printf(&text, "%s%s", i > from ? "\n" : "", l->items[i]);
    return buf_take(&text, &n);
}

static int read_require(struct curate_options *o, const struct buf *text,
                        struct err *err)
{
    size_t count = 1;
    struct curate_require **all;
    const char **texts;
    int rc = ERR_OK;

    for (size_t i = 0; i < text->len; i++)
        count += text->data[i] == '\n';
    all = mem_array(count, sizeof(*all));
    texts = mem_array(count, sizeof(*texts));
    for (const char *p = text->data; rc == ERR_OK && *p;) {
        size_t n = strcspn(p, "\n");

        texts[o->require_count] = mem_strndup(p, n);
        all[o->require_count] = NULL;
        rc = curate_require_new(texts[o->require_count], &all[o->require_count],
                                err);
        o->require_count++;
        p += n + (p[n] == '\n');
    }
    o->require = all;
    o->require_text = texts;
    return rc < 0 ? err_wrap(err, "--require") : rc;
}

void curate_choices_release(struct curate_options *o)
{
    for (size_t i = 0; i < o->require_count; i++) {
        curate_require_free(o->require[i]);
        free((char *)(uintptr_t)o->require_text[i]);
    }
    free((void *)(uintptr_t)o->require);
    free((void *)(uintptr_t)o->require_text);
    o->require = NULL;
    o->require_text = NULL;
    o->require_count = 0;
}

static int settle_shares(struct store *s, struct curate_options *o,
                         struct buf *text, struct err *err)
{
    int rc = settle(s, "split", curate_choices.shares, text, err);

    if (rc == ERR_OK)
        rc = curate_shares_parse(text->len ? text->data : "80,10,10", o->shares,
                                 err);
    return rc;
}

static int settle_names(struct store *s, struct curate_options *o,
                        struct buf *text, struct err *err)
{
    static const char *const answers[] = { "keep", "majority", "latest", "drop",
                                           NULL };
    static const char *const groups[] = { "conversation", "client", NULL };
    static const char *const by[] = { "task", "time", NULL };
    const struct curate_choices *c = &curate_choices;
    const struct {
        const char *name, *given;
        const char *const *names;
    } table[] = { { "contradictory", c->contradictory, answers },
                  { "group-by", c->group_by, groups },
                  { "split-by", c->split_by, by } };
    unsigned at[3] = { 0 };
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < 3; i++) {
        rc = settle(s, table[i].name, table[i].given, text, err);
        if (rc == ERR_OK)
            rc = choose(text, table[i].name, table[i].names, &at[i], err);
    }
    o->answers = (enum curate_answers)at[0];
    o->by_client = at[1] == 1;
    o->by_time = at[2] == 1;
    return rc;
}

static int settle_rest(struct store *s, struct curate_options *o,
                       struct buf *text, struct err *err)
{
    char number[32], *require = require_text();
    int rc;

    (void)snprintf(number, sizeof(number), "%g", curate_choices.similarity);
    rc = settle(s, "similarity", curate_choices.similarity > 0 ? number : NULL,
                text, err);
    if (rc == ERR_OK && text->len)
        o->similarity = strtod(text->data, NULL);
    if (rc == ERR_OK)
        rc = settle(s, "drop", curate_choices.drop, text, err);
    if (rc == ERR_OK) {
        rc = curate_filters_parse(text->data, &o->changed, err);
        rc = rc < 0 ? err_wrap(err, "--drop") : rc;
    }
    if (rc == ERR_OK)
        rc = settle(s, "require", require, text, err);
    if (rc == ERR_OK)
        rc = read_require(o, text, err);
    free(require);
    return rc;
}

/* Wrong values are refused before anything is remembered. */
static int check(struct err *err)
{
    struct curate_options o = { 0 };
    struct buf text = { 0 };
    char *require = require_text();
    int rc = ERR_OK;

    buf_str(&text, require ? require : "");
    if (curate_choices.drop)
        rc = curate_filters_parse(curate_choices.drop, &o.changed, err);
    if (rc < 0)
        rc = err_wrap(err, "--drop");
    else
        rc = read_require(&o, &text, err);
    curate_choices_release(&o);
    buf_release(&text);
    free(require);
    return rc;
}

int curate_choices_settle(struct store *s, struct curate_options *o,
                          struct err *err)
{
    struct buf text = { 0 };
    int rc = check(err);

    if (rc == ERR_OK)
        rc = settle_shares(s, o, &text, err);
    if (rc == ERR_OK)
        rc = settle_names(s, o, &text, err);
    if (rc == ERR_OK)
        rc = settle_rest(s, o, &text, err);
    buf_release(&text);
    return rc;
}
