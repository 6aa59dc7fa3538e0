/* err.c - fill error values; the only formatting of messages in lib/ */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    if (err) {
        char text[sizeof(err->msg)];
        va_list ap;

        va_start(ap, fmt);
        (void)vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        memcpy(err->msg, text, sizeof(text));
        err->code = code;
    }
    return code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    char head[sizeof(err->msg)];
    char text[sizeof(err->msg)];
    va_list ap;

    if (!err)
        return ERR_INVALID;
    va_start(ap, fmt);
    (void)vsnprintf(head, sizeof(head), fmt, ap);
    va_end(ap);
    if (snprintf(text, sizeof(text), "%.200s: %s", head, err->msg) < 0)
        text[0] = '\0';
    memcpy(err->msg, text, sizeof(text));
    return err->code;
}

const char *err_name(enum err_code code)
{
    switch (code) {
    case ERR_OK: return "success";
#define X(name, value, text)                                                   \
    case ERR_##name: return text;
        ERR_CODES(X)
#undef X
    }
    return "unknown error";
}
