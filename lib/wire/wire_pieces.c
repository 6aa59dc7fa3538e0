/*
 * wire_pieces.c - a file as the texts of single records
 *
 * Most loggers write a record a line; some write lists, on one line or over
 * many. Only those are parsed here, the rest goes on untouched: a line that is
 * damaged stays one bad line, and takes none of its neighbours with it.
 */
#include "wire/wire_pieces.h"

#include "wire/wire_join.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct wire_pieces {
    struct codec_lines *lines; /* NULL: lines are given */
    struct codec_line given;
    bool has_given;
    struct buf document; /* the text of the list at hand */
    struct json json;
    struct slice *list; /* its records */
    size_t count, cap, at;
    int64_t number;
    uint64_t size; /* not yet told */
    struct wire_join join;
    struct buf joined; /* the call at hand that came from there */
    bool is_torn;      /* the list has no end, and its rest is not yet given */
    struct slice rest;
    struct buf mended; /* such a list with an end */
    int failed;        /* the file, within a list that goes first */
    struct err failure;
};

int wire_pieces_open(const char *path, struct wire_pieces **out,
                     struct err *err)
{
    struct wire_pieces *p = mem_zalloc(sizeof(*p));
    int rc = codec_lines_open(path, WIRE_LINE_MAX, &p->lines, err);

    if (rc < 0) {
        wire_pieces_close(p);
        return rc;
    }
    *out = p;
    return ERR_OK;
}

struct wire_pieces *wire_pieces_new(void)
{
    struct wire_pieces *p = mem_zalloc(sizeof(*p));

    p->join.alone = true;
    return p;
}

void wire_pieces_give(struct wire_pieces *p, const struct codec_line *line)
{
    p->given = *line;
    p->has_given = true;
}

void wire_pieces_close(struct wire_pieces *p)
{
    if (!p)
        return;
    codec_lines_close(p->lines);
    buf_release(&p->document);
    json_release(&p->json);
    wire_join_release(&p->join);
    buf_release(&p->joined);
    buf_release(&p->mended);
    free(p->list);
    free(p);
}

bool wire_pieces_ready(const struct wire_pieces *p, int wait_ms)
{
    return p->at < p->count || p->is_torn ||
           codec_lines_ready(p->lines, wait_ms);
}

void wire_pieces_position(const struct wire_pieces *p, uint64_t *done,
                          uint64_t *total)
{
    codec_lines_position(p->lines, done, total);
}

/* Brackets of JSON that are open so far. */
struct brackets {
    int64_t open;
    bool in_text, escaped;
};

static void count_brackets(struct brackets *b, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (b->escaped)
            b->escaped = false;
        else if (b->in_text && c == '\\')
            b->escaped = true;
        else if (c == '"')
            b->in_text = !b->in_text;
        else if (!b->in_text && (c == '{' || c == '['))
            b->open++;
        else if (!b->in_text && (c == '}' || c == ']'))
            b->open--;
    }
}

static bool opens_document(struct slice s, struct brackets *b)
{
    *b = (struct brackets){ .open = 0 };
    if (!s.n || (*s.p != '{' && *s.p != '[') ||
        (s.p[s.n - 1] != '{' && s.p[s.n - 1] != '['))
        return false;
    count_brackets(b, s);
    return b->open > 0 && !b->in_text;
}

/* Whether the first key of an object is this one. */
static bool begins_with_key(struct slice s, const char *key)
{
    size_t n = strlen(key);

    s.p++;
    s.n--;
    s = slice_trim(s);
    return s.n > n + 2 && *s.p == '"' && !memcmp(s.p + 1, key, n) &&
           s.p[n + 1] == '"';
}

static bool may_be_list(struct slice s)
{
    return s.n > 1 && (*s.p == '[' ||
                       (*s.p == '{' && (begins_with_key(s, "resourceSpans") ||
                                        begins_with_key(s, "resourceLogs") ||
                                        begins_with_key(s, "log"))));
}

static void add(struct wire_pieces *p, json_ref v)
{
    void *list = p->list;

    mem_grow(&list, &p->cap, p->count + 1, sizeof(*p->list));
    p->list = list;
    p->list[p->count++] = json_raw(&p->json, v);
}

static void add_all(struct wire_pieces *p, json_ref array)
{
    for (json_ref v = json_first(&p->json, array); v != JSON_NONE;
         v = json_next(&p->json, array, v))
        add(p, v);
}

/* But for those that make one call only together. */
static void add_records(struct wire_pieces *p, json_ref array, bool logs)
{
    const struct json *j = &p->json;

    if (!json_is(j, array, JSON_ARRAY))
        return;
    for (json_ref v = json_first(j, array); v != JSON_NONE;
         v = json_next(j, array, v))
        if (!(logs ? wire_join_log(&p->join, j, v)
                   : wire_join_span(&p->join, j, v)))
            add(p, v);
}

/* resourceSpans[].scopeSpans[].spans[], and the same of logs. */
static bool add_telemetry(struct wire_pieces *p, json_ref o)
{
    static const char *const names[][3] = {
        { "resourceSpans", "scopeSpans", "spans" },
        { "resourceSpans", "instrumentationLibrarySpans", "spans" },
        { "resourceLogs", "scopeLogs", "logRecords" },
    };
    const struct json *j = &p->json;
    bool found = false;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        bool logs = i == 2;
        json_ref list = json_get(j, o, names[i][0]);

        found |= json_is(j, list, JSON_ARRAY);
        for (json_ref r = json_first(j, list); r != JSON_NONE;
             r = json_next(j, list, r)) {
            json_ref scopes = json_get(j, r, names[i][1]);

            for (json_ref s = json_first(j, scopes); s != JSON_NONE;
                 s = json_next(j, scopes, s))
                add_records(p, json_get(j, s, names[i][2]), logs);
        }
    }
    return found;
}

/* False: no list, the text is a record itself. */
static bool split(struct wire_pieces *p, struct slice text)
{
    const struct json *j = &p->json;
    json_ref entries;

    p->count = p->at = 0;
    if (json_parse(&p->json, text.p, text.n, NULL) < 0)
        return false;
    if (json_is(j, 0, JSON_ARRAY)) {
        for (json_ref v = json_first(j, 0); v != JSON_NONE;
             v = json_next(j, 0, v))
            if (!add_telemetry(p, v))
                add(p, v);
        return true;
    }
    entries = json_find(j, 0, "log", "entries", NULL);
    if (json_is(j, entries, JSON_ARRAY)) {
        add_all(p, entries);
        return true;
    }
    return add_telemetry(p, 0);
}

/* How many brackets are open around a record. */
static int64_t record_depth(struct slice list)
{
    return *list.p == '[' ? 1 : begins_with_key(list, "log") ? 3 : 6;
}

/* A list that breaks off, up to its last whole record, and closed there. What
 * remains is in p->rest. False: it does not break off, or has no such. */
static bool mend(struct wire_pieces *p, struct slice list)
{
    int64_t depth = record_depth(list);
    char open[6] = "", closers[sizeof(open)] = "";
    struct brackets b = { .open = 0 };
    size_t end = 0;

    for (size_t i = 0; i < list.n; i++) {
        int64_t before = b.open;

        count_brackets(&b, (struct slice){ list.p + i, 1 });
        if (b.open > before && b.open <= depth)
            open[b.open - 1] = list.p[i] == '{' ? '}' : ']';
        if (b.open < before && b.open == depth && open[depth - 1] == ']') {
            end = i + 1;
            memcpy(closers, open, sizeof(closers));
        }
        if (b.open <= 0)
            return false;
    }
    if (!end)
        return false;
    buf_reset(&p->mended);
    buf_add(&p->mended, list.p, end);
    while (depth > 0)
        buf_char(&p->mended, closers[--depth]);
    p->rest = slice_trim((struct slice){ list.p + end, list.n - end });
    if (p->rest.n > WIRE_LINE_MAX)
        p->rest.n = WIRE_LINE_MAX;
    p->is_torn = split(p, buf_slice(&p->mended));
    return p->is_torn;
}

static void keep(struct wire_pieces *p, struct slice text)
{
    buf_reset(&p->document);
    buf_add_slice(&p->document, text);
}

/* The lines up to the one that closes the brackets, or to the end. */
static int read_document(struct wire_pieces *p, struct codec_line *line,
                         struct brackets *b, struct err *err)
{
    int64_t number = line->number;
    uint64_t size = line->size;
    bool cut = false;
    int rc = 1;

    keep(p, line->text);
    while (rc == 1 && b->open > 0 && !cut) {
        rc = codec_lines_next(p->lines, line, err);
        if (rc == ERR_INTERRUPTED)
            return rc;
        if (rc < 0) {
            p->failed = rc;
            p->failure = *err;
        }
        if (rc <= 0)
            break;
        count_brackets(b, line->text);
        cut = line->cut || p->document.len + line->text.n >= WIRE_DOCUMENT_MAX;
        buf_char(&p->document, '\n');
        buf_add_slice(&p->document, line->text);
        size += line->size + 1;
    }
    *line = (struct codec_line){ .text = buf_slice(&p->document),
                                 .number = number,
                                 .size = size,
                                 .cut = cut };
    return 1;
}

static int next_of_list(struct wire_pieces *p, struct codec_line *out)
{
    *out = (struct codec_line){ .text = p->list[p->at++],
                                .number = p->number,
                                .size = p->size };
    p->size = 0;
    return 1;
}

static bool next_torn(struct wire_pieces *p, struct codec_line *out)
{
    if (!p->is_torn)
        return false;
    *out = (struct codec_line){
        .text = p->rest, .number = p->number, .size = p->size, .torn = true
    };
    p->size = 0;
    p->is_torn = false;
    return true;
}

static bool next_joined(struct wire_pieces *p, enum wire_join_due due,
                        struct codec_line *out)
{
    if (!wire_join_next(&p->join, due, &p->joined))
        return false;
    *out = (struct codec_line){ .text = buf_slice(&p->joined),
                                .number = p->number,
                                .size = p->size,
                                .cut = p->joined.len > WIRE_LINE_MAX };
    p->size = 0;
    return true;
}

static int next_line(struct wire_pieces *p, struct codec_line *out,
                     struct err *err)
{
    bool has = p->has_given;

    if (p->failed) {
        *err = p->failure;
        return p->failed;
    }
    if (p->lines)
        return codec_lines_next(p->lines, out, err);
    *out = p->given;
    p->has_given = false;
    return has;
}

/* What a pipe has given does not wait while it is silent. */
static enum wire_join_due due_of(const struct wire_pieces *p)
{
    return p->join.count && p->lines && !codec_lines_ready(p->lines, 0)
               ? WIRE_JOIN_ANSWERED
               : WIRE_JOIN_WHOLE;
}

int wire_pieces_next(struct wire_pieces *p, struct codec_line *out,
                     struct err *err)
{
    while (p->at == p->count) {
        struct brackets b;
        struct slice text;
        int rc;

        if (next_torn(p, out) || next_joined(p, due_of(p), out))
            return 1;
        rc = next_line(p, out, err);
        if (rc == 0 && p->lines && next_joined(p, WIRE_JOIN_ALL, out))
            return 1;
        if (rc <= 0)
            return rc;
        text = slice_trim(out->text);
        if (p->lines && !out->cut && opens_document(text, &b)) {
            rc = read_document(p, out, &b, err);
            if (rc < 0)
                return rc;
            text = slice_trim(out->text);
        } else if (!out->cut && may_be_list(text)) {
            keep(p, out->text);
            out->text = buf_slice(&p->document);
            text = slice_trim(out->text);
        }
        if (out->cut || !may_be_list(text) ||
            (!split(p, text) && !mend(p, text)))
            return 1;
        p->number = out->number;
        p->size += out->size;
    }
    return next_of_list(p, out);
}
