/*
 * scrub_rules.c - reading rule files, and the set that they make
 *
 * One setting a line, a rule begins with [name]; slmctl-rules(5) is the
 * reference. Everything that can be wrong with a rule is said when it is
 * read, with file and line; a set that was finished cannot fail later for
 * reasons of its own.
 */
#include "scrub/scrub_priv.h"

#include "assets/assets.h"
#include "base/io.h"
#include "base/mem.h"
#include "names/names.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REACH_DEFAULT 48
#define AFTER_DEFAULT 256
#define AFTER_UNSET SIZE_MAX
#define AFTER_MAX (64u << 10)

struct reader {
    struct scrub_rules *rules;
    const char *file;
    unsigned line;
    struct scrub_rule *rule; /* NULL before the first [name] */
    bool builtin;            /* its patterns are tried by the tests */
    struct err *err;
};

struct scrub_rules *scrub_rules_new(void)
{
    return mem_zalloc(sizeof(struct scrub_rules));
}

static void texts_release(struct scrub_texts *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->item[i]);
    free(t->item);
}

static void rule_release(struct scrub_rule *r)
{
    free(r->name);
    free(r->type);
    free(r->file);
    buf_release(&r->pattern);
    regex_free(r->regex);
    texts_release(&r->literals);
    texts_release(&r->words);
    texts_release(&r->keys);
    texts_release(&r->examples);
    texts_release(&r->counters);
}

static void unload_finders(struct scrub_rules *r)
{
    const struct scrub_finder *f;

    for (size_t i = 0; (f = scrub_finder_at(i)) != NULL; i++)
        if (r->shared[i])
            f->unload(r->shared[i]);
}

void scrub_rules_free(struct scrub_rules *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->count; i++)
        rule_release(&r->rule[i]);
    free(r->rule);
    scrub_gate_free(r->gate);
    scrub_gate_free(r->key_gate);
    free(r->digit_rule);
    free(r->run_rule);
    free(r->other_rule);
    free(r->key_rule);
    free(r->key_set);
    free(r->all_rule);
    free(r->found_rule);
    free(r->shape);
    free(r->run_shape);
    free(r->by_sum);
    map_free(r->words);
    free(r->word);
    free(r->word_rules);
    unload_finders(r);
    map_free(r->kept);
    names_close(r->names);
    buf_release(&r->text);
    free(r);
}

static int bad(struct reader *s, const char *what, struct slice v)
{
    return err_set(s->err, ERR_FORMAT, "%s:%u: %s: \"%.*s\"", s->file, s->line,
                   what, (int)(v.n < 60 ? v.n : 60), v.p);
}

static void texts_add(struct scrub_texts *t, struct slice s)
{
    void *item = t->item;

    mem_grow(&item, &t->cap, t->count + 1, sizeof(*t->item));
    t->item = item;
    t->item[t->count++] = slice_dup(s);
}

/* "a, b c, d" */
static void texts_add_list(struct scrub_texts *t, struct slice s)
{
    while (s.n) {
        const char *comma = memchr(s.p, ',', s.n);
        size_t n = comma ? (size_t)(comma - s.p) : s.n;
        struct slice one = slice_trim((struct slice){ s.p, n });

        if (one.n)
            texts_add(t, one);
        s.p += n + (comma != NULL);
        s.n -= n + (comma != NULL);
    }
}

static int set_number(struct reader *s, struct slice v, size_t max, size_t *out)
{
    size_t n = 0;

    if (!v.n || v.n > 9)
        return bad(s, "a number is expected", v);
    for (size_t i = 0; i < v.n; i++) {
        if (!scrub_is_digit(v.p[i]))
            return bad(s, "a number is expected", v);
        n = n * 10 + (size_t)(v.p[i] - '0');
    }
    if (n > max)
        return bad(s, "the number is too large", v);
    *out = n;
    return ERR_OK;
}

static int set_name(struct reader *s, struct slice v, char **out)
{
    if (!v.n || v.n > 64)
        return bad(s, "a name of 1 to 64 characters is expected", v);
    for (size_t i = 0; i < v.n; i++)
        if (!scrub_is_alnum(v.p[i]) && v.p[i] != '-' && v.p[i] != '_')
            return bad(s, "a name has letters, digits, - and _", v);
    free(*out);
    *out = slice_dup(v);
    return ERR_OK;
}

static int set_gate(struct reader *s, struct slice v)
{
    static const char *const names[] = { "literal", "digits", "dots",
                                         "iban",    "colons", "run",
                                         "key",     "all",    "media" };

    if (slice_starts(v, "digits ")) {
        s->rule->gate = GATE_DIGITS;
        return set_number(s, slice_trim((struct slice){ v.p + 7, v.n - 7 }),
                          1000, &s->rule->digits);
    }
    if (slice_starts(v, "run ")) {
        s->rule->gate = GATE_RUN;
        return set_number(s, slice_trim((struct slice){ v.p + 4, v.n - 4 }),
                          1000, &s->rule->digits);
    }
    if (slice_starts(v, "find ")) {
        s->rule->gate = GATE_FIND;
        s->rule->find_class =
            scrub_finder_class(slice_trim((struct slice){ v.p + 5, v.n - 5 }));
        return s->rule->find_class < 0 ? bad(s, "unknown class to find", v)
                                       : ERR_OK;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (slice_is(v, names[i]) && i != GATE_DIGITS && i != GATE_RUN) {
            s->rule->gate = (enum scrub_gate_kind)i;
            return ERR_OK;
        }
    }
    return bad(s,
               "unknown gate (literal, digits N, dots, iban, colons, run N, "
               "key, all, media, find CLASS)",
               v);
}

static int set_check(struct reader *s, struct slice v, scrub_check_fn **out)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "%.*s", (int)v.n, v.p);
    *out = scrub_check_find(name);
    if (scrub_complete_find(name))
        s->rule->complete = scrub_complete_find(name);
    return *out ? ERR_OK : bad(s, "unknown check", v);
}

static int set_complete(struct reader *s, struct slice v)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "%.*s", (int)v.n, v.p);
    s->rule->complete = scrub_complete_find(name);
    return s->rule->complete ? ERR_OK
                             : bad(s, "nothing completes that check", v);
}

static int set_surrogate(struct reader *s, struct slice v)
{
    char name[32];
    const struct scrub_fake *f;

    (void)snprintf(name, sizeof(name), "%.*s", (int)v.n, v.p);
    f = scrub_fake_find(name);
    if (!f)
        return bad(s, "unknown surrogate", v);
    s->rule->fake = f->fake;
    s->rule->norm = f->norm;
    s->rule->digital = f->digital;
    s->rule->stem = f->stem;
    s->rule->fake_kind = f->kind;
    s->rule->draws = f->draws;
    return ERR_OK;
}

static int set_flag(struct reader *s, struct slice v, bool *out)
{
    *out = slice_is(v, "yes");
    return *out || slice_is(v, "no") ? ERR_OK : bad(s, "yes or no", v);
}

static int set_small(struct reader *s, struct slice v, size_t max, int *out)
{
    size_t n = 0;
    int rc = set_number(s, v, max, &n);

    if (rc == ERR_OK)
        *out = (int)n;
    return rc;
}

static int set_lists(struct reader *s, struct slice key, struct slice v)
{
    struct scrub_rule *r = s->rule;

    if (slice_is(key, "literal"))
        texts_add_list(&r->literals, v);
    else if (slice_is(key, "context"))
        texts_add_list(&r->words, v);
    else if (slice_is(key, "keys"))
        texts_add_list(&r->keys, v);
    else if (slice_is(key, "example"))
        texts_add(&r->examples, v);
    else if (slice_is(key, "counter"))
        texts_add(&r->counters, v);
    else
        return bad(s, "unknown setting", key);
    return r->literals.count > SCRUB_MAX_LITERALS
               ? bad(s, "too many literals in one rule", key)
               : ERR_OK;
}

static int set(struct reader *s, struct slice key, struct slice v)
{
    struct scrub_rule *r = s->rule;

    if (slice_is(key, "pattern")) {
        buf_add_slice(&r->pattern, v);
        return ERR_OK;
    }
    if (slice_is(key, "type"))
        return set_name(s, v, &r->type);
    if (slice_is(key, "tier"))
        return slice_is(v, "0") ? bad(s, "tier is 1, 2 or 3", v)
                                : set_small(s, v, 3, &r->tier);
    if (slice_is(key, "priority"))
        return set_small(s, v, 1000, &r->priority);
    if (slice_is(key, "gate"))
        return set_gate(s, v);
    if (slice_is(key, "before"))
        return set_number(s, v, AFTER_MAX, &r->before);
    if (slice_is(key, "after"))
        return set_number(s, v, AFTER_MAX, &r->after);
    if (slice_is(key, "reach"))
        return set_number(s, v, 1000, &r->reach);
    if (slice_is(key, "keep"))
        return set_number(s, v, 1000, &r->keep);
    if (slice_is(key, "caseless"))
        return set_flag(s, v, &r->caseless);
    if (slice_is(key, "far"))
        return set_flag(s, v, &r->far);
    if (slice_is(key, "spread"))
        return set_flag(s, v, &r->spread);
    if (slice_is(key, "check"))
        return set_check(s, v, &r->check);
    if (slice_is(key, "complete"))
        return set_complete(s, v);
    if (slice_is(key, "require"))
        return set_check(s, v, &r->require);
    if (slice_is(key, "fit")) {
        r->fit = idnumber_iban_fit;
        return slice_is(v, "iban") ? ERR_OK : bad(s, "unknown fit", v);
    }
    if (slice_is(key, "surrogate"))
        return set_surrogate(s, v);
    return set_lists(s, key, v);
}

/* "=token=" is a key as a whole; its signs stand around what is scanned. */
static void key_words(struct slice text, struct buf *out)
{
    bool first = text.n && text.p[0] == '=';
    bool last = text.n && text.p[text.n - 1] == '=';

    if (first)
        buf_char(out, '=');
    scrub_key_words(text, out);
    if (last)
        buf_char(out, '=');
}

/* Keys as scrub_key_words writes them; a context word counts as a key too,
 * where keys are evidence and not the gate. */
static void end_keys(struct scrub_rule *r)
{
    struct scrub_texts given = r->keys;

    r->keys = (struct scrub_texts){ 0 };
    for (size_t i = 0; i < given.count + r->words.count; i++) {
        struct buf words = { 0 };

        if (i >= given.count && r->gate == GATE_KEY)
            break;
        key_words(slice_of(i < given.count ? given.item[i]
                                           : r->words.item[i - given.count]),
                  &words);
        texts_add(&r->keys, buf_slice(&words));
        buf_release(&words);
    }
    texts_release(&given);
}

static void end_sizes(struct scrub_rule *r)
{
    bool digits =
        r->gate == GATE_DIGITS || r->gate == GATE_DOTS || r->gate == GATE_RUN;

    if (r->after == AFTER_UNSET)
        r->after = digits ? 2 : AFTER_DEFAULT;
    for (size_t i = 0; i < r->literals.count; i++)
        if (strlen(r->literals.item[i]) > r->longest)
            r->longest = strlen(r->literals.item[i]);
}

/* What only the whole rule can tell. */
static int check_rule(struct reader *s, const struct scrub_rule *r)
{
    struct slice name = slice_of(r->name);

    if (!r->pattern.len && r->gate != GATE_FIND && r->gate != GATE_MEDIA)
        return bad(s, "the rule has no pattern", name);
    if (r->pattern.len && (r->gate == GATE_FIND || r->gate == GATE_MEDIA))
        return bad(s, "a rule with gate find or media has no pattern", name);
    if (!r->type)
        return bad(s, "the rule has no type", name);
    if (r->gate == GATE_LITERAL && !r->literals.count)
        return bad(s, "the rule has gate literal and no literal", name);
    if (r->gate == GATE_KEY && !r->keys.count)
        return bad(s, "the rule has gate key and no keys", name);
    if (r->tier == 2 && !r->words.count && !r->keys.count)
        return bad(s, "a rule of tier 2 needs context or keys", name);
    if (!r->examples.count || !r->counters.count)
        return bad(s, "the rule has no example or no counter", name);
    return ERR_OK;
}

int scrub_rule_regex(struct scrub_rule *r, const struct regex **out,
                     struct err *err)
{
    struct regex *have = atomic_load(&r->regex), *made = NULL;
    int rc;

    if (!have) {
        rc = regex_compile(buf_slice(&r->pattern),
                           REGEX_UNTIL | (r->caseless ? REGEX_CASELESS : 0),
                           &made, err);
        if (rc < 0)
            return rc;
        if (atomic_compare_exchange_strong(&r->regex, &have, made))
            have = made;
        else
            regex_free(made); /* another thread was faster */
    }
    *out = have;
    return ERR_OK;
}

static int end_rule(struct reader *s)
{
    const struct regex *regex;
    struct scrub_rule *r = s->rule;
    unsigned line = s->line;
    int rc;

    if (!r)
        return ERR_OK;
    s->line = r->line; /* complaints name the rule's first line */
    rc = check_rule(s, r);
    s->line = line;
    if (rc < 0)
        return rc;
    if (r->pattern.len && !s->builtin)
        rc = scrub_rule_regex(r, &regex, s->err);
    if (rc == ERR_OK && r->pattern.len && !s->builtin)
        rc = scrub_trial(r, s->err);
    if (rc < 0)
        return err_wrap(s->err, "%s:%u: [%s]", s->file, r->line, r->name);
    end_keys(r);
    end_sizes(r);
    s->rule = NULL;
    return ERR_OK;
}

static int begin_rule(struct reader *s, struct slice line)
{
    struct scrub_rules *set_ = s->rules;
    void *all = set_->rule;
    struct scrub_rule *r;
    int rc = end_rule(s);

    if (rc < 0)
        return rc;
    if (line.p[line.n - 1] != ']')
        return bad(s, "] is missing", line);
    if (set_->count == SCRUB_MAX_RULES)
        return bad(s, "too many rules", line);
    mem_grow(&all, &set_->cap, set_->count + 1, sizeof(*set_->rule));
    set_->rule = all;
    r = &set_->rule[set_->count++];
    *r = (struct scrub_rule){ .tier = 1,
                              .priority = 50,
                              .reach = REACH_DEFAULT,
                              .after = AFTER_UNSET,
                              .line = s->line };
    (void)set_surrogate(&(struct reader){ .rule = r }, slice_of("shape"));
    r->file = mem_strdup(s->file);
    s->rule = r;
    return set_name(s, (struct slice){ line.p + 1, line.n - 2 }, &r->name);
}

static int read_line(struct reader *s, struct slice line)
{
    const char *equals;
    struct slice key, value;

    if (line.n > SCRUB_MAX_LINE)
        return bad(s, "the line is too long", line);
    line = slice_trim(line);
    if (!line.n || line.p[0] == '#')
        return ERR_OK;
    if (line.p[0] == '[')
        return begin_rule(s, line);
    equals = memchr(line.p, '=', line.n);
    if (!equals)
        return bad(s, "\"setting = value\" is expected", line);
    if (!s->rule)
        return bad(s, "a setting stands before the first [rule]", line);
    key = slice_trim((struct slice){ line.p, (size_t)(equals - line.p) });
    value = slice_trim(
        (struct slice){ equals + 1, (size_t)(line.p + line.n - equals - 1) });
    return set(s, key, value);
}

static int add_file(struct scrub_rules *r, const char *file, struct slice text,
                    bool builtin, struct err *err)
{
    struct reader s = {
        .rules = r, .file = file, .builtin = builtin, .err = err
    };

    if (text.n > SCRUB_MAX_RULE_FILE)
        return err_set(err, ERR_LIMIT, "%s: larger than %u bytes", file,
                       SCRUB_MAX_RULE_FILE);
    buf_printf(&r->text, "%s %zu\n", file, text.n);
    buf_add_slice(&r->text, text);
    while (text.n) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl ? (size_t)(nl - text.p) : text.n;
        int rc;

        s.line++;
        rc = read_line(&s, (struct slice){ text.p, n });
        if (rc < 0)
            return rc;
        text.p += n + (nl != NULL);
        text.n -= n + (nl != NULL);
    }
    return end_rule(&s);
}

int scrub_rules_add(struct scrub_rules *r, const char *file, struct slice text,
                    struct err *err)
{
    return add_file(r, file, text, false, err);
}

int scrub_rules_add_builtin(struct scrub_rules *r, struct err *err)
{
    for (size_t i = 0; i < assets_count(); i++) {
        const struct asset *a = assets_at(i);
        int rc = ERR_OK;

        if (slice_starts(slice_of(a->name), "rules/"))
            rc = add_file(r, a->name, assets_text(a), true, err);
        if (rc < 0)
            return rc;
    }
    return ERR_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_dir(const char *dir, struct scrub_texts *out, struct err *err)
{
    DIR *d = opendir(dir);
    struct dirent *e;

    if (!d)
        return err_set(err, ERR_NOTFOUND,
                       "%s: no directory of rules that can be read", dir);
    while ((e = readdir(d)) != NULL) {
        size_t n = strlen(e->d_name);

        if (n > 6 && strcmp(e->d_name + n - 6, ".rules") == 0)
            texts_add(out, slice_of(e->d_name));
    }
    (void)closedir(d);
    if (!out->count)
        return err_set(err, ERR_NOTFOUND, "%s: holds no *.rules file", dir);
    qsort(out->item, out->count, sizeof(*out->item), by_name);
    return ERR_OK;
}

int scrub_rules_add_dir(struct scrub_rules *r, const char *dir, struct err *err)
{
    struct scrub_texts names = { 0 };
    int rc = list_dir(dir, &names, err);

    for (size_t i = 0; rc == ERR_OK && i < names.count; i++) {
        char *path = io_path(dir, names.item[i]);
        struct buf text = { 0 };

        rc = io_read_file(path, SCRUB_MAX_RULE_FILE, &text, err);
        if (rc == ERR_OK)
            rc = scrub_rules_add(r, names.item[i], buf_slice(&text), err);
        buf_release(&text);
        free(path);
    }
    texts_release(&names);
    return rc;
}

/* Of rules with one name the last stands. */
static void mark_replaced(struct scrub_rules *r)
{
    struct map *names = map_new();

    for (size_t i = r->count; i-- > 0;) {
        bool added;

        (void)map_put(names, r->rule[i].name, strlen(r->rule[i].name), &added);
        r->rule[i].replaced = !added;
    }
    map_free(names);
}

static void finish_rule(struct scrub_rules *r, uint32_t i)
{
    const struct scrub_rule *rule = &r->rule[i];

    if (rule->replaced)
        return;
    for (size_t k = 0; k < rule->literals.count; k++)
        scrub_gate_add(r->gate, slice_of(rule->literals.item[k]), i, false);
    scrub_context_add(r, i);
    switch (rule->gate) {
    case GATE_KEY: r->key_rule[r->key_count++] = i; break;
    case GATE_ALL: r->all_rule[r->all_count++] = i; break;
    case GATE_FIND: r->found_rule[r->found_count++] = i; break;
    case GATE_DIGITS: r->digit_rule[r->digit_count++] = i; break;
    case GATE_MEDIA: r->media_rule = i; break;
    case GATE_LITERAL: break;
    case GATE_RUN:
        r->run_rule[r->run_count++] = i;
        if (!r->least_run || rule->digits < r->least_run)
            r->least_run = rule->digits;
        break;
    case GATE_DOTS:
    case GATE_IBAN:
    case GATE_COLONS: r->other_rule[r->other_count++] = i; break;
    }
}

static int load_finders(struct scrub_rules *r, struct err *err)
{
    const struct scrub_finder *f;
    int rc = ERR_OK;

    for (size_t i = 0; i < r->found_count; i++)
        r->finds[r->rule[r->found_rule[i]].find_class / SCRUB_CLASSES] = true;
    for (size_t i = 0; rc == ERR_OK && (f = scrub_finder_at(i)) != NULL; i++)
        if (r->finds[i] && f->load)
            rc = f->load(&r->settings, r->names, &r->shared[i], err);
    return rc;
}

void scrub_rules_set(struct scrub_rules *r, const struct scrub_settings *s)
{
    r->settings = *s;
}

const struct scrub_settings *scrub_rules_settings(const struct scrub_rules *r)
{
    return &r->settings;
}

static void finish_version(struct scrub_rules *r)
{
    unsigned char hash[CRYPTO_SHA256_BYTES];
    char hex[2 * CRYPTO_SHA256_BYTES + 1];

    bool tags, masks, drops;

    buf_printf(&r->text, "strict %d\nlists %016llx\n", r->settings.strict,
               (unsigned long long)names_data_hash());
    scrub_actions_describe(r, &r->text, &tags, &masks, &drops);
    crypto_sha256(buf_slice(&r->text), hash);
    crypto_hex(hash, sizeof(hash), hex);
    (void)snprintf(r->version, sizeof(r->version), "%s-%.12s%s%s%s",
                   SCRUB_ENGINE, hex, tags ? "+tag" : "", masks ? "+mask" : "",
                   drops ? "+drop" : "");
    buf_release(&r->text);
}

int scrub_rules_finish(struct scrub_rules *r, struct err *err)
{
    int rc;

    mark_replaced(r);
    r->gate = scrub_gate_new();
    r->key_gate = scrub_gate_new();
    r->digit_rule = mem_array(r->count, sizeof(*r->digit_rule));
    r->run_rule = mem_array(r->count, sizeof(*r->run_rule));
    r->other_rule = mem_array(r->count, sizeof(*r->other_rule));
    r->key_rule = mem_array(r->count, sizeof(*r->key_rule));
    r->all_rule = mem_array(r->count, sizeof(*r->all_rule));
    r->words = map_new();
    r->media_rule = UINT32_MAX;
    r->found_rule = mem_array(r->count, sizeof(*r->found_rule));
    for (size_t i = 0; i < r->count; i++)
        finish_rule(r, (uint32_t)i);
    scrub_context_finish(r);
    scrub_digits_finish(r);
    scrub_runs_finish(r);
    rc = scrub_actions_finish(r, err);
    r->settings.actions = NULL; /* no longer borrowed */
    r->settings.keep = (struct slice){ 0 };
    if (rc == ERR_OK)
        rc = names_open(&r->names, err);
    if (rc < 0)
        return rc;
    finish_version(r);
    r->finished = true;
    rc = scrub_gate_build(r->gate, err);
    if (rc == ERR_OK)
        rc = scrub_gate_build(r->key_gate, err);
    return rc < 0 ? rc : load_finders(r, err);
}

const char *scrub_rules_version(const struct scrub_rules *r)
{
    return r->version;
}

size_t scrub_rules_count(const struct scrub_rules *r)
{
    return r->count;
}

const char *scrub_rules_name(const struct scrub_rules *r, size_t rule)
{
    return r->rule[rule].name;
}

const char *scrub_rules_type(const struct scrub_rules *r, size_t rule)
{
    return r->rule[rule].type;
}

enum scrub_action scrub_rules_action(const struct scrub_rules *r, size_t rule)
{
    return r->rule[rule].action;
}
