/*
 * curate_view.c - what an example is compared by
 *
 * Agents say most of a prompt each time again: system prompt, tools, earlier
 * turns. Only what follows from the last user's turn on is compared by its
 * words (the variable part); the rest is known by one hash. Pieces that were
 * scrubbed count by their type. Answers are compared as they were logged: one
 * that names another person is another answer.
 */
#include "curate/curate_priv.h"

#include "base/bytes.h"

#include <string.h>
#include <strings.h>

#define TASK_WORDS 16 /* of a system prompt: later words may be variable */
#define VERSION 1     /* first byte of a sketch */
#define TOOLS_MAX 256 /* names that a fingerprint looks at */

void curate_text(const struct json *j, json_ref content, struct buf *out)
{
    if (json_text(j, content, out) || !json_is(j, content, JSON_ARRAY))
        return;
    for (json_ref e = json_first(j, content); e != JSON_NONE;
         e = json_next(j, content, e))
        if (json_text(j, json_get(j, e, "text"), out))
            buf_char(out, '\n');
}

static bool has_role(const struct json *j, json_ref m, const char *role)
{
    return json_text_is(j, json_get(j, m, "role"), role);
}

static bool is_system(const struct json *j, json_ref m)
{
    return has_role(j, m, "system") || has_role(j, m, "developer");
}

json_ref curate_last_user(const struct json *j, json_ref messages)
{
    json_ref last = JSON_NONE;

    if (!json_is(j, messages, JSON_ARRAY))
        return last;
    for (json_ref m = json_first(j, messages); m != JSON_NONE;
         m = json_next(j, messages, m))
        if (has_role(j, m, "user"))
            last = m;
    return last;
}

static uint64_t hash_of(const struct curate_judge *g, struct slice s,
                        uint64_t more)
{
    return hash_stable(s.p ? s.p : "", s.n, g->seed ^ more);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

/* Prompts that tell the day are of one kind on all days. */
static bool is_of_a_date(struct slice word)
{
    static const char *const names[] = {
        "monday",   "tuesday", "wednesday", "thursday", "friday",   "saturday",
        "sunday",   "mon",     "tue",       "tues",     "wed",      "thu",
        "thur",     "thurs",   "fri",       "sat",      "sun",      "january",
        "february", "march",   "april",     "may",      "june",     "july",
        "august",   "october", "september", "november", "december", "jan",
        "feb",      "mar",     "apr",       "jun",      "jul",      "aug",
        "sep",      "sept",    "oct",       "nov",      "dec"
    };

    for (size_t i = 0; i < word.n; i++)
        if (word.p[i] >= '0' && word.p[i] <= '9')
            return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strlen(names[i]) == word.n &&
            strncasecmp(names[i], word.p, word.n) == 0)
            return true;
    return false;
}

/* Over the first words of a text, but for those of dates. */
static uint64_t hash_words(const struct curate_judge *g, struct slice s,
                           uint64_t h)
{
    size_t i = 0;

    for (size_t words = 0; words < TASK_WORDS && i < s.n;) {
        struct slice word;
        size_t from;

        while (i < s.n && !is_word(s.p[i]))
            i++;
        for (from = i; i < s.n && is_word(s.p[i]);)
            i++;
        word = (struct slice){ s.p + from, i - from };
        if (!word.n || is_of_a_date(word))
            continue;
        h = hash_of(g, word, h);
        words++;
    }
    return h;
}

static json_ref tool_name(const struct json *j, json_ref tool)
{
    json_ref f = json_get(j, tool, "function");

    return json_get(j, f == JSON_NONE ? tool : f, "name");
}

/* Over the names of tools, whatever their order. */
static uint64_t hash_names(const struct curate_judge *g, const struct json *j,
                           json_ref list)
{
    uint64_t sum = 0;
    size_t n = 0;

    if (!json_is(j, list, JSON_ARRAY))
        return 0;
    for (json_ref e = json_first(j, list); e != JSON_NONE && n < TOOLS_MAX;
         e = json_next(j, list, e), n++)
        sum += hash_of(g, json_raw(j, tool_name(j, e)), 1);
    return sum;
}

static void put_member(struct curate_judge *g, const struct json *j,
                       const char *name)
{
    json_canonical(j, json_get(j, 0, name), &g->canonical);
}

/* What one message adds to the variable part: texts, and arguments of calls. */
static void put_variable(const struct json *j, json_ref m, struct buf *out)
{
    json_ref calls = json_get(j, m, "tool_calls");

    curate_text(j, json_get(j, m, "content"), out);
    buf_char(out, '\n');
    if (!json_is(j, calls, JSON_ARRAY))
        return;
    for (json_ref e = json_first(j, calls); e != JSON_NONE;
         e = json_next(j, calls, e)) {
        (void)json_text(j, tool_name(j, e), out);
        buf_char(out, ' ');
        (void)json_text(j, json_find(j, e, "function", "arguments", NULL), out);
        buf_char(out, '\n');
    }
}

/* Splits the request: what is variable goes to g->text, all else to
 * g->canonical. */
static void split_request(struct curate_judge *g, const struct json *j,
                          struct curate_sketch *k, uint64_t *prompt)
{
    json_ref messages = json_get(j, 0, "messages");
    json_ref last = curate_last_user(j, messages);
    struct buf words = { 0 };
    bool variable = false;

    buf_reset(&g->text);
    buf_reset(&g->canonical);
    for (json_ref m = json_first(j, messages); m != JSON_NONE;
         m = json_next(j, messages, m)) {
        variable =
            variable || m == last || (last == JSON_NONE && !is_system(j, m));
        if (variable) {
            put_variable(j, m, &g->text);
            continue;
        }
        k->multi = k->multi || has_role(j, m, "assistant");
        if (is_system(j, m))
            curate_text(j, json_get(j, m, "content"), &words);
        curate_put_message(g, j, m);
        buf_char(&g->canonical, '\n');
    }
    put_member(g, j, "tools");
    put_member(g, j, "functions");
    put_member(g, j, "response_format");
    *prompt = hash_words(g, buf_slice(&words), *prompt);
    buf_release(&words);
}

static void hash_parts(struct curate_judge *g, const struct curate_item *it,
                       struct curate_sketch *k)
{
    const struct json *q = &g->request, *a = &g->response;
    json_ref message =
        json_get(a, json_at(a, json_get(a, 0, "choices"), 0), "message");
    struct buf variable = { 0 };

    k->task = hash_of(g, buf_slice(&it->workload), 2);
    k->task += hash_names(g, q, json_get(q, 0, "tools"));
    k->task += hash_names(g, q, json_get(q, 0, "functions"));
    split_request(g, q, k, &k->task);
    k->context = hash_of(g, buf_slice(&g->canonical), 3);
    buf_add_slice(&variable, buf_slice(&g->text));
    k->stratum =
        k->task + 3 * hash_names(g, a, json_get(a, message, "tool_calls"));
    dedup_shingle(buf_slice(&variable), g->seed, CURATE_SHINGLES_MAX,
                  &g->shingles);
    buf_release(&variable);
}

static bool parse_view(struct json *j, struct buf *view,
                       const struct buf *instead)
{
    return (view->len && json_parse(j, view->data, view->len, NULL) == 0) ||
           (instead->len &&
            json_parse(j, instead->data, instead->len, NULL) == 0);
}

void curate_sketch_make(struct curate_judge *g, const struct curate_item *it,
                        struct buf *out)
{
    struct curate_sketch k = { 0 };

    buf_reset(&g->tagged_request);
    buf_reset(&g->tagged_response);
    scrub_tag_view(g->scrubber, 0, buf_slice(&it->request), &g->tagged_request);
    scrub_tag_view(g->scrubber, 1, buf_slice(&it->response),
                   &g->tagged_response);
    if (!parse_view(&g->request, &g->tagged_request, &it->clean_request) ||
        !parse_view(&g->response, &g->tagged_response, &it->clean_response))
        return;
    hash_parts(g, it, &k);
    buf_char(out, VERSION);
    bytes_put_u64(out, k.task);
    bytes_put_u64(out, k.context);
    bytes_put_u64(out, k.stratum);
    bytes_put_u32(out, (uint32_t)g->shingles.words);
    bytes_put_u32(out, (uint32_t)k.multi | (uint32_t)g->shingles.cut << 1);
    bytes_put_u32(out, (uint32_t)g->shingles.count);
    for (size_t i = 0; i < g->shingles.count; i++)
        bytes_put_u32(out, g->shingles.hash[i]);
}

bool curate_sketch_read(struct slice bytes, struct curate_sketch *out)
{
    struct bytes_reader r = { .rest = bytes };
    struct curate_sketch k = { 0 };
    const char *version = bytes_take(&r, 1);
    uint32_t flags;

    if (!version || *version != VERSION)
        return false;
    k.task = bytes_u64(&r);
    k.context = bytes_u64(&r);
    k.stratum = bytes_u64(&r);
    k.words = bytes_u32(&r);
    flags = bytes_u32(&r);
    k.multi = flags & 1;
    k.cut = flags >> 1 & 1;
    k.count = (uint32_t)bytes_count(&r, CURATE_SHINGLES_MAX, 4);
    k.hashes = bytes_take(&r, (size_t)k.count * 4);
    if (r.bad || r.rest.n)
        return false;
    *out = k;
    return true;
}
