/* http_class.c - which characters may stand where */
#include "http/http_private.h"

#include <string.h>

static bool is_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z');
}

bool http_is(unsigned char c, enum http_class which)
{
    const char *more = "";

    if (which == HTTP_TEXT)
        return c == '\t' || (c >= ' ' && c != 127);
    if (is_alnum(c))
        return true;
    switch (which) {
    case HTTP_TOKEN: more = "!#$%&'*+-.^_`|~"; break;
    case HTTP_PATH: more = "-._~!$&'()*+,;=:@/"; break;
    case HTTP_QUERY: more = "-._~!$&'()*+,;=:@/?[]"; break;
    case HTTP_HOST: more = "-._~[]:"; break;
    case HTTP_TEXT: break;
    }
    return c && strchr(more, c);
}

bool http_all(struct slice s, enum http_class which)
{
    for (size_t i = 0; i < s.n; i++)
        if (!http_is((unsigned char)s.p[i], which))
            return false;
    return true;
}

struct slice http_trim(struct slice s)
{
    while (s.n && (*s.p == ' ' || *s.p == '\t'))
        s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}
