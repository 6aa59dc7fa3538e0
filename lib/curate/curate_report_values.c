/*
 * curate_report_values.c - the values that were replaced, and whose they are
 *
 * A name is a word too: "Will" of one conversation is nobody in another. So a
 * value is known with the conversations that have it, and whether it can be
 * an ordinary word, a place or a date; identifiers can not, and must not stand
 * anywhere.
 */
#include "curate/curate_report_priv.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDENTIFIER_MIN 7 /* bytes of a value that nothing else looks like */
#define JOINED_LEAST 9   /* of a full name; shorter ones stand in words */
#define NUMBER_MIN 5     /* digits that are more than a count or a year */

int report_values_begin(struct report_values *v, struct err *err)
{
    *v = (struct report_values){ .known = map_new(), .scopes = map_new() };
    return names_open(&v->names, err);
}

void report_values_release(struct report_values *v)
{
    map_free(v->known);
    map_free(v->scopes);
    names_close(v->names);
    free(v->item);
}

static bool names_words(const char *type)
{
    static const char *const parts[] = { "PERSON",   "NAME", "ORG",    "GPE",
                                         "PLACE",    "CITY", "STATE",  "COUNT",
                                         "LOCATION", "NRP",  "NATION", "TITLE",
                                         "DATE",     "TIME", "AGE",    "ZIP",
                                         "POST",     "YEAR" };

    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        if (strstr(type, parts[i]))
            return true;
    return false;
}

/* What only looks like itself: long, with a digit or an at sign. */
static void judge(const struct report_values *v, struct report_value *x,
                  const char *type)
{
    size_t digits = 0, marks = 0;

    for (size_t i = 0; i < x->text.n; i++) {
        digits += isdigit((unsigned char)x->text.p[i]) != 0;
        marks += x->text.p[i] == '@';
    }
    x->word =
        names_words(type) || x->text.n < IDENTIFIER_MIN || digits + marks == 0;
    x->full = strcmp(type, "PERSON") == 0 && x->text.n >= JOINED_LEAST &&
              memchr(x->text.p, ' ', x->text.n);
    x->common = (digits == x->text.n && digits < NUMBER_MIN) ||
                names_is(v->names, NAMES_LIST_COMMON, x->text);
}

static void key_of(struct buf *b, const char *type, struct slice text)
{
    buf_str(b, type);
    buf_char(b, '\0');
    buf_add_slice(b, text);
}

static void scope_key(uint64_t key[2], struct slice scope, size_t value)
{
    key[0] = hash64(scope.p, scope.n, 1);
    key[1] = value;
}

size_t report_values_find(const struct report_values *v, const char *type_name,
                          struct slice text)
{
    struct buf key = { 0 };
    const uint64_t *at;

    key_of(&key, type_name, text);
    at = map_get(v->known, key.data, key.len);
    buf_release(&key);
    return at ? (size_t)*at : SIZE_MAX;
}

size_t report_values_add(struct report_values *v, unsigned type,
                         const char *type_name, struct slice text,
                         struct slice scope)
{
    struct buf key = { 0 };
    uint64_t *at, pair[2];
    void *all = v->item;
    size_t i;
    bool added;

    key_of(&key, type_name, text);
    if (v->count >= v->most && !map_get(v->known, key.data, key.len)) {
        buf_release(&key);
        return SIZE_MAX;
    }
    at = map_put(v->known, key.data, key.len, &added);
    if (added) {
        *at = v->count;
        mem_grow(&all, &v->cap, v->count + 1, sizeof(*v->item));
        v->item = all;
        v->item[v->count] = (struct report_value){ .text = text, .type = type };
        judge(v, &v->item[v->count], type_name);
        v->count++;
    }
    i = (size_t)*at;
    buf_release(&key);
    scope_key(pair, scope, i);
    (void)map_put(v->scopes, pair, sizeof(pair), NULL);
    return i;
}

size_t report_value_joined(const char *type_name, struct slice text,
                           struct buf out[REPORT_JOINED])
{
    static const char *const between[REPORT_JOINED] = { "", "-", "_", "." };
    const char *first = memchr(text.p, ' ', text.n);
    const char *last = memrchr(text.p, ' ', text.n);

    if (strcmp(type_name, "PERSON") != 0 || !first || text.n < JOINED_LEAST ||
        memchr(text.p, ',', text.n))
        return 0;
    for (size_t i = 0; i < REPORT_JOINED; i++) {
        buf_add(&out[i], text.p, (size_t)(first - text.p));
        buf_str(&out[i], between[i]);
        buf_add(&out[i], last + 1, (size_t)(text.p + text.n - last - 1));
    }
    return REPORT_JOINED;
}

void report_values_settle(struct report_values *v)
{
    for (size_t i = 0; i < v->count; i++) {
        struct slice key = map_key(v->known, i);
        size_t skip = strlen(key.p) + 1; /* the type's name ends so */

        v->item[i].text = (struct slice){ key.p + skip, key.n - skip };
    }
}

bool report_values_has(const struct report_values *v, struct slice scope,
                       size_t value)
{
    uint64_t pair[2];

    scope_key(pair, scope, value);
    return map_get(v->scopes, pair, sizeof(pair)) != NULL;
}

/* One level of escapes; false if there was none. */
static bool unescape_once(struct buf *text)
{
    struct buf quoted = { 0 }, plain = { 0 };
    struct json j = { 0 };
    bool done = false;

    if (!text->len || !memchr(text->data, '\\', text->len))
        return false;
    buf_char(&quoted, '"');
    buf_add_slice(&quoted, buf_slice(text));
    buf_char(&quoted, '"');
    if (json_parse(&j, quoted.data, quoted.len, NULL) == 0 &&
        json_text(&j, 0, &plain)) {
        buf_reset(text);
        buf_add_slice(text, buf_slice(&plain));
        done = true;
    }
    json_release(&j);
    buf_release(&quoted);
    buf_release(&plain);
    return done;
}

void report_unescape(struct slice raw, struct buf *out)
{
    struct buf text = { 0 };

    buf_add_slice(&text, raw);
    for (unsigned i = 0; i < SCRUB_MAX_NESTING && unescape_once(&text); i++)
        ;
    buf_add_slice(out, slice_trim(buf_slice(&text)));
    buf_release(&text);
}

/* A member name may be a secret itself. */
static void put_safe_token(struct buf *out, struct slice name)
{
    bool index = name.n <= 6, plain = name.n <= 24;

    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];

        index = index && c >= '0' && c <= '9';
        plain = plain && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          c == '_' || c == '-');
    }
    if (index || plain)
        buf_add_slice(out, name);
    else
        buf_printf(out, "<key #%08x>",
                   (unsigned)hash_stable(name.p, name.n, 0));
}

static void put_safe_pointer(struct buf *out, struct slice pointer)
{
    size_t at = 1;

    while (at <= pointer.n) {
        size_t end = at;

        while (end < pointer.n && pointer.p[end] != '/')
            end++;
        buf_char(out, '/');
        put_safe_token(out, (struct slice){ pointer.p + at, end - at });
        at = end + 1;
    }
}

void report_place(struct curate_place *p, int64_t call, unsigned document,
                  struct slice text, size_t at)
{
    static const char *const names[] = { "request", "response", "outcome" };
    struct buf where = { 0 }, pointer = { 0 };
    struct json j = { 0 };

    p->call = call;
    buf_printf(&where, "%s ", names[document]);
    if (json_parse(&j, text.p, text.n, NULL) == 0) {
        (void)curate_pointer(&j, at, &pointer);
        put_safe_pointer(&where, buf_slice(&pointer));
    } else {
        buf_printf(&where, "byte %zu", at);
    }
    for (size_t i = 0; i < where.len; i++)
        if ((unsigned char)where.data[i] < 0x20)
            where.data[i] = ' ';
    (void)snprintf(p->where, sizeof(p->where), "%s", where.data);
    json_release(&j);
    buf_release(&pointer);
    buf_release(&where);
}
