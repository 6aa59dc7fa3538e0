/*
 * scrub_fixture.h - what tests of scrubbing share: the rules of the program,
 * a key, and texts scrubbed by them
 */
#ifndef SCRUB_FIXTURE_H
#define SCRUB_FIXTURE_H

#include "scrub/scrub.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct scrub_rules *rules;
static const struct crypto_key key = { { 7, 7, 7 } };

/* The built-in rules with an action, "TYPE=ACTION", or NULL. */
static inline struct scrub_rules *scrub_fixture_rules(const char *action,
                                                      bool strict)
{
    struct scrub_rules *r = scrub_rules_new();
    struct scrub_settings s = { .actions = &action,
                                .action_count = action != NULL,
                                .strict = strict };
    struct err err = { 0 };

    ck_assert_int_eq(crypto_init(&err), 0);
    scrub_rules_set(r, &s);
    ck_assert_msg(scrub_rules_add_builtin(r, &err) == 0 &&
                      scrub_rules_finish(r, &err) == 0,
                  "%s", err.msg);
    return r;
}

static inline void scrub_fixture_begin(void)
{
    rules = scrub_fixture_rules(NULL, false);
}

static inline void scrub_fixture_end(void)
{
    scrub_rules_free(rules);
}

/* One document scrubbed by a worker of its own; caller frees. count may be
 * NULL. */
static inline char *scrub_fixture_text(const struct scrub_rules *r,
                                       const char *scope, struct slice in,
                                       size_t *count)
{
    struct scrub_worker *w = scrub_worker_new(r, &key);
    struct buf out = { 0 };
    struct err err = { 0 };
    int rc = scrub_record(w, slice_of(scope), &in, 1, &out, NULL, count, &err);

    ck_assert_msg(rc == 0, "%.*s: %s", (int)(in.n < 200 ? in.n : 200), in.p,
                  err.msg);
    scrub_worker_free(w);
    return buf_take(&out, NULL);
}

/* What no longer stands in a text scrubbed by the rules, and what still does.
 */
static inline void check_gone(const char *text, const char *words)
{
    char *out = scrub_fixture_text(rules, "s", slice_of(text), NULL);

    ck_assert_msg(!strstr(out, words), "%s stays in %s", words, out);
    free(out);
}

static inline void check_stays(const char *text, const char *words)
{
    char *out = scrub_fixture_text(rules, "s", slice_of(text), NULL);

    ck_assert_msg(strstr(out, words) != NULL, "%s goes from %s", words, out);
    free(out);
}

static inline void check_same(const char *text)
{
    char *out = scrub_fixture_text(rules, "s", slice_of(text), NULL);

    ck_assert_str_eq(out, text);
    free(out);
}

#endif
