/*
 * http_request.c - request heads: lines, request line, fields
 *
 * Bytes are looked through once for what no head may hold (a bare CR or LF, a
 * control character) and for its end; only a whole head is taken apart. What
 * the fields mean together is judged in http_judge.c.
 */
#include "http/http_private.h"

#include <string.h>
#include <strings.h>

int http_refuse(struct http_refusal *why, int status, enum err_code code,
                const char *text)
{
    why->status = status;
    return err_set(&why->err, code, "%s", text);
}

static int bad(struct http_refusal *why, const char *text)
{
    return http_refuse(why, 400, ERR_FORMAT, text);
}

/* Where the head ends, looking from r->seen on. 1: found, 0: not yet. */
static int find_end(struct http_request *r, struct slice bytes, size_t *end,
                    struct http_refusal *why)
{
    const char *p = bytes.p;
    size_t i = r->seen;

    for (; i < bytes.n; i++) {
        unsigned char c = (unsigned char)p[i];

        if (c == '\n') {
            if (i == 0 || p[i - 1] != '\r')
                return bad(why, "a line ends in LF without CR");
            if (i >= 3 && p[i - 2] == '\n') {
                *end = i + 1;
                return 1;
            }
        } else if (i > 0 && p[i - 1] == '\r') {
            return bad(why, "a CR is not followed by LF");
        } else if (c != '\r' && !http_is(c, HTTP_TEXT)) {
            return bad(why, "a control character in the head");
        }
    }
    r->seen = i;
    return 0;
}

/* The next line of a head that find_end has seen; without its CR LF. */
static struct slice next_line(struct slice *rest)
{
    const char *lf = memchr(rest->p, '\n', rest->n);
    struct slice line = { rest->p, (size_t)(lf - rest->p) - 1 };

    rest->p += line.n + 2;
    rest->n -= line.n + 2;
    return line;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Origin form: "/path?query" in the characters of RFC 3986. */
static bool is_target(struct slice t)
{
    enum http_class which = HTTP_PATH;

    if (!t.n || t.p[0] != '/')
        return false;
    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i];

        if (c == '%') {
            if (i + 2 >= t.n || hex(t.p[i + 1]) < 0 || hex(t.p[i + 2]) < 0)
                return false;
            i += 2;
        } else if (c == '?') {
            which = HTTP_QUERY;
        } else if (!http_is((unsigned char)c, which)) {
            return false;
        }
    }
    return true;
}

/* Absolute form: authority to *host, the rest to the target. */
static int take_target(struct http_request *r, struct slice t,
                       struct slice *host, struct http_refusal *why)
{
    static const struct slice root = { "/", 1 };
    size_t i = 7;

    if (t.n > HTTP_TARGET_MAX)
        return http_refuse(why, 414, ERR_LIMIT,
                           "the target is longer than 8192 bytes");
    *host = (struct slice){ NULL, 0 };
    if (slice_is(r->method, "CONNECT"))
        return http_refuse(why, 501, ERR_FORMAT, "CONNECT is not served");
    if (slice_is(t, "*"))
        return http_refuse(why, 501, ERR_FORMAT, "the target * is not served");
    if (t.n > i && !strncasecmp(t.p, "http://", i)) {
        while (i < t.n && t.p[i] != '/' && t.p[i] != '?')
            i++;
        *host = (struct slice){ t.p + 7, i - 7 };
        t = (struct slice){ t.p + i, t.n - i };
        if (!t.n)
            t = root;
    }
    if (!is_target(t))
        return bad(why, "the target is not a path, or holds a character "
                        "that must be percent-encoded");
    r->target = t;
    return ERR_OK;
}

static int take_version(struct http_request *r, struct slice v,
                        struct http_refusal *why)
{
    if (v.n != 8 || memcmp(v.p, "HTTP/", 5) || v.p[6] != '.' || v.p[5] < '0' ||
        v.p[5] > '9' || v.p[7] < '0' || v.p[7] > '9')
        return bad(why, "the request line does not end in HTTP/1.1");
    if (v.p[5] != '1')
        return http_refuse(why, 505, ERR_FORMAT,
                           "only HTTP/1.0 and HTTP/1.1 are spoken");
    r->minor = v.p[7] > '0';
    return ERR_OK;
}

static int take_request_line(struct http_request *r, struct slice line,
                             struct slice *host, struct http_refusal *why)
{
    const char *one = memchr(line.p, ' ', line.n);
    const char *end = line.p + line.n, *two;
    int rc;

    if (!one)
        return bad(why, "the request line has no target");
    r->method = (struct slice){ line.p, (size_t)(one - line.p) };
    if (!r->method.n || r->method.n > HTTP_METHOD_MAX ||
        !http_all(r->method, HTTP_TOKEN))
        return bad(why, "the method is not a token");
    two = memchr(one + 1, ' ', (size_t)(end - one - 1));
    if (!two)
        return bad(why, "the request line has no version");
    rc = take_version(r, (struct slice){ two + 1, (size_t)(end - two - 1) },
                      why);
    if (rc < 0)
        return rc;
    return take_target(r, (struct slice){ one + 1, (size_t)(two - one - 1) },
                       host, why);
}

static int take_field(struct http_request *r, struct slice line,
                      struct http_refusal *why)
{
    const char *colon = memchr(line.p, ':', line.n);
    struct http_field *f;

    if (line.p[0] == ' ' || line.p[0] == '\t')
        return bad(why, "a header field is folded over lines");
    if (!colon)
        return bad(why, "a header line has no colon");
    if (r->field_count == HTTP_FIELDS_MAX)
        return http_refuse(why, 431, ERR_LIMIT, "more than 200 header fields");
    f = &r->fields[r->field_count++];
    f->name = (struct slice){ line.p, (size_t)(colon - line.p) };
    if (!f->name.n || !http_all(f->name, HTTP_TOKEN))
        return bad(why, "the name of a header field is not a token");
    f->value = http_trim((struct slice){ colon + 1, line.n - f->name.n - 1 });
    return ERR_OK;
}

static int too_long(const struct slice bytes, struct http_refusal *why)
{
    if (!memchr(bytes.p, '\n', bytes.n))
        return http_refuse(why, 414, ERR_LIMIT, "the request line is too long");
    return http_refuse(why, 431, ERR_LIMIT, "the header is longer than 64 KiB");
}

int http_request_parse(struct http_request *r, struct slice bytes, size_t *used,
                       struct http_refusal *why)
{
    size_t skip = bytes.n >= 2 && !memcmp(bytes.p, "\r\n", 2) ? 2 : 0;
    struct slice rest, host, line;
    size_t end = 0;
    int rc = find_end(r, bytes, &end, why);

    if (rc < 0)
        return rc;
    if ((rc ? end : bytes.n) > HTTP_HEAD_MAX + skip)
        return too_long(bytes, why);
    if (rc == 0)
        return 0;
    if (end == skip + 2)
        return bad(why, "there is no request line");
    rest = (struct slice){ bytes.p + skip, end - skip };
    r->field_count = 0;
    rc = take_request_line(r, next_line(&rest), &host, why);
    while (rc == ERR_OK && (line = next_line(&rest)).n)
        rc = take_field(r, line, why);
    if (rc == ERR_OK)
        rc = http_request_judge(r, host, why);
    if (rc < 0)
        return rc;
    *used = end;
    return 1;
}
