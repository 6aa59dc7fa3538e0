/*
 * json.h - reading JSON without changing a byte of it, and writing it
 *
 * A strict RFC 8259 parser that fills a tape of nodes over the caller's
 * bytes: each value is known by its exact slice, so that bodies can be cut and
 * rebuilt to the byte, integers keep all their digits and "\u0000" survives.
 * cJSON 1.7.15 does none of these; it is used for small configuration
 * documents only (json_config_parse), behind the same check.
 * May use: base, cJSON (its one home).
 */
#ifndef JSON_H
#define JSON_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#define JSON_MAX_BYTES ((size_t)256 << 20)
#define JSON_MAX_DEPTH 256
#define JSON_MAX_NODES ((size_t)64 << 20)
#define JSON_MAX_NUMBER 1024 /* characters of one number */

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

/* One value. A member of an object is its key node (JSON_STRING) followed by
 * its value node. Children follow their parent on the tape. */
struct json_node {
    uint32_t start, end; /* byte range in the text, quotes and braces included*/
    uint32_t next;       /* index just past this value and its children */
    uint32_t count;      /* elements or members; strings: 1 if escaped */
    enum json_type type;
};

/* A parsed text. The bytes are borrowed and must outlive the document. A
 * zeroed struct is empty; json_parse may be called again on the same document
 * (its memory is reused). Node 0 is the whole value. */
struct json {
    const char *text;
    size_t size;
    struct json_node *nodes;
    size_t count, cap;
};

/* Strict: UTF-8, no trailing bytes, no duplicate-key check (the last one wins
 * in json_get, as in most readers), depth and sizes limited as above. On
 * failure ERR_FORMAT or ERR_LIMIT with the byte offset, and what was wrong. */
MUST_CHECK int json_parse(struct json *j, const char *text, size_t n,
                          struct err *err);
void json_release(struct json *j);

/* Node handles are indices; JSON_NONE stands for "absent", and every accessor
 * takes it and answers absent/empty/default. */
typedef uint32_t json_ref;
#define JSON_NONE UINT32_MAX

enum json_type json_kind(const struct json *j, json_ref v); /* NONE: NULL */
bool json_is(const struct json *j, json_ref v, enum json_type type);
bool json_present(json_ref v);
struct slice json_raw(const struct json *j, json_ref v); /* exact bytes */
/* Member by exact (case-sensitive) key; the last of equal keys. */
json_ref json_get(const struct json *j, json_ref object, const char *key);
/* json_get along a path of keys, NULL-terminated. */
json_ref json_find(const struct json *j, json_ref object, ...)
    __attribute__((sentinel));
size_t json_count(const struct json *j, json_ref v);
json_ref json_at(const struct json *j, json_ref array, size_t i); /* O(i) */

/* Iteration: `for (json_ref e = json_first(j, a); e != JSON_NONE;
 *                  e = json_next(j, a, e))`. For objects e is the value, and
 * json_key(j, e) the node of its key. */
json_ref json_first(const struct json *j, json_ref container);
json_ref json_next(const struct json *j, json_ref container, json_ref e);
json_ref json_key(const struct json *j, json_ref value);

/* Strings. json_text appends the decoded bytes (may hold NUL); lone
 * surrogates become U+FFFD. False if v is no string. json_text_is compares
 * the decoded string. json_strdup: decoded, NUL-terminated at the first NUL,
 * NULL if v is no string. */
bool json_text(const struct json *j, json_ref v, struct buf *out);
/* A string with a lone surrogate, which no text can hold. */
bool json_text_is_broken(const struct json *j, json_ref v);
bool json_text_is(const struct json *j, json_ref v, const char *s);
char *json_strdup(const struct json *j, json_ref v);
/* Escapes of a string that was parsed. What the \u at p, with n bytes left of
 * the string, stands for: written at *to, which moves on by at most four; a
 * pair is one, a lone surrogate U+FFFD. Returns the bytes it takes. The other
 * escapes by the letter behind the backslash. */
size_t json_unescape(const char *p, size_t n, char **to);
static inline char json_unescape_letter(char c)
{
    switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return c;
    }
}

/* Numbers: false if v is no number, or (json_int) no integer that fits. */
bool json_int(const struct json *j, json_ref v, int64_t *out);
bool json_double(const struct json *j, json_ref v, double *out);
bool json_bool(const struct json *j, json_ref v, bool *out);

/* Canonical form for comparison: members sorted by key bytes (last duplicate
 * wins), no white space, strings re-escaped minimally, numbers that are
 * integers as integers (all digits kept) and others as shortest round-trip
 * doubles. */
void json_canonical(const struct json *j, json_ref v, struct buf *out);

/* Writing. The writer puts commas; keys are NULL inside arrays. Output is
 * valid JSON as long as begin and end are paired. Bytes that are not UTF-8
 * are replaced by U+FFFD. pretty: two-space indent. */
struct json_writer {
    struct buf *out;
    bool pretty, need_comma;
    unsigned depth;
};
void json_writer_init(struct json_writer *w, struct buf *out, bool pretty);
void json_begin_object(struct json_writer *w, const char *key);
/* A document of its own: an object that begins with what it is
 * ("slmctl.eval/1") and the version of slmctl that wrote it. */
void json_begin_document(struct json_writer *w, const char *schema);
void json_end_object(struct json_writer *w);
void json_begin_array(struct json_writer *w, const char *key);
void json_end_array(struct json_writer *w);
void json_put_string(struct json_writer *w, const char *key, const char *s);
void json_put_slice(struct json_writer *w, const char *key, struct slice s);
void json_put_int(struct json_writer *w, const char *key, int64_t v);
void json_put_double(struct json_writer *w, const char *key, double v);
void json_put_bool(struct json_writer *w, const char *key, bool v);
void json_put_null(struct json_writer *w, const char *key);
/* Bytes that are JSON already. */
void json_put_raw(struct json_writer *w, const char *key, struct slice json);
/* Append s as a quoted, escaped string. */
void json_quote(struct buf *out, struct slice s);

/* Small configuration documents as a cJSON tree (at most 16 MiB, checked by
 * json_parse first; a document with "\u0000" in a string is refused).
 * Release with json_config_free. Use cJSON_GetObjectItemCaseSensitive. */
struct cJSON;
MUST_CHECK int json_config_parse(const char *text, size_t n, struct cJSON **out,
                                 struct err *err);
void json_config_free(struct cJSON *c);

#endif
