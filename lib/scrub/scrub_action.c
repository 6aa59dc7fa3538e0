/*
 * scrub_action.c - what becomes of a find: surrogate, tag, mask, drop, keep
 *
 * Settled by type when the rules are finished, and part of their version.
 * Whatever is asked for, JSON stays JSON and a number a number: where a tag or
 * stars would stand in a number, its digits become nines.
 */
#include "scrub/scrub_fake.h"

#include <assert.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

static const char *const names[] = { "surrogate", "tag", "mask", "drop",
                                     "keep" };

/* Lower case of every script, without the space around it. */
static void fold_kept(struct slice v, struct buf *out)
{
    size_t used;

    v = slice_trim(v);
    for (size_t i = 0; i < v.n; i += used) {
        int32_t cp = utf8_decode(v.p + i, v.n - i, &used);
        char text[4];

        if (cp < 0)
            buf_add(out, v.p + i, used);
        else
            buf_add(out, text,
                    utf8_encode(scrub_fold_letter((uint32_t)cp, false), text));
    }
}

static int parse(const char *text, struct slice *type, enum scrub_action *out,
                 struct err *err)
{
    const char *equals = strchr(text, '=');

    for (size_t i = 0; equals && i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(equals + 1, names[i]) != 0)
            continue;
        *type = (struct slice){ text, (size_t)(equals - text) };
        *out = (enum scrub_action)i;
        return ERR_OK;
    }
    return err_set(err, ERR_INVALID,
                   "\"%s\": TYPE=ACTION is expected, where ACTION is "
                   "surrogate, tag, mask, drop or keep",
                   text);
}

#define TYPES_TOLD 3
#define TYPE_BYTES 32

/* Letters to change, put in or take out (Levenshtein). */
static unsigned distance(struct slice a, const char *b)
{
    unsigned row[TYPE_BYTES + 1];
    size_t n = strlen(b);

    if (n > TYPE_BYTES)
        return UINT_MAX;
    for (unsigned i = 0; i <= n; i++)
        row[i] = i;
    for (unsigned k = 0; k < a.n; k++) {
        unsigned corner = row[0];

        row[0] = k + 1;
        for (size_t i = 0; i < n; i++) {
            unsigned change = corner + ((a.p[k] ^ b[i]) & ~0x20 ? 1 : 0);
            unsigned one = (row[i] < row[i + 1] ? row[i] : row[i + 1]) + 1;

            corner = row[i + 1];
            row[i + 1] = change < one ? change : one;
        }
    }
    return row[n];
}

/* What others call a type; NULL: nothing that is known. */
static const char *type_meant(struct slice like)
{
    static const char *const also[][2] = {
        { "ZIP", "POSTCODE" },        { "ZIP_CODE", "POSTCODE" },
        { "CREDIT_CARD", "CARD" },    { "PHONENUMBER", "PHONE" },
        { "PHONE_NUMBER", "PHONE" },  { "TELEPHONE", "PHONE" },
        { "NAME", "PERSON" },         { "DOB", "DATE" },
        { "DATE_TIME", "DATE" },      { "BIRTHDAY", "DATE" },
        { "EMAIL_ADDRESS", "EMAIL" }, { "IP_ADDRESS", "IP" },
        { "US_SSN", "SSN" },          { "CITY", "LOCATION" },
        { "PLACE", "LOCATION" },      { "COMPANY", "ORGANIZATION" },
        { "ORG", "ORGANIZATION" },    { "USERNAME", "USER" },
        { "IBAN_CODE", "IBAN" },
    };

    for (size_t i = 0; i < sizeof(also) / sizeof(*also); i++)
        if (strlen(also[i][0]) == like.n &&
            strncasecmp(also[i][0], like.p, like.n) == 0)
            return also[i][1];
    return NULL;
}

/* The types that are nearest to it, for who mistyped one. */
static void list_types(const struct scrub_rules *r, struct slice like,
                       struct buf *out)
{
    size_t most = like.n < TYPE_BYTES ? like.n / 2 : 0, told = 0;
    const char *meant = type_meant(like);

    if (meant) {
        buf_printf(out, "; near to it: %s", meant);
        return;
    }

    for (unsigned far = 0; far <= most && told < TYPES_TOLD; far++)
        for (size_t i = 0; i < r->count && told < TYPES_TOLD; i++) {
            const char *type = r->rule[i].type;
            bool seen = r->rule[i].replaced || distance(like, type) != far;

            for (size_t k = 0; k < i && !seen; k++)
                seen = strcmp(r->rule[k].type, type) == 0;
            if (!seen)
                buf_printf(out, "%s%s", told++ ? ", " : "; near to it: ", type);
        }
}

static int apply(struct scrub_rules *r, const char *text, struct err *err)
{
    enum scrub_action action = SCRUB_SURROGATE;
    struct slice type = { 0 };
    bool any = false;
    struct buf types = { 0 };
    int rc = parse(text, &type, &action, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < r->count; i++) {
        struct slice own = slice_of(r->rule[i].type);

        if (!slice_is(type, "*") &&
            (own.n != type.n || strncasecmp(own.p, type.p, type.n) != 0))
            continue;
        r->rule[i].action = action;
        any = true;
    }
    if (any)
        return ERR_OK;
    list_types(r, type, &types);
    rc = err_set(err, ERR_INVALID,
                 "\"%s\": no rule has this type; slmctl-rules(5) lists "
                 "types%s",
                 text, types.data ? types.data : "");
    buf_release(&types);
    return rc;
}

static void add_kept(struct scrub_rules *r, struct slice lines)
{
    r->kept = map_new();
    while (lines.n) {
        const char *nl = memchr(lines.p, '\n', lines.n);
        size_t n = nl ? (size_t)(nl - lines.p) : lines.n;
        struct buf folded = { 0 };

        fold_kept((struct slice){ lines.p, n }, &folded);
        if (folded.len)
            (void)map_put(r->kept, folded.data, folded.len, NULL);
        buf_release(&folded);
        lines.p += n + (nl != NULL);
        lines.n -= n + (nl != NULL);
    }
}

int scrub_actions_finish(struct scrub_rules *r, struct err *err)
{
    const struct scrub_settings *s = &r->settings;
    int rc = ERR_OK;

    /* "*" first: a type says more than all. */
    for (int all = 1; all >= 0; all--)
        for (size_t i = 0; rc == ERR_OK && i < s->action_count; i++)
            if ((s->actions[i][0] == '*') == all)
                rc = apply(r, s->actions[i], err);
    if (rc == ERR_OK && s->keep.n)
        add_kept(r, s->keep);
    return rc;
}

void scrub_actions_describe(const struct scrub_rules *r, struct buf *text,
                            bool *tags, bool *masks, bool *drops)
{
    *tags = *masks = *drops = false;
    buf_printf(text, "scope %d names %d\n", (int)r->settings.scope,
               (int)r->settings.names);
    for (size_t i = 0; i < r->count; i++) {
        const struct scrub_rule *rule = &r->rule[i];

        if (rule->replaced || rule->action == SCRUB_SURROGATE)
            continue;
        buf_printf(text, "%s=%s\n", rule->type, names[rule->action]);
        *tags |= rule->action == SCRUB_TAG;
        *masks |= rule->action == SCRUB_MASK;
        *drops |= rule->action == SCRUB_DROP;
    }
    for (size_t i = 0; r->kept && i < map_count(r->kept); i++) {
        struct slice v = map_key(r->kept, i);

        buf_printf(text, "keep %zu ", v.n);
        buf_add_slice(text, v);
    }
}

bool scrub_keeps(const struct scrub_worker *w, const struct scrub_rule *rule,
                 struct slice value)
{
    struct buf folded = { 0 };
    bool kept;

    if (rule->action == SCRUB_KEEP)
        return true;
    if (!w->rules->kept)
        return false;
    fold_kept(value, &folded);
    kept = folded.len && map_get(w->rules->kept, folded.data, folded.len);
    buf_release(&folded);
    return kept;
}

/* A star for every character. */
static void put_stars(struct slice v, struct buf *out)
{
    size_t used;

    for (size_t i = 0; i < v.n; i += used) {
        (void)utf8_decode(v.p + i, v.n - i, &used);
        buf_char(out, '*');
    }
}

/* Of degrees what stands behind the point: they have a range. */
static void put_zeros(struct slice v, struct buf *out)
{
    bool behind = false;

    for (size_t i = 0; i < v.n; i++) {
        behind |= v.p[i] == '.';
        buf_char(out, behind && scrub_is_digit(v.p[i]) ? '0' : v.p[i]);
    }
}

void scrub_put_nines(struct slice v, struct buf *out)
{
    for (size_t i = 0; i < v.n; i++)
        buf_char(out, scrub_is_digit(v.p[i]) ? '9' : v.p[i]);
}

static size_t digits_at(struct slice v, size_t i)
{
    size_t from = i;

    while (i < v.n && scrub_is_digit(v.p[i]))
        i++;
    return i - from;
}

/* RFC 8259 */
bool scrub_is_number(struct slice v)
{
    size_t i = v.n && v.p[0] == '-', n = digits_at(v, i);

    if (!n || (n > 1 && v.p[i] == '0'))
        return false;
    i += n;
    if (i < v.n && v.p[i] == '.') {
        n = digits_at(v, i + 1);
        if (!n)
            return false;
        i += 1 + n;
    }
    if (i < v.n && (v.p[i] | 0x20) == 'e') {
        i++;
        i += i < v.n && (v.p[i] == '+' || v.p[i] == '-');
        n = digits_at(v, i);
        if (!n)
            return false;
        i += n;
    }
    return i == v.n;
}

void scrub_act(const struct scrub_walk *s, const struct scrub_rule *rule,
               struct slice value, struct buf *out)
{
    int action = rule->action;

    if (s->number && rule->fake == scrub_fake_coordinates &&
        action != SCRUB_SURROGATE) {
        put_zeros(value, out);
        return;
    }
    if (s->number && action != SCRUB_SURROGATE) {
        scrub_put_nines(value, out);
        return;
    }
    if (s->key && (action == SCRUB_MASK || action == SCRUB_DROP))
        action = SCRUB_TAG;
    switch (action) {
    case SCRUB_TAG:
        buf_printf(out, "<%s_%u>", rule->type,
                   scrub_tag_number(s->w, rule, value));
        break;
    case SCRUB_MASK: put_stars(value, out); break;
    case SCRUB_DROP: break;
    case SCRUB_SURROGATE: scrub_surrogate(s->w, rule, value, out); break;
    default: assert(false); break; /* what is kept is no edit */
    }
}
