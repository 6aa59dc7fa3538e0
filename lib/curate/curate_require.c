/*
 * curate_require.c - conditions on outcomes
 *
 * One comparison each: a path, an operator, a value. What an outcome does not
 * have meets no condition, not even "!=": nothing is known of it.
 */
#include "curate/curate_settle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_PARTS 8
#define NAME "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

enum operator{ EXISTS, EQUAL, UNEQUAL, LESS, LESS_EQUAL, MORE, MORE_EQUAL };

struct curate_require {
    char *path; /* with NULs for dots */
    const char *part[PATH_MAX_PARTS];
    size_t parts;
    enum operator op;
    char *value;
    bool number;
    double wanted;
};

void curate_require_free(struct curate_require *r)
{
    if (!r)
        return;
    free(r->path);
    free(r->value);
    free(r);
}

static const char *find_operator(const char *text, enum operator* op,
                                 size_t *length)
{
    static const struct {
        const char *text;
        enum operator op;
    } table[] = { { ">=", MORE_EQUAL }, { "<=", LESS_EQUAL }, { "!=", UNEQUAL },
                  { "==", EQUAL },      { "=", EQUAL },       { ">", MORE },
                  { "<", LESS } };
    const char *at = strpbrk(text, "<>=!");

    for (size_t i = 0; at && i < sizeof(table) / sizeof(*table); i++) {
        size_t n = strlen(table[i].text);

        if (strncmp(at, table[i].text, n) != 0)
            continue;
        *op = table[i].op;
        *length = n;
        return at;
    }
    *op = EXISTS;
    *length = 0;
    return at ? NULL : text + strlen(text);
}

static bool split_path(struct curate_require *r)
{
    char *p = r->path;

    while (r->parts < PATH_MAX_PARTS) {
        char *dot = strchr(p, '.');

        if (dot)
            *dot = '\0';
        if (!*p || strspn(p, NAME) != strlen(p))
            return false;
        r->part[r->parts++] = p;
        if (!dot)
            return r->parts >= 2 && strcmp(r->part[0], "outcome") == 0;
        p = dot + 1;
    }
    return false;
}

static void read_value(struct curate_require *r, const char *text)
{
    struct slice v = slice_trim(slice_of(text));
    char *end;

    if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
        v = (struct slice){ v.p + 1, v.n - 2 };
    else
        r->number = v.n > 0;
    r->value = slice_dup(v);
    r->wanted = strtod(r->value, &end);
    r->number = r->number && *end == '\0' && isfinite(r->wanted);
}

/* What could never hold would drop everything without a word. */
static bool can_hold(const struct curate_require *r, const char *value)
{
    value += strspn(value, " \t");
    if (r->op == EXISTS)
        return true;
    if (!*r->value || (*value && strchr("<>=!", *value)))
        return false;
    if (strcmp(r->part[1], "answer") == 0)
        return false; /* a text to learn, known only to be there */
    if (r->parts == 2 && strcmp(r->part[1], "reward") == 0)
        return r->number;
    return r->op <= UNEQUAL || r->number;
}

int curate_require_new(const char *text, struct curate_require **out,
                       struct err *err)
{
    struct curate_require *r = mem_zalloc(sizeof(*r));
    size_t length;
    const char *op = find_operator(text, &r->op, &length);

    if (op) {
        struct slice path =
            slice_trim((struct slice){ text, (size_t)(op - text) });

        r->path = slice_dup(path);
        read_value(r, op + length);
    }
    if (!op || !split_path(r) || !can_hold(r, op + length)) {
        curate_require_free(r);
        return err_set(err, ERR_INVALID,
                       "\"%s\": a condition like outcome.reward>0, "
                       "outcome.label=good or outcome.checked is expected; "
                       "rewards, < and > compare numbers, and outcome.answer "
                       "stands alone",
                       text);
    }
    *out = r;
    return ERR_OK;
}

static bool compare(const struct curate_require *r, double v)
{
    switch (r->op) {
    case EQUAL: return v == r->wanted;
    case UNEQUAL: return v != r->wanted;
    case LESS: return v < r->wanted;
    case LESS_EQUAL: return v <= r->wanted;
    case MORE: return v > r->wanted;
    case MORE_EQUAL: return v >= r->wanted;
    default: return true;
    }
}

static bool compare_text(const struct curate_require *r, struct slice v)
{
    if (r->op == EXISTS)
        return true;
    return r->op <= UNEQUAL && slice_is(v, r->value) == (r->op == EQUAL);
}

/* A member of the other fields, along the path. */
static json_ref find_member(const struct json *j,
                            const struct curate_require *r)
{
    json_ref v = 0;

    for (size_t i = 1; i < r->parts; i++)
        v = json_get(j, v, r->part[i]);
    return v;
}

static bool extra_meets(const struct curate_require *r, struct slice extra)
{
    struct json j = { 0 };
    struct buf text = { 0 };
    bool meets = false;

    if (extra.n && json_parse(&j, extra.p, extra.n, NULL) == 0) {
        json_ref v = find_member(&j, r);
        double number;

        if (r->number && json_double(&j, v, &number))
            meets = compare(r, number);
        else if (json_text(&j, v, &text))
            meets = compare_text(r, buf_slice(&text));
        else if (v != JSON_NONE && json_kind(&j, v) != JSON_NULL)
            meets = compare_text(r, json_raw(&j, v));
    }
    buf_release(&text);
    json_release(&j);
    return meets;
}

bool curate_require_meets(const struct curate_require *r,
                          const struct curate_outcome *o)
{
    if (!o->there)
        return false;
    if (r->parts == 2 && strcmp(r->part[1], "reward") == 0)
        return o->has_reward && (r->op == EXISTS || r->number) &&
               compare(r, o->reward);
    if (r->parts == 2 && strcmp(r->part[1], "label") == 0)
        return o->label.n > 0 && compare_text(r, o->label);
    if (r->parts == 2 && strcmp(r->part[1], "answer") == 0)
        return o->has_answer && r->op == EXISTS;
    return extra_meets(r, o->extra);
}

#define THUMB "\xf0\x9f\x91" /* U+1F44D is up, U+1F44E is down */

/* In lower case, without what is no letter: "Thumbs down!" is "thumbsdown". */
static int mood_of_word(struct slice text)
{
    static const struct {
        const char *word;
        int mood;
    } words[] = { { "down", -1 },     { "thumbsdown", -1 }, { "thumbdown", -1 },
                  { "negative", -1 }, { "bad", -1 },        { "dislike", -1 },
                  { "disliked", -1 }, { "downvote", -1 },   { "up", 1 },
                  { "thumbsup", 1 },  { "thumbup", 1 },     { "positive", 1 },
                  { "good", 1 },      { "like", 1 },        { "liked", 1 },
                  { "upvote", 1 } };
    char word[16];
    size_t n = 0;

    text = slice_trim(text);
    if (text.n >= 4 && memcmp(text.p, THUMB, 3) == 0) /* then maybe its skin */
        return text.p[3] == '\x8e' ? -1 : text.p[3] == '\x8d';
    for (size_t i = 0; i < text.n && n < sizeof(word); i++) {
        char c = text.p[i] >= 'A' && text.p[i] <= 'Z' ? (char)(text.p[i] | 0x20)
                                                      : text.p[i];

        if ((unsigned char)c >= 0x80)
            return 0;
        if (c >= 'a' && c <= 'z')
            word[n++] = c;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (slice_is((struct slice){ word, n }, words[i].word))
            return words[i].mood;
    return 0;
}

static int mood_of(const struct json *j, json_ref v)
{
    struct buf text = { 0 };
    double n;
    int mood = 0;

    if (json_double(j, v, &n))
        return (n > 0) - (n < 0);
    if (json_text(j, v, &text))
        mood = mood_of_word(buf_slice(&text));
    buf_release(&text);
    return mood;
}

/* Of a member that a person's opinion stands in, or one level below. */
static int mood_in(const struct json *j, json_ref object, bool below)
{
    static const char *const names[] = { "feedback", "rating", "thumbs", "vote",
                                         "value" };
    int mood = 0;

    for (size_t i = 0; !mood && i < 4 + (size_t)below; i++) {
        json_ref v = json_get(j, object, names[i]);

        mood = json_is(j, v, JSON_OBJECT) && !below ? mood_in(j, v, true)
                                                    : mood_of(j, v);
    }
    return mood;
}

/* Labels are answers to learn, not opinions: "negative" may be one. */
int curate_outcome_mood(const struct curate_outcome *o)
{
    struct json j = { 0 };
    int mood = 0;

    if (o->has_reward && o->reward != 0)
        return o->reward < 0 ? -1 : 1;
    if (o->extra.n && json_parse(&j, o->extra.p, o->extra.n, NULL) == 0)
        mood = mood_in(&j, 0, false);
    json_release(&j);
    return mood;
}
