/*
 * json.c - the strict parser and the tape's accessors
 *
 * One pass, an explicit stack instead of recursion. The tape is in document
 * order: a container's node is written first and completed when it closes.
 */
#include "json/json.h"

#include "base/mem.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    struct json *j;
    const char *p;
    size_t n, at;
    struct err *err;
};

static int fail(struct parser *s, const char *what)
{
    return err_set(s->err, ERR_FORMAT, "byte %zu: %s", s->at, what);
}

static void skip_space(struct parser *s)
{
    while (s->at < s->n) {
        char c = s->p[s->at];

        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return;
        s->at++;
    }
}

static int push(struct parser *s, enum json_type type, size_t start,
                json_ref *out)
{
    struct json *j = s->j;

    if (j->count >= JSON_MAX_NODES)
        return err_set(s->err, ERR_LIMIT, "more than %zu values",
                       (size_t)JSON_MAX_NODES);
    if (j->count == j->cap) {
        void *nodes = j->nodes;

        mem_grow(&nodes, &j->cap, j->count + 1, sizeof(*j->nodes));
        j->nodes = nodes;
    }
    *out = (json_ref)j->count;
    j->nodes[j->count++] = (struct json_node){ (uint32_t)start, 0, 0, 0, type };
    return ERR_OK;
}

static void close_node(struct parser *s, json_ref v, size_t end)
{
    s->j->nodes[v].end = (uint32_t)end;
    s->j->nodes[v].next = (uint32_t)s->j->count;
}

static int hex4(const char *p, unsigned *out)
{
    unsigned v = 0;

    for (int i = 0; i < 4; i++) {
        char c = p[i];

        v <<= 4;
        if (c >= '0' && c <= '9')
            v |= (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v |= (unsigned)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            v |= (unsigned)(c - 'A' + 10);
        else
            return 0;
    }
    *out = v;
    return 1;
}

static int check_escape(struct parser *s)
{
    unsigned unit;

    if (s->at + 1 >= s->n)
        return fail(s, "string is not closed");
    switch (s->p[s->at + 1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't': s->at += 2; return ERR_OK;
    case 'u':
        if (s->at + 6 > s->n || !hex4(s->p + s->at + 2, &unit))
            return fail(s, "bad \\u escape");
        s->at += 6;
        return ERR_OK;
    default: return fail(s, "unknown escape");
    }
}

/* How many of eight bytes come before the first that ends a string or needs a
 * closer look. A borrow can mark bytes behind that one only. */
static unsigned count_plain(const char *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    uint64_t v, quote, slash;

    memcpy(&v, p, sizeof(v));
    v = le64toh(v);
    quote = v ^ ones * '"';
    slash = v ^ ones * '\\';
    v = (v | (v - ones * 0x20) | (quote - ones) | (slash - ones)) & high;
    return v ? (unsigned)__builtin_ctzll(v) / 8 : 8;
}

static void skip_plain(struct parser *s)
{
    unsigned n = 8;

    while (n == 8 && s->n - s->at >= 8) {
        n = count_plain(s->p + s->at);
        s->at += n;
    }
}

static int parse_string(struct parser *s, json_ref *out)
{
    bool escaped = false;
    int rc = push(s, JSON_STRING, s->at, out);

    if (rc < 0)
        return rc;
    s->at++;
    while (s->at < s->n) {
        unsigned char c;
        size_t used;

        skip_plain(s);
        if (s->at == s->n)
            break;
        c = (unsigned char)s->p[s->at];
        if (c == '"') {
            s->at++;
            s->j->nodes[*out].count = escaped;
            close_node(s, *out, s->at);
            return ERR_OK;
        }
        if (c == '\\') {
            escaped = true;
            rc = check_escape(s);
            if (rc < 0)
                return rc;
        } else if (c < 0x20) {
            return fail(s, "control character in a string");
        } else if (c < 0x80) {
            s->at++;
        } else {
            if (utf8_decode(s->p + s->at, s->n - s->at, &used) < 0)
                return fail(s, "invalid UTF-8");
            s->at += used;
        }
    }
    return fail(s, "string is not closed");
}

static size_t digits(struct parser *s)
{
    size_t from = s->at;

    while (s->at < s->n && s->p[s->at] >= '0' && s->p[s->at] <= '9')
        s->at++;
    return s->at - from;
}

static int parse_number(struct parser *s)
{
    size_t start = s->at;
    json_ref v;
    int rc = push(s, JSON_NUMBER, start, &v);

    if (rc < 0)
        return rc;
    if (s->p[s->at] == '-')
        s->at++;
    if (s->at < s->n && s->p[s->at] == '0')
        s->at++;
    else if (!digits(s))
        return fail(s, "bad number");
    if (s->at < s->n && s->p[s->at] == '.') {
        s->at++;
        if (!digits(s))
            return fail(s, "bad number");
    }
    if (s->at < s->n && (s->p[s->at] == 'e' || s->p[s->at] == 'E')) {
        s->at++;
        if (s->at < s->n && (s->p[s->at] == '+' || s->p[s->at] == '-'))
            s->at++;
        if (!digits(s))
            return fail(s, "bad number");
    }
    if (s->at - start > JSON_MAX_NUMBER)
        return err_set(s->err, ERR_LIMIT, "byte %zu: number too long", start);
    close_node(s, v, s->at);
    return ERR_OK;
}

static int parse_word(struct parser *s, const char *word, enum json_type type)
{
    size_t n = strlen(word);
    json_ref v;
    int rc;

    if (s->n - s->at < n || memcmp(s->p + s->at, word, n) != 0)
        return fail(s, "not a JSON value");
    rc = push(s, type, s->at, &v);
    if (rc < 0)
        return rc;
    s->at += n;
    close_node(s, v, s->at);
    return ERR_OK;
}

/* A value that is no container. */
static int parse_scalar(struct parser *s)
{
    json_ref v;

    switch (s->p[s->at]) {
    case '"': return parse_string(s, &v);
    case 't': return parse_word(s, "true", JSON_TRUE);
    case 'f': return parse_word(s, "false", JSON_FALSE);
    case 'n': return parse_word(s, "null", JSON_NULL);
    default: break;
    }
    if (s->p[s->at] == '-' || (s->p[s->at] >= '0' && s->p[s->at] <= '9'))
        return parse_number(s);
    return fail(s, "not a JSON value");
}

static int parse_key(struct parser *s)
{
    json_ref key;
    int rc;

    skip_space(s);
    if (s->at >= s->n || s->p[s->at] != '"')
        return fail(s, "a key in quotes is missing");
    rc = parse_string(s, &key);
    if (rc < 0)
        return rc;
    skip_space(s);
    if (s->at >= s->n || s->p[s->at] != ':')
        return fail(s, "':' is missing");
    s->at++;
    skip_space(s);
    return ERR_OK;
}

/* After a value inside the container on top of the stack: close containers
 * that end here, and stop at the next value. *depth follows. */
static int after_value(struct parser *s, json_ref *stack, unsigned *depth)
{
    while (*depth) {
        struct json_node *top = &s->j->nodes[stack[*depth - 1]];
        char closer = top->type == JSON_OBJECT ? '}' : ']';

        top->count++;
        skip_space(s);
        if (s->at >= s->n)
            return fail(s, "value is not closed");
        if (s->p[s->at] == ',') {
            s->at++;
            if (top->type == JSON_OBJECT)
                return parse_key(s);
            skip_space(s);
            return ERR_OK;
        }
        if (s->p[s->at] != closer)
            return fail(s, "',' or a closing bracket is missing");
        s->at++;
        close_node(s, stack[--*depth], s->at);
    }
    return ERR_OK;
}

/* Opens a container; *empty tells that it closed at once. */
static int open_container(struct parser *s, json_ref *stack, unsigned *depth,
                          bool *empty)
{
    bool object = s->p[s->at] == '{';
    json_ref v;
    int rc = push(s, object ? JSON_OBJECT : JSON_ARRAY, s->at, &v);

    if (rc < 0)
        return rc;
    if (*depth == JSON_MAX_DEPTH)
        return err_set(s->err, ERR_LIMIT, "byte %zu: nested deeper than %d",
                       s->at, JSON_MAX_DEPTH);
    s->at++;
    skip_space(s);
    *empty = s->at < s->n && s->p[s->at] == (object ? '}' : ']');
    if (*empty) {
        s->at++;
        close_node(s, v, s->at);
        return ERR_OK;
    }
    stack[(*depth)++] = v;
    return object ? parse_key(s) : ERR_OK;
}

static int parse_all(struct parser *s)
{
    json_ref stack[JSON_MAX_DEPTH];
    unsigned depth = 0;
    int rc;

    skip_space(s);
    do {
        bool done = true;

        if (s->at >= s->n)
            return fail(s, s->j->count ? "value is not closed"
                                       : "empty, a JSON value is missing");
        if (s->p[s->at] == '{' || s->p[s->at] == '[')
            rc = open_container(s, stack, &depth, &done);
        else
            rc = parse_scalar(s);
        if (rc == ERR_OK && done)
            rc = after_value(s, stack, &depth);
        if (rc < 0)
            return rc;
    } while (depth);
    skip_space(s);
    if (s->at < s->n)
        return fail(s, "bytes after the JSON value");
    return ERR_OK;
}

int json_parse(struct json *j, const char *text, size_t n, struct err *err)
{
    struct parser s = { j, text, n, 0, err };
    int rc;

    if (n > JSON_MAX_BYTES)
        return err_set(err, ERR_LIMIT, "larger than %zu bytes",
                       (size_t)JSON_MAX_BYTES);
    j->text = text;
    j->size = n;
    j->count = 0;
    rc = parse_all(&s);
    if (rc < 0)
        j->count = 0;
    return rc;
}

void json_release(struct json *j)
{
    free(j->nodes);
    *j = (struct json){ 0 };
}

enum json_type json_kind(const struct json *j, json_ref v)
{
    return v < j->count ? j->nodes[v].type : JSON_NULL;
}

bool json_is(const struct json *j, json_ref v, enum json_type type)
{
    return v < j->count && j->nodes[v].type == type;
}

bool json_present(json_ref v)
{
    return v != JSON_NONE;
}

struct slice json_raw(const struct json *j, json_ref v)
{
    if (v >= j->count)
        return (struct slice){ "", 0 };
    return (struct slice){ j->text + j->nodes[v].start,
                           j->nodes[v].end - j->nodes[v].start };
}

json_ref json_first(const struct json *j, json_ref c)
{
    if (json_count(j, c) == 0)
        return JSON_NONE;
    return j->nodes[c].type == JSON_OBJECT ? c + 2 : c + 1;
}

json_ref json_next(const struct json *j, json_ref c, json_ref e)
{
    json_ref next = j->nodes[e].next;

    if (next >= j->nodes[c].next)
        return JSON_NONE;
    return j->nodes[c].type == JSON_OBJECT ? next + 1 : next;
}

json_ref json_key(const struct json *j, json_ref value)
{
    (void)j;
    return value - 1;
}

json_ref json_get(const struct json *j, json_ref object, const char *key)
{
    json_ref found = JSON_NONE;

    if (!json_is(j, object, JSON_OBJECT))
        return JSON_NONE;
    for (json_ref e = json_first(j, object); e != JSON_NONE;
         e = json_next(j, object, e))
        if (json_text_is(j, json_key(j, e), key))
            found = e;
    return found;
}

json_ref json_find(const struct json *j, json_ref object, ...)
{
    va_list ap;
    const char *key;

    va_start(ap, object);
    while (object != JSON_NONE && (key = va_arg(ap, const char *)) != NULL)
        object = json_get(j, object, key);
    va_end(ap);
    return object;
}

size_t json_count(const struct json *j, json_ref v)
{
    if (!json_is(j, v, JSON_ARRAY) && !json_is(j, v, JSON_OBJECT))
        return 0;
    return j->nodes[v].count;
}

json_ref json_at(const struct json *j, json_ref array, size_t i)
{
    json_ref e;

    if (!json_is(j, array, JSON_ARRAY))
        return JSON_NONE;
    e = json_first(j, array);
    while (i-- && e != JSON_NONE)
        e = json_next(j, array, e);
    return e;
}
