/* json_write.c - output, and the guarded door to cJSON */
#include "json/json.h"

#include "base/mem.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX_BYTES ((size_t)16 << 20)

static void quote_char(struct buf *out, unsigned char c)
{
    switch (c) {
    case '"': buf_str(out, "\\\""); break;
    case '\\': buf_str(out, "\\\\"); break;
    case '\b': buf_str(out, "\\b"); break;
    case '\f': buf_str(out, "\\f"); break;
    case '\n': buf_str(out, "\\n"); break;
    case '\r': buf_str(out, "\\r"); break;
    case '\t': buf_str(out, "\\t"); break;
    default: buf_printf(out, "\\u%04x", c); break;
    }
}

void json_quote(struct buf *out, struct slice s)
{
    size_t i = 0, plain = 0;

    buf_char(out, '"');
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        size_t used = 1;
        bool bad = c >= 0x80 && utf8_decode(s.p + i, s.n - i, &used) < 0;

        if (!bad && c >= 0x20 && c != '"' && c != '\\') {
            i += used;
            continue;
        }
        buf_add(out, s.p + plain, i - plain);
        if (bad)
            buf_str(out, "\xEF\xBF\xBD");
        else
            quote_char(out, c);
        plain = ++i;
    }
    if (plain < s.n) /* s may be empty, and have no bytes */
        buf_add(out, s.p + plain, s.n - plain);
    buf_char(out, '"');
}

void json_writer_init(struct json_writer *w, struct buf *out, bool pretty)
{
    *w = (struct json_writer){ .out = out, .pretty = pretty };
}

static void line_break(struct json_writer *w)
{
    if (!w->pretty)
        return;
    buf_char(w->out, '\n');
    for (unsigned i = 0; i < w->depth; i++)
        buf_str(w->out, "  ");
}

static void before(struct json_writer *w, const char *key)
{
    if (w->need_comma)
        buf_char(w->out, ',');
    if (w->depth)
        line_break(w);
    if (key) {
        json_quote(w->out, slice_of(key));
        buf_str(w->out, w->pretty ? ": " : ":");
    }
    w->need_comma = true;
}

static void open_with(struct json_writer *w, const char *key, char c)
{
    before(w, key);
    buf_char(w->out, c);
    w->need_comma = false;
    w->depth++;
}

static void close_with(struct json_writer *w, char c)
{
    bool empty = !w->need_comma;

    w->depth--;
    if (!empty)
        line_break(w);
    buf_char(w->out, c);
    w->need_comma = true;
}

void json_begin_object(struct json_writer *w, const char *key)
{
    open_with(w, key, '{');
}

void json_begin_document(struct json_writer *w, const char *schema)
{
    json_begin_object(w, NULL);
    json_put_string(w, "schema", schema);
    json_put_string(w, "slmctl_version", SLMCTL_VERSION);
}

void json_end_object(struct json_writer *w)
{
    close_with(w, '}');
}

void json_begin_array(struct json_writer *w, const char *key)
{
    open_with(w, key, '[');
}

void json_end_array(struct json_writer *w)
{
    close_with(w, ']');
}

void json_put_slice(struct json_writer *w, const char *key, struct slice s)
{
    before(w, key);
    json_quote(w->out, s);
}

void json_put_string(struct json_writer *w, const char *key, const char *s)
{
    if (s)
        json_put_slice(w, key, slice_of(s));
    else
        json_put_null(w, key);
}

void json_put_int(struct json_writer *w, const char *key, int64_t v)
{
    before(w, key);
    buf_printf(w->out, "%lld", (long long)v);
}

void json_put_double(struct json_writer *w, const char *key, double v)
{
    char text[40];

    if (!isfinite(v)) { /* JSON has no NaN and no infinity */
        json_put_null(w, key);
        return;
    }
    before(w, key);
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    buf_str(w->out, text);
}

void json_put_bool(struct json_writer *w, const char *key, bool v)
{
    before(w, key);
    buf_str(w->out, v ? "true" : "false");
}

void json_put_null(struct json_writer *w, const char *key)
{
    before(w, key);
    buf_str(w->out, "null");
}

void json_put_raw(struct json_writer *w, const char *key, struct slice json)
{
    before(w, key);
    buf_add_slice(w->out, json);
}

/* cJSON ends a string at "\u0000"; such documents are refused instead. */
static bool holds_nul(const struct json *j)
{
    for (size_t i = 0; i < j->count; i++) {
        struct buf text = { 0 };
        bool nul;

        if (j->nodes[i].type != JSON_STRING || !j->nodes[i].count)
            continue;
        (void)json_text(j, (json_ref)i, &text);
        nul = text.len && memchr(text.data, 0, text.len);
        buf_release(&text);
        if (nul)
            return true;
    }
    return false;
}

int json_config_parse(const char *text, size_t n, struct cJSON **out,
                      struct err *err)
{
    struct json j = { 0 };
    cJSON *tree = NULL;
    int rc;

    if (n > CONFIG_MAX_BYTES)
        return err_set(err, ERR_LIMIT, "larger than %zu bytes",
                       (size_t)CONFIG_MAX_BYTES);
    rc = json_parse(&j, text, n, err);
    if (rc == ERR_OK && holds_nul(&j))
        rc = err_set(err, ERR_FORMAT, "\\u0000 in a string");
    json_release(&j);
    if (rc < 0)
        return rc;
    tree = cJSON_ParseWithLength(text, n);
    if (!tree)
        return err_set(err, ERR_FORMAT, "not accepted as configuration");
    *out = tree;
    return ERR_OK;
}

void json_config_free(struct cJSON *c)
{
    cJSON_Delete(c);
}
