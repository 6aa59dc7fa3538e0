/*
 * http_judge.c - what the fields of a request mean together
 *
 * Where a body ends, who is asked, whether the connection stays. Every
 * combination in which two implementations could differ is refused, also
 * those for which RFC 9112 names a way out.
 */
#include "http/http_private.h"

#include <string.h>
#include <strings.h>

static int bad(struct http_refusal *why, const char *text)
{
    return http_refuse(why, 400, ERR_FORMAT, text);
}

static bool is_any_case(struct slice s, const char *lower)
{
    return s.n == strlen(lower) && !strncasecmp(s.p, lower, s.n);
}

static int take_coding(struct http_request *r, struct slice value,
                       struct http_refusal *why)
{
    if (r->framing == HTTP_CHUNKED)
        return bad(why, "Transfer-Encoding is given twice");
    if (r->minor == 0)
        return bad(why, "Transfer-Encoding in HTTP/1.0");
    if (!is_any_case(value, "chunked"))
        return memchr(value.p, ',', value.n) || !value.n
                   ? bad(why, "Transfer-Encoding is not exactly chunked")
                   : http_refuse(why, 501, ERR_FORMAT,
                                 "a transfer coding other than chunked");
    r->framing = HTTP_CHUNKED;
    return ERR_OK;
}

static int take_length(struct http_request *r, struct slice value,
                       struct http_refusal *why)
{
    uint64_t n = 0;

    if (r->framing == HTTP_LENGTH)
        return bad(why, "Content-Length is given twice");
    if (!value.n || value.n > 18)
        return bad(why, "Content-Length is not a number of a body");
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return bad(why, "Content-Length is not a number");
        n = n * 10 + (uint64_t)(value.p[i] - '0');
    }
    r->framing = HTTP_LENGTH;
    r->length = n;
    return ERR_OK;
}

static int take_host(struct http_request *r, struct slice value, bool *seen,
                     struct http_refusal *why)
{
    if (*seen)
        return bad(why, "Host is given twice");
    if (!value.n || !http_all(value, HTTP_HOST))
        return bad(why, "Host is not the name of a host");
    *seen = true;
    r->host = value;
    return ERR_OK;
}

static void take_connection(struct http_request *r, struct slice value,
                            bool *upgrades)
{
    struct slice e;

    while (http_list_next(&value, &e)) {
        if (is_any_case(e, "close"))
            r->keep_alive = false;
        else if (is_any_case(e, "keep-alive") && r->minor == 0)
            r->keep_alive = true;
        else if (is_any_case(e, "upgrade"))
            *upgrades = true;
    }
}

struct seen {
    bool host, coding, length, upgrades, websocket;
};

static int judge_field(struct http_request *r, const struct http_field *f,
                       struct seen *s, struct http_refusal *why)
{
    struct slice list = f->value, e;

    if (is_any_case(f->name, "host"))
        return take_host(r, f->value, &s->host, why);
    if (is_any_case(f->name, "transfer-encoding")) {
        s->coding = true;
        return s->length ? bad(why, "both Transfer-Encoding and "
                                    "Content-Length")
                         : take_coding(r, f->value, why);
    }
    if (is_any_case(f->name, "content-length")) {
        s->length = true;
        return s->coding ? bad(why, "both Transfer-Encoding and "
                                    "Content-Length")
                         : take_length(r, f->value, why);
    }
    if (is_any_case(f->name, "connection"))
        take_connection(r, f->value, &s->upgrades);
    else if (is_any_case(f->name, "upgrade"))
        while (http_list_next(&list, &e))
            s->websocket |= is_any_case(e, "websocket");
    else if (is_any_case(f->name, "expect") && r->minor > 0) {
        if (!is_any_case(f->value, "100-continue"))
            return http_refuse(why, 417, ERR_FORMAT,
                               "Expect is not 100-continue");
        r->expect_continue = true;
    }
    return ERR_OK;
}

int http_request_judge(struct http_request *r, struct slice form,
                       struct http_refusal *why)
{
    struct seen s = { 0 };
    int rc = ERR_OK;

    r->framing = HTTP_EMPTY;
    r->length = 0;
    r->expect_continue = false;
    r->host = (struct slice){ NULL, 0 };
    r->keep_alive = r->minor > 0;
    for (size_t i = 0; rc == ERR_OK && i < r->field_count; i++)
        rc = judge_field(r, &r->fields[i], &s, why);
    if (rc < 0)
        return rc;
    if (!s.host && r->minor > 0)
        return bad(why, "Host is missing");
    if (form.n && s.host &&
        (form.n != r->host.n || strncasecmp(form.p, r->host.p, form.n)))
        return bad(why, "Host differs from the target's");
    if (form.p && (!form.n || !http_all(form, HTTP_HOST)))
        return bad(why, "the target's host is not the name of a host");
    if (form.n)
        r->host = form;
    r->websocket = s.websocket && s.upgrades;
    if (r->framing == HTTP_LENGTH && r->length == 0)
        r->framing = HTTP_EMPTY;
    return ERR_OK;
}

struct slice http_get(const struct http_request *r, const char *name)
{
    for (size_t i = 0; i < r->field_count; i++)
        if (is_any_case(r->fields[i].name, name))
            return r->fields[i].value;
    return (struct slice){ NULL, 0 };
}

bool http_name_is(struct slice name, const char *lower)
{
    return is_any_case(name, lower);
}

bool http_list_next(struct slice *rest, struct slice *element)
{
    while (rest->n) {
        const char *comma = memchr(rest->p, ',', rest->n);
        size_t n = comma ? (size_t)(comma - rest->p) : rest->n;

        *element = http_trim((struct slice){ rest->p, n });
        n += comma != NULL;
        rest->p += n;
        rest->n -= n;
        if (element->n)
            return true;
    }
    return false;
}

bool http_is_hop_by_hop(struct slice name, struct slice connection)
{
    static const char *const names[] = {
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    };
    struct slice e;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (is_any_case(name, names[i]))
            return true;
    while (http_list_next(&connection, &e))
        if (e.n == name.n && !strncasecmp(e.p, name.p, e.n))
            return true;
    return false;
}
