/*
 * tasks_answer.c - what kind of output a task has
 *
 * Answers never decide which task a call is of. They tell a person, and the
 * metrics of later steps, what the task puts out: a word of a closed set,
 * JSON, a tool call, SQL or text.
 */
#include "tasks/tasks_answer.h"

#include "base/map.h"
#include "base/mem.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LABEL_BYTES 60  /* a longer answer is no label */
#define LABELS_MAX 1000 /* different ones */
#define LABEL_REPEATS 4 /* calls for one label, on average */
#define MOST 0.8        /* of the answers, to name the kind */
#define SHOWN 40        /* labels, keys or tools in the detail */

const char *tasks_kind_name(enum tasks_kind k)
{
    static const char *const names[] = { "text", "label", "json", "tool",
                                         "sql" };

    return names[k];
}

/* The inside of a fenced block, if the answer is one. */
static struct slice unfence(struct slice s)
{
    s = slice_trim(s);
    if (s.n < 6 || !slice_starts(s, "```"))
        return s;
    const char *line = memchr(s.p, '\n', s.n);
    if (!line)
        return s;
    size_t n = s.n - (size_t)(line + 1 - s.p);
    if (n < 3 || memcmp(line + 1 + n - 3, "```", 3) != 0)
        return s;
    return slice_trim((struct slice){ line + 1, n - 3 });
}

static bool is_sql(struct slice s)
{
    static const char *const verbs[] = { "select", "with",   "insert",
                                         "update", "delete", "create" };

    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        size_t n = strlen(verbs[i]);
        if (s.n > n && strncasecmp(s.p, verbs[i], n) == 0 &&
            (s.p[n] == ' ' || s.p[n] == '\n'))
            return memchr(s.p, ' ', s.n) && s.n > n + 8;
    }
    return false;
}

/* Names of an object's members, one a line. */
static char *object_keys(const struct json *j, json_ref object)
{
    struct buf out = { 0 };

    for (json_ref e = json_first(j, object); e != JSON_NONE;
         e = json_next(j, object, e)) {
        json_text(j, json_key(j, e), &out);
        buf_char(&out, '\n');
    }
    return out.data ? buf_take(&out, NULL) : mem_strdup("");
}

static bool read_json(struct slice s, struct tasks_answer *a)
{
    struct json j = { 0 };
    bool found = false;

    if (s.n && (s.p[0] == '{' || s.p[0] == '[') &&
        json_parse(&j, s.p, s.n, NULL) == 0) {
        a->names =
            json_is(&j, 0, JSON_OBJECT) ? object_keys(&j, 0) : mem_strdup("");
        found = true;
    }
    json_release(&j);
    return found;
}

static void read_content(struct slice text, struct tasks_answer *a)
{
    struct slice s = unfence(text);

    a->kind = TASKS_TEXT;
    if (is_sql(s))
        a->kind = TASKS_SQL;
    else if (read_json(s, a))
        a->kind = TASKS_JSON;
    else if (s.n <= LABEL_BYTES && !memchr(s.p ? s.p : "", '\n', s.n))
        a->label = slice_dup(s);
}

/* Names of the tools that a message calls, one a line; NULL: none. */
static char *called_tools(const struct json *j, json_ref message)
{
    struct buf out = { 0 };
    json_ref calls = json_get(j, message, "tool_calls");
    json_ref old = json_find(j, message, "function_call", "name", NULL);

    if (json_is(j, calls, JSON_ARRAY))
        for (json_ref e = json_first(j, calls); e != JSON_NONE;
             e = json_next(j, calls, e)) {
            json_text(j, json_find(j, e, "function", "name", NULL), &out);
            buf_char(&out, '\n');
        }
    if (json_is(j, old, JSON_STRING)) {
        json_text(j, old, &out);
        buf_char(&out, '\n');
    }
    return out.len ? buf_take(&out, NULL) : NULL;
}

void tasks_answer_read(struct slice response, struct tasks_answer *a)
{
    struct json j = { 0 };
    struct buf text = { 0 };

    *a = (struct tasks_answer){ .kind = TASKS_TEXT };
    if (response.n == 0 || json_parse(&j, response.p, response.n, NULL) < 0)
        goto done;
    json_ref message =
        json_get(&j, json_at(&j, json_get(&j, 0, "choices"), 0), "message");
    a->names = called_tools(&j, message);
    if (a->names) {
        a->kind = TASKS_TOOL;
        goto done;
    }
    if (json_text(&j, json_get(&j, message, "content"), &text))
        read_content(buf_slice(&text), a);
done:
    json_release(&j);
    buf_release(&text);
}

void tasks_answer_release(struct tasks_answer *a)
{
    free(a->names);
    free(a->label);
}

struct entry {
    struct slice name;
    uint64_t count;
    size_t order;
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

/* The most frequent keys of m as a JSON array. */
static void put_counts(struct json_writer *w, const char *key,
                       const struct map *m)
{
    size_t n = map_count(m);
    struct entry *e = mem_array(n, sizeof(*e));

    for (size_t i = 0; i < n; i++)
        e[i] = (struct entry){ map_key(m, i), *map_value(m, i), i };
    qsort(e, n, sizeof(*e), compare_entries);
    json_begin_array(w, key);
    for (size_t i = 0; i < n && i < SHOWN; i++)
        json_put_slice(w, NULL, e[i].name);
    json_end_array(w);
    free(e);
}

static void count_lines(struct map *m, const char *names)
{
    for (const char *p = names; *p;) {
        size_t n = strcspn(p, "\n");
        if (n)
            ++*map_put(m, p, n, NULL);
        p += n + (p[n] != '\0');
    }
}

static bool is_label_set(size_t answers, size_t labels, size_t different)
{
    return answers && (double)labels >= 0.95 * (double)answers &&
           different <= LABELS_MAX && different * LABEL_REPEATS <= answers;
}

enum tasks_kind tasks_answers_kind(const struct tasks_answer *const *a,
                                   size_t n, struct json_writer *w)
{
    size_t count[5] = { 0 }, labels = 0;
    struct map *label = map_new(), *name = map_new();
    enum tasks_kind kind = TASKS_TEXT;

    for (size_t i = 0; i < n; i++) {
        count[a[i]->kind]++;
        if (a[i]->label) {
            labels++;
            ++*map_put(label, a[i]->label, strlen(a[i]->label), NULL);
        }
        if (a[i]->names)
            count_lines(name, a[i]->names);
    }
    if (is_label_set(n, labels, map_count(label)))
        kind = TASKS_LABEL;
    /* An agent that asks back now and then is still one that calls tools. */
    else if (count[TASKS_TOOL] * 2 >= n && n)
        kind = TASKS_TOOL;
    else if ((double)count[TASKS_JSON] >= MOST * (double)n && n)
        kind = TASKS_JSON;
    else if ((double)count[TASKS_SQL] >= MOST * (double)n && n)
        kind = TASKS_SQL;
    if (kind == TASKS_LABEL)
        put_counts(w, "labels", label);
    if (kind == TASKS_JSON)
        put_counts(w, "keys", name);
    if (kind == TASKS_TOOL)
        put_counts(w, "tools", name);
    map_free(label);
    map_free(name);
    return kind;
}
