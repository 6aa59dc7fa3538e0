/*
 * tasks_prompt.c - a request as tokens and keys
 *
 * What varies without meaning (numbers, dates, case, white space) is taken out
 * of the tokens, so that "today is Monday" does not make seven tasks. Long
 * texts keep their two ends: templates stand there.
 */
#include "tasks/tasks_private.h"

#include "base/map.h"
#include "base/mem.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

#define TOOLS_MAX 4096

static bool is_letter(int32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= 0xC0 && c < 0x2E80 && !(c >= 0x2000 && c < 0x2C00));
}

static bool is_digit(int32_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_break(int32_t c)
{
    return c == '\n' || c == '\r';
}

static bool is_space(int32_t c)
{
    return c == ' ' || c == '\t' || c == 0xA0 || c == 0x3000;
}

/* Week days and months in English; others would need tables per language. */
static bool is_date_word(const char *w, size_t n)
{
    static const char *const words[] = {
        "monday",    "tuesday", "wednesday", "thursday", "friday",
        "saturday",  "sunday",  "january",   "february", "march",
        "april",     "may",     "june",      "july",     "august",
        "september", "october", "november",  "december",
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strlen(words[i]) == n && memcmp(words[i], w, n) == 0)
            return strcmp(words[i], "may") != 0;
    return false;
}

static uint32_t word_hash(const char *p, size_t n)
{
    char word[64] = "";
    size_t m = n < sizeof(word) ? n : sizeof(word);

    for (size_t i = 0; i < m; i++)
        word[i] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i];
    if (is_date_word(word, m))
        return 6;
    uint64_t h = hash_stable(word, m, 0);
    return (uint32_t)(h ^ h >> 32) | 16; /* above the reserved ones */
}

/* Bytes of the token at p: a run of letters, digits or breaks, or one sign. */
static size_t token_length(const char *p, size_t n, int32_t first, size_t used)
{
    bool letters = is_letter(first), digits = is_digit(first);
    bool breaks = is_break(first);
    size_t at = used;

    if (!letters && !digits && !breaks)
        return used;
    while (at < n) {
        int32_t c = utf8_decode(p + at, n - at, &used);
        bool same = letters  ? is_letter(c)
                    : digits ? is_digit(c)
                             : is_break(c) || is_space(c);
        if (!same)
            break;
        at += used;
    }
    return at;
}

struct tasks_token *tasks_tokenize(struct slice text, size_t *n)
{
    struct tasks_token *t = NULL;
    size_t cap = 0, count = 0, length;

    for (size_t at = 0; at < text.n; at += length) {
        size_t used;
        int32_t c = utf8_decode(text.p + at, text.n - at, &used);
        length = used;
        if (is_space(c))
            continue;
        length = token_length(text.p + at, text.n - at, c, used);
        uint32_t hash = is_digit(c)   ? 5
                        : is_break(c) ? 7
                                      : word_hash(text.p + at, length);
        bool again = count && t[count - 1].hash == hash && hash == 5;
        if (again) {
            t[count - 1].end = (uint32_t)(at + length);
            continue;
        }
        void *grown = t;
        mem_grow(&grown, &cap, count + 1, sizeof(*t));
        t = grown;
        t[count++] =
            (struct tasks_token){ hash, (uint32_t)at, (uint32_t)(at + length) };
    }
    *n = count;
    return t;
}

static uint64_t shingle_hash(const uint32_t *token, size_t n)
{
    uint64_t h = hash_stable(token, n * sizeof(*token), n);

    return h ? h : 1;
}

uint64_t *tasks_shingles(const uint32_t *token, size_t n, size_t *count)
{
    size_t length = n + 2, fours = length >= 4 ? length - 3 : 0;
    uint32_t *t = mem_array(length, sizeof(*t));
    uint64_t *s = mem_array(fours + 2, sizeof(*s));

    t[0] = TOKEN_BEGIN;
    if (n)
        memcpy(t + 1, token, n * sizeof(*t));
    t[length - 1] = TOKEN_END;
    for (size_t i = 0; i < fours; i++)
        s[i] = shingle_hash(t + i, 4);
    size_t ends = length < 3 ? length : 3;
    s[fours] = shingle_hash(t, ends);
    s[fours + 1] = shingle_hash(t + length - ends, ends);
    *count = fours + 2;
    free(t);
    return s;
}

size_t tasks_cover(const bool *known, size_t shingles, size_t tokens,
                   bool *covered)
{
    size_t length = tokens + 2, fours = shingles - 2, sum = 0;
    bool *own = covered ? covered : mem_array(length, 1);

    memset(own, 0, length);
    for (size_t i = 0; i < fours; i++)
        for (size_t j = 0; j < 4 && known[i]; j++)
            own[i + j] = true;
    for (size_t j = 0; j < 3 && j < length; j++) {
        own[j] |= known[fours];
        own[length - 1 - j] |= known[fours + 1];
    }
    for (size_t i = 0; i < length; i++)
        sum += own[i];
    if (!covered)
        free(own);
    return sum;
}

/* Append the text of a message: a string, or the text parts of an array. */
static void message_text(const struct json *j, json_ref content,
                         struct buf *out)
{
    if (json_is(j, content, JSON_STRING)) {
        json_text(j, content, out);
        return;
    }
    for (json_ref e = json_first(j, content);
         json_is(j, content, JSON_ARRAY) && e != JSON_NONE;
         e = json_next(j, content, e)) {
        json_ref text = json_get(j, e, "text");
        if (out->len && json_is(j, text, JSON_STRING))
            buf_char(out, '\n');
        json_text(j, text, out);
    }
}

static bool is_system(const struct json *j, json_ref message)
{
    json_ref role = json_get(j, message, "role");

    return json_text_is(j, role, "system") ||
           json_text_is(j, role, "developer");
}

/* System messages in a row, and the first message of the user (or, without
 * one, the first that is not of the system). */
static void read_messages(const struct json *j, json_ref messages,
                          struct buf *system, struct buf *user)
{
    json_ref first = JSON_NONE;

    for (json_ref e = json_first(j, messages); e != JSON_NONE;
         e = json_next(j, messages, e)) {
        if (is_system(j, e)) {
            if (system->len)
                buf_char(system, '\n');
            message_text(j, json_get(j, e, "content"), system);
            continue;
        }
        if (first == JSON_NONE)
            first = e;
        if (json_text_is(j, json_get(j, e, "role"), "user")) {
            first = e;
            break;
        }
    }
    message_text(j, json_get(j, first, "content"), user);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted names, one a line. Both `tools` and the older `functions`. */
static char *read_tools(const struct json *j, uint64_t *hash)
{
    char *name[TOOLS_MAX];
    size_t n = 0;
    struct buf out = { 0 };
    json_ref list = json_get(j, 0, "tools");

    if (json_count(j, list) == 0)
        list = json_get(j, 0, "functions");
    if (!json_is(j, list, JSON_ARRAY))
        list = JSON_NONE;
    for (json_ref e = json_first(j, list); e != JSON_NONE && n < TOOLS_MAX;
         e = json_next(j, list, e)) {
        json_ref function = json_get(j, e, "function");
        json_ref at =
            json_get(j, json_present(function) ? function : e, "name");
        char *text = json_strdup(j, at);
        name[n++] = text ? text : mem_strdup("?");
    }
    if (n)
        qsort(name, n, sizeof(name[0]), compare_texts);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&out, "%s%s", i ? "\n" : "", name[i]);
        free(name[i]);
    }
    *hash = n ? hash_stable(out.data, out.len, 1) | 1 : 0;
    return out.data ? buf_take(&out, NULL) : mem_strdup("");
}

/* Plain text is no format; a schema is one of its own. */
static uint64_t read_format(const struct json *j)
{
    json_ref f = json_get(j, 0, "response_format");
    struct buf canonical = { 0 };

    if (!json_present(f) || json_is(j, f, JSON_NULL) ||
        json_text_is(j, json_get(j, f, "type"), "text"))
        return 0;
    json_canonical(j, f, &canonical);
    uint64_t h = hash_stable(canonical.data, canonical.len, 2) | 1;
    buf_release(&canonical);
    return h;
}

/* Hashes of a text's tokens: all, or both ends with a gap between. */
static size_t put_tokens(struct slice text, uint32_t *out)
{
    size_t n, count = 0;
    struct tasks_token *t = tasks_tokenize(text, &n);
    bool cut = n > 2 * TASKS_PART_TOKENS;
    size_t head = cut ? TASKS_PART_TOKENS : n;

    for (size_t i = 0; i < head; i++)
        out[count++] = t[i].hash;
    if (cut) {
        out[count++] = TOKEN_GAP;
        for (size_t i = n - TASKS_PART_TOKENS; i < n; i++)
            out[count++] = t[i].hash;
    }
    free(t);
    return count;
}

/* All of a text's tokens decide the key, not only its ends. */
static uint64_t text_key(struct slice text)
{
    size_t n;
    struct tasks_token *t = tasks_tokenize(text, &n);
    uint64_t h = 3;

    for (size_t i = 0; i < n; i++)
        h = hash_stable(&t[i].hash, sizeof(t[i].hash), h);
    free(t);
    return n ? h | 1 : 0;
}

/* The two ends, cut between characters. */
static char *keep_text(const struct buf *b)
{
    struct buf out = { 0 };
    size_t head = TASKS_TEXT_HEAD, tail;

    if (b->len == 0)
        return mem_strdup("");
    if (b->len <= TASKS_TEXT_HEAD + TASKS_TEXT_TAIL)
        return mem_strndup(b->data, b->len);
    tail = b->len - TASKS_TEXT_TAIL;
    while (head > 0 && (b->data[head] & 0xC0) == 0x80)
        head--;
    while (tail < b->len && (b->data[tail] & 0xC0) == 0x80)
        tail++;
    buf_add(&out, b->data, head);
    buf_str(&out, "\n...\n");
    buf_add(&out, b->data + tail, b->len - tail);
    return buf_take(&out, NULL);
}

static void fill_prompt(const struct json *j, json_ref messages,
                        struct tasks_prompt *p)
{
    struct buf system = { 0 }, user = { 0 };

    read_messages(j, messages, &system, &user);
    p->system = text_key(buf_slice(&system));
    p->token = mem_array(4 * TASKS_PART_TOKENS + 3, sizeof(*p->token));
    if (p->system) {
        p->user_at = put_tokens(buf_slice(&system), p->token);
        p->token[p->user_at++] = TOKEN_USER;
    }
    p->tokens =
        p->user_at + put_tokens(buf_slice(&user), p->token + p->user_at);
    p->token = mem_realloc(p->token, p->tokens + 1, sizeof(*p->token));
    p->system_text = keep_text(&system);
    p->user_text = keep_text(&user);
    p->tool_names = read_tools(j, &p->tools);
    p->format = read_format(j);
    buf_release(&system);
    buf_release(&user);
}

int tasks_prompt_read(struct slice request, struct tasks_prompt *out,
                      struct err *err)
{
    struct json j = { 0 };
    int rc = json_parse(&j, request.p, request.n, err);

    if (rc == 0) {
        json_ref messages = json_get(&j, 0, "messages");
        *out = (struct tasks_prompt){ 0 };
        if (json_is(&j, messages, JSON_ARRAY) && json_count(&j, messages))
            fill_prompt(&j, messages, out);
        else
            rc = err_set(err, ERR_FORMAT, "request: no array \"messages\"");
    }
    json_release(&j);
    return rc;
}

void tasks_prompt_release(struct tasks_prompt *p)
{
    free(p->token);
    free(p->system_text);
    free(p->user_text);
    free(p->tool_names);
    *p = (struct tasks_prompt){ 0 };
}

uint64_t *tasks_doc_shingles(const struct tasks_prompt *p, bool with_system,
                             size_t *count, size_t *tokens)
{
    size_t at = with_system ? 0 : p->user_at;

    *tokens = p->tokens - at;
    return tasks_shingles(p->token + at, *tokens, count);
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

uint64_t *tasks_sorted(const uint64_t *shingle, size_t n)
{
    uint64_t *s = mem_array(n, sizeof(*s));

    memcpy(s, shingle, n * sizeof(*s));
    qsort(s, n, sizeof(*s), compare_hashes);
    return s;
}
