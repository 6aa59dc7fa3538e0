/*
 * scrub_trial.c - a pattern on trial, before any text of a user meets it
 *
 * A pattern with a repetition within a repetition takes for ever on a text
 * that nearly matches. Long runs of what the pattern itself speaks of are such
 * texts; one on which it reaches the matching limits is refused. The limits
 * count steps, so the verdict is the same on every machine.
 */
#include "scrub/scrub_priv.h"

#include <stdio.h>
#include <string.h>

#define LETTERS_MAX 24

struct trial {
    const struct scrub_rule *rule;
    const struct regex *regex;
    struct regex_scratch *scratch;
    struct buf text;
    char letters[LETTERS_MAX]; /* the pattern's */
    size_t count;
    struct err *err;
};

/* What the text repeats, fit to be printed. */
static void show(struct slice unit, char out[16])
{
    size_t n = 0;

    for (size_t i = 0; i < unit.n && n < 12; i++)
        out[n++] = unit.p[i] >= ' ' && unit.p[i] < 0x7F ? unit.p[i] : '?';
    out[n] = '\0';
}

/* unit again and again, then something that matches nothing; behind it what
 * the pattern may want to see before it begins. */
static int try_length(struct trial *t, struct slice unit, size_t bytes)
{
    struct regex_match m;
    struct err err = { 0 };
    char shown[16];

    buf_reset(&t->text);
    while (t->text.len < bytes)
        buf_add_slice(&t->text, unit);
    buf_add(&t->text, "\x01!", 2);
    buf_add(&t->text, t->letters, t->count);
    if (regex_find(t->regex, t->scratch, buf_slice(&t->text), 0, &m, &err) >= 0)
        return ERR_OK;
    show(unit, shown);
    return err_set(t->err, ERR_LIMIT,
                   "the pattern takes too many steps on a text that repeats "
                   "\"%s\"; repeat nothing that repeats without bounds itself",
                   shown);
}

/* Some explode on long runs, some only on those that are too short. */
static int try_run(struct trial *t, struct slice unit)
{
    int rc = unit.n ? try_length(t, unit, 600) : ERR_OK;

    return rc < 0 || !unit.n ? rc : try_length(t, unit, 36);
}

/* Letters and digits of the pattern, and what classes stand for. */
static size_t letters_of(struct slice pattern, char out[LETTERS_MAX])
{
    static const char always[] = "aA0 -.x";
    size_t n = sizeof(always) - 1;

    memcpy(out, always, n);
    for (size_t i = 0; i < pattern.n && n < LETTERS_MAX; i++) {
        char c = pattern.p[i];

        if (c == '\\')
            i++;
        else if ((unsigned char)c > ' ' && !strchr("()[]{}|?*+^$", c) &&
                 !memchr(out, c, n))
            out[n++] = c;
    }
    return n;
}

static int try_examples(struct trial *t)
{
    const struct scrub_texts *all = &t->rule->examples;
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < all->count; i++) {
        const char *from = strstr(all->item[i], "<<"),
                   *to = from ? strstr(from, ">>") : NULL;

        if (to)
            rc =
                try_run(t, (struct slice){ from + 2, (size_t)(to - from) - 2 });
    }
    return rc;
}

int scrub_trial(struct scrub_rule *rule, struct err *err)
{
    struct trial t = { .rule = rule, .err = err };
    size_t n = letters_of(buf_slice(&rule->pattern), t.letters);
    char pair[2];
    int rc = scrub_rule_regex(rule, &t.regex, err);

    t.count = n;
    t.scratch = regex_scratch_new();
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        rc = try_run(&t, (struct slice){ &t.letters[i], 1 });
        for (size_t k = 0; rc == ERR_OK && k < n; k++) {
            pair[0] = t.letters[i];
            pair[1] = t.letters[k];
            rc = try_run(&t, (struct slice){ pair, 2 });
        }
    }
    if (rc == ERR_OK)
        rc = try_examples(&t);
    regex_scratch_free(t.scratch);
    buf_release(&t.text);
    return rc;
}
