/*
 * curate_report_rest.c - what is left beside the surrogates
 *
 * Strings that look drawn at random, long numbers, and what tells a person from
 * others without naming him: age, sex, job, place, date, postal code. Shapes
 * and a few words only: it counts what a person should look at, and decides
 * nothing.
 */
#include "curate/curate_report_priv.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TOKEN_MIN 20
#define TOKEN_MAX 512
#define HEX_MIN 32
#define DIGITS_MIN 9
#define ENTROPY_MIN 3.5 /* bits a character */
#define NESTING 3

enum { REST_TOKEN, REST_HEX, REST_NUMBER, REST_ID };

const char *report_rest_kind(unsigned kind)
{
    static const char *const names[CURATE_RESTS] = {
        "random-looking strings", "hexadecimal strings", "long numbers",
        "ids of answers and tool calls"
    };

    return names[kind];
}

const char *report_quasi_name(unsigned attribute)
{
    static const char *const names[QUASI_COUNT] = { "age",   "date", "job",
                                                    "place", "sex",  "zip3" };

    return names[attribute];
}

/* One string of a document. */
struct seen {
    struct report_item *it;
    unsigned document;
    size_t at;
    struct slice text, key; /* key: words, "_date_of_birth_" */
    bool talk;              /* of a person or a tool, not of the system */
};

static void add_string(const struct seen *s, unsigned kind, struct slice token)
{
    struct report_item *it = s->it;
    void *all = it->string;

    if (it->strings >= 10000)
        return;
    mem_grow(&all, &it->string_cap, it->strings + 1, sizeof(*it->string));
    it->string = all;
    it->string[it->strings++] = (struct report_string){
        .kind = kind,
        .document = s->document,
        .at = s->at,
        .length = token.n,
        .hash = hash64(token.p, token.n, 3),
    };
}

static double entropy(struct slice t)
{
    unsigned count[256] = { 0 };
    double bits = 0;

    for (size_t i = 0; i < t.n; i++)
        count[(unsigned char)t.p[i]]++;
    for (int i = 0; i < 256; i++)
        if (count[i]) {
            double p = count[i] / (double)t.n;

            bits -= p * log2(p);
        }
    return bits;
}

static int class_of(char c)
{
    unsigned char u = (unsigned char)c;

    return isdigit(u) ? 0 : isupper(u) ? 1 : islower(u) ? 2 : 3;
}

/* Names in programs change from one kind of character to another rarely. */
static bool looks_random(struct slice t)
{
    size_t changes = 0, of[4] = { 0 };

    for (size_t i = 0; i < t.n; i++) {
        int now = class_of(t.p[i]), last = i ? class_of(t.p[i - 1]) : now;

        of[now]++;
        changes += now != last && now != 3 && last != 3;
    }
    return of[0] && (of[1] || of[2]) && 4 * changes >= t.n &&
           entropy(t) >= ENTROPY_MIN;
}

static bool is_hex(struct slice t)
{
    for (size_t i = 0; i < t.n; i++)
        if (!isxdigit((unsigned char)t.p[i]) && t.p[i] != '-')
            return false;
    return true;
}

static bool all_digits(struct slice t)
{
    for (size_t i = 0; i < t.n; i++)
        if (!isdigit((unsigned char)t.p[i]))
            return false;
    return true;
}

static bool is_id_key(struct slice key)
{
    static const char *const names[] = { "_id_",      "_tool_call_id_",
                                         "_call_id_", "_system_fingerprint_",
                                         "_created_", "_timestamp_" };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (slice_is(key, names[i]))
            return true;
    return false;
}

static void judge_token(const struct seen *s, struct slice t)
{
    bool number = t.n >= DIGITS_MIN && all_digits(t);

    if (t.n > TOKEN_MAX || (t.n < TOKEN_MIN && !number))
        return;
    if (!number && !(t.n >= HEX_MIN && is_hex(t)) && !looks_random(t))
        return;
    add_string(s,
               is_id_key(s->key) ? REST_ID
               : number          ? REST_NUMBER
               : is_hex(t)       ? REST_HEX
                                 : REST_TOKEN,
               t);
}

static bool in_token(char c)
{
    return isalnum((unsigned char)c) || c == '+' || c == '/' || c == '_' ||
           c == '=' || c == '-';
}

static void look_for_tokens(const struct seen *s)
{
    struct slice t = s->text;
    size_t i = 0;

    while (i < t.n) {
        size_t from = i;

        while (i < t.n && in_token(t.p[i]))
            i++;
        if (i - from >= DIGITS_MIN)
            judge_token(s, (struct slice){ t.p + from, i - from });
        i += i == from;
    }
}

static void set_quasi(const struct seen *s, unsigned attribute,
                      struct slice value)
{
    struct buf low = { 0 };

    for (size_t i = 0; i < value.n; i++)
        buf_char(&low, (char)tolower((unsigned char)value.p[i]));
    if (low.len && !s->it->quasi[attribute])
        s->it->quasi[attribute] = hash64(low.data, low.len, 5) | 1;
    buf_release(&low);
}

static bool key_has(struct slice key, const char *word)
{
    return memmem(key.p, key.n, word, strlen(word)) != NULL;
}

/* What the key says the value is. */
static void look_at_key(const struct seen *s)
{
    static const struct {
        const char *word;
        unsigned attribute;
    } keys[] = {
        { "_age_", QUASI_AGE },          { "_gender_", QUASI_SEX },
        { "_sex_", QUASI_SEX },          { "_zip_", QUASI_ZIP3 },
        { "_postal_code_", QUASI_ZIP3 }, { "_zipcode_", QUASI_ZIP3 },
        { "_job_", QUASI_JOB },          { "_occupation_", QUASI_JOB },
        { "_profession_", QUASI_JOB },   { "_job_title_", QUASI_JOB },
        { "_city_", QUASI_PLACE },       { "_hometown_", QUASI_PLACE },
        { "_county_", QUASI_PLACE },     { "_dob_", QUASI_DATE },
        { "_birth_", QUASI_DATE },       { "_birthday_", QUASI_DATE }
    };
    struct slice v = slice_trim(s->text);

    if (!s->key.n || !v.n || v.n > 60 || memchr(v.p, '<', v.n))
        return;
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        if (!key_has(s->key, keys[i].word))
            continue;
        if (keys[i].attribute == QUASI_ZIP3 && v.n > 3)
            v.n = 3;
        set_quasi(s, keys[i].attribute, v);
        return;
    }
}

static bool is_word(struct slice t, size_t at, const char *word)
{
    size_t n = strlen(word);

    return at + n <= t.n && strncasecmp(t.p + at, word, n) == 0 &&
           (at == 0 || !isalnum((unsigned char)t.p[at - 1])) &&
           (at + n == t.n || !isalnum((unsigned char)t.p[at + n]));
}

static size_t digits_at(struct slice t, size_t at)
{
    size_t n = 0;

    while (at + n < t.n && isdigit((unsigned char)t.p[at + n]))
        n++;
    return n;
}

/* "34 years old", "34-year-old", "aged 34". */
static void look_for_age(const struct seen *s, size_t at)
{
    struct slice t = s->text;
    size_t n = digits_at(t, at), next = at + n + 1;
    struct slice value = { t.p + at, n };

    if (!n || n > 3 || (at && isalnum((unsigned char)t.p[at - 1])))
        return;
    if (next < t.n && (t.p[next - 1] == ' ' || t.p[next - 1] == '-') &&
        (is_word(t, next, "years old") || is_word(t, next, "year-old") ||
         is_word(t, next, "year old") || is_word(t, next, "years of age") ||
         is_word(t, next, "yo")))
        set_quasi(s, QUASI_AGE, value);
    else if (at >= 5 && is_word(t, at - 5, "aged"))
        set_quasi(s, QUASI_AGE, value);
}

/* "CA 94110" and 2024-05-20. */
static void look_for_numbers(const struct seen *s, size_t at)
{
    struct slice t = s->text;
    size_t n = digits_at(t, at);

    if (n == 5 && at >= 3 && t.p[at - 1] == ' ' &&
        isupper((unsigned char)t.p[at - 2]) &&
        isupper((unsigned char)t.p[at - 3]) &&
        (at == 3 || !isalnum((unsigned char)t.p[at - 4])))
        set_quasi(s, QUASI_ZIP3, (struct slice){ t.p + at, 3 });
    if (n == 4 && at + 10 <= t.n && t.p[at + 4] == '-' &&
        digits_at(t, at + 5) == 2 && t.p[at + 7] == '-' &&
        digits_at(t, at + 8) == 2)
        set_quasi(s, QUASI_DATE, (struct slice){ t.p + at, 10 });
    look_for_age(s, at);
}

static void look_for_words(const struct seen *s, size_t at)
{
    struct slice t = s->text, job = report_job(t, at);

    if (is_word(t, at, "male") || is_word(t, at, "man"))
        set_quasi(s, QUASI_SEX, slice_of("male"));
    if (is_word(t, at, "female") || is_word(t, at, "woman"))
        set_quasi(s, QUASI_SEX, slice_of("female"));
    if (job.n)
        set_quasi(s, QUASI_JOB, job);
}

static void look_for_person(const struct seen *s)
{
    struct slice t = s->text;

    look_at_key(s);
    for (size_t i = 0; i < t.n; i++) {
        bool begins = i == 0 || !isalnum((unsigned char)t.p[i - 1]);

        if (!begins)
            continue;
        if (isdigit((unsigned char)t.p[i]))
            look_for_numbers(s, i);
        else if (isalpha((unsigned char)t.p[i]))
            look_for_words(s, i);
    }
}

static void look_at_value(struct seen s, const struct json *j, json_ref v,
                          unsigned depth);

/* JSON inside of a string is looked at as what it is. */
static void look_at_text(struct seen s, unsigned depth)
{
    struct json inner = { 0 };
    struct slice t = slice_trim(s.text);

    if (depth < NESTING && t.n > 1 && (t.p[0] == '{' || t.p[0] == '[') &&
        json_parse(&inner, t.p, t.n, NULL) == 0) {
        look_at_value(s, &inner, 0, depth + 1);
    } else {
        look_for_tokens(&s);
        if (s.talk)
            look_for_person(&s);
    }
    json_release(&inner);
}

static void look_at_members(struct seen s, const struct json *j, json_ref v,
                            unsigned depth)
{
    json_ref role = json_get(j, v, "role");
    struct buf words = { 0 };

    if (json_text_is(j, role, "system") || json_text_is(j, role, "developer"))
        s.talk = false;
    for (json_ref e = json_first(j, v); e != JSON_NONE;
         e = json_next(j, v, e)) {
        struct slice raw = json_raw(j, json_key(j, e));
        struct seen inner = s;

        buf_reset(&words);
        scrub_key_words((struct slice){ raw.p + 1, raw.n - 2 }, &words);
        inner.key = buf_slice(&words);
        inner.talk = s.talk && !slice_is(inner.key, "_tools_") &&
                     !slice_is(inner.key, "_functions_");
        look_at_value(inner, j, e, depth);
    }
    buf_release(&words);
}

static void look_at_value(struct seen s, const struct json *j, json_ref v,
                          unsigned depth)
{
    struct buf text = { 0 };

    if (!depth)
        s.at = j->nodes[v].start;
    switch (json_kind(j, v)) {
    case JSON_OBJECT: look_at_members(s, j, v, depth); break;
    case JSON_ARRAY:
        for (json_ref e = json_first(j, v); e != JSON_NONE;
             e = json_next(j, v, e))
            look_at_value(s, j, e, depth);
        break;
    case JSON_STRING:
        (void)json_text(j, v, &text);
        s.text = buf_slice(&text);
        look_at_text(s, depth);
        break;
    case JSON_NUMBER:
        s.text = json_raw(j, v);
        look_at_text(s, depth);
        break;
    default: break;
    }
    buf_release(&text);
}

void report_rest_look(struct report_item *it, unsigned document)
{
    struct seen s = { .it = it, .document = document, .talk = true };
    struct slice text = buf_slice(&it->blank[document]);
    struct json j = { 0 };

    if (text.n && json_parse(&j, text.p, text.n, NULL) == 0) {
        look_at_value(s, &j, 0, 0);
    } else if (text.n) {
        s.text = text;
        look_at_text(s, 0);
    }
    json_release(&j);
}
